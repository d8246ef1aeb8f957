"""The exercises of lesson 03: the three conditions as residuals, their tables, and five maps to recognise."""

import math

import torch

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.answers_03 import (
    early_starts,
    eulerian,
    jumps,
    lagrangian,
    limits,
    many_jumps,
    mistaken,
    off_diagonal,
    power,
    semigroup,
    table,
    tabled,
    taught,
)
from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.course.exercises.hidden_03 import diagnosed, gauss
from flowmap_edu.flow_map import FlowMap

EXERCISES = {
    "03.1": Exercise(
        asks="the Lagrangian residual, one vector a sample, shape (B, 2)",
        shown="The residual is computed from the candidate alone: no path was solved.",
        right=lagrangian,
        cases=jumps,
        mistakes={
            "The velocity is read at the start x. It has to be read where the map lands.": lambda X, s, t, x: (
                X.partial_t(s, t, x)[1] - X.velocity(t, x)
            ),
            "The velocity is read at the time s. The landing point is there at time t.": lambda X, s, t, x: (
                X.partial_t(s, t, x)[1] - X.velocity(s, X(s, t, x))
            ),
            "The derivative is taken in s. Here the end of the jump moves.": lambda X, s, t, x: (
                X.partial_s(s, t, x)[1] - X.velocity(t, X(s, t, x))
            ),
            "v_{s,t} stands in the place of v_{t,t}: the slope of the whole jump is not the velocity at its end.": (
                lambda X, s, t, x: X.partial_t(s, t, x)[1] - X.v(s, t, X(s, t, x))
            ),
            "The two terms are added. The residual is their difference.": lambda X, s, t, x: (
                X.partial_t(s, t, x)[1] + X.velocity(t, X(s, t, x))
            ),
        },
    ),
    "03.2": Exercise(
        asks="the Eulerian residual, one vector a sample, shape (B, 2)",
        shown="Two derivatives, one in the clock and one in the point, make one number that vanishes on a flow map.",
        right=eulerian,
        cases=jumps,
        mistakes={
            "The velocity is not pushed forward: grad X is missing before v_{s,s}.": lambda X, s, t, x: (
                X.partial_s(s, t, x)[1] + X.velocity(s, x)
            ),
            "The velocity is read at (t, X_{s,t}(x)). The start moves, so it is read at (s, x).": lambda X, s, t, x: (
                X.eulerian(s, t, x, X.velocity(t, X(s, t, x)))[1]
            ),
            "The two terms are subtracted. The clock and the point move together, so their effects add.": (
                lambda X, s, t, x: X.partial_s(s, t, x)[1] - X.push(s, t, x, X.velocity(s, x))[1]
            ),
            "The derivative is taken in t. Here the start of the jump moves.": lambda X, s, t, x: (
                X.partial_t(s, t, x)[1] + X.push(s, t, x, X.velocity(s, x))[1]
            ),
        },
    ),
    "03.3": Exercise(
        asks="the semigroup residual with the stop half way, one vector a sample, shape (B, 2)",
        shown="This condition needs no derivative: three evaluations of the map are enough.",
        right=semigroup,
        cases=jumps,
        mistakes={
            "The second jump starts at x. It has to start where the first one lands.": lambda X, s, t, x: (
                X((s + t) / 2, t, x) - X(s, t, x)
            ),
            "The two jumps are made in the wrong order.": lambda X, s, t, x: (
                X(s, (s + t) / 2, X((s + t) / 2, t, x)) - X(s, t, x)
            ),
            "The stop is at t / 2. Half way between s and t is (s + t) / 2.": lambda X, s, t, x: (
                X(t / 2, t, X(s, t / 2, x)) - X(s, t, x)
            ),
            "The stop is at half the length of the jump, (t - s) / 2, which is no time between s and t.": (
                lambda X, s, t, x: X((t - s) / 2, t, X(s, (t - s) / 2, x)) - X(s, t, x)
            ),
        },
    ),
    "03.4": Exercise(
        asks="where x is after N equal jumps of the map from s to t, of the shape of x",
        shown="For a flow map the result does not depend on N.",
        right=many_jumps,
        cases=lambda: [(curved(), 0.1, 0.9, points(5), N) for N in (1, 4)],
        mistakes={
            "Every jump starts at x. The next one has to start where the last one landed.": lambda X, s, t, x, N: X(
                t - (t - s) / N, t, x
            ),
            "The clock stands still: each jump goes from s to s + (t - s) / N.": lambda X, s, t, x, N: many_jumps(
                FlowMap(lambda a, b, y: X.v(torch.full_like(a, s), s + b - a, y)), s, t, x, N
            ),
            "The jumps start at 0. The first one has to start at s.": lambda X, s, t, x, N: many_jumps(
                X, 0.0, t - s, x, N
            ),
            "Each jump goes all the way to t.": lambda X, s, t, x, N: many_jumps(
                FlowMap(lambda a, b, y: X.v(a, torch.full_like(a, t), y) * ((t - a) / (b - a))[:, None]), s, t, x, N
            ),
        },
    ),
    "03.5": Exercise(
        asks="two tensors of the shape of x: with the stop next to the end, and with the stop next to the start",
        shown="They need no derivative. For a short step they come close to two residuals that do.",
        right=limits,
        cases=lambda: [(*jumps()[0], 0.01)],
        mistakes={
            "The first one has the wrong sign: the residual at the end stands with -step in front.": lambda *a: (
                -limits(*a)[0],
                limits(*a)[1],
            ),
            "They are not divided by the step.": lambda *a: tuple(a[4] * part for part in limits(*a)),
            "The two are in the wrong order: first the stop next to the end.": lambda *a: limits(*a)[::-1],
            "The single jump is not taken off.": lambda X, s, t, x, step: (
                -X(t - step, t, X(s, t - step, x)) / step,
                X(s + step, t, X(s, s + step, x)) / step,
            ),
        },
    ),
    "03.6": Exercise(
        asks="a table of shape (times, times): r(s, t) in row s and column t, and 0 where s > t",
        shown="One number for each pair of times, in the units of the residual.",
        right=table,
        cases=tabled,
        mistakes={
            "It is the mean of the lengths. The root of the mean of the squared lengths is wanted.": lambda *a: table(
                *a, one_number=lambda r: r.norm(dim=1).mean()
            ),
            "The coordinates are averaged. Their squares have to be added up.": lambda *a: table(
                *a, one_number=lambda r: r.square().mean().sqrt()
            ),
            "The root is missing.": lambda *a: table(*a, one_number=lambda r: r.square().sum(1).mean()),
            "Rows and columns have changed places: s is the row.": lambda *a: table(*a).T,
            "The points are those of the end time. A jump from s starts at points of the time s.": lambda *a: table(
                *a, at_end=True
            ),
        },
    ),
    "03.7": Exercise(
        asks='a dict from each of the letters "A" to "E" to one of the five names',
        shown="You told five maps apart by the pairs of times at which they contradict themselves.",
        law=diagnosed,
    ),
    "03.8": Exercise(
        asks="one number: the root mean square distance between v_{t,t}(x) and the true velocity",
        shown="This error needs the true velocity. No residual contains it.",
        right=off_diagonal,
        cases=lambda: [(curved(), times(7, 1)[0], points(7))],
        mistakes={
            "One number a sample is not wanted: take the mean of the squares over the points, then the root.": (
                lambda X, t, x: (X.velocity(t, x) - gauss().velocity(t, x)).norm(dim=1)
            ),
            "The slope is read at (0, t). The diagonal is (t, t).": lambda X, t, x: (
                (X.v(torch.zeros_like(t), t, x) - gauss().velocity(t, x)).square().sum(1).mean().sqrt()
            ),
            "The coordinates are averaged. Their squares have to be added up.": lambda *a: off_diagonal(*a) / 2**0.5,
            "The root is missing.": lambda *a: off_diagonal(*a).square(),
        },
    ),
    "03.9": Exercise(
        asks="the Lagrangian residual with a known velocity, one vector a sample, shape (B, 2)",
        shown="It vanishes only on the flow map of that velocity.",
        right=taught,
        cases=lambda: [(curved(), gauss().velocity, *times(7), points(7))],
        mistakes={
            "The velocity is that of the map's own diagonal. The known one is wanted.": lambda X, b, s, t, x: (  # noqa: ARG005
                lagrangian(X, s, t, x)
            ),
            "The velocity is read at the start x. It has to be read where the map lands.": lambda X, b, s, t, x: (
                X.partial_t(s, t, x)[1] - b(t, x)
            ),
            "The velocity is read at the time s. The landing point is there at time t.": lambda X, b, s, t, x: (
                X.partial_t(s, t, x)[1] - b(s, X(s, t, x))
            ),
            "The slope v_{s,t}(x) stands in the place of the derivative in t.": lambda X, b, s, t, x: (
                X.v(s, t, x) - b(t, X(s, t, x))
            ),
        },
    ),
    "03.10": Exercise(
        asks="two tensors of the shape of x: with the velocity at the landing point, and without grad X",
        shown="Both are wrong, and both look like the right equation.",
        right=mistaken,
        cases=jumps,
        mistakes={
            "The first one is the right residual: its velocity is read at (s, x).": lambda X, s, t, x: (
                eulerian(X, s, t, x),
                mistaken(X, s, t, x)[1],
            ),
            "In the first one grad X is missing. Only the place of the velocity changes there.": lambda X, s, t, x: (
                X.partial_s(s, t, x)[1] + X.velocity(t, X(s, t, x)),
                mistaken(X, s, t, x)[1],
            ),
            "In the second one the velocity is read at the landing point. It stays at (s, x) there.": (
                lambda X, s, t, x: (mistaken(X, s, t, x)[0], X.partial_s(s, t, x)[1] + X.velocity(t, X(s, t, x)))
            ),
            "The two are in the wrong order.": lambda *a: mistaken(*a)[::-1],
        },
    ),
    "03.11": Exercise(
        asks="one number: the power of t - s, from jumps of the lengths 0.001 and 0.002",
        shown="If r is proportional to the p-th power, twice the length gives 2^p times as much.",
        right=power,
        cases=early_starts,
        tolerance=1e-4,
        mistakes={
            "This is the ratio. The power is its logarithm to the base 2.": lambda *a: 2 ** power(*a),
            "The logarithm has the base e.": lambda *a: power(*a) * math.log(2),
            "The lengths are in the wrong order: the longer jump has the larger residual.": lambda *a: -power(*a),
            "The mean squares are compared. The power of their roots is wanted.": lambda *a: 2 * power(*a),
        },
    ),
    "03.12": Exercise(
        asks="three powers of t - s, in the order Lagrangian, Eulerian, semigroup",
        shown="The first two are distances for each unit of time, the third is a distance.",
        right=[1, 1, 2],
        mistakes={
            "The semigroup residual is a distance: two Euler steps and one differ in the second order.": [1, 1, 1],
            "The first two residuals are derivatives: they are one order lower than a distance.": [2, 2, 2],
        },
    ),
    "03.13": Exercise(
        asks="one number: the largest possible distance from the true end",
        shown="A small residual at all times is a small error at the end, as long as L is not large.",
        right=lambda epsilon, L: epsilon * (math.exp(L) - 1) / L,
        cases=lambda: [(0.1, 2.0), (0.5, 0.3)],
        mistakes={
            "This is the bound for L = 0: errors also grow on their way.": lambda epsilon, L: epsilon,  # noqa: ARG005
            "An error made at time 0 grows by e^L, but not every error is made at time 0.": lambda epsilon, L: (
                epsilon * math.exp(L)
            ),
            "The division by L is missing.": lambda epsilon, L: epsilon * (math.exp(L) - 1),
            "The 1 is missing: at time 0 the distance is 0.": lambda epsilon, L: epsilon * math.exp(L) / L,
        },
    ),
}
