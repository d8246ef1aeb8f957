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
# # Three ways to recognise a flow map
#
# After this lesson you can
#
# - derive three equations that a flow map obeys, and show that each of them is enough,
# - draw what each says: move the end, move the start, stop on the way,
# - measure by how much a map breaks them, at every pair of times,
# - read from these tables in which way a map is wrong, and say what they cannot tell you.
#
# **It assumes** lessons [01](01_from_noise_to_data.ipynb) (velocity, Euler's method) and
# [02](02_the_flow_map_and_its_tangent.ipynb) (the map $X_{s,t}$, its slope $v_{s,t}$, the tangent condition, `jvp`).
# All symbols are on the [notation card](notation.md).
#
# **It takes** about ninety minutes: fifty to read, forty to write. It runs in about two minutes on two CPU
# cores. Nothing is trained.

# %%
import math

import torch
from torch.func import jvp

import flowmap_edu
from flowmap_edu import FlowMap, course, losses, metrics, problems
from flowmap_edu.viz import figures_03 as figures
from flowmap_edu.viz import plots, widgets

# %%
plots.use_style()
torch.set_default_dtype(torch.float64)  # to tell a small number from zero

# %% [markdown]
# ## 1. How do you recognise a flow map?
#
# The flow map of a velocity $b$ carries a point along its path: for every solution of $\dot x_t = b_t(x_t)$,
#
# $$X_{s,t}(x_s) = x_t .$$
#
# To check this you have to solve for paths. What can you do if you only have a candidate: a function of $(s, t, x)$
# that somebody gives you? Lesson 02 has one test, the tangent condition: write $X_{s,t}(x) = x + (t - s)\, v_{s,t}(x)$
# and see whether $v_{t,t} = b_t$. A flow map passes it. But so does this *suspect*, one Euler step of any length:
#
# $$X_{s,t}(x) = x + (t - s)\, b_s(x) .$$
#
# We follow the suspect through this lesson, on two problems: two modes on the line, and the checkerboard.

# %%
modes, board = problems.two_modes(), problems.Checkerboard()
X_line, X_board = FlowMap(modes.v), FlowMap(board.v)  # the exact maps
suspect_line = FlowMap(lambda s, _, x: modes.velocity(s, x))
suspect_board = FlowMap(lambda s, _, x: board.velocity(s, x))
some = torch.randn(100, 2, generator=torch.Generator().manual_seed(0)) / 2
assert torch.allclose(X_board.velocity(0.4, some), board.velocity(0.4, some))  # v_{t,t} = b_t
assert torch.allclose(suspect_board.velocity(0.4, some), board.velocity(0.4, some))  # the suspect passes too

# %% tags=["figure"]
starts = torch.tensor([[-1.28, -0.27], [0.9, 0.3], [-0.34, -0.9], [0.1, 1.1], [0.5, -1.0]])
figures.traces((X_line, suspect_line), (X_board, suspect_board), starts)

# %% [markdown]
# **What to notice.** Each start (open circle) has two traces, one of the flow map (blue) and one of the suspect
# (orange): the landing points $X_{0,t}(x)$ while $t$ grows from 0 to 1. They leave with the same velocity, as the
# tangent condition demands. They end far apart: the suspect sends every start to the centre. The tangent condition
# looks at a map only where $s = t$. We need equations for $s < t$.
#
# **Try.** Use the suspect from $s = 0.5$ instead of 0, starting at points of the true paths. Is it nearer to the exact
# ends?
#
# <details><summary>Answer</summary>
#
# It is. Two things change together: less time is left, and the step reads the velocity at a later point of the
# path. The two numbers do not separate them. In code, for the distance of the ends from the exact ones:
#
#     x = 0.6 * torch.randn(200, 1)
#     middle, end = X_line(0.0, 0.5, x), X_line(0.0, 1.0, x)
#     print((suspect_line(0.0, 1.0, x) - end).square().mean().sqrt())
#     print((suspect_line(0.5, 1.0, middle) - end).square().mean().sqrt())
#
# </details>
#
# ## 2. What if the end moves?
#
# Hold the start $(s, x)$ and let $t$ run. Then the landing point $X_{s,t}(x)$ moves along the path, with the velocity
# of the flow where it is. With $v_{t,t} = b_t$,
#
# $$\boxed{\;\partial_t X_{s,t}(x) = v_{t,t}\big(X_{s,t}(x)\big)\;} \qquad \text{(Lagrangian)}$$
#
# The name comes from the view of a traveller who moves with the flow.
#
# **It is enough.** Suppose that a candidate obeys the equation for all $t$. As a function of $t$, $X_{s,t}(x)$ is a
# curve that starts at $X_{s,s}(x) = x$ and obeys $\dot x_t = v_{t,t}(x_t)$. If $v_{t,t}$ is smooth, only one curve
# does that: the path. So the candidate is the flow map of its own diagonal.
#
# Both sides are computed from the candidate alone. No path is solved for. The *residual* is the left side minus the
# right side.
#
# **Write** `lagrangian(X, s, t, x)`, the residual: one vector a sample, shape (B, 2). `s` and `t` have shape (B,), `x`
# has shape (B, 2). You may use `jvp` as in lesson 02, with the direction `torch.ones_like(t)`: each sample has its own
# time. Or use the library's `X.partial_t(s, t, x)`, which returns the same pair: the landing point and its derivative
# in $t$. `X.velocity(t, y)` is $v_{t,t}(y)$.


# %% tags=["solution"]
def lagrangian(X, s, t, x):
    """How fast the landing point moves, less the velocity found there; shape (B, 2)."""
    ### BEGIN SOLUTION
    landed, moves = jvp(lambda t: X(s, t, x), (t,), (torch.ones_like(t),))
    return moves - X.velocity(t, landed)
    ### END SOLUTION


# %%
course.check("03.1", lagrangian)

# %% [markdown]
# The library's `losses.lagrangian` is the square of this residual. (Lesson 04 explains its option `stopgrad`.)

