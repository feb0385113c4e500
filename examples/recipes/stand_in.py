"""Stand-in text for the recipes of data_manifests/recipes: what their manifests read.

    python -m examples.recipes.stand_in [--corpus DIR] [--to build/recipes] [NAME ...]

Writes `build/recipes/<name>/raw/*.jsonl.zst`. With `--corpus`, documentation and code come from
DIR/docs-*.jsonl.zst; without it from this Python environment, so that the recipes run on every
machine. Clinical notes, keys and, without a corpus, German are invented. Nothing is downloaded.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

import zstandard

from examples.recipes import clinical, python_code, vocabulary
from examples.recipes.texts import SEED, Row, Texts, from_corpus, from_environment

NUM_PATIENTS = 400
NUM_SETTINGS = 12

Sources = dict[str, list[Row]]


def medical(texts: Texts, folder: Path) -> Sources:
    """Notes, and general text to replay."""
    notes = clinical.notes(NUM_PATIENTS, SEED)
    return {"notes": _numbered("note", notes), "general": texts.english}


def code(texts: Texts, folder: Path) -> Sources:
    """Modules, some with keys left in them, and general text to replay."""
    modules = [text for text, _ in python_code.settings_modules(NUM_SETTINGS, SEED)]
    settings = [{"id": f"settings/{n}.py", "text": text} for n, text in enumerate(modules)]
    return {"code": texts.code + settings, "general": texts.english}


def language(texts: Texts, folder: Path) -> Sources:
    """German with a tenth of the English among it, as crawls have it, and the other English."""
    english = [row for n, row in enumerate(texts.english) if n % 10]
    return {"german": texts.german + texts.english[::10], "english": english}


def instruct(texts: Texts, folder: Path) -> Sources:
    """Modules as text, and questions about the functions of other modules.

    Copies of a module are on the same side, by its name: no answer stands in the domain's text.
    """
    domain = [row for row in texts.code if _is_domain(row)]
    pairs = [
        pair
        for row in texts.code
        if not _is_domain(row)
        for pair in python_code.questions(row["text"])
    ]
    asked = [
        {"id": f"question-{n}", "prompt": prompt, "completion": completion}
        for n, (prompt, completion) in enumerate(pairs)
    ]
    return {"domain": domain, "questions": asked}


def scratch(texts: Texts, folder: Path) -> Sources:
    """English, and a tokenizer of its own with an architecture in `folder`/model."""
    vocabulary.make(folder / "model", (row["text"] for row in texts.english))
    return {"english": texts.english}


RECIPES: dict[str, Callable[[Texts, Path], Sources]] = {
    "medical": medical,
    "code": code,
    "language": language,
    "instruct": instruct,
    "scratch": scratch,
}


def _is_domain(row: Row) -> bool:
    return crc32(row["id"].rpartition("/")[2].encode()) % 2 == 0


def _numbered(kind: str, texts: Sequence[str]) -> list[Row]:
    return [{"id": f"{kind}-{n}", "text": text} for n, text in enumerate(texts)]


def write(path: Path, rows: Sequence[Row]) -> None:
    """One compressed file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(zstandard.ZstdCompressor().compress(lines.encode("utf-8", "replace")))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what the named recipes read; all of them where none is named."""
    parser = argparse.ArgumentParser(prog="stand_in", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--corpus", type=Path, help="folder of docs-*.jsonl.zst")
    parser.add_argument("--to", type=Path, default=Path("build/recipes"), help="where to write")
    parser.add_argument("--megabytes", type=float, default=1.0, help="of each kind of text")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.names) - set(RECIPES)):
        parser.error(f"{', '.join(unknown)}: no such recipe; want of {', '.join(RECIPES)}")
    num_bytes = int(given.megabytes * 1e6)
    texts = from_corpus(given.corpus, num_bytes) if given.corpus else from_environment(num_bytes)
    for name in given.names or RECIPES:
        folder = given.to / name
        for source, rows in RECIPES[name](texts, folder).items():
            write(folder / "raw" / f"{source}.jsonl.zst", rows)
            print(f"{folder}/raw/{source}.jsonl.zst: {len(rows):,} rows")


if __name__ == "__main__":
    main()
