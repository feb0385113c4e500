"""What a page says, by one of three extractors.

resiliparse  the main content of a page, by the rules of Resiliparse (Bevendorff et al. 2018,
             "Elastic ChatNoir", and https://resiliparse.chatnoir.eu): navigation, headers, footers
             and the like go. `content` keeps them from taking lists and notes for those. A page of
             which nothing would be left keeps all its text.
trafilatura  the main content by Trafilatura (Barbaresi 2021, ACL demo), which weighs the text
             itself; the best of the open ones in published comparisons, and 20 times as slow.
strip        all text but that of `DROPPED`.

Headings and paragraphs stand between empty lines, list items on lines of their own, with a bullet
or number (`strip`: without), cells of a table row are separated by a tab (`trafilatura`: by `|`),
and `<pre>` keeps its white space.
"""

import logging
import re
from collections.abc import Callable
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from selectolax.lexbor import LexborHTMLParser

from pipeline.text.html.content import with_content_marked
from pipeline.text.html.render import rendered

Extractor = Literal["resiliparse", "trafilatura", "strip"]


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
# Between cells Resiliparse writes two tabs, which white space rules would take for one blank.
_CELLS = r"([^\s])\t{2,}"
_WHOLE = re.compile(r"<(?:!doctype\s|html[\s/>]|body[\s/>])", re.IGNORECASE)


def extract(pages: pa.StringArray, extractor: Extractor) -> pa.StringArray:
    """The text of each page; entities are decoded.

    Any text is HTML to the parsers: one without tags loses its line ends, as in a browser. The
    pages have passed `bounds.problems` as they are: on others a parser may take hours.
    """
    rows = pages.to_pylist()  # a parser takes one page at a time; only HTML comes here
    if extractor == "strip":
        return rendered(pa.array([_without_dropped(page) for page in rows], pa.string()))
    if extractor == "trafilatura":
        main_text = _trafilatura()
        return pa.array([main_text(page) for page in rows], pa.string())
    texts = pa.array([_main_content(page) for page in rows], pa.string())
    return pc.replace_substring_regex(texts, _CELLS, r"\1" + "\t")


def _without_dropped(page: str) -> str:
    tree = LexborHTMLParser(page)
    tree.strip_tags(DROPPED)
    return tree.html or ""


def _main_content(page: str) -> str:
    """Fragments have no navigation: there the rules would take a first list for it."""
    if _WHOLE.search(page):
        tree = LexborHTMLParser(page)
        with_content_marked(tree)
        text: str = extract_plain_text(HTMLTree.parse(tree.html or ""), main_content=True)
        if text.strip():
            return text
    return str(extract_plain_text(HTMLTree.parse(page)))


def _trafilatura() -> Callable[[str], str]:
    """Imported where it is used: it is an extra, and takes half a second."""
    import trafilatura

    # Its log would quote pages.
    for name in ("trafilatura", "htmldate", "justext", "courlan"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def main_text(page: str) -> str:
        return trafilatura.extract(page, include_comments=False) or ""

    return main_text
