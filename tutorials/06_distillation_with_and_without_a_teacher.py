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
# - write the losses of a flow map that learns from a teacher, and say where each loss asks its teacher,
# - change one thing at a time, and find out which place of a teacher helps or harms,
# - say what limits a pupil: its own training, or its teacher's,
# - write progressive distillation, where the teacher is a map.
#
# **It assumes** [lesson 05](05_self_distillation_on_the_checkerboard.ipynb): the training loop and the methods. Symbols
# are on the [notation card](notation.md).
#
# **It takes** an hour and a quarter if you write the code, and five minutes of computing on two CPU cores.

# %%
import copy
from dataclasses import replace

import torch
from tqdm.auto import tqdm

from flowmap_edu import METHODS, FlowMap, course, losses, methods, metrics, problems, recipes, training
from flowmap_edu.metrics import errors
from flowmap_edu.viz import figures_06 as figures
from flowmap_edu.viz import plots

plots.use_style()
board = problems.Checkerboard()
STEPS = training.budget(800)

# %% [markdown]
# ## 1. Where does a teacher enter?
#
# Flow maps were first trained in two stages: learn a velocity $b$ by flow matching, freeze it, and *distil* it into a
# map. With $b$ known, the Lagrangian and the Eulerian equation of lesson 03 are
#
# $$\partial_t X_{s,t}(x) = b_t\big(X_{s,t}(x)\big), \qquad \partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, b_s(x) = 0 .$$
#
# Here $b$ is the *teacher's*. In self-distillation $v_{t,t}$, the map's own velocity, stands in its place.
#
# **Write** the two losses with a velocity `b` that is given: a function `b(t, x)` with values of shape (B, 2). Each
# returns one squared residual a sample, shape (B,).
#
# - `lagrangian(X, s, t, x, b)`. You may use `X.partial_t(s, t, x)`, which returns the landing point and its derivative.
#   The whole second term is held fixed, the landing point that it is read at included.
# - `eulerian(X, s, t, x, b)`. `X.eulerian(s, t, x, w)[1]` is $\partial_s X + \nabla X\, w$. Only `b` is held fixed.
#   This is the stop-gradient "convex" of lesson 04b.


# %% tags=["solution"]
def lagrangian(X, s, t, x, b):
    """|d/dt X - b_t(X)|^2 with the second term held, shape (B,)."""
    ### BEGIN SOLUTION
    landed, moves = X.partial_t(s, t, x)
    with torch.no_grad():
        target = b(t, landed)
    return (moves - target).square().sum(1)
    ### END SOLUTION


# %%
course.check("06.1", lagrangian)


