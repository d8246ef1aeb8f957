"""Trajectories of a frozen teacher from noise to data, made once for a run, before its first step.

They serve methods whose points lie on them, and their ends are the pairs of the coupling "reflow".
"""

from collections.abc import Callable

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.problem import Problem
from flowmap_edu.times import GRID

COUNT = 2**15  # trajectories, fewer where samples are large:
ENTRIES = 2**27  # numbers that all of their points hold at most
CHUNK = 4096  # trajectories that are solved at a time


@torch.no_grad()
def solved(b: Callable[[Tensor, Tensor], Tensor], x0: Tensor, steps: int = GRID) -> Tensor:
    """The points x_0, ..., x_N of dx/dt = b_t(x) at the times k / N, shape (B, N + 1, *D), at one evaluation a step.

    x_{k+1} = x_k + h (3 b_k - b_{k-1}) / 2 with h = 1 / N, the first step by Euler's method: an error of order h^2.

    Args:
        b: the velocity, a callable (t, x) with t of shape (B,).
        x0: where they start at time 0, shape (B, *D).
        steps: the number N of steps.

    Source: Bashforth & Adams 1883, the method of two steps.
    """
    path, before = [x0], None
    for k in range(checks.count("steps", steps)):
        now = b(torch.full((len(x0),), k / steps, dtype=x0.dtype, device=x0.device), path[-1])
        slope = now if before is None else (3 * now - before) / 2
        path.append(path[-1] + slope / steps)
        before = now
    return torch.stack(path, dim=1)


class Trajectories:
    """A pool of a teacher's trajectories from x0 ~ N(0, sigma^2 I), the same for the same seed.

    Args:
        problem: its base and shape.
        teacher: the map on whose diagonal the velocity is read.
        seed: of the noise.
        device: where the teacher works; the points are kept on the CPU.
        ends_only: whether the first and the last point of each are all that is kept.
    """

    def __init__(self, problem: Problem, teacher: FlowMap, seed: int, device: torch.device, *, ends_only: bool):
        kept = [0, -1] if ends_only else list(range(GRID + 1))
        entries = len(kept) * torch.Size(problem.shape).numel()
        x0 = problem.base(max(1, min(COUNT, ENTRIES // entries)), checks.generator(seed, plus=5_915_587))
        parts = [solved(teacher.velocity, part.to(device))[:, kept].cpu() for part in x0.split(CHUNK)]
        self.points = torch.cat(parts)  # (count, GRID + 1 or 2, *shape)

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """The numbers of n trajectories, drawn from all with replacement, shape (n,)."""
        return torch.randint(len(self.points), (n,), generator=generator)

    def ends(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """The noise x0 and the teacher's sample x1 of each, shape (n, *shape)."""
        return self.points[which, 0], self.points[which, -1]

    def chords(self, which: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """x_s and (x_1 - x_s) / (1 - s) for s = k / GRID below 1, shape (n, *shape)."""
        x = self.points[which, (s * GRID).round().long()]
        return x, (self.points[which, -1] - x) / (1 - s).view(-1, *[1] * (x.ndim - 1))
