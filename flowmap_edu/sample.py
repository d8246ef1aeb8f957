"""How samples are drawn from a flow map: jumps, one jump, Euler steps, steps in segments, restarts, guidance.

A sampler is a small object called as sampler(X, x0, steps, generator, **condition). `methods.Method` names the one
that its maps need, and a trained map carries it, so that `X.sample(x0, steps)` draws right for every method.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu import times
from flowmap_edu.interpolant import Interpolant, Linear

if TYPE_CHECKING:
    from flowmap_edu.flow_map import FlowMap

__all__ = ["SAMPLERS", "Euler", "Jumps", "Once", "Restarts", "Sampler", "Segments", "guided", "sampler"]


def __dir__() -> list[str]:
    return sorted(__all__)


class Sampler(Protocol):
    """What draws from a map, in a number of evaluations of its network."""

    name: ClassVar[str]

    def __call__(
        self, X: "FlowMap", x0: Tensor, steps: int, generator: torch.Generator | None = None, **condition: Any
    ) -> Tensor:
        """Samples, shape (B, *D), from draws x0 of the base, shape (B, *D)."""
        ...


@dataclass(frozen=True)
class Jumps:
    """Equal jumps: x <- X_{s,t}(x) with s = k / N, t = (k + 1) / N, k = 0, ..., N - 1."""

    name: ClassVar[str] = "jumps"

    def __call__(
        self,
        X: "FlowMap",
        x0: Tensor,
        steps: int,
        generator: torch.Generator | None = None,  # noqa: ARG002
        **condition: Any,
    ) -> Tensor:
        """The last point of `X.trajectory(x0, steps)`."""
        return X.trajectory(x0, steps, **condition)[-1]


@dataclass(frozen=True)
class Once:
    """One jump from noise to data, X_{0,1}(x0), whatever the number of steps: all that a map of s = 0 alone can do."""

    name: ClassVar[str] = "once"

    def __call__(
        self,
        X: "FlowMap",
        x0: Tensor,
        steps: int,
        generator: torch.Generator | None = None,  # noqa: ARG002
        **condition: Any,
    ) -> Tensor:
        """The landing point; more steps would start where the map was not trained, so none is made."""
        checks.count("steps", steps)
        return X(0.0, 1.0, x0, **condition)


@dataclass(frozen=True)
class Euler:
    """Euler's method along the diagonal: x <- x + v_{s,s}(x) / N with s = k / N. Flow matching needs it."""

    name: ClassVar[str] = "euler"

    def __call__(
        self,
        X: "FlowMap",
        x0: Tensor,
        steps: int,
        generator: torch.Generator | None = None,  # noqa: ARG002
        **condition: Any,
    ) -> Tensor:
        """The last point of N steps."""
        along = type(X)(lambda s, t, x, **given: X.v(s, self.end(s), x, **given))  # noqa: ARG005
        return along.trajectory(x0, steps, **condition)[-1]

    def end(self, s: Tensor) -> Tensor:
        """The end of the jump whose slope a step from s takes: s itself."""
        return s


@dataclass(frozen=True)
class Segments(Euler):
    """Steps along the jump to the segment's end: x <- x + v_{s,e}(x) / N, s = k / N, e the end of s's half of [0, 1].

    Maps known for t = e only need it. With N = 2 these are the two jumps.

    Source: Yang et al. 2024, arXiv 2407.02398, multi-segment consistency flow matching.
    """

    name: ClassVar[str] = "segments"

    def end(self, s: Tensor) -> Tensor:
        """The end of the segment that s lies in."""
        return times.segment_end(s)


@dataclass(frozen=True)
class Restarts:
    """Jump to time 1, go back to an earlier time with fresh noise, jump again. Maps known for t = 1 only need it.

        x <- X_{s,1}(a(s) z + b(s) x),   s = k / N,   z ~ N(0, sigma^2 I) anew at each k = 1, ..., N - 1

    Args:
        sigma: standard deviation of the base.
        interpolant: a and b.

    Source: Song, Dhariwal, Chen & Sutskever 2023, multistep consistency sampling.
    """

    name: ClassVar[str] = "restarts"
    sigma: float = 1.0
    interpolant: Interpolant = field(default_factory=Linear)

    def __post_init__(self) -> None:
        checks.positive("sigma", self.sigma)

    def __call__(
        self, X: "FlowMap", x0: Tensor, steps: int, generator: torch.Generator | None = None, **condition: Any
    ) -> Tensor:
        """The last landing point."""
        steps = checks.count("steps", steps)
        checks.points("x0", x0)
        if checks.batched(x0):
            raise ValueError("restarts draw noise, which torch.func.vmap refuses: give all samples as one batch")
        x = X(0.0, 1.0, x0, **condition)
        for k in range(1, steps):
            z = self.sigma * torch.randn(x.shape, generator=generator).to(x)
            x = X(k / steps, 1.0, self.interpolant(k / steps, z, x)[0], **condition)
        return x


SAMPLERS: dict[str, Callable[[float, Interpolant], Sampler]] = {
    "jumps": lambda sigma, interpolant: Jumps(),  # noqa: ARG005
    "once": lambda sigma, interpolant: Once(),  # noqa: ARG005
    "euler": lambda sigma, interpolant: Euler(),  # noqa: ARG005
    "segments": lambda sigma, interpolant: Segments(),  # noqa: ARG005
    "restarts": Restarts,
}


def sampler(name: str, sigma: float = 1.0, interpolant: Interpolant | None = None) -> Sampler:
    """The sampler of that name, for a base of deviation sigma and an interpolant (None: the linear one).

    Raises:
        ValueError: if the name is not in SAMPLERS.
    """
    checks.one_of("sampler", name, SAMPLERS)
    return SAMPLERS[name](sigma, interpolant or Linear())


def guided(X: "FlowMap", scale: float) -> "FlowMap":
    r"""Classifier-free guidance: a map that leans further towards its label than the one it was made of.

        v_{s,t}(x; label) <- v_{s,t}(x; none) + scale (v_{s,t}(x; label) - v_{s,t}(x; none))

    Scale 1 is the map itself, 0 ignores the label. The network must have been trained with some labels hidden
    (`Training.label_dropout`), else "none" means nothing to it. Each evaluation costs two. For a velocity (s = t) this
    is the published rule; for a jump it is the same combination of average slopes.

    Raises:
        ValueError: if scale is no finite number; when the map is called without a label.

    Source: Ho & Salimans 2022, "Classifier-free diffusion guidance".
    """
    factor = checks.finite_number("scale", scale)

    def v(s: Tensor, t: Tensor, x: Tensor, label: Tensor | None = None, **condition: Any) -> Tensor:
        if label is None:
            raise ValueError("guidance needs labels: pass label=, one class for each sample")
        with_label = X.v(s, t, x, label=label, **condition)
        without = X.v(s, t, x, label=torch.full_like(label, -1), **condition)
        return without + factor * (with_label - without)

    return type(X)(v, X.sampler, X.interpolant)
