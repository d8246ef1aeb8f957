r"""The network for images: a U-Net in which every layer keeps the size of what passes through it.

Deep networks drift: weights grow, activations grow with them, and the same learning rate means less
and less. Here neither can. Call sqrt(mean z_i^2) the magnitude of z. Each layer below sends inputs of
magnitude 1 to outputs of magnitude 1, in expectation over independent inputs:

    linear, convolution   w / |w| per output unit, whatever the stored w; no bias, a constant channel instead
    activation            silu(x) / 0.596
    sum, concatenation    weighted, then divided by the magnitude that the weights give
    pixel norm            x / sqrt(mean over channels of x^2), where the encoder's main path would drift

All of it treats the samples of a batch one by one and has a forward-mode derivative, so
`torch.func.jvp` works in s, t and x; attention is written out for that reason.
Source: Karras et al. 2024, arXiv 2312.02696 (EDM2); written here from the paper's formulas.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu._reference import recorded
from flowmap_edu.nets.block import Block
from flowmap_edu.nets.layers import Fourier, Weight, enlarge, halve, mp_cat, mp_silu, mp_sum
from flowmap_edu.nets.weight import LogWeight

T = TypeVar("T")


@recorded
class UNet(nn.Module):
    r"""v_{s,t}(x) for images, the average slope of the map X_{s,t}(x) = x + (t - s) v_{s,t}(x).

    The encoder halves the image levels - 1 times and keeps what each of its blocks gives. Two blocks
    follow at the bottom, the first with attention. The decoder enlarges the image as often, and each
    of its other blocks takes one kept image back. s and t - s have their own features, whose
    embeddings are summed, the class's with them. The output's gain starts at 0, and so does v.

    With patch = p the network works on blocks of p x p pixels: a block is one place with p^2 C channels, and
    the image has 1/p of its side. That is p^2 times cheaper, and the finest convolutions see blocks only.

    Args:
        size: side of the images, divisible by patch 2^(levels - 1).
        channels: of an image.
        width, multipliers: width * multipliers[i] channels at level i, the finest first.
        blocks: of the encoder at each level; the decoder has one more.
        attention: sides of the images at which the blocks have attention, counted in patches.
        classes: how many; 0 for an unconditional network.
        dropout: probability of dropping an entry inside the residuals.
        scale: images are divided by it first, to be of magnitude 1 (the base's standard deviation).
        bandwidth: highest frequency of the times' features, in turns; see `Fourier`.
        patch: side of the blocks of pixels that are one place for the network.

    Weights and features are drawn from torch's global generator; both are kept in the state.

    Raises:
        ValueError: for a size that cannot be halved so often, or an argument out of its range.

    Source: Karras et al. 2024, config G; the two times as in Boffi, Albergo & Vanden-Eijnden 2025.
    """

    def __init__(
        self,
        size: int,
        channels: int = 3,
        *,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        attention: Sequence[int] = (),
        classes: int = 0,
        dropout: float = 0.0,
        scale: float = 0.5,
        bandwidth: float = 2.0,
        patch: int = 1,
    ):
        super().__init__()
        size, channels = checks.count("size", size), checks.count("channels", channels)
        width, blocks, classes = (
            checks.count("width", width),
            checks.count("blocks", blocks),
            checks.whole("classes", classes),
        )
        if blocks > 1000:
            raise ValueError(f"blocks must be at most 1000 a level, got {blocks}")
        multipliers = checks.counts("multipliers", multipliers)
        attention, levels = checks.counts("attention", attention), len(multipliers)
        if not levels:
            raise ValueError("multipliers must hold at least one number, got 0")
        bandwidth = checks.at_least("bandwidth", bandwidth, 0)
        self.patch = patch = checks.count("patch", patch)
        if size % (patch * 2 ** (levels - 1)):
            wanted = f"{patch * 2 ** (levels - 1)} for {levels} levels" + f" and patches of {patch}" * (patch > 1)
            raise ValueError(f"size must be divisible by {wanted}, got {size}")
        dropout, scale = checks.share("dropout", dropout), checks.positive("scale", scale)
        if dropout == 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.size, self.channels, self.classes = size, channels, classes
        self.dropout, self.scale = dropout, scale

        widths = [width * m for m in multipliers]
        emb = max(widths)
        self.features_s, self.features_d = (Fourier(1, widths[0], bandwidth) for _ in range(2))
        self.embed_s, self.embed_d = (Weight(widths[0], emb) for _ in range(2))
        self.embed_class = Weight(classes, emb) if classes else None
        self.log_weight = LogWeight()

        now, kept = widths[0], [widths[0]]
        self.first, side = Weight(channels * patch**2 + 1, now, kernel=3), size // patch
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level, out in enumerate(widths):
            if level > 0:
                self.encoder.append(Block(now, now, emb, normalise=True, resample=halve))
                kept.append(now)
            for _ in range(blocks):
                self.encoder.append(Block(now, out, emb, normalise=True, attention=side >> level in attention))
                kept.append(now := out)
        self.middle = nn.ModuleList([Block(now, now, emb, attention=True), Block(now, now, emb)])
        for level, out in reversed(list(enumerate(widths))):
            if level < levels - 1:
                self.decoder.append(Block(now, now, emb, resample=enlarge))
            for _ in range(blocks + 1):
                self.decoder.append(Block(now + kept.pop(), out, emb, attention=side >> level in attention))
                now = out
        self.last = Weight(now, channels * patch**2, kernel=3)
        self.gain = nn.Parameter(torch.zeros(1))

    def embedding(self, s: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        """What every block is told of s, t - s and the class, shape (B, embedding)."""
        emb = mp_sum(self.embed_s(self.features_s(s)), self.embed_d(self.features_d(t - s)))
        if self.embed_class is not None and label is not None:
            one_hot = label[:, None] == torch.arange(self.classes, device=label.device)  # all False for -1
            emb = mp_sum(emb, self.embed_class(math.sqrt(self.classes) * one_hot.to(emb.dtype)))
        return mp_silu(emb)

    def forward(
        self, s: Tensor, t: Tensor, x: Tensor, label: Tensor | None = None, *, dropout: bool | None = None
    ) -> Tensor:
        """v_{s,t}(x), shape (B, C, size, size).

        Args:
            s, t: start and end times in [0, 1], shape (B,).
            x: images at time s, shape (B, C, size, size).
            label: the class of each sample, int64 of shape (B,), where the network has classes; -1 for a hidden one.
            dropout: False switches it off for this call, True on; None follows the module's mode.

        Raises:
            ValueError: if a shape is wrong, or label is missing, not expected, not int64 or out of range.
        """
        self.check(s, t, x, label)
        p = self.dropout if (self.training if dropout is None else dropout) else 0.0
        emb, wanted = self.embedding(s, t, label), x.dtype
        x = x / self.scale
        if self.patch > 1:
            x = F.pixel_unshuffle(x, self.patch)  # (B, C p^2, size / p, size / p)
        x = self.first(torch.cat([x, torch.ones_like(x[:, :1])], dim=1))
        kept = [x]
        for block in self.encoder:
            kept.append(x := block(x, emb, p))
        for block in self.middle:
            x = block(x, emb, p)
        for block in self.decoder:
            x = block(mp_cat(x, kept.pop()) if block.resample is None else x, emb, p)
        x = self.last(x, self.gain)
        x = F.pixel_shuffle(x, self.patch) if self.patch > 1 else x
        return x.to(wanted)  # under autocast x is in half precision by now

    def check(self, s: Tensor, t: Tensor, x: Tensor, label: Tensor | None) -> None:
        """Raise ValueError unless the arguments of `forward` fit the network and each other."""
        checks.network_input(s, t, x, (self.channels, self.size, self.size), self.gain.dtype)
        checks.labels(label, x, self.classes)

    def project(self) -> None:
        """Bring every weight's rows back to magnitude 1, in place: once after every optimiser step."""
        for module in self.modules():
            if isinstance(module, Weight):
                module.project()


def renamed_keys(state: Mapping[str, T]) -> dict[str, T]:
    """A dictionary by a state's names; those of version 0.1, pair_features and pair_linear, become log_weight's."""
    new = {"pair_features.": "log_weight.features.", "pair_linear.": "log_weight.linear."}
    out = {}
    for name, tensor in state.items():
        for old in new:
            name = name.replace(old, new[old])
        out[name] = tensor
    return out
