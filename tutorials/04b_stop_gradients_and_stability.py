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
# - say what a stop-gradient holds, write it, and say which gradient is left,
# - tell from a calculation which errors a training lets grow, and test that on trainings,
# - say in which of our settings the Eulerian loss with the stop-gradient "full" fails, and in which it does not.
#
# **It assumes** [lesson 04](04_losses_and_their_cost.ipynb): the three losses, forward mode, passes. **It takes**
# about two hours: forty minutes to read, the rest to write fifteen short pieces of code. The cells run in about three
# minutes on two CPU cores. Section 4 reads thirty trainings from a file; the command that made them is named there. The
# symbols of the course are in [notation](notation.md).

# %%
import copy
import json

import matplotlib.pyplot as plt
import torch

from flowmap_edu import FlowMap, course, losses, problems, recipes, training
from flowmap_edu.bench import stopgradients
from flowmap_edu.viz import figures_04b as figures
from flowmap_edu.viz import plots, widgets

plots.use_style()
board = problems.Checkerboard()

# %% [markdown]
# ## 1. What does a stop-gradient hold?
#
# In the Lagrangian residual the network appears twice:
#
# $$R = \partial_t X_{s,t}(x) - v_{t,t}\big(X_{s,t}(x)\big) .$$
#
# In the first term it is the *pupil*: its jump is to be corrected. In the second it is the *teacher*: its velocity
# says how. So the gradient of $|R|^2$ in the weights takes three paths back through the computation.

# %% tags=["figure"]
figures.graph()
plt.show()

# %% [markdown]
# **What to notice.** Path 1 changes how the jump moves with $t$. Path 2 changes the velocity that judges it. Path 3
# moves the landing point, to a place with another velocity. The stop-gradient "convex" holds the second term. So it
# cuts the paths 2 and 3.
#
# Write $\mathrm{sg}(\cdot)$ for a stop-gradient. The value goes on, the gradient does not. In code there are two ways:
# compute a tensor and take `.detach()`, or compute it inside `with torch.no_grad():`. The second is cheaper, since
# torch then keeps no record of the operations.
#
# **Predict.** Does "convex" change the value of the loss?

# %%
prediction = None  # "yes" or "no"

# %% [markdown]
# **Write** `lsd_convex(X, s, t, x)`: $\big|\partial_t X_{s,t}(x) - \mathrm{sg}\big(v_{t,t}(X_{s,t}(x))\big)\big|^2$,
# shape `(B,)`, with `X.partial_t` and `X.velocity` as in lesson 04. The check compares values *and* gradients.


# %% tags=["solution"]
def lsd_convex(X, s, t, x):
    """The Lagrangian loss, the velocity held, shape (B,)."""
    ### BEGIN SOLUTION
    landed, moves = X.partial_t(s, t, x)
    with torch.no_grad():
        target = X.velocity(t, landed)
    return (moves - target).square().sum(1)
    ### END SOLUTION


# %% [markdown]
# The map of this section and the next is trained for 400 steps, half as many as in section 4 (half a minute):

# %%
course.check("04b.1", lsd_convex)
*_, state = training.fit(*recipes.recipe("checkerboard", "lsd", steps=training.budget(400), compile=False))
X = FlowMap(copy.deepcopy(state.net))
s, t, x = stopgradients.jumps(2048, seed=5)  # pairs on the triangle, draws of I_s
values = [losses.lagrangian(X, s, t, x, stopgrad=stop) for stop in ("none", "convex")]
assert torch.allclose(lsd_convex(X, s, t, x), values[1], rtol=1e-3, atol=1e-6)
course.compare(prediction, "no" if torch.allclose(*values) else "yes")

# %% [markdown]
# **What to notice.** A stop-gradient changes no value. With the same weights both losses print the same number. So the
# number does not tell which gradient the weights get.

# %% [markdown]
# ## 2. Which gradient is left?
#
# Give the two roles to two networks, with the weights $\theta$ of the pupil and $\eta$ of the teacher. Call the loss
# $\ell(\theta, \eta)$. Self-distillation sets $\eta = \theta$. By the chain rule
#
# $$\frac{d}{d\theta}\, \ell(\theta, \theta) = \underbrace{\partial_\theta \ell}_{\text{paths 1 and 3}}
#   + \underbrace{\partial_\eta \ell}_{\text{path 2}} .$$
#
# Path 2 moves the *teacher towards the pupil's mistake*. That makes the two agree. But the velocity on the diagonal,
# which is the teacher, is the part that learns from data.
#
# **Write** `by_roles(X, teacher, s, t, x)`: the Lagrangian loss where `X` makes the jump and `teacher` says the
# velocity at the landing point. Hold the landing point (this cuts path 3). Both networks keep their gradients.


# %% tags=["solution"]
def by_roles(X, teacher, s, t, x):
    """The Lagrangian loss of a pupil and a teacher, the landing point held, shape (B,)."""
    ### BEGIN SOLUTION
    landed, moves = X.partial_t(s, t, x)
    return (moves - teacher.velocity(t, landed.detach())).square().sum(1)
    ### END SOLUTION


