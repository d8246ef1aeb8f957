"""The exercises of lesson 06: a teacher in the losses, where it is asked, its own flow, and stages of maps."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import curved, parameters, points, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.losses import Batch, Diagonal, Jumps

Velocity = Callable[[Tensor, Tensor], Tensor]
TEACHER = curved(seed=3)


def jumps() -> list[tuple[Any, ...]]:
    """A map, six jumps and a teacher; and the same with the map itself for a teacher."""
    s, t = times(6)
    X = curved()
    return [(X, s, t, points(6), TEACHER.velocity), (X, s, t, points(6), X.velocity)]


def lagrangian(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, b: Velocity, how: str = "right") -> Tensor:
    """|d/dt X - b_t(X)|^2 with the second term held; `how` names a mistake."""
    landed, moves = X.partial_t(s, t, x)
    with torch.set_grad_enabled(how == "no cut"):
        point = x if how == "at x" else landed
        target = X.velocity(t, point) if how == "own" else b(s if how == "at s" else t, point)
    return moves.sub(target).pow(2).sum(1)


def eulerian(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, b: Velocity, how: str = "right") -> Tensor:
    """|d/ds X + grad X b_s(x)|^2 with b held; `how` names a mistake."""
    with torch.set_grad_enabled(how == "no cut"):
        w = X.velocity(s, x) if how == "own" else b(t, X(s, t, x)) if how == "landed" else b(s, x)
    pushed, moves = X.push(s, t, x, w)[1], X.partial_s(s, t, x)[1]
    if how == "full":
        pushed = pushed.detach()
    return (moves - pushed if how == "minus" else moves + (w if how == "no grad" else pushed)).pow(2).sum(1)


def mistaken(f: Callable[..., Any], how: str) -> Callable[..., Any]:
    """A function with one mistake."""
    return lambda *case: f(*case, how=how)


def batches() -> list[tuple[Any, ...]]:
    """A batch, with a teacher in no place, in one of them and in both."""
    (r,), (s, t) = times(5, 1), times(4, seed=2)
    X, b = curved(), TEACHER.velocity
    batch = Batch(Diagonal(r, points(5), points(5, seed=2)), Jumps(s, (s + t) / 2, t, points(4, seed=3)))
    return [(X, batch, lagrangian, on, off) for on in (None, b) for off in (None, b)]


def loss(X: FlowMap, batch: Batch, residual: Any, on: Any, off: Any, how: str = "right") -> Tensor:
    """Both parts of the loss with a teacher, or none, for each; `how` names a mistake."""
    first, second = (off, on) if how == "swapped" else (on, on) if how == "on for both" else (on, off)
    t, x, target = batch.diagonal[:3]
    if first is not None and how != "never":
        target = first(t, x).detach()
    s, _, end, start = batch.jumps[:4]
    square = residual(X, s, end, start, second if second is not None else X.velocity)
    values = torch.cat([X.velocity(t, x).sub(target).pow(2).sum(1), square])
    return values.sum() if how == "sum" else values.mean()


def asked(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(s, x) and (t, X_{s,t}(x))."""
    return (s, x), (t, X(s, t, x))


def bare_jumps() -> list[tuple[Any, ...]]:
    """A map and six jumps."""
    return [case[:4] for case in jumps()[:1]]


def euler(b: Velocity, x: Tensor, steps: int, first: int = 0) -> Tensor:
    """Equal Euler steps along b."""
    for k in range(steps):
        x = x + b(torch.full((len(x),), (k + first) / steps).to(x), x) / steps
    return x


def starts() -> list[tuple[Any, ...]]:
    """A velocity, five points, and seven steps."""
    return [(TEACHER.velocity, points(5), 7)]


def two(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, how: str = "right") -> Tensor:
    """The mean slope of two jumps over the middle; `how` names a mistake."""
    u = t / 2 if how == "middle" else (s + t) / 2
    with torch.set_grad_enabled(how == "no cut"):
        landed = X(u, t, x if how == "from x" else X(s, u, x))
    return landed if how == "point" else (landed - x) / (1 if how == "no length" else (t - s)[:, None])


def pairs(r: Tensor, length: float) -> tuple[Tensor, Tensor]:
    """The cell of the grid of this length that holds r: its two ends."""
    s = length * (r / length).floor()
    return s, s + length


