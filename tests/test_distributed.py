"""Several processes are one: the same gradients, the same losses, and a run that survives the loss of a worker.

Each test starts torchrun with two processes on the loopback (gloo), as a user would.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
import types
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from flowmap_edu import METHODS, _threads, cli, losses, training
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.training import distributed, loop, runs, trajectories
from flowmap_edu.training.batches import Batches, seed_of
from flowmap_edu.training.training import MOST_SHARES

TORCHRUN = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
BATCH = {"steps": 4, "batch": 16, "compile": False, "clip": 1e9, "warmup": 1, "lr": 1e-2, "diagonal": 0.5}
NET = {"hidden": 16, "layers": 2, "fourier": 8}
RUNS = {  # name: recipe, method, what is changed
    "lsd": ("digits", "lsd", {"weighting": True}),
    "esd": ("digits", "esd", {}),
    "psd-m": ("digits", "psd-m", {}),
    "meanflow": ("digits", "meanflow", {}),
    "dropout": ("digits", "lsd", {"net": {"dropout": 0.1}}),
    "averaged target": ("checkerboard", "lsd", {"net": NET, "stf_batch": 32, "stf_near": 0.25}),
    "a last Euler step": ("checkerboard", "lsd", {"net": NET, "stf_batch": 0, "denoised": 0.25}),
    "pairs of a teacher": ("checkerboard", "lsd", {"net": NET, "stf_batch": 0, "coupling": "reflow"}),
    "points of a teacher": ("checkerboard", "cmt", {"net": NET, "stf_batch": 0, "diagonal": 0.0}),
    "distillation": ("checkerboard", "lmd", {"net": NET}),
}
TAUGHT = ("pairs of a teacher", "points of a teacher", "distillation")


def run_of(name: str, **changes) -> Recipe:
    """Sixteen samples a step, all of the pairs inside the triangle, and gradients that clipping leaves as they are."""
    of, method, own = RUNS[name]
    return recipe(of, METHODS[method], **(BATCH | own | changes))


def measured(name: str, **changes) -> dict[str, torch.Tensor]:
    """The gradient of the last step, the losses of all steps and the averaged weights, in float64."""
    kept, trajectories.COUNT = {}, 256

    def keep(optimizer, *_):
        grads = [p.grad.flatten() for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        kept["gradient"] = torch.cat(grads).clone()

    hook = register_optimizer_step_pre_hook(keep)
    torch.set_default_dtype(torch.float64)
    try:
        run = run_of(name, **changes)
        teacher = training.State(*recipe("checkerboard", "fm", steps=1, net=NET)).X if name in TAUGHT else None
        *_, state = training.fit(*run, teacher=teacher, every=1)
    finally:
        torch.set_default_dtype(torch.float32)
        hook.remove()
    weights = torch.cat([p.detach().flatten() for p in state.average.module.parameters()])
    return kept | {"losses": torch.tensor([row[1] for row in state.history]), "weights": weights}


def gap(a: torch.Tensor, b: torch.Tensor) -> float:
    """|a - b| / |b|."""
    return ((a - b).norm() / b.norm()).item()


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> dict[str, dict[str, torch.Tensor]]:
    """`measured` of every run, from two processes."""
    out = tmp_path_factory.mktemp("two") / "measured.pt"
    call = [*TORCHRUN, str(Path(__file__).resolve()), str(out)]
    done = subprocess.run(call, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(out, weights_only=True)


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_take_the_steps_of_one(two, name):
    """Gradient, loss curve and map agree to 1e-10: through jvp inside the wrapped loss, and with masks of dropout."""
    one = measured(name, shares=2)
    assert (one["gradient"] != 0).double().mean() > 0.9  # the first step's is 0 but for the last gain
    for what in ("gradient", "losses", "weights"):
        assert gap(two[name][what], one[what]) < 1e-10, what


def test_shares_and_masks_are_not_those_of_another_run():
    """What the test above compares is not the same by chance: other shares, or no dropout, give other gradients."""
    one, two = (measured("lsd", shares=shares)["losses"] for shares in (1, 2))
    masked, other = (measured("dropout", **changes)["losses"] for changes in ({}, {"shares": 2}))
    assert min(gap(one, two), gap(masked, other), gap(masked, measured("dropout", net={})["losses"])) > 1e-6


def test_a_batch_in_four_parts_gives_the_gradient_of_the_whole():
    """Gradient accumulation changes memory, not the step; without the division by 4 it would be four times as long."""
    for shares in (1, 2):
        one, cut = measured("lsd", shares=shares), measured("lsd", shares=shares, accumulate=4 // shares)
        for name in ("gradient", "losses", "weights"):
            assert gap(cut[name], one[name]) < 1e-10, name


@pytest.mark.parametrize("name", ["lsd", "dropout", "pairs of a teacher"])
def test_a_large_step_takes_its_halves_one_after_the_other_to_the_same_gradient(monkeypatch, name):
    """The diagonal first, then the jumps: each call of the network sees one half, and the step is that of the whole."""
    unequal = {"accumulate": 2, "diagonal": 0.75, "optimizer": "adam"}  # SOAP turns by eigenvectors of few gradients
    whole, original, seen = measured(name, **unequal), loop.loss_of_batch, []

    def watched(state: training.State, batch: losses.Batch, ramp: torch.Tensor) -> torch.Tensor:
        seen.append(batch)
        return original(state, batch, ramp)

    monkeypatch.setattr(_threads, "LARGE", 0)
    monkeypatch.setattr(loop, "loss_of_batch", watched)
    halves = measured(name, **unequal)
    for what in ("gradient", "losses", "weights"):
        assert gap(halves[what], whole[what]) < 1e-10, what
    kinds = [(len(batch.diagonal.t) > 0, len(batch.jumps.s) > 0) for batch in seen]
    assert kinds == [(True, False), (False, True)] * (len(kinds) // 2)


def test_masks_begin_with_a_share_and_gradients_are_averaged_once(monkeypatch):
    """Not with its parts: two parts with the same masks would be a smaller sample of them."""
    state = training.State(*run_of("dropout", shares=2, accumulate=2))
    shares, seeds, averaged = state.batches.next(), [], []
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    monkeypatch.setattr(distributed, "no_sync", lambda _, last: averaged.append(last) or contextlib.nullcontext())
    loop.gradient(state, loop.Loss(state), shares, torch.tensor(1.0), seed=100)
    assert seeds == [100, 101]
    assert averaged == [False, False, False, True]


def test_a_share_is_a_batch_of_its_own_seed():
    """Share 0 of 1 is the run's seed; share k of several its own, with times spread over all cells of their range."""
    problem, _, method, settings = run_of("lsd", batch=64)
    whole = Batches(problem, method, settings)
    alone = torch.Generator().manual_seed(settings.seed)
    for _ in range(2):
        wanted = training.draw_batch(problem, method, settings, alone)
        assert torch.equal(whole.next()[0].diagonal.x, wanted.diagonal.x)
    four = Batches(problem, method, run_of("lsd", batch=64, shares=4).training)
    small = run_of("lsd", batch=16).training
    for draw in range(2):
        shares = four.next()
        assert list(shares) == [0, 1, 2, 3]
        for k, share in shares.items():
            own = torch.Generator().manual_seed(seed_of(settings.seed, k, draw))
            wanted = training.draw_batch(problem, method, small, own)
            assert torch.equal(share.diagonal.x, wanted.diagonal.x)
            assert torch.equal(share.jumps.t, wanted.jumps.t)
            assert (share.diagonal.t * 8).floor().sort().values.tolist() == list(range(8))


