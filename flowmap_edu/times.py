"""Which times a training visits: t on the diagonal, and s <= u <= t for the jumps."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from flowmap_edu import _checks as checks

__all__ = [
    "DENOISED", "GRID", "LEVELS", "MOVING", "SEGMENTS", "denoised", "draw", "equal", "moved", "segment_end", "triangle",
    "uniform", "with_ends",
]  # fmt: skip

LEVELS = 7  # dyadic jumps of length 1, 1/2, ..., 1/64, made of two halves; halves of 1/128 read the diagonal
GRID = 64  # steps of the grid on which discrete consistency models compare neighbours
SEGMENTS = 2  # of [0, 1], in which consistency flow matching straightens the flow
DENOISED, EARLY = 0.97, 0.9  # where a last Euler step begins; jumps from before the second time end there
NEXT, LATE = 0.001, 0.9  # its neighbour in time is so far away; from LATE on the segment's end takes its place


def sigmoid(s: Tensor, t: Tensor, done: Tensor) -> Tensor:
    """s + alpha (t - s), alpha = 1 / (1 + exp(25 (done - 1/2))); 1 where that is above 0.995, and at least 0.005."""
    alpha = torch.sigmoid(25 * (0.5 - done))
    return s + torch.where(alpha > 0.995, 1.0, alpha.clamp_min(0.005)) * (t - s)


def exponential(s: Tensor, t: Tensor, done: Tensor) -> Tensor:
    """s + alpha (t - s), alpha from 0.1 to 0.002: 0.1 * 0.02^done."""
    return s + 0.1 * 0.02**done * (t - s)


def stages(s: Tensor, t: Tensor, done: Tensor) -> Tensor:  # noqa: ARG001  t is 1
    """Eight stages, each of half the distance: of tau = (1-s)/(2s) the share 2^-k (1 + 8 / (1 + exp(tau))), k = 1..8.

    tau is the noise level of a consistency model in units in which data and base have the deviation 1/2. What is left
    of it, if anything, is the noise level at u.
    """
    k = (8 * done).floor().clamp_max(7) + 1
    left = (1 - 0.5**k * (1 + 8 * torch.sigmoid((s - 1) / (2 * s)))).clamp_min(0)
    return s / (s + left * (1 - s))


MOVING: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {  # u of s, t and the share of the training done
    "sigmoid": sigmoid,
    "exponential": exponential,
    "stages": stages,
}


def __dir__() -> list[str]:
    return sorted(__all__)


class Times(Protocol):
    """What `draw` reads of a `methods.Method`."""

    @property
    def times(self) -> str:
        """Which pairs (s, t): "triangle", "square", "from zero", "to one", "grid", "segments" or "dyadic"."""
        ...

    @property
    def middle(self) -> str:
        """Where u lies: "half", "uniform", "next", or a name in MOVING."""
        ...


def equal(s: float, t: float, steps: int) -> list[float]:
    """The ends of equal jumps from s to t, steps + 1 numbers: s first, t itself last, rounding or not.

    Raises:
        ValueError: if steps is below 1, s > t or one of them leaves [0, 1].
    """
    steps, s, t = checks.count("steps", steps), checks.share("s", s), checks.share("t", t)
    checks.ordered("s", s, "t", t)
    return [min(s + (t - s) * k / steps, t) for k in range(steps)] + [t]


def uniform(n: int, *, stratified: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """n numbers in [0, 1), shape (n,): stratified, one in each of n equal cells, in order; or independent draws."""
    n = checks.whole("n", n)
    r = torch.rand(n, generator=generator)
    return (torch.arange(n) + r) / n if stratified else r


def triangle(
    n: int,
    *,
    at_zero: float = 0.0,
    at_one: float = 0.0,
    stratified: bool = True,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Pairs (s, t), uniform on the triangle 0 <= s <= t <= 1, and shares of them on two of its sides.

    t = sqrt(r1) and s = t r2 with r1, r2 uniform.

    Args:
        n: how many.
        at_zero: the share of pairs with s = 0, t uniform. The Lagrangian condition carries what is
            known along t at a fixed s, so these pairs are the road to the one-step map X_{0,1}.
        at_one: the share of pairs with t = 1, s uniform: the same road for the Eulerian condition,
            which carries it along s at a fixed t. Both are 0 in the source.
        stratified: spread the times over equal cells of their range, which leaves fewer gaps than independent draws.
        generator: for a repeatable draw.

    Returns:
        s and t, shape (n,) each: the pairs at s = 0 first, those at t = 1 last.

    Raises:
        ValueError: if n < 1, or the two shares are negative or exceed 1 together.
    """
    n = checks.count("n", n)
    at_zero, at_one = checks.share("at_zero", at_zero), checks.share("at_one", at_one)
    if at_zero + at_one > 1:
        raise ValueError(f"at_zero and at_one must be shares of one batch, got {at_zero} and {at_one}")
    zeros = round(at_zero * n)
    ones = min(round(at_one * n), n - zeros)
    inner = n - zeros - ones

    def numbers(k: int) -> Tensor:
        return uniform(k, stratified=stratified, generator=generator)

    r = numbers(inner).sqrt()[torch.randperm(inner, generator=generator)]
    s = torch.cat([torch.zeros(zeros), r * numbers(inner), numbers(ones)])
    t = torch.cat([numbers(zeros), r, torch.ones(ones)])
    return s, t


