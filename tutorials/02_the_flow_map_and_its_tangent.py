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
# # The flow map and its tangent
#
# After this lesson you can
#
# - say what the flow map $X_{s,t}$ is, and write it as $x + (t - s)\, v_{s,t}(x)$,
# - prove that the velocity of the flow is inside the map, at $s = t$ (the *tangent condition*),
# - predict how fast a short jump's slope approaches the velocity, and measure it,
# - compute by how much the map stretches an area, and explain the number by the densities,
# - say what a network that has learned only the velocity does not know.
#
# **It assumes** [lesson 01](01_from_noise_to_data.ipynb): the interpolant, the velocity $b_t(x)$ and flow matching. It
# assumes that you have written a function in PyTorch. All symbols are on the [notation card](notation.md).
#
# **It takes** about ninety minutes: fifty-five to read, thirty-five to write. It runs in about three minutes on two CPU
# cores; half of that is the training in section 7.
#
# You write the cells that say `write this`. The cell after each checks what you wrote. Before a main result you are
# asked for a prediction. A wrong prediction costs nothing.

# %%
import math

import torch
from torch.func import jvp

from flowmap_edu import MLP, FlowMap, course, losses, metrics, problems
from flowmap_edu.training import budget
from flowmap_edu.viz import figures_02 as figures
from flowmap_edu.viz import line, plots, widgets

# %%
plots.use_style()
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)  # rates of convergence need the digits

# %% [markdown]
# ## 1. Can one step be as long as you like?
#
# Lesson 01 followed a velocity, $\dot x_t = b_t(x_t)$, in many small steps. The velocity says how fast, and in which
# direction, a point moves *now*. The **flow map** says where the point will be *later*. It is the function with
#
# $$X_{s,t}(x_s) = x_t \qquad \text{for every path of the flow and all times } s, t \in [0, 1].$$
#
# $X_{s,t}(x)$ is read "from $s$ to $t$, starting at $x$". We call one evaluation of it a *jump*.
#
# For one problem the flow map is a formula that you can derive: the noise is $N(0, 1)$ on the line, and the data is
# $N(m, c^2)$. The interpolant $I_t = (1 - t)\, x_0 + t\, x_1$ is then normal too. Its mean is $m t$ and its standard
# deviation is
#
# $$S(t) = \sqrt{(1 - t)^2 + t^2 c^2} .$$
#
# **The velocity.** For two jointly normal numbers the conditional mean is a straight line, $E[y \mid z] = E y +
# \mathrm{Cov}(y, z)\, (z - E z) / \mathrm{Var}(z)$. Take $y = x_1 - x_0$ and $z = I_t$. Their covariance is
# $t c^2 - (1 - t)$, so
#
# $$b_t(x) = E[x_1 - x_0 \mid I_t = x] = m + \frac{t c^2 - (1 - t)}{S(t)^2}\, (x - m t) .$$
#
# The derivative of $S(t)^2$ is $2\, S(t)\, S'(t) = 2\, [t c^2 - (1 - t)]$. So the fraction is $S'(t) / S(t)$.
#
# **Write** `b_line(t, x)`, this formula. The numbers `m` and `c` and the function `S` are given. `t` is a number, `x` a
# tensor, and the result has the shape of `x`.

# %%
m, c = 1.0, 0.25


def S(t):
    return ((1 - t) ** 2 + t**2 * c**2) ** 0.5


# %% tags=["solution"]
def b_line(t, x):
    """The velocity of the problem on the line."""
    ### BEGIN SOLUTION
    return m + (t * c**2 - (1 - t)) / S(t) ** 2 * (x - m * t)
    ### END SOLUTION


# %%
course.check("02.1", b_line)

# %% [markdown]
# **The map.** Measure a point's distance from the mean in standard deviations: $z_t = (x_t - m t) / S(t)$. Then
#
# $$\dot z_t = \frac{\dot x_t - m}{S(t)} - \frac{S'(t)}{S(t)}\, \frac{x_t - m t}{S(t)}
#            = \frac{1}{S(t)} \Big[ b_t(x_t) - m - \frac{S'(t)}{S(t)} (x_t - m t) \Big] = 0 .$$
#
# So $z_t$ never changes along a path: $z_t = z_s$.
#
# **Write** `X_line(s, t, x)`: solve $z_t = z_s$ for $x_t$, with $x_s = x$. `s` and `t` are numbers, `x` is a tensor,
# and the result has the shape of `x`.


# %% tags=["solution"]
def X_line(s, t, x):
    """Where the point that is at x at time s is at time t."""
    ### BEGIN SOLUTION
    return m * t + S(t) / S(s) * (x - m * s)
    ### END SOLUTION


# %%
course.check("02.2", X_line)

# %% [markdown]
# Does this formula do what Euler's small steps do? **Write** `walk(b, s, t, x, steps)`: start at `x` at time `s` and
# make `steps` equal Euler steps, so that you arrive at time `t`. `b(t, x)` is a velocity; it takes a number and a
# tensor.


# %% tags=["solution"]
def walk(b, s, t, x, steps):
    """Where x is after so many equal Euler steps from s to t."""
    ### BEGIN SOLUTION
    dt = (t - s) / steps
    for k in range(steps):
        x = x + dt * b(s + k * dt, x)
    return x
    ### END SOLUTION


# %%
course.check("02.3", walk)

# %% [markdown]
# **Predict.** We compare 100 Euler steps with one jump, and then 1,000 steps with one jump. By which factor does the
# distance between their ends fall?

# %%
prediction = None  # a number: distance with 100 steps, divided by distance with 1,000 steps

