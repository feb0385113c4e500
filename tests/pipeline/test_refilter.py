"""Other thresholds over what was measured: the same bytes as from the raw files, without them."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.errors import PrepareError, UsageError
from pipeline.graph.refine import refine_item
from pipeline.inputs import list_inputs
from pipeline.manifest import load_manifest
from pipeline.plan import Plan, RefineItem, refine_items
from pipeline.records import Record, write_record
from pipeline.refilter import finished_plan, refilter
from pipeline.refined import KINDS
from pipeline.reuse import measured_before, reusing
from pipeline.run import Outcome, run
from pipeline.sources import coalesce
from pipeline.stage import Context
from pipeline.verify import faults
from tests.pipeline.corpora import docstrings, mixed_corpus, near_copy
from tests.pipeline.plugins import MEASURED, HereRunner, Letter, NoReporter, register

WORDS = ["ab", "abba", "banana", "xyz", "bxb", "aaaa,", "cab.", "zzz", "éa"]
FILTERS: list[dict[str, Any]] = [
    {"use": "length", "min_chars": 4},
    {"use": "letter", "letter": "a", "minimum": 1},
    {"use": "sum", "maximum": 12},
    {"use": "letter", "letter": "b", "minimum": 1},
    {"use": "cut", "letter": "z", "maximum": 4},
]
THRESHOLDS = st.tuples(
    st.integers(0, 30), st.integers(0, 6), st.integers(0, 20), st.integers(0, 4), st.integers(0, 8)
)


def with_thresholds(values: tuple[int, ...]) -> list[dict[str, Any]]:
    names = ("min_chars", "minimum", "maximum", "minimum", "maximum")
    return [spec | {name: v} for spec, name, v in zip(FILTERS, names, values, strict=True)]


def base_manifest(folder: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "name": "test",
        "output": "out",
        "sources": [
            {
                "name": "domain",
                "format": "jsonl",
                "paths": ["raw/domain*"],
                "id_field": "id",
                "url_field": "url",
                "meta_fields": ["kind", "year"],
            }
        ],
        "filters": FILTERS,
        "tokenizer": {"path": "tokenizer"},
        "limits": {"max_quarantined_fraction": 0.5},
    }


def write_rows(folder: Path) -> None:
    """Two files of 40 rows: empty texts, blank ones, nulls, PII, missing fields, bad lines."""
    (folder / "raw").mkdir(parents=True)
    for number in range(2):
        lines = []
        for n in range(40):
            text = " ".join(WORDS[(n * k + number) % len(WORDS)] for k in range(1 + n % 7))
            text = {5: "", 11: "   ", 17: f"{text} ann@example.org"}.get(n % 20, text)
            row: dict[str, Any] = {"id": f"{number}-{n}", "text": text}
            if n % 3:
                row |= {"url": f"http://example.org/{n}", "kind": None if n % 2 else "x"}
            lines.append("not json" if n % 13 == 6 else json.dumps(row))
        (folder / "raw" / f"domain-{number}.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


@pytest.fixture(scope="module")
def raw() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder))
        yield Path(folder)


def plan_of(base: Path, out: Path, filters: list[dict[str, Any]]) -> Plan:
    path = out / "m.yaml"
    out.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(base_manifest(base) | {"filters": filters}))
    return Plan(load_manifest(path), base, out)


def items_of(plan: Plan) -> list[RefineItem]:
    inputs = list_inputs(plan)
    hashes = {(name, f.path): f.relative for name, files in inputs.items() for f in files}
    return refine_items(plan, inputs, hashes, {})


def files_of(plan: Plan, record: Record) -> dict[str, bytes]:
    return {kind: (plan.out / record["outputs"][kind]["path"]).read_bytes() for kind in KINDS}


def essence(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("seconds", "checksum")}


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=THRESHOLDS, second=THRESHOLDS, batch_rows=st.sampled_from([7, 1000]))
def test_refiltered_files_are_those_of_a_fresh_run_byte_for_byte(
    raw: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: tuple[int, ...],
    second: tuple[int, ...],
    batch_rows: int,
) -> None:
    monkeypatch.setattr(coalesce, "BATCH_ROWS", batch_rows)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        before = plan_of(raw, Path(one), with_thresholds(first))
        for item in items_of(before):
            refine_item(item, before)
        after = plan_of(raw, Path(one), with_thresholds(second))
        items = reusing(items_of(after), measured_before(after.records("refine")))
        assert all(item.measured_by for item in items)
        again = [refine_item(item, after) for item in items]
        fresh_plan = plan_of(raw, Path(other), with_thresholds(second))
        fresh = [refine_item(item, fresh_plan) for item in items_of(fresh_plan)]
        assert [essence(record) for record in again] == [essence(record) for record in fresh]
        for ours, wanted in zip(again, fresh, strict=True):
            assert files_of(after, ours) == files_of(fresh_plan, wanted)


def test_only_what_is_reached_for_the_first_time_is_measured(raw: Path, tmp_path: Path) -> None:
    strict = plan_of(raw, tmp_path, with_thresholds((20, 1, 20, 1, 60)))
    (item,) = items_of(strict)
    record = refine_item(item, strict)
    long = record["counts"]["num_read"] - record["counts"]["dropped"]["length.num_chars"]
    assert 0 < MEASURED["a"] <= long
    MEASURED.clear()
    loose = plan_of(raw, tmp_path, with_thresholds((0, 1, 20, 1, 60)))
    (item,) = reusing(items_of(loose), measured_before(loose.records("refine")))
    refine_item(item, loose)
    num_blank_before = 4
    assert 0 < MEASURED["a"] <= record["counts"]["dropped"]["length.num_chars"] + num_blank_before
    MEASURED.clear()
    (item,) = reusing(items_of(strict), measured_before(loose.records("refine")))
    refine_item(item, strict)
    assert not +MEASURED


def test_what_changes_the_measuring_is_read_again(raw: Path, tmp_path: Path) -> None:
    before = plan_of(raw, tmp_path, FILTERS)
    for item in items_of(before):
        refine_item(item, before)
    measured = measured_before(before.records("refine"))
    other_letter = [FILTERS[0], FILTERS[1] | {"letter": "z"}, *FILTERS[2:]]
    for filters in (other_letter, FILTERS[1:], [*FILTERS, {"use": "gopher_quality"}]):
        (item,) = reusing(items_of(plan_of(raw, tmp_path, filters)), measured)
        assert item.measured_by is None
    (item,) = reusing(items_of(plan_of(raw, tmp_path, with_thresholds((1, 2, 3, 4, 5)))), measured)
    assert item.measured_by is not None


def test_a_model_counts_by_its_contents(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model" / "a.bin"
    model.parent.mkdir()
    monkeypatch.setattr(Letter, "files", (str(model.parent),), raising=False)
    plan = plan_of(raw, tmp_path, FILTERS)
    found = []
    for content in ("one", "other", "one"):
        model.write_text(content)
        found.append(items_of(plan)[0].measured)
    assert found[0] != found[1]
    assert found[0] == found[2]


def test_refined_files_with_rows_missing_are_named(raw: Path, tmp_path: Path) -> None:
    plan = plan_of(raw, tmp_path, FILTERS)
    (item,) = items_of(plan)
    record = refine_item(item, plan)
    dropped = plan.out / record["outputs"]["dropped"]["path"]
    values = record | {"batch_rows": [n + 1 for n in record["batch_rows"]]}
    write_record(plan.records("refine").path(item.fingerprint), values)
    after = plan_of(raw, tmp_path, with_thresholds((1, 1, 1, 1, 1)))
    (item,) = reusing(items_of(after), measured_before(after.records("refine")))
    with pytest.raises(PrepareError, match=f"{dropped.name}.*documents before number"):
        refine_item(item, after)


# The commands, on a small corpus of prose with duplicates.


def prose_manifest(tokenizer_folder: Path) -> dict[str, Any]:
    return base_manifest(Path()) | {
        "sources": [
            {
                "name": name,
                "format": "jsonl",
                "paths": [f"raw/{name}*"],
                "id_field": "id",
                "priority": priority,
                "validation_fraction": 0.1,
            }
            for name, priority in (("domain", 10), ("general", 0))
        ],
        "filters": [
            {"use": "length", "min_chars": 500},
            {"use": "letter", "letter": "e", "minimum": 40},
            {"use": "sum", "maximum": 300},
            {"use": "gopher_quality", "min_words": 20, "sources": ["general"]},
        ],
        "tokenizer": {"path": str(tokenizer_folder)},
        "pack": {"sequence_tokens": 256, "shard_tokens": 30_000},
        "strata": {"by": "letter.num", "edges": [80]},
    }


Prepare = Callable[..., Outcome]


@pytest.fixture
def prose(tmp_path: Path, tokenizer_folder: Path) -> Path:
    """A folder with a manifest and about 160 rows of it."""
    folder = tmp_path / "prose"
    (folder / "raw").mkdir(parents=True)
    texts = docstrings()[:120]
    rows = {
        "domain": [(f"d{n}", text) for n, text in enumerate(texts[:60])],
        "general": [(f"g{n}", text) for n, text in enumerate(texts[60:])]
        + [(f"near{n}", near_copy(text, n)) for n, text in enumerate(texts[:40])],
    }
    for name, pairs in rows.items():
        lines = [json.dumps({"id": key, "text": text}) for key, text in pairs]
        (folder / "raw" / f"{name}.jsonl").write_text("\n".join([*lines, "not json"]) + "\n")
    (folder / "m.yaml").write_text(yaml.safe_dump(prose_manifest(tokenizer_folder)))
    return folder


def context_of(plan: Plan) -> Context:
    return Context(plan, HereRunner(), NoReporter(), 100_000_000)


def prepare(folder: Path, *overrides: str, out: str = "out") -> Outcome:
    manifest = load_manifest(folder / "m.yaml", overrides)
    return run(context_of(Plan(manifest, folder, folder / out)))


def tree(out: Path) -> dict[str, bytes]:
    """Every file that does not say when it was written."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and "state" not in path.parts
    }


