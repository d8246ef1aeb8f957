"""The table of methods: each method's gradient is that of its publication's own objective (sources.py).

Where a method here and its source differ by a weight on each sample, the weight is written here. Where they
agree in a limit, the order of the limit is fitted.
"""

import copy
import dataclasses
import itertools
import math

import laws
import pytest
import sources
import torch
from scipy import stats
from torch import nn

from flowmap_edu import losses, methods, problems, sample, times, training
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets import MLP
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.training.loop import loss_of_batch
from flowmap_edu.training.trajectories import solved

SIGMA = problems.Checkerboard().sigma
CLOSE = 1e-10
by_name = pytest.mark.parametrize("name", methods.METHODS)


class Case:
    """A network, its frozen and its slow copy, a teacher, and a batch with the method's own times."""

    def __init__(self, method: methods.Method, n: int = 32, seed: int = 0, name: str = ""):
        self.method, self.name, self.net = method, name, laws.Net(seed)
        self.frozen = copy.deepcopy(self.net).requires_grad_(False)
        self.slow, self.teacher_net = (laws.Net(seed + k).requires_grad_(False) for k in (1, 2))
        g = torch.Generator().manual_seed(seed)
        s, u, t = (a.double() for a in times.draw(method, n, generator=g))
        # at s = 0 some sources have an infinite time, at s = t an empty jump
        inside = ((s > 0.01) | (method.times == "from zero")) & ((s - t).abs() > 1e-3)
        self.s, self.u, self.t = s[inside], u[inside], t[inside]
        self.next = torch.where(self.u < self.t, self.u - self.s, 0.001)  # of times drawn in float32
        self.x0, self.x1 = torch.randn(2, len(self.s), 2, dtype=torch.float64, generator=g) * SIGMA
        self.x, self.dx = (1 - self.s[:, None]) * self.x0 + self.s[:, None] * self.x1, self.x1 - self.x0
        if method.points == "trajectory":
            self.k = (self.s * 64).round().long()
            self.path = solved(self.teacher, self.x0)
            self.x, self.x1 = self.path[torch.arange(len(self.k)), self.k], self.path[:, -1]
            self.dx = (self.x1 - self.x) / (1 - self.s[:, None])
        self.on = torch.rand(12, dtype=torch.float64, generator=g)
        self.on0, self.on1 = torch.randn(2, 12, 2, dtype=torch.float64, generator=g) * SIGMA

    def teacher(self, t, x):
        """The velocity of the teacher, b_t(x)."""
        return self.teacher_net(t, t, x)

    def own(self, t, x):
        """The frozen diagonal."""
        return self.frozen(t, t, x)

    def batch(self, diagonal: bool = False) -> losses.Batch:
        t = self.on if diagonal else self.on[:0]
        x0, x1 = self.on0[: len(t)], self.on1[: len(t)]
        x_t = (1 - t[:, None]) * x0 + t[:, None] * x1
        jumps = losses.Jumps(self.s, self.u, self.t, self.x, self.dx)
        return losses.Batch(losses.Diagonal(t, x_t, x1 - x0), jumps)

    def jumps(self, *fields, **changes) -> losses.Batch:
        """The batch of jumps alone, with its fields given or some of them changed."""
        batch = self.batch()
        jumps = losses.Jumps(*fields) if fields else batch.jumps
        return batch._replace(jumps=jumps._replace(**changes))

    def loss(self, diagonal: bool = False, **choices) -> torch.Tensor:
        """The library's loss, one value a sample."""
        maps = {"teacher": FlowMap(self.teacher_net), "average": FlowMap(self.slow)}
        return methods.loss(FlowMap(self.net), self.batch(diagonal), self.method, **maps, **choices)

    def gap(self, ours: torch.Tensor, theirs: torch.Tensor) -> float:
        """How far the two gradients are apart, relative to the second."""
        a, b = (laws.gradient(value, self.net) for value in (ours, theirs))
        assert b.norm() > 1e-4
        return ((a - b).norm() / b.norm()).item()


def squared(c: Case) -> torch.Tensor:
    """|r|^2 of the Eulerian residual against whatever velocity the method reads, unweighted."""
    method = dataclasses.replace(c.method, weight="one", tangent_warmup=0.0)
    maps = {"teacher": FlowMap(c.teacher_net), "average": FlowMap(c.slow)}
    return methods.loss(FlowMap(c.frozen), c.batch(), method, **maps)


