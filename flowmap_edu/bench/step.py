"""A training step as `fit` takes it: how long it is, and which part of it takes how long.

Times are CPU seconds, since wall time on a shared machine says little. A block of steps holds each rare piece of work
(SOAP's new bases, batches drawn ahead) as often as any other block.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from flowmap_edu import losses
from flowmap_edu.bench import floor
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.training import State, fit
from flowmap_edu.training.loop import Loss, clipped, gradient

BLOCK = 80  # steps: a multiple of ten, for SOAP, and of sixteen, for batches that are drawn ahead
WARM = 40  # steps before the first block: the compiler's, and those in which memory is first taken
PARTS: tuple[str, ...] = ("batch", "loss and gradient", "clip", "optimiser", "average")
SELF_DISTILLED = ("lsd", "esd", "psd-m", "psd-u")


def source(state: State) -> Callable[[], losses.Batch]:
    """Where a step's batches come from, as in training/loop.py."""
    return lambda: state.batches.next()[0]


def loss_and_gradient(state: State) -> Callable[[losses.Batch], float]:
    """A call that adds the gradient of the loss over a batch to the network's, as in training/loop.py."""
    loss, ramp = Loss(state), torch.tensor(1.0)
    return lambda batch: gradient(state, loss, {0: batch}, ramp)


class Step:
    """The steps of `fit`, one part after the other, each with its CPU seconds.

    Attributes:
        state: where the training stands.
        spent: CPU seconds of each of PARTS since the last block began.
    """

    def __init__(self, run: Recipe):
        self.state = State(*run)
        self.draw, self.gradient = source(self.state), loss_and_gradient(self.state)
        self.spent = dict.fromkeys(PARTS, 0.0)
        average: Any = self.state.average
        average.update = self.timed("average", average.update)  # inside of State.take_step

    def timed(self, part: str, f: Callable[..., Any]) -> Callable[..., Any]:
        """f, with its CPU seconds added to those of a part."""

        def call(*arguments: Any) -> Any:
            started = time.process_time()
            out = f(*arguments)
            self.spent[part] += time.process_time() - started
            return out

        return call

    def take(self) -> None:
        """One step."""
        state = self.state
        batch = self.timed("batch", self.draw)()
        self.timed("loss and gradient", self.gradient)(batch)
        self.timed("clip", self.clip)()
        before = self.spent["average"]
        self.timed("optimiser", state.take_step)()
        self.spent["optimiser"] -= self.spent["average"] - before
        self.timed("optimiser", state.schedule.step)()

    def clip(self) -> float:
        """Shorten the gradient; its norm before."""
        return clipped(self.state.parameters(), self.state.training.clip)

    def block(self, steps: int = BLOCK) -> dict[str, float]:
        """CPU seconds of each part, the mean over so many steps."""
        self.spent = dict.fromkeys(PARTS, 0.0)
        for _ in range(steps):
            self.take()
        return {part: spent / steps for part, spent in self.spent.items()}


def blocks(run: Recipe, steps: int = BLOCK, warm: int = WARM) -> Iterator[float]:
    """CPU seconds of a whole step of `fit`, the mean over a block, block after block."""
    states = fit(*run, every=1)
    while True:
        for _ in range(warm):
            next(states)
        warm, started = 0, time.process_time()
        for _ in range(steps):
            next(states)
        yield (time.process_time() - started) / steps


def default(method: str, **changes: Any) -> Recipe:
    """The checkerboard's recipe, compiled, with more steps than any bench takes."""
    settings: dict[str, Any] = {"steps": 1_000_000, "compile": True}
    return recipe("checkerboard", method, **settings | changes)


def products(run: Recipe) -> list[floor.Product]:
    """The matrix products of a run's step."""
    on = run.training.on_diagonal(run.method)
    found = floor.of_the_gradient(run.net, run.method, on, run.training.batch - on)
    return found + (floor.of_soap(run.net) if run.training.optimizer == "soap" else [])


def measured(method: str, rounds: int = 7, steps: int = BLOCK, warm: int = WARM) -> list[dict[str, float]]:
    """CPU seconds of the whole step, of its parts and of its floor, in rounds that take the three in turn."""
    torch.compiler.reset()  # what was compiled for another method
    run, in_parts = default(method), Step(default(method))
    whole, needed = blocks(run, steps, warm), products(run)
    in_parts.block(warm)
    found = []
    for _ in range(rounds):
        found.append({"whole": next(whole), "floor": floor.seconds(needed)} | in_parts.block(steps))
    return found


def milliseconds(values: list[float]) -> str:
    """The median."""
    return f"{1000 * statistics.median(values):.2f}"


def table(methods: tuple[str, ...] = SELF_DISTILLED, rounds: int = 7) -> list[str]:
    """The step of the default recipe, its parts and its floor, a row a method."""
    heads = ("ms of a training step", "whole", *PARTS, "floor", "whole / floor")
    out, rates = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)], []
    for method in methods:
        found, needed = measured(method, rounds), floor.operations(products(default(method)))
        columns = {name: [row[name] for row in found] for name in found[0]}
        rates += [needed / row["floor"] / 1e9 for row in found]
        ratios = sorted(row["whole"] / row["floor"] for row in found)
        cells = [milliseconds(columns[name]) for name in ("whole", *PARTS, "floor")]
        over = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        out.append(f"| {method} | {' | '.join(cells)} | {over} |")
    threads = torch.get_num_threads()
    said = f"on {threads} thread{'s' * (threads > 1)}, compiled: medians of {rounds} blocks of {BLOCK} steps"
    counted = "The floor is the time of the matrix products of the loss, its gradient and SOAP, without its QR"
    rate = f"each timed alone at its own shape ({statistics.median(rates):.0f} GFLOP/s over all)"
    return [*out, "", f"CPU time of the default recipe {said}. {counted}, {rate}."]
