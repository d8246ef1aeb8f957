"""The losses: zero on exact maps and only there, gradients as the stop-gradient says, times, errors."""

import contextlib

import laws
import pytest
import torch
from scipy import stats
from torch.func import jvp

from flowmap_edu import losses, methods, problems, times
from flowmap_edu.flow_map import FlowMap

BOARD = problems.Checkerboard()
EVERY = [(condition, stopgrad) for condition, choices in laws.STOPGRADS.items() for stopgrad in choices]
every_loss = pytest.mark.parametrize(("condition", "stopgrad"), EVERY)


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_law(law):
    """Every law of laws.py holds (the same functions fail on the mistakes of test_mistakes.py)."""
    law(laws.REAL)


# --- exact maps and wrong maps ---------------------------------------------------------------------


def test_exact_checkerboard_makes_every_loss_vanish():
    """On the true checkerboard flow the three residuals are the ODE solver's error, 1e-7 where |b| is about 1."""
    X = FlowMap(BOARD.v)
    s, u, t = laws.jumps(16, latest=0.95)
    x, _ = laws.interpolants(BOARD, s)
    assert losses.diagonal(X, s, x, BOARD.velocity(s, x)).max() < 1e-18
    for name, values in {
        "lagrangian": losses.lagrangian(X, s, t, x),
        "eulerian": losses.eulerian(X, s, t, x, stopgrad="none"),
        "semigroup": losses.semigroup(X, s, u, t, x),
    }.items():
        assert values.max().sqrt() < 1e-7, name


@pytest.mark.parametrize("problem", [*laws.GAUSSIANS, BOARD], ids=["standard", "narrow", "wide", "board"])
def test_one_euler_step_is_not_a_flow_map(problem):
    """The map x + (t - s) b_s(x) has the right diagonal and breaks all three conditions, by known amounts.

    Lagrangian: b_s(x) - b_t(landing). Eulerian: (t - s) times the flow's acceleration db_s/ds + grad b_s b_s.
    Semigroup: h times the change of velocity over the first jump.
    """
    X, b = FlowMap(lambda s, t, x: problem.velocity(s, x)), problem.velocity  # noqa: ARG005
    s, u, t = (a[3:] for a in laws.jumps(67, latest=0.9))
    x, _ = laws.interpolants(problem, s)
    b_s, acceleration = jvp(b, (s, x), (torch.ones_like(s), b(s, x)))
    h = ((t - u) / (t - s))[:, None]
    by_hand = {
        "lagrangian": b_s - b(t, x + (t - s)[:, None] * b_s),
        "eulerian": (t - s)[:, None] * acceleration,
        "semigroup": h * (b_s - b(u, x + (u - s)[:, None] * b_s)),
    }
    assert losses.diagonal(X, s, x, b_s).max() == 0
    for name, residual in by_hand.items():
        for stopgrad in laws.STOPGRADS[name]:
            found = laws.ours(losses, name, stopgrad, X.slope, s, u, t, x)
            torch.testing.assert_close(found, residual.square().sum(1), rtol=1e-9, atol=1e-18, msg=name)
        assert found.mean() > 1e-3 * b_s.square().sum(1).mean(), f"{name} does not see the mistake"


def test_no_motion_satisfies_the_conditions_but_not_the_diagonal():
    """v = 0 is the flow map of zero velocity: the three residuals vanish, flow matching does not.

    And against a teacher b the same map costs exactly |b|^2, at the landing point or at the start.
    """
    X, problem = FlowMap(lambda s, t, x: 0 * x), laws.GAUSSIANS[1]  # noqa: ARG005
    s, u, t = laws.jumps(32)
    x, dI = laws.interpolants(problem, s)
    for name, values in laws.off_diagonal(losses, X, s, u, t, x).items():
        assert values.max() == 0, name
    torch.testing.assert_close(losses.diagonal(X, s, x, dI), dI.square().sum(1))
    b = problem.velocity
    torch.testing.assert_close(losses.lagrangian(X, s, t, x, velocity=b), b(t, x).square().sum(1))
    torch.testing.assert_close(losses.eulerian(X, s, t, x, velocity=b), b(s, x).square().sum(1))


