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
# - train a flow map of pictures with the losses of lesson 04, not a line of them changed,
# - judge generated pictures by a number, and say what that number cannot see,
# - check whether a model has learned a distribution or memorised its data.
#
# **It assumes** [lesson 05](05_self_distillation_on_the_checkerboard.ipynb): the training loop.
# **It takes** thirty minutes to read and under ten minutes to run on two CPU cores.

# %%
import matplotlib.pyplot as plt
import torch
from tqdm.auto import tqdm

from flowmap_edu import FlowMap, problems, recipes, training
from flowmap_edu.metrics import classifier, images, memorising
from flowmap_edu.training import runs
from flowmap_edu.viz import plots, widgets

plots.use_style()
STEPS = training.budget(1000)
JUMPS = (1, 2, 4, 8, 16)

# %% [markdown]
# ## 1. What changes when points become pictures?
#
# scikit-learn brings 1,797 handwritten digits of 8 x 8 pixels. A picture is a point with 64 coordinates, so that
# everything said of points in the plane holds word for word: noise $x_0 \sim N(0, \sigma^2 I)$, here with $\sigma =
# 1/2$, a digit $x_1$, and between them
#
# $$I_t = (1 - t)\, x_0 + t\, x_1 .$$

# %%
problem = problems.Digits()
data, held_out = problem.data(), problem.data(train=False)
print(f"{len(data):,} digits to train, {len(held_out)} held out, each {data.shape}, values from -1 to 1")
generator = torch.Generator().manual_seed(0)
x1, labels = data.draw(10, generator)
x0 = 0.5 * torch.randn(x1.shape, generator=generator)
times = (0.0, 0.25, 0.5, 0.75, 1.0)
figure, ax = plt.subplots(figsize=(6.0, 3.2))
plots.images(ax, torch.stack([(1 - t) * x0 + t * x1 for t in times]))
ax.set_title("Ten digits on the way from noise (t = 0, top) to data (t = 1, bottom)")
plt.show()

# %% [markdown]
# **What to notice.** Half way the eye already knows which digit it will be. The velocity $b_t(x)$, the mean of
# $x_1 - x_0$ over all pairs that pass through $x$, is then almost decided; near the noise it is a mean over all digits.
#
# **Try.** Draw `(1 - t) * x0 + t * x1.roll(1, 0)`. Is the top row changed?

# %% [markdown]
# ## 2. Which network?
#
# An MLP does not know that neighbouring pixels belong together. A U-Net does: it is built of convolutions, looks at the
# picture at several sizes and hands what it saw at each size to the way back. Ours follows Karras et al. (2024): each
# layer is scaled such that what passes through it keeps its size. It gets the times $s$ and $t - s$ and the class of
# the digit, and returns the average slope $v_{s,t}(x)$ of the jump, as ever:
#
# $$X_{s,t}(x) = x + (t - s)\, v_{s,t}(x).$$
#
# The losses ask for $\partial_t X$. It must be exact through all these layers, so we compare it with a finite
# difference, once, in double precision.

# %%
torch.manual_seed(0)
net = problem.network().double().eval()
net.gain.data.fill_(1.0)  # it starts at 0, and the output with it
X = FlowMap(net).conditioned(label=labels)
s, t, x = torch.zeros(10), torch.linspace(0.1, 0.9, 10), x0.double()
_, slope = X.partial_t(s.double(), t.double(), x)
h = 1e-5
difference = (X(s.double(), t.double() + h, x) - X(s.double(), t.double() - h, x)) / (2 * h)
print(f"parameters: {sum(p.numel() for p in net.parameters()):,}")
print(f"relative gap of the two derivatives: {((slope - difference).norm() / slope.norm()).item():.1e}")

# %% [markdown]
# **What to notice.** The two agree up to the finite difference's own error. What `torch.func.jvp` needs is that every
# layer has a forward derivative and treats the pictures of a batch one by one; that is why attention is written out as
# matrix products and there is no batch normalisation.
#
# **Try.** How many parameters has `problems.Cifar10().network()`? (It takes a second or two; the other sizes
# are in `problems/image_sets.py`.)

# %% [markdown]
# ## 3. Does it train?
#
# The recipe is that of lesson 05 with another network: three quarters of a batch of 128 on the diagonal, a quarter off
# it with LSD, Adam, an average of the weights. Each sample comes with its label, and the network reads it:
#
# $$E\, \big| v_{t,t}(I_t; y) - \dot I_t \big|^2 \;+\; E\, \big| \partial_t X_{s,t}(I_s; y) - \mathrm{sg}\,
# v_{t,t}(X_{s,t}(I_s; y); y) \big|^2 .$$
#
# (A few minutes; the two terms are weighted by their shares of the batch. The shipped map below had 6,200 steps, about
# six times as many.)

