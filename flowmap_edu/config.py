"""A run's configuration, whole: one frozen dataclass, written into every checkpoint."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from pytorch_optimizer import SOAP

from flowmap_edu import checks, datasets, exact, methods
from flowmap_edu.nets import ACTIVATIONS

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
    weighting: bool = False  # and whether a weight w_{s,t} is learned; the plane has its own base and none of these

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
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(
                f"exactly one of steps and minutes is wanted, got steps={self.steps}, minutes={self.minutes}"
            )
        budget = ["steps"] if self.steps is not None else []
        for name in ("hidden", "layers", "batch", "warmup", "decay_from", *budget):
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
        if self.weighting and not self.pictures:
            raise ValueError("a learned weight is for pictures: the plane's network has none")
        if not 0.0 <= self.ema <= 1.0:
            raise ValueError(f"ema must lie in [0, 1], got {self.ema}")

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
