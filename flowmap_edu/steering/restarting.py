r"""Restarts: from a sample back to an earlier time with fresh noise, and forward again.

    x_s = (1 - s) z + s x,  z ~ N(0, sigma^2 I),    y = X_{s,1}(x_s)

If x has the density p of the data and X is the exact map, then x_s is a draw of I_s, and y has the density p again. So
restarts leave p as it is, for every s, and how far y is from x is set by s: at s = 0 it is a fresh sample, near 1 it is
x with small changes.

With a reward, y is accepted with the probability min(1, exp(r(y) - r(x))), else x stays. This leaves p exp(r) / Z as it
is if the restart is *reversible*: as many go from x to y as from y to x. It is

- at s = 0, for any map: y is then independent of x;
- for a Gaussian on the straight path, at every s;
- for every p, if y is drawn from p(x1 | x_s) in place of the landing point.

With landing points and s > 0 it is not reversible in general, and the law can differ from p exp(r) / Z. For three
narrow modes on a line the share that goes from the first to the third is not the share that comes back
(tests/test_restarts.py).

Source: Song, Dhariwal, Chen & Sutskever 2023 (restarts without a reward); Metropolis et al. 1953 (what is accepted).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu import times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear
from flowmap_edu.problems.rewards import valued

__all__ = ["Restarted", "forward", "go_back", "restarted"]


@dataclass(frozen=True)
class Restarted:
    """Samples after some restarts.

    Attributes:
        samples: shape (B, *D).
        accepted: the share of the restarts that were accepted; 1 without a reward.
    """

    samples: Tensor
    accepted: float


def strength(s: float) -> float:
    """s as a number from 0 up to but without 1."""
    if checks.share("s", s) == 1:
        raise ValueError("s must be below 1: from s = 1 there is no way back and forward, nothing would change")
    return float(s)


def straight(X: FlowMap) -> None:
    """Raise ValueError if the map is known to be of another path than the straight one."""
    if not (X.interpolant is None or isinstance(X.interpolant, Linear)):
        raise ValueError(f"restarts go back on the straight path, this map was trained on {X.interpolant}")


def go_back(s: float, x: Tensor, noise: Tensor) -> Tensor:
    """(1 - s) noise + s x: from samples x at time 1 back to time s below 1, all of shape (B, *D).

    Raises:
        ValueError: if s is no number in [0, 1), or noise has another shape than x.
    """
    s = strength(s)
    checks.points("x", x)
    checks.same_shape("x", x, "noise", noise)
    return (1 - s) * noise + s * x


@torch.no_grad()
def forward(X: FlowMap, s: float, x_s: Tensor, jumps: int = 1, **condition: Any) -> Tensor:
    """From points x_s at time s to time 1 in equal jumps, shape (B, *D).

    Args:
        X: the map.
        s: the time of the points, a number in [0, 1).
        x_s: points at time s, shape (B, *D).
        jumps: how many; each is one evaluation of v.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if s = 1, jumps is below 1, or the map has classes and label= is missing.
    """
    x = x_s
    for start, end in pairwise(times.equal(strength(s), 1.0, checks.count("jumps", jumps))):
        x = X(start, end, x, **condition)
    return x


@torch.no_grad()
def restarted(
    X: FlowMap,
    x: Tensor,
    s: float,
    sigma: float,
    *,
    rounds: int = 1,
    jumps: int = 1,
    reward: Any = None,
    seed: int = 0,
    **condition: Any,
) -> Restarted:
    """The samples after some restarts, in rounds * jumps evaluations of v.

    Args:
        X: the map, of the straight path.
        x: samples at time 1, shape (B, *D), such as X(0, 1, x0).
        s: how far to go back, a number in [0, 1).
        sigma: the standard deviation of the base.
        rounds: how often.
        jumps: how many lead forward from s to 1.
        reward: r, called with points (B, *D), returns (B,); None: every restart is accepted.
        seed: of the noise and of what is accepted.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if a setting is out of its range, x is not finite, the map is of another path, the map has classes
            and label= is missing, or the reward has another shape or is not finite.
    """
    checks.points("x", x)
    checks.finite("x", x)
    straight(X)
    s, sigma, rounds = strength(s), checks.positive("sigma", sigma), checks.count("rounds", rounds)
    generator, accepted = checks.generator(seed, plus=1_000_003), 0.0
    r = None if reward is None else valued(reward, x)
    for _ in range(rounds):
        noise = sigma * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)
        y = forward(X, s, go_back(s, x, noise), jumps, **condition)
        if r is None:
            x, accepted = y, accepted + 1
            continue
        gain = valued(reward, y)
        coin = torch.rand(len(x), generator=generator, dtype=torch.float64).clamp_min(math.ulp(0.0)).log()
        taken = coin < (gain - r).double()
        x, r = torch.where(taken.reshape(-1, *[1] * (x.ndim - 1)), y, x), torch.where(taken, gain, r)
        accepted += float(taken.double().mean())
    return Restarted(x, accepted / rounds)
