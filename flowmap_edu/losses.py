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
from typing import NamedTuple

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import per_sample

Velocity = Callable[[Tensor, Tensor], Tensor] | Tensor

STOPGRADS = {  # condition: its stop-gradients, the one that the source recommends last
    "lagrangian": ("none", "semi", "convex"),
    "eulerian": ("none", "convex", "semi", "full"),
    "semigroup": ("none", "convex"),
}
METHODS = {"lsd": "lagrangian", "esd": "eulerian", "psd-m": "semigroup", "psd-u": "semigroup"}


def sum_square(residual: Tensor) -> Tensor:
    """|r|^2, summed over all axes but the first: (B, *D) -> (B,)."""
    return residual.square().flatten(1).sum(1)


def read_velocity(X: FlowMap, t: Tensor, x: Tensor, velocity: Velocity | None, held: bool) -> Tensor:
    """The velocity at (t, x): the map's own diagonal or the teacher's; without gradient if held."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and not held):
        if velocity is None:
            return X.velocity(t, x)
        b = velocity(t, x) if callable(velocity) else velocity
    checks.same_shape("the velocity", b, "x", x)
    return b.detach() if held else b


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
    checks.ordered("s", s, "t", t)
    held = stopgrad != "none"
    with torch.set_grad_enabled(torch.is_grad_enabled() and stopgrad != "semi"):
        X_st, dX_dt = X.partial_t(s, t, x)  # (B, *D) each
    residual = dX_dt - read_velocity(X, t, X_st, velocity, held)  # held: no gradient through the landing point either
    if stopgrad == "semi":
        slope = X.v(s, t, x)
        residual = residual + slope - slope.detach()  # its value, and the gradient of v
    return sum_square(residual)


def eulerian(
    X: FlowMap,
    s: Tensor,
    t: Tensor,
    x: Tensor,
    *,
    stopgrad: str = "full",
    velocity: Velocity | None = None,
    lead: Tensor | None = None,
    ramp: float | Tensor = 1.0,
) -> Tensor:
    """Eulerian residual, squared: |d/ds X_{s,t}(x) + grad X_{s,t}(x) v_{s,s}(x)|^2.

    Move the start: slide the point along the flow while the clock runs, and the landing point
    must not move.

    Args:
        s, t: start and end times, shape (B,), s <= t.
        x: points at time s, shape (B, *D).
        stopgrad: "full" holds grad X . v_{s,s} fixed; "convex" holds only v_{s,s}, so that the
            residual is linear in v and the loss convex in it; "none" lets the gradient through
            everything. "full" is the source's choice and the cheapest, but its step is not the
            gradient of any loss: an error of wave number k and frequency w in s is multiplied at the
            rate -(1 + d^2 w (w + k . b)) with d = t - s, so waves with d |k . b| > 2 can grow. A
            network that can draw such waves (Fourier features) diverges; under "convex" the rate
            is -(1 + d^2 (w + k . b)^2), and none grows. "semi" writes the residual as
            -v + [b + (t - s) (d/ds v + grad v . b)] and holds the bracket, whose mean is then all
            that counts: b may be replaced by anything with that mean, the sample's own slope too.
        velocity: replaces v_{s,s}: a callable (t, x), or its values at (s, x).
        lead: with "semi", replaces the b that stands alone in the bracket, shape (B, *D).
        ramp: with "semi", a factor r in [0, 1] before (t - s), the tangent warm-up of consistency models.

    Returns:
        one value a sample, shape (B,).

    Raises:
        ValueError: if s > t, a time leaves [0, 1], a shape is wrong or the stopgrad is unknown.

    Source: Boffi, Albergo & Vanden-Eijnden 2025, Eulerian self-distillation (ESD).
    """
    checks.one_of("stopgrad", stopgrad, STOPGRADS["eulerian"])
    checks.ordered("s", s, "t", t)
    if stopgrad != "semi" and (lead is not None or isinstance(ramp, Tensor) or ramp != 1.0):
        raise ValueError(f"lead and ramp belong to the stopgrad 'semi', got them with {stopgrad!r}")
    b = read_velocity(X, s, x, velocity, held=stopgrad != "none")
    if stopgrad == "full":
        with torch.no_grad():
            pushed = X.push(s, t, x, b)[1]
        return sum_square(X.partial_s(s, t, x)[1] + pushed)
    with torch.set_grad_enabled(torch.is_grad_enabled() and stopgrad != "semi"):
        residual = X.eulerian(s, t, x, b)[1]
    if stopgrad == "semi":
        slope = X.v(s, t, x)
        tangent = residual + slope.detach() - b  # (t - s) (d/ds v + grad v . b)
        residual = (b if lead is None else lead) + ramp * tangent - slope
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

    Returns:
        one value a sample, shape (B,).

    Raises:
        ValueError: if the times are out of order or outside [0, 1], a shape is wrong or the
            stopgrad is unknown.

    Source: Boffi, Albergo & Vanden-Eijnden 2025, progressive self-distillation (PSD).
    """
    checks.one_of("stopgrad", stopgrad, STOPGRADS["semigroup"])
    checks.ordered("s", s, "u", u)
    checks.ordered("u", u, "t", t)
    s, u, t = (checks.batch_of_times(name, time, x) for name, time in (("s", s), ("u", u), ("t", t)))
    one_jump = X.v(s, t, x)
    h = per_sample((t - u) / (t - s).clamp_min(torch.finfo(x.dtype).tiny), x)  # at s = t both slopes agree
    short = X if short is None else short
    with torch.set_grad_enabled(torch.is_grad_enabled() and stopgrad == "none"):
        first = short.v(s, u, x) if velocity is None else read_velocity(X, s, x, velocity, held=stopgrad == "convex")
        second = short.v(u, t, x + per_sample(u - s, x) * first)
        two_jumps = (1 - h) * first + h * second
    residual = one_jump - two_jumps
    return sum_square(residual if velocity_form else per_sample(t - s, x) * residual)


