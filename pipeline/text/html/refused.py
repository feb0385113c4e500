"""Documents whose pages were refused leave as rows of QUARANTINE."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.schema import QUARANTINE, RAW_BYTES

REASON = "html_too_complex"  # a code of `schema.REASONS`


def refused_rows(documents: pa.RecordBatch, problem: pa.StringArray) -> pa.RecordBatch:
    """QUARANTINE rows of the DOCUMENT rows that have a problem, with the page as it was read."""
    refused = problem.is_valid()
    rows = documents.filter(refused)
    raw = pc.binary_slice(rows["text"].cast(pa.binary()), 0, RAW_BYTES)
    columns = [
        rows["source"],
        rows["source_path"],
        rows["source_row"],
        pa.repeat(pa.scalar(REASON), rows.num_rows),
        problem.drop_null(),
        raw,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=QUARANTINE)
