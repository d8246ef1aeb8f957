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
# # Densities and equations
#
# After this lesson you can
#
# - compute the density of what a map draws, and find where a map folds,
# - invert a jump, and say when this fails,
# - estimate a divergence in many dimensions, with its standard error,
# - train the flow map of an equation that you know, and say when it is worth it.
#
# **It assumes** [lesson 05](05_self_distillation_on_the_checkerboard.ipynb), and for section 6 the teacher of [lesson
# 06](06_distillation_with_and_without_a_teacher.ipynb). Symbols are on the [notation card](notation.md). **It takes**
# an hour and a quarter if you write the code, and about two minutes of computing on two CPU cores.

# %%
import time
from dataclasses import replace

import torch
from scipy.integrate import solve_ivp
from torch.func import jvp

from flowmap_edu import METHODS, MLP, FlowMap, Training, course, divergence, fit, likelihood, load, problems, training
from flowmap_edu.losses import lagrangian
from flowmap_edu.metrics import folding
from flowmap_edu.problems import equations
from flowmap_edu.viz import figures_13 as figures
from flowmap_edu.viz import plots

plots.use_style()
board = problems.Checkerboard()
X = load("checkerboard-lsd")
STEPS, POINTS = training.budget(600), training.budget(2000)

# %% [markdown]
# ## 1. How much does a jump stretch?
#
# A jump carries a small square of noise to a small parallelogram. The area grows by the factor
# $|\det \nabla X_{s,t}(x)|$. The probability in it stays the same. So the density is divided by this factor:
#
# $$\log q\big(X_{s,t}(x)\big) = \log p(x) - \log \left|\det \nabla X_{s,t}(x)\right| .$$
#
# **Predict.** Noise $N(0, 1)$ in the plane is carried to a Gaussian with the standard deviation $0.5$, by the exact
# map. What is $\log |\det \nabla X_{0,1}|$?

# %%
prediction = None  # a number

# %% [markdown]
# **Write** `log_det(X, s, t, x)` for points in the plane, `x` of shape (B, 2). It returns where `x` lands, shape (B,
# 2), and $\log |\det \nabla X_{s,t}(x)|$, shape (B,). `X.push(s, t, x, w)` returns the landing point and $\nabla
# X_{s,t}(x)\, w$, with `w` of the shape of `x`. You need two of them.


# %% tags=["solution"]
def log_det(X, s, t, x):
    """Where x lands, and log |det grad X| there."""
    ### BEGIN SOLUTION
    zero, one = torch.zeros_like(x[:, 0]), torch.ones_like(x[:, 0])
    landed, first = X.push(s, t, x, torch.stack([one, zero], dim=1))
    _, second = X.push(s, t, x, torch.stack([zero, one], dim=1))
    det = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    return landed, det.abs().log()
    ### END SOLUTION


# %%
course.check("13.1", log_det)
gaussian = problems.Gaussian(0.0, 0.5)
x0 = gaussian.base(4, torch.Generator().manual_seed(0)).double()
landed, stretched = log_det(FlowMap(gaussian.v), 0.0, 1.0, x0)
assert stretched.std() < 1e-8
course.compare(prediction, stretched.mean(), too_high="Each of two axes shrinks by the factor 0.5.")

# %% [markdown]
# ## 2. What is the density of the samples?
#
# Several jumps are a chain. The determinant of a chain is the product of the determinants, so their logarithms add:
#
# $$\log q(x_N) = \log N(x_0; 0, \sigma^2 I) - \sum_{k=0}^{N-1} \log \left|\det \nabla X_{t_k, t_{k+1}}(x_k)\right| ,
# \qquad t_k = k / N .$$
#
# **Write** `log_density(X, x0, steps, sigma)`. It returns the samples $x_N$ of `steps` equal jumps, shape (B, 2), and
# $\log q$ there, shape (B,). Use your `log_det`. Do not forget the constant of the Gaussian in the plane.


# %% tags=["solution"]
@torch.no_grad()
def log_density(X, x0, steps, sigma):
    """The samples of equal jumps, and log q at each."""
    ### BEGIN SOLUTION
    log_q = -x0.square().sum(1) / (2 * sigma**2) - torch.log(torch.tensor(2 * torch.pi * sigma**2))
    x = x0
    for k in range(steps):
        x, stretched = log_det(X, k / steps, (k + 1) / steps, x)
        log_q = log_q - stretched
    return x, log_q
    ### END SOLUTION


