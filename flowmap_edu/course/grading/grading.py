"""Grade submissions: run each where it can harm nothing, and compare what its answers gave with the right ones here.

The grader never runs a student's code. What comes back from a submission's process is decoded to numbers, words and
tensors; the right answers never go there. A step that ends the process or takes too long costs its own points alone:
the submission runs again without it.
"""

import copy
import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flowmap_edu.course.asking import Recorded, Result
from flowmap_edu.course.assignment import Assignment, Part, restored
from flowmap_edu.course.checking import verdict
from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.grading.process import Limits, Live, Run, run
from flowmap_edu.course.grading.sandbox import PACKAGE, Sandbox
from flowmap_edu.course.grading.submissions import Submission, cells_of, other_assignment, student_number
from flowmap_edu.course.grading.wire import decode, encode
from flowmap_edu.course.notebook import Cell
from flowmap_edu.course.students import student_seed
from flowmap_edu.training.files import write

RUNS = 4  # at most so many processes a submission
NO_NUMBER = "STUDENT is not set: write your student number in the cell with `STUDENT = None`."
RIGHT, RIGHT_VALUE = "It is right, also on the hidden cases.", "It is right."


@dataclass
class Grade:
    """What a submission got: points and words for each part that tests grade, and remarks on the whole."""

    number: str = ""
    points: dict[str, float] = field(default_factory=dict[str, float])
    words: dict[str, str] = field(default_factory=dict[str, str])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    remarks: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Grader:
    """How submissions of an assignment are graded: where they run, what they may use, the seed of the hidden cases."""

    assignment: Assignment
    box: Sandbox
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    live: Live = field(default_factory=Live, compare=False)
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def key(self, submission: Submission) -> str:
        """A hash of all that a grade depends on."""
        code = sorted((PACKAGE / "course").rglob("*.py"))
        parts = [self.assignment.name, *(repr(cell) for cell in self.assignment.cells), repr(self.limits)]
        parts += [str(self.seed), str(bool(self.box.bwrap)), submission.digest]
        found = hashlib.sha256("\n".join(parts).encode())
        for path in code:
            found.update(path.read_bytes())
        return found.hexdigest()

    def grade(self, submission: Submission) -> Grade:
        """The grade of one submission; whatever it holds."""
        tested = [part for part in self.assignment.parts if part.answer is not None]
        grade = Grade(points={p.name: 0.0 for p in tested}, words={p.name: "It was not run." for p in tested})
        try:
            cells = cells_of(submission)
        except ValueError as error:
            grade.remarks.append(str(error))
            return grade
        if other := other_assignment(submission, self.assignment):
            grade.remarks.append(f"These are the cells of {other}, not of {self.assignment.number}.")
            return grade
        grade.texts = {p.name: text_of(cells, p) for p in self.assignment.parts if p.answer is None}
        number = student_number(cells)
        if number is None:
            grade.remarks.append(NO_NUMBER)
            grade.words = dict.fromkeys(grade.words, NO_NUMBER)
            return grade
        grade.number = str(number)[:40]
        grade.remarks += oddities(cells, self.assignment)
        with self.lock:  # torch's random numbers are one for all threads
            exercises = [self.assignment.exercises(student_seed(number), seed) for seed in self.seeds(number)]
            steps = list(self.steps(cells, exercises))
        found = self.runs(steps, grade)
        with self.lock:
            for part in tested:
                asked = [known[part.name] for known in exercises]
                wrong = judged(asked, found.get(part.name))
                grade.words[part.name] = wrong or (RIGHT_VALUE if asked[0].cases is None else RIGHT)
                grade.points[part.name] = 0.0 if wrong else float(part.points)
        return grade

    def seeds(self, number: int | str) -> list[int]:
        """The seeds of the cases: the visible ones, and two that follow from the grader's seed and the student."""
        content = f"{self.seed} {self.assignment.name} {number}".encode()
        digest = hashlib.sha256(content).digest()
        return [0, int.from_bytes(digest[:3], "big") + 1, int.from_bytes(digest[3:6], "big") + 1]

    def steps(self, cells: Iterable[Cell], exercises: list[dict[str, Exercise]]) -> Iterable[dict[str, Any]]:
        """What the runner does: the cells in order; in the place of each test, the part's answer is asked."""
        tests = {part.id: part for part in self.assignment.parts if part.answer is not None}
        own = {part.id for part in self.assignment.parts}
        for number, cell in enumerate((c for c in restored(cells, self.assignment) if c.code), 1):
            if cell.id in tests:
                yield part_step(tests.pop(cell.id), exercises)
            elif cell.id not in own:
                yield {"cell": number, "text": cell.text}

    def runs(self, steps: list[dict[str, Any]], grade: Grade) -> dict[str, dict[str, Any]]:
        """What each part gave; the submission runs again without a step that ended it."""
        found: dict[str, dict[str, Any]] = {}
        skip: list[int] = []
        left = 3 * self.limits.seconds
        while len(skip) < RUNS and left > 0 and not self.live.stopped:
            last: Run = run({"steps": steps, "skip": skip}, self.box, self.limits, self.live, total=left)
            left -= last.spent
            found = {**last.parts, **found}
            grade.missing = last.missing
            grade.remarks += [note for note in last.notes if note not in grade.remarks]
            if last.printed > 10**6 and not any("printed" in remark for remark in grade.remarks):
                grade.remarks.append(f"It printed {last.printed / 1e6:.0f} MB; that is dropped.")
            if last.step is None and not last.why:
                return found
            if last.step is None:
                grade.remarks.append(f"The submission {last.why}. {' '.join(last.start.split())[:300]}".strip())
                return found
            step = steps[min(max(last.step, 1), len(steps)) - 1]
            where = f"The answer of {step['part']}" if "part" in step else f"Code cell {step['cell']}"
            grade.remarks.append(f"{where} {last.why}; the rest ran without it.")
            if "part" in step:
                found.setdefault(step["part"], {"wrong": f"It {last.why}."})
            if last.step in skip or not 1 <= last.step <= len(steps):
                break
            skip.append(last.step)
        return found


