"""`prepare erase` on a real output: what goes, what stays where it was, what is told."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.shards import ShardRows, find_shards, read_index
from tests.pipeline.corpora import Corpus
from tests.pipeline.erasing.outputs import (
    arrow_hashes,
    copied,
    document,
    erase,
    holding,
    parts,
    removed,
    tombstones,
    tree,
    verify,
)


def _needles(text: str) -> list[bytes]:
    """Bytes of the beginning, the middle and the end of a text."""
    data = text.encode()
    return [data[at : at + 40] for at in (0, len(data) // 2, len(data) - 110)]


def _lone(corpus: Corpus) -> str:
    """The id of a kept document that is like no other."""
    linked = {name for pair in removed(corpus, "near_duplicate") for name in pair}
    linked |= {name for pair in removed(corpus, "exact_duplicate") for name in pair}
    return next(name for name in corpus.table("kept")["id"].to_pylist() if name not in linked)


def test_erased_tokens_are_masked_padding_and_every_other_token_stays(corpus: Corpus) -> None:
    name = _lone(corpus)
    key, before = document(corpus, name, "key"), parts(corpus.out)
    pad = read_index(corpus.out).tokenizer.pad_id
    assert erase(corpus, name) == 0
    after, num_pieces = parts(corpus.out), 0
    for path, old in before.items():
        new = after[path]
        has_it = key in [k for keys in old["doc_key"].to_pylist() for k in keys]
        assert new.equals(old) is not has_it
        for was, now in zip(old.to_pylist(), new.to_pylist(), strict=True):
            ends = [*was["doc_start"][1:], was["num_tokens"]]
            places = np.zeros(len(was["tokens"]), bool)
            for piece, (start, end) in enumerate(zip(was["doc_start"], ends, strict=True)):
                if was["doc_key"][piece] == key:
                    places[start:end] = True
                    assert now["doc_key"][piece] is None
                    assert now["doc_text_hash"][piece] is None
                    num_pieces += 1
                else:
                    assert now["doc_key"][piece] == was["doc_key"][piece]
            assert now["doc_start"] == was["doc_start"]
            assert now["doc_token_start"] == was["doc_token_start"]
            assert now["num_tokens"] == was["num_tokens"]
            tokens, mask = np.array(now["tokens"]), now.get("loss_mask")
            assert (tokens[~places] == np.array(was["tokens"])[~places]).all()
            assert (tokens[places] == pad).all()
            if places.any():
                assert now["num_bytes"] < was["num_bytes"]
                learned = np.array(mask, bool)
                assert not learned[places].any()
                assert learned[: was["num_tokens"]][~places[: was["num_tokens"]]].all()
            else:
                assert mask is None
                assert now["num_bytes"] == was["num_bytes"]
    assert num_pieces >= 1


def test_bytes_of_the_rows_shrink_by_those_of_the_document(corpus: Corpus) -> None:
    name = _lone(corpus)
    num_bytes = len(document(corpus, name, "text").encode())
    before = sum(s.num_bytes for s in read_index(corpus.out).shards)
    assert erase(corpus, name) == 0
    index = read_index(corpus.out)
    assert sum(s.num_bytes for s in index.shards) == before - num_bytes
    for shard in index.shards:
        rows = ShardRows(find_shards(corpus.out) / shard.path)
        assert rows.num_bytes.sum() == shard.num_bytes


def test_no_file_of_the_output_holds_the_text_the_id_or_the_key(corpus: Corpus) -> None:
    name = "d7"
    texts = corpus.table("kept"), corpus.table("dropped")
    (text,) = [
        t
        for table in texts
        for n, t in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
        if n == name
    ]
    needles = _needles(text)
    assert holding(corpus.out, *needles)
    assert erase(corpus, name, near=True) == 0
    assert holding(corpus.out, *needles) == {}
    digests = [bytes.fromhex(s[k]) for s in tombstones(corpus.out) for k in ("key", "text_hash")]
    assert holding(corpus.out, *digests) == {}
    hexes = [s[k].encode() for s in tombstones(corpus.out) for k in ("key", "text_hash")]
    assert set(holding(corpus.out, *hexes)) <= {"tombstones.json", "state/erasure.json"}
    assert verify(corpus, name) == 0


def test_a_dropped_and_a_quarantined_row_go_too(corpus: Corpus) -> None:
    dropped = corpus.table("dropped")["id"][0].as_py()
    needles = _needles(document(corpus, dropped, "text", "dropped"))
    needles.append(b"not json by zoe")
    assert holding(corpus.out, needles[-1])
    before = arrow_hashes(corpus.out)
    assert erase(corpus, dropped, "general-2.jsonl#0") == 0
    assert holding(corpus.out, *needles) == {}
    changed = {path for path, value in arrow_hashes(corpus.out).items() if before[path] != value}
    assert all(path.startswith("refined/") for path in changed)
    assert len(changed) == 2
    assert verify(corpus, dropped, "general-2.jsonl#0") == 0


def test_copies_go_with_a_document_whichever_of_them_is_named(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    ((copy, survivor), *_) = [p for p in removed(corpus, "exact_duplicate") if "copy" in p[0]]
    assert erase(corpus, copy, json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["num_named"] == 1
    assert told["num_copies"] >= 1
    left = corpus.table("kept")["id"].to_pylist()
    assert {copy, survivor}.isdisjoint(left)
    assert told["applied"]["num_parts"] >= 1


def test_equal_words_in_other_letters_are_a_copy(corpus: Corpus) -> None:
    pairs = [p for p in removed(corpus, "exact_duplicate") if "upper" in p[0]]
    upper, survivor = pairs[0]
    assert erase(corpus, survivor) == 0
    assert upper not in corpus.table("kept")["id"].to_pylist()


def test_near_duplicates_are_told_and_go_when_asked_for(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    near, survivor = removed(corpus, "near_duplicate")[0]
    assert erase(corpus, survivor) == 0
    told = capsys.readouterr().out
    assert near in told
    assert "--near" in told
    assert near in corpus.table("kept")["id"].to_pylist()
    assert erase(corpus, near, near=True) == 0
    assert near not in corpus.table("kept")["id"].to_pylist()
    assert verify(corpus, near, survivor) == 0


def test_an_unknown_id_is_named_and_nothing_is_touched(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(corpus.out)
    assert erase(corpus, "d1", "no such document") == 2
    assert "no such document" in capsys.readouterr().err
    assert tree(corpus.out) == before
    assert erase(corpus, "d1", "no such document", ignore_missing=True) == 0
    assert verify(corpus, "d1") == 0


def test_places_and_keys_name_documents(corpus: Corpus) -> None:
    table = corpus.table("kept")
    row = table.slice(3, 1).to_pylist()[0]
    other = table.slice(9, 1).to_pylist()[0]
    place = f"{row['source_path']}#{row['source_row']}"
    assert erase(corpus, place, other["key"].hex()[:12]) == 0
    left = corpus.table("kept")["key"].to_pylist()
    assert {row["key"], other["key"]}.isdisjoint(left)


def test_the_order_of_erasures_does_not_matter(
    original: Corpus, corpus: Corpus, tmp_path: Path
) -> None:
    names = ["d3", "g5", "d9"]
    assert erase(corpus, *names) == 0
    other = copied(original, tmp_path / "other")
    for name in reversed(names):
        assert erase(other, name) == 0
    assert arrow_hashes(other.out) == arrow_hashes(corpus.out)
    assert tombstones(other.out) == tombstones(corpus.out)


def test_erasing_again_says_so_and_changes_nothing(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert erase(corpus, "d3") == 0
    before = arrow_hashes(corpus.out)
    capsys.readouterr()
    assert erase(corpus, "d3") == 0
    assert "1 were erased before" in capsys.readouterr().out
    assert arrow_hashes(corpus.out) == before


def test_samples_of_pii_of_the_document_go(corpus: Corpus) -> None:
    audit = json.loads((corpus.out / "pii.json").read_text())
    sample = audit["sources"]["domain"]["email"]["samples"][0]
    assert erase(corpus, sample["key"], near=True) == 0
    assert holding(corpus.out, sample["context"].encode()[:60]) == {}
    after = json.loads((corpus.out / "pii.json").read_text())
    keys = [s["key"] for s in after["sources"]["domain"]["email"]["samples"]]
    assert sample["key"] not in keys


def test_the_ledger_counts_what_was_erased(corpus: Corpus) -> None:
    before = corpus.ledger()
    assert erase(corpus, "d3") == 0
    after = corpus.ledger()
    assert sum(entry["num_erased"] for entry in after.values()) >= 1
    for entry in (*before.values(), *after.values()):
        del entry["num_erased"]
    assert after == before


def test_an_output_that_is_being_written_is_refused(corpus: Corpus) -> None:
    from pipeline.stage import locked

    with locked(corpus.out):
        assert erase(corpus, "d3") == 2
    assert not (corpus.out / "tombstones.json").exists()
