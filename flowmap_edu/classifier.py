"""A small classifier of the 8 x 8 digits: its features give the Fréchet distance, its answers the labels read back.

    python -m flowmap_edu.classifier FILE.safetensors      trains it (about a minute) and says how much it knows

The shipped weights, data/digits-classifier/classifier.safetensors, were made by that command.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from flowmap_edu import datasets

FEATURES = 64


class DigitClassifier(nn.Module):
    """Three convolutions and a layer of 64 features; ten logits.

    Its forward pass gives the *features*, shape (B, 64), as metrics that compare distributions want it; `logits`
    gives the answers, shape (B, 10). Pictures x are (B, 1, 8, 8) in [-1, 1].
    """

    num_features = FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(64, 64, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(64 * 16, FEATURES), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The features, shape (B, 64).

        Raises:
            ValueError: if x is not of shape (B, 1, 8, 8).
        """
        if x.ndim != 4 or x.shape[1:] != (1, 8, 8):
            raise ValueError(f"pictures must have shape (B, 1, 8, 8), got {tuple(x.shape)}")
        return self.body(x)

    def logits(self, x: Tensor) -> Tensor:
        """Ten logits a picture, shape (B, 10)."""
        return self.head(self(x))

    @torch.no_grad()
    def read(self, x: Tensor) -> Tensor:
        """The digit that it sees in each picture, shape (B,)."""
        return self.logits(x).argmax(1)


def jittered(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures moved by up to one pixel in each direction, with a little noise."""
    padded = F.pad(x, (1, 1, 1, 1), value=-1.0)
    dx, dy = torch.randint(3, (2,), generator=generator).tolist()
    return padded[:, :, dy : dy + 8, dx : dx + 8] + 0.1 * torch.randn(x.shape, generator=generator)


def train(steps: int = 4000, seed: int = 0) -> DigitClassifier:
    """Cross entropy on the 1,400 training digits, moved and noised; Adam, cosine to zero."""
    data, generator = datasets.load("digits"), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = DigitClassifier()
    optimizer = torch.optim.Adam(net.parameters(), 2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        x, labels = data.draw(64, generator)
        loss = F.cross_entropy(net.logits(jittered(x, generator)), labels, label_smoothing=0.05)  # type: ignore[arg-type]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return net.eval().requires_grad_(False)


def load(path: str | Path | None = None) -> DigitClassifier:
    """The classifier with the weights in a safetensors file; without one, with the shipped weights."""
    net = DigitClassifier()
    net.load_state_dict(load_file(path or datasets.shipped_folder() / "digits-classifier" / "classifier.safetensors"))
    return net.eval().requires_grad_(False)


def main(path: str) -> None:
    """Train, save, and say how many held-out digits are read right."""
    net, held_out = train(), datasets.load("digits", train=False)
    save_file(net.state_dict(), path)
    right = (net.read(held_out.values()) == held_out.labels).double().mean()
    print(f"{path}: {right:.1%} of {len(held_out)} held-out digits read right")


if __name__ == "__main__":
    main(sys.argv[1])
