"""What the PII benchmark counts, and what it counts on."""

import json
import re
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pii import labelled, negatives
from benchmarks.pii.finders import PEERS, headwater
from benchmarks.pii.kinds import GOALS, PRESIDIO, kind_of
from benchmarks.pii.notations import COLLECTORS
from benchmarks.pii.scores import Z_95, Found, Gold, Score, covers, is_right, scores, wilson
from pipeline.text.pii.registry import KINDS

EXAMPLES = {
    "version": (b"Linux version 6.1.0.17-rc3 (gcc", b"6.1.0.17-rc3"),
    "section": (b"see Section 4.3.2.1 for more", b"4.3.2.1"),
    "heading": (b"\n12.3.4 Of the Clock\n", b"12.3.4"),
    "hash": (b"sha1: da39a3ee5e6b4b0d3255bfef95601890afd80709 ok", b"da39a3ee"),
    "commit": (b"Fixes commit 1da177e4c3f4", b"1da177e4c3f4"),
    "date": (b"on 2023-01-29, or", b"2023-01-29"),
    "mail date": (b"Fri, 30 Sep 2022 15:22:50 +0100", b"Fri, 30 Sep 2022 15:22:50 +0100"),
    "time": (b"at 15:22:50.123 sharp", b"15:22:50.123"),
    "isbn": (b"ISBN 978-0-596-00492-7.", b"978-0-596-00492-7"),
    "kernel address": (b"RIP ffffffff81234567 x", b"ffffffff81234567"),
    "hex dump": (b"0000: 00 11 22 33 44 55 66 77\n", b"00 11 22 33 44 55 66 77"),
    "uuid": (b"id 6ba7b810-9dad-11d1-80b4-00c04fd430c8;", b"6ba7b810-9dad-11d1-80b4"),
    "oid": (b"= 1.3.6.1.4.1.311 ;", b"1.3.6.1.4.1.311"),
    "local address": (b"ping 192.168.122.1 now", b"192.168.122.1"),
    "range": (b"pages 123-145 of", b"123-145"),
    "money": (b"cost $1,234.56 then", b"$1,234.56"),
    "number in code": (b"seed(1234567890123)", b"1234567890123"),
    "fraction": (b" 0.123456 1.234567 ", b"0.123456 1.234567"),
    "number list": (b" 1, 2, 3, 5, 8, 13, 21 ", b"1, 2, 3, 5, 8, 13, 21"),
    "identifier": (b"CVE-2006-2451 was", b"CVE-2006-2451"),
    "constant": (b"CONFIG_X86_64 is", b"CONFIG_X86_64"),
    "decorator": (b"    @functools.cache\ndef", b"@functools.cache"),
    "scope": (b"use File::Spec::Unix now", b"File::Spec::Unix"),
    "slice": (b"x[12:34]", b"[12:34]"),
    "expression": (b"password = getpass()\n", b"getpass()"),
    "certificate": (b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN CERTIFICATE-----"),
    "image name": (b"logo@2x.png", b"logo@2x.png"),
}


@given(st.integers(0, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_bounds_are_where_the_normal_test_just_rejects(case):
    part, whole = case
    low, high = wilson(part, whole)
    assert 0 <= low <= high <= 1
    if whole:
        for bound in {low, high} - {0.0, 1.0}:
            distance = abs(part / whole - bound)
            assert distance == pytest.approx(Z_95 * (bound * (1 - bound) / whole) ** 0.5, abs=1e-9)


def test_without_trials_the_interval_is_everything():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("found", "whole"),
    [
        ([Found(2, 6, "email")], True),
        ([Found(0, 9, "email")], True),
        ([Found(4, 6, "email"), Found(2, 4, "email")], True),
        ([Found(2, 5, "email")], False),
        ([Found(2, 3, "email"), Found(4, 6, "email")], False),
        ([Found(2, 6, "phone")], False),
        ([], False),
    ],
)
def test_recalled_is_what_its_own_kind_covers_to_the_last_character(found, whole):
    assert covers(found, Gold(2, 6, "email", True)) is whole


def test_a_span_over_what_is_not_scored_is_neither_right_nor_wrong():
    golds = [Gold(0, 4, "phone", False), Gold(6, 9, "phone", True)]
    assert is_right(golds, Found(0, 4, "phone")) is None
    assert is_right(golds, Found(0, 9, "phone")) is True
    assert is_right(golds, Found(4, 6, "phone")) is False
    assert is_right(golds, Found(0, 4, "us_ssn")) is False


def test_scores_count_every_value_and_every_span_once():
    golds = [[Gold(0, 4, "phone", True), Gold(5, 9, "phone", False)], [Gold(0, 3, "ip", True)], []]
    founds = [[Found(0, 9, "phone")], [Found(0, 2, "ip")], [Found(1, 2, "ip")]]
    assert scores(golds, founds) == {
        "phone": Score(1, 1, 1, 0, num_rest=1, num_rest_recalled=1),
        "ip": Score(1, 0, 1, 1),
    }


def test_our_spans_are_in_characters_of_their_own_text():
    texts = ["", "Grüße an jörg: 🎉 jane.doe@firma.de", "nichts", "a@firma.de ü b@firma.de"]
    found = headwater(texts, ["email"])
    values = [[texts[row][s.begin : s.end] for s in spans] for row, spans in enumerate(found)]
    assert values == [[], ["jane.doe@firma.de"], [], ["a@firma.de", "b@firma.de"]]
    assert {span.kind for spans in found for span in spans} == {"email"}


def test_every_kind_has_a_label_and_a_goal():
    assert {kind_of(label) for label in GOALS} == set(KINDS)


def test_presidios_kinds_are_those_of_its_script():
    script = (PEERS / "presidio_pii.py").read_text()
    assert tuple(re.findall(r'^    "(\w+)": \("', script, re.M)) == PRESIDIO


def test_every_slot_of_a_template_has_a_maker():
    lines = (PEERS / "pii_templates.txt").read_text().splitlines()
    templates = "\n".join(line for line in lines if not line.startswith("#"))
    makers = (PEERS / "pii_values.py").read_text() + (PEERS / "pii_tokens.py").read_text()
    slots = set(re.findall(r"\{\{(\w+)\}\}", templates))
    fillers = {"name", "first_name", "last_name", "city", "day_of_week", "year"}
    assert all(f'"{slot}"' in makers for slot in slots - fillers)


@pytest.mark.parametrize("name", COLLECTORS)
def test_a_collector_finds_its_notation(name):
    text, notation = EXAMPLES[name]
    match = COLLECTORS[name].search(text)
    assert match is not None
    assert match["no"].strip().startswith(notation)


def write_corpus(folder: Path, texts):
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    (folder / "docs-000.jsonl.zst").write_bytes(zstandard.compress(lines))


def test_excerpts_are_lines_once_each_with_their_notations_in_characters(tmp_path):
    line = "Größe: see Section 4.3.2.1 and Section 5.6.7"
    write_corpus(tmp_path, [f"{line}\nother\n{line}", f"born on 2001-02-03\n{line}"])
    documents = negatives.collected(tmp_path, 1.0)
    assert [document.collector for document in documents] == ["section"]
    (document,) = documents
    assert document.text == line + "\n"
    assert [document.text[a:b] for a, b in document.places] == ["4.3.2.1", "5.6.7"]


def test_only_spans_that_touch_a_notation_are_false_positives():
    document = negatives.Document("section", "Section 4.3.2.1 by jane@firma.de", [(8, 15)])
    spans = [Found(8, 15, "ip"), Found(19, 32, "email")]
    assert [hit.span for hit in negatives.hits([document], [spans])] == [spans[0]]


def test_pieces_of_addresses_are_no_notations(tmp_path):
    write_corpus(tmp_path, ["Message-ID: <6ba7b810-9dad-11d1-80b4-00c04fd430c8@host.de>"])
    assert negatives.collected(tmp_path, 1.0) == []


def test_the_table_says_where_a_goal_is_missed():
    golds = [[Gold(0, 4, "iban", True)]]
    counts = {"Headwater": scores(golds, [[]]), "Presidio": scores(golds, [[Found(0, 4, "iban")]])}
    rows = {row[0]: row for row in labelled.rows(counts)}
    assert rows["iban"][-2:] == ("0.98, 0.98", "**no**")
    assert rows["iban"][2:4] == ("-", "-")
    assert rows["iban"][4].startswith("1.000 [")
