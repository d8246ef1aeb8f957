"""Lesson 08, its measures: the Fréchet distance of features, and distances that find copies."""

import functools
from collections.abc import Iterable

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import points
from flowmap_edu.metrics import classifier
from flowmap_edu.problems.image_sets import Digits


def root(x: Tensor) -> Tensor:
    """The symmetric root of a symmetric matrix."""
    values, vectors = torch.linalg.eigh(x)
    return vectors @ (values.clamp_min(0).sqrt()[:, None] * vectors.T)


def frechet(a: Tensor, b: Tensor) -> Tensor:
    """The Fréchet distance; tr (C1 C2)^(1/2) = tr (C1^(1/2) C2 C1^(1/2))^(1/2)."""
    C1, C2 = a.T.cov(), b.T.cov()
    mixed = root(root(C1) @ C2 @ root(C1)).trace()
    return (a.mean(0) - b.mean(0)).square().sum() + C1.trace() + C2.trace() - 2 * mixed


def mixed_by(a: Tensor, b: Tensor, trace: Tensor, factor: float = 2.0) -> Tensor:
    """The distance with another mixed term."""
    return (a.mean(0) - b.mean(0)).square().sum() + a.T.cov().trace() + b.T.cov().trace() - factor * trace


def two_sets() -> list[tuple[Tensor, Tensor]]:
    """(a, b): features of 30 and 20 pictures, correlated; all their covariances are positive."""
    turn = torch.tensor([[1.0, 0.4, 0.3], [0.0, 1.0, 0.4], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return [(points(30, 3, 1) @ turn + 0.2, points(20, 3, 2) @ turn.T * 1.5 + 0.6)]


def splits(f: Tensor, n: int, seeds: Iterable[int], fixed: bool = False, swapped: bool = False) -> list[float]:
    """Distances of the first n of a random order to the others; the last two make mistakes."""
    found = []
    for seed in seeds:
        order = torch.randperm(len(f), generator=torch.Generator().manual_seed(0 if fixed else seed))
        found.append(frechet(f[order[:n]], f[order] if swapped else f[order[n:]]).item())
    return found


@functools.cache
def real() -> tuple[Tensor, Tensor]:
    """The features of the training digits and of the held-out ones, float64."""
    read, problem = classifier.load(), Digits()
    with torch.no_grad():
        first, second = (read(problem.data(part).values()).double() for part in (True, False))
    return first, second


def both(f: Tensor) -> Tensor:
    """The distances to both."""
    first, second = real()
    return torch.stack([frechet(f, first), frechet(f, second)])


def tiles(n: int, seed: int) -> Tensor:
    """n pictures of 2 x 2 pixels."""
    return points(n, 4, seed).view(n, 1, 2, 2)


def apart(x: Tensor, among: Tensor) -> Tensor:
    """All distances, shape (B, M)."""
    return (x.flatten(1)[:, None] - among.flatten(1)).norm(dim=2)


def others(x: Tensor) -> Tensor:
    """The distance to the nearest other picture."""
    return apart(x, x).kthvalue(2, dim=1).values


def copies_share(answer: object) -> str | None:
    """None if each picture is one of the two, the share of copies is the one asked, and each place is drawn alone."""
    assert callable(answer)
    train, generated = torch.ones(4000, 1, 2, 2), torch.zeros(4000, 1, 2, 2)
    x = answer(train, generated, 0.3, torch.Generator().manual_seed(1))
    if not isinstance(x, Tensor) or x.shape != train.shape:
        return f"A tensor of the shape {tuple(train.shape)} is wanted."
    whole = x.flatten(1)
    if not torch.equal(whole, whole[:, :1].expand_as(whole)):
        return "Pictures are mixed pixel by pixel. Each picture is wholly a copy or wholly generated."
    if not ((whole == 0) | (whole == 1)).all():
        return "A picture is neither of the two: they are mixed by a weight. Take one or the other."
    share = whole[:, 0].mean().item()
    if not 0.25 < share < 0.35:
        return f"{share:.0%} are copies where 30 % were asked. Each picture is a copy with probability `share`."
    if len(whole[:, 0].unique_consecutive()) < 1000:
        return "The copies stand in one block. Each picture is drawn on its own."
    again = answer(train, generated, 0.3, torch.Generator().manual_seed(2))
    same = isinstance(again, Tensor) and torch.equal(again, x)
    return "The generator is not used: other seeds give the same choice." if same else None


def share_near(distances: Tensor, real: Tensor, q: float) -> Tensor:
    """The share of distances below a quantile of the real ones."""
    return (distances < torch.quantile(real, q)).double().mean()


COPIES = {
    "08.6": Exercise(
        asks="the Fréchet distance of two sets of features, a number",
        shown="It reads two means and two covariances, and nothing else of the two sets.",
        right=frechet,
        cases=two_sets,
        mistakes={
            "The factor 2 before the mixed term is missing.": lambda a, b: mixed_by(
                a, b, root(root(a.T.cov()) @ b.T.cov() @ root(a.T.cov())).trace(), 1.0
            ),
            "The product of the covariances is taken entry by entry. The matrix product is wanted.": (
                lambda a, b: mixed_by(a, b, torch.linalg.eigvals(a.T.cov() * b.T.cov()).real.clamp_min(0).sqrt().sum())
            ),
            "The root is taken of each entry of the product. The root of the matrix is wanted.": lambda a, b: mixed_by(
                a, b, (a.T.cov() @ b.T.cov()).abs().sqrt().trace()
            ),
            "The roots of the eigenvalues are missing.": lambda a, b: mixed_by(a, b, (a.T.cov() @ b.T.cov()).trace()),
            "The distance of the means is not squared.": lambda a, b: (
                frechet(a, b) - (a.mean(0) - b.mean(0)).square().sum() + (a.mean(0) - b.mean(0)).norm()
            ),
            "The means are left out.": lambda a, b: frechet(a, b) - (a.mean(0) - b.mean(0)).square().sum(),
        },
    ),
    "08.7": Exercise(
        asks="a list of distances, one a seed",
        shown="This is what two sets of one distribution score, with these sizes.",
        right=splits,
        cases=lambda: [(points(40, 3), 25, range(3))],
        mistakes={
            "Every split has the same order. Each seed has its own.": lambda *a: splits(*a, fixed=True),
            "The first n are compared with all. Compare them with the others.": lambda *a: splits(*a, swapped=True),
            "The digits are split in the order of the file. A random order is wanted.": lambda f, n, seeds: [
                frechet(f[:n], f[n:]).item() for _ in seeds
            ],
            "The sizes of the two parts are swapped.": lambda f, n, seeds: splits(f, len(f) - n, seeds),
        },
    ),
    "08.8": Exercise(
        asks="two distances, a tensor of shape (2,)",
        shown="The same pictures get two numbers: the reference is a part of the measure.",
        right=both,
        cases=lambda: [(points(70, 64).abs(),)],
        mistakes={
            "The order is reversed: the training digits come first.": lambda f: both(f).flip(0),
            "Both are distances to the training digits.": lambda f: both(f)[[0, 0]],
            "Both are distances to the held-out digits.": lambda f: both(f)[[1, 1]],
            "These are the distances of the two sets of real digits.": lambda _: both(real()[0]),
        },
    ),
    "08.9": Exercise(
        asks="the distance of each picture to the nearest of the others, shape (B,)",
        shown="All training pictures are searched, so no copy is missed.",
        right=lambda x, among: apart(x, among).amin(1),
        cases=lambda: [(tiles(6, 1), tiles(6, 2))],
        mistakes={
            "This is the distance of each picture of `among` to the nearest of x: the other axis.": lambda x, among: (
                apart(x, among).amin(0)
            ),
            "This is the mean distance. The nearest is wanted.": lambda x, among: apart(x, among).mean(1),
            "This is the largest distance. The smallest is wanted.": lambda x, among: apart(x, among).amax(1),
            "The distance is squared.": lambda x, among: apart(x, among).amin(1).square(),
            "Each picture is compared with the one at its own place only.": lambda x, among: apart(x, among).diagonal(),
        },
    ),
    "08.10": Exercise(
        asks="the distance of each picture to the nearest other one, shape (B,)",
        shown="A training digit is compared with the others, so that it does not find itself.",
        right=others,
        cases=lambda: [(tiles(7, 3),)],
        mistakes={
            "Each picture finds itself, at distance 0.": lambda x: apart(x, x).amin(1) * 0,
            "This is the third smallest distance: one too many is left out.": lambda x: (
                apart(x, x).kthvalue(3, dim=1).values
            ),
            "This is the largest distance. The smallest of the others is wanted.": lambda x: apart(x, x).amax(1),
            "This is the mean distance to the others. The smallest is wanted.": lambda x: apart(x, x).sum(1) / 6,
        },
    ),
    "08.11": Exercise(
        asks="pictures of which each is a training picture or a generated one, shape (B, C, H, W)",
        shown="A control: a model of which we know what the test has to find.",
        law=copies_share,
    ),
    "08.12": Exercise(
        asks="the share of distances below the threshold, a number",
        shown="By this measure a model that draws new digits as far away as held-out ones has the share q.",
        right=share_near,
        cases=lambda: [(points(60, 1).abs()[:, 0], points(41, 1, 2).abs()[:, 0], q) for q in (0.05, 0.2)],
        mistakes={
            "The threshold is a quantile of the distances that are tested. It belongs to the real ones.": (
                lambda d, _, q: share_near(d, d, q)
            ),
            "This is the share above the threshold.": lambda d, real, q: 1 - share_near(d, real, q),
            "This is a count. A share is wanted.": lambda d, real, q: share_near(d, real, q) * len(d),
            "The threshold is the 1 - q quantile. The small distances are suspect.": lambda d, real, q: (
                (d < real.quantile(1 - q)).double().mean()
            ),
            "The threshold is the 0.05 quantile whatever q is.": lambda d, real, _: share_near(d, real, 0.05),
            "The two arguments are swapped.": lambda d, real, q: share_near(real, d, q),
        },
    ),
}
