"""Importance weights: the samples of one jump, each with the weight exp(r)."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.rewards import valued

__all__ = ["Weighed", "effective", "one_jump", "systematic", "weighed"]

CHUNK = 8192


@dataclass(frozen=True)
class Weighed:
    """Samples of the map, and the logarithms of their weights.

    Attributes:
        samples: x = X_{0,1}(x0), shape (B, *D).
        log_weight: r(x), shape (B,).
    """

    samples: Tensor
    log_weight: Tensor

    @property
    def share(self) -> Tensor:
        """The weights, scaled to sum to one, shape (B,), float64."""
        return self.log_weight.double().softmax(0)

    @property
    def effective(self) -> float:
        """The effective sample size (sum w)^2 / sum w^2, from 1 to B."""
        return effective(self.log_weight)

    def log_normaliser(self) -> tuple[float, float]:
        """log mean exp r, an estimate of log Z, and its standard error."""
        n = len(self.log_weight)
        log_z = float(self.log_weight.double().logsumexp(0)) - math.log(n)
        return log_z, math.sqrt(max(1 / self.effective - 1 / n, 0.0))

    def mean(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """sum_i w_i f_i / sum_i w_i and its standard error, for f given at the samples, shape (B, ...).

        Source: the delta method for a ratio of means; Owen 2013, Monte Carlo theory, chapter 9.
        """
        if not isinstance(values, Tensor) or values.shape[:1] != self.log_weight.shape:
            raise ValueError(f"values must have one entry a sample, {len(self.samples)}; got {checks.kind(values)}")
        w = self.share.reshape(-1, *[1] * (values.ndim - 1))
        mean = (w * values).sum(0)
        return mean, (w * (values - mean)).square().sum(0).sqrt()

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n of the samples, chosen by their weights with systematic resampling, shape (n, *D); some come twice."""
        return self.samples[systematic(self.log_weight, checks.count("n", n), generator)]


def effective(log_weight: Tensor) -> float:
    """(sum w)^2 / sum w^2 of weights given by their logarithms, shape (B,)."""
    return float(1 / log_weight.double().softmax(0).square().sum())


def systematic(log_weight: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """n indices, shape (n,), index i within one of n w_i times: n equally spaced points on the weights' cumulative sum.

    Source: Kitagawa 1996.
    """
    first = torch.rand(1, generator=generator, dtype=torch.float64)
    below = log_weight.double().softmax(0).cumsum(0)
    found = torch.searchsorted(below, (torch.arange(n, dtype=torch.float64) + first) / n)
    return found.clamp(max=len(log_weight) - 1)


@torch.no_grad()
def one_jump(X: FlowMap, x0: Tensor, reward: Any, **condition: Any) -> tuple[Tensor, Tensor]:
    """X_{0,1}(x0), shape (B, *D), and its reward, shape (B,), some thousand points at a time."""
    parts = []
    for k in range(0, len(x0), CHUNK):
        given = {name: c[k : k + CHUNK] if isinstance(c, Tensor) and c.ndim else c for name, c in condition.items()}
        parts.append(X(0.0, 1.0, x0[k : k + CHUNK], **given))
    x = torch.cat(parts)
    return x, valued(reward, x)


def weighed(X: FlowMap, x0: Tensor, reward: Any, **condition: Any) -> Weighed:
    """Samples of one jump with the weights exp r: right for q(x) exp(r(x)) / Z, with q the density of X_{0,1}(x0).

    Args:
        X: the map.
        x0: draws from the base, shape (B, *D).
        reward: r, called with points (B, *D), returns (B,).
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if x0 is empty or not finite, or the reward has another shape or is not finite.
    """
    checks.points("x0", x0)
    checks.finite("x0", x0)
    if not len(x0):
        raise ValueError(f"x0 must hold at least one point, got shape {tuple(x0.shape)}")
    return Weighed(*one_jump(X, x0, reward, **condition))
