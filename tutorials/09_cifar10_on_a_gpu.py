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
# - say what a long training costs in operations, hours and memory before you start it,
# - launch it on one GPU or several, watch it, stop it, resume it, and judge what came out,
# - say which of accumulation, several processes and half precision leave the mathematics as it is, and test it.
#
# **It assumes** [lesson 08](08_digits_on_your_laptop.ipynb): pictures, the U-Net and the Fréchet distance. Symbols are
# on the [notation card](notation.md). **It takes** about an hour: half an hour to read, the rest to write seven short
# pieces of code. The cells run in about five minutes on two CPU cores.
#
# **Nobody has run the full training with this library yet.** Every cell here runs at a size that a CPU can take.
# Numbers of a GPU were measured on two days, each on another H100. They are read from the library's files. Where a
# number is an estimate, the text says so.

# %%
from pathlib import Path
from tempfile import mkdtemp

import torch

from flowmap_edu import course, problems, recipes, training
from flowmap_edu.bench import costs, gpu_report
from flowmap_edu.metrics import classifier, images
from flowmap_edu.recipes import paper
from flowmap_edu.training import loop, runs
from flowmap_edu.viz import figures_09 as figures
from flowmap_edu.viz import monitor, plots

plots.use_style()
STEPS = training.budget(60)

# %% [markdown]
# ## 1. What is in the configuration?
#
# The recipe "cifar10" has the settings of the source of these losses. Most fields are those of lesson 08. New are:
#
# - `optimizer`: RAdam, a form of Adam that takes shorter steps at first, while its averages hold few gradients.
# - `decay`: "sqrt". The learning rate is constant up to the step `decay_from`, $k_0$. From there it is
#   $\eta\, \sqrt{k_0 / k}$ at step $k$.
# - `ema`, `second_ema`: two moving averages of the weights, a long and a shorter one.
# - `weighting`: a learned weight $w_{s,t}$, lesson 04, section 7. Three short runs of
#   [lesson 10](10_what_breaks_and_why.ipynb) learn it from their first step, and all three fail. The source trains with
#   it, at another size. The commands for CIFAR-10 in section 3 train without it, by `--set weighting=false`. For the
#   source's setting leave that out, make a short run first, and look at its grids of samples. (The short run on emoji
#   below keeps the recipe as it is, with the weight. It is there to be stopped and resumed, not for its pictures.)

# %%
full = recipes.RECIPES["cifar10"].training
for name in ("steps", "batch", "diagonal", "optimizer", "lr", "decay", "decay_from", "clip", "ema", "second_ema"):
    print(f"{name:>11} = {getattr(full, name)}")

# %% [markdown]
# **Predict.** What is the learning rate at the last step?

# %%
prediction = None  # a number

# %% [markdown]
# **Write** `rate(k, lr, k0)`: the learning rate at step $k$, a number.


# %% tags=["solution"]
def rate(k, lr, k0):
    """The learning rate at step k: constant up to k0, then as one over the square root."""
    ### BEGIN SOLUTION
    return lr * min(1.0, (k0 / k) ** 0.5)
    ### END SOLUTION


# %%
course.check("09.1", rate)
course.compare(prediction, rate(full.steps, full.lr, full.decay_from), within=0.2)
assert abs(rate(200_000, full.lr, full.decay_from) / (full.lr * full.learning_rate(199_999, None)) - 1) < 1e-4
print(f"samples in the whole run: {full.batch * full.steps / 1e6:.0f} million, of 50,000 pictures")

# %% [markdown]
# **What to notice.** Each picture is seen about four thousand times. Three quarters of each batch are on the diagonal.
#
# **Try.** In which settings does `recipes.RECIPES["afhq64"].training` differ?
#
# <details><summary>Answer</summary>
#
# In `batch` and `steps`: 256 and 800,000. The number of samples is the same.
#
# </details>