# %%
start = torch.linspace(-2, 2, 9)[:, None]  # nine points on the line, shape (9, 1)
off = {n: (walk(b_line, 0.2, 0.9, start, n) - X_line(0.2, 0.9, start)).abs().max().item() for n in (100, 1000, 10_000)}
print(*(f"{n:>6} Euler steps and one jump differ by at most {far:.1e}" for n, far in off.items()), sep="\n")
course.compare(
    prediction,
    off[100] / off[1000],
    too_high="Your method would be of a higher order than Euler's, whose error is proportional to the step.",
    too_low="A factor of 1 would mean that the two do not approach each other: then the formula would be wrong.",
)
exact_line = problems.Gaussian(m, c, dim=1)  # the library's version of this problem
assert torch.allclose(X_line(0.2, 0.9, start), exact_line.flow_map(0.2, 0.9, start))
assert torch.allclose(b_line(0.6, start), exact_line.velocity(0.6, start))

# %% tags=["figure"]
figures.jumps(X_line, start)

# %% [markdown]
# **What to notice.** The paths are grey, the jumps are blue. A jump need not follow its path: only their ends have to
# agree. (One path is straight, that of the mean. Its jumps lie on it.) A jump may start at any time, so the map can go
# on from where a jump landed.
#
# **Try.** Jump backwards, `X_line(1.0, 0.0, x)`. What do you get if `x` was `X_line(0.0, 1.0, start)`?
#
# <details><summary>Answer</summary>
#
# You get `start` again: $X_{1,0}(X_{0,1}(x)) = x$. The formula allows $t < s$, and
# $\frac{S(0)}{S(1)} \cdot \frac{S(1)}{S(0)} = 1$. A path can be followed in both directions.
#
# </details>

# %% [markdown]
# ## 2. How should a flow map be written?
#
# A jump over no time must go nowhere: $X_{s,s}(x) = x$. We write the map so that this always holds:
#
# $$X_{s,t}(x) = x + (t - s)\, v_{s,t}(x), \qquad v_{s,t}(x) = \frac{X_{s,t}(x) - x}{t - s} .$$
#
# $v_{s,t}(x)$ is the **slope** of the jump. The way from $x$ to $X_{s,t}(x)$ is the sum (the integral) of all small
# moves $b_\tau\, d\tau$ on the path. So the slope is the *mean* of the velocity over the path from $s$ to $t$:
#
# $$v_{s,t}(x) = \frac{1}{t - s} \int_s^t b_\tau\big(X_{s,\tau}(x)\big)\, d\tau . \tag{1}$$
#
# Euler's method uses $b_s(x)$ in the place of this mean. With the mean, a step of any length is exact.
#
# **Write** the two directions: `jump(v, s, t, x)` returns $X_{s,t}(x)$ for a given slope, and `slope(X, s, t, x)`
# returns $v_{s,t}(x)$ for a given map. `v(s, t, x)` and `X(s, t, x)` are functions of two numbers and a tensor.


# %% tags=["solution"]
def jump(v, s, t, x):
    """X_{s,t}(x) from the slope v."""
    ### BEGIN SOLUTION
    return x + (t - s) * v(s, t, x)
    ### END SOLUTION


# %%
course.check("02.4", jump)


# %% tags=["solution"]
def slope(X, s, t, x):
    """v_{s,t}(x) from the map X, for s different from t."""
    ### BEGIN SOLUTION
    return (X(s, t, x) - x) / (t - s)
    ### END SOLUTION


# %%
course.check("02.5", slope)

# %% [markdown]
# The library's `FlowMap(v)` is your `jump` for any $v$, also for a network. Even the map of a network with random
# weights satisfies $X_{s,s}(x) = x$:

# %%
library = FlowMap(exact_line.v)
assert torch.allclose(jump(exact_line.v, 0.2, 0.9, start), library(0.2, 0.9, start))
assert torch.allclose(slope(X_line, 0.2, 0.9, start), library.v(0.2, 0.9, start))
assert torch.equal(FlowMap(MLP(1))(0.3, 0.3, start), start)  # random weights

# %% [markdown]
# Now a problem on the line whose map is no simple formula: the data has two narrow modes, at $-1$ and at $1$. The
# library follows its velocity by an accurate solver. A point starts at $x = 0.3$ at time $s = 0.1$.
#
# **Predict.** Its velocity there is $b_s(x) = -0.22$, and it ends near 1 at time 1. What is the slope of the jump from
# 0.1 to 1?

# %%
prediction = None  # a number: the slope of the jump from (0.1, 0.3) to time 1

# %%
modes = problems.two_modes()
X_modes = FlowMap(modes.v)
course.compare(
    prediction,
    slope(X_modes, 0.1, 1.0, torch.tensor([[0.3]])).item(),
    too_high="The jump would land beyond the place where the path ends.",
    too_low="The slope is the way divided by the time: from 0.3 to nearly 1, in 0.9 of time.",
)

# %% tags=["figure"]
figures.chords(X_modes, 0.1, (1.0, 0.7, 0.4, 0.2), 0.3)

# %% [markdown]
# **What to notice.** On the left, a jump is a chord of the path. The slope of a shorter chord is nearer to the slope of
# the tangent, which is the velocity at the start. On the right are the slopes as a function of the end time: the slope
# of the jump starts at this velocity, and then changes less than the velocity along the path, because it is a mean.
#
# **Try.** On the right, the dashed line is above the solid one while the solid one rises. Why? Differentiate
# $(t - s)\, v_{s,t}(x)$ in $t$.
#
# <details><summary>Answer</summary>
#
# By (1), $(t - s)\, v_{s,t}(x)$ is the integral of the velocity along the path. Its derivative in $t$ is the velocity
# at the end of the path: $v_{s,t} + (t - s)\, \partial_t v_{s,t} = b_t(X_{s,t})$. So dashed minus solid is $(t - s)\,
# \partial_t v_{s,t}$: positive where the slope rises, negative where it falls, zero where the lines cross.
#
# </details>

