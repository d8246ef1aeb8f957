"""A notebook that is saved and opened again shows its figures; one whose kernel was restarted says so."""

import re

import nbformat
import pytest
from playwright.sync_api import expect
from steps import open_notebook, run_all

from flowmap_edu.viz import standin
from flowmap_edu.viz.interactive import ASLEEP

CELLS = """import torch
from flowmap_edu import load
from flowmap_edu.viz import live, widgets
x0 = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) / 3**0.5
widgets.step_slider(load("checkerboard-lsd"), x0, (1, 2))
---
live.checkerboard(points=200, live=200)"""
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
FIGURES = ".flow-figure, .flow-live"


@pytest.fixture
def ran(lab, watch):
    """A notebook of two figures, run and saved."""
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS.split("\n---\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), lab.root / "saved.ipynb")
    open_notebook(watch, lab, "saved.ipynb")
    run_all(watch)
    expect(watch.page.locator(FIGURES)).to_have_count(2)
    for figure in watch.page.locator(FIGURES).all():
        expect(figure).to_be_visible()
    for still in watch.page.locator(".flow-still").all():
        expect(still).to_be_hidden()
    yield watch
    lab.stop("saved.ipynb")


def saved(watch, lab) -> nbformat.NotebookNode:
    """Save, wait for the file, and read it."""
    file = lab.root / "saved.ipynb"
    watch.page.locator(".jp-Notebook").click(position={"x": 5, "y": 5})
    watch.page.keyboard.press("Control+s")
    for _ in range(100):
        notebook = nbformat.read(file, as_version=4)
        if all(cell.outputs for cell in notebook.cells if cell.cell_type == "code"):
            return notebook
        watch.page.wait_for_timeout(100)
    raise AssertionError("the notebook was not saved")


def test_a_notebook_opened_again_shows_its_figures(lab, ran):
    """Each dead widget is a picture with its words, and no line speaks of an error."""
    notebook = saved(ran, lab)
    assert "widgets" not in notebook.metadata  # JupyterLab's own default: no state is saved
    assert [[standin.VIEW in out.data for out in cell.outputs] for cell in notebook.cells] == [[False, True]] * 2
    lab.stop("saved.ipynb")
    ran.page.goto("about:blank")
    open_notebook(ran, lab, "saved.ipynb")
    stills = ran.page.locator("img.flow-still")
    expect(stills).to_have_count(2)
    ran.page.wait_for_timeout(4000)  # for two seconds JupyterLab hopes for the widget
    for still in stills.all():
        still.scroll_into_view_if_needed()
        expect(still).to_be_visible()
        assert still.evaluate("(img) => img.complete && img.naturalWidth") > 300
        assert len(still.get_attribute("alt")) > 30
    ran.shot("reopened")
    for said in ("Error displaying widget", "Loading widget"):
        for element in ran.page.get_by_text(said).all():
            expect(element).to_be_hidden()


def test_a_widget_says_that_its_kernel_was_restarted(ran):
    """Nothing before, one line after; when the cell is run again the figure moves as before."""
    line = ran.page.get_by_text(ASLEEP)
    expect(line).to_have_count(1)
    expect(line).to_be_hidden()
    ran.page.locator(".lm-MenuBar-itemLabel", has_text="Kernel").first.click()
    ran.page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Restart Kernel…$")).first.click()
    ran.page.locator(".jp-Dialog-button.jp-mod-accept").click()
    expect(line).to_be_visible()
    ran.shot("asleep")
    expect(ran.page.locator(".flow-live")).to_be_visible()  # it needs no kernel
    run_all(ran)
    expect(line).to_be_hidden()
