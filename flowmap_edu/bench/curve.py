"""KL64 against CPU seconds: maps of the checkerboard trained to several budgets, and what they reach.

A finished run is read back from its folder and a broken one resumed. The table is made from the runs that are there.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flowmap_edu.bench import comparison
from flowmap_edu.bench.step import SELF_DISTILLED
from flowmap_edu.recipes import recipe
from flowmap_edu.training import read_metadata
from flowmap_edu.training.metadata import differences, document

BUDGETS = (0.5, 2.0, 10.0)  # CPU minutes
SEEDS = (0, 1, 2)
SHOWN = (1, 16)  # steps of sampling
RECIPE = "checkerboard"

# KL64 of other implementations after 600 CPU-s on one thread, by the number of steps: measured once, not by this code.
QUOTED = {
    "a public PyTorch reproduction, 1,152 iterations": {1: 0.780, 16: 0.754},
    "the paper's own recipe with its batch cut to 1,024, 1,465 iterations": {1: 0.702, 2: 0.708},
}


class Task(NamedTuple):
    """One map: a recipe, a method and a budget, in CPU minutes or in steps."""

    recipe: str
    method: str
    minutes: float | None = None
    steps: int | None = None

    def folder(self, root: Path, seed: int) -> Path:
        """Where its run is."""
        budget = f"{self.steps}" if self.minutes is None else f"{self.minutes:g}min"
        return root / f"{self.recipe}-{self.method}-{budget}-{seed}"

    def differs(self, out: Path, seed: int) -> list[str]:
        """In what the run in a folder is another one."""
        budget: dict[str, Any] = {"steps": self.steps} if self.minutes is None else {"minutes": self.minutes}
        asked = recipe(self.recipe, self.method, seed=seed, **budget)
        return differences(read_metadata(out).document, document(*asked)[0])


def trained(task: Task, seed: int, root: Path, points: int, quiet: bool = True) -> dict[str, Any]:
    """Train a map or go on with its run, measure its KL64, or read both back.

    Raises:
        ValueError: if the folder holds another run, or a command failed.
    """
    out = task.folder(root, seed)
    budget = ("--steps", task.steps) if task.minutes is None else ("--minutes", task.minutes)
    words: list[object] = ["checkerboard", "--recipe", task.recipe, "--method", task.method, *budget, "--seed", seed]
    if (out / "config.json").is_file():
        if differ := task.differs(out, seed):
            raise ValueError(f"{out} holds another run ({'; '.join(differ)}): move it away")
        words = ["--resume"]
    if not finished(out) and (status := comparison.command("train", *words, "--out", out, quiet=quiet)):
        raise ValueError(f"training into {out} failed with status {status}; run it alone to see why")
    if comparison.evaluation(out, points) is None:
        comparison.command("evaluate", out, "--points", points, quiet=quiet)
    if (found := read(task, seed, root, points)) is None:
        raise ValueError(f"evaluating {out} with {points} points failed; run it alone to see why")
    return found


def finished(out: Path) -> bool:
    """Whether a folder holds a run that took its last step."""
    if not (out / "config.json").is_file():
        return False
    header = read_metadata(out).header
    return header["steps_done"] == header["steps"]


def read(task: Task, seed: int, root: Path, points: int) -> dict[str, Any] | None:
    """CPU seconds, steps and the rows of KL64 of a finished run; None where there is none yet, or of other settings."""
    out = task.folder(root, seed)
    rows = comparison.evaluation(out, points)
    if rows is None or not finished(out) or task.differs(out, seed):
        return None
    header = read_metadata(out).header
    return {"cpu_seconds": header["cpu_seconds"], "steps": header["steps"], "rows": rows}


def middle(values: Sequence[float]) -> str:
    """The median and the range; how many there are, if not one a seed."""
    if not values:
        return ""
    few = f", {len(values)} seed{'s' * (len(values) > 1)}" if len(values) < len(SEEDS) else ""
    return f"{statistics.median(values):.4f} ({min(values):.4f} to {max(values):.4f}{few})"


def table(
    root: Path,
    points: int = 1_000_000,
    methods: Sequence[str] = SELF_DISTILLED,
    budgets: Sequence[float] = BUDGETS,
    name: str = RECIPE,
) -> list[str]:
    """KL64 of each method at each budget, from the runs of a recipe under `root`; [] if there is none.

    A row a method and a number of steps of sampling, a column a budget. Figures of others stand at 600 CPU-s.
    """
    found = {
        (method, minutes): [r for seed in SEEDS if (r := read(Task(name, method, minutes), seed, root, points))]
        for method in methods
        for minutes in budgets
    }
    if not any(found.values()):
        return []
    lines = [
        f"| KL64, {points:,} points | {' | '.join(f'{60 * minutes:g} CPU-s' for minutes in budgets)} |",
        "| --- |" + " --- |" * len(budgets),
    ]
    for method in methods:
        for n in SHOWN:
            cells = [middle([kl64(run, n) for run in found[method, minutes]]) for minutes in budgets]
            lines.append(f"| {method.upper()}, {n} step{'s' * (n > 1)} | {' | '.join(cells)} |")
    for whose, numbers in QUOTED.items():
        for n, kl in numbers.items():
            cells = [f"{kl:.3f}" if minutes == 10.0 else "" for minutes in budgets]
            lines.append(f"| quoted: {whose}; {n} step{'s' * (n > 1)} | {' | '.join(cells)} |")
    most = [max((run["cpu_seconds"] for m in methods for run in found[m, b]), default=None) for b in budgets]
    taken = ", ".join("none" if seconds is None else f"{seconds:.0f}" for seconds in most)
    note = f"Median and range over {len(SEEDS)} seeds. CPU-s that a run took at most: {taken}."
    return [*lines, "", f"{note} What is quoted was measured once, by KL64 too, and is not measured again here."]


def kl64(run: dict[str, Any], n: int) -> float:
    """That of a run at n steps of sampling."""
    return next(row["kl64"] for row in run["rows"] if row["steps"] == n)
