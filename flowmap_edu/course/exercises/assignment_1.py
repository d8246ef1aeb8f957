"""The parts of assignment 1: interpolants, and the exact velocity of a board of two squares."""

import functools
import math

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import points, times
from flowmap_edu.problems.truncated import gauss_legendre

SIGMA = 1 / math.sqrt(3)
STARTS = torch.tensor([-1.0, 0.0], dtype=torch.float64)  # where the sides of the two squares begin
NODES, WEIGHTS = gauss_legendre(48)


def curved_path(t: Tensor, x0: Tensor, x1: Tensor) -> tuple[Tensor, Tensor]:
    """cos(pi t / 2) x0 + sin(pi t / 2) x1 and its time derivative, shape (B, 2) each."""
    angle = math.pi / 2 * t[:, None]
    speed = math.pi / 2
    return angle.cos() * x0 + angle.sin() * x1, speed * (angle.cos() * x1 - angle.sin() * x0)


def sides(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """For each square and coordinate the mass of x and the mean of x1, by quadrature; shape (2, B, 2) each."""
    y = STARTS[:, None] + NODES
    distance = x[..., None] - t[:, None, None] * y[:, None, None, :]
    mass = torch.exp(-(distance / ((1 - t) * SIGMA)[:, None, None]).square() / 2) * WEIGHTS
    total = mass.sum(-1)
    return total, (mass * y[:, None, None, :]).sum(-1) / total


def upper(t: Tensor, x: Tensor) -> Tensor:
    """P(x1 is in the upper right square | I_t = x), shape (B,)."""
    mass = sides(t, x)[0].prod(-1)
    return mass[1] / mass.sum(0)


def mean_data(t: Tensor, x: Tensor) -> Tensor:
    """E[x1 | I_t = x], shape (B, 2)."""
    mass, mean = sides(t, x)
    share = mass.prod(-1, keepdim=True)
    return (share * mean).sum(0) / share.sum(0)


def velocity(t: Tensor, x: Tensor) -> Tensor:
    """(E[x1 | I_t = x] - x) / (1 - t), shape (B, 2)."""
    return (mean_data(t, x) - x) / (1 - t)[:, None]


def by_coordinate(t: Tensor, x: Tensor) -> Tensor:
    """The velocity with a weight for each coordinate alone."""
    mass, mean = sides(t, x)
    return ((mass * mean).sum(0) / mass.sum(0) - x) / (1 - t)[:, None]


def unweighted(t: Tensor, x: Tensor) -> Tensor:
    """The velocity with the weight 1/2 for each square."""
    return (sides(t, x)[1].mean(0) - x) / (1 - t)[:, None]


def draws(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """n pairs of noise and data, float64, shape (n, 2) each."""
    x1 = torch.rand(n, 2, generator=g, dtype=torch.float64) - torch.randint(2, (n, 1), generator=g)
    return SIGMA * torch.randn(n, 2, generator=g, dtype=torch.float64), x1


def path_cases(seed: int) -> list[tuple[Tensor, ...]]:
    """Two batches; in the first B = 2, so that times that meet the coordinates are not noticed."""
    return [(times(n, 1, 10 * seed + n)[0], points(n, seed=10 * seed), points(n, seed=10 * seed + 5)) for n in (2, 6)]


def velocity_cases(seed: int) -> list[tuple[Tensor, Tensor]]:
    """Places where I_t is found, at nine times between 0.1 and 0.6."""
    x0, x1 = draws(9, torch.Generator().manual_seed(100 + seed))
    t = 0.1 + 0.5 * times(9, 1, seed)[0]
    return [(t, (1 - t)[:, None] * x0 + t[:, None] * x1)]


def own(student: int) -> tuple[Tensor, Tensor]:
    """The student's own time and place, shapes (1,) and (1, 2)."""
    g = torch.Generator().manual_seed(student)
    t = 0.2 + 0.4 * torch.rand(1, generator=g, dtype=torch.float64)
    return t, 0.15 * torch.randn(1, 2, generator=g, dtype=torch.float64)


@functools.cache
def unexplained(time: float) -> tuple[float, float, float]:
    """E|dI - b|^2, E|dI|^2 and E|b|^2 at a time, from 40,000 draws."""
    x0, x1 = draws(40_000, torch.Generator().manual_seed(1))
    t = torch.full((len(x0),), time, dtype=torch.float64)
    moves, b = x1 - x0, velocity(t, (1 - t)[:, None] * x0 + t[:, None] * x1)
    rest, whole, part = (float(v.square().sum(1).mean()) for v in (moves - b, moves, b))
    return rest, whole, part


def exercises(student: int, seed: int) -> dict[str, Exercise]:
    """The autograded parts, by name."""
    t, x = own(student)
    p = float(upper(t, x))
    along, both = sides(t, x)[0][:, 0, 0], sides(t, x)[0][:, 0].sum(1)
    rest, whole, part = unexplained(float(t))
    return {
        "a1.2": Exercise(
            asks="the curved path and its time derivative, a tuple of two tensors of shape (B, 2)",
            shown="The path starts at x0 and ends at x1, and the second value is its derivative.",
            right=curved_path,
            cases=lambda: path_cases(seed),
            mistakes={
                "That is the straight path. Here the coefficients are a cosine and a sine.": lambda t, x0, x1: (
                    (1 - t)[:, None] * x0 + t[:, None] * x1,
                    x1 - x0,
                ),
                "The derivative lacks the factor pi / 2, the derivative of the angle.": lambda t, x0, x1: (
                    curved_path(t, x0, x1)[0],
                    curved_path(t, x0, x1)[1] / (math.pi / 2),
                ),
                "The derivative of the cosine has the sign -.": lambda t, x0, x1: (
                    curved_path(t, x0, x1)[0],
                    curved_path(t, x0, -x1)[1] * -1,
                ),
                "Time runs from data to noise. In this course time 0 is noise x0 and time 1 is data x1.": (
                    lambda t, x0, x1: curved_path(t, x1, x0)
                ),
                "The times meet the coordinates, not the samples: t[:, None] is missing.": lambda t, x0, x1: tuple(
                    v.T for v in curved_path(t, x0.T, x1.T)
                ),
            },
        ),
        "a1.3": Exercise(
            asks="the velocity b_t(x), one vector a sample, shape (B, 2)",
            shown="The velocity of this board is known exactly: nothing was trained.",
            right=velocity,
            cases=lambda: velocity_cases(seed),
            mistakes={
                "That is E[x1 | I_t = x]. The velocity is (E[x1 | I_t = x] - x) / (1 - t).": mean_data,
                "The division by 1 - t is missing.": lambda t, x: mean_data(t, x) - x,
                "Both squares have the same weight here. The place x tells which of them is more likely.": unweighted,
                "Each coordinate has a weight of its own. Both coordinates are in the same square: multiply.": (
                    by_coordinate
                ),
                "It is divided by t. The velocity is (E[x1 | I_t = x] - x) / (1 - t).": lambda t, x: (
                    (mean_data(t, x) - x) / t[:, None]
                ),
            },
        ),
        "a1.4": Exercise(
            asks="the probability of the upper right square at your time and place, a number",
            shown="One point at one time already tells much of the data it comes from.",
            right=p,
            mistakes={
                "That is the probability of the other square.": 1 - p,
                "Only the first coordinate is used. Multiply the masses of both.": float(along[1] / along.sum()),
                "That is the probability before x is known.": 0.5,
                "The masses of the two coordinates are added. Multiply them.": float(both[1] / both.sum()),
            },
            tolerance=1e-4,
        ),
        "a1.5": Exercise(
            asks="the share of E|dI|^2 that the velocity does not explain at your time, a number between 0 and 1",
            shown="No network can make the loss smaller than this.",
            right=rest / whole,
            mistakes={
                "That is the share which the velocity explains. The rest is asked for.": part / whole,
                "That is E|dI - b|^2 itself. Divide it by E|dI|^2.": rest,
                "That is the root of the share.": math.sqrt(rest / whole),
                "That is the ratio of what is not explained to what is.": rest / part,
            },
            tolerance=0.03,
        ),
    }
