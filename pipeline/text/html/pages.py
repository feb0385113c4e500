"""HTML pages become what they say; those that no parser should see are refused."""

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.text.buffers import replace_rows
from pipeline.text.html.bounds import NO_LIMIT, problems
from pipeline.text.html.detect import looks_like_html
from pipeline.text.html.extract import Extractor, extract
from pipeline.text.html.head import HEAD, heads

HtmlMode = Literal["auto", "always", "never"]

_TAG = "<[A-Za-z/!?]"
# Trafilatura's time grows with the square of these: 15,000 take it 3 s.
MAX_TABLE_TAGS = {"trafilatura": 15_000}


class Pages(NamedTuple):
    """One row for each text that came in."""

    texts: pa.StringArray  # those that came in, if none was a page; refused ones are empty
    is_page: NDArray[np.bool_]
    head: pa.RecordBatch  # HEAD, null where the text is no page
    problem: pa.StringArray  # why a page was refused, in a sentence; null where it was not


def read_pages(
    texts: pa.StringArray,
    mode: HtmlMode,
    extractor: Extractor,
    max_depth: int,
    declared: NDArray[np.bool_] | None = None,
) -> Pages:
    """Extract the text of the rows that are pages.

    In mode `auto` those that look like HTML, and those that are `declared` to be HTML and hold a
    tag at all. U+0000 goes first, for parsers drop it or not: `<` and a letter with one between
    them is a tag to some, and what is checked must be what is parsed.
    """
    num_rows = len(texts)
    is_page = _are_pages(texts, mode, declared)
    if not is_page.any():
        return Pages(texts, is_page, nothing_said(num_rows), pa.nulls(num_rows, pa.string()))
    pages = pc.replace_substring(texts.filter(pa.array(is_page)), "\0", "")
    problem = problems(pages, max_depth, MAX_TABLE_TAGS.get(extractor, NO_LIMIT))
    pages = replace_rows(
        pages, problem.is_valid().to_numpy(zero_copy_only=False), _empty_texts(problem)
    )
    return Pages(
        replace_rows(texts, is_page, extract(pages, extractor)),
        is_page,
        spread(heads(pages), is_page),
        _at(problem, is_page),
    )


def _are_pages(
    texts: pa.StringArray, mode: HtmlMode, declared: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    if mode != "auto":
        return np.full(len(texts), mode == "always")
    is_page = looks_like_html(texts)
    if declared is None or not declared.any():
        return is_page
    has_tag = pc.match_substring_regex(texts, _TAG).to_numpy(zero_copy_only=False)
    return np.asarray(is_page | (declared & has_tag))


def nothing_said(num_rows: int) -> pa.RecordBatch:
    """A batch of HEAD in which all is null."""
    columns = [pa.nulls(num_rows, field.type) for field in HEAD]
    return pa.RecordBatch.from_arrays(columns, schema=HEAD)


def spread(rows: pa.RecordBatch, mask: NDArray[np.bool_]) -> pa.RecordBatch:
    """The rows of HEAD where `mask` says, in order, and nulls elsewhere."""
    columns = [_at(column, mask) for column in rows.columns]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def _at(values: pa.Array, mask: NDArray[np.bool_]) -> pa.Array:
    places = np.where(mask, np.cumsum(mask) - 1, 0)
    return values.take(pa.array(places, mask=~mask))


def _empty_texts(problem: pa.StringArray) -> pa.StringArray:
    return pa.repeat("", len(problem) - problem.null_count)
