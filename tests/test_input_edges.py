"""The edges of what is taken: rounding at the ends of time, far points, paths that do not exist, no images."""

import math
import time
import warnings
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import flowmap_edu
from flowmap_edu import METHODS, losses, methods, metrics, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import classifier, inception, memorising
from flowmap_edu.metrics import images as image_metrics
from flowmap_edu.nets import UNet
from flowmap_edu.problems import Checkerboard, Gaussian, GaussianMixture

BOARD = Checkerboard()
MIXTURE = GaussianMixture(torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), 0.3, sigma=0.8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the ends of time ------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 1000))
def test_equal_jumps_end_where_they_must(a, b, steps):
    s, t = min(a, b), max(a, b)
    ends = times.equal(s, t, steps)
    assert len(ends) == steps + 1
    assert (ends[0], ends[-1]) == (s, t)
    assert all(x <= y for x, y in pairwise(ends))
    for k, end in enumerate(ends):
        assert abs(end - (s + (t - s) * k / steps)) < 3e-16


def test_jumps_whose_sum_rounds_above_1_have_their_error():
    """The last of s + (t - s) (k + 1) / 3 is 1 + 2e-16 for s = 0.059. A Gaussian's map has no error but rounding's."""
    assert 0.059 + (1.0 - 0.059) * 3 / 3 > 1
    gaussian = Gaussian(0.3, 0.5)
    for s in (0.059, 0.1, 0.7):
        assert metrics.map_error(FlowMap(gaussian.v), gaussian, s=s, t=1.0, steps=3, n=64) < 1e-6
    X = flowmap_edu.load("checkerboard-lsd")
    found = [metrics.map_error(X, BOARD, s=s, t=1.0, steps=3, n=64) for s in (0.059, 0.059 + 1e-9)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[0] < 0.1


def test_a_middle_time_never_leaves_its_ends(monkeypatch):
    """h s + (1 - h) t rounds past t where s is very near; the losses would refuse the whole batch for that."""
    t = torch.rand(1000, generator=seeded())
    h = torch.rand(1000, generator=seeded(1))
    monkeypatch.setattr(times, "triangle", lambda *_, **__: (t, t))
    assert bool((h * t + (1 - h) * t > t).any())
    assert torch.equal(times.draw(METHODS["psd-u"], 1000, generator=seeded(1))[1], t)
    monkeypatch.undo()
    s, u, end = times.draw(METHODS["psd-u"], 100_000, generator=seeded())
    generator = seeded()
    assert torch.equal(torch.stack(times.triangle(100_000, generator=generator)), torch.stack([s, end]))
    h = torch.rand(100_000, generator=generator)
    assert torch.equal(u, (h * s + (1 - h) * end).clamp(s, end))


@pytest.mark.parametrize("bad", [{"n": -1}, {"n": 2.0}, {"n": np.array(3)}, {"levels": 0}, {"levels": 8}])
def test_draw_names_what_it_does_not_take(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be .*got"):
        times.draw(METHODS["pd"], **{"n": 3} | bad)


@pytest.mark.parametrize("name", ["ct-discrete", "cd-discrete"])
def test_discrete_consistency_losses_vanish_where_the_two_points_meet(name, float64):  # noqa: ARG001
    """The weighted loss is of the order of u - s, and 0 at u = s, at s = t = 1 too; so is its gradient."""
    factor = torch.tensor(0.7, requires_grad=True)
    gaussian = Gaussian(0.5, 0.6)
    X = FlowMap(lambda s, t, x: factor * gaussian.v(s, t, x))
    x, s, one = gaussian.sample(6, seeded())[0], torch.linspace(0, 1, 6), torch.ones(6)
    found = []
    for gap in (0.0, 1e-5, 1e-6):
        u = (s + gap).clamp(max=1)
        batch = losses.Batch(losses.Diagonal(s[:0], x[:0], x[:0]), losses.Jumps(s, u, one, x, -x))
        loss = methods.loss(X, batch, METHODS[name], teacher=FlowMap(gaussian.v))
        found.append(loss.detach())
        (gradient,) = torch.autograd.grad(loss.sum(), factor)
        assert torch.isfinite(gradient)
        assert (gradient == 0) == (gap == 0)
    assert torch.equal(found[0], torch.zeros(6))
    assert bool((found[1][:5] > 0).all())
    torch.testing.assert_close(found[1] / 10, found[2], rtol=2e-3, atol=0)


# --- far points, and paths that do not exist -------------------------------------------------------


def by_many_digits(t: float, x: Tensor) -> list[float]:
    """The checkerboard's velocity at one point, from truncated normals in 80 digits."""
    with mpmath.workdps(80):
        t, sigma = mpmath.mpf(t), 1 / mpmath.sqrt(3)

        def parity(x: mpmath.mpf, odd: int) -> tuple[mpmath.mpf, mpmath.mpf]:
            mass = first = mpmath.mpf(0)
            for cell in (odd, odd + 2):
                high, low = ((x - t * (mpmath.mpf(k) / 2 - 1)) / ((1 - t) * sigma) for k in (cell, cell + 1))
                sign = 1 if high + low > 0 else -1
                tail = [mpmath.erfc(sign * z / mpmath.sqrt(2)) / 2 for z in (low, high)]
                mass += sign * (tail[0] - tail[1])
                first += mpmath.npdf(low) - mpmath.npdf(high)
            return mass, (x - sigma * first / mass) / t

        axes = [[parity(mpmath.mpf(z), odd) for z in x.tolist()] for odd in (0, 1)]
        weight = [a[0][0] * a[1][0] for a in axes]
        return [float(sum(w * a[k][1] for w, a in zip(weight, axes, strict=True)) / sum(weight)) for k in (0, 1)]


@pytest.mark.parametrize("t", [0.02, 0.099, 0.5, 0.95])
def test_the_boards_velocity_is_right_as_far_as_it_goes(t):
    """At 1 to 10^6 from the middle, early and late, against 80 digits."""
    for far in (1.0, 10.0, 30.0, 1e3, 1e6):
        x = far * torch.tensor([[0.7, 0.3], [-0.2, 0.9], [1.0, -1.0], [0.6, -0.61]], dtype=torch.float64)
        wanted = torch.tensor([by_many_digits(t, point) for point in x], dtype=torch.float64)
        torch.testing.assert_close(BOARD.velocity(t, x), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("problem", [BOARD, MIXTURE, Gaussian(1.0, 0.5)])
def test_points_beyond_the_range_are_refused_with_the_range(problem):
    for far in (1e16, 1e200, 1.000001e6):
        for f in (problem.velocity, problem.log_density, lambda t, x: problem.flow_map(0.0, t, x)):
            with pytest.raises(ValueError, match=r"x must lie in \[-1e\+06, 1e\+06\], got values in \[0, "):
                f(0.5, torch.tensor([[0.0, far]], dtype=torch.float64))
    edge = torch.tensor([[1e6, -1e6]], dtype=torch.float64)
    assert torch.isfinite(problem.flow_map(0.0, 1.0, edge)).all()
    back = problem.flow_map(0.5, 0.0, problem.flow_map(0.0, 0.5, edge) / 2)
    assert torch.isfinite(back).all()


def test_a_path_that_does_not_exist_is_refused_with_the_reason():
    """Off the squares nothing arrives: at s = 1 the solve never ended, at s = 0.999 it took 2,612 steps."""
    off = torch.tensor([[-0.25, -0.75], [0.3, 0.3], [0.25, 0.75]], dtype=torch.float64)  # the second lies in a square
    for s in (1.0, 0.999):
        start = time.monotonic()
        with pytest.raises(
            ValueError, match=r"not found in 500 steps for 2 of 3 points x: .* off the squares .* s = 1"
        ):
            BOARD.flow_map(s, 0.5, off)
        assert time.monotonic() - start < 60
    inside = BOARD.sample(50, seeded(), torch.float64)[0]
    for s in (1.0, 0.999):
        back = BOARD.flow_map(s, 0.2, inside * 0.999)
        torch.testing.assert_close(BOARD.flow_map(0.2, s, back), inside * 0.999, rtol=0, atol=1e-6)


def test_constructors_name_what_is_no_number():
    for make, name in (
        (lambda v: Gaussian(v), "mean"),
        (lambda v: Gaussian(std=v), "std"),
        (lambda v: Gaussian(sigma=v), "sigma"),
        (lambda v: GaussianMixture(v, 1.0), "means"),
        (lambda v: GaussianMixture(torch.zeros(2, 2), v), "stds"),
        (lambda v: GaussianMixture(torch.zeros(2, 2), 1.0, v), "weights"),
    ):
        for bad in ("text", object(), [[1.0], [1.0, 2.0]], math.nan):
            with pytest.raises(ValueError, match=f"^{name} must .*got|^{name} must be finite"):
                make(bad)
    one, two = np.array([[1.0, 0.0], [-1.0, 0.5]]), [[1.0, 0.0], [-1.0, 0.5]]
    x = torch.zeros(1, 2)
    assert torch.equal(
        GaussianMixture(one, np.array([0.3, 0.2])).velocity(0.5, x), GaussianMixture(two, [0.3, 0.2]).velocity(0.5, x)
    )


# --- images ----------------------------------------------------------------------------------------


class Pixels(nn.Module):
    """The pixels of a 1 x 8 x 8 image are its features."""

    num_features = 64

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


IMAGES = 2 * torch.rand(12, 1, 8, 8, generator=seeded(3)) - 1
SECOND = 2 * torch.rand(14, 1, 8, 8, generator=seeded(4)) - 1
METRICS = {
    "frechet": lambda x, y, net: image_metrics.frechet(net, x, y),
    "kid": lambda x, y, net: image_metrics.kid(net, x, y, subsets=3).mean,
    "Reference": lambda x, y, net: image_metrics.Reference(net, [y]).hold([x]).frechet(),
}
NO_IMAGES = {
    "bytes": (image_metrics.as_bytes(IMAGES), r"floating-point.*got \(12, 1, 8, 8\) torch.uint8"),
    "0 to 255": (255 * (IMAGES + 1) / 2, r"lie in \[-1, 1\], got values in \[0\.\d+, 25\d\.\d+\]"),
    "a little too bright": (IMAGES + 0.1, r"lie in \[-1, 1\], got values in"),
    "half precision": (IMAGES.half(), "float32 or float64.*got .*float16"),
    "a nan": (torch.where(IMAGES > 0.99, torch.nan, IMAGES), r"finite; \d+ of 768 entries are not"),
    "infinite": (torch.where(IMAGES > 0.99, torch.inf, IMAGES), r"finite; \d+ of 768 entries are not"),
    "an array": (IMAGES.numpy(), "got ndarray"),
    "one image": (IMAGES[0], r"got \(1, 8, 8\)"),
    "whole numbers": (IMAGES.long(), "got .*int64"),
}


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_refuses_what_is_no_image(metric):
    """As either set, whatever the features; a [0, 255] scale scored millions, a nan gave a plausible KID."""
    f = METRICS[metric]
    for net in (Pixels(), classifier.load()):
        assert math.isfinite(f(IMAGES, SECOND, net))
        for bad, message in NO_IMAGES.values():
            for call in (lambda bad=bad, net=net: f(bad, SECOND, net), lambda bad=bad, net=net: f(SECOND, bad, net)):
                with pytest.raises(ValueError, match=f"(images|first|second) must (be|lie).*{message[3:]}"):
                    call()


def test_the_features_networks_refuse_it_too():
    net = classifier.load()
    for bad, message in NO_IMAGES.values():
        with pytest.raises(ValueError, match=f"images must .*{message[3:]}"):
            net.read(bad)
        with pytest.raises(ValueError, match=f"images must .*{message[3:]}"):
            inception.Inception(nn.Identity())(bad)
    for bad in (IMAGES.double(), IMAGES.half(), IMAGES.numpy(), IMAGES[0]):
        with pytest.raises(ValueError, match=r"images must have shape \(B, 1, 8, 8\), got .*; torch.float32 is wanted"):
            net(bad)
    for bad in (IMAGES, IMAGES.numpy(), [0, 255]):
        with pytest.raises(ValueError, match="pixels must be a tensor of uint8, got"):
            image_metrics.from_bytes(bad)
    for bad in (image_metrics.as_bytes(IMAGES), IMAGES.numpy()):
        with pytest.raises(ValueError, match="the images must be a floating-point tensor, got"):
            image_metrics.as_bytes(bad)

    class Broken(Pixels):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) / 0

    with pytest.raises(ValueError, match="what Broken gives must be finite"):
        image_metrics.frechet(Broken(), IMAGES, SECOND)


def test_images_of_any_layout_have_one_score():
    last = IMAGES.contiguous(memory_format=torch.channels_last)
    wide = torch.stack([IMAGES, -IMAGES], dim=4)[..., 0]
    net = UNet(8, 1, width=8, multipliers=(1,))
    nn.init.constant_(net.gain, 0.5)
    X = FlowMap(net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for f in METRICS.values():
            wanted = f(IMAGES, SECOND, Pixels())
            for x in (last, wide, IMAGES.clone().requires_grad_()):
                assert f(x, SECOND, Pixels()) == wanted
            assert f(IMAGES.double(), SECOND.double(), Pixels()) == pytest.approx(wanted, rel=1e-3, abs=1e-6)
    for f in (lambda x: X.partial_t(0.1, 0.6, x)[1], lambda x: X.eulerian(0.1, 0.6, x, x)[1], lambda x: X.sample(x, 2)):
        for x in (last, wide):
            torch.testing.assert_close(f(x), f(IMAGES), rtol=1e-3, atol=1e-5)
        one = IMAGES[:1].expand(5, -1, -1, -1)
        torch.testing.assert_close(f(one), f(one.contiguous()), rtol=1e-3, atol=1e-5)


def test_memorising_names_what_does_not_fit():
    train, held = IMAGES[:6], IMAGES[6:9]
    for name, sets in (
        ("samples", lambda bad: (bad, train, held)),
        ("train", lambda bad: (SECOND, bad, held)),
        ("held_out", lambda bad: (SECOND, train, bad)),
    ):
        nan = torch.where(train > 0.9, torch.nan, train)
        for bad in (train.numpy(), train.half(), train[:0], nan, train[..., 1:], None):
            for f in (memorising.memorised, memorising.copies):
                named = (
                    "train|held_out" if name == "samples" and isinstance(bad, Tensor) and bad.shape[-1] == 7 else name
                )
                with pytest.raises(ValueError, match=rf"^({named}) must "):
                    f(*sets(bad))
