"""The loop: it learns what is known exactly, repeats itself, resumes to the bit, and stops where it must."""

import dataclasses
import math
import warnings

import pytest
import torch
from torch import nn
from torch._functorch import config as functorch

from flowmap_edu import METHODS as TABLE
from flowmap_edu import Training, Trigonometric, metrics, problems, times, training
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.training import DivergedError, batches, compiling, fit
from flowmap_edu.training.average import Average
from flowmap_edu.training.batches import AHEAD, Batches
from flowmap_edu.training.training import OPTIMIZERS

METHODS = ("lsd", "esd", "psd-m", "psd-u")


def small(method="lsd", net=(), problem=None, **changes) -> Recipe:
    """A run on a Gaussian that takes less than a second."""
    sizes = {"hidden": 16, "layers": 2, "fourier": 8} | dict(net)
    settings = {"steps": 40, "batch": 32, "stf_batch": 16, "warmup": 5, "compile": False} | changes
    return recipe("points", method, problem=problem or problems.Gaussian(), net=sizes, **settings)


def last(run: Recipe, **options):
    """The state that a run ends with."""
    return list(fit(*run, **options))[-1]


def weights(state) -> torch.Tensor:
    return torch.cat([p.flatten() for p in (*state.net.parameters(), *state.average.module.parameters())])


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_the_gaussian_map(method):
    """N(0, 1) to N(1.5, 0.3^2): a map far from the identity, which an untrained network fails by far."""
    gaussian = problems.Gaussian(mean=1.5, std=0.3)
    method = dataclasses.replace(TABLE[method], stopgrad="convex")
    run = small(
        method, {"hidden": 32, "fourier": 0, "time_frequencies": 1}, gaussian, steps=700, batch=256, diagonal=2 / 3,
        at_zero=0.3, at_one=0.0, stf_batch=256, lr=1e-2, warmup=20,
    )  # fmt: skip
    t = torch.linspace(0.02, 0.98, 2000)
    x1, _ = gaussian.sample(2000, torch.Generator().manual_seed(1))
    x = (1 - t)[:, None] * gaussian.base(2000, torch.Generator().manual_seed(2)) + t[:, None] * x1

    def errors(X: FlowMap) -> tuple[float, float]:
        """Of the one-step map, and of the velocity on the diagonal, root mean square."""
        velocity = (X.velocity(t, x) - gaussian.velocity(t, x)).square().sum(1).mean().sqrt()
        return metrics.map_error(X, gaussian, steps=1), velocity.item()

    untrained = errors(FlowMap(run.net))
    trained = errors(last(run).X)
    assert min(untrained) > 1.0
    assert trained[0] < 0.1
    assert trained[1] < 0.15


def test_same_seed_same_numbers_other_seed_others():
    """A run is a function of its four objects."""
    assert torch.equal(weights(last(small())), weights(last(small())))
    assert not torch.equal(weights(last(small())), weights(last(small(seed=1))))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resume_continues_to_the_same_numbers(method, optimizer):
    """Stopped at step 17 and resumed, every weight is bitwise that of the unbroken run."""
    run = {"method": method, "optimizer": optimizer}
    whole = last(small(**run))
    resumed = last(small(**run), resume=next(fit(*small(**run), every=17)).checkpoint())
    assert resumed.step == whole.step == 40
    assert torch.equal(weights(resumed), weights(whole))


def test_a_checkpoint_is_a_copy():
    """Training on does not change a checkpoint taken before."""
    run = fit(*small(), every=10)
    held = next(run).checkpoint()
    before = held["net"]["body.0.weight"].clone()
    next(run)
    assert held["step"] == 10
    assert torch.equal(held["net"]["body.0.weight"], before)


def drawn(method, **changes):
    """A batch of the checkerboard recipe."""
    run = recipe("checkerboard", method, **changes)
    return training.draw_batch(run.problem, run.method, run.training, torch.Generator().manual_seed(0))