# %% [markdown]
# On the board the truth is known: the density is the same on all squares, and 0 between them. With an exact map $\log
# q$ minus its true value is 0 at every sample. (For a sample that lies between the squares we take the value of the
# squares.)
#
# **Predict.** Take one jump of the shipped LSD map. What is the median of $|\log q - \log q_{\text{true}}|$?

# %%
prediction = None  # a number

# %%
course.check("13.2", log_density)
x0 = board.base(3000, torch.Generator().manual_seed(0))
truth = board.log_density(1.0, board.sample(1)[0]).item()
drawn = {f"{steps} jump{'s' * (steps > 1)}": log_density(X, x0, steps, board.sigma) for steps in (1, 16)}
off = {name: (log_q - truth).abs() for name, (_, log_q) in drawn.items()}
for name, distance in off.items():
    print(f"{name:<9} |log q - truth|: median {distance.median():.2f}, 90 % of the samples below", end=" ")
    print(f"{distance.quantile(0.9):.2f}")
library = likelihood.sample_with_density(X, x0, 1, board.sigma)[1]
assert (drawn["1 jump"][1] - library).abs().median() < 1e-4
course.compare(prediction, off["1 jump"].median(), within=0.3, too_low="The map would be nearly exact everywhere.")

# %% tags=["figure"]
figures.densities(drawn, truth)

# %% [markdown]
# **What to notice.** Most samples have a density near the true one. The colours are strong at the edges of the squares
# and between them. A density tells more than a picture of the samples: here each sample says how wrong the map is
# where it lands.
#
# **Try.** The mean of $\log q_{\text{true}} - \log q$ over samples would be minus a Kullback-Leibler divergence. Why
# does it not exist here?
#
# <details><summary>Answer</summary>
#
# Some samples lie between the squares. There the true density is 0 and its logarithm is $-\infty$. One such sample
# makes the divergence of $q$ from the truth infinite. KL64 (lesson 01) compares counts on bins instead.
#
# </details>
#
# ## 3. Where does a map fold?
#
# The determinant of a flow is positive: it starts at 1 and never becomes 0. A trained map is no exact flow. Where its
# determinant is *negative*, it turns space over, as a sheet of paper that is folded. Then several points of noise land
# on one point, and the formula of section 2 counts only one of them.
#
# **Predict.** Does a map fold at more points in one jump or in sixteen: `"one"` or `"sixteen"`?

# %%
prediction = None  # a word

# %% [markdown]
# **Write** `folded(X, x0, steps)`: the share of the points at which at least one of `steps` equal jumps has a negative
# determinant, a Python float. `likelihood.jacobian(X, s, t, x)` returns the landing point and $\nabla X$, shape (B, 2,
# 2). `torch.linalg.det` takes the latter.


# %% tags=["solution"]
@torch.no_grad()
def folded(X, x0, steps):
    """The share of points that some jump turns over."""
    ### BEGIN SOLUTION
    x, turned = x0, torch.zeros(len(x0), dtype=torch.bool)
    for k in range(steps):
        x, J = likelihood.jacobian(X, k / steps, (k + 1) / steps, x)
        turned = turned | (torch.linalg.det(J) < 0)
    return turned.double().mean().item()
    ### END SOLUTION


# %%
course.check("13.3", folded)
shares = {}
for name in ("lsd", "esd", "psd-m"):
    draws = [board.base(POINTS, torch.Generator().manual_seed(seed)) for seed in range(3)]
    Y = load(f"checkerboard-{name}")
    shares[name] = {steps: [folded(Y, x, steps) for x in draws] for steps in (1, 16)}
    for steps, found in shares[name].items():
        print(f"{name:<6} {steps:>2} jumps: {100 * min(found):.2f} % to {100 * max(found):.2f} % of the points")
assert shares["lsd"][1][0] == folding(X, draws[0], 1)
more = "one" if min(shares["lsd"][1]) > max(shares["lsd"][16]) else "sixteen"
course.compare(
    prediction, more, wrong={"sixteen": "Then folds of short jumps would add up to more than one long jump has."}
)

# %% tags=["figure"]
figures.shares({name.upper(): rows for name, rows in shares.items()})
landed, J = likelihood.jacobian(X, 0.0, 1.0, x0)
figures.folds(x0, landed.detach(), torch.linalg.det(J).detach() < 0)

