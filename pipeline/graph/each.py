"""The map stages: each work item by itself, through one function that commits it."""

from collections.abc import Callable
from typing import Any

import apache_beam as beam

from pipeline.records import Record


class EachItem(beam.PTransform):  # type: ignore[misc]  # Beam ships no types
    """PCollection[item] -> PCollection[Record]; `function(item, **arguments)` makes the record.

    A work item is one element and one call reads, processes and commits it. So the commit does not
    depend on how a runner fuses or bundles steps, a retried bundle redoes whole items, and a
    document never leaves the process that read it.
    """

    def __init__(self, function: Callable[..., Record], **arguments: Any) -> None:
        super().__init__(label=function.__name__)
        self._function, self._arguments = function, arguments

    def do(self, item: Any) -> Record:
        """What is done with one item, here and now."""
        return self._function(item, **self._arguments)

    def expand(self, items: beam.PCollection) -> beam.PCollection:
        return items | beam.Map(self._function, **self._arguments)
