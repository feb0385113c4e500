"""Documents come back out of packed rows as they went in, whatever their lengths and order."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.documents import read_documents
from pipeline.formats.export import export
from pipeline.formats.megatron import MegatronReader
from pipeline.shards import Shard, ShardIndex, TokenizerIdentity, token_type, write_index
from pipeline.tokens.config import PackConfig
from pipeline.tokens.engines import offsets_of
from pipeline.tokens.packing import make_plan
from pipeline.tokens.parts import PartCounts, write_part
from pipeline.tokens.token_file import TokenisedDocuments


def write(path: Path, documents: list[list[int]], num_ids: int, strategy: str) -> PartCounts:
    dtype = token_type(num_ids)
    lengths = np.array([len(ids) for ids in documents], np.int64)
    names = [number.to_bytes(16, "big") for number in range(len(documents))]
    keys = np.frombuffer(b"".join(reversed(names)), "V16")  # not in the order of the documents
    tokenised = TokenisedDocuments(
        np.array([token for ids in documents for token in ids], dtype.to_pandas_dtype()),
        offsets_of(lengths),
        keys,
        keys,
        lengths,
    )
    config = PackConfig(sequence_tokens=16, strategy=strategy)  # type: ignore[arg-type]
    return write_part(path, make_plan(lengths, config), tokenised, 16, dtype, pad_id=0)


@given(
    documents=st.lists(st.lists(st.integers(1, 60_000), max_size=70), max_size=25),
    strategy=st.sampled_from(["best_fit", "concat"]),
    num_ids=st.sampled_from([60_001, 70_000]),
)
def test_what_was_packed_is_put_together_again(
    tmp_path_factory: pytest.TempPathFactory,
    documents: list[list[int]],
    strategy: str,
    num_ids: int,
) -> None:
    path = tmp_path_factory.mktemp("part") / "part.arrow"
    write(path, documents, num_ids, strategy)
    found = read_documents(path)
    wanted = {
        (len(documents) - 1 - n).to_bytes(16, "big"): ids for n, ids in enumerate(documents) if ids
    }
    parts = np.split(found.values, found.offsets[1:-1]) if len(found.keys) else []
    assert {
        key.tobytes(): ids.tolist() for key, ids in zip(found.keys, parts, strict=True)
    } == wanted
    assert len(found.keys) == len(wanted)
    assert [key.tobytes() for key in found.text_hashes] == [key.tobytes() for key in found.keys]
    assert found.learned is None


def test_a_vocabulary_beyond_16_bits_is_int32_to_megatron(tmp_path: Path) -> None:
    documents = [[100_000, 1, 2], [99_999] * 40]
    path = "web/train/part-00000.arrow"
    counts = write(tmp_path / "shards" / path, documents, 100_001, "best_fit")
    identity = TokenizerIdentity(fingerprint="f", num_ids=100_001, bos_id=None, eos_id=2, pad_id=0)
    index = ShardIndex(
        corpus="c",
        manifest_fingerprint="m",
        tokenizer=identity,
        sequence_tokens=16,
        dtype="uint32",
        shards=(Shard(path=path, source="web", split="train", **counts),),
    )
    write_index(tmp_path / "shards", index)
    export(tmp_path, tmp_path / "m", "megatron")
    reader = MegatronReader(tmp_path / "m/web/train/tokens")
    (chunk,) = reader.chunks()
    assert reader.dtype == np.int32
    assert sorted(ids.tolist() for ids in np.split(chunk.values, chunk.offsets[1:-1])) == sorted(
        documents
    )