# %%
run = recipes.recipe("digits", "lsd", steps=STEPS, compile=False)
every = max(1, STEPS // 20)
*_, state = tqdm(training.fit(*run, every=every), total=STEPS // every, desc="LSD on digits")
steps, loss = [row[0] for row in state.history], [row[1] for row in state.history]
ten = torch.arange(10)
noise = problem.base(10, torch.Generator().manual_seed(1))

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.0), gridspec_kw={"width_ratios": [1, 1.4]})
axes[0].plot(steps, loss)
axes[0].set(xlabel="step", ylabel="loss", title="The loss falls, and cannot reach 0")
plots.images(axes[1], torch.stack([state.X.sample(noise, n, label=ten) for n in JUMPS]))
axes[1].set_title(f"After {STEPS:,} steps: 1, 2, 4, 8 and 16 jumps (rows)")
plt.show()

# %% [markdown]
# **What to notice.** The loss does not go to 0, since its diagonal part is a regression on $x_1 - x_0$ with what $I_t$
# leaves open (lesson 01). After these few steps one jump already draws digits; they are pale where the map is not yet
# sure, and more jumps change them little.
#
# **Try.** Give all ten the same noise, `noise[:1].expand(10, -1, -1, -1)`: what is left of the differences is the
# label's doing.

# %% [markdown]
# ## 4. One jump or sixteen?
#
# The shipped map had ten CPU minutes. Here are forty of its digits and a slider over the number of jumps: noise and
# labels stay, so that a picture which changes does so by the jumps alone. Step from one jump to two with the arrow keys
# and look for a digit that changes; then press End, and see whether the same one goes on changing.

# %%
shipped = runs.load("digits-lsd")
forty = torch.arange(40) % 10
same_noise = problem.base(40, torch.Generator().manual_seed(2))
widgets.step_slider({"shipped LSD map": shipped}, same_noise, steps=JUMPS, label=forty)

# %% [markdown]
# Without a kernel there is nothing to move; here is the same as a still picture.

# %%
figure, ax = plt.subplots(figsize=(8.0, 3.3))
rows = torch.stack([shipped.sample(same_noise[:20], n, label=forty[:20]) for n in JUMPS])
plots.images(ax, rows)
ax.set_title("The same noise in each column; 1, 2, 4, 8 and 16 jumps from top to bottom")
plt.show()
moved = (rows - rows[-1]).square().mean((1, 2, 3, 4)).sqrt()
print("root mean square change of a pixel against 16 jumps:", "  ".join(f"{m:.3f}" for m in moved))

# %% [markdown]
# **What to notice.** One jump gives a digit, and more jumps refine it, mostly without changing which stroke goes where.
# A map that were exact would give the same picture in every row.
#
# **Try.** Which label is hardest to draw in one jump?

# %% [markdown]
# ## 5. How good are they, as a number?
#
# The eye is not enough. We take a small classifier, trained on the same 1,400 digits, and read from it a vector of 64
# features of each picture. If the generated digits are distributed as the real ones are, so are their features. The
# *Fréchet distance* compares the means $m$ and covariances $C$ of two sets of features:
#
# $$\mathrm{FD} = |m_1 - m_2|^2 + \mathrm{tr}\big( C_1 + C_2 - 2\, (C_1 C_2)^{1/2} \big).$$
#
# For photographs the features come from the Inception network, and the number is called FID. Even the training digits
# do not score 0 against the held-out ones: finite sets scatter, the held-out digits are the end of the file and not a
# random part of it, and the classifier was trained on the others. What the training digits score we call the floor.

# %%
read = classifier.load()
floor = images.frechet(read, data.values(), held_out.values())
snow = 0.5 * torch.randn(1400, 1, 8, 8, generator=generator)
static = images.frechet(read, snow.clamp(-1, 1), held_out.values())
right = (read.read(held_out.values()) == held_out.labels).double().mean()
print(f"training digits against held-out ones: {floor:.2f}; noise against held-out ones: {static:.1f}")
print(f"the classifier reads {right:.1%} of the real held-out digits right\n")
print(f"{'jumps':>6}{'FD-digits':>11}{'over floor':>12}{'labels read back':>18}")
table = []
for row in problem.evaluate(shipped, JUMPS, seed=0):
    table.append(row)
    print(f"{row['steps']:>6}{row['fd']:>11.2f}{row['fd'] / floor:>12.2f}{row['labels']:>18.1%}")

