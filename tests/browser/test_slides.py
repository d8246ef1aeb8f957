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
  const images = [...slide.querySelectorAll("img")].map(
    (i) => [i.alt, i.naturalWidth, i.getBoundingClientRect().height]);
  const parts = [...slide.querySelectorAll(":scope > :not(aside)")].map((p) => p.getBoundingClientRect());
  parts.slice(1).forEach((b, k) => {
    if (b.top < parts[k].bottom - 1) out.push(`part ${k + 2} lies on part ${k + 1}`);
  });
  if (slide.querySelector(".katex-error")) out.push("a formula cannot be drawn");
  if (slide.innerText.includes("$")) out.push("a formula is left as it is written");
  if (box.width != 1280 || box.height != 720) out.push(`the frame is ${box.width} x ${box.height}`);
  return {out, images, number: Reveal.getState().indexh};
}"""


def faults(words, width, height):
    """What is wrong with a picture: its words, the size of its file and on the slide."""
    found = {"has no words": len(words) > 40, "is missing": width > 200, "is too small to see": height > 170}
    return [f"a picture {fault}" for fault, fine in found.items() if not fine]


@pytest.fixture(scope="module")
def made():
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
    wrong = {}
    for number, slide in enumerate(slides):
        found = page.evaluate(FIT)
        assert found["number"] == number
        if said := [*found["out"], *(fault for image in found["images"] for fault in faults(*image))]:
            wrong[f"{number + 1}: {slide.text[:40]}"] = said
        offline.shot(f"slides-{source.stem}-{number + 1:02}")
        page.keyboard.press("ArrowRight")
    assert wrong == {}
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("Reveal.getState().indexh") == len(slides) - 2
    assert page.locator("aside.notes").count() == len(slides)
    assert offline.errors == []
    assert all(url.startswith((folder.as_uri(), "data:")) for url in offline.requests), offline.requests
