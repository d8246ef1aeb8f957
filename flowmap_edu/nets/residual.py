"""A network for small images on a CPU: an MLP with residuals that sees all pixels at once."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flowmap_edu import _checks as checks
from flowmap_edu._reference import recorded
from flowmap_edu.nets.layers import Linear, pixel_norm


class ResidualBlock(nn.Module):
    """h + W_2 silu((1 + a) * W_1 norm(h) + b), where a and b come from the times and the class.

    Args:
        hidden: entries of h.
        embedding: entries of what the block is told of the times and the class.
    """

    def __init__(self, hidden: int, embedding: int):
        super().__init__()
        self.first, self.second = Linear(hidden, hidden), Linear(hidden, hidden)
        self.told = Linear(embedding, 2 * hidden)
        nn.init.zeros_(self.second.weight)

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        """The block's output, of the shape of h, (B, hidden)."""
        a, b = self.told(emb).chunk(2, dim=1)
        return h + self.second(F.silu((1 + a) * self.first(pixel_norm(h)) + b))


@recorded
class ResidualMLP(nn.Module):
    r"""v_{s,t}(x) for small images: all pixels go through residual blocks of full matrices.

    It has no idea of neighbours, which a U-Net has. For that a pass costs one multiplication a weight, some twenty
    times fewer than a U-Net of the same number of weights, so that a CPU can take many more steps.

    The noise has as many entries as there are pixels, more than the blocks are wide. So each pixel also goes to
    the output directly, by a factor that depends on the times and the class.

    Args:
        shape: of an image, (C, H, W).
        hidden: width of the blocks.
        blocks: how many.
        classes: how many; 0 for an unconditional network.
        scale: images are divided by it first (the base's standard deviation).
        embedding: entries of what the blocks are told.
        time_frequencies: K, for sin and cos of pi k s and pi k t with k = 1..K.

    Weights are drawn from torch's global generator. The last layers start at 0, and so does v.

    Raises:
        ValueError: for a size or scale below its least value.
    """

    multiples: Tensor  # (time_frequencies,)

    def __init__(
        self,
        shape: tuple[int, int, int],
        hidden: int = 256,
        blocks: int = 3,
        *,
        classes: int = 0,
        scale: float = 0.5,
        embedding: int = 64,
        time_frequencies: int = 4,
    ):
        super().__init__()
        hidden, blocks, embedding = (
            checks.count("hidden", hidden),
            checks.count("blocks", blocks),
            checks.count("embedding", embedding),
        )
        self.shape, self.classes = tuple(checks.counts("shape", shape)), checks.whole("classes", classes)
        if len(self.shape) != 3:
            raise ValueError(f"shape must be three numbers (C, H, W), got {shape}")
        self.scale, pixels = checks.positive("scale", scale), math.prod(self.shape)
        frequencies = checks.count("time_frequencies", time_frequencies)
        self.register_buffer("multiples", math.pi * torch.arange(1.0, frequencies + 1))
        self.embed = Linear(4 * frequencies + self.classes, embedding)
        self.first = Linear(pixels, hidden)
        self.blocks = nn.ModuleList([ResidualBlock(hidden, embedding) for _ in range(blocks)])
        self.last = Linear(hidden, pixels)
        self.through = Linear(embedding, pixels)
        for layer in (self.last, self.through):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, s: Tensor, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
        """v_{s,t}(x), shape (B, C, H, W).

        Args:
            s, t: start and end times, shape (B,).
            x: images at time s, shape (B, C, H, W).
            label: the class of each sample, int64 of shape (B,), where the network has classes; -1 for a hidden one.

        Raises:
            ValueError: if a shape or type is wrong, or label is missing, not expected, not int64 or out of range.
        """
        checks.network_input(s, t, x, self.shape, self.multiples.dtype)
        checks.labels(label, x, self.classes)
        angle = (torch.stack([s, t], dim=1)[:, :, None] * self.multiples).flatten(1)  # (B, 2 K)
        told = [angle.cos(), angle.sin()]
        if label is not None:
            one_hot = label[:, None] == torch.arange(self.classes, device=label.device)  # all False for -1
            told.append(one_hot.to(x.dtype))
        emb = F.silu(self.embed(torch.cat(told, dim=1)))
        h = self.first(x.flatten(1) / self.scale)
        for block in self.blocks:
            h = block(h, emb)
        through = self.through(emb).view(x.shape) * x / self.scale
        return self.last(pixel_norm(h)).view(x.shape) + through
