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
# - say what the two-time map $X_{s,t}$ of a flow is, and write it as $x + (t - s)\, v_{s,t}(x)$,
# - prove in three lines that the velocity of the flow sits inside it, at $s = t$ (the *tangent condition*),
# - see that happen on two exact maps, and predict how fast,
# - say what a network that has learned the velocity does not know yet.
#
# **It assumes** [lesson 01](01_from_noise_to_data.ipynb): the interpolant, the velocity $b_t(x)$ and flow matching.
# **It takes** forty minutes to read and about a minute to run on two CPU cores, of which some twenty seconds are
# the training in section 7.

# %%
import matplotlib.pyplot as plt
import torch
from torch.func import jvp

from flowmap_edu import MLP, FlowMap, losses, problems
from flowmap_edu.training import budget
from flowmap_edu.viz import plots, widgets

plots.use_style()
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)  # rates of convergence need the digits

# %% [markdown]
# ## 1. What if a step could be as long as one likes?
#
# Lesson 01 followed a velocity, $\dot x_t = b_t(x_t)$, in small steps, because the velocity says only which way to set
# out. The *flow map* says where one arrives. It is the function with
#
# $$X_{s,t}(x_s) = x_t \qquad \text{for every path of the flow and all times } s, t \in [0, 1],$$
#
# the *jump condition*. A flow for which it is a formula: on the line, noise $N(0, 1)$ and data $N(m, c^2)$. The cloud
# at time $t$ is normal, with mean $m t$ and standard deviation $S(t) = \sqrt{(1-t)^2 + t^2 c^2}$, and the flow only
# shifts and stretches it. A point that is so many deviations from the mean stays so many:
#
# $$\frac{x_t - m t}{S(t)} = \frac{x_s - m s}{S(s)}
#   \quad\Longrightarrow\quad X_{s,t}(x) = m t + \frac{S(t)}{S(s)}\,(x - m s).$$

# %%
m, c = 1.0, 0.25


def S(t):
    return ((1 - t) ** 2 + t**2 * c**2) ** 0.5


def X_line(s, t, x):
    return m * t + S(t) / S(s) * (x - m * s)


def b_line(t, x):
    return m + (t * c**2 - (1 - t)) / S(t) ** 2 * (x - m * t)  # m + S'(t) / S(t) (x - m t)


# %% [markdown]
# Is that the map of the flow of $b$? Walk from $s = 0.2$ to $t = 0.9$ in ten thousand small steps, and compare with one
# jump. Then compare with the library's map of the same problem.

# %%
start = torch.linspace(-2, 2, 9)[:, None]  # nine points on the line, shape (9, 1)
x, h = start, 0.7 / 10_000
for k in range(10_000):
    x = x + h * b_line(0.2 + k * h, x)
print(f"ten thousand steps and one jump differ by {(x - X_line(0.2, 0.9, start)).abs().max():.1e}")
line = problems.Gaussian(m, c, dim=1)
assert torch.allclose(X_line(0.2, 0.9, start), line.flow_map(0.2, 0.9, start))
assert torch.allclose(b_line(0.6, start), line.velocity(0.6, start))

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.2, 3), sharey=True)
times = torch.linspace(0, 1, 101)
for ax in axes:
    ax.plot(times, torch.stack([X_line(0.0, t, start[:, 0]) for t in times]), color="0.75", lw=1)
    ax.set(xlabel="time", ylabel="x")
for ax, t_end in zip(axes, ((1.0,), (0.4, 0.7, 1.0)), strict=True):
    for s, t in zip((0.0, *t_end), t_end, strict=False):
        for x in X_line(0.0, s, start[::2, 0]):
            ax.annotate("", (t, X_line(s, t, x)), (s, x), arrowprops={"arrowstyle": "->", "color": plots.COLOURS[0]})
axes[0].set_title("One jump lands where the path ends")
axes[1].set_title("Three jumps land there too")
plt.show()

# %% [markdown]
# **What to notice.** Gray are the paths, blue the jumps. A jump does not follow its path, it only agrees with it at
# both ends. The starting time may be any time: from where the first jump landed, the map jumps on.
#
# **Try.** Jump backwards, `X_line(1.0, 0.0, x)`. What comes back if `x` was `X_line(0.0, 1.0, start)`?

