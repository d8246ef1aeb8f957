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
# # Assignment 6: a project
#
# **It assumes** lessons 05 and 10. **It takes** 90 to 120 minutes, and as many minutes of training as you like. There are 18
# points: 3 are graded by tests, 15 by hand and by the leaderboard.
#
# **The task.** Train a map of the checkerboard within **one CPU minute**, on one thread, without a GPU. It is placed by KL64
# at **one step**, with 200,000 points: lower is better. Your lecturer may set another problem, budget or number.
#
# **The rules.**
#
# - You may change the network, the method (any row of the table, or a new one), and the settings of the training. The network
#   is an `MLP` of `flowmap_edu`. No shipped map. A teacher is allowed
#   only if it is trained within the same minute.
# - `state.cpu_seconds` counts. A tenth more than the minute is let pass, since a training ends a little late.
# - Hand in this notebook, and the folder `map` with `config.json` and `map.safetensors` as `flowmap_edu.save` writes them. A
#   map that cannot be loaded, holds NaN, is over the budget, or is a copy of another one is named on the leaderboard.
#
# Write only where a cell says so. Hand in the notebook with `TRAIN = False`, so that it runs quickly.

# %% nbgrader={"grade": false, "grade_id": "a6-student", "locked": false, "schema_version": 3, "solution": true, "task": false}
STUDENT = None
### BEGIN SOLUTION
STUDENT = 1234567
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "a6-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch

import flowmap_edu
from flowmap_edu import METHODS, MLP, Training, course
from flowmap_edu.problems import Checkerboard

PROBLEM, MINUTES, POINTS = Checkerboard(), 1.0, 200_000  # the task; your lecturer may set another one


# %% nbgrader={"grade": false, "grade_id": "a6-start", "locked": true, "schema_version": 3, "solution": false, "task": false}
def start(seed):
    """Where you begin: the problem, a small network, a method and a training within the budget."""
    torch.manual_seed(seed)
    return PROBLEM, MLP(2, 64), METHODS["lsd"], Training(minutes=MINUTES, seed=seed, compile=False)


def trained(run):
    """Train a run on one thread, print its scores, and return its state."""
    torch.set_num_threads(1)
    *_, state = flowmap_edu.fit(*run)
    for row in PROBLEM.evaluate(state.X, steps=(1, 2, 4), n=POINTS):
        print(row["steps"], "steps: KL64", round(row["kl64"], 4), "leak", round(row["leak"], 4))
    print(state.step, "steps of training,", round(state.cpu_seconds), "CPU seconds")
    return state


# %%
TRAIN = False  # set it to True to train

# %% [markdown]
# ## Part 1 (4 points, by hand; write it before you train)
#
# The start is the function `start` above: a small network with Adam. Name three changes that you will try. For each one:
# what do you expect for KL64 at one step, better or worse, and why? Name for each a control: a run that differs in this
# change alone.

# %% [markdown] nbgrader={"grade": true, "grade_id": "a6-1", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** For example: (1) A larger share of jumps from $s = 0$ (`at_zero=0.3`). One step uses the map $X_{0,1}$ alone,
# so it should be better. Control: the start with the same seed. (2) A wider network (128 in place of 64). It can draw sharper
# edges, but makes fewer steps in a minute; at one minute I expect no gain. Control: the same number of steps, which shows what
# width alone does. (3) PSD in place of LSD: no derivative, so more steps in the same time. Control: LSD with the same network.
#
# **Rubric.** 1 point for each change with an expectation and a reason that fits the method. 1 point: each control differs in
# one thing alone. Whether the expectation comes true does not count.

# %% [markdown]
# ## Part 2 (3 points)
#
# The number that counts. The plane is cut into $K \times K$ bins, of which `count` has the numbers of points; `n` points were
# drawn in all, and some may lie outside the grid. `p` has the exact share of each bin: it is zero on black bins. With
#
# $$q = \frac{\mathrm{count} + 1/2}{n + K^2 / 2}$$
#
# return two numbers: $\sum p \log (p / q)$ over the bins with $p > 0$, in nats; and the leak, the share of the `n` points
# that are in none of these bins.


# %% nbgrader={"grade": false, "grade_id": "a6-2-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kl_and_leak(count, n, p):
    """Two numbers; count and p have shape (K, K), float64, and n is a whole number."""
    ### BEGIN SOLUTION
    white = p > 0
    q = (count + 0.5) / (n + count.numel() / 2)
    kl = (p[white] * (p[white] / q[white]).log()).sum()
    return float(kl), 1 - float(count[white].sum()) / n
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "a6-2", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
course.graded("a6.2", kl_and_leak, student=STUDENT)
### BEGIN HIDDEN TESTS
course.graded("a6.2", kl_and_leak, student=STUDENT, seeds=(1, 2))
### END HIDDEN TESTS

# %% [markdown]
# ## Part 3 (6 points, by the leaderboard)
#
# The function returns the four parts of a run. Begin with the lines of `start` at the top: copy them.
#
# Then change what you like, within the rules.


# %% nbgrader={"grade": false, "grade_id": "a6-3-answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def my_run(seed):
    """The problem, the network, the method and the training."""
    torch.manual_seed(seed)
    ### BEGIN SOLUTION
    net = MLP(2, 64, scale=PROBLEM.sigma)
    training = Training(minutes=MINUTES, seed=seed, batch=384, optimizer="soap", lr=3e-3, at_zero=0.3, compile=False)
    return PROBLEM, net, METHODS["lsd"], training
    ### END SOLUTION


# %% [markdown]
# The next cell trains the start, then your run, and saves your map. It does so only if `TRAIN` is true, and it takes about
# two minutes.

# %% nbgrader={"grade": false, "grade_id": "a6-train", "locked": true, "schema_version": 3, "solution": false, "task": false}
if TRAIN:
    trained(start(seed=0))
    flowmap_edu.save(trained(my_run(seed=0)), "map")

# %% [markdown]
# What is your best KL64 at one step, and what had the start with the same seed? Give both
# numbers for three seeds.

# %% [markdown] nbgrader={"grade": true, "grade_id": "a6-3", "locked": false, "points": 6, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** Two rows of three numbers each, start and best, with the range. The lecturer measures the map that was handed
# in: `flowmap-edu course leaderboard SUBMISSIONS`.
#
# **Rubric.** 2 points: the map is on the leaderboard, within the budget. 2 points: it is better than the start by more than the
# range of the start's three seeds. 2 points: both rows are there, and the number of the leaderboard lies in the range that the
# student gives.

# %% [markdown]
# ## Part 4 (5 points, by hand)
#
# Report in at most 300 words. What did each of your three changes do, against its control, with three seeds and the range? Which
# of your expectations came true? What would you try next, and why?

# %% [markdown] nbgrader={"grade": true, "grade_id": "a6-4", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# **Model answer.** A table with a line for each change: KL64 of change and control, three seeds each, as mean and range. A
# sentence for each: the change helps, harms, or makes no difference that three seeds can show. The text says so where ranges
# overlap. It then compares with part 1, and names a next trial that follows from what was seen.
#
# **Rubric.** 2 points: three seeds and ranges for change and control. 1 point: no conclusion where ranges overlap. 1 point: an
# honest comparison with part 1. 1 point: a next trial with a reason.
