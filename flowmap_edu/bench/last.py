"""Which jump of a map makes its KL64: the last one, or those before it?

The exact flow map of the checkerboard takes the place of the last jump, or of all jumps but the last. What is left is
the share of the others. And the last jump to t = 1 is split into a jump to u = 0.97 and one Euler step from there,

    X_{s,1}(x) ~ y + (1 - u) v_{u,u}(y),      y = X_{s,u}(x),

which is what a training with `denoised` compares it with: a lower KL64 is that of the target.
"""

import torch
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import kl64
from flowmap_edu.problems import Checkerboard
from flowmap_edu.times import DENOISED
from flowmap_edu.training import runs

STEPS = (1, 2, 4, 8, 16)
ROWS = (
    "all jumps learned",
    f"the last one split at {DENOISED}, with an Euler step",
    f"exact up to {DENOISED}, then the Euler step",
    "the last one exact",
    "all but the last one exact",
)
CHUNK = 20_000  # points that the exact map takes at a time
TOLERANCE = 1e-6  # of the exact map


def replaced(X: FlowMap, steps: int, x0: Tensor, board: Checkerboard) -> list[float]:
    """KL64 of equal jumps, and of the same with some of them replaced, in the order of ROWS."""

    def exact(s: float, t: float, x: Tensor) -> Tensor:
        return torch.cat([board.flow_map(s, t, part, tolerance=TOLERANCE) for part in x.split(CHUNK)])

    @torch.no_grad()
    def learned(s: float, t: float, x: Tensor) -> Tensor:
        return torch.cat([X(s, t, part) for part in x.split(CHUNK)])

    @torch.no_grad()
    def stepped(y: Tensor) -> Tensor:
        return torch.cat([part + (1 - DENOISED) * X.velocity(DENOISED, part) for part in y.split(CHUNK)])

    late, x = (steps - 1) / steps, x0
    for k in range(steps - 1):
        x = learned(k / steps, (k + 1) / steps, x)
    ends = (
        learned(late, 1.0, x),
        stepped(learned(late, DENOISED, x)),
        stepped(exact(0.0, DENOISED, x0)),
        exact(late, 1.0, x),
        learned(late, 1.0, exact(0.0, late, x0)),
    )
    return [kl64(end).kl for end in ends]


def table(name: str = "checkerboard-lsd", points: int = 400_000) -> list[str]:
    """The rows of a shipped map, a column a number of steps."""
    X, board = runs.load(name), Checkerboard()
    x0 = board.base(points, torch.Generator().manual_seed(0))
    lines = [
        f"| KL64 of `{name}`, {points:,} points | 1 step | {' | '.join(f'{n} steps' for n in STEPS[1:])} |",
        "| --- |" + " --- |" * len(STEPS),
    ]
    found = zip(*(replaced(X, n, x0, board) for n in STEPS), strict=True)
    for name, row in zip(ROWS, found, strict=True):
        lines.append(f"| {name} | {' | '.join(f'{kl:.4f}' for kl in row)} |")
    exact = kl64(board.sample(points, torch.Generator().manual_seed(1))[0]).kl
    return [*lines, "", f"Exact draws score {exact:.4f}. One map, one set of noise."]
