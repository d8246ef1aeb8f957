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
# # Self-distillation on the checkerboard
#
# After this lesson you can
#
# - write the whole training of a flow map: the batch, the loss, the loop and the averaged weights,
# - write a target that is averaged over data, and say why it scatters less than a single slope,
# - train a map by four methods (LSD, ESD, PSD-M and PSD-U) and compare them fairly,
# - measure a map by its samples and by its distance to the exact map, and say why the two scores disagree.
#
# **It assumes** [lesson 04](04_losses_and_their_cost.ipynb) and
# [lesson 04b](04b_stop_gradients_and_stability.ipynb): the three losses and their stop-gradients. Symbols are on the
# [notation card](notation.md).
#
# **It takes** two hours if you write the code, and six minutes of computing on two CPU cores. Cells that take
# longer than ten seconds say so.

# %%
import copy

import torch
from tqdm.auto import tqdm

import flowmap_edu
from flowmap_edu import FlowMap, course, metrics, problems, recipes, training
from flowmap_edu.course import material_05 as material
from flowmap_edu.metrics import errors
from flowmap_edu.times import triangle
from flowmap_edu.training import targets
from flowmap_edu.viz import figures_05 as figures
from flowmap_edu.viz import plots, widgets

plots.use_style()
board = problems.Checkerboard()

# %% [markdown]
# ## 1. What does one step of training read?
#
# *Self-distillation* trains one network for two tasks. On the diagonal it learns the velocity from data. Off the
# diagonal it learns jumps, and there the teacher is the network itself: it reads its own velocity (or, in PSD, its own
# shorter jumps). So a batch has two parts. Here it has 256 pairs $(x_0, x_1)$ of noise and data. Three quarters of
# them, the first 192, are for the diagonal. The others are for the jumps. (Section 5 will take other shares.)
#
# **Write** `points(x0, x1, t, s)`. `x0` and `x1` have shape (B, 2), `t` has shape (D,), `s` has shape (J,), and
# D + J = B. With $I_t = (1 - t)\, x_0 + t\, x_1$ return three tensors:
#
# 1. `x_t`: $I_t$ of the first D pairs, shape (D, 2);
# 2. `slope`: $x_1 - x_0$ of the same pairs, shape (D, 2);
# 3. `x_s`: $I_s$ of the other J pairs, shape (J, 2).
#
# Write $I_t$ as it stands here. Another order of operations rounds differently, and section 3 compares bits.


# %% tags=["solution"]
def points(x0, x1, t, s):
    """x_t and its slope on the diagonal, x_s for the jumps."""
    ### BEGIN SOLUTION
    on = len(t)
    x_t = (1 - t)[:, None] * x0[:on] + t[:, None] * x1[:on]
    x_s = (1 - s)[:, None] * x0[on:] + s[:, None] * x1[on:]
    return x_t, x1[:on] - x0[:on], x_s
    ### END SOLUTION


# %%
course.check("05.1", points)

# %% [markdown]
# **Write** `draw(generator, n, on)`, which draws a batch and returns `t, x_t, slope, s, r, x_s`. The end of a jump is
# called $r$ in this lesson, since $t$ is taken. Section 3 compares bits with the library, so draw in its order:
#
# 1. `x1 = board.sample(n, generator)[0]` and `x0 = board.base(n, generator)`, n points each;
# 2. `t = torch.rand(on, generator=generator)`, the times on the diagonal;
# 3. `s, r = triangle(n - on, stratified=False, generator=generator)`, pairs that are uniform on $0 \le s \le r \le 1$;
# 4. then call your `points`. (Section 3 will show whether this function is right.)


# %% tags=["solution"]
def draw(generator, n=256, on=192):
    """A batch: (t, x_t, slope) for the diagonal, (s, r, x_s) for the jumps."""
    ### BEGIN SOLUTION
    x1, x0 = board.sample(n, generator)[0], board.base(n, generator)
    t = torch.rand(on, generator=generator)
    s, r = triangle(n - on, stratified=False, generator=generator)
    x_t, slope, x_s = points(x0, x1, t, s)
    return t, x_t, slope, s, r, x_s
    ### END SOLUTION


# %% [markdown]
# ## 2. What is the loss of a batch?
#
# A sample on the diagonal contributes the first of these squares, a jump the second. The loss is the mean over all 256
# samples:
#
# $$\big|v_{t,t}(I_t) - (x_1 - x_0)\big|^2, \qquad
#   \big|\partial_r X_{s,r}(I_s) - \mathrm{sg}\, v_{r,r}(X_{s,r}(I_s))\big|^2 .$$
#
# The second square is the Lagrangian loss of lesson 04, with the stop-gradient "convex" of lesson 04b: sg holds the
# target fixed, as if a frozen teacher had given it.
#
# **Write** `loss_of(X, t, x_t, slope, s, r, x_s)`, which returns one number. You may use `X.velocity(t, x)`, which is
# $v_{t,t}(x)$, and `X.partial_t(s, r, x)`, which returns the landing point and its derivative in the end of the jump.
# Sum each square over the two coordinates. The target of a jump carries no gradient: neither the landing point that it
# is read at, nor the velocity that is read there.


