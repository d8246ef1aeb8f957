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
# # One table for all methods
#
# After this lesson you can
#
# - read consistency training, mean flow and shortcut models as three rows of one table, and prove it by their
#   gradients,
# - say when the slope of a single sample may stand for the velocity, and when it may not,
# - compose a method of your own, train it and place it among the others.
#
# **It assumes** [lesson 04b](04b_stop_gradients_and_stability.ipynb) (the three losses and their stop-gradients) and
# [lesson 06](06_distillation_with_and_without_a_teacher.ipynb) (teachers).
# **It takes** forty minutes to read and about five minutes to run on two CPU cores.

# %%
import dataclasses
import json

import matplotlib.pyplot as plt
import torch
from tqdm.auto import tqdm

from flowmap_edu import FlowMap, losses, methods, metrics, problems, recipes, training
from flowmap_edu.times import draw, triangle
from flowmap_edu.training import runs
from flowmap_edu.viz import plots

plots.use_style()
board = problems.Checkerboard()
STEPS = training.budget(1200)

# %% [markdown]
# ## 1. Which choices make a method?
#
# Since 2022 many ways have been published to train a network that jumps from noise to data. They differ in name,
# in notation, even in the direction of time. In the terms of this course each answers the same five questions:
#
# 1. **Which condition** holds off the diagonal: Lagrangian, Eulerian or semigroup?
# 2. **At which times**: all $s < t$, only $t = 1$, jumps of length $2^{-k}$ only, or jumps to the end of a segment?
# 3. **Whose velocity** is in it: the map's own $v_{t,t}$, a frozen teacher's $b_t$, or the sample's own slope $\dot
#    I_s$?
# 4. **Where is the stop-gradient?**
# 5. **With what weight** does a sample count?
#
# The library holds the answers as data, one frozen dataclass a row. Times "to one" means $t = 1$, "grid" its neighbours
# on a grid, "dyadic" jumps of length $2^{-k}$, "segments" jumps to the end of each half of $[0, 1]$; the weights are
# one, the jump's length (or, on the grid, its discrete kin), the larger of $s^2$ and $(1-s)^2$ ("truncated snr": a loss
# on the predicted data with the weight $\max(\mathrm{SNR}, 1)$ has this weight on $v$), and two that depend on the
# residual: "tangent", 1 over its length plus 0.1, and "adaptive", 1 over its square plus 0.001. The other weights are
# for one source each (`methods.WEIGHTS`).

# %%
table = dict(methods.METHODS)
print(f"{'':<15}{'condition':<12}{'velocity':<10}{'stopgrad':<10}{'times':<10}{'weight':<15}more")
for name, row in table.items():
    velocity, stopgrad = (row.velocity, row.stopgrad) if name != "fm" else ("-", "-")
    print(f"{name:<15}{row.condition:<12}{velocity:<10}{stopgrad:<10}", end="")
    more = f"u: {row.middle}, short jumps: {row.short}" if row.condition == "semigroup" else ""
    print(f"{row.times:<10}{row.weight:<15}{'alone stands dI' if row.first_term else more}")

# %% [markdown]
# One stop-gradient is new. Write the Eulerian residual of $X_{s,t}(x) = x + (t-s)\, v_{s,t}(x)$ with the derivatives
# carried out, for a velocity $b$:
#
# $$\partial_s X + \nabla X\, b = -v_{s,t} + \underbrace{b + (t-s)\big(\partial_s v_{s,t} + \nabla v_{s,t}\, b\big)}_{
# \text{the bracket}} .$$
#
# **Semi** holds the whole bracket fixed and leaves the gradient to the leading $v_{s,t}$ alone. The network is then
# fitted to a target, $v_{s,t} \leftarrow$ bracket, as in ordinary regression, only that the target is made of the
# network itself. No derivative is differentiated again. (In the Lagrangian residual, "semi" holds all but the leading
# $v$ of $\partial_t X$: section 8.) Consistency models call the change of the map along the flow its *tangent*, and
# *ramp* it: the second term of the bracket gets a factor that grows from 0 to 1.
#
# A picture of the table: condition by velocity, a mark for the stop-gradient. (For the discrete consistency rows, the
# sample or the teacher makes the first of the two short jumps.)

# %%
ROWS, COLUMNS = ("semigroup", "eulerian", "lagrangian"), ("self", "sample", "teacher")
marks = {"none": "s", "convex": "o", "semi": "^", "full": "D"}


def reads(row):
    """Whose velocity; in the semigroup, whose short jumps. The map's own average counts as itself."""
    return "teacher" if row.needs_teacher else row.velocity.replace("average", "self")