# %% tags=["solution"]
def eulerian(X, s, t, x, b):
    """|d/ds X + grad X b_s(x)|^2 with b held, shape (B,)."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        w = b(s, x)
    residual = X.eulerian(s, t, x, w)[1]
    return residual.square().sum(1)
    ### END SOLUTION


# %%
course.check("06.2", eulerian)

# %% [markdown]
# One setting has to be named. The table of methods has ESD as its source does, with the stop-gradient "full". The
# recipe of lesson 05 takes "convex" instead, because "full" failed in lesson 04b with Fourier features, which the
# recipe has. This lesson uses "convex" until section 5.

# %%
problem, net, method, settings = recipes.recipe("checkerboard", "esd", steps=100, compile=False)
print(f'ESD in the table: "{METHODS["esd"].stopgrad}", in the recipe: "{method.stopgrad}"')
batch = training.draw_batch(problem, method, settings, torch.Generator().manual_seed(1))
X, (s, _, t, x) = FlowMap(net), batch.jumps[:4]
exact = board.velocity  # the teacher
assert torch.equal(lagrangian(X, s, t, x, exact), losses.lagrangian(X, s, t, x, velocity=exact))
assert torch.equal(eulerian(X, s, t, x, exact), losses.eulerian(X, s, t, x, velocity=exact, stopgrad="convex"))

# %% [markdown]
# **Predict.** Take for a teacher a *frozen copy of the map's own diagonal*. Is the gradient of the losses then
# `"the same"` as in self-distillation, or `"another"`?

# %%
prediction = None  # a word: "the same" or "another"

# %% [markdown]
# **Write** `gradient(loss, b)`: the gradient of the mean of `loss(X, s, t, x, b)` in the weights of `net`, as one long
# vector. `torch.autograd.grad` takes the number and the list of parameters.


# %% tags=["solution"]
def gradient(loss, b):
    """The gradient of the mean loss in the weights, one vector."""
    ### BEGIN SOLUTION
    found = torch.autograd.grad(loss(X, s, t, x, b).mean(), list(net.parameters()))
    return torch.cat([g.flatten() for g in found])
    ### END SOLUTION


# %%
frozen = FlowMap(copy.deepcopy(net).requires_grad_(False))
equal = []
for loss in (lagrangian, eulerian):
    own, copied = gradient(loss, X.velocity), gradient(loss, frozen.velocity)
    apart = (own - copied).norm() / own.norm()
    print(f"{loss.__name__}: lengths {own.norm():.1e} and {copied.norm():.1e}, relative difference {apart:.0e}")
    equal.append(apart < 1e-4)
found = "the same" if all(equal) else "another"
course.compare(prediction, found, wrong={"another": "Then a gradient would pass through the held velocity."})
assert all(equal)

# %% [markdown]
# **What to notice.** At one step of training, self-distillation *is* distillation: its teacher is a frozen copy of
# itself. Off the diagonal the two differ in one thing. In self-distillation the teacher goes on learning.
#
# **Try.** Compare the gradients of `losses.lagrangian(..., stopgrad="none")` with `velocity=None` and with
# `velocity=frozen.velocity`.
#
# <details><summary>Answer</summary>
#
# They differ. Under "none" a gradient passes through the map's own velocity as well, and a frozen copy has none to
# give.
#
# </details>
#
# ## 2. What does a perfect teacher change?
#
# On the board there is one: the exact velocity. It can enter in two places.
#
# - **on** the diagonal, as the target of $v_{t,t}(I_t)$, in place of the averaged slopes of lesson 05;
# - **off** the diagonal, as the velocity in the residual.
#
# To know what each place does we must change one of them at a time.
#
# **Write** `loss_of(X, batch, residual, on, off)`, the mean loss of a batch, one number. `batch.diagonal[:3]` is
# `t, x, target`, and `batch.jumps[:4]` is `s, u, r, x` (the stop u is not used). `residual` is one of your two losses.
# `on` and `off` are velocities `b(t, x)`, or None: then the batch's target, or the map's own velocity `X.velocity`, is
# used. A sample of the diagonal has the loss $|v_{t,t}(x) - \text{target}|^2$, and no gradient passes through a target.
# The mean is over all samples, those of the diagonal and the jumps together. If `residual` is None, the loss is that of
# the diagonal alone.


# %% tags=["solution"]
def loss_of(X, batch, residual, on=None, off=None):
    """The mean loss, with a teacher on or off the diagonal."""
    ### BEGIN SOLUTION
    t, x, target = batch.diagonal[:3]
    if on is not None:
        with torch.no_grad():
            target = on(t, x)
    values = [(X.velocity(t, x) - target).square().sum(1)]
    if residual is not None:
        s, _, r, x = batch.jumps[:4]
        values.append(residual(X, s, r, x, X.velocity if off is None else off))
    return torch.cat(values).mean()
    ### END SOLUTION


# %%
course.check("06.3", loss_of)
taught = replace(METHODS["lsd"], velocity="teacher", stages=1)
library = methods.loss(X, batch, taught, teacher=FlowMap(lambda s, t, x: exact(t, x)))  # noqa: ARG005
assert torch.allclose(loss_of(X, batch, lagrangian, off=exact), library.mean())

# %% [markdown]
# The training is that of lesson 05. `training.State(problem, net, method, training)` holds the network `net`, its
# average, whose map is `X`, and the optimiser.
#
# **Write** `train(method, residual, on, off, steps, **changes)`. The four objects of the state are
# `recipes.recipe("checkerboard", method, steps=steps, compile=False, **changes)`. A step
#
# 1. draws `training.draw_batch(state.problem, state.method, state.training, state.generator)`,
# 2. computes your `loss_of` for `FlowMap(state.net)`, and its gradient by `backward()`,
# 3. shortens the gradient with `torch.nn.utils.clip_grad_norm_(state.net.parameters(), state.training.clip)`, which
#    returns the norm that it had,
# 4. calls `state.take_step()`, which moves the weights, sets the gradient to zero and renews the average, and
#    `state.schedule.step()`, which sets the learning rate.
#
# After every 20th part of the steps append a row (step, distance, norm). The distance is
# `metrics.map_error(state.X, board, n=1024)`, the root mean square distance of one jump to the exact map. Return
# `figures.Found(state.X, torch.tensor(rows))`.


# %% tags=["solution"]
def train(method, residual, on=None, off=None, steps=STEPS, **changes):
    """The averaged map, and rows (step, distance, norm of the gradient)."""
    ### BEGIN SOLUTION
    state, rows = training.State(*recipes.recipe("checkerboard", method, steps=steps, compile=False, **changes)), []
    for step in range(1, steps + 1):
        batch = training.draw_batch(state.problem, state.method, state.training, state.generator)
        loss_of(FlowMap(state.net), batch, residual, on, off).backward()
        norm = torch.nn.utils.clip_grad_norm_(state.net.parameters(), state.training.clip)
        state.take_step()
        state.schedule.step()
        if step % max(1, steps // 20) == 0:
            rows.append((step, metrics.map_error(state.X, board, n=1024), norm.item()))
    return figures.Found(state.X, torch.tensor(rows))
    ### END SOLUTION


# %% [markdown]
# Is it right? On the same batches `methods.loss` of the library must give the same map. (`figures.timed` adds to what
# `train` returns how much processor time the training took, `.seconds`. Section 4 needs it.)

# %%
train = figures.timed(train)
points = board.base(100, torch.Generator().manual_seed(0))
library, mine = figures.by_library("lsd", steps=20), train("lsd", lagrangian, steps=20).X
moved = (library(0.0, 1.0, points) - points).square().mean().sqrt()
assert (mine(0.0, 1.0, points) - library(0.0, 1.0, points)).abs().max() < 1e-3 * moved

# %% [markdown]
# **Predict.** Three trainings of LSD with 800 steps: without a teacher, with the exact velocity *on* the diagonal only,
# and *off* the diagonal only. Divide the last distance of "off" by that of "none". Is it below 1 (the teacher helps),
# about 1, or above 1 (it harms)?

# %%
prediction = None  # a number: distance with the exact teacher off the diagonal, over distance without a teacher

# %% [markdown]
# (Three trainings, half a minute to a minute. Two more seeds of each are read in. They were made by
# `python data/lessons/make_06.py`.)

# %%
lsd = {"none": train("lsd", lagrangian), "on": train("lsd", lagrangian, on=exact)}
lsd["off"] = train("lsd", lagrangian, off=exact)

# %%
ends = figures.ends(lsd)
figures.print_seeds(ends)
course.compare(prediction, ends["off"][0] / ends["none"][0], too_low="Then its answers would be good everywhere.")

# %% tags=["figure"]
figures.distances(lsd, ends, "LSD, an exact teacher in one place")

# %% [markdown]
# **What to notice.** Compare the rows seed by seed. On the diagonal the exact velocity makes the distance less than a
# tenth smaller, in every seed: the averaged targets of lesson 05 serve nearly as well. Off the diagonal the *exact*
# velocity makes it at least one and a half times as large, in every seed. Why?
#
# Ask *where* each loss asks its teacher.
#
# **Write** `queries(X, s, t, x)`: for a jump from s to t that starts at x, return two pairs (time, points): first where
# the Eulerian loss asks for a velocity, then where the Lagrangian loss asks.


# %% tags=["solution"]
def queries(X, s, t, x):
    """(time, points) of the Eulerian loss, and of the Lagrangian loss."""
    ### BEGIN SOLUTION
    landed = X(s, t, x)
    return (s, x), (t, landed)
    ### END SOLUTION


# %%
course.check("06.4", queries)

# %% tags=["figure"]
late, X_none = torch.full((1500,), 0.95), lsd["none"].X
x_late = errors.exact_pairs(board, 0.95, 1.0, 1500, 0)[0]
(_, of_esd), _ = queries(X_none, late, late, x_late)
with torch.no_grad():
    _, (_, of_lsd) = queries(X_none, 0 * late, late, board.base(1500, torch.Generator().manual_seed(2)))
figures.where_asked(board, {"the Eulerian loss asks": of_esd, "the Lagrangian loss asks": of_lsd}, 0.95)

# %% [markdown]
# **What to notice.** The Eulerian loss asks at $(s, I_s)$: places of the data's own path. The Lagrangian loss asks at
# $(t, X_{s,t}(I_s))$, where the *pupil* has landed. A pupil that is not perfect lands between the squares too, where
# there is no data. The crosses are places where the exact velocity is above 3.
#
# **Predict.** A point at the distance $d$ from the nearest square must reach it by $t = 1$. About how fast must it be
# at $t = 0.98$ with $d = 0.1$?

# %%
prediction = None  # a number: the speed

# %%
course.compare(prediction, 0.1 / (1 - 0.98), within=0.3, too_low="Only the time 1 - t is left for the distance d.")
speeds = figures.speeds(board, X_none, times := [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99])
print(f"99th percentile of the exact speed: {speeds['exact velocity'][3, 1]:.2f} at t = 0.8,", end=" ")
print(f"{speeds['exact velocity'][-1, 1]:.2f} at t = 0.99; of the map's own: {speeds['own velocity'][-1, 1]:.2f}")

# %% tags=["figure"]
figures.speed(times, speeds)

# %% [markdown]
# **What to notice.** For one landing point in a hundred the exact teacher asks for a speed many times the median. Such
# points count most in a squared error. The map's own velocity does not become large there. It was trained on $I_t$
# only, and a network is smooth between the squares.
#
# Is this the reason for the harm? A control changes one thing more: the teacher off the diagonal is the exact velocity,
# but its clock stops at 0.9. Then it does not ask for the largest speeds. The target on the diagonal stays as in "off".
#
# **Predict.** Call the harm the distance of "off" minus that of "none". Which share of it is gone with the stopped
# clock?

# %%
prediction = None  # a number: 0 if all of the harm stays, 1 if all is gone

# %% [markdown]
# **Write** `stopped(t, x)`: the exact velocity at the time $\min(t, 0.9)$.


# %% tags=["solution"]
def stopped(t, x):
    """The exact velocity, but after 0.9 that of 0.9."""
    ### BEGIN SOLUTION
    return board.velocity(t.clamp(max=0.9), x)
    ### END SOLUTION


# %%
lsd["off, stopped"] = train("lsd", lagrangian, off=stopped)
ends = figures.ends(lsd)
figures.print_seeds(ends)
gone = [(off - stop) / (off - none) for none, off, stop in zip(*(ends[k] for k in ("none", "off", "off, stopped")))]  # noqa: B905
course.compare(prediction, gone[0], within=0.3, too_low="Then the early speeds would do most of the harm.")
print("gone, of three seeds:", ", ".join(f"{share:.0%}" for share in gone))

# %% tags=["figure"]
figures.distances(lsd, ends, "LSD")

# %% [markdown]
# **What to notice.** With the stopped clock most of the harm is gone, in all three seeds. So the answers of the teacher
# at late times were its main cause, and the figure before shows what is special about them: the large speeds of a few
# points. A teacher has to be good where the pupil *asks*, and not only where the data is.
#
# **Try.** Train ESD with the exact velocity off the diagonal: `train("esd", eulerian, off=exact)`. What do you expect,
# from where it asks?
#
# <details><summary>Answer</summary>
#
# ESD asks at $(s, I_s)$ only: on the left of the figure above, where no place asks for a large speed. So expect no such
# harm. Section 5 trains this map: there look at `esd["convex, exact teacher"].rows[-1, 1]`, its distance.
#
# </details>
#
# ## 3. What if the teacher had to learn?
#
# In practice the teacher is a network too. We train one by flow matching, for half as many steps as a map. A pupil that
# distils it perfectly lands where the teacher's *flow* ends. To find that point, follow the teacher's velocity in small
# steps.
#
# **Write** `flow(b, x, steps)`: equal Euler steps along `b` from time 0 to time 1; `b(t, x)` takes a tensor of times of
# shape (B,). Return the points at time 1.


# %% tags=["solution"]
def flow(b, x, steps):
    """Where Euler steps along b carry x."""
    ### BEGIN SOLUTION
    for k in range(steps):
        t = torch.full((len(x),), k / steps, dtype=x.dtype)
        x = x + b(t, x) / steps
    return x
    ### END SOLUTION


# %%
course.check("06.5", flow)

# %% [markdown]
# Now train the teacher and two pupils. A pupil reads its teacher on the diagonal and off it. (Three trainings, half a
# minute. Two more seeds of everything are read in, each with a teacher of its own.)

# %%
half = train("lsd", None, steps=STEPS // 2)
teacher = half.X
noise, goal = errors.exact_pairs(board, 0.0, 1.0, 1024, 0)
end = flow(teacher.velocity, noise, 256)
limit = errors.root_mean_square(end - goal)
pupils = {m: train(m, f, teacher.velocity, teacher.velocity) for m, f in (("lsd", lagrangian), ("esd", eulerian))}

# %% [markdown]
# **Predict.** A *perfect* pupil would have the distance of its teacher's flow to the exact map. Where do our two pupils
# end in three seeds: always `"above"` this distance, always `"below"` it, or is it `"mixed"`?

# %%
prediction = None  # a word: "above", "below" or "mixed"

# %%
taught = {"LSD, learned teacher": pupils["lsd"], "ESD, learned teacher": pupils["esd"]}
flows = figures.landings(limit, {name: one.X for name, one in taught.items()}, noise, end)
ends = figures.ends({"none": lsd["none"]}) | figures.ends(pupils, "learned")
ends = dict(zip(["LSD, no teacher", *taught], ends.values(), strict=True))
print("to the exact map:")
figures.print_seeds(ends)
above = [own > line for name in taught for own, line in zip(ends[name], flows, strict=True)]
verdict = "above" if all(above) else "mixed" if any(above) else "below"
course.compare(prediction, verdict, wrong={"below": "Then a pupil's errors would undo those of its teacher."})

# %% tags=["figure"]
figures.pupils({"LSD, no teacher": lsd["none"]} | taught, flows, ends)

# %% [markdown]
# **What to notice.** The dotted line is the distance of the teacher's flow to the exact map. Both pupils end above it
# in all three seeds: their own errors come on top of their teacher's. Errors can also cancel, so a pupil may lie below
# the line by chance. But nothing in its loss asks for that. Its goal is the teacher's flow, and a perfect pupil would
# have the distance 0 to it. A map without a teacher has no such line. Its velocity keeps learning.
#
# **Try.** Let the teacher learn for 100 steps only. Which of a pupil's two distances must change: that to the exact
# map, or that to its teacher's flow?
#
# <details><summary>Answer</summary>
#
# That to the exact map. The teacher's flow ends farther from the exact map, and the pupil goes with it. How well a
# pupil follows its teacher's flow can stay as it is.
#
# </details>
#
# ## 4. What does each way cost?
#
# A fair comparison gives both ways the same total. We count steps: those of the teacher come before those of the pupil.
# A step of flow matching is cheaper than one of LSD (lesson 04), so counting steps is a disadvantage for the teacher.
# The processor time is printed as well. (Three trainings; two more seeds are read in.)
#
# **Predict.** With 800 steps in all, which way ends nearest to the exact map in each of three seeds: no teacher, a
# quarter of the steps for the teacher, or half of them?

# %%
prediction = None  # "no teacher", "a quarter for the teacher", "half for the teacher" or "mixed"

# %%
quarter = train("lsd", None, steps=STEPS // 4)
before = {"no teacher": 0, "a quarter for the teacher": STEPS // 4, "half for the teacher": STEPS // 2}
guides = dict(zip(list(before)[1:], (quarter, half), strict=True))
velocity = {name: one.X.velocity for name, one in guides.items()}
equal = {name: train("lsd", lagrangian, b, b, STEPS - before[name]) for name, b in velocity.items()}

# %%
limits = [errors.root_mean_square(flow(quarter.X.velocity, noise, 256) - goal), limit]
fair = {"no teacher": ends["LSD, no teacher"]} | figures.ends(equal, "equal")
figures.print_seeds(fair)
nearest = min(fair, key=lambda name: max(fair[name]))
clear = all(max(fair[nearest]) < min(values) for name, values in fair.items() if name != nearest)
course.compare(prediction, nearest if clear else "mixed")
figures.print_seconds({"no teacher": lsd["none"]} | equal, before, guides, STEPS)

# %% tags=["figure"]
figures.costs({"no teacher": lsd["none"]} | equal, before, dict(zip(list(before)[1:], limits)), fair)  # noqa: B905

# %% [markdown]
# **What to notice.** A pupil's curve begins where its teacher's training ends, so it has fewer steps left. The thick
# line is the distance of the teacher's flow, once the teacher is trained. The map without a teacher learns velocity and
# jumps in the same steps. At this budget, counted in steps, it ends nearest in every seed, and the ranges of the three
# seeds do not meet. Other budgets were not tried. In processor time the ways with a teacher are cheaper: 10 and 11
# seconds here, and 12 without a teacher (seed 0). Whether a pupil catches up in the time that is left was not tried.
# (The seconds are those of a busy machine. Yours will differ.)
#
# **Try.** Start the pupil from the teacher's weights, as is often done: load them into `state.net` in `train`.
#
# <details><summary>Answer</summary>
#
# The network has learned the velocity already, so the pupil's curve begins lower. To say whether it ends lower needs
# three seeds. The line of the teacher stays where it is.
#
# </details>
#
# ## 5. Does a teacher cure the Eulerian loss?
#
# Lesson 04b found that the Eulerian loss with everything held but $\partial_s X$ ("full") amplifies fine waves. Perhaps
# a teacher that stands still would prevent that? But the derivation there had the velocity *known and fixed*: for a
# wave of number $k$ in $x$ and frequency $\omega$ in $s$, and $d = t - s$,
#
# $$\mathrm{Re}\, \Lambda_{\text{full}} = 1 + d^2\, \omega\, (\omega + k b) < 0 \quad\text{for some } \omega
#   \text{ when } d\, |k b| > 2 .$$
#
# A wave whose $\Lambda$ has a negative real part grows.
#
# **Predict.** ESD with "full" and the exact velocity off the diagonal: does the norm of its gradient `"fall"` over the
# training in all three seeds, does it `"grow"` in all three, or `"neither in all seeds"`?

# %%
prediction = None  # "fall", "grow" or "neither in all seeds"

# %% [markdown]
# **Write** `full(X, s, t, x, b)`, the Eulerian loss in which $\nabla X\, b$ is held as a whole: `X.push(s, t, x, w)[1]`
# is $\nabla X\, w$, and `X.partial_s(s, t, x)[1]` is $\partial_s X$. Only the latter carries a gradient.


# %% tags=["solution"]
def full(X, s, t, x, b):
    """The Eulerian loss with the pushed velocity held as well."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        pushed = X.push(s, t, x, b(s, x))[1]
    moves = X.partial_s(s, t, x)[1]
    return (moves + pushed).square().sum(1)
    ### END SOLUTION