def denoised(n: int, *, stratified: bool = True, generator: torch.Generator | None = None) -> Tensor:
    """Starts s of jumps to t = 1 over u = DENOISED, shape (n,): 3 of 10 are 0, the others uniform in [0, DENOISED)."""
    zeros = round(0.3 * n)
    return torch.cat([torch.zeros(zeros), DENOISED * uniform(n - zeros, stratified=stratified, generator=generator)])


def before_the_last_step(s: Tensor, t: Tensor) -> Tensor:
    """t, but for jumps from before EARLY moved from [s, 1] to [s, DENOISED] along a line."""
    return torch.where(s < EARLY, s + (t - s) * (DENOISED - s) / (1 - s), t)


def with_ends(s: Tensor, u: Tensor, t: Tensor, starts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A method's times, all jumps `before_the_last_step`, and after them those from `starts` over DENOISED to 1."""
    over, one = torch.full_like(starts, DENOISED), torch.ones_like(starts)
    u, t = before_the_last_step(s, u), before_the_last_step(s, t)
    return torch.cat([s, starts], -1), torch.cat([u, over], -1), torch.cat([t, one], -1)


def segment_end(s: Tensor) -> Tensor:
    """The end of the segment of [0, 1] that begins at s or before it, shape (B,)."""
    return ((SEGMENTS * s).floor() + 1).clamp_max(SEGMENTS) / SEGMENTS


def moved(middle: str, s: Tensor, t: Tensor, done: float | Tensor = 1.0) -> Tensor:
    """Where a middle of MOVING lies between s and t, shape (B,), when a share `done` of its way is done.

    Raises:
        ValueError: if the middle is not in MOVING.

    Sources: "sigmoid" Zhang et al. 2025, arXiv 2510.20771; "exponential" Luo, Yuan & Liu 2025, arXiv 2512.15657;
    "stages" Geng et al. 2024, arXiv 2406.14548.
    """
    checks.one_of("middle", middle, MOVING)
    done = torch.as_tensor(done, dtype=s.dtype, device=s.device)
    return MOVING[middle](s, t, done).clamp(s, t)


def draw(
    method: Times,
    n: int,
    *,
    at_zero: float = 0.0,
    at_one: float = 0.0,
    stratified: bool = True,
    levels: int = LEVELS,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """n draws of a method's times s <= u <= t, shape (n,) each; a moving u at its last place.

    With times "square" s and t are independent: either may be the later one, and u is half way.

    Args:
        method: a `methods.Method`: its `times` say which pairs (s, t), its `middle` where u lies.
        n: how many; 0 gives empty tensors.
        at_zero, at_one, stratified: as in `triangle`; the shares serve methods with times "triangle" alone.
        levels: how many of the LEVELS dyadic jump lengths to use, from the shortest.
        generator: for a repeatable draw.
    """
    if not (n := checks.whole("n", n)):
        return torch.empty(0), torch.empty(0), torch.empty(0)
    if method.times == "triangle":
        s, t = triangle(n, at_zero=at_zero, at_one=at_one, stratified=stratified, generator=generator)
    elif method.times == "square":
        s = uniform(n, stratified=stratified, generator=generator)
        t = uniform(n, stratified=stratified, generator=generator)[torch.randperm(n, generator=generator)]
        return s, (s + t) / 2, t
    elif method.times == "from zero":
        s, t = torch.zeros(n), uniform(n, stratified=stratified, generator=generator)
    elif method.times == "to one":
        s, t = uniform(n, stratified=stratified, generator=generator), torch.ones(n)
    elif method.times == "grid":
        s, t = torch.randint(GRID, (n,), generator=generator) / GRID, torch.ones(n)
        return s, s + 1 / GRID, t
    elif method.times == "segments":
        s = uniform(n, stratified=stratified, generator=generator)
        t = segment_end(s)
        return s, torch.where(s + NEXT < LATE, torch.minimum(s + NEXT, t), t), t
    else:
        checks.one_of("levels", levels, range(1, LEVELS + 1))
        length = 2.0 ** (torch.randint(levels, (n,), generator=generator) + 1 - LEVELS)
        s = (torch.rand(n, generator=generator) / length).floor() * length
        return s, s + length / 2, s + length
    if method.middle in MOVING:
        return s, moved(method.middle, s, t), t
    h = torch.rand(n, generator=generator) if method.middle == "uniform" else 0.5
    return s, (h * s + (1 - h) * t).clamp(s, t), t  # rounding can carry u past an end that it is very near to
