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
# # What a jump is good for
#
# After this lesson you can
#
# - look ahead from a point on the way, and say what the mean and the landing point are each good for,
# - steer a map to a reward, and measure whether its samples have the law that was wanted,
# - say why a reward that is read at one point ahead does not give that law, and repair it by weights or restarts,
# - fill in and change pictures with a map that was trained for neither.
#
# **It assumes** [lesson 05](05_self_distillation_on_the_checkerboard.ipynb), and for the digits of sections 2 and 7
# [lesson 08](08_digits_on_your_laptop.ipynb). Symbols are on the [notation card](notation.md). **It takes** about an
# hour and a half: fifty minutes to read text and code, the rest to write seven short pieces of code. The cells run in
# about three minutes on two CPU cores. Nothing is trained: the two maps come with the library.

# %%
import torch

from flowmap_edu import course, load, metrics, problems, steering, training
from flowmap_edu.metrics import classifier
from flowmap_edu.problems.rewards import Bump, HalfPlane, Slope
from flowmap_edu.problems.tilted import Tilted
from flowmap_edu.viz import figures_12 as figures
from flowmap_edu.viz import plots

plots.use_style()
board, X = problems.Checkerboard(), load("checkerboard-lsd")
N, SEEDS = max(60, training.budget(600)), range(3)


def seeded(k):
    """A generator of random numbers with this seed."""
    return torch.Generator().manual_seed(k)


# %% [markdown]
# ## 1. What can one evaluation say about the data?
#
# A point is at $x$ at time $s$. Where will it be at time 1? Take the slope of the jump from $s$ to $u$, and go straight
# on with it until time 1:
#
# $$D_{s,u}(x) = x + (1 - s)\, v_{s,u}(x) .$$
#
# One evaluation of $v$ gives it, for any $u$ from $s$ to 1. Two ends have names. At $u = 1$ it is the *landing point*
# $X_{s,1}(x)$. At $u = s$ the slope is the velocity $b_s(x) = E[x_1 - x_0 \mid I_s = x]$. Put $x_0 = (x - s x_1) / (1 -
# s)$ into it: $D_{s,s}(x) = E[x_1 \mid I_s = x]$ is the *mean of the data* given the point. In the literature it is
# called the denoiser.
#
# **Write** `look(X, s, u, x)`: $D_{s,u}(x)$ with `X.v(s, u, x)`. `s` and `u` are numbers, and `x` has the shape
# `(B, 2)`.


# %% tags=["solution"]
def look(X, s, u, x):
    """D_{s,u}(x), shape (B, 2)."""
    ### BEGIN SOLUTION
    slope = X.v(s, u, x)
    return x + (1 - s) * slope
    ### END SOLUTION


# %% [markdown]
# **Predict.** At time 0 there is only noise. The landing point $D_{0,1}(x_0)$ depends on $x_0$. Does the mean of the
# data $D_{0,0}(x_0)$ depend on it, too?

# %%
prediction = None  # a word about D_{0,0}: "yes" or "no"

# %%
course.check("12.1", look)
x0 = board.base(N, seeded(0))
with torch.no_grad():
    spread = [look(X, 0.0, u, x0).std(0).mean().item() for u in (0.0, 1.0)]
depends = "yes" if spread[0] > 0.1 * spread[1] else "no"
course.compare(prediction, depends, wrong={"yes": "Then the noise alone would say something about its partner."})
print(f"standard deviation over the noise: of the mean {spread[0]:.3f}, of the landing point {spread[1]:.3f}")

# %% tags=["figure"]
x = torch.tensor([[0.1, 0.05], [-0.3, 0.3], [0.45, -0.15]])
with torch.no_grad():
    lines = torch.stack([look(X, 0.5, u, x) for u in torch.linspace(0.5, 1, 26).tolist()])
draws = board.posterior_sample(0.5, x.repeat(300, 1), seeded(1)).reshape(300, 3, 2)
figures.ahead(x, lines, draws)

# %% [markdown]
# **What to notice.** Many data points are possible for one point at $s = 0.5$; for the board their law is known
# exactly, and the small dots are draws of it. The circle ($u = s$) is the map's mean of the data. A mean of points on
# several squares can lie off all squares: in the middle panel it does. The square mark ($u = 1$) is the landing point.
# It is one place, on a square or at its edge. The black line is $D_{s,u}$ for the times $u$ between.
#
# **Try.** Set the time of the figure to 0.9 in place of 0.5 (in all three places; the grid of $u$ starts there, too).
# How do the dots change?
#
# <details><summary>Answer</summary>
#
# They are close together, since at a late time the point says nearly everything. The circle and the square mark are
# then close to each other, too.
#
# </details>
#
# ## 2. Is the mean or the landing point the better guess?
#
# That depends on the question. We know the $x_1$ that each point came from. So we can measure how far a guess is from
# it, $E|D_{s,u}(I_s) - x_1|^2$. We can also ask whether the guesses, as a set, look like data. For this we compare
# their histogram on 16 x 16 bins with the board, by the Kullback-Leibler divergence: less is better. It is not 0 for
# exact draws, since their number is finite. So the table ends with exact draws: one draw of $x_1$ given each point.
#
# **Predict.** At $s = 0.5$: the mean square error of the landing point over that of the mean of the data. (A random
# draw of $x_1$ given the point would have twice the error of the mean.)

# %%
prediction = None  # a number, at least 1


# %%
def on_the_board(u, seed):
    """The mean square error of D_{0.5,u} and its divergence to the board."""
    x0, x1 = board.base(4 * N, seeded(seed)), board.sample(4 * N, seeded(seed + 100))[0]
    with torch.no_grad():
        guess = look(X, 0.5, u, (x0 + x1) / 2)
    error = (guess - x1).square().sum(1).mean().item()
    return error, metrics.binned_kl(lambda z: board.log_density(1.0, z), guess)


def drawn(seed):
    """The same two numbers for one draw of the data given each point: exact draws of the board, as a set."""
    x0, x1 = board.base(4 * N, seeded(seed)), board.sample(4 * N, seeded(seed + 100))[0]
    guess = board.posterior_sample(0.5, (x0 + x1) / 2, seeded(seed + 200))
    return (guess - x1).square().sum(1).mean().item(), metrics.binned_kl(lambda z: board.log_density(1.0, z), guess)


