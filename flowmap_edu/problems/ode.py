r"""The flow map of any known velocity, by one accurate ODE solve.

The library's own solver, for two reasons: every derivative of the map is taken by
`torch.func.jvp` straight through it, which the adaptive solvers on offer for torch do not allow, and
each sample steps at its own pace, which is several times faster where few samples are hard.
The method is Dormand and Prince's of order 8; its coefficients stand in dop853.py.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.interpolant import per_sample
from flowmap_edu.problems.dop853 import E3, E5, A, B, C
from flowmap_edu.problems.scalars import times

Velocity = Callable[[Tensor, Tensor], Tensor]


def slope_rate(velocity: Velocity, tau: Tensor, s: Tensor, t: Tensor, x: Tensor, y: Tensor) -> Tensor:
    r"""dy/dtau, where x + (t - s) y(tau) is the point on its way from s (tau = 0) to t (tau = 1).

    The clock is graded towards time 1: with q = sqrt(1 - time), linear in tau from q_s to q_t,
    dtime / dtau = 2 q (q_s - q_t) and t - s = (q_s - q_t)(q_s + q_t). The small factor cancels, so
    y needs no division by t - s:  dy/dtau = 2 q / (q_s + q_t) b_{1 - q^2}(x + (t - s) y).
    """
    q_s, q_t = (1 - s).sqrt(), (1 - t).sqrt()
    q = q_s + tau * (q_t - q_s)
    return per_sample(times(2, q) / (q_s + q_t), x) * velocity(1 - q**2, x + per_sample(t - s, x) * y)


MOST = 500  # steps; draws of I_s need at most 60 (110 for 1e-12), points as far away as 1e6 at most 95
TOLERANCE = 1e-9  # of a step, relative to 1 + |y|
LAST = 1 - 1e-8  # the solver stops here; from here to time 1 the velocity is taken as constant


def average_slope(velocity: Velocity, s: Tensor, t: Tensor, x: Tensor, tolerance: float = TOLERANCE) -> Tensor:
    """v_{s,t}(x) = y(1) by Dormand and Prince's method of order 8, every sample at its own pace.

    A step is taken again, smaller, by the samples whose error e in it, in units of the tolerance, is above 1;
    those that have arrived drop out. The next step size is

        h <- 0.9 h e^(-0.095) e_before^0.04,   between h / 5 and 5 h,

    with the error e_before of the step taken before, and 0.095 = 1/8 - 3/4 0.04: where errors grow, it foresees
    that they go on growing, and fewer steps fail. All of it is plain torch, so derivatives of either mode pass
    through; the step sizes count as constants in them.

    Returns:
        shape (B, D), like x; s and t have shape (B,).

    Raises:
        ArithmeticError: if no step is small enough.
        ValueError: if 500 steps are not enough, or inside torch.func.vmap.

    Source: Hairer, Norsett & Wanner 1993, DOP853; the step size is Gustafsson's, Hairer & Wanner 1996, IV.2.
    """
    if any(checks.batched(z) for z in (s, t, x)):
        raise ValueError("an ODE solve gives each sample its own steps: give all samples as one batch, not to vmap")
    zero = times(0, s) + times(0, t) + times(0, x).sum(-1)  # under jvp all have a derivative then, if one has:
    s, t, x = s + zero, t + zero, x + per_sample(zero, x)  # where only one has, torch is slow (scalars.py)
    y, tau, h = times(0, x), torch.zeros_like(s.detach()), torch.full_like(s.detach(), 0.05)
    before = torch.full_like(tau, 1e-4)  # errors of the steps taken
    active = torch.arange(len(x), device=x.device)
    for _ in range(MOST):
        if not len(active):
            break
        y0, tau0, h0 = y[active], tau[active], torch.minimum(h[active], 1 - tau[active])
        where, k = (s[active], t[active], x[active]), []
        clock, h1 = tau0 + zero[active], h0 + zero[active]
        size = per_sample(h1, y0)
        for c, row in zip(C, A, strict=True):
            k.append(slope_rate(velocity, clock + times(c, h1), *where, y0 + size * combine(row, k)))
        y1 = y0 + size * combine(B, k)
        e5, e3 = (combine(row, k).detach().norm(dim=-1) for row in (E5, E3))
        error = h0 * e5**2 / (e5**2 + 0.01 * e3**2).clamp(min=1e-300).sqrt()
        error = (error / (tolerance * (1 + y1.detach().norm(dim=-1)))).clamp(min=1e-12)
        good = error <= 1
        y = y.index_copy(0, active, torch.where(per_sample(good, y0), y1, y0))
        tau[active] = torch.where(good, torch.where(h0 < 1 - tau0, tau0 + h0, 1.0), tau0)
        h[active] = h0 * (0.9 * error**-0.095 * before[active] ** 0.04).clamp(0.2, 5.0)
        before[active] = torch.where(good, error.clamp(min=1e-4), before[active])
        if not bool((h[active] > 1e-14).all()):  # false for nan too
            raise ArithmeticError("the step size fell below 1e-14: the velocity is not finite or not smooth here")
        active = active[tau[active] < 1]
    if len(active):
        raise ValueError(
            f"the flow from s to t was not found in {MOST} steps for {len(active)} of {len(x)} points x: where the "
            "density at time s is almost 0, such as off the squares of a checkerboard near s = 1, no path goes back"
        )
    return y


def combine(coefficients: Sequence[float], k: list[Tensor]) -> Tensor:
    """sum_j c_j k_j over the stages computed so far; 0 before the first."""
    return sum(times(c, k_j) for c, k_j in zip(coefficients, k, strict=False) if c)  # type: ignore[return-value]
