"""What is held fixed, and what becomes of the training: every stop-gradient, with and without Fourier features.

    python -m flowmap_edu.bench.stopgradients FILE        lesson 04b's table, three seeds a row (about 10 CPU minutes)

The trainings are those of the lesson: 800 steps of the checkerboard's recipe. They differ in the loss, in what is held
and in the network. The lesson reads the file. A run that is in the file already is not made again.
"""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowmap_edu import losses, metrics
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS
from flowmap_edu.problems import Checkerboard
from flowmap_edu.recipes import recipe
from flowmap_edu.training import State, fit, runs

STEPS, EVERY, SEEDS, DRAWS = 800, 20, (0, 1, 2), 20_000
HALF_WIDTH, LINES, POINTS, WAVES = 1.2, 8, 128, 24  # where the spectrum of the error is taken, and of how many waves
ZERO = {"at_zero": 0.3, "at_one": 0.0, "diagonal": 2 / 3}  # pairs of times for LSD and PSD
ONE = {"at_zero": 0.0, "at_one": 0.3, "diagonal": 2 / 3}  # and for ESD
TIMES: dict[str, dict[str, Any]] = {"lsd": ZERO, "psd-m": ZERO, "esd": ONE}


class Case(NamedTuple):
    """A training: its method, what is held, and how many Fourier features of x the network has."""

    method: str
    stopgrad: str
    fourier: int = 64


CASES = (
    Case("esd", "full"),
    Case("esd", "convex"),
    Case("esd", "full", 0),
    Case("esd", "convex", 0),
    Case("esd", "semi"),
    Case("lsd", "convex"),
    Case("lsd", "none"),
    Case("psd-m", "convex"),
    Case("psd-m", "none"),
    Case("esd", "none"),
)


def trained(case: Case, seed: int, steps: int = STEPS) -> State:
    """The last state of one training."""
    method = replace(METHODS[case.method], stopgrad=case.stopgrad)
    times, net = TIMES[case.method], {"fourier": case.fourier}
    run = recipe("checkerboard", method, net=net, seed=seed, steps=steps, compile=False, **times)
    *_, state = fit(*run, every=EVERY)
    return state


def jumps(n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """n jumps of the checkerboard: s <= t, uniform on the triangle, shape (n,), and draws of I_s, shape (n, 2)."""
    board, generator = Checkerboard(), torch.Generator().manual_seed(seed)
    s, t = torch.rand(2, n, generator=generator).sort(dim=0).values
    x0, x1 = board.base(n, generator), board.sample(n, generator=generator)[0]
    return s, t, (1 - s)[:, None] * x0 + s[:, None] * x1


def wave(stopgrad: str, k: float, omega: float, d: float, b: float) -> Tensor:
    """What a gradient step of losses.eulerian subtracts, over its rate, as a matrix on the heights of one wave.

    The map has v = b + theta_1 cos(k x + omega s) + theta_2 sin(k x + omega s); its only parameters are the two
    heights. The velocity b is given, and x runs over whole waves. Shape (2, 2), float64.
    """
    x = torch.arange(64, dtype=torch.float64)[:, None] * (2 * math.pi / 64)
    s, known = torch.full((64,), 0.3, dtype=torch.float64), torch.full_like(x, b)
    columns: list[Tensor] = []
    for theta in torch.eye(2, dtype=torch.float64).unbind():
        heights = theta.clone().requires_grad_()

        def v(s: Tensor, _: Tensor, x: Tensor, heights: Tensor = heights) -> Tensor:
            angle = k * x + omega * s[:, None]
            return b + heights[0] * angle.cos() + heights[1] * angle.sin()

        loss = losses.eulerian(FlowMap(v), s, s + d, x, stopgrad=stopgrad, velocity=known).mean()
        columns.append(torch.autograd.grad(loss, heights)[0])
    return torch.stack(columns, 1)


def spectrum(X: FlowMap, s: float = 0.0, t: float = 1.0) -> tuple[Tensor, Tensor]:
    """How much of each wave is in the error v_{s,t} - v*_{s,t} along horizontal lines.

    The lines are 2.4 long. A window (Hann's) takes away what their ends would add.

    Returns:
        the wave numbers 2 pi n / 2.4, n = 1, 2, ..., and the root mean square height of each wave, shape (24,) each.
    """
    board = Checkerboard()
    along = HALF_WIDTH * (2 * torch.arange(POINTS, dtype=torch.float64) / POINTS - 1)
    across = torch.linspace(-0.9, 0.9, LINES, dtype=torch.float64)
    x = torch.stack([along.repeat(LINES), across.repeat_interleave(POINTS)], 1)
    with torch.no_grad():
        error = X.v(s, t, x.float()).double() - board.v(torch.full_like(x[:, 0], s), torch.full_like(x[:, 0], t), x)
    error = error.reshape(LINES, POINTS, 2)
    window = torch.hann_window(POINTS, dtype=torch.float64)[:, None]
    heights = torch.fft.rfft((error - error.mean(1, keepdim=True)) * window, dim=1).abs() * 2 / window.sum()
    waves = torch.arange(1, WAVES + 1) * math.pi / HALF_WIDTH
    return waves, heights.square().sum(2).mean(0).sqrt()[1 : WAVES + 1]


def row(case: Case, seed: int, steps: int = STEPS) -> dict[str, Any]:
    """A training's errors on the diagonal and of one jump, its error's spectrum, and step, loss and gradient's norm."""
    board, generator, state = Checkerboard(), torch.Generator().manual_seed(6), trained(case, seed, steps)
    t = torch.rand(DRAWS, generator=generator)
    x0, x1 = board.base(DRAWS, generator), board.sample(DRAWS, generator=generator)[0]
    x = (1 - t)[:, None] * x0 + t[:, None] * x1
    with torch.no_grad():
        diagonal = losses.diagonal(state.X, t, x, board.velocity(t, x)).mean().item()
    short = [[line[0], *(float(f"{number:.4g}") for number in line[1:3])] for line in state.history]
    heights = [float(f"{height:.4g}") for height in spectrum(state.X)[1].tolist()]
    jump = metrics.map_error(state.X, board, n=1024)
    measured = {"diagonal": diagonal, "jump": jump, "spectrum": heights, "history": short}
    return case._asdict() | {"seed": seed, "steps": steps} | measured


def main(path: str) -> None:
    """Make the runs that the file does not hold yet, and write it after each."""
    file = Path(path)
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    made = {(r["method"], r["stopgrad"], r["fourier"], r["seed"]) for r in rows}
    for case in CASES:
        for seed in SEEDS:
            if (*case, seed) not in made:
                rows.append(row(case, seed))
                print(case, seed, f"diagonal {rows[-1]['diagonal']:.4f}, one jump {rows[-1]['jump']:.4f}", flush=True)
                text = ",\n".join(json.dumps(r) for r in rows)
                runs.write(file, f"[\n{text}\n]\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
