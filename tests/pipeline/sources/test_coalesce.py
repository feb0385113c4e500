"""Joining small batches loses nothing and changes no order."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.coalesce import BATCH_ROWS, coalesce
from pipeline.sources.schema import DOCUMENT, QUARANTINE, Rows


def rows(first: int, num_documents: int, num_quarantined: int) -> Rows:
    documents = [
        {"id": str(first + n), "text": "x", "source": "s", "source_path": "p", "source_row": n}
        for n in range(num_documents)
    ]
    bad = {"source": "s", "source_path": "p", "reason": "not_json", "detail": "", "raw": b"x"}
    quarantined = [{**bad, "source_row": first + n} for n in range(num_quarantined)]
    return Rows(
        pa.RecordBatch.from_pylist(documents, schema=DOCUMENT),
        pa.RecordBatch.from_pylist(quarantined, schema=QUARANTINE),
    )


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 3)), max_size=12))
def test_the_same_rows_come_out_in_the_same_order(sizes: list[tuple[int, int]]) -> None:
    batches = [rows(1000 * n, *size) for n, size in enumerate(sizes)]
    joined = list(coalesce(batches))
    for column, key in (("documents", "id"), ("quarantined", "source_row")):
        before = [value for b in batches for value in getattr(b, column)[key].to_pylist()]
        after = [value for b in joined for value in getattr(b, column)[key].to_pylist()]
        assert after == before
    assert all(b.documents.num_rows + b.quarantined.num_rows >= BATCH_ROWS for b in joined[:-1])


def test_nothing_gives_nothing() -> None:
    assert list(coalesce([])) == []
