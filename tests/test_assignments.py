"""Every assignment: its format, its form, its exercises."""

import re
import sys
import warnings

import pytest

from flowmap_edu import cli, course
from flowmap_edu.course import checking, student_seed
from flowmap_edu.course.assignment import BY_HAND, STUB, assignments, load
from flowmap_edu.course.checking import verdict
from flowmap_edu.course.exercise import made
from flowmap_edu.course.exercises.cases import parameters
from flowmap_edu.course.grading.grading import part_step
from flowmap_edu.course.grading.wire import decode
from flowmap_edu.course.notebook import notebook, read_cells

NAMES = assignments()
SEEDS = ((student_seed(1), 0), (student_seed("ab 12"), 7))  # of a student and of the cases


def every(name):
    """The exercises of an assignment's tested parts for two students: (part, exercise)."""
    assignment = load(name)
    tested = [part for part in assignment.parts if part.answer is not None]
    for student, seed in SEEDS:
        known = assignment.exercises(student, seed)
        assert sorted(known) == sorted(part.name for part in tested)
        yield from ((part, known[part.name]) for part in tested)


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_pass_and_mistakes_are_told(name):
    """On two students' data and on two seeds of the cases; each part knows four mistakes."""
    for part, exercise in every(name):
        assert verdict(exercise, exercise.right) is None, part.name
        assert len(exercise.mistakes) >= 4, part.name
        for words, mistaken in exercise.mistakes.items():
            assert verdict(exercise, mistaken) == words, part.name


@pytest.mark.parametrize("name", NAMES)
def test_cases_can_be_sent(name):
    """What arrives in the other process gives the same right answers; the rules of the format hold."""
    for part, exercise in every(name):
        assert exercise.parameters in (None, parameters), part.name
        step = part_step(part, [{part.name: exercise}])
        if exercise.cases is None:
            continue
        assert exercise.law is None, part.name
        arrived = [tuple(decode(a, make=True) for a in case) for case in step["cases"]]
        for sent, case in zip(exercise.cases(), arrived, strict=True):
            assert str(exercise.right(*made(sent))) == str(exercise.right(*case)), part.name


@pytest.mark.parametrize("name", NAMES)
def test_the_form_holds_no_answer(name):
    """No solution, no hidden test, no model answer; the same cells in the same order, each id once."""
    assignment = load(name)
    form = assignment.form()
    text = "\n".join(cell.text for cell in form)
    for words in ("SOLUTION", "HIDDEN", "seeds=", "Model answer", "Rubric"):
        assert words not in text, words
    assert text.count(BY_HAND) == sum(part.answer is None for part in assignment.parts)
    assert STUB in text
    ids = [cell.id for cell in form if cell.id]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", k) and k.startswith(assignment.number) for k in ids)
    assert [cell.mark for cell in read_cells("x.ipynb", notebook(form).encode())] == [cell.mark for cell in form]
    for cell in assignment.cells:
        assert not cell.mark or {"schema_version", "grade", "solution", "locked", "task", "grade_id"} <= set(cell.mark)


def test_a_part_is_checked_on_the_students_own_data(capsys):
    """Another student's number is another exercise; without a number there is none."""
    first, second = (load("a1").exercises(student_seed(n), 0)["a1.4"].right for n in (1, 2))
    assert first != second
    course.graded("a1.4", first, student=1)
    assert capsys.readouterr().out.startswith("a1.4 is right.")
    with pytest.raises(course.CheckError, match="not right yet"):
        course.graded("a1.4", first, student=2)
    for number in (None, "", " ", True, 1.5):
        with pytest.raises(ValueError, match="must be your student number"):
            course.graded("a1.4", first, student=number)
    assert student_seed(" AB 12") == student_seed("ab12") != student_seed("ab13")


def test_a_test_writes_nothing_to_standard_error(capsys, monkeypatch):
    """nbgrader gives no points to a test that does; warnings of torch and a student's own words are no mistakes."""
    right, real = load("a1").exercises(student_seed(1), 0)["a1.2"].right, checking.find

    def find(name, **seeds):
        warnings.warn("from making the exercise", FutureWarning, stacklevel=1)
        return real(name, **seeds)

    def answer(*given):
        warnings.warn("from the answer", UserWarning, stacklevel=1)
        print("a bar of progress", file=sys.stderr)
        return right(*given)

    monkeypatch.setattr(checking, "find", find)
    course.graded("a1.2", answer, student=1)
    out, err = capsys.readouterr()
    assert err == ""
    assert "a1.2 is right." in out
    assert "a bar of progress" in out


@pytest.mark.parametrize(
    ("what", "file"), [("init", "source/a1_interpolants/a1_interpolants.ipynb"), ("forms", "a1_interpolants.ipynb")]
)
def test_a_course_is_laid_out_and_nothing_overwritten(tmp_path, capsys, what, file):
    assert cli.main(["course", what, str(tmp_path / "course")]) == 0
    assert f"{len(NAMES)} " in capsys.readouterr().out
    (tmp_path / "course" / file).write_text("mine")
    assert cli.main(["course", what, str(tmp_path / "course")]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert (tmp_path / "course" / file).read_text() == "mine"