# %% [markdown]
# ## 2. How should a flow map be written?
#
# A jump over no time must go nowhere, $X_{s,s}(x) = x$. Write the map so that it cannot do otherwise:
#
# $$X_{s,t}(x) = x + (t - s)\, v_{s,t}(x), \qquad
#   v_{s,t}(x) = \frac{X_{s,t}(x) - x}{t - s} = \frac{1}{t - s} \int_s^t b_\tau\big(X_{s,\tau}(x)\big)\, d\tau .$$
#
# So $v_{s,t}(x)$ is the slope of the jump: the *mean* of the velocity over the path from $s$ to $t$. Euler's method
# uses $b_s(x)$ in its place. If $v$ is right, one step of any length is right. This is the whole class:


# %%
class Jump:
    """X_{s,t}(x) = x + (t - s) v_{s,t}(x), for numbers s and t."""

    def __init__(self, v):
        self.v = v

    def __call__(self, s, t, x):
        return x + (t - s) * self.v(s, t, x)


slope = Jump(lambda s, t, x: (X_line(s, t, x) - x) / (t - s))
library = FlowMap(line.v)
assert torch.allclose(slope(0.2, 0.9, start), library(0.2, 0.9, start))
net = MLP(1)  # a network with random weights
assert torch.equal(FlowMap(net)(0.3, 0.3, start), start)

# %%
s, x = 0.1, torch.tensor([[2.0]])
ends = torch.linspace(s + 0.01, 1, 100)
figure, axes = plt.subplots(1, 2, figsize=(8.2, 2.9))
axes[0].plot(ends, [X_line(s, t, x).item() for t in ends], color="0.6", label="the path")
for t in (1.0, 0.7, 0.4):
    axes[0].plot([s, t], [x.item(), X_line(s, t, x).item()], marker="o", label=f"jump to t = {t}")
axes[0].set(title="A jump is a chord of the path", xlabel="time", ylabel="x")
axes[1].plot(ends, [slope.v(s, t, x).item() for t in ends], label="slope of the jump, $v_{s,t}(x)$")
axes[1].plot(s, b_line(s, x).item(), "o", color=plots.COLOURS[1], label="velocity $b_s(x)$")
axes[1].plot(ends, [b_line(t, X_line(s, t, x)).item() for t in ends], ls="--", label="velocity along the path")
axes[1].set(title="Its slope begins at the velocity", xlabel="end time t", ylabel="slope")
for ax in axes:
    ax.legend(fontsize=7)
plt.show()

# %% [markdown]
# **What to notice.** As $t$ comes down to $s$, the chord turns into the tangent, and its slope into the velocity. The
# slope changes less than the velocity does, because it is a mean. And the last assertion
# needed nothing of $v$: even a network with random weights satisfies $X_{s,s}(x) = x$.
#
# **Try.** In the right picture the dashed line runs ahead of the solid one. Differentiate $(t - s)\, v_{s,t}$ to show
# that it must lie above wherever the slope rises, and below wherever it falls.

# %% [markdown]
# ## 3. Where in the map is the velocity?
#
# On paper. Let a point start at $x$ at time $s$ and let its end time run. It runs along its path, so
#
# $$\partial_t X_{s,t}(x) = b_t\big(X_{s,t}(x)\big). \tag{1}$$
#
# Let $s \to t$. Then $X_{s,t}(x) \to x$, and since $b$ is continuous,
#
# $$\lim_{s \to t} \partial_t X_{s,t}(x) = b_t(x) \qquad \textit{(tangent condition)}. \tag{2}$$
#
# In the form of section 2,
# $\partial_t \big[x + (t - s)\, v_{s,t}(x)\big] = v_{s,t}(x) + (t - s)\, \partial_t v_{s,t}(x)$, whose limit is
# $v_{t,t}(x)$. Together
#
# $$\boxed{\; v_{t,t}(x) = b_t(x) \;} \tag{3}$$
#
# The velocity need not be stored beside the map. It *is* the map, on the diagonal $s = t$.
#
# To look at (1) and (2) we need $\partial_t X$. PyTorch's forward mode, `jvp(f, (t,), (w,))`, returns $f(t)$ and
# $f'(t)\, w$ in one pass, exact to rounding; no small differences are taken.


