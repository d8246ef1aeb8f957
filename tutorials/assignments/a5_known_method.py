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
# # Assignment 5: a known method as a row of the table
#
# **It assumes** lesson 07. **It takes** 80 to 120 minutes. There are 18 points: 11 are graded by tests, 7 by hand.
#
# Write only where a cell says so. Run the notebook from the top before you hand it in (*Kernel, Restart and run all*).
# A check that fails says what is wrong. After you hand in, the same checks run again on other maps and numbers.
#
# You get one of three published methods. You write its loss as the publication does, find the substitution that turns its
# symbols into ours, name its row of the table, and show that both give the same value and the same gradient.

# %% [markdown]
# Your method depends on your student number. Write it here.

# %% nbgrader={"grade": false, "grade_id": "a5-student", "locked": false, "schema_version": 3, "solution": true, "task": false}
STUDENT = None
### BEGIN SOLUTION
STUDENT = 1234567
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "a5-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
from dataclasses import replace

import torch
from torch.func import jvp

from flowmap_edu import course
from flowmap_edu.course.given.drawn_method import own
from flowmap_edu.losses import Batch, Diagonal, Jumps
from flowmap_edu.methods import METHODS, loss

METHOD, MY_MAP, MY_BATCH = own(course.student_seed(STUDENT))  # MY_BATCH is (s, u, t, x0, x1)
print("Your method:", METHOD)


def jumps_only(s, u, t, x, dx):
    """A batch without a diagonal part: jumps from x = I_s, whose slope is dx = dI_s."""
    return Batch(Diagonal(s[:0], x[:0], x[:0]), Jumps(s, u, t, x, dx))


# %% [markdown]
# ## The three sources
#
# Noise is $x_0 \sim N(0, 1)$, data are $x_1$, and the path here is $I_s = (1 - s)\, x_0 + s\, x_1$. In every source `sg` holds
# its argument fixed. Read the one that is yours.
#
# **Mean flow** (Geng, Deng, Bai, Kolter & He 2025, arXiv 2505.13447). Time runs from data at 0 to noise at 1:
# $z_\tau = (1 - \tau)\, x_1 + \tau\, x_0$, with the velocity $v = x_0 - x_1$. The network $u(z, r, \tau)$ is the average
# velocity between $r \le \tau$. All pairs of times are trained. The loss is
#
# $$\left| u(z_\tau, r, \tau) - \mathrm{sg}\!\left( v - (\tau - r)\, \tfrac{d}{d\tau} u(z_\tau, r, \tau) \right) \right|^2,
# \qquad \tfrac{d}{d\tau} u = \nabla_z u\; v + \partial_\tau u .$$
#
# Its adaptive weight is left out in this assignment. Use $\tau = 1 - s$ and $r = 1 - t$; $u$ in the middle is not used.
#
# **Consistency training** (Song, Dhariwal, Chen & Sutskever 2023, arXiv 2303.01469). A noisy point is
# $x_\tau = x_1 + \tau\, x_0$, and $\tau$ runs from 0 to infinity. The network $f(x_\tau, \tau)$ says where the data are.
# Neighbours on a grid of times are compared, $\tau' < \tau$, with the same $x_0$ and $x_1$:
#
# $$\left| f(x_1 + \tau\, x_0, \tau) - \mathrm{sg}\, f(x_1 + \tau'\, x_0, \tau') \right|^2 .$$
#
# Use $\tau = (1 - s) / s$, $\tau' = (1 - u) / u$, and $t = 1$.
#
# **Shortcut model** (Frans, Hafner, Levine & Abbeel 2024, arXiv 2410.12557). Time runs as here. The network $s(x, t, d)$ is
# the slope of a step of length $d$ from time $t$. Lengths are $1, 1/2, 1/4, \dots$. One long step learns from two short ones:
#
# $$\left| s(x_t, t, 2 d) - \mathrm{sg}\!\left( \tfrac12 s(x_t, t, d) + \tfrac12 s(x', t + d, d) \right) \right|^2,
# \qquad x' = x_t + d\; s(x_t, t, d) .$$
#
# In this assignment the network itself makes the short steps. Their $t$ is our $s$, and $d = (t - s) / 2$; $u$ is half way.

