r"""A known equation dx/dt = f(x) as a problem: a flow map that solves it at once, trained by the losses of every other.

The map's times s, t in [0, 1] are the equation's times s T, t T, with T the horizon. Its velocity is b_t(x) = T f(x),
the same at all times. There is no path from noise to data: a point of the batch is a state, and its target is T f(x)
itself (`path`), which is exact. The states are drawn along trajectories.

    problem = equations.Pendulum()
    *_, state = fit(problem, problem.network(), METHODS["lsd"], Training(steps=5000))
    state.X(0.0, 1.0, x)                                  # x after the time T, by one evaluation
"""

import functools
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu import times
from flowmap_edu.flow_map import FlowMap, Time
from flowmap_edu.interpolant import Interpolant, per_sample
from flowmap_edu.metrics.errors import root_mean_square
from flowmap_edu.nets import MLP
from flowmap_edu.problems.ode import TOLERANCE, average_slope
from flowmap_edu.problems.problem import STEPS, Problem

__all__ = ["Equation", "Lorenz", "LotkaVolterra", "Pendulum", "StiffLinear"]

STARTS, STOPS = 512, 64  # trajectories, and states that are kept of each
SEED = 8_191  # of the starts: every run of an equation knows the same states


def __dir__() -> list[str]:
    return sorted(__all__)


