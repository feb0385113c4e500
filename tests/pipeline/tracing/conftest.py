"""The tokenizers of the token tests and the corpus of the explaining ones, in which all happens."""

from tests.pipeline.explaining.conftest import explained
from tests.pipeline.tokens.conftest import byte_level, unigram, word_piece

__all__ = ["byte_level", "explained", "unigram", "word_piece"]
