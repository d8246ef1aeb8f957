"""The features of real images that are kept on disk: the same numbers, never those of other images or networks."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics.inception import Inception
from flowmap_edu.problems import images as image_problems
from flowmap_edu.problems.features import key
from flowmap_edu.problems.images import ImageProblem

PARTS, SIZE = 5, 16  # 72 training images in parts of 16


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """The folder of the features; nothing stays in memory from one data set to the next."""
    monkeypatch.setenv("FLOWMAP_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(image_problems, "CHUNK", SIZE)
    image_problems.loaded.cache_clear()
    return tmp_path / "cache" / "features"


class Small(nn.Module):
    """In place of torch-fidelity's network: bytes to six numbers an image; it counts what it has seen."""

    def __init__(self, seed: int = 0):
        super().__init__()
        self.directions = nn.Parameter(torch.randn(192, 6, generator=torch.Generator().manual_seed(seed)))
        self.seen: list[int] = []

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """The features, in a tuple as torch-fidelity gives them."""
        self.seen.append(len(pixels))
        return (pixels.float().flatten(1) / 1000 @ self.directions,)


class Other(Small):
    """The same weights, another function."""

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """The square of each feature."""
        return (super().forward(pixels)[0].square(),)


def network(small: Small) -> Inception:
    """An Inception network around a small one."""
    net = Inception(small)
    net.num_features = 6
    return net.eval()


