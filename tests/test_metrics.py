"""KL64 against exact expectations and known wrong densities; map error; residuals in closed form."""

import functools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from flowmap_edu import metrics, problems
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import errors, kl

BOARD = problems.Checkerboard()
K = 2048  # white bins
EDGES = np.linspace(-1, 1, 65)


def white_bins() -> np.ndarray:
    """(64, 64): whether the centre of a bin lies in a white square, by the board's definition (i + j even)."""
    square = np.floor((EDGES[:-1] + 1 / 64 + 1) * 2).astype(int)
    return (square[:, None] + square[None, :]) % 2 == 0


WHITE = white_bins()


def log_count(rate: float) -> tuple[float, float]:
    """Mean of log(C + 1/2), C ~ Poisson(rate), and what is left of its variance when all counts sum to N."""
    c = np.arange(max(0, int(rate - 12 * rate**0.5 - 40)), int(rate + 12 * rate**0.5 + 60))
    p, y = stats.poisson.pmf(c, rate), np.log(c + 0.5)
    mean = p @ y
    slope = p @ (y * (c - rate)) / max(rate, 1e-300)
    return mean, p @ (y - mean - slope * (c - rate)) ** 2


def expected_kl64(mass: np.ndarray, n: int) -> tuple[float, float]:
    """Mean and standard error of KL64 of n draws from a density with these masses on the 64 x 64 bins.

    KL64 = log((n + 2048) / 2048) - mean of log(C + 1/2) over the white bins; counts are binomial,
    here Poisson with n p, whose error is far below the sampling error for bins this small.
    """
    rates, times = np.unique(np.round(n * mass[WHITE], 9), return_counts=True)
    means, variances = np.array([log_count(rate) for rate in rates]).T
    # where the masses differ a linear part of the variance stays: that of log(mass), weighted
    linear = times @ (1 / np.maximum(rates, 1.0)) / K**2 - 1 / n
    error = math.sqrt(times @ variances / K**2 + max(linear, 0.0))
    return math.log((n + 2048) / 2048) - times @ means / K, error


# --- KL64 ------------------------------------------------------------------------------------------


def test_the_white_bins_are_the_board():
    """The bins that KL64 counts are those where exact draws fall, and no others: 2,048 of them."""
    assert np.array_equal(kl.WHITE.numpy(), WHITE)
    assert WHITE.sum() == K
    x = BOARD.sample(100_000)[0]
    i, j = ((x + 1) * 32).floor().long().T
    assert WHITE[i, j].all()
    assert metrics.kl64(x).leak == 0


@pytest.mark.parametrize("n", [20_000, 100_000, 1_000_000])
def test_exact_samples_score_their_floor(n):
    """KL64 of exact draws has the mean that the counts' distribution gives; about 2048/n for large n.

    (2048 - 1) / 2n is the noise of the counts, and 1024 / n the half counts that lie on black bins.
    """
    mean, error = expected_kl64(WHITE / K, n)
    score = metrics.kl64(BOARD.sample(n)[0])
    assert abs(score.kl - mean) < 4 * error
    assert abs(score.floor - mean) < 4 * error
    assert abs(score.kl - score.floor) < 4 * math.sqrt(2) * error
    if n == 1_000_000:
        assert mean == pytest.approx((K - 1) / (2 * n) + 1024 / n, rel=0.01)
        assert error < 1e-4


@functools.cache
def wrong(name: str) -> tuple[np.ndarray, float, float, torch.Tensor]:
    """A known wrong density: masses on the bins, its KL64 with infinitely many draws, its leak, 200,000 draws."""
    g, n = torch.Generator().manual_seed(1), 200_000
    if name == "uniform on the plane":
        return np.full((64, 64), 1 / 4096), math.log(2), 0.5, 2 * torch.rand(n, 2, generator=g) - 1
    if name == "normal":
        # each axis N(0, 1/3), as the board's own moments: mass inside and outside [-1, 1]^2
        sigma = 3**-0.5
        axis = np.diff(stats.norm.cdf(EDGES, scale=sigma))
        mass = np.outer(axis, axis)
        limit = float(-np.log(K * mass[WHITE]).mean())
        return mass, limit, 1 - mass[WHITE].sum(), sigma * torch.randn(n, 2, generator=g)
    if name == "uneven squares":
        # the 8 white squares with masses 1 : 2 : ... : 8
        weight = np.arange(1, 9) / 36
        i, j = np.array([(i, j) for i in range(4) for j in range(4) if (i + j) % 2 == 0]).T
        mass = np.zeros((64, 64))
        for w, a, b in zip(weight, i, j, strict=True):
            mass[16 * a : 16 * a + 16, 16 * b : 16 * b + 16] = w / 256
        k = torch.multinomial(torch.tensor(weight), n, replacement=True, generator=g)
        corner = torch.stack([torch.tensor(i)[k], torch.tensor(j)[k]], 1)
        draws = (corner + torch.rand(n, 2, generator=g)) / 2 - 1
        return mass, float(-np.log(8 * weight).mean()), 0.0, draws
    raise KeyError(name)


