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
# # From noise to data
#
# After this lesson you can
#
# - turn noise into data by following a velocity, and say where that velocity comes from,
# - learn it from samples alone with a loss of one line, and say how low that loss can go,
# - measure why small steps are needed, and how straight the paths would have to be to do without.
#
# **It assumes** linear algebra, conditional expectation and basic PyTorch; nothing about generative models. **It
# takes** forty minutes to read and one to two minutes to run on two CPU cores, of which half a minute is the training
# in section 7.

# %%
import matplotlib.pyplot as plt
import torch

from flowmap_edu import MLP, FlowMap, Linear, losses, metrics, problems
from flowmap_edu.metrics.kl import WHITE
from flowmap_edu.problems.checkerboard import on_board
from flowmap_edu.training import budget
from flowmap_edu.viz import plots

plots.use_style()
torch.manual_seed(0)
board = problems.Checkerboard()


# %% [markdown]
# ## 1. What lies between noise and data?
#
# We want a machine that takes noise, points $x_0 \sim N(0, \sigma^2 I)$ in the plane, and returns data, points $x_1$
# spread evenly over eight squares of a checkerboard. Draw one of each, independently, and walk from the first to
# the second in a straight line:
#
# $$I_t = (1 - t)\, x_0 + t\, x_1, \qquad \dot I_t = x_1 - x_0, \qquad 0 \le t \le 1 .$$
#
# $I_t$ is called an *interpolant*. Time 0 is noise and time 1 is data, here and in the whole course (some papers count
# the other way).


# %%
def interpolate(t, x0, x1):
    """I_t and its time derivative; t has shape (B,), x0 and x1 have shape (B, 2)."""
    t = t[:, None]
    return (1 - t) * x0 + t * x1, x1 - x0


def draw_pairs(n):
    return board.sigma * torch.randn(n, 2), board.sample(n)[0]


x0, x1 = draw_pairs(100_000)
times = torch.rand(len(x0))
for mine, library in zip(interpolate(times, x0, x1), Linear()(times, x0, x1), strict=True):
    assert torch.equal(mine, library)

# %%
figure, axes = plt.subplots(1, 5, figsize=(8.5, 2.2), sharex=True, sharey=True)
for ax, t in zip(axes, (0.0, 0.4, 0.7, 0.9, 1.0), strict=True):
    plots.board(ax, interpolate(torch.full((len(x0),), t), x0, x1)[0], bins=48)
    ax.set_title(f"$I_t$ at t = {t}")
figure.suptitle("Between noise and data the cloud first gathers, then breaks into squares")
plt.show()

# %% [markdown]
# **What to notice.** At every time there is a cloud, and it changes smoothly from noise into data. But $I_t$ itself is
# no way to generate: to draw it one needs $x_1$, which is what we are after.
#
# **Try.** Does the cloud at $t = 0.4$ have a smaller spread than both ends? Work out $E|I_t|^2$, with
# $E|x_0|^2 = E|x_1|^2 = 2/3$, and find where it is smallest.

# %% [markdown]
# ## 2. Which way should a point go that knows only where it is?
#
# Many straight lines cross at one place, each with its own $x_1 - x_0$. A point that stands there at time $t$ cannot
# know on which of them it is. Let it take the average of all of them,
#
# $$b_t(x) = E\big[\, x_1 - x_0 \;\big|\; I_t = x \,\big].$$
#
# This is the *velocity*. Following it, $\dot x_t = b_t(x_t)$ from $x_0$, reproduces the cloud of $I_t$ at every time.
# The reason takes one line. For any smooth function $\varphi$,
#
# $$\frac{d}{dt} E\,\varphi(I_t) = E\big[\nabla\varphi(I_t) \cdot (x_1 - x_0)\big]
#   = E\big[\nabla\varphi(I_t) \cdot b_t(I_t)\big],$$
#
# since given $I_t$ only the mean of $x_1 - x_0$ counts. A cloud that is moved by $b$ obeys the same equation, and both
# start as the same noise.
#
# Let us look at it: of two million pairs, take those that pass close to one place at one time, and average.

