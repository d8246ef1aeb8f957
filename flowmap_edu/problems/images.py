"""The problem of learning a data set of images."""

import functools
import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import images as distances
from flowmap_edu.nets import UNet
from flowmap_edu.problems.features import Spread, of_real, one_by_one, usable
from flowmap_edu.problems.pixels import Images
from flowmap_edu.problems.problem import STEPS, Problem
from flowmap_edu.problems.readers import Part
from flowmap_edu.problems.samples import digest

CHUNK = 250  # images that are drawn, and whose features are computed, at a time


class ImageProblem(Problem):
    """A data set of images in [-1, 1], with labels or without.

    Its shape and its classes are known without its files: sampling a map needs none. They are read when training images
    are drawn for the first time, and kept while the process lives. What is made of a large data set's files is kept on
    disk as well, in $FLOWMAP_EDU_CACHE or ~/.cache/flowmap_edu.

    Args:
        sigma: standard deviation of the base.
        root: the folder that holds the data sets' folders; None: $FLOWMAP_EDU_DATA, or ~/.cache/flowmap_edu.
        labels: whether the network is told the classes, where the data have any.

    Raises:
        ValueError: if sigma is not positive; when the data are read, if a file is missing (the message says how to get
            it), damaged or of another size.
        ImportError: when the data are read, if a library for their format is not installed.
    """

    name: ClassVar[str]
    size: ClassVar[tuple[int, int, int]]  # (C, H, W)
    data_classes: ClassVar[int] = 0
    folder: ClassVar[str | None] = None  # its name below the root; None if it needs none
    levels: ClassVar[int] = 255
    flips: ClassVar[bool] = False
    how_to_get: ClassVar[str] = ""
    net: ClassVar[dict[str, Any]]  # arguments of its U-Net
    distance: ClassVar[str | None] = "fid"

    def __init__(self, sigma: float = 0.5, root: str | Path | None = None, labels: bool = True):
        checks.positive("sigma", sigma)
        self.sigma, self.root, self.labels = sigma, root, labels
        self.shape, self.classes = self.size, self.data_classes if labels else 0

    @abstractmethod
    def read(self, folder: Path | None, train: bool) -> Part:
        """Pixels and labels of the part to train on, or of the part that is held out."""

    def place(self) -> Path | None:
        """The folder of the data set; None if it needs none."""
        if self.folder is None:
            return None
        return self.below(self.folder)

    def below(self, folder: str) -> Path:
        """A folder below the root of the data sets."""
        root = self.root or os.environ.get("FLOWMAP_EDU_DATA") or "~/.cache/flowmap_edu"
        return Path(root).expanduser() / folder

    def options(self) -> tuple[tuple[str, Any], ...]:
        """The arguments that decide which images are read, as names and values."""
        return ()

    def data(self, train: bool = True) -> Images:
        """The part to train on, or the part that is held out; only the first is mirrored by `draw`.

        Raises:
            ValueError: if the folder is missing, a file is damaged, or the images have another shape.
        """
        folder = self.place()
        if folder is not None and not os.path.isdir(folder):  # False without permission, where Path.is_dir raises
            raise ValueError(f"{self.name} is not here: there is no folder {folder}. {self.how_to_get}")
        images = loaded(type(self), folder, train, self.options())
        if images.shape != self.shape:
            raise ValueError(f"{self.name} must have images of shape {self.shape}, the files have {images.shape}")
        return images

    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        """n training images with replacement, in [-1, 1], shape (n, C, H, W), and their labels, shape (n,)."""
        x1, label = self.data().draw(n, generator)
        return x1, label if self.classes else None

    def digest(self) -> str:
        """A hash of the images to train on and of their labels."""
        data = self.data()
        return digest(data.pixels, data.labels)

    def network(self) -> nn.Module:
        """The U-Net of this data set's size."""
        channels, side, _ = self.shape
        return UNet(side, channels, classes=self.classes, **self.net)

    def drawn(self, X: FlowMap, steps: int, n: int, seed: int, device: str | torch.device = "cpu") -> Iterator[Tensor]:
        """n images of the model in parts of 250 (the last may be smaller), as a file would keep them.

        That is, cut off at -1 and 1 and rounded to 8 bits. Their classes are those of training images drawn at random.
        """
        return (draw() for draw in self.drawings(X, steps, n, seed, device))

    def drawings(
        self, X: FlowMap, steps: int, n: int, seed: int, device: str | torch.device = "cpu"
    ) -> Iterator[Callable[[], Tensor]]:
        """A function for each part of `drawn`, which draws it: the noise is drawn now, the map is computed then."""
        data, generator = self.data(), torch.Generator().manual_seed(seed)

        def draw(x0: Tensor, fresh: int, label: Tensor | None) -> Tensor:
            label = None if label is None else label.to(device)
            return distances.from_bytes(distances.as_bytes(X.sample(x0.to(device), steps, seed=fresh, label=label)))

        for start in range(0, n, CHUNK):
            size = min(CHUNK, n - start)
            index = torch.randint(len(data), (size,), generator=generator)
            x0 = self.base(size, generator)
            fresh = int(torch.randint(2**62, (), generator=generator))  # the seed of the noise added on the way
            label = data.labels[index] if self.classes and data.labels is not None else None
            yield functools.partial(draw, x0, fresh, label)

    def evaluate(
        self,
        X: FlowMap,
        steps: Sequence[int] = STEPS,
        *,
        n: int | None = None,
        seed: int = 0,
        weights: str | Path | None = None,
        features: nn.Module | None = None,
        device: str | torch.device = "cpu",
        spread: Spread = one_by_one,
    ) -> list[dict[str, Any]]:
        """Fréchet and kernel distance of n drawn images to the training images, for each number of steps.

        The reference of `fid` is the training part, as everybody's FID is: that rewards copies too, which
        `metrics.memorising` tells. `fid_held_out` is the distance of the same images to n held-out ones. A Fréchet
        distance depends on n; it is too large for small n, so compare at one n only. `floor` is that of the held-out
        images to the training ones: what a perfect model would be near. There may be fewer held-out images than n:
        `n_held_out` says how many were taken, and fewer make both numbers larger. With one image they are None. The
        kernel distance has no such bias.

        The Inception network's features of real images are kept on disk (features.py).

        Args:
            X: the map.
            steps: the numbers of steps.
            n: how many images, at least 2; None: 10,000.
            seed: of the noise, the classes and the subsets.
            weights: a file with the weights of FID's Inception network.
            features: what maps images to features; None: our classifier where there is one, else Inception.
            device: where X computes, and the features, which are moved there.
            spread: who computes the parts. With `training.distributed.divided` all processes of a run call `evaluate`
                together and divide the parts among them.

        Returns:
            rows with the keys steps, fid, fid_held_out, kid, n, floor and n_held_out; where `spread` divides the parts
            among processes, in the first of them, and no rows in the others.

        Raises:
            ValueError: if a number is too small, torch sees no such device, the data or the features cannot be had, or
                weights would be ignored.
        """
        n = 10_000 if n is None else n
        checks.count("n", n)
        checks.at_least("n", n, 2)
        for k in steps:
            checks.count("steps", k)
        where = usable(device)
        if not callable(spread):
            raise ValueError(f"spread must be a function such as training.distributed.divided, got {spread!r}")
        if features is not None and weights is not None:
            raise ValueError("weights would be ignored: features is given; leave one of them out")
        if features is None:
            features, _ = feature_extractor(self.name, weights)
        features = features.to(where)
        extract, given = functools.partial(distances.extract, features), distances.length_of(features)
        data, held_out = self.data(), self.data(train=False)
        every = torch.arange(len(data)).split(CHUNK)
        some = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(seed))[:n]
        jobs = of_real(features, data, every, f"{self.name}-train", where)
        known = [*shown(spread(jobs), len(data), "reference")]
        target = distances.Reference(distances.Extracted(given), known) if known else None
        unseen, floor = None, None
        if len(some) >= 2:
            jobs = of_real(features, held_out, some.split(CHUNK), f"{self.name}-held-out", where)
            others = [*shown(spread(jobs), len(some), "held-out images")]
            if target:
                unseen = distances.Reference(distances.Extracted(given), others)
                floor = target.hold(others).frechet()
        rows = []
        for count in steps:
            jobs = (composed(extract, draw) for draw in self.drawings(X, count, n, seed, where))
            seen = [*shown(spread(jobs), n, f"{count} step{'s' * (count > 1)}")]
            if target is None:  # another process measures
                continue
            fid, kid = target.hold(seen).frechet(), target.kid(seed=seed).mean
            to_unseen = None if unseen is None else unseen.hold(seen).frechet()
            row = {"steps": count, "fid": fid, "fid_held_out": to_unseen, "kid": kid}
            rows.append(row | {"n": n, "floor": floor, "n_held_out": len(some)})
        return rows


