"""The sources of the slides: figures and numbers are in the lessons, a guess comes before a result, time is kept."""

import importlib.util
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = sorted((REPOSITORY / "tutorials" / "slides").glob("[0-9]*.md"))


@pytest.fixture(scope="module")
def maker():
    """docs/make_slides.py as a module."""
    spec = importlib.util.spec_from_file_location("make_slides", REPOSITORY / "docs" / "make_slides.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_lecture_is_whole(source, maker, tmp_path):
    """About twenty slides for a lecture of 90 minutes; every picture and every printed line is found."""
    slides = maker.read_slides(source)
    assert 18 <= len(slides) <= 25
    assert 65 <= sum(slide.minutes for slide in slides) <= 85
    for number, slide in enumerate(slides, 1):
        assert len(slide.note) > 40, number
        assert re.match(r"##? \S", slide.text), number
        text = maker.section(slide, tmp_path)
        assert "{{" not in text, number
        assert "![" not in text, number
        assert len(re.findall(r"<figure>", text)) <= 1, (number, "one thought a slide")
        if "What do you guess" in slide.text:
            assert "<figure>" not in text, (number, "a guess comes before the result")
    assert sum("What do you guess" in slide.text for slide in slides) >= 5


def test_what_is_not_there_is_an_error(maker, tmp_path):
    """A lesson that was changed does not leave a slide without its picture, its numbers or its words."""
    slide = maker.Slide("## A\n\n![words](01/figures.nowhere)", "note", 1)
    with pytest.raises(ValueError, match="lesson 01 has no picture"):
        maker.section(slide, tmp_path)
    for line, words in (('{{01/"nowhere"}}', "nowhere"), ('{{01/"KL64 from"/1-1}}', "in other lines than 1 to 1")):
        with pytest.raises(ValueError, match=words):
            maker.section(maker.Slide(line, "note", 1), tmp_path)
    (tmp_path / "1_x.md").write_text("# A\n\ntext\n")
    with pytest.raises(ValueError, match="a slide needs one line"):
        maker.read_slides(tmp_path / "1_x.md")