# %%
here, t = torch.tensor([0.25, -0.05]), 0.6
x0, x1 = draw_pairs(2_000_000)
I_t, rate = interpolate(torch.full((len(x0),), t), x0, x1)
close = (I_t - here).norm(dim=1) < 0.02
mean, error = rate[close].mean(0), rate[close].std(0) / close.sum().sqrt()
print(f"{close.sum()} lines pass within 0.02 of ({here[0]:.2f}, {here[1]:.2f}) at t = {t}")
for k in range(2):
    exact_b = board.velocity(t, here[None])[0, k]
    print(f"  mean of x1 - x0, coordinate {k + 1}: {mean[k]:+.3f} +- {error[k]:.3f}; exact velocity {exact_b:+.3f}")

# %%
figure, ax = plt.subplots(figsize=(3.8, 3.5))
plots.squares(ax)
lines = torch.stack([x0[close][:60], x1[close][:60]])  # (2 ends, 60 lines, 2)
plots.paths(ax, lines, colour=plots.COLOURS[5], label="lines through one place")
ax.annotate("", here + mean, here, arrowprops={"width": 2, "headwidth": 9, "color": plots.COLOURS[1]}, zorder=5)
ax.set(title="The velocity is the mean of all lines\nthat meet here at t = 0.6", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
ax.set(xlabel="first coordinate", ylabel="second coordinate")
plt.show()

# %% [markdown]
# **What to notice.** The lines (open circle: noise, full circle: data) point in all directions; their mean, the arrow,
# is short. The average agrees with the exact velocity within its error, and it took a great many pairs, because single
# lines scatter so much. Remember that scatter; section 7 meets it again.
#
# **Try.** Put `here` into the middle of a square and let `t` go to 0.95. What happens to the bundle of lines?

# %% [markdown]
# ## 3. What does the velocity look like?
#
# Since $x = (1 - t)\, E[x_0 | x] + t\, E[x_1 | x]$ for $x = I_t$, the velocity can be had from the mean of $x_1$ alone:
#
# $$b_t(x) = \frac{E[x_1 \mid I_t = x] - x}{1 - t}, \qquad
#   E[x_1 \mid I_t = x] = \frac{\int y\; e^{-|x - t y|^2 / 2 (1-t)^2 \sigma^2} \, dy}
#   {\int e^{-|x - t y|^2 / 2 (1-t)^2 \sigma^2} \, dy},$$
#
# both integrals over the squares (Bayes' rule: $x$ came from $y$ if the noise was $(x - t y)/(1 - t)$). The code below
# does them by brute force, as sums over a fine lattice. The library does them by formula, as differences of error
# functions, which stays exact up to $t = 1$.


# %%
def velocity_by_sums(t, x, per_side=40):
    """b_t(x) for one time t and x of shape (B, 2)."""
    axis = (torch.arange(4 * per_side) + 0.5) / (2 * per_side) - 1
    y = torch.cartesian_prod(axis, axis).double()
    y = y[on_board(y)]  # midpoints of small cells, those on the board
    log_weight = -((x[:, None] - t * y) ** 2).sum(-1) / (2 * (1 - t) ** 2 * board.sigma**2)
    return (log_weight.softmax(1) @ y - x) / (1 - t)


x = torch.randn(100, 2, dtype=torch.float64) / 2
for t in (0.0, 0.3, 0.6):
    assert torch.allclose(velocity_by_sums(t, x), board.velocity(t, x), atol=2e-3)

# %%
x0, x1 = draw_pairs(100_000)
figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.8), dpi=75, sharex=True, sharey=True)
for ax, t in zip(axes, (0.0, 0.4, 0.7, 0.9), strict=True):
    plots.board(ax, interpolate(torch.full((len(x0),), t), x0, x1)[0], bins=48)
    plots.arrows(ax, board.velocity, t, colour="white", seconds=0.1 if t < 0.9 else 0.05)
    ax.set_title(f"t = {t}")
figure.suptitle("First everything is drawn to the centre; only late do the squares pull")
plt.show()

# %% [markdown]
# **What to notice.** At $t = 0$ the arrows all point to the centre, and each is as long as the way there: $x_0$ says
# nothing about $x_1$, whose mean is the centre, so $b_0(x) = -x$. Late, the field turns sharply within a short distance
# (the last picture's arrows are drawn half as long).
#
# **Try.** Draw `t = 0.97`. Where is the velocity largest, and are there any points?