def residual(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """|d/dt X_{s,t}(x) - v_{t,t}(X_{s,t}(x))|^2."""
    landed, moves = X.partial_t(s, t, x)
    return moves.sub(X.velocity(t, landed)).pow(2).sum(1)


EXERCISES = {
    "06.1": Exercise(
        asks="the Lagrangian loss with the velocity b, one value a sample, shape (B,)",
        shown="Distillation and self-distillation are one function: only the velocity that it is given differs.",
        right=lagrangian,
        cases=jumps,
        parameters=parameters,
        mistakes={
            "The map's own velocity is read. The velocity b that is given has to be read.": mistaken(lagrangian, "own"),
            "The velocity is read at the start x. It has to be read where the jump lands.": mistaken(
                lagrangian, "at x"
            ),
            "The velocity is read at the time s. The landing point is there at the time t.": mistaken(
                lagrangian, "at s"
            ),
            "The target still carries a gradient, through b or through the landing point.": (
                mistaken(lagrangian, "no cut")
            ),
        },
    ),
    "06.2": Exercise(
        asks='the Eulerian loss with the velocity b and the stop-gradient "convex", shape (B,)',
        shown="The Eulerian loss asks its teacher at the start of the jump, where the sample is.",
        right=eulerian,
        cases=jumps,
        parameters=parameters,
        mistakes={
            "The map's own velocity is read. The velocity b that is given has to be read.": mistaken(eulerian, "own"),
            "The velocity is read at the landing point. Here the start moves: read it at (s, x).": (
                mistaken(eulerian, "landed")
            ),
            "grad X is missing before the velocity.": mistaken(eulerian, "no grad"),
            "The two terms are subtracted. Clock and point move together, so their effects add.": (
                mistaken(eulerian, "minus")
            ),
            'The pushed velocity is held too: that is "full". Under "convex" only b is held.': mistaken(
                eulerian, "full"
            ),
            "b still carries a gradient.": mistaken(eulerian, "no cut"),
        },
    ),
    "06.3": Exercise(
        asks="the mean loss of the batch, one number",
        shown="A teacher enters in two places, and each place can be changed alone.",
        right=loss,
        cases=batches,
        parameters=parameters,
        mistakes={
            "The two teachers are swapped: `on` is for the diagonal, `off` for the residual.": mistaken(
                loss, "swapped"
            ),
            "The same teacher is used in both places.": mistaken(loss, "on for both"),
            "The target of the batch is used although there is a teacher for the diagonal.": mistaken(loss, "never"),
            "The values are summed over the batch. Their mean is wanted.": mistaken(loss, "sum"),
        },
    ),
    "06.4": Exercise(
        asks="two pairs (time, points): where the Eulerian loss asks its teacher, and where the Lagrangian one does",
        shown="The Eulerian loss asks at data that is given, the Lagrangian one at points that the pupil makes.",
        right=asked,
        cases=bare_jumps,
        mistakes={
            "The two are in the wrong order.": lambda *case: asked(*case)[::-1],
            "The landing point is there at the time t, not at s.": lambda X, s, t, x: ((s, x), (s, X(s, t, x))),
            "Both ask at the start. The Lagrangian loss moves the end.": lambda _, s, t, x: ((s, x), (t, x)),
            "Both ask at the end. The Eulerian loss moves the start.": lambda X, s, t, x: (
                (t, X(s, t, x)),
                (t, X(s, t, x)),
            ),
        },
    ),
    "06.5": Exercise(
        asks="where `steps` equal Euler steps along b carry x from time 0 to time 1, shape (B, 2)",
        shown="This is where a perfect pupil would land, up to the error of the steps.",
        right=euler,
        cases=starts,
        mistakes={
            "The time does not move: each step reads the velocity at t = 0.": lambda b, x, steps: euler(
                lambda t, y: b(0 * t, y), x, steps
            ),
            "Each step reads the velocity at its end. Euler's method reads it at the start of the step.": (
                lambda b, x, steps: euler(b, x, steps, first=1)
            ),
            "The step is not multiplied by its length 1 / steps.": lambda b, x, steps: euler(
                lambda t, y: steps * b(t, y), x, steps
            ),
            "The velocity is always read at the first point.": lambda b, x, steps: (
                x + sum(b(torch.full((len(x),), k / steps).to(x), x) / steps for k in range(steps))
            ),
        },
    ),
    "06.6": Exercise(
        asks="the mean slope of the teacher's two jumps, without gradient, shape (B, 2)",
        shown="Here the teacher is a map, and the condition is the semigroup's.",
        right=two,
        cases=bare_jumps,
        parameters=parameters,
        mistakes={
            "The second jump starts at x. It has to start where the first one lands.": mistaken(two, "from x"),
            "The middle of the jump is (s + t) / 2.": mistaken(two, "middle"),
            "This is the landing point. The mean slope on the way there is wanted.": mistaken(two, "point"),
            "The way is not divided by the time that it took.": mistaken(two, "no length"),
            "The teacher still carries a gradient.": mistaken(two, "no cut"),
        },
    ),
    "06.7": Exercise(
        asks="the start and the end of the jump, shape (B,) each",
        shown="In a stage all jumps have one length, and start at its multiples.",
        right=pairs,
        cases=lambda: [(times(9, 1)[0], 0.25), (times(9, 1)[0], 0.5)],
        mistakes={
            "The start is not a multiple of the length: round r down to one.": lambda r, length: (r, r + length),
            "The start is rounded to the nearest multiple, so that a jump can end after 1.": lambda r, length: (
                length * (r / length).round(),
                length * (r / length).round() + length,
            ),
            "The start is the number of the cell. Multiply it by the length.": lambda r, length: (
                (r / length).floor(),
                (r / length).floor() + length,
            ),
            "Every jump ends at 1.": lambda r, length: (pairs(r, length)[0], torch.ones_like(r)),
        },
    ),
    "06.8": Exercise(
        asks="the limit of the semigroup loss in velocity form over e^2, shape (B,)",
        shown="The semigroup loss with a short second jump is the Lagrangian loss, up to a weight.",
        right=lambda X, s, t, x: residual(X, s, t, x) / (t - s).square(),
        cases=bare_jumps,
        mistakes={
            "That is the limit of the form in X. The form in v is divided by the length of the whole jump.": residual,
            "The weight is not squared.": lambda X, s, t, x: residual(X, s, t, x) / (t - s),
            "The weight is on the wrong side: long jumps weigh less here.": lambda X, s, t, x: (
                residual(X, s, t, x) * (t - s).square()
            ),
            "The square is missing.": lambda X, s, t, x: residual(X, s, t, x).sqrt() / (t - s),
        },
    ),
}