# %% [markdown]
# ## 3. Where in the map is the velocity?
#
# Hold the start $(s, x)$ and let the end time $t$ run. The landing point then moves along the path, with the velocity
# of the flow where it is:
#
# $$\partial_t X_{s,t}(x) = b_t\big(X_{s,t}(x)\big). \tag{2}$$
#
# Now let $s$ go to $t$. The jump gets short, so $X_{s,t}(x) \to x$. If $b_t$ is continuous at $x$, then
#
# $$\lim_{s \to t} \partial_t X_{s,t}(x) = b_t(x) \qquad \textit{(tangent condition)}. \tag{3}$$
#
# The slope has the same limit. By (1) it is a mean of velocities on the path from $s$ to $t$. If $b$ is continuous in
# time and place, all of them approach $b_t(x)$, and so does their mean:
#
# $$\boxed{\; v_{t,t}(x) = b_t(x) \;} \tag{4}$$
#
# No second network is needed for the velocity. It is the map's own slope on the *diagonal* $s = t$.
#
# *Where is $b$ continuous?* For $t < 1$, in all problems of this course. On the board it is not at $t = 1$: at the
# edges of the squares the velocity jumps, and between the squares, where no data is, it grows without bound as $t \to
# 1$. At $t = 1$ equations (3) and (4) hold inside the squares.
#
# To test (2) and (3) you need $\partial_t X$. PyTorch's `jvp(f, (t,), (w,))` returns $f(t)$ and $f'(t)\, w$ in one
# pass. It uses no small differences: the derivative is exact up to rounding.
#
# **Write** `partial_t(X, s, t, x)`. It returns two tensors: the landing point $X_{s,t}(x)$ and $\partial_t X_{s,t}(x)$.
# `s` and `t` are numbers; `jvp` wants tensors, so begin with `t = torch.tensor(t)`.


# %% tags=["solution"]
def partial_t(X, s, t, x):
    """X_{s,t}(x), and how fast it moves when t grows."""
    ### BEGIN SOLUTION
    t = torch.tensor(t)
    return jvp(lambda t: X(s, t, x), (t,), (torch.ones_like(t),))
    ### END SOLUTION


# %%
course.check("02.6", partial_t)

# %%
landed, speed = partial_t(X_line, 0.2, 0.9, start)
assert torch.allclose(speed, b_line(0.9, landed))  # equation (2), for a long jump
assert torch.allclose(partial_t(X_line, 0.6, 0.6, start)[1], b_line(0.6, start))  # (3), at s = t
assert torch.allclose(library.v(0.6, 0.6, start), b_line(0.6, start))  # (4)
assert torch.allclose(speed, library.partial_t(0.2, 0.9, start)[1])

# %% tags=["figure"]
figures.speeds(partial_t, X_line, b_line, 0.6, (0.0, 0.3, 0.5))

# %% [markdown]
# **What to notice.** Each line shows the speed of the landing point as a function of the start $x$. The line for a
# start time $s$ nearer to $t = 0.6$ is nearer to the velocity (dashed).
#
# **Try.** Draw it for $t = 0.9$ and $s = 0.3, 0.6, 0.8$: the gaps $t - s$ are the same as above. Are the distances to
# the dashed line the same too?
#
# <details><summary>Answer</summary>
#
# No. Call `figures.speeds(partial_t, X_line, b_line, 0.9, (0.3, 0.6, 0.8))`. By (2) the lines are $b_t(X_{s,t}(x)) =
# m + \frac{S'(t)}{S(s)}\, (x - m s)$. Their slope differs from that of the dashed line by the factor $S(t) / S(s)$,
# and this factor is not the same from 0.8 to 0.9 as from 0.5 to 0.6. Section 4 computes the distances for short gaps.
#
# </details>

# %% [markdown]
# ## 4. How fast does a short jump become the velocity?
#
# Put $\delta = t - s$. **Write** the test of the tangent condition: `gaps(X, b, t, x, delta)` returns two tensors,
#
# $$\partial_t X_{t-\delta,\,t}(x) - b_t(x) \qquad\text{and}\qquad v_{t-\delta,\,t}(x) - b_t(x) .$$
#
# Use your `partial_t` and `slope`.


# %% tags=["solution"]
def gaps(X, b, t, x, delta):
    """By how much the landing point's speed, and the slope, of a jump over delta differ from the velocity."""
    ### BEGIN SOLUTION
    speed = partial_t(X, t - delta, t, x)[1]
    return speed - b(t, x), slope(X, t - delta, t, x) - b(t, x)
    ### END SOLUTION


# %%
course.check("02.7", gaps)

# %% [markdown]
# How large will the gaps be? Expand both for small $\delta$. The jump is short, $X_{t-\delta,t}(x) = x + \delta\,
# b_t(x) + O(\delta^2)$. Put this into (2). With $\nabla b_t$, the matrix of derivatives of $b_t$ in $x$,
#
# $$\partial_t X_{t-\delta,t}(x) - b_t(x) = b_t\big(x + \delta\, b_t(x)\big) - b_t(x) + O(\delta^2)
#   = \delta\; \underbrace{\nabla b_t(x)\, b_t(x)}_{\text{first factor}} + \, O(\delta^2) .$$
#
# The slope is the mean of $b$ over the path, which goes from $x$ at time $t - \delta$ to $X_{t-\delta,t}(x)$ at time
# $t$. Up to $O(\delta^2)$ this mean is $b$ in the middle of the path: at the time $t - \tfrac{\delta}{2}$, and at the
# place $x + \tfrac{\delta}{2}\, b_t(x)$. So
#
# $$v_{t-\delta,t}(x) - b_t(x) = \delta\; \underbrace{\tfrac12 \big[ \nabla b_t(x)\, b_t(x) - \partial_t b_t(x) \big]}_{
#   \text{second factor}} + \, O(\delta^2) .$$
#
# Both factors are known before any jump is made. **Write** `predicted(b, t, x)`: it returns the two factors. $\nabla
# b_t\, b_t$ is one `jvp` of `b` in `x`, in the direction `b(t, x)`; the matrix is never needed. $\partial_t b_t$ is
# one `jvp` in `t`. Both are of the shape of `x`.


