"""Texts of several segments, cleaned and anonymised so that the segments stay what they were.

Each segment is cleaned by itself, as if it were a document. Where a prompt ends and its completion
begins, white space stays as it is written: it says how the one goes on into the other, and cleaning
takes it away at the ends of a text. Where nothing is left of what a model is to write, the document
has a problem: it would teach to say nothing. Personal data is looked for in the whole text, since a
prompt may tell what the completion holds; what reaches from one segment into the next becomes part
of the first.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arrow import num_value_bytes
from pipeline.segments import COMPLETION, LEARNED_ROLES, PROMPT, Segments, cut_out, join
from pipeline.text.buffers import utf8
from pipeline.text.clean import CHANGES, CleanConfig, Cleaned, clean, reasons
from pipeline.text.html.pages import nothing_said
from pipeline.text.pii.anonymise import Anonymised, Places, anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.replacements import Replacements
from pipeline.text.pii.stored import Stored
from pipeline.text.pii.tags import Tags, moved_places

BLANK = " \t\r\n"
LOST = "so that nothing would be learned but to say nothing; see `clean` of the source"
EMPTIED = "completion_empty"  # a code of `sources.schema.REASONS`


def clean_segments(
    texts: pa.StringArray, segments: Segments, config: CleanConfig, separator: str
) -> tuple[Cleaned, Segments]:
    """Clean each segment and join them again; of the texts, counts are added up.

    Nothing of what a page says of itself is kept: a segment is no page.
    """
    written = segments.texts(texts)
    before, core, after = _outer_blanks(written, segments.roles)
    cleaned = clean(core, config)
    parts = pc.binary_join_element_wise(before, cleaned.texts, after, "")
    emptied = _emptied(written, parts, segments.roles)
    texts, segments = join(parts, segments.offsets, segments.roles, separator)
    problem = _first_of_each(pc.coalesce(cleaned.problem, emptied), segments)
    reason = pc.coalesce(cleaned.reason, reasons(emptied, EMPTIED))
    reason = _first_of_each(reason, segments)
    changes = _added_up(cleaned.changes, segments)
    return Cleaned(texts, changes, nothing_said(len(texts)), problem, reason), segments


def anonymise_segments(
    texts: pa.StringArray,
    segments: Segments,
    config: PiiConfig,
    replacements: Replacements | None = None,
) -> tuple[Anonymised, Segments]:
    """`anonymise`, and the segments as they stand in the texts with tags."""
    found = anonymise(texts, config, replacements, places=_places(segments))
    assert found.places is not None, "places went in"
    return found._replace(places=None), _moved(segments, found.places.bytes)


def stored_segments(segments: Segments, tags: Tags, stored: Stored) -> Segments:
    """The segments after values took the places of the tags."""
    spans = stored.spans.flatten()
    sizes = spans.field("end").to_numpy().astype(np.int64) - spans.field("begin").to_numpy()
    new = tags._replace(ends=tags.begins + sizes)
    return _moved(segments, moved_places(*_places(segments), new, tags.ends))


def _places(segments: Segments) -> Places:
    rows = segments.documents
    bounds = np.concatenate([segments.begins, segments.ends])
    return Places(np.concatenate([rows, rows]), bounds)


def _moved(segments: Segments, places: np.ndarray) -> Segments:
    begins, ends = np.split(places, 2)
    return segments._replace(begins=begins, ends=ends)


def _outer_blanks(
    parts: pa.StringArray, roles: pa.StringArray
) -> tuple[pa.StringArray, pa.StringArray, pa.StringArray]:
    """White space before a completion and after a prompt, and what is left of each part."""
    offsets = utf8(parts).offsets.astype(np.int64)
    begins, ends = offsets[:-1].copy(), offsets[1:].copy()
    is_prompt, is_completion = (
        pc.equal(roles, role).to_numpy(zero_copy_only=False) for role in (PROMPT, COMPLETION)
    )
    lengths = ends - begins
    right = num_value_bytes(pc.utf8_rtrim(parts, characters=BLANK))
    left = num_value_bytes(pc.utf8_ltrim(parts, characters=BLANK))
    first = np.where(is_completion, begins + lengths - left, begins)
    last = np.where(is_prompt, begins + right, ends)
    before, core, after = (
        cut_out(parts, *bounds) for bounds in ((begins, first), (first, last), (last, ends))
    )
    return _line_feeds(before), core, _line_feeds(after)


def _emptied(
    written: pa.StringArray, cleaned: pa.StringArray, roles: pa.StringArray
) -> pa.StringArray:
    """What is wrong with learned segments that were text and are none; null for all others.

    White space alone is as little as nothing: who writes that means to say nothing.
    """
    was_text, is_blank = _is_text(written), pc.invert(_is_text(cleaned))
    is_learned = pc.is_in(roles, value_set=pa.array(LEARNED_ROLES))
    gone = pc.and_(pc.and_(was_text, is_blank), is_learned)
    num_bytes = pc.binary_length(written).cast(pa.string())
    sentences = pc.binary_join_element_wise(
        "cleaning leaves nothing of the", roles, "of", num_bytes, "bytes,", LOST, " "
    )
    return pc.if_else(gone, sentences, pa.scalar(None, pa.string()))


def _is_text(parts: pa.StringArray) -> pa.BooleanArray:
    return pc.greater(pc.binary_length(pc.utf8_trim_whitespace(parts)), 0)


def _line_feeds(blanks: pa.StringArray) -> pa.StringArray:
    """With line feeds for the line ends of other systems, as in all text."""
    return pc.replace_substring(pc.replace_substring(blanks, "\r\n", "\n"), "\r", "\n")


def _first_of_each(problem: pa.StringArray, segments: Segments) -> pa.StringArray:
    """The first sentence of each document; null where there is none."""
    num_documents = len(segments.offsets) - 1
    if problem.null_count == len(problem):
        return pa.nulls(num_documents, pa.string())
    which = np.flatnonzero(problem.is_valid().to_numpy(zero_copy_only=False))
    documents, first = np.unique(segments.documents[which], return_index=True)
    places = np.full(num_documents, -1)
    places[documents] = which[first]
    return problem.take(pa.array(places, mask=places < 0))


def _added_up(changes: pa.RecordBatch, segments: Segments) -> pa.RecordBatch:
    """Counts of documents; what is 0 or 1 of a segment is so of a document."""
    documents, num_documents = segments.documents, len(segments.offsets) - 1
    columns = []
    for name, column in zip(changes.schema.names, changes.columns, strict=True):
        total = np.bincount(documents, column.to_numpy(), num_documents).astype(np.int32)
        columns.append(pa.array(total if name.startswith("num_") else np.minimum(total, 1)))
    return pa.RecordBatch.from_arrays(columns, schema=CHANGES)