def part_step(part: Part, exercises: list[dict[str, Exercise]]) -> dict[str, Any]:
    """The step that asks a part's answer, with the cases of every seed.

    Raises:
        ValueError: if a case cannot be sent.
    """
    first = exercises[0][part.name]
    step = {"part": part.name, "answer": part.answer, "cases": None, "gradients": first.parameters is not None}
    if first.cases is None:
        return step
    cases = [[encode(a) for a in case] for known in exercises for case in known[part.name].cases()]  # type: ignore[misc]
    if any("foreign" in argument for case in cases for argument in case):
        raise ValueError(f"a case of {part.name} cannot be sent: use tensors, numbers, words and Made")
    return {**step, "cases": cases}


def judged(exercises: list[Exercise], found: dict[str, Any] | None) -> str | None:
    """What is wrong with what a part gave, or None."""
    if found is None:
        return "It was not reached: the submission had ended, or its time was used up."
    if "wrong" in found:
        return str(found["wrong"])[:500]
    try:
        if exercises[0].cases is None:
            return verdict(exercises[0], decode(found["value"]))
        if "outcomes" not in found:
            return verdict(exercises[0], decode(found["value"]))
        outcomes = [outcome_of(given) for given in found["outcomes"]]
        for exercise in exercises:
            count = len(list(exercise.cases()))  # type: ignore[misc]
            own, outcomes = outcomes[:count], outcomes[count:]
            own += ["It gives fewer answers than there are cases."] * (count - len(own))
            if wrong := verdict(exercise, Recorded(own)):
                return wrong
    except Exception as error:  # whatever a submission wrote in the place of an answer
        return f"It cannot be compared with what is wanted: {type(error).__name__}."
    return None


def outcome_of(given: Any) -> Result | str:
    """A value and its gradients, or the sentence that says what went wrong."""
    if "wrong" in given:
        return str(given["wrong"])[:500]
    return Result(decode(given["value"]), [decode(g) for g in given["gradients"]])


def text_of(cells: Iterable[Cell], part: Part) -> str:
    """What a student wrote where a person grades."""
    return next((cell.text for cell in cells if cell.id == part.id), "")[:20_000]


def oddities(cells: list[Cell], assignment: Assignment) -> list[str]:
    """What is odd about the cells: marks that are missing or there twice, locked cells that were changed."""
    given = {cell.id: cell.text.strip() for cell in cells if cell.id}
    if not given:
        return ["No cell has the marks of the form: all code ran as it stands, then the tests."]
    locked = {cell.id: cell.text.strip() for cell in assignment.form() if cell.mark.get("locked")}
    sources = {cell.id: cell.text.strip() for cell in assignment.cells}
    lost = [k for k in locked if k not in given]
    changed = [k for k in locked if k in given and given[k] not in (locked[k], sources[k])]
    found = [f"The cell {k} was missing; it ran at the end." for k in lost]
    return found + [f"The cell {k} was changed; it ran as it was handed out." for k in changed]


def grade_all(
    grader: Grader,
    submissions: list[Submission],
    kept: Path,
    *,
    jobs: int = 1,
    told: Callable[[int, int, str, Grade], None],
) -> list[Grade]:
    """The grades of all submissions, in their order; those in `kept` are read, the others are written there.

    Args:
        grader: how.
        submissions: what was handed in.
        kept: a folder with a file for each grade, by the hash of all that it depends on.
        jobs: how many run at the same time.
        told: called after each: how many are done, of how many, the student, and the grade.
    """
    kept.mkdir(parents=True, exist_ok=True)
    keys = [grader.key(submission) for submission in submissions]
    first = dict(zip(reversed(keys), reversed(submissions), strict=True))  # the same file twice is graded once

    def one(key: str) -> Grade:
        grade = read_grade(kept / f"{key}.json")
        if grade is None:
            grade = grader.grade(first[key])
            if not grader.live.stopped:
                write(kept / f"{key}.json", json.dumps(asdict(grade)).encode())
        return grade

    with ThreadPoolExecutor(jobs) as pool:
        futures = {key: pool.submit(one, key) for key in first}
        try:
            names = {future: first[key].student for key, future in futures.items()}
            for number, future in enumerate(as_completed(names), 1):
                told(number, len(futures), names[future], future.result())
            return [copy.deepcopy(futures[key].result()) for key in keys]
        except BaseException:
            grader.live.stop()
            pool.shutdown(cancel_futures=True)
            raise


def read_grade(path: Path) -> Grade | None:
    """A grade that was written, or None if there is none that can be read."""
    try:
        return Grade(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
