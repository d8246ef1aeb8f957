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
# # What breaks, and why
#
# After this lesson you can
#
# - measure how long and how noisy a loss's gradient is, and compare two losses fairly,
# - recognise three ways in which a training goes wrong: a loose stop-gradient, a learned weight that starts too early,
#   an average or a schedule that does not fit the run,
# - read from pictures, and from a number that needs no data, where a map is not finished.
#
# **It assumes** [lesson 04b](04b_stop_gradients_and_stability.ipynb) (stop-gradients) and
# [lesson 08](08_digits_on_your_laptop.ipynb) (digits, their Fréchet distance).
# **It takes** thirty minutes to read and about ten minutes to run on two CPU cores. All results are of one seed and of
# short trainings; their second digits would change with another.

# %%
import dataclasses
import math

import matplotlib.pyplot as plt
import torch
from tqdm.auto import tqdm

from flowmap_edu import METHODS, FlowMap, methods, problems, recipes, training
from flowmap_edu.metrics import classifier, images
from flowmap_edu.viz import plots

plots.use_style()
STEPS, read, digits = training.budget(400), classifier.load(), problems.Digits()
held_out = digits.data(train=False).values()

# %% [markdown]
# ## 1. Is the Eulerian loss harder to train?
#
# Its residual holds the derivative of the map in *space*, along the velocity:
#
# $$\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x) .$$
#
# For 64 pixels $\nabla X$ is a matrix of 64 x 64. The Lagrangian residual has only $\partial_t X$, a derivative in one
# number. The paper found Eulerian losses highly unstable on pictures. How do the gradients compare, on the *same*
# network and the *same* batches? The network must favour neither, so it is one that was trained on the diagonal alone.
# All our trainings here are short: 400 steps of 64 digits.


