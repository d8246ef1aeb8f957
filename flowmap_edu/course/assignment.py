"""An assignment: one percent source with solutions, nbgrader's metadata and nbgrader's marks.

The cells that count have a grade_id. Those with "grade": true are the parts; the part "a1.2" has the grade_id "a1-2":

- a test, "solution": false: its code calls `course.graded("a1.2", answer, student=STUDENT)`. What stands for `answer`
  there is what is graded.
- a text, "solution": true: it is graded by hand. In the source it holds the model answer and the rubric.

The exercises are in `exercises/assignment_1.py`, which has a function `exercises(student, seed)`.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from flowmap_edu.course import exercise
from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.forms import doing
from flowmap_edu.course.handing_out import lessons_folder
from flowmap_edu.course.notebook import Cell, read_cells

__all__ = ["Assignment", "Part", "assignments", "load"]

HIDDEN = re.compile(r"^ *### BEGIN HIDDEN TESTS\n.*?^ *### END HIDDEN TESTS\n?", re.MULTILINE | re.DOTALL)
STUB = 'raise NotImplementedError("write this")'
LINES = re.compile(r"  # about \d+ lines?$", re.MULTILINE)  # nbgrader's stub says no number of lines
BY_HAND = "YOUR ANSWER HERE"


@dataclass(frozen=True)
class Part:
    """One part of an assignment: its name, such as "a1.2", its points, and what is graded (None: by hand)."""

    name: str
    points: float
    answer: str | None

    @property
    def id(self) -> str:
        """nbgrader's grade_id of it."""
        return self.name.replace(".", "-")


@dataclass(frozen=True)
class Assignment:
    """An assignment: its name, such as "a1_interpolants", its cells, and its exercises for a student and a seed."""

    name: str
    cells: tuple[Cell, ...]
    exercises: Callable[[int, int], dict[str, Exercise]]

    @property
    def number(self) -> str:
        """What its parts' names begin with: "a1"."""
        return self.name.partition("_")[0]

    @property
    def parts(self) -> list[Part]:
        """Its parts, in order.

        Raises:
            ValueError: if a cell with points is not in the format.
        """
        return [part_of(cell, self.number) for cell in self.cells if cell.mark.get("grade")]

    def form(self) -> list[Cell]:
        """The cells as a student gets them: no solution, no hidden test, no model answer."""
        return [student_cell(cell) for cell in self.cells]


def part_of(cell: Cell, number: str) -> Part:
    """The part that a cell with points is."""
    name, points = cell.id.replace("-", ".", 1), cell.mark.get("points")
    if not re.fullmatch(rf"{number}\.\w+", name) or not isinstance(points, (int, float)):
        raise ValueError(f"a cell with points needs a grade_id such as {number}-2 and points; got {dict(cell.mark)}")
    if cell.mark.get("solution"):
        return Part(name, points, None)
    calls = [node for node in ast.walk(ast.parse(cell.text)) if isinstance(node, ast.Call) and len(node.args) == 2]
    for call in calls:
        if ast.unparse(call.func) == "course.graded" and ast.unparse(call.args[0]) == repr(name):
            return Part(name, points, ast.unparse(call.args[1]))
    raise ValueError(f'the cell {cell.id} must call course.graded("{name}", answer, student=STUDENT)')


def student_cell(cell: Cell) -> Cell:
    """A cell without its solution and its hidden tests."""
    if cell.mark.get("grade") and cell.mark.get("solution"):
        return replace(cell, text=BY_HAND)
    text = HIDDEN.sub("", cell.text)
    return replace(cell, text=LINES.sub("", doing(text) if cell.code else text).rstrip("\n"))


def folder() -> Path:
    """The folder with the assignments' sources."""
    return lessons_folder() / "assignments"


def assignments() -> list[str]:
    """The names of all assignments, in order."""
    return sorted(path.stem for path in folder().glob("a[0-9]*_*.py"))


def load(name: str) -> Assignment:
    """The assignment of a name, "a1_interpolants" or "a1" for short.

    Raises:
        ValueError: if there is none.
    """
    known = assignments()
    found = [full for full in known if name in (full, full.partition("_")[0])]
    if len(found) != 1:
        raise ValueError(f"the assignments are {', '.join(known)}; got {name!r}")
    path = folder() / f"{found[0]}.py"
    number = found[0].partition("_")[0]
    return Assignment(found[0], tuple(read_cells(path.name, path.read_bytes())), partial(made_for, number))


def made_for(number: str, student: int, seed: int) -> dict[str, Exercise]:
    """The exercises of an assignment for a student, on the cases of a seed."""
    return exercise.exercises(number, student=student, seed=seed)


def restored(given: Iterable[Cell], source: Assignment) -> Iterator[Cell]:
    """A student's cells, with the locked ones as they were handed out; those that are missing come last."""
    locked = {cell.id: cell for cell in source.form() if cell.mark.get("locked") and cell.id}
    for cell in given:
        yield locked.pop(cell.id, cell)
    yield from locked.values()
