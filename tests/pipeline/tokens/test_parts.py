"""A part holds the documents' tokens, bytes and keys, and any Arrow reader can tell."""

from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PrepareError
from pipeline.files import arrow_writer, file_hash
from pipeline.keys import hash_values
from pipeline.shards import ShardRows, TokenizerIdentity, shard_schema, token_type
from pipeline.tokens import parts
from pipeline.tokens.config import PackConfig
from pipeline.tokens.packing import make_plan
from pipeline.tokens.parts import PartCounts, pack_part, piece_bytes
from pipeline.tokens.token_file import (
    Span,
    TokenisedDocuments,
    lengths,
    read_spans,
    token_batch,
    tokens_schema,
)
from pipeline.tokens.tokenize import Tokens

T = 16
PAD = 9
CONFIG = PackConfig(sequence_tokens=T)


def identity(num_ids: int = 1 << 16) -> TokenizerIdentity:
    return TokenizerIdentity(fingerprint="f", num_ids=num_ids, bos_id=None, eos_id=2, pad_id=PAD)


def documents(sizes: list[int], first: int = 0, dtype: type = np.uint16) -> pa.RecordBatch:
    """Documents of these lengths, numbered on from `first`; number i has 5i + 1 bytes."""
    names = pa.array([str(first + i) for i in range(len(sizes))], pa.string())
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    values = (np.arange(offsets[-1]) * 31 + 7 + first).astype(dtype)
    num_bytes = (first + np.arange(len(sizes))) * 5 + 1
    keys, hashes = hash_values(names), hash_values(pa.array([f"t{n}" for n in names], pa.string()))
    return token_batch(Tokens(values, offsets), keys, hashes, num_bytes)


def write(path: Path, batches: list[pa.RecordBatch], dtype: pa.DataType | None = None) -> Path:
    with arrow_writer(path, tokens_schema(dtype or pa.uint16())) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path


