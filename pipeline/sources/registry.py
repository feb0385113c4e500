"""Which reader reads which format."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.sources.arrow import ArrowReader
from pipeline.sources.config import SourceConfig
from pipeline.sources.delimited import DelimitedReader
from pipeline.sources.hf import HuggingFaceReader
from pipeline.sources.html_file import HtmlReader
from pipeline.sources.jsonl import JsonlReader
from pipeline.sources.parquet import ParquetReader
from pipeline.sources.protocol import Reader
from pipeline.sources.python_environment import PythonEnvironmentReader
from pipeline.sources.text import TextReader
from pipeline.sources.warc import WarcReader

READERS: Mapping[str, Callable[..., Reader]] = {
    "arrow": ArrowReader,
    "csv": DelimitedReader,
    "hf": HuggingFaceReader,
    "html": HtmlReader,
    "jsonl": JsonlReader,
    "parquet": ParquetReader,
    "python-environment": PythonEnvironmentReader,
    "text": TextReader,
    "tsv": DelimitedReader,
    "warc": WarcReader,
}


def open_reader(source: SourceConfig, base: Path, max_document_bytes: int) -> Reader:
    """The reader of a source; local paths are relative to `base`, the manifest's folder."""
    return READERS[source.format](source=source, base=base, max_document_bytes=max_document_bytes)