# %%
US = (0.0, 0.25, 0.5, 0.75, 1.0)  # how far u is on its way from s to 1
rows = torch.tensor([[on_the_board(0.5 + 0.5 * part, seed) for seed in SEEDS] for part in US])
ratios = (rows[-1, :, 0] / rows[0, :, 0]).tolist()
course.compare(prediction, sum(ratios) / 3, within=0.05, too_high="It would lie farther from the mean than it does.")
for part, row in zip(US, rows, strict=True):
    error, divergence = (figures.span(column.tolist(), 3) for column in row.T)
    print(f"u = {0.5 + 0.5 * part:.3f}: mean square error {error}, divergence {divergence}")
error, divergence = (figures.span(column, 3) for column in zip(*map(drawn, SEEDS), strict=True))
print(f"exact draw: mean square error {error}, divergence {divergence}")

# %% [markdown]
# The same for digits. The map is the one of lesson 08, and the pictures are the 397 held-out digits with noise, at $s =
# 0.3$. The distance of distributions is the Fréchet distance of lesson 08, to the training digits. Beside it we
# print that of the held-out digits themselves.

# %%
digits, X_digits, read = problems.Digits(), load("digits-lsd"), classifier.load()
of_training = read(digits.data().values())  # features, as in lesson 08
held_out = digits.data(train=False)
real, labels = held_out.values()[: max(60, training.budget(397))], held_out.labels[: max(60, training.budget(397))]


@torch.no_grad()
def on_digits(u, seed):
    """The mean square error a pixel of D_{0.3,u}, and the Fréchet distance to the training digits."""
    x = 0.7 * digits.base(len(real), seeded(seed)) + 0.3 * real
    guess = look(X_digits.conditioned(label=labels), 0.3, u, x).clamp(-1, 1)
    return (guess - real).square().mean().item(), figures.frechet(read(guess), of_training)


pictures = torch.tensor([[on_digits(0.3 + 0.7 * part, seed) for seed in SEEDS] for part in US])
for part, row in zip(US, pictures, strict=True):
    error, distance = (figures.span(column.tolist(), 3) for column in row.T)
    print(f"u = {0.3 + 0.7 * part:.3f}: mean square error {error}, Fréchet distance {distance}")
print(f"the held-out digits themselves: Fréchet distance {figures.frechet(read(real), of_training):.3f}")

# %% tags=["figure"]
figures.tradeoff(US, rows, pictures, (0.5, 0.3))

# %% [markdown]
# **What to notice.** On the board each step of $u$ towards 1 raises the square error and lowers the divergence, in each
# seed. The landing points come near to the exact draws as a set, and are not quite there. The exact draws have about
# twice the error of the mean. The right panel shows digits. There, too, each step of $u$ raises the square error. The
# distance falls up to $u = 0.825$, in each seed. From there to 1 it hardly changes: it rises in two seeds and falls in
# one. So the mean has the least error, and it is the farthest from the training digits as a set. The held-out digits
# themselves are nearer than all of them, at 2.023. Nothing was trained for this
# figure: $u$ is chosen when the map is used. Neither end is "better": the error asks about one picture, the distance
# about the set.
#
# **Try.** Draw ten digits for $u = s$ and for $u = 1$ with `figures.sheet`. Which are blurred?
#
# <details><summary>Answer</summary>
#
# `x = 0.7 * digits.base(10, seeded(0)) + 0.3 * real[:10]`, `ten = X_digits.conditioned(label=labels[:10])`, then
# `figures.sheet(torch.stack([real[:10], *(look(ten, 0.3, u, x).detach() for u in (0.3, 1.0))]), ["real", "u = s",
# "u = 1"], "")`. A mean over several possible strokes is grey where they differ.
#
# </details>
#
# ## 3. Can a reward steer the map?
#
# Now there is a *reward* $r(x)$, and samples of the *tilted* density $p(x)\, e^{r(x)} / Z$ are wanted. On the board
# this density is known, and so are exact draws of it. We study one reward in detail, $r(x) = 3\, x^{(1)}$, where
# $x^{(1)}$ is the first coordinate of the point: more points on the right.
#
# What must be added to the velocity? Let $h_s(x) = E[e^{r(x_1)} \mid I_s = x]$ be the *value* of a point on the way.
# (This $h$ has nothing to do with the weight $h$ of lesson 04.) The tilted data have the velocity below, with the
# standard deviation $\sigma$ of the noise:
#
# $$b_s(x) + \sigma^2\, \frac{1 - s}{s}\, \nabla \log h_s(x) .$$
#
# (Exercise 2 derives it.) For the board $h$ is known. In general it is not. Then one can put something else in the
# place of $\log h_s(x)$. Two such *stand-ins* need the map only: the reward at the mean of the data, $r(D_{s,s}(x))$,
# and the reward at the landing point, $r(X_{s,1}(x))$.
#
# **Write** `guided_step(X, s, step, x, value, sigma)`: the point after one Euler step of this velocity from time `s`,
# shape `(B, 2)`. The result carries no gradient. `X.velocity(s, x)` is $b_s(x)$. `value(X, times, x)` stands for $\log
# h$; `times` has the shape `(B,)`, and so has its result. (Each entry depends on its own point only. So the gradient of
# the *sum* of the entries has the gradient of each point in its row.) The factor is infinite at $s = 0$. So take the
# factor and the gradient at the time `max(s, step / 2)`.


# %% tags=["solution"]
def guided_step(X, s, step, x, value, sigma):
    """Where one Euler step of the guided velocity leads, shape (B, 2)."""
    ### BEGIN SOLUTION
    at = max(s, step / 2)
    z = x.detach().requires_grad_()
    worth = value(X, torch.full((len(x),), at, dtype=x.dtype), z)
    (slope,) = torch.autograd.grad(worth.sum(), z)
    with torch.no_grad():
        velocity = X.velocity(s, x)
    return x + step * (velocity + sigma**2 * (1 - at) / at * slope)
    ### END SOLUTION


