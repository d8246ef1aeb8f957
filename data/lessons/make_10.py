"""Make 10.json: the seeds 1 and 2 of what lesson 10 compares; it trains the seed 0 itself.

    OMP_NUM_THREADS=1 python data/lessons/make_10.py           (20 CPU minutes)

All trainings are on the digits, with batches of 64. Maps are measured with their averaged weights unless the name says
"last". A training of the file has the Fréchet distance of one jump to the held-out digits, the share of labels that are
read back, and the mean squared residuals on and off the diagonal. `gradients` has of each loss the length of the mean
gradient and the noise over it; `jumps` has of the plain training the share of grey pixels and the Fréchet distance for
each number of jumps, and how far one jump and sixteen are apart. `longer` has of three seeds, 0 too, the training with
the learned weight and twice as many steps, or null where it stopped being finite.
"""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu import METHODS, FlowMap, methods, problems, recipes, training
from flowmap_edu.losses import Batch
from flowmap_edu.methods import Method
from flowmap_edu.metrics import classifier, images

FILE = Path(__file__).parent / "10.json"
STEPS, SEEDS, JUMPS = 400, (1, 2), (1, 2, 4, 8, 16)
DIGITS = problems.Digits(split=None)  # in the order of their file, as when these trainings were made
READ = classifier.load(FILE.with_name("10-classifier.safetensors"))  # trained on the same part
HELD_OUT = DIGITS.data(train=False).values()
SETTINGS = training.Training(steps=STEPS, batch=64, diagonal=0.5)
LOSSES = {
    "PSD-M": ("psd-m", "convex"),
    "LSD": ("lsd", "convex"),
    "LSD, none held": ("lsd", "none"),
    "ESD, full": ("esd", "full"),
    "ESD, convex": ("esd", "convex"),
    "ESD, none held": ("esd", "none"),
}


def run(seed: int, method: str | Method = "lsd", net: nn.Module | None = None, **changes: Any) -> training.State:
    """A training that differs from the recipe in `changes`, from the weights of `net` if it is given."""
    start = None if net is None else copy.deepcopy(net).requires_grad_(True)
    settings: dict[str, Any] = {"steps": STEPS, "batch": 64, "compile": False, "seed": seed} | changes
    four = recipes.recipe("digits", method, problem=DIGITS, net=start, **settings)
    *_, state = training.fit(*four, every=settings["steps"])
    return state


def score(net: nn.Module, jumps: int = 1) -> tuple[float, float, Tensor]:
    """The Fréchet distance after some jumps, the labels read back, and the digits."""
    x, labels = DIGITS.digits(FlowMap(net.eval()), jumps, seed=0)
    return images.frechet(READ, x, HELD_OUT), (READ.read(x) == labels).double().mean().item(), x


def told(net: nn.Module, label: Tensor | None) -> FlowMap:
    """The map of a network that is told labels, without its dropout."""
    return FlowMap(net).conditioned(label=label, dropout=False)


def jumps_of(batch: Batch) -> Batch:
    """The jumps alone."""
    return batch._replace(diagonal=batch.changed(lambda x: x[:0]).diagonal)


@torch.no_grad()
def measured(net: nn.Module) -> dict[str, float]:
    """The distance, the labels, and the residuals on and off the diagonal over one large batch."""
    lsd, large = METHODS["lsd"], dataclasses.replace(SETTINGS, batch=512)
    batch = training.draw_batch(DIGITS, lsd, large, torch.Generator().manual_seed(1))
    on = batch._replace(jumps=batch.changed(lambda x: x[:0]).jumps)
    pairs = ((told(net, batch.diagonal.label), on), (told(net, batch.jumps.label), jumps_of(batch)))
    residuals = [methods.loss(X, part, lsd).mean().item() for X, part in pairs]
    return dict(zip(("fd", "labels", "on", "off"), (*score(net)[:2], *residuals), strict=True))


def gradients(net: nn.Module, method: str, stopgrad: str) -> tuple[float, float]:
    """The length of the mean gradient of 16 batches' loss off the diagonal, and the noise over it."""
    chosen, rows, generator = dataclasses.replace(METHODS[method], stopgrad=stopgrad), [], torch.Generator()
    generator.manual_seed(0)
    weights = [p for p in net.parameters() if p.requires_grad]
    for _ in range(16):
        batch = training.draw_batch(DIGITS, METHODS["lsd"], SETTINGS, generator)
        loss = methods.loss(told(net, batch.jumps.label), jumps_of(batch), chosen).mean()
        parts = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([part.flatten() for part in parts]))
    each = torch.stack(rows)
    length, noise = each.mean(0).norm(), (each - each.mean(0)).norm(dim=1).mean()
    return length.item(), (noise / length).item()


@torch.no_grad()
def by_jumps(X: FlowMap, net: nn.Module) -> dict[str, Any]:
    """Grey pixels and the Fréchet distance for each number of jumps; one jump against sixteen."""
    drawn = {n: score(net, n) for n in JUMPS}
    x0, ten = DIGITS.base(10, torch.Generator().manual_seed(3)), torch.arange(10)
    one, many = (X.sample(x0, n, label=ten) for n in (1, 16))
    return {
        "grey": {n: (x.abs() < 0.8).double().mean().item() for n, (_, _, x) in drawn.items()},
        "fd": {n: fd for n, (fd, _, _) in drawn.items()},
        "apart": (one - many).square().mean().sqrt().item(),
    }


def made(seed: int) -> dict[str, Any]:
    """All trainings of a seed, as lesson 10 makes them."""
    found: dict[str, Any] = {"seed": seed}
    neutral = copy.deepcopy(run(seed, "fm").average.module).requires_grad_(True)
    found["gradients"] = {name: gradients(neutral, *choice) for name, choice in LOSSES.items()}
    plain = run(seed)
    found["jumps"] = by_jumps(plain.X, plain.average.module)
    half = run(seed, steps=STEPS // 2).average.module
    states = {
        "convex": plain,
        "none": run(seed, dataclasses.replace(METHODS["lsd"], stopgrad="none")),
        "weight": run(seed, weighting=True),
        "then with": run(seed, net=half, steps=STEPS // 2, weighting=True),
        "then without": run(seed, net=half, steps=STEPS // 2),
    }
    found["trainings"] = {name: measured(state.average.module) for name, state in states.items()}
    constant = run(seed, decay="none", ema=0.9, second_ema=0.99)
    assert constant.second is not None
    nets = {"last": constant.net, "0.9": constant.average.module, "0.99": constant.second.module}
    found["averages"] = {name: score(net)[0] for name, net in nets.items()}
    found["averages"] |= {"falling, last": score(plain.net)[0], "falling, average": found["trainings"]["convex"]["fd"]}
    return found


def longer(seed: int) -> dict[str, float] | None:
    """The learned weight from the first step, with twice as many steps; None if it stops being finite."""
    try:
        return measured(run(seed, weighting=True, steps=2 * STEPS).average.module)
    except training.DivergedError:
        return None


def main() -> None:
    """Make the seeds; write after each."""
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        rows.append(made(seed))
        FILE.write_text(json.dumps({"steps": STEPS, "seeds": rows}, indent=1) + "\n", encoding="utf-8")
    both = {"steps": STEPS, "seeds": rows, "longer": [longer(seed) for seed in (0, *SEEDS)]}
    FILE.write_text(json.dumps(both, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
