r"""What is known of the data x1 once I_s = x is known, for the flows that are known exactly.

Given I_s = x, the density of x1 is p(x1) N(x; s x1, (1-s)^2 sigma^2 I) over its integral. For a Gaussian, a mixture and
the checkerboard it is a sum of products over the axes, so that means are sums of one-dimensional integrals:

    E[f(x1) | I_s = x] = sum_k prod_d int f_d(y) p_kd(y) N(x_d; s y, (1-s)^2 sigma^2) dy / (the same with f = 1).

Every integral is taken by 64 Gauss-Legendre nodes over the part of the axis that matters, within 9 standard
deviations; a part ends where the integrand has an edge. The relative error is below 1e-9 (tests/test_posterior.py).
"""

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from flowmap_edu.problems.rewards import Reward, valued
from flowmap_edu.problems.truncated import gauss_legendre

if TYPE_CHECKING:
    from flowmap_edu.problems.exact import ExactFlow

__all__ = ["NODES", "Components", "before_one", "draws", "expectations", "nodes"]

NODES = 64
REACH = 9.0  # standard deviations on either side
PLANE = 2  # a reward that is no sum over the axes is integrated over the plane at most
CHUNK = 64  # points at a time, for such a reward


class Components(NamedTuple):
    """The data as a sum of products over the axes: component k, axis d.

    Attributes:
        log_weight: log of its share, shape (K,).
        mean, std: of its normal density, shape (K, D); std is infinite where the density is flat.
        low, high: the interval on which it lives, shape (K, D).
    """

    log_weight: Tensor
    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor


def before_one(s: Tensor) -> None:
    """Raise ValueError if a time is 1: there the point is the data, and nothing is left to be known."""
    if bool((s >= 1).any()):
        raise ValueError("s must be below 1: at s = 1 the point is the data itself")


