"""The running Python's own files: real text on every machine, without a download.

`stdlib`: each module of the standard library, as code. `prose`: per installed distribution its
README (the long description in its metadata), and per module its docstrings. Names are relative to
the library folders, so they are the same on every machine with the same packages.
"""

import ast
import email
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.sources.documents import Bad, Builder
from pipeline.sources.file_reader import FileReader
from pipeline.sources.files import open_bytes
from pipeline.sources.protocol import Input, Slice
from pipeline.sources.schema import Rows
from pipeline.sources.text import read_file

OWN_NAME = "headwater"  # its own docstrings must not change what it makes of others
INSTALLED = ("site-packages", "dist-packages")
MIN_DOCSTRING_CHARS = 200  # shorter ones are labels, not prose
README = "/README"
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class PythonEnvironmentReader(FileReader):
    """One input, slice and document per file; `id` is the name, such as `stdlib/json/decoder.py`.

    Files without a byte, and modules with less than 200 characters of docstrings, give no row.
    """

    def inputs(self) -> list[Input]:
        found = _stdlib() if self.source.part == "stdlib" else _prose()
        by_name = {item.relative: item for item in found if item.size_bytes}
        return [by_name[name] for name in sorted(by_name)]

    def read(self, piece: Slice) -> Iterator[Rows]:
        builder = Builder(
            source=self.source, item=piece.input, max_document_bytes=self.max_document_bytes
        )
        if self.source.part == "stdlib":
            for rows in read_file(builder):
                yield Rows(_named(rows.documents), rows.quarantined)
            return
        prose = (
            _readme(piece.input) if piece.input.relative.endswith(README) else _docs(piece.input)
        )
        if isinstance(prose, Bad):
            yield builder.only_bad([prose])
        elif prose:
            text = pa.array([prose.encode("utf-8", "surrogatepass")], pa.binary())
            for rows in builder.build(np.zeros(1, dtype=np.int64), {"text": text}):
                yield Rows(_named(rows.documents), rows.quarantined)


def _named(documents: pa.RecordBatch) -> pa.RecordBatch:
    """The id is the file's name alone: there is one document a file."""
    index = documents.schema.get_field_index("id")
    return documents.set_column(index, documents.schema.field(index), documents["source_path"])


def _input(path: Path, relative: str) -> Iterator[Input]:
    """The input of a file, or nothing where a package lists a file that it does not have."""
    if path.is_file():
        stat = path.stat()
        yield Input(
            path=str(path),
            relative=relative,
            size_bytes=stat.st_size,
            modified=str(stat.st_mtime_ns),
        )


def _stdlib() -> Iterator[Input]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).parts
        if parts[0] not in INSTALLED and "__pycache__" not in parts:
            yield from _input(path, "/".join(("stdlib", *parts)))


def _prose() -> Iterator[Input]:
    folders = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    for distribution in distributions(path=list(folders)):
        name = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if name != OWN_NAME:
            yield from _distribution(distribution, name)


def _distribution(distribution: Distribution, name: str) -> Iterator[Input]:
    for file in distribution.files or ():
        parts = file.parts
        if ".." in parts or "__pycache__" in parts:
            continue
        if parts[-1] in ("METADATA", "PKG-INFO") and parts[0].endswith((".dist-info", ".egg-info")):
            yield from _input(Path(str(distribution.locate_file(file))), name + README)
        elif parts[-1].endswith(".py"):
            yield from _input(Path(str(distribution.locate_file(file))), file.as_posix())


def _readme(item: Input) -> str:
    """The long description: the body of the metadata, or its field in old versions."""
    with open_bytes(item) as handle:
        # What is no UTF-8 becomes surrogates here, and is quarantined as such.
        message = email.message_from_string(handle.read().decode("utf-8", "surrogateescape"))
    body = message.get_payload()
    text = body if isinstance(body, str) and body.strip() else str(message["Description"] or "")
    return text.strip()


def _docs(item: Input) -> str | Bad:
    with open_bytes(item) as handle:
        data = handle.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old string escapes in other people's code
            tree = ast.parse(data)
    # ValueError: a NUL; the others: nested too deeply for the parser
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        return Bad(0, "bad_row", f"the module does not parse: {exc}", data)
    joined = "\n\n".join(_docstrings(tree))
    return joined if len(joined) >= MIN_DOCSTRING_CHARS else ""


def _docstrings(node: Documented) -> Iterator[str]:
    """Docstrings of a module, its classes and functions, in the order of the file.

    Only bodies of definitions and of top-level statements can hold one: expressions are not walked.
    """
    if text := ast.get_docstring(node, clean=False):
        yield inspect.cleandoc(text)
    pending: list[ast.stmt] = list(reversed(node.body))
    while pending:
        child = pending.pop()
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if text := ast.get_docstring(child, clean=False):
                yield inspect.cleandoc(text)
            pending.extend(reversed(child.body))
        else:
            pending.extend(reversed(_statements(child)))


def _statements(node: ast.stmt) -> list[ast.stmt]:
    """The statements inside an if, with, try or loop, where definitions hide too."""
    inner: list[ast.stmt] = []
    for name in ("body", "handlers", "orelse", "finalbody"):
        for child in getattr(node, name, ()):
            inner.extend(child.body if isinstance(child, ast.ExceptHandler) else [child])
    return inner
