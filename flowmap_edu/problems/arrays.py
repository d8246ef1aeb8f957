"""Data of your own: an array, a torch dataset, a file."""

from collections.abc import Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset, default_collate

from flowmap_edu import _checks as checks
from flowmap_edu import _reference
from flowmap_edu.nets import MLP, UNet
from flowmap_edu.problems.array_files import read_array
from flowmap_edu.problems.judged import Judged
from flowmap_edu.problems.samples import FEWEST, array, deviation, digest, split, warn_of_scale, whole_labels

LOOKED_AT = 1000  # items of a dataset from which its scale is read


class Own(Judged):
    """What data of your own have in common: a network by their shape, and how a map of them is judged."""

    def network(self) -> nn.Module:
        """An MLP for samples of shape (D,), a U-Net for square images (C, H, H) with an even side.

        Raises:
            ValueError: for another shape.
        """
        if len(self.shape) == 1:
            return MLP(self.shape[0], scale=self.sigma, classes=self.classes)
        if len(self.shape) == 3 and self.shape[1] == self.shape[2] and self.shape[1] % 2 == 0:
            return UNet(self.shape[1], self.shape[0], classes=self.classes, scale=self.sigma)
        raise ValueError(f"no network is suggested for samples of shape {self.shape}: give one, a module v(s, t, x)")


