"""Lesson 04b's trainings: what the file holds, that the command makes such rows, and that a wave is found as one."""

import json
import math

import pytest
import torch

from flowmap_edu import FlowMap, problems
from flowmap_edu.bench import stopgradients
from flowmap_edu.training import runs
from flowmap_edu.viz import figures_04b as figures

ROWS = json.loads((runs.shipped_folder() / "stopgradients" / "stopgradients.json").read_text())


def test_the_file_has_every_case_with_every_seed():
    found = sorted((row["method"], row["stopgrad"], row["fourier"], row["seed"]) for row in ROWS)
    assert found == sorted((*case, seed) for case in stopgradients.CASES for seed in stopgradients.SEEDS)
    assert {row["steps"] for row in ROWS} == {stopgradients.STEPS}


def test_what_the_lesson_says_of_the_trainings():
    """In every seed: "full" with Fourier features is the worst, its gradient alone grows, "convex" beats "none"."""
    jumps = {name: [row["jump"] for row in seeds] for name, seeds in figures.cases(ROWS).items()}
    assert min(jumps["ESD full"]) > max(jump for name, found in jumps.items() if name != "ESD full" for jump in found)
    for name in ("LSD", "PSD", "ESD"):
        assert max(jumps[f"{name} convex"]) < min(jumps[f"{name} none"])
    smooth = jumps["ESD full, smooth"], jumps["ESD convex, smooth"]
    assert min(smooth[0]) < max(smooth[1])
    assert min(smooth[1]) < max(smooth[0])
    for name, (low, high) in figures.late([row for row in ROWS if row["method"] == "esd"]).items():
        assert low > 2 if name == "ESD full" else high < 1, name


def test_the_command_makes_such_rows(tmp_path, monkeypatch, capsys):
    """A short run of one case; a second call makes nothing again."""
    case = stopgradients.Case("esd", "semi", 0)
    monkeypatch.setattr(stopgradients, "CASES", (case,))
    monkeypatch.setattr(stopgradients, "SEEDS", (3,))
    train = stopgradients.trained
    monkeypatch.setattr(stopgradients, "trained", lambda case, seed, _: train(case, seed, 2))
    stopgradients.main(str(tmp_path / "rows.json"))
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row.keys() == ROWS[0].keys()
    assert (row["stopgrad"], row["fourier"], row["seed"]) == ("semi", 0, 3)
    assert len(row["spectrum"]) == len(ROWS[0]["spectrum"])
    stopgradients.main(str(tmp_path / "rows.json"))
    assert capsys.readouterr().out.count("one jump") == 1


def test_a_wave_is_found_with_its_height():
    """An error of one wave that fits the line 5 times: its height at its number, next to nothing further off."""
    board, k = problems.Checkerboard(), 2 * math.pi * 5 / 2.4

    def wrong(s, t, x):
        exact = board.v(s.double(), t.double(), x.double())
        return exact + 0.3 * (k * x[:, :1].double() + x[:, 1:].double()).cos() * torch.tensor([1.0, 0.0])

    waves, heights = stopgradients.spectrum(FlowMap(wrong))
    assert waves[4].item() == pytest.approx(k)
    assert heights[4].item() == pytest.approx(0.3, rel=1e-3)
    assert heights[8:].max() < 1e-4


@pytest.mark.parametrize(("stop", "real"), [("convex", 5.0), ("full", -3.0), ("semi", 1.0)])
def test_the_rate_of_a_wave_is_the_formula(stop, real):
    """k = 8, omega = -4, d = 1/2, b = 1, from the library's own loss."""
    rates = torch.linalg.eigvals(stopgradients.wave(stop, 8, -4, 0.5, 1.0))
    assert rates.real.tolist() == pytest.approx([real, real], abs=1e-9)
