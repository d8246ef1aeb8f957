"""The command line says in one line what is wrong, before it works; and what surrounds it may be as odd as it likes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import typing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_lines import LINES, words_of

import flowmap_edu
from flowmap_edu import cli
from flowmap_edu._cli import demo, values
from flowmap_edu.training import MemoryShortError, Training, loop, runs

HERE = Path(flowmap_edu.__file__).resolve().parent.parent
OLD = typing.Union
SETS = ("batch=24", "stf_batch=0", "compile=false", "net.hidden=8", "net.layers=1")
SMALL = ["--steps", "2", *(word for setting in SETS for word in ("--set", setting))]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a small run, arrays of all kinds, and files where folders should be."""
    folder = tmp_path_factory.mktemp("place")
    random = np.random.default_rng(0)
    assert cli.main(["train", "checkerboard", *SMALL, "--out", str(folder / "run")]) == 0
    for name, array in {
        "x": random.normal(size=(60, 3)), "y": np.arange(60) % 2, "words": np.array(["a"] * 60),
        "ints": np.ones((60, 2), int), "there": np.zeros(1),
    }.items():  # fmt: skip
        np.save(folder / f"{name}.npy", array)
    for name in ("folder", "folder.npy", "full"):
        (folder / name).mkdir()
    for name, text in {
        "file": "x",
        "there.png": "",
        "full/x": "",
        "words.csv": "a,b\nc,d\n",
        "broken.py": "x = 1 +",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and "__pyc" not in str(p)
    }


def test_there_are_two_hundred_of_them():
    assert len({line for line, _ in LINES}) == len(LINES) >= 200


def test_bad_lines(place, monkeypatch, capsys):
    """Status 2, one line that names the trouble, nothing on standard output; no file is made or changed."""
    monkeypatch.chdir(place)
    before, wrong = everything(place), []
    for line, message in LINES:
        status = cli.main(words_of(line))
        out, error = capsys.readouterr()
        told = error.rpartition("\r")[2]  # behind a progress bar that was wiped away
        if (status, out, told.count("\n"), error.count("\n")) != (2, "", 1, 1) or not told.startswith("flowmap-edu: "):
            wrong.append(f"{line}: status {status}, {out!r}, {error!r}")
        elif message not in told:
            wrong.append(f"{line}: {told!r} does not say {message!r}")
    assert not wrong, "\n".join(wrong)
    assert everything(place) == before
    assert not (place / "new").exists()


def test_what_does_not_fit_into_the_memory(place, monkeypatch, capsys):
    """Status 4 and one line, for samples, batches and layers, whoever notices."""
    monkeypatch.chdir(place)
    fresh = ["train", "checkerboard", "--steps", "2", "--set", "compile=false", "--out", "new"]
    for words in (
        ["evaluate", "run", "--samples", str(10**16)], ["sample", "run", "--samples", str(10**16), "--out", "new.npy"],
        [*fresh, "--set", f"batch={10**15}"], [*fresh, "--set", f"batch={9 * 10**18}"],
        [*fresh, "--set", f"net.hidden={10**12}"],
    ):  # fmt: skip
        assert cli.main(words) == 4
        assert (
            capsys.readouterr().err.rpartition("\r")[2].startswith("flowmap-edu: this does not fit into the memory: ")
        )
    assert not (place / "new").exists()


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("3", int, 3), ("3", float, 3.0), ("1e-3", float, 1e-3), ("TRUE", bool, True), ("none", str, "none"),
        ("None", int | None, None), ("null", float | None, None), ("7", int | None, 7), ("false", bool | None, False),
        ("true", OLD[bool, None], True), ("0.5", OLD[float, None], 0.5), ("x", str | Path | None, "x"),
        ("[1, 2]", Sequence[int], [1, 2]), ("[0.5]", float | torch.Tensor, [0.5]), ("-1", float | torch.Tensor, -1.0),
        ("8", typing.Any, 8), ("word", typing.Any, "word"), ('{"a": [1]}', typing.Any, {"a": [1]}),
    ],
)  # fmt: skip
def test_a_text_is_read_by_the_type_of_its_field(text, hint, value):
    """A union is a union, whether it is written with | or not."""
    found = values.value_of("name", text, hint)
    assert (found, type(found)) == (value, type(value))


