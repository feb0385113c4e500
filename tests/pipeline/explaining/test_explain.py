"""`prepare explain`: each document's story, as the stored files have it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.cli import main
from pipeline.explaining import finding
from pipeline.explaining.finding import find
from pipeline.explaining.judging import DROPPED
from pipeline.explaining.output import open_output
from pipeline.explaining.story import tell
from pipeline.removals import EXACT, LEAK, NEAR
from pipeline.shards import ShardRows
from tests.pipeline.corpora import Corpus
from tests.pipeline.explaining.conftest import ESCAPE

Capture = pytest.CaptureFixture[str]


def explain(corpus: Corpus, *arguments: str) -> int:
    return main(["explain", str(corpus.out), *arguments])


def told(corpus: Corpus, capsys: Capture, *arguments: str) -> str:
    assert explain(corpus, *arguments) == 0
    return capsys.readouterr().out


def stories(corpus: Corpus, capsys: Capture, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told(corpus, capsys, *arguments, "--json").splitlines()]


def story(corpus: Corpus, capsys: Capture, *arguments: str) -> dict[str, Any]:
    (only,) = stories(corpus, capsys, *arguments)
    return only


def row(table: pa.Table, name: str) -> dict[str, Any]:
    (found,) = table.filter(pc.equal(table["id"], name)).to_pylist()
    return dict(found)


def removed_ids(corpus: Corpus, rule: str) -> dict[str, dict[str, Any]]:
    """Rows of the removal table of one rule by the ids of the removed documents."""
    kept = corpus.table("kept")
    ids = dict(zip(kept["key"].to_pylist(), kept["id"].to_pylist(), strict=True))
    rows = corpus.removals().to_pylist()
    return {
        ids[r["key"]]: {**r, "survivor": ids[r["survivor_key"]]} for r in rows if r["rule"] == rule
    }


def test_a_kept_document_stands_in_the_rows_that_are_told(
    explained: Corpus, capsys: Capture
) -> None:
    name = min(explained.surviving_ids())
    found = story(explained, capsys, name)
    stored = row(explained.table("kept"), name)
    assert found["fate"] == "kept"
    assert found["key"] == stored["key"].hex()
    assert found["read"]["row"] == stored["source_row"]
    assert found["num_bytes"] == len(stored["text"].encode())
    assert all(verdict["state"] == "passed" for verdict in found["filters"])
    next_token = 0
    for piece in found["pieces"]:
        rows = ShardRows(explained.out / "shards" / piece["part"])
        assert piece["split"] == found["split"]
        assert piece["part"].startswith(f"{stored['source']}/{found['split']}/{piece['stratum']}/")
        assert piece["first_token"] == next_token
        assert piece["start"] in rows.doc_starts(piece["row"])
        next_token += piece["end"] - piece["start"]
    assert next_token > 0


def test_every_token_of_a_document_is_told_once(explained: Corpus) -> None:
    output = open_output(explained.out)
    wanted = {}
    for path in (explained.out / "tokens").rglob("*.arrow"):
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        lengths = pc.list_value_length(table["tokens"]).to_pylist()
        wanted |= dict(zip(table["doc_key"].to_pylist(), lengths, strict=True))
    assert wanted
    for key, num_tokens in list(wanted.items())[::5]:
        (place,) = find(output, key.hex()).places
        pieces = tell(output, place).pieces
        assert sum(piece.end - piece.start for piece in pieces) == num_tokens


def test_a_drop_is_told_with_the_value_and_threshold_of_the_filter(
    explained: Corpus, capsys: Capture
) -> None:
    stored = row(explained.table("dropped"), "brief")
    found = story(explained, capsys, "brief")
    assert found["fate"] == "dropped"
    assert found["drop"] == {name: stored[name] for name in ("rule", "value", "threshold")}
    (verdict,) = [v for v in found["filters"] if v["state"] == "dropped"]
    assert {k: verdict[k] for k in ("rule", "value", "threshold")} == found["drop"]
    (check,) = [c for c in verdict["checks"] if c["signal"] == stored["rule"].split(".")[1]]
    assert stored["threshold"] in (check["minimum"], check["maximum"])
    assert check["value"] == stored["value"]
    text = told(explained, capsys, "brief")
    assert text.splitlines()[0] == "brief: dropped by gopher_quality.num_words (15 < 20)"
    assert "num_words 15, want 20..100,000  outside" in text


def test_all_drops_agree_with_the_verdict_that_is_told(explained: Corpus) -> None:
    output = open_output(explained.out)
    num_told = 0
    for stored in explained.table("dropped").to_pylist():
        if stored["rule"] == "empty":
            continue
        (place,) = find(output, stored["key"].hex()).places
        (verdict,) = [v for v in tell(output, place).filters if v.state == DROPPED]
        assert verdict.rule == stored["rule"]
        assert (verdict.value, verdict.threshold) == (stored["value"], stored["threshold"])
        num_told += 1
    assert num_told > 0


def test_a_text_without_anything_left_was_measured_by_none(
    explained: Corpus, capsys: Capture
) -> None:
    found = story(explained, capsys, "blank")
    assert found["drop"]["rule"] == "empty"
    assert {verdict["state"] for verdict in found["filters"]} == {"not reached"}
    assert "no filter was asked" in told(explained, capsys, "blank")


@pytest.mark.parametrize(("rule", "name"), [(EXACT, "same"), (NEAR, "near"), (NEAR, ESCAPE)])
def test_a_duplicate_is_told_with_its_survivor(
    explained: Corpus, capsys: Capture, rule: str, name: str
) -> None:
    evidence = removed_ids(explained, rule)[name]
    removal = story(explained, capsys, name)["deduplication"]["removal"]
    assert removal["rule"] == rule
    assert removal["survivor"]["id"] == evidence["survivor"]
    assert removal["survivor"]["key"] == evidence["survivor_key"].hex()
    assert removal["similarity"] == evidence["similarity"]
    there = story(explained, capsys, evidence["survivor"], "--source", "domain")["deduplication"]
    assert name in [each["removed"]["id"] for each in there["removed_for_it"]]
    assert f"{rule} of {evidence['survivor']} (domain" in told(explained, capsys, name)


def test_a_validation_leak_is_told_with_the_document_that_trains(
    explained: Corpus, capsys: Capture
) -> None:
    leaks = removed_ids(explained, LEAK)
    assert leaks
    for name, evidence in list(leaks.items())[:3]:
        found = story(explained, capsys, name)
        assert found["fate"] == "removed"
        assert found["split"] == "validation"
        assert found["pieces"] == []
        assert found["deduplication"]["removal"]["similarity"] == evidence["similarity"]
    text = told(explained, capsys, name)
    assert f"left validation, too similar to {evidence['survivor']}" in text


def test_pairs_below_the_threshold_are_found_again_with_their_similarity(
    explained: Corpus, capsys: Capture
) -> None:
    leaks = removed_ids(explained, LEAK)
    name, evidence = next(iter(leaks.items()))
    candidates = story(explained, capsys, name)["deduplication"]["candidates"]
    by_id = {each["other"]["id"]: each["similarity"] for each in candidates["listed"]}
    assert by_id[evidence["survivor"]] == evidence["similarity"] < 0.8


def test_all_documents_of_an_id_are_told_and_no_pii(explained: Corpus, capsys: Capture) -> None:
    found = stories(explained, capsys, "twice")
    assert sorted(each["fate"] for each in found)[0] == "dropped"
    assert len(found) == 2
    (masked,) = [each for each in found if each["pii"]]
    assert masked["pii"] == {"email": 2}
    text = told(explained, capsys, "twice")
    assert "1 of 2 with this name" in text
    assert "email 2" in text
    assert "example.org" not in text


def test_a_quarantined_row_is_told_without_its_bytes(explained: Corpus, capsys: Capture) -> None:
    text = told(explained, capsys, "general-bad.jsonl#26")
    assert text.splitlines()[0] == "general-bad.jsonl#26: quarantined, not_json"
    assert "16 bytes, not shown" in text
    assert "junk" not in text
    found = story(explained, capsys, "general-bad.jsonl#26")
    quarantine = found["quarantine"]
    assert (quarantine["reason"], quarantine["num_raw_bytes"]) == ("not_json", 16)
    assert quarantine["detail"].startswith("the line is not JSON: Expecting")
    assert quarantine["detail"] in " ".join(text.split())


def test_a_document_is_found_by_key_prefix_and_place(explained: Corpus, capsys: Capture) -> None:
    stored = row(explained.table("kept"), "same")
    for digits in (8, 9, 32):
        assert story(explained, capsys, stored["key"].hex()[:digits].upper())["id"] == "same"
    place = f"{stored['source_path']}#{stored['source_row']}"
    assert story(explained, capsys, place)["id"] == "same"


def test_an_unknown_id_gets_suggestions(explained: Corpus, capsys: Capture) -> None:
    assert explain(explained, "like-5x") == 1
    text = capsys.readouterr().out
    assert "Ids like it: like-5" in text
    assert "domain: 80 documents, with ids as d" in text
    assert "2 rows are quarantined" in text
    assert "general-bad.jsonl#26" in text
    assert explain(explained, "\udcff\x1b[0m", "--json") == 1
    capture = capsys.readouterr()
    assert capture.out == ""
    assert "\x1b" not in capture.err


def test_an_id_of_another_source_is_unknown(explained: Corpus, capsys: Capture) -> None:
    assert explain(explained, "d5", "--source", "general") == 1
    assert explain(explained, "d5", "--source", "genera") == 2
    assert "did you mean 'general'" in capsys.readouterr().err


def test_a_key_that_several_documents_begin_with_lists_them(
    explained: Corpus, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "KEY_DIGITS", range(1, 33))
    keys = pa.concat_arrays(
        [a for k in ("kept", "dropped") for a in explained.table(k)["key"].chunks]
    )
    wanted = sorted(key.hex() for key in keys.to_pylist() if key.hex()[0] == "a")
    assert explain(explained, "a") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"a: {len(wanted)} documents have keys that begin so; want one of"
    assert {line.split()[0] for line in lines[1:21]} <= {*wanted, "..."}


def test_nothing_of_the_data_acts_on_the_terminal(explained: Corpus, capsys: Capture) -> None:
    text = told(explained, capsys, ESCAPE)
    assert "\u241b[31m\\u202ecopy" in text
    assert not {"\x1b", "\u202e"} & set(text)


def test_a_terminal_that_is_not_utf8_gets_escapes(explained: Corpus) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "explain", explained.out, ESCAPE],
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\u241b[31m" in done.stdout


@pytest.mark.parametrize("command", ["explain", "duplicates"])
def test_a_folder_without_an_output_is_an_error(
    tmp_path: Path, capsys: Capture, command: str
) -> None:
    assert main([command, str(tmp_path), "d5"]) == 2
    assert "no finished output of `prepare run` here" in capsys.readouterr().err
