"""Quarantined rows are listed, shown and, after a fix, read again."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.errors import QuarantineError, SourceError, UsageError
from pipeline.explaining.output import open_output
from pipeline.graph.refine import read_rows
from pipeline.quarantine.latest import open_latest
from pipeline.quarantine.retry import Retried, retried
from pipeline.quarantine.rows import Kind, Selection, count_rows, escaped, rows
from pipeline.verify import faults
from tests.pipeline.here import context_of, run_here, small_manifest, tree
from tests.pipeline.plugins import register

DEEP = "<html>" + "<div>" * 300_000
BAD = [b"not json", b'{"id": "a", "text": null}', b'{"id": "b", "text": "\xff \x1b[31m"}']


@pytest.fixture
def folder(tmp_path: Path, tokenizer_folder: Path) -> Path:
    """Five good rows in each source; three bad ones in `domain`, one in `general`."""
    good = [json.dumps({"id": str(n), "text": f"text number {n}"}).encode() for n in range(5)]
    (tmp_path / "domain-0.jsonl").write_bytes(b"\n".join(good) + b"\n")
    (tmp_path / "domain-1.jsonl").write_bytes(b"\n".join([good[0], *BAD]) + b"\n")
    general = [*good, json.dumps({"id": "deep", "text": DEEP}).encode()]
    (tmp_path / "general.jsonl").write_bytes(b"\n".join(general) + b"\n")
    return tmp_path


@pytest.fixture
def manifest(tokenizer_folder: Path) -> dict[str, Any]:
    return small_manifest(tokenizer_folder)


def retry(folder: Path, *overrides: str, **selected: Any) -> Retried:
    latest = open_latest(folder / "out", overrides)
    return retried(context_of(latest.plan), latest, Selection(**selected))


def everything(out: Path) -> dict[str, bytes]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def fates(done: Retried) -> dict[str, tuple[str, str | None]]:
    return {one.before.reason: (one.fate, one.why) for one in done.fates}


def test_rows_are_counted_by_place_and_reason_and_keep_their_bytes(
    folder: Path, manifest: dict[str, Any]
) -> None:
    run_here(folder, manifest)
    latest = open_latest(folder / "out")
    assert count_rows(latest, Selection()) == {
        Kind("domain", "domain-1.jsonl", "read", "not_json"): 1,
        Kind("domain", "domain-1.jsonl", "read", "null_text"): 1,
        Kind("domain", "domain-1.jsonl", "read", "not_utf8"): 1,
        Kind("general", "general.jsonl", "clean", "html_too_complex"): 1,
    }
    found = list(rows(latest, Selection(sources=["domain"]), with_raw=True))
    assert [row.raw for row in found] == BAD
    (one,) = rows(latest, Selection(reasons=["null_text"]))
    assert (one.raw, one.stage, one.file) == (None, "read", "domain-1.jsonl")
    assert len(list(rows(latest, Selection(), limit=2))) == 2


@pytest.mark.parametrize(
    "raw", [b"", b"a \\ b", "é 漢\u202e\x1b[31m".encode(), b"\xff\xfe\x00", b"tab\tline\n"]
)
def test_what_is_shown_acts_on_no_terminal_and_can_be_undone(raw: bytes) -> None:
    shown = escaped(raw, 100)
    assert shown.isprintable()
    back = shown.encode("unicode_escape").replace(b"\\\\", b"\\").decode("unicode_escape")
    undone = b"".join(
        bytes([ord(c)]) if ord(c) < 256 and f"\\x{ord(c):02x}" in shown else c.encode()
        for c in back.encode("raw_unicode_escape").decode("unicode_escape")
    )
    assert undone == raw


def test_a_mended_file_is_read_again_and_each_row_told(
    folder: Path, manifest: dict[str, Any]
) -> None:
    run_here(folder, manifest)
    path = folder / "domain-1.jsonl"
    short = b'{"text":"ab"}'
    assert len(BAD[1]) > len(short)
    # As long as before, so that the last row stays where it was: it is gone with its newline.
    lines = [path.read_bytes().split(b"\n")[0], b'"\xc3\xa9tats"', short.ljust(len(BAD[1])), b""]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UsageError, match=r"domain-1\.jsonl"):
        run_here(folder, manifest)
    done = retry(folder)
    assert done.num_items == 2
    assert fates(done) == {
        "not_json": ("quarantined", "not_json"),
        "null_text": ("dropped", "length.num_chars"),
        "not_utf8": ("gone", None),
        "html_too_complex": ("quarantined", "html_too_complex"),
    }
    assert run_here(folder, manifest).nothing_to_do
    assert list(faults(folder / "out")) == []


def test_only_items_with_the_chosen_rows_are_read_again_and_bytes_stay_if_nothing_changed(
    folder: Path, manifest: dict[str, Any]
) -> None:
    run_here(folder, manifest)
    before = tree(folder / "out")
    latest = open_latest(folder / "out")
    context = context_of(latest.plan)
    done = retried(context, latest, Selection(reasons=["html_too_complex"]))
    assert done.num_items == 1
    assert fates(done) == {"html_too_complex": ("quarantined", "html_too_complex")}
    assert tree(folder / "out") == before
    nothing = retry(folder, reasons=["truncated"])
    assert (nothing.fates, nothing.num_items) == ([], 0)


def test_a_file_without_quarantined_rows_may_not_change_under_a_retry(
    folder: Path, manifest: dict[str, Any]
) -> None:
    run_here(folder, manifest)
    before = everything(folder / "out")
    (folder / "domain-0.jsonl").write_text('{"text": "something else"}\n')
    with pytest.raises(UsageError, match=r"changed: domain-0\.jsonl;"):
        retry(folder)
    assert everything(folder / "out") == before
    assert list(faults(folder / "out")) == []
    assert run_here(folder, manifest, None).num_run["refine"] == 1


@pytest.mark.parametrize("change", ["gone", "worse"])
def test_a_retry_that_is_refused_or_stops_leaves_a_finished_output_whole(
    folder: Path, manifest: dict[str, Any], change: str
) -> None:
    manifest["limits"]["max_quarantined_fraction"] = 0.5
    run_here(folder, manifest)
    if change == "gone":
        for path in folder.glob("*.jsonl"):
            path.unlink()
        with pytest.raises(SourceError, match="no file matches"):
            retry(folder)
    else:
        (folder / "domain-1.jsonl").write_bytes(b"neither\n" * 100)
        with pytest.raises(QuarantineError):
            retry(folder)
    assert list(faults(folder / "out")) == []
    assert len(open_output(folder / "out").items) == 2


def test_items_with_fitted_thresholds_are_read_again_once(
    folder: Path, manifest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    manifest["filters"].append({"use": "letter", "letter": "z"})
    run_here(folder, manifest)
    before, read = tree(folder / "out"), []
    monkeypatch.setattr(
        "pipeline.graph.refine.read_rows",
        lambda item, plan: read.append(item) or read_rows(item, plan),
    )
    done = retry(folder, reasons=["html_too_complex"])
    assert done.num_items == 1
    assert len(read) == 1
    assert tree(folder / "out") == before


def test_a_raised_limit_lets_the_row_in(folder: Path, manifest: dict[str, Any]) -> None:
    manifest["limits"]["max_document_bytes"] = 30
    manifest["clean"] = {"html": "never"}
    (folder / "general.jsonl").write_text(json.dumps({"text": "word " * 10}) + "\n")
    run_here(folder, manifest)
    done = retry(folder, "limits.max_document_bytes=60", reasons=["too_large"])
    assert fates(done) == {"too_large": ("kept", None)}


def test_after_a_run_that_stopped_its_quarantine_is_shown_and_retried(
    folder: Path, manifest: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest["limits"]["max_quarantined_fraction"] = 0.01
    with pytest.raises(QuarantineError, match="prepare quarantine"):
        run_here(folder, manifest)
    assert not (folder / "out/run.json").exists()
    assert main(["quarantine", str(folder / "out")]) == 0
    assert "latest run stopped here" in capsys.readouterr().out
    with pytest.raises(QuarantineError):
        retry(folder)
    (folder / "domain-1.jsonl").write_text('{"text": "mended at last"}\n')
    (folder / "general.jsonl").write_text('{"text": "this as well"}\n')
    assert fates(retry(folder))["not_json"][0] == "gone"
    assert not (folder / "out/state/stopped").exists()
    assert open_latest(folder / "out").is_finished


def test_the_command_lists_shows_and_retries(
    folder: Path, manifest: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_here(folder, manifest)
    out = str(folder / "out")
    assert main(["quarantine", out, "--source", "domain", "--limit", "2"]) == 0
    told = capsys.readouterr().out
    assert "3 rows are quarantined" in told
    assert "not_json: a line that is not one JSON object" in told
    assert "and 1 more rows" in told
    assert "null}" not in told
    assert main(["quarantine", out, "--reason", "not_utf8", "--show", "--bytes", "24"]) == 0
    told = capsys.readouterr().out
    assert "They may be personal" in told
    assert "\\xff \\x1b ... 6 more bytes" in told
    assert "\x1b[31m" not in told
    assert main(["quarantine", out, "--json"]) == 0
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["reason"] for one in values][:2] == ["not_json", "null_text"]
    assert "raw" not in values[0]
    (folder / "domain-1.jsonl").write_text('{"text": "mended"}\n')
    assert main(["quarantine", out, "--retry", "--source", "domain", "--workers", "1"]) == 0
    assert "Tried 3 quarantined rows again, in 1 work items" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "domian"], "did you mean 'domain'"),
        (["--reason", "not_jsn"], "did you mean 'not_json'"),
        (["--set", "limits.max_document_bytes=5"], "without --retry"),
    ],
)
def test_a_wrong_option_is_one_message_and_exit_2(
    folder: Path,
    manifest: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    run_here(folder, manifest)
    assert main(["quarantine", str(folder / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert main(["quarantine", str(folder)]) == 2