def test_every_field_of_a_training_has_a_type_that_is_read():
    """Each default comes back from its own text."""
    hints, plain = values.hints_of(Training), Training(steps=1)
    for name in (field.name for field in dataclasses.fields(Training)):
        if name != "interpolant":
            value = getattr(plain, name)
            text = json.dumps(value) if not isinstance(value, str) else value
            assert values.value_of(name, text, hints[name]) == value, name


def test_values_without_a_type_are_finite():
    """Numbers of an untyped argument, also inside lists; a nesting that no reader survives."""
    for text in ("[NaN]", "1e999", '{"a": Infinity}', f"{10**30}", "[" * 100_000):
        with pytest.raises(ValueError, match="--set name must"):
            values.value_of("name", text, typing.Any)


# --- what is said at the end -----------------------------------------------------------------------


def test_a_stopped_training_says_what_is_true(place, monkeypatch, capsys):
    """Before the first checkpoint there is nothing to resume; after it there is."""
    monkeypatch.chdir(place)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "loss_of_batch", stop)
    assert cli.main(["train", "checkerboard", *SMALL, "--out", "new"]) == 130
    assert capsys.readouterr().err.rpartition("\r")[2] == "flowmap-edu: stopped before the first checkpoint.\n"
    assert not (place / "new").exists()
    monkeypatch.setattr(runs, "train", stop)
    assert cli.main(["train", "--resume", "--out", "run"]) == 130
    assert "`--resume` continues from the last checkpoint" in capsys.readouterr().err
    monkeypatch.setattr(runs, "load", stop)
    assert cli.main(["evaluate", "run"]) == 130
    assert capsys.readouterr().err == "flowmap-edu: stopped.\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [(OSError(28, "No space left on device"), 2), (MemoryShortError("a batch"), 4), (MemoryError(), 4)],
)
def test_what_fails_in_the_middle_is_one_line(place, monkeypatch, capsys, error, status):
    def fail(*_, **__):
        raise error

    monkeypatch.chdir(place)
    monkeypatch.setattr(runs, "load", fail)
    assert cli.main(["evaluate", "run"]) == status
    assert capsys.readouterr().err.count("\n") == 1


def test_a_map_that_cannot_be_written_beside_is_still_judged_and_drawn(place, monkeypatch, capsys):
    """evaluation.json is a convenience: where it cannot be written the table is printed and the figure drawn."""

    def full(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.chdir(place)
    monkeypatch.setattr(runs, "write", full)
    monkeypatch.setattr("flowmap_edu.viz.draw", lambda problem, X, path: path.write_text(f"{problem.shape}"))  # noqa: ARG005
    assert cli.main(["evaluate", "run", "--steps", "1", "--samples", "1000", "--figure", "made/here/run.png"]) == 0
    out, error = capsys.readouterr()
    assert "kl64" in out
    assert error.startswith("flowmap-edu: the numbers are not kept beside the map: [Errno 30] Read-only file system")
    assert (place / "made/here/run.png").read_text() == "(2,)"


def test_a_folder_with_a_shipped_map_s_name_gets_no_result(tmp_path, monkeypatch, capsys):
    (tmp_path / "checkerboard-lsd").mkdir()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", "checkerboard-lsd", "--steps", "1", "--samples", "1000"]) == 0
    assert "kl64" in capsys.readouterr().out
    assert everything(tmp_path) == {}


@pytest.mark.parametrize(
    ("words", "module", "extra"),
    [
        ("train digits --steps 2 --tensorboard --out new", "torch.utils.tensorboard", "images"),
        ("train digits --steps 2 --fid-every 1 --out new", "torchmetrics", "images"),
        ("train digits --steps 2 --grid-every 1 --out new", "torchvision", "images"),
        ("lab", "jupyterlab", "notebooks"),
    ],
)
def test_a_missing_extra_is_named_before_the_work(place, monkeypatch, capsys, words, module, extra):
    monkeypatch.chdir(place)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("the training began"))
    assert cli.main(words.split()) == 2
    assert capsys.readouterr().err == f"flowmap-edu: {module} is needed here: pip install 'flowmap-edu[{extra}]'\n"


