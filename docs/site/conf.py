"""Sphinx's settings for the site; `make site` stages the sources and calls Sphinx with them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import docstrings

import flowmap_edu

project = "flowmap_edu"
author = "The flowmap_edu authors"
copyright = author  # noqa: A001
release = flowmap_edu.__version__
html_title = f"flowmap_edu {release}"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx.ext.mathjax"]
root_doc = "index"
exclude_patterns = ["_static"]
suppress_warnings = ["mystnb.unknown_mime_type"]

nb_execution_mode = "off"  # the outputs that the notebooks store
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4

mathjax_path = "mathjax/tex-mml-chtml.js"  # served from the site
mathjax_options = {"defer": "defer"}

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 90
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False


def setup(app):
    """Docstrings hold formulas in plain text: they are translated before napoleon reads them."""
    app.connect("autodoc-process-docstring", docstrings.translate, priority=100)