# %%
s, t = torch.full((100,), 0.2), torch.full((100,), 0.7)
assert torch.allclose(
    lagrangian(suspect_board, s, t, some).square().sum(1), losses.lagrangian(suspect_board, s, t, some, stopgrad="none")
)

# %% [markdown]
# **Predict.** Hold the suspect's start and let $t$ grow. What does the speed $\partial_t X_{s,t}(x)$ of its landing
# point do?

# %%
prediction = None  # "grows", "falls" or "stays"

# %%
course.compare(
    prediction,
    "stays"
    if torch.equal(*(suspect_line.partial_t(0.2, t, torch.tensor([[0.3]]))[1] for t in (0.4, 0.8)))
    else "changes",
    wrong={
        "grows": "For that, the velocity would have to be read at a time that changes with t.",
        "falls": "For that, the velocity would have to be read at a time that changes with t.",
    },
)

# %% tags=["figure"]
figures.gesture((X_line, suspect_line), ["lagrangian"], 0.2, 0.5, 0.8, 0.3)

# %% [markdown]
# **What to notice.** The black line is a jump from $s = 0.2$ to $t = 0.8$. The full arrow says how the landing point
# moves as $t$ grows, the dashed arrow is the velocity found there. Both are drawn for the same short time, and the
# legend names it. For the flow map the two arrows are the same. For the suspect they differ: the thick bar between
# their tips is as long as the residual times this short time. The suspect keeps the velocity from its start, and where
# it lands the velocity is different.
#
# **Try.** What does the picture look like for `FlowMap(lambda s, t, x: modes.velocity(t, x))`, the step with the
# velocity at the *end* time?
#
# <details><summary>Answer</summary>
#
# Put it in the place of `suspect_line` in the cell of the figure. It has a gap too. Its landing point moves with
# $b_t(x) + (t - s)\, \partial_t b_t(x)$, and $b_t$ at the landing point is wanted. The first term is a velocity at the
# right time but at the wrong place: at the start $x$ and not at the landing point. The second term is there because
# the time at which the velocity is read changes with $t$.
#
# </details>
#
# ## 3. What if the start moves?
#
# Now hold the end time $t$, and move the start along its path: the time $s$ of the start grows (the *clock*), and the
# place $x_s$ of the start moves with it (the *point*). A later start on the same path arrives at the same place. So
# $X_{s,t}(x_s) = x_t$ does not change:
#
# $$0 = \frac{d}{ds} X_{s,t}(x_s) = \underbrace{\partial_s X_{s,t}(x_s)}_{\text{clock alone}} +
#   \underbrace{\nabla X_{s,t}(x_s)\, \dot x_s}_{\text{point alone}} .$$
#
# There is a path through every point, with $\dot x_s = b_s(x_s) = v_{s,s}(x_s)$. So for every $x$
#
# $$\boxed{\;\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x) = 0\;} \qquad \text{(Eulerian)}$$
#
# $\nabla X$ is the matrix of derivatives in $x$. $\nabla X\, w$ says by how much the landing point moves if the start
# moves by a small $w$. The name comes from the view of an observer who stays at one place $(s, x)$.
#
# **It is enough.** Suppose that a candidate obeys the equation for all $s$ and $x$. Along a path of $v_{s,s}$, the two
# terms are $\frac{d}{ds} X_{s,t}(x_s)$, so $X_{s,t}(x_s)$ is the same for all $s$. At $s = t$ it is $x_t$.
#
# *On the board* $X_{s,1}$ is not continuous (lesson 02), and on its tears $\nabla X_{s,1}$ does not exist. So on the
# board the Eulerian equation holds for $t < 1$. At $t = 1$ it holds away from the tears. The semigroup equation of
# section 4 has no derivative and needs no such exception.
#
# **Write** `eulerian(X, s, t, x)`, the left side, shape (B, 2). You need two derivatives. Clock: `jvp` in `s`, as in
# `lagrangian`, with `x` held. Point: `jvp` in `x`, in the direction $v_{s,s}(x)$, with `s` held. The library has both
# as `X.partial_s(s, t, x)` and `X.push(s, t, x, w)`; each returns the landing point and the derivative.


# %% tags=["solution"]
def eulerian(X, s, t, x):
    """How the landing point moves when clock and point move together; shape (B, 2)."""
    ### BEGIN SOLUTION
    clock = jvp(lambda s: X(s, t, x), (s,), (torch.ones_like(s),))[1]
    w = X.velocity(s, x)
    point = jvp(lambda x: X(s, t, x), (x,), (w,))[1]
    return clock + point
    ### END SOLUTION


# %%
course.check("03.2", eulerian)

# %%
assert torch.allclose(
    eulerian(suspect_board, s, t, some).square().sum(1), losses.eulerian(suspect_board, s, t, some, stopgrad="none")
)

# %% [markdown]
# **Predict.** We put nine starts on one true path of the line, at the times $0, 0.1, \dots, 0.8$, and let the suspect
# jump from each to $t = 0.9$. Where does the landing point of the last start lie, compared with that of the first?

# %%
prediction = None  # "closer" to the end of the path, "farther" from it, or at the "same" distance

# %%
s_late = torch.linspace(0, 0.8, 9)
x_late = X_line(torch.zeros(9), s_late, torch.full((9, 1), 0.3))  # one path, at nine times
far = (suspect_line(s_late, 0.9, x_late) - X_line(0.0, 0.9, x_late[:1])).abs().flatten()
print("distance of the suspect's landing point from the end of the path:", *(f"{d:.2f}" for d in far))
course.compare(
    prediction,
    "closer" if far[-1] < 0.9 * far[0] else "farther" if far[-1] > 1.1 * far[0] else "same",
    wrong={
        "farther": "A later start leaves less time in which a straight step can leave the path.",
        "same": "For that, the two terms of the equation would have to cancel.",
    },
)

# %% tags=["figure"]
figures.starts((X_line, suspect_line), x_late, s_late, 0.9, chosen=4)

