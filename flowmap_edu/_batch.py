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
    """What one step of training reads: points on the diagonal, and jumps off it. A part may be empty.

    Where `Training.denoised` is above 0, the ends are jumps to t = 1: from s to u, then one Euler step.
    """

    diagonal: Diagonal
    jumps: Jumps
    ends: Jumps | None = None

    def share(self, part: int, of: int) -> "Batch":
        """Every of-th sample of each part, from `part` on: as evenly spread in time as the whole."""
        return self.changed(lambda x: x[part::of])

    @property
    def size(self) -> int:
        """How many samples the parts have together."""
        return len(self.diagonal.t) + sum(len(part.s) for part in self.off)

    @property
    def off(self) -> list[Jumps]:
        """What lies off the diagonal: the jumps, and the ends if there are any."""
        return [self.jumps] if self.ends is None else [self.jumps, self.ends]

    @property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """The times (s, t) of all samples, shape (size,) each, in the order of `methods.loss`."""
        t = self.diagonal.t
        return torch.cat([t, *(part.s for part in self.off)]), torch.cat([t, *(part.t for part in self.off)])

    def alone(self) -> "list[Batch]":
        """Each part as a batch without the others; without what is empty."""
        none = self.changed(lambda x: x[:0])
        first, second, third = self
        parts = [Batch(first, none.jumps), Batch(none.diagonal, second), Batch(none.diagonal, none.jumps, third)]
        return [part for part in parts if part.size]

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> "Batch":
        """The batch on a device, its images in a memory format."""

        def moved(x: Tensor) -> Tensor:
            x = x.to(device, non_blocking=True)
            return x.contiguous(memory_format=memory_format if x.ndim == 4 else torch.contiguous_format)

        return self.changed(moved)

    def changed(self, f: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with f applied to each tensor."""
        one, two, three = (None if part is None else [None if x is None else f(x) for x in part] for part in self)
        return Batch(Diagonal(*one), Jumps(*two), None if three is None else Jumps(*three))  # type: ignore[arg-type]
