"""Foreign text made fit for the page: without personal data, and without what acts on a reader.

Texts come from the stored documents, where PII is replaced as the manifest says. The page masks it
once more, with the built-in recognisers of every kind: a kind that the manifest leaves in the texts
is not shown either. What no recogniser finds, such as a name, is.
"""

import re
from collections.abc import Sequence
from functools import cache

import pyarrow as pa

from pipeline.report.html.limits import LOOKED_CHARS, SAMPLE_CHARS
from pipeline.report.visible import visible, visible_lines
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.registry import KINDS

CUT = " …"
# Of names and settings, in which long numbers are no telephones.
NAMED_KINDS = ("email", "url_credentials", "secret")
# An address that is a file's name ends with no known domain, but with .jsonl.
_ADDRESS = re.compile(r"[^\s/@'\"]+@[^\s/@'\"]+")


def masked(texts: Sequence[str]) -> list[str]:
    """The texts with `[KIND]` in the place of PII of every kind."""
    return _anonymised(texts, tuple(KINDS))


def excerpts(texts: Sequence[str]) -> list[str]:
    """The beginnings of texts, masked before they are cut: a half address is none that is found."""
    found = masked([text[:LOOKED_CHARS] for text in texts])
    return [lines(one[:SAMPLE_CHARS]) + (CUT if len(one) > SAMPLE_CHARS else "") for one in found]


def names(values: Sequence[str]) -> list[str]:
    """Paths and other names on one line, without addresses and secrets."""
    return [visible(one) for one in _settings(values)]


@cache
def name(value: str) -> str:
    """One of `names`."""
    return names([value])[0]


def settings(text: str) -> str:
    """A manifest, without addresses and secrets, line by line."""
    return lines(_settings([text])[0])


def lines(text: str) -> str:
    """With control and format characters made visible, line ends aside."""
    return "\n".join(visible_lines(text))


def _settings(values: Sequence[str]) -> list[str]:
    return [_ADDRESS.sub("[EMAIL]", one) for one in _anonymised(values, NAMED_KINDS)]


def _anonymised(texts: Sequence[str], kinds: tuple[str, ...]) -> list[str]:
    if not texts:
        return []
    found = anonymise(pa.array(list(texts), pa.string()), PiiConfig(kinds=kinds))
    replaced: list[str] = found.texts.to_pylist()
    return replaced
