"""The triangle of times on a page without network and in JupyterLab: moved by keys, by mouse and by touch."""

import re

import nbformat
import pytest
import torch
from conftest import Watch, watched
from playwright.sync_api import expect
from steps import open_notebook, run_all

from flowmap_edu.viz import live, widgets
from flowmap_edu.viz import triangle as module

CELLS = """import ipywidgets, traitlets
from flowmap_edu.viz import widgets
figure = widgets.triangle()
figure
---
box = ipywidgets.FloatText(description="t in Python")
traitlets.link((figure, "t"), (box, "value"))
box"""
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}


class Shown:
    """The figure as a reader finds it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".flow-triangle")
        expect(self.root).to_be_visible()

    def data(self) -> dict[str, str]:
        return self.root.locator("xpath=..").evaluate("(el) => ({ ...el.dataset })")

    def slider(self, name: str):
        return self.root.get_by_role("slider", name=name, exact=True)

    def choose(self, name: str) -> None:
        self.root.get_by_role("radio", name=name, exact=True).check()

    def handle(self, drawing: int, name: str) -> tuple[float, float]:
        """The middle of a handle, in pixels of the page."""
        circle = self.root.locator(f"svg >> nth={drawing}").locator(f"[data-handle={name}]")
        circle.scroll_into_view_if_needed()
        box = circle.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def times(self) -> tuple[float, ...]:
        return tuple(float(self.data()[name]) for name in ("s", "u", "t"))

    def check(self) -> None:
        """Where the jump lands is what torch says, and the line of words has the page's own numbers."""
        data = self.data()
        s, t, x = (float(data[name]) for name in ("s", "t", "x"))
        landed = module.MAPS[data["shown"]](s, t, torch.tensor([[x]], dtype=torch.float64)).item()
        assert abs(float(data["landed"]) - landed) < 1e-5
        said = f"residual {abs(float(data['residual'])):.2f}"
        expect(self.root.locator("output")).to_contain_text(said)
        expect(self.root.get_by_role("img", name=re.compile(said))).to_have_count(2)


def opened(watch: Watch, folder, **arguments) -> Shown:
    """A page of the figure, opened by its own address."""
    file = folder / "page.html"
    file.write_text(live.page(widgets.triangle(**arguments), "The triangle"))
    watch.page.goto(file.as_uri(), wait_until="domcontentloaded")
    return Shown(watch.page)


def test_keys_move_it_and_it_asks_for_nothing(offline, tmp_path):
    """Every slider and every choice by keys; the exact map has no residual, one Euler step has."""
    figure = opened(offline, tmp_path)
    assert offline.page.locator("img").count() == 0  # the still has made way
    figure.check()
    expect(figure.root.locator("label", has_text="stop u")).to_be_hidden()
    figure.choose("semigroup")
    for name, key, times in (("end t", "ArrowRight", (0.2, 0.5, 0.81)), ("start s", "PageUp", (0.3, 0.5, 0.81)),
                             ("stop u", "End", (0.3, 1.0, 1.0)), ("end t", "Home", (0.0, 0.0, 0.0)),
                             ("end t", "End", (0.0, 0.0, 1.0)), ("stop u", "PageUp", (0.0, 0.1, 1.0))):  # fmt: skip
        figure.slider(name).press(key)
        assert figure.times() == pytest.approx(times)
        expect(figure.slider(name)).to_have_attribute("aria-valuetext", f"{times['sut'.index(name[-1])]:.2f}")
        figure.check()
    before = float(figure.data()["x"])
    figure.slider("x at time 0").press("ArrowLeft")
    assert float(figure.data()["x"]) < before
    for condition in ("Lagrangian", "Eulerian", "semigroup"):
        figure.choose(condition)
        sizes = []
        for shown in ("the exact map", "one Euler step"):
            figure.choose(shown)
            figure.check()
            sizes.append(abs(float(figure.data()["residual"])))
        assert sizes[0] < 1e-4 < 0.05 < sizes[1], condition
    radio = figure.root.get_by_role("radio", name="semigroup", exact=True)
    radio.press("ArrowLeft")
    assert figure.data()["condition"] == "eulerian"
    offline.shot("triangle")
    assert not [url for url in offline.requests if not url.startswith(("file:", "blob:", "data:"))]
    assert offline.errors == []


