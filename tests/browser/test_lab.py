"""Every lesson with a figure to move, in JupyterLab: run as far as its last figure, the controls moved by keys.

What must come out: another picture, and under it the numbers that the library computes here, in this process.
"""

import base64
import io

import matplotlib.pyplot as plt
import nbformat
import pytest
import torch
from conftest import REPOSITORY, WIDGET
from live_figure import Figure
from matplotlib.image import imread
from playwright.sync_api import expect
from steps import OUTPUT, change, colours, contrast, open_notebook, run_all, table

from flowmap_edu import METHODS, load, losses, metrics, problems
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.training import runs
from flowmap_edu.viz import live, widgets
from flowmap_edu.viz import loss_explorer as explorer

BOARD = problems.Checkerboard()
HALF = 1.2  # half the width of a step slider's axes, where all but a thousandth of the points lie within it
TESTED = {
    "00_start_here": {"step_slider", "live.checkerboard"},
    "02_the_flow_map_and_its_tangent": {"trajectory_player"},
    "03_three_characterizations": {"time_explorer", "triangle"},
    "04b_stop_gradients_and_stability": {"loss_explorer"},
    "05_self_distillation_on_the_checkerboard": {"step_slider"},
    "08_digits_on_your_laptop": {"step_slider"},
}


class Shown:
    """A figure of widgets.py in JupyterLab: its controls by their accessible names, its note, picture and table."""

    def __init__(self, page):
        self.image = page.locator(".jp-OutputArea-output figure img").first
        expect(self.image).to_be_attached()
        self.output = self.image.locator(OUTPUT)
        self.image.scroll_into_view_if_needed()
        expect(self.image).to_be_visible()
        self.note = self.output.get_by_role("status").first

    def control(self, role: str, name: str):
        found = self.output.get_by_role(role, name=name, exact=True)
        expect(found).to_have_count(1)
        return found

    def press(self, control, key: str, said: str) -> None:
        """Press a key on a control; the picture must become another one, and the note say which."""
        change(self.image, lambda: control.press(key), said, self.note)

    @property
    def table(self) -> dict[str, dict[str, str]]:
        return table(self.output)

    def pixels(self):
        """The picture as the browser has it."""
        return png(base64.b64decode(self.image.get_attribute("src").split("base64,")[1]))


def png(data: bytes):
    return imread(io.BytesIO(data))


@pytest.fixture
def lesson(request, lab, watch):
    """That lesson, run from its top; at the end no error may stand on the console."""
    name = next(name for name in TESTED if name.startswith(request.param))
    path = f"tutorials/{name}.ipynb"
    open_notebook(watch, lab, path)
    run_all(watch)
    yield watch
    lab.stop(path)
    assert watch.errors == []


def of_lesson(number: str):
    return pytest.mark.parametrize("lesson", [number], indirect=True)


def points_of(name: str, X, x0, n: int) -> dict[str, str]:
    """A row of a step slider's table, computed here: with the points beyond the axes, if there are any."""
    x = X.sample(x0, n)
    error = metrics.map_error(widgets.cast(X, x0), BOARD, steps=n, n=widgets.ERROR_POINTS)
    row = {"KL64": f"{metrics.kl64(x).kl:.4f}", "map error": f"{error:.4f}"}
    if outside := int((x.abs() > HALF).any(1).sum()):
        row["points outside the axes"] = f"{outside} of {len(x)}"
    return {name: row}


def test_no_figure_is_left_out():
    """Each lesson that makes such a figure is tested below."""
    found = {}
    for source in sorted((REPOSITORY / "tutorials").glob("*.ipynb")):
        code = "\n".join(c.source for c in nbformat.read(source, as_version=4).cells if c.cell_type == "code")
        if names := {hit[1] or "live.checkerboard" for hit in WIDGET.finditer(code)}:
            found[source.stem] = names
    assert found == TESTED


@of_lesson("00")
def test_lesson_00(lesson):
    """KL64 and map error for the lesson's own noise at 2, 16 and (on demand) 15 jumps; then the live figure."""
    x0 = BOARD.base(100_000, torch.Generator().manual_seed(0))[:10_000]
    maps = {"flow map": load("checkerboard-lsd"), "Euler": FlowMap(lambda s, _, x: BOARD.velocity(s, x))}
    shown = Shown(lesson.page)
    slider = shown.control("slider", "jumps N")
    for key, n in (("ArrowRight", 2), ("End", 16), ("ArrowLeft", 15), ("Home", 1)):
        shown.press(slider, key, f"{n} jump{'s' * (n > 1)}")
        wanted = {name: cells for k, X in maps.items() for name, cells in points_of(k, X, x0, n).items()}
        floor = {"exact draws": {"KL64": f"{metrics.floor64(len(x0)):.4f}", "map error": "0"}}
        assert {name: {k: v for k, v in row.items() if v} for name, row in shown.table.items()} == wanted | floor
        assert f"KL64 {wanted['Euler']['KL64']}" in shown.image.get_attribute("alt")
        if n == 2:
            lesson.shot("lesson-00-step-slider", shown.output)
    figure = Figure(lesson.page)
    figure.root.scroll_into_view_if_needed()
    expect(lesson.page.locator(".flow-live")).to_have_count(1)
    known = live.checkerboard(points=1500)
    figure.walk_steps(known)
    figure.walk_times(known)
    lesson.shot("lesson-00-live", figure.root)


