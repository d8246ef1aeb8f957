r"""Every known method as a row of one table.

To train a flow map by any of the published methods is to choose

    which condition holds off the diagonal   Lagrangian, Eulerian or semigroup (losses.py)
    at which times                           all s < t, t = 1 only, neighbours on a grid, dyadic jumps
    whose velocity it reads                  the map's own, the sample's dI_s, a frozen teacher's
    where the stop-gradient goes             none, convex, semi, full
    with which weight on a sample            one, a function of the times, or of the residual itself

`METHODS` holds the choices, `loss` computes the loss that they describe, `draw_times` the times. A
row is data: to compose a new method, `dataclasses.replace` a row and put it into METHODS.

Time here runs from noise at 0 to data at 1. Many sources run it the other way; each row says how its
source's symbols translate. Throughout, tau = 1 - t is such a source's time, sigma the standard
deviation of the base and rho_s^2 = s^2 + (1-s)^2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu import losses
from flowmap_edu.flow_map import FlowMap

LEVELS = 7  # dyadic jumps of length 1, 1/2, ..., 1/64, made of two halves; halves of 1/128 read the diagonal
GRID = 64  # steps of the grid on which discrete consistency models compare neighbours

WEIGHTS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {  # of the squared residual and the times
    "one": lambda square, s, u, t: torch.ones_like(square),  # noqa: ARG005
    "jump": lambda square, s, u, t: t - s,  # noqa: ARG005
    "discrete": lambda square, s, u, t: (t - s) ** 2 / (u - s),  # noqa: ARG005
    "snr": lambda square, s, u, t: torch.maximum(s**2, (1 - s) ** 2),  # noqa: ARG005
    "tangent": lambda square, s, u, t: 1 / (square.sqrt() + 0.1),  # noqa: ARG005
    "adaptive": lambda square, s, u, t: 1 / (square + 1e-3),  # noqa: ARG005
}
OF_THE_RESIDUAL = ("tangent", "adaptive")  # these weigh the diagonal part too
TIMES = ("triangle", "to one", "grid", "dyadic")
VELOCITIES = ("self", "sample", "teacher")


@dataclass(frozen=True)
class Method:
    """One row: the choices that make a method, and where they come from.

    Attributes:
        title: the method's name in full.
        condition: "lagrangian", "eulerian", "semigroup"; "diagonal" for flow matching alone.
        velocity: who gives the velocity in the residual: "self" (the diagonal v_{t,t}), "sample" (dI_s)
            or "teacher". In the semigroup it is the slope of the first short jump; "self" is that of `short`.
        stopgrad: as in losses.py.
        times: "triangle" (all s <= t), "to one" (t = 1), "grid" (t = 1, s = k/64, u the next point) or
            "dyadic" (t - s = 2^-k, s a multiple of it).
        middle: the semigroup's u: "half" way, "uniform" between s and t, or the "next" point of the grid.
        short: the map that makes the semigroup's short jumps: "self", "average" (its moving average)
            or "teacher".
        weight: a name in WEIGHTS: the factor on a sample's squared residual, itself held fixed.
        lead: "sample" puts dI_s where the Eulerian bracket has the velocity alone ("semi" only).
        warmup: share of the training in which the Eulerian tangent is ramped up from 0 ("semi" only).
        diagonal: share of the batch for flow matching, where the source fixes it; None: the recipe's.
        stages: times that a frozen teacher is renewed: 0 without, 1 for distillation, more for progressive.
        source: the publication.
        their_time: which end is noise in the source, and how its times translate.
        substitution: what turns the source's formula into this row.
        departs: where the source's practice is not this row, or this library's not the source's.

    Raises:
        ValueError: for an unknown choice, or choices that contradict each other.
    """

    title: str
    condition: str
    velocity: str = "self"
    stopgrad: str = "convex"
    times: str = "triangle"
    middle: str = "half"
    short: str = "self"
    weight: str = "one"
    lead: str | None = None
    warmup: float = 0.0
    diagonal: float | None = None
    stages: int = 0
    source: str = ""
    their_time: str = ""
    substitution: str = ""
    departs: str = ""

    def __post_init__(self) -> None:
        checks.one_of("condition", self.condition, ("diagonal", *losses.STOPGRADS))
        checks.one_of("velocity", self.velocity, VELOCITIES)
        checks.one_of("times", self.times, TIMES)
        checks.one_of("middle", self.middle, ("half", "uniform", "next"))
        checks.one_of("short", self.short, ("self", "average", "teacher"))
        checks.one_of("weight", self.weight, WEIGHTS)
        checks.one_of("lead", self.lead, (None, "sample"))
        if self.condition != "diagonal":
            checks.one_of("stopgrad", self.stopgrad, losses.STOPGRADS[self.condition])
        if self.condition == "lagrangian" and self.velocity == "sample":
            raise ValueError("the Lagrangian condition reads the velocity where the map lands: no sample lies there")
        if (self.lead or self.warmup) and (self.condition, self.stopgrad) != ("eulerian", "semi"):
            raise ValueError("lead and warmup belong to the Eulerian condition with the stopgrad 'semi'")
        if (self.middle == "next") != (self.times == "grid"):
            raise ValueError(f'middle "next" goes with times "grid", got {self.middle!r} and {self.times!r}')
        if self.taught != (self.stages > 0):
            raise ValueError(f"a teacher is read exactly if stages > 0, got stages={self.stages}, taught={self.taught}")

    @property
    def taught(self) -> bool:
        """Whether the row reads a frozen teacher."""
        return self.condition != "diagonal" and "teacher" in (self.velocity, self.short)

    @property
    def renoises(self) -> bool:
        """Whether the map is defined for t = 1 only, so that more steps mean noise added anew."""
        return self.times in ("to one", "grid")


REVERSED = "1 is noise there: tau = 1 - t"
SAME = "as here: 0 is noise"
BOFFI25 = "Boffi, Albergo & Vanden-Eijnden 2025, arXiv 2505.18825"
BOFFI24 = "Boffi, Albergo & Vanden-Eijnden 2024, arXiv 2406.07507"
SONG = "Song, Dhariwal, Chen & Sutskever 2023, arXiv 2303.01469"
LU = "Lu & Song 2024, arXiv 2410.11081"
SABOUR = "Sabour, Fidler & Kreis 2025, arXiv 2506.14603"
VE = "x_tau = x1 + tau z, with tau = sigma (1-s)/s: data at 0, noise at infinity"
TRIG = "tau in [0, pi/2], noise at pi/2: x_tau = cos(tau) x1 + sin(tau) z, tan(tau) = (1-s)/s"
F_VE = "f(x_tau, tau) = X_{s,1}(s x_tau)"
F_TRIG = "f(x_tau, tau) = X_{s,1}(rho_s x_tau) = cos(tau) x_tau - sin(tau) sigma F(x_tau/sigma, tau)"

METHODS = {
    "fm": Method(
        "flow matching", "diagonal", diagonal=1.0, source="Lipman et al. 2023; Albergo & Vanden-Eijnden 2023",
        their_time=SAME, substitution="v_t(x) = v_{t,t}(x)", departs="no jumps: sampled by Euler's method",
    ),
    "lsd": Method(
        "Lagrangian self-distillation", "lagrangian", source=BOFFI25, their_time=SAME, substitution="none needed",
    ),
    "esd": Method(
        "Eulerian self-distillation", "eulerian", stopgrad="full", source=BOFFI25, their_time=SAME,
        substitution="none needed", departs='the recipe trains it with the stop-gradient "convex"; see losses.eulerian',
    ),
    "psd-m": Method(
        "progressive self-distillation, midpoint", "semigroup", source=BOFFI25, their_time=SAME,
        substitution="none needed", departs="the source's page squares the residual of X: that has the weight (t-s)^2",
    ),
    "psd-u": Method(
        "progressive self-distillation, uniform", "semigroup", middle="uniform", source=BOFFI25, their_time=SAME,
        substitution="none needed", departs="as psd-m",
    ),
    "lmd": Method(
        "Lagrangian map distillation", "lagrangian", velocity="teacher", stopgrad="none", diagonal=0.0, stages=1,
        source=BOFFI24, their_time=SAME, substitution="none needed",
    ),
    "emd": Method(
        "Eulerian map distillation", "eulerian", velocity="teacher", stopgrad="none", diagonal=0.0, stages=1,
        source=BOFFI24, their_time=SAME, substitution="none needed",
    ),
    "ct": Method(
        "consistency training, continuous time", "eulerian", velocity="sample", stopgrad="semi", times="to one",
        weight="jump", diagonal=0.0, source=SONG, their_time=VE, substitution=F_VE,
        departs="the source's objective f . df/dtau is this one times s^2 / (2 sigma); times are uniform in s here",
    ),
    "sct": Method(
        "sCT: consistency training with a normalised, ramped tangent", "eulerian", velocity="sample", stopgrad="semi",
        times="to one", weight="tangent", warmup=0.1, diagonal=0.0, source=LU, their_time=TRIG, substitution=F_TRIG,
        departs="the source's regression on F has the weight s rho_s^2 / sigma, a learned weight and its own density"
        " of times; its ramp splits the tangent in cos(tau) x - sin(tau) F, ours in x + (1-s) v",
    ),
    "ct-discrete": Method(
        "consistency training, discrete time", "semigroup", velocity="sample", times="grid", middle="next",
        weight="discrete", diagonal=0.0, source=SONG, their_time=VE,
        substitution=F_VE + "; the later point is x_s + (u-s) dI_s = I_u",
        departs="the source's squared distance is this one times u - s; 64 equal steps in s throughout,"
        " where the source refines its grid as training goes on",
    ),
    "cd": Method(
        "consistency distillation, continuous time", "eulerian", velocity="teacher", stopgrad="semi", times="to one",
        weight="jump", diagonal=0.0, stages=1, source=SONG, their_time=VE, substitution=F_VE, departs="as ct",
    ),
    "scd": Method(
        "sCD: consistency distillation with a normalised, ramped tangent", "eulerian", velocity="teacher",
        stopgrad="semi", times="to one", weight="tangent", warmup=0.1, diagonal=0.0, stages=1, source=LU,
        their_time=TRIG, substitution=F_TRIG, departs="as sct",
    ),
    "cd-discrete": Method(
        "consistency distillation, discrete time", "semigroup", velocity="teacher", times="grid", middle="next",
        weight="discrete", diagonal=0.0, stages=1, source=SONG, their_time=VE,
        substitution=F_VE + "; the source's Euler step in tau is ours in s", departs="as ct-discrete; one Euler step",
    ),
    "shortcut": Method(
        "shortcut model", "semigroup", times="dyadic", short="average", diagonal=0.75,
        source="Frans, Hafner, Levine & Abbeel 2024, arXiv 2410.12557", their_time=SAME,
        substitution="s(x, t, d) = v_{t,t+d}(x); the step 2d of two steps d; s(x, t, 0) = v_{t,t}(x)",
        departs="short jumps by the moving average, as in the source's code; those of 1/128 read the diagonal",
    ),
    "pd": Method(
        "progressive distillation", "semigroup", times="dyadic", short="teacher", weight="snr", diagonal=0.25,
        stages=LEVELS, source="Salimans & Ho 2022, arXiv 2202.00512", their_time=REVERSED,
        substitution="one DDIM step is one jump; x_hat = x + (1-s) v_{s,t}(x); the truncated-SNR loss on x_hat has the"
        " weight max(s^2, (1-s)^2) on v",
        departs="one network for all jumps, so each stage repeats the shorter ones and a quarter of the batch is flow"
        " matching; the source has a network a stage",
    ),
    "ayf-emd": Method(
        "Align Your Flow, Eulerian", "eulerian", velocity="teacher", stopgrad="semi", weight="tangent", warmup=0.1,
        diagonal=0.0, stages=1, source=SABOUR, their_time=REVERSED,
        substitution="f(x, tau, sigma) = x + (sigma - tau) F = X_{s,t}(x) with F = -v",
        departs="the theorem's objective is linear in f: this one times (t-s) w' / 2; its autoguidance,"
        " adversarial stage and largest ramp of 0.99 are left out",
    ),
    "ayf-lmd": Method(
        "Align Your Flow, Lagrangian", "lagrangian", velocity="teacher", stopgrad="semi", diagonal=0.0, stages=1,
        source=SABOUR, their_time=REVERSED, substitution="as ayf-emd", departs="as ayf-emd, without tangent or ramp",
    ),
    "meanflow": Method(
        "mean flow", "eulerian", velocity="sample", stopgrad="semi", weight="adaptive", diagonal=0.75,
        source="Geng, Deng, Bai, Kolter & He 2025, arXiv 2505.13447", their_time=REVERSED,
        substitution="u(z, r, tau) = -v_{s,t}(z), tau = 1 - s, r = 1 - t, v = eps - x = -dI_s",
        departs="times uniform here, logit-normal there",
    ),
    "imf": Method(
        "improved mean flow", "eulerian", velocity="self", stopgrad="semi", lead="sample", weight="adaptive",
        diagonal=0.75, source="Geng, Lu, Wu, Shechtman, Kolter & He 2025, arXiv 2512.02012", their_time=REVERSED,
        substitution="as meanflow; the pushed velocity is the network's own, u(z, tau, tau)",
        departs="guidance left out",
    ),
    "split-meanflow": Method(
        "split mean flow", "semigroup", middle="uniform", diagonal=0.75,
        source="Guo et al. 2025, arXiv 2507.16884", their_time=REVERSED,
        substitution="(tau-r) u(z_tau,r,tau) = (q-r) u(z_q,r,q) + (tau-q) u(z_tau,q,tau), free q: that is psd-u",
        departs="trained without a teacher here",
    ),
}  # fmt: skip


def method(name: str) -> Method:
    """The row of that name.

    Raises:
        ValueError: if there is none.
    """
    checks.one_of("method", name, METHODS)
    return METHODS[name]


def euler_below(X: FlowMap, finest: float) -> FlowMap:
    """X, but with jumps of length `finest` or less made by one Euler step along its diagonal."""

    def v(s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return X.v(s, torch.where(t - s <= finest, s, t), x)

    return FlowMap(v)


def loss(
    X: FlowMap,
    batch: losses.Batch,
    row: Method,
    *,
    teacher: FlowMap | None = None,
    average: FlowMap | None = None,
    ramp: float | Tensor = 1.0,
) -> Tensor:
    """What the row minimises over one batch: flow matching on the diagonal part, the weighted residual off it.

    weight(|r|^2, s, u, t) |r|^2, with r the residual of the row's condition and the weight held fixed.

    Args:
        X: the map in training.
        batch: from `training.draw_batch`, or made by hand; either part may be empty.
        row: from METHODS, or composed.
        teacher: the frozen map of a taught row; its diagonal is the velocity.
        average: the moving average of X, for a row whose short jumps it makes; None: X itself.
        ramp: where the tangent's warm-up stands, from 0 to 1.

    Returns:
        one value a sample, shape (D + O,), the diagonal part first.

    Raises:
        ValueError: if the row needs a teacher or the samples' slopes and there is none, or whatever the
            single losses refuse.
    """
    parts = []
    if len(batch.t):
        square = losses.diagonal(X, batch.t, batch.x_t, batch.target)
        parts.append(weighted(row, square, batch.t, batch.t, batch.t) if row.weight in OF_THE_RESIDUAL else square)
    if len(batch.s) and row.condition != "diagonal":
        square = off_diagonal(X, batch, row, teacher, average, ramp)
        parts.append(weighted(row, square, batch.s, batch.u, batch.r))
    return torch.cat(parts)


def weighted(row: Method, square: Tensor, s: Tensor, u: Tensor, t: Tensor) -> Tensor:
    """The row's weight, held fixed, times the squared residual; shape (B,)."""
    return WEIGHTS[row.weight](square.detach(), s, u, t) * square


