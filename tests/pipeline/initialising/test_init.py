"""`prepare init` writes a manifest that runs as it is, says why, and never writes over one."""

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.manifest import Manifest, load_manifest
from pipeline.outcome import Outcome
from pipeline.plan import Plan
from pipeline.run import run
from tests.pipeline.here import context_of
from tests.pipeline.initialising.folders import FOLDERS, NUM_DOCUMENTS, mixed

Printed = pytest.CaptureFixture[str]


def init(folder: Path, tokenizer: Path, *more: str) -> Path:
    """The manifest beside the folder."""
    output = folder.parent / "manifest.yaml"
    arguments = ["init", str(folder), "--output", str(output), "--tokenizer", str(tokenizer)]
    assert main([*arguments, *more]) == 0
    return output


def run_manifest(path: Path) -> Outcome:
    manifest = load_manifest(path)
    return run(context_of(Plan(manifest, path.parent, path.parent / manifest.output)))


def sources(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    return {one.name: one.text_fields for one in manifest.sources if one.format != "text"}


@pytest.mark.parametrize("kind", FOLDERS)
def test_manifest_of_a_folder_runs_unchanged_and_keeps_most_documents(
    kind: str, tmp_path: Path, tokenizer_folder: Path
) -> None:
    FOLDERS[kind](tmp_path / "raw")
    outcome = run_manifest(init(tmp_path / "raw", tokenizer_folder))
    num_kinds = 4 if kind == "mixed" else 1
    num_read = {n: e.num_read - e.quarantined.total() for n, e in outcome.ledger.items()}
    assert sum(num_read.values()) - num_read.get("code", 0) == num_kinds * NUM_DOCUMENTS
    for name, entry in outcome.ledger.items():
        assert entry.num_kept >= num_read[name] / 2, (name, entry.dropped)
    assert len(outcome.index.shards) >= len(outcome.ledger)


def test_sources_of_a_mixed_folder_are_told_apart_with_their_fields(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    mixed(tmp_path / "raw")
    path = init(tmp_path / "raw", tokenizer_folder)
    found = {one.name: one for one in load_manifest(path).sources}
    assert set(found) == {"articles", "table", "site", "notes", "code"}
    assert found["articles"].text_field == "body"
    assert (found["articles"].id_field, found["articles"].url_field) == ("doc_id", "link")
    assert found["table"].text_field == "text"  # not the longer page that it was taken out of
    assert found["site"].format == "html"
    assert found["code"].code
    assert not found["notes"].code
    text = path.read_text()
    assert "raw/site/**/*.html" in text
    assert "notes/old.txt: text that is not UTF-8" in text
    assert "scan.pdf: PDF" in text
    assert "html (" in text  # the other candidate for the text of `table` is named
    assert "hidden" not in text


def test_manifest_is_not_written_over_without_force(
    tmp_path: Path, tokenizer_folder: Path, capsys: Printed
) -> None:
    FOLDERS["text"](tmp_path / "raw")
    path = init(tmp_path / "raw", tokenizer_folder)
    path.write_text("mine")
    again = ["init", str(tmp_path / "raw"), "--output", str(path)]
    assert main([*again, "--tokenizer", str(tokenizer_folder)]) == 2
    assert path.read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    init(tmp_path / "raw", tokenizer_folder, "--force")
    assert path.read_text() != "mine"


def test_folder_without_data_is_refused_with_reasons(tmp_path: Path, capsys: Printed) -> None:
    (tmp_path / "raw").mkdir()
    output = ["--output", str(tmp_path / "m.yaml")]
    assert main(["init", str(tmp_path / "raw"), *output]) == 2
    assert "empty folder" in capsys.readouterr().err
    (tmp_path / "raw" / "a.zip").write_bytes(b"PK\x03\x04rest")
    assert main(["init", str(tmp_path / "raw"), *output]) == 2
    assert "a.zip: a zip archive" in capsys.readouterr().err
    assert main(["init", str(tmp_path / "none"), *output]) == 2
    assert not (tmp_path / "m.yaml").exists()


def test_missing_tokenizer_is_said_and_one_nearby_is_found(
    tmp_path: Path, tokenizer_folder: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    FOLDERS["text"](tmp_path / "here" / "raw")
    assert main(["init", "raw"]) == 0
    assert "no tokenizer was found" in capsys.readouterr().out
    assert "MISSING" in Path("manifest.yaml").read_text()
    Path("models").mkdir()
    Path("models/small").symlink_to(tokenizer_folder)
    assert main(["init", "raw", "--force"]) == 0
    assert load_manifest(Path("manifest.yaml")).tokenizer.path == "models/small"
    assert "MISSING" not in Path("manifest.yaml").read_text()


def test_output_of_a_run_is_not_read_when_the_manifest_lies_in_the_folder(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    FOLDERS["jsonl"](tmp_path / "raw")
    path = tmp_path / "raw" / "manifest.yaml"
    arguments = ["init", str(tmp_path / "raw"), "--output", str(path), "--force"]
    for _ in range(2):
        assert main([*arguments, "--tokenizer", str(tokenizer_folder)]) == 0
        outcome = run_manifest(path)
        assert sum(entry.num_read for entry in outcome.ledger.values()) == NUM_DOCUMENTS + 1


def test_pairs_and_conversations_become_what_is_learned(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    raw = tmp_path / "raw"
    (raw / "chat").mkdir(parents=True)
    (raw / "pairs").mkdir()
    turn = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A test."}]
    (raw / "chat" / "a.jsonl").write_text(json.dumps({"messages": turn}) + "\n")
    pair = {"instruction": "Say what it is.", "output": "It is a test.", "text": "Both of it."}
    (raw / "pairs" / "b.jsonl").write_text(json.dumps(pair) + "\n")
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for name in tokenizer_folder.iterdir():
        (folder / name.name).write_bytes(name.read_bytes())
    assert sources(load_manifest(init(raw, folder, "--force"))) == {
        "pairs": ("instruction", "output")
    }
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    assert sources(load_manifest(init(raw, folder, "--force"))) == {
        "pairs": ("instruction", "output"),
        "chat": ("messages",),
    }
