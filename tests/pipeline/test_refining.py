"""Refining a batch: every row ends in one place, and batches do not matter."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.chain import Chain
from pipeline.dedup.config import DedupConfig
from pipeline.keys import document_keys, hash_values
from pipeline.refining import Refined, Refinery
from pipeline.sources.schema import DOCUMENT
from pipeline.text.clean import CleanConfig
from pipeline.text.pii.config import PiiConfig

PROSE = "The engineers of the town have built a bridge that is to be opened with music. "
TEXTS = st.one_of(
    st.text(max_size=300),
    st.integers(1, 12).map(lambda n: PROSE * n),
    st.text(max_size=40).map(lambda text: f"{PROSE * 5}{text} write to ann@example.org"),
)


@pytest.fixture(scope="module")
def refinery() -> Refinery:
    specs = [
        {"use": "length", "min_chars": 20},
        {"use": "gopher_quality", "min_words": 30},
        {"use": "language", "keep": ["en"], "min_score": 0.3},
    ]
    made = Refinery(CleanConfig(), PiiConfig(), Chain.of(*specs), DedupConfig(), 3)
    made(batch([PROSE * 9]))
    return made


def batch(texts: list[str], first: int = 0) -> pa.RecordBatch:
    rows = [
        {"id": str(n), "text": text, "source": "s", "source_path": "p", "source_row": n}
        for n, text in enumerate(texts, first)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)


def places(refined: Refined) -> dict[str, tuple[str, str, str | None]]:
    """Each id with where it went, its stored text and its rule."""
    found = {}
    for kind, part in (("kept", refined.kept), ("dropped", refined.dropped)):
        for row in part.to_pylist():
            assert row["id"] not in found
            found[row["id"]] = (kind, row["text"], row.get("rule"))
    return found


@settings(max_examples=40)
@given(texts=st.lists(TEXTS, max_size=8), cut=st.integers(0, 8))
def test_rows_are_conserved_and_batches_do_not_matter(
    refinery: Refinery, texts: list[str], cut: int
) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    whole = refinery(batch(texts))
    parts = [refinery(batch(texts[:cut])), refinery(batch(texts[cut:], len(texts[:cut])))]
    assert set(places(whole)) == {str(n) for n in range(len(texts))}
    assert places(parts[0]) | places(parts[1]) == places(whole)
    assert whole.signatures.num_rows == whole.kept.num_rows
    joined = pa.concat_batches([part.signatures for part in parts])
    assert joined.to_pylist() == whole.signatures.to_pylist()


def test_dropped_rows_name_rule_value_and_threshold(refinery: Refinery) -> None:
    refined = refinery(batch(["", "too short", PROSE, PROSE * 5]))
    dropped = {row["id"]: row for row in refined.dropped.to_pylist()}
    evidence = {key: (r["rule"], r["value"], r["threshold"]) for key, r in dropped.items()}
    assert evidence == {
        "0": ("empty", 0, 1),
        "1": ("length.num_chars", 9, 20),
        "2": ("gopher_quality.num_words", 16, 30),
    }
    assert dropped["2"]["language.language_score"] is not None
    assert dropped["1"]["gopher_quality.num_words"] == 2  # cheap: measured of every document
    assert dropped["0"]["length.num_chars"] is None  # no text, nothing to measure
    assert refined.dropped["item_row"].to_pylist() == [0, 1, 2]
    assert refined.kept["id"].to_pylist() == ["3"]


def test_keys_are_of_the_stored_text_and_the_place(refinery: Refinery) -> None:
    kept = refinery(batch([PROSE * 5 + "ann@example.org", PROSE * 5])).kept
    assert kept["text_hash"].equals(hash_values(kept["text"]))
    assert kept["key"].equals(document_keys(kept, kept["text_hash"]))
    same_text = refinery(batch([PROSE * 5], first=7)).kept
    assert same_text["text_hash"][0] == kept["text_hash"][1]
    assert same_text["key"][0] != kept["key"][1]


@pytest.mark.parametrize("mode", ["tag", "remove"])
def test_addresses_and_meta_values_hold_tags_in_every_mode_and_dates_stay(mode: str) -> None:
    text, mail = PROSE * 9, "ann@uni-bonn.de"
    row = {"id": mail, "text": text, "source": "s", "source_path": "p", "source_row": 0}
    meta = [("by", f"by {mail}"), ("day", "93.184.216.34"), ("none", None), ("n", "2")]
    rows = [
        {**row, "url": f"https://a.org/?to={mail}", "meta": meta},
        {**row, "url": None, "meta": None},
        {**row, "url": "https://b.org/", "meta": []},
    ]
    documents = pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)
    config = PiiConfig(mode=mode)
    refined = Refinery(CleanConfig(), config, Chain.of(), DedupConfig(), 3, date_field="day")
    got = refined(documents).kept
    assert got["url"].to_pylist() == ["https://a.org/?to=[EMAIL]", None, "https://b.org/"]
    kept = [("by", "by [EMAIL]"), ("day", "93.184.216.34"), ("none", None), ("n", "2")]
    assert got["meta"].to_pylist() == [kept, None, []]
    assert got["id"].to_pylist() == [mail] * 3  # by which `prepare explain` finds it
