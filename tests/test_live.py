"""The live figure: flow.js against torch (run by node), pages and notebooks that carry it, the shipped small map."""

import base64
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from flowmap_edu import load, losses
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import kl64
from flowmap_edu.nets import MLP
from flowmap_edu.problems import Checkerboard

live = pytest.importorskip("flowmap_edu.viz.live", reason="notebooks is not installed", exc_type=ImportError)

NODE = shutil.which("node")
HERE = Path(__file__).parent
from flowmap_edu.viz import live_figure, packing, reader, standalone  # noqa: E402

SAMPLES = [1, 2, 5, 16]
POINTS = [(0.0, 0.0), (-1.2, 1.2), (0.5, -1.0), (1.3, 0.0), (0.0, -9.0), (math.nan, 0.0)]
SIZES = {
    "shipped": None,
    "odd widths, times as they are": {"hidden": 7, "layers": 2, "fourier": 6, "time_frequencies": 0, "scale": 0.7},
    "no waves, one hidden layer": {"hidden": 5, "layers": 1, "fourier": 0, "time_frequencies": 3},
}


def small_net(name: str) -> MLP:
    """The network of that name, as torch has it."""
    if SIZES[name] is None:
        return live.small_map()[0].slope
    torch.manual_seed(1)
    return MLP(**SIZES[name]).requires_grad_(False)


def figure(net: MLP | None = None, points: int = 50, steps=(1, 2, 4)) -> "live.Live":
    """A figure of random clouds and, with a network, of 30 random points."""
    g = torch.Generator().manual_seed(2)
    noise = torch.randn(30, 2, generator=g) if net is not None else None
    clouds = torch.randn(len(steps), points, 2, generator=g)
    scores = [0.5, *[None] * (len(steps) - 1)]
    return live.Live(clouds, steps, scores=scores, small=net, noise=noise, squares=live.SQUARES)