# %% [markdown]
# ## 2. What will it cost?
#
# Before a GPU is booked, count. Lesson 04 counted passes: 1 for a value, 2 for a `jvp`, and for the gradient twice as
# many again. Flow matching costs $1 + 2 = 3$ passes. LSD with its target held costs 7: 2 for the `jvp`, 4 for its
# gradient, and 1 for the target.
#
# **Write** `passes`: the passes of one training sample, on average over the batch.

# %% tags=["solution"]
### BEGIN SOLUTION
passes = 0.75 * 3 + 0.25 * 7
### END SOLUTION

# %%
course.check("09.2", passes)
counted = costs.counted("emoji")
print(f"counted in a smaller network: {counted.step / counted.forward:.2f} passes a sample")
net = problems.Cifar10(labels=False).network()
with torch.no_grad(), costs.Operations() as one:
    net(torch.zeros(1), torch.ones(1), torch.randn(1, 3, 32, 32))
print(f"CIFAR-10: {sum(p.numel() for p in net.parameters()):,} parameters, {one.total / 1e9:.1f} G operations a pass")
print(f"an H100 by its data sheet, in bfloat16: {costs.PEAK / 1e12:.0f} T operations a second")

# %% [markdown]
# No training reaches the speed of the data sheet. We *assume* a quarter of it, 247 T operations a second.
#
# **Write** `hours(samples, passes, operations, speed)`: the hours of a run. `operations` is for one pass of one sample,
# `speed` is in operations a second.


# %% tags=["solution"]
def hours(samples, passes, operations, speed):
    """The hours of a run."""
    ### BEGIN SOLUTION
    return samples * passes * operations / speed / 3600
    ### END SOLUTION


# %% [markdown]
# **Predict.** How many hours on one H100?

# %%
prediction = None  # a number

# %%
course.check("09.3", hours)
samples, speed = full.batch * full.steps, costs.SHARE * costs.PEAK
course.compare(prediction, hours(samples, passes, one.total, speed), within=0.25)
print(f"the estimate: {hours(samples, passes, one.total, speed):.0f} h")
print(f"one step by this estimate: {hours(full.batch, passes, one.total, speed) * 3600:.2f} s")

# %% [markdown]
# H100 cards have taken single steps of this recipe, the whole batch each: loss, gradient, optimiser and averages. (With
# noise in the place of pictures, and without the learned weight.) A step in 32 bits took 3.4 seconds. TF32 is a format
# for products alone: numbers of 32 bits are rounded to 11 binary digits before they are multiplied. The recipe asks for
# it, by `tf32=True`. So long a run also uses torch's compiler, which joins small operations into larger ones. The
# fastest measured step has both. It took less than a fifth of the 3.4 seconds. *Apart* in the output means that the
# diagonal and the jumps went through the network one after the other, as they do today.
#
# **Predict.** With the fastest measured step: how many hours does the whole run take?

# %%
prediction = None  # a number

# %%
real, low = gpu_report.fastest("cifar10"), "The estimate assumes a quarter of the speed of the data sheet."
course.compare(prediction, gpu_report.hours(real), within=0.25, too_low=low)
for row in gpu_report.measured("step", recipe="cifar10", channels_last=True):
    how = ", compiled" * row["compiled"] + ", apart" * row["apart"]
    print(f"{gpu_report.hours(row):.0f} h, {row['ms']:,.0f} ms a step, {row['GB']:.0f} GB: {row['precision']}{how}")
done = passes * one.total * real["batch"] / (real["ms"] / 1000)
print(f"{done / 1e12:.0f} T operations a second, {done / costs.PEAK:.1%} of the data sheet's")
kernels = gpu_report.measured("profile", recipe="cifar10", apart=True)[0]
print(f"not compiled, {kernels['precision']}: kernels at work for {kernels['all']:.0f} of {kernels['wall']:,.0f} ms")
print(f"the {kernels['kernels']} longest: {kernels['products']:.0f} ms products, {kernels['others']:.0f} ms others")

