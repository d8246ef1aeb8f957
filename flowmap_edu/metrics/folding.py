"""Folding: how often a map turns space inside out."""

from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.likelihood import jacobian

__all__ = ["folding"]


@torch.no_grad()
def folding(X: FlowMap, x0: Tensor, steps: int = 1, **condition: Any) -> float:
    """The share of points at which a jump has a negative determinant, det grad X_{s,t}(x) < 0.

    A flow never folds: its determinants are positive. So this is an error of a trained map that needs no truth. Where a
    map folds, two points of noise land on one point.

    Args:
        X: the map; it draws by jumps.
        x0: draws from the base, shape (B, *D), at most 64 coordinates.
        steps: how many equal jumps; a point counts once if any of them has a negative determinant.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if there are more than 64 coordinates, or x0 is empty or not finite.
    """
    steps, x = checks.count("steps", steps), x0
    checks.points("x0", x0)
    checks.finite("x0", x0)
    if not len(x0):
        raise ValueError(f"x0 must hold at least one point, got shape {tuple(x0.shape)}")
    folded = torch.zeros(len(x0), dtype=torch.bool, device=x0.device)
    for k in range(steps):
        x, J = jacobian(X, k / steps, (k + 1) / steps, x, **condition)
        folded |= torch.linalg.det(J.double()) < 0
    return float(folded.double().mean())
