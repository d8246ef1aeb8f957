"""Restarts: what they leave as it is, how far they move, and where a reward makes them wrong."""

import math

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm

from flowmap_edu import FlowMap, Trigonometric, load, metrics, problems
from flowmap_edu.course.exercises.cases import curved
from flowmap_edu.problems.rewards import Bump, Slope
from flowmap_edu.problems.tilted import Tilted
from flowmap_edu.steering import forward, go_back, restarted, weighed

GAUSSIAN = problems.Gaussian(torch.tensor([0.3, -0.2]), 0.6, 0.8)
BOARD = problems.Checkerboard()
QUANTILES = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)


def draws(problem, n: int, seed: int) -> torch.Tensor:
    """n draws of the data, float64."""
    return problem.sample(n, torch.Generator().manual_seed(seed), torch.float64)[0]


def same_normal(x: torch.Tensor, mean: torch.Tensor, deviation: float) -> None:
    """Raise unless moments and quantiles are those of the normal law, within four standard errors."""
    z = (x - mean) / deviation
    assert (z.mean(0).abs() < 4 / math.sqrt(len(x))).all()
    assert ((z.var(0) - 1).abs() < 4 * math.sqrt(2 / len(x))).all()
    wanted = torch.special.ndtri(QUANTILES)
    error = (QUANTILES * (1 - QUANTILES) / len(x)).sqrt() / torch.exp(-(wanted**2) / 2) * math.sqrt(2 * math.pi)
    assert ((z.quantile(QUANTILES, dim=0) - wanted[:, None]).abs() < 4 * error[:, None]).all()


def posterior(problem) -> FlowMap:
    """A map whose landing points are draws of x1 given the point."""
    return FlowMap(lambda s, t, x: (problem.posterior_sample(s, x) - x) / (1 - s)[:, None])  # noqa: ARG005


# --- without a reward ---------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.0, 0.5, 0.95])
def test_restarts_leave_a_gaussian_as_it_is_and_move_by_a_formula(s):
    """Mean, variance and quantiles; the slope of y on x is s times 0.6 / S(s)."""
    X, x = FlowMap(GAUSSIAN.v), draws(GAUSSIAN, 20_000, 1)
    same_normal(restarted(X, x, s, 0.8, rounds=5).samples, GAUSSIAN.mean, 0.6)
    once = restarted(X, x, s, 0.8)
    assert once.accepted == 1
    wanted = s * 0.6 / math.sqrt((1 - s) ** 2 * 0.8**2 + s**2 * 0.6**2)
    slope = ((x - GAUSSIAN.mean) * (once.samples - GAUSSIAN.mean)).mean(0) / 0.36
    assert ((slope - wanted).abs() < 4 * math.sqrt(1 + wanted**2) / math.sqrt(len(x))).all()


def test_an_exact_map_needs_one_jump_forward():
    x_s = go_back(0.3, draws(GAUSSIAN, 6, 2), torch.zeros(6, 2, dtype=torch.float64))
    one, many = (forward(FlowMap(GAUSSIAN.v), 0.3, x_s, jumps) for jumps in (1, 7))
    assert (one - many).abs().max() < 1e-12
    assert torch.equal(one, restarted(FlowMap(GAUSSIAN.v), draws(GAUSSIAN, 6, 2), 0.3, 1e-300).samples)


@pytest.mark.parametrize(("X", "n", "rounds"), [(FlowMap(BOARD.v), 300, 1), (load("checkerboard-lsd"), 2000, 4)])
def test_restarts_stay_at_the_floor_of_the_board(X, n, rounds):
    """From exact draws, with the exact map and with the shipped one."""

    def score(x: torch.Tensor) -> float:
        return metrics.binned_kl(lambda z: BOARD.log_density(1.0, z), x)

    least = sum(score(draws(BOARD, n, seed)) for seed in range(3)) / 3
    for s in (0.0, 0.5) if rounds > 1 else (0.5,):
        assert score(restarted(X, draws(BOARD, n, 3).float(), s, BOARD.sigma, rounds=rounds).samples) < 1.5 * least


# --- with a reward ------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.0, 0.6])
def test_accepted_restarts_sample_the_tilted_gaussian(s):
    """It is left as it is, and reached from the data; the tilt moves the mean by 0.36 a."""
    reward, moved = Slope((0.8, -0.5)), GAUSSIAN.mean + 0.36 * torch.tensor([0.8, -0.5], dtype=torch.float64)
    X, x = FlowMap(GAUSSIAN.v), draws(GAUSSIAN, 20_000, 4)
    stay = restarted(X, x + moved - GAUSSIAN.mean, s, 0.8, rounds=4, reward=reward)
    reach = restarted(X, x, s, 0.8, rounds=30, reward=reward)
    for found in (stay, reach):
        same_normal(found.samples, moved, 0.6)
        assert 0.2 < found.accepted < 1


