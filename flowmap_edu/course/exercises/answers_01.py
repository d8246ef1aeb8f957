"""The right answers of lesson 01, written independently of it, their cases, and answers with a mistake in them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.interpolant import Linear
from flowmap_edu.metrics.kl import WHITE

Field = Callable[[Any, Tensor], Tensor]


def pairs() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Times, noise and data of seven samples, in the plane and on the line."""
    return [(times(7, 1)[0], points(7, d, seed=2), points(7, d, seed=3)) for d in (2, 1)]


def crowd() -> list[tuple[Tensor, Tensor, Tensor, float]]:
    """Many places with their slopes, a place in the middle, and a radius; in the plane and on the line."""
    return [(points(2000, d, seed=4), points(2000, d, seed=5), points(1, d, seed=6)[0] / 4, 0.3) for d in (2, 1)]


def bundled(I_t: Tensor, dI: Tensor, x: Tensor, radius: float, *, root: bool = True) -> tuple[Tensor, Tensor]:
    """The mean of the slopes of all places closer to x than radius, and its standard error, shape (D,) each."""
    chosen = [slope for place, slope in zip(I_t, dI, strict=True) if (place - x).square().sum() < radius**2]
    return mean_and_error(torch.stack(chosen), root)


def mean_and_error(slopes: Tensor, root: bool = True) -> tuple[Tensor, Tensor]:
    """The mean, and the standard deviation over sqrt(n), or over 1."""
    return slopes.mean(0), slopes.std(0) / (len(slopes) ** 0.5 if root else 1)


def cloud() -> list[tuple[float, Tensor, Tensor, float]]:
    """A time, five points, eleven samples of data, and sigma."""
    return [(0.4, points(5, d, seed=7), points(11, d, seed=8), 0.7) for d in (2, 1)]


def weighted(
    t: float, x: Tensor, data: Tensor, sigma: float, *, start: float | None = None, axis: int = 1, power: float = 2
) -> Tensor:
    """(E[x1 | I_t = x] - x) / (1 - t), x1 uniform over the samples of the data; or with a mistake in it."""
    away = x[:, None] - (t if start is None else start) * data[None]
    log_weight = -away.square().sum(-1) / (2 * ((1 - t) * sigma) ** power)
    return (torch.softmax(log_weight, axis) @ data - x) / (1 - t)


def swirl(t: Any, x: Tensor) -> Tensor:
    """A velocity that changes with time and place."""
    return torch.sin(3 * x.flip(-1) + 2 * t) + t * x


def walks() -> list[tuple[Field, Tensor, int]]:
    """A velocity, seven points, a number of steps."""
    return [(swirl, points(7), 5), (swirl, points(3, 1), 2)]


def walk(velocity: Field, x: Tensor, steps: int, *, late: int = 0, clock: bool = True, length: bool = True) -> Tensor:
    """Euler's method; or with a mistake in it."""
    ticks = torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()
    for k in range(steps):
        x = x + velocity(ticks[k + late] if clock else 0.0, x) * (1 / steps if length else 1.0)
    return x


def from_start(velocity: Field, x: Tensor, steps: int) -> Tensor:
    """Every slope read at the first point."""
    return x + sum((velocity(k / steps, x) for k in range(steps)), torch.zeros_like(x)) / steps


def heun(velocity: Field, x: Tensor, steps: int, *, end: bool = False, moved: bool = True, clock: int = 1) -> Tensor:
    """Heun's method with a last step by Euler; or with a mistake in it."""
    for k in range(steps):
        first = velocity(k / steps, x)
        second = velocity((k + clock) / steps, x + first / steps if moved else x)
        x = x + (first if k == steps - 1 and not end else (first + second) / 2) / steps
    return x


def shorter_late(
    velocity: Field, x: Tensor, steps: int, *, power: float = 2, late: int = 0, early: bool = False
) -> Tensor:
    """Euler's method with steps that become shorter; or with a mistake in it."""
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    ticks = (share**power if early else 1 - (1 - share) ** power).tolist()
    for k in range(steps):
        x = x + velocity(ticks[k + late], x) * (ticks[k + 1] - ticks[k])
    return x


def scattered() -> list[tuple[Tensor, Tensor]]:
    """Points with some in every bin, and a few points; and which bins are white."""
    generator = torch.Generator().manual_seed(0)
    return [(2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) ** 1.2 - 1, WHITE) for n in (150_000, 3000)]


def shares(x: Tensor, half: float = 0.5, below: float = 2048.0) -> Tensor:
    """The share of the points in each bin."""
    count = torch.histogramdd(x, bins=[64, 64], range=[-1.0, 1.0, -1.0, 1.0])[0]
    return (count + half) / (len(x) + below)


def paths() -> list[tuple[Tensor, Tensor]]:
    """Velocities at nine times along seven paths, and the chords."""
    return [(torch.stack([points(7, d, seed=k) for k in range(9)]), points(7, d, seed=20)) for d in (2, 1)]


def waste(b: Tensor, chord: Tensor) -> Tensor:
    """The mean over time of |b - chord|^2, one value a path."""
    return torch.stack([(now - chord).square().sum(1) for now in b]).mean(0)


def ways() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Velocities and places at nine times on seven paths, and the ends of the paths."""
    return [(b, torch.stack([points(7, b.shape[-1], seed=30 + k) for k in range(9)]), end) for b, end in paths()]


def growth(b: Tensor, path: Tensor, ends: Tensor) -> Tensor:
    """The derivative in time of |path - ends|, shape (T, B), by forward differentiation along b."""
    return torch.func.jvp(lambda x: (x - ends).square().sum(-1).sqrt(), (path,), (b,))[1]


def towards(b: Tensor, path: Tensor, ends: Tensor) -> Tensor:
    """The part of b along the chord: the direction from the start to the end, whatever the place is."""
    chord = ends - path[0]
    return -(b * chord).sum(-1) / chord.norm(dim=-1)


class Net(nn.Module):
    """A small velocity v(t, x), one time a sample."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = curved().slope

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """v at (t, x), shape (B, 2)."""
        return self.slope(t, t, x)


def batches() -> list[tuple[Net, Tensor, Tensor, Tensor]]:
    """A network and seven samples."""
    return [(Net(), times(7, 1)[0], points(7, seed=2), points(7, seed=3))]


def loss(v: Field, t: Tensor, x0: Tensor, x1: Tensor, target: Callable[..., Tensor] = lambda a, b: b - a) -> Tensor:
    """The flow matching loss of each sample; or with another target."""
    return (v(t, Linear()(t, x0, x1)[0]) - target(x0, x1)).square().sum(1)


def learned_judged(learned: Callable[..., Any]) -> str | None:
    """What is wrong with learned(net), or None."""
    net, x = curved().slope, points(7)
    velocity = learned(net)
    if velocity is None:
        return "It returns None: is there a `return`?"
    if not callable(velocity):
        return "A function is wanted: `learned(net)` returns `velocity`, and `velocity(t, x)` returns a tensor."
    value, right = velocity(0.25, x), net(torch.full((7,), 0.25), torch.full((7,), 0.25), x)
    if not isinstance(value, Tensor) or value.shape != right.shape:
        return "`velocity(t, x)` has to return a tensor of the shape of x."
    if not torch.allclose(value, right.to(value)):
        return "`velocity(0.25, x)` is not what the network says with both times at 0.25."
    return "The result carries a gradient: sampling would keep every step in memory." if value.requires_grad else None
