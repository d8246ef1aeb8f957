"""The cells of a notebook, read from an .ipynb or from a percent source, with nbgrader's marks."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Cell", "notebook", "read_cells"]

HEAD = re.compile(r"^# %%(?P<rest>.*)$")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        code: whether it is code, or text.
        text: what stands in it.
        mark: nbgrader's metadata; empty for a cell without them.
    """

    code: bool
    text: str
    mark: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def id(self) -> str:
        """nbgrader's grade_id, or ""."""
        found = self.mark.get("grade_id", "")
        return found if isinstance(found, str) else ""


def read_cells(name: str, content: bytes) -> list[Cell]:
    """The cells of a notebook or of a percent source.

    Args:
        name: of the file: its ending tells what it is.
        content: of the file.

    Raises:
        ValueError: if it is neither; the message says what it is.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ValueError(f"{name} is no notebook: it is not text") from None
    return percent_cells(text) if name.endswith(".py") else notebook_cells(name, text)


def percent_cells(text: str) -> list[Cell]:
    """The cells of a source in percent format; what stands before the first cell is left out if it is a comment."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        if head := HEAD.match(line):
            found.append((head["rest"], []))
        else:
            found[-1][1].append(line)
    cells: list[Cell] = []
    for head, lines in found:
        code = "[markdown]" not in head and "[raw]" not in head
        if not code:
            lines = [re.sub(r"^# ?", "", line) for line in lines]
        body = "\n".join(lines).strip("\n")
        if cells or head or any(line.strip() and not line.startswith("#") for line in lines):
            cells.append(Cell(code, body, marks(head)))
    return cells


def marks(head: str) -> dict[str, Any]:
    """nbgrader's metadata in the line that opens a cell."""
    _, found, rest = head.partition("nbgrader=")
    if not found:
        return {}
    try:
        mark, _ = json.JSONDecoder().raw_decode(rest)
    except ValueError:
        return {}
    return mark if isinstance(mark, dict) else {}


def notebook_cells(name: str, text: str) -> list[Cell]:
    """The cells of an .ipynb of format 4."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is no notebook: it is not JSON") from None
    version = content.get("nbformat") if isinstance(content, dict) else None
    if version is None:
        raise ValueError(f"{name} is no notebook: it has no format number")
    if version != 4:
        words = "open and save it in JupyterLab"
        raise ValueError(f"{name} is a notebook of format {str(version)[:20]}, format 4 is wanted: {words}")
    given = content.get("cells")
    if not isinstance(given, list) or not all(isinstance(cell, dict) for cell in given):
        raise ValueError(f"{name} is no notebook: it has no list of cells")
    return [cell_of(cell) for cell in given if cell.get("cell_type") in ("code", "markdown")]


def cell_of(given: Mapping[str, Any]) -> Cell:
    """A cell of an .ipynb."""
    source, metadata = given.get("source", ""), given.get("metadata")
    text = "".join(str(line) for line in source) if isinstance(source, list) else str(source)
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return Cell(given["cell_type"] == "code", text, mark if isinstance(mark, dict) else {})


def notebook(cells: Iterable[Cell]) -> str:
    """The cells as the text of an .ipynb without outputs."""
    out: list[dict[str, Any]] = []
    for number, cell in enumerate(cells):
        metadata = {"nbgrader": dict(cell.mark)} if cell.mark else {}
        made: dict[str, Any] = {"cell_type": "code" if cell.code else "markdown", "id": cell.id or f"cell-{number}"}
        made |= {"metadata": metadata, "source": cell.text.splitlines(keepends=True)}
        out.append(made | ({"execution_count": None, "outputs": []} if cell.code else {}))
    content = {"cells": out, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def read_file(path: Path) -> list[Cell]:
    """The cells of a file; ValueError if it is no notebook."""
    return read_cells(path.name, path.read_bytes())
