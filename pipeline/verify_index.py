"""What a finished output says of itself, against the records and the parts that it is made of.

Nothing is believed because it is written down twice: what `shards/index.json`, `ledger.json` and
`pii.json` say is made again from the records, and what these say of parts is counted in the parts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from pipeline.erasing.rerun import num_erased
from pipeline.errors import LedgerError, PrepareError
from pipeline.files import ANEW, file_hash, read_json
from pipeline.inputs import MANIFEST_NAME, RUN_NAME
from pipeline.ledger import Ledger, check_balance, from_json, refined_ledger, to_json
from pipeline.pii_audit import AUDIT_NAME
from pipeline.records import Record
from pipeline.shards import INDEX_NAME, Shard, ShardIndex, find_shards, token_type
from pipeline.tokens.resolve import RECORD_FILE, damaged_files
from pipeline.verify_strata import read_strata

LEDGER_NAME = "ledger.json"
STATE_FILES = ("state/inputs.json", "state/seal.json")
# What such a file holds at least.
HELD = {
    RUN_NAME: frozenset({"refine", "deduplicate", "tokenise", "pack"}),
    AUDIT_NAME: frozenset({"modes", "sources"}),
    "inputs.json": frozenset({"version", "sources"}),
    "seal.json": frozenset({"settings", "inputs", "files", "num_items"}),
}
Found = Mapping[str, list[Record]]  # records by stage


def unreadable_files(out: Path) -> Iterator[str]:
    """Files that say what the others are, and that cannot be read or are not what was written."""
    for name in (RUN_NAME, LEDGER_NAME, AUDIT_NAME, *STATE_FILES):
        path = out / name
        if path.is_file():
            try:
                if not read_json(path).keys() >= HELD.get(path.name, frozenset()):
                    yield f"{path}: not what was written; {ANEW}"
            except PrepareError as error:
                yield str(error)
        elif path.name != "seal.json":  # which not every output has
            yield f"{path}: missing; {ANEW}"
    path = out / MANIFEST_NAME
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        yield f"{path}: cannot be read ({' '.join(str(exc).split())}); {ANEW}"
        return
    if not isinstance(values, dict):
        yield f"{path}: got no mapping; {ANEW}"


def wrong_index(out: Path, records: Found, index: ShardIndex) -> Iterator[str]:
    """Each number of the index that is not that of the records, the parts or the tokenizer."""
    path, run = find_shards(out) / INDEX_NAME, read_json(out / RUN_NAME)
    told = [asdict(shard) for shard in index.shards]
    made = [asdict(shard_of(record)) for record in records["pack"]]
    for one, other in zip(told, made, strict=False):
        for name in one:
            if one[name] != other[name]:
                what = f"{name} is {one[name]!r}, its record has {other[name]!r}"
                yield f"{path}: {one['path']}: {what}; {ANEW}"
    if len(told) != len(made):
        yield f"{path}: names {len(told):,} parts, the run made {len(made):,}"
    values = yaml.safe_load((out / MANIFEST_NAME).read_text(encoding="utf-8"))
    wanted = {
        "corpus": values.get("name"),
        "sequence_tokens": values.get("pack", {}).get("sequence_tokens"),
        "dtype": str(token_type(index.tokenizer.num_ids)),
        "manifest_fingerprint": run.get("manifest_fingerprint", index.manifest_fingerprint),
    }
    for name, value in wanted.items():
        if getattr(index, name) != value:
            yield f"{path}: {name} is {getattr(index, name)!r}, want {value!r}; {ANEW}"
    if run.get("manifest_xxh3") not in (None, file_hash(out / MANIFEST_NAME)):
        yield f"{out / MANIFEST_NAME}: not the manifest that the run was of; {ANEW}"


def shard_of(record: Record) -> Shard:
    """What the index has to say of a part, whose path tells the rest."""
    counts, path = record["counts"], record["outputs"]["part"]["path"].removeprefix("shards/")
    source, split, *stratum, _ = path.split("/")
    return Shard(
        path=path,
        source=source,
        split=split,
        stratum=stratum[0] if stratum else None,
        num_rows=counts["num_rows"],
        num_tokens=counts["num_tokens"],
        num_bytes=counts["num_bytes"],
        num_documents=counts["num_documents"],
        sha256=counts["sha256"],
        num_erased=counts.get("num_erased", 0),
    )


def wrong_counts(out: Path, index: ShardIndex) -> Iterator[str]:
    """Rows, tokens, bytes and documents of each part, counted in it; the width of its rows."""
    kind = str(token_type(index.tokenizer.num_ids))
    for shard in index.shards:
        path = find_shards(out) / shard.path
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            tokens = table.schema.field("tokens").type
            keys = table["doc_key"].combine_chunks().flatten()
            found = {
                "num_rows": table.num_rows,
                "num_tokens": int(table["num_tokens"].to_numpy().sum(dtype=np.int64)),
                "num_bytes": int(table["num_bytes"].to_numpy().sum(dtype=np.int64)),
                "num_documents": len(keys.drop_null().unique()),
            }
            has_erased = keys.null_count > 0
        for name, number in found.items():
            if number != getattr(shard, name):
                yield f"{path}: {name} is {number:,}, the index says {getattr(shard, name):,}"
        if has_erased != (shard.num_erased > 0):
            yield f"{path}: the index says {shard.num_erased:,} erased documents, which is not so"
        if (tokens.list_size, str(tokens.value_type)) != (index.sequence_tokens, kind):
            yield (
                f"{path}: rows of {tokens.list_size:,} {tokens.value_type}, the index says "
                f"{index.sequence_tokens:,} {kind}"
            )


def strange_files(out: Path, index: ShardIndex) -> Iterator[str]:
    """Files among the shards that the index does not name, which a copy would take along."""
    folder = find_shards(out)
    known = {INDEX_NAME, *(shard.path for shard in index.shards)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.name.startswith(".") and not path.is_dir() and name not in known:
            yield f"{path}: the index does not name it; remove it"


def wrong_tokenizer(out: Path, index: ShardIndex) -> Iterator[str]:
    """Files of the tokenizer's copy that are gone or others, and an index that tells of another."""
    folder = out / index.tokenizer.path
    try:
        record = read_json(folder / RECORD_FILE)
        if record["identity"] != asdict(index.tokenizer):
            yield f"{folder / RECORD_FILE}: tells of another tokenizer than the index; {ANEW}"
    except (PrepareError, KeyError) as error:
        yield f"{folder / RECORD_FILE}: not what was written ({error}); {ANEW}"
        return
    for name in damaged_files(folder, record):
        yield f"{folder / name}: gone, or its bytes are not those that were saved; {ANEW}"


