"""The unit that the U-Net repeats."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flowmap_edu.nets.layers import Attention, Weight, mp_silu, mp_sum, pixel_norm


class Block(nn.Module):
    """Resample, add a residual, add attention: the unit that the U-Net repeats.

        x + conv(dropout(silu((1 + g W emb) * conv(silu(x))))),   then   x + attention(x)

    Each sum is an `mp_sum` of share 0.3. The times and the class come in by the factor alone, whose
    learned g starts at 0.

    Args:
        inputs, channels: channels of what comes in and of what goes out.
        embedding: entries of the embedding.
        normalise: bring the main path to `channels` and normalise its pixels before the residual
            reads it, as the encoder does; otherwise the residual reads all `inputs`.
        resample: `halve` or `enlarge`, applied first; None keeps the size.
        attention: whether attention follows.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        embedding: int,
        *,
        normalise: bool = False,
        resample: Callable[[Tensor], Tensor] | None = None,
        attention: bool = False,
    ):
        super().__init__()
        self.normalise, self.resample = normalise, resample
        self.skip = Weight(inputs, channels, kernel=1) if inputs != channels else nn.Identity()
        self.first = Weight(channels if normalise else inputs, channels, kernel=3)
        self.modulation = Weight(embedding, channels)
        self.gain = nn.Parameter(torch.zeros(1))
        self.second = Weight(channels, channels, kernel=3)
        self.attention = Attention(channels) if attention else None

    def forward(self, x: Tensor, emb: Tensor, dropout: float) -> Tensor:
        """The block's output, (B, channels, H', W'), for x (B, inputs, H, W) and emb (B, embedding)."""
        x = x if self.resample is None else self.resample(x)
        if self.normalise:
            x = pixel_norm(self.skip(x))
        factor = 1 + self.modulation(emb, self.gain)  # (B, channels)
        y = mp_silu(self.first(mp_silu(x)) * factor[:, :, None, None])
        y = self.second(F.dropout(y, dropout) if dropout else y)
        x = mp_sum(x if self.normalise else self.skip(x), y, 0.3)
        return x if self.attention is None else mp_sum(x, self.attention(x), 0.3)
