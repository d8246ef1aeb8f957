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
# # Digits on your laptop
#
# After this lesson you can
#
# - write the loss of a flow map for pictures with labels, and say what differs from points in the plane,
# - compare two sets of pictures by a number, and say which set that number is measured against,
# - test whether a model copies its training data, with a control that shows what copying looks like,
# - say when one method is ahead of another, and guide a map towards its labels.
#
# **It assumes** [lesson 05](05_self_distillation_on_the_checkerboard.ipynb): the training loop. Symbols are on the
# [notation card](notation.md). **It takes** about an hour and a quarter: forty minutes to read, the rest to write
# sixteen short pieces of code. The cells run in about ten minutes on two CPU cores.

# %%
import torch
from tqdm.auto import tqdm

from flowmap_edu import FlowMap, course, problems, recipes, sample, training
from flowmap_edu.metrics import classifier, images, memorising
from flowmap_edu.problems import labelled
from flowmap_edu.training import loop, runs
from flowmap_edu.viz import figures_08 as figures
from flowmap_edu.viz import plots, widgets

plots.use_style()
STEPS = training.budget(1000)
JUMPS = (1, 2, 4, 8, 16)

# %% [markdown]
# ## 1. What changes when points become pictures?
#
# scikit-learn brings 1,797 handwritten digits of 8 x 8 pixels, with values from -1 to 1. A picture is a point with 64
# coordinates. So the formulas of the plane stay as they are: noise $x_0 \sim N(0, \sigma^2 I)$, here with $\sigma =
# 1/2$, a digit $x_1$, and between them
#
# $$I_t = (1 - t)\, x_0 + t\, x_1 .$$
#
# **Write** `on_the_way(t, x0, x1)`: $I_t$ for a batch of pictures. `x0` and `x1` have the shape `(B, C, H, W)`, `t`
# has the shape `(B,)`.


# %% tags=["solution"]
def on_the_way(t, x0, x1):
    """I_t for pictures, shape (B, C, H, W)."""
    ### BEGIN SOLUTION
    t = t[:, None, None, None]
    return (1 - t) * x0 + t * x1
    ### END SOLUTION


# %%
course.check("08.1", on_the_way)
problem = problems.Digits()
data, held_out = problem.data(), problem.data(train=False)
print(f"{len(data):,} digits to train, {len(held_out)} held out, each of shape {data.shape}")

# %% [markdown]
# The library has a small classifier that was trained on the same 1,400 digits. `read.read(x)` says which digit it sees
# in each picture, shape `(B,)`. Its pictures must lie in $[-1, 1]$.
#
# **Write** `share_read(read, x, labels)`: cut `x` off at -1 and 1 (`clamp`), and return the share of pictures that are
# read as their label. Here `read` is the function, such as `classifier.load().read`.


# %% tags=["solution"]
def share_read(read, x, labels):
    """The share of pictures in which the classifier sees their label, a number."""
    ### BEGIN SOLUTION
    return (read(x.clamp(-1, 1)) == labels).double().mean()
    ### END SOLUTION


# %% [markdown]
# **Predict.** Half way between noise and data, at $t = 0.5$: which share of the held-out digits does the classifier
# read right?

# %%
prediction = None  # a number between 0 and 1

# %%
course.check("08.2", share_read)
read = classifier.load()
train, unseen = data.values(), held_out.values()
x0 = problem.base(len(unseen), torch.Generator().manual_seed(0))
times = torch.linspace(0, 1, 9)
shares = [share_read(read.read, on_the_way(t.expand(397), x0, unseen), held_out.labels).item() for t in times]
course.compare(prediction, shares[4], too_high="It was trained on digits without noise, so it is easily disturbed.")

# %% tags=["figure"]
figures.reading(times.tolist(), shares)
some = torch.stack([on_the_way(t.expand(10), x0[:10], unseen[:10]) for t in times[::2]])
figures.sheet(some, [f"t = {t:g}" for t in times[::2].tolist()], "Ten digits on the way from noise to data")

# %% [markdown]
# **What to notice.** Near the noise the classifier guesses. Near the data it reads nearly all digits. The velocity
# $b_t(x)$ is the mean of $x_1 - x_0$ over all pairs that pass through $x$. At $t = 0$ these are all pairs, so the
# mean is over all digits. Where the digit can be read from $x$, nearly all of these pairs belong to that digit.
#
# **Try.** Draw the sheet again with `on_the_way(t.expand(10), x0[:10], unseen[1:11])`: each noise gets the next digit.
# Is the top row changed?
#
# <details><summary>Answer</summary>
#
# No. At $t = 0$ there is only noise, whatever digit it is paired with. In the other rows each column moves towards
# its right neighbour's digit.
#
# </details>

