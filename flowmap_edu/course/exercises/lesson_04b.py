"""The exercises of lesson 04b: where the gradient stops, and which waves a gradient step lets grow."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu.course.checking import difference
from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.cases import curved, parameters, points, times
from flowmap_edu.course.exercises.waves_04b import WAVES
from flowmap_edu.flow_map import FlowMap


def jumps() -> list[tuple[FlowMap, Tensor, Tensor, Tensor]]:
    """(X, s, t, x)."""
    s, t = times(7)
    return [(curved(), s, t, points(7))]


def roles() -> list[tuple[FlowMap, FlowMap, Tensor, Tensor, Tensor]]:
    """(X, teacher, s, t, x): two maps with different weights."""
    X, s, t, x = jumps()[0]
    return [(X, curved(seed=1), s, t, x)]


def of_both(X: FlowMap, teacher: FlowMap, *_: object) -> list[Tensor]:
    """The parameters of the pupil and of the teacher."""
    return [*parameters(X), *parameters(teacher)]


def frozen(X: FlowMap) -> FlowMap:
    """A copy whose weights get no gradient."""
    slope: Any = copy.deepcopy(X.slope)
    return FlowMap(slope.requires_grad_(False))


def square(r: Tensor) -> Tensor:
    """|r|^2 of each sample."""
    return r.square().sum(1)


def lagrangian(X: FlowMap, teacher: FlowMap, s: Tensor, t: Tensor, x: Tensor, hold: bool = True) -> Tensor:
    """The Lagrangian loss of a pupil X and a teacher, asked where the pupil lands; that point held or not."""
    landed, moves = X.partial_t(s, t, x)
    return square(moves - teacher.velocity(t, landed.detach() if hold else landed))


def eulerian(
    X: FlowMap, s: Tensor, t: Tensor, x: Tensor, *, velocity: bool = False, pushed: bool = False, clock: bool = False
) -> Tensor:
    """The Eulerian loss; what is named is held."""
    b = X.velocity(s, x)
    b = b.detach() if velocity else b
    carried = X.push(s, t, x, b)[1]
    moves = X.partial_s(s, t, x)[1]
    return square((moves.detach() if clock else moves) + (carried.detach() if pushed else carried))


def semigroup(
    X: FlowMap, s: Tensor, t: Tensor, x: Tensor, *, long: bool = False, first: bool = False, second: bool = False
) -> Tensor:
    """The semigroup loss of the slopes, half way; the slopes that are named are held."""
    u = (s + t) / 2
    one, whole = X.v(s, u, x), X.v(s, t, x)
    one = one.detach() if first else one
    start = x + (u - s)[:, None] * one
    two = (frozen(X) if second else X).v(u, t, start)
    return square((whole.detach() if long else whole) - (one + two) / 2)


def columns(X: FlowMap, s: float, t: float, x: Tensor) -> Tensor:
    """The Jacobian of X_{s,t} at x, shape (B, 2, 2): [sample, entry of X, entry of x]."""
    return torch.stack([X.push(s, t, x, e.expand_as(x))[1] for e in torch.eye(2, dtype=x.dtype)], 2)


def of_first_layer(net: nn.Sequential) -> Tensor:
    """Three numbers that depend on the first layer of a network alone."""
    return square(net[0](points(3, 3)))


def of_the_mean(gradient: Any) -> str | None:
    """The gradient of the mean in all weights, one vector. A graph is used once: each try makes its own."""
    net = nn.Sequential(nn.Linear(3, 2, dtype=torch.float64), nn.Linear(2, 1, dtype=torch.float64))
    weights = list(net.parameters())
    parts = torch.autograd.grad(of_first_layer(net).mean(), weights, allow_unused=True)
    right = torch.cat(
        [(torch.zeros_like(w) if g is None else g).flatten() for w, g in zip(weights, parts, strict=True)]
    )
    found = gradient(of_first_layer(net), net)
    if isinstance(found, Tensor) and found.shape == right.shape and torch.allclose(found, 3 * right):
        return "That is the gradient of the sum over the batch. The mean is wanted."
    if isinstance(found, Tensor) and found.ndim == 0:
        return "That is one number. The vector of all entries is wanted."
    if isinstance(found, Tensor) and found.ndim == 1 and len(found) < len(right):
        return "Some weights are missing. One that the values do not depend on has the gradient zero."
    return difference(found, right, 1e-6)


EXERCISES = {
    "04b.1": Exercise(
        asks='the Lagrangian loss "convex", one number a sample, shape (B,)',
        shown="The value is that of lesson 04; the gradient reaches the pupil alone.",
        right=lambda X, s, t, x: lagrangian(X, frozen(X), s, t, x),
        cases=jumps,
        parameters=parameters,
        mistakes={
            "Nothing is held: the gradient still takes all three paths.": lambda X, s, t, x: lagrangian(
                X, X, s, t, x, hold=False
            ),
            "The landing point is held, but the weights of the teacher still get a gradient.": (
                lambda X, s, t, x: lagrangian(X, X, s, t, x)
            ),
            "The weights of the teacher are held, but a gradient still flows through the landing point.": (
                lambda X, s, t, x: lagrangian(X, frozen(X), s, t, x, hold=False)
            ),
            "The pupil is held, and the teacher learns. It has to be the other way round.": lambda X, s, t, x: square(
                X.partial_t(s, t, x)[1].detach() - X.velocity(t, X(s, t, x))
            ),
        },
    ),
    "04b.2": Exercise(
        asks="the Lagrangian loss of a pupil and a teacher, one number a sample, shape (B,)",
        shown="The two roles have their own weights now, so each gradient can be taken alone.",
        right=lagrangian,
        cases=roles,
        parameters=of_both,
        mistakes={
            "The landing point is not held: it still carries the pupil's gradient.": lambda X, teacher, s, t, x: (
                lagrangian(X, teacher, s, t, x, hold=False)
            ),
            "The teacher's weights get no gradient. Here both roles keep theirs; only the landing point is held.": (
                lambda X, teacher, s, t, x: lagrangian(X, frozen(teacher), s, t, x)
            ),
            "The roles are swapped: X makes the jump, the teacher says the velocity.": (
                lambda X, teacher, s, t, x: lagrangian(teacher, X, s, t, x)
            ),
            "The teacher is asked where its own jump lands. It has to be asked where the pupil lands.": (
                lambda X, teacher, s, t, x: square(
                    X.partial_t(s, t, x)[1] - teacher.velocity(t, teacher(s, t, x).detach())
                )
            ),
            "The pupil is asked for the velocity too. That is the teacher's role.": (
                lambda X, _, s, t, x: lagrangian(X, X, s, t, x)
            ),
        },
    ),
    "04b.3": Exercise(
        asks="the gradient of the mean, one vector with an entry for each weight",
        shown="A weight that the values do not depend on has the gradient zero.",
        law=of_the_mean,
    ),
    "04b.4": Exercise(
        asks='the Eulerian loss "convex", one number a sample, shape (B,)',
        shown="With the velocity held the residual is linear in v.",
        right=lambda X, s, t, x: square(X.eulerian(s, t, x, X.velocity(s, x).detach())[1]),
        cases=jumps,
        parameters=parameters,
        mistakes={
            "Nothing is held. The velocity that is pushed forward has to be.": lambda *a: eulerian(*a),
            'The whole second term is held: that is "full". Here the velocity alone is held.': (
                lambda *a: eulerian(*a, velocity=True, pushed=True)
            ),
            "The first term, d/ds X, is held.": lambda *a: eulerian(*a, clock=True),
            "The velocity and the first term are held.": lambda *a: eulerian(*a, velocity=True, clock=True),
        },
    ),
    "04b.5": Exercise(
        asks='the Eulerian loss "full", one number a sample, shape (B,)',
        shown="The gradient reaches d/ds X alone. The value is the same as before.",
        right=lambda X, s, t, x: square(
            X.partial_s(s, t, x)[1] + frozen(X).push(s, t, x, X.velocity(s, x).detach())[1]
        ),
        cases=jumps,
        parameters=parameters,
        mistakes={
            "Nothing is held. The whole second term has to be.": lambda *a: eulerian(*a),
            'The velocity alone is held: that is "convex". Here grad X is held too.': (
                lambda *a: eulerian(*a, velocity=True)
            ),
            "The first term is held and the second learns. It has to be the other way round.": (
                lambda *a: eulerian(*a, clock=True)
            ),
            "The weights of grad X are held, but the velocity in it still carries a gradient.": lambda X, s, t, x: (
                square(X.partial_s(s, t, x)[1] + frozen(X).push(s, t, x, X.velocity(s, x))[1])
            ),
        },
    ),
    "04b.6": Exercise(
        asks='the semigroup loss "convex" with the stop half way, one number a sample, shape (B,)',
        shown="The two short jumps teach, the long one learns.",
        right=lambda *a: semigroup(*a, first=True, second=True),
        cases=jumps,
        parameters=parameters,
        mistakes={
            "Nothing is held. The bracket has to be.": lambda *a: semigroup(*a),
            "The first short jump is held, the second is not.": lambda *a: semigroup(*a, first=True),
            "The second short jump's weights are held, but the first short jump is not.": (
                lambda *a: semigroup(*a, second=True)
            ),
            "The long jump is held, and the short ones learn. It has to be the other way round.": (
                lambda *a: semigroup(*a, long=True)
            ),
        },
    ),
    "04b.11": Exercise(
        asks="the growth of a squared error, one number a sample, shape (B,)",
        shown="Two products with the Jacobian gave all four of its entries.",
        right=lambda X, s, t, x: columns(X, s, t, x).square().sum((1, 2)) / 2,
        cases=lambda: [(curved(), 0.2, 0.9, points(7))],
        mistakes={
            "The division by two is missing: the error points along each axis with equal chance.": lambda *a: (
                columns(*a).square().sum((1, 2))
            ),
            "The entries are summed and not their squares.": lambda *a: columns(*a).sum((1, 2)) / 2,
            "Only the first column of the Jacobian is there.": lambda *a: columns(*a)[:, :, 0].square().sum(1) / 2,
            "The determinant is the growth of an area. Here the growth of a squared length is wanted.": lambda *a: (
                torch.linalg.det(columns(*a))
            ),
            "Only the two entries on the Jacobian's diagonal are there.": lambda *a: (
                columns(*a).diagonal(dim1=1, dim2=2).square().sum(1) / 2
            ),
        },
    ),
} | WAVES
