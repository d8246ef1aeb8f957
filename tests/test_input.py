"""Whatever people hold: every public function gives the answer of float64, or names what it does not take.

Dtypes, layouts, containers and kinds of numbers, in every argument that takes points, times, labels or counts; images
are in test_input_images.py.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, vmap

from flowmap_edu import Method, losses, metrics, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear, Trigonometric
from flowmap_edu.metrics import memorising, two_sample
from flowmap_edu.metrics.kl import board_points
from flowmap_edu.nets import MLP, UNet
from flowmap_edu.problems import Checkerboard, FromTensor, Gaussian, GaussianMixture
from flowmap_edu.sample import Euler, Jumps, Restarts, guided, sampler

GAUSSIAN, BOARD = Gaussian(torch.tensor([1.0, -0.5]), 0.5), Checkerboard()
MIXTURE = GaussianMixture(torch.tensor([[0.6, 0.0], [-0.4, 0.5]]), 0.3)
POINTS = torch.tensor([[0.1, -0.3], [0.7, 0.2], [-0.9, 0.4], [0.3, 0.3], [-0.2, -0.8], [0.6, 0.9]], dtype=torch.float64)
X = FlowMap(GAUSSIAN.v)
OTHER = FlowMap(lambda *at: MIXTURE.velocity(at[0], at[2]))  # not a flow map: no residual of it vanishes


def like(x: Tensor) -> Tensor:
    """A second set of points, as many and of the type of x."""
    return POINTS.flip(0)[: len(x)].to(x.dtype) if isinstance(x, Tensor) and x.ndim else POINTS


Function = Callable[..., Tensor | tuple[Tensor, ...]]
OF_ONE_TIME: dict[str, Function] = {
    "velocity": X.velocity,
    "diagonal": lambda t, x: losses.diagonal(X, t, x, like(x)),
    "Linear": lambda t, x: Linear()(t, x, like(x)),
    "Trigonometric": lambda t, x: Trigonometric()(t, x, like(x)),
    "Gaussian.velocity": GAUSSIAN.velocity,
    "GaussianMixture.velocity": MIXTURE.velocity,
    "Checkerboard.velocity": BOARD.velocity,
    "Gaussian.log_density": GAUSSIAN.log_density,
    "GaussianMixture.log_density": MIXTURE.log_density,
    "Checkerboard.log_density": BOARD.log_density,
}
OF_TIMES: dict[str, Function] = {
    "X": X,
    "v": X.v,
    "partial_t": X.partial_t,
    "partial_s": X.partial_s,
    "push": lambda s, t, x: X.push(s, t, x, like(x)),
    "eulerian": lambda s, t, x: X.eulerian(s, t, x, like(x)),
    "losses.lagrangian": lambda s, t, x: losses.lagrangian(OTHER, s, t, x),
    "losses.eulerian": lambda s, t, x: losses.eulerian(OTHER, s, t, x, stopgrad="semi", first_term=like(x), ramp=0.5),
    "losses.semigroup": lambda s, t, x: losses.semigroup(OTHER, s, t, 1.0, x),
    "Gaussian.flow_map": GAUSSIAN.flow_map,
    "GaussianMixture.flow_map": MIXTURE.flow_map,
    "Checkerboard.flow_map": BOARD.flow_map,
    "Checkerboard.v": BOARD.v,
}
OF_POINTS: dict[str, tuple[str, Function]] = {  # the argument's name, the function
    "trajectory": ("x0", lambda x: X.trajectory(x, 3)),
    "sample": ("x0", lambda x: X.sample(x, 3, chunk=4)),
    "Jumps": ("x0", lambda x: Jumps()(X, x, 2)),
    "Euler": ("x0", lambda x: Euler()(X, x, 2)),
    "Restarts": ("x0", lambda x: Restarts()(X, x, 1)),
    "semigroup_gap": ("x0", lambda x: torch.tensor(metrics.semigroup_gap(OTHER, x, 1, 2))),
    "kl64": ("samples", lambda x: torch.tensor(metrics.kl64(x)[:2])),
    "nearest": ("samples", lambda x: memorising.nearest(x, like(x))),
    "copies": ("samples", lambda x: torch.tensor(memorising.copies(x, like(x), 0.9 * like(x)))),
    "sliced_wasserstein": ("x", lambda x: torch.tensor(two_sample.sliced_wasserstein(x, like(x), directions=20))),
}
PATHS = ("Linear", "Trigonometric")
EVERY: dict[str, tuple[str, Function]] = {
    **{name: ("x0" if name in PATHS else "x", lambda x, f=f: f(0.25, x)) for name, f in OF_ONE_TIME.items()},
    **{name: ("x", lambda x, f=f: f(0.25, 0.75, x)) for name, f in OF_TIMES.items()},
    **OF_POINTS,
}


def tensors(found: Tensor | tuple[Tensor, ...]) -> Sequence[Tensor]:
    return [found] if isinstance(found, Tensor) else found


def agree(found: Tensor | tuple[Tensor, ...], wanted: Tensor | tuple[Tensor, ...], what: str) -> None:
    """Up to the rounding of float32, which the solves and the sums enlarge."""
    for a, b in zip(tensors(found), tensors(wanted), strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=1e-4, atol=3e-6, msg=lambda m: f"{what}: {m}")


def refused(name: str, call: Callable[[], object], what: str) -> None:
    """ValueError that begins with the argument's name and says what came and what is wanted."""
    with pytest.raises(ValueError, match=rf"^{name} must (?s:.*)got ") as caught:
        call()
    assert len(str(caught.value)) < 250, what


