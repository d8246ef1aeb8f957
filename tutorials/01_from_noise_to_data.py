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
# - say what the velocity between noise and data is, and prove that following it turns one into the other,
# - follow it by Euler's method, and measure the error in two ways,
# - say what a path must be like for one step to be enough,
# - learn the velocity from samples alone, and say how low the loss can go.
#
# **It assumes** linear algebra, conditional expectation and basic PyTorch, and nothing about generative models. **It
# takes** about an hour and a half: half an hour for the text, the rest for your code and your predictions. It runs in
# about four minutes on two CPU cores; half of that is training. All symbols are in [notation](notation.md).

# %%
import math

import torch

from flowmap_edu import MLP, FlowMap, Linear, Trigonometric, course, losses, metrics, problems
from flowmap_edu.metrics.kl import WHITE
from flowmap_edu.problems.checkerboard import on_board
from flowmap_edu.training import budget
from flowmap_edu.viz import figures_01 as figures
from flowmap_edu.viz import plots

plots.use_style()
torch.manual_seed(0)
line, board = problems.two_modes(), problems.Checkerboard()

# %% [markdown]
# ## 1. What lies between noise and data?
#
# We want a machine that takes *noise*, $x_0 \sim N(0, \sigma^2 I)$, and returns *data* $x_1$. There are two problems.
# On the **line**, data are two narrow heaps at $-1$ and 1, and the noise has $\sigma = 0.6$. On the **board**, data
# lie evenly in eight squares of the plane, and $\sigma^2 = 1/3$. We look at ideas on the line, and at scores on the
# board.
#
# Draw $x_0$ and $x_1$ independently, and go from one to the other in a straight line:
#
# $$I_t = (1 - t)\, x_0 + t\, x_1, \qquad \dot I_t = x_1 - x_0, \qquad 0 \le t \le 1 .$$
#
# $I_t$ is the *interpolant*, $\dot I_t$ its slope. Time 0 is noise and time 1 is data. (Some papers count the other
# way.)
#
# **Write** `interpolate(t, x0, x1)`. It returns $I_t$ and $\dot I_t$. `t` has shape `(B,)`, one time a sample; `x0`
# and `x1` have shape `(B, D)`.


# %% tags=["solution"]
def interpolate(t, x0, x1):
    """I_t and its derivative in time, shape (B, D) each."""
    ### BEGIN SOLUTION
    t = t[:, None]
    I_t = (1 - t) * x0 + t * x1
    dI = x1 - x0
    return I_t, dI
    ### END SOLUTION


# %%
course.check("01.1", interpolate)


# %%
def draw(problem, n, t=None):
    """n samples: their times, noise and data; every time is t, or drawn from [0, 1]."""
    return torch.rand(n) if t is None else torch.full((n,), t), problem.base(n), problem.sample(n)[0]


one = draw(board, 1000)
assert all(map(torch.equal, interpolate(*one), Linear()(*one)))  # the library's interpolant

# %% tags=["figure"]
figures.crossing(line)

# %% [markdown]
# **What to notice.** The lines cross. At each time the places $I_t$ of all lines make a cloud (grey). At time 0 it is
# the noise, at time 1 the data. But $I_t$ cannot be used to generate data: to draw it you need $x_1$.
#
# **Predict.** On the board, $E|x_0|^2 = E|x_1|^2 = 2/3$. At which time is the cloud smallest, measured by $E|I_t|^2$?

# %%
prediction = None  # a time

# %% [markdown]
# **Write** the list `sizes`: for each time in `grid` the mean of $|I_t|^2$ over 100,000 samples of the board. (The
# cell above has `draw`.)

# %% tags=["solution"]
grid = torch.linspace(0, 1, 21)
### BEGIN SOLUTION
sizes = []
for t in grid.tolist():
    I_t, _ = interpolate(*draw(board, 100_000, t))
    sizes.append(I_t.square().sum(1).mean())
### END SOLUTION

# %% tags=["figure"]
reason = "Noise and data have the same size: if they change places, the answer must be the same."
course.compare(prediction, grid[torch.stack(sizes).argmin()], too_high=reason, too_low=reason)
figures.boards({f"t = {t:g}": interpolate(*draw(board, 100_000, t))[0] for t in (0.0, 0.5, 0.7, 0.9, 1.0)})

# %% [markdown]
# **Try.** Derive the time, with $x_0$ and $x_1$ independent and of mean 0.
#
# <details><summary>Answer</summary>
#
# $E|I_t|^2 = (1 - t)^2 E|x_0|^2 + t^2 E|x_1|^2$; the mixed term is $2 t (1 - t)\, E[x_0 \cdot x_1] = 0$. With equal
# sizes this is smallest where $(1 - t)^2 + t^2$ is, at $t = 1/2$: half of what it is at the ends.
#
# </details>

# %% [markdown]
# ## 2. Which way should a point go that knows only where it is?
#
# Many lines pass through one place, each with its own slope. A point that stands there does not know on which of them
# it is. Let it take the mean of all their slopes:
#
# $$b_t(x) = E\big[\, \dot I_t \;\big|\; I_t = x \,\big] .$$
#
# This is the *velocity*. **Predict:** on the line, at $t = 0.4$ and $x = 0.2$, lines go to the heap at 1 with the
# slope $(1 - 0.2) / 0.6 \approx 1.3$ and to the heap at $-1$ with the slope $-2$. What is their mean slope? (Are both
# heaps equally likely, given that the line passes above 0?)

# %%
prediction = None  # a number: b at t = 0.4, x = 0.2

# %% [markdown]
# **Write** `bundled(I_t, dI, x, radius)`. Take the slopes `dI` of all samples whose `I_t` is closer to `x` than
# `radius`. Return their mean, and the standard error of this mean: the standard deviation (`std`) over $\sqrt n$, for
# $n$ slopes. `I_t` and `dI` have shape `(N, D)`; `x` and both answers have shape `(D,)`.


# %% tags=["solution"]
def bundled(I_t, dI, x, radius):
    """The mean slope of the lines that pass close to x, and its standard error, shape (D,) each."""
    ### BEGIN SOLUTION
    close = (I_t - x).norm(dim=1) < radius
    slopes = dI[close]
    error = slopes.std(0) / len(slopes) ** 0.5
    return slopes.mean(0), error
    ### END SOLUTION


# %%
course.check("01.2", bundled)

