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
# - say what a flow map is for,
# - load one that comes with this library and draw samples from it with 1, 2, 4, 8 or 16 evaluations of a network,
# - compare it with the usual way, many small steps along a velocity, by eye and by a number.
#
# **It assumes** that you have met tensors in PyTorch, and nothing about generative models. **It takes** about a minute
# to run on two CPU cores, two minutes if you then look at the pictures, and five if you read every line. Nothing is
# trained here.
#
# **How to run it.** Click into the first grey cell below and press Shift and Enter: the cell runs, and the next one is
# chosen. Go down the page so. Any cell may be changed and run again.

# %%
import matplotlib.pyplot as plt
import torch

import flowmap_edu
from flowmap_edu import FlowMap, metrics, problems
from flowmap_edu.viz import live, plots, widgets

plots.use_style()
STEPS = (1, 2, 4, 8, 16)

# %% [markdown]
# ## 1. What is to be done?
#
# A generative model turns random numbers that are easy to draw into samples of something that is hard to draw. Here
# the easy ones are *noise*, points $x_0$ of the plane from a normal distribution,
#
# $$x_0 \sim N(0, \sigma^2 I), \qquad \sigma = 1/\sqrt 3,$$
#
# and the hard ones are *data*: points $x_1$ spread evenly over eight of the sixteen squares of a board, like the white
# ones of a chessboard. With pictures in place of points the task is the same, only in more dimensions. On the board
# every mistake can be seen, since its edges are sharp, its squares separate, and the truth known.

# %%
board = problems.Checkerboard()
generator = torch.Generator().manual_seed(0)
noise = board.sigma * torch.randn(100_000, 2, generator=generator)
data = board.sample(100_000, generator=generator)[0]

figure, axes = plt.subplots(1, 2, figsize=(5.4, 2.8), dpi=80, sharex=True, sharey=True)
for ax, points, title in zip(axes, (noise, data), ("noise, easy to draw", "data, hard to draw"), strict=True):
    plots.board(ax, points, bins=48)
    ax.set(title=title, xlabel="first coordinate")
axes[0].set_ylabel("second coordinate")
plt.show()

# %% [markdown]
# **What to notice.** Brighter means more points. To make the right picture out of the left one, points must part to
# the left and to the right of edges that the noise knows nothing of.
#
# **Try.** Change the seed. Does either picture change in a way that you can see?

# %% [markdown]
# ## 2. Can it be done in one go?
#
# A *flow map* is a function with two times in it. Time 0 is noise, time 1 is data, and $X_{s,t}(x)$ is the place where
# a point that is at $x$ at time $s$ will be at time $t$. To generate, jump the whole way:
#
# $$x_1 = X_{0,1}(x_0).$$
#
# The library brings one, a small neural network trained on points of the board. `sample` uses it.

# %%
X = flowmap_edu.load("checkerboard-lsd")
one_jump = X.sample(noise, steps=1)

figure, axes = plt.subplots(1, 3, figsize=(7.6, 2.8), dpi=80, sharex=True, sharey=True)
titles = ("noise", "the same noise after one jump", "true data")
for ax, points, title in zip(axes, (noise, one_jump, data), titles, strict=True):
    plots.board(ax, points)
    ax.set(title=title, xlabel="first coordinate")
axes[0].set_ylabel("second coordinate")
plt.show()
print(f"weights in the network: {sum(w.numel() for w in X.slope.parameters()):,}")
print(f"share of points that landed outside the eight squares: {metrics.kl64(one_jump).leak:.1%}")

# %% [markdown]
# **What to notice.** Every point passed through the network once. The squares are there, and so are the gaps between
# them; what is not yet right are faint threads, where neighbours that should have parted did not part sharply enough.
# The printed share counts them.
#
# **Try.** Draw `X.sample(noise, steps=4)` in the middle instead.

# %% [markdown]
# ## 3. What does the usual way need?
#
# Most models of this kind do not know where a point will end. They know a *velocity* $b_t(x)$, the way to go now, and
# follow it in $N$ small steps (Euler's method):
#
# $$x_{k+1} = x_k + \tfrac1N\, b_{k/N}(x_k), \qquad k = 0, \dots, N-1.$$
#
# Every step is one evaluation, just as a jump is. For the board the velocity is known exactly, so in what follows no
# network is to blame: it is the small steps alone that are on trial.