# %% tags=["solution"]
def predicted(b, t, x):
    """The two factors of delta, from the velocity alone."""
    ### BEGIN SOLUTION
    bend = jvp(lambda x: b(t, x), (x,), (b(t, x),))[1]
    t = torch.tensor(t)
    drift = jvp(lambda t: b(t, x), (t,), (torch.ones_like(t),))[1]
    return bend, (bend - drift) / 2
    ### END SOLUTION


# %%
course.check("02.8", predicted)

# %% [markdown]
# To compare, we need one number for each $\delta$: the root mean square length of a gap over the points. **Write**
# `measure(X, b, t, x, deltas)`: two lists of numbers, for the speed and for the slope, with one entry for each of
# `deltas`. Use `gaps` and the function `rms`, which is given.


# %%
def rms(a):
    return a.square().sum(-1).mean().sqrt().item()


# %% tags=["solution"]
def measure(X, b, t, x, deltas):
    """The root mean square gaps of the speed, and of the slope, one number for each delta."""
    ### BEGIN SOLUTION
    speeds, slopes = [], []
    for delta in deltas:
        speed, slope = gaps(X, b, t, x, delta)
        speeds.append(rms(speed))
        slopes.append(rms(slope))
    return speeds, slopes
    ### END SOLUTION


# %%
course.check("02.9", measure)

# %% [markdown]
# How large are the two derivatives in these factors at $t = 0.9$, for points of the cloud at that time?

# %%
x = m * 0.9 + S(0.9) * torch.randn(1000, 1)  # the cloud at time 0.9
bend, second = predicted(b_line, 0.9, x)
print(f"root mean square of (nabla b) b {rms(bend):.1f}, of the derivative of b in t {rms(bend - 2 * second):.1f}")

# %% [markdown]
# **Predict.** For these points and short jumps: how many times larger is the gap of the slope than the gap of the
# speed? (Below 1 if it is smaller.) Estimate it from the two printed numbers and the two factors above. In the second
# factor the larger of the two derivatives decides.

# %%
prediction = None  # a number: gap of the slope, divided by gap of the speed

# %%
deltas = [2.0**-k for k in range(1, 13)]
speeds, slopes = measure(X_line, b_line, 0.9, x, deltas)
print(f"gap of the speed / delta: measured {speeds[-1] / deltas[-1]:.3f}, predicted {rms(bend):.3f}")
print(f"gap of the slope / delta: measured {slopes[-1] / deltas[-1]:.3f}, predicted {rms(second):.3f}")
course.compare(
    prediction,
    slopes[-1] / speeds[-1],
    within=0.2,
    too_high="Then the derivative in time would have to be even larger.",
    too_low="Then the derivative in time would have to be small. At t = 0.9 the velocity changes fast in time.",
)

# %% tags=["figure"]
figures.closing(deltas, {"speed": speeds, "slope": slopes}, [rms(bend), rms(second)])

# %% [markdown]
# **What to notice.** The marks are measured. The thin lines are the predicted factors times $\delta$: nothing was
# fitted. They agree for short jumps. For long ones the terms in $\delta^2$ count.
#
# **Try.** Compare $v_{s,t}(x)$ with the mean of the velocities at both ends of the jump,
# $\tfrac12 \big[ b_s(x) + b_t(X_{s,t}(x)) \big]$. By which factor does the difference fall when $\delta$ is halved?
#
# <details><summary>Answer</summary>
#
# By about four. The mean of a smooth function over an interval and the mean of its two end values differ by
# $O(\delta^2)$ (trapezoidal rule). In code:
#
#     for d in (0.1, 0.05, 0.025):
#         ends = (b_line(t - d, x) + b_line(t, X_line(t - d, t, x))) / 2
#         print(rms(slope(X_line, t - d, t, x) - ends))
#
# </details>

# %% [markdown]
# ## 5. What does a flow map of the plane do?
#
# The checkerboard's velocity is a formula (lesson 01). Its flow map is computed: the library follows the velocity by a
# method of eighth order with error control. `FlowMap(board.v)` is the map that a network has to learn.
#
# To draw a map of the plane, we lay a net of lines at time 0 and draw where the map takes it.
#
# **Predict.** Lay points on one line of the net, $x_2 = 0.8$, each 0.01 away from the next. Carry them from time 0 to
# time 1. How large is then the largest distance between two neighbours?

# %%
prediction = None  # a distance; at time 0 it is 0.01

# %%
board = problems.Checkerboard()
X = FlowMap(board.v)  # the exact map

# %%
row = torch.stack([torch.linspace(-1.2, 1.2, 241), torch.full((241,), 0.8)], dim=1)
course.compare(
    prediction,
    X(0.0, 1.0, row).diff(dim=0).norm(dim=1).max(),
    within=0.2,
    too_high="The squares that two neighbours go to would have to be farther apart.",
    too_low="Some neighbours go to different squares. There is no data between the squares.",
)

# %% tags=["figure"]
figures.nets(X, (0.0, 0.6, 0.9, 1.0))

# %% [markdown]
# **What to notice.** Until $t = 0.6$ the net shrinks and changes little in shape. At $t = 0.9$ its lines have moved
# towards the squares. At $t = 1$ we cut a line wherever two neighbouring points of it go to different squares. Inside
# the squares the meshes have very different sizes.
#
# ### How large is a mesh at the end?
#
# A small area $dA$ around $x$ at time 0 becomes an area $|\det \nabla X_{0,1}(x)|\, dA$ around $X_{0,1}(x)$. It carries
# the same probability: $\rho_0(x)\, dA = \rho_1(X_{0,1}(x))\, |\det \nabla X_{0,1}(x)|\, dA$. So
#
# $$\det \nabla X_{0,1}(x) = \frac{\rho_0(x)}{\rho_1\big(X_{0,1}(x)\big)} .$$
#
# (The determinant of a flow map is positive: at $s = t$ it is 1, and it never becomes 0.) On the board $\rho_1 =
# \tfrac12$ inside the squares, and $\rho_0$ is the noise, $N(0, \sigma^2 I)$ with $\sigma^2 = \tfrac13$.
#
# **Write** `by_density(x)`: what this formula says on the board, one number a point, shape (B,). `x` has shape (B, 2).
# The density of the noise is $\rho_0(x) = \frac{1}{2 \pi \sigma^2} \exp\big(-\frac{|x|^2}{2 \sigma^2}\big)$.


