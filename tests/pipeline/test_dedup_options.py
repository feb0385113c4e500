"""Options of deduplication through whole runs: survivors, signatures on disk, containment."""

import json
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from datasketch import MinHash

from pipeline.cli import main
from pipeline.dedup.config import DedupConfig, MinHashConfig
from pipeline.dedup.verify import jaccard, shingle_sets
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.removals import CONTAINED, LEAK, REMOVALS
from pipeline.signals import DocumentFiles, check_survivor, read_signal
from tests.pipeline.corpora import Corpus, base_manifest, docstrings, near_copy

LOW = {"signal": "length.num_chars", "prefer": "low"}
NUM_GROUPS = 30


def corpus_of(folder: Path, tokenizer_folder: Path, dedup: dict[str, Any], **source: Any) -> Corpus:
    """One source `web` whose documents only deduplication removes."""
    manifest = base_manifest(tokenizer_folder)
    web = {"name": "web", "format": "jsonl", "paths": ["web*"], "id_field": "id"}
    manifest |= {"sources": [web | source], "filters": [{"use": "length", "min_chars": 1}]}
    return Corpus(folder, manifest | {"dedup": dedup})


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    """Groups of a text and two near copies, of three dates; of the last ten groups none has any.

    With whole signatures, and bands for a threshold of 0.7.
    """
    dedup = {
        "minhash": {"threshold": 0.7, "signatures": True},
        "survivor": ["newest", LOW, "id"],
    }
    folder = tmp_path_factory.mktemp("dated")
    corpus = corpus_of(folder, tokenizer_folder, dedup, date_field="published")
    dates = ["2021-05-01T10:00:00Z", "1650000000", "2021-05-01"]  # the second is of 2022
    rows = []
    texts = [text for text in docstrings() if len(text) > 700][:NUM_GROUPS]
    for n, text in enumerate(texts):
        # The last is the shortest of its group.
        for k, copy in enumerate([f"{near_copy(text, n)} and more", text + " more", text]):
            row = {"id": f"{n}-{k}", "text": copy}
            if n < 20:
                row["published"] = dates[k]
            elif k == 1:
                row["published"] = "last week"
            rows.append(row)
    rows.append({"id": "short", "text": "too short", "published": None})
    corpus.write("web.jsonl", rows)
    said = corpus.prepare("--workers", "1")
    assert "web: 31 documents have no date" in said
    return corpus


def test_the_newest_stays_and_without_dates_the_best_signal(dated: Corpus) -> None:
    expected = {f"{n}-{1 if n < 20 else 2}" for n in range(NUM_GROUPS)} | {"short"}
    assert dated.surviving_ids() == expected
    assert dated.ledger()["web"]["num_undated"] == 31


def test_dates_are_stored_with_the_documents(dated: Corpus) -> None:
    kept = dated.table("kept")
    rows = {row["id"]: row for row in kept.select(["id", "date", "meta"]).to_pylist()}
    assert rows["0-1"]["date"].isoformat() == "2022-04-15T05:20:00+00:00"
    assert rows["0-1"]["meta"] == [("published", "1650000000")]
    assert rows["25-1"]["date"] is None
    assert rows["25-1"]["meta"] == [("published", "last week")]


def test_the_manifest_in_the_output_has_the_numbers_that_were_chosen(dated: Corpus) -> None:
    minhash = yaml.safe_load((dated.out / "manifest.yaml").read_text())["dedup"]["minhash"]
    chosen = {name: minhash[name] for name in ("num_perm", "bands", "rows", "ngram", "threshold")}
    assert chosen == {"num_perm": 112, "bands": 18, "rows": 6, "ngram": 5, "threshold": 0.7}
    assert load_manifest(dated.out / "manifest.yaml").dedup.minhash == MinHashConfig(
        threshold=0.7, signatures=True
    )


def test_stored_signatures_are_minhashes_of_datasketch(dated: Corpus) -> None:
    signatures, kept = dated.table("signatures"), dated.table("kept")
    assert signatures["minhashes"].type == pa.list_(pa.uint32(), 112)
    short = kept["id"].to_pylist().index("short")
    assert not signatures["minhashes"][short].is_valid
    assert not signatures["bands"][short].is_valid
    places = [i for i in range(40) if i != short]
    texts = kept["text"].combine_chunks()
    sets = shingle_sets(texts, DedupConfig())
    theirs = {
        i: MinHash(
            num_perm=112,
            seed=1,
            scheme="affine32",
            hashvalues=signatures["minhashes"][i].as_py(),
        )
        for i in places
    }
    for i in places:
        own = MinHash(num_perm=112, seed=1, scheme="affine32", hashfunc=lambda value: value)
        hashes = sets.hashes[sets.offsets[i] : sets.offsets[i + 1]].astype(np.uint32)
        own.update_batch(hashes.tolist())
        assert own == theirs[i]
    left, right = np.array(places[:-1]), np.array(places[1:])
    estimated = [theirs[i].jaccard(theirs[j]) for i, j in zip(left, right, strict=True)]
    similarity = jaccard(sets, left, sets, right)
    assert similarity.max() > 0.7
    # Of 112 permutations the standard error is at most 0.047.
    assert np.abs(np.array(estimated) - similarity).max() < 4 * 0.048


