"""Documents of several segments to token ids, and which of these are to be learned.

Each segment is encoded by itself, so that a mask never splits a token, and as plain text, so that
nothing that somebody wrote becomes a special token. A completion is learned with the end mark after
it; of a conversation what the assistant says is, with what follows of the chat template up to its
first special token, which is how a turn ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import PrepareError
from pipeline.segments import COMPLETION, LEARNED_ROLES, PROMPT, Segments, cut_out
from pipeline.shards import TokenizerIdentity
from pipeline.text.buffers import utf8
from pipeline.tokens.chat import SPACE, ChatTemplate, Content, TemplateError, read_template
from pipeline.tokens.config import TokenizerConfig
from pipeline.tokens.engines import Ragged, join, offsets_of, read_settings, without_prefix
from pipeline.tokens.resolve import TOKENIZER_FILE
from pipeline.tokens.tokenize import Tokenizer, Tokens

MAX_LAYOUTS = 10_000  # that are kept at a time; a conversation of many turns may be the only one


class Span(NamedTuple):
    """Tokens `first:last` of a document are bytes `begin:end` of its text.

    Before them they may spell a space that the chat template writes.
    """

    first: int
    last: int
    begin: int
    end: int


@dataclass(slots=True)
class _Layout:
    """What the documents with certain roles are made of: pieces, which are fixed or segments."""

    fixed: list[int] = field(default_factory=list)  # number of a fixed piece, or -1
    segment: list[int] = field(default_factory=list)  # number of a segment of the document, or -1
    learned: list[bool] = field(default_factory=list)
    contents: dict[int, Content] = field(default_factory=dict)  # by segment, in a template

    def add(self, fixed: int = -1, segment: int = -1, *, learned: bool = False) -> None:
        self.fixed.append(fixed)
        self.segment.append(segment)
        self.learned.append(learned)


class _Pieces(NamedTuple):
    """The pieces of all documents: entry e is `ids[which[e]]`, document i has a run of entries."""

    ids: Ragged
    which: np.ndarray  # int64
    learned: np.ndarray  # uint8
    offsets: np.ndarray  # (documents + 1,) int64
    num_fixed: int  # the rest of `ids` are the segments of all documents, in order
    begins: np.ndarray  # bytes of the text that are encoded of each segment
    ends: np.ndarray
    num_fallback: int
    num_mismatched: int


class SegmentTokenizer:
    """Encodes batches of documents with segments; one a process. Arguments as of `Tokenizer`."""

    def __init__(
        self, directory: Path, identity: TokenizerIdentity, config: TokenizerConfig
    ) -> None:
        self._directory, self._identity = directory, identity
        self._first = Tokenizer(directory, identity, config)
        self._later = self._first
        settings = read_settings(directory / TOKENIZER_FILE)
        further = without_prefix(settings)
        if further.text != settings.text:  # a text has other tokens at the beginning than later
            settings = further
            self._later = Tokenizer(directory, identity, config, continuing=True)
        self._special = _WithSpecial(settings.text)
        self._special_ids = np.array(sorted(settings.special.values()), np.int64)
        self._fixed: dict[tuple[int, ...], int] = {}  # numbers of the template's pieces, in order
        self._layouts: dict[tuple[str, ...], _Layout] = {}

    def encode(self, texts: pa.StringArray, segments: pa.ListArray) -> Tokens:
        """Ids of texts without nulls, and their mask; `segments` as `pipeline.segments` has them.

        Raises `PrepareError` for a conversation that the chat template refuses.
        """
        pieces = self._pieces(texts, Segments.of(segments))
        lengths = np.diff(pieces.ids.offsets)[pieces.which]
        ends = offsets_of(lengths)
        begins = pieces.ids.offsets[pieces.which]
        places = np.repeat(begins - ends[:-1], lengths) + np.arange(ends[-1])
        return Tokens(
            pieces.ids.ids[places].astype(self._first.dtype),
            ends[pieces.offsets],
            pieces.num_fallback,
            pieces.num_mismatched,
            np.repeat(pieces.learned, lengths),
        )

    def spans(self, text: str, segments: pa.ListArray) -> list[Span]:
        """Where the segments of one document stand among its tokens, in their order."""
        pieces = self._pieces(pa.array([text], pa.string()), Segments.of(segments))
        ends = offsets_of(np.diff(pieces.ids.offsets)[pieces.which])
        found = []
        for entry in np.flatnonzero(pieces.which >= pieces.num_fixed).tolist():
            number = int(pieces.which[entry]) - pieces.num_fixed
            bounds = int(pieces.begins[number]), int(pieces.ends[number])
            found.append(Span(int(ends[entry]), int(ends[entry + 1]), *bounds))
        return found

    def _pieces(self, texts: pa.StringArray, segments: Segments) -> _Pieces:
        codes, layouts = self._layouts_of(segments)
        begins, ends = segments.begins.copy(), segments.ends.copy()
        is_first, spaced = np.zeros((2, len(begins)), bool)
        sizes = np.array([len(layout.fixed) for layout in layouts], np.int64)[codes]
        offsets = offsets_of(sizes)
        which, learned = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.uint8)
        num_fixed = len(self._fixed)
        for code, layout in enumerate(layouts):
            documents = np.flatnonzero(codes == code)
            own = segments.offsets[documents][:, None]
            places = offsets[documents][:, None] + np.arange(len(layout.fixed))
            fixed = np.array(layout.fixed)
            which[places] = np.where(fixed >= 0, fixed, num_fixed + own + np.array(layout.segment))
            learned[places] = layout.learned
            if layout.segment[:1] == [0]:
                is_first[own[:, 0]] = True
            for number, content in layout.contents.items():
                _strip(texts, segments, own[:, 0] + number, content, begins, ends)
                spaced[own[:, 0] + number] = content.spaced
        first = utf8(texts).offsets[:-1].astype(np.int64)[segments.documents]
        parts = cut_out(texts, first + begins, first + ends)
        if spaced.any():
            spaces = pc.if_else(pa.array(spaced), SPACE, "")
            parts = pc.binary_join_element_wise(spaces, parts, "")
        contents, num_fallback, num_mismatched = self._contents(parts, is_first)
        lengths = np.array([len(ids) for ids in self._fixed], np.int64)
        flat = np.fromiter(chain.from_iterable(self._fixed), np.uint32)
        ids = join([Ragged(flat, offsets_of(lengths)), contents])
        return _Pieces(
            ids, which, learned, offsets, num_fixed, begins, ends, num_fallback, num_mismatched
        )

    def _contents(self, parts: pa.StringArray, is_first: np.ndarray) -> tuple[Ragged, int, int]:
        """The ids of all segments; those at the beginning of a document as such."""
        if self._later is self._first or not is_first.any():
            return self._later.plain(parts)
        groups = [np.flatnonzero(is_first), np.flatnonzero(~is_first)]
        made = [
            tokenizer.plain(parts.take(pa.array(rows)))
            for tokenizer, rows in zip((self._first, self._later), groups, strict=True)
        ]
        both = join([each.ids for each in made])
        order = np.argsort(np.concatenate(groups))
        lengths = np.diff(both.offsets)[order]
        places = np.repeat(both.offsets[order] - offsets_of(lengths)[:-1], lengths)
        ids = Ragged(both.ids[places + np.arange(len(places))], offsets_of(lengths))
        return ids, sum(m.num_fallback for m in made), sum(m.num_mismatched for m in made)

    def _layouts_of(self, segments: Segments) -> tuple[np.ndarray, list[_Layout]]:
        """The layout of each document by number; as many layouts as there are rows of roles."""
        codes, rows = segments.role_rows()
        if len(self._layouts) > MAX_LAYOUTS:
            self._layouts.clear()
        return codes, [self._layout(roles) for roles in rows]

    def _layout(self, roles: tuple[str, ...]) -> _Layout:
        if roles not in self._layouts:
            make = self._pair if roles == (PROMPT, COMPLETION) else self._conversation
            self._layouts[roles] = make(roles)
        return self._layouts[roles]

    def _pair(self, roles: Sequence[str]) -> _Layout:
        layout = _Layout()
        bos, eos = self._first.marks
        if bos is not None:
            layout.add(self._add_fixed([bos]))
        for number, role in enumerate(roles):
            layout.add(segment=number, learned=role in LEARNED_ROLES)
        if eos is not None:
            layout.add(self._add_fixed([eos]), learned=True)
        return layout

    def _conversation(self, roles: Sequence[str]) -> _Layout:
        """As the chat template has it; marks are added where it has none of its own."""
        try:
            parts = list(self._template.parts(roles))
        except TemplateError as exc:
            raise PrepareError(
                f"{self._directory}: the chat template refuses a conversation of the roles "
                f"{', '.join(roles)}: {exc}; change these rows, or name another tokenizer"
            ) from exc
        layout = _Layout()
        bos, eos = self._first.marks
        ids: list[int] = []
        answered = False  # whether what stands before is an answer
        for at, part in enumerate(parts):
            if isinstance(part, Content):
                answered = roles[part.message] in LEARNED_ROLES
                layout.add(segment=part.message, learned=answered)
                layout.contents[part.message] = part
                continue
            ids = self._special(part)
            if at == 0 and bos is not None and ids[:1] != [self._identity.bos_id]:
                ids = [bos, *ids]
            end = self._turn_end(ids) if answered else 0
            if end:
                layout.add(self._add_fixed(ids[:end]), learned=True)
            if ids[end:]:
                layout.add(self._add_fixed(ids[end:]))
        if eos is not None and eos not in ids:
            layout.add(self._add_fixed([eos]), learned=answered)
        return layout

    def _turn_end(self, ids: Sequence[int]) -> int:
        """How many of the tokens after an answer end it: to the first special one, or none."""
        found = np.flatnonzero(np.isin(ids, self._special_ids))
        return int(found[0]) + 1 if len(found) else 0

    def _add_fixed(self, ids: Sequence[int]) -> int:
        return self._fixed.setdefault(tuple(ids), len(self._fixed))

    @cached_property
    def _template(self) -> ChatTemplate:
        return read_template(self._directory)


class _WithSpecial:
    """Encodes text of a template, in which special tokens are meant."""

    def __init__(self, settings: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(settings)

    def __call__(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _strip(
    texts: pa.StringArray,
    segments: Segments,
    numbers: np.ndarray,
    content: Content,
    begins: np.ndarray,
    ends: np.ndarray,
) -> None:
    """Move the bounds of some segments over the white space at their sides."""
    if not (content.strip_left or content.strip_right):
        return
    first = utf8(texts).offsets[:-1].astype(np.int64)[segments.documents][numbers]
    parts = cut_out(texts, first + begins[numbers], first + ends[numbers])
    if content.strip_left:
        begins[numbers] = ends[numbers] - _sizes(pc.utf8_ltrim_whitespace(parts))
    if content.strip_right:
        kept = _sizes(pc.utf8_rtrim_whitespace(parts))
        ends[numbers] = np.maximum(begins[numbers], segments.begins[numbers] + kept)


def _sizes(values: pa.StringArray) -> np.ndarray:
    return np.diff(utf8(values).offsets).astype(np.int64)
