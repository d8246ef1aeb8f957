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
# - write the losses of consistency models, mean flow, flow map matching, terminal velocity matching and shortcut models
#   as their sources write them,
# - draw for each method which pairs of times it trains, and from where a pair learns,
# - show by equal gradients that a published loss is a row of one table,
# - say when the slope of a single sample may stand for the velocity, and when it may not,
# - compose a row of your own and train it.
#
# **It assumes** [lesson 04](04_losses_and_their_cost.ipynb) (the three losses), [lesson
# 04b](04b_stop_gradients_and_stability.ipynb) (stop-gradients) and [lesson
# 06](06_distillation_with_and_without_a_teacher.ipynb) (teachers). The symbols are on the [notation
# card](notation.md). **It takes** two sittings, sections 1 to 4 and sections 5 to 8. Each takes half an hour to read,
# and three quarters of an hour more to write the code and do the exercises. All cells together run in about five
# minutes on two CPU cores.

# %%
import dataclasses
import json

import torch
from tqdm.auto import tqdm

from flowmap_edu import FlowMap, course, methods, problems, recipes, training
from flowmap_edu.bench.report import group
from flowmap_edu.course import material_07 as material
from flowmap_edu.times import draw
from flowmap_edu.training import runs
from flowmap_edu.viz import figures_07 as figures
from flowmap_edu.viz import plots, triangles

plots.use_style()
board = problems.Checkerboard()
STEPS = training.budget(600)
table = dict(methods.METHODS)  # the rows, by name; we meet them one after the other

# %% [markdown]
# ## 1. Two neighbouring times
#
# **What is the simplest way to train a jump from noise to data, without a teacher?** The first answer was *consistency
# models* (Song et al., 2023). They learn jumps to $t = 1$ alone.
#
# In that source a noisy point is $x_\tau = x_1 + \tau z$ with $z \sim N(0, I)$. Its time $\tau$ is the noise level: 0
# at the data. The network is $f(x_\tau, \tau)$. It carries a noisy point to the data, and $f(x_1, 0) = x_1$.
#
# The loss takes two neighbouring points of one line, with the same $x_1$ and the same $z$, and compares where $f$
# carries them. The cleaner of the two points is held fixed:
#
# $$\big|\, f(x_1 + \tau z,\ \tau) - \mathrm{sg}\, f(x_1 + \tau' z,\ \tau')\, \big|^2, \qquad \tau' < \tau .$$
#
# Here $\mathrm{sg}$ (stop-gradient) means: the value counts, its gradient does not. In PyTorch it is `.detach()`.
#
# **Write** `discrete_consistency(f, x1, z, tau, later)`. `f` is called as `f(x, tau)` and returns shape (B, 2). `x1`
# and `z` have shape (B, 2), `tau` and `later` (the smaller noise level) shape (B,). The result has shape (B,).


# %% tags=["solution"]
def discrete_consistency(f, x1, z, tau, later):
    """|f(x1 + tau z, tau) - sg f(x1 + later z, later)|^2, shape (B,)."""
    ### BEGIN SOLUTION
    here = f(x1 + tau[:, None] * z, tau)
    cleaner = f(x1 + later[:, None] * z, later).detach()
    return ((here - cleaner) ** 2).sum(1)
    ### END SOLUTION


# %%
course.check("07.1", discrete_consistency)

# %% [markdown]
# Now to our notation. Our interpolant is theirs, scaled. With noise $x_0 = \sigma z$,
#
# $$I_s = (1-s)\, \sigma z + s\, x_1 = s\, x_\tau, \qquad \tau = \sigma\, \frac{1-s}{s}, \qquad
# f(x_\tau, \tau) = X_{s,1}(s\, x_\tau).$$
#
# So the loss compares $X_{s,1}(I_s)$ with $X_{u,1}(I_u)$, where $u$ is a little later than $s$. The point $I_u$ is
# where the sample's own slope $\dot I_s = x_1 - x_0$ leads from $I_s$. So $X_{u,1}(I_u)$ is a path of two parts: a
# step along the sample's slope, then a jump. This is the semigroup condition, with a step in the place of the first
# short jump.
#
# Each method of this lesson gets a **triangle**. It shows all pairs $(s, t)$ with $s \le t$. The end time $t$ runs to
# the right, the start time $s$ runs up. The diagonal $s = t$ holds the velocity $v_{s,s}$. The corner at the lower
# right is the one-step map $X_{0,1}$, which we want. Light blue dots are the pairs that the method trains. One pair is
# a ring, and arrows lead to it from what it learns from.

# %% tags=["figure"]
triangles.methods(["ct-discrete"])

# %% [markdown]
# **What to notice.** All pairs lie on the right side of the triangle, where $t = 1$. A pair learns from the pair above
# it, which starts later, and from the slope of a sample at its own start. So knowledge flows down along this side: from
# $s = 1$, where $X_{1,1}(x) = x$ is known, to the corner.
#
# **Write** the consistency function of a network, from the translation above: `f(x_tau, tau)`, shape (B, 2). The map
# is `X(s, t, x)`; first find $s$ from $\tau$. `board.sigma` is $\sigma$. (`X` is any map, here that of the shipped
# weights, in `float64`, so that rounding does not disturb.)

# %%
net, slow = material.network(), material.network().requires_grad_(False)  # the same weights twice; `slow` is frozen
X = FlowMap(net)


# %% tags=["solution"]
def f(x_tau, tau, X=X):
    """The consistency function of a map: X_{s,1}(s x_tau), shape (B, 2)."""
    ### BEGIN SOLUTION
    s = board.sigma / (board.sigma + tau)
    return X(s, torch.ones_like(s), s[:, None] * x_tau)
    ### END SOLUTION


# %%
course.check("07.2", f)

# %% [markdown]
# The row `"ct-discrete"` of the table is this loss, divided by the distance $u - s$ of the two times. (A weight
# that depends on the times alone changes how much a sample counts. It does not change what the sample asks for.)
#
# **Show it.** Two losses that ask the same of a network have the same gradient at any weights. We compare the gradients
# at one network, the shipped one, and at 64 samples. First `gradient(loss)`: the gradient of the mean of `loss` with
# respect to all weights of `net`, flat, as one vector (`torch.autograd.grad` with `retain_graph=True`). Then set `tau`
# and `later` to the noise levels of $s$ and of $u$, and `theirs` to your loss over $u - s$. Set `ours` to
# `methods.loss(X, batch, table["ct-discrete"])`. The batch is `material.jumps(s, u, t, x, dx)`: jumps from $s$ over $u$
# to $t$, here $t = 1$ (`one`), that begin at `x`, which is $I_s$. The next cell has the samples.

# %%
s, t, x1, z, x, dx, x_t = material.on_the_board()  # 64 samples: times, data, noise z, I_s, its slope, I_t
one, u = torch.ones_like(s), s + 1 / 64


def apart(a, b):
    """How far a gradient is from another one, relative to that one."""
    return ((a - b).norm() / b.norm()).item()


# %% tags=["solution"]
def gradient(loss):
    """The gradient of the mean loss with respect to all weights, as one vector."""
    ### BEGIN SOLUTION
    parts = torch.autograd.grad(loss.mean(), list(net.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])
    ### END SOLUTION


# %% tags=["solution"]
### BEGIN SOLUTION
tau, later = board.sigma * (1 - s) / s, board.sigma * (1 - u) / u
theirs = discrete_consistency(f, x1, z, tau, later) / (u - s)
ours = methods.loss(X, material.jumps(s, u, one, x, dx), table["ct-discrete"])
### END SOLUTION