@pytest.mark.parametrize("problem", [*laws.GAUSSIANS, BOARD], ids=["standard", "narrow", "wide", "board"])
def test_the_diagonal_loss_of_the_exact_velocity_is_the_irreducible_one(problem):
    """E |b_t(I_t) - dI_t|^2 is irreducible_loss() within 4 standard errors; any shift d of b adds |d|^2."""
    n = 40_000
    t = times.uniform(n).double()
    x, dI = laws.interpolants(problem, t)
    exactly = losses.diagonal(FlowMap(lambda s, t, x: problem.velocity(t, x)), t, x, dI)  # noqa: ARG005
    error = exactly.std() / n**0.5
    assert abs(exactly.mean() - problem.irreducible_loss()) < 4 * error
    d = torch.tensor([0.3, -0.2], dtype=torch.float64)
    shifted = losses.diagonal(FlowMap(lambda s, t, x: problem.velocity(t, x) + d), t, x, dI)  # noqa: ARG005
    more = shifted - exactly
    assert abs(more.mean() - d.square().sum()) < 4 * more.std() / n**0.5


def test_images_are_summed_over_all_their_entries():
    """On (B, C, H, W) with v = x: residuals (t - s) x, (t - s) x and h (u - s) x, squared over all entries."""
    X = FlowMap(lambda s, t, x: x)  # noqa: ARG005
    s, u, t = (a[3:] for a in laws.jumps(8))
    x = torch.randn(5, 3, 4, 2, dtype=torch.float64)
    norm = x.square().sum((1, 2, 3))
    torch.testing.assert_close(losses.diagonal(X, s, x, 3 * x), 4 * norm)
    torch.testing.assert_close(losses.lagrangian(X, s, t, x), (t - s) ** 2 * norm)
    for stopgrad in laws.STOPGRADS["eulerian"]:
        torch.testing.assert_close(losses.eulerian(X, s, t, x, stopgrad=stopgrad), (t - s) ** 2 * norm)
    h = (t - u) / (t - s)
    torch.testing.assert_close(losses.semigroup(X, s, u, t, x), (h * (u - s)) ** 2 * norm)


# --- gradients -------------------------------------------------------------------------------------


@every_loss
def test_the_value_does_not_depend_on_the_stopgrad(condition, stopgrad):
    """A stop-gradient changes the gradient and never the value; and it does change the gradient."""
    net = laws.Net()
    held, free = (laws.ours(losses, condition, choice, net, *laws.apart()) for choice in (stopgrad, "none"))
    torch.testing.assert_close(held, free, rtol=1e-12, atol=1e-16)
    gap = (laws.gradient(held, net) - laws.gradient(free, net)).norm() / laws.gradient(free, net).norm()
    assert gap == 0 if stopgrad == "none" else gap > 0.05


@pytest.mark.parametrize("condition", laws.STOPGRADS)
def test_without_stopgrad_the_gradient_is_that_of_the_value(condition):
    """'none' is the derivative of the loss along a direction in parameter space, by central differences."""
    net = laws.Net()
    loss = laws.ours(losses, condition, "none", net, *laws.apart())
    along = [torch.randn_like(p) for p in net.parameters()]
    slope = laws.gradient(loss, net) @ torch.cat([a.flatten() for a in along])

    @torch.no_grad()
    def value(h):
        moved = laws.Net()
        for p, a in zip(moved.parameters(), along, strict=True):
            p += h * a
        return laws.ours(losses, condition, "none", moved, *laws.apart()).mean()

    h = 1e-4
    difference = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    torch.testing.assert_close(slope, difference, rtol=1e-8, atol=0)


