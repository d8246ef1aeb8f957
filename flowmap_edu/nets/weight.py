"""The learned weight of the loss."""

import math

from torch import Tensor, nn

from flowmap_edu.nets.layers import Fourier


class LogWeight(nn.Module):
    """w_{s,t} of the loss exp(-w_{s,t}) |r|^2 + w_{s,t}; 0 when training starts.

    The loss is least at w_{s,t} = log E |r|^2, where all pairs (s, t) weigh alike. It is convex in
    the parameters of w, which are linear: random features of the pair, times a vector, plus a number.
    Source: Karras et al. 2024, arXiv 2312.02696, for one time; Boffi, Albergo & Vanden-Eijnden 2025, for two.
    """

    def __init__(self, features: int = 64):
        super().__init__()
        self.features, self.linear = Fourier(2, features, bandwidth=1.0), nn.Linear(features, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, s: Tensor, t: Tensor) -> Tensor:
        """w_{s,t}, shape (B,), for times of shape (B,)."""
        features = self.features(s, t)  # (B, 64)
        return self.linear(features / math.sqrt(features.shape[1])).squeeze(1)
