"""A leaderboard of trained maps: each student's run folder is loaded, measured by the problem, and placed.

A submission is a folder with config.json and map.safetensors, as `flowmap_edu.save` writes them, in the student's own
folder. No code of it is run: the network has to be one of this library's, and the weights are numbers. What cannot be
placed is named with the reason.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmap_edu import _checks as checks
from flowmap_edu.course.grading.reports import harmless
from flowmap_edu.problems import Checkerboard, Problem
from flowmap_edu.training import load
from flowmap_edu.training.reading import read_metadata

__all__ = ["Entry", "leaderboard", "table"]

LARGEST = {"config.json": 10**5, "map.safetensors": 8 * 10**6, "tensors.safetensors": 8 * 10**6}  # bytes
TAKEN = {"flowmap_edu.nets:MLP", "flowmap_edu.nets:UNet", "flowmap_edu.interpolant:Linear"}
TAKEN |= {"flowmap_edu.interpolant:Trigonometric"}
SLACK = 1.1  # a training that is planned for a time ends a little later


@dataclass(frozen=True)
class Entry:
    """One student's line: the score, lower is better (None: not placed), the training's CPU seconds, and a remark."""

    student: str
    score: float | None
    seconds: float | None = None
    remark: str = ""
    digest: str = ""


def leaderboard(
    submissions: str | Path,
    problem: Problem | None = None,
    *,
    by: str = "kl64",
    steps: int = 1,
    n: int | None = 200_000,
    minutes: float = 1.0,
) -> list[Entry]:
    """The students' maps in the order of their scores; those that are not placed come last, by name.

    Args:
        submissions: a folder with a folder for each student.
        problem: what the maps are measured on, by its own `evaluate`; None: the checkerboard.
        by: the number in the rows of `evaluate` that is the score; lower is better.
        steps: evaluations of the network for one sample.
        n: how many samples are drawn; None: the problem's own number.
        minutes: the CPU time that a training may take; a tenth more is let pass.

    Raises:
        ValueError: if there is no such folder, it holds no folder, or a number is out of its range.
    """
    folder, problem = Path(submissions).expanduser(), problem or Checkerboard()
    checks.positive("minutes", minutes)
    steps = checks.count("steps", steps)
    students = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._") if folder.is_dir() else []
    if not students:
        raise ValueError(f"submissions must be a folder with a folder for each student, got {str(submissions)!r}")
    entries = [entry(student, problem, by, steps, n, minutes) for student in students]
    entries = [copied(one, entries) for one in entries]
    return sorted(entries, key=lambda one: (one.score is None, one.score or 0.0, one.student))


def entry(folder: Path, problem: Problem, by: str, steps: int, n: int | None, minutes: float) -> Entry:
    """A student's line; whatever the folder holds."""
    try:
        run = run_folder(folder)
        digest = hashlib.sha256((run / "map.safetensors").read_bytes()).hexdigest()
        info = read_metadata(run)
    except (ValueError, OSError) as error:
        return Entry(folder.name, None, remark=said(error, folder))
    seconds = float(info.header["cpu_seconds"])
    try:
        if info.shape != tuple(problem.shape):
            raise ValueError(f"the map is for samples of shape {info.shape}, the problem has {tuple(problem.shape)}")
        rows = problem.evaluate(load(run), steps=(steps,), n=n)
        score = scored(rows, by)
    except Exception as error:  # a network that is asked for what it cannot do raises many kinds
        return Entry(folder.name, None, seconds, said(error, folder), digest)
    if seconds > SLACK * 60 * minutes:
        words = f"trained for {seconds:.0f} CPU seconds, {60 * minutes:.0f} are allowed; its score is {score:.4g}"
        return Entry(folder.name, None, seconds, words, digest)
    return Entry(folder.name, score, seconds, digest=digest)


def run_folder(folder: Path) -> Path:
    """The folder with the map, in a student's folder; looked at before any of it is read as a map.

    Raises:
        ValueError: if there is none or more than one, a file is a link or too large, or config.json names other code
            than this library's networks and paths.
    """
    found = sorted(path.parent for path in folder.rglob("config.json"))
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} folders with a config.json; one is wanted")
    for name, largest in LARGEST.items():
        path = found[0] / name
        if name == "tensors.safetensors" and not (path.is_symlink() or path.exists()):
            continue
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{name} is {'a link' if path.is_symlink() else 'missing'}; a file is wanted")
        if path.stat().st_size > largest:
            raise ValueError(f"{name} has {path.stat().st_size} bytes, at most {largest} are allowed")
    try:
        content = json.loads((found[0] / "config.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"config.json is no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != 2:
        raise ValueError("config.json is not that of a run: save the state by flowmap_edu.save")
    for key in ("network", "method", "training"):
        for reference in references(content.get(key)):
            if reference not in TAKEN:
                raise ValueError(f"{key} names {reference!r}, which is not run: only {', '.join(sorted(TAKEN))} are")
    return found[0]


def references(content: Any) -> Iterator[Any]:
    """All that a part of config.json would import."""
    if isinstance(content, Mapping):
        if "import" in content:
            yield content["import"]
        for inner in content.values():
            yield from references(inner)
    elif isinstance(content, list):
        for inner in content:
            yield from references(inner)


def scored(rows: Sequence[Mapping[str, Any]], by: str) -> float:
    """The score in the problem's rows.

    Raises:
        ValueError: if it is not there, or no finite number.
    """
    if not rows or by not in rows[0]:
        raise ValueError(f"the problem's evaluate gives {', '.join(rows[0]) if rows else 'no rows'}, not {by!r}")
    score = rows[0][by]
    if not isinstance(score, (int, float)) or not math.isfinite(score):
        raise ValueError(f"{by} is {score}, no finite number")
    return float(score)


def copied(one: Entry, entries: Sequence[Entry]) -> Entry:
    """The line, with the names of those who handed in the same file."""
    same = [other.student for other in entries if one.digest and other.digest == one.digest and other is not one]
    if not same:
        return one
    remark = "; ".join(words for words in (one.remark, f"the same file as {', '.join(same)}") if words)
    return Entry(one.student, one.score, one.seconds, remark, one.digest)


def said(error: Exception, folder: Path) -> str:
    """What an error says, on one line, without the folder's place."""
    return " ".join(str(error).replace(f"{folder.parent}/", "").split())[:200] or type(error).__name__


def table(entries: Sequence[Entry], by: str = "kl64") -> str:
    """The lines as CSV: place, student, score, CPU seconds, remark. Equal scores share a place."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["place", "student", by, "cpu_seconds", "remark"])
    scores = [one.score for one in entries if one.score is not None]
    for one in entries:
        place = "" if one.score is None else 1 + sum(score < one.score for score in scores)
        score = "" if one.score is None else f"{one.score:.4f}"
        seconds = "" if one.seconds is None else f"{one.seconds:.0f}"
        writer.writerow([place, harmless(one.student), score, seconds, harmless(one.remark)])
    return out.getvalue()
