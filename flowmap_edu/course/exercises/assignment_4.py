"""The parts of assignment 4: the three losses with stop-gradients, and the gradients of a linear model by hand."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from flowmap_edu import losses
from flowmap_edu.course.exercise import Exercise, Made
from flowmap_edu.course.exercises.cases import curved, parameters, points, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.losses import sum_square

Four = tuple[Tensor, Tensor, Tensor, Tensor]


def linear_gradients(a: Tensor, c: Tensor, d: Tensor, x: Tensor, held: str = "target") -> tuple[Tensor, Tensor]:
    """d/da and d/dc of the squared Lagrangian residual of v = (a + c (t - s)) x, by automatic differentiation.

    held: "nothing", "target" (the velocity and the point where it is read) or "velocity" (its coefficient alone).
    """
    a, c = a.detach().clone().requires_grad_(), c.detach().clone().requires_grad_()
    landed = x + d * (a + c * d) * x
    target = (a if held == "nothing" else a.detach()) * (landed.detach() if held == "target" else landed)
    loss = ((a + 2 * c * d) * x - target).square().sum()
    one, two = torch.autograd.grad(loss, (a, c))
    return one, two


def by_hand(a: Tensor, c: Tensor, d: Tensor, x: Tensor) -> Four:
    """The gradients with nothing held, then with the target held, shape (B,) each."""
    return *linear_gradients(a, c, d, x, "nothing"), *linear_gradients(a, c, d, x)


def of_slope(a: Tensor, c: Tensor, d: Tensor, x: Tensor) -> Four:
    """The same, with v in the place of d/dt X."""
    r = (a + c * d - a * (1 + a * d + c * d**2)) * x
    return 2 * r * (-2 * a * d - c * d**2) * x, 2 * r * (d - a * d**2) * x, 2 * r * x, 2 * r * d * x


def velocity_held(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The Lagrangian loss with the network of the velocity held, and the landing point not."""
    landed, speed = X.partial_t(s, t, x)
    assert isinstance(X.slope, nn.Module)
    frozen = {name: p.detach() for name, p in X.slope.named_parameters()}
    return sum_square(speed - functional_call(X.slope, frozen, (t, t, landed)))


