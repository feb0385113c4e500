"""Pages that are refused are quarantined, by refining and by a whole run's counts."""

import pyarrow as pa
import pytest

from filters.chain import Chain
from pipeline.dedup.config import DedupConfig
from pipeline.refined import RefinedWriter
from pipeline.refining import Refinery
from pipeline.sources.schema import DOCUMENT, QUARANTINE, RAW_BYTES, Rows
from pipeline.text.clean import CleanConfig
from pipeline.text.pii.config import PiiConfig

HOSTILE = "<html>" + "<div>" * 300_000
PAGE = (
    "<html lang=de><head><title>Write to ann@example.org</title>"
    "<meta name=date content=2020-01-02></head><body><p>A page.</p></body></html>"
)


def refinery(*, is_web: bool = False) -> Refinery:
    return Refinery(CleanConfig(), PiiConfig(), Chain.of(), DedupConfig(), 0, is_web=is_web)


def documents(*texts: str) -> pa.RecordBatch:
    rows = [
        {"id": str(n), "text": text, "source": "s", "source_path": "p", "source_row": n}
        for n, text in enumerate(texts)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)


def test_a_hostile_page_is_quarantined_and_the_others_are_numbered_without_it():
    refined = refinery()(documents("first", HOSTILE, "last"), 5)
    assert refined.kept["id"].to_pylist() == ["0", "2"]
    assert refined.kept["item_row"].to_pylist() == [5, 6]
    [row] = refined.quarantined.to_pylist()
    assert (row["source"], row["source_path"], row["source_row"]) == ("s", "p", 1)
    assert row["reason"] == "html_too_complex"
    assert "clean.max_html_depth" in row["detail"]
    assert row["raw"] == HOSTILE.encode()[:RAW_BYTES]


def test_what_a_page_says_of_itself_is_in_its_meta_values_without_pii():
    refined = refinery()(documents("no page", PAGE))
    assert refined.kept["meta"].to_pylist() == [
        None,
        [
            ("html_title", "Write to [EMAIL]"),
            ("html_language", "de"),
            ("html_date", "2020-01-02"),
        ],
    ]


def test_rows_read_are_those_kept_and_those_quarantined(tmp_path):
    made = refinery()
    kinds = ("kept", "signatures", "dropped", "quarantined")
    paths = {kind: tmp_path / f"{kind}.arrow" for kind in kinds}
    batch = documents("first", HOSTILE, "last")
    with RefinedWriter(paths, made) as writer:
        writer.write(Rows(batch, pa.RecordBatch.from_pylist([], schema=QUARANTINE)), made(batch))
    counts = writer.counts()
    assert counts["num_read"] == 3
    assert counts["num_kept"] == 2
    assert counts["quarantined"] == {"html_too_complex": 1}
    assert counts["quarantined_files"] == {"p": 1}
    assert pa.ipc.open_file(paths["quarantined"]).read_all().num_rows == 1
    assert writer.batch_rows == [2]


@pytest.mark.parametrize("is_web", [True, False])
def test_what_a_web_source_was_sent_as_html_is_read_as_html(is_web):
    batch = documents("Notice: x<br>y", "Notice: x<br>y", "Notice: x")
    kind = DOCUMENT.field("meta").type
    meta = [{"content_type": "text/html"}, {"content_type": "text/plain"}, None]
    maps = pa.array([m and list(m.items()) for m in meta], kind)
    batch = batch.set_column(batch.schema.get_field_index("meta"), DOCUMENT.field("meta"), maps)
    first = "Notice: x\ny" if is_web else "Notice: x<br>y"
    refined = refinery(is_web=is_web)(batch)
    assert refined.kept["text"].to_pylist() == [first, "Notice: x<br>y", "Notice: x"]
