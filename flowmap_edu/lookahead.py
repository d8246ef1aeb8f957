"""Look ahead from a point on the way: the mean of the data, the map's own landing point, and what lies between."""

from typing import Any

from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap, Time
from flowmap_edu.interpolant import per_sample

__all__ = ["lookahead"]


def __dir__() -> list[str]:
    return sorted(__all__)


def lookahead(X: FlowMap, s: Time, u: Time, x: Tensor, **condition: Any) -> Tensor:
    """D_{s,u}(x) = x + (1 - s) v_{s,u}(x): go straight on to time 1 with the slope of the jump from s to u.

    At u = s the slope is the velocity, and D_{s,s}(x) is the mean of the data given the point, E[x1 | I_s = x] (on the
    straight path). It has the least mean square error. At u = 1 it is the landing point X_{s,1}(x), a sample of the
    right distribution. What is between them has some of both.

    Args:
        X: the map.
        s: the times of the points, a number or shape (B,).
        u: the ends of the jumps whose slopes are followed, s <= u <= 1.
        x: points at time s, shape (B, *D), in data units.
        condition: what v is told besides, such as label= of shape (B,).

    Returns:
        points at time 1, shape (B, *D).

    Raises:
        ValueError: if s > u, a time leaves [0, 1] or a shape is wrong.

    Source: for u = s, the conditional mean of Albergo, Boffi & Vanden-Eijnden 2023; for u = 1, the flow map of Boffi,
    Albergo & Vanden-Eijnden 2025.
    """
    checks.points("x", x)
    s, u = checks.times(x, s=s, u=u)
    return x + per_sample(1 - s, x) * X.v(s, u, x, **condition)
