"""How many CPU threads a training takes, and the bench that says from which size on several gain."""

import json
import os

import pytest
import torch

from flowmap_edu import _threads, problems
from flowmap_edu.bench import crossover, step
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets import MLP
from flowmap_edu.recipes import recipe
from flowmap_edu.training import fit, loop, runs

LARGE = {"hidden": 64, "layers": 4}  # some 13,000 parameters


@pytest.fixture
def set_to(monkeypatch):
    """The numbers that torch was set to; as if torch had begun with four, and no one had chosen."""
    numbers = [4]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_threads, "AT_IMPORT", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: numbers[-1])
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    return numbers


@pytest.fixture
def seen(monkeypatch, set_to):
    """The number that each training step was taken with."""
    numbers, real = [], loop.loss_of_batch
    monkeypatch.setattr(loop, "loss_of_batch", lambda *a: numbers.append(set_to[-1]) or real(*a))
    return numbers


def run(net=LARGE, **changes):
    settings = {"steps": 2, "batch": 48, "stf_batch": 16, "compile": False} | changes
    return recipe("points", "lsd", problem=problems.Gaussian(), net=net, **settings)


def test_a_small_step_takes_one_thread_and_the_callers_number_stays(set_to, seen):
    """Between the yields it is the caller's."""
    for _ in fit(*run(steps=4), every=2):
        assert set_to[-1] == 4
    assert set_to[-1] == 4
    assert seen == [1] * 4


def test_a_large_step_takes_torchs_number(monkeypatch, seen):
    """From LARGE rows times parameters on, whether by the batch or by the network; what accumulates is cut smaller."""
    net = run().net
    monkeypatch.setattr(_threads, "LARGE", 48 * sum(p.numel() for p in net.parameters()))
    for changes, taken in (
        ({}, 4),
        ({"batch": 47}, 1),
        ({"net": LARGE | {"hidden": 63}}, 1),
        ({"batch": 96, "accumulate": 4}, 1),
        ({"batch": 96, "accumulate": 2}, 4),
    ):
        seen.clear()
        list(fit(*run(**changes)))
        assert set(seen) == {taken}, changes


@pytest.mark.parametrize("large", [0.0, 1e18])
def test_the_users_number_wins_at_every_size(monkeypatch, set_to, seen, large):
    """Set by torch.set_num_threads, or by OMP_NUM_THREADS even where it is torch's own number."""
    monkeypatch.setattr(_threads, "LARGE", large)
    set_to.append(3)
    list(fit(*run()))
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    set_to.append(4)
    list(fit(*run()))
    calls = 2 if large == 0 else 1  # of the loss in a step: a large one takes its halves one after the other
    assert seen == [3] * 2 * calls + [4] * 2 * calls


def test_sampling_takes_one_thread_for_a_small_network(monkeypatch, set_to):
    """And torch's number for a large chunk, and for a function; afterwards it is the caller's."""
    seen, net = [], MLP(hidden=8)
    x0 = torch.zeros(64, 2)

    class Seen(torch.nn.Module):
        """The network, which notes the number of threads."""

        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, s, t, x):
            """The network's slope."""
            seen.append(set_to[-1])
            return self.net(s, t, x)

    watched = Seen()
    FlowMap(watched).sample(x0, 1)
    FlowMap(lambda s, t, x: watched(s, t, x)).sample(x0, 1)
    monkeypatch.setattr(_threads, "LARGE", 64 * sum(p.numel() for p in net.parameters()))
    FlowMap(watched).sample(x0, 1)
    FlowMap(watched).sample(x0, 1, chunk=63)
    assert seen == [1, 4, 4, 1, 1]
    assert set_to[-1] == 4


@pytest.mark.usefixtures("set_to")
def test_images_take_torchs_number_whatever_their_size():
    assert _threads.threads_for((1, 8, 8), 1, MLP(hidden=4)) == 4
    assert _threads.threads_for((2,), 1, MLP(hidden=4)) == 1


def test_the_recipes_are_on_either_side():
    """The checkerboard's default is small; ten thousand rows through the paper's network are large."""
    for name, batch, large in (("checkerboard", 384, False), ("checkerboard-paper", 10_000, True)):
        net = recipe(name).net
        assert (batch * sum(p.numel() for p in net.parameters()) >= _threads.LARGE) == large


def test_a_runs_folder_says_the_number_it_was_trained_with(monkeypatch, seen, tmp_path):
    for large in (0.0, 1e18):
        monkeypatch.setattr(_threads, "LARGE", large)
        list(runs.train(*run(), tmp_path / str(large)))
        said = json.loads((tmp_path / str(large) / "config.json").read_text())["made_with"]["threads"]
        assert said == seen[-1] == (4 if large == 0.0 else 1)


# --- the bench -------------------------------------------------------------------------------------


def gains(*walls: float) -> list[crossover.Gain]:
    return [crossover.Gain(64, 128 * 2**k, 10**k, wall, 1.0) for k, wall in enumerate(walls)]


def test_the_crossover_is_the_least_size_from_which_on_all_gain():
    """A size that gains by chance below one that does not, is not it."""
    assert crossover.crossover(gains(0.2, 1.3, 0.9, 1.2, 1.8)) == 10**3
    assert crossover.crossover(gains(1.3, 1.4)) == 1
    assert crossover.crossover(gains(1.3, 1.4, 1.0)) is None


def test_the_table_has_each_gain_in_its_place():
    one = gains(0.5, 1.5)
    lines = crossover.lines([*one, *(g._replace(hidden=256) for g in one)], 2)
    assert lines[0] == "| one thread over 2: wall time (CPU time) | batch 128 | batch 256 |"
    assert lines[2:4] == ["| 5 x 64 | 0.50 (1.00) | 1.50 (1.00) |", "| 5 x 256 | 0.50 (1.00) | 1.50 (1.00) |"]
    assert "rows times parameters of 1.0e+01 and more" in lines[-1]


def test_a_gain_is_the_ratio_of_the_two_times(monkeypatch):
    """With a clock on which one thread takes six seconds and two take four: 1.5; each pair in turn."""
    taken = []

    def spent(*given):
        taken.append(given[-1])
        return {1: (6.0, 6.0), 2: (4.0, 8.0)}[given[-1]]

    monkeypatch.setattr(crossover, "spent", spent)
    found = crossover.gain(16, 48, 2, seconds=0.0)
    parameters = sum(p.numel() for p in recipe("checkerboard", net={"hidden": 16}).net.parameters())
    assert found == (16, 48, 48 * parameters, 1.5, 0.75)
    assert taken == [1, 2] * 4  # once to warm, three pairs


def test_a_number_of_threads_is_the_one_that_the_step_runs_with(monkeypatch):
    """The network really sees one and the other, and the number from before is set again."""
    asked, real = [], step.gradient
    monkeypatch.setattr(step, "gradient", lambda *a: asked.append(torch.get_num_threads()) or real(*a))
    before = torch.get_num_threads()
    crossover.gain(8, 48, 2, seconds=0.0)
    assert asked == [1, 2] * 4
    assert torch.get_num_threads() == before


def test_the_bench_lets_torch_take_its_own_number(monkeypatch):
    """The variable by which a shell holds it down is left out of the process that measures."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    kept = {}

    class Done:
        stdout = '["a row"]\n'

    monkeypatch.setattr(crossover.subprocess, "run", lambda *_, env, **__: kept.update(env) or Done())
    assert crossover.table() == ["a row"]
    assert "OMP_NUM_THREADS" not in kept
    assert kept["PATH"] == os.environ["PATH"]