# --- points ----------------------------------------------------------------------------------------

wide = torch.stack([POINTS, -POINTS], dim=2)  # (6, 2, 2)
LAYOUTS = {
    "every second column": wide[..., 0],
    "transposed": POINTS.T.contiguous().T,
    "every second row": POINTS.repeat_interleave(2, dim=0)[::2],
    "one row, expanded": POINTS[:1].expand(6, 2),
    "one number, expanded": POINTS[:1, :1].expand(6, 2),
    "overlapping windows": torch.linspace(-0.9, 0.9, 7, dtype=torch.float64).unfold(0, 2, 1),
    "with a gradient": POINTS.clone().requires_grad_(),
}
NO_POINTS = {
    "float16": POINTS.half(),
    "bfloat16": POINTS.bfloat16(),
    "whole numbers": POINTS.long(),
    "booleans": POINTS > 0,
    "complex": POINTS.to(torch.complex64),
    "an array": POINTS.numpy(),
    "a float32 array": POINTS.float().numpy(),
    "a list": POINTS.tolist(),
    "a number": 0.5,
    "a NumPy scalar": np.float64(0.5),
    "nothing": None,
    "sparse": POINTS.to_sparse(),
    "one axis": POINTS[:, 0],
    "no axis": POINTS[0, 0],
}


@pytest.mark.parametrize("function", EVERY)
def test_points_of_any_layout_or_none_at_all(function):
    """float32 and every layout give the answer of contiguous float64; what is no such tensor is named."""
    name, f = EVERY[function]
    wanted = f(POINTS)
    agree(f(POINTS.float()), wanted, "float32")
    for a, b in zip(tensors(f(POINTS)), tensors(wanted), strict=True):
        assert torch.equal(a, b)  # float64 is repeated to the bit
    for layout, x in LAYOUTS.items():
        agree(f(x), f(x.detach().contiguous().clone()), layout)
    for what, bad in NO_POINTS.items():
        refused(name, lambda bad=bad: f(bad), what)


