"""The stages that a run of a manifest comes to, as far as it says so."""

from pipeline.manifest import Manifest


def expected_stages(manifest: Manifest) -> tuple[str, ...]:
    """Their rows in a panel, in order. Which rounds and which spooling there are is seen later."""
    dedup = manifest.dedup
    pairs = ("candidates", "verify") if dedup.exact or dedup.minhash else ()
    known = ("index", "verify index") if dedup.index is not None else ()
    added = ("add to index",) if dedup.index is not None else ()
    strata = any(manifest.strata_of(source.name) for source in manifest.sources)
    return (
        "inputs",
        *(("edits: scan",) if manifest.edits is not None else ()),
        "refine",
        *known,
        *pairs,
        "tokenise",
        *(("stratify",) if strata else ()),
        "pack",
        *added,
    )
