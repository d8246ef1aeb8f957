"""The training loop: a generator that yields its state, so that plots, logs and files stay outside.

    for state in fit(problem, net, METHODS["lsd"], Training(steps=20_000)):
        print(state.step, state.loss)
    X = state.X

The same four arguments and the same initial weights give the same numbers.
"""

import dataclasses
import functools
import math
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu import losses, methods, times
from flowmap_edu._precision import float32_products
from flowmap_edu._threads import cpu_threads, large, threads_for
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import Method
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import distributed
from flowmap_edu.training.compiling import compiled
from flowmap_edu.training.network import condition, has_dropout, tried
from flowmap_edu.training.state import State
from flowmap_edu.training.training import Training

CLOCK_FROM = 20  # steps before the clock that a budget in minutes is planned by: the first ones compile


class DivergedError(RuntimeError):
    """The loss or its gradient stopped being finite."""


class MemoryShortError(RuntimeError):
    """A step did not fit into the memory of the device."""


def loss_of_batch(state: State, batch: losses.Batch, ramp: Tensor) -> Tensor:
    """The training loss: methods.loss of the diagonal part and of the jumps; the jumps are without dropout.

    With a learned weight w_{s,t} each sample's loss l becomes exp(-w) l + w, which is least at w = log l.
    """
    values = []
    for part in batch.alone():
        label, dropout = next(((off.label, False) for off in part.off if len(off.s)), (part.diagonal.label, None))
        maps = []
        for net in (state.net, state.average.module, state.teacher and state.teacher.slope):
            maps.append(None if net is None else FlowMap(net).conditioned(**condition(net, label, dropout)))
        X, average, teacher = maps
        value = methods.loss(X, part, state.method, teacher=teacher, average=average, ramp=ramp)
        if state.log_weight is not None:
            w = state.log_weight(*part.pairs)
            value = (-w).exp() * value + w
        values.append(value)
    return torch.cat(values).mean()


class Loss(nn.Module):
    """The training loss of a state as a module: its parameters are what is trained, derivatives are taken inside."""

    def __init__(self, state: State):
        super().__init__()
        self.net, self.log_weight = state.net, state.log_weight
        device, half = state.device.type, state.training.precision == "bf16"

        def step(batch: losses.Batch, ramp: Tensor) -> Tensor:
            with torch.autocast(device, torch.bfloat16, enabled=half):
                return loss_of_batch(state, batch, ramp)

        self.step = compiled(step) if state.training.pays_to_compile else step

    def forward(self, batch: losses.Batch, ramp: Tensor) -> Tensor:
        """The mean loss over the batch."""
        return self.step(batch, ramp)


def cut(shares: Mapping[int, losses.Batch], state: State) -> Iterator[tuple[int, losses.Batch]]:
    """What goes through the network at a time: each share in `accumulate` pieces, of large ones each part alone."""
    apart = large(state.training.rows, state.net)  # a small step takes all together: fewer calls
    for number, batch in shares.items():
        for k in range(state.training.accumulate):
            part = batch.share(k, state.training.accumulate)
            for piece in part.alone() if apart else [part]:
                yield number, piece