# %% [markdown]
# (Three trainings; two more seeds of each are read in. "Early" is the mean norm in the rows of the steps 120, 160 and
# 200, "at the end" that of the last five rows.)

# %%
assert torch.equal(full(X, s, t, x, exact), losses.eulerian(X, s, t, x, velocity=exact, stopgrad="full"))
esd = {"convex, exact teacher": train("esd", eulerian, off=exact), "full, exact teacher": train("esd", full, off=exact)}
esd["full, no teacher"] = train("esd", full)

# %%
norms = figures.norms(esd)
figures.print_norms(norms)
grew = [late > early for early, late in norms["full, exact teacher"]]
course.compare(prediction, "grow" if all(grew) else "fall" if not any(grew) else "neither in all seeds")

# %% tags=["figure"]
figures.gradients(esd, norms)

# %% [markdown]
# **What to notice.** Under "convex", with the exact teacher, the gradient falls to less than two thirds in each seed.
# Under "full", with the same teacher, it ends at 0.88 to 1.38 times its early size. Under "full" without a teacher it
# ends more than three times as large, in each seed. So with the exact teacher the strong growth does not come in these
# 800 steps. But the gradient stays larger than under "convex". Look at the dashed line of seed 0: it rises at the end.
# Whether it goes on rising was not tried. The formula allows growth under "full" for every teacher. It does not say how
# fast the waves of a network grow.
#
# **Try.** `train("esd", full, off=exact, net={"fourier": 0})`: a network without Fourier features cannot draw fine
# waves.
#
# <details><summary>Answer</summary>
#
# The formula needs $d\,|k b| > 2$. A network that holds no waves of large $k$ has nothing to amplify, so a smaller
# gradient is to be expected. In lesson 04b, without a teacher, "full" did not fail in such a network. With a teacher,
# run it and look at the last column of `rows`.
#
# </details>
#
# ## 6. What if the teacher is a map?
#
# The semigroup equation has no velocity: one jump equals two. So its teacher is a *map*, which makes two short jumps.
# *Progressive distillation* repeats this in stages. The first teacher needs 16 steps. In each stage the pupil learns to
# do in one jump what the teacher does in two, and then becomes the next teacher: 8 jumps, 4, 2, 1.
#
# **Write** `two_jumps(teacher, s, t, x)`: the mean slope $(X_{u,t}(X_{s,u}(x)) - x)/(t - s)$ of the teacher's two jumps
# over the middle $u$, without gradient, shape (B, 2). `teacher` is a `FlowMap`.