# %% [markdown]
# **What to notice.** The estimate was too low, by a factor of 1.7. A quarter of the data sheet's speed was a guess, and
# the fastest step reaches a seventh. (It multiplies in TF32, whose peak is half of that.) Without the compiler the same
# step took three times as long. TF32 makes a step without the compiler more than twice as fast. With values in 16 bits
# as well (`precision=bf16`, section 6) it took 3 % less together, and 20 % less apart. (Together and apart are of
# different days and cards.) So the speed of the products alone does not set the time.
#
# The last lines are a profile of a step without the compiler. A *kernel* is one program that runs on the GPU. The step
# starts many of them, again and again. They are at work for about half of the time. In the rest the GPU waits. Of the
# 14 kernels that take longest in sum, those that are no products take more time than the products. Our count has none
# of them in it. (A kernel is counted as a product if its name says so.) The compiler joins small kernels into larger
# ones. We did not profile a compiled step.
#
# So count first, then measure single steps, and then book.
#
# **Memory.** A step in float32 holds 147 MB for each sample (apart, measured on a CPU; [scaling.md](scaling.md)) and
# 1.31 GB for weights, gradients, moments and averages. So 512 samples need 77 GB. With `accumulate=K` a batch goes
# through the network in K equal parts, one after the other. K must divide the number of samples on the diagonal, and
# the number off it.
#
# **Write** `accumulate(batch, diagonal, sample, fixed, memory)`: the smallest K that divides both numbers and makes
# one part fit into the memory. `diagonal` is the share of the batch on the diagonal; the other three are in GB.


# %% tags=["solution"]
def accumulate(batch, diagonal, sample, fixed, memory):
    """The smallest number of parts of a batch, each of which fits into the memory."""
    ### BEGIN SOLUTION
    on = round(batch * diagonal)
    for K in range(1, batch + 1):
        divides = on % K == 0 and (batch - on) % K == 0
        if divides and fixed + sample * batch / K <= memory:
            return K
    ### END SOLUTION


# %% [markdown]
# **Predict.** Into how many parts must the batch be cut on a GPU of 24 GB?

# %%
prediction = None  # a whole number

# %%
course.check("09.4", accumulate)
course.compare(prediction, accumulate(512, 0.75, 0.147, 1.31, 24.0), within=0.01)
print(f"on a GPU of 80 GB: {accumulate(512, 0.75, 0.147, 1.31, 80.0)}")

# %% [markdown]
# ## 3. How is it launched?
#
# In a terminal, on one GPU of 80 GB:
#
# ```bash
# python -c "from flowmap_edu import problems; problems.Cifar10().download()"
# flowmap-edu train cifar10 --device cuda --out runs/cifar10 \
#     --set weighting=false --grid-every 5000 --tensorboard --save-seconds 600
# ```
#
# The first line fetches the data, 162 MB. `--save-seconds` is the least time between two checkpoints. Each has more
# than 1.1 GB here.
#
# On the eight GPUs of one machine, `torchrun` starts eight *processes*, one for each GPU. Each computes the gradient of
# an eighth of the batch. Then PyTorch's `DistributedDataParallel` (DDP) takes the mean of the eight gradients, so that
# all processes make the same step:
#
# ```bash
# torchrun --nproc-per-node 8 -m flowmap_edu.cli train cifar10 --device cuda --out runs/cifar10 --set shares=8 \
#     --set weighting=false --grid-every 5000 --tensorboard --save-seconds 600
# ```
#
# `--set shares=8` draws the batch in eight equal shares. Each share has a seed of its own, and each process takes one.
# Eight GPUs take more than an eighth of the time, since they exchange gradients. How much more is not measured here.
# `--grid-every 5000` writes a grid of samples every 5,000 steps, and `--tensorboard` curves that TensorBoard shows.
#
# For this lesson we take pictures that come with the library, in CIFAR-10's format: emoji.