# %%
b, error = bundled(*interpolate(*draw(line, 1_000_000, 0.4)), torch.tensor([0.2]), 0.01)
print(f"bundled {b.item():.3f} +- {error.item():.3f}, exact {line.velocity(0.4, torch.tensor([[0.2]])).item():.3f}")

# %% tags=["figure"]
high, low = "Then almost all lines would go to the upper heap.", "From above 0 more lines go to the upper heap."
course.compare(prediction, b, too_high=high, too_low=low)
figures.mean_slope(line, 0.4, 0.2)

# %% [markdown]
# Now the board: two million lines at $t = 0.6$, and the mean of those that pass within 0.02 of one place.

# %%
here = torch.tensor([0.25, -0.05])
b, error = bundled(*interpolate(*draw(board, 2_000_000, 0.6)), here, 0.02)
exact = board.velocity(0.6, here[None])[0]
print("mean slope    ", b, "\nstandard error", error, "\nexact         ", exact)
print("difference in standard errors", (b - exact) / error)

# %% [markdown]
# **What to notice.** The mean slopes agree with the exact velocity within about two standard errors, on the line and
# on the board. So many lines were needed for two reasons. Few of them pass close to one place. And the slopes of those
# few differ from each other by much more than the size of their mean. Remember this scatter of the slopes: section 7
# needs it.
#
# **Try.** Suppose that the data had ten coordinates, of the same size as those of the board. How many of two million
# lines would pass within 0.02 of one place?
#
# <details><summary>Answer</summary>
#
# Almost surely none. The share of lines that pass close falls like the radius to the power of the dimension. From 2
# to 10 dimensions it falls by about $0.02^8 \approx 10^{-14}$. So this way to find $b$ ends in few dimensions.
#
# </details>
#
# ### Why following the mean is right
#
# > **Theorem.** Let $x_0$ be noise and $\dot x_t = b_t(x_t)$. Then at each time $t < 1$ the points $x_t$ have the
# > same distribution as $I_t$.
# >
# > *Test functions.* A distribution is known as soon as $E\, \varphi(x)$ is known for every smooth function $\varphi$
# > that vanishes far away. (Take for $\varphi$ a smooth bump that is 1 in a small region: $E\, \varphi$ is about the
# > share of points there.) So we follow such means in time.
# >
# > *Step 1, the lines.* By the chain rule,
# > $\frac{d}{dt} E\, \varphi(I_t) = E\big[\nabla\varphi(I_t) \cdot \dot I_t\big]$.
# > Given $I_t$, only the mean of $\dot I_t$ counts, so this is
# >
# > $$E\big[\nabla\varphi(I_t) \cdot E[\dot I_t \mid I_t]\big] = E\big[\nabla\varphi(I_t) \cdot b_t(I_t)\big] .$$
# >
# > *Step 2, the paths.* By the chain rule,
# > $\frac{d}{dt} E\, \varphi(x_t) = E\big[\nabla\varphi(x_t) \cdot b_t(x_t)\big]$.
# >
# > *Step 3, uniqueness.* So both distributions $p_t$ obey the same equation, for every test function,
# >
# > $$\frac{d}{dt} \int \varphi\, p_t\, dx = \int \nabla\varphi \cdot b_t\, p_t\, dx .$$
# >
# > In short, $\partial_t p_t + \nabla \cdot (p_t\, b_t) = 0$, the *continuity equation*. Both start as the noise.
# > Suppose that for every $T < 1$ the velocity is Lipschitz in $x$, with one constant for all $t \le T$. Then this
# > equation has only one solution up to $T$, and the two distributions agree. The supposition is true here: if the data
# > are bounded, $E[x_1 | I_t = x]$ has bounded derivatives for $t \le T$. $\square$
#
# Step 3 is needed. The velocity $b(x) = 2\sqrt{|x|}$ is not Lipschitz at 0. From 0 a point can stay at 0, or it can
# move as $x_t = t^2$. Both are paths of the same velocity from the same start.
#
# For $t \to 1$ the Lipschitz constant of the board's velocity has no bound: outside the squares the velocity grows like
# the distance to the nearest square, divided by $1 - t$. So we define the *end* of a path as the limit of $x_t$ for
# $t \to 1$. The ends have the distribution of the data, the limit of that of $I_t$. The map from starts to ends is not
# continuous: there are curves in the noise such that points on the two sides of a curve go to different squares. (The
# data of the line are not bounded. They are a mixture of Gaussians, and for these $b$ is smooth up to $t = 1$.)
#
# Check the theorem on the line with $\varphi(x) = \cos 3x$, which is smooth and bounded. **Write** `means(t)`. It
# returns two numbers: the mean of $\varphi$ over 20,000 places $I_t$, and over 20,000 places $x_t$. `line.base(20_000)`
# draws starts, and `line.flow_map(0.0, t, x0, tolerance=1e-6)` moves points `x0` of shape `(B, 1)` along their paths,
# by an accurate solver.


# %% tags=["solution"]
def means(t):
    """E cos(3 I_t) and E cos(3 x_t), two numbers."""
    ### BEGIN SOLUTION
    I_t, _ = interpolate(*draw(line, 20_000, t))
    x_t = line.flow_map(0.0, t, line.base(20_000), tolerance=1e-6)
    return torch.cos(3 * I_t).mean().item(), torch.cos(3 * x_t).mean().item()
    ### END SOLUTION


# %% [markdown]
# On the line this mean has a formula. Given its heap at $\pm 1$, $I_t$ is normal, with the mean $\pm t$ and the
# variance $S(t)^2 = (1 - t)^2 \sigma^2 + t^2 c^2$, where $c = 0.1$ is the width of a heap. Then the mean of
# $\cos 3 I_t$ is $\cos(3 t)\, e^{-9 S(t)^2 / 2}$. The standard error of your means is at most
# $1 / \sqrt{20000} \approx 0.007$.

# %%
for t in (0.25, 0.5, 0.75, 1.0):
    exact = math.cos(3 * t) * math.exp(-4.5 * (((1 - t) * line.sigma) ** 2 + (0.1 * t) ** 2))
    found = means(t)
    print("t = {:4}: mean over lines {:+.3f}, over paths {:+.3f},".format(t, *found), f"exact {exact:+.3f}")
    assert all(abs(mean - exact) < 0.035 for mean in found)  # five standard errors, each at most 0.007

# %% tags=["figure"]
figures.lines_and_paths(line)

# %% [markdown]
# **What to notice.** Lines cross, paths do not. The starts are the same on both sides, and most ends are not: the path
# from a start is not the line from it. But the clouds agree at each time: the two means that are printed for it differ
# from the exact one by less than the bound of the standard error.

