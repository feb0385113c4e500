"""What may hold personal data is its owner's alone, whatever the umask."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pyarrow as pa
import pytest

from pipeline.cli import main
from pipeline.files import PRIVATE_FILES, PRIVATE_FOLDERS, atomic
from tests.pipeline.here import run_here, small_manifest

PUBLIC = {"shards", "tokenizer"}


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def fill(folder: Path) -> None:
    rows = [{"id": n, "text": f"write to ann{n}@example.org, or do not"} for n in range(5)]
    lines = [json.dumps(row) for row in rows] + ['{"id": 9, "text": "x"}', "not json"]
    for name in ("domain.jsonl", "general.jsonl"):
        (folder / name).write_text("\n".join(lines) + "\n")


@pytest.mark.usefixtures("open_umask")
def test_nobody_else_reads_texts_tokens_records_or_samples(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    fill(tmp_path)
    out = tmp_path / "out"
    manifest = small_manifest(tokenizer_folder, edits={"lines": {}})
    del manifest["dedup"]
    run_here(tmp_path, manifest)
    found = set()
    for path in out.rglob("*"):
        top = path.relative_to(out).parts[0]
        mode = S_IMODE(path.stat().st_mode)
        if top in PRIVATE_FOLDERS | PRIVATE_FILES:
            assert mode == (0o700 if path.is_dir() else 0o600), path
            found.add(top)
        elif top in PUBLIC:
            assert mode & 0o044 == 0o044, path
    assert found >= {"refined", "tokens", "edits", "dedup", "state", "pii.json"}
    assert {path.name for path in out.iterdir()} - found == {
        *PUBLIC,
        *("run.json", "ledger.json", "manifest.yaml", "lock"),
    }


@pytest.mark.usefixtures("open_umask")
def test_an_output_that_was_open_is_closed_by_the_next_run(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    fill(tmp_path)
    run_here(tmp_path, small_manifest(tokenizer_folder))
    for name in ("refined", "state", "pii.json"):
        (tmp_path / "out" / name).chmod(0o755)
    run_here(tmp_path, small_manifest(tokenizer_folder))
    assert S_IMODE((tmp_path / "out/refined").stat().st_mode) == 0o700
    assert S_IMODE((tmp_path / "out/pii.json").stat().st_mode) == 0o600


@pytest.mark.usefixtures("open_umask")
def test_a_private_file_is_private_while_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with atomic(tmp_path / "pii.json") as temporary:
        temporary.write_text("{}")
        assert S_IMODE(temporary.stat().st_mode) == 0o600
    (tmp_path / "state").mkdir(mode=0o700)
    with atomic(tmp_path / "state" / "deep" / "x.json") as temporary:
        temporary.write_bytes(b"{}")
        assert S_IMODE(temporary.stat().st_mode) == 0o600
        assert S_IMODE(temporary.parent.stat().st_mode) == 0o700


@pytest.mark.usefixtures("open_umask")
def test_a_folder_of_such_a_name_elsewhere_is_as_the_umask_says(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    with atomic(base / "tokens" / "out" / "x.json") as temporary:
        temporary.write_text("{}")
    assert S_IMODE((base / "tokens").stat().st_mode) == 0o777
    assert S_IMODE((base / "tokens/out/x.json").stat().st_mode) == 0o666


@pytest.mark.usefixtures("open_umask")
def test_the_segments_of_an_index_are_their_owners_alone(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    def modes() -> set[tuple[bool, int]]:
        found = [path for home in index.glob("*/") for path in (home, *home.rglob("*"))]
        assert {"segment.json", "documents.arrow"} <= {path.name for path in found}
        return {(path.is_dir(), S_IMODE(path.stat().st_mode)) for path in found}

    fill(tmp_path)
    index = tmp_path / "index"
    manifest = small_manifest(tokenizer_folder, dedup={"minhash": None, "index": "index"})
    run_here(tmp_path, manifest)
    (segment,) = index.glob("*/segment.json")
    assert modes() == {(True, 0o700), (False, 0o600)}
    for path in index.rglob("*"):  # as an earlier version left it
        path.chmod(0o777 if path.is_dir() else 0o666)
    with pa.memory_map(str(next(segment.parent.glob("*/documents.arrow")))) as source:
        (name, *_) = pa.ipc.open_file(source).read_all()["id"].to_pylist()
    (tmp_path / "ids.txt").write_text(name)
    assert main(["index", str(index), "--delete-ids", str(tmp_path / "ids.txt")]) == 0
    assert list(segment.parent.glob("*/deleted.arrow"))
    assert modes() == {(True, 0o700), (False, 0o600)}
    segment.chmod(0o666)
    run_here(tmp_path, manifest)
    assert modes() == {(True, 0o700), (False, 0o600)}
