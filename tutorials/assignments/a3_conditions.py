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
# # Assignment 3: three conditions, and which maps are flow maps
#
# **It assumes** lesson 03. **It takes** 75 to 110 minutes. There are 20 points: 13 are graded by tests, 7 by hand.
#
# Write only where a cell says so. Run the notebook from the top before you hand it in (*Kernel, Restart and run all*).
# A check that fails says what is wrong. After you hand in, the same checks run again on other maps and numbers.
#
# A map `X(s, t, x)` takes points $x$ at times $s$ to points at times $t$. You get five maps, A to E. Some of them are the
# flow map of a velocity, some are not. You do not see their formulas. You can only ask the maps where points land, and
# differentiate them.

# %% [markdown]
# Your own maps depend on your student number. Write it here.

# %% nbgrader={"grade": false, "grade_id": "a3-student", "locked": false, "schema_version": 3, "solution": true, "task": false}
STUDENT = None
### BEGIN SOLUTION
STUDENT = 1234567
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "a3-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch
from torch.func import jvp

from flowmap_edu import course
from flowmap_edu.course.given.candidates import candidates, known_to_be_none

A, B, C, D, E = candidates(course.student_seed(STUDENT))
F = known_to_be_none(course.student_seed(STUDENT))
g = torch.Generator().manual_seed(course.student_seed(STUDENT))
MY_S, MY_T = torch.rand(512, 2, generator=g, dtype=torch.float64).sort(dim=1).values.unbind(1)  # (512,) each
MY_X = torch.randn(512, 2, generator=g, dtype=torch.float64)  # (512, 2)

# %% [markdown]
# ## Part 1 (4 points, by hand)
#
# A flow map obeys the semigroup condition $X_{s,t}(X_{r,s}(x)) = X_{r,t}(x)$ for $r \le s \le t$. Derive the Eulerian
# condition
#
# $$\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, b_s(x) = 0$$
#
# from it. Hint: the right side does not depend on $s$. Say at which point you evaluate, and where the tangent condition is
# used.

# %% [markdown] nbgrader={"grade": true, "grade_id": "a3-1", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** Differentiate both sides in $s$. The right side gives 0. On the left $s$ stands in two places, so the
# chain rule gives two terms:
#
# $$(\partial_s X_{s,t})(X_{r,s}(x)) + \nabla X_{s,t}(X_{r,s}(x))\; \partial_s X_{r,s}(x) = 0 .$$
#
# Now let $r \to s$. Then $X_{r,s}(x) \to x$, and by the tangent condition $\partial_s X_{r,s}(x) \to b_s(x)$. This is the
# Eulerian condition at the point $x$.
#
# **Rubric.** 1 point: the right side does not depend on $s$. 1 point: two terms by the chain rule, with the right
# arguments. 1 point: $r \to s$, where the point becomes $x$. 1 point: the tangent condition is named for $b_s(x)$.

# %% [markdown]
# ## Part 2 (2 points)
#
# The velocity of a map is $b_t(x) = \partial_t X_{s,t}(x)$ at $s = t$. `jvp(f, (t,), (w,))` returns $f(t)$ and the derivative
# of $f$ along $w$.


