"""How far a map is from what it should be: from the exact map, from the three conditions, from itself in more steps."""

import functools
import math
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu import losses
from flowmap_edu import times as grids
from flowmap_edu.flow_map import FlowMap

CONDITIONS = ("lagrangian", "eulerian", "semigroup")


class Data(Protocol):
    """What every `Problem` offers."""

    @property
    def sigma(self) -> float:
        """Standard deviation of the base."""
        ...

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        """Draws of x1, shape (n, *D), and their labels, if there are any."""
        ...


class Reference(Data, Protocol):
    """What a problem that is known exactly offers besides."""

    def flow_map(self, s: float | Tensor, t: float | Tensor, x: Tensor) -> Tensor:
        """X_{s,t}(x), shape (B, dim)."""
        ...


def root_mean_square(difference: Tensor) -> float:
    """sqrt( E |d|^2 ), d of shape (B, *D)."""
    return losses.sum_square(difference).mean().sqrt().item()


def at_time(problem: Data, s: float, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """n draws of the interpolant I_s = (1 - s) x0 + s x1, shape (n, *D), and the samples' labels, if there are any.

    Raises:
        ValueError: if s leaves [0, 1], n is below 1, or the problem has no path from Gaussian noise to data.
    """
    s = checks.share("s", s)
    if not getattr(problem, "from_noise", True):
        raise ValueError(
            f"problem must have a path from Gaussian noise to data, {checks.kind(problem)} has none: its points are "
            "states of a known equation. Take problem.evaluate(X) or problem.error(X)"
        )
    x1, label = problem.sample(n, generator)
    return (1 - s) * problem.sigma * torch.randn(x1.shape, generator=generator) + s * x1, label


def exact_pairs(reference: Reference, s: float, t: float, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n draws of I_s and where the exact map carries them by t; the last 16 answers are kept, for the solve is slow."""
    return solved(reference, s, t, n, seed, torch.get_default_dtype())


@functools.lru_cache(maxsize=16)
def solved(
    reference: Reference,
    s: float,
    t: float,
    n: int,
    seed: int,
    dtype: torch.dtype,  # noqa: ARG001  of the draws
) -> tuple[Tensor, Tensor]:
    """`exact_pairs`, computed once for each type of numbers."""
    x, _ = at_time(reference, s, n, checks.generator(seed))
    return x, reference.flow_map(s, t, x)


def map_error(
    X: FlowMap, reference: Reference, *, s: float = 0.0, t: float = 1.0, steps: int = 1, n: int = 4096, seed: int = 0
) -> float:
    """Root mean square distance between N equal jumps of X from s to t and the exact map, in data units.

    sqrt( E |X_{s,t}(I_s) - X*_{s,t}(I_s)|^2 ), the points drawn from the interpolant at time s.

    Args:
        X: the map.
        reference: a problem whose flow map is known, such as Checkerboard().
        s, t: start and end time, s <= t.
        steps: the number N of jumps.
        n: points drawn.
        seed: of the points.

    Raises:
        ValueError: if s > t, a time leaves [0, 1], steps or n is below 1, or the reference has no exact flow map.
    """
    if not hasattr(reference, "flow_map"):
        raise ValueError(f"reference must be a problem with an exact flow_map, got {checks.kind(reference)}")
    ends = grids.equal(s, t, steps)
    x, goal = exact_pairs(reference, ends[0], ends[-1], checks.count("n", n), seed)
    landed = x
    with torch.no_grad():
        for start, end in pairwise(ends):
            landed = X(start, end, landed)
        return root_mean_square(landed - goal)


def residuals_at(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
    """The three conditions' squared residuals of X at points x of time s, shape (B,) each, without gradient.

    Each is measured with X's own diagonal as the velocity. The semigroup's is that of the map, through the midpoint.
    """
    with torch.no_grad():
        return {
            "lagrangian": losses.lagrangian(X, s, t, x, stopgrad="none"),
            "eulerian": losses.eulerian(X, s, t, x, stopgrad="none"),
            "semigroup": losses.semigroup(X, s, (s + t) / 2, t, x, stopgrad="none", velocity_form=False),
        }


def residuals(X: FlowMap, problem: Data, *, times: int = 9, n: int = 256, seed: int = 0) -> dict[str, Tensor]:
    """The three conditions' residuals of X, root mean square over draws of I_s, on a grid of s <= t.

    They are zero at every (s, t) exactly when X is the flow map of the velocity on its own diagonal (`residuals_at`).

    Args:
        X: the map; with labels it is told those of the draws.
        problem: where the draws come from.
        times: the grid is 0, ..., 1 in so many equally spaced values.
        n: points a pair (s, t).
        seed: of the points.

    Returns:
        "lagrangian", "eulerian" and "semigroup": shape (times, times), row s, column t; nan
        below the diagonal.

    Raises:
        ValueError: if times or n is below 1, or the problem is a known equation, which has no path from noise to data.
    """
    times, n, generator = checks.count("times", times), checks.count("n", n), checks.generator(seed)
    grid = torch.linspace(0, 1, times).tolist()
    out = {name: torch.full((times, times), math.nan) for name in CONDITIONS}
    for i, s in enumerate(grid):
        x, label = at_time(problem, s, n, generator)
        told = X.conditioned(label=label)
        for j, t in list(enumerate(grid))[i:]:
            for name, square in residuals_at(told, torch.full((n,), s), torch.full((n,), t), x).items():
                out[name][i, j] = square.mean().sqrt()
    return out


def semigroup_gap(X: FlowMap, x0: Tensor, steps: int, finest: int = 16, label: Tensor | None = None) -> float:
    """Root mean square distance between where N equal jumps and `finest` equal jumps carry the same noise.

    0 for a flow map, at every N. It says how well a map agrees with itself, and nothing of the data.

    Args:
        X: the map.
        x0: draws from the base, shape (B, *D).
        steps: the number N of jumps.
        finest: the number of jumps to compare with.
        label: classes, shape (B,), for a map that is told of them.

    Raises:
        ValueError: if a number is below 1, or x0 or label is refused by the map.
    """
    jumps = FlowMap(X.slope)  # whatever X's own sampler is
    return root_mean_square(jumps.sample(x0, steps, label=label) - jumps.sample(x0, finest, label=label))