# %% tags=["solution"]
def by_density(x):
    """rho_0(x) / rho_1, shape (B,)."""
    ### BEGIN SOLUTION
    rho_0 = 3 / (2 * torch.pi) * torch.exp(-1.5 * x.square().sum(dim=1))
    return rho_0 / 0.5
    ### END SOLUTION


# %%
course.check("02.10", by_density)

# %% [markdown]
# **Predict.** A mesh of the net at the centre, $(0, 0)$, and a mesh in the corner, $(1.2, 1.2)$: how many times larger
# is the first one at the end?

# %%
prediction = None  # a number

# %% [markdown]
# **Write** `determinant(X, s, t, x)` for points `x` of shape (B, 2): one number a point, shape (B,). The first column
# of $\nabla X$ is the `jvp` of `X` in `x` along the direction $(1, 0)$, the second that along $(0, 1)$. A direction
# has the shape of `x`. Use `torch.stack` with `dim=-1` and `torch.linalg.det`.


# %% tags=["solution"]
def determinant(X, s, t, x):
    """det grad X_{s,t}(x), shape (B,)."""
    ### BEGIN SOLUTION
    directions = torch.eye(2).to(x)[:, None].expand(2, *x.shape)  # (1, 0) for each point, and (0, 1)
    columns = [jvp(lambda x: X(s, t, x), (x,), (w.clone(),))[1] for w in directions]
    return torch.linalg.det(torch.stack(columns, dim=-1))
    ### END SOLUTION


# %%
course.check("02.11", determinant)

# %%
places = torch.cat([torch.tensor([[0.02, 0.01], [1.2, 1.2]]), 2.4 * torch.rand(38, 2) - 1.2])
det = determinant(X, 0.0, 1.0, places)
assert torch.allclose(det, by_density(places), rtol=1e-3)
print(f"determinant next to the centre {det[0]:.3f}, in the corner {det[1]:.4f}")
course.compare(
    prediction,
    det[0] / det[1],
    too_high="The noise would have to be thinner in the corner.",
    too_low="The noise would have to be denser in the corner. It falls like exp(-1.5 r^2) at the distance r.",
)

# %% tags=["figure"]
figures.determinants(places, det)

# %% [markdown]
# **What to notice.** Each dot is a point of the plane. The determinant depends only on the distance from the centre:
# it is $\tfrac{3}{\pi} \exp(-\tfrac32 |x|^2)$. A mesh at the centre keeps 95 % of its area, a mesh in the corner about
# 1 %. So the net is far from even inside the squares, although the *density* there is even: each mesh carries as much
# probability as it did at time 0.
#
# ### Where is the map not continuous?
#
# On the line the same law says $X_{0,1}'(x) = \rho_0(x) / \rho_1(X_{0,1}(x))$. Between the two modes $\rho_1$ is nearly
# zero, so this derivative must be very large. (The figure leaves a gap where it is over 100.)

# %% tags=["figure"]
_ = line.tear({"two modes": X_modes, "one Gaussian": FlowMap(problems.Gaussian(0.0, 1.0, sigma=0.6, dim=1).v)})

# %%
log_10 = [modes.log_density(t, torch.zeros(1, 1)).item() / math.log(10) for t in (0.0, 1.0)]
print(f"two modes: rho_0(0) / rho_1(0) = 10^{log_10[0] - log_10[1]:.0f}")

# %% [markdown]
# **What to notice.** Points on one side of 0 go to one mode, points on the other side go to the other mode. On the line
# the map is continuous, but at 0 it is extremely steep: the printed quotient is its derivative there. On the board the
# density *is* zero between the squares. Where neighbouring starts end in different squares, $X_{0,1}$ is not
# continuous, and $\nabla X_{0,1}$ does not exist. We call these curves of starts the *tears* of the map. For every
# $t < 1$ the map $X_{0,t}$ is smooth. This matters in two places. Equations with $\nabla X_{s,1}$ hold away from the
# tears only (lesson 03). And a network is continuous, so at a tear it can only be steep.
#
# ### Can jumps be undone?
#
# **Write** `round_trip(X, s, t, x)`: jump from `s` to `t`, jump back, and subtract `x`.


# %% tags=["solution"]
def round_trip(X, s, t, x):
    """By how much a jump there and back misses x."""
    ### BEGIN SOLUTION
    return X(t, s, X(s, t, x)) - x
    ### END SOLUTION


# %%
course.check("02.12", round_trip)

# %%
x0 = board.sigma * torch.randn(100, 2)
assert torch.allclose(X(0.5, 1.0, X(0.0, 0.5, x0)), X(0.0, 1.0, x0), atol=1e-5)  # two jumps, or one: the same place
assert rms(round_trip(X, 0.0, 0.5, x0)) < 1e-5

# %% [markdown]
# **Predict.** We make $N$ equal jumps of the exact map, and $N$ of Euler's steps, from the same twelve points. With one
# Euler step, what is the largest distance of a landing point from the centre? (The mean of the data is 0.)

# %%
prediction = None  # a number

# %%
euler_steps = FlowMap(lambda s, _, x: board.velocity(s, x))
course.compare(
    prediction,
    round(euler_steps(0.0, 1.0, x0).norm(dim=1).max().item(), 6),
    too_high="Then the velocity at time 0 would have to know more of x1 than its mean.",
)
player = widgets.trajectory_player({"exact map": X, "Euler's steps": euler_steps}, x0[:12], exact=board)
far = {n: player.views[n,].numbers["distance"] for n in (1, 4, 16)}
print("distance of the ends from the exact ones, root mean square")
print(*(f"N = {n:>2}: " + ", ".join(f"{k} {d:.4f}" for k, d in row.items()) for n, row in far.items()), sep="\n")
player

