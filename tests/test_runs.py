"""Runs on disk and the command line: what is written comes back, and nothing is lost."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import flowmap_edu
from flowmap_edu import cli, metrics, problems
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.recipes.paper import PAPER_KL
from flowmap_edu.training import runs


def small(problem=None, **changes) -> Recipe:
    """A run that takes less than a second."""
    settings = {"steps": 40, "batch": 32, "stf_batch": 16, "warmup": 5, "compile": False} | changes
    net = {"hidden": 16, "layers": 2, "fourier": 8}
    return recipe("points", "lsd", problem=problem or problems.Gaussian(), net=net, **settings)


def board(**changes) -> Recipe:
    return small(problems.Checkerboard(), **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A short finished run on the checkerboard."""
    out = tmp_path_factory.mktemp("runs") / "board"
    for _ in runs.train(*board(), out, every=10):
        pass
    return out


def test_a_saved_map_comes_back_to_the_bit(tmp_path):
    """load(save(X)) = X at random times and points; the four objects come back as they were."""
    run = small()
    state = list(runs.train(*run, tmp_path / "run"))[-1]
    X = flowmap_edu.load(tmp_path / "run")
    x, s = torch.randn(50, 2), torch.rand(50)
    assert torch.equal(X.v(s, 1.0, x), state.X.v(s, 1.0, x))
    info = runs.read_metadata(tmp_path / "run")
    assert (info.method, info.training) == (run.method, run.training)
    assert (info.shape, info.sigma, info.classes) == ((2,), 1.0, 0)
    assert isinstance(info.problem(), problems.Gaussian)
    assert [p.shape for p in info.network().parameters()] == [p.shape for p in run.net.parameters()]
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [40]
    assert float(rows[0]["loss"]) == pytest.approx(state.loss)


def test_shipped_maps_are_what_their_tables_say():
    """Each shipped map reproduces its KL64 table (fewer points here, so up to sampling) from its own files."""
    assert set(runs.shipped()) >= {f"checkerboard-{method}" for method in ("lsd", "esd", "psd-m", "psd-u")}
    x0 = problems.Checkerboard().base(200_000, torch.Generator().manual_seed(0))
    for name in runs.shipped():
        folder = shipped_folder() / name
        assert (folder / "map.safetensors").stat().st_size < 4_000_000
        if not name.startswith("checkerboard"):
            continue
        row = json.loads((folder / "evaluation.json").read_text())["rows"][0]
        found = metrics.kl64(flowmap_edu.load(name).sample(x0, row["steps"]))
        assert found.kl - found.floor == pytest.approx(row["kl64"] - row["floor"], rel=0.1, abs=0.004)
        assert found.leak == pytest.approx(row["leak"], rel=0.1, abs=0.002)


def test_the_shipped_digits_are_what_their_table_says():
    """The numbers of one jump are computed anew from the shipped map, and are near those of real digits."""
    rows = json.loads((shipped_folder() / "digits-lsd" / "evaluation.json").read_text())["rows"]
    found = runs.read_metadata("digits-lsd").problem().evaluate(flowmap_edu.load("digits-lsd"), [1], seed=0)[0]
    assert runs.read_metadata("digits-lsd").problem().split == 0
    for name in ("fd_train", "fd_held_out", "labels", "copied", "precision", "recall", "real_fd_train", "real_labels"):
        assert found[name] == pytest.approx(rows[0][name], rel=0.01), name
    assert rows[0]["fd_held_out"] < 1.5 * rows[0]["real_fd_held_out"]
    assert rows[0]["labels"] > 0.97
    assert rows[0]["copied"] < 0.05


def test_a_second_run_does_not_overwrite_the_first(finished):
    """Training into a folder that holds a run is refused, and leaves it alone."""
    before = (finished / "map.safetensors").read_bytes()
    with pytest.raises(ValueError, match="already holds a run"):
        next(runs.train(*board(), finished))
    assert (finished / "map.safetensors").read_bytes() == before


def other(described: dict, **arguments) -> dict:
    """A network's description with other arguments."""
    return described | {"arguments": described["arguments"] | arguments}