@pytest.mark.parametrize("name", ["uniform on the plane", "normal", "uneven squares"])
def test_known_wrong_densities_score_their_divergence(name):
    """KL64 and leak of draws from a known density are its analytic values, within 4 standard errors."""
    mass, limit, leak, x = wrong(name)
    n = len(x)
    assert mass[WHITE].sum() == pytest.approx(1 - leak, abs=1e-12)
    mean, error = expected_kl64(mass, n)
    score = metrics.kl64(x)
    assert abs(score.kl - mean) < 4 * error
    assert abs(score.leak - leak) < 4 * math.sqrt(leak * (1 - leak) / n) + 1e-12
    assert abs(expected_kl64(mass, 10**8)[0] - limit) < 1e-4  # what it tends to: the densities' own divergence


def test_a_missing_square_costs_an_eighth_of_the_log_of_the_half_count():
    """Without one square: (1/8) log((n + 2048) / 1024) from its empty bins, the rest is the 7 even squares."""
    n = 100_000
    x = BOARD.sample(n * 2)[0]
    x = x[~((x > -1) & (x < -0.5)).all(1)][:n]  # without square (0, 0)
    mass = np.where(WHITE, 1 / 1792, 0.0)
    mass[:16, :16] = 0
    mean, error = expected_kl64(mass, n)
    full, _ = log_count(n / 1792)
    by_hand = math.log((n + 2048) / 2048) + math.log(2) / 8 - 7 / 8 * full
    assert mean == pytest.approx(by_hand, abs=1e-10)
    score = metrics.kl64(x)
    assert abs(score.kl - mean) < 4 * error
    assert score.leak == 0


def test_kl64_by_hand_on_four_points():
    """Counts 3 in one white bin and 1 outside: sum of p log(p / q) written with plain arithmetic."""
    x = torch.tensor([[-0.99, -0.99]] * 3 + [[5.0, 0.0]])
    q_full, q_empty = 3.5 / 2052, 0.5 / 2052
    by_hand = math.log(1 / K) - (math.log(q_full) + (K - 1) * math.log(q_empty)) / K
    score = metrics.kl64(x)
    assert score.kl == pytest.approx(by_hand, abs=1e-12)
    assert score.leak == 0.25


@pytest.mark.parametrize(("shift", "leak"), [(0.25, 0.5), (0.5, 1.0), (1.0, 0.5), (2.5, 1.0)])
def test_leak_of_a_shifted_board(shift, leak):
    """Half a square moves half the mass off white, a square all, two squares half (beyond 1), five all."""
    n = 100_000
    x = BOARD.sample(n)[0] + torch.tensor([shift, 0.0])
    assert abs(metrics.kl64(x).leak - leak) <= 4 * math.sqrt(leak * (1 - leak) / n) + 1e-4


# --- distance to the exact map ---------------------------------------------------------------------

PROBLEMS = {
    "gaussian": problems.Gaussian(torch.tensor([0.8, -0.3]), 0.4, 1.1),
    "mixture": problems.GaussianMixture(torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), 0.3),
    "board": BOARD,
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_exact_map_has_no_error(name, steps):
    """map_error of the exact map is rounding (Gaussian) or the ODE solver's tolerance, in any number of jumps."""
    problem = PROBLEMS[name]
    n, t = (512, 1.0) if name == "gaussian" else (64, 0.9)
    for s in (0.0, 0.4):
        error = metrics.map_error(FlowMap(problem.v), problem, s=s, t=t, steps=steps, n=n)
        assert error < (1e-13 if name == "gaussian" else 1e-7)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("s", "t"), [(0.0, 1.0), (0.2, 0.7)])