def before_widget(name: str) -> dict:
    """The names that a lesson has set when it makes its figure: its cells, run here."""
    space: dict = {}
    for cell in nbformat.read(REPOSITORY / "tutorials" / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            if WIDGET.search(cell.source):
                break
            exec(cell.source, space)
            plt.close("all")
    return space


@pytest.fixture
def quick(monkeypatch, float64):  # noqa: ARG001  a lesson sets it, and here it is set back
    """Lessons run here without a window, and briefly, as the kernels do."""
    monkeypatch.setenv("FLOWMAP_EDU_QUICK", "1")
    monkeypatch.setattr(plt, "show", lambda: None)


@of_lesson("02")
def test_lesson_02(lesson, quick):  # noqa: ARG001
    """The distance of the paths' ends from the exact ones, for the lesson's own points; play and pause."""
    x0 = before_widget("02_the_flow_map_and_its_tangent")["x0"][:12]
    truth, euler = BOARD.flow_map(0.0, 1.0, x0), FlowMap(lambda s, _, x: BOARD.velocity(s, x))
    shown = Shown(lesson.page)
    slider = shown.control("slider", "jumps N")
    for key, n in (("ArrowRight", 2), ("End", 16), ("Home", 1)):
        shown.press(slider, key, f"{n} jump{'s' * (n > 1)}")
        cells = {name: float(row["distance of the ends, root mean square"]) for name, row in shown.table.items()}
        off = (euler.sample(x0, n) - truth).square().sum(1).mean().sqrt().item()
        assert cells["Euler's steps"] == pytest.approx(off, abs=1e-4)
        assert cells["exact map"] < 2e-4
        if n == 2:
            lesson.shot("lesson-02-player", shown.output)
    shown.control("button", "Play").press("Enter")
    expect(slider).not_to_have_value("1")  # the note follows as fast as the kernel computes
    shown.control("button", "Pause").press("Space")
    stopped = slider.input_value()
    assert 1 < int(stopped) < 16
    lesson.page.wait_for_timeout(1500)
    assert slider.input_value() == stopped
    shown.control("button", "Play")


@of_lesson("03")
def test_lesson_03(lesson, float64):  # noqa: ARG001
    """The three residuals at (s, t) after some keys; s pushed beyond t takes it along."""
    X = FlowMap(load("checkerboard-lsd").slope.double())
    shown = Shown(lesson.page)
    s, t = (shown.control("slider", name) for name in ("start time s", "end time t"))
    for control, key, at in ((s, "ArrowRight", (0.05, 1.0)), (t, "ArrowLeft", (0.05, 0.95)), (s, "End", (1.0, 1.0))):
        shown.press(control, key, f"from s = {at[0]:.2f} to t = {at[1]:.2f}")
        x = metrics.at_time(BOARD, at[0], 256, torch.Generator().manual_seed(0))[0]
        S, T = (torch.full((256,), time) for time in at)
        wanted = {
            "Lagrangian": losses.lagrangian(X, S, T, x, stopgrad="none"),
            "Eulerian": losses.eulerian(X, S, T, x, stopgrad="none"),
            "semigroup": losses.semigroup(X, S, (S + T) / 2, T, x, stopgrad="none", velocity_form=False),
        }
        for name, square in wanted.items():
            found = float(shown.table["residual"][name])
            assert found == pytest.approx(square.mean().sqrt().item(), rel=1e-3, abs=1e-9)
        if at[1] == 0.95:
            lesson.shot("lesson-03-times", shown.output)


@of_lesson("04")
def test_lesson_04(lesson):
    """Where the step is zero, for choices made by keys; the formula is typeset."""
    shown = Shown(lesson.page)
    menus = {name: shown.control("combobox", name) for name in ("condition", "stop-gradient", "velocity of")}
    choice = {"condition": "lagrangian", "stop-gradient": losses.STOPGRADS["lagrangian"][-1], "velocity of": "self"}
    rest = {"condition": "eulerian", "stop-gradient": losses.STOPGRADS["eulerian"][-1]}
    moves = (("velocity of", "End", {"velocity of": "teacher"}), ("condition", "ArrowDown", rest))
    for name, key, changed in moves:
        choice |= changed
        if name == "condition":
            possible = explorer.sources(choice["condition"], choice["stop-gradient"])
            choice["velocity of"] = choice["velocity of"] if choice["velocity of"] in possible else "self"
        condition, stopgrad, source = choice.values()
        shown.press(menus[name], key, f"{condition}, stop-gradient {stopgrad}, velocity of {source}")
        loss, gradient = explorer.curve(explorer.THETAS, condition, stopgrad, source)
        zeros = explorer.rests(explorer.THETAS, -gradient)
        text = shown.output.locator("figcaption").inner_text()
        for at, what in zeros.items():
            assert f"{at:.2f} ({what})" in text
        assert loss.min() >= 0
        assert list(shown.table) == explorer.known(METHODS, condition, stopgrad, source) or "No method" in text
        expect(shown.output.locator("mjx-container, .MathJax").first).to_be_visible()
    lesson.shot("lesson-04-losses", shown.output)


@of_lesson("05")
def test_lesson_05(lesson):
    """Another number of jumps is another picture, and its words name it; the numbers of such a table: lesson 00."""
    shown = Shown(lesson.page)
    slider = shown.control("slider", "jumps N")
    for key, n in (("ArrowRight", 2), ("End", 16)):
        shown.press(slider, key, f"{n} jumps")
        assert list(shown.table) == ["LSD", "ESD", "PSD-M", "LSD, plain"]
        assert f"{n} jumps" in shown.image.get_attribute("alt")
    lesson.shot("lesson-05-step-slider", shown.output)


@of_lesson("08")
def test_lesson_08(lesson):
    """The sheet of digits is, pixel for pixel, the one that Python draws of the same noise and labels."""
    X, labels = runs.load("digits-lsd"), torch.arange(40) % 10
    x0 = problems.Digits().base(40, torch.Generator().manual_seed(2))
    shown = Shown(lesson.page)
    slider = shown.control("slider", "jumps N")
    for key, n in (("ArrowRight", 2), ("End", 16), ("ArrowLeft", 15)):
        shown.press(slider, key, f"{n} jumps")
        wanted = png(widgets.draw_sheets({"shipped LSD map": X.sample(x0, n, label=labels)}, n))
        found = shown.pixels()
        assert found.shape == wanted.shape
        assert abs(found - wanted).max() < 2 / 255
        assert f"after {n} jumps: 40 images" in shown.image.get_attribute("alt")
    lesson.shot("lesson-08-step-slider", shown.output)


# --- in the dark ---------------------------------------------------------------------------------------

SMALL = """import torch
from flowmap_edu import load
from flowmap_edu import problems
from flowmap_edu.viz import live
from flowmap_edu.viz import widgets
x0 = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) / 3**0.5
widgets.step_slider(load("checkerboard-lsd"), x0, (1, 2), exact=problems.Checkerboard())
---
widgets.loss_explorer()
---
live.checkerboard(points=200, live=200)"""


@pytest.fixture
def dark(lab, watch):
    """JupyterLab in its dark theme, with one notebook of three small figures."""
    lab.setting("@jupyterlab/apputils-extension:themes", {"theme": "JupyterLab Dark"})
    cells = [nbformat.v4.new_code_cell(text) for text in SMALL.split("\n---\n")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.root / "dark.ipynb")
    open_notebook(watch, lab, "dark.ipynb")
    run_all(watch)
    yield watch
    lab.stop("dark.ipynb")
    lab.setting("@jupyterlab/apputils-extension:themes", None)
    assert watch.errors == []


def test_every_word_can_be_read_in_the_dark(dark):
    """Words against what lies behind them: WCAG's contrast of 4.5. Pictures keep their white card."""
    page = dark.page
    expect(page.locator("body[data-jp-theme-light=false]")).to_be_attached()
    seen = {}
    places = ["figcaption th", "figcaption td", "figcaption div", "[role=status]", ".widget-label"]
    places += [".flow-slider span", ".flow-slider output"]
    places += ["mjx-container", ".flow-live p", ".flow-live output", ".flow-live label span"]
    for place in places:
        found = page.locator(f".jp-OutputArea-output {place}")
        expect(found.first).to_be_attached()
        for element in found.all():
            seen[place] = min(seen.get(place, 21.0), contrast(*colours(element)))
    for k, figure in enumerate(page.locator(".jp-OutputArea-output figure").all()):
        figure.scroll_into_view_if_needed()
        dark.shot(f"dark-{k}", figure.locator(OUTPUT))
        assert colours(figure.locator("img"))[1][:3] == (255, 255, 255)
    live_figure = page.locator(".flow-live")
    live_figure.scroll_into_view_if_needed()
    dark.shot("dark-live", live_figure)
    assert min(seen.values()) >= 4.5, seen
    assert len(seen) == len(places)
