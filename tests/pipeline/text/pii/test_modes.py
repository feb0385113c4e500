"""What stands in the place of a value: modes, keys, reserved ranges, lengths."""

import ipaddress
import pickle
import re
import string
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PrepareError, UsageError
from pipeline.text.pii.anonymise import Anonymised, anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.edited import anonymise_edited
from pipeline.text.pii.key import PiiKey, check_key, load_key
from pipeline.text.pii.pseudonyms import TEST_CARDS, normal_form
from pipeline.text.pii.recognizer import digits
from pipeline.text.pii.registry import KINDS, RECOGNIZERS, recognizers_of
from pipeline.text.pii.replacements import Replacements
from pipeline.text.pii.stored import SPANS, Stored, as_tags, stored
from pipeline.verify_pii import find_left
from tests.pipeline.text.pii.strategies import salted
from tests.pipeline.text.strategies import batches

KEYS = [PiiKey(bytes([number]) * 32) for number in range(1, 9)]
KEY, OTHER_KEY = KEYS[:2]
MODES = ("tag", "pseudonym", "hash", "remove", "drop_document")
FIVE = ("email", "phone", "ip", "credit_card", "us_ssn")
RESERVED = {
    "email": re.compile(r"[a-z]+@example\.(com|net|org)"),
    "phone": re.compile(r"(\+?1[ -]?)?(\(?[2-9]\d\d\)?[ -]?)?555-?01\d\d"),
    "us_ssn": re.compile(r"987-?65-?432\d"),
    "mac": re.compile(r"00[:.-]?00[:.-]?5e[:.-]?00[:.-]?53[:.-]?[0-9a-f]{2}", re.IGNORECASE),
}
VALUES = {
    "email": ["ann@example.com", "b.c+d@uni-bonn.de"],
    "phone": ["+49 30 901820", "(212) 555-7890"],
    "ip": ["93.184.216.34", "2a00:1450:4001:82a::200e"],
    "credit_card": ["4111 1111 1111 1111", "378282246310005", "5555-5555-5555-4444"],
    "us_ssn": ["536-22-8145"],
}
PAIRS = [(kind, value) for kind, values in VALUES.items() for value in values]


def replace_all(texts: pa.StringArray, config: PiiConfig, key: PiiKey = KEY) -> Stored:
    found = anonymise(texts, config, Replacements(config, key))
    return stored(found.texts, found.tags, config.all_kinds)


def is_reserved(kind: str, value: str) -> bool:
    if kind == "ip":
        nets = ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")
        return any(ipaddress.ip_address(value) in net for net in nets)
    if kind == "credit_card":
        return digits(value.encode()).decode() in TEST_CARDS
    return RESERVED[kind].fullmatch(value) is not None


@settings(max_examples=60)
@given(batches(salted), st.sampled_from(MODES), st.booleans())
def test_every_mode_and_length_is_the_tags_again(texts, mode, length_preserving):
    config = PiiConfig(mode=mode, length_preserving=length_preserving)
    tagged = anonymise(texts, PiiConfig()).texts
    done = replace_all(texts, config)
    done.texts.validate(full=True)
    done.spans.validate(full=True)
    assert as_tags(*done) == tagged
    for key in (KEY, OTHER_KEY):
        assert as_tags(*replace_all(texts, config, key)) == tagged
    if length_preserving:
        assert pc.utf8_length(done.texts) == pc.utf8_length(texts)


@settings(max_examples=60)
@given(batches(salted), st.sampled_from(MODES), st.booleans())
def test_a_second_scan_finds_nothing_outside_of_what_was_written(texts, mode, length_preserving):
    config = PiiConfig(mode=mode, length_preserving=length_preserving)
    done = replace_all(texts, config)
    recognizers = recognizers_of(config.active_kinds)
    assert not len(find_left(as_tags(*done), recognizers, config.all_kinds).rows)


def test_a_second_scan_finds_what_was_left():
    texts = pa.array(["[EMAIL] and ann@example.com", "none"])
    left = find_left(texts, RECOGNIZERS, ("email",))
    assert left.rows.tolist() == [0]
    assert [RECOGNIZERS[which].kind for which in left.recognizers] == ["email"]


@settings(max_examples=40)
@given(batches(salted))
def test_slices_and_single_rows_store_the_same(texts):
    config = PiiConfig(mode="pseudonym")
    whole = replace_all(texts, config)
    parts = [replace_all(texts.slice(i, 1), config) for i in range(len(texts))]
    assert [part.texts[0] for part in parts] == list(whole.texts)
    assert [part.spans[0] for part in parts] == list(whole.spans)
    assert as_tags(whole.texts[1:], whole.spans[1:]) == as_tags(*whole)[1:]