# %%
def euler(x, steps):
    for k in range(steps):
        x = x + board.velocity(k / steps, x) / steps
    return x


jumps = {n: X.sample(noise, steps=n) for n in STEPS}
walks = {n: euler(noise, n) for n in STEPS}

# %% [markdown]
# To compare them we need a number. KL64 counts the points in 64 x 64 small bins and sums $p \log (p/q)$ over them, $p$
# the true share of a bin and $q$ the counted one (the Kullback-Leibler divergence). Less is better. Since counts
# scatter, not even true data score zero: what they score is the *floor*.

# %%
print(f"{'evaluations':>12} {'flow map':>10} {'Euler':>8}   (KL64, floor {metrics.kl64(data).floor:.3f})")
kl = {n: (metrics.kl64(jumps[n]).kl, metrics.kl64(walks[n]).kl) for n in STEPS}
for n, (of_map, of_euler) in kl.items():
    print(f"{n:>12} {of_map:>10.3f} {of_euler:>8.3f}")
enough = [n for n in STEPS if kl[n][1] <= kl[1][0]]
print("one jump is matched by Euler's method in", f"{enough[0]} steps" if enough else f"more than {STEPS[-1]} steps")

figure, axes = plt.subplots(2, len(STEPS), figsize=(1.7 * len(STEPS), 3.9), dpi=80, sharex=True, sharey=True)
for row, drawn, label in zip(axes, (jumps, walks), ("flow map", "Euler"), strict=True):
    row[0].set_ylabel(label)
    for ax, (n, points) in zip(row, drawn.items(), strict=True):
        plots.board(ax, points, bins=48)
        ax.set_title(f"{n} evaluation{'s' * (n > 1)}")
figure.suptitle("With few evaluations the map draws a board and Euler's method does not")
plt.show()

# %% [markdown]
# **What to notice.** One Euler step sends every point to the centre, a single bright dot that is hard to see, though
# the velocity it follows is exact. The board comes out only with many steps. The map's first jump has it already, and
# more jumps make its edges sharper.
#
# **Try.** Add 32 and 64 to `STEPS` in the first cell. Where does Euler's method overtake the map, and why must it?

# %% [markdown]
# ## 4. The same noise, by 1 to 16 jumps
#
# Do more jumps bring a point to another place, or to the same place more exactly? An exact map would bring it to the
# same place, whatever the number of jumps. Below is a slider over that number. On top is the density, as before; under
# it are 10,000 of the points, coloured by the quarter of the plane in which each began. The table has KL64 and the
# *map error*, the distance (root mean square) from where points land to where the exact flow takes them. Euler's method
# stands beside the map, since its step is a jump too, only one that always takes the velocity at its start.
#
# Click on the slider and press the arrow keys, or drag it. Watch one colour at a time while you go from one jump to
# two. (Some numbers of jumps are ready; any other takes a moment on the first visit.)

# %%
euler_map = FlowMap(lambda s, _, x: board.velocity(s, x))
widgets.step_slider({"flow map": X, "Euler": euler_map}, noise[:10_000], steps=STEPS, exact=board)

# %% [markdown]
# A page on the web or on paper has nothing to move. There, these are the two ends of the slider, with 2,000 points.


