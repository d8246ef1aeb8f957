"""FlowMap: four derivatives against central differences, the tangent condition, sampling, errors."""

import math

import pytest
import torch
from torch import nn

from flowmap_edu import problems
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Trigonometric
from flowmap_edu.sample import Euler

pytestmark = pytest.mark.usefixtures("float64")


class Points(nn.Module):
    """A small smooth random v for points, shape (B, 2)."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, s, t, x):
        return self.body(torch.cat([x, s[:, None], t[:, None]], dim=1))


class Images(nn.Module):
    """A small smooth random v for images, shape (B, 3, H, W): two convolutions, times added between."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 3, 3, padding=1)
        self.times = nn.Linear(2, 5)

    def forward(self, s, t, x):
        return self.last(torch.tanh(self.first(x) + self.times(torch.stack([s, t], 1))[:, :, None, None]))


CASES = {"points": (Points, (6, 2)), "images": (Images, (3, 3, 5, 4))}


@pytest.fixture(params=CASES)
def case(request):
    """A map with s < t, x and a tangent w, once for points and once for images."""
    make, shape = CASES[request.param]
    X = FlowMap(make().requires_grad_(False))
    s, t = (0.05 + 0.9 * torch.rand(2, shape[0])).sort(dim=0).values
    return X, s, t, torch.randn(shape), torch.randn(shape)


