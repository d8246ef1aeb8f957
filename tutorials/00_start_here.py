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
# # Start here: noise to data in one jump
#
# After this page you can
#
# - say what a velocity, a flow and a flow map are,
# - draw samples from a flow map, by one evaluation of a network or by several,
# - compare that with many small steps along a velocity.
#
# **It assumes** tensors in PyTorch. **It takes** about fifteen minutes: eleven to read, the rest for your code and your
# guesses. It runs in about a minute on two CPU cores. Nothing is trained. All symbols are in [notation](notation.md).
#
# Shift and Enter run a cell. At `prediction = None`, write your guess first. Where code is missing, write it; the
# next cell checks it.

# %%
import torch

import flowmap_edu
from flowmap_edu import FlowMap, course, metrics, problems
from flowmap_edu.viz import figures_00 as figures
from flowmap_edu.viz import live, plots, widgets

plots.use_style()

# %% [markdown]
# ## 1. Motion, velocity, flow, map
#
# Points move on a line while the time $t$ runs from 0 to 1.
#
# 1. **Motion.** A point is at $x_t$ at time $t$. The curve is its *path*.
# 2. **Velocity.** $b_t(x)$ says how fast a point at $x$ moves at time $t$: $\dot x_t = b_t(x_t)$.
# 3. **Flow.** Every starting point has its path. Two paths never meet.
# 4. **Map.** $X_{s,t}(x)$ says where the point that is at $x$ at time $s$ is at time $t$.
#
# At time 0 the points are one heap around 0, the *noise*. At time 1 they are two narrow heaps of the same size around
# $-1$ and 1, the *data*. **Predict:** where does the point that starts at 0.5 end?

# %%
prediction = None  # a number: X_{0,1}(0.5)

# %% tags=["figure"]
line = problems.two_modes()
X_line = FlowMap(line.v)
figures.four_steps(line, X_line)
end = X_line(0.0, 1.0, torch.tensor([[0.5]]))
course.compare(prediction, end, too_high="Beyond the heap is no data.", too_low="Between the heaps is no data.")

# %% [markdown]
# **What to notice.** Grey: where the points are. Open circles are starts, full circles are ends. The velocity (green)
# changes with place and time. The map (orange) joins two places on a path and does not follow it.
#
# **Try.** Where does the point that starts at 0 end?
#
# <details><summary>Answer</summary>
#
# It stays at 0. The picture is the same upside down, so the velocity at 0 points neither up nor down.
#
# </details>

# %% [markdown]
# ## 2. How do you generate with a map?
#
# A generative model turns noise, which is easy to draw, into data. Here both are in the plane. Noise is normal,
# $x_0 \sim N(0, \sigma^2 I)$. Data lie evenly in eight squares of a checkerboard. With the map of a flow from noise
# to data one jump is enough, $x_1 = X_{0,1}(x_0)$. The jump may also stop at any time $u$:
#
# $$X_{0,1}(x) = X_{u,1}\big(X_{0,u}(x)\big).$$
#
# **Write** `jump(X, x, steps)`: it makes `steps` jumps of equal length, from time 0 to `1 / steps`, from there to
# `2 / steps`, and so on to 1. `X(s, t, x)` makes one; `s` and `t` are numbers, `x` has shape `(B, 2)`.


# %% tags=["solution"]
def jump(X, x, steps):
    """x after `steps` jumps of equal length from time 0 to time 1, shape (B, 2)."""
    ### BEGIN SOLUTION
    for k in range(steps):
        x = X(k / steps, (k + 1) / steps, x)
    return x
    ### END SOLUTION


# %%
course.check("00.1", jump)

# %% [markdown]
# Load a map that was trained on points of the board, and jump. The library's `X.sample` does the same as `jump`.

# %%
board, generator = problems.Checkerboard(), torch.Generator().manual_seed(0)
noise = board.base(100_000, generator)
data, _ = board.sample(100_000, generator)
X = flowmap_edu.load("checkerboard-lsd")
with torch.no_grad():
    jumps = {n: jump(X, noise, n) for n in (1, 4, 16)}
    assert torch.equal(X.sample(noise[:100], 4), jump(X, noise[:100], 4))
figures.boards({"noise": noise, "one jump": jumps[1], "data": data})
print(f"points outside the eight squares after one jump: {metrics.kl64(jumps[1]).leak:.1%}")

# %% [markdown]
# **What to notice.** Every point passed through the network once, and the eight squares are there. The printed share
# of the points lies outside the squares, part of it in the faint threads between them.

