"""Lesson 08, its larger digits: which method is ahead, and guidance by labels."""

from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import points, times
from flowmap_edu.flow_map import FlowMap

B = 6


class Told(nn.Module):
    """A small random network v(s, t, x, label) of pictures 1 x 2 x 2 in float64; the label -1 has a row of its own."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(3)
        self.one = torch.randn(10, 12, generator=g, dtype=torch.float64) / 2
        self.two = torch.randn(12, 4, generator=g, dtype=torch.float64) / 3

    def forward(self, s: Tensor, t: Tensor, x: Tensor, label: Tensor) -> Tensor:
        """Two layers with a tanh between them."""
        told = torch.eye(4, dtype=x.dtype)[label]
        z = torch.cat([x.flatten(1), s[:, None], t[:, None], told], dim=1)
        return (torch.tanh(z @ self.one) @ self.two).view_as(x)


def cases() -> list[tuple[Any, ...]]:
    """(X, s, t, x, label, scale)."""
    s, t = times(B)
    return [(FlowMap(Told()), s, t, points(B, 4, 5).view(B, 1, 2, 2), torch.arange(B) % 3, 1.7)]


def slopes(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, label: Tensor, hidden: int = -1) -> tuple[Tensor, Tensor]:
    """The slopes with the label and without."""
    assert isinstance(X.slope, Told)
    return X.slope(s, t, x, label), X.slope(s, t, x, torch.full((len(x),), hidden))


def guided(*given: Any, hidden: int = -1) -> Tensor:
    """(1 - scale) v(none) + scale v(label)."""
    *where, scale = given
    told, untold = slopes(*where, hidden=hidden)
    return torch.lerp(untold, told, scale)


def mixed(a: float, b: float, c: float, d: float) -> Any:
    """(a + b scale) v(label) + (c + d scale) v(none): the mistakes."""

    def answer(*given: Any) -> Tensor:
        *where, scale = given
        told, untold = slopes(*where)
        return (a + b * scale) * told + (c + d * scale) * untold

    return answer


def distances() -> list[tuple[Tensor, Tensor]]:
    """(a, b): distances of three seeds each, so many columns that each mistake counts another number of them."""
    return [(points(60, 3, 11).T.abs(), points(60, 3, 20).T.abs() + 0.1)]


def ahead(a: Tensor, b: Tensor) -> int:
    """Columns in which all of a are below all of b."""
    return int((a[:, None] < b[None]).all(1).all(0).sum())


MNIST = {
    "08.13": Exercise(
        asks="in how many columns each seed of a is below each seed of b, a whole number",
        shown="Where two ranges overlap, neither of the two methods is called ahead.",
        right=ahead,
        cases=distances,
        mistakes={
            "The means are compared. One seed of b may still be below one of a.": lambda a, b: int(
                (a.mean(0) < b.mean(0)).sum()
            ),
            "Seed 0 is compared with seed 0 alone, and so on. Each is compared with each.": lambda a, b: int(
                (a < b).all(0).sum()
            ),
            "The best seeds are compared. The worst seed of a counts.": lambda a, b: int((a.amin(0) < b.amin(0)).sum()),
            "It is enough here that one seed of a is below one of b. All have to be.": lambda a, b: int(
                (a.amin(0) < b.amax(0)).sum()
            ),
            "The two methods are swapped: the smaller distance is ahead.": lambda a, b: ahead(b, a),
            "This is a share. The number of columns is wanted.": lambda a, b: ahead(a, b) / a.shape[1],
            "The largest is taken over the columns. It is wanted over the seeds.": lambda a, b: int(
                (a.amax(1) < b.amin(1)).sum()
            ),
        },
    ),
    "08.14": Exercise(
        asks="the guided slope, shape (B, C, H, W)",
        shown="Scale 1 is the map itself, and scale 0 ignores the label.",
        right=guided,
        cases=cases,
        mistakes={
            "The difference is added to the slope with the label. Then scale 1 is not the map itself.": (
                mixed(1, 1, 0, -1)
            ),
            "The difference has the wrong sign: it leads away from the label.": mixed(0, -1, 1, 1),
            "The slope without the label is not taken off.": mixed(0, 1, 1, 0),
            "The slope with the label is multiplied, and the other one is not used.": mixed(0, 1, 0, 0),
            "Only the difference is left: the slope without the label has to be added.": mixed(0, 1, 0, -1),
            "Label 0 is the digit 0. The hidden label is -1.": lambda *given: guided(*given, hidden=0),
            "These are landing points. The slope v is wanted.": lambda X, s, t, x, label, scale: (
                x + (t - s).view(-1, 1, 1, 1) * guided(X, s, t, x, label, scale)
            ),
            "The velocity at s is taken. The slope of the jump from s to t is wanted.": (
                lambda X, s, _, x, label, scale: guided(X, s, s, x, label, scale)
            ),
        },
    ),
}
