r"""The losses: flow matching on the diagonal, and the three conditions off it.

A map X_{s,t}(x) = x + (t - s) v_{s,t}(x) is the flow map of the velocity b if v_{t,t} = b (the
diagonal) and any one of the three conditions holds (off it):

    Lagrangian   d/dt X_{s,t}(x) = v_{t,t}(X_{s,t}(x))
    Eulerian     d/ds X_{s,t}(x) + grad X_{s,t}(x) v_{s,s}(x) = 0
    semigroup    X_{u,t}(X_{s,u}(x)) = X_{s,t}(x)

Each function returns the squared residual of one of them, summed over a sample's entries, shape
(B,). Reading v_{t,t} from the map that is being trained makes it self-distillation; reading it
from a frozen teacher (`velocity=`) makes it distillation.

A stop-gradient says which part of a residual is held fixed, as if a teacher had given it. It
never changes the loss's value, only its gradient.
Source: Boffi, Albergo & Vanden-Eijnden 2025, arXiv 2505.18825.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu._batch import Batch, Diagonal, Jumps
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import per_sample

__all__ = [
    "STOPGRADS", "Batch", "Diagonal", "Jumps", "diagonal", "eulerian", "lagrangian", "matching", "semigroup",
    "sum_square",
]  # fmt: skip

Velocity = Callable[[Tensor, Tensor], Tensor] | Tensor

STOPGRADS = {  # condition: its stop-gradients, the one that the source recommends last
    "lagrangian": ("none", "semi", "convex"),
    "eulerian": ("none", "convex", "semi", "full"),
    "semigroup": ("none", "convex"),
}


def __dir__() -> list[str]:
    return sorted(__all__)


def sum_square(residual: Tensor) -> Tensor:
    """|r|^2, summed over all axes but the first: (B, *D) -> (B,)."""
    return residual.square().flatten(1).sum(1)


def target_velocity(X: FlowMap, t: Tensor, x: Tensor, velocity: Velocity | None, detach: bool) -> Tensor:
    """The velocity at (t, x): the map's own diagonal, or `velocity` where one is given; without gradient if detach."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and not detach):
        if velocity is None:
            return X.velocity(t, x)
        b = velocity(t, x) if callable(velocity) else velocity
    checks.same_shape("x", x, "the velocity", b)
    return b.detach() if detach else b


def diagonal(X: FlowMap, t: Tensor, x: Tensor, target: Tensor) -> Tensor:
    """Flow matching: |v_{t,t}(x) - target|^2.

    Its minimiser over v is the conditional mean E[target | x], the velocity b_t(x); its least
    mean value is not zero but the variance that x leaves open (`exact.*.irreducible_loss`).

    Args:
        t: times, shape (B,).
        x: the interpolant I_t, shape (B, *D).
        target: dI_t, or a better estimate of its mean given I_t, shape (B, *D).

    Returns:
        one value a sample, shape (B,).

    Raises:
        ValueError: if a shape is wrong or a time leaves [0, 1].

    Source: Albergo & Vanden-Eijnden 2023; Lipman et al. 2023.
    """
    checks.points("x", x)
    checks.same_shape("x", x, "target", target)
    return sum_square(X.velocity(t, x) - target)


