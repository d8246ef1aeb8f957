"""The flow map X, built from a network v, with its derivatives and its samplers.

    X_{s,t}(x) = x + (t - s) v_{s,t}(x)

jumps along the probability flow from time s to time t. The form makes X_{s,s}(x) = x hold by
construction, and v on the diagonal is the velocity of the flow: v_{t,t}(x) = b_t(x).

Every derivative is one forward-mode pass (`torch.func.jvp`): the value and the derivative
come out together, at about twice the cost of the value, and both can be differentiated again
with respect to the parameters of v.
Source: Boffi, Albergo & Vanden-Eijnden 2025, arXiv 2505.18825.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp

from flowmap_edu import _checks as checks
from flowmap_edu.interpolant import per_sample

Time = float | Tensor


def directional(f: Callable[..., Tensor], at: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """f(*at) and its derivative along the direction `along`, in one forward-mode pass, in full precision."""
    with torch.autocast(at[0].device.type, enabled=False):
        value, derivative, *_ = jvp(lambda *z: f(*(a.clone() for a in z)), at, along)  # torch.compile: no views there
    return value, derivative  # type: ignore[return-value]


class FlowMap:
    r"""The two-time map X_{s,t}(x) = x + (t - s) v_{s,t}(x).

    Args:
        v: any callable (s, t, x) -> (B, *D) with s and t of shape (B,): a network, an exact map's
            average slope, a plain function. It must treat the samples of a batch one by one
            (no batch normalisation): the derivatives below rely on it.

    Throughout, s and t are numbers or tensors of shape (B,) in [0, 1], and x has shape
    (B, *D): (B, 2) for points, (B, C, H, W) for images. Whatever receives anything else
    raises ValueError.
    """

    def __init__(self, v: Callable[..., Tensor]):
        if not callable(v):
            raise ValueError(f"v must be callable as v(s, t, x), got {type(v).__name__}")
        self.slope = v

    def v(self, s: Time, t: Time, x: Tensor) -> Tensor:
        """The average slope v_{s,t}(x) = (X_{s,t}(x) - x) / (t - s) of the jump, shape (B, *D)."""
        checks.points("x", x)
        return self.slope(checks.batch_of_times("s", s, x), checks.batch_of_times("t", t, x), x)

    def __call__(self, s: Time, t: Time, x: Tensor) -> Tensor:
        """X_{s,t}(x): where the flow carries x, known at time s, by time t; shape (B, *D)."""
        checks.points("x", x)
        s, t = checks.batch_of_times("s", s, x), checks.batch_of_times("t", t, x)
        return x + per_sample(t - s, x) * self.slope(s, t, x)

    def given(self, labels: Tensor) -> "FlowMap":
        """The map of a network v(s, t, x, labels) that is conditioned on classes, with these given; shape (B,).

        It serves batches of that one size: to sample more than 8,192 at once, give `sample` a larger chunk.
        """
        return FlowMap(lambda s, t, x: self.slope(s, t, x, labels))

    def velocity(self, t: Time, x: Tensor) -> Tensor:
        """The map's own velocity, read on its diagonal: v_{t,t}(x), shape (B, *D)."""
        return self.v(t, t, x)

    def partial_t(self, s: Time, t: Time, x: Tensor) -> tuple[Tensor, Tensor]:
        """X_{s,t}(x) and d/dt X_{s,t}(x): where x lands, and how fast the landing point moves with t."""
        checks.points("x", x)
        t = checks.batch_of_times("t", t, x)
        return directional(lambda t: self(s, t, x), (t,), (torch.ones_like(t),))

    def partial_s(self, s: Time, t: Time, x: Tensor) -> tuple[Tensor, Tensor]:
        """X_{s,t}(x) and d/ds X_{s,t}(x), the point x held where it is."""
        checks.points("x", x)
        s = checks.batch_of_times("s", s, x)
        return directional(lambda s: self(s, t, x), (s,), (torch.ones_like(s),))

    def push(self, s: Time, t: Time, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """X_{s,t}(x) and grad X_{s,t}(x) w: where the tangent vector w at x is carried; w has x's shape."""
        checks.points("x", x)
        checks.same_shape("x", x, "w", w)
        return directional(lambda x: self(s, t, x), (x,), (w,))

    def eulerian(self, s: Time, t: Time, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """X_{s,t}(x) and d/ds X_{s,t}(x) + grad X_{s,t}(x) w, in one pass: start time and point move together."""
        checks.points("x", x)
        checks.same_shape("x", x, "w", w)
        s = checks.batch_of_times("s", s, x)
        return directional(lambda s, x: self(s, t, x), (s, x), (torch.ones_like(s), w))

    @torch.no_grad()
    def trajectory(self, x0: Tensor, steps: int) -> Tensor:
        """The points visited on the way from time 0 to time 1 in equal jumps.

        x_{k+1} = X_{t_k, t_{k+1}}(x_k) with t_k = k / steps.

        Args:
            x0: draws from the base, shape (B, *D).
            steps: the number N of jumps, at least 1.

        Returns:
            x_0, ..., x_N, shape (N + 1, B, *D).

        Raises:
            ValueError: if steps < 1, or x0 has no batch axis or is not finite.
        """
        checks.count("steps", steps)
        checks.points("x0", x0)
        checks.finite("x0", x0)
        path = [x0]
        for k in range(steps):
            path.append(self(k / steps, (k + 1) / steps, path[-1]))
        return torch.stack(path)

    @torch.no_grad()
    def sample(self, x0: Tensor, steps: int, chunk: int = 8192) -> Tensor:
        """Draws from the model: the last point of `trajectory(x0, steps)`, shape (B, *D).

        Args:
            x0: draws from the base, shape (B, *D).
            steps: the number N of jumps, at least 1.
            chunk: how many samples go through v at a time; it bounds memory, not the result.

        Raises:
            ValueError: as `trajectory`.
        """
        checks.count("chunk", chunk)
        checks.points("x0", x0)
        return torch.cat([self.trajectory(part, steps)[-1] for part in x0.split(chunk)])
