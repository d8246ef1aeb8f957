"""What an exercise is: the right answer, the cases on which it is asked, and the mistakes that are known."""

import importlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Answer = Any  # a function, a number, a tensor, a list: what the reader wrote


@dataclass(frozen=True)
class Exercise:
    """One thing that a reader writes.

    A function is called on every case and compared with `right`: its kind, shape, type and value, and with
    `parameters` also the gradient of its sum. Where it differs, each mistake is tried in the same way: the first
    that gives what the reader's function gives is what the reader is told.

    Attributes:
        asks: what is to be written, in a line: "the Lagrangian residual, shape (B, 2)".
        shown: the sentence that is said when the answer is right: what has now been shown.
        right: the answer, written independently of the lesson; a function, or the value itself.
        cases: returns the arguments of each call, a tuple a case; made anew for every check, from fixed seeds. Empty
            for an answer that is a value.
        mistakes: a sentence that says what is wrong, without the answer; and the answer with that mistake.
        parameters: of a case, the tensors whose gradients must agree too; None: values alone.
        tolerance: of the largest difference, relative to the root mean square of the right answer.
        law: a last test of the answer itself: None if it holds, else a sentence that says what is wrong.
    """

    asks: str
    shown: str
    right: Answer = None
    cases: Callable[[], Iterable[tuple[Any, ...]]] | None = None
    mistakes: Mapping[str, Answer] = field(default_factory=dict[str, Answer])
    parameters: Callable[..., Iterable[Tensor]] | None = None
    tolerance: float = 1e-6
    law: Callable[[Answer], str | None] | None = None


@dataclass(frozen=True)
class Made:
    """An argument that no file can hold, such as a map: the function that makes it, and its keywords.

    So a grader can make it in another process. The function lies outside `exercises/`, which is hidden there.
    """

    make: Callable[..., Any]
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any])


def made(case: tuple[Any, ...]) -> tuple[Any, ...]:
    """A case whose arguments are all there."""
    return tuple(a.make(**a.keywords) if isinstance(a, Made) else a for a in case)


def find(name: str, *, student: int = 0, seed: int = 0) -> Exercise:
    """The exercise of a name "LESSON.NUMBER", such as "03.1", or of an assignment's part, such as "a1.2".

    Args:
        name: as in the lesson.
        student: assignments: the seed of the student's own data.
        seed: assignments: of the cases.

    Raises:
        ValueError: if there is none of that name.
    """
    lesson = name.partition(".")[0] if isinstance(name, str) else ""
    try:
        known = exercises(lesson, student=student, seed=seed)
    except ModuleNotFoundError:
        raise ValueError(f'an exercise is named as in the lesson, such as "03.1"; got {name!r}') from None
    if name not in known:
        raise ValueError(f"lesson {lesson} has the exercises {', '.join(known)}; got {name!r}")
    return known[name]


def exercises(lesson: str, *, student: int = 0, seed: int = 0) -> dict[str, Exercise]:
    """The exercises of a lesson, such as "03", or of an assignment, such as "a1", by name.

    Raises:
        ModuleNotFoundError: if there are none.
    """
    if re.fullmatch(r"a\d+", lesson):
        module = importlib.import_module(f"flowmap_edu.course.exercises.assignment_{lesson[1:]}")
        return module.exercises(student, seed)
    return importlib.import_module(f"flowmap_edu.course.exercises.lesson_{lesson}").EXERCISES


def hidden() -> bool:
    """Whether this process runs a submission for `flowmap-edu grade`: the right answers are elsewhere."""
    return "FLOWMAP_EDU_GRADING" in os.environ