def product(data: Components, sigma: float, s: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the normal that is a component's density times the likelihood, (B, K, D) each."""
    spread, at, s = ((1 - s) * sigma)[:, None, None], x[:, None, :], s[:, None, None]
    flat = torch.isinf(data.std)
    precision = torch.where(flat, 0.0, data.std**-2) + (s / spread) ** 2
    precision = precision.clamp_min(1e-30)  # a flat density at s = 0
    mean = (torch.where(flat, 0.0, data.mean / data.std**2) + s * at / spread**2) / precision
    return mean, precision.rsqrt()


def draws(problem: "ExactFlow", s: Tensor, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """One draw of x1 given I_s = x for each point, shape (B, D): a component, then each axis by its distribution."""
    data = Components(*(a.to(x) for a in problem.components_of_data()))
    log_k = data.log_weight + nodes(data, problem.sigma, s, x)[1].logsumexp(-1).sum(-1)  # (B, K)
    k = torch.multinomial(log_k.softmax(-1), 1, generator=generator)[:, 0]
    mean, std = (a[torch.arange(len(x)), k] for a in product(data, problem.sigma, s, x))
    low, high = data.low[k], data.high[k]
    u = torch.rand(x.shape, generator=generator, dtype=x.dtype)
    right = low > mean  # mirrored there, so that both tails are small numbers and not nearly one
    a, b = (low - mean) / std, (high - mean) / std
    a, b = torch.where(right, -b, a), torch.where(right, -a, b)
    p = torch.special.ndtr(a)
    z = torch.special.ndtri(p + u * (torch.special.ndtr(b) - p))
    y = torch.where(std > 1e6 * (high - low), low + u * (high - low), mean + torch.where(right, -z, z) * std)
    return torch.minimum(torch.maximum(y, low), high)


def nodes(
    data: Components, sigma: float, s: Tensor, x: Tensor, splits: tuple[tuple[float, ...], ...] = ()
) -> tuple[Tensor, Tensor]:
    """Nodes y and log weights of the integrals over each axis, for each component, shape (B, K, D, Q) each.

    A weight holds Gauss-Legendre's own, the component's density at y, and the likelihood N(x; s y, (1-s)^2 sigma^2).
    """
    mean, std = product(data, sigma, s, x)
    nearest = torch.minimum(torch.maximum(mean, data.low), data.high)  # where the integrand is largest
    reach = std * torch.sqrt(REACH**2 + ((nearest - mean) / std) ** 2)  # beyond it is below exp(-40) of that
    low, high = torch.maximum(mean - reach, data.low), torch.minimum(mean + reach, data.high)
    parts = max((len(cut) for cut in splits), default=0) + 1
    ends = [low]
    for k in range(parts - 1):
        cut = torch.tensor([c[k] if k < len(c) else torch.inf for c in (*splits, *[()] * x.shape[1])][: x.shape[1]])
        ends.append(torch.minimum(torch.maximum(cut.to(x), ends[-1]), high))
    ends.append(high)
    u, w = (a.to(x) for a in gauss_legendre(NODES))
    y = torch.cat([a[..., None] + (b - a)[..., None] * u for a, b in itertools.pairwise(ends)], dim=-1)
    length = torch.stack([b - a for a, b in itertools.pairwise(ends)], dim=-1)
    log_w = ((length[..., None] * w).clamp_min(1e-300).log()).flatten(-2)
    spread, at, s = ((1 - s) * sigma)[:, None, None], x[:, None, :], s[:, None, None]  # (B, 1, 1 or D)
    flat = torch.isinf(data.std)
    prior = torch.where(flat, (data.high - data.low).reciprocal().log(), -data.std.log())[..., None]
    away = torch.where(flat[..., None], 0.0, (y - data.mean[..., None]) / data.std[..., None])
    likelihood = -(((at[..., None] - s[..., None] * y) / spread[..., None]) ** 2) / 2
    return y, log_w + prior - away**2 / 2 + likelihood


def expectations(
    problem: "ExactFlow", s: Tensor, x: Tensor, reward: Any, *, mean: bool = False
) -> tuple[Tensor, Tensor | None]:
    """log E[exp r(x1) | I_s = x], shape (B,); and where `mean` is asked for E[x1 exp r] / E[exp r], shape (B, D).

    Raises:
        ValueError: if s = 1, the reward is no sum over the axes and D is above 2, or its values are bad.
    """
    before_one(s)
    valued(reward, x)
    if isinstance(reward, Reward):
        return by_axes(problem, s, x, reward, mean)
    if x.shape[1] > PLANE:
        raise ValueError(f"a reward that is no sum over the axes (Reward.along) needs D <= {PLANE}, got {x.shape[1]}")
    parts = [in_the_plane(problem, *part, reward) for part in zip(s.split(CHUNK), x.split(CHUNK), strict=True)]
    log_h, means = (torch.cat(part) for part in zip(*parts, strict=True))
    return log_h, means if mean else None


def by_axes(problem: "ExactFlow", s: Tensor, x: Tensor, reward: Reward, mean: bool) -> tuple[Tensor, Tensor | None]:
    """The same for a reward that is a sum over the axes: one-dimensional sums alone."""
    data = problem.components_of_data()
    y, log_w = nodes(data, problem.sigma, s, x, reward.splits)
    with_r = log_w + torch.stack([reward.along(d, y[:, :, d]) for d in range(x.shape[1])], dim=2)
    sums, plain = with_r.logsumexp(-1), log_w.logsumexp(-1)  # (B, K, D)
    of_k = data.log_weight.to(x) + sums.sum(-1)  # (B, K)
    log_h = of_k.logsumexp(-1) - (data.log_weight.to(x) + plain.sum(-1)).logsumexp(-1)
    if not mean:
        return log_h, None
    within = (with_r.softmax(-1) * y).sum(-1)  # E[y | component, axis]
    return log_h, (of_k.softmax(-1)[..., None] * within).sum(1)


def in_the_plane(problem: "ExactFlow", s: Tensor, x: Tensor, reward: Any) -> tuple[Tensor, Tensor]:
    """The same for any reward, over the grid of the nodes of both axes (of the line, for D = 1)."""
    data = problem.components_of_data()
    y, log_w = nodes(data, problem.sigma, s, x)
    if x.shape[1] == 1:
        points, weight = y.movedim(2, -1), log_w[:, :, 0]  # (B, K, Q, 1), (B, K, Q)
    else:
        first, second = (y[:, :, d] for d in (0, 1))
        grid = torch.broadcast_tensors(first[..., :, None], second[..., None, :])
        points = torch.stack(grid, dim=-1).flatten(2, 3)
        weight = (log_w[:, :, 0, :, None] + log_w[:, :, 1, None, :]).flatten(2)
    weight = (weight + data.log_weight.to(x)[:, None]).flatten(1)  # (B, K Q^2)
    points = points.flatten(1, 2)
    r = valued(reward, points.flatten(0, 1)).reshape(weight.shape)
    log_h = (weight + r).logsumexp(-1) - weight.logsumexp(-1)
    return log_h, ((weight + r).softmax(-1)[..., None] * points).sum(1)
