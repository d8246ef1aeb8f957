"""Submissions of every assignment, right and wrong ones, that nbgrader and `flowmap-edu grade` must grade alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flowmap_edu.course import student_seed
from flowmap_edu.course.assignment import Assignment
from flowmap_edu.course.given.drawn_method import NAMES
from flowmap_edu.course.notebook import Cell

NUMBER = "STUDENT = 1234567"  # in every solution


@dataclass(frozen=True)
class Wrong:
    """What a student changed in the solutions of a cell, and the parts that this costs, such as "3 6"."""

    cell: str
    old: str
    new: str
    costs: str


WRONG = {
    "a1": {
        "slope": Wrong("a1-2-answer", "math.pi / 2 * (a * x1", "(a * x1", "2"),
        "broadcast": Wrong("a1-3-answer", "(1 - t)[:, None]", "(1 - t).mean()", "3"),
        "name": Wrong("a1-4-answer", "upper_right =", "upper_left =", "4"),
        "constant": Wrong("a1-5-answer", "float(rest.square().sum() / moves.square().sum())", "0.5", "5"),
    },
    "a2": {
        "sign": Wrong("a2-2-answer", "X(s, t, x) - x", "x - X(s, t, x)", "2"),
        "from-s": Wrong("a2-3-answer", "X(s, end, x), (t,)", "X(end, t, x), (s,)", "3"),
        "no-mean": Wrong("a2-4-answer", "return m +", "return", "4"),
        "syntax": Wrong("a2-5-answer", "print(h, limit)", "print(h, limit", "5"),
    },
    "a3": {
        "at-x": Wrong("a3-3-answer", "velocity(X, t, landed)", "velocity(X, t, x)", "3 6 7"),
        "order": Wrong("a3-5-answer", "X(u, t, X(s, u, x))", "X(s, u, X(u, t, x))", "5 6"),
        "list": Wrong("a3-6-answer", "### END SOLUTION", "flow_maps = list(flow_maps)\n### END SOLUTION", "6"),
        "mean": Wrong("a3-7-answer", ".sum(dim=1).mean()", ".mean()", "7"),
    },
    "a4": {
        "half": Wrong("a4-2-answer", "return 2 * r", "return r", "2 6"),
        "free": Wrong("a4-3-answer", ".detach()).detach()", ")", "3"),
        "pushed": Wrong("a4-4-answer", "pushed.detach()", "pushed", "4"),
        "batch": Wrong("a4-5-answer", ".square().sum(dim=1)", ".square().mean()", "5"),
    },
    "a5": {
        "held": Wrong("a5-2-answer", "sg=torch.detach", "sg=lambda target: target", "2"),
        "one-row": Wrong("a5-3-answer", "[METHOD]", '["mean flow"]', "3 4"),
        "points": Wrong("a5-4-answer", "(1 - s)[:, None] * x0", "(1 - t)[:, None] * x0", "4"),
        "product": Wrong("a5-5-answer", "held @ full /", "held @ full *", "5"),
    },
    "a6": {
        "halves": Wrong("a6-2-answer", "count + 0.5", "count", "2"),
        "two-logs": Wrong("a6-2-answer", ".log()", ".log2()", "2"),
        "black": Wrong("a6-2-answer", "1 - float(count[white].sum()) / n", "float(count[~white].sum()) / n", "2"),
        "one": Wrong("a6-2-answer", "return float(kl), 1 -", "return float(kl) - 1 +", "2"),
    },
}


def answered(assignment: Assignment, number: int, wrong: Iterable[Wrong] = ()) -> list[Cell]:
    """The solutions for a student's number, with some of them changed."""
    found = {k: cell.text.replace(NUMBER, f"STUDENT = {number}") for k, cell in enumerate(assignment.cells)}
    for one in wrong:
        (place,) = [k for k, cell in enumerate(assignment.cells) if cell.id == one.cell]
        assert one.old in found[place], one
        found[place] = found[place].replace(one.old, one.new)
    return [Cell(cell.code, found[k], cell.mark) for k, cell in enumerate(assignment.cells)]


def tampered(assignment: Assignment) -> list[Cell]:
    """The solutions, with the first test changed, the last one lost, and a cell that raises."""
    tests = [part.id for part in assignment.parts if part.answer is not None]
    cells = answered(assignment, 1234567)
    if len(tests) > 1:
        cells = [cell for cell in cells if cell.id != tests[-1]]
    changed = [Cell(True, "print('all right')", c.mark) if c.id == tests[0] else c for c in cells]
    return [*changed[:3], Cell(True, "1 / 0"), *changed[3:]]


def submissions(assignment: Assignment) -> Iterator[tuple[str, list[Cell], float]]:
    """A student, the cells that are handed in, and the points that they are worth."""
    points = {part.name: part.points for part in assignment.parts if part.answer is not None}
    whole, form = sum(points.values()), assignment.form()
    yield "form", form, 0
    numbered = [Cell(c.code, "STUDENT = 5", c.mark) if c.id.endswith("-student") else c for c in form]
    yield "form-with-number", numbered, 0
    numbers = [1234567]
    if assignment.number == "a5":
        numbers = [next(n for n in range(100) if NAMES[student_seed(n) % 3] == name) for name in NAMES]
    for number in numbers:
        yield f"right-{number}", answered(assignment, number), whole
    for k in (0, 1):
        wrong = dict([*WRONG[assignment.number].items()][k::2])
        lost = {f"{assignment.number}.{part}" for one in wrong.values() for part in one.costs.split()}
        worth = sum(value for name, value in points.items() if name not in lost)
        yield "-and-".join(wrong), answered(assignment, numbers[-1], wrong.values()), worth
    yield "tampered", tampered(assignment), whole
