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
# - write the whole training loop of a flow map in under forty lines,
# - train a map that needs one step in half a minute, by four methods: LSD, ESD, PSD-M and PSD-U,
# - measure it in two ways (by its samples, and against the exact map), and say why they differ,
# - point to where each method is wrong.
#
# **It assumes** [lesson 04b](04b_stop_gradients_and_stability.ipynb): the three losses and their stop-gradients. **It
# takes** forty minutes to read and under five minutes to run on two CPU cores. The cells that take longer than ten
# seconds say so.

# %%
import copy
import json

import matplotlib.pyplot as plt
import torch
from tqdm.auto import tqdm

import flowmap_edu
from flowmap_edu import FlowMap, losses, metrics, problems, recipes, training
from flowmap_edu.metrics import errors
from flowmap_edu.recipes import paper
from flowmap_edu.times import triangle
from flowmap_edu.training import near, runs, targets
from flowmap_edu.viz import plots, widgets

plots.use_style()
board = problems.Checkerboard()
STEPS = (1, 2, 4, 8, 16)

# %% [markdown]
# ## 1. What is the whole loop?
#
# Nothing is needed but samples of the data. Each step draws a batch. Three quarters of its samples are for the diagonal
# and contribute the first of these squares, one quarter is for a condition (here the Lagrangian) and contributes the
# second; the loss is the mean over the batch:
#
# $$\big|v_{t,t}(I_t) - (x_1 - x_0)\big|^2, \qquad
#   \big|\partial_t X_{s,t}(I_s) - \mathrm{sg}\, v_{t,t}(X_{s,t}(I_s))\big|^2 .$$
#
# Both parts train one network. The diagonal learns the velocity from data; the other part spreads what the diagonal
# knows to longer and longer jumps. That is *self-distillation*: the teacher is the same network, on its own diagonal.
#
# Three customs of training neural networks are in the loop. The learning rate rises over the first steps and falls to
# zero along a cosine. A gradient longer than `clip` is shortened to it. And the map one samples from has *averaged*
# weights, $a \leftarrow \delta a + (1 - \delta)\, w$ after each step, which depend less on single batches; $\delta$
# rises from 0 to its value `ema`, so that the random start is forgotten. In the code the diagonal has the first `on`
# samples, and the end time of a jump is called `r`, since `t` is taken.

# %%
plain = recipes.recipe(
    "checkerboard", "lsd", steps=300, batch=256, diagonal=0.75, optimizer="adam", lr=2e-3, warmup=50, clip=1.0,
    ema=0.99, stratified=False, at_zero=0.0, stf_batch=0, compile=False,
)  # fmt: skip


def draw(generator, n=256, on=192):
    """Interpolants and their slopes, pairs of times, and points at the first of them."""
    x1 = board.sample(n, generator=generator)[0]
    x0 = board.sigma * torch.randn(n, 2, generator=generator)
    t = torch.rand(on, generator=generator)
    s, r = triangle(n - on, stratified=False, generator=generator)  # lesson 04, section 1
    x_t = (1 - t)[:, None] * x0[:on] + t[:, None] * x1[:on]
    x_s = (1 - s)[:, None] * x0[on:] + s[:, None] * x1[on:]
    return t, x_t, x1[:on] - x0[:on], s, r, x_s


# %%
def loss_of(X, t, x_t, slope, s, r, x_s):
    on = (X.velocity(t, x_t) - slope).square().sum(1)
    landed, moves = X.partial_t(s, r, x_s)
    off = (moves - X.velocity(r, landed.detach()).detach()).square().sum(1)
    return torch.cat([on, off]).mean()


# %%
net, settings = copy.deepcopy(plain.net), plain.training  # an MLP as in lesson 01
averaged = copy.deepcopy(net)
optimizer = torch.optim.Adam(net.parameters(), betas=(0.9, 0.99))
generator = torch.Generator().manual_seed(settings.seed)
for step in range(settings.steps):
    optimizer.param_groups[0]["lr"] = settings.lr * settings.learning_rate(step, settings.steps)
    loss_of(FlowMap(net), *draw(generator)).backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
    optimizer.step()
    optimizer.zero_grad()
    keep = min(settings.ema, (1 + step) / (10 + step)) if step else 0.0  # short at first: forget the random start
    with torch.no_grad():
        for a, w in zip(averaged.parameters(), net.parameters(), strict=True):
            a.lerp_(w, 1 - keep)

