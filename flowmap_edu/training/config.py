"""A run's configuration, whole: one frozen dataclass, written into every checkpoint."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pytorch_optimizer import SOAP

from flowmap_edu import _checks as checks
from flowmap_edu import methods
from flowmap_edu.nets import unet
from flowmap_edu.nets.mlp import ACTIVATIONS
from flowmap_edu.problems import datasets, exact

PROBLEMS = {"checkerboard": exact.Checkerboard, "gaussian": exact.Gaussian}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda p, lr: torch.optim.Adam(p, lr, betas=(0.9, 0.99)),
    "radam": lambda p, lr: torch.optim.RAdam(p, lr),
    "soap": lambda p, lr: SOAP(p, lr, betas=(0.95, 0.95), weight_decay=0.0, precondition_frequency=10),
}


@dataclass(frozen=True)
class Config:
    """One run, whole. The defaults are this library's fast recipe for the checkerboard on a CPU.

    The last group holds ingredients that are not the flow-map paper's; `recipes.RECIPES["checkerboard-paper"]` is the
    configuration without them.
    """

    problem: str = "checkerboard"
    method: str = "lsd"
    stopgrad: str | None = None  # None: the method's own
    teacher: str | None = None  # for a method that reads one: the run, or the shipped map, that is its teacher
    seed: int = 0
    steps: int | None = None  # the budget: a number of steps,
    minutes: float | None = None  # or CPU minutes, turned into steps after the warm-up

    root: str | None = None  # pictures: the folder of the data sets,
    sigma: float = 0.5  # the standard deviation of the base,
    weighting: bool = False  # whether a weight w_{s,t} is learned,
    unlabelled: float = 0.0  # and the share of samples whose class is hidden; the plane has none of these
    precision: str = "fp32"  # "bf16": values through the network in bfloat16; derivatives stay in float32
    accumulate: int = 1  # parts of a batch that go through the network one after the other, to save memory
    channels_last: bool = False  # the pictures' layout in memory

    hidden: int = 128
    layers: int = 5
    activation: str = "silu"

    batch: int = 384
    diagonal: float = 2 / 3  # share of the batch on the diagonal
    optimizer: str = "soap"
    lr: float = 3e-3
    warmup: int = 100
    decay: str = "cosine"  # to zero at the last step; "sqrt": as 1 / sqrt(step / decay_from) from there on; or "none"
    decay_from: int = 35_000
    clip: float = 10.0
    ema: float = 0.999
    second_ema: float | None = None  # another moving average, kept beside the first
    compile: bool | None = None  # None: where it pays, in runs of at least 3,000 steps or a minute

    fourier: int = 64
    bandwidth: float = 2.0
    harmonics: int = 4
    even: bool = True  # times spread evenly over each batch
    at_zero: float = 0.3  # share of the off-diagonal pairs at s = 0,
    at_one: float = 0.0  # and at t = 1: see losses.sample_times
    bank: int = 1024  # fresh data points for the averaged target; 0 for the plain one

    def __post_init__(self) -> None:
        checks.one_of("problem", self.problem, [*PROBLEMS, *datasets.DATASETS])
        row = methods.method(self.method)
        if self.stopgrad is not None:
            dataclasses.replace(row, stopgrad=self.stopgrad)  # refuses what does not fit
        checks.one_of("activation", self.activation, ACTIVATIONS)
        checks.one_of("optimizer", self.optimizer, OPTIMIZERS)
        checks.one_of("decay", self.decay, ("cosine", "sqrt", "none"))
        checks.one_of("precision", self.precision, ("fp32", "bf16"))
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(
                f"exactly one of steps and minutes is wanted, got steps={self.steps}, minutes={self.minutes}"
            )
        budget = ["steps"] if self.steps is not None else []
        for name in ("hidden", "layers", "batch", "warmup", "decay_from", "accumulate", *budget):
            checks.count(name, getattr(self, name))
        for name in ("lr", "clip", "sigma", *(["minutes"] if self.minutes is not None else [])):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.diagonal <= 1:
            raise ValueError(f"diagonal must be a share of the batch, got {self.diagonal}")
        if row.condition != "diagonal" and round(self.batch * self.diagonal) == self.batch:
            raise ValueError(
                f"diagonal must leave {self.method} a sample off it, got {self.diagonal} of a batch of {self.batch}"
            )
        for name in ("fourier", "harmonics", "bank", "bandwidth"):
            checks.at_least(name, getattr(self, name), 0)
        if not (self.at_zero >= 0 and self.at_one >= 0 and self.at_zero + self.at_one <= 1):
            raise ValueError(f"at_zero and at_one must be shares of one batch, got {self.at_zero} and {self.at_one}")
        if self.pictures and self.bank:
            raise ValueError(f"the averaged target is for points in the plane: bank must be 0, got {self.bank}")
        if not self.pictures:
            for name, plain in (("weighting", False), ("unlabelled", 0.0), ("precision", "fp32")):
                if getattr(self, name) != plain:
                    raise ValueError(f"{name} is for pictures: in the plane it must be {plain!r}")
        shares = {"ema": self.ema, "second_ema": self.second_ema or 0.0, "unlabelled": self.unlabelled}
        for name, value in shares.items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")
        self.shared_by(1)

    def shared_by(self, processes: int) -> int:
        """Into how many equal parts a batch is cut for so many processes: `accumulate` for each.

        Raises:
            ValueError: if the diagonal part or the rest of the batch cannot be cut so.
        """
        parts, on = processes * self.accumulate, round(self.batch * self.diagonal)
        if on % parts or (self.batch - on) % parts:
            raise ValueError(
                f"a batch of {self.batch}, {on} on the diagonal and {self.batch - on} off it, cannot be cut into "
                f"{parts} equal parts: {processes} process{'es' * (processes > 1)} times accumulate={self.accumulate}"
            )
        return parts

    @property
    def classes(self) -> int:
        """How many classes the network is told of; 0 if none."""
        return unet.CONFIGS[self.problem].get("classes", 0) if self.pictures else 0

    @property
    def pictures(self) -> bool:
        """Whether the data are pictures, and the network a U-Net, rather than points in the plane."""
        return self.problem in datasets.DATASETS

    @property
    def row(self) -> methods.Method:
        """The method, with this run's stop-gradient."""
        row = methods.method(self.method)
        return row if self.stopgrad is None else dataclasses.replace(row, stopgrad=self.stopgrad)

    @property
    def pays_to_compile(self) -> bool:
        """Whether the compiler's half minute is won back."""
        return self.compile if self.compile is not None else (self.steps or 0) >= 3000 or (self.minutes or 0) >= 1
