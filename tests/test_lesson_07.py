"""Lesson 07: what it works on, and its figures of the table with any number of rows and seeds."""

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

from flowmap_edu import METHODS, problems
from flowmap_edu.course import material_07 as material
from flowmap_edu.viz import figures_07 as figures

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _figures_stay(monkeypatch):
    """A figure is not shown, and closed after the test."""
    monkeypatch.setattr(plt, "show", lambda: None)
    yield
    plt.close("all")


def saved(count: int) -> dict:
    """A file of numbers with this many seeds a row, or of the older form, without seeds: row k has about k + 1."""
    rows = {}
    for k, name in enumerate(METHODS):
        each = [{"diverged": False, "kl64": [(k + 1 + 0.1 * i) / n for n in figures.EVALUATIONS]} for i in range(count)]
        rows[name] = dict(each[count // 2], step_time=1.0, step_memory=1.0 + k) | ({"seeds": each} if count > 1 else {})
    return {"rows": rows, "minutes": 3.0, "machine": "a machine"}


def surely(a: list[float], b: list[float]) -> bool:
    return len(a) >= 3 and max(a) < min(b)


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_concluded_depends_on_the_number_of_seeds(count, capsys):
    """With one seed no row is better than another; with three that do not overlap the first beats all."""
    best = figures.findings(saved(count), surely)
    said = capsys.readouterr().out
    assert best == list(METHODS)[1]  # the first is flow matching, which has no jumps
    assert f"seeds a row: {count}" in said
    others = len(METHODS) - 2
    assert f"{best}: better than {others if count == 3 else 0} of {others} other rows whatever the seed" in said
    assert ("few seeds" in said) == (count == 1)


def test_rows_that_are_missing_or_diverged_are_said(capsys):
    file = saved(3)
    del file["rows"]["lsd"]
    file["rows"]["tvm"] |= {"diverged": True, "kl64": []}
    file["rows"]["esd"]["seeds"][1] |= {"diverged": True, "kl64": []}
    figures.findings(file, surely)
    said = capsys.readouterr().out
    assert "not in the file: lsd, tvm" in said
    assert "seeds a row: 2" in said  # the least of all rows


@pytest.mark.parametrize("count", [1, 3])
def test_every_row_of_the_file_is_named_once_and_no_name_is_on_another(count):
    figures.table(saved(count)["rows"])
    figure = plt.gcf()
    figure.canvas.draw()
    labels = figure.axes[0].get_yticklabels()
    assert sorted(text.get_text() for text in labels if text.get_text() in METHODS) == sorted(METHODS)
    boxes = [text.get_window_extent() for text in labels]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_the_chart_names_every_row_once_and_no_name_is_on_another():
    figures.cells(METHODS)
    figure = plt.gcf()
    figure.canvas.draw()
    texts = figure.axes[0].texts
    assert sorted(text.get_text() for text in texts) == sorted(set(METHODS) - {"fm"})
    boxes = [text.get_window_extent() for text in texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_slopes_through_a_point_have_the_velocity_for_their_mean():
    time, x = 0.4, torch.tensor([0.1, -0.2])
    slopes = material.through(time, x, n=200_000)
    error = slopes.std(0) / len(slopes) ** 0.5
    assert ((slopes.mean(0) - problems.Checkerboard().velocity(time, x[None])[0]).abs() < 5 * error + 0.01).all()


def test_samples_lie_on_their_lines():
    """I_s = (1 - s) sigma z + s x1, and I_t is where the slope leads."""
    s, t, x1, z, x, dx, x_t = material.on_the_board(9)
    sigma = problems.Checkerboard().sigma
    for time, point in ((s, x), (t, x_t)):
        assert torch.allclose(point, (1 - time[:, None]) * sigma * z + time[:, None] * x1)
    assert torch.allclose(dx, x1 - sigma * z)
