"""The exercises of lesson 04: the losses, forward mode, what it costs, the weight."""

from typing import Any

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.course.exercises.counted_04 import COUNTED
from flowmap_edu.course.exercises.forward_04 import FORWARD, QUOTIENTS, forward_mode, layers, quotient, steps
from flowmap_edu.course.exercises.laws_04 import least, measured, slow_at_first, uniform_on_the_triangle
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import per_sample


def on_the_diagonal() -> list[tuple[FlowMap, Tensor, Tensor, Tensor]]:
    """(X, t, x0, x1)."""
    return [(curved(), times(7)[1], points(7), points(7, seed=2))]


def diagonal(X: FlowMap, t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
    """|v_{t,t}(I_t) - (x1 - x0)|^2."""
    x = torch.lerp(x0, x1, per_sample(t, x0))
    return (X.velocity(t, x) - x1 + x0).square().sum(1)


def jumps() -> list[tuple[FlowMap, Tensor, Tensor, Tensor]]:
    """(X, s, t, x)."""
    s, t = times(7)
    return [(curved(), s, t, points(7))]


def mixed(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, a: float, middle: float) -> Tensor:
    """|v_{s,t} - [(1 - a) v_{s,u} + a v_{u,t}]|^2 with u = middle s + (1 - middle) t."""
    u = middle * s + (1 - middle) * t
    return square(X.v(s, t, x) - (1 - a) * X.v(s, u, x) - a * X.v(u, t, X(s, u, x)))


def stops() -> list[tuple[FlowMap, Tensor, Tensor, Tensor, float]]:
    """(X, s, t, x, h)."""
    return [(*jumps()[0], 0.3)]


def square(r: Tensor) -> Tensor:
    """|r|^2 of each sample."""
    return r.square().sum(1)


def two_jumps(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, h: float) -> Tensor:
    """The mean slope of the jumps from s to u = h s + (1 - h) t and on to t."""
    u = h * s + (1 - h) * t
    return (X(u, t, X(s, u, x)) - x) / per_sample(t - s, x)


def landing(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, h: float) -> Tensor:
    """|X_{s,t}(x) - X_{u,t}(X_{s,u}(x))|^2."""
    return square(per_sample(t - s, x) * (X.v(s, t, x) - two_jumps(X, s, t, x, h)))


def four(*given: Any) -> Tensor:
    """The diagonal's excess and the three conditions' losses, means, shape (4,)."""
    X, s, t, at_s, at_t, b = given
    each = [X.velocity(t, at_t) - b, X.partial_t(s, t, at_s)[1] - X.velocity(t, X(s, t, at_s))]
    each += [X.eulerian(s, t, at_s, X.velocity(s, at_s))[1], X.v(s, t, at_s) - two_jumps(X, s, t, at_s, 0.5)]
    return torch.stack([square(r).mean() for r in each])


EXERCISES = {
    "04.1": Exercise(
        asks="n pairs s, t that are uniform on the triangle, shape (n,) each",
        shown="Every part of the triangle gets pairs in proportion to its area.",
        law=uniform_on_the_triangle,
    ),
    "04.2": Exercise(
        asks="flow matching on the diagonal, one number a sample, shape (B,)",
        shown="This is the part of the loss that reads the data.",
        right=diagonal,
        cases=on_the_diagonal,
        mistakes={
            "The interpolant runs the wrong way: at t = 0 it has to be x0.": lambda X, t, x0, x1: square(
                X.velocity(t, torch.lerp(x1, x0, per_sample(t, x0))) - x1 + x0
            ),
            "The target points from the data to the noise. The derivative of I_t in t is wanted.": (
                lambda X, t, x0, x1: square(X.velocity(t, torch.lerp(x0, x1, per_sample(t, x0))) - x0 + x1)
            ),
            "The velocity is read at x0. It has to be read at I_t.": lambda X, t, x0, x1: square(
                X.velocity(t, x0) - x1 + x0
            ),
            "The slope of the jump from 0 to t is compared. The diagonal has s = t.": lambda X, t, x0, x1: square(
                X.v(0 * t, t, torch.lerp(x0, x1, per_sample(t, x0))) - x1 + x0
            ),
            "The squares are averaged over the entries of a sample. Their sum is the squared length.": (
                lambda X, t, x0, x1: diagonal(X, t, x0, x1) / 2
            ),
        },
    ),
    "04.3": Exercise(
        asks="the value and its derivative after all layers, two tensors",
        shown="Value and derivative went through the layers together, and no step size was chosen.",
        right=forward_mode,
        cases=layers,
        mistakes=FORWARD,
    ),
    "04.4": Exercise(
        asks="the difference quotient, a tensor of the shape of f(z)",
        shown="Two values and a step: that is all that a difference quotient knows.",
        right=quotient,
        cases=steps,
        mistakes=QUOTIENTS,
    ),
    "04.5": Exercise(
        asks="the squared Lagrangian residual, one number a sample, shape (B,)",
        shown="One jvp and one evaluation: the Lagrangian loss.",
        right=lambda X, s, t, x: square(X.partial_t(s, t, x)[1] - X.velocity(t, X(s, t, x))),
        cases=jumps,
        mistakes={
            "The velocity is read at the start x. It has to be read where the map lands.": lambda X, s, t, x: square(
                X.partial_t(s, t, x)[1] - X.velocity(t, x)
            ),
            "The velocity is read at the time s. The landing point is there at time t.": lambda X, s, t, x: square(
                X.partial_t(s, t, x)[1] - X.velocity(s, X(s, t, x))
            ),
            "The derivative is taken in s. Here the end of the jump moves.": lambda X, s, t, x: square(
                X.partial_s(s, t, x)[1] - X.velocity(t, X(s, t, x))
            ),
            "The terms are added. The residual is their difference.": lambda X, s, t, x: square(
                X.partial_t(s, t, x)[1] + X.velocity(t, X(s, t, x))
            ),
            "The squares are averaged over the entries of a sample. Their sum is the squared length.": (
                lambda X, s, t, x: square(X.partial_t(s, t, x)[1] - X.velocity(t, X(s, t, x))) / 2
            ),
        },
    ),
    "04.6": Exercise(
        asks="the squared Eulerian residual, one number a sample, shape (B,)",
        shown="The Jacobian acted on one vector; the matrix was never formed.",
        right=lambda X, s, t, x: square(X.eulerian(s, t, x, X.velocity(s, x))[1]),
        cases=jumps,
        mistakes={
            "The velocity is not pushed forward: grad X is missing before v_{s,s}.": lambda X, s, t, x: square(
                X.partial_s(s, t, x)[1] + X.velocity(s, x)
            ),
            "The velocity is read at the landing point. The start moves, so it is read at (s, x).": (
                lambda X, s, t, x: square(X.eulerian(s, t, x, X.velocity(t, X(s, t, x)))[1])
            ),
            "The terms are subtracted. The clock and the point move together, so their effects add.": (
                lambda X, s, t, x: square(X.partial_s(s, t, x)[1] - X.push(s, t, x, X.velocity(s, x))[1])
            ),
            "The derivative is taken in t. Here the start of the jump moves.": lambda X, s, t, x: square(
                X.partial_t(s, t, x)[1] + X.push(s, t, x, X.velocity(s, x))[1]
            ),
            "The slope v_{s,t} is pushed forward. The velocity at the start, v_{s,s}, is wanted.": (
                lambda X, s, t, x: square(X.eulerian(s, t, x, X.v(s, t, x))[1])
            ),
        },
    ),
    "04.7": Exercise(
        asks="the squared semigroup residual in the slopes, one number a sample, shape (B,)",
        shown="No derivative was needed: three evaluations make this loss.",
        right=lambda X, s, t, x, h: square(X.v(s, t, x) - two_jumps(X, s, t, x, h)),
        cases=stops,
        mistakes={
            "The weights h and 1 - h are swapped in the mean: which of the two jumps is longer?": (
                lambda X, s, t, x, h: mixed(X, s, t, x, 1 - h, h)
            ),
            "The stop is at (1 - h) s + h t. It has to be at h s + (1 - h) t.": (
                lambda X, s, t, x, h: mixed(X, s, t, x, h, 1 - h)
            ),
            "The two slopes are averaged with equal weights. The longer jump counts more.": (
                lambda X, s, t, x, h: mixed(X, s, t, x, 0.5, h)
            ),
            "The second jump starts at x. It has to start where the first one lands.": lambda X, s, t, x, h: square(
                X.v(s, t, x) - (1 - h) * X.v(s, h * s + (1 - h) * t, x) - h * X.v(h * s + (1 - h) * t, t, x)
            ),
            "This is the residual of the landing points. Here the slopes are compared.": lambda X, s, t, x, h: square(
                per_sample(t - s, x) * (X.v(s, t, x) - two_jumps(X, s, t, x, h))
            ),
        },
    ),
    "04.8": Exercise(
        asks="the squared distance between the two landing points, one number a sample, shape (B,)",
        shown="It is the same condition, with another weight on each jump.",
        right=landing,
        cases=stops,
        mistakes={
            "This is the residual of the slopes. Here the landing points are compared.": lambda X, s, t, x, h: square(
                X.v(s, t, x) - two_jumps(X, s, t, x, h)
            ),
            "The second jump starts at x. It has to start where the first one lands.": lambda X, s, t, x, h: square(
                X(s, t, x) - X(h * s + (1 - h) * t, t, x)
            ),
            "The stop is at (1 - h) s + h t. It has to be at h s + (1 - h) t.": lambda X, s, t, x, h: square(
                per_sample(t - s, x) * (X.v(s, t, x) - two_jumps(X, s, t, x, 1 - h))
            ),
        },
    ),
    "04.9": Exercise(
        asks="the four means, a tensor of shape (4,)",
        shown="The two parts of the loss and its three kinds stand side by side.",
        right=four,
        cases=lambda: [(*jumps()[0], points(7, seed=3), points(7, seed=4))],
        mistakes={
            "The conditions are read at I_t. They start at time s, so they are read at I_s.": lambda *a: torch.cat(
                [four(*a)[:1], four(*a[:3], a[4], *a[4:])[1:]]
            ),
            "The diagonal is read at I_s. It has to be read at time t, at I_t.": lambda *a: four(*a[:4], a[3], a[5]),
            "The sums over the batch are returned. Their means are wanted.": lambda *a: 7 * four(*a),
            "The LSD and ESD entries have changed places.": lambda *a: four(*a)[[0, 2, 1, 3]],
            "The PSD entry is that of the landing points. The slopes are wanted.": lambda X, s, t, x, *a: torch.cat(
                [four(X, s, t, x, *a)[:3], landing(X, s, t, x, 0.5).mean()[None]]
            ),
        },
    ),
    "04.11": Exercise(
        asks="the seconds of the fastest of nine calls, a number",
        shown="The fastest call is the one that other programs disturbed least.",
        law=slow_at_first,
    ),
    "04.12": Exercise(
        asks="three numbers: products, seconds and bytes of loss and gradient",
        shown="Three measures of the same work; the next cell compares them.",
        law=measured,
    ),
    "04.13": Exercise(
        asks="exp(-w) times the loss, plus w, one number a sample",
        shown="The same numbers w that make this small also bring every loss to the same size.",
        right=lambda loss, w: torch.exp(-w) * loss + w,
        cases=lambda: [(points(7, 1)[:, 0].square(), points(7, 1, seed=2)[:, 0])],
        mistakes={
            "The exponent has the wrong sign: a large w has to make the weight small.": lambda loss, w: (
                torch.exp(w) * loss + w
            ),
            "The term w is missing: without it, w = infinity makes everything zero.": lambda loss, w: (
                torch.exp(-w) * loss
            ),
            "The term w has the wrong sign: a large w has to cost something.": lambda loss, w: torch.exp(-w) * loss - w,
            "w itself is the factor. The factor is exp(-w), which is positive for every w.": lambda loss, w: (
                w * loss + w
            ),
        },
    ),
    "04.14": Exercise(
        asks="a function that trains log_weight on given times and losses",
        shown="It found the logarithm of the mean loss from single, noisy losses.",
        law=least,
    ),
} | COUNTED
