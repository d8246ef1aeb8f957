"""What was measured on a GPU (gpu.py), read from data/gpu, and the tables that the pages show of it.

python -m flowmap_edu.bench.gpu_report        write them into tutorials/scaling.md
"""

import json
from pathlib import Path
from typing import Any

from flowmap_edu._shipped import shipped_folder
from flowmap_edu.recipes import RECIPES

PAGE = Path("tutorials") / "scaling.md"
NAMES = ("cifar10", "celeba64", "afhq64")


def measured(what: str, **wanted: Any) -> list[dict[str, Any]]:
    """The rows of one kind ("machine", "step", "turn", "profile", "error", "inception", "loader") with these values."""
    lines = (shipped_folder() / "gpu" / "h100.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["what"] == what]
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def fastest(name: str) -> dict[str, Any]:
    """The row of a recipe's fastest step."""
    return min(measured("step", recipe=name), key=lambda row: row["ms"])


def hours(row: dict[str, Any]) -> float:
    """Of the recipe's whole run, if every step takes as long as the measured ones."""
    return (RECIPES[row["recipe"]].training.steps or 0) * row["ms"] / 3.6e6


def steps() -> list[str]:
    """A row for each measured step."""
    heads = ["recipe", "precision", "channels last", "compiled", "apart", "fit at a time", "a step", "memory of a step"]
    heads += ["ms a step", "hours"]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for name in NAMES:
        for row in measured("step", recipe=name):
            cells = [name, row["precision"]]
            cells += ["yes" if row[k] else "no" for k in ("channels_last", "compiled", "apart")]
            cells += [f"{row['fits']} samples" if "fits" in row else "not looked for"]
            cells += [f"{row['batch']} samples in {row['parts']} parts", f"{row['GB']:.0f} GB", f"{row['ms']:,.0f}"]
            lines.append("| " + " | ".join([*cells, f"{hours(row):,.0f}"]) + " |")
    return lines


def turns() -> list[str]:
    """Together and apart in turns: a row for each precision."""
    lines = ["| cifar10, not compiled | together, ms a step | apart, ms a step |", "|" + " --- |" * 3]
    for precision in dict.fromkeys(row["precision"] for row in measured("turn")):
        cells = [precision]
        for apart in (False, True):
            cells.append(" and ".join(f"{row['ms']:,}" for row in measured("turn", precision=precision, apart=apart)))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def errors() -> list[str]:
    """A row for each precision."""
    lines = ["| relative error of | the value | its derivative in t | the gradient of LSD |", "|" + " --- |" * 4]
    for row in measured("error"):
        cells = [f"{row[name]:.1e}" for name in ("value", "derivative", "gradient")]
        lines.append(f"| {row['precision']} | " + " | ".join(cells) + " |")
    inside = next(row["derivative in bf16"] for row in measured("error", precision="bf16"))
    return [*lines, f"| bf16, its derivative too (not offered) | | {inside:.1e} | |"]


def waits() -> list[str]:
    """What a run waits for besides its steps, a line each."""
    lines = [
        f"- {row['recipe']}: the CPU draws a batch of {row['batch']} in {row['ms']:.0f} ms ({row['threads']} threads)."
        for name in NAMES
        for row in measured("loader", recipe=name)
    ]
    rates = {row["precision"]: row["images_s"] for row in measured("inception")}
    return [
        *lines,
        f"- The Inception network takes {rates['fp32']:,} images a second in float32, as `evaluate` computes it.",
        f"  That is {60_000 / rates['fp32']:.0f} s for 60,000. In TF32 it would take {rates['tf32']:,} a second.",
    ]


def written(text: str) -> str:
    """The page with the tables between its marks."""
    for name, lines in (("steps", steps()), ("turns", turns()), ("errors", errors()), ("waits", waits())):
        start, end = f"<!-- gpu:{name} -->\n", f"<!-- /gpu:{name} -->"
        head, rest = text.split(start)
        text = head + start + "".join(f"{line}\n" for line in lines) + end + rest.split(end)[1]
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
