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
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.forward_ad import make_dual, unpack_dual

from flowmap_edu import _checks as checks

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
    # level 0 is the only one that torch has; named, since torch.compile misreads the current level
    value, tangent = unpack_dual(x, level=0)
    return product(x) if tangent is None else make_dual(product(value), product(tangent), level=0)


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


class UNet(nn.Module):
    r"""v_{s,t}(x) for images, the average slope of the map X_{s,t}(x) = x + (t - s) v_{s,t}(x).

    The encoder halves the image levels - 1 times and keeps what each of its blocks gives. Two blocks
    follow at the bottom, the first with attention. The decoder enlarges the image as often, and each
    of its other blocks takes one kept image back. s and t - s have their own features, whose
    embeddings are summed, the class's with them. The output's gain starts at 0, and so does v.

    Args:
        size: side of the images, divisible by 2^(levels - 1).
        channels: of an image.
        width, multipliers: width * multipliers[i] channels at level i, the finest first.
        blocks: of the encoder at each level; the decoder has one more.
        attention: sides of the images at which the blocks have attention.
        classes: how many; 0 for an unconditional network.
        dropout: probability of dropping an entry inside the residuals.
        scale: images are divided by it first, to be of magnitude 1 (the base's standard deviation).
        bandwidth: highest frequency of the times' features, in turns; see `Fourier`.

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
        width: int,
        multipliers: tuple[int, ...],
        blocks: int,
        attention: tuple[int, ...] = (),
        classes: int = 0,
        dropout: float = 0.0,
        scale: float = 0.5,
        bandwidth: float = 2.0,
    ):
        super().__init__()
        levels = len(multipliers)
        for name, value in (("size", size), ("channels", channels), ("width", width), ("blocks", blocks)):
            checks.count(name, value)
        for value in multipliers or (0,):
            checks.count("each of multipliers", value)
        checks.at_least("classes", classes, 0)
        if size % 2 ** (levels - 1):
            raise ValueError(f"size must be divisible by {2 ** (levels - 1)} for {levels} levels, got {size}")
        if not (0 <= dropout < 1 and scale > 0):
            raise ValueError(f"dropout must lie in [0, 1) and scale be positive, got {dropout} and {scale}")
        self.size, self.channels, self.classes = size, channels, classes
        self.dropout, self.scale = dropout, scale

        widths = [width * m for m in multipliers]
        emb = max(widths)
        self.features_s, self.features_d = (Fourier(1, widths[0], bandwidth) for _ in range(2))
        self.embed_s, self.embed_d = (Weight(widths[0], emb) for _ in range(2))
        self.embed_class = Weight(classes, emb) if classes else None
        self.pair_features, self.pair_linear = Fourier(2, 64, bandwidth=1.0), nn.Linear(64, 1)
        nn.init.zeros_(self.pair_linear.weight)
        nn.init.zeros_(self.pair_linear.bias)

        now, kept = widths[0], [widths[0]]
        self.first = Weight(channels + 1, now, kernel=3)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level, out in enumerate(widths):
            if level > 0:
                self.encoder.append(Block(now, now, emb, normalise=True, resample=halve))
                kept.append(now)
            for _ in range(blocks):
                self.encoder.append(Block(now, out, emb, normalise=True, attention=size >> level in attention))
                kept.append(now := out)
        self.middle = nn.ModuleList([Block(now, now, emb, attention=True), Block(now, now, emb)])
        for level, out in reversed(list(enumerate(widths))):
            if level < levels - 1:
                self.decoder.append(Block(now, now, emb, resample=enlarge))
            for _ in range(blocks + 1):
                self.decoder.append(Block(now + kept.pop(), out, emb, attention=size >> level in attention))
                now = out
        self.last = Weight(now, channels, kernel=3)
        self.gain = nn.Parameter(torch.zeros(1))

    def embedding(self, s: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """What every block is told of s, t - s and the class, shape (B, embedding)."""
        emb = mp_sum(self.embed_s(self.features_s(s)), self.embed_d(self.features_d(t - s)))
        if self.embed_class is not None and labels is not None:
            one_hot = labels[:, None] == torch.arange(self.classes, device=labels.device)  # all False for -1
            emb = mp_sum(emb, self.embed_class(math.sqrt(self.classes) * one_hot.to(emb.dtype)))
        return mp_silu(emb)

    def forward(
        self, s: Tensor, t: Tensor, x: Tensor, labels: Tensor | None = None, *, dropout: bool | None = None
    ) -> Tensor:
        """v_{s,t}(x), shape (B, C, size, size).

        Args:
            s, t: start and end times in [0, 1], shape (B,).
            x: images at time s, shape (B, C, size, size).
            labels: classes, int64 of shape (B,), wanted if there are any; -1 for "no class".
            dropout: False switches it off for this call, True on; None follows the module's mode.

        Raises:
            ValueError: if a shape is wrong, or labels are missing, not wanted, not int64 or out of range.
        """
        self.check(s, t, x, labels)
        p = self.dropout if (self.training if dropout is None else dropout) else 0.0
        emb, wanted = self.embedding(s, t, labels), x.dtype
        x = self.first(torch.cat([x / self.scale, torch.ones_like(x[:, :1])], dim=1))
        kept = [x]
        for block in self.encoder:
            kept.append(x := block(x, emb, p))
        for block in self.middle:
            x = block(x, emb, p)
        for block in self.decoder:
            x = block(mp_cat(x, kept.pop()) if block.resample is None else x, emb, p)
        return self.last(x, self.gain).to(wanted)  # under autocast x is in half precision by now

    def check(self, s: Tensor, t: Tensor, x: Tensor, labels: Tensor | None) -> None:
        """Raise ValueError unless the arguments of `forward` fit the network and each other."""
        wanted = (self.channels, self.size, self.size)
        if x.ndim != 4 or x.shape[1:] != wanted:
            raise ValueError(f"x must have shape (B, {', '.join(map(str, wanted))}), got {tuple(x.shape)}")
        for name, time in (("s", s), ("t", t)):
            if time.shape != x.shape[:1]:
                raise ValueError(f"{name} must have shape ({x.shape[0]},), one time an image; got {tuple(time.shape)}")
        if (labels is not None) != (self.classes > 0):
            came = "none" if labels is None else "some"
            raise ValueError(f"a network of {self.classes} classes wants labels exactly if it has any; got {came}")
        if labels is None:
            return
        if labels.dtype != torch.int64 or labels.shape != x.shape[:1]:
            raise ValueError(f"labels must be int64 of shape ({x.shape[0]},), got {labels.dtype} {tuple(labels.shape)}")
        if not torch.compiler.is_compiling():  # a check of values would break the compiled graph
            wrong = labels[(labels < -1) | (labels >= self.classes)]
            if len(wrong):
                raise ValueError(f"labels must lie in -1..{self.classes - 1}, got {wrong[0].item()}")

    def log_weight(self, s: Tensor, t: Tensor) -> Tensor:
        """The learned w_{s,t} of the loss exp(-w_{s,t}) |r|^2 + w_{s,t}, shape (B,); 0 when training starts.

        The loss is least at w_{s,t} = log E |r|^2, where all pairs (s, t) weigh alike. It is convex in
        the parameters of w, which are linear: random features of the pair, times a vector, plus a number.
        """
        features = self.pair_features(s, t)  # (B, 64)
        return self.pair_linear(features / math.sqrt(features.shape[1])).squeeze(1)

    def project(self) -> None:
        """Bring every weight's rows back to magnitude 1, in place: once after every optimiser step."""
        for module in self.modules():
            if isinstance(module, Weight):
                module.project()


