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
# # Losses and their cost
#
# After this lesson you can
#
# - turn each of the three conditions into a loss, and say what each part of the loss is for,
# - send a derivative through a network together with the value, without a step size,
# - predict what a loss costs by counting passes, and check it by measuring,
# - say what a weight does to a loss, and let the weight be learned.
#
# **It assumes** [lesson 03](03_three_characterizations.ipynb): the Lagrangian, Eulerian and semigroup conditions and
# their residuals. **It takes** about two hours: thirty-five minutes to read, the rest to write fifteen short
# functions and a few numbers. The cells run in about a minute on two CPU cores. All symbols are in
# [notation](notation.md).
#
# You write the cells that say "write this". The check after each says what is wrong, but not the answer. A cell with
# `prediction = None` asks for your guess before you see a result. A wrong guess is worth more than none.

# %%
import time

import matplotlib.pyplot as plt
import torch

from flowmap_edu import MLP, FlowMap, course, losses, nets, problems
from flowmap_edu.bench import alive
from flowmap_edu.viz import figures_04 as figures
from flowmap_edu.viz import plots

plots.use_style()
gauss = problems.Gaussian(mean=torch.tensor([1.0, 0.5]), std=0.4, sigma=0.8)

# %% [markdown]
# ## 1. Over which times and points is the mean taken?
#
# A condition says that a residual $R_{s,t}(x)$ is zero for all times $s < t$ and all points $x$. A loss is one number,
# so we square the residual and take a mean. Lesson 03 found that a condition alone does not know the data. Flow
# matching on the diagonal brings the data in:
#
# $$L(v) = \underbrace{E\, \big| v_{t,t}(I_t) - (x_1 - x_0) \big|^2}_{\text{diagonal, } t \text{ uniform}} +
#   \underbrace{E\, \big| R_{s,t}(I_s) \big|^2}_{\text{off the diagonal, } s < t} .$$
#
# The points are draws of the interpolant $I_s = (1 - s)\, x_0 + s\, x_1$. These are the points that the flow visits at
# time $s$. The pairs $(s, t)$ are *uniform on the triangle* $0 \le s \le t \le 1$: each part of the triangle gets
# pairs in proportion to its area.
#
# **Predict.** Which share of the pairs has $t > 0.5$?

# %%
prediction = None  # a number between 0 and 1

# %% [markdown]
# **Write** `pairs(n, generator)`. It returns `s` and `t`, shape `(n,)` each, uniform on the triangle. Use
# `torch.rand(..., generator=generator)`. One way: the part of the triangle with $t \le a$ is a smaller triangle. Its
# share of the area is the probability of $t \le a$. Set this share equal to a number that is uniform on $[0, 1]$, and
# solve for $a$: that is a draw of $t$. Given $t$, $s$ is uniform between 0 and $t$. There are other ways.


# %% tags=["solution"]
def pairs(n, generator):
    """n pairs s <= t, uniform on the triangle, shape (n,) each."""
    ### BEGIN SOLUTION
    t = torch.rand(n, generator=generator).sqrt()
    s = t * torch.rand(n, generator=generator)
    return s, t
    ### END SOLUTION


# %%
course.check("04.1", pairs)
generator = torch.Generator().manual_seed(0)
s, t = pairs(20_000, generator)
course.compare(
    prediction,
    (t > 0.5).double().mean(),
    too_high="Then the triangle would have more of its area near t = 1 than it has.",
    too_low="Half would be right if t were uniform. But for a larger t there are more starts s below it.",
)

# %% [markdown]
# **Write** `diagonal(X, t, x0, x1)`, the squared distance in the first part of $L$, one number a sample, shape `(B,)`.
# `t` has the shape `(B,)`, `x0` and `x1` have the shape `(B, 2)`. `X.velocity(t, x)` is $v_{t,t}(x)$. The square of a
# vector's length is the sum of the squares of its entries.


# %% tags=["solution"]
def diagonal(X, t, x0, x1):
    """|v_{t,t}(I_t) - (x1 - x0)|^2, shape (B,)."""
    ### BEGIN SOLUTION
    x = (1 - t)[:, None] * x0 + t[:, None] * x1
    return (X.velocity(t, x) - (x1 - x0)).square().sum(1)
    ### END SOLUTION


# %%
course.check("04.2", diagonal)
x0, x1 = gauss.base(20_000, generator), gauss.sample(20_000, generator=generator)[0]
at_s, at_t = ((1 - time)[:, None] * x0 + time[:, None] * x1 for time in (s, t))  # I_s and I_t
exact = FlowMap(gauss.v)
assert torch.allclose(diagonal(exact, t, x0, x1), losses.diagonal(exact, t, at_t, x1 - x0))

