r"""What the flows that are known exactly have in common: a Gaussian, a mixture of Gaussians, the checkerboard.

Everything here is about the straight path I_t = (1 - t) x0 + t x1 with x0 ~ N(0, sigma^2 I), for
which the velocity b_t(x) = E[x1 - x0 | I_t = x] can be written down. The two conditional means obey

    x = (1 - t) E[x0 | x] + t E[x1 | x],   so   b_t(x) = (E[x1 | x] - x) / (1 - t) = (x - E[x0 | x]) / t,

and the first form is the good one near t = 0, the second near t = 1. The flow map of a Gaussian is
a formula; those of the other two are one accurate ODE solve. So `FlowMap(board.v)` is the map that
a network is trained to become: every condition and every error can be checked against it.
Arithmetic is in float64 throughout; results come back in the dtype of x.
Source: Albergo, Boffi & Vanden-Eijnden 2023, "Stochastic interpolants" (the conditional means).
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu import times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear, per_sample
from flowmap_edu.metrics import errors
from flowmap_edu.nets import MLP
from flowmap_edu.problems.ode import LAST, TOLERANCE, average_slope
from flowmap_edu.problems.posterior import Components, before_one, draws, expectations
from flowmap_edu.problems.problem import STEPS, Problem

Time = float | Tensor
FARTHEST = 1e6  # of a coordinate, in data units; up to there the arithmetic was compared with 120 digits


class ExactFlow(Problem):
    """What the three have in common. Throughout, x has shape (B, dim) and times are numbers or shape (B,).

    ValueError is raised for an x of another shape, not finite or beyond 1e6, and for times outside [0, 1].

    Attributes:
        dim: number of coordinates of a point; `shape` is (dim,).
    """

    dim: int

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """(dim,)."""
        return (self.dim,)

    def network(self) -> nn.Module:
        """An MLP that sees points in units of the base."""
        return MLP(self.dim, scale=self.sigma)

    @abstractmethod
    def sample(
        self, n: int, generator: torch.Generator | None = None, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, None]:
        """n draws x1 from the data, shape (n, dim), on the generator's device; there are no labels."""

    @abstractmethod
    def irreducible_loss(self) -> float:
        """E |dI_t|^2 - E |b_t(I_t)|^2, t uniform on [0, 1]: no network's diagonal loss is below it.

        It is the mean of tr Cov(dI_t | I_t): what is left to guess once I_t is known.
        """

    @abstractmethod
    def _velocity(self, t: Tensor, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _log_density(self, t: Tensor, x: Tensor) -> Tensor: ...

    def _v(self, s: Tensor, t: Tensor, x: Tensor, tolerance: float) -> Tensor:
        s_cut, t_cut = s.clamp(max=LAST), t.clamp(max=LAST)
        y = average_slope(self._velocity, s_cut, t_cut, x, tolerance)
        last = self._velocity(t_cut, x + per_sample(t_cut - s_cut, x) * y)
        share = torch.where(t > s, (t_cut - s_cut) / torch.where(t > s, t - s, 1.0), 1.0)  # of the way, by the ODE
        return last + per_sample(share, x) * (y - last)

    def velocity(self, t: Time, x: Tensor) -> Tensor:
        """b_t(x) = E[x1 - x0 | I_t = x], shape (B, dim); differentiable in t and x, both modes."""
        return self._velocity(*self._check(x, t=t)).to(x.dtype)

    def log_density(self, t: Time, x: Tensor) -> Tensor:
        """The logarithm of the density of I_t at x, shape (B,)."""
        return self._log_density(*self._check(x, t=t)).to(x.dtype)

    def v(self, s: Time, t: Time, x: Tensor, *, tolerance: float = TOLERANCE) -> Tensor:
        """The average slope v_{s,t}(x) = (X_{s,t}(x) - x) / (t - s), shape (B, dim); b_t(x) where s = t.

        Either order of s and t. For mixture and checkerboard it is an ODE solve, through which both modes
        differentiate in s, t and x. The solve stops at 1 - 1e-8 and goes on in a straight line; the derivative in
        s is not available for a start at s = 1 exactly.

        Args:
            s, t: times.
            x: points.
            tolerance: the error allowed in one step, at least 1e-12. Seen over 10,000 draws that the checkerboard's
                map carries from 0 to 1, in data units, against a tolerance of 1e-12:

                tolerance    root mean square    99 % of the points    largest    time
                1e-9         2e-8                4e-9                  1e-6       1
                1e-6         2e-6                8e-6                  1e-4       1/2

                The largest errors are where neighbouring paths part. A figure shows no difference below 1e-3. The
                Gaussian's map is a formula, and meets every tolerance.
        """
        tolerance = checks.at_least("tolerance", tolerance, 1e-12)
        s, t, z = self._check(x, s=s, t=t)
        return self._v(s, t, z, tolerance).to(x.dtype)

    def flow_map(self, s: Time, t: Time, x: Tensor, *, tolerance: float = TOLERANCE) -> Tensor:
        """X_{s,t}(x) = x + (t - s) v_{s,t}(x), shape (B, dim); the arguments are those of `v`."""
        tolerance = checks.at_least("tolerance", tolerance, 1e-12)
        s, t, z = self._check(x, s=s, t=t)
        return (z + per_sample(t - s, z) * self._v(s, t, z, tolerance)).to(x.dtype)

    @abstractmethod
    def components_of_data(self) -> Components:
        """The density of the data as a sum of products over the axes."""

    def posterior_mean(self, s: Time, x: Tensor) -> Tensor:
        """E[x1 | I_s = x] = x + (1 - s) b_s(x), shape (B, dim)."""
        s, z = self._check(x, s=s)
        return (z + per_sample(1 - s, z) * self._velocity(s, z)).to(x.dtype)

    @torch.no_grad()
    def posterior_sample(self, s: Time, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of the data x1 given I_s = x for each point, shape (B, dim); s below 1."""
        s, z = self._check(x, s=s)
        before_one(s)
        return draws(self, s, z, generator).to(x.dtype)

    def value_function(self, s: Time, x: Tensor, reward: Any) -> Tensor:
        """log E[exp r(x1) | I_s = x], shape (B,): what a reward r of the data is worth at a point on the way.

        The relative error of the mean is below 1e-6 for a smooth reward, and for a `Reward` with its edges in `splits`.

        Args:
            s: times below 1.
            x: points.
            reward: r, called with points (N, dim), returns one value each. A `rewards.Reward` is a sum over the axes,
                and serves in any dimension; any other function in one or two.

        Raises:
            ValueError: for s = 1, a reward of another shape or not finite, more than two dimensions.
        """
        s, z = self._check(x, s=s)
        return expectations(self, s, z, reward)[0].to(x.dtype)

    def _check(self, x: Tensor, **times: Time) -> tuple[Tensor, ...]:
        """The times, shape (B,), and x, all in float64."""
        checks.points("x", x)
        if x.shape[1:] != (self.dim,):
            raise ValueError(f"x must have shape (B, {self.dim}), got {tuple(x.shape)}")
        checks.within("x", x, -FARTHEST, FARTHEST)
        x = x.double()
        return *(checks.batch_of_times(name, t, x).to(x) for name, t in times.items()), x

    def evaluate(
        self, X: FlowMap, steps: Sequence[int] = STEPS, *, n: int | None = None, seed: int = 0
    ) -> list[dict[str, Any]]:
        """Root mean square errors against the exact map and the exact velocity, in data units.

        map_error is that of the jumps from 0 to 1; None where the map draws in another way, or was trained on another
        interpolant. velocity_error is that of the diagonal at times spread over [0, 0.99].

        Args:
            X: the map.
            steps: the numbers of steps.
            n: points drawn; None: 4,096.
            seed: of the points.
        """
        n, steps = 4096 if n is None else checks.count("n", n), checks.counts("steps", steps)
        x, t = self.on_the_way(n, seed)
        with torch.no_grad():
            velocity = errors.root_mean_square(X.velocity(t, x) - self.velocity(t, x))
        return [
            {"steps": k, "map_error": self.map_error(X, k, n, seed), "velocity_error": velocity if linear(X) else None}
            for k in steps
        ]

    def on_the_way(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """n points I_t and their times t, stratified over [0, 0.99]."""
        generator = checks.generator(seed)
        t = 0.99 * times.uniform(n, generator=generator)
        x1, _ = self.sample(n, generator)
        return Linear()(t, self.base(n, generator), x1)[0], t

    def map_error(self, X: FlowMap, steps: int, n: int, seed: int = 0) -> float | None:
        """The distance of `steps` jumps to the exact map; None for a map that has no such jumps."""
        steps = checks.count("steps", steps)
        jumps = X.sampler.name == "jumps" or (X.sampler.name in ("once", "restarts") and steps == 1)
        return errors.map_error(X, self, steps=steps, n=n, seed=seed) if jumps and linear(X) else None


def linear(X: FlowMap) -> bool:
    """Whether a map was trained on the straight path, for which the exact flows are known."""
    return X.interpolant is None or isinstance(X.interpolant, Linear)


def standard_normal(n: int, dim: int, generator: torch.Generator | None) -> Tensor:
    """n draws from N(0, I), shape (n, dim), float64, on the generator's device."""
    n = checks.count("n", n)
    device = generator.device if generator is not None else None
    return torch.randn(n, dim, generator=generator, device=device, dtype=torch.float64)


def float64(name: str, value: Any) -> Tensor:
    """A number, a list or an array as a float64 tensor; ValueError for anything else."""
    try:
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must be numbers, got {checks.kind(value)} ({error})") from error


def positive(name: str, value: float) -> float:
    """value as a float; ValueError unless it is a finite number above 0."""
    return float(positive_each(name, value, 1))


def positive_each(name: str, value: Time, count: int) -> Tensor:
    """value as `count` float64 numbers; ValueError unless all are finite and above 0."""
    v = float64(name, value)
    if v.ndim > 1 or (v.ndim == 1 and len(v) != count):
        raise ValueError(f"{name} must be a number or have shape ({count},), got {tuple(v.shape)}")
    if not bool((torch.isfinite(v) & (v > 0)).all()):
        raise ValueError(f"{name} must be finite and positive, got {value}")
    return v.expand(count)
