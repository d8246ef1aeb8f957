# ruff: noqa: ARG005  students' functions do not use all that they are given
"""Answers to assignments 4 to 6 as students write them: right ones, and wrong ones with what is said of them."""

import torch
from student_answers_2_3 import by_product_rule, landing_speed, looped
from torch.func import jvp


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


def kl_and_leak(count, n, p, half=0.5, total=None):
    q = (count + half) / (n + count.numel() / 2 if total is None else total)
    on = p > 0
    return (p * torch.where(on, (p / q).log(), 0.0)).nan_to_num().sum(), 1 - count[on].sum() / n


def kl_looped(count, n, p):
    kl = leak = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            if p[i, j] > 0:
                kl += p[i, j] * torch.log(p[i, j] * (n + p.numel() / 2) / (count[i, j] + 0.5))
            else:
                leak += count[i, j] / n
    return kl, leak + 1 - count.sum() / n


RIGHT = {
    "a4.2": [linear_by_hand, linear_by_autograd],
    "a4.3": [lsd, lsd_by_product_rule, looped(lsd)],
    "a4.4": [esd, looped(esd)],
    "a4.5": [psd, psd_by_points, looped(psd)],
    "a6.2": [kl_and_leak, kl_looped],
}
WRONG = {
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
    "a6.2": [
        (lambda count, n, p: kl_and_leak(count, n, p, half=0.0, total=n), "The half count in each bin is missing"),
        (lambda count, n, p: kl_and_leak(count, n, p, total=n), "q does not sum to one"),
        (
            lambda count, n, p: (kl_and_leak(count, n, p)[0], count[p == 0].sum() / n),
            "The leak counts black bins alone",
        ),
        (lambda count, n, p: (kl_and_leak(count, n, p)[0] / 0.6931471805599453, 0.1), "Value 1 of 2"),
        (lambda count, n, p: (kl_and_leak(count, n, p)[0], 1 - kl_and_leak(count, n, p)[1]), "Value 2 of 2"),
        (lambda count, n, p: kl_and_leak(count, n, p)[0], "2 values are wanted"),
        (lambda count, n, p: (-kl_and_leak(count, n, p)[0], kl_and_leak(count, n, p)[1]), "The sign is reversed"),
    ],
}
