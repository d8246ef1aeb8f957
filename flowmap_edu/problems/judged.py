"""How a map is judged where the data's density is not known."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu import losses, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear
from flowmap_edu.metrics import errors, memorising, two_sample
from flowmap_edu.problems.problem import STEPS, Problem

PAIRS = 4096  # pairs (x0, x1) for the loss on the diagonal
POINTS = 64  # points a pair of times for the residuals


class Judged(Problem):
    """A problem that is known by its samples alone, some of which are kept aside."""

    @abstractmethod
    def some(self, n: int, train: bool, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """At most n samples to train on, or of those kept aside, each once, and their labels."""

    def evaluate(
        self, X: FlowMap, steps: Sequence[int] = STEPS, *, n: int | None = None, seed: int = 0
    ) -> list[dict[str, Any]]:
        """What can be known without a density, for each number of steps; None where nothing is kept aside.

        Against the held-out samples:
            wasserstein: the sliced Wasserstein distance, and wasserstein_real, that of training samples;
            classifier: how often a classifier tells samples from held-out ones, and classifier_real, the same for
                training samples; 0.5 is chance;
            copies: the distance to the nearest training sample over that of held-out samples; 0 for copies.
        Of the map alone:
            gap: the distance between this many jumps and 16; 0 for a flow map;
            lagrangian, eulerian, semigroup: the conditions' residuals, root mean square over s <= t.
        diagonal: the flow-matching loss on held-out samples. It has a floor that is not known: compare runs by it.

        Args:
            X: the map.
            steps: the numbers of steps.
            n: samples drawn, and real ones compared with, at most; None: 2,000.
            seed: of everything that is drawn.

        Raises:
            ValueError: if a number is too small.
            ImportError: if POT or scikit-learn is not installed.
        """
        n = 2000 if n is None else checks.count("n", n)
        steps, generator = checks.counts("steps", steps), checks.generator(seed)
        train, _ = self.some(n, True, generator)
        every, _ = self.some(10 * n, True, generator)
        held, held_labels = self.some(n, False, generator)
        x0 = self.base(n, generator)
        label = self.sample(n, generator)[1]
        same = self.of_the_map(X, seed) | {"diagonal": self.diagonal_loss(X, held, held_labels, seed)}
        real = compared(train, held, every, seed)
        rows = []
        for k in steps:
            x = X.sample(x0, k, seed=seed, label=label)
            found = compared(x, held, every, seed)
            row: dict[str, Any] = {"steps": k}
            for name in ("wasserstein", "classifier"):
                row |= {name: found[name], f"{name}_real": real[name]}
            rows.append(row | {"copies": found["copies"], "gap": errors.semigroup_gap(X, x0, k, label=label)} | same)
        return rows

    def of_the_map(self, X: FlowMap, seed: int) -> dict[str, float]:
        """The three conditions' residuals, root mean square over a 5 x 5 grid of times."""
        grids = errors.residuals(X, self, times=5, n=POINTS, seed=seed)
        return {name: grid.square().nanmean().sqrt().item() for name, grid in grids.items()}

    def diagonal_loss(self, X: FlowMap, held: Tensor, labels: Tensor | None, seed: int) -> float | None:
        """E |v_{t,t}(I_t) - dI_t|^2 over held-out samples x1, fresh noise and stratified times."""
        if not len(held):
            return None
        generator = checks.generator(seed)
        index = torch.randint(len(held), (PAIRS,), generator=generator)
        t = times.uniform(PAIRS, generator=generator)[torch.randperm(PAIRS, generator=generator)]
        x, target = (X.interpolant or Linear())(t, self.base(PAIRS, generator), held[index])
        total = 0.0
        with torch.no_grad():
            for part in torch.arange(PAIRS).split(512):
                told = X.conditioned(label=None if labels is None else labels[index[part]])
                total += losses.diagonal(told, t[part], x[part], target[part]).sum().item()
        return total / PAIRS


def compared(x: Tensor, held: Tensor, train: Tensor, seed: int) -> dict[str, float | None]:
    """Samples against the ones kept aside, and their nearness to the training samples."""
    if len(held) < 10:
        return {"wasserstein": None, "classifier": None, "copies": None}
    return {
        "wasserstein": two_sample.sliced_wasserstein(x, held, seed=seed),
        "classifier": two_sample.classifier_test(x, held, seed=seed),
        "copies": memorising.copies(x, train, held),
    }
