"""Counts of cleaning in words."""

from pipeline.report.changes import cleaning, with_prefix
from pipeline.text.clean import CHANGES


def test_changes_of_a_document_are_told_in_words_without_those_that_were_not_made() -> None:
    changes = {"num_control_removed": 2, "num_invisible_removed": 0, "num_line_ends_changed": 1,
               "whitespace_collapsed": 1}  # fmt: skip
    want = "2 control characters removed, 1 line end changed to LF, white space collapsed"
    assert cleaning(changes) == want
    assert cleaning({"html_stripped": 0}) == cleaning({}) == ""


def test_changes_of_a_run_are_told_with_the_number_of_documents() -> None:
    sums = {"clean.num_mojibake_repaired": 1200, "clean.html_stripped": 1, "edited.lines": 3,
            "clean.unicode_normalised": 20}  # fmt: skip
    want = (
        "HTML made text in 1 document, 1,200 garbled lines repaired, "
        "Unicode normalised in 20 documents"
    )
    assert cleaning(with_prefix(sums, "clean."), of_many=True) == want


def test_every_count_has_words() -> None:
    for of_many in (False, True):
        for name in CHANGES.names:
            told = cleaning({name: 1}, of_many=of_many)
            assert told
            assert "_" not in told
