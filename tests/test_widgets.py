"""The figures: what they show is what the library computes.

The interactive ones need no front end here: a test sets the `value` of a control, as a front end does, and reads the
picture, the words and the numbers.
"""

import asyncio
import base64
import dataclasses
import html
import importlib
import io
import itertools
import re
import subprocess
import sys

import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib.image import imread
from traitlets import TraitError

import flowmap_edu
from flowmap_edu import losses, metrics, problems, viz
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS
from flowmap_edu.sample import sampler
from flowmap_edu.viz import explorers, interactive, panels, plots, standin, widgets
from flowmap_edu.viz import loss_explorer as explorer
from flowmap_edu.viz.controls import Menu, RealSlider, WholeSlider

drawing = importlib.import_module("flowmap_edu.viz.draw")  # viz.draw is the function
PNG = b"\x89PNG\r\n\x1a\n"
BALL = problems.Gaussian(torch.tensor([0.4, -0.2]), 0.3, 0.6)
MAP = FlowMap(BALL.v)
X0 = BALL.sigma * torch.randn(60, 2, generator=torch.Generator().manual_seed(5))
CHOICES = [(c, g, v) for c, gs in losses.STOPGRADS.items() for g in gs for v in explorer.sources(c, g)]


class Counting:
    """A map's slope that counts its calls."""

    def __init__(self, X: FlowMap = MAP):
        self.X, self.calls = X, 0

    def __call__(self, s, t, x):
        self.calls += 1
        return self.X.v(s, t, x)


