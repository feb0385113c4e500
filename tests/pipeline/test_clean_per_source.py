"""What is cleaned of each source: its own keys, those of code, the manifest's."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from pipeline.errors import ManifestError, UsageError
from pipeline.manifest import Manifest, load_manifest, manifest_values
from pipeline.plan import Plan, measuring_settings, read_settings, text_settings
from pipeline.refining import build_refinery
from pipeline.run import check_extractors
from pipeline.sources.schema import DOCUMENT
from pipeline.text.clean import CleanConfig, clean

CODE_TEXT = "def f():\r\n\n\n\n    x  = 'trÃ¨s'  # <b>\t\n"


def manifest(*sources: dict[str, Any], **values: Any) -> Manifest:
    named = [
        {"name": f"s{number}", "format": "text", "paths": ["x.txt"], **source}
        for number, source in enumerate(sources)
    ]
    return Manifest.model_validate(
        {"version": 1, "name": "m", "output": "out", "sources": named, "tokenizer": {"path": "t"}}
        | values
    )


def test_the_keys_of_a_source_stand_over_those_of_code_over_the_manifests() -> None:
    made = manifest(
        {},
        {"clean": {"unicode": "NFKC"}},
        {"code": True},
        {"code": True, "clean": {"collapse_whitespace": True}},
        clean={"dehyphenate": True, "unicode": "none", "remove_invisible": False},
    )
    base = made.clean
    assert made.clean_of("s0") == base
    assert made.clean_of("s1") == base.model_copy(update={"unicode": "NFKC"})
    code = made.clean_of("s2")
    assert (code.html, code.fix_mojibake, code.unicode) == ("never", False, "none")
    assert (code.dehyphenate, code.collapse_whitespace) == (False, False)
    assert (code.remove_controls, code.remove_invisible) == (False, False)
    assert made.clean_of("s3") == code.model_copy(update={"collapse_whitespace": True})
    assert base == CleanConfig(dehyphenate=True, unicode="none", remove_invisible=False)


PAIR = {"format": "jsonl", "prompt_field": "q", "completion_field": "a"}
CHAT = {"format": "jsonl", "messages_field": "m"}


@pytest.mark.parametrize("kind", [PAIR, CHAT])
def test_html_is_looked_for_in_answers_only_where_that_is_asked_for(
    kind: dict[str, Any], tmp_path: Path
) -> None:
    page = pa.array(["<p>Hello <b>users</b></p>"])
    made = manifest(kind, {**kind, "clean": {"html": "auto"}}, {**kind, "clean": {}}, {})
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(manifest_values(made)))
    for each in (made, load_manifest(path)):
        modes = [each.clean_of(f"s{n}") for n in range(4)]
        assert [mode.html for mode in modes] == ["never", "auto", "never", "auto"]
        left = [clean(page, mode).texts[0].as_py() for mode in modes]
        assert left == [page[0].as_py(), "Hello users", page[0].as_py(), "Hello users"]
    assert manifest(kind, clean={"html": "always"}).clean_of("s0").html == "always"


def test_a_manifest_that_was_written_out_means_the_same(tmp_path: Path) -> None:
    made = manifest({"clean": {"unicode": "NFKC"}}, {"code": True}, clean={"dehyphenate": True})
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(manifest_values(made)))
    again = load_manifest(path)
    assert again == made
    assert [again.clean_of(name) for name in ("s0", "s1")] == [
        made.clean_of(name) for name in ("s0", "s1")
    ]
    assert again.clean_of("s0").dehyphenate


def test_a_wrong_key_or_value_of_a_source_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    values = manifest({"clean": {"unicode": "NFC"}}).model_dump(mode="json", exclude_unset=True)
    for wrong, message in (
        ({"fix_mojibak": True}, r"sources\.0\.clean\.fix_mojibak.*did you mean.*fix_mojibake"),
        ({"unicode": "NFD"}, r"sources\.0\.clean\.unicode.*NFKC"),
    ):
        values["sources"][0]["clean"] = wrong
        path.write_text(yaml.safe_dump(values))
        with pytest.raises(ManifestError, match=message):
            load_manifest(path)


def test_only_the_sources_that_are_cleaned_otherwise_are_done_again(tmp_path: Path) -> None:
    before = Plan(manifest({}, {}, {"code": True}), tmp_path, tmp_path / "out")
    after = replace(
        before,
        manifest=manifest(
            {}, {"clean": {"unicode": "none"}}, {"code": True, "clean": {"html": "never"}}
        ),
    )
    for settings in (measuring_settings, text_settings):
        same = [
            settings(before, source) == settings(after, changed)
            for source, changed in zip(before.manifest.sources, after.manifest.sources, strict=True)
        ]
        assert same == [True, False, True]
    assert all(
        read_settings(before, source) == read_settings(after, changed)
        for source, changed in zip(before.manifest.sources, after.manifest.sources, strict=True)
    )


def test_only_work_needs_a_library_that_reads_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.run.find_spec", lambda _: None)
    made = manifest({}, {"code": True}, clean={"extract": "trafilatura"})  # no error
    with pytest.raises(UsageError, match=r"sources\.s0: .*trafilatura.*not installed.*strip"):
        check_extractors(Plan(made, tmp_path, tmp_path / "out"))
    for fine in ({"extract": "trafilatura", "html": "never"}, {"extract": "resiliparse"}):
        check_extractors(Plan(manifest({}, clean=fine), tmp_path, tmp_path / "out"))
    monkeypatch.undo()
    check_extractors(Plan(made, tmp_path, tmp_path / "out"))


def test_each_source_is_refined_by_its_own_rules(tmp_path: Path) -> None:
    plan = Plan(manifest({}, {"code": True}), tmp_path, tmp_path / "out")
    row = {"id": "1", "text": CODE_TEXT, "source": "s", "source_path": "p", "source_row": 0}
    documents = pa.RecordBatch.from_pylist([row], schema=DOCUMENT)
    kept = [build_refinery(plan, name)(documents).kept for name in ("s0", "s1")]
    assert kept[0]["text"].to_pylist() == ["def f():\n\n    x = 'très' # <b>"]
    assert kept[1]["text"].to_pylist() == [CODE_TEXT.replace("\r", "")]
    counts = [
        {name: batch[name][0].as_py() for name in batch.schema.names if name.startswith("clean.")}
        for batch in kept
    ]
    assert counts[0]["clean.num_mojibake_repaired"] == counts[0]["clean.whitespace_collapsed"] == 1
    assert [name for name, number in counts[1].items() if number] == ["clean.num_line_ends_changed"]