# %% tags=["solution"]
def loss_of(X, t, x_t, slope, s, r, x_s):
    """The mean over the batch of both kinds of squares."""
    ### BEGIN SOLUTION
    on = (X.velocity(t, x_t) - slope).square().sum(1)
    landed, moves = X.partial_t(s, r, x_s)
    with torch.no_grad():
        target = X.velocity(r, landed)
    off = (moves - target).square().sum(1)
    return torch.cat([on, off]).mean()
    ### END SOLUTION


# %%
course.check("05.2", loss_of)

# %% [markdown]
# ## 3. What is the whole loop?
#
# Each step computes the loss and its gradient, and moves the weights. Three things are usual in such a loop:
#
# - The learning rate rises over the first steps and falls to zero along a cosine. At step $k = 0, 1, 2, \ldots$ it is
#   `settings.lr * settings.learning_rate(k, settings.steps)`; an optimiser keeps it in
#   `optimizer.param_groups[0]["lr"]`.
# - A gradient that is longer than `settings.clip` is shortened to that length: `torch.nn.utils.clip_grad_norm_`.
# - We do not sample from the last weights $w$ but from *averaged* weights $a$. They depend less on single batches.
#   After each step $a \leftarrow \delta a + (1 - \delta)\, w$, with $\delta = 0$ at step 0 and $\delta =
#   \min\!\big(\texttt{settings.ema},\, \tfrac{1 + k}{10 + k}\big)$ at step $k > 0$. At first $\delta$ is small, so that
#   the average forgets the random start.
#
# **Write** `fit(net, loss, batches, settings)`. It trains a copy of `net` (`copy.deepcopy`) with
# `torch.optim.Adam(..., betas=(0.9, 0.99))`, one step for each batch, and returns a second copy that holds the averaged
# weights. The loss of a batch is `loss(FlowMap(net), *batch)`. For the average use `a.lerp_(w, 1 - delta)` under
# `torch.no_grad()`, for each pair of parameters.


# %% tags=["solution"]
def fit(net, loss, batches, settings):
    """Train a copy of net; return another copy with the averaged weights."""
    ### BEGIN SOLUTION
    net, averaged = copy.deepcopy(net), copy.deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), betas=(0.9, 0.99))
    for k, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = settings.lr * settings.learning_rate(k, settings.steps)
        optimizer.zero_grad()
        loss(FlowMap(net), *batch).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimizer.step()
        delta = min(settings.ema, (1 + k) / (10 + k)) if k else 0.0
        with torch.no_grad():
            for a, w in zip(averaged.parameters(), net.parameters(), strict=True):
                a.lerp_(w, 1 - delta)
    return averaged
    ### END SOLUTION


# %%
course.check("05.3", fit)

# %% [markdown]
# That is all of it. `training.fit` of the library is this loop. It takes four objects: a problem, a network, a method,
# and a `Training` that holds the numbers. We train with both, from the same first weights and the same random numbers.

# %%
plain = recipes.recipe(
    "checkerboard", "lsd", steps=300, batch=256, diagonal=0.75, optimizer="adam", lr=2e-3, warmup=50, clip=1.0,
    ema=0.99, stratified=False, at_zero=0.0, stf_batch=0, compile=False,
)  # fmt: skip
generator = torch.Generator().manual_seed(plain.training.seed)
mine = fit(plain.net, loss_of, (draw(generator) for _ in range(300)), plain.training)
*_, state = training.fit(*plain._replace(net=copy.deepcopy(plain.net)))
for ours, library in zip(mine.parameters(), state.average.module.parameters(), strict=True):
    assert torch.equal(ours, library), "is I_t written as in section 1? The order of operations changes the rounding"
print(f"{sum(w.numel() for w in mine.parameters()):,} weights, all equal to the last bit after 300 steps")

# %% [markdown]
# **Predict.** These 300 steps took a few seconds. KL64 of lesson 01 measures how far samples are from the board; less
# is better. Divide KL64 of one jump by KL64 of sixteen jumps. Is the ratio about 1, or much larger? (One seed.)

# %%
prediction = None  # a number: your guess of KL64 with one jump over KL64 with sixteen jumps

# %%
noise = board.base(50_000, torch.Generator().manual_seed(1))
early = {n: FlowMap(mine).sample(noise, n) for n in (1, 4, 16)}
kl = {n: metrics.kl64(x).kl for n, x in early.items()}
print({n: round(value, 2) for n, value in kl.items()}, "by the number of jumps")
course.compare(prediction, kl[1] / kl[16], within=0.3, too_high="Then jumps would wait for a good velocity.")

# %% tags=["figure"]
drawn = {f"{n} jump{'s' * (n > 1)}": x for n, x in early.items()} | {"data": board.sample(50_000)[0]}
figures.boards(drawn, "LSD after 300 steps of 256 samples")

