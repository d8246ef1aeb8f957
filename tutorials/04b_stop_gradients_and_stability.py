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
# # Stop-gradients and stability
#
# After this lesson you can
#
# - say what a stop-gradient holds fixed, write it down, and predict the gradient that is left,
# - explain why the Eulerian loss is the fragile one.
#
# **It assumes** [lesson 04](04_losses_and_their_cost.ipynb): the three losses. **It takes** thirty minutes to read and
# about three minutes to run on two CPU cores.

# %%
import copy
from dataclasses import replace

import matplotlib.pyplot as plt
import torch

from flowmap_edu import METHODS, FlowMap, losses, metrics, problems, recipes, training
from flowmap_edu.times import triangle
from flowmap_edu.viz import plots, widgets

plots.use_style()
board = problems.Checkerboard()


# %%
def lsd(X, s, t, x, stop):
    landed, moves = X.partial_t(s, t, x)
    with torch.set_grad_enabled(stop == "none"):
        target = X.velocity(t, landed)
    return (moves - target).square().sum(1)


def esd(X, s, t, x, stop):
    with torch.set_grad_enabled(stop == "none"):
        b = X.velocity(s, x)
    with torch.set_grad_enabled(stop != "full"):
        carried = X.push(s, t, x, b)[1]
    return (X.partial_s(s, t, x)[1] + carried).square().sum(1)


# %%
def psd(X, s, t, x, stop, h=0.5):
    u = h * s + (1 - h) * t
    with torch.set_grad_enabled(stop == "none"):
        first = X.v(s, u, x)
        second = X.v(u, t, x + (u - s)[:, None] * first)
        mean = (1 - h) * first + h * second
    return (X.v(s, t, x) - mean).square().sum(1)


# %% [markdown]
# ## 4. Which gradient is left?
#
# In the Lagrangian residual the network appears twice: as a *pupil*, whose jump $X_{s,t}$ is to be corrected, and as a
# *teacher*, whose velocity $v_{t,t}$ says how. Give the two roles to two networks with weights $\theta$ and $\eta$, and
# call the loss $\ell(\theta, \eta)$. Self-distillation sets $\eta = \theta$, and by the chain rule
#
# $$\frac{d}{d\theta}\, \ell(\theta, \theta) = \underbrace{\partial_\theta \ell}_{\text{the pupil's}}
#   + \underbrace{\partial_\eta \ell}_{\text{the teacher's}} .$$
#
# The second part moves the *teacher towards the pupil's mistake*: a cheap way to make the two agree, and not what we
# want, since the teacher is the one who has seen data. "convex" keeps the first part alone. (The teacher is asked where
# the pupil lands; we count that dependence as the teacher's, and print its share by itself.) To see both, copy the
# network and let the copy be the teacher, on a map that is halfway trained.

# %%
half_trained = recipes.recipe("checkerboard", "lsd", steps=training.budget(400), compile=False)  # the loop: lesson 05
state = list(training.fit(*half_trained))[-1]
pupil = copy.deepcopy(state.net)
weights = list(pupil.parameters())


def gradient(values, weights):
    parts = torch.autograd.grad(values.mean(), weights, retain_graph=True, allow_unused=True)
    parts = [torch.zeros_like(w) if part is None else part for part, w in zip(parts, weights, strict=True)]
    return torch.cat([part.flatten() for part in parts])


# %%
s, t = triangle(2048, generator=torch.Generator().manual_seed(5))  # uniform on the triangle, as above
x0, x1 = board.sigma * torch.randn(2048, 2), board.sample(2048)[0]
x = (1 - s)[:, None] * x0 + s[:, None] * x1
X, teacher = FlowMap(pupil), FlowMap(copy.deepcopy(pupil))
landed, moves = X.partial_t(s, t, x)
apart = (moves - teacher.velocity(t, landed.detach())).square().sum(1)  # pupil's weights in front, teacher's behind
of_pupil = gradient(apart, weights)
of_teacher = gradient(apart, list(teacher.slope.parameters()))  # teacher.slope is the network itself
convex, none = (gradient(lsd(X, s, t, x, stop), weights) for stop in ("convex", "none"))
assert torch.allclose(convex, of_pupil, atol=1e-6)

