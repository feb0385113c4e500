"""`OUT/pii.json`: what was found of each kind in each source, what became of it, masked samples.

    {"modes": {kind: mode},
     "sources": {source: {kind: {"num": 3, "samples": [{"context": "...", "key": "..."}]}}}}

No value stands in it, nor does the key. Documents that filters drop later count as well.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from pipeline.files import write_json
from pipeline.plan import Plan
from pipeline.records import Record
from pipeline.text.pii.samples import fewest

AUDIT_NAME = "pii.json"


def write_audit(plan: Plan, records: Iterable[tuple[str, Record]]) -> None:
    """Write the audit of (source, record) pairs of `refine`."""
    config = plan.manifest.pii
    num: Counter[tuple[str, str]] = Counter()
    samples: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for source, record in records:
        for kind in config.active_kinds:
            num[source, kind] += record["counts"]["changes"].get(f"pii.num_pii_{kind}", 0)
            samples[source, kind] += record["counts"]["pii_samples"].get(kind, [])
    sources = {
        source.name: {
            kind: {
                "num": num[source.name, kind],
                "samples": fewest(samples[source.name, kind], config.num_samples),
            }
            for kind in config.active_kinds
        }
        for source in plan.manifest.sources
    }
    modes = {kind: config.mode_of(kind) for kind in config.all_kinds}
    write_json(plan.out / AUDIT_NAME, {"modes": modes, "sources": sources})
