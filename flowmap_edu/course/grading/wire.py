"""Values as JSON: numbers, words, tensors, lists, and the arguments that are made anew.

What comes from a submission is decoded to plain values of known types, or to `Foreign`; no code of it is ever run.
This file imports nothing but the standard library, so that the runner starts at once.
"""

import base64
import importlib
import sys
from typing import Any

LARGEST_INT = 2**63


class Foreign:
    """A value of a kind that no answer has: only its description is known."""

    def __init__(self, words: str):
        self.words = words


def encode(value: Any) -> dict[str, Any]:
    """A value as JSON; what has no place in it becomes a description."""
    if value is None or isinstance(value, (bool, str)):
        return {"plain": str(value) if isinstance(value, str) else value}
    if isinstance(value, int):
        return {"plain": int(value)} if abs(value) < LARGEST_INT else {"foreign": "a very large whole number"}
    if isinstance(value, float):
        return {"plain": float(value)}
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [encode(v) for v in value]}
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        return {"tensor": tensor_bytes(value)}
    if numpy is not None and isinstance(value, numpy.generic):
        return (
            encode(value.item()) if isinstance(value.item(), (bool, int, float, str)) else {"foreign": "a NumPy object"}
        )
    if numpy is not None and isinstance(value, numpy.ndarray):
        return {"foreign": f"a NumPy array of shape {value.shape}"}
    if hasattr(value, "make") and hasattr(value, "keywords"):
        made = f"{value.make.__module__}:{value.make.__qualname__}"
        return {"made": made, "keywords": {k: encode(v) for k, v in value.keywords.items()}}
    return {"foreign": "a function" if callable(value) else f"a {type(value).__name__}"[:100]}


def tensor_bytes(value: Any) -> str:
    """A tensor as safetensors in base64; a copy without subclass, view or gradient."""
    import torch
    from safetensors.torch import save

    plain = value.detach().as_subclass(torch.Tensor).to("cpu").resolve_conj().resolve_neg().contiguous().clone()
    return base64.b64encode(save({"x": plain})).decode("ascii")


def decode(content: Any, *, make: bool = False) -> Any:
    """A value from JSON.

    Args:
        content: what `encode` gave, or what a submission wrote instead.
        make: whether arguments may be made anew: in the runner alone, for what the grader sent.

    Raises:
        ValueError: if it is not what `encode` gives.
    """
    if not isinstance(content, dict) or not content:
        raise ValueError("a value is a dictionary")
    kind, inner = next(iter(content.items()))
    if kind == "plain" and (inner is None or isinstance(inner, (bool, str, float))):
        return inner
    if kind == "plain" and isinstance(inner, int) and abs(inner) < LARGEST_INT:
        return inner
    if kind in ("list", "tuple") and isinstance(inner, list):
        parts = [decode(v, make=make) for v in inner]
        return tuple(parts) if kind == "tuple" else parts
    if kind == "tensor" and isinstance(inner, str):
        from safetensors.torch import load

        return load(base64.b64decode(inner, validate=True))["x"]
    if kind == "foreign" and isinstance(inner, str):
        return Foreign(inner[:200])
    if kind == "made" and make:
        module, _, name = str(inner).partition(":")
        return getattr(importlib.import_module(module), name)(
            **{k: decode(v, make=True) for k, v in content["keywords"].items()}
        )
    raise ValueError(f"a value of the kind {str(kind)[:50]!r}")