def test_the_mouse_drags_every_handle(offline, tmp_path):
    """In the triangle the pair and the stop, in the plane start, stop, end and path; each goes where the mouse goes."""
    figure = opened(offline, tmp_path, condition="semigroup", shown="exact")
    mouse = offline.page.mouse

    def drag(drawing: int, name: str, right: float, up: float) -> None:
        x, y = figure.handle(drawing, name)
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + right / 2, y - up / 2)
        mouse.move(x + right, y - up)
        mouse.up()
        mouse.move(5, 5)  # a released handle stays
        figure.check()

    drag(0, "pair", 30, 20)
    s, u, t = figure.times()
    assert s > 0.22
    assert t > 0.82
    assert u == pytest.approx(0.5)
    now = figure.handle(0, "pair")
    drag(0, "first", 25, 60)  # up and down it cannot go
    assert figure.times() == pytest.approx((s, figure.times()[1], t))
    assert figure.times()[1] > u
    assert figure.handle(0, "pair") == pytest.approx(now, abs=0.5)
    drag(0, "second", 0, -40)
    assert figure.times()[1] < u + 0.05
    landed = float(figure.data()["landed"])
    drag(1, "s", 40, 10)  # along the path: the exact map lands where it did
    assert figure.times()[0] > s + 0.05
    assert float(figure.data()["landed"]) == pytest.approx(landed, abs=1e-5)
    drag(1, "t", 400, 0)
    assert figure.times()[2] == 1
    drag(1, "u", -30, 0)
    drag(1, "start", 0, -60)
    assert float(figure.data()["landed"]) < landed - 0.5
    drag(0, "pair", -300, 0)  # out of the triangle: it stays on the diagonal
    s, u, t = figure.times()
    assert s == u == t
    assert offline.errors == []


def test_a_finger_drags_the_end(chromium, tmp_path):
    """Touch moves the handle, and the page does not scroll with it."""
    context = chromium.new_context(viewport={"width": 420, "height": 700}, has_touch=True, is_mobile=True)
    watch = watched(context)
    try:
        figure = opened(watch, tmp_path)
        x, y = figure.handle(1, "t")
        session, scrolled = context.new_cdp_session(watch.page), "() => window.scrollY"
        before = watch.page.evaluate(scrolled)
        for kind, move in (("touchStart", 0), ("touchMove", -30), ("touchMove", -60), ("touchEnd", None)):
            points = [] if move is None else [{"x": x + move, "y": y + (move or 0)}]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert 0.3 < figure.times()[2] < 0.7
        assert watch.page.evaluate(scrolled) == before
        figure.check()
        watch.shot("triangle-touch")
        wide = "() => document.documentElement.scrollWidth <= window.innerWidth"
        assert watch.page.evaluate(wide)
        assert watch.errors == []
    finally:
        context.close()


def test_in_jupyterlab_it_speaks_with_python(lab, watch):
    """A key moves the value in Python, and a value that Python sets moves the figure."""
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS.split("\n---\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), lab.root / "triangle.ipynb")
    open_notebook(watch, lab, "triangle.ipynb")
    run_all(watch)
    figure = Shown(watch.page)
    expect(watch.page.locator(".flow-still")).to_be_hidden()
    figure.slider("end t").press("ArrowRight")
    box = watch.page.locator(".widget-text input")
    expect(box).to_have_value("0.81")
    box.fill("0.6")
    box.press("Enter")
    expect(figure.slider("end t")).to_have_value("0.6")
    assert figure.times() == pytest.approx((0.2, 0.5, 0.6))
    figure.check()
    watch.shot("triangle-lab", figure.root)
    lab.stop("triangle.ipynb")
    assert watch.errors == []
