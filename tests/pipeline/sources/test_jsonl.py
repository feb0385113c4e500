"""JSON Lines: every line is a document or quarantined, whatever the line, block or slice."""

import bz2
import dataclasses
import gzip
import json
import lzma
import random
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipeline.sources import Slice, SourceConfig
from pipeline.sources.compression import MAGIC_BYTES, compression_of
from pipeline.sources.jsonl import JsonlReader
from tests.pipeline.sources.conftest import Read, collect, read_all, reader_of

Reading = Callable[..., Read]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
fields = st.fixed_dictionaries(
    {},
    optional={"text": st.text(max_size=12) | json_values, "id": json_values, "other": json_values},
)
line = st.one_of(
    fields.map(lambda value: json.dumps(value).encode()),
    fields.map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ),
    st.fixed_dictionaries({"text": st.text(max_size=12)}).map(lambda v: json.dumps(v).encode()),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from(
        [
            b"",
            b" \t",
            b"\r",
            b"null",
            b"{",
            b"}",
            b"{}",
            b'{"text":"a"}{"text":"b"}',
            b'{"text":',
            b'"x"}',
            b'{"text":"\xff"}',
            b'{"text":"a","o":"\xff"}',
            b'{"text":"\\ud800"}',
            b'{"text":"a","o":"\\ud800"}',
            b'{"text":"a","text":"b"}',
            b'{"text":null,"text":"b"}',
            b'{"text":"a"}\r',
            b'{"text":"a"} ',
            b'\xef\xbb\xbf{"text":"a"}',
            b'{"text":"a","id":' + b"7" * 5000 + b"}",
            b'{"text":"a"}\x00',
            b'{"text":"a\\u0000"}',
            b'{"text":"a","o":' + b"[" * 3000 + b"]" * 3000 + b"}",
            b'{"text":"a","o":Inf}',
            b'{"text":"a","id":-0}',
            b'{"text":"a","id":1e400}',
            b'{"text":"a","id":[1,{"b":null}]}',
        ]
    ),
)


