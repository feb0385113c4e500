"""PII from manifest to shards: modes, keys, dropped documents, the audit, the second scan."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest

from pipeline.cli import main
from pipeline.files import file_hash
from tests.pipeline.corpora import Corpus, docstrings, near_copy

KEY, OTHER_KEY = "correct horse battery staple", "another horse, another battery"
EMAIL = re.compile(r"[a-z]{12}@example\.(?:com|net|org)")


def sentence(number: int) -> str:
    return (
        f" Write to person{number % 17}@uni-bonn.de or call (212) 555-7{number % 10}90, at "
        f"93.184.216.{number % 50 + 1} (3c:22:fb:10:2{number % 10}:30); the last one was {number}."
    )


def personal_corpus(folder: Path, tokenizer: Path, **pii: object) -> Corpus:
    """120 texts with PII, copies that differ in it alone, near copies, and plain ones."""
    texts = docstrings()[:160]
    rows = [{"id": f"p{n}", "text": text + sentence(n)} for n, text in enumerate(texts[:120])]
    rows += [{"id": f"plain{n}", "text": text} for n, text in enumerate(texts[120:])]
    rows += [{"id": f"copy{n}", "text": texts[n] + sentence(n + 100)} for n in range(0, 30, 2)]
    rows += [
        {"id": f"near{n}", "text": near_copy(texts[n], n) + sentence(n)} for n in range(40, 60)
    ]
    source = {"name": "notes", "format": "jsonl", "paths": ["notes.jsonl"], "id_field": "id"}
    corpus = Corpus(
        folder,
        {
            "version": 1,
            "name": "notes",
            "output": "out",
            "sources": [{**source, "validation_fraction": 0.1}],
            "pii": {"kinds": ["email", "phone", "ip"], **pii},
            "filters": [{"use": "length", "min_chars": 50}],
            "tokenizer": {"path": str(tokenizer)},
            "pack": {"sequence_tokens": 256, "shard_tokens": 60_000},
        },
    )
    folder.mkdir(exist_ok=True)
    corpus.write("notes.jsonl", rows)
    corpus.save()
    return corpus


def prepared(corpus: Corpus, monkeypatch: pytest.MonkeyPatch, key: str = KEY) -> Corpus:
    monkeypatch.setenv("HEADWATER_PII_KEY", key)
    corpus.prepare("--workers", "1")
    return corpus


def by_id(corpus: Corpus) -> dict[str, str]:
    kept = corpus.table("kept")
    return dict(zip(kept["id"].to_pylist(), kept["text"].to_pylist(), strict=True))


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture(scope="module")
def pseudonymous(tmp_path_factory, tokenizer_folder) -> Corpus:
    folder = tmp_path_factory.mktemp("pii") / "one"
    with pytest.MonkeyPatch.context() as patch:
        return prepared(personal_corpus(folder, tokenizer_folder, mode="pseudonym"), patch)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory, tokenizer_folder) -> Corpus:
    folder = tmp_path_factory.mktemp("pii") / "tagged"
    with pytest.MonkeyPatch.context() as patch:
        return prepared(personal_corpus(folder, tokenizer_folder, num_samples=3), patch)


@pytest.mark.slow
def test_one_key_is_the_same_bytes_and_another_shares_no_email(
    pseudonymous, tmp_path, tokenizer_folder, monkeypatch, capsys
):
    other = personal_corpus(tmp_path / "other", tokenizer_folder, mode="pseudonym")
    prepared(other, monkeypatch)
    assert other.hashes() == pseudonymous.hashes()
    state = sorted(path.name for path in (other.out / "state" / "refine").iterdir())
    prepared(other, monkeypatch, OTHER_KEY)
    assert sorted(path.name for path in (other.out / "state" / "refine").iterdir()) != state
    assert other.hashes() != pseudonymous.hashes()
    corpora = (pseudonymous, other)
    emails = [set(EMAIL.findall(" ".join(by_id(corpus).values()))) for corpus in corpora]
    assert len(emails[0]) == len(emails[1]) == 17
    assert not emails[0] & emails[1]
    for corpus, key in zip(corpora, (KEY, OTHER_KEY), strict=True):
        assert corpus.ledger()["notes"]["pii"] == {
            "email:pseudonym": 155, "ip:pseudonym": 155, "phone:pseudonym": 155
        }  # fmt: skip
        stored = all_bytes(corpus.out)
        assert not any(raw in stored for raw in (key.encode(), b"@uni-bonn.de", b"93.184.216."))
        assert main(["verify", str(corpus.out), "--pii"]) == 0
    assert "no PII is left" in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_kept_and_removed_depends_neither_on_the_mode_nor_on_a_key(
    pseudonymous, tagged, tmp_path, tokenizer_folder, monkeypatch
):
    removed = personal_corpus(tmp_path / "removed", tokenizer_folder, mode="remove")
    prepared(removed, monkeypatch)
    assert tagged.removals().num_rows > 20
    for corpus in (pseudonymous, removed):
        assert corpus.surviving_ids() == tagged.surviving_ids()
        for name in ("similarity", "threshold"):
            assert corpus.removals()[name].sort().equals(tagged.removals()[name].sort())
        for name in ("exact", "bands"):
            assert corpus.table("signatures")[name].equals(tagged.table("signatures")[name])
        chars = "length.num_chars"
        assert corpus.table("kept")[chars].equals(tagged.table("kept")[chars])
    assert "Write to [EMAIL] or call [PHONE], at [IP] (" in by_id(tagged)["p1"]
    assert "pii_spans" not in tagged.table("kept").column_names
    assert "Write to  or call , at  (" in by_id(removed)["p1"]
    assert main(["verify", str(removed.out), "--pii"]) == 0


@pytest.mark.slow
def test_refilter_is_what_run_makes_and_wants_the_same_key(
    pseudonymous, tmp_path, tokenizer_folder, monkeypatch, capsys
):
    fresh = personal_corpus(tmp_path / "fresh", tokenizer_folder, mode="pseudonym")
    fresh.manifest["filters"][0]["min_chars"] = 700
    prepared(fresh, monkeypatch)
    shutil.copytree(pseudonymous.folder, tmp_path / "copy")
    changed = Corpus(tmp_path / "copy")
    change = ["refilter", str(changed.out), "--workers", "1", "--set", "filters.0.min_chars=700"]
    monkeypatch.setenv("HEADWATER_PII_KEY", OTHER_KEY)
    assert main(change) == 2
    monkeypatch.delenv("HEADWATER_PII_KEY")
    assert main(change) == 2
    assert "HEADWATER_PII_KEY is not set" in capsys.readouterr().err
    monkeypatch.setenv("HEADWATER_PII_KEY", KEY)
    command = [sys.executable, "-m", "pipeline.cli", *change]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert changed.hashes() == fresh.hashes() != pseudonymous.hashes()
    assert changed.table("signatures").equals(fresh.table("signatures"))


def test_without_a_key_nothing_begins(tmp_path, tokenizer_folder, monkeypatch):
    monkeypatch.delenv("HEADWATER_PII_KEY", raising=False)
    corpus = personal_corpus(tmp_path / "c", tokenizer_folder, modes={"email": "hash"})
    done = corpus.run("--workers", "1")
    assert done.returncode == 2
    assert "HEADWATER_PII_KEY is not set" in done.stderr
    assert not corpus.out.exists()


def test_documents_that_hold_a_kind_are_dropped_and_counted(
    tmp_path, tokenizer_folder, monkeypatch
):
    modes = {"ip": "drop_document", "phone": "off"}
    corpus = prepared(personal_corpus(tmp_path / "c", tokenizer_folder, modes=modes), monkeypatch)
    ledger = corpus.ledger()["notes"]
    assert ledger["dropped"] == {"pii.ip": 155}
    assert ledger["pii"] == {"email:tag": 155, "ip:drop_document": 155}
    dropped = corpus.table("dropped")
    assert pc.all(pc.equal(dropped["value"], 1.0)).as_py()
    assert pc.all(pc.match_substring(dropped["text"], "at [IP] (")).as_py()
    assert pc.all(pc.match_substring(dropped["text"], "call (212) 555-7")).as_py()
    # what is to stay in the texts stays out of the audit
    assert b"call [PHONE]" in (corpus.out / "pii.json").read_bytes()
    told = [corpus.out / "pii.json", *(corpus.out / "state").rglob("*.json")]
    assert not any(b"555-7" in path.read_bytes() for path in told)


def test_the_audit_tells_without_telling(tagged):
    audit = json.loads((tagged.out / "pii.json").read_text())
    assert audit["modes"] == {"email": "tag", "phone": "tag", "ip": "tag"}
    found = audit["sources"]["notes"]["email"]
    keys = {key.hex() for key in tagged.table("kept")["key"].to_pylist()}
    assert found["num"] == 155
    assert len(found["samples"]) == 3
    for sample in found["samples"]:
        assert "Write to [EMAIL] or call" in sample["context"]
        assert sample["key"] in keys
    assert b"uni-bonn.de" not in all_bytes(tagged.out)


def test_the_second_scan_finds_what_is_left_and_tells_no_value(tagged, tmp_path, capsys):
    shutil.copytree(tagged.folder, tmp_path / "copy")
    path = tmp_path / "copy" / "out" / "manifest.yaml"
    path.write_text(path.read_text().replace("  - email\n", "  - email\n  - mac\n"))
    assert main(["verify", str(path.parent)]) == 1
    assert "not the manifest that the run was of" in capsys.readouterr().err
    run = json.loads((path.parent / "run.json").read_text())
    run["manifest_xxh3"] = file_hash(path)
    (path.parent / "run.json").write_text(json.dumps(run))
    assert main(["verify", str(path.parent)]) == 0
    assert main(["verify", str(path.parent), "--pii"]) == 1
    told = capsys.readouterr().err
    assert "155 of kind mac left, in documents" in told
    assert "3c:22" not in told
