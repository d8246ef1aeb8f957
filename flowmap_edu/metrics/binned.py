"""How far samples of the plane are from a known density, over square bins."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from flowmap_edu import _checks as checks

__all__ = ["binned_kl"]

FINE = 8  # points an axis in a bin, for its mass


@torch.no_grad()
def binned_kl(
    log_density: Callable[[Tensor], Tensor], samples: Tensor, *, bins: int = 16, low: float = -1.0, high: float = 1.0
) -> float:
    r"""sum p log(p / q) over bins x bins squares of [low, high]^2, in nats.

    p is the share of the density in a bin, by 8 x 8 middle points, scaled to sum to one over the square. q is
    (count + 1/2) / (N + bins^2 / 2), as in `kl64`. Samples outside the square count in N alone. An exact sample does
    not score 0 either: compare with exact draws of the same N.

    Args:
        log_density: log p, called with points (M, 2), returns (M,); it need not be normalised.
        samples: points, shape (N, 2).
        bins: squares an axis.
        low, high: the ends of the square.

    Raises:
        ValueError: if the samples are no finite points of the plane, low is not below high, or the density is zero
            everywhere in the square.
    """
    checks.points("samples", samples)
    if samples.ndim != 2 or samples.shape[1] != 2 or not len(samples):
        raise ValueError(f"samples must have shape (N, 2) with N >= 1, got {tuple(samples.shape)}")
    checks.finite("samples", samples)
    bins = checks.count("bins", bins)
    low, high = checks.finite_number("low", low), checks.finite_number("high", high)
    if low >= high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    line = low + (high - low) * (torch.arange(bins * FINE, dtype=torch.float64) + 0.5) / (bins * FINE)
    points = torch.cartesian_prod(line, line)
    log_p = log_density(points).double()
    if log_p.shape != points.shape[:1] or not bool((log_p > -math.inf).any()):
        raise ValueError(f"log_density must give one value a point, not all -inf; got shape {tuple(log_p.shape)}")
    p = log_p.softmax(0).reshape(bins, FINE, bins, FINE).sum((1, 3))
    cell = ((samples.double() - low) * bins / (high - low)).floor().long()  # (N, 2)
    inside = ((cell >= 0) & (cell < bins)).all(dim=1)
    count = torch.bincount(cell[inside] @ torch.tensor([bins, 1]), minlength=bins**2).reshape(bins, bins).double()
    q = (count + 0.5) / (len(samples) + bins**2 / 2)
    return float((torch.xlogy(p, p) - p * q.log()).sum())