@pytest.mark.parametrize("function", [*OF_ONE_TIME, *OF_TIMES, "trajectory", "sample"])
def test_no_point_and_one_point(function):
    """A batch of one is the first of six; an empty one gives an empty answer."""
    _, f = EVERY[function]
    whole, one, none = tensors(f(POINTS)), tensors(f(POINTS[:1])), tensors(f(POINTS[:0]))
    if not any(word in function for word in ("push", "eulerian", "diagonal", "Linear", "Trig")):
        for a, b in zip(whole, one, strict=True):
            axis = 1 if function == "trajectory" else 0
            torch.testing.assert_close(a.narrow(axis, 0, 1), b, rtol=1e-7, atol=1e-9)
    assert all(x.numel() == 0 for x in none)


@pytest.mark.parametrize("function", ["trajectory", "sample", "kl64", "nearest", "copies", "sliced_wasserstein"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_points_that_are_not_finite_are_refused(function, bad):
    name, f = EVERY[function]
    x = POINTS.clone()
    x[2, 1] = bad
    with pytest.raises(ValueError, match=f"^{name} must be finite; 1 of 12 entries are not"):
        f(x)


# --- times -----------------------------------------------------------------------------------------


def forms(t: float) -> dict[str, float | Tensor]:
    """A time that half precision holds exactly, in every form that is taken."""
    found: dict[str, float | Tensor] = {"float": t, "float64 scalar": np.float64(t), "float32 scalar": np.float32(t)}
    found |= {"float16 scalar": np.float16(t)}
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        whole = torch.full((6,), t, dtype=dtype)
        found |= {
            f"{dtype}": whole,
            f"{dtype} no axis": torch.tensor(t, dtype=dtype),
            f"{dtype} expanded": torch.tensor(t, dtype=dtype).expand(6),
            f"{dtype} every second": whole.repeat(2)[::2],
            f"{dtype} column": whole[:, None].repeat(1, 3)[:, 1],
        }
    return found


NO_TIMES = {
    "an array": np.full(6, 0.5),
    "an array without axes": np.array(0.5),
    "a list": [0.5] * 6,
    "text": "0.5",
    "nothing": None,
    "True": True,
    "NumPy's True": np.True_,
    "complex": 0.5j,
    "booleans": torch.ones(6, dtype=torch.bool),
    "complex numbers": torch.full((6,), 0.5 + 0j),
    "a column": torch.full((6, 1), 0.5),
    "too few": torch.full((5,), 0.5),
    "too large": 1.0 + 1e-12,
    "too small": np.float32(-1e-6),
    "nan": float("nan"),
    "one too large": torch.tensor([0.5] * 5 + [1.001]),
    "one nan": torch.tensor([0.5] * 5 + [torch.nan]),
    "infinite": torch.tensor(torch.inf),
}


@pytest.mark.parametrize("function", [*OF_ONE_TIME, *OF_TIMES])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_times_of_any_form_or_none_at_all(function, dtype):
    x = POINTS.to(dtype)
    if function in OF_ONE_TIME:
        f = OF_ONE_TIME[function]
        wanted = f(0.25, POINTS)
        for form, t in forms(0.25).items():
            agree(f(t, x), wanted, form)
        for t in (0, 1, np.int64(1), torch.tensor(0), torch.ones(6, dtype=torch.int32)):
            agree(f(t, x), f(float(t if not isinstance(t, Tensor) else t.flatten()[0]), POINTS), "whole")
        for what, bad in NO_TIMES.items():
            refused("t", lambda bad=bad: f(bad, x), what)
        return
    f = OF_TIMES[function]
    wanted = f(0.25, 0.75, POINTS)
    for (form, s), t in zip(forms(0.25).items(), forms(0.75).values(), strict=True):
        agree(f(s, 0.75, x), wanted, f"s {form}")
        agree(f(0.25, t, x), wanted, f"t {form}")
    last = "u" if function == "losses.semigroup" else "t"
    for what, bad in NO_TIMES.items():
        refused("s", lambda bad=bad: f(bad, 0.75, x), what)
        refused(last, lambda bad=bad: f(0.25, bad, x), what)


@pytest.mark.parametrize("function", ["losses.lagrangian", "losses.eulerian", "losses.semigroup"])
def test_times_out_of_order_are_refused_and_equal_ones_are_not(function):
    """In the type of x: a number and the float64 tensor of the same number are equal, 0.1 in float32 is no later."""
    f = OF_TIMES[function]
    with pytest.raises(ValueError, match=r"s <= [ut] is wanted, got s > [ut] in 6 of 6"):
        f(0.5, 0.25, POINTS)
    for x in (POINTS, POINTS.float()):
        for s, t in ((0.1, torch.full((6,), 0.1, dtype=torch.float64)), (torch.full((6,), 0.1), 0.1)):
            if x.dtype == torch.float32 or isinstance(s, float):
                assert torch.isfinite(f(s, t, x)).all()


# --- torch.func ------------------------------------------------------------------------------------

MAPS = {
    name: f
    for name, f in (OF_TIMES | OF_ONE_TIME).items()
    if name in ("X", "v", "velocity", "partial_t", "partial_s", "push", "eulerian", "diagonal", "Linear")
    or name.startswith(("losses.", "Gaussian."))
    or name.endswith((".velocity", ".log_density"))
}


@pytest.mark.parametrize("function", MAPS)
def test_vmap_is_a_loop(function):
    """Over batches of points, and over times: values are checked inside as well."""
    f, many = MAPS[function], torch.stack([POINTS, 0.5 * POINTS, POINTS.flip(1)])
    pairs = function in OF_TIMES
    late = torch.tensor([0.5, 0.75, 1.0], dtype=torch.float64)

    def call(t: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensors(f(0.25, t, x) if pairs else f(t, x)))

    for axes in ((0, 0), (None, 0), (0, None)):
        t, x = late if axes[0] == 0 else late[0], many if axes[1] == 0 else POINTS
        found = vmap(call, in_dims=axes)(t, x)
        loop = [call(late[k] if axes[0] == 0 else t, many[k] if axes[1] == 0 else x) for k in range(3)]
        for k, all_of_it in enumerate(found):
            torch.testing.assert_close(all_of_it, torch.stack([one[k] for one in loop]))
    with pytest.raises(ValueError, match=r"t must lie in \[0, 1\]|u must lie"):
        vmap(call, in_dims=(0, None))(late + 0.2, POINTS)


def test_jacobians_of_a_map():
    """Both modes, one point at a time, against the exact S(t) / S(s)."""
    for jacobian in (jacfwd, jacrev):
        found = vmap(jacobian(lambda x: X(0.25, 0.75, x[None])[0]))(POINTS)
        slope = (GAUSSIAN.spread(torch.tensor([0.75])) / GAUSSIAN.spread(torch.tensor([0.25]))).double().item()
        torch.testing.assert_close(found, slope * torch.eye(2, dtype=torch.float64).expand(6, 2, 2), rtol=1e-6, atol=0)


def test_vmap_over_networks_with_labels():
    label = torch.tensor([0, 2, -1, 1, 0, 2])
    mlp, unet = MLP(2, 16, 2, classes=3), UNet(4, 1, width=8, multipliers=(1,), classes=3)
    torch.nn.init.constant_(unet.gain, 0.5)
    for net, x in ((mlp, POINTS.float()), (unet, torch.randn(6, 1, 4, 4))):
        Y = FlowMap(net)
        found = vmap(lambda x, label, Y=Y: Y(0.0, 1.0, x[None], label=label[None])[0])(x, label)
        torch.testing.assert_close(found, Y(0.0, 1.0, x, label=label), rtol=1e-4, atol=1e-6)
        with pytest.raises(ValueError, match=r"label must lie in -1..2, got 3"):
            vmap(lambda x, label, Y=Y: Y(0.0, 1.0, x[None], label=label[None])[0])(x, label + 1)


def test_restarts_say_that_they_draw_noise():
    with pytest.raises(ValueError, match="restarts draw noise"):
        vmap(lambda x: FlowMap(GAUSSIAN.v, Restarts()).sample(x, 2))(torch.stack([POINTS, POINTS]))
    with pytest.raises(ValueError, match=r"sampler must be an object .* got 'jumps'"):
        FlowMap(GAUSSIAN.v, "jumps")


def test_an_ode_solve_says_that_it_cannot_be_batched():
    for f in (BOARD.flow_map, MIXTURE.v):
        with pytest.raises(ValueError, match="give all samples as one batch, not to vmap"):
            vmap(lambda x, f=f: f(0.0, 0.5, x[None])[0])(POINTS)


# --- what a map returns ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("v", "came"),
    [
        (lambda *at: at[2][:, :1], r"same shape, got \(6, 2\) and \(6, 1\)"),
        (lambda *at: at[2].sum(1), r"same shape, got \(6, 2\) and \(6,\)"),
        (lambda *at: at[2][:1], r"same shape, got \(6, 2\) and \(1, 2\)"),
        (lambda *_: 0.0, "got float"),
        (lambda *_: np.zeros((6, 2)), "got ndarray"),
        (lambda *at: (at[2], at[2]), "got tuple"),
        (lambda *at: at[2].long(), r"got \(6, 2\) torch.int64"),
    ],
)
def test_what_a_network_returns_is_not_broadcast(v, came):
    Y = FlowMap(v)
    calls: list[Callable] = [lambda: Y(0.0, 1.0, POINTS), lambda: Y.velocity(0.5, POINTS), lambda: Y.sample(POINTS, 1)]
    calls += [lambda: Y.partial_t(0.0, 1.0, POINTS), lambda: losses.diagonal(Y, torch.rand(6), POINTS, POINTS)]
    for call in calls:
        with pytest.raises(ValueError, match=f"what v returns must.*{came}"):
            call()


@pytest.mark.parametrize("bad", [POINTS[:, :1], POINTS[:1], POINTS.numpy(), 1.0])
def test_what_goes_beside_the_points_is_not_broadcast(bad):
    s, t = 0.25, 0.75
    calls: dict[str, Callable] = {
        "w": lambda: X.push(s, t, POINTS, bad),
        "target": lambda: losses.diagonal(X, torch.rand(6), POINTS, bad),
        "the velocity": lambda: losses.lagrangian(X, s, t, POINTS, velocity=bad),
        "first_term": lambda: losses.eulerian(X, s, t, POINTS, stopgrad="semi", first_term=bad),
        "x1": lambda: Linear()(s, POINTS, bad),
        "y": lambda: two_sample.sliced_wasserstein(POINTS, bad),
    }
    if isinstance(bad, float):
        del calls["the velocity"]
    for name, call in calls.items():
        with pytest.raises(ValueError, match=rf"{name} must.*got|at least two samples"):
            call()
    with pytest.raises(ValueError, match="ramp must be a number, got"):
        losses.eulerian(X, s, t, POINTS, stopgrad="semi", ramp=torch.ones(6))


# --- numbers ---------------------------------------------------------------------------------------

ANY = torch.randn(40, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
COUNTS: dict[str, Callable[[int], object]] = {  # argument: what it does, each for one function that takes it
    "steps trajectory": lambda n: X.trajectory(POINTS, n),
    "steps sample": lambda n: X.sample(POINTS, n),
    "chunk sample": lambda n: X.sample(POINTS, 2, chunk=n),
    "steps jumps": lambda n: Jumps()(X, POINTS, n),
    "steps euler": lambda n: Euler()(X, POINTS, n),
    "steps restarts": lambda n: Restarts()(X, POINTS, n, torch.Generator().manual_seed(0)),
    "steps map_error": lambda n: metrics.map_error(X, MIXTURE, steps=n, n=9),
    "n map_error": lambda n: metrics.map_error(X, MIXTURE, n=n),
    "times residuals": lambda n: metrics.residuals(OTHER, MIXTURE, times=n, n=4)["eulerian"].nan_to_num(),
    "n residuals": lambda n: metrics.residuals(OTHER, MIXTURE, times=2, n=n)["eulerian"].nan_to_num(),
    "steps semigroup_gap": lambda n: metrics.semigroup_gap(OTHER, POINTS, n),
    "steps semigroup_gap finest": lambda n: metrics.semigroup_gap(OTHER, POINTS, 1, n),
    "steps equal": lambda n: times.equal(0.0, 1.0, n),
    "n triangle": lambda n: times.triangle(n, generator=torch.Generator().manual_seed(0)),
    "n floor64": lambda n: metrics.floor64(n),
    "n board_points": lambda n: board_points(n, torch.Generator().manual_seed(0)),
    "n base": lambda n: MIXTURE.base(n, torch.Generator().manual_seed(0)),
    "n Gaussian.sample": lambda n: GAUSSIAN.sample(n, torch.Generator().manual_seed(0))[0],
    "n GaussianMixture.sample": lambda n: MIXTURE.sample(n, torch.Generator().manual_seed(0))[0],
    "n FromTensor.sample": lambda n: FromTensor(ANY).sample(n, torch.Generator().manual_seed(0))[0],
    "steps evaluate": lambda n: str(MIXTURE.evaluate(X, [n], n=9)),
    "n evaluate": lambda n: str(MIXTURE.evaluate(X, [1], n=n)),
    "directions sliced_wasserstein": lambda n: two_sample.sliced_wasserstein(POINTS, -POINTS, directions=n),
    "dim Gaussian": lambda n: Gaussian(dim=n).base(3, torch.Generator().manual_seed(0)),
    "dim MLP": lambda n: torch.manual_seed(0) and sum(p.sum() for p in MLP(n, 4, 1).parameters()),
    "size UNet": lambda n: UNet(n, 1, width=8, multipliers=(1,)).size,
    "width UNet": lambda n: UNet(8, 1, width=n, multipliers=(1,)).first.weight.shape,
}


@pytest.mark.parametrize("function", COUNTS)
def test_a_count_is_pythons_or_numpys(function):
    name, f = function.split()[0], COUNTS[function]
    wanted = f(3)
    for n in (np.int64(3), np.int32(3), np.uint8(3)):
        found = f(n)
        for a, b in zip(*((z if isinstance(z, tuple) else (z,)) for z in (found, wanted)), strict=True):
            assert torch.equal(a, b) if isinstance(a, Tensor) else a == b
    for bad in (0, -1, 2.0, np.float64(2.0), True, "3", None, np.array(3), np.array([3]), torch.tensor(3), 3j, [3]):
        if not (bad is None and name in ("n", "dim")):  # None: the problem's own number
            with pytest.raises(ValueError, match=rf"^{name} must be a whole number of at least 1, got "):
                f(bad)


SEEDS: dict[str, Callable[[int], object]] = {
    "sample": lambda k: FlowMap(GAUSSIAN.v, Restarts()).sample(POINTS, 2, seed=k).sum().item(),
    "map_error": lambda k: metrics.map_error(OTHER, MIXTURE, n=9, seed=k),
    "residuals": lambda k: metrics.residuals(OTHER, MIXTURE, times=2, n=4, seed=k)["lagrangian"].nansum().item(),
    "sliced_wasserstein": lambda k: two_sample.sliced_wasserstein(POINTS, -POINTS * 0.9, directions=3, seed=k),
    "classifier_test": lambda k: two_sample.classifier_test(ANY[:20], ANY[20:], seed=k),
    "evaluate": lambda k: str(MIXTURE.evaluate(X, [1], n=9, seed=k)),
    "FromTensor": lambda k: FromTensor(ANY, seed=k).train.sum().item(),
}


@pytest.mark.parametrize("function", SEEDS)
def test_a_seed_is_a_whole_number_of_64_bits(function):
    f = SEEDS[function]
    assert f(5) == f(np.int64(5)) == f(np.uint8(5))
    for bad in (-1, 2**63, 1.0, True, "0", None, np.float32(1), torch.tensor(1)):
        with pytest.raises(ValueError, match=r"^seed must be (a whole number of at least 0|below 2\^(63|32)).*, got "):
            f(bad)


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("s", lambda v: metrics.map_error(X, MIXTURE, s=v, n=9)),
        ("s", lambda v: metrics.at_time(MIXTURE, v, 9, torch.Generator().manual_seed(0))[0].sum().item()),
        ("t", lambda v: times.equal(0.0, v, 2)),
        ("at_zero", lambda v: times.triangle(9, at_zero=v, generator=torch.Generator().manual_seed(0))[0].sum().item()),
        ("at_one", lambda v: times.triangle(9, at_one=v, generator=torch.Generator().manual_seed(0))[0].sum().item()),
        ("held_out", lambda v: FromTensor(ANY, held_out=v).train.sum().item()),
    ],
)
def test_a_share_is_pythons_or_numpys(name, f):
    assert f(0.25) == f(np.float64(0.25)) == f(np.float32(0.25)) == f(np.float16(0.25))
    assert f(0) == f(np.int64(0))
    for bad in (-0.1, 1.1, float("nan"), True, "0.5", None, np.array(0.5), torch.tensor([0.5, 0.6]), 1j):
        with pytest.raises(ValueError, match=rf"^{name} must (lie|be a share) in \[0, 1[\])], got "):
            f(bad)