# %%
def partial_t(X, s, t, x):
    """X_{s,t}(x) and its derivative in t; t is a number."""
    t = torch.tensor(t)
    return jvp(lambda t: X(s, t, x), (t,), (torch.ones_like(t),))


landed, speed = partial_t(X_line, 0.2, 0.9, start)
assert torch.allclose(speed, b_line(0.9, landed))  # (1)
_, speed = partial_t(X_line, 0.6, 0.6, start)
assert torch.allclose(speed, b_line(0.6, start))  # (2)
assert torch.allclose(library.v(0.6, 0.6, start), b_line(0.6, start))  # (3)
for mine, theirs in zip(partial_t(X_line, 0.2, 0.9, start), library.partial_t(0.2, 0.9, start), strict=True):
    assert torch.allclose(mine, theirs)

# %%
figure, ax = plt.subplots(figsize=(4.6, 2.9))
x = torch.linspace(-1, 2, 50)[:, None]
for s, colour in ((0.0, 2), (0.3, 5), (0.5, 0)):
    ax.plot(x, partial_t(X_line, s, 0.6, x)[1], color=plots.COLOURS[colour], label=f"s = {s}")
ax.plot(x, b_line(0.6, x), ls="--", color=plots.COLOURS[1], label="velocity $b_t(x)$")
ax.set(
    title="$\\partial_t X_{s,t}(x)$ at t = 0.6 turns into the velocity", xlabel="x", ylabel="$\\partial_t X_{s,t}(x)$"
)
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** The assertions passed: (1) holds for a long jump, (2) and (3) at $s = t$. In the figure, the
# nearer $s$ comes to $t = 0.6$, the nearer is the end point's speed, as a function of the start, to the velocity.
#
# **Try.** Draw it for $t = 0.9$ and $s = 0.3, 0.6, 0.8$. The gaps $t - s$ are the same. Are the distances?

# %% [markdown]
# ## 4. How fast does the map's tangent become the velocity?
#
# Put $\delta = t - s$ and expand (1) about $x$: since $X_{s,t}(x) = x + \delta\, b_t(x) + O(\delta^2)$,
#
# $$\partial_t X_{s,t}(x) - b_t(x) = \delta \; \nabla b_t(x)\, b_t(x) + O(\delta^2), \qquad
#   v_{s,t}(x) - b_t(x) = \tfrac{\delta}{2} \big( \nabla b_t\, b_t - \partial_t b_t \big)(x) + O(\delta^2),$$
#
# the second because $v$ is the mean of $b$ over the path, whose middle is at time $t - \delta/2$ and at
# $x + \tfrac{\delta}{2} b_t(x)$. Both are of first order: half the gap, half the error. And we can say beforehand how
# large they are, as $\nabla b\, b$ and $\partial_t b$ are one `jvp` each.


# %%
def rms(a):
    return a.square().sum(-1).mean().sqrt().item()


def predicted(b, t, x):
    """The two coefficients of delta above, root mean square over the points x."""
    bend = jvp(lambda x: b(t, x), (x,), (b(t, x),))[1]  # grad b . b
    drift = jvp(lambda t: b(t, x), (torch.tensor(t),), (torch.tensor(1.0),))[1]  # d/dt b
    return rms(bend), rms(bend - drift) / 2


t, x = 0.6, m * 0.6 + S(0.6) * torch.randn(1000, 1)  # the cloud at time t
deltas = [2.0**-k for k in range(1, 13)]
tangent = [rms(partial_t(X_line, t - d, t, x)[1] - b_line(t, x)) for d in deltas]
chord = [rms(slope.v(t - d, t, x) - b_line(t, x)) for d in deltas]


# %%
def order(deltas, errors):
    """The slope of log error against log delta over the smaller half of the gaps, by least squares."""
    d, e = torch.tensor(deltas).log(), torch.tensor(errors).log()
    half = d <= d.median()
    d, e = d[half] - d[half].mean(), e[half] - e[half].mean()
    return ((d @ e) / (d @ d)).item()