# %% [markdown]
# ## 3. What does the velocity look like?
#
# Since $x = (1 - t)\, E[x_0 | x] + t\, E[x_1 | x]$ for $x = I_t$, the mean of $x_1$ is enough to know the velocity:
#
# $$b_t(x) = E[x_1 - x_0 \mid I_t = x] = \frac{E[x_1 \mid I_t = x] - x}{1 - t} .$$
#
# Let the data be a list of samples $y_1, \dots, y_n$, all equally likely. The point $x$ came from $y_i$ if the noise
# was $(x - t y_i) / (1 - t)$. So by Bayes' rule
#
# $$E[x_1 \mid I_t = x] = \sum_i w_i\, y_i, \qquad
#   w_i \propto \exp\Big(-\frac{|x - t\, y_i|^2}{2\, (1 - t)^2\, \sigma^2}\Big), \qquad \sum_i w_i = 1 .$$
#
# **Predict:** on the board, what is the first coordinate of $b_0(x)$ at $x = (0.5, 0.5)$?

# %%
prediction = None  # a number

# %% [markdown]
# **Write** `velocity_from(t, x, data, sigma)`, for one time `t`, `x` of shape `(B, D)` and `data` of shape `(n, D)`.
# A softmax makes weights that sum to 1.


# %% tags=["solution"]
def velocity_from(t, x, data, sigma):
    """b_t(x) for data that is uniform over the samples, shape (B, D)."""
    ### BEGIN SOLUTION
    away = x[:, None] - t * data  # (B, n, D)
    weight = torch.softmax(-away.square().sum(-1) / (2 * (1 - t) ** 2 * sigma**2), dim=1)  # (B, n)
    mean = weight @ data  # (B, D)
    return (mean - x) / (1 - t)
    ### END SOLUTION


# %%
course.check("01.3", velocity_from)

# %% [markdown]
# With the midpoints of a fine lattice as data, this is close to the velocity of the board: the next cell checks it to
# 0.002. The library has a formula for the board (differences of error functions), which is exact up to $t = 1$.

# %%
axis = (torch.arange(160, dtype=torch.float64) + 0.5) / 80 - 1
lattice = torch.cartesian_prod(axis, axis)
lattice, x = lattice[on_board(lattice)], torch.randn(100, 2, dtype=torch.float64) / 2
for t in (0.0, 0.3, 0.6):
    assert torch.allclose(velocity_from(t, x, lattice, board.sigma), board.velocity(t, x), atol=2e-3)

# %% tags=["figure"]
high, low = "The aim is the centre, the mean of the data.", "The way is 0.5 long, and the time left is 1."
course.compare(prediction, board.velocity(0.0, torch.tensor([[0.5, 0.5]]))[0, 0], too_high=high, too_low=low)
clouds = {t: interpolate(*draw(board, 100_000, t))[0] for t in (0.0, 0.4, 0.7, 0.9)}
figures.fields(board, clouds)

# %% [markdown]
# **What to notice.** The white arrows are $b_t / 4$, the way in a quarter of the time if the velocity stays the same.
# They are drawn only where the density is not very low. At $t = 0$ all of them point to the centre: $x_0$ says nothing
# about $x_1$, whose mean is the centre, so $b_0(x) = -x$. At $t = 0.9$ the direction changes within a short distance,
# from one square to the next.
#
# **Try.** What does `velocity_from` do to a point when `data` are 10 samples and $t$ is close to 1?
#
# <details><summary>Answer</summary>
#
# One weight becomes 1: that of the sample nearest to $x$. The point ends on that sample. The exact velocity of a
# finite list of samples makes copies of the samples. A model that makes new samples must differ from
# this velocity.
#
# </details>

# %% [markdown]
# ## 4. How many steps does it take to follow?
#
# Euler's method takes $N$ equal steps. $N$ is the *step count*:
#
# $$x_{k+1} = x_k + \tfrac1N\, b_{k/N}(x_k), \qquad k = 0, \dots, N - 1 .$$
#
# **Write** `euler(velocity, x, steps)`. `velocity(t, x)` takes a number `t` and points of shape `(B, D)`.


# %% tags=["solution"]
def euler(velocity, x, steps):
    """The points after `steps` equal steps from time 0 to time 1, shape (B, D)."""
    ### BEGIN SOLUTION
    for k in range(steps):
        x = x + velocity(k / steps, x) / steps
    return x
    ### END SOLUTION


# %%
course.check("01.4", euler)

# %% [markdown]
# To judge the points we count them in 64 x 64 bins over $[-1, 1]^2$. The edges of the squares lie on edges of bins, so
# each bin is inside a square (*white*) or outside. The true share is $p = 1/2048$ in each of the 2,048 white bins, and
# 0 elsewhere. The score is the Kullback-Leibler divergence
#
# $$\mathrm{KL64} = \sum_{\text{white bins}} p \log \frac{p}{q}, \qquad
#   q = \frac{\text{count} + \frac12}{\text{points} + \frac12 \cdot 64^2} .$$
#
# Without the halves, one empty white bin would make it infinite.
#
# **Write** `kl64(points, white)`; it returns a number. `white` has shape `(64, 64)` and is true on the white bins.
# `torch.histogramdd(points.double(), bins=[64, 64], range=[-1.0, 1.0, -1.0, 1.0])` returns the counts, shape
# `(64, 64)`, and the edges.


# %% tags=["solution"]
def kl64(points, white):
    """KL64 of points of the plane, a number."""
    ### BEGIN SOLUTION
    count, _ = torch.histogramdd(points.double(), bins=[64, 64], range=[-1.0, 1.0, -1.0, 1.0])
    q = (count + 1 / 2) / (len(points) + 64 * 64 / 2)
    p = 1 / 2048
    return (p * (p / q[white]).log()).sum().item()
    ### END SOLUTION


# %%
course.check("01.5", kl64)

# %% [markdown]
# What does KL64 see? **Predict** its value for exact draws that are shrunk by 2 %, all points times 0.98. Exact draws
# score about 0.02.

# %%
prediction = None  # a number

# %%
exact_draws = board.sample(100_000)[0]
count = torch.histogramdd(exact_draws.double(), bins=[64, 64], range=[-1.0, 1.0, -1.0, 1.0])[0][WHITE]
print(f"exact draws {kl64(exact_draws, WHITE):.4f}; without the halves {-(2048 * count / 100_000).log().mean():.4f}")
print("shrunk by   " + "".join(f"{share:>8.0%}" for share in (0.01, 0.02, 0.05)))
print("KL64        " + "".join(f"{kl64((1 - share) * exact_draws, WHITE):>8.3f}" for share in (0.01, 0.02, 0.05)))

