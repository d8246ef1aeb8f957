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
# - measure by how much a given map breaks them, and read from that in which way it is wrong.
#
# **It assumes** lessons [01](01_from_noise_to_data.ipynb) (velocity, Euler's method) and
# [02](02_the_flow_map_and_its_tangent.ipynb) (the two-time map, $X = x + (t - s)\, v$, the tangent condition). **It
# takes** forty minutes to read and about a minute to run on two CPU cores. Nothing is trained.

# %%
import matplotlib.pyplot as plt
import torch

import flowmap_edu
from flowmap_edu import FlowMap, course, losses, metrics, problems
from flowmap_edu.viz import plots, widgets

plots.use_style()
torch.set_default_dtype(torch.float64)  # to tell a small number from zero
board = problems.Checkerboard()


# %% [markdown]
# ## 1. How do you recognise a flow map?
#
# The flow map of a velocity $b$ carries a point along its path: for every solution of $\dot x_t = b_t(x_t)$,
#
# $$X_{s,t}(x_s) = x_t .$$
#
# To check this one has to solve for paths. What if all you have is a candidate, a function of $(s, t, x)$ that
# somebody hands you? Lesson 02 gave one test, the tangent condition: write $X_{s,t}(x) = x + (t - s)\, v_{s,t}(x)$ and
# see whether $v_{t,t} = b_t$. It is necessary. Here is a suspect that passes it: one Euler step of any length,
# $X_{s,t}(x) = x + (t - s)\, b_s(x)$.

# %%
X_board = FlowMap(board.v)  # the exact map
suspect = FlowMap(lambda s, _, x: board.velocity(s, x))

x = torch.randn(1000, 2) / 2
for t in (0.0, 0.4, 0.8):
    assert torch.allclose(suspect.velocity(t, x), board.velocity(t, x))  # v_{t,t} = b_t: both pass
    assert torch.allclose(X_board.velocity(t, x), board.velocity(t, x))

# %%
starts = torch.tensor([[-1.28, -0.27], [0.9, 0.3], [-0.34, -0.9], [0.1, 1.1], [0.5, -1.0]])
t = torch.linspace(0, 1, 41).repeat_interleave(len(starts))  # every start at every end time, as one batch
figure, ax = plt.subplots(figsize=(3.9, 3.7))
plots.squares(ax)
for k, X in enumerate((X_board, suspect)):
    landed = X(0.0, t, starts.repeat(41, 1)).reshape(41, -1, 2)
    plots.paths(ax, landed, colour=plots.COLOURS[k], label=("flow map", "suspect")[k])
ax.set(title="Same velocity at the start,\nand soon apart", xlabel="first coordinate", ylabel="second coordinate")
ax.legend()
plt.show()


# %% [markdown]
# **What to notice.** Each start (open circle) sends out two traces: its landing points $X_{0,t}(x)$ while $t$ grows
# from 0 to 1. They leave in the same direction with the same speed, as the tangent condition wants, and end far apart
# (the suspect sends every start to the centre, as in lesson 01). The tangent condition sees a map only where $s = t$;
# we need equations for $s < t$.
#
# **Try.** Draw the suspect's traces from $s = 0.5$ instead of 0, beginning at points of the true paths. Do they do
# better?

# %% [markdown]
# ## 2. What if the end moves?
#
# Hold the start $(s, x)$ and let $t$ run. Then $X_{s,t}(x)$ is the path itself, and a path moves with the velocity
# found where it is. With $v_{t,t} = b_t$,
#
# $$\boxed{\;\partial_t X_{s,t}(x) = v_{t,t}\big(X_{s,t}(x)\big)\;} \qquad \text{(Lagrangian)}$$
#
# It is named after the view of one who travels along. **It is enough, too.** As a function of $t$ the left side is the
# derivative of a curve that starts at $X_{s,s}(x) = x$; the equation says that this curve obeys $\dot x = v_{t,t}(x)$;
# and from one start there is only one such curve (if $v_{t,t}$ is smooth, which we take for granted). Both sides are
# read from the candidate alone; nothing is solved.
#
# Lesson 02 met this equation on the way to the tangent condition; now it judges a candidate. `X.partial_t` returns the
# landing point and its derivative in $t$ by one `jvp`, as there. A difference quotient vouches for it. The library's
# `losses.lagrangian` is the square of the residual; what its option `stopgrad` does is a matter of gradients and left
# to lesson 04.