@pytest.mark.parametrize(("kind", "value"), PAIRS)
@pytest.mark.parametrize("length_preserving", [False, True])
def test_pseudonyms_are_of_reserved_ranges(kind, value, length_preserving):
    replacements = Replacements(
        PiiConfig(mode="pseudonym", length_preserving=length_preserving), KEY
    )
    got = replacements(kind, value)
    if length_preserving:
        assert len(got) == len(value)
    assert (length_preserving and set(got) & set("*[")) or is_reserved(kind, got)


@given(st.text(string.ascii_lowercase, min_size=1), st.integers(1, 80), st.sampled_from(FIVE))
def test_a_length_is_kept_and_what_has_it_is_reserved_or_no_value(text, num_chars, kind):
    replacements = Replacements(PiiConfig(mode="pseudonym", length_preserving=True), KEY)
    value = {"ip": ":"}.get(kind, text[0]) * num_chars
    got = replacements(kind, value)
    assert len(got) == num_chars
    assert got.startswith(("[", "*")) or is_reserved(kind, got)


def test_one_value_has_one_pseudonym_however_it_is_written():
    replace = Replacements(PiiConfig(mode="pseudonym"), KEY)
    for kind, ways in {
        "email": ["Ann.Lee@Uni.edu", "ann.lee@uni.EDU"],
        "phone": ["(212) 555-7890", "+1 212-555-7890", "212.555.7890", "0012125557890"],
        "ip": ["2001:4860:4860::8888", "2001:4860:4860:0:0:0:0:8888"],
    }.items():
        assert len({replace(kind, way) for way in ways}) == 1
    mapped = [normal_form("ip", way) for way in ("93.184.216.77", "::ffff:93.184.216.77")]
    assert mapped[0] == mapped[1]
    cards = [replace("credit_card", way) for way in ("4532015112830366", "4532 0151 1283 0366")]
    assert digits(cards[0].encode()) == digits(cards[1].encode())


@pytest.mark.parametrize(
    ("card", "begins"),
    [
        ("4222222222222", "4"),  # a Visa card of 13 digits: there is no such test number
        ("4532015112830366", "4"),
        ("2221000000000009", "5"),  # Mastercard's second range
        ("5425233430109903", "5"),
        ("374245455400126", "3[47]"),
        ("6011000991300009", "6011"),
        ("3530111333300000", "35"),
        ("30569309025904", "3056"),
    ],
)
def test_a_card_stays_one_of_its_network(card, begins):
    draws = {Replacements(PiiConfig(mode="pseudonym"), key)("credit_card", card) for key in KEYS}
    assert draws
    assert all(re.match(begins, draw) for draw in draws)


def test_another_key_agrees_no_more_often_than_chance():
    num = 2000
    mine, theirs = (Replacements(PiiConfig(mode="pseudonym"), key) for key in (KEY, OTHER_KEY))
    emails = [f"person{n}@uni-bonn.de" for n in range(num)]
    assert len({mine("email", value) for value in emails}) == num
    assert not {mine("email", v) for v in emails} & {theirs("email", v) for v in emails}
    hosts = [f"93.184.{n // 250}.{n % 250 + 1}" for n in range(num)]
    same = sum(mine("ip", value) == theirs("ip", value) for value in hosts)
    # binomial with n = 2,000, p = 1/256: mean 7.8, and more than 22 in one of 10^5 cases
    assert same <= 22
    drawn = {mine("ip", value) for value in hosts}
    assert len(drawn) > 250  # of 256: the range is used


def test_hashes_are_letters_that_no_recogniser_takes_and_are_keyed():
    mine, theirs = (Replacements(PiiConfig(mode="hash"), key) for key in (KEY, OTHER_KEY))
    got = mine("us_ssn", "536-22-8145")
    assert re.fullmatch(r"\[US_SSN:[b-v]{16}\]", got)
    assert got == mine("us_ssn", "536 22 8145") != theirs("us_ssn", "536-22-8145")
    # no reserved range: a pseudonym is a hash
    pseudonym = Replacements(PiiConfig(mode="pseudonym"), KEY)
    assert pseudonym("person", "Ann Lee").startswith("[PERSON:")


