"""The manifest as text: what a person would write, with why it is so beside it."""

import json
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.initialising.grouping import Group
from pipeline.initialising.observing import Observed
from pipeline.initialising.proposing import LARGE_BYTES, QUARANTINE, Filters
from pipeline.initialising.sources import NAMED, Source
from pipeline.initialising.tokenizers import FoundTokenizer
from pipeline.report.visible import visible

WIDTH = 98
PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./")


def manifest_text(
    *,
    name: str,
    folder: Path,
    sources: Sequence[Source],
    groups: Sequence[Group],
    observed: Mapping[str, Observed],
    filters: Filters,
    tokenizer: FoundTokenizer,
    tokenizer_path: str,
    limits: tuple[float, int],
    unread: Mapping[str, str],
) -> str:
    """A whole manifest. All that it names was looked at; nothing in it is a default in disguise."""
    lines = [
        f"# What `prepare init` saw in {visible(folder.name or str(folder))}, and what it would "
        "do with it.",
        "# Each value can be changed; what the keys mean: docs/first_manifest.md",
        "",
    ]
    lines += [
        "version: 1",
        f"name: {scalar(name)}",
        f"output: {scalar(f'build/{name}')}            # relative to this file, as all paths",
        "seed: 17",
        "",
        "sources:",
    ]
    for source, group in zip(sources, groups, strict=True):
        lines += _source(source, observed.get(group.name), alone=len(sources) == 1)
    lines += _unread(unread)
    lines += ["", *_filters(filters, [group.name for group in groups], observed)]
    lines += ["", *_tokenizer(tokenizer, tokenizer_path)]
    lines += ["", *_rest(limits)]
    return "\n".join(lines) + "\n"


def scalar(value: Any) -> str:
    """One YAML value in a line; what YAML takes for a line end, or for no text, is escaped."""
    if isinstance(value, str):
        plain = value and set(value) <= PLAIN and value[0].isalpha() and not _is_word(value)
        return value if plain else "".join(map(_escaped, json.dumps(value, ensure_ascii=False)))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(scalar(one) for one in value) + "]"
    return json.dumps(value)


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _is_word(value: str) -> bool:
    """Whether YAML reads it as something else than a string; `no` is Norwegian, too."""
    return value.lower() in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


def comment(text: str, indent: str) -> list[str]:
    """A text as lines of comment. It may have names of files, and these a line end of YAML's."""
    return textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _source(source: Source, seen: Observed | None, *, alone: bool) -> list[str]:
    lines = [line for text in source.comments.get("", []) for line in comment(text, "  ")]
    if seen is not None:
        lines += comment(_documents(seen), "  ")
    start = "  - "
    for key, value in source.values.items():
        for text in source.comments.get(key, []):
            lines += comment(text, "    ")
        lines += _key(start, key, value, alone=alone)
        start = "    "
    return lines


def _key(start: str, key: str, value: Any, *, alone: bool) -> list[str]:
    if isinstance(value, list) and len(scalar(value)) + len(key) > WIDTH - 8:
        return [f"{start}{key}:", *(f"      - {scalar(one)}" for one in value)]
    why = ""
    if key == "validation_fraction":
        why = "  # held out, by document"
    elif key == "priority" and not alone:
        why = "  # of copies in several sources the one of the highest priority stays"
    return [f"{start}{key}: {scalar(value)}{why}"]


def _documents(seen: Observed) -> str:
    mean = seen.num_bytes / max(1, seen.num_documents)
    what = "all" if seen.is_whole else f"a sample of {seen.num_documents:,} documents"
    languages = ", ".join(f"{name} {share:.0%}" for name, share in seen.languages()[:5])
    said = f"{what}: {mean:,.0f} bytes each on average"
    if languages:
        said += f"; languages {languages}"
    if seen.num_quarantined:
        said += f"; {seen.num_quarantined:,} rows cannot be read"
    return said


def _unread(unread: Mapping[str, str]) -> list[str]:
    """Files that no source has, by reason."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, why in unread.items():
        by_reason[why].append(name)
    if not by_reason:
        return []
    lines = ["  # Not read:"]
    for why, names in sorted(by_reason.items(), key=lambda one: -len(one[1])):
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        lines += comment(f"  {', '.join(names[:NAMED])}{more}: {why}", "  ")
    return lines


def _filters(filters: Filters, names: Sequence[str], observed: Mapping[str, Observed]) -> list[str]:
    lines = ["# In order; `prepare filters` lists all, `prepare calibrate` shows what each drops."]
    told = [f"{name} {share:.0%}" for name, share in filters.drops.items()]
    if told:
        lines += comment(f"Of the samples these drop together: {', '.join(told)}.", "")
    items = []
    if filters.length:
        items.append((["shorter ones teach little"], "use: length, min_chars: 100", filters.length))
    if filters.language:
        keep = scalar(list(filters.languages))
        items.append(
            (
                ["the languages that were seen; take out those that you do not want"],
                f"use: language, keep: {keep}, min_score: {filters.min_score}",
                filters.language,
            )
        )
    if filters.quality:
        items.append(
            (
                ["looks like prose: words, stop words, few symbols; English"],
                "use: gopher_quality",
                filters.quality,
            )
        )
    if not items:
        lines.append("filters: []")
    else:
        lines.append("filters:")
    for why, spec, wanted in items:
        lines += [line for text in why for line in comment(text, "  ")]
        own = "" if list(wanted) == list(names) else f", sources: {scalar(list(wanted))}"
        lines.append(f"  - {{{spec}{own}}}")
    for text in filters.left_out:
        lines += comment(f"left out: {text}", "  ")
    return lines


def _tokenizer(tokenizer: FoundTokenizer, path: str) -> list[str]:
    said = "that of the model that will be trained: a folder, or a name on the Hugging Face hub"
    lines = comment(f"{said}; {tokenizer.why}", "")
    if tokenizer.folder is None:
        lines += comment(
            "MISSING: put the model's tokenizer.json and tokenizer_config.json there, "
            "or give another path, before `prepare run`",
            "",
        )
    for other in tokenizer.others:
        lines += comment(f"also found: {other}", "")
    return [*lines, f"tokenizer: {{path: {scalar(path)}}}"]


def _rest(limits: tuple[float, int]) -> list[str]:
    quarantined, document_bytes = limits
    why = "" if quarantined <= QUARANTINE else ", twice what was seen"
    lines = [
        "# Personal data becomes tags such as <EMAIL>; mode: off leaves it.",
        "pii: {mode: tag}",
        "# Copies and near copies go; threshold is their similarity.",
        "dedup:",
        "  exact: true",
        "  minhash: {threshold: 0.8}",
        "pack: {sequence_tokens: 2048}      # of a row of the shards",
        "limits:",
        f"  max_quarantined_fraction: {quarantined}    # of unreadable rows{why}: above it a "
        "run stops",
    ]
    reason = "" if document_bytes == LARGE_BYTES else ", for the largest file"
    return [
        *lines,
        f"  max_document_bytes: {document_bytes}      # a larger document is quarantined{reason}",
    ]
