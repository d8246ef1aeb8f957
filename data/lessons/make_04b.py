"""Make 04b.json: how high the waves of the error are during a training by ESD, for each stop-gradient and three seeds.

    OMP_NUM_THREADS=1 python data/lessons/make_04b.py           (6 CPU minutes)

The trainings are those of `flowmap_edu.bench.stopgradients`, with Fourier features. A row has a number for every 50
steps: the height of the waves with k below 20 in the error v_{0,1} - v*_{0,1}, as its `spectrum` measures them. Rows
that are in the file already are kept.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowmap_edu import FlowMap, recipes, training
from flowmap_edu.bench import stopgradients
from flowmap_edu.methods import METHODS

FILE = Path(__file__).parent / "04b.json"
STOPS, SEEDS, EVERY, BELOW = ("none", "convex", "full", "semi"), (0, 1, 2), 50, 20


def height(X: FlowMap) -> float:
    """The root of the sum of the squared heights of the waves with k below 20."""
    k, heights = stopgradients.spectrum(X)
    return float(f"{heights[k < BELOW].square().sum().sqrt().item():.4g}")


def main() -> None:
    """Train, measure, and write after each training."""
    table: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {"every": EVERY, "rows": {}}
    for stop in STOPS:
        done = table["rows"].setdefault(stop, [])
        for seed in SEEDS[len(done) :]:
            method, times = replace(METHODS["esd"], stopgrad=stop), stopgradients.TIMES["esd"]
            net = {"fourier": stopgradients.Case("esd", stop).fourier}
            run = recipes.recipe(
                "checkerboard", method, net=net, seed=seed, steps=stopgradients.STEPS, compile=False, **times
            )
            done.append([[state.step, height(state.X)] for state in training.fit(*run, every=EVERY)])
            FILE.write_text(json.dumps(table) + "\n")
            print(stop, seed, done[-1][0], done[-1][-1], flush=True)


if __name__ == "__main__":
    main()
