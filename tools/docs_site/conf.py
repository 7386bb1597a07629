"""How Sphinx builds the site: Markdown by MyST, docstrings in Google's style, the theme Furo."""

from __future__ import annotations

from typing import Any

project = "materia"
html_title = "materia"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False

# The anchors of headings are those of the forges.
myst_heading_anchors = 4

# A single backtick in a docstring is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Pygments cannot read each shortened example.
suppress_warnings = ["misc.highlighting_failure"]


def setup(app: Any) -> None:
    """Colour a `.env` file as the shell's."""
    from pygments.lexers.shell import BashLexer

    app.add_lexer("dotenv", BashLexer)
