"""Going on with a run under another budget or learning rate, and how often a long run is saved."""

import json

import pytest
import torch

from flowmap_edu import cli
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.training import fit, runs


def small(**changes) -> Recipe:
    """A run on the checkerboard that takes less than a second."""
    settings = {
        "steps": 30,
        "batch": 32,
        "stf_batch": 16,
        "warmup": 5,
        "compile": False,
        "decay": "none",
        "diagonal": 0.75,
    }
    return recipe("checkerboard", "lsd", net={"hidden": 16, "layers": 2, "fourier": 8}, **settings | changes)


def weights(out) -> dict[str, torch.Tensor]:
    """The network's weights in a run's checkpoint, not averaged."""
    return runs.read_checkpoint(out)["net"]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether they agree to the bit."""
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def out(tmp_path):
    """A finished run of 30 steps at a constant learning rate."""
    for _ in runs.train(*small(), tmp_path / "run", every=10):
        pass
    return tmp_path / "run"


def test_a_longer_budget_gives_the_run_that_had_it_from_the_start(out):
    """At a constant rate 30 steps, then 15 more, are 45 steps to the bit; the change is warned of and recorded."""
    with pytest.warns(UserWarning, match="goes on with steps 45 instead of 30"):
        states = list(runs.train(*small(steps=45), out, resume=True, every=15))
    assert [state.step for state in states] == [45]
    unbroken = list(fit(*small(steps=45)))[-1]
    assert same(weights(out), unbroken.net.state_dict())
    assert json.loads((out / "config.json").read_text())["changed"] == [{"step": 30, "steps": [30, 45]}]


def test_under_the_cosine_the_rate_goes_on_from_where_the_new_budget_has_it(tmp_path):
    """At step 30 of 60 the cosine's factor is 1/2 (half of the steps after the warm-up), whatever it was before."""
    run, longer = small(decay="cosine", warmup=2), small(decay="cosine", warmup=2, steps=58)
    for _ in runs.train(*run, tmp_path / "run", every=10):
        pass
    with pytest.warns(UserWarning, match="goes on with steps 58"):
        state = next(runs.train(*longer, tmp_path / "run", resume=True, every=28))
    assert state.step == 56
    halfway = [row for row in state.history if row[0] == 30]
    assert halfway
    assert longer.training.learning_rate(30, 58) == pytest.approx(0.5)
    expected = run.training.lr * longer.training.learning_rate(56, 58)
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_another_learning_rate_is_used_from_that_step_on(out):
    """With a rate of 1e-30 the weights stay where they were; with the old one they move."""
    before = weights(out)
    with pytest.warns(UserWarning, match="steps 40 instead of 30, lr 1e-30 instead of 0.003"):
        for _ in runs.train(*small(steps=40, lr=1e-30), out, resume=True, every=10):
            pass
    assert same(before, weights(out))
    with pytest.warns(UserWarning, match="steps 50 instead of 40, lr 0.003 instead of 1e-30"):
        for _ in runs.train(*small(steps=50), out, resume=True, every=10):
            pass
    assert not same(before, weights(out))
    changed = runs.read_metadata(out).header["changed"]
    assert [(entry["step"], entry["lr"]) for entry in changed] == [(30, [0.003, 1e-30]), (40, [1e-30, 0.003])]


def test_smaller_parts_of_a_batch_give_the_same_steps(out):
    """Accumulate changes the order of a sum alone: the weights agree to float32's rounding of 10 steps."""
    with pytest.warns(UserWarning, match="accumulate 2 instead of 1"):
        for _ in runs.train(*small(steps=40, accumulate=2), out, resume=True, every=10):
            pass
    unbroken = list(fit(*small(steps=40)))[-1]
    for name, value in unbroken.net.state_dict().items():
        torch.testing.assert_close(weights(out)[name], value, rtol=1e-3, atol=1e-4)


def test_minutes_become_steps_by_the_mean_time_of_a_step(out):
    """steps = done * 60 minutes / CPU seconds so far."""
    spent = runs.read_checkpoint(out)["cpu_seconds"]
    minutes = 1.5 * spent / 60
    with pytest.warns(UserWarning, match="steps None instead of 30"):
        state = next(runs.train(*small(steps=None, minutes=minutes), out, resume=True, every=1))
    assert state.steps == int(30 * 60 * minutes / spent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 20}, "has taken 30 steps in .* CPU minutes: a new budget must not end before, got steps=20"),
        ({"batch": 64}, r"holds another run \(training.batch: 32 there, 64 asked\)"),
        ({"seed": 1}, "training.seed: 0 there, 1 asked"),
        ({"optimizer": "adam"}, "training.optimizer: 'soap' there"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*goes on with")
def test_what_would_be_another_run_is_refused(out, changes, message):
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ValueError, match=message):
        next(runs.train(*small(**changes), out, resume=True))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.filterwarnings("ignore:.*goes on with")
def test_stages_are_parts_of_a_budget(tmp_path):
    """Progressive distillation renews its teacher at fixed steps: its budget cannot change on the way."""
    run = recipe("checkerboard", "pd", steps=40, batch=16, compile=False)
    for _ in runs.train(*run, tmp_path / "run", teacher="checkerboard-lsd", every=20, save_seconds=0.0):
        break
    longer = run._replace(training=type(run.training)(**vars(run.training) | {"steps": 80}))
    with pytest.raises(ValueError, match="divides its budget into stages: it cannot change"):
        next(runs.train(*longer, tmp_path / "run", teacher="checkerboard-lsd", resume=True))


@pytest.mark.filterwarnings("ignore:.*goes on with")
def test_the_command_line_changes_what_may_change(out, capsys):
    assert cli.main(["train", "--resume", "--out", str(out), "--steps", "36", "--set", "clip=0.5"]) == 0
    assert "36 steps" in capsys.readouterr().out
    info = runs.read_metadata(out)
    assert (info.training.steps, info.training.clip) == (36, 0.5)
    assert set(info.header["changed"][0]) == {"step", "steps", "clip"}


def test_saving_takes_at_most_two_percent_of_the_time():
    """A save of c seconds is followed by at least 49 c seconds of training; a fast one by the least time."""
    assert runs.next_save(100.0, 100.1, least=15.0) == 115.1
    due = runs.next_save(100.0, 110.0, least=15.0)
    assert 10.0 / (due - 100.0) == pytest.approx(runs.SAVING)
    assert runs.next_save(100.0, 110.0, least=0.0) == 110.0