# %% [markdown]
# **Predict.** `gauss` is a problem with Gaussian data, and `exact` is its flow map. Is the mean of `diagonal` zero for
# it? (To keep it short, the diagonal is read at the times $t$ of the pairs. A training draws them uniformly.)

# %%
prediction = None  # "yes" or "no"

# %%
least = diagonal(exact, t, x0, x1).mean()
course.compare(
    prediction,
    "yes" if least < 0.01 else "no",
    wrong={
        "yes": "Then only one line would pass through each point. But many pairs pass through it, with many slopes."
    },
)
print(f"mean of the diagonal loss of the exact map: {least:.3f}")

# %% [markdown]
# **What to notice.** The exact velocity is the mean of the slopes at a point. The single slopes scatter around it,
# and the printed number is their variance (in the mean over points and times, estimated from one batch). No velocity
# has a smaller expected loss. So a diagonal loss cannot tell how far a map is from the truth. Only its *excess* over
# the least value can, and for that one has to know the truth.
#
# **Try.** Replace `exact` by `FlowMap(lambda s, t, x: 0 * x)`, the map that moves nothing. What is its loss?
#
# <details><summary>Answer</summary>
#
# Its loss is $E|x_1 - x_0|^2$, which is $|m|^2 + 2 (c^2 + \sigma^2)$ with the mean $m$, the standard deviation $c$ of
# the data and $\sigma$ of the noise: $1.25 + 2\,(0.16 + 0.64) = 2.85$.
#
# </details>

# %% [markdown]
# ## 2. How does a derivative pass through a network?
#
# Two of the conditions contain derivatives of $X$ in $t$, $s$ or $x$. The loss is then differentiated once more, in
# the weights. A difference quotient would need a step size. There is an exact way: send the derivative through the
# network *together with the value*. Let the input $z$ move with speed $\dot z$. A linear layer and a function $\phi$
# that acts on each entry give
#
# $$(z, \dot z) \;\longmapsto\; (W z + c, \; W \dot z), \qquad
#   (z, \dot z) \;\longmapsto\; (\phi(z), \; \phi'(z)\, \dot z) .$$
#
# This is *forward mode*. You go through the layers once, and you have the value and the derivative along one
# direction. The result is called a *Jacobian-vector product*, in code `jvp`.
#
# **Write** `forward_mode(layers, z, dz)`. `layers` is a list of `torch.nn.Linear` and `torch.nn.SiLU`. `z` and `dz`
# have the shape `(B, inputs)`. Return the value and the derivative after the last layer. `layer(z)` is the value. A
# linear layer has `layer.weight`, shape (outputs, inputs). SiLU is $\phi(z) = z\, \sigma(z)$ with $\sigma$ =
# `z.sigmoid()`, and $\sigma' = \sigma\, (1 - \sigma)$. Do not use `jvp`.


# %% tags=["solution"]
def forward_mode(layers, z, dz):
    """The value and its derivative along dz after all layers."""
    ### BEGIN SOLUTION
    for layer in layers:
        if isinstance(layer, torch.nn.Linear):
            dz = dz @ layer.weight.T
        else:
            dz = dz * z.sigmoid() * (1 + z * (1 - z.sigmoid()))
        z = layer(z)
    return z, dz
    ### END SOLUTION


# %%
course.check("04.3", forward_mode)
net, z, along_t = figures.random_network(seed=1)  # z holds s, t and the two entries of x; t moves, all else rests
ours, library = forward_mode(net, z, along_t), torch.func.jvp(net, (z,), (along_t,))
assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(ours, library, strict=True))

# %% [markdown]
# Now compare with difference quotients, $\big(f(z + \varepsilon \dot z) - f(z - \varepsilon \dot z)\big) / 2
# \varepsilon$. **Write** `quotient(f, z, dz, step)`, the same formula with `step` for $\varepsilon$.


# %% tags=["solution"]
def quotient(f, z, dz, step):
    """The difference quotient of f at z along dz."""
    ### BEGIN SOLUTION
    return (f(z + step * dz) - f(z - step * dz)) / (2 * step)
    ### END SOLUTION


# %% [markdown]
# **Predict.** Networks are trained in single precision, which rounds at about $10^{-7}$. Take the best of all steps.
# Its error is how many times the error of forward mode? (The middle of three networks.)

# %%
prediction = None  # a number

# %%
course.check("04.4", quotient)
steps = 10.0 ** -torch.arange(0.5, 12.1, 0.5, dtype=torch.float64)
found = figures.errors_of_three(quotient, forward_mode, steps)  # of each network: in single precision, in double
factors = sorted(min(single[:-1]) / single[-1] for single, _ in found)
print(f"three networks: {factors[0]:.0f} to {factors[2]:.0f}")
course.compare(prediction, factors[1], within=0.5, too_high="Then no step would give more than a few digits.")