# %% tags=["solution"]
def two_jumps(teacher, s, t, x):
    """The mean slope of the teacher's two jumps over the middle."""
    ### BEGIN SOLUTION
    u = (s + t) / 2
    with torch.no_grad():
        landed = teacher(u, t, teacher(s, u, x))
    return (landed - x) / (t - s)[:, None]
    ### END SOLUTION


# %%
course.check("06.6", two_jumps)

# %% [markdown]
# In a stage all jumps have one length, and start at its multiples. **Write** `pairs(r, length)`: `r` are numbers in
# $[0, 1)$, shape (B,). Return the start s, the largest multiple of `length` that is not above r, and the end t.


# %% tags=["solution"]
def pairs(r, length):
    """The start and the end of a jump of this length."""
    ### BEGIN SOLUTION
    s = (r / length).floor() * length
    return s, s + length
    ### END SOLUTION


# %%
course.check("06.7", pairs)

# %% [markdown]
# **Write** `stage(net, teacher, length, generator, steps)`: train `net` in place with `torch.optim.Adam`, learning rate
# 0.001, and return `FlowMap` of a deep copy of it, the next teacher. Each step draws 256 pairs of times with `pairs`
# and `torch.rand(256, generator=generator)`, data `board.sample(256, generator)[0]`, noise `board.base(256,
# generator)`, and forms $I_s$. The loss is the mean of $|v_{s,t}(I_s) - \text{two\_jumps}|^2$.


