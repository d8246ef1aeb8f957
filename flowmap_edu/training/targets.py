"""A quieter target for flow matching, from samples alone.

The diagonal loss regresses v_{t,t}(I_t) on dI_t, whose conditional mean given I_t is the
velocity. Any other variable with that conditional mean has the same minimiser; one with less
variance gives quieter gradients. Given a set of data points y, Bayes' rule says which of
them could have led to I_t = x:

    w(y) ~ N(x; b(t) y, a(t)^2 sigma^2 I),      E[dI_t | I_t = x] ~ sum_y w(y) dI_t(x, y),

where x0 = (x - b y) / a is the noise that joins x to y. The point x1 that the interpolant was made
of is one of the set, and the others are drawn as it was: given x and the set, each of them could
have been x1, with the probability w. So the sum is the mean of dI_t given x and the set, and has
the mean of dI_t.
Source: Xu, Tong & Jaakkola 2023, "Stable target field for reduced variance score estimation".
This is not one of the flow-map paper's ingredients.
"""

import torch
from torch import Tensor

from flowmap_edu.interpolant import Interpolant

FEW = 4  # entries of a point up to which the weights are summed entry by entry: one pass, once compiled


def stable(
    interpolant: Interpolant, t: Tensor, x: Tensor, own: Tensor, data: Tensor, sigma: float, *, below: float = 0.98
) -> Tensor:
    """The stable target field: the estimate above of E[dI_t | I_t = x], shape (..., B, D).

    Args:
        t: times, shape (..., B).
        x: the interpolant I_t, shape (..., B, D).
        own: dI_t of the sample itself, shape (..., B, D); kept where t > below, because there the
            weights fall on one point and dividing by a(t) only amplifies rounding.
        data: data points y, shape (..., K, D), a set for each batch; the x1 that the interpolants were made of must
            be among them.
        sigma: standard deviation of the base.
        below: the last time at which the estimate is used.
    """
    early = t <= below
    a, b, da, db = (c[..., None] for c in interpolant.coefficients(torch.where(early, t, 0.5)))
    mean = posterior_mean(x, b, a * sigma, data.unsqueeze(-3))
    return torch.where(early[..., None], da * (x - b * mean) / a + db * mean, own)


def posterior_mean(x: Tensor, b: Tensor, scale: Tensor, y: Tensor, counts: Tensor | float = 1.0) -> Tensor:
    """E[x1 | x] = sum_y w(y) y / sum_y w(y) with w(y) ~ N(x; b y, scale^2 I), shape (..., B, D).

    Args:
        x: shape (..., B, D).
        b, scale: shape (..., B, 1).
        y: the points for each sample, shape (..., B, K, D), or (..., 1, K, D) for all alike. The x1 that x was made of
            must be one of them, else all weights can be 0 in rounding.
        counts: 1 where a point counts and 0 where not, shape (..., B, K); for points of at most FEW entries.
    """
    if x.shape[-1] > FEW:
        y = y.squeeze(-3)
        return ((b * (x @ y.mT) - b**2 / 2 * y.square().sum(-1)[..., None, :]) / scale**2).softmax(-1) @ y
    square = sum((x[..., d, None] - b * y[..., d]).square() for d in range(x.shape[-1]))  # (..., B, K)
    w = counts * torch.exp(-square / (2 * scale**2))
    return torch.stack([(w * y[..., d]).sum(-1) for d in range(x.shape[-1])], -1) / w.sum(-1, keepdim=True)
