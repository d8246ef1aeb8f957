"""The exercises of lesson 01: interpolant, velocity, Euler's method, KL64, flow matching."""

import math

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.answers_01 import (
    batches,
    bundled,
    cloud,
    crowd,
    from_start,
    growth,
    heun,
    learned_judged,
    loss,
    mean_and_error,
    pairs,
    paths,
    scattered,
    shares,
    shorter_late,
    towards,
    walk,
    walks,
    waste,
    ways,
    weighted,
)
from flowmap_edu.course.exercises.training_loop import loop_judged
from flowmap_edu.interpolant import Linear
from flowmap_edu.metrics.kl import counted

EXERCISES = {
    "01.1": Exercise(
        asks="I_t and dI_t of each sample, two tensors of the shape of x0",
        shown="The line of each sample starts at its noise and ends at its data.",
        right=lambda t, x0, x1: Linear()(t, x0, x1),
        cases=pairs,
        mistakes={
            "Noise and data are exchanged: at t = 0 the interpolant must be x0.": lambda t, x0, x1: (
                Linear()(t, x1, x0)[0], x1 - x0,
            ),
            "The slope points from the data to the noise.": lambda t, x0, x1: (Linear()(t, x0, x1)[0], x0 - x1),
            "The slope is multiplied by t. The line is straight: its slope does not depend on t.": lambda t, x0, x1: (
                Linear()(t, x0, x1)[0], t[:, None] * (x1 - x0),
            ),
            "Only the data is scaled. The noise needs its factor too.": lambda t, x0, x1: (
                x0 + t[:, None] * x1, x1 - x0,
            ),
        },
    ),
    "01.2": Exercise(
        asks="the mean of the slopes whose I_t is closer to x than radius, and its standard error, shape (D,) each",
        shown="A conditional mean is a mean over the samples that meet the condition.",
        right=bundled,
        cases=crowd,
        mistakes={
            "The mean of the places is taken. The mean of the slopes is wanted.": lambda I_t, _, x, r: (
                bundled(I_t, I_t, x, r)
            ),
            "All samples are averaged. Only those close to x count.": lambda *a: mean_and_error(a[1]),
            "The samples far from x are averaged.": lambda I_t, dI, x, r: (
                mean_and_error(dI[(I_t - x).norm(dim=1) >= r])
            ),
            "The squared distance is compared with the radius.": lambda I_t, dI, x, r: bundled(I_t, dI, x, r**0.5),
            "The error is that of one slope. That of a mean of n slopes is smaller.": lambda *a: (
                bundled(*a, root=False)
            ),
        },
    ),
    "01.3": Exercise(
        asks="b_t(x) for data that is uniform over the given samples, shape (B, D)",
        shown="The velocity points to a weighted mean of the data, and no network was needed.",
        right=weighted,
        cases=cloud,
        mistakes={
            "The weights are those of x - y. At time t the data y has moved the noise to t y.": lambda t, x, y, s: (
                weighted(t, x, y, s, start=1.0)
            ),
            "sigma is missing from the weights.": lambda t, x, y, _: weighted(t, x, y, 1.0),
            "(1 - t) sigma is not squared in the weights.": lambda t, x, y, s: weighted(t, x, y, s, power=1),
            "The weights sum to 1 over the points x. They have to sum to 1 over the data.": lambda t, x, y, s: (
                weighted(t, x, y, s, axis=0)
            ),
            "That is the mean of x1, not the velocity.": lambda t, x, y, s: (1 - t) * weighted(t, x, y, s) + x,
            "The division by 1 - t is missing.": lambda t, x, y, s: (1 - t) * weighted(t, x, y, s),
        },
    ),
    "01.4": Exercise(
        asks="the points after `steps` steps of Euler's method from time 0 to time 1, shape (B, D)",
        shown="One evaluation of the velocity is one step.",
        right=walk,
        cases=walks,
        mistakes={
            "The velocity is read at the end of each step. Euler's method reads it at the start.": lambda v, x, n: (
                walk(v, x, n, late=1)
            ),
            "The velocity is always read at time 0: the clock stands still.": lambda v, x, n: (
                walk(v, x, n, clock=False)
            ),
            "A step has the length 1. It has to be 1 / steps.": lambda v, x, n: walk(v, x, n, length=False),
            "The velocity is always read at the first point. The point moves.": from_start,
            "One step is missing.": lambda v, x, n: (
                x if n < 2 else walk(lambda t, y: v(t * (n - 1) / n, y) * (n - 1) / n, x, n - 1)
            ),
        },
    ),
    "01.5": Exercise(
        asks="KL64 of the points, a number",
        shown="The halves keep the score finite where a bin is empty.",
        right=lambda x, _: counted(x)[0],
        cases=scattered,
        mistakes={
            "The mean is over all 4,096 bins. p is 1 / 2048 on the white ones and 0 elsewhere.": lambda x, _: (
                -(2048 * shares(x)).log().mean().item()
            ),
            "The half counts are missing.": lambda x, white: -(2048 * shares(x, 0, 0)[white]).log().mean().item(),
            "The shares do not sum to 1: the half counts are missing below the line.": lambda x, white: (
                -(2048 * shares(x, below=0)[white]).log().mean().item()
            ),
            "p is taken for 1 / 4096. Only the white bins have a share.": lambda x, white: (
                -(4096 * shares(x)[white]).log().mean().item()
            ),
            "p and q are exchanged.": lambda x, white: (
                (shares(x)[white] * (2048 * shares(x)[white]).log()).sum().item()
            ),
        },
    ),
    "01.6": Exercise(
        asks="the points after `steps` steps from t_k to t_{k+1}, t_k = 1 - (1 - k / steps)^2, shape (B, D)",
        shown="The steps add up to 1, and the last one is the shortest.",
        right=shorter_late,
        cases=walks,
        mistakes={
            "The steps become longer. They have to be short near time 1.": lambda v, x, n: (
                shorter_late(v, x, n, early=True)
            ),
            "All steps have the same length: this is Euler's method as before.": walk,
            "The velocity is read at the end of each step.": lambda v, x, n: shorter_late(v, x, n, late=1),
            "The steps have the right lengths, but the velocity is read at the times k / steps.": lambda v, x, n: (
                shorter_late(lambda t, y: v(1 - (1 - t) ** 0.5, y), x, n)
            ),
        },
    ),
    "01.7": Exercise(
        asks="for each path the mean over time of |b - chord|^2, shape (B,)",
        shown="It is 0 only for a path whose velocity is its chord at all times.",
        right=waste,
        cases=paths,
        mistakes={
            "The chord is not subtracted.": lambda b, _: b.square().sum(-1).mean(0),
            "The mean over time is taken before the square: there it is almost 0 for every true path.": lambda b, c: (
                (b.mean(0) - c).square().sum(-1)
            ),
            "The times are summed and not averaged.": lambda b, c: (b - c).square().sum(-1).sum(0),
            "The length is not squared.": lambda b, c: (b - c).norm(dim=-1).mean(0),
            "The mean is over the paths. It has to be over the times.": lambda b, c: (b - c).square().sum(-1).mean(1),
        },
    ),
    "01.8": Exercise(
        asks="the derivative in time of |x_t - end|, shape (T, B)",
        shown="A point moves away where its velocity and the direction from its end make an angle below 90 degrees.",
        right=growth,
        cases=ways,
        mistakes={
            "It is multiplied by the distance: the direction has to have the length 1.": lambda b, path, ends: (
                (b * (path - ends)).sum(-1)
            ),
            "That is the speed, not the growth of a distance.": lambda b, *_: b.norm(dim=-1),
            "The direction is that of the chord. The point has left the start.": towards,
            "The chord's direction is taken, and with the wrong sign.": lambda *a: -towards(*a),
            "The coordinates are not summed: the product of two vectors is a number.": lambda b, path, ends: (
                b * (path - ends) / (path - ends).norm(dim=-1, keepdim=True)
            ),
        },
    ),
    "01.9": Exercise(
        asks="|v_t(I_t) - dI_t|^2 of each sample, shape (B,), with its gradient",
        shown="Pairs of noise and data are all that this loss needs.",
        right=loss,
        cases=batches,
        parameters=lambda v, *_: list(v.parameters()),
        mistakes={
            "The target is the data. A velocity is wanted, so the target is a slope.": lambda v, t, a, b: (
                loss(v, t, a, b, lambda _, b: b)
            ),
            "The target points from the data to the noise.": lambda v, t, a, b: loss(v, t, a, b, lambda a, b: a - b),
            "The network is asked at the data. It has to be asked at I_t.": lambda v, t, a, b: (
                (v(t, b) - (b - a)).square().sum(1)
            ),
            "The squares are averaged over the coordinates. They have to be summed.": lambda v, t, a, b: (
                loss(v, t, a, b) / 2
            ),
            "The network's output is detached: nothing can be learned.": lambda v, t, a, b: loss(v, t, a, b).detach(),
        },
    ),
    "01.10": Exercise(
        asks="a function that trains for `steps` steps and returns the losses, a list of `steps` numbers",
        shown="Each step had the gradient of its own loss, and of nothing else.",
        law=loop_judged,
    ),
    "01.11": Exercise(
        asks="a function of a network that returns the function velocity(t, x), for a number t",
        shown="Euler's method cannot tell a learned velocity from the exact one.",
        law=learned_judged,
    ),
    "01.12": Exercise(
        asks="W of exercise 1, a number",
        shown="Every path ends where it began, so all of the motion is wasted.",
        right=2 - math.pi / 2,
        tolerance=0.005,
        mistakes={
            "That is the irreducible loss.": math.pi / 2,
            "That is E|x1 - x0|^2 of random pairs. The ends of one path are wanted.": 2.0,
            "That would need b = 0. The points move, and come back.": 0.0,
            "E x_t^2 was taken for 1. It is S(t)^2.": math.pi / 2 - 1,
        },
    ),
    "01.13": Exercise(
        asks="the points after `steps` steps of Heun's method, the last one by Euler's, shape (B, D)",
        shown="Two evaluations a step, but for the last one.",
        right=heun,
        cases=walks,
        mistakes={
            "The last step reads the velocity at time 1. It has to be a step of Euler's method.": lambda v, x, n: (
                heun(v, x, n, end=True)
            ),
            "The second slope is read at the old point. It belongs to the point after the Euler step.": (
                lambda v, x, n: heun(v, x, n, moved=False)
            ),
            "The second slope is read at the old time.": lambda v, x, n: heun(v, x, n, clock=0),
            "That is Euler's method: the second slope is not used.": walk,
        },
    ),
}  # fmt: skip
