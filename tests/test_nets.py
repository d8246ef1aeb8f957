"""The MLP: its function by hand, its derivatives, its seed; the fast GELU; errors."""

import math

import pytest
import torch
from torch import nn
from torch.func import jvp

from flowmap_edu.nets import MLP
from flowmap_edu.nets.mlp import FastGELU


def test_fast_gelu_is_torchs_tanh_gelu():
    """x sigmoid(1.5958 (x + 0.0447 x^3)) = GELU('tanh') to 1e-6 in float32, 1e-14 in float64, and its derivative."""
    x = torch.linspace(-12, 12, 4001)
    torch.testing.assert_close(FastGELU()(x), nn.GELU("tanh")(x), rtol=0, atol=1e-6)
    x = x.double().requires_grad_()
    ours, theirs = FastGELU()(x), nn.GELU("tanh")(x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)
    slopes = [torch.autograd.grad(y.sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-13)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_the_network_is_its_formula(activation):
    """Written with plain matrices: [x/scale, cos, sin of its phases, cos, sin of pi k s and pi k t], then layers."""
    net = MLP(2, 7, 2, scale=0.5, fourier=6, bandwidth=3.0, time_frequencies=2, activation=activation).double()
    x, s, t = torch.randn(5, 2).double(), torch.rand(5).double(), torch.rand(5).double()
    phase = (x / 0.5) @ net.frequencies
    angles = torch.stack([math.pi * k * r for r in (s, t) for k in (1, 2)], dim=1)
    h = torch.cat([x / 0.5, phase.cos(), phase.sin(), angles.cos(), angles.sin()], dim=1)
    act = nn.functional.silu if activation == "silu" else lambda z: nn.functional.gelu(z, approximate="tanh")
    linear = [m for m in net.body if isinstance(m, nn.Linear)]
    assert len(linear) == 3
    for layer in linear[:-1]:
        h = act(h @ layer.weight.T + layer.bias)
    by_hand = h @ linear[-1].weight.T + linear[-1].bias
    torch.testing.assert_close(net(s, t, x), by_hand, rtol=1e-6, atol=1e-6)  # multiples of pi are kept in float32


def test_without_harmonics_and_features_the_input_is_plain():
    """fourier=0, time_frequencies=0: the first layer reads [x / scale, s, t]."""
    net = MLP(3, 4, 1, scale=2.0, fourier=0, time_frequencies=0)
    x, s, t = torch.randn(5, 3), torch.rand(5), torch.rand(5)
    torch.testing.assert_close(net.features(s, t, x), torch.cat([x / 2, s[:, None], t[:, None]], dim=1))


@pytest.mark.parametrize("activation", ["silu", "gelu"])
@pytest.mark.parametrize("time_frequencies", [0, 4])
def test_forward_mode_is_finite_differences(activation, time_frequencies):
    """The derivative of v in s, t and x by jvp is the central difference, in float64."""
    net = MLP(2, 16, 3, fourier=8, time_frequencies=time_frequencies, activation=activation).double()
    at = tuple(a.double() for a in (0.2 + 0.5 * torch.rand(6), 0.2 + 0.5 * torch.rand(6), torch.randn(6, 2)))
    for moved in range(3):
        along = tuple(torch.randn_like(a) if k == moved else torch.zeros_like(a) for k, a in enumerate(at))
        value, derivative = jvp(net, at, along)

        def f(h, along=along):
            return net(*(a + h * d for a, d in zip(at, along, strict=True)))

        h = 1e-4
        difference = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
        torch.testing.assert_close(value, net(*at), rtol=0, atol=1e-14)
        torch.testing.assert_close(derivative, difference, rtol=1e-8, atol=1e-8)
        assert derivative.abs().max() > 1e-4


def test_samples_do_not_mix():
    """The network of a batch is that of its samples one by one: what the derivatives of FlowMap rely on."""
    net = MLP(2, 16, 2).double()
    s, t, x = torch.rand(5).double(), torch.rand(5).double(), torch.randn(5, 2).double()
    alone = torch.cat([net(s[i : i + 1], t[i : i + 1], x[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(net(s, t, x), alone, rtol=1e-13, atol=1e-13)


def built(seed: int) -> MLP:
    """An MLP under that seed, the surrounding random state left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MLP(2, 16, 2)


def test_the_seed_draws_the_network():
    """The same seed draws the same frequencies and weights, another others, and fork_rng leaves no trace."""
    state = torch.get_rng_state()
    one, again, other = built(3), built(3), built(4)
    assert torch.equal(torch.get_rng_state(), state)
    for (name, a), b in zip(one.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(one.frequencies, other.frequencies)
    assert not torch.equal(one.body[0].weight, other.body[0].weight)


def test_the_state_carries_the_frequencies():
    """A network built under another seed, given the state, is the same function: nothing random stays outside."""
    one, other = built(3), built(4)
    s, t, x = torch.rand(8), torch.rand(8), torch.randn(8, 2)
    assert not torch.allclose(one(s, t, x), other(s, t, x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(s, t, x), other(s, t, x))


def test_the_frequencies_have_their_bandwidth():
    """Frequencies are N(0, bandwidth^2): standard deviation within 4 standard errors."""
    f = MLP(2, 4, 1, fourier=8000, bandwidth=2.5).frequencies
    assert abs(f.std() / 2.5 - 1) < 4 / math.sqrt(2 * f.numel())
    assert abs(f.mean()) < 4 * 2.5 / math.sqrt(f.numel())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: MLP(dim=0), r"dim must .*at least 1, got 0"),
        (lambda: MLP(hidden=0), r"hidden must .*got 0"),
        (lambda: MLP(layers=-1), r"layers must .*got -1"),
        (lambda: MLP(hidden=12.5), r"hidden must .*whole number.*got 12.5"),
        (lambda: MLP(fourier=-2), r"fourier must be a whole number of at least 0, got -2"),
        (lambda: MLP(time_frequencies=-1), r"time_frequencies must be a whole number of at least 0, got -1"),
        (lambda: MLP(activation="relu"), r"activation must be one of 'silu', 'gelu'; got 'relu'"),
        (lambda: MLP()(torch.rand(3), torch.rand(3), torch.zeros(3, 4)), r"x must .*\(B, 2\), got \(3, 4\)"),
        (lambda: MLP()(torch.rand(3), torch.rand(3), torch.zeros(2)), r"x must .*\(B, 2\), got \(2,\)"),
    ],
)
def test_a_bad_argument_is_named(call, says):
    """Sizes below their least, unknown names and wrong shapes raise ValueError that says which."""
    with pytest.raises(ValueError, match=says):
        call()


def test_a_class_enters_by_one_column():
    """With classes the network reads one entry more a class; -1 is the zero vector, and each sample has its own."""
    net = MLP(2, 16, 2, classes=3)
    s, t, x = torch.zeros(5), torch.ones(5), torch.randn(5, 2)
    label = torch.tensor([0, 1, 2, -1, 1])
    out = net(s, t, x, label=label)
    first = net.body[0]
    one_hot = torch.nn.functional.one_hot(label.clamp(min=0), 3) * (label >= 0)[:, None]
    hidden = first.weight[:, :-3] @ net.features(s, t, x).T + first.weight[:, -3:] @ one_hot.T.float()
    torch.testing.assert_close(out, net.body[1:](hidden.T + first.bias))
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in MLP(2, 16, 2).parameters()) + 3 * 16


def test_a_label_that_does_not_fit_is_refused():
    """Missing, unexpected, of another type, length or range: each says what to do."""
    s, t, x = torch.zeros(2), torch.ones(2), torch.zeros(2, 2)
    with pytest.raises(ValueError, match="has 3 classes: pass label="):
        MLP(2, 8, 1, classes=3)(s, t, x)
    with pytest.raises(ValueError, match="has no classes: leave label out"):
        MLP(2, 8, 1)(s, t, x, label=torch.zeros(2).long())
    for label, says in (
        (torch.zeros(2), "int64 of shape"),
        (torch.zeros(3).long(), r"\(2,\)"),
        (torch.tensor([0, 3]), "got 3"),
    ):
        with pytest.raises(ValueError, match=says):
            MLP(2, 8, 1, classes=3)(s, t, x, label=label)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("activation", "layers"), [("silu", 2), ("silu", 3), ("gelu", 2)])
def test_the_mlps_forward_mode_is_its_derivative(activation, layers):
    """Along any direction in (s, t, x): the central difference, and the product with the Jacobian by reverse mode."""
    torch.manual_seed(0)
    net = MLP(3, 16, layers, fourier=8, activation=activation)
    at = (0.4 * torch.rand(5), 0.5 + 0.4 * torch.rand(5), torch.randn(5, 3))
    along = (torch.randn(5), torch.randn(5), torch.randn(5, 3))
    value, slope = torch.func.jvp(net, at, along)
    torch.testing.assert_close(value, net(*at), rtol=1e-13, atol=1e-14)
    h = 1e-5
    ahead, behind = (net(*(a + sign * h * d for a, d in zip(at, along, strict=True))) for sign in (1, -1))
    torch.testing.assert_close(slope, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)
    jacobians = torch.autograd.functional.jacobian(net, at)  # (5, 3, 5), (5, 3, 5), (5, 3, 5, 3)
    wanted = sum(J.flatten(2) @ d.flatten() for J, d in zip(jacobians, along, strict=True))  # samples do not mix
    torch.testing.assert_close(slope, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_the_mlps_forward_mode_is_differentiated_in_the_weights():
    """The gradient of |d/dt v|^2 in every weight is the central difference."""
    torch.manual_seed(1)
    net = MLP(2, 8, 2, fourier=4)
    s, t, x = 0.3 * torch.rand(4), 0.5 + 0.3 * torch.rand(4), torch.randn(4, 2)

    def loss():
        return torch.func.jvp(lambda t: net(s, t, x), (t,), (torch.ones(4),))[1].square().sum()

    weights = list(net.parameters())
    slopes = torch.autograd.grad(loss(), weights, allow_unused=True, materialize_grads=True)  # the last bias has none
    for weight, slope in zip(weights, slopes, strict=True):
        direction = torch.randn_like(weight)
        values = []
        for h in (1e-5, -2e-5, 1e-5):
            with torch.no_grad():
                weight += h * direction
                values.append(loss())
        wanted = (values[0] - values[1]) / 2e-5
        torch.testing.assert_close((slope * direction).sum(), wanted, rtol=1e-5, atol=1e-7)