def place(ax, name, row, k):
    """One method in its cell, the k-th there; hollow for t = 1 only."""
    x, y = COLUMNS.index(reads(row)) + 0.06, ROWS.index(row.condition) + 0.86 - 0.145 * k
    colour = plots.COLOURS[list(marks).index(row.stopgrad)]
    ax.plot(x, y, marks[row.stopgrad], color=colour, mfc="white" if row.sampler == "restarts" else colour, ms=6)
    ax.text(x + 0.05, y, name, va="center", fontsize=8.5)


# %%
figure, ax = plt.subplots(figsize=(7.0, 4.6))
filled = {}
for name, row in list(table.items())[1:]:  # flow matching has no condition
    cell = (row.condition, reads(row))
    filled[cell] = filled.get(cell, -1) + 1
    place(ax, name, row, filled[cell])
for stopgrad, mark in marks.items():
    ax.plot([], [], mark, color=plots.COLOURS[list(marks).index(stopgrad)], label=f'stop-gradient "{stopgrad}"')
ax.plot([], [], "o", color="0.3", mfc="white", label="hollow: t = 1 only")
ax.text(1.5, 2.5, "a jump from a sample\nlands on no sample", ha="center", va="center", color="0.4", fontsize=8.5)
ax.set(xlim=(0, 3), ylim=(0, 3), xticks=[0.5, 1.5, 2.5], yticks=[0.5, 1.5, 2.5], xticklabels=COLUMNS, yticklabels=ROWS)
ax.set(xlabel="whose velocity (semigroup: whose short jumps)", title="One cell of nine is empty")
ax.hlines([1, 2], 0, 3, color="0.85"), ax.vlines([1, 2], 0, 3, color="0.85")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
plt.show()

# %% [markdown]
# **What to notice.** The Lagrangian condition asks for the velocity at $X_{s,t}(I_s)$, where the *map* has landed, and
# no sample's slope is known there. That cell is empty because all our jumps start at a sample. Flow map matching (Boffi
# et al., 2024) turns it round: it starts at $X_{t,s}(I_t)$, so that the jump lands on the sample, and fits $\partial_t
# X_{s,t}(X_{t,s}(I_t))$ to $\dot I_t$. It needs the map in both orders of $s$ and $t$. The Eulerian condition asks at
# $I_s$, where a sample has the slope $\dot I_s = x_1 - x_0$ for free. That is the place of consistency training and of
# mean flow: in their residual they read neither a teacher nor the map's own diagonal. (May they? Section 4.)
#
# **Try.** Print `methods.METHODS["pd"].substitution` and `.departs`. Every row says how its source's symbols translate,
# and where its source does something else in practice.

# %% [markdown]
# ## 2. Is consistency training the Eulerian row at $t = 1$?
#
# Consistency models (Song et al., 2023) learn $f(x_\tau, \tau)$, which carries a noisy point to the data. Time is
# the noise level: $x_\tau = x_1 + \tau z$ with $z \sim N(0, I)$. The continuous-time training gradient is that of
#
# $$f_\theta(x_\tau, \tau) \cdot \mathrm{sg}\Big[\frac{d}{d\tau} f(x_\tau, \tau)\Big], \qquad
# \frac{d x_\tau}{d\tau} = z ,$$
#
# where the square bracket is the change of $f$ along the sample's own line. To translate, note that our interpolant is
# theirs, scaled: with noise $x_0 = \sigma z$,
#
# $$I_s = (1-s)\, \sigma z + s\, x_1 = s\, x_\tau, \qquad \tau = \sigma\, \frac{1-s}{s}, \qquad
# f(x_\tau, \tau) = X_{s,1}(s\, x_\tau).$$
#
# We write both down for the shipped LSD network (any network would do) and compare the gradients of its weights, in
# `float64`, so that rounding is not in the way.

# %%
torch.manual_seed(0)
net, held, slow = (runs.load("checkerboard-lsd").slope.double() for _ in range(3))  # the same weights, thrice
net.requires_grad_(True)  # to be trained; the two others stay frozen
n = 64
x1, z = board.sample(n)[0].double(), torch.randn(n, 2, dtype=torch.float64)
s, t = 0.05 + 0.85 * torch.rand(n, dtype=torch.float64), torch.ones(n, dtype=torch.float64)
x, slope = (1 - s[:, None]) * board.sigma * z + s[:, None] * x1, x1 - board.sigma * z


