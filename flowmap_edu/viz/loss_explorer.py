r"""The losses and their gradients for a map with one parameter.

    v_{s,t}(x) = theta v*_{s,t}(x),   v* the exact average slope between two Gaussians,

is the flow map at theta = 1. `loss_explorer` draws a loss of losses.py as a function of theta. Next to it, it draws
the step of training, which is minus the gradient. A stop-gradient changes the step but not the loss.
"""

from collections.abc import Mapping

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from flowmap_edu import losses
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems.gaussian import Gaussian
from flowmap_edu.times import GRID, triangle
from flowmap_edu.viz import plots
from flowmap_edu.viz.controls import Menu
from flowmap_edu.viz.interactive import COLOUR, Interactive, View, table

SOURCES = {  # the source of the velocity: `velocity`, `short` and `first_term` of a method
    "self": ("self", "self", None),
    "sample": ("sample", "self", None),
    "teacher": ("teacher", "self", None),
    "self, first term: sample": ("self", "self", "sample"),
    "teacher's jumps": ("self", "teacher", None),
}
TOY = Gaussian(mean=1.0, std=0.5, sigma=1.0, dim=1)
THETAS = torch.linspace(-0.25, 1.75, 41, dtype=torch.float64)
DRAWS = 512


def sources(condition: str, stopgrad: str) -> list[str]:
    """The sources of the velocity that make sense for a condition and a stop-gradient.

    The slope of a sample is right only in the mean, so the gradient must be linear in it. This is the case if a
    stop-gradient holds it. The Lagrangian condition reads the velocity at X_{s,t}(x), where there is no sample.
    """
    linear = {("eulerian", "semi"), ("eulerian", "full"), ("semigroup", "convex")}
    names = ["self", *(["sample"] if (condition, stopgrad) in linear else []), "teacher"]
    if (condition, stopgrad) == ("eulerian", "semi"):
        names.append("self, first term: sample")
    if condition == "semigroup":
        names.append("teacher's jumps")
    return names


def known(table: Mapping[str, Method], condition: str, stopgrad: str, source: str) -> list[str]:
    """The names of the methods with these choices; a moving average counts as "self"."""
    return [
        name
        for name, method in table.items()
        if (method.condition, method.stopgrad) == (condition, stopgrad)
        and tuple("self" if who == "average" else who for who in (method.velocity, method.short, method.first_term))
        == SOURCES[source]
    ]


def formula(condition: str, stopgrad: str, source: str) -> str:
    """The squared residual in TeX, with sg(.) for the stop-gradient."""

    def sg(what: str, among: tuple[str, ...]) -> str:
        return rf"\mathrm{{sg}}\big({what}\big)" if stopgrad in among else what

    at = {"lagrangian": ("t", r"X_{s,t}(x)"), "eulerian": ("s", "x"), "semigroup": ("s", "x")}[condition]
    self_v = rf"v_{{{at[0]},{at[0]}}}({at[1]})"
    V = {"sample": r"\dot I_s", "teacher": rf"b_{at[0]}({at[1]})"}.get(source, self_v)
    if condition == "lagrangian":
        if stopgrad == "semi":
            inside = rf"v_{{s,t}}(x) + \mathrm{{sg}}\big((t-s)\,\partial_t v_{{s,t}}(x) - {V}\big)"
        else:
            inside = rf"\partial_t X_{{s,t}}(x) - {sg(V, ('convex',))}"
    elif condition == "eulerian":
        if stopgrad == "semi":
            first = r"\dot I_s" if SOURCES[source][2] else V
            tangent = rf"(t-s)\,(\partial_s v_{{s,t}}(x) + \nabla v_{{s,t}}(x)\,{V})"
            inside = rf"-v_{{s,t}}(x) + \mathrm{{sg}}\big({first} + {tangent}\big)"
        else:
            pushed = rf"\nabla X_{{s,t}}(x)\,{sg(V, ('convex',))}"
            inside = rf"\partial_s X_{{s,t}}(x) + {sg(pushed, ('full',))}"
    else:
        short = r"v^{\mathrm{teacher}}" if source == "teacher's jumps" else "v"
        F = V if source in ("sample", "teacher") else rf"{short}_{{s,u}}(x)"
        two = rf"(1-h)\,{F} + h\,{short}_{{u,t}}(x + (u-s)\,{F})"
        inside = rf"v_{{s,t}}(x) - {sg(two, ('convex',))}" if stopgrad == "convex" else rf"v_{{s,t}}(x) - ({two})"
    return rf"\big|\,{inside}\,\big|^2"


