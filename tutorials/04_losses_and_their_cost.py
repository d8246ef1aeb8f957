# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Losses and their cost
#
# After this lesson you can
#
# - turn each of the three conditions into a loss, and compute its derivatives without difference quotients,
# - measure what each choice costs in time and memory.
#
# **It assumes** [lesson 03](03_three_characterizations.ipynb): the Lagrangian, Eulerian and semigroup conditions and
# their residuals. **It takes** forty minutes to read and about three minutes to run on two CPU cores, of which two
# are eight short trainings in section 6.

# %%
import copy

import matplotlib.pyplot as plt
import torch

from flowmap_edu import MLP, FlowMap, losses, problems
from flowmap_edu.times import triangle
from flowmap_edu.viz import plots

plots.use_style()
board = problems.Checkerboard()
gauss = problems.Gaussian(mean=torch.tensor([1.0, 0.5]), std=0.4, sigma=0.8)

# %% [markdown]
# ## 1. How does an equation become a loss?
#
# A condition says that a residual $R_{s,t}(x)$ is zero for all times and places. To train on it, square it and average
# it over the times and places that matter: pairs $s < t$ spread evenly over the triangle, and points where the flow is
# at time $s$, that is, draws of the interpolant $I_s = (1 - s)\, x_0 + s\, x_1$. As lesson 03 found, the condition has
# to be joined by flow matching on the diagonal, which is what brings in the data:
#
# $$L(v) = \underbrace{E\, \big| v_{t,t}(I_t) - (x_1 - x_0) \big|^2}_{\text{diagonal, } t \text{ uniform}}
#   + \underbrace{E\, \big| R_{s,t}(I_s) \big|^2}_{\text{off the diagonal, } s < t} .$$
#
# A pair that is uniform on the triangle: the larger of two uniform numbers has distribution $P(t \le a) = a^2$, so $t =
# \sqrt{r_1}$, and below it $s = t\, r_2$. To see what the two parts do, take maps on the straight line from the exact
# one to a wrong one, $v = v^\ast + \lambda\, (v^{\text{wrong}} - v^\ast)$, and draw the losses against $\lambda$. The
# wrong maps are two of lesson 03, for Gaussian data.

# %%
n, generator = 20_000, torch.Generator().manual_seed(0)
t = torch.rand(n, generator=generator).sqrt()
s = t * torch.rand(n, generator=generator)
x0, x1 = gauss.sigma * torch.randn(n, 2, generator=generator), gauss.sample(n, generator=generator)[0]
at_s, at_t = ((1 - time)[:, None] * x0 + time[:, None] * x1 for time in (s, t))  # I_s and I_t
print(f"half of a uniform triangle lies above t = 0.707; of our pairs, {(t > 0.5**0.5).float().mean():.3f}")

elsewhere = problems.Gaussian(mean=torch.tensor([0.2, 1.0]), std=0.7, sigma=0.8)
wrong = {"one Euler step": lambda s, _, x: gauss.velocity(s, x), "another problem's map": elsewhere.v}
share = torch.linspace(-0.5, 1.5, 101)


# %%
def parts(X):
    """The diagonal's excess over its least value, and the three conditions' losses."""
    u, data_free = (s + t) / 2, {"stopgrad": "none"}
    found = {"diagonal": losses.diagonal(X, t, at_t, gauss.velocity(t, at_t))}
    found["Lagrangian"] = losses.lagrangian(X, s, t, at_s, **data_free)
    found["Eulerian"] = losses.eulerian(X, s, t, at_s, **data_free)
    found["semigroup"] = losses.semigroup(X, s, u, t, at_s, **data_free)
    return {name: value.mean() for name, value in found.items()}


def between(v, c):
    return FlowMap(lambda s, t, x: gauss.v(s, t, x) + c * (v(s, t, x) - gauss.v(s, t, x)))


# %%
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), sharey=True)
for ax, (name, v) in zip(axes, wrong.items(), strict=True):
    values = [parts(between(v, c)) for c in share.tolist()]
    for part in values[0]:
        ax.semilogy(share, [value[part] for value in values], "--" if part == "diagonal" else "-", label=part)
    ax.set(title=f"towards {name}", xlabel="share of the wrong map", ylim=(3e-5, 4), xticks=[-0.5, 0, 0.5, 1, 1.5])
axes[0].set_ylabel("loss, above its least value")
axes[1].legend(loc="upper left", ncols=2, fontsize=8)
figure.suptitle("Only at the exact map (share 0) are diagonal and condition both zero")
plt.show()

# %% [markdown]
# **What to notice.** The scale is logarithmic, so a zero is a deep notch. On the left the dashed diagonal is missing,
# for it is zero throughout: all these maps have the right velocity, and it takes a condition to find the exact one
# among them. On the right the conditions vanish twice, at both flow maps, and it takes the diagonal to say which of
# them belongs to the data. (The dashed curve is the excess over the irreducible part, so that it can reach zero.)
#
# **Try.** Draw the third wrong map of lesson 03, the straight line. Which of the four losses notice it?

