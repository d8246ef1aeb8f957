"""The flow map X, built from a network v, with its derivatives and its samples.

    X_{s,t}(x) = x + (t - s) v_{s,t}(x)

jumps along the probability flow from time s to time t. The form makes X_{s,s}(x) = x hold by
construction, and v on the diagonal is the velocity of the flow: v_{t,t}(x) = b_t(x).

Every derivative is one forward-mode pass (`torch.func.jvp`): the value and the derivative
come out together, at about twice the cost of the value, and both can be differentiated again
with respect to the parameters of v.
Source: Boffi, Albergo & Vanden-Eijnden 2025, arXiv 2505.18825.
"""

import contextlib
import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp  # type: ignore[attr-defined]

from flowmap_edu import _checks as checks
from flowmap_edu._threads import cpu_threads, threads_for
from flowmap_edu.interpolant import Interpolant, per_sample
from flowmap_edu.sample import Jumps, Sampler

__all__ = ["FlowMap"]

Time = float | Tensor


@functools.cache
def load_forward_mode() -> None:
    """Load torch's rules for forward mode: while they are loaded, torch warns of a part of itself."""
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        importlib.import_module("torch._decomp.decompositions_for_jvp")


def directional(f: Callable[..., Tensor], at: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """f(*at) and its derivative along the direction `along`, in one forward-mode pass, in full precision."""
    # forward mode refuses entries that share their memory, as those of an expanded tensor do
    at, along = (tuple(a if a.is_contiguous() else a.clone() for a in given) for given in (at, along))
    if not torch.compiler.is_compiling():
        load_forward_mode()
    with torch.autocast(at[0].device.type, enabled=False):
        value, derivative = cast(
            tuple[Tensor, Tensor],
            jvp(lambda *z: f(*(a.clone() for a in z)), at, along),  # clones: torch.compile takes no views there
        )
    return value, derivative


class FlowMap:
    r"""The two-time map X_{s,t}(x) = x + (t - s) v_{s,t}(x).

    Args:
        v: any callable v(s, t, x, **condition) -> (B, *D) with s and t of shape (B,): a network, an exact map's
            average slope, a plain function. It must treat the samples of a batch one by one
            (no batch normalisation): the derivatives below rely on it.
        sampler: how `sample` draws; None for equal jumps. See `sample.py`.
        interpolant: the path that the map was trained on; None where that is not known.

    Throughout, s and t are numbers or tensors of shape (B,) in [0, 1], and x has shape
    (B, *D), float32 or float64: (B, 2) for points, (B, C, H, W) for images. Whatever receives
    anything else, NumPy arrays too, raises ValueError. What v is told besides, such as label=,
    goes through every call as `condition`.
    """

    def __init__(
        self, v: Callable[..., Tensor], sampler: Sampler | None = None, interpolant: Interpolant | None = None
    ):
        if not callable(v):
            raise ValueError(f"v must be callable as v(s, t, x), got {type(v).__name__}")
        if not (sampler is None or callable(sampler)):
            raise ValueError(f"sampler must be an object of sample.py, such as Jumps(), got {sampler!r}")
        self.slope = v
        self.sampler: Sampler = sampler or Jumps()
        self.interpolant = interpolant

    def v(self, s: Time, t: Time, x: Tensor, **condition: Any) -> Tensor:
        """The average slope v_{s,t}(x) = (X_{s,t}(x) - x) / (t - s) of the jump, shape (B, *D)."""
        checks.points("x", x)
        told = {name: value for name, value in condition.items() if value is not None}
        slope = self.slope(checks.batch_of_times("s", s, x), checks.batch_of_times("t", t, x), x, **told)
        checks.same_shape("x", x, "what v returns", slope)
        return slope

    def __call__(self, s: Time, t: Time, x: Tensor, **condition: Any) -> Tensor:
        """X_{s,t}(x): where the flow carries x, known at time s, by time t; shape (B, *D)."""
        checks.points("x", x)
        s, t = checks.batch_of_times("s", s, x), checks.batch_of_times("t", t, x)
        return x + per_sample(t - s, x) * self.v(s, t, x, **condition)

    def conditioned(self, **condition: Any) -> "FlowMap":
        """The same map with a condition fixed, such as label= of shape (B,): it then serves batches of that size."""

        def v(s: Tensor, t: Tensor, x: Tensor, **more: Any) -> Tensor:
            return self.v(s, t, x, **condition | more)

        return FlowMap(v, self.sampler, self.interpolant)

    def velocity(self, t: Time, x: Tensor, **condition: Any) -> Tensor:
        """The map's own velocity, read on its diagonal: v_{t,t}(x), shape (B, *D)."""
        checks.points("x", x)
        t = checks.batch_of_times("t", t, x)
        return self.v(t, t, x, **condition)

    def partial_t(self, s: Time, t: Time, x: Tensor, **condition: Any) -> tuple[Tensor, Tensor]:
        """X_{s,t}(x) and d/dt X_{s,t}(x): where x lands, and how fast the landing point moves with t."""
        checks.points("x", x)
        t = checks.batch_of_times("t", t, x)
        return directional(lambda t: self(s, t, x, **condition), (t,), (torch.ones_like(t),))

    def partial_s(self, s: Time, t: Time, x: Tensor, **condition: Any) -> tuple[Tensor, Tensor]:
        """X_{s,t}(x) and d/ds X_{s,t}(x), the point x held where it is."""
        checks.points("x", x)
        s = checks.batch_of_times("s", s, x)
        return directional(lambda s: self(s, t, x, **condition), (s,), (torch.ones_like(s),))

    def push(self, s: Time, t: Time, x: Tensor, w: Tensor, **condition: Any) -> tuple[Tensor, Tensor]:
        """X_{s,t}(x) and grad X_{s,t}(x) w: where the tangent vector w at x is carried; w has x's shape."""
        checks.points("x", x)
        checks.same_shape("x", x, "w", w)
        return directional(lambda x: self(s, t, x, **condition), (x,), (w,))

    def eulerian(
        self, s: Time, t: Time, x: Tensor, w: Tensor, *, difference: float = 0.0, **condition: Any
    ) -> tuple[Tensor, Tensor]:
        """X_{s,t}(x) and d/ds X_{s,t}(x) + grad X_{s,t}(x) w, in one pass: start time and point move together.

        A difference h > 0 replaces the derivative of v along (1, w) by the central one of v at s - h and s + h, which
        is shorter where they leave [0, 1]: three evaluations of v and no forward mode.
        """
        checks.points("x", x)
        checks.same_shape("x", x, "w", w)
        s = checks.batch_of_times("s", s, x)
        if h := checks.share("difference", difference):
            d, early, late = checks.batch_of_times("t", t, x) - s, (s - h).clamp_min(0), (s + h).clamp_max(1)
            here = self.v(s, t, x, **condition)
            before, after = (self.v(u, t, x + per_sample(u - s, x) * w, **condition) for u in (early, late))
            change = (after - before) / per_sample(late - early, x)
            return x + per_sample(d, x) * here, w - here + per_sample(d, x) * change
        return directional(lambda s, x: self(s, t, x, **condition), (s, x), (torch.ones_like(s), w))

    @torch.no_grad()
    def trajectory(self, x0: Tensor, steps: int, **condition: Any) -> Tensor:
        """The points visited on the way from time 0 to time 1 in equal jumps.

        x_{k+1} = X_{t_k, t_{k+1}}(x_k) with t_k = k / steps.

        Args:
            x0: draws from the base, shape (B, *D).
            steps: the number N of jumps, at least 1.
            condition: what v is told besides, such as label= of shape (B,).

        Returns:
            x_0, ..., x_N, shape (N + 1, B, *D).

        Raises:
            ValueError: if steps < 1, or x0 has no batch axis or is not finite.
        """
        steps = checks.count("steps", steps)
        checks.points("x0", x0)
        checks.finite("x0", x0)
        path = [x0]
        for k in range(steps):
            path.append(self(k / steps, (k + 1) / steps, path[-1], **condition))
        return torch.stack(path)

    @torch.no_grad()
    def sample(self, x0: Tensor, steps: int, chunk: int = 8192, seed: int = 0, **condition: Any) -> Tensor:
        """Draws from the model in `steps` evaluations of v by the map's own sampler, shape (B, *D).

        A small network on points takes one CPU thread, unless the user chose a number (_threads.py).

        Args:
            x0: draws from the base, shape (B, *D).
            steps: the number N of evaluations, at least 1: jumps, Euler steps or restarts.
            chunk: how many samples go through v at a time. It bounds memory; with restarts the fresh noise of a
                sample depends on it.
            seed: of that fresh noise.
            condition: what v is told besides; a tensor with one entry a sample, such as label=, is cut along with x0.

        Raises:
            ValueError: if steps or chunk is below 1, x0 has no batch axis or is not finite, or a label has another
                length than x0.
        """
        chunk, steps = checks.count("chunk", chunk), checks.count("steps", steps)
        checks.points("x0", x0)
        checks.finite("x0", x0)
        for name, value in condition.items():
            if isinstance(value, np.ndarray):
                raise ValueError(f"{name} must be a tensor, got {checks.kind(value)}")
            if isinstance(value, Tensor) and value.ndim and len(value) != len(x0):
                raise ValueError(f"{name} must have one entry a sample, {len(x0)}; got shape {tuple(value.shape)}")
        generator = checks.generator(seed, plus=1_000_003)  # not the seed that x0 may have been drawn from
        parts = []
        with cpu_threads(threads_for(x0.shape[1:], min(chunk, len(x0)), self.slope)):
            for start in range(0, max(1, len(x0)), chunk):
                part = slice(start, start + chunk)
                given = {k: c[part] if isinstance(c, Tensor) and c.ndim else c for k, c in condition.items()}
                parts.append(self.sampler(self, x0[part], steps, generator, **given))
        return torch.cat(parts)
