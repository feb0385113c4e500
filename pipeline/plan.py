"""What a run will do, as values: the plan that workers get, and the work items of `refine`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filters.chain import Chain
from filters.registry import describe, measuring
from pipeline.files import check_inside
from pipeline.filter_files import file_hashes
from pipeline.manifest import Manifest
from pipeline.records import NOTHING, MadeOf, Record, Records, code_fingerprint, fingerprint
from pipeline.releases import release
from pipeline.sources.config import SourceConfig
from pipeline.sources.protocol import Input, Reader, Slice
from pipeline.sources.registry import open_reader
from pipeline.text.clean import CleanConfig
from pipeline.text.pii.settings import finding_settings, storing_settings
from pipeline.tokens.resolve import FOLDER

Place = tuple[str, str]  # source and path: two sources may read one file

SPOOL_BYTES = 8_000_000  # a larger file that cannot be split is read once into Arrow chunks
ITEM_BYTES = 16_000_000  # smaller files are grouped until they reach this


@dataclass(frozen=True, slots=True)
class Fit:
    """Thresholds of one filter of one source, found from what it measured of the corpus."""

    source: str
    place: int  # among the filters of the source
    filter: str
    parameters: dict[str, Any]  # as a manifest would name them
    num_documents: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class EditTable:
    """What repeats across the texts of the corpus, as `refine` cuts it out."""

    fingerprint: str
    contents: str  # hash of its files: whether texts change depends on nothing else

    @property
    def folder(self) -> str:
        """Relative to the output directory."""
        return f"edits/{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A manifest with its folders resolved; pickled to every worker."""

    manifest: Manifest
    base: Path
    out: Path
    fits: tuple[Fit, ...] = ()
    edits: EditTable | None = None
    evaluation_sets: str | None = None  # fingerprint of the table of `decontaminate`
    pii_key: str | None = None  # fingerprint of the key of pseudonyms; the key is in no plan

    @property
    def edits_folder(self) -> Path | None:
        """Where the table of `edits` is, if there is one."""
        if self.edits is None:
            return None
        check_inside(self.out, [self.edits.folder])  # its name may come from OUT/run.json
        return self.out / self.edits.folder

    def filters_of(self, source: str) -> list[dict[str, Any]]:
        """The filters of one source, in order, with the thresholds that were fitted.

        Their paths are as the manifest has them, so that no fingerprint depends on where it lies.
        """
        specs = self.manifest.filters_of(source)
        for fit in self.fits:
            if fit.source == source:
                specs[fit.place] = specs[fit.place] | fit.parameters
        return specs

    def chain_of(self, source: str) -> Chain:
        """The same filters, made: their paths are relative to the manifest's folder."""
        return Chain.of(*self.filters_of(source), base=self.base)

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
    made_of: MadeOf = NOTHING

    @property
    def place(self) -> Place:
        return self.source, self.input.path


@dataclass(frozen=True, slots=True)
class TextItem:
    """What a `RefineItem` reads, before anything is edited or measured."""

    source: str
    slices: tuple[Slice, ...]
    chunk: str | None
    contents: str  # hash of what is read
    fingerprint: str  # of what is read and of what decides its texts before edits


@dataclass(frozen=True, slots=True)
class RefineItem:
    """Slices of files, or one chunk of a spooled file, refined into one set of files.

    Where what it measures was measured before, under other thresholds, its documents are taken from
    there and nothing is read.
    """

    source: str
    slices: tuple[Slice, ...]
    chunk: str | None  # path of a spooled chunk, relative to the output directory
    settings: str  # `measuring_settings` of the source
    measured: str  # fingerprint of what is read and of the settings
    fingerprint: str  # of `measured` and the filters with their thresholds
    made_of: MadeOf = NOTHING
    measured_by: str | None = None  # the fingerprint of an item of the same `measured`


