"""The site's sources in one folder: the pages, the lessons with their stored outputs, the reference of the package."""

import base64
import importlib
import inspect
import re
import shutil
from pathlib import Path

import nbformat

from flowmap_edu.course.forms import sources

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
PAGES = (
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "docs/methods/*.md", "tutorials/*.md",
    "tutorials/assignments/README.md", "data/README.md", "data/*/README.md",
)  # fmt: skip
MODULES = (
    "flow_map", "interpolant", "losses", "times", "methods", "sample", "nets", "metrics", "problems", "training",
    "recipes", "steering", "likelihood", "viz", "viz.plots", "viz.widgets", "viz.live", "course",
)  # fmt: skip
LINK = re.compile(r"\]\(([^)\s#:]+)\)")
LIVE = "flow-live-page"
TOGETHER = """# Live figures

Each figure runs in this page. It needs no kernel and no network. Every slider moves by keys, by mouse and by touch.

"""


def lessons() -> list[Path]:
    """The sources of the lessons that have been run."""
    return [source for source in sources(ROOT / "tutorials") if source.with_suffix(".ipynb").exists()]


def with_room(text: str) -> str:
    """Markdown in which a folded answer's title is followed by the blank line without which it is read as HTML."""
    return re.sub(r"(</summary>)\n(?=[^\n])", r"\1\n\n", text)


def without_lost_links(text: str, folder: Path, pages: set[Path]) -> str:
    """Markdown in which a link to Markdown that is no page of the site, such as one to slides, is its words alone."""

    def kept(found: re.Match[str]) -> str:
        return found[0] if (folder / found[2]).resolve() in pages else f"`{found[1]}`"

    return re.sub(r"\[([^\]]*)\]\(([^)\s#:]+\.md)\)", kept, text)


def stage_linked(folder: Path, text: str, out: Path) -> None:
    """Copy the files that a page of a folder links to and that are no pages: readers can load them."""
    for link in LINK.findall(text):
        other = (folder / link).resolve()
        copy = out / other.relative_to(ROOT) if other.is_relative_to(ROOT) else out
        if other.is_file() and other.suffix not in (".ipynb", ".md"):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(other, copy)


def stage_pages(out: Path) -> None:
    """Copy the pages and what they link to."""
    found = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    for path in found:
        text = without_lost_links(with_room(path.read_text(encoding="utf-8")), path.parent, set(found))
        target = out / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        stage_linked(path.parent, text, out)
    stage_methods(out / "docs" / "methods")


def stage_methods(folder: Path) -> None:
    """See that the pages of the methods, if there are any, are reached from a first page of theirs."""
    if not list(folder.glob("*.md")):
        return
    index = folder / "index.md"
    text = index.read_text(encoding="utf-8") if index.exists() else "# Methods, one page each\n"
    if "{toctree}" not in text:
        hidden = ":hidden:\n" if index.exists() else ""
        index.write_text(f"{text}\n```{{toctree}}\n:glob:\n{hidden}\n*\n```\n", encoding="utf-8")


def as_html(output: nbformat.NotebookNode, name: str, pictures: Path) -> None:
    """Put a stored picture into a file, and HTML with its words in the picture's place; a live figure stays."""
    data = output.get("data", {})
    png = data.pop("image/png", None)
    if png is None or "text/html" in data:
        return
    raw = base64.b64decode(png)
    (pictures / name).write_bytes(raw)
    width, height = (int.from_bytes(raw[at : at + 4], "big") for at in (16, 20))
    words = output.get("metadata", {}).get("image/png", {}).get("alt", "")
    data["text/html"] = (
        f'<div class="lesson-figure" style="--width: {width}px">'
        f'<img src="../_static/lessons/{name}" width="{width}" height="{height}" '
        f'loading="lazy" decoding="async" alt="{escaped(words)}"></div>'
    )


