"""What the exercises of lesson 02 are tried on, and their right answers, written apart from the lesson."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.func import jacfwd, jvp, vmap  # type: ignore[attr-defined]

from flowmap_edu.course.exercises.cases import curved, parameters, points, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets import MLP
from flowmap_edu.problems import Checkerboard

Slope = Callable[[float, float, Tensor], Tensor]

M, C = 1.0, 0.25  # of the lesson's problem on the line: data N(m, c^2), noise N(0, 1)


def S(t: float) -> float:
    """The standard deviation of the Gaussian cloud at time t."""
    return ((1 - t) ** 2 + (t * C) ** 2) ** 0.5


def b(t: float | Tensor, x: Tensor) -> Tensor:
    """A velocity with no derivative that vanishes; t is a number, x has shape (B, D)."""
    return torch.sin(2 * x + t) + t**2 * x.flip(-1)


def b_at(t: Tensor, x: Tensor) -> Tensor:
    """d/dt of b."""
    return torch.cos(2 * x + t) + 2 * t * x.flip(-1)


def on_the_line() -> list[tuple[float, float, Tensor]]:
    """Jumps forward, backward and over no time: (s, t, x)."""
    return [(s, t, points(7, 1)) for s, t in ((0.2, 0.9), (0.7, 0.1), (0.5, 0.5), (0.0, 1.0))]


def walks() -> list[tuple[Callable[..., Tensor], float, float, Tensor, int]]:
    """(b, s, t, x, steps)."""
    return [(b, 0.2, 0.9, points(5), 1), (b, 0.2, 0.9, points(5), 4), (b, 0.8, 0.3, points(5), 3)]


def slopes() -> list[tuple[Slope, float, float, Tensor]]:
    """A slope, and jumps: (v, s, t, x)."""
    return [(curved().v, s, t, points(5)) for s, t in ((0.2, 0.9), (0.8, 0.3))]


def jumps() -> list[tuple[FlowMap, float, float, Tensor]]:
    """A map, and jumps: (X, s, t, x)."""
    return [(curved(), s, t, points(5)) for s, t in ((0.2, 0.9), (0.8, 0.3))]


def short_jumps() -> list[tuple[FlowMap, Callable[..., Tensor], float, Tensor, float]]:
    """(X, b, t, x, delta)."""
    return [(curved(), b, 0.7, points(5), 0.25), (curved(1, 3), b, 0.6, points(5, 1), 0.1)]


def pairs() -> list[tuple[FlowMap, Tensor, Tensor, Tensor]]:
    """(X, t, x0, x1)."""
    return [(curved(), times(6, 1)[0], points(6), points(6, seed=2))]


def walk(b: Callable[..., Tensor], s: float, t: float, x: Tensor, steps: int) -> Tensor:
    """Euler's method, from a list of the times."""
    grid = torch.linspace(s, t, steps + 1, dtype=torch.float64).tolist()
    for now, then in pairwise(grid):
        x = x + (then - now) * b(now, x)
    return x


def wrong_walk(
    b: Callable[..., Tensor],
    s: float,
    t: float,
    x: Tensor,
    steps: int,
    *,
    clock: str = "start",
    length: float | None = None,
) -> Tensor:
    """Euler's method with a clock that stands still or runs ahead, or steps of another length."""
    dt = (t - s) / steps if length is None else length
    for k in range(steps):
        x = x + dt * b({"start": s + k * dt, "still": s, "ahead": s + (k + 1) * dt}[clock], x)
    return x


