"""rensa as its README uses it, with shingles of 5 words made in Python, on texts in memory.

Run by an interpreter that has rensa 0.5: 112 permutations, the digest included.
"""

from collections.abc import Callable
from typing import Any

from rensa import CMinHash, RMinHash
from rounds import serve, texts

NUM_PERM, NGRAM, SEED = 112, 5, 42


def shingles(text: str) -> list[str]:
    """Of lower-case words between white space; a shorter text is one shingle."""
    words = text.lower().split()
    return [" ".join(words[i : i + NGRAM]) for i in range(max(1, len(words) - NGRAM + 1))]


def main() -> None:
    """Both sketches of the library, a document at a time."""
    found = texts()

    def sign(kind: Callable[..., Any]) -> None:
        for text in found:
            signature = kind(num_perm=NUM_PERM, seed=SEED)
            signature.update(shingles(text))
            signature.digest()

    serve({f"rensa {kind.__name__}": lambda kind=kind: sign(kind) for kind in (RMinHash, CMinHash)})


if __name__ == "__main__":
    main()
