"""Seekable zstd: slices of frames give the rows of the plain file, whatever the table says."""

import io
import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import Slice, SourceConfig, compression
from pipeline.sources.jsonl import JsonlReader
from pipeline.sources.text import TextReader
from tests.pipeline.sources.conftest import Read, collect, read_all

pyzstd = pytest.importorskip("pyzstd")  # the independent writer

Cuts = Sequence[int]

texts = st.lists(st.text("ab é\r", max_size=9), max_size=25)
cuts = st.lists(st.integers(0, 400), max_size=12)


def seekable(data: bytes, at: Cuts) -> bytes:
    """As pyzstd writes it: frames cut at these places, then the table."""
    sink = io.BytesIO()
    with pyzstd.SeekableZstdFile(sink, "wb") as file:
        for start, end in itertools.pairwise(
            [0, *sorted(c for c in at if c < len(data)), len(data)]
        ):
            file.write(data[start:end])
            file.flush(file.FLUSH_FRAME)
    return sink.getvalue()


def with_sizes(
    data: bytes, at: Cuts, *, lie: Sequence[tuple[int, int]] = (), flags: int = 0
) -> bytes:
    """Frames that tell their sizes, and a table of another hand; `lie` adds to its entries."""
    bounds = [0, *sorted({c for c in at if 0 < c < len(data)}), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(bounds)]
    frames = [zstandard.compress(piece) for piece in pieces]
    sizes = np.array([(len(f), len(p)) for f, p in zip(frames, pieces, strict=True)], np.int64)
    for place, more in lie:
        sizes.reshape(-1)[place % sizes.size] += more
    return b"".join(frames) + table(sizes, flags)


def table(sizes: np.ndarray, flags: int = 0) -> bytes:
    if flags & 0x80:
        sizes = np.concatenate([sizes, np.full((len(sizes), 1), 7)], axis=1)
    body = sizes.clip(0, 2**32 - 1).astype("<u4").tobytes()
    footer = len(sizes).to_bytes(4, "little") + bytes([flags]) + bytes.fromhex("b1ea928f")
    size = (len(body) + len(footer)).to_bytes(4, "little")
    return bytes.fromhex("5e2a4d18") + size + body + footer


def reader(folder: Path, kind: str, split_bytes: int) -> JsonlReader | TextReader:
    more: dict[str, Any] = {"per": "line"} if kind == "text" else {}
    source = SourceConfig(name="d", format=kind, paths=("a",), **more)
    new = TextReader if kind == "text" else JsonlReader
    return new(
        source=source, base=folder, max_document_bytes=1000, split_bytes=split_bytes, block_bytes=64
    )


def rows(read: Read) -> list[tuple[int, str]]:
    return [(row["source_row"], row["text"]) for row in read.documents]


def lines_of(values: Sequence[str], end: bytes = b"\n") -> bytes:
    return b"\n".join(json.dumps({"text": value}).encode() for value in values) + end


@settings(max_examples=60, deadline=None)
@given(
    values=texts,
    at=cuts,
    split=st.integers(1, 300),
    kind=st.sampled_from(["jsonl", "text"]),
    end=st.sampled_from([b"", b"\n", b"\n\n"]),
    told=st.booleans(),
)
def test_slices_of_frames_give_the_rows_of_the_plain_file(
    values: list[str], at: list[int], split: int, kind: str, end: bytes, told: bool
) -> None:
    data = lines_of(values, end) if kind == "jsonl" else "\n".join(values).encode() + end
    if not data:
        return
    with tempfile.TemporaryDirectory() as folder:
        read = reader(Path(folder), kind, split)
        (Path(folder) / "a").write_bytes(data)
        plain = read_all(read)
        (Path(folder) / "a").write_bytes((with_sizes if told else seekable)(data, at))
        assert read_all(read) == plain  # compares slices with the whole


def test_a_large_file_is_cut_where_its_frames_begin(tmp_path: Path) -> None:
    data = lines_of([f"row {n}" for n in range(1000)])
    for packed in (seekable(data, range(0, 20_000, 500)), with_sizes(data, range(0, 20_000, 500))):
        (tmp_path / "a").write_bytes(packed)
        read = reader(tmp_path, "jsonl", 2000)
        (item,) = read.inputs()
        starts = [piece.start for piece in read.split(item)]
        assert starts == [0, *(n + 1 for n in range(2000, len(data), 2000))]
        assert read.is_splittable(item)
        assert [text for _, text in rows(read_all(read))] == [f"row {n}" for n in range(1000)]


