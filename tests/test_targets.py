"""The stable target field: brute-force Bayes, the exact velocities it tends to, less variance and no bias."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from flowmap_edu import problems, times
from flowmap_edu.interpolant import Linear, Trigonometric
from flowmap_edu.training import targets

pytestmark = pytest.mark.usefixtures("float64")
PATHS = [Linear(), Trigonometric()]
every_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)


def by_bayes(path, t: float, x: np.ndarray, data: np.ndarray, sigma: float) -> np.ndarray:
    """E[dI_t | I_t = x] for x1 uniform on `data`: a loop over the data with SciPy's normal density."""
    a, b, da, db = (float(c) for c in path.coefficients(torch.tensor(t)))
    weights, values = [], []
    for y in data:
        noise = (x - b * y) / a  # the x0 that joins y to x
        weights.append(multivariate_normal.pdf(x, mean=b * y, cov=(a * sigma) ** 2))
        values.append(da * noise + db * y)
    return np.average(values, axis=0, weights=weights)


@every_path
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_it_is_the_conditional_mean_over_the_data(path, dim):
    """Averaged over the whole finite data set it is the posterior mean of dI_t, by brute force."""
    sigma, data = 0.7, torch.randn(40, dim)
    t = torch.tensor([0.0, 0.05, 0.3, 0.5, 0.7, 0.9, 0.97])
    x1, x0 = data[: len(t)], sigma * torch.randn(len(t), dim)
    x, dI = path(t, x0, x1)
    found = targets.stable(path, t, x, dI, data, sigma)
    for i, time in enumerate(t.tolist()):
        wanted = by_bayes(path, time, x[i].numpy(), data.numpy(), sigma)
        np.testing.assert_allclose(found[i], wanted, rtol=1e-9, atol=1e-10)


@every_path
def test_one_data_point_leaves_nothing_to_average(path):
    """If the data is a single point y, the noise is known from x, and the target is dI_t itself."""
    y, sigma = torch.tensor([[0.4, -1.2]]), 0.8
    t, x0 = 0.97 * torch.rand(16), sigma * torch.randn(16, 2)
    x, dI = path(t, x0, y.expand(16, 2))
    torch.testing.assert_close(targets.stable(path, t, x, 0 * dI, y, sigma), dI, rtol=1e-10, atol=1e-10)


def test_a_mixture_of_narrow_gaussians_has_this_velocity():
    """problems.GaussianMixture with stds 1e-6 at the data points has the same velocity, an independent formula."""
    data, sigma = torch.randn(30, 2), 0.9
    t = torch.linspace(0, 0.95, 12)
    x1, x0 = data[:12], sigma * torch.randn(12, 2)
    x, dI = Linear()(t, x0, x1)
    found = targets.stable(Linear(), t, x, dI, data, sigma)
    wanted = problems.GaussianMixture(data, 1e-6, sigma=sigma).velocity(t, x)
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-7)


def test_many_data_points_give_the_checkerboards_velocity():
    """From K draws of the board the error to the exact b_t falls as 1/sqrt(K) (fitted), to below 1 % of |b|."""
    board = problems.Checkerboard()
    t = 0.1 + 0.6 * torch.rand(32)
    x = (1 - t[:, None]) * board.sigma * torch.randn(32, 2) + t[:, None] * board.sample(32)[0]
    b = board.velocity(t, x)
    sizes = [4000, 32_000, 256_000]
    errors = [
        np.mean([
            float((targets.stable(Linear(), t, x, b, board.sample(k)[0], board.sigma) - b).square().mean())
            for _ in range(3)
        ]) ** 0.5
        for k in sizes
    ]  # fmt: skip
    assert np.polyfit(np.log(sizes), np.log(errors), 1)[0] == pytest.approx(-0.5, abs=0.1)
    assert errors[-1] < 0.01 * float(b.square().mean()) ** 0.5


@every_path
def test_many_data_points_give_the_gaussian_velocity_on_both_paths(path):
    """For N(m, c^2) data: b_t(x) = b' m + (a a' sigma^2 + b b' c^2) / (a^2 sigma^2 + b^2 c^2) (x - b m)."""
    m, c, sigma, k = torch.tensor([0.6, -0.2]), 0.5, 1.1, 200_000
    t = 0.05 + 0.7 * torch.rand(32)
    a, b, da, db = (coefficient[:, None] for coefficient in path.coefficients(t))
    x = b * m + torch.sqrt(a**2 * sigma**2 + b**2 * c**2) * torch.randn(32, 2)
    gain = (a * da * sigma**2 + b * db * c**2) / (a**2 * sigma**2 + b**2 * c**2)
    wanted = db * m + gain * (x - b * m)
    found = targets.stable(path, t, x, 0 * x, m + c * torch.randn(k, 2), sigma)
    assert (found - wanted).square().mean().sqrt() < 0.01
    assert (found - wanted).abs().max() < 0.1


def test_less_variance_and_no_bias():
    """E |dI - b|^2 = E |dI - target|^2 + E |target - b|^2: the target is the mean of dI given the data points and x.

    The last term, the noise that is left, is much smaller than the first; and the target's mean against
    any function of x is that of dI (here x itself and 1): the same minimiser.
    """
    board, k, batch = problems.Checkerboard(), 256, 64
    before, between, after, bias = [], [], [], []
    for _ in range(150):
        t = 0.98 * times.uniform(batch)
        data = board.sample(k)[0]
        x1, x0 = data[:batch], board.sigma * torch.randn(batch, 2)
        x, dI = Linear()(t, x0, x1)
        target, b = targets.stable(Linear(), t, x, dI, data, board.sigma), board.velocity(t, x)
        for values, gap in ((before, dI - b), (between, dI - target), (after, target - b)):
            values.append(gap.square().sum(1).mean())
        bias.append(torch.cat([(target - dI).mean(0), ((target - dI) * x).mean(0)]))
    before, between, after, bias = (torch.stack(values) for values in (before, between, after, bias))
    gap = before - between - after
    assert abs(gap.mean()) < 4 * gap.std() / math.sqrt(len(gap))
    assert (bias.mean(0).abs() < 4 * bias.std(0) / math.sqrt(len(bias))).all()
    assert after.mean() < before.mean() / 4


@every_path
def test_late_times_keep_their_own_target(path):
    """Where t > below the sample's own dI_t comes back, bit for bit, also at t = 1 where a(t) = 0."""
    t = torch.tensor([0.2, 0.979, 0.981, 1.0])
    data = torch.randn(20, 2)
    x, own = torch.randn(4, 2), torch.randn(4, 2)
    found = targets.stable(path, t, x, own, data, 1.0)
    assert torch.equal(found[2:], own[2:])
    assert not torch.isclose(found[:2], own[:2]).any()
    lower = targets.stable(path, t, x, own, data, 1.0, below=0.5)
    assert torch.equal(lower[1:], own[1:])
    assert torch.equal(lower[0], found[0])


@every_path
def test_single_precision_is_enough_where_it_is_used(path):
    """In float32 the target agrees with float64 to 1e-3 up to t = below, where the weights are sharpest."""
    data, sigma = problems.Checkerboard().sample(1000)[0], problems.Checkerboard.sigma
    t = torch.linspace(0, 0.98, 200)
    x, dI = path(t, sigma * torch.randn(200, 2), data[:200])
    double = targets.stable(path, t, x, dI, data, sigma)
    single = targets.stable(path, t.float(), x.float(), dI.float(), data.float(), sigma)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)
