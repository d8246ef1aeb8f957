"""Make 06.json: the seeds 1 and 2 of what lesson 06 compares; it trains the seed 0 itself.

    OMP_NUM_THREADS=1 python data/lessons/make_06.py           (2 CPU minutes)

A row is one training of LSD on the checkerboard. `on` is who gives the target on the diagonal, and `off` who gives the
velocity in the residual: None for the averaged target and the map's own diagonal, else a teacher. The distance is that
of one jump to the exact map, root mean square over 1,024 points.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import FlowMap, methods, metrics, problems, recipes, training
from flowmap_edu.metrics import errors

Velocity = Callable[[Tensor, Tensor], Tensor]
FILE = Path(__file__).parent / "06.json"
BOARD = problems.Checkerboard()
STEPS, SEEDS, MARKS = 800, (1, 2), 20


def stopped(t: Tensor, x: Tensor, last: float = 0.9) -> Tensor:
    """The exact velocity, but at times after 0.9 that of 0.9."""
    return BOARD.velocity(t.clamp(max=last), x)


PLACES: dict[str, dict[str, Velocity]] = {
    "none": {},
    "on": {"on": BOARD.velocity},
    "off": {"off": BOARD.velocity},
    "off, stopped": {"off": stopped},
}


def step(state: training.State, on: Velocity | None, off: Velocity | None) -> float:
    """One step of training; the norm of its gradient."""
    batch, method = training.draw_batch(state.problem, state.method, state.training, state.generator), state.method
    if on is not None:
        with torch.no_grad():
            batch = batch._replace(diagonal=batch.diagonal._replace(target=on(batch.diagonal.t, batch.diagonal.x)))
    guide = None
    if off is not None:
        velocity = off
        method, guide = replace(method, velocity="teacher", stages=1), FlowMap(lambda _, t, x: velocity(t, x))
    methods.loss(FlowMap(state.net), batch, method, teacher=guide).mean().backward()
    norm = torch.nn.utils.clip_grad_norm_(state.net.parameters(), state.training.clip)
    state.take_step()
    state.schedule.step()
    return norm.item()


def train(seed: int, on: Velocity | None = None, off: Velocity | None = None) -> dict[str, Any]:
    """Train a map; its distance and the gradient's norm as it went."""
    state, rows = training.State(*recipes.recipe("checkerboard", "lsd", steps=STEPS, seed=seed, compile=False)), []
    for k in range(1, STEPS + 1):
        norm = step(state, on, off)
        if k % (STEPS // MARKS) == 0:
            rows.append((k, metrics.map_error(state.X, BOARD, n=1024), norm))
    noise, goal = errors.exact_pairs(BOARD, 0.0, 1.0, 1024, 0)
    curves = [list(column) for column in zip(*rows, strict=True)]
    found: dict[str, Any] = dict(zip(("steps", "distances", "gradients"), curves, strict=True))
    median = (state.X.sample(noise, 1) - goal).norm(dim=1).median().item()
    return found | {"distance": rows[-1][1], "median": median}


def main() -> None:
    """Make the rows in order, each with every seed; write after each."""
    table: dict[str, Any] = {"steps": STEPS, "rows": {}}
    for name, places in PLACES.items():
        table["rows"][f"lsd: {name}"] = [train(seed, **places) for seed in SEEDS]
        FILE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