def test_no_two_draws_have_one_seed():
    """Nor have the first draws of a hundred runs, in the 32 bits that torch's generator reads."""
    seeds = [seed_of(3, share, draw) for draw in range(1000) for share in range(MOST_SHARES)]
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)
    begun = sorted(seed_of(seed, 0, 0) for seed in range(100))
    assert min(b - a for a, b in pairwise([*begun, begun[0] + 2**32])) > 20_000 * MOST_SHARES


@pytest.mark.parametrize("name", ["lsd", "averaged target"])
def test_a_process_draws_its_own_shares_and_goes_on_with_all(name, monkeypatch):
    """The second of two draws shares 1 and 3; where the first stands is where all four go on."""
    problem, _, method, settings = run_of(name, shares=4)
    every = Batches(problem, method, settings)
    steps = [every.next() for _ in range(5)]
    for rank in (0, 1):
        with monkeypatch.context() as patch:
            patch.setattr(distributed, "rank", lambda rank=rank: rank)
            patch.setattr(distributed, "world", lambda: 2)
            half = Batches(problem, method, settings)
            found = [half.next() for _ in range(3)]
        for one, step in zip(found, steps, strict=False):
            assert list(one) == [rank, rank + 2]
            assert all(torch.equal(one[k].diagonal.target, step[k].diagonal.target) for k in one)
        alone = Batches(problem, method, settings)
        alone.load_state_dict(half.state_dict())
        for step in steps[3:]:
            assert all(torch.equal(a.jumps.x, step[k].jumps.x) for k, a in alone.next().items())


def test_the_parts_of_a_batch_are_the_batch():
    """Every sample is in one part, with its own times, label and target; each part is spread over all times."""
    problem, _, method, settings = run_of("lsd")
    batch = training.draw_batch(problem, method, settings, torch.Generator().manual_seed(0))
    cut = [batch.share(k, 4) for k in range(4)]
    for part in ("diagonal", "jumps"):
        for name, whole in getattr(batch, part)._asdict().items():
            parts = [getattr(getattr(share, part), name) for share in cut]
            assert torch.equal(torch.stack(parts, 1).flatten(0, 1), whole), name