def wrong_ledger(out: Path, records: Found) -> Iterator[str]:
    """The ledger against the one that the records make, and its own sums."""
    path = out / LEDGER_NAME
    made = to_json(_ledger(out, records))
    try:
        ledger = from_json(read_json(path))
        told = to_json(ledger)
        check_balance(ledger)
    except LedgerError as error:
        yield f"{path}: {error}"
    except (TypeError, AttributeError) as error:
        yield f"{path}: not a ledger ({error}); {ANEW}"
        return
    if told.keys() != made.keys():
        yield f"{path}: sources {', '.join(told)}, the records are of {', '.join(made)}; {ANEW}"
        return
    for source, entry in made.items():
        for name in entry.keys() | told[source].keys():
            got, want = told[source].get(name), entry.get(name)
            if got != want:
                yield f"{path}: {source}: {name} is {got}, the records add up to {want}; {ANEW}"


def _ledger(out: Path, records: Found) -> Ledger:
    strata = read_strata(out)
    ledger = refined_ledger((record["source"], record) for record in records["refine"])
    pairs = list(zip(records["refine"], records["tokenise"], strict=True))
    parted = [
        tokenised["fingerprint"]
        for refined, tokenised in pairs
        if strata is not None and strata.applies_to(refined["source"])
    ]
    # Two files without a document may be one item.
    orders = dict(zip(dict.fromkeys(parted), records["stratify"], strict=True))
    for refined, tokenised in pairs:
        entry = ledger[refined["source"]]
        entry.add_tokenised(tokenised)
        entry.num_erased += num_erased(refined)
        if strata is not None and strata.applies_to(refined["source"]):
            entry.add_stratified(strata.all_names, orders[tokenised["fingerprint"]])
    return ledger


def wrong_audit(out: Path, refined: Sequence[Record]) -> Iterator[str]:
    """What `pii.json` counts, and by which mode it was replaced, against the records."""
    path = out / AUDIT_NAME
    told = read_json(path)
    found: dict[str, Counter[str]] = {record["source"]: Counter() for record in refined}
    for record in refined:
        found[record["source"]].update(record["counts"]["pii"])
    for source, made in found.items():
        entry: dict[str, Any] = told["sources"].get(source, {})
        modes = told["modes"]
        counted = {f"{kind}:{modes.get(kind)}": one["num"] for kind, one in entry.items()}
        for name in sorted(made.keys() | counted.keys()):
            if counted.get(name, 0) != made[name]:
                what = f"{name} is {counted.get(name, 0):,}, the records add up to {made[name]:,}"
                yield f"{path}: {source}: {what}; {ANEW}"


def wrong_file_list(out: Path, records: Found) -> Iterator[str]:
    """The list of files that gives documents their numbers, against the files of the run."""
    for record in records["deduplicate"]:
        path = out / Path(record["outputs"]["removals"]["path"]).with_name("files.arrow")
        wanted = {
            kind: [refined["outputs"][kind]["path"] for refined in records["refine"]]
            for kind in ("kept", "signatures")
        }
        try:
            with pa.memory_map(str(path)) as source:
                found = pa.ipc.open_file(source).read_all().to_pydict()
        except (OSError, pa.ArrowInvalid) as exc:
            yield f"{path}: cannot be read ({exc}); {ANEW}"
            continue
        if found != wanted:
            yield f"{path}: lists other files than the run has; {ANEW}"
