"""Going on with a run under another budget or learning rate, and how often a long run is saved."""

import contextlib
import json
import threading

import pytest
import torch

from flowmap_edu import cli, problems
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.training import State, fit, runs
from flowmap_edu.training import state as state_of_a_run
from flowmap_edu.training.batches import Batches
from flowmap_edu.training.prefetch import Prefetched


def small(method="lsd", **changes) -> Recipe:
    """A run on the checkerboard that takes less than a second."""
    settings = {
        "steps": 30,
        "batch": 32,
        "stf_batch": 16,
        "warmup": 5,
        "compile": False,
        "decay": "none",
    } | ({"diagonal": 0.75} if method == "lsd" else {})
    return recipe("checkerboard", method, net={"hidden": 16, "layers": 2, "fourier": 8}, **settings | changes)


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


def test_the_number_of_shares_may_change_and_no_batch_comes_twice(tmp_path):
    """One share, then two, then four, then one: the change is recorded, and no point is drawn again."""
    out, seen, done = tmp_path / "run", [], []
    real = Batches.next

    def kept(self, levels):
        shares = real(self, levels)
        seen.extend(share.diagonal.x for share in shares.values())
        done.append(len(shares))
        return shares

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "next", kept)
        for k, shares in enumerate((1, 2, 4, 1)):
            said = pytest.warns(UserWarning, match=f"shares {shares} instead of") if k else contextlib.nullcontext()
            with said:
                list(runs.train(*small(shares=shares, steps=20 * (k + 1)), out, resume=k > 0, every=10))
    assert done == [1] * 20 + [2] * 20 + [4] * 20 + [1] * 20
    assert len(torch.cat(seen).unique(dim=0)) == 80 * 24
    changed = runs.read_metadata(out).header["changed"]
    assert [(entry["step"], entry["shares"]) for entry in changed] == [(20, [1, 2]), (40, [2, 4]), (60, [4, 1])]


def test_a_checkpoint_without_a_setting_had_its_default(out):
    """A run of an older version, whose documents name no shares and no denoised: the same numbers as with 1 and 0."""
    held, unbroken = runs.read_checkpoint(out), list(fit(*small(steps=45)))[-1]
    document = json.loads(held["run"])
    del document["training"]["shares"], document["training"]["denoised"], held["batches"]["shares"]
    older = held | {"run": json.dumps(document)}
    with pytest.warns(UserWarning, match="goes on with steps 45 instead of 30$"):
        assert same(list(fit(*small(steps=45), resume=older))[-1].net.state_dict(), unbroken.net.state_dict())
    with pytest.raises(ValueError, match=r"training\.denoised: 0\.0 there, 0\.5 asked"):
        next(fit(*small(steps=45, denoised=0.5), resume=older))
    with pytest.warns(UserWarning, match="steps 45 instead of 30, shares 4 instead of 1"):
        assert not same(
            list(fit(*small(steps=45, shares=4), resume=older))[-1].net.state_dict(), unbroken.net.state_dict()
        )


# --- batches that are drawn while the step before is computed --------------------------------------

STUDIES = {
    "one share": ("lsd", {}),
    "two shares": ("lsd", {"shares": 2}),
    "near points": ("lsd", {"stf_near": 0.25}),
    "a last Euler step": ("lsd", {"denoised": 0.5}),
    "stages": ("pd", {"steps": 70, "stf_batch": 0}),
}


def teacher_of(method):
    """A map that distillation reads."""
    return State(*small("fm")).X if method == "pd" else None


def ended(name, **options):
    """The last state of a study; options as `fit`."""
    method, changes = STUDIES[name]
    return list(fit(*small(method, **changes), teacher=teacher_of(method), **options))[-1]


@pytest.mark.parametrize("name", STUDIES)
def test_drawn_ahead_or_not_the_numbers_are_the_same(name, monkeypatch):
    """Whole, and stopped at step 17 and resumed with or without it: each weight and the place of the batches."""
    whole, (method, changes) = ended(name), STUDIES[name]
    with monkeypatch.context() as patch:
        patch.setattr(state_of_a_run, "PREFETCHED", ("cpu",))
        ahead = ended(name)
        assert isinstance(ahead.batches, Prefetched)
        checkpoint = next(fit(*small(method, **changes), teacher=teacher_of(method), every=17)).checkpoint()
        again = ended(name, resume=checkpoint)
    plain = ended(name, resume=checkpoint)
    for state in (ahead, again, plain):
        assert same(state.net.state_dict(), whole.net.state_dict())
        assert same(state.average.module.state_dict(), whole.average.module.state_dict())
        places = state.checkpoint()["batches"], whole.checkpoint()["batches"]
        assert torch.equal(places[0].pop("begun"), places[1].pop("begun"))
        assert places[0] == places[1]