class FromTensor(Own):
    """An array of samples, drawn with replacement; a random part is kept aside to judge a map with.

    Args:
        x: samples, shape (n, *D), torch or numpy: points (n, 2), a table (n, 10), images (n, 3, 32, 32).
        labels: the class of each sample, whole numbers from 0 on, shape (n,); None for none.
        sigma: standard deviation of the base; None: the data's own.
        held_out: the share that is kept aside; 0 for none.
        seed: of the choice of that part.

    Attributes:
        train, held_out: the samples of both parts, float32.
        train_labels, held_out_labels: their labels, or None.

    Raises:
        ValueError: if x is no floating-point array of at least ten finite samples, or labels, sigma or held_out do not
            fit.
    """

    def __init__(self, x: Any, labels: Any = None, sigma: float | None = None, held_out: float = 0.1, seed: int = 0):
        x = array("x", x)
        own = deviation(x)
        self.sigma = own if sigma is None else checks.positive("sigma", sigma)
        warn_of_scale(x, self.sigma, own)
        self.shape = tuple(x.shape[1:])
        y = None if labels is None else whole_labels(labels, len(x))
        self.classes = 0 if y is None else int(y.max()) + 1
        train, aside = split(len(x), held_out, seed)
        self.train, self.held_out = x[train], x[aside]
        self.train_labels, self.held_out_labels = (None, None) if y is None else (y[train], y[aside])

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        """n training samples with replacement, shape (n, *shape), and their labels."""
        n = checks.count("n", n)
        index = torch.randint(len(self.train), (n,), generator=generator)
        return self.train[index], None if self.train_labels is None else self.train_labels[index]

    def some(self, n: int, train: bool, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """At most n samples of a part, each once, and their labels."""
        x, y = (self.train, self.train_labels) if train else (self.held_out, self.held_out_labels)
        index = torch.randperm(len(x), generator=generator)[:n]
        return x[index], None if y is None else y[index]

    def digest(self) -> str:
        """A hash of all samples and labels."""
        return digest(self.train, self.held_out, self.train_labels, self.held_out_labels)


class FromDataset(Own):
    """A torch dataset, read item by item; a random part of its items is kept aside to judge a map with.

    Args:
        dataset: a map-style dataset whose items are samples x, shape (*D), or pairs (x, label).
        sigma: standard deviation of the base; None: the deviation of 1,000 of its samples.
        classes: how many classes the labels have; 0: labels are left out.
        held_out: the share that is kept aside; 0 for none.
        seed: of the choice of that part.

    Raises:
        ValueError: if the dataset has no length or no items, an item is neither a sample nor a pair, or the samples
            are no floating-point arrays of one shape.
    """

    def __init__(
        self,
        dataset: "Dataset[Any]",
        sigma: float | None = None,
        classes: int = 0,
        held_out: float = 0.1,
        seed: int = 0,
    ):
        if isinstance(dataset, IterableDataset) or not (isinstance(dataset, Sized) and hasattr(dataset, "__getitem__")):
            raise ValueError(f"dataset must have a length and items by number, got {type(dataset).__name__}")
        if len(dataset) < FEWEST:
            raise ValueError(f"dataset must have at least {FEWEST} items, got {len(dataset)}")
        classes = checks.whole("classes", classes)
        self.dataset, self.classes = dataset, classes
        self.indices, self.aside = split(len(dataset), held_out, seed)
        order = torch.randperm(len(self.indices), generator=checks.generator(seed))
        x, _ = self.items(self.indices[order[:LOOKED_AT]])
        x = array("the dataset's samples", x)
        own = deviation(x)
        self.sigma = own if sigma is None else checks.positive("sigma", sigma)
        warn_of_scale(x, self.sigma, own)
        self.shape = tuple(x.shape[1:])

    def items(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """The items of these numbers as one batch, and their labels if classes are asked for.

        Raises:
            ValueError: if an item is neither a sample nor a pair, or has no label in 0 .. classes - 1 where one is due.
        """
        found: Any = default_collate([self.dataset[k] for k in index.tolist()])
        if isinstance(found, (list, tuple)) and len(found) in (1, 2):
            x, label = found[0], found[1] if len(found) == 2 else None
        else:
            x, label = found, None
        if not isinstance(x, Tensor) or not x.is_floating_point():
            came = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"an item must be a floating-point sample, or a pair (sample, label); got {came}")
        if not self.classes:
            return x.float(), None
        if label is None:
            raise ValueError(f"classes={self.classes} asks for items (sample, label), the dataset's have no label")
        y = whole_labels(label, len(x))
        if int(y.max()) >= self.classes:
            raise ValueError(f"labels must lie in 0..{self.classes - 1}, got {int(y.max())}")
        return x.float(), y

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        """n training items with replacement, shape (n, *shape), and their labels."""
        n = checks.count("n", n)
        return self.items(self.indices[torch.randint(len(self.indices), (n,), generator=generator)])

    def some(self, n: int, train: bool, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """At most n items of a part, each once, and their labels."""
        part = self.indices if train else self.aside
        index = part[torch.randperm(len(part), generator=generator)[:n]]
        return self.items(index) if len(index) else (torch.empty(0, *self.shape), None)

    def digest(self) -> str:
        """A hash of the first 100 items to train on."""
        return digest(*self.items(self.indices[:100]))


def from_file(
    path: str | Path,
    labels: str | Path | None = None,
    sigma: float | None = None,
    held_out: float = 0.1,
    seed: int = 0,
) -> FromTensor:
    """A `FromTensor` of an array on disk: an .npy file of shape (n, *D), or a .csv file with a sample a line.

    Args:
        path: the file.
        labels: a second file with one whole number a sample, shape (n,) or (n, 1).
        sigma, held_out, seed: as in `FromTensor`.

    Raises:
        ValueError: if a file is missing or does not hold one array of numbers, or as `FromTensor`; the file is named.
    """
    files = [None if f is None else Path(f).expanduser().resolve() for f in (path, labels)]
    x, y = (None if f is None else read_array(f) for f in files)
    assert x is not None
    if y is not None:
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        y = y if y.dtype.kind == "f" else y.astype(np.int64)
    try:
        made = FromTensor(x, y, sigma, held_out, seed)
    except ValueError as error:
        raise ValueError(f"{' with labels '.join(str(f) for f in files if f)}: {error}") from error
    arguments = {"path": str(files[0]), "labels": files[1] and str(files[1]), "sigma": sigma, "held_out": held_out}
    _reference.record(made, "flowmap_edu.problems:from_file", arguments | {"seed": seed})
    return made
