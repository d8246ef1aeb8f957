"""Make 05.json: the seeds 1 and 2 of what lesson 05 compares; it trains the seed 0 itself.

    OMP_NUM_THREADS=1 python data/lessons/make_05.py           (7 CPU minutes)

A row is one training of 1,500 steps by the recipe of the lesson, or LSD without the recipe's ingredients. Each is
measured by KL64 of 50,000 points, and by the distances of 4,096 points to where the exact map carries them. Rows that
are in the file already are kept.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import FlowMap, metrics, problems, recipes, training
from flowmap_edu.metrics import errors

FILE = Path(__file__).parent / "05.json"
BOARD = problems.Checkerboard()
STEPS, SEEDS, JUMPS = 1500, (1, 2), (1, 2, 4, 8, 16)
STARTS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95)
PLAIN = {"stf_batch": 0, "stratified": False, "at_zero": 0.0, "optimizer": "adam", "lr": 2e-3, "net": {"fourier": 0}}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "LSD": ("lsd", {}),
    "LSD, plain": ("lsd", PLAIN),
    "ESD": ("esd", {}),
    "PSD-M": ("psd-m", {}),
    "PSD-U": ("psd-u", {}),
}


def distances(landed: Tensor, goal: Tensor) -> dict[str, float]:
    """The root mean square distance, the median, and the share of the squares that the worst twentieth makes."""
    square = (landed - goal).square().sum(1).sort().values
    worst = square[-(len(square) // 20) :].sum() / square.sum()
    return {"rms": square.mean().sqrt().item(), "median": square.median().sqrt().item(), "worst": worst.item()}


def scores(landed: Tensor, points: Tensor, goal: Tensor) -> dict[str, float]:
    """The distances, and KL64 and leak of other points."""
    found = metrics.kl64(points)
    return distances(landed, goal) | {"kl64": found.kl, "leak": found.leak}


@torch.no_grad()
def measured(X: FlowMap, noise: Tensor, start: Tensor, goal: Tensor) -> dict[str, Any]:
    """The scores by the number of jumps, and the median distance of the last jump by its start."""
    by_jumps = {n: scores(X.sample(start, n), X.sample(noise, n), goal) for n in JUMPS}
    late = []
    for s in STARTS:
        x_s, end = errors.exact_pairs(BOARD, s, 1.0, 2048, 0)
        late.append(distances(X(s, 1.0, x_s), end)["median"])
    return {"jumps": by_jumps, "late": late}


def diagonal_error(X: FlowMap) -> float:
    """E |v_{t,t}(I_t) - b_t(I_t)|^2 over 20,000 draws, t uniform."""
    g = torch.Generator().manual_seed(4)
    t, x1 = torch.rand(20_000, generator=g), BOARD.sample(20_000, generator=g)[0]
    x_t = (1 - t)[:, None] * BOARD.sigma * torch.randn(20_000, 2, generator=g) + t[:, None] * x1
    with torch.no_grad():
        return (X.velocity(t, x_t) - BOARD.velocity(t, x_t)).square().sum(1).mean().item()


def main() -> None:
    """Train, measure, and write after each training."""
    noise = BOARD.sigma * torch.randn(50_000, 2, generator=torch.Generator().manual_seed(1))
    start, goal = errors.exact_pairs(BOARD, 0.0, 1.0, 4096, 0)
    table: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"steps": STEPS, "rows": {}}
    for name, (method, changes) in ROWS.items():
        done = table["rows"].setdefault(name, [])
        for seed in SEEDS[len(done) :]:
            run = recipes.recipe("checkerboard", method, steps=STEPS, seed=seed, compile=False, **changes)
            *_, state = training.fit(*run, every=STEPS)
            found = {"seed": seed, "cpu_seconds": round(state.cpu_seconds, 1), "diagonal": diagonal_error(state.X)}
            done.append(found | measured(state.X, noise, start, goal))
            FILE.write_text(json.dumps(table, indent=1) + "\n")
            print(name, seed, found, flush=True)


if __name__ == "__main__":
    main()
