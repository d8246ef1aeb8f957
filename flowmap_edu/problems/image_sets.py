"""Five data sets of images.

| class      | image       | classes | to train                | held out         | how it comes             |
| ---------- | ----------- | ------- | ----------------------- | ---------------- | ------------------------ |
| `Digits`   | 1 x 8 x 8   | 10      | the first 1,400         | the other 397    | with scikit-learn        |
| `Emoji`    | 3 x 32 x 32 | 10      | all but every 10th      | every 10th       | with this library        |
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
from flowmap_edu.metrics import memorising
from flowmap_edu.problems import labelled, readers
from flowmap_edu.problems.images import ImageProblem
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.problems.readers import Part


class Digits(ImageProblem):
    """scikit-learn's 8 x 8 digits; see `ImageProblem` for the arguments. The network has 108 thousand parameters."""

    name, size, data_classes, levels, distance = "digits", (1, 8, 8), 10, 16, "fd"
    net: ClassVar[dict[str, Any]] = {"width": 8, "multipliers": (2, 3), "blocks": 1}

    def read(self, folder: Path | None, train: bool) -> Part:
        """The first 1,400, or the other 397."""
        return readers.read_digits(folder, train)

    def evaluate(  # type: ignore[override]
        self, X: FlowMap, steps: Sequence[int] = STEPS, *, seed: int = 0
    ) -> list[dict[str, Any]]:
        """Fréchet distance to both parts, labels read back, and what is memorised, for each number of steps.

        As many digits are drawn as there are to train on, n, with the same labels. `fd` is the distance to the held-out
        digits, which are the end of the file and not a random part of it. `floor` is that of the training digits
        themselves to them. `fd_train` is the distance to the training digits; see `labelled` for the other numbers.

        Args:
            X: the map.
            steps: the numbers of steps.
            seed: of the noise.

        Raises:
            ValueError: if a number of steps is below 1.
        """
        for k in steps:
            checks.count("steps", k)
        judge, rows = labelled.Judge(self), list[dict[str, Any]]()
        train, held_out = judge.pixels["train"], judge.pixels["held_out"]
        floor = judge.reference["held_out"].hold([judge.features["train"]]).frechet()
        for k in steps:
            x, labels = self.digits(X, k, seed)
            found = judge.numbers(x, labels)
            near = memorising.memorised(x, train, held_out, torch.Generator().manual_seed(seed))
            row = {"steps": k, "fd": found.pop("fd_held_out"), "floor": floor, "labels": found.pop("labels")}
            rows.append(row | near._asdict() | found | {"n": len(x)})
        return rows

    def digits(self, X: FlowMap, steps: int, seed: int) -> tuple[Tensor, Tensor]:
        """1,400 digits of the model in [-1, 1], shape (1400, 1, 8, 8), and the training digits' labels, (1400,)."""
        labels = self.data().labels
        assert labels is not None
        x0 = self.base(len(labels), torch.Generator().manual_seed(seed))
        return X.sample(x0, steps, seed=seed, label=labels if self.classes else None).clamp(-1, 1), labels


class Emoji(ImageProblem):
    """The emoji that come with the library; see `ImageProblem`. The network has 678 thousand parameters."""

    name, size, data_classes, folder = "emoji", (3, 32, 32), 10, "emoji"
    how_to_get = "It comes with the library; data/emoji/make.py makes it anew."
    net: ClassVar[dict[str, Any]] = {"width": 24, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,)}

    def place(self) -> Path:
        """The folder in the library's own data, unless a root is given."""
        return (shipped_folder() if self.root is None else Path(self.root).expanduser()) / "emoji"

    def read(self, folder: Path | None, train: bool) -> Part:
        """All but every 10th, or every 10th, so that all classes are in both parts."""
        assert folder is not None
        return readers.read_emoji(folder, train)


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
