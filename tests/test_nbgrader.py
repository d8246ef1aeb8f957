"""nbgrader and `flowmap-edu grade` give the same grades, from `course init` to the feedback, where nbgrader is there.

`make test` runs this for the first assignment, `make test-grading` for all (FLOWMAP_EDU_NBGRADER=all).
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from two_ways import submissions

from flowmap_edu import cli
from flowmap_edu.course.assignment import assignments, load
from flowmap_edu.course.grading.sandbox import PACKAGE
from flowmap_edu.course.notebook import notebook, read_cells

NAMES = assignments() if os.environ.get("FLOWMAP_EDU_NBGRADER") == "all" else assignments()[:1]


def nbgrader(folder: Path, *words: str) -> None:
    """Run a command of nbgrader in a course folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # it calls alembic by name
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(PACKAGE.parent), "JUPYTER_PLATFORM_DIRS": "1"}
    command = [sys.executable, "-m", "nbgrader", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def points(path: Path, student: str, points: str) -> dict[str, float]:
    """A table's points by student."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row[student]: float(row[points]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", NAMES)
def test_nbgrader_grades_as_we_do(name, tmp_path):
    """Its form is ours; right answers, empty forms, wrong answers and changed tests get the same points."""
    pytest.importorskip("nbgrader", reason="nbgrader is an extra: pip install 'flowmap-edu[grading]'")
    assignment = load(name)
    assert cli.main(["course", "init", str(tmp_path)]) == 0
    nbgrader(tmp_path, "generate_assignment", name)
    released = read_cells("x.ipynb", (tmp_path / "release" / name / f"{name}.ipynb").read_bytes())
    assert [cell.text for cell in released] == [cell.text for cell in assignment.form()]
    wanted = {}
    for student, cells, worth in submissions(assignment):
        (tmp_path / "submitted" / student / name).mkdir(parents=True)
        (tmp_path / "submitted" / student / name / f"{name}.ipynb").write_text(notebook(cells))
        wanted[student] = worth
    nbgrader(tmp_path, "autograde", name)
    nbgrader(tmp_path, "generate_feedback", name)
    nbgrader(tmp_path, "export")
    words = ["--assignment", name, "--out", str(tmp_path / "ours.csv"), "--report", str(tmp_path / "report")]
    assert cli.main(["grade", str(tmp_path / "submitted"), *words, "--seconds", "120"]) == 0
    assert points(tmp_path / "ours.csv", "student", "points") == wanted
    assert points(tmp_path / "grades.csv", "student_id", "score") == wanted
    assert len(list((tmp_path / "feedback").rglob("*.html"))) == len(wanted)