# %% nbgrader={"grade": false, "grade_id": "a3-2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def velocity(X, t, x):
    """b_t(x), shape (B, 2); t has shape (B,), x has shape (B, 2)."""
    ### BEGIN SOLUTION
    return jvp(lambda end: X(t, end, x), (t,), (torch.ones_like(t),))[1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a3-2", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a3.2", velocity, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a3.2", velocity, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 3 (2 points)
#
# Return the Lagrangian residual $\partial_t X_{s,t}(x) - b_t(X_{s,t}(x))$, where $b$ is the velocity of part 2.


# %% nbgrader={"grade": false, "grade_id": "a3-3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lagrangian(X, s, t, x):
    """The residual, shape (B, 2); s and t have shape (B,), x has shape (B, 2)."""
    ### BEGIN SOLUTION
    landed, speed = jvp(lambda end: X(s, end, x), (t,), (torch.ones_like(t),))
    return speed - velocity(X, t, landed)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a3-3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a3.3", lagrangian, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a3.3", lagrangian, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4 (3 points)
#
# Return the Eulerian residual $\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, b_s(x)$. `jvp` takes several arguments too:
# `jvp(f, (s, x), (w, y))`.


# %% nbgrader={"grade": false, "grade_id": "a3-4-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def eulerian(X, s, t, x):
    """The residual, shape (B, 2); s and t have shape (B,), x has shape (B, 2)."""
    ### BEGIN SOLUTION
    along = (torch.ones_like(s), velocity(X, s, x))
    return jvp(lambda start, point: X(start, t, point), (s, x), along)[1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a3-4", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a3.4", eulerian, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a3.4", eulerian, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 5 (2 points)
#
# Return the semigroup residual $X_{u,t}(X_{s,u}(x)) - X_{s,t}(x)$ for any stop $s \le u \le t$.


# %% nbgrader={"grade": false, "grade_id": "a3-5-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def semigroup(X, s, u, t, x):
    """The residual, shape (B, 2); s, u and t have shape (B,), x has shape (B, 2)."""
    ### BEGIN SOLUTION
    return X(u, t, X(s, u, x)) - X(s, t, x)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a3-5", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a3.5", semigroup, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a3.5", semigroup, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 6 (2 points)
#
# Which of your maps A, B, C, D, E are flow maps of their own velocity? Measure the residuals at your jumps `MY_S`, `MY_T`,
# `MY_X`. Call the answer `flow_maps`: the letters in alphabetical order in one word, such as `"ACE"`.

# %% nbgrader={"grade": false, "grade_id": "a3-6-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
flow_maps = ""
for letter, X in zip("ABCDE", (A, B, C, D, E), strict=True):
    found = [f(X, MY_S, MY_T, MY_X).square().sum(1).mean().sqrt() for f in (lagrangian, eulerian)]
    found.append(semigroup(X, MY_S, (MY_S + MY_T) / 2, MY_T, MY_X).square().sum(1).mean().sqrt())
    print(letter, [f"{float(size):.1e}" for size in found])
    flow_maps += letter if max(found) < 1e-8 else ""
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "a3-6", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a3.6", flow_maps, student=STUDENT)

# %% [markdown]
# ## Part 7 (2 points)
#
# The map `F` is no flow map. How large is its Lagrangian residual $r$ at your jumps? Call the root of the mean of $|r|^2$
# `size`. $|r|^2$ is the sum over the two coordinates.

# %% nbgrader={"grade": false, "grade_id": "a3-7-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
### BEGIN SOLUTION
size = float(lagrangian(F, MY_S, MY_T, MY_X).square().sum(dim=1).mean().sqrt())
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "a3-7", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
course.graded("a3.7", size, student=STUDENT)

# %% [markdown]
# ## Part 8 (3 points, by hand)
#
# One of your flow maps does not move any point. It obeys all three conditions. So the three conditions alone do not tell
# how data are made. What is missing, and which loss supplies it? Then compare the costs: what has to be computed for each of
# the three residuals?

# %% [markdown] nbgrader={"grade": true, "grade_id": "a3-8", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** The conditions say that $X$ is the flow map of its own velocity $v_{t,t}$, whatever that is; here it is
# zero. What is missing is $v_{t,t} = b_t$, the velocity of the data. Flow matching on the diagonal supplies it:
# $E|v_{t,t}(I_t) - \dot I_t|^2$. The Lagrangian residual needs a derivative in $t$ and a velocity where the map lands; the
# Eulerian one a derivative in $s$ and in $x$ along the velocity; the semigroup one no derivative, but three evaluations of
# the map.
#
# **Rubric.** 1 point: the velocity on the diagonal is free. 1 point: flow matching fixes it. 1 point: the three costs.