# %% [markdown]
# **What to notice.** The ranges are those of three draws of the noise, for one map each. For each of these three maps
# the ranges of one and of sixteen jumps are apart: sixteen jumps fold less. The exact map of a short jump is nearer to
# the identity, whose determinant is 1. In the second figure most folded points land near the edges of the squares,
# where the density jumps. The ranges say nothing of other seeds of the training. So the figure does not say that one
# method folds less than another.
#
# **Try.** Does a short jump fold? Look at `torch.linalg.det(likelihood.jacobian(X, 0.0, 0.1, x0)[1]).min()`.
#
# <details><summary>Answer</summary>
#
# $\nabla X = I + 0.1\, \nabla v$. Its determinant is negative only where $0.1\, \nabla v$ has an eigenvalue below
# $-1$. If the printed number is above 0, none of the 3,000 points is turned over by this jump. A jump of length 0 never
# folds, whatever the network is.
#
# </details>
#
# ## 4. What is the density of a point that is given?
#
# Now a point $y$ of the data is given. To know $q(y)$ we need the noise that lands on it: each jump must be inverted,
# from the last to the first. The equation $y = z + (t - s)\, v_{s,t}(z)$ can be read as a fixed point,
#
# $$z \leftarrow y - (t - s)\, v_{s,t}(z) .$$
#
# It converges if $(t - s)\, |\nabla v_{s,t}| < 1$ everywhere, and then the jump cannot fold.
#
# **Write** `invert(X, s, t, y, iterations)`: start at $z = y$ and iterate. `s` and `t` are tensors of shape (B,), `y`
# has the shape (B, 2).


# %% tags=["solution"]
@torch.no_grad()
def invert(X, s, t, y, iterations):
    """z such that X_{s,t}(z) = y, if the iteration converges."""
    ### BEGIN SOLUTION
    z = y
    for _ in range(iterations):
        z = y - (t - s)[:, None] * X.v(s, t, z)
    return z
    ### END SOLUTION


# %% [markdown]
# **Predict.** We let the shipped map jump from 0 to 1, and try to come back by 30 iterations. For which share of the
# points does this succeed? (It succeeds if the jump from the place that was found lands within $10^{-3}$ of $y$.)

# %%
prediction = None  # a share between 0 and 1

# %%
course.check("13.4", invert)
z = board.base(500, torch.Generator().manual_seed(1))
back = {}
for start, end in ((0.0, 1.0), (0.0, 1 / 16), (7 / 16, 0.5), (15 / 16, 1.0)):
    s, t = torch.full((500,), start), torch.full((500,), end)
    with torch.no_grad():
        from_here = X(0.0, start, z) if start else z
        y = X(s, t, from_here)
        again = X(s, t, invert(X, s, t, y, 30))
    back[start, end] = ((again - y).norm(dim=1) < 1e-3).double().mean().item()
    print(f"from {start:.4f} to {end:.4f}: {back[start, end]:.1%} are inverted")
course.compare(prediction, back[0.0, 1.0], within=0.2, too_high="Then the map would be less steep than it is.")

# %% [markdown]
# The library takes Newton's iteration, which divides by $\nabla X$. It says for each point whether it was found.

# %%
data = board.sample(200, torch.Generator().manual_seed(2))[0]
for steps in (1, 4, 16):
    found = likelihood.density_of(X, data, steps, board.sigma, iterations=10, tolerance=1e-4)
    distance = (found.log_q - truth).abs()[found.found].median()
    print(f"{steps:>2} jumps: {found.found.double().mean():.1%} found, median |log q - truth| {distance:.2f}")

# %% [markdown]
# **What to notice.** In jumps of a sixteenth the fixed point finds nearly all points; in the whole jump it does not.
# Newton's iteration finds nearly all points of the data in one jump as well. The points that are not found have no
# density in this table. A mean over the others alone may look better than the map is. So say how many were left out.
#
# **Try.** What does `density_of` say of the point $(3, 3)$, far outside the squares?
#
# <details><summary>Answer</summary>
#
# `likelihood.density_of(X, torch.tensor([[3.0, 3.0]]), 4, board.sigma)`. If some noise far away lands there, its
# density is tiny. If no noise is found, `found` is False and the density is NaN. The library returns no number in that
# case.
#
# </details>
#
# ## 5. And in hundreds of dimensions?
#
# A determinant needs one `jvp` for each coordinate. The *velocity* offers another way. Along $dx/dt = b_t(x)$ the
# density changes with the divergence, the trace of $\nabla b_t$:
#
# $$\frac{d}{dt} \log q_t(x_t) = -\operatorname{tr} \nabla b_t(x_t) , \qquad
# \operatorname{tr} A = E\left[w \cdot A\, w\right] .$$
#
# The second equation is Hutchinson's estimate. The entries of $w$ are random signs, $+1$ or $-1$. One probe $w$ costs
# one `jvp`, in any dimension. The estimate is the mean over several probes.
#
# **Write** `probe(b, x, w)`: $w \cdot \nabla b(x)\, w$ for each point, shape (B,). `b` is a function of `x`, of shape
# (B, D), and `w` has the shape of `x`. `jvp(b, (x,), (w,))` returns `b(x)` and $\nabla b(x)\, w$.