# %%
print(f"relative difference of the two gradients: {apart(gradient(ours), gradient(theirs)):.1e}")
assert apart(gradient(ours), gradient(theirs)) < 1e-8

# %% [markdown]
# **Try.** Hold the other term instead, the noisier point. Does the value of the loss change? Does the gradient?
#
# <details><summary>Answer</summary>
#
# The value is the same: a stop-gradient changes no value. The gradient is another one. It would pull the cleaner point
# towards the noisier one, so that knowledge would flow up, away from $s = 1$, where the map is known.
#
# </details>

# %% [markdown]
# ## 2. What is left when the two times meet?
#
# **Let the distance $u - s$ of the two times go to 0. What happens to the loss, and what to its gradient?** Predict
# before you read on: when the distance is halved, by which factor does the loss fall, and by which factor does its
# gradient? (Take the loss as its source has it, without the division by $u - s$.)

# %%
prediction_loss = None  # a number: the loss at some small distance over that at half of it
prediction_gradient = None  # a number: the same for the length of the gradient


# %% [markdown]
# **Write** `neighbours(dt)`: your discrete loss at our samples, at the noise levels of $s$ and of $u = s + dt$.


# %% tags=["solution"]
def neighbours(dt):
    """The discrete loss at the distance dt of the two times, shape (B,)."""
    ### BEGIN SOLUTION
    later = board.sigma * (1 - s - dt) / (s + dt)
    return discrete_consistency(f, x1, z, tau, later)
    ### END SOLUTION


# %%
far, near = neighbours(2**-12), neighbours(2**-13)
course.compare(prediction_loss, (far.mean() / near.mean()).item(), too_low="The loss would be linear in the distance.")
ratio = (gradient(far).norm() / gradient(near).norm()).item()
course.compare(prediction_gradient, ratio, too_high="Both factors of the gradient would have to vanish.")

# %% [markdown]
# The derivation needs three lines. Write $D = f(x_\tau, \tau) - f(x_{\tau'}, \tau')$.
#
# 1. **Differentiate the square first.** The second term is held, so the gradient in the weights is
#    $\nabla_\theta |D|^2 = 2\, \nabla_\theta f(x_\tau, \tau) \cdot D$.
# 2. **Then let the times meet.** $D \approx (\tau - \tau')\, \frac{d}{d\tau} f$, where the derivative is taken
#    along the sample's line: $x_\tau$ moves with $\frac{d}{d\tau} x_\tau = z$, and the clock moves too.
# 3. So the gradient, divided by $2 (\tau - \tau')$, tends to $\nabla_\theta f \cdot \frac{df}{d\tau}$. That is the
#    gradient of
#
# $$f_\theta(x_\tau, \tau) \cdot \mathrm{sg}\Big[\frac{d}{d\tau} f(x_\tau, \tau)\Big] .$$
#
# The square holds the small factor $\tau - \tau'$ twice, its gradient holds it once: the loss falls to a quarter and
# the gradient to a half. In the other order, first the limit and then the gradient, nothing would be left. This is why
# the continuous objective is a product and not a square.
#
# **Write** `continuous_consistency(f, x1, z, tau)`, shape (B,). `torch.func.jvp(f, (a, b), (da, db))` returns the value
# of `f(a, b)` and its derivative when `a` moves along `da` and `b` along `db`.


# %% tags=["solution"]
def continuous_consistency(f, x1, z, tau):
    """f . sg[df/dtau] along the sample's line, shape (B,)."""
    ### BEGIN SOLUTION
    x_tau = x1 + tau[:, None] * z
    _, change = torch.func.jvp(f, (x_tau, tau), (z, torch.ones_like(tau)))
    return (f(x_tau, tau) * change.detach()).sum(1)
    ### END SOLUTION


# %%
course.check("07.3", continuous_consistency)

# %% [markdown]
# In our notation $\frac{d}{ds} X_{s,1}(I_s) = \partial_s X_{s,1} + \nabla X_{s,1}\, \dot I_s$. This is the **Eulerian
# residual** with the sample's slope in the place of the velocity. With $X_{s,t}(x) = x + (t-s)\, v_{s,t}(x)$ and a
# velocity $b$ it is
#
# $$\partial_s X + \nabla X\, b = -v_{s,t} + \underbrace{b + (t-s)\big(\partial_s v_{s,t} + \nabla v_{s,t}\, b\big)}_{
# \text{the bracket}} .$$
#
# The stop-gradient **semi** holds the whole bracket and leaves the gradient to the leading $v_{s,t}$. The network is
# then fitted to a target, $v_{s,t} \leftarrow$ bracket, as in a regression. The target is made of the network itself,
# and no derivative is differentiated again.
#
# So the row `"ct"` is: Eulerian, $t = 1$, the sample's slope, "semi", the weight $t - s$.
#
# **Show it.** Set `theirs` to your objective times $2\sigma/s^2$: the 2 of the square times $-d\tau/ds = \sigma /
# s^2$, the speed of the two clocks. Set `ours` to the library's loss of `table["ct"]` (it reads no middle time: give
# $s$ for $u$).

# %% tags=["solution"]
### BEGIN SOLUTION
theirs = 2 * board.sigma / s**2 * continuous_consistency(f, x1, z, tau)
ours = methods.loss(X, material.jumps(s, s, one, x, dx), table["ct"])
### END SOLUTION

# %%
print(f"relative difference of the two gradients: {apart(gradient(ours), gradient(theirs)):.1e}")
assert apart(gradient(ours), gradient(theirs)) < 1e-8

# %% [markdown]
# **Show the limit.** Set `found` to a list: for each distance `dt` in `steps`, how far (`apart`) the gradient of the
# row `"ct-discrete"` at $u = s + dt$ is from that of `ours`.

# %%
steps = [2.0**-k for k in range(6, 15)]

# %% tags=["solution"]
### BEGIN SOLUTION
limit = gradient(ours)
discrete = [methods.loss(X, material.jumps(s, s + dt, one, x, dx), table["ct-discrete"]) for dt in steps]
found = [apart(gradient(loss), limit) for loss in discrete]
### END SOLUTION

# %%
print(f"between the last two steps the gap falls like dt to the power {torch.tensor(found[-2] / found[-1]).log2():.3f}")
print(f"at dt = 1/64 the gap is {found[0]:.2f}")
assert abs(found[-2] / found[-1] - 2) < 0.1

# %% tags=["figure"]
figures.gaps(steps, {"discrete against continuous": found}, "distance dt of the two times")

# %% tags=["figure"]
triangles.methods(["ct-discrete", "ct"])

# %% [markdown]
# **What to notice.** The continuous objective and the row agree to rounding. The discrete one tends to it at first
# order: when the distance is halved, so is the gap. At $1/64$, the distance that the row `"ct-discrete"` is trained
# with, the gap is still large. Song et al. shrink the distance as the training goes on, and so does *easy consistency
# tuning* (Geng et al., 2024; the row `"ect"`). The two triangles are alike: what differs is the length of the step
# along $s$, 1/64 or infinitely short. (Both are drawn longer than they are.)
#
# **Try.** Compare `"cd"` with `"cd-discrete"`. They are the same pair with a teacher's velocity: pass
# `teacher=FlowMap(slow)` to `methods.loss`. Is the order the same?
#
# <details><summary>Answer</summary>
#
# Yes: the teacher's velocity takes the place of $\dot I_s$ in both, and the step from $I_s$ is again a step along a
# straight line. The three lines of the derivation do not ask where the slope comes from.
#
# </details>