class Equation(Problem):
    """dx/dt = f(x) over a horizon. A subclass sets `low`, `high` and `span`, and defines `rate`.

    Args:
        horizon: T > 0, the time of the equation that the map's time 1 stands for.

    Attributes:
        low, high: corners of the box in which trajectories start.
        settle: for how long they are followed before states are kept, in the equation's time.
        span: for how long after that; 0: the states are the starts.

    Raises:
        ValueError: if the horizon is not positive.
    """

    from_noise: ClassVar[bool] = False
    low: ClassVar[tuple[float, ...]]
    high: ClassVar[tuple[float, ...]]
    settle: ClassVar[float] = 0.0
    span: ClassVar[float]

    def __init__(self, horizon: float):
        self.horizon, self.shape = checks.positive("horizon", horizon), (len(self.low),)

    @abstractmethod
    def rate(self, x: Tensor) -> Tensor:
        """f(x), shape (B, D)."""

    def velocity(self, t: Time, x: Tensor) -> Tensor:  # noqa: ARG002  the same at all times
        """b_t(x) = T f(x), shape (B, D)."""
        return self.horizon * self.rate(x)

    def v(self, s: Time, t: Time, x: Tensor, *, tolerance: float = TOLERANCE) -> Tensor:
        """The average slope of the exact map from s to t, shape (B, D), by an accurate solve; derivatives pass through.

        Args:
            s, t: times in [0, 1], in either order.
            x: states.
            tolerance: the error allowed in one step of the solver, at least 1e-12.

        Raises:
            ValueError: if a shape is wrong or a time leaves [0, 1].
        """
        tolerance = checks.at_least("tolerance", tolerance, 1e-12)
        checks.points("x", x)
        if x.shape[1:] != self.shape:
            raise ValueError(f"x must have shape (B, {self.shape[0]}), got {tuple(x.shape)}")
        s, t = (checks.batch_of_times(name, time, x).double() for name, time in (("s", s), ("t", t)))
        return self._v(t - s, x.double(), tolerance).to(x.dtype)

    def _v(self, length: Tensor, x: Tensor, tolerance: float) -> Tensor:
        # f does not ask for the time: half the way, twice as fast, from 0 on keeps clear of the solver's last moment
        return average_slope(lambda _, x: 2 * self.velocity(0.0, x), 0 * length, length / 2, x, tolerance) / 2

    def flow(self, s: Time, t: Time, x: Tensor) -> Tensor:
        """X_{s,t}(x), shape (B, D): the state at the map's time t of the solution that is at x at time s."""
        d = checks.batch_of_times("t", t, x) - checks.batch_of_times("s", s, x)
        return x + per_sample(d, x) * self.v(s, t, x)

    @functools.cached_property
    def states(self) -> Tensor:
        """Where trajectories come by, shape (32768, D): 64 states of each of 512, or as many starts where span is 0."""
        low, high = torch.tensor(self.low).double(), torch.tensor(self.high).double()
        count = STARTS if self.span else STARTS * STOPS
        x = low + (high - low) * torch.rand(count, len(low), generator=checks.generator(SEED), dtype=torch.float64)
        stops = [self.settle] + [self.span / STOPS] * STOPS if self.span else [0.0]
        kept = []
        for wait in stops:
            parts = max(1, math.ceil(wait / self.horizon))
            for _ in range(parts):  # no solve is longer than the horizon
                x = (
                    x
                    + wait / parts * self._v(x.new_full((len(x),), wait / parts / self.horizon), x, 1e-6) / self.horizon
                )
            kept.append(x)
        return torch.cat(kept[1:] or kept).to(torch.get_default_dtype())

    @functools.cached_property
    def sigma(self) -> float:  # type: ignore[override]
        """The root mean square of the states' entries."""
        return self.states.square().mean().sqrt().item()

    def base(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n states, shape (n, D)."""
        return self.states[torch.randint(len(self.states), (checks.count("n", n),), generator=generator)]

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, None]:
        """n states: along trajectories the states at time 1 are spread as those at time 0."""
        return self.base(n, generator), None

    def path(self, interpolant: Interpolant, t: Tensor, x0: Tensor, x1: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """A state and the velocity there: x0 and T f(x0)."""
        return x0, self.velocity(t, x0)

    def network(self) -> nn.Module:
        """An MLP without Fourier features: a solution of an equation is smooth in its start."""
        return MLP(len(self.low), hidden=128, layers=4, scale=self.sigma, fourier=0)

    def error(self, X: FlowMap, steps: int = 1, *, n: int = 2048, seed: int = 0) -> float:
        """The root mean square distance of `steps` jumps from 0 to 1 to the exact map, over n states."""
        return self.evaluate(X, [steps], n=n, seed=seed)[0]["map_error"]

    def evaluate(
        self, X: FlowMap, steps: Sequence[int] = STEPS, *, n: int | None = None, seed: int = 0
    ) -> list[dict[str, Any]]:
        """For each number of jumps the root mean square error at time 1; and that of the velocity on the diagonal.

        Args:
            X: the map.
            steps: the numbers of jumps.
            n: states drawn; None: 2,048.
            seed: of the states.
        """
        n, steps, generator = (
            2048 if n is None else checks.count("n", n),
            checks.counts("steps", steps),
            checks.generator(seed),
        )
        x, t = self.base(n, generator), times.uniform(n, generator=generator)
        goal, jumps = self.flow(0.0, 1.0, x), FlowMap(X.slope)
        with torch.no_grad():
            velocity = root_mean_square(X.velocity(t, x) - self.velocity(t, x))
        return [
            {"steps": k, "map_error": root_mean_square(jumps.sample(x, k) - goal), "velocity_error": velocity}
            for k in steps
        ]


class Pendulum(Equation):
    """A pendulum of angle q and speed p that swings and does not turn over: dq/dt = p, dp/dt = -sin q.

    Its energy p^2 / 2 - cos q does not change. Small swings take the time 2 pi, the widest here about twice that.
    """

    low, high, span = (-2.0, -1.0), (2.0, 1.0), 20.0

    def __init__(self, horizon: float = 3.0):
        super().__init__(horizon)

    def rate(self, x: Tensor) -> Tensor:
        """(p, -sin q), shape (B, 2)."""
        q, p = x.unbind(1)
        return torch.stack([p, -q.sin()], dim=1)


class LotkaVolterra(Equation):
    """Prey x and hunters y: dx/dt = x (1 - y), dy/dt = y (x - 1), both positive.

    x - log x + y - log y does not change: the two numbers go round (1, 1).

    Source: Lotka 1920; Volterra 1926.
    """

    low, high, span = (0.5, 0.5), (2.0, 2.0), 20.0

    def __init__(self, horizon: float = 3.0):
        super().__init__(horizon)

    def rate(self, x: Tensor) -> Tensor:
        """(x (1 - y), y (x - 1)), shape (B, 2)."""
        prey, hunters = x.unbind(1)
        return torch.stack([prey * (1 - hunters), hunters * (prey - 1)], dim=1)


class StiffLinear(Equation):
    """dx/dt = A x, where A has the eigenvalues -1 and -stiffness; its flow map is a matrix exponential.

    X_{s,t}(x) = exp((t - s) T A) x. The eigenvectors are turned by 30 degrees. An explicit solver needs steps below
    2 / stiffness, although all that moves after a short while is slow.

    Args:
        stiffness: the fast rate, > 0.
        horizon: T.
    """

    low, high, span = (-1.0, -1.0), (1.0, 1.0), 0.0

    def __init__(self, stiffness: float = 50.0, horizon: float = 1.0):
        super().__init__(horizon)
        turn = torch.tensor([[math.cos(math.pi / 6), -0.5], [0.5, math.cos(math.pi / 6)]], dtype=torch.float64)
        rates = torch.tensor([1.0, checks.positive("stiffness", stiffness)], dtype=torch.float64)
        self.matrix = -turn @ rates.diag() @ turn.T  # A

    def rate(self, x: Tensor) -> Tensor:
        """A x, shape (B, 2)."""
        return x @ self.matrix.to(x).T

    def _v(self, length: Tensor, x: Tensor, tolerance: float) -> Tensor:  # noqa: ARG002  met by a formula
        """T A phi(h A) x, h = (t - s) T, phi(z) = (e^z - 1) / z: the upper right block of exp([[h A, 1], [0, 0]])."""
        A, zero = self.matrix.to(x), torch.zeros(2, 2).to(x)
        still = torch.cat([torch.cat([zero, torch.eye(2).to(x)], 1), torch.cat([zero, zero], 1)])
        moving = torch.cat([torch.cat([A, zero], 1), torch.cat([zero, zero], 1)])
        phi = torch.matrix_exp(still + (self.horizon * length)[:, None, None] * moving)[:, :2, 2:]
        return torch.einsum("bij,bj->bi", phi, self.velocity(0.0, x))


class Lorenz(Equation):
    """Lorenz's equations with sigma = 10, rho = 28, beta = 8/3, in units of 10 and with z counted from 25.

        dx/dt = 10 (y - x),   dy/dt = x (3 - 10 z) - y,   dz/dt = 10 x y - 8/3 (z + 2.5).

    Chaos: two near states part by the factor e in about 1.1, the Lyapunov time; its inverse, the largest exponent, is
    published as 0.906 (Sprott 2003).

    Source: Lorenz 1963.
    """

    low, high, settle, span = (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), 10.0, 20.0

    def __init__(self, horizon: float = 0.5):
        super().__init__(horizon)

    def rate(self, x: Tensor) -> Tensor:
        """The three rates, shape (B, 3)."""
        x, y, z = x.unbind(1)
        return torch.stack([10 * (y - x), x * (3 - 10 * z) - y, 10 * x * y - 8 / 3 * (z + 2.5)], dim=1)