# %% [markdown]
# **What to notice.** Open circles are the starts, and the black dots show where they land. For the flow map all nine
# land at the same place. The arrows are the two terms for the start at $s = 0.4$, each times 0.25. *Clock alone*: the
# point is held, and there is less time left. *Point alone*: the clock is held, and the point moves. For the flow map
# the arrows are equal and opposite. For the suspect they do not cancel, and the landing point moves from start to
# start, up to about $s = 0.5$. After that the path is almost straight, and the landing point hardly moves.
#
# **Try.** Let the starts run only up to 0.3 and jump to 0.4: `torch.linspace(0, 0.3, 9)` and 0.4. Does the landing
# point of the suspect move as much?
#
# <details><summary>Answer</summary>
#
# No. The Eulerian residual of the suspect is $(t - s)$ times the acceleration of the path at its start (section 7).
# From these starts, $t - s$ was 0.9 to 0.6 before. Now it is 0.4 to 0.1.
#
# </details>
#
# ## 4. What if you stop on the way?
#
# The third equation has no derivative. Go from $s$ to $u$, and from there to $t$. You arrive where the direct jump
# arrives, because $X_{u,t}(X_{s,u}(x_s)) = X_{u,t}(x_u) = x_t$:
#
# $$\boxed{\;X_{u,t}\big(X_{s,u}(x)\big) = X_{s,t}(x)\;} \qquad \text{(semigroup)}$$
#
# for all $s \le u \le t$.
#
# **It is enough,** even with the midpoint $u = (s + t)/2$ only, if it holds for all $s$ and $t$. Cut the jump into two
# halves, and each half again, $k$ times. So $X_{s,t}$ is equal to $2^k$ jumps of length $(t - s)/2^k$. For large $k$
# these are Euler steps with the velocity $v_{t,t}$, up to an error that goes to 0 (if $v$ is smooth): Euler's method
# converges to the flow map of $v_{t,t}$.
#
# **Write** `semigroup(X, s, t, x)`: where two jumps over the midpoint land, minus where one jump lands.


# %% tags=["solution"]
def semigroup(X, s, t, x):
    """Two jumps over the midpoint, less one jump; shape (B, 2)."""
    ### BEGIN SOLUTION
    u = (s + t) / 2
    return X(u, t, X(s, u, x)) - X(s, t, x)
    ### END SOLUTION


# %%
course.check("03.3", semigroup)

# %%
assert torch.allclose(
    semigroup(suspect_board, s, t, some).square().sum(1),
    losses.semigroup(suspect_board, s, (s + t) / 2, t, some, stopgrad="none", velocity_form=False),
)

# %% [markdown]
# If a jump can be cut once, it can be cut into $N$ equal jumps. **Write** `many_jumps(X, s, t, x, N)`: where `x` is
# after $N$ equal jumps from `s` to `t`. Here `s` and `t` are numbers.


# %% tags=["solution"]
def many_jumps(X, s, t, x, N):
    """Where x is after N equal jumps from s to t."""
    ### BEGIN SOLUTION
    dt = (t - s) / N
    for k in range(N):
        x = X(s + k * dt, s + (k + 1) * dt, x)
    return x
    ### END SOLUTION


# %%
course.check("03.4", many_jumps)

# %% [markdown]
# **Predict.** The suspect goes from $x = 0.3$ at time 0 to time 0.9 in 16 equal jumps, and then in 32. By which factor
# does its distance from the true end fall?

# %%
prediction = None  # a number: distance with 16 jumps, divided by distance with 32 jumps

# %%
x = torch.tensor([[0.3]])
far = [(many_jumps(suspect_line, 0.0, 0.9, x, N) - X_line(0.0, 0.9, x)).abs().item() for N in (16, 32)]
assert torch.allclose(many_jumps(X_line, 0.0, 0.9, x, 16), X_line(0.0, 0.9, x), atol=1e-6)
course.compare(
    prediction,
    far[0] / far[1],
    within=0.2,
    too_high="Then the suspect would be a method of a higher order than Euler's.",
    too_low="A factor of 1 would mean that stops do not help. That is so for the flow map only.",
)

# %% tags=["figure"]
figures.stops((X_line, suspect_line), 0.3, 0.9)

# %% [markdown]
# **What to notice.** The jumps of the flow map are chords of its path (grey), and all end where the path ends. The
# suspect's result depends on the number of jumps. With more jumps it comes closer: it is Euler's method.
#
# **Try.** Must $u$ lie between $s$ and $t$? Test $X_{u,t}(X_{s,u}(x)) = X_{s,t}(x)$ for the exact map with $u < s$.
#
# <details><summary>Answer</summary>
#
# No. A path can be followed backwards too. `X_line(0.1, 0.9, X_line(0.5, 0.1, x)) - X_line(0.5, 0.9, x)` is zero to the
# accuracy of the solver.
#
# </details>
#
# ## 5. Three equations, or one?
#
# We take the jump of section 2 again, from $s = 0.2$, $x = 0.3$ to $t = 0.8$, with a stop at $u = 0.5$, and look at all
# three equations. The figure of section 2 shows that the velocity is almost 0 at the start. Where the jump lands, it
# points up.
#
# **Predict.** Which signs do the suspect's Lagrangian, Eulerian and semigroup residuals have? (The suspect keeps the
# velocity from its start. Where does it land if it reads the velocity again, later?)

# %%
prediction = None  # three signs in this order, such as "+ + +"

# %% tags=["figure"]
jump = torch.tensor([0.2]), torch.tensor([0.8]), torch.tensor([[0.3]])  # s, t, x
three = [condition(suspect_line, *jump).item() for condition in (lagrangian, eulerian, semigroup)]
print("Lagrangian {:.2f}, Eulerian {:.2f}, semigroup {:.2f}".format(*three))
course.compare(
    prediction,
    " ".join("+" if residual > 0 else "-" for residual in three),
    wrong={
        "+ + +": "The Lagrangian residual subtracts the velocity found where it lands. That one is the larger.",
        "- - -": "Then the velocity would have to fall after the start.",
    },
)

