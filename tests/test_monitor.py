"""The road of a long run, at its smallest size: precision, averages, what is drawn and logged, and what is refused."""

import csv
import dataclasses
import json
import math

import matplotlib.pyplot as plt
import pytest
import torch

from flowmap_edu import cli, training
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems import Cifar10, Digits, Emoji, Gaussian, readers
from flowmap_edu.recipes import RECIPES, Recipe, recipe
from flowmap_edu.training import loop, runs
from flowmap_edu.viz import monitor as watch
from flowmap_edu.viz import plots

TINY = [f"net.{name}" for name in ("width=8", "multipliers=[1,2]", "blocks=1", "attention=[16]")]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def digits(method: str = "lsd", **changes) -> Recipe:
    return recipe("digits", method, **{"steps": 6, "batch": 8, "compile": False, "warmup": 1, **changes})


def settings(*words: str) -> list[str]:
    """Each word behind a --set."""
    return [part for word in words for part in ("--set", word)]


def trained(**changes) -> training.State:
    *_, state = training.fit(*digits(**changes))
    return state


# --- precision -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lsd", "esd", "psd-m", "psd-u"])
def test_bf16_keeps_derivatives_in_full_precision(method):
    """Values lose half of their digits (error of some 2^-9), derivatives none: a jvp is bitwise that of float32."""
    state = trained(method=method)
    X = FlowMap(state.net).conditioned(label=torch.arange(8) % 10)
    batch = training.draw_batch(state.problem, state.method, state.training, seeded())
    x, t = torch.cat([batch.diagonal.x, batch.jumps.x]), torch.rand(8, generator=seeded(1))
    exact = X.v(t / 2, t, x), X.partial_t(t / 2, t, x)[1]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = X.v(t / 2, t, x), X.partial_t(t / 2, t, x)[1]
    assert rounded[0].dtype == torch.float32
    error = ((rounded[0] - exact[0]).norm() / exact[0].norm()).item()
    assert 1e-4 < error < 0.03
    assert torch.equal(rounded[1], exact[1])
    full = loop.loss_of_batch(state, batch, torch.tensor(1.0)).item()
    state.training = dataclasses.replace(state.training, precision="bf16")
    half = loop.Loss(state)(batch, torch.tensor(1.0)).item()
    assert half == pytest.approx(full, rel=0.03)
    assert half != full


def test_bf16_trains_and_keeps_float32_weights():
    state = trained(precision="bf16")
    assert math.isfinite(state.loss)
    assert {p.dtype for p in state.net.parameters()} == {torch.float32}
    gap = torch.cat(
        [(a - b).flatten() for a, b in zip(state.net.parameters(), trained().net.parameters(), strict=True)]
    )
    assert 0 < gap.abs().max() < 0.2


def test_channels_last_is_a_layout_and_not_another_function():
    a, b = trained(), trained(channels_last=True)
    for p, q in zip(a.net.parameters(), b.net.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-3)


# --- averages, hidden classes, memory --------------------------------------------------------------


def test_the_second_average_is_a_run_s_own_and_comes_back(tmp_path):
    """Two decays in one run are the averages of two runs; both are saved, resumed and loaded by their decay."""
    both = {"ema": 0.999, "second_ema": 0.5, "warmup": 1}
    for _ in runs.train(*digits(**both), tmp_path / "two"):
        pass
    one, other = trained(ema=0.999), trained(ema=0.5)
    x, labels = torch.randn(3, 1, 8, 8), torch.arange(3)
    for ema, state in ((None, one), (0.999, one), (0.5, other)):
        X = runs.load(tmp_path / "two", ema=ema)
        assert torch.equal(X.v(0.1, 0.7, x, label=labels), state.X.v(0.1, 0.7, x, label=labels)), ema
    with pytest.raises(ValueError, match=r"ema must be one of 0\.999, 0\.5; got 0\.9"):
        runs.load(tmp_path / "two", ema=0.9)
    half = next(training.fit(*digits(**both), every=2)).checkpoint()
    *_, resumed = training.fit(*digits(**both), resume=half)
    for p, q in zip(resumed.second.module.parameters(), other.average.module.parameters(), strict=True):
        assert torch.equal(p, q)


