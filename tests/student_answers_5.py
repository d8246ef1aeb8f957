# ruff: noqa: ARG001, ARG005, E731  students' functions do not use all that they are given
"""Answers to assignment 5 as students write them, for each method that they may get: right and wrong ones."""

from dataclasses import replace

import sources
import torch
from torch.func import jvp

from flowmap_edu.course.given.drawn_method import own
from flowmap_edu.losses import Batch, Diagonal, Jumps
from flowmap_edu.methods import METHODS, loss

ONE = torch.ones_like
C = lambda t: t[:, None]


def mean_flow(X, s, u, t, x0, x1):
    """Two reverse passes in the place of jvp; u is written as in the source."""
    u = lambda z, r, tau: -X.v(1 - tau, 1 - r, z)
    return sources.mean_flow(u, u, x1, x0, 1 - t, 1 - s, p=0)


def mean_flow_in_ours(X, s, u, t, x0, x1, dx=None, sg=torch.detach, clock=1.0, length=None):
    x, dx = C(1 - s) * x0 + C(s) * x1, x1 - x0 if dx is None else dx(x0, x1)
    v, change = jvp(lambda s, x: X.v(s, t, x), (s, x), (clock * ONE(s), dx))
    return (v - sg(dx + C(t - s if length is None else length) * change)).square().sum(1)


def consistency(X, s, u, t, x0, x1):
    f = lambda x, tau: X(1 / (1 + tau), torch.ones_like(tau), x / C(1 + tau))
    return sources.consistency_training_discrete(f, f, x1, x0, (1 - s) / s, (1 - u) / u)


def consistency_in_ours(X, s, u, t, x0, x1, sg=torch.detach, scale=True, later=None):
    f = lambda x, s: X(s, ONE(s), C(s) * x if scale else x)
    first = x1 + C((1 - s) / s) * x0
    second = x1 + C((1 - u) / u) * x0 if later is None else later(first)
    return (f(first, s) - sg(f(second, u))).square().sum(1)


def shortcut(X, s, u, t, x0, x1):
    net = lambda x, t, d: X.v(t, t + d, x)
    return sources.shortcut(net, net, C(1 - s) * x0 + C(s) * x1, s, (t - s) / 2, 0.0)


def shortcut_in_ours(X, s, u, t, x0, x1, sg=torch.detach, second=None, share=0.5):
    x = C(1 - s) * x0 + C(s) * x1
    later = X.v(u, t, X(s, u, x)) if second is None else second(x)
    return (X.v(s, t, x) - sg(share * (X.v(s, u, x) + later))).square().sum(1)


def by_row(row, data_at=None, dx=None):
    """The loss of a row; the data's points and slopes as arguments."""

    def ours(X, s, u, t, x0, x1):
        at = s if data_at is None else t
        x, slope = C(1 - at) * x0 + C(at) * x1, x1 - x0 if dx is None else dx(x0, x1)
        return loss(X, Batch(Diagonal(s[:0], x[:0], x[:0]), Jumps(s, u, t, x, slope)), row)

    return ours


