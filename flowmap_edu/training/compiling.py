"""torch.compile where it works, the plain function where it does not."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._functorch import config

CONFIG = {
    "activation_memory_budget": 0.5,  # of what would be kept for the backward pass; cheap parts are done again there
    "is_non_builtin_to_include": True,  # the products of `_product` are not cheap
}
CONFIG = {name: value for name, value in CONFIG.items() if hasattr(config, name)}  # the second is newer than torch 2.6


def compiled(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f through torch.compile, anew for each new shape; f itself, with a warning, where this machine cannot compile."""
    chosen: list[Callable[..., Tensor]] = []
    settings = config.patch(CONFIG)  # made once, since a step enters it each time: a later shape is compiled there too

    def call(*args: Any) -> Tensor:
        if chosen == [f]:
            return f(*args)
        try:
            with warnings.catch_warnings(), settings:
                warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)  # torch's compiler on itself
                warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
                warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)  # `tf32` says whether
                if not chosen:
                    chosen.append(torch.compile(f, fullgraph=True))  # refuses by itself on a Python that is too new
                return chosen[0](*args)
        except Exception as error:  # whatever the tool chain raises; an error of f's own comes again below
            value = f(*args)
            chosen[:] = [f]
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            warnings.warn(
                f"torch.compile does not work here, training goes on without it, slower: {reason}", stacklevel=2
            )
        return value

    return call
