"""The pages of docs/methods: what comes from the table of methods and from its measurements is written between marks.

    python docs/make_method_pages.py            write the marked parts of every page
    python docs/make_method_pages.py --draw     draw the triangles too

The rest of a page is written by hand. A new row needs a page with the headings of the others; the index lists it.
"""

import argparse
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from flowmap_edu._shipped import shipped_folder
from flowmap_edu.bench.report import GROUPS, group, grouped, lines
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.recipes import recipe
from flowmap_edu.viz import triangles
from flowmap_edu.viz.plots import STYLE

PAGES = Path(__file__).resolve().parent / "methods"

TITLES = {  # of the publications, by their arXiv number
    "2202.00512": "Progressive distillation for fast sampling of diffusion models",
    "2303.01469": "Consistency models",
    "2310.02279": "Consistency trajectory models: learning probability flow ODE trajectory of diffusion",
    "2406.07507": "Flow map matching",
    "2406.14548": "Consistency models made easy",
    "2407.02398": "Consistency flow matching: defining straight flows with velocity consistency",
    "2410.11081": "Simplifying, stabilizing and scaling continuous-time consistency models",
    "2410.12557": "One step diffusion via shortcut models",
    "2505.13447": "Mean flows for one-step generative modeling",
    "2505.18825": "How to build a consistency model: learning flow maps via self-distillation",
    "2506.14603": "Align your flow: scaling continuous-time flow map distillation",
    "2507.03738": "Flow-anchored consistency models",
    "2507.16884": "SplitMeanFlow: interval splitting consistency in few-step generative modeling",
    "2509.04394": "Transition models: rethinking the generative learning objective",
    "2509.24526": "CMT: mid-training for efficient learning of consistency, mean flow, and flow map models",
    "2510.20771": "AlphaFlow: understanding and improving MeanFlow models",
    "2511.19428": "Flow map distillation without data",
    "2511.19797": "Terminal velocity matching",
    "2512.02012": "Improved mean flows: on the challenges of fastforward generative models",
    "2512.15657": "SoFlow: solution flow models for one-step generative modeling",
}
PAIRS = {
    "triangle": "all $s \\le t$, uniform on the triangle",
    "square": "$s$ and $t$ uniform in $[0, 1]$, each without regard to the other, so in either order",
    "from zero": "$s = 0$, and $t$ uniform in $[0, 1]$",
    "to one": "$t = 1$, and $s$ uniform in $[0, 1]$",
    "grid": "$t = 1$, and $s$ one of the 64 times $0, 1/64, \\dots, 63/64$, each as likely",
    "segments": "$s$ uniform in $[0, 1]$, and $t$ the end of the half of $[0, 1]$ that $s$ lies in",
    "dyadic": "$t - s$ one of the lengths $1, 1/2, \\dots, 1/64$, each as likely, and $s$ a multiple of it",
}
FLOWS = {
    "lagrangian": "to the right, along $t$ at the same $s$; and from the velocity where the jump lands, above it on the"
    " diagonal",
    "square": "along the way back, to its end on the sample, whose slope is above it on the diagonal. The pair with the"
    " arrows is a way back; one arrow comes from the way there",
    "onward": "from two shorter jumps, over a stop at $u$, to the long one; and from the jump from $t$ to 1, which"
    " carries both to where they are compared",
    "eulerian": "down, along $s$ at the same $t$; and from the velocity at the start, to the left on the diagonal",
    "semigroup": "from two shorter jumps, over a stop at $u$, to the long one",
    "step": "from a step along a velocity at $s$, and from the jump that remains, which starts later",
    "trajectory": "from the teacher's trajectory alone; no jump learns from another jump",
    "diagonal": "to no jump: the diagonal alone is trained",
}


def described(method: Method) -> str:
    """Where knowledge comes from, in words."""
    if method.points == "trajectory":
        return FLOWS["trajectory"]
    if method.times == "square":
        return FLOWS["square"]
    if method.compared == "to one":
        return FLOWS["onward"]
    step = method.condition == "semigroup" and method.velocity != "self"
    return FLOWS["step" if step else method.condition]


def alternative(name: str) -> str:
    """The triangle of a row in words."""
    method = METHODS[name]
    green = " The diagonal is green: it learns the velocity by flow matching." if method.diagonal != 0 else ""
    if not (given := triangles.sources(method)):
        return f"Triangle of times of {name}: no jumps.{green}"
    s, _, t = triangles.example(method)
    places = [f"{triangles.GIVERS[one.giver][2]} at t = {one.at[0]:.2f}, s = {one.at[1]:.2f}" for one in given]
    return (
        f"Triangle of times of {name}, the end t to the right and the start s up. Arrows lead into the pair"
        f" t = {t:.2f}, s = {s:.2f} from {'; from '.join(places)}.{green}"
    )


def picture(name: str) -> list[str]:
    """The picture, which pairs the row visits in the recipe of the checkerboard, and where knowledge comes from."""
    method, training = METHODS[name], recipe("checkerboard", name, steps=1).training
    out = [f"![{alternative(name)}]({name}.png)", ""]
    if method.condition != "diagonal":
        sides = [(training.at_zero, "$s = 0$"), (training.at_one, "$t = 1$")]
        shares = " and ".join(f"{share:.0%} with {side}" for share, side in sides if share)
        more = f" The recipe takes a share of them on the sides: {shares}." if shares else ""
        out.append(f"- **Pairs:** {PAIRS[method.times]}.{more}")
    averaged = ", with the [averaged target](index.md#how-to-read-a-page)" if training.stf_batch else ""
    on = f"{training.on_diagonal(method)} of {training.batch} samples lie on the diagonal{averaged}"
    return [*out, f"- **Knowledge flows** {described(method)}.", f"- **Batch:** {on}."]


