"""The exercise of lesson 00: N jumps by a flow map."""

from itertools import pairwise

from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import curved, points
from flowmap_edu.flow_map import FlowMap


def journeys() -> list[tuple[FlowMap, Tensor, int]]:
    """A map that obeys no condition, seven points, and a number of jumps: every stop can be told from every other."""
    return [(curved(), points(7), 4), (curved(seed=2), points(5, seed=3), 1)]


def jump(X: FlowMap, x: Tensor, steps: int) -> Tensor:
    """Where `steps` jumps of equal length take x from time 0 to time 1."""
    ends = [k / steps for k in range(steps + 1)]
    for s, t in pairwise(ends):
        x = X(s, t, x)
    return x


def always_from_zero(X: FlowMap, x: Tensor, steps: int) -> Tensor:
    """Every jump from time 0."""
    for k in range(steps):
        x = X(0.0, (k + 1) / steps, x)
    return x


def never_later(X: FlowMap, x: Tensor, steps: int) -> Tensor:
    """The first jump again and again."""
    for _ in range(steps):
        x = X(0.0, 1 / steps, x)
    return x


def always_to_one(X: FlowMap, x: Tensor, steps: int) -> Tensor:
    """Every jump to time 1."""
    for k in range(steps):
        x = X(k / steps, 1.0, x)
    return x


def from_the_noise(X: FlowMap, x: Tensor, steps: int) -> Tensor:
    """The last jump alone."""
    return X((steps - 1) / steps, 1.0, x)


def one_short(X: FlowMap, x: Tensor, steps: int) -> Tensor:
    """All jumps but the last."""
    for k in range(steps - 1):
        x = X(k / steps, (k + 1) / steps, x)
    return x


EXERCISES = {
    "00.1": Exercise(
        asks="the points after `steps` jumps of equal length from time 0 to time 1, shape (B, 2)",
        shown="Each jump starts at the place and the time at which the one before it ended.",
        right=jump,
        cases=journeys,
        mistakes={
            "Every jump starts at time 0. It has to start at the time at which the one before ended.": always_from_zero,
            "The times do not change from jump to jump: the clock stands still.": never_later,
            "Every jump ends at time 1. Only the last one does.": always_to_one,
            "It is one jump only, whatever the number of steps is.": lambda X, x, _: X(0.0, 1.0, x),
            "The last jump starts at the noise. It has to start where the jump before it landed.": from_the_noise,
            "One jump is missing: the points do not arrive at time 1.": one_short,
        },
    ),
}
