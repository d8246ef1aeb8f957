"""The data of an exact flow, weighted by a reward: p(x) exp r(x), normalised, with its velocity and its draws."""

import math

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.problems.exact import ExactFlow, Time
from flowmap_edu.problems.posterior import REACH, expectations
from flowmap_edu.problems.rewards import Reward

__all__ = ["Tilted"]

CELLS = 4096  # of the grid on each axis by which draws are made


class Tilted:
    r"""The density p(x) exp(r(x)) / Z of an exact flow's data p and a reward r that is a sum over the axes.

    The point I_s of tilted data has the density p_s(x) h_s(x) / Z, with the value function
    h_s(x) = E[exp r(x1) | I_s = x], and the velocity

        b^r_s(x) = (E[x1 exp r(x1) | I_s = x] / h_s(x) - x) / (1 - s)
                 = b_s(x) + sigma^2 (1 - s) / s grad log h_s(x).

    So a sampler that adds that gradient to the velocity draws from the tilted density.

    Args:
        problem: an exact flow: Gaussian, mixture or checkerboard.
        reward: a `rewards.Reward`.

    Raises:
        ValueError: if the problem is no exact flow, or the reward no sum over the axes.
    """

    def __init__(self, problem: ExactFlow, reward: Reward):
        if not isinstance(problem, ExactFlow):
            raise ValueError(f"the tilted density is known for the exact flows, got {checks.kind(problem)}")
        if not isinstance(reward, Reward):
            raise ValueError(f"the reward must be a Reward, a sum over the axes; got {checks.kind(reward)}")
        self.problem, self.reward = problem, reward

    def log_normaliser(self) -> float:
        """log Z = log E exp r(x1): the value at time 0, where nothing is known yet."""
        x = torch.zeros(1, self.problem.dim, dtype=torch.float64)
        return float(expectations(self.problem, torch.zeros(1, dtype=torch.float64), x, self.reward)[0])

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) + r(x) - log Z, shape (B,)."""
        return self.problem.log_density(1.0, x) + self.reward(x) - self.log_normaliser()

    def velocity(self, s: Time, x: Tensor) -> Tensor:
        """b^r_s(x), shape (B, dim); s below 1."""
        z = x.double()
        times = checks.batch_of_times("s", s, z)
        mean = expectations(self.problem, times, z, self.reward, mean=True)[1]
        assert mean is not None
        return ((mean - z) / (1 - times)[:, None]).to(x.dtype)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws, shape (n, dim), float64: a component, then each axis by its distribution function on 4,096 cells.

        Within a cell a draw is uniform, so that a coordinate is right to a cell: 1e-4 on the checkerboard.
        """
        n = checks.count("n", n)
        data = self.problem.components_of_data()
        reach = REACH * data.std  # infinite where the density is flat
        low, high = torch.maximum(data.low, data.mean - reach), torch.minimum(data.high, data.mean + reach)
        share = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS
        middle = low[..., None] + (high - low)[..., None] * share  # (K, D, cells)
        prior = torch.where(torch.isinf(data.std), 0.0, data.std**-2)[..., None] * (middle - data.mean[..., None]) ** 2
        tilt = torch.stack([self.reward.along(d, middle[:, d]) for d in range(self.problem.dim)], dim=1)
        log_cell = tilt - prior / 2
        flat = torch.where(torch.isinf(data.std), 1 / (high - low), (2 * math.pi) ** -0.5 / data.std)
        log_mass = (log_cell.logsumexp(-1) + ((high - low) / CELLS * flat).log()).sum(-1)  # (K,)
        k = torch.multinomial((data.log_weight + log_mass).softmax(0), n, replacement=True, generator=generator)
        below = log_cell.softmax(-1).cumsum(-1)  # (K, D, cells)
        u = torch.rand(n, self.problem.dim, generator=generator, dtype=torch.float64)
        out = torch.empty_like(u)
        for each in range(len(below)):
            chosen = k == each
            cell = torch.searchsorted(below[each], u[chosen].T.contiguous()).clamp(max=CELLS - 1).T  # (n_k, D)
            jitter = torch.rand(cell.shape, generator=generator, dtype=torch.float64)
            out[chosen] = low[each] + (high - low)[each] * (cell + jitter) / CELLS
        return out