# %% [markdown]
# ## 4. How many steps does it take to follow?
#
# With the velocity in hand, generating is walking. Euler's method takes $N$ equal steps,
#
# $$x_{k+1} = x_k + \tfrac1N\, b_{k/N}(x_k), \qquad k = 0, \dots, N - 1 .$$
#
# To judge the result we count it on 64 x 64 bins over $[-1, 1]^2$, whose lines fall on the squares' edges, and compare
# with the truth, $p = 1/2048$ for each of the 2,048 bins on the squares, by the Kullback-Leibler divergence:
#
# $$\mathrm{KL64} = \sum_{\text{bins}} p \log \frac{p}{q}, \qquad
#   q = \frac{\text{count} + \frac12}{\text{points} + \frac12 \, 64^2} .$$
#
# Less is better. The halves keep the score of an empty bin finite. Because counts scatter, exact draws do not score
# zero either: what they score is the *floor*. Both depend on the number of points, so compare scores at equal numbers.


# %%
def euler(velocity, x, steps):
    for k in range(steps):
        x = x + velocity(k / steps, x) / steps
    return x


def kl64(points):
    count, _ = torch.histogramdd(points.double(), bins=[64, 64], range=[-1.0, 1.0, -1.0, 1.0])
    q = (count + 1 / 2) / (len(points) + 64 * 64 / 2)
    on_squares = q[WHITE]  # the 2,048 bins where p = 1 / 2048
    return -(2048 * on_squares).log().mean().item()


assert abs(kl64(x1) - metrics.kl64(x1).kl) < 1e-3


# %% [markdown]
# The board looks the same after half a turn and after swapping the two coordinates. So does the velocity, and so does
# every path: to know four, it is enough to compute one.


# %%
def four(x):
    return torch.cat([x, -x, x.flip(1), -x.flip(1)])


assert torch.allclose(board.velocity(0.7, four(x)), four(board.velocity(0.7, x)))

noise, _ = draw_pairs(25_000)
walked = {n: euler(board.velocity, noise, n) for n in (1, 2, 4, 8, 16, 32, 64)}
kl = {n: kl64(four(points)) for n, points in walked.items()}
floor = metrics.floor64(4 * len(noise))  # KL64 of as many exact draws
print("steps " + "".join(f"{n:>8}" for n in kl))
print("KL64  " + "".join(f"{value:>8.3f}" for value in kl.values()), f"   floor {floor:.3f}")

# %%
figure, axes = plt.subplots(1, 5, figsize=(9.6, 2.2), width_ratios=(1, 1, 1, 1, 1.5))
for ax, n in zip(axes, (2, 4, 16, 64), strict=False):
    plots.board(ax, four(walked[n]), bins=48)
    ax.set_title(f"{n} steps")
plots.against_steps(axes[4], {"Euler": kl}, floor=floor)
axes[4].set_title("each doubling helps")
figure.suptitle("The exact velocity, followed in few steps, draws no board")
plt.show()

# %% [markdown]
# **What to notice.** One step is not drawn: it puts every point onto the centre, since $x + b_0(x) = 0$. With 4 steps
# there is a net of threads, with 16 a board with blurred edges and too many points in its middle. Nothing here was
# learned, so nothing was learned badly. Following is what costs the steps.
#
# **Try.** Take steps that are shorter towards the end, $t_k = 1 - (1 - k/N)^2$. Is 16 of them better than 16 equal
# ones?

# %% [markdown]
# ## 5. Why do few steps fail?
#
# One Euler step uses the velocity at its start for all of its length. That is right if and only if the velocity does
# not change along the path: if the path is straight and its pace is even. A measure of how far it is from that is
#
# $$S = E \int_0^1 \big| b_t(x_t) - (x_1 - x_0) \big|^2 \, dt ,$$
#
# where $x_0$ and $x_1$ are now the two ends of *one path of the flow*. Since $x_1 - x_0$ is the mean of $b_t(x_t)$ over
# the path, $S$ is the part of $E \int |b_t|^2 dt$ that does not help the point to arrive:
# $E \int |b_t|^2 dt = E|x_1 - x_0|^2 + S$. To follow paths accurately we use the library's solver,
# `board.flow_map(0, t, x0)`, an eighth-order method with error control; the next lesson says what else it is.

