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
# # Assignment 1: interpolants and their velocity
#
# **It assumes** lesson 01. **It takes** sixty to ninety minutes. There are 16 points: 10 are graded by tests, 6 by hand.
#
# Write only where a cell says so. Run the notebook from the top before you hand it in (*Kernel, Restart and run all*).
# A check that fails says what is wrong. After you hand in, the same checks run again on other numbers.
#
# Data are points $x_1$ in the plane, spread evenly over two squares, $[-1, 0]^2$ and $[0, 1]^2$. Noise is
# $x_0 \sim N(0, \sigma^2 I)$ with $\sigma = 1/\sqrt 3$. Both are drawn independently.

# %% [markdown]
# Your own time and place depend on your student number. Write it here.

# %% nbgrader={"grade": false, "grade_id": "a1-student", "locked": false, "schema_version": 3, "solution": true, "task": false}
STUDENT = None
### BEGIN SOLUTION
STUDENT = 1234567
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "a1-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch

from flowmap_edu import course

SIGMA = 1 / math.sqrt(3)
g = torch.Generator().manual_seed(course.student_seed(STUDENT))
MY_TIME = 0.2 + 0.4 * torch.rand(1, generator=g, dtype=torch.float64)  # (1,)
MY_PLACE = 0.15 * torch.randn(1, 2, generator=g, dtype=torch.float64)  # (1, 2)

# %% [markdown]
# ## Part 1 (4 points, by hand)
#
# Let $I_t = (1 - t)\, x_0 + t\, x_1$ and $b_t(x) = E[\dot I_t \mid I_t = x]$. Show that, for $0 \le t < 1$,
#
# $$b_t(x) = \frac{E[x_1 \mid I_t = x] - x}{1 - t} .$$
#
# Say where you use that $I_t = x$ is given.

# %% [markdown] nbgrader={"grade": true, "grade_id": "a1-1", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** The derivative of the path is $\dot I_t = x_1 - x_0$. Given $I_t = x$ we have
# $(1 - t)\, x_0 = x - t\, x_1$, so $x_0 = (x - t\, x_1) / (1 - t)$. Then
#
# $$\dot I_t = x_1 - \frac{x - t\, x_1}{1 - t} = \frac{(1 - t)\, x_1 - x + t\, x_1}{1 - t} = \frac{x_1 - x}{1 - t} .$$
#
# Here $x$ and $t$ are fixed by the condition. The conditional expectation is linear, so it acts on $x_1$ alone.
#
# **Rubric.** 1 point: $\dot I_t = x_1 - x_0$. 1 point: $x_0$ is replaced, and the condition is named. 1 point: the algebra.
# 1 point: the expectation is taken by linearity, with $x$ and $t$ held fixed.

# %% [markdown]
# ## Part 2 (2 points)
#
# Another path is $I_t = \cos(\pi t / 2)\, x_0 + \sin(\pi t / 2)\, x_1$. Return $I_t$ and $\dot I_t$.


# %% nbgrader={"grade": false, "grade_id": "a1-2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def curved_path(t, x0, x1):
    """I_t and its time derivative, shape (B, 2) each; t has shape (B,), x0 and x1 have shape (B, 2)."""
    ### BEGIN SOLUTION
    a, b = torch.cos(math.pi / 2 * t[:, None]), torch.sin(math.pi / 2 * t[:, None])
    return a * x0 + b * x1, math.pi / 2 * (a * x1 - b * x0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a1-2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a1.2", curved_path, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a1.2", curved_path, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 3 (4 points)
#
# From here on the path is straight again. Write the velocity $b_t(x)$ of the two squares for $0 < t \le 0.6$ (later its
# formulas lose digits).
#
# Two hints. Given $I_t = x$ and the square, the coordinates of $x_1$ are independent. Each has the density of
# $N(x / t, ((1 - t)\, \sigma / t)^2)$, cut off at the ends of its side: with $z = (y - x / t) / s$, $s = (1 - t)\,\sigma / t$
# at both ends $y$, its mass is $\Phi(z_1) - \Phi(z_0)$ and its mean is
# $x / t - s\, (\varphi(z_1) - \varphi(z_0)) / (\Phi(z_1) - \Phi(z_0))$. `torch.special.ndtr` is $\Phi$.


# %% nbgrader={"grade": false, "grade_id": "a1-3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def velocity(t, x):
    """b_t(x), shape (B, 2); t has shape (B,), x has shape (B, 2), both float64."""
    ### BEGIN SOLUTION
    total, weighted = 0, 0
    for start in (-1.0, 0.0):
        mass, mean = side(t, x, start)
        share = mass.prod(dim=1, keepdim=True)  # (B, 1)
        total, weighted = total + share, weighted + share * mean
    return (weighted / total - x) / (1 - t)[:, None]


def side(t, x, start):
    """The mass and the mean of each coordinate of x1 in the square that begins at start, shape (B, 2) each."""
    centre, s = x / t[:, None], ((1 - t) * SIGMA / t)[:, None]
    z0, z1 = (start - centre) / s, (start + 1 - centre) / s
    mass = torch.special.ndtr(z1) - torch.special.ndtr(z0)
    change = (torch.exp(-z1.square() / 2) - torch.exp(-z0.square() / 2)) / math.sqrt(2 * math.pi)
    return mass, centre - s * change / mass
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a1-3", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
course.graded("a1.3", velocity, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a1.3", velocity, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4 (2 points)
#
# A point is at `MY_PLACE` at the time `MY_TIME`. How likely is it that its $x_1$ is in the upper right square? Call the
# number `upper_right`.

# %% nbgrader={"grade": false, "grade_id": "a1-4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
masses = [side(MY_TIME, MY_PLACE, start)[0].prod() for start in (-1.0, 0.0)]
upper_right = masses[1] / sum(masses)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "a1-4", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a1.4", upper_right, student=STUDENT)

# %% [markdown]
# ## Part 5 (2 points)
#
# The loss $E|\dot I_t - v(I_t)|^2$ is smallest at $v = b_t$. How small is it? At the time `MY_TIME`, draw 100,000 pairs
# and measure $E|\dot I_t - b_t(I_t)|^2 / E|\dot I_t|^2$. Call the number `unexplained`.

# %% nbgrader={"grade": false, "grade_id": "a1-5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
n = 100_000
x0 = SIGMA * torch.randn(n, 2, generator=g, dtype=torch.float64)
x1 = torch.rand(n, 2, generator=g, dtype=torch.float64) - torch.randint(2, (n, 1), generator=g)
moves = x1 - x0
rest = moves - velocity(MY_TIME.expand(n), (1 - MY_TIME) * x0 + MY_TIME * x1)
unexplained = float(rest.square().sum() / moves.square().sum())
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "a1-5", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a1.5", unexplained, student=STUDENT)

# %% [markdown]
# ## Part 6 (2 points, by hand)
#
# The loss of part 5 is not zero, although $b_t$ is exact. Explain why in two sentences. What would a smaller value say
# about the paths?

# %% [markdown] nbgrader={"grade": true, "grade_id": "a1-6", "locked": false, "points": 2, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** Several paths with different $\dot I_t$ pass through the same place $x$ at the same time $t$, and $b_t(x)$
# is only their mean; the loss measures their spread around it. A smaller value would say that paths that meet have nearly the
# same direction, so that fewer of them cross.
#
# **Rubric.** 1 point: several pairs give the same $I_t$, and the velocity is their mean. 1 point: the smaller the value, the
# less the paths differ where they meet.