# %%
figure, ax = plt.subplots(figsize=(4.8, 3.0))
ax.semilogx(JUMPS, [row["fd"] for row in table], "o-", base=2, label="shipped LSD map")
ax.axhline(floor, color="0.5", lw=1, label="real training digits")
ax.set(xlabel="jumps N", ylabel="FD-digits", xticks=JUMPS, xticklabels=JUMPS, ylim=(0, 8))
ax.set_title("One jump is close to real digits, by this measure")
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** One jump scores 6.49, within a tenth of what the training digits score ("real digits" in the
# title), and none of the five gets below them. The labels are read back from the generated digits more often than from
# held-out ones; but the model imitates the very digits that the classifier was trained on, so this is an easy test.
# Neither number says that the digits are *new*.
#
# **Try.** Put the 1,400 training digits themselves in as if they were generated. They reach the floor. Is that a good
# model?

# %% [markdown]
# ## 6. Has it memorised?
#
# The number of section 5 cannot tell a model that draws new digits from one that hands back its training digits.
# Distances to the nearest digit can. For each generated digit we look for the nearest of 397 training digits and the
# nearest of the 397 held-out ones. If the two sets were random halves of one collection, a model that does not memorise
# would be nearer to the former about half of the time. They are not, so we need to know what *real* digits score:
# training digits, measured against 397 others of the training set.

# %%
share = {n: row["nearer_to_train"] for n, row in zip(JUMPS, table, strict=True)}
print("share nearer to training digits:", "  ".join(f"N = {n}: {p:.1%}" for n, p in share.items()))
order = torch.randperm(len(data), generator=generator)
some, rest = data.values(order[:397]), data.values(order[397:])
real = memorising.memorised(rest, some, held_out.values()).nearer_to_train
print(f"real training digits, against 397 others of the training set: {real:.1%}")
print(f"FD-digits of those others to the 397: {images.frechet(read, rest, some):.2f}")

# %%
drawn, drawn_labels = problem.digits(shipped, 1, seed=0)
picked = torch.arange(0, 1400, 100)
closest = [torch.cdist(drawn[picked].flatten(1), d.values().flatten(1)).argmin(1) for d in (data, held_out)]
figure, ax = plt.subplots(figsize=(7.0, 1.9))
plots.images(ax, torch.stack([drawn[picked], data.values(closest[0]), held_out.values(closest[1])]))
ax.set_title("Generated (top), the nearest training digit, the nearest held-out digit")
plt.show()

# %% [markdown]
# **What to notice.** Two thirds of the generated digits are nearer to training digits, and so are two thirds of the
# real ones: the held-out digits, the last in the file, differ from the first. A share has to be compared with what real
# digits score, not with one half. By this measure one jump shows no memorising beyond the error of counting, and
# sixteen jumps show a little. (In the picture the middle row has the easier task: it searches 1,400 digits, the lower
# one 397.) The question was worth asking: the map saw each digit more than five hundred times.
#
# **Try.** Mix all 1,797 digits, split them at random into 1,400 and 397, and compute `real` again. Is it one half?

# %% [markdown]
# ## Summary
#
# - Nothing changed but the network and the data: the same `losses`, the same loop, the same map.
# - A U-Net has an exact forward derivative if each of its layers has one and treats the pictures one by one.
# - The Fréchet distance compares means and covariances of features; its floor here is what the training digits score.
# - It does not see memorising. Distances to the nearest training and held-out pictures can, if compared with what real
#   digits score.
#
# ## Exercises
#
# 1. Train with `"psd-m"` in place of `"lsd"` for as many steps. Which of the rows of section 5 differs most?
# 2. Show that the Fréchet distance of two Gaussians with the same mean and covariances $a^2 I$ and $c^2 I$ in $d$
#    dimensions is $d\, (a - c)^2$. Check it on 20,000 pictures of 4 x 4 with `images.frechet` and `net =
#    torch.nn.Flatten(); net.num_features = 16`. Pixels must lie in [-1, 1]: take $a$ and $c$ of 0.1 or so.
# 3. Interpolate between two noises, $\cos(\alpha)\, x_0 + \sin(\alpha)\, x_0'$, and draw one jump from each. Why not
#    the straight line?
# 4. Give the label -1 ("no class"). The network was never trained with it. What does it draw?
#
# ## Next
#
# [09, CIFAR-10 on a GPU](09_cifar10_on_a_gpu.ipynb)
# goes on to pictures in colour and to trainings that take a GPU.
#
# ## References
#
# - T. Karras, M. Aittala, J. Lehtinen, J. Hellsten, T. Aila, S. Laine, *Analyzing and improving the training dynamics
#   of diffusion models*, [arXiv 2312.02696](https://arxiv.org/abs/2312.02696), 2024: the network.
# - M. Heusel et al., *GANs trained by a two time-scale update rule converge to a local Nash equilibrium*, [arXiv
#   1706.08500](https://arxiv.org/abs/1706.08500), 2017: the Fréchet distance of features.
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the losses, on pictures up to 64 x
#   64.