# %% tags=["solution"]
def lagrangian(X, s, t, x):
    """The residual: how fast the landing point moves, less the velocity found there; shape (B, 2)."""
    ### BEGIN SOLUTION
    landed, dX_dt = X.partial_t(s, t, x)
    return dX_dt - X.velocity(t, landed)
    ### END SOLUTION


# %%
course.check("03.1", lagrangian)


quotient = (suspect(0.2, 0.7 + 1e-5, x) - suspect(0.2, 0.7 - 1e-5, x)) / 2e-5
assert torch.allclose(suspect.partial_t(0.2, 0.7, x)[1], quotient, atol=1e-8)
s, t = torch.full((1000,), 0.2), torch.full((1000,), 0.7)
ours, library = lagrangian(suspect, s, t, x), losses.lagrangian(suspect, s, t, x, stopgrad="none")
assert torch.allclose(ours.square().sum(1), library)


# %%
def traveller(ax, X, start, t):
    """The landing points X_{0,t}(start), how they move, and the velocity found there (in 0.1 of time)."""
    start, step = start.expand(len(t), 2), 1e-3
    landed = X(0.0, t, start)
    moves = (X(0.0, t + step, start) - X(0.0, t - step, start)) / (2 * step)
    plots.squares(ax)
    for k, arrow in enumerate((moves, board.velocity(t, landed))):
        how = {"angles": "xy", "scale_units": "xy", "scale": 10, "width": (0.014, 0.005)[k], "zorder": 2 + k}
        how |= dict.fromkeys(("headwidth", "headlength", "headaxislength"), 2)
        ax.quiver(*landed.T, *arrow.T, color=plots.COLOURS[(5, 1)[k]], label=("moves", "velocity found")[k], **how)
    ax.plot(*landed.T, "o", color="black", ms=4, zorder=4)
    ax.set(aspect="equal", xlim=(-1.35, 0.05), ylim=(-0.85, 0.1), xlabel="first coordinate")


# %%
figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.3), sharey=True)
for ax, X in zip(axes, (X_board, suspect), strict=True):
    traveller(ax, X, starts[:1], torch.linspace(0.1, 0.8, 6))
axes[0].set(title="flow map: the landing point\nmoves with the velocity it finds", ylabel="second coordinate")
axes[1].set_title("suspect: it keeps the velocity\nfrom which it started")
axes[0].legend(loc="upper right")
plt.show()


# %% [markdown]
# **What to notice.** The dots are $X_{0,t}(x)$ for six values of $t$. On the left, the thick arrow (how the landing
# point moves as $t$ grows) and the thin one (the velocity where it has landed) are one. On the right the thick arrows
# are all the same, since the suspect is straight in $t$. The residual is the difference of the two arrows.
#
# **Try.** What does the picture look like for `FlowMap(lambda s, t, x: board.velocity(t, x))`, the step with the
# velocity at the *end* time?

# %% [markdown]
# ## 3. What if the start moves?
#
# Now hold the end time $t$ and slide the start along its path: the clock $s$ runs and the point $x_s$ goes with it.
# Whoever starts later on the same path still arrives at the same place, so $X_{s,t}(x_s) = x_t$ does not change:
#
# $$0 = \frac{d}{ds} X_{s,t}(x_s) = \partial_s X_{s,t}(x_s) + \nabla X_{s,t}(x_s)\, \dot x_s .$$
#
# There is a path through every point, with $\dot x_s = b_s(x_s) = v_{s,s}(x_s)$, so
#
# $$\boxed{\;\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x) = 0\;} \qquad \text{(Eulerian)}$$
#
# $\nabla X$ is the matrix of derivatives in $x$, and $\nabla X\, w$ says where a small shift $w$ of the start shows up
# at the end. The boxed equation is read at a fixed $(s, x)$, and is named after the view of one who stays in one place
# and watches the flow go by. **It is enough, too.** Read backwards, the
# equation says that $X_{s,t}(x_s)$ is the same for all $s$ along a path of $v_{s,s}$; at $s = t$ it is $x_t$.
#
# Two derivatives are involved: with the clock ($x$ held), and with the point ($s$ held).


