"""Looking up buckets and deciding by the index, against plain Python."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.index import (
    MAX_MATCHES,
    Pairs,
    Sides,
    choose,
    estimated_similarity,
    expand,
    find_runs,
    unique_pairs,
)
from pipeline.dedup.signature import sign
from pipeline.errors import UsageError
from pipeline.files import arrow_writer
from pipeline.graph.look_up import Rows, matches, partition_of
from pipeline.index.parameters import check_parameters, parameters
from pipeline.index.segments import (
    BUCKETS,
    DELETED,
    Contents,
    Segment,
    buckets_name,
    content_fingerprint,
    publish,
)

BUCKET = st.integers(0, 12).map(lambda n: n << 60)  # few of them, over the whole range
NUMBER = st.integers(0, 2**32 - 1)


def segment(index: Path, name: str, rows: list[tuple[int, int]], deleted: set[int]) -> Segment:
    """A segment of (bucket, number) rows, in three ranges of hashes."""
    files = {}
    table = np.array(sorted(set(rows)), np.uint64).reshape(-1, 2)
    for partition in range(3):
        chosen = table[partition_of(table[:, 0], 3) == partition]
        path = files.setdefault(buckets_name(partition), index / f"{name}-{partition}.arrow")
        columns = [pa.array(chosen[:, 0]), pa.array(chosen[:, 1].astype(np.uint32))]
        with arrow_writer(path, BUCKETS) as writer:
            writer.write_table(pa.table(columns, schema=BUCKETS))
    contents = Contents(
        number=1,
        fingerprint=content_fingerprint({"rows": str(sorted(set(rows)))}),
        made_of="",
        parameters=parameters(DedupConfig()),
        out="",
        files=(),
        sources=(),
        num_documents=0,
        num_partitions=3,
        file_bytes={file: path.stat().st_size for file, path in files.items()},
    )
    numbers = sorted(deleted)
    gone = pa.table([pa.array(numbers, pa.uint32()), [b"k" * 16] * len(numbers)], schema=DELETED)
    return publish(index, name, contents, files, gone)


def brute_force(
    rows: list[tuple[int, int]], indexed: list[list[tuple[int, int]]], deleted: set[int]
) -> set[tuple[int, int, int]]:
    """Every pair that shares a bucket: (document, segment, number)."""
    return {
        (doc, place, number)
        for bucket, doc in rows
        for place, theirs in enumerate(indexed)
        for other, number in theirs
        if bucket == other and number not in deleted
    }


@given(
    rows=st.lists(st.tuples(BUCKET, st.integers(0, 5)), max_size=30),
    indexed=st.lists(st.lists(st.tuples(BUCKET, st.integers(0, 9)), max_size=20), max_size=3),
    deleted=st.sets(st.integers(0, 9), max_size=3),
)
def test_a_look_up_finds_every_pair_that_shares_a_bucket(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int]],
    indexed: list[list[tuple[int, int]]],
    deleted: set[int],
) -> None:
    index = tmp_path_factory.mktemp("index")
    found = [segment(index, f"s{n}", theirs, deleted) for n, theirs in enumerate(indexed)]
    table = np.array(sorted(rows, key=lambda row: row[1]), np.uint64).reshape(-1, 2)
    asked = Rows(table[:, 0], table[:, 1], np.zeros(len(table), np.bool_))
    pairs: set[tuple[int, int, int]] = set()
    for block in matches(asked, found, np.zeros(1, np.int64)):
        assert (np.diff(block.doc.astype(np.int64)) >= 0).all()
        columns = (block.doc.tolist(), block.segment.tolist(), block.number.tolist())
        pairs |= set(zip(*columns, strict=True))
    assert pairs == brute_force(rows, indexed, deleted)


def test_a_large_bucket_gives_64_of_the_first_segments_and_counts_the_rest(tmp_path: Path) -> None:
    sizes = (40, 100)
    found = [
        segment(tmp_path, f"s{place}", [(7, n) for n in range(size)], set())
        for place, size in enumerate(sizes)
    ]
    rows = Rows(np.full(3, 7, np.uint64), np.arange(3, dtype=np.uint64), np.zeros(3, np.bool_))
    left_out = np.zeros(1, np.int64)
    blocks = list(matches(rows, found, left_out))
    assert [len(block.doc) for block in blocks] == [3 * 40, 3 * (MAX_MATCHES - 40)]
    assert left_out[0] == 3 * (sum(sizes) - MAX_MATCHES)


@given(st.lists(NUMBER, max_size=20), st.lists(NUMBER, max_size=20))
def test_runs_expand_to_where_equal_buckets_stand(wanted: list[int], indexed: list[int]) -> None:
    asked, there = (np.array(sorted(set(values)), np.uint64) for values in (wanted, indexed))
    there = np.repeat(there, 2)
    rows = np.arange(len(asked))
    found, at = expand(find_runs(asked, there), rows, rows)
    assert asked[found].tolist() == there[at].tolist()
    assert len(found) == 2 * len(set(wanted) & set(indexed))


def test_a_pair_that_meets_in_several_buckets_counts_once_and_keeps_equal_words() -> None:
    columns = ([1, 1, 1, 0], [0, 0, 1, 0], [5, 5, 5, 5], [False, True, False, False])
    kinds = (np.uint64, np.uint16, np.uint32, np.bool_)
    pairs = unique_pairs(
        Pairs(*(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)))
    )
    rows = list(zip(*(column.tolist() for column in pairs), strict=True))
    assert rows == [(0, 0, 5, False), (1, 0, 5, True), (1, 1, 5, False)]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),  # document
            st.integers(0, 9),  # number
            st.sampled_from([float("nan"), 0.2, 0.5, 0.79, 0.8, 1.0]),
            st.booleans(),  # estimated
            st.integers(-1, 1),  # priority of ours above theirs
            st.booleans(),  # they validate
        ),
        max_size=20,
        unique_by=lambda row: row[:2],
    )
)
def test_who_goes_for_an_indexed_document_is_what_the_rules_say(
    rows: list[tuple[int, int, float, bool, int, bool]],
) -> None:
    def validates(doc: int) -> bool:
        return doc % 2 == 1

    columns = list(zip(*rows, strict=True)) or [()] * 6
    doc = np.array(columns[0], np.uint64)
    pairs = Pairs(
        doc,
        np.zeros(len(doc), np.uint16),
        np.array(columns[1], np.uint32),
        np.zeros(len(doc), np.bool_),
    )
    chosen = choose(
        pairs,
        *(np.array(columns[2], np.float64), np.array(columns[2], np.float64)),
        np.array(columns[3], np.bool_),
        Sides(np.array(columns[4], np.int64), np.array([validates(d) for d in columns[0]], bool)),
        Sides(np.zeros(len(doc), np.int64), np.array(columns[5], np.bool_)),
        0.8,
    )
    expected = defaultdict(list)
    for document, number, similarity, estimated, priority, held_out in rows:
        is_duplicate = similarity >= 0.8 and priority <= 0
        if is_duplicate or (similarity >= 0.5 and validates(document) != held_out):
            expected[document].append((not is_duplicate, estimated, -similarity, number))
    wanted = [(d, *min(expected[d])) for d in sorted(expected)]
    assert [(d, leak, number) for d, leak, _, _, number in wanted] == list(
        zip(
            doc[chosen.pair].tolist(),
            chosen.is_leak.tolist(),
            pairs.number[chosen.pair].tolist(),
            strict=True,
        )
    )


def test_an_estimate_is_that_of_datasketch() -> None:
    config = DedupConfig()
    words = [f"word{n}" for n in range(400)]
    texts = pa.array([" ".join(words), " ".join([*words[:300], *map(str.upper, words[330:])])])
    signed = sign(texts, config).minhashes
    one, two = (MinHash(hashvalues=row, seed=1, scheme="affine32") for row in signed)
    assert estimated_similarity(signed[:1], signed[1:])[0] == pytest.approx(one.jaccard(two))


@pytest.mark.parametrize(
    ("minhash", "told"),
    [
        ({"ngram": 6}, "ngram: got 6, the segment has 5"),
        ({"seed": 2}, "'seed': 2"),
        ({"bands": 7, "rows": 16}, "'bands': 7"),
        ({"shingles": "characters", "ngram": 5}, "shingles: got characters"),
        (None, "minhash: got None"),
    ],
)
def test_other_parameters_are_told(
    tmp_path: Path, minhash: dict[str, int] | None, told: str
) -> None:
    made = segment(tmp_path, "s", [], set())
    config = DedupConfig.model_validate({"minhash": minhash})
    with pytest.raises(UsageError, match=told):
        check_parameters(config, made)


def test_thresholds_exact_and_survivors_may_differ(tmp_path: Path) -> None:
    made = segment(tmp_path, "s", [], set())
    minhash = {"threshold": 0.9, "bands": 14, "rows": 8}
    config = {"minhash": minhash, "exact": False, "survivor": ["id"]}
    check_parameters(DedupConfig.model_validate(config), made)
    assert parameters(DedupConfig.model_validate(config)) == made.contents.parameters


@pytest.mark.parametrize(
    ("value", "path", "name"),
    [("../x", "../x", None), ({"path": "y", "segment": "may"}, "y", "may"), (None, None, None)],
)
def test_the_key_takes_a_path_or_a_mapping(
    value: object, path: str | None, name: str | None
) -> None:
    found = DedupConfig.model_validate({"index": value}).index
    assert (found and found.path, found and found.segment) == (path, name)
