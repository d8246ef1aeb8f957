"""The slides without a network: every one fits its frame, moves by key, and says in words what its picture shows."""

import importlib.util

import pytest
from conftest import REPOSITORY

SOURCES = sorted((REPOSITORY / "tutorials" / "slides").glob("[0-9]*.md"))
FRAME = {"width": 1280, "height": 720}
FIT = """() => {
  const slide = Reveal.getCurrentSlide(), box = slide.getBoundingClientRect(), out = [];
  for (const part of slide.querySelectorAll(":scope > :not(aside), :scope > figure > img, li, td, th, pre, .katex")) {
    const b = part.getBoundingClientRect();
    if (b.bottom > box.bottom + 1 || b.right > box.right + 1 || b.left < box.left - 1 || b.top < box.top - 1)
      out.push(`${part.tagName} ${part.textContent.slice(0, 40)}`);
    if (part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display !== "inline" && part.clientWidth)
      out.push(`${part.tagName} is cut: ${part.textContent.slice(0, 40)}`);
  }
  const images = [...slide.querySelectorAll("img")].map((i) => [i.alt, i.naturalWidth, i.getBoundingClientRect().height]);
  const parts = [...slide.querySelectorAll(":scope > :not(aside)")].map((p) => p.getBoundingClientRect());
  parts.slice(1).forEach((b, k) => { if (b.top < parts[k].bottom - 1) out.push(`part ${k + 2} lies on part ${k + 1}`); });
  return {out, images, number: Reveal.getState().indexh, bad: slide.querySelectorAll(".katex-error").length,
          math: slide.innerText.includes("$"), box: [box.width, box.height]};
}"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The pages; npm brings reveal.js and KaTeX."""
    spec = importlib.util.spec_from_file_location("make_slides", REPOSITORY / "docs" / "make_slides.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = REPOSITORY / "html" / "slides"
    return module, dict(zip(SOURCES, module.make(out), strict=True)), out


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_slide_fits_and_asks_for_nothing(offline, made, source):
    """From the first to the last by the arrow key; no request leaves the folder, nothing on the console."""
    module, pages, folder = made
    page, slides = offline.page, module.read_slides(source)
    page.set_viewport_size(FRAME)
    page.goto(pages[source].as_uri())
    page.wait_for_function("Reveal.isReady()")
    for number, slide in enumerate(slides):
        found = page.evaluate(FIT)
        assert found["number"] == number
        assert found["out"] == [], (number + 1, slide.text[:60])
        assert found["box"] == [1280, 720]
        assert not found["bad"], (number + 1, "a formula cannot be drawn")
        assert not found["math"], (number + 1, "a formula is left as it is written")
        for words, width, height in found["images"]:
            assert len(words) > 40, (number + 1, "a picture without words")
            assert width > 200, (number + 1, "a picture is missing")
            assert height > 180, (number + 1, "a picture is too small to see")
        offline.shot(f"slides-{source.stem}-{number + 1:02}")
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("Reveal.getState().indexh") == len(slides) - 2
    assert page.locator("aside.notes").count() == len(slides)
    assert offline.errors == []
    assert all(url.startswith((folder.as_uri(), "data:")) for url in offline.requests), offline.requests