# %%
emoji = problems.Emoji()
data, held_out = emoji.data(), emoji.data(train=False)
print(f"{len(data):,} emoji to train, {len(held_out)} held out, each {data.shape}, {data.classes} classes")
print(f"E|x1|^2 = {data.values().square().sum((1, 2, 3)).mean().item():.0f}")

# %% tags=["figure"]
figures.sheet(data.values(torch.arange(0, 1600, 50)), "Emoji: 32 x 32 pixels in three colours, as CIFAR-10's are")

# %% [markdown]
# In lesson 08 the loss of the digits before the first step was 46. Here the network also starts with zero slope, and
# also $\sigma = 1/2$.
#
# **Predict.** With the learned weight at its start, $w = 0$: what is the loss before the first step? A picture has $3
# \cdot 32 \cdot 32 = 3072$ entries.

# %%
prediction = None  # a number

# %%
settings = {"steps": STEPS, "batch": 16, "compile": False}
run = recipes.recipe("emoji", "lsd", **settings)
batch = training.draw_batch(run.problem, run.method, run.training, torch.Generator().manual_seed(0))
first = loop.loss_of_batch(training.State(*run), batch, torch.tensor(1.0)).item()
course.compare(prediction, first, too_low="The loss is a sum over the entries of a picture, not a mean.")

# %% [markdown]
# The next cell does the same as `flowmap-edu train emoji --out FOLDER --set batch=16 --steps 60 --grid-every 20
# --tensorboard` and stops half way, as if it were killed. (About a minute.)

# %%
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
# A checkpoint holds all that a run needs to go on: weights, averages, optimiser, and the state of its random numbers.
# This command goes on from the last one, with the run's own settings:
#
# ```bash
# flowmap-edu train --resume --out runs/cifar10 --device cuda --grid-every 5000 --tensorboard --save-seconds 600
# ```
#
# **Predict.** A run is stopped and resumed. A second run with the same seed is not stopped. Are their weights equal to
# the last bit?

# %%
prediction = None  # "yes" or "no"

# %%
states = runs.train(*recipes.recipe("emoji", "lsd", **settings), folder, resume=True, every=5, save_seconds=0)
resumed = state = followed(states, until=STEPS) or state  # a finished run has no further states
*_, whole = training.fit(*recipes.recipe("emoji", "lsd", **settings), every=5)
pairs = zip(resumed.net.parameters(), whole.net.parameters(), strict=True)
course.compare(prediction, "yes" if all(torch.equal(a, b) for a, b in pairs) else "no")

# %% tags=["figure"]
figures.resumed([row[0] for row in resumed.history], [row[1] for row in resumed.history], half)

# %% [markdown]
# **What to notice.** The curve goes on over the dotted line as if nothing had happened. (The learned weight is part of
# this loss. So its fall does not say by how much the network has become better.) Bit by bit this is shown here for one
# process on a CPU and a network without dropout. On a GPU the order of sums can change the last bits.
#
# **Try.** Delete `checkpoint.pt` in the folder and resume. What does the warning say?
#
# <details><summary>Answer</summary>
#
# It says that `checkpoint.pt` is missing, and that the run goes on from the checkpoint before it. A run keeps two. If
# both are gone, an error says so.
#
# </details>

# %% [markdown]
# ## 5. Why may a batch be cut?
#
# The loss is a mean over samples. So is its gradient, and a mean over equal parts is the mean of the parts' means:
#
# $$\nabla L = \frac1K \sum_{k=1}^{K} \nabla L_k .$$
#
# **Write** `in_parts(loss, x, parameters, K)`: the gradient of the mean of `loss(x)` over the samples, computed in K
# parts, `x[0::K]`, `x[1::K]` and so on, whose number of samples is the same. `loss(part)` returns one number a sample.
# Return a list of gradients, one for each of `parameters` (`torch.autograd.grad`).


