"""The exercises of lesson 07: published losses as their sources write them, and the rows that equal them.

Those from terminal velocity matching on are in later_07.py.
"""

import dataclasses

import torch

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises import published as p
from flowmap_edu.course.exercises.cases import parameters
from flowmap_edu.course.exercises.later_07 import FREE, LATER
from flowmap_edu.methods import METHODS

EXERCISES = {
    "07.1": Exercise(
        asks="the discrete consistency loss of Song et al., one value a sample, shape (B,)",
        shown="Two neighbouring points of one line, one of them held: that is the first consistency loss.",
        right=p.discrete,
        cases=lambda: [(p.Consistency(), *p.noisy())],
        parameters=p.weights,
        mistakes={
            FREE: lambda f, x1, z, tau, later: (
                p.norm2(f(x1 + tau[:, None] * z, tau) - f(x1 + later[:, None] * z, later))
            ),
            "The noisier point is held, and the cleaner one is trained. It is the other way round.": (
                lambda f, x1, z, tau, later: p.discrete(f, x1, z, later, tau)
            ),
            "Both terms are read at the same point. The cleaner point has less noise.": lambda f, x1, z, tau, later: (
                p.norm2(f(x1 + tau[:, None] * z, tau) - f(x1 + tau[:, None] * z, later).detach())
            ),
            "Both terms are read at the same noise level. f has to be told that the second point is cleaner.": (
                lambda f, x1, z, tau, later: p.norm2(
                    f(x1 + tau[:, None] * z, tau) - f(x1 + later[:, None] * z, tau).detach()
                )
            ),
            "The data are scaled down. In the source's notation the point is data plus noise: nothing shrinks.": (
                lambda f, x1, z, tau, later: p.norm2(
                    f((1 - tau[:, None]) * x1 + tau[:, None] * z, tau)
                    - f((1 - later[:, None]) * x1 + later[:, None] * z, later).detach()
                )
            ),
            "This is the distance. The loss is the squared distance.": lambda *case: p.discrete(*case).sqrt(),
        },
    ),
    "07.2": Exercise(
        asks="the consistency function of a map, shape (B, 2)",
        shown="Their clock and their scale are translated: one map, two notations.",
        right=p.translated,
        cases=lambda: [(p.points(p.N), p.noisy()[2], p.curved())],
        mistakes={
            "The time s is 1 minus the right one: at the noise level 0 the point is data, and s is 1 there.": (
                p.with_kind(p.translated, "time")
            ),
            "The point is not scaled: I_s is s times theirs.": p.with_kind(p.translated, "scale"),
            "The jump goes from 1 to s. It goes from s to 1.": p.with_kind(p.translated, "order"),
            "The noise has the standard deviation sigma, and s depends on it.": p.with_kind(p.translated, "sigma"),
        },
    ),
    "07.3": Exercise(
        asks="the continuous consistency objective, one value a sample, shape (B,)",
        shown="The derivative along the sample's line is held, and f alone is trained.",
        right=p.continuous,
        cases=lambda: [(p.Consistency(), *p.noisy()[:3])],
        parameters=p.weights,
        mistakes={
            "The derivative still carries a gradient. In the source it is held fixed (sg).": lambda f, x1, z, tau: (
                f(x1 + tau[:, None] * z, tau) * p.moving(f, (x1 + tau[:, None] * z, tau), (z, 1.0))
            ).sum(1),
            "The point stands still. When tau grows, the point moves along its line too.": lambda f, x1, z, tau: (
                p.continuous(f, x1, z, tau, (0.0, 1.0))
            ),
            "The clock stands still. f depends on tau in two places: in the point and by itself.": (
                lambda f, x1, z, tau: p.continuous(f, x1, z, tau, (z, 0.0))
            ),
            "The point moves towards the data. The derivative of x1 + tau z in tau is another vector.": (
                lambda f, x1, z, tau: p.continuous(f, x1, z, tau, (x1, 1.0))
            ),
            "This is the squared derivative. The objective is a product of two different factors.": (
                lambda f, x1, z, tau: p.norm2(p.moving(f, (x1 + tau[:, None] * z, tau), (z, 1.0)))
            ),
        },
    ),
    "07.4": Exercise(
        asks="mean flow's loss with its adaptive weight, one value a sample, shape (B,)",
        shown="One derivative, one target that is held, one weight: this is mean flow.",
        right=p.mean_flow,
        cases=p.mean_flow_cases,
        parameters=p.weights,
        mistakes={
            FREE: lambda *case: p.mean_flow(*case, held=False),
            "The velocity v points from noise to data. In mean flow's notation it points the other way.": (
                lambda *case: p.mean_flow(*case, sign=-1.0)
            ),
            "The derivative moves r. In mean flow the time t and the point z move together.": (
                lambda *case: p.mean_flow(*case, along=1)
            ),
            "The point moves and no time does: the tangent of t is 1.": lambda *case: p.mean_flow(*case, along=0),
            "The factor t - r before the derivative is missing.": lambda *case: p.mean_flow(*case, factor=False),
            "The weight carries a gradient. It has to be held fixed, or it cancels what it weighs.": p.free_weight,
        },
    ),
    "07.5": Exercise(
        asks="mean flow as a row: dataclasses.replace of another row of the table",
        shown="Five choices and a share of the batch say all that the formula says.",
        law=p.is_mean_flow,
        mistakes={
            words: dataclasses.replace(METHODS["meanflow"], **changed)
            for words, changed in zip(
                p.CHOICES.values(),
                (
                    {"condition": "semigroup", "stopgrad": "convex"},
                    {"velocity": "self"},
                    {"stopgrad": "convex"},
                    {"times": "to one"},
                    {"weight": "tangent"},
                    {"diagonal": 0.0},
                ),
                strict=True,
            )
        },
    ),
    "07.6": Exercise(
        asks='the push on the true map under "convex", a number',
        shown="The push needs the map's gradient and the sample's error alone: its sign can be read off.",
        right=p.push,
        cases=lambda: [(torch.randn(9, 2, 2, generator=g, dtype=torch.float64),
                        torch.randn(9, 2, generator=g, dtype=torch.float64))
                       for g in [torch.Generator().manual_seed(0)]],
        mistakes={
            "The -1 is missing: this is the square of the pushed error alone.": lambda J, d: (
                2 * p.norm2(torch.einsum("bij,bj->bi", J, d)).mean()
            ),
            "The matrix is transposed: row i of the gradient gives entry i of the pushed vector.": lambda J, d: (
                p.push(J.mT, d)
            ),
            "The error itself stands where the pushed error, gradient times error, should stand.": lambda J, d: (
                2 * (d * (torch.einsum("bij,bj->bi", J, d) - d)).sum(1).mean()
            ),
            "The mean is over the entries too. A sample's entries are summed.": lambda J, d: p.push(J, d) / 2,
            "Matrix and vector are multiplied entry by entry.": lambda J, d: (
                2 * ((J * d[:, :, None]).sum(1) * ((J * d[:, :, None]).sum(1) - d)).sum(1).mean() * 0
                + 2 * ((J.diagonal(dim1=1, dim2=2) * d) * (J.diagonal(dim1=1, dim2=2) * d - d)).sum(1).mean()
            ),
        },
    ),
    "07.7": Exercise(
        asks="the point m at which the weighted mean of slopes - m is zero, shape (2,)",
        shown="The weights depend on m, and m on the weights. Where both stand still is what a regression finds.",
        right=p.centre,
        cases=lambda: [(p.points(40), p.near)],
        mistakes={
            "This is the plain mean: the weights have no effect.": lambda slopes, _: slopes.mean(0),
            "The weights are taken once. They have to be taken again after each move of m.": (
                p.with_kind(p.centre, "once")
            ),
            "The weight gets the distance. It wants the squared distance.": p.with_kind(p.centre, "length"),
            "The weighted sum is divided by the number of slopes, not by the sum of the weights.": (
                p.with_kind(p.centre, "count")
            ),
        },
    ),
    "07.8": Exercise(
        asks="flow map matching's loss, one value a sample, shape (B,)",
        shown="The jump ends at the sample, and there the sample's slope is a fair estimate of the velocity.",
        right=p.matching,
        cases=p.jumps,
        parameters=parameters,
        mistakes={
            "The jump starts at the sample. It has to end there.": lambda X, s, t, x, dx: (
                p.matching_at(X, s, t, x, dx, x)
            ),
            "The way there and the way back are exchanged: x is a point at time t.": lambda X, s, t, x, dx: (
                p.matching_at(X, s, t, x, dx, X(s, t, x))
            ),
            "The jump to the start is held fixed. In this source the gradient goes through both jumps.": (
                lambda X, s, t, x, dx: p.matching_at(X, s, t, x, dx, X(t, s, x).detach())
            ),
            "The second term is missing: the jump back must end at the sample.": lambda X, s, t, x, dx: (
                p.norm2(X.partial_t(s, t, X(t, s, x))[1] - dx)
            ),
            "The map's own velocity stands where the sample's slope should stand.": lambda X, s, t, x, _: (
                p.matching_at(X, s, t, x, X.velocity(t, x), X(t, s, x))
            ),
            "The derivative is taken in s. Here the end of the jump moves.": lambda X, s, t, x, dx: (
                p.norm2(X.partial_s(s, t, X(t, s, x))[1] - dx) + p.norm2(X(s, t, X(t, s, x)) - x)
            ),
        },
    ),
} | LATER  # fmt: skip
