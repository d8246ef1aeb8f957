"""The training loop: a generator that yields its state, so that plots, logs and files stay outside.

    for state in fit(Config(method="lsd", steps=20_000)):
        print(state.step, state.loss)
    X = state.X

`Config` says everything about a run; the same configuration and seed give the same numbers.
"""

import copy
import dataclasses
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_optimizer import SOAP
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from flowmap_edu import checks, exact, losses, targets
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear
from flowmap_edu.nets import ACTIVATIONS, MLP

PROBLEMS = {"checkerboard": exact.Checkerboard, "gaussian": exact.Gaussian}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda p, lr: torch.optim.Adam(p, lr, betas=(0.9, 0.99)),
    "radam": lambda p, lr: torch.optim.RAdam(p, lr),
    "soap": lambda p, lr: SOAP(p, lr, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=10),
}
CLOCK_FROM = 20  # steps before the clock that a budget in minutes is planned by: the first ones compile


class DivergedError(RuntimeError):
    """The loss or its gradient stopped being finite."""


@dataclass(frozen=True)
class Config:
    """One run, whole. The defaults are this library's fast recipe for the checkerboard on a CPU.

    The last group holds ingredients that are not the flow-map paper's; `recipes.RECIPES["checkerboard-paper"]` is the
    configuration without them.
    """

    problem: str = "checkerboard"
    method: str = "lsd"
    stopgrad: str | None = None  # None: what the method's source recommends
    seed: int = 0
    steps: int | None = None  # the budget: a number of steps,
    minutes: float | None = None  # or CPU minutes, turned into steps after the warm-up

    hidden: int = 128
    layers: int = 5
    activation: str = "silu"

    batch: int = 384
    diagonal: float = 2 / 3  # share of the batch on the diagonal
    optimizer: str = "soap"
    lr: float = 3e-3
    warmup: int = 100
    decay: str = "cosine"  # to zero at the last step; or "none"
    clip: float = 10.0
    ema: float = 0.999
    compile: bool | None = None  # None: where it pays, in runs of at least 3,000 steps or a minute

    fourier: int = 64
    bandwidth: float = 2.0
    harmonics: int = 4
    even: bool = True  # times spread evenly over each batch
    at_zero: float = 0.3  # share of the off-diagonal pairs at s = 0,
    at_one: float = 0.0  # and at t = 1: see losses.sample_times
    bank: int = 1024  # fresh data points for the averaged target; 0 for the plain one

    def __post_init__(self) -> None:
        checks.one_of("problem", self.problem, PROBLEMS)
        checks.one_of("method", self.method, losses.METHODS)
        if self.stopgrad is not None:
            checks.one_of("stopgrad", self.stopgrad, losses.STOPGRADS[losses.METHODS[self.method]])
        checks.one_of("activation", self.activation, ACTIVATIONS)
        checks.one_of("optimizer", self.optimizer, OPTIMIZERS)
        checks.one_of("decay", self.decay, ("cosine", "none"))
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(
                f"exactly one of steps and minutes is wanted, got steps={self.steps}, minutes={self.minutes}"
            )
        for name in ("hidden", "layers", "batch", "warmup", *(["steps"] if self.steps is not None else [])):
            checks.count(name, getattr(self, name))
        for name in ("lr", "clip", *(["minutes"] if self.minutes is not None else [])):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 < round(self.batch * self.diagonal) < self.batch:
            raise ValueError(f"diagonal must leave both parts a sample: got {self.diagonal} of a batch of {self.batch}")
        for name in ("fourier", "harmonics", "bank", "bandwidth"):
            checks.at_least(name, getattr(self, name), 0)
        if not (self.at_zero >= 0 and self.at_one >= 0 and self.at_zero + self.at_one <= 1):
            raise ValueError(f"at_zero and at_one must be shares of one batch, got {self.at_zero} and {self.at_one}")
        if not 0.0 <= self.ema <= 1.0:
            raise ValueError(f"ema must lie in [0, 1], got {self.ema}")

    @property
    def pays_to_compile(self) -> bool:
        """Whether the compiler's half minute is won back."""
        return self.compile if self.compile is not None else (self.steps or 0) >= 3000 or (self.minutes or 0) >= 1


