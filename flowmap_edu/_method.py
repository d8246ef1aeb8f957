"""What a method is, and the loss that its choices describe. The table of known ones is in methods.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu import losses
from flowmap_edu._weights import OF_THE_RESIDUAL, WEIGHTS
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.times import LEVELS, MOVING, moved

TIMES = ("triangle", "square", "from zero", "to one", "grid", "segments", "dyadic")
VELOCITIES = ("self", "average", "sample", "teacher")
WEIGHT_OF_ENDS = 4.0  # of a sample among the ends, by trials on the checkerboard
SAMPLERS = {"from zero": "once", "to one": "restarts", "grid": "restarts", "segments": "segments"}  # of these times


@dataclass(frozen=True)
class Method:
    """The choices that make a method, and where they come from.

    Attributes:
        title: the method's name in full.
        condition: "lagrangian", "eulerian", "semigroup"; "diagonal" for flow matching alone.
        velocity: who gives the velocity in the residual: "self" (the diagonal v_{t,t}), "average" (that of the
            weights' moving average), "sample" (dI_s) or "teacher". In the semigroup it is the slope of the first short
            jump; "self" is that of `short`. "sample" is right in the mean only where the gradient is linear in it:
            Eulerian "semi" and "full", semigroup "convex", with a weight that does not depend on the residual. In the
            Lagrangian condition it is `losses.matching`, for jumps that land on the sample.
        stopgrad: as in losses.py.
        times: "triangle" (all s <= t), "square" (s and t in either order, for `losses.matching` alone), "from zero"
            (s = 0), "to one" (t = 1), "grid" (t = 1, s = k/64, u the next point), "segments" (t the end of s's half of
            [0, 1]; u 0.001 after s, or t itself from 0.9 on) or "dyadic" (t - s = 2^-k, s a multiple of it).
        middle: the semigroup's u: "half" way, "uniform" between s and t, the "next" point of a grid or segment, or a
            name in `times.MOVING`: nearer to s as the training goes on.
        short: the map that makes the semigroup's short jumps: "self", "average" (its moving average)
            or "teacher".
        points: where the semigroup's jumps start: on the "path", at I_s, or on a teacher's "trajectory", which is then
            its two short jumps as well: the jump from s to t is compared with the steps of a solver.
        compared: where the semigroup compares its two points: at the "landing", or carried on "to one" by the moving
            average, `onward` in losses.semigroup.
        weight: a name in WEIGHTS: the factor on a sample's squared residual, itself held fixed.
        first_term: "sample" puts dI_s where the Eulerian bracket has the velocity alone ("semi" only).
        tangent_warmup: share of the training in which the Eulerian tangent is ramped up from 0 ("semi" only), or a
            moving middle goes from its first place to its last.
        difference: step of the central difference that replaces the Eulerian derivative of v; 0: the derivative.
        diagonal: share of the batch for flow matching, where the source fixes it; None: the recipe's.
        stages: times that a frozen teacher is renewed: 0 without, 1 for distillation, more for progressive.
        source: the publication.
        their_time: which end is noise in the source, and how its times translate.
        substitution: what turns the source's formula into this row.
        departs: where the source's practice is not this row, or this library's not the source's.

    Raises:
        ValueError: for an unknown choice, a value out of its range, or choices that contradict each other.
    """

    title: str
    condition: str
    velocity: str = "self"
    stopgrad: str = "convex"
    times: str = "triangle"
    middle: str = "half"
    short: str = "self"
    points: str = "path"
    compared: str = "landing"
    weight: str = "one"
    first_term: str | None = None
    tangent_warmup: float = 0.0
    difference: float = 0.0
    diagonal: float | None = None
    stages: int = 0
    source: str = ""
    their_time: str = ""
    substitution: str = ""
    departs: str = ""

    def __post_init__(self) -> None:
        checks.plain_fields(self)
        checks.one_of("condition", self.condition, ("diagonal", *losses.STOPGRADS))
        checks.one_of("velocity", self.velocity, VELOCITIES)
        checks.one_of("times", self.times, TIMES)
        checks.one_of("middle", self.middle, ("half", "uniform", "next", *MOVING))
        checks.one_of("short", self.short, ("self", "average", "teacher"))
        checks.one_of("points", self.points, ("path", "trajectory"))
        checks.one_of("compared", self.compared, ("landing", "to one"))
        checks.one_of("weight", self.weight, WEIGHTS)
        checks.one_of("first_term", self.first_term, (None, "sample"))
        checks.share("tangent_warmup", self.tangent_warmup)
        checks.share("difference", self.difference)
        checks.share("diagonal", 0.0 if self.diagonal is None else self.diagonal)
        checks.whole("stages", self.stages)
        if self.condition != "diagonal":
            checks.one_of("stopgrad", self.stopgrad, losses.STOPGRADS[self.condition])
        refuse_contradictions(self)

    @property
    def needs_teacher(self) -> bool:
        """Whether the method reads a frozen teacher."""
        return self.condition != "diagonal" and "teacher" in (self.velocity, self.short)

    @property
    def sampler(self) -> str:
        """How its maps are sampled, a name in `sample.SAMPLERS`: Euler's method where only the diagonal is trained, one
        jump where the map is known for s = 0 only, restarts where it is known for t = 1 only, steps along the jump to
        the segment's end, jumps otherwise.
        """
        return "euler" if self.condition == "diagonal" else SAMPLERS.get(self.times, "jumps")


def refuse_contradictions(method: Method) -> None:
    """Raise ValueError for choices of a method that do not go together."""
    back = (method.condition, method.velocity) == ("lagrangian", "sample")
    if back != (method.times == "square") or (back and method.stopgrad != "none"):
        raise ValueError(
            "the Lagrangian condition reads the velocity where the map lands, and a jump that starts at a sample lands "
            "on none: the sample's slope serves only a jump that comes back to it, as in flow map matching (arXiv "
            f"2406.07507). So velocity 'sample', times 'square' and stopgrad 'none' go together, got "
            f"{method.condition!r}, {method.velocity!r}, {method.times!r} and {method.stopgrad!r}"
        )
    if method.times == "from zero" and method.condition != "lagrangian":
        raise ValueError(
            f"times 'from zero' are for the Lagrangian condition, which stays at its s; got {method.condition!r}"
        )
    choices = (method.condition, method.velocity, method.times)
    if method.points == "trajectory" and choices != ("semigroup", "teacher", "grid"):
        raise ValueError(f"points 'trajectory' go with 'semigroup', velocity 'teacher' and times 'grid', got {choices}")
    if method.compared == "to one" and choices[::2] != ("semigroup", "triangle"):
        raise ValueError(f"compared 'to one' goes with 'semigroup' and times 'triangle', got {choices[::2]}")
    moves, semi = method.middle in MOVING, (method.condition, method.stopgrad) == ("eulerian", "semi")
    if not semi and (method.first_term or (method.tangent_warmup and not moves)):
        raise ValueError("first_term and tangent_warmup belong to the Eulerian condition with the stopgrad 'semi'")
    if method.difference and (method.condition != "eulerian" or method.stopgrad == "full"):
        raise ValueError("difference belongs to the Eulerian condition with a stopgrad other than 'full'")
    wanted = ("triangle", "to one") if method.middle != "stages" else ("to one",)
    if moves and (method.condition != "semigroup" or method.times not in wanted or not method.tangent_warmup):
        raise ValueError(
            f"middle {method.middle!r} moves in the share tangent_warmup of a training: it goes with the semigroup "
            f"condition, times {' or '.join(map(repr, wanted))} and a tangent_warmup above 0, got "
            f"{method.condition!r}, {method.times!r} and {method.tangent_warmup}"
        )
    if (method.middle == "next") != (method.times in ("grid", "segments")):
        came = f"{method.middle!r} and {method.times!r}"
        raise ValueError(f'middle "next" goes with times "grid" or "segments", got {came}')
    if method.needs_teacher != (method.stages > 0):
        came = f"stages={method.stages}, needs_teacher={method.needs_teacher}"
        raise ValueError(f"stages must be above 0 exactly if a teacher is read, got {came}")


def euler_where(X: FlowMap, chosen: Callable[[Tensor, Tensor], Tensor]) -> FlowMap:
    """X, but with the jumps from s to t that are `chosen` made by one Euler step along its diagonal."""

    def v(s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return X.v(s, torch.where(chosen(s, t), s, t), x)

    return FlowMap(v)


def loss(
    X: FlowMap,
    batch: losses.Batch,
    method: Method,
    *,
    teacher: FlowMap | None = None,
    average: FlowMap | None = None,
    ramp: float | Tensor = 1.0,
) -> Tensor:
    """What a method minimises over one batch: flow matching on the diagonal, the weighted residual at the jumps.

    weight(|r|^2, s, u, t) |r|^2, with r the residual of the method's condition and the weight held fixed. The ends, if
    there are any, obey the semigroup condition, whatever the method: WEIGHT_OF_ENDS times the squared residual of
    X_{s,1}(x) = y + (1 - u) v_{u,u}(y) over 1 - s, with y = X_{s,u}(x) and the right side held fixed.

    Args:
        X: the map in training.
        batch: from `training.draw_batch`, or made by hand; a part may be empty.
        method: from METHODS, or composed.
        teacher: the frozen map of a method that needs one; its diagonal is the velocity.
        average: the moving average of X, for a method whose velocity or short jumps it gives; None: X itself. Where
            points are compared at time 1 it carries them there: no gradient should reach its weights.
        ramp: where the tangent's warm-up stands, or a moving middle, from 0 to 1. The latter's u is not read from the
            batch.

    Returns:
        one value a sample, shape (D + J + E,): those of the diagonal, of the jumps, of the ends.

    Raises:
        ValueError: if the method needs a teacher or the samples' slopes and there is none, the batch has nothing that
            the method trains on, or whatever the single losses refuse.
    """
    parts, (diagonal, jumps, ends) = [], batch
    if method.middle in MOVING:
        jumps = jumps._replace(u=moved(method.middle, jumps.s, jumps.t, ramp))
    if len(diagonal.t):
        square = losses.diagonal(X, diagonal.t, diagonal.x, diagonal.target)
        of_the_residual = method.weight in OF_THE_RESIDUAL
        parts.append(weighted(method, square, diagonal.t, diagonal.t, diagonal.t) if of_the_residual else square)
    if len(jumps.s) and method.condition != "diagonal":
        square = residual(X, jumps, method, teacher, average, ramp)
        parts.append(weighted(method, square, jumps.s, jumps.u, jumps.t))
    if ends is not None and len(ends.s):
        short = euler_where(X, lambda _, t: t == 1)
        parts.append(WEIGHT_OF_ENDS * losses.semigroup(X, ends.s, ends.u, ends.t, ends.x, short=short))
    if not parts:
        raise ValueError(
            f"{method.title} finds nothing to train on: the batch has {len(diagonal.t)} samples on the diagonal and "
            f"{len(jumps.s)} jumps"
        )
    return torch.cat(parts)


def weighted(method: Method, square: Tensor, s: Tensor, u: Tensor, t: Tensor) -> Tensor:
    """The method's weight, held fixed, times the squared residual; shape (B,)."""
    return WEIGHTS[method.weight](square.detach(), s, u, t) * square


def residual(
    X: FlowMap,
    jumps: losses.Jumps,
    method: Method,
    teacher: FlowMap | None,
    average: FlowMap | None,
    ramp: float | Tensor,
) -> Tensor:
    """The squared residual of the method's condition at the jumps, shape (J,)."""
    s, u, t, x, dx, _ = jumps
    if method.needs_teacher and teacher is None:
        raise ValueError(f"{method.title} reads a teacher, got none: pass teacher=, a FlowMap")
    if ("sample" in (method.velocity, method.first_term) or method.points == "trajectory") and dx is None:
        raise ValueError(f"{method.title} reads the samples' own slopes, the batch's jumps have no dx")
    if method.compared == "to one" and average is None:
        raise ValueError(f"{method.title} compares at time 1, got no map that leads there: pass average=, a frozen one")
    slow = average or X
    of = {"self": None, "average": slow.velocity, "sample": dx, "teacher": teacher and teacher.velocity}
    velocity = of[method.velocity]
    if method.times == "square":
        return losses.matching(X, s, t, x, cast(Tensor, dx))
    if method.condition == "lagrangian":
        return losses.lagrangian(X, s, t, x, stopgrad=method.stopgrad, velocity=velocity)
    if method.condition == "eulerian":
        more: dict[str, Any] = {"difference": method.difference}
        if method.stopgrad == "semi":
            more |= {"first_term": dx if method.first_term else None, "ramp": ramp}
        return losses.eulerian(X, s, t, x, stopgrad=method.stopgrad, velocity=velocity, **more)
    if method.points == "trajectory":  # dx is the average slope of the solver's steps from s to t
        return losses.sum_square(X.v(s, t, x) - cast(Tensor, dx))
    short = {"self": X, "average": slow, "teacher": teacher or X}[method.short]
    if method.times == "dyadic":
        short = euler_where(short, lambda s, t: t - s <= 2.0**-LEVELS)
    onward = average if method.compared == "to one" else None
    return losses.semigroup(X, s, u, t, x, stopgrad=method.stopgrad, short=short, velocity=velocity, onward=onward)