# name: (the source's objective on a case, the weight on each sample that turns it into the method's).
# A published gradient objective f . g, linear in f, is half a squared residual: hence the factors 2.
def objectives(c: Case, done: float = 1.0) -> tuple[torch.Tensor, torch.Tensor | float]:
    s, u, t, x, net, frozen = c.s, c.u, c.t, c.x, c.net, c.frozen
    X, frozen_X = sources.jump(net), sources.jump(frozen)
    backward, frozen_backward = sources.backwards(net), sources.backwards(frozen)
    tau, z = SIGMA * (1 - s) / s, c.x0 / SIGMA
    later = SIGMA * (1 - u) / u
    f, frozen_f, denoiser = sources.ve(net, SIGMA), sources.ve(frozen, SIGMA), sources.ve_denoiser(c.teacher, SIGMA)
    angle = torch.atan2(1 - s, s)
    rho = (s**2 + (1 - s) ** 2).sqrt()
    trig = {"F": sources.trig(net, SIGMA), "frozen_F": sources.trig(frozen, SIGMA), "sigma": SIGMA}
    trig |= {"x": c.x1, "z": c.x0, "tau": angle, "normalise": 0.1}
    R = squared(c).sqrt() if c.method.condition == "eulerian" else s
    of_scm = (s * rho * R + 0.1) * SIGMA / (s * rho**2 * (R + 0.1))  # the two normalisations see other units
    # Align Your Flow: f(x, tau, to) = x + (to - tau) F with F = -v
    frozen_F = lambda x, tau, to: -frozen(1 - tau, 1 - to, x)  # noqa: E731
    ayf = lambda x, tau, to: X(1 - tau, 1 - to, x)  # noqa: E731
    frozen_ayf = lambda x, tau, to: frozen_X(1 - tau, 1 - to, x)  # noqa: E731
    minus_b = lambda x, tau: -c.teacher(1 - tau, x)  # noqa: E731
    at_the_end = [lambda x, t, r, v=v: v(t, r, x) for v in (net, frozen)]
    in_segments = [lambda x, t, v=v: v(t, torch.where(t < 0.5, 0.5, 1.0).to(t), x) for v in (net, frozen)]
    slow_step = lambda x, t, d: c.slow(t, t + d, x)  # noqa: E731
    # terminal velocity matching: F(x, tau, r) = -v from tau to r
    terminal = [lambda x, tau, r, v=v: -v(1 - tau, 1 - r, x) for v in (net, frozen, c.slow)]
    x_hat = lambda v: lambda z, tau, to: z + tau[:, None] * v(1 - tau, 1 - to, z)  # noqa: E731
    coarse = lambda s, t, x: c.teacher_net(s, torch.where(t - s <= 1 / 128, s, t), x)  # noqa: E731
    leap, slow_leap = sources.ve_jump(net, SIGMA), sources.ve_jump(c.slow, SIGMA)
    from_noise = [lambda z, d, v=v: v(0 * d, d, z) for v in (net, frozen)]
    taus = SIGMA * (1 / (torch.arange(1, 65, dtype=torch.float64) / 64) - 1)  # of the grid's points from 1/64 on

    found = {
        "fm": lambda: (sources.flow_matching(net, c.on, c.on0, c.on1), 1.0),
        "lsd": lambda: (sources.lagrangian_self_distillation(X, frozen_X, c.own, s, t, x), 1.0),
        "tvm": lambda: (sources.terminal_velocity_matching(*terminal, x, 1 - s, 1 - t), 1.0),
        "esd": lambda: (sources.eulerian_self_distillation(X, frozen_X, c.own, s, t, x), 1.0),
        "psd-m": lambda: (sources.progressive_self_distillation(net, frozen, frozen_X, s, u, t, x), 1.0),
        "psd-u": lambda: (sources.progressive_self_distillation(net, frozen, frozen_X, s, u, t, x), 1.0),
        "lmd": lambda: (sources.lagrangian_map_distillation(X, c.teacher, s, t, x), 1.0),
        "fmm": lambda: (sources.flow_map_matching(X, c.x0, c.x1, t, s), 1.0),  # its s and t are exchanged
        "freeflow": lambda: (sources.free_flow(*from_noise, lambda x, tau: c.teacher(1 - tau, x), c.x0, t), 1.0),
        "emd": lambda: (sources.eulerian_map_distillation(X, c.teacher, s, t, x), 1.0),
        "ct": lambda: (sources.consistency_continuous(f, frozen_f, c.x1, z, tau), 2 * SIGMA / s**2),
        "cd": lambda: (sources.consistency_continuous(f, frozen_f, c.x1, z, tau, denoiser), 2 * SIGMA / s**2),
        "sct": lambda: (sources.scm(**trig), of_scm),
        "scd": lambda: (sources.scm(**trig, teacher=sources.trig_velocity(c.teacher)), of_scm),
        "facm": lambda: (  # where no entry of g is cut; for the others see below
            sources.flow_anchored(*at_the_end, c.x1, c.x0, s, cut=math.inf), 1.0,
        ),
        "ct-discrete": lambda: (
            sources.consistency_training_discrete(f, frozen_f, c.x1, z, tau, later), 1 / (u - s),
        ),
        "cd-discrete": lambda: (
            sources.consistency_distillation_discrete(f, frozen_f, denoiser, c.x1, z, tau, later), 1 / (u - s),
        ),
        "ect": lambda: (
            sources.easy_consistency(f, frozen_f, c.x1, z, tau, done, 2 * SIGMA), 2 * SIGMA,
        ),
        "consistency-fm": lambda: (  # its first term; for the second see below
            sources.consistency_flow_matching(*in_segments, c.x1, c.x0, s, delta=c.next, alpha=0.0), 1.0,
        ),
        "cmt": lambda: (sources.mid_training(f, c.path[:, 1:] / torch.arange(1, 65)[:, None] * 64, taus, c.k - 1), 1.0),
        "ctm": lambda: (  # G has the units of x_tau = I_s / s, and X_{s,t} = t G
            sources.trajectory_matching(leap, slow_leap, slow_leap, x / s[:, None], tau, later, SIGMA * (1 - t) / t),
            1.0,
        ),
        "shortcut": lambda: (
            sources.shortcut(lambda x, t, d: net(t, t + d, x), slow_step, x, s, u - s, 1 / 128), 1.0,
        ),
        "pd": lambda: (
            sources.progressive_distillation(x_hat(net), x_hat(coarse), x, 1 - s, 1 - u, 1 - t), 1.0,
        ),
        "ayf-emd": lambda: (
            sources.ayf_emd(ayf, frozen_F, minus_b, x, 1 - s, 1 - t, normalise=0.1), 2 / (t - s),
        ),
        "ayf-lmd": lambda: (sources.ayf_lmd(ayf, frozen_ayf, minus_b, x, 1 - s, 1 - t), 2 / (t - s)),
        "meanflow": lambda: (sources.mean_flow(backward, frozen_backward, c.x1, c.x0, 1 - t, 1 - s), 1.0),
        "imf": lambda: (sources.improved_mean_flow(backward, frozen_backward, c.x1, c.x0, 1 - t, 1 - s), 1.0),
        "tim": lambda: (sources.transition(backward, frozen_backward, c.x1, c.x0, 1 - s, 1 - t), 1.0),
        "alphaflow": lambda: (sources.alpha_flow(backward, frozen_backward, c.x1, c.x0, 1 - t, 1 - s, done), 1.0),
        "soflow": lambda: (sources.solution_flow(*terminal[:2], c.x1, c.x0, 1 - s, 1 - t, done), 2.0),
        "split-meanflow": lambda: (sources.split_mean_flow(backward, frozen_backward, x, 1 - t, 1 - u, 1 - s), 1.0),
    }  # fmt: skip
    assert set(found) == set(methods.METHODS)
    return found[c.name]()


