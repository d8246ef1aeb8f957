"""Make 13.json: flow maps of known equations, three seeds each; lesson 13 trains one of them itself.

    OMP_NUM_THREADS=1 python data/lessons/make_13.py           (2 CPU minutes)

A row is one training of LSD with the known velocity in the residual. `errors` are root mean square distances of 1, 2, 4
and 16 jumps to the exact map at time 1. Of Lorenz's equations `after` holds the distance after each repeat of one jump,
up to the time 4, and `spread` the distance of two states that are drawn independently.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from flowmap_edu import METHODS, MLP, FlowMap, Training, fit
from flowmap_edu.metrics.errors import root_mean_square
from flowmap_edu.problems import equations

FILE = Path(__file__).parent / "13.json"
STEPS, SEEDS, JUMPS, N = 500, (0, 1, 2), (1, 2, 4, 16), 512
CASES: dict[str, equations.Equation] = {
    "Lorenz, T = 0.25": equations.Lorenz(0.25),
    "Lorenz, T = 0.5": equations.Lorenz(0.5),
    "Lorenz, T = 1": equations.Lorenz(1.0),
    "Lorenz, T = 2": equations.Lorenz(2.0),
    "pendulum": equations.Pendulum(),
    "Lotka-Volterra": equations.LotkaVolterra(),
    "stiff linear": equations.StiffLinear(),
}


def train(problem: equations.Equation, seed: int) -> FlowMap:
    """The map of one training."""
    torch.manual_seed(seed)
    net = MLP(problem.shape[0], hidden=64, layers=3, scale=problem.sigma, fourier=0)
    method = replace(METHODS["lsd"], velocity="teacher", stages=1)
    teacher = FlowMap(lambda s, t, x: problem.velocity(t, x))  # noqa: ARG005
    settings = Training(steps=STEPS, seed=seed, optimizer="soap", lr=3e-3, diagonal=0.5, ema=0.99, compile=False)
    *_, state = fit(problem, net, method, settings, teacher=teacher, every=STEPS)
    return state.X


@torch.no_grad()
def repeated(problem: equations.Equation, X: FlowMap, until: float = 4.0) -> list[float]:
    """The distance to the exact solution after each of the jumps that lead to the time `until`."""
    x = goal = problem.base(N, torch.Generator().manual_seed(100)).double()
    found = []
    for _ in range(round(until / problem.horizon)):
        x = X(0.0, 1.0, x.float()).double()
        goal = problem.flow(0.0, 1.0, goal)
        found.append(root_mean_square(x - goal))
    return found


def main() -> None:
    """Make the rows, one seed of all cases after the other; write after each."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in CASES}
    for seed in SEEDS:
        for name, problem in CASES.items():
            X = train(problem, seed)
            row: dict[str, Any] = {"errors": [r["map_error"] for r in problem.evaluate(X, JUMPS, n=N)]}
            if isinstance(problem, equations.Lorenz):
                row["after"] = repeated(problem, X)
            rows[name].append(row)
            spread = {name: 2**0.5 * root_mean_square(p.states - p.states.mean(0)) for name, p in CASES.items()}
            FILE.write_text(
                json.dumps({"steps": STEPS, "jumps": JUMPS, "spread": spread, "rows": rows}, indent=1) + "\n"
            )
            print(seed, name, row["errors"], flush=True)


if __name__ == "__main__":
    main()
