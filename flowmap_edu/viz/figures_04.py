"""The figures of lesson 04: losses between maps, derivatives by steps, two forms of one condition, costs, weights."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz import line
from flowmap_edu.viz.plots import COLOURS

__all__ = ["by_length", "costs", "errors", "errors_of_three", "lines_of_maps", "on_the_line", "quotients"]
__all__ += ["random_network", "three_draws", "two_forms", "weights"]


def errors(
    quotient: Callable[..., Tensor], forward_mode: Callable[..., Any], net: nn.Sequential, z: Tensor, dz: Tensor,
    steps: Tensor, precision: str,
) -> list[float]:  # fmt: skip
    """Relative errors of difference quotients at each step, and last of forward mode, in "float" or "double".

    The reference is forward mode in double precision.
    """
    exact = forward_mode(net, z, dz)[1]
    at, along = (a.to(getattr(torch, precision)) for a in (z, dz))
    f = copy.deepcopy(net).to(at.dtype)
    found = [*(quotient(f, at, along, step) for step in steps.tolist()), forward_mode(f, at, along)[1]]
    return [float((d.double() - exact).norm() / exact.norm()) for d in found]


def random_network(seed: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network with random weights, 1,000 inputs (s, t and x of the plane), and the direction that moves t alone."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 2)).double()
    along_t = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64).expand(1000, 4)
    return net, torch.randn(1000, 4, dtype=torch.float64), along_t


def errors_of_three(
    quotient: Callable[..., Tensor], forward_mode: Callable[..., Any], steps: Tensor
) -> list[tuple[list[float], list[float]]]:
    """The errors in single and in double precision for three random networks."""
    found: list[tuple[list[float], list[float]]] = []
    for seed in (1, 2, 3):
        net, z, along_t = random_network(seed)
        single, double = (errors(quotient, forward_mode, net, z, along_t, steps, kind) for kind in ("float", "double"))
        found.append((single, double))
    return found


def quotients(steps: Tensor, single: Sequence[float], double: Sequence[float]) -> Figure:
    """Relative errors of a derivative against the step of a difference quotient; of forward mode, a dashed line.

    Args:
        steps: the steps, shape (N,).
        single, double: the error at each step, and last that of forward mode, which is 0 in double precision.
    """
    figure, ax = plt.subplots(figsize=(6.2, 3.2))
    for k, (name, error) in enumerate((("single", single), ("double", double))):
        ax.loglog(steps, error[:-1], "os"[k] + "-", color=COLOURS[k], label=f"difference quotient, {name}")
        if error[-1] > 0:
            ax.axhline(error[-1], color=COLOURS[k], ls="--", label=f"forward mode, {name}")
    ax.set(xlabel="step of the difference quotient", ylabel="relative error", title="The error of a derivative in t")
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def on_the_line(
    problem: ExactFlow, maps: Mapping[str, FlowMap], numbers: Mapping[str, float], s: float, t: float, x: float
) -> Figure:
    """The Lagrangian residual of one jump on the line, a panel for each map, with its square in the title.

    Args:
        problem: the problem on the line.
        maps: the maps by name.
        numbers: of each, the squared residual of the jump.
        s, t, x: the jump.
    """
    figure, axes = plt.subplots(1, len(maps), figsize=(9.0, 4.2), sharey=True)
    for ax, (name, X) in zip(axes, maps.items(), strict=True):
        line.density(problem, ax)
        line.gestures(X, s, (s + t) / 2, t, x, ax, which=["lagrangian"])
        ax.set(title=f"{name}: LSD = {numbers[name]:.2f}", ylabel="x" if ax is axes[0] else "")
    return figure


def lines_of_maps(share: Tensor, names: Sequence[str], found: Mapping[str, Tensor]) -> Figure:
    """For each wrong map, the four losses along the line from the exact map (share 0) to it (share 1)."""
    figure, axes = plt.subplots(1, len(found), figsize=(8.4, 3.2), sharey=True)
    for ax, (name, values) in zip(axes, found.items(), strict=True):
        for k, (part, look) in enumerate(zip(names, ("--", "-", "-", "-"), strict=True)):
            ax.semilogy(share, values[:, k].clamp(min=1e-9), look, color=COLOURS[(6, 0, 1, 2)[k]], label=part)
        ax.set(title=f"share 1 is {name}", xlabel="share of the wrong map", ylim=(3e-5, 4))
        ax.set_xticks([-0.5, 0, 0.5, 1, 1.5])
    axes[0].set_ylabel("loss, above its least value")
    axes[-1].legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    return figure


def two_forms(length: Tensor, slopes: Tensor, landings: Tensor) -> Figure:
    """Both forms of the semigroup loss against the length of the jump."""
    figure, ax = plt.subplots(figsize=(6.2, 3.0))
    ax.loglog(length, slopes, "o-", color=COLOURS[2], label="of the slopes")
    ax.loglog(length, landings, "s-", color=COLOURS[3], label="of the landing points")
    ax.set(xlabel="length t - s of the jump", ylabel="mean loss", title="Two forms of one condition, one Euler step")
    ax.set_xticks(length.tolist(), ["1", *(f"1/{1 / a:.0f}" for a in length[1:].tolist())])
    ax.minorticks_off()
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def costs(measures: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """A panel for each measure: what loss and gradient cost, the first loss being 1.

    Args:
        measures: by name of the measure and of the loss, the numbers of some rounds, in order. The middle one is a
            bar, and a black line goes from the least to the largest.
    """
    figure, axes = plt.subplots(1, len(measures), figsize=(9.2, 3.0), sharey=True)
    longest = max(found[-1] for losses in measures.values() for found in losses.values())
    first = {"L": COLOURS[0], "E": COLOURS[1], "P": COLOURS[2]}
    for ax, (title, by_loss) in zip(axes, measures.items(), strict=True):
        middle = [found[len(found) // 2] for found in by_loss.values()]
        ax.barh(list(by_loss), middle, color=[first.get(name[0], "0.6") for name in by_loss])
        for y, (found, length) in enumerate(zip(by_loss.values(), middle, strict=True)):
            ax.plot([found[0], found[-1]], [y, y], color="black", lw=1.5)
            ax.text(found[-1] + 0.02 * longest, y, f"{length:.1f}", va="center", fontsize=8)
        ax.set(xlim=(0, 1.18 * longest), title=title, xlabel="flow matching on the diagonal = 1")
    axes[0].invert_yaxis()
    return figure


def weights(draws: Sequence[Sequence[Tensor]]) -> Figure:
    """The mean loss of the pairs of about one length, as it is and times the learned exp(-w); a line for each draw.

    Args:
        draws: of each draw the length of the jump, the mean loss, and the mean of exp(-w) times the loss.
    """
    figure, ax = plt.subplots(figsize=(6.2, 3.0))
    for k, (length, before, after) in enumerate(draws):
        ax.semilogy(length, before, "o-", color=COLOURS[0], ms=4, lw=1, label=None if k else "loss")
        ax.semilogy(length, after, "s-", color=COLOURS[1], ms=4, lw=1, label=None if k else "exp(-w) times loss")
    ax.axhline(1, color="0.5", ls=":", lw=1)
    ax.set(xlabel="length t - s of the jump", ylabel="mean over pairs", title="The mean loss by the length of the jump")
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def three_draws(
    problem: ExactFlow, pairs: Callable[..., tuple[Tensor, Tensor]], balance: Callable[..., tuple[Tensor, Tensor]]
) -> list[list[Tensor]]:
    """What `by_length` makes of the two tensors of balance(s, t, I_s), for three draws of 20,000 pairs."""
    found: list[list[Tensor]] = []
    for seed in range(3):
        torch.manual_seed(seed)  # of the weight's random features
        generator = torch.Generator().manual_seed(seed)
        s, t = pairs(20_000, generator)
        x0, x1 = problem.base(20_000, generator), problem.sample(20_000, generator=generator)[0]
        x = (1 - s)[:, None] * x0 + s[:, None] * x1
        found.append(by_length(t - s, *balance(s, t, x)))
    return found


def by_length(length: Tensor, *values: Tensor, bins: int = 10) -> list[Tensor]:
    """The middles of the bins of t - s in [0, 1], and the mean of each value in every bin, shape (bins,) each."""
    k = (length * bins).long().clamp(max=bins - 1)
    count = torch.bincount(k, minlength=bins)
    means = [torch.bincount(k, weights=value, minlength=bins) / count for value in values]
    return [(torch.arange(bins) + 0.5) / bins, *means]
