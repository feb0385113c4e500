"""An output that somebody has changed: no command follows a path that leads out of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.cli import main
from pipeline.errors import ManifestError, ShardError
from pipeline.files import check_inside, write_json
from pipeline.index.segments import segments
from pipeline.manifest import load_manifest
from pipeline.records import write_record
from tests.pipeline.corpora import Corpus, docstrings
from tests.pipeline.here import run_here, small_manifest
from training.errors import DataError
from training.sources.corpus import open_shards

pytestmark = pytest.mark.faults

Tamper = Callable[[Path, Path], None]
SAID = "which is not in it"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Corpus:
    """A small output with a part, and a quarantined row."""
    folder = tmp_path_factory.mktemp("finished")
    manifest = small_manifest(tokenizer_folder, dedup={"index": "index"})
    corpus = Corpus(folder, manifest)
    for name, texts in (("domain", docstrings()[:9]), ("general", docstrings()[9:18])):
        rows = [{"id": f"{name}-{n}", "text": text} for n, text in enumerate(texts)]
        corpus.write(f"{name}.jsonl", rows)
    with (folder / "domain.jsonl").open("a") as handle:
        handle.write("not json\n")
    run_here(folder, manifest)
    return corpus


@pytest.fixture
def corpus(finished: Corpus, tmp_path: Path) -> Corpus:
    shutil.copytree(finished.folder, tmp_path / "run")
    return Corpus(tmp_path / "run", finished.manifest)


@pytest.fixture
def outside(finished: Corpus, tmp_path: Path) -> Path:
    """A folder that no command may read or write: files that would do, if they were taken."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for path in finished.out.rglob("*.arrow"):
        shutil.copy(path, folder / path.name)
    return folder


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    values = json.loads(path.read_text())
    change(values)
    write = write_record if "checksum" in values else write_json  # a checksum is no secret
    write(path, values)


def shard_by_dots(out: Path, outside: Path) -> None:
    def change(index: Any) -> None:
        name = Path(index["shards"][0]["path"]).name
        index["shards"][0]["path"] = f"../../../outside/{name}"

    change_json(out / "shards" / "index.json", change)


def shard_by_an_absolute_path(out: Path, outside: Path) -> None:
    def change(index: Any) -> None:
        name = Path(index["shards"][0]["path"]).name
        index["shards"][0]["path"] = str(outside / name)

    change_json(out / "shards" / "index.json", change)


def shard_by_a_link(out: Path, outside: Path) -> None:
    part = first(out, "shards/domain/train/part-*.arrow")
    part.unlink()
    part.symlink_to(outside / part.name)


def shards_by_a_linked_folder(out: Path, outside: Path) -> None:
    folder = out / "shards" / "domain"
    shutil.move(folder, outside / "domain")
    folder.symlink_to(outside / "domain")


def tokenizer_by_dots(out: Path, outside: Path) -> None:
    def change(index: Any) -> None:
        index["tokenizer"]["path"] = "../../../../etc"

    change_json(out / "shards" / "index.json", change)


def record_by_dots(out: Path, outside: Path) -> None:
    def change(record: Any) -> None:
        for output in record["outputs"].values():
            output["path"] = f"../../outside/{Path(output['path']).name}"

    change_json(first(out, "state/refine/*.json"), change)


def record_by_an_absolute_path(out: Path, outside: Path) -> None:
    def change(record: Any) -> None:
        for output in record["outputs"].values():
            output["path"] = str(outside / Path(output["path"]).name)

    change_json(first(out, "state/refine/*.json"), change)


def record_by_a_link(out: Path, outside: Path) -> None:
    for path in (out / "refined" / "domain").iterdir():
        path.unlink()
        path.symlink_to(outside / path.name)


INDEX = [
    shard_by_dots,
    shard_by_an_absolute_path,
    shard_by_a_link,
    shards_by_a_linked_folder,
    tokenizer_by_dots,
]
RECORDS = [record_by_dots, record_by_an_absolute_path, record_by_a_link]
COMMANDS = {
    "verify": ["verify", "{out}"],
    "trace": ["trace", "{out}", "--source", "domain", "--row", "0"],
    "explain": ["explain", "{out}", "domain-0"],
    "export": ["export", "{out}", "--format", "parquet", "--to", "{folder}/exported"],
    "erase": ["erase", "{out}", "--ids", "{folder}/ids.txt"],
    "quarantine": ["quarantine", "{out}"],
}
READ_BY = [
    *((tamper, command) for tamper in INDEX for command in COMMANDS if command != "quarantine"),
    *((tamper, command) for tamper in RECORDS for command in COMMANDS if command != "export"),
]


