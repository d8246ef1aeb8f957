"""Check what a reader wrote: compare it with the right answer, and if it differs, find the mistake that explains it."""

import contextlib
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowmap_edu.course.asking import UNWRITTEN, Recorded, Result, outcome, raised, result
from flowmap_edu.course.exercise import Answer, Exercise, find, hidden, made
from flowmap_edu.course.grading.wire import Foreign
from flowmap_edu.course.students import student_seed

__all__ = ["CheckError", "check", "graded"]


NOT_HERE = "Not checked here: the right answers are not on this machine."


class CheckError(AssertionError):
    """What was written is not right; the message says in which way. A notebook shows the message alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check(name: str, answer: Answer) -> None:
    """Check an exercise's answer; print one sentence on what it shows, or raise.

    Args:
        name: of the exercise, as in the lesson: "03.1".
        answer: what the reader wrote: a function, or a value.

    Raises:
        CheckError: if it is wrong; the message says in which way, never the answer.
        ValueError: if there is no such exercise.
    """
    if hidden():
        print(NOT_HERE)
        return
    exercise = find(name)
    told(name, exercise, verdict(exercise, answer))
    print(f"{name} is right. {exercise.shown}")


def graded(name: str, answer: Answer, *, student: int | str | None, seeds: Sequence[int] = (0,)) -> None:
    """Check a part of an assignment on the data of one student; print one sentence, or raise.

    Nothing is written to standard error: nbgrader gives a test no points if it does, and a warning is no mistake.

    Args:
        name: of the part: "a1.2".
        answer: what the student wrote: a function, or a value.
        student: the student's number.
        seeds: of the cases that a function is tried on; the hidden tests take others than the visible ones.

    Raises:
        CheckError: if it is wrong; the message says in which way, never the answer.
        ValueError: if there is no such part, or the student's number is not set.
    """
    if hidden():
        print(NOT_HERE)
        return
    number = student_seed(student)
    with warnings.catch_warnings(), contextlib.redirect_stderr(sys.stdout):
        warnings.simplefilter("ignore")
        for seed in seeds:
            exercise = find(name, student=number, seed=seed)
            told(name, exercise, verdict(exercise, answer))
        print(f"{name} is right. {find(name, student=number).shown}")


def told(name: str, exercise: Exercise, wrong: str | None) -> None:
    """Raise CheckError if there is something wrong."""
    if wrong:
        raise CheckError(f"{name} is not right yet. {wrong}\nWanted: {exercise.asks}.")


def verdict(exercise: Exercise, answer: Answer) -> str | None:
    """What is wrong with an answer, or None; the random numbers of the caller stay as they are."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return judged(exercise, answer)


def judged(exercise: Exercise, answer: Answer) -> str | None:
    """What is wrong with an answer, or None."""
    if answer is None or answer is ...:
        return UNWRITTEN
    if exercise.cases is None:
        wrong = None if exercise.right is None else value_judged(exercise, answer)
    elif not (callable(answer) or isinstance(answer, Recorded)):
        return f"A function is wanted, this is {kind(answer)}."
    else:
        wrong = function_judged(exercise, answer)
    if wrong is None and exercise.law is not None:
        wrong = guarded(exercise.law, answer)
    return wrong


def guarded(law: Callable[[Answer], str | None], answer: Answer) -> str | None:
    """What a law says of an answer; if the answer raises, what it raised."""
    try:
        return law(answer)
    except NotImplementedError:
        return UNWRITTEN
    except Exception as error:
        return raised(error)


def value_judged(exercise: Exercise, answer: Answer) -> str | None:
    """What is wrong with an answer that is a value."""
    wrong = difference(answer, exercise.right, exercise.tolerance)
    if wrong is None:
        return None
    for words, mistaken in exercise.mistakes.items():
        if difference(answer, mistaken, exercise.tolerance) is None:
            return words
    return wrong


def function_judged(exercise: Exercise, answer: Callable[..., Any] | Recorded) -> str | None:
    """What is wrong with an answer that is a function: None if it is right on every case."""
    assert exercise.cases is not None
    for number, given in enumerate(exercise.cases()):
        case = made(given)
        mine = answer.outcomes[number] if isinstance(answer, Recorded) else outcome(answer, case, exercise.parameters)
        if isinstance(mine, str):
            return mine
        right = result(exercise.right, case, exercise.parameters)
        wrong = results_differ(mine, right, exercise.tolerance)
        if wrong:
            return explained(exercise, case, mine) or wrong
    return None


def explained(exercise: Exercise, case: tuple[Any, ...], mine: Result) -> str | None:
    """The known mistake that gives what the reader's function gives on a case; None if there is none."""
    for words, mistaken in exercise.mistakes.items():
        try:
            theirs = result(mistaken, case, exercise.parameters)
        except Exception:  # a mistake that cannot be made on this case
            continue
        if results_differ(mine, theirs, exercise.tolerance) is None:
            return words
    return None