def gradient(loss):
    """The gradient of the mean loss with respect to all weights, as one vector."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss.mean(), net.parameters(), retain_graph=True)])


# %%
def consistency_function(network):
    """f(x_tau, tau) = X_{s,1}(s x_tau)."""

    def f(x_tau, tau):
        s = board.sigma / (board.sigma + tau)
        return FlowMap(network)(s, torch.ones_like(s), s[:, None] * x_tau)

    return f


tau = board.sigma * (1 - s) / s
at = (x1 + tau[:, None] * z, tau)
_, change = torch.func.jvp(consistency_function(held), at, (z, torch.ones_like(tau)))
theirs = (consistency_function(net)(*at) * change).sum(1)

# %% [markdown]
# The row: the Eulerian loss at $t = 1$, the sample's slope for the velocity, the stop-gradient "semi", the weight $t -
# s$. Between the two stands a positive number for each sample, $2\sigma/s^2$ (how fast their clock runs against ours,
# and the 2 of a square). A weight that depends on a sample's times only changes how much the sample counts; it does not
# change what is asked of it.

# %%
no_diagonal = losses.Diagonal(s[:0], x[:0], x[:0])
batch = losses.Batch(no_diagonal, losses.Jumps(s, u=s, t=t, x=x, dx=slope))  # jumps from s to t
ours = methods.loss(FlowMap(net), batch, table["ct"])
g, g_theirs = gradient(ours), gradient(2 * board.sigma / s**2 * theirs)
print(f"relative difference of the gradients: {((g - g_theirs).norm() / g_theirs.norm()).item():.1e}")
assert torch.allclose(g, g_theirs, rtol=1e-8, atol=1e-12)

# %% [markdown]
# **What to notice.** The two agree to rounding. Nothing was approximated: another clock, another scale, one loss.
#
# The first consistency models compared two *neighbouring* times instead: with $u = s + h$,
#
# $$\big| X_{s,1}(I_s) - \mathrm{sg}\, X_{u,1}(I_u) \big|^2 / h .$$
#
# That is a semigroup residual whose first short jump is made along the sample's line. In the limit $h \to 0$ its
# gradient should become that of the Eulerian row. (Its value goes to zero.) How fast?

# %%
steps = [2.0**-k for k in range(6, 15)]
limit = gradient(methods.loss(FlowMap(net), batch, table["ct"]))
gaps = []
for h in steps:
    near = batch._replace(jumps=batch.jumps._replace(u=s + h))
    found = gradient(methods.loss(FlowMap(net), near, table["ct-discrete"]))
    gaps.append(((found - limit).norm() / limit.norm()).item())
order = torch.log(torch.tensor(gaps[-2] / gaps[-1])) / torch.log(torch.tensor(steps[-2] / steps[-1]))
print(f"between the last two, the gap falls like h to the power {order:.3f}")

# %%
figure, ax = plt.subplots(figsize=(4.8, 3.0))
ax.loglog(steps, gaps, "o-", label="discrete against continuous")
ax.loglog(steps, [gaps[-1] * h / steps[-1] for h in steps], ":", color="0.4", label="slope 1")
ax.set(xlabel="distance h of the two times", ylabel="relative gap of the gradients")
ax.set_title("Neighbouring times: a first-order step of the Eulerian row")
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** Below $h \approx 10^{-3}$ the gap halves with the step: the discrete method is the continuous one
# up to first order in $h$. At $h = 1/64$, the grid on which section 7 trains it, the gap is still large. Its sources
# let $h$ shrink as training goes on. So do three rows: `ect` at $t = 1$ in eight stages, `soflow` and `alphaflow` at
# all $s < t$, with $u = s + \alpha (t - s)$ and an $\alpha$ that falls (at $\alpha = 1$ the target is $\dot I_s$
# itself). Their limit is the Eulerian row of section 3, at first order in $\alpha$.
#
# **Try.** The row `"cd"` with a teacher, `methods.loss(..., teacher=FlowMap(held))`, against `"cd-discrete"`. Is the
# order the same?

# %% [markdown]
# ## 3. Is mean flow the Eulerian row with the sample's slope?
#
# Mean flow (Geng et al., 2025) lets time run from data at 0 to noise at 1. It learns the *average velocity* $u(z, r,
# t)$ over the times from $r$ to $t$, at the point $z$ where the flow is at time $t$, and fits it to
#
# $$u_{\text{target}} = \mathrm{sg}\Big[ v - (t - r)\Big(v\, \partial_z u + \partial_t u\Big)\Big],
# \qquad v = \epsilon - x,$$
#
# at $z = (1-t)\, x + t\, \epsilon$, with $x$ the data and $\epsilon$ the noise. Run time backwards and signs
# change: $u(z, r, t) = -v_{1-t,\, 1-r}(z)$ and $v = -\dot I$. The squared error is divided by itself plus a small
# number, held fixed ("adaptive weight").


# %%
def average_velocity(network):
    """u(z, r, t) = -v_{1-t,1-r}(z)."""
    return lambda z, r, t: -network(1 - t, 1 - r, z)


T, r = 1 - s, (1 - s) * torch.rand(n, dtype=torch.float64)  # their t, and their r < t
v = board.sigma * z - x1
u, held_u = average_velocity(net), average_velocity(held)
_, du = torch.func.jvp(lambda z, t: held_u(z, r, t), (x, T), (v, torch.ones_like(T)))
error = ((u(x, r, T) - (v - (T - r)[:, None] * du)) ** 2).sum(1)
theirs = error / (error.detach() + 1e-3)

jumps = batch.jumps._replace(t=1 - r)
ours = methods.loss(FlowMap(net), batch._replace(jumps=jumps), table["meanflow"])
assert torch.allclose(gradient(ours), gradient(theirs), rtol=1e-8, atol=1e-12)
print(f"mean flow's loss {theirs.mean():.6f}, the row's {ours.mean():.6f}; equal gradients")

# %% [markdown]
# **What to notice.** The gradients agree (the values do too, but under this weight any network has a value near 1).
# Mean flow is the Eulerian row at all times $s < t$; consistency training is the same row at $t = 1$, with another
# weight.
#
# **Try.** `table["imf"]` is improved mean flow: its network is pushed along its own velocity and only the standalone
# $b$ is the sample's. Write it by hand: which of the lines above changes? And `table["tim"]` replaces the `jvp` by a
# central difference: `dataclasses.replace(table["meanflow"], difference=0.005)` does the same to mean flow. How far do
# the gradients move?

# %% [markdown]
# ## 4. When may one sample's slope stand for the velocity?
#
# The slope $\dot I_s$ of a single sample is far from the velocity $b_s(I_s)$; only its mean *given $I_s$* is. In
# flow matching the difference does no harm, because a regression finds the mean. Does it in a residual?
#
# Put the *true* flow map of the board into the loss and change it a little, $v_\theta = (1 + \theta)\, v$. A loss that
# has the true map for its minimum exerts no push on $\theta$ there:
#
# $$\text{push} = \frac{d}{d\theta}\, E\, \text{loss}(v_\theta) \Big|_{\theta = 0} = 0 \ ?$$
#
# (Times up to 0.6: later, the map's gradient between the squares is so large that a few samples rule the mean.)

# %%
m = 200 if STEPS < 100 else 1000
g = torch.Generator().manual_seed(1)
s_, t_ = (0.6 * time.double() for time in triangle(m, generator=g))
x1_, x0_ = board.sample(m, generator=g)[0].double(), board.sigma * torch.randn(m, 2, generator=g).double()
x_ = (1 - s_[:, None]) * x0_ + s_[:, None] * x1_
theta = torch.zeros(m, 1, dtype=torch.float64, requires_grad=True)  # one a sample, so that each push is seen
near_truth = FlowMap(lambda s, t, x: (1 + theta) * board.v(s, t, x))
samples = losses.Batch(no_diagonal, losses.Jumps(s_, s_, t_, x_, x1_ - x0_))
push = {}
for velocity in ("sample", "self"):
    for stopgrad in ("convex", "semi"):
        row = dataclasses.replace(table["meanflow"], velocity=velocity, stopgrad=stopgrad, weight="one")
        each = torch.autograd.grad(methods.loss(near_truth, samples, row).sum(), theta)[0]
        push[f'"{stopgrad}",\n{velocity}'] = (each.mean().item(), 2 * (each.std() / m**0.5).item())

# %%
figure, ax = plt.subplots(figsize=(5.6, 3.0))
for k, (mean, error) in enumerate(push.values()):
    ax.errorbar(k, mean, error, fmt="o", capsize=4, color=plots.COLOURS[k], ms=6)
ax.axhline(0, color="0.4", lw=1)
ax.set(xticks=range(4), xticklabels=push, ylabel="push on the true map")
ax.set_title('With a sample\'s slope, "convex" pushes the truth away, "semi" does not')
plt.show()
for name, (mean, error) in push.items():
    print(f"{name.replace(chr(10), ' '):<18} {mean:+.3f} (two standard errors: {error:.3f})")

# %% [markdown]
# **What to notice.** Under "convex" the gradient is quadratic in the velocity, and the mean of a square is not the
# square of the mean: with a sample's slope the loss pushes the true map away. Under "semi" the gradient is linear in
# $\dot I_s$, so that its mean is the gradient with $b_s$, and the push is zero within the error. With the map's own
# velocity both leave the truth alone. ("Full" is linear in $\dot I_s$ as well: it keeps the gradient of $\partial_s X$,
# which has no $\dot I_s$ in it. "None" is quadratic. Change the tuple and look.)
#
# A weight that depends on the residual breaks the linearity. sCM normalises its tangent (a weight of 1 over the
# residual's length), mean flow divides by the squared length. What does a regression find under such a weight? Take a
# point $x$ at time $s$, draw the slopes of all samples that pass through it, and look, starting at their mean, for an
# $m$ at which
#
# $$E\Big[ w\big(|\dot I_s - m|^2\big)\, \big(\dot I_s - m\big) \,\Big|\, I_s = x \Big] = 0 .$$

# %%
time, x_here = 0.5, torch.tensor([0.05, 0.15])
y = board.sample(300_000, generator=g)[0]
log_chance = -(x_here - time * y).square().sum(1) / (2 * ((1 - time) * board.sigma) ** 2)  # of y, given x here
passing = (y - x_here) / (1 - time)  # dI = x1 - x0 of a sample that goes from x to y
passing = passing[torch.multinomial(log_chance.softmax(0), 20_000, replacement=True, generator=g)]
found = {}
for weight in ("one", "tangent", "adaptive"):
    m = passing.mean(0)
    for _ in range(500):  # weighted means, until the weights agree with the mean
        w = methods.WEIGHTS[weight]((passing - m).square().sum(1), *[torch.zeros(1)] * 3)
        m = (w[:, None] * passing).sum(0) / w.sum()
    found[weight] = m

# %%
b = board.velocity(time, x_here[None])[0]
figure, ax = plt.subplots(figsize=(6.6, 4.0))
ax.plot(*passing[:4000].T, ".", ms=1.5, color="0.6", label="slopes of samples through x")
ax.plot(*b, "+", color="black", ms=16, mew=2, label="the velocity b")
for k, (weight, m) in enumerate(found.items()):
    ax.plot(*m, ("o", "s", "^")[k], ms=7, color=plots.COLOURS[k], label=f'found with weight "{weight}"')
    print(f"weight {weight:<9} finds a point {(m - b).norm():.3f} from the velocity (of length {b.norm():.3f})")
ax.set(aspect="equal", xlabel="slope, first coordinate", ylabel="second", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
ax.set_title("A weight that depends on the residual moves the fit off the mean")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
plt.show()

# %% [markdown]
# **What to notice.** With the weight one the regression finds the mean, the velocity. Normalising the tangent finds
# something like a median, the adaptive weight something like the middle of the nearest crowd: both follow the many and
# neglect the few. In two dimensions the residual's length varies greatly from sample to sample. In thousands of
# dimensions it may vary less, and the weight with it. (We have not measured it there.) **Try.** Move `time` to 0.8 and
# `x_here` to `torch.tensor([0.2, 0.2])`, the middle of a square at that time. Which of the three still differ?

# %% [markdown]
# ## 5. Are shortcut models the semigroup row?
#
# Shortcut models (Frans et al., 2024) have our direction of time. A network $s(x, t, d)$ makes a step of size $d$, and
# a step of $2d$ is fitted to two steps of $d$:
#
# $$s(x, t, 2d) \leftarrow \mathrm{sg}\Big[\tfrac12\, s(x, t, d) + \tfrac12\, s(x', t+d, d)\Big], \qquad
# x' = x + d\, s(x, t, d),$$
#
# with $2d = 1, \tfrac12, \tfrac14, \dots$ That is the semigroup at the midpoint, $s(x, t, d) = v_{t,\,t+d}(x)$. The
# smallest step, $d = 1/128$, is not learned but asked as $d = 0$, which is the velocity, and the right-hand side uses
# the moving average of the weights.

# %%
s_k, u_k, t_k = (time.double() for time in draw(table["shortcut"], n))
d = u_k - s_k
slow.body[0].weight += 0.01 * torch.randn_like(slow.body[0].weight)  # a moving average that lags behind


def shortcut(network, x, t, d):
    return network(t, t + torch.where(d > 1 / 128, d, 0.0), x)


first = shortcut(slow, x, s_k, d)
second = shortcut(slow, x + d[:, None] * first, s_k + d, d)
theirs = ((shortcut(net, x, s_k, 2 * d) - (first + second) / 2) ** 2).sum(1)
jumps = batch._replace(jumps=losses.Jumps(s_k, u_k, t_k, x, slope))
ours = methods.loss(FlowMap(net), jumps, table["shortcut"], average=FlowMap(slow))
assert torch.allclose(gradient(ours), gradient(theirs), rtol=1e-8, atol=1e-12)
print(f"shortcut's loss {theirs.mean():.6f}, the row's {ours.mean():.6f}; equal gradients")

# %% [markdown]
# **What to notice.** Three papers, three notations, two directions of time: each is a row, to rounding. The tests of
# this library compare the gradients of every row with its source's, up to a weight on each sample. What they do not
# cover is in `departs`: while sCM's tangent is ramped up, `sct` splits it in another place, and `pd` trains one network
# where its source trains one a stage.
#
# **Try.** Replace `average=FlowMap(slow)` by nothing. The row then uses its own weights. Is the value changed? The
# gradient?

# %% [markdown]
# ## 6. Which of them learns the board?
#
# The rows have one training loop. We give the three, and two self-distillation rows, the same network and the same
# number of steps, and look at KL64 (lesson 01) for 1 to 16 evaluations of the network.
#
# A consistency model has learned $X_{s,1}$ only. It has no jump from 0 to 1/2; to use more evaluations, it adds new
# noise to its result and jumps again,
#
# $$x \leftarrow X_{s,1}\big( (1-s)\, z + s\, x \big), \qquad z \sim N(0, \sigma^2 I), \quad s = k/N .$$
#
# For consistency training we take `sct`, the variant with a normalised and ramped tangent. And section 4 left us a
# question about mean flow: what does it lose by its adaptive weight? So it runs a second time with the weight one. (Six
# trainings, two minutes.)

# %%
noise = board.sigma * torch.randn(100_000, 2, generator=torch.Generator().manual_seed(2))
EVALUATIONS = (1, 2, 4, 8, 16)
trained, seconds = {}, {}


def measure(name, **changes):
    """Train a method of the table; KL64 of its samples for 1 to 16 evaluations."""
    run = recipes.recipe("checkerboard", table[name], steps=STEPS, compile=False, **changes)
    *_, state = tqdm(training.fit(*run, every=max(1, STEPS // 20)), total=20, desc=name)
    drawn = [state.X.sample(noise, k) for k in EVALUATIONS]  # as its method draws
    trained[name], seconds[name] = [metrics.kl64(x).kl for x in drawn], state.cpu_seconds


table["mf-one"] = dataclasses.replace(table["meanflow"], title="mean flow with equal weights", weight="one")
for name in ("sct", "meanflow", "mf-one", "shortcut", "lsd", "psd-m"):
    measure(name)


# %%
def curves(ax, found, names, floor=None):
    for k, name in enumerate(names):
        look = ("-", "--", "-.", ":")[k // 6]
        ax.loglog(EVALUATIONS, found[name], "o" + look, color=plots.COLOURS[k % 6], label=name)
    if floor:
        ax.axhline(floor, color="0.5", lw=1, label="exact draws")
    ax.set(xlabel="evaluations of the network", xticks=EVALUATIONS, xticklabels=EVALUATIONS, ylabel="KL64")
    ax.minorticks_off()


figure, ax = plt.subplots(figsize=(5.6, 3.4))
curves(ax, trained, trained, metrics.floor64(len(noise)))
ax.set_title(f"KL64 after {STEPS:,} steps, one seed")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
plt.show()
for name, kl in trained.items():
    print(f"{name:<10}" + "".join(f"{value:>9.3f}" for value in kl) + f"{seconds[name]:>8.0f} CPU-s")

# %% [markdown]
# **What to notice.** LSD and PSD-M have the lowest KL64 up to four evaluations; from eight on the shortcut model, which
# trains jumps of seven lengths only, is level with them. Mean flow is poor with one, 0.980, and equal weights bring
# that to 0.658. This agrees with section 4, but it is one seed, and from four on the two are closer; we have not traced
# why. `sct` stops gaining after 8: its further evaluations add noise and jump to the end again, each with its own
# error. Some 1,200 steps are few; the order may change with more.
#
# **Try.** `measure("lsd", seed=1)`, and the others: which differences outlast a change of the seed?

# %% [markdown]
# ## 7. And all of them, at a larger budget?
#
# The repository holds the same comparison with three CPU minutes a row, for the rows that the table had then, made by
#
# ```bash
# flowmap-edu table checkerboard --methods all --minutes 3 --jobs 2
# ```
#
# A row with a teacher got half of its minutes, and the teacher the other half. The cost of a step is measured
# relative to a step of flow matching with the same batch.

# %%
saved = json.loads((runs.shipped_folder() / "methods" / "methods.json").read_text())
rows = saved["rows"]
full = {name: row["kl64"] for name, row in rows.items() if not row["diverged"]}
print(f"{saved['minutes']:g} CPU minutes a row, {saved['points']:,} points, {saved['machine']}\n")
print(f"{'':<15}" + "".join(f"{k:>8}" for k in EVALUATIONS) + f"{'time':>8}{'memory':>8}{'max grad':>10}")
for name, row in rows.items():
    kl = "".join(f"{value:>8.3f}" for value in row["kl64"]) if name in full else f"{'diverged':>40}"
    print(f"{name:<15}{kl}{row['step_time']:>8.1f}{row['step_memory']:>8.1f}{row['grad_norm']:>10.3g}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.6, 4.2), sharey=True)
groups = {"without a teacher": [], "with a teacher": [], "t = 1 only (restarts)": []}
for name in full:
    if name != "fm":
        kind = 2 if table[name].sampler == "restarts" else int(table[name].needs_teacher)
        groups[list(groups)[kind]].append(name)
for ax, (title, names) in zip(axes, groups.items(), strict=True):
    curves(ax, full, names)
    ax.legend(fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.2)), ax.set_title(title)
axes[1].set_ylabel(""), axes[2].set_ylabel("")
figure.suptitle(f"KL64 of {len(full) - 1} rows, three CPU minutes each")
plt.show()

# %%
figure, ax = plt.subplots(figsize=(7.4, 4.4))
below = {"shortcut", "psd-m", "ct", "ayf-emd"}  # names that would lie on one another
for name, kl in full.items():
    k = list(groups).index(next((g for g, names in groups.items() if name in names), "without a teacher"))
    ax.semilogy(rows[name]["step_time"], kl[0], ("o", "s", "^")[k], color=plots.COLOURS[k], ms=6)
    at = {"xytext": (5, -9 if name in below else 3), "textcoords": "offset points", "fontsize": 8}
    ax.annotate(name, (rows[name]["step_time"], kl[0]), **at)
for k, title in enumerate(groups):
    ax.plot([], [], ("o", "s", "^")[k], color=plots.COLOURS[k], label=title)
ax.set(xlabel="time of a step, relative to flow matching", ylabel="KL64 with one evaluation")
ax.set_title("Cost against accuracy: the budget in time is the same for all")
ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
plt.show()

# %% [markdown]
# **What to notice.** With one evaluation LSD leads with 0.066, then come the two distilled maps `lmd` and `emd` with
# 0.100 and 0.115, then the other self-distillation rows. Flow matching has no jumps: Euler's method comes to 0.084 with
# 16 evaluations.
#
# What "semi" buys is in the columns of cost. `lmd` and `emd` differentiate a derivative once more: their steps take the
# most time of all rows, and about five to six times the memory of a flow-matching step. `ayf-lmd` and `ayf-emd`, which
# hold it, are content with about one and a half times the memory, and with a third less time. The semigroup needs no
# derivative at all. (The times are ratios within one run; between runs on a shared machine they swing by a third.)
#
# In the last column the largest gradient of consistency training falls from over 7,000 to 1.82. The weight "tangent"
# builds that in: a residual $R$ with the weight $1 / (|R| + 0.1)$ gives a gradient of length below 2 in $v$, however
# large $R$ is. What the normalised and ramped tangent *buys* is the map, better at every number of evaluations but 2.
# There, `sct` and `scd` are *worse* than with one: the second evaluation starts from new noise at $s = 1/2$, and how
# good $X_{1/2,1}$ is shows only there. Beyond 4 the rows for $t = 1$ gain little, and `cd` gets worse with each
# doubling, as if every jump added its own error.
#
# This is no ranking of publications. It is one seed on one problem in the plane, with a recipe (features, optimiser,
# averaged targets, pairs on the sides of the triangle) that was made for self-distillation; mean flow and sCM were made
# for images. It shows each row as this library trains it; besides the five choices, the share of the diagonal, the
# pairs of times on the sides and the half of the budget that a teacher takes differ. (`esd` was trained with the
# stop-gradient "convex", since "full" can diverge: lesson 04.)
#
# **Try.** `flowmap-edu table checkerboard --methods ct,sct --minutes 1 --out runs/mine` in a terminal: ten KL64 of your
# own.

# %% [markdown]
# ## 8. A row of your own
#
# The table has more cells than papers. A new method is a replaced row under a new name. As an example we take the
# Lagrangian self-distillation row and hold everything but the leading slope, as Align Your Flow does with a teacher's
# velocity, here without one:
#
# $$v_{s,t} \leftarrow \mathrm{sg}\big[ v_{t,t}(X_{s,t}) - (t-s)\, \partial_t v_{s,t} \big].$$
#
# We do not know of a publication that trains it.

# %%
table["mine"] = dataclasses.replace(table["lsd"], title="my own", stopgrad="semi")
measure("mine")
figure, ax = plt.subplots(figsize=(5.6, 3.2))
curves(ax, trained, ("lsd", "psd-m", "mine"), metrics.floor64(len(noise)))
ax.set_title("A row that nobody asked for, beside two that work")
ax.legend()
plt.show()
for name in ("lsd", "mine"):
    print(f"{name:<6}" + "".join(f"{value:>8.3f}" for value in trained[name]) + f"{seconds[name]:>6.0f} CPU-s")

# %% [markdown]
# **What to notice.** The row trains, so the table has room where no publication stands; here it is worse than LSD. The
# two have the same residual, which vanishes at the same map, and a different gradient: "semi" leaves out how
# $\partial_t v$ depends on the weights. The last column says what that saves in time.
#
# **Try.** Compose a row: change the condition, the times, the weight or the stop-gradient of any row and measure it.
# Choices that contradict each other are refused, with a reason: try
# `dataclasses.replace(table["lsd"], velocity="sample")`.

# %% [markdown]
# ## Summary
#
# - A method is five choices: condition, times, velocity, stop-gradient, weight.
# - Consistency training, mean flow and shortcut models are rows of the table, to rounding, up to a weight on each
#   sample; discrete consistency training tends to the Eulerian row, at first order.
# - The sample's own slope may stand for the velocity where the gradient is linear in it: in the Eulerian condition
#   under "semi" and "full". The price is noise; and a weight that depends on the residual makes it biased.
# - Every row is trained by the same loop, and measured by the same number.
#
# ## Exercises
#
# 1. Show from the formula of section 1 that at $s = t$ the "semi" residual is $\dot I_t - v_{t,t}(I_t)$, so that mean
#    flow's share of pairs with $s = t$ is flow matching.
# 2. Split mean flow fits $v_{s,t}$ to $(1-h)\, v_{s,u} + h\, v_{u,t}(X_{s,u})$ with a random $u$. Which other row of
#    section 1 is that? Check that the two rows give equal gradients on one batch.
# 3. sCM's tangent normalisation divides the bracket's difference to $v$ by its length plus 0.1. Show that under "semi"
#    this is the same as a weight on the squared residual, and find that weight in `methods.WEIGHTS`.
# 4. Progressive distillation halves the number of steps stage by stage. Explain with `table["pd"]` what its teacher is
#    in the first stage, and what in the second.
#
# ## Next
#
# [08, Digits on your laptop](08_digits_on_your_laptop.ipynb)
# leaves the plane: the same training, on pictures.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the framework, and the statement
#   that these methods are recovered in it.
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *Flow map matching*, [arXiv
#   2406.07507](https://arxiv.org/abs/2406.07507), 2024: both distillations, and the jump that lands on the sample.
# - Y. Song, P. Dhariwal, M. Chen, I. Sutskever, *Consistency models*, [arXiv
#   2303.01469](https://arxiv.org/abs/2303.01469), 2023.
# - C. Lu, Y. Song, *Simplifying, stabilizing and scaling continuous-time consistency models*, [arXiv
#   2410.11081](https://arxiv.org/abs/2410.11081), 2024: sCM.
# - K. Frans, D. Hafner, S. Levine, P. Abbeel, *One step diffusion via shortcut models*, [arXiv
#   2410.12557](https://arxiv.org/abs/2410.12557), 2024.
# - A. Sabour, S. Fidler, K. Kreis, *Align your flow*, [arXiv 2506.14603](https://arxiv.org/abs/2506.14603), 2025.
# - Z. Geng, M. Deng, X. Bai, J. Z. Kolter, K. He, *Mean flows for one-step generative modeling*, [arXiv
#   2505.13447](https://arxiv.org/abs/2505.13447), 2025; and *Improved mean flows*, [arXiv
#   2512.02012](https://arxiv.org/abs/2512.02012), 2025.
# - Y. Guo et al., *SplitMeanFlow*, [arXiv 2507.16884](https://arxiv.org/abs/2507.16884), 2025.
# - Z. Geng, A. Pokle, W. Luo, J. Lin, J. Z. Kolter, *Consistency models made easy*, [arXiv
#   2406.14548](https://arxiv.org/abs/2406.14548), 2024; L. Yang et al., *Consistency flow matching*, [arXiv
#   2407.02398](https://arxiv.org/abs/2407.02398), 2024; Y. Peng et al., *Flow-anchored consistency models*, [arXiv
#   2507.03738](https://arxiv.org/abs/2507.03738), 2025.
# - H. Zhang et al., *AlphaFlow*, [arXiv 2510.20771](https://arxiv.org/abs/2510.20771), 2025; T. Luo, H. Yuan, Z. Liu,
#   *SoFlow*, [arXiv 2512.15657](https://arxiv.org/abs/2512.15657), 2025; Z. Wang et al., *Transition models*, [arXiv
#   2509.04394](https://arxiv.org/abs/2509.04394), 2025; L. Zhou, M. Parger, A. Haque, J. Song, *Terminal velocity
#   matching*, [arXiv 2511.19797](https://arxiv.org/abs/2511.19797), 2025.
# - T. Salimans, J. Ho, *Progressive distillation for fast sampling of diffusion models*, [arXiv
#   2202.00512](https://arxiv.org/abs/2202.00512), 2022.