def linked(text: str) -> str:
    """A source with its titles, each number a link."""
    return re.sub(r"arXiv (\d{4}\.\d{5})", lambda m: f"*{TITLES[m[1]]}*, [{m[0]}](https://arxiv.org/abs/{m[1]})", text)


def referred(text: str) -> tuple[str, str]:
    """What a text says that begins "as NAME": that with a link to the row's page, and what follows it."""
    if found := re.match(r"as ([a-z-]+)", text):
        return f"as [`{found[1]}`]({found[1]}.md)", text[found.end() :]
    return "", text


def source(name: str) -> list[str]:
    """Authors, title and number; how its time and its symbols translate."""
    method = METHODS[name]
    row, words = referred(method.substitution.replace("none needed", ""))
    symbols = row + (f"{', and ' * bool(row)}`{words.lstrip(';, ')}`" if words else "") or "the same as here"
    return [f"- {linked(method.source)}.", f"- Its time: `{method.their_time}`.", f"- Its symbols: {symbols}."]


def departs(name: str) -> list[str]:
    """Where the row and its source differ."""
    row, words = referred(METHODS[name].departs or "in nothing that we know of")
    text = row + words
    return [*textwrap.wrap(f"{text[0].upper()}{text[1:]}.", 118, break_long_words=False, break_on_hyphens=False)]


def measured(name: str, saved: dict[str, Any]) -> list[str]:
    """The row's line in the table of all methods, and whether more evaluations help."""
    if name not in saved.get("rows", {}):
        return ["Not yet measured."]
    row = saved["rows"][name]
    row = {"seeds": [row], **row}  # a table of one seed may not name it
    *table, _, note = lines({name: row}, saved["minutes"], saved["points"], saved["machine"])
    kept = [one["kl64"] for one in row["seeds"] if not one["diverged"]]
    better = [f"with {n} steps in {sum(kl[k] < kl[0] for kl in kept)}" for k, n in enumerate(saved["steps"])]
    of = f" of {len(kept)} seed{'s' * (len(kept) > 1)}"
    many = f"KL64 is lower than with one step: {better[1]}{of}, {better[-1]}{of}. " if kept else ""
    short = [
        "|".join(one.split("|")[:2] + one.split("|")[4:]) for one in (*table[:2], table[3])
    ]  # its name says the rest
    return [*short, "", *textwrap.wrap(many + note, 118)]


def command(name: str, saved: dict[str, Any]) -> list[str]:
    """The command that trains the row, and its teacher where there is one, and prints its line."""
    seeds, points = saved.get("seeds", 1), saved.get("points", 1_000_000)
    words = f"flowmap-edu table checkerboard --methods {name} --minutes {saved.get('minutes', 0.5):g}"
    words += f" --seeds {seeds}" * (seeds > 1) + f" --points {points}" * (points != 1_000_000)
    return ["```bash", words, "```"]


def index() -> list[str]:
    """Every row under its idea."""
    out = []
    for title in GROUPS:
        out += [f"### {title[0].upper()}{title[1:]}", ""]
        for name in grouped(list(METHODS)):
            if group(METHODS[name]) == title:
                out.append(f"- [`{name}`]({name}.md): {METHODS[name].title}{', with a teacher' * taught(name)}")
        out.append("")
    return out[:-1]


def taught(name: str) -> bool:
    """Whether the row reads a frozen teacher."""
    return METHODS[name].needs_teacher


def parts(name: str, saved: dict[str, Any]) -> dict[str, list[str]]:
    """The marked parts of a row's page."""
    return {
        "picture": picture(name),
        "source": source(name),
        "departs": departs(name),
        "line": measured(name, saved),
        "command": command(name, saved),
    }


def filled(text: str, found: dict[str, list[str]]) -> str:
    """The text with each part between its marks.

    Raises:
        ValueError: if the marks of a part are not there exactly once.
    """
    for part, said in found.items():
        start, end = f"<!-- method:{part} -->\n", f"<!-- /method:{part} -->"
        if (text.count(start), text.count(end)) != (1, 1):
            raise ValueError(f"a page must have the marks {start.strip()} and {end} once each")
        head, (_, tail) = text.split(start)[0], text.split(end)
        text = head + start + "".join(f"{line}\n" for line in said) + end + tail
    return text


def draw(name: str) -> Figure:
    """The triangle of a row, its legend to the right."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 3.1), layout="none")
        triangles.method(METHODS[name], figure.add_axes((0.1, 0.15, 0.48, 0.75)), title=name, legend=False)
        figure.legend(handles=triangles.key([METHODS[name]]), loc="center left", bbox_to_anchor=(0.59, 0.5), fontsize=8)
    return figure


def measurements() -> dict[str, Any]:
    """The numbers of the table of all methods."""
    return json.loads((shipped_folder() / "methods" / "methods.json").read_text(encoding="utf-8"))


def pages(saved: dict[str, Any]) -> dict[Path, str]:
    """Every page as it must be, by its path."""
    found = {PAGES / f"{name}.md": parts(name, saved) for name in METHODS} | {PAGES / "index.md": {"index": index()}}
    return {path: filled(path.read_text(encoding="utf-8"), said) for path, said in found.items()}


def main() -> None:
    """Write the pages, and the pictures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="draw the triangles too")
    if parser.parse_args().draw:
        for name in METHODS:
            draw(name).savefig(PAGES / f"{name}.png", dpi=100, metadata={"Software": None})
    for path, text in pages(measurements()).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