# %% [markdown]
# ## 3. What if the end time is free too?
#
# A map that knows $t = 1$ alone has no jump from 0 to 1/2. To use two evaluations, a consistency model jumps to the
# end, adds new noise and jumps to the end again. If the end time is free, it can jump twice. So we train all pairs $s
# < t$.
#
# *Mean flow* (Geng et al., 2025) does this. Its time runs from data at 0 to noise at 1. It learns the *average
# velocity* $u(z, r, t)$ over the times from $r$ to $t$, at the point $z$ of time $t$. With data $x$ and noise
# $\epsilon$,
#
# $$z = (1-t)\, x + t\, \epsilon, \qquad v = \epsilon - x, \qquad
# u_{\text{target}} = \mathrm{sg}\Big[ v - (t - r)\, \frac{d}{dt} u(z, r, t)\Big].$$
#
# The derivative is taken along the sample's line: $z$ moves with $v$, $t$ moves with 1, and $r$ stands still. The
# squared error $e = |u - u_{\text{target}}|^2$ gets the *adaptive weight* $1 / (e + 0.001)$, itself held fixed.
#
# **Write** `mean_flow(u, x, eps, r, t)`, shape (B,). `u` is called as `u(z, r, t)`.


# %% tags=["solution"]
def mean_flow(u, x, eps, r, t):
    """The squared error of u to its target, times the adaptive weight, shape (B,)."""
    ### BEGIN SOLUTION
    z, v = (1 - t[:, None]) * x + t[:, None] * eps, eps - x
    _, du = torch.func.jvp(u, (z, r, t), (v, torch.zeros_like(r), torch.ones_like(t)))
    target = (v - (t - r)[:, None] * du).detach()
    error = ((u(z, r, t) - target) ** 2).sum(1)
    return error / (error.detach() + 1e-3)
    ### END SOLUTION


# %%
course.check("07.4", mean_flow)

# %% [markdown]
# Run time backwards, and signs change: $u(z, r, t) = -v_{1-t,\, 1-r}(z)$ and $v = -\dot I$. The target becomes the
# bracket of section 2, now for every $t$.
#
# **Write** the row that equals this loss: set `row` to `dataclasses.replace(table["esd"], ...)`. `"esd"` is Eulerian
# self-distillation of lesson 04: Eulerian, all pairs, the map's own velocity, and "full" of lesson 04b. Change the
# velocity, the stop-gradient, the weight (`list(methods.WEIGHTS)` has the names), and `diagonal`: three quarters of
# mean flow's pairs have $r = t$.

# %% tags=["solution"]
row = None
### BEGIN SOLUTION
row = dataclasses.replace(
    table["esd"], title="mean flow, composed", velocity="sample", stopgrad="semi", weight="adaptive", diagonal=0.75
)
### END SOLUTION

# %%
course.check("07.5", row)

# %% [markdown]
# Before we compare, a prediction. The network is that of a trained map. What is the *mean value* of mean flow's loss at
# this network? (Look at the weight.)

# %%
prediction = None  # a number: the mean of mean flow's loss

# %% [markdown]
# **Show it.** Set `theirs` to your `mean_flow` at our samples (data `x1`, noise `board.sigma * z`, their $r$ and $t$
# from our $t$ and $s$), with `u` made of `net(s, t, x)`, which is $v_{s,t}(x)$. Set `ours` to the library's loss of
# `row`.

# %% tags=["solution"]
### BEGIN SOLUTION
theirs = mean_flow(lambda z, r, t: -net(1 - t, 1 - r, z), x1, board.sigma * z, 1 - t, 1 - s)
ours = methods.loss(X, material.jumps(s, s, t, x, dx), row)
### END SOLUTION

# %%
print(f"relative difference of the two gradients: {apart(gradient(ours), gradient(theirs)):.1e}")
assert apart(gradient(ours), gradient(theirs)) < 1e-8
course.compare(prediction, theirs.mean().item(), too_low="Most squared errors would have to be as small as 0.001.")

# %% tags=["figure"]
triangles.methods(["ct", "meanflow", "imf"])

# %% [markdown]
# **What to notice.** Mean flow is the Eulerian row at all pairs $s < t$. Consistency training is the same row at $t =
# 1$, with another weight. The arrows of the two are the same: down along $s$, and from the slope of the sample at the
# start. What is new is the area, and the green diagonal, where $s = t$: there the residual is $\dot I_s - v_{s,s}$,
# and mean flow is flow matching (exercise 1). *Improved mean flow* (`"imf"`) moves the start along the network's own
# velocity. Only the $b$ that stands alone is the sample's.
#
# The weight brings the loss near 1 unless most squared errors are as small as 0.001. Its value cannot tell you whether
# the training works. [Why does my mean flow fail?](../docs/why_mean_flow_fails.md) has this and four other complaints.
#
# **Try.** `table["tim"]` (transition models) replaces the `jvp` by a central difference. Give `row` the field
# `difference=0.005` and compare the gradients. Then `difference=0.0005`.
#
# <details><summary>Answer</summary>
#
# `apart(gradient(methods.loss(X, material.jumps(s, s, t, x, dx), dataclasses.replace(row, difference=0.005))),
# gradient(ours))` is the gap. A central difference has an error of second order: with a tenth of the step the gap falls
# about a hundredfold, as long as rounding does not matter. In `float64` it does not.
#
# </details>

# %% [markdown]
# ## 4. When may one sample's slope stand for the velocity?
#
# Consistency training and mean flow read $\dot I_s$ where the condition has $b_s(I_s)$. The slope of one sample is far
# from $b_s$; only its mean *given $I_s$* is $b_s$. In flow matching the difference $\delta = \dot I_s - b_s(I_s)$ does
# no harm, because a regression finds the mean. **Does it do harm in a residual?**
#
# Put the *true* map into the loss and scale its slope, $v_\theta = (1 + \theta)\, v$. If the true map is a minimum of
# the mean loss, the derivative in $\theta$ is zero there. We call this derivative the *push*:
#
# $$\text{push} = \frac{d}{d\theta}\, E\, \text{loss}(v_\theta) \Big|_{\theta = 0} .$$
#
# At the true map $\partial_s X + \nabla X\, b = 0$, so that the residual with the sample's slope is $\nabla X\,
# \delta$. Under **convex** (the velocity alone is held) its derivative in $\theta$ is that of $\partial_s (X - x) +
# \nabla (X - x)\, \dot I$, which is $\nabla X\, \delta - \dot I$. The push is twice the mean of the product. Here
# $\dot I = b + \delta$, and the part with $b$ has mean zero, because $\delta$ has mean zero given $I_s$. So
#
# $$\text{push} = 2\, E\big[ (\nabla X\, \delta) \cdot \big((\nabla X - 1)\, \delta\big) \big] .$$
#
# **Predict the sign.** From noise with $\sigma$ to the board, do the paths mostly come closer to each other on the way
# ($\nabla X$ shrinks a vector) or move apart?

# %%
prediction = None  # "negative", "zero" or "positive": the push on the true map under "convex", times up to 0.6

# %% [markdown]
# **Write** `convex_push(J, delta)`: the number that the formula gives, the mean over the samples. `J` has shape (B, 2,
# 2) and is $\nabla X$ (row $i$ is the gradient of entry $i$), `delta` has shape (B, 2). `torch.einsum("bij,bj->bi", J,
# w)` multiplies matrices and vectors.


# %% tags=["solution"]
def convex_push(J, delta):
    """2 E[(J delta) . ((J - 1) delta)], a number."""
    ### BEGIN SOLUTION
    pushed = torch.einsum("bij,bj->bi", J, delta)
    return 2 * (pushed * (pushed - delta)).sum(1).mean()
    ### END SOLUTION