def gradient(
    state: State, loss: nn.Module, shares: Mapping[int, losses.Batch], ramp: Tensor, seed: int | None = None
) -> float:
    """Add the gradient of the mean loss over a batch to the network's; return that loss.

    Args:
        state, loss: of the run.
        shares: those of the batch that this process takes, by their numbers. They go through the network one after the
            other, each in `accumulate` parts. Of a large part first the diagonal goes, then the jumps, then the ends
            (`cut`), so that only one of them is kept for the backward pass.
        ramp: how far the method's tangent warm-up has come.
        seed: of this step's dropout; a share's masks are drawn from it plus the share's number. None: no dropout.

    Raises:
        MemoryShortError: if a part does not fit; it names what needs less.
    """
    training, pieces = state.training, list(cut(shares, state))
    samples = sum(piece.size for _, piece in pieces)
    layout = torch.channels_last if training.channels_last else torch.contiguous_format
    total, begun = torch.zeros((), device=state.device), None
    try:
        for at, (number, piece) in enumerate(pieces, start=1):
            if seed is not None and number != begun:
                torch.manual_seed(seed + number)
            begun, sync = number, distributed.no_sync(loss, last=at == len(pieces))
            with float32_products(state.device, training.tf32), sync:
                value = loss(piece.to(state.device, layout), ramp) * (piece.size / samples)
                value.backward()
            total += value.detach()
    except RuntimeError as error:  # torch.OutOfMemoryError on a GPU, a plain one on the CPU
        if "memory" not in str(error):
            raise
        raise MemoryShortError(
            f"{training.rows} samples at a time do not fit into the memory of {state.device}. A larger accumulate (now "
            f"{training.accumulate}) takes fewer at a time for the same steps. torch says: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return distributed.mean(total).item()


def clipped(parameters: list[nn.Parameter], most: float) -> float:
    """Shorten the gradient to the norm `most` if it is longer; return the norm that it had."""
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    if norm > most:
        nn.utils.clip_grads_with_norm_(parameters, most, norm)
    return norm.item()


def fit(
    problem: Problem,
    net: nn.Module,
    method: Method,
    training: Training,
    *,
    teacher: FlowMap | None = None,
    resume: dict[str, Any] | None = None,
    every: int = 200,
    device: str = "cpu",
) -> Iterator[State]:
    """Train `net` into a flow map by a method; yield the state every `every` steps and at the end.

    The state is one object, changed as training goes on: `state.checkpoint()` takes a copy. Points are trained on one
    CPU thread, unless OMP_NUM_THREADS or torch.set_num_threads names a number, or a step is large (`_threads.LARGE`).

    Args:
        problem: the data and the base.
        net: any module v(s, t, x, **condition); it is trained in place, from the weights that it has.
        method: from `METHODS`, or composed.
        training: budget, batch, optimiser.
        teacher: for a method or a coupling that reads one; a network of the same shape is also where training starts.
        resume: a `state.checkpoint()` of the same run, to go on from it to the same
            numbers as an unbroken run (bitwise on one CPU).
        every: steps between yields.
        device: "cpu", "cuda" or "cuda:<number>".

    Raises:
        DivergedError: at the first loss or gradient that is not finite; the weights are still those
            before that step.
        MemoryShortError: if a step does not fit into the device's memory.
        ValueError: if the four do not fit together, a setting would be ignored, the method's teacher is missing,
            `resume` is of another run, there is no such device, or the processes cannot take the shares in turns.
    """
    states = taken(problem, net, method, training, teacher, resume, every, device)
    own = threads_for(problem.shape, training.rows, net)
    while True:
        with cpu_threads(own):
            state = next(states, None)
        if state is None:
            return
        yield state


def taken(
    problem: Problem,
    net: nn.Module,
    method: Method,
    training: Training,
    teacher: FlowMap | None,
    resume: dict[str, Any] | None,
    every: int,
    device: str,
) -> Iterator[State]:
    """The steps of `fit`."""
    checks.count("every", every)
    training.check_parts(method, distributed.world())
    state = State(problem, net, method, training, teacher, distributed.device_of(device))
    tried(state.net, problem)
    if resume is not None:
        state.restore(resume)
    loss = distributed.data_parallel(Loss(state))
    parameters, drops = state.parameters(), has_dropout(state.net)
    cuda = [state.device] if state.device.type == "cuda" else []
    started, before = time.process_time(), state.cpu_seconds
    clock, recent = (0.0, 0), []
    while state.steps is None or state.step < state.steps:
        state.renew_teacher()
        levels = state.stage(state.step) + 1 if method.stages > 1 else times.LEVELS
        done = state.step / (state.steps or math.inf)
        ramp = torch.tensor(
            min(1.0, done / method.tangent_warmup) if method.tangent_warmup else 1.0, device=state.device
        )
        shares = state.batches.next(levels)
        with torch.random.fork_rng(devices=cuda, enabled=drops):  # dropout draws from torch's global generator
            seed = int(torch.randint(2**62, (), generator=state.generator)) if drops else None
            value = gradient(state, loss, shares, ramp, seed)
        norm = clipped(parameters, training.clip)
        recent.append((value, norm))
        if not math.isfinite(value + norm):
            raise DivergedError(
                f"{method.title} stopped being finite at step {state.step + 1}: loss {value:.4g}, gradient norm "
                f"{norm:.4g}. A lower lr, a lower clip or another stopgrad may help; lr={training.lr}, "
                f"clip={training.clip}, stopgrad={method.stopgrad!r}."
            )
        state.take_step()
        state.cpu_seconds = before + time.process_time() - started
        if state.step == CLOCK_FROM:
            clock = (state.cpu_seconds, state.step)
        if state.steps is None and state.step == max(training.warmup, 2 * CLOCK_FROM):
            state.steps = distributed.once(functools.partial(last_step, state, clock))
        state.schedule.step()
        if state.step % every == 0 or state.step == state.steps:
            state.loss, state.grad_norm = (sum(column) / len(recent) for column in zip(*recent, strict=True))
            largest = max(norm for _, norm in recent)
            state.history.append((state.step, state.loss, state.grad_norm, largest, state.cpu_seconds))
            recent.clear()
            yield state


def last_step(state: State, clock: tuple[float, int]) -> int:
    """The last step of a budget in minutes, from the time of the steps since the clock (CPU seconds, step)."""
    a_step = (state.cpu_seconds - clock[0]) / (state.step - clock[1])
    return state.step + max(1, int((60 * (state.training.minutes or 0) - state.cpu_seconds) / a_step))


def budget(steps: int) -> int:
    """The steps of a lesson's training: all of them, or a fiftieth (at least 20) where FLOWMAP_EDU_QUICK=1 is set.

    The one knob by which the notebooks are run whole, but briefly, in the tests.
    """
    return max(20, steps // 50) if os.environ.get("FLOWMAP_EDU_QUICK") == "1" else steps


def planned(training: Training, steps: int) -> Training:
    """The same training with its budget in steps, as planned from minutes: the one to repeat a run by."""
    return dataclasses.replace(training, steps=steps, minutes=None)
