# ruff: noqa: ARG005, E731  students' functions do not use all that they are given
"""Answers to assignments 2 and 3 as students write them: right ones, and wrong ones with what is said of them."""

import torch
from torch.func import jvp


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


def gaussian_on_one_line(s, t, x, m, c):
    a, b = (torch.hypot(1 - u, c * u)[:, None] for u in (s, t))
    return m + (x - m * s[:, None]) * ((1 + c * c) * (s + t) - 2)[:, None] / (a * a + a * b)


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


def eulerian_along(X, s, t, x, w):
    return jvp(lambda u, y: X(u, t, y), (s, x), (torch.ones_like(s), w))[1]


def gaussian_map(s, t, x, m, c):
    S = lambda t: torch.sqrt((1 - t) ** 2 + (c * t) ** 2)
    return m * t[:, None] + (S(t) / S(s))[:, None] * (x - m * s[:, None])


RIGHT = {
    "a2.2": [
        lambda X, s, t, x: (X(s, t, x) - x) / (t - s).unsqueeze(1),
        looped(lambda X, s, t, x: X.v(s, t, x)),
        single(lambda X, s, t, x: X.v(s, t, x)),
    ],
    "a2.3": [landing_speed, by_product_rule, by_reverse_mode, looped(landing_speed)],
    "a2.4": [gaussian, gaussian_on_one_line],
    "a3.2": [own_velocity, lambda X, t, x: -jvp(lambda s: X(s, t, x), (t,), (torch.ones_like(t),))[1]],
    "a3.3": [lagrangian, looped(lagrangian)],
    "a3.4": [eulerian, eulerian_in_two_parts, by_short_jumps],
    "a3.5": [
        lambda X, s, u, t, x: X(u, t, X(s, u, x)) - X(s, t, x),
        looped(lambda X, s, u, t, x: X(u, t, X(s, u, x)) - X(s, t, x)),
    ],
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
}
