"""What a run will do, as values: the plan that workers get, and the work items of `refine`."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filters.registry import describe
from pipeline.manifest import Manifest
from pipeline.records import Record, Records, code_fingerprint, fingerprint
from pipeline.sources.config import SourceConfig
from pipeline.sources.protocol import Input, Reader, Slice
from pipeline.sources.registry import open_reader

Place = tuple[str, str]  # source and path: two sources may read one file

SPOOL_BYTES = 8_000_000  # a larger file that cannot be split is read once into Arrow chunks
ITEM_BYTES = 16_000_000  # smaller files are grouped until they reach this


@dataclass(frozen=True, slots=True)
class Plan:
    """A manifest with its folders resolved; pickled to every worker."""

    manifest: Manifest
    base: Path
    out: Path

    def source(self, name: str) -> SourceConfig:
        return next(source for source in self.manifest.sources if source.name == name)

    def reader(self, name: str) -> Reader:
        return open_reader(self.source(name), self.base, self.manifest.limits.max_document_bytes)

    def records(self, stage: str) -> Records:
        return Records(self.out, stage)


@dataclass(frozen=True, slots=True)
class SpoolItem:
    """One large file that cannot be split: read once, written as Arrow chunks."""

    source: str
    input: Input
    fingerprint: str

    @property
    def place(self) -> Place:
        return self.source, self.input.path


@dataclass(frozen=True, slots=True)
class RefineItem:
    """Slices of files, or one chunk of a spooled file, refined into one set of files."""

    source: str
    slices: tuple[Slice, ...]
    chunk: str | None  # path of a spooled chunk, relative to the output directory
    fingerprint: str


def refine_settings(plan: Plan, source: SourceConfig) -> str:
    """Fingerprint of all that decides how a document of a source is refined."""
    manifest = plan.manifest
    return fingerprint(
        source.model_dump(mode="json", exclude={"validation_fraction"}),
        manifest.clean.model_dump(mode="json"),
        manifest.pii.model_dump(mode="json"),
        [
            {**spec, "from": _release(describe(spec["use"]).distribution)}
            for spec in manifest.filters_of(source.name)
        ],
        manifest.dedup.model_dump(mode="json"),
        manifest.limits.max_document_bytes,
        code_fingerprint("pipeline/sources", "pipeline/text", "pipeline/dedup", "filters")
        + code_fingerprint("pipeline/refined.py", "pipeline/refining.py", "pipeline/keys.py"),
    )


def _release(distribution: str) -> str:
    """A plugin's distribution and version: another release may decide otherwise."""
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return distribution  # an entry point that no installed distribution claims


def read_settings(plan: Plan, source: SourceConfig) -> str:
    """Fingerprint of all that decides how a file of a source is read."""
    return fingerprint(
        source.model_dump(mode="json", exclude={"validation_fraction", "priority"}),
        plan.manifest.limits.max_document_bytes,
        code_fingerprint("pipeline/sources"),
    )


def spool_items(
    plan: Plan, inputs: dict[str, list[Input]], hashes: dict[Place, str]
) -> list[SpoolItem]:
    """The files to be read into chunks first, in order."""
    items = []
    for name, files in inputs.items():
        reader, settings = plan.reader(name), read_settings(plan, plan.source(name))
        for file in files:
            if (file.size_bytes or 0) > SPOOL_BYTES and not reader.is_splittable(file):
                key = fingerprint(settings, file.relative, hashes[name, file.path])
                items.append(SpoolItem(name, file, key))
    return items


def refine_items(
    plan: Plan,
    inputs: dict[str, list[Input]],
    hashes: dict[Place, str],
    spooled: dict[Place, Record],
) -> list[RefineItem]:
    """All items of `refine`, in the order that numbers documents: source, file, offset.

    `spooled` holds the records of the inputs that were spooled.
    """
    items = []
    for name, files in inputs.items():
        settings = refine_settings(plan, plan.source(name))
        chunks = {path: record for (source, path), record in spooled.items() if source == name}
        for group in _groups(plan.reader(name), files, chunks):
            if isinstance(group, str):
                key = fingerprint(settings, group)
                items.append(RefineItem(name, (), group, key))
                continue
            parts = [(s.input.relative, s.start, s.end, hashes[name, s.input.path]) for s in group]
            items.append(RefineItem(name, group, None, fingerprint(settings, parts)))
    return items


def _groups(
    reader: Reader, files: list[Input], spooled: dict[str, Record]
) -> Iterator[tuple[Slice, ...] | str]:
    """Chunks of spooled files as paths; other slices grouped until they reach `ITEM_BYTES`."""
    group: list[Slice] = []
    group_bytes = 0.0
    for file in files:
        if file.path in spooled:
            if group:
                yield tuple(group)
            group, group_bytes = [], 0.0
            yield from chunk_paths(spooled[file.path])
            continue
        slices = reader.split(file)
        for piece in slices:
            group.append(piece)
            group_bytes += (file.size_bytes or ITEM_BYTES) / len(slices)
            if group_bytes >= ITEM_BYTES:
                yield tuple(group)
                group, group_bytes = [], 0.0
    if group:
        yield tuple(group)


def chunk_paths(record: Record) -> list[str]:
    """Paths of a spooled file's document chunks, in order, relative to the output directory."""
    outputs: dict[str, Any] = record["outputs"]
    return [outputs[name]["path"] for name in sorted(outputs) if name.startswith("documents-")]
