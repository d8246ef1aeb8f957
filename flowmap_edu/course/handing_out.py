"""The doing form of the lessons, written into a folder."""

import re
from pathlib import Path

from flowmap_edu import _checks as checks
from flowmap_edu.course.forms import doing, sources

PAGES = ("README.md", "scaling.md", "notation.md")


def lessons_folder() -> Path:
    """The folder with the lessons' sources: that of the checkout, or of the installed package.

    Raises:
        ValueError: if there is none.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "tutorials", package.parent / "tutorials"):
        if sources(folder):
            return folder
    raise ValueError(f"the lessons are not installed: neither {package} nor the folder above it has tutorials/")


def only_links_to(names: set[str], text: str) -> str:
    """The text without the links that leave the folder: of [words](../docs/page.md) the words and the name stay."""

    def kept(link: re.Match[str]) -> str:
        words, target = link.groups()
        if target.partition("#")[0] in names:
            return link[0]
        return f"{words} (`{target.removeprefix('../')}` of the project)"

    return re.sub(r"\[([^\]]+)\]\((?!https?://|#|attachment:)([^)\s]+)\)", kept, text)


def hand_out(folder: Path) -> list[Path]:
    """Write every lesson as a notebook without solutions and without outputs, and the pages that belong to them.

    Args:
        folder: made if need be.

    Returns:
        the notebooks' paths.

    Raises:
        ValueError: if a file is there already: a reader's work is never overwritten.
        ImportError: if jupytext is missing.
    """
    jupytext = checks.extra("jupytext", "notebooks")
    given = lessons_folder()
    targets = [folder / f"{source.stem}.ipynb" for source in sources(given)]
    pages = [given / name for name in PAGES if (given / name).is_file()]
    if there := [path.name for path in [*targets, *(folder / page.name for page in pages)] if path.exists()]:
        raise ValueError(f"{folder} holds {there[0]} already, and nothing is overwritten: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in (*targets, *pages)}
    for source, target in zip(sources(given), targets, strict=True):
        notebook = jupytext.reads(doing(source.read_text(encoding="utf-8")), fmt="py:percent")
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = only_links_to(names, cell.source)
        jupytext.write(notebook, target, fmt="ipynb")
    for page in pages:
        text = only_links_to(names, page.read_text(encoding="utf-8"))
        (folder / page.name).write_text(text, encoding="utf-8")
    return targets