def test_batch_is_what_its_formulas_say():
    """x = (1-t) x0 + t x1 and target = x1 - x0, so x + (1-t) target = x1 lies on the board; s <= u <= t."""
    diagonal, jumps = drawn("lsd", stf_batch=0)[:2]
    x1 = diagonal.x + (1 - diagonal.t)[:, None] * diagonal.target
    log_density = problems.Checkerboard().log_density(1.0, x1.double() * (1 - 1e-5))
    assert torch.isfinite(log_density).float().mean() > 0.99
    assert len(diagonal.t) == 256
    assert len(jumps.s) == 128
    assert bool((jumps.s <= jumps.u).all() and (jumps.u <= jumps.t).all())
    assert int((jumps.s == 0).sum()) == round(0.3 * 128)


@pytest.mark.parametrize(("method", "half"), [("psd-m", True), ("psd-u", False)])
def test_middle_time(method, half):
    """PSD-M takes the midpoint, PSD-U a uniform one: mean 1/2 and variance 1/12 of (u - s) / (t - s)."""
    jumps = drawn(method, batch=40_000, diagonal=0.5, stf_batch=0).jumps
    if half:
        assert torch.allclose(jumps.u, (jumps.s + jumps.t) / 2, atol=1e-7)
    else:
        h = ((jumps.u - jumps.s) / (jumps.t - jumps.s)).double()
        assert abs(h.mean() - 0.5) < 4 * math.sqrt(1 / 12 / len(h))
        assert abs(h.var() - 1 / 12) < 0.002


def test_the_learning_rate_rises_and_falls_to_zero():
    """Of ten steps to rise and 100 to fall: a line, or half of a cosine; a quarter of the way down 3/4 and 0.8536."""
    quarter = {"linear": 0.75, "cosine": (1 + math.sqrt(0.5)) / 2}
    for decay, wanted in quarter.items():
        settings = training.Training(steps=110, warmup=10, decay=decay)
        rates = [settings.learning_rate(step, 110) for step in (0, 4, 9, 35, 60, 110)]
        assert rates == pytest.approx([0.1, 0.5, 1.0, wanted, 0.5, 0.0])
    assert training.Training(steps=110, warmup=10, decay="none").learning_rate(109, 110) == 1.0


def test_moving_average_is_its_recursion():
    """After k steps: a <- d a + (1 - d) w with d = min(decay, (1 + k) / (10 + k)), the first copy exact."""
    net = torch.nn.Linear(1, 1)
    net.register_buffer("frequency", torch.zeros(1))
    average, decay, a = Average(net, 0.9), 0.9, 0.0
    for k in range(200):
        w = math.sin(k)
        with torch.no_grad():
            net.weight.fill_(w)
            net.frequency.fill_(k)
        average.update()
        d = min(decay, (1 + k) / (10 + k)) if k else 0.0
        a = d * a + (1 - d) * w if k else w
        assert average.module.weight.item() == pytest.approx(a, abs=1e-6)
    assert average.module.frequency == 199
    assert average.n_averaged == 200


@pytest.mark.parametrize("changes", [{}, {"stf_near": 0.25, "batch": 64}])
def test_batches_go_on_where_they_were(changes):
    """Saved at any step, also within what is drawn ahead: the batches that follow are the same to the bit."""
    run = small(stf_batch=16, **changes)
    first = Batches(run.problem, run.method, run.training)
    for _ in range(AHEAD + 5):
        first.next()
    saved = first.state_dict()
    wanted = [first.next()[0] for _ in range(2 * AHEAD)]
    second = Batches(run.problem, run.method, run.training)
    second.load_state_dict(saved)
    for batch in wanted:
        found = second.next()[0]
        assert torch.equal(found.diagonal.target, batch.diagonal.target)
        assert torch.equal(found.jumps.x, batch.jumps.x)
    assert not torch.equal(wanted[0].diagonal.x, wanted[1].diagonal.x)


