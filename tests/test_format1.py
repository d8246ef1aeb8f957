"""Runs of version 0.1, format 1: they load and say the same as before."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from flowmap_edu import METHODS, problems
from flowmap_edu.nets import UNet
from flowmap_edu.training import format1, runs

FIXTURE = Path(__file__).parent / "fixtures" / "format1-run"
DIGITS = FIXTURE.with_name("format1-digits")
PARAMETERS = {"digits": 0.1075e6, "emoji": 0.678e6, "cifar10": 54.67e6, "celeba64": 124.26e6, "afhq64": 124.26e6}


def test_a_run_of_format_1_loads_and_is_not_trained_further(tmp_path):
    """Its objects and its map are there; its batches cannot be drawn again, which is said, and nothing is written."""
    shutil.copytree(FIXTURE, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    info = runs.read_metadata(tmp_path / "run")
    assert (info.header["steps_done"], info.training.stf_batch, info.training.second_ema) == (17, 8, 0.9)
    four = (info.problem(), info.network(), info.method, info.training)
    with pytest.raises(ValueError, match="written by an earlier version of flowmap_edu"):
        next(runs.train(*four, tmp_path / "run", resume=True))
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.name in before} == before
    weights = load_file(FIXTURE / "map.safetensors")
    for name, weight in runs.load(tmp_path / "run").slope.state_dict().items():
        assert torch.equal(weight, weights[name])


def test_a_run_of_format_1_on_digits_says_what_it_is():
    """Problem, network, method and training as the file has them; its digits are the first of scikit-learn's file."""
    config = json.loads((DIGITS / "config.json").read_text())["config"]
    info = runs.read_metadata(DIGITS)
    problem, net, training = info.problem(), info.network(), info.training
    assert info.method.title == METHODS[config["method"]].title
    assert info.method.stopgrad == (config["stopgrad"] or METHODS[config["method"]].stopgrad)
    assert (problem.shape, problem.sigma, problem.classes) == (info.shape, info.sigma, info.classes)
    assert isinstance(net, UNet)
    assert (training.stratified, training.batch) == (config["even"], config["batch"])
    images, target = load_digits(return_X_y=True)
    assert torch.equal(problem.data().pixels.flatten(1).double(), torch.from_numpy(images[:1400]))
    assert torch.equal(problem.data().labels, torch.from_numpy(target[:1400]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_image_problem_of_format_1_is_found_again(name):
    """The class, its base and classes, and a network of the published size, without any data."""
    config = {**json.loads((FIXTURE / "config.json").read_text())["config"], "problem": name, "root": "/nowhere"}
    config |= {"bank": 0, "unlabelled": 0.25, "sigma": 0.4}
    header = format1.translated({"steps_done": 1, "steps": 2, "cpu_seconds": 3.0, "config": config})
    kind = {"digits": problems.Digits, "emoji": problems.Emoji, "cifar10": problems.Cifar10,
            "celeba64": problems.CelebA64, "afhq64": problems.AFHQ64}[name]  # fmt: skip
    assert header["problem"]["import"] == f"flowmap_edu.problems:{kind.__name__}"
    problem = kind(**header["problem"]["arguments"])
    assert (problem.sigma, problem.root, problem.classes) == (0.4, "/nowhere", header["classes"])
    assert problem.classes == (10 if name in ("digits", "emoji") else 0)
    assert header["training"]["label_dropout"] == (0.25 if problem.classes else 0.0)
    with torch.device("meta"):
        net = UNet(**header["network"]["arguments"])
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(PARAMETERS[name], rel=0.001)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, r"another version .*unknown settings \['colour'\]"),
        ({"problem": "spiral"}, "another version"),
        ({"method": "gan"}, "another version"),
        ({"lr": -1.0}, "lr must be positive"),
    ],
)
def test_what_is_no_run_of_format_1_is_refused(tmp_path, change, message):
    """An unknown setting, problem or method, and a value out of its range."""
    shutil.copytree(FIXTURE, tmp_path / "run")
    content = json.loads((FIXTURE / "config.json").read_text())
    content["config"] |= change
    (tmp_path / "run" / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        runs.load(tmp_path / "run")
