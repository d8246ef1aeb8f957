# ruff: noqa: ARG005, E731  students' functions do not use all that they are given
"""Answers to the assignments as students write them: each wrong one is told why, and right ones may differ."""

import pytest
import torch
from torch.func import jvp

from flowmap_edu.course import student_seed
from flowmap_edu.course.checking import verdict
from flowmap_edu.course.exercise import find

STUDENTS = (student_seed("wrong 1"), student_seed("wrong 2"))


def words(part, answer, student=STUDENTS[0], seed=3):
    """What a student is told of an answer; None if it is right."""
    return verdict(find(part, student=student, seed=seed), answer)


def looped(f):
    """The same answer, one sample at a time."""
    return lambda X, *at: torch.cat([f(X, *(a[k : k + 1] for a in at)) for k in range(len(at[0]))])


def single(f):
    """The same answer, rounded to single precision at the end: within the tolerance."""
    return lambda *at: f(*at).float()


def landing_speed(X, s, t, x):
    return jvp(lambda end: X(s, end, x), (t,), (torch.ones_like(t),))[1]


def by_product_rule(X, s, t, x):
    v, change = jvp(lambda end: X.v(s, end, x), (t,), (torch.ones_like(t),))
    return v + (t - s)[:, None] * change


def by_reverse_mode(X, s, t, x):
    t = t.clone().requires_grad_()
    landed = X(s, t, x)
    return torch.stack([torch.autograd.grad(landed[:, k].sum(), t, retain_graph=True)[0] for k in (0, 1)], 1)


def gaussian(s, t, x, m, c):
    """By the quotient where s < t, by the derivative elsewhere: not as in the model answer."""
    S = lambda t: torch.sqrt((1 - t) ** 2 + (c * t) ** 2)
    d = torch.where(t > s, t - s, 1.0)
    slope = torch.where(t > s, (S(t) - S(s)) / d, (s * (1 + c**2) - 1) / S(s))
    return m + (slope / S(s))[:, None] * (x - m * s[:, None])


RIGHT = {
    "a2.2": [
        lambda X, s, t, x: (X(s, t, x) - x) / (t - s).unsqueeze(1),
        looped(lambda X, s, t, x: X.v(s, t, x)),
        single(lambda X, s, t, x: X.v(s, t, x)),
    ],
    "a2.3": [landing_speed, by_product_rule, by_reverse_mode, looped(landing_speed)],
    "a2.4": [gaussian],
}
WRONG = {
    "a2.2": [
        (lambda X, s, t, x: (x - X(s, t, x)) / (t - s)[:, None], "The sign is reversed"),
        (lambda X, s, t, x: (X(s, t, x) - x) / (t - s), "The times meet the coordinates"),
        (lambda X, s, t, x: (X(s, t, x) - x) / t[:, None], "divided by t. The jump takes"),
        (lambda X, s, t, x: X(s, t, x) - x, "Divide it by the time"),
        (lambda X, s, t, x: (X(s, t, x) - x) / (t - s)[:, None, None], "The shape is"),
        (lambda X, s, t, x: (X(s, t, x).half() - x.half()) / (t - s)[:, None], "The value is wrong"),
        (lambda X, s, t, x: X.v(s, t, x).mean(0), "The shape is"),
        (lambda X, s, t, x: torch.zeros(2, 2), "The value is wrong"),
        (lambda X, s, t, x: x.sub_(X(s, t, x)) / (s - t)[:, None], "changes its argument number 4 in place"),
        (lambda X, s, t, x: X(s, t, x).numpy(), "A tensor is wanted|RuntimeError"),
        (lambda X, s, t, x: None, "is there a `return`"),
        (0.5, "A function is wanted"),
    ],
    "a2.3": [
        (lambda X, s, t, x: jvp(lambda u: X(u, t, x), (s,), (torch.ones_like(s),))[1], "The derivative is taken in s"),
        (lambda X, s, t, x: X.velocity(t, x), "The landing point is asked for"),
        (lambda X, s, t, x: (X(s, t, x) - x) / (t - s)[:, None], "the product rule has two terms"),
        (lambda X, s, t, x: (X(s, t + 1e-3, x) - X(s, t, x)) / 1e-3, "The value is wrong"),
        (lambda X, s, t, x: ((X(s, t + 0.002, x) - X(s, t - 0.002, x)) / 0.004).float(), "single precision"),
        (lambda X, s, t, x: jvp(lambda e: X(s, e, x), (t,), (t,))[1], "The value is wrong"),
        (lambda X, s, t, x: landing_speed(X, s, t, x).sum(1), "The shape is"),
    ],
    "a2.4": [
        (lambda s, t, x, m, c: (gaussian_map(s, t, x, m, c) - x) / (t - s)[:, None], "not finite"),
        (lambda s, t, x, m, c: gaussian_map(s, t, x, m, c), "That is where the point lands"),
        (lambda s, t, x, m, c: gaussian(s, t, x, m, c) - m, "The term m is missing"),
        (lambda s, t, x, m, c: gaussian(s, s, x, m, c), "a jump of length zero"),
        (lambda s, t, x, m, c: gaussian(s, t, x, m, 0.6), "The value is wrong in every sample"),
        (lambda s, t, x, m, c: gaussian(s, t, x, m, c)[:, 0], "The shape is"),
    ],
    "a2.5": [
        (lambda right: 2 * right, "The limit is half of it"),
        (lambda right: -right, "The sign is reversed"),
        (lambda right: 1.0, "the exponent of h"),
        (lambda right: 0.123, "is not the number"),
        (lambda right: f"{right:.3f} or so", "A number is wanted"),
    ],
}


def gaussian_map(s, t, x, m, c):
    S = lambda t: torch.sqrt((1 - t) ** 2 + (c * t) ** 2)
    return m * t[:, None] + (S(t) / S(s))[:, None] * (x - m * s[:, None])


@pytest.mark.parametrize("part", RIGHT)
def test_different_right_answers_are_accepted(part):
    for answer in RIGHT[part]:
        for student in STUDENTS:
            assert words(part, answer, student) is None


@pytest.mark.parametrize("part", WRONG)
def test_wrong_answers_are_told_why(part):
    """Where the answer is a value, a wrong one is made of the right one of this student."""
    exercise = find(part, student=STUDENTS[0])
    assert len(WRONG[part]) >= 4
    for wrong, said in WRONG[part]:
        answer = wrong(exercise.right) if exercise.cases is None else wrong
        told = words(part, answer)
        assert told is not None, said
        assert any(piece in told for piece in said.split("|")), (told, said)
    if exercise.cases is None:
        assert words(part, exercise.right, STUDENTS[1]) is not None  # another student's number
