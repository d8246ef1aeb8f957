"""All methods at one budget: the table's numbers are those of its runs, and costs are ratios to flow matching."""

import json
import math

import pytest
import torch

from flowmap_edu import cli, metrics
from flowmap_edu.bench import comparison
from flowmap_edu.problems import Checkerboard
from flowmap_edu.training import runs


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Flow matching, a method with restarts and one with a teacher, trained for a second each."""
    folder = tmp_path_factory.mktemp("compared") / "methods"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "step_memories", lambda names: dict.fromkeys(names, 1.0))  # has its own test
        return folder, comparison.table(["fm", "ct", "cd"], 0.03, folder, points=2000)


def test_the_tables_numbers_come_from_its_runs(compared):
    """KL64 of the saved map's own samples, CPU seconds with the teacher's, the largest gradient of the history."""
    folder, text = compared
    found = json.loads((folder / "methods.json").read_text())
    board = Checkerboard()
    x0 = board.sigma * torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    for name, row in found["rows"].items():
        x = runs.load(folder / name).sample(x0, 4)
        assert math.isclose(row["kl64"][2], metrics.kl64(x).kl, rel_tol=1e-6)
        assert f"{row['kl64'][2]:.3f}" in text
    header, teacher = (runs.read_metadata(folder / name).header for name in ("cd", "teacher"))
    assert math.isclose(found["rows"]["cd"]["cpu_seconds"], header["cpu_seconds"] + teacher["cpu_seconds"])
    assert header["teacher"] == str(folder / "teacher")
    assert found["rows"]["fm"]["step_time"] == 1.0
    assert found["rows"]["cd"]["step_time"] > 1.0
    assert "| ct (restarts) | no |" in text
    assert "| cd (restarts) | yes |" in text


def test_a_second_call_reads_the_runs_back(compared, monkeypatch):
    """Nothing is trained or drawn anew; the KL64 are the same."""
    folder, _ = compared
    before = json.loads((folder / "methods.json").read_text())["rows"]
    monkeypatch.setattr(comparison, "step_times", lambda names: dict.fromkeys(names, 1.0))
    monkeypatch.setattr(comparison, "step_memories", lambda names: dict.fromkeys(names, 1.0))
    comparison.table(["fm", "ct"], 0.03, folder, points=2000)
    again = json.loads((folder / "methods.json").read_text())["rows"]
    for name in again:
        assert again[name]["kl64"] == before[name]["kl64"]
        assert again[name]["cpu_seconds"] == before[name]["cpu_seconds"]


def test_memory_is_that_of_the_step_over_flow_matchings():
    """An Eulerian step that keeps its forward-mode graph holds more than twice as much a sample off the diagonal."""
    found = comparison.step_memories(["fm", "emd"])
    assert found["fm"] == 1.0
    assert found["emd"] > 2.0


def test_a_diverged_row_says_so():
    row = {"diverged": True, "kl64": [], "cpu_seconds": 3.0, "grad_norm": 1e9, "steps": 200}
    text = "\n".join(comparison.lines({"esd": row | {"step_time": 2.0, "step_memory": 3.0}}, 1.0, 1000))
    assert "| esd | no | diverged at step 200 or soon after |" in text
    assert "1e+09" in text


def test_bad_requests_are_named(tmp_path, capsys):
    for words, message in (
        (["--methods", "ct,gan", "--minutes", "1"], "got 'gan'"),
        (["--methods", "all"], "name it with --minutes"),
        (["--methods", "ct", "--minutes", "-1"], "minutes must be positive, got -1"),
    ):
        assert cli.main(["table", "checkerboard", "--out", str(tmp_path), *words]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["train", "checkerboard", "--method", "cd", "--out", str(tmp_path / "x")]) == 2
    assert "consistency distillation, continuous time reads a teacher, --teacher is None" in capsys.readouterr().err
