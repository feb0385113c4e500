"""Recall and precision on sentences of which it is known what stands in them."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.pii.finders import headwater, peer, run
from benchmarks.pii.kinds import GOALS, Goal, kind_of
from benchmarks.pii.scores import Found, Gold, Score, covers, is_right, scores, wilson

JUDGED_VALUES = (
    "phone",
    "ip",
    "credit_card",
)  # some of which are not valid, or nobody's: they have a row, too
SURE = 0.4  # of Presidio's scores: what a pattern finds without its context lies below
OURS = "Headwater"
Table = list[tuple[str, ...]]


class Sentence(NamedTuple):
    """A text and the values that were put into it."""

    text: str
    locale: str
    template: int
    golds: list[Gold]


def generated(python: Path, num_rounds: int, seed: int) -> list[Sentence]:
    """The sentences of `benchmarks/peers/pii_sentences.py`, their kinds named as Headwater does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sentences.jsonl"
        run(python, "pii_sentences.py", str(path), str(num_rounds), str(seed))
        with path.open(encoding="utf-8") as handle:
            return [_sentence(json.loads(line)) for line in handle]


def _sentence(row: Mapping[str, Any]) -> Sentence:
    golds = [Gold(begin, end, kind_of(kind), ok) for begin, end, kind, ok in row["spans"]]
    return Sentence(row["text"], row["locale"], row["template"], golds)


def measure(python: Path, num_rounds: int, seed: int, faults: Path) -> tuple[Table, dict[str, Any]]:
    """The table, its first row the header, and the counts behind it.

    What Headwater missed and found wrongly is written to `faults`, a JSON object a line: the
    sentences are made up, so nothing in them is to be hidden.
    """
    sentences = generated(python, num_rounds, seed)
    texts, golds = [s.text for s in sentences], [s.golds for s in sentences]
    ours = headwater(texts)
    presidio = [_renamed(found) for found in peer(python, "presidio", texts)]
    founds = {
        OURS: ours,
        "Presidio": presidio,
        f"Presidio ≥ {SURE}": [[s for s in found if s.score >= SURE] for found in presidio],
        "datatrove": peer(python, "datatrove", texts),
    }
    counts = {tool: scores(golds, found) for tool, found in founds.items()}
    with faults.open("w", encoding="utf-8") as handle:
        for fault in _faults(sentences, ours):
            handle.write(json.dumps(fault, ensure_ascii=False) + "\n")
    raw = {
        "num_sentences": len(sentences),
        "num_characters": sum(map(len, texts)),
        "locales": sorted({s.locale for s in sentences}),
        "scores": {
            tool: {kind: score._asdict() for kind, score in sorted(found.items())}
            for tool, found in counts.items()
        },
    }
    return [_header(tuple(founds)), *rows(counts)], raw


def _renamed(found: Sequence[Found]) -> list[Found]:
    return [span._replace(kind=kind_of(span.kind)) for span in found]


def _faults(
    sentences: Sequence[Sentence], founds: Sequence[Sequence[Found]]
) -> Iterator[dict[str, Any]]:
    for sentence, found in zip(sentences, founds, strict=True):
        missed = [g for g in sentence.golds if g.scored and not covers(found, g)]
        wrong = [span for span in found if is_right(sentence.golds, span) is False]
        for fault, spans in (("missed", missed), ("wrong", wrong)):
            for span in spans:
                value = sentence.text[span.begin : span.end]
                about = {"locale": sentence.locale, "value": value, "text": sentence.text}
                yield {"fault": fault, "kind": span.kind, **about}


def _header(tools: Sequence[str]) -> tuple[str, ...]:
    names = [f"{tool}: {what}" for tool in tools for what in ("recall", "precision")]
    return ("kind", "values", *names, "goal", "met")


def rows(counts: Mapping[str, Mapping[str, Score]]) -> Iterator[tuple[str, ...]]:
    """Of each label: values, what each tool has of them, the goal, whether the first meets it."""
    for label, goal in GOALS.items():
        of_tools = [found.get(kind_of(label), Score()) for found in counts.values()]
        cells = [cell for score in of_tools for cell in _cells(score)]
        yield (label, f"{of_tools[0].num_gold:,}", *cells, *_verdict(goal, of_tools[0]))
        if label in JUDGED_VALUES and of_tools[0].num_rest:
            shares = [
                cell
                for score in of_tools
                for cell in (_share(score.num_rest_recalled, score.num_rest), "")
            ]
            yield (f"  not valid: {label}", f"{of_tools[0].num_rest:,}", *shares, "", "")


def _cells(score: Score) -> tuple[str, str]:
    """Recall and precision, empty for a tool that found nothing of the kind."""
    if not score.num_right and not score.num_wrong:
        return "-", "-"
    return (
        _share(score.num_recalled, score.num_gold),
        _share(score.num_right, score.num_right + score.num_wrong),
    )


def _share(part: int, whole: int) -> str:
    """Thousandths, and Wilson's interval."""
    low, high = wilson(part, whole)
    return f"{part / max(whole, 1):.3f} [{low:.3f}, {high:.3f}]"


def _verdict(goal: Goal | None, score: Score) -> tuple[str, str]:
    if goal is None:
        return "none", ""
    met = score.recall >= goal.recall and score.precision >= goal.precision
    return f"{goal.recall}, {goal.precision}", "yes" if met else "**no**"
