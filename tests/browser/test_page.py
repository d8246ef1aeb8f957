"""The live figure without a kernel and without a network: a page of its own, and an exported notebook."""

import nbconvert
import nbformat
import pytest
import torch
from conftest import REPOSITORY
from live_figure import Figure
from playwright.sync_api import expect

from flowmap_edu.viz import live

POINTS = 1_500


@pytest.fixture(scope="module")
def shown():
    return live.checkerboard(points=POINTS)


def opened(offline, text: str, folder):
    """A file opened by its own address, the network off."""
    file = folder / "page.html"
    file.write_text(text)
    offline.page.goto(file.as_uri(), wait_until="domcontentloaded")
    return Figure(offline.page)


def test_a_page_of_its_own_moves_and_asks_for_nothing(offline, tmp_path, shown):
    """By keys: N and s and t; what is drawn is what torch computes; not one request beside the file's own."""
    figure = opened(offline, live.page(shown, "A flow map in a lecture hall"), tmp_path)
    figure.walk_steps(shown)
    offline.shot("page")
    figure.walk_times(shown)
    offline.shot("page-times")
    assert not [url for url in offline.requests if not url.startswith(("file:", "blob:", "data:"))]
    assert offline.errors == []
    assert offline.page.locator("img").count() == 0  # the still has made way
    expect(offline.page.locator("main h1")).to_have_count(1)
    assert offline.page.locator("body > :not(main)").count() == 0  # all content lies in a landmark
    assert all(range_.bounding_box()["height"] >= 24 for range_ in offline.page.get_by_role("slider").all())
    narrow = figure.root.locator("canvas").first.bounding_box()["width"]
    offline.page.set_viewport_size({"width": 1920, "height": 1000})
    assert figure.root.locator("canvas").first.bounding_box()["width"] > max(600, narrow)  # 360 px are little there


def test_an_exported_lesson_moves_without_network(offline, tmp_path, shown):
    """nbconvert's HTML of lesson 00: its live figure moves; its other slider is a picture.

    nbconvert puts no words to a picture, also where the notebook stores them.
    """
    notebook = nbformat.read(REPOSITORY / "tutorials" / "00_start_here.ipynb", as_version=4)
    text, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    figure = opened(offline, text, tmp_path)
    figure.root.scroll_into_view_if_needed()
    figure.walk_steps(shown)
    figure.walk_times(shown)
    offline.shot("export", figure.root)
    cell = offline.page.locator(".jp-CodeCell", has_text="widgets.step_slider(")
    still = cell.locator(".jp-OutputArea-output img")
    still.scroll_into_view_if_needed()
    assert still.evaluate("(img) => img.complete && img.naturalWidth") > 400
    offline.shot("export-still")


def test_a_damaged_page_says_so(offline, tmp_path):
    """One line in words for a reader, in place of an empty panel."""
    broken = live.page(live.Live(torch.zeros(1, 3, 2), [1])).replace('"points": 3', '"points": 4')
    offline.page.goto("about:blank")
    (tmp_path / "page.html").write_text(broken)
    offline.page.goto((tmp_path / "page.html").as_uri())
    said = offline.page.get_by_role("alert").inner_text()
    assert said.startswith("This figure cannot be drawn: clouds has 24 bytes")
