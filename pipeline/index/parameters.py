"""What a corpus and a segment must have in common, so that equal words fall into equal buckets."""

import functools
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from pipeline.dedup.config import DedupConfig
from pipeline.dedup.signature import buckets, sign
from pipeline.errors import UsageError
from pipeline.index.segments import Segment

# Scripts with and without spaces, marks, ligatures, code points beyond the first plane, case.
PROBE = (
    "The quick brown fox jumps over the lazy dog, and the STRASSE is not the Straße: it is long "
    "enough for shingles of every length that is asked for, or else its words are all it has.",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "Ελληνικά Ὀδυσσεύς, русский язык, हिन्दी भाषा, ภาษาไทย, עברית, العربية, 한국어, ǅungla, ﬁne, 𐐀𐐨",
    "short",
    "",
)


@functools.lru_cache(maxsize=8)
def _probe(config: DedupConfig) -> str:
    """Hash of the buckets of some texts: it changes with anything that decides them."""
    found = buckets(sign(pa.array(PROBE, pa.string()), config), config)
    rows = np.stack([found.bucket, found.row.astype(np.uint64)])
    return str(xxhash.xxh3_64_hexdigest(np.sort(rows, axis=1).tobytes()))


def parameters(config: DedupConfig) -> dict[str, Any]:
    """Of a corpus, as they are stored in its segment."""
    minhash = config.minhash
    names = ("num_perm", "bands", "rows", "seed")
    return {
        "ngram": config.ngram,
        "minhash": None if minhash is None else {name: getattr(minhash, name) for name in names},
        # Buckets of whole texts come and go with `exact`; what they are does not.
        "shingles": "characters" if config.by_characters else "words",
        "probe": _probe(config.model_copy(update={"exact": True, "index": None})),
    }


def check_parameters(config: DedupConfig, segment: Segment) -> None:
    """Raise `UsageError` unless the documents of the segment can be found with this config."""
    ours, theirs = parameters(config), segment.contents.parameters
    if ours == theirs:
        return
    different = [name for name in ours if ours[name] != theirs.get(name)]
    if different == ["probe"]:
        raise UsageError(
            f"{segment.index}: segment {segment.name} was made by a version of Headwater that "
            "hashes words otherwise; delete the segment and run its corpus again"
        )
    told = "; ".join(
        f"{name}: got {ours[name]}, the segment has {theirs.get(name)}"
        for name in different
        if name != "probe"
    )
    raise UsageError(
        f"{segment.index}: dedup.minhash does not match segment {segment.name}: {told}; want the "
        "same shingles, ngram, num_perm, bands, rows and seed: change them in the manifest, or "
        "delete the segment and run its corpus again with these"
    )
