"""The data sets: each is written here in its own format, and read by the code that reads the real one."""

import errno
import functools
import hashlib
import http.server
import importlib.util
import json
import lzma
import math
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowmap_edu import cli, training
from flowmap_edu.problems import AFHQ64, CelebA64, Cifar10, Digits, Emoji, Images, prepared, readers
from flowmap_edu.problems.images import ImageProblem, loaded
from flowmap_edu.recipes import recipe
from flowmap_edu.training import saving

DATA = Path(__file__).resolve().parents[1] / "data"
EACH = 2  # images in a small batch of CIFAR-10


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of prepared images, empty; and batches of CIFAR-10 of two images each."""
    monkeypatch.setenv("FLOWMAP_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(readers, "CIFAR10_BATCH", EACH)
    return tmp_path / "cache" / "prepared"


def load(kind: type[ImageProblem], root: Path | None = None, train: bool = True) -> Images:
    """A part of a data set, read from its files and not from what an earlier test has read."""
    loaded.cache_clear()
    return kind(root=root).data(train)


def colour(n: int, c: int, i: int, j: int) -> int:
    """A pixel value that tells picture, plane, row and column apart."""
    return (17 * n + 80 * c + 5 * i + 2 * j) % 256


def record(n: int, label: int) -> bytes:
    """A record of CIFAR-10's format, byte by byte as its page describes it."""
    content = [label]
    for plane in range(3):  # red, green, blue
        for row in range(32):
            for column in range(32):
                content.append(colour(n, plane, row, column))
    return bytes(content)


def write_cifar10(root: Path, each: int = EACH) -> Path:
    """Six batches: pictures 0, 1, ... with labels 9, 8, ... and on round; the last are the test batch's."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for k, name in enumerate([*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]):
        numbers = range(k * each, (k + 1) * each)
        (folder / name).write_bytes(b"".join(record(n, 9 - n % 10) for n in numbers))
    return folder


def save(pixels: torch.Tensor, path: Path) -> None:
    """A uint8 (C, H, W) tensor as a picture; its name says which kind."""
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path, quality=100, compress_level=1)


def write_celeba(root: Path, count: int, listing: str | None = None) -> Path:
    """Smooth pictures of 178 x 218, each another, numbered from 1."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    row, column = torch.arange(218.0)[:, None], torch.arange(178.0)[None]
    for n in range(count):
        ramps = torch.stack([row + 0 * column, 0 * row + column, 0 * row + 0 * column + 20 * n])
        save(ramps.to(torch.uint8), folder / "img_align_celeba" / f"{n + 1:06}.jpg")
    if listing is not None:
        lines = [f"{n + 1:06}.jpg {part}\n" for n, part in enumerate(listing)]
        (folder / "list_eval_partition.txt").write_text("".join(lines))
    return folder


def write_afhq(root: Path, each: int = 2) -> dict[str, torch.Tensor]:
    """Pictures of 512 x 512, `each` a class to train and one a class in test; their pixels by path."""
    written = {}
    for part, count in (("train", each), ("test", 1)):
        for name in ("cat", "dog", "wild"):
            (root / "afhq_v2" / part / name).mkdir(parents=True)
            for n in range(count):
                coarse = torch.randint(256, (3, 64, 64), dtype=torch.uint8).repeat_interleave(8, 1)
                pixels = coarse.repeat_interleave(8, 2)
                pixels[:, 3::8, 5::8] //= 2  # so that the mean of a block is not one of its pixels
                path = root / "afhq_v2" / part / name / f"{n}.png"
                save(pixels, path)
                written[f"{part}/{name}/{n}"] = pixels
    return written