def off_diagonal(
    X: FlowMap, batch: losses.Batch, row: Method, teacher: FlowMap | None, average: FlowMap | None, ramp: float | Tensor
) -> Tensor:
    """The squared residual of the row's condition at (s, u, r) and x_s, shape (O,)."""
    s, u, t, x = batch.s, batch.u, batch.r, batch.x_s
    if row.taught and teacher is None:
        raise ValueError(f"{row.title} reads a teacher, got none: pass teacher=, a FlowMap")
    if "sample" in (row.velocity, row.lead) and batch.dx_s is None:
        raise ValueError(f"{row.title} reads the samples' own slopes, the batch has no dx_s")
    velocity = {"self": None, "sample": batch.dx_s, "teacher": teacher and teacher.velocity}[row.velocity]
    if row.condition == "lagrangian":
        return losses.lagrangian(X, s, t, x, stopgrad=row.stopgrad, velocity=velocity)
    if row.condition == "eulerian":
        extra = {"lead": batch.dx_s if row.lead else None, "ramp": ramp} if row.stopgrad == "semi" else {}
        return losses.eulerian(X, s, t, x, stopgrad=row.stopgrad, velocity=velocity, **extra)
    short = {"self": X, "average": average or X, "teacher": teacher or X}[row.short]
    if row.times == "dyadic":
        short = euler_below(short, 2.0**-LEVELS)
    return losses.semigroup(X, s, u, t, x, stopgrad=row.stopgrad, short=short, velocity=velocity)


