"""The formulas of docs/methods, written anew in the pages' notation: each has the value and gradient of its row.

The functions below are read beside the pages. `sources.py` has the publications' own formulas in their notation.
"""

import itertools
import math

import laws
import pytest
import torch
from sources import norm2, total
from test_methods import Case, case

from flowmap_edu import METHODS
from flowmap_edu.times import moved

DONE = 0.3  # share of the training, or of the ramp, that is done


def sg(value: torch.Tensor) -> torch.Tensor:
    return value.detach()


class Page:
    """The symbols of the pages at one batch: v and X, the averages (bar), the teacher (hat), times of shape (B, 1)."""

    def __init__(self, c: Case):
        self.v, self.bar_v, self.hat_v = c.net, c.slow, c.teacher_net
        self.s, self.u, self.t, self.x, self.dI, self.x0 = c.s, c.u, c.t, c.x, c.dx, c.x0
        self.one, self.end = torch.ones_like(c.s), c.path[:, -1] if hasattr(c, "path") else c.x1

    def X(self, s, t, x, v=None):
        return x + (t - s)[:, None] * (v or self.v)(s, t, x)

    def b(self, t, x):
        return self.hat_v(t, t, x)

    def own(self, t, x):
        return self.v(t, t, x)

    def along(self, f, b):
        """d/ds f(s, x) when s moves with 1 and x with b: the partial derivative in s and the gradient times b."""
        return total(f, (self.s, self.x), (self.one, b), keep=True)

    def bracket(self, t, b, first=None, rho=1.0):
        """first + rho (t - s) (d/ds v + grad v b)."""
        moved = self.along(lambda s, x: self.v(s, t, x), b)
        return sg((b if first is None else first) + rho * (t - self.s)[:, None] * moved)

    def semi(self, t, b, **more):
        """|r|^2 of the target above."""
        return norm2(self.v(self.s, t, self.x) - self.bracket(t, b, **more))

    def eulerian(self, b, hold=lambda pushed: pushed):
        """|d/ds X + grad X b|^2, a part of it held."""
        s_part = total(lambda s: self.X(s, self.t, self.x), (self.s,), (self.one,), keep=True)
        pushed = total(lambda x: self.X(self.s, self.t, x), (self.x,), (b,), keep=True)
        return norm2(s_part + hold(pushed))

    def lagrangian(self, target):
        """|d/dt X - target|^2."""
        return norm2(total(lambda t: self.X(self.s, t, self.x), (self.t,), (self.one,), keep=True) - target)

    def landed(self):
        return self.X(self.s, self.t, self.x)

    def two(self, h, v, shortest=0.0):
        """|v_{s,t}(x) - sg[(1-h) v_{s,u}(x) + h v_{u,t}(X_{s,u}(x))]|^2; jumps of the shortest length read v_{s,s}."""
        short = lambda s, t, x: v(s, torch.where(t - s <= shortest, s, t), x)  # noqa: E731
        first, h = short(self.s, self.u, self.x), h[:, None]
        second = short(self.u, self.t, self.x + (self.u - self.s)[:, None] * first)
        return norm2(self.v(self.s, self.t, self.x) - sg((1 - h) * first + h * second))

    def h(self):
        return (self.t - self.u) / (self.t - self.s)

    def neighbours(self, u, t, b):
        """|X_{s,t}(x) - sg X_{u,t}(x + (u-s) b)|^2."""
        later = self.x + (u - self.s)[:, None] * b
        return norm2(self.X(self.s, t, self.x) - sg(self.X(u, t, later)))

    def partly(self, alpha):
        """|v_{s,t}(x) - sg[alpha dI + (1-alpha) v_{u,t}(I_u)]|^2, u = s + alpha (t-s)."""
        u = self.s + alpha * (self.t - self.s)
        later = self.v(u, self.t, self.x + (u - self.s)[:, None] * self.dI)
        return norm2(self.v(self.s, self.t, self.x) - sg(alpha * self.dI + (1 - alpha) * later))


def tangent(e):
    return e / (sg(e).sqrt() + 0.1)


def adaptive(e):
    return e / (sg(e) + 0.001)


def difference(p: Page, d: float = 0.005):
    """The central difference of v_{s,t}(I_s) along the line; one-sided at an end of time."""
    early, late = (p.s - d).clamp(min=0), (p.s + d).clamp(max=1)
    before, after = (p.v(time, p.t, p.x + (time - p.s)[:, None] * p.dI) for time in (early, late))
    return (after - before) / (late - early)[:, None]


