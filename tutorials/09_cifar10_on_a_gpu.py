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
# # CIFAR-10 on a GPU
#
# After this lesson you can
#
# - launch a long training on one GPU or several, watch it, stop it, resume it, and judge what came out,
# - say what such a run costs before you start it,
# - explain why several processes, parts of a batch and half precision leave the mathematics as it is.
#
# **It assumes** [lesson 08](08_digits_on_your_laptop.ipynb): pictures, the U-Net and the Fréchet distance.
# **It takes** thirty minutes to read and under five minutes to run on two CPU cores: every cell runs here, at a size
# that a CPU can take. Nobody has run the full training with this library yet; where a number is an estimate, it says
# so.

# %%
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import torch

from flowmap_edu import FlowMap, problems, recipes, training
from flowmap_edu.bench import costs
from flowmap_edu.recipes import paper
from flowmap_edu.training import loop, runs
from flowmap_edu.viz import monitor, plots

plots.use_style()
STEPS = training.budget(60)

# %% [markdown]
# ## 1. What is a configuration?
#
# A run is four objects, and the paper's settings for CIFAR-10 are one of the recipes that come with the library. Most
# of its fields you know. New are those of a long run on a GPU: two moving averages of the weights, a learning rate that
# falls like an inverse square root, and a *learned weight* $w_{s,t}$. With it the loss of a sample, instead of
# $|r|^2$, is
#
# $$e^{-w_{s,t}}\, |r_{s,t}|^2 + w_{s,t} ,$$
#
# least at $w_{s,t} = \log E |r_{s,t}|^2$: all pairs of times then count alike, however large their residuals are.
# (What can go wrong with it is in [lesson 10](10_what_breaks_and_why.ipynb).)

# %%
full = recipes.RECIPES["cifar10"].training
for name in ("steps", "batch", "diagonal", "optimizer", "lr", "decay_from", "clip", "ema", "second_ema", "weighting"):
    print(f"{name:>11} = {getattr(full, name)}")
net = problems.Cifar10(labels=False).network()
print(f"parameters: {sum(p.numel() for p in net.parameters()):,}")

# %% [markdown]
# **What to notice.** A batch of 512, 400,000 times: each of CIFAR-10's 50,000 pictures is seen about four thousand
# times. Three quarters of each batch are on the diagonal, as everywhere in this course.
#
# **Try.** `recipes.RECIPES["afhq64"]`: which two fields differ, beside the name of the problem?

# %% [markdown]
# ## 2. What will it cost?
#
# Before a GPU is booked, count. A step of the training loss at a batch of four, run here, tells how many operations a
# sample needs (products and convolutions, forward and backward). The rest is multiplication, and one assumption: the
# speed that the GPU really reaches. We assume a quarter of what its data sheet promises.

# %%
counted = costs.counted("emoji")
passes = counted.step / counted.forward
print(f"emoji: {counted.forward / 1e9:.2f} G operations a pass, {passes:.1f} passes a training sample")
with torch.no_grad(), costs.Operations() as one:
    net(torch.zeros(1), torch.ones(1), torch.randn(1, 3, 32, 32))
samples = full.batch * full.steps
hours = passes * one.total * samples / (costs.SHARE * costs.PEAK) / 3600
print(f"cifar10: {one.total / 1e9:.1f} G operations a pass, {samples / 1e6:,.0f} M samples")
print(f"an estimate, not a measurement: {hours:.0f} hours on one H100, {hours / 8:.0f} on eight")

# %% [markdown]
# **What to notice.** A training sample costs about four passes: on the diagonal one forward and a backward of twice its
# cost, and off it more, for the derivative and the target. The hours stand and fall with the assumed speed: half of it,
# and they double. The table for all three data sets is in [scaling.md](scaling.md).
#
# **Try.** What would PSD-M cost? Call `costs.counted("emoji", "psd-m")`.

# %% [markdown]
# ## 3. How is it launched?
#
# In a terminal. On one GPU, and on the eight of one machine:
#
# ```bash
# flowmap-edu train cifar10 --device cuda --out runs/cifar10 --grid-every 5000 --tensorboard
# torchrun --nproc-per-node 8 -m flowmap_edu.cli train cifar10 --device cuda --out runs/cifar10 --grid-every 5000 \
#     --tensorboard
# ```
#
# CIFAR-10 itself comes with `problems.Cifar10().download()`, 162 MB. For this lesson we stay
# on the CPU and take pictures that come with the library, in CIFAR-10's own format and size: emoji.

