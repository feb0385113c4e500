"""The two schemas that every reader yields, whatever the format."""

from typing import NamedTuple

import pyarrow as pa

DOCUMENT = pa.schema(
    [
        pa.field("id", pa.string()),  # of the source's id_field, or "<source_path>#<source_row>"
        pa.field("text", pa.string(), nullable=False),  # valid UTF-8
        pa.field("source", pa.string(), nullable=False),  # the manifest's name of the source
        pa.field("url", pa.string()),
        pa.field("meta", pa.map_(pa.string(), pa.string())),
        pa.field("source_path", pa.string(), nullable=False),  # relative to the manifest
        pa.field("source_row", pa.int64(), nullable=False),  # decompressed byte offset, or row
    ]
)

QUARANTINE = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("source_row", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # a code: see `REASONS`
        pa.field("detail", pa.string(), nullable=False),  # one sentence for a person
        pa.field(
            "raw", pa.binary()
        ),  # the row's bytes, at most `RAW_BYTES`; null where there are none
    ]
)

RAW_BYTES = 1 << 20

REASONS = {
    "not_utf8": "bytes that are not UTF-8",
    "not_json": "a line that is not one JSON object",
    "bad_row": "a row that the format's reader refuses",
    "missing_field": "no such field in the row",
    "wrong_type": "the field is not a string",
    "null_text": "the text is null",
    "too_large": "the document is over limits.max_document_bytes",
    "truncated": "the file ends in the middle of its compressed or binary data",
    "corrupt": "the file is damaged: what follows cannot be read",
    "unreadable": "the file cannot be opened as its format",
    "empty_file": "the file has no bytes",
}


class Rows(NamedTuple):
    """What a reader yields: about 1,000 documents or 4 MB, and the rows that it could not read."""

    documents: pa.RecordBatch  # DOCUMENT
    quarantined: pa.RecordBatch  # QUARANTINE