def test_bad_run_folders(finished, tmp_path):
    """Missing, truncated, of another format or another network: each a ValueError that says which."""
    with pytest.raises(ValueError, match=r"neither a run's folder .* nor a shipped map"):
        runs.load(tmp_path / "nothing")
    for damage, message in {
        "config.json": "damaged",
        "map.safetensors": "is not the file that was written with config.json; .* writes it again from the checkpoint",
    }.items():
        copy = tmp_path / damage
        shutil.copytree(finished, copy)
        (copy / damage).write_bytes((copy / damage).read_bytes()[:-100])
        with pytest.raises(ValueError, match=message):
            runs.load(copy)
    copy = tmp_path / "checkpoint"
    shutil.copytree(finished, copy)
    (copy / "checkpoint.pt").write_bytes((copy / "checkpoint.pt").read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"checkpoint\.pt is not the file that was written with config\.json"):
        next(runs.train(*board(), copy, resume=True))
    about = json.loads((copy / "config.json").read_text())
    for change, message in (
        ({"format": 3}, "has format 3, this library reads formats 1 and 2"),
        ({"training": about["training"] | {"colour": 1}}, "another version"),
        ({"method": about["method"] | {"colour": 1}}, "another version"),
        ({"network": other(about["network"], hidden=17)}, "another network"),
        ({"network": other(about["network"], colour=17)}, "the network of .* does not take these arguments"),
        ({"network": about["network"] | {"import": "gone.lab:net"}}, "needs the module 'gone.lab', which cannot be"),
        ({"network": about["network"] | {"import": "flowmap_edu.nets:Gone"}}, "has no 'Gone'"),
    ):
        (copy / "config.json").write_text(json.dumps(about | change))
        with pytest.raises(ValueError, match=message):
            runs.load(copy)


def test_resuming_a_finished_run_changes_nothing(finished, capsys):
    """It says how long the run was and leaves every file as it is."""
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    assert cli.main(["train", "--resume", "--out", str(finished)]) == 0
    assert f"{runs.read_metadata(finished).header['steps_done']} steps" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_a_resumed_run_takes_its_own_threads(tmp_path, monkeypatch, recwarn):
    """Those that it began with, whatever the default; --threads changes them, and the change is named."""
    begun, asked = tmp_path / "begun", []
    next(runs.train(*board(), begun, every=10, save_seconds=0.0))
    about = json.loads((begun / "config.json").read_text())
    assert about["made_with"]["threads"] == torch.get_num_threads()
    (begun / "config.json").write_text(json.dumps(about | {"made_with": about["made_with"] | {"threads": 3}}))
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: asked[-1])
    for words, said in ((["--threads", "2"], ["threads 2 instead of 3"]), ([], [])):
        shutil.copytree(begun, out := tmp_path / f"run{len(words)}")
        recwarn.clear()
        assert cli.main([*words, "train", "--resume", "--every", "10", "--out", str(out)]) == 0
        named = [str(w.message) for w in recwarn if "resumed with" in str(w.message)]
        assert [text in message for message, text in zip(named, said, strict=True)] == [True] * len(said)
    assert asked[-1] == 3


def test_resume_refuses_another_run(finished):
    """The message names each field that differs."""
    with pytest.raises(ValueError, match=r"holds another run \(training.ema: 0\.999 there, 0\.9 asked\)"):
        next(runs.train(*board(ema=0.9), finished, resume=True))
    with pytest.raises(ValueError, match=r"problem.import: 'flowmap_edu.problems:Checkerboard' there"):
        next(runs.train(*small(), finished, resume=True))


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", *map(str, words)]


