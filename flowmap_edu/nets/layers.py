"""Layers that keep the size of what passes through them; see unet.py for why.

Source: Karras et al. 2024, arXiv 2312.02696 (EDM2); written here from the paper's formulas.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.forward_ad import make_dual, unpack_dual

from flowmap_edu import _checks as checks
from flowmap_edu._product import product

SILU_MAGNITUDE = 0.596  # sqrt(E silu(z)^2) for z ~ N(0, 1)
EPSILON = 1e-4  # the magnitude below which pixel norm lets go: a pixel that is zero stays zero


def mp_silu(x: Tensor) -> Tensor:
    """silu(x) / 0.596: magnitude 1 again for x ~ N(0, 1)."""
    return F.silu(x) / SILU_MAGNITUDE


def mp_sum(a: Tensor, b: Tensor, share: float = 0.5) -> Tensor:
    """((1 - share) a + share b) / sqrt((1 - share)^2 + share^2): magnitude 1 if a and b are uncorrelated."""
    return torch.lerp(a, b.to(a.dtype), share) / math.hypot(1 - share, share)


def mp_cat(a: Tensor, b: Tensor) -> Tensor:
    """Channels of a, then of b, the two parts of equal weight however many channels each has.

    sqrt((N_a + N_b) / 2) [a / sqrt(N_a), b / sqrt(N_b)] for a (B, N_a, H, W) and b (B, N_b, H, W).
    """
    mean = (a.shape[1] + b.shape[1]) / 2
    return torch.cat([a * math.sqrt(mean / a.shape[1]), b * math.sqrt(mean / b.shape[1])], dim=1)


def pixel_norm(x: Tensor, dim: int = 1) -> Tensor:
    """x / sqrt(mean of x^2 along dim): every pixel's vector of channels brought to magnitude 1."""
    return x * (x.square().mean(dim, keepdim=True) + EPSILON**2).rsqrt()


def halve(x: Tensor) -> Tensor:
    """The average over 2 x 2 pixels, (B, C, H, W) -> (B, C, H/2, W/2)."""
    return F.avg_pool2d(x, 2)


def enlarge(x: Tensor) -> Tensor:
    """Every pixel four times, (B, C, H, W) -> (B, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Fourier(nn.Module):
    r"""Random features sqrt(2) cos(2 pi (f . z + phase)), of magnitude 1 for every z.

    Args:
        inputs: entries of z.
        features: how many.
        bandwidth: each entry of f is uniform in [-bandwidth, bandwidth], in turns per unit of z.

    The slope of a feature in one entry has magnitude 2 pi bandwidth / sqrt(3), and is a factor of
    all that d/ds and d/dt of the network hold: no frequency may be large by accident, hence the
    bound. The source draws normal frequencies of deviation 1 for a noise level that spans about 3.
    """

    frequencies: Tensor  # (inputs, features)
    phases: Tensor  # (features,)

    def __init__(self, inputs: int, features: int, bandwidth: float):
        super().__init__()
        self.register_buffer("frequencies", bandwidth * (2 * torch.rand(inputs, features) - 1))
        self.register_buffer("phases", torch.rand(features))

    def forward(self, *z: Tensor) -> Tensor:
        """The features of z, its entries given one by one, of shape (B,) each: shape (B, features)."""
        turns = torch.stack(z, dim=1) @ self.frequencies + self.phases
        return math.sqrt(2) * torch.cos(2 * math.pi * turns)


def linear_in(x: Tensor, product: Callable[[Tensor], Tensor]) -> Tensor:
    """product(x), and product(dx) as its forward-mode derivative, for a product that is linear in x.

    Torch's own derivative of a product also takes that of x with the weights' tangent. No one moves
    the weights here, so it would be a product with zeros: a jvp would cost three passes, not two.
    (A jvp along the weights themselves is refused by torch: RuntimeError.)
    """
    if checks.batched(x):
        return product(x)  # torch.func.vmap has no rule for what follows
    # level 0 is the only one that torch has; named, since torch.compile misreads the current level
    value, tangent = unpack_dual(x, level=0)
    return product(x) if tangent is None else make_dual(product(value), product(tangent), level=0)


class Linear(nn.Linear):
    """x W^T + b. The value and its forward-mode derivative dx W^T take one product; see `linear_in` and `_product`."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """(B, inputs) -> (B, outputs)."""
        if (
            checks.batched(input)
            or checks.batched(self.weight)
            or unpack_dual(self.weight, level=0).tangent is not None
        ):
            return super().forward(input)
        value, tangent = unpack_dual(input, level=0)
        if tangent is None:
            return product(value, self.weight, self.bias)
        y, dy = product(torch.cat([value, tangent]), self.weight).tensor_split(2)
        return make_dual(y + self.bias, dy, level=0)


class Weight(nn.Module):
    r"""A linear map or a convolution, of which only the direction of each row counts.

        y = gain * (w / |w|) x,   |w| over the fan_in entries of each output unit

    The gradient is then orthogonal to w, so every step lengthens w and the next one turns it less;
    `project` takes the length back. A row is kept at magnitude 1, that is |w| = sqrt(fan_in), so one
    learning rate means the same relative change in every layer.

    Args:
        inputs, outputs: entries of x and y, or their channels.
        kernel: the side of a convolution's kernel, padded to keep the image's size; 0 for a linear map.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, *[kernel] * (2 if kernel else 0)))

    def unit(self) -> Tensor:
        """w / |w|: the weight with rows of length 1."""
        return F.normalize(self.weight.flatten(1)).view_as(self.weight)

    def forward(self, x: Tensor, gain: float | Tensor = 1.0) -> Tensor:
        """Gain * (w / |w|) x: (B, inputs) -> (B, outputs), or (B, inputs, H, W) -> (B, outputs, H, W)."""
        weight = gain * self.unit()
        if weight.ndim == 2:
            return linear_in(x, lambda x: x @ weight.T)
        return linear_in(x, lambda x: F.conv2d(x, weight, padding=weight.shape[-1] // 2))

    @torch.no_grad()
    def project(self) -> None:
        """Bring every row of the stored weight back to magnitude 1, |w| = sqrt(fan_in), in place."""
        self.weight.copy_(math.sqrt(self.weight[0].numel()) * self.unit())


class Attention(nn.Module):
    r"""Every pixel reads from the pixels that resemble it: cosine attention.

        softmax(q^T k / sqrt(c)) v,   each pixel's q, k and v normalised to magnitude 1

    A logit is a cosine times sqrt(c), so none can run away. Heads have c = 64 channels, or the
    largest power of two that divides `channels`. Written as products and a softmax, since torch's
    fused kernels have no forward-mode derivative.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.head = math.gcd(channels, 64)
        self.qkv = Weight(channels, 3 * channels, kernel=1)
        self.out = Weight(channels, channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """What each pixel has read, of the shape of x, (B, C, H, W)."""
        qkv = self.qkv(x).reshape(x.shape[0], 3, -1, self.head, x.shape[2] * x.shape[3])  # (B, 3, heads, c, HW)
        q, k, v = pixel_norm(qkv, dim=3).unbind(1)  # (B, heads, c, HW) each
        reads = torch.softmax(q.mT @ k / math.sqrt(self.head), dim=-1)  # (B, heads, HW, HW), rows sum to 1
        return self.out((v @ reads.mT).reshape(x.shape))