class Noise(ImageProblem):
    """Seventy-two images of noise to train on and twenty held out, all other for another `change`."""

    name, size = "noise", (3, 8, 8)

    def __init__(self, change: int = 0, held_out: int = 0):
        super().__init__()
        self.change, self.held_out = change, held_out

    def options(self) -> tuple[tuple[str, int], ...]:
        """The arguments."""
        return (("change", self.change), ("held_out", self.held_out))

    def read(self, _, train: bool):
        """The images of a part; a change is one pixel."""
        n = 72 if train else 20
        pixels = torch.randint(
            255, (n, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(int(train))
        )
        pixels[-1, -1, -1, -1] += self.change if train else self.held_out
        return pixels, None


class Dim(Noise):
    """The same bytes, which mean other numbers."""

    levels = 254


def rows(problem: Noise, small: Small, **options):
    """The rows of a map that is the identity."""
    X = FlowMap(lambda s, t, x: torch.zeros_like(x))  # noqa: ARG005
    return problem.evaluate(X, [1, 2], n=18, **{"features": network(small), **options})


def computed_anew(problem: Noise, small: Small, cache: Path) -> list[dict]:
    """The rows without anything kept before or after."""
    aside = cache.with_name("aside")
    if cache.exists():
        cache.rename(aside)
    found = rows(problem, small)
    shutil.rmtree(cache)
    if aside.exists():
        aside.rename(cache)
    return found


def test_the_numbers_are_the_same_to_the_bit_with_what_was_kept(cache):
    small = Small()
    first = rows(Noise(), small)
    assert small.seen == [16, 16, 16, 16, 8] + 3 * [16, 2]
    again = rows(Noise(), small)
    assert small.seen[11:] == 2 * [16, 2]  # what was drawn, alone
    assert again == first
    assert sorted(path.name[:-17] for path in cache.iterdir()) == ["noise-held-out", "noise-train"]
    assert sum(1 for _ in cache.rglob("*.safetensors")) == PARTS + 2


@pytest.mark.parametrize(
    ("other", "small", "options", "computed"),
    [
        (Noise(change=1), Small(), {}, 72),
        (Noise(held_out=1), Small(), {}, 18),
        (Noise(), Small(seed=1), {}, 72 + 18),
        (Noise(), Other(), {}, 72 + 18),
        (Noise(), Small(), {"seed": 1}, 18),
        (Dim(), Small(), {}, 72 + 18),
    ],
)
def test_what_was_kept_is_not_used_for_anything_else(other, small, options, computed, cache):
    """One pixel changed, other weights, another network with these weights, other held-out images or levels."""
    rows(Noise(), Small())
    found = rows(other, small, **options)
    assert sum(small.seen) == computed + 2 * 18
    cache.rename(cache.with_name("former"))
    assert rows(other, small, **options) == found


def test_features_of_another_device_or_torch_have_a_key_of_their_own(monkeypatch):
    net, data, parts = network(Small()), Noise().data(), [torch.arange(72)]
    keys = {key(net, data, parts, torch.device(name)) for name in ("cpu", "cuda")}
    monkeypatch.setattr(torch, "__version__", "99.1.0")
    keys |= {key(net, data, parts, torch.device("cpu")), key(net, data, parts[0].split(16), torch.device("cpu"))}
    assert len(keys) == 4
    monkeypatch.setattr(torch, "__version__", "99.2.0")
    assert key(net, data, parts, torch.device("cpu")) in keys


def cut(parts: list[Path]) -> None:
    parts[1].write_bytes(parts[1].read_bytes()[:-1])


def turn_a_bit(parts: list[Path]) -> None:
    content = bytearray(parts[1].read_bytes())
    content[-1] ^= 1
    parts[1].write_bytes(content)


def put_another_part(parts: list[Path]) -> None:
    shutil.copy(parts[2], parts[1])


def put_part_of_another_network(parts: list[Path]) -> None:
    before = set(parts[1].parent.parent.iterdir())
    rows(Noise(), Small(seed=1))
    (folder,) = {path for path in parts[1].parent.parent.iterdir() if "train" in path.name} - before
    shutil.copy(folder / parts[1].name, parts[1])


@pytest.mark.parametrize(
    "harm",
    [
        cut,
        turn_a_bit,
        put_another_part,
        put_part_of_another_network,
        lambda parts: parts[1].write_bytes(b""),
        lambda parts: parts[1].write_text("no tensors"),
        lambda parts: parts[1].unlink(),
    ],
)
def test_a_part_that_is_damaged_or_from_elsewhere_is_computed_again(harm: Callable[[list[Path]], None], cache):
    """The numbers stay the same, that part alone is computed, and it is whole again."""
    small = Small()
    first = rows(Noise(), small)
    parts = sorted(cache.glob("noise-train-*/*.safetensors"))
    harm(parts)
    small.seen.clear()
    assert rows(Noise(), small) == first
    assert small.seen == [16, *2 * [16, 2]]
    assert rows(Noise(), small) == first
    assert small.seen == [16, *4 * [16, 2]]


def test_a_kill_loses_the_part_that_was_computed(cache, monkeypatch):
    """Killed in the third part, while it is written: two are there, and a file that nobody reads."""
    small, write, count = Small(), os.fsync, []

    def killed(file: int) -> None:
        count.append(file)
        if len(count) == 3:
            raise KeyboardInterrupt
        write(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            rows(Noise(), small)
    names = sorted(path.name for path in cache.glob("noise-train-*/*"))
    assert names == ["00000.safetensors", "00001.safetensors", f"00002.safetensors.{os.getpid()}.part"]
    small.seen.clear()
    found = rows(Noise(), small)
    assert small.seen == [16, 16, 8] + 3 * [16, 2]
    assert found == computed_anew(Noise(), Small(), cache)


def test_a_full_disk_costs_a_warning(cache, monkeypatch):
    """One for each of the two sets of images; the numbers are those with a disk, and no file is left."""
    wanted = rows(Noise(), Small())
    shutil.rmtree(cache)

    def full(_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(
        UserWarning, match=r"No space left .* computed again the next time; let FLOWMAP_EDU_CACHE"
    ) as said:
        assert rows(Noise(), Small()) == wanted
    assert len(said) == 2
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_the_features_of_a_network_of_your_own_are_not_kept(cache):
    """It may hold numbers that are not among its weights."""

    class Mine(Inception):
        """A network that is not FID's."""

    mine = Mine(Small())
    mine.num_features = 6
    assert rows(Noise(), Small(), features=mine) == computed_anew(Noise(), Small(), cache)
    assert not cache.exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="wants a CUDA device")
def test_features_of_a_gpu_are_kept_apart_from_the_cpu_s():
    """Both sets of files give their own numbers again, to the bit; the two agree within rounding."""
    small = Small()
    found = {device: rows(Noise(), small, device=device) for device in ("cpu", "cuda")}
    assert sum(small.seen) == 2 * (72 + 18 + 2 * 18)
    for device, first in found.items():
        small.seen.clear()
        assert rows(Noise(), small, device=device) == first
        assert sum(small.seen) == 2 * 18
    for one, other in zip(*found.values(), strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device must be one that torch sees here, such as 'cpu'; got 'tpu': "),
        ({"device": "cuda:99"}, "device must be one that torch sees here, such as 'cpu'; got 'cuda:99': "),
        ({"device": None}, "device must be one that torch sees here, such as 'cpu'; got None: "),
        ({"spread": 2}, "spread must be a function such as training.distributed.divided, got 2"),
        ({"weights": "gone.pth"}, "weights would be ignored: features is given; leave one of them out"),
        ({"features": None, "weights": "gone.pth"}, "gone.pth is missing, damaged or not made of tensors alone"),
    ],
)
def test_what_evaluate_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        rows(Noise(), Small(), **options)


def test_a_cache_in_nobody_s_home_is_refused(monkeypatch):
    monkeypatch.setenv("FLOWMAP_EDU_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(ValueError, match="FLOWMAP_EDU_CACHE must name a folder that can be written, got '~nobody-of"):
        rows(Noise(), Small())
