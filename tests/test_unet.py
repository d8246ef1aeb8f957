"""The U-Net: its size, its derivatives, the magnitudes it keeps, its weights, dropout, labels; errors."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import jacfwd, jvp
from torch.utils.flop_counter import FlopCounterMode

from flowmap_edu import FlowMap, losses, problems
from flowmap_edu.nets import UNet
from flowmap_edu.nets import layers as unet
from flowmap_edu.nets.block import Block
from flowmap_edu.nets.layers import Attention, Fourier, Weight

PROBLEMS = {
    "cifar10": problems.Cifar10(labels=False),
    "celeba64": problems.CelebA64(),
    "afhq64": problems.AFHQ64(labels=False),
    "emoji": problems.Emoji(),
    "digits": problems.Digits(),
}
TINY = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (4,), "classes": 3}
LABELS = torch.tensor([0, 2, -1, 1])


def tiny(**changes) -> UNet:
    """A small network in float64 in which nothing is zero: all weights, gains and the pair's weight are random."""
    net = UNet(8, 2, **{**TINY, **changes}).double().eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.randn_like(p) if "weight" in name else 0.5 + torch.rand_like(p))
    return net


def arguments(n: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """s, t in (0, 1) with s < t, and x, in float64."""
    s = 0.1 + 0.4 * torch.rand(n).double()
    return s, s + 0.05 + 0.4 * torch.rand(n).double(), torch.randn(n, 2, 8, 8).double()


def magnitude(x: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    return x.square().mean(dim).sqrt()


def central_difference(f, h: float = 2e-4) -> Tensor:
    """f'(0) to fourth order in h."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def assert_relatively_close(a: Tensor, b: Tensor, tolerance: float) -> None:
    """|a - b| <= tolerance |b|, with |.| over all entries."""
    error = float(((a - b).norm() / b.norm()).detach())
    print("ERR", error)
    assert error <= tolerance, f"relative error {error:.1e}, wanted {tolerance:.0e}"


# Sizes


@pytest.mark.parametrize(
    ("name", "published"), [("cifar10", 54.7e6), ("celeba64", 124.3e6), ("afhq64", 124.3e6), ("emoji", None)]
)
def test_parameter_counts(name, published):
    """The three published networks have the published number of parameters, to its last digit."""
    with torch.device("meta"):
        count = sum(p.numel() for p in PROBLEMS[name].network().parameters())
    if published:
        assert abs(count - published) < 0.05e6
    else:
        assert 0.5e6 < count < 1e6


def test_the_digits_network_is_small():
    """Fewer than 150,000 numbers, kept as float32 in far less than 4 MB."""
    state = PROBLEMS["digits"].network().state_dict()
    assert sum(v.numel() for v in state.values()) < 150_000
    assert all(v.dtype == torch.float32 for v in state.values())


@pytest.mark.parametrize("name", ["digits", "emoji"])
def test_the_slope_is_zero_before_training(name):
    """v = 0, so X is the identity: the output's gain starts at 0. One step of its gradient ends that."""
    net = PROBLEMS[name].network()
    x = torch.randn(2, net.channels, net.size, net.size)
    s, t, labels = torch.tensor([0.0, 0.3]), torch.tensor([1.0, 0.4]), torch.tensor([3, -1])
    v = net(s, t, x, labels)
    assert v.shape == x.shape
    assert torch.equal(v, torch.zeros_like(v))
    (v - x).square().sum().backward()
    assert net.gain.grad is not None
    assert net.gain.grad.abs() > 0


# Derivatives


@pytest.mark.parametrize("moved", [(0,), (1,), (2,), (0, 1, 2)], ids=["s", "t", "x", "all"])
def test_forward_mode_is_finite_differences(moved):
    """The derivative of v by jvp in s, in t, in x and in all three is the central difference, in float64."""
    net, at = tiny(), arguments()
    along = tuple(torch.randn_like(a) if k in moved else torch.zeros_like(a) for k, a in enumerate(at))

    def f(s, t, x):
        return net(s, t, x, LABELS)

    value, derivative = jvp(f, at, along)
    difference = central_difference(lambda h: f(*(a + h * d for a, d in zip(at, along, strict=True))))
    torch.testing.assert_close(value, f(*at), rtol=1e-12, atol=1e-12)
    assert_relatively_close(derivative, difference, 1e-8)
    assert magnitude(derivative) > 1e-2


def test_forward_mode_goes_through_dropout():
    """In training mode, under one seed, value and derivative see one mask: jvp is the central difference."""
    net, (s, t, x) = tiny(dropout=0.3).train(), arguments()

    def f(t):
        torch.manual_seed(5)
        return net(s, t, x, LABELS)

    derivative = jvp(f, (t,), (torch.ones_like(t),))[1]
    assert_relatively_close(derivative, central_difference(lambda h: f(t + h)), 1e-8)


@pytest.mark.parametrize("condition", ["lagrangian", "eulerian", "semigroup"])
def test_the_gradient_of_each_loss_is_finite_differences(condition):
    """Without stop-gradients, the gradient of a loss that holds a jvp is its difference along random directions."""
    net, (s, t, x) = tiny(), arguments()
    X = FlowMap(lambda s, t, x: net(s, t, x, LABELS))
    times = (s, (s + t) / 2, t) if condition == "semigroup" else (s, t)

    def loss():
        return getattr(losses, condition)(X, *times, x, stopgrad="none").mean()

    parameters = dict(net.named_parameters())
    for name in ("gain", "embed_d.weight", "encoder.1.second.weight", "middle.0.attention.qkv.weight", "first.weight"):
        p = parameters[name]
        (gradient,) = torch.autograd.grad(loss(), p)
        kept, direction = p.detach().clone(), torch.randn_like(p)

        def moved(h, p=p, kept=kept, direction=direction):
            with torch.no_grad():
                p.copy_(kept + h * direction)
            return loss().detach()

        difference = central_difference(moved)
        moved(0.0)
        assert_relatively_close((gradient * direction).sum(), difference, 1e-6)


@pytest.mark.parametrize("condition", ["lagrangian", "eulerian", "semigroup"])
def test_every_parameter_learns_from_every_loss(condition):
    """With the recommended stop-gradients, in float32: each parameter has a finite gradient that is not zero."""
    net = tiny(classes=0, dropout=0.1).float().train()
    s, t, x = (a.float() for a in arguments())
    X = FlowMap(lambda s, t, x: net(s, t, x))
    times = (s, (s + t) / 2, t) if condition == "semigroup" else (s, t)
    w = net.log_weight(s, t)
    loss = ((-w).exp() * getattr(losses, condition)(X, *times, x) + w).mean()
    loss.backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().max() > 0, name


def test_the_derivative_costs_one_more_pass():
    """A jvp takes twice the products of a value, and a little more in attention: counted, not timed."""
    net, (s, t, x) = tiny().requires_grad_(False), arguments()

    def flops(f) -> int:
        with FlopCounterMode(display=False) as counter:
            f()
        return counter.get_total_flops()

    one = flops(lambda: net(s, t, x, LABELS))
    both = flops(lambda: jvp(lambda t: net(s, t, x, LABELS), (t,), (torch.ones_like(t),)))
    print("FLOP", both / one)
    assert 1.9 * one < both < 2.1 * one


def test_the_loss_is_one_graph():
    """A loss with value, jvp, labels and dropout is captured whole by torch's compiler, and gives the same number."""
    net, (s, t, x) = tiny(dropout=0.2).train(), arguments()

    def loss(s, t, x):
        on = FlowMap(lambda s, t, x: net(s, t, x, LABELS))
        off = FlowMap(lambda s, t, x: net(s, t, x, LABELS, dropout=False))
        w = net.log_weight(s, t)
        return ((-w).exp() * (losses.diagonal(on, t, x, x) + losses.lagrangian(off, s, t, x)) + w).mean()

    values = []
    for f in (loss, torch.compile(loss, fullgraph=True, backend="eager")):
        torch.manual_seed(3)
        values.append(f(s, t, x))
    torch.compiler.reset()
    torch.testing.assert_close(*values, rtol=1e-10, atol=0)


def test_all_time_derivatives_at_once():
    """vmap over jvp (jacfwd) gives the same derivative: a sample's in its own time, zero in another's."""
    net, (s, t, x) = tiny(), arguments()
    jacobian = jacfwd(lambda t: net(s, t, x, LABELS))(t)  # (B, C, H, W, B)
    derivative = jvp(lambda t: net(s, t, x, LABELS), (t,), (torch.ones_like(t),))[1]
    own = torch.stack([jacobian[i, ..., i] for i in range(4)])
    torch.testing.assert_close(own, derivative, rtol=1e-10, atol=1e-10)
    assert torch.equal(jacobian[0, ..., 1], torch.zeros_like(x[0]))


def test_samples_do_not_mix():
    """The network is a function, and that of a batch is that of its samples: changing one changes no other."""
    net, (s, t, x) = tiny(), arguments()
    v = net(s, t, x, LABELS)
    assert torch.equal(v, net(s, t, x, LABELS))
    alone = torch.cat([net(s[i : i + 1], t[i : i + 1], x[i : i + 1], LABELS[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(v, alone, rtol=1e-11, atol=1e-11)
    s[2], t[2], x[2] = 0.0, 1.0, 7 * x[2]
    changed = net(s, t, x, torch.tensor([0, 2, 1, 1]))
    others = [0, 1, 3]
    torch.testing.assert_close(changed[others], v[others], rtol=1e-12, atol=1e-12)
    assert (changed[2] - v[2]).abs().max() > 1e-2


# Magnitudes


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_a_sum_keeps_the_magnitude(share):
    """mp_sum is its formula, and of two orthogonal vectors of magnitude 1 it has magnitude 1, exactly."""
    q = torch.linalg.qr(torch.randn(50, 2).double())[0] * math.sqrt(50)
    a, b = q.T
    total = unet.mp_sum(a, b, share)
    torch.testing.assert_close(total, ((1 - share) * a + share * b) / math.sqrt((1 - share) ** 2 + share**2))
    torch.testing.assert_close(magnitude(total), torch.tensor(1.0).double())


def test_silu_keeps_the_magnitude():
    """E mp_silu(z)^2 = 1 for z ~ N(0, 1), by quadrature, to the three digits of 0.596."""
    z = torch.linspace(-12, 12, 4001).double()
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    torch.testing.assert_close(unet.mp_silu(z), z * torch.sigmoid(z) / 0.596)
    second_moment = torch.trapezoid(unet.mp_silu(z).square() * density, z)
    assert abs(second_moment.sqrt() - 1) < 1e-3


def test_a_concatenation_keeps_the_magnitude():
    """mp_cat of parts of magnitude 1 has magnitude 1, and each part half of the square, for 2 and 10 channels."""
    a, b = torch.randn(3, 2, 4, 4).double(), torch.randn(3, 10, 4, 4).double()
    a, b = a / magnitude(a), b / magnitude(b)
    both = unet.mp_cat(a, b)
    torch.testing.assert_close(magnitude(both), torch.tensor(1.0).double())
    torch.testing.assert_close(both[:, :2].square().sum(), both[:, 2:].square().sum())
    torch.testing.assert_close(both[:, :2] / a, (both[:, :2] / a).mean().expand_as(a))
    torch.testing.assert_close(both[:, 2:] / b, (both[:, 2:] / b).mean().expand_as(b))


def test_pixel_norm_brings_every_pixel_to_magnitude_one():
    """Whatever the scale of a pixel; a pixel of zeros stays zero and has a finite derivative."""
    x = torch.randn(3, 6, 4, 4).double() * 10 ** torch.linspace(-1, 4, 16).double().reshape(4, 4)
    torch.testing.assert_close(magnitude(unet.pixel_norm(x), 1), torch.ones(3, 4, 4).double(), rtol=1e-4, atol=0)
    value, slope = jvp(unet.pixel_norm, (torch.zeros(1, 6, 1, 1),), (torch.ones(1, 6, 1, 1),))
    assert torch.equal(value, torch.zeros(1, 6, 1, 1))
    assert slope.isfinite().all()


def test_fourier_features():
    """sqrt(2) cos(2 pi (f z + phase)) of magnitude 1; no frequency above the bandwidth; the slope is as told."""
    features = Fourier(2, 40_000, bandwidth=1.5).double()
    y, z = torch.tensor([0.25]).double(), torch.tensor([0.875]).double()
    f, phase = features.frequencies, features.phases
    torch.testing.assert_close(
        features(y, z)[0], 2**0.5 * torch.cos(2 * math.pi * (0.25 * f[0] + 0.875 * f[1] + phase)), rtol=1e-9, atol=1e-9
    )
    assert f.abs().max() <= 1.5
    assert f.min() < -1.49
    assert f.max() > 1.49
    value, slope = jvp(lambda z: features(y, z), (z,), (torch.ones_like(z),))
    assert abs(magnitude(value) - 1) < 0.02  # four standard errors are 0.007
    assert abs(magnitude(slope) / (2 * math.pi * 1.5 / math.sqrt(3)) - 1) < 0.03


@pytest.mark.parametrize("kernel", [0, 1, 3])
def test_a_weight_is_its_formula_and_keeps_the_magnitude(kernel):
    """y = gain (w / |w|) x; a random input of magnitude 1 gives outputs of magnitude 1 where nothing is padded."""
    layer = Weight(12, 20, kernel).double()
    side = (16, 16) if kernel else ()
    x = torch.randn(40 if kernel else 10_000, 12, *side).double()
    w = layer.weight / layer.weight.square().flatten(1).sum(1).sqrt().reshape(-1, *[1] * (layer.weight.ndim - 1))
    by_hand = F.conv2d(x, w, padding=kernel // 2) if kernel else x @ w.T
    torch.testing.assert_close(layer(x), by_hand)
    torch.testing.assert_close(layer(x, torch.tensor([-0.3]).double()), -0.3 * by_hand)
    inner = layer(x)[..., 1:-1, 1:-1] if kernel else layer(x)
    assert (magnitude(inner, (0, 2, 3) if kernel else 0) - 1).abs().max() < 0.05


def test_halving_and_enlarging():
    """Averages of 2 x 2 and their repetition, by hand: halving what was enlarged gives it back."""
    x = torch.randn(2, 3, 4, 6).double()
    by_hand = (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4
    torch.testing.assert_close(unet.halve(x), by_hand)
    torch.testing.assert_close(unet.enlarge(x), torch.kron(x, torch.ones(2, 2).double()))
    torch.testing.assert_close(unet.halve(unet.enlarge(x)), x)


def test_attention_is_torchs():
    """The values read, written out, are those of torch's own attention on the normalised q, k and v."""
    attention, x = Attention(48).double(), torch.randn(2, 48, 4, 4).double()
    assert attention.head == 16
    qkv = attention.qkv(x).reshape(2, 3, 3, 16, 16).movedim(1, 0)  # (q k v, B, heads, c, HW)
    q, k, v = (z / (magnitude(z, -2)[..., None, :]) for z in qkv)
    read = F.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT.reshape(2, 48, 4, 4)
    torch.testing.assert_close(attention(x), attention.out(read), rtol=1e-6, atol=1e-6)  # q, k, v: 1e-8 below
    assert magnitude(attention(x)) < 1.1  # a mean of vectors of magnitude 1


def test_magnitudes_stay_through_the_whole_network():
    """From unit normal images, each of the blocks' outputs has a magnitude near 1, whatever the depth."""
    net = UNet(32, width=24, multipliers=(1, 2, 2), blocks=3, attention=(8,), classes=10)
    seen = []
    s, t = torch.rand(4), torch.ones(4)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, Block):
                module.gain.fill_(0.3)
                module.register_forward_hook(lambda _module, _arguments, out: seen.append(float(magnitude(out))))
        net(s, t, net.scale * torch.randn(4, 3, 32, 32), torch.tensor([0, 3, 9, -1]))
    assert len(seen) == 11 + 2 + 14
    assert all(0.75 < m < 1.25 for m in seen), seen


# Weights


def test_only_the_direction_of_a_weight_counts():
    """Three times a weight, or project(): the same function. After project() every row has magnitude 1."""
    net, (s, t, x) = tiny(), arguments()
    v = net(s, t, x, LABELS)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, Weight):
                module.weight.mul_(3)
    torch.testing.assert_close(net(s, t, x, LABELS), v, rtol=1e-10, atol=1e-12)
    others = {n: p.clone() for n, p in net.named_parameters() if "weight" not in n}
    net.project()
    torch.testing.assert_close(net(s, t, x, LABELS), v, rtol=1e-10, atol=1e-12)
    for module in net.modules():
        if isinstance(module, Weight):
            rows = magnitude(module.weight.flatten(1), 1)
            torch.testing.assert_close(rows, torch.ones_like(rows))
    for n, p in net.named_parameters():
        if n in others:
            assert torch.equal(p, others[n]), n


def test_the_gradient_is_orthogonal_to_the_weight():
    """Row by row, since the length of a row changes nothing."""
    net, (s, t, x) = tiny(), arguments()
    net(s, t, x, LABELS).square().sum().backward()
    for name, module in net.named_modules():
        if isinstance(module, Weight):
            w, g = module.weight.flatten(1), module.weight.grad.flatten(1)
            assert g.norm() > 0, name
            cosine = (w * g).sum(1).abs().max() / (w.norm(dim=1) * g.norm(dim=1)).max()
            assert cosine < 1e-10, name


def test_the_state_carries_the_features():
    """A network built under another seed, given the state, is the same function: nothing random stays outside."""
    one, other = tiny(), tiny()
    s, t, x = arguments()
    assert not torch.allclose(one(s, t, x, LABELS), other(s, t, x, LABELS))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(s, t, x, LABELS), other(s, t, x, LABELS))


# Dropout, labels, the learned weight


def test_when_dropout_drops():
    """In training mode, or when asked to; never in evaluation mode, and never with dropout=False."""
    net, (s, t, x) = tiny(dropout=0.3), arguments()
    kept = net(s, t, x, LABELS)
    assert not torch.allclose(net(s, t, x, LABELS, dropout=True), kept)
    net.train()
    assert torch.equal(net(s, t, x, LABELS, dropout=False), kept)
    first, second = net(s, t, x, LABELS), net(s, t, x, LABELS)
    assert not torch.allclose(first, kept)
    assert not torch.allclose(first, second)


def test_dropout_keeps_the_mean():
    """It stands before a convolution: the mean of a block's output is the output without dropout."""
    n = 2000
    block = Block(4, 4, 8).double()
    x, emb = torch.randn(1, 4, 4, 4).double(), torch.randn(1, 8).double()
    kept = block(x, emb, 0.0)
    dropped = block(x.expand(n, -1, -1, -1), emb.expand(n, -1), 0.4)
    scores = (dropped.mean(0) - kept[0]) / (dropped.std(0) / math.sqrt(n))
    assert dropped.std(0).min() > 0
    assert scores.abs().max() < 5
    assert 0.5 < magnitude(scores) < 1.5


def test_labels():
    """A class enters by its own row; -1 enters as the zero vector; a sample's class is its own affair."""
    net, (s, t, x) = tiny(), arguments()
    none = torch.full((4,), -1)
    time = unet.mp_sum(net.embed_s(net.features_s(s)), net.embed_d(net.features_d(t - s)))
    rows = net.embed_class.unit().T * math.sqrt(3)  # (classes, embedding)
    torch.testing.assert_close(net.embedding(s, t, none), unet.mp_silu(unet.mp_sum(time, torch.zeros_like(time))))
    torch.testing.assert_close(net.embedding(s, t, none + 3), unet.mp_silu(unet.mp_sum(time, rows[2].expand(4, -1))))
    v = torch.stack([net(s, t, x, none + k) for k in range(4)])
    for k in range(3):
        assert (v[k + 1] - v[0]).abs().max() > 1e-2
    mixed = net(s, t, x, torch.tensor([-1, 0, 1, 2]))
    torch.testing.assert_close(mixed, v[range(4), range(4)], rtol=1e-11, atol=1e-11)


def test_the_learned_weight_is_zero_and_then_learns():
    """w = 0 at first; minimising exp(-w) r^2 + w finds w = log r^2 where r^2 is a smooth function of (s, t)."""
    torch.manual_seed(0)
    net = UNet(8, 2, **TINY).double()
    s, t = (r.flatten() for r in torch.meshgrid(*[torch.linspace(0, 1, 12).double()] * 2, indexing="ij"))
    assert torch.equal(net.log_weight(s, t), torch.zeros_like(s))
    wanted = 3 - 2 * (t - s) + torch.sin(3 * s * t)
    optimizer = torch.optim.LBFGS(net.log_weight.linear.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        w = net.log_weight(s, t)
        value = ((wanted - w).exp() + w).mean()
        value.backward()
        return value

    optimizer.step(loss)
    assert (net.log_weight(s, t) - wanted).abs().max() < 0.1


# Errors


def call(net: UNet, n: int = 3, **changes) -> Tensor:
    """The network on zeros, some of its arguments changed."""
    given = {"s": torch.zeros(n), "t": torch.ones(n), "x": torch.zeros(n, 2, 8, 8), "label": torch.zeros(n).long()}
    return net(**{**given, **changes})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: UNet(10, width=8, multipliers=(1, 1, 1), blocks=1), r"size .*divisible by 4 for 3 levels, got 10"),
        (lambda: UNet(0, width=8, multipliers=(1,), blocks=1), r"size must .*at least 1, got 0"),
        (lambda: UNet(8, 0, width=8, multipliers=(1,), blocks=1), r"channels must .*got 0"),
        (lambda: UNet(8, width=0, multipliers=(1,), blocks=1), r"width must .*got 0"),
        (lambda: UNet(8, width=8, multipliers=(1, 0), blocks=1), r"multipliers must .*got 0"),
        (lambda: UNet(8, width=8, multipliers=(), blocks=1), r"multipliers must .*got 0"),
        (lambda: UNet(8, width=8, multipliers=(1,), blocks=0), r"blocks must .*got 0"),
        (
            lambda: UNet(8, width=8, multipliers=(1,), blocks=1, classes=-1),
            r"classes must be a whole number of at least 0, got -1",
        ),
        (lambda: UNet(8, width=8, multipliers=(1,), blocks=1, dropout=1.0), r"dropout must .*\[0, 1\).*got 1.0"),
        (lambda: UNet(8, width=8, multipliers=(1,), blocks=1, scale=0.0), r"scale must be positive, got 0.0"),
        (lambda: call(UNet(8, 2, **TINY), x=torch.zeros(3, 2, 16, 16)), r"x .*\(B, 2, 8, 8\), got \(3, 2, 16, 16\)"),
        (lambda: call(UNet(8, 2, **TINY), x=torch.zeros(3, 1, 8, 8)), r"x .*\(B, 2, 8, 8\), got \(3, 1, 8, 8\)"),
        (lambda: call(UNet(8, 2, **TINY), x=torch.zeros(2, 8, 8)), r"x .*\(B, 2, 8, 8\), got \(2, 8, 8\)"),
        (lambda: call(UNet(8, 2, **TINY), s=torch.zeros(2)), r"s must have shape \(3,\).*got \(2,\)"),
        (lambda: call(UNet(8, 2, **TINY), t=torch.zeros(3, 1)), r"t must have shape \(3,\).*got \(3, 1\)"),
        (lambda: call(UNet(8, 2, **TINY), label=None), r"has 3 classes: pass label="),
        (lambda: call(UNet(8, 2, **{**TINY, "classes": 0})), r"has no classes: leave label out"),
        (lambda: call(UNet(8, 2, **TINY), label=torch.zeros(3)), r"label must be int64.*got \(3,\) torch.float32"),
        (lambda: call(UNet(8, 2, **TINY), label=torch.zeros(2).long()), r"label must .*\(3,\), got .*\(2,\)"),
        (lambda: call(UNet(8, 2, **TINY), label=torch.tensor([0, 3, 1])), r"label must lie in -1..2, got 3"),
        (lambda: call(UNet(8, 2, **TINY), label=torch.tensor([0, -2, 1])), r"label must lie in -1..2, got -2"),
    ],
)
def test_a_bad_argument_is_named(wrong, says):
    """Wrong sizes, shapes, labels and names raise ValueError that says what came and what was wanted."""
    with pytest.raises(ValueError, match=says):
        wrong()
