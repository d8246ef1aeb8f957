"""Find what was handed in, and read it without running it."""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flowmap_edu.course.assignment import Assignment
from flowmap_edu.course.notebook import Cell, read_cells

ENDINGS = (".ipynb", ".py")
LARGEST = 20 * 2**20


@dataclass(frozen=True)
class Submission:
    """What a student handed in: the file (None: there is none), its content, or why it cannot be read."""

    student: str
    path: Path | None
    content: bytes
    why: str = ""

    @property
    def digest(self) -> str:
        """A hash of what was handed in."""
        return hashlib.sha256(f"{self.why}\n{self.path and self.path.suffix}\n".encode() + self.content).hexdigest()


def find(folder: Path, assignment: Assignment) -> list[Submission]:
    """The submissions in a folder, by student: STUDENT.ipynb, or a folder STUDENT/ with a notebook in it.

    Args:
        folder: with an .ipynb or a .py for each student; other files are not looked at.
        assignment: of a student with several notebooks, the one with this name is taken.

    Raises:
        ValueError: if there is no submission, or there are two of one student.
    """
    if not folder.is_dir():
        raise ValueError(f"SUBMISSIONS must be a folder, got {folder}")
    found: list[tuple[str, Path | None]] = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__")):
            continue
        if entry.is_dir() and not entry.is_symlink():
            found.append((entry.name, only_notebook(entry, assignment.name)))
        elif entry.suffix in ENDINGS or entry.is_symlink():
            found.append((entry.stem, entry))
    if not any(path for _, path in found):
        raise ValueError(f"{folder} holds no submission: STUDENT.ipynb or STUDENT.py, or a folder STUDENT/ with one")
    seen: dict[str, Path | None] = {}
    for student, path in found:
        if student.casefold() in seen:
            raise ValueError(f"there are two submissions of {student}: {seen[student.casefold()]} and {path}")
        seen[student.casefold()] = path
    submissions = [read(student, path) for student, path in found]
    numbers = [other_assignment(s, assignment) for s in submissions]
    if all(numbers):
        raise ValueError(
            f"no submission in {folder} is one of {assignment.name}: they have the cells of {numbers[0]}; give its name"
        )
    return submissions


def only_notebook(folder: Path, name: str) -> Path | None:
    """The notebook in a student's folder: the one with the assignment's name, or the only .ipynb, or the only .py.

    Raises:
        ValueError: if there are several.
    """
    inside = sorted(p for p in folder.rglob("*") if p.suffix in ENDINGS and not hidden(p.relative_to(folder)))
    chosen = [p for p in inside if p.stem == name] or inside
    chosen = [p for p in chosen if p.suffix == ".ipynb"] or chosen
    if len(chosen) > 1:
        raise ValueError(f"there are two submissions of {folder.name}: {chosen[0]} and {chosen[1]}")
    return chosen[0] if chosen else None


def hidden(path: Path) -> bool:
    """Whether a part of a path begins with a dot, as .ipynb_checkpoints does."""
    return any(part.startswith((".", "__")) for part in path.parts)


def read(student: str, path: Path | None) -> Submission:
    """A submission's content; what is no plain file is not opened."""
    if path is None:
        return Submission(student, None, b"", "The folder holds no notebook.")
    if path.is_symlink():
        return Submission(student, path, b"", f"{path.name} is a link to another file. Hand in the file itself.")
    if not path.is_file():
        return Submission(student, path, b"", f"{path.name} is no file.")
    size = path.stat().st_size
    if size > LARGEST:
        return Submission(
            student, path, b"", f"{path.name} has {size // 2**20} MB, at most {LARGEST // 2**20} are read."
        )
    try:
        return Submission(student, path, path.read_bytes())
    except OSError as error:
        return Submission(student, path, b"", f"{path.name} cannot be read: {error.strerror}.")


def cells_of(submission: Submission) -> list[Cell]:
    """The cells.

    Raises:
        ValueError: if it cannot be read as a notebook; the message says why.
    """
    if submission.why or submission.path is None:
        raise ValueError(submission.why)
    return read_cells(submission.path.name, submission.content)


def other_assignment(submission: Submission, assignment: Assignment) -> str:
    """The number of another assignment whose cells a submission has, or ""."""
    try:
        found = Counter(cell.id.partition("-")[0] for cell in cells_of(submission) if "-" in cell.id)
    except ValueError:
        return ""
    return "" if not found or assignment.number in found else found.most_common(1)[0][0]


def student_number(cells: Iterable[Cell]) -> int | str | None:
    """What the cells set STUDENT to, read without running them; None if they do not, or not to a plain value."""
    number = None
    for cell in cells:
        for line in cell.text.splitlines() if cell.code else ():
            number = assigned(line, number)
    return number


def assigned(line: str, before: int | str | None) -> int | str | None:
    """What a line sets STUDENT to, or what it was before."""
    if not line.startswith("STUDENT") or len(line) > 200:
        return before
    try:
        (node,) = ast.parse(line).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STUDENT":
            value = ast.literal_eval(node.value)
            return value if isinstance(value, (int, str)) and value != "" else before
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        pass
    return before
