"""Why the Eulerian loss diverges under its usual stop-gradient, and does not under another.

Take the velocity as known and constant, b, and an error in v that is one wave, exp(i (k x + w s)). With d = t - s the
Eulerian residual of that error is its multiple (-1 + i d w) + i d k b: the first part is d/ds X, the second grad X . b.
Gradient descent multiplies the error by -lambda per unit of time, where lambda is conj(what keeps its gradient) times
the whole:

    "full"     lambda = 1 + d^2 w (w + k b) - i d k b      real part below zero for waves with d |k b| > 2, w ~ -k b / 2
    "convex"   lambda = 1 + d^2 (w + k b)^2                never below 1
    "semi"     lambda = 1 - i d (w + k b)                  real part 1 for every wave

So "full" amplifies fine waves: a smooth network cannot draw them and is stable, one with Fourier features is not.
"""

import math

import pytest
import torch

from flowmap_edu import FlowMap, losses

D = 0.5  # t - s


def growth(stopgrad: str, k: int, w: float, b: float) -> torch.Tensor:
    """Eigenvalues of the map (error's two amplitudes) -> (minus their rate of change) under the library's own loss."""
    n = 64
    x = torch.arange(n, dtype=torch.float64)[:, None] * (2 * math.pi / n)  # whole waves: cos and sin are orthogonal
    s = torch.full((n,), 0.3, dtype=torch.float64)

    def rate(amplitudes: torch.Tensor) -> torch.Tensor:
        theta = amplitudes.clone().requires_grad_()

        def v(s, t, x):  # noqa: ARG001
            phase = k * x + w * s[:, None]
            return b + theta[0] * phase.cos() + theta[1] * phase.sin()

        velocity = torch.full_like(x, b)
        loss = losses.eulerian(FlowMap(v), s, s + D, x, stopgrad=stopgrad, velocity=velocity).mean()
        return torch.autograd.grad(loss, theta)[0]

    return torch.linalg.eigvals(torch.stack([rate(e) for e in torch.eye(2, dtype=torch.float64)], dim=1))


@pytest.mark.parametrize(
    ("k", "w", "b"), [(1, 0.0, 1.0), (3, -2.0, 1.0), (8, -4.0, 1.0), (8, 4.0, 1.0), (12, 5.0, -0.8)]
)
def test_growth_rates_are_the_formulas(k, w, b):
    """The formulas, to rounding, from the library's loss on a network that is linear in two amplitudes."""
    expected = {
        "full": 1 + D**2 * w * (w + k * b),
        "convex": 1 + D**2 * (w + k * b) ** 2,
        "none": 1 + D**2 * (w + k * b) ** 2,  # with a given velocity there is nothing more to hold
        "semi": 1.0,
    }
    for stopgrad, real in expected.items():
        found = growth(stopgrad, k, w, b)
        assert found.real.mean().item() == pytest.approx(real, rel=1e-9, abs=1e-9)
    assert growth("full", k, w, b).imag.abs().max().item() == pytest.approx(D * abs(k * b), rel=1e-9)
    assert growth("semi", k, w, b).imag.abs().max().item() == pytest.approx(D * abs(w + k * b), rel=1e-9, abs=1e-9)


def test_full_amplifies_fine_waves_and_the_others_none():
    """The sign changes at d |k b| = 2, at the wave w = -k b / 2, and only under "full"."""
    for k in (1, 2, 3, 5, 8, 12):
        assert bool((growth("full", k, -k / 2, 1.0).real < 0).all()) == (D * k > 2)
        assert bool((growth("convex", k, -k / 2, 1.0).real >= 1).all())
        assert torch.allclose(growth("semi", k, -k / 2, 1.0).real, torch.ones(2, dtype=torch.float64))