def test_numpys_numbers_end_as_pythons_where_they_are_written_down():
    """A network, a problem and a method keep what JSON holds."""
    for made in (
        MLP(np.int64(2), np.int32(8), np.int64(1), scale=np.float32(0.5), classes=np.int64(3)),
        Gaussian(np.float32(0.5), np.float64(2), np.float32(1)),
        Method("mine", "lagrangian", diagonal=np.float32(0.5), stages=np.int64(0)),
    ):
        named = vars(made).values() if not isinstance(made, torch.nn.Module) else [made.dim, made.scale, made.classes]
        assert not any(isinstance(value, np.generic) for value in named)
    assert sampler("restarts", np.float32(0.5)).sigma == 0.5
    for bad in (0, -1.0, float("nan"), "1", None, True):
        for make in (lambda v: sampler("restarts", v), lambda v: MLP(scale=v), lambda v: FromTensor(ANY, sigma=v)):
            if bad is not None or make(1.0).__class__ is not FromTensor:
                with pytest.raises(ValueError, match=r"^(sigma|scale) must be positive, got "):
                    make(bad)
    for bad in (float("nan"), "1", None, torch.ones(3)):
        with pytest.raises(ValueError, match=r"^scale must be a finite number, got "):
            guided(X, bad)


def test_the_first_derivative_brings_no_warning_of_torch():
    code = "import flowmap_edu, torch; flowmap_edu.FlowMap(lambda s, t, x: x).partial_t(0.0, 0.5, torch.randn(3, 2))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- labels and the networks' own arguments --------------------------------------------------------

