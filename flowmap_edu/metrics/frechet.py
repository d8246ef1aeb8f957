"""Numbers that say how good pictures are: Fréchet and kernel distance, and how much is memorised.

The Fréchet distance of two sets of features with means m and covariances C is

    |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^{1/2}),

the kernel distance of two sets x and y of m features of length d each is

    1/(m (m-1)) sum_{i != j} [k(x_i, x_j) + k(y_i, y_j)] - 2/m^2 sum_{i, j} k(x_i, y_j),   k(x, y) = (x . y / d + 1)^3,

an unbiased estimate, which a Fréchet distance is not: that one is too large, the more so the fewer the pictures.
FID and KID take the features from the Inception network (inception.py), FD-digits from our digit classifier; any
network that maps pictures to features, and knows their number as `num_features`, can be given. The computation is
torchmetrics'. It has no precision and recall, so neither have we.
Source: Heusel et al. 2017 (FID); Bińkowski et al. 2018 (KID).
"""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from flowmap_edu import _checks as checks

SUBSET, SUBSETS = 1000, 100  # of KID, as its authors and everybody after them


class Extracted(nn.Module):
    """Features that are already there, handed on to torchmetrics as they are."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        """x itself."""
        return x


def length_of(features: nn.Module) -> int:
    """How many features the network gives a picture."""
    n = getattr(features, "num_features", None)
    if not isinstance(n, int):
        raise ValueError(f"features must know their number as num_features; {type(features).__name__} has {n!r}")
    return n


@torch.no_grad()
def extract(features: nn.Module, pictures: Tensor) -> Tensor:
    """The features of some pictures, shape (B, F), computed where the network is, kept on the CPU.

    Raises:
        ValueError: if the network gives something of another shape.
    """
    device = next((p.device for p in features.parameters()), pictures.device)
    found = features(pictures.to(device)).cpu()
    wanted = (len(pictures), length_of(features))
    if found.shape != wanted:
        raise ValueError(f"features of shape {wanted} are wanted, {type(features).__name__} gave {tuple(found.shape)}")
    return found


class Kernel(NamedTuple):
    """The kernel distance: its mean over the subsets, and its standard deviation among them."""

    mean: float
    std: float


class Reference:
    """Pictures that others are measured against; the features of each picture are computed once, for both distances.

    The pictures come in parts (B, C, H, W), so that nobody has to hold all of them; their features are kept.

        reference = Reference(features, parts)
        reference.hold(others).frechet(), reference.kid()

    Args:
        features: maps pictures (B, C, H, W) to (B, F) and knows F as `num_features`.
        parts: the reference's pictures, as `features` wants them.

    Raises:
        ValueError: if they are fewer than two.
    """

    def __init__(self, features: nn.Module, parts: Iterable[Tensor]):
        self.features, given = features, Extracted(length_of(features))
        self.metric = FrechetInceptionDistance(feature=given, reset_real_features=False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all")
            self.kernel = KernelInceptionDistance(feature=given, reset_real_features=False)
        self.n, self.held = self.add(parts, real=True), 0

    def add(self, parts: Iterable[Tensor], real: bool) -> int:
        """Extract and keep the features of some pictures; how many there were."""
        n = 0
        for part in parts:
            found, n = extract(self.features, part), n + len(part)
            self.metric.update(found, real=real)
            self.kernel.update(found, real=real)
        if n < 2:
            raise ValueError(f"at least two pictures are wanted, got {n}")
        return n

    def hold(self, parts: Iterable[Tensor]) -> "Reference":
        """Take these pictures as the ones to measure, in place of those before; the reference itself is returned.

        Raises:
            ValueError: if they are fewer than two.
        """
        self.metric.reset()
        self.kernel.reset()
        self.held = self.add(parts, real=False)
        return self

    def frechet(self) -> float:
        """The Fréchet distance of the pictures held to the reference."""
        return float(self.metric.compute())

    def kid(self, *, subset: int | None = None, subsets: int = SUBSETS, seed: int = 0) -> Kernel:
        """The kernel distance of the pictures held to the reference, as the function `kid` below."""
        most = min(self.n, self.held)
        subset = min(SUBSET, most) if subset is None else subset
        checks.count("subsets", subsets)
        if isinstance(subset, bool) or not isinstance(subset, int) or not 2 <= subset <= most:
            raise ValueError(f"subset must be a whole number from 2 to {most}, the smaller set's size; got {subset!r}")
        self.kernel.subset_size, self.kernel.subsets = subset, subsets
        with torch.random.fork_rng(devices=[]):  # torchmetrics draws the subsets from the global generator
            torch.default_generator.manual_seed(seed)
            mean, std = self.kernel.compute()
        return Kernel(float(mean), float(std))


def between(features: nn.Module, first: Tensor, second: Tensor, chunk: int) -> Reference:
    """`second` as the reference, holding `first`; ValueError unless both are at least two pictures of one shape."""
    for name, x in (("first", first), ("second", second)):
        if x.ndim != 4 or len(x) < 2:
            raise ValueError(f"{name} must be at least two pictures (B, C, H, W), got {tuple(x.shape)}")
    checks.same_shape("a picture of first", first[0], "a picture of second", second[0])
    return Reference(features, second.split(chunk)).hold(first.split(chunk))


def frechet(features: nn.Module, first: Tensor, second: Tensor, *, chunk: int = 500) -> float:
    """The Fréchet distance between two sets of pictures, in the squared units of the features.

    Args:
        features: maps pictures (B, C, H, W) to (B, F) and knows F as `num_features`.
        first, second: pictures as `features` wants them, at least two each.

    Raises:
        ValueError: if one set is too small, or the shapes of the pictures differ.
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
    """The kernel distance between two sets of pictures, over `subsets` random subsets of `subset` pictures of each.

    For two sets of one distribution it scatters around 0, and is below it as often as not. It is a function of its
    arguments: torch's global generator is neither read nor moved.

    Args:
        features: maps pictures (B, C, H, W) to (B, F) and knows F as `num_features`.
        first, second: pictures as `features` wants them, at least two each.
        subset: None: 1,000, or the smaller set if that is less.
        seed: of the subsets.

    Raises:
        ValueError: if one set is too small, the shapes of the pictures differ, or there is no such subset.
    """
    return between(features, first, second, chunk).kid(subset=subset, subsets=subsets, seed=seed)


