"""The published losses of lesson 07 as their sources write them, with the mistakes that are easily made in each."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp  # type: ignore[attr-defined]

from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems import Checkerboard

N = 7
Network = Callable[..., Tensor]


class Consistency(nn.Module):
    """A consistency function f(x, tau) = X_{s,1}(s x) with s = 1 / (1 + tau), of a small random network."""

    def __init__(self) -> None:
        super().__init__()
        self.X = curved()
        self.net = self.X.slope

    def forward(self, x: Tensor, tau: Tensor) -> Tensor:
        """f(x, tau), shape (B, 2)."""
        s = 1 / (1 + tau)
        return self.X(s, torch.ones_like(s), s[:, None] * x)


class Backwards(nn.Module):
    """An average velocity u(z, r, t) = -v_{1-t,1-r}(z), of a small random network."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.X = curved(seed=seed)
        self.net = self.X.slope

    def forward(self, z: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """u(z, r, t), shape (B, 2)."""
        return -self.X.v(1 - t, 1 - r, z)


def weights(network: nn.Module, *_: object) -> list[Tensor]:
    """The parameters of the first argument of a case."""
    return list(network.parameters())


def norm2(x: Tensor) -> Tensor:
    """The squared length of each row."""
    return (x * x).sum(1)


def moving(f: Network, at: tuple[Tensor, ...], along: tuple[Tensor | float, ...]) -> Tensor:
    """The derivative of f along a direction; a number in it stands for that number everywhere."""
    full = tuple(a if isinstance(a, Tensor) else torch.full_like(b, a) for a, b in zip(along, at, strict=True))
    return jvp(f, at, full)[1]  # type: ignore[no-any-return]


def noisy() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Data, noise, a noise level and a lower one."""
    low, high = times(N)
    return points(N), points(N, seed=2), 0.5 + high, 0.2 + low


def discrete(f: Network, x1: Tensor, z: Tensor, tau: Tensor, later: Tensor) -> Tensor:
    """|f(x1 + tau z, tau) - sg f(x1 + later z, later)|^2."""
    return norm2(f(x1 + tau[:, None] * z, tau) - f(x1 + later[:, None] * z, later).detach())


def translated(x_tau: Tensor, tau: Tensor, X: FlowMap, *, kind: str = "") -> Tensor:
    """X_{s,1}(s x_tau) with s = sigma / (sigma + tau) and the board's sigma."""
    sigma = 1.0 if kind == "sigma" else Checkerboard().sigma
    s = (tau if kind == "time" else sigma) / (sigma + tau)
    ends = (torch.ones_like(s), s) if kind == "order" else (s, torch.ones_like(s))
    return X(*ends, x_tau if kind == "scale" else s[:, None] * x_tau)


def continuous(f: Network, x1: Tensor, z: Tensor, tau: Tensor, along: tuple[Any, ...] | None = None) -> Tensor:
    """f . sg[df/dtau] along the sample's line."""
    at = (x1 + tau[:, None] * z, tau)
    return (f(*at) * moving(f, at, along or (z, 1.0)).detach()).sum(1)


def mean_flow(
    u: Network, x: Tensor, eps: Tensor, r: Tensor, t: Tensor, *, sign: float = 1.0, along: int = 2, held: bool = True,
    factor: bool = True,
) -> Tensor:  # fmt: skip
    """|u - sg[v - (t - r) du/dt]|^2 over itself plus 0.001."""
    z, v = (1 - t[:, None]) * x + t[:, None] * eps, sign * (eps - x)
    du = moving(u, (z, r, t), (v, *(float(k == along) for k in (1, 2))))
    target = v - ((t - r)[:, None] if factor else 1.0) * du
    error = norm2(u(z, r, t) - (target.detach() if held else target))
    return error / (error.detach() + 1e-3)


def mean_flow_cases() -> list[tuple[Any, ...]]:
    """An average velocity, data, noise and two times r < t."""
    r, t = times(N)
    return [(Backwards(), points(N), points(N, seed=2), r, t)]


def free_weight(u: Network, x: Tensor, eps: Tensor, r: Tensor, t: Tensor) -> Tensor:
    """Mean flow whose weight carries a gradient."""
    z, v = (1 - t[:, None]) * x + t[:, None] * eps, eps - x
    error = norm2(u(z, r, t) - (v - (t - r)[:, None] * moving(u, (z, r, t), (v, 0.0, 1.0))).detach())
    return error / (error + 1e-3)


CHOICES = {  # of mean flow, and what a wrong one means
    "condition": "The condition is another one: mean flow moves the start of the jump.",
    "velocity": "The velocity is not the sample's own slope.",
    "stopgrad": "The stop-gradient is another one: mean flow holds its whole target, and nothing else.",
    "times": "The pairs of times are others: mean flow visits every s < t.",
    "weight": "The weight is another one: mean flow divides the squared error by itself plus 0.001.",
    "diagonal": "The share of the batch with s = t is another one.",
}


def is_mean_flow(row: Method) -> str | None:
    """Whether the choices of a row are those of mean flow; else which one is not."""
    if not isinstance(row, Method):
        return "A Method is wanted, made by dataclasses.replace."
    wanted = METHODS["meanflow"]
    for name, words in CHOICES.items():
        if getattr(row, name) != getattr(wanted, name):
            return words
    plain = ("first_term", "tangent_warmup", "difference", "stages")
    wrong = [name for name in plain if getattr(row, name) != getattr(wanted, name)]
    return f"Another choice is left from the row that you began with: {wrong[0]}." if wrong else None


def push(J: Tensor, delta: Tensor) -> Tensor:
    """2 E[(J delta) . ((J - 1) delta)]."""
    pushed = torch.einsum("bij,bj->bi", J, delta)
    return 2 * (pushed * (pushed - delta)).sum(1).mean()


def near(square: Tensor) -> Tensor:
    """A weight that prefers near points, shape (B,)."""
    return 1 / (square + 0.5)


def centre(slopes: Tensor, weight: Callable[[Tensor], Tensor], *, kind: str = "") -> Tensor:
    """The m at which the weighted mean of slopes - m is zero, shape (2,)."""
    m = slopes.mean(0)
    for _ in range(1 if kind == "once" else 500):
        square = norm2(slopes - m)
        w = weight(square.sqrt() if kind == "length" else square)[:, None]
        m = (w * slopes).sum(0) / (len(w) if kind == "count" else w.sum())
    return m


def better(a: list[float], b: list[float]) -> bool:
    """Whether every entry of a is below every entry of b, three or more of each."""
    return len(a) >= 3 and len(b) >= 3 and all(one < other for one in a for other in b)


def matching(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, dx: Tensor) -> Tensor:
    """|d/dt X_{s,t}(y) - dI_t|^2 + |X_{s,t}(y) - I_t|^2 with y = X_{t,s}(I_t)."""
    landed, moves = X.partial_t(s, t, X(t, s, x))
    return norm2(moves - dx) + norm2(landed - x)


def matching_at(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, dx: Tensor, y: Tensor) -> Tensor:
    """The same from another starting point."""
    landed, moves = X.partial_t(s, t, y)
    return norm2(moves - dx) + norm2(landed - x)


class Terminal(nn.Module):
    """F(x, t, r) = -v_{1-t,1-r}(x), the mean velocity from t down to r, of a small random network."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.X = curved(seed=seed)
        self.net = self.X.slope

    def forward(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """F(x, t, r), shape (B, 2)."""
        return -self.X.v(1 - t, 1 - r, x)


def terminal(F: Network, slow: Network, x: Tensor, t: Tensor, r: Tensor, *, kind: str = "") -> Tensor:
    """|d/dr [(r - t) F(x, t, r)] - sg F*(x + (r - t) F(x, t, r), r, r)|^2."""
    still = r if kind == "factor" else None
    moved = moving(lambda r: ((r if still is None else still) - t)[:, None] * F(x, t, r), (r,), (1.0,))
    landed = x if kind == "start" else x + (r - t)[:, None] * F(x, t, r)
    end = t if kind == "time" else r
    target = (F if kind == "own" else slow)(landed, end, end)
    return norm2(moved - (target if kind == "free" else target.detach()))


def terminal_cases() -> list[tuple[Any, ...]]:
    """A mean velocity, that of the slow weights, points, and times t > r."""
    r, t = times(N)
    return [(Terminal(), Terminal(1), points(N), t, r)]


def jumps() -> list[tuple[Any, ...]]:
    """A map, times s < t, points and slopes."""
    s, t = times(N)
    return [(curved(), s, t, points(N), points(N, seed=2))]


def shortcut(step: Network, slow: Network, x: Tensor, t: Tensor, d: Tensor) -> Tensor:
    """|s(x, t, 2d) - sg[s(x, t, d) + s(x', t + d, d)] / 2|^2, the target by the slow network."""
    first = slow(x, t, d)
    return norm2(step(x, t, 2 * d) - ((first + slow(x + d[:, None] * first, t + d, d)) / 2).detach())


class Step(nn.Module):
    """s(x, t, d) = v_{t,t+d}(x) of a small random network."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.X = curved(seed=seed)
        self.net = self.X.slope

    def forward(self, x: Tensor, t: Tensor, d: Tensor) -> Tensor:
        """The step's slope, shape (B, 2)."""
        return self.X.v(t, t + d, x)


def wrong_shortcut(kind: str) -> Callable[..., Tensor]:
    """A shortcut loss with one mistake."""

    def loss(step: Network, slow: Network, x: Tensor, t: Tensor, d: Tensor) -> Tensor:
        first = (step if kind == "own" else slow)(x, t, d)
        start = {"start": x, "length": x + first}.get(kind, x + d[:, None] * first)
        second = (step if kind == "own" else slow)(start, t if kind == "clock" else t + d, d)
        target = (first + second) * (1.0 if kind == "sum" else 0.5)
        return norm2(step(x, t, 2 * d) - (target if kind == "free" else target.detach()))

    return loss


def bridge(X: FlowMap, s: Tensor, t: Tensor, x: Tensor, dx: Tensor, alpha: Tensor | float, *, kind: str = "") -> Tensor:
    """|v_{s,t}(x) - sg[alpha dx + (1 - alpha) v_{u,t}(x + (u - s) dx)]|^2 with u = s + alpha (t - s)."""
    u = s + (alpha if kind == "length" else alpha * (t - s))
    then = X.v(s if kind == "time" else u, t, x if kind == "start" else x + (u - s)[:, None] * dx)
    a = 1 - alpha if kind == "swapped" else alpha
    target = a * dx + (1 - a) * then
    return norm2(X.v(s, t, x) - (target if kind == "free" else target.detach()))


def bridges() -> list[tuple[Any, ...]]:
    """The same, the start times halved so that s + alpha is a time, with alpha = 0.3."""
    return [(X, s / 2, t, x, dx, 0.3) for X, s, t, x, dx in jumps()]


def split(u: Network, z: Tensor, r: Tensor, q: Tensor, t: Tensor, *, kind: str = "") -> Tensor:
    """|(t-r) u(z,r,t) - sg[(t-q) u(z,q,t) + (q-r) u(z',r,q)]|^2 over (t-r)^2 with z' = z - (t-q) u(z,q,t)."""
    late = u(z, q, t)
    early = u(z if kind == "start" else z + (1.0 if kind == "sign" else -1.0) * (t - q)[:, None] * late, r, q)
    one, two = ((q - r), (t - q)) if kind == "swapped" else ((t - q), (q - r))
    target = (one[:, None] * late + two[:, None] * early) / (t - r)[:, None]
    return norm2(u(z, r, t) - (target if kind == "free" else target.detach()))


def with_kind(f: Callable[..., Tensor], kind: str) -> Callable[..., Tensor]:
    """A function with a mistake of that kind."""
    return lambda *case: f(*case, kind=kind)


def split_cases() -> list[tuple[Any, ...]]:
    """An average velocity, points and three times."""
    return [(Backwards(), points(N), *times(N, 3))]
