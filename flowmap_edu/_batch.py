"""What one step of training reads, as tensors."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Diagonal(NamedTuple):
    """What flow matching reads: times t (D,), points x = I_t (D, *shape), target (D, *shape), label (D,) or None."""

    t: Tensor
    x: Tensor
    target: Tensor
    label: Tensor | None = None


class Jumps(NamedTuple):
    """What a condition reads: times s <= u <= t (J,), points x = I_s and slopes dx = dI_s (J, *shape), label (J,).

    For a method with times "square" s and t stand in either order. For one with points "trajectory" x lies on a
    teacher's trajectory, and dx = (x_t - x_s) / (t - s) is its average slope.
    """

    s: Tensor
    u: Tensor
    t: Tensor
    x: Tensor
    dx: Tensor | None = None
    label: Tensor | None = None


class Batch(NamedTuple):
    """What one step of training reads: points on the diagonal, and jumps off it. Either part may be empty."""

    diagonal: Diagonal
    jumps: Jumps

    def share(self, part: int, of: int) -> "Batch":
        """Every of-th sample of both parts, from `part` on: as evenly spread in time as the whole."""
        return self.changed(lambda x: x[part::of])

    @property
    def size(self) -> int:
        """How many samples both parts have."""
        return len(self.diagonal.t) + len(self.jumps.s)

    def halves(self) -> "list[Batch]":
        """The diagonal without the jumps, and the jumps without the diagonal; without what is empty."""
        empty = self.changed(lambda x: x[:0])
        both = Batch(self.diagonal, empty.jumps), Batch(empty.diagonal, self.jumps)
        return [half for half in both if half.size]

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> "Batch":
        """The batch on a device, its images in a memory format."""

        def moved(x: Tensor) -> Tensor:
            x = x.to(device, non_blocking=True)
            return x.contiguous(memory_format=memory_format if x.ndim == 4 else torch.contiguous_format)

        return self.changed(moved)

    def changed(self, f: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with f applied to each tensor."""
        one, two = ([None if x is None else f(x) for x in part] for part in self)
        return Batch(Diagonal(*one), Jumps(*two))  # type: ignore[arg-type]