# %% [markdown]
# **What to notice.** Neither the long jumps nor the short ones are good yet. One jump draws a bent ring with bright
# corners, sixteen jumps draw a blur with bright corners at about the same places. The jumps did not wait for a finished
# velocity. Did they learn from the second part of the loss? That needs a control run:
#
# **Try.** Train with the first part of the loss alone: return `on.mean()`. What do one and sixteen jumps draw?
#
# <details><summary>Answer</summary>
#
# Then only the diagonal is trained. For $s \ne r$ nothing tells the network what $v_{s,r}$ should be. So expect nothing
# good from one jump. Sixteen jumps read $v_{s,r}$ with $r - s = 1/16$, near the diagonal. So expect a picture like that
# of the sixteen jumps above. We ran both losses with three seeds. Without the second part KL64 of one jump was worse in
# each of the three, and KL64 of sixteen jumps was about the same. So one jump did learn from the second part. To sample
# from a network with a trained diagonal alone one uses Euler's method, as in lesson 01.
#
# </details>

# %% [markdown]
# ## 4. Which target scatters less?
#
# The diagonal regresses $v_{t,t}(I_t)$ on the slope $x_1 - x_0$ of one pair. Its mean given $I_t$ is the velocity, but
# single slopes scatter widely (lesson 01). The network has to average over many steps to see the mean. Can we average
# before we train?
#
# Yes. Given a place $x = I_t$, *any* data point $y$ could have been the end of the pair. How likely is each? The pair
# that ends in $y$ is at $x$ if the noise was $(x - t y)/(1 - t)$. By Bayes' rule the weight of $y$ is
#
# $$w(y) \propto \exp\!\Big(\! -\frac{|x - t y|^2}{2\, (1 - t)^2 \sigma^2} \Big), \qquad
#   \text{its slope is} \quad \frac{y - x}{1 - t} .$$
#
# Here $\sigma$ is the standard deviation of the noise, `board.sigma`. So take a thousand data points, and average their
# slopes with these weights. The pair's own $x_1$ must be one of them. The mean over all batches is the same as before
# (exercise 3), and the scatter is smaller. This is the *stable target field* of Xu, Tong and Jaakkola (2023). It uses
# samples of the data only, not the density.
#
# **Write** `averaged_target(t, x, y, sigma)`: `t` has shape (B,), `x` has shape (B, 2), the data points `y` have shape
# (K, 2). Return the weighted mean slope of each sample, shape (B, 2). `softmax` makes weights from exponents.


# %% tags=["solution"]
def averaged_target(t, x, y, sigma):
    """The mean of (y - x) / (1 - t) with the weights of Bayes' rule, shape (B, 2)."""
    ### BEGIN SOLUTION
    t = t[:, None]
    square = (x[:, None] - t[:, None] * y).square().sum(2)  # (B, K)
    w = torch.softmax(-square / (2 * ((1 - t) * sigma) ** 2), dim=1)
    return (w @ y - x) / (1 - t)
    ### END SOLUTION


# %%
course.check("05.4", averaged_target)
t, x_t, slope = draw(torch.Generator().manual_seed(2))[:3]
y = x_t + (1 - t)[:, None] * slope  # the ends of the pairs themselves
library = targets.stable(flowmap_edu.Linear(), t, x_t, slope, y, board.sigma, below=1.0)
assert torch.allclose(averaged_target(t, x_t, y, board.sigma), library, atol=1e-3)

# %% tags=["figure"]
figures.averaging(board, averaged_target, times=(0.3, 0.7, 0.95))

# %% [markdown]
# **What to notice.** The cross is a place $I_t$, and the points are data; a darker point has more weight. The blue
# arrow is the slope of one pair through this place. At $t = 0.3$ and $t = 0.7$ many points share the weight, and the
# mean slope (orange) lies on the velocity (green). At $t = 0.95$ only the few points under the cross have weight, and
# the two differ. (Arrows are drawn at 0.7 of their length.)
#
# **Predict.** At $t = 0.5$, how many times is the mean squared distance to the exact velocity smaller for the averaged
# target than for one pair's slope? The set has the ends of the 256 pairs and 1,024 fresh data points.

# %%
prediction = None  # a number: scatter of one pair's slope over scatter of the averaged target, at t = 0.5

# %%
when, scatter = figures.scatter_of_targets(board, averaged_target)
ratio = (scatter["one pair"] / scatter["averaged"])[18]
print(f"at t = {when[18]:.2f}: one pair {scatter['one pair'][18]:.3f}, averaged {scatter['averaged'][18]:.5f}")
course.compare(prediction, ratio, within=0.5, too_low="Then few data points would share the weight at t = 0.5.")

# %% tags=["figure"]
figures.scatters(when, scatter)

# %% [markdown]
# **What to notice.** For most times the averaged target has a small fraction of the scatter. (Its curve is uneven,
# since each time has only four batches.) Towards $t = 1$ most of the gain is lost: only data within a distance of
# about $(1 - t)\sigma/t$ of $I_t/t$ have weight, and of a thousand points hardly any is there. The third target takes
# at most 256 *near points* from a pool of 260,000 instead. At the end it scatters least.
#
# **Try.** Use 64 fresh points in place of 1,024: set `figures.AT_ONCE = 64` and run the two cells again.
#
# <details><summary>Answer</summary>
#
# The set then has 320 points in place of 1,280, since the 256 ends of the batch belong to it. The variance of a mean
# falls with the number of points that share it. So expect the orange curve about four times higher where many points
# share the weight.
#
# </details>