def split_and_whole(folder: Path, split: int) -> tuple[list[Slice], Read, Read]:
    read = reader(folder, "jsonl", split)
    (item,) = read.inputs()
    pieces = read.split(item)
    parts = [collect(read.read(piece)) for piece in pieces]
    joined = Read(
        [r for p in parts for r in p.documents], [r for p in parts for r in p.quarantined]
    )
    return pieces, joined, collect(read.read(Slice(input=item)))


DATA = lines_of([f"row {n:03}" for n in range(120)])  # 20 bytes a line
EVERY = range(50, len(DATA), 50)


@pytest.mark.parametrize(
    "packed",
    [
        seekable(DATA, EVERY)[:-1],
        seekable(DATA, EVERY) + b"\0",
        with_sizes(DATA, EVERY, lie=[(0, 1)]),  # where frames are
        with_sizes(DATA, EVERY, lie=[(10, 3), (16, -3)]),
        with_sizes(DATA, EVERY, lie=[(n, 1) for n in range(1, 80, 2)]),  # told by the headers
        with_sizes(DATA, EVERY, lie=[(1, 1 << 31)]),  # a bomb
        with_sizes(DATA, EVERY, flags=0x04),  # a bit that means nothing yet
        b"".join(zstandard.compress(DATA[n : n + 50]) for n in range(0, len(DATA), 50)),
    ],
)
def test_a_table_that_cannot_be_true_is_not_used(tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "a").write_bytes(packed)
    pieces, joined, whole = split_and_whole(tmp_path, 200)
    assert len(pieces) == 1
    assert joined == whole
    assert len(whole.documents) == 120


def test_the_bits_that_a_reader_must_not_know_and_checksums_are_read(tmp_path: Path) -> None:
    for flags in (0x03, 0x80):
        (tmp_path / "a").write_bytes(with_sizes(DATA, EVERY, flags=flags))
        pieces, joined, whole = split_and_whole(tmp_path, 200)
        assert len(pieces) > 5
        assert joined == whole


def lying(more: int) -> bytes:
    """A table that gives a frame of 50 bytes, whose header does not tell, other ones."""
    packed = seekable(DATA, EVERY)
    num_frames = int.from_bytes(packed[-9:-5], "little")
    start = len(packed) - 9 - 8 * num_frames
    sizes = np.frombuffer(packed, "<u4", offset=start, count=2 * num_frames).astype(np.int64)
    sizes[2 * 10 + 1] += more
    return packed[: start - 8] + table(sizes.reshape(-1, 2))


@pytest.mark.parametrize("more", [-20, -7, -1, 1, 7, 20])
def test_a_slice_whose_frames_are_not_as_long_as_the_table_says_is_damaged(
    tmp_path: Path, more: int
) -> None:
    (tmp_path / "a").write_bytes(lying(more))
    pieces, joined, whole = split_and_whole(tmp_path, 200)
    assert len(pieces) > 5
    assert {row["reason"] for row in joined.quarantined} == {"corrupt"}
    assert len({number for number, _ in rows(joined)}) == len(joined.documents)
    found = [row["text"] for row in joined.documents]
    assert len(found) == len(set(found))
    lost = {row["text"] for row in whole.documents} - set(found)
    assert len(lost) <= 1 + 200 // 20  # what is left of one slice of 200 bytes


def damages() -> Iterator[bytes]:
    packed = bytearray(seekable(DATA, EVERY))
    for place in range(40, len(packed), 331):
        changed = bytearray(packed)
        changed[place] ^= 0x55
        yield bytes(changed)
        yield bytes(packed[:place])


def test_damage_anywhere_costs_what_it_hits_and_no_row_is_there_twice(tmp_path: Path) -> None:
    for packed in damages():
        (tmp_path / "a").write_bytes(packed)
        _, joined, _ = split_and_whole(tmp_path, 200)
        found = [row["text"] for row in joined.documents]
        assert len(found) == len(set(found))
        assert len(found) == 120 or joined.quarantined


def test_a_table_that_went_since_the_file_was_cut_changes_no_row(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(seekable(DATA, EVERY))
    read = reader(tmp_path, "jsonl", 200)
    (item,) = read.inputs()
    pieces = read.split(item)
    (tmp_path / "a").write_bytes(zstandard.compress(DATA))
    again = [row for piece in pieces for row in rows(collect(read.read(piece)))]
    assert again == rows(collect(read.read(Slice(input=item))))


def test_frames_of_nothing_but_blank_lines_are_still_no_bomb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 16)
    data = b"\n" * (1 << 22)
    (tmp_path / "a").write_bytes(seekable(data, range(0, len(data), 1 << 20)))
    pieces, joined, _ = split_and_whole(tmp_path, 1 << 20)
    assert len(pieces) == 1  # the table promises too much
    assert [row["reason"] for row in joined.quarantined] == ["expands_too_far"]
