r"""The density of what a map draws, by change of variables along its jumps.

    log q(x_N) = log N(x_0; 0, sigma^2 I) - sum_k log |det grad X_{t_k, t_{k+1}}(x_k)|,   t_k = k / N.

A map of exact slope never folds, and q is the density of its samples. A trained map may fold: where a determinant is
negative, several points land on one, and the formula counts one of them. `metrics.folding` measures how often.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap, Time
from flowmap_edu.interpolant import per_sample

__all__ = ["Density", "density_of", "jacobian", "sample_with_density"]

MOST = 64  # coordinates of a point: a determinant takes as many passes
HALVINGS = 6  # of a step that goes too far


def __dir__() -> list[str]:
    return sorted(__all__)


def jacobian(X: FlowMap, s: Time, t: Time, x: Tensor, **condition: Any) -> tuple[Tensor, Tensor]:
    """X_{s,t}(x), shape (B, *D), and grad X_{s,t}(x), shape (B, d, d), column by column, d = the product of *D.

    One forward-mode pass a column.

    Args:
        X: the map.
        s, t: start and end times, numbers or shape (B,).
        x: points at time s, shape (B, *D), d <= 64.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if d is above 64, a time leaves [0, 1] or a shape is wrong.
    """
    checks.points("x", x)
    d = math.prod(x.shape[1:])
    if d > MOST:
        raise ValueError(
            f"a determinant takes one pass a coordinate: at most {MOST} coordinates, got {d}. Compare samples instead "
            "(metrics.images, metrics.two_sample), or take divergence.density_by_trace, which follows the velocity on "
            "the map's diagonal with a random estimate of the trace"
        )
    landed, columns = x, []
    for k in range(d):
        w = torch.zeros_like(x).flatten(1)
        w[:, k] = 1
        landed, column = X.push(s, t, x, w.reshape(x.shape), **condition)
        columns.append(column.flatten(1))
    return landed, torch.stack(columns, dim=-1)


def log_base(x0: Tensor, sigma: float) -> Tensor:
    """log N(x0; 0, sigma^2 I), shape (B,), float64."""
    z = x0.double().flatten(1) / sigma
    return -(z.square().sum(1) / 2 + z.shape[1] * (math.log(2 * math.pi) / 2 + math.log(sigma)))


@torch.no_grad()
def sample_with_density(X: FlowMap, x0: Tensor, steps: int, sigma: float, **condition: Any) -> tuple[Tensor, Tensor]:
    """The samples of `steps` equal jumps, shape (B, *D), and log q at each, shape (B,), float64.

    log q is the density of the map's samples wherever the map does not fold; its unit is that of x to the power -d.

    Args:
        X: the map; it draws by jumps.
        x0: draws from the base, shape (B, *D), at most 64 coordinates.
        steps: how many jumps.
        sigma: the standard deviation of the base.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if there are more than 64 coordinates, x0 is not finite, or steps or sigma is not positive.

    Source: Rezende & Mohamed 2015 (the change of variables along a chain of maps).
    """
    steps, sigma = checks.count("steps", steps), checks.positive("sigma", sigma)
    checks.points("x0", x0)
    checks.finite("x0", x0)
    x, log_q = x0, log_base(x0, sigma)
    for k in range(steps):
        x, J = jacobian(X, k / steps, (k + 1) / steps, x, **condition)
        log_q = log_q - torch.linalg.slogdet(J.double()).logabsdet
    return x, log_q


class Density(NamedTuple):
    """log q of given points, and the noise from which the map reaches them.

    Attributes:
        log_q: shape (B,), float64; NaN where no noise was found.
        x0: the noise, shape (B, *D); NaN where none was found.
        found: whether it was found, shape (B,), bool.
    """

    log_q: Tensor
    x0: Tensor
    found: Tensor


@torch.no_grad()
def density_of(
    X: FlowMap,
    x: Tensor,
    steps: int,
    sigma: float,
    *,
    iterations: int = 50,
    tolerance: float | None = None,
    **condition: Any,
) -> Density:
    r"""log q at given points: each jump is inverted, from the last to the first.

    A jump X_{s,t}(z) = y is inverted by Newton's fixed-point iteration z <- z - (grad X)^{-1} (X_{s,t}(z) - y), which
    starts at the backward jump y - (t - s) v_{s,t}(y); a step that does not come nearer is halved.

    It fails where the map folds or is nearly flat: there no noise reaches the point, or several do. A point counts as
    found if every jump was inverted to the tolerance, with a positive determinant. The others are NaN: leave them out
    of a mean, and say how many they were. More steps fold less.

    Args:
        X: the map; it draws by jumps.
        x: points at time 1, shape (B, *D), at most 64 coordinates.
        steps: how many jumps.
        sigma: the standard deviation of the base.
        iterations: the most iterations a jump.
        tolerance: of the landing point of each jump, in data units; None: 1e-10 for float64, 1e-5 for float32. The
            jumps after it may stretch that error.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if there are more than 64 coordinates, x is not finite, or a setting is not positive.
    """
    steps, sigma = checks.count("steps", steps), checks.positive("sigma", sigma)
    iterations = checks.count("iterations", iterations)
    checks.points("x", x)
    checks.finite("x", x)
    least = 1e-10 if x.dtype == torch.float64 else 1e-5
    tolerance = least if tolerance is None else checks.positive("tolerance", tolerance)
    y, log_q = x, torch.zeros(len(x), dtype=torch.float64, device=x.device)
    found = torch.ones_like(log_q, dtype=torch.bool)
    for k in reversed(range(steps)):
        y, gap, J = inverted(X, k / steps, (k + 1) / steps, y, iterations, tolerance, **condition)
        sign, log_det = torch.linalg.slogdet(J.double())
        found, log_q = found & (gap <= tolerance) & (sign > 0), log_q - log_det
    log_q = torch.where(found, log_q + log_base(y, sigma), math.nan)
    return Density(log_q, torch.where(per_sample(found, y), y, math.nan), found)


def inverted(
    X: FlowMap, s: float, t: float, y: Tensor, iterations: int, tolerance: float, **condition: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """z with X_{s,t}(z) = y, shape (B, *D); how far it lands from y, shape (B,); grad X_{s,t}(z), shape (B, d, d)."""

    def far(landed: Tensor) -> Tensor:
        return (landed - y).flatten(1).norm(dim=1)

    z = y - (t - s) * X.v(s, t, y, **condition)
    landed, J = jacobian(X, s, t, z, **condition)
    for _ in range(iterations):
        gap = far(landed)
        if bool((gap <= tolerance).all()):
            break
        change, info = torch.linalg.solve_ex(J, (landed - y).flatten(1)[..., None])
        step = torch.where(per_sample(info == 0, y), change.reshape(y.shape), landed - y)
        size = torch.where(gap > tolerance, 1.0, 0.0).to(y)
        for _ in range(HALVINGS):
            worse = far(X(s, t, z - per_sample(size, y) * step, **condition)) > gap
            if not bool(worse.any()):
                break
            size = torch.where(worse, size / 2, size)
        z = z - per_sample(size, y) * step
        landed, J = jacobian(X, s, t, z, **condition)
    return z, far(landed), J