# %% tags=["figure"]
high, low = "The bins inside hardly change.", "The outermost bins lose points; the logarithm punishes it."
course.compare(prediction, kl64(0.98 * exact_draws, WHITE), within=0.3, too_high=high, too_low=low)

# %% [markdown]
# **What to notice.** The score of exact draws, the *floor*, has two parts of about the same size. One is the scatter
# of the counts. The other is the half point that each bin outside the squares gets. Both depend on the number of
# points, so compare scores only at equal numbers of points. And a board that is 2 % too small, less than one bin at the
# edge, scores more than three times the floor. So we use a second measure: the *distance* (root mean square) from
# where the exact path of each point ends. KL64 and the distance are our two *judges* of the points.
#
# The board looks the same after half a turn and after its coordinates are exchanged. The velocity does too. So one
# path gives four. (The exact ends take about ten seconds.)


# %%
def four(x):
    return torch.cat([x, -x, x.flip(1), -x.flip(1)])


def distance(x, y):
    return (x - y).square().sum(1).mean().sqrt().item()


assert torch.allclose(board.velocity(0.7, four(x)), four(board.velocity(0.7, x)))
noise, COUNTS = board.base(25_000), (1, 2, 4, 8, 16, 32, 64)
ends = board.flow_map(0.0, 1.0, noise, tolerance=1e-6)  # X_{0,1}(x0) by an accurate solver

# %% [markdown]
# **Predict.** Exact draws score 0.02. Which is the first of the step counts 1, 2, 4, 8, 16, 32 and 64 for which KL64 is
# at most twice as large?

# %%
prediction = None  # a step count

# %% [markdown]
# **Write** three dictionaries, with a value for each `n` in `COUNTS`: `walked[n]`, where `n` Euler steps along
# `board.velocity` take `noise`; `kl[n]`, the KL64 of `four(walked[n])`; and `off[n]`, the distance of `walked[n]` from
# `ends`. (`WHITE` is the library's tensor of the white bins.)

# %% tags=["solution"]
### BEGIN SOLUTION
walked = {n: euler(board.velocity, noise, n) for n in COUNTS}
kl = {n: kl64(four(walked[n]), WHITE) for n in COUNTS}
off = {n: distance(walked[n], ends) for n in COUNTS}
### END SOLUTION

# %%
assert abs(kl[16] - metrics.kl64(four(walked[16])).kl) < 1e-3  # the library's score
draws = [noise, board.base(25_000), board.base(25_000)]
ranges = {n: [kl64(four(euler(board.velocity, z, n)), WHITE) for z in draws] for n in COUNTS}
floor = metrics.floor64(4 * len(noise))
print("steps     " + "".join(f"{n:>8}" for n in COUNTS))
print("KL64 from " + "".join(f"{min(values):>8.3f}" for values in ranges.values()), "  three draws of the noise")
print("       to " + "".join(f"{max(values):>8.3f}" for values in ranges.values()), f"  floor {floor:.3f}")
print("distance  " + "".join(f"{off[n]:>8.3f}" for n in COUNTS))

# %% tags=["figure"]
high, low = "The steps would have to make larger errors.", "The steps would have to make smaller errors."
course.compare(prediction, next(n for n in COUNTS if kl[n] <= 2 * floor), too_high=high, too_low=low)
figures.against_steps(kl, off, floor)
figures.boards({f"{n} steps": four(walked[n]) for n in (2, 4, 8, 16, 64)}, "Euler's method with the exact velocity")

# %% [markdown]
# **What to notice.** One step (not drawn) puts every point onto the centre, since $x + b_0(x) = 0$. With 4 steps
# most points lie in a net of narrow bands, with 16 in a board with blurred edges. Each doubling of the steps divides
# the distance by about two at first, and by less later. KL64 falls unevenly. Nothing was learned here: the velocity is
# exact, and only the size of the steps causes the errors.
#
# **Try.** Are 16 steps better if they are shorter towards the end, from $t_k$ to $t_{k+1}$ with
# $t_k = 1 - (1 - k/N)^2$? Write `shorter_late(velocity, x, steps)`.


# %% tags=["solution"]
def shorter_late(velocity, x, steps):
    """Euler's method with steps that become shorter, shape (B, D)."""
    ### BEGIN SOLUTION
    times = [1 - (1 - k / steps) ** 2 for k in range(steps + 1)]
    for k in range(steps):
        x = x + (times[k + 1] - times[k]) * velocity(times[k], x)
    return x
    ### END SOLUTION