# %%
through_landing = none - of_pupil - of_teacher  # the way through the place where the teacher is asked
cosine = torch.cosine_similarity(of_pupil, of_teacher, dim=0)
print(
    f"pupil's part {of_pupil.norm():.3f}, teacher's {of_teacher.norm():.3f}, angle between them has cosine {cosine:.2f}"
)
print(f"and {through_landing.norm():.3f} by moving the landing point to where the teacher answers differently")

# %% [markdown]
# **What to notice.** The first assertion is the meaning of "convex": the same gradient as with a frozen copy for a
# teacher. With such a teacher the residual is linear in the pupil's $v$ and the loss a convex function of it, hence the
# name. (The Eulerian "full" holds a part of the *pupil* as well. Section 8 shows what that does.) What "none" adds has
# two parts, printed with their sizes, and neither of them teaches the pupil anything about the data. With the cosine
# you can see how much the teacher's part works against the pupil's.
#
# A slip to know about: compute the teacher's velocity where gradients are on, and then only *assign* it to a variable
# inside `torch.no_grad()`. That holds nothing. What counts is where it is computed.
#
# **Try.** Do the same for `psd`. Which of its three velocities are the pupil's?

# %% [markdown]
# How large is that difference where all else is known? Take a map with one number in it, $v_{s,t}(x) = \theta\,
# v^\ast_{s,t}(x)$, with $v^\ast$ exact between two Gaussians on the line: it is right at $\theta = 1$. On the left is
# the loss over $\theta$; on the right are the step that training takes (minus the gradient) and what the slope of that
# loss would have it take. Choose a condition, what is held, and whose velocity is read, by mouse or with the arrow
# keys; the formula above the picture says what each choice means, and under it stand the methods that make it. ("semi"
# holds all but $v_{s,t}$ itself; a "sample" gives the slope $\dot I_s$ of its own line, a "teacher" the true velocity.)

# %%
widgets.loss_explorer()

# %% [markdown]
# **What to notice.** Change the stop-gradient and leave the rest: the curve on the left stays as it is, the step on the
# right does not. Under "none" step and slope are one curve, and steps come to rest at $\theta = 0$, a map that goes
# nowhere and agrees with itself, as well as at $\theta = 1$. With the teacher's part held, they lead away from 0.
#
# **Try.** Set the velocity to the teacher's. What becomes of the point of rest at 0, and why?

# %% [markdown]
# ## 6. Does it matter for what is learned?
#
# Eight trainings on the checkerboard from the same seed, 800 steps each, by the library's loop (lesson 05 writes it
# out). They differ in the loss and in what is held, and in one more thing: a share of the pairs has $s = 0$ for LSD and
# PSD, and $t = 1$ for ESD (lesson 05 says why). All but the last have *Fourier features*: the network reads, beside
# $x$, the cosines and sines of $\kappa \cdot x$ for 32 random wave vectors $\kappa$. Section 8 will need that. (Two
# minutes. Each line appears when its training is done.)

# %%
zero = {"at_zero": 0.3, "at_one": 0.0, "diagonal": 2 / 3}
one = {"at_zero": 0.0, "at_one": 0.3}  # the Eulerian pairs of times: lesson 05
TRAININGS = {
    "LSD convex": ("lsd", "convex", zero),
    "LSD none": ("lsd", "none", zero),
    "PSD convex": ("psd-m", "convex", zero),
    "PSD none": ("psd-m", "none", zero),
    "ESD convex": ("esd", "convex", one),
    "ESD none": ("esd", "none", one),
    "ESD full": ("esd", "full", one),
    "ESD full, smooth": ("esd", "full", {**one, "net": {"fourier": 0}}),
}

# %%
generator = torch.Generator().manual_seed(6)
t_some = torch.rand(20_000, generator=generator)
pairs = board.sigma * torch.randn(20_000, 2, generator=generator), board.sample(20_000, generator=generator)[0]
I_t = (1 - t_some)[:, None] * pairs[0] + t_some[:, None] * pairs[1]
b_t = board.velocity(t_some, I_t)

# %%
learned = {}
print(f"{'':<17} {'diagonal: distance to b, squared':>33} {'one jump: distance to the exact map':>36}")
for name, (method, stopgrad, choice) in TRAININGS.items():
    chosen = replace(METHODS[method], stopgrad=stopgrad)
    run = recipes.recipe("checkerboard", chosen, steps=training.budget(800), compile=False, **choice)
    *_, state = training.fit(*run, every=10)
    with torch.no_grad():
        excess = losses.diagonal(state.X, t_some, I_t, b_t).mean()
    distance = metrics.map_error(state.X, board, n=1024)
    learned[name] = state.history, excess.item(), distance
    print(f"{name:<17} {excess:>33.4f} {distance:>36.4f}")

