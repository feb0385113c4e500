"""What the readers of files have in common: where the files are, and their contents' hash."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.sources.config import SourceConfig
from pipeline.sources.files import content_hash, find_inputs
from pipeline.sources.protocol import Input, Slice


@dataclass(frozen=True, kw_only=True)
class FileReader:
    """The files of a source, each in one piece; a reader that can cut them says how.

    `base` is the manifest's folder, to which local paths are relative.
    """

    source: SourceConfig
    base: Path
    max_document_bytes: int

    def inputs(self) -> list[Input]:
        return find_inputs(self.source, self.base)

    def is_splittable(self, item: Input) -> bool:
        return False

    def split(self, item: Input) -> list[Slice]:
        return [Slice(input=item)]

    def fingerprint(self, item: Input) -> str:
        return content_hash(item)