# %% [markdown]
# That was all of it. `training.fit` is this loop. It takes four objects: a problem, a network, a method, and a
# `Training` that holds the numbers. It yields its state as it goes, and can be stopped and resumed. Same objects, same
# seed: the same weights, to the last bit. (`compile`
# would translate the step to faster code, which pays in longer runs only.)

# %%
*_, state = training.fit(*plain._replace(net=copy.deepcopy(plain.net)))  # `plain` keeps its untrained network
for ours, library in zip(averaged.parameters(), state.average.module.parameters(), strict=True):
    assert torch.equal(ours, library)
print(f"{sum(w.numel() for w in net.parameters()):,} weights, all equal after {settings.steps} steps")

# %%
noise = board.sigma * torch.randn(50_000, 2, generator=torch.Generator().manual_seed(1))
X = FlowMap(averaged)
figure, axes = plt.subplots(1, 4, figsize=(8.6, 2.5), sharex=True, sharey=True)
for ax, n in zip(axes, (1, 4, 16), strict=False):
    plots.board(ax, X.sample(noise, n), bins=48)
    ax.set_title(f"{n} step{'s' * (n > 1)}")
plots.board(axes[3], board.sample(50_000)[0], bins=48)
axes[3].set_title("data")
figure.suptitle("A few seconds in: the corners of the board begin to show")
plt.show()

# %% [markdown]
# **What to notice.** After 300 steps of 256 samples neither the long jumps nor the short ones are good: one step draws
# a bent ring with bright corners, sixteen a blur with the same corners. They grow together; the jumps do not wait for a
# finished velocity.
#
# **Try.** Take the second part out of `loss_of` (return `on.mean()`). What do one and sixteen steps draw now, and which
# lesson has shown this picture?

# %% [markdown]
# ## 2. What makes it fast?
#
# On a CPU, steps are few, so each of them must count. The recipe for the rest of this lesson, `recipes.recipe`, adds
# ingredients to the loop, and Fourier features are in it already. None of the six is in the paper that these losses
# come from; each is an option by name, of `Training` or of the network.
#
# - `stf_batch`: *an averaged target* (a stable target field). The slope $x_1 - x_0$ of one pair scatters around the
#   velocity; lesson 01 saw how
#   much. Given the place $I_t$, any data point $y$ could have been the end of a pair through it, with a weight by
#   Bayes' rule: $w(y) \propto N(I_t;\, t y, (1-t)^2 \sigma^2)$. Take the pair's own $x_1$ and a thousand fresh $y$, and
#   average the slopes $(y - I_t)/(1 - t)$ with these weights. This mean has the same expectation, and it scatters much
#   less (Xu, Tong and Jaakkola 2023).
# - `stf_near`: *near points at late times*. Close to $t = 1$ only the data points near $I_t / t$ have weight, and a
#   thousand points have none there but the pair's own. So the latest times of a batch take their points from the
#   neighbourhood of $I_t / t$ in a pool of 260,000.
# - `fourier`: *Fourier features* of lesson 04, with which a small network can draw sharp edges.
# - `stratified`: the times of a batch are spread evenly instead of at random.
# - `at_zero`, `at_one`: a share of the pairs has $s = 0$, or $t = 1$; see below.
# - `optimizer="soap"`: an optimiser that takes the curvature between weights of a layer into account (Vyas et al.
#   2024).

# %%
generator = torch.Generator().manual_seed(2)
n, bins = 40_000, 20
x1, x0 = board.sample(n, generator=generator)[0], board.sigma * torch.randn(n, 2, generator=generator)
t = torch.arange(n) / n
x_t, slope = (1 - t)[:, None] * x0 + t[:, None] * x1, x1 - x0
linear, quiet = flowmap_edu.Linear(), []
for part in torch.arange(n).split(1000):  # each with its own points and 1,024 fresh ones, as in training
    data = torch.cat([x1[part], board.sample(1024, generator=generator)[0]])
    quiet.append(targets.stable(linear, t[part], x_t[part], slope[part], data, board.sigma))

