"""Argument checks shared by the package: each names what came and what was wanted."""

import importlib
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def batch_of_times(name: str, t: float | Tensor, x: Tensor) -> Tensor:
    """The time `t` as a tensor of shape (B,), one entry a sample of x.

    Args:
        name: how the caller calls this time, for the message.
        t: a number, a tensor of no dimension, or a tensor of shape (B,).
        x: points, shape (B, *D).

    Raises:
        ValueError: if t has another shape, or a value outside [0, 1].
    """
    if isinstance(t, bool) or not isinstance(t, (int, float, Tensor)):
        raise ValueError(f"{name} must be a number or a tensor, got {type(t).__name__}")
    if not isinstance(t, Tensor):
        if not 0.0 <= t <= 1.0:
            raise ValueError(f"{name} must lie in [0, 1], got {t}")
        return torch.full((x.shape[0],), float(t), dtype=x.dtype, device=x.device)
    if t.ndim == 0:
        t = t.repeat(x.shape[0])  # not a view: forward-mode derivatives refuse those
    if t.shape != x.shape[:1]:
        raise ValueError(
            f"{name} must be a number or have shape ({x.shape[0]},), one time a point of x "
            f"{tuple(x.shape)}; got shape {tuple(t.shape)}"
        )
    if not torch.compiler.is_compiling():  # a check of values would break the compiled graph
        low_high = (t.detach().min().item(), t.detach().max().item()) if t.numel() else (0.0, 1.0)
        if not (low_high[0] >= 0.0 and low_high[1] <= 1.0):
            raise ValueError(f"{name} must lie in [0, 1], got values in [{low_high[0]}, {low_high[1]}]")
    return t.to(x.dtype)


def ordered(first: str, s: float | Tensor, second: str, t: float | Tensor) -> None:
    """Raise ValueError unless s <= t for every sample."""
    if torch.compiler.is_compiling():
        return
    wrong = torch.as_tensor(s) > torch.as_tensor(t)
    if bool(wrong.any()):
        raise ValueError(
            f"{first} <= {second} is wanted, got {first} > {second} in {int(wrong.sum())} of {wrong.numel()}"
        )


def finite(name: str, x: Tensor) -> None:
    """Raise ValueError if x holds a nan or an infinity."""
    if torch.compiler.is_compiling():
        return
    bad = ~torch.isfinite(x)
    if bool(bad.any()):
        raise ValueError(f"{name} must be finite; {int(bad.sum())} of {bad.numel()} entries are not")


def points(name: str, x: Tensor) -> None:
    """Raise ValueError unless x is a floating-point tensor of shape (B, *D) with at least one axis in D."""
    if not isinstance(x, Tensor) or x.ndim < 2 or not x.is_floating_point():
        came = f"{tuple(x.shape)} {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name} must be a floating-point tensor of shape (B, *D), got {came}")


def same_shape(first: str, x: Tensor, second: str, y: Tensor) -> None:
    """Raise ValueError unless x and y have one shape."""
    if not isinstance(y, Tensor):
        raise ValueError(f"{second} must be a tensor of the shape of {first}, got {type(y).__name__}")
    if x.shape != y.shape:
        raise ValueError(f"{first} and {second} must have the same shape, got {tuple(x.shape)} and {tuple(y.shape)}")


def one_of(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise ValueError unless value is one of the choices."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def at_least(name: str, value: float, least: float) -> None:
    """Raise ValueError unless value is a finite number >= least."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")


def count(name: str, value: int) -> None:
    """Raise ValueError unless value is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def whole(name: str, value: int) -> None:
    """Raise ValueError unless value is a whole number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, got {value!r}")


def share(name: str, value: float) -> None:
    """Raise ValueError unless value is a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")


def positive(name: str, value: float) -> None:
    """Raise ValueError unless value is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive, got {value!r}")


def labels(label: Tensor | None, x: Tensor, classes: int) -> None:
    """Raise ValueError unless a network of so many classes is given labels that fit x: none without classes."""
    if label is None:
        if classes:
            raise ValueError(f"this network has {classes} classes: pass label=, one whole number a sample (-1: hidden)")
        return
    if not classes:
        raise ValueError("this network has no classes: leave label out, or make it with classes=")
    if not isinstance(label, Tensor) or label.dtype != torch.int64 or label.shape != x.shape[:1]:
        came = f"{label.dtype} {tuple(label.shape)}" if isinstance(label, Tensor) else type(label).__name__
        raise ValueError(f"label must be int64 of shape ({x.shape[0]},), got {came}")
    if not torch.compiler.is_compiling():  # a check of values would break the compiled graph
        wrong = label[(label < -1) | (label >= classes)]
        if len(wrong):
            raise ValueError(f"label must lie in -1..{classes - 1}, got {wrong[0].item()}")


def extra(module: str, name: str) -> Any:
    """A module of an optional extra, imported only where it is needed.

    Raises:
        ImportError: if it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is needed here: pip install 'flowmap-edu[{name}]'") from error
