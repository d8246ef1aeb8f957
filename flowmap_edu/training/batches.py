"""What one step of training reads: fresh data, noise and times, as a `losses.Batch`."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import losses, times
from flowmap_edu.interpolant import Interpolant
from flowmap_edu.methods import Method
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import coupling, distributed, targets
from flowmap_edu.training.compiling import compiled
from flowmap_edu.training.near import Near
from flowmap_edu.training.training import MOST_SHARES, Training
from flowmap_edu.training.trajectories import Trajectories

AHEAD = 16  # steps that are drawn at once where a target is averaged: one call for all is faster
PAIRS = 2**23  # of a sample and a data point, the most that an averaged target compares at once
SPREAD = 2_654_435_769  # 2^32 over the golden ratio: runs of near seeds are far apart in the seeds of their draws
POOLED = 500  # draws of AHEAD steps after which the pool of near data points is renewed


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
    trajectories: Trajectories | None = None,
) -> losses.Batch:
    """One fresh batch: interpolants and targets on the diagonal, jumps s <= u <= t from I_s off it, and their ends.

    It is drawn from one generator, whatever the shares. The target is the plain or the averaged one; near data points
    serve in `fit` alone, which keeps a pool of them.
    A run that draws from a teacher's trajectories needs them given, such as `state.batches.trajectories`.
    """
    return draw_batches(1, problem, method, training, generator, levels, trajectories=trajectories)[0]


def draw_batches(
    steps: int,
    problem: Problem,
    method: Method,
    training: Training,
    generator: torch.Generator | None = None,
    levels: int = times.LEVELS,
    stable: Callable[..., Tensor] = targets.stable,
    near: Near | None = None,
    trajectories: Trajectories | None = None,
) -> list[losses.Batch]:
    """The batches of some steps, drawn together; every tensor below has the axis of the steps first.

    Args:
        steps: how many.
        problem, method, training, generator, levels: as in `draw_batch`.
        stable: `targets.stable`, or a compiled one.
        near: the pool that gives the latest times their target, or None.
        trajectories: a teacher's, of a run that draws from them, or None.
    """
    interpolant, n, on = training.interpolant, training.batch, training.on_diagonal(method)
    ends = training.at_the_ends(method)
    which, label = torch.empty(0), None
    if coupling.reads_trajectories(method, training):
        if trajectories is None:
            raise ValueError(f"{method.title} draws from a teacher's trajectories here, got none: pass trajectories=")
        which = trajectories.draw(steps * n, generator)
        x0, x1 = trajectories.ends(which)
    else:
        x1, label = draw_data(problem, steps * n, training.label_dropout, generator)
        x0 = problem.base(steps * n, generator)
    x0, x1 = (x.unflatten(0, (steps, n)) for x in (x0, x1))
    if training.coupling == "transport":
        x0 = torch.stack([a[coupling.nearest(a, b)] for a, b in zip(x0, x1, strict=True)])
    spread: dict[str, Any] = {"stratified": training.stratified, "generator": generator}
    sides: dict[str, Any] = {"at_zero": training.at_zero, "at_one": training.at_one, "levels": levels}
    t = torch.stack([times.uniform(on, **spread) for _ in range(steps)])
    draws = [times.draw(method, n - on - ends, **sides, **spread) for _ in range(steps)]
    s, u, end = (torch.stack(column) for column in zip(*draws, strict=True))
    if ends:
        s, u, end = times.with_ends(s, u, end, torch.stack([times.denoised(ends, **spread) for _ in range(steps)]))
    x_t, target = on_the_path(problem, interpolant, t, x0[:, :on], x1[:, :on])
    x_s, dx_s = on_the_path(problem, interpolant, s, x0[:, on:], x1[:, on:])
    if method.points == "trajectory" and trajectories is not None:
        off = trajectories.chords(which.view(steps, n)[:, on:].flatten(), s.flatten())
        x_s, dx_s = (x.view_as(x_s) for x in off)
    if training.stf_batch and on:
        bank = draw_data(problem, steps * training.stf_batch, generator=generator)[0].unflatten(0, (steps, -1))
        own, target = target, stable(interpolant, t, x_t, target, torch.cat([x1[:, :on], bank], 1), problem.sigma)
        if near is not None:
            target = late(near, round(training.stf_near * on), t, x_t, own, x1[:, :on], target, generator)
    first, second = (None, None) if label is None else label.unflatten(0, (steps, n)).split([on, n - on], dim=1)
    jumps = losses.Jumps(s, u, end, x_s, dx_s, second)
    whole = losses.Batch(losses.Diagonal(t, x_t, target, first), *parted(jumps, ends))
    return [whole.changed(lambda x, k=k: x[k]) for k in range(steps)]


def parted(jumps: losses.Jumps, ends: int) -> tuple[losses.Jumps, losses.Jumps | None]:
    """The jumps of the method, and the last `ends` of each step, or None where there are none."""
    if not ends:
        return jumps, None
    first, last = zip(*((None, None) if x is None else (x[:, :-ends], x[:, -ends:]) for x in jumps), strict=True)
    return losses.Jumps(*first), losses.Jumps(*last)


def on_the_path(problem: Problem, interpolant: Interpolant, t: Tensor, x0: Tensor, x1: Tensor) -> tuple[Tensor, Tensor]:
    """I_t and dI_t, (steps, B, *D), for t of shape (steps, B)."""
    x, dx = problem.path(interpolant, t.flatten(), x0.flatten(0, 1), x1.flatten(0, 1))
    return x.view(x0.shape), dx.view(x0.shape)


def late(
    near: Near,
    count: int,
    t: Tensor,
    x: Tensor,
    own: Tensor,
    x1: Tensor,
    target: Tensor,
    generator: torch.Generator | None,
) -> Tensor:
    """`target`, but of the `count` latest times of each step by near data points."""
    index = t.topk(count, dim=1).indices  # (steps, count)
    where = index[..., None].expand(-1, -1, x.shape[2])
    t, x, own, x1 = t.gather(1, index), x.gather(1, where), own.gather(1, where), x1.gather(1, where)
    found = near.target(*(z.flatten(0, 1) for z in (t, x, own, x1)), generator=generator)
    return target.scatter(1, where, found.view_as(x))


def seed_of(seed: int, share: int, draw: int) -> int:
    """The seed of one share's draw: no two of a run are equal, also if the number of shares changes on the way.

    torch's generator reads the lower 32 bits of a seed. That is room for 2^24 draws of 256 shares.
    """
    return (SPREAD * seed + MOST_SHARES * draw + share + 1) % 2**32


class Batches:
    """The batches of a run, in order, as the shares that this process takes; where it stands can be saved and restored.

    A batch of one share is drawn from one generator, which begins at the run's seed. With several shares, each draw of
    each share has a seed of its own (`seed_of`). So a process needs to know nothing of the shares that others draw, and
    the saved place is the same in all processes. With an averaged target some steps are drawn at once, without one each
    step as `draw_batch` draws it.

    Args:
        problem, method, training: of the run.
        trajectories: makes those of its teacher, before the first draw, where it draws from them.
    """

    def __init__(
        self,
        problem: Problem,
        method: Method,
        training: Training,
        trajectories: Callable[[], Trajectories] | None = None,
    ):
        self.seed, self.shares = training.seed, training.shares
        self.own = range(distributed.rank(), training.shares, distributed.world())
        self.make_trajectories = trajectories
        fast = training.pays_to_compile
        training = training.of_a_share(method)
        self.run = problem, method, training
        self.stable = compiled(targets.stable) if fast else targets.stable
        self.near = Near(problem, training.interpolant, training.seed, fast=fast) if training.stf_near else None
        on, pairs = training.on_diagonal(method), training.on_diagonal(method) + training.stf_batch
        self.ahead = max(1, min(AHEAD, PAIRS // max(1, on * pairs))) if training.stf_batch else 1
        self.generator = torch.Generator().manual_seed(training.seed)
        self.begun, self.drawn, self.levels = self.generator.get_state(), 0, 0
        self.waiting: list[dict[int, losses.Batch]] = []

    @functools.cached_property
    def trajectories(self) -> Trajectories | None:
        """Those of the run's teacher, or None where it draws from none."""
        return self.make_trajectories() if self.make_trajectories else None

    def next(self, levels: int = times.LEVELS) -> dict[int, losses.Batch]:
        """This process's shares of the next batch, by number; what was drawn ahead for other `levels` is left out."""
        if not self.waiting or levels != self.levels:
            self.begun, self.levels = self.generator.get_state(), levels
            self.draw()
        return self.waiting.pop(0)

    def draw(self) -> None:
        """Draw ahead: one share from where the generator is, each of several from the seed of this draw."""
        if self.near is not None:
            self.near.fill(self.drawn // POOLED)
        columns = []
        for share in self.own:
            if self.shares > 1:
                self.generator.manual_seed(seed_of(self.seed, share, self.drawn))
            how = self.stable, self.near, self.trajectories
            columns.append(draw_batches(self.ahead, *self.run, self.generator, self.levels, *how))
        self.drawn += 1
        self.waiting = [dict(zip(self.own, step, strict=True)) for step in zip(*columns, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """The generator's state before the last draw, how many draws there were, and how many steps wait."""
        counts = {"drawn": self.drawn, "levels": self.levels, "waiting": len(self.waiting), "shares": self.shares}
        return {"begun": self.begun} | counts

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken, by drawing the last batches again.

        If the number of shares is another one now, what waited is left out, and the draws go on from new seeds.
        """
        self.begun, self.drawn, self.levels = state["begun"], state["drawn"], state["levels"]
        if state.get("shares", 1) != self.shares:
            self.generator.manual_seed(seed_of(self.seed, 0, self.drawn))
            self.begun, self.waiting = self.generator.get_state(), []
            return
        self.generator.set_state(self.begun)
        if self.drawn:
            self.drawn -= 1
            self.draw()
        self.waiting = self.waiting[len(self.waiting) - state["waiting"] :]
