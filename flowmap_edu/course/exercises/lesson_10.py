"""The exercises of lesson 10: Adam, noise over mean, the learned weight, averages, grey pixels."""

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import points


def adam(g: Tensor, lr: float, beta1: float, beta2: float, **other: float) -> Tensor:
    """Adam's moves for one weight, summed; `other` makes the mistakes."""
    steps = torch.arange(1, len(g) + 1, dtype=g.dtype)
    m, q = ((1 - b) * smoothed(a, b) for a, b in ((g, beta1), (g**2, beta2)))
    if not other.get("biased"):
        m, q = m / (1 - beta1**steps), q / (1 - beta2**steps)
    size = q if other.get("no_root") else q.sqrt()
    moves = -lr * m / (size + 1e-8)
    return moves[-1] if other.get("last") else moves.sum()


def smoothed(g: Tensor, beta: float) -> Tensor:
    """The sum over j <= k of beta^(k-j) g_j, for each k."""
    k = torch.arange(len(g))
    powers = torch.where(k[:, None] >= k, beta ** (k[:, None] - k).clamp_min(0).to(g.dtype), 0.0)
    return (powers.to(g.dtype) * g).sum(1)


def noise_over_mean(rows: Tensor) -> Tensor:
    """The mean distance from the mean over the length of the mean."""
    middle = rows.sum(0) / len(rows)
    return torch.linalg.vector_norm(rows - middle, dim=1).mean() / torch.linalg.vector_norm(middle)


def walk(start: float, noise: Tensor, lr: float, sign: float = 1.0) -> Tensor:
    """Noisy gradient descent on w^2 / 2 as a sum: w_k = (1 - lr)^k start - lr sum (1 - lr)^(k - j) noise_j."""
    k = torch.arange(1, noise.shape[1] + 1, dtype=noise.dtype)
    shaken = torch.stack([smoothed(row, 1 - lr) for row in noise])
    return (1 - lr) ** k * start - sign * lr * shaken


def averaged(path: Tensor, d: float) -> Tensor:
    """The moving average; it starts as the first weight."""
    first = path[:, :1]
    return first + (1 - d) * torch.stack([smoothed(row, d) for row in path - first])


