"""Truncated normals: what the checkerboard's velocity is made of, well conditioned from t = 0 to t = 1."""

import math

import numpy as np
import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.problems.scalars import over, plus, times

EDGES = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0], dtype=torch.float64)
SIGNS = torch.tensor([[1, -1, 1, -1, 0], [0, 1, -1, 1, -1]], dtype=torch.float64)  # of an edge, for even and odd cells
EARLY = 0.02  # before this time a cell is narrower than 2 % of a standard deviation of the noise,
NEAR = 0.3  # and as long as t |x| is below this, the density changes across it by a factor of 1.7 at most


def parities(t: Tensor, x: Tensor, sigma: float, *, rare: bool = False) -> tuple[Tensor, Tensor]:
    """Per coordinate, for even and for odd cells: log p(x) and E[x1 - x0 | x].

    The formulas below are exact; each is used where it is well conditioned.

    Args:
        t: times, of a shape that broadcasts with x.
        x: coordinates, any shape.
        sigma: standard deviation of the base.
        rare: True: by logarithms, for all x. False: in a quarter of the time, with a log p that is right above -600.

    Returns:
        two tensors of shape (2, *x.shape); the first axis is (even, odd).
    """
    early = (t < EARLY) & (t * x.abs() < NEAR)
    some, most = checks.plain(early).any(), checks.plain(early).all()
    if not some:
        return late_parities(t, x, sigma, rare)
    log_p, b = early_parities(torch.where(early, t, 0.0), x, sigma)
    if not most:
        late_p, late_b = late_parities(torch.where(early, EARLY, t), x, sigma, rare)
        log_p, b = torch.where(early, log_p, late_p), torch.where(early, b, late_b)
    return log_p, b


def early_parities(t: Tensor, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Integrate over the cells: p(x) = E N(x; t x1, (1-t)^2 sigma^2), and b = (E[x1 | x] - x) / (1 - t).

    The integrand is so flat across a cell that 4 Gauss-Legendre nodes make no error above 1e-12.
    """
    u, w = gauss_legendre(4)
    x1 = (EDGES[:-1, None] + u / 2).unflatten(0, (2, 2)).transpose(1, 2).flatten(0, 1)  # (8 nodes, parity)
    x1, w = (a.to(x).reshape(8, -1, *[1] * x.ndim) for a in (x1, w.repeat(2) / 2))
    scale = (1 - t) * sigma
    log_p = w.log() + log_normal((x - t * x1) / scale) - scale.log()  # (8, parity, *x.shape)
    return log_p.logsumexp(0), ((log_p.softmax(0) * x1).sum(0) - x) / (1 - t)


def late_parities(t: Tensor, x: Tensor, sigma: float, rare: bool) -> tuple[Tensor, Tensor]:
    """Given the cells of x1, x0 is a truncated normal: its mass is t p(x), and b = (x - E[x0 | x]) / t."""
    shifted = torch.stack([x - times(edge, t) for edge in EDGES.tolist()])  # (5, *x.shape)
    z = shifted / times(sigma, remaining(t, 1e-9))  # x0 / sigma, were x1 on an edge
    log_mass, mean = log_two_cells(z) if rare else two_cells(z)  # (parity, *x.shape)
    return log_mass - t.log(), (x - times(sigma, mean)) / t


def two_cells(z: Tensor) -> tuple[Tensor, Tensor]:
    r"""log P and E[Z | Z in the two cells of a parity], Z ~ N(0, 1); with the signs s_k of the edges z_k,

        P = sum_k s_k Phi(z_k),   E[Z | Z in the cells] = -sum_k s_k phi(z_k) / P.

    Phi(z) is a step, 1 where z > 0, less sign(z) times the tail 1 - Phi(|z|). The steps sum to 0 or 1 without
    error, and a tail has all its digits however small it is. P is kept above 1e-300.

    Args:
        z: edges, shape (5, ...), falling along the first axis.

    Returns:
        two tensors of shape (2, ...), for even and odd cells.
    """

    def total(of_edge: Tensor) -> Tensor:
        return torch.tensordot(SIGNS.to(z), of_edge, dims=1)  # sum_k s_k of_edge_k, shape (2, ...)

    above = z > 0
    beyond = over(torch.erfc(over(torch.where(above, z, -z), math.sqrt(2))), 2)  # 1 - Phi(|z|)
    mass = (total(above.to(z)) - total(torch.where(above, beyond, -beyond))).clamp(min=1e-300)
    return mass.log(), -total(log_normal(z).exp()) / mass


def log_two_cells(z: Tensor) -> tuple[Tensor, Tensor]:
    """The same by logarithms, for cells however far away."""
    log_mass, mean = (a.unflatten(0, (2, 2)) for a in truncated_normals(z))  # (cell, parity, ...)
    return log_mass.logsumexp(0), (log_mass.softmax(0) * mean).sum(0)


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


def remaining(t: Tensor, least: float) -> Tensor:
    """1 - t, kept at or above `least` by an offset, so that its derivative stays -1 even at t = 1."""
    return torch.where(t < 1 - least, 1 - t, plus(1 - t, least))


def gauss_legendre(n: int) -> tuple[Tensor, Tensor]:
    """Nodes in [0, 1] and weights that sum to 1; exact for polynomials up to degree 2n - 1."""
    u, w = np.polynomial.legendre.leggauss(n)
    return torch.tensor((u + 1) / 2), torch.tensor(w / 2)


def log_normal(z: Tensor) -> Tensor:
    """log of the standard normal density at z, entry by entry."""
    return plus(over(-(z**2), 2), -math.log(2 * math.pi) / 2)