# %% tags=["solution"]
def eulerian(X, s, t, x):
    """The residual: how the landing point moves when clock and start move together; shape (B, 2)."""
    ### BEGIN SOLUTION
    dX_ds = X.partial_s(s, t, x)[1]
    carried = X.push(s, t, x, X.velocity(s, x))[1]  # grad X times v_{s,s}, by one more jvp
    return dX_ds + carried
    ### END SOLUTION


# %%
course.check("03.2", eulerian)


ours, library = eulerian(suspect, s, t, x), losses.eulerian(suspect, s, t, x, stopgrad="none")
assert torch.allclose(ours.square().sum(1), library)
together = X_board.eulerian(0.2, 0.7, x[:9], board.velocity(0.2, x[:9]))[1]  # the same sum, by a single jvp
assert torch.allclose(together, torch.zeros(9, 2), atol=1e-6)


# %%
def later_starts(ax, X, x_s, s, t, tick=0.01):
    """Where starts on one path land; and for the seventh of them, what clock and point do to the landing."""
    landed = X(s, t, x_s)
    plots.squares(ax)
    ax.plot(*x_s.T, "o-", mfc="white", color=plots.COLOURS[0], label="starts, on one path")
    ax.plot(*landed.T, "o-", color="black", label="where they land")
    here, clock, point = x_s[6:7], s[6:7], tick * board.velocity(s[6:7], x_s[6:7])
    for k, moved in enumerate((X(clock + tick, t, here), X(clock, t, here + point))):
        arrow = (moved - landed[6:7]) / tick
        how = {"angles": "xy", "scale_units": "xy", "scale": 5, "width": 0.011, "color": plots.COLOURS[1 + k]}
        ax.quiver(*landed[6], *arrow.T, label=("clock alone", "point alone")[k], zorder=4, **how)
    ax.set(aspect="equal", xlim=(-1.35, 0.05), ylim=(-0.85, 0.1), xlabel="first coordinate")


# %%
s_late = torch.linspace(0, 0.8, 9)
x_late = X_board(0.0, s_late, starts[:1].expand(9, 2))
figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.3), sharey=True)
for ax, X in zip(axes, (X_board, suspect), strict=True):
    later_starts(ax, X, x_late, s_late, 0.9)
axes[0].set(title="flow map: clock and point cancel,\nall starts land together", ylabel="second coordinate")
axes[1].set_title("suspect: they do not cancel,\nthe landing point wanders")
axes[0].legend(loc="upper right")
plt.show()


# %% [markdown]
# **What to notice.** Open circles are starts at $s = 0, 0.1, \dots, 0.8$ on one true path, full circles where the map
# carries each by $t = 0.9$. For the flow map they are a single dot. The two arrows, drawn there for the start at $s =
# 0.6$, are the two terms of the equation: let the clock run and hold the point (it has less time left), or move the
# point and hold the clock. They are equal and opposite. For the suspect the two do not cancel, and the landing point
# drifts.
#
# **Try.** Let the starts run up to 0.3 only and jump to 0.4, `torch.linspace(0, 0.3, 9)` and 0.4. Why does the suspect
# do better?

