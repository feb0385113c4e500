"""What MkDocs calls while it builds: generated pages, and links to files outside of `docs/`.

Pages link to files of the repository by relative paths, as a person reads them in a clone; in the
site such a file is a page of its own with its text, under `source/`.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

from reference import pages  # noqa: E402
from reference.sources import LINK, outside, source_page  # noqa: E402


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and one page for each file or folder that pages link to."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    written = [file for file in files.documentation_pages() if not file.generated_by]
    for target in sorted({found for file in written for found in _linked(file)}):
        page = File.generated(
            config,
            f"source/{target}.md",
            content=source_page(target),
            inclusion=InclusionLevel.NOT_IN_NAV,
        )
        files.append(page)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links to files outside of `docs/` to their pages."""
    here = posixpath.dirname(page.file.src_uri)

    def led(match: re.Match[str]) -> str:
        target = outside(page.file.src_uri, match[1])
        if target is None:
            return match[0]
        return f"]({posixpath.relpath(f'source/{target}.md', here or '.')})"

    return LINK.sub(led, markdown)


def _linked(file: File) -> list[str]:
    text = file.content_string
    return [
        target for link in LINK.findall(text) if (target := outside(file.src_uri, link)) is not None
    ]