# %%
def run(method="lsd", **changes):
    """A short training that differs from the recipe in `changes`."""
    four = recipes.recipe("digits", method, **{"steps": STEPS, "batch": 64, "compile": False} | changes)
    *_, state = tqdm(training.fit(*four, every=max(1, STEPS // 20)), total=20, desc=four.method.title, leave=False)
    return state


settings = training.Training(steps=STEPS, batch=64, diagonal=0.5)
neutral = run("fm").net
losses_of = {
    "PSD-M": ("psd-m", "convex"), "LSD": ("lsd", "convex"), "LSD, no sg": ("lsd", "none"), "ESD, full": ("esd", "full"),
    "ESD, convex": ("esd", "convex"), "ESD, no sg": ("esd", "none"),
}  # fmt: skip


# %% [markdown]
# We take the gradient of the off-diagonal loss over many batches: the norm of their mean says how far the loss would
# move the network, and the distance from that mean how noisy one batch is.


# %%
def told(net, part):
    """The map of a network that is told the labels of a part of a batch; without its dropout."""
    return FlowMap(net).conditioned(label=part.label, dropout=False)


def jumps_of(batch):
    """The jumps alone."""
    return batch._replace(diagonal=batch.changed(lambda x: x[:0]).diagonal)


# %%
def gradients(net, method, stopgrad):
    """The gradients of some batches' off-diagonal loss, one row each."""
    chosen, generator, rows = dataclasses.replace(METHODS[method], stopgrad=stopgrad), torch.Generator(), []
    generator.manual_seed(0)
    for _ in range(min(16, STEPS)):
        batch = training.draw_batch(digits, METHODS["lsd"], settings, generator)
        net.zero_grad()
        methods.loss(told(net, batch.jumps), jumps_of(batch), chosen).mean().backward()
        rows.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    return torch.stack(rows)


# %%
norms = {}
for name, choice in tqdm(losses_of.items(), desc="gradients"):
    each = gradients(neutral, *choice)
    norms[name] = each.norm(dim=1)
    noise = (each - each.mean(0)).norm(dim=1).mean()
    print(f"{name:>12}: norm {norms[name].mean():6.1f}, of the mean {each.mean(0).norm():6.1f}, noise {noise:5.1f}")
figure, ax = plt.subplots(figsize=(5.6, 2.6))
ax.boxplot(list(norms.values()), tick_labels=list(norms), orientation="horizontal")
ax.set(xscale="log", xlabel="norm of a batch's gradient", title="Same network, same batches: what each loss asks for")
plt.show()

# %% [markdown]
# **What to notice.** The Eulerian gradients are longer than the Lagrangian one, and noisier, by a half and more;
# without any derivative, the semigroup's is far shorter. That is a difference, not a catastrophe: at 8 x 8 pixels our
# ESD runs train as well as the others, under the stop-gradient "convex" (README; lesson 04 shows where "full" can blow
# up). What makes larger pictures worse, the paper says, is the spatial Jacobian; we have not run any.
#
# **Try.** The same on the shipped map, which was trained with LSD: put `runs.load("digits-lsd").slope` into `neutral`
# (and let its parameters want gradients, `.requires_grad_(True)`). Now LSD looks far calmer. Why is that not fair?

# %% [markdown]
# ## 2. What does the stop-gradient buy?
#
# Each run below differs from the first in one choice. We judge it by the Fréchet distance of one jump, by how often the
# classifier reads back the label that was asked for, and by the residuals on the diagonal and off it.


# %%
def score(net, jumps=1):
    """The Fréchet distance after some jumps, the labels read back, and the share of grey pixels."""
    x, labels = digits.digits(FlowMap(net.eval()), jumps, seed=0)
    right = (read.read(x) == labels).double().mean().item()
    return images.frechet(read, x, held_out), right, (x.abs() < 0.8).double().mean().item()


@torch.no_grad()
def residuals(net):
    """The mean squared residual on the diagonal, and LSD's off it, over one large batch."""
    large, lsd = dataclasses.replace(settings, batch=512), METHODS["lsd"]
    batch = training.draw_batch(digits, lsd, large, torch.Generator().manual_seed(1))
    on = batch._replace(jumps=batch.changed(lambda x: x[:0]).jumps)
    parts = ((told(net, batch.diagonal), on), (told(net, batch.jumps), jumps_of(batch)))
    return [methods.loss(X, part, lsd).mean().item() for X, part in parts]


# %%
plain, loose = run(), run(dataclasses.replace(METHODS["lsd"], stopgrad="none"))
for name, state in (("LSD", plain), ("LSD, no sg", loose)):
    (fd, right, _), (on, off) = score(state.average.module), residuals(state.net)
    print(
        f"{name:>10}: FD-digits {fd:.1f} in one jump, labels {right:.0%}; residuals: diagonal {on:.2f}, off {off:.2f}"
    )

# %% [markdown]
# **What to notice.** Without the stop-gradient the one-step map is worse in this run. Two things can make the residual
# small: the map moves towards the velocity, which is what we want, or the velocity moves towards the map. The
# stop-gradient forbids the second. (One seed; the difference of the labels is small.)
#
# **Try.** `run("esd", stopgrad="full")` and `run("esd", stopgrad="convex")`. Which is better after so few steps?

# %% [markdown]
# ## 3. Can a weight be learned from the first step?
#
# With the learned weight of [lesson 09](09_cifar10_on_a_gpu.ipynb) the loss of a pair of times is $e^{-w} |r|^2 + w$.
# At its best $w$ it is $1 + \log E|r|^2$. A logarithm has no floor: a residual that can be made *zero* is worth
# infinitely much. The diagonal's cannot, since even the true velocity leaves a variance (lesson 01). The one off the
# diagonal can: a velocity that is simple enough is followed exactly.

# %%
weighted = run(weighting=True)
for name, state in (("plain", plain), ("learned weight", weighted)):
    (fd, right, _), (on, off) = score(state.average.module), residuals(state.net)
    logs = 0.75 * math.log(on) + 0.25 * math.log(off)
    print(f"{name:>15}: FD-digits {fd:.1f} in one jump, labels {right:.0%}")
    print(f"{'':>15}  residuals: diagonal {on:.2f}, off {off:.2f}; logs {logs:.2f}")

# %%
with torch.no_grad():
    grid = torch.linspace(0, 1, 101)
    s, t = torch.meshgrid(grid, grid, indexing="ij")
    weight = (-weighted.net.log_weight(s.flatten(), t.flatten())).exp().view(101, 101)
weight[s > t] = torch.nan
figure, axes = plt.subplots(1, 2, figsize=(8.0, 2.9), gridspec_kw={"width_ratios": [1, 1.7]})
shown = axes[0].imshow(weight.T, origin="lower", extent=(0, 1, 0, 1), norm="log")
axes[0].set(xlabel="s", ylabel="t", title="The learned weight $e^{-w}$")
figure.colorbar(shown, ax=axes[0])
ten, x0 = torch.arange(10), digits.base(10, torch.Generator().manual_seed(3))
rows = [state.X.sample(x0, n, label=ten) for state in (plain, weighted) for n in (1, 16)]
plots.images(axes[1], torch.stack(rows))
axes[1].set_title("Plain, 1 and 16 jumps; learned weight, 1 and 16 jumps")
plt.show()

# %% [markdown]
# **What to notice.** With the learned weight no digit can be read: labels come back as often as by guessing. The
# residual off the diagonal has become smaller than the plain run's, the one on the diagonal much larger. By its own
# measure, the logarithms ("logs", weighted by the shares of a batch), the run is *worse* off than the plain one: it
# sits in a trap on the way, not in a better minimum. At the start the trap is open, since the network's output is
# exactly zero and so is the residual off the diagonal. The paper trains with a learned weight, in larger networks and
# with other settings, and so do our recipes for large pictures.
#
# **Try.** Open the trap: in a loop over `training.fit(*four, every=1)` with `weighting=True` in its `Training`, at
# step 1, `state.net.load_state_dict(plain.net.state_dict())`. Does a network that knows digits fall in, too?

# %% [markdown]
# ## 4. Why are the weights averaged?
#
# An optimiser with a constant learning rate never comes to rest: in the end it wanders around the minimum. The mean of
# where it has been is then nearer to the middle than where it is now. But while it still walks *towards* the minimum,
# where it has been is behind where it is. The moving average $a \leftarrow d\, a + (1 - d)\, w$ remembers about $1 /
# (1 - d)$ steps. (At step $k$ ours uses at most $d = (1 + k) / (10 + k)$, to forget the first weights faster.)

# %%
constant = run(decay="none", ema=0.9, second_ema=0.99)
nets = {"the last weights": constant.net, "average, d = 0.9": constant.average.module,
        "average, d = 0.99": constant.second.module}  # fmt: skip
for name, candidate in nets.items():
    print(f"{name:>20}: FD-digits {score(candidate)[0]:5.1f} in one jump")
print(f"{'falling rate, last':>20}: FD-digits {score(plain.net)[0]:5.1f} in one jump")

# %% [markdown]
# **What to notice.** Over some ten steps ($d = 0.9$) the average is a little better than the last weights; over some
# forty (which is what $d = 0.99$ comes to at step 400) it is a little worse. The falling rate is behind: in so short a
# run its last steps are too short to get anywhere. These are differences of one seed; what they suggest is that a
# memory, and a schedule, must fit the length of the run.
#
# **Try.** Which $d$ would you take for a run a hundred times as long?

# %% [markdown]
# ## 5. What does a map do when it is asked for too few jumps?
#
# A map that has not learned a jump yet draws something in between: a mean over what it cannot decide. The mean of black
# and white is grey. So count the grey pixels, those with $|x| < 0.8$, and compare with real digits.

# %%
grey = {n: score(plain.average.module, n) for n in (1, 2, 4, 8, 16)}
real = (held_out.abs() < 0.8).double().mean().item()
for n, (fd, _, share) in grey.items():
    print(f"{n:>3} jump{'s' * (n > 1):1}: FD-digits {fd:5.1f}, grey pixels {share:.1%} (real digits {real:.1%})")

# %%
one_jump, many = (plain.X.sample(x0, n, label=ten) for n in (1, 16))
apart = (one_jump - many).abs()
figure, ax = plt.subplots(figsize=(6.4, 1.9))
plots.images(ax, torch.stack([one_jump, many, 2 * apart / apart.max() - 1]))
ax.set_title(f"One jump, sixteen jumps, and how far apart (white: {apart.max():.2f})")
plt.show()
print("root mean square difference, digit by digit:")
print("  ".join(f"{a:.2f}" for a in apart.square().mean((1, 2, 3)).sqrt()))

# %% [markdown]
# **What to notice.** The second jump takes a third of the excess grey away, further ones hardly any: what is left is
# not the jump's fault, the velocity itself has not been trained for long. The Fréchet distance goes on falling. Where
# one jump and sixteen differ, the map is not consistent with itself. That needs no data and no classifier to be
# measured, so it is a good first look at a map of your own. But agreement is not quality: a constant velocity agrees
# with itself perfectly.
#
# **Try.** The same with the shipped map, `runs.load("digits-lsd")`. What remains?

# %% [markdown]
# ## Summary
#
# - Compare the gradients of two losses on a network that favours neither. At 8 x 8 pixels the Eulerian ones are longer
#   and noisier than the Lagrangian, and not yet a danger.
# - A stop-gradient keeps the velocity from being pulled towards the map.
# - A learned weight turns a loss into its logarithm, which pays without limit for residuals that can be zero.
# - Averages of the weights help once the optimiser wanders; their memory must fit the run.
# - Greyness shows what is not decided; few jumps against many shows where the map contradicts itself.
#
# ## Exercises
#
# 1. For a network $v_{s,t}(x) = A x$ write out both residuals of section 1. Show that they are equal up to sign, and
#    that LSD under "convex" and ESD under "full" then have the same gradient in $A$.
# 2. Show that $e^{-w} l + w$ is least at $w = \log l$, and that its least value is $1 + \log l$.
# 3. For white noise around a fixed point, $w_k = w^* + \epsilon_k$, what is the variance of the moving average with
#    decay $d$ in the long run? Check: $(1 - d) / (1 + d)$ of that of $\epsilon$.
# 4. Train `run(clip=1e9)` and `run("esd", stopgrad="full", clip=1e9)`. Does cutting gradients matter to Adam, which
#    divides each gradient by its own size?
#
# ## Next
#
# [11, Your own data](11_your_own_data.ipynb)
# trains on an array that you bring.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the losses, and the instability of
#   the Eulerian one on pictures.
# - A. Kendall, Y. Gal, R. Cipolla, *Multi-task learning using uncertainty to weigh losses*, [arXiv
#   1705.07115](https://arxiv.org/abs/1705.07115), 2018: weights as logarithms of a variance.
# - B. Polyak, A. Juditsky, *Acceleration of stochastic approximation by averaging*, SIAM J. Control Optim. 30, 1992.
