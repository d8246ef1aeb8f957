"""The loop: it learns what is known exactly, repeats itself, resumes to the bit, and stops where it must."""

import dataclasses
import math
import warnings

import pytest
import torch

from flowmap_edu.metrics import exactness as metrics
from flowmap_edu.problems import exact
from flowmap_edu.recipes.named import RECIPES, recipe
from flowmap_edu.training import loop as training
from flowmap_edu.training.config import OPTIMIZERS
from flowmap_edu.training.loop import Config, DivergedError, fit

SMALL = Config(problem="gaussian", steps=40, hidden=16, layers=2, batch=32, bank=16, fourier=8, warmup=5, compile=False)
METHODS = ("lsd", "esd", "psd-m", "psd-u")


def last(config: Config, **options):
    """The state that a run ends with."""
    return list(fit(config, **options))[-1]


def weights(state) -> torch.Tensor:
    return torch.cat([p.flatten() for p in (*state.net.parameters(), *state.average.module.parameters())])


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_the_gaussian_map(method):
    """N(0, 1) to N(0, 1): the jump 0 -> 1 is the identity and v_{0,1} = 0; the diagonal is (2t-1)/S^2 x."""
    config = Config(
        problem="gaussian", method=method, steps=700, hidden=32, layers=2, batch=256, fourier=0, harmonics=1, bank=256,
        lr=1e-2, warmup=20, compile=False, stopgrad="convex",
    )  # fmt: skip
    X, board = last(config).X, exact.Gaussian()
    assert metrics.map_error(X, board, steps=1) < 0.08
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(1))
    t = torch.linspace(0.02, 0.98, 2000)
    error = (X.velocity(t, x * 0.8) - board.velocity(t, x * 0.8)).square().sum(1).mean().sqrt()
    assert error < 0.12


def test_same_seed_same_numbers_other_seed_others():
    """A run is a function of its configuration."""
    assert torch.equal(weights(last(SMALL)), weights(last(SMALL)))
    assert not torch.equal(weights(last(SMALL)), weights(last(dataclasses.replace(SMALL, seed=1))))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resume_continues_to_the_same_numbers(method, optimizer):
    """Stopped at step 17 and resumed, every weight is bitwise that of the unbroken run."""
    config = dataclasses.replace(SMALL, method=method, optimizer=optimizer)
    whole = last(config)
    resumed = last(config, resume=next(fit(config, every=17)).checkpoint())
    assert resumed.step == whole.step == 40
    assert torch.equal(weights(resumed), weights(whole))


def test_a_checkpoint_is_a_copy():
    """Training on does not change a checkpoint taken before."""
    run = fit(SMALL, every=10)
    held = next(run).checkpoint()
    before = held["net"]["body.0.weight"].clone()
    next(run)
    assert held["step"] == 10
    assert torch.equal(held["net"]["body.0.weight"], before)


def test_batch_is_what_its_formulas_say():
    """x_t = (1-t) x0 + t x1 and target = x1 - x0, so x_t + (1-t) target = x1 lies on the board; s <= u <= r."""
    config = dataclasses.replace(RECIPES["checkerboard"], bank=0)
    batch = training.draw_batch(config, torch.Generator().manual_seed(0))
    x1 = batch.x_t + (1 - batch.t)[:, None] * batch.target
    assert torch.isfinite(exact.Checkerboard().log_density(1.0, x1.double() * (1 - 1e-5))).float().mean() > 0.99
    assert len(batch.t) == 256
    assert len(batch.s) == 128
    assert bool((batch.s <= batch.u).all() and (batch.u <= batch.r).all())
    assert int((batch.s == 0).sum()) == round(0.3 * 128)


@pytest.mark.parametrize(("method", "half"), [("psd-m", True), ("psd-u", False)])
def test_middle_time(method, half):
    """PSD-M takes the midpoint, PSD-U a uniform one: mean 1/2 and variance 1/12 of (u - s) / (r - s)."""
    config = recipe("checkerboard", method, batch=40_000, diagonal=0.5, bank=0)
    batch = training.draw_batch(config, torch.Generator().manual_seed(0))
    if half:
        assert torch.allclose(batch.u, (batch.s + batch.r) / 2, atol=1e-7)
    else:
        h = ((batch.u - batch.s) / (batch.r - batch.s)).double()
        assert abs(h.mean() - 0.5) < 4 * math.sqrt(1 / 12 / len(h))
        assert abs(h.var() - 1 / 12) < 0.002