def lagrangian(
    X: FlowMap, s: Tensor, t: Tensor, x: Tensor, *, stopgrad: str = "convex", velocity: Velocity | None = None
) -> Tensor:
    """Lagrangian residual, squared: |d/dt X_{s,t}(x) - v_{t,t}(X_{s,t}(x))|^2.

    Move the end time: the landing point must move with the velocity found where it lands.

    Args:
        s, t: start and end times, shape (B,), s <= t.
        x: points at time s, shape (B, *D).
        stopgrad: "convex" holds the whole second term fixed, the point it is read at included;
            "semi" holds all but the leading v of d/dt X = v + (t - s) d/dt v; "none" lets the
            gradient through everything.
        velocity: replaces v_{t,t}: a callable (t, x), or its values at (t, X_{s,t}(x)).

    Returns:
        one value a sample, shape (B,).

    Raises:
        ValueError: if s > t, a time leaves [0, 1], a shape is wrong or the stopgrad is unknown.

    Source: Boffi, Albergo & Vanden-Eijnden 2025, Lagrangian self-distillation (LSD).
    """
    checks.one_of("stopgrad", stopgrad, STOPGRADS["lagrangian"])
    s, t = checks.times(x, s=s, t=t)
    detach = stopgrad != "none"
    with torch.set_grad_enabled(torch.is_grad_enabled() and stopgrad != "semi"):
        X_st, dX_dt = X.partial_t(s, t, x)  # (B, *D) each
    residual = dX_dt - target_velocity(X, t, X_st, velocity, detach)  # detached: through the landing point as well
    if stopgrad == "semi":
        slope = X.v(s, t, x)
        residual = residual + slope - slope.detach()  # its value, and the gradient of v
    return sum_square(residual)


def matching(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, dx: Tensor) -> Tensor:
    """Flow map matching, there and back: |d/ds X_{t,s}(y) - dI_s|^2 + |X_{t,s}(y) - I_s|^2 with y = X_{s,t}(I_s).

    The Lagrangian condition of the way back, which lands on the sample: there the sample's slope stands for the
    velocity, as in flow matching. The second term makes the way back undo the way there. No part is held fixed.

    Args:
        s, t: times, shape (B,), in either order: the map must know both ways.
        x, dx: the interpolant I_s and its slope dI_s, shape (B, *D).

    Returns:
        one value a sample, shape (B,). As for flow matching, its least mean is not zero.

    Raises:
        ValueError: if a time leaves [0, 1] or a shape is wrong.

    Source: Boffi, Albergo & Vanden-Eijnden 2024, arXiv 2406.07507, with their s and t exchanged.
    """
    checks.points("x", x)
    checks.same_shape("x", x, "dx", dx)
    back, moved = X.partial_t(t, s, X(s, t, x))  # (B, *D) each
    return sum_square(moved - dx) + sum_square(back - x)


def eulerian(
    X: FlowMap,
    s: Tensor,
    t: Tensor,
    x: Tensor,
    *,
    stopgrad: str = "full",
    velocity: Velocity | None = None,
    first_term: Tensor | None = None,
    ramp: float | Tensor = 1.0,
    difference: float = 0.0,
) -> Tensor:
    """Eulerian residual, squared: |d/ds X_{s,t}(x) + grad X_{s,t}(x) v_{s,s}(x)|^2.

    Move the start: slide the point along the flow while the clock runs, and the landing point
    must not move.

    Args:
        s, t: start and end times, shape (B,), s <= t.
        x: points at time s, shape (B, *D).
        stopgrad: "full" holds grad X . v_{s,s} fixed; "convex" holds only v_{s,s}, so that the
            residual is linear in v and the loss convex in it; "none" lets the gradient through
            everything. "full" is the source's choice, but its step is not the
            gradient of any loss: an error of wave number k and frequency w in s is multiplied at the
            rate -(1 + d^2 w (w + k . b)) with d = t - s, so waves with d |k . b| > 2 can grow. A
            network that can draw such waves (Fourier features) diverges; under "convex" the rate
            is -(1 + d^2 (w + k . b)^2), and none grows. "semi" writes the residual as
            -v + [b + (t - s) (d/ds v + grad v . b)] and holds the bracket; its rate is 1 - i d (w + k . b), so
            none grows. Under "semi" and "full" the gradient is linear in b, whose mean is then all that counts: b
            may be replaced by anything with that mean, the sample's own slope too.
        velocity: replaces v_{s,s}: a callable (t, x), or its values at (s, x).
        first_term: with "semi", replaces the first b of the bracket, the one that stands alone, shape (B, *D).
        ramp: with "semi", a factor r in [0, 1] before (t - s), the tangent warm-up of consistency models.
        difference: as in `FlowMap.eulerian`; not with "full".

    Returns:
        one value a sample, shape (B,).

    Raises:
        ValueError: if s > t, a time leaves [0, 1], a shape is wrong or the stopgrad is unknown.

    Source: Boffi, Albergo & Vanden-Eijnden 2025, Eulerian self-distillation (ESD).
    """
    checks.one_of("stopgrad", stopgrad, STOPGRADS["eulerian"])
    s, t = checks.times(x, s=s, t=t)
    checks.semi(x, stopgrad, first_term, ramp, difference)
    b = target_velocity(X, s, x, velocity, detach=stopgrad != "none")
    if stopgrad == "full":
        with torch.no_grad():
            pushed = X.push(s, t, x, b)[1]
        return sum_square(X.partial_s(s, t, x)[1] + pushed)
    with torch.set_grad_enabled(torch.is_grad_enabled() and stopgrad != "semi"):
        residual = X.eulerian(s, t, x, b, difference=difference)[1]
    if stopgrad == "semi":
        slope = X.v(s, t, x)
        tangent = residual + slope.detach() - b  # (t - s) (d/ds v + grad v . b)
        residual = (b if first_term is None else first_term) + ramp * tangent - slope
    return sum_square(residual)