def test_the_convex_eulerian_loss_is_quadratic_in_v():
    """With v_{s,s} held the residual is linear in v, so along a ray a v the loss is a polynomial of degree 2 in a."""
    net, b = laws.Net(), torch.randn(16, 2, dtype=torch.float64)
    s, _, t, x = laws.apart()

    def loss(a):
        return losses.eulerian(FlowMap(lambda s, t, x: a * net(s, t, x)), s, t, x, stopgrad="convex", velocity=b)

    values = torch.stack([loss(float(a)) for a in range(4)])
    assert values.diff(n=2, dim=0).abs().max() > 1e-2  # it does bend
    torch.testing.assert_close(values.diff(n=3, dim=0), torch.zeros(1, 16, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_x_form_is_the_v_form_times_the_gap_squared():
    """|X_{u,t}(X_{s,u}(x)) - X_{s,t}(x)|^2, by hand, is the X form, and (t - s)^2 times the v form."""
    X = FlowMap(laws.Net())
    s, u, t = laws.jumps(16)
    x = torch.randn(16, 2, dtype=torch.float64)
    by_hand = (X(u, t, X(s, u, x)) - X(s, t, x)).square().sum(1)
    in_X, in_v = (losses.semigroup(X, s, u, t, x, velocity_form=form) for form in (False, True))
    torch.testing.assert_close(in_X, by_hand, rtol=1e-9, atol=1e-18)
    torch.testing.assert_close(in_X, (t - s) ** 2 * in_v, rtol=1e-12, atol=1e-18)


def test_a_jump_of_no_length_costs_nothing():
    """At s = u = t the three losses are 0 and their gradients finite: no 0/0 in h."""
    net = laws.Net()
    t = torch.rand(8, dtype=torch.float64)
    x = torch.randn(8, 2, dtype=torch.float64)
    for name, values in laws.off_diagonal(losses, FlowMap(net), t, t, t, x).items():
        assert values.max() < 1e-28, name
        assert torch.isfinite(laws.gradient(values, net)).all(), name


@pytest.fixture
def _forward_ad_closed():
    """A compilation that fails inside jvp leaves torch's forward-mode level open; close it for the tests to come."""
    yield
    with contextlib.suppress(RuntimeError):  # nothing to close is what we hope for
        torch._C._exit_dual_level(level=0)


@pytest.mark.usefixtures("_forward_ad_closed")
@pytest.mark.parametrize(("given", "method"), [("stacked", "lsd"), ("indexed", "esd")])
def test_compiled_losses_equal_eager_ones(given, method):
    """torch.compile(fullgraph=True) gives the eager value and gradient.

    "indexed": v takes a view t[:, None] of times that are views themselves, rows of one sorted tensor;
    torch's compiler fails on a view of a view of a forward-mode input.
    """
    torch.compiler.reset()
    net = laws.Net()
    s, u, t, x = laws.apart()
    batch = losses.Batch(losses.Diagonal(t, x, x.flip(0)), losses.Jumps(s, u, t, x))

    def v(s, t, x):
        if given == "stacked":
            return net(s, t, x)
        return net.body(torch.cat([x, s[:, None], t[:, None]], dim=1))

    def step(batch):
        return methods.loss(FlowMap(v), batch, methods.METHODS[method])

    eager, fast = step(batch), torch.compile(step, fullgraph=True)(batch)
    torch.testing.assert_close(fast, eager, rtol=1e-10, atol=1e-14)
    found, wanted = (torch.autograd.grad(loss.mean(), list(net.parameters())) for loss in (fast, eager))
    for f, w in zip(found, wanted, strict=True):
        torch.testing.assert_close(f, w, rtol=1e-10, atol=1e-14)


# --- times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_stratified_draws_put_one_number_in_each_cell(n):
    """The k-th of n numbers lies in [k/n, (k+1)/n), and is uniform there."""
    r = times.uniform(n)
    assert torch.equal((r * n).floor(), torch.arange(float(n)))
    if n == 1000:
        assert stats.kstest((r * n).frac().numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("zero", "one"), [(0, 0), (0.3, 0), (0, 0.3), (0.25, 0.5), (1, 0), (0, 1), (0.5, 0.5)])
def test_shares_on_the_two_edges_are_exact(zero, one):
    """A share starts at s = 0 with t uniform on [0, 1], another ends at t = 1 with s uniform, in count and law."""
    n = 2000
    s, t = times.triangle(n, at_zero=zero, at_one=one)
    assert bool((s <= t).all())
    assert int((s == 0).sum()) == zero * n
    assert int((t == 1).sum()) == one * n
    for share, free in ((zero, t[s == 0]), (one, s[t == 1])):
        assert not share or stats.kstest(free.numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("zero", "one"), [(0.3, 0), (0, 0.3), (0.25, 0.25)])
def test_the_pairs_off_the_edges_stay_uniform_on_the_triangle(zero, one):
    """The pairs that no share moves have t^2 and s/t uniform on all of [0, 1], as without shares."""
    s, t = times.triangle(4000, at_zero=zero, at_one=one)
    inside = (s > 0) & (t < 1)
    s, t = s[inside], t[inside]
    for name, r in (("t^2", t**2), ("s/t", s / t)):
        p = stats.kstest(r.numpy(), "uniform").pvalue
        assert p > 1e-3, f"{name} covers [{r.min():.3f}, {r.max():.3f}], p = {p:.1e}"


def test_starts_of_jumps_over_a_last_euler_step():
    """Three of ten at s = 0, the others uniform up to u = 0.97."""
    s = times.denoised(2000, generator=torch.Generator().manual_seed(0))
    assert int((s == 0).sum()) == 600
    assert stats.kstest(s[600:].numpy() / 0.97, "uniform").pvalue > 1e-3
    assert s.max() < times.DENOISED == 0.97


def test_jumps_before_the_last_euler_step_end_where_it_begins():
    """[s, 1] goes to [s, 0.97] along a line, where s < 0.9; later jumps stay."""
    s = torch.tensor([0.0, 0.4, 0.4, 0.4, 0.95])
    t = torch.tensor([1.0, 0.4, 0.7, 1.0, 1.0])
    wanted = torch.tensor([0.97, 0.4, (0.4 + 0.97) / 2, 0.97, 1.0])
    torch.testing.assert_close(times.before_the_last_step(s, t), wanted)


def test_times_are_spread_more_evenly_than_chance():
    """Stratified t^2 and s/t have a discrepancy below 1/n, where independent draws have about 1/sqrt(n)."""
    n = 1000
    s, t = times.triangle(n)
    for r in (t.double() ** 2, s.double() / t.double()):
        assert stats.kstest(r.numpy(), "uniform").statistic < 1 / n + 1e-6


def test_times_repeat_with_their_generator():
    """The same generator state gives the same pairs, another one others."""
    draws = [torch.stack(times.triangle(64, generator=torch.Generator().manual_seed(k))) for k in (5, 5, 6)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


# --- errors ----------------------------------------------------------------------------------------

X = FlowMap(lambda s, t, x: x)  # noqa: ARG005
x = torch.zeros(3, 2)
lo, mid, hi = torch.full((3,), 0.2), torch.full((3,), 0.5), torch.full((3,), 0.8)
BACKWARD = losses.Batch(losses.Diagonal(mid, x, x), losses.Jumps(hi, mid, lo, x))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: losses.lagrangian(X, hi, lo, x), r"s <= t is wanted.*s > t.* 3 of 3"),
        (lambda: losses.eulerian(X, hi, lo, x), r"s <= t is wanted.*3 of 3"),
        (lambda: losses.semigroup(X, lo, hi, mid, x), r"u <= t is wanted.*u > t.* 3 of 3"),
        (lambda: losses.semigroup(X, mid, lo, hi, x), r"s <= u is wanted.*s > u.* 3 of 3"),
        (lambda: losses.lagrangian(X, torch.tensor([0.1, 0.9, 0.1]), mid, x), r"s <= t is wanted.* 1 of 3"),
        (lambda: losses.lagrangian(X, lo, hi, x, stopgrad="full"), r"stopgrad .*'none', 'semi', 'convex'; got 'full'"),
        (
            lambda: losses.eulerian(X, lo, hi, x, stopgrad="half"),
            r"stopgrad .*'none', 'convex', 'semi', 'full'; got 'half'",
        ),
        (lambda: losses.semigroup(X, lo, mid, hi, x, stopgrad="full"), r"stopgrad .*; got 'full'"),
        (lambda: losses.lagrangian(X, lo, hi + 0.5, x), r"t must lie in \[0, 1\].*1.29"),
        (lambda: losses.eulerian(X, lo - 0.5, hi, x), r"s must lie in \[0, 1\]|t must lie in \[0, 1\]"),
        (lambda: losses.lagrangian(X, lo[:2], hi[:2], x), r"must .*\(3,\).*got shape \(2,\)"),
        (lambda: losses.diagonal(X, mid, x, x[:, :1]), r"x and target .*\(3, 2\) and \(3, 1\)"),
        (lambda: losses.diagonal(X, hi + 1, x, x), r"must lie in \[0, 1\]"),
        (lambda: losses.eulerian(X, lo, hi, x, velocity=x[:2]), r"x and the velocity .*\(3, 2\) and \(2, 2\)"),
        (lambda: losses.lagrangian(X, lo, hi, x, velocity=lambda t, x: x[:, 0]), r"x and the velocity .*\(3,\)"),  # noqa: ARG005
        (lambda: times.triangle(0), r"n must .*at least 1, got 0"),
        (lambda: times.triangle(10, at_zero=1.5), r"at_zero .*got 1.5"),
        (lambda: times.triangle(10, at_zero=-0.1), r"at_zero .*got -0.1"),
        (lambda: times.triangle(10, at_one=1.5), r"at_one .*got .*1.5"),
        (lambda: times.triangle(10, at_zero=0.7, at_one=0.7), r"at_zero .*at_one .*got 0.7 and 0.7"),
        (lambda: methods.loss(X, BACKWARD, methods.METHODS["lsd"]), r"s <= t is wanted"),
    ],
)
def test_a_bad_argument_is_named(call, says):
    """Times out of order or range, unknown names and wrong shapes raise ValueError that says which."""
    with pytest.raises(ValueError, match=says):
        call()
