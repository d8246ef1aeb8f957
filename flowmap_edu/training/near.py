r"""The quieter target at late times: an average over data points near x / b, from samples alone.

As t -> 1 the weights of `targets.stable` fall on the few data points within a(t) sigma / b(t) of x / b, of which a
bank of a thousand has none but x1 itself. So a large pool of data points is sorted into the cells of grids, and the
average is taken over x1 and all points of a part of the pool in the 3^D cells around x / b. Each sample draws its part
anew: with the same few points for many steps a network would learn their places.

The target keeps the mean of dI_t. If x1 lies in those cells, then x1 and the part's points there are draws from the
same data, restricted to the cells, and each of them could have been x1. If x1 lies elsewhere, the sample keeps its own
dI_t. The same holds if there are more than BANK points: their number does not tell which of them was x1.
"""

import itertools
import math

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.interpolant import Interpolant
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training.compiling import compiled
from flowmap_edu.training.targets import posterior_mean

POOL = 2**18  # data points
BANK = 256  # points that an average is taken over, at most
REACH = 3.0  # a cell is at least this many deviations a sigma / b wide, and at most sqrt(2) times as many
COARSEST, FINEST = 0.25, 0.002  # deviations a / b, in units of sigma, that the grids' cells are made for
LATEST = 0.998  # beyond it rounding is amplified, and few points are near: samples keep their own target


class Near:
    """A pool of data points in the cells of grids, each sqrt(2) times as fine as the one before.

    In a coarse grid the pool is cut into parts, so that few neighbourhoods have more than BANK points of one part.

    Args:
        problem: points of at most FEW entries.
        interpolant: the path.
        seed: of the pools.
        fast: whether the arithmetic is compiled.
    """

    def __init__(self, problem: Problem, interpolant: Interpolant, seed: int, *, fast: bool = False):
        self.problem, self.interpolant, self.seed = problem, interpolant, seed
        widest = REACH * problem.sigma * COARSEST
        levels = 1 + math.ceil(2 * math.log2(COARSEST / FINEST))
        self.side = widest / 2 ** (torch.arange(levels) / 2)  # of a cell, (levels,)
        around = list(itertools.product((-1, 0, 1), repeat=problem.shape[0] - 1))
        self.steps = torch.tensor(around, dtype=torch.int64)  # (3^(D - 1), D - 1)
        self.mean = compiled(neighbours_mean) if fast else neighbours_mean
        self.number: int | None = None  # of the pool that is there
        self.sizes = [POOL] * levels
        self.fill(-1)
        self.sizes = self.fitting()

    def fill(self, number: int) -> None:
        """Draw a pool, and grids with new origins, from the seed and the pool's number, unless it is there already."""
        if number == self.number:
            return
        self.number = number
        generator = checks.generator(self.seed, plus=7_368_787 * (number + 2))
        points, _ = self.problem.sample(POOL, generator)
        low, high = points.min(0).values, points.max(0).values
        self.origin = low - self.side[:, None] * (2 + torch.rand(points.shape[1], generator=generator))  # (levels, D)
        self.cells = ((high - self.origin) / self.side[:, None]).ceil().long() + 3  # of each grid along each axis
        keys, kept = [], []
        for level, size in enumerate(self.sizes):
            whole = points[: POOL // size * size]
            levels, parts = torch.full((len(whole),), level), torch.arange(len(whole)) // size
            sorted_keys, order = self.key(levels, parts, self.cell(levels, whole)).sort()
            keys.append(sorted_keys)
            kept.append(whole[order])
        self.keys, self.points = torch.cat(keys), torch.cat(kept)

    def fitting(self) -> list[int]:
        """Sizes of a part with which 19 of 20 neighbourhoods of data expect three deviations less than BANK points."""
        sizes, wanted = [], BANK - 3 * BANK**0.5
        probes = self.problem.sample(1000, checks.generator(self.seed, plus=7_368_787))[0]
        for level in range(len(self.side)):
            levels = torch.full((len(probes),), level)
            first, last = self.rows(levels, torch.zeros_like(levels), self.cell(levels, probes))
            many = (last - first).sum(1).double().quantile(0.95).item()
            sizes.append(min(POOL, int(POOL * wanted / max(many, 1))))
        return sizes

    def cell(self, level: Tensor, x: Tensor) -> Tensor:
        """The cell of each x, (n, D), in the grid of its level; points outside count to the cells at the border."""
        cell = ((x - self.origin[level]) / self.side[level][:, None]).floor().long()
        return cell.clamp_min(1).minimum(self.cells[level] - 2)

    def key(self, level: Tensor, part: Tensor, cell: Tensor) -> Tensor:
        """One number for a level, a part and a cell; neighbours along the last axis have neighbouring numbers."""
        key = level * POOL + part
        for axis in range(cell.shape[-1]):
            key = key * int(self.cells[:, axis].max()) + cell[..., axis]
        return key

    def rows(self, level: Tensor, part: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Where a part's points in the 3^D cells around a cell stand: 3^(D-1) runs, first and last + 1, (n, runs)."""
        rows = torch.cat([cell[:, None, :-1] + self.steps, cell[:, None, -1:].expand(-1, len(self.steps), 1)], 2)
        key = self.key(level[:, None], part[:, None], rows)
        return torch.searchsorted(self.keys, key - 1), torch.searchsorted(self.keys, key + 2)

    def target(self, t: Tensor, x: Tensor, own: Tensor, x1: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The estimate of E[dI_t | I_t = x], or dI_t itself, shape (n, D).

        Args:
            t: times, shape (n,).
            x: the interpolant I_t, shape (n, D).
            own: dI_t of the sample itself, shape (n, D).
            x1: the data point of the sample itself, shape (n, D).
            generator: draws each sample's part of the pool.
        """
        a, b, da, db = (c[:, None] for c in self.interpolant.coefficients(t.clamp_max(LATEST)))
        scale = a * self.problem.sigma
        level = (2 * (self.side[0] * b / (REACH * scale)).log2()).floor().long()[:, 0].clamp(0, len(self.side) - 1)
        middle = self.cell(level, x / b)
        parts = POOL // torch.tensor(self.sizes)[level]
        part = (torch.rand(len(t), generator=generator) * parts).long()
        first, last = self.rows(level, part, middle)
        inside = ((self.cell(level, x1) - middle).abs() <= 1).all(1)
        used = inside & ((last - first).sum(1) <= BANK) & (t < LATEST)
        mean = self.mean(x, b, scale, x1, self.points, first, last)
        return torch.where(used[:, None], da * (x - b * mean) / a + db * mean, own)


def neighbours_mean(
    x: Tensor, b: Tensor, scale: Tensor, x1: Tensor, points: Tensor, first: Tensor, last: Tensor
) -> Tensor:
    """`posterior_mean` over x1 and the points in the runs first..last, at most BANK; shape (n, D)."""
    ends = (last - first).cumsum(1)  # (n, rows)
    slot = torch.arange(BANK, device=x.device)
    row = (slot[:, None] >= ends[:, None]).sum(2).clamp_max(ends.shape[1] - 1)  # (n, BANK)
    place = slot + (last - ends).gather(1, row)
    y = points[place.clamp(0, len(points) - 1)]  # (n, BANK, D)
    counts = (slot < ends[:, -1:]).to(x.dtype)
    y, counts = torch.cat([y, x1[:, None]], 1), torch.cat([counts, torch.ones_like(counts[:, :1])], 1)
    return posterior_mean(x, b, scale, y, counts)
