"""On a GPU: the CPU's numbers, the precisions that the options name, a run that goes on, memory that runs out."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from flowmap_edu import METHODS, training
from flowmap_edu._precision import float32_products
from flowmap_edu.bench import gpu, gpu_parts
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import classifier
from flowmap_edu.problems import Checkerboard, Digits, Emoji
from flowmap_edu.recipes import Recipe, recipe
from flowmap_edu.training import State, runs
from flowmap_edu.training.batches import Batches
from flowmap_edu.training.loop import Loss, MemoryShortError, gradient
from flowmap_edu.training.prefetch import Prefetched

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="wants a CUDA device")
SELF_DISTILLED = ("lsd", "esd", "psd-m", "psd-u")


def digits(method: str = "lsd", **changes) -> Recipe:
    return recipe("digits", METHODS[method], **{"steps": 6, "batch": 32, "compile": False, "warmup": 1, **changes})


def of_a_batch(run: Recipe, device: str) -> torch.Tensor:
    """The loss of a fixed batch, and its gradient, as one vector on the CPU."""
    problem, _, method, settings = run
    torch.manual_seed(0)
    state = State(problem, problem.network(), method, settings, device=torch.device(device))
    gpu_parts.with_gains(state.net)
    batch = training.draw_batch(problem, method, settings, torch.Generator().manual_seed(0))
    loss = gradient(state, Loss(state), {0: batch}, torch.tensor(1.0, device=device))
    grads = [p.grad.flatten().cpu() for p in state.net.parameters() if p.grad is not None]
    return torch.cat([torch.tensor([loss]), *grads])


def gap(a: torch.Tensor, b: torch.Tensor) -> float:
    """|a - b| / |b|."""
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("method", SELF_DISTILLED)
def test_loss_and_gradient_are_those_of_the_cpu(method):
    assert gap(of_a_batch(digits(method), "cuda"), of_a_batch(digits(method), "cpu")) < 1e-10


@pytest.mark.parametrize("method", SELF_DISTILLED)
def test_float32_is_float32_and_tf32_is_not(method):
    """Against the CPU: float32 errs by rounding alone, TF32 by some 2^-11 a factor."""
    cpu = of_a_batch(digits(method), "cpu")
    assert gap(of_a_batch(digits(method), "cuda"), cpu) < 2e-5
    assert 1e-5 < gap(of_a_batch(digits(method, tf32=True), "cuda"), cpu) < 2e-2


def test_the_precision_ends_with_its_block():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    a, b = torch.randn(256, 256, device="cuda"), torch.randn(256, 256, device="cuda")
    exact, errors = a.double() @ b.double(), {}
    for tf32 in (False, True):
        with float32_products(a.device, tf32):
            errors[tf32] = gap((a @ b).double(), exact)
    assert errors[False] < 1e-6 < 1e-5 < errors[True]
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_bf16_keeps_derivatives_in_full_precision():
    net = gpu_parts.with_gains(Digits().network().cuda())
    X = FlowMap(net).conditioned(label=torch.zeros(4, dtype=torch.int64, device="cuda"))
    t, x = torch.rand(4, device="cuda"), torch.randn(4, 1, 8, 8, device="cuda")
    with torch.no_grad():
        value, derivative = X.v(t / 2, t, x), X.partial_t(t / 2, t, x)[1]
        with torch.autocast("cuda", torch.bfloat16):
            rounded, same = X.v(t / 2, t, x), X.partial_t(t / 2, t, x)[1]
    assert 1e-4 < gap(rounded, value) < 0.05
    assert gap(same, derivative) < 1e-6


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_step_is_the_eager_one(precision):
    eager = of_a_batch(digits(precision=precision), "cuda")
    assert gap(of_a_batch(digits(precision=precision, compile=True), "cuda"), eager) < (
        1e-4 if precision == "fp32" else 0.05
    )


def test_a_run_stops_and_goes_on_with_another_precision(tmp_path):
    """A checkpoint of the GPU is read on both devices; the map draws what the training's average draws."""
    states = runs.train(*digits(), tmp_path / "run", every=2, save_seconds=0, device="cuda")
    next(states)
    next(states)
    states.close()
    with pytest.warns(UserWarning, match="tf32 True instead of False"):
        *_, state = runs.train(*digits(tf32=True), tmp_path / "run", resume=True, every=2, device="cuda")
    assert state.step == 6
    assert state.changed[0]["tf32"] == [False, True]
    x, label = torch.randn(5, 1, 8, 8), torch.arange(5)
    drawn = state.X.sample(x, 2, label=label)
    assert gap(runs.load(tmp_path / "run").sample(x, 2, label=label), drawn) < 1e-2
    assert gap(runs.load(tmp_path / "run", device="cuda").sample(x, 2, label=label), drawn) < 1e-4


def test_the_checkerboard_trains_on_it():
    *_, state = training.fit(*recipe("checkerboard", "lsd", steps=300, batch=512), every=100, device="cuda")
    assert state.loss < 3
    assert Checkerboard().evaluate(state.X, [1], n=100_000)[0]["kl64"] < 5


def test_the_distance_is_computed_on_the_device():
    """Features of the GPU are the CPU's; so is the distance."""
    X = FlowMap(lambda _s, _t, x, label=None: -x)  # noqa: ARG005
    cpu, cuda = (
        Emoji().evaluate(X, [1], n=300, features=classifier.load(problem="emoji"), device=device)[0]
        for device in ("cpu", "cuda")
    )
    assert cuda["fid"] == pytest.approx(cpu["fid"], rel=1e-3)
    assert cuda["floor"] == pytest.approx(cpu["floor"], rel=1e-3)


def test_memory_that_runs_out_names_what_needs_less():
    with pytest.raises(MemoryShortError, match=r"512 samples at a time do not fit into the memory of cuda.*accumulate"):
        gpu.Step("celeba64", batch=4096, diagonal=0.75, accumulate=8).take()
    torch.cuda.empty_cache()


@pytest.mark.skipif(not torch.distributed.is_nccl_available(), reason="wants NCCL")
def test_one_process_under_torchrun(tmp_path):
    """NCCL, DistributedDataParallel around the whole loss, and the command line."""
    call = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    call += ["-m", "flowmap_edu.cli", "train", "digits", "--steps", "4", "--set", "compile=false", "--device", "cuda"]
    done = subprocess.run([*call, "--out", str(tmp_path / "run")], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert runs.read_metadata(Path(tmp_path / "run")).header["steps_done"] == 4


def test_the_bench_measures():
    """Its errors are ordered: float32, then TF32, then bfloat16; a largest batch that fits."""
    found = {row["precision"]: row for row in gpu_parts.errors("digits", 16)}
    assert found["fp32"]["value"] < found["tf32"]["value"] < found["bf16"]["value"]
    assert found["bf16"]["derivative"] == pytest.approx(found["fp32"]["derivative"], rel=0.5)
    n, a_sample = gpu.largest("digits", 64)
    assert n == 64
    assert a_sample > 0


def test_the_next_batch_is_drawn_ahead_into_pinned_memory():
    """The batches of the CPU, in their order, for each share; after a levels' change as well."""
    run = digits(shares=2)
    plain = Batches(run.problem, run.method, run.training)
    ahead = State(*digits(shares=2), device=torch.device("cuda")).batches
    assert isinstance(ahead, Prefetched)
    for levels in (1, 1, 1, 2, 2):
        wanted = plain.next(levels)
        for k, share in ahead.next(levels).items():
            assert share.diagonal.x.is_pinned()
            assert torch.equal(share.to(torch.device("cuda")).jumps.x.cpu(), wanted[k].jumps.x)
