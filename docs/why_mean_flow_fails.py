"""Five complaints about mean flow, each tried on the checkerboard in about a minute.

    python docs/why_mean_flow_fails.py                 all of them
    python docs/why_mean_flow_fails.py flat density    some of them

why_mean_flow_fails.md has the questions, what these functions print, and the cures. Where trainings are compared, each
has three seeds; a number is their median, the brackets hold the smallest and the largest.
"""

import contextlib
import copy
import dataclasses
import functools
import math
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from flowmap_edu import FlowMap, methods, metrics, problems, recipes, sample, training
from flowmap_edu.training import runs
from flowmap_edu.viz import plots

SEEDS = (0, 1, 2)
STEPS = training.budget(600)
BOARD = problems.Checkerboard()
NOISE = BOARD.base(50_000, torch.Generator().manual_seed(9))
START = NOISE[:2048].double()
PLAIN: dict[str, Any] = {"stf_batch": 0, "stf_near": 0.0}  # the plain target dI, as the sources have it


def fitted(method: methods.Method | str, seed: int, *, steps: int = STEPS, **changes: Any) -> Iterator[training.State]:
    """A training of the checkerboard's recipe with the plain target; four looks at it on the way."""
    run = recipes.recipe("checkerboard", method, steps=steps, seed=seed, compile=False, **PLAIN | changes)
    return training.fit(*run, every=max(1, steps // 4))


def trained(method: methods.Method | str, seed: int, **changes: Any) -> FlowMap:
    """The map at the end of it."""
    *_, state = fitted(method, seed, **changes)
    return state.X


@functools.cache
def truth() -> Tensor:
    """Where the exact flow carries the 2,048 points."""
    return BOARD.flow_map(0.0, 1.0, START, tolerance=1e-6)


def distance(X: FlowMap, evaluations: int = 1) -> float:
    """Root mean square distance of what a map draws from 2,048 points to where the exact flow carries them."""
    return (X.sample(START.float(), evaluations) - truth()).square().sum(1).mean().sqrt().item()


def kl(x: Tensor) -> float:
    """KL64 of samples; infinite where they are not finite."""
    return metrics.kl64(x).kl if bool(torch.isfinite(x).all()) else math.inf


def said(values: list[float], digits: int = 3) -> str:
    """The median of some numbers and their range."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def flat() -> None:
    """Is the loss flat while the samples improve? Three numbers on the way of a training."""
    row = methods.METHODS["meanflow"]
    looks: list[list[tuple[float, ...]]] = []
    for seed in SEEDS:
        looks.append([])
        for state in fitted(row, seed):
            batch = training.draw_batch(BOARD, row, dataclasses.replace(state.training, batch=8192), held_out())
            equal = dataclasses.replace(row, weight="one")
            with torch.no_grad():
                square = methods.loss(state.X, batch, equal).mean().item()
            looks[-1].append((state.loss, square, distance(state.X), kl(state.X.sample(NOISE, 1))))
    print(
        f"{'step':>6}{'training loss':>24}{'the same, weight one':>24}{'distance, one jump':>24}{'KL64, one jump':>24}"
    )
    for k, at in enumerate(zip(*looks, strict=True)):
        print(f"{(k + 1) * STEPS // 4:>6}" + "".join(f"{said([one[i] for one in at]):>24}" for i in range(4)))
    print(f"No network can bring flow matching's part, weight one, below {BOARD.irreducible_loss():.3f}.")


def held_out() -> torch.Generator:
    """The random numbers of the batch on which every look is measured."""
    return torch.Generator().manual_seed(77)


def pair(n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """n jumps from samples: s, t, I_s and dI_s."""
    g = torch.Generator().manual_seed(seed)
    x0, (x1, _) = BOARD.base(n, g), BOARD.sample(n, g)
    t = torch.rand(n, generator=g)
    s = 0.95 * t * torch.rand(n, generator=g)
    return s, t, (1 - s[:, None]) * x0 + s[:, None] * x1, x1 - x0


def slope_and_change(net: nn.Module, dtype: torch.dtype, difference: float = 0.0) -> tuple[Tensor, Tensor]:
    """v_{s,t}(I_s) and d/ds v_{s,t}(I_s) along the sample's line, all of it in one precision."""
    s, t, x, dx = (a.to(dtype) for a in pair(4096))
    net = copy.deepcopy(net).to(dtype)
    if difference:
        ends = [net(s + h, t, x + h * dx) for h in (-difference, difference)]
        return net(s, t, x).double(), (ends[1] - ends[0]).double() / (2 * difference)
    value, change = jvp(lambda s, x: net(s, t, x), (s, x), (torch.ones_like(s), dx))
    return value.double(), change.double()


def meanflow_in(dtype: torch.dtype, unit: float, seed: int, steps: int, wide: bool = False) -> int | None:
    """Train mean flow in one precision on data in other units; the step at which the loss is not finite, or None.

    wide: the network and its derivative stay in that precision, the squared error and its weight are in float32.
    """
    torch.manual_seed(seed)
    net = BOARD.network()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for step in range(steps):
        s, t, x, dx = (a.to(dtype) for a in pair(256, seed=1000 * seed + step))
        low = copy.deepcopy(net).to(dtype)
        with torch.no_grad():
            change = jvp(lambda s, x, t=t, low=low: low(s, t, x), (s, x), (torch.ones_like(s), dx))[1]
        error = unit * (low(s, t, x) - dx - (t - s)[:, None] * change)  # in the data's units
        square = (error.float() if wide else error).square().sum(1)
        loss = (square / (square.detach() + 1e-3)).mean()
        if not torch.isfinite(loss):
            return step + 1
        low.zero_grad()
        loss.backward()
        for p, q in zip(net.parameters(), low.parameters(), strict=True):
            p.grad = None if q.grad is None else q.grad.float()
        if not all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None):
            return step + 1
        optimizer.step()
    return None


def precision() -> None:
    """Does the derivative fail in low precision? Its error on a trained network; then trainings."""
    net = runs.load("checkerboard-lsd").slope
    assert isinstance(net, nn.Module)
    exact = slope_and_change(net.requires_grad_(False), torch.float64)
    print(f"{'relative error of':<30}{'the slope':>12}{'its derivative':>17}{'its difference':>17}")
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        found = [*slope_and_change(net, dtype), slope_and_change(net, dtype, 0.005)[1]]
        errors = [((a - b).norm() / b.norm()).item() for a, b in zip(found, (*exact, exact[1]), strict=True)]
        print(f"{dtype!s:<30}{errors[0]:>12.1e}{errors[1]:>17.1e}{errors[2]:>17.1e}")
    steps = max(4, STEPS // 6)
    cases: list[tuple[torch.dtype, float, bool]] = [
        (torch.bfloat16, 1.0, False), (torch.float16, 1.0, False), (torch.bfloat16, 255.0, False),
        (torch.float16, 255.0, False), (torch.float16, 255.0, True),
    ]  # fmt: skip
    for dtype, unit, wide in cases:
        ends = [meanflow_in(dtype, unit, seed, steps, wide) for seed in SEEDS]
        words = [f"not finite at step {end}" if end else f"finite for {steps} steps" for end in ends]
        loss = "float32" if wide else str(dtype).removeprefix("torch.")
        print(f"{dtype!s:<16}data up to {unit:<4g} loss in {loss:<10}{'; '.join(dict.fromkeys(words))}")
    print(f"jvp of attention: fused, {attention(True)}; by SDPBackend.MATH, {attention(False)}")


def attention(fused: bool) -> str:
    """Whether forward mode goes through attention: "works", or the error's name."""
    x = torch.randn(2, 2, 8, 4)
    chosen = contextlib.nullcontext() if fused else sdpa_kernel(SDPBackend.MATH)
    try:
        with chosen:
            jvp(lambda x: nn.functional.scaled_dot_product_attention(x, x, x), (x,), (torch.ones_like(x),))
    except NotImplementedError as error:
        return type(error).__name__
    return "works"


def two_steps() -> None:
    """Are two steps worse than one? Mean flow with two weights; a row that knows t = 1 alone, sampled in two ways."""
    rows = {"mean flow": methods.METHODS["meanflow"], "sct": methods.METHODS["sct"]}
    rows["mean flow, weight one"] = dataclasses.replace(rows["mean flow"], weight="one")
    maps = {name: [trained(row, seed) for seed in SEEDS] for name, row in rows.items()}
    maps["sct, jumps"] = [FlowMap(X.slope, sample.Jumps()) for X in maps["sct"]]
    print(f"{'':<24}{'distance: 1 evaluation':>24}{'2 evaluations':>24}{'KL64: 1 evaluation':>24}{'2 evaluations':>24}")
    for name in ("mean flow", "mean flow, weight one", "sct, jumps"):
        far = "".join(f"{said([distance(X, k) for X in maps[name]]):>24}" for k in (1, 2))
        print(f"{name:<24}{far}" + "".join(f"{said([kl(X.sample(NOISE, k)) for X in maps[name]]):>24}" for k in (1, 2)))
    for start in (0.2, 0.5, 0.8):
        values = [kl(restarted(X, start)) for X in maps["sct"]]
        print(f"{f'sct, new noise and a second jump from s = {start}':<96}{said(values):>24}")


@torch.no_grad()
def restarted(X: FlowMap, s: float) -> Tensor:
    """One jump, then new noise of time s and a second jump from there."""
    first = X(0.0, 1.0, NOISE)
    fresh = BOARD.base(len(NOISE), torch.Generator().manual_seed(10))
    return X(s, 1.0, (1 - s) * fresh + s * first)


def scratch() -> None:
    """Does it collapse from scratch? Less and less of the batch on the diagonal; a target that is not held."""
    stays = (START - truth()).square().sum(1).mean().sqrt().item()
    print(f"distance of a map that moves no point: {stays:.3f}")
    print(f"{'':<40}{'distance, one jump':>24}{'KL64, one jump':>24}")
    for name in ("meanflow", "split-meanflow"):
        for share in (0.75, 0.0):
            report(f"{name}, {share:.0%} on the diagonal", [short(name, seed, diagonal=share) for seed in SEEDS])
    free = dataclasses.replace(methods.METHODS["meanflow"], stopgrad="none")
    report("meanflow, 75%, target not held", [short(free, seed) for seed in SEEDS])
    starts = [short("fm", seed) for seed in SEEDS]
    for name, share in (("meanflow", 0.75), ("split-meanflow", 0.0)):
        ends = [short(name, seed, diagonal=share, net=begun(X)) for seed, X in enumerate(starts)]
        report(f"{name}, {share:.0%}, from flow matching", ends)


def short(method: methods.Method | str, seed: int, **changes: Any) -> FlowMap:
    """A map of half as many steps."""
    return trained(method, seed, steps=STEPS // 2, **changes)


def begun(X: FlowMap) -> nn.Module:
    """A copy of a map's network, to be trained on."""
    assert isinstance(X.slope, nn.Module)
    return copy.deepcopy(X.slope).requires_grad_(True)


def report(words: str, maps: list[FlowMap]) -> None:
    """One line on what some maps draw."""
    scores = [kl(X.sample(NOISE, 1)) for X in maps]
    print(f"{words:<40}{said([distance(X) for X in maps]):>24}{said(scores):>24}")


def log_density(X: FlowMap, x0: Tensor, problem: problems.Problem = BOARD) -> tuple[Tensor, Tensor]:
    """log p of X_{0,1}(x0) by the determinant of grad X_{0,1}, and that determinant; x0 of shape (B, 2), float64."""
    columns = [X.push(0.0, 1.0, x0, axis.expand_as(x0))[1] for axis in torch.eye(2).double()]
    det = torch.linalg.det(torch.stack(columns, -1))
    log_p0 = -0.5 * (x0 / problem.sigma).square().sum(1) - math.log(2 * math.pi * problem.sigma**2)
    return log_p0 - det.abs().log(), det


def density() -> None:
    """Is there no density? It has a formula: log p_0(x0) - log |det grad X_{0,1}(x0)|, beside the board's 1/2."""
    print(f"log-density on the board's squares: {math.log(0.5):.3f}")
    maps = {"checkerboard-lsd": runs.load("checkerboard-lsd")}
    maps |= {f"mean flow, seed {seed}": trained("meanflow", seed) for seed in SEEDS}
    for name, X in maps.items():
        log_p, det = log_density(FlowMap(begun(X).requires_grad_(False).double()), NOISE[:4096].double())
        low, middle, high = log_p.quantile(torch.tensor([0.25, 0.5, 0.75]).double()).tolist()
        folded = (det <= 0).double().mean().item()
        print(f"{name:<20} median {middle:.3f} (half within {low:.3f}, {high:.3f}); folded points {folded:.1%}")


PARTS = {"flat": flat, "precision": precision, "two-steps": two_steps, "scratch": scratch, "density": density}

if __name__ == "__main__":
    plots.use_style()
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        raise SystemExit(f"the parts are {', '.join(PARTS)}; got {', '.join(unknown)}")
    for name in wanted:
        began = time.process_time()
        print(f"\n== {name}")
        PARTS[name]()
        print(f"({time.process_time() - began:.0f} CPU seconds)", flush=True)
