"""The parts of assignment 6, the project, that tests grade: KL64 itself, on a small grid."""

import math

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise

Two = tuple[float, float]


def scores(count: Tensor, n: int, p: Tensor, half: float = 0.5, total: float | None = None) -> Two:
    """sum p log(p / q) over the bins with p > 0, and the share of the n points that is not in them."""
    white = p > 0
    q = (count + half) / (n + half * p.numel() if total is None else total)
    kl = (p[white] * (p[white].log() - q[white].log())).sum()
    return float(kl), 1 - float(count[white].sum()) / n


def reversed_scores(count: Tensor, n: int, p: Tensor) -> Two:
    """The same with p and q exchanged."""
    white = p > 0
    q = (count + 0.5) / (n + 0.5 * p.numel())
    return float((q[white] * (q[white] / p[white]).log()).sum()), scores(count, n, p)[1]


def on_the_grid(count: Tensor, n: int, p: Tensor) -> Two:
    """The same, without the points outside the grid in the leak."""
    return scores(count, n, p)[0], float(count[p <= 0].sum()) / n


def cases(seed: int) -> list[tuple[Tensor, int, Tensor]]:
    """Counts on grids of 8 x 8 and 6 x 6 bins; in the second some bins with p > 0 are empty."""
    g = torch.Generator().manual_seed(60 + seed)
    made = []
    for side, most in ((8, 40), (6, 3)):
        i, j = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        white = (i // 2 + j // 2) % 2 == 0
        count = torch.randint(most, (side, side), generator=g).double()
        count = torch.where(white, count + (1 if most > 3 else 0), (count / 8).floor())
        count[0, 0] = 1 if most > 3 else 0
        made.append((count, int(count.sum()) + 17 + seed % 5, white / white.sum().double()))
    return made


def exercises(student: int, seed: int) -> dict[str, Exercise]:  # noqa: ARG001  every student gets the same
    """The autograded parts, by name."""
    return {
        "a6.2": Exercise(
            asks="the Kullback-Leibler distance in nats and the leak, two numbers",
            shown="That is the number by which the maps are placed.",
            right=scores,
            cases=lambda: cases(seed),
            mistakes={
                "The half count in each bin is missing: an empty bin gives infinity.": lambda count, n, p: scores(
                    count, n, p, half=0.0
                ),
                "p and q are exchanged.": reversed_scores,
                "The logarithm has base 2. Nats have the natural one.": lambda count, n, p: (
                    scores(count, n, p)[0] / math.log(2),
                    scores(count, n, p)[1],
                ),
                "q does not sum to one: half a count in each bin makes n + half the number of bins.": (
                    lambda count, n, p: scores(count, n, p, total=n)
                ),
                "q is divided by the points on the grid. Those outside count too: n.": lambda count, n, p: scores(
                    count, n, p, total=float(count.sum()) + p.numel() / 2
                ),
                "The leak counts black bins alone. Points outside the grid are not on the board either.": on_the_grid,
            },
        )
    }
