"""What a run on a GPU waits for besides its steps, and what fewer than 32 bits cost in accuracy."""

import copy
import dataclasses
import functools
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
from flowmap_edu.training.loop import Loss, gradient

PRECISIONS = {  # what is computed in fewer than 32 bits: settings of `Training`
    "fp32": {},
    "tf32": {"tf32": True},
    "bf16": {"precision": "bf16"},
    "bf16 and tf32": {"precision": "bf16", "tf32": True},
}


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
