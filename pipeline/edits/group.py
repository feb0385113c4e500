"""One group of texts: the rows of its lines, paragraphs and substrings for the shuffle.

All three kinds use one order of rank, `dedup.survivor` as far as it is known before anything is
measured: `priority` and `longest`, then the text's hash. Wherever a word is cut, an equal line or
window stands in a text that ranks better, or earlier in the same one; if that is cut in turn, by
another kind, the same holds for it. Ranks only improve on the way, so it ends: each cut word stands
in the output once at least, in the midst of the same line or window.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from pipeline.arrow import num_value_bytes
from pipeline.dedup.policy import NamedRule, SignalRule
from pipeline.dedup.ranks import policy_rank
from pipeline.edits.config import EditsConfig
from pipeline.edits.substrings import CutRows, cut_rows, repeats
from pipeline.edits.units import UNIT_KINDS, UnitKind, UnitRows, unit_rows, units
from pipeline.keys import hash_values, key_words

EARLY_RULES: tuple[NamedRule, ...] = ("priority", "longest", "id")

Policy = Sequence[NamedRule | SignalRule]


class Texts(NamedTuple):
    """Distinct texts of one or several sources."""

    texts: pa.StringArray
    words: np.ndarray  # (n, 2) uint64: the text's hash
    rank_high: np.ndarray  # (n,) uint64: of the best copy
    rank_low: np.ndarray

    @classmethod
    def of(cls, texts: pa.StringArray, priority: np.ndarray, policy: Policy) -> Self:
        """The distinct ones of texts, each with the rank of its best copy, best first."""
        words = key_words(hash_values(texts)) if len(texts) else np.zeros((0, 2), np.uint64)
        rules = [rule for rule in policy if rule in EARLY_RULES]
        values = {"priority": priority, "longest": num_value_bytes(texts)}
        ranks = policy_rank(rules, words, values)
        order = np.lexsort((words[:, 1], words[:, 0], ranks.low, ranks.high))
        _, first = np.unique(words[order], axis=0, return_index=True)
        chosen = order[np.sort(first)]
        return cls(
            texts.take(pa.array(chosen)), words[chosen], ranks.high[chosen], ranks.low[chosen]
        )


class Group(NamedTuple):
    """Texts that are compared with each other, in parts of one source each."""

    parts: list[tuple[str, int, pa.StringArray]]  # source, its priority, texts without nulls

    def texts(self, policy: Policy) -> Texts:
        """The distinct texts of all sources."""
        arrays = [texts for _, _, texts in self.parts]
        priority = [np.full(len(texts), priority) for _, priority, texts in self.parts]
        joined = pa.concat_arrays([pa.array([], pa.string()), *arrays])
        return Texts.of(joined, np.concatenate([np.zeros(0, np.int64), *priority]), policy)

    def by_source(self) -> dict[str, "Group"]:
        """The parts of each source."""
        found: dict[str, Group] = {}
        for part in self.parts:
            found.setdefault(part[0], Group([])).parts.append(part)
        return found


def rows_of(
    group: Group, config: EditsConfig, policy: Policy
) -> dict[str, list[UnitRows | CutRows]]:
    """For each kind that is asked for, its rows, in lists of rows that are sorted by key."""
    everything = group.texts(policy)
    rows: dict[str, list[UnitRows | CutRows]] = {}
    for kind in UNIT_KINDS:
        unit = getattr(config, kind)
        if unit is not None and unit.scope == "corpus":
            rows[kind] = [_unit_rows(everything, kind, config, "")]
        elif unit is not None:
            rows[kind] = [
                _unit_rows(part.texts(policy), kind, config, name)
                for name, part in group.by_source().items()
            ]
    if config.substrings is not None:
        order = np.arange(len(everything.words))  # best first already
        spans = repeats(everything.texts, order, config.substrings.min_tokens)
        rows["substrings"] = [cut_rows(spans, everything.words, everything[2:])]
    return rows


def _unit_rows(texts: Texts, kind: UnitKind, config: EditsConfig, source: str) -> UnitRows:
    unit = getattr(config, kind)
    found = units(texts.texts, kind, unit, source)
    return unit_rows(found, texts.words[:, 0], texts[2:], unit.max_documents)
