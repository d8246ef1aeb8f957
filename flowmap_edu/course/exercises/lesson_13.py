"""The exercises of lesson 13: determinants along jumps, folds, inverses, probes, a known equation, and its chaos."""

import math

from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.exercises.answers_13 import (
    chain,
    exponent,
    fold,
    folds,
    invert,
    jumps,
    log_det,
    mistaken,
    noises,
    orbits,
    probe,
    probes,
    residual,
    swung,
)  # fmt: skip
from flowmap_edu.course.exercises.cases import curved, parameters, points, times

EXERCISES = {
    "13.1": Exercise(
        asks="where x lands, shape (B, 2), and log |det grad X| there, shape (B,)",
        shown="Two pushed vectors are the two columns of grad X.",
        right=log_det,
        cases=jumps,
        mistakes={
            "The second value is the determinant. Its logarithm is wanted.": mistaken(log_det, "no log"),
            "This is the determinant of the slope's gradient. The map is x plus its way.": mistaken(log_det, "slope"),
            "The product of the diagonal is the determinant only where the other entries are 0.": mistaken(
                log_det, "diagonal"
            ),
            "The lengths of the columns are multiplied. Columns that are not at right angles span less.": mistaken(
                log_det, "columns"
            ),
        },
    ),
    "13.2": Exercise(
        asks="the samples, shape (B, 2), and log q there, shape (B,)",
        shown="The logarithms of the determinants of a chain of jumps add up.",
        right=chain,
        cases=noises,
        mistakes={
            "A jump that stretches makes the density smaller: its logarithm is subtracted.": mistaken(chain, "plus"),
            "Each determinant is taken at x0. It belongs to the point from which the jump starts.": mistaken(
                chain, "from x0"
            ),
            "Only the last jump is counted, without the density of the noise.": mistaken(chain, "last"),
            "The density of the noise has no constant: its integral is not 1.": mistaken(chain, "no constant"),
            "The constant of the noise's density depends on sigma.": mistaken(chain, "no sigma"),
            "The constant has sigma to the power 1. There are two coordinates.": mistaken(chain, "half"),
        },
    ),
    "13.3": Exercise(
        asks="the share of points with a negative determinant in some jump, a number",
        shown="Folding needs no truth: no flow has it.",
        right=fold,
        cases=folds,
        mistakes={
            "This is the mean share of a jump. A point counts if any of its jumps folds.": mistaken(fold, "each"),
            "Only the last jump is looked at.": mistaken(fold, "last"),
            "This is the sign of the whole chain: two folds cancel there, and are still two folds.": mistaken(
                fold, "product"
            ),
            "This is a number of points. Their share is wanted.": mistaken(fold, "count"),
            "This is the share that is not folded.": mistaken(fold, "kept"),
        },
    ),
    "13.4": Exercise(
        asks="z after the iterations, shape (B, 2)",
        shown="If the iteration comes to rest, z is a point from which the jump lands on y.",
        right=invert,
        cases=lambda: [(curved(), *times(6), points(6), 5)],
        mistakes={
            "The slope is read at y every time. Then nothing changes after the first iteration.": mistaken(
                invert, "at y"
            ),
            "The way is added. Going back subtracts it.": mistaken(invert, "plus"),
            "The way is a slope times a time: the length of the jump is missing.": mistaken(invert, "no length"),
            "Each iteration goes on from z. It has to start at y, where the jump lands.": mistaken(invert, "from z"),
            "The two times are swapped: this is the slope of the backward jump.": mistaken(invert, "times"),
            "The iteration starts at 0. Start it at y.": mistaken(invert, "from 0"),
        },
    ),
    "13.5": Exercise(
        asks="one estimate of the trace a point, shape (B,)",
        shown="One pass gives one estimate, whatever the dimension is.",
        right=probe,
        cases=probes,
        mistakes={
            "The pushed vector is summed without multiplying by w again.": mistaken(probe, "no w"),
            "This is the squared length of the pushed vector.": mistaken(probe, "square"),
            "The velocity itself is multiplied by w. Its derivative along w is wanted.": mistaken(probe, "value"),
            "The mean over the coordinates is taken. A trace is a sum.": mistaken(probe, "mean"),
        },
    ),
    "13.6": Exercise(
        asks="the squared residual, one value a state, shape (B,)",
        shown="No data and no teacher: the equation itself says what is right.",
        right=residual,
        cases=lambda: [(curved(), swung, 3.0, *times(6), points(6))],
        parameters=parameters,
        mistakes={
            "The map's time 1 is the equation's time T: the rate f is too slow by this factor.": mistaken(
                residual, "no T"
            ),
            "The rate is divided by T. In a unit of the map's time more happens, not less.": mistaken(
                residual, "over T"
            ),
            "The rate is read at the start. The landing point moves with the rate where it is.": mistaken(
                residual, "at x"
            ),
            "The two terms are added.": mistaken(residual, "plus"),
            "The second term still carries a gradient, through the landing point.": mistaken(residual, "no cut"),
        },
    ),
    "13.7": Exercise(
        asks="the mean logarithm of the growth in a jump, shape (B,)",
        shown="A positive exponent means chaos: near states part exponentially.",
        right=exponent,
        cases=orbits,
        mistakes={
            "The vector w is the same in every jump. It is carried along with the state.": mistaken(exponent, "same w"),
            "The state does not move: every jump starts at the first one.": mistaken(exponent, "still"),
            "This is the logarithm of the mean growth. The mean of the logarithms is wanted.": mistaken(
                exponent, "mean first"
            ),
            "This is the growth in all jumps. That of one jump is wanted.": mistaken(exponent, "sum"),
            "These are growth factors. Their logarithms are wanted.": mistaken(exponent, "no log"),
        },
    ),
    "13.8": Exercise(
        asks="a number of Lyapunov times",
        shown="A thousand times more accurate costs only seven Lyapunov times more of forecast.",
        right=math.log(1000),
        tolerance=0.02,
        mistakes={
            "This is the logarithm to the base 10. In one Lyapunov time an error grows by the factor e.": 3.0,
            "This is the logarithm to the base 2. In one Lyapunov time an error grows by the factor e.": math.log2(
                1000
            ),
            "This is a time of the equation. Divide it by the Lyapunov time, 1 / 0.906.": math.log(1000) / 0.906,
            "An error does not grow by the same amount in each Lyapunov time, but by the same factor.": 1000.0,
        },
    ),
}
