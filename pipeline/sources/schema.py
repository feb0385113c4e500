"""The two schemas that every reader yields, whatever the format."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from pipeline.segments import COLUMN as SEGMENTS_COLUMN
from pipeline.segments import SEGMENTS

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


def document_schema(*, segmented: bool) -> pa.Schema:
    """DOCUMENT, and after it, where several fields make a text, the column `segments`."""
    field = pa.field(SEGMENTS_COLUMN, SEGMENTS, nullable=False)
    return DOCUMENT.append(field) if segmented else DOCUMENT


QUARANTINE = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("source_row", pa.int64(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),  # where it fell: `READ` or `CLEAN`
        pa.field("reason", pa.string(), nullable=False),  # a code: see `REASONS`
        pa.field("detail", pa.string(), nullable=False),  # one sentence for a person
        pa.field(
            "raw", pa.binary()
        ),  # the row's bytes, at most `RAW_BYTES`; null where there are none
    ]
)

SKIPPED = pa.schema(
    [
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # of a closed set of the format
        pa.field("num_records", pa.int64(), nullable=False),
    ]
)

READ, CLEAN = "read", "clean"
RAW_BYTES = 1 << 20

REASONS = {
    "not_utf8": "bytes that are not UTF-8",
    "not_json": "a line that is not one JSON object",
    "bad_row": "a row that the format's reader refuses",
    "missing_field": "no such field in the row",
    "wrong_type": "the field is not a string",
    "null_text": "the text is null",
    "bad_messages": "no conversation with an answer to learn: a message without role or content, "
    "one that calls a tool, or none of the role assistant",
    "template_refuses": "a conversation that the tokenizer's chat template refuses: its roles do "
    "not alternate, for one",
    "no_charset": "bytes that are text in no charset that is declared or can be detected",
    "html_too_complex": "an HTML page that no parser gets through in time linear in its bytes",
    "completion_empty": "an answer to be learned of which cleaning leaves nothing",
    "too_large": "the document is over limits.max_document_bytes",
    "truncated": "the file ends in the middle of its compressed or binary data",
    "corrupt": "the file is damaged: what follows cannot be read",
    "expands_too_far": "a few compressed bytes make so many that the file looks like a bomb",
    "unreadable": "the file cannot be opened as its format",
    "empty_file": "the file has no bytes",
}


def skipped_rows(path: str, counts: Mapping[str, int]) -> pa.RecordBatch:
    """A SKIPPED batch of how many records of one file were skipped for which reason."""
    columns = [[path] * len(counts), list(counts), list(counts.values())]
    if not counts:  # without a list: `pa.array` of one imports pandas, 0.4 s
        return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in SKIPPED], schema=SKIPPED)
    arrays = [pa.array(column, f.type) for column, f in zip(columns, SKIPPED, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SKIPPED)


class Rows(NamedTuple):
    """What a reader yields: about 1,000 documents or 4 MB, and the rows that it could not read.

    Beside them, counts of records that are no rows, in formats that hold more than documents.
    """

    documents: pa.RecordBatch  # DOCUMENT
    quarantined: pa.RecordBatch  # QUARANTINE
    skipped: pa.RecordBatch = skipped_rows("", {})  # SKIPPED