# %%
b, late = board.velocity(t, x_t), slice(17 * n // 20, n)  # t from 0.85 on
pool = near.Near(board, linear, seed=0)
pool.fill(0)
close = pool.target(t[late], x_t[late], slope[late], x1[late])
scatter = {"one pair": (t, slope - b), "averaged": (t, torch.cat(quiet) - b), "near points": (t[late], close - b[late])}

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.4, 3.0), width_ratios=(1.5, 1, 1))
for name, (when, error) in scatter.items():
    binned = [a.reshape(-1, n // bins).mean(1) for a in (when, error.square().sum(1))]
    axes[0].semilogy(*binned, "o-", ms=4, label=name)
axes[0].set(xlabel="time t", ylabel="E |target - velocity|$^2$", title="Averaged targets are far quieter")
axes[0].legend()
for k, (label, sides) in enumerate({"LSD": {"at_zero": 0.3}, "ESD": {"at_one": 0.3}}.items()):
    s, r = triangle(256, **sides, generator=torch.Generator().manual_seed(3))
    axes[k + 1].plot(r, s, "o", ms=3, color=plots.COLOURS[2 + k])
    axes[k + 1].set(title=f"pairs for {label}", xlabel="end time", ylabel="start time", aspect="equal")
plt.show()

# %% [markdown]
# **What to notice.** Left: the averaged target carries a small fraction of the scatter. Near the end one data point has
# nearly all the weight, and little is gained; there the average over near points is the quieter one. Right: why the
# sides? The Lagrangian equation carries what is known *along $t$ at a fixed $s$*, from the diagonal to the right; the
# one-step map lives at $s = 0$, so that row must be visited. The Eulerian equation carries it *along $s$ at a fixed
# $t$*, from the diagonal down; its road to $X_{0,1}$ is the column $t = 1$. (For PSD the recipe takes some of both.)
#
# **Try.** Use 64 points in place of 1,024. What happens to the orange curve, and where?


# %% [markdown]
# ## 3. Four methods, one loop
#
# LSD, ESD, PSD-M (a stop in the middle, $h = \frac12$) and PSD-U (a stop anywhere, $h$ uniform) differ in the second
# part of the loss. With it go a few choices of the recipe: those pairs of times; "convex" for ESD; and for PSD, whose
# samples are cheaper, half of the batch off the diagonal in place of a third. We train each for 1,500 steps, and, as
# "LSD, plain", one map with the six ingredients of section 2 switched off. (Five trainings, two minutes in all.)
# %%
def train(run, name):
    with tqdm(total=run.training.steps, desc=name) as bar:
        for state in training.fit(*run, every=20):
            bar.update(state.step - bar.n)
    return state


steps = training.budget(1500)  # fewer where the notebook is only tested
methods = ("lsd", "esd", "psd-m", "psd-u")
trainings = {m.upper(): recipes.recipe("checkerboard", m, steps=steps, compile=False) for m in methods}
without = {"stf_batch": 0, "stratified": False, "at_zero": 0.0, "optimizer": "adam", "lr": 2e-3, "net": {"fourier": 0}}
trainings["LSD, plain"] = recipes.recipe("checkerboard", "lsd", steps=steps, compile=False, **without)
states = {name: train(run, name) for name, run in trainings.items()}
maps = {name: state.X for name, state in states.items()}

# %%
g = torch.Generator().manual_seed(4)
t, x1 = torch.rand(20_000, generator=g), board.sample(20_000, generator=g)[0]
x_t = (1 - t)[:, None] * board.sigma * torch.randn(20_000, 2, generator=g) + t[:, None] * x1
with torch.no_grad():
    excess = {name: losses.diagonal(X, t, x_t, board.velocity(t, x_t)).mean().item() for name, X in maps.items()}

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.0), width_ratios=(2, 1))
for name, state in states.items():
    history = torch.tensor(state.history)
    axes[0].semilogy(history[:, 0], history[:, 1], "--" if "plain" in name else "-", label=name)
