"""How good a map of small labelled images is, each number beside what real images score.

The numbers below are of n drawn images, n being the number of held-out ones, so that real images can be measured with
the same numbers of images on both sides. The held-out ones must be a random part of the collection.

| number      | of the drawn images                                  | of real ones, with `real_` before it      |
| ----------- | ---------------------------------------------------- | ----------------------------------------- |
| fd_train    | Fréchet distance to all training images              | held-out images to all training images    |
| fd_held_out | Fréchet distance to the held-out images              | n training images to the held-out, mean of 10 |
| labels      | share that the classifier reads as the label asked   | share of held-out images read right       |
| copied      | nearer to training than 95 % of held-out images      | 0.05, by its definition                   |
| precision   | share among the held-out images                      | n training images among the held-out ones |
| recall      | share of the held-out images among the drawn         | the same the other way round              |

A Fréchet distance is too large, the more so the fewer the images; n stands in each row. A perfect copier has a small
fd_train: `copied` finds it. Each number is the mean over several draws, for the distances with the standard deviation.
"""

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import classifier, coverage, memorising
from flowmap_edu.metrics import images as distances
from flowmap_edu.problems.images import CHUNK, ImageProblem

REAL = 10  # random sets of n training images, whose mean distance to the held-out ones is what real images score
SPREAD = ("fd_train", "fd_held_out")  # the numbers that come with their standard deviation over draws


class Judge:
    """The real images of a data set with their features, which drawn images are measured against.

    Args:
        problem: a data set with labels, for which there is a classifier.

    Raises:
        ValueError: if there is none for it.
    """

    def __init__(self, problem: ImageProblem):
        self.read = classifier.load(problem=problem.name)
        self.train, self.held_out = problem.data(), problem.data(train=False)
        self.pixels = {part: data.values() for part, data in (("train", self.train), ("held_out", self.held_out))}
        self.features = {part: self.seen(x) for part, x in self.pixels.items()}
        self.threshold = memorising.threshold(self.pixels["train"], self.pixels["held_out"])
        kept = distances.Extracted(self.read.num_features)
        self.reference = {part: distances.Reference(kept, [f]) for part, f in self.features.items()}

    def seen(self, x: Tensor) -> Tensor:
        """The features of images, shape (n, 64)."""
        return torch.cat([distances.extract(self.read, part) for part in x.split(CHUNK)])

    def right(self, features: Tensor, labels: Tensor | None) -> float:
        """The share of images that are read as their labels."""
        with torch.no_grad():
            return (self.read.head(features).argmax(1) == labels).double().mean().item()

    def numbers(self, x: Tensor, labels: Tensor | None) -> dict[str, float]:
        """The numbers of drawn images x in [-1, 1], shape (n, C, H, W), drawn for the labels (n,)."""
        features = self.seen(x)
        found = {f"fd_{part}": to.hold([features]).frechet() for part, to in self.reference.items()}
        if labels is not None:
            found["labels"] = self.right(features, labels)
        near = memorising.nearest(x, self.pixels["train"], exact=False)
        found["copied"] = (near < self.threshold).double().mean().item()
        return found | coverage.precision_recall(features, self.features["held_out"])._asdict()

    def real(self, n: int, seed: int) -> dict[str, float]:
        """What real images score: n held-out ones to the training ones, n training ones to the held-out ones.

        One set of n training images says little: with MNIST and n = 1,000 ten of them scatter by a factor of two.
        """
        generator = torch.Generator().manual_seed(seed)
        held = torch.randperm(len(self.held_out), generator=generator)[:n]
        some = [torch.randperm(len(self.train), generator=generator)[:n] for _ in range(REAL)]
        to_train = self.reference["train"].hold([self.features["held_out"][held]]).frechet()
        each = [self.reference["held_out"].hold([self.features["train"][part]]).frechet() for part in some]
        among = coverage.precision_recall(self.features["train"][some[0]], self.features["held_out"])._asdict()
        right = self.right(self.features["held_out"], self.held_out.labels)
        found = {"fd_train": to_train, "fd_held_out": statistics.fmean(each), "labels": right} | among
        return {f"real_{name}": value for name, value in found.items()}


def drawn(problem: ImageProblem, X: FlowMap, steps: int, n: int, seed: int) -> tuple[Tensor, Tensor | None]:
    """n images of the map as a file would keep them, (n, C, H, W), and their classes, (n,); None without classes.

    The classes are those of training images in a random order, so that each comes as often as in training.
    """
    generator, data = torch.Generator().manual_seed(seed), problem.data()
    order = torch.randperm(len(data), generator=generator)[torch.arange(n) % len(data)]
    label = data.labels[order] if problem.classes and data.labels is not None else None
    x0, out = problem.base(n, generator), list[Tensor]()
    for k in range(0, n, CHUNK):
        told = None if label is None else label[k : k + CHUNK]
        fresh = int(torch.randint(2**62, (), generator=generator))  # the seed of the noise added on the way
        out.append(X.sample(x0[k : k + CHUNK], steps, seed=fresh, label=told))
    return distances.from_bytes(distances.as_bytes(torch.cat(out))), label


def judge(
    problem: ImageProblem, X: FlowMap, steps: Sequence[int], *, n: int | None = None, seed: int = 0, draws: int = 3
) -> list[dict[str, Any]]:
    """The numbers of this page for a map, a row for each number of steps.

    Args:
        problem: the data set.
        X: the map.
        steps: the numbers of steps.
        n: images a draw; None: as many as are held out.
        seed: of the first draw's noise and classes.
        draws: how many draws, each with noise of its own.

    Raises:
        ValueError: if a number is too small.
    """
    n, draws = len(problem.data(train=False)) if n is None else n, checks.count("draws", draws)
    checks.at_least("n", checks.count("n", n), 4)
    for k in steps:
        checks.count("steps", k)
    measure, rows = Judge(problem), list[dict[str, Any]]()
    real = measure.real(n, seed)
    for k in steps:
        found = [measure.numbers(*drawn(problem, X, k, n, 1000 * seed + draw)) for draw in range(draws)]
        row: dict[str, Any] = {"steps": k}
        for name in found[0]:
            row[name] = statistics.fmean(one[name] for one in found)
            if name in SPREAD and draws > 1:
                row[f"{name}_std"] = statistics.stdev(one[name] for one in found)
        rows.append(row | {"n": n, "draws": draws} | real)
    return rows
