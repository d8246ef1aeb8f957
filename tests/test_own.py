"""A researcher's own problem and network, in a file outside the package: trained, killed, resumed, loaded, judged."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from flowmap_edu import METHODS, FlowMap, FromTensor, Training, cli, fit, load, sample
from flowmap_edu.interpolant import Trigonometric
from flowmap_edu.training import read_metadata, save, train

LAB = '''
import torch
from sklearn.datasets import make_moons
from torch import nn
from flowmap_edu import FromTensor, Problem


def problem():
    """Two moons."""
    x, _ = make_moons(600, noise=0.05, random_state=0)
    return FromTensor((x - x.mean(0)) / x.std(0), seed=1)


class Ring(Problem):
    """Points of a circle."""

    shape = (2,)

    def __init__(self, sigma=0.7):
        self.sigma = sigma

    def sample(self, n, generator=None):
        angle = 2 * torch.pi * torch.rand(n, generator=generator)
        return torch.stack([angle.cos(), angle.sin()], 1), None


class Net(nn.Module):
    """A plain network that records nothing."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, s, t, x):
        return self.body(torch.cat([x, s[:, None], t[:, None]], 1))


def net(width=16):
    """The network of this study."""
    return Net(width)
'''
SHORT = ["--set", "batch=24", "--set", "stf_batch=0", "--set", "compile=false", "--set", "warmup=5"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """A folder with the researcher's file in it."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "my_lab.py").write_text(LAB)
    return folder


def command(lab: Path, *words: object) -> subprocess.CompletedProcess:
    """One flowmap-edu command in a process of its own, in the researcher's folder."""
    call = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", "--threads", "1", *map(str, words)]
    return subprocess.run(call, cwd=lab, capture_output=True, text=True, check=False)


def test_own_problem_and_network_on_the_command_line(lab, monkeypatch):
    """Killed and resumed it is the unbroken run to the bit; it is evaluated, drawn and sampled by its folder alone."""
    words = ["train", "my_lab:problem", "--net", "my_lab:net", "--set", "net.width=12", *SHORT, "--steps", "400"]
    monkeypatch.chdir(lab)
    monkeypatch.syspath_prepend(str(lab))
    assert cli.main([*words, "--out", "whole"]) == 0  # here, one thread as well; the rest in processes of its own
    monkeypatch.delitem(sys.modules, "my_lab")
    call = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", "--threads", "1", *words]
    call += ["--every", "10", "--save-seconds", "0", "--out", "broken"]
    with subprocess.Popen(call, cwd=lab, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        while not (lab / "broken" / "checkpoint.pt").exists():
            time.sleep(0.02)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert 0 < json.loads((lab / "broken" / "config.json").read_text())["steps_done"] < 400
    assert command(lab, "train", "--resume", "--out", "broken").returncode == 0
    maps = [(lab / run / "map.safetensors").read_bytes() for run in ("broken", "whole")]
    assert maps[0] == maps[1]
    done = command(lab, "evaluate", "whole", "--steps", 1, 4, "--samples", 60, "--figure", "moons.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "whole: lsd on FromTensor"
    assert done.stdout.splitlines()[1].split()[:2] == ["steps", "wasserstein"]
    assert "classifier" in done.stdout  # in the line below the table, if it is the same for both numbers of steps
    assert (lab / "moons.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["sample", "whole", "--samples", "7", "--out", "x.csv"]) == 0
    assert np.loadtxt(lab / "x.csv", delimiter=",").shape == (7, 2)


def test_a_module_that_is_gone_is_named(lab, monkeypatch, capsys):
    """The map still loads where its network is given; the error names the module, and what to do."""
    monkeypatch.chdir(lab)
    monkeypatch.syspath_prepend(str(lab))
    import my_lab

    words = ["train", "my_lab:Ring", "--net", "my_lab:net", "--set", "problem.sigma=0.9", *SHORT, "--steps", "5"]
    assert cli.main([*words, "--out", "ring"]) == 0
    info = read_metadata("ring")
    assert (info.sigma, info.problem().sigma) == (0.9, 0.9)
    monkeypatch.delitem(sys.modules, "my_lab")
    (lab / "my_lab.py").rename(lab / "moved.py")
    try:
        with pytest.raises(ValueError, match=r"the network of ring: .*needs the module 'my_lab', which cannot be"):
            load("ring")
        capsys.readouterr()
        assert cli.main(["evaluate", "ring"]) == 2
        assert "needs the module 'my_lab'" in capsys.readouterr().err
        X = load("ring", net=my_lab.Net(16))
    finally:
        (lab / "moved.py").rename(lab / "my_lab.py")
    assert torch.isfinite(X.sample(torch.randn(5, 2), 2)).all()


def test_own_objects_in_python(lab, tmp_path, monkeypatch):
    """fit, train, save and load with objects; a composed method and an unrecorded network come back."""
    monkeypatch.syspath_prepend(str(lab))
    import my_lab

    mine = dataclasses.replace(METHODS["lsd"], title="mine", stopgrad="none", weight="jump")
    settings = Training(steps=20, batch=24, warmup=5)
    torch.manual_seed(0)
    problem, net = my_lab.problem(), my_lab.Net(8)
    *_, state = train(problem, net, mine, settings, tmp_path / "run", every=10)
    x0 = problem.base(20, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"my_lab:Net cannot be made again .*recorded.*as net="):
        load(tmp_path / "run")
    X = load(tmp_path / "run", net=my_lab.Net(8))
    assert torch.equal(X.sample(x0, 2), state.X.sample(x0, 2))
    info = read_metadata(tmp_path / "run")
    assert (info.method, info.training) == (mine, settings)
    again = info.problem()
    assert torch.equal(again.train, problem.train)
    assert torch.equal(again.held_out, problem.held_out)
    save(state, tmp_path / "copy")
    assert torch.equal(load(tmp_path / "copy", net=my_lab.Net(8)).sample(x0, 1), X.sample(x0, 1))


def test_arrays_on_disk(tmp_path, capsys, monkeypatch):
    """Trained, evaluated and sampled like a built-in problem, with labels and without; from another folder as well."""
    g = torch.Generator().manual_seed(0)
    np.save(tmp_path / "x.npy", torch.randn(60, 3, generator=g).numpy())
    np.save(tmp_path / "y.npy", (np.arange(60) % 2))
    monkeypatch.chdir(tmp_path)
    words = ["--steps", "6", *SHORT, "--set", "net.hidden=8", "--set", "net.layers=1"]
    assert cli.main(["train", "x.npy", *words, "--out", "plain"]) == 0
    assert cli.main(["train", "x.npy", "--labels", "y.npy", "--set", "label_dropout=0.2", *words, "--out", "told"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for run in ("../plain", "../told"):
        assert cli.main(["evaluate", run, "--steps", "1", "--samples", "40"]) == 0
        assert cli.main(["sample", run, "--samples", "6", "--out", f"{Path(run).name}.npy"]) == 0
        assert np.load(f"{Path(run).name}.npy").shape == (6, 3)
    capsys.readouterr()
    assert cli.main(["sample", "../told", "--samples", "6", "--label", "1", "--guidance", "2", "--out", "one.npy"]) == 0
    X, x0 = load("../told"), torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    info = read_metadata("../told")
    wanted = sample.guided(X, 2.0).sample(info.sigma * x0, 1, label=torch.ones(6).long())
    torch.testing.assert_close(torch.from_numpy(np.load("one.npy")), wanted)
    for more, message in (
        (["../plain", "--label", "1"], "--label is for maps with classes"),
        (["../plain", "--guidance", "2"], "--guidance needs a map that was trained with labels hidden"),
        (["../told", "--label", "2"], "--label must be one of 0, 1; got 2"),
    ):
        assert cli.main(["sample", *more, "--out", "never.npy"]) == 2
        assert message in capsys.readouterr().err


def test_the_interpolant_is_a_setting_of_the_run(tmp_path, capsys):
    """It trains by name, comes back with the map, and is refused where the method walks along straight lines."""
    words = ["train", "gaussian", "--steps", "5", *SHORT, "--set", "interpolant=Trigonometric"]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == 0
    assert load(tmp_path / "run").interpolant == Trigonometric()
    assert read_metadata(tmp_path / "run").training.interpolant == Trigonometric()
    assert cli.main([*words, "--method", "ct-discrete", "--out", str(tmp_path / "other")]) == 2
    assert "interpolant must be Linear()" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["checkerboard", "--method", "fm", "--set", "at_zero=0.3"], "at_zero would be ignored"),
        (["checkerboard", "--set", "channels_last=true"], "channels_last would be ignored"),
        (["checkerboard", "--set", "label_dropout=0.1"], "label_dropout would be ignored"),
        (["checkerboard", "--set", "problem.sigma=1"], "it takes no arguments"),
        (["digits", "--set", "net.hidden=3"], "does not take these arguments"),
        (["digits", "--set", "stf_batch=64"], "stf_batch is for points"),
        (["checkerboard", "--set", "decay_from=3"], "decay_from belongs to decay='sqrt'"),
        (["checkerboard", "--root", "there"], "it takes no arguments"),
        (["checkerboard", "--net", "flowmap_edu.nets:UNet", "--set", "net.size=8"], "UNet does not take s and t"),
        (["my.missing:problem"], "needs the module 'my.missing'"),
    ],
)
def test_nothing_is_ignored_in_silence(words, message, tmp_path, capsys):
    """A setting that would do nothing is refused by its name, before a folder is made."""
    assert cli.main(["train", *words, "--steps", "2", "--set", "compile=false", "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_map_of_flow_matching_is_loaded_with_its_own_sampler(tmp_path):
    """fm by Euler's steps, a consistency model by restarts: X.sample draws what the state's map draws."""
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    for name, kind in (("fm", "euler"), ("ct", "restarts"), ("lsd", "jumps")):
        problem = FromTensor(x, held_out=0.0)
        *_, state = train(problem, problem.network(), METHODS[name], Training(steps=3, batch=16), tmp_path / name)
        X = load(tmp_path / name)
        assert X.sampler.name == kind
        assert torch.equal(X.sample(x, 4), state.X.sample(x, 4))
        assert torch.equal(X.sample(x, 4), FlowMap(X.slope).sample(x, 4)) == (kind == "jumps")


def test_a_dataset_without_a_record_must_be_given_again(tmp_path):
    """The run of a FromDataset says why its problem cannot be made from the folder; its map loads all the same."""
    from torch.utils.data import TensorDataset

    from flowmap_edu import FromDataset

    problem = FromDataset(TensorDataset(torch.randn(40, 2, generator=torch.Generator().manual_seed(0))))
    *_, state = fit(problem, problem.network(), METHODS["lsd"], Training(steps=2, batch=16))
    save(state, tmp_path / "run")
    assert load(tmp_path / "run").sampler.name == "jumps"
    with pytest.raises(ValueError, match=r"the problem of .* is a TensorDataset.*give it yourself, as problem="):
        read_metadata(tmp_path / "run").problem()
    assert os.path.getsize(tmp_path / "run" / "config.json") < 5000