def escaped(words: str) -> str:
    """Words for an attribute of HTML."""
    return words.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def stage_lessons(out: Path) -> list[tuple[str, str]]:
    """Copy the lessons with folded solutions and pictures as files; heading and HTML of each live figure."""
    pictures, together = out / "_static" / "lessons", []
    pictures.mkdir(parents=True)
    for source in lessons():
        notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
        title = title_of(notebook)
        for at, cell in enumerate(notebook.cells):
            if cell.cell_type == "markdown":
                cell.source = with_room(cell.source)
                stage_linked(source.parent, cell.source, out)
                continue
            if "solution" in cell.metadata.get("tags", []):
                cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]
                cell.metadata["mystnb"] = {"code_prompt_show": "Solution", "code_prompt_hide": "Solution"}
            for k, output in enumerate(cell.outputs):
                as_html(output, f"{source.stem}-{at}-{k}.png", pictures)
                if LIVE in output.get("data", {}).get("text/html", ""):
                    raw = f"```{{raw}} html\n{output.data['text/html']}\n```\n"
                    together.append((f"## From lesson [{title}]({source.stem}.ipynb)\n\n", raw))
        nbformat.write(notebook, out / "tutorials" / f"{source.stem}.ipynb")
    return together


def titles() -> list[tuple[str, str, str]]:
    """Number, title and file of each lesson."""
    found = []
    for source in lessons():
        notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
        found.append((source.stem.partition("_")[0], title_of(notebook), source.stem))
    return found


def title_of(notebook: nbformat.NotebookNode) -> str:
    """The heading that a lesson begins with."""
    return notebook.cells[0].source.splitlines()[0].lstrip("# ")


def public(module: str) -> list[str]:
    """The names on a module's page: its __all__, or what it defines; no modules, and nothing that has another page."""
    there = importlib.import_module(f"flowmap_edu.{module}")
    elsewhere = {f"flowmap_edu.{other}" for other in MODULES} - {there.__name__}
    values = {name: value for name, value in vars(there).items() if not inspect.ismodule(value)}
    home = {name: getattr(value, "__module__", "") for name, value in values.items()}
    if hasattr(there, "__all__"):
        return [name for name in there.__all__ if name in home and home[name] not in elsewhere]
    return [name for name in home if name[0] != "_" and home[name] == there.__name__ and callable(values[name])]


def stage_reference(out: Path) -> None:
    """A page a module; Sphinx fills it from the docstrings."""
    folder = out / "api"
    folder.mkdir()
    rows = []
    for module in MODULES:
        there = importlib.import_module(f"flowmap_edu.{module}")
        names = public(module)
        head = f"flowmap_edu.{module}"
        text = f"{head}\n{'=' * len(head)}\n\n.. automodule:: {head}\n   :members: {', '.join(names)}\n"
        (folder / f"{module}.rst").write_text(text, encoding="utf-8")
        first = (there.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        rows.append(f"| [{head}]({module}.rst) | {first} |")
    table = "\n".join(["| module | what lives there |", "| --- | --- |", *rows])
    text = (HERE / "reference.md").read_text(encoding="utf-8")
    toctree = "\n".join(MODULES)
    text = text.replace("<!-- modules -->", f"{table}\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```")
    (folder / "index.md").write_text(text, encoding="utf-8")


def stage(out: Path) -> None:
    """Write all sources of the site into a new folder."""
    shutil.copytree(HERE / "static", out / "_static")
    stage_pages(out)
    live = stage_lessons(out)
    text = TOGETHER + "\n".join(heading + figure for heading, figure in live)
    (out / "tutorials" / "live.md").write_text(text, encoding="utf-8")
    stage_reference(out)
    listed = "\n".join(f"{number} {title} <tutorials/{stem}>" for number, title, stem in titles())
    methods = "docs/methods/index" if (out / "docs" / "methods" / "index.md").exists() else ""
    text = (HERE / "index.md").read_text(encoding="utf-8")
    text = text.replace("<!-- lessons -->", listed).replace("<!-- methods -->", methods)
    text = text.replace("<!-- live -->", live[0][1])
    (out / "index.md").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "data" / "checkerboard-lsd" / "samples.png", out / "_static" / "samples.png")
