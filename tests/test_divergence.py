"""The divergence by random probes: exact where it must be, unbiased elsewhere, with the standard error that it says."""

import math

import pytest
import torch

from flowmap_edu import FlowMap, divergence, nets, problems
from flowmap_edu.divergence import carry, density_by_trace

GAUSSIAN = problems.Gaussian(torch.tensor([0.3, -0.2, 0.5]), 0.6, 0.8)
MEANS = torch.tensor([[-0.5, 0.2, 0.0, 0.3, -0.2, 0.1], [0.5, -0.3, 0.2, 0.0, 0.1, -0.4]])
MIXTURE = problems.GaussianMixture(MEANS, torch.tensor([0.6, 0.5]), sigma=0.7)
MANY = 2000


def noise(problem, n: int, seed: int = 0) -> torch.Tensor:
    """n draws of the base, float64."""
    return problem.base(n, torch.Generator().manual_seed(seed)).double()


def linear(A: torch.Tensor) -> FlowMap:
    """A map whose velocity is A x at all times."""
    return FlowMap(lambda s, t, x: (x.flatten(1) @ A.T).reshape(x.shape))  # noqa: ARG005


def test_the_density_of_a_gaussian_is_exact():
    """The gradient of its velocity is a multiple of the identity, where every probe gives the trace: two ways."""
    X, x0 = FlowMap(GAUSSIAN.v), noise(GAUSSIAN, 50)
    x, log_det = carry(X, 0.0, 1.0, x0, 80, probes=2)
    assert (x - GAUSSIAN.flow_map(0.0, 1.0, x0)).abs().max() < 1e-8
    assert (log_det.value - 3 * math.log(0.6 / 0.8)).abs().max() < 1e-8
    assert log_det.error.max() < 1e-12
    log_q, error = density_by_trace(X, x, 80, GAUSSIAN.sigma, probes=2)
    assert (log_q - GAUSSIAN.log_density(1.0, x)).abs().max() < 1e-8
    assert error.max() < 1e-12


def test_a_gaussian_in_more_dimensions_than_a_determinant_takes():
    """100 coordinates."""
    wide = problems.Gaussian(0.2, 0.5, dim=100)
    x = wide.sample(4, torch.Generator().manual_seed(0))[0].double()
    log_q, _ = density_by_trace(FlowMap(wide.v), x, 60, wide.sigma, probes=2)
    assert (log_q - wide.log_density(1.0, x)).abs().max() < 1e-6


def test_the_estimate_is_unbiased_and_knows_its_error():
    """A full matrix: the mean of many probes, the variance by its formula, and the error by its own spread."""
    A = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = divergence.divergence(linear(A), 0.3, torch.zeros(1, 5, dtype=torch.float64), probes=MANY)
    off = (A + A.T) / 2 * (1 - torch.eye(5))
    assert abs(float(found.value) - float(A.trace())) < 4 * float(found.error)
    assert float(found.error) == pytest.approx(math.sqrt(2 * float(off.square().sum()) / MANY), rel=0.06)
    many = divergence.divergence(linear(A), 0.3, torch.zeros(5000, 5, dtype=torch.float64), probes=16)
    scaled = (many.value - A.trace()) / (2 * off.square().sum() / 16).sqrt()
    assert abs(float(scaled.mean())) < 4 / math.sqrt(5000)
    assert float(scaled.square().mean()) == pytest.approx(1.0, abs=0.1)
    assert float(many.error.square().mean()) == pytest.approx(2 * float(off.square().sum()) / 16, rel=0.1)


def test_the_trace_is_a_sum_of_finite_differences():
    """Of a network: the mean over all signs, which is the trace itself."""
    torch.manual_seed(1)
    net, d = nets.MLP(2, hidden=16).double(), 1e-5
    for p in net.parameters():
        p.data += 0.2 * torch.randn_like(p)
    X, x = FlowMap(net), torch.randn(4, 2, dtype=torch.float64)
    step = d * torch.eye(2, dtype=torch.float64)
    exact = sum(
        (X.velocity(0.3, x + step[k]) - X.velocity(0.3, x - step[k]))[:, k] / (2 * d) for k in range(2)
    ).detach()
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)  # the others change the sign of both
    found = divergence.traces(X, 0.3, x, signs[:, None].expand(2, 4, 2))[1].detach()
    assert (found.mean(0) - exact).abs().max() < 1e-7


def test_a_mixture_within_its_standard_error():
    """Given points, against the density by formula: right in the mean, and as far off as the error says."""
    x = MIXTURE.sample(100, torch.Generator().manual_seed(2))[0].double()
    X = FlowMap(lambda s, t, x: MIXTURE.velocity(t, x))  # noqa: ARG005
    log_q, error = density_by_trace(X, x, 16, MIXTURE.sigma, probes=12)
    off = log_q - MIXTURE.log_density(1.0, x)
    assert abs(float(off.mean())) < 4 * float(error.square().mean().sqrt()) / 10  # the mean of 100 points
    assert float(off.square().mean() / error.square().mean()) == pytest.approx(1.0, abs=0.5)


def test_there_and_back():
    """Images: the way back returns to the start, and shrinks by what the way there stretched, with the same probes."""
    A = torch.randn(4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x0 = torch.randn(3, 1, 2, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    there = carry(linear(A), 0.0, 1.0, x0, 60, probes=2)
    assert (there.x.flatten(1) - x0.flatten(1) @ torch.matrix_exp(A).T).abs().max() < 1e-5
    back = carry(linear(A), 1.0, 0.0, there.x, 60, probes=2)
    assert (back.x - x0).abs().max() < 1e-5
    assert (back.log_det.value + there.log_det.value).abs().max() < 1e-10


def test_the_steps_have_order_four():
    """Half the step, a sixteenth of the error."""
    X, x0 = FlowMap(GAUSSIAN.v), noise(GAUSSIAN, 20)
    errors = [
        (carry(X, 0.0, 1.0, x0, steps, probes=2).log_det.value - 3 * math.log(0.6 / 0.8)).abs().max().item()
        for steps in (20, 40)
    ]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.15)


X2, FEW = FlowMap(problems.Gaussian(0.0, 1.0).v), torch.zeros(2, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: divergence.divergence(X2, 0.5, FEW, probes=1), "probes must be at least 2"),
        (lambda: divergence.divergence(X2, 1.5, FEW), "t must lie in"),
        (lambda: divergence.divergence(X2, 0.5, FEW[0]), "x must be a floating-point tensor"),
        (lambda: carry(X2, 0.0, 1.0, FEW, 0), "steps must be"),
        (lambda: density_by_trace(X2, FEW / 0, 4, 1.0), "x must be finite"),
        (lambda: density_by_trace(X2, FEW, 4, 0.0), "sigma must be positive"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_error_of_a_determinant_names_this():
    """What to use in more than 64 dimensions is there."""
    from flowmap_edu.likelihood import jacobian

    with pytest.raises(ValueError, match=r"divergence\.density_by_trace"):
        jacobian(FlowMap(problems.Gaussian(0.0, 1.0, dim=65).v), 0.0, 1.0, torch.zeros(2, 65))


def test_only_public_names_show():
    assert dir(divergence) == sorted(divergence.__all__)