# %%
times, start = torch.linspace(0, 1, 65), noise[:300]
t = times.repeat_interleave(len(start))  # every point at every time, as one batch
x_t = board.flow_map(0.0, t, start.repeat(65, 1))
path, b = (a.reshape(65, -1, 2) for a in (x_t, board.velocity(t, x_t)))  # (times, points, 2)
chord = path[-1] - path[0]
spent, wasted = (torch.trapezoid(a.square().sum(-1), times, dim=0).mean() for a in (b, b - chord))
print(f"E int |b|^2 dt = {spent:.3f} = {chord.square().sum(-1).mean():.3f} (to arrive) + {wasted:.3f} (S, wasted)")
length = path.diff(dim=0).norm(dim=-1).sum(0)
print(f"half of the paths are more than {(length / chord.norm(dim=-1)).median():.1f} times as long as their chord")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), dpi=80)
plots.squares(axes[0])
plots.paths(axes[0], path[:, :36])
axes[0].set(title="Paths run to the centre first, and turn late", xlabel="first coordinate", ylabel="second coordinate")
along = (b * chord).sum(-1) / chord.norm(dim=-1)  # the part of the velocity that points to the end
for k in range(36):
    axes[1].plot(times, along[:, k] / chord.norm(dim=-1)[k], color=plots.COLOURS[0], lw=0.7, alpha=0.6)
axes[1].axhline(1.0, color=plots.COLOURS[1], label="a straight path at even pace")
axes[1].set(title="Many begin by going the wrong way", xlabel="time t", ylabel="progress to the end, per unit of time")
axes[1].set_ylim(-6, 8)
axes[1].legend(loc="upper left", frameon=True)
plt.show()

# %% [markdown]
# **What to notice.** Most of the speed is spent on going in and coming out again. Where the curve on the right is below
# zero the point moves away from where it will end, and there an Euler step that is too long does harm.
#
# **Try.** Colour the paths by their own share of $S$. Are the worst those that end in the middle squares or in the
# outer ones?

# %% [markdown]
# ## 6. How straight would the paths have to be?
#
# Straighten them in thought. Keep both ends of each path and replace the path by a mixture of itself and its chord,
#
# $$x^\lambda_t = \lambda\, x_t + (1 - \lambda)\, \big[(1 - t)\, x_0 + t\, x_1\big],$$
#
# so that $\lambda = 1$ is the true path and $\lambda = 0$ the straight one, and $S$ becomes $\lambda^2 S$. One Euler
# step along it, with the slope it has at its start, lands at
#
# $$x_0 + \lambda\, b_0(x_0) + (1 - \lambda)(x_1 - x_0) = x_1 + \lambda \cdot
#   \underbrace{\big(x_0 + b_0(x_0) - x_1\big)}_{\text{how far one Euler step misses}} .$$
#
# We know both ends exactly, so we can see which $\lambda$ would do. (Below, solving for 25,000 ends takes some ten
# seconds.)

# %%
arrived = board.flow_map(0.0, 1.0, noise)
miss = walked[1] - arrived
bends = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005)
kl_bend = [kl64(four(arrived + bend * miss)) for bend in bends]
print("bend left " + "".join(f"{bend:>8.3f}" for bend in bends))
print("KL64      " + "".join(f"{value:>8.3f}" for value in kl_bend), f"   exact ends {kl64(four(arrived)):.3f}")
bend, worth = torch.tensor(bends), torch.tensor(kl_bend)
good = bend[worth <= kl[16]].max()
print(f"with bend {good:.3f} left, S falls {1 / good**2:,.0f}-fold and one step is as good as 16 Euler steps")

# %%
figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.5), width_ratios=(1, 1, 1, 1.6))
for ax, share in zip(axes, (0.5, 0.1, 0.02), strict=False):
    plots.board(ax, four(arrived + share * miss), bins=48)
    ax.set_title(f"one step, bend {share}")
axes[3].loglog(bends, kl_bend, marker="o", label="one step")
for n, colour in ((4, 1), (16, 2), (64, 3)):
    axes[3].axhline(kl[n], color=plots.COLOURS[colour], ls="--")
    axes[3].text(1.0, 1.1 * kl[n], f"{n} Euler steps", color=plots.COLOURS[colour], ha="right", fontsize=7)
