"""The table of all methods in words: rows grouped by idea, medians and ranges over the seeds."""

from collections.abc import Callable
from typing import Any

from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems.problem import STEPS

GROUPS: dict[str, Callable[[Method], bool]] = {
    "the velocity alone": lambda m: m.condition == "diagonal",
    "Lagrangian: the end of the jump moves": lambda m: m.condition == "lagrangian",
    "consistency: jumps to one end": lambda m: m.times in ("to one", "grid", "segments"),
    "Eulerian: the start of the jump moves": lambda m: m.condition == "eulerian",
    "semigroup: a stop on the way": lambda _: True,
}


def group(method: Method) -> str:
    """The idea that a row belongs to: the first of GROUPS that it fits."""
    return next(title for title, fits in GROUPS.items() if fits(method))


def grouped(names: list[str]) -> list[str]:
    """The names by idea, in the order of GROUPS."""
    order = list(GROUPS)
    return sorted(dict.fromkeys(names), key=lambda name: order.index(group(METHODS[name])))


def lines(found: dict[str, dict[str, Any]], minutes: float, points: int, machine: str) -> list[str]:
    """The table's lines, grouped by idea."""
    heads = " | ".join(f"{n} step{'s' * (n > 1)}" for n in STEPS)
    out = [
        f"| method | what it is | teacher | {heads} | time of a step | memory of a step | largest gradient | CPU-s |",
        "| --- | --- | --- |" + " --- |" * (len(STEPS) + 4),
    ]
    title = ""
    for name, row in found.items():
        method = METHODS[name]
        if group(method) != title:
            title = group(method)
            out.append(f"| **{title}** |" + " |" * (len(STEPS) + 6))
        mark = {"euler": " (Euler)", "jumps": ""}.get(method.sampler, f" ({method.sampler})")
        costs = f"{row['step_time']:.1f} | {row['step_memory']:.1f} | {row['grad_norm']:.3g}"
        teacher = "yes" if method.needs_teacher else "no"
        cells = " | ".join(results(row))
        out.append(f"| {name}{mark} | {method.title} | {teacher} | {cells} | {costs} | {row['cpu_seconds']:.0f} |")
    count = max(len(row["seeds"]) for row in found.values())
    budget = f"Budget: {minutes:g} CPU minutes a row and seed, half of it the teacher's where there is one"
    costs = "Time and memory of an eager step are over those of flow matching"
    spread = f" Medians and ranges of {count} seeds." if count > 1 else " One seed."
    out += ["", f"KL64 with {points:,} points.{spread} {budget}. {costs}. {machine}."]
    return out


def results(row: dict[str, Any]) -> list[str]:
    """A row's cells of KL64: the median, and with several seeds the range; or at which step it diverged."""
    kept = [one["kl64"] for one in row["seeds"] if not one["diverged"]]
    if not kept:
        return [f"diverged at step {row['steps']:,.0f} or soon after"] + [""] * (len(STEPS) - 1)
    cells = [f"{kl:.3f}" for kl in row["kl64"]]
    if len(kept) > 1:
        cells = [
            f"{cell} ({min(each):.3f} to {max(each):.3f})"
            for cell, each in zip(cells, zip(*kept, strict=True), strict=True)
        ]
    if len(kept) < len(row["seeds"]):
        cells[0] += f"; {len(row['seeds']) - len(kept)} of {len(row['seeds'])} seeds diverged"
    return cells
