"""The training loop: a generator that yields its state, so that plots, logs and files stay outside.

    for state in fit(Config(method="lsd", steps=20_000)):
        print(state.step, state.loss)
    X = state.X

`method` names any row of `methods.METHODS`; one that reads a teacher gets it as `fit(config, teacher=X)`.
`Config` says everything about a run; the same configuration and seed give the same numbers.
"""

import dataclasses
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu import losses, methods
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets import unet
from flowmap_edu.training import distributed
from flowmap_edu.training.batches import base_of, draw_batch, draw_data, pictures_of
from flowmap_edu.training.config import Config
from flowmap_edu.training.state import State, build, moving_average

__all__ = [
    "Config", "DivergedError", "Loss", "MemoryShortError", "State", "as_map", "base_of", "budget", "build",
    "compiled", "draw_batch", "draw_data", "fit", "learning_rate", "loss_of_batch", "moving_average", "pictures_of",
    "planned",
]  # fmt: skip
CLOCK_FROM = 20  # steps before the clock that a budget in minutes is planned by: the first ones compile


class DivergedError(RuntimeError):
    """The loss or its gradient stopped being finite."""


class MemoryShortError(RuntimeError):
    """A step did not fit into the memory of the device."""


def as_map(net: nn.Module, labels: Tensor | None = None, dropout: bool | None = None) -> FlowMap:
    """The flow map of a network, a U-Net with its labels given (dropout=False: without its dropout)."""
    if isinstance(net, unet.UNet):
        return FlowMap(lambda s, t, x: net(s, t, x, labels, dropout=dropout))
    return FlowMap(net)


def loss_of_batch(state: State, batch: losses.Batch, ramp: Tensor) -> Tensor:
    """The training loss: methods.loss of the diagonal and of the off-diagonal part, which differ in dropout alone.

    With a learned weight w_{s,t} each sample's loss l becomes exp(-w) l + w, which is least at w = log l.
    """
    values, off = [], state.config.row.condition != "diagonal"
    for part, dropout in zip(batch.parts(), (None, False), strict=True):
        if not len(part.t) + off * len(part.s):
            continue
        X, average = (as_map(net, part.labels, dropout) for net in (state.net, state.average.module))
        teacher = state.teacher
        if teacher and isinstance(teacher.slope, unet.UNet):
            teacher = as_map(teacher.slope, part.labels, dropout=False)
        value = methods.loss(X, part, state.config.row, teacher=teacher, average=average, ramp=ramp)
        if state.config.weighting:
            w = cast(unet.UNet, state.net).log_weight(torch.cat([part.t, part.s]), torch.cat([part.t, part.r]))
            value = (-w).exp() * value + w
        values.append(value)
    return torch.cat(values).mean()


class Loss(nn.Module):
    """The training loss of a state as a module: its parameters are the network's, its derivatives are taken inside."""

    def __init__(self, state: State):
        super().__init__()
        self.net = state.net
        bf16 = {"device_type": state.device.type, "dtype": torch.bfloat16, "enabled": state.config.precision == "bf16"}

        def step(batch: losses.Batch, ramp: Tensor) -> Tensor:
            with torch.autocast(**bf16):
                return loss_of_batch(state, batch, ramp)

        self.step = compiled(step) if state.config.pays_to_compile else step

    def forward(self, batch: losses.Batch, ramp: Tensor) -> Tensor:
        """The mean loss over the batch."""
        return self.step(batch, ramp)


def gradient(state: State, loss: nn.Module, batch: losses.Batch, ramp: Tensor) -> float:
    """Add the gradient of the mean loss over the batch to the network's; return that loss.

    The batch is cut into as many parts as there are processes times `accumulate`; this process takes its own
    parts one after the other.

    Raises:
        MemoryShortError: if a part does not fit; it names what needs less.
    """
    config, rank, world = state.config, distributed.rank(), distributed.world()
    parts, layout = config.shared_by(world), torch.channels_last if config.channels_last else torch.contiguous_format
    total = torch.zeros((), device=state.device)
    for k in range(config.accumulate):
        part = batch if parts == 1 else batch.share(rank + world * k, parts)
        try:
            with distributed.own_sum(loss, last=k == config.accumulate - 1):
                value = loss(part.to(state.device, layout), ramp) / config.accumulate
                value.backward()
        except RuntimeError as error:  # torch.OutOfMemoryError on a GPU, a plain one on the CPU
            if "memory" not in str(error):
                raise
            raise MemoryShortError(
                f"{config.batch // parts} pictures at a time do not fit into the memory of {state.device}. A larger "
                f"accumulate (now {config.accumulate}) takes fewer at a time for the same steps; so do more "
                f"processes (now {world}), and precision='bf16' (now {config.precision!r}) halves what most layers "
                f"keep. torch says: {str(error).splitlines()[0]}"
            ) from error
        total += value.detach()
    return distributed.mean(total).item()