# %% tags=["figure"]
figures.quotients(steps, *found[0])
plt.show()

# %% [markdown]
# **What to notice.** A large step is wrong because the function bends (only for straight lines and parabolas the
# quotient is exact). A small step is wrong because two nearly equal numbers are subtracted. The best step lies between,
# and one has to find it. Forward mode has no step, and only rounding is left in its error. The figure shows the first
# of the three networks, and the printed range is that of the factor. (In double precision forward mode is the reference
# here, so it has no line of its own.)
#
# `X.partial_t`, `X.partial_s` and `X.push` are one `jvp` each: in $t$, in $s$, and along a direction in $x$. They
# return the value and the derivative. Both can be differentiated again in the weights.
#
# **Try.** At which step does the curve of double precision have its lowest point? Exercise 2 asks why, and its
# answer gives the step.

# %% [markdown]
# ## 3. What do the three losses look like in code?
#
# The losses are called LSD, ESD and PSD. The first letters stand for Lagrangian, Eulerian and *progressive*: two short
# jumps teach a long one. S stands for *self*, D for *distillation*: the map is its own teacher.
#
# | loss | square of |
# | --- | --- |
# | LSD | $\partial_t X_{s,t}(x) - v_{t,t}(X_{s,t}(x))$ |
# | ESD | $\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\, v_{s,s}(x)$ |
# | PSD | $v_{s,t}(x) - \big[(1-h)\, v_{s,u}(x) + h\, v_{u,t}(X_{s,u}(x))\big]$, with $u = h s + (1 - h)\, t$ |
#
# **Write** `lsd(X, s, t, x)`, `esd(X, s, t, x)` and `psd(X, s, t, x, h)`. Each returns one number a sample, shape
# `(B,)`. You may use `X(s, t, x)`, `X.v(s, t, x)`, `X.velocity(t, x)` for $v_{t,t}(x)$, `X.partial_t(s, t, x)` and
# `X.partial_s(s, t, x)`, and `X.push(s, t, x, w)` for $\nabla X_{s,t}(x)\, w$. The last three return a pair: the
# landing point, and the derivative. `h` is a number between 0 and 1.


# %% tags=["solution"]
def lsd(X, s, t, x):
    """|d/dt X_{s,t}(x) - v_{t,t}(X_{s,t}(x))|^2, shape (B,)."""
    ### BEGIN SOLUTION
    landed, moves = X.partial_t(s, t, x)
    return (moves - X.velocity(t, landed)).square().sum(1)
    ### END SOLUTION


# %%
course.check("04.5", lsd)


# %% tags=["solution"]
def esd(X, s, t, x):
    """|d/ds X_{s,t}(x) + grad X_{s,t}(x) v_{s,s}(x)|^2, shape (B,)."""
    ### BEGIN SOLUTION
    _, moves = X.partial_s(s, t, x)
    _, carried = X.push(s, t, x, X.velocity(s, x))
    return (moves + carried).square().sum(1)
    ### END SOLUTION


# %%
course.check("04.6", esd)


# %% tags=["solution"]
def psd(X, s, t, x, h):
    """|v_{s,t}(x) - [(1 - h) v_{s,u}(x) + h v_{u,t}(X_{s,u}(x))]|^2, shape (B,)."""
    ### BEGIN SOLUTION
    u = h * s + (1 - h) * t
    first, second = X.v(s, u, x), X.v(u, t, X(s, u, x))
    return (X.v(s, t, x) - ((1 - h) * first + h * second)).square().sum(1)
    ### END SOLUTION


# %%
course.check("04.7", psd)
torch.manual_seed(2)
X, none = FlowMap(MLP(2)), {"stopgrad": "none"}
assert torch.allclose(lsd(X, s, t, at_s), losses.lagrangian(X, s, t, at_s, **none), rtol=1e-3, atol=1e-6)
assert torch.allclose(esd(X, s, t, at_s), losses.eulerian(X, s, t, at_s, **none), rtol=1e-3, atol=1e-6)
u = 0.3 * s + 0.7 * t
assert torch.allclose(psd(X, s, t, at_s, 0.3), losses.semigroup(X, s, u, t, at_s, **none), rtol=1e-3, atol=1e-6)

# %% [markdown]
# **What to notice.** The library's losses give the same numbers. Their option `stopgrad` says which terms keep their
# gradient. "none" holds nothing back. [Lesson 04b](04b_stop_gradients_and_stability.ipynb) is about the other choices.
#
# The matrix $\nabla X$ is never formed. ESD needs only its product with one vector. `X.eulerian(s, t, x, b)` even
# gets the sum of both derivatives by one `jvp`, because $s$ and $x$ may move at once. The last argument is the
# velocity with which $x$ moves, here $v_{s,s}(x)$.
#
# What does one such number look like? Take the problem of lessons 02 and 03 on the line: the data has two narrow modes,
# at $-1$ and at $1$. Make one jump from $x = 0.3$ at $s = 0.2$ to $t = 0.8$, by the exact map and by one Euler step.
# **Predict:** what is the sign of $\partial_t X_{s,t}(x) - v_{t,t}(X_{s,t}(x))$ for the Euler step?

