"""What a lesson asks of its reader: a prediction, a few lines of code, and a check that says what is wrong.

    course.compare(prediction, measured)     how far a guess is from what was measured
    course.check("03.1", lagrangian)         whether what was written is right, and if not, in which way it is wrong
    course.graded("a1.2", mine, student=N)   the same for a part of an assignment, on the data of one student

All print plain sentences. A check that fails raises `CheckError`, so that a grader notices.
"""

from flowmap_edu.course.checking import CheckError, check, graded
from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.predicting import compare
from flowmap_edu.course.students import student_seed

__all__ = ["CheckError", "Exercise", "check", "compare", "graded", "student_seed"]


def __dir__() -> list[str]:
    return sorted(__all__)