# %% [markdown]
# ## 3. What does it take without a map?
#
# Most models know only the velocity. They follow it in $N$ small steps (*Euler's method*). A step goes from $x$ at time
# $t$ to $x + b_t(x) / N$, as if the velocity stayed the same on the way. It is one evaluation, as a jump is. For the
# board the exact velocity is known, so here only the step size can cause an error.
#
# *KL64* is a score of samples on the board, and less is better. Lesson 01 explains it, and why exact draws do not score
# 0 either.
#
# **Predict.** After *one* Euler step, is the picture the "noise", the "squares", or one "dot"? And how many steps are
# as good as one jump?

# %%
prediction = None  # a word: "noise", "squares" or "dot"
prediction_steps = None  # a number: 1, 2, 4, 8, 16, 32 or 64


# %%
def euler(x, steps):
    for k in range(steps):
        x = x + board.velocity(k / steps, x) / steps
    return x


walks = {n: euler(noise, n) for n in (1, 2, 4, 8, 16, 32, 64)}

# %% tags=["figure"]
top = {f"{n} jump{'s' * (n > 1)}": points for n, points in jumps.items()} | {"exact draws": data}
bottom = {f"{n} step{'s' * (n > 1)}": walks[n] for n in (1, 4, 16, 32)}
figures.scored({"flow map": top, "Euler": bottom})
wrong = {"noise": "A step has the length of the whole way.", "squares": "Then one step would do."}
course.compare(prediction, "dot" if walks[1].norm(dim=1).max() < 1e-3 else "no dot", wrong=wrong)
enough = min(n for n in walks if metrics.kl64(walks[n]).kl <= metrics.kl64(jumps[1]).kl)
course.compare(prediction_steps, enough, within=0.5)

# %% [markdown]
# **What to notice.** One Euler step sends every point to the centre, the mean of the data (lesson 01 says why). The
# board appears only after many steps. One jump of the map has it already, and more jumps lower its score. With 32 steps
# Euler's method is better than one jump: its velocity is exact, and the map was learned.

# %% [markdown]
# ## 4. Move it
#
# In JupyterLab the slider changes the number of jumps. It shows the density, and 10,000 points in the colours of the
# quarters in which they began. The *map error* is the distance (root mean square) from the places to which the exact
# flow takes the points. Watch one colour. (Without Python you see only the densities; coloured points follow below.)

# %%
euler_map = FlowMap(lambda s, _, x: board.velocity(s, x))  # an Euler step, written as a jump
widgets.step_slider({"flow map": X, "Euler": euler_map}, noise[:10_000], steps=(1, 2, 4, 16), exact=board)

# %% tags=["figure"]
shown = {"1 jump": jumps[1], "16 jumps": jumps[16], "4 Euler steps": walks[4], "16 Euler steps": walks[16]}
figures.by_quarter(noise, shown)
print(f"1 jump, 16 jumps: half of the points end less than {(jumps[16] - jumps[1]).norm(dim=1).median():.3f} apart")

# %% [markdown]
# **What to notice.** One jump and 16 jumps take half of the points to almost the same place. The side of a square
# is 0.5.
#
# A map has two times. In the next figure the noise jumps to time $u$ (above), and from there to 1 (below).

# %% tags=["figure"]
figures.from_any_start(X, noise, (0.0, 0.25, 0.5, 0.75, 1.0))

# %% [markdown]
# **What to notice.** The squares appear late. The lower pictures look alike, as the equation of section 2 says. The
# network had to learn that; this course is about how.
#
# The last figure needs no Python. On the left, 1,500 points move when you change the number of jumps. (Its KL64 are
# for 1,000,000 points and so are lower.) On the right you set $s$ and $t$ of a smaller map: blue is the noise at time
# $s$, orange the same points at time $t$. (On paper there is only the left half.)

# %%
live.checkerboard(points=1500)

# %% [markdown]
# **Try.** Set $t = 1$ and move $s$. Then set $s = t$. What do the two clouds do?
#
# <details><summary>Answer</summary>
#
# With $t = 1$ the orange cloud stays almost the same: the end does not depend on where on the way you start. With
# $s = t$ the two clouds are the same: a jump of length 0 moves nothing.
#
# </details>
#
# ## Summary
#
# A velocity says where a point goes next. A flow map says where it will be. With the map, one evaluation draws a
# sample. With the velocity, even the exact one, many are needed.
#
# ## Next
#
# [01, From noise to data](01_from_noise_to_data.ipynb) builds the velocity and shows why small steps are needed. All
# lessons are in the [README](README.md).
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025. The map used here was trained by
#   its Lagrangian method ("lsd"), with changes for small machines; the [README](../README.md) names them.
