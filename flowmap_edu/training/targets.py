"""A quieter target for flow matching, from samples alone.

The diagonal loss regresses v_{t,t}(I_t) on dI_t, whose conditional mean given I_t is the
velocity. Any other variable with that conditional mean has the same minimiser; one with less
variance gives quieter gradients. Given a set of data points y, Bayes' rule says which of
them could have led to I_t = x:

    w(y) ~ N(x; b(t) y, a(t)^2 sigma^2 I),      E[dI_t | I_t = x] ~ sum_y w(y) dI_t(x, y),

where x0 = (x - b y) / a is the noise that joins x to y.
Source: Xu, Tong & Jaakkola 2023, "Stable target field for reduced variance score estimation".
This is not one of the flow-map paper's ingredients.
"""

import torch
from torch import Tensor

from flowmap_edu.interpolant import Interpolant


def stable(
    interpolant: Interpolant, t: Tensor, x: Tensor, own: Tensor, data: Tensor, sigma: float, *, below: float = 0.98
) -> Tensor:
    """The stable target field: the estimate above of E[dI_t | I_t = x], shape (B, D).

    Args:
        t: times, shape (B,).
        x: the interpolant I_t, shape (B, D).
        own: dI_t of the sample itself, shape (B, D); kept where t > below, because there the
            weights fall on one point and dividing by a(t) only amplifies rounding.
        data: data points y, shape (K, D); the x1 that the interpolants were made of must be
            among them.
        sigma: standard deviation of the base.
        below: the last time at which the estimate is used.
    """
    early = t <= below
    a, b, da, db = (c[:, None] for c in interpolant.coefficients(torch.where(early, t, 0.5)))
    precision = 1 / (a * sigma) ** 2  # (B, 1)
    log_weight = precision * b * (x @ data.T) - (precision * b**2 / 2) * data.square().sum(1)  # (B, K), and a constant
    mean = log_weight.softmax(1) @ data  # E[x1 | x], (B, D)
    return torch.where(early[:, None], da * (x - b * mean) / a + db * mean, own)
