"""Lesson 08, its loss: flow matching and LSD on pictures with labels."""

from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import points, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.losses import Diagonal, Jumps

B = 5  # on the diagonal, and off it


class Labelled(nn.Module):
    """A small random network v(s, t, x, label) of pictures 1 x 2 x 2 in float64."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.one = nn.Parameter(torch.randn(9, 12, generator=g, dtype=torch.float64) / 2)
        self.two = nn.Parameter(torch.randn(12, 4, generator=g, dtype=torch.float64) / 3)

    def forward(self, s: Tensor, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Two layers with a tanh between them; without a label, three zeros take its place."""
        told = torch.zeros(len(x), 3, dtype=x.dtype) if label is None else torch.eye(3, dtype=x.dtype)[label]
        z = torch.cat([x.flatten(1), s[:, None], t[:, None], told], dim=1)
        return (torch.tanh(z @ self.one) @ self.two).view_as(x)


def tiles(seed: int) -> Tensor:
    """B pictures of 2 x 2 pixels."""
    return points(B, 4, seed).view(B, 1, 2, 2)


def cases() -> list[tuple[Any, ...]]:
    """(net, diagonal, jumps)."""
    s, t = times(B)
    diagonal = Diagonal(times(B, seed=1)[1], tiles(1), tiles(2), torch.arange(B) % 3)
    return [(Labelled(), diagonal, Jumps(s, (s + t) / 2, t, tiles(3), tiles(4), (torch.arange(B) + 1) % 3))]


def right(
    net: nn.Module, diagonal: Diagonal, jumps: Jumps, *, hold: bool = True, told: Tensor | None = None, **other: bool
) -> Tensor:
    """|v_{t,t}(I_t; y) - target|^2 and |d/dt X - sg v_{t,t}(X; y)|^2; the keywords make the mistakes."""
    first = net(diagonal.t, diagonal.t, diagonal.x, label=diagonal.label) - diagonal.target
    label = jumps.label if told is None else told

    def v(s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return net(s, t, x, label=None if other.get("untold") else label)

    landed, moves = FlowMap(v).partial_t(jumps.s, jumps.t, jumps.x)
    when = jumps.s if other.get("early") else jumps.t
    target = v(when, when, jumps.x if other.get("at_start") else landed)
    parts = [first, moves - (target.detach() if hold else target)]
    squares = [part.flatten(1).square() for part in parts]
    return torch.cat([square.mean(1) if other.get("mean") else square.sum(1) for square in squares])


LABELLED = {
    "08.4": Exercise(
        asks="the losses of all samples, those on the diagonal first, one number a sample",
        shown="But for the labels and the shape of a sample this is the loss of the plane.",
        right=right,
        cases=cases,
        parameters=lambda net, *_: net.parameters(),
        mistakes={
            "The target of the second part still carries a gradient.": lambda *a: right(*a, hold=False),
            "The jumps are told the labels of the diagonal part.": lambda net, diagonal, jumps: right(
                net, diagonal, jumps, told=diagonal.label
            ),
            "The jumps are not told their labels.": lambda *a: right(*a, untold=True),
            "The target velocity is read at the start x. It has to be read where the map lands.": lambda *a: right(
                *a, at_start=True
            ),
            "The target velocity is read at the time s. The landing point is there at time t.": lambda *a: right(
                *a, early=True
            ),
            "The squares are averaged over the pixels. Their sum is wanted.": lambda *a: right(*a, mean=True),
            "The jumps come first. The samples on the diagonal are wanted first.": lambda *a: right(*a).roll(B),
        },
    ),
}
