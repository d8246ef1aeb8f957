r"""Tempered sequential Monte Carlo on the noise of one jump.

The target at the temperature beta is a density of the noise,

    pi_beta(x0) = N(x0; 0, sigma^2 I) exp(beta r(X_{0,1}(x0))) / Z_beta,

from beta = 0, the base itself, to beta = 1. At beta = 1 the point X_{0,1}(x0) has the density q(x) exp(r(x)) / Z, where
q is the density of the map's own samples: for every test function f,

    int f(X_{0,1}(x0)) pi_1(x0) dx0 = E_q[f exp r] / E_q[exp r].

No inverse and no determinant of the map is needed, and the map may fold. Each level does three things, and each keeps
weighted averages right:

    1. weigh: w <- w exp((beta' - beta) r), which turns samples of pi_beta into weighted samples of pi_beta'.
    2. resample, where the effective sample size has fallen below half: copies by weight, then equal weights.
    3. move: propose x0' = sqrt(1 - rho^2) x0 + rho sigma z, z ~ N(0, I), and accept it with the probability
       min(1, exp(beta' (r(X(x0')) - r(X(x0))))). The proposal is reversible for the base, so that only the rewards
       are left in the ratio. The move leaves pi_beta' as it is, whatever rho is.

The estimate of Z is unbiased. Averages have an error of the order of B^(-1/2).

Source: Del Moral, Doucet & Jasra 2006 (the sampler); Cotter, Roberts, Stuart & White 2013 (the proposal, preconditioned
Crank-Nicolson).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.steering.weighing import Weighed, effective, one_jump, systematic

__all__ = ["Tempered", "tempered"]


@dataclass(frozen=True)
class Tempered(Weighed):
    """The samples at the end, with what happened on the way.

    The samples are not independent: for an error bar run several seeds. `mean` gives the average; the error beside it
    is that of independent samples, and too small.

    Attributes:
        x0: the noise of each sample, shape (B, *D).
        log_z: log of the estimate of Z = E_q exp r.
        resampled: at how many levels the samples were resampled.
        accepted: the share of the moves that were accepted.
    """

    x0: Tensor
    log_z: float
    resampled: int
    accepted: float

    def log_normaliser(self) -> tuple[float, float]:
        """log Z, and NaN for its error: run several seeds."""
        return self.log_z, math.nan


@torch.no_grad()
def tempered(
    X: FlowMap,
    x0: Tensor,
    reward: Any,
    sigma: float,
    *,
    levels: int = 8,
    moves: int = 2,
    rho: float = 0.5,
    seed: int = 0,
    **condition: Any,
) -> Tempered:
    """Samples of q(x) exp(r(x)) / Z by sequential Monte Carlo, in 1 + levels * moves evaluations of v.

    Args:
        X: the map; one jump of it is used.
        x0: draws from the base N(0, sigma^2 I), shape (B, *D).
        reward: r, called with points (B, *D), returns (B,). Its gradient is not used.
        sigma: the standard deviation of the base.
        levels: how many equal steps beta takes from 0 to 1.
        moves: moves a level.
        rho: the size of a move, above 0 and at most 1: at 1 the proposal is a fresh draw of the base.
        seed: of the resampling and the moves.
        condition: what v is told besides, one value for all samples, such as a number; not a tensor with one entry a
            sample, since samples are copied over one another.

    Raises:
        ValueError: if a setting is out of its range, x0 is empty or not finite, a condition has one entry a sample with
            different values, or the reward has another shape or is not finite.
    """
    checks.points("x0", x0)
    checks.finite("x0", x0)
    if not len(x0):
        raise ValueError(f"x0 must hold at least one point, got shape {tuple(x0.shape)}")
    levels, moves, sigma = checks.count("levels", levels), checks.count("moves", moves), checks.positive("sigma", sigma)
    if checks.share("rho", rho) == 0:
        raise ValueError(f"rho must be above 0: at 0 no sample moves; got {rho}")
    for name, value in condition.items():
        if isinstance(value, Tensor) and value.ndim and bool((value != value[:1]).any()):
            raise ValueError(f"{name} must be the same for all samples: run each value by its own call")
    generator = checks.generator(seed, plus=1_000_003)
    x, r = one_jump(X, x0, reward, **condition)
    log_w, log_z, resampled, accepted = torch.zeros(len(x0), dtype=torch.float64), 0.0, 0, 0.0
    for k in range(1, levels + 1):
        added = r.double() / levels
        log_z += float((log_w.log_softmax(0) + added).logsumexp(0))
        log_w = log_w + added
        if effective(log_w) < len(x0) / 2:
            chosen = systematic(log_w, len(x0), generator)
            x0, x, r, log_w, resampled = x0[chosen], x[chosen], r[chosen], torch.zeros_like(log_w), resampled + 1
        for _ in range(moves):
            noise = torch.randn(x0.shape, generator=generator, dtype=torch.float64).to(x0)
            new = math.sqrt(1 - rho**2) * x0 + rho * sigma * noise
            landed, gain = one_jump(X, new, reward, **condition)
            coin = torch.rand(len(x0), generator=generator, dtype=torch.float64).log()
            taken = coin < k / levels * (gain - r).double()
            x0, x = (torch.where(taken.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in ((x0, new), (x, landed)))
            r = torch.where(taken, gain, r)
            accepted += float(taken.double().mean()) / (levels * moves)
    return Tempered(x, log_w, x0, log_z, resampled, accepted)