def case(name: str, **choices) -> Case:
    """The case of a method in the table, with some of its choices changed."""
    return Case(dataclasses.replace(methods.METHODS[name], **choices), name=name)


@by_name
def test_the_method_is_its_source(name):
    """Parameter gradients agree to 1e-10, up to the weight written above."""
    c = case(name)
    theirs, weight = objectives(c)
    ours = c.loss(diagonal=name == "fm")
    assert ours.shape == theirs.shape
    assert c.gap(ours, weight * theirs) < CLOSE


@by_name
def test_the_comparison_would_notice(name):
    """The same comparison fails if the source is given networks that differ by a thousandth in one weight."""
    c, other = case(name), case(name)
    with torch.no_grad():
        for net in (other.net, other.frozen, other.slow, other.teacher_net):
            net.body[0].weight[0, 0] += 1e-3
    theirs, weight = objectives(other)
    ours, theirs = laws.gradient(c.loss(diagonal=name == "fm"), c.net), laws.gradient(weight * theirs, other.net)
    assert (ours - theirs).norm() > 1e-5 * theirs.norm()


MOVES = [name for name, method in methods.METHODS.items() if method.middle in times.MOVING]


@pytest.mark.parametrize("done", [0.0, 0.1, 0.3, 0.55, 0.7, 0.999])
@pytest.mark.parametrize("name", MOVES)
def test_a_moving_middle_is_its_sources_at_every_time_of_the_training(name, done):
    c = case(name)
    theirs, weight = objectives(c, done)
    assert c.gap(c.loss(ramp=done), weight * theirs) < CLOSE
    assert c.gap(c.loss(ramp=torch.tensor(done)), weight * theirs) < 1e-6  # the loop's ramp is float32


@by_name
def test_no_row_breaks_at_the_ends_of_time(name):
    """Loss and gradient are finite for a start at 0, an empty jump in the middle and one at 1."""
    c = case(name)
    s, t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), torch.tensor([1.0, 0.5, 1.0], dtype=torch.float64)
    ends = c.jumps(s, (s + t) / 2, t, c.x[:3], c.dx[:3])._replace(diagonal=c.batch(diagonal=True).diagonal)
    for done in (0.0, 0.5, 1.0):
        ramp = {"ramp": done} if c.method.tangent_warmup else {}
        maps = {"teacher": FlowMap(c.teacher_net), "average": FlowMap(c.slow)}
        found = methods.loss(FlowMap(c.net), ends, c.method, **maps, **ramp)
        assert found.isfinite().all()
        assert laws.gradient(found, c.net).isfinite().all()


def test_consistency_flow_matching_leaves_out_a_term_that_counts_little():
    """With the source's second term the gradient is another one, by less than a thousandth."""
    c = case("consistency-fm")
    v, frozen_v = (lambda x, t, v=v: v(t, torch.where(t < 0.5, 0.5, 1.0).to(t), x) for v in (c.net, c.frozen))
    early = c.s + 0.001 < 0.9
    theirs = sources.consistency_flow_matching(v, frozen_v, c.x1, c.x0, c.s, delta=c.next)
    assert 1e-8 < c.gap(c.loss()[early], theirs[early]) < 1e-3


def test_flow_map_matching_has_two_terms_that_count():
    """The source's public code has the first alone: another gradient. Its order of the two times counts as well."""
    c = case("fmm")
    assert (c.s < c.t).any()
    assert (c.s > c.t).any()
    X = sources.jump(c.net)
    both = sources.flow_map_matching(X, c.x0, c.x1, c.t, c.s)
    first = both - losses.sum_square(X(c.t, c.s, X(c.s, c.t, c.x)) - c.x)
    assert c.gap(c.loss(), both) < CLOSE
    assert c.gap(c.loss(), first) > 1e-3
    assert c.gap(c.loss(), sources.flow_map_matching(X, c.x0, c.x1, c.s, c.t)) > 0.01


def test_points_are_carried_to_time_one_by_a_map_that_is_not_trained():
    """Compared where they land, the gradient is another one; the map that carries them gets none in a training."""
    c = case("ctm")
    carried = c.loss()
    c.method = dataclasses.replace(c.method, compared="landing")
    assert c.gap(c.loss(), carried) > 0.01
    c = case("ctm")
    with pytest.raises(ValueError, match="compares at time 1, got no map that leads there"):
        methods.loss(FlowMap(c.net), c.batch(), c.method)
    with pytest.raises(ValueError, match=r"velocity_form with onward must be one of True; got False"):
        losses.semigroup(FlowMap(c.net), c.s, c.u, c.t, c.x, onward=FlowMap(c.slow), velocity_form=False)
    *_, state = training.fit(*small("ctm"))
    assert all(p.grad is None and not p.requires_grad for p in state.average.module.parameters())


