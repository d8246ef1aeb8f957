"""Ask an answer on a case: what it gives, or what goes wrong. Nothing here knows a right answer."""

import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Answer

UNWRITTEN = "It is not written yet. The cell above says what is wanted."

Parameters = Callable[..., Iterable[Tensor]]


class Result:
    """What an answer gives on one case: its value, and the gradients of its sum."""

    def __init__(self, value: Any, gradients: list[Tensor]):
        self.value = value
        self.gradients = gradients


class Recorded:
    """An answer that was asked in another process: what it gave on each case, in their order."""

    def __init__(self, outcomes: list[Result | str]):
        self.outcomes = outcomes


def outcome(answer: Answer, case: tuple[Any, ...], parameters: Parameters | None = None) -> Result | str:
    """What an answer gives on a case, or the sentence that says what went wrong.

    Args:
        answer: a function.
        case: its arguments.
        parameters: of a case, the tensors whose gradients are wanted; None: the value alone.
    """
    before = [copied(a) for a in case]
    try:
        mine = result(answer, case, parameters)
    except NotImplementedError:
        return UNWRITTEN
    except Exception as error:
        return raised(error)
    if changed := [k + 1 for k, (a, b) in enumerate(zip(case, before, strict=True)) if not unchanged(a, b)]:
        return f"It changes its argument number {changed[0]} in place."
    return mine


def result(function: Callable[..., Any], case: tuple[Any, ...], parameters: Parameters | None) -> Result:
    """A function's value on a case, and the gradients of its sum where they are wanted."""
    value = function(*case)
    if parameters is None:
        return Result(value, [])
    held = list(parameters(*case))
    total = sum(part.sum() for part in tensors(value))
    if not (isinstance(total, Tensor) and total.requires_grad):
        return Result(value, [torch.zeros_like(p) for p in held])
    gradients = torch.autograd.grad(total, held, allow_unused=True, materialize_grads=True)
    return Result(value, [g for g in gradients if g is not None])


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


def raised(error: Exception) -> str:
    """What an error says, and the last line of the reader's own code on the way to it."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if not installed(frame.filename)]
    where = f" in the line `{lines[-1].line}`" if lines and lines[-1].line else ""
    return f"It raises {type(error).__name__}{where}: {' '.join(str(error).split())[:300]}"


def installed(filename: str) -> bool:
    """Whether a file is of this package or of an installed one, and not the reader's."""
    return filename.startswith(str(Path(__file__).parent.parent)) or "site-packages" in filename
