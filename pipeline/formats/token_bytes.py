"""How many bytes of text each token of a tokenizer spells, for sets that come without their text.

Losses are compared in bits per byte, so rows say how many bytes they hold.
"""

from pathlib import Path

import numpy as np

from pipeline.tokens.engines import read_settings
from pipeline.tracing.spelling import read_spelling

WORD_PIECE = "##"


def token_bytes(path: Path, num_ids: int) -> np.ndarray:
    """Bytes by token id, int64 (num_ids), from a `tokenizer.json`.

    Exact for byte-level and SentencePiece vocabularies. BERT's drop the spaces between words, which
    are counted as one a word. Special tokens spell nothing, nor do ids that are in no vocabulary.
    """
    settings = read_settings(path)
    spelling = read_spelling(settings)
    ids = range(num_ids)
    sizes = np.array([len(spelled) for spelled in spelling.of(ids)], np.int64)
    if spelling.scheme is None:
        names = [spelling.name(token_id) for token_id in ids]
        inside = np.array([name is not None and name.startswith(WORD_PIECE) for name in names])
        sizes += np.where(inside, -len(WORD_PIECE), 1) * np.array([bool(name) for name in names])
    sizes[list(settings.special.values())] = 0
    return sizes