# %%
course.check("07.6", convex_push)

# %% [markdown]
# Now the true map of the board. (Times up to 0.6: later the map's gradient between the squares is so large that a few
# samples decide the mean.) **Write**
#
# - `scaled`, the true map with its slope times $1 + \theta$: a `FlowMap` of a function of `(s, t, x)`. The true slope
#   is `board.v(s, t, x)`. `theta` is given; it has one entry a sample.
# - `J`, the gradient of the true map `truth` at the samples `at.s`, `at.t`, `at.x`, shape (B, 2, 2). `truth.push(s, t,
#   x, w)` returns $X_{s,t}(x)$ and $\nabla X\, w$; the columns of `J` belong to $w = (1, 0)$ and $w = (0, 1)$, each of
#   shape (B, 2).
# - `predicted`, the number that your formula gives, with $\delta$ from `at.dx` and `board.velocity(s, x)`.
# - `measured(stopgrad, velocity)`: the push of mean flow's row with this stop-gradient and velocity and with the
#   weight "one", and two standard errors of it. The gradient of the *summed* loss in `theta` has the push of each
#   sample. Return its mean and $2\,\mathrm{std} / \sqrt B$.

# %%
at = material.at_the_truth(200 if STEPS < 100 else 1000)
truth = FlowMap(board.v)
theta = torch.zeros(len(at.s), 1, dtype=torch.float64, requires_grad=True)

# %% tags=["solution"]
### BEGIN SOLUTION
scaled = FlowMap(lambda s, t, x: (1 + theta) * board.v(s, t, x))
axes = torch.eye(2).double().expand(len(at.s), 2, 2)
J = torch.stack([truth.push(at.s, at.t, at.x, axes[:, k])[1] for k in range(2)], dim=2)
predicted = convex_push(J, at.dx - board.velocity(at.s, at.x)).item()
### END SOLUTION


# %% tags=["solution"]
def measured(stopgrad, velocity):
    """The push on the true map and two standard errors of it."""
    ### BEGIN SOLUTION
    choice = dataclasses.replace(table["meanflow"], velocity=velocity, stopgrad=stopgrad, weight="one")
    value = methods.loss(scaled, material.jumps(at.s, at.s, at.t, at.x, at.dx), choice)
    each = torch.autograd.grad(value.sum(), theta)[0]
    return each.mean().item(), 2 * (each.std() / len(each) ** 0.5).item()
    ### END SOLUTION


# %%
choices = [*((held, "sample") for held in ("none", "convex", "full", "semi")), ("convex", "self"), ("semi", "self")]
push = {f"{stopgrad}\n{velocity}": measured(stopgrad, velocity) for stopgrad, velocity in choices}

# %%
for name, (mean, error) in push.items():
    print(f"{name.replace(chr(10), ', '):<16} {mean:+.3f} (two standard errors: {error:.3f})")
print(f"the formula for convex, sample: {predicted:+.3f}")
mean, error = push["convex\nsample"]
assert abs(mean - predicted) < 2 * error
sign = "zero" if abs(mean) < error else "positive" if mean > 0 else "negative"
course.compare(prediction, sign, wrong={"zero": "The mean of a square would have to be the square of the mean."})

# %% tags=["figure"]
figures.pushes(push, predicted)

# %% [markdown]
# **What to notice.** Formula and measurement agree within two standard errors. The push under "convex" is negative: on
# the way to time 0.6 the board's flow shrinks the errors $\delta$ in this mean. A training step would raise $\theta$,
# so that the jumps become too long. The gradient is quadratic in the slope there, and the mean of a square is not the
# square of the mean.
#
# Under "semi" and "full" the gradient is *linear* in the slope, its mean is the gradient with $b_s$, and the push is
# zero within its error. ("Semi": the residual times $-v$, which holds no slope. "Full": the residual times the gradient
# of $\partial_s X$, which holds no slope either.) "None" is the same as "convex" here: the sample's slope has
# no weights, so there is nothing to hold. With the map's own velocity the
# residual of the true map is zero, and with it every push.

# %% [markdown]
# **A weight that depends on the residual breaks the linearity too.** What does a regression find under such a weight?
# Take a point $x$ at time $s$ and draw the slopes of all samples that pass through it. Look, beginning at their mean,
# for an $m$ with
#
# $$E\Big[ w\big(|\dot I_s - m|^2\big)\, \big(\dot I_s - m\big) \,\Big|\, I_s = x \Big] = 0 .$$
#
# Three weights: "one"; "tangent", 1 over the residual's length plus 0.1 (sCM); "adaptive", 1 over its square plus 0.001
# (mean flow). **Predict:** which of them ends farthest from the velocity?

# %%
prediction = None  # "one", "tangent" or "adaptive"

# %% [markdown]
# **Write** `weighted_centre(slopes, weight)`: begin at the mean of `slopes`, shape (B, 2). Repeat 500 times: with the
# weights `w = weight(r)` of the squared distances $r$ to the present $m$, shape (B,), the new $m$ is the weighted mean
# of the slopes. Return $m$, shape (2,). Where $m$ stands still, the equation holds.


# %% tags=["solution"]
def weighted_centre(slopes, weight):
    """The m at which the weighted mean of slopes - m is zero, shape (2,)."""
    ### BEGIN SOLUTION
    m = slopes.mean(0)
    for _ in range(500):
        w = weight((slopes - m).square().sum(1))[:, None]
        m = (w * slopes).sum(0) / w.sum()
    return m
    ### END SOLUTION


# %%
course.check("07.7", weighted_centre)

# %%
time, x_here = 0.5, torch.tensor([0.05, 0.15])
passing, b = material.through(time, x_here), board.velocity(time, x_here[None])[0]
fits = {name: weighted_centre(passing, material.weight(name)) for name in ("one", "tangent", "adaptive")}
for weight, m in fits.items():
    print(f"weight {weight:<9} finds a point {(m - b).norm():.3f} from the velocity (of length {b.norm():.3f})")
farthest = max(fits, key=lambda weight: (fits[weight] - b).norm())
course.compare(prediction, farthest, wrong={"one": "The weight one finds the mean, and the mean is the velocity."})

# %% tags=["figure"]
figures.crowd(passing[:4000], b, fits)

# %% [markdown]
# **What to notice.** At this point the weight one finds the mean, which is the velocity up to the error of the sample.
# The weight "tangent" finds something like a median. The weight "adaptive" moves farthest, towards the middle of the
# square of slopes around it. Both count slopes far away less than the mean does. In two dimensions the residual's
# length varies greatly from sample to sample. In thousands of dimensions it may vary less, and the weight with it. (We
# have not measured it there.)
#
# **Try.** Move `time` to 0.8 and `x_here` to `torch.tensor([0.2, 0.2])`, the middle of a square at that time. Which of
# the three still differ?
#
# <details><summary>Answer</summary>
#
# Run the two cells again and read the three distances: they are much smaller, that of "adaptive" still the largest. At
# that time nearly all slopes through the middle of a square lead to points of one square. There is one group, and its
# mean, median and middle lie near each other. The bias is large at points from which samples go different ways.
#
# </details>

# %% [markdown]
# **You can stop here.** This is half of the lesson. The second half needs only four things from the first:
#
# - how to read a triangle (section 1): which pairs a method trains, and from where a pair learns,
# - "semi" (section 2): the leading $v_{s,t}$ is fitted to a bracket that is held,
# - that mean flow is the Eulerian row with the sample's slope and "semi" (section 3),
# - that the sample's slope may stand for the velocity where the gradient is linear in it (section 4).
#
# Its cells use the variables of the first half. When you come back, first run all cells above this one (in JupyterLab:
# "Run All Above Selected Cell" in the menu "Run").