def test_from_time_0_any_map_gives_what_its_weights_give():
    """The map is no flow map of anything; its own samples are tilted."""
    X, reward, g = curved(), Bump((0.2, 0.1), 0.5), torch.Generator().manual_seed(5)
    x0, other = (torch.randn(20_000, 2, generator=g, dtype=torch.float64) for _ in range(2))
    found = restarted(X, X(0.0, 1.0, x0).detach(), 0.0, 1.0, rounds=40, reward=reward).samples
    weights = weighed(X, other, reward)
    wanted, error = weights.mean(weights.samples.detach())
    assert ((found.mean(0) - wanted).abs() < 4 * (error**2 + found.var(0) / len(found)).sqrt()).all()


def test_accepted_restarts_reach_the_floor_of_the_tilted_board():
    """The shipped map, back to 0.5, 24 rounds: below twice what exact draws score."""
    tilted = Tilted(BOARD, Slope((3.0, 0.0)))
    X, n = load("checkerboard-lsd"), 2000

    def score(x: torch.Tensor) -> float:
        return metrics.binned_kl(tilted.log_density, x)

    least = sum(score(tilted.sample(n, torch.Generator().manual_seed(seed))) for seed in range(3)) / 3
    x = X.sample(BOARD.base(n, torch.Generator().manual_seed(6)), 1)
    run = restarted(X, x, 0.5, BOARD.sigma, rounds=24, reward=tilted.reward)
    assert score(x) > 5 * least
    assert score(run.samples) < 2 * least


def test_a_landing_point_is_not_reversible_and_a_draw_is():
    """Three narrow modes on a line: the shares that go from the first to the third and back.

    The exact map keeps the order of points. So x_s lands in the first mode below the quantile of that mode's weight,
    in the third above that of the other two, and the shares are normal probabilities.
    """
    means, weights, s = (-1.0, 0.0, 3.0), (0.6, 0.2, 0.2), 0.3
    problem = problems.GaussianMixture(torch.tensor(means)[:, None], torch.full((3,), 0.05), torch.tensor(weights))

    def below(z: float) -> float:
        return sum(w * norm.cdf((z - s * m) / (1 - s)) for w, m in zip(weights, means, strict=True))

    low, high = (brentq(lambda z, q=q: below(z) - q, -9, 9) for q in (0.6, 0.8))
    wanted = 0.6 * norm.sf((high + s) / (1 - s)), 0.2 * norm.cdf((low - 3 * s) / (1 - s))
    assert wanted[0] > 1.5 * wanted[1]
    x = draws(problem, 2500, 7)
    for X, shares in ((FlowMap(problem.v), wanted), (posterior(problem), None)):
        y = restarted(X, x, s, 1.0).samples
        there, back = (float(((a < -0.5) & (b > 1.5)).double().mean()) for a, b in ((x, y), (y, x)))
        if shares:
            assert abs(there - shares[0]) < 0.015
            assert abs(back - shares[1]) < 0.015
            assert there > back + 0.005
        else:
            assert abs(there - back) < 4 * math.sqrt((there + back) / len(x))


# --- what is refused ----------------------------------------------------------------------------------

G, FEW = FlowMap(GAUSSIAN.v), draws(GAUSSIAN, 3, 0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: restarted(G, FEW, 1.0, 0.8), "s must be below 1"),
        (lambda: restarted(G, FEW, -0.1, 0.8), r"s must lie in \[0, 1\]"),
        (lambda: restarted(G, FEW, 0.5, 0.0), "sigma must be positive"),
        (lambda: restarted(G, FEW, 0.5, 0.8, rounds=0), "rounds must be"),
        (lambda: restarted(G, FEW, 0.5, 0.8, jumps=0), "jumps must be"),
        (lambda: restarted(G, FEW / 0, 0.5, 0.8), "x must be finite"),
        (lambda: restarted(G, FEW, 0.5, 0.8, reward=lambda x: x), r"shape \(3,\), got \(3, 2\)"),
        (lambda: restarted(G, FEW, 0.5, 0.8, reward=lambda x: x[:, 0] / 0), "reward must be finite"),
        (lambda: restarted(FlowMap(GAUSSIAN.v, None, Trigonometric()), FEW, 0.5, 0.8), "the straight path"),
        (lambda: go_back(1.0, FEW, FEW), "s must be below 1"),
        (lambda: go_back(0.5, FEW, FEW[:2]), "must have the same shape"),
        (lambda: forward(G, 1.0, FEW), "s must be below 1"),
        (lambda: restarted(load("digits-lsd"), torch.randn(2, 1, 8, 8), 0.5, 0.5), "pass label="),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
