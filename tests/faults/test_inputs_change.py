"""Input files that go, shrink, grow or come while a run reads them.

Items are named after the contents of what they read. So a file that changes between being hashed
and being read to its end stops the run; what was read of it is nobody's.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from pipeline.errors import SourceError, UsageError
from pipeline.manifest import load_manifest
from pipeline.plan import Plan
from pipeline.progress import Advance
from pipeline.run import run
from pipeline.stage import Context
from pipeline.verify import faults
from tests.faults.runs import everything
from tests.pipeline.here import run_here, small_manifest
from tests.pipeline.plugins import HereRunner

pytestmark = pytest.mark.faults

NUM_ROWS = 50


def rows(name: str, number: int) -> bytes:
    return "".join(
        json.dumps({"id": f"{name}-{n}", "text": f"row {n} of {name}"}) + "\n"
        for n in range(number)
    ).encode()


def fill(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in ("domain-0", "domain-1", "general-0"):
        (folder / f"{name}.jsonl").write_bytes(rows(name, NUM_ROWS))


class Changing:
    """Shows nothing, and changes a file when the stage `refine` begins: hashed, but not read."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._change = change

    @contextmanager
    def stage(
        self, name: str, num_items: int, num_done: int, watch: object = None
    ) -> Iterator[Advance]:
        if name == "refine":
            self._change()
        yield lambda _: None

    def skip(self, name: str, num_items: int, watch: object) -> None:
        """Shows nothing of what was done before."""


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def grow(path: Path) -> None:
    with path.open("ab") as handle:
        handle.write(rows("more", 1))


def replace(path: Path) -> None:
    """Other bytes of the same number, at another time."""
    path.write_bytes(path.read_bytes().replace(b"row", b"ROW"))
    os.utime(path, (1, 1))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (shrink, "domain-1.jsonl: changed while it was read"),
        (grow, "domain-1.jsonl: changed while it was read"),
        (replace, "domain-1.jsonl: changed while it was read"),
        (Path.unlink, "domain-1.jsonl: cannot be opened"),
    ],
)
def test_a_file_that_changes_under_a_run_stops_it_and_the_next_run_takes_it_as_it_is(
    change: Callable[[Path], None], told: str, tmp_path: Path, tokenizer_folder: Path
) -> None:
    folder = tmp_path / "run"
    fill(folder)
    manifest = small_manifest(tokenizer_folder)
    (folder / "m.yaml").write_text(yaml.safe_dump(manifest))
    plan = Plan(load_manifest(folder / "m.yaml"), folder, folder / "out")
    reporter = Changing(lambda: change(folder / "domain-1.jsonl"))
    with pytest.raises((SourceError, UsageError), match=told):
        run(Context(plan, HereRunner(), reporter, 10**8))
    assert not (folder / "out" / "shards").exists()

    done = run_here(folder, manifest)
    assert list(faults(folder / "out")) == []
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for path in folder.glob("*.jsonl"):
        (fresh / path.name).write_bytes(path.read_bytes())
        os.utime(fresh / path.name, ns=(0, path.stat().st_mtime_ns))
    assert run_here(fresh, manifest).ledger == done.ledger
    assert everything(folder / "out") == everything(fresh / "out")


def test_files_that_are_not_there_are_named_before_any_work(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    fill(tmp_path)
    manifest = small_manifest(tokenizer_folder)
    manifest["sources"][1]["paths"] = ["general-0.jsonl", "general-9.jsonl"]
    with pytest.raises(SourceError, match=r"general-9\.jsonl.*no such file"):
        run_here(tmp_path, manifest)
    assert not (tmp_path / "out" / "state").exists()


def test_a_dangling_link_and_a_folder_are_no_files(tmp_path: Path, tokenizer_folder: Path) -> None:
    fill(tmp_path)
    (tmp_path / "domain-2.jsonl").symlink_to("nowhere")
    (tmp_path / "domain-3.jsonl").mkdir()
    done = run_here(tmp_path, small_manifest(tokenizer_folder))
    assert done.ledger["domain"].num_read == 2 * NUM_ROWS
