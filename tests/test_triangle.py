"""Triangles of times: what is drawn of a method is what its loss reads, at the pairs that its training visits."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from flowmap_edu import METHODS, FlowMap, losses, methods, times
from flowmap_edu import _checks as checks
from flowmap_edu.viz import triangles

matplotlib.use("Agg")
NAMES = pytest.mark.parametrize("name", list(METHODS))


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def same(a, b) -> bool:
    return max(abs(p - q) for p, q in zip(a, b, strict=True)) < 1e-5


class Recorder:
    """A slope v(s, t, x) that notes at which (t, s) it is read."""

    def __init__(self):
        self.read: list[tuple[float, float]] = []

    def __call__(self, s, t, x):
        self.read.append((checks.plain(t)[0].item(), checks.plain(s)[0].item()))
        return torch.sin(x) * (1 + s + t * t)[:, None]


def read_by_the_loss(method: methods.Method) -> tuple[dict[str, list], bool]:
    """Where the map, its average and the teacher are read at the example pair; whether the sample's slope counts."""
    s, u, t = (torch.tensor([time], dtype=torch.float64) for time in triangles.example(method))
    if method.times == "square":  # the drawn pair is the way back
        s, t = t, s
    x = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    dx = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    slopes = {name: Recorder() for name in ("self", "average", "teacher")}
    X, average, teacher = (FlowMap(slope) for slope in slopes.values())
    none = losses.Diagonal(s[:0], x[:0], x[:0])
    moves = {"middle": "half", "tangent_warmup": 0.0} if method.middle in times.MOVING else {}  # u as it was drawn
    steady = dataclasses.replace(method, weight="one", **moves)
    values = []
    for slope in (dx, 2 * dx):
        batch = losses.Batch(none, losses.Jumps(s, u, t, x, slope))
        values.append(methods.loss(X, batch, steady, teacher=teacher, average=average))
    return {name: slope.read for name, slope in slopes.items()}, not torch.equal(*values)


@NAMES
def test_the_arrows_come_from_where_the_loss_reads(name):
    """Each mark is a place that the loss reads, of the one who gives it; no place that is read is left out."""
    method = METHODS[name]
    if method.condition == "diagonal":
        assert triangles.sources(method) == []
        return
    s, u, t = triangles.example(method)
    drawn = triangles.sources(method)
    read, sample = read_by_the_loss(method)
    if method.points == "trajectory":  # the solver's steps come with the batch, as its dx
        assert drawn == [triangles.Source((s, s), "teacher"), triangles.Source(((s + t) / 2,) * 2, "teacher")]
        assert sample
        assert read == {"self": [pytest.approx((t, s))] * 2, "average": [], "teacher": []}
        return
    assert any(giver == "sample" for _, giver in drawn) == sample
    if method.condition == "semigroup":  # the second short jump, from u to t; a u near s is drawn farther away
        at, giver = drawn[0]
        assert same(at, (t, max(u, s + triangles.STEP)))
        drawn[0] = triangles.Source((t, u), giver)
    else:  # the derivative, along t at fixed s or along s at fixed t
        (at, giver), *drawn = drawn
        assert same(at, (t - triangles.STEP, s) if method.condition == "lagrangian" else (t, s + triangles.STEP))
        assert giver == "self"
        assert any(same((t, s), place) for place in read["self"])
    for at, giver in drawn:
        assert giver == "sample" or any(same(at, place) for place in read[giver]), (at, giver)
    marked = {who: [at for at, giver in drawn if giver == who] for who in read}
    for who, places in read.items():
        near = method.difference + 1e-5  # a difference in place of the derivative reads on both sides
        places = [p for p in places if max(abs(p[0] - t), abs(p[1] - s)) > near]
        left = [p for p in places if not any(same(p, q) for q in marked[who])]
        assert left == [], who


