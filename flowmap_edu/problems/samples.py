"""Checks of samples that a user brings, each with a message that says what to do."""

import hashlib
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowmap_edu import _checks as checks

FEWEST = 10  # samples


def from_numpy(name: str, x: np.ndarray[Any, Any]) -> Tensor:
    """A NumPy array of numbers as a tensor: copied if it is read-only, of another byte order or not contiguous.

    Raises:
        ValueError: if it holds something else than numbers, or is masked somewhere.
    """
    if np.ma.is_masked(x):
        raise ValueError(f"{name} must have no masked entries, got {np.ma.count_masked(x)} of {x.size}")
    try:
        return torch.from_numpy(np.require(x, x.dtype.newbyteorder("="), ["C", "W"]))
    except TypeError as error:
        raise ValueError(f"{name} must be an array of numbers, got {x.dtype}") from error


def array(name: str, x: Any) -> Tensor:
    """An array of samples as float32, shape (n, *D).

    Raises:
        ValueError: if it is no floating-point array with at least ten samples, or not finite in float32.
    """
    if isinstance(x, np.ndarray):
        x = from_numpy(name, x)
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} must be a torch tensor or a numpy array, got {type(x).__name__}")
    if not x.is_floating_point():
        hint = "; for bytes of images take x / 127.5 - 1" if x.dtype == torch.uint8 else "; take x.astype(float)"
        raise ValueError(f"{name} must be floating-point, got {x.dtype}{hint}")
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ValueError(f"{name} must have shape (n, *D), such as (n, 1) or (n, 3, 32, 32); got {tuple(x.shape)}")
    if len(x) < FEWEST:
        raise ValueError(f"{name} must hold at least {FEWEST} samples, got shape {tuple(x.shape)}")
    x = x.detach().float()
    bad = ~torch.isfinite(x)
    if bool(bad.any()):
        first = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"{name} must be finite; {int(bad.sum())} of {bad.numel()} entries are not, the first at {first}"
        )
    return x


def numbers_of(labels: Any) -> Tensor:
    """A list or a NumPy array of labels as int64 or float64."""
    try:
        y = np.asarray(labels)
    except ValueError as error:
        raise ValueError(f"labels must be whole numbers, got a {type(labels).__name__} of other things") from error
    if y.dtype.kind not in "biuf":
        raise ValueError(f"labels must be whole numbers, got {y.dtype}")
    return torch.from_numpy(y.astype(np.float64 if y.dtype.kind == "f" else np.int64))


def whole_labels(labels: Any, n: int) -> Tensor:
    """Labels as int64, shape (n,).

    Raises:
        ValueError: if they are of another length, not whole or negative.
    """
    if not isinstance(labels, Tensor):
        labels = numbers_of(labels)
    if labels.is_complex():
        raise ValueError(f"labels must be whole numbers, got {checks.kind(labels)}")
    y = labels.detach() if labels.is_floating_point() else labels.to(torch.int64)
    if y.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), one a sample; got {tuple(y.shape)}")
    whole = y.to(torch.int64)
    if not bool((whole == y).all()) or int(whole.min()) < 0:
        raise ValueError(f"labels must be whole numbers from 0 on, got values such as {y.unique()[:5].tolist()}")
    return whole


def warn_of_scale(x: Tensor, sigma: float, own: float) -> None:
    """Warn of what may train badly: constant columns, columns of very different scale, a far mean, a sigma far off."""
    advice = "standardise the columns, (x - mean) / std, and undo it on the samples"
    if x.ndim == 2:
        mean, std = x.mean(0), x.std(0)
        constant = (std == 0).nonzero().flatten().tolist()
        if constant:
            named = ", ".join(map(str, constant[:5])) + (", ..." if len(constant) > 5 else "")
            warnings.warn(
                f"columns {named} are constant: leave them out, the map has nothing to learn there", stacklevel=4
            )
        moving = std[std > 0]
        if len(moving) > 1 and float(moving.max() / moving.min()) > 10:
            lowest, highest = float(moving.min()), float(moving.max())
            warnings.warn(f"the columns' deviations run from {lowest:.3g} to {highest:.3g}: {advice}", stacklevel=4)
        elif len(moving) and float((mean.abs()[std > 0] / moving).max()) > 3:
            warnings.warn(f"a column's mean is more than 3 of its deviations away from 0: {advice}", stacklevel=4)
    if not 0.25 <= sigma / own <= 4:
        warnings.warn(
            f"sigma is {sigma:.3g}, the data's deviation {own:.3g}: the base and the data differ much", stacklevel=4
        )


def deviation(x: Tensor) -> float:
    """sqrt( E |x_i - E x_i|^2 ) over all entries i; ValueError if the data do not vary at all."""
    found = (x.double() - x.double().mean(0)).square().mean().sqrt().item()
    if found == 0:
        raise ValueError("all samples are equal: there is nothing to learn")
    return found


def digest(*parts: Tensor | None) -> str:
    """The SHA-256 of some tensors' bytes, in hexadecimal."""
    found = hashlib.sha256()
    for x in parts:
        if x is not None:
            found.update(f"{tuple(x.shape)} {x.dtype}".encode())
            found.update(x.contiguous().numpy().data)
    return found.hexdigest()


def split(n: int, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    """The indices to train on and those kept aside: a random part, drawn from the seed."""
    if checks.share("held_out", held_out) == 1:
        raise ValueError(f"held_out must be a share in [0, 1), got {held_out!r}")
    order = torch.randperm(n, generator=checks.generator(seed))
    aside = round(held_out * n)
    return order[aside:].sort().values, order[:aside].sort().values
