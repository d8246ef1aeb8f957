"""Five data sets of images.

| class      | image       | classes | to train                | held out         | how it comes             |
| ---------- | ----------- | ------- | ----------------------- | ---------------- | ------------------------ |
| `Digits`   | 1 x 8 x 8   | 10      | 1,400, drawn at random  | the other 397    | with scikit-learn        |
| `Emoji`    | 3 x 32 x 32 | 10      | 1,691, drawn at random  | the other 187    | with this library        |
| `Cifar10`  | 3 x 32 x 32 | 10      | data_batch_1 to 5       | test_batch       | Cifar10().download()     |
| `CelebA64` | 3 x 64 x 64 | none    | train and validation    | test             | by hand: its licence     |
| `AFHQ64`   | 3 x 64 x 64 | 3       | train                   | test             | by hand: its licence     |

Licences and checksums stand in data/README.md. The sizes of the last three networks are the flow-map paper's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems import labelled, readers
from flowmap_edu.problems.images import ImageProblem
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.problems.readers import Part


class Parted(ImageProblem):
    """A collection that has no parts of its own: a seed parts it at random.

    The seed is written into a run's config.json. A run that has none there is older than the seed and was made with
    split=None.

    Args:
        sigma, root, labels: see `ImageProblem`.
        split: the seed of the random order whose first images are to train. None: the parts of the file's own order,
            which are no random parts.

    Raises:
        ValueError: as `ImageProblem`; if split is no seed.
    """

    noted: ClassVar[tuple[str, ...]] = ("split",)

    def __init__(self, sigma: float = 0.5, root: str | Path | None = None, labels: bool = True, split: int | None = 0):
        super().__init__(sigma, root, labels)
        if split is not None:
            checks.generator(split)
        self.split = split

    def options(self) -> tuple[tuple[str, Any], ...]:
        """How the images are parted."""
        return (("split", self.split),)


class Digits(Parted):
    """scikit-learn's 8 x 8 digits; see `Parted` for the arguments. The network has 108 thousand parameters.

    With split=None the first 1,400 of the file are to train.
    """

    name, size, data_classes, levels, distance = "digits", (1, 8, 8), 10, 16, "fd_train"
    net: ClassVar[dict[str, Any]] = {"width": 8, "multipliers": (2, 3), "blocks": 1}

    def read(self, folder: Path | None, train: bool) -> Part:  # noqa: ARG002
        """1,400, or the other 397."""
        return readers.read_digits(train, self.split)

    def evaluate(  # type: ignore[override]
        self, X: FlowMap, steps: Sequence[int] = STEPS, *, n: int | None = None, seed: int = 0, draws: int = 3
    ) -> list[dict[str, Any]]:
        """Fréchet distances, labels read back, copies, precision and recall; see `labelled.judge`."""
        return labelled.judge(self, X, steps, n=n, seed=seed, draws=draws)

    def digits(self, X: FlowMap, steps: int, seed: int) -> tuple[Tensor, Tensor]:
        """1,400 digits of the model in [-1, 1], shape (1400, 1, 8, 8), and the training digits' labels, (1400,)."""
        labels = self.data().labels
        assert labels is not None
        x0 = self.base(len(labels), torch.Generator().manual_seed(seed))
        return X.sample(x0, steps, seed=seed, label=labels if self.classes else None).clamp(-1, 1), labels


class Emoji(Parted):
    """The emoji that come with the library; see `Parted`. The network has 678 thousand parameters.

    With split=None every 10th of the file is held out. `evaluate` is that of CIFAR-10, whose place they take;
    `labelled.judge` gives the numbers that the digits have.
    """

    name, size, data_classes, folder = "emoji", (3, 32, 32), 10, "emoji"
    how_to_get = "It comes with the library; data/emoji/make.py makes it anew."
    net: ClassVar[dict[str, Any]] = {"width": 24, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,)}

    def place(self) -> Path:
        """The folder in the library's own data, unless a root is given."""
        return (shipped_folder() if self.root is None else Path(self.root).expanduser()) / "emoji"

    def read(self, folder: Path | None, train: bool) -> Part:
        """1,691, or the other 187."""
        assert folder is not None
        return readers.read_emoji(folder, train, self.split)


class Cifar10(ImageProblem):
    """CIFAR-10 in its binary version; see `ImageProblem`. The network has 54.7 million parameters."""

    name, size, data_classes, folder, flips = "cifar10", (3, 32, 32), 10, "cifar-10-batches-bin", True
    how_to_get = "Cifar10().download() fetches it (162 MB)."
    net: ClassVar[dict[str, Any]] = {
        "width": 128, "multipliers": (2, 2, 2), "blocks": 4, "attention": (16,), "dropout": 0.13,
    }  # fmt: skip

    def read(self, folder: Path | None, train: bool) -> Part:
        """Five batches to train, one held out."""
        assert folder is not None
        return readers.read_cifar10(folder, train)

    def download(self) -> "Cifar10":
        """Fetch the data, unless they are there; the problem itself is returned.

        Raises:
            ValueError: if they do not arrive, or not as published.
        """
        folder = self.place()
        if folder is not None and not folder.is_dir():
            readers.fetch_cifar10(folder)
        return self


FACES: dict[str, Any] = {"width": 128, "multipliers": (1, 2, 3, 4), "blocks": 3, "attention": (16, 8)}


class CelebA64(ImageProblem):
    """CelebA's aligned faces at 64 x 64, no labels; see `ImageProblem`. The network has 124.3 million parameters."""

    name, size, folder, flips, net = "celeba64", (3, 64, 64), "celeba", True, FACES
    how_to_get = (
        "Its agreement (non-commercial research only) is yours to accept: read it at "
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, fetch img_align_celeba.zip and "
        "list_eval_partition.txt there, unpack the first and put both into that folder."
    )

    def read(self, folder: Path | None, train: bool) -> Part:
        """The train and validation parts, or the test part."""
        assert folder is not None
        return readers.read_celeba(folder, train)


class AFHQ64(ImageProblem):
    """AFHQ v2 at 64 x 64: cat, dog, wild; see `ImageProblem`. The network has 124.3 million parameters."""

    name, size, data_classes, folder, flips, net = "afhq64", (3, 64, 64), 3, "afhq_v2", True, FACES
    how_to_get = (
        "Its licence (CC BY-NC 4.0) is yours to accept: see https://github.com/clovaai/stargan-v2, "
        "fetch the AFHQ v2 archive named there and unpack its train/ and test/ into that folder."
    )

    def read(self, folder: Path | None, train: bool) -> Part:
        """Its own train and test parts."""
        assert folder is not None
        return readers.read_afhq(folder, train)