# %% [markdown]
# ## 5. Lagrangian: what is known where the map lands?
#
# The Lagrangian condition of lesson 03 moves the *end* of the jump: $\partial_t X_{s,t}(x) = v_{t,t}(X_{s,t}(x))$. It
# asks for the velocity at $X_{s,t}(x)$, where the map has landed. **Can the sample's slope stand for it?** A jump that
# starts at a sample lands at $X_{s,t}(I_s)$, and the sample itself is somewhere else at time $t$.
#
# *Flow map matching* (Boffi et al., 2024) turns the jump round. It goes from the sample $I_t$ back to time $s$, and
# from there forward to time $t$. Then the jump lands *on the sample*, and the slope there is $\dot I_t$:
#
# $$\big|\, \partial_t X_{s,t}(y) - \dot I_t\, \big|^2 + \big|\, X_{s,t}(y) - I_t\, \big|^2, \qquad y = X_{t,s}(I_t).$$
#
# The second term is zero when the way forward undoes the way back. The map must know both orders of $s$ and $t$.
# Nothing is held.

# %% tags=["figure"]
figures.there_and_back(problems.two_modes())

# %% [markdown]
# **What to notice.** On the left the jump leaves the sample's line, and the sample says nothing about the velocity
# where it lands. On the right it ends on the line. There the slope of this sample differs from the velocity, but the
# mean slope of all samples through this point is the velocity.
#
# **Write** `flow_map_matching(X, s, t, x, dx)`, shape (B,). `x` is $I_t$, a point at time `t`, and `dx` is $\dot I_t$.
# `X(s, t, y)` jumps in either order; `X.partial_t(s, t, y)` returns $X_{s,t}(y)$ and its derivative in `t`.


# %% tags=["solution"]
def flow_map_matching(X, s, t, x, dx):
    """|d/dt X_{s,t}(y) - dI_t|^2 + |X_{s,t}(y) - I_t|^2 with y = X_{t,s}(I_t), shape (B,)."""
    ### BEGIN SOLUTION
    y = X(t, s, x)
    landed, moves = X.partial_t(s, t, y)
    return ((moves - dx) ** 2).sum(1) + ((landed - x) ** 2).sum(1)
    ### END SOLUTION


# %%
course.check("07.8", flow_map_matching)

# %% [markdown]
# **Predict.** We put the *exact* map of a Gaussian into this loss, with many samples. The other residuals of a true
# map are zero. What is the mean of this loss, relative to the mean of $|b_t(I_t) - \dot I_t|^2$, which flow matching
# leaves?

# %%
prediction = None  # a number: mean loss of the exact map over the mean of |b - dI|^2

# %%
gauss = problems.Gaussian(mean=[0.5, -0.3], std=0.4, sigma=1.0)
of = material.of_a_gaussian(gauss, 2000)  # of.x_t is I_t, of.dx its slope

# %% [markdown]
# **Write** `value`, your loss of the exact map `FlowMap(gauss.v)` at these samples, and `left`, the squared distance of
# the velocity `gauss.velocity(t, x)` at $I_t$ to the sample's slope; shape (B,) both.

# %% tags=["solution"]
### BEGIN SOLUTION
value = flow_map_matching(FlowMap(gauss.v), of.s, of.t, of.x_t, of.dx)
left = (gauss.velocity(of.t, of.x_t) - of.dx).square().sum(1)
### END SOLUTION

# %%
print(f"largest difference of a sample's loss to its |b - dI|^2: {(value - left).abs().max():.1e}")
assert torch.allclose(value, left, atol=1e-9)
course.compare(prediction, (value.mean() / left.mean()).item(), too_low="One slope would have to be the velocity.")

# %% [markdown]
# **What to notice.** For the true map each sample's loss is exactly what flow matching leaves, and the second term is
# zero. In the regression on the slope the true map is therefore as good as any map can be: the sample's slope *may*
# stand in the Lagrangian condition, if the jump lands on the sample.
#
# The table has this loss as the row `"fmm"`. It names the times in the other order: it goes from the sample at its $s$
# to $t$ and comes back.
#
# **Show it.** Set `theirs` to your loss of `X` at our 64 samples; `x_t` is $I_t$. Set `ours` to the library's loss of
# `table["fmm"]`. Its batch begins at the sample: at our time $t$ and at `x_t`, and its jumps go to our $s$.

# %% tags=["solution"]
### BEGIN SOLUTION
theirs = flow_map_matching(X, s, t, x_t, dx)
ours = methods.loss(X, material.jumps(t, t, s, x_t, dx), table["fmm"])
### END SOLUTION

# %%
print(f"relative difference of the two gradients: {apart(gradient(ours), gradient(theirs)):.1e}")
assert apart(gradient(ours), gradient(theirs)) < 1e-8

# %% [markdown]
# The price is a map in both directions. The other Lagrangian rows start at the sample and read another velocity where
# they land. Lagrangian self-distillation (`"lsd"`) reads the map's own; `"lmd"`, `"ayf-lmd"` and `"freeflow"` read a
# teacher's. *Terminal velocity matching* (Zhou et al., 2025) reads that of the moving average of the weights, $F^*$.
# Its time runs from data at 0 to noise at 1. $F(x, t, r)$ is the mean velocity of the jump from $t$ down to $r$, which
# lands at $x + (r - t)\, F(x, t, r)$:
#
# $$\Big|\, \frac{d}{dr} \big[ (r - t)\, F(x, t, r) \big]
# - \mathrm{sg}\, F^*\big( x + (r - t)\, F(x, t, r),\ r,\ r \big)\, \Big|^2 .$$
#
# **Write** `terminal_velocity(F, slow_F, x, t, r)`, shape (B,). Both are called as `F(x, t, r)`.


# %% tags=["solution"]
def terminal_velocity(F, slow_F, x, t, r):
    """|d/dr [(r - t) F(x, t, r)] - sg F*(x + (r - t) F(x, t, r), r, r)|^2, shape (B,)."""
    ### BEGIN SOLUTION
    move, moves = torch.func.jvp(lambda r: (r - t)[:, None] * F(x, t, r), (r,), (torch.ones_like(r),))
    target = slow_F(x + move, r, r).detach()
    return ((moves - target) ** 2).sum(1)
    ### END SOLUTION


# %%
course.check("07.9", terminal_velocity)

# %% [markdown]
# **Show it.** Set `theirs` to this loss with the mean velocities of `net` and `slow` ($F(x, t, r) = -v_{1-t,\,
# 1-r}(x)$) at our 64 samples, and `ours` to the library's loss of `table["tvm"]` with `average=FlowMap(slow)`.

# %%
slow.body[0].weight += 0.01 * torch.randn_like(slow.body[0].weight)  # a moving average that lags behind

# %% tags=["solution"]
### BEGIN SOLUTION
terminal = [lambda x, t, r, v=v: -v(1 - t, 1 - r, x) for v in (net, slow)]
theirs = terminal_velocity(*terminal, x, 1 - s, 1 - t)
ours = methods.loss(X, material.jumps(s, s, t, x, dx), table["tvm"], average=FlowMap(slow))
### END SOLUTION

# %%
print(f"relative difference of the two gradients: {apart(gradient(ours), gradient(theirs)):.1e}")
assert apart(gradient(ours), gradient(theirs)) < 1e-8

# %% tags=["figure"]
triangles.methods(["lsd", "tvm", "fmm"])