def draw_times(
    row: Method,
    n: int,
    *,
    at_zero: float = 0.0,
    at_one: float = 0.0,
    even: bool = True,
    levels: int = LEVELS,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """n draws of the row's times s <= u <= t, shape (n,) each.

    Args:
        at_zero, at_one, even: as in `losses.sample_times`; the shares serve rows with times "triangle" alone.
        levels: how many of the LEVELS dyadic jump lengths to use, from the shortest.
    """
    if not n:
        return torch.empty(0), torch.empty(0), torch.empty(0)
    if row.times == "triangle":
        s, t = losses.sample_times(n, at_zero=at_zero, at_one=at_one, even=even, generator=generator)
    elif row.times == "to one":
        s, t = losses.uniform(n, even=even, generator=generator), torch.ones(n)
    elif row.times == "grid":
        s, t = torch.randint(GRID, (n,), generator=generator) / GRID, torch.ones(n)
        return s, s + 1 / GRID, t
    else:
        length = 2.0 ** (torch.randint(levels, (n,), generator=generator) + 1 - LEVELS)
        s = (torch.rand(n, generator=generator) / length).floor() * length
        return s, s + length / 2, s + length
    h = torch.rand(n, generator=generator) if row.middle == "uniform" else 0.5
    return s, h * s + (1 - h) * t, t


class Trained(FlowMap):
    """A map that knows the row it was trained by, so that `sample` draws as that row does (see `sample` below)."""

    def __init__(self, X: FlowMap, row: Method, sigma: float, seed: int = 0):
        super().__init__(X.slope)
        self.row, self.sigma, self.seed = row, sigma, seed

    def given(self, labels: Tensor) -> "Trained":
        """The same with classes given, shape (B,)."""
        return Trained(super().given(labels), self.row, self.sigma, self.seed)

    def sample(self, x0: Tensor, steps: int, chunk: int = 8192) -> Tensor:  # noqa: ARG002
        """Draws in `steps` evaluations, shape (B, *D)."""
        return sample(FlowMap(self.slope), self.row, x0, steps, sigma=self.sigma, seed=self.seed)


@torch.no_grad()
def sample(X: FlowMap, row: Method, x0: Tensor, steps: int, *, sigma: float = 1.0, seed: int = 0) -> Tensor:
    """Draws from a map trained by this row, in `steps` evaluations of its network, shape (B, *D).

    Equal jumps where the row trains them; Euler's method for flow matching; for a row with t = 1 only,
    x <- X_{s,1}((1-s) z + s x) at s = k / steps, with fresh noise z of standard deviation sigma each time.

    Raises:
        ValueError: as `FlowMap.sample`.
    """
    if row.condition == "diagonal":
        return FlowMap(lambda s, t, x: X.v(s, s, x)).sample(x0, steps)  # noqa: ARG005
    if not row.renoises:
        return X.sample(x0, steps)
    checks.count("steps", steps)
    generator = torch.Generator().manual_seed(seed + 1_000_003)  # not the seed that x0 may have been drawn from
    out = []
    for x in x0.split(8192):
        landed = X(0.0, 1.0, x)
        for k in range(1, steps):
            z = sigma * torch.randn(x.shape, generator=generator).to(x)
            landed = X(k / steps, 1.0, (1 - k / steps) * z + k / steps * landed)
        out.append(landed)
    return torch.cat(out)
