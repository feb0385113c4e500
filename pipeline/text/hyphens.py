"""Words that a typesetter broke at the end of a line, put together again.

A break is a hyphen between a lower-case letter and a line feed, with two letters or more before it,
and two lower-case letters or more at the beginning of the next line. The second half moves up, with
the punctuation that follows it, and the line ends after it: lines keep their number and about their
length, for the filters that count them.

The hyphen goes, unless it belongs to the word, for which the document itself is asked: it stays
where the same two halves stand with a hyphen inside a line, in a chain (`state-of-the-` `art`), and
where both halves are words of the document and the two as one word are not. No break is seen
before `and`, `or`, `und`, `oder` and `bzw` (`pre-` `and post-war`), nor in what is no word: a path,
a host, a name with an underscore or a digit.

Off by default: in text that no typesetter broke, a hyphen at the end of a line is a compound's. Of
145 different words that this joins in the development corpus without its code, some 60 are such,
which their documents have only once.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.text.buffers import strings, utf8

_NUM_CODES = 0x2000  # every cased script with hyphenation is below
_OTHER, _LETTER, _LOWER = range(3)
_TAB, _LF, _SPACE, _HYPHEN = 9, 10, 32, 45
_MIN_LETTERS = 2  # on either side: no hyphenation pattern of TeX leaves fewer
_MAX_LETTERS = 64  # a longer run is no word; without a bound, a chain of breaks costs n^2
_FNV_BASIS, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a, 64 bits
_NOT_BREAK, _DROP_HYPHEN, _KEEP_HYPHEN = range(3)
_BEFORE_WORD = np.zeros(0x80, np.bool_)
_BEFORE_WORD[[ord(c) for c in "\t\n (['\"*-"]] = True


class Joined(NamedTuple):
    """The texts, and per row how many broken words were put together."""

    texts: pa.StringArray
    num_words: NDArray[np.int32]


def dehyphenate(texts: pa.StringArray) -> Joined:
    """Put broken words together by the rules above; lines end in LF.

    `texts` has no nulls. A batch without broken words is returned as it came. Idempotent.
    """
    offsets, data = utf8(texts)
    out = np.empty(int(offsets[-1] - offsets[0]), np.uint8)  # no rule makes a text longer
    out_offsets = np.zeros_like(offsets)
    num_words = np.zeros(len(texts), np.int32)
    _dehyphenate(offsets, data, _letters(), _conjunctions(), out, out_offsets, num_words)
    if not num_words.any():
        return Joined(texts, num_words)
    return Joined(strings(out_offsets, out[: out_offsets[-1]]), num_words)


@functools.cache
def _letters() -> NDArray[np.uint8]:
    categories = [unicodedata.category(chr(code)) for code in range(_NUM_CODES)]
    kinds = [_LOWER if c == "Ll" else _LETTER if c[0] == "L" else _OTHER for c in categories]
    return np.array(kinds, np.uint8)


@functools.cache
def _conjunctions() -> NDArray[np.uint64]:
    words = [np.frombuffer(w, np.uint8) for w in (b"and", b"or", b"und", b"oder", b"bzw")]
    return np.array([_hash(word, 0, len(word), _FNV_BASIS) for word in words], np.uint64)


@njit(cache=True, nogil=True)
def _hash(data, begin, end, value):  # type: ignore[no-untyped-def]
    """FNV-1a of the bytes, capital ASCII letters as small ones."""
    for i in range(begin, end):
        byte = data[i] | 0x20 if 65 <= data[i] <= 90 else data[i]
        value = (value ^ np.uint64(byte)) * _FNV_PRIME
    return value


@njit(cache=True, nogil=True)
def _kind(data, i, letters):  # type: ignore[no-untyped-def]
    """(kind, bytes) of the character at i."""
    byte = np.int64(data[i])
    if byte < 0x80:
        return letters[byte], 1
    if byte < 0xE0:
        return letters[(byte & 0x1F) << 6 | np.int64(data[i + 1] & 0x3F)], 2
    if byte < 0xF0:
        code = (byte & 0x0F) << 12 | np.int64(data[i + 1] & 0x3F) << 6 | np.int64(data[i + 2] & 63)
        return letters[code] if code < len(letters) else _OTHER, 3
    return _OTHER, 4


@njit(cache=True, nogil=True)
def _run_begin(data, begin, end, letters):  # type: ignore[no-untyped-def]
    """(begin, letters, kind of the last one) of the run of letters that ends at `end`."""
    i, num_letters, last_kind = end, 0, _OTHER
    while i > begin:
        k = i - 1
        while k > begin and data[k] & 0xC0 == 0x80:
            k -= 1
        kind, _ = _kind(data, k, letters)
        if kind == _OTHER:
            break
        if num_letters == 0:
            last_kind = kind
        num_letters += 1
        i = k
        if num_letters > _MAX_LETTERS:
            break
    return i, num_letters, last_kind


@njit(cache=True, nogil=True)
def _run_end(data, i, end, letters):  # type: ignore[no-untyped-def]
    """(end, letters, whether the first two are lower-case) of the run of letters at i."""
    num_letters, lower = 0, True
    while i < end:
        kind, size = _kind(data, i, letters)
        if kind == _OTHER:
            break
        lower &= kind == _LOWER or num_letters >= _MIN_LETTERS
        num_letters += 1
        i += size
        if num_letters > _MAX_LETTERS:
            break
    return i, num_letters, lower


@njit(cache=True, nogil=True)
def _vocabulary(data, begin, end, letters):  # type: ignore[no-untyped-def]
    """Sorted hashes of the words of a text, and of the halves around each hyphen inside a line.

    Words are runs of letters; the halves of a word that is broken at the end of a line are none.
    """
    found = np.empty(end - begin, np.uint64)
    num_found = 0
    i = begin
    after_break = False
    before_hyphen = np.uint64(0)  # the hash of the word that a hyphen follows, if one did
    while i < end:
        kind, size = _kind(data, i, letters)
        if kind == _OTHER:
            i += size
            before_hyphen = np.uint64(0)
            continue
        value = _FNV_BASIS
        word = i
        while i < end and kind != _OTHER:
            i += size
            if i < end:
                kind, size = _kind(data, i, letters)
        value = _hash(data, word, i, value)
        if before_hyphen:
            found[num_found] = _hash(data, word, i, before_hyphen * _FNV_PRIME)
            num_found += 1
        hyphen = _hyphen_size(data, i, end)
        breaks = hyphen > 0 and i + hyphen < end and data[i + hyphen] == _LF
        if not (breaks or after_break):
            found[num_found] = value
            num_found += 1
        after_break, before_hyphen = breaks, np.uint64(0)
        if hyphen and not breaks:
            before_hyphen = value
            i += hyphen
    return np.sort(found[:num_found])


@njit(cache=True, nogil=True)
def _holds(vocabulary, value):  # type: ignore[no-untyped-def]
    place = np.searchsorted(vocabulary, value)
    return place < len(vocabulary) and vocabulary[place] == value


@njit(cache=True, nogil=True)
def _hyphen_size(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of the hyphen, `-` or U+2010, that begins at i; 0 if none does."""
    if i < end and data[i] == _HYPHEN:
        return 1
    if i + 2 < end and data[i] == 0xE2 and data[i + 1] == 0x80 and data[i + 2] == 0x90:
        return 3
    return 0


