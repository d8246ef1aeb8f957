"""Where a run stands: its network, the averages of its weights, its optimiser and its random numbers."""

import copy
import json
import math
import warnings
from typing import Any, cast

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from flowmap_edu import sample
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import Method
from flowmap_edu.nets import LogWeight
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import coupling
from flowmap_edu.training.average import Average
from flowmap_edu.training.batches import Batches
from flowmap_edu.training.metadata import CHANGEABLE, changes, differences, document
from flowmap_edu.training.network import on_device
from flowmap_edu.training.prefetch import Prefetched
from flowmap_edu.training.training import OPTIMIZERS, Training, check
from flowmap_edu.training.trajectories import Trajectories

CPU = torch.device("cpu")
PREFETCHED = ("cuda",)  # devices that compute a step while the CPU draws the next batch
COUNTERS = ("step", "steps", "cpu_seconds", "loss", "grad_norm", "history")


class State:
    """Where a run stands: what `fit` yields, and all that is needed to go on from there.

    Attributes:
        problem, method, training: what is learned and how.
        net, average: the network, and the moving average of its weights that is sampled from.
        second: another moving average, or None.
        log_weight: the learned weight w_{s,t} of the loss, or None.
        step, steps: steps done, and how many there will be (None until a budget in minutes is planned).
        loss, grad_norm: means over the steps since the last yield.
        cpu_seconds: processor time of the run so far, this process's alone.
        history: one row (step, loss, grad_norm, largest grad_norm, cpu_seconds) a yield.
        changed: the settings with which the run went on otherwise than before, [{"step": k, "lr": [old, new]}, ...].
        batches: what the steps read, on a GPU drawn one step ahead.
        generator: of what the steps draw besides, the seeds of dropout.
        device: where all of them are.
        teacher: the frozen map of a method that reads one, or None.
    """

    def __init__(
        self,
        problem: Problem,
        net: nn.Module,
        method: Method,
        training: Training,
        teacher: FlowMap | None = None,
        device: torch.device = CPU,
    ):
        check(problem, net, method, training)
        self.problem, self.method, self.training, self.device = problem, method, training, device
        if not any(p.requires_grad for p in net.parameters()):
            raise ValueError(f"{type(net).__name__} has no parameter to train: call net.requires_grad_(True) first")
        self.net = net.to(device).train()
        self.log_weight = self.weight_of_the_loss()
        self.teacher = self.frozen_teacher(teacher)
        self.average = Average(self.net, training.ema)
        self.second = None if training.second_ema is None else Average(self.net, training.second_ema)
        self.optimizer = OPTIMIZERS[training.optimizer](self.parameters(), training.lr)
        self.step, self.steps, self.cpu_seconds = 0, training.steps, 0.0
        self.schedule = LambdaLR(self.optimizer, lambda step: self.rate(step))
        batches = Batches(problem, method, training, self.trajectories if self.reads_trajectories else None)
        self.batches = Prefetched(batches, device) if device.type in PREFETCHED else batches
        self.generator = torch.Generator().manual_seed(training.seed)
        self.loss, self.grad_norm = math.nan, math.nan
        self.history: list[tuple[float, ...]] = []
        self.changed: list[dict[str, Any]] = []

    @property
    def reads_trajectories(self) -> bool:
        """Whether its batches are drawn from trajectories of the teacher."""
        return coupling.reads_trajectories(self.method, self.training)

    def trajectories(self) -> Trajectories:
        """Those of the teacher, which are solved anew at each call."""
        ends_only = self.method.points == "path"
        return Trajectories(
            self.problem, cast(FlowMap, self.teacher), self.training.seed, self.device, ends_only=ends_only
        )

    def weight_of_the_loss(self) -> nn.Module | None:
        """The learned weight w_{s,t}: the network's own, else a new one; None where none is learned."""
        own = getattr(self.net, "log_weight", None)
        if own is not None:
            own.requires_grad_(self.training.weighting)
        if not self.training.weighting:
            return None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            return own if own is not None else LogWeight().to(self.device)

    def parameters(self) -> list[nn.Parameter]:
        """All that is trained: the network's weights, then those of a weight of the loss that is not part of it."""
        own = list(self.net.parameters())
        known = {id(p) for p in own}
        extra = [] if self.log_weight is None else [p for p in self.log_weight.parameters() if id(p) not in known]
        return own + extra

    def frozen_teacher(self, teacher: FlowMap | None) -> FlowMap | None:
        """The teacher, frozen; if it is a network like ours, as a copy from whose weights the training starts."""
        method, needed = self.method, self.method.needs_teacher or self.reads_trajectories
        pairs = self.training.coupling
        with_pairs = "" if pairs == "independent" else f" with coupling={pairs!r}"
        if teacher is not None and not needed:
            raise ValueError(f"{method.title}{with_pairs} reads no teacher: leave teacher out")
        if not needed:
            return None
        if teacher is None:
            raise ValueError(f"{method.title}{with_pairs} reads a teacher, got none: pass teacher=, a FlowMap")
        v = teacher.slope
        if isinstance(v, nn.Module):
            v = copy.deepcopy(v).to(self.device).requires_grad_(False).eval()
            if shapes(v) == shapes(self.net):
                self.net.load_state_dict(v.state_dict())
                return FlowMap(v)
        if method.stages > 1:
            raise ValueError(f"{method.title} renews its teacher, which must be a network of this run's size")
        return FlowMap(v)

    def renew_teacher(self) -> None:
        """At a stage's start the averaged map becomes its teacher; pupil and average begin anew from there.

        An average that went on would still hold the stage before, in which the new jumps were not trained.
        """
        if self.stage(self.step) > self.stage(self.step - 1):
            self.teacher.slope.load_state_dict(self.average.module.state_dict())  # type: ignore[union-attr]
            self.net.load_state_dict(self.average.module.state_dict())
            self.average.n_averaged.zero_()

    def rate(self, step: int) -> float:
        """The factor on the learning rate at a step; each stage has a schedule of its own."""
        length = (self.steps or 0) / max(1, self.method.stages)
        return self.training.learning_rate(step - round(self.stage(step) * length), round(length) or None)

    def take_step(self) -> None:
        """Move the weights along the gradients that they hold, and the averages after them."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        if hasattr(self.net, "project"):
            self.net.project()  # type: ignore[operator]
        for average in (self.average, self.second):
            if average is not None:
                average.update()
        self.step += 1

    def stage(self, step: int) -> int:
        """Which of the method's stages, equally long, a step belongs to; the first is 0."""
        stages = max(1, self.method.stages)
        return 0 if stages == 1 or self.steps is None else min(stages - 1, step * stages // self.steps)

    @property
    def X(self) -> FlowMap:
        """The flow map of the averaged weights, which draws by the method's sampler."""
        how = sample.sampler(self.method.sampler, self.problem.sigma, self.training.interpolant)
        return on_device(self.average.module, self.device, how, self.training.interpolant)

    def checkpoint(self) -> dict[str, Any]:
        """Everything that changes during a run, as a copy: tensors, numbers, lists and dicts only."""
        held = {name: getattr(self, name) for name in COUNTERS} | {"run": json.dumps(self.document())}
        held["changed"] = self.changed
        return copy.deepcopy(
            held | {name: part.state_dict() for name, part in self.parts()} | {"generator": self.generator.get_state()}
        )

    def document(self) -> dict[str, Any]:
        """The four objects as config.json says them."""
        return document(self.problem, self.net, self.method, self.training)[0]

    def parts(self) -> list[tuple[str, Any]]:
        """What has a state_dict: network, averages, optimiser, schedule, weight of the loss, renewed teacher."""
        renewed = [("teacher", self.teacher.slope)] if self.teacher and self.method.stages > 1 else []
        second = [("second", self.second)] if self.second is not None else []
        own = getattr(self.net, "log_weight", None)
        weight = [("log_weight", self.log_weight)] if self.log_weight is not None and own is None else []
        all_runs = ("net", "average", "optimizer", "schedule", "batches")
        return [*((name, getattr(self, name)) for name in all_runs), *second, *weight, *renewed]

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Go back to where `checkpoint` was taken, and on from there with the settings of this training.

        Raises:
            ValueError: if it belongs to another run, or to an earlier version, which drew its batches in another way;
                if a new budget ends before this step.
        """
        if "batches" not in checkpoint:
            raise ValueError(
                "this checkpoint was written by an earlier version of flowmap_edu, whose training cannot go on in this "
                "one; the maps of its run still load"
            )
        try:
            here = json.loads(json.dumps(self.document()))
            there = json.loads(checkpoint["run"]) if "run" in checkpoint else here
            if differ := differences(there, here, besides=CHANGEABLE):
                raise ValueError("; ".join(differ))
            for name, part in self.parts():
                part.load_state_dict(copy.deepcopy(checkpoint[name]))  # an optimiser would go on in the given tensors
            self.generator.set_state(checkpoint["generator"])
            for name in COUNTERS:
                setattr(self, name, checkpoint[name])
            self.changed = list(checkpoint.get("changed", []))
        except Exception as error:  # its parts raise many kinds for content that is not theirs
            raise ValueError(f"this checkpoint belongs to another problem, network or method: {error}") from error
        if changed := changes(there, here):
            self.changed.append({"step": self.step} | changed)
            said = ", ".join(f"{name} {new} instead of {old}" for name, (old, new) in changed.items())
            planned = self.steps is not None or self.training.steps is not None
            if planned and ("steps" in changed or "minutes" in changed):
                self.steps = self.steps_of_a_new_budget()
            warnings.warn(f"from step {self.step} on the run goes on with {said}", stacklevel=2)
        self.schedule.base_lrs = [self.training.lr for _ in self.schedule.base_lrs]
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.lr * self.rate(self.step)

    def steps_of_a_new_budget(self) -> int:
        """The last step of a budget that was changed on the way; of minutes by the mean time of a step so far.

        Raises:
            ValueError: if it ends before this step, or the method's stages are parts of the budget.
        """
        training, done = self.training, self.step
        if self.method.stages > 1:
            raise ValueError(f"{self.method.title} divides its budget into stages: it cannot change on the way")
        steps = training.steps
        if steps is None:
            steps = int(done * 60 * (training.minutes or 0) / self.cpu_seconds)
        if steps < done:
            asked = f"steps={training.steps}" if training.steps is not None else f"minutes={training.minutes:g}"
            spent = f"{done:,} steps in {self.cpu_seconds / 60:.1f} CPU minutes"
            raise ValueError(f"the run has taken {spent}: a new budget must not end before, got {asked}")
        return steps


def shapes(net: nn.Module) -> dict[str, torch.Size]:
    """The shape of each of its tensors."""
    return {name: tensor.shape for name, tensor in net.state_dict().items()}