# %% [markdown]
# ## 4. What if one stops on the way?
#
# A third equation needs no derivative. Whoever goes from $s$ to $u$ and on from there to $t$ must arrive where the
# direct jump arrives, because $X_{u,t}(X_{s,u}(x_s)) = X_{u,t}(x_u) = x_t$:
#
# $$\boxed{\;X_{u,t}\big(X_{s,u}(x)\big) = X_{s,t}(x)\;} \qquad \text{(semigroup)}$$
#
# for all $s \le u \le t$. Is it enough? Section 5 will see the other two in it. The midpoint $u = (s + t)/2$ is all
# that one needs to ask about, for all $s$ and $t$: halve the jump, and the halves again, and $X_{s,t}$ is equal to ever
# more and ever shorter jumps, so to the solution that follows $v_{t,t}$. (`losses.semigroup` has two forms; this one is
# `velocity_form=False`. Lesson 04 has the other.)


# %% tags=["solution"]
def semigroup(X, s, t, x):
    """The residual: where two jumps over the midpoint land, less where one does; shape (B, 2)."""
    ### BEGIN SOLUTION
    u = (s + t) / 2
    return X(u, t, X(s, u, x)) - X(s, t, x)
    ### END SOLUTION


# %%
course.check("03.3", semigroup)


ours = semigroup(suspect, s, t, x)
library = losses.semigroup(suspect, s, (s + t) / 2, t, x, stopgrad="none", velocity_form=False)
assert torch.allclose(ours.square().sum(1), library)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.3), sharey=True)
for ax, X in zip(axes, (X_board, suspect), strict=True):
    plots.squares(ax)
    for k, n in enumerate((1, 2, 4)):  # jumps from 0 to 0.9
        visited = [starts[:1]]
        for i in range(n):
            visited.append(X(0.9 * i / n, 0.9 * (i + 1) / n, visited[-1]))
        look = {"marker": "os^"[k], "color": plots.COLOURS[k], "lw": 2.4 - 0.7 * k}
        ax.plot(*torch.cat(visited).T, label=f"{n} jump" + "s" * (n > 1), **look)
    ax.set(aspect="equal", xlim=(-1.35, 0.05), ylim=(-0.85, 0.1), xlabel="first coordinate")
axes[0].set(title="flow map: any number of jumps\nleads to one place", ylabel="second coordinate")
axes[1].set_title("suspect: each number\nto another place")
axes[0].legend(loc="upper right")
plt.show()

# %% [markdown]
# **What to notice.** The jumps of the flow map cut the corners of the path and still meet at its end. The suspect's
# result depends on how often one stops; with more stops it comes closer to the truth, which is what Euler's method is
# good for.
#
# **Try.** Must $u$ lie between $s$ and $t$? Test $X_{u,t}(X_{s,u}(x))$ of the exact map with $u < s$.

# %% [markdown]
# ## 5. Three equations, or one?
#
# Stop almost at the end, at $u = t - h$. The second jump is short, $X_{t-h,t}(y) = y + h\, v_{t,t}(y) + O(h^2)$, and
# the first one ends at $X_{s,t-h}(x) = X_{s,t}(x) - h\, \partial_t X_{s,t}(x) + O(h^2)$. So
#
# $$X_{u,t}(X_{s,u}(x)) - X_{s,t}(x) = -h\, \big[\partial_t X_{s,t}(x) - v_{t,t}(X_{s,t}(x))\big] + O(h^2) .$$
#
# Stop right after the start, at $u = s + h$, where the first jump goes to $x + h\, v_{s,s}(x) + O(h^2)$, and
#
# $$X_{u,t}(X_{s,u}(x)) - X_{s,t}(x) = h\, \big[\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x)\big] + O(h^2) .$$
#
# The brackets are the Lagrangian and the Eulerian residual. A map that obeys the semigroup equation for all $u$ has
# none of either: so that equation, too, is enough. Since this is algebra, it must hold for wrong maps. We try it on a
# suspect for which everything is a formula and instant: one Euler step for Gaussian data $N(m, c^2 I)$.

