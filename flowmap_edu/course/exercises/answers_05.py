"""Right answers of lesson 05, the cases that they are tried on, and the same answers with a mistake."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu.course.exercises.cases import Curved, curved, points, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.training.training import Training

Loss = Callable[..., Tensor]
Step = Sequence[Any]
SIGMA = 1 / math.sqrt(3)
TINY = Training(steps=6, warmup=2, lr=0.02, clip=0.5, ema=0.6)


def interpolate(x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """(1 - t) x0 + t x1."""
    return x0 + t.reshape(-1, 1) * (x1 - x0)


def two_parts(x0: Tensor, x1: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """I_t and dI_t of the first len(t) pairs, I_s of the others."""
    on = len(t)
    return interpolate(x0[:on], x1[:on], t), x1[:on] - x0[:on], interpolate(x0[on:], x1[on:], s)


def pairs() -> list[tuple[Tensor, ...]]:
    """Noise, data, and the times of a batch of twelve: eight on the diagonal, four off it."""
    (t,), (s,) = times(8, 1), times(4, 1, seed=5)
    return [(SIGMA * points(12), points(12, seed=2), t, s)]


def parts(X: FlowMap, t: Tensor, x_t: Tensor, slope: Tensor, s: Tensor, r: Tensor, x_s: Tensor) -> tuple[Tensor, ...]:
    """The residuals of the two parts; nothing is held fixed."""
    landed, moves = X.partial_t(s, r, x_s)
    return X.velocity(t, x_t) - slope, moves - X.velocity(r, landed)


def loss(
    X: FlowMap, t: Tensor, x_t: Tensor, slope: Tensor, s: Tensor, r: Tensor, x_s: Tensor, how: str = "right"
) -> Tensor:
    """Flow matching on the diagonal, the Lagrangian square off it, mean over the batch; `how` names a mistake."""
    landed, moves = X.partial_s(s, r, x_s) if how == "in s" else X.partial_t(s, r, x_s)
    at = s if how == "at s" else r
    with torch.set_grad_enabled(how in ("no cut", "cut the point")):
        point = landed.detach() if how == "cut the point" else landed
        target = X.velocity(at, x_s if how == "at x_s" else point)
    moves = moves.detach() if how == "cut the map" else moves
    first, second = X.velocity(t, x_t) - slope, moves - target
    if how == "entries":
        return torch.cat([first, second]).square().mean()
    if how == "two means":
        return first.square().sum(1).mean() + second.square().sum(1).mean()
    if how == "sum":
        return torch.cat([first, second]).square().sum()
    return torch.cat([first, second]).square().sum(1).mean()


def with_mistake(name: str) -> Loss:
    """The loss with one mistake."""
    return lambda *case: loss(*case, how=name)


def batches() -> list[tuple[Any, ...]]:
    """A map, eight points on the diagonal and four jumps."""
    (t,), (s, r) = times(8, 1), times(4, seed=5)
    return [(curved(), t, points(8), points(8, seed=2), s, r, points(4, seed=3))]


def fit(net: nn.Module, loss: Loss, steps: Sequence[Step], settings: Training, how: str = "right") -> nn.Module:
    """The training loop, with the average written out; `how` names a mistake."""
    net, slow = copy.deepcopy(net), [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), betas=(0.9, 0.999 if how == "betas" else 0.99))
    for k, step in enumerate(steps):
        factor = 1.0 if how == "rate" else settings.learning_rate(k, settings.steps)
        optimizer.param_groups[0]["lr"] = settings.lr * factor
        if how != "zero":
            optimizer.zero_grad()
        loss(FlowMap(net), *step).backward()
        if how != "clip":
            torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimizer.step()
        d = min(settings.ema, (1 + k) / (10 + k)) if k or how == "first" else 0.0
        d = settings.ema if how == "constant" else 1 - d if how == "swapped" else d
        with torch.no_grad():
            slow = [d * a + (1 - d) * w for a, w in zip(slow, net.parameters(), strict=True)]
    if how != "last":
        nn.utils.vector_to_parameters(torch.cat([a.flatten() for a in slow]), net.parameters())
    return net


LOOPS = {
    "The network itself comes back, not its average.": "last",
    "The gradients of former steps are still there: they add up from step to step.": "zero",
    "The gradient is not shortened to the length `clip`.": "clip",
    "The learning rate stays the same: it has no warm-up and no cosine.": "rate",
    "delta is `ema` from the first step on, so that the random start is remembered.": "constant",
    "delta and 1 - delta are swapped in the moving average.": "swapped",
    "At the first step the average has to become the new weights: delta is 0 there.": "first",
    "Adam's betas are its default ones.": "betas",
}


def trained(answer: Callable[..., Any]) -> str | None:
    """Run a loop on a small network and compare its average with that of the loop above."""
    net, (_, *step) = Curved(2, 0), batches()[0]
    steps = [[*step[:2], step[2] + k / 9, *step[3:]] for k in range(6)]
    given = copy.deepcopy(net)
    found = answer(given, loss, steps, TINY)
    if not isinstance(found, nn.Module):
        return "The network with the averaged weights has to come back: is there a `return`?"
    if not all(torch.equal(a, b) for a, b in zip(given.parameters(), net.parameters(), strict=True)):
        return "The network that came in was changed. Train a copy of it."

    def same(how: str) -> bool:
        other = fit(net, loss, steps, TINY, how)
        return all(torch.allclose(a, b, rtol=1e-8) for a, b in zip(found.parameters(), other.parameters(), strict=True))

    if same("right"):
        return None
    return next((words for words, how in LOOPS.items() if same(how)), "The averaged weights are not those of the text.")


def looped(name: str) -> Callable[..., nn.Module]:
    """The training loop with one mistake."""
    return lambda *case: fit(*case, how=name)


def posterior(t: Tensor, x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """P(y_k | I_t = x), shape (B, K)."""
    spread = (1 - t) * sigma
    square = torch.stack([(x - t[:, None] * one).square().sum(1) for one in y], 1)
    return torch.softmax(-square / (2 * spread[:, None] ** 2), dim=1)


def averaged(t: Tensor, x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """sum_k P(y_k | x) (y_k - x) / (1 - t)."""
    return (posterior(t, x, y, sigma) @ y - x) / (1 - t)[:, None]


def targets() -> list[tuple[Any, ...]]:
    """Times, points, data points and sigma."""
    return [(0.1 + 0.8 * times(6, 1)[0], points(6), 0.6 * points(9, seed=2), SIGMA)]


def weighted(t: Tensor, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """The mean slope with the weights w, shape (B, K)."""
    return (w @ y - x) / (1 - t)[:, None]


def gauss(x: Tensor, y: Tensor, spread: Tensor, where: Tensor | None = None, power: float = 2.0) -> Tensor:
    """exp(-|x - where y|^2 / (power spread^2)), not normalised; where is 1 unless it is given."""
    there = y[None] if where is None else where[:, None, None] * y[None]
    return torch.exp(-(x[:, None] - there).square().sum(2) / (power * spread[:, None] ** 2))


def normal(w: Tensor, axis: int = 1) -> Tensor:
    """Weights that sum to one along an axis."""
    return w / w.sum(axis, keepdim=True)


def summary(landed: Tensor, goal: Tensor) -> tuple[float, float, float]:
    """Root mean square and median of the distances, and the share of the worst twentieth in their squares."""
    distance = (landed - goal).norm(dim=1)
    worst = distance.topk(len(distance) // 20).values
    return (
        float((distance @ distance / len(distance)).sqrt()),
        float(distance.median()),
        float(worst @ worst / (distance @ distance)),
    )


def landings() -> list[tuple[Tensor, Tensor]]:
    """Points and goals; a few are far away from theirs."""
    goal = points(100, seed=4)
    return [(goal + 0.1 * points(100, seed=5) * (1 + 9 * (torch.arange(100) % 10 == 0))[:, None], goal)]


def psd_m(X: FlowMap, *case: Tensor, how: str = "right") -> Tensor:
    """Flow matching on the diagonal, the midpoint semigroup square off it, mean over the batch."""
    t, x_t, slope, s, r, x_s = case
    u = (s + r) / 2
    with torch.set_grad_enabled(how == "no cut"):
        first = X.v(s, u, x_s)
        second = X.v(u, r, x_s if how == "from x" else x_s + (u - s)[:, None] * first)
        target = first + second if how == "sum" else (first + second) / 2
    residual = X.v(s, r, x_s) - target
    if how == "in X":
        residual = (r - s)[:, None] * residual
    return torch.cat([X.velocity(t, x_t) - slope, residual]).square().sum(1).mean()


def semigroup_with(name: str) -> Loss:
    """The loss of PSD-M with one mistake."""
    return lambda *case: psd_m(*case, how=name)


def swap(x: Tensor, shift: float = 1.5, both: bool = True) -> Tensor:
    """The points of the squares at the lower left and the upper right change places, by translation."""
    low, high = ((x > -1) & (x < -0.5)).all(1, keepdim=True), ((x > 0.5) & (x < 1)).all(1, keepdim=True)
    return torch.where(low, x + shift, torch.where(high & both, x - shift, x))


def on_the_plane() -> list[tuple[Tensor]]:
    """Points of the plane, some in each square and some outside."""
    g = torch.Generator().manual_seed(6)
    return [(2.4 * torch.rand(400, 2, generator=g, dtype=torch.float64) - 1.2,)]
