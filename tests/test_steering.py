"""Steering: exact guidance, weights and tempering against the tilted density, which is known."""

import math

import pytest
import torch

from flowmap_edu import FlowMap, Trigonometric, load, metrics, problems
from flowmap_edu.problems.rewards import Bump, HalfPlane, Slope
from flowmap_edu.problems.tilted import Tilted
from flowmap_edu.steering import Denoiser, Exact, Guided, Landing, guided_velocity, tempered, weighed
from flowmap_edu.steering.weighing import effective, systematic

A = torch.tensor([1.0, -0.5], dtype=torch.float64)
SLOPE, BUMP, HALF = Slope((1.0, -0.5)), Bump((0.2, 0.1), 0.3), HalfPlane(0.0)
GAUSSIAN = problems.Gaussian(torch.tensor([0.3, -0.2]), 0.6, 0.8)
BOARD = problems.Checkerboard()
MIXTURE = problems.GaussianMixture(torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), torch.tensor([0.3, 0.2]))


def noise(problem, n: int, seed: int) -> torch.Tensor:
    """n draws of the base, float64."""
    return problem.base(n, torch.Generator().manual_seed(seed)).double()


def floor(tilted: Tilted, n: int, high: float) -> float:
    """The mean divergence of three exact samples of n points."""
    drawn = (tilted.sample(n, torch.Generator().manual_seed(seed)) for seed in range(3))
    return sum(metrics.binned_kl(tilted.log_density, x, low=-high, high=high) for x in drawn) / 3


# --- guidance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [GAUSSIAN, MIXTURE, BOARD], ids=["gaussian", "mixture", "board"])
def test_exact_guidance_is_the_velocity_of_the_tilted_flow(problem):
    """It comes from a gradient; the tilted velocity from a ratio of means."""
    X, x = FlowMap(problem.v), noise(problem, 5, 1)
    for s in (0.1, 0.5, 0.9):
        found = guided_velocity(X, s, x, Exact(problem, BUMP), problem.sigma)
        assert (found - Tilted(problem, BUMP).velocity(s, x)).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("problem", "reward", "high"), [(GAUSSIAN, BUMP, 2.0), (BOARD, Slope((3.0, 0.0)), 1.0)], ids=["gaussian", "board"]
)
def test_exact_guidance_reaches_the_floor(problem, reward, high):
    """Within twice what exact draws score; the reward at the mean and at the landing point do not on the board."""
    tilted, x0, X = Tilted(problem, reward), noise(problem, 600, 5), FlowMap(problem.v)
    least = floor(tilted, len(x0), high)

    def score(value, X=X, x0=x0) -> float:
        x = Guided(value, problem.sigma)(X, x0, 24)
        return metrics.binned_kl(tilted.log_density, x, low=-high, high=high)

    assert score(Exact(problem, reward)) < 2 * least
    if problem is BOARD:
        X = load("checkerboard-lsd")
        assert score(Exact(problem, reward), X, x0.float()) < 2 * least
        assert score(Denoiser(reward), X, x0.float()) > 2 * least
        assert score(Landing(reward), X, x0.float()) > 2 * least


def test_jensen_in_formulas_on_a_gaussian():
    """A slope at the mean of the data is log h up to a constant; a bump is not, and the landing point never is.

    x1 given x is N(D, v I): log h = a . D + |a|^2 v / 2, and -|D - c|^2 / (2 (w^2 + v)) + a constant.
    """
    X, x, s = FlowMap(GAUSSIAN.v), noise(GAUSSIAN, 5, 2), 0.4
    b, factor = GAUSSIAN.velocity(s, x), 0.8**2 * (1 - s) / s
    S2 = (1 - s) ** 2 * 0.8**2 + s**2 * 0.6**2
    v, slope = 0.6**2 * (1 - s) ** 2 * 0.8**2 / S2, s * 0.6**2 / S2  # of x1 given x; dD / dx
    D, c = GAUSSIAN.posterior_mean(s, x), torch.tensor([0.2, 0.1], dtype=torch.float64)

    def drift(value) -> torch.Tensor:
        return (guided_velocity(X, s, x, value, 0.8) - b) / factor

    assert (drift(Denoiser(SLOPE)) - drift(Exact(GAUSSIAN, SLOPE))).abs().max() < 1e-8
    assert (drift(Denoiser(SLOPE)) - slope * A).abs().max() < 1e-9
    assert (drift(Landing(SLOPE)) - 0.6 / math.sqrt(S2) * A).abs().max() < 1e-9
    assert (drift(Exact(GAUSSIAN, BUMP)) + slope * (D - c) / (0.3**2 + v)).abs().max() < 1e-7
    assert (drift(Denoiser(BUMP)) + slope * (D - c) / 0.3**2).abs().max() < 1e-9


