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
# # Assignment 2: the tangent condition
#
# **It assumes** lesson 02. **It takes** sixty to ninety minutes. There are 17 points: 10 are graded by tests, 7 by hand.
#
# Write only where a cell says so. Run the notebook from the top before you hand it in (*Kernel, Restart and run all*).
# A check that fails says what is wrong. After you hand in, the same checks run again on other numbers.
#
# A flow map $X_{s,t}(x)$ carries a point $x$, known at time $s$, to where it is at time $t$. In this course a map is
# written as
#
# $$X_{s,t}(x) = x + (t - s)\, v_{s,t}(x) .$$
#
# The function $v_{s,t}(x)$ is the **average slope** of the jump from $s$ to $t$. All times are in $[0, 1]$, and $s \le t$.

# %% [markdown]
# Your own numbers depend on your student number. Write it here.

# %% nbgrader={"grade": false, "grade_id": "a2-student", "locked": false, "schema_version": 3, "solution": true, "task": false}
STUDENT = None
### BEGIN SOLUTION
STUDENT = 1234567
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "a2-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch
from torch.func import jvp

from flowmap_edu import course

r = torch.rand(4, generator=torch.Generator().manual_seed(course.student_seed(STUDENT)), dtype=torch.float64).tolist()
M, C, MY_S = 0.5 + r[0], 0.3 + 0.4 * r[1], 0.2 + 0.3 * r[2]
MY_X = M * MY_S + 0.8 + 0.4 * r[3]

# %% [markdown]
# ## Part 1 (4 points, by hand)
#
# Let $v_{s,t}(x)$ and its derivative $\partial_t v_{s,t}(x)$ be continuous in $(s, t)$. Show two things about
# $X_{s,t}(x) = x + (t - s)\, v_{s,t}(x)$:
#
# 1. a jump of length zero does nothing;
# 2. the tangent condition: $\lim_{s \to t} \partial_t X_{s,t}(x) = v_{t,t}(x)$.
#
# Where do you use that the derivative is continuous? Then say in one sentence what $v_{t,t}$ has to be, for $X$ to be the
# flow map of a velocity $b$.

# %% [markdown] nbgrader={"grade": true, "grade_id": "a2-1", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** (1) At $s = t$ the factor $t - s$ is zero and $v_{t,t}(x)$ is finite, so $X_{t,t}(x) = x$.
#
# (2) The product rule gives $\partial_t X_{s,t}(x) = v_{s,t}(x) + (t - s)\, \partial_t v_{s,t}(x)$. As $s \to t$ the
# derivative $\partial_t v_{s,t}(x)$ stays bounded, since it is continuous, so the second term goes to zero. Since $v$ is
# continuous, the first term goes to $v_{t,t}(x)$.
#
# The flow map of $b$ obeys $\partial_t X_{s,t}(x) = b_t(X_{s,t}(x))$, whose limit is $b_t(x)$. So $v_{t,t} = b_t$ is needed.
#
# **Rubric.** 1 point: $X_{t,t}(x) = x$. 1 point: the product rule. 1 point: the second term vanishes, and why (bounded).
# 1 point: $v_{t,t} = b_t$.

# %% [markdown]
# ## Part 2 (2 points)
#
# Now the other way round: a map is given, and its average slope is wanted. `X(s, t, x)` returns where the points land. Use
# nothing else of `X`. Here $s < t$.


# %% nbgrader={"grade": false, "grade_id": "a2-2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def average_slope(X, s, t, x):
    """v_{s,t}(x), shape (B, 2); s and t have shape (B,), x has shape (B, 2)."""
    ### BEGIN SOLUTION
    return (X(s, t, x) - x) / (t - s)[:, None]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a2-2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a2.2", average_slope, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a2.2", average_slope, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 3 (3 points)
#
# How fast does the landing point move when the end time $t$ moves? Return $\partial_t X_{s,t}(x)$, the start $s$ and the
# point $x$ held fixed. `jvp(f, (t,), (w,))` returns $f(t)$ and the derivative of $f$ along $w$. A finite difference is not
# exact enough.


