"""Where a run stands: its network, the averages of its weights, its optimiser and its random numbers."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets import unet
from flowmap_edu.nets.mlp import MLP
from flowmap_edu.training.config import OPTIMIZERS, PROBLEMS, Config

CPU = torch.device("cpu")


def build(config: Config) -> nn.Module:
    """The network of a run, with the initial weights that its seed draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        if config.pictures:
            net = unet.build(config.problem)
            net.pair_linear.requires_grad_(config.weighting)
            return net
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


def worked_on(net: nn.Module, device: torch.device) -> FlowMap:
    """The map of a network that works on a device; what goes in and comes out stays where the caller keeps it."""
    if device.type == "cpu":
        return FlowMap(net)

    def v(*arguments: Tensor) -> Tensor:
        """The slope, carried to the device and back."""
        return net(*(a.to(device) for a in arguments)).to(arguments[0].device)

    return FlowMap(v)


def averaged(net: nn.Module, decay: float) -> AveragedModel:
    """A moving average of the network's weights, without dropout."""
    return AveragedModel(net, multi_avg_fn=moving_average(decay)).eval()


class State:
    """Where a run stands: what `fit` yields, and all that is needed to go on from there.

    Attributes:
        step, steps: steps done, and how many there will be (None until a budget in minutes is planned).
        loss, grad_norm: means over the steps since the last yield.
        cpu_seconds: processor time of the run so far, this process's alone.
        history: one row (step, loss, grad_norm, largest grad_norm, cpu_seconds) a yield.
        net, average: the network, and the moving average of its weights that is sampled from.
        second: another moving average, or None.
        device: where all of them are.
        teacher: the frozen map of a method that reads one, or None.
    """

    def __init__(self, config: Config, teacher: FlowMap | None = None, device: torch.device = CPU):
        self.config, self.device = config, device
        self.net = build(config).to(device)
        self.teacher = self.own_copy(teacher)
        self.average = averaged(self.net, config.ema)
        self.second = None if config.second_ema is None else averaged(self.net, config.second_ema)
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
            return FlowMap(copy.deepcopy(teacher.slope).to(self.device).requires_grad_(False))
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

    def take_step(self) -> None:
        """Move the weights along the gradients that they hold, and the averages after them."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        if isinstance(self.net, unet.UNet):
            self.net.project()
        for average in (self.average, self.second):
            if average is not None:
                average.update_parameters(self.net)
        self.step += 1

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
        """What has a state_dict: the network, its averages, the optimiser, a teacher that is renewed."""
        renewed = [("teacher", self.teacher.slope)] if self.teacher and self.config.row.stages > 1 else []
        second = [("second", self.second)] if self.second is not None else []
        return [("net", self.net), ("average", self.average), ("optimizer", self.optimizer), *second, *renewed]

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