# %% [markdown]
# **Write** `gradient(values, net)`: the gradient of the *mean* of `values` in the weights of `net`, all in one vector.
# Use `torch.autograd.grad(..., allow_unused=True, materialize_grads=True)`, `net.parameters()`, `flatten` and
# `torch.cat`. (The network of a map `X` is `X.slope`.)


# %% tags=["solution"]
def gradient(values, net):
    """The gradient of the mean in the weights of a network, as one vector."""
    ### BEGIN SOLUTION
    parts = torch.autograd.grad(values.mean(), list(net.parameters()), allow_unused=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])
    ### END SOLUTION


# %% [markdown]
# **Predict.** Do the pupil's gradient (path 1) and the teacher's (path 2) point in similar or in opposite directions?
# Guess the cosine of the angle between them.

# %%
prediction = None  # a number between -1 and 1

# %%
course.check("04b.2", by_roles)
course.check("04b.3", gradient)
teacher = FlowMap(copy.deepcopy(X.slope))  # a copy: the same weights, but its own gradient
pupil, of_teacher = (gradient(by_roles(X, teacher, s, t, x), role.slope) for role in (X, teacher))
convex, none = (gradient(losses.lagrangian(X, s, t, x, stopgrad=stop), X.slope) for stop in ("convex", "none"))
assert torch.allclose(gradient(lsd_convex(X, s, t, x), X.slope), pupil, atol=1e-6)
assert torch.allclose(convex, pupil, atol=1e-6)
course.compare(
    prediction,
    torch.cosine_similarity(pupil, of_teacher, dim=0),
    within=0.2,
    too_high="Both parts shrink the same residual, but from its two ends, with opposite signs.",
)
print(f"path 1 {pupil.norm():.3f}, path 2 {of_teacher.norm():.3f}, path 3 {(none - pupil - of_teacher).norm():.3f}")

# %% [markdown]
# **What to notice.** The cosine is negative: on this one map the two parts partly cancel. The last assertion is the
# meaning of "convex": its gradient is the one with a frozen copy for the teacher. Then the residual is the pupil's $v$
# and its derivative, minus something fixed. So the loss is a convex function of the pupil's $v$, hence the name. "none"
# adds the paths 2 and 3. The last line prints the length of each path's gradient: here path 1 has the shortest.
#
# **Try.** Compute the target where gradients are on, then write `with torch.no_grad(): target = velocity`. Is it held?
#
# <details><summary>Answer</summary>
#
# No. What counts is where a tensor is *computed*, not where it gets its name.
#
# </details>

# %% [markdown]
# ## 3. Where do the other two losses stop?
#
# | loss | square of |
# | --- | --- |
# | ESD "convex" | $\partial_s X_{s,t}(x) + \nabla X_{s,t}(x)\; \mathrm{sg}\big(v_{s,s}(x)\big)$ |
# | ESD "full" | $\partial_s X_{s,t}(x) + \mathrm{sg}\big(\nabla X_{s,t}(x)\, v_{s,s}(x)\big)$ |
# | PSD "convex" | $v_{s,t}(x) - \mathrm{sg}\big(\frac12 v_{s,u}(x) + \frac12 v_{u,t}(X_{s,u}(x))\big)$ |
#
# The source of these losses recommends "full" for ESD. There is one more, "semi", from the mean flow papers (lesson
# 07). Since $X = x + (t - s)\, v$, the Eulerian residual is $-v_{s,t}(x)$ plus a bracket, and "semi" holds the
# bracket:
#
# $$\big|\, {-v_{s,t}(x)} + \mathrm{sg}\big(v_{s,s}(x) + (t - s)\,(\partial_s v_{s,t}(x) + \nabla v_{s,t}(x)\,
#   v_{s,s}(x))\big) \,\big|^2 .$$
#
# **Write** `esd_convex(X, s, t, x)`, `esd_full(X, s, t, x)` and `psd_convex(X, s, t, x)`, shape `(B,)`, with $u = (s +
# t) / 2$. Use `X.v`, `X.velocity`, `X.partial_s(s, t, x)[1]`, which is $\partial_s X$, and `X.push(s, t, x, w)[1]`,
# which is $\nabla X\, w$ (or, if you like, `X.eulerian(s, t, x, b)[1]`, which is $\partial_s X + \nabla X\, b$).