def test_a_guided_map_draws_by_its_sampler():
    """X.sample takes the guided steps, and no graph is left."""
    guided, x0 = Guided(Denoiser(BUMP), GAUSSIAN.sigma), noise(GAUSSIAN, 6, 3)
    x = FlowMap(GAUSSIAN.v, guided).sample(x0, 4)
    assert torch.equal(x, guided(FlowMap(GAUSSIAN.v), x0, 4))
    assert not x.requires_grad


# --- weights and tempering ----------------------------------------------------------------------------


def test_weights_of_one_jump_are_right_within_their_errors():
    """exp(a . x) on a Gaussian: normaliser, mean and effective sample size are formulas."""
    w = weighed(FlowMap(GAUSSIAN.v), noise(GAUSSIAN, 50_000, 4), SLOPE)
    log_z, error = w.log_normaliser()
    assert abs(log_z - float(GAUSSIAN.mean @ A + 0.36 * A.square().sum() / 2)) < 4 * error
    mean, errors = w.mean(w.samples)
    assert ((mean - GAUSSIAN.mean - 0.36 * A).abs() < 4 * errors).all()
    assert abs(w.effective / 50_000 - math.exp(-0.36 * float(A.square().sum()))) < 0.02
    assert error < 0.01  # the bars are no wider than they must be
    assert errors.max() < 0.01
    drawn = w.draw(50_000, torch.Generator().manual_seed(1))
    assert (drawn.mean(0) - mean).abs().max() < 5 * 0.6 * 0.5 / math.sqrt(50_000)  # a count scatters by 1/2


def test_the_errors_of_the_weights_are_those_of_many_runs():
    """Over 200 seeds the spread of the estimates is the error that each run states."""
    runs = [weighed(FlowMap(GAUSSIAN.v), noise(GAUSSIAN, 500, seed), SLOPE) for seed in range(200)]
    for found, stated in (
        zip(*(w.log_normaliser() for w in runs), strict=True),
        zip(*((float(m[0]), float(e[0])) for m, e in (w.mean(w.samples) for w in runs)), strict=True),
    ):
        spread = float(torch.tensor(found).std())
        assert abs(sum(stated) / len(runs) / spread - 1) < 0.15


def test_systematic_resampling_takes_each_within_one_of_its_share():
    g = torch.Generator().manual_seed(0)
    log_w = torch.randn(50, generator=g, dtype=torch.float64)
    chosen = torch.bincount(systematic(log_w, 1000, g), minlength=50)
    assert (chosen - 1000 * log_w.softmax(0)).abs().max() < 1
    assert abs(effective(torch.zeros(7)) - 7) < 1e-12
    assert abs(effective(torch.tensor([0.0, -1e9])) - 1) < 1e-12


@pytest.mark.parametrize("rho", [0.5, 1.0])
def test_tempering_samples_the_tilted_gaussian(rho):
    """Twenty runs for a rare reward, so that they are resampled: normaliser, mean and variance by formula.

    Within four standard errors, which come from the spread of the runs.
    """
    reward, a = Slope((4.0, 0.0)), torch.tensor([4.0, 0.0], dtype=torch.float64)
    X, moved = FlowMap(GAUSSIAN.v), GAUSSIAN.mean + 0.36 * a
    found = []
    for seed in range(20):
        run = tempered(X, noise(GAUSSIAN, 1000, 100 + seed), reward, GAUSSIAN.sigma, rho=rho, moves=4, seed=seed)
        assert run.resampled >= 1
        z = math.exp(run.log_normaliser()[0] - float(GAUSSIAN.mean @ a) - 0.36 * 16 / 2)  # unbiased, its mean is 1
        spread = run.mean((run.samples - moved) ** 2)[0]
        found.append(torch.cat([torch.tensor([z - 1]), run.mean(run.samples)[0] - moved, spread - 0.36]))
    gap, error = torch.stack(found).mean(0), torch.stack(found).std(0) / math.sqrt(20)
    assert (gap.abs() < 4 * error).all(), (gap, error)
    assert error.max() < 0.05, error


def test_moves_alone_leave_the_target_as_it_is():
    """From exact draws of the tilted noise, 30 levels of moves without a change of weights change no mean."""
    a, c = torch.tensor([2.0, 0.0], dtype=torch.float64), 0.6 / 0.8  # X(x0) = m + c x0: the noise moves by c sigma^2 a
    x0 = noise(GAUSSIAN, 20_000, 7)
    run = tempered(FlowMap(GAUSSIAN.v), x0, Slope((2.0, 0.0)), 0.8, levels=1, moves=30)
    share = run.share[:, None]
    mean = (share * run.x0).sum(0)
    assert (mean - c * 0.64 * a).abs().max() < 0.03
    assert ((share * (run.x0 - mean) ** 2).sum(0) - 0.64).abs().max() < 0.03


