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
# - measure how steep and how noisy a loss's gradient is, and say which term makes it so,
# - recognise four ways in which a training goes wrong: a loose stop-gradient, a learned weight that starts too early,
#   weights that are not averaged, a map asked for fewer jumps than it has learned,
# - tell a fault that a number shows from one that only another number shows.
#
# **It assumes** [lesson 04](04_losses_and_stop_gradients.ipynb) (stop-gradients) and
# [lesson 08](08_digits_on_your_laptop.ipynb) (digits, their Fréchet distance).
# **It takes** thirty minutes to read and about ten minutes to run on two CPU cores. All results are of one seed and of
# short trainings; their second digits would change with another.

# %%
import dataclasses

import matplotlib.pyplot as plt
import torch
from tqdm.auto import tqdm

from flowmap_edu import classifier, datasets, evaluation, image_metrics, methods, plots, recipes, runs, training

plots.use_style()
STEPS, read, held_out = training.budget(400), classifier.load(), datasets.load("digits", train=False).values()

# %% [markdown]
# ## 1. Why is the Eulerian loss hard to train?
#
# Its residual holds the derivative of the map in *space*, along the velocity:
#
# $$\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x) .$$
#
# For 64 pixels $\nabla X$ is a matrix of 64 x 64, and the gradient of the loss goes through it. The Lagrangian residual
# has only $\partial_t X$, a derivative in one number. So we take *one and the same* trained network, the shipped map of
# lesson 08, draw the same batches, and compare the gradients of the losses off the diagonal: the norm of one batch's
# gradient, and how far it lies from the mean of all batches (the noise that an optimiser must live with).

# %%
config = recipes.recipe("digits", "lsd", steps=STEPS, batch=64, diagonal=0.5, at_zero=0.0, compile=False)
net = training.build(config)
net.load_state_dict(runs.load("digits-lsd").slope.state_dict())
losses_of = {
    "LSD": ("lsd", "convex"), "ESD": ("esd", "full"), "PSD-M": ("psd-m", "convex"),
    "LSD, no sg": ("lsd", "none"), "ESD, no sg": ("esd", "none"),
}  # fmt: skip
BATCHES = training.budget(24)


# %%
def gradients(method, stopgrad):
    """The gradients of 24 batches' off-diagonal loss, one row each."""
    row, generator, rows = dataclasses.replace(methods.method(method), stopgrad=stopgrad), torch.Generator(), []
    generator.manual_seed(0)
    for _ in range(BATCHES):
        off = training.draw_batch(config, generator).parts()[1]
        net.zero_grad()
        methods.loss(training.as_map(net, off.labels, False), off, row).mean().backward()
        rows.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    return torch.stack(rows)


# %%
norms, noises = {}, {}
for name, choice in tqdm(losses_of.items(), desc="gradients"):
    each = gradients(*choice)
    norms[name], noises[name] = each.norm(dim=1), (each - each.mean(0)).norm(dim=1).mean()
for name, norm in norms.items():
    print(f"{name:>10}: norm {norm.mean():6.2f} (largest {norm.max():6.2f}), noise {noises[name]:6.2f}")
figure, ax = plt.subplots(figsize=(5.6, 2.6))
ax.boxplot(list(norms.values()), tick_labels=list(norms), orientation="horizontal")
ax.set(
    xscale="log",
    xlabel="norm of a batch's gradient",
    title="The same network, the same batches: what each loss asks for",
)
plt.show()

# %% [markdown]
# **What to notice.** On the very same weights the Eulerian gradient is several times as long as the Lagrangian one, and
# the semigroup's, which has no derivative in it, is the shortest. Without a stop-gradient (the last two) the gradient
# also flows through the target, and LSD loses most of its advantage. A long gradient is not yet a training that fails:
# the recipe cuts each gradient to a norm of at most 1, and our digits train with all three (README). What grows with
# the gradient is what such a cut throws away, and what one unlucky batch can do. The paper found the Eulerian losses
# highly unstable on large pictures; at 8 x 8 pixels we do not see a run blow up.
#
# **Try.** Take a network that has learned nothing (`training.build(config)` alone). Why are all the norms so small?

# %% [markdown]
# ## 2. What does the stop-gradient buy?
#
# Now train. Each run below is short, 400 steps of 64 digits, and differs from the first in one choice. We judge it by
# two numbers: the Fréchet distance of one jump, and how often the classifier reads back the label that was asked for.