LONG = ("train", "checkerboard", "--steps", "600", "--save-seconds", "0", "--out")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> bytes:
    """The map of the run that nobody touched."""
    out = tmp_path_factory.mktemp("untouched") / "whole"
    subprocess.run(command(*LONG, out), check=True, capture_output=True)
    return (out / "map.safetensors").read_bytes()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed_is_the_unbroken_run(tmp_path, untouched, how):
    """kill -9 or Ctrl-C in the middle, then --resume: the same map as the run that nobody touched, to the bit."""
    listening = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs are deaf to Ctrl-C
    process = subprocess.Popen(command(*LONG, tmp_path / "broken"), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    signal.signal(signal.SIGINT, listening)
    while not (tmp_path / "broken" / "checkpoint.pt").exists():
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(how)
    process.communicate()
    done = torch.load(tmp_path / "broken" / "checkpoint.pt", weights_only=True)["step"]
    assert process.returncode != 0
    assert 0 < done < 600
    subprocess.run(command("train", "--resume", "--out", tmp_path / "broken"), check=True, capture_output=True)
    assert (tmp_path / "broken" / "map.safetensors").read_bytes() == untouched


def test_evaluate_prints_what_the_metrics_say(finished, capsys):
    """The table's numbers are kl64 and map_error of the loaded map, and are written beside it."""
    assert cli.main(["evaluate", str(finished), "--steps", "1", "3", "--points", "20000"]) == 0
    printed = capsys.readouterr().out.splitlines()
    report = json.loads((finished / "evaluation.json").read_text())
    x0 = problems.Checkerboard().sigma * torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    assert printed[1].split() == ["steps", "kl64", "leak", "map_error"]
    for line, row, n in zip(printed[2:], report["rows"], (1, 3), strict=False):
        expected = metrics.kl64(runs.load(finished).sample(x0, n))
        assert row["kl64"] == pytest.approx(expected.kl, rel=1e-6)
        assert line.split()[:3] == [str(n), f"{expected.kl:.4g}", f"{expected.leak:.4g}"]
    assert printed[4] == f"for all: floor {report['rows'][0]['floor']:.4g}"


def test_table_shows_ours_beside_the_paper_s(capsys):
    """A row a method from the shipped maps, and under it the paper's figures as its page prints them."""
    assert cli.main(["table", "checkerboard", "--points", "3000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    x0 = problems.Checkerboard().sigma * torch.randn(3000, 2, generator=torch.Generator().manual_seed(0))
    for method, ours, paper in zip(PAPER_KL, lines[1:9:2], lines[2:9:2], strict=True):
        one_step = metrics.kl64(flowmap_edu.load(f"checkerboard-{method}").sample(x0, 1)).kl
        assert ours.split()[:4] == [method, "ours,", "KL64", f"{one_step:.4f}"]
        assert [float(word) for word in paper.split()[2:]] == list(PAPER_KL[method])


def test_sample_writes_the_map_s_points(finished, tmp_path, capsys):
    """The file holds X.sample(x0, steps) for the seed's x0, and is not overwritten."""
    words = ["sample", str(finished), "--steps", "2", "--points", "100", "--seed", "3", "--out"]
    for name in ("points.npy", "points.csv"):
        assert cli.main([*words, str(tmp_path / name)]) == 0
    x0 = problems.Checkerboard().sigma * torch.randn(100, 2, generator=torch.Generator().manual_seed(3))
    expected = runs.load(finished).sample(x0, 2).numpy()
    assert np.array_equal(np.load(tmp_path / "points.npy"), expected)
    assert np.allclose(np.loadtxt(tmp_path / "points.csv", delimiter=","), expected, rtol=1e-6)
    assert cli.main([*words, str(tmp_path / "points.npy")]) == 2
    assert "is already there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "nowhere"], "neither a run's folder"),
        (["sample", "nowhere"], "neither a run's folder"),
        (["train", "--resume", "--out", "nowhere"], "neither a run's folder"),
        (["train", "--out", "nowhere"], "name a problem to train on"),
        (["train", "digits", "--set", "lr=1", "--resume", "--out", "x"], "its own settings: leave out problem"),
        (["train", "chess", "--out", "nowhere"], "the problem must be one of checkerboard, .*module:name; got 'chess'"),
        (["train", "gone.lab:problem", "--out", "nowhere"], "needs the module 'gone.lab', which cannot be imported"),
        (["train", "gone.npy", "--out", "nowhere"], "gone.npy is missing or holds no array"),
        (["train", "checkerboard", "--set", "lr", "--out", "nowhere"], "--set expects NAME=VALUE, got 'lr'"),
        (["train", "checkerboard", "--set", "colour=1", "--out", "nowhere"], "must be one of 'steps', 'minutes'"),
        (["train", "checkerboard", "--set", "net.colour=1", "--out", "nowhere"], "it takes dim, hidden"),
        (["train", "checkerboard", "--set", "problem.sigma=1", "--out", "nowhere"], "it takes no arguments"),
        (["train", "digits", "--set", "net.hidden=3", "--out", "nowhere"], "it takes size, channels, width"),
        (["train", "digits", "--set", "method.stopgrad=full", "--out", "nowhere"], "stopgrad must be one of"),
        (["train", "checkerboard", "--minutes", "-1", "--out", "nowhere"], "minutes must be positive, got -1.0"),
        (["train", "checkerboard", "--steps", "0", "--out", "nowhere"], "steps must be a whole number"),
    ],
)
def test_bad_words_on_the_command_line(words, message, capsys, tmp_path, monkeypatch):
    """One line on stderr that names the trouble, status 2, no stack trace."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "Traceback" not in error


def test_bad_counts_on_the_command_line(finished, capsys):
    """Steps below 1 and no points are refused by name."""
    assert cli.main(["evaluate", str(finished), "--steps", "0"]) == 2
    assert cli.main(["sample", str(finished), "--points", "0", "--out", "never.npy"]) == 2
    error = capsys.readouterr().err
    assert "steps must be a whole number of at least 1, got 0" in error
    assert "--samples must be a whole number of at least 1, got 0" in error


def test_a_diverging_run_keeps_its_last_good_checkpoint(tmp_path, monkeypatch, capsys):
    """Status 3, the reason on stderr, and the folder still loads."""
    from flowmap_edu.training import loop

    real, calls = loop.loss_of_batch, []

    def breaks_late(*words, **options):
        calls.append(1)
        return real(*words, **options) * (float("nan") if len(calls) > 350 else 1.0)

    monkeypatch.setattr(loop, "loss_of_batch", breaks_late)
    out = tmp_path / "run"
    assert cli.main(["train", "checkerboard", "--steps", "600", "--save-seconds", "0", "--out", str(out)]) == 3
    assert "stopped being finite at step 351" in capsys.readouterr().err
    assert runs.read_metadata(out).header["steps_done"] == 300
    assert torch.isfinite(runs.load(out)(0.0, 1.0, torch.randn(10, 2))).all()
