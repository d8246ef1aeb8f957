"""Train the small classifier of a data set.

python -m flowmap_edu.recipes.classifier digits FILE.safetensors      a minute or a few; says how much it knows
"""

import sys

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from flowmap_edu import _checks as checks
from flowmap_edu.metrics.classifier import Classifier, build
from flowmap_edu.problems.image_sets import Digits, Emoji
from flowmap_edu.problems.mnist import Mnist

DATA = {"digits": Digits, "mnist": Mnist, "emoji": Emoji}


def jittered(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images moved by up to one pixel in each direction, with a little noise."""
    padded = F.pad(x, (1, 1, 1, 1), value=-1.0)
    dx, dy = torch.randint(3, (2,), generator=generator).tolist()
    height, width = x.shape[2:]
    return padded[:, :, dy : dy + height, dx : dx + width] + 0.1 * torch.randn(x.shape, generator=generator)


def train(problem: str = "digits", steps: int = 4000, seed: int = 0) -> Classifier:
    """Cross entropy on the training images, moved and noised; Adam, cosine to zero."""
    checks.one_of("problem", problem, DATA)
    data, generator = DATA[problem]().data(), torch.Generator().manual_seed(seed)
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


def main(problem: str, path: str) -> None:
    """Train, save, and say how many held-out images are read right."""
    net, held_out = train(problem), DATA[problem]().data(train=False)
    save_file(net.state_dict(), path)
    right = (net.read(held_out.values()) == held_out.labels).double().mean()
    print(f"{path}: {right:.1%} of {len(held_out)} held-out images read right")


if __name__ == "__main__":
    main(*sys.argv[1:])
