"""The site as a reader finds it, opened from the disk with the network off."""

import sys

import pytest
from conftest import REPOSITORY, watched
from filelock import FileLock
from live_figure import PICTURE
from playwright.sync_api import expect

sys.path.insert(0, str(REPOSITORY / "docs" / "site"))
import links
import make_site

LESSON = "tutorials/00_start_here.html"
WIDE = "() => Math.max(0, document.documentElement.scrollWidth - window.innerWidth)"
BARE = "() => [...document.images].filter((img) => !img.alt.trim()).map((img) => img.outerHTML.slice(0, 120))"
BROKEN = "() => [...document.querySelectorAll('.katex-error, .tex, .math:not(:has(math))')].map((e) => e.textContent)"
AXE = """async (rules) => (await axe.run({ preload: false, ...rules })).violations.flatMap((v) =>
  v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary}`))"""
COLOURS = {"runOnly": ["color-contrast"]}  # the rest does not depend on light and dark


@pytest.fixture(scope="module")
def site(tmp_path_factory, worker_id):
    """The folder of the built site; several workers build it once."""
    for package in ("sphinx", "myst_nb", "furo"):
        pytest.importorskip(package, reason="the site needs its extra: pip install 'flowmap-edu[site]'")
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent
    with FileLock(base / "site.lock"):
        if not (base / "site" / "index.html").exists():
            make_site.build(base / "site")
    return base / "site"


def pages(site) -> list[str]:
    """Every page that is written for readers: not the listings of the source, not the indices of names."""
    found = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    return [
        name for name in found if not name.startswith(("_modules/", "_static/", "genindex", "py-modindex", "search"))
    ]


@pytest.fixture
def reader(chromium, site):
    """Opens pages of the site in a window of the given width, by touch or not, in the light or the dark."""
    contexts = []

    def window(width: int = 1280, dark: bool = False, touch: bool = False):
        scheme = "dark" if dark else "light"
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=touch)
        context.set_offline(True)
        contexts.append(context)
        watch = watched(context)

        def opened(name: str):
            watch.page.goto(f"{site.as_uri()}/{name}", wait_until="load")
            return watch

        return opened

    yield window
    for context in contexts:
        context.close()


def outside(watch, site) -> list[str]:
    """The requests of a page that leave the site."""
    return [url for url in watch.requests if not url.startswith((site.as_uri(), "data:", "blob:"))]


def test_every_link_of_the_site_leads_somewhere(site):
    assert links.broken(site) == []
    assert len(pages(site)) > 40


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    """A missing file, a missing anchor and a script from elsewhere; not a good anchor or a link to another site."""
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="a.html#here">1</a><a href="b.html">2</a><a href="#there">3</a>'
        '<a href="https://example.org">4</a><script src="https://example.org/x.js"></script><img src="data:,">'
    )
    said = links.broken(tmp_path)
    assert [line.rpartition(": ")[2] for line in said[:2]] == ["no such file", "no such anchor"]
    assert said[2].endswith("is loaded from elsewhere")
    assert len(said) == 3


def test_every_page_is_quiet_and_fits_a_telephone(reader, site):
    """At 400 pixels: no error, no request that leaves the site, no formula unread, words for each picture."""
    opened, wrong = reader(400), []
    for name in pages(site):
        watch = opened(name)
        for what, script in (("too wide by", WIDE), ("no words for", BARE), ("formulas not set:", BROKEN)):
            if found := watch.page.evaluate(script):
                wrong.append(f"{name}: {what} {found}")
    watch.shot("site-400")
    assert wrong == []
    assert watch.errors == []
    assert outside(watch, site) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_pages_pass_axe(reader, site, dark):
    """All rules of axe-core: the front page, a lesson, the results, a reference, and a method if there is one."""
    methods = [name for name in pages(site) if name.startswith("docs/methods/") and not name.endswith("index.html")]
    wrong, opened = [], reader(dark=dark)
    for name in ["index.html", LESSON, "docs/results.html", "api/losses.html", *methods[:1]]:
        watch = opened(name)
        watch.page.add_script_tag(path=make_site.fetched(make_site.AXE) / "axe.min.js")
        wrong += [f"{name}: {line}" for line in watch.page.evaluate(AXE, COLOURS if dark else {})]
        watch.shot(f"site-{name.split('/')[-1].removesuffix('.html')}-{'dark' if dark else 'light'}")
    assert wrong == []


def test_a_live_figure_moves_by_keys_and_by_touch(reader):
    """On the front page: the number of jumps by an arrow key, then by a finger that slides along the range."""
    watch = reader(400, touch=True)("index.html")
    figure = watch.page.locator(".flow-live")
    expect(figure).to_be_visible()
    slider = figure.get_by_role("slider", name="jumps N", exact=True)
    canvas = figure.locator("canvas").first
    before = canvas.evaluate(PICTURE)
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "2 jumps")
    watch.page.wait_for_timeout(500)
    moved = canvas.evaluate(PICTURE)
    assert moved != before
    box = slider.bounding_box()
    y, session = box["y"] + box["height"] / 2, watch.page.context.new_cdp_session(watch.page)
    for kind, share in (("touchStart", 0.2), ("touchMove", 0.5), ("touchMove", 0.99), ("touchEnd", None)):
        points = [] if share is None else [{"x": box["x"] + share * box["width"], "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(slider).to_have_attribute("aria-valuetext", "16 jumps")
    watch.page.wait_for_timeout(500)
    assert canvas.evaluate(PICTURE) not in (before, moved)
    assert watch.errors == []


def test_search_finds_a_word(reader, site):
    """Without a server as well."""
    watch = reader()("search.html?q=irreducible")
    expect(watch.page.locator("#search-results a[href*=glossary]").first).to_be_visible()
    assert watch.errors == []
    assert outside(watch, site) == []
