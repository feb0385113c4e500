"""`prepare report`: the page says what the files say, whatever the output is."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.cli import main
from pipeline.explaining.output import open_output
from pipeline.report.html import limits, survey
from pipeline.report.html.build import build
from pipeline.report.html.corpus import open_finished
from pipeline.report.html.funnel import funnel
from pipeline.shards import read_index
from tests.pipeline.corpora import docstrings
from tests.pipeline.here import small_manifest
from tests.pipeline.plugins import register
from tests.pipeline.report.pages import (
    fill,
    finished,
    full_manifest,
    number,
    page,
    rows_of,
    write_rows,
)

FILTERS = [
    {"use": "length", "min_chars": 120, "max_chars": 2_000},
    {"use": "letter", "letter": "e", "minimum": 20},
    {"use": "gopher_quality", "min_words": 25},
]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("reported")
    fill(folder)
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        return finished(folder, full_manifest(tokenizer_folder, filters=FILTERS))


@pytest.fixture(scope="module")
def tree(output: Path) -> LexborHTMLParser:
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        return page(output)


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def documents(out: Path) -> list[dict[str, Any]]:
    """All documents that were not quarantined, one after the other, in plain Python."""
    found = []
    for kind in ("kept", "dropped"):
        for path in sorted((out / "refined").rglob(f"*.{kind}.arrow")):
            with pa.memory_map(str(path)) as source:
                found += pa.ipc.open_file(source).read_all().to_pylist()
    return found


def failing(row: dict[str, Any]) -> dict[str, bool | None]:
    """What each filter of FILTERS says of a document; None where it did not measure it."""
    quality = row["gopher_quality.num_words"] < 25 or not (
        3 <= row["gopher_quality.mean_word_length"] <= 10
        and row["gopher_quality.hash_word_ratio"] <= 0.1
        and row["gopher_quality.ellipsis_word_ratio"] <= 0.1
        and row["gopher_quality.bullet_line_ratio"] <= 0.9
        and row["gopher_quality.ellipsis_line_ratio"] <= 0.3
        and row["gopher_quality.alpha_word_ratio"] >= 0.8
        and row["gopher_quality.num_stop_words"] >= 2
    )
    letters = row["letter.num"]
    return {
        "length": not 120 <= len(row["text"]) <= 2_000,
        "letter": None if letters is None else letters < 20,
        "gopher_quality": quality,
    }


def test_the_funnel_is_the_ledger(output: Path, tree: LexborHTMLParser) -> None:
    ledger = json.loads((output / "ledger.json").read_text())
    head, *rows = rows_of(tree, "funnel")
    assert head[1] == "all sources"
    cells = {row[0]: row for row in rows}
    place = {name: head.index(name) for name in ("all sources", "domain", "general", "nothing")}
    for source, entry in ledger.items():
        at = place[source]
        assert number(cells["read"][at]) == entry["num_read"]
        assert number(cells["kept by all filters"][at]) == entry["num_kept"]
        assert number(cells["packed"][at]) == entry["num_packed"]
        for kind in ("quarantined", "removed"):
            for name, count in entry[kind].items():
                assert number(cells[f"{kind}: {name}"][at]) == -count
        by_filter: Counter[str] = Counter()
        for rule, count in entry["dropped"].items():
            by_filter[rule.partition(".")[0]] += count
        for name, count in by_filter.items():
            assert number(cells[f"dropped: {name}"][at]) == -count
    total = place["all sources"]
    assert number(cells["read"][total]) == sum(e["num_read"] for e in ledger.values())
    tokens = sum(shard.num_tokens for shard in read_index(output).shards)
    assert number(cells["tokens"][total]) == tokens


def test_own_and_marginal_shares_are_those_of_a_plain_count(
    output: Path, tree: LexborHTMLParser
) -> None:
    rows = documents(output)
    head, *body = rows_of(tree, "filters")
    cells = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    verdicts = [(row, failing(row)) for row in rows]
    for name in ("length", "letter", "gopher_quality"):
        measured = [each for each in verdicts if each[1][name] is not None]
        own = [each for each in measured if each[1][name]]
        alone = [row for row, said in own if sum(bool(v) for v in said.values()) == 1]
        removed = [row for row in rows if (row.get("rule") or "").startswith(f"{name}.")]
        got = cells[name]
        assert number(got["measured"]) == len(measured)
        assert number(got["own"]) == len(own) > 0
        assert number(got["marginal"]) == len(alone)
        assert number(got["removed"]) == len(removed)
        megabytes = sum(len(row["text"].encode()) for row in alone) / 1e6
        assert float(got["marginal MB"]) == pytest.approx(megabytes, abs=0.005)
    assert any(said["letter"] is None for _, said in verdicts)  # and the page says what that means
    assert "upper bounds" in tree.css_first("#filters").text()


def test_a_histogram_holds_every_document_that_has_the_signal(output: Path) -> None:
    found = survey.survey(open_output(output))
    rows = documents(output)
    for one in found.filters:
        for name, signal in one.signals.items():
            values = [row[f"{one.name}.{name}"] for row in rows]
            wanted = sorted(float(value) for value in values if value is not None)
            got = sorted(float(v) for part in signal.values for v in part)
            assert got == pytest.approx(wanted)


def test_samples_stand_on_the_side_of_the_threshold_that_they_are_shown_on(
    tree: LexborHTMLParser,
) -> None:
    (chosen,) = [
        found
        for found in tree.css("#filters details")
        if found.css_first("summary").text().startswith("num_chars ≥ 120")
    ]
    sides = chosen.css(".pair > div")
    for side, passes in zip(sides, (True, False), strict=True):
        values = [int(who.text().split(" · ")[0].replace(",", "")) for who in side.css(".who")]
        assert values
        assert all((value >= 120) == passes for value in values)
        for sample, value in zip(side.css(".sample"), values, strict=True):
            if value < limits.SAMPLE_CHARS:
                assert len(sample.text()) == pytest.approx(value, abs=2)


def test_a_sample_of_the_documents_is_said_to_be_one(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = survey.survey(open_output(output))
    monkeypatch.setattr(survey, "MAX_VALUES", 1_000)
    found = survey.survey(open_output(output))
    assert found.every > 1
    share = found.documents.documents * found.every / whole.documents.documents
    assert share == pytest.approx(1, abs=0.1)
    assert f"every {found.every}-th document" in page(output).css_first("#filters").text()


def test_duplicates_are_counted_and_their_differences_marked(
    output: Path, tree: LexborHTMLParser
) -> None:
    section = tree.css_first("#duplicates")
    ledger = json.loads((output / "ledger.json").read_text())
    removed = sum(sum(entry["removed"].values()) for entry in ledger.values())
    assert number(section.css_first(".tiles dd").text()) == removed > 0
    marked = [one.text() for one in section.css("del")]
    assert any("variant" in text for text in marked) or section.css("ins")


def test_lengths_rows_and_utilisation_are_those_of_the_shards(
    output: Path, tree: LexborHTMLParser
) -> None:
    index = read_index(output)
    head, *body = rows_of(tree, "lengths", table=1)
    cells = {(row[0], row[1]): dict(zip(head, row, strict=True)) for row in body}
    for split in ("train", "validation"):
        shards = [shard for shard in index.shards if shard.split == split]
        tokens, rows = sum(s.num_tokens for s in shards), sum(s.num_rows for s in shards)
        got = cells["all sources", split]
        assert number(got["rows"]) == rows
        assert number(got["tokens"]) == tokens
        used = 100 * tokens / (rows * index.sequence_tokens)
        assert float(got["utilisation"].removesuffix(" %")) == pytest.approx(used, abs=0.06)


def test_learned_tokens_are_those_of_the_loss_mask(tmp_path: Path, tokenizer_folder: Path) -> None:
    texts = docstrings()[:40]
    write_rows(
        tmp_path / "domain.jsonl",
        [{"id": n, "q": t[:30], "a": t[30:200]} for n, t in enumerate(texts)],
    )
    write_rows(tmp_path / "general.jsonl", [{"id": n, "text": t[:99]} for n, t in enumerate(texts)])
    manifest = small_manifest(tokenizer_folder)
    manifest["sources"][0] |= {"prompt_field": "q", "completion_field": "a"}
    out = finished(tmp_path, manifest)
    learned = {"domain": 0, "general": 0}
    for path in (out / "shards").rglob("*.arrow"):
        with pa.memory_map(str(path)) as source:
            rows = pa.ipc.open_file(source).read_all().to_pylist()
        for row in rows:
            mask = row.get("loss_mask")
            number_of = row["num_tokens"] if mask is None else sum(mask)
            learned[path.relative_to(out / "shards").parts[0]] += number_of
    head, *body = rows_of(page(out), "lengths", 1)
    told = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    assert {name: number(told[name]["learned"]) for name in learned} == learned
    assert learned["domain"] < number(told["domain"]["tokens"])
    assert learned["general"] == number(told["general"]["tokens"])


def test_what_could_not_be_read_is_told_by_file_and_place_and_not_quoted(
    tree: LexborHTMLParser,
) -> None:
    head, *body = rows_of(tree, "quarantine")
    cells = [dict(zip(head, row, strict=True)) for row in body]
    assert {(one["reason"], one["file"], one["rows"]) for one in cells} == {
        ("not_json", "domain.jsonl", "1"),
        ("missing_field", "domain.jsonl", "1"),
        ("empty_file", "nothing.jsonl", "1"),
    }
    assert "not json" not in tree.css_first("#quarantine").text()


def test_time_is_that_of_the_records(output: Path, tree: LexborHTMLParser) -> None:
    head, *body = rows_of(tree, "timing")
    cells = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    for stage in ("refine", "tokenise", "pack"):
        records = [json.loads(p.read_text()) for p in (output / "state" / stage).glob("*.json")]
        assert number(cells[stage]["work items"]) == len(records)
        took = sum(record["seconds"] for record in records)
        assert cells[stage]["time"] == f"{took:.1f} s"


def test_the_mix_of_a_train_config_is_shown_with_its_epochs(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "train.yaml"
    config.write_text(
        "steps: 10\nbatch_rows: 4\nsequence_tokens: 16\n"
        "mix:\n  domain: {start: 3, end: 1, max_epochs: 4}\n  general: 1\n  absent: 0\n"
    )
    target = tmp_path / "page.html"
    words = ["report", str(output), "--mix", str(config), "--output", str(target), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(target)
    assert told["num_bytes"] == target.stat().st_size
    assert told["findings"]
    head, *body = rows_of(LexborHTMLParser(target.read_text()), "mix")
    cells = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    assert cells["domain"]["mix at the start"] == "75.0 %"
    assert cells["domain"]["at the end"] == "50.0 %"
    assert cells["domain"]["at most"] == "4"
    available = sum(
        s.num_tokens
        for s in read_index(output).shards
        if (s.source, s.split) == ("domain", "train")
    )
    assert float(cells["domain"]["epochs"]) == pytest.approx(0.625 * 640 / available, abs=0.006)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: 3\n", "no mapping `mix`"),
        ("mix: {domain: [1]}\n", "mix.domain"),
        ("mix: [\n", "not valid YAML"),
        ("- 1\n", "no mapping `mix`"),
    ],
)
def test_a_mix_that_is_none_is_told_where(
    output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    config = tmp_path / "train.yaml"
    config.write_text(text)
    assert main(["report", str(output), "--mix", str(config)]) == 2
    assert said in capsys.readouterr().err
    assert not (output / "report.html").exists()


def test_the_same_output_has_the_same_page(output: Path) -> None:
    assert build(output).html == build(output).html


def test_a_report_leaves_a_finished_output_finished(
    tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path)
    out = finished(tmp_path, full_manifest(tokenizer_folder))
    assert main(["report", str(out)]) == 0
    path = out / "report.html"
    assert path.stat().st_mode & 0o077 == 0  # it shows texts
    assert str(path) in capsys.readouterr().out
    assert main(["verify", str(out)]) == 0
    assert main(["run", str(tmp_path / "m.yaml")]) == 0
    assert "Nothing to do" in capsys.readouterr().out


def test_an_erased_document_is_not_on_the_page(tmp_path: Path, tokenizer_folder: Path) -> None:
    fill(tmp_path)
    manifest = full_manifest(tokenizer_folder)
    out = finished(tmp_path, manifest)
    marks = json.loads((tmp_path / "general.jsonl").read_text().splitlines()[3])
    assert main(["report", str(out)]) == 0
    (tmp_path / "ids").write_text(f"{marks['id']}\n")
    assert main(["erase", str(out), "--ids", str(tmp_path / "ids")]) == 0
    assert not (out / "report.html").exists()
    html = page(out)
    assert "erased since" in html.css_first("#funnel").text()
    assert marks["text"][:60] not in html.text()


def test_nothing_read_nothing_kept_and_nothing_filtered_give_a_page(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    for name, rows, filters in (
        ("empty", b"", []),
        ("dropped", b'{"id": 1, "text": "ab"}\n', [{"use": "length", "min_chars": 100}]),
        ("bad", b"no\nnone\n", []),
    ):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("domain.jsonl", "general.jsonl", "nothing.jsonl"):
            (folder / file).write_bytes(rows)
        tree = page(finished(folder, full_manifest(tokenizer_folder, filters=filters)))
        assert len(tree.css("main > section")) >= 10, name


def test_records_that_are_gone_or_older_give_a_page_that_says_less(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    fill(tmp_path)
    out = finished(tmp_path, full_manifest(tokenizer_folder))
    ledger = json.loads((out / "ledger.json").read_text())
    for entry in ledger.values():
        del entry["num_undated"], entry["strata"]
        entry["of_a_later_version"] = 1
    (out / "ledger.json").write_text(json.dumps(ledger))
    (out / "pii.json").unlink()
    (out / "state" / "inputs.json").unlink()
    for path in (out / "state" / "refine").glob("*.json"):
        path.unlink()
    tree = page(out)
    assert "says less than it could" in tree.css_first("#overview").text()
    assert number(rows_of(tree, "funnel")[1][1]) == sum(e["num_read"] for e in ledger.values())


def test_what_is_no_output_is_told_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "no finished output" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_many_rules_are_added_up(output: Path) -> None:
    corpus = open_finished(output)
    rules = {f"decontaminate.set{n}": n + 1 for n in range(300)}
    for entry in corpus.ledger.values():
        entry.dropped.update(rules)
    body = funnel(corpus, None).body
    table = LexborHTMLParser(body).css_first("table")
    cells = [[cell.text().strip() for cell in row.css("td")] for row in table.css("tbody tr")]
    lost = {row[0]: -number(row[1]) for row in cells if row[0].startswith("dropped: ")}
    assert len(lost) == limits.MAX_ROWS + 1
    (more,) = (name for name in lost if name.endswith(" more"))
    wanted = sum(sum(entry.dropped.values()) for entry in corpus.ledger.values())
    assert sum(lost.values()) == wanted
    assert 0 < lost[more] < wanted


def test_a_word_as_long_as_a_text_does_not_fill_the_page(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    fill(tmp_path)
    long = [f"{text[:500]} {'&' * 50}" for text in docstrings()[:6]]
    rows = [
        {"id": f"{n}-{k}", "text": f"{t} {c * 9_000}"}
        for n, t in enumerate(long)
        for k, c in enumerate("xyz")
    ]
    write_rows(tmp_path / "general.jsonl", rows)
    html = build(finished(tmp_path, full_manifest(tokenizer_folder))).html
    assert "(threshold 0.8)" in html
    assert "x" * 500 not in html


def test_a_long_name_is_not_in_every_cell(tmp_path: Path, tokenizer_folder: Path) -> None:
    fill(tmp_path)
    manifest = full_manifest(tokenizer_folder)
    manifest["sources"][0] |= {"name": "d" * 60, "paths": ["domain.jsonl"]}
    html = build(finished(tmp_path, manifest)).html
    assert html.count("d" * 60) < 40
    tree = LexborHTMLParser(html)
    keys = {button.attributes["data-toggles"] for button in tree.css("#funnel button")}
    assert {
        cell.attributes["data-belongs"] for cell in tree.css("#funnel th[data-belongs]")
    } == keys


@pytest.mark.slow
def test_many_filters_and_sources_stay_below_three_megabytes(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    manifest = full_manifest(tokenizer_folder)
    manifest["sources"] = [
        {"name": f"source-{n}", "format": "jsonl", "paths": [f"{n}.jsonl"], "id_field": "id"}
        for n in range(45)
    ]
    manifest["filters"] = [
        {"use": ("length", "gopher_quality", "gopher_repetition")[n % 3]} for n in range(60)
    ]
    wide = "\u6f22\u5b57 <b>&</b> " * 200
    for n in range(45):
        rows = [{"id": k, "text": f"{text} {wide}"} for k, text in enumerate(docstrings()[:4])]
        write_rows(tmp_path / f"{n}.jsonl", rows)
    html = build(finished(tmp_path, manifest)).html
    assert len(html.encode()) < 3_000_000
    tree = LexborHTMLParser(html)
    assert len(tree.css("#filters [role=tab]")) == 60
    # Five sources are shown, 35 others and the rest together can be.
    assert len(tree.css("#funnel th[hidden]")) == 3 * (
        limits.MAX_SOURCES - limits.SHOWN_SOURCES + 1
    )


def test_an_import_has_a_page_on_its_tokens(output: Path, tmp_path: Path) -> None:
    exported, target = tmp_path / "exported", tmp_path / "imported"
    assert main(["export", str(output), "--format", "parquet", "--to", str(exported)]) == 0
    assert main(["import", str(exported), "--to", str(target)]) == 0
    tree = page(target)
    assert "prepare import" in tree.css_first("#overview").text()
    tokens = sum(shard.num_tokens for shard in read_index(target).shards)
    head, *body = rows_of(tree, "lengths")
    assert tokens == sum(
        number(row[head.index("tokens")]) for row in body if row[0] == "all sources"
    )