# %%
prediction = None  # "positive" or "negative"

# %% [markdown]
# The cell makes both maps and the jump. **Write** `residual`, this number for `step`, and the dictionary `numbers`:
# your `lsd` of the jump for each of `maps`, by its name. All are Python numbers.

# %% tags=["solution"]
modes = problems.two_modes()
step = FlowMap(lambda s, _, x: modes.velocity(s, x))
maps = {"exact map": FlowMap(modes.v), "one Euler step": step}
jump = torch.tensor([0.2]), torch.tensor([0.8]), torch.tensor([[0.3]])  # s, t, x
### BEGIN SOLUTION
landed, moves = step.partial_t(*jump)
residual = (moves - step.velocity(jump[1], landed)).item()
numbers = {name: lsd(X_line, *jump).item() for name, X_line in maps.items()}
### END SOLUTION

# %% tags=["figure"]
course.compare(prediction, "positive" if residual > 0 else "negative")
print("LSD of this jump:", ", ".join(f"{name} {number:.2f}" for name, number in numbers.items()))
figures.on_the_line(modes, maps, numbers, *(float(a) for a in jump))
plt.show()

# %% [markdown]
# **What to notice.** Blue arrows start where the jump lands: solid the landing point's own motion as $t$ grows, dashed
# the velocity that is found there. For the exact map the two are one arrow, and the number is 0. The landing point of
# the Euler step moves on with the velocity of its start. Where it lands the velocity points to the upper mode. The
# thick bar between the tips is the *gap* of the legend, as in lesson 03: 0.15 times the residual. LSD is the square of
# the residual.

# %% [markdown]
# ## 4. Slopes or landing points?
#
# Lesson 03 compared landing points: $X_{u,t}(X_{s,u}(x)) = X_{s,t}(x)$. PSD compares slopes. Both are zero for the
# same maps, and one is a multiple of the other. By which factor? The first jump has the length $u-s = (1-h)(t-s)$,
# the second $t-u = h\,(t-s)$. Two jumps land at
#
# $$X_{u,t}(X_{s,u}(x)) = x + (t - s)\, \big[(1-h)\, v_{s,u}(x) + h\, v_{u,t}(X_{s,u}(x))\big] ,$$
#
# one jump at $x + (t - s)\, v_{s,t}(x)$. The bracket is the one of PSD.
#
# **Predict.** A jump has the length $t - s = 1/8$. The loss of the landing points is how many times the loss of the
# slopes?

# %%
prediction = None  # a number

# %% [markdown]
# **Write** `psd_landing(X, s, t, x, h)`: the squared distance between the two landing points, shape `(B,)`. Use
# `X(s, t, x)`.


# %% tags=["solution"]
def psd_landing(X, s, t, x, h):
    """|X_{s,t}(x) - X_{u,t}(X_{s,u}(x))|^2, shape (B,)."""
    ### BEGIN SOLUTION
    u = h * s + (1 - h) * t
    return (X(s, t, x) - X(u, t, X(s, u, x))).square().sum(1)
    ### END SOLUTION


# %%
course.check("04.8", psd_landing)
lengths = 0.5 ** torch.arange(6)
suspect = FlowMap(lambda s, _, x: gauss.velocity(s, x))  # one Euler step of any length, from lesson 03
both = torch.tensor([[f(suspect, 0.0, a, x0, 0.5).mean() for a in lengths.tolist()] for f in (psd, psd_landing)])
course.compare(
    prediction,
    both[1, 3] / both[0, 3],
    within=0.02,
    too_high="The distance has the factor t - s. The loss is the square of the distance.",
    too_low="The loss is the square of a distance, and the distance has the factor t - s once.",
)

# %% tags=["figure"]
figures.two_forms(lengths, *both)
plt.show()

# %% [markdown]
# **What to notice.** Halve the jump, and the loss of the landing points, divided by that of the slopes, becomes four
# times smaller. So in the landing form short jumps hardly count. This course trains on slopes. The other form is
# `losses.semigroup(..., velocity_form=False)`.
#
# **Try.** On the triangle the mean of $(t - s)^2$ is $1/6$. Are the two losses of a whole batch in this ratio too?
#
# <details><summary>Answer</summary>
#
# No. `psd_landing(suspect, s, t, at_s, 0.5).mean()` over `psd(suspect, s, t, at_s, 0.5).mean()` is larger than $1/6$,
# since the longer jumps have the larger residuals. It would be $1/6$ if the loss of the slopes did not depend on the
# length of the jump.
#
# </details>

