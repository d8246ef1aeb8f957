"""Two forms of a lesson from one source: with the solutions, to read; with stubs in their place, to do.

A solution stands between two comments, nbgrader's own:

    ### BEGIN SOLUTION
    ### END SOLUTION

The doing form has a stub there that raises NotImplementedError. Everything else is the same in both.
"""

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["blocks", "cells", "doing", "put_back", "written"]

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = '{indent}raise NotImplementedError("write this")  # about {lines} line{s}'
STUB_LINE = re.compile(r"^ *raise NotImplementedError\(\"write this\"\)  # about \d+ lines?$")
IDEAS_OF_NO_LESSON = (
    *("import ", "from ", "prediction = ", "course.", "assert ", "print("),
    *("plt.", "plots.", "figures.", "line.", "ax.", "axes[", "figure"),
)


def split(source: str) -> Iterator[tuple[bool, list[str]]]:
    """The source in parts: whether a solution, and its lines; the comments around a solution are left out.

    Raises:
        ValueError: if a solution is not closed, is closed without being open, or opens within another.
    """
    part: list[str] = []
    inside = False
    for number, line in enumerate(source.splitlines(), 1):
        mark = line.strip()
        if mark not in (BEGIN, END):
            part.append(line)
            continue
        if (mark == BEGIN) == inside:
            raise ValueError(f"line {number}: {mark!r} where a solution is {'open' if inside else 'not open'}")
        yield inside, part
        part, inside = [], not inside
    if inside:
        raise ValueError(f"the last solution is not closed: {END!r} is missing")
    yield inside, part


def doing(source: str) -> str:
    """The source with a stub in the place of each solution; the tag that folds a solution away is taken off.

    Raises:
        ValueError: if the marks do not match.
    """
    out: list[str] = []
    for solution, lines in split(source):
        if solution:
            indent = re.match(r" *", next(line for line in lines if line.strip()))
            count = sum(1 for line in lines if line.strip())
            out.append(STUB.format(indent=indent[0] if indent else "", lines=count, s="s" * (count > 1)))
        else:
            out += lines
    text = "\n".join(out) + "\n"
    return re.sub(r'^(# %%.*?) tags=\["solution"\]', r"\1", text, flags=re.MULTILINE)


def blocks(source: str) -> list[str]:
    """The solutions of a source, in order."""
    return ["\n".join(lines) for solution, lines in split(source) if solution]


def put_back(stubs: str, solutions: list[str]) -> str:
    """The doing form with the solutions in the places of its stubs.

    Raises:
        ValueError: if there are more or fewer stubs than solutions.
    """
    left, out = list(solutions), []
    for line in stubs.splitlines():
        if STUB_LINE.match(line):
            if not left:
                raise ValueError(f"there are more stubs than the {len(solutions)} solutions")
            line = left.pop(0)
        out.append(line)
    if left:
        raise ValueError(f"there are {len(solutions)} solutions and {len(solutions) - len(left)} stubs")
    return "\n".join(out) + "\n"


def cells(source: str) -> Iterator[tuple[str, list[str]]]:
    """The code cells of a percent source: the line that opens each, and its lines."""
    for cell in re.split(r"^(?=# %%)", source, flags=re.MULTILINE)[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" not in head:
            yield head, body.splitlines()


def written(source: str) -> tuple[int, int]:
    """How many lines of code of a lesson its reader writes, and how many there are.

    Imports, comments, predictions, checks, assertions, prints and the lines of figures are not counted, however many
    lines such a statement takes, nor is the signature above a solution, nor any cell that is tagged "figure".
    """
    mine = every = 0
    for head, lines in cells(source):
        inside = docstring = False
        depth = 0  # of the brackets of a statement that is not counted
        for line in lines:
            mark = line.strip()
            if mark in (BEGIN, END):
                inside = mark == BEGIN
            quotes = mark.count('"""')
            counted = mark and not mark.startswith("#") and not docstring and not quotes
            docstring ^= quotes == 1
            if inside and counted:
                mine, every = mine + 1, every + 1
            elif counted and '"figure"' not in head and not ('"solution"' in head and mark.startswith("def ")):
                if depth or mark.startswith(IDEAS_OF_NO_LESSON):
                    depth = max(0, depth + sum(map(mark.count, "([{")) - sum(map(mark.count, ")]}")))
                else:
                    every += 1
    return mine, every


def sources(folder: Path) -> list[Path]:
    """The lessons of a folder, in order."""
    return sorted(folder.glob("[0-9][0-9]*_*.py"))