# %% [markdown]
# Now all three in one picture. Each thick bar is the size of a residual.

# %% tags=["figure"]
figures.gesture((X_line, suspect_line), ["lagrangian", "eulerian", "semigroup"], 0.2, 0.5, 0.8, 0.3)

# %% [markdown]
# **What to notice.** Blue, Lagrangian: the end moves. Orange, Eulerian: the start moves with its velocity, and a jump
# from there lands at the tip of the orange line. Green, semigroup: a stop at 0.5. On the left the orange and the green
# line end where the black one ends, and the two blue arrows are the same. On the right each condition leaves a gap.
#
# In the next figure you can move the three times yourself. It needs no Python. On the right is a picture like the last
# one, with the exact path and the density. On the left the pair $(s, t)$ is a point of the triangle $s \le t$, and the
# arrows come from the pairs at which the condition reads the map. Drag the end $t$, the start $s$ or the stop $u$, and
# choose a condition and a map.

# %% tags=["figure"]
widgets.triangle()

# %% [markdown]
# **Try.** Choose the Euler step. Bring $s$ and $t$ close together. Which residuals become small? Then choose the exact
# map.
#
# <details><summary>Answer</summary>
#
# All three become small, the semigroup residual fastest: it is proportional to $(t - s)^2$ (exercise 4). For the exact
# map every residual is 0 at every pair.
#
# </details>
#
# The first two equations are limits of the third. Let $\delta$ be a small step. Stop almost at the end, at
# $u = t - \delta$. The second jump is short, $X_{t-\delta,t}(y) = y + \delta\, v_{t,t}(y) + O(\delta^2)$. The first
# one ends at $X_{s,t-\delta}(x) = X_{s,t}(x) - \delta\, \partial_t X_{s,t}(x) + O(\delta^2)$. Together
#
# $$X_{u,t}(X_{s,u}(x)) - X_{s,t}(x) = -\delta\, \big[\partial_t X_{s,t}(x) - v_{t,t}(X_{s,t}(x))\big] +
#   O(\delta^2) .$$
#
# Now stop right after the start, at $u = s + \delta$. The first jump goes to $x + \delta\, v_{s,s}(x) +
# O(\delta^2)$, and
#
# $$X_{u,t}(X_{s,u}(x)) - X_{s,t}(x) = \delta\, \big[\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x)\big] +
#   O(\delta^2) .$$
#
# The brackets are the Lagrangian and the Eulerian residual. Nothing here says that $X$ is a flow map: this is algebra,
# and it must hold for every smooth map, a wrong one too.
#
# **Write** `limits(X, s, t, x, step)`. It returns two tensors: the semigroup residual with the stop at `t - step`,
# divided by `-step`, and the one with the stop at `s + step`, divided by `step`. They go to the Lagrangian and to the
# Eulerian residual.


# %% tags=["solution"]
def limits(X, s, t, x, step):
    """The semigroup residual with the stop next to the end, and next to the start, for each unit of time."""
    ### BEGIN SOLUTION
    one = X(s, t, x)
    by_end = X(t - step, t, X(s, t - step, x)) - one
    by_start = X(s + step, t, X(s, s + step, x)) - one
    return -by_end / step, by_start / step
    ### END SOLUTION


# %%
course.check("03.5", limits)

# %% [markdown]
# We test it on an Euler step again, for Gaussian data in the plane, where everything is a formula and fast.
#
# **Predict.** The step is made ten times smaller. By which factor does the distance of `limits` from the two residuals
# fall?

# %%
prediction = None  # a number

# %%
gauss = problems.Gaussian(mean=torch.tensor([1.0, 0.5]), std=0.4, sigma=0.8)
euler_step = FlowMap(lambda s, _, x: gauss.velocity(s, x))
x = metrics.at_time(gauss, 0.3, 500, torch.Generator().manual_seed(0))[0]  # draws of the interpolant at time 0.3
s, t, steps = torch.full((500,), 0.3), torch.full((500,), 0.8), [2.0**-k for k in range(2, 13)]
wanted = lagrangian(euler_step, s, t, x), eulerian(euler_step, s, t, x)
gaps = figures.distances(limits, euler_step, s, t, x, steps, wanted)  # to either residual, for each step
course.compare(
    prediction,
    (gaps[0][-5] / gaps[0][-1]) ** (1 / math.log10(16)),  # the last four halvings, as a factor for ten
    too_high="Then the terms that were left out would have to be of order 3.",
    too_low="Then the terms that were left out would have to be larger than order 2.",
)

# %% tags=["figure"]
figures.limits(steps, *gaps)

# %% [markdown]
# **What to notice.** For small steps both distances are proportional to the step. A map that obeys the semigroup
# equation for all $u$ therefore has no Lagrangian and no Eulerian residual. Sections 2 and 3 have the other direction:
# a smooth map for which one of these residuals is zero everywhere is a flow map. So it obeys the semigroup equation.
# The three equations say the same, at the end of a jump, at its start, and in between.
#
# **Try.** Follow the curves to a step of $2^{-40}$. Why do they rise again?
#
# <details><summary>Answer</summary>
#
# Rounding. The difference of two landing points has an error of about $10^{-16}$, and it is divided by the step. Below
# a step of about $10^{-8}$ this error is larger than the one that falls with the step. `jvp` has no such limit.
#
# </details>
#
# ## 6. Does the exact map obey all three, everywhere?
#
# For each pair of times $s \le t$ on a grid we take one number. The points are draws of the interpolant $I_s$, so they
# have the distribution of the flow at time $s$:
#
# $$r(s, t) = \sqrt{E\, |\text{residual}_{s,t}(I_s)|^2} .$$
#
# **Write** `residual_table(condition, X, points, grid)`. `condition` is one of your three functions. `grid` holds the
# times, shape (T,), and `points[i]` the draws at the time `grid[i]`, shape (n, 2). The result has shape (T, T): $r(s,
# t)$ in row $s$ and column $t$, and 0 where $s > t$. The square is summed over the coordinates, and its mean is taken
# over the points.


