"""HTML files, plain or compressed: a file is a page."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.sources.charset import decode_page
from pipeline.sources.documents import Bad, Builder
from pipeline.sources.file_reader import FileReader
from pipeline.sources.protocol import Slice
from pipeline.sources.schema import RAW_BYTES, Rows
from pipeline.sources.text import whole_file

META = ("content_type", "charset", "charset_errors")
CONTENT_TYPE = "text/html"


@dataclass(frozen=True, kw_only=True)
class HtmlReader(FileReader):
    """`source_row` is 0; `meta` holds `content_type` (text/html), `charset` (Python's codec) and
    `charset_errors` (bytes that did not decode, where there are any).
    """

    def read(self, piece: Slice) -> Iterator[Rows]:
        source = self.source.model_copy(update={"meta_fields": META})
        limit = self.max_document_bytes
        builder = Builder(source=source, item=piece.input, max_document_bytes=limit)
        data = whole_file(piece.input, limit)
        if isinstance(data, Bad):
            yield builder.only_bad([data])
            return
        decoded = decode_page(data)
        if decoded is None:
            bad = Bad(0, "no_charset", "no charset fits the page", data[:RAW_BYTES])
            yield builder.only_bad([bad])
            return
        errors = str(decoded.num_replaced) if decoded.num_replaced else None
        values = (decoded.text, CONTENT_TYPE, decoded.charset, errors)
        types = (pa.binary(), *[pa.string()] * len(META))
        columns = {
            name: pa.array([value], kind)
            for name, value, kind in zip(source.columns, values, types, strict=True)
        }
        yield from builder.build(np.zeros(1, dtype=np.int64), columns)
