"""How the time of a training step grows with the batch, the width and the dimension: exponents, fitted.

    python -m flowmap_edu.bench.growth        the rows (five minutes)

A step is the whole one of the default recipe. For each of the three, one size grows and the others stay as they are.
The exponent is the slope of the line through (log size, log time) by least squares: 1 where twice the size takes
twice the time. It holds for the sizes that it was fitted to, and there alone: a small step has costs that do not grow.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch._dynamo import config as compiler

from flowmap_edu.bench import step
from flowmap_edu.problems import FromTensor
from flowmap_edu.recipes import Recipe, recipe

SIZES: dict[str, tuple[int, ...]] = {
    "batch": (768, 1536, 3072, 6144),
    "batch without stf_batch": (1536, 3072, 6144, 12288),
    "width": (256, 384, 512, 768),
    "dimension": (256, 512, 1024, 2048),
}
WARM = 12  # steps: the compiler's, and SOAP's first bases
BLOCK = 20  # steps
ROUNDS = 3


def of_batch(batch: int) -> Recipe:
    """The default training with a larger batch."""
    return step.default("lsd", batch=batch)


def of_batch_alone(batch: int) -> Recipe:
    """The same with the samples' own targets: the stable ones are a sum over the batch, for each sample of it."""
    return step.default("lsd", batch=batch, stf_batch=0)


def of_width(hidden: int) -> Recipe:
    """The default training with a wider network, five hidden layers as ever."""
    return step.default("lsd", net={"hidden": hidden})


def of_dimension(dim: int) -> Recipe:
    """The default training for points of a higher dimension, normal ones."""
    x = torch.randn(1000, dim, generator=torch.Generator().manual_seed(0))
    return recipe("points", "lsd", problem=FromTensor(x, sigma=1.0), steps=1_000_000, compile=True)


RUNS: dict[str, Callable[[int], Recipe]] = {
    "batch": of_batch,
    "batch without stf_batch": of_batch_alone,
    "width": of_width,
    "dimension": of_dimension,
}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope a of log time = a log size + b, by least squares.

    Raises:
        ValueError: for fewer than four sizes, or not as many times.
    """
    if len(sizes) < 4 or len(sizes) != len(seconds):
        raise ValueError(f"an exponent wants four sizes and a time for each, got {len(sizes)} and {len(seconds)}")
    x, y = ([math.log(value) for value in values] for values in (sizes, seconds))
    return statistics.linear_regression(x, y).slope


def times(runs: Mapping[int, Recipe], rounds: int, block: int) -> list[list[float]]:
    """CPU seconds of a step of each run, in rounds that take the sizes in turn."""
    torch.compiler.reset()
    # every size compiled for itself, as it would be alone
    with compiler.patch(automatic_dynamic_shapes=False, recompile_limit=64):
        steps: list[Iterator[float]] = [step.blocks(run, block, WARM) for run in runs.values()]
        return [[next(blocks) for blocks in steps] for _ in range(rounds)]


def row(name: str, sizes: Sequence[int], found: Sequence[Sequence[float]]) -> str:
    """A line of the table: the exponent, median and range over the rounds, and the times that it is fitted to."""
    slopes = [exponent(sizes, seconds) for seconds in found]
    ms = ", ".join(f"{1000 * statistics.median(column):.0f}" for column in zip(*found, strict=True))
    quantity, *rest = name.split(maxsplit=1)  # "batch", or "batch" and "without stf_batch"
    where = ", ".join([*rest, f"{quantity} {', '.join(f'{size:,}' for size in sizes)}: {ms} ms"])
    slope = f"{statistics.median(slopes):.2f} ({min(slopes):.2f} to {max(slopes):.2f})"
    return f"| time of a step ~ {quantity}^a ({where}) | a = {slope} |"


def rows(sizes: Mapping[str, tuple[int, ...]] | None = None, rounds: int = ROUNDS, block: int = BLOCK) -> Iterator[str]:
    """The lines of the table, one for each of RUNS."""
    for name, chosen in (sizes or SIZES).items():
        yield row(name, chosen, times({size: RUNS[name](size) for size in chosen}, rounds, block))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in rows():
        print(line, flush=True)