# %% [markdown]
# ## 5. What is each part of the loss for?
#
# Take maps on a straight line from the exact one to a wrong one, $v = v^\ast + \lambda\, (v^{\text{wrong}} - v^\ast)$.
# $\lambda$ is the *share* of the wrong map. The first wrong map is one Euler step, $v_{s,t}(x) = b_s(x)$. The second
# is the exact map of another problem, with another mean and another width.
#
# **Predict.** One of the four losses, the diagonal and the three conditions, is zero along the whole line to one Euler
# step. Which?

# %%
prediction = None  # "diagonal", "Lagrangian", "Eulerian" or "semigroup"

# %% [markdown]
# **Write** `four_losses(X, s, t, at_s, at_t, b)`. It returns a tensor of four means (`torch.stack`), in this order:
# the squared distance of $v_{t,t}$ at `at_t` from the velocity `b` (this is the excess of the diagonal loss), then
# your `lsd`, `esd` and `psd` at `at_s`, with $h = 1/2$.


# %% tags=["solution"]
def four_losses(X, s, t, at_s, at_t, b):
    """The diagonal's excess and the three conditions' losses, means, shape (4,)."""
    ### BEGIN SOLUTION
    excess = (X.velocity(t, at_t) - b).square().sum(1)
    conditions = lsd(X, s, t, at_s), esd(X, s, t, at_s), psd(X, s, t, at_s, 0.5)
    return torch.stack([loss.mean() for loss in (excess, *conditions)])
    ### END SOLUTION


# %%
course.check("04.9", four_losses)
NAMES = ("diagonal", "Lagrangian", "Eulerian", "semigroup")
elsewhere = problems.Gaussian(mean=torch.tensor([0.2, 1.0]), std=0.7, sigma=0.8)
share, few = torch.linspace(-0.5, 1.5, 61), (s[::4], t[::4], at_s[::4], at_t[::4])


def along(wrong):
    """The four losses on the line from the exact map to a wrong one, shape (61, 4)."""
    line = [FlowMap(lambda s, t, x, c=c: torch.lerp(gauss.v(s, t, x), wrong(s, t, x), c)) for c in share.tolist()]
    return torch.stack([four_losses(X, *few, gauss.velocity(few[1], few[3])) for X in line])


found = {"one Euler step": along(suspect.v), "another problem's map": along(elsewhere.v)}

# %%
course.compare(
    prediction,
    NAMES[found["one Euler step"].amax(0).argmin()],
    wrong=dict.fromkeys(NAMES[1:], "An Euler step misses the bend of the path, and the three conditions see that."),
)

# %% tags=["figure"]
figures.lines_of_maps(share, NAMES, found)
plt.show()

# %% [markdown]
# **What to notice.** The scale is logarithmic, so a zero is a deep notch. On the left there is no dashed line: all
# these maps have the right velocity, and the diagonal is zero for each. A condition finds the exact map among them. On
# the right the conditions vanish twice, at both flow maps. The diagonal says which of the two belongs to the data.
# Both parts of $L$ are needed.
#
# **Try.** Take `lambda s, t, x: gauss.v(s, t, x) + 0.3 * (t - s)[:, None]` for the wrong map. Which of the four losses
# see it?
#
# <details><summary>Answer</summary>
#
# The three conditions see it, the diagonal does not: at $s = t$ the added term is zero.
#
# </details>

# %% [markdown]
# ## 6. What does a loss cost?
#
# Count *passes*: how often a batch goes through the network's matrices.
#
# - A value costs 1 pass.
# - A `jvp` costs 2: it makes the value and the derivative.
# - The gradient of what was computed costs 2 more for each pass: one product for the weights, one for the layer below.
#
# A term may also be *held*: computed without a history for the gradient. Lesson 04b says which terms are held, and
# what follows. Here it only matters that a held pass counts once and not three times. The table says what is computed.
#
# | loss | keeps its history | is held |
# | --- | --- | --- |
# | diagonal | $v_{t,t}$ | |
# | LSD, none held | `partial_t`, $v_{t,t}$ | |
# | LSD, convex | `partial_t` | $v_{t,t}$ |
# | ESD, none held | `X.eulerian` (one `jvp`), $v_{s,s}$ | |
# | ESD, convex | `X.eulerian` | $v_{s,s}$ |
# | ESD, full | `partial_s` | `push`, $v_{s,s}$ |
# | PSD, none held | three slopes | |
# | PSD, convex | $v_{s,t}$ | the two slopes of the bracket |
#
# **Predict, and write** `passes`: a list of eight whole numbers, the passes of loss *and* gradient of each row.