# %% [markdown]
# **What to notice.** Orange lines are the exact paths, blue lines the jumps, with a dot at each stop. On the left each
# stop is on its path, and the ends are right for each number of jumps. On the right each step goes in the direction
# found at its start and leaves the path. The distances are printed above. (With Python running, the slider or the play
# button shows 1 to 16 jumps. Without Python, the picture shows 1, 4 and 16.)
#
# **Try.** Why do all of Euler's points end in the centre after one step?
#
# <details><summary>Answer</summary>
#
# At time 0, $I_0 = x_0$ says nothing about $x_1$. So $b_0(x) = E[x_1] - x = -x$, and one Euler step from 0 to 1 lands
# at $x + 1 \cdot (-x) = 0$.
#
# </details>

# %% [markdown]
# ## 6. Does the prediction of section 4 hold on the board?
#
# Nothing in section 4 was special to the line. For the root mean square over draws of $I_t$,
#
# $$\big\| \partial_t X_{t-\delta,t}(x) - b_t(x) \big\| \approx \delta\, \big\| \nabla b_t(x)\, b_t(x) \big\| .$$
#
# **Predict.** How many times larger is the factor $\| \nabla b_t\, b_t \|$ at $t = 0.9$ than at $t = 0.3$?

# %%
prediction = None  # a number


# %%
def size(t, seed):  # over 5,000 points
    x = metrics.at_time(board, t, 5000, torch.Generator().manual_seed(seed))[0]
    return rms(predicted(board.velocity, t, x)[0])


sizes = {t: [size(t, seed) for seed in range(3)] for t in (0.3, 0.6, 0.9)}
print(*(f"t = {t}: the factor is {min(row):.3f} to {max(row):.3f}" for t, row in sizes.items()), sep="\n")
course.compare(
    prediction,
    sum(sizes[0.9]) / sum(sizes[0.3]),
    within=0.2,
    too_high="The velocity would have to change over even shorter distances at t = 0.9.",
    too_low="Near the data the velocity changes over short distances: grad b is large there.",
)

# %% [markdown]
# Now the measurement. The derivative goes through every step of the solver, in one `jvp`. That takes time, so we use
# sixty points at each time. A mean over sixty points differs from one over 5,000, so the factor is computed again for
# the sixty.

# %%
deltas = [2.0**-k for k in range(2, 12)]
at = {t: metrics.at_time(board, t, 60, torch.Generator().manual_seed(3))[0] for t in sizes}
closed = {t: measure(X, board.velocity, t, x, deltas)[0] for t, x in at.items()}
factors = [rms(predicted(board.velocity, t, x)[0]) for t, x in at.items()]
print("gap / delta at the smallest delta, sixty points")
print(*(f"t = {t}: measured {g[-1] / deltas[-1]:.3f}, predicted {k:.3f}"
        for (t, g), k in zip(closed.items(), factors, strict=True)), sep="\n")  # fmt: skip

# %% tags=["figure"]
figures.closing(deltas, {f"t = {t}": gap for t, gap in closed.items()}, factors)

# %% [markdown]
# **What to notice.** For small $\delta$ the gap is proportional to $\delta$ at all three times, with the predicted
# factor. At $t = 0.9$ the factor is several times larger, and the marks reach the line only at a smaller $\delta$. A
# step that is short enough at an early time is too long at a late time.
#
# **Try.** Compute the factor at $t = 0.97$ and $t = 0.99$, with 5,000 points: **write** the dictionary `late`, the
# `size` by the time, with the seed 0. How does it grow as $1 - t$ shrinks?

# %% tags=["solution"]
### BEGIN SOLUTION
late = {t: size(t, 0) for t in (0.97, 0.99)}
### END SOLUTION

# %%
print(*(f"t = {t}: the factor is {f:.2f}, 1 / sqrt(1 - t) = {(1 - t) ** -0.5:.2f}" for t, f in late.items()), sep="\n")

# %% [markdown]
# <details><summary>Answer</summary>
#
# It is close to $1 / \sqrt{1 - t}$ (one seed). A possible reason: near the edge of a square the velocity changes over a
# distance of about $(1 - t)\, \sigma$, so $\nabla b_t\, b_t$ is there about as large as $1 / (1 - t)$. Only a share of
# about $1 - t$ of the points is so near to an edge. The root mean square of both is
# $\sqrt{(1 - t) / (1 - t)^2} = 1 / \sqrt{1 - t}$. The two numbers fit this reason but do not prove it.
#
# </details>

# %% [markdown]
# ## 7. What does a network know that has learned only the velocity?
#
# By (4), flow matching trains the diagonal of a flow map. In lesson 01's loss, put $v_{t,t}$ for the velocity:
#
# $$L(v) = E\, \big| v_{t,t}(I_t) - (x_1 - x_0) \big|^2 .$$
#
# **Write** `diagonal_loss(X, t, x0, x1)`: one number a sample, shape (B,). `t` has shape (B,), `x0` and `x1` have shape
# (B, 2), and `X.v(s, t, x)` is the slope of a `FlowMap`. The squares of the two coordinates are added.


# %% tags=["solution"]
def diagonal_loss(X, t, x0, x1):
    """|v_{t,t}(I_t) - (x1 - x0)|^2, shape (B,)."""
    ### BEGIN SOLUTION
    I_t = (1 - t)[:, None] * x0 + t[:, None] * x1
    return (X.v(t, t, I_t) - (x1 - x0)).square().sum(dim=1)
    ### END SOLUTION


# %%
course.check("02.13", diagonal_loss)

# %%
torch.set_default_dtype(torch.float32)


def draws(n):
    return torch.rand(n), board.sigma * torch.randn(n, 2), board.sample(n)[0]  # t, x0, x1