# %% [markdown]
# **What to notice.** Here knowledge flows to the right, along $t$ at a fixed $s$, from the diagonal to the corner. In
# the Eulerian triangles it flows down, along $s$ at a fixed $t$. The second arrow comes from the diagonal above the
# pair, $(t, t)$: the velocity at the end of the jump. In the Eulerian triangles it comes from $(s, s)$, beside the
# pair. The pairs of `"fmm"` fill the whole square, because its jumps go both
# ways. Its third arrow comes from the jump in the other direction, which leads to the start.
#
# **Try.** Ask for the sample's slope in a jump that starts at the sample:
# `dataclasses.replace(table["lsd"], velocity="sample")`. What does the library say?
#
# <details><summary>Answer</summary>
#
# It raises a ValueError, and the message gives the reason: a jump that starts at a sample lands on none. The row
# `"fmm"` has the sample's slope together with times in both orders.
#
# </details>

# %% [markdown]
# ## 6. Semigroup: can a long jump learn from two short ones?
#
# The third condition needs no derivative. *Shortcut models* (Frans et al., 2024) have our direction of time. A network
# $s(x, t, d)$ makes a step of size $d$, and a step of $2d$ is fitted to two steps of $d$:
#
# $$s(x, t, 2d) \leftarrow \mathrm{sg}\Big[\tfrac12\, s(x, t, d) + \tfrac12\, s(x', t+d, d)\Big], \qquad
# x' = x + d\, s(x, t, d),$$
#
# with $2d = 1, \tfrac12, \tfrac14, \dots$ The right-hand side uses the moving average of the weights, a network that
# changes slowly.
#
# **Write** `shortcut(step, slow_step, x, t, d)`, the squared error, shape (B,). Both networks are called as
# `step(x, t, d)` and return the slope of the step, shape (B, 2). `d` has shape (B,).


# %% tags=["solution"]
def shortcut(step, slow_step, x, t, d):
    """|s(x, t, 2d) - sg[(s(x, t, d) + s(x', t + d, d)) / 2]|^2, shape (B,)."""
    ### BEGIN SOLUTION
    first = slow_step(x, t, d)
    second = slow_step(x + d[:, None] * first, t + d, d)
    return ((step(x, t, 2 * d) - ((first + second) / 2).detach()) ** 2).sum(1)
    ### END SOLUTION


# %%
course.check("07.10", shortcut)

# %% [markdown]
# In our notation $s(x, t, d) = v_{t,\,t+d}(x)$, and the loss is the semigroup residual at the midpoint: the row
# `"shortcut"`. One detail: the smallest step, $d = 1/128$, is asked as $d = 0$, which is the velocity.
#
# **Show it.** First `as_step(network)`: a function `(x, t, d)` made of `network(s, t, x)`, with $d = 0$ in the place of
# every $d \le 1/128$ (`torch.where`). Then `theirs` and `ours`. The row reads the slow network as the average: pass
# `average=FlowMap(slow)` to `methods.loss`.

# %%
s_k, u_k, t_k = (time.double() for time in draw(table["shortcut"], len(s)))  # dyadic: u half way from s to t


# %% tags=["solution"]
### BEGIN SOLUTION
def as_step(network):
    """s(x, t, d) of a network v(s, t, x); the smallest step is asked as d = 0."""
    return lambda x, t, d: network(t, t + torch.where(d > 1 / 128, d, 0.0), x)


theirs = shortcut(as_step(net), as_step(slow), x, s_k, u_k - s_k)
ours = methods.loss(X, material.jumps(s_k, u_k, t_k, x, dx), table["shortcut"], average=FlowMap(slow))
### END SOLUTION

# %%
print(f"relative difference of the two gradients: {apart(gradient(ours), gradient(theirs)):.1e}")
assert apart(gradient(ours), gradient(theirs)) < 1e-8

# %% tags=["figure"]
triangles.methods(["shortcut", "pd", "psd-m", "split-meanflow"])

# %% [markdown]
# **What to notice.** Knowledge flows from two shorter jumps, both nearer to the diagonal, to a longer one. In shortcut
# models and in progressive distillation (`"pd"`) the pairs lie on seven lines, one for each length $2^{-k}$. `"psd-m"`
# and `"split-meanflow"` fill the area, with a stop half way or anywhere. In `"pd"` the two jumps are a frozen
# teacher's, and the pupil becomes the teacher of the next stage. Two more rows: `"ctm"` (consistency trajectory
# models) carries both landing points on to $t = 1$ before it compares them, and `"cmt"` compares with a teacher's
# trajectory.
#
# **A family between two methods.** Take the first part of the way along the *sample's slope*, as in section 1, but for
# every $t$. Stop at the share $\alpha$ of the way, $u = s + \alpha (t - s)$:
#
# $$\Big|\, v_{s,t}(I_s) - \mathrm{sg}\big[ \alpha\, \dot I_s
# + (1-\alpha)\, v_{u,t}\big(I_s + (u-s)\, \dot I_s\big) \big] \Big|^2 .$$
#
# **Write** `alpha_family(X, s, t, x, dx, alpha)`, shape (B,), with `alpha` a number.


# %% tags=["solution"]
def alpha_family(X, s, t, x, dx, alpha):
    """|v_{s,t}(x) - sg[alpha dx + (1 - alpha) v_{u,t}(x + (u - s) dx)]|^2 with u = s + alpha (t - s), shape (B,)."""
    ### BEGIN SOLUTION
    u = s + alpha * (t - s)
    then = X.v(u, t, x + (u - s)[:, None] * dx)
    target = alpha * dx + (1 - alpha) * then
    return ((X.v(s, t, x) - target.detach()) ** 2).sum(1)
    ### END SOLUTION


# %%
course.check("07.11", alpha_family)

# %% [markdown]
# At $\alpha = 1$ the target is $\dot I_s$: flow matching, for jumps. As $\alpha \to 0$ the residual tends to $\alpha$
# times that of mean flow, by the three lines of section 2. So the gradient, divided by $\alpha$, tends to that of mean
# flow with the weight one. **Predict:** when $\alpha$ is halved, by which factor does the gap to mean flow fall?

# %%
prediction = None  # a number: the gap at alpha over the gap at alpha / 2, for small alpha

# %% [markdown]
# **Show it.** `gaps_to(t)`: a list, for each `a` in `alphas`: how far the gradient of your loss, over `a`, is from
# that of `row` with the weight "one", at jumps from `s` to `t`.

# %%
alphas = [2.0**-k for k in range(12, -1, -1)]


# %% tags=["solution"]
def gaps_to(t):
    """The gap to the limit for each alpha, a list of numbers."""
    ### BEGIN SOLUTION
    equal = dataclasses.replace(row, weight="one")
    limit = gradient(methods.loss(X, material.jumps(s, s, t, x, dx), equal))
    return [apart(gradient(alpha_family(X, s, t, x, dx, a)) / a, limit) for a in alphas]
    ### END SOLUTION


# %%
every, last = gaps_to(t), gaps_to(one)
course.compare(prediction, every[1] / every[0], too_high="It would be of higher order, as a central difference is.")

# %% tags=["figure"]
figures.gaps(alphas, {"every t, to mean flow": every, "t = 1, to consistency training": last}, "alpha")

# %% tags=["figure"]
triangles.methods(["ect", "alphaflow", "soflow", "meanflow"])

