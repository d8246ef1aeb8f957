"""The later exercises of lesson 07: terminal velocities, the semigroup, and what closes the lesson."""

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises import published as p
from flowmap_edu.course.exercises.cases import parameters

FREE = "The target still carries a gradient. In the source it is held fixed (sg)."

LATER = {
    "07.9": Exercise(
        asks="the loss of terminal velocity matching, one value a sample, shape (B,)",
        shown="The end of the jump moves, and the slow network says with which velocity.",
        right=p.terminal,
        cases=p.terminal_cases,
        parameters=p.weights,
        mistakes={
            FREE: p.with_kind(p.terminal, "free"),
            "The velocity is read at the start x. It has to be read where the jump lands.": (
                p.with_kind(p.terminal, "start")
            ),
            "The velocity is read at the time t. The landing point is there at the time r.": (
                p.with_kind(p.terminal, "time")
            ),
            "The velocity is the network's own. The source takes the slow network, the moving average.": (
                p.with_kind(p.terminal, "own")
            ),
            "The factor r - t stands still in the derivative. When the end moves, the length of the jump changes.": (
                p.with_kind(p.terminal, "factor")
            ),
        },
    ),
    "07.10": Exercise(
        asks="the loss of shortcut models, one value a sample, shape (B,)",
        shown="One step is fitted to two, and no derivative is needed.",
        right=p.shortcut,
        cases=lambda: [(p.Step(), p.Step(1), *p.noisy()[:1], *(time / 3 for time in p.times(p.N)))],
        parameters=p.weights,
        mistakes={
            "The second short step starts at x. It starts where the first one lands.": p.wrong_shortcut("start"),
            "The second short step is told the time t. It starts at t + d.": p.wrong_shortcut("clock"),
            "The two slopes are added. The long step's slope is their mean.": p.wrong_shortcut("sum"),
            "The short steps are the network's own. The source takes the slow network, the moving average.": (
                p.wrong_shortcut("own")
            ),
            "The first short step moves by its slope, not by d times its slope.": p.wrong_shortcut("length"),
        },
    ),
    "07.11": Exercise(
        asks="the squared residual of the alpha family, one value a sample, shape (B,)",
        shown="One number leads from flow matching at alpha = 1 to mean flow at alpha = 0.",
        right=p.bridge,
        cases=p.bridges,
        parameters=parameters,
        mistakes={
            FREE: p.with_kind(p.bridge, "free"),
            "The stop is alpha after s. It is the share alpha of the jump after s.": p.with_kind(p.bridge, "length"),
            "The two shares are exchanged: alpha belongs to the sample's slope.": p.with_kind(p.bridge, "swapped"),
            "The second jump starts at x. It starts where the sample's slope has led.": p.with_kind(p.bridge, "start"),
            "The second jump starts at the time s. It starts at u.": p.with_kind(p.bridge, "time"),
        },
    ),
    "07.12": Exercise(
        asks="True if every seed of a is below every seed of b and there are three or more of each, else False",
        shown="A comparison that a single seed could turn round is not made.",
        right=p.better,
        cases=lambda: [
            ([1.0, 1.6, 1.7], [1.3, 1.5, 1.4]),
            ([1.0, 1.2, 1.1], [1.3, 1.5, 1.4]),
            ([1.0, 1.35, 1.1], [1.3, 1.5, 1.4]),
            ([1.3, 1.5, 1.4], [1.0, 1.2, 1.1]),
            ([1.0], [2.0]),
            ([1.0, 1.1, 1.2, 1.3], [1.4, 1.5]),
        ],
        mistakes={
            "The medians are compared. The ranges may still overlap.": lambda a, b: (
                min(len(a), len(b)) >= 3 and sorted(a)[len(a) // 2] < sorted(b)[len(b) // 2]
            ),
            "The best seeds are compared. The ranges may still overlap.": lambda a, b: (
                min(len(a), len(b)) >= 3 and min(a) < min(b)
            ),
            "A single seed is enough here. Three or more of each are wanted.": lambda a, b: max(a) < min(b),
            "The comparison is the wrong way round: lower is better.": lambda a, b: (
                min(len(a), len(b)) >= 3 and min(a) > max(b)
            ),
        },
    ),
    "07.13": Exercise(
        asks="the loss of split mean flow, one value a sample, shape (B,)",
        shown="Split mean flow is the semigroup condition with a stop at a random time.",
        right=p.split,
        cases=p.split_cases,
        parameters=p.weights,
        mistakes={
            FREE: p.with_kind(p.split, "free"),
            "The jump from q to r starts at z. It starts where the jump from t to q lands.": (
                p.with_kind(p.split, "start")
            ),
            "The first jump goes up in time: from t down to q the point moves by minus (t - q) u.": (
                p.with_kind(p.split, "sign")
            ),
            "The two shares are exchanged: each jump counts by its own length.": p.with_kind(p.split, "swapped"),
        },
    ),
    "07.14": Exercise(
        asks="the name of a weight in methods.WEIGHTS, a word in quotes",
        shown="Dividing the residual and weighting its square are the same thing when the target is held.",
        right="tangent",
        mistakes={
            "That weight is 1 over the squared length. Here the residual is divided by its length once.": "adaptive",
            "That weight depends on the times alone. The one that is asked for depends on the residual.": "jump",
            "That weight is constant. The one that is asked for depends on the residual.": "one",
            "That weight is for the semigroup condition along a sample.": "slope in tau",
        },
    ),
}
