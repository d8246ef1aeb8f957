"""Numbers that say how good a map is: KL64, distance to the exact map, residuals of the three conditions."""

import functools
import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu import losses
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems import exact

BINS = 64
CELL = torch.arange(BINS) // (BINS // 4)
WHITE = (CELL[:, None] + CELL[None, :]) % 2 == 0  # (64, 64): the bins of the eight squares that carry mass


class Reference(Protocol):
    """What an exact problem offers; `exact.Gaussian`, `GaussianMixture` and `Checkerboard` do."""

    sigma: float
    dim: int

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws of x1, shape (n, dim)."""
        ...

    def flow_map(self, s: float | Tensor, t: float | Tensor, x: Tensor) -> Tensor:
        """X_{s,t}(x), shape (B, dim)."""
        ...


class KL64(NamedTuple):
    """KL64 in nats, the mass outside the white squares, and the KL64 of an exact sample of the same size."""

    kl: float
    leak: float
    floor: float


def counted(samples: Tensor) -> tuple[float, float]:
    """KL64 and leak of a set of points, without the floor."""
    column = ((samples + 1) * (BINS / 2)).floor().long()  # (N, 2)
    inside = ((column >= 0) & (column < BINS)).all(dim=1)
    flat = column[inside, 0] * BINS + column[inside, 1]
    count = torch.bincount(flat, minlength=BINS * BINS).reshape(BINS, BINS).double()
    n = len(samples)
    q = (count + 0.5) / (n + BINS * BINS / 2)
    p = 1 / int(WHITE.sum())
    return (p * (math.log(p) - q[WHITE].log())).sum().item(), 1 - count[WHITE].sum().item() / n


@functools.lru_cache(maxsize=16)
def floor64(n: int) -> float:
    """KL64 of n exact draws: what a perfect model would score with as many points (one fixed draw)."""
    return counted(exact.Checkerboard().sample(n, generator=torch.Generator().manual_seed(64)))[0]


def kl64(samples: Tensor) -> KL64:
    """How far the samples are from the checkerboard: sum of p log(p / q) over the 2,048 white bins.

    The plane is cut into 64 x 64 bins on [-1, 1]^2 whose lines fall on the squares' edges;
    p = 1 / 2048 on each white bin, q = (count + 1/2) / (N + 64 * 64 / 2). It falls with N
    for an exact sample, so compare at equal N: `floor` is what exact draws score. The usual N is
    1,000,000.

    Args:
        samples: points, shape (N, 2), in data units; those outside [-1, 1]^2 count as leak.

    Raises:
        ValueError: if the shape is not (N, 2) with N >= 1, or a point is not finite.
    """
    checks.points("samples", samples)
    if samples.ndim != 2 or samples.shape[1] != 2 or not len(samples):
        raise ValueError(f"samples must have shape (N, 2) with N >= 1, got {tuple(samples.shape)}")
    checks.finite("samples", samples)
    kl, leak = counted(samples)
    return KL64(kl, leak, floor64(len(samples)))


def at_time(reference: Reference, s: float, n: int, generator: torch.Generator) -> Tensor:
    """n draws of the interpolant I_s = (1 - s) x0 + s x1, shape (n, dim)."""
    x1 = reference.sample(n, generator=generator)
    return (1 - s) * reference.sigma * torch.randn(x1.shape, generator=generator) + s * x1


@functools.lru_cache(maxsize=16)
def exact_pairs(reference: Reference, s: float, t: float, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n draws of I_s and where the exact map carries them by t; kept, because the solve is the dear part."""
    checks.count("n", n)
    x = at_time(reference, s, n, torch.Generator().manual_seed(seed))
    return x, reference.flow_map(s, t, x)


def map_error(
    X: FlowMap, reference: Reference, *, s: float = 0.0, t: float = 1.0, steps: int = 1, n: int = 4096, seed: int = 0
) -> float:
    """Root mean square distance between N equal jumps of X from s to t and the exact map, in data units.

    sqrt( E |X_{s,t}(I_s) - X*_{s,t}(I_s)|^2 ), the points drawn from the interpolant at time s.

    Raises:
        ValueError: if s > t, a time leaves [0, 1], or steps or n is below 1.
    """
    checks.count("steps", steps)
    checks.ordered("s", s, "t", t)
    x, goal = exact_pairs(reference, s, t, n, seed)
    landed = x
    with torch.no_grad():
        for k in range(steps):
            landed = X(s + (t - s) * k / steps, s + (t - s) * (k + 1) / steps, landed)
        return losses.sum_square(landed - goal).mean().sqrt().item()


def residuals(X: FlowMap, reference: Reference, *, times: int = 9, n: int = 256, seed: int = 0) -> dict[str, Tensor]:
    """The three conditions' residuals of X, root mean square over draws of I_s, on a grid of s <= t.

    Each is measured with X's own diagonal as the velocity, and zero at every (s, t) exactly when X
    is the flow map of that velocity. The semigroup's is that of the map, through the midpoint.

    Args:
        times: the grid is 0, ..., 1 in so many equally spaced values.
        n: points a pair (s, t).

    Returns:
        "lagrangian", "eulerian" and "semigroup": shape (times, times), row s, column t; nan
        below the diagonal.

    Raises:
        ValueError: if times or n is below 1.
    """
    checks.count("times", times)
    checks.count("n", n)
    grid = torch.linspace(0, 1, times).tolist()
    generator = torch.Generator().manual_seed(seed)
    out = {name: torch.full((times, times), math.nan) for name in ("lagrangian", "eulerian", "semigroup")}
    with torch.no_grad():
        for i, s in enumerate(grid):
            x = at_time(reference, s, n, generator)
            for j, t in list(enumerate(grid))[i:]:
                S, T = torch.full((n,), s), torch.full((n,), t)
                squares = {
                    "lagrangian": losses.lagrangian(X, S, T, x, stopgrad="none"),
                    "eulerian": losses.eulerian(X, S, T, x, stopgrad="none"),
                    "semigroup": losses.semigroup(X, S, (S + T) / 2, T, x, stopgrad="none", velocity_form=False),
                }
                for name, square in squares.items():
                    out[name][i, j] = square.mean().sqrt()
    return out