# %% tags=["solution"]
def residual_table(condition, X, points, grid):
    """r(s, t) in row s and column t, 0 where s > t."""
    ### BEGIN SOLUTION
    table = torch.zeros(len(grid), len(grid))
    for i, s in enumerate(grid):
        for j, t in enumerate(grid):
            if i <= j:
                residual = condition(X, s.repeat(len(points[i])), t.repeat(len(points[i])), points[i])
                table[i, j] = residual.square().sum(dim=1).mean().sqrt()
    return table
    ### END SOLUTION


# %%
course.check("03.6", residual_table)


# %%
def tables_of(X, problem, times=11, n=128):  # the three tables of a map, by name
    grid, g = torch.linspace(0, 1, times), torch.Generator().manual_seed(0)
    points = [metrics.at_time(problem, s, n, g)[0] for s in grid.tolist()]
    return {f.__name__: residual_table(f, X, points, grid) for f in (lagrangian, eulerian, semigroup)}


mine, library = tables_of(euler_step, gauss, 4, 64), metrics.residuals(euler_step, gauss, times=4, n=64)
assert all(torch.allclose(mine[name], library[name].nan_to_num(), atol=1e-5) for name in library)

# %% [markdown]
# **Predict.** For Gaussian data the exact map is a formula. All numbers here have 64 bits. Which power of ten is its
# largest residual?

# %%
prediction = None  # a number: the exponent

# %%
both = {"Gaussian": tables_of(FlowMap(gauss.v), gauss), "board": tables_of(X_board, board, 5, 32)}
print("largest residual      t < 1   t = 1")
print(
    *(f"{k:<10}{name:<12}{r[:, :-1].max():.0e}   {r[:, -1].max():.0e}" for k in both for name, r in both[k].items()),
    sep="\n",
)
course.compare(
    prediction,
    max(r.max() for r in both["Gaussian"].values()).log10(),
    too_high="Then something else than rounding would be left.",
    too_low="Numbers of 64 bits have 16 digits.",
)

# %% [markdown]
# **What to notice.** For the Gaussian only rounding is left: the largest number is $6 \cdot 10^{-16}$. (Two
# neighbouring numbers of 64 bits near 1 differ by $2 \cdot 10^{-16}$.) For the board each landing point comes from a
# solver with a tolerance of $10^{-9}$ a step, and the printed numbers lie between $5 \cdot 10^{-11}$ and
# $2 \cdot 10^{-8}$. The Eulerian and the semigroup residual are larger at $t = 1$. The map has its tears there, but
# this table does not show that they are the cause.
#
# **Try.** Give `tables_of` the problem in single precision: call `torch.set_default_dtype(torch.float32)` before it,
# and set it back to `torch.float64` after. How many powers of ten does that cost for the Gaussian?
#
# <details><summary>Answer</summary>
#
# About eight: numbers of 32 bits have about 7 digits, and the largest residual becomes about $10^{-7}$.
#
# </details>
#
# ## 7. Which map is it?
#
# There are five maps for the Gaussian problem. Here $v^\ast$ is the exact slope.
#
# | name | slope $v_{s,t}(x)$ | in words |
# | --- | --- | --- |
# | one Euler step | $b_s(x)$ | keeps the velocity from the start |
# | another problem | exact slope for other data | a flow map, of the wrong data |
# | short jumps only | $v^\ast_{s,\,\min(t,\, s + 0.3)}(x)$ | exact up to length 0.3; longer jumps use that slope |
# | late times unknown | $v^\ast_{\min(s,\, 0.6),\, \min(t,\, 0.6)}(x)$ | reads every time after 0.6 as 0.6 |
# | early times unknown | $v^\ast_{\max(s,\, 0.4),\, \max(t,\, 0.4)}(x)$ | reads every time before 0.4 as 0.4 |
#
# The next figure shows their residuals as A to E, in another order. Each residual is computed with the map's own
# diagonal.

# %%
from flowmap_edu.course.exercises.hidden_03 import compared, hidden, named  # maps, by letter or by name

hidden_tables = {letter: tables_of(X, gauss) for letter, X in hidden().items()}

# %% tags=["figure"]
figures.suspects(hidden_tables)

# %% [markdown]
# Grey means no residual: less than $10^{-9}$. Dark blue is near $10^{-4}$, yellow is near 2 or more. For each letter,
# ask: at which pairs $(s, t)$ is there *no* residual? What do these pairs have in common? **Write** your diagnosis: a
# dict `diagnosis` from each letter, "A" to "E", to a name of the table, as in `{"A": "another problem", ...}`. Each
# name belongs to one letter.

# %% tags=["solution"]
### BEGIN SOLUTION
diagnosis = {
    "A": "late times unknown",
    "B": "one Euler step",
    "C": "early times unknown",
    "D": "short jumps only",
    "E": "another problem",
}
### END SOLUTION

# %%
course.check("03.7", diagnosis)

# %%
row = tables_of(named()["one Euler step"], gauss)["eulerian"][0]  # s = 0
assert torch.allclose(row, row[-1] * torch.linspace(0, 1, 11))  # proportional to t - s

