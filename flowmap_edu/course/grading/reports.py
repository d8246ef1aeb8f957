"""What a grading leaves: a table of all grades, a page for each student, and a page on how it was done."""

import csv
import html
import io
import re
from collections import defaultdict
from collections.abc import Sequence

from flowmap_edu.course.assignment import Assignment
from flowmap_edu.course.grading.grading import Grade, Grader
from flowmap_edu.course.grading.submissions import Submission

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 1rem/1.5 sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} th, td {{ border: 1px solid #999; padding: .3rem .6rem; text-align: left; }}
pre {{ white-space: pre-wrap; background: #f3f3f3; padding: .6rem; }}
</style></head><body>
{body}
</body></html>
"""


def table(assignment: Assignment, submissions: Sequence[Submission], grades: Sequence[Grade]) -> str:
    """The grades as CSV, one line a student; a part that is graded by hand is an empty place to fill."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = assignment.parts
    most = sum(part.points for part in parts if part.answer is not None)
    writer.writerow(
        ["student", "number", *(heading(p.name, p.points, p.answer) for p in parts), "points", "of", "remarks"]
    )
    for submission, grade in zip(submissions, grades, strict=True):
        points = [f"{grade.points[p.name]:g}" if p.answer is not None else "" for p in parts]
        remarks = " | ".join(grade.remarks)
        words = [submission.student, grade.number, *points, f"{total(grade):g}", f"{most:g}", remarks]
        writer.writerow([harmless(word) for word in words])
    return out.getvalue()


def heading(name: str, points: float, answer: str | None) -> str:
    """The head of a part's column."""
    return f"{name} of {points:g}" + ("" if answer is not None else " by hand")


def harmless(word: str) -> str:
    """A cell of a table that no spreadsheet takes for a formula, in one line of signs that can be printed."""
    word = printable(word)
    return f"'{word}" if word.startswith(("=", "+", "-", "@")) else word


def printable(text: str) -> str:
    """A text in one line, without signs that move a terminal's cursor or colour it."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def total(grade: Grade) -> float:
    """The points of all parts that tests grade."""
    return sum(grade.points.values())


def pages(grader: Grader, submissions: Sequence[Submission], grades: Sequence[Grade]) -> dict[str, str]:
    """A page for each student and index.html, by file name."""
    names = file_names([submission.student for submission in submissions])
    found = {
        name: page_of(grader.assignment, submission, grade)
        for name, submission, grade in zip(names, submissions, grades, strict=True)
    }
    return {**found, "index.html": index(grader, names, submissions, grades)}


def file_names(students: Sequence[str]) -> list[str]:
    """A file name for each student, of letters, digits, dots and lines; no two are the same."""
    taken = {"index"}
    found: list[str] = []
    for student in students:
        plain = re.sub(r"[^\w.-]+", "_", student)[:100].lstrip(".") or "student"
        name, number = plain, 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        found.append(f"{name}.html")
    return found


def page_of(assignment: Assignment, submission: Submission, grade: Grade) -> str:
    """A student's page: each part's points and what is said of it."""
    say = html.escape
    rows: list[str] = []
    texts: list[str] = []
    for part in assignment.parts:
        if part.answer is None:
            rows.append(f"<tr><td>{part.name}</td><td>of {part.points:g}</td><td>It is graded by hand.</td></tr>")
            texts.append(f"<h2>{part.name}, as handed in</h2>\n<pre>{say(grade.texts.get(part.name, '')) or '-'}</pre>")
        else:
            points = f"{grade.points[part.name]:g} of {part.points:g}"
            rows.append(f"<tr><td>{part.name}</td><td>{points}</td><td>{say(grade.words[part.name])}</td></tr>")
    most = sum(part.points for part in assignment.parts if part.answer is not None)
    body = [
        f"<h1>{say(assignment.name)}: {say(submission.student)}</h1>",
        f"<p>The tests give {total(grade):g} of {most:g} points.</p>",
        f"<table><tr><th>part</th><th>points</th><th>what the tests say</th></tr>\n{chr(10).join(rows)}\n</table>",
        *(["<h2>Remarks</h2>", bullets(grade.remarks)] if grade.remarks else []),
        *texts,
    ]
    return PAGE.format(title=f"{say(assignment.name)}: {say(submission.student)}", body="\n".join(body))


def bullets(lines: Sequence[str]) -> str:
    """Lines as a list."""
    return "<ul>\n" + "\n".join(f"<li>{html.escape(line)}</li>" for line in lines) + "\n</ul>"


def index(grader: Grader, names: Sequence[str], submissions: Sequence[Submission], grades: Sequence[Grade]) -> str:
    """How it was graded, and a line for each student."""
    limits, say = grader.limits, html.escape
    missing = sorted({words for grade in grades for words in grade.missing})
    most = sum(part.points for part in grader.assignment.parts if part.answer is not None)
    rows = [
        f'<tr><td><a href="{say(name)}">{say(s.student)}</a></td><td>{total(g):g} of {most:g}</td>'
        f"<td>{say(' '.join(g.remarks))}</td></tr>"
        for name, s, g in zip(names, submissions, grades, strict=True)
    ]
    body = [
        f"<h1>{say(grader.assignment.name)}</h1>",
        f"<p><strong>{say(grader.box.said)}</strong></p>" if not grader.box.bwrap else f"<p>{say(grader.box.said)}</p>",
        f"<p>Limits: {limits.seconds:g} seconds a cell or part and three times as long in all, {limits.memory} MB of "
        f"memory, {limits.files} MB a file. Seed of the hidden cases: {grader.seed}.</p>",
        *([f"<p><strong>Not limited here</strong></p>{bullets(missing)}"] if missing else []),
        f"<table><tr><th>student</th><th>points by tests</th><th>remarks</th></tr>\n{chr(10).join(rows)}\n</table>",
    ]
    return PAGE.format(title=say(grader.assignment.name), body="\n".join(body))


def note_copies(submissions: Sequence[Submission], grades: Sequence[Grade]) -> None:
    """Add a remark where two students handed in the same file, or have the same number."""
    by_file, by_number = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for k, (submission, grade) in enumerate(zip(submissions, grades, strict=True)):
        if submission.content:
            by_file[submission.digest].append(k)
        if grade.number:
            by_number[grade.number].append(k)
    for what, groups in (("The same file came from", by_file), ("The same student number is given by", by_number)):
        for group in groups.values():
            for k in group if len(group) > 1 else ():
                others = ", ".join(submissions[j].student for j in group if j != k)
                grades[k].remarks.append(f"{what} {others}.")
