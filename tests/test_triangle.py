"""Triangles of times: what is drawn of a method is what its loss reads, at the pairs that its training visits."""

import dataclasses

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
    assert (s <= t).all()
    if method.times == "triangle":
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
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words[2:-1] == [words for _, _, words in triangles.GIVERS.values()]
    assert legend.get_window_extent().y1 < min(ax.get_tightbbox().y0 for ax in axes)
    assert legend.get_window_extent().x1 < figure.bbox.width


def test_bad_input_is_refused():
    for make, message in (
        (lambda: triangles.method("lsd"), "method must be a Method.*got str"),
        (lambda: triangles.methods([]), "at least one name"),
        (lambda: triangles.methods(["lsd", "nonsense"]), "names must be one of.*got 'nonsense'"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