# %% tags=["solution"]
### BEGIN SOLUTION
passes = [3, 3 * (2 + 1), 3 * 2 + 1, 3 * (2 + 1), 3 * 2 + 1, 3 * 2 + 2 + 1, 3 * 3, 3 + 2]
### END SOLUTION

# %%
course.check("04.10", passes)

# %% [markdown]
# Does the time follow the count? **Write** `seconds(f)`: call `f()` nine times, and return the seconds of the fastest
# call. `time.process_time()` is the clock: it counts the seconds in which a processor works for this program, of all
# its threads together. (The work is the same in each call. The first call may have to prepare something, and other
# programs can only make a call slower.)


# %% tags=["solution"]
def seconds(f):
    """The seconds of the fastest of nine calls of f()."""
    ### BEGIN SOLUTION
    found = []
    for _ in range(9):
        began = time.process_time()
        f()
        found.append(time.process_time() - began)
    return min(found)
    ### END SOLUTION


# %%
course.check("04.11", seconds)

# %% [markdown]
# **Write** `measure(loss)`. `loss()` returns the losses of a batch, shape `(B,)`. Take their mean and its gradient
# (`backward()`). Return a list of three numbers for this work: `alive.products(f)`, the matrix products of a call
# `f()`, counted; `seconds(f)`; and `alive.peak_bytes(f)`, the most bytes that were needed at once.


# %% tags=["solution"]
def measure(loss):
    """Products, seconds and bytes of the mean loss and its gradient."""

    ### BEGIN SOLUTION
    def step():
        loss().mean().backward()

    return [alive.products(step), seconds(step), alive.peak_bytes(step)]
    ### END SOLUTION


# %%
course.check("04.12", measure)

# %% [markdown]
# **Predict.** By the count, LSD with its velocity held costs $7/3$ of the diagonal. How many times the diagonal's
# *time* will it be? (We measure all losses in five rounds, and divide by the diagonal's time of the same round. The
# middle of the five counts.)

# %%
prediction = None  # a number

# %%
n = slice(2048)
jumps, stops = (s[n], t[n], at_s[n]), (s[n], (s[n] + t[n]) / 2, t[n], at_s[n])
functions = {"LSD": (losses.lagrangian, jumps), "ESD": (losses.eulerian, jumps), "PSD": (losses.semigroup, stops)}
work = {"diagonal": lambda: losses.diagonal(X, t[n], at_t[n], (x1 - x0)[n])}
for name in ("LSD none", "LSD convex", "ESD none", "ESD convex", "ESD full", "PSD none", "PSD convex"):
    loss, at = functions[name[:3]]
    work[name] = lambda loss=loss, at=at, stop=name[4:]: loss(X, *at, stopgrad=stop)

# %% [markdown]
# `rounds` is a list of five dictionaries: `rounds[i][name]` is what `measure` returned for this loss in the round `i`.
# **Write** `over_diagonal(k)`: a dictionary with, for each name in `work`, the five ratios of the measure `k` to that
# of `"diagonal"` in the same round, sorted.

# %%
rounds = [{name: measure(loss) for name, loss in work.items()} for _ in range(5)]


# %% tags=["solution"]
def over_diagonal(k):
    """The five ratios of one of the three measures, in order, by the name of the loss."""
    ### BEGIN SOLUTION
    found = {}
    for name in work:
        found[name] = sorted(run[name][k] / run["diagonal"][k] for run in rounds)
    return found
    ### END SOLUTION


# %%
products, times, memory = (over_diagonal(k) for k in range(3))
course.compare(prediction, times["LSD convex"][2], within=0.25, too_high="Then a jvp would cost far more than a pass.")

# %%
print("             by hand  in the network  time: middle of five rounds (range)")
for count, (name, (low, *_, high)) in zip(passes, times.items(), strict=True):
    counted = f"{count / 3:>7.2f}{products[name][2]:>16.2f}"
    print(f"{name:<13}{counted}{times[name][2]:>8.2f} ({low:.2f} to {high:.2f})")
    assert abs(products[name][2] - count / 3) < 0.15

# %% [markdown]
# **Predict.** Of the seven losses below the diagonal, which needs the least memory at its peak?

# %%
prediction = None  # such as "ESD full"

# %%
why = "A jvp keeps the value and the derivative of every layer, for the gradient."
course.compare(
    prediction,
    min(list(memory)[1:], key=lambda name: memory[name][2]),
    wrong=dict.fromkeys(("LSD none", "LSD convex", "ESD none", "ESD convex", "ESD full"), why),
)

# %% tags=["figure"]
figures.costs({"matrix products": products, "time": times, "peak of memory": memory})
plt.show()

