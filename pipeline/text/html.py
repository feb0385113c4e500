"""HTML to text: lexbor parses as browsers do, and what is left of the tree is rendered by a kernel.

The tree is serialised and read again by the kernel, so that no Python code visits its nodes.
"""

from typing import Literal

import pyarrow as pa
from selectolax.lexbor import LexborHTMLParser

from pipeline.text.markup import rendered

HtmlMode = Literal["auto", "always", "never"]

# Elements whose content is no running text: not shown, or there to find one's way about the site.
DROPPED = [
    "head",
    "script",
    "style",
    "noscript",
    "template",
    "nav",
    "svg",
    "iframe",
    "object",
    "select",
]


def html_to_text(pages: pa.StringArray) -> pa.StringArray:
    """The text of each page without the content of `DROPPED`; entities are decoded.

    Any text is HTML to the parser: one without tags loses its line ends, as in a browser.
    """
    # lexbor takes one page at a time; only documents that are HTML come here
    return rendered(pa.array([_without_dropped(page) for page in pages.to_pylist()], pa.string()))


def _without_dropped(page: str) -> str:
    tree = LexborHTMLParser(page)
    tree.strip_tags(DROPPED)
    return tree.html or ""