def central(f, h=1e-4):
    """f'(0) by the fourth-order central difference: error O(h^4), about 1e-12 here."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


# --- derivatives -----------------------------------------------------------------------------------


def test_derivatives_are_those_of_finite_differences(case):
    """partial_t, partial_s, push and eulerian agree with central differences of X, and return X itself."""
    X, s, t, x, w = case
    pairs = {
        "partial_t": (X.partial_t(s, t, x), central(lambda h: X(s, t + h, x))),
        "partial_s": (X.partial_s(s, t, x), central(lambda h: X(s + h, t, x))),
        "push": (X.push(s, t, x, w), central(lambda h: X(s, t, x + h * w))),
        "eulerian": (X.eulerian(s, t, x, w), central(lambda h: X(s + h, t, x + h * w))),
    }
    for name, ((value, derivative), difference) in pairs.items():
        torch.testing.assert_close(value, X(s, t, x), rtol=1e-13, atol=1e-13, msg=name)
        torch.testing.assert_close(derivative, difference, rtol=1e-9, atol=1e-9, msg=name)


def test_eulerian_is_the_sum_of_its_two_parts(case):
    """d/ds X + grad X w in one pass equals partial_s plus push, by linearity of the derivative."""
    X, s, t, x, w = case
    parts = X.partial_s(s, t, x)[1] + X.push(s, t, x, w)[1]
    torch.testing.assert_close(X.eulerian(s, t, x, w)[1], parts, rtol=1e-13, atol=1e-13)


def test_push_is_linear_in_the_tangent(case):
    """grad X (2 w - 3 z) = 2 grad X w - 3 grad X z."""
    X, s, t, x, w = case
    z = torch.randn_like(x)
    left = X.push(s, t, x, 2 * w - 3 * z)[1]
    torch.testing.assert_close(left, 2 * X.push(s, t, x, w)[1] - 3 * X.push(s, t, x, z)[1], rtol=1e-12, atol=1e-12)


def test_derivatives_of_the_exact_gaussian_map_are_its_formulas():
    """With S the spread: d/dt X = m + S'(t)/S(s) (x - m s), and grad X = S(t)/S(s)."""
    m, c, sigma = torch.tensor([0.7, -0.4]), 0.3, 1.2
    X = FlowMap(problems.Gaussian(m, c, sigma).v)
    s, t = torch.tensor([0.0, 0.2, 0.5, 1.0]), torch.tensor([1.0, 0.3, 0.5, 1.0])
    x, w = torch.randn(4, 2), torch.randn(4, 2)
    S_s, S_t = (torch.sqrt((1 - r) ** 2 * sigma**2 + r**2 * c**2) for r in (s, t))
    dS_t = (t * c**2 - (1 - t) * sigma**2) / S_t
    by_hand = m + (dS_t / S_s)[:, None] * (x - s[:, None] * m)
    torch.testing.assert_close(X.partial_t(s, t, x)[1], by_hand, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(X.push(s, t, x, w)[1], (S_t / S_s)[:, None] * w, rtol=1e-12, atol=1e-12)


# --- the diagonal ----------------------------------------------------------------------------------


def test_no_time_no_move(case):
    """X_{s,s}(x) = x exactly."""
    X, s, _, x, _ = case
    assert torch.equal(X(s, s, x), x)


def test_the_slope_of_the_map_is_v(case):
    """(X_{s,t}(x) - x) / (t - s) = v_{s,t}(x)."""
    X, s, t, x, _ = case
    slope = (X(s, t, x) - x) / (t - s).reshape(-1, *[1] * (x.ndim - 1))
    torch.testing.assert_close(slope, X.v(s, t, x), rtol=1e-9, atol=1e-9)


def test_tangent_condition(case):
    """d/dt X_{s,t}(x) tends to v_{t,t}(x) as s -> t; the gap is of first order in t - s (fitted)."""
    X, _, _, x, _ = case
    t = torch.full((len(x),), 0.6)
    assert torch.equal(X.velocity(t, x), X.v(t, t, x))
    gaps = [2.0**-k for k in range(6, 12)]
    errors = [(X.partial_t(t - gap, t, x)[1] - X.velocity(t, x)).norm().item() for gap in gaps]
    log_gap, log_error = (torch.tensor(a).log() for a in (gaps, errors))
    centred = log_gap - log_gap.mean()
    order = ((centred @ log_error) / centred.square().sum()).item()
    assert order == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(X.partial_t(t, t, x)[1], X.velocity(t, x), rtol=1e-13, atol=1e-13)


# --- times, samples, trajectories -------------------------------------------------------------------


def test_a_number_is_a_time_for_every_sample(case):
    """Times as a float, as a tensor of no dimension and as shape (B,) give the same map and derivatives."""
    X, _, _, x, w = case
    calls = [
        lambda s, t: X(s, t, x),
        lambda s, t: X.v(s, t, x),
        lambda s, t: X.velocity(t, x),  # noqa: ARG005
        lambda s, t: X.partial_t(s, t, x)[1],
        lambda s, t: X.partial_s(s, t, x)[1],
        lambda s, t: X.push(s, t, x, w)[1],
        lambda s, t: X.eulerian(s, t, x, w)[1],
    ]
    whole = torch.full((len(x),), 0.25), torch.full((len(x),), 0.75)
    for call in calls:
        torch.testing.assert_close(call(0.25, 0.75), call(*whole), rtol=0, atol=0)
        torch.testing.assert_close(call(torch.tensor(0.25), torch.tensor(0.75)), call(*whole), rtol=0, atol=0)


def test_samples_do_not_mix(case):
    """The map and its derivatives of a batch are those of its samples, one at a time."""
    X, s, t, x, w = case
    for name, call in {
        "X": lambda i: X(s[i], t[i], x[i]),
        "partial_t": lambda i: X.partial_t(s[i], t[i], x[i])[1],
        "eulerian": lambda i: X.eulerian(s[i], t[i], x[i], w[i])[1],
    }.items():
        alone = torch.cat([call(slice(i, i + 1)) for i in range(len(x))])
        torch.testing.assert_close(call(slice(None)), alone, rtol=1e-12, atol=1e-12, msg=name)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_trajectory_repeats_the_map(case, steps):
    """x_{k+1} = X_{k/N, (k+1)/N}(x_k), written as a loop; the start is kept and no gradient is recorded."""
    X, _, _, x, _ = case
    path = X.trajectory(x, steps)
    assert path.shape == (steps + 1, *x.shape)
    assert torch.equal(path[0], x)
    for k in range(steps):
        by_hand = (
            path[k] + X.slope(torch.full((len(x),), k / steps), torch.full((len(x),), (k + 1) / steps), path[k]) / steps
        )
        torch.testing.assert_close(path[k + 1], by_hand, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_sample_is_the_end_of_the_trajectory(case, chunk):
    """sample(x0, N) is the last of trajectory(x0, N), whatever the chunk."""
    X, _, _, x, _ = case
    torch.testing.assert_close(X.sample(x, 3, chunk=chunk), X.trajectory(x, 3)[-1], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 64])
def test_exact_gaussian_map_lands_right_in_any_number_of_steps(steps):
    """Each point of the trajectory is m t_k + S(t_k)/sigma x0: the flow has no discretization error."""
    m, c, sigma = torch.tensor([1.5, -0.5]), 0.25, 0.8
    X = FlowMap(problems.Gaussian(m, c, sigma).v)
    x0 = sigma * torch.randn(32, 2)
    for k, x in enumerate(X.trajectory(x0, steps)):
        t = k / steps
        spread = math.sqrt((1 - t) ** 2 * sigma**2 + t**2 * c**2)
        torch.testing.assert_close(x, t * m + spread / sigma * x0, rtol=1e-12, atol=1e-12)


def test_sampling_records_no_gradient():
    """Neither sample nor trajectory keeps a graph, though v has parameters."""
    X, x0 = FlowMap(Points()), torch.randn(4, 2)
    assert X(0.0, 1.0, x0).requires_grad
    assert not X.sample(x0, 2).requires_grad
    assert not X.trajectory(x0, 2).requires_grad


# --- conditions ------------------------------------------------------------------------------------


class Told(Points):
    """v of points that is scaled and shifted by a label, shape (B,), and turned round by a switch."""

    def forward(self, s, t, x, label=None, *, flip=False):
        label = torch.zeros(len(x)) if label is None else label
        v = (1 + label[:, None]) * super().forward(s, t, x) + label[:, None] ** 2
        return -v if flip else v


def test_a_condition_goes_through_every_call():
    """Values and derivatives with a condition are those of the network that has it built in; so with `conditioned`."""
    net = Told().requires_grad_(False)
    (s, t), (x, w) = (0.05 + 0.9 * torch.rand(2, 6)).sort(dim=0).values, torch.randn(2, 6, 2)
    condition = {"label": torch.arange(6.0), "flip": True}
    X, built_in = FlowMap(net), FlowMap(lambda s, t, x: net(s, t, x, condition["label"], flip=True))
    calls = {
        "v": lambda X, **told: X.v(s, t, x, **told),
        "X": lambda X, **told: X(s, t, x, **told),
        "velocity": lambda X, **told: X.velocity(t, x, **told),
        "partial_t": lambda X, **told: torch.stack(X.partial_t(s, t, x, **told)),
        "partial_s": lambda X, **told: torch.stack(X.partial_s(s, t, x, **told)),
        "push": lambda X, **told: torch.stack(X.push(s, t, x, w, **told)),
        "eulerian": lambda X, **told: torch.stack(X.eulerian(s, t, x, w, **told)),
        "trajectory": lambda X, **told: X.trajectory(x, 3, **told),
        "sample": lambda X, **told: X.sample(x, 3, **told),
    }
    for name, call in calls.items():
        wanted = call(built_in)
        torch.testing.assert_close(call(X, **condition), wanted, rtol=0, atol=0, msg=name)
        torch.testing.assert_close(call(X.conditioned(**condition)), wanted, rtol=0, atol=0, msg=name)
        half = X.conditioned(flip=True)
        torch.testing.assert_close(call(half, label=condition["label"]), wanted, rtol=0, atol=0, msg=name)
        assert (call(X) - wanted).abs().max() > 0.1, name
        torch.testing.assert_close(call(X, label=None), call(X), rtol=0, atol=0, msg=name)


def test_a_conditioned_map_draws_as_the_map_does():
    """`conditioned` keeps the sampler and the path of the training."""
    X = FlowMap(Told(), Euler(), Trigonometric())
    told = X.conditioned(label=torch.arange(4.0))
    assert (told.sampler, told.interpolant) == (X.sampler, X.interpolant)
    x0 = torch.randn(4, 2)
    assert torch.equal(told.sample(x0, 3), X.sample(x0, 3, label=torch.arange(4.0)))


# --- errors ----------------------------------------------------------------------------------------

x = torch.zeros(3, 2)
X = FlowMap(lambda s, t, x: x)  # noqa: ARG005


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: FlowMap(3), r"v must be callable .*got int"),
        (lambda: X(-0.1, 0.5, x), r"s must lie in \[0, 1\], got -0.1"),
        (lambda: X(0.1, 1.5, x), r"t must lie in \[0, 1\], got 1.5"),
        (lambda: X(0.1, float("nan"), x), r"t must lie in \[0, 1\], got nan"),
        (lambda: X(torch.tensor([0.0, 2.0, 0.5]), 1.0, x), r"s must lie in \[0, 1\].*2.0"),
        (lambda: X(torch.zeros(2), 1.0, x), r"s must .*\(3,\).*got shape \(2,\)"),
        (lambda: X(0.0, torch.ones(3, 1), x), r"t must .*\(3,\).*got shape \(3, 1\)"),
        (lambda: X(0.0, 1.0, torch.zeros(3)), r"x must .*\(B, \*D\), got \(3,\)"),
        (lambda: X(0.0, 1.0, torch.zeros(3, 2, dtype=torch.int64)), r"x must .*floating.*int64"),
        (lambda: X(0.0, 1.0, [[0.0, 0.0]]), r"x must .*got list"),
        (lambda: X.v(0.0, 1.0, torch.zeros(3)), r"x must .*got \(3,\)"),
        (lambda: X.velocity(1.1, x), r"must lie in \[0, 1\], got 1.1"),
        (lambda: X.partial_t(0.0, 1.1, x), r"t must lie in \[0, 1\], got 1.1"),
        (lambda: X.partial_t(0.0, 1.0, torch.zeros(3)), r"x must .*got \(3,\)"),
        (lambda: X.partial_s(torch.zeros(4), 1.0, x), r"s must .*\(3,\).*got shape \(4,\)"),
        (lambda: X.push(0.0, 1.0, x, torch.zeros(3, 1)), r"x and w .*\(3, 2\) and \(3, 1\)"),
        (lambda: X.eulerian(0.0, 1.0, x, torch.zeros(2, 2)), r"x and w .*\(3, 2\) and \(2, 2\)"),
        (lambda: X.trajectory(x, 0), r"steps must .*at least 1, got 0"),
        (lambda: X.trajectory(x, 1.5), r"steps must .*whole number.*got 1.5"),
        (lambda: X.trajectory(x, True), r"steps must .*got True"),
        (lambda: X.trajectory(x + math.nan, 1), r"x0 must be finite; 6 of 6"),
        (lambda: X.trajectory(torch.zeros(3), 1), r"x0 must .*got \(3,\)"),
        (lambda: X.sample(x, 0), r"steps must .*got 0"),
        (lambda: X.sample(x, 1, chunk=0), r"chunk must .*got 0"),
        (lambda: X.sample(torch.full((3, 2), math.inf), 1), r"x0 must be finite"),
        (lambda: X.sample(torch.zeros(3), 1), r"x0 must .*got \(3,\)"),
        (lambda: X.partial_t(0.0, 1.0, [[0.0, 0.0]]), r"x must .*got list"),
        (lambda: X.sample([[0.0, 0.0]], 1), r"x0 must .*got list"),
        (lambda: X.sample(torch.tensor(0.0), 1), r"x0 must .*got \(\)"),
    ],
)
def test_a_bad_argument_is_named(call, says):
    """Wrong shapes, types, times, steps or numbers raise ValueError with what came and what was wanted."""
    with pytest.raises(ValueError, match=says):
        call()
