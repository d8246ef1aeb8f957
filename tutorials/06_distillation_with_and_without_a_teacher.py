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
# # Distillation, with and without a teacher
#
# After this lesson you can
#
# - train the same three losses from a frozen teacher,
# - say what limits a pupil: its own training, or its teacher's,
# - compare the two ways at equal cost, and say what one gains by having no teacher.
#
# **It assumes** [lesson 05](05_self_distillation_on_the_checkerboard.ipynb): the training loop and the four methods.
# **It takes** thirty minutes to read and under five minutes to run on two CPU cores.

# %%
import copy
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
from tqdm.auto import tqdm

from flowmap_edu import METHODS, FlowMap, losses, methods, metrics, problems, recipes, training
from flowmap_edu.metrics import errors
from flowmap_edu.viz import plots

plots.use_style()
board = problems.Checkerboard()
NAMES = ("lsd", "esd", "psd-m")
STEPS = training.budget(800)

# %% [markdown]
# ## 1. Where does a teacher enter?
#
# Flow maps were first trained in two stages: learn a velocity $b$ by flow matching, freeze it, and *distil* it into a
# map. Lesson 03 said what that needs. With $b$ known, the Lagrangian and the Eulerian equation read
#
# $$\partial_t X_{s,t}(x) = b_t\big(X_{s,t}(x)\big), \qquad \partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, b_s(x) = 0,$$
#
# and $b$ is the *teacher's*, where self-distillation reads $v_{t,t}$ from the map in training. The semigroup equation
# has no velocity in it; there the teacher speaks on the diagonal alone, as the target for $v_{t,t}$. We grant that to
# all three: the target is then $b_t(I_t)$ itself, in place of the averaged slopes of lesson 05.
#
# So a teacher enters in two places: off the diagonal by the choice `velocity="teacher"`, and on it as the target. The
# first changes less than one might think. With a frozen *copy of the map's own diagonal* for a teacher, the gradient is
# that of self-distillation with its recommended stop-gradient ("full" for ESD in this cell, "convex" later):

# %%
problem, net, method, settings = recipes.recipe("checkerboard", "lsd", steps=100, compile=False)
batch = training.draw_batch(problem, method, settings, torch.Generator().manual_seed(1))
frozen = copy.deepcopy(net).requires_grad_(False)
for name in ("lsd", "esd"):
    taught = replace(METHODS[name], velocity="teacher", stages=1)
    grads = []
    for choice, teacher in ((METHODS[name], None), (taught, FlowMap(frozen))):
        loss = methods.loss(FlowMap(net), batch, choice, teacher=teacher).mean()
        grads.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))]))
    assert torch.allclose(*grads, rtol=1e-4, atol=1e-7)
    print(f"{name}: same gradient, norm {grads[0].norm():.4f}, with its own diagonal and with a frozen copy of it")

# %% [markdown]
# **What to notice.** Off the diagonal the two ways differ in one thing: in self-distillation the teacher *goes on
# learning*. At every single step it is a frozen teacher.
#
# **Try.** The same with `replace(..., stopgrad="none")`. Why is the gradient another one now?

# %% [markdown]
# ## 2. What would a perfect teacher give?
#
# On the board there is one: the exact velocity. Here is a loop that takes any teacher, or none. It draws its batches as
# the library does, and measures the distance of the one-step map to the exact one as it goes (`training.State` holds
# the network `net`, its average, whose map is `X`, and the optimiser),
#
# $$\text{error} = \sqrt{E\, |X_{0,1}(x_0) - X^\ast_{0,1}(x_0)|^2}.$$


