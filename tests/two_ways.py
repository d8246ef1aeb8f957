"""Submissions of every assignment, right and wrong ones, that nbgrader and `flowmap-edu grade` must grade alike."""

from collections.abc import Iterator
from dataclasses import dataclass

from flowmap_edu.course import student_seed
from flowmap_edu.course.assignment import Assignment
from flowmap_edu.course.given.drawn_method import NAMES
from flowmap_edu.course.notebook import Cell

NUMBER = "STUDENT = 1234567"  # in every solution


@dataclass(frozen=True)
class Wrong:
    """What a student changed in the solutions of a cell, and the points that this costs."""

    cell: str
    old: str
    new: str
    costs: float


WRONG = {
    "a1": {
        "slope": Wrong("a1-2-answer", "math.pi / 2 * (a * x1", "(a * x1", 2),
        "broadcast": Wrong(
            "a1-3-answer", "(1 - t)[:, None]", "(1 - t).mean()", 4
        ),  # parts 4 and 5 have one time
        "name": Wrong("a1-4-answer", "upper_right =", "upper_left =", 2),
        "constant": Wrong("a1-5-answer", "float(rest.square().sum() / moves.square().sum())", "0.5", 2),
    },
    "a2": {
        "sign": Wrong("a2-2-answer", "X(s, t, x) - x", "x - X(s, t, x)", 2),
        "from-s": Wrong("a2-3-answer", "X(s, end, x), (t,)", "X(end, t, x), (s,)", 3),
        "no-mean": Wrong("a2-4-answer", "return m +", "return", 3),  # the limit does not see m
        "syntax": Wrong("a2-5-answer", "print(h, limit)", "print(h, limit", 2),
    },
    "a3": {
        "at-x": Wrong("a3-3-answer", "velocity(X, t, landed)", "velocity(X, t, x)", 6),  # and parts 6 and 7
        "order": Wrong("a3-5-answer", "X(u, t, X(s, u, x))", "X(s, u, X(u, t, x))", 4),  # and part 6, which uses it
        "list": Wrong("a3-6-answer", "### END SOLUTION", "flow_maps = list(flow_maps)\n### END SOLUTION", 2),
        "mean": Wrong("a3-7-answer", ".sum(dim=1).mean()", ".mean()", 2),
    },
    "a4": {
        "half": Wrong("a4-2-answer", "return 2 * r", "return r", 5),  # and the cosine of part 6
        "free": Wrong("a4-3-answer", ".detach()).detach()", ")", 3),
        "pushed": Wrong("a4-4-answer", "pushed.detach()", "pushed", 3),
        "batch": Wrong("a4-5-answer", ".square().sum(dim=1)", ".square().mean()", 3),
    },
    "a5": {
        "held": Wrong("a5-2-answer", "sg=torch.detach", "sg=lambda target: target", 4),
        "one-row": Wrong("a5-3-answer", "[METHOD]", '["mean flow"]', 5),  # part 4 uses the row
        "points": Wrong("a5-4-answer", "(1 - s)[:, None] * x0", "(1 - t)[:, None] * x0", 3),
        "product": Wrong("a5-5-answer", "held @ full /", "held @ full *", 2),
    },
    "a6": {
        "halves": Wrong("a6-2-answer", "count + 0.5", "count", 3),
        "two-logs": Wrong("a6-2-answer", ".log()", ".log2()", 3),
        "black": Wrong("a6-2-answer", "1 - float(count[white].sum()) / n", "float(count[~white].sum()) / n", 3),
        "one": Wrong("a6-2-answer", "return float(kl), 1 -", "return float(kl) - 1 +", 3),
    },
}


def answered(assignment: Assignment, number: int, wrong: Wrong | None = None) -> list[Cell]:
    """The solutions for a student's number, with one of them changed."""
    found = [Cell(c.code, c.text.replace(NUMBER, f"STUDENT = {number}"), c.mark) for c in assignment.cells]
    if wrong is None:
        return found
    (place,) = [k for k, cell in enumerate(found) if cell.id == wrong.cell]
    assert wrong.old in found[place].text, wrong
    found[place] = Cell(True, found[place].text.replace(wrong.old, wrong.new), found[place].mark)
    return found


def with_number(form: list[Cell]) -> list[Cell]:
    """An empty form with the number set."""
    return [Cell(c.code, "STUDENT = 5", c.mark) if c.id.endswith("-student") else c for c in form]


def submissions(assignment: Assignment) -> Iterator[tuple[str, list[Cell], float]]:
    """A student, the cells that are handed in, and the points that they are worth."""
    whole = sum(part.points for part in assignment.parts if part.answer is not None)
    form = assignment.form()
    yield "form", form, 0
    yield "form-with-number", with_number(form), 0
    numbers = [next(n for n in range(100) if NAMES[student_seed(n) % 3] == name) for name in NAMES]
    for number in numbers if assignment.number == "a5" else (1234567,):
        yield f"right-{number}", answered(assignment, number), whole
    for name, wrong in WRONG[assignment.number].items():
        number = numbers[2] if assignment.number == "a5" else 1234567
        yield name, answered(assignment, number, wrong), whole - wrong.costs
    test = next(part.id for part in assignment.parts if part.answer is not None)
    cells = answered(assignment, 1234567)
    changed = [Cell(True, "print('all right')", c.mark) if c.id == test else c for c in cells]
    yield "changes-a-test", changed, whole
    yield "raises", [*cells[:3], Cell(True, "1 / 0"), *cells[3:]], whole
    yield "loses-a-test", [cell for cell in cells if cell.id != test], whole