def test_the_manifest_of_an_output_is_the_one_that_made_it(prose: Path) -> None:
    prepare(prose, *LOOSE)
    made = load_manifest(prose / "m.yaml", LOOSE)
    assert load_manifest(prose / "out" / "manifest.yaml") == made
    assert finished_plan(prose / "out", ()).base == prose.resolve()


LOOSE = ("filters.0.min_chars=450", "filters.1.minimum=30", "filters.3.min_words=60")
STRICT = ("filters.0.min_chars=700", "filters.2.maximum=120")


@pytest.mark.parametrize("overrides", [LOOSE, STRICT, LOOSE + STRICT])
def test_a_run_with_other_thresholds_reads_nothing_and_makes_the_same_files(
    prose: Path, overrides: tuple[str, ...]
) -> None:
    prepare(prose)
    kept_before = set((prose / "out" / "refined").rglob("*.kept.arrow"))
    plan = Plan(load_manifest(prose / "m.yaml", overrides), prose, prose / "out")
    context = context_of(plan)
    run(context)
    assert "refilter" in context.reporter.stages
    assert "refine" not in context.reporter.stages
    assert not kept_before & set((prose / "out" / "refined").rglob("*.kept.arrow"))
    prepare(prose, *overrides, out="fresh")
    assert tree(prose / "out") == tree(prose / "fresh")


