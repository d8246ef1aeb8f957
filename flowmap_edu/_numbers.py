"""Checks of numbers: Python's or NumPy's come in, Python's come out. Each names what came and what was wanted."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch


def number(value: object) -> bool:
    """Whether value is a real number, Python's or NumPy's; True and False are none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def at_least(name: str, value: float, least: float) -> float:
    """value as Python's; ValueError unless it is a finite number >= least."""
    if not number(value) or not math.isfinite(value) or value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    return as_python(value)


def count(name: str, value: int) -> int:
    """value as Python's; ValueError unless it is a whole number of at least 1."""
    return whole(name, value, 1)


def counts(name: str, values: Iterable[int]) -> list[int]:
    """Several counts as Python's; ValueError unless each is a whole number of at least 1."""
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise ValueError(f"{name} must be several whole numbers of at least 1, got {values!r}")
    return [count(name, value) for value in values]


def whole(name: str, value: int, least: int = 0) -> int:
    """value as Python's; ValueError unless it is a whole number of at least `least`."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def share(name: str, value: float) -> float:
    """value as Python's; ValueError unless it is a number in [0, 1]."""
    if not number(value) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return as_python(value)


def positive(name: str, value: float) -> float:
    """value as Python's; ValueError unless it is a finite number above 0."""
    if not number(value) or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive, got {value!r}")
    return as_python(value)


def finite_number(name: str, value: float) -> float:
    """value as Python's; ValueError unless it is a finite number."""
    if not number(value) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return as_python(value)


def as_python(value: Any) -> Any:
    """A NumPy scalar as Python's number, which JSON holds; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def generator(seed: int, name: str = "seed", plus: int = 0) -> torch.Generator:
    """A generator with that seed, `plus` added; ValueError unless it is a whole number from 0 to 2^63 - 1."""
    if whole(name, seed) >= 2**63:
        raise ValueError(f"{name} must be below 2^63, got {seed!r}")
    return torch.Generator().manual_seed(int(seed) + plus)


def small_seed(seed: int) -> int:
    """A seed for NumPy, as Python's; ValueError unless it is a whole number from 0 to 2^32 - 1."""
    if whole("seed", seed) >= 2**32:
        raise ValueError(f"seed must be below 2^32 here, got {seed!r}")
    return int(seed)
