"""Interpolants: a path I_t from noise x0 to data x1, and its velocity.

    I_t = a(t) x0 + b(t) x1,   a(0) = b(1) = 1,   a(1) = b(0) = 0.

Time 0 is noise and time 1 is data, here and everywhere in this package.
Source: Albergo, Boffi & Vanden-Eijnden 2023, "Stochastic interpolants".
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu import _reference

__all__ = ["Interpolant", "Linear", "Trigonometric"]


def per_sample(t: Tensor, x: Tensor) -> Tensor:
    """Give t, shape (B,), the axes of x, shape (B, *D), so that the two broadcast: (B, 1, ..., 1)."""
    return t.reshape(-1, *[1] * (x.ndim - 1))


class Interpolant(_reference.Recorded, ABC):
    """A path from x0 to x1 given by two scalar functions of time."""

    @abstractmethod
    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """a(t), b(t) and their derivatives a'(t), b'(t), each of the shape of t."""

    def __call__(self, t: float | Tensor, x0: Tensor, x1: Tensor) -> tuple[Tensor, Tensor]:
        """The interpolant and its time derivative, I_t = a x0 + b x1 and dI_t = a' x0 + b' x1.

        Args:
            t: time in [0, 1], a number or shape (B,).
            x0: draws from the base, shape (B, *D).
            x1: draws from the data, shape (B, *D), in data units.

        Returns:
            I_t and dI_t, shape (B, *D) each.

        Raises:
            ValueError: if the shapes differ or t leaves [0, 1].
        """
        checks.points("x0", x0)
        checks.points("x1", x1)
        checks.same_shape("x0", x0, "x1", x1)
        t = checks.batch_of_times("t", t, x0)
        a, b, da, db = (per_sample(c, x0) for c in self.coefficients(t))
        return a * x0 + b * x1, da * x0 + db * x1


@dataclass(frozen=True)
class Linear(Interpolant):
    """The straight path: I_t = (1 - t) x0 + t x1, so dI_t = x1 - x0."""

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """1 - t, t, -1, 1."""
        one = torch.ones_like(t)
        return 1 - t, t, -one, one


@dataclass(frozen=True)
class Trigonometric(Interpolant):
    """The path on a quarter circle: I_t = cos(pi t / 2) x0 + sin(pi t / 2) x1.

    It keeps the variance of I_t constant when x0 and x1 are independent and have the same variance.
    """

    def coefficients(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """cos, sin, -(pi / 2) sin, (pi / 2) cos, all of pi t / 2."""
        cos, sin = torch.cos(math.pi / 2 * t), torch.sin(math.pi / 2 * t)
        return cos, sin, -math.pi / 2 * sin, math.pi / 2 * cos