# %% [markdown]
# ## Part 1 (4 points, by hand)
#
# Write the source's network by our $v_{s,t}(x)$ or $X_{s,t}(x)$: the substitution. Show that your network, at the source's
# point, reads our map at $I_s$. Then say which of our three conditions the loss squares.

# %% [markdown] nbgrader={"grade": true, "grade_id": "a5-1", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** *Mean flow.* $u(z, r, \tau) = -v_{1-\tau,\, 1-r}(z)$: the average velocity over the same piece of the path,
# in the other direction of time. With $s = 1 - \tau$: $z_\tau = s\, x_1 + (1 - s)\, x_0 = I_s$ and $v = -\dot I_s$. Since
# $d/d\tau = -d/ds$, the loss is $|v_{s,t} - \mathrm{sg}(\dot I_s + (t - s)(\partial_s v_{s,t} + \nabla v_{s,t}\, \dot I_s))|^2$:
# the Eulerian condition, with the sample's slope in the place of the velocity.
#
# *Consistency training.* $f(x_\tau, \tau) = X_{s,1}(s\, x_\tau)$, and $s\, x_\tau = s\, x_1 + (1 - s)\, x_0 = I_s$. In the same
# way the second term is $X_{u,1}(I_u)$, and $I_u = I_s + (u - s)\, \dot I_s$ is one step along the sample's slope. The loss
# compares one jump to time 1 with two: the semigroup condition.
#
# *Shortcut model.* $s(x, t, d) = v_{t,\, t+d}(x)$. Time runs as here, so $x_t$ is $I_t$. $x' = X_{t,\, t+d}(x_t)$. The loss is
# the semigroup condition in $v$ with $h = 1/2$.
#
# **Rubric.** 2 points: the substitution, with both times right. 1 point: the point is $I_s$. 1 point: the condition, with a
# reason.

# %% [markdown]
# ## Part 2 (4 points)
#
# Write the loss as in your source: first its network, made of `X.v(s, t, x)` or `X(s, t, x)` by your substitution, then its
# formula in its own symbols.


# %% nbgrader={"grade": false, "grade_id": "a5-2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def theirs(X, s, u, t, x0, x1):
    """The source's loss, one value a sample, shape (B,); s, u, t have shape (B,), x0 and x1 have shape (B, 2)."""
    ### BEGIN SOLUTION
    return formula(X, s, u, t, x0, x1).square().sum(dim=1)