@njit(cache=True, nogil=True)
def _last_hyphen_size(out, begin, w):  # type: ignore[no-untyped-def]
    """Bytes of the hyphen that `out[begin:w]` ends with; 0 if with none."""
    size = _hyphen_size(out, w - 1, w) if w > begin else 0
    return size if size or w < begin + 3 else _hyphen_size(out, w - 3, w)


@njit(cache=True, nogil=True)
def _skip_blanks(data, i, end):  # type: ignore[no-untyped-def]
    while i < end and (data[i] == _SPACE or data[i] == _TAB):
        i += 1
    return i


@njit(cache=True, nogil=True)
def _is_break(out, begin, hyphen, data, i, end, letters, conjunctions):  # type: ignore[no-untyped-def]
    """Whether a word ends at `out[hyphen]` whose other half begins at `data[i]`."""
    left, num_left, last_kind = _run_begin(out, begin, hyphen, letters)
    if not _MIN_LETTERS <= num_left <= _MAX_LETTERS or last_kind != _LOWER:
        return False
    if left > begin and out[left - 1] < 0x80 and not _BEFORE_WORD[out[left - 1]]:
        return False
    right, num_right, lower = _run_end(data, i, end, letters)
    if not _MIN_LETTERS <= num_right <= _MAX_LETTERS or not lower:
        return False
    return not np.any(conjunctions == _hash(data, i, right, _FNV_BASIS))


@njit(cache=True, nogil=True)
def _keeps_hyphen(out, begin, hyphen, data, i, end, letters, vocabulary):  # type: ignore[no-untyped-def]
    """Whether the hyphen of a broken word is part of it."""
    left, _, _ = _run_begin(out, begin, hyphen, letters)
    right, _, _ = _run_end(data, i, end, letters)
    if left > begin and out[left - 1] == _HYPHEN:
        return True
    if right + 1 < end and data[right] == _HYPHEN and _run_end(data, right + 1, end, letters)[1]:
        return True
    first = _hash(out, left, hyphen, _FNV_BASIS)
    if _holds(vocabulary, _hash(data, i, right, first * _FNV_PRIME)):
        return True
    if _holds(vocabulary, _hash(data, i, right, first)):
        return False
    second = _hash(data, i, right, _FNV_BASIS)
    return _holds(vocabulary, first) and _holds(vocabulary, second)


@njit(cache=True, nogil=True)
def _dehyphenate(offsets, data, letters, conjunctions, out, out_offsets, num_words):  # type: ignore[no-untyped-def]
    w = 0
    for row in range(len(offsets) - 1):
        begin, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        i, row_begin = begin, w
        vocabulary = np.empty(0, np.uint64)
        while i < end:
            if data[i] != _LF:
                out[w] = data[i]
                w += 1
                i += 1
                continue
            size = _last_hyphen_size(out, row_begin, w)
            half = _skip_blanks(data, i + 1, end)
            hyphen = w - size
            if size == 0 or not _is_break(
                out, row_begin, hyphen, data, half, end, letters, conjunctions
            ):
                out[w] = _LF
                w += 1
                i += 1
                continue
            if num_words[row] == 0:
                vocabulary = _vocabulary(data, begin, end, letters)
            num_words[row] += 1
            if not _keeps_hyphen(out, row_begin, hyphen, data, half, end, letters, vocabulary):
                w = hyphen
            i = half
            while i < end and data[i] != _LF:  # to the end of the word, or of what it hangs on
                after = _skip_blanks(data, i, end)
                if after > i and not _last_hyphen_size(out, row_begin, w):
                    if after < end and data[after] != _LF:
                        out[w] = _LF
                        w += 1
                    i = after
                    break
                out[w] = data[i]
                w += 1
                i += 1
        out_offsets[row + 1] = w
