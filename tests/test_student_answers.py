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


def own_velocity(X, t, x):
    return jvp(lambda end: X(t, end, x), (t,), (torch.ones_like(t),))[1]


def lagrangian(X, s, t, x):
    return landing_speed(X, s, t, x) - own_velocity(X, t, X(s, t, x))


def eulerian_in_two_parts(X, s, t, x):
    clock = jvp(lambda start: X(start, t, x), (s,), (torch.ones_like(s),))[1]
    return clock + jvp(lambda point: X(s, t, point), (x,), (own_velocity(X, s, x),))[1]


def eulerian(X, s, t, x):
    return jvp(lambda u, y: X(u, t, y), (s, x), (torch.ones_like(s), own_velocity(X, s, x)))[1]


def by_short_jumps(X, s, t, x):
    """Without jvp: a central difference of fourth order."""
    f = lambda h: X(s + h, t, x + h[:, None] * own_velocity(X, s, x))
    h = torch.full_like(s, 1e-3)
    return (8 * (f(h) - f(-h)) - f(2 * h) + f(-2 * h)) / 12e-3


def linear_by_hand(a, c, d, x):
    r = d * (2 * c - a**2 - a * c * d) * x
    return 2 * r * d * (-2 * a - c * d) * x, 2 * r * d * (2 - a * d) * x, 2 * r * x, 4 * r * d * x


def linear_by_autograd(a, c, d, x):
    return tuple(g for held in (False, True) for g in linear_loss(a, c, d, x, held))


def linear_loss(a, c, d, x, held, factor=2.0, hold=("a", "X")):
    """Gradients for a and c of the squared residual; `factor` belongs before c d in d/dt X."""
    a, c = a.clone().requires_grad_(), c.clone().requires_grad_()
    landed = (1 + a * d + c * d**2) * x
    slope = a.detach() if held and "a" in hold else a
    r = (a + factor * c * d) * x - slope * (landed.detach() if held and "X" in hold else landed)
    return torch.autograd.grad(r.square().sum(), (a, c))


def lsd(X, s, t, x):
    with torch.no_grad():
        target = X.v(t, t, X(s, t, x))
    return (landing_speed(X, s, t, x) - target).square().sum(1)


def lsd_by_product_rule(X, s, t, x):
    return ((by_product_rule(X, s, t, x) - X.velocity(t, X(s, t, x)).detach()) ** 2).sum(-1)


def lsd_held(X, s, t, x, speed=lambda r: r, target=lambda r: r.detach(), at=lambda x: x.detach()):
    """With what is held, and where the velocity is read, as arguments."""
    r = speed(landing_speed(X, s, t, x)) - target(X.v(t, t, at(X(s, t, x))))
    return r.square().sum(1)


def esd_along(X, s, t, x, w, clock=lambda r: r, held=lambda r: r.detach()):
    along_s = jvp(lambda start: X(start, t, x), (s,), (torch.ones_like(s),))[1]
    return (clock(along_s) + held(jvp(lambda y: X(s, t, y), (x,), (w,))[1])).square().sum(1)


def esd(X, s, t, x):
    return esd_along(X, s, t, x, X.v(s, s, x))


def psd(X, s, u, t, x, long=lambda r: r, short=lambda r: r.detach(), h=None, start=None):
    h = ((t - u) / (t - s) if h is None else h)[:, None]
    bracket = (1 - h) * X.v(s, u, x) + h * X.v(u, t, X(s, u, x) if start is None else start(x))
    return (long(X.v(s, t, x)) - short(bracket)).square().sum(1)


def psd_by_points(X, s, u, t, x):
    with torch.no_grad():
        end = X(u, t, X(s, u, x))
    return ((X(s, t, x) - end) / (t - s)[:, None]).square().sum(1)


def same(r):
    return r


