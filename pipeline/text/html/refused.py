"""Documents that cleaning refuses leave as rows of QUARANTINE."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.schema import CLEAN, QUARANTINE, RAW_BYTES


def refused_rows(
    documents: pa.RecordBatch, problem: pa.StringArray, reason: pa.StringArray
) -> pa.RecordBatch:
    """QUARANTINE rows of the DOCUMENT rows that have a problem, with the text as it was read.

    `problem` is a sentence and `reason` a code, both null for the other documents.
    """
    refused = problem.is_valid()
    rows = documents.filter(refused)
    raw = pc.binary_slice(rows["text"].cast(pa.binary()), 0, RAW_BYTES)
    columns = [
        rows["source"],
        rows["source_path"],
        rows["source_row"],
        pa.repeat(pa.scalar(CLEAN), rows.num_rows),
        reason.drop_null(),
        problem.drop_null(),
        raw,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=QUARANTINE)
