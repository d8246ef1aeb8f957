"""How a map is trained: the budget, the batch and the optimiser. Nothing here knows a problem or a network."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu.interpolant import Interpolant, Linear
from flowmap_edu.methods import Method
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import coupling
from flowmap_edu.training.network import accepts
from flowmap_edu.training.soap import SOAP
from flowmap_edu.training.targets import FEW

MOST_SHARES = 256  # of a batch: how many seeds `batches.seed_of` has for each draw
OPTIMIZERS: dict[str, Callable[[Iterable[Tensor], float], torch.optim.Optimizer]] = {
    "adam": lambda p, lr: torch.optim.Adam(p, lr, betas=(0.9, 0.99)),
    "radam": lambda p, lr: torch.optim.RAdam(p, lr),
    "soap": lambda p, lr: SOAP(p, lr),
}


@dataclass(frozen=True)
class Training:
    """The budget, the batch and the optimiser of one run.

    Attributes:
        steps: the budget as a number of steps,
        minutes: or as CPU minutes, from which the steps are planned after the warm-up. One of the two is wanted.
        seed: of all random draws of the run.
        batch: samples a step.
        diagonal: the share of them on the diagonal; None: the method's own, or 3/4.
        shares: into how many equal shares a batch is drawn, each from a seed of its own; the processes take them in
            turn. Times are stratified, noise and data are paired, and at_zero, at_one and stf_near are rounded within a
            share; stf_batch is for each share. Another number of shares draws other numbers.
        accumulate: parts of a share that go through the network one after the other, to save memory.
        optimizer: "adam", "radam" or "soap".
        lr: the learning rate after the warm-up.
        warmup: steps in which it rises.
        decay: "cosine" or "linear", to zero at the last step; "sqrt", as 1 / sqrt(step / decay_from) from there on; or
            "none".
        decay_from: the step at which "sqrt" begins.
        clip: the largest norm of the gradient.
        ema: decay of the moving average of the weights, which is what is sampled from.
        second_ema: decay of another average that is kept beside the first, or None.
        stratified: whether times are spread over equal cells of their range.
        at_zero, at_one: shares of the method's jumps with s = 0 and with t = 1; see `times.triangle`.
        denoised: the share of the jumps that go to t = 1 and are compared with a jump to `times.DENOISED` and one Euler
            step from there. The step lands on the mean of the data given the point, so it wants the linear path. The
            other jumps keep the method's condition; those from before `times.EARLY` end where the step begins.
        coupling: how noise and data are paired (coupling.py): "independent", by minibatch optimal "transport", or
            "reflow", where x1 is a teacher's sample from x0.
        stf_batch: fresh data points for the stable target field (targets.py); 0 for the plain target.
        stf_near: the share of the samples on the diagonal, those with the latest times, whose target is averaged over
            near data points of a large pool instead (near.py); with stf_batch, for points of at most four entries.
        interpolant: the path from noise to data.
        weighting: whether a weight w_{s,t} of the loss is learned.
        label_dropout: the share of samples whose label is hidden (-1), which guidance at sampling needs.
        precision: "fp32", or "bf16": values through the network in bfloat16; derivatives stay in float32.
        tf32: whether a GPU takes its float32 products and convolutions, those of derivatives too, in TF32.
        channels_last: the layout of images in memory.
        compile: whether the step goes through torch.compile; None: where it pays, from 3,000 steps or a minute on.

    Raises:
        ValueError: for a value out of its range, or settings that contradict each other.
    """

    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    batch: int = 256
    diagonal: float | None = None
    shares: int = 1
    accumulate: int = 1
    optimizer: str = "adam"
    lr: float = 1e-3
    warmup: int = 100
    decay: str = "cosine"
    decay_from: int | None = None
    clip: float = 1.0
    ema: float = 0.999
    second_ema: float | None = None
    stratified: bool = True
    at_zero: float = 0.0
    at_one: float = 0.0
    denoised: float = 0.0
    coupling: str = "independent"
    stf_batch: int = 0
    stf_near: float = 0.0
    interpolant: Interpolant = field(default_factory=Linear)
    weighting: bool = False
    label_dropout: float = 0.0
    precision: str = "fp32"
    tf32: bool = False
    channels_last: bool = False
    compile: bool | None = None

    def __post_init__(self) -> None:
        checks.plain_fields(self)
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(f"give exactly one of steps and minutes, got {self.steps} and {self.minutes}")
        checks.one_of("optimizer", self.optimizer, OPTIMIZERS)
        checks.one_of("coupling", self.coupling, coupling.COUPLINGS)
        checks.one_of("decay", self.decay, ("cosine", "linear", "sqrt", "none"))
        checks.one_of("precision", self.precision, ("fp32", "bf16"))
        counted = {"steps": self.steps, "decay_from": self.decay_from}
        for name in ("batch", "warmup", "shares", "accumulate", *(k for k, v in counted.items() if v is not None)):
            checks.count(name, getattr(self, name))
        for name in ("lr", "clip", *(["minutes"] if self.minutes is not None else [])):
            checks.positive(name, getattr(self, name))
        for name in ("ema", "label_dropout", "at_zero", "at_one", "denoised", "stf_near"):
            checks.share(name, getattr(self, name))
        for name in ("diagonal", "second_ema"):
            if getattr(self, name) is not None:
                checks.share(name, getattr(self, name))
        if self.shares > MOST_SHARES:
            raise ValueError(f"shares must be at most {MOST_SHARES}, got {self.shares}")
        checks.whole("stf_batch", self.stf_batch)
        checks.generator(self.seed)
        if self.stf_near and not self.stf_batch:
            raise ValueError(f"stf_near goes with stf_batch, got stf_near={self.stf_near} and stf_batch=0")
        if self.at_zero + self.at_one > 1:
            raise ValueError(f"at_zero and at_one must be shares of one batch, got {self.at_zero} and {self.at_one}")
        if self.decay_from is not None and self.decay != "sqrt":
            raise ValueError(f"decay_from belongs to decay='sqrt', got it with decay={self.decay!r}")
        if not isinstance(self.interpolant, Interpolant):
            raise ValueError(f"interpolant must be an Interpolant, such as Linear(), got {self.interpolant!r}")

    @property
    def pays_to_compile(self) -> bool:
        """Whether a run is long enough to win back the time that the compiler takes."""
        return self.compile if self.compile is not None else (self.steps or 0) >= 3000 or (self.minutes or 0) >= 1

    def on_diagonal(self, method: Method) -> int:
        """How many samples of a batch lie on the diagonal."""
        share = next(share for share in (self.diagonal, method.diagonal, 0.75) if share is not None)
        return round(self.batch * share)

    def at_the_ends(self, method: Method) -> int:
        """How many samples of a batch are jumps to t = 1 over a last Euler step."""
        return round(self.denoised * (self.batch - self.on_diagonal(method)))

    @property
    def rows(self) -> int:
        """How many samples go through the network at a time."""
        return self.batch // (self.shares * self.accumulate)

    def check_parts(self, method: Method, processes: int = 1) -> None:
        """Refuse a batch that cannot be cut into equal parts, `accumulate` for each share, or shared by the processes.

        Raises:
            ValueError: with the numbers, and with what to change.
        """
        if self.shares % processes:
            raise ValueError(
                f"{processes} processes cannot take the shares of a batch in equal turns, got shares={self.shares}: "
                f"--set shares={processes} draws one for each, a multiple of {processes} several"
            )
        parts, on, ends = self.shares * self.accumulate, self.on_diagonal(method), self.at_the_ends(method)
        if on % parts or (self.batch - on) % parts or ends % parts:
            of_them = f" ({ends} of them denoised)" if ends else ""
            raise ValueError(
                f"a batch of {self.batch}, {on} on the diagonal and {self.batch - on} off it{of_them}, cannot be cut "
                f"into {parts} equal parts: shares={self.shares} times accumulate={self.accumulate}"
            )

    def of_a_share(self, method: Method) -> "Training":
        """This training with the batch of one share, as it is drawn."""
        if self.shares == 1:
            return self
        on = self.on_diagonal(method) / self.batch
        return dataclasses.replace(self, batch=self.batch // self.shares, diagonal=on, shares=1)

    def learning_rate(self, step: int, steps: int | None) -> float:
        """The factor on lr: a linear warm-up, then what `decay` says.

        Args:
            step: steps done.
            steps: the last one, if it is known.
        """
        rise = min(1.0, (step + 1) / self.warmup)
        if self.decay == "sqrt":
            return rise * min(1.0, ((self.decay_from or 35_000) / (step + 1)) ** 0.5)
        if self.decay == "none" or steps is None or step < self.warmup:
            return rise
        done = (step - self.warmup) / max(1, steps - self.warmup)
        return 1 - done if self.decay == "linear" else (1 + math.cos(math.pi * done)) / 2


def check(problem: Problem, net: nn.Module, method: Method, training: Training) -> None:
    """Refuse what does not fit together, and every setting that would be ignored.

    Raises:
        ValueError: with the setting's name, what it was, and what it may be here.
    """
    off = training.batch - training.on_diagonal(method)
    if method.condition == "diagonal" and off:
        raise ValueError(f"{method.title} trains the diagonal alone: diagonal must be 1, got {training.diagonal}")
    if method.condition != "diagonal" and not off:
        raise ValueError(
            f"diagonal must leave {method.title} a sample off it, got {training.diagonal} of a batch of "
            f"{training.batch}"
        )
    if off and training.at_the_ends(method) == off:
        raise ValueError(f"denoised must leave {method.title} a jump of its own, got {training.denoised} of {off}")
    ignored: dict[str, tuple[Any, bool, str]] = {
        "at_zero": (0.0, method.times != "triangle" or not off, f"{method.title} draws its own times"),
        "at_one": (0.0, method.times != "triangle" or not off, f"{method.title} draws its own times"),
        "denoised": (0.0, method.times != "triangle" or not off, f"{method.title} draws its own times"),
        "stf_batch": (0, not training.on_diagonal(method), f"{method.title} has no sample on the diagonal"),
        "label_dropout": (0.0, not problem.classes, "this problem has no labels"),
        "channels_last": (False, len(problem.shape) != 3, f"samples of shape {problem.shape} are no images"),
    }
    own_path = type(problem).path is not Problem.path
    for name, plain in {"stf_batch": 0, "coupling": "independent", "interpolant": Linear()}.items():
        if own_path and getattr(training, name) != plain:
            ignored[name] = (plain, True, "this problem has points of its own and draws no path from x0 to x1")
    for name, (plain, here, why) in ignored.items():
        if here and getattr(training, name) != plain:
            raise ValueError(
                f"{name} would be ignored, since {why}: leave it at {plain!r}, got {getattr(training, name)!r}"
            )
    coupling.refuse(problem, method, training)
    if training.stf_batch and len(problem.shape) != 1:
        raise ValueError(f"stf_batch is for points of shape (D,), this problem has {problem.shape}: leave it at 0")
    if training.stf_near and problem.shape[0] > FEW:
        raise ValueError(f"stf_near is for points of at most {FEW} entries, this problem has {problem.shape}")
    if training.stf_batch and problem.classes:
        raise ValueError("stf_batch averages over all classes, this problem has labels: leave it at 0")
    straight = isinstance(training.interpolant, Linear) and not own_path
    if method.velocity == "sample" and method.condition == "semigroup" and not straight:
        raise ValueError(
            f"{method.title} steps along straight lines from x_s to x_u: interpolant must be Linear() and the problem "
            f"have no points of its own, got {training.interpolant!r} and {type(problem).__name__}"
        )
    if training.denoised and not straight:
        raise ValueError(
            "denoised takes an Euler step to the mean of the data, which wants the interpolant Linear() and a problem "
            f"without points of its own: leave it at 0, got {training.denoised} with {training.interpolant!r} and "
            f"{type(problem).__name__}"
        )
    if problem.classes and not accepts(net, "label"):
        raise ValueError(
            f"the problem has {problem.classes} classes, and {type(net).__name__}.forward takes no label: give the "
            "network a parameter label=None, or take a problem without labels"
        )
    training.check_parts(method)