axes[3].set(xlabel="bend left, $\\lambda$", ylabel="KL64", title="the miss alone explains KL64", ylim=(0.01, 10))
figure.suptitle("One step is good enough only on paths that are almost perfectly straight")
plt.show()

# %% [markdown]
# **What to notice.** One Euler step lands on the centre, so a step with some of the bend left draws the board shrunk by
# $1 - \lambda$. Halving the bend does little for KL64. One step becomes worth 16 only when nearly all of it is gone,
# since a miss must be small beside a square's side of 0.5, and better beside a bin's of 1/32. And KL64 at few steps
# comes from the miss and nothing else: take it away, and one step scores what exact draws score.
#
# The velocity of the board cannot be chosen; its paths are as they are. So the way out is another one: leave the paths
# bent, and learn *where they lead*.
#
# **Try.** Do the same with the miss of 4 Euler steps, `walked[4] - arrived`. Which bend makes 4 steps as good as 16?

# %% [markdown]
# ## 7. Where does one get the velocity from samples alone?
#
# With pictures there is no formula for $b$. But a conditional mean is what least squares find. For any function $v$,
#
# $$L(v) = E\, \big| v_t(I_t) - (x_1 - x_0) \big|^2
#   = \underbrace{E\, \big| v_t(I_t) - b_t(I_t) \big|^2}_{\text{zero for } v = b}
#   + \underbrace{E\, \big| b_t(I_t) - (x_1 - x_0) \big|^2}_{\text{nothing to be done about it}},$$
#
# $t$ uniform; the mixed term vanishes because $b$ is the conditional mean. Minimising $L$ over a network is called
# *flow matching*. It needs pairs $(x_0, x_1)$ and nothing else. The second part is the scatter of section 2: no network
# gets below it. For the board it is a known number, `board.irreducible_loss()`.
#
# The library's network takes two times, $v(s, t, x)$; the next lesson says what the other is for. Here both are $t$.
# (The training takes some twenty seconds.)