def test_hidden_classes_are_a_share_of_the_batch():
    """-1 in a share of the labels, within 4 standard errors; the others are the data's own, as without hiding."""
    plain, hidden = (training.draw_data(Digits(), 4000, share, seeded())[1] for share in (0.0, 0.25))
    share = (hidden == -1).double().mean().item()
    assert abs(share - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)
    assert torch.equal(hidden[hidden >= 0], plain[hidden >= 0])
    assert math.isfinite(trained(label_dropout=0.5).loss)


def test_a_step_that_does_not_fit_names_the_knobs(monkeypatch, capsys, tmp_path):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(loop, "loss_of_batch", full)
    words = ["train", "digits", "--steps", "2", "--set", "compile=false", "--set", "accumulate=2"]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == 4
    error = capsys.readouterr().err
    assert "64 samples at a time do not fit into the memory of cpu" in error
    for knob in ("accumulate (now 2)", "Tried to allocate 2.00"):
        assert knob in error


# --- what is drawn and logged ----------------------------------------------------------------------


def test_grids_and_logs_show_the_run(tmp_path):
    """The picture at each step is the averaged map's, from one noise; TensorBoard holds the history's numbers."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    states = runs.train(*digits(), out, every=2)
    distances = iter((3.0, 2.0))
    watching = {"grid_every": 4, "fid_every": 4, "fid": lambda _: next(distances), "tensorboard": True}
    for state in watch.watched(states, out, **watching):
        last = state
    assert sorted(path.name for path in (out / "samples").iterdir()) == ["step-00000004.png", "step-00000006.png"]
    plots.images_figure(last.X, Digits().base(16, seeded()), torch.arange(16) % 10, tmp_path / "again.png")
    assert (plt.imread(tmp_path / "again.png") == plt.imread(out / "samples" / "step-00000006.png")).all()
    assert (out / "fid.csv").read_text() == "4,3.0\n6,2.0\n"
    log = EventAccumulator(str(out / "tensorboard"), size_guidance={"images": 0}).Reload()
    rows = list(csv.DictReader((out / "history.csv").read_text().splitlines()))
    for tag, column in (("loss", "loss"), ("gradient norm", "grad_norm")):
        logged = {event.step: event.value for event in log.Scalars(tag)}
        assert logged == {int(row["step"]): pytest.approx(float(row[column])) for row in rows}
    assert [event.step for event in log.Images("samples")] == [4, 6]
    assert [event.value for event in log.Scalars("fid/1 step")] == [3.0, 2.0]


def test_what_cannot_be_watched_is_refused(tmp_path):
    net = {"hidden": 8, "layers": 1}
    run = recipe("points", problem=Gaussian(), net=net, steps=2, batch=9, stf_batch=8, compile=False)
    with pytest.raises(ValueError, match=r"sample grids are for images, this run's samples have shape \(2,\)"):
        list(watch.watched(training.fit(*run), tmp_path, grid_every=1))
    with pytest.raises(ValueError, match="grid_every must be a whole number of at least 1, got 0"):
        list(watch.watched(training.fit(*run), tmp_path, grid_every=0))


# --- CIFAR-10's road -------------------------------------------------------------------------------


def test_the_road_runs_on_files_in_cifar10_s_own_format(tmp_path, monkeypatch):
    """Train without classes, stop, resume, evaluate: from a root with the six files that the archive holds."""
    monkeypatch.setattr(readers, "CIFAR10_BATCH", 20)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    emoji = Emoji().data()
    for k, name in enumerate([*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]):
        part = slice(20 * k, 20 * k + 20)
        records = torch.cat([emoji.labels[part, None].to(torch.uint8), emoji.pixels[part].flatten(1)], 1)
        (folder / name).write_bytes(records.numpy().tobytes())
    words = ["train", "cifar10", "--root", str(tmp_path), "--steps", "4"]
    words += settings("batch=8", "compile=false", *TINY)
    for k in ("--every", "--grid-every"):
        words += [k, "2"]
    assert cli.main([*words, "--out", str(tmp_path / "run"), "--save-seconds", "0"]) == 0
    net = {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [16]}
    problem = Cifar10(labels=False, root=str(tmp_path))
    run = recipe("cifar10", problem=problem, net=net, steps=4, batch=8, compile=False)
    info = runs.read_metadata(tmp_path / "run")
    assert (info.training, info.classes, info.problem().root) == (run.training, 0, str(tmp_path))
    t = info.training
    assert (t.weighting, t.decay, t.ema, t.second_ema) == (True, "sqrt", 0.9999, 0.999)
    *_, state = training.fit(*run)
    x = torch.randn(2, 3, 32, 32)
    X = runs.load(tmp_path / "run")
    assert isinstance(X, FlowMap)
    assert torch.equal(X.v(0.2, 0.9, x), state.X.v(0.2, 0.9, x))
    assert (tmp_path / "run" / "samples" / "step-00000004.png").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cifar10", "--root", "/nowhere"], "cifar10 is not here: there is no folder /nowhere/cifar-10-batches-bin"),
        (["digits", "--set", "batch"], "--set expects NAME=VALUE, got 'batch'"),
        (["digits", "--set", "colour=1"], "the name in --set must be one of"),
        (["digits", "--set", "batch=many"], "--set batch must be a whole number, got 'many'"),
        (["digits", "--set", "batch=8.5"], "--set batch must be a whole number, got '8.5'"),
        (["digits", "--minutes", "1", "--grid-every", "0"], "--grid-every must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_words(words, message, tmp_path, capsys):
    assert cli.main(["train", *words, "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.json").exists()


def test_the_paper_s_recipes_are_what_its_configurations_state():
    """Batch, steps and the settings that the three sets share."""
    for name, batch, steps in (("cifar10", 512, 400_000), ("celeba64", 512, 400_000), ("afhq64", 256, 800_000)):
        t, problem = RECIPES[name].training, RECIPES[name].problem()
        assert (problem.name, problem.sigma, problem.classes) == (name, 0.5, 0)
        assert (t.batch, t.steps, t.optimizer, t.lr, t.clip) == (batch, steps, "radam", 1e-2, 1.0)
        assert (t.diagonal, t.at_zero, t.at_one, t.stratified) == (0.75, 0.0, 0.0, False)
        for k, wanted in ((35_000, 1e-2), (140_000, 5e-3)):
            assert t.lr * t.learning_rate(k - 1, steps) == pytest.approx(wanted)


def test_evaluate_prints_the_emoji_s_distance_and_who_ran_what(tmp_path, capsys):
    """The distance is the problem's own, for the average asked for; the paper's table says that none of it is ours."""
    out = tmp_path / "run"
    words = ["--steps", "2", *settings("batch=8", "compile=false", "second_ema=0.5", *TINY)]
    assert cli.main(["train", "emoji", *words, "--fid-every", "2", "--fid-images", "12", "--out", str(out)]) == 0
    assert cli.main(["evaluate", str(out), "--steps", "2", "--images", "12", "--ema", "0.5", "--seed", "3"]) == 0
    problem = Emoji()
    row = problem.evaluate(runs.load(out, ema=0.5), [2], seed=3, n=12)[0]
    assert f"{row['fid']:.4g}" in capsys.readouterr().out
    report = json.loads((out / "evaluation.json").read_text())
    assert report["rows"][0]["fid"] == pytest.approx(row["fid"])
    first = problem.evaluate(runs.load(out), [1], n=12)[0]
    step, distance = (out / "fid.csv").read_text().split(",")
    assert (int(step), float(distance)) == (2, pytest.approx(first["fid"]))
    assert cli.main(["table", "images"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if " paper " in line] == ["lsd", "psd-m", "psd-u"] * 3
    assert sum("ours" in line and "not run by us" in line for line in lines) == 9


def test_a_resumed_run_draws_at_the_same_steps(tmp_path):
    """Grids at the multiples of grid_every and at the end, wherever the run was stopped."""
    half = next(training.fit(*digits(), every=3)).checkpoint()
    for _ in watch.watched(training.fit(*digits(), resume=half, every=1), tmp_path, grid_every=4):
        pass
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["step-00000004.png", "step-00000006.png"]


def test_a_resumed_run_has_no_row_twice(tmp_path):
    """What was logged after the last checkpoint is computed again, and stands there once; a cut line is dropped."""
    half = next(training.fit(*digits(), every=3)).checkpoint()
    (tmp_path / "fid.csv").write_text("2,9.0\n4,8.0\n5,7.0\n6")
    states = training.fit(*digits(), resume=half, every=1)
    for _ in watch.watched(states, tmp_path, fid_every=2, fid=lambda _: 1.0):
        pass
    assert (tmp_path / "fid.csv").read_text() == "2,9.0\n4,1.0\n6,1.0\n"