EXERCISES = {
    "10.1": Exercise(
        asks="the sum of all moves of one weight, a number",
        shown="Each step is a mean of gradients over a mean size, so a common factor cancels.",
        right=adam,
        cases=lambda: [(points(12, 1)[:, 0] + 0.5, 0.01, 0.8, 0.9)],
        mistakes={
            "The averages are not divided by 1 - beta^k: they start at 0, so the first ones are too small.": (
                lambda *a: adam(*a, biased=1.0)
            ),
            "The root of the mean square is missing.": lambda *a: adam(*a, no_root=1.0),
            "This is the last move alone. The sum of all is wanted.": lambda *a: adam(*a, last=1.0),
            "beta1 and beta2 have changed places.": lambda g, lr, b1, b2: adam(g, lr, b2, b1),
            "The averages give the weight beta to the new gradient. It is 1 - beta.": lambda g, lr, b1, b2: adam(
                g, lr, 1 - b1, 1 - b2
            ),
        },
    ),
    "10.2": Exercise(
        asks="the mean distance of the rows from their mean, over the length of the mean, a number",
        shown="This number stays the same if all gradients become ten times as long.",
        right=noise_over_mean,
        cases=lambda: [(points(8, 5) + 0.7,)],
        mistakes={
            "This is the mean over the noise.": lambda rows: 1 / noise_over_mean(rows),
            "The noise is divided by the mean length of a row. The length of the mean row is wanted.": lambda rows: (
                (rows - rows.mean(0)).norm(dim=1).mean() / rows.norm(dim=1).mean()
            ),
            "The mean is taken over the entries of a row. It is over the batches.": lambda rows: noise_over_mean(
                rows.T
            ),
            "The noise is not divided by anything.": lambda rows: (rows - rows.mean(0)).norm(dim=1).mean(),
            "This is the root mean square distance. The mean of the distances is wanted.": lambda rows: (
                (rows - rows.mean(0)).norm(dim=1).square().mean().sqrt() / rows.mean(0).norm()
            ),
        },
    ),
    "10.3": Exercise(
        asks="the least value of exp(-w) loss + w, shape (B,)",
        shown="At its best weight a loss becomes its logarithm, up to a constant.",
        right=lambda loss: 1 + torch.log(loss),
        cases=lambda: [(points(6, 1)[:, 0].square() + 0.1,)],
        mistakes={
            "This is the best w. The value there is wanted.": torch.log,
            "The second term w is left out: at the best w the first term is 1.": torch.ones_like,
            "w is -log(loss) here: the sign is wrong.": lambda loss: loss**2 - torch.log(loss),
            "This is the value at w = 0.": lambda loss: 1 * loss,
        },
    ),
    "10.4": Exercise(
        asks="the weights after each step, shape (S, K)",
        shown="All seeds walk at once, and no weight is repeated.",
        right=walk,
        cases=lambda: [(3.0, points(4, 9), 0.1)],
        mistakes={
            "The first column is the start. The weights after each step are wanted.": lambda start, noise, lr: (
                torch.cat([torch.full_like(noise[:, :1], start), walk(start, noise, lr)[:, :-1]], 1)
            ),
            "The noise has the wrong sign: it is a part of the gradient.": lambda *a: walk(*a, sign=-1.0),
            "The noise is not multiplied by the learning rate.": lambda start, noise, lr: walk(start, noise / lr, lr),
            "The weights grow: the step goes against the gradient.": lambda start, noise, lr: walk(start, noise, -lr),
        },
    ),
    "10.5": Exercise(
        asks="the moving average after each step, shape (S, K)",
        shown="The average is a sum over the past, with weights that fall by the factor d each step.",
        right=averaged,
        cases=lambda: [(points(4, 9, 3) + 2, 0.7)],
        mistakes={
            "The weights d and 1 - d are swapped.": lambda path, d: averaged(path, 1 - d),
            "The average starts at 0. It starts as the first weight.": lambda path, d: (
                (1 - d) * torch.stack([smoothed(row, d) for row in path])
            ),
            "This is the mean of all weights so far.": lambda path, _: (
                path.cumsum(1) / torch.arange(1, path.shape[1] + 1)
            ),
            "The weights themselves are returned.": lambda path, _: 1 * path,
        },
    ),
    "10.6": Exercise(
        asks="the share of pixels with |x| < 0.8, a number",
        shown="A number for what the eye sees: how undecided a picture is.",
        right=lambda x: (x.abs() < 0.8).double().mean(),
        cases=lambda: [(points(6, 16).view(6, 1, 4, 4),)],
        mistakes={
            "Very dark pixels are counted, too. The absolute value has to be below 0.8.": lambda x: (
                (x < 0.8).double().mean()
            ),
            "This is the share of pixels that are not grey.": lambda x: (x.abs() >= 0.8).double().mean(),
            "This is a count. A share is wanted.": lambda x: (x.abs() < 0.8).double().sum(),
            "This is the share of whole pictures that are grey on average.": lambda x: (
                (x.flatten(1).abs().mean(1) < 0.8).double().mean()
            ),
        },
    ),
    "10.7": Exercise(
        asks="the ratio of the variances for d = 0.9, a number",
        shown="An average with this memory has a nineteenth of the variance.",
        right=1 / 19,
        tolerance=1e-3,
        mistakes={
            "This is the square of the weight of the last noise alone.": 0.01,
            "This is the weight 1 - d. Weights are squared in a variance, and all of the past counts.": 0.1,
            "The ratio is turned upside down.": 19.0,
            "This is the ratio of the standard deviations.": (1 / 19) ** 0.5,
        },
    ),
}
