"""What `prepare trace` prints: a row piece by piece, or one token with the text around it.

Whatever came with the data passes `visible`. Spans are printed with their last place included.
"""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from pipeline.report.explanation import where_read
from pipeline.report.visible import visible
from pipeline.tracing.traced import Bounds, Document, TracedPiece, TracedRow, TracedToken

LABEL_CHARS = 12
MAX_PIECES = 50
OPEN, CLOSE = "[[", "]]"  # around the token, with colours or without
FAINT, MARKED, ERASED = "dim", "bold red", "bold yellow"

Line = tuple[str, str | Text]


def print_row(row: TracedRow, console: Console) -> None:
    """A row, and a few lines of each of its pieces."""
    noun = "piece" if row.num_pieces == 1 else "pieces"
    said = f"{row.num_tokens:,} tokens of {row.sequence_tokens:,}, {row.num_pieces:,} {noun}"
    console.print(Text(_row_name(row), "bold").append(f": {said}", ""), soft_wrap=True)
    for piece in row.pieces[:MAX_PIECES]:
        head = Text(f"  {_span(piece.places)}  ").append_text(_document(piece))
        console.print(head, soft_wrap=True, highlight=False)
        for line in _piece_lines(piece):
            console.print(Text("      ").append_text(line), soft_wrap=True, highlight=False)
    if row.num_pieces > MAX_PIECES:
        left = row.num_pieces - MAX_PIECES
        console.print(f"  ... and {left:,} more: --json tells all", highlight=False)


def print_token(row: TracedRow, token: TracedToken, console: Console) -> None:
    """One token: its document, and where it stands in that document's text."""
    (piece,) = row.pieces
    head = Text(f"token {token.place} of {_row_name(row)}", "bold")
    head.append(f": {_quoted(token)}, id {token.id}", "")
    console.print(head, soft_wrap=True, highlight=False)
    for label, said in _token_lines(piece, token):
        line = Text(f"  {label:<{LABEL_CHARS}}")
        line.append_text(said if isinstance(said, Text) else Text(said))
        console.print(line, soft_wrap=True, highlight=False)


def _row_name(row: TracedRow) -> str:
    entry = row.source if row.stratum is None else f"{row.source}/{row.stratum}"
    return f"{visible(entry)}, {row.split}, row {row.number} (shards/{row.part} row {row.row})"


def _document(piece: TracedPiece) -> Text:
    if piece.key is None:
        return Text("erased", ERASED)
    if piece.document is None:
        return Text(f"document {piece.key}, whose text is no longer in the output", ERASED)
    name = _name(piece.document)
    return Text(name, "bold").append(f", key {piece.key}", "")


def _name(document: Document) -> str:
    return visible(document.id) if document.id is not None else "(no id)"


def _piece_lines(piece: TracedPiece) -> Iterator[Text]:
    learned = piece.num_learned
    masked = "" if learned is None else f", {learned:,} of them learned"
    if piece.document is None:
        yield Text(f"its tokens {_span(piece.tokens)}{masked}")
        return
    yield Text(where_read(piece.document.read))
    of = f"its tokens {_span(piece.tokens)} of {piece.document.num_tokens:,}{masked}"
    if piece.characters is not None:
        of += f"; characters {_span(piece.characters)} of {piece.document.num_chars:,}"
    yield Text(of)
    if piece.excerpt:
        yield Text(f"| {visible(piece.excerpt)}", FAINT)


def _token_lines(piece: TracedPiece, token: TracedToken) -> Iterator[Line]:
    document = piece.document
    yield "document", _document(piece)
    if document is not None:
        yield "read", where_read(document.read)
    of = "" if document is None else f" of {document.num_tokens:,}"
    masked = "" if token.is_learned else ", masked from the loss"
    yield "token", f"number {token.token:,}{of} of the document's own{masked}"
    if document is None:
        return
    yield "characters", _characters(token, document)
    if token.note is not None:
        yield "", token.note
    yield from _context(token)


def _characters(token: TracedToken, document: Document) -> str:
    if token.characters is None:
        if token.note is not None:
            return "none, or not known"
        ends = "begins" if token.token == 0 else "ends"
        return f"none: a mark where the document {ends}"
    told = f"{_span(token.characters)} of {document.num_chars:,}"
    if token.bytes is not None:
        num_bytes = token.bytes[1] - token.bytes[0]
        whole = len(token.text.encode())
        part = f", {num_bytes} of the {whole} bytes of these" if num_bytes < whole else ""
        told += f" (bytes {_span(token.bytes)}{part})"
    return told


def _context(token: TracedToken) -> Iterator[Line]:
    text = Text()
    text.append(visible(token.before), FAINT)
    text.append(f"{OPEN}{visible(token.text)}{CLOSE}", MARKED)
    text.append(visible(token.after), FAINT)
    yield "text", text


def _quoted(token: TracedToken) -> str:
    return "without a name" if token.name is None else f'"{visible(token.name)}"'


def _span(bounds: Bounds) -> str:
    return f"{bounds[0]:,}..{bounds[1] - 1:,}"
