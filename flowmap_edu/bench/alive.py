"""What a computation costs, counted and not timed: multiplications in products, and bytes that are alive at once."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that are made inside `with Alive() as alive:` and are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Do the operation, and note what it has made; a storage is forgotten when it is freed."""
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                key = storage._cdata  # type: ignore[attr-defined]
                if key not in self.sizes:
                    self.sizes[key] = storage.nbytes()
                    weakref.finalize(storage, self.sizes.pop, key, None)
        self.peak = max(self.peak, sum(self.sizes.values()))
        return out


def peak_bytes(f: Callable[[], object]) -> int:
    """The most bytes that were alive at once among those that f() allocates."""
    with Alive() as alive:
        f()
    return alive.peak


def products(f: Callable[[], object]) -> int:
    """The multiplications and additions in the matrix products of f(); everything else is small in a network."""
    with FlopCounterMode(display=False) as counter:
        f()
    return counter.get_total_flops()