# %% [markdown]
# **What to notice.** The products follow the count. So do the times of PSD. Those of the losses with a `jvp` are above
# the count. A layer does more than products, such as SiLU and its derivative, and only the products are counted. (These
# measurements do not say whether that is the whole reason.) A black line is the range of the five rounds. Where the
# lines of two losses overlap, these rounds do not tell their times apart. (This is one machine.) Memory is another
# matter. It is what is kept for the gradient. A held pass keeps nothing, so PSD "convex" needs nearly as little as flow
# matching.
#
# ESD "full" holds the most. Here it needs about as much memory as "convex". It needs more time, and by the count it has
# to (3.0 against 2.3): "full" makes its two derivatives by two `jvp`s, "convex" makes their sum by one.
#
# **Try.** Count your own `esd`, with its two `jvp`s and nothing held. Then measure it.
#
# <details><summary>Answer</summary>
#
# $3 \cdot (2 + 2 + 1) = 15$ passes, 5 times the diagonal: `alive.products(lambda: esd(X, *jumps).mean().backward())`
# over that of the diagonal.
#
# </details>

# %% [markdown]
# ## 7. Which jumps count most?
#
# In section 4 the losses of long jumps were larger than those of short ones. So in a plain mean some pairs $(s, t)$
# count more than others. A number $w_{s,t}$ can balance that, and it can be learned together with the map:
#
# $$e^{-w_{s,t}}\; \ell + w_{s,t}, \qquad \ell = \big| R_{s,t}(x) \big|^2 .$$
#
# **Predict.** For the pairs with the mean loss $E\,\ell = 0.05$, which $w$ makes this smallest in the mean?

# %%
prediction = None  # a number

# %% [markdown]
# **Write** `weighted(loss, w)`, for two tensors of the shape `(B,)`. Then **write** `learn(log_weight, s, t, values)`.
# `log_weight` is a module: `log_weight(s, t)` gives $w$, shape `(B,)`. `values` are losses, shape `(B,)`, which stay
# fixed. Do 200 steps of `torch.optim.Adam` with `lr=0.05` on the mean of `weighted`. Nothing is returned.


# %% tags=["solution"]
def weighted(loss, w):
    """exp(-w) loss + w, shape (B,)."""
    ### BEGIN SOLUTION
    return (-w).exp() * loss + w
    ### END SOLUTION


