"""A changed config redoes just the stages that it touches, a damaged record just its item."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import main
from pipeline.errors import LedgerError
from pipeline.manifest import load_manifest
from pipeline.outcome import Outcome
from pipeline.plan import Plan
from pipeline.records import Records, write_record
from pipeline.refined import RefinedWriter
from pipeline.run import run
from pipeline.stage import Context
from pipeline.tokens import parts
from pipeline.verify import faults
from tests.pipeline.here import context_of, run_here, small_manifest, tree
from tests.pipeline.plugins import NoReporter

STAGES = ("refine", "deduplicate", "tokenise", "pack")
MINHASH = {"bands": 14, "rows": 8, "threshold": 0.8}


@pytest.fixture(scope="module")
def manifest(tokenizer_folder: Path) -> dict[str, Any]:
    return small_manifest(
        tokenizer_folder,
        dedup={"exact": True, "minhash": MINHASH},
        pii={"mode": "tag", "kinds": ["email"]},
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, manifest: dict[str, Any]) -> Path:
    """A finished output: one item and one part of each of two sources; no text stands twice."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("domain-0", "domain-1", "general-0"):
        rows = [{"id": f"{name}-{n}", "text": f"text {n} of {name}" * (n + 1)} for n in range(4)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    with (folder / "general-0.jsonl").open("a") as handle:
        handle.write('{"id": "mail", "text": "write to jane.doe@example.com today"}\n')
    run_here(folder, manifest)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "made"))


def again(folder: Path, manifest: dict[str, Any]) -> tuple[Outcome, Context]:
    (folder / "m.yaml").write_text(yaml.safe_dump(manifest))
    context = context_of(Plan(load_manifest(folder / "m.yaml"), folder, folder / "out"))
    return run(context), context


def notes(context: Context) -> list[str]:
    assert isinstance(context.reporter, NoReporter)
    return context.reporter.notes


@pytest.mark.parametrize(
    ("changed", "ran"),
    [
        ({}, (0, 0, 0, 0)),
        ({"seed": 5}, (0, 0, 0, 0)),
        # A threshold: nothing is read again, and where it decides as before no text has changed.
        ({"filters": [{"use": "length", "min_chars": 4}]}, (2, 1, 0, 0)),
        ({"filters": [{"use": "length", "min_chars": 36}]}, (2, 1, 2, 2)),
        # Refined files say where something was masked, so all are tokenised; one text has changed.
        ({"pii": {"mode": "remove", "kinds": ["email"]}}, (2, 1, 2, 1)),
        ({"dedup": {"minhash": MINHASH | {"threshold": 0.9}}}, (0, 1, 0, 0)),
        ({"dedup": {"exact": False, "minhash": MINHASH}}, (0, 1, 0, 0)),
        ({"dedup": {"minhash": MINHASH | {"bands": 20, "rows": 5}}}, (2, 1, 0, 0)),
        ({"tokenizer": {"eos": "never"}}, (0, 0, 2, 2)),
        ({"pack": {"sequence_tokens": 32}}, (0, 0, 0, 2)),
        ({"pack": {"sequence_tokens": 16, "strategy": "pad"}}, (0, 0, 0, 2)),
    ],
)
def test_a_change_redoes_the_stages_that_it_touches(
    folder: Path, manifest: dict[str, Any], changed: dict[str, Any], ran: tuple[int, ...]
) -> None:
    if "tokenizer" in changed:
        changed = {"tokenizer": manifest["tokenizer"] | changed["tokenizer"]}
    outcome, context = again(folder, manifest | changed)
    assert tuple(outcome.num_run.get(stage, 0) for stage in STAGES) == ran
    told = [note.split(":")[0] for note in notes(context) if "the config changed" in note]
    by_config = {"pii": ("refine",), "filters": ("refine",), "tokenizer": ("tokenise",)}
    if sum(ran):
        wanted = by_config.get(next(iter(changed)), (STAGES[next(i for i in range(4) if ran[i])],))
        assert told[: len(wanted)] == list(wanted)
    else:
        assert notes(context) == []


def one_record(folder: Path, stage: str) -> Path:
    return sorted((folder / "out" / "state" / stage).glob("*.json"))[0]


def tampered(path: Path, change: Callable[[dict[str, Any]], None], *, honest: bool) -> None:
    record = json.loads(path.read_text())
    change(record)
    if honest:
        write_record(path, record)
    else:
        path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def count_one_more(name: str) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        record["counts"][name] += 1

    return change


@pytest.mark.parametrize("stage", STAGES)
def test_a_damaged_record_is_a_fault_and_its_item_is_done_again(
    folder: Path, manifest: dict[str, Any], stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(folder / "out")
    path = one_record(folder, stage)
    tampered(path, lambda record: record.update(seconds=1e9), honest=False)
    assert main(["verify", str(folder / "out")]) == 1
    assert f"state/{stage}/{path.name}: the record is not the one" in capsys.readouterr().err
    outcome, context = again(folder, manifest)
    assert {s: n for s, n in outcome.num_run.items() if n and s in STAGES} == {stage: 1}
    assert notes(context) == [f"{stage}: 1 items are done again: their records are damaged (1)"]
    assert tree(folder / "out") == before
    assert list(faults(folder / "out")) == []


@pytest.mark.parametrize(
    ("stage", "name", "message"),
    [
        ("refine", "num_read", "but kept"),
        ("refine", "num_kept", "but kept"),
        ("tokenise", "num_documents", "but tokenised"),
        ("pack", "num_tokens_read", "but its rows hold"),
        ("pack", "num_rows", "its record has"),
    ],
)
def test_a_record_that_does_not_balance_is_named_though_its_checksum_holds(
    folder: Path, stage: str, name: str, message: str
) -> None:
    path = one_record(folder, stage)
    tampered(path, count_one_more(name), honest=True)
    found = [fault for fault in faults(folder / "out") if message in fault]
    assert found
    # The index and its record are two that differ: the part is named, not who of them is right.
    assert any(str(path) in fault or "part-00000.arrow" in fault for fault in found)


def lose_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    real = RefinedWriter.counts
    monkeypatch.setattr(
        RefinedWriter, "counts", lambda self: (c := real(self)) | {"num_kept": c["num_kept"] - 1}
    )


def lose_a_row_of_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    real = parts._blocks
    monkeypatch.setattr(parts, "_blocks", lambda *given: (batch.slice(1) for batch in real(*given)))


@pytest.mark.parametrize(
    ("lose", "stage", "message"),
    [
        (lose_a_row, "refine", r"source domain: domain-0\.jsonl from 0 to domain-1\.jsonl: read 8"),
        (lose_a_row_of_tokens, "pack", r"shards/domain/train/part-00000\.arrow: read \d+ tokens"),
    ],
)
def test_an_item_that_does_not_balance_leaves_no_record(
    folder: Path,
    manifest: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    lose: Callable[[pytest.MonkeyPatch], None],
    stage: str,
    message: str,
) -> None:
    shutil.rmtree(folder / "out")
    lose(monkeypatch)
    with pytest.raises(LedgerError, match=message):
        again(folder, manifest)
    assert list(Records(folder / "out", stage).all()) == []
