"""In which precision a GPU multiplies numbers of 32 bits."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def float32_products(device: torch.device, tf32: bool) -> Iterator[None]:
    """Inside, float32 products and convolutions of a GPU are in TF32 (10 bits of mantissa), or in float32 (23 bits).

    Without it torch takes float32 for products and TF32 for convolutions. Nothing changes on a CPU.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
