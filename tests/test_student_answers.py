"""Answers to the assignments as students write them: each wrong one is told why, and right ones may differ."""

import csv

import numpy as np
import pytest
import student_answers_1
import student_answers_2_3
import student_answers_4_6
import student_answers_5
import torch

from flowmap_edu import cli
from flowmap_edu.course import student_seed
from flowmap_edu.course.assignment import assignments, folder, load
from flowmap_edu.course.checking import verdict
from flowmap_edu.course.exercise import find
from flowmap_edu.course.given.drawn_method import NAMES
from flowmap_edu.course.notebook import notebook

RIGHT = student_answers_1.RIGHT | student_answers_2_3.RIGHT | student_answers_4_6.RIGHT | student_answers_5.RIGHT
WRONG = student_answers_1.WRONG | student_answers_2_3.WRONG | student_answers_4_6.WRONG | student_answers_5.WRONG
STUDENTS = tuple(student_seed(f"wrong {k}") for k in range(12))


def students(method):
    """Two students who get a method in assignment 5; any two without one."""
    return [k for k in STUDENTS if not method or NAMES[k % 3] == method][:2]


def words(part, answer, student, seed=3):
    """What a student is told of an answer; None if it is right."""
    return verdict(find(part, student=student, seed=seed), answer)


@pytest.mark.parametrize("name", RIGHT)
def test_different_right_answers_are_accepted(name):
    part, _, method = name.partition(" ")
    assert len(RIGHT[name]) >= 2
    for answer in RIGHT[name]:
        for student in students(method):
            assert words(part, answer, student) is None


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_told_why(name):
    """Where the answer is a value, a wrong one is made of the right one of this student."""
    part, _, method = name.partition(" ")
    student, other = students(method)
    exercise = find(part, student=student)
    assert len(WRONG[name]) >= 4
    for wrong, said in WRONG[name]:
        answer = wrong(exercise.right) if exercise.cases is None else wrong
        told = words(part, answer, student)
        assert told is not None, said
        assert any(piece in told for piece in said.split("|")), (told, said)
    if isinstance(exercise.right, float):
        assert words(part, exercise.right, other) is not None  # another student's number


@pytest.mark.parametrize("name", assignments())
def test_a_right_number_may_come_in_several_kinds(name):
    """As a float, a tensor, a NumPy number, and computed in another way, so that its last digits differ."""
    for student in STUDENTS[:3]:
        for part, exercise in load(name).exercises(student, 0).items():
            right = exercise.right
            if isinstance(right, float):
                near = right * (1 + 0.4 * exercise.tolerance)
                for answer in (right, near, torch.tensor(right), torch.tensor([right]), np.float64(right)):
                    assert verdict(exercise, answer) is None, (part, answer)
            elif isinstance(right, str):
                assert verdict(exercise, f" {right.lower()}") is None, part


@pytest.mark.parametrize("method", NAMES)
def test_the_cosine_of_assignment_5_is_judged_for_every_method(method):
    """Two ways to the right number; what is computed in its place is named, on two students' data."""
    for student in students(method):
        for answer in student_answers_5.RIGHT_NUMBERS[method]:
            assert words("a5.5", answer(student), student) is None
        for wrong, said in student_answers_5.WRONG_NUMBERS[method]:
            told = words("a5.5", wrong(student), student)
            assert told is not None, said
            assert said in told, (told, said)
    one, other = students(method)
    right, _ = student_answers_5.RIGHT_NUMBERS[method]
    assert words("a5.5", right(one), other) is not None  # another student's number


@pytest.mark.parametrize("method", NAMES)
def test_the_solution_of_assignment_5_serves_every_method(method, capsys):
    """Each student gets one of three methods; the grader's tests see few students."""
    number = next(k for k in range(100) if NAMES[student_seed(k) % 3] == method)
    names = {}
    for cell in load("a5").cells:
        if cell.code:
            exec(cell.text.replace("1234567", str(number)), names)
    assert names["METHOD"] == method
    assert capsys.readouterr().out.count("is right") == 6  # four parts, two of them on hidden cases too


@pytest.mark.parametrize("name", assignments()[1:])  # the first is graded in test_grading
def test_the_grader_gives_solutions_full_marks_and_the_form_none(name, tmp_path):
    """On hidden cases too; a form with a number is graded and not refused."""
    (tmp_path / "in").mkdir()
    source = (folder() / f"{name}.py").read_text(encoding="utf-8")
    (tmp_path / "in" / "right.py").write_text(source)
    form = notebook(load(name).form())
    (tmp_path / "in" / "form.ipynb").write_text(
        form.replace('raise NotImplementedError(\\"write this\\")', "STUDENT = 5", 1)
    )
    places = ["--out", str(tmp_path / "grades.csv"), "--report", str(tmp_path / "report"), "--seconds", "120"]
    assert cli.main(["grade", str(tmp_path / "in"), "--assignment", name, *places, "--jobs", "1"]) == 0
    with (tmp_path / "grades.csv").open(newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    of = sum(part.points for part in load(name).parts if part.answer is not None)
    assert {k: (float(row["points"]), float(row["of"])) for k, row in rows.items()} == {
        "right": (of, of),
        "form": (0, of),
    }
    assert not rows["right"]["remarks"], rows["right"]["remarks"]
    assert "STUDENT is not set" not in rows["form"]["remarks"]