def test_a_shifted_map_is_off_by_the_shift(s, t):
    """If v is off by a constant d, the map of one jump is off by exactly (t - s) |d|."""
    problem, d = PROBLEMS["gaussian"], torch.tensor([0.3, -0.4])
    X = FlowMap(lambda s, t, x: problem.v(s, t, x) + d)
    assert metrics.map_error(X, problem, s=s, t=t) == pytest.approx((t - s) * 0.5, abs=1e-12)


@pytest.mark.usefixtures("float64")
def test_the_error_of_euler_steps_is_of_first_order():
    """Jumps x + (t - s) b_s(x) are Euler's method: twice the steps, half the error (fitted order 1)."""
    problem = PROBLEMS["gaussian"]
    X = FlowMap(lambda s, t, x: problem.velocity(s, x))  # noqa: ARG005
    steps = np.array([64, 128, 256])
    errors = [metrics.map_error(X, problem, steps=int(k), n=256) for k in steps]
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(-1, abs=0.03)


@pytest.mark.usefixtures("float64")
def test_the_map_that_stays_is_off_by_the_distance_travelled():
    """For X = identity and a centred Gaussian the error is sqrt(dim) |S(t) - S(s)|, up to the sampling of |x|."""
    problem = problems.Gaussian(0.0, 0.5, 1.0)
    error = metrics.map_error(FlowMap(lambda s, t, x: 0 * x), problem, n=20_000)  # noqa: ARG005
    assert error == pytest.approx(math.sqrt(2) * 0.5, rel=4 / math.sqrt(4 * 20_000))  # sd of the rms of 2 n normals


def test_the_exact_map_of_the_same_points_is_solved_once():
    """For any number of jumps and any board; again for other points, another end, and another type of numbers."""

    class Board(problems.Checkerboard):
        solved = 0

        def flow_map(self, s, t, x, **how):
            Board.solved += 1
            assert x.dtype == torch.get_default_dtype()
            return super().flow_map(s, t, x, **how)

    stay = FlowMap(lambda s, t, x: 0 * x)  # noqa: ARG005
    found = [metrics.map_error(stay, Board(), steps=k, n=20) for k in (1, 2, 3)]
    assert Board.solved == 1
    assert found == [found[0]] * 3
    x, goal = errors.exact_pairs(Board(), 0.0, 1.0, 20, 0)
    torch.testing.assert_close(goal, BOARD.flow_map(0.0, 1.0, x))
    assert found[0] == pytest.approx((goal - x).square().sum(1).mean().sqrt().item())
    metrics.map_error(stay, Board(), n=20, seed=1)
    metrics.map_error(stay, Board(), n=20, t=0.5)
    assert Board.solved == 3
    assert Board() != BOARD == problems.Checkerboard()