def test_batches_go_on_with_the_pool_that_was_there(monkeypatch):
    """At every draw, before, at and after the renewal of the near points' pool."""
    monkeypatch.setattr(batches, "POOLED", 2)
    run = small(stf_batch=16, stf_near=0.25, batch=64)
    first = Batches(run.problem, run.method, run.training)
    for _ in range(5):
        saved, wanted = first.state_dict(), [first.next()[0].diagonal.target for _ in range(AHEAD)]
        second = Batches(run.problem, run.method, run.training)
        second.load_state_dict(saved)
        first.next()  # so that what is saved next stands within a draw
        for target in wanted:
            assert torch.equal(second.next()[0].diagonal.target, target)


@pytest.mark.parametrize("method", ["lsd", "esd", "psd-m", "psd-u"])
def test_a_share_of_the_jumps_goes_over_a_last_euler_step(method):
    """Its times; the method's own jumps end before it; each sample is in one part, with its own label."""
    run = small(method, problem=two_classes(), stf_batch=0, batch=400, diagonal=0.5, denoised=0.25, at_one=0.1)
    batch = training.draw_batch(run.problem, run.method, run.training, torch.Generator().manual_seed(0))
    ends, jumps = batch.ends, batch.jumps
    assert (len(batch.diagonal.t), len(jumps.s), len(ends.s), batch.size) == (200, 150, 50, 400)
    assert bool((ends.u == times.DENOISED).all())
    assert bool((ends.t == 1).all())
    assert bool((ends.s < times.DENOISED).all())
    early = jumps.s < 0.9
    assert jumps.t[early].max() <= times.DENOISED + 1e-6
    assert bool((jumps.s <= jumps.u).all() and (jumps.u <= jumps.t).all())
    assert ends.label.shape == (50,)
    assert [part.size for part in batch.alone()] == [200, 150, 50]
    assert torch.equal(torch.stack(batch.pairs), torch.cat([torch.stack(p.pairs) for p in batch.alone()], 1))


def test_batches_drawn_ahead_follow_the_levels():
    """Each stage of progressive distillation adds a longer jump: what was drawn ahead for the last one is left out."""
    problem, teacher = problems.Gaussian(), training.State(*small("fm")).X
    state = training.State(*small("pd", problem=problem), teacher=teacher)
    for levels in (1, 3):
        for _ in range(3):
            jumps = state.batches.next(levels)[0].jumps
            assert (jumps.t - jumps.s).max() <= 2.0 ** (levels - 7)
    assert (jumps.t - jumps.s).unique().numel() > 1


def test_learning_rate_rises_then_falls_to_zero():
    """1 / warmup at the first step, 1 after the warm-up, half of it halfway, zero at the end."""
    settings = Training(steps=1100, warmup=100)
    assert [settings.learning_rate(k, 1100) for k in (0, 99, 100, 600, 1100)] == pytest.approx([0.01, 1, 1, 0.5, 0])


@pytest.mark.parametrize("method", ["lsd", "pd"])
def test_the_optimiser_gets_the_learning_rate(method):
    """At each step lr times the factor of the schedule; progressive distillation begins it anew at each stage."""
    teacher = training.State(*small("fm")).X if method == "pd" else None
    rates = []
    for state in fit(*small(method, steps=70, lr=0.01, optimizer="adam"), teacher=teacher, every=1):
        rates.append(state.optimizer.param_groups[0]["lr"])
    length = 70 // (7 if method == "pd" else 1)
    settings = Training(steps=70, warmup=5)
    wanted = [0.01 * settings.learning_rate(k % length, length) for k in range(1, 70)]
    assert rates[:-1] == pytest.approx(wanted)


def test_budget_in_minutes_becomes_steps_once():
    """The number of steps is planned after the warm-up, and the planned run repeats the timed one."""
    run = small(steps=None, minutes=0.02, warmup=40)
    timed = last(run)
    assert timed.step == timed.steps > 40
    again = small(steps=None, minutes=0.02, warmup=40)
    again = last(again._replace(training=training.planned(again.training, timed.steps)))
    assert torch.equal(weights(again), weights(timed))