# %% [markdown]
# ## 5. Which pairs of times does each method need?
#
# The rest of the lesson uses the recipe `recipes.recipe("checkerboard", ...)`. It has other numbers than section 3
# (such as 384 samples in a batch) and the ingredients below. They are our choices, not those of the paper that these
# losses come from. Each is an option by name.
#
# - `stf_batch`, `stf_near`: the averaged target, and for the latest tenth of the times the near points.
# - `diagonal`: **two thirds** of the batch are on the diagonal for LSD and ESD, in place of three quarters; **one
#   half** for PSD.
# - `fourier`: random Fourier features (lesson 04b), with which a small network draws sharp edges. They were in section
#   3 as well.
# - `stratified`: the times of a batch are spread evenly instead of at random.
# - `at_zero`, `at_one`: a share of the jumps has $s = 0$, or $r = 1$.
# - `optimizer="soap"`: Adam in other axes. They come from the correlations of the gradients in a layer (Vyas et al.
#   2024).
#
# Why pairs with $s = 0$ or $r = 1$? Each loss compares a pair $(s, r)$ with something that is known already. The
# Lagrangian loss has the derivative in the *end*. So what the map knows moves along $r$, at a fixed $s$. It has to
# reach the corner $X_{0,1}$. It starts on the diagonal, at $(0, 0)$, and moves along the row $s = 0$.
#
# **Predict.** The Eulerian loss has the derivative in the *start*. Which side of the triangle must ESD visit to reach
# the corner: the row `"s = 0"` or the column `"r = 1"`?

# %%
prediction = None  # a word: "s = 0" or "r = 1"

# %%
sides = recipes.recipe("checkerboard", "esd", steps=100).training
course.compare(prediction, "r = 1" if sides.at_one > sides.at_zero else "s = 0")

# %% tags=["figure"]
figures.pairs({m: recipes.recipe("checkerboard", m, steps=100) for m in ("lsd", "esd", "psd-m")})

# %% [markdown]
# **What to notice.** The arrows lead into one pair, from the places that its loss reads. For LSD one of them comes
# from the left, along $r$; for ESD one comes from above, along $s$. PSD-M reads two short jumps. The orange points are
# the recipe's additional pairs: the row for LSD, the column for ESD, some of both for PSD. (The other lessons call
# the end $t$.)
#
# **Try.** Train ESD with `at_zero=0.3, at_one=0.0` in section 6. Which score tells whether the side mattered?
#
# <details><summary>Answer</summary>
#
# The scores of one jump, since the sides serve $X_{0,1}$. Sixteen jumps use short pairs near the diagonal. Whether the
# difference is larger than that between seeds you can only say after three seeds of each.
#
# </details>

# %% [markdown]
# ## 6. What does the loss say while we train?
#
# We train by four methods. LSD, ESD, PSD-M (a stop in the middle) and PSD-U (a stop anywhere) differ in the second part
# of the loss, in the pairs of section 5, and in the shares of the batch. ESD is used with the stop-gradient "convex",
# because lesson 04b saw "full" fail with Fourier features. Each training has **1,500 steps of 384 samples**. A fifth
# map, "LSD, plain", has as many steps and samples, but plain targets, times at random, no additional pairs, no Fourier
# features, and Adam with a learning rate of its own.
#
# **Predict with a formula.** A plain target scatters, so the loss has a floor. A perfect network still has
# $E\,|x_1 - x_0 - b_t(I_t)|^2$ on the diagonal, which is `board.irreducible_loss()`. Its jumps can reach zero. The
# plain map has two thirds of its batch on the diagonal.
#
# **Write** `floor`, the least mean loss that any network can reach with plain targets and this batch.

# %% tags=["solution"]
### BEGIN SOLUTION
floor = 2 / 3 * board.irreducible_loss()
### END SOLUTION

# %%
course.check("05.5", floor)

# %%
METHODS = ("LSD", "ESD", "PSD-M", "PSD-U")
steps = training.budget(1500)  # fewer where the notebook is only tested
trainings = {m: recipes.recipe("checkerboard", m.lower(), steps=steps, compile=False) for m in METHODS}
without = {"stf_batch": 0, "stratified": False, "at_zero": 0.0, "optimizer": "adam", "lr": 2e-3, "net": {"fourier": 0}}
trainings["LSD, plain"] = recipes.recipe("checkerboard", "lsd", steps=steps, compile=False, **without)

# %% [markdown]
# (Five trainings of less than half a CPU minute each.)

# %%
states = {name: [*training.fit(*run, every=30)][-1] for name, run in tqdm(trainings.items())}
maps = {name: state.X for name, state in states.items()}

