"""Make 13.json: flow maps of Lorenz's equations over three horizons, three seeds each.

    OMP_NUM_THREADS=1 python data/lessons/make_13.py           (2 CPU minutes)

A row is one training of PSD-M with the known velocity on the diagonal: the root mean square error at the horizon of 1,
2, 4 and 8 equal jumps of the same map. `apart` is the root mean square distance of two states that are drawn at random.
The equation is the same at all times, so the network is told how long a jump is and not when it starts. Half of the
jumps start at 0, and their lengths are uniform.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu import METHODS, MLP, FlowMap, Training, fit
from flowmap_edu.metrics.errors import root_mean_square
from flowmap_edu.problems import equations

FILE = Path(__file__).parent / "13.json"
STEPS, SEEDS, N, JUMPS = 3000, (0, 1, 2), 512, (1, 2, 4, 8)
LORENZ = {horizon: equations.Lorenz(horizon) for horizon in (0.25, 0.5, 1.1)}


class OfLength(nn.Module):
    """A network that is told t - s alone."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """v_{0,t-s}(x), shape (B, 3)."""
        return self.net(torch.zeros_like(s), t - s, x)


def train(problem: equations.Equation, seed: int) -> FlowMap:
    """The map of one training."""
    torch.manual_seed(seed)
    net = OfLength(MLP(problem.shape[0], hidden=64, layers=3, scale=problem.sigma, fourier=0))
    settings = Training(
        steps=STEPS, seed=seed, optimizer="soap", lr=1e-2, warmup=20, diagonal=0.5, at_zero=0.5, ema=0.98,
        weighting=True, compile=False,
    )  # fmt: skip
    *_, state = fit(problem, net, METHODS["psd-m"], settings, every=STEPS)
    return state.X


def pairs(problem: equations.Equation) -> tuple[Tensor, Tensor]:
    """States and where they are after the horizon, shape (N, 3) each."""
    x = problem.base(N, torch.Generator().manual_seed(100))
    return x, x + problem.v(0.0, 1.0, x.double(), tolerance=1e-8).float()


def main() -> None:
    """Make the rows, one seed of all horizons after the other; write after each."""
    solved = {horizon: pairs(problem) for horizon, problem in LORENZ.items()}
    states = LORENZ[0.25].states
    table: dict[str, Any] = {"steps": STEPS, "apart": 2**0.5 * root_mean_square(states - states.mean(0))}
    table["lorenz"] = {str(horizon): [] for horizon in LORENZ}
    for seed in SEEDS:
        for horizon, problem in LORENZ.items():
            X, (x, goal) = train(problem, seed), solved[horizon]
            found = {str(steps): root_mean_square(X.sample(x, steps) - goal) for steps in JUMPS}
            table["lorenz"][str(horizon)].append(found)
            FILE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