# %% tags=["solution"]
def probe(b, x, w):
    """One estimate of the trace for each point."""
    ### BEGIN SOLUTION
    _, pushed = jvp(b, (x,), (w,))
    return (w * pushed).sum(1)
    ### END SOLUTION


# %% [markdown]
# The test is a linear velocity in 400 dimensions, $b(x) = A x$ with a random matrix $A$. Its trace is known. The
# estimate is made at 100 points, each with probes of its own, and we take the root mean square of their errors.
#
# **Predict.** By which factor does the error fall from 4 to 64 probes?

# %%
prediction = None  # a number

# %%
course.check("13.5", probe)
A = 0.015 * torch.randn(400, 400, generator=torch.Generator().manual_seed(0)).double() - torch.eye(400).double()
linear = FlowMap(lambda s, t, x: x @ A.T)  # noqa: ARG005
x, counts, rows = torch.zeros(100, 400, dtype=torch.float64), (4, 16, 64), []
for count in counts:
    found = divergence.divergence(linear, 0.5, x, probes=count)
    rows.append(((found.value - A.trace()).square().mean().sqrt(), found.error.square().mean().sqrt()))
    print(f"{count:>2} probes: error {rows[-1][0]:.3f}, standard error {rows[-1][1]:.3f}; the trace is {A.trace():.2f}")
w = torch.randn(100, 400, generator=torch.Generator().manual_seed(1)).double().sign()
assert torch.allclose(probe(lambda x: linear.velocity(0.5, x), x, w), ((w @ A) * w).sum(1))
course.compare(prediction, rows[0][0] / rows[-1][0], within=0.25, too_high="The error falls as a root of the number.")

# %% [markdown]
# **What to notice.** The standard error, which needs no truth, agrees with the error that was measured. To halve it
# takes four times as many probes. `divergence.density_by_trace` follows the flow back and integrates this estimate. It
# is the density of the *flow of the velocity*. One jump of a trained map may have another one.
#
# **Try.** For which matrices is one probe enough?
#
# <details><summary>Answer</summary>
#
# $w \cdot A w = \sum_i A_{ii} w_i^2 + \sum_{i \ne j} A_{ij} w_i w_j$, and $w_i^2 = 1$. The second sum is 0 for all $w$
# if $A_{ij} + A_{ji} = 0$: for diagonal matrices, and for those whose symmetric part is diagonal.
#
# </details>
#
# ## 6. A map for an equation that is known
#
# So far the velocity came from data. It may also be a formula: $dx/d\tau = f(x)$ is a pendulum, an orbit, a reaction.
# A flow map of it solves the equation at once, for any start. Let the map's time 1 be the equation's time $T$. Then
# $b_t(x) = T f(x)$ at all times, and the Lagrangian condition is
#
# $$\partial_t X_{s,t}(x) = T\, f\big(X_{s,t}(x)\big) .$$
#
# **Write** `residual(X, f, T, s, t, x)`: the square of the difference of the two sides, one value a state, shape (B,).
# `X.partial_t(s, t, x)` returns the landing point and $\partial_t X$. Hold the right side fixed, with its landing
# point.


# %% tags=["solution"]
def residual(X, f, T, s, t, x):
    """|d/dt X - T f(X)|^2, one value a state."""
    ### BEGIN SOLUTION
    landed, moves = X.partial_t(s, t, x)
    with torch.no_grad():
        target = T * f(landed)
    return (moves - target).square().sum(1)
    ### END SOLUTION


# %%
course.check("13.6", residual)
stiff = equations.StiffLinear(stiffness=20.0)
x = stiff.base(100, torch.Generator().manual_seed(0)).double()
s, t = torch.rand(2, 100, generator=torch.Generator().manual_seed(1), dtype=torch.float64).sort(dim=0).values
exact = residual(FlowMap(stiff.v), stiff.rate, stiff.horizon, s, t, x)
assert exact.max() < 1e-16
assert torch.allclose(residual(X, stiff.rate, 1.0, s.float(), t.float(), x.float()),
                      lagrangian(X, s.float(), t.float(), x.float(), velocity=stiff.velocity))  # fmt: skip
print(f"exact map exp((t-s) A) x of a stiff linear equation: largest residual {exact.max():.0e}")