# %% [markdown]
# One training is one draw of first weights and batches. So we read in what other seeds gave with the same recipe and
# the same number of steps. They were made by `python data/lessons/make_05.py`. The error of the diagonal is
# $E\,|v_{t,t}(I_t) - b_t(I_t)|^2$, with $b$ the exact velocity.

# %%
others = figures.other_seeds()
diagonal = {m: [figures.diagonal_error(board, maps[m])] + [row["diagonal"] for row in others[m]] for m in maps}
figures.table({m: [{"diagonal error": error} for error in seeds] for m, seeds in diagonal.items()}, ["diagonal error"])

# %% tags=["figure"]
figures.losses({name: state.history for name, state in states.items()}, diagonal, floor)

# %% [markdown]
# **What to notice.** Left: the plain loss comes down close to its floor, the dotted line, and stays there. The
# averaged target scatters less, so the floor of the other losses is lower. PSD has a smaller share of the batch on the
# diagonal and another loss for the jumps, and its numbers are lower again. So the *losses* of two recipes cannot be
# compared. Right: the distance of the diagonal to the exact velocity can. With equal steps, every seed of the recipe's
# maps is more than ten times below every seed of the plain map. (The plain map differs in several things at once. This
# comparison does not say which of them matters.)
#
# **Try.** Take out one ingredient at a time: `stf_batch=0`, or `net={"fourier": 0}`, or `optimizer="adam", lr=2e-3`.
# Print `figures.diagonal_error(board, X)` for each.
#
# <details><summary>Answer</summary>
#
# Each is a run of less than half a CPU minute. Judge it by the distance of the diagonal, as above, and not by its loss:
# without the averaged target the loss must be higher, whatever the map is. Differences smaller than the range over
# seeds that is printed above say nothing.
#
# </details>

# %% [markdown]
# ## 7. How good are the samples?
#
# The same noise for every picture: 1 to 16 jumps by each map. (A minute.) The still shows the densities. The live
# figure also shows the points, coloured by the quarter of the plane in which each began. Use the arrow keys to change
# the number of jumps.

# %%
widgets.step_slider({name: maps[name] for name in ("LSD", "ESD", "PSD-M", "LSD, plain")}, noise[:6000])

# %% [markdown]
# **What to notice.** In the first three rows the edges are sharper with sixteen jumps than with one, and the gaps
# between the squares are emptier. With the same number of training steps the plain map does not show the squares. (One
# seed.)
#
# Now by numbers. KL64 sees the samples only. The *distance* sees the map: 4,096 points start at $x_0$; where does each
# land, and where does the exact map carry it? We keep three numbers of these distances $d$:
#
# $$\sqrt{E\, d^2}, \qquad \text{the median of } d, \qquad
#   \frac{\text{sum of } d^2 \text{ over the worst twentieth of the points}}{\text{sum of } d^2 \text{ over all}} .$$
#
# **Write** `summary(landed, goal)`, both of shape (N, 2): return the three as numbers. The worst twentieth are the
# `N // 20` points with the largest distance.


