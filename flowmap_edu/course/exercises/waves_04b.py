"""Lesson 04b's waves: an error a cos(kx + ws) + b sin(kx + ws), and what a gradient step makes of it."""

import math

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise

Wave = tuple[float, float, float, float]


def turn(angle: float) -> Tensor:
    """The matrix by which an imaginary factor acts on the heights of cosine and sine."""
    return torch.tensor([[0.0, angle], [-angle, 0.0]], dtype=torch.float64)


def two_parts(k: float, omega: float, d: float, b: float) -> tuple[Tensor, Tensor]:
    """The matrices of d/ds X and of grad X b."""
    return turn(d * omega) - torch.eye(2, dtype=torch.float64), turn(d * k * b)


def step(stop: str, k: float, omega: float, d: float, b: float) -> Tensor:
    """The transpose of what keeps its gradient, times the whole."""
    clock, carried = two_parts(k, omega, d, b)
    whole = clock + carried
    kept = {"none": whole, "convex": whole, "full": clock, "semi": -torch.eye(2, dtype=torch.float64)}[stop]
    return kept.T @ whole


def waves() -> list[Wave]:
    """(k, omega, d, b)."""
    return [(3.0, -2.0, 0.5, 1.5), (5.0, 4.0, 0.25, -0.8)]


def descent(matrix: Tensor, steps: int, rate: float) -> list[float]:
    """The height of (1, 0) under 0, 1, ..., steps gradient steps."""
    once = torch.eye(2, dtype=torch.float64) - rate * matrix
    return [float(torch.linalg.matrix_power(once, n)[:, 0].norm()) for n in range(steps + 1)]


WAVES = {
    "04b.7": Exercise(
        asks="two matrices, shape (2, 2) each, float64: of d/ds X and of grad X b",
        shown="The residual is their sum, applied to the two heights.",
        right=two_parts,
        cases=waves,
        mistakes={
            "The -1 is missing in the first: d = t - s falls when s grows.": lambda k, omega, d, b: (
                turn(d * omega),
                turn(d * k * b),
            ),
            "The -1 has the wrong sign: d = t - s falls when s grows.": lambda k, omega, d, b: (
                turn(d * omega) + torch.eye(2, dtype=torch.float64),
                turn(d * k * b),
            ),
            "The factor d is missing: the error of X is d times the error of v.": lambda k, omega, d, b: (  # noqa: ARG005
                two_parts(k, omega, 1.0, b)
            ),
            "The derivative of a cosine is minus the sine: a sign is wrong in both matrices.": lambda k, omega, d, b: (
                two_parts(-k, -omega, d, b)
            ),
            "The two matrices have changed places.": lambda *a: two_parts(*a)[::-1],
            "The velocity b is missing in the second.": lambda k, omega, d, b: two_parts(k, omega, d, 1.0),  # noqa: ARG005
        },
    ),
    "04b.8": Exercise(
        asks='a matrix of shape (2, 2) for stop = "convex", "full" or "semi"',
        shown="Its eigenvalues say at which rate the wave shrinks or grows.",
        right=step,
        cases=lambda: [(stop, *wave) for wave in waves() for stop in ("convex", "full", "semi")],
        mistakes={
            "The transpose is missing: a gradient contains the transposed matrix of what keeps its gradient.": (
                lambda stop, *a: kept_of(stop, *a) @ sum_of(*a)
            ),
            'The second term, grad X b, keeps its gradient under "full". It has to be the first, d/ds X.': (
                lambda stop, *a: two_parts(*a)[1].T @ sum_of(*a) if stop == "full" else step(stop, *a)
            ),
            "The same part stands on both sides. What is held has no gradient, but it is in the residual.": (
                lambda stop, *a: kept_of(stop, *a).T @ kept_of(stop, *a)
            ),
            'Under "semi" the leading -v keeps its gradient. Its matrix is minus one.': lambda stop, *a: (
                -step(stop, *a) if stop == "semi" else step(stop, *a)
            ),
        },
    ),
    "04b.9": Exercise(
        asks='the real part of the rate under "full", a number',
        shown="It is negative: a step multiplies this wave by about 1 + 3 rate, and it grows for every rate.",
        right=-3.0,
        mistakes={
            'That is the rate under "convex".': 5.0,
            'That is the rate under "semi".': 1.0,
            "The 1 is missing: it comes from the two -1.": -4.0,
            "The factor d enters squared.": -7.0,
        },
    ),
    "04b.10": Exercise(
        asks="steps + 1 heights, a list of numbers",
        shown="The real part of the rate decides: positive shrinks, negative grows.",
        right=descent,
        cases=lambda: [(step("full", *wave), 5, 0.1) for wave in waves()],
        mistakes={
            "The step goes uphill: a gradient step subtracts.": lambda matrix, steps, rate: descent(
                -matrix, steps, rate
            ),
            "The first height, before any step, is missing.": lambda matrix, steps, rate: descent(matrix, steps, rate)[
                1:
            ],
            "The squares of the heights are returned.": lambda *a: [h**2 for h in descent(*a)],
            "The rate is missing.": lambda matrix, steps, rate: descent(matrix / rate, steps, rate),
        },
    ),
    "04b.12": Exercise(
        asks="a list of two numbers, the bounds of the Eulerian and of the Lagrangian map",
        shown="The next lines make both maps, and they are as wrong as that.",
        right=[0.1, 0.1 * (math.exp(3) - 1) / 3],
        tolerance=2e-3,
        mistakes={
            "The two have changed places.": [0.1 * (math.exp(3) - 1) / 3, 0.1],
            "The division by L is missing in the second.": [0.1, 0.1 * (math.exp(3) - 1)],
            "The -1 is missing in the second: a jump of length 0 makes no error.": [0.1, 0.1 * math.exp(3) / 3],
            "The second is not epsilon times e^L: the early errors grow longer than the late ones.": [
                0.1,
                0.1 * math.exp(3),
            ],
        },
    ),
    "04b.13": Exercise(
        asks="the smallest wave number of the waves that can grow at d = 0.1 and b = 1, a number",
        shown="Short jumps are safe for all but very fine waves.",
        right=20.0,
        mistakes={
            "That is the answer for d = 0.5.": 4.0,
            "That is where d |k b| is 1.": 10.0,
            "That is the frequency omega = -k b / 2 of the wave, up to its sign.": -10.0,
        },
    ),
}


def sum_of(k: float, omega: float, d: float, b: float) -> Tensor:
    """The matrix of the whole residual."""
    clock, carried = two_parts(k, omega, d, b)
    return clock + carried


def kept_of(stop: str, k: float, omega: float, d: float, b: float) -> Tensor:
    """The matrix of the part that keeps its gradient."""
    clock, carried = two_parts(k, omega, d, b)
    return {"convex": clock + carried, "full": clock, "semi": -torch.eye(2, dtype=torch.float64)}[stop]
