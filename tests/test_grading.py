"""Grading without any other tool: hostile submissions harm nothing, honest ones get what they earn, twice the same."""

import csv
import platform
import re
import struct
import sys
from pathlib import Path

import hostile
import pytest
from hostile import HOSTILE, TINY, Submission, submitted

from flowmap_edu import cli
from flowmap_edu.course.assignment import load
from flowmap_edu.course.grading import reports
from flowmap_edu.course.grading.grading import RIGHT, RIGHT_VALUE, Grader, grade_all
from flowmap_edu.course.grading.limits import CALLS, filter_program
from flowmap_edu.course.grading.process import Limits
from flowmap_edu.course.grading.sandbox import PACKAGE, Sandbox, find_sandbox
from flowmap_edu.course.grading.submissions import find, student_number
from flowmap_edu.course.grading.wire import Foreign, decode, encode
from flowmap_edu.course.notebook import Cell, notebook
from flowmap_edu.training.files import claimed

BOX = find_sandbox()
BARE = Sandbox("", "It is not used in this test.")
SHORT, LONG = Limits(seconds=2.0, memory=2048, files=10), Limits(seconds=120.0, memory=2048, files=10)
sandboxed = pytest.mark.skipif(not BOX.bwrap, reason=BOX.why)


def quiet(*_):
    """No progress."""


def surprises(names, here: Path, box: Sandbox) -> dict[str, str]:
    """The hostile submissions whose grade or words are not those that are listed."""
    (here / "keep.txt").write_text("keep")
    places = {"{here}": str(here), "{package}": str(PACKAGE)}
    found = {}
    for limits in (SHORT, LONG):
        chosen = [name for name in names if (name in hostile.IMPORT_THE_LIBRARY) == (limits is LONG)]
        code = {name: HOSTILE[name].code for name in chosen}
        for mark, place in places.items():
            code = {name: text.replace(mark, place) for name, text in code.items()}
        submissions = [submitted(name, code[name]) for name in chosen]
        grades = grade_all(Grader(TINY, box, limits), submissions, here / f"kept{limits.seconds}", jobs=2, told=quiet)
        for name, grade in zip(chosen, grades, strict=True):
            said = " ".join([*grade.remarks, *grade.words.values()])
            points = (grade.points["a9.1"], grade.points["a9.2"])
            if points != HOSTILE[name][1:3] or not re.search(HOSTILE[name].said, said):
                found[name] = f"{points}: {said}"
    assert (here / "keep.txt").read_text() == "keep"
    assert not (here / "harm").exists()
    return found


@sandboxed
def test_a_hostile_submission_gets_a_clear_line_and_harms_nothing(tmp_path):
    """And its other part still counts; none sets its own grade."""
    assert len(HOSTILE) >= 30
    assert surprises(HOSTILE, tmp_path, BOX) == {}


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() not in CALLS, reason="the limits are those of Linux")
def test_limits_hold_without_a_sandbox(tmp_path):
    """Time, processes, memory, files and output; and the report says that there is no sandbox."""
    assert surprises(hostile.NEED_NO_SANDBOX, tmp_path, BARE) == {}
    page = reports.index(Grader(TINY, BARE, SHORT), [], [], [])
    assert "NO SANDBOX. It is not used in this test. Submissions ran with your rights" in page


def simulated(program: bytes, machine: str, number: int, flags: int = 0) -> int:
    """What a seccomp filter returns for a call, run instruction by instruction as the kernel does."""
    data = struct.pack("IIQQ", number, CALLS[machine][0], 0, flags)
    lines, place, value = list(struct.iter_unpack("HBBI", program)), 0, 0
    while True:
        code, yes, no, k = lines[place]
        if code == 0x06:
            return k
        if code == 0x20:
            (value,) = struct.unpack_from("I", data, k)
            yes = no = 0
        true = value == k if code == 0x15 else bool(value & k)
        place += 1 + (yes if true else no)