def oracle(data: bytes) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(offset, text) of each document, (offset, reason) of every other line that is not blank."""
    good, bad, offset = [], [], 0
    for raw in data.split(b"\n"):
        stripped = raw.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r")
        if stripped:
            text, reason = oracle_line(stripped)
            if reason is None:
                good.append((offset, text))
            else:
                bad.append((offset, reason))
        offset += len(raw) + 1
    return good, bad


def oracle_line(raw: bytes) -> tuple[str, str | None]:
    try:
        value = json.loads(raw.decode("utf-8"), parse_int=float)
    except UnicodeDecodeError:
        return "", "not_utf8"
    except (ValueError, RecursionError):
        # The two extensions of pyarrow's parser.
        if b"[[[" in raw or b":Inf}" in raw:
            return "a", None
        return "", "not_json"
    if not isinstance(value, dict):
        return "", "not_json"
    if "text" not in value:
        return "", "missing_field"
    text = value["text"]
    if text is None:
        return "", "null_text"
    if not isinstance(text, str):
        return "", "wrong_type"
    wanted = (text, value.get("id"))
    surrogate = any(
        0xD800 <= ord(c) < 0xE000 for w in wanted for c in json.dumps(w, ensure_ascii=False)
    )
    return (text, "not_utf8") if surrogate else (text, None)


def found(read: Read) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    good = [(row["source_row"], row["text"]) for row in read.documents]
    return good, sorted(read.reasons)


@settings(max_examples=120, deadline=None)
@example(lines=[b'{"text":"a"}{"text":"b"}', b'{"text":', b'"c"}'], split=3, block=1000, end=b"\n")
@example(lines=[b'{"text":"a"}', b"null", b'{"text":"b"}'], split=100, block=1, end=b"\n")
@given(
    lines=st.lists(line, max_size=12),
    split=st.integers(1, 60),
    block=st.integers(1, 200),
    end=st.sampled_from([b"", b"\n"]),
)
def test_every_line_is_what_a_plain_reading_by_pythons_json_says_at_any_block_and_slice(
    lines: list[bytes], split: int, block: int, end: bytes
) -> None:
    data = b"\n".join(lines) + end
    assume(data and compression_of(data[:MAGIC_BYTES]) is None)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jsonl").write_bytes(data)
        source = SourceConfig(name="d", format="jsonl", paths=("a.jsonl",), id_field="id")
        reader = JsonlReader(
            source=source,
            base=Path(folder),
            max_document_bytes=1000,
            split_bytes=split,
            block_bytes=block,
        )
        read = read_all(reader)  # compares slices with the whole
        assert found(read) == oracle(data)
        assert (
            read.documents == read_all(dataclasses.replace(reader, block_bytes=1 << 22)).documents
        )


def lines_of(num_rows: int) -> bytes:
    return b"".join(
        json.dumps({"id": i, "text": f"row {i} é", "n": 1.5}, ensure_ascii=False).encode() + b"\n"
        for i in range(num_rows)
    )


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstandard.ZstdCompressor(write_content_size=False).compress,
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),  # the default takes 10 s for the test
}


@pytest.mark.parametrize("kind", PACK)
def test_members_of_one_compressed_file_read_as_one_stream_whatever_its_name(
    read: Reading, kind: str
) -> None:
    data = lines_of(3000)
    packed = PACK[kind](data[:1234]) + PACK[kind](b"") + PACK[kind](data[1234:])
    assert read(packed, format="jsonl", name="x.jsonl") == read(
        data, format="jsonl", name="x.jsonl"
    )


def test_padding_and_skippable_frames_are_no_data(read: Reading) -> None:
    data = lines_of(20)
    frame = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    zst = frame + PACK["zst"](data) + frame
    assert read(zst, format="jsonl").texts == read(data, format="jsonl").texts
    assert read(PACK["gz"](data) + bytes(512), format="jsonl").quarantined == []


@pytest.mark.parametrize("kind", PACK)
def test_a_truncated_archive_keeps_its_rows_and_quarantines_one_tail(
    read: Reading, kind: str
) -> None:
    noise = random.Random(1)
    data = b"".join(
        b'{"text": "%s"}\n' % noise.randbytes(200).hex().encode() for _ in range(20_000)
    )
    packed = PACK[kind](data)
    got = read(packed[: len(packed) * 2 // 3], format="jsonl")
    assert len(got.documents) > 5000
    offset = got.documents[-1]["source_row"] + len(b'{"text": ""}\n') + 400
    assert got.reasons == [(offset, "truncated")]
    assert data[offset:].startswith(got.quarantined[0]["raw"])


@pytest.mark.parametrize("kind", PACK)
def test_garbage_after_good_data_is_one_corrupt_row_and_garbage_alone_is_unreadable(
    read: Reading, kind: str
) -> None:
    data = lines_of(50)
    got = read(PACK[kind](data) + b"garbage garbage garbage", format="jsonl")
    assert got.reasons == [(len(data), "corrupt")]
    assert len(got.documents) == 50
    magic = PACK[kind](data)[: 4 if kind == "zst" else 10]
    assert read(magic + b"\xff" * 100, format="jsonl").reasons == [(0, "unreadable")]


def test_an_empty_file_is_one_quarantined_row(read: Reading) -> None:
    assert read(b"", format="jsonl").reasons == [(0, "empty_file")]
    assert read(PACK["gz"](b""), format="jsonl").reasons == [(0, "empty_file")]
    assert read(b"\n \n", format="jsonl") == Read([], [])


def test_ids_and_meta_are_strings_whatever_they_were(read: Reading) -> None:
    rows = [
        {"text": "a", "id": 7, "url": "http://x", "ok": True, "score": 0.5},
        {"text": "b", "id": "k", "ok": None, "score": 12},
        {"text": "c", "tags": ["x", 1], "ok": False},
    ]
    config: dict[str, Any] = {
        "format": "jsonl",
        "id_field": "id",
        "url_field": "url",
        "meta_fields": ["ok", "score", "tags"],
    }
    got = read("\n".join(map(json.dumps, rows)).encode(), **config)
    assert [row["id"] for row in got.documents[:2]] == ["7", "k"]
    assert got.documents[2]["id"] == f"data#{got.documents[2]['source_row']}"
    assert [row["url"] for row in got.documents] == ["http://x", None, None]
    assert [row["meta"] for row in got.documents] == [
        [("ok", "true"), ("score", "0.5")],
        [("score", "12")],
        [("ok", "false"), ("tags", '["x", 1]')],
    ]


def test_integer_ids_take_the_fast_path_and_give_the_same_as_the_slow_one(read: Reading) -> None:
    data = lines_of(500)
    fast = read(data, format="jsonl", id_field="id")
    slow = read(data + b"broken\n", format="jsonl", id_field="id")
    assert fast.documents == slow.documents
    assert [row["id"] for row in fast.documents] == [str(i) for i in range(500)]


def test_a_document_longer_than_a_block_is_read_and_one_over_the_limit_is_not(
    read: Reading,
) -> None:
    data = b"\n".join(json.dumps({"text": "é" * n}).encode() for n in (4_500_000, 5_000_001, 3))
    got = read(data, format="jsonl")
    assert [len(text) for text in got.texts] == [4_500_000, 3]
    assert [row["reason"] for row in got.quarantined] == ["too_large"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_endless_line_is_skipped_without_being_held(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    data = b'{"text":"a"}\n{"text":"' + b"x" * 60_000_000 + b'"}\n{"text":"b"}\n'
    (tmp_path / "a").write_bytes(pack(data))
    reader = reader_of(tmp_path, limit=1000, format="jsonl", paths=["a"])
    (item,) = reader.inputs()
    tracemalloc.start()
    got = collect(reader.read(Slice(input=item)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got.texts == ["a", "b"]
    assert got.reasons == [(13, "too_large")]
    assert len(got.quarantined[0]["raw"]) == 1 << 20
    assert peak < 30_000_000


def test_a_plain_file_is_split_and_a_compressed_one_is_not(tmp_path: Path) -> None:
    data = lines_of(1000)
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "b.jsonl").write_bytes(gzip.compress(data))
    source = SourceConfig(name="d", format="jsonl", paths=("*.jsonl",))
    reader = JsonlReader(source=source, base=tmp_path, max_document_bytes=100, split_bytes=5000)
    plain, packed = reader.inputs()
    assert (reader.is_splittable(plain), reader.is_splittable(packed)) == (True, False)
    assert len(reader.split(plain)) == -(-len(data) // 5000)
    assert reader.split(packed) == [Slice(input=packed)]


def test_a_batch_of_bad_rows_alone_may_have_meta_fields(read: Reading) -> None:
    got = read(b'{"text": null, "k": "v"}\n', format="jsonl", meta_fields=["k"])
    assert (got.documents, got.reasons) == ([], [(0, "null_text")])
    got = read(b'{"text": "too large", "k": "v"}\n', limit=5, format="jsonl", meta_fields=["k"])
    assert (got.documents, got.reasons) == ([], [(0, "too_large")])