# %%
gauss = problems.Gaussian(mean=torch.tensor([1.0, 0.5]), std=0.4, sigma=0.8)
euler_step = FlowMap(lambda s, _, x: gauss.velocity(s, x))
x = metrics.at_time(gauss, 0.3, 500, torch.Generator().manual_seed(0))[0]  # draws of the interpolant at time 0.3
s, t = torch.full((500,), 0.3), torch.full((500,), 0.8)
one = euler_step(s, t, x)
gaps = {"end": [], "start": []}
h_all = 0.5 ** torch.arange(2, 13)
for h in h_all:
    by_end = euler_step(t - h, t, euler_step(s, t - h, x)) - one
    by_start = euler_step(s + h, t, euler_step(s, s + h, x)) - one
    gaps["end"].append((-by_end / h - lagrangian(euler_step, s, t, x)).norm(dim=1).mean())
    gaps["start"].append((by_start / h - eulerian(euler_step, s, t, x)).norm(dim=1).mean())

# %%
figure, ax = plt.subplots(figsize=(4.6, 3.0))
ax.loglog(h_all, gaps["end"], "o-", label="stop at t - h: to the Lagrangian residual")
ax.loglog(h_all, gaps["start"], "s-", label="stop at s + h: to the Eulerian residual")
ax.loglog(h_all, h_all, "--", color="0.5", label="proportional to h")
ax.set(xlabel="h", ylabel="mean distance", title="A stop next to either end is a derivative there")
ax.set_ylim(top=30)
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# **What to notice.** For small $h$ both distances fall in proportion to it, as the terms $O(h^2) / h$ say. The three
# equations are one statement seen from three places: at the end, at the start, and in between.
#
# **Try.** Follow the curves to $h = 2^{-40}$. What turns them round?

# %% [markdown]
# ## 6. Does the exact map obey all three, everywhere?
#
# We ask at every pair of times on a grid, for points $x$ that are where the flow takes place at time $s$: draws of the
# interpolant $I_s = (1 - s)\, x_0 + s\, x_1$. One number per pair, in the units of the residual:
#
# $$r(s, t) = \sqrt{E\, |\text{residual}_{s,t}(I_s)|^2} .$$
#
# All pairs go through the map as one batch. `metrics.residuals` does the same pair by pair.


# %%
def residual_tables(X, problem, times=11, n=256):
    """r(s, t) of the three conditions on a grid of times, row s, column t; nan where s > t."""
    grid, generator = torch.linspace(0, 1, times), torch.Generator().manual_seed(0)
    x = torch.stack([metrics.at_time(problem, s, n, generator)[0] for s in grid.tolist()])  # (times, n, 2): I_s
    i, j = torch.triu_indices(times, times)  # the pairs s <= t
    s, t, x = grid[i].repeat_interleave(n), grid[j].repeat_interleave(n), x[i].flatten(0, 1)
    tables = {}
    for condition in (lagrangian, eulerian, semigroup):
        residual = condition(X, s, t, x)  # (pairs n, 2)
        tables[condition.__name__] = torch.full((times, times), torch.nan)
        tables[condition.__name__][i, j] = residual.square().sum(1).reshape(-1, n).mean(1).sqrt()
    return tables


ours, library = residual_tables(euler_step, gauss, 5, 64), metrics.residuals(euler_step, gauss, times=5, n=64)
for name, table in ours.items():
    assert torch.allclose(table, library[name], atol=1e-5, equal_nan=True)

# %% [markdown]
# For the Gaussian the exact map is a formula. For the checkerboard each landing point is the solution of a
# differential equation, to a tolerance of $10^{-9}$ a step, and each derivative is carried through all of its steps,
# so we keep the grid small. (This cell takes some twenty seconds.)

# %%
X_gauss = FlowMap(gauss.v)
exact_tables = {"Gaussian": residual_tables(X_gauss, gauss), "checkerboard": residual_tables(X_board, board, 6, 64)}
for problem, tables in exact_tables.items():
    worst = {name: f"{table.nan_to_num().max():.0e}" for name, table in tables.items()}
    print(f"{problem:<13} largest r(s, t): {worst}")