# --- demo and lab ----------------------------------------------------------------------------------


def test_a_demo_replaces_its_own_files_alone(tmp_path, monkeypatch):
    """What somebody put beside an earlier demo stays, and stops the next one; strange names are not followed."""
    monkeypatch.setattr(demo.commands, "run_training", lambda run, out, how: runs.write(out / "config.json", b"{}"))  # noqa: ARG005
    monkeypatch.setattr(demo.commands, "evaluate", lambda how: Path(how.figure).write_text("drawn"))
    out = tmp_path / "demo"
    out.mkdir()
    for _ in range(2):
        assert cli.main(["demo", "--out", str(out)]) == 0
        assert sorted(everything(out)) == ["config.json", "demo.json", "samples.png"]
    (out / "mine").write_text("kept")
    assert cli.main(["demo", "--out", str(out)]) == 2
    assert everything(out) == {"mine": b"kept"}
    (tmp_path / "precious").write_text("kept")
    (out / "demo.json").write_text(json.dumps({"files of the demo": ["../precious"]}))
    assert cli.main(["demo", "--out", str(out)]) == 2
    assert (tmp_path / "precious").read_text() == "kept"


def test_the_lab_opens_the_first_lesson_and_saves_widgets():
    """The repository is the root; Jupyter's own code reads saveState from our folder."""
    words, environment = demo.lab_command(cli.parser(["lab"]).parse_args(["lab", "--port", "9000", "--", "--ip=::1"]))
    assert words[:3] == [sys.executable, "-m", "jupyterlab"]
    assert words[3:6] == [f"--ServerApp.root_dir={HERE}", "--port=9000", "--ip=::1"]
    assert Path(words[6]).name == "00_start_here.ipynb"
    code = "from jupyter_server.services.config.manager import ConfigManager as C; import json; "
    code += "print(json.dumps(C(config_dir_name='labconfig').get('default_setting_overrides')))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["@jupyter-widgets/jupyterlab-manager:plugin"] == {"saveState": True}


# --- odd surroundings ------------------------------------------------------------------------------

CALL = [sys.executable, "-m", "flowmap_edu.cli"]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1", **more}


def test_help_needs_no_torch_and_no_utf8():
    """It is printed at once, on a console of ASCII as well, é as a question mark."""
    code = "import sys; from flowmap_edu import cli\ntry: cli.main(['--help'])\nfinally: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout.endswith("False\n"), done.stderr
    words = [*CALL, "train", "--help"]
    done = subprocess.run(words, env=environment(PYTHONIOENCODING="ascii"), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"one-step Fr?chet distance" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX closes the streams")
def test_a_closed_pipe_and_a_closed_stream(place):
    """The work is done and the status 0, where nobody reads the table, or where there is nowhere to complain."""
    words = " ".join(CALL) + " sample run --samples 5 --out {} "
    for k, around in enumerate(("| true; exit ${{PIPESTATUS[0]}}", ">&- 2>&- <&-")):
        name = f"piped-{k}.npy"
        line = (words + around).format(name)
        done = subprocess.run(
            ["bash", "-c", line], cwd=place, env=environment(), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), line
        assert np.load(place / name).shape == (5, 2)


def test_a_full_disk_behind_the_output_is_said():
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*CALL, "table", "images"], env=environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr.decode() == "flowmap-edu: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
@pytest.mark.parametrize("after", [0.1, 0.5])
def test_ctrl_c_while_torch_is_imported(place, after):
    """Status 130 and one line."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); print(flush=True)\n"
    code += "from flowmap_edu.cli import main; sys.exit(main(['evaluate', 'run', '--samples', '100000000']))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=place,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "flowmap-edu: stopped.\n")
