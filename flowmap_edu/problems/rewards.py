"""Rewards r(x): what a map is steered to. Each of these is a sum over the axes, r(x) = sum_d r_d(x_d)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flowmap_edu import _checks as checks

__all__ = ["Bump", "HalfPlane", "Reward", "Slope", "valued"]


class Reward:
    """A reward that is a sum over the axes: called with points, shape (B, D), it returns r(x), shape (B,)."""

    splits: tuple[tuple[float, ...], ...] = ()  # of each axis, where r_d is not smooth

    def along(self, d: int, x: Tensor) -> Tensor:
        """r_d(x), for coordinates x of axis d, in their shape."""
        raise TypeError(f"{type(self).__name__} has no part along axis {d} for coordinates of shape {tuple(x.shape)}")

    def __call__(self, x: Tensor) -> Tensor:
        """r(x), shape (B,)."""
        return torch.stack([self.along(d, x[:, d]) for d in range(x.shape[1])]).sum(0)


@dataclass(frozen=True)
class Slope(Reward):
    """r(x) = a . x: more reward the farther a point lies in the direction a."""

    direction: tuple[float, ...]

    def along(self, d: int, x: Tensor) -> Tensor:
        """a_d x."""
        return self.direction[d] * x


@dataclass(frozen=True)
class Bump(Reward):
    """r(x) = -|x - c|^2 / (2 w^2): exp r is a bump of width w around c."""

    centre: tuple[float, ...]
    width: float

    def along(self, d: int, x: Tensor) -> Tensor:
        """-(x - c_d)^2 / (2 w^2)."""
        return -((x - self.centre[d]) ** 2) / (2 * self.width**2)


@dataclass(frozen=True)
class HalfPlane(Reward):
    """r(x) = height where x_axis > at, else 0: a reward without a slope."""

    at: float = 0.0
    height: float = 3.0
    axis: int = 0

    @property
    def splits(self) -> tuple[tuple[float, ...], ...]:  # type: ignore[override]
        """The jump, on its axis."""
        return (*[()] * self.axis, (self.at,))

    def along(self, d: int, x: Tensor) -> Tensor:
        """height [x > at] on its axis, 0 on the others."""
        return self.height * (x > self.at).to(x) if d == self.axis else torch.zeros_like(x)


def valued(reward: object, x: Tensor) -> Tensor:
    """r(x), shape (B,), checked.

    Raises:
        ValueError: if the reward is not callable, or returns another shape than (B,) or values that are not finite.
    """
    if not callable(reward):
        raise ValueError(f"the reward must be callable as r(x), got {checks.kind(reward)}")
    values = reward(x)
    if not isinstance(values, Tensor) or values.shape != x.shape[:1]:
        came = tuple(values.shape) if isinstance(values, Tensor) else checks.kind(values)
        raise ValueError(f"the reward must return one value a sample, shape ({len(x)},), got {came}")
    if not bool(torch.isfinite(checks.plain(values)).all()):
        raise ValueError("the reward must be finite, got NaN or infinity")
    return values
