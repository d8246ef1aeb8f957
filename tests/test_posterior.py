"""What is known of the data at a point on the way: means, draws and value functions against independent integrals."""

import math

import pytest
import torch

from flowmap_edu import FlowMap, problems
from flowmap_edu.lookahead import lookahead
from flowmap_edu.problems.posterior import expectations
from flowmap_edu.problems.rewards import Bump, HalfPlane, Slope
from flowmap_edu.problems.tilted import Tilted

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


# --- the tilted density, and looking ahead ------------------------------------------------------------


@pytest.mark.parametrize("reward", REWARDS.values(), ids=list(REWARDS))
@cases
def test_the_tilted_density_has_its_mean_and_its_draws(name, reward):
    """Self-normalised weights on plain draws give the same normaliser and mean, within their errors."""
    problem, tilted = PROBLEMS[name], Tilted(PROBLEMS[name], reward)
    x = problem.sample(200_000, torch.Generator().manual_seed(7), torch.float64)[0]
    w = reward(x).exp()
    error = float(w.std() / w.mean()) / math.sqrt(len(w))
    assert abs(tilted.log_normaliser() - math.log(float(w.mean()))) < 5 * error
    drawn = tilted.sample(50_000, torch.Generator().manual_seed(8))
    wanted, spread = (w[:, None] * x).mean(0) / w.mean(), float((w[:, None] * x).std() / w.mean())
    assert (drawn.mean(0) - wanted).abs().max() < 5 * spread / math.sqrt(200_000) + 5 / math.sqrt(50_000)
    if name == "board":
        assert torch.isfinite(tilted.log_density(drawn)).all()  # no draw lies off the white squares


@cases
def test_the_tilted_velocity_is_the_velocity_and_the_gradient_of_the_value(name):
    """b + sigma^2 (1 - s) / s grad log h, the gradient by autograd through the quadrature."""
    problem, tilted = PROBLEMS[name], Tilted(PROBLEMS[name], REWARDS["bump"])
    for s in (0.1, 0.5, 0.9):
        x = on_the_way(problem, s, 4).requires_grad_()
        slope = torch.autograd.grad(problem.value_function(s, x, REWARDS["bump"]).sum(), x)[0]
        wanted = problem.velocity(s, x) + problem.sigma**2 * (1 - s) / s * slope
        assert (tilted.velocity(s, x.detach()) - wanted).abs().max() < 1e-6


def test_a_tilted_gaussian_is_a_gaussian():
    """exp(a . x) moves the mean by a times the variance: velocity and normaliser by formula."""
    problem, a = PROBLEMS["gaussian"], torch.tensor([1.0, -2.0], dtype=torch.float64)
    tilted = Tilted(problem, REWARDS["slope"])
    moved = problems.Gaussian(problem.mean + 0.36 * a, 0.6, 0.8)
    x = on_the_way(moved, 0.5, 5)
    assert (tilted.velocity(0.5, x) - moved.velocity(0.5, x)).abs().max() < 1e-9
    assert abs(tilted.log_normaliser() - float(problem.mean @ a + 0.36 * a.square().sum() / 2)) < 1e-9
    assert (tilted.log_density(x) - moved.log_density(1.0, x)).abs().max() < 1e-9


@cases
def test_to_look_ahead_is_the_mean_at_one_end_and_the_landing_point_at_the_other(name):
    problem, X = PROBLEMS[name], FlowMap(PROBLEMS[name].v)
    x = on_the_way(problem, 0.4, 6)
    assert (lookahead(X, 0.4, 0.4, x) - problem.posterior_mean(0.4, x)).abs().max() < 1e-9
    assert (lookahead(X, 0.4, 1.0, x) - problem.flow_map(0.4, 1.0, x)).abs().max() < 1e-9


def test_looking_ahead_pays_for_the_distribution_with_the_square_error():
    """On the Gaussian both are formulas: at u = s the least error, at u = 1 the variance of the data."""
    problem, X = PROBLEMS["gaussian"], FlowMap(PROBLEMS["gaussian"].v)
    g = torch.Generator().manual_seed(9)
    x1 = problem.sample(100_000, g, torch.float64)[0]
    x = 0.5 * problem.base(100_000, g).double() + 0.5 * x1
    error = [float((lookahead(X, 0.5, u, x) - x1).square().sum(1).mean()) for u in (0.5, 0.75, 1.0)]
    spread = [float(lookahead(X, 0.5, u, x).var(0).mean()) for u in (0.5, 0.75, 1.0)]
    least = 2 / (1 / 0.36 + 1 / 0.64)
    assert abs(error[0] - least) < 0.01
    assert error[0] < error[1] < error[2]
    assert spread[0] < spread[1] < spread[2]
    assert abs(spread[2] - 0.36) < 0.01


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lookahead(FlowMap(PROBLEMS["board"].v), 0.5, 0.4, torch.zeros(2, 2)), "s must not exceed u|s <= u"),
        (lambda: Tilted(problems.FromTensor(torch.randn(100, 2)), REWARDS["bump"]), "known for the exact flows"),
        (lambda: Tilted(PROBLEMS["board"], lambda x: x.sum(1)), "must be a Reward"),
    ],
)
def test_what_cannot_be_tilted_or_seen_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