# %%
def train(method, teacher=None, steps=STEPS, seed=0, **changes):
    """The averaged map, rows (step, error, gradient norm) and the milliseconds of a step."""
    run = recipes.recipe("checkerboard", method, steps=steps, seed=seed, compile=False, **changes)
    state, rows, spent = training.State(*run), [], 0.0
    for step in tqdm(range(steps), desc=f"{run.method.title}, {'a teacher' if teacher else 'none'}"):
        started = time.perf_counter()
        norm = one_step(state, teacher)
        spent += time.perf_counter() - started
        if (step + 1) % max(1, steps // 20) == 0:
            rows.append((step + 1, metrics.map_error(state.X, board, n=1024), norm))
    return state.X, torch.tensor(rows), 1000 * spent / steps


# %%
def one_step(state, teacher):
    batch, method = training.draw_batch(state.problem, state.method, state.training, state.generator), state.method
    if teacher:
        on = batch.diagonal
        with torch.no_grad():
            batch = batch._replace(diagonal=on._replace(target=teacher(on.t, on.x)))
        if method.condition != "semigroup":  # it has no velocity in it
            method = replace(method, velocity="teacher", stages=1)
    guide = FlowMap(lambda s, t, x: teacher(t, x))  # noqa: ARG005
    methods.loss(FlowMap(state.net), batch, method, teacher=guide).mean().backward()
    norm = torch.nn.utils.clip_grad_norm_(state.net.parameters(), state.training.clip)
    state.take_step()  # the optimiser, the averages
    state.schedule.step()  # the learning rate of the next step
    return norm.item()


# %% [markdown]
# (Six trainings, a minute and a half. ESD is used with the stop-gradient "convex", as in lesson 05.)

# %%
found = {}
for method in NAMES:
    found[method, "no teacher"] = train(method)
    found[method, "exact teacher"] = train(method, board.velocity)

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.2, 2.9), sharey=True)
for ax, method in zip(axes, NAMES, strict=True):
    for k, who in enumerate(("no teacher", "exact teacher")):
        _, rows, _ = found[method, who]
        ax.semilogy(rows[:, 0], rows[:, 1], ("-", "--")[k], color=plots.COLOURS[k], label=who)
    ax.set(title=method.upper(), xlabel="step")
axes[0].set_ylabel("distance to the exact map, one jump")
axes[0].legend()
figure.suptitle("One seed: a perfect teacher helps two methods a little, and harms the third")
plt.show()

# %% [markdown]
# **What to notice.** For ESD and PSD-M the two curves go down nearly together: the exact velocity is the best that a
# teacher can be, and against the averaged targets of lesson 05 it gains little. For LSD the
# perfect teacher does harm. Why?
#
# Look at *where* each loss asks its teacher. ESD asks at $(s, I_s)$, and the diagonal at $(t, I_t)$: places where the
# flow is. LSD asks at $(t, X_{s,t}(I_s))$, where the *pupil* has landed. Near $t = 1$ a pupil that is not perfect lands
# between the squares, where data never is, and there the exact velocity is about the distance to the next square over
# $1 - t$. How large does it get?

# %%
X_self = found["lsd", "no teacher"][0]
x0 = board.sigma * torch.randn(4000, 2, generator=torch.Generator().manual_seed(2))
times = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99]
speed = {"exact velocity": [], "the map's own diagonal": []}
with torch.no_grad():
    for t in times:
        landed = X_self(0.0, t, x0)
        for name, velocity in zip(speed, (board.velocity, X_self.velocity), strict=True):
            speed[name].append(velocity(t, landed).norm(dim=1).quantile(torch.tensor([0.5, 0.99])))


# %%
def stopped(t, x, last=0.9):
    """The exact velocity with its clock stopped at 0.9."""
    return board.velocity(t.clamp(max=last), x)


found["lsd", "stopped clock"] = train("lsd", stopped)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.0))
for k, (name, values) in enumerate(speed.items()):
    for q, look, share in ((0, "--", "median"), (1, "-", "99th percentile")):
        curve = [value[q] for value in values]
        axes[0].semilogy(times, curve, look, color=plots.COLOURS[1 - k], label=f"{name}, {share}")
axes[0].set(xlabel="time t", ylabel="speed at the landing points", title="Between the squares the truth is violent")
axes[0].legend(fontsize=7)
for k, who in enumerate(("no teacher", "exact teacher", "stopped clock")):
    _, rows, _ = found["lsd", who]
    axes[1].semilogy(rows[:, 0], rows[:, 1], ("-", "--", ":")[k], color=plots.COLOURS[k], label=who)
axes[1].set(xlabel="step", ylabel="distance, one jump", title="LSD: most of the harm was done near t = 1")
axes[1].legend()
plt.show()

# %% [markdown]
# **What to notice.** For one landing point in a hundred the exact teacher asks for a speed many times the median, and
# squared errors are ruled by such points. The map's own diagonal knows nothing of the kind: it was trained on $I_t$
# only, and between the squares it goes on smoothly. Stop the exact clock at 0.9: the answers stay moderate, and most of
# the harm is gone. A teacher has to be good where the pupil *asks*, not only where the data is.
#
# **Try.** Use plain targets, `train("lsd", stf_batch=0)`, in place of the averaged ones of lesson 05, for all curves.
# Is a teacher worth more now, and what has it replaced?

# %% [markdown]
# ## 3. And a teacher that had to learn?
#
# In practice the teacher is a network too. We train one by flow matching, for half as many steps as a map. Its flow is
# not the exact one; a pupil that distils it perfectly has the error
#
# $$\text{error of the teacher} = \sqrt{E\, \big| X^{\text{teacher}}_{0,1}(x_0) - X^\ast_{0,1}(x_0) \big|^2},$$
#
# where $X^{\text{teacher}}$ follows the teacher's velocity, here in 256 small steps.


