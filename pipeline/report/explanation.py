"""What `prepare explain` prints of a document: a line or a few for each thing that was done to it.

Whatever came with the data passes `visible`, so that nothing of it acts on the terminal.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from pipeline.explaining.duplication import MAX_LISTED, MAX_VERIFIED, Candidate, Other, Removal
from pipeline.explaining.finding import Place, Unknown
from pipeline.explaining.judging import DROPPED, NOT_REACHED, PASSED, UNFITTED, Check, Verdict
from pipeline.explaining.packed import Piece
from pipeline.explaining.story import EXCERPT_CHARS, Deduplication, Read, Story
from pipeline.removals import LEAKS
from pipeline.report.changes import cleaning
from pipeline.report.visible import visible, visible_lines
from pipeline.sources.schema import REASONS

LABEL_CHARS = 13
KEY_CHARS = 12  # of a key in a list; the whole one is told of the document itself
MAX_PIECES = 10
MAX_VALUE_CHARS = 200
BAD, GOOD, FAINT = "bold red", "green", "dim"

Line = tuple[str, str | Text]  # label, what is said


def print_story(story: Story, console: Console) -> None:
    """All of one document."""
    console.print(_headline(story), soft_wrap=True, highlight=False)
    for label, said in _lines(story):
        text = said if isinstance(said, Text) else Text(said)
        line = Text(f"  {label:<{LABEL_CHARS}}").append_text(text)
        console.print(line, soft_wrap=True, highlight=False)


def print_unknown(name: str, unknown: Unknown, console: Console) -> None:
    """What may help where no document has that name."""
    lines = [f"{visible(name)}: no document has this id, place or key."]
    if unknown.close:
        lines.append(f"  Ids like it: {', '.join(map(visible, unknown.close))}")
    for source, num_documents, first in unknown.sources:
        example = f", with ids as {visible(first)}" if first is not None else ""
        lines.append(f"  {source}: {num_documents:,} documents{example}")
    num_quarantined, names = unknown.quarantined
    if num_quarantined:
        named = ", ".join(map(visible, names))
        more = ", ..." if num_quarantined > len(names) else ""
        lines.append(
            f"  {num_quarantined:,} rows are quarantined; they have no id but <path>#<row>: "
            f"{named}{more}"
        )
    lines.append("  Want an id, <path>#<row>, or at least 8 hex digits of a key.")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def print_ambiguous(
    name: str, heads: Sequence[tuple[Place, str, str]], num_found: int, console: Console
) -> None:
    """The first of the documents whose keys begin alike: each with its key and id."""
    lines = [f"{visible(name)}: {num_found:,} documents have keys that begin so; want one of"]
    lines += [f"  {key}  {place.item.source}  {visible(found)}" for place, key, found in heads]
    if num_found > len(heads):
        lines.append(f"  ... and {num_found - len(heads):,} more")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _headline(story: Story) -> Text:
    name = story.id if story.id is not None else f"{story.read.path}#{story.read.row}"
    text = Text(visible(name), "bold").append(": ", "")
    if story.quarantine is not None:
        return text.append(f"quarantined, {story.quarantine.reason}", BAD)
    if story.drop is not None:
        return text.append(f"dropped by {story.drop.rule}{_against(story.drop)}", BAD)
    removal = story.deduplication.removal if story.deduplication else None
    if removal is not None:
        said = f"removed, {removal.rule} of {who(removal.survivor)}, {similarity(removal)}"
        return text.append(said, BAD)
    stratum = story.pieces[0].stratum if story.pieces else None
    where = story.split or ""
    return text.append(f"kept, packed for {where}{f'/{stratum}' if stratum else ''}", GOOD)


def _lines(story: Story) -> Iterator[Line]:
    read = story.read
    yield "read", where_read(read)
    if read.url is not None:
        yield "", visible(read.url)
    if story.quarantine is not None:
        yield from _quarantined(story)
        return
    yield "key", f"{story.key}, text hash {story.text_hash}"
    yield "stored text", f"{story.num_bytes:,} bytes, {story.num_chars:,} characters"
    yield "clean", cleaning(story.cleaned or {}) or "nothing to change"
    yield "pii", _counts(story.pii) or "none found"
    if story.edited:
        yield "edits", _counts(story.edited)
    for place, signals in (story.decontaminated or {}).items():
        told = ", ".join(f"{key} {_value(value)}" for key, value in signals.items())
        yield "overlap", f"with {visible(place)}: {told}"
    yield from _filters(story)
    for name, value in (story.other_signals or {}).items():
        yield "signal", f"{visible(name)} {_value(value)}"
    if story.deduplication is not None:
        yield from _deduplication(story.deduplication, story.split)
        yield from _packed(story)
    yield from _excerpt(story)


def where_read(read: Read) -> str:
    """Source, file and row of a document."""
    where = f"byte {read.row:,} of the decompressed file" if read.is_offset else f"row {read.row:,}"
    if read.format == "warc":
        where = f"the record at {read.row:,}"
    return f"source {read.source}: {visible(read.path)}#{read.row}, that is {where}"


def _quarantined(story: Story) -> Iterator[Line]:
    assert story.quarantine is not None
    reason = story.quarantine.reason
    yield "reason", f"{reason}: {REASONS.get(reason, 'no known reason')}"
    yield "detail", visible(story.quarantine.detail)
    size = story.quarantine.num_raw_bytes
    yield "raw", "no bytes of it are kept" if size is None else f"{size:,} bytes, not shown"


def _counts(counts: Mapping[str, int] | None) -> str:
    return ", ".join(f"{visible(name)} {number:,}" for name, number in (counts or {}).items())


def _filters(story: Story) -> Iterator[Line]:
    if not story.filters:
        yield "filters", "none"
    width = max((len(v.filter) for v in story.filters), default=0)
    styles = {PASSED: GOOD, DROPPED: BAD, NOT_REACHED: FAINT, UNFITTED: FAINT}
    words = {PASSED: "pass", DROPPED: "DROP", NOT_REACHED: "not reached", UNFITTED: "not fitted"}
    if story.drop is not None and story.drop.rule == "empty":
        yield "empty", "nothing was left of the text, so no filter was asked"
    for number, verdict in enumerate(story.filters):
        label = "filters" if number == 0 else ""
        text = Text(f"{verdict.filter:<{width}}  ")
        text.append(words[verdict.state], styles[verdict.state])
        if verdict.state == DROPPED and story.drop is not None:
            text.append(f"  by {story.drop.rule}{_against(story.drop)}")
        elif verdict.state == NOT_REACHED and verdict.rule is not None:
            text.append(f"  (alone it would drop it by {verdict.rule}{_against(verdict)})", FAINT)
        yield label, text
        if verdict.parameters:
            yield "", Text(f"{'':<{width}}    with {_parameters(verdict)}", FAINT)
        for check in verdict.checks:
            yield "", _check(check, verdict, width)


def _parameters(verdict: Verdict) -> str:
    """As the manifest gives them, or as they were fitted."""
    told = (
        f"{name} {json.dumps(value, ensure_ascii=False, default=str)}"
        for name, value in verdict.parameters.items()
    )
    return _shortened(visible(", ".join(told)))


def _check(check: Check, verdict: Verdict, indent: int) -> Text:
    limits = [limit for limit in (check.minimum, check.maximum) if limit is not None]
    style = FAINT if not check.is_bounded else "" if check.is_inside else BAD
    text = Text(f"{'':<{indent}}    {visible(check.signal)} ")
    text.append(_value(check.value, *limits), style)
    if check.minimum is not None and check.maximum is not None:
        text.append(f", want {number(check.minimum)}..{number(check.maximum)}", FAINT)
    elif check.minimum is not None:
        text.append(f", want >= {number(check.minimum)}", FAINT)
    elif check.maximum is not None:
        text.append(f", want <= {number(check.maximum)}", FAINT)
    if check.is_bounded and not check.is_inside:
        text.append("  outside", BAD)
    return text


def _deduplication(found: Deduplication, split: str | None) -> Iterator[Line]:
    removal = found.removal
    if removal is not None:
        kind, other = "removed for", ""
        if removal.rule in LEAKS:
            kind = f"left {split}, too similar to"
            other = ", which trains" if split == "validation" else ", which validates"
        yield "duplicates", f"{kind} {who(removal.survivor)}{other}"
        yield "", f"{similarity(removal)}, rule {removal.rule}"
    elif not found.num_removed_for_it:
        yield "duplicates", "removed for none, and none removed for it"
    if found.num_removed_for_it:
        label = "duplicates" if removal is None else ""
        listed = len(found.removed_for_it)
        first = f"; the {listed} most similar" if found.num_removed_for_it > listed else ""
        yield label, f"{found.num_removed_for_it:,} removed for it{first}:"
        for each in found.removed_for_it:
            yield "", f"  {each.similarity:.3f}  {each.rule}  {who(each.removed)}"
    yield from _candidates(found)


def _candidates(found: Deduplication) -> Iterator[Line]:
    """Documents that share a bucket, and are not told already."""
    told = {each.removed.doc for each in found.removed_for_it}
    if found.removal is not None:
        told.add(found.removal.survivor.doc)
    rest = [each for each in found.candidates.listed if each.other.doc not in told]
    if not rest:
        return
    num_found = found.candidates.num_found
    compared = f"; of {num_found:,} the {MAX_VERIFIED} that share most are compared"
    note = compared if num_found > MAX_VERIFIED else ""
    yield "candidates", f"share a bucket with it; similarity computed now{note}"
    for each in rest[:MAX_LISTED]:
        yield "", _candidate(each)


def _candidate(each: Candidate) -> str:
    fate = "removed" if each.is_removed else "stays"
    buckets = "bucket" if each.num_buckets == 1 else "buckets"
    head = f"  {each.similarity:.3f}  {each.num_buckets} {buckets}, {fate}"
    return f"{head}  {who(each.other)}"


def _packed(story: Story) -> Iterator[Line]:
    removal = story.deduplication.removal if story.deduplication else None
    if removal is not None:
        yield "split", f"none: it left (by its hash it is of {story.split})"
        return
    yield "split", story.split or ""
    num_tokens = sum(piece.end - piece.start for piece in story.pieces)
    strata = sorted({piece.stratum for piece in story.pieces if piece.stratum is not None})
    within = f", stratum {', '.join(strata)}" if strata else ""
    pieces = "piece" if len(story.pieces) == 1 else "pieces"
    yield "shards", f"{num_tokens:,} tokens in {len(story.pieces):,} {pieces}{within}"
    for piece in story.pieces[:MAX_PIECES]:
        yield "", _piece(piece)
    if len(story.pieces) > MAX_PIECES:
        yield "", f"  ... and {len(story.pieces) - MAX_PIECES:,} more"


def _piece(piece: Piece) -> str:
    last = piece.first_token + piece.end - piece.start
    also = "" if piece.number == piece.row else f" ({piece.number:,} over all parts)"
    learned = "" if piece.num_learned is None else f", {piece.num_learned:,} of them learned"
    return (
        f"  shards/{piece.part} row {piece.row:,}{also}, places {piece.start}..{piece.end - 1}: "
        f"its tokens {piece.first_token:,}..{last - 1:,}{learned}"
    )


def _excerpt(story: Story) -> Iterator[Line]:
    if not story.excerpt:
        return
    whole = (story.num_chars or 0) <= EXCERPT_CHARS
    yield "text", "" if whole else f"the first {EXCERPT_CHARS} characters, as stored"
    for line in visible_lines(story.excerpt):
        yield "", Text(f"| {line}", FAINT)


def who(other: Other) -> str:
    """A document by id, source and the beginning of its key; or by its corpus in the index."""
    name = visible(other.id) if other.id is not None else "a document"
    if other.corpus is not None:
        return f"{name} in corpus {visible(other.corpus)} (key {other.key[:KEY_CHARS]})"
    return f"{name} ({other.source}, key {other.key[:KEY_CHARS]})"


def similarity(removal: Removal) -> str:
    """The similarity, what it was compared with, and how it was found."""
    value = number(removal.similarity, removal.threshold)
    how = f" ({removal.method})" if removal.method is not None else ""
    return f"similarity {value} >= {number(removal.threshold)}{how}"


def _against(drop: Any) -> str:
    """` (value against threshold)` of a drop or a verdict, as far as they are numbers."""
    if drop.value is None:
        return ""
    if drop.threshold is None:
        return f" ({number(drop.value)})"
    sign = "<" if drop.value < drop.threshold else ">" if drop.value > drop.threshold else ">="
    return f" ({number(drop.value, drop.threshold)} {sign} {number(drop.threshold)})"


def _value(value: object, *limits: float) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value, *limits)
    return _shortened(visible("none" if value is None else str(value)))


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]} ..."


def number(value: float, *others: float) -> str:
    """A number, in as many digits as tell it from the others."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    for digits in (4, 6, 9, 12):
        text = f"{value:.{digits}g}"
        if all(f"{float(other):.{digits}g}" != text or other == value for other in others):
            return text
    return repr(value)
