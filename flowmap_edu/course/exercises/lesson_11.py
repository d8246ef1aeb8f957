"""The exercises of lesson 11: the sliced distance, a copier, whole numbers, columns of different size."""

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import points, times


def two_sets() -> list[tuple[Tensor, Tensor, Tensor]]:
    """(a, b, direction)."""
    direction = torch.tensor([0.6, 0.8], dtype=torch.float64)
    return [(points(9, 2, 1), points(9, 2, 2) * 1.5 + 0.3, direction)]


def quantiles(x: Tensor) -> Tensor:
    """The numbers in order."""
    return torch.quantile(x, torch.linspace(0, 1, len(x), dtype=x.dtype), interpolation="nearest")


def along(a: Tensor, b: Tensor, direction: Tensor) -> Tensor:
    """The mean square distance of the sorted projections."""
    first, second = (quantiles((x * direction).sum(1)) for x in (a, b))
    return (first - second).square().sum() / len(a)


def jumps() -> list[tuple[Tensor, Tensor, Tensor]]:
    """(s, x, goal)."""
    return [(0.9 * times(5)[0], points(5), points(5, seed=2))]


def columns() -> list[tuple[Tensor, Tensor]]:
    """(drawn, column)."""
    column = torch.tensor([1.0, 2.0, 2.0, 5.0, 1.0, 5.0, 9.0], dtype=torch.float64)
    return [(torch.tensor([0.2, 1.4, 1.6, 3.4, 3.6, 12.0], dtype=torch.float64), column)]


def nearest(drawn: Tensor, column: Tensor) -> Tensor:
    """The nearest value that occurs."""
    return torch.stack([column[(column - number).abs().argmin()] for number in drawn])


EXERCISES = {
    "11.1": Exercise(
        asks="the mean square distance of the sorted projections, a number",
        shown="In one dimension the shortest transport keeps the order.",
        right=along,
        cases=two_sets,
        mistakes={
            "The projections are not sorted: points are compared by their place in the list.": lambda a, b, w: (
                (a @ w - b @ w).square().mean()
            ),
            "This is the difference of the means along the direction.": lambda a, b, w: (
                (a @ w).mean() - (b @ w).mean()
            ).square(),
            "The distances are not squared.": lambda a, b, w: (
                ((a @ w).sort().values - (b @ w).sort().values).abs().mean()
            ),
            "The coordinates are sorted before the projection. Project first.": lambda a, b, w: (
                (a.sort(0).values @ w - b.sort(0).values @ w).square().mean()
            ),
            "The squares are summed. Their mean is wanted.": lambda a, b, w: along(a, b, w) * len(a),
        },
    ),
    "11.2": Exercise(
        asks="the slope of the jump that lands on goal at time 1, shape (B, D)",
        shown="Any wish for the landing point is a slope: this is how a map is made by hand.",
        right=lambda s, x, goal: torch.stack([(g - y) / (1 - r) for r, y, g in zip(s, x, goal, strict=True)]),
        cases=jumps,
        mistakes={
            "The slope is not divided by the length of the jump.": lambda s, x, goal: goal - x + 0 * s[:, None],
            "It is divided by s. The jump has the length 1 - s.": lambda s, x, goal: (goal - x) / s[:, None],
            "It is multiplied by the length of the jump.": lambda s, x, goal: (goal - x) * (1 - s)[:, None],
            "The goal itself is returned. A slope is wanted.": lambda s, x, goal: goal + 0 * x * s[:, None],
        },
    ),
    "11.3": Exercise(
        asks="each drawn number as the nearest value that occurs in the column, shape (N,)",
        shown="A column of whole numbers stays one, whatever its values are.",
        right=nearest,
        cases=columns,
        mistakes={
            "Numbers are rounded to whole numbers. Not every whole number occurs in the column.": lambda drawn, _: (
                drawn.round()
            ),
            "The places of the nearest values are returned, not the values.": lambda drawn, column: (
                (drawn[:, None] - column.unique()).abs().argmin(1).to(drawn.dtype)
            ),
            "Values are rounded down to one that occurs.": lambda drawn, column: torch.stack(
                [column[column <= max(number, column.min())].max() for number in drawn]
            ),
            "The differences keep their sign: the most negative one is not the nearest.": lambda drawn, column: (
                column.unique()[(drawn[:, None] - column.unique()).argmin(1)]
            ),
        },
    ),
    "11.4": Exercise(
        asks="a share, a number between 0 and 1",
        shown="Three quarters of the points of that column lie where the noise never is.",
        right=0.7389,
        tolerance=1e-2,
        mistakes={
            "This counts one side only. Large negative numbers are as far away.": 0.3694,
            "This is the share that lies within ten deviations.": 0.2611,
            "The deviation of the column is 30: ten is a third of it.": 1.52e-23,
            "This is the share below +10. Both sides are asked for.": 0.6306,
        },
    ),
}
