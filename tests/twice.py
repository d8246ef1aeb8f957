"""Run every code cell of the lessons twice in a row, as a reader does who tries something and goes on.

    FLOWMAP_EDU_QUICK=1 python tests/twice.py [NOTEBOOK ...]        (make test-twice)

A lesson passes if no run of a cell raises: the assertions in its cells are what it has to end with. Cells whose
second run prints other text than the first are listed; that is no failure (timings are printed), but worth a look.
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

TUTORIALS = Path(__file__).resolve().parent.parent / "tutorials"


def doubled(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with each code cell two times in a row; the texts are left out."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    twice = [nbformat.v4.new_code_cell(cell.source) for cell in cells for _ in range(2)]
    return nbformat.v4.new_notebook(cells=twice, metadata={"kernelspec": notebook.metadata.kernelspec})


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell printed."""
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def run(path: Path) -> str | None:
    """Run a lesson with its cells doubled; the error if one is raised."""
    notebook = doubled(nbformat.read(path, as_version=4))
    began = time.monotonic()
    try:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    except CellExecutionError as error:
        return str(error)
    pairs = zip(notebook.cells[::2], notebook.cells[1::2], strict=True)
    other = [k for k, (first, second) in enumerate(pairs, 1) if printed(first) != printed(second)]
    said = f"; the second run prints other text in cells {', '.join(map(str, other))}" if other else ""
    print(f"{path.stem}: {len(notebook.cells) // 2} cells twice in {time.monotonic() - began:.0f} s{said}", flush=True)
    return None


if __name__ == "__main__":
    failed = 0
    for path in map(Path, sys.argv[1:] or sorted(map(str, TUTORIALS.glob("[0-9][0-9]*_*.ipynb")))):
        if error := run(path):
            failed += 1
            print(f"{path.stem}: a cell does not run twice\n{error}", flush=True)
    raise SystemExit(1 if failed else 0)
