"""A small classifier of a data set: its features give a Fréchet distance, its answers the labels read back.

The shipped weights, data/digits-classifier, data/mnist-classifier and data/emoji-classifier, were made by `python -m
flowmap_edu.recipes.classifier`. Photographs are compared by the far larger Inception network (`inception.py`).
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu._shipped import shipped_folder

FEATURES = 64
KNOWN = {
    "digits": {"size": 8, "channels": 1},
    "mnist": {"size": 28, "channels": 1},
    "emoji": {"size": 32, "channels": 3},
}


class Classifier(nn.Module):
    """Convolutions that halve the image down to 4 x 4, and a layer of 64 features; one logit a class.

    Its forward pass gives the *features*, shape (B, 64), as metrics that compare distributions want it; `logits`
    gives the answers, shape (B, classes). Pictures x are (B, channels, size, size) in [-1, 1].

    Args:
        size: side of the images, which halved (and rounded up) some times is 4.
        channels: of an image.
        classes: how many.
    """

    num_features = FEATURES

    def __init__(self, size: int = 8, channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        layers: list[nn.Module] = [nn.Conv2d(channels, 32, 3, padding=1), nn.SiLU()]
        width = 32
        while size > 4:
            layers += [nn.Conv2d(width, 64, 3, stride=2, padding=1), nn.SiLU()]
            width, size = 64, (size + 1) // 2
        layers += [nn.Conv2d(width, 64, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(64 * 16, FEATURES), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """The features, shape (B, 64).

        Raises:
            ValueError: if x has another shape or type.
        """
        dtype = self.head.weight.dtype
        if not isinstance(x, Tensor) or x.shape[1:] != self.shape or x.dtype != dtype:
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"images must have shape (B, {wanted}), got {checks.kind(x)}; {dtype} is wanted")
        return self.body(x)

    def logits(self, x: Tensor) -> Tensor:
        """One logit a class, shape (B, classes)."""
        return self.head(self(x))

    @torch.no_grad()
    def read(self, x: Tensor) -> Tensor:
        """The class that it sees in each image, shape (B,); ValueError unless all are finite and in [-1, 1]."""
        checks.images("images", x)
        return self.logits(x).argmax(1)


def build(problem: str) -> Classifier:
    """The network for a data set of `KNOWN`, with weights from torch's global generator."""
    checks.one_of("problem", problem, KNOWN)
    return Classifier(**KNOWN[problem])


def load(path: str | Path | None = None, problem: str = "digits") -> Classifier:
    """The classifier with the weights in a safetensors file; without one, with the shipped weights.

    Raises:
        ValueError: if there is none for the data set, or the file is missing, damaged or of another network.
    """
    net = build(problem)
    path = Path(path or shipped_folder() / f"{problem}-classifier" / "classifier.safetensors")
    try:
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is missing, damaged or not a classifier of {problem}: {error}") from error
    return net.eval().requires_grad_(False)
