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
# # Assignment 4: three losses and their stop-gradients
#
# **It assumes** lessons 04 and 04b. **It takes** 80 to 120 minutes. There are 21 points: 14 are graded by tests, 7 by hand.
#
# Write only where a cell says so. Run the notebook from the top before you hand it in (*Kernel, Restart and run all*).
# A check that fails says what is wrong. After you hand in, the same checks run again on other numbers.
#
# A loss squares a residual. A **stop-gradient** holds a part of the residual fixed: `.detach()` in PyTorch. It changes the
# gradient and never the value. So the checks of this assignment compare values *and* gradients.

# %% [markdown]
# Your own numbers depend on your student number. Write it here.

# %% nbgrader={"grade": false, "grade_id": "a4-student", "locked": false, "schema_version": 3, "solution": true, "task": false}
STUDENT = None
### BEGIN SOLUTION
STUDENT = 1234567
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "a4-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch
from torch.func import jvp

from flowmap_edu import course

g = torch.Generator().manual_seed(course.student_seed(STUDENT))
MY_A, MY_C = 0.5 + torch.rand(2, generator=g, dtype=torch.float64)
MY_C = -MY_C
MY_D = torch.rand(256, generator=g, dtype=torch.float64)  # lengths of jumps, (256,)
MY_X = torch.randn(256, generator=g, dtype=torch.float64)  # points on a line, (256,)

# %% [markdown]
# ## Part 1 (4 points, by hand)
#
# First a model with two parameters, for points $x$ on a line: $v_{s,t}(x) = (a + c\,(t - s))\, x$. Write $d = t - s$.
#
# 1. Show that the Lagrangian residual $r = \partial_t X_{s,t}(x) - v_{t,t}(X_{s,t}(x))$ is $d\,(2c - a^2 - a\,c\,d)\, x$.
# 2. Give $\partial_a r^2$ and $\partial_c r^2$ with nothing held.
# 3. Give both with the second term held: the velocity $v_{t,t}$ *and* the point $X_{s,t}(x)$ at which it is read.

# %% [markdown] nbgrader={"grade": true, "grade_id": "a4-1", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** (1) $X_{s,t}(x) = (1 + a\,d + c\,d^2)\, x$, so $\partial_t X_{s,t}(x) = (a + 2\,c\,d)\, x$. On the diagonal
# $v_{t,t}(y) = a\, y$. Then $r = (a + 2 c d)\,x - a\,(1 + a d + c d^2)\,x = d\,(2 c - a^2 - a c d)\,x$.
#
# (2) $\partial_a r^2 = 2 r \cdot d\,(-2 a - c\, d)\, x$ and $\partial_c r^2 = 2 r \cdot d\,(2 - a\, d)\, x$.
#
# (3) Only $\partial_t X = (a + 2 c d)\, x$ has a gradient: $\partial_a r^2 = 2 r \cdot x$ and
# $\partial_c r^2 = 2 r \cdot 2 d\, x$.
#
# **Rubric.** 1 point: $\partial_t X$ with the factor 2. 1 point: the residual. 1 point: both gradients with nothing held.
# 1 point: both gradients with the target held.

# %% [markdown]
# ## Part 2 (3 points)
#
# Write your four formulas as code. Then compare them with automatic differentiation if you like: the check does that.


# %% nbgrader={"grade": false, "grade_id": "a4-2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def by_hand(a, c, d, x):
    """d/da and d/dc of r^2 with nothing held, then with the target held; four tensors of shape (B,), as a, c, d and x."""
    ### BEGIN SOLUTION
    r = d * (2 * c - a**2 - a * c * d) * x
    return 2 * r * d * (-2 * a - c * d) * x, 2 * r * d * (2 - a * d) * x, 2 * r * x, 4 * r * d * x
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a4-2", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a4.2", by_hand, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a4.2", by_hand, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 3 (3 points)
#
# From here on `X` is a `FlowMap` with a network inside. `X(s, t, x)` is the map, `X.v(s, t, x)` its average slope. Write the
# Lagrangian loss $|\partial_t X_{s,t}(x) - v_{t,t}(X_{s,t}(x))|^2$ with the second term held as in part 1.