@NAMES
def test_the_dots_are_pairs_that_the_method_visits(name):
    """s <= t, and what the method's choice of times says; the pair with the arrows is one of them."""
    method = METHODS[name]
    ax = triangles.method(method)
    if method.condition == "diagonal":
        assert not ax.collections
        return
    t, s = np.array(ax.collections[0].get_offsets()).T
    assert len(s) == triangles.DRAWN
    one = np.array(triangles.example(method))
    t, s = np.append(t, one[2]), np.append(s, one[0])
    if method.times == "square":
        assert 0.4 < (s <= t).mean() < 0.6
        return
    assert (s <= t).all()
    if method.times == "from zero":
        assert (s == 0).all()
    elif method.times == "triangle":
        assert abs(s[:-1].mean() - 1 / 3) < 0.05
        assert abs(t[:-1].mean() - 2 / 3) < 0.05
    elif method.times == "to one":
        assert (t == 1).all()
    elif method.times == "grid":
        assert (t == 1).all()
        assert np.array_equal(s * times.GRID, np.round(s * times.GRID))
    elif method.times == "segments":
        assert set(t) == {0.5, 1.0}
        assert (t - s <= 0.5).all()
    else:
        assert set(np.log2(t - s)) == set(-np.arange(times.LEVELS))
        assert np.array_equal(s / (t - s), np.round(s / (t - s)))


def test_the_diagonal_is_green_where_flow_matching_is_a_part():
    """Nothing but the row's own share decides: `ct` has none, `lsd` takes the recipe's."""
    for name, method in METHODS.items():
        ax = triangles.method(method)
        (line,) = [one for one in ax.get_lines() if list(one.get_xdata()) == [0, 1] == list(one.get_ydata())]
        assert (line.get_color() == triangles.DIAGONAL) == (method.diagonal is None or method.diagonal > 0), name
        words = [text.get_text() for text in ax.get_legend().get_texts()]
        assert ("flow matching at s = t" in words) == (line.get_color() == triangles.DIAGONAL)
        plt.close(ax.figure)


def test_every_method_in_one_figure():
    """The legend explains each mark that some panel shows; titles do not run into the next panel."""
    figure = triangles.methods(list(METHODS))
    figure.canvas.draw()
    axes = figure.axes
    assert [ax.get_title("left").split("\n")[0] for ax in axes] == list(METHODS)
    boxes = [ax.title.get_window_extent() for ax in axes] + [ax._left_title.get_window_extent() for ax in axes]
    boxes = [box for box in boxes if box.width > 1]
    assert len(boxes) == len(METHODS)
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert all(box.y1 <= figure.bbox.height and box.x0 >= 0 for box in boxes)
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words[2:-1] == [words for _, _, words in triangles.GIVERS.values()]
    assert legend.get_window_extent().y1 < min(ax.get_tightbbox().y0 for ax in axes)
    assert legend.get_window_extent().x1 < figure.bbox.width


@pytest.mark.parametrize("count", [1, 3, 4, 8, 12])
def test_titles_and_legend_lie_in_the_figure(count):
    figure = triangles.methods(list(METHODS)[:count])
    figure.canvas.draw()
    places = [ax.get_tightbbox() for ax in figure.axes] + [figure.legends[0].get_window_extent()]
    assert min(box.x0 for box in places) >= 0
    assert min(box.y0 for box in places) >= 0
    assert max(box.x1 for box in places) <= figure.bbox.width
    assert max(box.y1 for box in places) <= figure.bbox.height
    assert min(box.y0 for box in places[:-1]) > places[-1].y1


