"""KL64 against CPU seconds: the table is made of the runs that are there, and a run is trained once."""

import json

import pytest
import torch

from flowmap_edu import metrics
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.bench import comparison, curve
from flowmap_edu.problems import Checkerboard
from flowmap_edu.recipes import recipe
from flowmap_edu.training import read_metadata, runs
from flowmap_edu.training.metadata import differences, document

POINTS = 2000
BOARD = "checkerboard"
TINY = curve.Task("checkerboard", "psd-m", minutes=0.02)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with one run: PSD-M with seed 0, a second by its CPU minutes."""
    root = tmp_path_factory.mktemp("bench")
    curve.trained(TINY, 0, root, POINTS)
    return root


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def row(lines: list[str], title: str) -> list[str]:
    return next(found for line in lines if (found := cells(line))[0] == title)


def test_the_tables_numbers_are_those_of_the_saved_maps(root):
    """KL64 of the map's own samples at 1 and at 16 steps, in the column of its budget and in no other."""
    lines = curve.table(root, POINTS, ["lsd", "psd-m"], (0.02, 0.5), BOARD)
    board = Checkerboard()
    x0 = board.sigma * torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(0))
    X = runs.load(TINY.folder(root, 0))
    for title, n in (("PSD-M, 1 step", 1), ("PSD-M, 16 steps", 16)):
        kl = f"{metrics.kl64(X.sample(x0, n)).kl:.4f}"
        assert row(lines, title)[1:] == [f"{kl} ({kl} to {kl}, 1 seed)", ""]
    assert row(lines, "LSD, 1 step")[1:] == ["", ""]
    assert cells(lines[0]) == ["KL64, 2,000 points", "1.2 CPU-s", "30 CPU-s"]
    seconds = runs.read_metadata(TINY.folder(root, 0)).header["cpu_seconds"]
    assert f"took at most: {seconds:.0f}, none." in lines[-1]


def test_quoted_figures_are_marked_and_stand_at_ten_minutes_alone(root):
    lines = curve.table(root, POINTS, ["psd-m"], (0.02, 10.0), BOARD)
    quoted = [cells(line) for line in lines if line.startswith("| quoted: ")]
    assert [line[1:] for line in quoted] == [["", "0.780"], ["", "0.754"], ["", "0.702"], ["", "0.708"]]


def test_a_finished_run_is_read_back_and_never_trained_again(root, monkeypatch):
    asked = []
    monkeypatch.setattr(comparison, "command", lambda *words, **_: asked.append(words) or 0)
    found = curve.trained(TINY, 0, root, POINTS)
    assert not asked
    assert found == curve.read(TINY, 0, root, POINTS)
    assert curve.read(TINY, 1, root, POINTS) is None
    assert curve.read(TINY, 0, root, POINTS + 1) is None
    with pytest.raises(ValueError, match=r"evaluating .*psd-m-0.02min-0 with 2001 points failed"):
        curve.trained(TINY, 0, root, POINTS + 1)
    assert [words[0] for words in asked] == ["evaluate"]


def test_a_broken_run_is_resumed_and_is_not_in_the_table_before(tmp_path):
    """Stopped after 10 of 30 steps: it ends as the run that nobody stopped, to the bit."""
    task = curve.Task("checkerboard", "lsd", steps=30)
    out = task.folder(tmp_path, 0)
    next(runs.train(*recipe("checkerboard", "lsd", steps=30), out, every=10, save_seconds=0.0))
    (out / "evaluation.json").write_text(json.dumps({"rows": []}))
    assert runs.read_metadata(out).header["steps_done"] == 10
    assert curve.read(task, 0, tmp_path, POINTS) is None
    assert curve.trained(task, 0, tmp_path, POINTS)["steps"] == 30
    *_, whole = runs.train(*recipe("checkerboard", "lsd", steps=30), tmp_path / "whole", every=10)
    ours, x = runs.load(out), torch.randn(100, 2)
    assert torch.equal(ours.sample(x, 2), whole.X.sample(x, 2))


def test_another_run_in_the_folder_is_refused_and_not_shown(root, tmp_path):
    """A folder whose settings are not the recipe's today: named, and left out of the table."""
    other = curve.Task("checkerboard", "psd-u", minutes=0.02)
    TINY.folder(root, 0).rename(other.folder(root, 0))
    try:
        assert curve.table(root, POINTS, ["psd-u"], (0.02,), name=BOARD) == []
        with pytest.raises(ValueError, match=r"holds another run \(.*method"):
            curve.trained(other, 0, root, POINTS)
    finally:
        other.folder(root, 0).rename(TINY.folder(root, 0))
    assert curve.table(tmp_path, POINTS, name=BOARD) == []


@pytest.mark.parametrize(("method", "steps"), [("lsd", 84_308), ("esd", 50_910), ("psd-m", 60_467), ("psd-u", 62_824)])
def test_shipped_maps_are_those_of_the_commands_beside_them(method, steps):
    """The recipe still makes them: network, method and training of data/README.md's commands, to the last setting."""
    asked = document(*recipe("checkerboard-fine", method, seed=0, steps=steps))[0]
    assert differences(read_metadata(shipped_folder() / f"checkerboard-{method}").document, asked) == []
    command = f"flowmap-edu train checkerboard --recipe checkerboard-fine --method {method} --steps {steps} "
    assert command in (shipped_folder() / "README.md").read_text(encoding="utf-8")
