"""The features of many images, part by part; those of real images are kept on disk.

Only the Inception network's are kept: it takes minutes or hours, our small classifiers take seconds. They are kept in
the folder `features` of $FLOWMAP_EDU_CACHE, or of ~/.cache/flowmap_edu: a folder for each network and set of images,
and in it a file for each part. The folder's name is a digest of all that decides the numbers, up to the rounding of
another number of threads or another kind of GPU. Each file says which part it is, and has a digest of its numbers: a
damaged file, or one from elsewhere, is computed again.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn

from flowmap_edu.metrics import images as distances
from flowmap_edu.metrics.inception import Inception
from flowmap_edu.problems import prepared, samples
from flowmap_edu.problems.pixels import Images

RULES = 1  # count up when the same images and weights give other features

Job = Callable[[], Tensor]  # it computes the features of one part, shape (B, F)
Spread = Callable[[Iterable[Job]], Iterable[Tensor]]


def one_by_one(jobs: Iterable[Job]) -> Iterator[Tensor]:
    """What the jobs return, in their order: this process does them all."""
    return (job() for job in jobs)


def usable(device: str | torch.device) -> torch.device:
    """The device of that name; ValueError if torch does not see it here."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"device must be one that torch sees here, such as 'cpu'; got {device!r}: {said}") from error
    return found


def key(features: nn.Module, images: Images, parts: Sequence[Tensor], device: torch.device) -> str:
    """A digest of all that decides the features: images, their order and parts, network, weights, torch, device."""
    weights = features.state_dict()
    return prepared.digest(
        "\n".join(
            [
                f"{RULES} torch {torch.__version__.partition('.')[0]} {device.type} {images.levels}",
                samples.digest(images.pixels),
                samples.digest(*parts),
                *(f"{name} {type(m).__module__}.{type(m).__qualname__}" for name, m in features.named_modules()),
                *weights,
                samples.digest(*(x.cpu() for x in weights.values())),
            ]
        ),
        64,
    )


class Shelf:
    """The files that keep the features of a set of images.

    Args:
        name: the data set's and the part's, the beginning of the folder's name.
        key: the digest of all that decides the features.
    """

    def __init__(self, name: str, key: str):
        self.key, self.folder = key, prepared.cache("features") / f"{name}-{key[:16]}"
        self.writable = True

    def place(self, number: int) -> Path:
        """The file of a part."""
        return self.folder / f"{number:05d}.safetensors"

    def about(self, number: int, found: Tensor) -> dict[str, str]:
        """What the file of a part says of itself."""
        return {"key": self.key, "part": str(number), "sha256": samples.digest(found)}

    def read(self, number: int) -> Tensor | None:
        """The features of a part; None if its file is missing, damaged or from elsewhere."""
        try:
            with safe_open(self.place(number), framework="pt") as file:
                said, found = file.metadata(), file.get_tensor("features").clone()
            return found if said == self.about(number, found) else None
        except (OSError, SafetensorError, TypeError):  # TypeError: numbers of a kind that we never write
            return None

    def features(self, number: int, compute: Job) -> Tensor:
        """The features of a part: from its file, or computed and kept there.

        Where nothing can be written there is one warning.
        """
        found = self.read(number)
        if found is None:
            found = compute()
            content = tensors_to_bytes({"features": found.contiguous()}, self.about(number, found))
            if self.writable:
                place, instead = self.place(number), "these features are computed again the next time"
                self.writable = prepared.written(place, lambda file: file.write(content), instead)
        return found


def of_real(
    features: nn.Module, images: Images, parts: Sequence[Tensor], name: str, device: torch.device
) -> Iterator[Job]:
    """Jobs that give the features of real images, part by part.

    Args:
        features: the network, on the device.
        images: the data set's part.
        parts: the indices of each part's images.
        name: the data set's and the part's.
        device: where the network is.
    """
    shelf = Shelf(name, key(features, images, parts, device)) if type(features) is Inception else None
    for number, index in enumerate(parts):
        job = functools.partial(extract_real, features, images, index)
        yield job if shelf is None else functools.partial(shelf.features, number, job)


def extract_real(features: nn.Module, images: Images, index: Tensor) -> Tensor:
    """The features of the images at `index`, shape (B, F)."""
    return distances.extract(features, images.values(index))
