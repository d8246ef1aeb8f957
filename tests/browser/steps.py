"""What the browser tests do: open a notebook in JupyterLab, run it, read what stands under a figure."""

import re
import time

from playwright.sync_api import expect

IDLE = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
PATIENCE = 30_000  # milliseconds
OUTPUT = "xpath=ancestor::*[contains(@class, 'jp-OutputArea-output')][1]"
ERROR = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']"
expect.set_options(timeout=PATIENCE)


def open_notebook(watch, lab, path: str) -> None:
    """Open it alone, without file browser, and wait for a kernel that listens."""
    page = watch.page
    page.goto(f"{lab.url}/doc/tree/{path}?token={lab.token}&reset")
    expect(page.locator(".jp-Notebook")).to_be_visible()
    # the indicator says "idle" also while there is no kernel yet, so ask the server as well
    named = page.locator(".jp-KernelName, .jp-Toolbar-kernelName").first
    expect(named).to_contain_text("Python 3")
    deadline = time.monotonic() + PATIENCE / 1000
    while not any(s["kernel"]["execution_state"] == "idle" and s["kernel"]["connections"] for s in lab.sessions(path)):
        assert time.monotonic() < deadline, "the kernel never became ready"
        page.wait_for_timeout(200)
    expect(page.locator(IDLE).first).to_be_visible()


def run_all(watch, seconds: int = 240) -> None:
    """Run all cells, to the end: every one of them has its number, but for folded ones, which show none; no error."""
    page = watch.page
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    folded = "c.querySelector('.jp-InputPlaceholder')"
    number = r"/\[\d+\]/.test(c.querySelector('.jp-InputPrompt').textContent)"
    cells = "[...document.querySelectorAll('.jp-CodeCell')]"
    ran = f'() => document.querySelector("{ERROR}") || {cells}.every((c) => {folded} || {number})'
    page.wait_for_function(ran, timeout=1000 * seconds)
    assert page.locator(ERROR).all_inner_texts() == []
    expect(page.locator(IDLE).first).to_be_visible()


def table(output) -> dict[str, dict[str, str]]:
    """The table under a figure as a screen reader walks it: row -> column -> text."""
    rows = [row.locator("th, td").all_inner_texts() for row in output.locator("figcaption tr").all()]
    return {cells[0]: dict(zip(rows[0][1:], cells[1:], strict=True)) for cells in rows[1:]}


def change(figure, act, said, note) -> str:
    """Do `act`; wait until the note says `said` and the picture is another one; return the picture."""
    before = figure.get_attribute("src")
    act()
    expect(note).to_have_text(said)
    expect(figure).not_to_have_attribute("src", before)
    return figure.get_attribute("src")


def colours(element) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The computed colour of an element's text, and of the first background behind it that is not clear."""
    text, behind = element.evaluate(
        """(el) => {
          let at = el;
          while (at && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(at).backgroundColor)) at = at.parentElement;
          return [getComputedStyle(el).color, at ? getComputedStyle(at).backgroundColor : "rgb(255, 255, 255)"];
        }"""
    )
    return tuple(tuple(map(float, re.findall(r"[\d.]+", colour))) for colour in (text, behind))


def contrast(text: tuple[float, ...], behind: tuple[float, ...]) -> float:
    """The contrast ratio of WCAG 2: 1 for two colours alike, 21 for black on white."""

    def light(rgb) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)]
        return sum(k * c for k, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    alpha = text[3] if len(text) > 3 else 1.0
    seen = [alpha * a + (1 - alpha) * b for a, b in zip(text[:3], behind[:3], strict=True)]
    low, high = sorted((light(seen), light(behind[:3])))
    return (high + 0.05) / (low + 0.05)
