"""Which jump of a map makes its KL64: the last one, or those before it?

The exact flow map of the checkerboard takes the place of the last jump, or of all jumps but the last. What is left is
the share of the others. The last jump is also split into a jump to u = 0.97 and one Euler step from there,

    X_{s,1}(x) ~ y + (1 - u) v_{u,u}(y),      y = X_{s,u}(x).

A training with `denoised` compares the jump with this. If it scores less than the jump, the jump is fitted less well
than its target.
"""

import torch
from torch import Tensor

from flowmap_edu._method import euler_where
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import kl64
from flowmap_edu.problems import Checkerboard
from flowmap_edu.times import DENOISED
from flowmap_edu.training import runs

STEPS = (1, 2, 4, 8, 16)
ROWS = (
    "all jumps learned",
    f"the last one split at {DENOISED}, with an Euler step",
    "the last one exact",
    "all but the last one exact",
)
CHUNK = 20_000  # points that a map takes at a time
TOLERANCE = 1e-6  # of the exact map


def exact(board: Checkerboard, s: float, t: float, x: Tensor) -> Tensor:
    """The exact map from s to t, x of shape (n, 2)."""
    return torch.cat([board.flow_map(s, t, part, tolerance=TOLERANCE) for part in x.split(CHUNK)])


@torch.no_grad()
def learned(X: FlowMap, s: float, t: float, x: Tensor) -> Tensor:
    """X_{s,t}(x), x of shape (n, 2)."""
    return torch.cat([X(s, t, part) for part in x.split(CHUNK)])


def euler_step(X: FlowMap, y: Tensor) -> Tensor:
    """One Euler step of the map's own velocity, from u = DENOISED to 1."""
    return learned(euler_where(X, lambda _, t: t == 1), DENOISED, 1.0, y)


def replaced(X: FlowMap, steps: int, x0: Tensor, board: Checkerboard) -> list[float]:
    """KL64 of equal jumps, and of the same with some of them replaced, in the order of ROWS."""
    late, x = (steps - 1) / steps, x0
    for k in range(steps - 1):
        x = learned(X, k / steps, (k + 1) / steps, x)
    ends = (
        learned(X, late, 1.0, x),
        euler_step(X, learned(X, late, DENOISED, x)),
        exact(board, late, 1.0, x),
        learned(X, late, 1.0, exact(board, 0.0, late, x0)),
    )
    return [kl64(end).kl for end in ends]


def after_exact(X: FlowMap, x0: Tensor, board: Checkerboard) -> float:
    """KL64 of the Euler step after the exact map to where it begins."""
    return kl64(euler_step(X, exact(board, 0.0, DENOISED, x0))).kl


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
    draws = kl64(board.sample(points, torch.Generator().manual_seed(1))[0]).kl
    step = after_exact(X, x0, board)
    note = f"The Euler step after the exact map to {DENOISED} scores {step:.4f}, exact draws {draws:.4f}."
    return [*lines, "", f"{note} One map, one set of noise."]