# %%
figure, ax = plt.subplots(figsize=(5.4, 3.6))
for name, (_, excess, distance) in learned.items():
    stop = next(k for k, word in enumerate(("convex", "none", "full")) if word in name)
    ax.loglog(excess, distance, "os^"[stop], color=plots.COLOURS["LEP".index(name[0])], ms=7)
    below = name == "ESD convex"
    ax.annotate(name, (excess, distance), xytext=(6, -10 if below else 3), textcoords="offset points", fontsize=8)
ax.set(xlabel="diagonal: distance to the velocity, squared", ylabel="one jump: distance to the exact map")
ax.set_title("Holding the teacher leaves a better map; holding too much does not")
ax.minorticks_off()
ax.set_xticks([0.003, 0.01, 0.03], ["0.003", "0.01", "0.03"])
ax.set_yticks([0.05, 0.1, 0.2], ["0.05", "0.1", "0.2"])
ax.set_xlim(right=2.5 * max(excess for _, excess, _ in learned.values()))
plt.show()

# %% [markdown]
# **What to notice.** For each of the three losses, "convex" has the smaller error of the jump; for LSD and ESD its
# diagonal is closer to the truth too, as one would expect if "none" bends the teacher towards the pupil. And "full",
# which holds the most, does worst, with either network, though it is what the source of these losses recommends,
# because it saves memory and keeps the gradient out of the Jacobian. The next two sections find out why.
#
# **Try.** The same with `seed=1`. Which of the differences survive?

# %% [markdown]
# ## 7. What does the Jacobian do to an error?
#
# The Eulerian residual multiplies the velocity by the matrix $\nabla X_{s,t}$. If the diagonal is off by a small
# $\delta$, the Lagrangian target is off by $\delta$, the Eulerian one by $\nabla X_{s,t}\, \delta$. For a $\delta$ that
# points anywhere with equal chance, in two dimensions,
#
# $$E\, \big| \nabla X\, \delta \big|^2 = \tfrac12\, \|\nabla X\|_F^2\; E\, |\delta|^2,
#   \qquad \|A\|_F^2 = \textstyle\sum_{ij} A_{ij}^2 .$$
#
# How large is that on the board? Nearby points part there, towards different squares, and that is what $\nabla X$
# measures. Two `push`es along the axes give its columns, exactly. (Half a minute.)

# %%
starts = board.sigma * torch.randn(128, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
ends = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
X_board, growth = FlowMap(board.v), []
for end in ends:
    columns = [X_board.push(0.0, end, starts, e.expand(128, 2))[1] for e in torch.eye(2, dtype=torch.float64)]
    growth.append(torch.stack(columns).square().sum((0, 2)) / 2)  # |grad X|^2 / 2, shape (128,)
growth = torch.stack(growth)
over = (growth[-1] > 1).double().mean()
print(f"t = 1: mean {growth[-1].mean():.1f}, median {growth[-1].median():.2f}, largest {growth[-1].max():.0f};")
print(f"above 1 for {100 * over:.0f} % of the points")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2))
for q, look in ((0.5, "o-"), (0.9, "s-"), (0.98, "^-")):
    axes[0].semilogy(ends, growth.quantile(q, dim=1), look, label=f"{100 * q:.0f} % are below")
axes[0].axhline(1.0, color="0.5", ls="--", lw=1, label="Lagrangian: always 1")
axes[0].set(
    xlabel="end t of a jump from 0", ylabel="growth of a squared error", title="A few points make it many times larger"
)
axes[0].legend()
plots.squares(axes[1])
dots = axes[1].scatter(*starts.T, c=growth[-1].clamp(min=0.1).log10(), s=16)
figure.colorbar(dots, ax=axes[1], label="log10 of the growth, 0 to 1")
axes[1].set(
    aspect="equal", title="They start where the flow parts", xlabel="first coordinate", ylabel="second coordinate"
)
plt.show()

# %% [markdown]
# **What to notice.** For most points errors shrink. For a few, which begin near the lines along which the flow divides,
# a squared error grows tenfold and more. But ESD "convex" trained well in section 6, with the same Jacobian in it.
# Something else must be wrong with "full".
#
# **Try.** Find $\nabla X_{0,1}$ of `gauss` by hand, and the growth that it gives. Is it above or below 1?

