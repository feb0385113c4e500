"""What a page says of itself: title, language and date.

title     `<title>`, else `og:title`
language  `lang` (or `xml:lang`) of `<html>`, else `content-language`, else `og:locale`
date      of publication: `article:published_time`, `datePublished`, Dublin Core and their like, as
          the page has it; `pipeline.dates` says what of it is read as a date
"""

import re

import pyarrow as pa
from selectolax.lexbor import LexborHTMLParser

HEAD = pa.schema(
    [
        pa.field("html_title", pa.string()),
        pa.field("html_language", pa.string()),
        pa.field("html_date", pa.string()),
    ]
)

# Names, in order, by which pages give a date; compared in lower case.
DATES = (
    "article:published_time",
    "datepublished",
    "og:published_time",
    "citation_publication_date",
    "dc.date.issued",
    "dcterms.issued",
    "dcterms.created",
    "dc.date.created",
    "dc.date",
    "dcterms.date",
    "pubdate",
    "publishdate",
    "date",
)
MAX_HEAD_CHARS = 1 << 17  # of the longest heads of the development corpus, 40 times as many
MAX_CHARS = 1_000  # of a value: what is longer is no title
_BODY = re.compile(r"<body[\s/>]", re.IGNORECASE)
_KEYS = ("property", "name", "itemprop", "http-equiv")


def heads(pages: pa.StringArray) -> pa.RecordBatch:
    """Schema HEAD, a row for each page; null where it says nothing, and in a fragment."""
    rows = [_head(page) for page in pages.to_pylist()]  # parsed one by one, as the pages are
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    arrays = [pa.array(list(column), pa.string()) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=HEAD)


def _head(page: str) -> tuple[str | None, str | None, str | None]:
    body = _BODY.search(page, 0, MAX_HEAD_CHARS)
    beginning = page[: body.start() if body else MAX_HEAD_CHARS]
    tree = LexborHTMLParser(beginning.replace("\0", ""))
    root, title = tree.root, tree.css_first("head > title")
    metas: dict[str, str] = {}
    for meta in tree.css("meta"):
        given = meta.attributes
        name = next((given[key] for key in _KEYS if given.get(key)), None)
        if name and given.get("content"):
            metas.setdefault(name.lower(), given["content"] or "")
    attributes = root.attributes if root is not None else {}
    lang = attributes.get("lang") or attributes.get("xml:lang")
    return (
        _tidy(title.text() if title is not None else None) or _tidy(metas.get("og:title")),
        _tidy(lang) or _tidy(metas.get("content-language")) or _tidy(metas.get("og:locale")),
        next((date for name in DATES if (date := _tidy(metas.get(name)))), None),
    )


def _tidy(value: str | None) -> str | None:
    """On one line, without controls; None if nothing is left or it is too long for what it is."""
    if value is None:
        return None
    words = " ".join("".join(c if c.isprintable() else " " for c in value[: MAX_CHARS + 1]).split())
    return words if 0 < len(words) <= MAX_CHARS else None
