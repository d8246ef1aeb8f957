# ruff: noqa: ARG001  all three take the same arguments
"""Three publications' losses in their own notation, with the mistakes that students make, for assignment 5.

Each takes a map X, times s < u < t here, noise x0 ~ N(0, 1) and data x1, and returns one value a sample, shape (B,).
`mistake` names one that is made on purpose.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.losses import sum_square


def mean_flow(X: FlowMap, s: Tensor, u: Tensor, t: Tensor, x0: Tensor, x1: Tensor, mistake: str = "") -> Tensor:
    """|u(z, r, tau) - sg(v - (tau - r) du/dtau)|^2 with z = (1 - tau) x1 + tau x0 and v = x0 - x1."""
    tau, r = 1 - s, 1 - t
    v = x0 - x1
    z = (1 - tau)[:, None] * x1 + tau[:, None] * x0
    sign = 1 if mistake == "sign" else -1

    def mean(z: Tensor, tau: Tensor) -> Tensor:
        return sign * (X.v(1 - r, 1 - tau, z) if mistake == "order" else X.v(1 - tau, 1 - r, z))

    along = -v if mistake == "velocity" else v
    change = jvp(mean, (z, tau), (0 * v if mistake == "clock" else along, torch.ones_like(tau)))[1]
    length = torch.ones_like(tau) if mistake == "length" else tau - r
    target = along - length[:, None] * change
    return sum_square(mean(z, tau) - (target if mistake == "hold" else target.detach()))


def consistency(X: FlowMap, s: Tensor, u: Tensor, t: Tensor, x0: Tensor, x1: Tensor, mistake: str = "") -> Tensor:
    """|f(x1 + tau x0, tau) - sg f(x1 + tau' x0, tau')|^2 with tau = (1 - s) / s, tau' = (1 - u) / u."""

    def f(noisy: Tensor, s: Tensor) -> Tensor:
        return X(s, torch.ones_like(s), noisy if mistake == "scale" else s[:, None] * noisy)

    def noisy(s: Tensor) -> Tensor:
        tau = 1 - s if mistake == "tau" else (1 - s) / s
        return x1 + tau[:, None] * x0

    again = X(u, torch.ones_like(u), s[:, None] * noisy(s))  # the same point of the plane at both times
    target = again if mistake == "point" else f(noisy(u), u)
    loss = sum_square(f(noisy(s), s) - (target if mistake == "hold" else target.detach()))
    return loss / (1 - s) ** 2 if mistake == "slope" else loss


def shortcut(X: FlowMap, s: Tensor, u: Tensor, t: Tensor, x0: Tensor, x1: Tensor, mistake: str = "") -> Tensor:
    """|s(x, t, 2d) - sg[(s(x, t, d) + s(x', t + d, d)) / 2]|^2 with x' = x + d s(x, t, d)."""

    def net(x: Tensor, t: Tensor, d: Tensor) -> Tensor:
        return X.v(t, d if mistake == "length" else t + d, x)

    d = (t - s) / 2
    x = (1 - s)[:, None] * x0 + s[:, None] * x1
    first = net(x, s, d)
    start = x if mistake == "start" else x + (2 if mistake == "far" else 1) * d[:, None] * first
    second = net(start, s if mistake == "time" else s + d, d)
    target = (first + second) / (1 if mistake == "sum" else 2)
    return sum_square(net(x, s, 2 * d) - (target if mistake == "hold" else target.detach()))


HELD = "The value is right, but the target has a gradient: sg means detach."
MISTAKES: dict[str, dict[str, str]] = {
    "mean flow": {
        HELD: "hold",
        "u has the wrong sign. In the source time runs from data to noise, so u = -v.": "sign",
        "The velocity has the wrong sign. In the source it is noise minus data.": "velocity",
        "The two times of u are exchanged: its jump starts at s = 1 - tau here and ends at t = 1 - r.": "order",
        "du/dtau is the total derivative: z moves with v while tau runs.": "clock",
        "The factor tau - r is missing.": "length",
    },
    "consistency training": {
        HELD: "hold",
        "The point is not scaled: f(x_tau, tau) = X_{s,1}(s x_tau).": "scale",
        "tau is not 1 - s: s x_tau has to be I_s.": "tau",
        "Both terms have the same point. The second one has its own, with less noise.": "point",
        "That is the residual of v. f is where the map lands.": "slope",
    },
    "shortcut model": {
        HELD: "hold",
        "The second step starts at x. It has to start where the first one lands.": "start",
        "The second step starts at the time t. It has to start at t + d.": "time",
        "The first step is twice too long: x' = x + d s(x, t, d).": "far",
        "The two slopes are added. Their mean is wanted.": "sum",
        "The third argument of s is a length, not a time: s(x, t, d) = v_{t,t+d}(x).": "length",
    },
}
LOSSES: dict[str, Callable[..., Tensor]] = {
    "mean flow": mean_flow,
    "consistency training": consistency,
    "shortcut model": shortcut,
}