same = lambda x: x
backwards = lambda x0, x1: x0 - x1
ROWS = {
    "mean flow": replace(METHODS["lsd"], condition="eulerian", velocity="sample", stopgrad="semi"),
    "consistency training": replace(METHODS["ct-discrete"], weight="landing"),
    "shortcut model": replace(METHODS["psd-m"], times="dyadic"),
}
RIGHT = {
    "a5.2 mean flow": [mean_flow, mean_flow_in_ours],
    "a5.2 consistency training": [consistency, consistency_in_ours],
    "a5.2 shortcut model": [shortcut, shortcut_in_ours],
    "a5.4 mean flow": [by_row(ROWS["mean flow"]), mean_flow],
    "a5.4 consistency training": [by_row(ROWS["consistency training"]), consistency],
    "a5.4 shortcut model": [by_row(ROWS["shortcut model"]), by_row(METHODS["psd-m"])],
}
WRONG = {
    "a5.2 mean flow": [
        (lambda *case: mean_flow_in_ours(*case, sg=same), "the target has a gradient"),
        (lambda *case: mean_flow_in_ours(*case, clock=0.0), "The value is wrong"),
        (lambda X, s, u, t, x0, x1: mean_flow_in_ours(X, s, u, t, x0, x1, length=ONE(s)), "tau - r is missing"),
        (lambda *case: mean_flow_in_ours(*case).detach(), "no gradient reaches"),
        (shortcut, "The value is wrong"),
        (
            lambda X, s, u, t, x0, x1: sources.mean_flow(
                *2 * [lambda z, r, tau: X.v(1 - tau, 1 - r, z)], x1, x0, 1 - t, 1 - s, p=0
            ),
            "u has the wrong sign",
        ),
        (
            lambda X, s, u, t, x0, x1: sources.mean_flow(
                *2 * [lambda z, r, tau: -X.v(1 - r, 1 - tau, z)], x1, x0, 1 - t, 1 - s, p=0
            ),
            "The two times of u are exchanged",
        ),
    ],
    "a5.2 consistency training": [
        (lambda *case: consistency_in_ours(*case, sg=same), "the target has a gradient"),
        (lambda *case: consistency_in_ours(*case, scale=False), "The point is not scaled"),
        (lambda *case: consistency_in_ours(*case, later=same), "The value is wrong"),
        (lambda *case: consistency_in_ours(*case).mean(), "The shape is"),
        (lambda X, s, *more: consistency_in_ours(X, s, *more) / (1 - s) ** 2, "the residual of v"),
    ],
    "a5.2 shortcut model": [
        (lambda *case: shortcut_in_ours(*case, sg=same), "the target has a gradient"),
        (lambda X, s, u, t, *x: shortcut_in_ours(X, s, u, t, *x, second=lambda x: X.v(u, t, x)), "starts at x"),
        (lambda X, s, u, t, *x: shortcut_in_ours(X, s, u, t, *x, second=lambda x: X.v(s, u, X(s, u, x))), "time t. It"),
        (lambda *case: shortcut_in_ours(*case, share=1.0), "Their mean is wanted"),
        (lambda *case: shortcut_in_ours(*case).sqrt(), "The value is wrong"),
    ],
    "a5.3 mean flow": [
        (lambda right: ["eulerian", "self", "semi", "triangle"], "the sample's own slope"),
        (lambda right: ["eulerian", "sample", "semi", "to one"], "all pairs of times"),
        (lambda right: ["eulerian", "sample", "none", "triangle"], "Nothing is held"),
        (lambda right: ["lagrangian", "sample", "semi", "triangle"], "'lagrangian' is not it"),
        (lambda right: right[:3], "4 values are wanted"),
    ],
    "a5.3 consistency training": [
        (lambda right: ["semigroup", "teacher", "convex", "grid"], "consistency distillation"),
        (lambda right: ["semigroup", "sample", "convex", "to one"], "neighbours on a grid"),
        (lambda right: ["semigroup", "self", "convex", "grid"], "whose slope is that"),
        (lambda right: ["eulerian", "sample", "convex", "grid"], "'eulerian' is not it"),
    ],
    "a5.3 shortcut model": [
        (lambda right: ["semigroup", "teacher", "convex", "dyadic"], "progressive distillation"),
        (lambda right: ["semigroup", "self", "convex", "triangle"], "not of all lengths"),
        (lambda right: ["semigroup", "self", "none", "dyadic"], "Nothing is held"),
        (lambda right: "semigroup", "4 values are wanted"),
    ],
    "a5.4 mean flow": [
        (by_row(replace(ROWS["mean flow"], stopgrad="none")), "look at the stopgrad"),
        (by_row(METHODS["meanflow"]), "The weight of your row"),
        (by_row(ROWS["mean flow"], dx=backwards), "the wrong sign: dx"),
        (by_row(ROWS["mean flow"], data_at="t"), "A jump starts at I_s"),
        (by_row(METHODS["lsd"]), "The value is wrong"),
    ],
    "a5.4 consistency training": [
        (by_row(replace(ROWS["consistency training"], stopgrad="none")), "look at the stopgrad"),
        (by_row(METHODS["ct-discrete"]), "The value is wrong"),
        (by_row(replace(METHODS["ct-discrete"], weight="one")), "The weight of your row"),
        (by_row(ROWS["consistency training"], dx=backwards), "the wrong sign: dx"),
    ],
    "a5.4 shortcut model": [
        (by_row(replace(ROWS["shortcut model"], stopgrad="none")), "look at the stopgrad"),
        (by_row(ROWS["shortcut model"], data_at="t"), "A jump starts at I_s"),
        (lambda X, s, u, t, x0, x1: shortcut(X, s, u, t, x1, x0), "Noise and data are exchanged"),
        (by_row(METHODS["lsd"]), "The value is wrong"),
    ],
}


