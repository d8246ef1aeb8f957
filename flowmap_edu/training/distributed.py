"""Several processes as one run, on one machine or many: torchrun starts them, each takes its shares of every batch.

    torchrun --nproc-per-node 8 -m flowmap_edu.cli train cifar10 --out runs/cifar10 --set shares=8

A batch is drawn in `Training.shares` equal shares, each from a seed of its own (`batches.seed_of`). Of W processes, the
process r takes the shares r, r + W, ... one after the other, and draws no other. So any number of processes that
divides `shares` takes the same steps, up to rounding: one process can test what many do. The masks of dropout belong to
a share, too, and not to a process.

PyTorch's DistributedDataParallel averages the gradients. It listens to the module that it wraps, and a forward-mode
derivative cannot pass through it: so what is wrapped is the whole loss (`loop.Loss`), which calls the bare network
inside.

Only the first process writes the files of a run and its grids. Meanwhile the others take their shares of the next step,
and wait for the first where the gradients are averaged. They wait at most WAIT; after that PyTorch ends the run.
"""

import contextlib
import datetime
import gc
import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

WAIT = datetime.timedelta(hours=1)  # NCCL's own is 10 minutes, which a large save or a Fréchet distance may take
T = TypeVar("T")


def rank() -> int:
    """This process's number, 0 for the one that writes files and prints."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def device_of(name: str) -> torch.device:
    """The device of that name: "cpu", "cuda" (under torchrun the process's own GPU) or "cuda:1".

    Raises:
        ValueError: if there is no such device here.
    """
    kind, colon, number = name.partition(":")
    if kind == "mps":
        raise ValueError(
            f"device {name!r} is refused: forward-mode derivatives are untested on it, and it has no float64, which "
            "times and exact maps are computed in; use --device cpu"
        )
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not number.isdecimal())):
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:<number>', got {name!r}")
    if kind == "cpu":
        return torch.device("cpu")
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    wanted = int(number or os.environ.get("LOCAL_RANK", 0))
    if wanted >= here:
        raise ValueError(f"device {name!r} was asked for as GPU {wanted}, and torch sees {here} here; use --device cpu")
    return torch.device("cuda", wanted)


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Set up the process group if torchrun started this process, and destroy it at the end.

    A process that waits longer than WAIT for the others ends with an error.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or dist.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=WAIT)
    try:
        yield
    finally:
        gc.collect()  # what still holds the group keeps its threads, and a process that ends with them is aborted
        dist.destroy_process_group()


def once(f: Callable[[], T]) -> T:
    """What f() returns in the first process, in all of them: for what depends on a clock, a file system or chance.

    Raises:
        ValueError: in all of them, with what the first process's f raised, if it raised ValueError or OSError.
    """
    if world() == 1:
        return f()
    answer: list[Any] = [None, None]
    if rank() == 0:
        try:
            answer[0] = f()
        except (ValueError, OSError) as error:
            answer[1] = str(error)
    dist.broadcast_object_list(answer, src=0)
    if answer[1] is not None:
        raise ValueError(answer[1])
    return answer[0]


def together(f: Callable[[], T]) -> T:
    """What f() returns in each process; if it fails in one of them, all of them fail.

    Raises:
        ValueError: in all of them, with the message of the first that raised ValueError or OSError.
    """
    if world() == 1:
        return f()
    value, said = None, None
    try:
        value = f()
    except (ValueError, OSError) as error:
        said = str(error)
    every: list[Any] = [None] * world()
    dist.all_gather_object(every, said)
    if failed := [message for message in every if message is not None]:
        raise ValueError(failed[0])
    return cast(T, value)


def divided(jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What the jobs return, in their order: process k of n does every n-th one, and the first process gets all.

    The others get nothing. All of them must call it with the same jobs, and use up what it yields. Nobody waits longer
    than the others' one job takes.

    Raises:
        ValueError: in all of them, if a job raises ValueError or OSError.
    """
    left, number, n = iter(jobs), rank(), world()
    while some := [*itertools.islice(left, n)]:
        mine = together(some[number] if number < len(some) else lambda: None)
        every: list[Any] | None = [mine] * n if number == 0 else None
        if n > 1:
            dist.gather_object(mine, every, dst=0)
        yield from (every or [])[: len(some)]


def mean(x: Tensor) -> Tensor:
    """The mean of x over the processes."""
    if world() > 1:
        dist.all_reduce(x)
        x /= world()
    return x


def data_parallel(module: nn.Module) -> nn.Module:
    """The module with its gradients averaged over the processes; the module itself if there is one process."""
    if world() == 1:
        return module
    with warnings.catch_warnings():  # the new name of this argument is not in every torch that we take
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        return DistributedDataParallel(module, broadcast_buffers=False)


def no_sync(module: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
    """A context that skips gradient synchronisation, except on the last micro-batch of a step."""
    skip = isinstance(module, DistributedDataParallel) and not last
    return module.no_sync() if skip else contextlib.nullcontext()  # type: ignore[union-attr]
