"""The reading form of the lessons: each NN_name.py run top to bottom into NN_name.ipynb, solutions folded away.

    python docs/make_lessons.py [NN ...] [--again]        (make lessons)

A lesson whose code cells are those of its notebook is not run: its texts alone are renewed, unless --again is given.
"""

import argparse
import hashlib
import os
import re
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from flowmap_edu.course.forms import sources

TUTORIALS = Path(__file__).resolve().parent.parent / "tutorials"


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def same_code(one: nbformat.NotebookNode, other: nbformat.NotebookNode) -> bool:
    """Whether two notebooks run the same code."""
    return [cell.source for cell in code(one)] == [cell.source for cell in code(other)]


def fold(notebook: nbformat.NotebookNode) -> None:
    """Hide the source of the cells that are tagged as solutions; JupyterLab shows a bar to open each."""
    for cell in code(notebook):
        if "solution" in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}


def is_bar(data: dict[str, str]) -> bool:
    """Whether nothing is left of an output, or only the text of a progress bar."""
    return not data or (list(data) == ["text/plain"] and re.search(r"\| \d+/\d+ \[", data["text/plain"]) is not None)


def settle(notebook: nbformat.NotebookNode) -> None:
    """Take out what cannot come back or is of one machine: views and states of widgets, warnings, timings of cells.

    The text of a progress bar goes, too: it is the bar's first state, 0 %, and looks as if nothing had run.
    """
    notebook.metadata.pop("widgets", None)
    seen: dict[str, int] = {}
    for cell in notebook.cells:  # ids by content, so that a lesson that is made again differs only where it changed
        seen[cell.source] = seen.get(cell.source, 0) + 1
        cell["id"] = hashlib.sha256(f"{seen[cell.source]} {cell.source}".encode()).hexdigest()[:12]
    for cell in code(notebook):
        cell.metadata.pop("execution", None)
        cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
        for out in cell.outputs:
            for mime in [mime for mime in out.get("data", {}) if "widget" in mime]:
                del out["data"][mime]
        cell.outputs = [out for out in cell.outputs if "data" not in out or not is_bar(out["data"])]


def make(source: Path, again: bool) -> str:
    """Write a lesson's notebook; what was done."""
    made, path = jupytext.read(source, fmt="py:percent"), source.with_suffix(".ipynb")
    before = nbformat.read(path, as_version=4) if path.exists() else None
    if before is not None and same_code(made, before) and not again:
        for cell, old in zip(code(made), code(before), strict=True):
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
        if "language_info" in before.metadata:  # the kernel writes it; pages are coloured by it
            made.metadata["language_info"] = before.metadata["language_info"]
        done = "texts renewed"
    else:
        began, before_it = time.monotonic(), os.times()
        NotebookClient(made, timeout=900, resources={"metadata": {"path": str(source.parent)}}).execute()
        used = sum(os.times()[2:4]) - sum(before_it[2:4])  # of the kernel: what quiet cores would take, on one thread
        done = f"run in {time.monotonic() - began:.0f} s, {used:.0f} CPU-s"
    settle(made)
    fold(made)
    jupytext.write(made, path, fmt="ipynb")
    return done


def main() -> None:
    """Make the lessons that are named, or all."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("lessons", nargs="*", metavar="NN", help="such as 03; default all")
    options.add_argument("--again", action="store_true", help="run a lesson even if its code has not changed")
    arguments = options.parse_args()
    found = {path.stem.partition("_")[0]: path for path in sources(TUTORIALS)}
    if unknown := [name for name in arguments.lessons if name not in found]:
        options.error(f"the lessons are {', '.join(found)}; got {', '.join(unknown)}")
    for name in arguments.lessons or found:
        print(f"{found[name].stem}: {make(found[name], arguments.again)}", flush=True)


if __name__ == "__main__":
    main()