# %% tags=["solution"]
def learn(log_weight, s, t, values):
    """Train log_weight to make the mean of weighted(values, log_weight(s, t)) small."""
    ### BEGIN SOLUTION
    optimizer = torch.optim.Adam(log_weight.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        weighted(values, log_weight(s, t)).mean().backward()
        optimizer.step()
    ### END SOLUTION


# %%
course.check("04.13", weighted)
course.check("04.14", learn)
w = torch.linspace(-6, 2, 801)
course.compare(
    prediction,
    w[weighted(torch.full_like(w, 0.05), w).argmin()],
    too_high="There the term w costs more than the smaller weight saves.",
    too_low="There the weight exp(-w) is so large that the first term costs more.",
)

# %% [markdown]
# **Write** `balance(s, t, x)` for jumps of the Euler step `suspect` from the points `x`. Make a `nets.LogWeight()`, and
# let it `learn` from your `lsd` of these jumps, detached. Return two detached tensors of the shape `(B,)`: the losses,
# and $e^{-w}$ times the losses.


# %% tags=["solution"]
def balance(s, t, x):
    """The losses of these jumps, without and with the weight that is learned from them."""
    ### BEGIN SOLUTION
    values = lsd(suspect, s, t, x).detach()
    log_weight = nets.LogWeight()
    learn(log_weight, s, t, values)
    return values, ((-log_weight(s, t)).exp() * values).detach()
    ### END SOLUTION


# %%
three = figures.three_draws(gauss, pairs, balance)  # of each draw: lengths, mean losses, weighted mean losses
for _, loss, after in three:
    print(f"loss, longest over shortest: {loss[-1] / loss[0]:.0f};", end=" ")
    print(f"weighted means {after.min():.2f} to {after.max():.2f}")

# %% tags=["figure"]
figures.weights(three)
plt.show()

# %% [markdown]
# **What to notice.** This map is one Euler step. Its shortest jumps have about a hundredth of the loss of its
# longest. With the learned weight the means are all of about the same size, near 1. (Three draws of pairs, each with a
# weight of its own; the ranges are printed.) The map's errors have not changed, only how much each counts in the mean.
# This figure does not say which weight makes the better map. One has to train with both and compare. Lessons 05 to 08
# train with $w = 0$. The recipe for CIFAR-10 in lesson 09 learns $w$, as its source does.
#
# **Try.** Show by hand which $w$ is best, and what the smallest value is.
#
# <details><summary>Answer</summary>
#
# The derivative in $w$ of $e^{-w} E\ell + w$ is $1 - e^{-w} E\ell$. It is zero at $w = \log E\ell$. There the first
# term is 1, so the smallest value is $1 + \log E\ell$.
#
# </details>

# %% [markdown]
# ## Summary
#
# - A condition becomes a loss by squaring its residual and taking the mean over pairs $s < t$ and draws of $I_s$. Flow
#   matching on the diagonal completes it.
# - Forward mode computes a derivative together with the value, without a step size. Only rounding is left as an
#   error.
# - Comparing slopes or landing points is the same condition. The weights differ by $(t - s)^2$.
# - Passes are counted: 1 for a value, 2 for a `jvp`, 2 more for the gradient of each. What is held counts once.
# - A learned weight $e^{-w}$ brings the *weighted* mean losses of short and of long jumps to about the same size.
#
# ## Exercises

# %% [markdown]
# **1.** What is the mean length $E[t - s]$ of a pair that is uniform on the triangle? Set `mean_length`.

# %% tags=["solution"]
### BEGIN SOLUTION
mean_length = 1 / 3
### END SOLUTION

# %%
course.check("04.15", mean_length)

# %% [markdown]
# <details><summary>Answer</summary>
#
# $P(t \le a) = a^2$, so $t$ has the density $2a$ and $E[t] = \int_0^1 2 a^2\, da = 2/3$. Given $t$, the mean of $s$ is
# $t/2$. So $E[t - s] = E[t]/2 = 1/3$.
#
# </details>
#
# **2.** In section 2, the error of a difference quotient is about $\varepsilon^2$ from the bend of the function, and
# $10^{-16} / \varepsilon$ from rounding. Near which power of ten is the best step $\varepsilon$? Set
# `exponent`, a whole number.

# %% tags=["solution"]
### BEGIN SOLUTION
exponent = -5
### END SOLUTION

# %%
course.check("04.16", exponent)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The sum is smallest where its derivative $2 \varepsilon - 10^{-16} / \varepsilon^2$ is zero: $\varepsilon =
# (10^{-16} / 2)^{1/3} \approx 3.7 \cdot 10^{-6}$. The nearest power of ten is $10^{-5}$ (on a logarithmic scale
# $-5.4$). In the figure the lowest point is at $10^{-4.5} \approx 3 \cdot 10^{-5}$, eight or nine times as large.
# The estimate took the factors before $\varepsilon^2$ and before $10^{-16} / \varepsilon$ to be 1, and they are not.
#
# </details>
#
# **3.** In the batches of the source of these losses three samples of four are on the diagonal. By the count, how many
# times the cost of flow matching with the same batch is a step of LSD, with its velocity held? Set `cost_of_a_step`.

# %% tags=["solution"]
### BEGIN SOLUTION
cost_of_a_step = 3 / 4 * passes[0] / 3 + 1 / 4 * passes[2] / 3
### END SOLUTION

# %%
course.check("04.17", cost_of_a_step)
print(f"with the middle of the times of section 6: {3 / 4 + times['LSD convex'][2] / 4:.2f}")

# %% [markdown]
# <details><summary>Answer</summary>
#
# Three quarters cost 1 each, one quarter costs $7/3$: $\frac34 + \frac14 \cdot \frac73 = \frac43$. The cell also
# prints it with the time of section 6 in the place of $7/3$.
#
# </details>
#
# **4.** In `psd`, swap the weights $h$ and $1 - h$ of the bracket, but leave $u$ as it is. For which $h$ is the loss
# of the exact map still zero?
#
# <details><summary>Answer</summary>
#
# The right bracket minus the swapped one is $(1 - 2h)\, \big[v_{s,u}(x) - v_{u,t}(X_{s,u}(x))\big]$. For the exact
# map the right bracket is $v_{s,t}$, so the loss is $(1 - 2h)^2$ times the squared difference of the two slopes. It
# is zero at $h = 1/2$, and for other $h$ only where both short jumps have the same slope. Where paths bend they are
# different in general.
#
# </details>
#
# ## Next
#
# [04b, Stop-gradients and stability](04b_stop_gradients_and_stability.ipynb) says who learns from whom, and when a
# training blows up.
#
# ## References
#
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *How to build a consistency model: learning flow maps via
#   self-distillation*, [arXiv 2505.18825](https://arxiv.org/abs/2505.18825), 2025: the losses, and the learned weight
#   for two times.
# - T. Karras, M. Aittala, J. Lehtinen, J. Hellsten, T. Aila, S. Laine, *Analyzing and improving the training dynamics
#   of diffusion models*, [arXiv 2312.02696](https://arxiv.org/abs/2312.02696), 2024: the learned weight for one time.
# - A. G. Baydin, B. A. Pearlmutter, A. A. Radul, J. M. Siskind, *Automatic differentiation in machine learning: a
#   survey*, [arXiv 1502.05767](https://arxiv.org/abs/1502.05767), 2018: forward and reverse mode.