def partial_t(X: FlowMap, s: float, t: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """X_{s,t}(x) and d/dt X_{s,t}(x)."""
    return X.partial_t(s, t, x)


def gaps(X: FlowMap, b: Callable[..., Tensor], t: float, x: Tensor, delta: float) -> tuple[Tensor, Tensor]:
    """d/dt X_{t-delta,t}(x) - b_t(x), and v_{t-delta,t}(x) - b_t(x)."""
    return X.partial_t(t - delta, t, x)[1] - b(t, x), X.v(t - delta, t, x) - b(t, x)


def measure(
    X: FlowMap,
    b: Callable[..., Tensor],
    t: float,
    x: Tensor,
    deltas: Sequence[float],
    mean: Callable[[Tensor], Tensor] = lambda gap: gap.square().sum(1).mean().sqrt(),
) -> tuple[list[float], list[float]]:
    """The root mean square of both gaps for each delta."""
    found = [[mean(gap).item() for gap in gaps(X, b, t, x, delta)] for delta in deltas]
    return [speed for speed, _ in found], [slope for _, slope in found]


def terms(b: Callable[..., Tensor], t: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """grad b . b and d/dt b, by one derivative each."""
    bend = jvp(lambda x: b(t, x), (x,), (b(t, x),))[1]
    drift = jvp(lambda t: b(t, x), (torch.tensor(t, dtype=x.dtype),), (torch.ones((), dtype=x.dtype),))[1]
    return bend, drift


def predicted(b: Callable[..., Tensor], t: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """grad b . b, and half of (grad b . b - d/dt b)."""
    bend, drift = terms(b, t, x)
    return bend, (bend - drift) / 2


def jacobian(X: FlowMap, s: float, t: float, x: Tensor) -> Tensor:
    """grad X_{s,t}(x), shape (B, D, D)."""
    return vmap(jacfwd(lambda one: X(s, t, one[None])[0]))(x)


def determinant(X: FlowMap, s: float, t: float, x: Tensor) -> Tensor:
    """det grad X_{s,t}(x), shape (B,)."""
    return torch.linalg.det(jacobian(X, s, t, x))


def diagonal_loss(X: FlowMap, t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
    """|v_{t,t}(I_t) - (x1 - x0)|^2, shape (B,)."""
    I_t = torch.lerp(x0, x1, t[:, None])
    return (X.v(t, t, I_t) - x1 + x0).square().sum(1)


def changed_loss(
    X: FlowMap, t: Tensor, x0: Tensor, x1: Tensor, *, s: Tensor | None = None, swap: bool = False, sign: float = 1.0
) -> Tensor:
    """The loss with another start time, another interpolant, or another slope of the line."""
    a, z = (x1, x0) if swap else (x0, x1)
    I_t = (1 - t)[:, None] * a + t[:, None] * z
    return (X.v(t if s is None else s, t, I_t) - sign * (x1 - x0)).square().sum(1)


def two_slopes(another: object) -> str | None:
    """What is wrong with a slope that must agree with v at s = t and differ from it where s < t; None if right."""
    if not callable(another):
        return "A function is wanted."
    v, (s, t), x = curved().v, times(6), points(6)
    with torch.no_grad():
        on, off, wanted, v_off = another(v, t, t, x), another(v, s, t, x), v(t, t, x), v(s, t, x)
    if not (isinstance(on, Tensor) and isinstance(off, Tensor) and on.shape == off.shape == x.shape):
        return "It has to return one slope for each point, of the shape of x."
    if not bool(torch.isfinite(on).all()):
        return "At s = t it is not finite."
    if float((on - wanted).abs().max()) > 1e-9:
        return "At s = t it differs from v. There the two have to agree."
    if float((off - v_off).abs().max(1).values.min()) < 1e-6:
        return "For s < t it is still v. There it has to differ."
    return None


def v_line(s: float, t: float, x: Tensor) -> Tensor:
    """The slope of the exact map on the line, in a form that is finite at s = t."""
    share = ((t + s) * (1 + C**2) - 2) / (S(s) * (S(t) + S(s)))
    return M + share * (x - M * s)


def untrained(seed: int, *_: int) -> FlowMap:
    """A new network of the lesson's size, with the weights that a seed gives."""
    torch.manual_seed(seed)
    return FlowMap(MLP(2, hidden=128, layers=4, scale=Checkerboard().sigma))


def simply_trained(seed: int, steps: int, sign: float = 1.0, seeded: bool = True) -> FlowMap:
    """A training as in the lesson, with plain Adam; up the gradient, or from the seed that happens to be there."""
    board, X = Checkerboard(), untrained(seed if seeded else int(torch.randint(1000, (1,))))
    optimizer = torch.optim.Adam(parameters(X), 4e-3)
    for _ in range(steps):
        x0, x1 = board.base(512).float(), board.sample(512)[0].float()
        optimizer.zero_grad()
        (sign * diagonal_loss(X, torch.rand(512), x0, x1).mean()).backward()
        optimizer.step()
    return X


def trained(train: object) -> str | None:
    """What is wrong with a training train(seed, steps), judged after 60 steps; None if it is right."""
    if not callable(train):
        return "A function is wanted."
    board, g = Checkerboard(), torch.Generator().manual_seed(5)
    t, x0, x1 = torch.rand(4000, generator=g), board.base(4000, g).float(), board.sample(4000, g)[0].float()
    X, again = train(0, 60), train(0, 60)
    if X is None:
        return "It returns None: is there a `return`?"
    if not isinstance(X, FlowMap) or not isinstance(again, FlowMap):
        return f"A FlowMap is wanted, this is an object of the class {type(X).__name__}."
    with torch.no_grad():
        before, after = (diagonal_loss(Y, t, x0, x1).mean().item() for Y in (untrained(0), X))
        same = torch.equal(X.v(t, t, x0), again.v(t, t, x0))
    if after > 1.05 * before or after != after:
        return "The loss has risen: the optimiser goes down the gradient of the loss itself, not of its negative."
    if after > 1.15:
        return "The loss has not fallen. Is every step made of zero_grad, backward and step, in this order?"
    if not same:
        return "Two calls with one seed differ: torch.manual_seed(seed) has to come before the network is made."
    return None
