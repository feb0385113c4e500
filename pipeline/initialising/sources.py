"""A source of the manifest: its keys, and comments that say what was seen."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import SourceError
from pipeline.initialising.globs import globs_of
from pipeline.initialising.grouping import Group
from pipeline.initialising.listing import EMPTY, Listing
from pipeline.initialising.proposing import validation_fraction
from pipeline.sources.config import SourceConfig
from pipeline.sources.files import find_inputs

NAMED = 3  # examples of many
MANY = 30  # paths: rather than so many, empty files are read, too, and quarantined


@dataclass(frozen=True, slots=True)
class Source:
    """`values` are the keys in order; `comments` by key, `` for what stands above all."""

    values: dict[str, Any]
    comments: dict[str, list[str]]


def source_of(group: Group, listing: Listing, base: Path) -> Source:
    """The source of a group of files; its paths match these and no others."""
    values: dict[str, Any] = {"name": group.name, "format": group.format}
    comments: dict[str, list[str]] = {"": [_seen(group)]}
    if group.format == "hf" and group.dataset != "json":
        values["dataset"] = _relative(listing.root / str(group.dataset), base)
    elif group.format == "hf":
        values |= {"dataset": "json", "data_files": _files(group, listing, base)}
        comments["dataset"] = [
            "JSON arrays, read by the library `datasets`; one object a line, as "
            "by jq -c '.[]', is faster"
        ]
    else:
        values["paths"] = _paths(group, listing, base)
    if group.format == "text" and not group.is_code:
        values["per"] = "line" if group.is_per_line else "file"
        comments["per"] = ["what one document is: a file, or a line of it"]
    if group.fields is not None:
        _add_fields(group, values, comments)
    if group.is_code:
        values["code"] = True
        comments["code"] = [
            f"programs ({', '.join(group.languages[:5])}): their text stays as it is written"
        ]
    values["validation_fraction"] = validation_fraction(group.num_rows)
    values["priority"] = 0
    return Source(values, comments)


def _seen(group: Group) -> str:
    about = "" if group.is_exact else "about "
    files = "file" if len(group.looked) == 1 else "files"
    rows = "documents" if group.format in ("text", "html") else "rows"
    packed = sorted({one.compression for one in group.looked if one.compression})
    how = f", compressed ({', '.join(packed)})" if packed else ""
    return (
        f"{len(group.looked):,} {files}, {group.num_bytes / 1e6:,.1f} MB{how}, "
        f"{about}{group.num_rows:,.0f} {rows}"
    )


def _add_fields(group: Group, values: dict[str, Any], comments: dict[str, list[str]]) -> None:
    fields = group.fields
    assert fields is not None
    if fields.text is not None:
        values["text_field"] = fields.text
    elif fields.pair is not None:
        values["prompt_field"], values["completion_field"] = fields.pair
    else:
        values["messages_field"] = fields.messages
    said = [fields.why]
    if fields.others:
        said.append(f"it may also be {', '.join(fields.others)}")
    if fields.lost:
        said.append(f"not read: {', '.join(fields.lost)}, which prompts may need; join them first")
    key = next(k for k in ("text_field", "prompt_field", "messages_field") if k in values)
    comments[key] = said
    roles = {"id_field": fields.id, "url_field": fields.url, "date_field": fields.date}
    values |= {key: name for key, name in roles.items() if name is not None}
    if fields.id is None:
        comments.setdefault("", []).append(
            "no column has a name for each row: they are called after their file and number"
        )
    if fields.meta:
        values["meta_fields"] = list(fields.meta)


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def _files(group: Group, listing: Listing, base: Path) -> list[str]:
    return [_relative(one.file.path, base) for one in group.looked]


def _paths(group: Group, listing: Listing, base: Path) -> list[str]:
    """Globs that match what was seen and nothing else, or the names of all files."""
    start = _relative(listing.root, base)
    prefix = "" if start == "." else f"{start}/"
    is_apart = not base.resolve().is_relative_to(listing.root.resolve())
    files = [one.file for one in group.looked]
    wanted = {_relative(file.path, base) for file in files}
    empty = {name for name, why in listing.skipped.items() if why == EMPTY}
    for harmless in (set[str](), empty):
        found = globs_of(files, listing.all_names - harmless, top=is_apart)
        paths = [prefix + path for path in found]
        matched = _matched(group, paths, base)
        if len(paths) <= MANY and wanted <= matched <= wanted | {prefix + n for n in harmless}:
            return paths
    return sorted(wanted)


def _matched(group: Group, paths: Collection[str], base: Path) -> set[str]:
    """What a run would read by these paths."""
    values = {"name": group.name, "format": group.format, "paths": tuple(paths)}
    try:
        found = find_inputs(SourceConfig.model_validate(values), base)
    except SourceError:
        return set()
    return {_relative(Path(one.path), base) for one in found}
