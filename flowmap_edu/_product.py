r"""x W^T of 32-bit floats on a CPU, by the faster of the two libraries that torch has for it.

torch sends products of matrices to MKL, and convolutions to oneDNN. On AMD's processors MKL takes vectors of 256 bits.
On an EPYC that computes with 512 bits at a time, a product 1,024 x 512 x 512 takes 2.2 times as long with MKL as with
oneDNN (one thread; `python tests/benchmark.py --only jax`). On an older one it takes 1.1 times as long, but products of
small layers are faster with MKL: a training step of the checkerboard takes a tenth less. So large products go
to oneDNN. How large they must be depends on the processor. Where we have not measured, none goes there. torch calls its
own door to oneDNN only for networks whose weights are constant; what it lacks for a training are the derivatives,

    y = x W^T + b,      dL/dx = g W,   dL/dW = g^T x,   dL/db = sum of g's rows,      g = dL/dy,

two products of the same kind: with W^T in place of W, and with g^T and x^T in place of x and W.
"""

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

LEAST_BY_FAMILY = {26: 2**19, 25: 2**25}  # of AMD's processors: multiplications of a product from which oneDNN gains
HAS_BOTH = torch.backends.mkl.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
PROCESSOR = Path("/proc/cpuinfo")  # of Linux


def least(processor: str) -> float:
    """The least number of multiplications of a product for oneDNN, by a text such as that of `PROCESSOR`."""
    family = re.search(r"^cpu family\s*:\s*(\d+)", processor, re.MULTILINE)
    if family is None or "AuthenticAMD" not in processor:
        return math.inf
    return LEAST_BY_FAMILY.get(int(family[1]), math.inf)


LEAST = least(PROCESSOR.read_text(encoding="utf-8", errors="replace")) if HAS_BOTH and PROCESSOR.is_file() else math.inf
NAME = "flowmap_edu::product"

torch.library.define(NAME, "(Tensor x, Tensor weight, Tensor? bias) -> Tensor")


def onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x weight^T + bias, for float32 tensors of any strides."""
    return torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")


torch.library.impl(NAME, "CPU", onednn)


def shaped(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ARG001
    """An empty tensor of the result's shape, for torch.compile."""
    return x.new_empty(x.shape[0], weight.shape[0])


torch.library.register_fake(NAME, shaped)


def operations(x: torch.Size, weight: torch.Size, *_: object, **__: object) -> int:
    """Floating-point operations of a product: by them torch.compile decides what the backward pass computes again."""
    return 2 * x[0] * x[1] * weight[0]


register_flop_formula(torch.ops.flowmap_edu.product)(operations)


def keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:  # noqa: ARG001
    """What the backward pass needs."""
    ctx.save_for_backward(*inputs[:2])


def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    """The three derivatives of the module's docstring."""
    (x, weight), wanted = ctx.saved_tensors, ctx.needs_input_grad
    return (
        product(g, weight.T) if wanted[0] else None,
        product(g.T, x.T) if wanted[1] else None,
        g.sum(0) if wanted[2] else None,
    )


torch.library.register_autograd(NAME, backward, setup_context=keep)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias.

    Args:
        x: shape (B, inputs); neither it nor weight with a forward-mode derivative, nor inside torch.func.vmap.
        weight: shape (outputs, inputs).
        bias: shape (outputs,), or None.
    """
    if x.shape[0] * weight.numel() >= LEAST and fits(x) and fits(weight):
        return torch.ops.flowmap_edu.product.default(x, weight, bias)
    return torch.nn.functional.linear(x, weight, bias)


def fits(x: Tensor) -> bool:
    """Whether this is a matrix of 32-bit floats on a CPU, and is to stay one."""
    return x.is_cpu and x.dtype is torch.float32 and x.ndim == 2 and not torch.is_autocast_enabled("cpu")
