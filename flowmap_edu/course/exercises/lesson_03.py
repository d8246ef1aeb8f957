"""The exercises of lesson 03: the three conditions as residuals, their tables, and five maps to recognise."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.course.exercises.hidden_03 import diagnosed, gauss
from flowmap_edu.flow_map import FlowMap

Condition = Callable[[FlowMap, Tensor, Tensor, Tensor], Tensor]


def jumps() -> list[tuple[FlowMap, Tensor, Tensor, Tensor]]:
    """A map that obeys no condition, and seven jumps: (X, s, t, x)."""
    s, t = times(7)
    return [(curved(), s, t, points(7))]


def lagrangian(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/dt X_{s,t}(x) - v_{t,t}(X_{s,t}(x))."""
    landed, moves = X.partial_t(s, t, x)
    return moves - X.velocity(t, landed)


def eulerian(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/ds X_{s,t}(x) + grad X_{s,t}(x) v_{s,s}(x)."""
    return X.eulerian(s, t, x, X.velocity(s, x))[1]


def semigroup(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """X_{u,t}(X_{s,u}(x)) - X_{s,t}(x), with u half way."""
    u = (s + t) / 2
    return X(u, t, X(s, u, x)) - X(s, t, x)


def limits(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """The semigroup residual with the stop next to an end, divided by the step; at the end with a minus."""
    one = X(s, t, x)
    by_end, by_start = X(t - step, t, X(s, t - step, x)), X(s + step, t, X(s, s + step, x))
    return (one - by_end) / step, (by_start - one) / step


def table(
    condition: Condition,
    X: FlowMap,
    points: Tensor,
    grid: Tensor,
    one_number: Callable[[Tensor], Tensor] = lambda r: r.square().sum(1).mean().sqrt(),
    at_end: bool = False,
) -> Tensor:
    """r(s, t) for s <= t, zero below the diagonal."""
    out = torch.zeros(len(grid), len(grid), dtype=grid.dtype)
    for i, j in torch.triu_indices(len(grid), len(grid)).T.tolist():
        x = points[j if at_end else i]
        out[i, j] = one_number(condition(X, grid[i].repeat(len(x)), grid[j].repeat(len(x)), x))
    return out


def tabled() -> list[tuple[Condition, FlowMap, Tensor, Tensor]]:
    """(condition, X, points, grid): four times and five points for each."""
    return [(lagrangian, curved(), points(20).reshape(4, 5, 2), torch.linspace(0, 1, 4, dtype=torch.float64))]


def off_diagonal(X: FlowMap, t: Tensor, x: Tensor) -> Tensor:
    """sqrt E |v_{t,t}(x) - b_t(x)|^2."""
    return (X.velocity(t, x) - gauss().velocity(t, x)).square().sum(1).mean().sqrt()


def mistaken(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The Eulerian residual with the velocity at (t, X_{s,t}(x)), and without grad X."""
    landed, clock = X.partial_s(s, t, x)
    return clock + X.push(s, t, x, X.velocity(t, landed))[1], clock + X.velocity(s, x)


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
    "03.5": Exercise(
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
    "03.6": Exercise(
        asks='a dict from each of the letters "A" to "E" to one of the five names',
        shown="You told five maps apart by the pairs of times at which they contradict themselves.",
        law=diagnosed,
    ),
    "03.7": Exercise(
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
    "03.8": Exercise(
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
    "03.9": Exercise(
        asks="three powers of t - s, in the order Lagrangian, Eulerian, semigroup",
        shown="The first two are distances for each unit of time, the third is a distance.",
        right=[1, 1, 2],
        mistakes={
            "The semigroup residual is a distance: two Euler steps and one differ in the second order.": [1, 1, 1],
            "The first two residuals are derivatives: they are one order lower than a distance.": [2, 2, 2],
        },
    ),
}
