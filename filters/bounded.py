"""Filters that are nothing but bounds: `keep` and `failures` follow from `bounds`."""

from abc import ABC, abstractmethod

import pyarrow as pa

from filters.protocol import Bound, first_failure, within


class Bounded(ABC):
    """Keeps what is inside all of its bounds; the rule is the signal that is outside first.

    A base for frozen dataclasses, with slots or without. A null signal is outside of its bound.
    """

    __slots__ = ()

    @abstractmethod
    def bounds(self) -> tuple[Bound, ...]:
        """As `filters.protocol` says."""

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        return within(measured, self.bounds())

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        return first_failure(measured, self.bounds())
