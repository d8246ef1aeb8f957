"""What a run costs: operations and memory, counted by running one small step. gpu.py measures the time of real ones.

    python -m flowmap_edu.bench.costs                 the table of tutorials/scaling.md (a few minutes)
    python -m flowmap_edu.bench.costs digits emoji    the same for other recipes

Operations are those of products and convolutions.
"""

import multiprocessing
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from flowmap_edu import losses, times
from flowmap_edu.bench.memory import peak_bytes
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.training.loop import loss_of_batch
from flowmap_edu.training.state import State

PEAK = 989e12  # operations a second of an H100 SXM with dense bfloat16, as its data sheet states
SHARE = 0.25  # of it, which lesson 09 assumes for an estimate
SMALL = 4  # samples in the step that is counted: three on the diagonal, one off it


class Operations(TorchDispatchMode):
    """Counts the floating-point operations of products and convolutions, forward, backward and forward-mode.

    Torch's own formulas; a multiplication and an addition are two operations. (Its FlopCounterMode follows modules
    as well, which forward-mode derivatives do not let it.)
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and add what it takes."""
        out = func(*args, **(kwargs or {}))
        if (formula := flop_registry.get(func._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


@dataclass(frozen=True)
class Costs:
    """What a recipe costs.

    Attributes:
        parameters: of the network.
        forward: operations of one pass through the network, for one image.
        step: operations of a training step, for one sample of its batch, the average over both parts.
        memory: bytes that a step holds at its peak for one sample more in the batch, in float32 on a CPU.
        state: bytes of weights, gradients, the optimiser's two moments and the averages, whatever the batch.
        samples: in the whole run.
    """

    parameters: int
    forward: float
    step: float
    memory: float
    state: int
    samples: int


def noise_batch(run: Recipe) -> losses.Batch:
    """A batch of images of noise, without any data set: costs do not depend on what is seen."""
    problem, _, method, training = run
    n, on = training.batch, training.on_diagonal(method)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, *problem.shape, generator=generator)
    s, u, t = times.draw(method, n - on, generator=generator)
    label = torch.zeros(n, dtype=torch.int64) if problem.classes else None
    first, second = (None, None) if label is None else (label[:on], label[on:])
    diagonal = losses.Diagonal(torch.rand(on, generator=generator), x[:on], x[:on], first)
    return losses.Batch(diagonal, losses.Jumps(s, u, t, x[on:], x[on:], second))


def small(name: str, method: str, batch: int) -> Recipe:
    """The recipe with a small batch, in the memory layout of one for a CPU."""
    return recipe(name, method, batch=batch, diagonal=0.75, accumulate=1, channels_last=False)


def peak(name: str, method: str, batch: int) -> int:
    """Bytes that a step of this batch adds to the most that this process has held; to be called in a fresh process.

    The diagonal and the jumps go one after the other, as in a large step, even if this recipe's own step is small.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")  # torch's own, once a process
    run = small(name, method, batch)
    state, noise = State(*run), noise_batch(run)
    before = peak_bytes()
    for half in noise.alone():  # as a large step takes them, see training.loop.cut
        loss_of_batch(state, half, torch.tensor(1.0)).backward()
    return peak_bytes() - before


def counted(name: str, method: str = "lsd") -> Costs:
    """The costs of a recipe for images.

    Raises:
        ValueError: if there is no such recipe or method, or it is not for images.
    """
    whole = recipe(name, method).training
    run = small(name, method, SMALL)
    if len(run.problem.shape) != 3:
        raise ValueError(f"costs are counted for images, the samples of {name!r} have shape {run.problem.shape}")
    state, batch = State(*run), noise_batch(run)
    t, x, _, label = (None if a is None else a[:1] for a in batch.diagonal)
    with torch.no_grad(), Operations() as forward:
        state.net(t, t, x, **({} if label is None else {"label": label}))
    with Operations() as step:
        loss_of_batch(state, batch, torch.tensor(1.0)).backward()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        less, more = pool.map(peak, [name] * 2, [method] * 2, [SMALL, 2 * SMALL])
    parameters = sum(p.numel() for p in state.net.parameters())
    copies = 4 + 1 + (whole.second_ema is not None)
    samples = whole.batch * (whole.steps or 0)
    held = (more - less) / SMALL
    return Costs(parameters, forward.total, step.total / SMALL, held, 4 * copies * parameters, samples)


def table(names: Sequence[str]) -> list[str]:
    """The table in Markdown, a row a recipe."""
    lines = [
        "| recipe | parameters | samples | operations: one pass | operations: a training sample "
        "| memory: a sample | memory: weights, moments, averages |",
        "| --- |" + " --- |" * 6,
    ]
    for name in names:
        c = counted(name)
        lines.append(
            f"| {name} | {c.parameters / 1e6:.2f} M | {c.samples / 1e6:,.0f} M | {c.forward / 1e9:.2f} G | "
            f"{c.step / 1e9:.1f} G | {c.memory / 1e6:,.0f} MB | {c.state / 1e9:.2f} GB |"
        )
    return lines


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("\n".join(table(sys.argv[1:] or ["cifar10", "celeba64", "afhq64"])))