@pytest.mark.usefixtures("float64")
def test_points_kept_from_before_have_the_present_type():
    """Points solved for in float32 do not answer a question in float64."""
    kinds = []
    X = FlowMap(lambda s, t, x: kinds.append(x.dtype) or 0 * x)  # noqa: ARG005
    for dtype in (torch.float64, torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        metrics.map_error(X, PROBLEMS["gaussian"], n=17)
    assert kinds == [torch.float64, torch.float32, torch.float64]


@pytest.mark.parametrize("s", [0.0, 0.3, 1.0])
def test_points_are_drawn_from_the_interpolant(s):
    """at_time draws I_s: mean s m and standard deviation S(s), within 4 standard errors."""
    problem, n = PROBLEMS["gaussian"], 40_000
    x = errors.at_time(problem, s, n, torch.Generator().manual_seed(0))[0].double()
    spread = math.hypot((1 - s) * problem.sigma, s * problem.std)
    assert (x.mean(0) - s * problem.mean).abs().max() < 4 * spread / n**0.5
    assert (x.std(0) / spread - 1).abs().max() < 4 / math.sqrt(2 * n)


# --- residuals -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("float64")
def test_residuals_vanish_on_the_exact_gaussian_map():
    """All three are rounding at every s <= t; nan below the diagonal and only there."""
    problem = PROBLEMS["gaussian"]
    found = metrics.residuals(FlowMap(problem.v), problem, times=6, n=32)
    assert set(found) == {"lagrangian", "eulerian", "semigroup"}
    upper = torch.ones(6, 6).triu().bool()
    for name, table in found.items():
        assert torch.equal(torch.isfinite(table), upper), name
        assert table[upper].max() < 1e-12, name


@pytest.mark.usefixtures("float64")
def test_residuals_of_a_straight_line_map():
    """For v_{s,t}(x) = a x:  a^2 (t - s) |x| twice, and a^2 (t - s)^2 / 4 |x| for the semigroup's midpoint.

    With E |I_s|^2 = dim S(s)^2 + s^2 |m|^2 known, the tables are known up to sampling.
    """
    problem, a, times, n = PROBLEMS["gaussian"], 0.7, 5, 20_000
    found = metrics.residuals(FlowMap(lambda s, t, x: a * x), problem, times=times, n=n)  # noqa: ARG005
    grid = torch.linspace(0, 1, times)
    s, t = grid[:, None], grid[None, :]
    spread2 = (1 - s) ** 2 * problem.sigma**2 + s**2 * problem.std**2
    norm = (2 * spread2 + s**2 * problem.mean.square().sum()).sqrt()
    upper = torch.ones(times, times).triu().bool()
    slack = 4 * 0.5 / math.sqrt(n)  # in two dimensions the mean of |x|^2 has a relative error of at most 1 / sqrt(n)
    by_hand = (a**2 * (t - s) * norm)[upper]
    assert ((found["lagrangian"][upper] - by_hand).abs() <= slack * by_hand + 1e-12).all()
    # between the three tables the relations are exact, since they are measured at the same points
    torch.testing.assert_close(found["eulerian"][upper], found["lagrangian"][upper], rtol=1e-12, atol=1e-12)
    quarter = ((t - s) / 4 * found["lagrangian"])[upper]
    torch.testing.assert_close(found["semigroup"][upper], quarter, rtol=1e-12, atol=1e-12)


# --- errors ----------------------------------------------------------------------------------------

X = FlowMap(lambda s, t, x: x)  # noqa: ARG005


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: metrics.kl64(torch.zeros(10, 3)), r"samples must .*\(N, 2\).*got \(10, 3\)"),
        (lambda: metrics.kl64(torch.zeros(0, 2)), r"samples must .*N >= 1, got \(0, 2\)"),
        (lambda: metrics.kl64(torch.zeros(10)), r"samples must .*got \(10,\)"),
        (lambda: metrics.kl64([[0.0, 0.0]]), r"samples must .*got list"),
        (lambda: metrics.kl64(torch.full((4, 2), math.nan)), r"samples must be finite.* 8 "),
        (lambda: metrics.kl64(torch.full((4, 2), math.inf)), r"samples must be finite.* 8 "),
        (lambda: metrics.map_error(X, BOARD, s=0.5, t=0.2), r"s <= t"),
        (lambda: metrics.map_error(X, BOARD, t=1.2), r"must lie in \[0, 1\], got .*1.2"),
        (lambda: metrics.map_error(X, BOARD, s=-0.2, steps=2), r"must lie in \[0, 1\], got .*-0.2"),
        (lambda: metrics.map_error(X, BOARD, steps=0), r"steps must .*got 0"),
        (lambda: metrics.map_error(X, BOARD, n=0), r"n must .*got 0"),
        (lambda: metrics.residuals(X, BOARD, times=0), r"times must .*got 0"),
        (lambda: metrics.residuals(X, BOARD, n=0), r"n must .*got 0"),
    ],
)
def test_a_bad_argument_is_named(call, says):
    """Wrong shapes, times, counts and numbers that are not finite raise ValueError that says which."""
    with pytest.raises(ValueError, match=says):
        call()


def test_far_points_are_leak():
    """Any finite point outside the board counts as leak, however far: 1e30 is not wrapped round to a bin."""
    x = torch.tensor([[1e30, 1e30], [-1e30, 0.1], [1.0, 1.0], [-1.0, -1.0]])
    assert metrics.kl64(x).leak == 0.75