def test_guidance_weights_and_tempering_agree_on_the_board():
    """The mean of the tilted board by three ways, three seeds each, within their error bars."""
    reward, X = Slope((3.0, 0.0)), load("checkerboard-lsd")
    wanted = float(Tilted(BOARD, reward).sample(200_000, torch.Generator().manual_seed(0))[:, 0].mean())
    found: dict[str, list[float]] = {"weights": [], "tempered": [], "guided": []}
    for seed in range(3):
        x0 = noise(BOARD, 600, 10 + seed).float()
        for name, run in (("weights", weighed(X, x0, reward)), ("tempered", tempered(X, x0, reward, BOARD.sigma))):
            found[name].append(float(run.mean(run.samples)[0][0]))
        guided = Guided(Exact(BOARD, reward), BOARD.sigma)(X, x0, 16)
        found["guided"].append(float(guided[:, 0].mean()))
    for name, means in found.items():  # the density's own spread is 0.29; 600 weighed points count as 200
        assert abs(sum(means) / 3 - wanted) < 4 * 0.29 / math.sqrt(3 * 200), (name, means, wanted)


def test_a_reward_without_a_slope_is_tempered_and_weighed():
    """The share of points in the half plane is e^3 / (e^3 + 1) on the board."""
    X, x0 = load("checkerboard-lsd"), noise(BOARD, 4000, 8).float()
    wanted = 1 / (1 + math.exp(-3))
    for run in (weighed(X, x0, HALF), tempered(X, x0, HALF, BOARD.sigma)):
        assert abs(float(run.mean((run.samples[:, 0] > 0).double())[0]) - wanted) < 0.015


def test_the_divergence_is_that_of_the_board():
    """With 64 bins it is KL64, which is counted in another way."""
    x = BOARD.sample(3000, torch.Generator().manual_seed(9))[0]
    x[:10] = 5.0
    assert abs(metrics.binned_kl(lambda z: BOARD.log_density(1.0, z), x, bins=64) - metrics.kl64(x).kl) < 1e-9


# --- what is refused ----------------------------------------------------------------------------------

FEW = noise(GAUSSIAN, 3, 0)
G = FlowMap(GAUSSIAN.v)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: guided_velocity(G, 1.0, FEW, Denoiser(BUMP), 0.8), "s must lie strictly between 0 and 1"),
        (lambda: guided_velocity(G, 0.0, FEW, Denoiser(BUMP), 0.8), "s must lie strictly between 0 and 1"),
        (lambda: guided_velocity(G, 0.5, FEW, Denoiser(lambda x: x), 0.8), r"shape \(3,\), got \(3, 2\)"),
        (lambda: guided_velocity(G, 0.5, FEW, Landing(lambda x: x[:, 0] * math.nan), 0.8), "reward must be finite"),
        (lambda: guided_velocity(G, 0.5, FEW, Landing(HALF), 0.8), "no gradient in x"),
        (lambda: guided_velocity(G, 0.5, FEW, lambda *given: given[-1], 0.8), r"the value must return .* got \(3, 2\)"),
        (lambda: guided_velocity(G, 0.5, FEW, lambda *given: given[-1][:, 0] / 0, 0.8), "the value must be finite"),
        (lambda: guided_velocity(G, 0.5, FEW, Denoiser(BUMP), -1.0), "sigma must be positive"),
        (
            lambda: guided_velocity(FlowMap(GAUSSIAN.v, None, Trigonometric()), 0.5, FEW, Denoiser(BUMP), 0.8),
            "maps of the straight path",
        ),
        (lambda: Exact(problems.FromTensor(torch.randn(100, 2)), BUMP), "known for the exact flows"),
        (lambda: Guided(Denoiser(BUMP), 0.8)(G, FEW, 0), "steps must be"),
        (lambda: weighed(G, FEW[:0], BUMP), "at least one point"),
        (lambda: weighed(G, FEW, lambda x: x), r"shape \(3,\), got \(3, 2\)"),
        (lambda: weighed(G, FEW, BUMP).mean(FEW[:2]), "one entry a sample, 3"),
        (lambda: tempered(G, FEW, BUMP, 0.8, rho=0.0), "rho must be above 0"),
        (lambda: tempered(G, FEW[:0], BUMP, 0.8), "at least one point"),
        (lambda: tempered(G, FEW, BUMP, 0.8, label=torch.tensor([0, 1, 1])), "label must be the same for all samples"),
        (lambda: tempered(G, FEW, lambda x: x[:, 0] / 0, 0.8), "reward must be finite"),
        (lambda: metrics.binned_kl(BUMP, torch.zeros(3, 1)), r"samples must have shape \(N, 2\)"),
        (lambda: metrics.binned_kl(BUMP, FEW, low=1.0, high=0.0), "low must be below high"),
        (lambda: metrics.binned_kl(lambda z: z, FEW), "one value a point"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_map_with_classes_wants_labels():
    """Through guidance, through the weights and through tempering."""
    X, x0 = load("digits-lsd"), torch.randn(2, *problems.Digits().shape)

    def ink(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).mean(1)

    for call in (
        lambda: Guided(Denoiser(ink), 1.0)(X, x0, 1),
        lambda: weighed(X, x0, ink),
        lambda: tempered(X, x0, ink, 1.0),
    ):
        with pytest.raises(ValueError, match="pass label="):
            call()