def easy(p: Page):
    """s u / (u-s) |D|^2 / sg|D|, the noise level (1-s)/(2s) cut by the stage."""
    tau, k = (1 - p.s) / (2 * p.s), math.floor(8 * DONE) + 1
    left = tau * (1 - 2.0**-k * (1 + 8 / (1 + tau.exp()))).clamp(min=0)
    u = 1 / (1 + 2 * left)
    e = p.neighbours(u, p.one, p.dI)
    return p.s * u / (u - p.s) * e / sg(e).sqrt()


def transition(p: Page):
    e = norm2(p.v(p.s, p.t, p.x) - sg(p.dI + (p.t - p.s)[:, None] * difference(p)))
    return e / (sg(e) + 1e-5) / ((1 - p.s).tan() - (1 - p.t).tan() + 1).sqrt()


def anchored(p: Page):
    e, a = p.semi(p.one, p.dI), 1 - p.s.sqrt()
    return (math.pi * p.s / 2).cos() * a * e / (a**2 * sg(e) + 0.001).sqrt()


def back(p: Page):
    """Flow map matching: there, and back."""
    y = p.X(p.s, p.t, p.x)
    moved = total(lambda y, s: p.X(p.t, s, y), (y, p.s), (0 * y, p.one), keep=True)
    return norm2(moved - p.dI) + norm2(p.X(p.t, p.s, y) - p.x)


def carried(p: Page):
    """Consistency trajectory models: compared at time 1."""
    bar = lambda s, t, x: p.X(s, t, x, p.bar_v)  # noqa: E731
    there = bar(p.t, p.one, bar(p.u, p.t, bar(p.s, p.u, p.x)))
    return norm2(bar(p.t, p.one, p.landed()) - sg(there))


ALPHA = 1 / (1 + math.exp(25 * (DONE - 0.5)))
SOFLOW = 0.1 * 0.02**DONE
OBJECTIVES = {
    "lsd": lambda p: p.lagrangian(sg(p.own(p.t, p.landed()))),
    "tvm": lambda p: p.lagrangian(sg(p.bar_v(p.t, p.t, p.landed()))),
    "fmm": back,
    "esd": lambda p: p.eulerian(p.own(p.s, p.x), hold=sg),
    "psd-m": lambda p: p.two(p.h(), p.v),  # u is half way up to the rounding of its draw: see below
    "psd-u": lambda p: p.two(p.h(), p.v),
    "lmd": lambda p: p.lagrangian(p.b(p.t, p.landed())),
    "freeflow": lambda p: norm2(
        p.v(0 * p.t, p.t, p.x0)
        - sg(
            p.b(p.t, p.X(0 * p.t, p.t, p.x0))
            - p.t[:, None] * total(lambda t: p.v(0 * p.t, t, p.x0), (p.t,), (p.one,))
        )
    ),
    "emd": lambda p: p.eulerian(p.b(p.s, p.x)),
    "ct": lambda p: (1 - p.s) * p.semi(p.one, p.dI),
    "sct": lambda p: tangent(p.semi(p.one, p.dI, rho=DONE)),
    "facm": anchored,
    "ct-discrete": lambda p: 64 * p.neighbours(p.s + 1 / 64, p.one, p.dI),
    "ect": easy,
    "consistency-fm": lambda p: p.neighbours(p.u, torch.where(p.s < 0.5, 0.5, 1.0).double(), p.dI),
    "cd": lambda p: (1 - p.s) * p.semi(p.one, p.b(p.s, p.x)),
    "scd": lambda p: tangent(p.semi(p.one, p.b(p.s, p.x), rho=DONE)),
    "cd-discrete": lambda p: 64 * p.neighbours(p.s + 1 / 64, p.one, p.b(p.s, p.x)),
    "cmt": lambda p: norm2(p.X(p.s, p.one, p.x) - p.end),
    "shortcut": lambda p: p.two(0.5 * p.one, p.bar_v, shortest=1 / 128),
    "ctm": carried,
    "pd": lambda p: torch.maximum(p.s**2, (1 - p.s) ** 2) * p.two(0.5 * p.one, p.hat_v, shortest=1 / 128),
    "ayf-emd": lambda p: tangent(p.semi(p.t, p.b(p.s, p.x), rho=DONE)),
    "ayf-lmd": lambda p: norm2(
        p.v(p.s, p.t, p.x)
        - sg(
            p.b(p.t, p.landed()) - (p.t - p.s)[:, None] * total(lambda t: p.v(p.s, t, p.x), (p.t,), (p.one,))
        )
    ),
    "meanflow": lambda p: adaptive(p.semi(p.t, p.dI)),
    "imf": lambda p: adaptive(p.semi(p.t, sg(p.own(p.s, p.x)), first=p.dI)),
    "tim": transition,
    "alphaflow": lambda p: ALPHA * adaptive(p.partly(ALPHA)),
    "soflow": lambda p: SOFLOW * (e := p.partly(SOFLOW)) / (sg(e) + 0.01 * SOFLOW**2),
    "split-meanflow": lambda p: p.two(p.h(), p.v),
}  # fmt: skip
ON_THE_DIAGONAL = {  # what the pages say of a sample there, where it is not flow matching with the weight one
    "meanflow": adaptive, "imf": adaptive, "alphaflow": adaptive, "tim": lambda e: e / (sg(e) + 1e-5),
    "soflow": lambda e: e / (sg(e) + 0.01),
}  # fmt: skip