# %% [markdown]
# **What to notice.** On the diagonal $s = t$ a map has no residual, whatever it is. The other pairs without a residual
# show where a map agrees with itself: a band next to the diagonal for *short jumps only*, the columns $t < 0.6$ for
# *late times unknown*, the rows $s > 0.4$ for *early times unknown*. The Euler step has a residual wherever $s < t$.
# *Another problem* has none at all.
#
# The residual also says how much. For the Euler step the Eulerian one is $(t - s)$ times the acceleration at the
# start, $\partial_s b_s + \nabla b_s\, b_s$: proportional to $t - s$ along each row. The assertion checks that in the
# row $s = 0$. Next to the diagonal the semigroup residual of the Euler step is the smallest of the three: it is a
# distance, and the other two are distances for each unit of time.
#
# **Try.** Derive the sentence about the acceleration from the boxed Eulerian equation.
#
# <details><summary>Answer</summary>
#
# $X_{s,t}(x) = x + (t - s)\, b_s(x)$. So $\partial_s X = -b_s + (t - s)\, \partial_s b_s$ and $\nabla X\, b_s = b_s +
# (t - s)\, \nabla b_s\, b_s$. The sum is $(t - s)\, [\partial_s b_s + \nabla b_s\, b_s]$. Along a path, $\ddot x_s =
# \frac{d}{ds} b_s(x_s)$ is this bracket.
#
# </details>
#
# ## 8. What do the three not say?
#
# They say that $X$ is the flow map *of the velocity on its own diagonal*. They do not say whose velocity that is.
# Together:
#
# $$X \text{ is the flow map of } b \quad\Longleftrightarrow\quad
#   v_{t,t} = b_t \;\text{ for all } t \quad\text{and one of the three conditions.}$$
#
# So a second number is needed, the error on the diagonal. **Write** `diagonal_error(X, t, x)`: the root mean square
# length of $v_{t,t}(x) - b_t(x)$ over the points, one number. `t` has shape (B,), `x` has shape (B, 2), and
# `gauss.velocity(t, x)` is the true velocity.


# %% tags=["solution"]
def diagonal_error(X, t, x):
    """The root mean square distance of v_{t,t}(x) from the true velocity."""
    ### BEGIN SOLUTION
    return (X.velocity(t, x) - gauss.velocity(t, x)).square().sum(dim=1).mean().sqrt()
    ### END SOLUTION


# %%
course.check("03.8", diagonal_error)

# %% [markdown]
# We compare four maps: the exact one, the Euler step, another problem, and a new one, the *straight line*: it goes
# straight to the right end, $v_{s,t} = v^\ast_{s,1}$. For each we also measure how far its ends are from the exact
# ones, after one jump from 0 to 1 and after four.
#
# **Predict.** One of the three wrong maps ends in the same wrong place with one jump and with four. Which?

# %%
prediction = None  # "Euler", "another" or "straight"

# %%
x, t = gauss.on_the_way(4096, seed=7)  # draws of I_t, and their times
four = compared()
rows = {name: [diagonal_error(X, t, x), tables_of(X, gauss)["lagrangian"].max()] for name, X in four.items()}
ends = {name: [metrics.map_error(X, gauss, steps=n) for n in (1, 4)] for name, X in four.items()}

# %%
print(f"{'map':<16}{'diagonal':>9}{'Lagrangian':>12}{'1 jump':>9}{'4 jumps':>9}")
print(
    *(f"{k:<16}{rows[k][0]:>9.4f}{rows[k][1]:>12.4f}{ends[k][0]:>9.4f}{ends[k][1]:>9.4f}" for k in four),
    sep="\n",
)
course.compare(
    prediction,
    next(k.split()[0] for k, (one, more) in ends.items() if one > 0.1 and abs(more - one) < 1e-6),
    wrong={
        "Euler": "Its semigroup residual is not zero: more jumps lead to another place.",
        "straight": "With one jump it ends in the right place.",
    },
)

# %% tags=["figure"]
figures.traces_of(four, gauss)

# %% [markdown]
# **What to notice.** Each picture shows a map in orange and the exact one in grey. The Euler step is right on the
# diagonal and breaks the Lagrangian condition (section 7 shows that it breaks the others too). *Another problem* obeys
# the conditions and is wrong on the diagonal; it ends in the same wrong place with one jump and with four. The
# straight line is wrong in both, although its one jump from 0 to 1 is exact: four of its jumps are not. Its diagonal
# is the slope to the end and not $b_s$.
#
# If the true velocity $b$ is known, it can take the place of the map's own diagonal in the Lagrangian or in the
# Eulerian equation. Then that equation alone is enough. (The semigroup equation contains no velocity.) To train with a
# known velocity, the *teacher*, is called *distillation*. To read the velocity from the map's own diagonal, and to
# train this diagonal by flow matching, is called *self-distillation*.
#
# **Write** `taught(X, b, s, t, x)`, the Lagrangian residual with the known velocity `b(t, y)` in the place of the
# diagonal.


# %% tags=["solution"]
def taught(X, b, s, t, x):
    """The Lagrangian residual with a known velocity; shape (B, 2)."""
    ### BEGIN SOLUTION
    landed, moves = X.partial_t(s, t, x)
    return moves - b(t, landed)
    ### END SOLUTION


# %%
course.check("03.9", taught)

# %%
s, t = torch.full((500,), 0.2), torch.full((500,), 0.9)
x = metrics.at_time(gauss, 0.2, 500, torch.Generator().manual_seed(8))[0]
print("Lagrangian residual   own velocity   true velocity")
print(
    *(
        f"{k:<22}{figures.rms(lagrangian(X, s, t, x)):>12.4f}{figures.rms(taught(X, gauss.velocity, s, t, x)):>16.4f}"
        for k, X in four.items()
    ),
    sep="\n",
)

# %% [markdown]
# **What to notice.** With the true velocity in the equation all three wrong maps have a residual. With its own
# velocity, the map of another problem has none.
#
# **Try.** Mix two flow maps, $v = \tfrac12 v^\ast + \tfrac12 v^{\text{other}}$. Is the mixture a flow map?
#
# <details><summary>Answer</summary>
#
# No. Its landing point is the mean of the landing points of the two maps. These two move with different velocities at
# different places, and the mean of these velocities is not the velocity that the mixture has at the mean of the places.
# In code, the largest residual is not zero:
#
#     other = four["another problem"]
#     mixed = FlowMap(lambda s, t, x: (gauss.v(s, t, x) + other.v(s, t, x)) / 2)
#     print(tables_of(mixed, gauss)["lagrangian"].max())
#
# </details>
#
# ## 9. What are the residuals of a learned map?
#
# The library contains a network that was trained to obey the Lagrangian equation on the board (lesson 05 trains one).
# It is one network, from one training. Below, three seeds draw three sets of points at which we measure it.
#
# **Predict.** We measure the Lagrangian residual of jumps of the length 0.1 that start at $s = 0, 0.1, \dots, 0.9$.
# For which start time is it largest?

