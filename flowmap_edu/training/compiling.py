"""torch.compile where it works, the plain function where it does not."""

import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch._functorch import config
from torch.utils._pytree import tree_leaves

CONFIG = {
    "activation_memory_budget": 0.5,  # of what would be kept for the backward pass; cheap parts are done again there
    "is_non_builtin_to_include": True,  # the products of `_product` are not cheap
}
CONFIG = {name: value for name, value in CONFIG.items() if hasattr(config, name)}  # the second is newer than torch 2.6
FILTERS = hasattr(torch.compiler, "keep_tensor_guards_unsafe")  # newer than torch 2.6
OF_LAYERS = ("DUPLICATE_INPUT", "EMPTY_NN_MODULE_HOOKS_DICT", "NOT_PRESENT_IN_GENERIC_DICT")


def watched(guards: Sequence[Any]) -> list[bool]:
    """Which of torch's questions before each call are asked: those on arguments, tensors and values.

    The others, 800 of 940 for a training step, ask whether Python's modules and the make of the network's layers are
    still what they were. A training changes none.
    """
    return [
        not (guard.is_global or guard.name.startswith("__import__") or guard.guard_type in OF_LAYERS)
        for guard in guards
    ]


def alone(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f with a code object of its own, by which torch keeps what it has compiled: no other run's is taken for it."""
    f = cast(types.FunctionType, f)
    own = types.FunctionType(f.__code__.replace(), f.__globals__, f.__name__, f.__defaults__, f.__closure__)
    own.__kwdefaults__ = f.__kwdefaults__
    return own


def compiled(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f through torch.compile, anew for each new shape; f itself, with a warning, where this machine cannot compile.

    What f reads besides its arguments may change as well, but for global variables and hooks.
    """
    chosen: list[Callable[..., Tensor]] = []
    seen: set[tuple[torch.Size, ...]] = set()  # the shapes that it was compiled for
    options: dict[str, str | int | bool | Callable[..., Any]] | None = {"guard_filter_fn": watched} if FILTERS else None

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
                    chosen.append(torch.compile(alone(f), fullgraph=True, options=options))  # refuses too new a Python
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