# %%
emoji = problems.Emoji()
data, held_out = emoji.data(), emoji.data(train=False)
print(f"{len(data):,} emoji to train, {len(held_out)} held out, each {data.shape}, {data.classes} classes")
figure, ax = plt.subplots(figsize=(7.0, 1.5))
plots.images(ax, data.values(torch.arange(0, 1600, 50)).unflatten(0, (2, 16)))
ax.set_title("Emoji: 32 x 32 pixels in three colours, as CIFAR-10's are")
plt.show()

# %% [markdown]
# The same commands work with `emoji` in place of `cifar10`. In a notebook the command line's functions are at hand;
# here is what `flowmap-edu train emoji --set batch=16 --grid-every 20 --tensorboard` does, at a tiny size. (About a
# minute.)

# %%
settings = {"steps": STEPS, "batch": 16, "compile": False}
half, folder = STEPS // 2, Path(mkdtemp()) / "emoji"  # a new folder each time that this cell runs


def followed(states, until):
    """Train on, writing sample grids and logs into the folder, up to a step; then stop as a kill would."""
    for state in monitor.watched(states, folder, grid_every=20, tensorboard=True):
        if state.step >= until:
            return state


state = followed(runs.train(*recipes.recipe("emoji", "lsd", **settings), folder, every=5, save_seconds=0), until=half)
print(f"stopped at step {state.step} of {state.steps}, loss {state.loss:.0f}")
print("in the folder:", ", ".join(sorted(path.name for path in folder.iterdir())))

# %% [markdown]
# ## 4. What if it is killed?
#
# Clusters kill jobs. A checkpoint holds all that a run needs to go on: weights, averages, optimiser, and the state of
# its random numbers. `flowmap-edu train --resume --out FOLDER` continues from the last one. The claim is strong: a
# run that was killed and resumed ends with *the same* weights as one that nobody touched. So we test it.

# %%
states = runs.train(*recipes.recipe("emoji", "lsd", **settings), folder, resume=True, every=5, save_seconds=0)
resumed = state = followed(states, until=STEPS) or state  # a finished run has no further states
*_, whole = training.fit(*recipes.recipe("emoji", "lsd", **settings), every=5)
pairs = zip(resumed.net.parameters(), whole.net.parameters(), strict=True)
print(f"resumed and unbroken runs agree to the bit: {all(torch.equal(a, b) for a, b in pairs)}")

# %%
steps, loss = [row[0] for row in resumed.history], [row[1] for row in resumed.history]
figure, axes = plt.subplots(1, 2, figsize=(8.0, 2.6), gridspec_kw={"width_ratios": [1, 1.3]})
axes[0].plot(steps, loss)
axes[0].axvline(half, color="0.5", lw=1, ls=":")
axes[0].set(xlabel="step", ylabel="loss", ylim=(0, None), title="Killed at the dotted line, and resumed")
grids = sorted((folder / "samples").iterdir())
axes[1].imshow(plt.imread(grids[-1]))
axes[1].set_axis_off()
axes[1].set_title(f"The grid of step {resumed.step}: 1, 2, 4, 8, 16 jumps (rows)")
plt.show()

# %% [markdown]
# **What to notice.** The loss goes on over the dotted line as if nothing had happened, because nothing has. The
# pictures are still noise: so few steps of a small batch are for showing the road, not for walking it. In a long run
# the grids show, from the same noise, how the samples sharpen; `tensorboard --logdir FOLDER/tensorboard` shows them
# beside the curves.
#
# **Try.** Delete `checkpoint.pt` and resume. What does the error say?

# %% [markdown]
# ## 5. Why may a batch be cut?
#
# The loss is a mean over samples. So is its gradient, and a mean of equal parts is the mean of the parts' means:
#
# $$\nabla L = \frac1K \sum_{k=1}^{K} \nabla L_k .$$
#
# The parts may go through one GPU in turn (`accumulate`, for small memories) or through several at once (`torchrun`).
# Every part gets its share of the diagonal and of the pairs off it.

# %%
batch = training.draw_batch(resumed.problem, resumed.method, resumed.training, torch.Generator().manual_seed(0))
loss = loop.Loss(resumed)


def gradient(parts):
    """The gradient of the mean loss over a batch that is cut into so many parts."""
    resumed.net.zero_grad()
    for k in range(parts):
        (loss(batch.share(k, parts), torch.tensor(1.0)) / parts).backward()
    return torch.cat([p.grad.flatten() for p in resumed.net.parameters()])


