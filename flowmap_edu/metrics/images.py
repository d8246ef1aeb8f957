"""How good images are: the Fréchet and the kernel distance.

The Fréchet distance of two sets of features with means m and covariances C is

    |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^{1/2}),

the kernel distance of two sets x and y of m features of length d each is

    1/(m (m-1)) sum_{i != j} [k(x_i, x_j) + k(y_i, y_j)] - 2/m^2 sum_{i, j} k(x_i, y_j),   k(x, y) = (x . y / d + 1)^3,

an unbiased estimate, which a Fréchet distance is not: that one is too large, the more so the fewer the images.
FID and KID take the features from the Inception network (inception.py), FD-digits from our digit classifier; any
network that maps images to features, and knows their number as `num_features`, can be given. The computation is
torchmetrics'. coverage.py has precision and recall.
Source: Heusel et al. 2017 (FID); Bińkowski et al. 2018 (KID).
"""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu._precision import float32_products

SUBSET, SUBSETS = 1000, 100  # of KID, as its authors and everybody after them


def as_bytes(x: Tensor) -> Tensor:
    """Images in [-1, 1] as the nearest of 256 levels, uint8 of the same shape; what is outside is cut off.

    Raises:
        ValueError: if x is not floating-point, or holds a nan or an infinity.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise ValueError(f"the images must be a floating-point tensor, got {checks.kind(x)}")
    checks.finite("the images", x)
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_bytes(pixels: Tensor) -> Tensor:
    """2 pixel / 255 - 1, float32: `as_bytes` undone; ValueError unless pixels is uint8."""
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8:
        raise ValueError(f"pixels must be a tensor of uint8, got {checks.kind(pixels)}")
    return 2 * (pixels.float() / 255) - 1


class Extracted(nn.Module):
    """Features that are already there, handed on to torchmetrics as they are."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x


def length_of(features: nn.Module) -> int:
    """How many features the network gives an image."""
    n = getattr(features, "num_features", None)
    if not isinstance(n, int):
        raise ValueError(f"features must know their number as num_features; {type(features).__name__} has {n!r}")
    return n


@torch.no_grad()
def extract(features: nn.Module, images: Tensor) -> Tensor:
    """The features of some images, shape (B, F), computed where the network is, kept on the CPU.

    For `Extracted` the images are features already and come back as they are.

    Raises:
        ValueError: if the images are not floating-point, finite and in [-1, 1], or the network gives something of
            another shape or not finite.
    """
    if isinstance(features, Extracted):
        checks.finite("the features", images)
        return images
    checks.images("images", images)
    device = next((p.device for p in features.parameters()), images.device)
    with float32_products(device, tf32=False):
        found = features(images.detach().to(device)).cpu()
    wanted = (len(images), length_of(features))
    if found.shape != wanted:
        raise ValueError(f"features of shape {wanted} are wanted, {type(features).__name__} gave {tuple(found.shape)}")
    checks.finite(f"what {type(features).__name__} gives", found)
    return found


class Kernel(NamedTuple):
    """The kernel distance: its mean over the subsets, and its standard deviation among them."""

    mean: float
    std: float


