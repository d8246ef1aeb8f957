"""The interpolant I_t = a x0 + b x1: its end points, its derivative, its variance, its errors."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import jvp

from flowmap_edu.interpolant import Interpolant, Linear, Trigonometric, per_sample

PATHS = [Linear(), Trigonometric()]
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)

shapes = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
)
dtypes = st.sampled_from([torch.float32, torch.float64])
seeds = st.integers(0, 2**31)


def draw(shape, dtype, seed):
    """x0, x1 of that shape and times inside (0.1, 0.9), one a sample."""
    g = torch.Generator().manual_seed(seed)
    x0, x1 = torch.randn(2, *shape, generator=g, dtype=torch.float64).to(dtype)
    return x0, x1, (0.1 + 0.8 * torch.rand(shape[0], generator=g, dtype=torch.float64)).to(dtype)


@every_path
@given(shape=shapes, dtype=dtypes, seed=seeds)
def test_the_path_runs_from_x0_to_x1(path: Interpolant, shape, dtype, seed):
    """I_0 = x0 and I_1 = x1, to rounding, with the dtype kept."""
    x0, x1, _ = draw(shape, dtype, seed)
    start, end = path(0.0, x0, x1)[0], path(1.0, x0, x1)[0]
    assert start.dtype == end.dtype == dtype
    rounding = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(start, x0, rtol=rounding, atol=rounding)
    torch.testing.assert_close(end, x1, rtol=rounding, atol=rounding)


@every_path
@given(shape=shapes, seed=seeds)
def test_the_second_output_is_the_time_derivative(path: Interpolant, shape, seed):
    """dI_t is the central difference of I_t up to O(h^2), and its forward-mode derivative to rounding."""
    x0, x1, t = draw(shape, torch.float64, seed)
    h = 1e-5
    difference = (path(t + h, x0, x1)[0] - path(t - h, x0, x1)[0]) / (2 * h)
    value, derivative = jvp(lambda t: path(t, x0, x1)[0], (t,), (torch.ones_like(t),))
    I_t, dI_t = path(t, x0, x1)
    torch.testing.assert_close(dI_t, difference, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(dI_t, derivative, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(I_t, value, rtol=0, atol=0)


@every_path
@given(shape=shapes, seed=seeds)
def test_float32_is_float64_rounded(path: Interpolant, shape, seed):
    """Both outputs in float32 agree with those in float64 to single precision."""
    x0, x1, t = draw(shape, torch.float32, seed)
    for single, double in zip(path(t, x0, x1), path(t.double(), x0.double(), x1.double()), strict=True):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


@every_path
def test_every_sample_has_its_own_time(path: Interpolant):
    """A batch of times gives what the samples give one at a time, for points and for images."""
    for shape in ((5, 2), (5, 3, 2, 4)):
        x0, x1, t = draw(shape, torch.float64, 3)
        for whole, alone in zip(
            path(t, x0, x1), zip(*(path(float(t[i]), x0[i : i + 1], x1[i : i + 1]) for i in range(5)), strict=True),
            strict=True,
        ):  # fmt: skip
            torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-15, atol=1e-15)


def test_linear_has_constant_velocity():
    """I_t = (1 - t) x0 + t x1 by hand, and dI_t = x1 - x0 at every time."""
    x0, x1, t = draw((7, 2), torch.float64, 1)
    I_t, dI_t = Linear()(t, x0, x1)
    torch.testing.assert_close(I_t, x0 + t[:, None] * (x1 - x0), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(dI_t, x1 - x0, rtol=0, atol=0)


@given(t=st.floats(0, 1))
def test_trigonometric_stays_on_the_circle(t):
    """a^2 + b^2 = 1, and the acceleration is -(pi/2)^2 times the position: uniform motion on a circle."""
    times = torch.tensor([t], dtype=torch.float64)
    a, b, da, db = (c.item() for c in Trigonometric().coefficients(times))
    assert a**2 + b**2 == pytest.approx(1, abs=1e-14)
    assert da**2 + db**2 == pytest.approx((math.pi / 2) ** 2, abs=1e-13)
    one = torch.ones_like(times)
    for k in (0, 1):
        second = jvp(lambda t, k=k: Trigonometric().coefficients(t)[2 + k], (times,), (one,))[1].item()
        assert second == pytest.approx(-((math.pi / 2) ** 2) * (a, b)[k], abs=1e-13)


def test_per_sample_broadcasts_over_a_sample():
    """per_sample(t, x) * x scales sample i by t_i, as a loop does."""
    x, t = torch.randn(4, 2, 3, 5), torch.rand(4)
    torch.testing.assert_close(per_sample(t, x) * x, torch.stack([float(t[i]) * x[i] for i in range(4)]))


@pytest.mark.parametrize(
    ("t", "x0", "x1", "says"),
    [
        (0.5, torch.zeros(3, 2), torch.zeros(3, 1), r"x0 and x1 .* \(3, 2\) and \(3, 1\)"),
        (0.5, torch.zeros(3), torch.zeros(3), r"x0 .*\(B, \*D\), got \(3,\)"),
        (0.5, torch.zeros(3, 2, dtype=torch.long), torch.zeros(3, 2), r"x0 .*floating-point.*int64"),
        (1.5, torch.zeros(3, 2), torch.zeros(3, 2), r"t must lie in \[0, 1\], got 1.5"),
        (float("nan"), torch.zeros(3, 2), torch.zeros(3, 2), r"t must lie in \[0, 1\], got nan"),
        (torch.tensor([0.0, -0.1, 1.0]), torch.zeros(3, 2), torch.zeros(3, 2), r"t must lie in \[0, 1\].*-0.1"),
        (torch.tensor([0.0, float("nan"), 1.0]), torch.zeros(3, 2), torch.zeros(3, 2), r"\[0, 1\].*nan"),
        (torch.zeros(2), torch.zeros(3, 2), torch.zeros(3, 2), r"t must .*\(3,\).* got shape \(2,\)"),
        (torch.zeros(3, 1), torch.zeros(3, 2), torch.zeros(3, 2), r"t must .*\(3,\).* got shape \(3, 1\)"),
    ],
)
def test_a_bad_argument_is_named(t, x0, x1, says):
    """A wrong shape, dtype or time raises ValueError with what came and what was wanted."""
    with pytest.raises(ValueError, match=says):
        Linear()(t, x0, x1)