# %% [markdown]
# The steps are repeated from noise to data. The library's `steering.Guided` does the same. It has the three values as
# objects, `Denoiser`, `Landing` and `Exact`.

# %%
course.check("12.2", guided_step)


def guided(value, x0, steps=16):
    """Guided steps from noise to data."""
    for k in range(steps):
        x0 = guided_step(X, k / steps, 1 / steps, x0, value, board.sigma)
    return x0


slope = Slope((3.0, 0.0))
few = board.base(5, seeded(0))
library = steering.Guided(steering.Denoiser(slope), board.sigma)(X, few, 16)
assert torch.allclose(guided(steering.Denoiser(slope), few), library, atol=1e-5)

# %% [markdown]
# Two rows are controls. The first takes the same 16 steps without a reward. The second takes the reward at the *exact*
# mean of the data, which is known for the board. There is no error of the map in this value.
#
# **Predict.** One jump of this map puts about 2 % of its points off the squares. Which share is off the squares with
# guidance by the reward at the landing point, in percent?

# %%
prediction = None  # a number, in percent


# %%
def nothing(X, s, x):  # noqa: ARG001
    """No reward: the value is 0 everywhere, and the guided steps are Euler steps."""
    return 0 * x.sum(1)


# %%
def steered(reward, seed):
    """Samples of each guidance, of none, and exact draws, by name."""
    x0 = board.base(N, seeded(seed))
    found = {"one jump, no reward": X.sample(x0, 1), "16 steps, no reward": guided(nothing, x0)}
    if not isinstance(reward, HalfPlane):  # it has no gradient
        found["at the mean"] = guided(steering.Denoiser(reward), x0)
        found["at the exact mean"] = guided(lambda X, s, x: reward(board.posterior_mean(s, x)), x0)  # noqa: ARG005
        found["at the landing point"] = guided(steering.Landing(reward), x0)
    found["exact value"] = guided(steering.Exact(board, reward), x0)
    return found | {"exact draws": Tilted(board, reward).sample(N, seeded(seed + 50))}


samples = [steered(slope, seed) for seed in SEEDS]
table = {name: [figures.score(Tilted(board, slope), one[name]) for one in samples] for name in samples[0]}
away = [100 * share for _, share in table["at the landing point"]]
course.compare(prediction, sum(away) / 3, within=0.3, too_low="The gradient pulls to the right also where no data is.")
figures.print_scores(table)

# %% tags=["figure"]
figures.steered(samples[0])

# %% [markdown]
# **What to notice.** (The figure has seed 0. Its titles count the points that are outside the picture.) The table has
# the divergence to the *tilted* density. The row of the exact draws shows its floor for 600 points. The map's velocity,
# the steps and the noise are the same in all rows of 16 steps. Only the value differs. With the exact value the samples
# are near the exact draws. With the reward at the mean they are not, and with the reward at the landing point the
# divergence is worse than without any reward. Without a reward 16 steps leave at most 2.2 % off the squares. So the
# cause is what stands in for the value, and not the velocity or the number of steps. A stand-in can be wrong in two
# ways: by its formula, and by the error of the map that computes it. The exact mean has no error of a map in it, and
# its divergence is still above that of the exact draws, in each seed. So for the mean the formula is wrong. Section 4
# looks at both ways.
#
# **Try.** Steer to the left, with `Slope((-3.0, 0.0))`. Which rows of the table must be as before?
#
# <details><summary>Answer</summary>
#
# The board is not symmetric under $x^{(1)} \to -x^{(1)}$, but under half a turn it is. So all rows must be as before,
# up to the scatter of the noise and the error of the map, which was not trained to be symmetric.
#
# </details>
#
# ## 4. Why does the landing point fail?
#
# Look at the term that guidance adds, $\sigma^2 \frac{1 - s}{s} \nabla(\dots)$, at early times. The factor is about
# $1 / s$. For the exact value the gradient is small there: at early times a point says little about its data. The
# landing point is different. It depends on $x$ at every time, time 0 included (section 1).
#
# **Predict.** By which factor is the added term of the landing point longer at $s = 0.01$ than at $s = 0.1$?

# %%
prediction = None  # a number

# %%
times = (0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9)
values = {"exact value": steering.Exact(board, slope), "at the mean": steering.Denoiser(slope)}
values["at the landing point"] = steering.Landing(slope)
values["at the exact mean"] = lambda X, s, x: slope(board.posterior_mean(s, x))  # noqa: ARG005
lengths = {name: [] for name in values}
for s in times:
    x = (1 - s) * board.base(200, seeded(0)) + s * board.sample(200, seeded(1))[0]
    for name, value in values.items():
        added = steering.guided_velocity(X, s, x, value, board.sigma) - X.velocity(s, x).detach()
        lengths[name].append(added.norm(dim=1).median().item())  # a few points have a far longer term
longest = lengths["at the landing point"]
course.compare(prediction, longest[0] / longest[2], within=0.2, too_low="Its gradient does not vanish at time 0.")
print("\n".join(f"{name:<22}" + "".join(f"{v:9.2f}" for v in row) for name, row in lengths.items()))

# %% tags=["figure"]
figures.pulls(times, lengths)

# %% [markdown]
# **What to notice.** (One seed; the median of 200 points for each time.) The terms of the exact value and of the exact
# mean stay below 1.3. But the exact mean is not the value: at the earliest times its term is about 1.5 times as long,
# and no error of a map is in it. The term of the landing point grows about as $1 / s$. The term of the *map's* mean
# grows, too; from $s = 0.1$ down to 0.01 it rises more and more above that of the exact mean. The gradient of the mean
# should vanish at time 0, and the factor $1 / s$ enlarges what this map leaves of it. So this growth is an error of the
# map. The growth at the landing point is not: for a Gaussian, exercise 3 shows that the exact map has it as well.
#
# The integral of $1 / s$ from 0 is infinite. Its sum over steps grows like the logarithm of their number. So more steps
# should make the landing point *worse*. This can be tested, with the exact value as the control.