# %% [markdown]
# **What to notice.** For small $\alpha$ the gap falls like $\alpha$. `"alphaflow"` begins with $\alpha = 1$, `"soflow"`
# with $0.1$, and both let it fall during the training; `"ect"` does so at $t = 1$. They differ in the schedule of
# $\alpha$ and in the weight. So the family has two choices: $t = 1$ or every $t$, and $\alpha$ above 0 or going to 0.
# Discrete consistency training, continuous consistency training and mean flow are members of it.
#
# Between its two ends the family reads $v_{u,t}$ at a point that depends on $\dot I_s$. So its target is not linear in
# the slope, and by section 4 the true map need not be its minimum. To first order in $\alpha$ the target is linear, so
# this bias vanishes as $\alpha \to 0$.
#
# **Try.** What does the loss train at $\alpha = 1$?
#
# <details><summary>Answer</summary>
#
# It is $|v_{s,t}(I_s) - \dot I_s|^2$. Its minimiser is $v_{s,t}(x) = b_s(x)$ for every $t$: one Euler step. An
# $\alpha$ near 1 teaches the jumps a stable but wrong answer, from which the training begins.
#
# </details>

# %% [markdown]
# ## 7. All of them at once
#
# Now you have met every idea of the table. A method is five choices:
#
# 1. **Which condition** holds off the diagonal: Lagrangian, Eulerian or semigroup?
# 2. **At which pairs of times**: all $s < t$, $t = 1$ alone, lengths $2^{-k}$, the end of a segment?
# 3. **Whose velocity** is read: the map's own $v_{t,t}$, its moving average's, the sample's, a teacher's?
# 4. **What is held**?
# 5. **With which weight** does a sample count?
#
# The library keeps the answers as data, one frozen dataclass a row. You know the names in the columns `condition`,
# `velocity` and `held`. Those in the column `times` mean:
#
# | times | the pairs that are trained |
# | --- | --- |
# | triangle | all $s < t$ |
# | square | $s$ and $t$ in either order |
# | from zero | $s = 0$, every $t$ |
# | to one | $t = 1$, every $s$ |
# | grid | $t = 1$, and $s$ a multiple of $1/64$ |
# | segments | $t$ is the end of the half of $[0, 1]$ in which $s$ lies |
# | dyadic | $t - s = 2^{-k}$, and $s$ a multiple of $2^{-k}$ |
#
# The names in the column `weight` are the keys of `methods.WEIGHTS`. "one" weighs all samples equally.

# %%
print(f"{'':<16}{'condition':<12}{'velocity':<10}{'held':<8}{'times':<12}{'weight':<15}idea")
for name, choice in table.items():
    print(f"{name:<16}{choice.condition:<12}{choice.velocity:<10}{choice.stopgrad:<8}{choice.times:<12}", end="")
    print(f"{choice.weight:<15}{group(choice)}")

# %% tags=["figure"]
figures.cells(table)

# %% [markdown]
# **What to notice.** Every cell has a method. The tests of this library compare the gradient of every row with its
# source's own objective, up to a weight on each sample. They do not cover what stands in the field `departs` of a row.
# Two examples: while the tangent of sCM is ramped up, the row `"sct"` splits it in another place; and `"pd"` trains one
# network where its source trains one a stage. Print
# `table["pd"].substitution` and `table["pd"].departs`; `.title` is a row's name in full, `.source` its publication.
# [A page for each method](../docs/methods/index.md) has its formula and its numbers.
#
# **How good are they?** The repository holds KL64 of every row at one budget: half a CPU minute each, three seeds,
# 300,000 points. It was made by `flowmap-edu table checkerboard --methods all --minutes 0.5 --seeds 3 --points 300000
# --out DIR`. A row with a teacher gets half of the time, its teacher the other half. Costs are those of a step, over a
# step of flow matching with the same batch. **Predict:** which condition has the row with the lowest KL64 at one
# evaluation? (The cell below prints that row.)

# %%
prediction = None  # "lagrangian", "eulerian" or "semigroup"

# %% [markdown]
# **Write** `better(a, b)`: whether a row is better than another one *whatever the seed*: the worst of its numbers `a`
# is below the best of the other one's, `b` (lists of KL64, one a seed). With one seed a row nothing is concluded:
# return `False` if one of the lists has fewer than three entries.


# %% tags=["solution"]
def better(a, b):
    """Whether every seed of a is below every seed of b, three or more of each."""
    ### BEGIN SOLUTION
    return min(len(a), len(b)) >= 3 and max(a) < min(b)
    ### END SOLUTION


# %%
course.check("07.12", better)

# %%
saved = json.loads((runs.shipped_folder() / "methods" / "methods.json").read_text())
best = figures.findings(saved, better)
course.compare(prediction, table[best].condition)

# %% tags=["figure"]
figures.table(saved["rows"])

# %% [markdown]
# **What to notice.** The words "whatever the seed" mean your `better`: the worst seed of one row is below the best of
# the other. With one evaluation `"cmt"` is better than every other row in this sense. It stands in the group of
# consistency methods, its condition is the semigroup's, and it learns from a teacher's trajectories. Of the rows that
# read a sample's slope, the best lies above the best of those that read their own velocity (or its moving average), and
# above the best of those that read a teacher's. This compares whole rows. It does not say that the slope is the reason.
# Flow matching has no jumps: with one evaluation it is far behind.
#
# With 16 evaluations the order is another one, and the printed line names the rows between which three seeds do not
# decide. Rows that hold nothing ("none") let the gradient through every term: they need the most memory. A row that
# knows $t = 1$ alone adds new noise between its jumps, and more evaluations need not help it: five of nine have a
# larger median at 16 than at 4, one of them whatever the seed.
#
# This is no ranking of publications. It is one problem in the plane, a short budget, and a recipe that was made for
# self-distillation; mean flow and sCM were made for images. Not only the five choices differ from row to row: also the
# share of the diagonal, the pairs on the sides of the triangle, and the half of the budget that a teacher takes. One
# choice is the same for all: noise and data are paired independently (the setting `coupling` of a training).
#
# **Try.** `flowmap-edu table checkerboard --methods ct,sct --minutes 1 --out runs/mine` in a terminal prints ten KL64
# of your own.
#
# **What is not in the table.** Methods that train a generator against a critic or a score (DMD2), or that move samples
# towards data by a field on the samples (drifting models), give a map from noise to data as well. They have no second
# time, and their map is not that of a flow: no triangle can be drawn for them.

# %% [markdown]
# ## 8. A row of your own
#
# The table has room for rows that nobody has published. As an example we take the Lagrangian self-distillation row and
# hold everything but the leading slope, as Align Your Flow does with a teacher's velocity:
#
# $$v_{s,t} \leftarrow \mathrm{sg}\big[ v_{t,t}(X_{s,t}) - (t-s)\, \partial_t v_{s,t} \big].$$
#
# We do not know of a publication that trains it without a teacher. The residual is that of `"lsd"`, so that both are
# zero at the same map. **Predict:** after the same few steps, is its one-step map nearer to the exact one than that of
# `"lsd"`, or farther, in all of three seeds?

# %%
prediction = None  # "nearer", "farther" or "mixed"

# %% [markdown]
# **Write** the row, `table["mine"]`, by `dataclasses.replace` of `"lsd"`. Then `distance(name, seed)`: train the row
# for `STEPS` steps and return the root mean square distance of its one-step map to the exact one. The training is
# `training.fit(*recipes.recipe("checkerboard", table[name], steps=STEPS, seed=seed, compile=False))`; it yields the
# state now and then, and the last `state.X` is the map. `start` (2,048 points of noise) and `exact` (where the exact
# flow carries them) are given.

# %%
start = board.base(2048, torch.Generator().manual_seed(2))
exact = board.flow_map(0.0, 1.0, start.double(), tolerance=1e-6)

# %% tags=["solution"]
### BEGIN SOLUTION
table["mine"] = dataclasses.replace(table["lsd"], title="my own", stopgrad="semi")
### END SOLUTION


