"""A finished output says at once that there is nothing to do, and only while that is so."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import main
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.seal import PLACE, finished_before
from tests.pipeline.here import run_here, small_manifest


@pytest.fixture
def folder(tmp_path: Path, tokenizer_folder: Path) -> Path:
    for name in ("domain-0", "domain-1", "general-0"):
        rows = [{"id": f"{name}-{n}", "text": f"text {n} of {name}"} for n in range(4)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    run_here(tmp_path, small_manifest(tokenizer_folder))
    return tmp_path


def plan_of(folder: Path, **changed: Any) -> Plan:
    values = yaml.safe_load((folder / "m.yaml").read_text()) | changed
    (folder / "m.yaml").write_text(yaml.safe_dump(values))
    return Plan(load_manifest(folder / "m.yaml"), folder, folder / "out")


def test_a_sealed_output_tells_what_its_run_came_to(
    folder: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed = finished_before(plan_of(folder))
    assert sealed is not None
    assert sealed.nothing_to_do
    (folder / "out" / PLACE).unlink()
    assert finished_before(plan_of(folder)) is None
    again = run_here(folder, small_manifest(tokenizer_folder))
    assert (sealed.ledger, sealed.index, sealed.dedup) == (again.ledger, again.index, again.dedup)
    assert (sealed.num_items, sealed.fits) == (again.num_items, again.fits)
    assert main(["run", str(folder / "m.yaml")]) == 0
    assert "Nothing to do: all " in capsys.readouterr().out


def touch(folder: Path) -> None:
    os.utime(folder / "domain-0.jsonl", (1, 1))


def change_input(folder: Path) -> None:
    (folder / "domain-0.jsonl").write_text('{"text": "something else"}\n')


def add_input(folder: Path) -> None:
    (folder / "domain-2.jsonl").write_text('{"text": "something else"}\n')


def one_of(folder: Path, pattern: str) -> Path:
    return sorted((folder / "out").glob(pattern))[0]


def lose_a_shard(folder: Path) -> None:
    one_of(folder, "shards/*/*/*.arrow").unlink()


def lose_a_record(folder: Path) -> None:
    one_of(folder, "state/tokenise/*.json").unlink()


def cut_a_refined_file(folder: Path) -> None:
    with one_of(folder, "refined/*/*.kept.arrow").open("rb+") as handle:
        handle.truncate(100)


def change_the_index(folder: Path) -> None:
    path = folder / "out/shards/index.json"
    path.write_text(path.read_text().replace("small", "SMALL"))


def change_the_ledger(folder: Path) -> None:
    path = folder / "out/ledger.json"
    path.write_text(path.read_text().replace("4", "5", 1))


@pytest.mark.parametrize(
    "alter",
    [
        touch,
        change_input,
        add_input,
        lose_a_shard,
        lose_a_record,
        cut_a_refined_file,
        change_the_index,
        change_the_ledger,
    ],
)
def test_whatever_changes_breaks_the_seal(folder: Path, alter: Callable[[Path], None]) -> None:
    assert finished_before(plan_of(folder)) is not None
    alter(folder)
    assert finished_before(plan_of(folder)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 5},
        {"filters": [{"use": "length", "min_chars": 4}]},
        {"limits": {"max_quarantined_fraction": 0.5}},
        {"pack": {"sequence_tokens": 32}},
    ],
)
def test_another_manifest_breaks_the_seal(folder: Path, changed: dict[str, Any]) -> None:
    assert finished_before(plan_of(folder, **changed)) is None


def test_other_code_breaks_the_seal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.seal.code_fingerprint", lambda *_: "another")
    assert finished_before(plan_of(folder)) is None