# %%
for name in ("at the landing point", "exact value"):
    for steps in (8, 32, 128):
        ends = [guided(values[name], board.base(N // 2, seeded(seed)), steps) for seed in SEEDS]
        away = figures.span([100 * figures.off(board, x) for x in ends], 1)
        print(f"{name:<20} {steps:>4} steps: off the squares {away} %")

# %% [markdown]
# **What to notice.** With the landing point the share off the squares rises with the number of steps: the ranges of the
# three numbers of steps do not overlap. With the exact value it does not rise in this way. It is largest for 8 steps,
# and at most 2.3 % for 32 and 128. So the rise is not an error of the steps or of the map's velocity.
#
# Are the early times the only reason? Two mixed values answer this. The first is exact before $s = 0.5$ and uses the
# landing point afterwards; the second is the other way round.


# %%
def mixed(first, second):
    """The first value before s = 0.5, the second one after."""
    return lambda X, s, x: (first if s[0] < 0.5 else second)(X, s, x)


exact, landing = values["exact value"], values["at the landing point"]
both = {"exact, then landing": mixed(exact, landing), "landing, then exact": mixed(landing, exact)}
parts = {name: [guided(value, board.base(N // 2, seeded(k))) for k in SEEDS] for name, value in both.items()}
parts["exact draws"] = [Tilted(board, slope).sample(N // 2, seeded(k)) for k in SEEDS]
figures.print_scores({name: [figures.score(Tilted(board, slope), x) for x in xs] for name, xs in parts.items()})

# %% [markdown]
# **What to notice.** The early times do most of the harm. But the landing point does not replace the value at late
# times either: "exact, then landing" is above the exact draws of the same number, in each seed.
#
# The second reason is in the definition. The value is $\log E[e^{r(x_1)} \mid x]$, a mean over *all* data that belong
# to the point. The landing point is one place only, and so is the mean of the data.
#
# **Write** `value_of_draws(r)`: `r` has the shape `(K, B)`, the rewards of K draws of the data for each of B points.
# Return $\log \frac{1}{K} \sum_k e^{r_k}$ for each point, shape `(B,)`. Some rewards are so large that `exp` overflows:
# use `logsumexp`.


# %% tags=["solution"]
def value_of_draws(r):
    """log mean exp of the rewards over the draws, shape (B,)."""
    ### BEGIN SOLUTION
    K = r.new_tensor(len(r))
    return r.logsumexp(0) - K.log()
    ### END SOLUTION


# %%
course.check("12.3", value_of_draws)

# %%
K, gaps = 10 * N // 3, {}
for seed in SEEDS:
    x = 0.7 * board.base(100, seeded(seed)) + 0.3 * board.sample(100, seeded(seed + 100))[0]
    r = slope(board.posterior_sample(0.3, x.repeat(K, 1), seeded(seed + 200))).reshape(K, 100)
    stand_ins = {"log mean exp of the draws": value_of_draws(r), "mean of r over the draws": r.mean(0)}
    stand_ins["r at the exact mean"] = slope(board.posterior_mean(0.3, x))
    stand_ins["r at the mean"] = slope(look(X, 0.3, 0.3, x)).detach()
    stand_ins["r at the landing point"] = slope(look(X, 0.3, 1.0, x)).detach()
    for name, guess in stand_ins.items():
        gaps.setdefault(name, []).append(guess - board.value_function(0.3, x, slope))
for name, gap in gaps.items():
    mean, scatter = figures.span([g.mean() for g in gap]), figures.span([g.std() for g in gap])
    print(f"{name:<26} minus log h: mean {mean}, standard deviation {scatter}")

# %% [markdown]
# **What to notice.** (Three times 100 points, at $s = 0.3$.) Only the first is $\log h$, up to the error of 2,000
# draws. The mean of $r$ is below it (Jensen's inequality). This reward is linear, so that $r$ at the exact mean is the
# mean of $r$, and has the same gap. A constant gap would do no harm, since the gradient does not see it. But the gap of
# the exact mean scatters by 0.18 to 0.21 from point to point, far more than the draws' own 0.03 to 0.04. The mean of
# the map scatters as much. So at this time the fault is in the formula, and the map adds little. The gap of the landing
# point scatters about six times as much. Meta flow maps and Diamond maps (see the references) *train* a map to draw
# from the data given a point, so that the mean of $e^r$ can be taken.
#
# ## 5. What repairs it?
#
# **Weights.** Draw by one jump, and give each sample the weight $w = e^{r}$. Weighted averages are then right for
# $q(x)\, e^{r(x)} / Z$, where $q$ is the density of the map's samples. The price is that few samples may carry most of
# the weight. This is measured by the *effective sample size* $(\sum w)^2 / \sum w^2$.
#
# **Write** `effective_share(log_w)`: the effective sample size over the number B of samples. `log_w` has the shape
# `(B,)`, and can be as large as 900, where `exp` overflows. (`softmax` gives weights that sum to one.)


# %% tags=["solution"]
def effective_share(log_w):
    """The effective sample size over the number of samples."""
    ### BEGIN SOLUTION
    w = log_w.softmax(0)
    return 1 / (w.square().sum() * len(w))
    ### END SOLUTION


# %% [markdown]
# **Predict.** For $r(x) = 3\, x^{(1)}$, with $x^{(1)}$ between -1 and 1: what is the effective sample size over the
# number of samples?

# %%
prediction = None  # a number between 0 and 1

# %%
course.check("12.4", effective_share)
one_jump = X.sample(board.base(20 * N, seeded(5)), 1)
left = effective_share(slope(one_jump))
course.compare(prediction, left, within=0.2, too_high="The weights at the two edges differ by a factor of 400.")
assert abs(left - steering.weighed(X, board.base(20 * N, seeded(5)), slope).effective / (20 * N)) < 1e-4

# %% [markdown]
# On paper: on the board $x^{(1)}$ is uniform on $[-1, 1]$, so that $(E w)^2 / E w^2 = (\sinh 3 / 3)^2 / (\sinh 6 / 6) =
# 0.332$.
#
# **Tempering** raises the reward from 0 to $r$ in small steps. After each step the samples are weighed. If their
# effective sample size falls below half of their number, they are drawn anew by their weights. Then their *noise* is
# moved a little. Each move costs one jump. It is accepted or taken back, by the reward at the point where this jump
# lands (sequential Monte Carlo; the library's `steering.tempered`).
#
# **Restarts.** Go from a sample $x$ back to an earlier time $s$ with fresh noise $z \sim N(0, \sigma^2 I)$, and jump
# forward again: $y = X_{s,1}((1 - s)\, z + s\, x)$. If $x$ is distributed as the data and the map is exact, so is $y$.
# With a reward, accept $y$ with the probability $\min(1, e^{r(y) - r(x)})$, and else keep $x$. For a general law this
# is an approximation (see the "Try" below).
#
# **Write** `restart(X, s, x, z)`: $y$, shape `(B, 2)`.


# %% tags=["solution"]
def restart(X, s, x, z):
    """From x back to time s with the noise z, and forward again, shape (B, 2)."""
    ### BEGIN SOLUTION
    x_s = (1 - s) * z + s * x
    return X(s, 1.0, x_s)
    ### END SOLUTION


# %%
course.check("12.5", restart)
z = board.base(5, seeded(6))
back = steering.go_back(0.5, few, z)
assert torch.allclose(restart(X, 0.5, few, z), steering.forward(X, 0.5, back), atol=1e-6)


def repaired(reward, seed):
    """Samples by weights, by tempering and by restarts, by name, and the shares of accepted moves and restarts."""
    x0 = board.base(N, seeded(seed))
    many = board.base(10 * N, seeded(seed + 200))
    found = {"weights, 10 N jumps": steering.weighed(X, many, reward).draw(N, seeded(seed))}
    moved = steering.tempered(X, x0, reward, board.sigma, seed=seed)
    again = steering.restarted(X, X.sample(x0, 1), 0.5, board.sigma, rounds=16, reward=reward, seed=seed)
    found |= {"tempering": moved.draw(N, seeded(seed)), "16 restarts to 0.5": again.samples}
    return found, (moved.accepted, again.accepted)


# %% [markdown]
# Two more rewards: a *bump* of width 0.3 around the middle of a square, and a *half plane*, $r = 3$ where $x^{(1)} > 0$
# and else 0. The gradient of the half plane is 0 wherever it exists, so the stand-ins can do nothing with it. Its exact
# value is smooth, and has a gradient.
#
# **Predict.** (On paper.) Which of the ways come near to the exact draws for all three rewards?

# %%
rewards = {"slope": slope, "bump": Bump((0.25, 0.25), 0.3), "half plane": HalfPlane(0.0)}
for name, reward in rewards.items():
    repairs, accepted = zip(*(repaired(reward, k) for k in SEEDS), strict=True)
    runs = [(samples[k] if name == "slope" else steered(reward, k)) | repairs[k] for k in SEEDS]
    runs = [{way: run[way] for way in [*(w for w in run if w != "exact draws"), "exact draws"]} for run in runs]
    moves, restarts = (figures.span(shares) for shares in zip(*accepted, strict=True))
    print(f"--- {name} --- accepted: {moves} of the moves of tempering, {restarts} of the restarts")
    figures.print_scores({way: [figures.score(Tilted(board, reward), run[way]) for run in runs] for way in runs[0]})

# %% tags=["figure"]
figures.steered(repaired(slope, 0)[0] | {"exact draws": samples[0]["exact draws"]})

# %% [markdown]
# **What to notice.** Weights, tempering and restarts come near to the exact draws for all three rewards. They need no
# gradient of the reward and no value function. The farthest of them is tempering for the half plane, at 0.216 to 0.254;
# without a reward it is 0.667 or more. About half of the restarts are accepted for the bump, and more for the other
# two. A difference is left. Each way leaves some points off the squares, 1.8 % at most; one jump without a reward
# leaves 1.0 to 1.5 %. For the slope the ranges of all three overlap that of the exact draws. For the bump weights and
# tempering are above it in each seed (weights only just), for the half plane tempering and restarts. The table does not
# separate the possible reasons: the map's own error, samples that occur more than once, too few levels or restarts, and
# a restart that is not exact. The prices differ, too. A sample costs 10 jumps by weights, and 17 by tempering or
# restarts. The 16 guided steps of a stand-in cost 32
# evaluations, half of them with a gradient. For the bump the two stand-ins are worse than no reward. So is the exact
# mean: a better map would not help the mean there.
#
# **Try.** Restart to $s = 0.8$ in place of 0.5, as often. What is better, what is worse?
#
# <details><summary>Answer</summary>
#
# `repaired` returns the share of accepted restarts: look at it, and at the score. $y$ is nearer to $x$, so more
# restarts should be accepted. But a point then moves less in each restart, so that 16 of them may be too few to carry
# the points to the right. For a general law there is one more limit: the restart with acceptance is exact if as many
# points go from $x$ to $y$ as from $y$ to $x$. At $s = 0$ this holds for each map. At other times it holds for a
# Gaussian, and not for every law.
#
# </details>
#
# ## 6. What if only a high reward is wanted?
#
# Often the tilted law is not needed. A few samples with a high reward are wanted, fast, and they should still look like
# data. This is another aim, called *ascent*. Here is a simple way: move the *noise* up the gradient of the reward at
# the point ahead, and then jump.
#
# $$x_0 \leftarrow x_0 + \eta\, \nabla_{x_0}\, r\big(D_{0,u}(x_0)\big)$$
#
# **Write** `ascend(X, x0, u, reward, rate, steps)`: the noise after `steps` such steps with $\eta$ = `rate`, of the
# shape `(B, 2)`. The result carries no gradient. `reward(x)` has the shape `(B,)`. Use your `look`.


# %% tags=["solution"]
def ascend(X, x0, u, reward, rate, steps):
    """The noise after some steps up the reward of D_{0,u}, shape (B, 2)."""
    ### BEGIN SOLUTION
    for _ in range(steps):
        z = x0.detach().requires_grad_()
        seen = reward(look(X, 0.0, u, z))
        (slope,) = torch.autograd.grad(seen.sum(), z)
        x0 = x0 + rate * slope
    return x0
    ### END SOLUTION


# %% [markdown]
# **Predict.** Eight steps with $\eta = 0.05$ and $r(x) = 3\, x^{(1)}$. The mean reward of one jump is about 0 before.
# What is it afterwards with $u = 0$, the mean of the data?

# %%
prediction = None  # a number between 0 and 3

# %%
course.check("12.6", ascend)
climbs = {}
for name, u in (("at the mean, u = 0", 0.0), ("at the landing point, u = 1", 1.0)):
    climbs[name] = torch.zeros(len(SEEDS), 9, 2)
    for seed in SEEDS:
        x0 = board.base(N, seeded(seed))
        for k in range(9):
            x = X.sample(x0, 1)
            climbs[name][seed, k] = torch.tensor([slope(x).mean(), figures.off(board, x)])
            x0 = ascend(X, x0, u, slope, 0.05, 1)
mean, land = (rows[:, -1].mean(0) for rows in climbs.values())
course.compare(prediction, mean[0], within=0.5, too_high="Recall section 1: does the mean depend on the noise?")
for name, rows in climbs.items():
    reward, share = rows[:, -1, 0].tolist(), (100 * rows[:, -1, 1]).tolist()
    print(f"{name}: reward {figures.span(reward)}, off the squares {figures.span(share, 1)} %")

# %% tags=["figure"]
figures.ascent(climbs)

# %% [markdown]
# **What to notice.** At time 0 the mean of the data does not depend on the noise, so its gradient is nearly zero, and
# the reward hardly rises. The landing point does depend on it, and eight steps raise the reward above 2; the largest
# reward on the board is 3. So for moving the noise the landing point is of use, and the mean is not. The right panel
# shows the price: after eight steps with the landing point more points are off the squares, in each seed. It is 4.3 to
# 5.2 %, in place of 1.0 to 1.5 % before the first step. With the mean it is 0.5 to 1.2 % after eight steps. A likely
# reason is that the noise leaves the region on which the map was trained. This was not tested here.
#
# Is that fair? The mean can be used on the way, as in section 3. So we compare at an equal number of gradients, and
# look at both numbers. (When the noise is moved, the rates of its steps add up to 0.4. This was not tuned.) There are
# guided steps of two kinds. The first are the Euler steps of section 3. In the second, called *jumps*, the added term
# moves the point, and then the map jumps from there, in the place of the Euler step of the velocity. Two rows are
# controls without a reward.


# %%
def guided_jumps(value, x0, steps):
    """Guided steps by jumps: first the added term, then the jump in the place of the Euler step."""
    for k in range(steps):
        s, step = k / steps, 1 / steps
        moved = guided_step(X, s, step, x0, value, board.sigma) - step * X.velocity(s, x0)
        x0 = X(s, (k + 1) / steps, moved).detach()
    return x0


# %%
ways = {}
for word, u, value in (("mean", 0.0, steering.Denoiser(slope)), ("landing", 1.0, steering.Landing(slope))):
    ways[f"noise moved, {word}"] = lambda x0, n, u=u: X.sample(ascend(X, x0, u, slope, 0.4 / n, n), 1)
    ways[f"Euler steps, {word}"] = lambda x0, n, value=value: guided(value, x0, n)
    ways[f"jumps, {word}"] = lambda x0, n, value=value: guided_jumps(value, x0, n)
ways["Euler steps, no reward"] = lambda x0, n: guided(nothing, x0, n)
ways["jumps, no reward"] = lambda x0, n: X.sample(x0, n)

# %%
found, kept = {}, {}
for name, way in ways.items():
    for n in (1, 2, 4, 8):
        ends = [way(board.base(N, seeded(seed)), n) for seed in SEEDS]
        found[name, n] = [(slope(x).mean().item(), 100 * figures.off(board, x)) for x in ends]
        kept[name, n] = [slope(x[torch.isfinite(board.log_density(1.0, x.double()))]).mean() for x in ends]
figures.print_steps(found)
print("mean reward of the points on the squares")
for name in ("jumps, mean", "noise moved, landing"):
    print(f"{name:<24}" + "".join(f"{figures.span(kept[name, n]):>16}" for n in (1, 2, 4, 8)))

# %% [markdown]
# **What to notice.** First the controls. Without a reward one or two Euler steps leave 46.3 to 51.8 % of the points off
# the squares: they are too few. (One Euler step from the noise leads to $D_{0,0}(x_0)$, which is almost the same point
# for all noise.) Jumps leave at most 1.5 % off. With the reward at the mean it is the same: with two Euler steps 46.0
# to 50.2 % are off, with two jumps 0.8 to 2.0 %. So two steps are enough if each ends with a jump. (The order differs,
# too: the jump comes after the added term. The table does not separate the two.)
#
# Compare jumps with the reward at the mean to the noise moved by the landing point. The jumps have fewer points off the
# squares, for each number of gradients. Their mean reward is lower with one gradient and higher with four; with two and
# eight the ranges overlap or touch. But a few points far out on the right can raise the mean reward much. The last
# table counts only the points on the squares. There the jumps have more reward from two gradients on. With one gradient
# the ranges overlap.
#
# With the reward at the landing point more jumps leave *more* points off the squares, as in section 4: 6.5 to 8.3 %
# with one, 26.2 to 31.0 % with eight. So "the landing point is better than
# the mean for ascent" is true here when the noise is moved, where the mean has no gradient. It is not true on the way.
# There the flow map helps by its jumps, and not by the place at which the reward is read.
#
# A mean reward above 3 is possible only off the board. The tilted law has the mean reward $3 \coth 3 - 1 = 2.01$ (again
# with $x^{(1)}$ uniform on $[-1, 1]$). A row that is near it need not have the tilted law: a mean says little about a
# law.
#
# **Try.** Repeat the first figure of this section with the bump, with $\eta = 0.005$, then with 0.05 and 0.2. Look at
# the median of the reward, too.
#
# <details><summary>Answer</summary>
#
# Take the landing point. With 0.005 the mean reward rises. It starts near $-E|x - c|^2 / (2 \cdot 0.3^2) = -(2/3 + 1/8)
# / 0.18 = -4.4$. The gradient of the bump grows with the distance from its middle, and is divided by $0.3^2$. So a step
# of 0.2 is too long: it jumps over the middle, farther out than it began, and the reward falls. At 0.05, the rate of
# the figure, the median comes near to 0, the highest reward. But the mean does not rise: a few points are sent far out.
# A reward needs its own step.
#
# </details>
#
# ## 7. Editing digits
#
# The same tools work on pictures. **Filling in.** Half of a digit is hidden. The reward is high if the seen half of
# $D_{s,s}(x)$ agrees with the picture:
#
# $$\log h_s(x) \approx -\,\frac{|m\,(D_{s,s}(x) - y)|^2}{2\,(w^2 + v_s)}$$
#
# with the picture $y$, the mask $m$ (1 where it is seen), a width $w = 0.1$, and the variance $v_s$ of the data given
# the point. For $v_s$ we take that of Gaussian data with the standard deviation 0.5 in each pixel. For such data the
# formula is exact up to a constant; for digits it is a guess. $v_s$ makes the pull smaller at early times, where the
# mean says little. (The library's `steering.filled`. The map is told the label.)
#
# **Predict.** Let "by chance" be a digit of the same label, drawn without looking at the picture. The mean square error
# in the hidden half: that of the filled digits over that by chance?

# %%
prediction = None  # a number

# %%
n = max(20, training.budget(60))
some = real[:n]
told, mask = {"label": labels[:n]}, torch.ones_like(some)
mask[:, :, 4:] = 0
average = torch.stack([digits.data().values()[digits.data().labels == k].mean(0) for k in range(10)])[labels[:n]]

# %%
errors = {"mean digit of the label": [], "by chance": [], "filled, 4 steps": [], "filled, 16 steps": []}
for seed in SEEDS:
    x0 = digits.base(n, seeded(seed))
    by_chance = X_digits.sample(x0, 1, **told)
    filled = {k: steering.filled(X_digits, some, mask, x0, digits.sigma, steps=k, **told) for k in (4, 16)}
    for row, x in zip(errors.values(), (average, by_chance, filled[4], filled[16]), strict=True):
        row.append([(x - some)[mask == half].square().mean().item() for half in (0, 1)])
ratio = sum(hidden for hidden, _ in errors["filled, 16 steps"]) / sum(hidden for hidden, _ in errors["by chance"])
course.compare(prediction, ratio, within=0.15, too_high="Then the seen half would say less than it does.")
for name, row in errors.items():
    hidden, shown = (figures.span(half, 3) for half in zip(*row, strict=True))
    print(f"{name:<26}hidden half {hidden}, seen half {shown}")

# %% tags=["figure"]
seen = torch.where(mask == 1, some, -1.0)
rows = torch.stack([some, seen, filled[4], filled[16], by_chance])[:, :12]
figures.sheet(
    rows, ["real", "what is seen", "filled, 4 steps", "filled, 16 steps", "by chance"], "The lower half is hidden"
)

# %% [markdown]
# **What to notice.** The filled halves are nearer to the truth than digits by chance, in each seed, with four steps
# and with sixteen. Sixteen steps are not better here than four. In the seen half the filled digits agree with the
# picture up to a mean square error of 0.010 to 0.014. By chance it is 0.283 or more. In the hidden half the mean
# digit of the label is nearer still: a mean has a small square error (section 2). But it is one picture for all
# digits of a label, and does not continue the upper half.
#
# **Back and forward.** A restart without a reward changes a picture, and $s$ says how much: go back to $s$ with noise,
# then forward in 1, 2, 4 or 16 jumps. With the *label of another digit* it edits the picture.

# %%
zeros, wish = held_out.values()[held_out.labels == 0][:6], torch.full((6,), 6)
noise = digits.base(6, seeded(7))
edits, JUMPS = {}, (1, 2, 4, 16)
for s in (0.7, 0.5, 0.3, 0.1):
    x_s = steering.go_back(s, zeros, noise)
    edits |= {(s, jumps): steering.forward(X_digits, s, x_s, jumps, label=wish) for jumps in JUMPS}
    changed = (edits[s, 16] - zeros).square().mean().sqrt()
    apart = [(edits[s, jumps] - edits[s, 16]).square().mean().sqrt().item() for jumps in JUMPS[:-1]]
    apart = ", ".join(f"{jumps}: {a:.2f}" for jumps, a in zip(JUMPS, apart, strict=False))
    print(f"back to s = {s}: 16 jumps change a pixel by {changed:.2f}; from 16 jumps to {apart}")

# %% tags=["figure"]
names = ["real", *(f"s = {s}, {jumps} jump{'s' * (jumps > 1)}" for s, jumps in edits)]
figures.sheet(torch.stack([zeros, *edits.values()]), names, "Zeros, with the label six")

# %% [markdown]
# **What to notice.** (Six digits, one draw of the noise.) The earlier the time, the more is changed. From $s = 0.7$ the
# zeros come back as zeros, although the label says six. From 0.1 they have the shape of a six (the last column is the
# least clear), and little of the zeros is left. One jump and sixteen differ by far less than what was changed, and with
# two and with four jumps they differ less still. So here one jump is enough to see what an edit does.
#
# **Between two draws of the noise.** The map expects noise with the standard deviation $\sigma$. The points of a
# straight line between two draws do not have it. The points $\cos(a)\, x_0 + \sin(a)\, y_0$ with $a = \frac{\pi}{2}\,
# \text{share}$ do, for two independent draws $x_0$ and $y_0$.
#
# **Write** `between(first, second, share)`: this point, with `first` for $x_0$ and `second` for $y_0$.


# %% tags=["solution"]
def between(first, second, share):
    """The noise on the way from the first draw to the second."""
    ### BEGIN SOLUTION
    angle = torch.tensor(share * torch.pi / 2)
    return angle.cos() * first + angle.sin() * second
    ### END SOLUTION


# %% [markdown]
# **Predict.** Here $\sigma = 0.5$. What is the standard deviation half way on the *straight* line?

# %%
prediction = None  # a number

# %%
course.check("12.7", between)
first, second = (digits.base(10, seeded(k)) for k in (8, 9))
course.compare(prediction, ((first + second) / 2).std(), within=0.05, too_high="Half of two independent draws each.")
print(f"on the circle {between(first, second, 0.5).std():.3f}")
assert torch.allclose(between(first, second, 0.3), steering.between(first, second, 0.3), atol=1e-6)

# %% tags=["figure"]
ten = torch.arange(10)
way = torch.stack([X_digits.sample(between(first, second, k / 6), 1, label=ten) for k in range(7)])
figures.sheet(way, [f"{k}/6" for k in range(7)], "One jump from the noise between two draws")

# %% [markdown]
# **What to notice.** A column has one label, and its digit changes its shape in small steps. Each picture is one jump.
# Not all are clear digits: see the last rows of the 8 and the 9.
#
# ## Summary
#
# - One evaluation of a flow map looks ahead: to the mean of the data ($u = s$), to the landing point ($u = 1$), or
#   between. The mean has the least square error. The landing points of an exact map have the law of the data.
# - A reward tilts the law. The velocity of the tilted data is the old one plus a multiple of the gradient of
#   $\log E[e^r \mid x]$. The reward at one point ahead does not have this gradient. At the landing point the added term
#   grows like $1 / s$ at early times.
# - Weights and tempering sample the tilted law of the map with jumps, without a gradient; restarts come near to it.
# - If only a high reward is wanted, the noise can be moved: the landing point has a gradient at time 0, where the mean
#   has none. On the way, jumps with the reward at the mean do better here than moved noise, from two steps on.
# - A mask, a way back and the noise are enough to edit.
#
# ## Exercises
#
# **1.** The map's samples are Gaussian, one coordinate, with the standard deviation 0.6. The reward is $r(x) = 2 x$.
# Which share of the samples is the effective sample size, for many samples? Set `share_left`.

# %% tags=["solution"]
### BEGIN SOLUTION
share_left = torch.tensor(-(2.0**2) * 0.6**2).exp().item()
### END SOLUTION

# %%
course.check("12.8", share_left)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $E e^{k x} = e^{k m + k^2 v / 2}$ with the mean $m$ and the variance $v = 0.36$. So $(E w)^2 / E w^2 = e^{2 \cdot (2 m
# + 2 v)} / e^{4 m + 8 v} = e^{-4 v} = e^{-1.44}$.
#
# </details>
#
# **2.** Derive the guided velocity. Start from $b_s(x) = (E[x_1 \mid I_s = x] - x) / (1 - s)$.
#
# <details><summary>Answer</summary>
#
# The law of $x_1$ given $x$ is $p(x_1)\, e^{-|x - s x_1|^2 / 2 (1-s)^2 \sigma^2}$ over its integral $q_s(x)$. The
# tilted data have $p\, e^r$ in place of $p$, so that the integral becomes $q_s h_s$. Differentiate: $\nabla \log q_s(x)
# = (s E[x_1 \mid x] - x) / ((1-s)^2 \sigma^2)$, and for the tilted data the same with $q_s h_s$ and the tilted mean.
# The difference is $\nabla \log h_s = s\, (\tilde E[x_1 \mid x] - E[x_1 \mid x]) / ((1-s)^2 \sigma^2)$. So $\tilde b_s
# - b_s = (\tilde E - E) / (1 - s) = \sigma^2 \frac{1 - s}{s} \nabla \log h_s$.
#
# </details>
#
# **3.** Data $N(0, c^2)$ on a line, $r(x) = a x$. Compute the term that the landing point adds, and compare it with the
# exact one. Where do they agree?
#
# <details><summary>Answer</summary>
#
# The map is $X_{s,1}(x) = c\, x / S(s)$ with $S(s)^2 = (1-s)^2 \sigma^2 + s^2 c^2$. So the landing point adds $\sigma^2
# \frac{1-s}{s}\, a c / S$. The mean of the data is $s c^2 x / S^2$, and for a linear reward $\log h$ is $a$ times it
# plus a constant, so the exact term is $\sigma^2 (1 - s)\, a c^2 / S^2$. Their ratio is $S / (s c)$. It is 1 at $s = 1$
# only, and like $1 / s$ near 0.
#
# </details>
#
# **4.** Data $N(0, c^2)$ again. One restart to time $s$ without a reward: what is the correlation of $x$ and $y$?
#
# <details><summary>Answer</summary>
#
# $y = c\, x_s / S(s)$ and $x_s = (1 - s) z + s x$, so the covariance is $s c^3 / S$ and the correlation $s c / S(s)$.
# It is 0 at $s = 0$, where $y$ is a fresh sample, and 1 at $s = 1$.
#
# </details>
#
# ## Next
#
# [Lesson 13](13_densities_and_equations.ipynb) asks a map for densities, and makes maps of known equations. All lessons
# are listed in the [README](README.md).
#
# ## References
#
# - A. Sabour et al., *Test-time scaling of diffusions with flow maps*, [arXiv
#   2511.22688](https://arxiv.org/abs/2511.22688), 2025: the reward at the landing point, in a stochastic sampler
#   with importance weights for the tilted law, or with search for high rewards. It is not the plain gradient of
#   section 3.
# - J. Huang et al., *How to guide your flow: few-step alignment via flow map reward guidance*, [arXiv
#   2604.27147](https://arxiv.org/abs/2604.27147), 2026: ascent in few steps as a problem of control.
# - P. Holderrieth et al., *Diamond maps: efficient reward alignment via stochastic flow maps*, [arXiv
#   2602.05993](https://arxiv.org/abs/2602.05993), 2026; P. Potaptchik et al., *Meta flow maps enable scalable reward
#   alignment*, [arXiv 2601.14430](https://arxiv.org/abs/2601.14430), 2026: maps that are trained to draw from the data
#   given a point. The first also estimates the value with a usual flow map.
# - P. Del Moral, A. Doucet and A. Jasra, *Sequential Monte Carlo samplers*, 2006: tempering.
# - Y. Song, P. Dhariwal, M. Chen and I. Sutskever, *Consistency models*, 2023: restarts.
# - J. Song, A. Vahdat, M. Mardani and J. Kautz, *Pseudoinverse-guided diffusion models for inverse problems*, 2023: the
#   variance in the denominator of section 7.
