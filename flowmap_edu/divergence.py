r"""The density of a flow in many dimensions: the divergence of its velocity, estimated by random probes.

Along dx/dt = b_t(x) the logarithm of the density falls at the rate div b_t = tr grad b_t (Liouville's equation):

    log q_1(x_1) = log N(x_0; 0, sigma^2 I) - int_0^1 div b_t(x_t) dt.

A trace takes one pass a coordinate. Hutchinson's estimate takes one pass a probe: E[w . grad b w] = tr grad b for
random signs w. It is unbiased, and so is the integral with one w for the whole way. The standard error is returned with
the estimate.

Here b is the velocity on the diagonal of a map. So this is the density of that flow, not the density of a few jumps:
likelihood.py computes the latter, in at most 64 dimensions.

Sources: Hutchinson 1989 (the estimate); Grathwohl et al. 2018, arXiv 1810.01367 (in a flow, one probe for the way).
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap, directional
from flowmap_edu.likelihood import log_base

__all__ = ["Carried", "Estimate", "carry", "density_by_trace", "divergence"]


def __dir__() -> list[str]:
    return sorted(__all__)


class Estimate(NamedTuple):
    """A mean over probes and its standard error.

    Attributes:
        value: shape (B,), float64.
        error: the standard deviation over the probes by the root of their number, shape (B,), float64.
    """

    value: Tensor
    error: Tensor


class Carried(NamedTuple):
    """Points that the flow has carried, and by how much it has stretched the space around them.

    Attributes:
        x: where the points are, shape (B, *D).
        log_det: int div b along the way, the logarithm of the determinant of the flow.
    """

    x: Tensor
    log_det: Estimate


def signs(x: Tensor, probes: int, seed: int) -> Tensor:
    """Independent signs, +1 or -1, shape (probes, *x.shape)."""
    drawn = torch.randint(2, (probes, *x.shape), generator=checks.generator(seed))
    return (2 * drawn - 1).to(x)


def traces(X: FlowMap, t: float, x: Tensor, w: Tensor, **condition: Any) -> tuple[Tensor, Tensor]:
    """b_t(x), and w . grad b_t(x) w for each probe, shape (probes, B), float64."""
    b, found = x, []
    for probe in w:
        b, pushed = directional(lambda x: X.velocity(t, x, **condition), (x,), (probe,))
        found.append((probe * pushed).flatten(1).double().sum(1))
    return b, torch.stack(found)


def estimate(found: Tensor) -> Estimate:
    """The mean over the first axis, and its standard error."""
    return Estimate(found.mean(0), found.std(0) / math.sqrt(len(found)))


@torch.no_grad()
def divergence(X: FlowMap, t: float, x: Tensor, *, probes: int = 16, seed: int = 0, **condition: Any) -> Estimate:
    """div b_t(x) = tr grad v_{t,t}(x), estimated: the mean of w . grad v w over random signs w.

    One forward-mode pass a probe. The variance of one probe is 2 sum_{i != j} S_ij^2, where S is the symmetric
    part of grad v.

    Args:
        X: the map; b is the velocity on its diagonal.
        t: the time, a number.
        x: points, shape (B, *D), of any dimension.
        probes: how many, at least 2.
        seed: of the probes.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if there is one probe only, t leaves [0, 1], or x is no batch of points.
    """
    w = start(x, probes, seed)
    return estimate(traces(X, checks.share("t", t), x, w, **condition)[1])


@torch.no_grad()
def carry(
    X: FlowMap, s: float, t: float, x: Tensor, steps: int, *, probes: int = 16, seed: int = 0, **condition: Any
) -> Carried:
    """Carry points along dx/du = v_{u,u}(x) from s to t, forward or backward, and integrate the divergence.

    By the classical Runge-Kutta method of order 4 in equal steps: its error falls with the fourth power of a step.

    Args:
        X: the map; b is the velocity on its diagonal.
        s, t: start and end, numbers in [0, 1], in either order.
        x: points at time s, shape (B, *D).
        steps: how many.
        probes: how many, at least 2; 4 `steps` `probes` forward-mode passes in all.
        seed: of the probes.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if there is one probe only, steps is not positive, a time leaves [0, 1], or x is not finite.

    Source: Kutta 1901.
    """
    steps, s, t = checks.count("steps", steps), checks.share("s", s), checks.share("t", t)
    w, step = start(x, probes, seed), (t - s) / steps
    total = torch.zeros(w.shape[:2], dtype=torch.float64, device=x.device)
    for k in range(steps):
        b, trace = torch.zeros_like(x), torch.zeros_like(total)
        slope = b
        for at, weight in ((0.0, 1 / 6), (0.5, 1 / 3), (0.5, 1 / 3), (1.0, 1 / 6)):
            now = min(max(s + (k + at) * step, 0.0), 1.0)  # rounding can carry it past an end
            slope, found = traces(X, now, x + at * step * slope, w, **condition)
            b, trace = b + weight * slope, trace + weight * found
        x, total = x + step * b, total + step * trace
    return Carried(x, estimate(total))


def density_by_trace(
    X: FlowMap, x: Tensor, steps: int, sigma: float, *, probes: int = 16, seed: int = 0, **condition: Any
) -> Estimate:
    """log q of given points under the flow of the map's velocity, followed back to the noise: an estimate.

    Unbiased but for the error of the steps. It has no bound on the dimension. Divide by -log(2) d for bits a dimension.

    Args:
        X: the map; b is the velocity on its diagonal.
        x: points at time 1, shape (B, *D), in data units.
        steps: of the solver, from 1 to 0.
        sigma: the standard deviation of the base.
        probes, seed, condition: as in `carry`.

    Raises:
        ValueError: as `carry`, and if sigma is not positive.
    """
    sigma = checks.positive("sigma", sigma)
    x0, back = carry(X, 1.0, 0.0, x, steps, probes=probes, seed=seed, **condition)
    return Estimate(log_base(x0, sigma) + back.value, back.error)


def start(x: Tensor, probes: int, seed: int) -> Tensor:
    """The probes for points, which are checked."""
    checks.points("x", x)
    checks.finite("x", x)
    if checks.count("probes", probes) < 2:
        raise ValueError("probes must be at least 2: the standard error is their spread, got 1")
    return signs(x, probes, seed)
