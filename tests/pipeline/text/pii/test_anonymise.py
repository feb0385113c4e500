"""The stage: texts in, tags and counts out."""

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from pydantic import ValidationError

from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from tests.pipeline.text.pii.strategies import digit_soup, salted
from tests.pipeline.text.strategies import batches

ALL = PiiConfig()


@settings(max_examples=200)
@given(batches(salted | digit_soup))
@example(pa.array(["93.184.216.34 4111 1111 1111 1111 93.184.216.34"]))
def test_anonymising_again_finds_nothing(texts):
    once = anonymise(texts, ALL).texts
    once.validate(full=True)
    again = anonymise(once, ALL)
    assert again.texts is once
    assert not any(any(column.to_pylist()) for column in again.counts.columns)


@given(batches(salted))
def test_one_batch_or_many_give_the_same_rows(texts):
    whole = anonymise(texts, ALL)
    parts = [anonymise(texts.slice(i, 1), ALL) for i in range(len(texts))]
    assert [part.texts[0].as_py() for part in parts] == whole.texts.to_pylist()
    assert [part.counts.to_pylist()[0] for part in parts] == whole.counts.to_pylist()


@given(batches(salted))
def test_counts_are_the_tags_that_were_added_and_other_rows_keep_their_bytes(texts):
    anonymised = anonymise(texts, ALL)
    rows = zip(texts.to_pylist(), anonymised.texts.to_pylist(), strict=True)
    for (before, after), counts in zip(rows, anonymised.counts.to_pylist(), strict=True):
        for kind in ALL.kinds:
            tag = f"[{kind.upper()}]"
            assert after.count(tag) - before.count(tag) == counts[f"num_pii_{kind}"]
        assert (before == after) == (sum(counts.values()) == 0)


def test_every_kind_is_tagged_and_counted_in_its_row():
    texts = pa.array(
        ["", "a@example.com, b@example.com and +49 30 901820",
         "93.184.216.34 paid 4111 1111 1111 1111, 536-22-8145", "nothing"]
    )  # fmt: skip
    anonymised = anonymise(texts, ALL)
    assert anonymised.texts.to_pylist() == [
        "", "[EMAIL], [EMAIL] and [PHONE]", "[IP] paid [CREDIT_CARD], [US_SSN]", "nothing"
    ]  # fmt: skip
    counts = {k: v for k, v in anonymised.counts.to_pydict().items() if any(v)}
    assert counts == {
        "num_pii_email": [0, 2, 0, 0],
        "num_pii_phone": [0, 1, 0, 0],
        "num_pii_ip": [0, 0, 1, 0],
        "num_pii_credit_card": [0, 0, 1, 0],
        "num_pii_us_ssn": [0, 0, 1, 0],
    }
    assert {field.type for field in anonymised.counts.schema} == {pa.int32()}


@pytest.mark.parametrize("config", [PiiConfig(mode="off"), PiiConfig(kinds=())])
def test_off_returns_the_batch_as_it_came_with_counts_of_zero(config):
    texts = pa.array(["a@example.com"])
    anonymised = anonymise(texts, config)
    assert anonymised.texts is texts
    assert anonymised.counts.to_pydict() == {f"num_pii_{kind}": [0] for kind in config.kinds}


def test_an_empty_batch_gives_empty_counts_for_each_kind():
    anonymised = anonymise(pa.array([], pa.string()), PiiConfig(kinds=("ip", "email")))
    assert len(anonymised.texts) == 0
    assert anonymised.counts.to_pydict() == {"num_pii_ip": [], "num_pii_email": []}


def test_private_addresses_are_looked_for_only_if_named():
    texts = pa.array(["host 192.168.1.17 and 93.184.216.34, fe80::1"])
    assert anonymise(texts, ALL).texts.to_pylist() == ["host 192.168.1.17 and [IP], fe80::1"]
    named = PiiConfig(kinds=(*ALL.kinds, "private_ip"))
    want = ["host [PRIVATE_IP] and [IP], [PRIVATE_IP]"]
    assert anonymise(texts, named).texts.to_pylist() == want


def test_what_a_tag_lays_bare_far_down_a_long_text_is_found():
    # the card's last group keeps the address from being one until it is gone
    text = "x" * 5000 + " 93.184.216.34 4111 1111 1111 1111 93.184.216.34 " + "y" * 5000
    (found,) = anonymise(pa.array([text]), ALL).texts.to_pylist()
    assert found.strip("xy ") == "[IP] [CREDIT_CARD] [IP]"


def test_kinds_not_configured_stay():
    anonymised = anonymise(pa.array(["a@example.com 93.184.216.34"]), PiiConfig(kinds=("ip",)))
    assert anonymised.texts.to_pylist() == ["a@example.com [IP]"]


def test_unknown_kinds_modes_and_repeated_kinds_are_refused():
    with pytest.raises(ValidationError, match="us_ssn"):
        PiiConfig(kinds=("ssn",))
    with pytest.raises(ValidationError, match="tag"):
        PiiConfig(mode="mask")
    with pytest.raises(ValidationError, match="emial is not among the kinds"):
        PiiConfig(modes={"emial": "hash"})
    with pytest.raises(ValidationError, match="name each at most once"):
        PiiConfig(kinds=("ip", "ip"))