# %%
prediction = None  # a number: the start time s

# %%
learned = FlowMap(flowmap_edu.load("checkerboard-lsd").slope.double())
found = torch.tensor([figures.short_jumps(learned, board, seed) for seed in range(3)])  # (3 seeds, 10 start times)
print(*(f"s = {k / 10}: {r.min():.3f} to {r.max():.3f}" for k, r in enumerate(found.T)), sep="\n")
course.compare(
    prediction,
    found.mean(0).argmax().item() / 10,
    too_low="The velocity changes over shorter and shorter distances as t approaches 1.",
)

# %% tags=["figure"]
for seed in range(3):
    print(figures.errors_at_starts(learned, board, seed, drawn=seed == 0))

# %% [markdown]
# **What to notice.** No residual is zero. Left: the square in which each start ends, by the exact map, one colour for
# each square. Right: how far the network's end is from the exact one. A start counts as next to a border if one of the
# 11 starts nearest to it ends in another square. Most of the starts with the 5 % largest errors are next to a border,
# and less than a quarter of all starts are. The three lines are three draws of 4,000 starts, for one network. The
# borders are the tears of the exact map. A network is continuous, so it cannot be right on both sides close to a tear.
#
# The next figure lets you choose $s$ and $t$. (It needs Python running. Move the sliders with the mouse or the arrow
# keys; each new pair takes a few seconds. Without Python the picture shows $s = 0$ and $t = 1$.)

# %%
explorer = widgets.time_explorer(learned, exact=board)
print("from 0 to 1:", ", ".join(f"{k} {r:.3f}" for k, r in explorer.views[0.0, 1.0].numbers["residuals"].items()))
explorer

# %% [markdown]
# **What to notice.** On the left is a net at time $s$, in the middle where the network takes it, on the right where the
# exact map takes it. The residuals at this pair are printed above; in the live figure they are below it.
#
# **Try.** Keep $t - s$ at 0.1 and move both sliders from 0 to 1. Compare what you see with your prediction.
#
# <details><summary>Answer</summary>
#
# The table at the start of this section has the same residuals, from more points. There they are smallest from
# $s = 0.1$ to 0.4. Then they grow, most of all at the end. The figure uses fewer points (256), so its numbers are
# different, most of all at $s = 0.9$. (After $t = 0.97$ this map was not trained on one of the three equations. Its
# jumps to $t = 1$ were compared with a jump to $t = 0.97$ and one Euler step: `denoised` in `Training`.)
#
# </details>
#
# ## Summary
#
# - Three equations single out the flow map of a velocity. Lagrangian: move the end, and the landing point goes with
#   the velocity found there. Eulerian: move the start along its path, and the landing point stays. Semigroup: a stop
#   on the way changes nothing.
# - Each is necessary and enough, if $X_{s,s}(x) = x$ and $v_{t,t} = b_t$. The first two are limits of the third.
# - The residuals can be computed for any candidate without solving for a path. The pairs of times where they vanish
#   show where a map agrees with itself.
# - No residual depends on the data. The data enter through the diagonal only.
#
# A residual that can be computed can be squared and made small by training: that is the next lesson.
#
# ## Exercises
#
# **1.** Show by hand that $X_{s,t}(x) = m t + \frac{S(t)}{S(s)} (x - m s)$ obeys the semigroup equation, for any
# positive, differentiable function $S$. Which velocity is on its diagonal?
#
# <details><summary>Answer</summary>
#
# Put $y = X_{s,u}(x)$. Then $y - m u = \frac{S(u)}{S(s)} (x - m s)$, and $X_{u,t}(y) = m t + \frac{S(t)}{S(u)} (y - m
# u) = m t + \frac{S(t)}{S(s)} (x - m s)$: $S(u)$ cancels. The diagonal is $\partial_t X_{s,t}(x)$ at $s = t$: $m +
# \frac{S'(t)}{S(t)} (x - m t)$. With $S(t)^2 = (1 - t)^2 \sigma^2 + t^2 c^2$ that is the velocity of
# `problems.Gaussian`.
#
# </details>
#
# **2.** A translation, $X_{s,t}(x) = x + (t - s)\, a$ with a fixed vector $a$: show that all three residuals vanish.
# Of which velocity is it the flow map? Show that no data, drawn independently of the noise, has this velocity.
#
# <details><summary>Answer</summary>
#
# $v_{s,t} = a$ everywhere. Lagrangian: $a - a = 0$. Eulerian: $\nabla X$ is the identity, so $-a + a = 0$. Semigroup:
# $(u - s)\, a + (t - u)\, a = (t - s)\, a$. It is the flow map of $b_t(x) = a$. A translation does not change the
# variance: it would be $\sigma^2$ at all times. But $I_t = (1 - t)\, x_0 + t\, x_1$ with independent $x_0$, $x_1$ has
# the variance $(1 - t)^2 \sigma^2 + t^2\, \mathrm{Var}(x_1)$ in each coordinate. At $t = 1$ this gives
# $\mathrm{Var}(x_1) = \sigma^2$, and then at $t = \tfrac12$ the variance is $\sigma^2 / 2$, a contradiction. The next
# cell checks the residuals.
#
# </details>

# %%
translation = FlowMap(lambda s, _, x: torch.tensor([0.5, -0.2]).expand(len(s), 2).to(x))
assert max(r.max() for r in tables_of(translation, gauss, 5, 32).values()) < 1e-12

# %% [markdown]
# **3.** Two mistakes are easy to make in the Eulerian residual: to read the velocity at $(t, X_{s,t}(x))$ instead of
# $(s, x)$, and to write $v_{s,s}$ instead of $\nabla X\, v_{s,s}$. Write both: `mistaken(X, s, t, x)` returns two
# tensors in this order. Is each of them zero on the exact map? On the translation of exercise 2?