def test_a_file_that_was_spooled_is_not_spooled_again(
    prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.plan.SPOOL_BYTES", 100)
    path = prose / "raw" / "domain.jsonl"
    (prose / "raw" / "domain.jsonl.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()
    prepare(prose)
    context = context_of(Plan(load_manifest(prose / "m.yaml", STRICT), prose, prose / "out"))
    run(context)
    assert "refilter" in context.reporter.stages
    assert not {"spool", "refine"} & set(context.reporter.stages)
    prepare(prose, *STRICT, out="fresh")
    assert tree(prose / "out") == tree(prose / "fresh")


@pytest.mark.parametrize("overrides", [LOOSE, STRICT])
def test_refilter_needs_neither_inputs_nor_manifest(
    prose: Path, overrides: tuple[str, ...]
) -> None:
    before = prepare(prose)
    prepare(prose, *overrides, out="fresh")
    shutil.rmtree(prose / "raw")
    (prose / "m.yaml").rename(prose / "away.yaml")
    outcome = refilter(context_of(finished_plan(prose / "out", overrides)))
    assert outcome.ledger != before.ledger
    assert tree(prose / "out") == tree(prose / "fresh")
    again = refilter(context_of(finished_plan(prose / "out", overrides)))
    assert again.nothing_to_do


def test_a_refilter_that_was_interrupted_goes_on(
    prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(prose)
    prepare(prose, *STRICT, out="fresh")
    for stage in ("pipeline.run.deduplicate", "pipeline.run.pack", "pipeline.run.finish"):
        with monkeypatch.context() as patch:
            patch.setattr(stage, _interrupted)
            with pytest.raises(KeyboardInterrupt):
                refilter(context_of(finished_plan(prose / "out", STRICT)))
    refilter(context_of(finished_plan(prose / "out", STRICT)))
    assert tree(prose / "out") == tree(prose / "fresh")


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("filters.1.letter=a", "filters.1.letter is no threshold of letter.*want one of minimum"),
        ("filters.1.use=length", "no threshold|unknown parameter"),
        ("filters.3.sources=[domain]", "filters.3.sources is no threshold of gopher_quality"),
        ("filters.9.minimum=1", "9"),
        ("filters.0.min_chras=1", "min_chars"),
        ("filters.1=3", "want a threshold of a filter"),
        ("seed=3", "seed, want a threshold.*use `prepare run`"),
        ("dedup.minhash.threshold=0.5", "use `prepare run`"),
    ],
)
def test_what_is_no_threshold_is_refused_by_its_key(
    tmp_path: Path, override: str, message: str
) -> None:
    manifest = prose_manifest(tmp_path / "tokenizer")
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    (tmp_path / "run.json").write_text('{"refine": []}')
    with pytest.raises(UsageError, match=message):
        finished_plan(tmp_path, [override])
    assert finished_plan(tmp_path, ["filters.1.minimum=3"]).manifest.filters[1]["minimum"] == 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["filters.1.minimum=3", "filters.1.letter=a"],
            r"--set filters\.1\.letter=a: filters\.1\.letter is no threshold",
        ),
        (
            ["filters.1.letter=a", "filters.1.minimum=3"],
            r"--set filters\.1\.letter=a: filters\.1\.letter is no threshold",
        ),
        (
            ["filters.3.min_words=5", "filters.3.per_language.de.min_words=5"],
            r"--set filters\.3\.per_language\.de\.min_words=5: filters\.3 \(gopher_quality\) "
            "has no per_language so far, .*languages.*not stored.*`prepare run`",
        ),
    ],
)
def test_of_several_overrides_of_a_filter_the_one_at_fault_is_named(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    manifest = prose_manifest(tmp_path / "tokenizer")
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    (tmp_path / "run.json").write_text('{"refine": []}')
    with pytest.raises(UsageError, match=message) as refused:
        finished_plan(tmp_path, overrides)
    assert not ("per_language" in str(refused.value) and "is no threshold" in str(refused.value))


def test_thresholds_that_are_valid_only_together_are_accepted(tmp_path: Path) -> None:
    manifest = prose_manifest(tmp_path / "tokenizer")
    manifest["filters"][3]["per_language"] = {"fr": {"min_words": 40}}
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    (tmp_path / "run.json").write_text('{"refine": []}')
    overrides = [
        "filters.3.min_words=200000",  # over the default max_words, until the next one
        "filters.3.max_words=300000",
        "filters.3.per_language.de={min_words: 300}",
        "filters.3.per_language.de.min_words=250",
    ]
    spec = finished_plan(tmp_path, overrides).manifest.filters[3]
    assert spec["per_language"] == {"fr": {"min_words": 40}, "de": {"min_words": 250}}
    assert (spec["min_words"], spec["max_words"]) == (200000, 300000)


def test_an_output_of_another_version_is_refused(
    prose: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(prose)
    monkeypatch.setattr("pipeline.plan.code_fingerprint", lambda *_: "another")
    with pytest.raises(UsageError, match="another version of Headwater"):
        refilter(context_of(finished_plan(prose / "out", STRICT)))


def test_a_folder_without_an_output_is_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["refilter", str(tmp_path), "--set", "filters.0.min_chars=3"]) == 2
    assert "no finished output" in capsys.readouterr().err


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def command(folder: Path, *arguments: str) -> str:
    process = start(folder, *arguments)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return printed


@pytest.mark.slow
def test_a_killed_refilter_goes_on_and_a_run_then_finds_nothing_to_do(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    corpus = mixed_corpus(tmp_path, tokenizer_folder)
    corpus.manifest["filters"] = [
        {"use": "length", "min_chars": 600},
        {"use": "gopher_quality", "min_words": 20},
    ]
    corpus.save()
    wanted = ("--set", "filters.0.min_chars=500", "--set", "filters.1.min_words=80")
    command(tmp_path, "run", "m.yaml", *wanted, "--set", "output=fresh")
    command(tmp_path, "run", "m.yaml", "--workers", "2")
    before = set((corpus.out / "state" / "refine").glob("*.json"))
    process = start(tmp_path, "refilter", "out", *wanted, "--workers", "2")
    deadline = time.monotonic() + 120
    while not set((corpus.out / "state" / "refine").glob("*.json")) - before:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "Where the documents went" in command(tmp_path, "refilter", "out", *wanted)
    fresh = tree(tmp_path / "fresh")
    told = json.loads(fresh["run.json"])
    fresh["manifest.yaml"] = fresh["manifest.yaml"].replace(b"output: fresh", b"output: out")
    made = tree(corpus.out)
    manifest_xxh3 = xxhash.xxh3_128_hexdigest(fresh["manifest.yaml"])
    assert json.loads(made.pop("run.json")) == told | {"manifest_xxh3": manifest_xxh3}
    del fresh["run.json"]
    assert made == fresh
    assert list(faults(corpus.out)) == []
    assert "Nothing to do" in command(tmp_path, "run", "m.yaml", *wanted)