SIZES = [3, 40, 0, 16, 1, 5, 5, 70, 2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Nine documents in three batches, one of them empty."""
    batches = [documents(SIZES[:4]), documents([]), documents(SIZES[4:], first=4)]
    return write(tmp_path / "tokens.arrow", batches)


def expected(file: Path, spans: list[tuple[int, int]]) -> list[dict]:
    rows = pa.ipc.open_file(file).read_all().to_pylist()
    return [row for start, end in spans for row in rows[start:end]]


def test_lengths_are_read_from_the_offsets(file: Path, tmp_path: Path) -> None:
    assert lengths(file).tolist() == SIZES
    assert lengths(write(tmp_path / "none.arrow", [])).tolist() == []


@pytest.mark.parametrize("spans", [[(0, 9)], [(2, 6)], [(0, 0), (3, 4), (9, 9)], [(5, 9), (0, 2)]])
def test_spans_give_their_documents_in_order(file: Path, spans: list[tuple[int, int]]) -> None:
    got = read_spans([Span(file, *span) for span in spans])
    wanted = expected(file, spans)
    ends = got.offsets.tolist()
    assert [got.values[a:b].tolist() for a, b in pairwise(ends)] == [
        row["tokens"] for row in wanted
    ]
    assert [key.tobytes() for key in got.keys] == [row["doc_key"] for row in wanted]
    assert [key.tobytes() for key in got.text_hashes] == [row["text_hash"] for row in wanted]
    assert got.num_bytes.tolist() == [row["num_bytes"] for row in wanted]


def test_a_slice_of_a_batch_keeps_its_own_documents(tmp_path: Path) -> None:
    whole = documents([3, 0, 5, 7])
    path = write(tmp_path / "slice.arrow", [whole.slice(1, 2), whole.slice(3)])
    assert lengths(path).tolist() == [0, 5, 7]
    got = read_spans([Span(path, 0, 3)])
    assert got.values.tolist() == whole["tokens"].values.to_pylist()[3:]


def test_a_span_beyond_the_file_and_a_damaged_file_are_errors(file: Path, tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="got 9 documents, want rows 3 to 10"):
        read_spans([Span(file, 3, 10)])
    (tmp_path / "half.arrow").write_bytes(file.read_bytes()[:200])
    with pytest.raises(PrepareError, match="not a readable token file"):
        lengths(tmp_path / "half.arrow")


def check_part(path: Path, counts: PartCounts, wanted: list[dict], pad: int = PAD) -> None:
    """Rebuild every document from a part read with pyarrow alone."""
    table = pa.ipc.open_file(path).read_all()
    rebuilt: dict[bytes, dict[int, list[int]]] = {}
    for row in table.to_pylist():
        ends = [*row["doc_start"][1:], row["num_tokens"]]
        assert row["doc_start"][0] == 0
        assert row["tokens"][row["num_tokens"] :] == [pad] * (T - row["num_tokens"])
        for start, end, key, at in zip(
            row["doc_start"], ends, row["doc_key"], row["doc_token_start"], strict=True
        ):
            assert end > start
            rebuilt.setdefault(key, {})[at] = row["tokens"][start:end]
    joined = {
        key: [*chain.from_iterable(pieces[at] for at in sorted(pieces))]
        for key, pieces in rebuilt.items()
    }
    filled = [row for row in wanted if row["tokens"]]
    assert joined == {row["doc_key"]: row["tokens"] for row in filled}
    pairs = zip(table["doc_key"].to_pylist(), table["doc_text_hash"].to_pylist(), strict=True)
    hashes = {pair for keys, texts in pairs for pair in zip(keys, texts, strict=True)}
    assert hashes == {(row["doc_key"], row["text_hash"]) for row in filled}
    assert counts == {
        "num_rows": table.num_rows,
        "num_tokens": sum(len(row["tokens"]) for row in wanted),
        "num_bytes": sum(row["num_bytes"] for row in filled),
        "num_documents": len(filled),
        "sha256": file_hash(path, "sha256"),
    }
    assert sum(table["num_tokens"].to_pylist()) == counts["num_tokens"]
    assert sum(table["num_bytes"].to_pylist()) == counts["num_bytes"]


@pytest.mark.parametrize("strategy", ["best_fit", "concat"])
def test_pyarrow_alone_finds_every_document_in_a_part(
    file: Path, tmp_path: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "BLOCK_TOKENS", 3 * T)  # several record batches
    config = PackConfig(sequence_tokens=T, strategy=strategy)
    spans = [Span(file, 4, 9), Span(file, 6, 6), Span(file, 0, 4)]
    counts = pack_part(spans, config, identity(), tmp_path / "part.arrow")
    check_part(tmp_path / "part.arrow", counts, expected(file, [(4, 9), (0, 4)]))
    assert pa.ipc.open_file(tmp_path / "part.arrow").schema == shard_schema(T, pa.uint16())


@given(sizes=st.lists(st.integers(0, 50), max_size=25))
@settings(max_examples=40, deadline=None)
def test_any_lengths_come_back_whole(
    sizes: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = write(folder / "tokens.arrow", [documents(sizes)])
    span = Span(file, 0, len(sizes))
    counts = pack_part([span], CONFIG, identity(), folder / "part.arrow")
    check_part(folder / "part.arrow", counts, expected(file, [(0, len(sizes))]))


def test_the_bytes_of_a_document_are_shared_out_exactly() -> None:
    rng = np.random.default_rng(3)
    sizes, num_bytes = rng.integers(1, 200, 300), rng.integers(1, 10**9, 300)
    nothing = np.zeros(300, "V16")
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    values = np.zeros(offsets[-1], np.uint16)
    shared = TokenisedDocuments(values, offsets, nothing, nothing, num_bytes)
    plan = make_plan(sizes, PackConfig(sequence_tokens=T))
    shares = piece_bytes(plan, shared)
    assert np.bincount(plan.document, shares).tolist() == num_bytes.tolist()
    fair = num_bytes[plan.document] * plan.length / sizes[plan.document]
    assert np.abs(shares - fair).max() <= 1


def test_two_runs_and_other_spans_give_the_same_bytes(file: Path, tmp_path: Path) -> None:
    whole, cut = [Span(file, 0, 9)], [Span(file, 0, 2), Span(file, 2, 2), Span(file, 2, 9)]
    copied = write(tmp_path / "b" / "other.arrow", [documents(SIZES[:4]), documents(SIZES[4:], 4)])
    counts = [
        pack_part(spans, CONFIG, identity(), tmp_path / f"{number}.arrow")
        for number, spans in enumerate([whole, whole, cut, [Span(copied, 0, 9)]])
    ]
    assert len({count["sha256"] for count in counts}) == 1
    assert len({(tmp_path / f"{i}.arrow").read_bytes() for i in range(4)}) == 1


@pytest.mark.parametrize(("num_ids", "dtype"), [(1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_a_part_is_as_wide_as_the_vocabulary(tmp_path: Path, num_ids: int, dtype: type) -> None:
    file = write(
        tmp_path / "t.arrow", [documents([5, 20], dtype=dtype)], pa.from_numpy_dtype(dtype)
    )
    counts = pack_part([Span(file, 0, 2)], CONFIG, identity(num_ids), tmp_path / "part.arrow")
    check_part(tmp_path / "part.arrow", counts, expected(file, [(0, 2)]))
    assert ShardRows(tmp_path / "part.arrow").tokens(0).dtype == dtype
    other = identity((1 << 16) + 1 if dtype is np.uint16 else 1 << 16)
    with pytest.raises(PrepareError, match="got ids as"):
        pack_part([Span(file, 0, 2)], CONFIG, other, tmp_path / "no.arrow")
    assert not (tmp_path / "no.arrow").exists()


def test_the_trainer_reads_the_rows_of_a_part(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.arrow"
    counts = pack_part([Span(file, 0, 9)], CONFIG, identity(), path)
    rows, table = ShardRows(path), pa.ipc.open_file(path).read_all().to_pylist()
    assert rows.num_rows == counts["num_rows"]
    for number, row in enumerate(table):
        assert rows.tokens(number).tolist() == row["tokens"]
        assert rows.doc_starts(number).tolist() == row["doc_start"]
    hashes = [value for row in table for value in row["doc_text_hash"]]
    assert [value.tobytes() for value in rows.text_hashes()] == hashes
    assert int(rows.num_tokens.sum()) == counts["num_tokens"]


def test_datasets_reads_a_part(file: Path, tmp_path: Path) -> None:
    import datasets

    path = tmp_path / "part.arrow"
    pack_part([Span(file, 0, 9)], CONFIG, identity(), path)
    loaded = datasets.load_dataset(
        "arrow", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    table = pa.ipc.open_file(path).read_all()
    assert loaded["tokens"][:] == table["tokens"].to_pylist()
    assert loaded["doc_key"][:] == table["doc_key"].to_pylist()


def test_no_documents_give_a_part_without_rows(file: Path, tmp_path: Path) -> None:
    for name, spans in (("none", []), ("empty", [Span(file, 4, 4)]), ("blank", [Span(file, 2, 3)])):
        counts = pack_part(spans, CONFIG, identity(), tmp_path / name)
        assert (counts["num_rows"], counts["num_tokens"], counts["num_documents"]) == (0, 0, 0)
        assert pa.ipc.open_file(tmp_path / name).read_all().num_rows == 0
        assert ShardRows(tmp_path / name).num_rows == 0


@given(
    masks=st.lists(st.lists(st.booleans(), max_size=60), max_size=8),
    strategy=st.sampled_from(["best_fit", "concat", "pad"]),
)
@settings(max_examples=60, deadline=None)
def test_every_packing_keeps_each_mask_beside_its_token(
    tmp_path_factory: pytest.TempPathFactory, masks: list[list[bool]], strategy: str
) -> None:
    folder = tmp_path_factory.mktemp("masks")
    plain = documents([len(mask) for mask in masks])
    learned = np.array([own for mask in masks for own in mask], np.uint8)
    values = plain["tokens"].values.to_numpy()
    offsets = plain["tokens"].offsets.to_numpy()
    tokens = Tokens(values, offsets, learned=learned)
    batch = token_batch(tokens, plain["doc_key"], plain["text_hash"], plain["num_bytes"].to_numpy())
    path = folder / "tokens.arrow"
    with arrow_writer(path, tokens_schema(pa.uint16(), learned=True)) as writer:
        for start in range(batch.num_rows):
            writer.write_batch(batch.slice(start, 1))
    config = PackConfig(sequence_tokens=T, strategy=strategy)
    part = folder / "part.arrow"
    pack_part([Span(path, 0, batch.num_rows)], config, identity(), part)
    found: dict[tuple[bytes, int], tuple[int, int]] = {}
    with pa.memory_map(str(part)) as source:
        rows = pa.ipc.open_file(source).read_all().to_pylist()
    for row in rows:
        assert not any(row["loss_mask"][row["num_tokens"] :])
        ends = [*row["doc_start"][1:], row["num_tokens"]]
        pieces = zip(row["doc_key"], row["doc_token_start"], row["doc_start"], ends, strict=True)
        for key, first, begin, end in pieces:
            for place in range(begin, end):
                found[key, first + place - begin] = row["tokens"][place], row["loss_mask"][place]
    keys = plain["doc_key"].to_pylist()
    assert found == {
        (keys[number], token): (int(values[offsets[number] + token]), int(own))
        for number, mask in enumerate(masks)
        for token, own in enumerate(mask)
    }


@pytest.mark.parametrize(
    ("num_ids", "dtype"), [(65_535, pa.uint16()), (65_536, pa.uint16()), (65_537, pa.uint32())]
)
def test_ids_are_uint16_to_the_last_that_fits(num_ids: int, dtype: pa.DataType) -> None:
    assert token_type(num_ids) == dtype
    assert np.iinfo(dtype.to_pandas_dtype()).max >= num_ids - 1