@pytest.mark.parametrize("machine", CALLS)
def test_the_filter_lets_threads_be_made_and_no_processes(machine):
    """On the processor that runs the tests and on the other one."""
    program, (_, clone, refused) = filter_program(machine), CALLS[machine]
    allow, not_permitted, not_there = 0x7FFF0000, 0x00050001, 0x00050026
    assert simulated(program, machine, clone, 0x3D0F00) == allow  # the flags of pthread_create
    assert simulated(program, machine, clone, 0x1200011) == not_permitted  # those of fork
    assert {simulated(program, machine, number) for number in refused} == {not_permitted}
    assert simulated(program, machine, 435) == not_there
    assert {simulated(program, machine, number) for number in (0, 1, 9, 63, 202, 231)} == {allow}
    other = next(name for name in CALLS if name != machine)
    assert simulated(program, other, 1) == not_permitted


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """grades.csv by student."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def command(folder: Path, out: Path, *more: str) -> list[str]:
    """The words of `flowmap-edu grade` for assignment 1."""
    words = ["grade", str(folder / "in"), "--assignment", "a1", "--out", str(out), "--report", str(folder / "report")]
    return [*words, "--seconds", "120", *more]


def test_solutions_get_full_marks_and_the_form_gets_none(tmp_path, capsys):
    """From .py and .ipynb, in folders and flat; each student has a page; nothing is overwritten."""
    assignment = load("a1")
    (tmp_path / "in" / "bob").mkdir(parents=True)
    source = (PACKAGE.parent / "tutorials" / "assignments" / "a1_interpolants.py").read_text(encoding="utf-8")
    (tmp_path / "in" / "ada.py").write_text(source.replace("1234567", "7654321"))
    (tmp_path / "in" / "bob" / "my work.ipynb").write_text(notebook(assignment.form()))
    (tmp_path / "in" / "=eve.ipynb").write_text("junk")
    assert cli.main(command(tmp_path, tmp_path / "grades.csv")) == 0
    rows = read_table(tmp_path / "grades.csv")
    assert {name: (row["points"], row["of"]) for name, row in rows.items()} == {
        "ada": ("10", "10"), "bob": ("0", "10"), "'=eve": ("0", "10"),
    }  # fmt: skip
    assert rows["ada"] | {"number": "", "remarks": ""} == {
        "student": "ada", "number": "", "a1.1 of 4 by hand": "", "a1.2 of 2": "2", "a1.3 of 4": "4", "a1.4 of 2": "2",
        "a1.5 of 2": "2", "a1.6 of 2 by hand": "", "points": "10", "of": "10", "remarks": "",
    }  # fmt: skip
    assert rows["bob"]["remarks"].startswith("STUDENT is not set")
    assert "is no notebook" in rows["'=eve"]["remarks"]
    pages = {path.name: path.read_text() for path in (tmp_path / "report").glob("*.html")}
    assert set(pages) == {"ada.html", "bob.html", "_eve.html", "index.html"}
    assert pages["ada.html"].count(RIGHT) == 2
    assert pages["ada.html"].count(f">{RIGHT_VALUE}<") == 2
    assert "Model answer" in pages["ada.html"]
    assert BOX.said in pages["index.html"]
    before = (tmp_path / "grades.csv").read_bytes()
    capsys.readouterr()
    assert cli.main(command(tmp_path, tmp_path / "grades.csv")) == 2
    assert "already there" in capsys.readouterr().err
    assert cli.main(command(tmp_path, tmp_path / "again.csv", "--jobs", "1")) == 0  # all from what is kept
    assert (tmp_path / "again.csv").read_bytes() == before
    (tmp_path / "report" / "ada.html").write_text("a lecturer's words")
    assert cli.main(command(tmp_path, tmp_path / "third.csv")) == 2
    assert "says something else" in capsys.readouterr().err
    assert not (tmp_path / "third.csv").exists()


SAMPLE = ("exits_with_0", "is_no_number", "lacks_a_package", "ends_the_process")


def test_grades_are_the_same_twice_and_in_any_order(tmp_path):
    submissions = [submitted(name, HOSTILE[name].code) for name in SAMPLE]
    grader = Grader(TINY, BOX, SHORT)
    once = grade_all(grader, submissions, tmp_path / "1", jobs=2, told=quiet)
    twice = grade_all(grader, submissions[::-1], tmp_path / "2", jobs=1, told=quiet)
    assert once == twice[::-1]
    assert len({grader.key(s) for s in submissions}) == len(submissions)
    assert grader.key(submissions[0]) != Grader(TINY, BOX, SHORT, seed=1).key(submissions[0])


def test_an_interrupted_grading_goes_on_where_it_stopped(tmp_path):
    """What is done is kept and not run again; what ran when it stopped is not kept."""
    submissions = [submitted(name, HOSTILE[name].code) for name in (*SAMPLE, "sleeps")]

    def stop(done: int, *_):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade_all(Grader(TINY, BOX, SHORT), submissions, tmp_path, jobs=1, told=stop)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert 2 <= len(kept) < 5
    grades = grade_all(Grader(TINY, BOX, SHORT), submissions, tmp_path, jobs=2, told=quiet)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert [sum(grade.points.values()) for grade in grades] == [sum(HOSTILE[n][1:3]) for n in (*SAMPLE, "sleeps")]
    next(iter(kept)).write_text("damaged")
    assert grade_all(Grader(TINY, BOX, SHORT), submissions, tmp_path, jobs=1, told=quiet) == grades


def graded(cells: list[Cell], name: str = "ada.ipynb"):
    """The grade of a submission with these cells."""
    return Grader(TINY, BOX, SHORT).grade(Submission("ada", Path(name), notebook(cells).encode()))


def test_tests_run_as_they_were_handed_out():
    """A test that is changed, missing or there twice changes nothing; without any mark the code still counts."""
    student, first, test, *rest = TINY.cells
    changed = graded([student, first, Cell(True, "print('right')", test.mark), *rest])
    assert changed.points == {"a9.1": 1, "a9.2": 1}
    assert changed.remarks == ["The cell a9-1 was changed; it ran as it was handed out."]
    missing = graded([student, first, *rest])
    assert missing.points == {"a9.1": 1, "a9.2": 1}
    assert missing.remarks == ["The cell a9-1 was missing; it ran at the end."]
    later = graded([student, Cell(True, "first = 41"), test, first, test, *rest])
    assert later.points == {"a9.1": 0, "a9.2": 1}
    plain = graded([Cell(cell.code, cell.text) for cell in TINY.cells])
    assert plain.points == {"a9.1": 1, "a9.2": 1}
    assert "No cell has the marks of the form" in plain.remarks[0]
    ipython = graded([student, Cell(True, "%matplotlib inline\n!ls\nfirst = 42\nlen?", first.mark), test, *rest])
    assert ipython.points == {"a9.1": 1, "a9.2": 1}
    assert changed.texts == {"a9.3": "**Model answer.** Because."}


UNREADABLE = {
    "is not JSON": b"junk",
    "is not text": b"\xff\xfe\x00",
    "no format number": b"{}",
    "of format 3, format 4 is wanted": b'{"nbformat": 3, "worksheets": []}',
    "no list of cells": b'{"nbformat": 4}',
    "not JSON": b"[" * 100_000,
    "STUDENT is not set": b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": {"a": 1}, "metadata": []}, {}]}',
    "STUDENT is not": b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "STUDENT = ' + b"(" * 10**5 + b'"}]}',
    "cells of a7": b'{"nbformat": 4, "cells": [{"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "a7-1"}}}]}',
}


@pytest.mark.parametrize("words", UNREADABLE)
def test_what_is_no_notebook_gets_a_clear_line(words):
    grade = Grader(TINY, BOX, SHORT).grade(Submission("ada", Path("ada.ipynb"), UNREADABLE[words]))
    assert words in grade.remarks[0]
    assert grade.points == {"a9.1": 0, "a9.2": 0}


def test_submissions_are_found(tmp_path):
    """Flat and in folders; links are not followed, other files not looked at, checkpoints left out."""
    text = notebook(TINY.cells)
    for name in (
        "ada.ipynb",
        "bob/work.ipynb",
        "bob/.ipynb_checkpoints/work.ipynb",
        "cem/a9_tiny.ipynb",
        "cem/x.py",
        "bob/help.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "dan").mkdir()
    (tmp_path / "eve.ipynb").symlink_to(tmp_path / "ada.ipynb")
    found = {s.student: s for s in find(tmp_path, TINY)}
    assert sorted(found) == ["ada", "bob", "cem", "dan", "eve"]
    assert "is a link" in found["eve"].why
    assert "holds no notebook" in found["dan"].why
    assert found["cem"].path == tmp_path / "cem" / "a9_tiny.ipynb"
    assert found["eve"].content == b""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((), "holds no submission"),
        (("notes.txt", "dan/notes.txt"), "holds no submission"),
        (("ada.ipynb", "ada.py"), "two submissions of ada"),
        (("Ada.ipynb", "ada/x.ipynb"), "two submissions of"),
        (("bob/x.py", "bob/y.py"), "two submissions of bob"),
        (("bob/a1_interpolants.ipynb", "bob/old/a1_interpolants.ipynb"), "two submissions of bob"),
        (("bob/x.ipynb", "bob/y.ipynb"), "two submissions of bob"),
    ],
)
def test_a_folder_that_cannot_be_graded_is_an_error(tmp_path, capsys, files, words):
    """And nothing is written."""
    (tmp_path / "in").mkdir()
    for name in files:
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(notebook(load("a1").form()))
    assert cli.main(command(tmp_path, tmp_path / "grades.csv")) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    assert not (tmp_path / "grades.csv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--assignment", "a77"), "the assignments are a1_interpolants"),
        (("--assignment", "a1"), "they have the cells of a9; give its name"),
        (("--out", "grades.txt"), "the ending of --out must be"),
        (("--report", "in"), "holds files that are not of a grading"),
        (("--seconds", "0"), "--seconds must be"),
    ],
)
def test_bad_words_are_errors(tmp_path, capsys, monkeypatch, words, said):
    """A wrong assignment, a file that cannot be, a folder that is not the grader's: nothing is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada.ipynb").write_text(notebook(TINY.cells))
    assert cli.main(command(tmp_path, tmp_path / "grades.csv", *words)) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_two_gradings_do_not_share_a_folder(tmp_path, capsys):
    """And words that move the cursor are not printed."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a\x1b[31mda.ipynb").write_text(notebook(load("a1").form()))
    with claimed(tmp_path / "report" / ".grading", "grading"):
        assert cli.main(command(tmp_path, tmp_path / "grades.csv")) == 2
    assert "another grading writes into" in capsys.readouterr().err
    assert cli.main(command(tmp_path, tmp_path / "grades.csv")) == 0
    assert "1 of 1: a [31mda, 0 points; STUDENT is not set" in capsys.readouterr().err


def test_a_submission_of_another_assignment_gets_a_clear_line():
    grade = Grader(load("a1"), BOX, SHORT).grade(submitted("ada"))
    assert grade.remarks == ["These are the cells of a9, not of a1."]


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("STUDENT = None\nSTUDENT = 12", 12), ("STUDENT = 'ab 12'", "ab 12"), ("STUDENT = None", None), ("x = 3", None),
        ("STUDENT = int('3')", None), ("STUDENT = 3\nSTUDENT = (", 3),
    ],
)  # fmt: skip
def test_the_number_is_read_without_running_the_code(code, number):
    assert student_number([Cell(True, code)]) == number


def test_copies_are_named(tmp_path):
    submissions = [submitted("ada"), submitted("bob"), submitted("cem", "first = 41 + 1")]
    grades = grade_all(Grader(TINY, BOX, SHORT), submissions, tmp_path, told=quiet)
    reports.note_copies(submissions, grades)
    assert grades[0].remarks == ["The same file came from bob.", "The same student number is given by bob, cem."]
    assert grades[2].remarks == ["The same student number is given by ada, bob."]
    assert len(list(tmp_path.iterdir())) == 2


def test_pages_and_tables_are_safe_to_open():
    """No name of a student leaves the folder or runs as a formula; what a student wrote is escaped."""
    assert reports.file_names(["../x", "a/x", "a_x", "index", "ü", "..."]) == [
        "_x.html", "a_x.html", "a_x-2.html", "index-2.html", "ü.html", "student.html",
    ]  # fmt: skip
    grade = Grader(TINY, BOX, SHORT).grade(submitted("<b>", "raise ValueError('<script>=1\\x1b[31m')"))
    assert "<script>" not in reports.page_of(TINY, submitted("<b>"), grade)
    assert "\x1b" not in reports.table(TINY, [submitted("=1")], [grade])
    assert "\n'=1,5," in reports.table(TINY, [submitted("=1")], [grade])


def test_what_a_submission_writes_is_decoded_to_plain_values():
    """Nothing is made, imported or run for it."""
    assert decode(encode([1, (2.5, "x"), None, True])) == [1, (2.5, "x"), None, True]
    assert isinstance(decode(encode(object())), Foreign)
    for content in ({"made": "os:getcwd", "keywords": {}}, {"tensor": "x"}, {"plain": [1]}, {"plain": 2**70}, 3, {}):
        with pytest.raises(Exception, match=r".") as caught:
            decode(content)
        assert not isinstance(caught.value, AttributeError | TypeError | KeyError)
