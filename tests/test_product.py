"""x W^T by oneDNN: its value, its derivatives, the layers that call it, and where it is left alone."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, jvp, vmap
from torch.utils.flop_counter import FlopCounterMode

from flowmap_edu import _product as module
from flowmap_edu._product import product
from flowmap_edu.nets import MLP
from flowmap_edu.nets.layers import Linear
from flowmap_edu.training.compiling import compiled

ROWS, IN, OUT = 96, 80, 72  # 552,960 multiplications: more than the least of the tests
pytestmark = pytest.mark.skipif(not module.HAS_BOTH, reason="torch has only one library for products here")


@pytest.fixture(autouse=True)
def used(monkeypatch):
    """oneDNN from 2^19 multiplications on, whatever the processor."""
    monkeypatch.setattr(module, "LEAST", 2**19)


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, int, int]]:
    """The sizes of the products that go to oneDNN."""
    seen: list[tuple[int, int, int]] = []
    real = torch.ops.flowmap_edu.product.default

    class Counted:
        @staticmethod
        def default(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            seen.append((x.shape[0], x.shape[1], weight.shape[0]))
            return real(x, weight, bias)

    monkeypatch.setattr(torch.ops.flowmap_edu, "product", Counted)
    return seen


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rounding(x: Tensor, weight: Tensor) -> Tensor:
    """The bound of a float32 product's error: inner * 2^-24 times the product of the absolute values."""
    return x.shape[1] * 2**-24 * (x.abs().double() @ weight.abs().double().T) + 1e-12


def strided() -> list[tuple[Tensor, Tensor]]:
    """Pairs (x, weight) laid out in every way that a step meets, and some more."""
    x, weight = drawn(ROWS, IN), drawn(OUT, IN, seed=1)
    return [
        (x, weight),
        (drawn(IN, ROWS).T, weight),
        (x, drawn(IN, OUT).T),
        (drawn(IN, ROWS).T, drawn(IN, OUT).T),
        (drawn(2 * ROWS, IN)[::2], weight),
        (drawn(ROWS, 2 * IN)[:, ::2], drawn(OUT, 2 * IN)[:, IN:]),
        (drawn(1, IN).expand(ROWS, IN), weight),
        (drawn(ROWS, 1).expand(ROWS, IN), drawn(1, 1).expand(OUT, IN)),
    ]


@pytest.mark.parametrize("k", range(8))
def test_value_is_the_product_to_rounding(k, calls):
    x, weight = strided()[k]
    bias = drawn(OUT, seed=2)
    exact = x.double() @ weight.double().T
    assert ((product(x, weight).double() - exact).abs() <= rounding(x, weight)).all()
    assert ((product(x, weight, bias).double() - exact - bias.double()).abs() <= rounding(x, weight) + 1e-6).all()
    assert calls == 2 * [(ROWS, IN, OUT)]


@pytest.mark.parametrize("k", range(8))
def test_gradients_are_those_of_double_precision(k):
    x, weight = (z.detach().requires_grad_() for z in strided()[k])
    bias, g = drawn(OUT, seed=2).requires_grad_(), drawn(ROWS, OUT, seed=3)
    ours = torch.autograd.grad(product(x, weight, bias), (x, weight, bias), g)
    doubles = tuple(z.detach().double().requires_grad_() for z in (x, weight, bias))
    theirs = torch.autograd.grad(F.linear(*doubles), doubles, g.double())
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-4)


def test_second_derivatives():
    x, weight = drawn(ROWS, IN).requires_grad_(), drawn(OUT, IN, seed=1).requires_grad_()

    def curved(f, x: Tensor, weight: Tensor) -> Tensor:
        (slope,) = torch.autograd.grad(f(x, weight).tanh().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), weight)[0]

    expected = curved(F.linear, x.double(), weight.double())
    assert (curved(product, x, weight).double() - expected).norm() < 1e-5 * expected.norm()