def refined_fingerprint(plan: Plan, source: str, measured: str) -> str:
    """Fingerprint of an item's refined files: what was measured, and by what it is filtered."""
    return fingerprint(measured, plan.filters_of(source))


def refined_of(plan: Plan, source: str, contents: str) -> MadeOf:
    """What an item of a source that reads `contents` is made of, thresholds included."""
    config = _measuring_config(plan, plan.source(source))
    return MadeOf(contents, fingerprint(config, plan.filters_of(source)), _measuring_code(plan))


def measuring_settings(plan: Plan, source: SourceConfig) -> str:
    """Fingerprint of all that decides the texts of a source and what is measured of them.

    The rest, the filters' thresholds, decides only which documents are kept.
    """
    return fingerprint(_measuring_config(plan, source), _measuring_code(plan))


def _measuring_code(plan: Plan) -> str:
    return fingerprint(
        code_fingerprint("pipeline/decontamination") if plan.evaluation_sets else None,
        code_fingerprint("pipeline/sources", "pipeline/text", "pipeline/dedup", "filters"),
        code_fingerprint("pipeline/edits"),
        code_fingerprint("pipeline/refined.py", "pipeline/refining.py", "pipeline/keys.py"),
        code_fingerprint("pipeline/graph/refine.py", "pipeline/dates.py", "pipeline/arrow.py"),
    )


def _measuring_config(plan: Plan, source: SourceConfig) -> str:
    """The models and tables that it names by their contents, libraries by their releases."""
    manifest = plan.manifest
    return fingerprint(
        source.model_dump(mode="json", exclude={"validation_fraction", "code", "clean"}),
        cleaning_settings(manifest.clean_of(source.name)),
        storing_settings(manifest.pii),
        plan.pii_key,
        None if manifest.edits is None else manifest.edits.model_dump(mode="json"),
        None if plan.edits is None else plan.edits.contents,
        [
            {**measuring(spec), "from": _releases(spec["use"])}
            for spec in manifest.filters_of(source.name)
        ],
        file_hashes(manifest.filters_of(source.name), plan.base),
        manifest.dedup.signing,
        _decontaminating(plan),
        _refusing(plan, source),
        manifest.limits.max_document_bytes,
    )


def cleaning_settings(clean: CleanConfig) -> list[Any]:
    """What is cleaned, and the releases of the libraries that do it."""
    return [clean.model_dump(mode="json"), [release(name) for name in clean.libraries]]


def _decontaminating(plan: Plan) -> list[Any]:
    """What the evaluation sets decide: their n-grams, what a match is, and what follows from it."""
    if plan.evaluation_sets is None:
        return []
    rules = [(one.name, one.min_overlap, one.action) for one in plan.manifest.decontaminate]
    return [plan.evaluation_sets, rules]


def _refusing(plan: Plan, source: SourceConfig) -> list[str]:
    """What decides which conversations the tokenizer's chat template refuses."""
    if source.messages_field is None:
        return []
    from pipeline.tokens.chat import template_digest  # imports Jinja: 0.1 s, for messages alone

    code = code_fingerprint("pipeline/tokens/chat.py", "pipeline/tokens/refused.py")
    return [template_digest(plan.out / FOLDER), code]


def _releases(name: str) -> list[str]:
    """Of a filter's own distribution, and of the libraries that it measures with."""
    described = describe(name)
    return [release(each) for each in (described.distribution, *described.libraries)]


def read_settings(plan: Plan, source: SourceConfig) -> str:
    """Fingerprint of all that decides how a file of a source is read."""
    made_of = _read_of(plan, source)
    return fingerprint(made_of.config, made_of.code)


def _read_of(plan: Plan, source: SourceConfig) -> MadeOf:
    """What any file of a source is read by."""
    values = source.model_dump(
        mode="json", exclude={"validation_fraction", "priority", "code", "clean"}
    )
    config = fingerprint(values, plan.manifest.limits.max_document_bytes)
    return MadeOf("", config, code_fingerprint("pipeline/sources"))


