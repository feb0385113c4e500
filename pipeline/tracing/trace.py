"""From a row of the shards to its documents, and from a token to its characters.

The shards hold no text: the kept refined text is tokenised again, by the copy of the tokenizer in
the output, and what comes out must be what stands in the row. So every trace is a proof, too.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pipeline.errors import PrepareError, UsageError
from pipeline.explaining.output import Output
from pipeline.shards import ShardIndex, find_shards, read_index
from pipeline.tracing.documents import Documents, Tokenised
from pipeline.tracing.rows import PackedRow, RowPlace, locate, read_row
from pipeline.tracing.traced import Bounds, Traced, TracedPiece, TracedRow, TracedToken

CONTEXT_CHARS = 120  # on each side of a token
EXCERPT_CHARS = 160


class Tracer:
    """Traces rows of one finished output. Raises `ShardError` where its shards are incomplete."""

    def __init__(self, output: Output) -> None:
        self.index: ShardIndex = read_index(output.out)
        self._folder = find_shards(output.out)
        self.documents = Documents(output, self.index.tokenizer)

    def places(self) -> Iterator[RowPlace]:
        """All rows of all parts, in the order of the index."""
        for shard in self.index.shards:
            for row in range(shard.num_rows):
                yield locate(self.index, row, source=None, part=f"shards/{shard.path}")

    def row(self, place: RowPlace) -> Traced:
        """Every piece of a row. Raises `PrepareError` where text and tokens do not agree."""
        packed = read_row(self._folder, place)
        return Traced(self._row(place, packed, range(len(packed.pieces)))[0])

    def token(self, place: RowPlace, number: int) -> Traced:
        """The token at place `number` of a row. Raises `UsageError` where there is none."""
        packed = read_row(self._folder, place)
        if not 0 <= number < packed.num_tokens:
            rest = "" if packed.num_tokens == len(packed.tokens) else "; the rest is padding"
            raise UsageError(f"--token: got {number}, want 0..{packed.num_tokens - 1}{rest}")
        starts = [piece.start for piece in packed.pieces]
        at = int(np.searchsorted(starts, number, side="right")) - 1
        row, documents = self._row(place, packed, [at])
        return Traced(row, self._token(packed, number, at, documents.get(packed.keys[at] or b"")))

    def _row(
        self, place: RowPlace, packed: PackedRow, numbers: Sequence[int]
    ) -> tuple[TracedRow, Mapping[bytes, Tokenised]]:
        """The row with some of its pieces, and the documents of these."""
        shard = place.shard
        keys = [key for number in numbers if (key := packed.keys[number]) is not None]
        documents = self.documents(keys, shard.source)
        for number in numbers:
            _check(place, packed, number, documents.get(packed.keys[number] or b""))
        pieces = (_piece(packed, n, documents.get(packed.keys[n] or b"")) for n in numbers)
        row = TracedRow(
            part=shard.path,
            source=shard.source,
            split=shard.split,
            stratum=shard.stratum,
            row=place.row,
            number=place.number,
            num_tokens=packed.num_tokens,
            sequence_tokens=len(packed.tokens),
            num_pieces=len(packed.pieces),
            pieces=tuple(pieces),
        )
        return row, documents

    def _token(
        self, packed: PackedRow, place: int, at: int, found: Tokenised | None
    ) -> TracedToken:
        piece, token_id = packed.pieces[at], int(packed.tokens[place])
        token = piece.first_token + place - piece.start
        before = text = after = ""
        characters = spelled = note = None
        if found is not None:
            spans = found.characters
            characters = _bounds(spans.begin, spans.end, token)
            spelled = _bounds(spans.byte_begin, spans.byte_end, token)
            note = spans.note
            begin, end = characters or _beside(spans.end, token)
            text = found.text[begin:end]
            before = found.text[max(0, begin - CONTEXT_CHARS) : begin]
            after = found.text[end : end + CONTEXT_CHARS]
        return TracedToken(
            place=place,
            token=token,
            id=token_id,
            name=self.documents.name(token_id),
            is_learned=packed.learned is None or bool(packed.learned[place]),
            characters=characters,
            bytes=spelled,
            before=before,
            text=text,
            after=after,
            note=note,
        )


def _check(place: RowPlace, packed: PackedRow, number: int, found: Tokenised | None) -> None:
    """The tokens of a piece are those that its document's text has now."""
    if found is None:
        return
    piece = packed.pieces[number]
    tokens = packed.tokens[piece.start : piece.end]
    again = found.ids[piece.first_token : piece.first_token + len(tokens)]
    if not np.array_equal(tokens, again):
        raise PrepareError(
            f"shards/{place.shard.path} row {place.row}, places {piece.start}..{piece.end - 1}: "
            f"got other tokens than the text of document {found.document.id} "
            f"(key {found.document.key}) has, from its token {piece.first_token} on; "
            "`prepare verify` tells whether a file is damaged, `prepare run` makes it anew"
        )


def _piece(packed: PackedRow, number: int, found: Tokenised | None) -> TracedPiece:
    piece, key = packed.pieces[number], packed.keys[number]
    places = (piece.start, piece.end)
    tokens = (piece.first_token, piece.first_token + piece.end - piece.start)
    characters = None if found is None else _reach(found, tokens)
    excerpt = None
    if found is not None and characters is not None:
        begin, end = characters
        excerpt = found.text[begin : min(end, begin + EXCERPT_CHARS)]
    return TracedPiece(
        places=places,
        tokens=tokens,
        key=None if key is None else key.hex(),
        num_learned=piece.num_learned,
        document=None if found is None else found.document,
        characters=characters,
        excerpt=excerpt,
    )


def _reach(found: Tokenised, tokens: Bounds) -> Bounds | None:
    """From the first character of some tokens to the last."""
    begin, end = (
        bounds[slice(*tokens)] for bounds in (found.characters.begin, found.characters.end)
    )
    known = begin >= 0
    return (int(begin[known].min()), int(end[known].max())) if known.any() else None


def _bounds(begin: np.ndarray | None, end: np.ndarray | None, token: int) -> Bounds | None:
    if begin is None or end is None or begin[token] < 0:
        return None
    return int(begin[token]), int(end[token])


def _beside(ends: np.ndarray, token: int) -> Bounds:
    """Where a mark stands: after the last character of the tokens before it."""
    before = ends[:token]
    at = max(0, int(before.max())) if len(before) else 0
    return at, at