# %% [markdown]
# The loss is the one of lesson 06 with a teacher, and the teacher is $f$. So no loop is new. `equations.Pendulum` is a
# problem: its points are states along trajectories, and the target on the diagonal is $T f(x)$ itself. A pendulum of
# angle $q$ and speed $p$ obeys $dq/d\tau = p$ and $dp/d\tau = -\sin q$. Here $T = 2$, about a third of a swing.
#
# **Predict.** The distance of one jump to the exact solution (root mean square) is measured after 600 steps of
# training. The states have a spread of about 1.3. Which distance do you expect?

# %%
prediction = None  # a number


# %%
def trained(problem):
    """The map of a known equation, by LSD with the equation as its teacher."""
    torch.manual_seed(0)
    net = MLP(2, hidden=64, layers=3, scale=problem.sigma, fourier=0)
    known = replace(METHODS["lsd"], velocity="teacher", stages=1)
    teacher = FlowMap(lambda s, t, x: problem.velocity(t, x))  # noqa: ARG005
    settings = Training(steps=STEPS, optimizer="soap", lr=4e-3, warmup=20, diagonal=0.5, ema=0.98, compile=False)
    *_, state = fit(problem, net, known, settings, teacher=teacher, every=STEPS)
    return state.X


# %%
pendulum = equations.Pendulum(horizon=2.0)
Y = trained(pendulum)
jumped = {row["steps"]: row["map_error"] for row in pendulum.evaluate(Y, [1, 2, 4, 16], n=512)}
print("jumps: error   ", "   ".join(f"{steps}: {error:.3f}" for steps, error in jumped.items()))
print(f"spread of the states, root mean square: {pendulum.sigma * 2**0.5:.2f}")
course.compare(prediction, jumped[1], within=0.5)

# %% tags=["figure"]
starts = torch.tensor([[0.6, 0.0], [1.2, 0.0], [1.9, 0.0], [-1.8, 0.8]])
figures.phase(pendulum, Y, starts)

# %% [markdown]
# **What to notice.** The training was given states and the rates $f$ there, and never a start with its end. (The states
# lie along trajectories, as points without an order.) In this training a single evaluation lands near the end of each
# orbit, and the thin lines stay near the thick ones on the way. More and shorter jumps were more accurate. `equations`
# also has `LotkaVolterra`, `StiffLinear` and `Lorenz`.
#
# **Try.** `trained` takes every equation of the plane. What has to change for `equations.Lorenz`?
#
# <details><summary>Answer</summary>
#
# A state has three entries: `MLP(3, ...)`. Nothing else: the loss does not know the equation. Section 9 shows how good
# such maps become.
#
# </details>
#
# ## 7. Is it worth it?
#
# A solver can do the same. We take `solve_ivp` of SciPy, a maintained library, at several tolerances. All states are
# solved together as one long vector. Then we compare in two units: evaluations in a row, and seconds.
#
# **Predict.** For 2,000 states, and at the error of one jump: which takes less *time*, `"the jump"` or `"the solver"`?

# %%
prediction = None  # two words


# %%
def solved(problem, x, tolerance):
    """The states at time T by RK45, and how often f was evaluated."""
    found = solve_ivp(
        lambda _, y: problem.rate(torch.from_numpy(y).view(-1, 2)).flatten().numpy(),
        (0.0, problem.horizon), x.flatten().numpy(), rtol=tolerance, atol=tolerance,
    )  # fmt: skip
    return torch.from_numpy(found.y[:, -1]).view(-1, 2), found.nfev


def seconds(call):
    """The median time of five calls."""
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return sorted(spent)[2]


# %%
@torch.no_grad()
def compared(problem, Y):
    """The jump's error and seconds; and for each tolerance of the solver evaluations of f, error and seconds."""
    x = problem.base(2000, torch.Generator().manual_seed(3)).double()
    goal, rows = problem.flow(0.0, 1.0, x), []
    for tolerance in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6):
        landed, count = solved(problem, x, tolerance)
        error = (landed - goal).square().sum(1).mean().sqrt().item()
        rows.append((count, error, seconds(lambda tolerance=tolerance: solved(problem, x, tolerance))))
    jump = (Y(0.0, 1.0, x.float()) - goal).square().sum(1).mean().sqrt().item()
    return jump, seconds(lambda: Y(0.0, 1.0, x.float())), rows


# %%
jump, spent, rows = compared(pendulum, Y)
for count, error, _ in rows:
    print(f"{count:>3} evaluations of f: error {error:.4f}")
count, _, solver = next((row for row in rows if row[1] <= jump), rows[-1])
print(f"at equal accuracy: 1 evaluation of the network, {count} of f")
print(f"one evaluation of the network: about {sum(p.numel() for p in Y.slope.parameters()):,} multiplications a state")
print(f"time of one jump over time of the solver, 2,000 states, medians of 5: {spent / solver:.1f}")
course.compare(prediction, "the jump" if spent < solver else "the solver")