# %% [markdown]
# ## 2. Which network?
#
# An MLP does not know that neighbouring pixels belong together. A *U-Net* does. It is built of convolutions, and looks
# at the picture at several sizes. Ours follows Karras et al. (2024). It gets the times $s$ and $t - s$ and the label of
# the digit, and returns the slope of the jump, $v_{s,t}(x)$. As in all lessons,
#
# $$X_{s,t}(x) = x + (t - s)\, v_{s,t}(x) .$$
#
# The losses need $\partial_t X$, exactly, through all these layers. That can be tested with a difference quotient in
# double precision.
#
# **Write** `gap(X, s, t, x, step)`: compare `X.partial_t(s, t, x)[1]` with $\big(X_{s,t + \varepsilon}(x) - X_{s,t -
# \varepsilon}(x)\big) / 2\varepsilon$, where `step` is $\varepsilon$. Return the norm of their difference over the norm
# of the first (`.norm()` over all entries), a number.


# %% tags=["solution"]
def gap(X, s, t, x, step):
    """How far the exact derivative in t and a difference quotient are apart, relative to the first."""
    ### BEGIN SOLUTION
    _, exact = X.partial_t(s, t, x)
    quotient = (X(s, t + step, x) - X(s, t - step, x)) / (2 * step)
    return (exact - quotient).norm() / exact.norm()
    ### END SOLUTION


# %% [markdown]
# **Predict.** Double precision rounds at about $10^{-16}$. With the step $10^{-5}$, how large is the gap? Give the
# exponent: -3 for $10^{-3}$.

# %%
prediction = None  # a negative number

# %%
course.check("08.3", gap)
torch.manual_seed(0)
net = problem.network().double().eval()
net.gain.data.fill_(1.0)  # the last layer's factor; it starts at 0, and then every slope is 0
X, ten = FlowMap(net).conditioned(label=torch.arange(10)), x0[:10].double()
found = gap(X, torch.zeros(10).double(), torch.linspace(0.1, 0.9, 10).double(), ten, 1e-5)
course.compare(prediction, found.detach().log10(), within=0.2, too_high="Then the derivative would be wrong somewhere.")
print(f"{sum(p.numel() for p in net.parameters()):,} parameters, gap {found.item():.1e}")

# %% [markdown]
# **What to notice.** The gap is about $10^{-16} / 10^{-5}$, the rounding over the step. Lesson 04 explains this error
# of a difference quotient. So the derivative is right through all layers. For this, each layer must have a forward
# derivative, and must treat the pictures of a batch one by one. Batch normalisation mixes the pictures of a batch,
# and PyTorch's fused attention has no forward derivative. So the network has no batch normalisation, and its
# attention (in larger networks) is written as matrix products.

# %% [markdown]
# ## 3. What is the loss with labels?
#
# Each digit comes with its label $y$, and the network reads it. The loss is that of lesson 05, on the diagonal and
# off it. With $p$ for the share of the batch on the diagonal, it is
#
# $$p\; E\, \big| v_{t,t}(I_t; y) - (x_1 - x_0) \big|^2 \;+
# \; (1 - p)\; E\, \big| \partial_t X_{s,t}(I_s; y) - \mathrm{sg}\, v_{t,t}(X_{s,t}(I_s; y); y) \big|^2 .$$
#
# **Write** `lsd(net, diagonal, jumps)`. It returns the losses of all samples: first those on the diagonal, then the
# others (`torch.cat`). `diagonal` has the fields `t`, `x` ($I_t$), `target` ($x_1 - x_0$) and `label`; `jumps` has
# `s`, `t`, `x` ($I_s$) and `label`.
# `FlowMap(net).conditioned(label=label)` is the map that is told the labels of a batch. Let no gradient through the
# target of the second part. The square of a picture is the sum over its channels and pixels.


# %% tags=["solution"]
def lsd(net, diagonal, jumps):
    """Flow matching on the diagonal and LSD off it, one number a sample."""
    ### BEGIN SOLUTION
    X = FlowMap(net).conditioned(label=diagonal.label)
    on = X.velocity(diagonal.t, diagonal.x) - diagonal.target
    X = FlowMap(net).conditioned(label=jumps.label)
    landed, moves = X.partial_t(jumps.s, jumps.t, jumps.x)
    with torch.no_grad():
        target = X.velocity(jumps.t, landed)
    return torch.cat([on, moves - target]).square().sum((1, 2, 3))
    ### END SOLUTION


# %% [markdown]
# At the start of a training this network returns zero: its last layer has a factor that starts at 0. So its loss is
# known before the first step. Three quarters of a batch are on the diagonal, so $p = 3/4$.
#
# **Predict.** The mean square of a digit, $E|x_1|^2$, is printed below. What is the mean loss of a batch before the
# first step?