# %% [markdown]
# ## 2. How does one differentiate a network in $t$ while it trains?
#
# Two of the residuals contain derivatives of $X$ in $t$, $s$ or $x$, and the loss must then be differentiated in the
# weights. A difference quotient would do for a rough answer. The exact way is to send a derivative *through the network
# along with the value*. If a layer is $z \mapsto W z + c$ and its input moves with speed $\dot z$, its output moves
# with speed $W \dot z$; if it is $z \mapsto \phi(z)$, entry by entry, with speed $\phi'(z)\, \dot z$:
#
# $$(z, \dot z) \;\longmapsto\; (W z + c, \; W \dot z), \qquad
#   (z, \dot z) \;\longmapsto\; (\phi(z), \; \phi'(z)\, \dot z) .$$
#
# That is *forward mode*: no step size, one pass, and the answer is exact up to rounding. It gives the derivative along
# one direction (here: $t$ moves, all else rests); it is called a *Jacobian-vector product*, `jvp` in code. Here is the
# whole of it for a small network on $(s, t, x)$.

# %%
torch.manual_seed(1)
plain = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.SiLU(), torch.nn.Linear(64, 2)).double()


def forward_mode(z, dz):
    for layer in plain:
        if isinstance(layer, torch.nn.Linear):
            z, dz = layer(z), dz @ layer.weight.T
        else:
            z, dz = layer(z), dz * (z.sigmoid() * (1 + z * (1 - z.sigmoid())))  # SiLU is z sigmoid(z)
    return z, dz


places = torch.randn(1000, 4, dtype=torch.float64)
along_t = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64).expand(1000, 4)
ours, library = forward_mode(places, along_t), torch.func.jvp(plain, (places,), (along_t,))
assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(ours, library, strict=True))

# %%
errors, h_all = {}, 10.0 ** -torch.arange(0.5, 12.1, 0.5, dtype=torch.float64)
for dtype in (torch.float32, torch.float64):
    net, z, w = copy.deepcopy(plain).to(dtype), places.to(dtype), along_t.to(dtype)
    quotients = [(net(z + h * w) - net(z - h * w)) / (2 * h) for h in h_all.tolist()]
    exactly = torch.func.jvp(net, (z,), (w,))[1]
    errors[dtype] = [(d.double() - ours[1]).norm().item() / ours[1].norm().item() for d in (*quotients, exactly)]

# %%
figure, ax = plt.subplots(figsize=(5.2, 3.1))
for k, (dtype, error) in enumerate(errors.items()):
    ax.loglog(h_all, error[:-1], "os"[k] + "-", label=f"difference quotient, {str(dtype)[6:]}")
    ax.axhline(max(error[-1], 1e-16), color=plots.COLOURS[k], ls="--", label=f"forward mode, {str(dtype)[6:]}")
ax.set(xlabel="step h", ylabel="relative error", title="Forward mode needs no step, and no luck with it")
ax.set_ylim(1e-22, 1e3)
ax.legend(ncols=2, fontsize=7, loc="lower left")
plt.show()
best, forward = min(errors[torch.float32][:-1]), errors[torch.float32][-1]
print(f"single precision: the best step's error is {best / forward:.0f} times that of forward mode")

# %% [markdown]
# **What to notice.** A difference quotient is wrong for a large step because the function bends, and for a small one
# because two nearly equal numbers are subtracted. In single precision, in which networks are trained, even the best
# step is worse by the printed factor, and one has to know that step.
#
# `X.partial_t`, `X.partial_s` and `X.push` are one `jvp` each, in $t$, in $s$ and along a direction of $x$. To
# `backward()` the computed derivative is a value like any other, so the gradient in the weights comes out as usual.
#
# (The reference is forward mode in double precision, so the lowest line only says that rounding repeats itself.)
#
# **Try.** Where does the V of double precision have its tip, and why near $h = 10^{-5}$? (Balance $h^2$ against
# $10^{-16} / h$.)

# %% [markdown]
# ## 3. What do the three losses look like, written out?
#
# They are called after their conditions: LSD, ESD and PSD, where L, E and P stand for Lagrangian, Eulerian and
# *progressive* (two short jumps teach a long one), S for *self*, and D for *distillation*. Write $\mathrm{sg}(\cdot)$
# for *stop-gradient*: the value goes on, the gradient does not. Each loss has one argument, `stop`, that says which
# terms are put into an $\mathrm{sg}$: none of them, those of the column "convex", or those of the column "full".
#
# | loss | square of | "convex" | "full" |
# | --- | --- | --- | --- |
# | LSD | $\partial_t X_{s,t}(x) - v_{t,t}(X_{s,t}(x))$ | the second term, its inner $X$ too | |
# | ESD | $\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x)$ | $v_{s,s}(x)$ | the second term |
# | PSD | $v_{s,t}(x) - \big[(1-h)\, v_{s,u}(x) + h\, v_{u,t}(X_{s,u}(x))\big]$ | the bracket | |
#
# In code there are two ways to hold a term: compute it and drop its history (`.detach()`), or compute it where no
# history is kept (`torch.no_grad()`), which is cheaper. `torch.set_grad_enabled(yes)` is the second with a switch.
#
# The third is the semigroup condition divided by $t - s$: with $u = h s + (1 - h)\, t$, $0 < h < 1$, the slope of one
# jump is the mean of the slopes of two. $\nabla X\, w$ is a `jvp` in $x$; the matrix $\nabla X$ is never formed.