# %% [markdown]
# **Write** `train(seed, steps)`, the loop of lesson 01 with this loss. It returns a `FlowMap`. Call
# `torch.manual_seed(seed)` first. The network is `MLP(2, hidden=128, layers=4, scale=board.sigma)`. The optimizer is
# Adam with the learning rate 4e-3. With `schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)`, call
# `schedule.step()` after each step of the optimizer: it lowers the rate. A batch is `draws(512)`, and its loss is the
# mean of `diagonal_loss`.


# %% tags=["solution"]
def train(seed, steps):
    """The map of a network that is trained on the diagonal."""
    ### BEGIN SOLUTION
    torch.manual_seed(seed)
    net = MLP(2, hidden=128, layers=4, scale=board.sigma)
    X_net, optimizer = FlowMap(net), torch.optim.Adam(net.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        loss = diagonal_loss(X_net, *draws(512)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return X_net
    ### END SOLUTION


# %%
course.check("02.14", train)

# %% [markdown]
# Now we train three networks, with three seeds (about a minute).
#
# **Predict.** Three answers to the question "what is the slope of the jump from 0 to 1?": the network's $v_{0,1}(x)$,
# which was never trained there; Euler's, which takes $b_0(x)$; and "stay", the slope 0. Which one has the smallest
# error?

# %%
prediction = None  # "network", "Euler" or "stay"

# %%
maps = [train(seed, budget(2000)) for seed in range(3)]
t, x0, x1 = draws(512)
assert torch.allclose(
    diagonal_loss(maps[0], t, x0, x1),
    losses.diagonal(maps[0], t, x0 + t[:, None] * (x1 - x0), x1 - x0),
    rtol=1e-4,
)

# %%
tables = figures.errors(board, maps)  # name -> error over a grid of pairs: row s, column t
print(
    *(f"{k:<10} on the diagonal {e.diagonal().mean():.3f}, from 0 to 1 {e[0, -1]:.3f}" for k, e in tables.items()),
    sep="\n",
)
course.compare(
    prediction,
    min(tables, key=lambda name: tables[name][0, -1]).split()[0],
    wrong={
        "network": "The loss says nothing of this pair, and the network's answer there is not even as good as no move.",
        "Euler": "Euler's slope sends every point to the centre.",
    },
)

# %% tags=["figure"]
figures.diagonal_only(board, tables, maps)

# %% [markdown]
# **What to notice.** On the diagonal all three networks are good, and "stay" is bad. From 0 to 1 "stay" is better than
# all three. The end of a path is only 0.25 away from its start (root mean square), so "stay" is wrong by 0.25; the
# networks are wrong by about 0.4, Euler's step by 0.8. The upper row has a square for each pair $(s, t)$. The lower row
# shows one jump of each network: none of the three pictures is a board, and no two are the same.
#
# ### Is that answer determined by the loss?
#
# **Write** `another(v, s, t, x)`: a slope that equals `v(s, t, x)` where $s = t$ and differs from it for every $s <
# t$. `s` and `t` have shape (B,), `x` has shape (B, 2). Any such slope will do.


# %% tags=["solution"]
def another(v, s, t, x):
    """The same diagonal as v, and other jumps."""
    ### BEGIN SOLUTION
    return v(s, t, x) + (t - s)[:, None]
    ### END SOLUTION


# %%
course.check("02.15", another)

# %%
X_other = FlowMap(lambda s, t, x: another(maps[0].v, s, t, x))
both = [diagonal_loss(X_k, t, x0, x1).mean().item() for X_k in (maps[0], X_other)]
assert abs(both[0] - both[1]) < 1e-6
print(f"loss {both[0]:.4f} and {both[1]:.4f}")
print(f"distance of the landing points: {(X_other(0.0, 1.0, x0) - maps[0](0.0, 1.0, x0)).norm(dim=1).mean():.2f}")

# %% [markdown]
# **What to notice.** The two maps have the same loss and land in different places. Flow matching fixes the diagonal.
# For *every* way to continue it to $s < t$ the loss is the same.
#
# Another condition has to fix the slopes for $s < t$: the jumps of the map have to agree with each other and with the
# diagonal. There are three ways to write that: [lesson 03](03_three_characterizations.ipynb).
#
# **Try.** Sample each network with $N = 1$ jump and with $N = 16$. **Write** the dictionary `scores`: for 1 and for 16
# the list of `metrics.kl64(points).kl` of the three maps. `X.sample(noise, n)` makes `n` jumps. Which pairs $(s, t)$
# does each use?

# %% tags=["solution"]
noise = board.sigma * torch.randn(100_000, 2)
### BEGIN SOLUTION
scores = {n: [metrics.kl64(X_net.sample(noise, n)).kl for X_net in maps] for n in (1, 16)}
### END SOLUTION

# %%
print(*(f"N = {n:>2}: KL64 {min(row):.2f} to {max(row):.2f}" for n, row in scores.items()), sep="\n")

# %% [markdown]
# <details><summary>Answer</summary>
#
# 16 jumps score much better. One jump uses the pair $(0, 1)$. The 16 jumps use the pairs $(k/16, (k+1)/16)$, close to
# the diagonal, on which the network was trained.
#
# </details>

# %% [markdown]
# ## Summary
#
# - The flow map $X_{s,t}$ carries a point from its place at time $s$ to its place at time $t$.
# - Written as $x + (t - s)\, v_{s,t}(x)$ it is the identity at $s = t$ for any $v$. The slope $v_{s,t}$ is the mean
#   velocity over the jump.
# - Tangent condition: $\partial_t X_{s,t}(x) \to b_t(x)$ as $s \to t$, and $v_{t,t} = b_t$. The gap is proportional to
#   $t - s$, with a factor that the velocity alone gives.
# - The map changes areas by $\rho_0 / \rho_1$. Where the data's density is zero between two parts, $X_{0,1}$ is not
#   continuous.
# - Flow matching trains the map's diagonal. It leaves the jumps $s < t$ open.
#
# ## Exercises
#
# **1.** For the line, write $v_{s,t}(x)$ without a division by $t - s$, so that it can be computed at $s = t$ too.
# (Multiply $S(t) - S(s)$ by $S(t) + S(s)$.)


# %% tags=["solution"]
def v_line(s, t, x):
    """The slope of X_line, finite at s = t."""
    ### BEGIN SOLUTION
    share = ((t + s) * (1 + c**2) - 2) / (S(s) * (S(t) + S(s)))
    return m + share * (x - m * s)
    ### END SOLUTION


# %%
course.check("02.16", v_line)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $X_{s,t}(x) - x = m (t - s) + \frac{S(t) - S(s)}{S(s)} (x - m s)$, because $x = m s + (x - m s)$. Next,
# $S(t) - S(s) = \frac{S(t)^2 - S(s)^2}{S(t) + S(s)}$, and with $S(t)^2 = 1 - 2 t + t^2 (1 + c^2)$ the numerator is
# $(t - s) \big[ (t + s)(1 + c^2) - 2 \big]$. The factor $t - s$ cancels:
#
# $$v_{s,t}(x) = m + \frac{(t + s)(1 + c^2) - 2}{S(s)\, [S(t) + S(s)]}\, (x - m s) .$$
#
# </details>
#
# **2.** Show that $v_{t,s}\big(X_{s,t}(x)\big) = v_{s,t}(x)$: the way back has the same slope. Check it on the board
# with `X.v`.
#
# <details><summary>Answer</summary>
#
# With $y = X_{s,t}(x)$ and $X_{t,s}(y) = x$: $v_{t,s}(y) = \frac{X_{t,s}(y) - y}{s - t} = \frac{x - y}{s - t} =
# \frac{y - x}{t - s} = v_{s,t}(x)$. The next cell checks it.
#
# </details>

# %%
assert torch.allclose(X.v(0.8, 0.2, X(0.2, 0.8, places)), X.v(0.2, 0.8, places), atol=1e-6)

# %% [markdown]
# **3.** Let the *start* time run instead. The limit of $\partial_s X_{s,t}(x)$ for $s \to t$ is a number times
# $b_t(x)$. Which number? Derive it from the form of section 2, and **write** it as `factor = ...`.

# %% tags=["solution"]
### BEGIN SOLUTION
factor = -1.0
### END SOLUTION

# %%
course.check("02.17", factor)
assert torch.allclose(library.partial_s(0.6, 0.6, start)[1], factor * b_line(0.6, start))

# %% [markdown]
# <details><summary>Answer</summary>
#
# $\partial_s \big[ x + (t - s)\, v_{s,t}(x) \big] = -v_{s,t}(x) + (t - s)\, \partial_s v_{s,t}(x)$. For $s \to t$ the
# second term vanishes, if $\partial_s v$ is bounded there, which holds on the line. The first goes to $-v_{t,t}(x) =
# -b_t(x)$. So the number is $-1$: a start that is later by $ds$ at the same place lands $b_t(x)\, ds$ less far.
#
# </details>
#
# **4.** One Euler step is a two-time map too: $Y_{s,t}(x) = x + (t - s)\, b_s(x)$. Show that it satisfies (3) and (4)
# and violates (2). For small $t - s$ the violation is proportional to a power of $t - s$. Which power? **Write**
# `power = ...`.

# %% tags=["solution"]
### BEGIN SOLUTION
power = 1
### END SOLUTION

# %%
course.check("02.18", power)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Its slope is $b_s(x)$ for every $t$. At $s = t$ that is $b_t(x)$: (4). Its speed is $\partial_t Y_{s,t}(x) = b_s(x)$,
# which goes to $b_t(x)$ as $s \to t$: (3). But (2) asks for $b_t(Y_{s,t}(x))$. The difference is $b_s(x) - b_t\big(x +
# (t - s)\, b_s(x)\big) = -(t - s)\, [\partial_t b + \nabla b\, b] + O((t - s)^2)$: the first power. The bracket is the
# acceleration along a path.
#
# </details>
#
# **5.** The noise is $N(0, \sigma^2)$ with $\sigma > 0$, and the data $N(m, c^2)$ with $c \ge 0$, on the line. For
# which $c$ is one Euler step exact for all $0 \le s < t \le 1$ and all $x$?
#
# <details><summary>Answer</summary>
#
# Only for $c = 0$. Euler's step uses $b_s$ in the place of $v_{s,t}$. Section 1 and exercise 1 hold with
# $S(t)^2 = (1 - t)^2 \sigma^2 + t^2 c^2$. So $v_{s,t} = b_s$ for all $x$ means
# $\frac{S(t) - S(s)}{t - s} = S'(s)$ for all $s$, $t$: $S$ is a linear function of $t$. Then
# $S(t)^2 = \sigma^2 - 2 \sigma^2 t + (\sigma^2 + c^2)\, t^2$ is the square of $\alpha + \beta t$. That needs
# $(2 \sigma^2)^2 = 4\, \sigma^2 (\sigma^2 + c^2)$, so $\sigma^2 c^2 = 0$, and $c = 0$. Then all paths go straight to
# the point $m$. The next cell checks it with a very small $c$.
#
# </details>

# %%
narrow = problems.Gaussian(m, 1e-6, dim=1)
x = torch.randn(100, 1)
assert torch.allclose(narrow.v(0.1, 0.9, x), narrow.velocity(0.1, x), atol=1e-5)
assert not torch.allclose(exact_line.v(0.1, 0.9, x), exact_line.velocity(0.1, x), atol=1e-2)

# %% [markdown]
# ## Next
#
# [03, Three ways to recognise a flow map](03_three_characterizations.ipynb)
# asks how you can recognise such a map: by three equations.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the two-time map, the form
#   $x + (t - s)\, v_{s,t}(x)$ and the tangent condition, as used here.
# - E. Hairer, S. P. Nørsett, G. Wanner, *Solving ordinary differential equations I*, Springer, 1993: the solver behind
#   the exact map (DOP853), and the order of a method.
