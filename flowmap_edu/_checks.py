"""Argument checks shared by the package: each names what came and what was wanted.

One rule for all that is given: a number may be a NumPy scalar, and comes back as Python's; an array must be a torch
tensor, and points, images and noise are float32 or float64. NumPy arrays and lists are refused with the call that turns
them into tensors. Tensors may be views, expanded or inside a transform of torch.func.
"""

import dataclasses
import importlib
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._C import _functorch  # type: ignore[attr-defined]  # torch has no public way to look through vmap

from flowmap_edu._numbers import (
    as_python,
    at_least,
    count,
    counts,
    finite_number,
    generator,
    number,
    positive,
    share,
    small_seed,
    whole,
)

__all__ = [
    "at_least",
    "batch_of_times",
    "batched",
    "count",
    "counts",
    "extra",
    "finite",
    "finite_number",
    "generator",
    "images",
    "kind",
    "labels",
    "network_input",
    "number",
    "one_of",
    "ordered",
    "plain",
    "plain_fields",
    "points",
    "positive",
    "same_shape",
    "semi",
    "share",
    "small_seed",
    "times",
    "whole",
    "within",
]

EXACT = (torch.float32, torch.float64)  # the types of points; half precision has 8 or 11 bits, times need more


def kind(value: object) -> str:
    """What a message says of a value: shape and type of a tensor, the type of anything else."""
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {value.dtype}" + (" sparse" if value.layout is not torch.strided else "")
    if isinstance(value, (np.ndarray, list, tuple)):
        return f"{type(value).__name__}: torch.as_tensor makes a tensor of it"
    return type(value).__name__


def plain(x: Tensor) -> Tensor:
    """x without the wrappers of torch.func: under vmap all that it holds, with an axis more."""
    while _functorch.is_functorch_wrapped_tensor(x):
        x = _functorch.get_unwrapped(x)
    return x.detach()


def batched(x: Tensor) -> bool:
    """Whether x is inside torch.func.vmap; not asked while torch compiles."""
    if torch.compiler.is_compiling():
        return False
    while _functorch.is_functorch_wrapped_tensor(x):
        if _functorch.is_batchedtensor(x):
            return True
        x = _functorch.get_unwrapped(x)
    return False


def batch_of_times(name: str, t: float | Tensor, x: Tensor) -> Tensor:
    """The time `t` as a tensor of shape (B,), one entry a sample of x, of the type of x.

    Args:
        name: how the caller calls this time, for the message.
        t: a number, a tensor of no dimension, or a tensor of shape (B,).
        x: points, shape (B, *D).

    Raises:
        ValueError: if t has another shape, or a value outside [0, 1].
    """
    if not isinstance(t, Tensor):
        if not number(t):
            raise ValueError(f"{name} must be a number or a tensor, got {kind(t)}")
        if not 0.0 <= t <= 1.0:
            raise ValueError(f"{name} must lie in [0, 1], got {t}")
        return torch.full((x.shape[0],), float(t), dtype=x.dtype, device=x.device)
    if t.dtype == torch.bool or t.is_complex():
        raise ValueError(f"{name} must be a number or a tensor of real numbers, got {kind(t)}")
    if t.ndim == 0:
        t = t.repeat(x.shape[0])
    if t.shape != x.shape[:1]:
        raise ValueError(
            f"{name} must be a number or have shape ({x.shape[0]},), one time a point of x "
            f"{tuple(x.shape)}; got shape {tuple(t.shape)}"
        )
    if not torch.compiler.is_compiling():  # a check of values would break the compiled graph
        values = plain(t)
        low_high = (values.min().item(), values.max().item()) if values.numel() else (0.0, 1.0)
        if not (low_high[0] >= 0.0 and low_high[1] <= 1.0):
            raise ValueError(f"{name} must lie in [0, 1], got values in [{low_high[0]}, {low_high[1]}]")
    return t.to(x.dtype)


def ordered(first: str, s: float | Tensor, second: str, t: float | Tensor) -> None:
    """Raise ValueError unless s <= t for every sample."""
    if torch.compiler.is_compiling():
        return
    wrong = plain(torch.as_tensor(s > t))
    if bool(wrong.any()):
        raise ValueError(
            f"{first} <= {second} is wanted, got {first} > {second} in {int(wrong.sum())} of {wrong.numel()}"
        )


def times(x: Tensor, **given: float | Tensor) -> tuple[Tensor, ...]:
    """Times of points x, by name and in their order, as tensors of shape (B,).

    Raises:
        ValueError: if x is no batch of points, a time has another shape or leaves [0, 1], or one is after the next.
    """
    points("x", x)
    found = {name: batch_of_times(name, t, x) for name, t in given.items()}
    for (first, s), (second, t) in pairwise(found.items()):
        ordered(first, s, second, t)
    return tuple(found.values())