# %% tags=["solution"]
def summary(landed, goal):
    """Root mean square and median of the distances, and the worst twentieth's share of the squares."""
    ### BEGIN SOLUTION
    square = (landed - goal).square().sum(1).sort().values
    worst = square[-(len(square) // 20) :].sum() / square.sum()
    return square.mean().sqrt().item(), square.median().sqrt().item(), worst.item()
    ### END SOLUTION


# %%
course.check("05.6", summary)

# %% [markdown]
# **Write** `measured(X, steps)`: a dictionary with an entry for each number of jumps n in `steps`. The key is `str(n)`,
# the entry a dictionary with `"kl64"`, `"rms"`, `"median"` and `"worst"`. KL64 is `metrics.kl64(...).kl` of
# `X.sample(noise, n)`, n jumps from the noise; the others are the `summary` of `X.sample(start, n)` and `goal`.

# %%
start, goal = errors.exact_pairs(board, 0.0, 1.0, 4096, 0)  # points of the noise, and where the exact map carries them


# %% tags=["solution"]
def measured(X, steps=(1, 2, 4, 8, 16)):
    """KL64 and the three numbers of the distance, by the number of jumps."""
    ### BEGIN SOLUTION
    table = {}
    for n in steps:
        rms, median, worst = summary(X.sample(start, n), goal)
        kl = metrics.kl64(X.sample(noise, n)).kl
        table[str(n)] = {"kl64": kl, "rms": rms, "median": median, "worst": worst}
    return table
    ### END SOLUTION


# %% [markdown]
# What is a large KL64? A ruler: take exact draws, and make the whole board 2 % too small.
#
# **Predict.** Exact draws score 0.041 with 50,000 points. What is KL64 of the board that is 2 % too small?

# %%
prediction = None  # a number: KL64 of 50,000 exact draws times 0.98

# %%
exact = board.sample(50_000, torch.Generator().manual_seed(7))[0]
small = metrics.kl64(0.98 * exact)
print(f"KL64 of exact draws {metrics.floor64(50_000):.3f}, of the smaller board {small.kl:.3f}")
print(f"the smaller board's points are {(0.02 * exact).norm(dim=1).median():.3f} from their places (median)")
course.compare(prediction, small.kl, within=0.3, too_low="A bin that loses nearly all its points counts much.")

# %% [markdown]
# Now the maps. Each method has three seeds: ours and two that were read in.
#
# **Predict.** Which of the four methods of the recipe has the lowest KL64 with sixteen jumps, and which the highest?
# Say `"open"` if no method is below (or above) the three others in all of its seeds.

# %%
lowest = None  # a word: "LSD", "ESD", "PSD-M", "PSD-U" or "open"
highest = None  # the same

# %% [markdown]
# (Half a minute for the next cell.)

# %%
rows = {name: [measured(X)] + [row["jumps"] for row in others[name]] for name, X in tqdm(maps.items())}
figures.by_jumps(rows, "kl64")
print(f"CPU seconds of these trainings: { {name: round(state.cpu_seconds) for name, state in states.items()} }")

# %%
order = [m for _, m in sorted((seed["16"]["kl64"], m) for m in METHODS for seed in rows[m])]  # of all twelve seeds
course.compare(lowest, order[0] if len(set(order[:3])) == 1 else "open")
course.compare(highest, order[-1] if len(set(order[-3:])) == 1 else "open")

# %% tags=["figure"]
figures.against_jumps(rows, "kl64", "KL64", metrics.floor64(50_000), ("a board 2 % too small", small.kl))

# %% [markdown]
# **What to notice.** From two jumps on, KL64 of every recipe map falls with the number of jumps. From one jump to two
# it rises for PSD-M and PSD-U, in every seed. The lines connect middle seeds, and the bars are the range of the seeds:
# where the bars of two methods overlap, these runs do not tell them apart. The budgets are equal in steps and samples.
# The CPU seconds of this run are printed, since a step does not cost the same in each method.
#
# The maps that come with the library were trained longer, and by another recipe, `checkerboard-fine`. It has 128
# Fourier features in place of 64, of larger frequencies, and 512 samples a step in place of 384. The learning rate
# rises over 500 steps in place of 100, and falls along a line. Three in ten of the jumps go over a last Euler step
# (`docs/results.md`). The scores are of one seed each, and of a million points each.

# %%
figures.shipped({m: m.lower() for m in METHODS})

# %% [markdown]
# **What to notice.** The budgets are printed: more than thirty times as many steps as here. KL64 is several times
# lower. Be careful: these scores have a million points, those above 50,000. Exact draws score 0.002 and 0.041 with
# these numbers. The gaps to the scores above are larger than the difference of these two floors. The recipe changed as
# well, so the table does not say how much of the gap is due to the longer training. It does not rank the four methods:
# the budgets are different, and each map has one seed. The paper's numbers are there for context, not as a comparison:
# it does not describe its estimator of KL, and its training is another one.
#
# **Try.** Why must two scores of KL64 have the same number of points?
#
# <details><summary>Answer</summary>
#
# Even exact draws do not score 0: with few points the counts in the bins scatter. The printed floors show it: 0.041
# with 50,000 points, 0.002 with a million.
#
# </details>

# %% [markdown]
# ## 8. Which is better: one jump, or sixteen Euler steps?
#
# Euler's method with the exact velocity moves a point by $\frac1N b_{k/N}(x)$ at each step. It is a map with the slope
# $v_{s,r}(x) = b_s(x)$: then a jump is an Euler step, and `X.sample(noise, N)` is Euler's method.
#
# **Write** `euler`, a `FlowMap` with this slope: `FlowMap(v)` takes any function `v(s, r, x)`.

# %% tags=["solution"]
### BEGIN SOLUTION
euler = FlowMap(lambda s, r, x: board.velocity(s, x))  # noqa: ARG005
### END SOLUTION

# %%
assert torch.allclose(euler(0.5, 0.6, noise[:9]), noise[:9] + 0.1 * board.velocity(0.5, noise[:9]))
by_euler = measured(euler, (4, 16, 64))

# %% [markdown]
# **Predict.** One jump of our LSD map took less than half a CPU minute of training. Sixteen steps of Euler's method use
# the exact velocity. Which is better by the root mean square distance: `"one jump"` or `"sixteen steps"`? And by KL64?

# %%
by_distance = None  # a word: "one jump" or "sixteen steps"
by_samples = None  # a word: "one jump" or "sixteen steps"

# %%
one, sixteen, names = rows["LSD"][0]["1"], by_euler["16"], ("one jump", "sixteen steps")
course.compare(by_distance, names[one["rms"] > sixteen["rms"]])
course.compare(by_samples, names[one["kl64"] > sixteen["kl64"]])

# %%
table = {f"{m}, {n} jump{'s'[: int(n) - 1]}": [seed[n] for seed in rows[m]] for m in rows for n in ("1", "16")}
table |= {f"Euler, {n} steps": [scores] for n, scores in by_euler.items()}
figures.table(table, ["rms", "median", "kl64", "worst"])

# %% tags=["figure"]
figures.two_scores(table)

# %% [markdown]
# **What to notice.** The two scores give different rankings. Sixteen Euler steps have a lower KL64 than one jump of
# any map of section 6. One jump of each recipe map has a smaller distance, in the root mean square and in the median,
# in every seed. (Not the plain map: there Euler's method wins by both scores.) The distance is about *destinations*:
# is each point in its square, and where in it? KL64 is about the *density*: are the edges sharp, are the gaps empty?
# Neither score is the right one. Name both.
#
# The last column is a warning. In the maps of the recipe a twentieth of the points makes most of the squared distance.
# So the root mean square says mainly how far these few points are. The median says how far an ordinary point is.
#
# **Try.** Exchange two squares of the data after a map has made its samples. How do both scores change? (Exercise 2.)

# %% [markdown]
# ## 9. Where is a map wrong?
#
# Two views. First, the plane of the noise, coloured by how far one jump from there lands from its exact destination.
# We look at the shipped maps, one seed of each (budgets and recipes in section 7).
#
# **Predict.** Where are the large distances: `"everywhere"`, at the `"outside"`, where noise is rare, or along
# `"lines"`?

# %%
prediction = None  # a word: "everywhere", "outside" or "lines"

# %%
final = {m: flowmap_edu.load(f"checkerboard-{m.lower()}") for m in METHODS}
where = material.worst_places(board, final)  # of the worst twentieth of 1,000 starts
course.compare(prediction, where, wrong={"everywhere": "Then the median would be near the root mean square."})
figures.table({m: [measured(X, [1])["1"]] for m, X in final.items()}, ["rms", "median", "worst"])

# %% tags=["figure"]
figures.misses(board, final)

# %% [markdown]
# **What to notice.** The large distances lie on lines. We call them *seams*: there the exact map carries
# neighbouring points to different squares, and tears the plane. The first printed table shows it. It counts the
# starts from which a neighbour 0.05 away goes to another square, among all starts and among the worst twentieth of
# each map. A network is continuous, so it draws a thin thread of points from one square to the next. The points of
# these threads lie between the squares, where there is no data. The *leak* is the share of all points that land
# outside of the squares, on a thread or beyond an edge. With a leak $\ell$, KL64 is at least about $-\log(1 -
# \ell)$, whatever the other points do (exercise 4). Section 7 printed that part for one jump: it is 39 to 72 % of
# KL64 in the four maps. Between the seams the pictures of PSD are brighter than those of LSD and ESD, and the medians
# of PSD are larger. The four maps have the same recipe, and one seed each.
#
# The second view leaves the seams out: a few bad points hardly change the *median* distance of the last jump $X_{s,1}$.
# Here are the maps of section 6, with equal steps and three seeds.
#
# **Write** `last(X)`: a list of the median distance of `X(s, 1.0, x_s)` to its exact end, for each s in `starts`. The
# points and their ends are `x_s, end = errors.exact_pairs(board, s, 1.0, 2048, 0)`. Work under `torch.no_grad()`.

# %%
starts = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95)


# %% tags=["solution"]
@torch.no_grad()
def last(X):
    """The median distance of the jump from s to 1, for each start s."""
    ### BEGIN SOLUTION
    medians = []
    for s in starts:
        x_s, end = errors.exact_pairs(board, s, 1.0, 2048, 0)
        medians.append(summary(X(s, 1.0, x_s), end)[1])
    return medians
    ### END SOLUTION


# %%
late = {name: [last(X)] + [row["late"] for row in others[name]] for name, X in maps.items()}
assert all(seeds[0][0] > seeds[0][-1] for name, seeds in late.items() if steps == 1500), "short jumps are easier"

# %% tags=["figure"]
figures.last_jumps(starts, late)

# %% [markdown]
# **What to notice.** From $s = 0.8$ on, a shorter last jump lands closer, for every map. Up to $s = 0.4$ the medians
# change little. For the longest jumps the medians of PSD-M and PSD-U are above those of LSD and ESD in every seed,
# although their diagonal has the smaller error (section 6). Where the bands of two methods do not overlap, three seeds
# agree on their order at this budget. The figure does not say why: the methods differ in the loss, in the pairs that
# they visit and in their share on the diagonal.
#
# **Try.** Draw the growth of lesson 04b, section 7, $\frac12 \|\nabla X_{0,1}(x)\|_F^2$ of the exact map, on the plane
# of the first figure of this section.
#
# <details><summary>Answer</summary>
#
# Expect it to be large on the same lines: where the exact map tears the plane, neighbours are pulled apart. A column of
# $\nabla X_{0,1}$ is `X.push(0.0, 1.0, x, w)[1]` for `w` one of the two unit vectors, with
# `X = FlowMap(board.v)`.
#
# </details>

# %% [markdown]
# ## Summary
#
# - The loop is: draw pairs, flow matching on the diagonal, a condition off it, a gradient step, an average of the
#   weights. Yours is equal to the library's to the last bit.
# - One network learns velocity and jumps together, from samples alone.
# - A target that is averaged over data before training has the same mean. It scatters much less, except at late times.
# - The loss of a recipe has a floor of its own. The distance of the diagonal to the exact velocity can be compared.
# - KL64 and the distance measure different things, and rank maps differently. Name the budget, the number of points and
#   the seeds beside every score.
# - In the shipped maps a twentieth of the points makes most of the squared distance of one jump, and the large
#   distances lie on the seams of the flow. 39 to 72 % of their KL64 with one jump is leak.
#
# ## Exercises
#
# **1.** Train PSD-M in your loop. Write `psd_m` with the arguments of `loss_of`: the first part stays, the second is
# the semigroup loss with the stop $u = (s + r)/2$ half way,
#
# $$\Big| v_{s,r}(I_s) - \mathrm{sg}\,\tfrac12 \big[ v_{s,u}(I_s) + v_{u,r}(X_{s,u}(I_s)) \big] \Big|^2 .$$


# %% tags=["solution"]
def psd_m(X, t, x_t, slope, s, r, x_s):
    """Flow matching on the diagonal, PSD-M off it."""
    ### BEGIN SOLUTION
    on = (X.velocity(t, x_t) - slope).square().sum(1)
    u = (s + r) / 2
    with torch.no_grad():
        target = (X.v(s, u, x_s) + X.v(u, r, X(s, u, x_s))) / 2
    off = (X.v(s, r, x_s) - target).square().sum(1)
    return torch.cat([on, off]).mean()
    ### END SOLUTION


# %%
course.check("05.7", psd_m)

# %% [markdown]
# **2.** Write `swap(x)`: points in the square $(-1, -\frac12)^2$ at the lower left and in the square $(\frac12, 1)^2$
# at the upper right change places, by translation. All other points stay. Which of the two scores does it change?


# %% tags=["solution"]
def swap(x):
    """The points after the exchange, shape (N, 2)."""
    ### BEGIN SOLUTION
    low = ((x > -1) & (x < -0.5)).all(1, keepdim=True)
    high = ((x > 0.5) & (x < 1)).all(1, keepdim=True)
    return torch.where(low, x + 1.5, torch.where(high, x - 1.5, x))
    ### END SOLUTION


# %%
course.check("05.8", swap)
one, landed = maps["LSD"].sample(noise, 1), maps["LSD"].sample(start, 1)
print(f"KL64 {metrics.kl64(one).kl:.4f}, after the exchange {metrics.kl64(swap(one)).kl:.4f}")
print(f"rms distance {summary(landed, goal)[0]:.4f}, after the exchange {summary(swap(landed), goal)[0]:.4f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Both squares hold the same number of bins, and KL64 sums over bins. Only which count stands in which bin changes, so
# KL64 stays as it is. A quarter of the points is now in a wrong square, $1.5\sqrt2$ away, so the root mean square
# distance becomes about $1.5 \sqrt2 \cdot \sqrt{1/4} \approx 1.06$. The printed number is a little smaller: some points
# of the map lie in no square, and do not move.
#
# </details>
#
# **3.** Why must the pair's own $x_1$ be among the data points of the averaged target?
#
# <details><summary>Answer</summary>
#
# Draw $y_1, \ldots, y_K$ from the data and an index $j$ at random; let $x_1 = y_j$ and $x = (1 - t)\, x_0 + t\, y_j$.
# Given $x$ and the set, the probability that $j = k$ is $w(y_k)$, by Bayes' rule. So the averaged target is the mean of
# $x_1 - x_0$ given $x$ and the set. Its mean over sets, given $x$, is the mean of $x_1 - x_0$ given $x$: the velocity.
# Without $y_j$ in the set the $y_k$ are independent of $x$. Then the weighted mean is a ratio of two sums, and the mean
# of a ratio is not the ratio of the means: the target is biased.
#
# </details>
#
# **4.** A map has a leak of 0.08: so many of its points lie outside the squares. What is the least that
# $\mathrm{KL} = \sum p \log (p/q)$ can be, with $p = 1/2048$ in each of the 2,048 bins of the board? (Leave out the
# half points that KL64 adds to each bin.)

# %% tags=["solution"]
### BEGIN SOLUTION
least = -torch.log(torch.tensor(1 - 0.08)).item()
### END SOLUTION

# %%
course.check("05.9", least)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The bins of the board share the mass $1 - \ell$. Write $q = (1 - \ell)\, q'$, where $q'$ sums to 1. Then
# $\sum p \log(p/q) = -\log(1 - \ell) + \sum p \log(p/q')$, and the last sum is a divergence, so it is not negative. It
# is zero for $q' = p$.
#
# </details>
#
# ## Next
#
# [06, Distillation, with and without a teacher](06_distillation_with_and_without_a_teacher.ipynb)
# asks what a teacher, a velocity that is already known, would add.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the four methods and the KL figures.
# - Y. Xu, S. Tong, T. Jaakkola, *Stable target field for reduced variance score estimation in diffusion models*,
#   [arXiv 2302.00670](https://arxiv.org/abs/2302.00670), 2023: the averaged target.
# - N. Vyas et al., *SOAP: improving and stabilizing Shampoo using Adam*,
#   [arXiv 2409.11321](https://arxiv.org/abs/2409.11321), 2024: the optimiser.