# %% tags=["solution"]
def in_parts(loss, x, parameters, K):
    """The gradient of the mean loss over x, computed in K equal parts; a list of tensors."""
    ### BEGIN SOLUTION
    total = [torch.zeros_like(p) for p in parameters]
    for k in range(K):
        part = torch.autograd.grad(loss(x[k::K]).mean() / K, parameters)
        total = [a + b for a, b in zip(total, part, strict=True)]
    return total
    ### END SOLUTION


# %% [markdown]
# Now the same with the library's loss. Its batch has samples on the diagonal and jumps, and each part gets its share
# of both.
#
# **Predict.** In float32, how far is the gradient in four parts from the gradient in one, relative to its norm? Give
# the exponent: -3 for $10^{-3}$.

# %%
prediction = None  # a negative number

# %%
course.check("09.5", in_parts)
library_loss = loop.Loss(resumed)


def gradient(parts):
    """The gradient of the library's mean loss over the batch in so many parts, as one vector."""
    resumed.net.zero_grad()
    for k in range(parts):
        (library_loss(batch.share(k, parts), torch.tensor(1.0)) / parts).backward()
    return torch.cat([p.grad.flatten() for p in resumed.net.parameters()])


one_part, four = gradient(1), gradient(4)
gap = ((one_part - four).norm() / one_part.norm()).item()
course.compare(prediction, torch.tensor(gap).log10(), within=0.2)

# %% [markdown]
# **What to notice.** The gap is float32's rounding. This network has no dropout. With dropout, as CIFAR-10's has, each
# part draws its own mask, so the numbers change with the parts, and only their mean over masks is the same.
#
# One thing is special about several processes. DDP watches the module that it wraps, and a forward-mode derivative
# cannot go through it. So the library wraps the whole *loss*, which differentiates the bare network inside:
# [`training.Loss`](../flowmap_edu/training/loop.py).
#
# **Try.** Cut a batch into parts of unequal size. Is the mean of their gradients still right?
#
# <details><summary>Answer</summary>
#
# No. A sample of the smaller part counts more. The parts have to be weighted by their sizes.
#
# </details>

# %% [markdown]
# ## 6. Where is half precision enough?
#
# bfloat16 is a number format of 16 bits. It keeps 8 binary digits, between two and three decimal ones. A GPU
# multiplies such numbers several times as fast as those of 32 bits. `torch.autocast` is a region in which PyTorch
# does matrix products and convolutions in 16 bits, and keeps the weights in 32. What does a value lose in it, and
# what a derivative?
#
# **Write** `relative(a, b)`: the norm of $a - b$ over the norm of $b$, over all entries, a number.


# %% tags=["solution"]
def relative(a, b):
    """The relative distance of a from b."""
    ### BEGIN SOLUTION
    return (a - b).norm() / b.norm()
    ### END SOLUTION


# %% [markdown]
# The derivative $\partial_t X$ is computed in three ways: by a `jvp` in 32 bits (the library's way, even inside of
# autocast), by a `jvp` in 16 bits, and by a difference quotient of values in 16 bits, with the step 0.01.
#
# The network is the shipped map of the digits, since our emoji have hardly been trained.
#
# **Predict.** The value loses a fraction of a percent. Which relative error has the derivative by a `jvp` in 16 bits?

# %%
prediction = None  # a number; 0.01 is one percent

# %%
course.check("09.6", relative)
digits, generator = problems.Digits(), torch.Generator().manual_seed(0)
x1, label = digits.sample(64, generator)
x, X = 0.8 * digits.base(64, generator) + 0.2 * x1, runs.load("digits-lsd").conditioned(label=label)
s, t, step = torch.full((64,), 0.2), torch.full((64,), 0.7), 0.01
exact_v, exact_d = X.v(s, t, x), X.partial_t(s, t, x)[1]
with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
    rounded_v, ours = X.v(s, t, x), X.partial_t(s, t, x)[1]
    _, rounded_d = torch.func.jvp(lambda t: X(s, t, x), (t,), (torch.ones(64),))
    quotient = (X(s, t + step, x) - X(s, t - step, x)) / (2 * step)

