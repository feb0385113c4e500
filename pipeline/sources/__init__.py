"""Readers: a source of the manifest as a stream of documents, one module per format."""

from pipeline.sources.config import SourceConfig
from pipeline.sources.protocol import SPLIT_BYTES, Input, Reader, Slice
from pipeline.sources.registry import READERS, open_reader
from pipeline.sources.schema import DOCUMENT, QUARANTINE, REASONS, Rows

__all__ = [
    "DOCUMENT",
    "QUARANTINE",
    "READERS",
    "REASONS",
    "SPLIT_BYTES",
    "Input",
    "Reader",
    "Rows",
    "Slice",
    "SourceConfig",
    "open_reader",
]
