"""The checkerboard: its velocity is a formula, its flow map an accurate ODE solve."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics.kl import board_points, kl64
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.problems.posterior import Components
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.problems.truncated import EDGES, gauss_legendre, parities

RARE = -600  # the log density below which no draw ever comes; there everything is computed by logarithms


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

    def __eq__(self, other: object) -> bool:
        """There is only one: what was solved for one is kept for all (`metrics.errors.exact_pairs`)."""
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    def sample(
        self, n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, None]:
        """A white square (i, j), then a point in it; shape (n, 2)."""
        return board_points(n, generator, dtype), None

    def evaluate(
        self, X: FlowMap, steps: Sequence[int] = STEPS, *, n: int | None = None, seed: int = 0
    ) -> list[dict[str, Any]]:
        """KL64, the leak, the floor of exact draws, and the root mean square distance to the exact map.

        The distance is that of 1,024 points; None where the map does not draw by jumps, or was trained on another
        interpolant.

        Args:
            X: the map.
            steps: the numbers of steps.
            n: points drawn; None: 1,000,000.
            seed: of the base's draws.
        """
        steps = checks.counts("steps", steps)
        rows, x0 = [], self.base(1_000_000 if n is None else n, checks.generator(seed))
        for k in steps:
            found = kl64(X.sample(x0, k, seed=seed))
            error = self.map_error(X, k, n=1024)
            rows.append({"steps": k, "kl64": found.kl, "leak": found.leak, "floor": found.floor, "map_error": error})
        return rows

    def components_of_data(self) -> Components:
        """The 8 white squares, each flat."""
        i, j = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
        white = torch.stack([i, j], dim=-1)[(i + j) % 2 == 0]  # (8, 2)
        low, high = EDGES[:-1][white], EDGES[1:][white]
        flat = torch.full_like(low, math.inf)
        return Components(torch.full((8,), 1 / 8).double().log(), (low + high) / 2, flat, low, high)

    def _parities(self, t: Tensor, x: Tensor, rare: bool = False) -> tuple[Tensor, Tensor]:
        """For both parities log p(x) p(y), shape (2, B), and E[x1 - x0 | x, parity], shape (2, B, 2)."""
        log_p, b = parities(t[:, None], x, self.sigma, rare=rare)
        log_p = log_p[..., 0] + log_p[..., 1]
        unlikely = checks.plain(log_p.amax(0)) < RARE
        return (log_p, b) if rare or not unlikely.any() else self._parities(t, x, rare=True)

    def _log_density(self, t: Tensor, x: Tensor) -> Tensor:
        at_one = torch.where(on_board(x), math.log(0.5), -math.inf)
        log_rho = self._parities(t, x)[0].logsumexp(0) - math.log(2)
        return torch.where(t < 1, log_rho, at_one)

    def _velocity(self, t: Tensor, x: Tensor) -> Tensor:
        (log_even, log_odd), (b_even, b_odd) = self._parities(t, x)
        even = (log_even - log_odd).sigmoid()[:, None]  # P(even | x), shape (B, 1)
        return b_odd + even * (b_even - b_odd)

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
