"""Functions whose arguments are maps and whose gradients count: asked in one process, judged in another."""

import pytest
import torch
from hostile import TINY, answer, part, submitted

from flowmap_edu.course.assignment import Assignment
from flowmap_edu.course.exercise import Exercise, Made
from flowmap_edu.course.exercises.cases import curved, parameters, points, times
from flowmap_edu.course.grading.grading import RIGHT, Grader, part_step
from flowmap_edu.course.grading.process import Limits
from flowmap_edu.course.grading.sandbox import find_sandbox
from flowmap_edu.course.grading.wire import decode, encode

LIMITS = Limits(seconds=120.0, memory=2048, files=10)


def loss(X, s, t, x):
    """|v_{s,t}(x) - v_{s,s}(x)|^2 with the second term held."""
    return (X.v(s, t, x) - X.velocity(s, x).detach()).square().sum(1)


def free(X, s, t, x):
    """The same with both terms free."""
    return (X.v(s, t, x) - X.velocity(s, x)).square().sum(1)


def maps(_student: int, seed: int) -> dict[str, Exercise]:
    """Five parts with one right answer, each answered in another way below."""
    s, t = times(5, seed=seed)
    one = Exercise(
        asks="a loss whose target is held", shown="s", right=loss, parameters=parameters,
        cases=lambda: [(Made(curved, {"seed": seed % 1000}), s, t, points(5, seed=seed))],
        mistakes={"The target still carries a gradient.": free},
    )  # fmt: skip
    return {f"a9.{k}": one for k in range(1, 7)}


CODE = """
import torch
def right(X, s, t, x):
    return ((X.v(s, t, x) - X.velocity(s, x).detach())**2).sum(1)
def free(X, s, t, x):
    return ((X.v(s, t, x) - X.velocity(s, x))**2).sum(1)
def held(X, s, t, x):
    return right(X, s, t, x).detach()
SEEN = []
def learnt(X, s, t, x):
    SEEN.append(x.clone())
    return right(X, s, t, x) if len(SEEN) == 1 else torch.zeros(5, dtype=torch.float64)
def changes(X, s, t, x):
    return right(X, s, t, x.add_(1))
ANSWERS = right, free, held, learnt, changes, 3.0
"""
SAID = (
    RIGHT, "The target still carries a gradient.", "no gradient reaches the parameters",
    "The value is wrong in every sample",
    "changes its argument number 4 in place", "A function is wanted, this is a float.",
)  # fmt: skip


def test_maps_go_there_and_values_and_gradients_come_back():
    """Right on the visible cases alone is not enough; each mistake is told as in the notebook."""
    cells = [answer("a9-student", "STUDENT = 5"), answer("a9-1-answer", CODE)]
    cells += [part(f"a9-{k}", f"ANSWERS[{k - 1}]") for k in range(1, 7)]
    assignment = Assignment("a9_maps", tuple(cells), maps)
    grade = Grader(assignment, find_sandbox(), LIMITS).grade(submitted("ada", CODE, assignment))
    assert list(grade.points.values()) == [1, 0, 0, 0, 0, 0]
    for words, said in zip(grade.words.values(), SAID, strict=True):
        assert said in words
    assert grade.remarks == []


def test_a_case_that_cannot_be_sent_is_an_error():
    """It is the assignment's mistake, not a student's."""
    one = Exercise(asks="x", shown="s", right=len, cases=lambda: [(torch.nn.Identity(),)])
    with pytest.raises(ValueError, match=r"a case of a9.1 cannot be sent: use tensors"):
        part_step(TINY.parts[0], [{"a9.1": one}])


@pytest.mark.parametrize(
    "value", [torch.arange(6).reshape(2, 3), torch.tensor([1.0, float("nan")]), torch.tensor(True), torch.rand(3, 2).T]
)
def test_a_tensor_arrives_as_it_was(value):
    """Type, shape and every bit; a subclass does not."""
    sent = decode(encode(value))
    assert sent.dtype == value.dtype
    assert torch.equal(sent, value) or torch.equal(sent.isnan(), value.isnan())
    assert type(decode(encode(torch.nn.Parameter(value.double())))) is torch.Tensor


@pytest.mark.parametrize(
    ("text", "words"), [("1 / 0", "It raises ZeroDivisionError"), ("endless()", "It takes too long")]
)
def test_an_answer_that_fails_costs_its_own_points(text, words):
    """What comes before and after it counts."""
    cells = (*TINY.cells[:2], part("a9-1", text), *TINY.cells[3:])
    failing = Assignment("a9_failing", cells, TINY.exercises)
    code = "def endless():\n    while True: pass"
    grade = Grader(failing, find_sandbox(), Limits(2.0, 2048, 10)).grade(submitted("ada", code, failing))
    assert grade.points == {"a9.1": 0, "a9.2": 1}
    assert words in grade.words["a9.1"]