RIGHT = {
    "a2.2": [
        lambda X, s, t, x: (X(s, t, x) - x) / (t - s).unsqueeze(1),
        looped(lambda X, s, t, x: X.v(s, t, x)),
        single(lambda X, s, t, x: X.v(s, t, x)),
    ],
    "a2.3": [landing_speed, by_product_rule, by_reverse_mode, looped(landing_speed)],
    "a2.4": [gaussian],
    "a3.2": [own_velocity, lambda X, t, x: -jvp(lambda s: X(s, t, x), (t,), (torch.ones_like(t),))[1]],
    "a3.3": [lagrangian, looped(lagrangian)],
    "a3.4": [eulerian, eulerian_in_two_parts, by_short_jumps],
    "a3.5": [
        lambda X, s, u, t, x: X(u, t, X(s, u, x)) - X(s, t, x),
        looped(lambda X, s, u, t, x: X(u, t, X(s, u, x)) - X(s, t, x)),
    ],
    "a4.2": [linear_by_hand, linear_by_autograd],
    "a4.3": [lsd, lsd_by_product_rule, looped(lsd)],
    "a4.4": [esd, looped(esd)],
    "a4.5": [psd, psd_by_points, looped(psd)],
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
    "a3.2": [
        (lambda X, t, x: jvp(lambda s: X(s, t, x), (t,), (torch.ones_like(t),))[1], "The derivative is taken in s"),
        (lambda X, t, x: jvp(lambda u: X(u, u, x), (t,), (torch.ones_like(t),))[1], "Both times move together"),
        (lambda X, t, x: landing_speed(X, torch.zeros_like(t), t, x), "The jump starts at time 0"),
        (lambda X, t, x: X(t, t, x), "That is where the jump lands"),
        (lambda X, t, x: (X(t, t, x) - x) / (t - t)[:, None], "not finite"),
        (lambda X, t, x: 2 * own_velocity(X, t, x), "2 times what is wanted"),
    ],
    "a3.3": [
        (lambda X, s, t, x: landing_speed(X, s, t, x) - own_velocity(X, t, x), "read at the start x"),
        (lambda X, s, t, x: landing_speed(X, s, t, x) - own_velocity(X, s, X(s, t, x)), "read at the time s"),
        (lambda X, s, t, x: landing_speed(X, s, t, x) + own_velocity(X, t, X(s, t, x)), "The two terms are added"),
        (lambda X, s, t, x: -lagrangian(X, s, t, x), "The sign is reversed"),
        (lambda X, s, t, x: lagrangian(X, s, t, x).square().sum(1), "The shape is"),
        (eulerian, "That is the Eulerian residual"),
    ],
    "a3.4": [
        (lambda X, s, t, x: eulerian_along(X, s, t, x, own_velocity(X, t, X(s, t, x))), "read where the map lands"),
        (lambda X, s, t, x: eulerian_along(X, s, t, x, own_velocity(X, t, x)), "read at the time t"),
        (lambda X, s, t, x: eulerian_along(X, s, t, x, -own_velocity(X, s, x)), "The two terms are subtracted"),
        (lambda X, s, t, x: eulerian_along(X, s, t, x, 0 * x) + own_velocity(X, s, x), "not pushed forward"),
        (lagrangian, "The value is wrong"),
    ],
    "a3.5": [
        (lambda X, s, u, t, x: X(u, t, x) - X(s, t, x), "The second jump starts at x"),
        (lambda X, s, u, t, x: X(s, u, X(u, t, x)) - X(s, t, x), "in the wrong order"),
        (lambda X, s, u, t, x: X(s, t, x) - X(u, t, X(s, u, x)), "The sign is reversed"),
        (lambda X, s, u, t, x: X((s + t) / 2, t, X(s, (s + t) / 2, x)) - X(s, t, x), "The stop is half way"),
        (lambda X, s, u, t, x: (X(u, t, X(s, u, x)) - X(s, t, x)) / (t - s), "The value is wrong"),
    ],
    "a3.6": [
        (lambda right: "".join(k for k in "ABCDE" if k not in right), "no flow maps"),
        (lambda right: "ABCDE", "Not all five"),
        (lambda right: "", "is not it"),
        (lambda right: list(right), "is not it"),
    ],
    "a3.7": [
        (lambda right: right**2, "Take the root"),
        (lambda right: right / 2**0.5, "Sum the square over the two coordinates"),
        (lambda right: 1.01 * right, "is not the number"),
        (lambda right: torch.full((512,), right), "A number is wanted"),
    ],
    "a4.2": [
        (lambda a, c, d, x: tuple(g / 2 for g in linear_by_hand(a, c, d, x)), "The factor 2 of the square"),
        (lambda a, c, d, x: linear_by_hand(a, c, d, x)[2:] + linear_by_hand(a, c, d, x)[:2], "are exchanged"),
        (
            lambda a, c, d, x: (*linear_loss(a, c, d, x, False), *linear_loss(a, c, d, x, True, hold="a")),
            "the landing point is not",
        ),
        (
            lambda a, c, d, x: tuple(g for k in (False, True) for g in linear_loss(a, c, d, x, k, factor=1.0)),
            "v stands in the place of d/dt X",
        ),
        (lambda a, c, d, x: tuple(-g for g in linear_by_hand(a, c, d, x)), "The sign is reversed"),
        (lambda a, c, d, x: linear_by_hand(a, c, d, x)[:2], "4 values are wanted"),
    ],
    "a4.3": [
        (lambda X, s, t, x: lsd_held(X, s, t, x, target=same, at=same), "the target has a gradient"),
        (lambda X, s, t, x: lsd_held(X, s, t, x, target=same), "The landing point is held, the velocity"),
        (lambda X, s, t, x: lsd_held(X, s, t, x, torch.detach, same, same), "The wrong term is held"),
        (lambda X, s, t, x: lsd_held(X, s, t, x, at=lambda y: x), "read at the start x"),
        (lambda X, s, t, x: (X.v(s, t, x) - X.v(t, t, X(s, t, x)).detach()).square().sum(1), "the product rule adds"),
        (lambda X, s, t, x: lsd(X, s, t, x).detach(), "no gradient reaches the parameters"),
        (lambda X, s, t, x: lsd(X, s, t, x).mean(), "The shape is"),
        (lambda X, s, t, x: lsd(X, s, t, x) / 2, "0.5 times what is wanted"),
        (lambda X, s, t, x: lsd(X, s, t, x)[:, None], "The shape is"),
    ],
    "a4.4": [
        (lambda X, s, t, x: esd_along(X, s, t, x, X.v(s, s, x), held=same), "the second term has a gradient"),
        (lambda X, s, t, x: esd_along(X, s, t, x, X.v(s, s, x).detach(), held=same), "Only the velocity is held"),
        (lambda X, s, t, x: esd_along(X, s, t, x, X.v(s, s, x), torch.detach, same), "The wrong term is held"),
        (lambda X, s, t, x: esd_along(X, s, t, x, -X.v(s, s, x)), "The two terms are subtracted"),
        (lambda X, s, t, x: esd_along(X, s, t, x, X.v(t, t, X(s, t, x))), "read where the map lands"),
        (lsd, "The value is wrong"),
    ],
    "a4.5": [
        (lambda X, s, u, t, x: psd(X, s, u, t, x, h=(u - s) / (t - s)), "are exchanged"),
        (lambda X, s, u, t, x: psd(X, s, u, t, x, h=torch.tensor([0.5])), "the weight 1/2"),
        (lambda X, s, u, t, x: psd(X, s, u, t, x, start=same), "The second short jump starts at x"),
        (lambda X, s, u, t, x: psd(X, s, u, t, x, short=same), "the two short jumps have a gradient"),
        (lambda X, s, u, t, x: psd(X, s, u, t, x, torch.detach, same), "The wrong side is held"),
        (lambda X, s, u, t, x: (t - s) ** 2 * psd(X, s, u, t, x), "the residual of X"),
        (lambda X, s, u, t, x: psd(X, s, u, t, x).sum(), "The shape is"),
    ],
    "a4.6": [
        (lambda right: torch.tensor(right).acos(), "That is the angle."),
        (lambda right: torch.tensor(right).acos().rad2deg(), "the angle in degrees"),
        (lambda right: -right, "The sign is reversed"),
        (lambda right: 1, "was the target held"),
        (lambda right: [right, right], "A number is wanted"),
    ],
}


def eulerian_along(X, s, t, x, w):
    return jvp(lambda u, y: X(u, t, y), (s, x), (torch.ones_like(s), w))[1]


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
