"""HTML to text, Unicode normalisation, control characters, white space; each change counted."""

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.configfile import Config
from pipeline.text.buffers import replace_rows
from pipeline.text.html import HtmlMode, html_to_text
from pipeline.text.markup import looks_like_html
from pipeline.text.unicode import normalise
from pipeline.text.whitespace import tidy

# A page about HTML may, as text, look like HTML again, and then it is stripped again, so that a
# second cleaning finds nothing to do. None of the 8,110 pages of the development corpus needs two
# rounds.
MAX_HTML_ROUNDS = 8

CHANGES = pa.schema(
    [
        pa.field("html_stripped", pa.int32(), nullable=False),  # 0 or 1
        pa.field("unicode_normalised", pa.int32(), nullable=False),  # 0 or 1
        pa.field("num_control_removed", pa.int32(), nullable=False),  # characters
        pa.field("whitespace_collapsed", pa.int32(), nullable=False),  # 0 or 1
    ]
)


class CleanConfig(Config):
    """What to clean. `auto` strips the documents that look like HTML (`markup.looks_like_html`)."""

    html: HtmlMode = "auto"
    unicode: Literal["NFC", "NFKC", "none"] = "NFC"
    collapse_whitespace: bool = True


class Cleaned(NamedTuple):
    """The clean texts, and what was done to each row: a batch of schema `CHANGES`."""

    texts: pa.StringArray
    changes: pa.RecordBatch


def clean(texts: pa.StringArray, config: CleanConfig) -> Cleaned:
    """Clean each text; the rules are those of `whitespace`, `unicode`, `markup` and `html`.

    `texts` has no nulls; it may be empty or a slice. A batch in which nothing changes is returned
    as it came. Cleaning what is clean changes nothing, unless `html` is `always`, where text such
    as `1 < 2` is read as HTML each time, or markup was escaped more than `MAX_HTML_ROUNDS` times
    over.
    """
    changes = np.zeros((len(CHANGES), len(texts)), np.int32)
    texts, changes[1:] = _settle(texts, config)
    html = config.html
    for _ in range(MAX_HTML_ROUNDS):
        mask = np.full(len(texts), html == "always") if html != "auto" else looks_like_html(texts)
        if not mask.any():
            break
        pages, page_changes = _settle(html_to_text(texts.filter(pa.array(mask))), config)
        texts = replace_rows(texts, mask, pages)
        changes[0, mask] = 1
        changes[1, mask] |= page_changes[0]
        changes[2, mask] += page_changes[1]
        changes[3, mask] |= page_changes[2]
        html = "never" if html == "always" else html
    columns = [pa.array(column) for column in changes]
    return Cleaned(texts, pa.RecordBatch.from_arrays(columns, schema=CHANGES))


def _settle(texts: pa.StringArray, config: CleanConfig) -> tuple[pa.StringArray, NDArray[np.int32]]:
    """Tidy and normalise; the rows of the second value are those of `CHANGES` after the first.

    Controls go first, for one may stand between a letter and its accent. Normalising may write
    spaces (U+3000 under NFKC), so the rows that it changed are tidied again.
    """
    texts, num_control, collapsed = tidy(texts, collapse_whitespace=config.collapse_whitespace)
    normalised = np.zeros(len(texts), np.bool_)
    if config.unicode != "none":
        texts, normalised = normalise(texts, config.unicode)
    if normalised.any():
        rows = texts.filter(pa.array(normalised))
        again = tidy(rows, collapse_whitespace=config.collapse_whitespace)
        texts = replace_rows(texts, normalised, again.texts)
        collapsed[normalised] |= again.whitespace_collapsed
    return texts, np.stack([normalised, num_control, collapsed]).astype(np.int32)