def formula(X, s, u, t, x0, x1, sg=torch.detach):
    """The difference that the source squares, shape (B, 2)."""
    if METHOD == "mean flow":
        tau, r, v = 1 - s, 1 - t, x0 - x1
        z = (1 - tau)[:, None] * x1 + tau[:, None] * x0
        average, change = jvp(lambda z, tau: -X.v(1 - tau, 1 - r, z), (z, tau), (v, torch.ones_like(tau)))
        return average - sg(v - (tau - r)[:, None] * change)
    if METHOD == "consistency training":
        noisy, less = x1 + ((1 - s) / s)[:, None] * x0, x1 + ((1 - u) / u)[:, None] * x0
        return X(s, t, s[:, None] * noisy) - sg(X(u, t, u[:, None] * less))
    d = (t - s) / 2
    x = (1 - s)[:, None] * x0 + s[:, None] * x1
    first = X.v(s, s + d, x)
    second = X.v(s + d, t, x + d[:, None] * first)
    return X.v(s, t, x) - sg(first / 2 + second / 2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a5-2", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
course.graded("a5.2", theirs, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a5.2", theirs, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 3 (2 points)
#
# Make the row of your method. Begin with `METHODS["lsd"]` and change it by `replace(METHODS["lsd"], condition=..., ...)`. Do
# not read the finished row of the table. `help(type(METHODS["lsd"]))` lists the choices. Two hints:
#
# - `weight` is "one" where the source compares slopes, and "landing" where it compares the points where a jump lands;
# - `times` "grid" goes with `middle="next"`. Leave the other settings as they are.

# %% nbgrader={"grade": false, "grade_id": "a5-3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
ROW = {
    "mean flow": replace(METHODS["lsd"], condition="eulerian", velocity="sample", stopgrad="semi"),
    "consistency training": replace(
        METHODS["lsd"], condition="semigroup", velocity="sample", times="grid", middle="next", weight="landing"
    ),
    "shortcut model": replace(METHODS["lsd"], condition="semigroup", times="dyadic"),
}[METHOD]
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "a5-3-choices", "locked": true, "schema_version": 3, "solution": false, "task": false}
CHOICES = [ROW.condition, ROW.velocity, ROW.stopgrad, ROW.times]

# %% nbgrader={"grade": true, "grade_id": "a5-3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a5.3", CHOICES, student=STUDENT)

# %% [markdown]
# ## Part 4 (3 points)
#
# Now the same loss by your row: `loss(X, batch, ROW)` with `batch = jumps_only(s, u, t, x, dx)`. The check compares value and
# gradient with the source's formula.


# %% nbgrader={"grade": false, "grade_id": "a5-4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ours(X, s, u, t, x0, x1):
    """The loss of the row, one value a sample, shape (B,)."""
    ### BEGIN SOLUTION
    x = (1 - s)[:, None] * x0 + s[:, None] * x1
    return loss(X, jumps_only(s, u, t, x, x1 - x0), ROW)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a5-4", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a5.4", ours, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a5.4", ours, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 5 (2 points)
#
# What does `sg` do? Take the mean of your source's loss over `MY_BATCH` for the map `MY_MAP`. Compute its gradient in the
# parameters `MY_MAP.slope.parameters()` twice: as it is, and without `sg`. Call the cosine of the angle between the two
# gradients `cosine`.

# %% nbgrader={"grade": false, "grade_id": "a5-5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
gradients = []
for sg in (torch.detach, lambda target: target):
    value = formula(MY_MAP, *MY_BATCH, sg=sg).square().sum(dim=1).mean()
    parts = torch.autograd.grad(value, list(MY_MAP.slope.parameters()))
    gradients.append(torch.cat([part.flatten() for part in parts]))
held, full = gradients
cosine = float(held @ full / (held.norm() * full.norm()))
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "a5-5", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a5.5", cosine, student=STUDENT)

# %% [markdown]
# ## Part 6 (3 points, by hand)
#
# (a) Print `METHODS` of your method ("meanflow", "ct-discrete" or "shortcut") and read `departs`. Name one thing in which the
# source's practice is not your row. (b) Part 4 compares gradients on random maps and times. Why is that more than comparing
# values? (c) Your loss reads the sample's slope, or the map's own velocity. What does that mean for the mean over many
# samples: is the target exact in each sample, or only in the mean?

# %% [markdown] nbgrader={"grade": true, "grade_id": "a5-6", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** (a) *Mean flow*: adaptive weight, logit-normal times, guidance. *Consistency training*: the grid is
# refined during the training; the row has 64 equal steps. *Shortcut model*: the short steps are made by the moving average,
# and three quarters of the batch are flow matching. (b) Losses with different stop-gradients have the same value, but another
# gradient, and the gradient is what a training sees. (c) *Mean flow, consistency training*: the sample's slope is right only
# in the mean, $E[\dot I_s \mid I_s] = b_s(I_s)$. That serves where the gradient is linear in it. *Shortcut model*: no sample's
# slope is read in the jumps; the velocity comes from the network's own short steps, which flow matching has to make right.
#
# **Rubric.** 1 point each. (a) Any true difference counts.
