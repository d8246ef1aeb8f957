"""Whether samples are copies of the training data: distances to the nearest training and held-out samples."""

from typing import NamedTuple

import torch
from torch import Tensor


def nearest(samples: Tensor, among: Tensor) -> Tensor:
    """The Euclidean distance of each sample to the nearest of `among`, shape (B,)."""
    exact = "donot_use_mm_for_euclid_dist"  # the faster |a|^2 - 2 ab + |b|^2 gives a copy a distance above 0
    return torch.cdist(samples.flatten(1), among.flatten(1), compute_mode=exact).min(1).values


class Memorised(NamedTuple):
    """Mean distance to the nearest training and to the nearest held-out sample, and the share nearer to training."""

    to_train: float
    to_held_out: float
    nearer_to_train: float


def memorised(samples: Tensor, train: Tensor, held_out: Tensor, generator: torch.Generator | None = None) -> Memorised:
    """Whether samples lie nearer to those that were trained on than to others of the same kind.

    As many training samples as there are held-out ones are compared, drawn at random, since the nearest of
    more is nearer. If the two sets are random parts of one collection, samples that were not memorised have a
    share near 1/2; if not, compare with what real samples score.

    Raises:
        ValueError: if there are fewer training than held-out samples.
    """
    if len(train) < len(held_out):
        raise ValueError(f"at least {len(held_out)} training samples are wanted, got {len(train)}")
    some = train[torch.randperm(len(train), generator=generator)[: len(held_out)]]
    a, b = nearest(samples, some), nearest(samples, held_out)
    return Memorised(a.mean().item(), b.mean().item(), (a < b).double().mean().item())


def copies(samples: Tensor, train: Tensor, held_out: Tensor) -> float:
    """How near samples are to the training data, over how near unseen data are: 0 for copies, about 1 for none.

    The median distance of a sample to the nearest of all training samples, over the median distance of a held-out
    sample to the nearest of them.

    Args:
        samples, train, held_out: shape (B, *D), each with a length of its own.

    Raises:
        ValueError: if one of them is empty, or their shapes differ.
    """
    for name, x in (("samples", samples), ("train", train), ("held_out", held_out)):
        if not len(x):
            raise ValueError(f"{name} must hold at least one sample, got shape {tuple(x.shape)}")
        if x.shape[1:] != samples.shape[1:]:
            raise ValueError(f"{name} must have samples of shape {tuple(samples.shape[1:])}, got {tuple(x.shape[1:])}")
    return (nearest(samples, train).median() / nearest(held_out, train).median()).item()
