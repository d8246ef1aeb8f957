"""Densities by change of variables: formulas, integrals that are one, finite differences; and where a map folds."""

import pytest
import torch

from flowmap_edu import FlowMap, likelihood, load, metrics, nets, problems
from flowmap_edu.likelihood import density_of, jacobian, sample_with_density

GAUSSIAN = problems.Gaussian(torch.tensor([0.3, -0.2, 0.5]), 0.6, 0.8)
LINE = problems.GaussianMixture(torch.tensor([[-0.8], [0.9]]), torch.tensor([0.35, 0.3]), sigma=0.7)
BOARD = problems.Checkerboard()


def noise(problem, n: int, seed: int = 0) -> torch.Tensor:
    """n draws of the base, float64."""
    return problem.base(n, torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("steps", [1, 5])
def test_the_density_of_a_gaussian_is_exact(steps):
    """Of samples and of given points, which come back to the noise they were made from."""
    X, x0 = FlowMap(GAUSSIAN.v), noise(GAUSSIAN, 50)
    x, log_q = sample_with_density(X, x0, steps, GAUSSIAN.sigma)
    assert (log_q - GAUSSIAN.log_density(1.0, x)).abs().max() < 1e-8
    given = density_of(X, x, steps, GAUSSIAN.sigma)
    assert given.found.all()
    assert (given.log_q - log_q).abs().max() < 1e-8
    assert (given.x0 - x0).abs().max() < 1e-8


def test_the_density_of_a_mixture_integrates_to_one():
    """On the line, by the trapezium rule, with the noise from the flow run backward; and it is the mixture's own."""
    x0 = LINE.flow_map(1.0, 0.0, torch.linspace(-3.0, 3.0, 161, dtype=torch.float64)[:, None], tolerance=1e-7)
    x, log_q = sample_with_density(FlowMap(lambda *given: LINE.v(*given, tolerance=1e-7)), x0, 1, LINE.sigma)
    assert abs(float(torch.trapezoid(log_q.exp(), x[:, 0])) - 1) < 1e-5
    assert (log_q - LINE.log_density(1.0, x)).abs().max() < 1e-4


def test_the_density_of_given_points_integrates_to_one():
    """A map with a slope from 0.1 to 1.9, over the line; Newton's iteration finds every point."""
    X = FlowMap(lambda *given: 0.9 * torch.sin(given[-1]))
    x = torch.linspace(-7.0, 7.0, 4001, dtype=torch.float64)[:, None]
    found = density_of(X, x, 1, 0.8)
    assert found.found.all()
    assert (found.x0 + 0.9 * torch.sin(found.x0) - x).abs().max() < 1e-9
    assert abs(float(torch.trapezoid(found.log_q.exp(), x[:, 0])) - 1) < 1e-5


def test_the_jacobian_is_a_finite_difference():
    """Of a network, for points and for images, with a different time a sample."""
    torch.manual_seed(1)
    net, d = nets.MLP(3, hidden=16).double(), 1e-5
    for p in net.parameters():
        p.data += 0.2 * torch.randn_like(p)
    X, x = FlowMap(net), torch.randn(4, 3, dtype=torch.float64)
    s, t = torch.rand(4, dtype=torch.float64) / 2, 1.0
    landed, J = jacobian(X, s, t, x)
    assert (landed - X(s, t, x)).abs().max() < 1e-14
    for k in range(3):
        step = d * torch.eye(3, dtype=torch.float64)[k]
        assert (J[:, :, k] - (X(s, t, x + step) - X(s, t, x - step)) / (2 * d)).abs().max() < 1e-8
    A = torch.randn(4, 4, dtype=torch.float64)
    picture = FlowMap(lambda *given: (given[-1].flatten(1) @ A.T).reshape(given[-1].shape))
    _, J = jacobian(picture, 0.25, 0.75, torch.randn(5, 1, 2, 2, dtype=torch.float64))
    assert (J - torch.eye(4) - A / 2).abs().max() < 1e-12


def test_given_points_of_a_trained_map_come_back():
    """The shipped map: what is found lands on the point again, and has the density of the way there."""
    X, x0 = FlowMap(load("checkerboard-lsd").slope.double()), noise(BOARD, 200, 3)
    x, log_q = sample_with_density(X, x0, 4, BOARD.sigma)
    back = density_of(X, x, 4, BOARD.sigma)
    assert back.found.double().mean() > 0.9
    again, same = sample_with_density(X, back.x0[back.found], 4, BOARD.sigma)
    assert (again - x[back.found]).abs().max() < 1e-7  # a jump is inverted to 1e-10; the jumps after it stretch that
    assert (same - back.log_q[back.found]).abs().max() < 1e-5
    alike = back.found & ((back.x0 - x0).norm(dim=1) < 1e-3)
    assert alike.double().mean() > 0.9
    assert (back.log_q - log_q)[alike].abs().median() < 1e-8


# --- folding ------------------------------------------------------------------------------------------


def fold(s: torch.Tensor, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    """X_{0,1}(x) = (|x_1| - 1, x_2), smoothed: (sqrt(x_1^2 + 1e-8) - 1, x_2)."""
    first = (x[:, :1] ** 2 + 1e-8).sqrt() - 1 - x[:, :1]
    return torch.cat([first, torch.zeros_like(first)], 1)


def test_folding_is_the_share_of_turned_points():
    """A map that folds the left half over; the exact flows fold nowhere; the order of the trial on the shipped maps."""
    x0 = noise(BOARD, 2000)
    assert metrics.folding(FlowMap(fold), x0) == float((x0[:, 0] < 0).double().mean())
    assert metrics.folding(FlowMap(GAUSSIAN.v), noise(GAUSSIAN, 50), 3) == 0
    X = load("checkerboard-lsd")
    one, many = metrics.folding(X, x0.float(), 1), metrics.folding(X, x0.float(), 16)
    assert 0.01 < one < 0.04
    assert many < 0.01


def test_what_no_noise_reaches_is_not_found():
    """Left of the fold's edge there is no noise: NaN there, and no word of it in the others.

    At -0.5 the iteration ends on the side that is folded over, where the determinant is negative: not found either.
    """
    x = torch.tensor([[-1.5, 0.0], [0.5, 0.2], [-0.5, 0.0]], dtype=torch.float64)
    found = density_of(FlowMap(fold), x, 1, 1.0)
    assert found.found.tolist() == [False, True, False]
    assert found.log_q[[0, 2]].isnan().all()
    assert found.x0[[0, 2]].isnan().all()
    assert (found.x0[1] - torch.tensor([1.5, 0.2])).abs().max() < 1e-6


# --- what is refused ----------------------------------------------------------------------------------

X2, X65 = FlowMap(problems.Gaussian(0.0, 1.0).v), FlowMap(problems.Gaussian(0.0, 1.0, dim=65).v)
FEW, WIDE = torch.zeros(2, 2), torch.zeros(2, 65)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: jacobian(X65, 0.0, 1.0, WIDE), r"at most 64 coordinates, got 65\. Compare samples instead"),
        (lambda: sample_with_density(X65, WIDE, 1, 1.0), "at most 64 coordinates"),
        (lambda: density_of(X65, WIDE, 1, 1.0), "at most 64 coordinates"),
        (lambda: metrics.folding(X65, WIDE), "at most 64 coordinates"),
        (lambda: metrics.folding(X2, FEW[:0]), "at least one point"),
        (lambda: sample_with_density(X2, FEW, 0, 1.0), "steps must be"),
        (lambda: sample_with_density(X2, FEW, 1, 0.0), "sigma must be positive"),
        (lambda: sample_with_density(X2, FEW / 0, 1, 1.0), "x0 must be finite|x0 .* finite"),
        (lambda: density_of(X2, FEW, 1, 1.0, tolerance=0.0), "tolerance must be positive"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_only_public_names_show():
    assert dir(likelihood) == sorted(likelihood.__all__)