def learning_rate(config: Config, step: int, steps: int | None) -> float:
    """Linear warm-up, then constant, a half cosine that reaches zero after the last step, or an inverse square root."""
    rise = min(1.0, (step + 1) / config.warmup)
    if config.decay == "sqrt":
        return config.lr * rise * min(1.0, (config.decay_from / (step + 1)) ** 0.5)
    if config.decay == "none" or steps is None or step < config.warmup:
        return config.lr * rise
    done = (step - config.warmup) / max(1, steps - config.warmup)
    return config.lr * (1 + math.cos(math.pi * done)) / 2


def compiled(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f through torch.compile; f itself, with a warning, where this machine cannot compile."""
    fast, chosen = torch.compile(f, fullgraph=True), []

    def call(*args: Any) -> Tensor:
        if chosen:
            return chosen[0](*args)
        try:
            value = fast(*args)
            chosen.append(fast)
        except Exception as error:  # whatever the tool chain raises; an error of f's own comes again below
            value = f(*args)
            chosen.append(f)
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            warnings.warn(
                f"torch.compile does not work here, training goes on without it, slower: {reason}", stacklevel=2
            )
        return value

    return call


def fit(
    config: Config,
    *,
    teacher: FlowMap | None = None,
    resume: dict[str, Any] | None = None,
    every: int = 200,
    device: str = "cpu",
) -> Iterator[State]:
    """Train the map that `config` describes; yield the state every `every` steps and at the end.

    The state is one object, changed as training goes on: `state.checkpoint()` takes a copy.

    Args:
        config: the run.
        teacher: for a method that reads one; a network of the run's own size is also where training starts.
        resume: a `state.checkpoint()` of the same configuration, to go on from it to the same
            numbers as an unbroken run (bitwise on one CPU).
        every: steps between yields.
        device: "cpu", "cuda" or "cuda:<number>".

    Raises:
        DivergedError: at the first loss or gradient that is not finite; the weights are still those
            before that step.
        MemoryShortError: if a step does not fit into the device's memory.
        ValueError: if `resume` is of another configuration, the method's teacher is missing, there is no such
            device, or the batch cannot be shared among the processes.
    """
    checks.count("every", every)
    config.shared_by(distributed.world())
    row = config.row
    state = State(config, teacher, distributed.device_of(device))
    if resume is not None:
        state.restore(resume)
    loss = distributed.shared(Loss(state))
    parameters = list(state.net.parameters())
    drops = isinstance(state.net, unet.UNet) and state.net.dropout > 0
    cuda = [state.device] if state.device.type == "cuda" else []
    started, before = time.process_time(), state.cpu_seconds
    clock, recent = (0.0, 0), []
    while state.steps is None or state.step < state.steps:
        state.renew_teacher()
        stage, length = state.stage(state.step), (state.steps or 0) / max(1, row.stages)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(config, state.step - round(stage * length), round(length) or None)
        levels = stage + 1 if row.stages > 1 else methods.LEVELS
        done = state.step / (state.steps or math.inf)
        ramp = torch.tensor(min(1.0, done / row.warmup) if row.warmup else 1.0, device=state.device)
        batch = draw_batch(config, state.generator, levels)
        with torch.random.fork_rng(devices=cuda, enabled=drops):
            if drops:  # dropout draws from torch's global generator, which gets a seed of the run's own
                seed = int(torch.randint(2**62, (), generator=state.generator))
                torch.manual_seed(seed + distributed.rank())
            value = gradient(state, loss, batch, ramp)
        norm = nn.utils.clip_grad_norm_(parameters, config.clip).item()
        recent.append((value, norm))
        if not math.isfinite(value + norm):
            raise DivergedError(
                f"{config.method} stopped being finite at step {state.step + 1}: loss {value:.4g}, "
                f"gradient norm {norm:.4g}. A lower lr, a lower clip or another stopgrad may help; "
                f"lr={config.lr}, clip={config.clip}, stopgrad={row.stopgrad!r}."
            )
        state.take_step()
        state.cpu_seconds = before + time.process_time() - started
        if state.step == CLOCK_FROM:
            clock = (state.cpu_seconds, state.step)
        if state.steps is None and state.step == max(config.warmup, 2 * CLOCK_FROM):
            a_step = (state.cpu_seconds - clock[0]) / (state.step - clock[1])
            state.steps = state.step + max(1, int((60 * (config.minutes or 0) - state.cpu_seconds) / a_step))
        if state.step % every == 0 or state.step == state.steps:
            state.loss, state.grad_norm = (sum(column) / len(recent) for column in zip(*recent, strict=True))
            largest = max(norm for _, norm in recent)
            state.history.append((state.step, state.loss, state.grad_norm, largest, state.cpu_seconds))
            recent.clear()
            yield state


def budget(steps: int) -> int:
    """The steps of a lesson's training: all of them, or a fiftieth (at least 20) where FLOWMAP_EDU_QUICK=1 is set.

    The one knob by which the notebooks are run whole, but briefly, in the tests.
    """
    return max(20, steps // 50) if os.environ.get("FLOWMAP_EDU_QUICK") == "1" else steps


def planned(config: Config, steps: int) -> Config:
    """The same run with its budget in steps, as planned from minutes: the one to repeat it by."""
    return dataclasses.replace(config, steps=steps, minutes=None)
