"""The exercises of lesson 03: the three conditions as residuals."""

from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.flow_map import FlowMap


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
}
