"""A small classifier of a data set: its features give a Fréchet distance, its answers the labels read back.

    python -m flowmap_edu.metrics.classifier digits FILE.safetensors    trains it, says how much it knows

The shipped weights, data/digits-classifier and data/emoji-classifier, were made by that command. Photographs are
judged by the Inception network (`inception.py`), which is far larger and comes by hand.
"""

import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from flowmap_edu import _checks as checks
from flowmap_edu.problems import datasets

FEATURES = 64
KNOWN = {"digits": {"size": 8, "channels": 1}, "emoji": {"size": 32, "channels": 3}}


class Classifier(nn.Module):
    """Convolutions that halve the picture down to 4 x 4, and a layer of 64 features; one logit a class.

    Its forward pass gives the *features*, shape (B, 64), as metrics that compare distributions want it; `logits`
    gives the answers, shape (B, classes). Pictures x are (B, channels, size, size) in [-1, 1].

    Args:
        size: side of the pictures, 4 times a power of two.
        channels: of a picture.
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
            width, size = 64, size // 2
        layers += [nn.Conv2d(width, 64, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(64 * 16, FEATURES), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        """The features, shape (B, 64).

        Raises:
            ValueError: if x has another shape.
        """
        if x.ndim != 4 or x.shape[1:] != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"pictures must have shape (B, {wanted}), got {tuple(x.shape)}")
        return self.body(x)

    def logits(self, x: Tensor) -> Tensor:
        """One logit a class, shape (B, classes)."""
        return self.head(self(x))

    @torch.no_grad()
    def read(self, x: Tensor) -> Tensor:
        """The class that it sees in each picture, shape (B,)."""
        return self.logits(x).argmax(1)


def build(problem: str) -> Classifier:
    """The network for a data set of `KNOWN`, with weights from torch's global generator."""
    checks.one_of("problem", problem, KNOWN)
    return Classifier(**KNOWN[problem])


def jittered(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures moved by up to one pixel in each direction, with a little noise."""
    padded = F.pad(x, (1, 1, 1, 1), value=-1.0)
    dx, dy = torch.randint(3, (2,), generator=generator).tolist()
    height, width = x.shape[2:]
    return padded[:, :, dy : dy + height, dx : dx + width] + 0.1 * torch.randn(x.shape, generator=generator)


def train(problem: str = "digits", steps: int = 4000, seed: int = 0) -> Classifier:
    """Cross entropy on the training pictures, moved and noised; Adam, cosine to zero."""
    data, generator = datasets.load(problem), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build(problem)
    optimizer = torch.optim.Adam(net.parameters(), 2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in tqdm(range(steps), desc=f"classifier of {problem}", unit="step", disable=not sys.stderr.isatty()):
        x, labels = data.draw(64, generator)
        loss = F.cross_entropy(net.logits(jittered(x, generator)), labels, label_smoothing=0.05)  # type: ignore[arg-type]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return net.eval().requires_grad_(False)


def load(path: str | Path | None = None, problem: str = "digits") -> Classifier:
    """The classifier with the weights in a safetensors file; without one, with the shipped weights.

    Raises:
        ValueError: if there is none for the data set, or the file is missing, damaged or of another network.
    """
    net = build(problem)
    path = Path(path or datasets.shipped_folder() / f"{problem}-classifier" / "classifier.safetensors")
    try:
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is missing, damaged or not a classifier of {problem}: {error}") from error
    return net.eval().requires_grad_(False)


def main(problem: str, path: str) -> None:
    """Train, save, and say how many held-out pictures are read right."""
    net, held_out = train(problem), datasets.load(problem, train=False)
    save_file(net.state_dict(), path)
    right = (net.read(held_out.values()) == held_out.labels).double().mean()
    print(f"{path}: {right:.1%} of {len(held_out)} held-out pictures read right")


if __name__ == "__main__":
    main(*sys.argv[1:])
