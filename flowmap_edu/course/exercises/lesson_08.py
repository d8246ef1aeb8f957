"""The exercises of lesson 08: pictures with labels, the Fréchet distance, copies, guidance."""

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.course.exercises.copies_08 import COPIES
from flowmap_edu.course.exercises.labelled_08 import LABELLED
from flowmap_edu.course.exercises.mnist_08 import MNIST
from flowmap_edu.flow_map import FlowMap


def tiles(n: int, seed: int) -> Tensor:
    """n pictures of one channel and 4 x 4 pixels, float64."""
    return points(n, 16, seed).view(n, 1, 4, 4)


def between(t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
    """I_t."""
    return torch.lerp(x0, x1, t.view(-1, 1, 1, 1))


def bright(x: Tensor) -> Tensor:
    """A classifier of pictures in [-1, 1]: whether the mean of a picture is positive, 0 or 1."""
    return (x.flatten(1).mean(1) > 0).long()


def read_cases() -> list[tuple[object, ...]]:
    """(read, x, labels): pictures whose class depends on what is cut off."""
    x = 3 * tiles(40, 3)
    return [(bright, x, torch.arange(40) % 3 // 2)]


def derivative_cases() -> list[tuple[object, ...]]:
    """(X, s, t, x, step): a large step, so that the gap is far above rounding."""
    s, t = times(7)
    return [(curved(), 0.1 + 0.8 * s, 0.1 + 0.8 * t, points(7), 0.05)]


def gap(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, step: float, **other: float) -> Tensor:
    """The relative gap of the derivative in t and its difference quotient; `other` makes the mistakes."""
    exact = X.partial_t(s, t, x)[1]
    back, moves_s, factor = (other.get(name, plain) for name, plain in (("back", 1.0), ("start", 0.0), ("factor", 1.0)))
    ahead = X(s + moves_s * step, t + (1 - moves_s) * step, x)
    behind = X(s - moves_s * step, t - (1 - moves_s) * back * step, x)
    quotient = factor * (ahead - behind) / ((1 + back) * step)
    return (exact - quotient).norm() / (exact.norm() if not other.get("absolute") else 1)


def rows() -> list[tuple[Tensor]]:
    """(rows,): three rows of five pictures."""
    return [(points(15, 16, 4).view(3, 5, 1, 4, 4),)]


EXERCISES = (
    {
        "08.1": Exercise(
            asks="the interpolant of pictures, shape (B, C, H, W)",
            shown="A time of shape (B,) needs three more axes to meet a picture.",
            right=between,
            cases=lambda: [(times(4)[1], tiles(4, 1), tiles(4, 2))],
            mistakes={
                "It runs the wrong way: at t = 0 it has to be x0.": lambda t, x0, x1: between(1 - t, x0, x1),
                "t met the last axis: each column of pixels got a time of its own, not each picture.": (
                    lambda t, x0, x1: torch.lerp(x0, x1, t)
                ),
                "t met the axis of the rows of pixels. Each picture has one time.": lambda t, x0, x1: torch.lerp(
                    x0, x1, t[:, None].expand(4, 4)
                ),
                "The noise keeps its full size. It is multiplied by 1 - t.": lambda t, x0, x1: (
                    x0 + t.view(-1, 1, 1, 1) * x1
                ),
            },
        ),
        "08.2": Exercise(
            asks="the share of pictures that are read as their label, a number",
            shown="A classifier turns pictures into a number that can be compared.",
            right=lambda read, x, labels: (read(torch.clip(x, -1, 1)) == labels).double().mean(),
            cases=read_cases,
            mistakes={
                "The pictures are not cut off at -1 and 1.": lambda read, x, labels: (
                    (read(x) == labels).double().mean()
                ),
                "This is the share that is read wrong.": lambda read, x, labels: (
                    (read(x.clamp(-1, 1)) != labels).double().mean()
                ),
                "This is a count. A share is wanted.": lambda read, x, labels: (
                    (read(x.clamp(-1, 1)) == labels).double().sum()
                ),
                "Pixels are cut off at 0 and 1. They go from -1 to 1.": lambda read, x, labels: (
                    (read(x.clamp(0, 1)) == labels).double().mean()
                ),
            },
        ),
        "08.3": Exercise(
            asks="the relative distance of the exact derivative and the quotient, a number",
            shown="Two ways to the same derivative, which share no step of the computation.",
            right=gap,
            cases=derivative_cases,
            mistakes={
                "Only t + step is moved. Move to both sides.": lambda *a: gap(*a, back=0.0),
                "The start s is moved. The derivative in t is wanted.": lambda *a: gap(*a, start=1.0),
                "The quotient is divided by the step. The two times are two steps apart.": lambda *a: gap(
                    *a, factor=2.0
                ),
                "The difference is not divided by the norm of the derivative.": lambda *a: gap(*a, absolute=1.0),
            },
        ),
        "08.5": Exercise(
            asks="the root mean square difference of each row from the last, shape (K,)",
            shown="This needs no data and no classifier: it asks whether a map agrees with itself.",
            right=lambda x: (x - x[-1:]).flatten(1).square().mean(1).sqrt(),
            cases=rows,
            mistakes={
                "The rows are compared with the first one. The last is wanted.": lambda x: (
                    (x - x[:1]).flatten(1).square().mean(1).sqrt()
                ),
                "The root is missing: this is the mean square.": lambda x: (x - x[-1:]).flatten(1).square().mean(1),
                "The squares are summed. Their mean is wanted.": lambda x: (x - x[-1:]).flatten(1).norm(dim=1),
                "This is the mean of the absolute values, not the root mean square.": lambda x: (
                    (x - x[-1:]).flatten(1).abs().mean(1)
                ),
                "This is a mean of the pictures' roots. Take the mean over pictures first, then the root.": lambda x: (
                    (x - x[-1:]).flatten(2).square().mean(2).sqrt().mean(1)
                ),
            },
        ),
        "08.15": Exercise(
            asks="the distance for d = 16, a = 0.1, c = 0.3, a number",
            shown="For such Gaussians the distance is that of the deviations, once for each dimension.",
            right=0.64,
            mistakes={
                "This is the difference of the variances. The root of C1 C2 has the product a c in it.": 16 * 0.08,
                "This is the value for one dimension.": 0.04,
                "The root is missing: a - c has to be squared.": -16 * 0.2,
                "The mixed term is counted once. It has the factor 2.": 16 * (0.01 + 0.09 - 0.03),
            },
        ),
        "08.16": Exercise(
            asks="the share of a copier's digits that are nearer to the training digits, a number",
            shown="A test that searches a part of the training digits misses most copies.",
            right=(1 + 397 / 1400) / 2,
            tolerance=2e-3,
            mistakes={
                "Only the copies that are found are counted. The others are nearer to one of the two sets as well.": (
                    397 / 1400
                ),
                "The copies that are found are counted twice: once more in the half.": 0.5 + 397 / 1400,
                "This is the share of a map that draws new digits.": 0.5,
                "All its digits would be found if all 1,400 were searched. Here 397 are.": 1.0,
                "The held-out digits are no part of the 1,400.": 397 / 1797 + (1 - 397 / 1797) / 2,
            },
        ),
    }
    | LABELLED
    | COPIES
    | MNIST
)