def test_non_finite_loss_stops_with_the_weights_before_it():
    """A run that blows up raises, names the knobs, and leaves finite weights."""
    run = fit(*small(optimizer="adam", lr=1e18, warmup=1), every=1)
    state = next(run)
    with pytest.raises(DivergedError, match=r"Lagrangian self-distillation stopped.*step \d+.*lr=1e\+18"):
        list(run)
    assert bool(torch.isfinite(weights(state)).all())


def test_without_a_compiler_training_continues_with_a_warning(monkeypatch):
    """The fallback gives the numbers of an uncompiled run and says why it is there."""
    expected = weights(last(small()))

    def broken(*_, **__):
        def call(*_):
            raise RuntimeError("no working C++ compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match=r"torch\.compile does not work here.*no working C\+\+ compiler"):
        state = last(small(compile=True))
    assert torch.equal(weights(state), expected)


def test_a_later_shape_is_compiled_with_the_same_memory_budget_and_may_fail_as_well(monkeypatch):
    """The two halves of a large step have two shapes, so the compiler works at the second call too."""
    seen = []

    def compiler(f, **_):
        def call(x):
            seen.append(functorch.activation_memory_budget)
            if len(x) == 3:
                raise RuntimeError("not this shape")
            return f(x)

        return call

    monkeypatch.setattr(torch, "compile", compiler)
    before, twice = functorch.activation_memory_budget, compiling.compiled(lambda x: 2 * x)
    assert before != compiling.CONFIG["activation_memory_budget"]
    twice(torch.ones(1)), twice(torch.ones(2))
    with pytest.warns(UserWarning, match="goes on without it, slower: not this shape"):
        assert torch.equal(twice(torch.ones(3)), torch.full((3,), 2.0))
    assert seen == [compiling.CONFIG["activation_memory_budget"]] * 3
    twice(torch.ones(4))
    assert len(seen) == 3
    assert functorch.activation_memory_budget == before


def test_compiled_step_equals_eager_step():
    """Compiled whole, jvp included, ten LSD steps give the eager run's weights to float32 rounding."""
    run = {"steps": 10, "optimizer": "adam"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a fallback would hide what is tested
        compiled = weights(last(small(**run, compile=True)))
    assert torch.allclose(compiled, weights(last(small(**run))), atol=2e-5)


def test_what_is_compiled_for_one_run_is_not_taken_for_another():
    """Two layers of one class, one with a method of its own: each keeps its own code."""
    ones, twos = torch.nn.Identity(), torch.nn.Identity()
    twos.forward = lambda x: 2 * x

    def applied(layer):
        return compiling.compiled(lambda x: layer(x))

    one, two, x = applied(ones), applied(twos), torch.ones(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        values = [one(x), two(x), one(x), two(torch.ones(5))]
    assert [value.tolist() for value in values] == [[1.0] * 3, [2.0] * 3, [1.0] * 3, [2.0] * 5]


def test_a_compiled_function_sees_what_changes():
    """An argument that is None, a number of a layer, whether a weight is trained: the shapes stay."""
    layer = torch.nn.Module()
    layer.w, layer.scale = torch.ones(3), 1.0
    f = compiling.compiled(lambda x, more: layer.scale * (layer.w * x).sum() + (0.0 if more is None else more))
    one = torch.ones(3)
    assert [f(one, more).item() for more in (None, 2.0, None)] == [3.0, 5.0, 3.0]
    layer.scale = 2.0
    assert f(one, None).item() == 6.0
    layer.w.requires_grad_()
    assert f(one, None).requires_grad
    layer.w.requires_grad_(False)
    assert not f(one, None).requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "lsb"}, "method must be one of 'fm', .*'lsd', .*; got 'lsb'"),
        ({"steps": 5, "minutes": 3.0}, "exactly one of steps and minutes"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": None, "minutes": -1.0}, "minutes must be positive, got -1.0"),
        ({"diagonal": 1.5}, r"diagonal must lie in \[0, 1\], got 1.5"),
        ({"at_zero": 1.5}, r"at_zero must lie in \[0, 1\], got 1.5"),
        ({"at_zero": 0.7, "at_one": 0.7}, "at_zero and at_one must be shares of one batch, got 0.7 and 0.7"),
        ({"lr": math.nan}, "lr must be positive, got nan"),
        ({"stf_batch": -1}, "stf_batch must be a whole number of at least 0, got -1"),
        ({"stf_batch": 1.5}, "stf_batch must be a whole number of at least 0, got 1.5"),
        ({"stf_near": 0.1, "stf_batch": 0}, "stf_near goes with stf_batch, got stf_near=0.1 and stf_batch=0"),
        ({"denoised": 1.2}, r"denoised must lie in \[0, 1\], got 1.2"),
        ({"stf_near": 1.2}, r"stf_near must lie in \[0, 1\], got 1.2"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"decay": "step"}, "decay must be one of"),
        ({"decay_from": 10}, "decay_from belongs to decay='sqrt'"),
        ({"interpolant": "Linear"}, "interpolant must be an Interpolant, such as Linear"),
        ({"colour": 1}, "colour: no setting of Training; it has steps, minutes"),
        ({"net": {"fourier": -2}}, "fourier must be a whole number of at least 0, got -2"),
        ({"net": {"colour": 1}}, "does not take these arguments .*colour.*it takes dim, hidden"),
    ],
)
def test_a_bad_setting_is_named(change, message):
    """Every field is checked before a step is taken, and the message names what came."""
    with pytest.raises(ValueError, match=message):
        small(**change)


