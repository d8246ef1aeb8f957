"""The training loop: a generator that yields its state, so that plots, logs and files stay outside.

    for state in fit(Config(method="lsd", steps=20_000)):
        print(state.step, state.loss)
    X = state.X

`method` names any row of `methods.METHODS`; one that reads a teacher gets it as `fit(config, teacher=X)`.
`Config` says everything about a run; the same configuration and seed give the same numbers.
"""

import copy
import dataclasses
import functools
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from flowmap_edu import checks, datasets, losses, methods, targets, unet
from flowmap_edu.config import OPTIMIZERS, PROBLEMS, Config
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear
from flowmap_edu.nets import MLP

CLOCK_FROM = 20  # steps before the clock that a budget in minutes is planned by: the first ones compile


class DivergedError(RuntimeError):
    """The loss or its gradient stopped being finite."""


def build(config: Config) -> nn.Module:
    """The network of a run, with the initial weights that its seed draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.pictures:
            return unet.build(config.problem)
        problem = PROBLEMS[config.problem]()
        features = {"fourier": config.fourier, "bandwidth": config.bandwidth, "harmonics": config.harmonics}
        size = {"hidden": config.hidden, "layers": config.layers, "activation": config.activation}
        return MLP(problem.dim, scale=problem.sigma, **size, **features)


def base_of(config: Config) -> float:
    """The standard deviation of the run's base."""
    return config.sigma if config.pictures else PROBLEMS[config.problem]().sigma


@functools.lru_cache(maxsize=2)
def pictures_of(problem: str, root: str | None) -> datasets.Images:
    """The training pictures of a data set, kept from one batch to the next."""
    return datasets.load(problem, root)


