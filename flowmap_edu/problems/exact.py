r"""Three flows that are known exactly: a Gaussian, a mixture of Gaussians, the checkerboard.

Everything here is about the straight path I_t = (1 - t) x0 + t x1 with x0 ~ N(0, sigma^2 I), for
which the velocity b_t(x) = E[x1 - x0 | I_t = x] can be written down. The two conditional means obey

    x = (1 - t) E[x0 | x] + t E[x1 | x],   so   b_t(x) = (E[x1 | x] - x) / (1 - t) = (x - E[x0 | x]) / t,

and the first form is the good one near t = 0, the second near t = 1. The flow map of a Gaussian is
a formula; those of the other two are one accurate ODE solve. So `FlowMap(board.v)` is the map that
a network is trained to become: every condition and every error can be checked against it.
Arithmetic is in float64 throughout; results come back in the dtype of x.
Source: Albergo, Boffi & Vanden-Eijnden 2023, "Stochastic interpolants" (the conditional means).
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.interpolant import per_sample
from flowmap_edu.problems.ode import LAST, average_slope

Time = float | Tensor


def remaining(t: Tensor, least: float) -> Tensor:
    """1 - t, kept at or above `least` by an offset, so that its derivative stays -1 even at t = 1."""
    return torch.where(t < 1 - least, 1 - t, 1 - t + least)


def gauss_legendre(n: int) -> tuple[Tensor, Tensor]:
    """Nodes in [0, 1] and weights that sum to 1; exact for polynomials up to degree 2n - 1."""
    u, w = np.polynomial.legendre.leggauss(n)
    return torch.tensor((u + 1) / 2), torch.tensor(w / 2)


class ExactFlow(ABC):
    """What the three have in common. Throughout, x has shape (B, dim) and times are numbers or shape (B,).

    ValueError is raised for an x of another shape or not finite, and for times outside [0, 1].

    Attributes:
        sigma: standard deviation of the base N(0, sigma^2 I).
        dim: number of coordinates of a point.
    """

    sigma: float
    dim: int

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """n draws x1 from the data, shape (n, dim), on the generator's device."""

    @abstractmethod
    def irreducible_loss(self) -> float:
        """E |dI_t|^2 - E |b_t(I_t)|^2, t uniform on [0, 1]: no network's diagonal loss is below it.

        It is the mean of tr Cov(dI_t | I_t): what is left to guess once I_t is known.
        """

    @abstractmethod
    def _velocity(self, t: Tensor, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _log_density(self, t: Tensor, x: Tensor) -> Tensor: ...

    def _v(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        s_cut, t_cut = s.clamp(max=LAST), t.clamp(max=LAST)
        y = average_slope(self._velocity, s_cut, t_cut, x)
        last = self._velocity(t_cut, x + per_sample(t_cut - s_cut, x) * y)
        share = torch.where(t > s, (t_cut - s_cut) / torch.where(t > s, t - s, 1.0), 1.0)  # of the way, by the ODE
        return last + per_sample(share, x) * (y - last)

    def velocity(self, t: Time, x: Tensor) -> Tensor:
        """b_t(x) = E[x1 - x0 | I_t = x], shape (B, dim); differentiable in t and x, both modes."""
        return self._velocity(*self._check(x, t=t)).to(x.dtype)

    def log_density(self, t: Time, x: Tensor) -> Tensor:
        """The logarithm of the density of I_t at x, shape (B,)."""
        return self._log_density(*self._check(x, t=t)).to(x.dtype)

    def v(self, s: Time, t: Time, x: Tensor) -> Tensor:
        """The average slope v_{s,t}(x) = (X_{s,t}(x) - x) / (t - s), shape (B, dim); b_t(x) where s = t.

        Either order of s and t. For mixture and checkerboard it is an ODE solve with tolerance 1e-9
        a step (where neighbouring paths part, the whole error was seen to reach 1e-7), through which
        both modes differentiate in s, t and x. The solve stops at 1 - 1e-8 and goes on in a straight
        line; the derivative in s is not available for a start at s = 1 exactly.
        """
        return self._v(*self._check(x, s=s, t=t)).to(x.dtype)

    def flow_map(self, s: Time, t: Time, x: Tensor) -> Tensor:
        """X_{s,t}(x) = x + (t - s) v_{s,t}(x), shape (B, dim)."""
        s, t, z = self._check(x, s=s, t=t)
        return (z + per_sample(t - s, z) * self._v(s, t, z)).to(x.dtype)

    def _check(self, x: Tensor, **times: Time) -> tuple[Tensor, ...]:
        """The times, shape (B,), and x, all in float64."""
        checks.points("x", x)
        if x.shape[1:] != (self.dim,):
            raise ValueError(f"x must have shape (B, {self.dim}), got {tuple(x.shape)}")
        checks.finite("x", x)
        x = x.double()
        return *(checks.batch_of_times(name, t, x).to(x) for name, t in times.items()), x


# --- Gaussian --------------------------------------------------------------------------------------


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
        m = torch.as_tensor(mean, dtype=torch.float64)
        self.dim = dim if dim is not None else 2 if m.ndim == 0 else len(m)
        checks.count("dim", self.dim)
        if m.ndim > 1 or (m.ndim == 1 and m.shape != (self.dim,)):
            raise ValueError(f"mean must be a number or have shape ({self.dim},), got {tuple(m.shape)}")
        checks.finite("mean", m)
        self.mean, self.std, self.sigma = m.expand(self.dim), positive("std", std), positive("sigma", sigma)

    def sample(self, n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """m + c z, z ~ N(0, I), shape (n, dim)."""
        z = standard_normal(n, self.dim, generator)
        return (self.mean.to(z) + self.std * z).to(dtype or torch.get_default_dtype())

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
        return self._v(t, t, x)

    def _v(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """m + ((t + s)(sigma^2 + c^2) - 2 sigma^2) / (S(s) (S(t) + S(s))) (x - m s): no 0/0 at s = t."""
        m, S_s, S_t = self.mean.to(x), self.spread(s), self.spread(t)
        growth = (t + s)[:, None] * (self.sigma**2 + self.std**2) - 2 * self.sigma**2
        return m + growth / (S_s * (S_t + S_s)) * (x - s[:, None] * m)


# --- mixture of Gaussians --------------------------------------------------------------------------


class GaussianMixture(ExactFlow):
    r"""Data sum_k w_k N(m_k, c_k^2 I). Given its component, I_t is Gaussian; the velocity is the average

        b_t(x) = sum_k r_k(t, x) b_t^k(x),   r_k = P(component k | I_t = x),
        b_t^k(x) = m_k + (t c_k^2 - (1 - t) sigma^2) / S_k(t)^2 (x - m_k t).

    Args:
        means: m_k, shape (K, D).
        stds: c_k > 0, a number or shape (K,).
        weights: w_k > 0, shape (K,), scaled to sum to 1; equal by default.
        sigma: standard deviation of the base, > 0.

    Raises:
        ValueError: if a shape is wrong, or a standard deviation or weight is not positive.
    """

    def __init__(self, means: Tensor, stds: Time, weights: Tensor | None = None, sigma: float = 1.0):
        self.means = torch.as_tensor(means, dtype=torch.float64)
        if self.means.ndim != 2 or 0 in self.means.shape:
            raise ValueError(f"means must have shape (K, D), got {tuple(self.means.shape)}")
        checks.finite("means", self.means)
        count, self.dim = self.means.shape
        self.stds = positive_each("stds", stds, count)
        w = positive_each("weights", 1.0 if weights is None else weights, count)
        self.weights, self.sigma = w / w.sum(), positive("sigma", sigma)

    def sample(self, n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """Draw a component k by its weight, then m_k + c_k z; shape (n, dim)."""
        z = standard_normal(n, self.dim, generator)
        k = torch.multinomial(self.weights.to(z), n, replacement=True, generator=generator)
        return (self.means.to(z)[k] + self.stds.to(z)[k, None] * z).to(dtype or torch.get_default_dtype())

    def components(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """log w_k N(x; m_k t, S_k^2 I), shape (B, K), and b_t^k(x), shape (B, K, D)."""
        m, c, t = self.means.to(x), self.stds.to(x), t[:, None]
        S2 = (1 - t) ** 2 * self.sigma**2 + t**2 * c**2  # (B, K)
        away = x[:, None] - t[..., None] * m  # (B, K, D)
        log_p = self.weights.to(x).log() + (log_normal(away / S2.sqrt()[..., None]) - S2[..., None].log() / 2).sum(-1)
        return log_p, m + ((t * c**2 - (1 - t) * self.sigma**2) / S2)[..., None] * away

    def _log_density(self, t: Tensor, x: Tensor) -> Tensor:
        return self.components(t, x)[0].logsumexp(-1)

    def _velocity(self, t: Tensor, x: Tensor) -> Tensor:
        log_p, b = self.components(t, x)
        return (log_p.softmax(-1)[..., None] * b).sum(-2)

    def irreducible_loss(self) -> float:
        r"""(pi / 2) dim sigma sum_k w_k c_k + int_0^1 sum_k w_k E |b_t^k - b_t|^2 dt.

        The first term, the doubt within a component, is exact. The second, the doubt about which
        component, is 64 Gauss-Legendre nodes in t times 4,096 Sobol points in x; in two
        dimensions the sum's relative error was seen to be 4e-4.
        """
        z = torch.quasirandom.SobolEngine(self.dim).draw(4096, dtype=torch.float64) + 0.5 / 4096
        z = math.sqrt(2) * torch.erfinv(2 * z - 1)  # (4096, D)
        between = 0.0
        for t, w in zip(*gauss_legendre(64), strict=True):
            times = t.expand(len(z))
            for k, (m, c, w_k) in enumerate(zip(self.means, self.stds, self.weights, strict=True)):
                x = t * m + torch.hypot((1 - t) * self.sigma, t * c) * z
                log_p, b = self.components(times, x)
                mean = (log_p.softmax(-1)[..., None] * b).sum(-2)
                between += float(w * w_k * (b[:, k] - mean).square().sum(-1).mean())
        within = math.pi / 2 * self.dim * self.sigma * float(self.weights @ self.stds)
        return within + between


# --- checkerboard ----------------------------------------------------------------------------------

EDGES = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0], dtype=torch.float64)
EARLY = 0.1  # before this time a cell is narrower than a tenth of a standard deviation of the noise


class Checkerboard(ExactFlow):
    r"""Uniform on the 8 squares of a 4 x 4 board on [-1, 1]^2 whose indices have i + j even.

    Both indices even, or both odd: so the density of I_t factorises once the parity is known,

        rho_t(x, y) = (p_even(x) p_even(y) + p_odd(x) p_odd(y)) / 2,

    and everything comes from two cells per parity on each axis. Here sigma = 1 / sqrt(3), the
    standard deviation of the data.

    The velocity has no limit at t = 1 outside the squares: it grows like distance / (1 - t). There
    1 - t is kept above 1e-9, so that b_1(x) is finite; inside the squares b_1(x) = x.
    """

    sigma = 1 / math.sqrt(3)
    dim = 2

    def sample(self, n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """A white square (i, j), then a point in it; shape (n, 2)."""
        checks.count("n", n)
        device = generator.device if generator is not None else None
        square = torch.randint(8, (n,), generator=generator, device=device)
        i = square // 2
        j = 2 * (square % 2) + i % 2
        inside = torch.rand(n, 2, generator=generator, device=device, dtype=dtype)
        return (torch.stack([i, j], -1) + inside) / 2 - 1

    def _log_density(self, t: Tensor, x: Tensor) -> Tensor:
        at_one = torch.where(on_board(x), math.log(0.5), -math.inf)
        log_rho = parities(t[:, None], x, self.sigma)[0].sum(-1).logsumexp(0) - math.log(2)
        return torch.where(t < 1, log_rho, at_one)

    def _velocity(self, t: Tensor, x: Tensor) -> Tensor:
        log_p, b = parities(t[:, None], x, self.sigma)  # (parity, B, axis)
        return (log_p.sum(-1, keepdim=True).softmax(0) * b).sum(0)

    def irreducible_loss(self) -> float:
        """0.97488: E |x1|^2 + E |x0|^2 = 4/3, less E |b|^2 = 0.35845.

        Gauss-Legendre in q = sqrt(1 - t), and in x and y between breakpoints that follow the
        edges; within 1e-8 of the limit of finer rules.
        """
        return self._irreducible_loss

    @cached_property
    def _irreducible_loss(self) -> float:
        square = 0.0
        u, w = gauss_legendre(12)
        for q, w_q in zip(*gauss_legendre(48), strict=True):
            t = 1 - q**2
            knots = t * EDGES[:, None] + (1 - t) * self.sigma * torch.tensor([-9.0, -6, -3, 0, 3, 6, 9])
            knots = knots.flatten().sort().values
            x = (knots[:-1, None] + knots.diff()[:, None] * u).flatten()
            dx = (knots.diff()[:, None] * w).flatten()
            log_p, b = parities(t, x, self.sigma)  # (parity, N)
            p = log_p.exp()
            flux, rho = (p * b).T @ p, p.T @ p  # 2 rho b_x and 2 rho at (x, y), shape (N, N)
            square += float(2 * q * w_q * (dx @ (flux**2 / rho.clamp(min=1e-300)) @ dx))  # |b|^2: twice b_x^2
        return 4 / 3 - square


def on_board(x: Tensor) -> Tensor:
    """Whether x, shape (B, 2), lies in a white square, its border included; shape (B,)."""
    low, high = EDGES.to(x).reshape(5, 1, 1)[:-1], EDGES.to(x).reshape(5, 1, 1)[1:]
    in_cell = ((low <= x) & (x <= high)).unflatten(0, (2, 2)).any(0)  # (parity, B, axis)
    return in_cell.all(-1).any(0)


def parities(t: Tensor, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Per coordinate, for even and for odd cells: log p(x) and E[x1 - x0 | x].

    Both formulas below are exact; each is used where it is well conditioned.

    Args:
        t: times, of a shape that broadcasts with x.
        x: coordinates, any shape.

    Returns:
        two tensors of shape (2, *x.shape); the first axis is (even, odd).
    """
    early = t < EARLY
    if not early.any():
        return late_parities(t, x, sigma)
    log_p, b = early_parities(torch.where(early, t, 0.0), x, sigma)
    if not early.all():
        late_p, late_b = late_parities(torch.where(early, EARLY, t), x, sigma)
        log_p, b = torch.where(early, log_p, late_p), torch.where(early, b, late_b)
    return log_p, b


def early_parities(t: Tensor, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Integrate over the cells: p(x) = E N(x; t x1, (1-t)^2 sigma^2), and b = (E[x1 | x] - x) / (1 - t).

    The integrand is so flat across a cell that 6 Gauss-Legendre nodes make no error above 1e-11.
    """
    u, w = gauss_legendre(6)
    x1 = (EDGES[:-1, None] + u / 2).unflatten(0, (2, 2)).transpose(1, 2).flatten(0, 1)  # (12 nodes, parity)
    x1, w = (a.to(x).reshape(12, -1, *[1] * x.ndim) for a in (x1, w.repeat(2) / 2))
    scale = (1 - t) * sigma
    log_p = w.log() + log_normal((x - t * x1) / scale) - scale.log()  # (12, parity, *x.shape)
    return log_p.logsumexp(0), ((log_p.softmax(0) * x1).sum(0) - x) / (1 - t)


def late_parities(t: Tensor, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Given the cell of x1, x0 is a truncated normal: its mass is t p(x), and b = (x - E[x0 | x]) / t."""
    edges = EDGES.to(x).reshape(5, *[1] * x.ndim)
    z = (x - t * edges) / (remaining(t, 1e-9) * sigma)  # x0 / sigma, were x1 on an edge
    log_mass, mean = (a.unflatten(0, (2, 2)) for a in truncated_normals(z))  # (pair, parity, *x.shape)
    mean_x0 = sigma * (log_mass.softmax(0) * mean).sum(0)
    return log_mass.logsumexp(0) - t.log(), (x - mean_x0) / t


def truncated_normals(z: Tensor) -> tuple[Tensor, Tensor]:
    r"""log P and E[Z | low < Z < high] = (phi(low) - phi(high)) / P, Z ~ N(0, 1), between falling edges z.

    Mirror an interval so that |near| <= far. If it straddles 0, P is a difference of erf of
    opposite signs; in a tail, P = phi(near) (R(near) - exp(-d) R(far)) with Mills' ratio
    R = (1 - Phi) / phi and d = (far^2 - near^2) / 2. Neither cancels unless the interval is narrow.

    Args:
        z: edges, shape (n + 1, ...), falling along the first axis.

    Returns:
        two tensors of shape (n, ...), one entry an interval.
    """
    high, low = z[:-1], z[1:]
    left = low + high < 0
    tail = (low > 0) | (high < 0)
    r = mills(z.abs())
    r_near, r_far = torch.where(left, r[:-1], r[1:]), torch.where(left, r[1:], r[:-1])
    log_phi = log_normal(torch.where(left, high, low))  # at near
    d = (high - low) * torch.where(left, -0.5, 0.5) * (high + low)
    drop = torch.expm1(-d)  # phi(far) / phi(near) - 1
    ratio = torch.where(tail, r_near - (1 + drop) * r_far, 1.0)  # P / phi(near), in a tail
    mass = torch.where(tail, 1.0, -torch.erf(z / math.sqrt(2)).diff(dim=0) / 2)
    log_mass = torch.where(tail, log_phi + ratio.log(), mass.log())
    mean = torch.where(tail, 1 / ratio, log_phi.exp() / mass)
    return log_mass, torch.where(left, drop, -drop) * mean


def mills(z: Tensor) -> Tensor:
    """(1 - Phi(z)) / phi(z) for z >= 0; beyond 40 by its asymptotic series, whose derivatives do not cancel."""
    beyond = z > 40
    near = math.sqrt(math.pi / 2) * torch.special.erfcx(torch.where(beyond, 1.0, z) / math.sqrt(2))
    v = 1 / torch.where(beyond, z, 40.0)
    w = v * v
    return torch.where(beyond, v * (1 - w * (1 - 3 * w * (1 - 5 * w * (1 - 7 * w)))), near)


# --- small things ----------------------------------------------------------------------------------


def log_normal(z: Tensor) -> Tensor:
    """log of the standard normal density at z, entry by entry."""
    return -(z**2) / 2 - math.log(2 * math.pi) / 2


def standard_normal(n: int, dim: int, generator: torch.Generator | None) -> Tensor:
    """n draws from N(0, I), shape (n, dim), float64, on the generator's device."""
    checks.count("n", n)
    device = generator.device if generator is not None else None
    return torch.randn(n, dim, generator=generator, device=device, dtype=torch.float64)


def positive(name: str, value: float) -> float:
    """value as a float; ValueError unless it is a finite number above 0."""
    return float(positive_each(name, value, 1))


def positive_each(name: str, value: Time, count: int) -> Tensor:
    """value as `count` float64 numbers; ValueError unless all are finite and above 0."""
    v = torch.as_tensor(value, dtype=torch.float64)
    if v.ndim > 1 or (v.ndim == 1 and len(v) != count):
        raise ValueError(f"{name} must be a number or have shape ({count},), got {tuple(v.shape)}")
    if not bool((torch.isfinite(v) & (v > 0)).all()):
        raise ValueError(f"{name} must be finite and positive, got {value}")
    return v.expand(count)
