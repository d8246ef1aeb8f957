"""What the exercises are tried on: a small curved map none of whose derivatives vanishes, times and points."""

import torch
from torch import Tensor, nn

from flowmap_edu.flow_map import FlowMap

__all__ = ["curved", "parameters", "points", "times"]


class Curved(nn.Module):
    """A small random network v(s, t, x) in float64; none of its derivatives vanishes."""

    def __init__(self, dim: int, seed: int):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.one = nn.Parameter(torch.randn(dim + 2, 12, generator=g, dtype=torch.float64))
        self.two = nn.Parameter(torch.randn(12, dim, generator=g, dtype=torch.float64) / 3)

    def forward(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Two layers with a tanh between them; shape (B, dim)."""
        return torch.tanh(torch.cat([x, s[:, None], t[:, None]], dim=1) @ self.one) @ self.two


def curved(dim: int = 2, seed: int = 0) -> FlowMap:
    """The flow map built from a small random network; it obeys none of the three conditions."""
    return FlowMap(Curved(dim, seed))


def parameters(X: FlowMap, *_: object) -> list[Tensor]:
    """The parameters of a map's network, the first argument of a case."""
    assert isinstance(X.slope, nn.Module)
    return list(X.slope.parameters())


def times(n: int, count: int = 2, seed: int = 0) -> list[Tensor]:
    """`count` sorted times for each of n samples, float64, shape (n,) each."""
    g = torch.Generator().manual_seed(seed)
    return list(torch.rand(n, count, generator=g, dtype=torch.float64).sort(dim=1).values.unbind(1))


def points(n: int, dim: int = 2, seed: int = 1) -> Tensor:
    """n normal points, float64, shape (n, dim)."""
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