one, four = gradient(1), gradient(4)
print(f"relative gap of the gradients in one part and in four: {((one - four).norm() / one.norm()).item():.0e}")

# %% [markdown]
# **What to notice.** The gap is float32's rounding. There is one trap, and it cost others wrong gradients:
# PyTorch's wrapper for several processes (`DistributedDataParallel`) watches the module that it wraps, and a
# forward-mode derivative cannot go through it. So what we wrap is the whole loss, which differentiates the bare network
# inside: [`training.Loss`](../flowmap_edu/training/loop.py).
#
# **Try.** Cut the batch by hand, `batch.x_t[:3]` and so on, into parts of unequal size. Is the mean of their gradients
# still right?

# %% [markdown]
# ## 6. Where is half precision enough?
#
# A GPU multiplies numbers of 16 bits (bfloat16) several times faster than those of 32. A network's *value* bears that;
# what of its *derivative* $\partial_t X_{s,t}$? With `precision="bf16"` values go through the network in 16 bits,
# derivatives in 32. Here is what each would lose.

# %%
X = FlowMap(resumed.net).conditioned(label=batch.diagonal.label[:8])
x = batch.diagonal.x[:8]
s, t = torch.full((8,), 0.2), torch.full((8,), 0.7)
exact_v, exact_d = X.v(s, t, x), X.partial_t(s, t, x)[1]
h = 0.01
with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
    rounded_v, ours = X.v(s, t, x), X.partial_t(s, t, x)[1]
    difference = (X(s, t + h, x) - X(s, t - h, x)) / (2 * h)  # a derivative from rounded values
for name, a, b in (("value, bf16", rounded_v, exact_v), ("derivative, ours under bf16", ours, exact_d),
                   ("derivative, from bf16 values", difference, exact_d)):  # fmt: skip
    print(f"{name:>29}: relative error {((a - b).norm() / b.norm()).item():.1e}")

# %% [markdown]
# **What to notice.** The value loses a fraction of a percent or so; a derivative that is made of rounded values loses
# far more, because a difference of two close numbers keeps little of them. Ours keeps all but the last bit of float32,
# since it is never rounded.
#
# **Try.** Make `h` ten times larger and ten times smaller. Which error grows, and why do both ends hurt?

# %% [markdown]
# ## 7. How good is it?
#
# `flowmap-edu evaluate runs/cifar10 --device cuda --weights FILE` computes the FID at 1, 2, 4, 8 and 16 steps, with
# the Inception network's published weights in a file of yours, and prints it beside the paper's. For emoji the features
# come from a small classifier instead, and the number is not a FID: it may be compared with itself only.

# %%
rows = emoji.evaluate(runs.load(folder), [1, 4], n=200)
print(paper.fid_table("emoji", "lsd", rows, [1, 4], "FD-emoji"))
print()
print(paper.fid_table("cifar10", "lsd", []))

# %% [markdown]
# **What to notice.** Our emoji are far above the floor, as they must be after so few steps. The second table is the
# paper's; every line that would be ours says that it was not run.
#
# **Try.** If you have a GPU: run it, and fill in our line.

# %% [markdown]
# ## Summary
#
# - A run is a configuration; the paper's are among the recipes.
# - Count the operations first: samples times operations a sample, over a speed that you believe.
# - Checkpoints resume to the same numbers; a test says so, not a hope.
# - A mean may be cut into parts: over time (accumulation) or over processes (`torchrun`), if the derivative is taken
#   inside what is wrapped.
# - Values may be rounded to 16 bits; derivatives should not.
#
# ## Exercises
#
# 1. At which batch would a GPU of 24 GB run out of memory with the CIFAR-10 network? Use the column "memory: a
#    sample" of [scaling.md](scaling.md), and say which fields of `Training` help.
# 2. Train emoji for an hour (`flowmap-edu train emoji --steps 4000 --out runs/emoji`). Does the Fréchet distance of
#    one jump fall steadily?
# 3. Show that `stratified=True` spreads the times of each part of a batch as evenly as the whole: look at
#    `batch.share(k, 4).t`.
#
# ## Next
#
# [10, What breaks, and why](10_what_breaks_and_why.ipynb)
# looks at trainings that go wrong, and at how to see it.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the settings and the table.
# - T. Karras et al., *Analyzing and improving the training dynamics of diffusion models*, [arXiv
#   2312.02696](https://arxiv.org/abs/2312.02696), 2024: the network and the learned weight.
# - A. Krizhevsky, *Learning multiple layers of features from tiny images*, 2009: CIFAR-10.
