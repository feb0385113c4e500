"""The texts that a reference language model is trained on, and those that it is judged by."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from pipeline.errors import PrepareError, SourceError, UsageError
from pipeline.files import read_json
from pipeline.graph.pack import surviving
from pipeline.keys import hash_values
from pipeline.records import Records, fingerprint
from pipeline.removals import ROW_BITS, Removals, read_removals
from pipeline.sources.config import SourceConfig
from pipeline.sources.protocol import Reader
from pipeline.sources.registry import open_reader
from pipeline.splits import validation_mask

LANGUAGE = "language.language"  # the signal of the filter `language`
MAX_TEXT_BYTES = 100_000_000  # of a document of --text


class Parts(NamedTuple):
    """Texts of a batch: to train on, and held out by the hash of the text."""

    train: pa.StringArray
    held_out: pa.StringArray


class Corpus(Protocol):
    """Texts that can be read more than once."""

    def batches(self, held_out_fraction: float) -> Iterator[Parts]: ...

    def describe(self) -> dict[str, Any]:
        """What the model's card says of it."""
        ...


@dataclass(frozen=True, slots=True)
class PreparedCorpus:
    """The documents of a finished output that filters kept and deduplication did not remove.

    A document that validates is held out, as long as no less is held out than validates: both go by
    the hash of the text.
    """

    out: Path
    sources: tuple[str, ...]  # none: all
    language: str | None

    def batches(self, held_out_fraction: float) -> Iterator[Parts]:
        for kept, removals in self._files():
            for batch in surviving(kept, removals):
                chosen = _in_language(batch, self.language, kept)
                yield _parts(chosen["text"], chosen["text_hash"], held_out_fraction)

    def describe(self) -> dict[str, Any]:
        run = self._run()
        manifest = yaml.safe_load((self.out / "manifest.yaml").read_text(encoding="utf-8"))
        named = [source["name"] for source in manifest["sources"]]
        self._require_known(set(named))
        return {
            "corpus": manifest["name"],
            "sources": sorted(self.sources or named),
            "language": self.language,
            "fingerprint": fingerprint(run["refine"], run["deduplicate"]),
        }

    def _run(self) -> dict[str, list[str]]:
        path = self.out / "run.json"
        if not path.is_file():
            raise UsageError(
                f"{self.out}: no finished output of `prepare run` here (no run.json); "
                "want the manifest's `output`, or --text FILE"
            )
        names: dict[str, list[str]] = read_json(path)
        return names

    def _files(self) -> Iterator[tuple[Path, Removals]]:
        """Each refined file of the wanted sources, and the removals of its rows."""
        record = Records(self.out, "deduplicate").read(self._run()["deduplicate"][0])
        if record is None:
            raise PrepareError(f"{self.out}: the record of deduplication is gone; run it again")
        table = record["outputs"]["removals"]["path"]
        with pa.memory_map(str(self.out / table)) as source:
            files = pa.ipc.open_file(source).read_all()["doc"].to_numpy() >> np.uint64(ROW_BITS)
        listed = (self.out / table).with_name("files.arrow")
        with pa.memory_map(str(listed)) as source:
            kept = pa.ipc.open_file(source).read_all()["kept"].to_pylist()
        self._require_known({Path(path).parent.name for path in kept})
        for number, path in enumerate(kept):
            if self.sources and Path(path).parent.name not in self.sources:
                continue
            first, last = np.searchsorted(files, [number, number + 1]).tolist()
            yield self.out / path, read_removals(self.out, table, first, last)

    def _require_known(self, known: set[str]) -> None:
        for source in self.sources:
            if source not in known:
                raise UsageError(
                    f"--source: got {source!r}, want of {', '.join(sorted(known)) or 'none'}, "
                    f"the sources of {self.out} with documents"
                )


@dataclass(frozen=True, slots=True)
class TextCorpus:
    """Text files, plain or compressed; a line or a file is one document."""

    paths: tuple[str, ...]
    per: str
    language: str | None

    def batches(self, held_out_fraction: float) -> Iterator[Parts]:
        reader = self._reader()
        for file in reader.inputs():
            for piece in reader.split(file):
                for rows in reader.read(piece):
                    if rows.quarantined.num_rows:
                        bad = rows.quarantined.slice(0, 1).to_pylist()[0]
                        raise SourceError(
                            f"{bad['source_path']} at {bad['source_row']}: {bad['detail']}; "
                            "want UTF-8 text"
                        )
                    texts = rows.documents["text"]
                    yield _parts(texts, hash_values(texts), held_out_fraction)

    def describe(self) -> dict[str, Any]:
        self._reader().inputs()  # raises where there is no such file
        return {
            "corpus": [Path(path).name for path in self.paths],
            "sources": [],
            "language": self.language,
            "fingerprint": None,
        }

    def _reader(self) -> Reader:
        config = SourceConfig.model_validate(
            {"name": "text", "format": "text", "paths": self.paths, "per": self.per}
        )
        return open_reader(config, Path.cwd(), MAX_TEXT_BYTES)


def _parts(texts: pa.StringArray, hashes: pa.FixedSizeBinaryArray, fraction: float) -> Parts:
    held_out = validation_mask(hashes, fraction)
    return Parts(texts.filter(pa.array(~held_out)), texts.filter(pa.array(held_out)))


def _in_language(batch: pa.RecordBatch, language: str | None, path: Path) -> pa.RecordBatch:
    """The documents of a language; all where none is asked for."""
    if language is None:
        return batch
    if LANGUAGE not in batch.schema.names:
        raise UsageError(
            f"--language: got {language!r}, and {path} has no column {LANGUAGE}; want the filter "
            "`language` in the manifest, or no --language"
        )
    return batch.filter(pc.fill_null(pc.equal(batch[LANGUAGE], language), False))