def test_carried_on_by_the_true_map_two_landings_differ_by_their_distance_at_time_one():
    """On the exact Gaussian map |X_{t,1}(a) - X_{t,1}(b)| is S(1) / S(t) |a - b|: the weight of a landing's error."""
    problem = laws.GAUSSIANS[1]
    s, u, t, x = laws.apart()
    wrong, exact = FlowMap(laws.Net()), FlowMap(problem.v)
    grown = (problem.spread(torch.ones_like(t)) / problem.spread(t)).flatten() ** 2
    landing = losses.semigroup(wrong, s, u, t, x, velocity_form=False)
    torch.testing.assert_close(losses.semigroup(wrong, s, u, t, x, onward=exact), grown * landing)


def test_a_flow_anchored_model_cuts_no_small_residual():
    """The source's cut of the residual's entries at 1 changes nothing where they are smaller; elsewhere it does."""
    c = case("facm")
    F, frozen_F = (lambda x, t, r, v=v: v(t, r, x) for v in (c.net, c.frozen))
    theirs = sources.flow_anchored(F, frozen_F, c.x1, c.x0, c.s)
    small = squared(c) < 1  # then each entry is below 1
    assert 5 < small.sum() < len(small)
    assert c.gap(c.loss()[small], theirs[small]) < CLOSE
    assert c.gap(c.loss(), theirs) > 0.01


# --- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("discrete", "continuous"), [("ct-discrete", "ct"), ("cd-discrete", "cd")])
def test_neighbours_tend_to_the_continuous_method_at_first_order(discrete, continuous):
    """The gradient's gap falls like the step to the power 1.00 as the two times approach each other."""
    fine, coarse = case(continuous), case(discrete)
    keep = fine.s < 0.9
    batch = fine.jumps(*(part[keep] for part in fine.batch().jumps[:5]))
    limit = laws.gradient(
        methods.loss(FlowMap(fine.net), batch, fine.method, teacher=FlowMap(fine.teacher_net)), fine.net
    )
    steps, gaps = [2.0**-k for k in range(8, 14)], []
    for step in steps:
        near = batch._replace(jumps=batch.jumps._replace(u=batch.jumps.s + step))
        found = methods.loss(FlowMap(fine.net), near, coarse.method, teacher=FlowMap(fine.teacher_net))
        gaps.append(((laws.gradient(found, fine.net) - limit).norm() / limit.norm()).item())
    order = stats.linregress([math.log(h) for h in steps], [math.log(g) for g in gaps]).slope
    assert abs(order - 1) < 0.02, (order, gaps)


def test_a_central_difference_is_the_derivative_up_to_second_order():
    """The gap of the two gradients falls like the square of the step; at an end of time the loss is still finite."""
    c = case("tim", weight="one", difference=0.0)
    limit, inside = c.loss(), (c.s > 2.0**-8) & (c.s < 1 - 2.0**-8)
    steps, gaps = [2.0**-k for k in range(8, 12)], []
    for h in steps:
        c.method = dataclasses.replace(c.method, difference=h)
        gaps.append(c.gap(c.loss()[inside], limit[inside]))
    order = stats.linregress([math.log(h) for h in steps], [math.log(g) for g in gaps]).slope
    assert abs(order - 2) < 0.02, (order, gaps)


def test_the_bridge_tends_to_mean_flow_at_first_order():
    """|v - sg[alpha dI + (1-alpha) v_{u,t}(I_s + (u-s) dI)]|^2 / alpha, u = s + alpha (t-s), as alpha goes to 0."""
    c = case("meanflow")
    limit = laws.gradient(losses.eulerian(FlowMap(c.net), c.s, c.t, c.x, stopgrad="semi", velocity=c.dx), c.net)
    alphas, gaps = [2.0**-k for k in range(8, 14)], []
    for alpha in alphas:
        u = c.s + alpha * (c.t - c.s)
        found = losses.semigroup(FlowMap(c.net), c.s, u, c.t, c.x, velocity=c.dx) / alpha
        gaps.append(((laws.gradient(found, c.net) - limit).norm() / limit.norm()).item())
    order = stats.linregress([math.log(a) for a in alphas], [math.log(g) for g in gaps]).slope
    assert abs(order - 1) < 0.02, (order, gaps)


def test_a_mean_flow_step_with_no_jump_is_flow_matching():
    """At s = t the Eulerian residual with the sample's slope is dI_t - v_{t,t}(I_t): one loss serves both parts."""
    c = case("meanflow")
    off = c.jumps(c.s, c.s, c.s, c.x, c.dx)
    on = losses.Batch(losses.Diagonal(c.s, c.x, c.dx), losses.Jumps(*(a[:0] for a in (c.s, c.s, c.s, c.x, c.dx))))
    losses_of = [methods.loss(FlowMap(c.net), batch, c.method) for batch in (off, on)]
    assert c.gap(*losses_of) < CLOSE


# --- where the sample's own slope may stand for the velocity ---------------------------------------


def spread(stopgrad: str, weight: str = "one") -> float:
    """How far the mean gradient over 5 slopes w is from the gradient at their mean, relative."""
    c = case("meanflow", stopgrad=stopgrad, weight=weight)
    g = torch.Generator().manual_seed(4)
    slopes = c.dx + torch.randn(5, *c.dx.shape, generator=g, dtype=torch.float64)
    of = [laws.gradient(methods.loss(FlowMap(c.net), c.jumps(dx=w), c.method), c.net) for w in slopes]
    once = methods.loss(FlowMap(c.net), c.jumps(dx=slopes.mean(0)), c.method)
    wanted = laws.gradient(once, c.net)
    return ((torch.stack(of).mean(0) - wanted).norm() / wanted.norm()).item()


