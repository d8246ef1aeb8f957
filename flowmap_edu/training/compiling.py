"""torch.compile where it works, the plain function where it does not."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._functorch import config
from torch.utils._pytree import tree_leaves

CONFIG = {
    "activation_memory_budget": 0.5,  # of what would be kept for the backward pass; cheap parts are done again there
    "is_non_builtin_to_include": True,  # the products of `_product` are not cheap
}
CONFIG = {name: value for name, value in CONFIG.items() if hasattr(config, name)}  # the second is newer than torch 2.6


def compiled(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f through torch.compile, anew for each new shape; f itself, with a warning, where this machine cannot compile."""
    chosen: list[Callable[..., Tensor]] = []
    seen: set[tuple[torch.Size, ...]] = set()  # the shapes that it was compiled for

    def call(*args: Any) -> Tensor:
        shapes = tuple(a.shape for a in tree_leaves(args) if isinstance(a, Tensor))
        if chosen == [f] or shapes in seen:
            return chosen[0](*args)
        try:
            with warnings.catch_warnings(), config.patch(CONFIG):
                warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)  # torch's compiler on itself
                warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
                warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)  # `tf32` says whether
                if not chosen:
                    chosen.append(torch.compile(f, fullgraph=True))  # refuses by itself on a Python that is too new
                value = chosen[0](*args)
            seen.add(shapes)
        except Exception as error:  # whatever the tool chain raises; an error of f's own comes again below
            value = f(*args)
            chosen[:] = [f]
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            warnings.warn(
                f"torch.compile does not work here, training goes on without it, slower: {reason}", stacklevel=2
            )
        return value

    return call
