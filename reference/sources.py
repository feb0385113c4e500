"""Files of the repository that pages link to, as pages."""

import posixpath
import re
from pathlib import Path

from reference.markdown import page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)#\s]+)\)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".json": "json", ".md": "markdown"}
MAX_FENCE = "````"  # longer than the fences of a page that is shown


def outside(page_path: str, link: str) -> str | None:
    """The path in the repository of what a link of a page leads to, where that is not in `docs/`.

    None for a link to another page, to another host, or to nothing.
    """
    if ":" in link or link.startswith("/"):
        return None
    target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page_path), link))
    inside = target == "docs" or target.startswith("docs/")
    return None if inside or not (ROOT / target).exists() else target


def source_page(target: str) -> str:
    """A file, or each text file of a folder, with its name."""
    path = ROOT / target
    files = [path] if path.is_file() else _text_files(path)
    return page(f"# {target}", *(_shown(file, path) for file in files))


def _text_files(folder: Path) -> list[Path]:
    found = (path for path in sorted(folder.rglob("*")) if path.suffix in LANGUAGES)
    return [path for path in found if "__pycache__" not in path.parts]


def _shown(file: Path, root: Path) -> str:
    title = "" if file == root else f"## {file.relative_to(root).as_posix()}\n\n"
    language = LANGUAGES.get(file.suffix, "text")
    return f"{title}{MAX_FENCE}{language}\n{file.read_text(encoding='utf-8').rstrip()}\n{MAX_FENCE}"