def test_the_samples_slope_serves_where_the_gradient_is_linear_in_it():
    """Held, it enters the gradient linearly, so its mean, the velocity, is all that counts; else it does not.

    A weight that depends on the residual spoils this even under "semi".
    """
    assert spread("semi") < 1e-12
    assert spread("full") < 1e-12
    assert spread("convex") > 0.05
    assert spread("none") > 0.05
    assert spread("semi", "adaptive") > 0.05
    assert spread("semi", "tangent") > 0.01


def test_on_the_true_map_the_slopes_push_only_where_they_enter_the_gradient_squared():
    """Two slopes mirrored at b_s(x) have no joint push on the exact map under "semi" and "full"; else they have."""
    problem = laws.GAUSSIANS[1]
    s, _, t = laws.jumps(16)
    x, dx = laws.interpolants(problem, s)
    mirrored = 2 * problem.velocity(s, x) - dx
    theta = torch.zeros((), dtype=torch.float64, requires_grad=True)
    X = FlowMap(lambda s, t, x: (1 + theta) * problem.v(s, t, x))
    for stopgrad in losses.STOPGRADS["eulerian"]:
        pushes = [
            torch.autograd.grad(losses.eulerian(X, s, t, x, stopgrad=stopgrad, velocity=w).sum(), theta)[0]
            for w in (dx, mirrored)
        ]
        assert (abs(sum(pushes)) < CLOSE * abs(pushes[0])) == (stopgrad in ("semi", "full")), (stopgrad, pushes)


def test_a_jump_that_lands_on_the_sample_may_read_its_slope():
    """Flow map matching: from X_{t,s}(I_t) the true map lands on I_t and moves there with b_t(I_t), in either order.

    So |d/dt X_{s,t}(X_{t,s}(I_t)) - dI_t|^2 is |b_t(I_t) - dI_t|^2, a sample at a time. A jump from I_s has no such
    sample at its end: the same difference is another one there.
    Source: Boffi, Albergo & Vanden-Eijnden 2024, arXiv 2406.07507.
    """
    for problem in laws.GAUSSIANS:
        s, t = torch.rand(2, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert (s < t).any()
        assert (s > t).any()
        m, S = problem.mean.double(), problem.spread
        X = lambda s, t, x: m * t[:, None] + S(t) / S(s) * (x - m * s[:, None])  # noqa: E731, B023
        moves = lambda s, t, x: torch.func.jvp(lambda t: X(s, t, x), (t,), (torch.ones_like(t),))  # noqa: E731, B023
        x, dx = laws.interpolants(problem, t)
        landed, moved = moves(s, t, X(t, s, x))
        torch.testing.assert_close(landed, x, rtol=1e-12, atol=1e-12)
        irreducible = losses.sum_square(problem.velocity(t, x) - dx)
        torch.testing.assert_close(losses.sum_square(moved - dx), irreducible, rtol=1e-11, atol=1e-11)
        v = FlowMap(lambda s, t, x: (X(s, t, x) - x) / (t - s)[:, None])  # noqa: B023
        torch.testing.assert_close(losses.matching(v, t, s, x, dx), irreducible, rtol=1e-9, atol=1e-9)
        x_s = x + (s - t)[:, None] * dx
        assert not torch.allclose(losses.sum_square(moves(s, t, x_s)[1] - dx), irreducible, rtol=0.1)


# --- where practice departs from the correspondence ------------------------------------------------


@pytest.mark.parametrize("ramp", [0.0, 0.3, 0.99, 1.0])
@pytest.mark.parametrize("weight", ["one", "tangent"])
def test_align_your_flow_ramps_as_this_method_does(ramp, weight):
    """x + (to - tau) F is x + (t - s) v: the ramped tangent is the same, normalised or as in the theorem."""
    c = case("ayf-emd", weight=weight)
    frozen = lambda x, tau, to: -c.frozen(1 - tau, 1 - to, x)  # noqa: E731
    f = lambda x, tau, to: sources.jump(c.net)(1 - tau, 1 - to, x)  # noqa: E731
    velocity = lambda x, tau: -c.teacher(1 - tau, x)  # noqa: E731
    theirs = sources.ayf_emd(
        f, frozen, velocity, c.x, 1 - c.s, 1 - c.t, ramp=ramp, normalise={"one": None, "tangent": 0.1}[weight]
    )
    assert c.gap(c.loss(ramp=ramp), 2 / (c.t - c.s) * theirs) < CLOSE


def test_progressive_distillation_with_its_other_weight():
    """The source also offers SNR + 1 in place of max(SNR, 1): on v that is s^2 + (1-s)^2."""
    c = case("pd", weight="one")
    x_hat = lambda v: lambda z, tau, to: z + tau[:, None] * v(1 - tau, 1 - to, z)  # noqa: E731
    coarse = lambda s, t, x: c.teacher_net(s, torch.where(t - s <= 1 / 128, s, t), x)  # noqa: E731
    times = (1 - c.s, 1 - c.u, 1 - c.t)
    theirs = sources.progressive_distillation(x_hat(c.net), x_hat(coarse), c.x, *times, weight=lambda snr: snr + 1)
    assert c.gap((c.s**2 + (1 - c.s) ** 2) * c.loss(), theirs) < CLOSE


def test_scm_ramps_in_its_own_parametrisation():
    """At ramp 0 both are flow matching, each in its own: |v_{s,1} - dI|^2 here, cos^2 |sigma F - dx|^2 there.

    In between the two differ.
    """
    c = case("sct", weight="one")
    assert c.gap(c.loss(ramp=0.0), losses.sum_square(c.net(c.s, c.t, c.x) - c.dx)) < CLOSE
    angle = torch.atan2(1 - c.s, c.s)
    networks = sources.trig(c.net, SIGMA), sources.trig(c.frozen, SIGMA)
    held = {"F": networks[0], "frozen_F": networks[1], "sigma": SIGMA, "x": c.x1, "z": c.x0, "tau": angle}
    noisy = angle.cos()[:, None] * c.x1 + angle.sin()[:, None] * c.x0
    dx = angle.cos()[:, None] * c.x0 - angle.sin()[:, None] * c.x1
    regression = losses.sum_square(SIGMA * networks[0](noisy / SIGMA, angle) - dx) * angle.cos() ** 2 / SIGMA
    assert c.gap(sources.scm(**held, ramp=0.0), regression) < CLOSE
    rho2 = c.s**2 + (1 - c.s) ** 2
    for ramp, low, high in ((1.0, 0.0, CLOSE), (0.5, 1e-2, math.inf)):
        assert low <= c.gap(c.loss(ramp=ramp), SIGMA / (c.s * rho2) * sources.scm(**held, ramp=ramp)) < high


def test_a_shortcut_model_without_moving_average_is_the_midpoint_method():
    """At dyadic times with halves longer than 1/128, and its own weights in the target: psd-m to the bit."""
    c = case("shortcut", short="self")
    long = c.t - c.s > 1 / 64
    assert long.any()
    plain = losses.semigroup(FlowMap(c.net), c.s, c.u, c.t, c.x)
    assert torch.equal(c.loss()[long], plain[long])
    assert not torch.equal(c.loss()[~long], plain[~long])


# --- jumps over a last Euler step ------------------------------------------------------------------


def ends_of(x: torch.Tensor, s: torch.Tensor) -> losses.Batch:
    """A batch of jumps from s to 1 over a last Euler step from 0.97, and of nothing else."""
    none = losses.Batch(losses.Diagonal(s[:0], x[:0], x[:0]), losses.Jumps(s[:0], s[:0], s[:0], x[:0]))
    return none._replace(ends=losses.Jumps(s, torch.full_like(s, times.DENOISED), torch.ones_like(s), x))


@pytest.mark.parametrize("name", ["lsd", "esd", "psd-m"])
def test_ends_are_compared_with_a_jump_and_an_euler_step(name):
    """4 |v_{s,1} - [(u-s) v_{s,u} + (1-u) v_{u,u}(X_{s,u})] / (1-s)|^2, whatever the method, by hand."""
    c = case(name)
    s = c.s * times.DENOISED
    u, one = torch.full_like(s, times.DENOISED), torch.ones_like(s)
    first = c.net(s, u, c.x)
    at_u = c.x + (u - s)[:, None] * first
    two = ((u - s)[:, None] * first + (1 - u)[:, None] * c.net(u, u, at_u)) / (1 - s)[:, None]
    wanted = 4 * losses.sum_square(c.net(s, one, c.x) - two)
    found = methods.loss(FlowMap(c.net), ends_of(c.x, s), methods.METHODS[name])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-8)
    weights = list(c.net.parameters())
    held = 4 * losses.sum_square(c.net(s, one, c.x) - two.detach())
    pairs = zip(torch.autograd.grad(found.sum(), weights), torch.autograd.grad(held.sum(), weights), strict=True)
    for a, b in pairs:  # no gradient through the jump and the step
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_ends_vanish_where_an_euler_step_is_exact():
    """All data in one point y: the flow runs along straight lines to it, X_{s,t}(x) = x + (t-s) (y-x) / (1-s)."""
    y = torch.tensor([0.3, -0.7], dtype=torch.float64)
    X = FlowMap(lambda s, _, x: (y - x) / (1 - s)[:, None])
    s = torch.linspace(0, 0.96, 9, dtype=torch.float64)
    x = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert methods.loss(X, ends_of(x, s), methods.METHODS["lsd"]).max() < 1e-24
    curved = FlowMap(lambda s, t, x: (y - x) / (1 - s)[:, None] + 0.1 * (t - s)[:, None] * x)
    assert methods.loss(curved, ends_of(x, s), methods.METHODS["lsd"]).min() > 1e-8