# %% [markdown]
# ## 8. Why does "full" explode?
#
# Take everything away that could disturb: one dimension, a velocity that is known and constant, $b$, and an error in
# $v$ that is a single wave, $e^{i(kx + \omega s)}$. Write $d = t - s$. Since $X = x + d\, v$, its residual is the same
# wave times a number with two parts:
#
# $$R = \big[\underbrace{(-1 + i d\, \omega)}_{\partial_s X} + \underbrace{i d\, k b}_{\nabla X\, b}\big]\;
#   e^{i(kx + \omega s)} .$$
#
# A gradient step multiplies the wave by $1 - \text{rate}\cdot\Lambda$, where $\Lambda$ is the complex conjugate of
# *what keeps its gradient*, times all of it. For a small rate the wave shrinks if $\mathrm{Re}\, \Lambda > 0$ and grows
# if $\mathrm{Re}\, \Lambda < 0$. With "convex" all of it does. With "full" the second part is held:
#
# $$\begin{aligned} \Lambda_{\text{convex}} &= 1 + d^2 (\omega + k b)^2, \\
#   \Lambda_{\text{full}} &= (-1 - i d\, \omega)(-1 + i d\, (\omega + k b))
#     = 1 + d^2\, \omega\, (\omega + k b) - i d\, k b . \end{aligned}$$
#
# The first is at least 1: with a small enough rate, every wave dies. So it does with "semi" (lesson 07), which keeps
# the gradient of the leading $-v$ alone: $\Lambda_{\text{semi}} = -(-1 + i d\, (\omega + k b)) = 1 - i d\, (\omega + k
# b)$ has the real part 1 for every wave. The real part of $\Lambda_{\text{full}}$ is *negative* for some $\omega$ as
# soon as $d\, |k b| > 2$ (take $\omega = -k b / 2$), and then the wave grows, however small the rate. Nor is this the
# descent of any function, since $\Lambda_{\text{full}}$ is not real: the matrix by which it acts on the heights of
# cosine and sine is not symmetric, as a matrix of second derivatives would be. Below, the library's own loss acts on a
# "network" that consists of these two heights. The rate is small for all the waves shown.

# %%
d, b = 0.5, 1.0
grid = 64
x_line = torch.arange(grid, dtype=torch.float64)[:, None] * (2 * torch.pi / grid)
s_line = torch.full((grid,), 0.3, dtype=torch.float64)


# %%
def heights(stop, k, omega, steps=60, rate=0.1):
    """The wave's height after each gradient step of the Eulerian loss."""
    theta, path = torch.tensor([1.0, 0.0], dtype=torch.float64), [1.0]

    def v(s, _, x):
        phase = k * x + omega * s[:, None]
        return b + theta[0] * phase.cos() + theta[1] * phase.sin()

    for _ in range(steps):
        theta.requires_grad_()
        known = torch.full_like(x_line, b)
        loss = losses.eulerian(FlowMap(v), s_line, s_line + d, x_line, stopgrad=stop, velocity=known).mean()
        theta = (theta - rate * torch.autograd.grad(loss, theta)[0]).detach()
        path.append(theta.norm().item())
    return path


# %%
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.2))
k, omega = torch.meshgrid(torch.linspace(0, 16, 161), torch.linspace(-16, 16, 161), indexing="xy")
real = 1 + d**2 * omega * (omega + k * b)
axes[0].contourf(k, omega, real, levels=[-20, 0, 1, 150], colors=[plots.COLOURS[1], "0.85", "white"])
for mark, at in zip("os^", ((2, -1), (6, -3), (8, -4)), strict=True):
    axes[0].plot(*at, mark, color="black")
    for stop, line, colour in (("full", "-", 1), ("convex", "--", 0)):
        look = {"marker": mark, "markevery": 20, "color": plots.COLOURS[colour], "label": f"k = {at[0]}, {stop}"}
        axes[1].semilogy(heights(stop, *at), line, **look)
for word, x, y in (("grows", 10, -6), ("slow", 0.3, -3.6), ("shrinks", 7, 8)):
    axes[0].text(x, y, word)