# %%
def draw(axes, n):
    right, top = (noise[:2000] > 0).T
    colours = [plots.COLOURS[k] for k in (right + 2 * top).tolist()]
    for ax, drawn, name in zip(axes, (jumps, walks), ("flow map", "Euler"), strict=True):
        plots.squares(ax)
        ax.scatter(*drawn[n][:2000].T, c=colours, s=2)
        ax.set(title=f"{name}, {n} evaluation{'s' * (n > 1)}", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal")


assert torch.equal(euler_map.sample(noise[:100], 4), euler(noise[:100], 4))  # the same steps
figure, axes = plt.subplots(1, 4, figsize=(8.5, 2.5), dpi=64, sharex=True, sharey=True)
draw(axes[:2], 1)
draw(axes[2:], 16)
plt.show()
for n in STEPS[1:]:
    moved = (jumps[n] - jumps[1]).norm(dim=1)
    print(f"{n:>2} jumps and 1 jump: half of all points end less than {moved.median():.3f} apart")

# %% [markdown]
# **What to notice.** On the map's side the colours stay where they are as the number of steps changes: one jump is a
# rougher version of the same journey. On Euler's side the first step mixes all of them in one point, and only more
# steps part them. A square's side is 0.5, and the printed distances are small beside it.
#
# **Try.** Colour by the distance from the centre, `c=noise[:2000].norm(dim=1)`. Where do the outermost points go?

# %% [markdown]
# ## 5. Why two times?
#
# Nothing obliges a jump to start at 0 or to end at 1. A map that knows every pair can stop on the way and go on,
#
# $$X_{0,1}(x) = X_{t,1}\big(X_{0,t}(x)\big),$$
#
# and that is what `sample` does with $N$ jumps. Here is the noise carried from time 0 to four later times, in one jump
# each.

# %%
figure, axes = plt.subplots(1, 5, figsize=(9, 2.2), dpi=80, sharex=True, sharey=True)
with torch.no_grad():
    for ax, t in zip(axes, (0.0, 0.25, 0.5, 0.75, 1.0), strict=True):
        plots.board(ax, X(0.0, t, noise), bins=48)
        ax.set_title(f"time {t}")
figure.suptitle("From noise to data, each picture one jump from the first")
plt.show()

with torch.no_grad():
    apart = X(0.5, 1.0, X(0.0, 0.5, noise)) - X(0.0, 1.0, noise)
    assert torch.equal(X.sample(noise, steps=2), X(0.5, 1.0, X(0.0, 0.5, noise)))  # sample is just that
print(f"one jump or two over the middle: half of all points end less than {apart.norm(dim=1).median():.3f} apart")

# %% [markdown]
# **What to notice.** The squares appear late; for the first half of the way the cloud only gathers. That two jumps
# land close to where one does is not built into the network: it had to be learned, and how is what this course is
# about.
#
# **Try.** Go back: what does `X(1.0, 0.0, data)` draw? (The network has never seen such a pair.)

# %% [markdown]
# ## 6. Both at once, in your hand
#
# The last figure needs no Python once it stands: a browser moves it, in this notebook, in a page made of it, and in a
# lecture hall without network. On the left 2,000 points travel from where one number of jumps puts them to where the
# next one does. On the right a smaller copy of the map is evaluated in the browser itself, for any pair of times: blue
# is noise carried to time $s$, orange is where the map takes it from there by time $t$.

# %%
live.checkerboard(points=2000)

# %% [markdown]
# **What to notice.** On the left hardly a point leaves its square; what moves are the threads in between. On the right,
# with $t$ at its end, the orange cloud stays about the same while $s$ moves and the blue one changes: where a point
# ends does not depend on where along its way one asks. That is the equation of section 5, for every $s$ at once.
#
# **Try.** Push $s$ and $t$ together. Which cloud do you see, and why can it only be that one?

# %% [markdown]
# ## Summary
#
# A flow map says where a point will be, not which way to set out. With it, one evaluation draws a sample, and further
# evaluations refine it. Without it, one follows a velocity, and even the exact velocity needs many steps.
#
# ## Exercises
#
# 1. What would KL64 be for points spread evenly over the whole square $[-1, 1]^2$? Work it out by hand, then check it
#    with `metrics.kl64(2 * torch.rand(100_000, 2) - 1)`.
# 2. `metrics.map_error(X, board)` is the root mean square distance between where one jump puts a point and where the
#    exact flow puts it. Compare it with the median distances printed above. Which is larger, and which few points make
#    it so? (Look at points that begin close to where the flow parts.)
# 3. Multiply `noise` by 1.2, so that it is noise the map was not made for, and find KL64 of one jump and of 16 Euler
#    steps again. One of the two gets *better*. Which, and what in the figure of section 3 lets you expect it?
#
# ## Next
#
# [01, From noise to data](01_from_noise_to_data.ipynb) builds the velocity and finds out why small steps are needed.
# All lessons are listed in the [README](README.md).
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the map used here is trained by its
#   Lagrangian method ("lsd"), with changes for small machines that the repository's [README](../README.md) names.