figure, ax = plt.subplots(figsize=(4.8, 3.2))
for k, (name, errors) in enumerate({"$\\partial_t X_{s,t}(x)$": tangent, "$v_{s,t}(x)$": chord}.items()):
    ax.loglog(deltas, errors, "os"[k], label=f"{name} from $b_t(x)$: order {order(deltas, errors):.3f}")
    ax.loglog(deltas, [predicted(b_line, t, x)[k] * d for d in deltas], color=plots.COLOURS[k], lw=0.8)
ax.set(
    title="On the line both gaps close at first order, as predicted", xlabel="$\\delta = t - s$", ylabel="rms distance"
)
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** The marks are measured, the thin lines are the prediction, with nothing fitted. They agree for
# small $\delta$ and part for long jumps, where the higher terms count.
#
# **Try.** Compare $v_{s,t}(x)$ with the mean of the velocities at both ends of the jump, $\tfrac12\big[b_s(x) +
# b_t(X_{s,t}(x))\big]$. Of which order is the difference?

# %% [markdown]
# ## 5. What does a flow map look like that is not a formula?
#
# The checkerboard's velocity is a formula (lesson 01); its flow map is that velocity followed very exactly,
#
# $$X_{s,t}(x) = x + \int_s^t b_\tau\big(X_{s,\tau}(x)\big)\, d\tau .$$
#
# The library does it by a method of eighth order with error control, so `FlowMap(board.v)` is the map that a network is
# to become. To see a map, lay a net of threads over the plane and carry every knot.

# %%
board = problems.Checkerboard()
X = FlowMap(board.v)
laid = plots.net(half_width=1.2, lines=13, points=81)  # (26 threads, 81 points, 2)
journeys = ((0.0, 0.0), (0.0, 0.6), (0.0, 1.0), (0.6, 1.0))
nets = [X(s, t, laid.flatten(0, 1)).reshape(laid.shape) for s, t in journeys]

figure, axes = plt.subplots(1, 4, figsize=(9.8, 3.1), sharex=True, sharey=True)
for ax, (s, t), carried in zip(axes, journeys, nets, strict=True):
    plots.squares(ax)
    plots.threads(ax, carried)
    ax.set_title(f"from s = {s} to t = {t}" if t > s else f"a net laid at s = {s}")
figure.suptitle("The map squeezes the net, then pulls it apart along the edges of the squares")
plt.show()

# %% [markdown]
# Jumps of one flow can be chained and undone. Here both are checked on a few points (the solver's tolerance is 1e-9).

# %%
x0 = board.sigma * torch.randn(200, 2)
x_half, x1 = X(0.0, 0.5, x0), X(0.0, 1.0, x0)
assert torch.allclose(X(0.5, 1.0, x_half), x1, atol=1e-5)
assert torch.allclose(X(0.5, 0.0, x_half), x0, atol=1e-5)
x_near, dx = X(0.0, 1.0, x0 + 1e-4), (X(0.0, 1.0, x0 + 1e-4) - x1).norm(dim=1) / (2**0.5 * 1e-4)
print("two neighbours at time 0, 1e-4 apart in both coordinates: their distance at time 1, as a multiple, is")
print("  " + ", ".join(f"{q:.2f} ({100 * p:.0f} %)" for p, q in ((p, dx.quantile(p)) for p in (0.1, 0.5, 0.9, 0.99))))

# %% [markdown]
# **What to notice.** Up to $t = 0.6$ the net does little but shrink. After that it is pulled apart: threads cross from
# square to square in one leap, and inside a square they lie evenly. A net laid at $s = 0.6$ ends much like the one laid
# at 0, since what decides the square comes late. The printed quantiles say it in numbers: most neighbours stay
# neighbours, a few are pulled apart. No small network does that sharply, and there learned maps go wrong first.
#
# **Try.** Carry the net back, from $s = 1$ to $t = 0$. Where do the threads between the squares come from?

# %% [markdown]
# And what happens on the way? Here are the paths of some points under 1 to 16 equal jumps, blue with a dot at each
# stop, over the exact curves in orange: jumps of the exact map on the left, Euler's steps on the right. Press play, or
# move the slider with the arrow keys. Without Python running, the picture shows three numbers of jumps.

# %%
euler_steps = FlowMap(lambda s, _, x: board.velocity(s, x))
widgets.trajectory_player({"exact map": X, "Euler's steps": euler_steps}, x0, exact=board)