axes[0].set(xlabel="step", ylabel="loss of the batch", title="The loss says little: a plain target cannot go lower")
axes[0].legend(ncols=2, fontsize=8)
bars = axes[1].barh(list(excess), list(excess.values()), color=plots.COLOURS[: len(excess)])
axes[1].bar_label(bars, [f"{value:.4f}" for value in excess.values()], padding=2, fontsize=8)
axes[1].invert_yaxis()
axes[1].set(xlabel="E |v - b|$^2$ on the diagonal", title="The diagonal tells", xlim=(0, 1.35 * max(excess.values())))
plt.show()

# %% [markdown]
# **What to notice.** The dashed loss cannot fall below two thirds of the irreducible loss of lesson 01, since that
# share of the batch is on the diagonal. The averaged target has a floor too, but far lower, and another one for PSD
# with its smaller share. So the losses are not comparable. The distance of the diagonal to the exact velocity is: the
# ingredients of section 2 made it more than ten times smaller in the same number of steps.
#
# **Try.** Take away one ingredient at a time (`stf_batch=0`, `net={"fourier": 0}`,
# `stratified=False`, `optimizer="adam"`). Which one costs most?

# %% [markdown]
# ## 4. What do the samples look like?
#
# The same noise for every picture, 10,000 points of it: 1 to 16 jumps by each map. (Half a minute.) On top is the
# density; under it are the points, coloured by the quarter of the plane in which each began; the table has KL64 and
# the distance to the exact map, which sections 5 and 6 are about. Hold two numbers of jumps against each other with the
# arrow keys: one and two first, then Home and End. Which squares change? (A number that is not among those of the still
# figure below takes a moment on the first visit.)

# %%
widgets.step_slider(maps, noise[:10_000], steps=STEPS, exact=board)

# %%
samples = {name: {n: X.sample(noise, n) for n in STEPS} for name, X in tqdm(maps.items(), desc="sampling")}
figure, axes = plt.subplots(5, 5, figsize=(7.4, 7.6), dpi=62, sharex=True, sharey=True)
for row, (name, drawn) in zip(axes, samples.items(), strict=True):
    row[0].set_ylabel(name)
    for ax, (n, points) in zip(row, drawn.items(), strict=True):
        plots.board(ax, points, bins=48)
        ax.set_title(f"{n} step{'s' * (n > 1)}" if name == "LSD" else "")
figure.suptitle("Half a minute of training each: all four methods draw the board in one step")
plt.show()

# %% [markdown]
# **What to notice.** From two steps on, edges sharpen from left to right, and the gaps between squares empty. The plain
# recipe, with the same number of steps, is behind at every step count.
#
# **Try.** Which method gains most from more steps? Guess from the picture before you read the table of section 5.

# %% [markdown]
# ## 5. How good are the samples?
#
# KL64 of lesson 01, for the maps trained here (50,000 points) and for the maps that come with the library: the same
# loop and recipe, only with more steps, measured on a million points by the commands in `data/README.md`. The paper
# reports a KL divergence for the checkerboard too. Its estimator is not described on the page we have, so its figures
# are context and no contest.

# %%
kl = {name: {n: metrics.kl64(points).kl for n, points in drawn.items()} for name, drawn in samples.items()}
folder = runs.shipped_folder()
longer = {}
for name, method in zip(kl, methods, strict=False):
    rows = json.loads((folder / f"checkerboard-{method}" / "evaluation.json").read_text())["rows"]
    longer[name] = {row["steps"]: row for row in rows}
print(f"{'':<36}" + "".join(f"{n:>4} step{'s' if n > 1 else ' '}" for n in STEPS))
for name, scores in kl.items():
    print(f"{name:<11} KL64, trained here       " + "".join(f"{scores[n]:>10.3f}" for n in STEPS))
    if name in longer:
        print(f"{'':<11} KL64, shipped map        " + "".join(f"{longer[name][n]['kl64']:>10.3f}" for n in STEPS))
        print(f"{'':<11} KL, as the paper has it  " + "".join(f"{k:>10.3f}" for k in paper.PAPER_KL[name.lower()]))