def build(config: Config) -> MLP:
    """The network of a run, with the initial weights that its seed draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        problem = PROBLEMS[config.problem]()
        features = {"fourier": config.fourier, "bandwidth": config.bandwidth, "harmonics": config.harmonics}
        size = {"hidden": config.hidden, "layers": config.layers, "activation": config.activation}
        return MLP(problem.dim, scale=problem.sigma, **size, **features)


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
    """

    def __init__(self, config: Config):
        self.config = config
        self.net = build(config)
        self.average = AveragedModel(self.net, multi_avg_fn=moving_average(config.ema))
        self.optimizer = OPTIMIZERS[config.optimizer](self.net.parameters(), config.lr)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.step, self.steps, self.cpu_seconds = 0, config.steps, 0.0
        self.loss, self.grad_norm = math.nan, math.nan
        self.history: list[tuple[float, ...]] = []

    @property
    def X(self) -> FlowMap:
        """The flow map of the averaged weights."""
        return FlowMap(self.average.module)

    def checkpoint(self) -> dict[str, Any]:
        """Everything that changes during a run, as a copy: tensors, numbers, lists and dicts only."""
        held = {name: getattr(self, name) for name in ("step", "steps", "cpu_seconds", "loss", "grad_norm", "history")}
        parts = {name: getattr(self, name).state_dict() for name in ("net", "average", "optimizer")}
        return copy.deepcopy(held | parts | {"generator": self.generator.get_state()})

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go back to where `checkpoint` was taken.

        Raises:
            ValueError: if it belongs to another configuration.
        """
        try:
            for name in ("net", "average", "optimizer"):
                getattr(self, name).load_state_dict(checkpoint[name])
            self.generator.set_state(checkpoint["generator"])
            for name in ("step", "steps", "cpu_seconds", "loss", "grad_norm", "history"):
                setattr(self, name, checkpoint[name])
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"this checkpoint is not one of this configuration: {error}") from error


def draw_batch(config: Config, generator: torch.Generator | None = None) -> losses.Batch:
    """One fresh batch: interpolants and targets on the diagonal, jumps (s, u, r) from I_s off it."""
    problem, interpolant = PROBLEMS[config.problem](), Linear()
    on = round(config.batch * config.diagonal)
    off = config.batch - on
    x1 = problem.sample(config.batch, generator=generator)
    x0 = problem.sigma * torch.randn(x1.shape, generator=generator)
    t = losses.uniform(on, even=config.even, generator=generator)
    sides = {"at_zero": config.at_zero, "at_one": config.at_one}
    s, r = losses.sample_times(off, **sides, even=config.even, generator=generator)
    h = torch.rand(off, generator=generator) if config.method == "psd-u" else 0.5
    x_t, target = interpolant(t, x0[:on], x1[:on])
    if config.bank:
        data = torch.cat([x1[:on], problem.sample(config.bank, generator=generator)])
        target = targets.averaged(interpolant, t, x_t, target, data, problem.sigma)
    x_s, _ = interpolant(s, x0[on:], x1[on:])
    return losses.Batch(t, x_t, target, s, h * s + (1 - h) * r, r, x_s)


def learning_rate(config: Config, step: int, steps: int | None) -> float:
    """Linear warm-up, then constant or a half cosine that reaches zero after the last step."""
    rise = min(1.0, (step + 1) / config.warmup)
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


def fit(config: Config, *, resume: dict[str, Any] | None = None, every: int = 200) -> Iterator[State]:
    """Train the map that `config` describes; yield the state every `every` steps and at the end.

    The state is one object, changed as training goes on: `state.checkpoint()` takes a copy.

    Args:
        config: the run.
        resume: a `state.checkpoint()` of the same configuration, to go on from it to the same
            numbers as an unbroken run (bitwise on one CPU).
        every: steps between yields.

    Raises:
        DivergedError: at the first loss or gradient that is not finite; the weights are still those
            before that step.
        ValueError: if `resume` is of another configuration.
    """
    checks.count("every", every)
    state = State(config)
    if resume is not None:
        state.restore(resume)
    parameters = list(state.net.parameters())

    def loss_of(batch: losses.Batch) -> Tensor:
        return losses.self_distillation(
            FlowMap(state.net), batch, method=config.method, stopgrad=config.stopgrad
        ).mean()

    step_loss = compiled(loss_of) if config.pays_to_compile else loss_of
    started, before = time.process_time(), state.cpu_seconds
    clock, recent = (0.0, 0), []
    while state.steps is None or state.step < state.steps:
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(config, state.step, state.steps)
        loss = step_loss(draw_batch(config, state.generator))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, config.clip)
        recent.append((loss.item(), norm.item()))
        if not math.isfinite(sum(recent[-1])):
            stopgrad = config.stopgrad or losses.STOPGRADS[losses.METHODS[config.method]][-1]
            raise DivergedError(
                f"{config.method} stopped being finite at step {state.step + 1}: loss {recent[-1][0]:.4g}, "
                f"gradient norm {recent[-1][1]:.4g}. A lower lr, a lower clip or another stopgrad may help; "
                f"lr={config.lr}, clip={config.clip}, stopgrad={stopgrad!r}."
            )
        state.optimizer.step()
        state.optimizer.zero_grad()
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