# %%
def heat(axes, tables, low=1e-16, high=1.0):
    for k, (ax, (name, table)) in enumerate(zip(axes, tables.items(), strict=True)):
        image = plots.over_times(ax, table, low=low, high=high)
        ax.set(title=name.capitalize(), ylabel="" if k else "start time s")
    return image


figure, axes = plt.subplots(2, 3, figsize=(7.4, 4.9), sharex=True, sharey=True)
for row, (problem, tables) in zip(axes, exact_tables.items(), strict=True):
    image = heat(row, tables)
    row[0].set_ylabel(f"{problem}\n\nstart time s")
figure.colorbar(image, ax=axes, label="r(s, t)", shrink=0.7)
figure.suptitle("The exact maps obey all three: what is left is rounding and the solver's error")
plt.show()

# %% [markdown]
# **What to notice.** The scale runs over sixteen powers of ten, and nothing comes near 1. For the Gaussian only
# rounding is left. For the board the tolerance of the solver shows.
#
# **Try.** Give `residual_tables` its points in single precision, `x.float()`. How many powers of ten does that cost in
# the first row, and in the second?

# %% [markdown]
# ## 7. What do the three say about a wrong map?
#
# Three maps for the Gaussian problem, each wrong in its own way:
#
# | map | formula | idea |
# | --- | --- | --- |
# | straight line | $x + (t - s)\, \dfrac{X^\ast_{s,1}(x) - x}{1 - s}$ | go to the right end, the straight way |
# | one Euler step | $x + (t - s)\, b_s(x)$ | keep the velocity found at the start |
# | another problem | exact map for other data $N(m', c'^2 I)$ | a map that is right, but elsewhere |
#
# ($X^\ast$ is the exact map.) In each, $v_{t,t}$ is read from the map itself, its own diagonal.

# %%
elsewhere = problems.Gaussian(mean=torch.tensor([0.2, 1.0]), std=0.7, sigma=0.8)
wrong = {
    "straight line": FlowMap(lambda s, _, x: gauss.v(s, torch.ones_like(s), x)),
    "one Euler step": euler_step,
    "another problem": FlowMap(elsewhere.v),
}
tables = {name: residual_tables(X, gauss) for name, X in wrong.items()}
row = tables["one Euler step"]["eulerian"][0]  # s = 0
assert torch.allclose(row, row[-1] * torch.linspace(0, 1, 11))  # proportional to t - s: see below
for name in wrong:
    print(f"{name:<16} largest r(s, t): {max(table.nan_to_num().max() for table in tables[name].values()):.1g}")

# %%
figure, axes = plt.subplots(3, 4, figsize=(9.2, 6.6))
noise, t = metrics.at_time(gauss, 0.0, 9, torch.Generator().manual_seed(4))[0], torch.linspace(0, 1, 41)
for row, (name, X) in zip(axes, wrong.items(), strict=True):
    for colour, Y in (("0.7", X_gauss), (plots.COLOURS[1], X)):
        landed = Y(0.0, t.repeat_interleave(9), noise.repeat(41, 1)).reshape(41, 9, 2)
        plots.paths(row[0], landed, colour=colour)
    row[0].set(ylabel=name, title="traces; exact in grey", xlim=(-1.7, 1.7), ylim=(-1.4, 2.0))
    row[0].yaxis.label.set_fontsize(11)
    row[0].set(xlabel="first coordinate" if name == "another problem" else "")
    image = heat(row[1:], tables[name], low=1e-2, high=2.0)
figure.colorbar(image, ax=axes[:, 3], label="r(s, t)", shrink=0.5, extend="min")
figure.suptitle("Two of the wrong maps contradict themselves; the third obeys every condition")
plt.show()