def test_num_duplicates_counts_the_documents_that_went_for_one(dated: Corpus) -> None:
    kept = sorted((dated.out / "refined" / "web").glob("*.kept.arrow"))
    (removals,) = dated.out.glob("dedup/*/removals.arrow")
    signal = read_signal("num_duplicates", DocumentFiles(kept, [], removals))
    ids = {row["key"]: row["id"] for row in dated.table("kept").to_pylist()}
    counts = dict(zip([ids[key] for key in signal.keys.to_pylist()], signal.values, strict=True))
    gone = dated.removals()
    by_survivor = Counter(ids[key] for key in gone["survivor_key"].to_pylist())
    assert counts == {name: by_survivor[name] for name in counts}
    stays = dated.surviving_ids()
    assert all(counts[name] == 2 for name in stays - {"short"})
    assert counts["short"] == 0
    # No chains: who is removed stands for nobody, and all who went are counted once.
    assert all(counts[name] == 0 for name in counts.keys() - stays)
    assert sum(counts.values()) == gone.num_rows == 2 * NUM_GROUPS


def test_leaks_and_what_went_for_another_corpus_are_no_duplicates(tmp_path: Path) -> None:
    found = (("near_duplicate", 7), (LEAK, 7), ("duplicate_in_index", None))
    rows = [{"survivor_key": b"a" * 16, "rule": rule, "survivor_doc": doc} for rule, doc in found]
    for name, table in {
        "removals": pa.Table.from_pylist(rows, schema=REMOVALS),
        "kept": pa.table({"key": pa.array([b"a" * 16, b"b" * 16], pa.binary(16))}),
    }.items():
        with pa.ipc.new_file(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
    files = DocumentFiles([tmp_path / "kept"], [], tmp_path / "removals")
    assert read_signal("num_duplicates", files).values.tolist() == [1, 0]


@pytest.fixture(scope="module")
def source_code(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    """Pieces of the standard library, by default but for shingles of characters."""
    dedup = {"minhash": {"shingles": "characters"}}
    corpus = corpus_of(tmp_path_factory.mktemp("code"), tokenizer_folder, dedup)
    rows = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:90]:
        text = path.read_text(encoding="utf-8")
        pieces = [text[at : at + 700] for at in range(0, len(text), 700)]
        rows += [{"id": f"{path.stem}-{n}", "text": piece} for n, piece in enumerate(pieces)]
    spaced = f"  {rows[0]['text'].upper().replace(' ', '   ')}..."
    corpus.write("web.jsonl", [*rows, {"id": "spaced", "text": spaced}, {"id": "s1", "text": "Ab"}])
    corpus.write("web-2.jsonl", [{"id": "s2", "text": "ab!"}])
    corpus.prepare("--workers", "1")
    return corpus


@pytest.mark.slow
def test_the_bands_take_at_most_160_bytes_a_document(source_code: Corpus) -> None:
    (path,) = (source_code.out / "refined" / "web").glob("*.signatures.arrow")
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.num_rows > 3000
    assert table.schema.names == ["rank_high", "rank_low", "exact", "bands"]
    assert 136 < path.stat().st_size / table.num_rows <= 160


@pytest.mark.slow
def test_characters_find_copies_and_short_documents_take_the_exact_path(
    source_code: Corpus,
) -> None:
    stays, removals = source_code.surviving_ids(), source_code.removals()
    ids = {row["key"]: row["id"] for row in source_code.table("kept").to_pylist()}
    rules = {
        ids[row["key"]]: (ids[row["survivor_key"]], row["rule"]) for row in removals.to_pylist()
    }
    assert len(stays & {"s1", "s2"}) == 1
    assert {name: rules[name] for name in rules.keys() & {"s1", "s2"}} in (
        {"s1": ("s2", "exact_duplicate")},
        {"s2": ("s1", "exact_duplicate")},
    )
    first = next(name for name in ids.values() if name.endswith("-0"))
    assert rules[first] == ("spaced", "exact_duplicate")  # it has more bytes


@pytest.fixture(scope="module")
def quoted(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    """Texts in one source, a half of each in a worse one, some of which also validates."""
    minhash = {"similarity": "containment", "candidate_threshold": 0.3, "threshold": 0.9}
    corpus = corpus_of(
        tmp_path_factory.mktemp("quoted"), tokenizer_folder, {"minhash": minhash}, priority=3
    )
    corpus.manifest["sources"] += [
        {"name": "quotes", "format": "jsonl", "paths": ["quotes*"], "id_field": "id"},
        {
            "name": "excerpts",
            "format": "jsonl",
            "paths": ["excerpts*"],
            "id_field": "id",
            "priority": 9,
            "validation_fraction": 0.99,
        },
    ]
    texts = [text.split() for text in docstrings() if len(text.split()) > 150][:40]
    names = ("web", "quotes", "excerpts")
    parts = {
        "web": [" ".join(words) for words in texts],
        "quotes": [" ".join(words[: len(words) // 2]) for words in texts[:20]],
        "excerpts": [" ".join(words[len(words) // 2 :]) for words in texts[20:]],
    }
    for name in names:
        rows = [{"id": f"{name}-{n}", "text": text} for n, text in enumerate(parts[name])]
        corpus.write(f"{name}.jsonl", rows)
    corpus.prepare("--workers", "1")
    return corpus


@pytest.mark.slow
def test_a_contained_text_goes_for_the_better_one_that_contains_it(quoted: Corpus) -> None:
    ids = {row["key"]: row["id"] for row in quoted.table("kept").to_pylist()}
    gone = {
        ids[row["key"]]: (ids[row["survivor_key"]], row["similarity"], row["rule"])
        for row in quoted.removals().to_pylist()
    }
    quotes = {name: found for name, found in gone.items() if name.startswith("quotes")}
    # P(found) is 1 - (1 - 0.5^2)^41 for a half.
    assert quotes == {f"quotes-{n}": (f"web-{n}", 1.0, CONTAINED) for n in range(20)}
    assert not any(name.startswith("web") for name in gone)


@pytest.mark.slow
def test_a_better_text_inside_of_a_longer_one_stays_but_does_not_validate_on_it(
    quoted: Corpus,
) -> None:
    kept = {row["key"]: row["id"] for row in quoted.table("kept").to_pylist()}
    leaks = {
        kept[row["key"]]: (kept[row["survivor_key"]], row["similarity"])
        for row in quoted.removals().to_pylist()
        if row["rule"] == LEAK
    }
    assert len(leaks) >= 18  # by hash nearly all of them validate, and the longer ones train
    assert leaks.keys() <= {f"excerpts-{n}" for n in range(20)}
    for name, (survivor, similarity) in leaks.items():
        assert survivor == f"web-{int(name.removeprefix('excerpts-')) + 20}"
        assert similarity == 1.0


@pytest.mark.parametrize("fixture", ["dated", pytest.param("quoted", marks=pytest.mark.slow)])
def test_the_output_verifies(fixture: str, request: pytest.FixtureRequest) -> None:
    assert main(["verify", str(request.getfixturevalue(fixture).out)]) == 0


def write(folder: Path, *changes: dict[str, Any]) -> Path:
    manifest = base_manifest(folder / "tokenizer")
    for change in changes:
        manifest |= change
    path = folder / "m.yaml"
    path.write_text(json.dumps(manifest))
    return path


def test_newest_needs_a_date_field(tmp_path: Path) -> None:
    path = write(tmp_path, {"dedup": {"survivor": ["newest", "id"]}})
    with pytest.raises(ManifestError, match="no source has a date_field; want the field of a"):
        load_manifest(path)
    assert load_manifest(path, ["sources.1.date_field=when"]).dedup.survivor[0] == "newest"


def test_a_signal_that_decides_must_be_known_of_each_source(tmp_path: Path) -> None:
    path = write(tmp_path, {"dedup": {"survivor": [LOW, "id"]}})
    plan = Plan(load_manifest(path), tmp_path, tmp_path / "out")
    check_survivor(plan)
    some = load_manifest(path, ["filters.0.sources=[domain]"])
    with pytest.raises(ManifestError, match=r"survivor\.0\.signal: .* of the source general"):
        check_survivor(Plan(some, tmp_path, tmp_path / "out"))
    for wrong in ("length.num_char", "num_tokens", "num_duplicates", "language.language"):
        manifest = load_manifest(path, [f"dedup.survivor.0.signal={wrong}"])
        with pytest.raises(ManifestError, match=r"want one of .*length\.num_chars"):
            check_survivor(Plan(manifest, tmp_path, tmp_path / "out"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dedup.minhash.threshold=x", r"dedup\.minhash\.threshold: got 'x'"),
        ("dedup.minhash.rows=3", "rows is given without bands"),
        ("dedup.survivor=[newset]", r"dedup\.survivor\.0: got 'newset': .*'newest'"),
        ("sources.0.priority=40000", r"sources\.0\.priority: got 40000: .*32767"),
    ],
)
def test_a_wrong_option_is_one_line_that_says_what_is_wanted(
    tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        load_manifest(write(tmp_path), [override])
    assert "\n" not in str(caught.value)
