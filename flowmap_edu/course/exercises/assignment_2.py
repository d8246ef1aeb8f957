"""The parts of assignment 2: the tangent condition, and the map X = x + (t - s) v."""

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise, Made
from flowmap_edu.course.exercises.cases import curved, points, times
from flowmap_edu.flow_map import FlowMap


def average_slope(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """(X_{s,t}(x) - x) / (t - s), shape (B, 2)."""
    return (X(s, t, x) - x) / (t - s)[:, None]


def landing_speed(X: FlowMap, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """d/dt X_{s,t}(x), shape (B, 2)."""
    return X.partial_t(s, t, x)[1]


def spread(t: Tensor, c: float) -> Tensor:
    """S(t), the standard deviation of I_t for noise N(0, 1) and data N(m, c^2)."""
    return ((1 - t) ** 2 + (c * t) ** 2).sqrt()


def gaussian_slope(s: Tensor, t: Tensor, x: Tensor, m: float, c: float) -> Tensor:
    """v_{s,t}(x) of the flow from N(0, 1) to N(m, c^2) in each coordinate, without a division by t - s."""
    s, t = s[:, None], t[:, None]
    before, after = spread(s, c), spread(t, c)
    return m + ((s + t) * (1 + c**2) - 2) / ((after + before) * before) * (x - m * s)


def with_s_for_t(s: Tensor, t: Tensor, x: Tensor, m: float, c: float) -> Tensor:
    """The same, with S(t) where S(s) divides."""
    s, t = s[:, None], t[:, None]
    before, after = spread(s, c), spread(t, c)
    return m + ((s + t) * (1 + c**2) - 2) / ((after + before) * after) * (x - m * s)


def without_roots(s: Tensor, t: Tensor, x: Tensor, m: float, c: float) -> Tensor:
    """The same, with S^2 in the place of S."""
    s, t = s[:, None], t[:, None]
    return m + ((s + t) * (1 + c**2) - 2) / spread(s, c) ** 2 * (x - m * s)


def from_the_end(s: Tensor, t: Tensor, x: Tensor, m: float, c: float) -> Tensor:
    """The same, with x measured from the mean at time t."""
    return gaussian_slope(s, t, x - m * (t - s)[:, None], m, c)


def jumps(seed: int) -> list[tuple[Made | Tensor, ...]]:
    """Two batches of jumps of a map; in the first B = 2, so that times that meet the coordinates are not noticed."""
    return [
        (Made(curved, {"seed": seed}), *times(n, seed=10 * seed + n), points(n, seed=10 * seed + n + 1)) for n in (2, 6)
    ]


def gaussian_jumps(seed: int) -> list[tuple[Tensor, Tensor, Tensor, float, float]]:
    """Six jumps, then six of length zero."""
    s, t = times(6, seed=seed)
    x = points(6, seed=seed + 1)
    return [(s, t, x, 0.7, 0.4 + 0.1 * (seed % 4)), (s, s.clone(), x, -0.5, 0.6)]


def own(student: int) -> tuple[float, float, float, float]:
    """The student's own mean m, deviation c, time s and place x."""
    r = torch.rand(4, generator=torch.Generator().manual_seed(student), dtype=torch.float64).tolist()
    m, c, s = 0.5 + r[0], 0.3 + 0.4 * r[1], 0.2 + 0.3 * r[2]
    return m, c, s, m * s + 0.8 + 0.4 * r[3]


def half_bend(student: int) -> tuple[float, float, float, float]:
    """Of the student's point: half of d^2 X / dt^2, half of db/dt at a fixed place, b, and the quotient at h = 0.5."""
    m, c, s, x = own(student)
    at, place = torch.tensor([s], dtype=torch.float64), torch.tensor([[x]], dtype=torch.float64)
    S, away = float(spread(at, c)), x - m * s
    speed = (s * (1 + c**2) - 1) / S  # S'
    bend = c**2 / S**3  # S''
    still = (bend / S - (speed / S) ** 2) * away - m * speed / S
    b = m + speed / S * away
    far = (float(gaussian_slope(at, at + 0.5, place, m, c)) - b) / 0.5
    return bend / S * away / 2, still / 2, b, far


def exercises(student: int, seed: int) -> dict[str, Exercise]:
    """The autograded parts, by name."""
    limit, still, b, far = half_bend(student)
    return {
        "a2.2": Exercise(
            asks="the average slope v_{s,t}(x) of a map, shape (B, 2)",
            shown="Every map can be written as x + (t - s) v where s < t.",
            right=average_slope,
            cases=lambda: jumps(seed),
            mistakes={
                "That is the distance that the point moves. Divide it by the time that it takes.": lambda X, s, t, x: (
                    X(s, t, x) - x
                ),
                "That is where the point lands.": lambda X, s, t, x: X(s, t, x),
                "It is divided by t. The jump takes the time t - s.": lambda X, s, t, x: (X(s, t, x) - x) / t[:, None],
                "That is the velocity v_{s,s}(x) at the start, not the average over the jump.": lambda X, s, t, x: (  # noqa: ARG005
                    X.velocity(s, x)
                ),
                "The times meet the coordinates, not the samples: t[:, None] is missing.": lambda X, s, t, x: (
                    (X(s, t, x) - x) / (t - s)
                ),
            },
        ),
        "a2.3": Exercise(
            asks="the speed d/dt X_{s,t}(x) of the landing point, shape (B, 2)",
            shown="At t = s it is the velocity; away from it, the average slope and its change both count.",
            right=landing_speed,
            cases=lambda: jumps(seed),
            mistakes={
                "That is the average slope v_{s,t}(x). It changes with t as well: the product rule has two terms.": (
                    lambda X, s, t, x: X.v(s, t, x)
                ),
                "That is the velocity v_{t,t}(x) at the start x. The landing point is asked for.": lambda X, s, t, x: (  # noqa: ARG005
                    X.velocity(t, x)
                ),
                "The derivative is taken in s. Here the end of the jump moves.": lambda X, s, t, x: X.partial_s(
                    s, t, x
                )[1],
                "The second term lacks its factor t - s.": lambda X, s, t, x: (
                    X.v(s, t, x) + (X.partial_t(s, t, x)[1] - X.v(s, t, x)) / (t - s)[:, None]
                ),
                "The second term has the wrong sign.": lambda X, s, t, x: 2 * X.v(s, t, x) - X.partial_t(s, t, x)[1],
                "v is missing: that is the second term of the product rule alone.": lambda X, s, t, x: (
                    X.partial_t(s, t, x)[1] - X.v(s, t, x)
                ),
            },
        ),
        "a2.4": Exercise(
            asks="the average slope v_{s,t}(x) of the Gaussian flow, right at s = t too, shape (B, 2)",
            shown="It is right at s = t as well, where it is the velocity: nothing is divided by t - s.",
            right=gaussian_slope,
            cases=lambda: gaussian_jumps(seed),
            mistakes={
                "The term m is missing: the mean moves too.": lambda s, t, x, m, c: gaussian_slope(s, t, x, m, c) - m,
                "S squared stands where S belongs: the map scales with the deviation, not with the variance.": (
                    without_roots
                ),
                "x is measured from 0. At time s the mean is m s.": lambda s, t, x, m, c: gaussian_slope(
                    s, t, x + m * s[:, None], m, c
                ),
                "x is measured from m t. It is a point at time s, where the mean is m s.": from_the_end,
                "It is divided by S(t) where S(s) belongs.": with_s_for_t,
                "That is the velocity b_s(x) at the start: the slope of a jump of length zero.": lambda s, t, x, m, c: (  # noqa: ARG005
                    gaussian_slope(s, s, x, m, c)
                ),
                "That is where the point lands. The average slope is asked for.": lambda s, t, x, m, c: (
                    x + (t - s)[:, None] * gaussian_slope(s, t, x, m, c)
                ),
            },
        ),
        "a2.5": Exercise(
            asks="the limit of (v_{s,s+h}(x) - b_s(x)) / h as h goes to 0, at your time and place, a number",
            shown="The average slope leaves the velocity in proportion to h: the tangent condition holds in the limit.",
            right=limit,
            mistakes={
                "That is the acceleration of the point, d^2 X / dt^2. The limit is half of it: Taylor.": 2 * limit,
                "That is half the change of b in time at a fixed place. The point moves meanwhile.": still,
                "That is b_s(x). How fast the average slope leaves it is asked for.": b,
                "That is the exponent of h. The factor before h is asked for.": 1.0,
                "h is too large: that is the quotient at h = 0.5.": far,
            },
            tolerance=0.005,
        ),
    }