@pytest.fixture(scope="module", params=list(SIZES))
def case(request, tmp_path_factory):
    """One network: it, its figure, the questions (s, t, x) asked of node, and node's answers."""
    if NODE is None:
        pytest.skip("node is missing: flow.js can be run by a browser or by node only")
    net = small_net(request.param)
    shown = figure(net)
    g = torch.Generator().manual_seed(3)
    times = torch.rand(40, 2, generator=g, dtype=torch.float64).sort(dim=1).values
    times[:4] = torch.tensor([[0.0, 1.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.4]])
    x = 0.8 * torch.randn(40, 5, 2, generator=g, dtype=torch.float64)
    state = shown.state()
    raw = {name: state.pop(name) for name in ("clouds", "weights", "noise")}
    text = {
        "state": state,
        "packed": {name: base64.b64encode(value).decode() for name, value in raw.items()},
        "questions": [[s, t, part.flatten().tolist()] for (s, t), part in zip(times.tolist(), x, strict=True)],
        "samples": SAMPLES,
        "strips": [[None if math.isnan(a) else a for a in point] for point in POINTS],
    }
    file = tmp_path_factory.mktemp("flow") / "case.json"
    file.write_text(json.dumps(text))
    module = file.with_name("flow.js")
    module.write_text(live_figure.MODULE)
    words = [NODE, str(HERE / "flow.test.mjs"), str(module), str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return net, shown, times, x, json.loads(done.stdout)


def asked(net: MLP, times, x, dtype):
    """torch's own v and X_{s,t} at the questions, shape (40, 5, 2) each."""
    X = FlowMap(net.to(dtype))
    s, t = (time.repeat_interleave(5).to(dtype) for time in times.T)
    flat = x.reshape(-1, 2).to(dtype)
    v, landed = (f(s, t, flat).reshape(x.shape).double() for f in (X.v, X))
    net.float()
    return v, landed


# --- flow.js against torch ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_v_and_X_agree_with_torch(case, dtype):
    """v_{s,t}(x) and X_{s,t}(x) at 40 times on the triangle, its corners among them, within 1e-5."""
    net, _, times, x, node = case
    v, landed = asked(net, times, x, dtype)
    assert v.abs().max() > 0.1  # there is something to compare
    for found, wanted in ((node["v"], v), (node["X"], landed)):
        assert np.abs(np.array(found) - wanted.reshape(40, 10).numpy()).max() < 1e-5


def test_the_map_is_the_identity_on_the_diagonal(case):
    """X_{s,s}(x) = x, at s = 0 and s = 1, to the last bit."""
    _, _, times, x, node = case
    for k in (1, 2):
        assert times[k, 0] == times[k, 1]
        assert node["X"][k] == x[k].flatten().tolist()


def test_samples_agree_with_torch(case):
    """N jumps of the noise, N = 1, 2, 5, 16, within 1e-5 of FlowMap.sample."""
    net, shown, _, _, node = case
    noise = torch.frombuffer(bytearray(shown.noise), dtype=torch.float32).reshape(-1, 2)
    for steps, found in zip(SAMPLES, node["samples"], strict=True):
        wanted = FlowMap(net).sample(noise, steps).flatten().numpy()
        assert np.abs(np.array(found) - wanted).max() < 1e-5


def test_clouds_and_weights_arrive_whole(case):
    """The unpacked clouds are the samples as float32, bit for bit; no number of the network is left over."""
    _, shown, _, _, node = case
    clouds = np.frombuffer(shown.clouds, "<f4").reshape(3, -1)
    assert np.array_equal(np.array(node["clouds"], np.float32), clouds)
    assert node["used"] == node["given"]


def test_the_worker_gives_the_same_numbers(case):
    """The worker's program, run in a real worker, and the page's own thread agree bit for bit; both with torch."""
    net, shown, _, _, node = case
    noise = torch.frombuffer(bytearray(shown.noise), dtype=torch.float32).reshape(-1, 2)
    X = FlowMap(net)
    assert len(node["worker"]) == 5
    for answer in node["worker"]:
        assert answer["same"]
        wanted = X(answer["s"], answer["t"], X(0.0, answer["s"], noise)).flatten().numpy()
        assert np.abs(np.array(answer["end"]) - wanted).max() < 1e-5


def test_a_damaged_state_is_told_in_words(case):
    """Whatever is damaged, the figure shows one line that says so, and nothing is thrown."""
    said = case[-1]["damages"]
    assert len(said) == 9
    assert all(line.startswith("This figure cannot be drawn: ") and "\n" not in line for line in said.values()), said
    assert "clouds has 1194 bytes, 1200 were wanted" in said["clouds cut short"]
    assert "clouds is missing" in said["clouds missing"]
    assert "not finite" in said["clouds not finite"]


def test_a_point_is_drawn_where_it_lies(case):
    """A stamp of one pixel covers the pixel that holds the point: 25 pixels over [-1.25, 1.25], y upwards."""
    stamps = case[-1]["stamps"]
    for (x, y), covered in zip(POINTS, stamps, strict=True):
        if not max(abs(x), abs(y)) < 1.25:  # outside, or not a number
            assert covered == []
            continue
        ((column, row),) = covered
        assert abs((column + 0.5) / 10 - 1.25 - x) <= 0.0501
        assert abs(1.25 - (row + 0.5) / 10 - y) <= 0.0501


# --- pages and notebooks ------------------------------------------------------------------------------


def content_of(text: str) -> dict:
    """What the script of a page reads."""
    (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text, flags=re.DOTALL)
    return json.loads(found)


def test_a_full_page_is_below_two_megabytes_and_fetches_nothing():
    """16 clouds of 10,000 points and the small map: one file, every byte of the state in it, no address."""
    full = figure(small_net("shipped"), points=10_000, steps=range(1, 17))
    text = live.page(full, "<Flow> & map")
    assert len(text.encode()) < 2_000_000
    assert "<title>&lt;Flow&gt; &amp; map</title>" in text
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]{0,12})""", text)
    assert sources == ["data:image/p"]
    for way in ("http://", "https://", "//cdn", "@import", "fetch(", "XMLHttpRequest", "importScripts", "WebSocket"):
        assert way not in text
    content = content_of(text)
    for name, packed in content["packed"].items():
        assert base64.b64decode(packed) == getattr(full, name)
    assert content["module"] == live_figure.MODULE
    assert content["state"]["scores"] == [0.5, *[None] * 15]


def test_a_notebook_keeps_one_figure(monkeypatch):
    """Where a program executes the notebook no widget is opened: HTML and picture stand alone, nbconvert shows one."""
    nbformat, nbconvert = pytest.importorskip("nbformat"), pytest.importorskip("nbconvert")
    data, _ = figure()._repr_mimebundle_()
    assert set(data) == {"text/plain", "text/html", "image/png"}
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    monkeypatch.setattr(standalone, "has_reader", lambda: True)
    shown, _ = figure()._repr_mimebundle_()
    assert set(shown) == {*data, "application/vnd.jupyter.widget-view+json"}
    for bundle in (data, shown):  # the second as JupyterLab saves it, without the widget's state
        output = nbformat.v4.new_output("execute_result", bundle, execution_count=1)
        cell = nbformat.v4.new_code_cell("figure", outputs=[output], execution_count=1)
        text, _ = nbconvert.HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
        assert text.count('class="flow-live-page"') == 1
        assert content_of(text) == content_of(data["text/html"])
        assert "widget-view+json" not in text


def test_has_reader_asks_the_kernel(monkeypatch):
    """A kernel that may ask questions has a reader; one that may not, and no kernel at all, have none."""

    class Shell:
        def __init__(self, **kernel):
            self.kernel = type("Kernel", (), kernel)()

    for shell, wanted in ((None, False), (Shell(_allow_stdin=False), False), (Shell(_allow_stdin=True), True)):
        monkeypatch.setattr(reader, "get_ipython", lambda shell=shell: shell)
        assert reader.has_reader() is wanted
    monkeypatch.setattr(reader, "get_ipython", lambda: Shell())  # a kernel that does not say: JupyterLite's
    assert reader.has_reader() is True


# --- the shipped small map ----------------------------------------------------------------------------


def test_the_small_map_is_what_its_file_says():
    """Parameters, KL64 of one jump and the distance to the large map, anew from its own files.

    Fewer points here: KL64 above its floor has a sampling error of about 3 % with 200,000, the distance
    less than 5 %.
    """
    X, about = live.small_map()
    assert about["parameters"] == sum(p.numel() for p in X.slope.parameters()) <= 10_000
    x0 = Checkerboard.sigma * torch.randn(200_000, 2, generator=torch.Generator().manual_seed(5))
    found = kl64(X.sample(x0, 1))
    assert found.kl - found.floor == pytest.approx(about["small"]["kl64"] - about["floor"], rel=0.1)
    assert found.leak == pytest.approx(about["small"]["leak"], rel=0.05)
    large = load(about["teacher"])
    apart = losses.sum_square(X.sample(x0[:50_000], 1) - large.sample(x0[:50_000], 1)).mean().sqrt().item()
    assert apart == pytest.approx(about["distance"], rel=0.05)


def test_the_large_maps_scores_are_its_own_table():
    """KL64 at 1, 2, 4, 8, 16 jumps is what evaluation.json of the large map says, from the same million points."""
    _, about = live.small_map()
    table = json.loads((shipped_folder() / about["teacher"] / "evaluation.json").read_text())
    assert about["points"] == table["n"]
    assert about["large"]["steps"] == list(range(1, 17))
    for row in table["rows"]:
        assert about["large"]["kl64"][row["steps"] - 1] == pytest.approx(row["kl64"], rel=0.01)


def test_the_checkerboard_figure_holds_the_maps_samples():
    """`checkerboard` shows sample(x0, N) of the shipped map for one noise, and its KL64."""
    shown = live.checkerboard(points=40, live=20, seed=7)
    x0 = Checkerboard.sigma * torch.randn(40, 2, generator=torch.Generator().manual_seed(7))
    X = load("checkerboard-lsd")
    clouds = torch.frombuffer(bytearray(shown.clouds), dtype=torch.float32).reshape(16, 40, 2)
    for n in (1, 3, 16):
        assert torch.allclose(clouds[n - 1], X.sample(x0, n), atol=1e-6)
    assert np.array_equal(np.frombuffer(shown.noise, "<f4").reshape(20, 2), x0[:20].numpy())
    assert f"{shown.scores[0]:.4f}" in shown.alt() or f"{shown.scores[0]:.3f}" in shown.alt()
    assert "9,518 parameters" in shown.note


# --- refusals -----------------------------------------------------------------------------------------

CLOUDS = torch.zeros(2, 5, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: live.Live(torch.zeros(3, 5, 2), [1, 2]), r"shape \(2, n, 2\).*got \(3, 5, 2\)"),
        (lambda: live.Live(torch.zeros(2, 5, 3), [1, 2]), r"got \(2, 5, 3\)"),
        (lambda: live.Live(torch.zeros(2, 80_001, 2), [1, 2]), "at most 160000 points.*2 clouds of 80001.*160002"),
        (lambda: live.Live(CLOUDS / 0, [1, 2]), "clouds must be finite; 20 of 20"),
        (lambda: live.Live(CLOUDS, [2, 1]), r"steps must increase.*got \[2, 1\]"),
        (lambda: live.Live(CLOUDS, [0, 1]), "number of steps must be a whole number"),
        (lambda: live.Live(CLOUDS, [1, 2], scores=[0.1]), "one number for each of 2 numbers of steps, got 1"),
        (lambda: live.Live(CLOUDS, [1, 2], small=MLP(hidden=4, layers=1)), "small and noise go together"),
        (
            lambda: live.Live(CLOUDS, [1, 2], small=MLP(hidden=4), noise=CLOUDS),
            r"noise must have shape.*got \(2, 5, 2\)",
        ),
        (lambda: packing.network(MLP(dim=3, hidden=4)), "a network of the plane is wanted .dim 2., got dim 3"),
        (lambda: packing.network(MLP(hidden=4, activation="gelu")), r"body\.1 is FastGELU, SiLU was wanted"),
        (lambda: packing.network(nn.Linear(2, 2)), "evaluates nets.MLP only, got Linear"),
        (lambda: packing.network(MLP()), r"at most 20000 parameters.*got \d+"),
        (
            lambda: live.clouds(load("checkerboard-lsd"), torch.zeros(5, 3)),
            r"x0 must have shape \(n, 2\), got \(5, 3\)",
        ),
        (lambda: live.clouds(FlowMap(MLP(dim=3)), torch.zeros(5, 2)), "a map of the plane.*3 entries"),
        (
            lambda: live.clouds(FlowMap(lambda *a: a[2][:, :1, None]), torch.zeros(5, 2)),
            r"what v returns must.*and \(1, 1, 1\)",
        ),
        (lambda: live.checkerboard(points=10_001), "points must be at most 10000, got 10001"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
