"""What assignment 5 gives to a student: the method's name, a map, and a batch of jumps."""

import torch
from torch import Tensor

from flowmap_edu.course.exercises.cases import curved
from flowmap_edu.flow_map import FlowMap

__all__ = ["NAMES", "jumps", "own"]

NAMES = ("mean flow", "consistency training", "shortcut model")


def jumps(name: str, n: int, seed: int) -> tuple[Tensor, ...]:
    """s, u, t, x0 and x1 for n samples, as the method wants them."""
    g = torch.Generator().manual_seed(seed)
    r = torch.rand(3, n, generator=g, dtype=torch.float64)
    s = 0.1 + 0.4 * r[0]
    t = torch.ones_like(s) if name == "consistency training" else s + 0.2 + 0.3 * r[1]
    u = (s + t) / 2 if name == "shortcut model" else s + (0.2 + 0.6 * r[2]) * (t - s)
    x0, x1 = torch.randn(2, n, 2, generator=g, dtype=torch.float64)
    return s, u, t, x0, x1


def own(student: int) -> tuple[str, FlowMap, tuple[Tensor, ...]]:
    """The student's method, map and batch (s, u, t, x0, x1) of 64 jumps."""
    name = NAMES[student % 3]
    return name, curved(seed=student), jumps(name, 64, student)
