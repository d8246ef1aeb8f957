"""Images as bytes, and their classes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.problems.readers import Part


@dataclass(frozen=True, eq=False)
class Images:
    """Images as bytes, and their classes; `values` and `draw` turn them into numbers in [-1, 1].

    Args:
        name: the data set's.
        pixels: uint8, shape (N, C, H, W).
        labels: int64, shape (N,), in 0 .. classes - 1; None where there are no classes.
        classes: how many there are, 0 without labels.
        levels: the pixel value that means +1, at most 255; 0 means -1.
        flips: whether `draw` mirrors images left to right at random.

    Raises:
        ValueError: if the pixels or labels have another shape or type, or a value outside their range.
    """

    name: str
    pixels: Tensor
    labels: Tensor | None
    classes: int
    levels: int = 255
    flips: bool = False

    def __post_init__(self):
        if self.pixels.ndim != 4 or self.pixels.dtype != torch.uint8 or len(self.pixels) == 0:
            came = f"{tuple(self.pixels.shape)} {self.pixels.dtype}"
            raise ValueError(f"pixels must be uint8 of shape (N, C, H, W) with N >= 1, got {came}")
        if (self.labels is None) != (self.classes == 0):
            raise ValueError(f"labels go with classes, got {self.classes} classes and labels {self.labels}")
        if self.labels is not None and (self.labels.shape, self.labels.dtype) != ((len(self),), torch.int64):
            came = f"{tuple(self.labels.shape)} {self.labels.dtype}"
            raise ValueError(f"labels must be int64 of shape ({len(self)},), one an image; got {came}")
        if self.labels is not None and bool(((self.labels < 0) | (self.labels >= self.classes)).any()):
            came = f"{int(self.labels.min())} .. {int(self.labels.max())}"
            raise ValueError(f"labels must lie in 0 .. {self.classes - 1}, got {came}")
        checks.count("levels", self.levels)
        if self.levels < 255 and int(self.pixels.max()) > self.levels:  # at 255 every byte is right
            raise ValueError(f"pixels must lie in 0 .. {self.levels}, got {int(self.pixels.max())}")

    def __len__(self) -> int:
        return self.pixels.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    def values(self, index: Tensor | slice | None = None) -> Tensor:
        """The images at `index`, all without one: 2 pixel / levels - 1, float32 in [-1, 1], (n, C, H, W)."""
        pixels = self.pixels if index is None else self.pixels[index]
        return 2 * (pixels.float() / self.levels) - 1

    def draw(self, n: int, generator: torch.Generator | None = None) -> Part:
        """n images with replacement, each mirrored with probability 1/2 if `flips`.

        Returns:
            their values, float32 in [-1, 1], shape (n, C, H, W); their labels, shape (n,), or None.

        Raises:
            ValueError: if n is not a whole number of at least 1.
        """
        checks.count("n", n)
        index = torch.randint(len(self), (n,), generator=generator)
        x1 = self.values(index)
        if self.flips:
            mirrored = torch.rand(n, generator=generator) < 0.5
            x1 = torch.where(mirrored[:, None, None, None], x1.flip(-1), x1)
        return x1, None if self.labels is None else self.labels[index]
