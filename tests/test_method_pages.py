"""The pages of docs/methods: one for every row, in step with the table of methods and with its measurements."""

import importlib.util
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from flowmap_edu import METHODS

matplotlib.use("Agg")
DOCS = Path(__file__).resolve().parent.parent / "docs"
HEADINGS = [
    "Objective", "Pairs of times", "Source", "Where this row differs from it", "Its line in the table",
    "Its usual failure", "Run it",
]  # fmt: skip
SEED = {"diverged": False, "kl64": [0.5, 0.4, 0.3, 0.2, 0.1], "cpu_seconds": 30.0, "grad_norm": 2.0, "steps": 900}
SETTINGS = {"minutes": 0.5, "points": 1000, "seeds": 3, "machine": "one core", "steps": [1, 2, 4, 8, 16]}
by_name = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_method_pages", DOCS / "make_method_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    heads = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_row_has_a_page_and_nothing_else_has_one():
    found = {path.name for path in (DOCS / "methods").iterdir()}
    assert found == {f"{name}.{ending}" for name in METHODS for ending in ("md", "png")} | {"index.md"}


def test_the_marked_parts_are_those_of_the_table(script):
    """Made again they are the same; `python docs/make_method_pages.py` writes them."""
    for path, text in script.pages(script.measurements()).items():
        assert path.read_text(encoding="utf-8") == text, path.name


@by_name
def test_a_page_has_its_name_its_headings_and_its_formula(name):
    text = page(name)
    assert text.startswith(f"# {name}: {METHODS[name].title}\n")
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == HEADINGS
    assert re.search(r"## Objective\n\n\$\$\n[^$]+\n\$\$\n", text)
    assert text.count("$$") % 2 == 0
    for formula in re.sub(r"`[^`]*`", "", text).split("$")[1::2]:
        assert formula.count("{") == formula.count("}"), formula
        assert formula.count(r"\left") == formula.count(r"\right"), formula
    failure = text.split("## Its usual failure\n\n")[1].split("\n\n##")[0]
    assert len(failure.split()) > 12


@by_name
def test_a_page_names_its_source_and_what_departs_from_it(name):
    text, method = page(name), METHODS[name]
    numbers = re.findall(r"arXiv (\d{4}\.\d{5})", method.source)
    assert numbers or name == "fm"
    for number in numbers:
        assert f"[arXiv {number}](https://arxiv.org/abs/{number})" in text
    assert method.source.split(",")[0] in text
    assert method.their_time in text
    words = re.sub(r"[^\w]+", " ", re.sub(r"\]\([a-z-]+\.md\)", "", text)).lower()
    assert re.sub(r"[^\w]+", " ", method.departs).lower().strip() in words


@by_name
def test_a_page_shows_the_triangle_of_its_row(name, script):
    """The picture is a PNG with words for readers who cannot see it; drawn again it is the same picture."""
    (words,) = re.findall(rf"!\[([^\]]+)\]\({name}\.png\)", page(name))
    assert words.startswith(f"Triangle of times of {name}")
    assert ("diagonal is green" in words) == (METHODS[name].diagonal != 0)
    path = DOCS / "methods" / f"{name}.png"
    assert path.stat().st_size < 48_000  # all of them below 1.5 MB
    canvas = FigureCanvasAgg(script.draw(name))
    canvas.figure.set_dpi(100)
    canvas.draw()
    drawn, kept = np.asarray(canvas.buffer_rgba())[..., :3] / 255, imread(path)[..., :3]
    assert drawn.shape == kept.shape
    assert np.abs(drawn - kept).mean() < 0.01  # fonts differ a little from one version of matplotlib to the next


def test_links_lead_somewhere():
    for path in (DOCS / "methods").glob("*.md"):
        links = re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
        assert len(links) >= 3
        for link in links:
            if link.startswith("https://arxiv.org/abs/"):
                continue
            file, _, anchor = link.partition("#")
            target = path.parent / file
            assert target.is_file(), (path.name, link)
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), (path.name, link)


def test_sections_that_are_named_are_there():
    found = 0
    for path in (DOCS / "methods").glob("*.md"):
        text = " ".join(path.read_text(encoding="utf-8").split())
        for lesson, sections in re.findall(r"tutorials/(\w+)\.ipynb\),? sections? (\d+(?: and \d+)?)", text):
            lines = (DOCS.parent / "tutorials" / f"{lesson}.py").read_text(encoding="utf-8")
            found += 1
            for number in sections.split(" and "):
                assert f"\n# ## {number}. " in lines, (path.name, lesson, number)
    assert found > 20


def test_the_index_names_every_row_once_under_its_idea(script):
    text = page("index")
    assert re.findall(r"^- \[`([a-z-]+)`\]", text, flags=re.MULTILINE) == script.grouped(list(METHODS))
    assert all("(" + f"{name}.md)" in text for name in METHODS)


def test_a_line_says_what_was_measured(script):
    """Three seeds: medians, ranges and in how many seeds more steps help; one of them diverged; none measured."""
    seeds = [SEED, SEED | {"kl64": [0.6, 0.4, 0.3, 0.2, 0.7]}, SEED | {"kl64": [0.4, 0.4, 0.3, 0.2, 0.1]}]
    row = SEED | {"seeds": seeds, "step_time": 1.0, "step_memory": 1.0}
    said = "\n".join(script.measured("lsd", SETTINGS | {"rows": {"lsd": row}}))
    assert "| lsd | 0.500 (0.400 to 0.600) |" in said
    assert "one step: with 2 steps in 2 of 3 seeds, with 16 steps in 2 of 3 seeds. KL64" in said.replace("\n", " ")
    assert "Medians and ranges of 3 seeds." in said.replace("\n", " ")
    lost = row | {"seeds": [SEED, SEED, SEED | {"diverged": True, "kl64": []}]}
    said = "\n".join(script.measured("lsd", SETTINGS | {"rows": {"lsd": lost}}))
    assert "1 of 3 seeds diverged" in said
    assert "with 2 steps in 2 of 2 seeds" in said
    gone = row | {"diverged": True, "kl64": [], "seeds": [SEED | {"diverged": True, "kl64": []}] * 3}
    said = "\n".join(script.measured("lsd", SETTINGS | {"rows": {"lsd": gone}}))
    assert "diverged at step 900" in said
    assert "lower than with one" not in said
    old = {key: value for key, value in row.items() if key != "seeds"}
    said = "\n".join(script.measured("lsd", SETTINGS | {"rows": {"lsd": old}}))
    assert "| 0.500 | 0.400 |" in said
    assert "with 16 steps in 1 of 1 seed. KL64" in said.replace("\n", " ")
    assert script.measured("lsd", SETTINGS | {"rows": {}}) == ["Not yet measured."]
    assert "--methods lsd --minutes 0.5 --seeds 3 --points 1000" in "\n".join(script.command("lsd", SETTINGS))


def test_a_page_without_its_marks_is_refused(script):
    text = "a\n<!-- method:one -->\nold\n<!-- /method:one -->\nb\n"
    assert script.filled(text, {"one": ["new", "rows"]}) == text.replace("old", "new\nrows")
    for broken in ("a\n", text + text, text.replace("/method", "method")):
        with pytest.raises(ValueError, match="must have the marks <!-- method:one --> and <!-- /method:one --> once"):
            script.filled(broken, {"one": []})
