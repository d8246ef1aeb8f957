"""What is known of the data at a point on the way: means, draws and value functions against independent integrals."""

import math

import pytest
import torch

from flowmap_edu import problems
from flowmap_edu.problems.posterior import expectations
from flowmap_edu.problems.rewards import Bump, HalfPlane, Slope

TIMES = (0.0, 0.01, 0.3, 0.9, 0.999)
PROBLEMS = {
    "board": problems.Checkerboard(),
    "gaussian": problems.Gaussian(torch.tensor([0.3, -0.2]), 0.6, 0.8),
    "mixture": problems.GaussianMixture(torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), torch.tensor([0.3, 0.2])),
}
REWARDS = {"slope": Slope((1.0, -2.0)), "bump": Bump((0.2, 0.1), 0.3), "half plane": HalfPlane(0.2)}
cases = pytest.mark.parametrize("name", PROBLEMS)


def on_the_way(problem, s: float, n: int, seed: int = 0) -> torch.Tensor:
    """n draws of I_s, float64."""
    g = torch.Generator().manual_seed(seed)
    return (1 - s) * problem.base(n, g).double() + s * problem.sample(n, g, torch.float64)[0]


@cases
@pytest.mark.parametrize("s", TIMES)
def test_the_nodes_give_the_posterior_mean(name, s):
    """The quadrature's mean of x1 is x + (1 - s) b_s(x), which comes from another formula."""
    problem, zero = PROBLEMS[name], Slope((0.0, 0.0))
    x = on_the_way(problem, s, 6)
    log_h, mean = expectations(problem, torch.full((6,), s, dtype=torch.float64), x, zero, mean=True)
    assert log_h.abs().max() < 1e-12
    assert (mean - problem.posterior_mean(s, x)).abs().max() < 1e-8


@pytest.mark.parametrize("reward", REWARDS.values(), ids=list(REWARDS))
@cases
def test_the_value_function_is_a_mean_over_draws(name, reward):
    """Within five standard errors of 20,000 draws of x1 given x_s, at three times."""
    problem = PROBLEMS[name]
    for s in (0.05, 0.5, 0.95):
        x = on_the_way(problem, s, 1, seed=3)
        x1 = problem.posterior_sample(s, x.expand(20_000, 2), torch.Generator().manual_seed(4))
        values = reward(x1).exp()
        gap = problem.value_function(s, x, reward).exp() - values.mean()
        error = 5 * float(values.std()) / math.sqrt(20_000) + 5 * float(values.max()) / 20_000  # and what is rare
        assert abs(float(gap)) < error


@cases
def test_draws_have_the_posterior_mean(name):
    """At times near 0 and near 1 as well."""
    problem = PROBLEMS[name]
    for s in TIMES:
        x = on_the_way(problem, s, 1, seed=5)
        x1 = problem.posterior_sample(s, x.expand(20_000, 2), torch.Generator().manual_seed(6))
        error = (x1.mean(0) - problem.posterior_mean(s, x)[0]).abs()
        assert (error < 5 * x1.std(0) / math.sqrt(20_000) + 1e-12).all(), s


def test_the_value_of_a_slope_on_a_gaussian_is_a_formula():
    """E exp(a . x1) = exp(a . m + |a|^2 v / 2), with m and v the mean and variance of x1 given x_s."""
    problem, a = PROBLEMS["gaussian"], torch.tensor([1.0, -2.0], dtype=torch.float64)
    for s in TIMES[:-1]:
        x = on_the_way(problem, s, 5)
        v = 1 / (1 / 0.6**2 + (s / (0.8 * (1 - s))) ** 2)
        wanted = problem.posterior_mean(s, x) @ a + a.square().sum() * v / 2
        assert (problem.value_function(s, x, Slope((1.0, -2.0))) - wanted).abs().max() < 1e-9


@cases
def test_both_ways_to_integrate_agree(name):
    """A reward that is a sum over the axes, by one-dimensional sums and over the plane."""
    problem, bump = PROBLEMS[name], REWARDS["bump"]
    for s in (0.0, 0.3, 0.9):
        x = on_the_way(problem, s, 3)
        gap = problem.value_function(s, x, bump) - problem.value_function(s, x, lambda z: bump(z))
        assert gap.abs().max() < 1e-9


def test_far_away_and_late_nothing_is_lost():
    """Off the board at a late time the nearest square's edge is the posterior; no NaN."""
    board = PROBLEMS["board"]
    x = torch.tensor([[3.0, 0.25], [-1.7, -2.0]], dtype=torch.float64)
    log_h, mean = expectations(board, torch.full((2,), 0.999, dtype=torch.float64), x, REWARDS["bump"], mean=True)
    assert torch.isfinite(log_h).all()
    assert (mean.abs() <= 1).all()


@pytest.mark.parametrize(
    ("s", "reward", "words"),
    [
        (1.0, REWARDS["bump"], "s must be below 1"),
        (0.5, lambda x: x, r"one value a sample, shape \(2,\), got \(2, 2\)"),
        (0.5, lambda x: x[:, 0] / 0, "reward must be finite"),
        (0.5, 3.0, "reward must be callable"),
    ],
)
def test_bad_rewards_and_times_are_named(s, reward, words):
    x = torch.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=torch.float64)
    with pytest.raises(ValueError, match=words):
        PROBLEMS["board"].value_function(s, x, reward)


def test_a_reward_of_any_form_needs_two_dimensions_at_most():
    problem = problems.Gaussian(0.0, 1.0, 1.0, dim=3)
    with pytest.raises(ValueError, match=r"needs D <= 2, got 3"):
        problem.value_function(0.5, torch.zeros(2, 3), lambda x: x.sum(1))
