r"""Guidance: the velocity of a map, and the gradient of what a reward is worth at a point on the way.

The velocity of the tilted flow is, on the straight path,

    b^r_s(x) = b_s(x) + sigma^2 (1 - s) / s grad log h_s(x),   h_s(x) = E[exp r(x1) | I_s = x].

h is the value function. It is known for the exact flows alone. Two stand-ins need only the map: r at the mean of the
data, and r at the landing point. Neither is log h: the logarithm of a mean of exp r is not r of the mean (Jensen), and
a single landing point is no mean at all. So their drifts do not sample the tilted density.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap, Time
from flowmap_edu.interpolant import Linear, per_sample
from flowmap_edu.lookahead import lookahead
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.problems.rewards import valued

__all__ = ["Denoiser", "Exact", "Guided", "Landing", "Value", "guided_velocity"]

Reward = Callable[[Tensor], Tensor]  # points (B, *D) -> (B,)


class Value(Protocol):
    """What a reward is worth at a point on the way: log h, or what is taken in its place."""

    def __call__(self, X: FlowMap, s: Tensor, x: Tensor, **condition: Any) -> Tensor:
        """One value a point, shape (B,), differentiable in x; s has shape (B,)."""
        ...


@dataclass(frozen=True)
class Denoiser:
    """r(D_{s,s}(x)): the reward at the mean of the data given the point."""

    reward: Reward

    def __call__(self, X: FlowMap, s: Tensor, x: Tensor, **condition: Any) -> Tensor:
        """One evaluation of v, shape (B,)."""
        return valued(self.reward, lookahead(X, s, s, x, **condition))


@dataclass(frozen=True)
class Landing:
    """r(X_{s,1}(x)): the reward at the landing point."""

    reward: Reward

    def __call__(self, X: FlowMap, s: Tensor, x: Tensor, **condition: Any) -> Tensor:
        """One evaluation of v, shape (B,)."""
        return valued(self.reward, X(s, 1.0, x, **condition))


@dataclass(frozen=True)
class Exact:
    """log h_s(x) = log E[exp r(x1) | I_s = x], from a problem that knows it.

    Raises:
        ValueError: if the problem is no exact flow.
    """

    problem: ExactFlow
    reward: Reward

    def __post_init__(self):
        if not isinstance(self.problem, ExactFlow):
            raise ValueError(
                "the value function is known for the exact flows (Gaussian, mixture, checkerboard), got "
                f"{checks.kind(self.problem)}: take Denoiser or Landing, or weigh the samples (weighed, tempered)"
            )

    def __call__(self, X: FlowMap, s: Tensor, x: Tensor, **condition: Any) -> Tensor:  # noqa: ARG002  no map needed
        """Sums over quadrature nodes, shape (B,)."""
        return self.problem.value_function(s, x, self.reward)


def guided_velocity(X: FlowMap, s: Time, x: Tensor, value: Value, sigma: float, **condition: Any) -> Tensor:
    """v_{s,s}(x) + sigma^2 (1 - s) / s grad value(s, x), shape (B, *D).

    Args:
        X: the map, trained on the straight path.
        s: times strictly between 0 and 1, a number or shape (B,).
        x: points at time s, shape (B, *D).
        value: `Denoiser`, `Landing`, `Exact`, or a `Value` of your own.
        sigma: the standard deviation of the base.
        condition: what v is told besides, such as label= of shape (B,).

    Raises:
        ValueError: if s is 0 or 1, the map is of another path, or the value has another shape than (B,), is not finite
            or has no gradient in x.
    """
    return X.velocity(s, x, **condition) + pull(X, s, x, value, sigma, **condition)


def pull(X: FlowMap, s: Time, x: Tensor, value: Value, sigma: float, **condition: Any) -> Tensor:
    """sigma^2 (1 - s) / s grad value(s, x), shape (B, *D); the arguments are those of `guided_velocity`."""
    checks.points("x", x)
    times, sigma = checks.batch_of_times("s", s, x), checks.positive("sigma", sigma)
    if bool(((times <= 0) | (times >= 1)).any()):
        raise ValueError(
            "s must lie strictly between 0 and 1: at s = 0 the factor (1 - s) / s is infinite, at s = 1 the point is "
            "the data itself"
        )
    if not (X.interpolant is None or isinstance(X.interpolant, Linear)):
        raise ValueError(f"guidance is for maps of the straight path, this one was trained on {X.interpolant}")
    with torch.enable_grad():
        z = x.detach().requires_grad_()
        log_h = value(X, times, z, **condition)
        if not isinstance(log_h, Tensor) or log_h.shape != x.shape[:1]:
            came = tuple(log_h.shape) if isinstance(log_h, Tensor) else checks.kind(log_h)
            raise ValueError(f"the value must return one number a sample, shape ({len(x)},), got {came}")
        if not bool(torch.isfinite(log_h).all()):
            raise ValueError("the value must be finite, got NaN or infinity")
        slope = torch.autograd.grad(log_h.sum(), z, allow_unused=True)[0] if log_h.requires_grad else None
    if slope is None:
        raise ValueError(
            "the reward has no gradient in x, so guidance would do nothing: take Exact, weighed or tempered, which "
            "need its values alone"
        )
    return sigma**2 * per_sample((1 - times) / times, x) * slope


@dataclass(frozen=True)
class Guided:
    """Euler steps of the guided velocity: x <- x + (v_{s,s}(x) + sigma^2 (1 - s) / s grad value(s, x)) / N, s = k / N.

    The first step reads the gradient at s = 1 / (2 N), since the factor is infinite at 0. With `Exact` the product has
    a limit there, and the step has the usual error of Euler's method. With `Landing` it has none: the gradient of the
    landing point is not zero at time 0, and the first step is long.

    It is a sampler, as those of `sample.py` are: `Guided(value, sigma)(X, x0, steps)`.

    Attributes:
        value: what the reward is worth on the way: `Denoiser`, `Landing`, `Exact`, or a `Value` of your own.
        sigma: the standard deviation of the base.
    """

    value: Value
    sigma: float
    name: ClassVar[str] = "guided"

    @torch.no_grad()
    def __call__(
        self,
        X: FlowMap,
        x0: Tensor,
        steps: int,
        generator: torch.Generator | None = None,  # noqa: ARG002
        **condition: Any,
    ) -> Tensor:
        """The last point, shape (B, *D); two evaluations of v a step, one of them with its gradient."""
        steps, x = checks.count("steps", steps), x0
        for k in range(steps):
            drift = pull(X, max(k, 0.5) / steps, x, self.value, self.sigma, **condition)
            x = x + (X.velocity(k / steps, x, **condition) + drift) / steps
        return x
