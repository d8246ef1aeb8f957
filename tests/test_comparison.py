"""All methods at one budget: the table's numbers are those of its runs, and costs are ratios to flow matching."""

import json
import math
from pathlib import Path

import pytest
import torch

from flowmap_edu import cli, metrics
from flowmap_edu.bench import comparison, report
from flowmap_edu.problems import Checkerboard
from flowmap_edu.training import runs

alone = comparison.command  # in a process of its own


def here(*words: object, quiet: bool) -> int:
    """A command in this process; those of the row "cd" in processes of their own, as a user has them."""
    if any(Path(str(word)).name == "cd" for word in words):
        return alone(*words, quiet=quiet)
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Flow matching, a method with restarts and one with a teacher, trained for a second each."""
    folder = tmp_path_factory.mktemp("compared") / "methods"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "command", here)
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
    assert "| ct (restarts) | consistency training, continuous time | no |" in text
    assert "| cd (restarts) | consistency distillation, continuous time | yes |" in text
    assert text.index("| **the velocity alone** |") < text.index("| fm ") < text.index("| **consistency: jumps")


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


def test_a_number_is_read_back_only_where_it_is_of_this_table(compared, monkeypatch):
    """Other points, another map or a damaged file: measured again. Another budget or method: refused by name."""
    folder, _ = compared
    for name in ("step_times", "step_memories"):
        monkeypatch.setattr(comparison, name, lambda names: dict.fromkeys(names, 1.0))
    rows = comparison.evaluation(folder / "fm", 2000)
    assert comparison.evaluation(folder / "fm", 2001) is None
    assert [row["steps"] for row in rows] == [1, 2, 4, 8, 16]
    path = folder / "fm" / "evaluation.json"
    said = json.loads(path.read_text())
    for wrong in (said | {"map": "0" * 64}, said | {"rows": rows[:2]}, said | {"seed": 1}, {"rows": rows}):
        path.write_text(json.dumps(wrong))
        assert comparison.evaluation(folder / "fm", 2000) is None
    comparison.table(["fm"], 0.03, folder, points=2000)
    assert json.loads(path.read_text()) == said
    with pytest.raises(ValueError, match=r"holds another run \(training.minutes: 0.03 there, 0.04 asked\)"):
        comparison.table(["fm"], 0.04, folder, points=2000)
    (folder / "ct").rename(folder / "lsd")
    with pytest.raises(ValueError, match=r"holds another run \(.*method.title: 'consistency training"):
        comparison.table(["lsd"], 0.03, folder, points=2000)
    (folder / "lsd").rename(folder / "ct")


def test_memory_is_that_of_the_step_over_flow_matchings():
    """An Eulerian step that keeps its forward-mode graph holds more than twice as much a sample off the diagonal."""
    found = comparison.step_memories(["fm", "emd"])
    assert found["fm"] == 1.0
    assert found["emd"] > 2.0


def test_a_diverged_row_says_so():
    lost = {"diverged": True, "kl64": [], "cpu_seconds": 3.0, "grad_norm": 1e9, "steps": 200}
    costs = {"step_time": 2.0, "step_memory": 3.0}
    text = "\n".join(report.lines({"esd": comparison.summary([lost]) | costs}, 1.0, 1000, "a machine"))
    assert "| esd | Eulerian self-distillation | no | diverged at step 200 or soon after |" in text
    assert "1e+09" in text
    kept = [lost | {"diverged": False, "kl64": [k, 2.0, 3.0, 4.0, 5.0], "grad_norm": 2.0} for k in (1.0, 3.0)]
    text = "\n".join(report.lines({"esd": comparison.summary([lost, *kept]) | costs}, 1.0, 1000, "a machine"))
    assert "| no | 2.000 (1.000 to 3.000); 1 of 3 seeds diverged | 2.000 (2.000 to 2.000) |" in text


def test_seeds_have_runs_of_their_own(tmp_path, monkeypatch):
    """Another seed, another folder, teacher and map; the row is the median of its seeds."""
    for name in ("step_times", "step_memories"):
        monkeypatch.setattr(comparison, name, lambda names: dict.fromkeys(names, 1.0))
    monkeypatch.setattr(comparison, "command", lambda *words, **_: cli.main([str(word) for word in words]))
    comparison.table(["cd"], 0.01, tmp_path, points=2000, seeds=2)
    row = json.loads((tmp_path / "methods.json").read_text())["rows"]["cd"]
    assert [len(one["kl64"]) for one in row["seeds"]] == [5, 5]
    assert row["seeds"][0]["kl64"] != row["seeds"][1]["kl64"]
    assert row["kl64"][0] == pytest.approx(sum(one["kl64"][0] for one in row["seeds"]) / 2)
    header = runs.read_metadata(tmp_path / "cd-seed1").header
    assert header["teacher"] == str(tmp_path / "teacher-seed1")
    assert runs.read_metadata(tmp_path / "teacher-seed1").training.seed == 1


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
