"""Real training steps on a GPU: milliseconds, memory, precision, and what else a run on images waits for.

    python -m flowmap_edu.bench.gpu steps errors loader                 a line of JSON a measurement
    python -m flowmap_edu.bench.gpu inception --weights FILE            the network that FID takes its features from
    python -m flowmap_edu.bench.gpu steps --recipes cifar10 --compiled  the step through torch.compile

Images are noise of the recipe's size, which costs do not depend on. A step is the loss, its gradient, the clipping, the
optimiser and the averages, for the recipe's whole batch, which is cut into as few parts as fit into the memory.
"""

import argparse
import copy
import dataclasses
import functools
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp

from flowmap_edu import losses
from flowmap_edu._precision import float32_products
from flowmap_edu.bench.costs import noise_batch, small
from flowmap_edu.problems.images import ImageProblem
from flowmap_edu.problems.pixels import Images
from flowmap_edu.problems.readers import Part
from flowmap_edu.recipes import recipe
from flowmap_edu.training import State, draw_batch
from flowmap_edu.training.loop import Loss, MemoryShortError, clipped, gradient

PAPER = ("cifar10", "celeba64", "afhq64")
PRECISIONS = {  # what is computed in fewer than 32 bits: settings of `Training`
    "fp32": {},
    "tf32": {"tf32": True},
    "bf16": {"precision": "bf16"},
    "bf16 and tf32": {"precision": "bf16", "tf32": True},
}
PROBES = (16, 32)  # samples of the two steps from whose memory the largest batch is guessed
GRAIN = 8  # samples by which the guess is lowered until it fits


class Step:
    """A training step of a recipe on the GPU, over and over with one batch of noise."""

    def __init__(self, name: str, **changes: Any):
        run = recipe(name, "lsd", **{"weighting": False, "compile": False, **changes})
        self.state = State(*run, device=torch.device("cuda"))
        self.loss, self.ramp = Loss(self.state), torch.tensor(1.0, device="cuda")
        self.batch: losses.Batch = noise_batch(run).to(self.state.device)

    def take(self) -> None:
        """One step; it waits for the GPU, as training does, which reads the loss."""
        gradient(self.state, self.loss, {0: self.batch}, self.ramp)
        clipped(self.state.parameters(), self.state.training.clip)
        self.state.take_step()

    def seconds(self, warm: int = 2, count: int = 4) -> float:
        """The median of some steps, after some that are not counted."""
        found = []
        for _ in range(warm + count):
            torch.cuda.synchronize()
            started = time.perf_counter()
            self.take()
            torch.cuda.synchronize()
            found.append(time.perf_counter() - started)
        return statistics.median(found[warm:])


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
    """A row for each recipe and precision: the parts of a step, its time, its memory, all seconds that it took.

    Where `parts` is None, the largest batch at a time is looked for first, and gives the number of parts.
    """
    for name in names:
        batch = recipe(name, "lsd").training.batch
        for precision in precisions:
            settings, row = PRECISIONS[precision] | also, {"what": "step", "recipe": name, "precision": precision}
            row |= {"compiled": also["compile"], "channels_last": also["channels_last"], "batch": batch}
            if parts is None:
                n, a_sample = largest(name, batch, **settings)
                row |= {"fits": n, "sample_MB": round(a_sample / 1e6, 1)}
            k = parts or next(k for k in (1, 2, 4, 8, 16, 32) if batch // k <= row["fits"])
            empty()
            began = time.perf_counter()
            ms = round(1000 * Step(name, accumulate=k, **settings).seconds(), 1)
            held, took = round(torch.cuda.max_memory_allocated() / 1e9, 2), round(time.perf_counter() - began)
            yield row | {"parts": k, "ms": ms, "GB": held, "took": took}


def relative(found: Tensor, exact: Tensor) -> float:
    """|found - exact| / |exact|."""
    return ((found.double() - exact).norm() / exact.norm()).item()


def with_gains(net: nn.Module) -> nn.Module:
    """Set its gains to 1. They are 0 before the first step, and with them value and derivative."""
    for name, p in net.named_parameters():
        if name.endswith("gain"):
            nn.init.ones_(p)
    return net


def errors(name: str = "cifar10", n: int = 8) -> Iterator[dict[str, Any]]:
    """Relative errors of a network's value, of its derivative in t and of LSD's gradient, against float64.

    The network has its first weights, but for its gains: see `with_gains`.
    """
    run = small(name, "lsd", n)
    state = State(*run, device=torch.device("cuda"))
    with_gains(state.net).eval()
    batch, ramp = noise_batch(run).to(state.device), torch.tensor(1.0, device="cuda")
    exact_net = copy.deepcopy(state.net).double()
    t, x = torch.rand(n, device="cuda"), torch.randn(n, *run.problem.shape, device="cuda")

    label = {"label": torch.zeros(n, dtype=torch.int64, device="cuda")} if run.problem.classes else {}

    def along_t(net: nn.Module, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return jvp(lambda t: net(t / 2, t, x, **label), (t,), (torch.ones_like(t),))  # type: ignore[return-value]

    with torch.no_grad():
        exact = along_t(exact_net, t.double(), x.double())

    def of_the_loss(net: nn.Module, training: Any, batch: losses.Batch) -> Tensor:
        chosen = dataclasses.replace(state.training, weighting=False, compile=False, **training)
        own = State(run.problem, net, run.method, chosen, device=state.device)
        own.net.eval()
        gradient(own, Loss(own), {0: batch}, ramp.to(batch.diagonal.x.dtype))
        return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])

    true = of_the_loss(exact_net, {}, batch.changed(lambda z: z.double() if z.is_floating_point() else z))
    for precision, training in PRECISIONS.items():
        half, tf32 = training.get("precision") == "bf16", bool(training.get("tf32"))
        with torch.no_grad(), float32_products(state.device, tf32):
            with torch.autocast("cuda", torch.bfloat16, enabled=half):
                value = state.net(t / 2, t, x, **label)
                inside = along_t(state.net, t, x)[1]  # the control: forward mode in 16 bits, which we do not take
            outside = along_t(state.net, t, x)[1]
        row = {"what": "error", "precision": precision, "value": relative(value, exact[0])}
        row |= {"derivative": relative(outside, exact[1])} | (
            {"derivative in bf16": relative(inside, exact[1])} if half else {}
        )
        yield row | {"gradient": relative(of_the_loss(copy.deepcopy(state.net), training, batch), true)}


