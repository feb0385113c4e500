"""Commands that a page describes but does not run: they have to be ones that the parsers take."""

import re
import shlex
from collections.abc import Iterator

PROGRAMS = ("prepare", "train")
# What stands for a value in a synopsis, where the parser wants more than any word.
VALUES = {"N": "2", "K": "4", "R": "0", "T": "3", "STEP": "1", "SIZE": "1GB"}


def commands(text: str) -> Iterator[list[str]]:
    """Each line that calls one of our programs, as words; optional parts are taken as given."""
    for line in text.splitlines():
        words = re.split(r"\s#", line.removeprefix("$ "))[0]
        if words.partition(" ")[0] in PROGRAMS:
            yield [VALUES.get(word, word) for word in shlex.split(_plain(words))]


def _plain(words: str) -> str:
    """Without brackets, dots of what may be repeated, Beam's own options, and the shell's part."""
    before_beam = re.split(r"\[?-- BEAM|\s--\s|\s*(?:[|;]|>|&&)", words)[0]
    return re.sub(r"\.\.\.", " ", re.sub(r"[\[\]]", " ", before_beam))


def check(words: list[str]) -> None:
    """Let the real parser read a command; SystemExit where it refuses."""
    if words[0] == "prepare":
        from pipeline.cli import build_parser

        build_parser().parse_args(words[1:])
        return
    from training.cli import PARSERS

    rest = words[1:]
    name = rest.pop(0) if rest[:1] and rest[0] in PARSERS else "run"
    PARSERS[name]().parse_args(rest)