def speed_held(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The Lagrangian loss with the first term held in the place of the second."""
    landed, speed = X.partial_t(s, t, x)
    return sum_square(speed.detach() - X.velocity(t, landed))


def clock_held(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The Eulerian loss with its first term held in the place of the second."""
    return sum_square(X.partial_s(s, t, x)[1].detach() + X.push(s, t, x, X.velocity(s, x))[1])


def bracket(X: FlowMap, s: Tensor, u: Tensor, t: Tensor, x: Tensor, h: Tensor | None = None) -> Tensor:
    """The average slope of two short jumps, shape (B, 2)."""
    h = ((t - u) / (t - s) if h is None else h)[:, None]
    first = X.v(s, u, x)
    return (1 - h) * first + h * X.v(u, t, x + (u - s)[:, None] * first)


def psd(X: FlowMap, s: Tensor, u: Tensor, t: Tensor, x: Tensor, h: Tensor | None = None) -> Tensor:
    """|v_{s,t}(x) - sg(bracket)|^2, shape (B,)."""
    return sum_square(X.v(s, t, x) - bracket(X, s, u, t, x, h).detach())


def psd_from_x(X: FlowMap, s: Tensor, u: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The same, with both short jumps from x."""
    h = ((t - u) / (t - s))[:, None]
    return sum_square(X.v(s, t, x) - ((1 - h) * X.v(s, u, x) + h * X.v(u, t, x)).detach())


def jumps(seed: int, count: int = 2) -> list[tuple[Made | Tensor, ...]]:
    """Two batches of jumps of a map that obeys no condition, `count` times each."""
    made = [Made(curved, {"seed": seed + k}) for k in (0, 1)]
    return [(X, *times(n, count, 10 * seed + n), points(n, seed=10 * seed + 1)) for X, n in zip(made, (2, 6))]  # noqa: B905


def numbers(seed: int) -> list[tuple[Tensor, ...]]:
    """a, c, d and x for seven samples."""
    r = torch.rand(4, 7, generator=torch.Generator().manual_seed(40 + seed), dtype=torch.float64)
    return [(0.5 + r[0], r[1] - 1.5, 0.2 + 0.6 * r[2], 1 + r[3])]


def own(student: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The student's own a and c, shape (), and 256 jump lengths d and points x."""
    g = torch.Generator().manual_seed(student)
    a, c = 0.5 + torch.rand(2, generator=g, dtype=torch.float64)
    d = torch.rand(256, generator=g, dtype=torch.float64)
    return a, -c, d, torch.randn(256, generator=g, dtype=torch.float64)


def alignment(student: int) -> tuple[float, float, float]:
    """The cosine between the two gradients of the mean loss, their inner product, and the ratio of their lengths."""
    a, c, d, x = own(student)
    every = by_hand(a.expand(256), c.expand(256), d, x)
    full, held = torch.stack(every[:2]).mean(1), torch.stack(every[2:]).mean(1)
    return float(full @ held / full.norm() / held.norm()), float(full @ held), float(full.norm() / held.norm())


def exercises(student: int, seed: int) -> dict[str, Exercise]:
    """The autograded parts, by name."""
    cosine, product, ratio = alignment(student)
    angle = torch.tensor(cosine).acos()
    return {
        "a4.2": Exercise(
            asks="four tensors of shape (B,): d/da and d/dc with nothing held, then with the target held",
            shown="The formulas are those of automatic differentiation.",
            right=by_hand,
            cases=lambda: numbers(seed),
            mistakes={
                "The factor 2 of the square is missing.": lambda a, c, d, x: tuple(g / 2 for g in by_hand(a, c, d, x)),
                "The two pairs are exchanged: first nothing is held, then the target.": lambda a, c, d, x: (
                    *linear_gradients(a, c, d, x),
                    *linear_gradients(a, c, d, x, "nothing"),
                ),
                "The velocity is held, the landing point is not: X depends on a and c too.": lambda a, c, d, x: (
                    *linear_gradients(a, c, d, x, "nothing"),
                    *linear_gradients(a, c, d, x, "velocity"),
                ),
                "v stands in the place of d/dt X: the product rule adds a second term.": of_slope,
                "Both pairs are the gradients with nothing held.": lambda a, c, d, x: (
                    2 * linear_gradients(a, c, d, x, "nothing")
                ),
            },
        ),
        "a4.3": Exercise(
            asks="the Lagrangian loss with the target held, one value a sample, shape (B,)",
            shown="Value and gradient are right: the target acts as if a teacher had given it.",
            right=lambda X, s, t, x: losses.lagrangian(X, s, t, x, stopgrad="convex"),
            cases=lambda: jumps(seed),
            parameters=parameters,
            mistakes={
                "The value is right, but the target has a gradient: it has to be held.": lambda X, s, t, x: (
                    losses.lagrangian(X, s, t, x, stopgrad="none")
                ),
                "The landing point is held, the velocity read there is not.": lambda X, s, t, x: sum_square(
                    X.partial_t(s, t, x)[1] - X.velocity(t, X(s, t, x).detach())
                ),
                "The velocity is held, but a gradient passes through the landing point.": velocity_held,
                "The wrong term is held: d/dt X learns, and the target is fixed.": speed_held,
                "The velocity is read at the start x. It has to be read where the map lands.": lambda X, s, t, x: (
                    sum_square(X.partial_t(s, t, x)[1] - X.velocity(t, x).detach())
                ),
                "v stands in the place of d/dt X: the product rule adds a second term.": lambda X, s, t, x: sum_square(
                    X.v(s, t, x) - X.velocity(t, X(s, t, x)).detach()
                ),
            },
        ),
        "a4.4": Exercise(
            asks="the Eulerian loss with the second term held, one value a sample, shape (B,)",
            shown="Value and gradient are right: only d/ds X learns.",
            right=lambda X, s, t, x: losses.eulerian(X, s, t, x, stopgrad="full"),
            cases=lambda: jumps(seed),
            parameters=parameters,
            mistakes={
                "The value is right, but the second term has a gradient: it has to be held.": lambda X, s, t, x: (
                    losses.eulerian(X, s, t, x, stopgrad="none")
                ),
                "Only the velocity is held. The whole term grad X v_{s,s} has to be.": lambda X, s, t, x: (
                    losses.eulerian(X, s, t, x, stopgrad="convex")
                ),
                "The wrong term is held: d/ds X learns, and the second term is fixed.": clock_held,
                "The velocity is not pushed forward: grad X is missing before v_{s,s}.": lambda X, s, t, x: sum_square(
                    X.partial_s(s, t, x)[1] + X.velocity(s, x).detach()
                ),
                "The velocity is read where the map lands. It has to be read at (s, x).": lambda X, s, t, x: (
                    losses.eulerian(X, s, t, x, stopgrad="full", velocity=X.velocity(t, X(s, t, x)))
                ),
                "The two terms are subtracted. Their effects add.": lambda X, s, t, x: losses.eulerian(
                    X, s, t, x, stopgrad="full", velocity=-X.velocity(s, x)
                ),
            },
        ),
        "a4.5": Exercise(
            asks="the semigroup loss in v with the two short jumps held, one value a sample, shape (B,)",
            shown="Value and gradient are right: the long jump learns from two short ones.",
            right=lambda X, s, u, t, x: losses.semigroup(X, s, u, t, x, stopgrad="convex"),
            cases=lambda: jumps(seed, 3),
            parameters=parameters,
            mistakes={
                "The weights of the two jumps are exchanged: the first one takes u - s of t - s.": (
                    lambda X, s, u, t, x: psd(X, s, u, t, x, (u - s) / (t - s))
                ),
                "Both jumps have the weight 1/2. That is right only if u is half way.": lambda X, s, u, t, x: psd(
                    X, s, u, t, x, torch.full_like(u, 0.5)
                ),
                "The second short jump starts at x. It has to start where the first one lands.": psd_from_x,
                "The value is right, but the two short jumps have a gradient: hold them.": lambda X, s, u, t, x: (
                    losses.semigroup(X, s, u, t, x, stopgrad="none")
                ),
                "The wrong side is held: the long jump learns.": lambda X, s, u, t, x: sum_square(
                    X.v(s, t, x).detach() - bracket(X, s, u, t, x)
                ),
                "That is the residual of X, with the weight (t - s)^2. The one of v is asked for.": (
                    lambda X, s, u, t, x: losses.semigroup(X, s, u, t, x, velocity_form=False)
                ),
            },
        ),
        "a4.6": Exercise(
            asks="the cosine of the angle between the two gradients, a number between -1 and 1",
            shown="Both losses have one value, and their gradients point in different directions.",
            right=cosine,
            mistakes={
                "That is the inner product. Divide it by both lengths.": product,
                "That is the angle. Its cosine is asked for.": float(angle),
                "That is the angle in degrees. Its cosine is asked for.": float(angle.rad2deg()),
                "That is the ratio of the lengths.": ratio,
                "The two gradients differ: was the target held in one of them?": 1.0,
            },
            tolerance=1e-3,
        ),
    }
