"""The largest Lyapunov exponent: how fast two near points part when a map is repeated."""

import math
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.divergence import Estimate, estimate
from flowmap_edu.flow_map import FlowMap

__all__ = ["lyapunov"]


@torch.no_grad()
def lyapunov(X: FlowMap, x: Tensor, jumps: int, *, settle: int = 5, **condition: Any) -> Estimate:
    """The mean growth of a tangent vector, log |grad X_{0,1} w| - log |w|, a jump; w is carried along.

    For dx/dt = f(x) over a horizon T it is T times the largest exponent. Many short orbits serve as one long one.

    Args:
        X: the map that is repeated from time 0 to 1; its times stand for the same equation in every jump.
        x: states on the attractor, shape (B, D), at least 2: one orbit each.
        jumps: how many are counted.
        settle: jumps before those, in which w turns to the direction that grows most.
        condition: what v is told besides.

    Returns:
        the mean over the orbits and its standard error, numbers in float64.

    Raises:
        ValueError: if there are fewer than two points, one is not finite, or a count is wrong.

    Source: Benettin, Galgani, Giorgilli & Strelcyn 1980.
    """
    jumps, settle = checks.count("jumps", jumps), checks.whole("settle", settle)
    checks.points("x", x)
    checks.finite("x", x)
    if len(x) < 2:
        raise ValueError(f"x must hold at least 2 points, whose spread is the error; got {len(x)}")
    w = torch.ones_like(x) / math.sqrt(x[0].numel())
    grown = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for k in range(settle + jumps):
        x, w = X.push(0.0, 1.0, x, w, **condition)
        length = w.flatten(1).norm(dim=1)
        w = w / length.reshape(-1, *[1] * (w.ndim - 1))
        grown += length.double().log() if k >= settle else 0.0
    return estimate(grown / jumps)
