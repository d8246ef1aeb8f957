"""What `flowmap-edu course` and `flowmap-edu grade` do."""

import argparse
import sys
from pathlib import Path

from flowmap_edu._cli import ready
from flowmap_edu.course import nbgrader_folder
from flowmap_edu.course.assignment import load
from flowmap_edu.course.grading import reports
from flowmap_edu.course.grading.grading import Grade, Grader, grade_all
from flowmap_edu.course.grading.process import Limits
from flowmap_edu.course.grading.sandbox import find_sandbox
from flowmap_edu.course.grading.submissions import find
from flowmap_edu.training.files import claimed, write

KEPT = ".grading"  # in the report's folder: a file for each submission that is done


def course(arguments: argparse.Namespace) -> None:
    """flowmap-edu course: a folder for nbgrader, or the forms that are handed out without it."""
    folder = ready.folder("DIR", arguments.folder)
    if arguments.what == "init":
        written = nbgrader_folder.init(folder)
        print(f"{len(written)} assignment{'s' * (len(written) > 1)} in {folder}/source. Go on in {folder}:")
        print(f"nbgrader generate_assignment {written[0].stem}")
    else:
        written = nbgrader_folder.write_forms(folder)
        print(f"{len(written)} form{'s' * (len(written) > 1)} in {folder}: hand them out as they are")


def grade(arguments: argparse.Namespace) -> None:
    """flowmap-edu grade: grades.csv and a page a student; an interrupted grading goes on where it stopped."""
    out = ready.new_file("--out", arguments.out, (".csv",))
    report = report_folder(arguments.report)
    assignment = load(arguments.assignment)
    submissions = find(ready.path_of("SUBMISSIONS", arguments.submissions), assignment)
    limits = Limits(arguments.seconds, arguments.memory, arguments.files)
    grader = Grader(assignment, find_sandbox(), limits, arguments.seed)
    if not grader.box.bwrap:
        print(f"flowmap-edu: {grader.box.said}", file=sys.stderr, flush=True)
    with claimed(report / KEPT, "grading"):
        grades = grade_all(grader, submissions, report / KEPT, jobs=arguments.jobs, told=progress)
        reports.note_copies(submissions, grades)
        pages = reports.pages(grader, submissions, grades)
        for name, text in pages.items():
            if (report / name).exists() and (report / name).read_bytes() != text.encode():
                raise ValueError(
                    f"{report / name} is there and says something else: remove it, or name another --report"
                )
        for name, text in pages.items():
            write(report / name, text.encode())
        write(out, reports.table(assignment, submissions, grades).encode())
    print(f"{len(grades)} submissions of {assignment.name}: the grades are {out}, the pages are in {report}")


def report_folder(text: str) -> Path:
    """The folder of the report: a new one, an empty one, or one of an earlier grading.

    Raises:
        ValueError: if it holds something else.
    """
    folder = ready.folder("--report", text)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / KEPT).is_dir():
        raise ValueError(f"--report {folder} holds files that are not of a grading: name another folder")
    return folder


def progress(done: int, of: int, student: str, grade: Grade) -> None:
    """One line a submission on standard error."""
    remark = f"; {grade.remarks[0]}" if grade.remarks else ""
    points = reports.total(grade)
    line = reports.printable(f"{done} of {of}: {student}, {points:g} points{remark}")
    print(line[:160], file=sys.stderr, flush=True)