# %% nbgrader={"grade": false, "grade_id": "a2-3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def landing_speed(X, s, t, x):
    """d/dt X_{s,t}(x), shape (B, 2)."""
    ### BEGIN SOLUTION
    return jvp(lambda end: X(s, end, x), (t,), (torch.ones_like(t),))[1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a2-3", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a2.3", landing_speed, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a2.3", landing_speed, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4 (3 points)
#
# Let the noise be $N(0, 1)$ and the data $N(m, c^2)$ in each coordinate, and $I_t = (1 - t)\, x_0 + t\, x_1$. The deviation
# of $I_t$ is $S(t) = \sqrt{(1 - t)^2 + c^2 t^2}$, and the flow map is known:
#
# $$X_{s,t}(x) = m\, t + \frac{S(t)}{S(s)}\, (x - m\, s) .$$
#
# Write its average slope so that it is right at $s = t$ too. `(X(s, t, x) - x) / (t - s)` gives NaN there. Hint:
# $S(t) - S(s) = \dfrac{S(t)^2 - S(s)^2}{S(t) + S(s)}$, and $t - s$ is a factor of $S(t)^2 - S(s)^2$.


# %% nbgrader={"grade": false, "grade_id": "a2-4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gaussian_slope(s, t, x, m, c):
    """v_{s,t}(x), shape (B, 2); s and t have shape (B,), x has shape (B, 2), m and c are numbers."""
    ### BEGIN SOLUTION
    s, t = s[:, None], t[:, None]
    before, after = ((1 - s) ** 2 + (c * s) ** 2).sqrt(), ((1 - t) ** 2 + (c * t) ** 2).sqrt()
    change = ((s + t) * (1 + c**2) - 2) / (after + before)  # (S(t) - S(s)) / (t - s)
    return m + change / before * (x - m * s)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a2-4", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a2.4", gaussian_slope, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a2.4", gaussian_slope, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 5 (2 points)
#
# The tangent condition holds in the limit. How fast is the limit reached? Take the flow of part 4 with your mean `M` and
# your deviation `C`, and the point `MY_X` at the time `MY_S`. Compute $(v_{s,s+h}(x) - b_s(x)) / h$ for smaller and smaller
# $h$. It has a limit. Call it `limit`; three right digits are enough.

# %% nbgrader={"grade": false, "grade_id": "a2-5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
start, place = torch.tensor([MY_S], dtype=torch.float64), torch.tensor([[MY_X]], dtype=torch.float64)
for h in (0.1, 0.01, 0.001, 0.0001):
    velocity = gaussian_slope(start, start, place, M, C)
    limit = float((gaussian_slope(start, start + h, place, M, C) - velocity) / h)
    print(h, limit)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "a2-5", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a2.5", limit, student=STUDENT)

# %% [markdown]
# ## Part 6 (3 points, by hand)
#
# Three other ways to make a map of a network $w_{s,t}(x)$ are
#
# (a) $X = w_{s,t}(x)$, (b) $X = x + (1 - e^{-(t - s)})\, w_{s,t}(x)$, (c) $X = x + (t - s)^2\, w_{s,t}(x)$.
#
# The network can be any smooth function. For each way: is a jump of length zero the identity for every $w$? What is the
# velocity $\lim_{s \to t} \partial_t X_{s,t}(x)$, and can it be any $b$?

# %% [markdown] nbgrader={"grade": true, "grade_id": "a2-6", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** (a) $X_{t,t}(x) = w_{t,t}(x)$ is the identity only if the network has learned it. Its velocity is
# $\partial_t w_{s,t}(x)$ at $s = t$, which can be any $b$, but it is a derivative of the network and not one of its values.
# (b) $X_{t,t}(x) = x$ for every $w$. The factor $1 - e^{-(t-s)}$ has the derivative 1 at $s = t$, so the velocity is
# $w_{t,t}(x)$, as in the course. (c) $X_{t,t}(x) = x$ for every $w$, but the derivative of $(t - s)^2$ is zero at $s = t$.
# The velocity is zero for every smooth $w$, so no $b$ other than zero can be had.
#
# **Rubric.** 1 point for each way: half for the identity, half for the velocity and what follows.