@functools.lru_cache(maxsize=4)
def loaded(
    kind: type[ImageProblem], folder: Path | None, train: bool, options: tuple[tuple[str, Any], ...] = ()
) -> Images:
    """A data set's part, kept from one batch to the next."""
    problem = kind(**dict(options))
    pixels, labels = problem.read(folder, train)
    return Images(kind.name, pixels, labels, kind.data_classes, kind.levels, kind.flips and train)


def feature_extractor(name: str, weights: str | Path | None = None) -> tuple[nn.Module, str]:
    """The network whose features a data set's images are compared in, and what their Fréchet distance is called.

    Our own small classifier for the digits and the emoji; otherwise, or with a file of its weights, Inception.

    Raises:
        ValueError: as `inception.inception`.
    """
    from flowmap_edu.metrics import classifier, inception

    if name in classifier.KNOWN and not weights:
        return classifier.load(problem=name), f"FD-{name}"
    return inception.inception(weights), "FID"


def composed(extract: Callable[[Tensor], Tensor], draw: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The function that draws a part, and gives its features."""
    return lambda: extract(draw())


def shown(parts: Iterable[Tensor], n: int, label: str) -> Iterable[Tensor]:
    """The parts of n images, with a progress bar where a terminal shows it, in the first of torchrun's processes."""
    if not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        return parts
    bar = checks.extra("tqdm", "images").tqdm
    return bar(parts, desc=label, total=-(-n // CHUNK), unit=f" x {CHUNK} images", leave=False)
