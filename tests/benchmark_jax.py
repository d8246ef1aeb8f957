"""The loss and gradient of the four methods beside jitted JAX, in one process: `python tests/benchmark_jax.py`.

The formulas are written again in JAX, for the paper's network (4 x 512, GELU) and its batch cut to 1,024. The two
gradients must agree before anything is timed. JAX is no dependency of the library: without it the row says so.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from flowmap_edu import losses
from flowmap_edu._product import product
from flowmap_edu.bench.step import SELF_DISTILLED, loss_and_gradient, source
from flowmap_edu.recipes import recipe
from flowmap_edu.training import State

CLOSE = 1e-4  # the largest relative difference of the gradients
PAIRS = 15
MISSING = "| loss and gradient beside jitted JAX | not measured: jax is not installed |"
ONE_THREAD = {  # read by XLA and OpenMP when they are loaded
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "OMP_NUM_THREADS": "1",
}


def installed() -> bool:
    """Whether there is JAX."""
    return importlib.util.find_spec("jax") is not None


def layers(state: State) -> list[nn.Linear]:
    """The layers, from the first."""
    return [m for m in state.net.modules() if isinstance(m, nn.Linear)]


def in_jax(state: State, batch: losses.Batch) -> tuple[Callable[[], object], list[Tensor]]:
    """The jitted loss and gradient at the state's weights and a batch; and that gradient, weight by weight."""
    import jax
    import jax.numpy as jnp

    sigma, method = state.problem.sigma, state.method
    hold = jax.lax.stop_gradient

    def v(P, s, t, x):
        h = jnp.concatenate([x / sigma, s[:, None], t[:, None]], 1)
        for W, b in P[:-1]:
            h = jax.nn.gelu(h @ W.T + b, approximate=True)
        return h @ P[-1][0].T + P[-1][1]

    def X(P, s, t, x):
        return x + (t - s)[:, None] * v(P, s, t, x)

    def lagrangian(P, s, _, t, x):
        X_st, dX_dt = jax.jvp(lambda t: X(P, s, t, x), (t,), (jnp.ones_like(t),))
        return dX_dt - hold(v(P, t, t, X_st))

    def eulerian(P, s, _, t, x):
        b = hold(v(P, s, s, x))
        pushed = hold(jax.jvp(lambda x: X(P, s, t, x), (x,), (b,))[1])
        return jax.jvp(lambda s: X(P, s, t, x), (s,), (jnp.ones_like(s),))[1] + pushed

    def semigroup(P, s, u, t, x):
        first = v(P, s, u, x)
        second = v(P, u, t, x + (u - s)[:, None] * first)
        h = ((t - u) / jnp.maximum(t - s, jnp.finfo(jnp.float32).tiny))[:, None]
        return v(P, s, t, x) - hold((1 - h) * first + h * second)

    known = {
        ("lagrangian", "convex"): lagrangian,
        ("eulerian", "full"): eulerian,
        ("semigroup", "convex"): semigroup,
    }
    condition = known[method.condition, method.stopgrad]

    def loss(P, r, x_r, target, *jumps):
        on, off = v(P, r, r, x_r) - target, condition(P, *jumps)
        return (jnp.sum(on**2) + jnp.sum(off**2)) / (len(on) + len(off))

    (r, x_r, target, _), (s, u, t, x, _, _) = batch[:2]
    P = [(jnp.asarray(m.weight.detach().numpy()), jnp.asarray(m.bias.detach().numpy())) for m in layers(state)]
    given = [jnp.asarray(a.numpy()) for a in (r, x_r, target, s, u, t, x)]
    f = jax.jit(jax.value_and_grad(loss))
    found = [torch.tensor(jax.device_get(g)) for pair in f(P, *given)[1] for g in pair]
    return lambda: jax.block_until_ready(f(P, *given)), found


def difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """|ours - theirs| / |theirs| over all weights.

    Raises:
        ValueError: above CLOSE: then the two do not compute the same, and their times say nothing.
    """
    one, other = (torch.cat([g.double().flatten() for g in gradients]) for gradients in (ours, theirs))
    found = float((one - other).norm() / other.norm())
    if not found < CLOSE:
        raise ValueError(f"the gradients of torch and JAX differ by {found:.1e}, at most {CLOSE:.0e} is rounding")
    return found


def beside(method: str, pairs: int = PAIRS, **changes: object) -> tuple[list[float], float]:
    """CPU time of ours over JAX's, pair by pair, and the relative difference of the gradients."""
    torch.compiler.reset()
    settings = {"steps": 4000, "compile": True} | changes
    state = State(*recipe("checkerboard-paper", method, **settings))
    backward, batch = loss_and_gradient(state), source(state)()

    def ours() -> None:
        state.optimizer.zero_grad()
        backward(batch)

    theirs, expected = in_jax(state, batch)
    ours()
    found = difference([p.grad for m in layers(state) for p in (m.weight, m.bias)], expected)
    return paired(ours, theirs, pairs), found


def paired(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> list[float]:
    """CPU time of one over that of the other, pair by pair."""
    ratios = []
    for k in range(3 + pairs):  # three to warm
        spent = []
        for f in (ours, theirs):
            started = time.process_time()
            f()
            spent.append(time.process_time() - started)
        ratios += [spent[0] / spent[1]] * (k >= 3)
    return ratios


def products(pairs: int = 10 * PAIRS) -> dict[str, list[float]]:
    """CPU time of one product of a layer's size over JAX's: as the library takes it, and as torch does by itself."""
    import jax
    import jax.numpy as jnp

    x, w = torch.randn(1024, 512), torch.randn(512, 512)
    a, b, f = jnp.asarray(x.numpy()), jnp.asarray(w.numpy()), jax.jit(lambda a, b: a @ b.T)
    ways = {"ours": lambda: product(x, w), "torch's own": lambda: x @ w.T}
    return {name: paired(way, lambda: jax.block_until_ready(f(a, b)), pairs) for name, way in ways.items()}


def row(title: str, ratios: Sequence[float]) -> str:
    """A line of the table: median and range."""
    return f"| {title} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"


def rows() -> list[str]:
    """The lines of the table, measured in a process of its own: JAX reads its settings when it is loaded."""
    if not installed():
        return [MISSING]
    call = [sys.executable, "-W", "ignore", __file__, "--json"]
    done = subprocess.run(call, check=True, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured() -> list[str]:
    """The lines of this process."""
    import jax

    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # XLA has threads of its own: one core for all of them
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    out, sizes = [], "4 x 512, GELU, batch 1,024"
    for method in SELF_DISTILLED:
        ratios, found = beside(method)
        agree = f"gradients agree to {found:.0e}"
        out.append(
            row(f"{method.upper()}: loss and gradient over jitted JAX {jax.__version__} ({sizes}; {agree})", ratios)
        )
    one = "the same for one product, 1,024 x 512 x 512:"
    return out + [row(f"{one} {name} over JAX's", ratios) for name, ratios in products().items()]


if __name__ == "__main__":
    found = measured() if "--json" in sys.argv else rows()
    print(json.dumps(found) if "--json" in sys.argv else "\n".join(found))
