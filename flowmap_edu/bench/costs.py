"""What a run costs: operations and memory counted by running one small step, hours estimated from them.

    python -m flowmap_edu.bench.costs                 the table of tutorials/scaling.md (a few minutes)
    python -m flowmap_edu.bench.costs digits emoji    the same for other recipes

The hours are estimates: the operations of the whole run over a speed that is assumed and not measured.
"""

import multiprocessing
import resource
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from flowmap_edu import losses, methods
from flowmap_edu.nets import unet
from flowmap_edu.recipes.named import RECIPES
from flowmap_edu.training import loop as training
from flowmap_edu.training.config import Config

PEAK = 989e12  # operations a second of an H100 SXM with dense bfloat16, as its data sheet states
SHARE = 0.25  # of it that we assume a network of this kind to reach; not measured by us
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
        forward: operations of one pass through the network, for one picture.
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

    def hours(self, machines: int = 1, speed: float = SHARE * PEAK) -> float:
        """An estimate of the run's hours on so many GPUs of that speed, in operations a second."""
        return self.step * self.samples / (machines * speed) / 3600


def batch_of(config: Config) -> losses.Batch:
    """A batch of pictures of noise, without any data set: costs do not depend on what is seen."""
    sizes = unet.CONFIGS[config.problem]
    shape, on = (sizes.get("channels", 3), sizes["size"], sizes["size"]), round(config.batch * config.diagonal)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(config.batch, *shape, generator=generator)
    s, u, r = methods.draw_times(config.row, config.batch - on, generator=generator)
    labels = torch.zeros(config.batch, dtype=torch.int64) if config.classes else None
    return losses.Batch(torch.rand(on, generator=generator), x[:on], x[:on], s, u, r, x[on:], x[on:], labels)


def peak(config: Config) -> int:
    """Bytes that a step of this batch adds to the most that this process has held; to be called in a fresh process."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")  # torch's own, once a process
    state, batch = training.State(config), batch_of(config)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    training.loss_of_batch(state, batch, torch.tensor(1.0)).backward()
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def counted(config: Config) -> Costs:
    """The costs of a recipe for pictures.

    Raises:
        ValueError: if the recipe is not for pictures.
    """
    if not config.pictures:
        raise ValueError(f"costs are counted for pictures, got a recipe for {config.problem!r}")
    small = replace(config, batch=SMALL, diagonal=0.75, accumulate=1)
    state, batch = training.State(small), batch_of(small)
    labels = None if batch.labels is None else batch.labels[:1]
    with torch.no_grad(), Operations() as forward:
        state.net(batch.t[:1], batch.t[:1], batch.x_t[:1], labels)
    with Operations() as step:
        training.loss_of_batch(state, batch, torch.tensor(1.0)).backward()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        less, more = pool.map(peak, [small, replace(small, batch=2 * SMALL)])
    parameters = sum(p.numel() for p in state.net.parameters())
    copies = 4 + 1 + (config.second_ema is not None)
    samples = config.batch * (config.steps or 0)
    held = (more - less) / SMALL
    return Costs(parameters, forward.total, step.total / SMALL, held, 4 * copies * parameters, samples)


def table(names: Sequence[str]) -> list[str]:
    """The table in Markdown, a row a recipe."""
    lines = [
        "| recipe | parameters | samples | operations: one pass | operations: a training sample "
        "| memory: a sample | memory: weights, moments, averages | hours on one H100 | hours on eight |",
        "| --- |" + " --- |" * 8,
    ]
    for name in names:
        c = counted(RECIPES[name])
        hours = " | ".join(f"~{c.hours(n):,.0f}" if c.samples else "" for n in (1, 8))
        lines.append(
            f"| {name} | {c.parameters / 1e6:.2f} M | {c.samples / 1e6:,.0f} M | {c.forward / 1e9:.2f} G | "
            f"{c.step / 1e9:.1f} G | {c.memory / 1e6:,.0f} MB | {c.state / 1e9:.2f} GB | {hours} |"
        )
    return lines


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("\n".join(table(sys.argv[1:] or ["cifar10", "celeba64", "afhq64"])))