print(f"exact draws score {metrics.floor64(len(noise)):.3f} (50,000 points) and {rows[0]['floor']:.3f} (a million)")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), sharey=True)
plots.against_steps(axes[0], kl, floor=metrics.floor64(len(noise)))
axes[0].set_title(f"trained here, {steps:,} steps")
axes[0].legend(frameon=True, fontsize=8)
shipped_kl = {name: {n: row["kl64"] for n, row in rows.items()} for name, rows in longer.items()}
plots.against_steps(axes[1], shipped_kl, floor=rows[0]["floor"])
axes[1].set(title="shipped: 20,000 to 34,000 steps", ylabel="")
figure.suptitle("LSD is best in one step; the semigroup methods come close with more")
plt.show()

# %% [markdown]
# **What to notice.** Among the shipped maps LSD has the lowest KL64 in one step, and both PSD curves fall most steeply.
# ESD gains least from more steps: its errors are not those of long jumps. (The shipped ones are trained for budgets of
# their own, printed in `data/README.md`, so read the curves' shapes rather than small differences.)
#
# **Try.** Train ESD with its source's stop-gradient, `stopgrad="full"`, and as many steps. What becomes of its row?

# %% [markdown]
# ## 6. How good is the map?
#
# Samples can be right and still land in the wrong places: a map that swaps two squares has the same KL64. Here the
# exact map is known, so we can ask for the distance between where a point lands and where it should:
#
# $$\text{error}(N) = \sqrt{E\, \big| X^{(N \text{ jumps})}(x_0) - X^\ast_{0,1}(x_0) \big|^2} .$$

# %%
final = {name.upper(): flowmap_edu.load(f"checkerboard-{name}") for name in methods}
error = {name: {n: metrics.map_error(X, board, steps=n, n=1024) for n in STEPS} for name, X in final.items()}
brief = {name: {n: metrics.map_error(X, board, steps=n, n=1024) for n in STEPS} for name, X in maps.items()}
start, goal = errors.exact_pairs(board, 0.0, 1.0, 1024, 0)
euler = {}
for n in (4, 16, 64):
    x = start
    for k in range(n):
        x = x + board.velocity(k / n, x) / n
    euler[n] = (x - goal).square().sum(1).mean().sqrt().item()