# %%
errors = {"value, 16 bits": relative(rounded_v, exact_v), "jvp, 32 bits": relative(ours, exact_d)}
errors |= {"jvp, 16 bits": relative(rounded_d, exact_d), "quotient of 16 bits": relative(quotient, exact_d)}
course.compare(prediction, errors["jvp, 16 bits"].detach(), within=0.5)
print("\n".join(f"{name:>20}: relative error {error.item():.2%}" for name, error in errors.items()))

# %% [markdown]
# **What to notice.** The difference quotient loses most: a difference of two close numbers keeps little of them. A
# `jvp` in 16 bits loses far less. So 16 bits spoil the difference here, not the derivative. (One network, one batch.)
# The library takes derivatives in 32 bits all the same. Whether a training would notice an error of the `jvp`'s size is
# not measured here.
#
# Values and derivatives were also measured on an H100, against 64 bits, for CIFAR-10's network with its first weights
# and eight samples of noise. (Before training its slope is zero, so the factors that make it zero were set to 1.) With
# TF32 the products in the library's derivative are rounded, too.

# %%
for row in gpu_report.measured("error"):
    found = {name: row[name] for name in ("value", "derivative", "derivative in bf16") if name in row}
    print(f"{row['precision']:>13}: " + ", ".join(f"{name} {error:.1e}" for name, error in found.items()))

# %% [markdown]
# **What to notice.** TF32 errs by less than two parts in a thousand, in the value and in the derivative. For 16 bits it
# is one percent in the value, and three in a derivative taken in 16 bits. In the digits' map this derivative lost
# about a third of that: the size of such an error depends on the network.
#
# **Try.** Make `step` ten times as large and ten times as small. Which error of the quotient grows, and why?
#
# <details><summary>Answer</summary>
#
# With the small step the rounding of the values is divided by a smaller number, so its error grows. A large step adds
# another error: even without rounding the quotient over a large step is not the derivative.
#
# </details>

# %% [markdown]
# ## 7. How good is it?
#
# ```bash
# flowmap-edu evaluate runs/cifar10 --device cuda --images 50000
# ```
#
# computes the FID at 1, 2, 4, 8 and 16 steps. The features are those of the Inception network, with its published
# weights. They are fetched once; `--weights FILE` takes them from a file of yours. The map and that network compute on
# `--device`. The features of the training pictures are computed once, then they are kept on disk.
#
# The number depends on how many pictures are drawn. Papers usually take 50,000. The flow-map paper's page does not say
# how many it took. Real emoji show this dependence. They are compared with the 1,691 training emoji, in the features of
# a small classifier.
#
# **Predict.** 187 real held-out emoji have some distance to the training emoji. With only 40 of them, how many times as
# large is it?

# %%
prediction = None  # a number

# %%
target = images.Reference(classifier.load(problem="emoji"), [data.values()])
real = {}
for n in (40, 80, 187):
    draws = [torch.randperm(187, generator=torch.Generator().manual_seed(seed))[:n] for seed in range(3)]
    real[n] = [target.hold([held_out.values(index)]).frechet() for index in draws]
course.compare(prediction, sum(real[40]) / sum(real[187]), within=0.25, too_low="Fewer pictures seem further away.")
print("; ".join(f"n = {n}: {min(found):.1f} to {max(found):.1f}" for n, found in real.items()))

# %% [markdown]
# **What to notice.** These are real pictures each time, in three random choices (of 187 there is only one). Fewer of
# them have a larger distance. So compare Fréchet distances only at the same number of pictures, and look for that
# number in a paper.
#
# Now our run of 60 steps, with 200 pictures. The second table has the source's numbers for CIFAR-10. Every line that
# would be ours says that it was not run.

