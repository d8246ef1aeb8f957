"""Grade sixty submissions of assignment 1 and print the time: python tests/grading_sixty.py [--twice].

Every hostile submission is among them: its cell stands before the solutions, or in the empty form. The others have the
solutions, or lack one of them. The points of each are known beforehand. With --twice they are graded again, one at a
time and in another order, and the grades must be the same.
"""

import csv
import sys
import tempfile
import time
from pathlib import Path

from hostile import HOSTILE

from flowmap_edu import cli
from flowmap_edu.course.assignment import load
from flowmap_edu.course.grading.sandbox import PACKAGE
from flowmap_edu.course.notebook import Cell, notebook

COUNT = 60
POINTS = {
    "a1-2-answer": 2,
    "a1-3-answer": 8,
    "a1-4-answer": 2,
    "a1-5-answer": 2,
}  # parts 4 and 5 use the cell of part 3


def cells_of(number: int, cells: list[Cell], without: str = "", harm: str = "") -> list[Cell]:
    """An assignment's cells for a student's number: one answer left out, or a hostile cell put in."""
    found = [Cell(c.code, f"STUDENT = {number}", c.mark) if c.id == "a1-student" else c for c in cells]
    found = [c for c in found if not without or c.id != without]
    return [*found[:3], Cell(True, harm), *found[3:]] if harm else found


def class_of_sixty(folder: Path) -> dict[str, float]:
    """Write the submissions; the points that each is worth."""
    assignment = load("a1")
    whole, form = list(assignment.cells), assignment.form()
    places = {"{here}": str(folder), "{package}": str(PACKAGE)}
    found: dict[str, tuple[list[Cell], float]] = {}
    for number, (name, hostile) in enumerate(HOSTILE.items()):
        code = hostile.code
        for mark, place in places.items():
            code = code.replace(mark, place)
        cells, points = (form, 0) if number % 2 else (whole, 10)
        found[name] = (cells_of(1000 + number, cells, harm=code), points)
    for number in range(COUNT - len(found)):
        without = ["", *POINTS][number % 5]
        found[f"student-{number}"] = (cells_of(2000 + number, whole, without), 10 - POINTS.get(without, 0))
    for name, (cells, _) in found.items():
        (folder / f"{name}.ipynb").write_text(notebook(cells), encoding="utf-8")
    return {name: points for name, (_, points) in found.items()}


def graded(folder: Path, to: Path, *more: str) -> dict[str, tuple[float, str]]:
    """Points and remarks by student."""
    words = ["grade", str(folder), "--assignment", "a1", "--out", f"{to}.csv", "--report", str(to), "--seconds", "20"]
    begun = time.monotonic()
    assert cli.main([*words, "--memory", "2048", *more]) == 0
    print(f"{COUNT} submissions in {time.monotonic() - begun:.0f} s ({' '.join(more)})")
    with Path(f"{to}.csv").open(newline="", encoding="utf-8") as file:
        return {row["student"]: (float(row["points"]), row["remarks"]) for row in csv.DictReader(file)}


def main() -> int:
    """Grade; 1 if a submission did not get what it is worth, or got something else the second time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        wanted = class_of_sixty(folder)
        once = graded(folder, Path(name) / "report", "--jobs", "2")
        wrong = {s: (points, once[s]) for s, points in wanted.items() if once[s][0] != points}
        print(f"{len(wrong)} with other points than they are worth: {wrong}")
        if "--twice" in sys.argv:
            again = Path(name) / "again"
            again.mkdir()
            for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
                (again / f"{number:02}-{path.name}").write_bytes(path.read_bytes())
            twice = {s[3:]: g for s, g in graded(again, Path(name) / "second", "--jobs", "1").items()}
            changed = {s: (once[s][0], twice[s][0]) for s in once if once[s][0] != twice[s][0]}
            print(f"{len(changed)} with other points the second time: {changed}")
            wrong |= changed
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