def as_sampled(problem, name: str) -> FlowMap:
    """The exact map of a problem, with the sampler of a method."""
    return FlowMap(problem.v, sample.sampler(methods.METHODS[name].sampler, problem.sigma))


# --- times, samples, refusals ----------------------------------------------------------------------


@by_name
def test_times_are_the_methods_own(name):
    method = methods.METHODS[name]
    s, u, t = times.draw(method, 4000, generator=torch.Generator().manual_seed(0))
    earlier, later = (torch.minimum(s, t), torch.maximum(s, t)) if method.times == "square" else (s, t)
    assert bool(((earlier >= 0) & (earlier <= u) & (u <= later) & (later <= 1)).all())
    if method.times == "square":
        assert all(stats.kstest(a.numpy(), "uniform").pvalue > 1e-3 for a in (s, t))
        assert stats.pearsonr(s.numpy(), t.numpy()).pvalue > 1e-3
    if method.times == "from zero":
        assert bool((s == 0).all())
        assert stats.kstest(t.numpy(), "uniform").pvalue > 1e-3
    if method.sampler == "restarts":
        assert bool((t == 1).all())
    if method.times == "grid":
        assert bool((s * 64 == (s * 64).round()).all())
        assert bool((u - s == 1 / 64).all())
    if method.times == "segments":
        assert torch.equal(t, torch.where(s < 0.5, 0.5, 1.0))
        late = s > 0.9 - 0.001
        assert torch.equal(u[late], t[late])
        assert bool(((u - s)[~late] <= 0.001 + 1e-6).all())
        assert ((u - s)[~late] > 0.001 - 1e-6).float().mean() > 0.99
        assert stats.kstest(s.numpy(), "uniform").pvalue > 1e-3
    if method.times == "dyadic":
        levels = -(t - s).log2()
        assert torch.equal(levels.unique(), torch.arange(7.0))
        assert stats.chisquare(levels.long().bincount()).pvalue > 1e-3
        assert bool((s / (t - s) == (s / (t - s)).round()).all())
        shortest = times.draw(method, 100, levels=1)
        assert bool((shortest[2] - shortest[0] == 1 / 64).all())
    if method.middle in times.MOVING:
        assert torch.equal(u, times.moved(method.middle, s, t, 1.0))
        way = [(times.moved(method.middle, s, t, k / 16) - s) for k in range(17)]
        assert all(bool((a >= b - 1e-6).all()) for a, b in itertools.pairwise(way))
        assert way[0].mean() > 10 * way[-1].mean()
    elif method.middle != "next":
        if method.middle == "half":
            torch.testing.assert_close(u, (s + t) / 2)
        else:
            assert stats.kstest(((t - u) / (t - s)).numpy(), "uniform").pvalue > 1e-3
    assert all(len(a) == 0 for a in times.draw(method, 0))