def test_moving_average_is_its_recursion():
    """After k steps: a <- d a + (1 - d) w with d = min(decay, (1 + k) / (10 + k)), the first copy exact."""
    a, decay = 0.0, 0.9
    average = [torch.tensor([0.0])]
    for k in range(1, 200):
        w = math.sin(k)
        training.moving_average(decay)(average, [torch.tensor([w])], torch.tensor(k))
        d = min(decay, (1 + k) / (10 + k))
        a = d * a + (1 - d) * w
    assert average[0].item() == pytest.approx(a, abs=1e-6)


def test_learning_rate_rises_then_falls_to_zero():
    """lr / warmup at the first step, lr after the warm-up, half of it halfway, zero at the end."""
    config = Config(steps=1100, warmup=100, lr=2.0)
    rates = [training.learning_rate(config, k, 1100) for k in (0, 99, 100, 600, 1100)]
    assert rates == pytest.approx([0.02, 2.0, 2.0, 1.0, 0.0])


def test_budget_in_minutes_becomes_steps_once():
    """The number of steps is planned after the warm-up, and the planned run repeats the timed one."""
    config = dataclasses.replace(SMALL, steps=None, minutes=0.02, warmup=40)
    timed = last(config)
    assert timed.step == timed.steps > 40
    again = last(training.planned(config, timed.steps))
    assert torch.equal(weights(again), weights(timed))


def test_non_finite_loss_stops_with_the_weights_before_it():
    """A run that blows up raises, names the knobs, and leaves finite weights."""
    config = dataclasses.replace(SMALL, optimizer="adam", lr=1e18, warmup=1)
    run = fit(config, every=1)
    state = next(run)
    with pytest.raises(DivergedError, match=r"lsd.*step \d+.*lr=1e\+18"):
        list(run)
    assert bool(torch.isfinite(weights(state)).all())


def test_without_a_compiler_training_goes_on_with_a_warning(monkeypatch):
    """The fallback gives the numbers of an uncompiled run and says why it is there."""
    expected = weights(last(SMALL))

    def broken(*_, **__):
        def call(*_):
            raise RuntimeError("no working C++ compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match=r"torch\.compile does not work here.*no working C\+\+ compiler"):
        state = last(dataclasses.replace(SMALL, compile=True))
    assert torch.equal(weights(state), expected)


def test_compiled_step_equals_eager_step():
    """Compiled whole, jvp included, ten LSD steps give the eager run's weights to float32 rounding."""
    config = dataclasses.replace(SMALL, steps=10, optimizer="adam")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a fallback would hide what is tested
        compiled = weights(last(dataclasses.replace(config, compile=True)))
    assert torch.allclose(compiled, weights(last(config)), atol=2e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem": "spiral"}, "problem must be one of 'checkerboard', 'gaussian', .*; got 'spiral'"),
        ({"method": "lsb"}, "method must be one of 'fm', 'lsd', 'esd', .*; got 'lsb'"),
        ({"minutes": 3.0}, "exactly one of steps and minutes"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": None, "minutes": -1.0}, "minutes must be positive, got -1.0"),
        ({"diagonal": 1.0}, "diagonal must leave lsd a sample off it, got 1.0"),
        ({"at_zero": 1.5}, "at_zero and at_one must be shares of one batch, got 1.5 and 0.0"),
        ({"lr": math.nan}, "lr must be positive, got nan"),
        ({"stopgrad": "some"}, "stopgrad must be one of"),
        ({"method": "lsd", "stopgrad": "full"}, "stopgrad must be one of"),
        ({"bank": -1}, "bank must be at least 0, got -1"),
        ({"fourier": -2}, "fourier must be at least 0, got -2"),
    ],
)
def test_bad_configuration(change, message):
    """Every field is checked before a step is taken, and the message names what came."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_checkpoint_of_another_configuration_is_refused():
    """Resuming with another network names the mismatch instead of going on."""
    state = last(SMALL)
    with pytest.raises(ValueError, match="not one of this configuration"):
        last(dataclasses.replace(SMALL, hidden=8), resume=state.checkpoint())


def test_recipes_differ_as_documented():
    """The paper's recipe has none of our ingredients; ours keeps ESD convex."""
    paper = recipe("checkerboard-paper", "esd")
    assert (paper.bank, paper.at_zero, paper.even, paper.fourier, paper.optimizer) == (0, 0.0, False, 0, "radam")
    assert paper.stopgrad is None
    assert recipe("checkerboard", "esd").stopgrad == "convex"
    with pytest.raises(ValueError, match="recipe must be one of"):
        recipe("chessboard", "lsd")