# %% [markdown]
# **What to notice.** The first two maps break all three conditions; short jumps (next to the diagonal) are hardly
# blamed, least by the semigroup, whose residual is a distance while the other two are distances per unit of time. But
# the maps are blamed in different places. Take the Euler step: the Lagrangian residual compares the velocity at the
# start with the one at the landing point, and is large for late ends; the Eulerian one is $(t - s)$ times the
# *acceleration at the start*, $\partial_s b_s + \nabla b_s \, b_s$, and so in proportion to $t - s$ along each row.
# The straight line jumps from any $s$ to 1 without error and is blamed all the same: its diagonal is the slope of that
# jump and not $b_s$, and whoever follows its diagonal ends elsewhere. And the third map is a flow map: to itself it is
# true, up to rounding, as the last printed line says.
#
# **Try.** Derive the sentence about the acceleration from the boxed equation, and check it at one $(s, t)$ with
# `gauss.velocity` and a difference quotient.

# %% [markdown]
# ## 8. What do the three not say?
#
# They say that $X$ is the flow map *of the velocity on its own diagonal*. They do not say whose velocity that is. The
# whole of it is the conjunction
#
# $$X \text{ is the flow map of } b \quad\Longleftrightarrow\quad
#   v_{t,t} = b_t \;\text{ for all } t \quad\text{and one of the three conditions.}$$
#
# So we put beside the residual the error on the diagonal, $\sqrt{E|v_{t,t}(I_t) - b_t(I_t)|^2}$, $t$ uniform; and
# beside both what they are to foretell, the distance of the landing points from the exact ones after one jump from 0
# to 1 and after four.

# %%
candidates = {"exact": X_gauss, **wrong}
t = torch.linspace(0, 1, 64)
x_t = torch.cat([metrics.at_time(gauss, k, 64, torch.Generator().manual_seed(7))[0] for k in t.tolist()])
t, rows = t.repeat_interleave(64), {}
print(f"{'map':<17}{'diagonal':>9}{'Lagrangian':>12}{'1 jump':>9}{'4 jumps':>9}")
for name, X in candidates.items():
    diagonal = (X.velocity(t, x_t) - gauss.velocity(t, x_t)).square().sum(1).mean().sqrt()
    table = residual_tables(X, gauss)["lagrangian"]
    residual = table[~table.isnan()].square().mean().sqrt()
    one, four = (metrics.map_error(X, gauss, steps=n) for n in (1, 4))
    rows[name] = [diagonal, residual, one, four]
    print(
        f"{name:<17}" + "".join(f"{value:>{width}.4f}" for value, width in zip(rows[name], (9, 12, 9, 9), strict=True))
    )

# %%
figure, ax = plt.subplots(figsize=(4.6, 3.4))
for k, (name, (diagonal, residual, *_)) in enumerate(rows.items()):
    ax.plot(diagonal, residual, "os^D"[k], ms=8)
    ax.annotate(name, (diagonal, residual), xytext=(8, 5), textcoords="offset points")
ax.set(xlabel="error on the diagonal", ylabel="Lagrangian residual", title="Only the exact map is right on both counts")
ax.set(
    xlim=(-0.05, 1.4 * max(row[0] for row in rows.values())), ylim=(-0.05, 1.2 * max(row[1] for row in rows.values()))
)
plt.show()

# %% [markdown]
# If the true velocity is known, it can take the place of the map's own diagonal in the Lagrangian or in the Eulerian
# equation, and then that equation alone is enough. (The semigroup equation contains no velocity, and still needs the
# diagonal.) To train on it like that, with a velocity that is already known (the *teacher*), is called *distillation*.
# To read the velocity from the diagonal of the map in training, and hold that diagonal to the truth by flow matching,
# is called *self-distillation*.

# %%
s, t = torch.full((500,), 0.2), torch.full((500,), 0.9)
x = metrics.at_time(gauss, 0.2, 500, torch.Generator().manual_seed(8))[0]
for name, X in candidates.items():
    own = losses.lagrangian(X, s, t, x, stopgrad="none").mean().sqrt()
    true = losses.lagrangian(X, s, t, x, stopgrad="none", velocity=gauss.velocity).mean().sqrt()
    print(f"{name:<17} Lagrangian residual with its own velocity {own:.4f}, with the true one {true:.4f}")

