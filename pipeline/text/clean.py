"""HTML to text, garbled text repaired, Unicode, invisible characters, line ends, broken words and
white space; each change counted.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from pipeline.configfile import Config
from pipeline.text.buffers import replace_rows
from pipeline.text.html.extract import Extractor
from pipeline.text.html.pages import HtmlMode, read_pages
from pipeline.text.hyphens import dehyphenate
from pipeline.text.mojibake import may_be_garbled, repair
from pipeline.text.unicode import normalise
from pipeline.text.whitespace import tidy

# One change may make place for another: a control goes, and a letter meets its accent. Texts that
# changed are looked at again, until nothing changes; the development corpus needs two rounds.
MAX_ROUNDS = 8
TOO_COMPLEX = "html_too_complex"  # a code of `sources.schema.REASONS`

_SETTLED = pa.schema(
    [
        pa.field("num_mojibake_repaired", pa.int32(), nullable=False),  # lines
        pa.field("num_control_removed", pa.int32(), nullable=False),  # characters
        pa.field("num_invisible_removed", pa.int32(), nullable=False),  # characters
        pa.field("num_line_ends_changed", pa.int32(), nullable=False),  # to a line feed
        pa.field("whitespace_collapsed", pa.int32(), nullable=False),  # 0 or 1
        pa.field("unicode_normalised", pa.int32(), nullable=False),  # 0 or 1
        pa.field("num_dehyphenated", pa.int32(), nullable=False),  # words
    ]
)
CHANGES = pa.schema([pa.field("html_stripped", pa.int32(), nullable=False), *_SETTLED])  # 0 or 1
_IS_COUNT = np.array([name.startswith("num_") for name in CHANGES.names])[:, None]


class CleanConfig(Config):
    """What is cleaned. U+0000 goes and CR LF and CR become LF whatever is chosen."""

    html: HtmlMode = Field(
        default="auto",
        description="Which documents are HTML; `auto`: those that look like it, and those that a "
        "web source declares to be. Where prompts or messages make the texts, `auto` is `never`, "
        "unless the source itself says it.",
    )
    extract: Extractor = Field(
        default="resiliparse",
        description="What is taken of a page: its main content, by `resiliparse` (fast) or "
        "`trafilatura` (an extra, 20 times as slow), or all its text (`strip`).",
    )
    max_html_depth: int = Field(
        default=256,
        ge=8,
        description="Elements of a page that may lie in each other; a page that nests deeper is "
        "quarantined, for parsing it takes time that grows with the square. Few pages that people "
        "write reach 40; browsers stop at 512.",
    )
    fix_mojibake: bool = Field(
        default=True, description="Repair text that was read in a wrong encoding, by ftfy."
    )
    unicode: Literal["NFC", "NFKC", "none"] = Field(
        default="NFC", description="The normalisation form of all text."
    )
    remove_controls: bool = Field(
        default=True,
        description="Remove control characters, byte order marks and marks of annotation, and "
        "end lines at VT, FF, NEL, U+2028 and U+2029.",
    )
    remove_invisible: bool = Field(
        default=True,
        description="Remove zero-width characters, soft hyphens, marks of writing direction and "
        "tags, where they are no part of the spelling.",
    )
    dehyphenate: bool = Field(
        default=False, description="Put words together that are broken at the end of a line."
    )
    collapse_whitespace: bool = Field(
        default=True,
        description="Runs of blanks inside a line become one space, blanks at its end go, of "
        "several blank lines one stays.",
    )

    @property
    def libraries(self) -> list[str]:
        """Distributions whose releases decide what comes out."""
        html = [] if self.html == "never" else ["resiliparse", "selectolax"]
        if html and self.extract == "trafilatura":
            html += ["trafilatura", "justext", "lxml"]
        return [*html, *(["ftfy"] if self.fix_mojibake else [])]


# Program text: indentation and blank lines are syntax or meant, a string literal is data. What is
# left changes no syntax tree: compilers, too, see CR LF and CR as LF and skip a byte order mark.
CODE: dict[str, Any] = {
    "html": "never",
    "fix_mojibake": False,
    "unicode": "none",
    "remove_controls": False,
    "remove_invisible": False,
    "dehyphenate": False,
    "collapse_whitespace": False,
}


class Cleaned(NamedTuple):
    """One row for each text that came in."""

    texts: pa.StringArray
    changes: pa.RecordBatch  # CHANGES: what was done
    head: pa.RecordBatch  # `html.head.HEAD`: what a page says of itself
    problem: pa.StringArray  # why a text was refused, in a sentence; null for the others
    reason: pa.StringArray  # of these the code in `sources.schema.REASONS`

    def filter(self, mask: pa.BooleanArray) -> "Cleaned":
        """The rows of the mask."""
        return Cleaned(*(column.filter(mask) for column in self))


def clean(
    texts: pa.StringArray, config: CleanConfig, declared: NDArray[np.bool_] | None = None
) -> Cleaned:
    """Clean each text; the rules are those of the modules that this one imports.

    `texts` has no nulls; it may be empty or a slice. `declared` says which are HTML by what is
    known of them, with `html: auto`. A batch in which nothing changes is returned as it came.

    Cleaning what is clean, with `html: never`, changes nothing. What was extracted of a page is
    text, and is not looked at again; but a page about HTML may, as text, look like a page to
    another cleaning.
    """
    pages = read_pages(texts, config.html, config.extract, config.max_html_depth, declared)
    texts, settled = _settle(pages.texts, config)
    columns = [pa.array(column) for column in (pages.is_page.astype(np.int32), *settled)]
    changes = pa.RecordBatch.from_arrays(columns, schema=CHANGES)
    return Cleaned(texts, changes, pages.head, pages.problem, reasons(pages.problem, TOO_COMPLEX))


def reasons(problem: pa.StringArray, code: str) -> pa.StringArray:
    """The code for each text that has a problem; null for the others."""
    return pc.if_else(problem.is_valid(), pa.scalar(code), pa.scalar(None, pa.string()))


def _settle(
    texts: pa.StringArray, config: CleanConfig, rounds: int = MAX_ROUNDS
) -> tuple[pa.StringArray, NDArray[np.int32]]:
    """All of cleaning but HTML; the rows of the second value are the columns of `_SETTLED`.

    Mojibake goes first, for controls and odd spaces are what it is known by. Controls go before
    normalising, for one may stand between a letter and its accent.
    """
    texts, changes = _once(texts, config)
    mask = _unsettled(texts, config, changes)
    if rounds > 1 and mask.any():
        rows, more = _settle(texts.filter(pa.array(mask)), config, rounds - 1)
        texts = replace_rows(texts, mask, rows) if more.any() else texts
        changes[:, mask] = _added(changes[:, mask], more)
    return texts, changes


def _once(texts: pa.StringArray, config: CleanConfig) -> tuple[pa.StringArray, NDArray[np.int32]]:
    num_repaired, num_joined = np.zeros((2, len(texts)), np.int32)
    normalised = np.zeros(len(texts), np.bool_)
    if config.fix_mojibake:
        texts, num_repaired = repair(texts)
    texts, num_control, num_line_ends, num_invisible, collapsed = tidy(
        texts,
        collapse_whitespace=config.collapse_whitespace,
        remove_invisible=config.remove_invisible,
        remove_controls=config.remove_controls,
    )
    if config.unicode != "none":
        texts, normalised = normalise(texts, config.unicode)
    if config.dehyphenate:
        texts, num_joined = dehyphenate(texts)
    columns = (num_repaired, num_control, num_invisible, num_line_ends, collapsed, normalised)
    return texts, np.stack([*columns, num_joined]).astype(np.int32)


def _unsettled(
    texts: pa.StringArray, config: CleanConfig, changes: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Rows that another round may change: whatever was not merely tidied, and what may be garbled
    now that it is tidy."""
    num_repaired, *tidied, normalised, num_joined = changes
    mask: NDArray[np.bool_] = (num_repaired > 0) | (normalised > 0) | (num_joined > 0)
    changed = np.any(tidied, axis=0) & ~mask
    if config.fix_mojibake and changed.any():
        mask[changed] = may_be_garbled(texts.filter(pa.array(changed)))
    return mask


def _added(changes: NDArray[np.int32], more: NDArray[np.int32]) -> NDArray[np.int32]:
    """Both together: counts are added up, what is 0 or 1 stays so."""
    return np.where(_IS_COUNT[1:], changes + more, changes | more).astype(np.int32)