# %%
course.check("01.6", shorter_late)
later = shorter_late(board.velocity, noise, 16)
print(f"16 steps, shorter late: KL64 {kl64(four(later), WHITE):.3f}, distance {distance(later, ends):.3f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# By KL64 they are better than 16 equal steps, by the distance they are worse. The two judges measure different
# things: KL64 asks in which bins points are missing, the distance asks where each point is. Section 6 returns to this.
#
# </details>

# %% [markdown]
# ## 5. Why do few steps fail?
#
# A step uses the velocity at its start for its whole length. So one step from time 0 is exact *for every step length*
# if and only if the velocity does not change along the path: the path is straight and its speed is constant. For one
# step length it can be exact by luck. The point with $\dot x = 1 + \sin 2 \pi t$ is an example:

# %%
for length in (1.0, 0.5):
    exact = length + (1 - torch.cos(torch.tensor(2 * torch.pi * length))) / (2 * torch.pi)
    print(f"one step of length {length}: off by {length * 1.0 - exact:+.3f}")  # the velocity at time 0 is 1

# %% tags=["figure"]
figures.steps_on_a_path(line)

# %% [markdown]
# **What to notice.** The *chord* (orange) is the straight line from the start of the path to its end. One Euler step
# (green) has the slope of the path at its start. Here that slope is negative and the slope of the chord is positive, so
# the step ends between the two heaps. Four steps read the velocity again, and come close to the end of the path.
#
# We write $X_{0,1}(x_0)$ for the end of the path from $x_0$. It is *not* the $x_1$ of a pair, which was drawn
# independently of $x_0$. As a vector, the chord is $X_{0,1}(x_0) - x_0$. How far the velocity on a path is from the
# chord is measured by
#
# $$W = E \int_0^1 \big| b_t(x_t) - (X_{0,1}(x_0) - x_0) \big|^2 \, dt, \qquad
#   E \int_0^1 |b_t(x_t)|^2 dt = E\, |X_{0,1}(x_0) - x_0|^2 + W .$$
#
# The second equation holds because the chord is the mean of $b_t(x_t)$ over the path. It says: $W$ is the part of
# $E \int |b|^2 dt$ that straight paths with constant speed and the same ends would not need. We call it wasted. $W = 0$
# means that one step is exact for almost every path.
#
# **Predict.** On the board, which share of the points moves *away* from its end just after the start, at
# $t = 1/64$?

# %%
prediction = None  # a share, from 0 to 1

# %% [markdown]
# **Write** `waste(b, chord)`: for each path the mean over time of $|b - \text{chord}|^2$. `b` has shape `(T, B, D)`,
# the velocity at `T` equally spaced times; `chord` has shape `(B, D)`; the answer has shape `(B,)`.


# %% tags=["solution"]
def waste(b, chord):
    """The mean over time of |b - chord|^2 for each path, shape (B,)."""
    ### BEGIN SOLUTION
    bend = b - chord  # (T, B, D)
    return bend.square().sum(-1).mean(0)
    ### END SOLUTION


# %%
course.check("01.7", waste)

# %%
few, times = noise[:1000], (torch.arange(32) + 0.5) / 32
path = torch.stack([board.flow_map(0.0, t, few, tolerance=1e-6) for t in times.tolist()])  # (32, 1000, 2)
b = torch.stack([board.velocity(t, x) for t, x in zip(times.tolist(), path, strict=True)])

# %% [markdown]
# **Write** `growth(b, path, ends)`, shape `(T, B)`: the derivative in time of the distance of each point from the end
# of its path. `b` and `path` have shape `(T, B, D)`, `ends` has shape `(B, D)`. Where it is positive, the point moves
# away.


# %% tags=["solution"]
def growth(b, path, ends):
    """d/dt |x_t - end|, shape (T, B)."""
    ### BEGIN SOLUTION
    away = path - ends  # (T, B, D)
    direction = away / away.norm(dim=-1, keepdim=True)
    return (b * direction).sum(-1)
    ### END SOLUTION


# %%
course.check("01.8", growth)

# %%
chord, rate = ends[:1000] - few, growth(b, path, ends[:1000])
_, x0, x1 = draw(board, 100_000)


def told(values):
    return f"{values.mean():.3f} +- {values.std() / len(values) ** 0.5:.3f}"


print("E int |b|^2 dt           ", told(b.square().sum(-1).mean(0)), f"exact {4 / 3 - board.irreducible_loss():.4f}")
print("E |X_{0,1}(x0) - x0|^2   ", told(chord.square().sum(1)))
print("W                        ", told(waste(b, chord)))
print("E |x1 - x0|^2, pairs     ", told((x1 - x0).square().sum(1)), f"exact {4 / 3:.4f}")
for k in (0, 8, 20):
    print(f"share that moves away at t = {times[k]:.3f}: {(rate[k] > 0).float().mean():.2f}")

# %% tags=["figure"]
high, low = (
    "The way to the centre brings some points nearer to their ends.",
    "The points go to the centre first; most ends are not there.",
)
course.compare(prediction, (rate[0] > 0).float().mean(), too_high=high, too_low=low)
figures.progress(times, path, rate)

# %% [markdown]
# **What to notice.** Most of the motion is wasted: the paths go towards the centre first and then out again. Most
# points first move away from their ends (on the right, above 0), and later almost none does. The printed shares are
# those of 1,000 paths; the figure shows eight of them, which lie far apart. The end of a path is much nearer to its
# start than the $x_1$ of a random pair is to its $x_0$: the printed $E|X_{0,1}(x_0) - x_0|^2$ is far below
# $E|x_1 - x_0|^2$. (The exact value in the first line is $E|x_1 - x_0|^2$ less the scatter of the slopes; exercise 2
# says why.)
#
# **Try.** Why is $b_t(x_t) \cdot (X_{0,1}(x_0) - x_0) < 0$ not the condition for moving away?
#
# <details><summary>Answer</summary>
#
# A point moves away from its end if $b_t(x_t) \cdot (X_{0,1}(x_0) - x_t) < 0$: the direction to the end is taken from
# where the point *is*. The chord is the direction from the *start*, and the point has left the start.
#
# </details>

# %% [markdown]
# ## 6. How straight would the paths have to be?
#
# *You can leave this section out.* The rest of this lesson uses none of its code, and the later lessons need one
# sentence of it: the paths depend on how $x_0$ and $x_1$ are paired, and this course pairs them independently. (One
# "Try" of section 7 asks about the sorted pairs.)
#
# We know where each path ends, so we can make one Euler step better by hand: keep a share $\lambda$ of its error,
#
# $$y_\lambda = X_{0,1}(x_0) + \lambda\, \big(\underbrace{x_0 + b_0(x_0)}_{\text{one Euler step}}
#   - X_{0,1}(x_0)\big) .$$
#
# (This asks about the ends only. Paths between these ends might cross, and then no velocity has them.) **Predict:**
# which share $\lambda$ has the same *distance* from the exact ends as 16 Euler steps? Is the share with the same
# *KL64* as 16 Euler steps "larger" than that, "equal", or "smaller"?

# %%
prediction = None  # a share, from 0 to 1
prediction_kl = None  # a word: "larger", "equal" or "smaller"

# %% [markdown]
# **Write** the dictionary `kept`: for each share in `shares` the points $y_\lambda$, from `walked[1]` and `ends`.
# Then `judged`: for each share the pair of distance from `ends` and KL64 (of `four`).

# %% tags=["solution"]
shares = (1.0, 0.5, 0.25, off[16] / off[1], 0.05, 0.02, 0.01)
### BEGIN SOLUTION
error = walked[1] - ends
kept = {share: ends + share * error for share in shares}
judged = {share: (distance(points, ends), kl64(four(points), WHITE)) for share, points in kept.items()}
### END SOLUTION

# %%
same = shares[3]
enough = max(share for share in shares if judged[share][1] <= kl[16])
print(f"16 Euler steps: distance {off[16]:.3f}, KL64 {kl[16]:.3f}")
print(f"one step, share {same:.3f}: distance {judged[same][0]:.3f}, KL64 {judged[same][1]:.3f}")
print(f"one step, share {enough:.3f}: distance {judged[enough][0]:.3f}, KL64 {judged[enough][1]:.3f}")

# %% tags=["figure"]
high, low = "With that share one step would miss by more.", "With that share one step would miss by less."
course.compare(prediction, same, within=0.3, too_high=high, too_low=low)
words = {"larger": "Then KL64 would allow a larger error than the distance does.", "equal": "Then both would agree."}
course.compare(prediction_kl, "smaller", wrong=words)
figures.two_judges({"Euler, N steps": {n: (off[n], kl[n]) for n in COUNTS}, "one step, a share kept": judged}, floor)
equal = {"16 Euler steps": walked[16], "1 step, equal distance": kept[same], "exact ends": ends}
figures.boards({name: four(points) for name, points in equal.items()})

# %% [markdown]
# **What to notice.** By both judges the error of one step has to be small. They do not agree how small. One Euler step
# lands on the centre, so a step with a share of the error kept draws the board *shrunk* by that share. Section 4
# showed that KL64 is sensitive to this. At equal distance the shrunk board has a much higher KL64 than 16 Euler steps,
# although it is an exact board, only smaller. If someone says how straight paths must be, ask by which judge.
#
# ### The paths can be chosen
#
# The velocity depends on two choices of ours: how $x_0$ and $x_1$ are paired (the *coupling*; here independent), and
# the curve between them (the *interpolant*; here straight). With some other choices the paths are straighter. On
# the line, sort both lists and pair them in order:

# %%
t, x0, x1 = draw(line, 100_000, 0.4)
pairs = {"independent pairs": (x0, x1), "sorted pairs": (x0.sort(0)[0], x1.sort(0)[0])}
for name, two in pairs.items():
    print(
        f"{name}: mean slope at (0.4, 0.6), standard error", *bundled(*interpolate(t, *two), torch.tensor([0.6]), 0.01)
    )

# %% tags=["figure"]
figures.pairings(pairs)

# %% [markdown]
# **What to notice.** Lines of sorted pairs do not cross. All lines close to one place have nearly the same slope: the
# printed standard error is far below that of independent pairs. So (for very many pairs) the velocity is that slope,
# the paths are the lines, and $W = 0$: one Euler step is exact.
#
# Why does this course take another road? Points of the plane and images cannot be sorted. Optimal transport takes the
# place of sorting. In practice it pairs the samples of one batch, and then the paths are straighter but not straight
# [4]. *Rectified flow* pairs each $x_0$ with the end of its own path [3]. It needs a learned velocity first, then a
# solved path for each pair, and one round does not make the paths straight. We keep the independent pairs and the
# bent paths, and learn *where they lead*: the map $X_{s,t}$.

# %% [markdown]
# ## 7. How is the velocity learned from samples alone?
#
# For images there is no formula for $b$. But least squares find conditional means. For any function $v$, with $t$
# uniform,
#
# $$E\, \big| v_t(I_t) - \dot I_t \big|^2
#   = \underbrace{E\, \big| v_t(I_t) - b_t(I_t) \big|^2}_{\text{zero for } v = b}
#   + \underbrace{E\, \big| b_t(I_t) - \dot I_t \big|^2}_{\text{the irreducible loss}} .$$
#
# The mixed term vanishes, because given $I_t$ the mean of $b_t(I_t) - \dot I_t$ is 0. To minimise this over a network
# is called *flow matching*. It needs pairs and nothing else. The second part does not depend on $v$. It is the scatter
# of the slopes that section 2 met. For the board it is known: `board.irreducible_loss()`.
#
# **Write** `flow_matching(v, t, x0, x1)`: the squared length of $v_t(I_t) - \dot I_t$ for each sample, shape `(B,)`.
# `v(t, x)` takes times of shape `(B,)` and points of shape `(B, D)`. Use `interpolate`.


# %% tags=["solution"]
def flow_matching(v, t, x0, x1):
    """|v_t(I_t) - dI_t|^2 of each sample, shape (B,)."""
    ### BEGIN SOLUTION
    I_t, dI = interpolate(t, x0, x1)
    residual = v(t, I_t) - dI
    return residual.square().sum(1)
    ### END SOLUTION


# %%
course.check("01.9", flow_matching)

# %% [markdown]
# **Write** `train(net, optimizer, loss, steps)`. Each step calls `loss(net)` once, which draws a batch and returns a
# scalar tensor; computes its gradient, without what is left of older gradients; and lets the optimizer step. Return the
# list of the losses, as Python numbers.


# %% tags=["solution"]
def train(net, optimizer, loss, steps):
    """Train for some steps; the loss of each step, a list of numbers."""
    ### BEGIN SOLUTION
    history = []
    for _ in range(steps):
        value = loss(net)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        history.append(value.item())
    return history
    ### END SOLUTION


# %%
course.check("01.10", train)

# %% [markdown]
# The library's network takes two times, `net(s, t, x)`; lesson 02 says what the second one is for. Here both are $t$.
# **Write** `trained(seed)`. It sets torch's seed (`torch.manual_seed`), makes
# `MLP(2, hidden=128, layers=4, scale=board.sigma)` (`scale` is the typical size of $x$) and an Adam optimizer with
# the learning rate 0.004, and lets the rate fall to 0 along a cosine:
# `schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)`, and
# `optimizer.register_step_post_hook(lambda *_: schedule.step())`, which lowers the rate after each step of the
# optimizer. It trains with `board_loss` for `steps` steps (the next cell has both), and returns the network and the
# list of its losses.
#
# `budget(3000)` is 3,000; only the automatic tests make it smaller. Three trainings take one to two minutes.
#
# **Predict.** What will the loss be at the end?

# %%
prediction = None  # a number


# %%
def board_loss(net):
    return flow_matching(lambda t, x: net(t, t, x), *draw(board, 512)).mean()


steps = budget(3000)


# %% tags=["solution"]
def trained(seed):
    """A network that was trained from this seed, and its losses."""
    ### BEGIN SOLUTION
    torch.manual_seed(seed)
    net = MLP(2, hidden=128, layers=4, scale=board.sigma)
    optimizer = torch.optim.Adam(net.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return net, train(net, optimizer, board_loss, steps)
    ### END SOLUTION


# %%
nets, histories = zip(*(trained(seed) for seed in range(3)), strict=True)

# %% [markdown]
# A loss that is measured on fresh samples scatters. The first part of it, the *excess* $E|v_t(I_t) - b_t(I_t)|^2$,
# scatters less and says better what was learned. **Write** `excess(net, t, I_t)`: its mean over the given samples on
# the board, a Python number, without gradients. `t` has shape `(B,)`, and `board.velocity(t, I_t)` takes it too.


# %% tags=["solution"]
def excess(net, t, I_t):
    """The mean squared distance of the network from the exact velocity, a number."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        v = net(t, t, I_t)
    return (v - board.velocity(t, I_t)).square().sum(1).mean().item()
    ### END SOLUTION


# %% [markdown]
# To test it, take for the network a function that is always 0. Its excess is $E|b_t(I_t)|^2$. This is $\frac43$ less
# the irreducible loss (section 5 printed it).

# %%
t, x0, x1 = draw(board, 20_000)
I_t, slope = interpolate(t, x0, x1)
known, found = 4 / 3 - board.irreducible_loss(), excess(lambda *_: torch.zeros_like(I_t), t, I_t)
print(f"the function 0 has the excess {found:.3f}, exact {known:.3f}")
assert abs(found - known) < 0.02, "The squares of the two coordinates are summed, and the mean is over the samples."
print(f"no network is below {board.irreducible_loss():.4f}")
for net in nets:
    fresh = flow_matching(lambda t, x, net=net: net(t, t, x), t, x0, x1).detach()
    assert torch.allclose(fresh, losses.diagonal(FlowMap(net), t, I_t, slope))  # the library's loss
    print(f"excess {excess(net, t, I_t):.4f}; a fresh sample of the loss", told(fresh))

# %% tags=["figure"]
last = sum(sum(history[-(steps // 10) :]) for history in histories) / (3 * (steps // 10))
course.compare(prediction, last, within=0.05, too_low="No network is below the irreducible loss.")
figures.training(histories, board.irreducible_loss())

# %% [markdown]
# **What to notice.** A loss of nearly 1 looks like failure. But almost all of it is the irreducible loss. What a
# network could still gain is the printed excess, less than a hundredth of it. Compare such a loss with its floor,
# never with zero.
#
# **Try.** Train with ten times fewer steps. Which changes more, the loss or the excess?
#
# <details><summary>Answer</summary>
#
# The loss is the irreducible loss plus the excess. If the excess becomes several times larger, the loss grows by a
# small amount only. So a curve of the loss can look finished when the excess is not.
#
# </details>
#
# **Try.** With the sorted pairs of section 6, what is the lowest possible loss?
#
# <details><summary>Answer</summary>
#
# 0 for continuous distributions: given $I_t$, the slope is known. The lowest loss is the scatter of the slopes, and
# here there is none. (In section 6 the printed error of the mean is small and not 0, because lines within 0.01 of the
# place are averaged.)
#
# </details>

# %% [markdown]
# ## 8. Does a learned velocity need fewer steps?
#
# The network replaces $b$ in Euler's method, and nothing else changes. **Predict:** at 4 steps, what is KL64 of the
# learned velocity divided by KL64 of the exact one?

# %%
prediction = None  # a number

# %% [markdown]
# **Write** `learned(net)`: it returns a function `velocity(t, x)` for a number `t`, as `euler` wants it. The network
# wants times of shape `(B,)`. No gradients are needed.


# %% tags=["solution"]
def learned(net):
    """The velocity of a network, as a function of a number t and points x."""

    ### BEGIN SOLUTION
    def velocity(t, x):
        times = torch.full((len(x),), t)
        with torch.no_grad():
            return net(times, times, x)

    return velocity
    ### END SOLUTION


# %%
course.check("01.11", learned)
x0 = board.base(100_000)
samples = {n: [euler(learned(net), x0, n) for net in nets] for n in (1, 4, 8, 16)}
kl_learned = {n: [kl64(points, WHITE) for points in three] for n, three in samples.items()}
for n, three in kl_learned.items():
    print(f"{n:>2} steps: learned {min(three):.3f} to {max(three):.3f}, exact {kl[n]:.3f}")

# %% tags=["figure"]
high, low = (
    "Then the network's error would be the larger one.",
    "Then its paths would be straighter than the exact ones.",
)
course.compare(prediction, sum(kl_learned[4]) / 3 / kl[4], too_high=high, too_low=low)
figures.learned({f"learned, {n} steps": samples[n][0] for n in (4, 8, 16)}, kl, kl_learned)

# %% [markdown]
# **What to notice.** (The boards are those of the first of the three networks.) At 4 steps both velocities score nearly
# the same: the error of the steps is much larger than the error of the network. At 16 steps the learned velocity
# scores clearly worse than the exact one: there the network's own error shows. A perfect network would be the exact
# velocity, and it has the error of the steps too. A method that needs fewer steps has to remove that error.
#
# With *one* step the learned velocity has the better score. Is its picture better? The exact step lands on the centre.
# The step of a network lands near the centre, off by its error. The next cell looks at the first of the three
# networks. As a control, it replaces the error by one that knows nothing of the board: random numbers of the same size.

# %%
wrong = samples[1][0]
control = wrong.square().mean().sqrt() * torch.randn(100_000, 2)
for name, points in {"exact": four(walked[1]), "learned": wrong, "random": control}.items():
    hit = torch.histogramdd(points.double(), bins=[64, 64], range=[-1.0, 1.0, -1.0, 1.0])[0][WHITE].count_nonzero()
    far = points.square().sum(1).mean().sqrt()
    print(f"{name:<8} {far:.3f} from the centre, {hit:>4} white bins have points, KL64 {kl64(points, WHITE):.3f}")

# %% [markdown]
# **What to notice.** None of the three is a board. The learned points lie in more bins than the exact ones, and for
# KL64 a bin with points is better than an empty one. The random points score better than the exact ones too, although
# they know nothing. So a lower score at one step does not show that a velocity is better.
#
# **Try.** Which error is left at 64 steps? Sample with one of the nets and see.
#
# <details><summary>Answer</summary>
#
# Mostly the network's: with 64 steps the exact velocity is close to the floor (section 4).
#
# </details>
#
# ## Summary
#
# - The interpolant joins noise and data pair by pair. The velocity is the mean slope of all lines at a place and a
#   time.
# - Points that follow the velocity have the distribution of the interpolant at each time. The proof needs that the
#   continuity equation has only one solution.
# - The velocity is learned by least squares on pairs. The loss does not go to zero.
# - An Euler step uses the slope at its start in place of the mean slope over its length. On the board's bent paths the
#   two are far apart. Other pairs give straighter paths, at a cost (section 6).
# - If you knew the *mean slope* of a path between two times, you could jump. That function of two times is the
#   subject of [lesson 02](02_the_flow_map_and_its_tangent.ipynb).
#
# ## Exercises
#
# **1.** Noise and data are both $N(0, 1)$ on the line. Show that $b_t(x) = (2t - 1)\, x / S(t)^2$ with
# $S(t)^2 = (1-t)^2 + t^2$, and that every path ends where it began. Find $W$, and **write** it as `wasted = ...`.
#
# <details><summary>Answer</summary>
#
# $I_t$ and $\dot I_t$ are Gaussian with mean 0, so $E[\dot I_t | I_t = x] = x\, E[\dot I_t I_t] / E[I_t^2]$, and
# $E[(x_1 - x_0)((1-t) x_0 + t x_1)] = t - (1 - t)$. Since $\frac{d}{dt} S(t)^2 = 2 (2t - 1)$, $x_t = S(t)\, x_0$
# solves $\dot x_t = b_t(x_t)$; and $S(1) = S(0) = 1$. The chord is 0, so
# $W = \int E\, b_t(x_t)^2 dt = \int (2t-1)^2 / S(t)^2 dt$. With $y = 2t - 1$ and $S^2 = (1 + y^2)/2$ it is
# $\int_{-1}^{1} \frac{y^2}{1 + y^2} dy = 2 - \pi/2 \approx 0.429$. (For random pairs $E|x_1 - x_0|^2 = 2$.)
#
# </details>

# %% tags=["solution"]
### BEGIN SOLUTION
wasted = 2 - torch.pi / 2
### END SOLUTION

# %%
course.check("01.12", wasted)

# %% [markdown]
# **2.** For the same problem show that the irreducible loss is $\pi/2$.
#
# <details><summary>Answer</summary>
#
# The irreducible loss is $E|\dot I_t|^2 - E|b_t(I_t)|^2$, averaged over $t$, by Pythagoras. The first is 2. The
# second is the integral of exercise 1, because $I_t$ and $x_t$ have the same distribution: $2 - (2 - \pi/2) = \pi/2$.
# The next cell compares.
#
# </details>

# %%
gaussian = problems.Gaussian(dim=1)
print(f"irreducible loss {gaussian.irreducible_loss():.4f}, pi / 2 = {torch.pi / 2:.4f}")
assert torch.allclose(gaussian.velocity(0.3, torch.ones(1, 1)), torch.tensor(-0.4 / 0.58))

# %% [markdown]
# **3.** *Heun's method* averages the slopes at both ends of an Euler step: $x' = x_k + \frac1N b_{k/N}(x_k)$, then
# $x_{k+1} = x_k + \frac{1}{2N} \big(b_{k/N}(x_k) + b_{(k+1)/N}(x')\big)$. It costs two evaluations a step. Write
# `heun(velocity, x, steps)`; let the last step be one of Euler's, so that $b_1$ is never asked for. On the board, is
# it better with 16 steps than Euler's method with 32?


# %% tags=["solution"]
def heun(velocity, x, steps):
    """The points after `steps` steps of Heun's method, the last one by Euler's, shape (B, D)."""
    ### BEGIN SOLUTION
    for k in range(steps):
        first = velocity(k / steps, x)
        if k == steps - 1:
            return x + first / steps
        second = velocity((k + 1) / steps, x + first / steps)
        x = x + (first + second) / (2 * steps)
    ### END SOLUTION


# %%
course.check("01.13", heun)
heun16 = heun(board.velocity, noise, 16)
print(f"Heun, 16 steps:  KL64 {kl64(four(heun16), WHITE):.3f}, distance {distance(heun16, ends):.3f}")
print(f"Euler, 32 steps: KL64 {kl[32]:.3f}, distance {off[32]:.3f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# At 31 against 32 evaluations, Heun's method is better by the distance and worse by KL64. So there is no answer until
# you say what you need: each point at its place, or the right share of points in each bin.
#
# </details>
#
# **4.** Take $I_t = \cos(\tfrac{\pi}{2} t)\, x_0 + \sin(\tfrac{\pi}{2} t)\, x_1$ instead. What is $b_0(x)$ now, and
# what does the first Euler step do? Check it: with `bundled` and `Trigonometric()(t, x0, x1)`, which returns this
# $I_t$ and its slope, find the mean slope at $t = 0$ within 0.1 of $(0.5, 0.5)$ and its error, from 100,000 pairs.
# **Write** `first = ...`, the pair that `bundled` returns.

# %% tags=["solution"]
### BEGIN SOLUTION
_, x0, x1 = draw(board, 100_000)
first = bundled(*Trigonometric()(torch.zeros(100_000), x0, x1), torch.tensor([0.5, 0.5]), 0.1)
### END SOLUTION

# %%
print("b_0 at (0.5, 0.5): mean, standard error", *first)

# %% [markdown]
# <details><summary>Answer</summary>
#
# At $t = 0$ the slope is $\dot I_0 = \frac{\pi}{2} x_1$, and $I_0 = x_0$ says nothing about $x_1$. So
# $b_0(x) = \frac{\pi}{2} E[x_1] = 0$ on the board: the first Euler step moves nothing. The velocity is our choice.
#
# </details>
#
# ## Next
#
# [02, The flow map and its tangent](02_the_flow_map_and_its_tangent.ipynb) turns many small steps into one jump, and
# finds the velocity inside the map.
#
# ## References
#
# 1. M. S. Albergo, N. M. Boffi, E. Vanden-Eijnden, *Stochastic interpolants: a unifying framework for flows and
#    diffusions*, [arXiv 2303.08797](https://arxiv.org/abs/2303.08797), 2023: interpolants and their velocity.
# 2. Y. Lipman, R. T. Q. Chen, H. Ben-Hamu, M. Nickel, M. Le, *Flow matching for generative modeling*, [arXiv
#    2210.02747](https://arxiv.org/abs/2210.02747), 2023: the loss of section 7.
# 3. X. Liu, C. Gong, Q. Liu, *Flow straight and fast: learning to generate and transfer data with rectified flow*,
#    [arXiv 2209.03003](https://arxiv.org/abs/2209.03003), 2023: straightness as in section 5, and pairs by paths.
# 4. A. Tong and others, *Improving and generalizing flow-based generative models with minibatch optimal transport*,
#    [arXiv 2302.00482](https://arxiv.org/abs/2302.00482), 2023: pairs by optimal transport within a batch.