# %% nbgrader={"grade": false, "grade_id": "a4-3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lsd(X, s, t, x):
    """One value a sample, shape (B,); s and t have shape (B,), x has shape (B, 2)."""
    ### BEGIN SOLUTION
    landed, speed = jvp(lambda end: X(s, end, x), (t,), (torch.ones_like(t),))
    target = X.v(t, t, landed.detach()).detach()
    return (speed - target).square().sum(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a4-3", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a4.3", lsd, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a4.3", lsd, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4 (3 points)
#
# Write the Eulerian loss $|\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x)|^2$ with the whole second term held.


# %% nbgrader={"grade": false, "grade_id": "a4-4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def esd(X, s, t, x):
    """One value a sample, shape (B,); s and t have shape (B,), x has shape (B, 2)."""
    ### BEGIN SOLUTION
    clock = jvp(lambda start: X(start, t, x), (s,), (torch.ones_like(s),))[1]
    pushed = jvp(lambda point: X(s, t, point), (x,), (X.v(s, s, x).detach(),))[1]
    return (clock + pushed.detach()).square().sum(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a4-4", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a4.4", esd, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a4.4", esd, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 5 (3 points)
#
# A jump over $u = h\,s + (1 - h)\,t$ has the average slope $(1 - h)\, v_{s,u}(x) + h\, v_{u,t}(X_{s,u}(x))$. Write the
# semigroup loss $|v_{s,t}(x) - [\ldots]|^2$ with this bracket held. Here $s < u < t$, and $h$ follows from the three times.


# %% nbgrader={"grade": false, "grade_id": "a4-5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def psd(X, s, u, t, x):
    """One value a sample, shape (B,); s, u and t have shape (B,), x has shape (B, 2)."""
    ### BEGIN SOLUTION
    h = ((t - u) / (t - s))[:, None]
    bracket = (1 - h) * X.v(s, u, x) + h * X.v(u, t, X(s, u, x))
    return (X.v(s, t, x) - bracket.detach()).square().sum(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a4-5", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a4.5", psd, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a4.5", psd, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 6 (2 points)
#
# Back to the model with two parameters. Take your $a$ and $c$, `MY_A` and `MY_C`, and the mean of $r^2$ over your 256 jumps
# `MY_D` and points `MY_X`. Its gradient $(\partial_a, \partial_c)$ with nothing held is one vector, the one with the target
# held is another. What is the cosine of the angle between them? Call it `cosine`.

# %% nbgrader={"grade": false, "grade_id": "a4-6-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
gradients = by_hand(MY_A.expand(256), MY_C.expand(256), MY_D, MY_X)
full, held = torch.stack(gradients[:2]).mean(dim=1), torch.stack(gradients[2:]).mean(dim=1)
cosine = float(full @ held / (full.norm() * held.norm()))
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "a4-6", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a4.6", cosine, student=STUDENT)

# %% [markdown]
# ## Part 7 (3 points, by hand)
#
# The loss has one value, and part 6 shows that its two gradients point in different directions. (a) A step along the
# negative gradient with the target held: does it always make $r^2$ smaller? Use your cosine, or an argument. (b) The two
# gradients are zero together where $r = 0$ everywhere. Why? (c) What is saved when the target is held? Name one saving.

# %% [markdown] nbgrader={"grade": true, "grade_id": "a4-7", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** (a) No. To first order a step $-\eta\, g$ changes the mean of $r^2$ by $-\eta\, \nabla \cdot g$, with
# $\nabla$ the full gradient. Where the cosine is negative, the change is positive: the loss grows. (Of 500
# student numbers that we tried, 191 had a negative cosine. With a positive one, the argument counts.) (b) Both gradients are
# sums of $2 r$ times a derivative, so both vanish if every $r$ is zero. (c) No backward pass through the target: less time, and its intermediate values are not kept in memory;
# for a target with derivatives in it, no second derivatives are needed. Or: the loss is then a least squares in the first
# term, which is linear in $v$.
#
# **Rubric.** 1 point: (a) with an argument. 1 point: (b). 1 point: (c), one saving that is true.