# %% [markdown]
# **What to notice.** On the left every stop lies on its curve and every end is the right one, be it one jump or more;
# between its stops a jump cuts the corner. On the right each step sets out with the velocity found at its start, leaves
# the curve, and with few steps ends in the wrong place. The distances under the picture say by how much.
#
# **Try.** With one step all of Euler's points end in the centre. Why there? How many steps does it take until each of
# them lies in a grey square?

# %% [markdown]
# ## 6. Does the tangent condition hold on the board, and how fast?
#
# Nothing in section 4 was special to the line, so the same prediction must hold,
#
# $$\big\| \partial_t X_{t-\delta,t}(x) - b_t(x) \big\| \approx \delta\, \big\| \nabla b_t(x)\, b_t(x) \big\| ,$$
#
# with other sizes at other times. The derivative now passes through every step of the solver, in one `jvp`.


# %%
def at_time(t, n):
    """n draws of the interpolant I_t."""
    return (1 - t) * board.sigma * torch.randn(n, 2) + t * board.sample(n)[0]


deltas, points = [2.0**-k for k in range(2, 12)], 60
gaps = {}
for t in (0.3, 0.6, 0.9):
    x = at_time(t, points)
    s = t - torch.tensor(deltas).repeat_interleave(points)  # every gap and every point, as one batch
    speed = X.partial_t(s, t, x.repeat(len(deltas), 1))[1].reshape(len(deltas), points, 2)
    gaps[t] = ([rms(row - board.velocity(t, x)) for row in speed], predicted(board.velocity, t, x)[0])

# %%
figure, ax = plt.subplots(figsize=(5, 3.3))
for (t, (errors, size)), mark in zip(gaps.items(), "os^", strict=True):
    (drawn,) = ax.loglog(deltas, errors, mark, label=f"t = {t}: order {order(deltas, errors):.3f}")
    ax.loglog(deltas, [size * d for d in deltas], color=drawn.get_color(), lw=0.8)
    print(f"t = {t}: measured gap / delta at the smallest delta {errors[-1] / deltas[-1]:7.3f}, predicted {size:7.3f}")
ax.set(title="On the board, too, the gap closes at first order", xlabel="$\\delta = t - s$")
ax.set_ylabel("rms of $\\partial_t X_{s,t}(x) - b_t(x)$")
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** First order at every time, and as large as predicted. But late the constant is several times
# larger, and the straight line begins only at small gaps: near the data the velocity changes over short distances. A
# step that is short enough early is far too long late.
#
# **Try.** Add $t = 0.97$. How does the constant grow as $1 - t$ shrinks?

# %% [markdown]
# ## 7. What does a network know that has learned only the velocity?
#
# By (3), flow matching trains a flow map's diagonal: in lesson 01's loss, put $v_{t,t}$ for the velocity,
#
# $$L(v) = E\, \big| v_{t,t}(I_t) - (x_1 - x_0) \big|^2 .$$
#
# That is why the library's network has two times. Train it with this loss alone (some twenty seconds), then ask it for
# jumps.

# %%
torch.set_default_dtype(torch.float32)
net = MLP(2, hidden=128, layers=4, scale=board.sigma)
X_net, steps = FlowMap(net), budget(2000)
optimizer = torch.optim.Adam(net.parameters(), 4e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
for step in range(steps):
    t, x0, x1 = torch.rand(512), board.sigma * torch.randn(512, 2), board.sample(512)[0]
    I_t = (1 - t)[:, None] * x0 + t[:, None] * x1
    loss = losses.diagonal(X_net, t, I_t, x1 - x0).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    if step % (steps // 10) == 0:
        print(f"{loss.item():.3f}", end=" ")

# %% [markdown]
# What it should answer off the diagonal is known here: the exact slope $v_{s,t}(I_s)$. Beside the network's answer we
# judge Euler's, which takes $b_s$ for every $t$.

# %%
grid, n = torch.linspace(0, 1, 9), 150
rows, columns = torch.triu_indices(9, 9)  # every pair s <= t of the grid
s, t = grid[rows].repeat_interleave(n), grid[columns].repeat_interleave(n)
x0, x1 = board.sigma * torch.randn(len(s), 2), board.sample(len(s))[0]
I_s = (1 - s)[:, None] * x0 + s[:, None] * x1
exact_slope = board.v(s, t, I_s)
with torch.no_grad():
    answers = {"velocity $b_s$ (Euler)": board.velocity(s, I_s), "network, $v_{s,t}$": X_net.v(s, t, I_s)}
tables = {}
for name, answer in answers.items():
    tables[name] = torch.full((9, 9), torch.nan)
    error = (answer - exact_slope).square().sum(1).reshape(-1, n).mean(1).sqrt()
    tables[name][rows, columns] = error.clamp_min(1e-6)
    print(f"{name:<24} wrong by {error[rows == columns].mean():.3f} on the diagonal, {error[8]:.3f} for s = 0, t = 1")

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.4, 2.9))
for ax, (name, table) in zip(axes, tables.items(), strict=False):
    image = plots.over_times(ax, table, low=0.03, high=3)
    ax.set_title(f"error of the {name}")
