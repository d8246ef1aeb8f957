"""Submissions that a grader must survive: what each has in its first cell, what it is worth, and what is said of it.

The assignment has two parts, `first` and `second`, of one point each, and a third that is graded by hand.
"""

from pathlib import Path
from typing import Any, NamedTuple

from flowmap_edu.course.assignment import Assignment
from flowmap_edu.course.exercise import Exercise
from flowmap_edu.course.grading.submissions import Submission
from flowmap_edu.course.notebook import Cell, notebook

SET = "first = 42\n"


def cell(name: str, text: str, **mark: Any) -> Cell:
    """A cell of code with nbgrader's metadata."""
    plain = {"schema_version": 3, "task": False, "grade": False, "solution": False, "locked": False}
    return Cell(True, text, plain | {"grade_id": name, **mark})


def answer(name: str, text: str) -> Cell:
    """A cell that a student fills, with its solution."""
    return cell(name, f"### BEGIN SOLUTION\n{text}\n### END SOLUTION", solution=True)


def part(name: str, text: str) -> Cell:
    """The test of a part of one point."""
    part = name.replace("-", ".")
    return cell(name, f'course.graded("{part}", {text}, student=STUDENT)', grade=True, locked=True, points=1)


def exercises(_student: int, _seed: int) -> dict[str, Exercise]:
    """Two numbers."""
    return {"a9.1": Exercise(asks="42", shown="s", right=42), "a9.2": Exercise(asks="7.5", shown="s", right=7.5)}


BY_HAND = {"grade_id": "a9-3", "grade": True, "solution": True, "locked": False, "points": 2, "schema_version": 3}
TINY = Assignment(
    "a9_tiny",
    (
        answer("a9-student", "STUDENT = 5"),
        answer("a9-1-answer", "first = 42"),
        part("a9-1", "first"),
        answer("a9-2-answer", "second = 7.5"),
        part("a9-2", "second"),
        Cell(False, "**Model answer.** Because.", BY_HAND),
    ),
    exercises,
)


def submitted(student: str, code: str | None = None, assignment: Assignment = TINY) -> Submission:
    """The solutions of an assignment, with other code in the second cell."""
    cells = list(assignment.cells)
    if code is not None:
        cells[1] = Cell(True, code, cells[1].mark)
    return Submission(student, Path(f"{student}.ipynb"), notebook(cells).encode())


class Hostile(NamedTuple):
    """The code of the cell, the points of both parts, and a pattern of what the remarks or the words say."""

    code: str
    first: float
    second: float
    said: str