def semigroup(
    X: FlowMap,
    s: Tensor,
    u: Tensor,
    t: Tensor,
    x: Tensor,
    *,
    stopgrad: str = "convex",
    velocity_form: bool = True,
    short: FlowMap | None = None,
    velocity: Velocity | None = None,
    onward: FlowMap | None = None,
) -> Tensor:
    """Semigroup residual, squared: |v_{s,t}(x) - [(1-h) v_{s,u}(x) + h v_{u,t}(X_{s,u}(x))]|^2.

    One jump from s to t must equal two, over u = h s + (1-h) t. The bracket is the average slope
    of the two short jumps: the residual is that of X_{s,t}(x) = X_{u,t}(X_{s,u}(x)) over (t - s).

    Args:
        s, u, t: start, middle and end times, shape (B,), s <= u <= t.
        x: points at time s, shape (B, *D).
        stopgrad: "convex" holds the two short jumps fixed; "none" lets the gradient through all.
        velocity_form: True for the residual in v, as above; False for the one in X, which has
            the weight (t - s)^2.
        short: the map that makes the two short jumps: None for X itself, or a teacher.
        velocity: replaces v_{s,u}, the slope of the first short jump: a callable (s, x), or its values.
        onward: a map of frozen weights that carries both landing points on to time 1, where they are compared:
            |onward_{t,1}(X_{s,t}(x)) - onward_{t,1}(X_{u,t}(X_{s,u}(x)))|^2; None: they are compared where they land.

    Returns:
        one value a sample, shape (B,).

    Raises:
        ValueError: if the times are out of order or outside [0, 1], a shape is wrong, the
            stopgrad is unknown, or velocity_form is False with `onward`.

    Source: Boffi, Albergo & Vanden-Eijnden 2025, progressive self-distillation (PSD).
    """
    checks.one_of("stopgrad", stopgrad, STOPGRADS["semigroup"])
    s, u, t = checks.times(x, s=s, u=u, t=t)
    one_jump = X.v(s, t, x)
    h = per_sample((t - u) / (t - s).clamp_min(torch.finfo(x.dtype).tiny), x)  # at s = t both slopes agree
    short = X if short is None else short
    with torch.set_grad_enabled(torch.is_grad_enabled() and stopgrad == "none"):
        first = (
            short.v(s, u, x) if velocity is None else target_velocity(X, s, x, velocity, detach=stopgrad == "convex")
        )
        second = short.v(u, t, x + per_sample(u - s, x) * first)
        two_jumps = (1 - h) * first + h * second
    if onward is not None:
        checks.one_of("velocity_form with onward", velocity_form, (True,))
        ends = (x + per_sample(t - s, x) * slope for slope in (one_jump, two_jumps))
        here, there = (onward(t, torch.ones_like(t), end) for end in ends)
        return sum_square(here - there)
    residual = one_jump - two_jumps
    return sum_square(residual if velocity_form else per_sample(t - s, x) * residual)
