"""The right answers of lesson 13, the cases that they are tried on, and the mistakes that each can be made with."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp  # type: ignore[attr-defined]

from flowmap_edu import likelihood, metrics
from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.flow_map import FlowMap


def swung(x: Tensor) -> Tensor:
    """(p, -sin q): a pendulum."""
    return torch.stack([x[:, 1], -x[:, 0].sin()], dim=1)


def mirror(s: Tensor, t: Tensor, x: Tensor) -> Tensor:  # noqa: ARG001
    """Turns the first axis over: X_{0,1}(x) = (-x_1, x_2)."""
    return torch.stack([-2 * x[:, 0], 0 * x[:, 1]], dim=1)


def waves(s: Tensor, t: Tensor, x: Tensor) -> Tensor:  # noqa: ARG001
    """A slope that folds the plane in many places."""
    return 2 * torch.sin(3 * x) + 0.5 * x.flip(1)


def jumps() -> list[tuple[Any, ...]]:
    """A curved map with six jumps, and one that turns space over."""
    s, t = times(6)
    return [(curved(), s, t, points(6)), (FlowMap(mirror), torch.zeros(6).double(), torch.ones(6).double(), points(6))]


def log_det(X: FlowMap, s: Any, t: Any, x: Tensor, how: str = "right") -> tuple[Tensor, Tensor]:
    """Where x lands and log |det grad X|; `how` names a mistake."""
    landed, J = likelihood.jacobian(X, s, t, x)
    J = J.detach()
    if how == "slope":
        J = (J - torch.eye(2)) / (t - s)[:, None, None]
    det = J.diagonal(dim1=1, dim2=2).prod(1) if how == "diagonal" else torch.linalg.det(J)
    if how == "columns":
        det = J.norm(dim=1).prod(1)
    return landed.detach(), det.abs() if how == "no log" else det.abs().log()


def chain(X: FlowMap, x0: Tensor, steps: int, sigma: float, how: str = "right") -> tuple[Tensor, Tensor]:
    """The samples of some jumps and log q; `how` names a mistake."""
    if how == "right":
        x, log_q = likelihood.sample_with_density(X, x0, steps, sigma)
        return x, log_q
    scale = 1.0 if how == "no sigma" else 0.5 * math.log(sigma) if how == "half" else math.log(sigma)
    log_q = -(x0.square().sum(1) / (2 * sigma**2))
    if how != "no constant":
        log_q = log_q - 2 * (0.5 * math.log(2 * math.pi) + (0.0 if how == "no sigma" else scale))
    x = x0
    for k in range(steps):
        at = x0 if how == "from x0" else x
        landed, found = log_det(X, k / steps, (k + 1) / steps, at)
        x = X(k / steps, (k + 1) / steps, x).detach()
        log_q = log_q + found if how == "plus" else found + log_q * 0 if how == "last" else log_q - found
        del landed
    return x, log_q


def noises() -> list[tuple[Any, ...]]:
    """A map, five draws of the noise, three jumps and a sigma."""
    return [(curved(), points(5), 3, 0.7)]


def fold(X: FlowMap, x0: Tensor, steps: int, how: str = "right") -> float:
    """The share of points that a jump folds; `how` names a mistake."""
    if how == "right":
        return metrics.folding(X, x0, steps)
    x, signs = x0, []
    for k in range(steps):
        x, J = likelihood.jacobian(X, k / steps, (k + 1) / steps, x)
        signs.append(torch.linalg.det(J) < 0)
    turned = torch.stack(signs)
    found = {
        "each": turned.double().mean(),
        "last": turned[-1].double().mean(),
        "product": (turned.sum(0) % 2 == 1).double().mean(),
        "count": turned.any(0).sum(),
        "kept": (~turned.any(0)).double().mean(),
    }
    return float(found[how])


def folds() -> list[tuple[Any, ...]]:
    """A map that folds; in one jump and in three."""
    return [(FlowMap(waves), points(400), steps) for steps in (3, 1)]


def invert(X: FlowMap, s: Tensor, t: Tensor, y: Tensor, iterations: int, how: str = "right") -> Tensor:
    """z <- y - (t - s) v_{s,t}(z); `how` names a mistake."""
    z, length = (torch.zeros_like(y) if how == "from 0" else y), (t - s)[:, None]
    with torch.no_grad():
        for _ in range(iterations):
            slope = X.v(*((t, s) if how == "times" else (s, t)), y if how == "at y" else z)
            z = (z if how == "from z" else y) - (-1 if how == "plus" else 1) * (
                1 if how == "no length" else length
            ) * slope
    return z


def probe(b: Callable[[Tensor], Tensor], x: Tensor, w: Tensor, how: str = "right") -> Tensor:
    """w . grad b w; `how` names a mistake."""
    pushed = jvp(b, (x,), (w,))[1]
    return {
        "right": (w * pushed).sum(1),
        "no w": pushed.sum(1),
        "square": pushed.square().sum(1),
        "value": (w * b(x)).sum(1),
        "mean": (w * pushed).mean(1),
    }[how]


def probes() -> list[tuple[Any, ...]]:
    """A velocity in the plane, points and signs."""
    X = curved()
    return [(lambda x: X.velocity(0.4, x), points(6), points(6, seed=5).sign())]


def residual(X: FlowMap, f: Any, horizon: float, s: Tensor, t: Tensor, x: Tensor, how: str = "right") -> Tensor:
    """|d/dt X - T f(X)|^2 with the second term held; `how` names a mistake."""
    landed, moves = X.partial_t(s, t, x)
    with torch.set_grad_enabled(how == "no cut"):
        target = (1 if how == "no T" else 1 / horizon if how == "over T" else horizon) * f(
            x if how == "at x" else landed
        )
    return (moves + target if how == "plus" else moves - target).square().sum(1)


def exponent(jump: Any, x: Tensor, w: Tensor, count: int, how: str = "right") -> Tensor:
    """The mean of log |grad X w| / |w|; `how` names a mistake."""
    first, start, ratios = w.norm(dim=1), w, []
    for _ in range(count):
        landed, pushed = jump(x, w)
        ratios.append(pushed.norm(dim=1) / w.norm(dim=1))
        x, w = (x if how == "still" else landed), (start if how == "same w" else pushed)
    ratio = torch.stack(ratios)
    return {
        "mean first": ratio.mean(0).log(),
        "sum": ratio.log().sum(0),
        "no log": ratio.mean(0),
        "right": (w.norm(dim=1) / first).log() / count,
    }.get(how, ratio.log().mean(0))


def orbits() -> list[tuple[Any, ...]]:
    """A jump with its derivative, points, vectors and four jumps."""
    X = curved()
    return [(lambda x, w: tuple(z.detach() for z in X.push(0.0, 1.0, x, w)), points(5), points(5, seed=3), 4)]


def mistaken(f: Callable[..., Any], how: str) -> Callable[..., Any]:
    """A function with one mistake."""
    return lambda *case: f(*case, how=how)
