"""No personal data and no foreign markup on the page, whatever the corpus holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser

from pipeline.report.html.build import build
from pipeline.report.html.masking import excerpts
from pipeline.report.html.masking import name as shown_name
from tests.pipeline.corpora import docstrings, near_copy
from tests.pipeline.report.pages import finished, full_manifest, write_rows

EMAIL, CARD, TOKEN = (
    "ann.smith@example.org",
    "4111 1111 1111 1111",
    "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8",
)
PLANTED = f"Write to {EMAIL}, pay with {CARD}, log in with {TOKEN} today. "
HOSTILE = "</div></pre><script>window.hacked = 1</script><img src=x onerror='hack()'>&amp;\"'`"


def plant(folder: Path) -> None:
    """PII at the beginning, in the middle and at the end of texts that filters keep and drop."""
    rows: list[dict[str, Any]] = []
    for n, text in enumerate(docstrings()[:16]):
        body = text[: 90 + 50 * n]
        planted = (PLANTED + body, body + " " + PLANTED, PLANTED, body)[n % 4]
        rows.append({"id": f"{EMAIL}-{n}", "url": f"https://x.org/?mail={EMAIL}", "text": planted})
        rows.append({"id": f"copy-{n}", "text": near_copy(planted + text[:300], n)})
        rows.append({"id": f"other-{n}", "text": near_copy(planted + text[:300], n + 100)})
    bad = [f'{{"id": "{EMAIL}", "text": {TOKEN} {CARD}'.encode(), f'["{EMAIL}"]'.encode()]
    for name in (f"domain-{EMAIL}.jsonl", "general.jsonl", "nothing.jsonl"):
        write_rows(folder / name, rows, *bad)


def manifest_of(tokenizer: Path, pii: dict[str, Any]) -> dict[str, Any]:
    manifest = full_manifest(tokenizer, pii=pii)
    manifest["filters"] = [
        {"use": "length", "min_chars": 200, "max_chars": 900},
        {"use": "regex", "refuse": ["(?i)deprecated", EMAIL]},
    ]
    for source in manifest["sources"]:
        source["id_field"] = "id"
        source["url_field"] = "url"
    return manifest


@pytest.mark.parametrize(
    "pii",
    [
        {"mode": "tag"},
        {"mode": "pseudonym"},
        {"mode": "hash"},
        {"mode": "remove"},
        {"mode": "drop_document", "kinds": ["email"]},
        {"kinds": []},
    ],
    ids=lambda pii: str(pii.get("mode", "off")),
)
def test_no_value_is_on_the_page_in_any_mode(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch, pii: dict[str, Any]
) -> None:
    monkeypatch.setenv("HEADWATER_PII_KEY", "00112233445566778899aabbccddeeff" * 2)
    plant(tmp_path)
    html = build(finished(tmp_path, manifest_of(tokenizer_folder, pii))).html
    for value in (EMAIL, "ann.smith", CARD, CARD.replace(" ", ""), TOKEN, "00112233445566778899"):
        assert value not in html
    assert "sample" in html


def test_a_document_dropped_for_its_pii_is_not_shown_at_all(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    secret = "the quick brown patient of ward nine "
    rows = [{"id": n, "text": f"{secret * 6} {n} {EMAIL}"} for n in range(5)]
    rows += [{"id": f"k{n}", "text": text[:300]} for n, text in enumerate(docstrings()[:9])]
    for name in ("domain.jsonl", "general.jsonl", "nothing.jsonl"):
        write_rows(tmp_path / name, rows)
    pii = {"mode": "drop_document", "kinds": ["email"], "num_samples": 0}
    manifest = full_manifest(tokenizer_folder, pii=pii)
    manifest["filters"] = [{"use": "length", "min_chars": 250}]
    html = build(finished(tmp_path, manifest)).html
    assert "dropped: pii.email" in html
    assert "ward nine" not in html


def test_nor_is_a_context_of_it_that_the_audit_has(tmp_path: Path, tokenizer_folder: Path) -> None:
    rows = [{"id": n, "text": f"{n} of ward nine, {EMAIL}, {CARD} and so on"} for n in range(5)]
    rows += [{"id": f"k{n}", "text": f"{n} of ward ten, {CARD} and so on"} for n in range(5)]
    for name in ("domain.jsonl", "general.jsonl", "nothing.jsonl"):
        write_rows(tmp_path / name, rows)
    pii = {"mode": "tag", "modes": {"email": "drop_document"}}
    out = finished(tmp_path, full_manifest(tokenizer_folder, pii=pii))
    assert "ward nine" in (out / "pii.json").read_text()
    html = build(out).html
    assert "ward nine" not in html
    assert "ward ten, [CREDIT_CARD]" in html


@pytest.mark.parametrize("num_chars", range(1_960, 2_000, 3))
def test_no_half_address_is_shown_where_a_text_is_cut(num_chars: int) -> None:
    secret = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    text = f"{secret} " * (num_chars // 41)
    (shown,) = excerpts([f"{text:<{num_chars}}{EMAIL} {CARD} and more"])
    assert "ann" not in shown
    assert "4111" not in shown


def test_numbers_of_persons_in_names_are_masked() -> None:
    for value in ("536-22-8726", "DE89370400440532013000", "4111111111111111", EMAIL):
        assert value not in shown_name(f"patients/{value}.txt")
    assert shown_name("part-00012-of-00512.jsonl.zst") == "part-00012-of-00512.jsonl.zst"
    assert len(shown_name("x" * 5_000)) < 300


def test_the_key_and_where_it_lies_are_not_on_the_page(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    key = tmp_path / "private-place" / "key.txt"
    key.parent.mkdir()
    key.write_text("ffeeddccbbaa99887766554433221100" * 2)
    key.chmod(0o600)
    plant(tmp_path)
    pii = {"mode": "pseudonym", "key_file": "private-place/key.txt"}
    html = build(finished(tmp_path, manifest_of(tokenizer_folder, pii))).html
    assert "private-place" not in html
    assert "ffeeddccbbaa" not in html


def test_foreign_text_stays_text_wherever_it_stands(tmp_path: Path, tokenizer_folder: Path) -> None:
    texts = [f"{HOSTILE} {text[:200]} {HOSTILE}" for text in docstrings()[:20]]
    texts += [near_copy(texts[0], 1), texts[1]]
    rows = [{"id": f"{HOSTILE}{n}", "text": text, "url": HOSTILE} for n, text in enumerate(texts)]
    rows += [{"id": "short", "text": HOSTILE[:20]}]
    file = "domain<img src=x onerror=hack()>.jsonl"
    for name in (file, "general.jsonl", "nothing.jsonl"):
        write_rows(tmp_path / name, rows, b"<script>bad</script>")
    manifest = manifest_of(tokenizer_folder, {"mode": "tag"})
    manifest["filters"] = [
        {"use": "length", "min_chars": 250},
        {"use": "regex", "refuse": ["</code><script>window.hacked = 2</script>", "$x$ <b>"]},
        {
            "use": "expression",
            "signals": ["length.num_words"],
            "keep": "length.num_words > 3 and length.num_words != 7",
        },
    ]
    html = build(finished(tmp_path, manifest)).html
    tree = LexborHTMLParser(html)
    assert len(tree.css("script")) == 2  # the page's own
    assert all("hacked" not in script.text() for script in tree.css("script"))
    assert tree.css("img") == []
    assert tree.css("iframe, object, embed, base, form") == []
    for node in tree.css("*"):
        assert not any(name.startswith("on") for name in node.attributes), node.html
    assert tree.css_first("#quarantine") is not None
    assert file in tree.css_first("#quarantine").text()


def test_what_would_act_on_a_reader_is_made_visible(tmp_path: Path, tokenizer_folder: Path) -> None:
    text = "turned \u202eround\u202c and \x1b[31mred\x07 and \ufeffhidden " * 4
    rows = [{"id": 1, "text": text}, {"id": 2, "text": "x" * 500}]
    for name in ("domain.jsonl", "general.jsonl", "nothing.jsonl"):
        write_rows(tmp_path / name, rows)
    clean = {"remove_controls": False, "remove_invisible": False}
    manifest = full_manifest(tokenizer_folder, clean=clean)
    manifest["filters"] = [{"use": "length", "min_chars": 300}]
    html = build(finished(tmp_path, manifest)).html
    assert "turned" in html
    for char in "\u202e\u202c\x1b\x07\ufeff\x00":
        assert char not in html


def test_ids_are_unique_and_controls_name_what_is_there(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    plant(tmp_path)
    manifest = manifest_of(tokenizer_folder, {"mode": "tag"})
    manifest["filters"] *= 3
    html = build(finished(tmp_path, manifest)).html
    tree = LexborHTMLParser(html)
    names = [node.attributes["id"] for node in tree.css("[id]")]
    assert len(set(names)) == len(names)
    for attribute in ("aria-controls", "aria-labelledby"):
        for node in tree.css(f"[{attribute}]"):
            assert node.attributes[attribute] in names
    for link in tree.css("a[href]"):
        assert (link.attributes["href"] or "").removeprefix("#") in names
    for control in tree.css("input"):
        assert control.parent is not None
        assert control.parent.tag == "label"
    for figure in tree.css("figure svg"):
        assert figure.attributes["aria-label"]
    for node in tree.css("[src], [href]"):
        for name in ("src", "href"):
            value = node.attributes.get(name)
            assert value is None or value.startswith(("#", "data:"))
    for used in tree.css("use"):
        target = json.dumps(used.attributes)
        assert any(f"#{name}" in target for name in names)
