"""A finished output as the report reads it: its counts and records, no document yet.

What an older version wrote has fewer counts, what was imported has shards alone, and files may be
gone: whatever is missing is empty here, and the page says less.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.errors import PrepareError
from pipeline.explaining.output import Output, open_output
from pipeline.files import read_json
from pipeline.finished import IMPORT_NAME, check_finished
from pipeline.inputs import RUN_NAME
from pipeline.ledger import Ledger, SourceLedger, from_json
from pipeline.manifest import Manifest
from pipeline.records import Record, Records
from pipeline.shards import Shard, ShardIndex, find_shards, read_index

STAGES = ("spool", "edits", "fit", "refine", "deduplicate", "tokenise", "stratify", "pack")
LEDGER, INPUTS = "ledger.json", "state/inputs.json"


@dataclass(frozen=True, slots=True)
class Finished:
    """What is known of an output without reading a document."""

    out: Path
    index: ShardIndex
    ledger: Ledger  # by source, in the order of the manifest; empty of an import
    run: Mapping[str, Any]
    records: Mapping[str, tuple[Record, ...]]  # by stage
    output: Output | None = None  # None: there are no texts, `why_no_texts`
    why_no_texts: str = ""
    imported: Mapping[str, Any] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest | None:
        """None of an import."""
        return None if self.output is None else self.output.plan.manifest

    @property
    def sources(self) -> list[str]:
        """All of them, those without documents among them."""
        return list(dict.fromkeys([*self.ledger, *(shard.source for shard in self.index.shards)]))

    @property
    def shards_folder(self) -> Path:
        return find_shards(self.out)

    def entry(self, source: str) -> SourceLedger:
        """The ledger of a source; zeros where there is none."""
        return self.ledger.get(source, SourceLedger())

    def shards_of(self, source: str, split: str | None = None) -> list[Shard]:
        return [s for s in self.index.shards if s.source == source and split in (None, s.split)]

    def num_tokens(self, source: str, split: str | None = None) -> int:
        """As the index counts them: erased ones are gone."""
        return sum(shard.num_tokens for shard in self.shards_of(source, split))


def open_finished(out: Path) -> Finished:
    """Raises `UsageError` where there is no finished output, `PrepareError` where it is damaged."""
    if (out / IMPORT_NAME).is_file():
        why = "`prepare import` made it: it has tokens, and no texts or stages behind them"
        imported = read_json(out / IMPORT_NAME)
        return Finished(out, read_index(out), {}, {}, {}, None, why, imported)
    check_finished(out)
    run = read_json(out / RUN_NAME)
    records = {stage: tuple(_read(out, stage, run.get(stage))) for stage in STAGES}
    index, ledger = read_index(out), _ledger(out)
    try:
        output = open_output(out)
    except PrepareError as error:
        return Finished(out, index, ledger, run, records, None, str(error))
    known = dict.fromkeys([*output.sources, *ledger])
    ordered = {source: ledger.get(source, SourceLedger()) for source in known}
    return Finished(out, index, ordered, run, records, output)


def _read(out: Path, stage: str, names: Iterable[str] | None) -> Iterable[Record]:
    """Records of the run; those of `spool` are not named, and there are no others."""
    store = Records(out, stage)
    if names is None:
        yield from store.all()
        return
    found = (store.read(name) for name in names)
    yield from (record for record in found if record is not None)


def _ledger(out: Path) -> Ledger:
    """With the counts that this version knows."""
    known = {one.name for one in fields(SourceLedger)}
    values = read_json(out / LEDGER)
    return from_json(
        {
            source: {name: count for name, count in entry.items() if name in known}
            for source, entry in values.items()
        }
    )
