"""The lessons as files: pairs in step, cells short, outputs stored in order, links that lead somewhere.

That they run is checked by nbval (`make test`), top to bottom with short trainings.
"""

import ast
import re
from itertools import pairwise
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupytext.compare import NotebookDifference, compare_notebooks
from matplotlib.figure import Figure
from nbconvert import HTMLExporter

from flowmap_edu.course.forms import BEGIN, END, sources
from flowmap_edu.viz import alternative

TUTORIALS = Path(__file__).resolve().parent.parent / "tutorials"
SOURCES = sources(TUTORIALS)
LONGEST = 15
PAGES = ["README.md", "CONTRIBUTING.md", "data/README.md", "tutorials/README.md", "tutorials/notation.md"]
PAGES += [f"docs/{path.name}" for path in (TUTORIALS.parent / "docs").glob("*.md")]
by_name = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def notebook(source: Path):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def code_cells(source: Path):
    return [cell for cell in notebook(source).cells if cell.cell_type == "code"]


def in_step(source: Path, other) -> None:
    """Raise unless a notebook has the cells of the source; what folds a cell is the notebook's alone."""
    for cell in other.cells:
        cell.metadata.pop("jupyter", None)
    compare_notebooks(jupytext.read(source), other, fmt="py:percent", allow_expected_differences=True)


def test_every_notebook_has_its_source():
    """A pair for each lesson, and no lesson without."""
    assert [path.stem for path in SOURCES] == sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))


@by_name
def test_pair_is_in_step(source):
    """The .ipynb holds the cells of the .py, and a changed cell is noticed."""
    other = notebook(source)
    in_step(source, other)
    other.cells[-1].source += " changed"
    with pytest.raises(NotebookDifference):
        in_step(source, other)


@by_name
def test_solutions_are_folded(source):
    """JupyterLab hides the source of a cell that holds a solution, and of no other; its tag and its marks agree."""
    for cell in code_cells(source):
        solution = "solution" in cell.metadata.get("tags", [])
        assert bool(cell.metadata.get("jupyter", {}).get("source_hidden")) == solution == (BEGIN in cell.source)


@by_name
def test_cells_are_short(source):
    """At most fifteen lines of code in a cell, but for one that defines a class."""
    for cell in code_cells(source):
        lines = [line for line in cell.source.splitlines() if line.strip() and line.strip() not in (BEGIN, END)]
        has_class = any(isinstance(node, ast.ClassDef) for node in ast.parse(cell.source).body)
        assert len(lines) <= LONGEST or has_class, cell.source


@by_name
def test_outputs_are_stored_from_one_run_top_to_bottom(source):
    """Execution counts 1, 2, 3, ...; no error stored; below 1 MB."""
    cells = [cell for cell in code_cells(source) if cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell.outputs if out.output_type in ("error",)]
    assert source.with_suffix(".ipynb").stat().st_size < 1_000_000
    printed = "".join(out.get("text", "") for cell in cells for out in cell.outputs if out.output_type == "stream")
    assert "site-packages" not in printed  # a warning with a path of somebody's machine


@by_name
def test_no_widget_is_stored_that_cannot_come_back(source):
    """A stored view needs a kernel that is gone: a picture is stored, and neither a view nor the state of a widget."""
    assert "widgets" not in notebook(source).metadata
    stored = [out.data for cell in code_cells(source) for out in cell.outputs if "data" in out]
    assert not [mime for data in stored for mime in data if "widget" in mime]
    assert all("image/png" in data for data in stored)  # and no progress bar, which would stand at 0 % for ever


@by_name
def test_a_page_that_runs_no_script_shows_the_still(source):
    """A figure that runs in the page is its picture, and nothing else, where scripts and styles are taken out."""
    for cell in code_cells(source):
        for page in [out.data["text/html"] for out in cell.outputs if "text/html" in out.get("data", {})]:
            left = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
            assert len(re.findall(r'<img [^>]*src="data:image/png;base64,[^"]{1000,}"', left)) == 1
            assert not re.sub(r"<[^>]*>", "", left).strip()


