"""The target by near data points: brute force over the cells, no bias, little variance, the exact velocities."""

import math

import pytest
import torch

from flowmap_edu import problems
from flowmap_edu.interpolant import Linear, Trigonometric
from flowmap_edu.problems import FromTensor
from flowmap_edu.training import near
from flowmap_edu.training.near import Near

TIMES = (0.9, 0.95, 0.98, 0.99, 0.997)


def drawn(problem, path, t: float, n: int, seed: int):
    """n interpolants at one time with their slopes and data points."""
    generator = torch.Generator().manual_seed(seed)
    x1, x0 = problem.sample(n, generator)[0], problem.base(n, generator)
    times = torch.full((n,), t)
    return times, *path(times, x0, x1), x1


def uniform(dim: int):
    """Samples spread evenly over a cube of another scale than the board's."""
    return FromTensor(20 * torch.rand(5000, dim, generator=torch.Generator().manual_seed(dim)) - 3)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_neighbours_are_those_in_the_cells_around(dim):
    """The sum over the runs of the sorted pool is that over all points of the sample's part, by a loop over them."""
    problem, path = uniform(dim), Linear()
    pool = Near(problem, path, seed=3)
    pool.fill(0)
    points = problem.sample(near.POOL, torch.Generator().manual_seed(3 + 2 * 7_368_787))[0]
    t, x, own, x1 = drawn(problem, path, 0.97, 40, seed=4)
    found = pool.target(t, x, own, x1, torch.Generator().manual_seed(9))
    level = int((2 * (pool.side[0] * 0.97 / (near.REACH * 0.03 * problem.sigma)).log2()).floor())
    origin, side = pool.origin[level], pool.side[level]
    assert 3 <= side / (problem.sigma * 0.03 / 0.97) <= 3 * math.sqrt(2) + 1e-4
    cell = lambda z: ((z - origin) / side).floor()  # noqa: E731
    size, averaged = pool.sizes[level], 0
    part = (torch.rand(40, generator=torch.Generator().manual_seed(9)) * (near.POOL // size)).long()
    assert near.POOL // size == 1 or part.unique().numel() > 1
    for i in range(40):
        middle = cell(x[i] / 0.97)
        kept = points[part[i] * size : (part[i] + 1) * size]
        kept = kept[((cell(kept) - middle).abs() <= 1).all(1)]
        wanted = own[i]
        if len(kept) <= near.BANK and bool(((cell(x1[i]) - middle).abs() <= 1).all()):
            y = torch.cat([kept, x1[i : i + 1]]).double()
            w = (-(x[i].double() - 0.97 * y).square().sum(1) / (2 * (0.03 * problem.sigma) ** 2)).softmax(0)
            wanted = ((w @ y - x[i]) / 0.03).float()
            averaged += len(kept) > 3
        torch.testing.assert_close(found[i], wanted, rtol=2e-3, atol=2e-3 * problem.sigma)
    assert averaged > 20


@pytest.mark.parametrize("path", [Linear(), Trigonometric()], ids=["linear", "trigonometric"])
def test_less_variance_and_no_bias(path):
    """The target minus dI_t has the mean 0 against 1 and any function of x; dI_t varies at least six times as much."""
    board, t = problems.Checkerboard(), 0.97
    gaps, spread = [], []
    pool = Near(board, path, seed=0)
    for number in range(12):
        pool.fill(number)
        times, x, own, x1 = drawn(board, path, t, 2000, seed=number)
        target = pool.target(times, x, own, x1)
        gap = target - own
        gaps.append(torch.cat([gap, gap * x, gap * torch.sin(40 * x)], 1))
        if isinstance(path, Linear):
            b = board.velocity(t, x)
            spread.append(((own - b).square().sum(1).mean(), (target - b).square().sum(1).mean()))
    gaps = torch.cat(gaps)
    assert (gaps.mean(0).abs() < 4 * gaps.std(0) / math.sqrt(len(gaps))).all()
    if spread:
        plain, averaged = torch.tensor(spread).mean(0)
        assert averaged < plain / 6


@pytest.mark.parametrize("t", TIMES)
def test_at_all_late_times_it_is_quieter_than_the_samples_own(t):
    """On the board the error to the exact velocity falls at least fivefold, from t = 0.9 to 0.997."""
    board = problems.Checkerboard()
    pool = Near(board, Linear(), seed=1)
    pool.fill(0)
    times, x, own, x1 = drawn(board, Linear(), t, 4000, seed=2)
    b = board.velocity(t, x)
    plain, averaged = ((z - b).square().sum(1).mean() for z in (own, pool.target(times, x, own, x1)))
    assert averaged < plain / 5


def test_the_last_times_keep_their_own():
    """At t = 1, and where the data point is not in the cells around x / b, dI_t comes back to the bit."""
    board = problems.Checkerboard()
    pool = Near(board, Linear(), seed=1)
    pool.fill(0)
    times, x, own, x1 = drawn(board, Linear(), 1.0, 50, seed=2)
    assert torch.equal(pool.target(times, x, own, x1), own)
    times, x, own, x1 = drawn(board, Linear(), 0.98, 50, seed=2)
    assert torch.equal(pool.target(times, x, own, x1 + 0.9), own)
    assert not torch.equal(pool.target(times, x, own, x1), own)


def test_the_compiled_arithmetic_is_the_same():
    """To rounding."""
    board = problems.Checkerboard()
    found = []
    for fast in (False, True):
        pool = Near(board, Linear(), seed=1, fast=fast)
        pool.fill(0)
        found.append(pool.target(*drawn(board, Linear(), 0.98, 200, seed=2), torch.Generator().manual_seed(3)))
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)