# %%
def lsd(X, s, t, x, stop):
    landed, moves = X.partial_t(s, t, x)
    with torch.set_grad_enabled(stop == "none"):
        target = X.velocity(t, landed)
    return (moves - target).square().sum(1)


def esd(X, s, t, x, stop):
    with torch.set_grad_enabled(stop == "none"):
        b = X.velocity(s, x)
    with torch.set_grad_enabled(stop != "full"):
        carried = X.push(s, t, x, b)[1]
    return (X.partial_s(s, t, x)[1] + carried).square().sum(1)


# %%
def psd(X, s, t, x, stop, h=0.5):
    u = h * s + (1 - h) * t
    with torch.set_grad_enabled(stop == "none"):
        first = X.v(s, u, x)
        second = X.v(u, t, x + (u - s)[:, None] * first)
        mean = (1 - h) * first + h * second
    return (X.v(s, t, x) - mean).square().sum(1)


# %%
CASES = [(lsd, "none"), (lsd, "convex"), (esd, "none"), (esd, "convex"), (esd, "full"), (psd, "none"), (psd, "convex")]
torch.manual_seed(2)
X = FlowMap(MLP(2, hidden=64, layers=2))
half = (s + t) / 2
for loss, stop in CASES:
    name = {lsd: "lagrangian", esd: "eulerian", psd: "semigroup"}[loss]
    times = (s, half, t) if loss is psd else (s, t)
    library = getattr(losses, name)(X, *times, at_s, stopgrad=stop)
    assert torch.allclose(loss(X, s, t, at_s, stop), library, rtol=1e-3, atol=1e-6)
    assert torch.allclose(loss(X, s, t, at_s, stop), loss(X, s, t, at_s, "none"))  # the value never changes

# %% [markdown]
# **What to notice.** The last assertion: a stop-gradient changes no value. Two losses that print the same number can
# pull the weights in different directions, and a loss curve alone cannot tell them apart.
#
# **Try.** Show that `psd` times $(t - s)^2$ is the square of the semigroup residual of lesson 03.

# %% [markdown]
# ## 4. What does each choice cost?
#
# How long do loss and gradient take, and how much memory lives at the peak, in units of flow matching?

# %%
import time
import weakref

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Memory(TorchDispatchMode):
    """The most bytes that were alive at once among those allocated inside `with Memory() as memory:`."""

    def __init__(self):
        super().__init__()
        self.alive, self.peak = {}, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        for storage in (value.untyped_storage() for value in tree_leaves(out) if isinstance(value, torch.Tensor)):
            if storage._cdata not in self.alive:
                self.alive[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self.alive.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self.alive.values()))
        return out


# %%
def cost(values):
    """Seconds (the best of nine) and peak bytes of loss and gradient."""
    seconds = []
    for _ in range(9):
        started = time.perf_counter()
        values().mean().backward()
        seconds.append(time.perf_counter() - started)
    with Memory() as memory:
        values().mean().backward()
    return min(seconds), memory.peak


# %%
X = FlowMap(MLP(2))
s, t = triangle(2048, generator=torch.Generator().manual_seed(5))  # uniform on the triangle, as above
x0, x1 = board.sigma * torch.randn(2048, 2), board.sample(2048)[0]
x = (1 - s)[:, None] * x0 + s[:, None] * x1
unit = cost(lambda: losses.diagonal(X, t, x, x1 - x0))
rows = {}
for loss, stop in CASES:
    seconds, peak = cost(lambda loss=loss, stop=stop: loss(X, s, t, x, stop))
    rows[f"{loss.__name__.upper()} {stop}"] = [seconds / unit[0], peak / unit[1]]

# %%
figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.5), sharey=True)
for k, (ax, column) in enumerate(zip(axes, ("time", "memory"), strict=True)):
    lengths = [row[k] for row in rows.values()]
    bars = ax.barh(list(rows), lengths, color=[plots.COLOURS["LEP".index(name[0])] for name in rows])
    ax.bar_label(bars, [f"{length:.2g}" for length in lengths], padding=2, fontsize=7)
    ax.set_xlim(0, 1.2 * max(lengths))
    ax.set_xlabel(f"{column}, diagonal = 1", fontsize=8)
axes[0].invert_yaxis()
figure.suptitle("What the losses cost")
plt.show()

# %% [markdown]
# **What to notice.** LSD and ESD cost several times a diagonal sample, since value and derivative are computed and both
# are differentiated again. PSD needs no derivative.
#
# **Try.** Write `esd` with `X.eulerian(s, t, x, b)[1]`. What does it save?

# %% [markdown]
# ## Next
#
# [04b, Stop-gradients and stability](04b_stop_gradients_and_stability.ipynb) says who learns from whom.
