"""Sphinx's settings for the site; `make site` stages the sources and calls Sphinx with them."""

import html
import sys
from pathlib import Path

from docutils import nodes

sys.path.insert(0, str(Path(__file__).resolve().parent))

import docstrings

import flowmap_edu

project = "flowmap_edu"
author = "The flowmap_edu authors"
copyright = author  # noqa: A001
release = flowmap_edu.__version__
html_title = f"flowmap_edu {release}"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "index"
exclude_patterns = ["_static"]
suppress_warnings = ["mystnb.unknown_mime_type"]

nb_execution_mode = "off"  # the outputs that the notebooks store
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_math_renderer = "katex"
html_css_files = ["katex/katex.min.css", "site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False


def inline(self, node):
    """A formula in a line, as it was written; formulas.mjs sets it when all pages are there."""
    self.body.append(f'<span class="tex">{html.escape(node.astext())}</span>')
    raise nodes.SkipNode


def display(self, node):
    """A formula on lines of its own."""
    self.body.append(f'<div class="tex">{html.escape(node.astext())}</div>')
    raise nodes.SkipNode


def levels(_app, _name, _template, context, _doctree):
    """Tell screen readers the level of the captions between the pages."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app):
    """Docstrings hold formulas in plain text: they are translated before napoleon reads them."""
    app.add_html_math_renderer("katex", (inline, None), (display, None))
    app.connect("autodoc-process-docstring", docstrings.translate, priority=100)
    app.connect("autodoc-skip-member", docstrings.without_numbers)
    app.connect("html-page-context", levels, priority=900)  # after the theme