# %%
def run(method="lsd", **changes):
    """A short training that differs from the recipe in `changes`."""
    config = recipes.recipe("digits", method, **{"steps": STEPS, "batch": 64, "compile": False} | changes)
    *_, state = tqdm(training.fit(config, every=max(1, STEPS // 20)), total=20, desc=method, leave=False)
    return state


def score(net, jumps=1):
    """The Fréchet distance after some jumps, the labels read back, and the share of grey pixels."""
    X = runs.FlowMap(net.eval())
    x, labels = evaluation.digit_samples(X, config, jumps, seed=0)
    right = (read.read(x) == labels).double().mean().item()
    return image_metrics.frechet(read, x, held_out), right, (x.abs() < 0.8).double().mean().item()


# %%
plain, loose = run(), run(stopgrad="none")
for name, state in (("LSD", plain), ("LSD, no sg", loose)):
    fd, right, _ = score(state.average.module)
    print(f"{name:>10}: FD-digits {fd:5.1f} in one jump, labels read back {right:.0%}")

# %% [markdown]
# **What to notice.** Without the stop-gradient the one-step map is worse. The residual can be made small from both
# sides: the map may move towards the velocity, which is what we want, or the velocity may move towards the map, which
# spoils what the diagonal has learned. The stop-gradient forbids the second.
#
# **Try.** `run("esd", stopgrad="full")` and `run("esd", stopgrad="convex")`. Which is better after so few steps?

# %% [markdown]
# ## 3. Can a weight be learned from the first step?
#
# With the learned weight of [lesson 09](09_cifar10_on_a_gpu.ipynb) the loss of a pair of times is $e^{-w} |r|^2 + w$.
# At its best $w$ it is $1 + \log E|r|^2$. A logarithm has no floor: a residual that can be made *zero* is worth
# infinitely much. The diagonal's cannot (lesson 01: the data leave its mean open). The one off the diagonal can: a
# velocity that is simple enough is followed exactly.

# %%
weighted = run(weighting=True)
fd, right, _ = score(weighted.average.module)
print(f"learned weight from the first step: FD-digits {fd:.1f} in one jump, labels read back {right:.0%}")
part = training.draw_batch(dataclasses.replace(config, batch=512), torch.Generator().manual_seed(1))
one, two = part.parts()
with torch.no_grad():
    for name, state in (("plain", plain), ("learned weight", weighted)):
        maps = [training.as_map(state.net, p.labels, False) for p in (one, two)]
        on = methods.loss(maps[0], one, state.config.row).mean()
        off = methods.loss(maps[1], two, state.config.row).mean()
        print(f"{name:>15}: mean squared residual on the diagonal {on:6.2f}, off it {off:.4f}")

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
ten = torch.arange(10)
x0 = evaluation.base_noise(10, config, seed=3)
rows = [state.X.given(ten).sample(x0, n) for state in (plain, weighted) for n in (1, 16)]
plots.pictures(axes[1], torch.stack(rows))
axes[1].set_title("Plain, 1 and 16 jumps; learned weight, 1 and 16 jumps")
plt.show()

# %% [markdown]
# **What to notice.** The labels are read back no more often than by guessing: the map ignores its label. Its residual
# off the diagonal, 0.76, is a third of the plain run's, and the one on the diagonal, 32.61, twice as large: the
# logarithm paid for the first with the second. The map of the weight says the same; it is largest away from the
# diagonal. At the start the trap is open, since the network's output is exactly zero and so is the residual off the
# diagonal. The paper trains with a learned weight, in larger networks and with other settings, and so do our recipes
# for large pictures; on the digits it has to come in later, or not at all.
#
# **Try.** Train 400 steps without it, put its weights into a run with `weighting=True` (`State.net.load_state_dict`),
# and go on. Does it fall into the trap now?

# %% [markdown]
# ## 4. Why are the weights averaged?
#
# An optimiser with a constant learning rate never comes to rest: in the end it wanders around the minimum. The mean of
# where it has been is then nearer to the middle than where it is now. But while it still walks *towards* the minimum,
# where it has been is behind where it is. The moving average $a \leftarrow d\, a + (1 - d)\, w$
# remembers about $1 / (1 - d)$ steps.

# %%
constant = run(decay="none", ema=0.9, second_ema=0.99)
nets = {"the last weights": constant.net, "average, d = 0.9": constant.average.module,
        "average, d = 0.99": constant.second.module}  # fmt: skip
for name, candidate in nets.items():
    print(f"{name:>20}: FD-digits {score(candidate)[0]:5.1f} in one jump")
print(f"{'falling rate, last':>20}: FD-digits {score(plain.net)[0]:5.1f} in one jump")

# %% [markdown]
# **What to notice.** Both halves of the sentence above show. Over some ten steps ($d = 0.9$) the average is a little
# better than the last weights; over a hundred ($d = 0.99$) it is worse, because 400 steps in, the network is still on
# its way. For the same reason the falling rate is behind here: its last steps were short ones. A memory must fit the
# run: our runs of ten minutes take $d = 0.999$, the paper's of 400,000 steps take $0.9999$. (The first entries are
# forgotten faster, see `training.moving_average`.) These differences are of one seed, and small.
#
# **Try.** Which $d$ would you take for a run a hundred times as long?

# %% [markdown]
# ## 5. What does a map do when it is asked for too few jumps?
#
# A one-step map that has not learned its last part yet draws something in between: a mean over what it cannot decide.
# The mean of black and white is grey. So count the grey pixels, those with $|x| < 0.8$, and compare with real digits.

# %%
grey = {n: score(plain.average.module, n) for n in (1, 2, 4, 8, 16)}
real = (held_out.abs() < 0.8).double().mean().item()
for n, (fd, _, share) in grey.items():
    print(f"{n:>3} jump{'s' * (n > 1):1}: FD-digits {fd:5.1f}, grey pixels {share:.1%} (real digits {real:.1%})")

# %%
X = plain.X.given(ten)
one_jump, many = X.sample(x0, 1), X.sample(x0, 16)
apart = (one_jump - many).square().mean((1, 2, 3)).sqrt()
figure, ax = plt.subplots(figsize=(6.4, 1.9))
plots.pictures(ax, torch.stack([one_jump, many, 2 * (one_jump - many).abs() - 1]))
ax.set_title("One jump, sixteen jumps, and where they differ (white)")
plt.show()
print("root mean square difference, digit by digit:", "  ".join(f"{a:.2f}" for a in apart))

# %% [markdown]
# **What to notice.** One jump leaves more grey than sixteen, and both more than real digits have. Where the two differ
# is where the half-trained map is not consistent with itself: its one jump is not its sixteen jumps. That difference
# needs no data and no classifier to be measured, so it is the first thing to look at in a map of your own.
#
# **Try.** The same with the shipped map, `runs.load("digits-lsd")`. What remains?

# %% [markdown]
# ## Summary
#
# - On the same weights, the Eulerian loss asks for a much longer gradient than the Lagrangian one: the spatial
#   Jacobian is in it.
# - A stop-gradient keeps the velocity from being pulled towards the map.
# - A learned weight turns a loss into its logarithm, which pays without limit for residuals that can be zero.
# - Averages of the weights help once the optimiser wanders; their memory must fit the run.
# - Few-step artefacts are greyness and disagreement between few jumps and many; the second can be measured without
#   data.
#
# ## Exercises
#
# 1. For a network $v_{s,t}(x) = A x$ write out both residuals of section 1. In which one does $A$ appear squared?
# 2. Show that $e^{-w} l + w$ is least at $w = \log l$, and that its least value is $1 + \log l$.
# 3. For white noise around a fixed point, $w_k = w^* + \epsilon_k$, what is the variance of the moving average with
#    decay $d$ in the long run? Check: $(1 - d) / (1 + d)$ of that of $\epsilon$.
# 4. Train `run(clip=1e9)` and `run("esd", stopgrad="full", clip=1e9)`. Does the cut matter to Adam, which divides each
#    gradient by its own size?
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the losses, and the instability of
#   the Eulerian one on pictures.
# - A. Kendall, Y. Gal, R. Cipolla, *Multi-task learning using uncertainty to weigh losses*, [arXiv
#   1705.07115](https://arxiv.org/abs/1705.07115), 2018: weights as logarithms of a variance.
# - B. Polyak, A. Juditsky, *Acceleration of stochastic approximation by averaging*, SIAM J. Control Optim. 30, 1992.