# %%
def flow_matching(steps, seed=0):
    """A velocity learned on the diagonal alone, and the milliseconds of a step."""
    run = recipes.recipe("checkerboard", "lsd", steps=steps, seed=seed, compile=False)
    state, started = training.State(*run), time.perf_counter()
    for _ in tqdm(range(steps), desc="the teacher"):
        t, x, target, _ = training.draw_batch(run.problem, run.method, run.training, state.generator).diagonal
        losses.diagonal(FlowMap(state.net), t, x, target).mean().backward()
        state.take_step()
        state.schedule.step()
    milliseconds = 1000 * (time.perf_counter() - started) / steps
    return FlowMap(state.average.module.requires_grad_(False)).velocity, milliseconds


# %%
noise, goal = errors.exact_pairs(board, 0.0, 1.0, 1024, 0)


def limit_of(teacher, steps=256):
    """The distance of the teacher's own flow to the exact one, and where it lands."""
    x = noise
    for k in range(steps):
        x = x + teacher(k / steps, x) / steps
    return (x - goal).square().sum(1).mean().sqrt().item(), x


teacher, ms_teacher = flow_matching(STEPS // 2)
limit, taught = limit_of(teacher)
for method in NAMES:
    found[method, "learned teacher"] = train(method, teacher)

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.2, 2.9), sharey=True)
for ax, method in zip(axes, NAMES, strict=True):
    for k, who in enumerate(("no teacher", "learned teacher")):
        _, rows, _ = found[method, who]
        ax.semilogy(rows[:, 0], rows[:, 1], ("-", "--")[k], color=plots.COLOURS[2 * k], label=who)
    ax.axhline(limit, color="0.5", lw=1, label="the teacher itself, 256 steps")
    ax.set(title=method.upper(), xlabel="step of the pupil")
axes[0].set_ylabel("distance to the exact map, one jump")
axes[0].legend(fontsize=8)
figure.suptitle("One seed: pupils and their teacher's line")
plt.show()

# %%
print(f"the teacher's flow is {limit:.4f} from the exact one\n")
print(f"{'one jump of ...':<30}{'to the exact map':>18}{'to the learned teacher':>24}")
for (method, who), (X, *_) in found.items():
    with torch.no_grad():
        x = X(0.0, 1.0, noise)
    from_exact, from_taught = ((x - y).square().sum(1).mean().sqrt().item() for y in (goal, taught))
    print(f"{method.upper() + ', ' + who:<30}{from_exact:>18.4f}{from_taught:>24.4f}")

# %% [markdown]
# **What to notice.** All maps are nearer to this teacher than to the truth (all began with the same weights and batches
# as the teacher); but within each method its own pupil is the nearest, LSD's above all. Nothing pulls a pupil past its
# teacher: the data now say only where the teacher is asked, and a perfect pupil has the distance zero in the last
# column and the grey line's in the one before. (The line includes the small error of the 256 steps.) A map without a
# teacher is limited by its own diagonal, which keeps learning. Within these few steps the taught maps of ESD and PSD-M
# are slightly ahead, as with the exact teacher: the velocity that they were given is finished from the start, and the
# teacher's own steps are not on this axis. (A learned teacher is smooth between the squares, so that LSD does not
# suffer as above.)
#
# **Try.** Let the teacher learn for 100 steps only. Which of the columns changes?

# %% [markdown]
# ## 4. What does each way cost?
#
# A step of LSD asks the teacher in place of the pupil's own diagonal, and once more for the target on the diagonal. And
# the teacher's training comes on top. We do the sum for LSD: some of the steps go to the teacher, the rest to the
# pupil, and the axis shows the time that both have taken. (`one_step` draws the averaged target even where the
# teacher's replaces it, so the taught steps are timed somewhat too high; the number of steps is equal for all three.)

