"""The factor on a sample's squared residual: functions of the square and of the times s <= u <= t, shape (B,) each."""

from collections.abc import Callable

import torch
from torch import Tensor

Weight = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def over(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b == 0, 0.0, a / torch.where(b == 0, 1.0, b))


def first(s: Tensor, u: Tensor, t: Tensor) -> Tensor:
    """(u - s) / (t - s), what the first of the two short jumps covers of the long one; 1 on the diagonal."""
    return torch.where(t > s, over(u - s, t - s), 1.0)


def quotient(square: Tensor, s: Tensor, u: Tensor, t: Tensor) -> Tensor:
    """alpha / (|r|^2 + 0.01 alpha^2), alpha = (u - s) / (t - s): 1 / (|q|^2 + 0.01) on q = r / alpha, over alpha."""
    alpha = first(s, u, t)
    return over(alpha, square + 0.01 * alpha**2)


def anchored(square: Tensor, s: Tensor, u: Tensor, t: Tensor) -> Tensor:  # noqa: ARG001
    """cos(pi s / 2) a / sqrt(a^2 |r|^2 + 0.001), a = 1 - sqrt(s): late starts count little."""
    a = 1 - s.sqrt()
    return (torch.pi * s / 2).cos() * a / (a**2 * square + 1e-3).sqrt()


def transition(square: Tensor, s: Tensor, u: Tensor, t: Tensor) -> Tensor:  # noqa: ARG001
    """(tan(1-s) - tan(1-t) + 1)^(-1/2) / (|r|^2 + 0.00001): long jumps count less."""
    return (((1 - s).tan() - (1 - t).tan() + 1).sqrt() * (square + 1e-5)).reciprocal()


def slope_in_tau(square: Tensor, s: Tensor, u: Tensor, t: Tensor) -> Tensor:
    """s u / (alpha |r|), alpha = (u - s) / (t - s): 1 / |r| over tau_s - tau_u, for tau_s = (1 - s) / s."""
    return over(s * u, first(s, u, t) * square.sqrt())


WEIGHTS: dict[str, Weight] = {
    "one": lambda square, s, u, t: torch.ones_like(square),  # noqa: ARG005
    "jump": lambda square, s, u, t: t - s,  # noqa: ARG005
    "landing": lambda square, s, u, t: (t - s) ** 2,  # noqa: ARG005  the residual of X in place of that of v
    "discrete": lambda square, s, u, t: over((t - s) ** 2, u - s),  # noqa: ARG005  the residual is of the order of u - s
    "truncated snr": lambda square, s, u, t: torch.maximum(s**2, (1 - s) ** 2),  # noqa: ARG005  see the row pd
    "tangent": lambda square, s, u, t: 1 / (square.sqrt() + 0.1),  # noqa: ARG005
    "adaptive": lambda square, s, u, t: 1 / (square + 1e-3),  # noqa: ARG005
    "bridge": lambda square, s, u, t: first(s, u, t) / (square + 1e-3),
    "quotient": quotient,
    "anchored": anchored,
    "transition": transition,
    "slope in tau": slope_in_tau,
}
OF_THE_RESIDUAL = ("tangent", "adaptive", "bridge", "quotient", "transition")  # these weigh the diagonal part too
