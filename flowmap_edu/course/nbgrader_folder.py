"""A course folder for nbgrader, and the assignments' forms for a course without it."""

from pathlib import Path

from flowmap_edu.course.assignment import STUB, Assignment, assignments, load
from flowmap_edu.course.notebook import notebook

__all__ = ["init", "write_forms"]

CONFIG = f'''"""The settings of this course for nbgrader: run its commands in this folder.

    nbgrader generate_assignment a1_interpolants     makes release/ from source/
    nbgrader autograde a1_interpolants               grades submitted/STUDENT/a1_interpolants/
    nbgrader generate_feedback a1_interpolants       writes feedback/

nbgrader runs what students hand in on this machine, without a sandbox. `flowmap-edu grade` has one.
"""

from nbgrader.preprocessors import CheckCellMetadata, ClearOutput, DeduplicateIds, OverwriteCells, OverwriteKernelspec


class RestoreTests(OverwriteCells):
    """Like nbgrader's own, and a test that a student deleted runs at the end, as in `flowmap-edu grade`."""

    def preprocess(self, nb, resources):
        nb, resources = super().preprocess(nb, resources)
        there = {{cell.metadata.get("nbgrader", {{}}).get("grade_id") for cell in nb.cells}}
        source = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        cells = {{cell.name: cell for cell in source.source_cells}}
        by_hand = {{cell.name for cell in source.solution_cells}}
        for test in source.grade_cells:
            if test.name not in there | by_hand:
                nb.cells.append(self.missing_cell_transform(cells[test.name], test.max_score))
        return nb, resources


c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "flowmaps"
c.ClearSolutions.code_stub = {{"python": {STUB!r}}}
c.ExecutePreprocessor.timeout = 120  # seconds a cell
c.ExecutePreprocessor.interrupt_on_timeout = True
c.Autograde.sanitize_preprocessors = [ClearOutput, DeduplicateIds, OverwriteKernelspec, RestoreTests, CheckCellMetadata]
'''


def init(folder: Path) -> list[Path]:
    """Lay out a course folder: source/NAME/NAME.ipynb for each assignment, with solutions, and nbgrader_config.py.

    Args:
        folder: made if need be.

    Returns:
        the paths of the notebooks.

    Raises:
        ValueError: if a file is there already: nothing is overwritten.
    """
    found = [load(name) for name in assignments()]
    files = {folder / "source" / a.name / f"{a.name}.ipynb": notebook(a.cells) for a in found}
    return written({**files, folder / "nbgrader_config.py": CONFIG})[:-1]


def write_forms(folder: Path) -> list[Path]:
    """Write each assignment as students get it, NAME.ipynb; what `init` raises is raised here too.

    A folder with source/ is refused: the solutions there would be handed out together with the forms.
    """
    if (folder / "source").exists():
        raise ValueError(f"{folder} holds source/ with the solutions: name another folder for the forms")
    found: list[Assignment] = [load(name) for name in assignments()]
    return written({folder / f"{a.name}.ipynb": notebook(a.form()) for a in found})


def written(files: dict[Path, str]) -> list[Path]:
    """Write files that are not there yet, all or none.

    Raises:
        ValueError: if one is there.
    """
    if there := [path for path in files if path.exists()]:
        raise ValueError(f"{there[0]} is there already, and nothing is overwritten: name another folder")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)
