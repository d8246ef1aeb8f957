"""The exercises of lesson 02 on the board and on the network, and those at its end."""

import torch

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.answers_02 import (
    M,
    S,
    changed_loss,
    determinant,
    diagonal_loss,
    jacobian,
    jumps,
    on_the_line,
    pairs,
    simply_trained,
    trained,
    two_slopes,
    untrained,
    v_line,
)
from flowmap_edu.course.exercises.cases import parameters, points

BOARD = {
    "02.10": Exercise(
        asks="by_density(x): what the two densities say of det grad X_{0,1}(x), one number a point, shape (B,)",
        shown="It was computed without the map: where the mass has to go, the area has to follow.",
        right=lambda x: 3 / torch.pi * (-1.5 * x.square().sum(1)).exp(),
        cases=lambda: [(points(7),)],
        mistakes={
            "It is divided the wrong way round: a dense place needs more area at the end, not less.": lambda x: (
                torch.pi / 3 * (1.5 * x.square().sum(1)).exp()
            ),
            "The density of the data is missing: it is 1/2 on the squares.": lambda x: (
                1.5 / torch.pi * (-1.5 * x.square().sum(1)).exp()
            ),
            "The noise has the variance 1/3 in each coordinate, not 1.": lambda x: (
                (-x.square().sum(1) / 2).exp() / torch.pi
            ),
            "This is the factor of a density on the line. In the plane it is squared.": lambda x: (
                2 * (1.5 / torch.pi) ** 0.5 * (-1.5 * x.square().sum(1)).exp()
            ),
        },
    ),
    "02.11": Exercise(
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
    "02.12": Exercise(
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
    "02.13": Exercise(
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
    "02.14": Exercise(
        asks="train(seed, steps): a FlowMap whose network was trained by so many steps with the diagonal loss",
        shown="After 60 short steps the loss is well below that of a new network.",
        law=trained,
        mistakes={
            "The loss has not fallen. Is every step made of zero_grad, backward and step, in this order?": untrained,
            "The loss has risen: the optimiser goes down the gradient of the loss itself, not of its negative.": (
                lambda seed, steps: simply_trained(seed, steps, sign=-1.0)
            ),
            "A FlowMap is wanted, this is an object of the class MLP.": lambda *a: untrained(*a).slope,
            "Two calls with one seed differ: torch.manual_seed(seed) has to come before the network is made.": (
                lambda seed, steps: simply_trained(seed, steps, seeded=False)
            ),
        },
    ),
    "02.15": Exercise(
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
    "02.16": Exercise(
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
    "02.17": Exercise(
        asks="the number c in lim d/ds X_{s,t}(x) = c b_t(x)",
        shown="A later start leaves less time: the landing point falls back by one velocity for each unit of time.",
        right=-1.0,
        mistakes={
            "The landing point moves when only the start time moves: the limit is not 0.": 0.0,
            "Two terms have been counted: only the factor t - s depends on s in the limit.": -2.0,
        },
    ),
    "02.18": Exercise(
        asks="the power of t - s with which the Euler step breaks equation (1)",
        shown="The Euler step is a flow map to lowest order, and no further.",
        right=1.0,
        mistakes={
            "That is the power for the landing point. Equation (1) is about its derivative in t.": 2.0,
            "At s = t the two sides agree, so that the difference goes to 0.": 0.0,
        },
    ),
}
