"""How Sphinx builds these pages: `make docs`."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "visitpay"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "visitpay"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
myst_heading_anchors = 3
# Bare addresses of the web stay text; what has no scheme is a file or a page, and must be there.
myst_url_schemes = ["http", "https", "mailto"]
nitpicky = True


class Mermaid(TextLexer):
    """The text of a diagram: GitHub draws it, a page without a network shows it as it is."""

    name = "Mermaid"
    aliases = ("mermaid",)


def setup(app: Sphinx) -> None:
    """Let a diagram be a block of code."""
    app.add_lexer("mermaid", Mermaid)