def test_only_wanted_derivatives_are_computed(calls):
    x, weight = drawn(ROWS, IN), drawn(OUT, IN, seed=1).requires_grad_()
    product(x, weight).sum().backward()
    assert calls == [(ROWS, IN, OUT), (OUT, ROWS, IN)]


def test_what_does_not_fit_is_left_to_torch(calls):
    x, weight = drawn(ROWS, IN), drawn(OUT, IN)
    product(x.double(), weight.double())
    product(x[:8], weight)  # too small
    product(x.bfloat16(), weight.bfloat16())
    product(x[None], weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert product(x, weight).dtype == torch.bfloat16
    product(x.to("meta"), weight.to("meta"))
    assert not calls


def test_layer_takes_its_value_and_its_derivative_from_one_product(calls):
    layer, x, dx = Linear(IN, OUT), drawn(ROWS, IN), drawn(ROWS, IN, seed=1)
    value, tangent = jvp(layer, (x,), (dx,))
    assert calls == [(2 * ROWS, IN, OUT)]
    torch.testing.assert_close(value, F.linear(x, layer.weight, layer.bias))
    torch.testing.assert_close(tangent, dx @ layer.weight.T)


def test_derivative_along_the_weights_is_not_lost():
    layer, x = Linear(IN, OUT), drawn(ROWS, IN)
    weights = {name: p.detach() for name, p in layer.named_parameters()}
    along = {"weight": drawn(OUT, IN, seed=1), "bias": drawn(OUT, seed=2)}
    _, tangent = jvp(lambda w: functional_call(layer, w, (x,)), (weights,), (along,))
    torch.testing.assert_close(tangent, x @ along["weight"].T + along["bias"])


def test_many_networks_at_once():
    layer, x, many = Linear(IN, OUT), drawn(ROWS, IN), drawn(3, OUT, IN, seed=1)
    found = vmap(lambda w: functional_call(layer, {"weight": w}, (x,)))(many)
    torch.testing.assert_close(found, torch.stack([F.linear(x, w, layer.bias) for w in many]))
    torch.testing.assert_close(vmap(layer)(drawn(4, ROWS, IN)), F.linear(drawn(4, ROWS, IN), layer.weight, layer.bias))


def test_compiled_network_has_the_gradient_of_the_plain_formula_and_repeats_no_product(monkeypatch):
    torch.manual_seed(0)
    net, s, x = MLP(2, 96, 3), torch.rand(ROWS), drawn(ROWS, 2)

    def loss(s: Tensor, x: Tensor) -> Tensor:
        value, slope = jvp(lambda t: net(s, t, x), (s,), (torch.ones_like(s),))
        return (value.square() + slope.square()).sum()

    def gradient(f) -> Tensor:
        net.zero_grad()
        f(s, x).backward()
        return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    fast = compiled(loss)
    gradient(fast)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        found = gradient(fast)
    counts = {event.key: event.count for event in seen.key_averages()}
    # three layers forward, the gradients of their weights, and of what came into two; the last layer is too small
    assert counts["flowmap_edu::product"] == 3 + 3 + 2
    monkeypatch.setattr(module, "LEAST", math.inf)
    plain = gradient(loss)
    assert (found - plain).norm() < 1e-5 * plain.norm()


def test_where_oneDNN_was_not_measured_torch_s_own_product_stays(monkeypatch, calls):
    text = "processor\t: 0\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: 99\n"
    families = {("AuthenticAMD", 26): 2**19, ("AuthenticAMD", 25): 2**25, ("AuthenticAMD", 23): math.inf}
    families[("GenuineIntel", 26)] = math.inf
    assert {key: module.least(text.format(*key)) for key in families} == families
    assert module.least("") == math.inf
    monkeypatch.setattr(module, "LEAST", math.inf)
    product(drawn(ROWS, IN), drawn(OUT, IN))
    assert not calls


def test_operations_are_counted():
    x, weight = drawn(ROWS, IN), drawn(OUT, IN).requires_grad_()
    with FlopCounterMode(display=False) as mode:
        product(x, weight).sum().backward()
    assert mode.get_total_flops() == 2 * 2 * ROWS * IN * OUT
