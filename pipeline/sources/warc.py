"""Web archives: WARC as crawlers write it, and WET, the text that Common Crawl makes of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa

from pipeline.sources.compression import DamagedStream, chunks
from pipeline.sources.config import SourceConfig
from pipeline.sources.documents import BATCH_BYTES, BATCH_ROWS, Bad, Builder
from pipeline.sources.file_reader import FileReader
from pipeline.sources.files import compression, open_bytes
from pipeline.sources.protocol import SPLIT_BYTES, Input, Slice
from pipeline.sources.schema import Rows, skipped_rows
from pipeline.sources.warc_members import has_member_per_record, member_records, split_points
from pipeline.sources.warc_pages import Page, Skipped, page_of
from pipeline.sources.warc_records import MAX_HEAD_BYTES, Pull, Record, cut_records

META = ("warc_date", "content_type", "charset", "charset_errors")
Layout = Literal["plain", "members", "stream"]


@dataclass(frozen=True, kw_only=True)
class WarcReader(FileReader):
    """Unit of slices: stored bytes. `source_row`: where the record begins, as CDX indexes count.

    That is the offset in the file, compressed or not, of a plain file and of gzip with a member for
    each record (a further record of such a member adds its number times 2^40); both are split.
    Other compressed files are not, and their rows are offsets in the decompressed file.

    `url` is the record's target; `meta` holds `warc_date`, `content_type`, `charset` (Python's
    codec) and `charset_errors` (bytes that did not decode, where there are any), and the record's
    own fields that the source's `meta_fields` name. Records that are no documents are counted by
    `warc_pages.page_of`'s reasons.
    """

    split_bytes: int = SPLIT_BYTES

    def is_splittable(self, item: Input) -> bool:
        with open_bytes(item) as handle:
            return _layout(handle)[0] != "stream"

    def split(self, item: Input) -> list[Slice]:
        if item.size_bytes is None or item.size_bytes <= self.split_bytes:
            return [Slice(input=item)]
        with open_bytes(item) as handle:
            layout, _ = _layout(handle)
            starts = [0]
            if layout == "members":
                starts = split_points(handle, item.size_bytes, self.split_bytes)
            elif layout == "plain":
                starts = list(_plain_points(handle, self.split_bytes))
        ends = [*starts[1:], None]
        return [Slice(input=item, start=s, end=e) for s, e in zip(starts, ends, strict=True)]

    def read(self, piece: Slice) -> Iterator[Rows]:
        rows = _Rows(self.source, piece.input, self.max_document_bytes)
        with open_bytes(piece.input) as handle:
            for record in _records(handle, piece, self.max_document_bytes + MAX_HEAD_BYTES):
                if isinstance(record, Record):
                    rows.add(page_of(record, self.max_document_bytes))
                else:
                    rows.add(record)
                if rows.is_full:
                    yield from rows.flush()
        yield from rows.flush()


class _Rows:
    """Pages and bad rows until there is a batch of them."""

    def __init__(self, source: SourceConfig, item: Input, max_document_bytes: int) -> None:
        meta = dict.fromkeys((*META, *source.meta_fields))
        as_read = source.model_copy(update={"url_field": "url", "meta_fields": tuple(meta)})
        self._builder = Builder(source=as_read, item=item, max_document_bytes=max_document_bytes)
        self._clear()

    def _clear(self) -> None:
        self._pages: list[Page] = []
        self._bad: list[Bad] = []
        self._skipped: Counter[str] = Counter()
        self._num_bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self._pages) + len(self._bad) >= BATCH_ROWS or self._num_bytes >= BATCH_BYTES

    def add(self, found: Page | Skipped | Bad) -> None:
        if isinstance(found, Skipped):
            self._skipped[found.reason] += 1
        elif isinstance(found, Bad):
            self._bad.append(found)
            self._num_bytes += len(found.raw or b"")
        else:
            self._pages.append(found)
            self._num_bytes += len(found.text)

    def flush(self) -> Iterator[Rows]:
        if self._bad or self._skipped:
            bad = self._builder.only_bad(self._bad)
            yield bad._replace(skipped=skipped_rows(self._builder.item.relative, self._skipped))
        if self._pages:
            numbers = np.array([page.row for page in self._pages], dtype=np.int64)
            yield from self._builder.build(numbers, self._columns())
        self._clear()

    def _columns(self) -> dict[str, pa.Array]:
        source = self._builder.source
        columns = {source.text_field: pa.array([page.text for page in self._pages], pa.binary())}
        for name in source.columns[1:]:
            values = [_field(page, name) for page in self._pages]
            columns[name] = pa.array(values, pa.string())
        return columns


def _field(page: Page, name: str) -> str | None:
    return page.fields.get(name) or page.fields.get(name.lower()) or None


def _layout(handle: BinaryIO) -> tuple[Layout, str | None]:
    """How the records lie in the file, and its compression."""
    kind = compression(handle)
    if kind is None:
        return "plain", None
    return ("members" if kind == "gz" and has_member_per_record(handle) else "stream"), kind


def _records(handle: BinaryIO, piece: Slice, max_block_bytes: int) -> Iterator[Record | Bad]:
    if not handle.read(1):
        yield Bad(0, "empty_file", "the file has no bytes")
        return
    handle.seek(0)
    layout, kind = _layout(handle)
    if layout == "members":
        yield from member_records(handle, piece.start, piece.end, max_block_bytes)
        return
    handle.seek(piece.start)
    pull = Pull(chunks(handle, kind), piece.start)
    try:
        yield from cut_records(pull, piece.end, max_block_bytes)
    except DamagedStream as damage:
        yield Bad(pull.row, damage.reason, damage.detail)


def _plain_points(handle: BinaryIO, step_bytes: int) -> Iterator[int]:
    """Where slices of a plain file begin: records, reached from one to the next by their lengths.

    After what is no record there is no further one: it would have to be guessed.
    """
    yield 0
    point = 0
    pull = Pull(chunks(handle, None))
    for record in cut_records(pull, None, 0):
        if isinstance(record, Bad):
            return
        if record.row >= point + step_bytes:
            point = record.row
            yield point