def text_settings(plan: Plan, source: SourceConfig) -> str:
    """Fingerprint of all that decides the texts of a source before edits."""
    return fingerprint(
        read_settings(plan, source),
        cleaning_settings(plan.manifest.clean_of(source.name)),
        finding_settings(plan.manifest.pii),
        code_fingerprint("pipeline/text", "pipeline/refining.py"),
    )


def spool_items(
    plan: Plan, inputs: dict[str, list[Input]], hashes: dict[Place, str]
) -> list[SpoolItem]:
    """The files to be read into chunks first, in order."""
    items = []
    for name, files in inputs.items():
        reader, settings = plan.reader(name), read_settings(plan, plan.source(name))
        made_of = _read_of(plan, plan.source(name))
        for file in files:
            if (file.size_bytes or 0) > SPOOL_BYTES and not reader.is_splittable(file):
                digest = hashes[name, file.path]
                key = fingerprint(settings, file.relative, digest)
                origin = replace(made_of, contents=fingerprint(name, file.relative, digest))
                items.append(SpoolItem(name, file, key, origin))
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
    settings = {name: measuring_settings(plan, plan.source(name)) for name in inputs}
    made_of = {name: refined_of(plan, name, "") for name in inputs}
    for item in _items(plan, inputs, hashes, spooled, settings):
        name, measured = item.source, item.fingerprint
        key = refined_fingerprint(plan, name, measured)
        origin = replace(made_of[name], contents=item.contents)
        items.append(
            RefineItem(name, item.slices, item.chunk, settings[name], measured, key, origin)
        )
    return items


def text_items(
    plan: Plan,
    inputs: dict[str, list[Input]],
    hashes: dict[Place, str],
    spooled: dict[Place, Record],
) -> list[TextItem]:
    """What all items of `refine` read, in their order."""
    settings = {name: text_settings(plan, plan.source(name)) for name in inputs}
    return list(_items(plan, inputs, hashes, spooled, settings))


def _items(
    plan: Plan,
    inputs: dict[str, list[Input]],
    hashes: dict[Place, str],
    spooled: dict[Place, Record],
    settings: dict[str, str],
) -> Iterator[TextItem]:
    """What is read, with a fingerprint of it and of the settings of its source."""
    for name, files in inputs.items():
        chunks = {path: record for (source, path), record in spooled.items() if source == name}
        contents = _chunk_contents(name, files, chunks, hashes)
        for group in _groups(plan.reader(name), files, chunks):
            if isinstance(group, str):
                read = fingerprint(name, contents[group])
                yield TextItem(name, (), group, read, fingerprint(settings[name], group))
                continue
            parts = [(s.input.relative, s.start, s.end, hashes[name, s.input.path]) for s in group]
            read = fingerprint(name, parts)
            yield TextItem(name, group, None, read, fingerprint(settings[name], parts))


def _chunk_contents(
    source: str, files: list[Input], spooled: dict[str, Record], hashes: dict[Place, str]
) -> dict[str, tuple[str, str, int]]:
    """File, hash and number of each spooled chunk: its path says by what config it was read."""
    return {
        chunk: (file.relative, hashes[source, file.path], number)
        for file in files
        if file.path in spooled
        for number, chunk in enumerate(chunk_paths(spooled[file.path]))
    }


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
            size_bytes = ITEM_BYTES if file.size_bytes is None else file.size_bytes
            group_bytes += size_bytes / len(slices)
            if group_bytes >= ITEM_BYTES:
                yield tuple(group)
                group, group_bytes = [], 0.0
    if group:
        yield tuple(group)


def chunk_paths(record: Record) -> list[str]:
    """Paths of a spooled file's document chunks, in order, relative to the output directory."""
    outputs: dict[str, Any] = record["outputs"]
    return [outputs[name]["path"] for name in sorted(outputs) if name.startswith("documents-")]
