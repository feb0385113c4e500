"""What a trace tells, as values: bounds are half-open, characters those of the stored text."""

from dataclasses import dataclass

from pipeline.explaining.story import Read

Bounds = tuple[int, int]  # from, below


@dataclass(frozen=True, slots=True)
class Document:
    """The document of a piece, as it is stored."""

    id: str | None
    key: str
    read: Read
    num_tokens: int  # of its own tokenisation, begin and end marks included
    num_chars: int


@dataclass(frozen=True, slots=True)
class TracedPiece:
    """Places `places` of a row, which are tokens `tokens` of a document."""

    places: Bounds
    tokens: Bounds
    key: str | None  # None: erased
    num_learned: int | None  # of its tokens; None: the row has no loss mask
    document: Document | None  # None: erased, or its text is no longer in the output
    characters: Bounds | None  # None: not known, or nothing but marks
    excerpt: str | None  # of the beginning of these characters


@dataclass(frozen=True, slots=True)
class TracedRow:
    """A row, and what its pieces are of."""

    part: str  # relative to the shard directory
    source: str
    split: str
    stratum: str | None
    row: int  # in the part
    number: int  # over all parts of source, split and stratum, as `train` counts
    num_tokens: int
    sequence_tokens: int
    num_pieces: int
    pieces: tuple[TracedPiece, ...]


@dataclass(frozen=True, slots=True)
class TracedToken:
    """One token of a row, and the text around it."""

    place: int  # in the row
    token: int  # in its document
    id: int
    name: str | None  # as the vocabulary has it
    is_learned: bool
    characters: Bounds | None  # None: a begin or end mark, or not known
    bytes: Bounds | None  # of the stored text as UTF-8; None: not known
    before: str
    text: str  # of these characters
    after: str
    note: str | None  # why the characters are not exact, or not known


@dataclass(frozen=True, slots=True)
class Traced:
    """A row with all its pieces; or one token, and `row.pieces` holds its piece alone."""

    row: TracedRow
    token: TracedToken | None = None
