"""Whether samples are copies of the training data: distances to the nearest training and held-out samples."""

from typing import NamedTuple

import torch
from torch import Tensor

from flowmap_edu import _checks as checks


def nearest(samples: Tensor, among: Tensor, exact: bool = True) -> Tensor:
    """The Euclidean distance of each sample to the nearest of `among`, shape (B,).

    Args:
        samples, among: finite, shape (B, *D), each with a length of its own.
        exact: False: by |a|^2 - 2 ab + |b|^2, much faster for images, with a copy at about 0 instead of 0.

    Raises:
        ValueError: if one is no such tensor or not finite, one is empty, or their types or shapes differ.
    """
    comparable(samples=samples, among=among)
    mode = "donot_use_mm_for_euclid_dist" if exact else "use_mm_for_euclid_dist"
    return torch.cdist(samples.flatten(1), among.flatten(1), compute_mode=mode).min(1).values


def comparable(**sets: Tensor) -> None:
    """Raise ValueError unless all are finite samples of one shape and type; none is empty."""
    first, like = next(iter(sets.items()))
    for name, x in sets.items():
        checks.points(name, x)
        checks.finite(name, x)
        if not len(x):
            raise ValueError(f"{name} must hold at least one sample, got shape {tuple(x.shape)}")
        if (x.shape[1:], x.dtype) != (like.shape[1:], like.dtype):
            raise ValueError(
                f"{name} must have samples of shape {tuple(like.shape[1:])} and {like.dtype}, as {first} has; got "
                f"{checks.kind(x)}"
            )


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
        ValueError: if there are fewer training than held-out samples, one set is empty or not finite, or their shapes
            or types differ.
    """
    comparable(samples=samples, train=train, held_out=held_out)
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
        ValueError: if one of them is empty or not finite, or their shapes or types differ.
    """
    comparable(samples=samples, train=train, held_out=held_out)
    return (nearest(samples, train).median() / nearest(held_out, train).median()).item()


def threshold(train: Tensor, held_out: Tensor, share: float = 0.05) -> float:
    """The distance to the nearest training sample that a share of the held-out samples, 5 %, stays below."""
    return torch.quantile(nearest(held_out, train, exact=False), checks.share("share", share)).item()


def suspects(samples: Tensor, train: Tensor, held_out: Tensor, share: float = 0.05) -> float:
    """The share of samples that lie nearer to a training sample than all but 5 % of the held-out ones do.

    All training samples are searched, so no copy is missed. New samples as far from them as held-out ones have a share
    of 5 %, copies of 100 %, and with a share c of copies among new samples it is c + 0.05 (1 - c). The two sets must be
    random parts of one collection.

    Args:
        samples, train, held_out: shape (B, *D), each with a length of its own.
        share: of the held-out samples that are nearer than the threshold.

    Raises:
        ValueError: if one of them is empty or not finite, their shapes or types differ, or share is not in [0, 1].
    """
    comparable(samples=samples, train=train, held_out=held_out)
    return (nearest(samples, train, exact=False) < threshold(train, held_out, share)).double().mean().item()