def said(c: Case) -> torch.Tensor:
    """What the page's formulas give, one value a sample: the diagonal first, where the row trains it."""
    t = c.on[:, None]
    on = norm2(c.net(c.on, c.on, (1 - t) * c.on0 + t * c.on1) - (c.on1 - c.on0))
    on = ON_THE_DIAGONAL.get(c.name, lambda e: e)(on)
    parts = [on] if c.method.diagonal != 0 else []
    return torch.cat([*parts, OBJECTIVES[c.name](Page(c))] if c.name in OBJECTIVES else parts)


def computed(c: Case) -> torch.Tensor:
    """What the row computes of the same batch."""
    return c.loss(c.method.diagonal != 0, **({"ramp": DONE} if c.method.tangent_warmup else {}))


@pytest.mark.parametrize("name", METHODS)
def test_the_formula_of_a_page_is_what_its_row_computes(name):
    c = case(name)
    ours = computed(c)
    theirs = said(c)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert c.gap(ours, theirs) < 1e-10


def test_the_second_formula_of_eulerian_self_distillation_is_convex():
    c = case("esd", stopgrad="convex")
    p = Page(c)
    assert c.gap(c.loss(), p.eulerian(sg(p.own(p.s, p.x)))) < 1e-10
    assert c.gap(c.loss(), OBJECTIVES["esd"](p)) > 0.01


def test_a_stop_is_where_the_pages_say():
    for name, u in (
        ("consistency-fm", lambda s, t: torch.where(s + 0.001 < 0.9, torch.minimum(s + 0.001, t), t)),
        ("ct-discrete", lambda s, t: s + 1 / 64),  # noqa: ARG005
        ("psd-m", lambda s, t: (s + t) / 2),
        ("shortcut", lambda s, t: (s + t) / 2),
    ):
        c = case(name)
        torch.testing.assert_close(c.u, u(c.s, c.t), rtol=0, atol=1e-6)


def test_the_formula_of_another_row_is_noticed():
    """At the same pairs every other formula gives another gradient than mean flow's."""
    c = case("meanflow")
    ours = c.loss()
    others = [name for name in OBJECTIVES if METHODS[name].times == "triangle" and name != "meanflow"]
    assert len(others) > 10
    for name in others:
        assert c.gap(ours, OBJECTIVES[name](Page(c))) > 1e-3, name


def test_the_factor_of_easy_consistency_tuning_keeps_its_gradient_from_growing():
    """Near s = 0 a sample's gradient grows like 1/s without the factor s u, as its page says, and not with it."""
    lengths, without = [], []
    for s in (1e-2, 1e-4, 1e-6):
        c = case("ect")
        c.s = torch.full_like(c.s, s)
        c.x = (1 - s) * c.x0 + s * c.x1
        value, u = c.loss(ramp=DONE), moved("stages", c.s, c.t, DONE)
        torch.testing.assert_close(u - c.s, c.s / 7, rtol=0.2, atol=0.0)  # k = 3
        lengths.append(laws.gradient(value, c.net).norm())
        without.append(laws.gradient(value / (c.s * u), c.net).norm())
    assert all(90 < after / before < 110 for before, after in itertools.pairwise(without))
    assert lengths[2] < lengths[1] < lengths[0]