def workers(launcher: int) -> dict[int, int]:
    """Process ids of the workers that torchrun started, by their rank."""
    found = {}
    for pid in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split():
        words = dict(word.split("=", 1) for word in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in word)
        if "RANK" in words:
            found[int(words["RANK"])] = int(pid)
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the worker to kill through /proc")
def test_a_killed_worker_ends_the_run_and_resume_goes_on(tmp_path):
    """torchrun names the worker that died, the folder keeps its checkpoint, and the resumed map is the unbroken one."""
    settings = ["batch=16", "diagonal=0.5", "compile=false", "warmup=1", "lr=1e-3", "shares=2"]
    words = ["train", "digits", "--steps", "40", "--every", "2", "--save-seconds", "0"]
    words += [word for setting in settings for word in ("--set", setting)]
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    call = [*TORCHRUN, "-m", "flowmap_edu.cli"]
    with subprocess.Popen([*call, *words, "--out", broken], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 120
        while not (broken / "checkpoint.pt").exists():
            assert run.poll() is None, run.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        victim = workers(run.pid)[1]
        os.kill(victim, signal.SIGKILL)
        error = run.communicate(timeout=120)[1]
    assert run.returncode != 0
    assert f"exitcode  : -9 (pid: {victim})" in error
    assert "rank      : 1" in error
    assert 0 < runs.read_metadata(broken).header["steps_done"] < 40
    resumed = [*call, "train", "--resume", "--every", "2", "--out", str(broken)]
    done = subprocess.run(resumed, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert cli.main([*words, "--out", str(whole)]) == 0
    x, labels = torch.randn(10, 1, 8, 8), torch.arange(10)
    a, b = (runs.load(folder).sample(x, 1, label=labels) for folder in (broken, whole))
    assert gap(a, b) < 1e-3


def test_devices_and_shares_that_are_not_there(tmp_path, monkeypatch, capsys):
    """A GPU that is absent and a batch that cannot be shared are refused before anything is written."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = ["train", "digits", "--steps", "1", "--out", str(tmp_path / "run")]
    assert cli.main([*words, "--device", "cuda"]) == 2
    assert "device 'cuda' was asked for as GPU 0, and torch sees 0 here; use --device cpu" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or 'cuda:<number>', got 'tpu'"):
        distributed.device_of("tpu")
    run, cannot = run_of("lsd", shares=3), "a batch of 16, 8 on the diagonal and 8 off it, cannot be cut into 3 equal"
    with pytest.raises(ValueError, match=rf"{cannot} parts: shares=3 times accumulate=1"):
        next(training.fit(*run))
    monkeypatch.setattr(distributed, "world", lambda: 3)
    for shares in (1, 4):
        with pytest.raises(ValueError, match=rf"3 processes cannot .* got shares={shares}: --set shares=3 draws one"):
            next(training.train(*run_of("lsd", shares=shares), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_the_others_wait_an_hour_for_the_first(monkeypatch):
    """torchrun's processes: PyTorch ends those that wait longer, and its own ten minutes are less than a long save."""
    given = {}
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **options: given.update(options))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    with distributed.process_group(torch.device("cpu")):
        assert given["timeout"].total_seconds() == 3600


def said_by(call, f) -> str:
    """What `call(f)` raises."""
    try:
        call(f)
    except ValueError as error:
        return str(error)
    return ""


def refused(words: list[str]) -> str:
    """What a command says that is refused."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert cli.main(words) == 2
    return said.getvalue().rpartition("\r")[2]  # after the progress bar


def agreement() -> dict[str, torch.Tensor]:
    """What both processes find where each alone would find another thing: a value, two errors, a budget in minutes.

    And what a command says without `shares`.
    """
    rank, real = distributed.rank(), time.process_time

    def fails() -> int:
        raise OSError(f"process {rank} cannot")

    loop.time = types.SimpleNamespace(process_time=lambda: real() * (1 + 9 * rank))  # a clock ten times as fast
    run = recipe("digits", "lsd", minutes=0.03, batch=16, diagonal=0.5, compile=False, warmup=1, shares=2)
    *_, state = training.fit(*run, every=1000)
    loop.time = time
    found = (
        distributed.once(lambda: 7 + rank),
        said_by(distributed.once, fails if rank == 0 else lambda: 1),
        said_by(distributed.together, fails if rank == 1 else lambda: 1),
        state.steps,
        refused(["train", "digits", "--steps", "1", "--out", "never"]),
    )
    both = [None, None]
    torch.distributed.all_gather_object(both, found)
    no = "2 processes cannot take the shares of a batch in equal turns, got shares=1: --set shares=2 draws one for each"
    expected = (7, "process 0 cannot", "process 1 cannot", state.steps, f"flowmap-edu: {no}, a multiple of 2 several\n")
    return {"agree": torch.tensor([one == expected for one in both])}


def test_what_depends_on_a_process_is_decided_once(two):
    """Clock, file system and errors: both go on with the first's, or both stop."""
    assert two["agreement"]["agree"].tolist() == [True, True]


if __name__ == "__main__":  # one of two processes
    with distributed.process_group(torch.device("cpu")):
        assert distributed.world() == 2
        found = {name: measured(name, shares=2) for name in RUNS} | {"agreement": agreement()}
        if distributed.rank() == 0:
            torch.save(found, sys.argv[1])
        torch.distributed.barrier()  # no process leaves while another one still talks to it
    sys.stdout.flush()
    os._exit(0)  # the work is done and saved; gloo's threads sometimes abort a process while Python closes