# %%
rows = emoji.evaluate(runs.load(folder), [1, 4], n=200)
print(paper.fid_table("emoji", "lsd", rows, [1, 4], "FD-emoji"))
print()
print(paper.fid_table("cifar10", "lsd", []))

# %% [markdown]
# **What to notice.** Our emoji have a far larger distance than about as many real ones. After 60 steps that is no
# surprise. The first table's number is no FID: its features are another network's.
#
# What does a larger run look like? On an H100 the network of CIFAR-10 was trained on the emoji for six and a half
# minutes: 440 steps of 256 samples, of 520 that were planned. The grid is that of step 320. One noise is in each
# column, and the rows have 1, 2, 4, 8 and 16 jumps.

# %% tags=["figure"]
figures.kept("gpu/emoji-step-320.png", "CIFAR-10's network on emoji, step 320, on an H100")

# %% [markdown]
# **What to notice.** No emoji can be recognised. Each was seen about fifty times by then. In the configuration of
# CIFAR-10 each picture is seen four thousand times.
#
# **Try.** If you can have an H100 for three days: run it, and send us your line.

# %% [markdown]
# ## Summary
#
# - Count first: samples, times passes, times operations a pass, over a speed that you believe. The same for memory.
# - A checkpoint holds the random numbers, too. On a CPU a resumed run has the bits of the unbroken one.
# - A mean may be cut into equal parts, one after the other (`accumulate`) or over processes (`torchrun`). With
#   dropout the masks change with the parts of `accumulate`, so only the mean over masks stays the same.
# - In 16 bits a difference quotient lost almost a fifth of its value here. Values lost about one percent, forward-mode
#   derivatives one to three, in two networks. TF32 lost less than two parts in a thousand.
# - A Fréchet distance belongs to a number of pictures.
#
# ## Exercises

# %% [markdown]
# **1.** CelebA-64 needs 300 MB a sample and 2.98 GB besides. Its batch is 512. What is `accumulate` for one GPU of 40
# GB?

# %% tags=["solution"]
### BEGIN SOLUTION
for_faces = accumulate(512, 0.75, 0.300, 2.98, 40.0)
### END SOLUTION

# %%
course.check("09.7", for_faces)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $(40 - 2.98) / 0.3 = 123$ samples fit. Parts of 128 are too large, parts of 64 fit: 8 parts.
#
# </details>
#
# **2.** Suppose that one step of emoji (batch 64) takes 1.8 seconds on your machine. How long do 4,000 steps take?
# Which part of that is one evaluation with 1,000 pictures at 1 and 4 jumps, if one pass costs a quarter of a training
# sample?
#
# <details><summary>Answer</summary>
#
# $1.8 \cdot 4000 = 7200$ seconds, two hours. A training sample takes $1.8 / 64 = 0.028$ seconds. The evaluation needs
# $1000 \cdot 5$ passes, $5000 \cdot 0.028 / 4 = 35$ seconds: half a percent.
#
# </details>
#
# **3.** With `stratified=True` times are spread over equal cells of [0, 1], in order. Why does `batch.share(k, K)` take
# every K-th sample, and not a block?
#
# <details><summary>Answer</summary>
#
# A block of samples would have times of one part of [0, 1] only. Every K-th sample is spread as evenly as the whole.
#
# </details>
#
# ## Next
#
# [10, What breaks, and why](10_what_breaks_and_why.ipynb) looks at trainings that go wrong, and at how to see it.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the settings and the table.
# - T. Karras et al., *Analyzing and improving the training dynamics of diffusion models*, [arXiv
#   2312.02696](https://arxiv.org/abs/2312.02696), 2024: the network, the learned weight, the decay of the rate.
# - L. Liu et al., *On the variance of the adaptive learning rate and beyond*, [arXiv
#   1908.03265](https://arxiv.org/abs/1908.03265), 2020: RAdam.
# - A. Krizhevsky, *Learning multiple layers of features from tiny images*, 2009: CIFAR-10.
