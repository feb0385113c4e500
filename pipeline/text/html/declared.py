"""Which documents are HTML by what their source says of them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.text.meta import entries

CONTENT_TYPE = "content_type"  # the entry of `meta` that sources of `WEB_FORMATS` write
WEB_FORMATS = ("html", "warc")
HTML_TYPES = ("text/html", "application/xhtml+xml")


def declared_html(meta: pa.MapArray) -> NDArray[np.bool_]:
    """True for each document whose `content_type` is a type of HTML; a null map has none."""
    mask = np.zeros(len(meta), np.bool_)
    if meta.null_count == len(meta):
        return mask
    rows, names, items = entries(meta)
    is_html = pc.and_(
        pc.equal(names, CONTENT_TYPE), pc.is_in(items, value_set=pa.array(HTML_TYPES))
    )
    mask[rows[is_html.to_numpy(zero_copy_only=False)]] = True
    return mask