class Blind(nn.Module):
    """A network that takes no label."""

    def __init__(self, outputs: int = 2):
        super().__init__()
        self.layer = nn.Linear(4, outputs)

    def forward(self, s, t, x):
        """Linear in everything."""
        return self.layer(torch.cat([x, s[:, None], t[:, None]], dim=1))


def two_classes() -> problems.FromTensor:
    """A Gaussian with labels that say nothing."""
    g = torch.Generator().manual_seed(0)
    return problems.FromTensor(torch.randn(64, 2, generator=g), torch.arange(64) % 2)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: small(diagonal=1.0), "diagonal must leave Lagrangian self-distillation a sample off it, got 1.0"),
        (lambda: small("fm", at_zero=0.3), "at_zero would be ignored, since flow matching draws its own times"),
        (lambda: small("fm", diagonal=0.5), "trains the diagonal alone: diagonal must be 1, got 0.5"),
        (lambda: small("ct", stf_batch=0, at_one=0.2), "at_one would be ignored"),
        (lambda: small("fm", denoised=0.2), "denoised would be ignored, since flow matching draws its own times"),
        (
            lambda: small(denoised=0.2, interpolant=Trigonometric(), stf_batch=0),
            "denoised takes an Euler step to the mean",
        ),
        (lambda: small(denoised=1.0), "denoised must leave Lagrangian self-distillation a jump of its own, got 1.0"),
        (lambda: small("ct", stf_batch=8), "stf_batch would be ignored, since .* has no sample on the diagonal"),
        (lambda: small(label_dropout=0.1), "label_dropout would be ignored, since this problem has no labels"),
        (lambda: small(channels_last=True), r"channels_last would be ignored, since samples of shape \(2,\) are no"),
        (lambda: small(problem=two_classes(), stf_batch=8), "stf_batch averages over all classes"),
        (lambda: recipe("digits", steps=1, stf_batch=8), r"stf_batch .*\(1, 8, 8\)|stf_batch averages over all"),
        (
            lambda: small(problem=problems.Gaussian(dim=5), stf_near=0.1),
            r"stf_near is for points of at most 4 .*\(5,\)",
        ),
        (lambda: small("ct-discrete", stf_batch=0, interpolant=Trigonometric()), r"interpolant must be Linear\(\)"),
        (lambda: small(batch=30, accumulate=4), "cannot be cut into 4 equal parts"),
        (
            lambda: small(problem=two_classes(), stf_batch=0)._replace(net=Blind()),
            "the problem has 2 classes, and Blind.forward takes no label",
        ),
        (lambda: small()._replace(net=Blind(outputs=3)), r"Blind must return .*shape \(2, 2\), got \(2, 3\)"),
        (lambda: small(problem=problems.Gaussian(dim=3))._replace(net=Blind()), "Blind does not take s and t of shape"),
        (lambda: small()._replace(net=Blind().requires_grad_(False)), "Blind has no parameter to train"),
    ],
)
def test_what_does_not_fit_together_is_refused(run, message):
    """Before the first step; a setting that would be ignored is refused by its name."""
    with pytest.raises(ValueError, match=message):
        next(fit(*run()))


