"""From a folder to a manifest, read from top to bottom."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import atomic
from pipeline.initialising.grouping import Group, group
from pipeline.initialising.listing import EMPTY, NO_NAME, Listing, is_utf8, list_files
from pipeline.initialising.looking import look
from pipeline.initialising.observing import Observed, observe
from pipeline.initialising.proposing import (
    Filters,
    max_document_bytes,
    max_quarantined,
    propose_filters,
)
from pipeline.initialising.sources import Source, source_of
from pipeline.initialising.tokenizers import MISSING, FoundTokenizer, find_tokenizer
from pipeline.initialising.writing import manifest_text
from pipeline.manifest import load_manifest
from pipeline.report.visible import visible

Name = str


@dataclass(frozen=True, slots=True)
class Initial:
    """What was seen, and what was made of it."""

    groups: tuple[Group, ...]
    observed: Mapping[Name, Observed]
    filters: Filters
    tokenizer: FoundTokenizer
    unread: Mapping[str, str]  # files by name, and why they are in no source
    skipped: Mapping[str, str]  # those that are no data, and were not opened


def initialise(folder: Path, output: Path, tokenizer: Path | None) -> Initial:
    """Look at `folder` and write the manifest `output`.

    Raises `UsageError` where nothing below the folder can be read.
    """
    root, base = Path(os.path.abspath(folder)), output.resolve().parent  # noqa: PTH100 - links stay
    if not is_utf8(os.path.relpath(root, base)):
        raise UsageError(f"{visible(str(folder))}: {NO_NAME}")
    listing = list_files(root)
    found = find_tokenizer(tokenizer, root, base)
    looked = look(listing, has_template=found.has_template)
    groups = group(looked, root.name)
    unread = {one.file.relative: one.why for one in looked if one.format is None}
    if not groups:
        raise UsageError(_nothing(folder, listing, unread))
    sources = [source_of(one, listing, base) for one in groups]
    observed = {
        one.name: _observe(one, source, base) for one, source in zip(groups, sources, strict=True)
    }
    filters = propose_filters(groups, observed)
    num_empty = sum(why == EMPTY for why in listing.skipped.values())
    text = manifest_text(
        name=_corpus_name(root),
        folder=folder,
        sources=sources,
        groups=groups,
        observed=observed,
        filters=filters,
        tokenizer=found,
        tokenizer_path=_tokenizer_path(found, base),
        limits=(max_quarantined(groups, observed, num_empty), max_document_bytes(groups)),
        unread=unread,
    )
    with atomic(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    load_manifest(output)  # what is written is what `prepare run` reads
    return Initial(tuple(groups), observed, filters, found, unread, listing.skipped)


def _observe(one: Group, source: Source, base: Path) -> Observed:
    per_row = one.num_bytes / max(1.0, one.num_rows)
    return observe(source.values, base, per_row)


def _tokenizer_path(found: FoundTokenizer, base: Path) -> str:
    if found.folder is None:
        return MISSING
    return Path(os.path.relpath(found.folder, base)).as_posix()


def _corpus_name(root: Path) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in root.name)
    return kept.strip("-._") or "corpus"


def _nothing(folder: Path, listing: Listing, unread: Mapping[str, str]) -> str:
    reasons = {**unread, **listing.skipped}
    wanted = "JSON lines, Parquet, CSV, TSV, Arrow, text, HTML or WARC, plain or compressed"
    if not reasons:
        return f"{folder}: got an empty folder, want files: {wanted}"
    told = "; ".join(f"{visible(name)}: {visible(why)}" for name, why in list(reasons.items())[:3])
    more = f"; and {len(reasons) - 3:,} more" if len(reasons) > 3 else ""
    return f"{folder}: got no file that can be read ({told}{more}), want {wanted}"