def both(student, theirs, free):
    """The gradients of the mean loss over the student's batch, one tensor a parameter: as it is, and without sg."""
    _, X, batch = own(student)
    return [torch.autograd.grad(f(X, *batch).mean(), list(X.slope.parameters())) for f in (theirs, free)]


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


def by_the_formula(f):
    """One long vector for each loss, as in the model answer."""

    def cosine(student):
        held, full = map(flat, both(student, f, lambda *case: f(*case, sg=same)))
        return float(held @ full / held.norm() / full.norm())

    return cosine


def by_the_row(row):
    """By the library's loss, parameter by parameter; a tensor in single precision."""

    def cosine(student):
        pairs = list(zip(*both(student, by_row(row), by_row(replace(row, stopgrad="none"))), strict=True))
        product, one, other = (sum((p[i] * p[j]).sum() for p in pairs) for i, j in ((0, 1), (0, 0), (1, 1)))
        return (product / (one * other).sqrt()).float()

    return cosine


def of_gradients(f, made):
    """A number that is made of the two gradients."""
    return lambda student: made(*map(flat, both(student, f, lambda *case: f(*case, sg=same))))


def first_parameter(f):
    """The cosine for the first parameter alone."""

    def cosine(student):
        held, full = both(student, f, lambda *case: f(*case, sg=same))
        return float(torch.cosine_similarity(held[0].flatten(), full[0].flatten(), dim=0))

    return cosine


def wrong_numbers(f):
    """What students compute in the place of the cosine, and what is said of it."""
    angle = lambda a, b: torch.cosine_similarity(a, b, dim=0).acos()
    return [
        (of_gradients(f, lambda held, full: held @ full), "That is the inner product"),
        (of_gradients(f, lambda held, full: full.norm() / held.norm()), "the ratio of the lengths"),
        (of_gradients(f, angle), "That is the angle."),
        (of_gradients(f, lambda held, full: angle(held, full).rad2deg()), "in degrees"),
        (of_gradients(f, lambda held, full: torch.cosine_similarity(held, held, dim=0)), "was sg left out"),
        (of_gradients(f, lambda held, full: torch.cosine_similarity(held, -full, dim=0)), "The sign is reversed"),
        (first_parameter(f), "is not the number"),
        (of_gradients(f, lambda held, full: (held, full)), "A number is wanted"),
    ]


FORMULAS = {
    "mean flow": mean_flow_in_ours, "consistency training": consistency_in_ours, "shortcut model": shortcut_in_ours,
}  # fmt: skip
RIGHT_NUMBERS = {name: [by_the_formula(f), by_the_row(ROWS[name])] for name, f in FORMULAS.items()}
WRONG_NUMBERS = {name: wrong_numbers(f) for name, f in FORMULAS.items()}