# %% [markdown]
# **What to notice.** The Euler step is right on the diagonal and breaks the conditions; the map of another problem
# keeps the conditions and is wrong on the diagonal; the straight line is wrong on both counts, although its one jump
# is perfect: four of its jumps are not. Compare also the last two columns of the table: the map of another problem
# lands in the same wrong place with one jump and with four, while the Euler step gains from more. And with the true
# velocity in the equation (the lines just above) all three wrong maps are found out.
#
# **Try.** Mix two maps, $v = \lambda\, v^\ast + (1 - \lambda)\, v^{\text{other}}$. Is a mixture of two flow maps a
# flow map?

# %% [markdown]
# ## 9. And a map that was learned?
#
# The library brings a network that was trained to obey the Lagrangian equation on the board (lesson 04 says how). Left
# is a net of lines at time $s$; then where the network takes it by time $t$, and where the exact map does. Under them
# stand the three residuals at that one pair $(s, t)$, the root mean square over draws of $I_s$. Each new pair has to be
# solved for, which takes a few seconds.
#
# Move $s$ towards $t$ with the arrow keys (a start beyond the end takes the end along) and watch the three numbers.

# %%
learned = FlowMap(flowmap_edu.load("checkerboard-lsd").slope.double())
widgets.time_explorer(learned, exact=board)

# %% [markdown]
# **What to notice.** None of the residuals is zero, and over short times all three are small, as for the wrong maps of
# section 7. Where the two nets differ, it is along lines where the exact one is torn apart and the network has to stay
# smooth.
#
# **Try.** Hold $t - s$ at a tenth and move both from 0 to 1. When is a jump of that length hard?

# %% [markdown]
# ## Summary
#
# - Three equations single out the flow map of a velocity. Lagrangian: move the end, the landing point goes with the
#   velocity found there. Eulerian: move the start along its path, the landing point stays. Semigroup: a stop on the
#   way changes nothing.
# - Each is necessary and enough, once $X_{s,s}(x) = x$ (built into $x + (t - s)\, v$) and $v_{t,t} = b_t$ hold. The
#   first two are the third with the stop next to an end.
# - The residuals are numbers that can be computed for any candidate without solving for a path. They are zero
#   together, but wrong maps break them in different places.
# - None of them knows the data. That knowledge comes in through the diagonal.
#
# A residual that can be computed can be squared and minimised: [lesson 04](04_losses_and_their_cost.ipynb).
#
# ## Exercises
#
# 1. Show by hand that $X_{s,t}(x) = m t + \frac{S(t)}{S(s)} (x - m s)$, with any positive, differentiable function $S$,
#    obeys the semigroup equation. Which velocity is on its diagonal? Check with `problems.Gaussian`, whose $S(t)^2 =
#    (1-t)^2 \sigma^2 + t^2 c^2$.
# 2. A translation, $X_{s,t}(x) = x + (t - s)\, a$ with a fixed vector $a$: show that all three residuals vanish, and
#    check with `residual_tables`. Of which velocity is it the flow map? Compare the variance of $I_t$ to show that no
#    data, drawn independently of the noise, has this velocity.
# 3. Two mistakes that are easy to make are to take the Eulerian velocity at $(t, X_{s,t}(x))$ instead of $(s, x)$, and
#    to replace $\nabla X\, v_{s,s}$ by $v_{s,s}$. Put each into `eulerian` above. Is the residual of the exact map
#    still zero? Would you notice on the map of exercise 2?
# 4. For the Euler step and small $t - s$, which power of $t - s$ does each residual follow? Derive it, then fit slopes
#    to `tables["one Euler step"]` made with more times.
# 5. Fix a start $x$. Suppose that the Lagrangian residual of $X$ at $(0, t, x)$ is at most $\varepsilon$ for all $t$,
#    that $v_{t,t} = b_t$, and that $b_t$ changes by at most $L$ times the distance. Show that $X_{0,1}(x)$ is off by at
#    most $\varepsilon\, (e^L - 1) / L$, and check it for the Euler step on the Gaussian problem, from some start of
#    yours. (There $L$ is the largest $|S'(t) / S(t)|$.)
#
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