NET = MLP(2, 16, 2, classes=3)
LABEL = torch.tensor([0, 2, 1, -1, 0, 2])


@pytest.mark.parametrize(
    "call",
    [
        lambda label: FlowMap(NET).sample(POINTS.float(), 1, label=label),
        lambda label: FlowMap(NET).trajectory(POINTS.float(), 1, label=label),
        lambda label: FlowMap(NET)(0.0, 1.0, POINTS.float(), label=label),
        lambda label: FlowMap(NET).conditioned(label=label).velocity(0.5, POINTS.float()),
        lambda label: guided(FlowMap(NET), 2.0)(0.0, 1.0, POINTS.float(), label=label),
        lambda label: NET(torch.zeros(6), torch.ones(6), POINTS.float(), label),
    ],
)
def test_labels_are_int64_tensors(call):
    assert torch.equal(call(LABEL), call(LABEL.repeat_interleave(2)[::2]))
    assert torch.equal(call(LABEL[:1].repeat(6)), call(LABEL[:1].expand(6)))
    for bad in (LABEL.int(), LABEL.float(), LABEL.numpy(), LABEL.tolist(), 1, np.int64(1), LABEL[:5], LABEL[:, None]):
        with pytest.raises(ValueError, match=r"^label must (be int64|be a tensor|have one entry).*got "):
            call(bad)
    for bad in (LABEL + 1, LABEL - 1):
        with pytest.raises(ValueError, match=r"^label must lie in -1..2, got "):
            call(bad)


