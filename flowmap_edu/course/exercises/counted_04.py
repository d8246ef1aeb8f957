"""Lesson 04's answers that are numbers: what is counted and what is computed by hand."""

from flowmap_edu.course.exercise import Exercise

PASSES = [3, 9, 7, 9, 7, 9, 9, 5]

COUNTED = {
    "04.10": Exercise(
        asks="eight whole numbers, in the order of the table: passes for loss and gradient",
        shown="The next cell counts the products of the real network.",
        right=PASSES,
        mistakes={
            "That counts the loss alone. Its gradient adds two passes for each pass that keeps its history.": [
                1,
                3,
                3,
                3,
                3,
                5,
                3,
                3,
            ],
            "What is held adds no gradient: it counts once, and not three times.": [3, 9, 9, 9, 9, 15, 9, 9],
            "A derivative by jvp makes the value too: it counts two passes.": [3, 6, 4, 6, 4, 5, 9, 5],
            "A gradient costs two passes for each pass, and not one.": [2, 6, 5, 6, 5, 7, 6, 4],
        },
    ),
    "04.15": Exercise(
        asks="the mean length t - s of a pair, a number",
        shown="It is also E[s]: the three parts s, t - s and 1 - t of [0, 1] have the same mean.",
        right=1 / 3,
        tolerance=5e-3,
        mistakes={
            "That is the mean of t.": 2 / 3,
            "That is the mean of t - s if s = 0 and t is uniform.": 1 / 2,
            "That holds if t is uniform and s is uniform below it. On the triangle larger t are more frequent.": 1 / 4,
        },
    ),
    "04.16": Exercise(
        asks="the power of ten nearest to the best step in double precision, a whole number",
        shown="The bend of the function and the rounding of its values are then in balance.",
        right=-5,
        mistakes={
            "At 1e-8 the rounding, 1e-16 / 1e-8, is far larger than the square of the step.": -8,
            "At 1e-16 nothing is left of the difference but rounding.": -16,
            "This is the step for single precision, where the rounding is 1e-7.": -2,
        },
    ),
    "04.17": Exercise(
        asks="the cost of a step of LSD over that of flow matching with the same batch, a number",
        shown="A quarter of the batch are jumps: by the count a step costs a third more than one of flow matching.",
        right=4 / 3,
        tolerance=5e-3,
        mistakes={
            "That is the cost of the quarter of jumps alone.": 7 / 12,
            "That is the cost if every sample were a jump.": 7 / 3,
            "The two shares are swapped: three quarters of the batch are on the diagonal.": 2.0,
            "That is with nothing held. Here the velocity is held.": 1.5,
        },
    ),
}