# %% tags=["solution"]
def esd_convex(X, s, t, x):
    """The Eulerian loss, the velocity held, shape (B,)."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        b = X.velocity(s, x)
    return X.eulerian(s, t, x, b)[1].square().sum(1)
    ### END SOLUTION


# %%
course.check("04b.4", esd_convex)


# %% tags=["solution"]
def esd_full(X, s, t, x):
    """The Eulerian loss, the whole second term held, shape (B,)."""
    ### BEGIN SOLUTION
    with torch.no_grad():
        _, carried = X.push(s, t, x, X.velocity(s, x))
    return (X.partial_s(s, t, x)[1] + carried).square().sum(1)
    ### END SOLUTION


# %%
course.check("04b.5", esd_full)


# %% tags=["solution"]
def psd_convex(X, s, t, x):
    """The semigroup loss of the slopes, the two short jumps held, shape (B,)."""
    ### BEGIN SOLUTION
    u = (s + t) / 2
    with torch.no_grad():
        bracket = (X.v(s, u, x) + X.v(u, t, X(s, u, x))) / 2
    return (X.v(s, t, x) - bracket).square().sum(1)
    ### END SOLUTION


# %%
course.check("04b.6", psd_convex)

# %% [markdown]
# Are they the library's losses, in value *and* gradient? **Write** `same(ours, library)` for two tensors of losses,
# shape `(B,)`: whether they agree, and their gradients in the weights of `X.slope` agree too. Use your `gradient`, and
# `torch.allclose` with `rtol=1e-3, atol=1e-5`.


# %% tags=["solution"]
def same(ours, library):
    """Whether two losses have the same values and the same gradient."""
    ### BEGIN SOLUTION
    near = {"rtol": 1e-3, "atol": 1e-5}
    mine, theirs = gradient(ours, X.slope), gradient(library, X.slope)
    return torch.allclose(ours, library, **near) and torch.allclose(mine, theirs, **near)
    ### END SOLUTION


# %%
assert same(esd_convex(X, s, t, x), losses.eulerian(X, s, t, x, stopgrad="convex"))
assert same(esd_full(X, s, t, x), losses.eulerian(X, s, t, x, stopgrad="full"))
assert same(psd_convex(X, s, t, x), losses.semigroup(X, s, (s + t) / 2, t, x, stopgrad="convex"))

# %% [markdown]
# To see every choice at once, take a map with one number in it, $v_{s,t}(x) = \theta\, v^\ast_{s,t}(x)$, with $v^\ast$
# exact between two Gaussians on the line. It is right at $\theta = 1$. On the left is the loss over $\theta$. On the
# right are the step that a training takes (minus the gradient) and minus the slope of that loss.
#
# The stored picture shows the Lagrangian loss with the stop-gradient "convex" and the map's own velocity,
# $|\partial_t X_{s,t}(x) - \mathrm{sg}(v_{t,t}(X_{s,t}(x)))|^2$. If you run the notebook, you can choose the condition,
# the stop-gradient, and whose velocity is read.
#
# **Predict.** The loss is also zero at $\theta = 0$: a map that moves nothing and agrees with itself. Under "convex",
# do the steps near 0 lead to it or away from it?

# %%
prediction = None  # "to it" or "away"

# %%
explorer = widgets.loss_explorer()
rests = explorer.view.numbers["rests"]  # where the step is zero, and what the steps near it do
course.compare(prediction, "away" if "away" in rests[min(rests, key=abs)] else "to it")
explorer

# %% [markdown]
# **What to notice.** On the right the step is not minus the slope of the plotted loss. Near 0, minus the slope leads to
# 0 from both sides. The steps lead away from 0 on both sides. From every positive $\theta$ in the picture they lead to
# 1.
#
# **Try.** Choose "none". Where do the steps come to rest?
#
# <details><summary>Answer</summary>
#
# At 0 and at 1. Under "none" the step is minus the slope of the loss, and the loss has its least value, zero, at both.
#
# </details>

# %% [markdown]
# ## 4. Does it matter for a training?
#
# The file holds ten kinds of training on the checkerboard, with three seeds each, 800 steps, by the library's loop
# (lesson 05 writes it out). `python -m flowmap_edu.bench.stopgradients FILE` made them. They differ in the loss, in
# the stop-gradient, and in the network. A part of the pairs has $s = 0$ for LSD and PSD, and $t = 1$ for ESD (lesson 05
# says why). All but the two "smooth" kinds have *Fourier features*: the network also reads cosines and sines of $\kappa
# \cdot x$, for 32 random wave vectors $\kappa$. Their entries have a standard deviation of about 3.5. With these
# features a small network can draw finer waves. The smooth kind reads $x$ and the times alone.
#
# Each map is compared with the exact one: its diagonal with the velocity (mean square), and one jump from 0 to 1 with
# the exact map (root mean square).
#
# **Predict.** Six of the kinds are ESD: "none", "convex", "semi" and "full" with Fourier features, and "convex, smooth"
# and "full, smooth". Which has the worst jump?

# %%
prediction = None  # such as "semi"

# %%
file = training.runs.shipped_folder() / "stopgradients" / "stopgradients.json"
rows = sorted(json.loads(file.read_text()), key=lambda row: row["method"])
worst = max(rows, key=lambda row: row["jump"])
course.compare(prediction, worst["stopgrad"] + ("" if worst["fourier"] else ", smooth"))
print(figures.table(rows))

# %% tags=["figure"]
figures.trainings(rows)
plt.show()

# %% [markdown]
# **What to notice.** Each dot is one seed. For LSD and PSD the jump is better under "convex" than under "none", in all
# seeds; for ESD the same with a smaller gap. ESD "full" with Fourier features has the worst jumps. Without these
# features, the ranges of "full" and "convex" overlap. The smooth network has the worst diagonal of all, under both. So
# neither "full" alone nor the Fourier features alone explain the failure. In these trainings it takes both. "semi" is
# in between: in all seeds better than "full" and worse than "convex" (one jump, with Fourier features).
#
# The authors of these losses use "full" with a plain network, four layers of 512 with GELU and no Fourier features,
# and with batches of 100,000. Their network is of the smooth kind. Their setting is not trained here, so these runs
# say nothing about it.
#
# **Try.** Which two kinds would you compare to say what the Fourier features do for ESD "convex"?
#
# <details><summary>Answer</summary>
#
# "ESD convex" and "ESD convex, smooth": everything else is the same. The ranges of both errors are far apart.
#
# </details>

# %% [markdown]
# ## 5. Which errors does a gradient step let grow?
#
# We simplify until a calculation is possible. One dimension. A velocity $b$ that is *known*, so that the diagonal
# cannot be the cause, and *constant*, as every smooth velocity nearly is on a short piece of space and time. One
# length $d = t - s$ for all jumps; a batch has many lengths, and its gradient is the mean over them. Plain gradient
# steps. And the error of $v$ is one *wave*:
#
# $$v = b + \theta_1 \cos\varphi + \theta_2 \sin\varphi, \qquad \varphi = k x + \omega s .$$
#
# Why a wave? A derivative turns a wave into the same wave, moved by a quarter, times a number: $\cos$ becomes $-\sin$,
# $\sin$ becomes $\cos$. So an error of this form gives a residual of this form, $R = r_1 \cos\varphi + r_2
# \sin\varphi$. Waves with other $k$ do not mix in, since the mean of their products over $x$ is zero. So we need only
# $2 \times 2$ matrices that take the heights $(\theta_1, \theta_2)$ to $(r_1, r_2)$.
#
# The map is $X = x + d\, v$ with $d = t - s$. The end $t$ is fixed, so $d$ falls when $s$ grows: $\partial_s d = -1$.
# The residual has two terms:
#
# $$\partial_s X = -v + d\, \partial_s v, \qquad \nabla X\, b = b + d\, b\, \partial_x v .$$
#
# In the sum the constants $-b$ and $b$ cancel. What is left of the first term is a matrix $A$ times the heights, of
# the second a matrix $B$ times the heights: $r = (A + B)\, \theta$. First a picture, for one wave: $\theta = (1, 0)$,
# $k = 8$, $\omega = -4$, $d = 1/2$, $b = 1$. Autograd made its derivatives.

# %% tags=["figure"]
figures.one_wave(k=8, omega=-4, d=0.5, b=1.0)
plt.show()

# %% [markdown]
# **What to notice.** Left: the derivative is the same wave, moved by a quarter of its length. It is $k$ times as high,
# so the picture shows it divided by $k$. Right: both terms of the residual, and their sum, are again waves with the
# same $k$. So two numbers describe each of them: what stands before $\cos\varphi$ and what stands before
# $\sin\varphi$. You now compute these numbers.
#
# **Write** `two_parts(k, omega, d, b)`: it returns $A$ and $B$, shape `(2, 2)`, `dtype=torch.float64`. Differentiate
# $\theta_1 \cos\varphi + \theta_2 \sin\varphi$ in $s$ and in $x$, and collect what stands before $\cos\varphi$ (first
# row) and $\sin\varphi$ (second row).


# %% tags=["solution"]
def two_parts(k, omega, d, b):
    """The matrices of d/ds X and of grad X b, shape (2, 2) each."""
    ### BEGIN SOLUTION
    A = torch.tensor([[-1.0, d * omega], [-d * omega, -1.0]], dtype=torch.float64)
    B = torch.tensor([[0.0, d * k * b], [-d * k * b, 0.0]], dtype=torch.float64)
    return A, B
    ### END SOLUTION


# %%
course.check("04b.7", two_parts)

# %% [markdown]
# The loss is the mean of $R^2$ over $x$, which is $\frac12 |(A + B)\, \theta|^2$. Its gradient is $(A + B)^\top (A +
# B)\, \theta$ if nothing is held. If only a part $K$ of the residual keeps its gradient, it is
#
# $$K^\top (A + B)\, \theta, \qquad K = A + B \text{ ("none", "convex")}, \quad K = A \text{ ("full")}, \quad
#   K = -1 \text{ ("semi")} .$$
#
# (The velocity is known here, so "none" and "convex" are the same.) A gradient step is $\theta \leftarrow \theta -
# \text{rate} \cdot K^\top (A + B)\, \theta$.
#
# **Write** `step_matrix(stop, k, omega, d, b)`: the matrix $K^\top (A + B)$ for "convex", "full" or "semi".


# %% tags=["solution"]
def step_matrix(stop, k, omega, d, b):
    """K^T (A + B), shape (2, 2)."""
    ### BEGIN SOLUTION
    A, B = two_parts(k, omega, d, b)
    kept = {"convex": A + B, "full": A, "semi": -torch.eye(2, dtype=torch.float64)}[stop]
    return kept.T @ (A + B)
    ### END SOLUTION


# %% [markdown]
# Does the library's loss do the same? `stopgradients.wave` takes the gradient of `losses.eulerian` by autograd, for a
# "network" whose only weights are the two heights.

# %%
course.check("04b.8", step_matrix)
d, b = 0.5, 1.0
for stop in ("convex", "full", "semi"):
    assert torch.allclose(stopgradients.wave(stop, 8, -4, d, b), step_matrix(stop, 8, -4, d, b), atol=1e-9)

# %% [markdown]
# Every matrix here has the form $\begin{pmatrix} a & c \\ -c & a \end{pmatrix}$. Such matrices are multiplied as the
# complex numbers $a + i c$ are, and a transpose is a complex conjugate. So $A$ is $-1 + i d \omega$, $B$ is $i d k b$,
# and the matrix of the step is one complex number $\Lambda$. A step multiplies the height of the wave by $|1 -
# \text{rate} \cdot \Lambda|$, where "rate" is the learning rate. For a small learning rate this is below 1 if the real
# part of $\Lambda$ is positive, and above 1 if it is negative. So the real part of $\Lambda$ is the rate at which a
# wave shrinks.
#
# | stop-gradient | $K$ | $\Lambda = \overline{K}\, (A + B)$ | real part |
# | --- | --- | --- | --- |
# | none | $A + B$ | $1 + d^2 (\omega + k b)^2$ | at least 1 |
# | convex | $A + B$ | $1 + d^2 (\omega + k b)^2$ | at least 1 |
# | full | $A$ | $1 + d^2 \omega\, (\omega + k b) - i\, d\, k b$ | can be negative if $d\, \lvert k b \rvert > 2$ |
# | semi | $-1$ | $1 - i\, d\, (\omega + k b)$ | 1 |
#
# For "full", the real part is smallest at $\omega = -k b / 2$. There it is $1 - (d\, k b / 2)^2$. Also, its $\Lambda$
# is not real: the matrix is not symmetric. So the step of "full" is not the gradient of any function. That of "semi"
# is not either, but with a small learning rate it lets no wave grow.
#
# **Write** one number by hand, `rate_of_full`: the real part of $\Lambda$ under "full" for $k = 8$, $\omega = -4$, $d =
# 1/2$, $b = 1$.

# %% tags=["solution"]
### BEGIN SOLUTION
rate_of_full = 1 + 0.5**2 * (-4) * (-4 + 8 * 1)
### END SOLUTION

# %%
course.check("04b.9", rate_of_full)

# %% [markdown]
# **Write** `heights(matrix, steps, rate)`: start from $\theta = (1, 0)$, do `steps` gradient steps with this matrix,
# and return the list of the heights $|\theta|$, the first one included (`steps + 1` numbers).


# %% tags=["solution"]
def heights(matrix, steps, rate):
    """The height of the wave before the first and after each gradient step."""
    ### BEGIN SOLUTION
    theta = torch.tensor([1.0, 0.0], dtype=torch.float64)
    path = [1.0]
    for _ in range(steps):
        theta = theta - rate * matrix @ theta
        path.append(theta.norm().item())
    return path
    ### END SOLUTION


# %% [markdown]
# **Predict.** Three waves have the worst $\omega$, $-k/2$, with $k = 2$, $6$ and $8$. Again $d = 1/2$ and $b = 1$. How
# many of the three grow under "full"?

# %%
prediction = None  # 0, 1, 2 or 3

# %%
course.check("04b.10", heights)
waves = [(2, -1), (6, -3), (8, -4)]
stops = ("full", "convex", "semi")
paths = {(*wave, stop): heights(step_matrix(stop, *wave, d, b), 60, 0.1) for wave in waves for stop in stops}
course.compare(prediction, sum(paths[*wave, "full"][-1] > 1 for wave in waves), within=0.01)

# %% tags=["figure"]
figures.wedge(d, b, paths)
plt.show()

# %% [markdown]
# **What to notice.** Left: in the orange wedge the real part is negative. The black marks are the three waves of the
# right picture. The wedge begins at $k = 2 / (d\, b) = 4$. Coarser waves shrink. Finer ones with an $\omega$ inside the
# wedge grow under "full"; under "convex" and "semi" all three shrink.
#
# For real trainings the calculation suggests this: "full" fails if the *network can draw fine waves*, and "semi" does
# not fail with the same network. In section 4 "full" with Fourier features is indeed the worst. But "semi" is worse
# than "convex" there, and the calculation does not say why. It has a constant velocity, one $d$, a single wave and
# plain gradient steps. So the next section looks more closely at the trainings.
#
# **Try.** Take the learning rate 0.5 in place of 0.1. Which of the curves change their direction, and why?
#
# <details><summary>Answer</summary>
#
# For $k = 8$, "convex" and "semi" grow too. Under "convex" $\Lambda = 5$, so a step multiplies by $|1 - 2.5| = 1.5$.
# Under "semi" $\Lambda = 1 - 2i$, and a step multiplies by $|1 - 0.5 + i| = 1.12$. Too large a rate makes every method
# diverge. A small rate helps these two, and not "full".
#
# </details>

# %% [markdown]
# ## 6. Do trainings fail by such waves?
#
# If waves grow, the gradient should grow as well. The file of section 4 also holds the norm of the gradient during each
# training.
#
# **Predict.** Of the five kinds, ESD "full", "convex" and "semi" with Fourier features and "full" and "convex"
# without: for how many is the gradient at the end more than twice as large as at step 300, in all three seeds?

# %%
prediction = None  # 0 to 5

# %%
five = [row for row in rows if row["method"] == "esd" and row["stopgrad"] != "none"]
late = figures.late(five)  # the gradient at the end over that at step 300, the smallest and the largest of the seeds
course.compare(prediction, sum(low > 2 for low, high in late.values()), within=0.01)
print("\n".join(f"{name:<19} {low:.2f} to {high:.2f}" for name, (low, high) in late.items()))

# %% tags=["figure"]
figures.gradients(five)
plt.show()

# %% [markdown]
# **What to notice.** Only for "full" with Fourier features is the gradient at the end larger than at step 300. With the
# same features it is smaller for "convex" and "semi", and so it is for "full" on the smooth network. These are the
# control runs: each changes one thing.
#
# The gradient is an indirect sign. Does the wave itself grow? `python data/lessons/make_04b.py` made the trainings of
# ESD with Fourier features once more. Every 50 steps it measured the error $v_{0,1} - v^\ast_{0,1}$ along horizontal
# lines through the board: how high are its waves with $k < 20$ (root of the sum of the squared heights)?
#
# **Predict.** Under how many of the four, "none", "convex", "full" and "semi", is the wave at the end more than a
# tenth higher than where it was lowest, in all three seeds?

# %%
prediction = None  # 0 to 4

# %% [markdown]
# **Write** `risen(paths)`. `paths` has a list for each seed, with pairs of step and height. For each seed divide the
# last height by the least one; return the smallest and the largest of these ratios.


# %% tags=["solution"]
def risen(paths):
    """The last height over the least one: the smallest and the largest of the seeds."""
    ### BEGIN SOLUTION
    ratios = [path[-1][1] / min(height for _, height in path) for path in paths]
    return min(ratios), max(ratios)
    ### END SOLUTION


# %%
waves = figures.heights_over_steps()  # the paths, by the stop-gradient
again = {stop: risen(paths) for stop, paths in waves.items()}
course.compare(prediction, sum(low > 1.1 for low, high in again.values()), within=0.01)
print("\n".join(f"ESD {stop:<7} {low:.2f} to {high:.2f}" for stop, (low, high) in again.items()))

# %% tags=["figure"]
figures.waves_over_steps(waves)
plt.show()

# %% [markdown]
# **What to notice.** A line is one training. A printed ratio of 1 says that the wave is lowest at the end of the
# training. A ratio above 1 says that it has grown since it was lowest: then the training has made this part of the
# error worse. Under "full" the wave falls first and then grows, in all three seeds. Under "convex" and "none" it is
# lowest at the end. Under "semi" it falls more slowly and unevenly.
#
# What does the failing map look like? Two maps are trained here, "convex" and "full" with the same seed (half a
# minute). Next to them is the spectrum of the error for all seeds: how high each wave is in $v_{0,1} - v^\ast_{0,1}$,
# along horizontal lines through the board.
#
# **Predict.** Take the ratio of the two errors, "full" over "convex". Is it largest for coarse waves ($k$ below 20) or
# for the finest ($k$ above 50)?

# %%
prediction = None  # "coarse" or "finest"

# %%
kinds = {stop: stopgradients.Case("esd", stop) for stop in ("convex", "full")}
maps = {stop: stopgradients.trained(kind, 0, training.budget(800)).X for stop, kind in kinds.items()}
k, _ = stopgradients.spectrum(maps["full"])
two = [row for row in five if row["fourier"] and row["stopgrad"] != "semi"]
ratio = figures.spectra(two)["ESD full"].mean(0) / figures.spectra(two)["ESD convex"].mean(0)
coarse, finest = ratio[k < 20].mean(), ratio[k > 50].mean()
course.compare(
    prediction,
    "coarse" if coarse > finest else "finest",
    wrong={"finest": "The calculation allows it. But the network has to draw the wave, and its features end before."},
)
print(f"full over convex: {coarse:.1f} for k < 20, {finest:.1f} for k > 50")

# %% tags=["figure"]
figures.failing(maps, k, two)
plt.show()

# %% [markdown]
# **What to notice.** Left (one seed): the slope of the map "full" swings around the exact one in waves. Right: its
# error is larger than that of "convex" in all seeds up to about $k = 18$, and in one seed up to about 45. For the
# finest waves there is no difference. (In the left picture the exact slope has edges, and neither map draws them.)
#
# So the error of "full" has higher waves, and they are waves that the network can draw. This fits the calculation. One
# thing does not: in the calculation finer waves grow faster, but here the gap is widest for the coarsest wave. The
# features' own waves are coarse too (section 4). Also, velocity and $d$ vary on the board, and the training does not
# take plain gradient steps. These runs do not say which of these matters, and they do not show the wedge itself.
#
# **Try.** Train "full" with half of the learning rate, once for 800 steps and once for 1,600 (about a minute). Compare
# the norm of the gradient at the end, `state.history[-1][2]`, with that at step 300, `state.history[14][2]`:
#
# ```python
# from dataclasses import replace
# from flowmap_edu.methods import METHODS
#
# full = replace(METHODS["esd"], stopgrad="full")
# run = recipes.recipe("checkerboard", full, steps=800, lr=1.5e-3, compile=False)
# *_, state = training.fit(*run, every=20)  # then again with steps=1600
# ```
#
# What does the calculation say, and what happens?
#
# <details><summary>Answer</summary>
#
# In the calculation a wave with a negative real part grows for every learning rate. At half of the rate it needs about
# twice as many steps. We ran the seeds 0, 1 and 2 (`seed=1` in `recipe`). After 800 steps the gradient is smaller than
# at step 300 in all three. After 1,600 steps it is more than ten times as large in all three. So the smaller rate does
# not prevent the failure here. It comes later.
#
# </details>

# %% [markdown]
# ## 7. What does the Jacobian do to an error?
#
# One might give another reason for a difference between ESD and LSD. If the velocity is wrong by a small $\delta$, the
# Lagrangian target is wrong by $\delta$, the Eulerian one by $\nabla X_{s,t}\, \delta$. For a $\delta$ that points in
# every direction with equal chance, in two dimensions,
#
# $$E\, \big| \nabla X\, \delta \big|^2 = \tfrac12\, \|\nabla X\|_F^2\; E\, |\delta|^2,
#   \qquad \|A\|_F^2 = \textstyle\sum_{ij} A_{ij}^2 .$$
#
# **Write** `growth(X, s, t, x)`: $\frac12 \|\nabla X_{s,t}(x)\|_F^2$, shape `(B,)`. `s` and `t` are numbers, `x` has
# the shape `(B, 2)`. `X.push(s, t, x, w)[1]` is $\nabla X\, w$: with $w = (1, 0)$ in every sample it is the first
# column.


# %% tags=["solution"]
def growth(X, s, t, x):
    """Half the sum of the squared entries of the Jacobian, shape (B,)."""
    ### BEGIN SOLUTION
    axes = torch.eye(2, dtype=x.dtype)
    first, second = (X.push(s, t, x, axis.expand(len(x), 2))[1] for axis in axes)
    return (first.square() + second.square()).sum(1) / 2
    ### END SOLUTION


# %% [markdown]
# **Predict.** On the board, for jumps from 0 to 1: is the *median* of the growth above or below 1? (The next cell
# takes half a minute.)

# %%
prediction = None  # "above" or "below"

# %%
course.check("04b.11", growth)
starts = board.base(128, torch.Generator().manual_seed(7)).double()
ends = (0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
grown = torch.stack([growth(FlowMap(board.v), 0.0, end, starts) for end in ends])
course.compare(prediction, "above" if grown[-1].median() > 1 else "below")
print(f"t = 1: median {grown[-1].median():.2f}, mean {grown[-1].mean():.1f}, largest {grown[-1].max():.0f};")
print(f"above 1 for {100 * (grown[-1] > 1).double().mean():.0f} % of the points, above 10 for {(grown[-1] > 10).sum()}")

# %% tags=["figure"]
figures.growth(ends, grown, starts)
plt.show()

# %% [markdown]
# **What to notice.** For more than half of the points the squared error of an Eulerian target shrinks. For a few it
# grows tenfold and more. (These are 128 points; a dozen of them are above the line "90 %". In the right picture the
# grey squares are those of the data. Section 9 of lesson 05 looks at the lines on which such points lie.)
#
# This is a statement about *targets*, not about maps. If both losses read the same wrong velocity $b + \delta$, both
# have the same solution: the flow map of $b + \delta$.
#
# Now let the velocity be exact and the map be wrong, with a residual of at most $\varepsilon$ everywhere. How far is
# the map from the exact one? Along a path $x_s$ of the flow the Eulerian residual is the derivative of
# $X_{s,t}(x_s)$ in $s$. Its integral is the error, which is at most $\varepsilon\, (t - s)$. The Lagrangian residual
# is an error of the landing point's speed. The flow carries this error on. If it stretches distances by at most
# $e^{L \tau}$ in a time $\tau$, the bound is $\varepsilon\, (e^{L (t - s)} - 1) / L$.
#
# Here are two wrong maps of the flow $b(x) = L x$ with $L = 3$. Both have the residual $\varepsilon = 0.1$ everywhere,
# one the Eulerian, one the Lagrangian, and each is as wrong as its bound allows.
#
# **Predict.** Which of the two lands further from the exact map, for the jump from 0 to 1?

# %%
prediction = None  # "Eulerian" or "Lagrangian"

# %% [markdown]
# **Write** `bounds`: a list of two numbers, the bound of the Eulerian and that of the Lagrangian map for this jump.

# %% tags=["solution"]
### BEGIN SOLUTION
L, epsilon = 3.0, 0.1
bounds = [epsilon, epsilon * (torch.tensor(L).exp().item() - 1) / L]
### END SOLUTION

# %%
course.check("04b.12", bounds)
stretch = lambda s, t: torch.expm1(3.0 * (t - s))[:, None] / (t - s)[:, None]  # noqa: E731  the exact slope over x
first = FlowMap(lambda s, t, x: stretch(s, t) * x - 0.1)
second = FlowMap(lambda s, t, x: stretch(s, t) * (x + 0.1 / 3))
point = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
known = {"stopgrad": "convex", "velocity": lambda _, x: 3.0 * x}
assert torch.allclose(losses.eulerian(first, 0.0, 1.0, point, **known).sqrt(), torch.full((5,), 0.1).double())
assert torch.allclose(losses.lagrangian(second, 0.0, 1.0, point, **known).sqrt(), torch.full((5,), 0.1).double())

# %%
exact = point * torch.tensor(3.0, dtype=torch.float64).exp()
errors = [(X(0.0, 1.0, point) - exact).abs().max().item() for X in (first, second)]
assert all(abs(error - bound) < 1e-6 for error, bound in zip(errors, bounds, strict=True))
course.compare(prediction, ("Eulerian", "Lagrangian")[errors[1] > errors[0]])
print(f"Eulerian residual 0.1: error {errors[0]:.3f}; Lagrangian residual 0.1: error {errors[1]:.3f}")

# %% [markdown]
# **What to notice.** Both residuals are equal, and the error of the Lagrangian map is larger, by the factor $(e^3 -
# 1)/3$. The Lagrangian bound is the larger one for every $L > 0$, that is, where the flow stretches. So the Jacobian in
# the Eulerian loss is not by itself a reason for worse maps. In section 4 ESD "convex" has it too, and trains.

# %% [markdown]
# ## Summary
#
# - A stop-gradient changes no value. It decides which paths the gradient takes.
# - "convex" gives the gradient of a frozen teacher. In these trainings its one jump is better than that of "none", for
#   each of the three losses and in all seeds.
# - In a calculation, ESD "full" lets some waves with $d\, |k b| > 2$ grow. In our 800 steps with Fourier features it
#   failed in three seeds of three. Without them it did as well as "convex". With them the gradient of "semi" was
#   smaller at the end than at step 300, but its jump was worse than that of "convex".
# - The Jacobian makes the error of some Eulerian targets larger. It does not change the solution.
#
# ## Exercises

# %% [markdown]
# **1.** By the formula, shorter jumps push the wedge to finer waves. For $d = 0.1$ and $b = 1$, from which wave number
# $k$ on can a wave grow under "full"? Set `smallest_k`.

# %% tags=["solution"]
### BEGIN SOLUTION
smallest_k = 2 / (0.1 * 1.0)
### END SOLUTION

# %%
course.check("04b.13", smallest_k)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The real part is $1 + p\,(p + r)$ with $p = d\,\omega$ and $r = d\, k b$. Over $p$ it is smallest at $p = -r/2$,
# where it is $1 - r^2/4$. This is negative if $|r| > 2$, so $k > 2 / (d\, b) = 20$.
#
# </details>
#
# **2.** Do the calculation of section 5 for the Lagrangian residual with a constant known velocity and the error
# $\theta_1 \cos\varphi + \theta_2 \sin\varphi$, $\varphi = k x + \omega t$. Is there a wave that "convex" lets grow?
#
# <details><summary>Answer</summary>
#
# $\partial_t X = v + d\, \partial_t v$, and the target is $b$ wherever it is read. The residual is the matrix $1 + i\,
# d\, \omega$ times the heights, and all of it keeps its gradient. So $\Lambda = 1 + d^2 \omega^2$, which is at least
# 1: no wave grows.
#
# </details>
#
# **3.** Which of the three slopes in PSD is the pupil's, under "convex"? Which paths would "none" add?
#
# <details><summary>Answer</summary>
#
# The pupil's is $v_{s,t}$, the slope of the long jump. "none" adds three paths: the weights in $v_{s,u}$, those in
# $v_{u,t}$, and the landing point $X_{s,u}(x)$ at which the second is read, which depends on $v_{s,u}$ again.
#
# </details>
#
# **4.** Show that $E\,|\nabla X\, \delta|^2 = \frac12 \|\nabla X\|_F^2\, E\,|\delta|^2$ in two dimensions, if $\delta$
# points in every direction with equal chance.
#
# <details><summary>Answer</summary>
#
# $|A \delta|^2 = \sum_{ijk} A_{ij} A_{ik}\, \delta_j \delta_k$. By symmetry $E[\delta_1 \delta_2] = 0$ and
# $E[\delta_1^2] = E[\delta_2^2] = \frac12 E|\delta|^2$. Only $j = k$ stays: $\sum_{ij} A_{ij}^2 \cdot \frac12
# E|\delta|^2$.
#
# </details>
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
#   and the observation that the Eulerian ones are unstable. The calculation of section 5 is ours.
# - N. M. Boffi, M. S. Albergo, E. Vanden-Eijnden, *Flow map matching*, [arXiv
#   2406.07507](https://arxiv.org/abs/2406.07507), 2024: bounds on the error of a map by its residuals.
# - M. Tancik et al., *Fourier features let networks learn high frequency functions in low dimensional domains*,
#   [arXiv 2006.10739](https://arxiv.org/abs/2006.10739), 2020.
