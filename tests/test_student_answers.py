"""Answers to the assignments as students write them: each wrong one is told why, and right ones may differ."""

import pytest
import student_answers_2_3
import student_answers_4_6

from flowmap_edu.course import student_seed
from flowmap_edu.course.checking import verdict
from flowmap_edu.course.exercise import find

RIGHT = student_answers_2_3.RIGHT | student_answers_4_6.RIGHT
WRONG = student_answers_2_3.WRONG | student_answers_4_6.WRONG
STUDENTS = (student_seed("wrong 1"), student_seed("wrong 2"))


def words(part, answer, student=STUDENTS[0], seed=3):
    """What a student is told of an answer; None if it is right."""
    return verdict(find(part, student=student, seed=seed), answer)


@pytest.mark.parametrize("part", RIGHT)
def test_different_right_answers_are_accepted(part):
    for answer in RIGHT[part]:
        for student in STUDENTS:
            assert words(part, answer, student) is None


@pytest.mark.parametrize("part", WRONG)
def test_wrong_answers_are_told_why(part):
    """Where the answer is a value, a wrong one is made of the right one of this student."""
    exercise = find(part, student=STUDENTS[0])
    assert len(WRONG[part]) >= 4
    for wrong, said in WRONG[part]:
        answer = wrong(exercise.right) if exercise.cases is None else wrong
        told = words(part, answer)
        assert told is not None, said
        assert any(piece in told for piece in said.split("|")), (told, said)
    if exercise.cases is None:
        assert words(part, exercise.right, STUDENTS[1]) is not None  # another student's number