# %%
net = MLP(2, hidden=128, layers=4, scale=board.sigma)
steps, history = budget(3000), []
optimizer = torch.optim.Adam(net.parameters(), 4e-3)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
for step in range(steps):
    t, pairs = torch.rand(512), draw_pairs(512)
    I_t, rate = interpolate(t, *pairs)
    loss = (net(t, t, I_t) - rate).square().sum(1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    history.append(loss.item())
    if step % (steps // 10) == 0:
        print(f"{loss.item():.3f}", end=" ")

# %% [markdown]
# Is the loss the library's? And did the network learn the velocity? A fresh sample of the loss scatters too much to
# say; the first part of $L$, which needs the exact velocity, says it sharply.
# (The library's loss wants the network wrapped in `FlowMap`, a name that the next lesson explains.)

# %%
t, (x0, x1) = torch.rand(20_000), draw_pairs(20_000)
I_t, rate = interpolate(t, x0, x1)
with torch.no_grad():
    v = net(t, t, I_t)
    assert torch.allclose((v - rate).square().sum(1), losses.diagonal(FlowMap(net), t, I_t, rate))
excess = (v - board.velocity(t, I_t)).square().sum(1).mean()
fresh = (v - rate).square().sum(1)
print(f"no network is below                 {board.irreducible_loss():.4f}")
print(f"the distance to the exact velocity  {excess:.4f}, squared and averaged")
print(f"so this network's loss is           {board.irreducible_loss() + excess:.4f}")
print(f"and a fresh sample of it            {fresh.mean():.4f} +- {fresh.std() / 20_000**0.5:.4f}")

# %%
figure, ax = plt.subplots(figsize=(5.4, 2.6))
window = max(1, steps // 60)
smooth = torch.tensor(history).unfold(0, window, window).mean(1)
ax.plot(torch.arange(1, len(smooth) + 1) * window, smooth, label=f"loss, mean of {window} steps")
ax.axhline(board.irreducible_loss(), color=plots.COLOURS[1], ls="--", label="irreducible")
ax.set(xlabel="step", ylabel="loss", title="The loss stops far above zero, and yet there is little left to learn")
ax.set_ylim(0.9, max(1.3, 1.02 * smooth[2:].max()))
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** A loss of nearly 1 looks like failure. Almost all of it is scatter that belongs to the task; what
# the network could still gain is the second printed number. Losses of this kind are to be compared with their floor,
# and never with zero.
#
# **Try.** Train with ten times fewer steps. By which factor does the excess change, and by how much the loss?

# %% [markdown]
# ## 8. Does a learned velocity need fewer steps?
#
# The network replaces $b$ in Euler's method; nothing else changes:
#
# $$x_{k+1} = x_k + \tfrac1N\, v_{k/N}(x_k) .$$


# %%
def learned(t, x):
    time = torch.full((len(x),), t)
    return net(time, time, x)


x0, _ = draw_pairs(100_000)
with torch.no_grad():
    samples = {n: euler(learned, x0, n) for n in (1, 2, 4, 8, 16)}
kl_learned = {n: kl64(points) for n, points in samples.items()}

figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.5), width_ratios=(1, 1, 1, 1.6))
for ax, n in zip(axes, (1, 4, 16), strict=False):
    plots.board(ax, samples[n], bins=48)
    ax.set_title(f"learned, {n} step{'s' * (n > 1)}")
plots.against_steps(axes[3], {"exact velocity": kl, "learned velocity": kl_learned}, floor=floor)
figure.suptitle("The learned velocity needs as many steps as the exact one")
plt.show()

# %% [markdown]
# **What to notice.** At few steps the two curves lie together: the error of the steps hides the error of the network.
# At 16 they part: there the network's own error shows. Every way to spend fewer steps has to deal with the first error.
#
# **Try.** Sample with 64 steps (it takes a while). How low does the learned curve get, and what would lower it further?

# %% [markdown]
# ## Summary
#
# - The interpolant joins noise and data pair by pair; the velocity is its mean direction at a place and a time.
# - Following the velocity turns noise into data. It is learned by least squares on pairs, down to a loss that is not
#   zero.
# - An Euler step takes the slope at its start for the mean slope over its length. On the board's paths, which run in
#   and out again, the two differ so much that one step would need paths nearly without bend.
# - If one knew the *mean slope* of a path between two times, one could jump. That function of two times is the subject
#   of [lesson 02](02_the_flow_map_and_its_tangent.ipynb).
#
# ## Exercises
#
# 1. Noise and data both $N(0, 1)$ on the line. Show that $b_t(x) = (2t - 1)\, x / ((1-t)^2 + t^2)$ and that every path
#    ends where it began. What are $E|x_1 - x_0|^2$ and $S$? Check $b$ with `problems.Gaussian(dim=1).velocity`.
# 2. For the same problem show that the irreducible loss is $\pi/2$. Check with
#    `problems.Gaussian(dim=1).irreducible_loss()`.
# 3. Heun's method averages the slopes at both ends of an Euler step, costs two evaluations, and is of second order. On
#    the board, is it better with 16 steps than Euler's method with 32? Why is a higher order no help there? (Let the
#    last step be an Euler step, so that $b_1$ is never asked for.)
# 4. Take $I_t = \cos(\tfrac{\pi}{2} t)\, x_0 + \sin(\tfrac{\pi}{2} t)\, x_1$ instead. What is $b_0(x)$ now, and what
#    does the first Euler step do? Check with the averaging of section 2 and `flowmap_edu.Trigonometric`.
# 5. In section 2, how does the number of pairs needed grow with the dimension of $x$, if the neighbourhood's radius
#    stays 0.02? Why does flow matching not suffer from this?
#
# ## Next
#
# [02, The flow map and its tangent](02_the_flow_map_and_its_tangent.ipynb)
# turns many small steps into one jump, and finds the velocity inside the map.
#
# ## References
#
# - M. S. Albergo, N. M. Boffi, E. Vanden-Eijnden, *Stochastic interpolants: a unifying framework for flows and
#   diffusions*, [arXiv 2303.08797](https://arxiv.org/abs/2303.08797), 2023: interpolants and their velocity.
# - Y. Lipman, R. T. Q. Chen, H. Ben-Hamu, M. Nickel, M. Le, *Flow matching for generative modeling*,
#   [arXiv 2210.02747](https://arxiv.org/abs/2210.02747), 2023: the loss of section 7.
# - X. Liu, C. Gong, Q. Liu, *Flow straight and fast: learning to generate and transfer data with rectified flow*,
#   [arXiv 2209.03003](https://arxiv.org/abs/2209.03003), 2023: straightness as in section 5, and a way to make paths
#   straighter.
