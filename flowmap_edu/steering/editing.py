r"""Editing: fill in what is hidden of a sample, and pass from one sample to another through their noise.

Filling in is guidance by a reward that compares the mean of the data D = D_{s,s}(x) with what is seen, y, where the
mask m is 1:

    -|m (D - y)|^2 / (2 (w^2 + v_s)),    v_s = tau^2 (1 - s)^2 sigma^2 / ((1 - s)^2 sigma^2 + s^2 tau^2).

w is how far the result may be from what is seen. v_s is the variance of the data given the point, for data of standard
deviation tau; for a Gaussian this is then log h up to a constant (tests/test_editing.py), for other data it is a guess.
Without it the gradient is far too large at early times, where D says little.

Source: Song, Vahdat, Mardani & Kautz 2023, pseudoinverse-guided diffusion (the variance in the denominator).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.lookahead import lookahead
from flowmap_edu.steering.guidance import Guided

__all__ = ["Seen", "between", "filled"]


@dataclass(frozen=True)
class Seen:
    """What a point on the way is worth, given what is seen of the data: a `Value` for `guided_velocity` and `Guided`.

    Attributes:
        picture: y, shape (B, *D), or (*D) with the axis of the batch of length 1; what is hidden is not read.
        mask: 1 where it is seen and 0 where it is hidden, of the shape of picture.
        sigma: the standard deviation of the base.
        tau: that of the data.
        width: w, above 0.

    Raises:
        ValueError: if the mask has another shape or values besides 0 and 1, or a number is not positive.
    """

    picture: Tensor
    mask: Tensor
    sigma: float
    tau: float = 0.5
    width: float = 0.1

    def __post_init__(self):
        checks.points("picture", self.picture)
        if not isinstance(self.mask, Tensor) or self.mask.shape != self.picture.shape:
            wanted = tuple(self.picture.shape)
            raise ValueError(f"mask must be a tensor of the picture's shape {wanted}, got {checks.kind(self.mask)}")
        if not bool(((self.mask == 0) | (self.mask == 1)).all()):
            raise ValueError("mask must be 1 where the picture is seen and 0 where it is hidden, got other values")
        for name in ("sigma", "tau", "width"):
            checks.positive(name, getattr(self, name))
        checks.finite("picture where it is seen", self.picture[self.mask.bool()])

    def __call__(self, X: FlowMap, s: Tensor, x: Tensor, **condition: Any) -> Tensor:
        """One evaluation of v, shape (B,)."""
        checks.same_shape("the picture", self.picture, "x", x)
        away = torch.where(self.mask.bool(), lookahead(X, s, s, x, **condition) - self.picture, 0.0)
        noise, data = (1 - s) ** 2 * self.sigma**2, self.tau**2
        spread = data * noise / (noise + s**2 * data)
        return -away.flatten(1).square().sum(1) / (2 * (self.width**2 + spread))


def filled(
    X: FlowMap,
    picture: Tensor,
    mask: Tensor,
    x0: Tensor,
    sigma: float,
    *,
    steps: int = 32,
    tau: float = 0.5,
    width: float = 0.1,
    **condition: Any,
) -> Tensor:
    """Samples that agree with what is seen of the pictures, by guided steps, shape (B, *D).

    Args:
        X: the map, trained on the straight path.
        picture: what is seen, shape (B, *D); where the mask is 0 it may hold anything, NaN too.
        mask: 1 where it is seen and 0 where it is hidden, shape (B, *D).
        x0: draws from the base, shape (B, *D).
        sigma, tau: the standard deviations of the base and of the data.
        steps: guided Euler steps; two evaluations of v each, one of them with its gradient.
        width: how far the result may be from what is seen.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: as `Seen` and `Guided` do; if x0 has another shape than picture, or the map has classes and label=
            is missing.
    """
    checks.points("x0", x0)
    value = Seen(picture, mask, sigma, tau, width)
    checks.same_shape("picture", picture, "x0", x0)
    return Guided(value, sigma)(X, x0, steps, **condition)


def between(first: Tensor, second: Tensor, share: float) -> Tensor:
    """cos(a) first + sin(a) second with a = share pi / 2: from one draw of the noise to another, shape (B, *D).

    For independent draws of N(0, sigma^2 I) each point on the way is a draw of it, too. On the straight line
    (1 - share) first + share second it is not: half way the standard deviation is sigma / sqrt(2).

    Args:
        first, second: draws from the base, of one shape (B, *D).
        share: 0 gives the first, 1 the second.

    Raises:
        ValueError: if the shapes differ or share leaves [0, 1].
    """
    checks.points("first", first)
    checks.same_shape("first", first, "second", second)
    angle = checks.share("share", share) * math.pi / 2
    return math.cos(angle) * first + math.sin(angle) * second
