"""Real training steps on a GPU: milliseconds, memory, precision; gpu_parts.py has what else a run waits for.

    python -m flowmap_edu.bench.gpu steps errors loader                 a line of JSON a measurement
    python -m flowmap_edu.bench.gpu inception --weights FILE            the network that FID takes its features from
    python -m flowmap_edu.bench.gpu steps --recipes cifar10 --compiled  the step through torch.compile
    python -m flowmap_edu.bench.gpu profile --recipes cifar10           which kernels take longest

Images are noise of the recipe's size, which costs do not depend on. A step is the loss, its gradient, the clipping, the
optimiser and the averages, for the recipe's whole batch, which is cut into as few parts as fit into the memory.
"""

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from flowmap_edu import losses
from flowmap_edu._threads import large
from flowmap_edu.bench.costs import noise_batch
from flowmap_edu.bench.gpu_parts import PRECISIONS, errors, inception, loader
from flowmap_edu.recipes import recipe
from flowmap_edu.training import State
from flowmap_edu.training.loop import Loss, MemoryShortError, clipped, gradient

PAPER = ("cifar10", "celeba64", "afhq64")
PROBES = (16, 32)  # samples of the two steps from whose memory the largest batch is guessed
GRAIN = 8  # samples by which the guess is lowered until it fits


class Step:
    """A training step of a recipe on the GPU, over and over with one batch of noise."""

    def __init__(self, name: str, **changes: Any):
        settings: dict[str, Any] = {"weighting": False, "compile": False, **changes}
        run = recipe(name, "lsd", **settings)
        self.state = State(*run, device=torch.device("cuda"))
        self.loss, self.ramp = Loss(self.state), torch.tensor(1.0, device="cuda")
        self.batch: losses.Batch = noise_batch(run).to(self.state.device)

    def take(self) -> None:
        """One step; it waits for the GPU, as training does, which reads the loss."""
        gradient(self.state, self.loss, {0: self.batch}, self.ramp)
        clipped(self.state.parameters(), self.state.training.clip)
        self.state.take_step()

    def seconds(self, warm: int = 2, count: int = 4) -> list[float]:
        """Of the first step, which compiles, and of some steps after the first `warm`."""
        found = []
        for _ in range(warm + count):
            torch.cuda.synchronize()
            started = time.perf_counter()
            self.take()
            torch.cuda.synchronize()
            found.append(time.perf_counter() - started)
        return [found[0], *found[warm:]]


def empty() -> None:
    """Give the GPU's memory back, and begin to count its peak anew."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def peak(name: str, batch: int, **changes: Any) -> int | None:
    """The most bytes that a step of so many samples holds at a time, all in one part; None if they do not fit."""
    empty()
    try:
        Step(name, batch=batch, diagonal=0.75, accumulate=1, **changes).take()
    except (MemoryShortError, torch.OutOfMemoryError):
        return None
    return torch.cuda.max_memory_allocated()


def largest(name: str, most: int, **changes: Any) -> tuple[int, float]:
    """A number of samples (a multiple of 8, up to `most`) that fit at a time, near the largest; bytes for one more."""
    less, more = (peak(name, n, **changes) or 0 for n in PROBES)
    a_sample = (more - less) / (PROBES[1] - PROBES[0])
    free = torch.cuda.get_device_properties(0).total_memory - less
    n = min(most, int((PROBES[0] + free / a_sample) // GRAIN) * GRAIN)
    while peak(name, n, **changes) is None:
        n -= GRAIN
    return n, a_sample


def steps(
    names: list[str], precisions: list[str], also: dict[str, Any], parts: int | None = None
) -> Iterator[dict[str, Any]]:
    """A row for each recipe and precision: the parts of a step, its time, its memory, the seconds of the first step.

    Where `parts` is None, the largest batch at a time is looked for first, and gives the number of parts. `apart` says
    whether each part takes its diagonal and its jumps one after the other (`training.loop.cut`).
    """
    for name in names:
        batch = recipe(name, "lsd").training.batch
        for precision in precisions:
            settings = PRECISIONS[precision] | also
            row: dict[str, Any] = {"what": "step", "recipe": name, "precision": precision}
            row |= {"compiled": also["compile"], "channels_last": also["channels_last"], "batch": batch}
            if parts is None:
                n, a_sample = largest(name, batch, **settings)
                row |= {"fits": n, "sample_MB": round(a_sample / 1e6, 1)}
            k = parts or next(k for k in (1, 2, 4, 8, 16, 32) if batch // k <= row["fits"])
            empty()
            step = Step(name, accumulate=k, **settings)
            row |= {"apart": large(step.state.training.rows, step.state.net), "parts": k}
            first, *others = step.seconds()
            held = round(torch.cuda.max_memory_allocated() / 1e9, 2)
            yield row | {"ms": round(1000 * statistics.median(others), 1), "GB": held, "first_s": round(first)}


def profile(names: list[str], also: dict[str, Any], kernels: int = 14) -> Iterator[dict[str, Any]]:
    """What the kernels of one step take, in milliseconds: all of them, and those that take longest.

    Of the latter, products and convolutions, and others. `wall`: the whole step.
    """
    for name in names:
        step = Step(name, accumulate=2, **PRECISIONS["bf16 and tf32"], **also)
        step.take()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            started = time.perf_counter()
            step.take()
            torch.cuda.synchronize()
            wall = time.perf_counter() - started
        # not the calls that start a kernel, which take the CPU's time
        rows = [row for row in seen.key_averages() if str(row.device_type).endswith("CUDA")]
        rows.sort(key=lambda row: -row.device_time_total)
        longest, total = rows[:kernels], sum(row.device_time_total for row in rows) / 1000
        found = {"products": 0.0, "others": 0.0, "all": total, "wall": 1e3 * wall}
        for row in longest:
            found["products" if "gemm" in row.key else "others"] += row.device_time_total / 1000
        settings = {"channels_last": also["channels_last"], "apart": large(step.state.training.rows, step.state.net)}
        settings["precision"] = "bf16 and tf32"
        yield {"what": "profile", "recipe": name, **settings, "kernels": kernels, **found}


def main() -> None:
    """What was asked for, a line of JSON each, the machine first."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", nargs="+", choices=("steps", "profile", "errors", "inception", "loader"))
    options.add_argument("--recipes", nargs="+", default=list(PAPER), metavar="NAME")
    options.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=list(PRECISIONS))
    options.add_argument("--compiled", action="store_true", help="the step goes through torch.compile")
    options.add_argument("--channels-last", action="store_true", help="images lie in memory with their channels last")
    options.add_argument("--parts", type=int, help="of a step; without it the largest batch that fits is looked for")
    options.add_argument("--weights", help="a file for Inception, in the published one's format")
    asked = options.parse_args()
    if not torch.cuda.is_available():
        options.error("torch sees no CUDA device here")
    if "inception" in asked.what and asked.weights is None:
        options.error("inception needs --weights FILE")
    also = {"compile": asked.compiled, "channels_last": asked.channels_last}
    rows: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "steps": lambda: steps(asked.recipes, asked.precisions, also, asked.parts),
        "profile": lambda: profile(asked.recipes, also),
        "inception": lambda: inception(asked.weights),
        "errors": errors,
        "loader": lambda: loader(asked.recipes),
    }
    card = {"what": "machine", "card": torch.cuda.get_device_name(), "torch": torch.__version__}
    print(json.dumps(card), flush=True)
    for what in asked.what:
        for row in rows[what]():
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