def results_differ(mine: Result, right: Result, tolerance: float) -> str | None:
    """In what two results differ, or None."""
    if wrong := difference(mine.value, right.value, tolerance):
        return wrong
    if not right.gradients:
        return None
    found, wanted = (torch.cat([g.flatten() for g in given.gradients]) for given in (mine, right))
    if (found - wanted).abs().max() <= 10 * tolerance * scale(wanted):
        return None
    if not found.any():
        return "The value is right, but no gradient reaches the parameters: too much is detached."
    return "The value is right, its gradient is not: look at what is held fixed (detached) and what is not."


def difference(mine: Any, right: Any, tolerance: float) -> str | None:
    """In what a value differs from the right one, in words; None if it does not."""
    if mine is None:
        return "It returns None: is there a `return`?"
    if isinstance(right, (tuple, list)):
        if not isinstance(mine, (tuple, list)) or len(mine) != len(right):
            return f"{len(right)} values are wanted, this is {kind(mine)}."
        parts = [difference(m, r, tolerance) for m, r in zip(mine, right, strict=True)]
        return next((f"Value {k} of {len(right)}: {words}" for k, words in enumerate(parts, 1) if words), None)
    if isinstance(right, (str, bool)):
        same = type(mine) is type(right) and str(mine).strip().lower() == str(right).lower()
        return None if same else f"{mine!r} is not it."
    if isinstance(right, Tensor):
        return tensor_difference(mine, right, tolerance)
    try:
        number = float(mine)
    except (TypeError, ValueError, RuntimeError):
        return f"A number is wanted, this is {kind(mine)}."
    return number_difference(number, float(right), tolerance)


def number_difference(mine: float, right: float, tolerance: float) -> str | None:
    """In what a number differs from the right one."""
    if abs(mine - right) <= tolerance * max(abs(right), 1e-12):
        return None
    if right and abs(mine + right) <= tolerance * abs(right):
        return "The sign is reversed."
    return f"{mine:.6g} is not the number."


def tensor_difference(mine: Any, right: Tensor, tolerance: float) -> str | None:
    """In what a tensor differs from the right one: kind, shape, dtype, finiteness, sign, factor, value."""
    if not isinstance(mine, Tensor):
        return f"A tensor is wanted, this is {kind(mine)}."
    if mine.shape != right.shape:
        return shape_difference(mine, right)
    if not torch.isfinite(mine).all():
        return "It has entries that are not finite (NaN or infinity)."
    found, wanted = mine.detach().double(), right.detach().double()
    room = tolerance * scale(wanted)
    if not mine.numel() or (found - wanted).abs().max() <= room:
        return None
    if (found + wanted).abs().max() <= room:
        return "The sign is reversed."
    factor = float((found * wanted).sum() / wanted.square().sum().clamp_min(1e-300))
    if factor and (found - factor * wanted).abs().max() <= room * max(abs(factor), 1e-6):
        return f"It is {factor:.3g} times what is wanted, everywhere: a factor, or a mean where a sum is meant."
    off = int(((found - wanted).abs() > room).reshape(len(found) if found.ndim else 1, -1).any(1).sum())
    share = f"in {off} of {len(found)} samples" if found.ndim and len(found) > off else "in every sample"
    if mine.dtype == torch.float32 and (found - wanted).abs().max() <= 1e-4 * scale(wanted):
        return "It is right to single precision only: somewhere float64 is turned into float32."
    return f"The value is wrong {share}, by up to {float((found - wanted).abs().max()):.3g}."


def shape_difference(mine: Tensor, right: Tensor) -> str:
    """What a wrong shape says of a mistake."""
    came, wanted = tuple(mine.shape), tuple(right.shape)
    words = f"The shape is {came}, wanted is {wanted}."
    if wanted and came == (wanted[0], *wanted):
        return words + " Times of shape (B,) met points of shape (B, ...): t[:, None] puts the axis in its place."
    if len(came) == 2 and len(wanted) == 1 and came == (wanted[0], wanted[0]):
        return words + " A shape (B,) met a shape (B, 1), and every sample met every other one."
    if wanted and not came:
        return words + " One value a sample is wanted, not the mean or sum over the batch."
    if len(came) == len(wanted) + 1 and came[: len(wanted)] == wanted:
        return words + " The entries of a sample are still to be summed."
    return words


def scale(x: Tensor) -> float:
    """The root mean square of a tensor, or one where that is zero."""
    return float(x.detach().double().square().mean().sqrt()) or 1.0 if x.numel() else 1.0


def kind(value: object) -> str:
    """What a message says of a value."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Foreign):
        return value.words
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}" if not callable(value) else "a function"
