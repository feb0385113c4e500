"""All of cleaning together."""

import ast
import sysconfig
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from pydantic import ValidationError

from pipeline.text.clean import CHANGES, CODE, CleanConfig, clean
from tests.pipeline.text.strategies import any_text, batches, text_of

AUTO = CleanConfig()
mixed = text_of(
    "<html>", "<p>", "</p>", "<pre>", "</pre>", "<td>", "<div>", "</div>", "&lt;p&gt;", "&amp;lt;",
    "&lt;/p&gt;", "&nbsp;", "a", "e\u0301", "\u0301", "  ", "\n", "\r\n", "\t", "\x00", "\ufeff",
    "\uff1chtml\uff1e", "\u3000", "\x85", "中", "<script>", "Ã©", "â€™", "Ã ", "Â", "\x93", "\xa0",
    "\u200d", "\u200b", "\xad", "-\n", "ab-\ncd", "\u2126", "ق", "\u2028",
)  # fmt: skip
configs = pytest.mark.parametrize(
    "config",
    [AUTO, CleanConfig(html="never", unicode="none"), CleanConfig(unicode="NFKC"),
     CleanConfig(collapse_whitespace=False), CleanConfig(dehyphenate=True, unicode="NFKC"),
     CleanConfig(fix_mojibake=False, remove_invisible=False), CleanConfig(**CODE)],
    ids=["default", "no HTML, no Unicode", "NFKC", "blanks stay", "words joined", "little", "code"],
)  # fmt: skip


@configs
@given(texts=batches(mixed | any_text))
@example(
    texts=pa.array(["e\x00\u0301", "<\x00html>&lt;html&gt;  x", "<p>&lt;p&gt;x&lt;/p&gt;</p>"])
)
@example(texts=pa.array(["Ã\x00©", "Ã  x", "\u2126\u200d\u0301", "Ã\xad©", "e\xad\n\u0301"]))
def test_cleaning_what_is_clean_changes_nothing_but_html(config, texts):
    once = clean(texts, config).texts
    once.validate(full=True)
    again = clean(once, config.model_copy(update={"html": "never"}))
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
    texts = [
        "clean", "<p>x</p>", "e\u0301", "a\x00\r\nb", "a  b", "Ã©\nÃ¼", "a\u200bb", "ab-\ncd e",
    ]  # fmt: skip
    cleaned = clean(pa.array(texts), CleanConfig(dehyphenate=True))
    assert cleaned.texts.to_pylist() == [
        "clean", "x", "é", "a\nb", "a b", "é\nü", "ab", "abcd\ne",
    ]  # fmt: skip
    assert cleaned.changes.schema == CHANGES
    assert cleaned.changes.to_pydict() == {
        "html_stripped": [0, 1, 0, 0, 0, 0, 0, 0],
        "num_mojibake_repaired": [0, 0, 0, 0, 0, 2, 0, 0],
        "num_control_removed": [0, 0, 0, 1, 0, 0, 0, 0],
        "num_invisible_removed": [0, 0, 0, 0, 0, 0, 1, 0],
        "num_line_ends_changed": [0, 0, 0, 1, 0, 0, 0, 0],
        "whitespace_collapsed": [0, 0, 0, 0, 1, 0, 0, 0],
        "unicode_normalised": [0, 0, 1, 0, 0, 0, 0, 0],
        "num_dehyphenated": [0, 0, 0, 0, 0, 0, 0, 1],
    }


def test_what_one_change_brings_about_is_changed_too_and_counted_once_each():
    cleaned = clean(pa.array(["x", "Ã\x00\u200b©  e\x00\u0301", "y"]), AUTO)
    assert cleaned.texts.to_pylist() == ["x", "é é", "y"]
    assert cleaned.changes.slice(1, 1).to_pylist() == [
        {"html_stripped": 0, "num_mojibake_repaired": 1, "num_control_removed": 2,
         "num_invisible_removed": 1, "num_line_ends_changed": 0, "whitespace_collapsed": 1,
         "unicode_normalised": 1, "num_dehyphenated": 0},
    ]  # fmt: skip


def test_program_text_keeps_all_but_nul_byte_order_mark_and_carriage_returns():
    code = "<html>\r\ndef f():\n\n\n\n    x = 'Ã©\x0b\x0c\x85\u2028\xad'  # e\u0301 \u202e\t\n\n"
    cleaned = clean(pa.array(["\ufeff" + code + "\0\r"]), CleanConfig(**CODE))
    assert cleaned.texts.to_pylist() == [code.replace("\r", "") + "\n"]
    assert cleaned.changes["num_control_removed"].to_pylist() == [2]


def test_program_text_keeps_its_syntax_tree():
    folder = Path(sysconfig.get_path("stdlib"))
    files = [*folder.glob("*.py"), *folder.glob("json/*.py"), *folder.glob("test/test_u*.py")]
    rows = ["\ufeffx = 1\r\n", "s = '\x0b\x0c\x85\u2028\u2029\xad\u200d\ufeff\ufffc'\r\x0cy = 2"]
    rows += [data for file in files if (data := _utf8(file.read_bytes())) is not None]
    assert len(rows) > 200
    pairs = zip(rows, clean(pa.array(rows), CleanConfig(**CODE)).texts.to_pylist(), strict=True)
    for before, after in pairs:
        if before != after:
            assert ast.dump(ast.parse(before.encode())) == ast.dump(ast.parse(after.encode()))


def _utf8(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def test_time_is_linear_in_the_length_of_a_document():
    units = ["a\u0301\u0323\u0301", "Ã©", "\xad", "\U0001f3f4\U000e0067", "ab-\n", " \t", "\xad "]
    for unit in units:
        _seconds(unit * 10)
        assert min(_seconds(unit * 40_000) for _ in range(2)) < 3.5 * _seconds(unit * 20_000) + 0.05


def _seconds(text):
    begin = time.process_time()
    clean(pa.array([text]), CleanConfig(html="never", dehyphenate=True))
    return time.process_time() - begin


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
    with pytest.raises(ValidationError, match="fix_moji"):
        CleanConfig(fix_moji=True)
    with pytest.raises(ValidationError, match="NFKC"):
        CleanConfig(unicode="NFD")


def test_what_was_extracted_of_a_page_is_text_and_not_read_again():
    source = "<div>\n  <p>one</p>\n</div>"
    escaped = source.replace("<", "&lt;").replace(">", "&gt;")
    page = f"<html><body><pre>{escaped}</pre></body></html>"
    cleaned = clean(pa.array([page]), AUTO)
    assert cleaned.texts.to_pylist() == [source]
    assert cleaned.changes["html_stripped"].to_pylist() == [1]


def test_what_is_declared_to_be_html_is_read_as_such_if_it_has_a_tag():
    texts = pa.array(["Notice: x<br>y <b>z</b>", "1 < 2 &amp; 3", "Notice: x<br>y", "<p>z</p>"])
    declared = np.array([True, True, False, False])
    assert clean(texts, AUTO, declared).texts.to_pylist() == [
        "Notice: x\ny z", "1 < 2 &amp; 3", "Notice: x<br>y", "z",
    ]  # fmt: skip
    assert clean(texts, CleanConfig(html="never"), declared).texts.to_pylist() == texts.to_pylist()
