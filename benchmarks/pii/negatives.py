"""False positives on what looks like PII and is not, collected from a corpus.

Each collector is a notation that by its context is no personal data: a version, a section number, a
hash. Lines in which it stands are taken, once each; a false positive is a span of a tool that
touches the notation itself, so that a real address elsewhere on the line is not held against it.
The lines of a collector are joined to documents of some 4 KB, as long as those of the corpus.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.filters import sample
from benchmarks.pii.finders import headwater, peer
from benchmarks.pii.kinds import kind_of
from benchmarks.pii.labelled import SURE
from benchmarks.pii.notations import COLLECTORS
from benchmarks.pii.scores import Found
from pipeline.text.buffers import utf8
from pipeline.text.pii.registry import DEFAULT_KINDS

GOAL_PER_MB = 2.0
MAX_EXCERPT_BYTES = 200_000  # of one collector: dates are everywhere, object identifiers are not
DOCUMENT_BYTES = 4096
MAX_LINE_BYTES = 400  # longer ones are data, mostly
Place = tuple[int, int]
# Lives of people in dictionaries: there the dates would be somebody's
_IS_BIRTH = re.compile(rb"(?i)\bborn|birth|\bb\. |geboren|\*")
Table = list[tuple[str, ...]]


class Document(NamedTuple):
    """Excerpts of one collector, and where in characters the notations stand."""

    collector: str
    text: str
    places: list[Place]


class Hit(NamedTuple):
    """A false positive."""

    collector: str
    span: Found
    text: str


def collected(corpus: Path, megabytes: float) -> list[Document]:
    """The documents of all collectors."""
    data = [utf8(batch["text"]) for batch in sample(corpus, megabytes)]
    texts = (bytes(all_[a:b]) for offsets, all_ in data for a, b in pairwise(offsets))
    lines = dict.fromkeys(line for text in texts for line in text.split(b"\n"))
    text = b"\n".join([*(line for line in lines if len(line) <= MAX_LINE_BYTES), b""])
    return [
        document
        for name, pattern in COLLECTORS.items()
        for document in _documents(name, _excerpts(pattern, text))
    ]


def _excerpts(pattern: re.Pattern[bytes], text: bytes) -> Iterator[tuple[str, list[Place]]]:
    """Lines, and in characters where the notations stand in them."""
    size = 0
    spans = (match.span("no") for match in pattern.finditer(text))
    clear = (span for span in spans if not _is_in_address(text, *span))
    for begin, of_line in groupby(clear, lambda span: text.rfind(b"\n", 0, span[0]) + 1):
        places = list(of_line)
        line = text[begin : text.find(b"\n", places[-1][1])]
        if _IS_BIRTH.search(line):
            continue
        size += len(line)
        if size > MAX_EXCERPT_BYTES:
            return
        yield line.decode(), [(_width(line, a - begin), _width(line, b - begin)) for a, b in places]


def _width(line: bytes, place: int) -> int:
    """Characters before a byte."""
    return len(line[:place].decode(errors="ignore"))


def _is_in_address(text: bytes, begin: int, end: int) -> bool:
    """Whether it is a piece of an e-mail address or of a message's identifier."""
    around = text[max(0, begin - 64) : end + 64]
    before, after = around[: begin - max(0, begin - 64)], around[end - max(0, begin - 64) :]
    word = re.split(rb"\s", before)[-1] + re.split(rb"\s", after)[0]
    return b"@" in word


def _documents(name: str, excerpts: Iterator[tuple[str, list[Place]]]) -> Iterator[Document]:
    text = ""
    places: list[Place] = []
    for excerpt, of_line in excerpts:
        if len(text) > DOCUMENT_BYTES:
            yield Document(name, text, places)
            text, places = "", []
        places += [(len(text) + begin, len(text) + end) for begin, end in of_line]
        text += excerpt + "\n"
    if text:
        yield Document(name, text, places)


def hits(documents: Sequence[Document], founds: Sequence[Sequence[Found]]) -> list[Hit]:
    """Every span that touches a notation, once."""
    return [
        Hit(document.collector, span, document.text[span.begin : span.end])
        for document, found in zip(documents, founds, strict=True)
        for span in found
        if any(begin < span.end and span.begin < end for begin, end in document.places)
    ]


def measure(
    python: Path, corpus: Path, megabytes: float, folder: Path
) -> tuple[Table, dict[str, Any]]:
    """The table, its first row the header, and the counts behind it.

    Headwater's false positives go to `folder`, to be looked at: none is personal data.
    """
    documents = collected(corpus, megabytes)
    texts = [document.text for document in documents]
    size = sum(len(text.encode()) for text in texts) / 1e6
    founds = {"Headwater": headwater(texts, DEFAULT_KINDS)}
    for name, tool in (("presidio", "Presidio"), ("datatrove", "datatrove")):
        spans = peer(python, name, texts)
        founds[tool] = [[s._replace(kind=kind_of(s.kind)) for s in found] for found in spans]
    sure = [[span for span in found if span.score >= SURE] for found in founds["Presidio"]]
    founds[f"Presidio ≥ {SURE}"] = sure
    found = {tool: hits(documents, spans) for tool, spans in founds.items()}
    with (folder / "false-positives.jsonl").open("w", encoding="utf-8") as handle:
        for collector, span, text in found["Headwater"]:
            fault = {"collector": collector, "kind": span.kind, "value": text}
            handle.write(json.dumps(fault, ensure_ascii=False) + "\n")
    raw = {
        "megabytes": size,
        "num_notations": _sizes(documents),
        "num_false_positives": {tool: _counted(each) for tool, each in found.items()},
    }
    return _table(size, documents, found), raw


def _sizes(documents: Sequence[Document]) -> dict[str, int]:
    sizes = dict.fromkeys(COLLECTORS, 0)
    for document in documents:
        sizes[document.collector] += len(document.places)
    return sizes


def _counted(found: Sequence[Hit]) -> dict[str, dict[str, int]]:
    """By kind and collector."""
    counts: dict[str, dict[str, int]] = {}
    for hit in found:
        of_kind = counts.setdefault(hit.span.kind, {})
        of_kind[hit.collector] = of_kind.get(hit.collector, 0) + 1
    return counts


def _table(size: float, documents: Sequence[Document], found: Mapping[str, Sequence[Hit]]) -> Table:
    """Per MB by kind, then all together with the goal, then what was collected."""
    by_tool = {tool: _counted(each) for tool, each in found.items()}
    kinds = sorted({kind for counts in by_tool.values() for kind in counts}.union(DEFAULT_KINDS))
    rows: Table = [("false positives per MB", *found, "goal", "Headwater's stand in")]
    for kind in kinds:
        numbers = [sum(counts.get(kind, {}).values()) for counts in by_tool.values()]
        where = ", ".join(f"{name} {n}" for name, n in by_tool["Headwater"].get(kind, {}).items())
        rows.append((kind, *(f"{number / size:.2f}" for number in numbers), "", where))
    totals = [len(each) / size for each in found.values()]
    rows.append(("all kinds", *(f"{t:.2f}" for t in totals), f"< {GOAL_PER_MB:.0f}", ""))
    sizes = ", ".join(f"{name} {number:,}" for name, number in _sizes(documents).items())
    rows.append((f"in {size:.1f} MB: {sizes}", *("" for _ in found), "", ""))
    return rows
