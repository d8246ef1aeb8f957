"""The network for points: an MLP on x, s and t."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu._reference import recorded
from flowmap_edu.nets.layers import Linear


class FastGELU(nn.Module):
    """GELU in its tanh form, written with a sigmoid: x sigmoid(1.5958 (x + 0.0447 x^3)).

    The same function as `nn.GELU("tanh")`, since tanh(z) = 2 sigmoid(2z) - 1; faster on CPUs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every entry."""
        return x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))


DEEPEST = 1000  # layers; more are a slip of the pen
ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "gelu": FastGELU}


@recorded
class MLP(nn.Module):
    """v_{s,t}(x) as a multilayer perceptron on [x, Fourier features of x, sines and cosines of s and t, class].

    Args:
        dim: entries of a point.
        hidden: width of a hidden layer.
        layers: number of hidden layers.
        scale: the points are divided by it first (the base's standard deviation).
        fourier: number of random Fourier features of x / scale, half cosines and half sines;
            0 for none. They let a small network draw the sharp edges of the squares.
        bandwidth: standard deviation of their frequencies, in radians per unit of x / scale.
        time_frequencies: K, for sin and cos of pi k s and pi k t with k = 1..K; 0 gives s and t as
            they are.
        activation: "silu" or "gelu".
        classes: how many classes the network is told of, as a vector with a single 1; 0 for none.

    Weights and frequencies are drawn from torch's global generator; both are kept in the state.

    Raises:
        ValueError: for an unknown activation, or a size or scale below its least value.
    """

    frequencies: Tensor  # (dim, fourier / 2)
    multiples: Tensor  # (time_frequencies,)

    def __init__(
        self,
        dim: int = 2,
        hidden: int = 128,
        layers: int = 5,
        *,
        scale: float = 1.0,
        fourier: int = 64,
        bandwidth: float = 2.0,
        time_frequencies: int = 4,
        activation: str = "silu",
        classes: int = 0,
    ):
        super().__init__()
        dim, hidden, layers = (checks.count(k, v) for k, v in {"dim": dim, "hidden": hidden, "layers": layers}.items())
        fourier, classes = checks.whole("fourier", fourier), checks.whole("classes", classes)
        time_frequencies = checks.whole("time_frequencies", time_frequencies)
        if layers > DEEPEST:
            raise ValueError(f"layers must be at most {DEEPEST}, got {layers}")
        if fourier % 2:
            raise ValueError(f"fourier must be even, half cosines and half sines; got {fourier}")
        scale, bandwidth = checks.positive("scale", scale), checks.at_least("bandwidth", bandwidth, 0)
        checks.one_of("activation", activation, ACTIVATIONS)
        self.dim, self.scale, self.classes = dim, scale, classes
        self.register_buffer("frequencies", bandwidth * torch.randn(dim, fourier // 2))
        self.register_buffer("multiples", math.pi * torch.arange(1.0, time_frequencies + 1))
        width = dim + 2 * (fourier // 2) + (4 * time_frequencies or 2) + classes
        sizes = [width] + [hidden] * layers
        blocks = []
        for fan_in, fan_out in pairwise(sizes):
            blocks += [Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
        self.body = nn.Sequential(*blocks, Linear(hidden, dim))

    def features(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """What the first layer reads, shape (B, dim + fourier + 4 time_frequencies)."""
        x = x / self.scale
        phase = x @ self.frequencies
        times = torch.stack([s, t], dim=1)  # (B, 2)
        if len(self.multiples):
            angle = (times[:, :, None] * self.multiples).flatten(1)  # (B, 2 K)
            times = torch.cat([angle.cos(), angle.sin()], dim=1)
        return torch.cat([x, phase.cos(), phase.sin(), times], dim=1)

    def forward(self, s: Tensor, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
        """v_{s,t}(x), shape (B, dim).

        Args:
            s, t: start and end times, shape (B,).
            x: points at time s, shape (B, dim).
            label: the class of each sample, int64 of shape (B,), where the network has classes; -1 for a hidden one.

        Raises:
            ValueError: if x is not of shape (B, dim) or of another type than the weights, or label is missing, not
                expected, not int64 or out of range.
        """
        checks.network_input(s, t, x, (self.dim,), self.frequencies.dtype)
        checks.labels(label, x, self.classes)
        features = self.features(s, t, x)
        if label is not None:
            one_hot = label[:, None] == torch.arange(self.classes, device=label.device)  # all False for -1
            features = torch.cat([features, one_hot.to(features.dtype)], dim=1)
        return self.body(features)