class Reference:
    """Images that others are measured against; the features of each image are computed once, for both distances.

    The images come in parts (B, C, H, W), so that nobody has to hold all of them; their features are kept.

        reference = Reference(features, parts)
        reference.hold(others).frechet(), reference.kid()

    Args:
        features: maps images (B, C, H, W) to (B, F) and knows F as `num_features`.
        parts: the reference's images, floating-point in [-1, 1].

    Raises:
        ValueError: if they are fewer than two, not floating-point, not finite or not in [-1, 1].
    """

    def __init__(self, features: nn.Module, parts: Iterable[Tensor]):
        self.features, given = features, Extracted(length_of(features))
        frechet, kernel = (checks.extra(f"torchmetrics.image.{name}", "images") for name in ("fid", "kid"))
        own = {"reset_real_features": False, "sync_on_compute": False}  # this process's images, whatever others do
        self.metric = frechet.FrechetInceptionDistance(feature=given, **own)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all")
            self.kernel = kernel.KernelInceptionDistance(feature=given, **own)
        self.n, self.held = self.add(parts, real=True), 0

    def add(self, parts: Iterable[Tensor], real: bool) -> int:
        """Extract and keep the features of some images; how many there were."""
        n = 0
        for part in parts:
            found, n = extract(self.features, part), n + len(part)
            self.metric.update(found, real=real)
            self.kernel.update(found, real=real)
        if n < 2:
            raise ValueError(f"at least two images are wanted, got {n}")
        return n

    def hold(self, parts: Iterable[Tensor]) -> "Reference":
        """Take these images as the ones to measure, in place of those before; the reference itself is returned.

        Raises:
            ValueError: if they are fewer than two.
        """
        self.metric.reset()
        self.kernel.reset()
        self.held = self.add(parts, real=False)
        return self

    def frechet(self) -> float:
        """The Fréchet distance of the images held to the reference."""
        return float(self.metric.compute())

    def kid(self, *, subset: int | None = None, subsets: int = SUBSETS, seed: int = 0) -> Kernel:
        """The kernel distance of the images held to the reference, as the function `kid` below."""
        most = min(self.n, self.held)
        subset = min(SUBSET, most) if subset is None else subset
        subsets, generator = checks.count("subsets", subsets), checks.generator(seed)
        if isinstance(subset, bool) or not isinstance(subset, (int, np.integer)) or not 2 <= subset <= most:
            raise ValueError(f"subset must be a whole number from 2 to {most}, the smaller set's size; got {subset!r}")
        self.kernel.subset_size, self.kernel.subsets = int(subset), subsets
        with torch.random.fork_rng(devices=[]):  # torchmetrics draws the subsets from the global generator
            torch.default_generator.manual_seed(generator.initial_seed())
            mean, std = self.kernel.compute()
        return Kernel(float(mean), float(std))


def between(features: nn.Module, first: Tensor, second: Tensor, chunk: int) -> Reference:
    """`second` as the reference, holding `first`; ValueError unless both are at least two images of one shape."""
    for name, x in (("first", first), ("second", second)):
        checks.images(name, x)
        if len(x) < 2:
            raise ValueError(f"{name} must be at least two images (B, C, H, W), got {tuple(x.shape)}")
    checks.same_shape("an image of first", first[0], "an image of second", second[0])
    chunk = checks.count("chunk", chunk)
    return Reference(features, second.split(chunk)).hold(first.split(chunk))


def frechet(features: nn.Module, first: Tensor, second: Tensor, *, chunk: int = 500) -> float:
    """The Fréchet distance between two sets of images, in the squared units of the features.

    Args:
        features: maps images (B, C, H, W) to (B, F) and knows F as `num_features`.
        first, second: images in [-1, 1], floating-point, shape (B, C, H, W), at least two each.

    Raises:
        ValueError: if one set is too small, not finite or not in [-1, 1], or the shapes of the images differ.
    """
    return between(features, first, second, chunk).frechet()


def kid(
    features: nn.Module,
    first: Tensor,
    second: Tensor,
    *,
    subset: int | None = None,
    subsets: int = SUBSETS,
    seed: int = 0,
    chunk: int = 500,
) -> Kernel:
    """The kernel distance between two sets of images, over `subsets` random subsets of `subset` images of each.

    For two sets of one distribution it scatters around 0, and is below it as often as not. It is a function of its
    arguments: torch's global generator is neither read nor moved.

    Args:
        features: maps images (B, C, H, W) to (B, F) and knows F as `num_features`.
        first, second: images in [-1, 1], floating-point, shape (B, C, H, W), at least two each.
        subset: None: 1,000, or the smaller set if that is less.
        seed: of the subsets.

    Raises:
        ValueError: if one set is too small, not finite or not in [-1, 1], the shapes of the images differ, or there
            is no such subset.
    """
    return between(features, first, second, chunk).kid(subset=subset, subsets=subsets, seed=seed)