def uniform(n: int, *, even: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """n numbers in [0, 1): one in each of n equal cells, in order, if even; independent draws otherwise."""
    r = torch.rand(n, generator=generator)
    return (torch.arange(n) + r) / n if even else r


def sample_times(
    n: int, *, at_zero: float = 0.0, at_one: float = 0.0, even: bool = True, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Pairs (s, t), uniform on the triangle 0 <= s <= t <= 1, and shares of them on two of its sides.

    t = sqrt(r1) and s = t r2 with r1, r2 uniform.

    Args:
        n: how many.
        at_zero: the share of pairs with s = 0, t uniform. The Lagrangian condition carries what is
            known along t at a fixed s, so these pairs are the road to the one-step map X_{0,1}.
        at_one: the share of pairs with t = 1, s uniform: the same road for the Eulerian condition,
            which carries it along s at a fixed t. Both are 0 in the source.
        even: spread the times evenly over their range, which leaves fewer gaps than independent draws.
        generator: for a repeatable draw.

    Returns:
        s and t, shape (n,) each: the pairs at s = 0 first, those at t = 1 last.

    Raises:
        ValueError: if n < 1, or the two shares are negative or exceed 1 together.
    """
    checks.count("n", n)
    if not (at_zero >= 0 and at_one >= 0 and at_zero + at_one <= 1):
        raise ValueError(f"at_zero and at_one must be shares of one batch, got {at_zero} and {at_one}")
    zeros = round(at_zero * n)
    ones = min(round(at_one * n), n - zeros)
    inner = n - zeros - ones

    def draw(k: int) -> Tensor:
        return uniform(k, even=even, generator=generator)

    r = draw(inner).sqrt()[torch.randperm(inner, generator=generator)]
    s = torch.cat([torch.zeros(zeros), r * draw(inner), draw(ones)])
    t = torch.cat([draw(zeros), r, torch.ones(ones)])
    return s, t


class Batch(NamedTuple):
    """What one step of self-distillation reads: a diagonal part and an off-diagonal part.

    t (D,), x_t (D, ...), target (D, ...) for the diagonal; s, u, r (O,), x_s (O, ...) for the
    jumps from s to r over u, and dx_s (O, ...), the slope dI_s of the samples that they start on.
    labels (D + O,): the samples' classes, where the data has any.
    """

    t: Tensor
    x_t: Tensor
    target: Tensor
    s: Tensor
    u: Tensor
    r: Tensor
    x_s: Tensor
    dx_s: Tensor | None = None
    labels: Tensor | None = None

    def parts(self) -> tuple["Batch", "Batch"]:
        """The diagonal part alone, and the off-diagonal part alone."""
        labels = (None, None) if self.labels is None else self.labels.split([len(self.t), len(self.s)])
        on = Batch(self.t, self.x_t, self.target, self.s[:0], self.u[:0], self.r[:0], self.x_s[:0], None, labels[0])
        off = Batch(self.t[:0], self.x_t[:0], self.target[:0], self.s, self.u, self.r, self.x_s, self.dx_s, labels[1])
        return on, off

    def share(self, part: int, of: int) -> "Batch":
        """Every of-th sample of both parts, from `part` on: as evenly spread in time as the whole."""
        labels = self.labels
        if labels is not None:
            labels = torch.cat([part_of[part::of] for part_of in labels.split([len(self.t), len(self.s)])])
        return Batch(*(None if x is None else x[part::of] for x in self[:-1]), labels)  # type: ignore[arg-type]

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> "Batch":
        """The batch on a device, its pictures in a memory format."""

        def moved(x: Tensor | None) -> Tensor | None:
            if x is None:
                return None
            x = x.to(device, non_blocking=True)
            return x.contiguous(memory_format=memory_format if x.ndim == 4 else torch.contiguous_format)

        return Batch(*map(moved, self))  # type: ignore[arg-type]


def self_distillation(
    X: FlowMap, batch: Batch, *, method: str = "lsd", stopgrad: str | None = None, velocity: Velocity | None = None
) -> Tensor:
    """Diagonal loss and one of the three off-diagonal losses over one batch.

    L(v) = |v_{t,t}(I_t) - dI_t|^2 on the diagonal part, |residual_{s,t}(I_s)|^2 on the rest.
    The mean of what is returned is the training loss, the two parts weighted by their share
    of the batch (75 % and 25 % in the source).

    Args:
        batch: from `training.draw_batch`, or made by hand.
        method: "lsd", "esd", "psd-m" or "psd-u"; the last two differ in the batch's u alone.
        stopgrad: as in the method's own loss; None takes the source's recommendation.
        velocity: as in `lagrangian` and `eulerian`; not used by the semigroup.

    Returns:
        one value a sample, shape (D + O,), the diagonal part first.

    Raises:
        ValueError: for an unknown method, or whatever the single losses refuse.
    """
    checks.one_of("method", method, METHODS)
    condition = METHODS[method]
    stopgrad = stopgrad or STOPGRADS[condition][-1]
    on = diagonal(X, batch.t, batch.x_t, batch.target)
    if condition == "lagrangian":
        off = lagrangian(X, batch.s, batch.r, batch.x_s, stopgrad=stopgrad, velocity=velocity)
    elif condition == "eulerian":
        off = eulerian(X, batch.s, batch.r, batch.x_s, stopgrad=stopgrad, velocity=velocity)
    else:
        off = semigroup(X, batch.s, batch.u, batch.r, batch.x_s, stopgrad=stopgrad)
    return torch.cat([on, off])
