"""Make 06.json: the seeds 1 and 2 of what lesson 06 compares; it trains the seed 0 itself.

    OMP_NUM_THREADS=1 python data/lessons/make_06.py           (6 CPU minutes)

A row is one training on the checkerboard, or one teacher. `on` is who gives the target on the diagonal, and `off` who
gives the velocity in the residual: None for the averaged target and the map's own diagonal, else a teacher. Of a map
the file has the distance of one jump to the exact map, root mean square over 1,024 points, that of a pupil to where its
teacher's flow ends, and the mean norm of the gradient early and late. Of a teacher it has the distance of its flow.
Rows that are in the file already are kept.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from flowmap_edu import FlowMap, methods, metrics, problems, recipes, training
from flowmap_edu.metrics import errors

Velocity = Callable[[Tensor, Tensor], Tensor]
Row = dict[str, float]
FILE = Path(__file__).parent / "06.json"
BOARD = problems.Checkerboard()
STEPS, SEEDS, MARKS = 800, (1, 2), 20
NOISE, GOAL = errors.exact_pairs(BOARD, 0.0, 1.0, 1024, 0)


def stopped(t: Tensor, x: Tensor, last: float = 0.9) -> Tensor:
    """The exact velocity, but at times after 0.9 that of 0.9."""
    return BOARD.velocity(t.clamp(max=last), x)


def step(state: training.State, on: Velocity | None, off: Velocity | None, jumps: bool) -> float:
    """One step of training; the norm of its gradient."""
    batch, method = training.draw_batch(state.problem, state.method, state.training, state.generator), state.method
    if on is not None:
        with torch.no_grad():
            batch = batch._replace(diagonal=batch.diagonal._replace(target=on(batch.diagonal.t, batch.diagonal.x)))
    if not jumps:
        batch = batch._replace(jumps=batch.changed(lambda x: x[:0]).jumps)
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
    seed: int,
    method: str = "lsd",
    *,
    on: Velocity | None = None,
    off: Velocity | None = None,
    jumps: bool = True,
    steps: int = STEPS,
    stopgrad: str | None = None,
) -> tuple[FlowMap, Row]:
    """Train a map; the map, its distance, and the gradient's norm as lesson 06 prints it."""
    run = recipes.recipe("checkerboard", method, steps=steps, seed=seed, compile=False)
    state = training.State(*run._replace(method=replace(run.method, stopgrad=stopgrad or run.method.stopgrad)))
    norms = [step(state, on, off, jumps) for _ in range(steps)][steps // MARKS - 1 :: steps // MARKS]
    norm = {"early": sum(norms[2:5]) / 3, "late": sum(norms[-5:]) / 5}
    return state.X, {"distance": metrics.map_error(state.X, BOARD, n=1024)} | norm


def places(seed: int) -> dict[str, Row]:
    """LSD with the exact velocity in one place."""
    chosen: dict[str, dict[str, Velocity]] = {
        "none": {},
        "on": {"on": BOARD.velocity},
        "off": {"off": BOARD.velocity},
        "off, stopped": {"off": stopped},
    }
    return {f"lsd: {name}": train(seed, on=at.get("on"), off=at.get("off"))[1] for name, at in chosen.items()}


def teachers(seed: int) -> dict[str, Row]:
    """Learned teachers, and their pupils: with all steps, and with the steps that a teacher has left."""
    rows: dict[str, Row] = {}
    for name, steps in (("a quarter", STEPS // 4), ("half", STEPS // 2)):
        b = train(seed, jumps=False, steps=steps)[0].velocity
        end = flow(b, NOISE, 256)
        rows[f"teacher: {name}"] = {"distance": errors.root_mean_square(end - GOAL)}
        rows[f"equal: {name} for the teacher"] = train(seed, on=b, off=b, steps=STEPS - steps)[1]
        if name == "half":
            for method in ("lsd", "esd"):
                X, row = train(seed, method, on=b, off=b)
                with torch.no_grad():
                    rows[f"learned: {method}"] = row | {"to_flow": errors.root_mean_square(X(0.0, 1.0, NOISE) - end)}
    return rows


def eulerian(seed: int) -> dict[str, Row]:
    """ESD with two stop-gradients, with the exact teacher and without one."""
    return {
        "esd: convex, exact teacher": train(seed, "esd", off=BOARD.velocity)[1],
        "esd: full, exact teacher": train(seed, "esd", off=BOARD.velocity, stopgrad="full")[1],
        "esd: full, no teacher": train(seed, "esd", stopgrad="full")[1],
    }


@torch.no_grad()
def flow(b: Velocity, x: Tensor, steps: int) -> Tensor:
    """Where Euler steps along b carry x."""
    for k in range(steps):
        x = x + b(torch.full((len(x),), k / steps, dtype=x.dtype), x) / steps
    return x


def main() -> None:
    """Make the rows that the file has not, group by group; write after each."""
    rows: dict[str, list[Row]] = json.loads(FILE.read_text(encoding="utf-8"))["rows"] if FILE.exists() else {}
    for first, group in (("lsd: none", places), ("teacher: half", teachers), ("esd: full, no teacher", eulerian)):
        for seed in SEEDS[len(rows.get(first, ())) :]:
            for name, row in group(seed).items():
                rows.setdefault(name, []).append(row)
            FILE.write_text(json.dumps({"steps": STEPS, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
