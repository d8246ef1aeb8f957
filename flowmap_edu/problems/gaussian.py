"""A Gaussian: its velocity and its flow map are formulas."""

import math

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.problems.exact import ExactFlow, Time, float64, positive, standard_normal
from flowmap_edu.problems.ode import TOLERANCE
from flowmap_edu.problems.posterior import Components
from flowmap_edu.problems.truncated import log_normal


class Gaussian(ExactFlow):
    r"""Data N(m, c^2 I). I_t is N(m t, S(t)^2 I) with S(t)^2 = (1 - t)^2 sigma^2 + t^2 c^2, and

        X_{s,t}(x) = m t + S(t) / S(s) (x - m s).

    Args:
        mean: m, a number or shape (D,).
        std: c > 0.
        sigma: standard deviation of the base, > 0.
        dim: D; by default the length of `mean`, or 2 where that is a number.

    Raises:
        ValueError: if c or sigma is not positive, or mean has another shape than (D,).
    """

    def __init__(self, mean: Time = 0.0, std: float = 1.0, sigma: float = 1.0, dim: int | None = None):
        m = float64("mean", mean)
        self.dim = dim if dim is not None else 2 if m.ndim == 0 else len(m)
        self.dim = checks.count("dim", self.dim)
        if m.ndim > 1 or (m.ndim == 1 and m.shape != (self.dim,)):
            raise ValueError(f"mean must be a number or have shape ({self.dim},), got {tuple(m.shape)}")
        checks.finite("mean", m)
        self.mean, self.std, self.sigma = m.expand(self.dim), positive("std", std), positive("sigma", sigma)

    def sample(
        self, n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, None]:
        """m + c z, z ~ N(0, I), shape (n, dim)."""
        z = standard_normal(n, self.dim, generator)
        return (self.mean.to(z) + self.std * z).to(dtype or torch.get_default_dtype()), None

    def irreducible_loss(self) -> float:
        r"""dim int_0^1 sigma^2 c^2 / S(t)^2 dt = dim sigma c pi / 2."""
        return self.dim * self.sigma * self.std * math.pi / 2

    def spread(self, t: Tensor) -> Tensor:
        """S(t), shape (B, 1)."""
        return torch.sqrt((1 - t) ** 2 * self.sigma**2 + t**2 * self.std**2)[:, None]

    def _log_density(self, t: Tensor, x: Tensor) -> Tensor:
        S = self.spread(t)
        return log_normal((x - t[:, None] * self.mean.to(x)) / S).sum(-1) - self.dim * S[:, 0].log()

    def _velocity(self, t: Tensor, x: Tensor) -> Tensor:
        return self._v(t, t, x, TOLERANCE)

    def _v(self, s: Tensor, t: Tensor, x: Tensor, tolerance: float) -> Tensor:  # noqa: ARG002  met by a formula
        """m + ((t + s)(sigma^2 + c^2) - 2 sigma^2) / (S(s) (S(t) + S(s))) (x - m s): no 0/0 at s = t."""
        m, S_s, S_t = self.mean.to(x), self.spread(s), self.spread(t)
        growth = (t + s)[:, None] * (self.sigma**2 + self.std**2) - 2 * self.sigma**2
        return m + growth / (S_s * (S_t + S_s)) * (x - s[:, None] * m)

    def components_of_data(self) -> Components:
        """One: the Gaussian itself."""
        ends = torch.full((1, self.dim), math.inf, dtype=torch.float64)
        return Components(torch.zeros(1).double(), self.mean[None], torch.full_like(ends, self.std), -ends, ends)