# %% tags=["solution"]
def distance(name, seed):
    """Train a row; the root mean square distance of its one-step map to the exact one."""
    ### BEGIN SOLUTION
    run = recipes.recipe("checkerboard", table[name], steps=STEPS, seed=seed, compile=False)
    for state in training.fit(*run, every=STEPS):
        landed = state.X.sample(start, 1)
    return (landed - exact).square().sum(1).mean().sqrt().item()
    ### END SOLUTION


# %%
trained = {name: [distance(name, seed) for seed in tqdm(range(3), desc=name)] for name in ("lsd", "mine")}
for name, far in trained.items():
    print(f"{name:<6} distance of three seeds: " + " ".join(f"{value:.4f}" for value in far))
mine, lsd = trained["mine"], trained["lsd"]
verdict = "nearer" if better(mine, lsd) else "farther" if better(lsd, mine) else "mixed"
course.compare(prediction, verdict)

# %% [markdown]
# **What to notice.** The row trains. In all three seeds its one-step map ends farther from the exact one than that of
# `"lsd"`. The two have the same residual and a different gradient: "semi" leaves out how $\partial_t v$ depends on the
# weights, and differentiates no derivative. These are short trainings; longer ones may end otherwise.
#
# **Try.** Compose a row: change the condition, the times, the weight or the stop-gradient of any row, and measure it
# with `distance`. Choices that contradict each other are refused with a reason.
#
# <details><summary>One answer</summary>
#
# `table["mf-one"] = dataclasses.replace(table["meanflow"], weight="one")` removes the bias of section 4. Compare
# `distance("meanflow", seed)` with `distance("mf-one", seed)` for three seeds.
#
# </details>

# %% [markdown]
# ## Summary
#
# - Consistency training compares two neighbouring points of a sample's line. Differentiate its square, then let the
#   times meet: what is left is $f \cdot \mathrm{sg}[df/d\tau]$, the Eulerian row at $t = 1$.
# - With a free end time it is mean flow. The family with the number $\alpha$ joins flow matching ($\alpha = 1$) and
#   mean flow ($\alpha \to 0$); at $t = 1$ it is discrete consistency training.
# - The sample's own slope may stand for the velocity where the gradient is linear in it: in the Eulerian condition
#   under "semi" and "full". In the Lagrangian condition it may if the jump ends at the sample. A weight that depends
#   on the residual makes it biased.
# - In a triangle knowledge flows down (Eulerian), to the right (Lagrangian), or from two short jumps to a long one
#   (semigroup). It begins at the diagonal.
# - A method is five choices: condition, times, velocity, what is held, weight.
#
# ## Exercises
#
# **1.** Show from the formula of section 2 that at $s = t$ the "semi" residual with the sample's slope is $\dot I_t -
# v_{t,t}(I_t)$.
#
# <details><summary>Answer</summary>
#
# At $s = t$ the factor $t - s$ is zero, and the bracket is $b$ alone, here $\dot I_t$. The residual is $-v_{t,t} + \dot
# I_t$. So the pairs of mean flow with $s = t$ are flow matching.
#
# </details>
#
# **2.** *Split mean flow* (Guo et al., 2025) writes, in mean flow's notation and for $r \le q \le t$,
#
# $$(t-r)\, u(z, r, t) = (t-q)\, u(z, q, t) + (q-r)\, u(z', r, q), \qquad z' = z - (t-q)\, u(z, q, t).$$
#
# **Write** its loss: the squared difference of $u(z, r, t)$ and the right-hand side over $t - r$, the latter held.
# Then compare it with the row `"psd-u"`: set `theirs` and `ours`, with `middle` for our $u$.


# %% tags=["solution"]
def split_mean_flow(u, z, r, q, t):
    """|u(z, r, t) - sg[((t-q) u(z, q, t) + (q-r) u(z', r, q)) / (t-r)]|^2, shape (B,)."""
    ### BEGIN SOLUTION
    late = u(z, q, t)
    early = u(z - (t - q)[:, None] * late, r, q)
    target = ((t - q)[:, None] * late + (q - r)[:, None] * early) / (t - r)[:, None]
    return ((u(z, r, t) - target.detach()) ** 2).sum(1)
    ### END SOLUTION


# %%
course.check("07.13", split_mean_flow)

# %%
middle = (s + t) / 2

# %% tags=["solution"]
### BEGIN SOLUTION
theirs = split_mean_flow(lambda z, r, t: -net(1 - t, 1 - r, z), x, 1 - t, 1 - middle, 1 - s)
ours = methods.loss(X, material.jumps(s, middle, t, x, dx), table["psd-u"])
### END SOLUTION

# %%
assert apart(gradient(ours), gradient(theirs)) < 1e-8
print(f"relative difference of the two gradients: {apart(gradient(ours), gradient(theirs)):.1e}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# With $s = 1 - t$, $u = 1 - q$ and $t = 1 - r$ (ours on the left) the equation is the semigroup condition with a stop
# at $u$: divide by the length of the jump, and the two shares are $1 - h$ and $h$. So split mean flow is `"psd-u"`,
# with another share of the diagonal.
#
# </details>
#
# **3.** sCM divides the residual $R$ under "semi" by $|R| + 0.1$, held fixed, before it fits $v_{s,t}$ to $v_{s,t} +
# R$. Which name in `methods.WEIGHTS` gives the same gradient as a weight on $|R|^2$? Set `answer` to it.

# %% tags=["solution"]
answer = None
### BEGIN SOLUTION
answer = "tangent"
### END SOLUTION

# %%
course.check("07.14", answer)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The fitted square is $|v - \mathrm{sg}[v + R / (|R| + 0.1)]|^2$. Its gradient is $-2\, \nabla_\theta v \cdot R / (|R|
# + 0.1)$. The gradient of $w\, |R|^2$ under "semi" is $-2\, w\, \nabla_\theta v \cdot R$. So $w = 1 / (|R| + 0.1)$.
# The factor after $\nabla_\theta v$ is shorter than 2 however large $R$ is: the weight bounds the gradient by
# construction. A small largest gradient of `"sct"` in the table is therefore no finding.
#
# </details>
#
# **4.** The truncated-SNR loss of progressive distillation is $\max(\mathrm{SNR}, 1)\, |\hat x - \tilde x|^2$ with
# $\mathrm{SNR} = s^2/(1-s)^2$ and the predicted data $\hat x = x + (1-s)\, v$. Which weight is that on the error of
# $v$?
#
# <details><summary>Answer</summary>
#
# The error of $\hat x$ is $(1-s)$ times that of $v$, its square $(1-s)^2$ times. So the weight is $(1-s)^2
# \max(s^2/(1-s)^2, 1) = \max(s^2, (1-s)^2)$. The row `"pd"` has it under the name "truncated snr".
#
# </details>
#
# **5.** Progressive distillation has `table["pd"].stages` stages; in stage $k = 1, 2, \dots$ the lengths $2^{-7+1},
# \dots, 2^{-7+k}$ are trained, and at its start the pupil so far becomes the frozen teacher. Who are the teachers of
# the first two stages, and what do they know?
#
# <details><summary>Answer</summary>
#
# In stage 1 the jumps have the length $1/64$ and are fitted to two of $1/128$, which read the diagonal: the teacher is
# the flow-matching network, two Euler steps. In stage 2 the teacher is the pupil of stage 1. It knows jumps of $1/64$,
# and two of them teach the new length $1/32$.
#
# </details>
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
#   2406.07507](https://arxiv.org/abs/2406.07507), 2024: both distillations, and the jump that ends at the sample.
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