# %%
total = STEPS
shares = {"none": 0, "a quarter": total // 4, "half": total // 2}
equal = {"none": found["lsd", "no teacher"]}
limits = {"none": None}
for name, steps in list(shares.items())[1:]:
    guide, _ = flow_matching(steps)
    equal[name] = train("lsd", guide, steps=total - steps)
    limits[name] = limit_of(guide)[0]
print(f"a step: flow matching {ms_teacher:.1f} ms, LSD alone {found['lsd', 'no teacher'][2]:.1f} ms,", end=" ")
print(f"LSD with a network for a teacher {found['lsd', 'learned teacher'][2]:.1f} ms")

# %%
figure, ax = plt.subplots(figsize=(5.8, 3.3))
for k, (name, (_, rows, ms)) in enumerate(equal.items()):
    seconds = (shares[name] * ms_teacher + rows[:, 0] * ms) / 1000
    ax.semilogy(seconds, rows[:, 1], ("-", "--", "-.")[k], label=f"teacher's share: {name}")
    if limits[name]:
        last = seconds[-1].item()
        ax.plot([last, 1.06 * last], [limits[name]] * 2, color=plots.COLOURS[k], lw=3, label="and its limit")
ax.set(xlabel="seconds of teacher and pupil together", ylabel="distance to the exact map, one jump")
ax.set_title("LSD, one seed: teacher and pupil share the steps")
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** A pupil starts late and has fewer steps left; its curve begins where the teacher's training ends.
# The thick marks are the limits that the teachers set. The map without a teacher uses its first steps for
# what the teacher would have learned in them, and learns jumps in the same steps.
#
# **Try.** Start the pupil from the teacher's weights (`state.net.load_state_dict`) as is often done. Is the order
# still the same?

# %% [markdown]
# ## 5. Does a teacher cure the Eulerian loss?
#
# Lesson 04 found that the Eulerian loss with everything held but $\partial_s X$ ("full") amplifies fine waves. One
# could hope that a teacher that stands still would prevent that. But the derivation there had the velocity *known and
# fixed*:
#
# $$\mathrm{Re}\, \Lambda_{\text{full}} = 1 + d^2\, \omega\, (\omega + k b) < 0 \quad\text{for some } \omega
#   \text{ when } d\, |k b| > 2 .$$
#
# So by the formula the exact velocity should be no help. (Half a minute.)

# %%
_, held, _ = train(METHODS["esd"], board.velocity)  # "full", as its source has it
figure, ax = plt.subplots(figsize=(5.4, 3.0))
for label, rows in (("convex", found["esd", "exact teacher"][1]), ("full", held)):
    ax.semilogy(rows[:, 0], rows[:, 2], "o-", label=f'exact teacher, "{label}"')
ax.set(
    xlabel="step", ylabel="norm of the gradient", title="With a perfect teacher the held loss's gradient grows as well"
)
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** The gradient (before clipping) grows with the exact velocity for a teacher, as the formula said,
# and as it did in lesson 04 without one. The cause lies in what is held, not in whose velocity it is.
#
# **Try.** `train(METHODS["esd"], board.velocity, net={"fourier": 0})`: without Fourier features?

# %% [markdown]
# ## Summary
#
# - Distillation and self-distillation are the same losses; the one reads the velocity from a frozen teacher, the other
#   from the map's own diagonal.
# - A perfect pupil is as good as its teacher and no better. A map that teaches itself has no fixed limit: its diagonal
#   keeps learning.
# - At an equal total, the teacher's training is paid for with the pupil's time; for LSD on the board that did not pay.
# - A teacher is asked where the pupil lands. Even the exact velocity can be a bad answer there.
# - What one gains by having no teacher: one training in place of two, no second network, and data to the end. What one
#   gives up: a velocity that is right from the first step.
# - A teacher does not cure the Eulerian loss of its held term.
#
# When would you take one? When it exists already: a large velocity model that somebody has trained is a teacher for
# free.
#
# ## Exercises
#
# 1. Show that the semigroup loss over $u = t - h$, with an exactly known diagonal and divided by $h^2$, tends to the
#    squared Lagrangian residual with a teacher as $h \to 0$. (Lesson 03, section 5, without the squares.) Check it
#    numerically on the one-Euler-step map of lesson 03.
# 2. Give the pupil a wrong teacher, $b_t(x) + 0.1$ in the first coordinate. Where should the samples of a perfect pupil
#    lie? (Follow the wrong velocity in small steps.) Train one by ESD and compare.
# 3. `one_step` computes the teacher's target under `no_grad`, and hands `teacher` to the loss as a callable. Show that,
#    with the stop-gradients used here, no gradient reaches the learned teacher's weights even without
#    `requires_grad_(False)`.
# 4. Change `train` to anneal: use the exact teacher for the first half of the steps and none for the second. Is the
#    result nearer to one or to the other?
#
# ## Next
#
# [07, One table for all methods](07_one_table_for_all_methods.ipynb)
# puts these methods and all the other known ones into one table.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *Flow map matching*, [arXiv
#   2406.07507](https://arxiv.org/abs/2406.07507), 2024: Lagrangian and Eulerian distillation from a known velocity.
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the same without a teacher.
# - T. Salimans, J. Ho, *Progressive distillation for fast sampling of diffusion models*, [arXiv
#   2202.00512](https://arxiv.org/abs/2202.00512), 2022: the semigroup idea with a teacher map.
