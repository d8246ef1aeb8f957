"""Numbers that say how good pictures are: Fréchet distance, labels read back, and how much is memorised.

The Fréchet distance of two sets of features with means m and covariances C is

    |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^{1/2}).

FID takes the features from the Inception network, FD-digits from our digit classifier. The computation is
torchmetrics'; any network that maps pictures to features can be given.
Source: Heusel et al. 2017.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from flowmap_edu import checks


def frechet(features: nn.Module, first: Tensor, second: Tensor, *, chunk: int = 500) -> float:
    """The Fréchet distance between two sets of pictures, in the squared units of the features.

    Args:
        features: maps pictures (B, C, H, W) to (B, F) and knows F as `num_features`.
        first, second: pictures as `features` wants them, at least two each.

    Raises:
        ValueError: if one set is too small, or the shapes of the pictures differ.
    """
    for name, x in (("first", first), ("second", second)):
        if x.ndim != 4 or len(x) < 2:
            raise ValueError(f"{name} must be at least two pictures (B, C, H, W), got {tuple(x.shape)}")
    checks.same_shape("a picture of first", first[0], "a picture of second", second[0])
    metric = FrechetInceptionDistance(feature=features)
    with torch.no_grad():
        for real, pictures in ((True, first), (False, second)):
            for part in pictures.split(chunk):
                metric.update(part, real=real)
    return float(metric.compute())


def nearest(pictures: Tensor, among: Tensor) -> Tensor:
    """The Euclidean distance of each picture to the nearest of `among`, shape (B,)."""
    exact = "donot_use_mm_for_euclid_dist"  # the faster |a|^2 - 2 ab + |b|^2 gives a copy a distance above 0
    return torch.cdist(pictures.flatten(1), among.flatten(1), compute_mode=exact).min(1).values


class Memorised(NamedTuple):
    """Mean distance to the nearest training and to the nearest held-out picture, and the share nearer to training."""

    to_train: float
    to_held_out: float
    nearer_to_train: float


def memorised(pictures: Tensor, train: Tensor, held_out: Tensor, generator: torch.Generator | None = None) -> Memorised:
    """Whether pictures lie nearer to those that were trained on than to others of the same kind.

    As many training pictures as there are held-out ones are compared, drawn at random, since the nearest of
    more is nearer. If the two sets are random parts of one collection, pictures that were not memorised have a
    share near 1/2; if not, compare with what real pictures score.

    Raises:
        ValueError: if there are fewer training than held-out pictures.
    """
    if len(train) < len(held_out):
        raise ValueError(f"at least {len(held_out)} training pictures are wanted, got {len(train)}")
    some = train[torch.randperm(len(train), generator=generator)[: len(held_out)]]
    a, b = nearest(pictures, some), nearest(pictures, held_out)
    return Memorised(a.mean().item(), b.mean().item(), (a < b).double().mean().item())