def finite(name: str, x: Tensor) -> None:
    """Raise ValueError if x holds a nan or an infinity."""
    if torch.compiler.is_compiling():
        return
    bad = ~torch.isfinite(plain(x))
    if bool(bad.any()):
        raise ValueError(f"{name} must be finite; {int(bad.sum())} of {bad.numel()} entries are not")


def within(name: str, x: Tensor, low: float, high: float) -> None:
    """Raise ValueError unless every entry of x is finite and lies in [low, high]."""
    finite(name, x)
    if torch.compiler.is_compiling():
        return
    values = plain(x)
    if values.numel() and not (values.min().item() >= low and values.max().item() <= high):
        came = f"[{values.min().item():g}, {values.max().item():g}]"
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got values in {came}")


def points(name: str, x: Tensor) -> None:
    """Raise ValueError unless x is a tensor of float32 or float64 of shape (B, *D) with at least one axis in D."""
    if not isinstance(x, Tensor) or x.ndim < 2 or x.dtype not in EXACT or x.layout is not torch.strided:
        raise ValueError(f"{name} must be a floating-point tensor, float32 or float64, of shape (B, *D), got {kind(x)}")


def images(name: str, x: Tensor) -> None:
    """Raise ValueError unless x is images in [-1, 1], a tensor of float32 or float64 of shape (B, C, H, W)."""
    if not isinstance(x, Tensor) or x.ndim != 4 or x.dtype not in EXACT:
        raise ValueError(f"{name} must be floating-point, float32 or float64, of shape (B, C, H, W), got {kind(x)}")
    within(name, x, -1.0, 1.0)


def same_shape(first: str, x: Tensor, second: str, y: Tensor) -> None:
    """Raise ValueError unless y is a tensor of real numbers and has the shape of x."""
    if not isinstance(y, Tensor) or not y.is_floating_point():
        raise ValueError(f"{second} must be a floating-point tensor of the shape of {first}, got {kind(y)}")
    if x.shape != y.shape:
        raise ValueError(f"{first} and {second} must have the same shape, got {tuple(x.shape)} and {tuple(y.shape)}")


def semi(x: Tensor, stopgrad: str, first_term: Tensor | None, ramp: float | Tensor, difference: float = 0.0) -> None:
    """Raise ValueError unless the Eulerian loss's first_term, ramp and difference go with its stopgrad, and fit x."""
    if stopgrad == "full" and difference:
        raise ValueError(
            f"difference is not for the stopgrad 'full', whose two parts are derivatives: got {difference}"
        )
    if stopgrad != "semi" and (first_term is not None or isinstance(ramp, Tensor) or ramp != 1.0):
        raise ValueError(f"first_term and ramp belong to the stopgrad 'semi', got them with {stopgrad!r}")
    if first_term is not None:
        same_shape("x", x, "first_term", first_term)
    if not (ramp.ndim == 0 if isinstance(ramp, Tensor) else number(ramp)):
        raise ValueError(f"ramp must be a number, got {kind(ramp)}")


def network_input(s: Tensor, t: Tensor, x: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Raise ValueError unless x has shape (B, *shape), s and t shape (B,), and all are of the network's type."""
    if not isinstance(x, Tensor) or x.shape[1:] != shape:
        came = tuple(x.shape) if isinstance(x, Tensor) else kind(x)
        raise ValueError(f"x must have shape (B, {', '.join(map(str, shape))}), got {came}")
    for name, time in (("s", s), ("t", t)):
        if not isinstance(time, Tensor) or time.shape != x.shape[:1]:
            came = tuple(time.shape) if isinstance(time, Tensor) else kind(time)
            raise ValueError(f"{name} must have shape ({x.shape[0]},), one time a sample; got {came}")
    for name, given in (("x", x), ("s", s), ("t", t)):
        if given.dtype != dtype:
            raise ValueError(f"{name} must be {dtype}, as the network's weights are; got {given.dtype}")


def one_of(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise ValueError unless value is one of the choices."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def plain_fields(settings: Any) -> None:
    """Turn the NumPy scalars among a frozen dataclass's fields into Python's numbers."""
    for field in dataclasses.fields(settings):
        object.__setattr__(settings, field.name, as_python(getattr(settings, field.name)))


def labels(label: Tensor | None, x: Tensor, classes: int) -> None:
    """Raise ValueError unless a network of so many classes is given labels that fit x: none without classes."""
    if label is None:
        if classes:
            raise ValueError(f"this network has {classes} classes: pass label=, one whole number a sample (-1: hidden)")
        return
    if not classes:
        raise ValueError("this network has no classes: leave label out, or make it with classes=")
    if not isinstance(label, Tensor) or label.dtype != torch.int64 or label.shape != x.shape[:1]:
        raise ValueError(f"label must be int64 of shape ({x.shape[0]},), got {kind(label)}")
    if not torch.compiler.is_compiling():  # a check of values would break the compiled graph
        values = plain(label)
        wrong = values[(values < -1) | (values >= classes)]
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