def windows(pixels: np.ndarray) -> np.ndarray:
    """(3, H, W) -> (3, 64, 64) by the sum over each window, in whole numbers: the mean, rounded to the even."""
    small = np.empty((3, 64, 64), dtype=np.uint8)
    height, width = pixels.shape[1:]
    for i in range(64):
        for j in range(64):
            rows = slice(i * height // 64, -(-(i + 1) * height // 64))
            columns = slice(j * width // 64, -(-(j + 1) * width // 64))
            block = pixels[:, rows, columns].astype(int).reshape(3, -1)
            small[:, i, j] = [round(total / block.shape[1]) for total in block.sum(1).tolist()]
    return small


def test_digits_are_scikit_learns():
    """In the order of the file the two parts are its 1,797 pictures, 1,400 and 397; 0 and 16 are -1 and +1."""
    from sklearn.datasets import load_digits

    train, held_out = (Digits(split=None).data(part) for part in (True, False))
    assert (len(train), len(held_out), train.shape, train.classes) == (1400, 397, (1, 8, 8), 10)
    images, target = load_digits(return_X_y=True)
    values = torch.cat([train.values(), held_out.values()]).flatten(1)
    assert torch.equal(values, torch.from_numpy(images / 8 - 1).float())
    assert torch.equal(torch.cat([train.labels, held_out.labels]), torch.from_numpy(target))
    assert (values.min().item(), values.max().item()) == (-1.0, 1.0)


@pytest.mark.parametrize(("kind", "n", "held"), [(Digits, 1400, 397), (Emoji, 1691, 187)])
def test_a_seed_parts_a_collection_at_random(kind, n, held):
    """Each image with its label once in one of the parts; the seed is the order, 0 the default, none the file's."""

    def rows(split, train: bool) -> list[bytes]:
        data = kind(split=split).data(train)
        return [bytes(x) for x in torch.cat([data.pixels.flatten(1), data.labels[:, None].byte()], 1).numpy()]

    parts = {split: (rows(split, True), rows(split, False)) for split in (None, 0, 1)}
    assert all((len(train), len(aside)) == (n, held) for train, aside in parts.values())
    whole = sorted(parts[None][0] + parts[None][1])
    assert sorted(parts[0][0] + parts[0][1]) == sorted(parts[1][0] + parts[1][1]) == whole
    assert parts[0] == (rows(0, True), rows(0, False))
    assert torch.equal(kind().data().pixels, kind(split=0).data().pixels)
    assert len({kind(split=split).digest() for split in (None, 0, 1)}) == 3
    share, file = held / (n + held), set(parts[None][1])
    for train, aside in ((parts[0], parts[1]), (parts[0], parts[None])):
        common = len(set(train[1]) & set(aside[1]))  # hypergeometric: of held, each with the chance `share`
        assert abs(common - held * share) < 5 * (held * share * (1 - share) ** 2) ** 0.5
    assert len(file) == held
    with pytest.raises(ValueError, match="seed"):
        kind(split=-1)


def test_cifar10_planes_rows_and_labels(tmp_path):
    """Every byte comes back where its page puts it: label; red, green, blue; row by row; batch after batch."""
    write_cifar10(tmp_path)
    train, held_out = load(Cifar10, tmp_path), load(Cifar10, tmp_path, train=False)
    assert (len(train), len(held_out), train.shape, train.classes) == (10, 2, (3, 32, 32), 10)
    grid = torch.meshgrid(torch.arange(12), torch.arange(3), torch.arange(32), torch.arange(32), indexing="ij")
    n, c, i, j = grid
    pixels = (17 * n + 80 * c + 5 * i + 2 * j) % 256
    assert torch.equal(torch.cat([train.pixels, held_out.pixels]).long(), pixels)
    assert torch.cat([train.labels, held_out.labels]).tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 9, 8]
    assert (train.flips, held_out.flips) == (True, False)


@pytest.mark.parametrize("levels", [255, 16])
def test_values_are_affine_with_exact_ends(levels):
    """0 is -1, `levels` is +1, the steps between are equal, and a slice or an index picks what it says."""
    pixels = torch.arange(levels + 1, dtype=torch.uint8)[:, None, None, None]
    images = Images("ramp", pixels, None, 0, levels)
    values = images.values().flatten()
    assert values.dtype == torch.float32
    assert (values[0].item(), values[-1].item()) == (-1.0, 1.0)
    assert torch.allclose(values.double(), torch.linspace(-1, 1, levels + 1, dtype=torch.float64), atol=1e-7)
    assert torch.equal(images.values(slice(3, 5)), images.values(torch.tensor([3, 4])))


def test_draw_mirrors_half_of_the_pictures():
    """Each draw is a picture of the set or its exact mirror image, half of them, with its own label."""
    pixels = torch.randint(256, (5, 3, 4, 6), dtype=torch.uint8)
    images = Images("five", pixels, torch.tensor([4, 2, 0, 3, 1]), 5, flips=True)
    n = 4000
    x1, labels = images.draw(n, torch.Generator().manual_seed(1))
    source = images.values(torch.argsort(images.labels)[labels])  # the picture that has this label
    same, mirrored = ((x1 == y).flatten(1).all(1) for y in (source, source.flip(-1)))
    assert bool((same ^ mirrored).all())
    assert mirrored.sum().item() == pytest.approx(n / 2, abs=4 * math.sqrt(n / 4))
    assert torch.bincount(labels).double().numpy() == pytest.approx(n / 5, abs=4 * math.sqrt(n * 0.2 * 0.8))
    plain, labels = Images("five", pixels, images.labels, 5).draw(100)
    assert torch.equal(plain, images.values(torch.argsort(images.labels)[labels]))


def test_draw_is_repeatable():
    """One seed, one draw; another seed, another."""
    images = Images("five", torch.randint(256, (5, 3, 4, 6), dtype=torch.uint8), None, 0, flips=True)
    (first, none), (again, _), (other, _) = (images.draw(20, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert none is None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("size", [(140, 140), (512, 512), (64, 64), (100, 70)])
def test_area_is_the_mean_over_each_window(size):
    """Against sums in whole numbers, window by window."""
    pixels = torch.randint(256, (3, *size), dtype=torch.uint8)
    assert np.array_equal(readers.area(pixels).numpy(), windows(pixels.numpy()))


def test_celeba_is_the_middle_averaged(tmp_path):
    """Rows 39 to 178 and columns 19 to 158 of each picture, averaged to 64 x 64."""
    folder = write_celeba(tmp_path, 3, "021")
    train, held_out = load(CelebA64, tmp_path), load(CelebA64, tmp_path, train=False)
    assert (len(train), len(held_out), train.shape, train.classes) == (2, 1, (3, 64, 64), 0)
    assert (train.labels, train.flips, held_out.flips) == (None, True, False)
    for pixels, number in zip([*train.pixels, *held_out.pixels], (1, 3, 2), strict=True):
        decoded = np.asarray(Image.open(folder / "img_align_celeba" / f"{number:06}.jpg").convert("RGB"))
        assert np.array_equal(pixels.numpy(), windows(decoded[39:179, 19:159].transpose(2, 0, 1)))
    # the first window is rows 39 to 41 and columns 19 to 21, the last one rows 176 to 178; JPEG is off by a little
    assert train.pixels[0, :, 0, 0].tolist() == pytest.approx([40, 20, 0], abs=3)
    assert train.pixels[0, :, -1, -1].tolist() == pytest.approx([177, 157, 0], abs=3)
    values = train.draw(50)[0]
    assert values.abs().max() <= 1.0


def test_celeba_without_its_list_is_refused(tmp_path):
    """No part can be told without it, neither the one to train nor the one held out."""
    write_celeba(tmp_path, 6)
    for train in (True, False):
        with pytest.raises(ValueError, match=r"list_eval_partition\.txt is missing or damaged; without it no part"):
            load(CelebA64, tmp_path, train=train)


def test_afhq_is_the_mean_of_each_block(tmp_path):
    """8 x 8 pixels to one, rounded; the labels are cat, dog, wild; train and test are apart."""
    written = write_afhq(tmp_path)
    train, held_out = load(AFHQ64, tmp_path), load(AFHQ64, tmp_path, train=False)
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert held_out.labels.tolist() == [0, 1, 2]
    assert (train.classes, train.shape, train.flips, held_out.flips) == (3, (3, 64, 64), True, False)
    for pixels, original in zip([*train.pixels, *held_out.pixels], written.values(), strict=True):
        blocks = original.reshape(3, 64, 8, 64, 8).double().mean((2, 4))
        assert torch.equal(pixels, blocks.round().to(torch.uint8))


def files_of(folder: Path) -> dict[str, int]:
    """Every file below a folder and when it was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_prepared_array_is_read_again_and_made_anew(tmp_path, cache):
    """Read again while names, sizes and times of the files stay; anew when one changes, or the array is damaged.

    One array for a part of a folder stays in the cache, and the data's own folder gets no file.
    """
    write_afhq(tmp_path, each=1)
    folder = tmp_path / "afhq_v2"
    original = files_of(folder)
    first = load(AFHQ64, tmp_path).pixels.clone()
    (place,) = cache.glob("*.npy")
    assert np.array_equal(np.load(place), first)
    before = place.stat().st_mtime_ns

    mapped = load(AFHQ64, tmp_path).pixels
    assert torch.equal(mapped, first)
    mapped.zero_()  # in memory only
    assert torch.equal(load(AFHQ64, tmp_path).pixels, first)
    assert place.stat().st_mtime_ns == before
    assert files_of(folder) == original

    dog, wild = folder / "train" / "dog" / "0.png", folder / "train" / "wild"
    shutil.copy(folder / "train" / "cat" / "0.png", wild / "1.png")
    more = load(AFHQ64, tmp_path)
    assert torch.equal(more.pixels, first[[0, 1, 2, 0]])
    assert more.labels.tolist() == [0, 1, 2, 2]
    shutil.copy(wild / "0.png", dog)  # as many files, of the same names
    assert torch.equal(load(AFHQ64, tmp_path).pixels, first[[0, 2, 2, 0]])
    long = max(path.stat().st_size for path in wild.iterdir())
    for name, row in (("0", 2), ("1", 0)):  # names and sizes stay, times change
        dog.write_bytes((wild / f"{name}.png").read_bytes().ljust(long, b"\0"))
        assert torch.equal(load(AFHQ64, tmp_path).pixels, first[[0, row, 2, 0]])
    time_of = dog.stat().st_mtime_ns
    dog.write_bytes((wild / "0.png").read_bytes().ljust(long + 1, b"\0"))
    os.utime(dog, ns=(time_of, time_of))  # names and times stay, a size changes
    wanted = load(AFHQ64, tmp_path).pixels.clone()
    assert torch.equal(wanted, first[[0, 2, 2, 0]])
    del more, mapped
    loaded.cache_clear()  # below, the file that they map is cut

    (place,) = cache.glob("*.npy")
    for damage in (place.read_bytes()[:-1], b"", b"no array"):
        place.write_bytes(damage)
        assert torch.equal(load(AFHQ64, tmp_path).pixels, wanted)
    for other in (np.full((4, 3, 64, 64), None), wanted[:3].numpy(), wanted.float().numpy()):
        np.save(place, other, allow_pickle=True)
        assert torch.equal(load(AFHQ64, tmp_path).pixels, wanted)
    assert [path.suffix for path in sorted(cache.iterdir())] == [".npy", ".lock"]


def test_prepared_images_of_two_folders_and_parts_are_kept_apart(tmp_path, cache):
    """Two folders of the same file names, both parts: four arrays, each read again as it was."""
    found = {}
    for name in ("a", "b"):
        write_afhq(tmp_path / name, each=1)
        for train in (True, False):
            found[name, train] = load(AFHQ64, tmp_path / name, train=train).pixels.clone()
    arrays = set(cache.glob("*.npy"))
    assert len(arrays) == 4
    for (name, train), pixels in found.items():
        assert torch.equal(load(AFHQ64, tmp_path / name, train=train).pixels, pixels)
    assert set(cache.glob("*.npy")) == arrays


def refused(path: Path, *_, **__):
    """What a folder or file without permission says to everybody but root."""
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def full_disk(file, array, **_):
    """Half of an array is written, then the disk is full."""
    file.write(array.tobytes()[: array.nbytes // 2])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, cache, monkeypatch):
    """A file where its folder should be, a full disk, no permission: the images are there, and no half of a file."""
    write_afhq(tmp_path, each=1)
    wanted = load(AFHQ64, tmp_path).pixels.clone()
    shutil.rmtree(cache)
    cache.write_text("a file")
    with pytest.warns(UserWarning, match=r"prepared.* cannot be written .*FLOWMAP_EDU_CACHE"):
        assert torch.equal(load(AFHQ64, tmp_path).pixels, wanted)
    cache.unlink()
    monkeypatch.setattr(np.lib.format, "write_array", full_disk)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert torch.equal(load(AFHQ64, tmp_path).pixels, wanted)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    monkeypatch.setattr(Path, "mkdir", refused)
    monkeypatch.setenv("FLOWMAP_EDU_CACHE", str(tmp_path / "nowhere"))
    with pytest.warns(UserWarning, match="cannot be written"):
        assert torch.equal(load(AFHQ64, tmp_path).pixels, wanted)


def test_of_several_that_come_at_once_one_prepares(tmp_path):
    """Four at once: every file is shrunk a single time, and all four get the same array."""
    files = [tmp_path / f"{k}.png" for k in range(8)]
    for file in files:
        file.touch()
    seen, start = [], threading.Barrier(4)

    def shrink(file: Path) -> torch.Tensor:
        seen.append(file)
        time.sleep(0.005)
        return torch.full((3, 2, 2), int(file.stem), dtype=torch.uint8)

    def work(_) -> torch.Tensor:
        start.wait()
        return prepared.prepared(files, tmp_path, "eight", shrink, (3, 2, 2))

    with futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert seen == files
    for pixels in found:
        assert pixels[:, 0, 0, 0].tolist() == list(range(8))


HOLDER = """
import sys
from pathlib import Path
from flowmap_edu.problems.prepared import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_leaves_no_lock_behind(tmp_path):
    """While it lives nobody else gets the lock; after its end, however it came, the next one does."""
    path = tmp_path / "the.lock"
    words = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        got = threading.Event()

        def wait() -> None:
            with prepared.alone(path):
                got.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.3)
        holder.kill()
        assert got.wait(10)
        waiting.join()


def test_a_damaged_picture_is_named_and_leaves_nothing_behind(tmp_path, cache):
    """The message names the file; no half of an array stays, and the mended picture is read."""
    write_afhq(tmp_path, each=1)
    path = tmp_path / "afhq_v2" / "train" / "dog" / "0.png"
    whole = path.read_bytes()
    for damage in (whole[: len(whole) // 2], b"", b"no picture"):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match=r"dog/0\.png is (damaged or )?no image"):
            load(AFHQ64, tmp_path)
        assert not list(cache.glob("*.npy*"))
    path.write_bytes(whole)
    assert len(load(AFHQ64, tmp_path)) == 3


def test_pictures_of_another_size_are_refused(tmp_path):
    """AFHQ wants squares, CelebA its aligned 178 x 218; the message names file and size."""
    write_afhq(tmp_path, each=1)
    for shape, words in (((3, 512, 500), "500 x 512"), ((3, 32, 32), "32 x 32")):
        save(torch.zeros(shape, dtype=torch.uint8), tmp_path / "afhq_v2" / "test" / "wild" / "0.png")
        with pytest.raises(ValueError, match=rf"wild/0\.png is {words}; a square of at least 64"):
            load(AFHQ64, tmp_path, train=False)
    folder = write_celeba(tmp_path, 2, "00")
    save(torch.zeros(3, 178, 218, dtype=torch.uint8), folder / "img_align_celeba" / "000002.jpg")
    with pytest.raises(ValueError, match=r"000002\.jpg is 218 x 178; the aligned images are 178 x 218"):
        load(CelebA64, tmp_path)


def test_wrong_folders_of_afhq(tmp_path):
    """Another set of class folders, an empty one, a missing part: each says what was found."""
    write_afhq(tmp_path, each=1)
    train = tmp_path / "afhq_v2" / "train"
    (train / "dog" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"train/dog holds no JPEG or PNG file"):
        load(AFHQ64, tmp_path)
    (train / "dog").rename(train / "wolf")
    with pytest.raises(ValueError, match="must hold the folders cat, dog, wild; found cat, wild, wolf"):
        load(AFHQ64, tmp_path)
    shutil.rmtree(train)
    with pytest.raises(ValueError, match=r"train cannot be listed; a folder is expected: .*No such file"):
        load(AFHQ64, tmp_path)
    train.mkdir()
    with pytest.raises(ValueError, match="found none"):
        load(AFHQ64, tmp_path)


def test_folders_without_permission_are_named(tmp_path, monkeypatch):
    """What may not be looked at is not there: the data set's folder, and a class's."""
    write_afhq(tmp_path, each=1)
    stat = os.stat
    for hidden, message in (("afhq_v2", "afhq64 is not here: there is no folder"), ("dog", "found cat, wild")):

        def refusing(path, *args, hidden=hidden, **options):
            if str(path).endswith(hidden):
                refused(path)
            return stat(path, *args, **options)

        monkeypatch.setattr(os, "stat", refusing)
        with pytest.raises(ValueError, match=message):
            load(AFHQ64, tmp_path)


def test_wrong_lists_of_celeba(tmp_path):
    """A list that is not of these pictures, is cut short, names one twice or has another part; a part that is empty."""
    folder = write_celeba(tmp_path, 2, "02")
    listing = folder / "list_eval_partition.txt"
    good = listing.read_text()
    for text, names, hint in (
        (good + "000003.jpg 0\n", 3, "000003.jpg is too many"),
        ("000001.jpg 0\n", 1, "000002.jpg is too many, missing"),
        (good + "000001.jpg 2\n", 3, "000001.jpg is .* there twice"),
        (good.replace("2\n", "3\n"), 2, ""),
        (good[:-2], 2, ""),
    ):
        listing.write_text(text)
        with pytest.raises(ValueError, match=rf"must give each of the 2 images .* it names {names}.*{hint}"):
            load(CelebA64, tmp_path)
    for damage in (b"\xff\xfe0", None):
        listing.write_bytes(damage) if damage else listing.unlink()
        with pytest.raises(ValueError, match=r"list_eval_partition\.txt is missing or damaged"):
            load(CelebA64, tmp_path)
    listing.write_text(good.replace(" 2", " 0"))
    with pytest.raises(ValueError, match=r"list_eval_partition\.txt puts none of the 2 images into the part held out"):
        load(CelebA64, tmp_path, train=False)


def test_damaged_files_of_cifar10(tmp_path):
    """Cut short, cut at a record's border, too long, empty, missing, a label that is no class: the file is named."""
    folder = write_cifar10(tmp_path)
    batch = folder / "data_batch_3.bin"
    good = batch.read_bytes()
    for content, message in (
        (good[:-1], r"data_batch_3\.bin holds 6,145 bytes; 2 records of 3,073 bytes are expected\. Remove .*download"),
        (good[:3073], r"data_batch_3\.bin holds 3,073 bytes; 2 records"),  # cut at a record's border
        (good + good, r"data_batch_3\.bin holds 12,292 bytes; 2 records"),
        (b"", r"data_batch_3\.bin holds 0 bytes"),
        (good[:3073] + bytes([10]) + good[3074:], r"data_batch_3\.bin has a label 10; labels in 0 \.\. 9"),
    ):
        batch.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load(Cifar10, tmp_path)
    batch.unlink()
    with pytest.raises(ValueError, match=r"data_batch_3\.bin is missing or damaged"):
        load(Cifar10, tmp_path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Cifar10, r"Cifar10\(\)\.download\(\)"),
        (CelebA64, r"non-commercial research only.*mmlab.*img_align_celeba\.zip"),
        (AFHQ64, r"CC BY-NC 4\.0.*stargan-v2"),
        (Emoji, r"data/emoji/make\.py"),
    ],
)
def test_a_missing_folder_says_how_to_get_it(tmp_path, kind, words):
    """The folder that was looked for, and the steps; shape, classes, base and network are known without any file."""
    problem = kind(root=tmp_path)
    with pytest.raises(ValueError, match=rf"{kind.name} is not here: there is no folder {tmp_path}.*{words}"):
        problem.sample(3)
    assert problem.base(2).shape == (2, *problem.shape)
    assert problem.classes == {"cifar10": 10, "celeba64": 0, "afhq64": 3, "emoji": 10}[kind.name]
    assert kind(root=tmp_path, labels=False).classes == 0
    with torch.device("meta"):
        assert problem.network().classes == problem.classes


def test_sampling_a_map_needs_no_data_set(tmp_path, monkeypatch):
    """A map of CIFAR-10 with classes draws where its files are not; one of digits without scikit-learn."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    loaded.cache_clear()
    problem = Cifar10(root=tmp_path / "nowhere")
    net = {"width": 8, "multipliers": (1,), "blocks": 1, "attention": ()}
    state = training.State(*recipe("cifar10", "lsd", problem=problem, net=net, steps=1, compile=False))
    saving.write_run(tmp_path / "run", state, {"teacher": None})
    for name in (str(tmp_path / "run"), "digits-lsd"):
        out = tmp_path / f"{Path(name).name}.npy"
        assert cli.main(["sample", name, "--steps", "1", "--samples", "4", "--out", str(out)]) == 0
        assert np.isfinite(np.load(out)).all()
    x0 = problem.base(4, torch.Generator().manual_seed(0))
    wanted = state.X.sample(x0, 1, label=torch.arange(4))
    assert np.array_equal(np.load(tmp_path / "run.npy"), wanted.numpy())
    with pytest.raises(ValueError, match="cifar10 is not here"):
        problem.sample(1)


def test_samples_are_the_draws_of_the_training_part():
    """To the bit, with the labels or without; another size than the class says is refused."""
    draw = lambda: torch.Generator().manual_seed(3)  # noqa: E731
    x, label = Digits().sample(20, draw())
    wanted = Digits().data().draw(20, draw())
    assert torch.equal(x, wanted[0])
    assert torch.equal(label, wanted[1])
    assert Digits(labels=False).sample(20, draw())[1] is None
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        Digits(sigma=0.0)

    class Wider(Digits):
        size = (1, 8, 16)

    with pytest.raises(ValueError, match=r"must have images of shape \(1, 8, 16\), the files have \(1, 8, 8\)"):
        Wider().sample(1)


def test_bad_arguments():
    """Tensors of another kind, a draw of nothing."""
    pixels, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64)
    for wrong in (pixels.float(), pixels[0], pixels[:0]):
        with pytest.raises(ValueError, match=r"pixels must be uint8 of shape \(N, C, H, W\)"):
            Images("wrong", wrong, None, 0)
    for wrong in (labels[:1], labels.float()):
        with pytest.raises(ValueError, match=r"labels must be int64 of shape \(2,\)"):
            Images("wrong", pixels, wrong, 1)
    for wrong, classes in ((labels, 0), (None, 1)):
        with pytest.raises(ValueError, match="labels go with classes"):
            Images("wrong", pixels, wrong, classes)
    for label in (-1, 1):
        with pytest.raises(ValueError, match=rf"labels must lie in 0 \.\. 0, got {min(label, 0)} \.\. {max(label, 0)}"):
            Images("wrong", pixels, torch.tensor([label, 0]), 1)
    with pytest.raises(ValueError, match=r"pixels must lie in 0 \.\. 16, got 17"):
        Images("wrong", pixels + 17, None, 0, levels=16)
    with pytest.raises(ValueError, match="levels must be a whole number of at least 1, got 0"):
        Images("wrong", pixels, None, 0, levels=0)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        Images("right", pixels, labels, 1).draw(0)


def test_the_root_comes_from_the_environment(tmp_path, monkeypatch):
    """FLOWMAP_EDU_DATA, where no root is given; without either, the user's cache folder."""
    write_cifar10(tmp_path / "data")
    monkeypatch.setenv("FLOWMAP_EDU_DATA", str(tmp_path / "data"))
    assert len(load(Cifar10)) == 10
    monkeypatch.delenv("FLOWMAP_EDU_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match=rf"no folder {tmp_path}/\.cache/flowmap_edu/cifar-10-batches-bin"):
        load(Cifar10)


@pytest.mark.parametrize(
    ("module", "read"),
    [
        ("sklearn.datasets", lambda root: load(Digits, root)),
        ("torchvision.datasets.utils", lambda root: Cifar10(root=root).download()),
    ],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, module, read):
    """Without scikit-learn or torchvision the message says what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module} is needed here: pip install 'flowmap-edu\[images\]'"):
        read(tmp_path)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, *_):
        pass


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A small cifar-10-binary.tar.gz on a server of this machine, as the one to download; its path."""
    site = tmp_path / "site"
    folder = write_cifar10(site)
    path = site / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, folder.name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(readers, "CIFAR10_URL", f"http://127.0.0.1:{server.server_port}/{path.name}")
    monkeypatch.setattr(readers, "CIFAR10_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    yield path
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_is_checked_and_unpacked_once(archive, tmp_path):
    """The pictures that were served come out; the second time nothing is fetched."""
    root = tmp_path / "root"
    Cifar10(root=root).download()
    fetched = load(Cifar10, root)
    assert torch.equal(fetched.pixels, load(Cifar10, tmp_path / "site").pixels)
    there = [".cifar-10-batches-bin.lock", archive.name, "cifar-10-batches-bin"]
    assert sorted(path.name for path in root.iterdir()) == sorted(there)
    archive.unlink()
    assert torch.equal(Cifar10(root=root).download().data().pixels, fetched.pixels)


def test_of_several_that_download_at_once_one_does(archive, tmp_path, monkeypatch):
    """Three at once: the archive is unpacked a single time, and all three find the batches."""
    unpacked, start, unpack = [], threading.Barrier(3), readers.unpack
    monkeypatch.setattr(readers, "unpack", lambda *paths: unpacked.append(paths) or unpack(*paths))
    root = tmp_path / "root"

    def work(_) -> int:
        start.wait()
        return len(list(Cifar10(root=root).download().place().iterdir()))

    with futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [6, 6, 6]
    assert unpacked == [(root / archive.name, root / "cifar-10-batches-bin")]


def test_a_download_that_is_not_the_archive_is_refused(archive, tmp_path):
    """One byte off, or not there: nothing is unpacked, and the message names the address and the checksum."""
    content = bytearray(archive.read_bytes())
    content[-1] ^= 1
    archive.write_bytes(content)
    for _ in ("changed", "missing"):
        with pytest.raises(
            ValueError, match=rf"{archive.name} did not arrive in .* with the md5 {readers.CIFAR10_MD5}"
        ):
            Cifar10(root=tmp_path / "root").download()
        assert not (tmp_path / "root" / "cifar-10-batches-bin").exists()
        archive.unlink(missing_ok=True)


def test_a_folder_that_cannot_take_the_download_is_named(archive, tmp_path, monkeypatch):
    """A file where the root should be, a disk that is full while the archive is unpacked: nothing half is left."""
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=rf"{archive.name} did not arrive in {tmp_path / 'file'}.*(exists|directory)"):
        Cifar10(root=tmp_path / "file").download()

    def full(path: Path, *_):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ValueError, match=rf"{archive.name} cannot be unpacked to .*No space left"):
        Cifar10(root=tmp_path / "root").download()
    monkeypatch.undo()
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == [
        ".cifar-10-batches-bin.lock",
        archive.name,
    ]


def test_the_shipped_emoji_are_what_their_page_says():
    """The checksums and counts of README.md; every class in the part to train on; no picture twice."""
    packed = (DATA / "emoji" / "pictures.bin.xz").read_bytes()
    page = (DATA / "emoji" / "README.md").read_text()
    for content in (packed, lzma.decompress(packed)):
        assert f"{len(content):,} bytes | {hashlib.sha256(content).hexdigest()} |" in page
    assert len(packed) < 3_000_000
    train, held_out = load(Emoji), load(Emoji, train=False)
    assert (len(train), len(held_out), train.shape, train.flips) == (1691, 187, (3, 32, 32), False)
    counts = [torch.bincount(part.labels, minlength=10).tolist() for part in (train, held_out)]
    rows = [line.split("|")[1:5] for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [(int(label), int(a), int(b)) for label, _, a, b in rows] == [
        (k, *counts_k) for k, counts_k in enumerate(zip(*counts, strict=True))
    ]
    assert min(counts[0]) > 0
    assert len({pixels.numpy().tobytes() for part in (train, held_out) for pixels in part.pixels}) == 1878
    assert (train.values().min().item(), train.values().max().item()) == (-1.0, 1.0)


def test_the_emoji_are_cut_from_their_sheet_and_put_on_white(tmp_path):
    """make.py on a sheet of four cells: seen colour = alpha colour + (1 - alpha) white, and twins are there once."""
    spec = importlib.util.spec_from_file_location("make", DATA / "emoji" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    cells = torch.randint(256, (3, 4, 32, 32), dtype=torch.uint8)
    cells[0, 3], cells[1, 3] = 0, 255  # one is not to be seen at all, one is opaque
    sheet = torch.zeros(4, 68, 68, dtype=torch.uint8)
    entries = []
    for order, (x, y, k) in enumerate([(1, 0, 0), (0, 1, 1), (1, 1, 2), (0, 0, 2)]):  # the last is a twin
        sheet[:, 34 * y + 1 : 34 * y + 33, 34 * x + 1 : 34 * x + 33] = cells[k]
        entry = {"sheet_x": x, "sheet_y": y, "sort_order": order, "category": make.CATEGORIES[9 - order]}
        entries.insert(0, entry | {"has_img_twitter": True})
    (tmp_path / "img" / "twitter" / "sheets-clean").mkdir(parents=True)
    save(sheet, tmp_path / "img" / "twitter" / "sheets-clean" / "32.png")
    (tmp_path / "emoji.json").write_text(json.dumps(entries))

    (tmp_path / "pictures.bin.xz").write_bytes(lzma.compress(make.records(tmp_path)))
    pixels, labels = readers.read_records(tmp_path / "pictures.bin.xz")
    assert labels.tolist() == [9, 8, 7]
    alpha = cells[:, 3:].double() / 255
    seen = alpha * cells[:, :3].double() + (1 - alpha) * 255
    assert torch.equal(pixels, seen.round().to(torch.uint8))
    assert bool((pixels[0] == 255).all())
    assert torch.equal(pixels[1], cells[1, :3])
