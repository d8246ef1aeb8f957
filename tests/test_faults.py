"""Runs on disk under faults: a kill at every moment of a save, a disk that is full, files that were changed.

FLOWMAP_EDU_FAULTS=200 (`make test-faults`) kills that many trainings at random moments as well.
"""

import dataclasses
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from flowmap_edu import METHODS, FromTensor, Training, fit, load, save
from flowmap_edu.nets import MLP
from flowmap_edu.training import files, reading, runs

WANTED = (
    "config.json",
    "map.safetensors",
    "map-0.9.safetensors",
    "checkpoint.pt",
    "history.csv",
    "tensors.safetensors",
)
X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))


class Killed(BaseException):
    """As if the process had ended here."""


def study(**changes):
    """A run of twelve steps whose folder has every kind of file."""
    torch.manual_seed(0)
    settings = Training(steps=12, batch=16, warmup=2, second_ema=0.9, compile=False, **changes)
    return FromTensor(X), MLP(2, hidden=8, layers=1, fourier=4), METHODS["lsd"], settings


def trained(out: Path, **options) -> None:
    """Train the study into a folder; it is saved at each of its four yields."""
    for _ in runs.train(*study(), out, every=3, save_seconds=0.0, **options):
        pass


def steps_of(out: Path) -> tuple[int, int, int]:
    """The step that config.json says, that of the map, found among those of the whole run, and the checkpoint's."""
    weight = next(iter(load(out).slope.parameters()))
    step = next(k for k, wanted in MAPS.items() if torch.equal(wanted, weight))
    return runs.read_metadata(out).header["steps_done"], step, runs.read_checkpoint(out)["step"]


def step_before(out: Path) -> int:
    """The step of the checkpoint that is kept, as config.json says it and as it is."""
    step = runs.read_checkpoint(out, "checkpoint-before.pt")["step"]
    assert runs.read_metadata(out).header["before"]["steps_done"] == step
    return step