def draw_data(config: Config, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
    """n draws of the data x1, shape (n, *D), and their class labels, if it has any."""
    if config.pictures:
        return pictures_of(config.problem, config.root).draw(n, generator)
    return PROBLEMS[config.problem]().sample(n, generator=generator), None


def as_map(net: nn.Module, labels: Tensor | None = None, dropout: bool | None = None) -> FlowMap:
    """The flow map of a network, a U-Net with its labels given (dropout=False: without its dropout)."""
    if isinstance(net, unet.UNet):
        return FlowMap(lambda s, t, x: net(s, t, x, labels, dropout=dropout))
    return FlowMap(net)


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """The exponential moving average a <- d a + (1 - d) w, with d rising as (1 + k) / (10 + k) up to `decay`.

    The rise lets a short run forget its first weights.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], k: Tensor) -> None:
        d = min(decay, (1 + float(k)) / (10 + float(k)))
        for a, w in zip(averaged, current, strict=True):
            a.lerp_(w, 1 - d)

    return update


class State:
    """Where a run stands: what `fit` yields, and all that is needed to go on from there.

    Attributes:
        step, steps: steps done, and how many there will be (None until a budget in minutes is planned).
        loss, grad_norm: means over the steps since the last yield.
        cpu_seconds: processor time of the run so far, this process's alone.
        history: one row (step, loss, grad_norm, largest grad_norm, cpu_seconds) a yield.
        net, average: the network, and the moving average of its weights that is sampled from.
        teacher: the frozen map of a method that reads one, or None.
    """

    def __init__(self, config: Config, teacher: FlowMap | None = None):
        self.config = config
        self.net = build(config)
        self.teacher = self.own_copy(teacher)
        self.average = AveragedModel(self.net, multi_avg_fn=moving_average(config.ema)).eval()  # without dropout
        self.optimizer = OPTIMIZERS[config.optimizer](self.net.parameters(), config.lr)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.step, self.steps, self.cpu_seconds = 0, config.steps, 0.0
        self.loss, self.grad_norm = math.nan, math.nan
        self.history: list[tuple[float, ...]] = []

    def own_copy(self, teacher: FlowMap | None) -> FlowMap | None:
        """The teacher, frozen; if it is a network like ours, as a copy from whose weights the training starts."""
        row = self.config.row
        if not row.taught:
            return None
        if teacher is None:
            raise ValueError(f"{self.config.method} ({row.title}) reads a teacher, got none: pass teacher=, a FlowMap")
        if isinstance(teacher.slope, nn.Module) and shapes(teacher.slope) == shapes(self.net):
            self.net.load_state_dict(teacher.slope.state_dict())
            return FlowMap(copy.deepcopy(teacher.slope).requires_grad_(False))
        if row.stages > 1:
            raise ValueError(f"{self.config.method} renews its teacher, which must be a network of this run's size")
        return teacher

    def renew_teacher(self) -> None:
        """At a stage's start the averaged map becomes its teacher; pupil and average begin anew from there.

        An average that went on would still hold the stage before, in which the new jumps were not trained.
        """
        if self.stage(self.step) > self.stage(self.step - 1):
            self.teacher.slope.load_state_dict(self.average.module.state_dict())  # type: ignore[union-attr]
            self.net.load_state_dict(self.average.module.state_dict())
            self.average.n_averaged.zero_()

    def stage(self, step: int) -> int:
        """Which of the row's stages, equally long, a step belongs to; the first is 0."""
        stages = max(1, self.config.row.stages)
        return 0 if stages == 1 or self.steps is None else min(stages - 1, step * stages // self.steps)

    @property
    def X(self) -> FlowMap:
        """The flow map of the averaged weights."""
        return FlowMap(self.average.module)

    def checkpoint(self) -> dict[str, Any]:
        """Everything that changes during a run, as a copy: tensors, numbers, lists and dicts only."""
        held = {name: getattr(self, name) for name in ("step", "steps", "cpu_seconds", "loss", "grad_norm", "history")}
        return copy.deepcopy(
            held | {name: part.state_dict() for name, part in self.parts()} | {"generator": self.generator.get_state()}
        )

    def parts(self) -> list[tuple[str, Any]]:
        """What has a state_dict: the network, its average, the optimiser, a teacher that is renewed."""
        renewed = [("teacher", self.teacher.slope)] if self.teacher and self.config.row.stages > 1 else []
        return [("net", self.net), ("average", self.average), ("optimizer", self.optimizer), *renewed]

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go back to where `checkpoint` was taken.

        Raises:
            ValueError: if it belongs to another configuration.
        """
        try:
            for name, part in self.parts():
                part.load_state_dict(checkpoint[name])
            self.generator.set_state(checkpoint["generator"])
            for name in ("step", "steps", "cpu_seconds", "loss", "grad_norm", "history"):
                setattr(self, name, checkpoint[name])
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"this checkpoint is not one of this configuration: {error}") from error


def shapes(net: nn.Module) -> dict[str, torch.Size]:
    """The shape of each of its tensors."""
    return {name: tensor.shape for name, tensor in net.state_dict().items()}


def draw_batch(config: Config, generator: torch.Generator | None = None, levels: int = methods.LEVELS) -> losses.Batch:
    """One fresh batch: interpolants and targets on the diagonal, jumps (s, u, r) from I_s off it."""
    interpolant, sigma = Linear(), base_of(config)
    on = round(config.batch * config.diagonal)
    off = config.batch - on
    x1, labels = draw_data(config, config.batch, generator)
    x0 = sigma * torch.randn(x1.shape, generator=generator)
    t = losses.uniform(on, even=config.even, generator=generator)
    sides = {"at_zero": config.at_zero, "at_one": config.at_one}
    s, u, r = methods.draw_times(config.row, off, **sides, even=config.even, levels=levels, generator=generator)
    x_t, target = interpolant(t, x0[:on], x1[:on])
    if config.bank and on:
        data = torch.cat([x1[:on], draw_data(config, config.bank, generator)[0]])
        target = targets.averaged(interpolant, t, x_t, target, data, sigma)
    x_s, dx_s = interpolant(s, x0[on:], x1[on:])
    return losses.Batch(t, x_t, target, s, u, r, x_s, dx_s, labels)


def loss_of_batch(state: "State", batch: losses.Batch, ramp: Tensor) -> Tensor:
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
    config: Config, *, teacher: FlowMap | None = None, resume: dict[str, Any] | None = None, every: int = 200
) -> Iterator[State]:
    """Train the map that `config` describes; yield the state every `every` steps and at the end.

    The state is one object, changed as training goes on: `state.checkpoint()` takes a copy.

    Args:
        config: the run.
        teacher: for a method that reads one; a network of the run's own size is also where training starts.
        resume: a `state.checkpoint()` of the same configuration, to go on from it to the same
            numbers as an unbroken run (bitwise on one CPU).
        every: steps between yields.

    Raises:
        DivergedError: at the first loss or gradient that is not finite; the weights are still those
            before that step.
        ValueError: if `resume` is of another configuration, or the method's teacher is missing.
    """
    checks.count("every", every)
    row = config.row
    state = State(config, teacher)
    if resume is not None:
        state.restore(resume)
    parameters = list(state.net.parameters())
    drops = isinstance(state.net, unet.UNet) and state.net.dropout > 0

    def loss_of(batch: losses.Batch, ramp: Tensor) -> Tensor:
        return loss_of_batch(state, batch, ramp)

    step_loss = compiled(loss_of) if config.pays_to_compile else loss_of
    started, before = time.process_time(), state.cpu_seconds
    clock, recent = (0.0, 0), []
    while state.steps is None or state.step < state.steps:
        state.renew_teacher()
        stage, length = state.stage(state.step), (state.steps or 0) / max(1, row.stages)
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(config, state.step - round(stage * length), round(length) or None)
        levels = stage + 1 if row.stages > 1 else methods.LEVELS
        done = state.step / (state.steps or math.inf)
        ramp = torch.tensor(min(1.0, done / row.warmup) if row.warmup else 1.0)
        batch = draw_batch(config, state.generator, levels)
        with torch.random.fork_rng(devices=[], enabled=drops):
            if drops:  # dropout draws from torch's global generator, which gets a seed of the run's own
                torch.manual_seed(int(torch.randint(2**62, (), generator=state.generator)))
            loss = step_loss(batch, ramp)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, config.clip)
        recent.append((loss.item(), norm.item()))
        if not math.isfinite(sum(recent[-1])):
            raise DivergedError(
                f"{config.method} stopped being finite at step {state.step + 1}: loss {recent[-1][0]:.4g}, "
                f"gradient norm {recent[-1][1]:.4g}. A lower lr, a lower clip or another stopgrad may help; "
                f"lr={config.lr}, clip={config.clip}, stopgrad={row.stopgrad!r}."
            )
        state.optimizer.step()
        state.optimizer.zero_grad()
        if isinstance(state.net, unet.UNet):
            state.net.project()
        state.average.update_parameters(state.net)
        state.step += 1
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