@pytest.mark.parametrize("net", [MLP(2, 8, 1), UNet(4, 2, width=8, multipliers=(1,))])
def test_a_network_names_an_argument_of_another_type(net):
    """float64 points, which NumPy gives, are named; a network of that type takes them."""
    x = torch.randn(3, *((2,) if isinstance(net, MLP) else (2, 4, 4)))
    good, zero, one = x.clone(), torch.zeros(3), torch.ones(3)
    with pytest.raises(ValueError, match=r"x must be torch.float32, as the network's weights are; got torch.float64"):
        FlowMap(net).sample(x.double(), 1)
    for name, call in {
        "x": lambda bad: net(zero, one, bad),
        "s": lambda bad: net(bad, one, good),
        "t": lambda bad: net(zero, bad, good),
    }.items():
        for bad in (x.double(), x.half(), x.numpy(), x[..., :1], None, 0.5, zero.double(), zero.numpy(), zero[:2]):
            refused(name, lambda bad=bad, call=call: call(bad), str(bad))
    again = FlowMap(net.double())
    assert again.sample(x.double(), 1).dtype == torch.float64
    net.float()


# --- data of one's own -----------------------------------------------------------------------------


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def test_samples_and_labels_may_be_arrays_of_any_kind():
    """The one place that takes NumPy arrays: byte orders, strides, read-only memory, whole numbers of any type."""
    x, y = ANY.numpy(), np.arange(40) % 3
    wanted = FromTensor(ANY.float(), torch.from_numpy(y))
    strided = (x[::-1].copy()[::-1], np.asfortranarray(x), ANY.T.clone().T)
    for form in (x, *strided, x.astype(">f8"), read_only(x), np.ma.array(x), ANY):
        found = FromTensor(form, y)
        assert torch.equal(found.train, wanted.train)
        assert found.train.dtype == torch.float32
    kinds = [y.astype(kind) for kind in ("u1", "u2", "u4", "u8", "i1", ">i4", "f4", "f8", "f2")]
    labels = torch.from_numpy(y)
    for form in (*kinds, read_only(y), y[::-1].copy()[::-1], y.tolist(), labels.int(), labels.half()):
        found = FromTensor(x, form)
        assert found.train_labels is not None
        assert torch.equal(found.train_labels, wanted.train_labels)
        assert found.train_labels.dtype == torch.int64
    masked = np.ma.masked_greater(x, 1)
    for form in (x.astype(str), x.astype(object), x.astype(np.longdouble), masked, x.astype("u2"), x.tolist()):
        with pytest.raises(ValueError, match=r"^x must .*got "):
            FromTensor(form)
    with pytest.raises(ValueError, match=r"^x must be finite; 80 of 80 entries are not"):
        FromTensor(x * 1e200)  # beyond float32
    ragged, other = [[0], [0, 1]] * 20, (y.astype(str), y.astype(object), [None] * 40, "text")
    for form in (*other, ragged, y + 0.5, y - 1, y * np.nan, y * 1j, labels * 1j, y[:9], y[:, None]):
        with pytest.raises(ValueError, match=r"^labels must .*got "):
            FromTensor(x, form)
