"""From which size on a training step gains from several CPU threads: one thread against torch's own number.

    python -m flowmap_edu.bench.crossover        the table, and the size that _threads.LARGE stands for (two minutes)

The size of a step is the rows of its batch times the parameters of its network, the multiplications of one pass.
On a machine with other work several threads wait for each other: measure on a quiet one.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from flowmap_edu._threads import cpu_threads
from flowmap_edu.bench.step import loss_and_gradient, source
from flowmap_edu.recipes import recipe
from flowmap_edu.training import State

HIDDEN = (64, 128, 256, 512, 1024)
BATCH = (128, 384, 1024, 4096)
GAIN = 1.1  # the least gain in wall time for which a second thread is taken
PAIRS = (3, 15)  # of a size, at least and at most
SECONDS = 1.0  # for the pairs of a size, once it has the least number


class Gain(NamedTuple):
    """What several threads bring at one size: the wall and CPU seconds of one thread over theirs, medians of pairs."""

    hidden: int
    batch: int
    work: int  # rows times parameters
    wall: float
    cpu: float


def spent(f: Callable[[], object], threads: int) -> tuple[float, float]:
    """Wall and CPU seconds of a call on so many threads."""
    with cpu_threads(threads):
        started = time.perf_counter(), time.process_time()
        f()
        return time.perf_counter() - started[0], time.process_time() - started[1]


def gain(hidden: int, batch: int, threads: int, seconds: float = SECONDS) -> Gain:
    """Time one thread and several in turn, the loss and gradient of LSD with an MLP of five layers, eager."""
    state = State(*recipe("checkerboard", "lsd", net={"hidden": hidden}, batch=batch, steps=1, compile=False))
    backward, data = loss_and_gradient(state), source(state)()
    work = batch * sum(p.numel() for p in state.net.parameters())

    def f() -> None:
        state.optimizer.zero_grad()
        backward(data)

    for n in (1, threads):
        spent(f, n)
    walls, cpus, begun = [], [], time.perf_counter()
    while len(walls) < PAIRS[0] or (len(walls) < PAIRS[1] and time.perf_counter() - begun < seconds):
        one, several = spent(f, 1), spent(f, threads)
        walls.append(one[0] / several[0])
        cpus.append(one[1] / several[1])
    return Gain(hidden, batch, work, statistics.median(walls), statistics.median(cpus))


def crossover(gains: Sequence[Gain]) -> int | None:
    """The least work from which on every size that was measured gains in wall time; None if the largest does not."""
    found = None
    for one in sorted(gains, key=lambda g: g.work, reverse=True):
        if one.wall < GAIN:
            break
        found = one.work
    return found


def lines(gains: Sequence[Gain], threads: int) -> list[str]:
    """The table, wall time of one thread over that of several, a row a width."""
    batches = sorted({g.batch for g in gains})
    wide = {(g.hidden, g.batch): g for g in gains}
    out = [
        f"| one thread over {threads}: wall time (CPU time) | {' | '.join(f'batch {b:,}' for b in batches)} |",
        "| --- |" + " --- |" * len(batches),
    ]
    for hidden in sorted({g.hidden for g in gains}):
        cells = (wide[hidden, b] for b in batches)
        out.append(f"| 5 x {hidden} | {' | '.join(f'{g.wall:.2f} ({g.cpu:.2f})' for g in cells)} |")
    least = crossover(gains)
    said = "no size" if least is None else f"rows times parameters of {least:.1e} and more"
    return [*out, "", f"Loss and gradient of LSD, eager. More threads gain at least {GAIN - 1:.0%} from: {said}."]


def table() -> list[str]:
    """Measure in a process of its own, in which torch takes the number of threads that it takes by itself."""
    free = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    call = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.bench.crossover", "--json"]
    done = subprocess.run(call, check=True, env=free, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured() -> list[str]:
    """The table of this process."""
    threads = torch.get_num_threads()
    if threads == 1:
        return ["One thread against several: not measured, torch takes one on this machine."]
    return lines([gain(hidden, batch, threads) for hidden in HIDDEN for batch in BATCH], threads)


if __name__ == "__main__":
    rows = measured()
    print(json.dumps(rows) if "--json" in sys.argv else "\n".join(rows))
