"""All of cleaning together."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from pydantic import ValidationError

from pipeline.text.clean import CHANGES, CleanConfig, clean
from tests.pipeline.text.strategies import any_text, batches, text_of

AUTO = CleanConfig()
mixed = text_of(
    "<html>", "<p>", "</p>", "<pre>", "</pre>", "<td>", "<div>", "</div>", "&lt;p&gt;", "&amp;lt;",
    "&lt;/p&gt;", "&nbsp;", "a", "e\u0301", "\u0301", "  ", "\n", "\r\n", "\t", "\x00", "\ufeff",
    "\uff1chtml\uff1e", "\u3000", "\x85", "中", "<script>",
)  # fmt: skip
configs = pytest.mark.parametrize(
    "config",
    [AUTO, CleanConfig(html="never", unicode="none"), CleanConfig(unicode="NFKC"),
     CleanConfig(collapse_whitespace=False)],
    ids=["default", "no HTML, no Unicode", "NFKC", "blanks stay"],
)  # fmt: skip


@configs
@given(texts=batches(mixed | any_text))
@example(
    texts=pa.array(["e\x00\u0301", "<\x00html>&lt;html&gt;  x", "<p>&lt;p&gt;x&lt;/p&gt;</p>"])
)
def test_cleaning_what_is_clean_changes_nothing(config, texts):
    once = clean(texts, config).texts
    once.validate(full=True)
    again = clean(once, config)
    assert again.texts is once
    assert not any(any(column.to_pylist()) for column in again.changes.columns)


@configs
@given(texts=batches(mixed))
def test_one_batch_or_many_give_the_same_rows(config, texts):
    whole = clean(texts, config)
    parts = [clean(texts.slice(i, 1), config) for i in range(len(texts))]
    assert [part.texts[0].as_py() for part in parts] == whole.texts.to_pylist()
    assert [part.changes.to_pylist()[0] for part in parts] == whole.changes.to_pylist()


@given(batches(mixed | any_text))
def test_a_row_changes_exactly_when_a_change_is_counted(texts):
    cleaned = clean(texts, AUTO)
    counted = [any(row.values()) for row in cleaned.changes.to_pylist()]
    pairs = zip(texts.to_pylist(), cleaned.texts.to_pylist(), strict=True)
    assert counted == [before != after for before, after in pairs]


def test_each_change_is_counted_in_its_own_column():
    texts = ["clean", "<p>x</p>", "e\u0301", "a\x00\r\nb", "a  b", ""]
    cleaned = clean(pa.array(texts), AUTO)
    assert cleaned.texts.to_pylist() == ["clean", "x", "é", "a\nb", "a b", ""]
    assert cleaned.changes.schema == CHANGES
    assert cleaned.changes.to_pydict() == {
        "html_stripped": [0, 1, 0, 0, 0, 0],
        "unicode_normalised": [0, 0, 1, 0, 0, 0],
        "num_control_removed": [0, 0, 0, 2, 0, 0],
        "whitespace_collapsed": [0, 0, 0, 0, 1, 0],
    }


def test_an_empty_batch_gives_an_empty_batch():
    cleaned = clean(pa.array([], pa.string()), AUTO)
    assert cleaned.texts.to_pylist() == []
    assert cleaned.changes.num_rows == 0


@pytest.mark.parametrize(("mode", "want"), [("auto", "a <b>"), ("always", "a"), ("never", "a <b>")])
def test_the_mode_decides_what_is_html(mode, want):
    cleaned = clean(pa.array(["a <b>"]), CleanConfig(html=mode))
    assert cleaned.texts.to_pylist() == [want]
    assert cleaned.changes["html_stripped"].to_pylist() == [int(mode == "always")]


def test_an_unknown_key_or_value_is_refused():
    with pytest.raises(ValidationError, match="fix_mojibake"):
        CleanConfig(fix_mojibake=True)
    with pytest.raises(ValidationError, match="NFKC"):
        CleanConfig(unicode="NFD")
