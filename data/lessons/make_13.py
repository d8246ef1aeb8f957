"""Make 13.json: flow maps of known equations, three seeds each; lesson 13 trains one of them itself.

    OMP_NUM_THREADS=1 python data/lessons/make_13.py           (1 CPU minute)

A row is one training of LSD with the known velocity in the residual: 300 steps. Of the pendulum it is the root mean
square error of one jump over the horizon. Of Lorenz's equations it is a list, the error after each repeat of one jump,
up to the time 4. `spread` is the distance of two of their states that are drawn independently.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import METHODS, MLP, FlowMap, Training, fit
from flowmap_edu.metrics.errors import root_mean_square
from flowmap_edu.problems import equations

FILE = Path(__file__).parent / "13.json"
STEPS, SEEDS, N, UNTIL = 300, (0, 1, 2), 512, 4.0
PENDULUM = equations.Pendulum()
LORENZ = {horizon: equations.Lorenz(horizon) for horizon in (0.25, 0.5, 1.0, 2.0)}
SHORT = 0.25  # the times at which the exact states are known


def train(problem: equations.Equation, seed: int) -> FlowMap:
    """The map of one training."""
    torch.manual_seed(seed)
    net = MLP(problem.shape[0], hidden=64, layers=3, scale=problem.sigma, fourier=0)
    method = replace(METHODS["lsd"], velocity="teacher", stages=1)
    teacher = FlowMap(lambda s, t, x: problem.velocity(t, x))  # noqa: ARG005
    settings = Training(steps=STEPS, seed=seed, optimizer="soap", lr=3e-3, diagonal=0.5, ema=0.99, compile=False)
    *_, state = fit(problem, net, method, settings, teacher=teacher, every=STEPS)
    return state.X


def solved() -> list[Tensor]:
    """States of Lorenz's equations at the times 0, 0.25, ..., 4, shape (N, 3) each, float64."""
    problem = LORENZ[SHORT]
    x = [problem.base(N, torch.Generator().manual_seed(100)).double()]
    for _ in range(round(UNTIL / SHORT)):
        x.append(problem.flow(0.0, 1.0, x[-1]))
    return x


@torch.no_grad()
def repeated(X: FlowMap, horizon: float, exact: list[Tensor]) -> list[float]:
    """The root mean square error after each of the jumps that lead to the last exact states."""
    x, every = exact[0], round(horizon / SHORT)
    found = []
    for goal in exact[every::every]:
        x = X(0.0, 1.0, x.float()).double()
        found.append(root_mean_square(x - goal))
    return found


def main() -> None:
    """Make the rows, one seed of all cases after the other; write after each."""
    exact, states = solved(), LORENZ[SHORT].states
    table: dict[str, Any] = {"steps": STEPS, "spread": 2**0.5 * root_mean_square(states - states.mean(0))}
    table |= {"pendulum": [], "lorenz": {str(horizon): [] for horizon in LORENZ}}
    for seed in SEEDS:
        for horizon, problem in LORENZ.items():
            table["lorenz"][str(horizon)].append(repeated(train(problem, seed), horizon, exact))
            FILE.write_text(json.dumps(table, indent=1) + "\n")
            print(seed, horizon, table["lorenz"][str(horizon)][-1], flush=True)
        table["pendulum"].append(PENDULUM.error(train(PENDULUM, seed), n=N))
        FILE.write_text(json.dumps(table, indent=1) + "\n")
        print(seed, "pendulum", table["pendulum"], flush=True)


if __name__ == "__main__":
    main()
