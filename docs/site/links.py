"""The links of a folder of pages: each leads to a file that is there, and to an anchor that is there."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ATTRIBUTES = ("href", "src")


class Page(HTMLParser):
    """What a page links to or loads, and the anchors that it has."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the links and anchors of a tag."""
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in ATTRIBUTES and value is not None:
                self.links.append((tag, value))


def pages(folder: Path) -> dict[Path, Page]:
    """The pages of a folder, by path."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.resolve().rglob("*.html"))}


def broken(folder: Path) -> list[str]:
    """One line for each link inside the folder that leads nowhere, and for each file that is loaded from elsewhere."""
    found, said = pages(folder), []
    for path, page in found.items():
        for tag, link in page.links:
            parts = urlsplit(link)
            where = f"{path.relative_to(folder.resolve())}: {tag} {link[:120]}"
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if tag != "a" and not (tag == "link" and parts.scheme in ("http", "https")):
                    said.append(f"{where} is loaded from elsewhere")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                said.append(f"{where}: no such file")
            elif parts.fragment and target in found and unquote(parts.fragment) not in found[target].anchors:
                said.append(f"{where}: no such anchor")
    return said
