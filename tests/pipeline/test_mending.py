"""`prepare run --mend`: whatever `prepare verify` finds damaged is made again, the same bytes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import PrepareError, UsageError
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.refilter import finished_plan, refilter
from pipeline.run import run
from pipeline.seal import finished_before
from pipeline.verify import faults
from tests.pipeline.here import context_of, run_here, small_manifest, tree


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for name in ("domain", "general"):
        rows = [{"id": f"{name}-{n}", "text": f"text {n} of {name} " * 9} for n in range(8)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines + '{"id": "short", "text": "a"}\n')
    run_here(folder, small_manifest(tokenizer_folder))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def plan_of(folder: Path) -> Plan:
    return Plan(load_manifest(folder / "m.yaml"), folder, folder / "out")


def mend(folder: Path) -> None:
    run(replace(context_of(plan_of(folder)), mend=True))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "pattern",
    [
        "refined/domain/*.kept.arrow",
        pytest.param("refined/domain/*.dropped.arrow", marks=pytest.mark.slow),
        pytest.param("tokens/domain/*.train.arrow", marks=pytest.mark.slow),
        pytest.param("dedup/*/removals.arrow", marks=pytest.mark.slow),
        "dedup/*/files.arrow",
        "shards/domain/train/part-00000.arrow",
        "state/refine/*.json",
        pytest.param("state/pack/*.json", marks=pytest.mark.slow),
        pytest.param("tokenizer/tokenizer.json", marks=pytest.mark.slow),
        "tokenizer/tokenizer_config.json",
        pytest.param("manifest.yaml", marks=pytest.mark.slow),
    ],
)
def test_a_byte_that_was_changed_is_found_and_mended(folder: Path, pattern: str) -> None:
    out = folder / "out"
    before = tree(out)
    flip(sorted(out.glob(pattern))[0])
    assert list(faults(out))
    mend(folder)
    assert list(faults(out)) == []
    assert tree(out) == before


@pytest.mark.parametrize(
    "name",
    [
        "ledger.json",
        "run.json",
        "manifest.yaml",
        "pii.json",
        "state/inputs.json",
        "state/seal.json",
        "shards/index.json",
        "tokenizer/headwater.json",
    ],
)
def test_a_file_that_is_cut_short_is_a_fault_and_no_traceback(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, before = folder / "out", tree(folder / "out")
    for rest in (b"", b"[]", b"{}", b'{"a'):
        (out / name).write_bytes(rest)
        assert main(["verify", str(out)]) == 1
        told = capsys.readouterr().err
        assert name.rpartition("/")[2] in told
        assert "--mend" in told
    for command in ("quarantine", "refilter", "trace"):
        more = {
            "quarantine": [],
            "refilter": ["--set", "filters.0.min_chars=4"],
            "trace": ["--source", "domain", "--row", "0"],
        }[command]
        if command == "refilter" and name not in ("run.json", "manifest.yaml"):
            continue  # which would run
        assert main([command, str(out), *more]) in (0, 1, 2)
    mend(folder)
    assert list(faults(out)) == []
    assert tree(out) == before


@pytest.mark.parametrize("name", ["seal.json", "inputs.json"])
def test_a_damaged_seal_is_none(folder: Path, name: str) -> None:
    (folder / "out/state" / name).write_text("{")
    assert finished_before(plan_of(folder)) is None
    assert run(context_of(plan_of(folder))).nothing_to_do
    assert finished_before(plan_of(folder)) is not None


def test_a_refused_mending_takes_nothing_away(folder: Path) -> None:
    before = tree(folder / "out")
    records = sorted((folder / "out/state").rglob("*.json"))
    (folder / "domain.jsonl").write_text('{"text": "something else"}\n')
    with pytest.raises(UsageError, match="--refresh"):
        mend(folder)
    assert tree(folder / "out") == before
    assert sorted((folder / "out/state").rglob("*.json")) == records


def test_the_command_mends_where_a_seal_says_that_all_is_done(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = str(folder / "m.yaml")
    flip(folder / "out/shards/domain/train/part-00000.arrow")
    assert main(["run", manifest]) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert main(["verify", str(folder / "out")]) == 1
    assert "prepare run --mend" in capsys.readouterr().err
    assert main(["run", manifest, "--mend", "--workers", "1"]) == 0
    assert "pack: 1 items are done again: their files are damaged" in capsys.readouterr().err
    assert main(["verify", str(folder / "out")]) == 0


@pytest.mark.parametrize("kind", ["kept", "dropped"])
def test_thresholds_are_not_changed_over_damaged_files(folder: Path, kind: str) -> None:
    out = folder / "out"
    (path,) = out.glob(f"refined/domain/*.{kind}.arrow")
    flip(path)
    plan = finished_plan(out, ["filters.0.min_chars=5"])
    with pytest.raises(PrepareError, match=rf"{path.name}: its bytes are not .*--mend"):
        refilter(context_of(plan))
    assert any(path.name in fault for fault in faults(out))  # still, under its own name


def edit(path: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


INDEX = ["corpus", "manifest_fingerprint", "sequence_tokens", "dtype"]
TOKENIZER = ["fingerprint", "num_ids", "bos_id", "eos_id", "pad_id"]
SHARD = [
    "source",
    "split",
    "stratum",
    "num_rows",
    "num_tokens",
    "num_bytes",
    "num_documents",
    "num_erased",
]


@pytest.mark.parametrize("key", [*INDEX, *TOKENIZER, *SHARD])
def test_every_value_of_the_index_is_made_again(folder: Path, key: str) -> None:
    def change(values: dict) -> None:  # type: ignore[type-arg]
        place = values if key in INDEX else values["tokenizer"]
        place = values["shards"][0] if key in SHARD else place
        value = place[key]
        place[key] = value + 1 if isinstance(value, int) else f"{value or 'none'}0"

    path = folder / "out/shards/index.json"
    edit(path, change)
    found = list(faults(folder / "out"))
    assert any("index" in fault for fault in found), found


def swap(values: dict) -> None:  # type: ignore[type-arg]
    values["domain"], values["general"] = values["general"], values["domain"]


@pytest.mark.parametrize(
    "change",
    [
        swap,
        lambda values: values["domain"].update(removed={"near_duplicate": 0}),
        lambda values: values["domain"].update(quarantined={"another": 0}),
        lambda values: values["domain"].update(num_read_bytes=5),
        lambda values: values["domain"].update(num_erased=1),
        lambda values: values["domain"].update(changes={"another": 1}),
        lambda values: values["domain"].update(unheard_of=1),
        lambda values: values.pop("domain"),
    ],
)
def test_the_whole_ledger_is_made_again(folder: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    path = folder / "out/ledger.json"
    text = (folder / "general.jsonl").read_text()
    assert text
    edit(path, change)
    assert any(str(path) in fault for fault in faults(folder / "out"))


def test_what_no_index_names_does_not_lie_among_the_shards(folder: Path) -> None:
    path = folder / "out/shards/domain/train/part-00099.arrow"
    path.write_bytes(b"x")
    assert list(faults(folder / "out")) == [f"{path}: the index does not name it; remove it"]


def test_a_tokenizer_that_is_gone_is_a_fault(folder: Path) -> None:
    shutil.rmtree(folder / "out/tokenizer")
    assert any("tokenizer" in fault for fault in faults(folder / "out"))
