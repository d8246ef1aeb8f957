"""What one step of training reads: fresh data, noise and times, as a `losses.Batch`."""

from typing import Any

import torch
from torch import Tensor

from flowmap_edu import losses, times
from flowmap_edu.methods import Method
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import targets
from flowmap_edu.training.training import Training


def draw_data(
    problem: Problem, n: int, label_dropout: float = 0.0, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor | None]:
    """n draws of the data x1, shape (n, *D), and their labels, shape (n,), if there are any; -1 where hidden."""
    x1, label = problem.sample(n, generator)
    if label is not None and label_dropout:
        label = label.where(torch.rand(n, generator=generator) >= label_dropout, -1)
    return x1, label


def draw_batch(
    problem: Problem,
    method: Method,
    training: Training,
    generator: torch.Generator | None = None,
    levels: int = times.LEVELS,
) -> losses.Batch:
    """One fresh batch: interpolants and targets on the diagonal, jumps s <= u <= t from I_s off it."""
    interpolant, n = training.interpolant, training.batch
    on = training.on_diagonal(method)
    x1, label = draw_data(problem, n, training.label_dropout, generator)
    x0 = problem.base(n, generator)
    spread: dict[str, Any] = {"stratified": training.stratified, "generator": generator}
    t = times.uniform(on, **spread)
    sides: dict[str, Any] = {"at_zero": training.at_zero, "at_one": training.at_one}
    s, u, end = times.draw(method, n - on, **sides, **spread, levels=levels)
    x_t, target = interpolant(t, x0[:on], x1[:on])
    if training.stf_batch and on:
        data = torch.cat([x1[:on], draw_data(problem, training.stf_batch, generator=generator)[0]])
        target = targets.stable(interpolant, t, x_t, target, data, problem.sigma)
    x_s, dx_s = interpolant(s, x0[on:], x1[on:])
    first, second = (None, None) if label is None else (label[:on], label[on:])
    return losses.Batch(losses.Diagonal(t, x_t, target, first), losses.Jumps(s, u, end, x_s, dx_s, second))