def nearest(pictures: Tensor, among: Tensor) -> Tensor:
    """The Euclidean distance of each picture to the nearest of `among`, shape (B,)."""
    exact = "donot_use_mm_for_euclid_dist"  # the faster |a|^2 - 2 ab + |b|^2 gives a copy a distance above 0
    return torch.cdist(pictures.flatten(1), among.flatten(1), compute_mode=exact).min(1).values


class Memorised(NamedTuple):
    """Mean distance to the nearest training and to the nearest held-out picture, and the share nearer to training."""

    to_train: float
    to_held_out: float
    nearer_to_train: float


def memorised(pictures: Tensor, train: Tensor, held_out: Tensor, generator: torch.Generator | None = None) -> Memorised:
    """Whether pictures lie nearer to those that were trained on than to others of the same kind.

    As many training pictures as there are held-out ones are compared, drawn at random, since the nearest of
    more is nearer. If the two sets are random parts of one collection, pictures that were not memorised have a
    share near 1/2; if not, compare with what real pictures score.

    Raises:
        ValueError: if there are fewer training than held-out pictures.
    """
    if len(train) < len(held_out):
        raise ValueError(f"at least {len(held_out)} training pictures are wanted, got {len(train)}")
    some = train[torch.randperm(len(train), generator=generator)[: len(held_out)]]
    a, b = nearest(pictures, some), nearest(pictures, held_out)
    return Memorised(a.mean().item(), b.mean().item(), (a < b).double().mean().item())
