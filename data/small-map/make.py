"""Make small.safetensors and small.json: the shipped LSD map of the checkerboard in 10,000 parameters or fewer.

    OMP_NUM_THREADS=1 python data/small-map/make.py            train (3 CPU minutes) and measure (6 more)

The small network is `nets.MLP`, the large one the shipped `checkerboard-lsd`. It is regressed on the
large map's average slope,

    E |v_small(s, t, x) - v_large(s, t, x)|^2,   x = I_s,

with half of the times at (0, 1), where a slope and a jump are the same thing, an eighth at (0, t), and
the rest uniform on the triangle s < t. All pairs are drawn, and answered by the large map, once.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import flowmap_edu
from flowmap_edu import losses, problems
from flowmap_edu.metrics import kl64
from flowmap_edu.nets import MLP
from flowmap_edu.training.training import OPTIMIZERS

HERE = Path(__file__).parent
TEACHER = "checkerboard-lsd"
BOARD = problems.Checkerboard()
NET = {"dim": 2, "hidden": 52, "layers": 3, "fourier": 64, "bandwidth": 2.0, "time_frequencies": 2}
SEED, POOL, BATCH, STEPS, LR, EMA = 0, 2**21, 256, 100_000, 3e-3, 0.999
AT_ZERO_ONE, AT_ZERO = 1 / 2, 1 / 8  # shares of the pairs with (s, t) = (0, 1), and with s = 0
POINTS = 1_000_000


def pairs(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Times s <= t, shape (n,) each, and points of the interpolant at s, shape (n, 2)."""
    s, t = torch.rand(2, n, generator=generator).sort(dim=0).values
    kind = torch.rand(n, generator=generator)
    s = torch.where(kind < AT_ZERO_ONE + AT_ZERO, 0.0, s)
    t = torch.where(kind < AT_ZERO_ONE, 1.0, t)
    x0 = BOARD.sigma * torch.randn(n, 2, generator=generator)
    return s, t, flowmap_edu.Linear()(s, x0, BOARD.sample(n, generator=generator)[0])[0]


def distil(steps: int, report: int = 5000) -> MLP:
    """The small network after `steps` steps, its weights averaged."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    large = flowmap_edu.load(TEACHER)
    s, t, x = pairs(POOL, generator)
    with torch.no_grad():
        goal = torch.cat([large.v(*part) for part in zip(*(a.split(8192) for a in (s, t, x)), strict=True)])
    small = MLP(**NET, scale=BOARD.sigma)
    average = copy.deepcopy(small).requires_grad_(False)
    optimizer = OPTIMIZERS["soap"](small.parameters(), LR)
    recent = 0.0
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = LR * min(1, (step + 1) / 100) * (1 + math.cos(math.pi * step / steps)) / 2
        at = step * BATCH % POOL
        part = slice(at, at + BATCH)
        loss = losses.sum_square(small(s[part], t[part], x[part]) - goal[part]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for kept, new in zip(average.parameters(), small.parameters(), strict=True):
            kept.lerp_(new.detach(), 1 - EMA)
        recent += (loss.item() - recent) / min(step + 1, 1000)
        if (step + 1) % report == 0:
            print(f"step {step + 1}  loss {recent:.5f}  {time.process_time():.0f} CPU-s", flush=True)
    return average.eval()


def measured(small: MLP, steps: list[int]) -> dict:
    """KL64 of both maps with 1,000,000 points, and the distance between their jumps from 0 to 1.

    The noise is that of `flowmap-edu evaluate`, so the large map's numbers are those of its own evaluation.json.
    """
    x0 = BOARD.sigma * torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(SEED))
    large, one = flowmap_edu.load(TEACHER), flowmap_edu.FlowMap(small).sample(x0, 1)
    found, scores, leaks = kl64(one), [], []
    for n in steps:
        landed = large.sample(x0, n)
        if n == 1:
            distance = losses.sum_square(one - landed).mean().sqrt().item()
        score = kl64(landed)
        scores.append(score.kl)
        leaks.append(score.leak)
        print(f"{n} steps  KL64 {score.kl:.4f}  {time.process_time():.0f} CPU-s", flush=True)
    return {
        "points": POINTS,
        "floor": found.floor,
        "small": {"kl64": found.kl, "leak": found.leak},
        "large": {"steps": steps, "kl64": scores, "leak": leaks},
        "distance": distance,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure the network that is there, train none")
    torch.set_num_threads(1)
    weights, about = HERE / "small.safetensors", HERE / "small.json"
    net = NET | {"scale": BOARD.sigma}
    small = MLP(**net)
    if parser.parse_args().measure:
        facts = json.loads(about.read_text())
        small.load_state_dict(load_file(weights))
    else:
        small = distil(STEPS)
        save_file(small.state_dict(), weights)
        facts = {
            "command": "OMP_NUM_THREADS=1 python data/small-map/make.py",
            "teacher": TEACHER,
            "net": net,
            "parameters": sum(p.numel() for p in small.parameters()),
            "seed": SEED,
            "steps": STEPS,
            "batch": BATCH,
            "pairs": POOL,
            "cpu_seconds": round(time.process_time(), 1),
            "torch": torch.__version__,
        }
        about.write_text(json.dumps(facts, indent=1) + "\n")
    facts |= measured(small.requires_grad_(False).eval(), list(range(1, 17)))
    about.write_text(json.dumps(facts, indent=1) + "\n")
