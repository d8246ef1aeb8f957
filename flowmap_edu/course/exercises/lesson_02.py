"""The exercises of lesson 02: the flow map on the line, its slope, its derivatives, and its diagonal."""

import torch
from torch.func import jvp  # type: ignore[attr-defined]

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.answers_02 import (
    M,
    S,
    b,
    changed_loss,
    determinant,
    diagonal_loss,
    gaps,
    jacobian,
    jumps,
    on_the_line,
    pairs,
    partial_t,
    predicted,
    short_jumps,
    slopes,
    terms,
    two_slopes,
    v_line,
    walk,
    walks,
    wrong_walk,
)
from flowmap_edu.course.exercises.cases import parameters, points

EXERCISES = {
    "02.1": Exercise(
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
    "02.2": Exercise(
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
    "02.3": Exercise(
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
    "02.4": Exercise(
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
    "02.5": Exercise(
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
    "02.6": Exercise(
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
    "02.7": Exercise(
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
    "02.8": Exercise(
        asks="the determinant of grad X_{s,t}(x), one number a point, shape (B,)",
        shown="Two directional derivatives are the two columns of the matrix, and its determinant is a change of area.",
        right=determinant,
        cases=jumps,
        mistakes={
            "This is the trace. The change of area is the determinant.": lambda *a: (
                jacobian(*a).diagonal(dim1=1, dim2=2).sum(1)
            ),
            "This is the product of the two diagonal entries. The other two count as well.": lambda *a: (
                jacobian(*a).diagonal(dim1=1, dim2=2).prod(1)
            ),
            "This is 1 / det: the change of the density, not that of the area.": lambda *a: 1 / determinant(*a),
            "This is the product of the columns' lengths: the area only where they are perpendicular.": lambda *a: (
                jacobian(*a).norm(dim=1).prod(1)
            ),
            "The matrix belongs to X_{t,s}, the jump in the other direction.": lambda X, s, t, x: determinant(
                X, t, s, x
            ),
        },
    ),
    "02.9": Exercise(
        asks="where x is after the jump from s to t and the jump back, less x, of the shape of x",
        shown="There and back is the semigroup equation of lesson 03 with the end at the start.",
        right=lambda X, s, t, x: X(t, s, X(s, t, x)) - x,
        cases=jumps,
        mistakes={
            "The second jump goes from s to t again. The way back goes from t to s.": lambda X, s, t, x: (
                X(s, t, X(s, t, x)) - x
            ),
            "The way back starts at x. It has to start where the first jump lands.": lambda X, s, t, x: X(t, s, x) - x,
            "The first jump goes from t to s. The point x is known at time s.": lambda X, s, t, x: (
                X(s, t, X(t, s, x)) - x
            ),
            "The start x is not taken off. The difference is wanted.": lambda X, s, t, x: X(t, s, X(s, t, x)),
        },
    ),
    "02.10": Exercise(
        asks="the loss of flow matching, read on the map's diagonal, one number a sample, shape (B,)",
        shown="The loss asks for v at s = t only.",
        right=diagonal_loss,
        cases=pairs,
        parameters=parameters,
        mistakes={
            "The network is asked at s = 0. The diagonal is s = t.": lambda *a: changed_loss(
                *a, s=torch.zeros_like(a[1])
            ),
            "x0 and x1 have changed places in the interpolant: at time 0 it is the noise x0.": lambda *a: changed_loss(
                *a, swap=True
            ),
            "The slope of the line has the wrong sign: it leads from x0 to x1.": lambda *a: changed_loss(*a, sign=-1.0),
            "The coordinates are averaged. Their squares have to be added up.": lambda *a: diagonal_loss(*a) / 2,
            "The target is x1. The slope of the line is x1 - x0.": lambda X, t, x0, x1: (
                (X.v(t, t, torch.lerp(x0, x1, t[:, None])) - x1).square().sum(1)
            ),
        },
    ),
    "02.11": Exercise(
        asks="another(v, s, t, x): a slope that equals v where s = t and differs from it where s < t",
        shown="It has the same loss as v to the last digit, and other jumps.",
        law=two_slopes,
        mistakes={
            "For s < t it is still v. There it has to differ.": lambda v, s, t, x: v(s, t, x),
            "At s = t it differs from v. There the two have to agree.": lambda v, s, t, x: v(s, t, x) + 1,
            "At s = t it is not finite.": lambda v, s, t, x: v(s, t, x) + 1 / (t - s)[:, None],
            "It has to return one slope for each point, of the shape of x.": lambda v, s, t, x: v(s, t, x).sum(1),
        },
    ),
    "02.12": Exercise(
        asks="v_line(s, t, x): the slope of the map on the line, finite at s = t too, of the shape of x",
        shown="At s = t it is the velocity, and no limit had to be taken.",
        right=v_line,
        cases=on_the_line,
        mistakes={
            "The mean moves too: m is missing.": lambda s, t, x: v_line(s, t, x) - M,
            "The division by S(s) is missing.": lambda s, t, x: M + (v_line(s, t, x) - M) * S(s),
            "x - m t stands in the place of x - m s: the jump starts at time s.": lambda s, t, x: v_line(
                s, t, x + M * (s - t)
            ),
            "It is divided by S(t) - S(s). Multiplying both by S(t) + S(s) leaves the sum in the denominator.": (
                lambda s, t, x: M + (v_line(s, t, x) - M) * (S(t) + S(s)) / (S(t) - S(s))
            ),
        },
    ),
    "02.13": Exercise(
        asks="the number c in lim d/ds X_{s,t}(x) = c b_t(x)",
        shown="A later start leaves less time: the landing point falls back by one velocity for each unit of time.",
        right=-1.0,
        mistakes={
            "The landing point moves when only the start time moves: the limit is not 0.": 0.0,
            "Two terms have been counted: only the factor t - s depends on s in the limit.": -2.0,
        },
    ),
    "02.14": Exercise(
        asks="the power of t - s with which the Euler step breaks equation (1)",
        shown="The Euler step is a flow map to lowest order, and no further.",
        right=1.0,
        mistakes={
            "That is the power for the landing point. Equation (1) is about its derivative in t.": 2.0,
            "At s = t the two sides agree, so that the difference goes to 0.": 0.0,
        },
    ),
}