HOSTILE = {
    "loops": Hostile("while True: pass", 0, 1, "Code cell 2 takes too long; the rest ran without it"),
    "sleeps": Hostile("import time; time.sleep(10**6)", 0, 1, "takes too long"),
    "catches_interrupts": Hostile(
        "import time\nwhile True:\n    try:\n        time.sleep(100)\n    except BaseException:\n        pass",
        0, 1, "takes too long",
    ),
    "forks": Hostile("import os\nwhile True:\n    os.fork()", 0, 1, "Code cell 2 raises PermissionError in line 3"),
    "starts_programs": Hostile("import subprocess\nsubprocess.run(['ls'])", 0, 1, "PermissionError"),
    "crashes": Hostile("import ctypes\nctypes.string_at(0)", 0, 1, "ends the process with SIGSEGV"),
    "exits_with_0": Hostile(SET + "import sys\nsys.exit(0)", 1, 1, "calls sys.exit"),
    "ends_the_process": Hostile(SET + "import os\nos._exit(0)", 0, 1, "ends the process with the status 0"),
    "kills_all": Hostile("import os\nos.kill(-1, 9)\nos.kill(os.getpid(), 9)", 0, 1, "SIGKILL|ProcessLookupError"),
    "prints_megabytes": Hostile(SET + "for _ in range(30): print('x' * 10**6)", 1, 1, "printed 30 MB"),
    "prints_for_ever": Hostile("while True: print('x' * 10**5)", 0, 1, "prints more than 100 MB"),
    "fills_memory": Hostile("x = bytearray(3 * 10**9)", 0, 1, "raises MemoryError"),
    "writes_a_large_file": Hostile("open('x', 'wb').write(bytes(10**8))", 0, 1, "raises OSError.*(large|space)"),
    "writes_many_files": Hostile(
        "for k in range(100):\n    open(f'x{k}', 'wb').write(bytes(10**6))", 0, 1, "No space left"
    ),
    "writes_elsewhere": Hostile("open('{here}/harm', 'w')", 0, 1, "raises FileNotFoundError|Read-only"),
    "writes_at_the_root": Hostile("open('/harm', 'w')", 0, 1, "Read-only"),
    "writes_into_memory": Hostile("open('/dev/shm/harm', 'w')", 0, 1, "Read-only|Permission"),
    "deletes_files": Hostile("import os\nos.remove('{here}/keep.txt')", 0, 1, "raises FileNotFoundError"),
    "deletes_the_library": Hostile("import os\nos.remove('{package}/__init__.py')", 0, 1, "Read-only"),
    "reads_another": Hostile("text = open('{here}/keep.txt').read()", 0, 1, "raises FileNotFoundError"),
    "reads_the_tests": Hostile(
        "first = open('{package}/course/exercises/assignment_1.py').read()", 0, 1, "raises FileNotFoundError"
    ),
    "reads_the_sources": Hostile(
        "import os\nfirst = os.listdir('{package}/../tutorials')", 0, 1, "raises FileNotFoundError"
    ),
    "imports_the_solutions": Hostile(
        "from flowmap_edu.course.exercises.assignment_1 import velocity", 0, 1,
        "imports the package flowmap_edu.course.exercises.assignment_1, which is not installed",
    ),
    "uses_the_network": Hostile("import socket\nsocket.create_connection(('1.1.1.1', 53), 2)", 0, 1, "raises OSError"),
    "lacks_a_package": Hostile("import nowhere_to_be_found", 0, 1, "imports the package nowhere_to_be_found"),
    "writes_answers_itself": Hostile(
        "import os\nfor fd in range(1, 20):\n    try:\n"
        "        os.write(fd, b'{\"part\": \"a9.1\", \"points\": 1, \"value\": {\"plain\": true}}\\n')\n"
        "    except OSError: pass",
        0, 1, "True is not it|not the number",
    ),
    "writes_junk": Hostile(
        "import os\nfor fd in range(1, 20):\n    try: os.write(fd, b'[' * 10**5 + b'\\n')\n    except OSError: pass",
        0, 1, "writes what no answer can be",
    ),
    "closes_all": Hostile("import os\nos.closerange(0, 200)", 0, 1, "ends the process"),
    "patches_the_runner": Hostile(
        "import gc, json, builtins\nfor thing in gc.get_objects():\n    if type(thing).__name__ == 'Runner':\n"
        "        thing.send = lambda **_: None\nbuiltins.eval = lambda *_: 42\njson.dumps = lambda *_: '{}'",
        0, 1, "Code cell 2 ends the process with the status 0",
    ),
    "patches_the_checks": Hostile(
        "import flowmap_edu.course.checking as c\nc.verdict = c.judged = c.difference = lambda *_: None\nfirst = 41",
        0, 1, "41 is not the number",
    ),
    "equals_all": Hostile(
        "class All(float):\n    __eq__ = __le__ = __ge__ = lambda *_: True\n    __hash__ = float.__hash__\n"
        "    __sub__ = __rsub__ = lambda *_: 0.0\nfirst = All(7)",
        0, 1, "7 is not the number",
    ),
    "is_no_number": Hostile("first = float('nan')", 0, 1, "nan is not the number"),
    "is_too_large": Hostile("first = 10**5000", 0, 1, "a very large whole number"),
    "holds_itself": Hostile("first = []\nfirst.append(first)", 0, 1, "RecursionError"),
    "leaves_a_thread": Hostile(
        SET + "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()", 1, 1, ""
    ),
    "raises_in_str": Hostile(
        "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E", 0, 1, "Code cell 2 raises E in line 3"
    ),
    "names_a_formula": Hostile("raise ValueError('=cmd()<script>')", 0, 1, "=cmd"),
}  # fmt: skip

IMPORT_THE_LIBRARY = ("imports_the_solutions", "patches_the_checks")  # which takes seconds
NEED_NO_SANDBOX = (
    "sleeps", "forks", "crashes", "exits_with_0", "ends_the_process", "prints_megabytes", "fills_memory",
    "writes_a_large_file", "writes_junk", "is_no_number",
)  # fmt: skip