def batch(condition: str, source: str, n: int = DRAWS) -> dict[str, Tensor]:
    """n draws of the toy: times s <= u <= t, the points x = I_s on the paths of the samples, and their slopes dI_s.

    The times are uniform on the triangle, and u is half way. There is one exception: if the first short jump of a
    semigroup follows a given velocity, then t = 1 and u = s + 1/64, the times of discrete consistency models. The
    samples are pairs at the same x, with slopes mirrored at their mean b_s(x). Both are equally likely, and the mean
    of a pair is exact.
    """
    g = torch.Generator().manual_seed(0)
    if condition == "semigroup" and source in ("sample", "teacher"):
        s = torch.randint(GRID, (n // 2,), generator=g).double() / GRID
        u, t = s + 1 / GRID, torch.ones_like(s)
    else:
        s, t = (time.double() for time in triangle(n // 2, generator=g))
        u = (s + t) / 2
    x1 = TOY.sample(n // 2, generator=g, dtype=torch.float64)[0]
    x0 = TOY.sigma * torch.randn(n // 2, 1, generator=g, dtype=torch.float64)
    x, dx = (1 - s[:, None]) * x0 + s[:, None] * x1, x1 - x0
    s, u, t, x, mirrored = (
        torch.cat([a, b]) for a, b in ((s, s), (u, u), (t, t), (x, x), (dx, 2 * TOY.velocity(s, x) - dx))
    )
    return {"s": s, "u": u, "t": t, "x": x, "dx": mirrored}


def squares(X: FlowMap, drawn: dict[str, Tensor], condition: str, stopgrad: str, source: str) -> Tensor:
    """The squared residual of losses.py for these choices, shape (B,)."""
    s, u, t, x, dx = drawn.values()
    teacher = FlowMap(TOY.v)
    velocity = {"sample": dx, "teacher": teacher.velocity}.get(source)
    if condition == "lagrangian":
        return losses.lagrangian(X, s, t, x, stopgrad=stopgrad, velocity=velocity)
    if condition == "eulerian":
        first_term = dx if SOURCES[source][2] else None
        return losses.eulerian(X, s, t, x, stopgrad=stopgrad, velocity=velocity, first_term=first_term)
    short = teacher if source == "teacher's jumps" else None
    return losses.semigroup(X, s, u, t, x, stopgrad=stopgrad, velocity=velocity, short=short)


def curve(thetas: Tensor, condition: str, stopgrad: str, source: str) -> tuple[Tensor, Tensor]:
    """The mean loss at each theta and its gradient by autograd, shape (K,) each, computed as one batch."""
    drawn = batch(condition, source)
    theta = thetas.clone().requires_grad_(True)
    each = theta.repeat_interleave(DRAWS)[:, None]  # (K DRAWS, 1)
    X = FlowMap(lambda s, t, x: each * TOY.v(s, t, x))
    many = {name: a.repeat(len(thetas), *[1] * (a.ndim - 1)) for name, a in drawn.items()}
    loss = squares(X, many, condition, stopgrad, source).unflatten(0, (-1, DRAWS)).mean(1)  # (K,)
    return loss.detach(), torch.autograd.grad(loss.sum(), theta)[0]


def rests(thetas: Tensor, step: Tensor) -> dict[float, str]:
    """The thetas where the step is zero, by linear interpolation, and what the steps near them do."""
    out = {}
    for k in range(1, len(thetas)):
        before, here = step[k - 1].item(), step[k].item()
        at = thetas[k].item()
        if abs(here) < 1e-9 and k + 1 < len(thetas):
            here = step[k + 1].item()
        elif before * here < 0 and abs(before) > 1e-9:
            at -= (thetas[k] - thetas[k - 1]).item() * here / (here - before)
        else:
            continue
        out[at] = "steps lead to it" if before > 0 > here else "steps lead away" if before < 0 < here else "steps pass"
    return out


def loss_explorer(methods: Mapping[str, Method] = METHODS) -> Interactive:
    r"""Three menus, for the condition, the stop-gradient and the source of the velocity: the loss and its step.

    The figure shows the formula, the methods of the table with these choices, and the loss of the map
    v_{s,t}(x) = theta v*_{s,t}(x) as a function of theta. It also shows minus the gradient by autograd and minus the
    slope of the loss. With a stop-gradient the two differ.

    Args:
        methods: the table, name to method.

    Returns:
        the explorer; its controls are "condition", "stopgrad" and "source". The numbers of a view: "theta", "loss",
        "gradient", "slope", shape (41,) each; "rests", theta -> what the steps near it do; "methods", their names;
        "formula", in TeX.
    """

    def draw(condition: str, stopgrad: str, source: str) -> View:
        choice, h = (condition, stopgrad, source), 1e-4
        loss, gradient = curve(THETAS, *choice)
        slope = (curve(THETAS + h, *choice)[0] - curve(THETAS - h, *choice)[0]) / (2 * h)
        zeros, names, tex = rests(THETAS, -gradient), known(methods, *choice), formula(*choice)
        numbers = {"theta": THETAS, "loss": loss, "gradient": gradient, "slope": slope}
        numbers |= {"rests": zeros, "methods": names, "formula": tex}
        still = "; ".join(f"{at:.2f} ({what})" for at, what in zeros.items()) or "none between -0.25 and 1.75"
        same = torch.allclose(gradient, slope, rtol=1e-3, atol=1e-4)
        told = f"The step is zero at theta = {still}. It is {'' if same else 'not '}the slope of the plotted loss."
        cells = {name: {"method": methods[name].title, "times": methods[name].times} for name in names}
        named = table(cells, "name in the table") if cells else "No method of the table has these choices."
        alt = f"Left, the loss over theta; right, the step over theta. {told}"
        caption = f'<div style="{COLOUR}">{told}</div>{named}'
        return View(draw_curves(loss, gradient, slope), alt, caption, numbers, rf"$$\mathrm{{E}}\,{tex}$$")

    def arrange(which: str) -> None:
        if which == "condition":
            choices = losses.STOPGRADS[condition.value]
            stopgrad.options = list(choices)
            stopgrad.value = choices[-1]  # the one that the source recommends
        if which != "source":
            before, possible = source.value, sources(condition.value, stopgrad.value)
            source.options = possible
            source.value = before if before in possible else "self"

    condition = Menu(list(losses.STOPGRADS), description="condition")
    choices = losses.STOPGRADS[condition.value]
    stopgrad = Menu(choices, choices[-1], description="stop-gradient")
    source = Menu(sources(condition.value, stopgrad.value), description="velocity of")
    controls = {"condition": condition, "stopgrad": stopgrad, "source": source}
    return Interactive(
        controls,
        draw,
        lambda *choice: f"{choice[0]}, stop-gradient {choice[1]}, velocity of {choice[2]}",
        arrange=arrange,
    )


def draw_curves(loss: Tensor, gradient: Tensor, slope: Tensor) -> bytes:
    """Left: the loss over theta, with arrows in the direction of the steps. Right: minus gradient and minus slope."""
    theta, step = THETAS.numpy(), -gradient.numpy()
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(7.6, 2.9))
        left, right = figure.subplots(1, 2)
        left.plot(theta, loss, color=plots.COLOURS[0])
        for k in range(2, len(theta), 4):
            if abs(step[k]) > 1e-9:
                left.plot(theta[k], loss[k], ">" if step[k] > 0 else "<", ms=7, color=plots.COLOURS[1])
        left.set(
            title="the loss; arrows: where a step goes",
            xlabel="theta",
            ylabel="loss",
            ylim=(-0.04 * loss.max().item(), None),
        )
        right.plot(theta, step, color=plots.COLOURS[1], label="minus the gradient: the step")
        right.plot(theta, -slope, "--", color=plots.COLOURS[0], label="minus the slope of the loss")
        right.axhline(0, color="0.6", lw=0.8)
        right.set(title="the step, and the slope of the loss", xlabel="theta", ylabel="change of theta")
        right.legend(fontsize=8)
        for ax in (left, right):
            ax.axvline(1, color="0.6", lw=0.8, ls=":")
        return plots.as_png(figure, dpi=90)
