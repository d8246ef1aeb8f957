"""The exercises of lesson 02: the flow map on the line, its slope, its derivatives, and its diagonal."""

import torch
from torch.func import jvp  # type: ignore[attr-defined]

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.answers_02 import (
    C,
    M,
    S,
    b,
    gaps,
    jumps,
    measure,
    on_the_line,
    partial_t,
    predicted,
    short_jumps,
    slopes,
    terms,
    walk,
    walks,
    wrong_walk,
)
from flowmap_edu.course.exercises.board_02 import BOARD
from flowmap_edu.course.exercises.cases import curved, points

EXERCISES = {
    "02.1": Exercise(
        asks="b_line(t, x): the velocity of the problem on the line, of the shape of x",
        shown="The velocity is a straight line in x, whose slope is S'(t) / S(t).",
        right=lambda t, x: M + ((1 + C**2) * t - 1) / S(t) ** 2 * (x - M * t),
        cases=lambda: [(t, points(7, 1)) for t in (0.6, 0.0, 1.0)],
        mistakes={
            "S(t) stands in the denominator. The variance S(t)^2 belongs there.": lambda t, x: (
                M + ((1 + C**2) * t - 1) / S(t) * (x - M * t)
            ),
            "The mean m is missing: in the middle of the cloud the velocity is that of the mean.": lambda t, x: (
                ((1 + C**2) * t - 1) / S(t) ** 2 * (x - M * t)
            ),
            "x is not taken relative to the mean m t.": lambda t, x: M + ((1 + C**2) * t - 1) / S(t) ** 2 * x,
            "The covariance has the wrong sign: t c^2 comes from x1, and (1 - t) from -x0.": lambda t, x: (
                M - ((1 + C**2) * t - 1) / S(t) ** 2 * (x - M * t)
            ),
            "c stands in the place of c^2.": lambda t, x: M + ((1 + C) * t - 1) / S(t) ** 2 * (x - M * t),
        },
    ),
    "02.2": Exercise(
        asks="X_line(s, t, x): the place at time t of the point that is at x at time s, of the shape of x",
        shown="The map keeps each point's distance from the mean, measured in standard deviations.",
        right=lambda s, t, x: M * t + (x - M * s) * S(t) / S(s),
        cases=on_the_line,
        mistakes={
            "The two standard deviations have changed places. At time s the point is (x - m s) / S(s) of them away.": (
                lambda s, t, x: M * t + S(s) / S(t) * (x - M * s)
            ),
            "The new mean is missing: the cloud has moved on to m t.": lambda s, t, x: S(t) / S(s) * (x - M * s),
            "The distance from the mean is kept as it is. It has to be kept in units of S.": lambda s, t, x: (
                M * t + (x - M * s)
            ),
            "The whole of x is stretched. Only its distance from the mean is.": lambda s, t, x: M * t + S(t) / S(s) * x,
            "The old mean is read at the time t. The point is at x at time s.": lambda s, t, x: (
                M * t + S(t) / S(s) * (x - M * t)
            ),
        },
    ),
    "02.3": Exercise(
        asks="where x is after so many equal Euler steps from s to t, of the shape of x",
        shown="Each step asks for the velocity again, at the new time and the new place.",
        right=walk,
        cases=walks,
        mistakes={
            "The clock stands still: every step asks for the velocity at the time s.": lambda *a: wrong_walk(
                *a, clock="still"
            ),
            "The velocity is read at the end of the step. Euler's method reads it at the start of the step.": (
                lambda *a: wrong_walk(*a, clock="ahead")
            ),
            "The steps have the length 1 / steps. They have to lead from s to t.": lambda b, s, t, x, n: wrong_walk(
                b, s, t, x, n, length=1 / n
            ),
            "Every step has the whole length t - s.": lambda b, s, t, x, n: wrong_walk(b, s, t, x, n, length=t - s),
            "Every step starts at x. The next step has to start where the last one ended.": lambda b, s, t, x, n: (
                x + (t - s) / n * sum(b(s + k * (t - s) / n, x) for k in range(n))
            ),
        },
    ),
    "02.4": Exercise(
        asks="jump(v, s, t, x): the landing point X_{s,t}(x), of the shape of x",
        shown="For s = t it returns x, whatever v is.",
        right=lambda v, s, t, x: (t - s) * v(s, t, x) + x,
        cases=slopes,
        mistakes={
            "The jump goes the wrong way: its length in time is t - s.": lambda v, s, t, x: x + (s - t) * v(s, t, x),
            "The slope is not multiplied by the time that the jump takes.": lambda v, s, t, x: x + v(s, t, x),
            "The slope is multiplied by t. The jump takes the time t - s.": lambda v, s, t, x: x + t * v(s, t, x),
            "The start x is missing: this is only the way from it.": lambda v, s, t, x: (t - s) * v(s, t, x),
        },
    ),
    "02.5": Exercise(
        asks="slope(X, s, t, x): the slope v_{s,t}(x) of the jump, of the shape of x",
        shown="Map and slope hold the same knowledge: each can be computed from the other where s and t differ.",
        right=lambda X, s, t, x: (x - X(s, t, x)) / (s - t),
        cases=jumps,
        mistakes={
            "The start x is not taken off: the slope belongs to the way from x.": lambda X, s, t, x: (
                X(s, t, x) / (t - s)
            ),
            "The way is divided by t. The jump takes the time t - s.": lambda X, s, t, x: (X(s, t, x) - x) / t,
            "This is the whole way. The slope is the way for each unit of time.": lambda X, s, t, x: X(s, t, x) - x,
            "The way is multiplied by the time. A slope is way divided by time.": lambda X, s, t, x: (
                (t - s) * (X(s, t, x) - x)
            ),
        },
    ),
    "02.6": Exercise(
        asks="the landing point and its derivative in t, two tensors of the shape of x",
        shown="One call of jvp gave the place and the speed of the landing point. No small difference was taken.",
        right=partial_t,
        cases=jumps,
        mistakes={
            "The derivative is taken in s. Here the end of the jump moves.": lambda X, s, t, x: X.partial_s(s, t, x),
            "The derivative is taken in x. Here the point is held and the end time moves.": lambda X, s, t, x: X.push(
                s, t, x, torch.ones_like(x)
            ),
            "The two values are in the wrong order: first the place, then its derivative.": lambda X, s, t, x: (
                X.partial_t(s, t, x)[::-1]
            ),
            "The second value is the slope v_{s,t}(x). The derivative in t has one more term.": lambda X, s, t, x: (
                X(s, t, x),
                X.v(s, t, x),
            ),
        },
    ),
    "02.7": Exercise(
        asks="two differences from b_t(x): of the landing point's speed, and of the slope; of the shape of x",
        shown="This is the tangent condition's test: both differences have to go to 0 with delta.",
        right=gaps,
        cases=short_jumps,
        mistakes={
            "The jump starts at t and ends later. Here it starts at t - delta and ends at t.": lambda X, b, t, x, d: (
                X.partial_t(t, t + d, x)[1] - b(t, x),
                X.v(t, t + d, x) - b(t, x),
            ),
            "The velocity is read at the landing point. The tangent condition compares with b_t(x), at the start x.": (
                lambda X, b, t, x, d: (
                    X.partial_t(t - d, t, x)[1] - b(t, X(t - d, t, x)),
                    X.v(t - d, t, x) - b(t, X(t - d, t, x)),
                )
            ),
            "The velocity is read at the time t - delta. It has to be read at t.": lambda X, b, t, x, d: (
                X.partial_t(t - d, t, x)[1] - b(t - d, x),
                X.v(t - d, t, x) - b(t - d, x),
            ),
            "The derivative is taken in s. The tangent condition is about the end time t.": lambda X, b, t, x, d: (
                X.partial_s(t - d, t, x)[1] - b(t, x),
                X.v(t - d, t, x) - b(t, x),
            ),
            "The two differences are in the wrong order: first that of the derivative, then that of the slope.": (
                lambda *a: gaps(*a)[::-1]
            ),
        },
    ),
    "02.8": Exercise(
        asks="the two factors of delta, each of the shape of x",
        shown="Both were computed from the velocity alone: the map was not asked.",
        right=predicted,
        cases=lambda: [(b, 0.7, points(5)), (b, 0.3, points(5, 1))],
        mistakes={
            "grad b is applied to x. It has to be applied to b_t(x), the direction in which the point moves.": (
                lambda b, t, x: ((bend := jvp(lambda x: b(t, x), (x,), (x,))[1]), (bend - terms(b, t, x)[1]) / 2)
            ),
            "The second factor is not halved. The middle of the path is half a jump away.": lambda b, t, x: (
                terms(b, t, x)[0],
                terms(b, t, x)[0] - terms(b, t, x)[1],
            ),
            "In the second factor the two terms are added. The middle of the path is earlier than t.": (
                lambda b, t, x: (terms(b, t, x)[0], (terms(b, t, x)[0] + terms(b, t, x)[1]) / 2)
            ),
            "The first factor is the derivative in time. In its formula t is held and x moves.": lambda b, t, x: (
                terms(b, t, x)[1],
                (terms(b, t, x)[0] - terms(b, t, x)[1]) / 2,
            ),
        },
    ),
    "02.9": Exercise(
        asks="two lists of numbers, one number for each delta: the root mean square gap of the speed, and of the slope",
        shown="A gap is one number now, over all points, and can be drawn against delta.",
        right=measure,
        cases=lambda: [(curved(), b, 0.7, points(5), (0.5, 0.25, 0.1))],
        mistakes={
            "It is the mean of the lengths. The root of the mean of the squared lengths is wanted.": lambda *a: measure(
                *a, mean=lambda gap: gap.norm(dim=1).mean()
            ),
            "The coordinates are averaged. Their squares have to be added up.": lambda *a: measure(
                *a, mean=lambda gap: gap.square().mean().sqrt()
            ),
            "The root is missing.": lambda *a: measure(*a, mean=lambda gap: gap.square().sum(1).mean()),
            "The two lists are in the wrong order: first the speed, then the slope.": lambda *a: measure(*a)[::-1],
        },
    ),
}
EXERCISES |= BOARD