# %% tags=["solution"]
def stage(net, teacher, length, generator, steps=STEPS // 4):
    """The map whose one jump follows the teacher's two."""
    ### BEGIN SOLUTION
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(steps):
        s, t = pairs(torch.rand(256, generator=generator), length)
        x1, x0 = board.sample(256, generator)[0], board.base(256, generator)
        x = (1 - s)[:, None] * x0 + s[:, None] * x1
        loss = (FlowMap(net).v(s, t, x) - two_jumps(teacher, s, t, x)).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return FlowMap(copy.deepcopy(net))
    ### END SOLUTION


# %% [markdown]
# The first teacher makes 16 Euler steps with the learned velocity of section 3: a jump's slope is the velocity at its
# start. The pupil starts from that network's weights.
#
# **Write** `chain(seed)`: the list of five maps, the first teacher `first` and those of the stages with the lengths
# 1/8, 1/4, 1/2 and 1. The pupil is a deep copy of `teacher.slope`, the network of section 3, with `requires_grad_()`;
# its generator has the seed `seed`. The teacher of a stage is the map before it in the list, and the pupil goes on with
# its weights from stage to stage.

# %%
first = FlowMap(lambda s, t, x: teacher.velocity(s, x))  # noqa: ARG005


# %% tags=["solution"]
def chain(seed):
    """The first teacher, and the map after each stage."""
    ### BEGIN SOLUTION
    pupil, maps = copy.deepcopy(teacher.slope).requires_grad_(), [first]
    generator = torch.Generator().manual_seed(seed)
    for length in (1 / 8, 1 / 4, 1 / 2, 1):
        maps.append(stage(pupil, maps[-1], length, generator))
    return maps
    ### END SOLUTION


# %% [markdown]
# **Predict.** After each stage we measure the distance of the 16, 8, 4, 2, 1 jumps to where the *first* teacher lands.
# From the first stage to the last: does it `"grow"` in all three seeds, or not (`"stay"`)? (Three seeds of the stages,
# half a minute. The first teacher is the same in all.)

# %%
prediction = None  # a word: "grow" or "stay"

# %%
rows = figures.of_stages([chain(seed) for seed in tqdm(range(3))], noise, goal)
course.compare(prediction, "grow" if all(seed[-1][2] > seed[1][2] for seed in rows) else "stay")

# %% tags=["figure"]
figures.stages(rows)

# %% [markdown]
# **What to notice.** From stage to stage the maps move away from the first teacher. Each pupil copies its teacher's
# errors, and adds some of its own. The data give the points $I_s$ only. No target comes from the data, and after the
# first stage none comes from the first teacher. So no loss corrects an inherited error. The distance to the exact map
# grows less, from 0.070 to at most 0.079. (If two errors at a point have unrelated directions, their squares add, and
# not their lengths.)
#
# Self-distillation (PSD of lesson 05) trains all lengths at the same time, while the data go on teaching the diagonal.
#
# **Try.** Give each stage twice as many steps. Which part of the distance can become smaller?
#
# <details><summary>Answer</summary>
#
# The distance to the first teacher can. The first teacher's own distance to the exact map (16 jumps in the figure) is
# the same whatever the stages do.
#
# </details>
#
# ## Summary
#
# - Distillation and self-distillation are the same losses. One reads the velocity from a frozen teacher, the other from
#   the map's own diagonal. At a single step their gradients are equal.
# - A teacher enters on the diagonal and off it. Change one place at a time.
# - The Lagrangian loss asks where the pupil lands. There even the exact velocity can be a bad teacher, since it is
#   large between the squares at late times.
# - A perfect pupil is as good as its teacher and no better; ours were worse. A map that teaches itself has no fixed
#   limit.
# - Under "full" the gradient grew strongly without a teacher, and not with the exact one, in 800 steps. Under "convex",
#   with the exact one, it fell.
# - In progressive distillation the teacher is a map, and each stage inherits the errors of the one before.
#
# When would you take a teacher? When it exists already: a large velocity model that somebody has trained is a teacher
# for free.
#
# ## Exercises
#
# **1.** Take the semigroup loss with a short second jump, $u = t - \varepsilon$, and a map whose diagonal is the
# velocity that it reads. Divided by $\varepsilon^2$ it has a limit as $\varepsilon \to 0$. In the form in $X$
# (`velocity_form=False`) the limit is the squared Lagrangian residual $R^2 = |\partial_t X_{s,t}(x) -
# v_{t,t}(X_{s,t}(x))|^2$. What is it in the form in $v$, the default? **Write** `limit_of(X, s, t, x)`, shape (B,).


# %% tags=["solution"]
def limit_of(X, s, t, x):
    """The limit of the semigroup loss in velocity form, over the square of the short jump."""
    ### BEGIN SOLUTION
    landed, moves = X.partial_t(s, t, x)
    residual = (moves - X.velocity(t, landed)).square().sum(1)
    return residual / (t - s).square()
    ### END SOLUTION


# %%
course.check("06.8", limit_of)
s, t, x = torch.full((5,), 0.2).double(), torch.full((5,), 0.7).double(), board.base(5).double()
curve = FlowMap(lambda s, t, x: torch.sin(x.flip(1) + (2 * s + t)[:, None]))  # no flow map at all
quotients = {e: losses.semigroup(curve, s, t - e, t, x) / e**2 for e in (1e-2, 1e-3, 1e-4)}
print({e: f"{(q / limit_of(curve, s, t, x) - 1).abs().max():.5f}" for e, q in quotients.items()}, "relative difference")

# %% [markdown]
# <details><summary>Answer</summary>
#
# $X_{t-\varepsilon,t}(y) = y + \varepsilon\, v_{t,t}(y) + O(\varepsilon^2)$ and
# $X_{s,t-\varepsilon} = X_{s,t} - \varepsilon\, \partial_t X_{s,t} + O(\varepsilon^2)$. So the two jumps land at
# $X_{s,t} - \varepsilon\, (\partial_t X_{s,t} - v_{t,t}(X_{s,t})) + O(\varepsilon^2)$. The residual in $X$ is
# $\varepsilon R$ up to a higher order, and its square over $\varepsilon^2$ tends to $R^2$. The residual in $v$ is the
# one in $X$ over $t - s$. So the limit is $R^2/(t - s)^2$.
#
# </details>
#
# **2.** The learned teacher is the average that `train` returns, and the library freezes it. Show that it need not be:
# with your losses no gradient reaches the teacher's weights.

# %%
free = copy.deepcopy(teacher.slope).requires_grad_()
loss_of(FlowMap(net), batch, lagrangian, FlowMap(free).velocity, FlowMap(free).velocity).backward()
assert all(p.grad is None for p in free.parameters())

# %% [markdown]
# <details><summary>Answer</summary>
#
# Each call of the teacher stands under `torch.no_grad()`: in `lagrangian`, in `eulerian` and in `loss_of`. So its
# weights are not part of the graph. Freezing them saves memory at most.
#
# </details>
#
# **3.** A teacher is wrong by a constant: $b_t(x) + (0.1, 0)$. Where do a perfect pupil's samples lie? Follow the wrong
# velocity with your `flow`, and compare with where the exact map leads. Does each point end 0.1 further to the right?

# %%
wrong = flow(lambda t, x: board.velocity(t, x) + torch.tensor([0.1, 0.0]), noise, 64)
moved = (wrong - goal)[:, 0]
print(f"moved to the right: {moved.mean():.3f} in the mean, {moved.median():.3f} in the median;", end=" ")
print(f"{100 * (moved.abs() > 0.3).double().mean():.0f} % of the points by more than 0.3")

# %% [markdown]
# <details><summary>Answer</summary>
#
# No. The exact velocity acts on the moved point: it makes the shift smaller for some points and larger for others. A
# few points move by more than 0.3 (the printed share): near a seam a small push can lead to another square. A perfect
# pupil lands where this flow ends, and not at the data.
#
# </details>
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
