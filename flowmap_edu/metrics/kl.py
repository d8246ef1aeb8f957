"""KL64: how far samples are from the checkerboard."""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowmap_edu import _checks as checks

BINS = 64
CELL = torch.arange(BINS) // (BINS // 4)
WHITE = (CELL[:, None] + CELL[None, :]) % 2 == 0  # (64, 64): the bins of the eight squares that carry mass


def board_points(n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """n points of the checkerboard, shape (n, 2): a white square (i, j), then a point in it."""
    n = checks.count("n", n)
    device = generator.device if generator is not None else None
    square = torch.randint(8, (n,), generator=generator, device=device)
    i = square // 2
    j = 2 * (square % 2) + i % 2
    inside = torch.rand(n, 2, generator=generator, device=device, dtype=dtype)
    return (torch.stack([i, j], -1) + inside) / 2 - 1


class KL64(NamedTuple):
    """KL64 in nats, the mass outside the white squares, and the KL64 of an exact sample of the same size."""

    kl: float
    leak: float
    floor: float


def counted(samples: Tensor) -> tuple[float, float]:
    """KL64 and leak of a set of points, without the floor."""
    column = ((samples + 1) * (BINS / 2)).floor().long()  # (N, 2)
    inside = ((column >= 0) & (column < BINS)).all(dim=1)
    flat = column[inside, 0] * BINS + column[inside, 1]
    count = torch.bincount(flat, minlength=BINS * BINS).reshape(BINS, BINS).double()
    n = len(samples)
    q = (count + 0.5) / (n + BINS * BINS / 2)
    p = 1 / int(WHITE.sum())
    return (p * (math.log(p) - q[WHITE].log())).sum().item(), 1 - count[WHITE].sum().item() / n


def floor64(n: int) -> float:
    """KL64 of n exact draws: what a perfect model would score with as many points (one fixed draw)."""
    return floor_of(checks.count("n", n))


@functools.lru_cache(maxsize=16)
def floor_of(n: int) -> float:
    """`floor64`, computed once for each n."""
    return counted(board_points(n, torch.Generator().manual_seed(64)))[0]


def kl64(samples: Tensor) -> KL64:
    """How far the samples are from the checkerboard: sum of p log(p / q) over the 2,048 white bins.

    The plane is cut into 64 x 64 bins on [-1, 1]^2 whose lines fall on the squares' edges;
    p = 1 / 2048 on each white bin, q = (count + 1/2) / (N + 64 * 64 / 2). It falls with N
    for an exact sample, so compare at equal N: `floor` is what exact draws score. The usual N is
    1,000,000.

    Args:
        samples: points, shape (N, 2), in data units; those outside [-1, 1]^2 count as leak.

    Raises:
        ValueError: if the shape is not (N, 2) with N >= 1, or a point is not finite.
    """
    checks.points("samples", samples)
    if samples.ndim != 2 or samples.shape[1] != 2 or not len(samples):
        raise ValueError(f"samples must have shape (N, 2) with N >= 1, got {tuple(samples.shape)}")
    checks.finite("samples", samples)
    kl, leak = counted(samples)
    return KL64(kl, leak, floor64(len(samples)))