# %% tags=["figure"]
figures.solvers([row[:2] for row in rows], jumped)

# %% [markdown]
# **What to notice.** One jump replaces a row of evaluations of $f$. But this $f$ costs one sine, and the network
# thousands of multiplications. So for a cheap equation count the seconds, not the evaluations, and add the training.
# Here SciPy also reaches errors that the map does not. (The first lines are the loosest tolerances. There the solver
# takes two or three steps of six evaluations each, and its error does not follow the tolerance. The squares of the
# figure are the jumps of section 6, from other states.) A flow map is worth most where one evaluation of the velocity
# costs as much as one of the map. For a generative model this is so: there the velocity *is* a network.
#
# Now two more equations, with one training each. The numbers of prey $x$ and of hunters $y$ change as Lotka and
# Volterra say: $dx/d\tau = x (1 - y)$, $dy/d\tau = y (x - 1)$. The *stiff* linear equation has the rates 1 and 50:
# what is fast is soon gone, but an explicit solver needs short steps as long as it runs. Here $T = 1$, the steps of
# RK45 must stay below about $3 / 50$, and each takes six evaluations. We compare at *equal accuracy*: the loosest
# tolerance at which the solver is as good as the jump. And at *equal cost*: the solver's least error within the time of
# the jump.
#
# **Predict.** How often does the solver evaluate $f$ for the stiff equation, to be as good as one jump?

# %%
prediction = None  # a number

# %%
print("equation        jump's error   as good: evaluations of f   jump's time / solver's   solver's error in that time")
found = {"Pendulum": (jump, spent, rows)}
for problem in (equations.LotkaVolterra(horizon=2.0), equations.StiffLinear(stiffness=50.0)):
    found[type(problem).__name__] = compared(problem, trained(problem))
for name, (jump, spent, rows) in found.items():
    count, _, solver = next((row for row in rows if row[1] <= jump), rows[-1])
    within = [error for _, error, took in rows if took <= spent]
    least = f"{min(within):.4f}" if within else "it needs more time"
    print(f"{name:<15} {jump:>12.4f} {count:>27} {spent / solver:>24.2f} {least:>30}")
course.compare(prediction, count, within=0.5, too_low="An explicit step must stay below about 3 / 50, or it explodes.")

# %% [markdown]
# **What to notice.** There is one training each, the times are those of this run, and the training is not counted. For
# the pendulum the solver takes less time at equal accuracy. For the other two the jump takes less. But look at the
# accuracy first. In the stiff equation the exact ends are near 0: their root mean square is $e^{-1} / \sqrt{3} = 0.21$.
# So a map that sends every state to 0 has a smaller error than the jump, without any evaluation. The jump was not
# learned in 600 steps, and its shorter time is no success. What the row does show is the solver's price: about a
# hundred evaluations of $f$, although so little accuracy is asked for. An *implicit* solver has no such bound on its
# steps. We did not compare with one.
#
# **Try.** Name an equation for which the balance is different.
#
# <details><summary>Answer</summary>
#
# One whose rate $f$ is itself the result of a long computation, and which is to be solved from very many starts:
# weather, molecules, a control problem that asks for thousands of forecasts. Or one that is *stiff*, if the map is
# learned well: an explicit solver then needs many small steps.
#
# </details>
#
# ## 8. How far ahead can a jump look?
#
# Lorenz's equations are chaotic: two near states part exponentially. The mean rate is the largest *Lyapunov exponent*
# $\lambda$, and $1 / \lambda$ is the Lyapunov time. An error grows by the factor $e$ in each. To measure it, carry a
# vector $w$ along with the state:
#
# $$\lambda = \frac{1}{n\, \Delta} \sum_{k=1}^{n} \log \frac{|\nabla X\, w_k|}{|w_k|} , \qquad
# w_{k+1} = \nabla X\, w_k ,$$
#
# where $X$ is the flow over the time $\Delta$.
#
# **Write** `growth(jump, x, w, count)`: the mean over `count` jumps of the logarithm, shape (B,). `jump(x, w)` returns
# the landing point and $\nabla X\, w$, shape (B, D) each. To keep numbers in range you may divide $w$ by its length.


# %% tags=["solution"]
def growth(jump, x, w, count):
    """The mean logarithm of the growth of w in a jump, for each point."""
    ### BEGIN SOLUTION
    total = torch.zeros_like(x[:, 0])
    for _ in range(count):
        x, pushed = jump(x, w)
        length = pushed.norm(dim=1)
        total = total + (length / w.norm(dim=1)).log()
        w = pushed / length[:, None]
    return total / count
    ### END SOLUTION