def test_a_teacher_that_nobody_reads_is_refused():
    """LSD has no teacher; one that is handed to it is not ignored."""
    with pytest.raises(ValueError, match="Lagrangian self-distillation reads no teacher"):
        next(fit(*small(), teacher=FlowMap(problems.Gaussian().v)))


def test_checkpoint_of_another_run_is_refused():
    """Resuming with another network names the mismatch."""
    state = last(small())
    with pytest.raises(ValueError, match="belongs to another problem, network or method"):
        last(small(net={"hidden": 8}), resume=state.checkpoint())
    older = {name: part for name, part in state.checkpoint().items() if name != "batches"}
    with pytest.raises(ValueError, match="written by an earlier version of flowmap_edu"):
        last(small(), resume=older)


def test_a_weight_of_the_loss_is_learned_for_any_network():
    """A network without log_weight gets one, it moves, and the run resumes to the bit."""
    run = lambda: small(weighting=True)._replace(net=Blind())  # noqa: E731
    torch.manual_seed(3)
    first = Blind().state_dict()

    def fresh():
        made = run()
        made.net.load_state_dict(first)
        return made

    whole = last(fresh())
    assert whole.log_weight.linear.weight.abs().max() > 0
    resumed = last(fresh(), resume=next(fit(*fresh(), every=17)).checkpoint())
    assert torch.equal(weights(resumed), weights(whole))
    assert torch.equal(resumed.log_weight.linear.weight, whole.log_weight.linear.weight)


def test_the_trigonometric_interpolant_trains():
    """On N(0, 1) to N(0, 0.5^2) the diagonal learns E[dI | I] of that path, which is not the linear one's."""
    gaussian, path = problems.Gaussian(0.0, 0.5), Trigonometric()
    net = {"hidden": 32, "fourier": 0, "time_frequencies": 2}
    run = small("lsd", net, gaussian, steps=500, batch=256, stf_batch=256, lr=1e-2, interpolant=path)
    X = last(run).X
    t = torch.linspace(0.05, 0.95, 500)
    a, b, da, db = path.coefficients(t)
    S2 = a**2 + (0.5 * b) ** 2
    x = S2.sqrt()[:, None] * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    wanted = ((a * da + 0.25 * b * db) / S2)[:, None] * x
    assert (X.velocity(t, x) - wanted).square().sum(1).mean().sqrt() < 0.1
    assert (gaussian.velocity(t, x) - wanted).square().sum(1).mean().sqrt() > 0.3
    assert X.interpolant == path
    assert gaussian.evaluate(X, [1])[0]["map_error"] is None


def test_recipes_differ_as_documented():
    """The paper's recipe has none of our ingredients; ours keeps ESD convex."""
    paper = recipe("checkerboard-paper", "esd")
    settings = paper.training
    assert (settings.stf_batch, settings.at_zero, settings.stratified, settings.optimizer) == (0, 0.0, False, "radam")
    assert paper.net.frequencies.shape[1] == 0
    assert paper.method.stopgrad == "full"
    assert recipe("checkerboard", "esd").method.stopgrad == "convex"
    with pytest.raises(ValueError, match="recipe must be one of"):
        recipe("chessboard", "lsd")
    with pytest.raises(ValueError, match="for data of your own"):
        recipe("points")