def test_samples_of_exact_maps_follow_the_data():
    """Re-noised consistency samples of an exact Gaussian map keep the data's mean and covariance."""
    problem = laws.GAUSSIANS[1]
    n, g = 40_000, torch.Generator().manual_seed(0)
    x0 = problem.sigma * torch.randn(n, 2, dtype=torch.float64, generator=g)
    for name in ("ct", "lsd"):
        for steps in (1, 2, 5):
            x = as_sampled(problem, name).sample(x0, steps)
            wanted = problem.sample(n, generator=g, dtype=torch.float64)[0]
            assert (x.mean(0) - wanted.mean(0)).abs().max() < 6 * wanted.std() / n**0.5, (name, steps)
            assert abs(x.std() / wanted.std() - 1) < 0.02, (name, steps)
    again = [as_sampled(problem, "ct").sample(x0, 2, seed=k) for k in (0, 0, 1)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


def test_flow_matching_is_sampled_by_eulers_method():
    """x + b_{k/N}(x) / N, N times."""
    problem = laws.GAUSSIANS[0]
    x = x0 = torch.randn(50, 2, dtype=torch.float64)
    for k in range(4):
        x = x + problem.velocity(k / 4, x) / 4
    trained = as_sampled(problem, "fm")
    torch.testing.assert_close(trained.sample(x0, 4), x)
    torch.testing.assert_close(trained(0.1, 0.7, x0), problem.flow_map(0.1, 0.7, x0))


def test_methods_and_losses_refuse_what_does_not_fit():
    for choices, message in (
        ({"condition": "newton"}, r"condition must be one of .*'lagrangian'.*got 'newton'"),
        ({"condition": "lagrangian", "velocity": "sample"}, "lands on none: .*2406.07507"),
        (
            {"condition": "lagrangian", "times": "square"},
            "go together, got 'lagrangian', 'self', 'square' and 'convex'",
        ),
        ({"condition": "lagrangian", "velocity": "sample", "times": "square"}, "'square' and 'convex'"),
        ({"condition": "eulerian", "times": "from zero"}, "stays at its s; got 'eulerian'"),
        ({"condition": "semigroup", "points": "trajectory"}, r"velocity 'teacher' and times 'grid', got \('semigroup'"),
        ({"condition": "lagrangian", "compared": "to one"}, r"'semigroup' and times 'triangle', got \('lagrangian'"),
        ({"condition": "semigroup", "points": "line"}, r"points .*'trajectory'.*got 'line'"),
        ({"condition": "lagrangian", "stopgrad": "full"}, r"stopgrad .*got 'full'"),
        ({"condition": "eulerian", "tangent_warmup": 0.1}, "tangent_warmup belong to the Eulerian"),
        ({"condition": "eulerian", "velocity": "teacher"}, "stages=0"),
        ({"condition": "semigroup", "middle": "sigmoid"}, r"tangent_warmup above 0, got 'semigroup', 'triangle' and 0"),
        ({"condition": "eulerian", "middle": "sigmoid", "tangent_warmup": 1.0}, r"goes with the semigroup condition"),
        ({"condition": "semigroup", "middle": "stages", "tangent_warmup": 1.0}, r"times 'to one' and .*'triangle'"),
        ({"condition": "semigroup", "times": "segments"}, "goes with times \"grid\" or .*'half' and 'segments'"),
        ({"condition": "eulerian", "difference": 0.1, "stopgrad": "full"}, "difference belongs to .* than 'full'"),
        ({"condition": "lagrangian", "difference": 0.1}, "difference belongs to the Eulerian condition"),
        ({"condition": "eulerian", "difference": -0.1}, r"difference .*\[0, 1\], got -0.1"),
        ({"condition": "semigroup", "tangent_warmup": 0.5}, "tangent_warmup belong to the Eulerian"),
        ({"condition": "eulerian", "weight": "two"}, r"weight .*got 'two'"),
        ({"condition": "eulerian", "stopgrad": "semi", "tangent_warmup": 1.5}, r"tangent_warmup .*\[0, 1\], got 1.5"),
        ({"condition": "eulerian", "diagonal": -0.1}, r"diagonal .*\[0, 1\], got -0.1"),
        ({"condition": "eulerian", "stages": 1.5}, r"stages .*whole number.*got 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            methods.Method("mine", **choices)
    with pytest.raises(ValueError, match=r"method must be one of 'fm', 'lsd'.*got 'gan'"):
        recipe("checkerboard", "gan", steps=1)
    c = case("ct")
    with pytest.raises(ValueError, match="no dx"):
        methods.loss(FlowMap(c.net), c.jumps(dx=None), c.method)
    with pytest.raises(ValueError, match=r"flow matching finds nothing .* 0 samples on the diagonal and \d+ jumps"):
        methods.loss(FlowMap(c.net), c.batch(), methods.METHODS["fm"])
    with pytest.raises(ValueError, match="reads a teacher, got none"):
        methods.loss(FlowMap(c.net), c.batch(), methods.METHODS["cd"])
    with pytest.raises(ValueError, match="belong to the stopgrad 'semi'"):
        losses.eulerian(FlowMap(c.net), c.s, c.t, c.x, first_term=c.dx)
    with pytest.raises(ValueError, match="difference is not for the stopgrad 'full'"):
        losses.eulerian(FlowMap(c.net), c.s, c.t, c.x, difference=0.1)


# --- training --------------------------------------------------------------------------------------

NET = {"hidden": 16, "layers": 2, "fourier": 8}


def small(method, steps: int = 14) -> Recipe:
    sizes = {"batch": 32, "warmup": 2}
    plain = isinstance(method, str) and methods.METHODS[method].diagonal == 0
    return recipe("checkerboard", method, steps=steps, net=NET, **sizes, **({} if plain else {"stf_batch": 16}))


TEACHER = training.State(*small("fm")).X


def teacher_of(name: str) -> FlowMap | None:
    return TEACHER if methods.METHODS[name].needs_teacher else None


@by_name
def test_every_method_trains_and_resumes_to_the_bit(name):
    """Finite losses; a run broken at step 8 goes on to the same weights; a teacher's weights stay as they were."""
    before = copy.deepcopy(TEACHER.slope.state_dict())
    whole = [state.checkpoint() for state in training.fit(*small(name), teacher=teacher_of(name), every=8)]
    resumed = list(training.fit(*small(name), teacher=teacher_of(name), every=8, resume=whole[0]))
    assert math.isfinite(whole[-1]["loss"])
    for key, weights in whole[-1]["net"].items():
        assert torch.equal(weights, resumed[-1].net.state_dict()[key]), key
        assert torch.equal(before[key], TEACHER.slope.state_dict()[key])
    moved = [key for key, weights in whole[-1]["net"].items() if not torch.equal(weights, whole[0]["net"][key])]
    assert len(moved) >= 6


def test_progressive_distillation_renews_its_teacher():
    """Seven stages of two steps: at each start the averaged map becomes the teacher."""
    states = training.fit(*small("pd"), teacher=TEACHER, every=2)
    first = next(states)
    key = "body.0.weight"
    assert torch.equal(first.teacher.slope.state_dict()[key], TEACHER.slope.state_dict()[key])
    average = first.average.module.state_dict()[key].clone()
    second = next(states)
    assert torch.equal(second.teacher.slope.state_dict()[key], average)
    assert second.average.n_averaged == 2  # the average began anew with the stage, two steps ago
    assert [second.stage(step) for step in (0, 1, 2, 3, 12, 13)] == [0, 0, 1, 1, 6, 6]


def test_a_run_starts_from_its_teacher_or_says_what_is_missing():
    state = training.State(*small("cd"), TEACHER)
    assert torch.equal(state.net.state_dict()["body.0.weight"], TEACHER.slope.state_dict()["body.0.weight"])
    board = problems.Checkerboard()
    *_, last = training.fit(*small("cd"), teacher=FlowMap(board.v))  # any map will do, the exact one too
    assert math.isfinite(last.loss)
    with pytest.raises(ValueError, match=r"consistency distillation, .*reads a teacher, got none"):
        training.State(*small("cd"))
    with pytest.raises(ValueError, match="renews its teacher"):
        training.State(*small("pd"), FlowMap(board.v))


def test_a_teacher_of_another_size_is_frozen():
    """Without a stop-gradient the loss reaches the teacher's network: what it reaches is a copy of fixed weights."""
    net = MLP(2, 24, 2)
    state = training.State(*small("lmd"), FlowMap(net))
    *_, last = training.fit(*small("lmd"), teacher=FlowMap(net))
    assert math.isfinite(last.loss)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not any(p.requires_grad for p in state.teacher.slope.parameters())
    assert not state.teacher.slope.training


class Classes(nn.Module):
    """A v that is linear in x, s, t and shifted by its class; v of a hidden label (-1) where there is none."""

    def __init__(self):
        super().__init__()
        self.linear, self.shift = nn.Linear(4, 2), nn.Embedding(4, 2)

    def forward(self, s, t, x, label=None):
        label = torch.full((len(x),), -1) if label is None else label
        return self.linear(torch.cat([x, s[:, None], t[:, None]], dim=1)) + self.shift(label + 1)


def test_a_teacher_that_is_a_function_is_told_the_labels():
    """A guided map teaches with each sample's own label: the loss is that of the guided velocity, by hand."""
    problem = problems.FromTensor(torch.randn(300, 2), torch.randint(3, (300,)))
    net, other = Classes(), Classes()
    guided = sample.guided(FlowMap(other), 2.0)
    settings = training.Training(steps=1, batch=16, diagonal=0.0)
    state = training.State(problem, net, methods.METHODS["lmd"], settings, guided)
    batch = training.draw_batch(problem, state.method, settings)
    s, _, t, x, _, label = batch.jumps
    assert label.unique().tolist() == [0, 1, 2]
    X = FlowMap(net).conditioned(label=label)
    b = lambda t, x: 2 * other(t, t, x, label) - other(t, t, x)  # noqa: E731
    wanted = losses.lagrangian(X, s, t, x, stopgrad="none", velocity=b).mean()
    torch.testing.assert_close(loss_of_batch(state, batch, torch.tensor(1.0)), wanted)


def test_a_composed_method_trains():
    """A new method is a replaced one, handed to fit as it is."""
    mine = dataclasses.replace(methods.METHODS["lsd"], stopgrad="semi", weight="adaptive", title="mine")
    *_, state = training.fit(*small(mine))
    assert math.isfinite(state.loss)
    assert state.method is mine