# %% tags=["solution"]
def mistaken(X, s, t, x):
    """The Eulerian residual with the velocity at the landing point, and without grad X."""
    ### BEGIN SOLUTION
    landed, clock = X.partial_s(s, t, x)
    wrong_place = clock + X.push(s, t, x, X.velocity(t, landed))[1]
    not_pushed = clock + X.velocity(s, x)
    return wrong_place, not_pushed
    ### END SOLUTION


# %%
course.check("03.10", mistaken)

# %%
print("exact map:  ", *(f"{figures.rms(r):.2f}" for r in mistaken(four["exact"], s, t, x)))
print("translation:", *(f"{figures.rms(r):.2f}" for r in mistaken(translation, s, t, x)))

# %% [markdown]
# <details><summary>Answer</summary>
#
# On the exact map neither is zero, so both mistakes are found there. On the translation both are zero: its velocity is
# the same at every place and time, and $\nabla X$ is the identity. A test on a map that is too simple does not see a
# mistake.
#
# </details>
#
# **4.** For the Euler step and small $t - s$, each residual is proportional to a power of $t - s$. To measure it,
# **write** `power(condition, X, s, x)`: compute the root mean square residual $r$ for jumps of the lengths $0.001$
# and $0.002$ from `s` (shape (B,)), and return $\log_2$ of one quotient: $r$ of the longer jump, divided by $r$ of
# the shorter jump.


# %% tags=["solution"]
def power(condition, X, s, x):
    """The power of t - s with which r grows for short jumps."""
    ### BEGIN SOLUTION
    r = [condition(X, s, s + d, x).square().sum(dim=1).mean().sqrt() for d in (0.001, 0.002)]
    return torch.log2(r[1] / r[0])
    ### END SOLUTION


# %%
course.check("03.11", power)

# %% [markdown]
# Which powers does the Euler step have? Derive them first, or measure them with `power(lagrangian, euler_step, s, x)`.
# **Write** them as a list `powers` of three numbers: Lagrangian, Eulerian, semigroup.

# %% tags=["solution"]
### BEGIN SOLUTION
powers = [1, 1, 2]  # Lagrangian, Eulerian, semigroup
### END SOLUTION

# %%
course.check("03.12", powers)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Let $A = \partial_s b_s + \nabla b_s\, b_s$, the acceleration. Eulerian: $(t - s)\, A$, exactly (section 7).
# Lagrangian: $b_s(x) - b_t\big(x + (t - s)\, b_s(x)\big) = -(t - s)\, A + O((t - s)^2)$. Semigroup: the first half
# step lands at $y = x + \tfrac{t - s}{2} b_s(x)$; the second adds $\tfrac{t - s}{2}\, b_u(y) = \tfrac{t - s}{2} \big[
# b_s(x) + \tfrac{t - s}{2} A \big] + O((t - s)^3)$. The difference from one step is $\tfrac14 (t - s)^2 A + O((t -
# s)^3)$. The next cell measures the powers.
#
# </details>

# %%
print("measured powers:", *(f"{power(f, euler_step, s, x):.3f}" for f in (lagrangian, eulerian, semigroup)))

# %% [markdown]
# **5.** Fix a start $x$. Suppose that the length of the Lagrangian residual of $X$ at $(0, t, x)$ is at most
# $\varepsilon$ for all $t$, that $v_{t,t} = b_t$, and that $b_t$ changes by at most $L$ times the distance. How far
# can $X_{0,1}(x)$ be from the true end? Derive a bound, and **write** it as `bound(epsilon, L)`, for two numbers.
# (How fast can the distance between the two points grow at most? Which differential equation has this growth?)


# %% tags=["solution"]
def bound(epsilon, L):
    """The largest possible distance from the true end."""
    ### BEGIN SOLUTION
    return epsilon * (math.exp(L) - 1) / L
    ### END SOLUTION


# %%
course.check("03.13", bound)

# %% [markdown]
#
# <details><summary>Answer</summary>
#
# Let $y_t = X_{0,t}(x)$, let $x_t$ be the true path from $x$, and $e_t = |y_t - x_t|$. The Lagrangian residual is
# $r_t = \dot y_t - b_t(y_t)$, with $|r_t| \le \varepsilon$. So $\dot y_t - \dot x_t = b_t(y_t) - b_t(x_t) + r_t$, and
# the distance grows at most like $\dot e_t \le L\, e_t + \varepsilon$, with $e_0 = 0$. The solution of $\dot e = L\,
# e + \varepsilon$ is $\varepsilon\, (e^{L t} - 1) / L$ (Grönwall's inequality). At $t = 1$ that is the bound. The next
# cell checks it for the Euler step from one start on the Gaussian problem. There $\nabla b_t$ is $S'(t) / S(t)$ times
# the identity, so $L$ is the largest value of $|S'(t) / S(t)|$.
#
# </details>

# %%
t, x = torch.linspace(0, 1, 201), torch.tensor([[0.5, -0.5]])
epsilon = lagrangian(euler_step, torch.zeros(201), t, x.repeat(201, 1)).norm(dim=1).max()
L = (((0.4**2 + 0.8**2) * t - 0.8**2) / ((1 - t) ** 2 * 0.8**2 + t**2 * 0.4**2)).abs().max()  # of |S'(t) / S(t)|
off = (euler_step(0.0, 1.0, x) - gauss.flow_map(0.0, 1.0, x)).norm().item()
print(f"off by {off:.2f}, the bound is {bound(epsilon.item(), L.item()):.2f}")
assert off <= bound(epsilon.item(), L.item())

# %% [markdown]
# ## Next
#
# [04, Losses and their cost](04_losses_and_their_cost.ipynb)
# turns each equation into a loss, and measures what it costs.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the three characterizations as used
#   here.
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *Flow map matching*, [arXiv
#   2406.07507](https://arxiv.org/abs/2406.07507), 2024: the Lagrangian and Eulerian equations as losses.