@by_name
def test_a_formula_in_a_quote_stands_in_one_line(source):
    """JupyterLab reads formulas before quotes, so the mark of a second line, ">", would be a part of the formula."""
    for cell in notebook(source).cells:
        if cell.cell_type == "markdown":
            formulas = re.findall(r"\$\$.*?\$\$|\$[^$]*\$", re.sub("`[^`]*`", "", cell.source), flags=re.DOTALL)
            assert not [formula for formula in formulas if re.search(r"\n\s*>", formula)]


@pytest.mark.parametrize(("source", "following"), list(pairwise(SOURCES)), ids=lambda path: path.stem.partition("_")[0])
def test_each_lesson_links_to_the_next(source, following):
    """Under "Next", at its end; the last lesson links to the list of all."""
    assert f"]({following.stem}.ipynb)" in notebook(source).cells[-1].source.split("## Next\n")[1].split("\n## ")[0]
    assert "](README.md)" in notebook(SOURCES[-1]).cells[-1].source.split("## Next\n")[1]


@by_name
def test_links_lead_somewhere(source):
    """Every relative link's target is in the repository, which is what JupyterLab can open."""
    text = "\n".join(cell.source for cell in notebook(source).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\((?!https?://|#|attachment:)([^)#\s]+)", text):
        assert (source.parent / target).exists(), target
        assert (source.parent / target).resolve().is_relative_to(TUTORIALS.parent), target


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_pages_lead_somewhere(page):
    """So is every one of the project's pages."""
    path = TUTORIALS.parent / page
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def numbers(text: str) -> list[str]:
    """The decimal numbers in a text; version-like and section-like ones (1.2.3) left out."""
    return re.findall(r"(?<![\d.\w])\d+\.\d+(?![\d.])", text)


@by_name
def test_numbers_in_the_text_come_from_a_cell(source):
    """A decimal under "What to notice", formulas aside, is printed by a cell or set in one."""
    known: list[float] = []
    for cell in code_cells(source):
        printed = "".join(out.get("text", "") for out in cell.outputs if out.output_type == "stream")
        known += map(float, numbers(cell.source + "\n" + printed))
    for cell in notebook(source).cells:
        if cell.cell_type == "markdown" and "**What to notice.**" in cell.source:
            noticed = re.sub(r"\$[^$]*\$", "", cell.source.split("**Try.**")[0])
            for number in numbers(noticed):
                digits = len(number.split(".")[1])
                assert any(round(value, digits) == float(number) for value in known), number


@by_name
def test_every_picture_is_stored_with_its_words(source):
    """What a reader who cannot see it is told; nbconvert puts it into the page (docs/nbconvert/lesson)."""
    for cell in code_cells(source):
        for out in cell.outputs:
            if "image/png" in out.get("data", {}):
                assert len(out.metadata.get("image/png", {}).get("alt", "")) > 15, cell.source[-200:]


def test_a_page_has_the_words_of_its_pictures():
    """Each <img> of an exported lesson; JupyterLab's own template leaves them out."""
    page, _ = HTMLExporter(
        template_name="lesson", extra_template_basedirs=[str(TUTORIALS.parent / "docs" / "nbconvert")]
    ).from_filename(str(TUTORIALS / "00_start_here.ipynb"))
    images = re.findall(r"<img [^>]*>", page)
    stored = [out for cell in code_cells(SOURCES[0]) for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(images) == len(stored) >= 5
    for image in images:
        assert len(re.search(r'alt="([^"]*)"', image)[1]) > 15


def test_a_figure_in_words():
    """Its title, then for each panel its title, what the axes show and the names in the legend."""
    figure = Figure()
    figure.suptitle("Two maps")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], label="LSD")
    left.legend()
    left.set(title="loss & time", xlabel="time $t$", ylabel="loss")
    right.imshow([[1.0]])
    right.set_title("data", loc="left")
    right.axis("off")
    assert alternative.words(figure) == "Figure. Two maps. loss & time, x: time t, y: loss, with LSD. data"
    assert alternative.with_words(lambda _: b"png")(figure) == (b"png", {"alt": alternative.words(figure)})
    assert alternative.with_words(lambda _: (b"png", {"width": 3}))(figure)[1].keys() == {"width", "alt"}
    assert alternative.with_words(lambda _: None)(figure) is None