@pytest.mark.parametrize(("tamper", "command"), READ_BY)
def test_a_path_that_leads_out_is_refused(
    tamper: Tamper,
    command: str,
    corpus: Corpus,
    outside: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tamper(corpus.out, outside)
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    (corpus.folder / "ids.txt").write_text("domain-0\n")
    words = [word.format(out=corpus.out, folder=corpus.folder) for word in COMMANDS[command]]
    assert main(words) == 1
    told = capsys.readouterr()
    assert SAID in told.err
    assert "Traceback" not in told.err
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("tamper", INDEX)
def test_train_takes_no_row_and_no_tokenizer_from_elsewhere(
    tamper: Tamper, corpus: Corpus, outside: Path
) -> None:
    tamper(corpus.out, outside)
    with pytest.raises(DataError, match=SAID):
        open_shards([corpus.out])


def test_an_erasure_goes_on_with_no_file_of_elsewhere(
    corpus: Corpus, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal of a killed one says which file takes the place of which."""
    victim = first(outside, "part-*.arrow")
    before = victim.read_bytes()
    staged = corpus.out / "erasing" / "00000.arrow"
    staged.parent.mkdir()
    staged.write_bytes(b"another")
    move = ["erasing/00000.arrow", f"../../outside/{victim.name}"]
    write_json(staged.with_name("journal.json"), {"moves": [move]})
    (corpus.folder / "ids.txt").write_text("domain-0\n")
    assert main(["erase", str(corpus.out), "--ids", str(corpus.folder / "ids.txt")]) == 1
    assert SAID in capsys.readouterr().err
    assert victim.read_bytes() == before


def test_an_index_of_deduplication_names_its_own_files(corpus: Corpus) -> None:
    path = first(corpus.folder, "index/*/segment.json")
    assert segments(path.parents[1])
    for name, value in (
        ("fingerprint", "../../outside"),
        ("file_bytes", {"../x.arrow": 1}),
        ("files", ["../../x.arrow"]),
    ):
        before = path.read_text()
        change_json(path, lambda values, name=name, value=value: values.update({name: value}))
        with pytest.raises(ShardError, match=SAID):
            segments(path.parents[1])
        path.write_text(before)


@pytest.mark.parametrize("name", ["../up", "a/b", "/root", "..", ".hidden", "a\0b", ""])
def test_a_manifest_makes_no_folder_out_of_any_name(
    name: str, finished: Corpus, tmp_path: Path
) -> None:
    values = finished.manifest | {"output": "out"}
    values["sources"] = [values["sources"][0] | {"name": name}, values["sources"][1]]
    corpus = Corpus(tmp_path, values)
    corpus.save()
    with pytest.raises(ManifestError, match=r"sources\.0\.name"):
        load_manifest(tmp_path / "m.yaml")
    corpus.manifest = finished.manifest | {"strata": {"by": "length.num_chars", "edges": [9]}}
    corpus.manifest["strata"]["names"] = ["short", name]
    corpus.save()
    with pytest.raises(ManifestError, match="strata"):
        load_manifest(tmp_path / "m.yaml")


def test_paths_inside_are_free(tmp_path: Path) -> None:
    (tmp_path / "a..b").mkdir()
    (tmp_path / "link").symlink_to("a..b")  # leads nowhere else
    check_inside(tmp_path, ["x", "a..b/y", "link/z", "gone/deep/x.arrow"])
    check_inside(Path("/"), ["etc"])
    for path in ("..", "a/../../x", "/etc/passwd", "", ".", "a\0b", None, 5):
        with pytest.raises(ShardError, match=SAID):
            check_inside(tmp_path, [path])  # type: ignore[list-item]


def test_arrow_files_are_the_only_thing_that_was_read(finished: Corpus) -> None:
    """The files outside of these tests would have been taken: they are whole."""
    part = first(finished.out, "shards/domain/train/part-*.arrow")
    assert pa.ipc.open_file(pa.memory_map(str(part))).read_all().num_rows > 0