class Watched(problems.Gaussian):
    """Writes down which thread draws; from the fifth draw on it can fail."""

    def __init__(self, fails: bool = False):
        super().__init__()
        self.fails, self.threads = fails, []

    def sample(self, n, generator=None):
        self.threads.append(threading.current_thread().name)
        if self.fails and len(self.threads) > 4:
            raise ValueError("the fifth draw fails")
        return super().sample(n, generator)


def test_a_thread_draws_and_its_errors_come_here(monkeypatch):
    """The first draw is made by the caller, all others by one thread; what fails there stops the training."""
    monkeypatch.setattr(state_of_a_run, "PREFETCHED", ("cpu",))
    run = small(stf_batch=0)._replace(problem=Watched())
    list(fit(*run))
    assert run.problem.threads[0] == threading.current_thread().name
    assert set(run.problem.threads[1:]) == {"batches_0"}
    with pytest.raises(ValueError, match="the fifth draw fails"):
        list(fit(*small(stf_batch=0)._replace(problem=Watched(fails=True))))


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
    run = recipe("checkerboard-fine", "pd", steps=40, batch=16, compile=False)
    for _ in runs.train(*run, tmp_path / "run", teacher="checkerboard-lsd", every=20, save_seconds=0.0):
        break
    longer = run._replace(training=type(run.training)(**vars(run.training) | {"steps": 80}))
    with pytest.raises(ValueError, match="divides its budget into stages: it cannot change"):
        next(runs.train(*longer, tmp_path / "run", teacher="checkerboard-lsd", resume=True))


@pytest.mark.filterwarnings("ignore:.*goes on with")
def test_the_command_line_changes_what_may_change(out, capsys):
    assert (
        cli.main(["train", "--resume", "--out", str(out), "--steps", "36", "--set", "clip=0.5", "--set", "shares=2"])
        == 0
    )
    assert "36 steps" in capsys.readouterr().out
    info = runs.read_metadata(out)
    assert (info.training.steps, info.training.clip, info.training.shares) == (36, 0.5, 2)
    assert set(info.header["changed"][0]) == {"step", "steps", "clip", "shares"}


def test_saving_takes_at_most_two_percent_of_the_time():
    """A save of c seconds is followed by at least 49 c seconds of training; a fast one by the least time."""
    assert runs.next_save(100.0, 100.1, least=15.0) == 115.1
    due = runs.next_save(100.0, 110.0, least=15.0)
    assert 10.0 / (due - 100.0) == pytest.approx(runs.SAVING)
    assert runs.next_save(100.0, 110.0, least=0.0) == 110.0


@pytest.mark.parametrize("kind", [problems.Digits, problems.Emoji])
def test_a_run_older_than_the_split_goes_on_with_the_data_that_it_had(tmp_path, kind):
    """Its config.json has no split: that is the file's order, by name or by itself, and not today's default."""
    net = {"width": 8, "multipliers": (1,), "blocks": 1} | ({"attention": ()} if kind is problems.Emoji else {})
    settings = {"steps": 3, "batch": 4, "compile": False, "warmup": 1}
    old, new = (recipe(kind.name, "lsd", problem=kind(split=split), net=net, **settings) for split in (None, 0))
    *_, whole = fit(*old)
    next(runs.train(*old, tmp_path / "run", every=1, save_seconds=0.0))
    path = tmp_path / "run" / "config.json"
    content = json.loads(path.read_text())
    assert content["problem"]["arguments"].pop("split", "none") is None
    path.write_text(json.dumps(content))
    info = runs.read_metadata(tmp_path / "run")
    assert info.problem().split is None
    assert info.problem().digest() == content["data"]
    with pytest.raises(ValueError, match=r"problem.split: None there, 0 asked"):
        next(runs.train(*new, tmp_path / "run", resume=True))
    *_, resumed = runs.train(info.problem(), *old[1:], tmp_path / "run", resume=True, every=1)
    assert same(weights(tmp_path / "run"), whole.net.state_dict())
    assert resumed.step == 3
    assert runs.read_metadata(tmp_path / "run").header["problem"]["arguments"]["split"] is None
