"""What lesson 07 works on: samples on the board, at its true map, through one point of it, and on a Gaussian."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from flowmap_edu import losses, methods, problems
from flowmap_edu.times import triangle
from flowmap_edu.training import runs

__all__ = ["Samples", "at_the_truth", "jumps", "network", "of_a_gaussian", "on_the_board", "through", "weight"]


class Samples(NamedTuple):
    """Samples on their way: times s <= t, data x1, noise z ~ N(0, I), I_s and its slope; I_t too, float64 all.

    s and t have shape (n,), the others (n, 2). I_t = I_s + (t - s) dx, and dx = x1 - sigma z.
    """

    s: Tensor
    t: Tensor
    x1: Tensor
    z: Tensor
    x: Tensor
    dx: Tensor
    x_t: Tensor


def drawn(problem: problems.Problem, s: Tensor, t: Tensor, g: torch.Generator) -> Samples:
    """Samples of a problem at the times given."""
    x1, x0 = problem.sample(len(s), g)[0].double(), problem.base(len(s), g).double()
    s, t = s.double(), t.double()
    x, dx = (1 - s[:, None]) * x0 + s[:, None] * x1, x1 - x0
    return Samples(s, t, x1, x0 / problem.sigma, x, dx, x + (t - s)[:, None] * dx)


def on_the_board(n: int = 64) -> Samples:
    """n samples of the checkerboard, 0.05 < s < 0.9 and s < t < 1."""
    g = torch.Generator().manual_seed(0)
    s = 0.05 + 0.85 * torch.rand(n, generator=g, dtype=torch.float64)
    t = s + (1 - s) * torch.rand(n, generator=g, dtype=torch.float64)
    return drawn(problems.Checkerboard(), s, t, g)


def at_the_truth(n: int) -> Samples:
    """n samples of the checkerboard, both times up to 0.6."""
    g = torch.Generator().manual_seed(1)
    s, t = triangle(n, generator=g)
    return drawn(problems.Checkerboard(), 0.6 * s, 0.6 * t, g)


def of_a_gaussian(gauss: problems.Gaussian, n: int) -> Samples:
    """n samples of a Gaussian, every s < t."""
    g = torch.Generator().manual_seed(2)
    s, t = triangle(n, generator=g)
    return drawn(gauss, s, t, g)


def through(time: float, x: Tensor, n: int = 20_000) -> Tensor:
    """The slopes of n samples of the checkerboard that pass through the point x, shape (2,), at a time; shape (n, 2).

    A sample from x0 to x1 passes through x if x0 = (x - time x1) / (1 - time): x1 is drawn with the density of that x0.
    """
    g = torch.Generator().manual_seed(3)
    board = problems.Checkerboard()
    x1 = board.sample(300_000, g)[0]
    log_chance = -(x - time * x1).square().sum(1) / (2 * ((1 - time) * board.sigma) ** 2)
    chosen = torch.multinomial(log_chance.softmax(0), n, replacement=True, generator=g)
    return ((x1 - x) / (1 - time))[chosen]


def weight(name: str) -> Callable[[Tensor], Tensor]:
    """A weight of `methods.WEIGHTS` that depends on the squared residual alone, as a function of it, shape (B,)."""
    return lambda square: methods.WEIGHTS[name](square, *[torch.zeros_like(square)] * 3)


def network() -> nn.Module:
    """The network of the shipped LSD map in float64, to be trained; a new copy at every call."""
    net = runs.load("checkerboard-lsd").slope
    assert isinstance(net, nn.Module)
    return net.double().requires_grad_(True)


def jumps(s: Tensor, u: Tensor, t: Tensor, x: Tensor, dx: Tensor) -> losses.Batch:
    """A batch of jumps from s over u to t that begin at x; no sample is on the diagonal."""
    return losses.Batch(losses.Diagonal(s[:0], x[:0], x[:0]), losses.Jumps(s, u, t, x, dx))