def test_modes_of_single_kinds():
    config = PiiConfig(
        mode="tag", modes={"email": "pseudonym", "ip": "remove", "phone": "off"}, kinds=FIVE
    )
    texts = pa.array(["ann@uni-bonn.de at 93.184.216.34, +49 30 901820, 536-22-8145"])
    got = replace_all(texts, config)
    (text,) = got.texts.to_pylist()
    assert re.fullmatch(r"[a-z]{12}@example\.\w{3} at , \+49 30 901820, \[US_SSN\]", text)
    assert [span["kind"] for span in got.spans[0].as_py()] == ["email", "ip", "us_ssn"]
    assert got.spans.type == SPANS
    assert config.needs_key
    assert not config.stores_tags
    assert PiiConfig(modes={"email": "drop_document"}).stores_tags


def test_edits_take_their_tags_with_them_and_what_they_lay_bare_is_found():
    config = PiiConfig(mode="pseudonym", kinds=("email", "ip"))
    replace = Replacements(config, KEY)
    lines = [f"line {n}: p{n}@uni-bonn.de" for n in range(6)]
    texts = pa.array(["\n".join(lines), "ann@uni-bonn.de", "x@|CUT|github.com and b@uni-bonn.de"])
    before = anonymise(texts, config, replace)
    rows = before.texts.to_pylist()
    rows[0] = "\n".join(line for n, line in enumerate(rows[0].split("\n")) if n not in (1, 4))
    rows[2] = rows[2].replace("|CUT|", "")
    after: Anonymised = anonymise_edited(pa.array(rows), before, config, replace)
    done = stored(after.texts, after.tags, config.all_kinds).texts.to_pylist()
    wanted = [replace("email", f"p{n}@uni-bonn.de") for n in (0, 2, 3, 5)]
    assert [line.split(": ")[1] for line in done[0].split("\n")] == wanted
    assert done[1] == replace("email", "ann@uni-bonn.de")
    assert done[2] == f"{replace('email', 'x@github.com')} and {replace('email', 'b@uni-bonn.de')}"
    assert after.counts["num_pii_email"].to_pylist() == [6, 1, 2]


@settings(max_examples=40)
@given(batches(salted), st.randoms(use_true_random=False))
def test_whatever_lines_go_the_tags_of_the_rest_stay(texts, chance):
    config = PiiConfig(mode="pseudonym")
    before = anonymise(texts, config, Replacements(config, KEY))
    rows = [
        "\n".join(line for line in text.split("\n") if chance.random() < 0.6)
        for text in before.texts.to_pylist()
    ]
    after = anonymise_edited(pa.array(rows, pa.string()), before, config, Replacements(config, KEY))
    again = anonymise(after.texts, config)
    assert as_tags(*stored(after.texts, after.tags, config.all_kinds)) == after.texts
    assert again.texts == after.texts  # nothing is left


def test_a_key_comes_from_the_environment_or_a_file(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("SOME_KEY", "a" * 32)
    config = PiiConfig(mode="hash", key_env="SOME_KEY")
    key = load_key(config, tmp_path)
    (tmp_path / "key").write_text("a" * 32 + "\n")
    assert load_key(PiiConfig(mode="hash", key_file="key"), tmp_path) == key
    monkeypatch.setenv("SOME_KEY", "b" * 32)
    other = load_key(config, tmp_path)
    assert key.fingerprint != other.fingerprint
    check_key(key, key.fingerprint)
    with pytest.raises(PrepareError, match="another key"):
        check_key(other, key.fingerprint)
    assert load_key(PiiConfig(), tmp_path) is None
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbf" + b"a" * 32 + b"\r\n")  # Windows' Notepad
    assert load_key(PiiConfig(mode="hash", key_file="key"), tmp_path) == key


def test_a_missing_or_short_key_is_an_error_that_does_not_tell_it(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("HEADWATER_PII_KEY", raising=False)
    config = PiiConfig(mode="pseudonym")
    with pytest.raises(UsageError, match="HEADWATER_PII_KEY is not set"):
        load_key(config, tmp_path)
    monkeypatch.setenv("HEADWATER_PII_KEY", "hunter2")
    with pytest.raises(UsageError, match="7 bytes, want 16") as caught:
        load_key(config, tmp_path)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UsageError, match="no-such"):
        load_key(PiiConfig(mode="hash", key_file="no-such"), tmp_path)
    with pytest.raises(UsageError, match="want the name, such as HEADWATER_PII_KEY") as caught:
        load_key(PiiConfig(mode="hash", key_env="0011aabbccddeeff"), tmp_path)
    assert "0011" not in str(caught.value)


def test_a_key_shows_in_no_repr_and_no_pickle():
    assert "\\x01" not in repr(Replacements(PiiConfig(mode="hash"), KEY))
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(KEY)


def test_every_kind_has_a_tag_that_nothing_reads():
    tags = pa.array([f"[{kind.upper()}]" for kind in KINDS])
    assert anonymise(tags, PiiConfig()).texts is tags