# For images in [-1, 1] and a base of deviation 0.5. The first three are the sizes of the flow-map paper.
CIFAR: dict[str, Any] = {"size": 32, "width": 128, "multipliers": (2, 2, 2), "blocks": 4, "attention": (16,)}
FACES: dict[str, Any] = {"size": 64, "width": 128, "multipliers": (1, 2, 3, 4), "blocks": 3, "attention": (16, 8)}
EMOJI: dict[str, Any] = {"size": 32, "width": 24, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,)}
DIGITS: dict[str, Any] = {"size": 8, "channels": 1, "width": 8, "multipliers": (2, 3), "blocks": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "cifar10": {**CIFAR, "dropout": 0.13},  # 54.7 million parameters
    "celeba64": FACES,  # 124.3 million
    "afhq64": FACES,
    "emoji": {**EMOJI, "classes": 10},  # 678 thousand
    "digits": {**DIGITS, "classes": 10},  # 108 thousand, for two CPU cores
}


def build(name: str, **changes: Any) -> UNet:
    """The network that CONFIGS has under this name, with some of its arguments changed.

    Raises:
        ValueError: for an unknown name, or what UNet refuses.
    """
    checks.one_of("name", name, CONFIGS)
    return UNet(**{**CONFIGS[name], **changes})
