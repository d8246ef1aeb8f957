"""The exercises of lesson 05: the batch, the loss, the training loop, the averaged target, and two scores."""

import math

import torch

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.answers_05 import (
    LOOPS,
    averaged,
    batches,
    gauss,
    interpolate,
    landings,
    looped,
    loss,
    normal,
    on_the_plane,
    pairs,
    posterior,
    psd_m,
    semigroup_with,
    summary,
    swap,
    targets,
    trained,
    two_parts,
    weighted,
    with_mistake,
)
from flowmap_edu.course.exercises.cases import parameters

EXERCISES = {
    "05.1": Exercise(
        asks="x_t and its slope for the first len(t) pairs, x_s for the others: shapes (D, 2), (D, 2), (J, 2)",
        shown="One batch of pairs serves both parts of the loss, and no pair is used twice.",
        right=two_parts,
        cases=pairs,
        mistakes={
            "The two parts share their first pairs. The pairs after the first len(t) are for the jumps.": (
                lambda x0, x1, t, s: (*two_parts(x0, x1, t, s)[:2], interpolate(x0[: len(s)], x1[: len(s)], s))
            ),
            "Time runs the other way: at t = 0 there has to be noise.": lambda x0, x1, t, s: (
                interpolate(x0, x1, 1 - t) if len(t) == len(x0) else interpolate(x0[: len(t)], x1[: len(t)], 1 - t),
                (x1 - x0)[: len(t)],
                interpolate(x0[len(t) :], x1[len(t) :], 1 - s),
            ),
            "The slope is reversed: it leads from the noise to the data.": lambda x0, x1, t, s: (
                two_parts(x0, x1, t, s)[0],
                (x0 - x1)[: len(t)],
                two_parts(x0, x1, t, s)[2],
            ),
            "The slope is that of the jumps' pairs too: only the first len(t) pairs have a slope here.": (
                lambda x0, x1, t, s: (two_parts(x0, x1, t, s)[0], x1 - x0, two_parts(x0, x1, t, s)[2])
            ),
        },
    ),
    "05.2": Exercise(
        asks="the mean over the batch of the squares of both parts, one number",
        shown="One network learns the velocity and the jumps from one number.",
        right=loss,
        cases=batches,
        parameters=parameters,
        mistakes={
            "The target of the second part still carries a gradient.": with_mistake("no cut"),
            "The landing point is held, the velocity read there is not: the target still carries a gradient.": (
                with_mistake("cut the point")
            ),
            "The map's own derivative is held as well: the second part teaches nothing.": with_mistake("cut the map"),
            "The derivative of the jump is taken in its start s. Here its end r moves.": with_mistake("in s"),
            "The velocity is read at the time s. The landing point is there at the time r.": with_mistake("at s"),
            "The velocity is read at the start x_s. It has to be read where the jump lands.": with_mistake("at x_s"),
            "The mean is taken over coordinates as well. The two squares of a sample are summed.": with_mistake(
                "entries"
            ),
            "Each part has its own mean, so both have the same weight. The mean is over the whole batch.": (
                with_mistake("two means")
            ),
            "The squares are summed over the batch. Their mean is wanted.": with_mistake("sum"),
        },
    ),
    "05.3": Exercise(
        asks="a copy of the network, trained, with the averaged weights",
        shown="The loop knows neither the problem nor the method: the batches and the loss bring them.",
        mistakes={words: looped(how) for words, how in LOOPS.items()},
        law=trained,
    ),
    "05.4": Exercise(
        asks="the weighted mean of the slopes (y - x) / (1 - t), shape (B, 2)",
        shown="The target needs samples of the data only, and no density.",
        right=averaged,
        cases=targets,
        mistakes={
            "The weights are those of t = 1: the point y is at t y at the time t.": lambda t, x, y, sigma: weighted(
                t, x, y, normal(gauss(x, y, (1 - t) * sigma))
            ),
            "The spread of the weights does not shrink: at the time t it is (1 - t) sigma.": lambda t, x, y, sigma: (
                weighted(t, x, y, normal(gauss(x, y, sigma + 0 * t, t)))
            ),
            "sigma is missing in the weights.": lambda t, x, y, _: weighted(t, x, y, normal(gauss(x, y, 1 - t, t))),
            "The factor 2 is missing in the exponent of the normal density.": lambda t, x, y, sigma: weighted(
                t, x, y, normal(gauss(x, y, (1 - t) * sigma, t, 1.0))
            ),
            "The weights sum to one over the samples. Each sample's weights have to sum to one over the data.": (
                lambda t, x, y, sigma: weighted(t, x, y, normal(gauss(x, y, (1 - t) * sigma, t), 0))
            ),
            "All data points have the same weight.": lambda t, x, y, _: weighted(
                t, x, y, torch.full((len(x), len(y)), 1 / len(y)).to(x)
            ),
            "This is the mean end point. The mean slope is wanted.": lambda t, x, y, sigma: (
                posterior(t, x, y, sigma) @ y
            ),
            "The slope is not divided by the time that is left, 1 - t.": lambda t, x, y, sigma: (
                posterior(t, x, y, sigma) @ y - x
            ),
        },
    ),
    "05.5": Exercise(
        asks="the least value that the mean loss of a plain target can have with this batch",
        shown="A training loss has a floor that no network can pass, and the floor depends on the recipe.",
        right=2 / 3 * 0.974883,
        tolerance=1e-3,
        mistakes={
            "That is the floor of the diagonal part alone. Only a share of the batch is on the diagonal.": 0.974883,
            "That would be the share of section 1, three quarters. This recipe has another one.": 0.75 * 0.974883,
            "That is the share of the jumps. They can reach zero.": 0.974883 / 3,
            "The jumps can reach zero, the diagonal cannot: it has to guess x1 - x0 from I_t.": 0.0,
        },
    ),
    "05.6": Exercise(
        asks="three numbers: root mean square, median, and the share of the worst twentieth in the squares",
        shown="Three numbers of the same distances: the mean of squares is about few points, the median about most.",
        right=summary,
        cases=landings,
        mistakes={
            "The root is missing in the first number.": lambda x, y: (summary(x, y)[0] ** 2, *summary(x, y)[1:]),
            "The first number is the mean distance. The root of the mean square is wanted.": lambda x, y: (
                float((x - y).norm(dim=1).mean()),
                *summary(x, y)[1:],
            ),
            "The mean is taken over coordinates too: the squares of a point's coordinates are summed.": lambda x, y: (
                summary(x, y)[0] / math.sqrt(2),
                *summary(x, y)[1:],
            ),
            "The share is one of distances. The worst points' share in the squares is wanted.": lambda x, y: (
                *summary(x, y)[:2],
                float((x - y).norm(dim=1).topk(len(x) // 20).values.sum() / (x - y).norm(dim=1).sum()),
            ),
            "The share is that of the best points.": lambda x, y: (
                *summary(x, y)[:2],
                float((x - y).square().sum(1).sort().values[: len(x) // 20].sum() / (x - y).square().sum()),
            ),
        },
    ),
    "05.7": Exercise(
        asks="the loss of PSD-M, mean over the batch, one number",
        shown="Only the second part of the loss tells the methods apart; the loop stays as it is.",
        right=psd_m,
        cases=batches,
        parameters=parameters,
        mistakes={
            "The two short jumps still carry a gradient.": semigroup_with("no cut"),
            "The second short jump starts at x_s. It has to start where the first one lands.": semigroup_with("from x"),
            "The slopes of the short jumps are added. The long jump's slope is their mean.": semigroup_with("sum"),
            "The residual is that of X. The residual of v is wanted, without the factor r - s.": semigroup_with("in X"),
        },
    ),
    "05.8": Exercise(
        asks="the points after the exchange, shape (N, 2)",
        shown="A map can be wrong in where it sends its points and right in all that KL64 can see.",
        right=swap,
        cases=on_the_plane,
        mistakes={
            "Only one of the two squares is moved: the other one gets both crowds.": lambda x: swap(x, both=False),
            "The squares are moved by the wrong length: their centres are 1.5 apart along each axis.": (
                lambda x: swap(x, 1.0)
            ),
            "Every point of the plane is moved. Only the points of the two squares change places.": lambda x: -x,
            "A coordinate alone decides: a point is in a square if both its coordinates are.": lambda x: torch.where(
                ((x > -1) & (x < -0.5)).any(1, keepdim=True),
                x + 1.5,
                torch.where(((x > 0.5) & (x < 1)).any(1, keepdim=True), x - 1.5, x),
            ),
        },
    ),
    "05.9": Exercise(
        asks="a number: the least KL64 of a map with this leak",
        shown="The leak alone sets a lower bound for KL64.",
        right=-math.log1p(-0.08),
        tolerance=2e-3,
        mistakes={
            "That is the leak itself, which is the bound to first order only.": 0.08,
            "That is the logarithm of the leak. What counts is the mass that stayed inside.": -math.log(0.08),
            "The sign is reversed: a divergence is not negative.": math.log1p(-0.08),
        },
    ),
}