def cell(w, row: str, column: str) -> str:
    """The text that the table beneath the picture has in this row and column."""
    heads, *body = re.findall(r"<tr>(.*?)</tr>", w.card.value)
    place = re.findall(r"<th[^>]*>(.*?)</th>", heads).index(column)
    rows = {(cells := re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", r))[0]: cells for r in body}
    return rows[row][place]


def picture(w) -> bytes:
    """The PNG that the card shows, which must be that of the present view."""
    png = base64.b64decode(re.search(r"base64,([^\"]*)", w.card.value)[1])
    assert png == w.view.png
    assert png.startswith(PNG)
    return png


def words(w) -> str:
    """The note as plain text."""
    return html.unescape(re.sub("<[^>]*>", "", w.note.value))


@pytest.fixture(scope="module")
def board():
    """A step slider over a real map, with few points."""
    X = flowmap_edu.load("checkerboard-lsd")
    x0 = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) / 3**0.5
    return X, x0, widgets.step_slider({"LSD": X}, x0, (1, 2, 4), exact=problems.Checkerboard())


# --- step counts -----------------------------------------------------------------------------------


def test_the_scores_shown_are_those_of_the_samples(board):
    """KL64 and map error, to the printed digits, at step counts asked for and at one computed on demand."""
    X, x0, w = board
    for n in (1, 2, 4, 3):
        w.controls["steps"].value = n
        points = X.sample(x0, n)
        assert torch.equal(w.view.numbers["samples"]["LSD"], points)
        assert cell(w, "LSD", "KL64") == f"{metrics.kl64(points).kl:.4f}"
        error = metrics.map_error(X, problems.Checkerboard(), steps=n, n=widgets.ERROR_POINTS)
        assert cell(w, "LSD", "map error") == f"{error:.4f}"
        assert cell(w, "exact draws", "KL64") == f"{metrics.floor64(len(x0)):.4f}"
        assert f"KL64 {cell(w, 'LSD', 'KL64')}" in w.view.alt
        assert words(w) == interactive.jumps(n)


def test_every_step_count_has_its_picture(board):
    """Other bytes for another N, the same for the same."""
    _, _, w = board
    shown = {}
    for n in (1, 2, 4, 1, 4):
        w.controls["steps"].value = n
        assert shown.setdefault(n, picture(w)) == picture(w)
    assert len(set(shown.values())) == len(shown)


def test_nothing_is_computed_twice():
    """The map is called at the start for the step counts asked for, then once for each other that is visited."""
    slope = Counting()
    w = widgets.step_slider(FlowMap(slope), X0, (1, 4), exact=BALL)
    assert set(w.views) == {(1,), (4,)}
    before, said = slope.calls, []
    w.note.observe(lambda change: said.append(change["new"]), names="value")
    w.controls["steps"].value = 4
    w.still()
    assert slope.calls == before
    assert not any("computing" in text for text in said)
    w.controls["steps"].value = 3
    assert slope.calls == before + 3 + 3  # the samples, and the map error
    assert "computing 3 jumps ..." in said[-2]
    assert words(w) == "3 jumps"
    w.controls["steps"].value = 1
    w.controls["steps"].value = 3
    assert slope.calls == before + 6


@pytest.mark.parametrize("reader", [True, False])
def test_neighbours_are_drawn_while_the_kernel_waits(monkeypatch, reader):
    """After a move to 4 first 5, then 3; they are what a visit computes. Without a reader nothing is drawn ahead."""
    monkeypatch.setattr(interactive, "has_reader", lambda: reader)
    monkeypatch.setattr(interactive, "PAUSE", 0.0)
    slope = Counting()
    w = widgets.step_slider(FlowMap(slope), X0, (1, 8))
    slider, order = w.controls["steps"], []

    async def read():
        for n in (7, 4):  # the reader has left 7 before the kernel has time
            slider.value = n
        for _ in range(50):
            order.extend(key for key in w.views if key not in order)
            await asyncio.sleep(0)

    asyncio.run(read())
    assert order == [(1,), (8,), (7,), (4,)] + [(5,), (3,)] * reader
    assert slider.value == 4
    assert picture(w) == w.views[4,].png
    before = slope.calls
    slider.value = 5
    assert slope.calls == before + 5 * (not reader)
    assert torch.equal(w.view.numbers["samples"]["the map"], MAP.sample(X0, 5))
    assert words(w) == "5 jumps"


def test_an_error_ahead_is_told_when_the_setting_is_visited(monkeypatch):
    monkeypatch.setattr(interactive, "has_reader", lambda: True)
    monkeypatch.setattr(interactive, "PAUSE", 0.0)

    def jump(s, t, x):
        if t[0] - s[0] == 1 / 3:
            raise RuntimeError("three")
        return MAP.v(s, t, x)

    w = widgets.step_slider(FlowMap(jump), X0, (1, 4))

    async def read():
        w.controls["steps"].value = 2
        for _ in range(50):
            await asyncio.sleep(0)

    asyncio.run(read())
    assert set(w.views) == {(1,), (2,), (4,)}
    assert words(w) == "2 jumps"
    w.controls["steps"].value = 3
    assert words(w) == "3 jumps: not computed, RuntimeError: three. The picture is unchanged."


def test_the_slider_runs_over_all_whole_numbers_up_to_the_largest():
    w = widgets.step_slider(MAP, X0, (8, 2), exact=BALL)
    slider = w.controls["steps"]
    assert (slider.min, slider.max, slider.step, slider.value) == (1, 8, 1, 2)
    assert slider.continuous_update


def test_an_exact_map_has_no_error_and_kl64_is_the_checkerboards():
    """With another problem than the checkerboard KL64 is left out; float64 points are taken too."""
    w = widgets.step_slider(MAP, X0.double(), (1,), exact=BALL)
    assert "KL64" not in w.view.numbers
    assert w.view.numbers["map error"]["the map"] < 1e-6
    assert "KL64" not in w.card.value


def test_a_map_that_restarts_has_no_map_error():
    """A consistency model's second evaluation starts from fresh noise, so its points follow no path."""
    X = FlowMap(MAP.slope, sampler("restarts", BALL.sigma))
    w = widgets.step_slider({"ct": X}, X0, (2,), exact=problems.Checkerboard())
    assert w.view.numbers["map error"] == {}
    assert "ct" in w.view.numbers["KL64"]


def test_points_are_measured_only_where_the_truth_is_named():
    """Without `exact` no number of the checkerboard is shown."""
    w = widgets.step_slider(MAP, 10 * X0, (1,))
    assert set(w.view.numbers) == {"samples"}
    assert "KL64" not in w.view.alt + w.card.value
    assert "map error" not in w.view.alt + w.card.value


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_axes_of_a_slider_follow_the_points(monkeypatch, scale):
    """The same square for every number of jumps, as large as the points; at least 1.2 for the checkerboard."""
    seen, original = [], plots.window
    monkeypatch.setattr(plots, "window", lambda ax, half, *a: seen.append(half) or original(ax, half, *a))
    still = FlowMap(lambda s, t, x: 0 * x)  # noqa: ARG005  each point stays where it is
    w = widgets.step_slider(still, scale * X0, (1, 4))
    w.controls["steps"].value = 2
    w.still()
    (half,) = set(seen)
    assert half == pytest.approx(scale * 1.1 * X0.abs().quantile(0.999).item())
    assert widgets.reach([scale * X0], 1.2) == pytest.approx(max(1.2, half))


def test_points_outside_the_axes_are_counted():
    """A few wild points do not set the axes; the table says how many there are, and nothing if there are none."""
    still = FlowMap(lambda s, t, x: 0 * x)  # noqa: ARG005
    x0 = torch.rand(9000, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    assert "outside" not in widgets.step_slider(still, x0, (1,)).card.value
    x0[:2] = torch.tensor([[50.0, 0.0], [0.0, -50.0]])
    w = widgets.step_slider(still, x0, (1,))
    assert cell(w, "the map", "points outside the axes") == "2 of 9000"


def test_a_figure_that_is_filled_anew_keeps_nothing_of_the_last_setting():
    """The same bytes as from a figure that shows nothing else; in it the densities and the quarters of the points."""
    x0 = torch.randn(700, 2, generator=torch.Generator().manual_seed(3))
    few, many = ({"a": k * x0, "b": -k * x0} for k in (0.2, 0.9))
    scores = [{"a": {"KL64": text}, "b": {}} for text in ("0.1", "0.2")]
    used, fresh = (panels.Panels(["a", "b"], x0, 1.5) for _ in range(2))
    first = used.drawn(few, scores[0], 1)
    second = used.drawn(many, scores[1], 2)
    assert second == fresh.drawn(many, scores[1], 2) != first
    assert used.drawn(few, scores[0], 1) == first
    for density, dots in used.pairs.values():
        title = density.get_title(loc="left")
        x = few[title[0]]
        share = density.images[0].get_array().data
        assert title.endswith(", 1 jump")
        assert density.images[0].get_clim() == (0, pytest.approx(torch.tensor(share[share > 0]).quantile(0.995).item()))
        assert share.sum() * (3.0 / used.bins) ** 2 == pytest.approx((x.abs() < 1.5).all(1).double().mean().item())
        for k, line in enumerate(dots.lines):
            began = ((x0[:, 0] > 0) == bool(k % 2)) & ((x0[:, 1] > 0) == bool(k // 2))
            assert torch.equal(torch.tensor(line.get_xydata()).float(), x[began])


def test_images_are_shown_with_their_labels(monkeypatch):
    """The shipped digits: what is drawn is X.sample with these labels, other images for others."""
    drawn, original = [], plots.images
    monkeypatch.setattr(plots, "images", lambda ax, x: drawn.append(x) or original(ax, x))
    X = flowmap_edu.load("digits-lsd")
    x0 = 0.5 * torch.randn(3, 1, 8, 8)
    labels = torch.tensor([3, 1, 7])
    w = widgets.step_slider({"a": X}, x0, (1, 2), label=labels)
    wanted = torch.stack([X.sample(x0, n, label=labels) for n in (1, 2)])
    assert torch.equal(torch.cat(drawn), wanted)
    assert torch.equal(w.view.numbers["samples"]["a"], wanted[0])
    w.still()
    assert torch.equal(drawn[-1], wanted)  # a row for each step count
    assert picture(widgets.step_slider({"a": X}, x0, (1,), label=labels.flip(0))) != picture(w)


def test_a_sheet_is_filled_up_with_white():
    x = torch.rand(23, 3, 2, 2)
    sheet = widgets.sheet(x)
    assert sheet.shape == (3, 10, 3, 2, 2)
    assert torch.equal(sheet.flatten(0, 1)[:23], x)
    assert (sheet.flatten(0, 1)[23:] == 1).all()


# --- two times -------------------------------------------------------------------------------------


def test_the_residuals_shown_are_the_losses_own():
    """To the printed digits, on the points that the view names: draws of I_s, or the net's without exact."""
    X = FlowMap(lambda s, t, x: BALL.v(s, t, x) + 0.1 * (t - s)[:, None] * torch.sin(3 * x))
    for problem in (BALL, None):
        w = widgets.time_explorer(X, problem)
        w.controls["s"].value, w.controls["t"].value = 0.3, 0.85
        x = w.view.numbers["points"]
        S, U, T = (torch.full((len(x),), time) for time in (0.3, (0.3 + 0.85) / 2, 0.85))
        wanted = {
            "Lagrangian": losses.lagrangian(X, S, T, x),
            "Eulerian": losses.eulerian(X, S, T, x),
            "semigroup": (0.85 - 0.3) ** 2 * losses.semigroup(X, S, U, T, x),
        }
        for name, square in wanted.items():
            shown = cell(w, "residual", name)
            assert float(shown) == pytest.approx(square.mean().sqrt().item(), rel=1e-3)
            assert float(shown) > 1e-3
            assert f"{name} {shown}" in w.view.alt


def test_an_exact_map_has_no_residual_and_lies_on_the_exact_one():
    w = widgets.time_explorer(MAP, BALL)
    for s, t in ((0.0, 1.0), (0.25, 0.6), (0.5, 0.5), (1.0, 1.0)):
        w.controls["t"].value = t
        w.controls["s"].value = s
        assert all(float(cell(w, "residual", name)) < 3e-6 for name in w.view.numbers["residuals"])
        numbers = w.view.numbers
        assert torch.allclose(numbers["carried"], numbers["exact"], atol=1e-6)
        m, spread = BALL.mean.float(), (BALL.spread(torch.tensor([time]))[0, 0].item() for time in (t, s))
        net = plots.net(lines=9, points=41).float()
        by_hand = m * t + next(spread) / next(spread) * (net - m * s)
        assert torch.allclose(numbers["carried"], by_hand, atol=1e-5)


def test_start_is_never_after_end(monkeypatch):
    """After any moves s <= t, the moved slider is where it was put, and each move draws once."""
    drawn, original = [], explorers.draw_nets
    monkeypatch.setattr(explorers, "draw_nets", lambda *a: drawn.append(a[1:3]) or original(*a))
    w = widgets.time_explorer(MAP)
    s, t = w.controls["s"], w.controls["t"]
    for slider, value in ((s, 0.6), (t, 0.2), (s, 0.9), (t, 0.0), (s, 1.0), (t, 0.5), (t, 0.7)):
        slider.value = value
        assert slider.value == value
        assert s.value <= t.value
        assert w.setting == (s.value, t.value)
        assert words(w) == f"from s = {s.value:.2f} to t = {t.value:.2f}"
    assert len(drawn) == len(set(drawn)) == 8
    assert all(s <= t for s, t in drawn)


# --- paths -----------------------------------------------------------------------------------------


def test_the_paths_are_the_maps_trajectories_and_the_curves_exact():
    """For every N, by the slider and by play; the curves are the Gaussian's formula."""
    crude = FlowMap(lambda s, t, x: BALL.v(s, s, x))  # noqa: ARG005  Euler's method
    w = widgets.trajectory_player({"map": MAP, "Euler": crude}, X0, BALL)
    x0 = X0[: len(w.view.numbers["paths"]["map"][0])]
    for n in (1, 2, 7, 16):
        w.controls["steps"].value = n
        for name, X in (("map", MAP), ("Euler", crude)):
            assert torch.equal(w.view.numbers["paths"][name], X.trajectory(x0, n))
            off = (X.sample(x0, n) - BALL.flow_map(0.0, 1.0, x0)).square().sum(1).mean().sqrt()
            assert cell(w, name, "distance of the ends, root mean square") == f"{off:.4f}"
    for k, point in enumerate(w.view.numbers["curves"]):
        assert torch.allclose(point, BALL.flow_map(0.0, k / 32, x0), atol=1e-6)
    slider = w.controls["steps"]
    assert (slider.min, slider.max) == (1, 16)
    assert slider.interval > 0  # so there is a button that plays it


def test_playing_waits_for_the_picture(monkeypatch):
    """`shown` follows only when the picture stands, also after an error, so that no number of jumps is skipped."""
    seen, original = [], explorers.draw_paths
    w = widgets.trajectory_player(MAP, X0, BALL)
    slider = w.controls["steps"]
    assert slider.shown == slider.value == 1
    monkeypatch.setattr(explorers, "draw_paths", lambda *a: seen.append(slider.shown) or original(*a))
    for n in (2, 3):
        slider.value = n
        assert slider.shown == n
    assert seen == [1, 2]
    monkeypatch.setattr(explorers, "draw_paths", lambda *a: 1 / 0)  # noqa: ARG005
    slider.value = 5
    assert "not computed" in words(w)
    assert slider.shown == 5


# --- losses ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy():
    return widgets.loss_explorer()


def choose(w, condition: str, stopgrad: str, source: str) -> dict:
    for name, value in zip(w.controls, (condition, stopgrad, source), strict=True):
        w.controls[name].value = value
    assert w.setting == (condition, stopgrad, source)
    assert words(w) == f"{condition}, stop-gradient {stopgrad}, velocity of {source}"
    picture(w)
    return w.view.numbers


def by_hand(theta: torch.Tensor, condition: str, stopgrad: str, source: str) -> torch.Tensor:
    """The mean loss of theta v*, for a single theta, straight from losses.py."""
    b = explorer.batch(condition, source)
    X, truth = FlowMap(lambda s, t, x: theta * explorer.TOY.v(s, t, x)), FlowMap(explorer.TOY.v)
    extra = {
        "self": {},
        "sample": {"velocity": b["dx"]},
        "teacher": {"velocity": lambda t, x: explorer.TOY.velocity(t, x)},
        "self, first term: sample": {"first_term": b["dx"]},
        "teacher's jumps": {"short": truth},
    }[source]
    times = [b[k] for k in ("sut" if condition == "semigroup" else "st")]
    return getattr(losses, condition)(X, *times, b["x"], stopgrad=stopgrad, **extra).mean()


@pytest.mark.parametrize("choice", CHOICES, ids=", ".join)
def test_the_gradient_is_autograds(toy, choice):
    """For each choice: loss and gradient at some thetas, one theta at a time; the slope is the loss's own."""
    numbers = choose(toy, *choice)
    for k in (3, 17, 33):
        theta = numbers["theta"][k].clone().requires_grad_(True)
        loss = by_hand(theta, *choice)
        assert numbers["loss"][k] == pytest.approx(loss.item(), rel=1e-9)
        (gradient,) = torch.autograd.grad(loss, theta)
        assert numbers["gradient"][k] == pytest.approx(gradient.item(), rel=1e-9, abs=1e-12)
    secant = (numbers["loss"][2:] - numbers["loss"][:-2]) / (numbers["theta"][2:] - numbers["theta"][:-2])
    assert torch.allclose(numbers["slope"][1:-1], secant, atol=0.02 * secant.abs().max().item())


@pytest.mark.parametrize("choice", CHOICES, ids=", ".join)
def test_steps_lead_to_the_true_map(toy, choice):
    """Where a step is zero: at theta = 1 always; elsewhere only without a teacher, at 0, or half way by gradient."""
    condition, stopgrad, source = choice
    numbers = choose(toy, *choice)
    rests = {round(at, 6): what for at, what in numbers["rests"].items()}
    (near_one,) = [at for at in rests if abs(at - 1) < 0.02]
    assert rests.pop(near_one) == "steps lead to it"
    on_grid = condition == "semigroup" and source in ("sample", "teacher")  # an Euler step of 1/64: not quite 1
    assert abs(near_one - 1) < (0.02 if on_grid else 1e-3)
    if source == "self":
        assert rests.pop(0.0) == ("steps lead to it" if stopgrad == "none" else "steps lead away")
        assert set(rests.values()) == ({"steps lead away"} if stopgrad == "none" else set())
    else:
        assert rests == {}


def test_a_stop_gradient_changes_the_step_and_not_the_loss(toy):
    for condition, stopgrads in losses.STOPGRADS.items():
        free = choose(toy, condition, "none", "self")
        assert torch.allclose(free["gradient"], free["slope"], rtol=1e-4, atol=1e-6)
        assert "It is the slope of the plotted loss" in toy.card.value
        for stopgrad in stopgrads[1:]:
            held = choose(toy, condition, stopgrad, "self")
            assert torch.allclose(held["loss"], free["loss"], rtol=1e-9)
            assert not torch.allclose(held["gradient"], held["slope"], rtol=0.1)
            assert "It is not the slope of the plotted loss" in toy.card.value


def test_the_methods_named_are_rows_of_the_table(toy):
    """Each name listed has that row, with these choices; all are found but the two whose loss the figure does not draw.

    These are plain flow matching, and flow map matching, whose jumps go in both orders of time.
    """
    found = []
    for choice in CHOICES:
        condition, stopgrad, source = choice
        for name in choose(toy, *choice)["methods"]:
            method = METHODS[name]
            assert (method.condition, method.stopgrad) == (condition, stopgrad)
            assert ("teacher" in (method.velocity, method.short)) == ("teacher" in source)
            assert ("sample" in (method.velocity, method.first_term)) == ("sample" in source)
            assert cell(toy, name, "method") == method.title
            found.append(name)
    assert sorted(found) == sorted(set(METHODS) - {"fm", "fmm"})


def test_a_new_method_is_found_without_a_word_changed():
    new = dataclasses.replace(METHODS["lsd"], title="brand new", stopgrad="none")
    table = METHODS | {"new": new}
    assert explorer.known(table, "lagrangian", "none", "self") == ["new"]
    assert choose(widgets.loss_explorer(table), "lagrangian", "none", "self")["methods"] == ["new"]


def test_the_formula_holds_what_the_loss_holds(toy):
    """sg(...) stands in the formula exactly if there is a stop-gradient; it is typeset above the picture."""
    seen = set()
    for choice in CHOICES:
        tex = choose(toy, *choice)["formula"]
        assert (r"\mathrm{sg}" in tex) == (choice[1] != "none")
        assert tex.count("{") == tex.count("}")
        assert tex.count("(") == tex.count(")")
        assert f"$$\\mathrm{{E}}\\,{tex}$$" in toy.math.value
        seen.add(tex)
    assert len(seen) == len(CHOICES)


def test_the_mirrored_samples_keep_the_mean():
    """Two samples through each x, whose slopes have the mean b_s(x); times in order."""
    for condition, source in itertools.product(losses.STOPGRADS, ("self", "sample")):
        b = explorer.batch(condition, source)
        first, second = b["dx"].chunk(2)
        assert torch.allclose((first + second) / 2, explorer.TOY.velocity(*(b[k].chunk(2)[0] for k in "sx")))
        assert (b["s"] <= b["u"]).all()
        assert (b["u"] <= b["t"]).all()


# --- without a front end, and for everyone ---------------------------------------------------------


def everything():
    return [
        widgets.step_slider({"a": MAP, "b <i>": MAP}, X0, (1, 2), exact=BALL),
        widgets.step_slider(FlowMap(lambda s, t, x: -x), torch.randn(2, 3, 4, 4), (1, 2)),  # noqa: ARG005
        widgets.time_explorer(MAP, BALL),
        widgets.trajectory_player(MAP, X0, BALL),
        widgets.loss_explorer(),
    ]


def test_fallback_and_access():
    """A PNG and its words for the web and for paper, a sentence for a console, names and words for all."""
    for w in everything():
        data, metadata = w._repr_mimebundle_()
        assert base64.b64decode(data["image/png"]) == w.still()
        assert w.still().startswith(PNG)
        assert imread(io.BytesIO(w.still()))[..., :3].mean() > 0.2
        assert len(metadata["image/png"]["alt"]) > 30
        assert data["text/plain"] == repr(w) == "A slider: open this in JupyterLab; .still() is its picture."
        assert set(data) == {"image/png", "text/plain"}  # no reader, so no widget
        assert len(re.search(r'<img [^>]*alt="([^"]+)"', w.card.value)[1]) > 30
        assert "<i>" not in w.card.value
        for control in w.controls.values():
            assert control.description
        for part in (w.note, w.card):
            assert "var(--jp-ui-font-color1, inherit)" in part.value
            assert "black" not in part.value


def test_a_slider_stays_between_its_ends_and_on_its_kind():
    """A whole one takes whole numbers only, as a front end sends them; both move back to the end they left."""
    whole, real = WholeSlider(min=1, max=16, value=40), RealSlider(value=-0.5)
    assert (whole.value, real.value) == (16, 0.0)
    whole.value, real.value = 0, 1
    assert (whole.value, real.value) == (1, 1.0)
    assert (type(whole.value), type(real.value)) == (int, float)
    with pytest.raises(TraitError):
        whole.value = 2.5


def test_a_menu_keeps_to_its_options():
    """Another value is refused; options that lack the present one choose the first."""
    menu = Menu(["a", "b", "c"], "b")
    with pytest.raises(TraitError, match="one of a, b, c is wanted, got 'd'"):
        menu.value = "d"
    menu.options = ["c", "b"]
    assert menu.value == "b"
    menu.options = ["c", "a"]
    assert menu.value == "c"
    with pytest.raises(TraitError):
        menu.options = []


def test_the_slider_is_sent_to_a_reader_only(monkeypatch):
    """A reader before the kernel gets the widget beside the still; a program gets no state with pictures in it."""
    for here in (True, False):
        monkeypatch.setattr(interactive, "has_reader", lambda here=here: here)
        w = widgets.step_slider(MAP, X0, (1, 2), exact=BALL)
        data, _ = w._repr_mimebundle_()
        view = data.get("application/vnd.jupyter.widget-view+json")
        assert (view == {"version_major": 2, "version_minor": 0, "model_id": w.model_id}) is here
        assert base64.b64decode(data["image/png"]) == w.still()
        assert (w.card.get_state()["value"] == w.card.value) is here
        assert "base64" not in str(w.card.get_state("value")) or here
        w.controls["steps"].value = 2  # and moves all the same
        assert picture(w) == w.views[2,].png


def test_a_reader_gets_the_picture_and_then_the_widget(monkeypatch):
    """Two outputs, so that the picture is there when the widget is gone; the other way about, the picture alone."""
    for here in (True, False):
        monkeypatch.setattr(interactive, "has_reader", lambda here=here: here)
        shown = []

        def display(data, metadata, raw, shown=shown):
            shown.append((data, metadata, raw))

        monkeypatch.setattr(standin, "display", display)
        w = widgets.step_slider(MAP, X0, (1, 2), exact=BALL)
        assert DisplayFormatter().format(w) == ({}, {})  # it displays itself
        (first, metadata, _), *rest = shown
        assert all(raw for *_, raw in shown)
        assert base64.b64decode(first["image/png"]) == w.still()
        assert metadata == {"image/png": {"alt": w.alt}}
        assert ("text/html" in first) is here
        if here:
            assert f'alt="{html.escape(w.alt)}"' in first["text/html"]
        assert [set(data) for data, *_ in rest] == [{standin.VIEW, "text/plain"}] * here


def test_a_widget_says_that_no_kernel_answers():
    """The line is there from the start, and shown once ipywidgets marks the widget as without a connection."""
    for w in everything():
        (told,) = [part.value for part in w.children if interactive.ASLEEP in getattr(part, "value", "")]
        assert ".flow-asleep { display: none } .jupyter-widgets-disconnected .flow-asleep { display: block }" in told


def test_an_error_on_demand_becomes_a_line_in_the_note():
    """It says what failed and why, keeps the picture, and is tried again at the next visit."""
    broken = [True]

    def v(s, t, x):
        if broken[0] and 0.3 < float(s[0]) < 0.4:
            raise RuntimeError("no <third>\nof the way")
        return MAP.v(s, t, x)

    w = widgets.step_slider(FlowMap(v), X0, (1, 4), exact=BALL)
    before = picture(w)
    w.controls["steps"].value = 3
    assert words(w) == ("3 jumps: not computed, RuntimeError: no <third> of the way. The picture is unchanged.")
    assert picture(w) == before
    w.controls["steps"].value = 4
    assert words(w) == "4 jumps"
    broken[0] = False
    w.controls["steps"].value = 3
    assert words(w) == "3 jumps"
    assert torch.equal(w.view.numbers["samples"]["the map"], MAP.sample(X0, 3))


def test_a_map_that_runs_off_becomes_a_line_in_the_note():
    """Points that are not finite are said to be so, not drawn."""
    runaway = FlowMap(lambda s, t, x: x / (t - 0.5)[:, None])  # noqa: ARG005  infinite in a jump that ends half way
    w = widgets.step_slider(runaway, X0, (1, 3))
    w.controls["steps"].value = 2
    assert "2 jumps: not computed, ValueError: samples must be finite" in words(w)


# --- figures in files ------------------------------------------------------------------------------


class Toy(problems.Problem):
    """Normal data of any shape; the labels are the classes in turn."""

    def __init__(self, shape: tuple[int, ...], classes: int = 0):
        self.shape, self.classes, self.sigma = shape, classes, 1.0

    def sample(self, n, generator=None):
        x1 = 0.1 * torch.randn(n, *self.shape, generator=generator)
        return x1, torch.arange(n) % self.classes if self.classes else None


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (1, 4, 4), (3, 4, 4)])
@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_every_shape_that_can_be_drawn_is_drawn(tmp_path, shape, ending):
    problem = Toy(shape)
    path = tmp_path / f"figure.{ending}"
    viz.draw(problem, FlowMap(lambda s, t, x: -0.9 * x), path)  # noqa: ARG005
    assert path.read_bytes().startswith(PNG if ending == "png" else b"%PDF")


def test_another_shape_is_refused(tmp_path):
    for shape in ((2, 4, 4), (5, 5), (1, 2, 3, 4)):
        with pytest.raises(ValueError, match=r"points .* and images .* can be drawn, got samples of shape"):
            viz.draw(Toy(shape), MAP, tmp_path / "figure.png")
    with pytest.raises(ValueError, match="samples at 1 step must be finite"):
        viz.draw(Toy((2,)), FlowMap(lambda s, t, x: x / 0), tmp_path / "figure.png")  # noqa: ARG005


def test_the_checkerboard_is_drawn_with_its_kl64(tmp_path, monkeypatch):
    """The titles are KL64 of the samples from the noise of the seed, at 1, 2, 4, 8 and 16 steps."""
    drawn, X, board = [], flowmap_edu.load("checkerboard-lsd"), problems.Checkerboard()
    monkeypatch.setattr(drawing.Figure, "savefig", lambda figure, _: drawn.append(figure))
    drawing.board_figure({"LSD": X}, board.sigma, tmp_path / "board.png", n=3000, seed=4)
    x0 = board.sigma * torch.randn(3000, 2, generator=torch.Generator().manual_seed(4))
    wanted = [f"KL64 {metrics.kl64(X.sample(x0, n)).kl:.3f}" for n in (1, 2, 4, 8, 16)]
    assert [ax.get_title("left").split(", ")[1] for ax in drawn[0].axes] == wanted
    assert all(ax.get_xlim() == ax.get_ylim() == (-1.2, 1.2) for ax in drawn[0].axes)


def test_classes_are_drawn_in_turn(tmp_path, monkeypatch):
    """Every class has its share of the samples, in points and in images."""
    seen = []

    def v(s, t, x, label=None):  # noqa: ARG001
        seen.append(label)
        return 0 * x

    monkeypatch.setattr(drawing, "DRAWN", 600)
    for shape, n in (((2,), 600), ((1, 4, 4), 20)):
        seen.clear()
        viz.draw(Toy(shape, classes=3), FlowMap(v), tmp_path / "figure.png")
        assert len(seen) == 1 + 2 + 4 + 8 + 16
        assert all(torch.equal(label, torch.arange(n) % 3) for label in seen)


@pytest.mark.parametrize("centre", [0.0, 30.0])
def test_a_density_is_one_and_holds_every_point(centre):
    """The histogram sums to 1 on the square that is shown, wherever the points lie; so do histograms of numbers."""
    x = centre + torch.randn(3000, 2, generator=torch.Generator().manual_seed(3))
    x[0] = centre + 40.0
    figure = drawing.densities({"a": x, "b": x[1:]})
    for ax in figure.axes:
        image = ax.images[0]
        left, right, bottom, top = image.get_extent()
        share = image.get_array().data
        assert right - left == pytest.approx(top - bottom)
        assert share.sum() * (right - left) * (top - bottom) / share.size == pytest.approx(1.0)
        assert left < x.min() < x.max() < right
    ax = plots.plt.figure().subplots()
    plots.density(ax, x)
    assert ax.get_xlim()[1] > x.max()
    plots.plt.close("all")
    (ax,) = drawing.points_figure({"a": x[:, :1]}).axes
    bars = sum(bar.get_width() * bar.get_height() for bar in ax.patches)
    assert bars == pytest.approx(1.0)


def test_many_dimensions_are_shown_along_the_largest_variance():
    """Data that varies along two directions of seven is drawn as it lies there, up to a reflection."""
    g = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(7, 7, generator=g)).Q
    z = torch.randn(300, 2, generator=g) * torch.tensor([3.0, 1.0])
    (ax,) = drawing.points_figure({"data": 5 + z @ basis[:2]}).axes
    shown = torch.tensor(ax.lines[0].get_xydata()).float()
    centred = z - z.mean(0)
    turned = centred @ torch.linalg.svd(centred, full_matrices=False).Vh.T
    assert torch.allclose(shown.abs(), turned.abs(), atol=1e-4)


def test_a_sheet_holds_every_image(tmp_path):
    """Five images in two rows of three; the pixels of each are in the file."""
    x = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(2)) * 2 - 1
    viz.sheet(x, tmp_path / "sheet.png")
    pixels = torch.tensor(imread(tmp_path / "sheet.png"))[..., :3]
    assert tuple(pixels.shape) == (11, 16, 3)
    for k in range(5):
        top, left = 1 + 5 * (k // 3), 1 + 5 * (k % 3)
        found = pixels[top : top + 4, left : left + 4].permute(2, 0, 1)
        assert torch.allclose(found, x[k] / 2 + 0.5, atol=1 / 255)
    with pytest.raises(ValueError, match=r"shape \(N, 1 or 3, H, W\) with at least one image, got \(0, 3, 4, 4\)"):
        viz.sheet(x[:0], tmp_path / "sheet.png")


# --- extras ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["anywidget", "ipywidgets", "traitlets", "IPython"])
def test_a_missing_extra_is_named(missing):
    """`flowmap_edu.viz` is imported without it; `widgets` and `live` say what to install."""
    code = f"""
import sys
sys.modules[{missing!r}] = None
from flowmap_edu import viz
assert dir(viz) == ["draw", "line", "live", "monitor", "plots", "sheet", "triangles", "widgets"]
for name in ("widgets", "live"):
    try:
        getattr(viz, name)
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in (lines := done.stdout.splitlines()):
        assert line.endswith(" is needed here: pip install 'flowmap-edu[notebooks]'")
    assert lines[0].startswith(missing)
    assert len(lines) == 2


IMAGE = torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: widgets.step_slider({}, X0), "maps must be a FlowMap or a dict .* got an empty one"),
        (lambda: widgets.step_slider([], X0), "maps must be .* got an empty one"),
        (lambda: widgets.step_slider([MAP], X0), "maps must be .* got list"),
        (lambda: widgets.step_slider({"v": BALL.v}, X0), "maps must hold FlowMaps, got method under 'v'"),
        (lambda: widgets.step_slider({"ball": MAP}, IMAGE), r"ball does not take points of shape \(1, 8, 8\): x must"),
        (
            lambda: widgets.step_slider(flowmap_edu.load("digits-lsd"), X0),
            r"the map does not take points of shape \(2,\): ",
        ),
        (
            lambda: widgets.step_slider(FlowMap(lambda s, t, x: x[:, None]), X0),  # noqa: ARG005
            r"the map does not take points .*must have the same shape, got \(2, 2\) and \(2, 1, 2\)",
        ),
        (lambda: widgets.step_slider(MAP, X0, (1, 0)), "a step count must be a whole number of at least 1, got 0"),
        (lambda: widgets.step_slider(MAP, X0, (2.5,)), "a step count must be a whole number of at least 1, got 2.5"),
        (lambda: widgets.step_slider(MAP, X0, ()), "steps must list at least one step count"),
        (lambda: widgets.step_slider(MAP, X0, 4), "steps must list at least one step count, got 4"),
        (lambda: widgets.step_slider(MAP, X0[:0]), r"x0 must hold at least one point, got shape \(0, 2\)"),
        (lambda: widgets.step_slider(MAP, torch.zeros(4, 3)), r"x0 must have shape \(B, 2\) or .* got \(4, 3\)"),
        (lambda: widgets.step_slider(MAP, X0 / 0), "x0 must be finite"),
        (lambda: widgets.step_slider(MAP, [1.0]), "x0 must be a floating-point tensor"),
        (lambda: widgets.step_slider(MAP, X0, label=torch.zeros(3)), r"label must have shape \(60,\).* got \(3,\)"),
        (lambda: widgets.step_slider(MAP, X0, exact="board"), "exact must be a problem in the plane.* got str"),
        (lambda: widgets.step_slider(MAP, IMAGE, exact=BALL), "exact is for points of the plane"),
        (lambda: widgets.time_explorer(FlowMap(explorer.TOY.v)), r"the map does not take points of shape \(2,\)"),
        (lambda: widgets.time_explorer({}), "maps must be a FlowMap .* got an empty one"),
        (lambda: widgets.time_explorer(MAP, explorer.TOY), "exact must be a problem .* got dim = 1"),
        (lambda: widgets.trajectory_player(MAP, IMAGE), r"x0 must have shape \(B, 2\), got \(2, 1, 8, 8\)"),
        (lambda: widgets.trajectory_player({}, X0), "maps must be a FlowMap .* got an empty one"),
        (lambda: widgets.trajectory_player(MAP, X0[:0]), "x0 must hold at least one point"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
