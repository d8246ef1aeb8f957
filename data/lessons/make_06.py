"""Make 06.json: the seeds 1 and 2 of what lesson 06 compares; it trains the seed 0 itself.

    OMP_NUM_THREADS=1 python data/lessons/make_06.py           (20 CPU minutes)

A row is one training on the checkerboard, of 800 steps unless its teacher took a part of them. `on` is who gives the
target on the diagonal and `off` who gives the velocity in the residual: None for the averaged target and the map's own
diagonal, else a teacher. The distance is that of one jump to the exact map, root mean square over 1,024 points.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import METHODS, FlowMap, losses, methods, metrics, problems, recipes, training
from flowmap_edu.methods import Method
from flowmap_edu.metrics import errors

Velocity = Callable[[Tensor, Tensor], Tensor]
FILE = Path(__file__).parent / "06.json"
BOARD = problems.Checkerboard()
STEPS, SEEDS, MARKS = 800, (1, 2), 20
FULL, SMOOTH = METHODS["esd"], {"net": {"fourier": 0}}


def stopped(t: Tensor, x: Tensor, last: float = 0.9) -> Tensor:
    """The exact velocity, but at times after 0.9 that of 0.9."""
    return BOARD.velocity(t.clamp(max=last), x)


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


def train(
    method: str | Method,
    seed: int,
    on: Velocity | None = None,
    off: Velocity | None = None,
    steps: int = STEPS,
    start: FlowMap | None = None,
    taught: Velocity | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Train a map; its distance and the gradient's norm as it went."""
    state = training.State(*recipes.recipe("checkerboard", method, steps=steps, seed=seed, compile=False, **changes))
    if start is not None:
        state.net.load_state_dict(start.slope.state_dict())  # type: ignore[attr-defined]
    rows = []
    for k in range(1, steps + 1):
        norm = step(state, on, off)
        if k % (steps // MARKS) == 0:
            rows.append((k, metrics.map_error(state.X, BOARD, n=1024), norm))
    noise, goal = errors.exact_pairs(BOARD, 0.0, 1.0, 1024, 0)
    landed = state.X.sample(noise, 1)
    curves = [list(column) for column in zip(*rows, strict=True)]
    found: dict[str, Any] = dict(zip(("steps", "distances", "gradients"), curves, strict=True))
    found |= {"distance": rows[-1][1], "median": (landed - goal).norm(dim=1).median().item()}
    if taught is not None:
        found["to the teacher"] = errors.root_mean_square(landed - flow(taught, noise))
    return found


def flow_matching(seed: int, steps: int) -> FlowMap:
    """A teacher: a network trained on the diagonal alone."""
    run = recipes.recipe("checkerboard", "lsd", steps=steps, seed=seed, compile=False)
    state = training.State(*run)
    for _ in range(steps):
        t, x, target, _ = training.draw_batch(run.problem, run.method, run.training, state.generator).diagonal
        losses.diagonal(FlowMap(state.net), t, x, target).mean().backward()
        state.take_step()
        state.schedule.step()
    return FlowMap(state.average.module.requires_grad_(False))


def flow(b: Velocity, x: Tensor, steps: int = 256) -> Tensor:
    """Where Euler steps along a velocity end."""
    for k in range(steps):
        x = x + b(torch.full((len(x),), k / steps), x) / steps
    return x


def of_teacher(b: Velocity) -> dict[str, Any]:
    """The distance of a teacher's flow to the exact map."""
    noise, goal = errors.exact_pairs(BOARD, 0.0, 1.0, 1024, 0)
    return {"distance": errors.root_mean_square(flow(b, noise) - goal)}


def runs(seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """All rows of a seed with their names, the most important ones first."""
    exact = BOARD.velocity
    yield "lsd: none", train("lsd", seed)
    yield "lsd: on", train("lsd", seed, on=exact)
    yield "lsd: off", train("lsd", seed, off=exact)
    yield "lsd: off, stopped", train("lsd", seed, off=stopped)
    yield "esd: none", train("esd", seed)
    yield "esd: on", train("esd", seed, on=exact)
    yield "esd: off", train("esd", seed, off=exact)
    yield "psd-m: none", train("psd-m", seed)
    yield "psd-m: on", train("psd-m", seed, on=exact)
    half, quarter = STEPS // 2, STEPS // 4
    teachers = {half: flow_matching(seed, half), quarter: flow_matching(seed, quarter)}
    b = teachers[half].velocity
    yield f"teacher of {half}", of_teacher(b)
    yield f"teacher of {quarter}", of_teacher(teachers[quarter].velocity)
    yield "lsd: learned", train("lsd", seed, b, b, taught=b)
    yield "esd: learned", train("esd", seed, b, b, taught=b)
    yield "psd-m: learned", train("psd-m", seed, b, taught=b)
    for steps, teacher in teachers.items():
        b = teacher.velocity
        yield f"lsd: after {steps}", train("lsd", seed, b, b, STEPS - steps)
    yield "esd: full, none", train(FULL, seed)
    yield "esd: full, off", train(FULL, seed, off=exact)
    yield "lsd: both", train("lsd", seed, exact, exact)
    for steps, teacher in teachers.items():
        b = teacher.velocity
        yield f"lsd: after {steps}, warm", train("lsd", seed, b, b, STEPS - steps, teacher)
    yield "esd: full, off, smooth", train(FULL, seed, off=exact, **SMOOTH)
    b = flow_matching(seed, 100).velocity
    yield "teacher of 100", of_teacher(b)
    yield "lsd: learned in 100", train("lsd", seed, b, b, taught=b)
    yield "lsd: plain, none", train("lsd", seed, stf_batch=0)
    yield "lsd: plain, on", train("lsd", seed, on=exact, stf_batch=0)


def main() -> None:
    """Make the rows in order, each with every seed; write after each."""
    table: dict[str, Any] = {"steps": STEPS, "rows": {}}
    for rows in zip(*map(runs, SEEDS), strict=True):
        table["rows"][rows[0][0]] = [row for _, row in rows]
        FILE.write_text(json.dumps(table, indent=1) + "\n")
        print(rows[0][0], [row["distance"] for _, row in rows], flush=True)


if __name__ == "__main__":
    main()