# %% [markdown]
# **Predict.** Two forecasts start with the errors $10^{-4}$ and $10^{-6}$. How many Lyapunov times longer does the
# second one stay good? (Good: the error is below 0.3. One unit here is 10 of Lorenz's own.)

# %%
prediction = None  # a number

# %%
course.check("13.7", growth)
lorenz, step = equations.Lorenz(0.5), 0.02


def runge_kutta(x):
    """One step of the classical method of order 4."""
    k1 = lorenz.rate(x)
    k2 = lorenz.rate(x + step / 2 * k1)
    k3 = lorenz.rate(x + step / 2 * k2)
    k4 = lorenz.rate(x + step * k3)
    return x + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


# %%
def stepped(x, w):
    """A step, and the vector that it carries along."""
    return jvp(runge_kutta, (x,), (w,))


x = lorenz.base(1000, torch.Generator().manual_seed(0)).double()
w = torch.ones_like(x)
for _ in range(250):  # w turns to the direction that grows most
    x, w = stepped(x, w / w.norm(dim=1, keepdim=True))
each = growth(stepped, x, w, 500) / step
exponent, error = each.mean().item(), each.std().item() / 1000**0.5
print(f"largest exponent {exponent:.3f} with a standard error of {error:.3f}; published: 0.906")
assert abs(exponent - 0.906) < 4 * error

# %% [markdown]
# Now the forecasts. We solve from a state and from a state nearby, and measure how far the two are apart.

# %%
a = lorenz.base(500, torch.Generator().manual_seed(1)).double()
away = torch.randn(500, 3, generator=torch.Generator().manual_seed(2)).double()
away = away / away.norm(dim=1, keepdim=True)
first_errors = (1e-2, 1e-4, 1e-6)
many, apart = torch.stack([a, *(a + size * away for size in first_errors)]), []
for _ in range(900):
    many = runge_kutta(many.flatten(0, 1)).view_as(many)
    apart.append((many[1:] - many[0]).norm(dim=2).log().mean(1).exp())
apart = torch.stack(apart)  # (steps, first errors): geometric means over 500 states
good = [(column < 0.3).sum().item() * step * exponent for column in apart.T]
for size, until in zip(first_errors, good, strict=True):
    print(f"first error {size:g}: below 0.3 for {until:.1f} Lyapunov times")
course.compare(prediction, good[2] - good[1], too_high="Then an error would grow by less than e in each.")

# %% tags=["figure"]
figures.chaos(apart, step * exponent, first_errors)

# %% [markdown]
# **What to notice.** On the logarithmic axis the three lines rise at about the rate of the dashed lines, until the two
# forecasts know nothing of each other. A hundred times smaller error buys the same number of Lyapunov times again.
# This concerns a flow map too. A jump over $n$ Lyapunov times stretches a small distance by about $e^n$, and so it
# stretches an error at its start.
#
# **Try.** By which factor does a jump over $T = 1.1$ stretch a small distance, on average?
#
# <details><summary>Answer</summary>
#
# $e^{0.906 \cdot 1.1} \approx 2.7$. For $T = 0.25$ it is $e^{0.23} \approx 1.25$. The exponent is a mean: near some
# states a jump stretches more.
#
# </details>
#
# ## 9. How long a jump was learned?
#
# We trained maps of Lorenz's equations for three horizons, up to one Lyapunov time: three seeds each, the same network
# and 3,000 steps of PSD-M. On the diagonal it is given the rates $T f(x)$. It learns a longer jump from two shorter
# ones. The network is told how long a jump is, and not when it starts: the equation is the same at all times. This
# takes a few minutes. So the errors are read from `data/lessons/13.json`, which `data/lessons/make_13.py` makes.
#
# We divide each error by the distance of two states that are drawn at random. So a map that knows nothing, and lands on
# random states, has the value 1. A map that always lands on the mean state has about 0.71. We also let the same map
# take two jumps of half of the horizon, and eight jumps of an eighth.
#
# **Predict.** Which value has one jump over $T = 1.1$, about one Lyapunov time?

# %%
prediction = None  # a number

# %%
table = figures.trained()
for horizon, seeds in table["lorenz"].items():
    print(f"T = {horizon:<4}", end="")
    for steps in ("1", "2", "8"):
        low, middle, high = sorted(row[steps] / table["apart"] for row in seeds)
        print(f"   {steps} jump{'s' * (steps > '1')}: {middle:.3f} ({low:.3f} to {high:.3f})", end="")
    print()