figure.colorbar(image, ax=axes[1], label="rms, logarithmic", extend="both")
with torch.no_grad():
    plots.board(axes[2], X_net.sample(board.sigma * torch.randn(50_000, 2), steps=1), bins=48)
axes[2].set_title("one jump of the network")
figure.suptitle("Flow matching fixes the diagonal and leaves all jumps undetermined")
plt.show()

# %% [markdown]
# **What to notice.** On the diagonal the network is good; away from it, it was never told anything, and its one jump
# draws no board. Euler's answer is exact on the diagonal and fails away from it in its own way. The triangle of pairs
# $s < t$ has to be filled by something else. The map has to be consistent with itself: there are three ways to say so,
# and they are the subject of [lesson 03](03_three_characterizations.ipynb).
#
# **Try.** Sample the network with 16 jumps, `X_net.sample(x0, steps=16)`, and compare with 16 Euler steps along
# `X_net.velocity`. Which pairs $(s, t)$ does each use?

# %% [markdown]
# ## Summary
#
# - The flow map $X_{s,t}$ carries a point from its place at time $s$ to its place at time $t$, in one evaluation.
# - Written as $x + (t - s)\, v_{s,t}(x)$ it cannot fail to be the identity at $s = t$, and $v_{s,t}$ is the mean
#   velocity over the jump.
# - Tangent condition: $\partial_t X_{s,t}(x) \to b_t(x)$ as $s \to t$, so $v_{t,t} = b_t$. The gap closes at first
#   order in $t - s$, with a constant that can be computed and that is large near the data.
# - Flow matching therefore trains the map's diagonal, and nothing else.
#
# ## Exercises
#
# 1. For the line, bring $v_{s,t}(x)$ into a form without $0/0$ at $s = t$ (multiply $S(t) - S(s)$ by $S(t) + S(s)$).
#    Check it against `line.v`, at $s = t$ too.
# 2. Show that $v_{t,s}\big(X_{s,t}(x)\big) = v_{s,t}(x)$: the way back has the same slope. Check it on the board with
#    `X.v`.
# 3. Let the *start* time run instead. What is $\lim_{s \to t} \partial_s X_{s,t}(x)$? Derive it from the form of
#    section 2 and check it with `library.partial_s`.
# 4. One Euler step is a two-time map too: $Y_{s,t}(x) = x + (t - s)\, b_s(x)$. Show that it satisfies (2) and (3) and
#    violates (1). Of which order in $t - s$ is the violation? Measure it as in section 4.
# 5. For noise $N(0, \sigma^2)$ and data $N(m, c^2)$ on the line, when is $v_{s,t}(x) = b_s(x)$ for all $s$, $t$ and
#    $x$, so that one Euler step is exact? Show that it takes $c = 0$ or $\sigma = 0$, and check with
#    `problems.Gaussian` and a very small `std`.
#
# ## Next
#
# [03, Three ways to recognise a flow map](03_three_characterizations.ipynb)
# asks how one recognises such a map: by three equations.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the two-time map, the form
#   $x + (t - s)\, v_{s,t}(x)$ and the tangent condition, as used here.
# - E. Hairer, S. P. Nørsett, G. Wanner, *Solving ordinary differential equations I*, Springer, 1993: the solver behind
#   the exact map (DOP853), and the order of a method.
