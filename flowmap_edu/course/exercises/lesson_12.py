"""The exercises of lesson 12: look ahead, guided steps, the value of a point, weights, restarts, ascent in noise."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import curved, points
from flowmap_edu.flow_map import FlowMap

TARGET = torch.tensor([0.7, -0.4], dtype=torch.float64)


def looks() -> list[tuple[Any, ...]]:
    """(X, s, u, x)."""
    return [(curved(), 0.3, 0.8, points(5)), (curved(), 0.6, 0.6, points(5))]


def value(X: FlowMap, s: Tensor, x: Tensor) -> Tensor:
    """Something that depends on the time and on the point, shape (B,)."""
    return -(x + X.v(s, s, x) - TARGET).square().sum(1) * (1 + s)


def steps() -> list[tuple[Any, ...]]:
    """(X, s, step, x, value, sigma); the second starts at time 0."""
    return [(curved(), 0.4, 0.1, points(5), value, 0.6), (curved(), 0.0, 0.2, points(5), value, 0.6)]


def guided(X: FlowMap, s: float, step: float, x: Tensor, worth: Any, sigma: float, how: str = "right") -> Tensor:
    """An Euler step of the guided velocity; `how` names a mistake."""
    at = s if how == "at s" else max(s, step / 2)
    z = x.clone().requires_grad_()
    found = worth(X, torch.full((len(x),), at, dtype=x.dtype), z).sum()
    (slope,) = torch.autograd.grad(found / (len(x) if how == "mean" else 1), z)
    factor = {"upside down": at / (1 - at), "none": 1.0}.get(how, (1 - at) / at)
    pull = (sigma if how == "sigma" else sigma**2) * factor * slope
    velocity = 0 * x if how == "pull alone" else X.velocity(s, x).detach()
    moved = velocity - pull if how == "minus" else velocity + pull
    return x + (1 if how == "no length" else step) * moved


def several() -> list[tuple[Tensor]]:
    """Rewards of seven draws for each of four points, some of them large."""
    return [(3 * points(7, 4),), (points(7, 4) + 800,)]


def logarithms() -> list[tuple[Tensor]]:
    """Logarithms of weights."""
    return [(2 * points(9, 1)[:, 0],), (points(9, 1)[:, 0] + 900,)]


def share(log_w: Tensor) -> Tensor:
    """(sum w)^2 / (B sum w^2)."""
    w = (log_w - log_w.max()).exp()
    return w.sum() ** 2 / w.square().sum() / len(w)


def returns() -> list[tuple[Any, ...]]:
    """(X, s, x, z)."""
    return [(curved(), 0.4, points(5), 0.6 * points(5, seed=2))]


def back(X: FlowMap, s: float, x: Tensor, z: Tensor, how: str = "right") -> Tensor:
    """To time s and forward; `how` names a mistake."""
    a, b = {"swapped": (s, 1 - s), "no scale": (1 - s, 1.0)}.get(how, (1 - s, s))
    x_s = a * z + b * x
    return x_s if how == "stays" else X(0.0 if how == "from 0" else s, 1.0, x if how == "from x" else x_s)


def reward(x: Tensor) -> Tensor:
    """Of a point, shape (B,)."""
    return -(x - TARGET).square().sum(1)


def climbs() -> list[tuple[Any, ...]]:
    """(X, x0, u, reward, rate, steps)."""
    return [(curved(), points(5), u, reward, 0.1, 3) for u in (1.0, 0.0)]


def climb(X: FlowMap, x0: Tensor, u: float, r: Any, rate: float, steps: int, how: str = "right") -> Tensor:
    """Steps up the reward in the noise; `how` names a mistake."""
    z, start = x0, x0
    for _ in range(1 if how == "once" else steps):
        at = (start if how == "at the start" else z).detach().requires_grad_()
        seen = r(at) if how == "noise" else r(at + X.v(0.0, 1.0 if how == "always 1" else u, at))
        (slope,) = torch.autograd.grad(seen.mean() if how == "mean" else seen.sum(), at)
        z = (z - rate * slope if how == "down" else z + rate * slope).detach()
    return z


def pairs() -> list[tuple[Any, ...]]:
    """(first, second, share)."""
    return [(points(5), points(5, seed=2), 0.3), (points(5), points(5, seed=2), 1.0)]


def mistaken(f: Callable[..., Any], how: str) -> Callable[..., Any]:
    """A function with one mistake."""
    return lambda *case: f(*case, how=how)


EXERCISES = {
    "12.1": Exercise(
        asks="D_{s,u}(x), the point at time 1 on the straight line with the slope v_{s,u}(x), shape (B, 2)",
        shown="One function holds the mean of the data, the landing point and what is between them.",
        right=lambda X, s, u, x: x + (1 - s) * X.v(s, u, x),
        cases=looks,
        mistakes={
            "This is the landing point at time u. Go on to time 1.": lambda X, s, u, x: X(s, u, x),
            "The slope is that of the whole jump to 1. Take the slope of the jump to u.": lambda X, s, _, x: (
                x + (1 - s) * X.v(s, 1.0, x)
            ),
            "The slope is the velocity. Take the slope of the jump to u.": lambda X, s, _, x: (
                x + (1 - s) * X.velocity(s, x)
            ),
            "The way from u to 1 is walked. The point is at time s.": lambda X, s, u, x: x + (1 - u) * X.v(s, u, x),
            "The jump starts at time 0. The point is at time s.": lambda X, s, u, x: x + (1 - s) * X.v(0.0, u, x),
        },
    ),
    "12.2": Exercise(
        asks="where an Euler step of the guided velocity leads, shape (B, 2), without gradient",
        shown="The velocity is kept, and the gradient of what a point is worth is added to it.",
        right=guided,
        cases=steps,
        mistakes={
            "The factor is upside down: it is large at early times.": mistaken(guided, "upside down"),
            "The factor (1 - s) / s is missing.": mistaken(guided, "none"),
            "sigma is not squared.": mistaken(guided, "sigma"),
            "The gradient is subtracted. The value has to rise.": mistaken(guided, "minus"),
            "The map's own velocity is missing.": mistaken(guided, "pull alone"),
            "The step is not multiplied by its length.": mistaken(guided, "no length"),
            "The gradient is that of the mean over the batch: each point gets a share of it only.": (
                mistaken(guided, "mean")
            ),
        },
    ),
    "12.3": Exercise(
        asks="log of the mean of exp r over the draws, shape (B,)",
        shown="Draws of the data given the point give the value function; the mean is taken after exp.",
        right=lambda r: torch.stack([c.max() + (c - c.max()).exp().mean().log() for c in r.T]),
        cases=several,
        mistakes={
            "This is the mean of r. The mean of exp r is wanted, and then its logarithm.": lambda r: r.mean(0),
            "The sum is taken. Divide by the number of draws.": lambda r: r.logsumexp(0),
            "The mean is taken over the points. Take it over the draws, the first axis.": lambda r: (
                r.logsumexp(1) - math.log(r.shape[1])
            )[: r.shape[1]],
            "This is the largest reward.": lambda r: r.max(0).values,
            "The logarithm is missing.": lambda r: r.exp().mean(0),
        },
    ),
    "12.4": Exercise(
        asks="(sum w)^2 / (B sum w^2), a number between 0 and 1",
        shown="It does not change when all weights are multiplied by one number.",
        right=share,
        cases=logarithms,
        mistakes={
            "This is the effective number of samples. Divide it by B.": lambda log_w: share(log_w) * len(log_w),
            "The weights are w = exp r. Here r itself is used.": lambda r: r.sum() ** 2 / r.square().sum() / len(r),
            "It is upside down: it is at most 1.": lambda log_w: 1 / share(log_w),
            "The sum is not squared.": lambda log_w: (
                (log_w - log_w.max()).exp().sum() / (log_w - log_w.max()).exp().square().sum() / len(log_w)
            ),
            "This is one over the largest share. All weights count.": lambda log_w: (
                1 / log_w.softmax(0).max() / len(log_w)
            ),
        },
    ),
    "12.5": Exercise(
        asks="where x is after one restart, shape (B, 2)",
        shown="A sample becomes another sample, and s says how much of it is kept.",
        right=back,
        cases=returns,
        mistakes={
            "Noise and sample have each other's weight.": mistaken(back, "swapped"),
            "The sample is not multiplied by s.": mistaken(back, "no scale"),
            "The jump starts at x. It has to start at the point of time s.": mistaken(back, "from x"),
            "The jump starts at time 0. The point is at time s.": mistaken(back, "from 0"),
            "There is no way forward: this is the point at time s.": mistaken(back, "stays"),
        },
    ),
    "12.6": Exercise(
        asks="the noise after `steps` steps up the reward, shape (B, 2), without gradient",
        shown="The gradient of the reward passes through the look-ahead, and the noise moves.",
        right=climb,
        cases=climbs,
        mistakes={
            "The reward falls: the step is taken downwards.": mistaken(climb, "down"),
            "The gradient is always taken at the first noise.": mistaken(climb, "at the start"),
            "One step is taken only.": mistaken(climb, "once"),
            "The reward is asked at the noise. Ask it at the point that is seen ahead.": mistaken(climb, "noise"),
            "The gradient is that of the mean over the batch: each point gets a share of it only.": (
                mistaken(climb, "mean")
            ),
        },
    ),
    "12.7": Exercise(
        asks="cos(a) first + sin(a) second with a = share pi / 2, shape (B, ...)",
        shown="Both squares add up to one, so independent noise keeps its variance.",
        right=lambda first, second, part: (
            math.sin((1 - part) * math.pi / 2) * first + math.sin(part * math.pi / 2) * second
        ),
        cases=pairs,
        mistakes={
            "This is the straight line, which loses variance.": lambda first, second, part: (
                first + part * (second - first)
            ),
            "The two are swapped: share 0 gives the first.": lambda first, second, part: (
                math.sin(part * math.pi / 2) * first + math.cos(part * math.pi / 2) * second
            ),
            "The angle is too large: it goes from 0 to pi / 2.": lambda first, second, part: (
                math.cos(part * math.pi) * first + math.sin(part * math.pi) * second
            ),
            "The angle is share itself. Multiply it by pi / 2.": lambda first, second, part: (
                math.cos(part) * first + math.sin(part) * second
            ),
        },
    ),
    "12.8": Exercise(
        asks="the share of the effective sample size, a number",
        shown="It falls exponentially in the square of the reward's slope.",
        right=math.exp(-1.44),
        tolerance=1e-2,
        mistakes={
            "This is (E w)^2 alone, the numerator.": math.exp(1.44),
            "E exp(k z) is exp(k^2 v / 2): the two factors 1/2 and 2 do not cancel in that way.": math.exp(-0.72),
            "The share is squared once too often.": math.exp(-2.88),
            "The variance is 0.36, not 0.6.": math.exp(-2.4),
        },
    ),
}