def flip(path: Path, chance: random.Random | None = None) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    place, bit = (chance.randrange(len(content)), chance.randrange(8)) if chance else (len(content) // 2, 0)
    content[place] ^= 1 << bit
    path.write_bytes(content)


MAPS = {s.step: next(iter(s.average.module.parameters())).detach().clone() for s in fit(*study(), every=3)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The run that nothing happened to."""
    trained(out := tmp_path_factory.mktemp("faults") / "whole")
    assert steps_of(out) == (12, 12, 12)
    assert {path.name for path in out.iterdir()} == {*WANTED, "checkpoint-before.pt", ".lock"}
    assert step_before(out) == 9
    return out


def files_of(out: Path) -> dict[str, bytes]:
    """The run's files but for the one that has the time of the run in it."""
    found = {path.name: path.read_bytes() for path in out.iterdir()}
    history = found["history.csv"].decode().splitlines()
    return {"map.safetensors": found["map.safetensors"], "history.csv": b"\n".join(
        ",".join(line.split(",")[:4]).encode() for line in history
    )}  # fmt: skip


class Counter:
    """Lets calls through to the file system, but for one, at which `fault` is raised; before the call, or after it."""

    def __init__(self, monkeypatch, at: int, fault: BaseException, after: bool = False, lasting: bool = False):
        self.at, self.fault, self.after, self.lasting, self.calls = at, fault, after, lasting, 0
        real_open, real_sync = Path.open, os.fsync
        monkeypatch.setattr(Path, "open", self.counted(real_open, lambda _, mode="r", **__: "w" in mode))
        monkeypatch.setattr(os, "fsync", self.counted(real_sync, lambda *_: True))
        for name in ("replace", "unlink"):
            monkeypatch.setattr(Path, name, self.counted(getattr(Path, name), lambda *_, **__: True))

    def counted(self, real, counts):
        def call(*args, **kwargs):
            if not counts(*args, **kwargs):
                return real(*args, **kwargs)
            self.calls += 1
            due = self.calls == self.at or (self.lasting and self.calls > self.at)
            if due and not self.after:
                raise self.fault
            done = real(*args, **kwargs)
            if due:
                if hasattr(done, "close"):
                    done.close()  # as the end of a process does
                raise self.fault
            return done

        return call


def calls_of_a_run(tmp_path, monkeypatch) -> int:
    """How many calls to the file system a whole run makes."""
    with monkeypatch.context() as patch:
        counter = Counter(patch, 0, Killed())
        trained(tmp_path / "counted")
    return counter.calls


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_write_of_a_save(whole, tmp_path, monkeypatch, after):
    """At each of them the folder holds one step, whole; resumed it ends at the unbroken run, to the bit."""
    total = calls_of_a_run(tmp_path, monkeypatch)
    assert total == 4 * (3 * len(WANTED)) + 3  # from the second save on a checkpoint is kept
    seen = set()
    for at in range(1 + after, total + 1, 2):  # the odd calls before they happen, the even ones after
        out = tmp_path / f"{at}"
        with monkeypatch.context() as patch:
            Counter(patch, at, Killed(), after)
            with pytest.raises(Killed):
                trained(out)
        if (out / "config.json").exists():
            config, drawn, checkpoint = steps_of(out)
            assert config == drawn == checkpoint
            seen.add(config)
            trained(out, resume=True)
        else:
            shutil.rmtree(out, ignore_errors=True)
            trained(out)
        assert files_of(out) == files_of(whole)
        assert not list(out.glob("*.part"))
        assert step_before(out) == 9
    assert seen == {3, 6, 9, 12}


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_write_and_the_newest_checkpoint_damaged(whole, tmp_path, monkeypatch, after):
    """At each call of the third save the one before is there, wherever the moves stopped: the run goes on from it."""
    a_save, seen = 3 * len(WANTED) + 1, []
    for at in range(2 * a_save + after, 3 * a_save, 2):
        out = tmp_path / f"{at}"
        with monkeypatch.context() as patch:
            Counter(patch, at, Killed(), after)
            with pytest.raises(Killed):
                trained(out)
        info = runs.read_metadata(out)
        newest = [
            path for path in out.glob("checkpoint*") if files.digest(path.read_bytes()) == info.digests["checkpoint.pt"]
        ]
        assert len(newest) == 1
        flip(newest[0])
        seen.append(info.header["steps_done"])
        with pytest.warns(UserWarning, match=rf"checkpoint.pt is .* The run goes on from .* of step {seen[-1] - 3}$"):
            trained(out, resume=True)
        assert files_of(out) == files_of(whole)
        assert not list(out.glob("*.part"))
        assert step_before(out) == 9
    assert set(seen) == {6, 9}


def moved_to(out: Path) -> Path | None:
    """Train into a folder; the other place that the error of the last save names, None if there is no error."""
    try:
        trained(out)
    except OSError as error:
        found = re.fullmatch(r"step 12 cannot be saved to .*; the whole run is in (.*) instead", str(error))
        return Path(found[1])
    return None


@pytest.mark.parametrize("code", ["ENOSPC", "EACCES", "EIO"])
def test_every_write_fails_in_turn(whole, tmp_path, monkeypatch, code):
    """One failure costs a warning; the last save's costs an error that says where the run is. Nothing is lost."""
    import errno

    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    fault = OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
    total = calls_of_a_run(tmp_path, monkeypatch)
    for at in range(1, total + 1, 5):
        out = tmp_path / f"{at}"
        with monkeypatch.context() as patch, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            counter = Counter(patch, at, fault)
            place = out if (moved := moved_to(out)) is None else moved
        assert counter.calls >= at
        assert (place == out) or at > total - 3 * len(WANTED) - 1
        assert place != out or said or code == "EACCES"  # a refused move is tried again
        assert files_of(place) == files_of(whole)
        if place != out:
            assert len(set(steps_of(out))) == 1
            shutil.rmtree(place)


def test_a_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    """The warning says what is kept, and comes once; without another place the error says so too."""
    out, fault = tmp_path / "run", OSError(28, "No space left on device")
    with monkeypatch.context() as patch:
        Counter(patch, 3 * len(WANTED) + 2, fault, lasting=True)
        with (
            pytest.warns(UserWarning, match=r"step 6 cannot be saved to .* \(No space left on device\), which still holds step 3; the training continues") as said,  # noqa: E501
            pytest.raises(OSError, match=r"step 12 cannot be saved .* no other place could be written either"),
        ):  # fmt: skip
            trained(out)
    assert len(said) == 1
    assert steps_of(out) == (3, 3, 3)
    (tmp_path / "file").write_text("here")
    with pytest.raises(OSError, match=r"[Nn]ot a directory|exists"):
        trained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "here"


def test_one_folder_is_one_training(tmp_path):
    """A second training is refused from the start, before there is a checkpoint; a killed one does not hold it."""
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_faults import study
from flowmap_edu.training import runs
states = runs.train(*study(), {str(tmp_path / "run")!r}, every=1, save_seconds=1000.0)
next(states)
print("training", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "training\n"
        assert not (tmp_path / "run" / "checkpoint.pt").exists()
        for resume in (False, True):
            with pytest.raises(ValueError, match="another training writes into"):
                next(runs.train(*study(), tmp_path / "run", resume=resume))
        with pytest.raises(ValueError, match="another training writes into"):
            save(next(fit(*study())), tmp_path / "run")
        other.kill()
    trained(tmp_path / "run")
    assert steps_of(tmp_path / "run") == (12, 12, 12)


def test_what_is_there_and_not_ours_is_not_overwritten(whole, tmp_path):
    """A map without a checkpoint, a finished run whose checkpoint was deleted, somebody else's config.json."""
    for kept in (("config.json", "map.safetensors"), ("config.json",), ("map.safetensors",), ("checkpoint.pt",)):
        out = tmp_path / "-".join(kept)
        out.mkdir()
        for name in kept:
            shutil.copy(whole / name, out)
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        with pytest.raises(ValueError, match=rf"already holds a run \({', '.join(kept)}\)"):
            trained(out)
        another = dataclasses.replace(study()[3], lr=0.5)
        with pytest.raises(ValueError, match=r"holds another run|no config.json|is missing|neither a run"):
            save(next(fit(*study()[:3], another)), out)
        assert {path.name: path.read_bytes() for path in out.iterdir() if path.name != ".lock"} == before
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"theirs": 1}')
    with pytest.raises(ValueError, match="already holds a run"):
        trained(foreign)
    with pytest.raises(ValueError, match="it has no format"):
        save(next(fit(*study())), foreign)
    assert (foreign / "config.json").read_text() == '{"theirs": 1}'


def test_a_run_may_be_saved_again_where_it_is(tmp_path):
    for state in fit(*study(), every=6):
        save(state, tmp_path / "run")
        assert steps_of(tmp_path / "run") == (state.step,) * 3


def test_a_damaged_map_is_written_again_from_the_checkpoint(whole, tmp_path):
    """Of a finished run too; a run that is whole stays as it is, to the byte."""
    for name in WANTED:
        if name in ("config.json", "checkpoint.pt"):
            continue
        shutil.copytree(whole, out := tmp_path / name)
        flip(out / name)
        if name.startswith("map"):
            with pytest.raises(ValueError, match=r"is not the file that was .* `flowmap-edu train --resume` writes it"):
                load(out, ema=0.9 if name != "map.safetensors" else None)
        trained(out, resume=True)
        assert files_of(out) == files_of(whole)
        (out / name).unlink()
        trained(out, resume=True)
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_every_flipped_bit_is_seen(whole, tmp_path, monkeypatch):
    """In the map and in the two checkpoints, wherever it is."""
    monkeypatch.setattr(reading.time, "sleep", lambda _: None)
    shutil.copytree(whole, out := tmp_path / "run")
    chance = random.Random(0)
    said = r" is not the file that was written with config\.json"
    good = {name: (out / name).read_bytes() for name in ("map.safetensors", "checkpoint.pt", "checkpoint-before.pt")}
    for _ in range(10):
        flip(out / "map.safetensors", chance)
        with pytest.raises(ValueError, match=rf"map\.safetensors{said}"):
            load(out)
        (out / "map.safetensors").write_bytes(good["map.safetensors"])
    for _ in range(10):
        flip(out / "checkpoint.pt", chance)
        with pytest.warns(
            UserWarning, match=rf"checkpoint\.pt{said}.* goes on from the checkpoint before it, of step 9$"
        ):
            assert runs.newest_checkpoint(out) == "checkpoint-before.pt"
        flip(out / "checkpoint-before.pt", chance)
        with pytest.raises(ValueError, match=rf"{said}; checkpoint-before\.pt, .* is missing or damaged as well"):
            next(runs.train(*study(), out, resume=True))
        for name, content in good.items():
            (out / name).write_bytes(content)


@pytest.mark.parametrize("damage", [flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_run_goes_on_from_the_checkpoint_before(whole, tmp_path, monkeypatch, damage):
    """The map and the other files become those of its step first; a save in between does not lose the good one."""
    shutil.copytree(whole, out := tmp_path / "run")
    damage(out / "checkpoint.pt")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "fit", lambda *_, **__: iter([]))
        with pytest.warns(UserWarning, match="checkpoint before it, of step 9$"):
            trained(out, resume=True)
    assert steps_of(out) == (9, 9, 9)
    assert step_before(out) == 9
    flip(out / "checkpoint.pt")
    with pytest.warns(UserWarning, match="checkpoint before it, of step 9$"):
        trained(out, resume=True)
    assert files_of(out) == files_of(whole)
    assert (steps_of(out), step_before(out)) == ((12, 12, 12), 9)


def test_a_damaged_checkpoint_before_disturbs_no_one(whole, tmp_path, recwarn):
    """It is read only where the newest cannot be."""
    shutil.copytree(whole, out := tmp_path / "run")
    flip(out / "checkpoint-before.pt")
    trained(out, resume=True)
    assert not recwarn
    assert files_of(out) == files_of(whole)


def test_what_a_save_could_not_move_is_moved_by_the_next(whole, tmp_path, monkeypatch):
    """Another program holds checkpoint.pt for one save: no checkpoint is lost, and the next save finishes the moves."""
    out, real, refused = tmp_path / "run", files.move, []

    def move(path, place):
        if place.name.startswith("checkpoint") and runs.read_metadata(out).header["steps_done"] == 9 and not refused:
            refused.append(place)
            raise OSError(13, "held by another program")
        real(path, place)

    monkeypatch.setattr(files, "move", move)
    with pytest.warns(UserWarning, match="step 9 cannot be saved"):
        trained(out)
    assert refused == [out / "checkpoint-before.pt"]
    assert files_of(out) == files_of(whole)
    assert step_before(out) == 9


def test_resuming_names_what_changed(tmp_path, monkeypatch):
    """Other data and another teacher are refused; threads and versions, which change the last digits, are named."""
    out = tmp_path / "run"
    next(runs.train(*study(), out, every=3, save_seconds=0.0))
    problem, *rest = study()
    moved = FromTensor(X + 1e-3)
    with pytest.raises(ValueError, match="the data of its problem changed since it began"):
        next(runs.train(moved, *rest, out, resume=True))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    with pytest.warns(UserWarning, match=r"resumed with threads 64 instead of \d+: the last digits can differ"):
        next(runs.train(problem, *rest, out, resume=True))


def test_a_teacher_is_known_by_its_weights(tmp_path, monkeypatch):
    """Its path holds from another folder; another map in its place is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    problem, net, _, settings = study()
    run = (problem, net, METHODS["fm"], dataclasses.replace(settings, steps=3))
    list(runs.train(*run, "~/teacher"))
    taught = (problem, study()[1], METHODS["cd"], settings)
    next(runs.train(*taught, "pupil", teacher="teacher", every=3, save_seconds=0.0))
    assert runs.read_metadata("pupil").header["teacher"] == str(tmp_path / "teacher")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    there = runs.read_metadata(tmp_path / "pupil").header["teacher"]
    shutil.rmtree(tmp_path / "teacher")
    torch.manual_seed(1)
    list(runs.train(problem, MLP(2, hidden=8, layers=1, fourier=4), *run[2:], there))
    with pytest.raises(ValueError, match=r"the teacher in .*teacher changed since it began"):
        next(runs.train(*taught, tmp_path / "pupil", teacher=there, resume=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps_done": -1}, "steps_done must be a whole number"),
        ({"steps_done": "many"}, "steps_done must be a whole number"),
        ({"cpu_seconds": None}, "cpu_seconds must be at least"),
        ({"sigma": 0}, "sigma must be positive"),
        ({"shape": [2, 0]}, "each side of shape"),
        ({"shape": 2}, "shape must be a list"),
        ({"classes": 0.5}, "classes must be a whole number"),
        ({"method": [1]}, "method must be a dict"),
        ({"training": "fast"}, "training must be a dict"),
        ({"network": {"import": 3, "arguments": {}}}, "network must be a name and its arguments"),
        ({"problem": None}, "problem must be a dict"),
        ({"teacher": 7}, "teacher must be a folder or null"),
        ({"files": [1]}, "files must be a dict"),
        ({"before": [1]}, "before must be a dict"),
        ({"before": {"files": [1]}}, "files of before must be a dict"),
    ],
)
def test_a_header_of_wrong_values_is_refused(whole, tmp_path, change, message):
    shutil.copytree(whole, out := tmp_path / "run")
    about = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(about | change))
    with pytest.raises(ValueError, match=message):
        load(out)


def test_a_header_cannot_ask_for_a_huge_network(whole, tmp_path):
    """Ten million layers, a width beyond all memory, brackets without end: refused before anything is made."""
    shutil.copytree(whole, out := tmp_path / "run")
    about = json.loads((out / "config.json").read_text())
    for name, value in (("layers", 10**7), ("hidden", 10**9), ("layers", 40), ("layers", -1), ("fourier", "x")):
        wrong = {**about["network"], "arguments": about["network"]["arguments"] | {name: value}}
        (out / "config.json").write_text(json.dumps(about | {"network": wrong}))
        started = time.process_time()
        with pytest.raises(ValueError, match=r"the network of|another network"):
            load(out)
        assert time.process_time() - started < 2
    (out / "config.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        load(out)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w.half(),
        lambda w: w.long(),
        lambda w: w > 0,
        lambda w: w * torch.nan,
        lambda w: w / 0,
        lambda w: w[:1],
    ],
)
def test_a_map_that_is_no_map_is_refused(whole, tmp_path, spoil):
    """Weights of another type, not finite or of another shape, where no digest tells."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(whole, out := tmp_path / "run")
    about = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(about | {"files": {}}))
    weights = load_file(out / "map.safetensors")
    name = next(name for name, w in weights.items() if w.ndim == 2)
    save_file(weights | {name: spoil(weights[name]).contiguous()}, out / "map.safetensors")
    with pytest.raises(ValueError, match=r"must be torch.float32, got|must be finite|another network"):
        load(out)


def test_a_map_is_loaded_in_double_precision(whole):
    """Where torch's default type is float64, as in lesson 03, the network takes the float32 weights all the same."""
    torch.set_default_dtype(torch.float64)
    try:
        weights = list(load(whole).slope.parameters())
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(w.dtype == torch.float64 for w in weights)
    assert torch.equal(weights[0].float(), next(iter(load(whole).slope.parameters())))


def test_a_run_is_read_while_it_trains(tmp_path):
    """At every save, and between its moves, the map is that of the step that config.json says."""
    read, real = [], files.move

    def slow(path, place):
        real(path, place)
        if (tmp_path / "run" / "config.json").exists():
            read.append(steps_of(tmp_path / "run"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "move", slow)
        trained(tmp_path / "run")
    assert len(read) == 4 * len(WANTED) + 3
    assert all(len(set(steps)) == 1 for steps in read)


def test_killed_at_random_moments(tmp_path):
    """kill -9 from outside: once here, FLOWMAP_EDU_FAULTS times in `make test-faults`; the same map to the bit."""
    words = ["train", "checkerboard", "--steps", "150", "--every", "5", "--save-seconds", "0", "--set", "compile=false"]
    call = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", *words, "--out"]
    started = time.monotonic()
    subprocess.run([*call, tmp_path / "whole"], check=True, capture_output=True)
    length, chance = time.monotonic() - started, random.Random(time.time_ns())
    for k in range(int(os.environ.get("FLOWMAP_EDU_FAULTS", "1"))):
        out = tmp_path / f"{k}"
        with subprocess.Popen([*call, out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(chance.uniform(0.3, 1.0) * length)
            process.kill()
        resumed = [*call[:5], "train", "--resume", "--out", out] if (out / "config.json").exists() else [*call, out]
        subprocess.run(resumed, check=True, capture_output=True)
        assert (out / "map.safetensors").read_bytes() == (tmp_path / "whole" / "map.safetensors").read_bytes()
        shutil.rmtree(out)