def test_bad_input_is_refused():
    for make, message in (
        (lambda: triangles.method("lsd"), "method must be a Method.*got str"),
        (lambda: triangles.methods([]), "at least one name"),
        (lambda: triangles.methods(["lsd", "nonsense"]), "names must be one of.*got 'nonsense'"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


# --- the interactive triangle ----------------------------------------------------------------------

notebooks = pytest.importorskip("anywidget", reason="notebooks is not installed")
from flowmap_edu.viz import line, live, standalone, widgets  # noqa: E402
from flowmap_edu.viz import triangle as module  # noqa: E402

NODE = shutil.which("node")
CASES = [  # s, u, t, start, condition, shown
    {"s": s, "u": u, "t": t, "start": start, "condition": condition, "shown": shown}
    for s, u, t, start in [(0.2, 0.5, 0.8, 0.35), (0.0, 0.3, 1.0, -0.2), (0.1, 0.1, 0.6, 1.1), (0.45, 0.7, 0.7, 0.05)]
    for condition in ("lagrangian", "eulerian", "semigroup")
    for shown in ("exact", "euler")
]
MOVES = [
    ({"s": 0.2, "u": 0.5, "t": 0.8}, "s", 0.6, {"s": 0.6, "u": 0.6, "t": 0.8}),
    ({"s": 0.2, "u": 0.5, "t": 0.8}, "s", 0.9, {"s": 0.9, "u": 0.9, "t": 0.9}),
    ({"s": 0.2, "u": 0.5, "t": 0.8}, "u", 0.1, {"s": 0.1, "u": 0.1, "t": 0.8}),
    ({"s": 0.2, "u": 0.5, "t": 0.8}, "u", 0.6, {"s": 0.2, "u": 0.6, "t": 0.8}),
    ({"s": 0.2, "u": 0.5, "t": 0.8}, "t", -0.3, {"s": 0.0, "u": 0.0, "t": 0.0}),
    ({"s": 0.2, "u": 0.5, "t": 0.8}, "t", 1.7, {"s": 0.2, "u": 0.5, "t": 1.0}),
]
DAMAGES = {
    "problem has no positive std": {"problem": {"mean": 1, "std": 0, "sigma": 0.6}},
    "problem has no positive mean": {"problem": {}},
    "t is no number": {"t": "late"},
    "0 <= s <= u <= t <= 1 does not hold": {"s": 0.6},
    "condition is unknown": {"condition": "parabolic"},
    "shown is no map": {"shown": "a guess"},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """What the module's functions return for the cases."""
    if NODE is None:
        pytest.skip("node is missing: triangle.js can be run by a browser or by node only")
    figure = widgets.triangle()
    file = tmp_path_factory.mktemp("triangle") / "case.json"
    moves = [move[:3] for move in MOVES]
    file.write_text(json.dumps({"state": figure.state(), "states": CASES, "moves": moves, "damages": DAMAGES}))
    script = file.with_name("triangle.js")
    script.write_text(figure.script)
    words = [NODE, str(Path(__file__).parent / "triangle.test.mjs"), str(script), str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_flow_in_the_browser_is_the_problems(node):
    """b_t and the point at time s on the path, and where both maps land, against torch in float64."""
    problem = module.PROBLEM
    for case, b, found in zip(CASES, node["velocity"], node["computed"], strict=True):
        start = torch.tensor([[case["start"]]], dtype=torch.float64)
        assert b == pytest.approx(problem.velocity(case["t"], start).item(), abs=1e-12)
        x = problem.flow_map(0.0, case["s"], start)
        assert found["x"] == pytest.approx(x.item(), abs=1e-6)
        landed = module.MAPS[case["shown"]](case["s"], case["t"], x).item()
        assert found["landed"] == pytest.approx(landed, abs=1e-5)


def test_the_residuals_in_the_browser_are_those_of_the_losses(node):
    """For one Euler step their squares are losses.lagrangian, eulerian and semigroup; for the exact map they are 0."""
    sizes = []
    for case, found, said in zip(CASES, node["computed"], node["told"], strict=True):
        assert f"residual {abs(found['residual']):.2f}" in said
        if case["shown"] == "exact":
            assert abs(found["residual"]) < 1e-5
            continue
        X, x = module.MAPS["euler"], torch.tensor([[found["x"]]], dtype=torch.float64)
        s, u, t = (torch.tensor([case[name]], dtype=torch.float64) for name in ("s", "u", "t"))
        if case["condition"] == "semigroup":
            square = losses.semigroup(X, s, u, t, x, stopgrad="none", velocity_form=False)
        else:
            square = getattr(losses, case["condition"])(X, s, t, x, stopgrad="none")
        sizes.append(square.sqrt().item())
        assert abs(found["residual"]) == pytest.approx(sizes[-1], rel=1e-4, abs=1e-5)
    assert sum(size > 0.1 for size in sizes) >= 7


def test_a_moved_time_pushes_the_others(node):
    assert node["moves"] == [wanted for *_, wanted in MOVES]


def test_a_damaged_state_is_told_in_words(node):
    assert node["damages"] == [f"This figure cannot be drawn: {reason}." for reason in DAMAGES]


@pytest.mark.parametrize("case", [CASES[1], CASES[4], CASES[3]], ids=["lagrangian", "semigroup", "eulerian"])
def test_the_still_shows_the_state_that_its_words_tell(case, monkeypatch):
    """The picture is drawn by `gestures` at the same times and point, and its words name the same numbers."""
    calls = []
    real = line.gestures
    monkeypatch.setattr(line, "gestures", lambda *given, **more: calls.append((given, more)) or real(*given, **more))
    figure = widgets.triangle(**case)
    drawn, words = figure.figure(), figure.alt()
    ((given, more),) = calls
    X, s, u, t, x, ax = given
    assert (s, u, t, more["which"]) == (case["s"], case["u"], case["t"], [case["condition"]])
    assert X is module.MAPS[case["shown"]]
    start = torch.tensor([[case["start"]]], dtype=torch.float64)
    assert x == pytest.approx(module.PROBLEM.flow_map(0.0, s, start).item(), abs=1e-6)
    labels = [str(one.get_label()) for one in ax.get_lines()]
    residual = figure.residual()
    assert any(f"residual {residual:.2f}" in label for label in labels)
    for number in (f"s = {s:.2f}", f"t = {t:.2f}", f"x = {x:.2f}", f"residual is {residual:.2f}"):
        assert number in words
    assert module.SHOWN[case["shown"]] in words
    assert f"lands at {X(s, t, torch.tensor([[x]])).item():.2f}" in words
    left = drawn.axes[0]
    assert np.array(left.collections[-1].get_offsets()) == pytest.approx(np.array([[t, s]]))


def test_the_figure_needs_no_kernel_and_no_network():
    """A page of less than 150 kB that holds all, and asks for nothing; a notebook stores HTML, picture and words."""
    figure = widgets.triangle(condition="eulerian")
    text = live.page(figure, "<s> & t")
    assert len(text) < 150_000
    assert "<title>&lt;s&gt; &amp; t</title>" in text
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]{0,12})""", text)
    assert sources == ["data:image/p"]
    assert set(re.findall(r"http[^\s\"'\\]*", text)) == {"http://www.w3.org/2000/svg"}  # a name, no request
    for way in ("//cdn", "@import", "fetch(", "XMLHttpRequest", "importScripts", "WebSocket"):
        assert way not in text
    (content,) = re.findall(r'<script type="application/json">(.*?)</script>', text, flags=re.DOTALL)
    held = json.loads(content)
    assert held["state"] == figure.state() | {"condition": "eulerian"}
    assert set(held["state"]) == {"problem", "s", "u", "t", "start", "condition", "shown"}
    assert held["module"] == figure.script
    data, metadata = figure._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html", "image/png"}
    assert metadata["image/png"]["alt"] == data["text/plain"] == figure.alt()


def test_with_a_reader_it_is_a_widget_too(monkeypatch):
    monkeypatch.setattr(standalone, "has_reader", lambda: True)
    data, _ = widgets.triangle()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"s": 0.6}, "s <= u is wanted"),
        ({"u": 0.9}, "u <= t is wanted"),
        ({"t": 1.2}, "t must"),
        ({"start": 3.0}, r"start must lie in \[-1.2, 1.2\], got 3.0"),
        ({"condition": "parabolic"}, "condition must be one of"),
        ({"shown": "a guess"}, "shown must be one of"),
    ],
)
def test_bad_arguments_of_the_figure_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.triangle(**arguments)