# %%
print(f"E|x1|^2 = {train.square().sum((1, 2, 3)).mean().item():.1f}, 64 pixels, sigma = 1/2")

# %%
prediction = None  # a number

# %%
course.check("08.4", lsd)
run = recipes.recipe("digits", "lsd", steps=STEPS, compile=False)
fresh = training.State(*run)
batch = training.draw_batch(*run[:1], *run[2:], torch.Generator().manual_seed(0))
first = lsd(fresh.net, *batch[:2]).mean().item()
course.compare(prediction, first, too_high="Off the diagonal a map that moves nothing agrees with a velocity of zero.")
assert abs(first / loop.loss_of_batch(fresh, batch, torch.tensor(1.0)).item() - 1) < 1e-4

# %% [markdown]
# What else differs from the checkerboard? The loss and the training loop are the same. The settings are different:

# %%
print(figures.changed_settings(recipes.recipe("checkerboard", "lsd", steps=STEPS).training, run.training))

# %% [markdown]
# **What to notice.** The batch, the share on the diagonal, the optimiser, the learning rate and the cut of the
# gradient (`clip`) changed. `at_zero` is the share of the jumps that start at $s = 0$: one jump from noise to data
# starts there. `stf_batch = 0` says that the target is the plain $x_1 - x_0$ and not the average over data of lesson
# 05; `stf_near` belongs to that average, too. So "the same method" does not mean "the same settings". Which of these
# changes matter is not measured here.

# %% [markdown]
# ## 4. Does it train?
#
# Here is a training of 1,000 steps. (A few minutes. The shipped map of the next sections had 2,400 steps, and its
# loss is drawn, too.)
#
# **Predict.** To which share of its first value has the loss come down after 1,000 steps?

# %%
prediction = None  # a number between 0 and 1