middle = sorted(row["1"] for row in table["lorenz"]["1.1"])[1] / table["apart"]
print("median of three seeds of the training, and their range")
course.compare(prediction, middle, within=0.3)

# %% tags=["figure"]
figures.horizons(table, exponent)

# %% [markdown]
# **What to notice.** (The figure has the errors before the division. The dashed line is the distance by which the table
# divides.) With all three seeds the error of one jump grows with the horizon. Over $T = 0.25$ one jump is
# accurate. Over $T = 1.1$ it is only a little better than the mean state. Two jumps of half of the horizon were better
# than one for $T = 0.25$ and $T = 0.5$, and not for $T = 1.1$. Chaos alone does not explain the errors of one jump:
# eight jumps of the same map go through the same chaos, with less error. So these long jumps were not learned as well
# as possible. A longer training or a larger network may do better. We have not tried it, and where chaos itself limits
# a jump stays open here.
#
# **Try.** Two maps have the values 0.71 and 1. Does the first one know more about the end?
#
# <details><summary>Answer</summary>
#
# Not necessarily. A map that always lands on the mean state has about 0.71, and it says nothing about the end. Of all
# maps that land on one and the same point it has the least mean square error.
#
# </details>
#
# ## Summary
#
# - The logarithm of the density of samples is that of the noise, minus the sum of the logarithms of the determinants.
# - A negative determinant is a fold: an error that is seen without the truth. Several points of noise land on one.
# - In many dimensions the divergence of the velocity is estimated by probes. The standard error says how well.
# - A known equation trains a flow map by the same losses. It saves evaluations in a row. Whether it saves time depends
#   on the price of an evaluation of the velocity, on the accuracy that is wanted, and on how well the map was learned.
# - Chaos bounds a forecast: each Lyapunov time multiplies an error by about $e$. Our maps of Lorenz's equations are
#   limited by their training, and not by chaos alone.
#
# ## Exercises
#
# 1. A forecast shall have an error below 1, and the first error is $10^{-6}$ in place of $10^{-3}$. How many Lyapunov
#    times more does it reach? Set `more` to it.

# %% tags=["solution"]
### BEGIN SOLUTION
more = torch.log(torch.tensor(1e-3 / 1e-6)).item()
### END SOLUTION

# %%
course.check("13.8", more)

# %% [markdown]
# <details><summary>Answer</summary>
#
# The error after $n$ Lyapunov times is $\epsilon\, e^n$. It is 1 at $n = -\log \epsilon$. So the forecast gains $\log
# 1000 \approx 6.9$ Lyapunov times.
#
# </details>
#
# 2. Show that a jump does not fold where $(t - s)\, |\nabla v_{s,t}| < 1$.
#
# <details><summary>Answer</summary>
#
# $\nabla X = I + (t - s)\, \nabla v$. Let the factor before $\nabla v$ grow from 0 to $t - s$. The matrix is the
# identity at first and never singular on the way, since $|(t - s)\, \nabla v\, w| < |w|$ for every $w \ne 0$. So its
# determinant never crosses 0, and stays positive.
#
# </details>
#
# 3. Why is every determinant of a Lorenz jump over the time $\Delta$ the same, $e^{-(10 + 1 + 8/3) \Delta}$?
#
# <details><summary>Answer</summary>
#
# $\log \det \nabla X$ is the integral of the divergence of $f$ along the way. The divergence is the sum of the
# diagonal of $\nabla f$: $-10 - 1 - 8/3$ at every state. Volumes shrink, although lengths grow in one direction.
#
# </details>
#
# ## Next
#
# This was the last lesson. The list of all lessons is in [README.md](README.md). The methods of the literature are in
# the table of [lesson 07](07_one_table_for_all_methods.ipynb), and [your own data](11_your_own_data.ipynb) is in
# lesson 11.
#
# ## References
#
# - Rezende & Mohamed 2015, *Variational inference with normalizing flows*: the change of variables along a chain.
# - Hutchinson 1989, *A stochastic estimator of the trace of the influence matrix*.
# - Grathwohl et al. 2018, *FFJORD*, arXiv 1810.01367: the estimate along a flow.
# - Boffi, Albergo & Vanden-Eijnden 2025, arXiv 2505.18825: the losses.
# - Lorenz 1963, *Deterministic nonperiodic flow*; Sprott 2003, *Chaos and time-series analysis*: the exponent 0.906.
# - Benettin, Galgani, Giorgilli & Strelcyn 1980: how Lyapunov exponents are computed.
