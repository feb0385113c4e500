"""Megatron's IndexedDataset, against megatron-core itself and against the layout in words."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.formats import megatron
from pipeline.formats.megatron import MegatronReader, MegatronWriter
from tests.pipeline.formats import readers


def write(prefix: Path, documents: list[list[int]], dtype: str = "uint16") -> None:
    writer = MegatronWriter(prefix, np.dtype(dtype))
    for some in (documents[:2], documents[2:]):
        values = np.array([token for ids in some for token in ids], dtype)
        writer.add(values, np.array([len(ids) for ids in some], np.int64))
    writer.close()


def read(prefix: Path) -> list[list[int]]:
    return [
        chunk.values[start:end].tolist()
        for chunk in MegatronReader(prefix).chunks()
        for start, end in zip(chunk.offsets[:-1], chunk.offsets[1:], strict=True)
    ]


DOCUMENTS = [[5, 6, 7], [65535], [], [1, 2], [9] * 40]


def test_the_index_is_laid_out_as_the_format_says(tmp_path: Path) -> None:
    write(tmp_path / "a", DOCUMENTS)
    data = (tmp_path / "a.idx").read_bytes()
    assert data[:9] == b"MMIDIDX\x00\x00"
    assert struct.unpack("<QBQQ", data[9:34]) == (1, 8, 5, 6)
    assert np.frombuffer(data, "<i4", 5, 34).tolist() == [3, 1, 0, 2, 40]
    assert np.frombuffer(data, "<i8", 5, 54).tolist() == [0, 6, 8, 8, 12]
    assert np.frombuffer(data, "<i8", 6, 94).tolist() == [0, 1, 2, 3, 4, 5]
    assert len(data) == 94 + 48
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.idx"]


@readers.needs("megatron.core")
def test_megatron_core_reads_what_is_written(tmp_path: Path) -> None:
    documents = [[token % 251 for token in ids] for ids in DOCUMENTS]
    dtypes = ["uint16", "int32", "uint8"]
    for dtype in dtypes:
        write(tmp_path / dtype, documents, dtype)
    for dtype, found in zip(dtypes, readers.read_megatron(tmp_path, dtypes), strict=True):
        assert [ids.tolist() for ids in found] == documents
        assert found[0].dtype == dtype


@readers.needs("megatron.core")
def test_documents_of_several_sequences_are_read_as_megatron_core_built_them(
    tmp_path: Path,
) -> None:
    documents = [[[1, 2], [3]], [[4]], [[5, 6], [7, 8], [9]]]
    dtypes = ["uint16", "int32", "int64"]
    readers.build_megatron(tmp_path, dtypes, documents)
    for dtype in dtypes:
        assert read(tmp_path / dtype) == [[1, 2, 3], [4], [5, 6, 7, 8, 9]]


def test_chunks_join_up_to_all_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(megatron, "CHUNK_TOKENS", 7)
    monkeypatch.setattr(megatron, "CHUNK_DOCUMENTS", 4)
    documents = [list(range(n % 11)) for n in range(50)]
    write(tmp_path / "a", documents)
    assert read(tmp_path / "a") == documents
    firsts = [chunk.first for chunk in MegatronReader(tmp_path / "a").chunks()]
    assert len(firsts) > 12
    assert firsts == sorted(set(firsts))


def test_a_filled_mask_is_as_long_as_its_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(megatron, "CHUNK_TOKENS", 4)
    writer = MegatronWriter(tmp_path / "m", np.dtype(np.uint8))
    writer.fill(1, np.array([3, 0, 9]))
    writer.add(np.array([0, 1], np.uint8), np.array([2]))
    writer.close()
    assert read(tmp_path / "m") == [[1] * 3, [], [1] * 9, [0, 1]]


def test_sequences_are_found_by_their_pointers(tmp_path: Path) -> None:
    write(tmp_path / "a", [[1, 2], [3, 4, 5]])
    data = bytearray((tmp_path / "a.idx").read_bytes())
    struct.pack_into("<ii", data, 34, 3, 2)
    struct.pack_into("<qq", data, 42, 4, 0)
    (tmp_path / "a.idx").write_bytes(data)
    assert read(tmp_path / "a") == [[3, 4, 5], [1, 2]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"TNTIDX" + data[6:], "does not begin with MMIDIDX"),
        (lambda data: data[:20], "does not begin with MMIDIDX"),
        (lambda data: data[:9] + struct.pack("<Q", 2) + data[17:], "its version is 2"),
        (lambda data: data[:17] + b"\x07" + data[18:], "its type has the code 7"),
        (lambda data: data[:-8], "says that it has"),
        (lambda data: data[:34] + struct.pack("<i", -1) + data[38:], "less than 0 tokens"),
        (lambda data: data[:34] + struct.pack("<i", 900) + data[38:], "943 tokens, a.bin holds 46"),
        (lambda data: data[:54] + struct.pack("<q", 88) + data[62:], "sequence 0 is not whole"),
        (lambda data: data[:54] + struct.pack("<q", -2) + data[62:], "sequence 0 is not whole"),
        (lambda data: data[:94] + struct.pack("<q", 1) + data[102:], "the sequences from 1 to 5"),
        (lambda data: data[:-8] + struct.pack("<q", 3), "the sequences from 0 to 3"),
        (lambda data: data[:-16] + struct.pack("<qq", 0, 5), "not runs of its sequences"),
        (lambda data: data[:-8] + struct.pack("<q", 99), "not runs of its sequences"),
    ],
)
def test_a_damaged_dataset_is_refused_with_the_reason(
    tmp_path: Path, change: object, reason: str
) -> None:
    write(tmp_path / "a", DOCUMENTS)
    path = tmp_path / "a.idx"
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(SourceError, match=reason):
        read(tmp_path / "a")


def test_a_pointer_near_the_largest_number_is_out_of_bounds(tmp_path: Path) -> None:
    write(tmp_path / "a", [[1, 2, 3]], "uint8")
    data = bytearray((tmp_path / "a.idx").read_bytes())
    struct.pack_into("<q", data, 38, (1 << 63) - 1)
    (tmp_path / "a.idx").write_bytes(data)
    with pytest.raises(SourceError, match="sequence 0 is not whole"):
        read(tmp_path / "a")


def test_no_more_is_read_than_is_held(tmp_path: Path) -> None:
    """An index of 32 KB that names the same 64 KB over and over would be 64 MB of documents."""
    write(tmp_path / "a", [[7] * 65_536], "uint8")
    with (tmp_path / "a.idx").open("wb") as index:
        index.write(megatron.HEADER.pack(megatron.MAGIC, 1, 1, 1000, 2))
        index.write(np.full(1000, 65_536, "<i4").data)
        index.write(np.zeros(1000, "<i8").data)
        index.write(np.array([0, 1000], "<i8").data)
    with pytest.raises(SourceError, match=r"65,536,000 tokens, a\.bin holds 65,536"):
        MegatronReader(tmp_path / "a")


def test_half_a_dataset_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", DOCUMENTS)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(SourceError, match=r"want both a\.bin and a\.idx"):
        MegatronReader(tmp_path / "a")
