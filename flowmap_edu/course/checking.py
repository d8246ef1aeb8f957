"""Check what a reader wrote: compare it with the right answer, and if it differs, find the mistake that explains it."""

import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowmap_edu.course.exercise import Answer, Exercise, find

__all__ = ["CheckError", "check"]

UNWRITTEN = "It is not written yet. The cell above says what is wanted."


class CheckError(AssertionError):
    """What was written is not right; the message says in which way. A notebook shows the message alone."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Result:
    """What an answer gives on one case: its value, and the gradients of its sum."""

    def __init__(self, value: Any, gradients: list[Tensor]):
        self.value = value
        self.gradients = gradients


def check(name: str, answer: Answer) -> None:
    """Check an exercise's answer; print one sentence on what it shows, or raise.

    Args:
        name: of the exercise, as in the lesson: "03.1".
        answer: what the reader wrote: a function, or a value.

    Raises:
        CheckError: if it is wrong; the message says in which way, never the answer.
        ValueError: if there is no such exercise.
    """
    exercise = find(name)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        wrong = judged(exercise, answer)
    if wrong:
        raise CheckError(f"{name} is not right yet. {wrong}\nWanted: {exercise.asks}.")
    print(f"{name} is right. {exercise.shown}")


def judged(exercise: Exercise, answer: Answer) -> str | None:
    """What is wrong with an answer, or None."""
    if answer is None or answer is ...:
        return UNWRITTEN
    if exercise.cases is None:
        wrong = None if exercise.right is None else value_judged(exercise, answer)
    elif not callable(answer):
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


def function_judged(exercise: Exercise, answer: Callable[..., Any]) -> str | None:
    """What is wrong with an answer that is a function: None if it is right on every case."""
    assert exercise.cases is not None
    for case in exercise.cases():
        before = [copied(a) for a in case]
        try:
            mine = result(exercise, answer, case)
        except NotImplementedError:
            return UNWRITTEN
        except Exception as error:
            return raised(error)
        if changed := [k + 1 for k, (a, b) in enumerate(zip(case, before, strict=True)) if not unchanged(a, b)]:
            return f"It changes its argument number {changed[0]} in place."
        right = result(exercise, exercise.right, case)
        wrong = results_differ(mine, right, exercise.tolerance)
        if wrong:
            return explained(exercise, case, mine) or wrong
    return None


def explained(exercise: Exercise, case: tuple[Any, ...], mine: Result) -> str | None:
    """The known mistake that gives what the reader's function gives on a case; None if there is none."""
    for words, mistaken in exercise.mistakes.items():
        try:
            theirs = result(exercise, mistaken, case)
        except Exception:  # a mistake that cannot be made on this case
            continue
        if results_differ(mine, theirs, exercise.tolerance) is None:
            return words
    return None


def result(exercise: Exercise, function: Callable[..., Any], case: tuple[Any, ...]) -> Result:
    """A function's value on a case, and the gradients of its sum where the exercise asks for them."""
    value = function(*case)
    if exercise.parameters is None:
        return Result(value, [])
    parameters = list(exercise.parameters(*case))
    total = sum(part.sum() for part in tensors(value))
    if not (isinstance(total, Tensor) and total.requires_grad):
        return Result(value, [torch.zeros_like(p) for p in parameters])
    gradients = torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True)
    return Result(value, [g for g in gradients if g is not None])


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


def tensors(value: Any) -> list[Tensor]:
    """The tensors in a value that have a gradient to give."""
    parts = value if isinstance(value, (tuple, list)) else [value]
    return [part for part in parts if isinstance(part, Tensor)]


def copied(argument: Any) -> Any:
    """A copy of an argument that could be changed in place."""
    return argument.detach().clone() if isinstance(argument, Tensor) else argument


def unchanged(argument: Any, before: Any) -> bool:
    """Whether a tensor still is what it was."""
    return not isinstance(argument, Tensor) or torch.equal(argument.detach(), before)


def kind(value: object) -> str:
    """What a message says of a value."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}" if not callable(value) else "a function"


def raised(error: Exception) -> str:
    """What an error says, and the last line of the reader's own code on the way to it."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if not installed(frame.filename)]
    where = f" in the line `{lines[-1].line}`" if lines and lines[-1].line else ""
    return f"It raises {type(error).__name__}{where}: {' '.join(str(error).split())[:300]}"


def installed(filename: str) -> bool:
    """Whether a file is of this package or of an installed one, and not the reader's."""
    return filename.startswith(str(Path(__file__).parent.parent)) or "site-packages" in filename
