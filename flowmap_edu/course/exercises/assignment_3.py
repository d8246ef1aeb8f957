"""The parts of assignment 3: the three conditions as residuals of a map, and which maps are flow maps."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp

from flowmap_edu.course.exercise import Exercise, Made
from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.course.given.candidates import Candidate, drawn, known_to_be_none, made

Map = Callable[[Tensor, Tensor, Tensor], Tensor]
FLOWS = ("still", "square root", "growing", "quotient", "normal", "turning")


def along_t(X: Map, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/dt X_{s,t}(x), shape (B, 2)."""
    return jvp(lambda end: X(s, end, x), (t,), (torch.ones_like(t),))[1]


def along_s(X: Map, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/ds X_{s,t}(x), shape (B, 2)."""
    return jvp(lambda start: X(start, t, x), (s,), (torch.ones_like(s),))[1]


def pushed(X: Map, s: Tensor, t: Tensor, x: Tensor, w: Tensor) -> Tensor:
    """grad X_{s,t}(x) w, shape (B, 2)."""
    return jvp(lambda x: X(s, t, x), (x,), (w,))[1]


def velocity(X: Map, t: Tensor, x: Tensor) -> Tensor:
    """d/dt X_{s,t}(x) at s = t, shape (B, 2)."""
    return along_t(X, t.clone(), t, x)


def lagrangian(X: Map, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/dt X_{s,t}(x) - b_t(X_{s,t}(x)), shape (B, 2)."""
    return along_t(X, s, t, x) - velocity(X, t, X(s, t, x))


def eulerian(X: Map, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/ds X_{s,t}(x) + grad X_{s,t}(x) b_s(x), shape (B, 2)."""
    return along_s(X, s, t, x) + pushed(X, s, t, x, velocity(X, s, x))


def semigroup(X: Map, s: Tensor, u: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """X_{u,t}(X_{s,u}(x)) - X_{s,t}(x), shape (B, 2)."""
    return X(u, t, X(s, u, x)) - X(s, t, x)


def jumps(seed: int, count: int = 2) -> list[tuple[Made | Tensor, ...]]:
    """Jumps of maps that obey no condition, `count` times each; first B = 2, so that wrong broadcasting shows."""
    maps = (Made(curved, {"seed": seed}), made("growing later", 0.5), Made(curved, {"seed": seed + 1}))
    return [
        (X, *times(n, count, seed=10 * seed + n), points(n, seed=10 * seed + n + 1))
        for X, n in zip(maps, (2, 6, 5), strict=True)
    ]


def own(student: int) -> tuple[Candidate, Tensor, Tensor, Tensor]:
    """The student's map F, and 512 jumps to measure it on."""
    g = torch.Generator().manual_seed(student)
    s, t = torch.rand(512, 2, generator=g, dtype=torch.float64).sort(dim=1).values.unbind(1)
    return known_to_be_none(student), s, t, torch.randn(512, 2, generator=g, dtype=torch.float64)


def sizes(student: int) -> tuple[float, float, float]:
    """The root mean square of the three residuals of the student's map F, the stop half way."""
    X, s, t, x = own(student)
    residuals = (lagrangian(X, s, t, x), eulerian(X, s, t, x), semigroup(X, s, (s + t) / 2, t, x))
    one, two, three = (float(r.square().sum(1).mean().sqrt()) for r in residuals)
    return one, two, three


def chosen(student: int) -> dict[str, Exercise]:
    """Which of the student's five maps are flow maps."""
    maps = drawn(student)
    right = [letter for letter, X in maps.items() if X.name in FLOWS]
    named = {X.name: letter for letter, X in maps.items()}
    none = [letter for letter in maps if letter not in right]
    other = next(letter for letter in none if maps[letter].name != "one step")
    return {
        "a3.6": Exercise(
            asks="the letters of your flow maps, in alphabetical order, such as 'ACE'",
            shown="Small residuals on a few jumps are no proof, but one large residual is.",
            right="".join(right),
            mistakes={
                "Those are the ones that are no flow maps.": "".join(none),
                "One is too many: it has the right velocity for short jumps, and two jumps are not one.": "".join(
                    sorted([*right, named["one step"]])
                ),
                "One is missing: a map that moves nothing obeys all conditions, with the velocity zero.": "".join(
                    letter for letter in right if letter != named["still"]
                ),
                "One is too many: look at its residuals on long jumps.": "".join(sorted([*right, other])),
                "Not all five are flow maps.": "".join(maps),
            },
        )
    }


def exercises(student: int, seed: int) -> dict[str, Exercise]:
    """The autograded parts, by name."""
    size, two, three = sizes(student)
    return chosen(student) | {
        "a3.2": Exercise(
            asks="the velocity b_t(x) of a map, shape (B, 2)",
            shown="A map tells its own velocity: no network for it is needed.",
            right=velocity,
            cases=lambda: [(X, t, x) for X, t, x in jumps(seed, 1)],
            mistakes={
                "The derivative is taken in s, the start. Hold s and move the end.": lambda X, t, x: along_s(
                    X, t, t.clone(), x
                ),
                "Both times move together, so the point goes nowhere. Hold s.": lambda X, t, x: 0 * x,  # noqa: ARG005
                "The jump starts at time 0. It has to start at t: its length is zero.": lambda X, t, x: along_t(
                    X, 0 * t, t, x
                ),
                "That is where the jump lands. How fast the landing point moves is asked for.": lambda X, t, x: X(
                    t, t, x
                ),
            },
        ),
        "a3.3": Exercise(
            asks="the Lagrangian residual, one vector a sample, shape (B, 2)",
            shown="It needs the map alone, and no path was solved.",
            right=lagrangian,
            cases=lambda: jumps(seed),
            mistakes={
                "The velocity is read at the start x. It has to be read where the map lands.": lambda X, s, t, x: (
                    along_t(X, s, t, x) - velocity(X, t, x)
                ),
                "The velocity is read at the time s. The landing point is there at time t.": lambda X, s, t, x: (
                    along_t(X, s, t, x) - velocity(X, s, X(s, t, x))
                ),
                "The derivative is taken in s. Here the end of the jump moves.": lambda X, s, t, x: (
                    along_s(X, s, t, x) - velocity(X, t, X(s, t, x))
                ),
                "The two terms are added. The residual is their difference.": lambda X, s, t, x: (
                    along_t(X, s, t, x) + velocity(X, t, X(s, t, x))
                ),
                "That is the Eulerian residual.": eulerian,
            },
        ),
        "a3.4": Exercise(
            asks="the Eulerian residual, one vector a sample, shape (B, 2)",
            shown="Clock and point move together, and on a flow map their effects cancel.",
            right=eulerian,
            cases=lambda: jumps(seed),
            mistakes={
                "The velocity is not pushed forward: grad X is missing before b_s.": lambda X, s, t, x: (
                    along_s(X, s, t, x) + velocity(X, s, x)
                ),
                "The velocity is read where the map lands. It has to be read at (s, x).": lambda X, s, t, x: (
                    along_s(X, s, t, x) + pushed(X, s, t, x, velocity(X, t, X(s, t, x)))
                ),
                "The velocity is read at the time t. The start x is there at time s.": lambda X, s, t, x: (
                    along_s(X, s, t, x) + pushed(X, s, t, x, velocity(X, t, x))
                ),
                "The two terms are subtracted. Their effects add.": lambda X, s, t, x: (
                    along_s(X, s, t, x) - pushed(X, s, t, x, velocity(X, s, x))
                ),
                "The derivative is taken in t. Here the start of the jump moves.": lambda X, s, t, x: (
                    along_t(X, s, t, x) + pushed(X, s, t, x, velocity(X, s, x))
                ),
            },
        ),
        "a3.5": Exercise(
            asks="the semigroup residual with the stop u, one vector a sample, shape (B, 2)",
            shown="This condition needs no derivative: three evaluations of the map are enough.",
            right=semigroup,
            cases=lambda: jumps(seed, 3),
            mistakes={
                "The second jump starts at x. It has to start where the first one lands.": lambda X, s, u, t, x: (
                    X(u, t, x) - X(s, t, x)
                ),
                "The two jumps are made in the wrong order.": lambda X, s, u, t, x: X(s, u, X(u, t, x)) - X(s, t, x),
                "The stop is half way. It has to be at u.": lambda X, s, u, t, x: (  # noqa: ARG005
                    semigroup(X, s, (s + t) / 2, t, x)
                ),
                "The second jump starts at the time s. The point is there at time u.": lambda X, s, u, t, x: (
                    X(s, t, X(s, u, x)) - X(s, t, x)
                ),
                "That is the difference to the point u, not to the end of the long jump.": lambda X, s, u, t, x: (
                    X(u, t, X(s, u, x)) - X(s, u, x)
                ),
            },
        ),
        "a3.7": Exercise(
            asks="the root of the mean of |r|^2 over your 512 jumps, r the Lagrangian residual of F, a number",
            shown="That is far from zero, as it is for a map that is no flow map.",
            right=size,
            mistakes={
                "That is the mean of the square. Take the root.": size**2,
                "That is the mean over the entries. Sum the square over the two coordinates first.": size / 2**0.5,
                "That is the Eulerian residual.": two,
                "That is the semigroup residual.": three,
            },
            tolerance=1e-4,
        ),
    }