# %%
every = max(1, STEPS // 20)
*_, state = tqdm(training.fit(*run, every=every), total=STEPS // every, desc="LSD on digits")
course.compare(prediction, state.loss / first, within=0.2, too_low="Even the true velocity leaves a loss.")

# %% tags=["figure"]
figures.losses([row[0] for row in state.history], [row[1] for row in state.history], first)
noise, ten = problem.base(10, torch.Generator().manual_seed(1)), torch.arange(10)
rows = torch.stack([state.X.sample(noise, n, label=ten) for n in JUMPS])
figures.sheet(rows, [f"{n} jump{'s' * (n > 1)}" for n in JUMPS], f"After {STEPS:,} steps, same noise in each column")

# %% [markdown]
# **What to notice.** Most of the fall comes in the first steps. The curve of the long run does not go to 0 either,
# since its diagonal part compares with single pairs (lesson 01). One jump already draws digits. More jumps change
# little: some strokes become brighter.
#
# **Try.** Give all ten the same noise, `noise[:1].expand(10, -1, -1, -1)`. What makes the pictures differ?
#
# <details><summary>Answer</summary>
#
# Only the label, since noise and network are the same. Look for what the ten pictures share.
#
# </details>

# %% [markdown]
# ## 5. One jump or sixteen?
#
# For an exact map $X_{s,t}$ the number of jumps does not matter. So a picture that changes with the number of jumps
# shows that the map is not exact.
#
# **Write** `change(rows)`. `rows` has the shape `(K, B, C, H, W)`: B pictures, drawn from the same noise with K
# different numbers of jumps. Return the root mean square difference of each row from the *last* row, over pictures
# and pixels, shape `(K,)`.


# %% tags=["solution"]
def change(rows):
    """The root mean square difference of each row from the last one, shape (K,)."""
    ### BEGIN SOLUTION
    return (rows - rows[-1]).square().mean((1, 2, 3, 4)).sqrt()
    ### END SOLUTION


# %% [markdown]
# **Predict.** Pixels go from -1 to 1. By how much does a pixel of the shipped map change from one jump to sixteen
# (root mean square)?

# %%
prediction = None  # a number between 0 and 2

# %%
course.check("08.5", change)
shipped = runs.load("digits-lsd")
forty = torch.arange(40) % 10
same_noise = problem.base(40, torch.Generator().manual_seed(2))
rows = torch.stack([shipped.sample(same_noise, n, label=forty) for n in JUMPS])
course.compare(prediction, change(rows)[0], within=0.25)
print("  ".join(f"{n} jump{'s' * (n > 1)}: {c:.3f}" for n, c in zip(JUMPS, change(rows).tolist(), strict=True)))

# %% [markdown]
# Step from one jump to two with the arrow keys and look for a digit that changes. Then press End.

# %% tags=["figure"]
widgets.step_slider({"shipped LSD map": shipped}, same_noise, steps=JUMPS, label=forty)

# %% [markdown]
# **What to notice.** Noise and labels stay, so only the jumps change a picture. One jump differs most from sixteen,
# and each further row differs less. Most digits keep their strokes.
#
# **Try.** For which label is the change from one jump to sixteen largest?
#
# <details><summary>Answer</summary>
#
# `d = (rows[0] - rows[-1]).square().mean((1, 2, 3)).sqrt(); [d[forty == k].mean() for k in range(10)]`. There are
# four pictures of each label here, so take more noise before you say which label is the hardest.
#
# </details>

# %% [markdown]
# ## 6. How good are they, as a number?
#
# Take the classifier's *features*: a vector of 64 numbers that it computes of each picture before it decides. If
# generated digits are distributed as real ones, their features are, too. The *Fréchet distance* compares the means $m$
# and the covariances $C$ of two sets of features:
#
# $$\mathrm{FD} = |m_1 - m_2|^2 + \mathrm{tr}\big( C_1 + C_2 - 2\, (C_1 C_2)^{1/2} \big) .$$
#
# (For photographs the features come from the Inception network, and the number is called FID.)
#
# **Write** `frechet(a, b)` for features of shape `(N, F)` and `(M, F)`. `torch.cov(a.T)` is the covariance. The trace
# of $(C_1 C_2)^{1/2}$ is the sum of the square roots of the eigenvalues of $C_1 C_2$: `torch.linalg.eigvals(...)`, of
# which take the real part, cut off below at 0.


# %% tags=["solution"]
def frechet(a, b):
    """The Fréchet distance of two sets of features, a number."""
    ### BEGIN SOLUTION
    C1, C2 = torch.cov(a.T), torch.cov(b.T)
    root = torch.linalg.eigvals(C1 @ C2).real.clamp_min(0).sqrt().sum()
    return (a.mean(0) - b.mean(0)).square().sum() + C1.trace() + C2.trace() - 2 * root
    ### END SOLUTION


# %%
course.check("08.6", frechet)


@torch.no_grad()
def features(x):
    """The classifier's features of pictures, in double precision."""
    return read(x).double()


assert abs(frechet(features(train), features(unseen)) / images.frechet(read, train, unseen) - 1) < 1e-3

# %% [markdown]
# A distance needs something to compare with. Two sets of real digits are never equal, so they do not score 0 either:
#
# | compared | says |
# | --- | --- |
# | generated digits with the 1,400 training digits | how well the map has learned what it was shown |
# | generated digits with the 397 held-out digits | the same against digits that it was not shown |
# | a random 1,400 of all real digits with the other 397 | what two sets of one distribution score |
#
# **Write** `random_splits(f, n, seeds)` for the last row. `f` are the features of all digits, shape `(N, F)`. For each
# seed, put them into the order `torch.randperm(N, generator=torch.Generator().manual_seed(seed))`, and take the
# distance of the first `n` to the others. Return the distances as a list of numbers, one a seed.


# %% tags=["solution"]
def random_splits(f, n, seeds):
    """The Fréchet distances of the two parts of random splits, one number a seed."""
    ### BEGIN SOLUTION
    found = []
    for seed in seeds:
        order = torch.randperm(len(f), generator=torch.Generator().manual_seed(seed))
        found.append(frechet(f[order[:n]], f[order[n:]]).item())
    return found
    ### END SOLUTION


# %% [markdown]
# **Predict.** Now split all real digits into 1,697 and 100, where it was 1,400 and 397. Is the mean distance of the two
# parts larger or smaller?

# %%
prediction = None  # "larger" or "smaller"

# %%
course.check("08.7", random_splits)
every_digit = features(torch.cat([train, unseen]))
splits, small = (random_splits(every_digit, n, range(5)) for n in (1400, 1697))
course.compare(
    prediction,
    "larger" if sum(small) > sum(splits) else "smaller",
    wrong={"smaller": "Then a hundred digits would show better what all digits are like than 397 do."},
)
print(f"1,400 and 397: {min(splits):.2f} to {max(splits):.2f};  1,697 and 100: {min(small):.2f} to {max(small):.2f}")

# %% [markdown]
# **What to notice.** All parts come from one collection, so all of this distance is chance: the means and covariances
# of a hundred digits are not those of all. A Fréchet distance is too large for few pictures. Compare two distances only
# if the numbers of pictures are the same.

# %% [markdown]
# **Write** `both_distances(f)` for features of shape `(N, F)`: a tensor of two distances, first to the training digits
# (`train`), then to the held-out digits (`unseen`). Use your `frechet`, and `features`.


# %% tags=["solution"]
def both_distances(f):
    """The Fréchet distances to the training and to the held-out digits, shape (2,)."""
    ### BEGIN SOLUTION
    to_train = frechet(f, features(train))
    to_unseen = frechet(f, features(unseen))
    return torch.stack([to_train, to_unseen])
    ### END SOLUTION


# %% [markdown]
# **Predict.** Now the map. Its digits are compared with the *training* digits. The distance of one jump is how many
# times that of sixteen jumps? (A minute or two.)

# %%
prediction = None  # a number

# %%
course.check("08.8", both_distances)
drawn = {n: [problem.digits(shipped, n, seed)[0] for seed in range(3)] for n in (1, 4, 16)}
scores = {n: torch.stack([both_distances(features(x)) for x in draws]) for n, draws in drawn.items()}
course.compare(prediction, scores[1][:, 0].mean() / scores[16][:, 0].mean(), within=0.2)
print(figures.ranges(scores))

# %% tags=["figure"]
figures.distances(scores, splits)

# %% [markdown]
# **What to notice.** Each dot is one draw of the noise. The grey band is what random splits score. Against the training
# digits (left) one jump has more than twice the mean distance of sixteen. Against the held-out digits (right) one jump
# is above the band, and sixteen jumps are in it. Both panels score the same 1,400 pictures, but on the left they are
# compared with 1,400 digits, on the right with 397, as the band is. So only the right panel is to be read against the
# band. On the left the map is also measured against the very digits that it was trained on. A Fréchet distance says
# little without the name of the set that it is measured against, and without the numbers of pictures. (One map, one
# training. The dots show the noise alone.)
#
# **Try.** Compute `frechet(features(train), features(train))`. Is it a good score for a model?
#
# <details><summary>Answer</summary>
#
# It is 0, up to rounding, and that is the best score there is. A model that returns its training digits has it. This
# number rewards copies.
#
# </details>

# %% [markdown]
# ## 7. Does it copy its training digits?
#
# The map has seen each digit more than two hundred times. To find copies, measure how far each picture is from the
# nearest of *all* training digits.
#
# **Write** `nearest(x, among)`: the Euclidean distance of each picture of `x`, shape `(B, C, H, W)`, to the nearest
# picture of `among`, shape `(M, C, H, W)`. The result has the shape `(B,)`. `torch.cdist` takes vectors, and
# `flatten(1)` makes them.


# %% tags=["solution"]
def nearest(x, among):
    """The distance of each picture to the nearest of `among`, shape (B,)."""
    ### BEGIN SOLUTION
    distances = torch.cdist(x.flatten(1), among.flatten(1))
    return distances.min(1).values
    ### END SOLUTION


# %% [markdown]
# How far apart are real digits? Held-out digits are new by definition. A training digit can play the same part, if it
# is compared with the *other* training digits: leave it out of the search.
#
# **Write** `leave_one_out(x)`: the distance of each picture to the nearest *other* picture of the same set, shape
# `(B,)`. (One way: the second smallest of all distances, by `.sort` or `.topk`.)


# %% tags=["solution"]
def leave_one_out(x):
    """The distance of each picture to the nearest other picture, shape (B,)."""
    ### BEGIN SOLUTION
    distances = torch.cdist(x.flatten(1), x.flatten(1))
    distances.fill_diagonal_(torch.inf)
    return distances.min(1).values
    ### END SOLUTION


# %% [markdown]
# A test must be able to fail. So we need models that *do* copy, as controls. The copier returns training digits. A
# copier of a share $q$ returns a training digit with probability $q$, and else a digit of the map. We take $q = 0.05$,
# which is harder to find.
#
# **Write** `share_copier(train, generated, share, generator)`: two tensors of one shape, `(B, C, H, W)`, and a number.
# Each picture of the result is that of `train` with probability `share`, else that of `generated`. Use
# `torch.rand(B, generator=generator)` and `torch.where`.


# %% tags=["solution"]
def share_copier(train, generated, share, generator):
    """Each picture a training digit or a generated one, shape (B, C, H, W)."""
    ### BEGIN SOLUTION
    copied = torch.rand(len(train), generator=generator) < share
    return torch.where(copied[:, None, None, None], train, generated)
    ### END SOLUTION


# %% [markdown]
# Call a digit *near* if its distance is below a threshold. We take the threshold that 5 % of the held-out digits are
# below. A map that draws new digits as far away as held-out ones has about 5 % of near digits, too.
#
# **Write** `share_near(distances, real, q)`: the threshold is the `q` quantile of `real` (`real.quantile(q)`). Return
# the share of `distances` that are below it, a number.


# %% tags=["solution"]
def share_near(distances, real, q):
    """The share of distances below the q quantile of the real ones."""
    ### BEGIN SOLUTION
    threshold = real.quantile(q)
    return (distances < threshold).double().mean()
    ### END SOLUTION


# %% [markdown]
# **Predict.** Which share of the digits of the 5 % copier is near?

# %%
prediction = None  # a number between 0 and 1

# %%
course.check("08.9", nearest)
course.check("08.10", leave_one_out)
course.check("08.11", share_copier)
course.check("08.12", share_near)
assert torch.allclose(nearest(unseen, train), memorising.nearest(unseen, train), rtol=1e-3)
sets = {f"map, {n} jump{'s' * (n > 1)}": torch.cat(drawn[n]) for n in (1, 16)}
sets |= {"5 % copier": share_copier(train, drawn[1][0], 0.05, torch.Generator().manual_seed(5)), "copier": train}
found = {"held-out digits": nearest(unseen, train), "training, leave one out": leave_one_out(train)}
found |= {name: nearest(x, train) for name, x in sets.items()}
near = {name: share_near(distance, found["held-out digits"], 0.05).item() for name, distance in found.items()}

# %%
course.compare(prediction, near["5 % copier"], within=0.2, too_low="The map's digits are near at times, too.")

# %% [markdown]
# **Predict.** Which share of the map's digits is near, with one jump?

# %%
prediction = None  # a number between 0 and 1

# %%
course.compare(prediction, near["map, 1 jump"], within=0.3)
print(figures.near(found, near))

# %% tags=["figure"]
figures.shares_within(found, found["held-out digits"].quantile(0.05).item())
picked = torch.arange(0, 1400, 100)
closest = torch.cdist(drawn[1][0][picked].flatten(1), train.flatten(1)).argmin(1)
figures.sheet(torch.stack([drawn[1][0][picked], train[closest]]), ["one jump", "nearest"], "Nearest training digits")

# %% [markdown]
# **What to notice.** Held-out digits and training digits have nearly the same distances: both are random parts of one
# collection. The test sees both copiers: all digits of the one are near, and 6.4 % of the other's, where the map's own
# digits have 0.3 %. But 6.4 % is little more than the 5 % of held-out digits. With fewer copies this test would say
# nothing. So try a test on a control that copies as little as you want to find.
#
# The map's digits are near less often than held-out ones, with one jump and with sixteen. So no copies are seen. That
# is no merit: in the median they are further from the training digits than real digits are. The test compares pixels.
# It is not tried here on a copy that is moved by one pixel.
#
# **Try.** Blur the copier: add noise of the size 0.1 to each pixel of its digits. Is it still found?
#
# <details><summary>Answer</summary>
#
# Yes. The noise moves a picture of 64 pixels by about $0.1 \sqrt{64} = 0.8$, which is below the threshold (the grey
# line in the figure).
#
# </details>

# %% [markdown]
# ## 8. Larger digits: is one method ahead?
#
# MNIST's digits have 28 x 28 pixels. `problems.Mnist()` has 5,000 of them, parted at random: 4,000 to train, 1,000 held
# out. Six methods were trained on them for three CPU minutes each, with the same network. This network is an MLP with
# residuals: at so short a training it did better than a U-Net (`docs/results.md`). LSD and PSD-M
# have three seeds, the other methods one. The trainings are not repeated here. `python tests/benchmark_mnist.py` made
# them, and `data/mnist/mnist.json` has their numbers: distances of 1,000 drawn digits to the 4,000 training digits.
#
# When is a method ahead? We say: if each of its seeds has a smaller distance than each seed of the other.
#
# **Write** `ahead(a, b)`: `a` and `b` are the distances of two methods, tensors of shape `(seeds, K)`, a column for
# each number of jumps. Return the number of columns in which every seed of `a` is below every seed of `b`. The two may
# have different numbers of seeds.


# %% tags=["solution"]
def ahead(a, b):
    """In how many columns each seed of a is below each seed of b, a whole number."""
    ### BEGIN SOLUTION
    worst = a.max(0).values
    best = b.min(0).values
    return (worst < best).sum().item()
    ### END SOLUTION


# %% [markdown]
# **Predict.** On its three sets of photographs, the paper of these losses has LSD ahead of PSD-M at each of 1, 2, 4, 8
# and 16 jumps (`flowmap-edu table images` prints its numbers). Here, on digits and after three CPU minutes: at how many
# of the five is LSD ahead of PSD-M?

# %%
prediction = None  # 0 to 5

# %%
course.check("08.13", ahead)
short = figures.mnist_distances()
course.compare(prediction, ahead(short["lsd"], short["psd-m"]), too_high="Then the paper's order would hold here, too.")
print(f"PSD-M is ahead of LSD at {ahead(short['psd-m'], short['lsd'])} of 5\n\n{figures.mnist_table()}")

# %% tags=["figure"]
figures.refinement()

# %% [markdown]
# **What to notice.** The paper's order does not hold here: PSD-M is ahead at all five. This does not refute the paper.
# Its trainings are far longer, its pictures and its networks are others, and its distance has other features. In the
# same time PSD-M also made more steps than LSD (second column). The other four methods have one seed each. The
# distances of LSD and PSD-M differ by up to a third from seed to seed, so the order of the others says little. No
# method but CT has a larger distance with sixteen jumps than with one. (CT draws fresh noise between its jumps.)
#
# In the picture, the columns of a row differ little, but for mean flow and CT. The digits of three minutes have grey
# speckles around them. The last column of the table, `copied`, is the share of digits that are nearer to a training
# digit than 95 % of the held-out ones are. It is near 0. That is no merit: it says only that these digits are further
# from the training digits than real ones are.
#
# **Try.** At how many is mean flow ahead of PSD-M? What is this answer worth?
#
# <details><summary>Answer</summary>
#
# `ahead(short["meanflow"], short["psd-m"])` is 2. But mean flow has one seed, and another one may lie on the other
# side. Two more seeds are needed before this can be said.
#
# </details>

# %% [markdown]
# ## 9. What do half an hour and guidance change?
#
# The shipped map `mnist-lsd` is LSD trained for thirty CPU minutes, with the settings of the three. `labelled.judge`
# draws 1,000 digits three times, and returns the means of the measures of sections 6 to 8. Where ± is printed, it is
# the standard deviation over the three draws.
#
# **Predict.** The one-jump distance of LSD to the training digits was 7.01 to 8.05 after three minutes. By which factor
# is it smaller after thirty?

# %%
prediction = None  # a number

# %%
mnist, half_hour = problems.Mnist(), runs.load("mnist-lsd")
plain = labelled.judge(mnist, half_hour, (1, 16))
course.compare(prediction, short["lsd"].median(0).values[0] / plain[0]["fd_train"], within=0.25)
print(figures.judged({"1 jump": plain[0], "16 jumps": plain[1]}))
print("250 digits a draw:\n" + figures.judged({"1 jump": labelled.judge(mnist, half_hour, (1,), n=250)[0]}))

# %% [markdown]
# The distance of one jump is still far above that of real digits. Can a map be improved without training? In a tenth of
# the samples of its training the label was hidden: the network was told -1. So it knows two slopes, one with the label
# and one without. *Guidance* (Ho and Salimans 2022) goes further in the direction from the one without to the one with:
#
# $$v^{\text{guided}}_{s,t}(x; y) = v_{s,t}(x; \text{none}) +
# \text{scale} \cdot \big( v_{s,t}(x; y) - v_{s,t}(x; \text{none}) \big) .$$
#
# **Write** `guided_slope(X, s, t, x, label, scale)`. `X.v(s, t, x, label=label)` is the slope that is told the labels,
# shape `(B,)`. The hidden label is -1, for each sample: `torch.full_like(label, -1)`.


# %% tags=["solution"]
def guided_slope(X, s, t, x, label, scale):
    """The slope that leans further towards the label, shape (B, C, H, W)."""
    ### BEGIN SOLUTION
    hidden = torch.full_like(label, -1)
    told = X.v(s, t, x, label=label)
    untold = X.v(s, t, x, label=hidden)
    return untold + scale * (told - untold)
    ### END SOLUTION


# %% [markdown]
# **Predict.** Take the scale 1.5 in the place of 1. Does the distance of one jump to the training digits fall or rise?
# Are the labels read back more often or less often?

# %%
prediction = {"distance": None, "labels": None}  # "falls" or "rises"; "more" or "less"

# %%
course.check("08.14", guided_slope)
X = FlowMap(lambda s, t, x, label: guided_slope(half_hour, s, t, x, label, 1.5))
noise = mnist.base(10, torch.Generator().manual_seed(3))
assert torch.allclose(
    X(0, 1, noise, label=torch.arange(10)),
    sample.guided(half_hour, 1.5)(0, 1, noise, label=torch.arange(10)),
    atol=1e-5,
)
rows = {c: labelled.judge(mnist, sample.guided(half_hour, c), (1,))[0] for c in (1.0, 1.25, 1.5, 2.0, 3.0)}

# %%
course.compare(
    prediction["distance"],
    "falls" if rows[1.5]["fd_train"] < rows[1.0]["fd_train"] else "rises",
    wrong={"rises": "Then the guided slopes would be worse for the distance, on balance, than those of the map."},
)
course.compare(
    prediction["labels"],
    "more" if rows[1.5]["labels"] > rows[1.0]["labels"] else "less",
    wrong={"less": "Then the way from the slope without the label to that with it would lead away from the label."},
)
print(figures.judged({f"1 jump, scale {c:g}": row for c, row in rows.items()}))

# %% tags=["figure"]
figures.guidance(rows)
shown = {f"scale {c:g}": sample.guided(half_hour, c).sample(noise, 1, label=torch.arange(10)) for c in (0, 1, 1.5, 3)}
figures.sheet(torch.stack(list(shown.values())), list(shown), "One jump, the same noise in each column", side=0.6)

# %% [markdown]
# **What to notice.** Half an hour brings the distance of one jump from 7.01 to 8.05 down to 2.25, sixteen jumps bring
# it to 1.38. Guidance with the scale 1.5 brings that of one jump to 1.29, at the price of two evaluations. The distance
# to the held-out digits falls, too. With the scale 3 both are larger again. So some scales help more than others: of
# those tried here, 1.25 has the smallest distances. The labels are read back more often with guidance, about as often
# as those of real digits. The share `copied` is 5.4 % with the scale 1.5, close to the 5 % of held-out digits. In the
# sheet, the first row ignores the label, and the last row has the brightest strokes. All this is one map from one seed.
# Why the distance falls is not tested here.
#
# Real digits score 0.68 and 1.36, though all are of one collection: the first compares 1,000 digits with 4,000, the
# second with 1,000. With 250 digits a draw, all these distances are larger.
#
# **Try.** Guide sixteen jumps, with the scales 1.5 and 1.25: `labelled.judge(mnist, sample.guided(half_hour, 1.5),
# (16,))`. Do they have a smaller distance to the training digits than one guided jump?
#
# <details><summary>Answer</summary>
#
# With 1.5 they do not: 1.31, where one jump has 1.29. With 1.25 they have 0.98, the smallest distance of all that are
# tried here.
#
# </details>

# %% [markdown]
# ## Summary
#
# - Losses, map and loop are those of the plane. Network and data changed, and so did the settings: batch, shares,
#   optimiser, rate, cut and target.
# - A U-Net has an exact forward derivative if each layer has one and treats the pictures one by one.
# - The Fréchet distance compares means and covariances of features. It needs the name of the set that it is measured
#   against, the number of pictures, and the score of real digits next to it.
# - Look for copies by the distance to the nearest of *all* training pictures. Trust the test only if it finds a
#   copier, and one that copies as little as you want to find.
# - One method is ahead of another if all its seeds are. The order of methods here is not that of the paper.
# - Guidance takes the slopes with and without the label, and goes further from the one to the other.
#
# ## Exercises

# %% [markdown]
# **1.** What is the Fréchet distance of two Gaussians with the same mean and the covariances $a^2 I$ and $c^2 I$ in
# $d$ dimensions? Set `two_gaussians` to its value for $d = 16$, $a = 0.1$, $c = 0.3$.

# %% tags=["solution"]
### BEGIN SOLUTION
two_gaussians = 16 * (0.1 - 0.3) ** 2
### END SOLUTION

# %%
course.check("08.15", two_gaussians)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $\mathrm{tr}(a^2 I + c^2 I - 2\, (a^2 c^2 I)^{1/2}) = d\, (a^2 + c^2 - 2ac) = d\, (a - c)^2 = 0.64$. Your `frechet` on
# `0.1 * torch.randn(20000, 16)` and `0.3 * torch.randn(20000, 16)` comes near.
#
# </details>
#
# **2.** Another test of copying takes 397 of the 1,400 training digits at random. It asks: is a generated digit nearer
# to the nearest of these, or to the nearest of the 397 held-out ones? For a new digit both are equally likely. Set
# `of_a_copier` to the share that is nearer to the training digits, for a map that returns training digits alone, each
# of the 1,400 equally often.

# %% tags=["solution"]
### BEGIN SOLUTION
of_a_copier = 397 / 1400 + (1 - 397 / 1400) / 2
### END SOLUTION

# %%
course.check("08.16", of_a_copier)

# %% [markdown]
# <details><summary>Answer</summary>
#
# In 397 of 1,400 cases its digit is among those that are searched, at the distance 0. Else it is like a new digit, and
# one half of the cases counts. Together this is $0.284 + 0.716 / 2 = 0.642$. So this test has to tell 64 % from 50 %.
# The test of section 7 has to tell 100 % from 5 %, since it searches all training digits.
#
# </details>
#
# ## Next
#
# [09, CIFAR-10 on a GPU](09_cifar10_on_a_gpu.ipynb) goes on to pictures in colour and to trainings that take a GPU.
#
# ## References
#
# - T. Karras, M. Aittala, J. Lehtinen, J. Hellsten, T. Aila, S. Laine, *Analyzing and improving the training dynamics
#   of diffusion models*, [arXiv 2312.02696](https://arxiv.org/abs/2312.02696), 2024: the network.
# - M. Heusel et al., *GANs trained by a two time-scale update rule converge to a local Nash equilibrium*, [arXiv
#   1706.08500](https://arxiv.org/abs/1706.08500), 2017: the Fréchet distance of features.
# - J. Ho, T. Salimans, *Classifier-free diffusion guidance*, [arXiv 2207.12598](https://arxiv.org/abs/2207.12598),
#   2022: guidance by labels.
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the losses, on pictures up to 64 x
#   64.
