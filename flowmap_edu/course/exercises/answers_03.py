"""What the exercises of lesson 03 are tried on, and their right answers, written apart from the lesson."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.course.exercises.hidden_03 import gauss
from flowmap_edu.flow_map import FlowMap

Condition = Callable[[FlowMap, Tensor, Tensor, Tensor], Tensor]


def jumps() -> list[tuple[FlowMap, Tensor, Tensor, Tensor]]:
    """A map that obeys no condition, and seven jumps: (X, s, t, x)."""
    s, t = times(7)
    return [(curved(), s, t, points(7))]


def lagrangian(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/dt X_{s,t}(x) - v_{t,t}(X_{s,t}(x))."""
    landed, moves = X.partial_t(s, t, x)
    return moves - X.velocity(t, landed)


def eulerian(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/ds X_{s,t}(x) + grad X_{s,t}(x) v_{s,s}(x)."""
    return X.eulerian(s, t, x, X.velocity(s, x))[1]


def semigroup(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """X_{u,t}(X_{s,u}(x)) - X_{s,t}(x), with u half way."""
    u = (s + t) / 2
    return X(u, t, X(s, u, x)) - X(s, t, x)


def limits(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """The semigroup residual with the stop next to an end, divided by the step; at the end with a minus."""
    one = X(s, t, x)
    by_end, by_start = X(t - step, t, X(s, t - step, x)), X(s + step, t, X(s, s + step, x))
    return (one - by_end) / step, (by_start - one) / step


def table(
    condition: Condition,
    X: FlowMap,
    points: Tensor,
    grid: Tensor,
    one_number: Callable[[Tensor], Tensor] = lambda r: r.square().sum(1).mean().sqrt(),
    at_end: bool = False,
) -> Tensor:
    """r(s, t) for s <= t, zero below the diagonal."""
    out = torch.zeros(len(grid), len(grid), dtype=grid.dtype)
    for i, j in torch.triu_indices(len(grid), len(grid)).T.tolist():
        x = points[j if at_end else i]
        out[i, j] = one_number(condition(X, grid[i].repeat(len(x)), grid[j].repeat(len(x)), x))
    return out


def tabled() -> list[tuple[Condition, FlowMap, Tensor, Tensor]]:
    """(condition, X, points, grid): four times and five points for each."""
    return [(lagrangian, curved(), points(20).reshape(4, 5, 2), torch.linspace(0, 1, 4, dtype=torch.float64))]


def off_diagonal(X: FlowMap, t: Tensor, x: Tensor) -> Tensor:
    """sqrt E |v_{t,t}(x) - b_t(x)|^2."""
    return (X.velocity(t, x) - gauss().velocity(t, x)).square().sum(1).mean().sqrt()


def taught(X: FlowMap, b: Callable[[Tensor, Tensor], Tensor], s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/dt X_{s,t}(x) - b_t(X_{s,t}(x))."""
    landed, moves = X.partial_t(s, t, x)
    return moves - b(t, landed)


def mistaken(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The Eulerian residual with the velocity at (t, X_{s,t}(x)), and without grad X."""
    landed, clock = X.partial_s(s, t, x)
    return clock + X.push(s, t, x, X.velocity(t, landed))[1], clock + X.velocity(s, x)


def many_jumps(X: FlowMap, s: float, t: float, x: Tensor, N: int) -> Tensor:
    """Where x is after N equal jumps from s to t."""
    stops = torch.linspace(s, t, N + 1, dtype=torch.float64).tolist()
    for a, b in pairwise(stops):
        x = X(a, b, x)
    return x


def size(condition: Condition, X: FlowMap, s: Tensor, x: Tensor, d: float) -> Tensor:
    """The root mean square residual for jumps of the length d."""
    return condition(X, s, s + d, x).square().sum(1).mean().sqrt()


def power(condition: Condition, X: FlowMap, s: Tensor, x: Tensor, d: float = 1e-3) -> Tensor:
    """The power of t - s, from jumps of the lengths d and 2 d."""
    return torch.log2(size(condition, X, s, x, 2 * d) / size(condition, X, s, x, d))


def early_starts() -> list[tuple[Condition, FlowMap, Tensor, Tensor]]:
    """(condition, X, s, x), with room for a jump after s."""
    return [(condition, curved(), 0.9 * times(6, 1)[0], points(6)) for condition in (lagrangian, semigroup)]
