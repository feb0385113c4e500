"""Foreign text made fit for the page: without personal data, and without what acts on a reader.

Texts come from the stored documents, where PII is replaced as the manifest says. The page masks it
once more, with the built-in recognisers of every kind: a kind that the manifest leaves in the texts
is not shown either. What no recogniser finds, such as a name, is.
"""

import re
from collections.abc import Sequence
from functools import cache

import pyarrow as pa

from pipeline.report.html.limits import LOOKED_CHARS, NAME_CHARS, SAMPLE_CHARS
from pipeline.report.visible import visible, visible_lines
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.registry import KINDS

CUT = " …"
UNSURE_CHARS = 400  # longer than anything that is found, but for keys, whose beginning is enough
# Of names and settings, in which long numbers are no telephones.
NAMED_KINDS = ("email", "url_credentials", "secret", "iban", "credit_card", "us_ssn")
# An address that is a file's name ends with no known domain, but with .jsonl.
_ADDRESS = re.compile(r"[^\s/@'\"]+@[^\s/@'\"]+")
# What stands for a person where a file is named after one, such as 536-22-8726.txt
_NUMBER = re.compile(r"(?<![\w.-])\d[\d -]{7,30}\d(?![\w-])")


def masked(texts: Sequence[str]) -> list[str]:
    """The texts with `[KIND]` in the place of PII of every kind."""
    return _anonymised(texts, tuple(KINDS))


def excerpts(texts: Sequence[str]) -> list[str]:
    """The beginnings of texts, masked before they are cut: a half address is none that is found."""
    found = heads(texts, LOOKED_CHARS)
    return [lines(one[:SAMPLE_CHARS]) + (CUT if len(one) > SAMPLE_CHARS else "") for one in found]


def heads(texts: Sequence[str], num_chars: int) -> list[str]:
    """The first `num_chars` of texts, masked.

    Of a longer text the last `UNSURE_CHARS` of them are left out: there an address may begin whose
    end was not looked at.
    """
    found = masked([text[:num_chars] for text in texts])
    return [
        head[: max(0, len(head) - UNSURE_CHARS)] if len(text) > num_chars else head
        for text, head in zip(texts, found, strict=True)
    ]


def names(values: Sequence[str]) -> list[str]:
    """Paths and other names on one line, without addresses and secrets; of a long one the ends."""
    return [shortened(visible(one), NAME_CHARS) for one in _settings(values)]


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


def shortened(text: str, num_chars: int) -> str:
    """The beginning and the end of what is longer than so many characters."""
    half = num_chars // 2
    return text if len(text) <= num_chars else f"{text[:half]} … {text[-half:]}"


def _settings(values: Sequence[str]) -> list[str]:
    found = _anonymised(values, NAMED_KINDS)
    return [_NUMBER.sub(_without_number, _ADDRESS.sub("[EMAIL]", one)) for one in found]


def _without_number(found: re.Match[str]) -> str:
    """Looked at alone: between slashes the recognisers take it for a part of an address."""
    return _anonymised([found[0]], NAMED_KINDS)[0]


def _anonymised(texts: Sequence[str], kinds: tuple[str, ...]) -> list[str]:
    if not texts:
        return []
    found = anonymise(pa.array(list(texts), pa.string()), PiiConfig(kinds=kinds))
    replaced: list[str] = found.texts.to_pylist()
    return replaced