axes[0].set(xlabel="wave number k", ylabel="frequency $\\omega$ in s", title='"full" amplifies the waves in the wedge')
axes[1].set(xlabel="gradient step", ylabel="height of the wave", title='"convex" damps each of three waves')
axes[1].legend(fontsize=7)
plt.show()

# %% [markdown]
# **What to notice.** Left: in the coloured wedge the real part of $\Lambda_{\text{full}}$ is negative, in the grey
# fringe (slow) it is between 0 and 1, and the marks are the three waves on the right. The wedge opens at $k = 2 / (d\,
# b) = 4$: coarse waves are safe, fine ones with an unlucky $\omega$ are not. Whether a training blows up then depends
# on whether the *network can draw fine waves*. Fourier features of $x$ are made to, and a plain network of smooth
# layers is slow to. That is a prediction, and section 6 has the trainings to test it: "ESD full" has Fourier features,
# "ESD full, smooth" has none.

# %%
figure, ax = plt.subplots(figsize=(6.0, 3.0))
for k, name in enumerate(("LSD convex", "ESD convex", "ESD full", "ESD full, smooth")):
    history = torch.tensor(learned[name][0])  # step, loss, mean and largest norm of the gradient, seconds
    ax.semilogy(history[:, 0], history[:, 2], "-" if k < 3 else "--", label=name)
ax.set(xlabel="step", ylabel="norm of the gradient", title="The explosion needs both: the held term and the fine waves")
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** ESD "convex" is as calm as LSD. The run with the held term *and* a network that can draw fine
# waves starts in the same way, and then its gradient grows to ten times the others'. Without Fourier features the same
# held term does no such thing, but that network has the worst diagonal of all in section 6. Holding less is the better
# cure: the Eulerian map that comes with this library, `checkerboard-esd`, is trained with "convex".
#
# **Try.** By the formula, shorter jumps (smaller $d$) push the wedge to finer waves. Draw it for $d = 0.1$ and $k$ up
# to 40. Which waves are still amplified?

# %% [markdown]
# ## Summary
#
# - A condition becomes a loss by squaring its residual and averaging over pairs $s < t$ and draws of $I_s$; flow
#   matching on the diagonal completes it.
# - Forward mode computes the derivatives exactly, in one pass along with the value.
# - A stop-gradient changes no value. It decides who learns from whom: "convex" gives the gradient of a frozen teacher.
# - The Eulerian loss has the Jacobian in it, which magnifies errors where paths part. Its "full" stop-gradient is not
#   the descent of any function, and amplifies some of the waves with $d\,|k b| > 2$.
#
# [Lesson 05](05_self_distillation_on_the_checkerboard.ipynb) puts a loss into a training loop and trains a map that
# needs one step.
#
# ## Exercises
#
# 1. Show that $E\,|\nabla X\, \delta|^2 = \frac12 \|\nabla X\|_F^2\, E\,|\delta|^2$ in two dimensions, and check it
#    with `X.push` on 10,000 random $\delta$ at one point.
# 2. Write `lsd` with a frozen copy of the network as the teacher, asked at the landing point *with* gradient. Which of
#    the three parts of section 4 does its gradient have? Check that adding the missing one gives "none".
# 3. In `psd`, swap the weights $h$ and $1 - h$. For which $h$ does nothing change? Show on the exact map of `gauss`
#    that for any other the loss is no longer zero.
# 4. Repeat the analysis of section 8 for the Lagrangian residual with a constant known velocity, for an error
#    $e^{i(kx + \omega t)}$. Is there a wave that "convex" amplifies?
# 5. The source's batch has three samples of four on the diagonal. From the bars of section 5, what does a training step
#    of LSD cost, in units of flow matching with the same batch? Check it with `cost` on 1,536 and 512 samples.
#
# ## Next
#
# [05, Self-distillation on the checkerboard](05_self_distillation_on_the_checkerboard.ipynb)
# trains a flow map with these losses, from samples alone.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the losses, their stop-gradients,
#   and the observation that the Eulerian ones are unstable. The analysis of section 8 is ours.
# - A. G. Baydin, B. A. Pearlmutter, A. A. Radul, J. M. Siskind, *Automatic differentiation in machine learning: a
#   survey*, [arXiv 1502.05767](https://arxiv.org/abs/1502.05767), 2018: forward and reverse mode.
# - M. Tancik et al., *Fourier features let networks learn high frequency functions in low dimensional domains*,
#   [arXiv 2006.10739](https://arxiv.org/abs/2006.10739), 2020.
