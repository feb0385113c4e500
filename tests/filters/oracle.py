"""The counts of `TextStatistics` and Gopher's rules in plain Python, from their definitions.

The rules are those of Rae et al. 2021 (arXiv:2112.11446), appendix A.1.
"""

import re
import unicodedata
from fractions import Fraction

WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(chr(point) for point in range(0x2000, 0x200B))
    + "\u2028\u2029\u202f\u205f\u3000"
)
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

_WORD = re.compile(f"[^{WHITE_SPACE}]+")
_LINE_END = re.compile("\r\n|\r|\n")


def words(text):
    return _WORD.findall(text)


def lines(text):
    found = _LINE_END.split(text)
    return found if found[-1] else found[:-1]


def letter_runs(text):
    """Runs of letters and marks, A to Z in lower case."""
    masked = "".join(c if unicodedata.category(c)[0] in "LM" else " " for c in text)
    return {run.encode().lower().decode() for run in masked.split(" ")} - {""}


def counts(text):
    text = text or ""
    return {
        "num_bytes": len(text.encode()),
        "num_chars": len(text),
        "num_words": len(words(text)),
        "num_word_chars": sum(map(len, words(text))),
        "num_alpha_words": sum(any(c.isalpha() for c in word) for word in words(text)),
        "num_lines": len(lines(text)),
        "num_bullet_lines": sum(
            line.lstrip(WHITE_SPACE).startswith(tuple("•‣◦▪-*")) for line in lines(text)
        ),
        "num_ellipsis_lines": sum(
            line.rstrip(WHITE_SPACE).endswith(("...", "…")) for line in lines(text)
        ),
        "num_hashes": text.count("#"),
        "num_ellipses": text.count("...") + text.count("…"),
    }


def gopher_failures(text):
    """Every rule of the paper that the text violates, in the paper's order; exact arithmetic."""
    of = counts(text)
    per_word = Fraction(1, of["num_words"] or 1)
    per_line = Fraction(1, of["num_lines"] or 1)
    rules = {
        "num_words": 50 <= of["num_words"] <= 100_000,
        "mean_word_length": 3 <= of["num_word_chars"] * per_word <= 10,
        "hash_word_ratio": of["num_hashes"] * per_word <= Fraction(1, 10),
        "ellipsis_word_ratio": of["num_ellipses"] * per_word <= Fraction(1, 10),
        "bullet_line_ratio": of["num_bullet_lines"] * per_line <= Fraction(9, 10),
        "ellipsis_line_ratio": of["num_ellipsis_lines"] * per_line <= Fraction(3, 10),
        "alpha_word_ratio": of["num_alpha_words"] * per_word >= Fraction(8, 10),
        "num_stop_words": len(letter_runs(text or "") & set(STOP_WORDS)) >= 2,
    }
    return [rule for rule, holds in rules.items() if not holds]