print("Euler's method with the exact velocity:", {n: round(value, 3) for n, value in euler.items()})
every = [value for row in error.values() for value in row.values()]
print(f"the shipped maps, over all methods and step counts: {min(every):.3f} to {max(every):.3f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), sharey=True)
for ax, curves, title in ((axes[0], brief, f"trained here, {steps:,} steps"), (axes[1], error, "shipped")):
    plots.against_steps(ax, curves, ylabel="distance to the exact map")
    ax.axhline(euler[16], color="0.6", ls="--", lw=1)
    ax.text(1, 1.04 * euler[16], "16 Euler steps", color="0.4", fontsize=8)
    ax.set_title(title)
axes[1].set_ylabel("")
axes[1].legend(frameon=True, fontsize=8, loc="center right")
figure.suptitle("One jump of each method lands closer than 16 Euler steps on the exact velocity")
plt.show()

# %% [markdown]
# **What to notice.** For the shipped maps the distance stays in the narrow range printed above (the side of a square is
# 0.5), without a clear trend in the number of steps, while their KL64 falls by factors of about two to five. KL64 is
# about the fine structure of the density, its edges and gaps; the distance is about destinations. The briefly trained
# maps gain in both. And even their one jump, for each of the four methods, lands closer than 16 Euler steps with the
# exact velocity, the dashed line.
#
# **Try.** Start the exact map and a trained one from the same 1,024 points and find the point with the largest
# distance. Is it one or many that make the mean?

# %% [markdown]
# ## 7. Where is each method wrong?
#
# Two views of the shipped maps. First, the plane of the noise, coloured by how far one jump from there misses its exact
# destination. Second, the *median* distance of the last jump $X_{s,1}$ to the exact one, as its start $s$ moves from
# noise to data: half of the points are nearer than that, so a few points on the seams do not matter here. (Half a
# minute.)

# %%
axis = torch.linspace(-1.4, 1.4, 45, dtype=torch.float64)
plane = torch.cartesian_prod(axis, axis)
truth = board.flow_map(0.0, 1.0, plane).float()
figure, axes = plt.subplots(1, 4, figsize=(9.4, 2.6), sharex=True, sharey=True)
for ax, (name, X) in zip(axes, final.items(), strict=True):
    with torch.no_grad():
        miss = (X(0.0, 1.0, plane.float()) - truth).norm(dim=1).reshape(45, 45)
    shown = ax.imshow(miss.T.log10(), origin="lower", extent=(-1.43, 1.43, -1.43, 1.43), vmin=-2.5, vmax=-0.5)
    ax.set(title=name, xlabel="first coordinate")
axes[0].set_ylabel("second coordinate")
figure.colorbar(shown, ax=axes, label="log10 of the miss", shrink=0.8)
figure.suptitle("The misses lie along the lines where the flow divides")
plt.show()

# %%
for name, X in final.items():
    with torch.no_grad():
        squared = (X(0.0, 1.0, start) - goal).square().sum(1).sort().values
    worst = squared[-len(squared) // 20 :].sum() / squared.sum()
    one = longer[name][1]
    of_leak = -torch.log1p(-torch.tensor(one["leak"])) / one["kl64"]
    print(f"{name:<5} the worst 5 % of points make {100 * worst:.0f} % of the squared error;", end=" ")
    print(f"the leak makes {100 * of_leak:.0f} % of KL64 in one step")

# %%
starts = [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95]
late = {name: [] for name in final}
for s in tqdm(starts):
    x_s, end = errors.exact_pairs(board, s, 1.0, 512, 0)
    for name, X in final.items():
        with torch.no_grad():
            late[name].append((X(s, 1.0, x_s) - end).norm(dim=1).median())

# %%
figure, ax = plt.subplots(figsize=(5.4, 3.2))
for k, (name, values) in enumerate(late.items()):
    ax.semilogy(starts, values, "os^D"[k] + "-", label=name)
ax.set(xlabel="start time s", ylabel="median distance of $X_{s,1}$")
ax.set_title("Away from the seams, LSD and ESD are closest")
ax.legend()
plt.show()

# %% [markdown]
# **What to notice.** In every method a twentieth of the points makes most of the squared error, and the picture shows
# where they are: on seams, where neighbours belong in different squares. A smooth network cannot tear the plane, so it
# draws a thin thread of points from one square to the next. The haze between the squares, the *leak*, is made of points
# that lie nowhere in the data. For a share $\ell$ of the points outside the squares, KL64 has a part $-\log(1 - \ell)$
# whatever the points inside do, and that part is printed. Away from the seams (the last figure) LSD and ESD, which
# follow the flow by derivatives, are more exact in long jumps than the two semigroup methods; short jumps are easy for
# all.
#
# **Try.** Draw the growth of lesson 04, section 7, on the same plane. Are the misses where $\nabla X$ is large?

# %% [markdown]
# ## Summary
#
# - The loop is: draw pairs, flow matching on the diagonal, a condition off it, a gradient step, an average of the
#   weights. In under forty lines it is bit for bit what the library does.
# - One network learns velocity and jumps together, from samples alone.
# - All four methods give a one-step map of the board in half a minute; LSD is the best of the shipped ones in one step.
# - KL64 and the distance to the exact map measure different things. Most of the squared distance sits on the seams of
#   the flow, and about half of KL64 or more is leak.
#
# [Lesson 06](06_distillation_with_and_without_a_teacher.ipynb) asks what a teacher would add.
#
# ## Exercises
#
# 1. In `loss_of`, replace the Lagrangian part by PSD-M (`losses.semigroup` with its default options) and show that it
#    stays equal to the library with `method="psd-m"`.
# 2. Train LSD with `diagonal=0.5` and with `diagonal=0.9`. Which share is best for one step, which for sixteen?
# 3. How much of the four maps' error is the diagonal's? Follow each map's own velocity and the exact one with 256 Euler
#    steps from the same noise, and measure the distance between where the two end.
# 4. Let `swap` exchange, by translation, the points of two of the eight squares that carry data. Show that `swap` after
#    a map leaves KL64 as it is and changes the distance much.
# 5. Replace the averaged target by the exact velocity (the limit of infinitely many data points). How much does one
#    step gain? That is what a better bank could still buy.
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