def rate(f: Callable[[], Any], n: int, seconds: float = 5.0) -> float:
    """How many of n things a second f() gets done, repeated for some seconds."""
    f()
    torch.cuda.synchronize()
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        f()
        torch.cuda.synchronize()
        done += n
    return done / (time.perf_counter() - started)


def inception(weights: str, n: int = 250) -> Iterator[dict[str, Any]]:
    """Images a second through FID's network, in float32 as `metrics` takes them, and in TF32."""
    from flowmap_edu.metrics.inception import inception as network

    features, x = network(weights).cuda(), torch.rand(n, 3, 32, 32, device="cuda") * 2 - 1
    for precision, tf32 in (("fp32", False), ("tf32", True)):
        with torch.no_grad(), float32_products(x.device, tf32):
            found = rate(lambda: features(x), n)
        yield {"what": "inception", "precision": precision, "images_s": round(found)}


class Noise(ImageProblem):
    """Random pixels in the place of a data set: drawing a batch costs what it costs with real ones."""

    name, flips = "noise", True

    def __init__(self, size: tuple[int, int, int], n: int):
        self.size, self.n = size, n  # type: ignore[misc]
        super().__init__()

    def data(self, train: bool = True) -> Images:  # noqa: ARG002
        """The same pixels at each call."""
        return self.pixels

    @functools.cached_property
    def pixels(self) -> Images:
        """n images of random bytes."""
        x = torch.randint(256, (self.n, *self.size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        return Images(self.name, x, None, 0, 255, True)

    def read(self, folder: Path | None, train: bool) -> Part:
        """Not used: `data` makes the pixels."""
        raise NotImplementedError


def loader(names: list[str], n: int = 20_000) -> Iterator[dict[str, Any]]:
    """Milliseconds in which the CPU draws a whole batch: images, noise, times, points of the path."""
    for name in names:
        problem, _, method, training = recipe(name, "lsd")
        noise, generator = Noise(problem.shape, n), torch.Generator().manual_seed(0)  # type: ignore[arg-type]
        draw = functools.partial(draw_batch, noise, method, training, generator)
        found = 1000 * training.batch / rate(draw, training.batch)
        yield {"what": "loader", "recipe": name, "batch": training.batch, "ms": round(found, 1),
               "threads": torch.get_num_threads()}  # fmt: skip


def main() -> None:
    """What was asked for, a line of JSON each, the machine first."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", nargs="+", choices=("steps", "inception", "errors", "loader"))
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
