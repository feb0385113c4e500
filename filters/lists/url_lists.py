"""Block lists and allow lists of hosts, URLs and words, read from files and indexed for look-up.

A file is plain or gzip (by its first bytes), UTF-8, with one entry a line. What follows a "#" at
the beginning of a line or behind white space is a comment. Lines of a hosts file, which name an
address before one host or several (`0.0.0.0 example.com`), name those hosts.
"""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterConfigError, FilterLoadError
from filters.files import cached_by_files
from filters.kernels import url_forms
from filters.kernels import urls as kernels
from filters.lists.hosts import one_spelling

MAX_STRICT_BYTES = 256  # each byte of a URL may be compared with so many
MIN_ENDING_BYTES = 1 << 17  # of 2,000 strings one bit in 500 is set; of many, one in 64
GZIP = b"\x1f\x8b"
_COMMENT = r"(^|\s)#.*$"
_ADDRESS = r"^(0\.0\.0\.0|127\.0\.0\.1|255\.255\.255\.255|::1?|(fe80|ff0\d)::\S+)\s+"
_IPV6 = r"^([0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)(/|$)"  # without its brackets
_ANY_SUBDOMAIN = r"^(\*?\.)+"  # as lists of other programs write it; here it goes without saying
_SEPARATORS = r"[\x00-/:-@\[-`{-\x7f]"  # ASCII but letters and digits

Source = tuple[tuple[str, ...], tuple[str, ...]]  # entries, and files of entries


@cached_by_files(lambda source: source[1])
def domain_table(source: Source) -> kernels.Table:
    """Hosts; an entry that is a URL counts as its host."""
    entries = pc.replace_substring_regex(_entries(source), _ANY_SUBDOMAIN, "")
    found = normal_forms(_bracketed(entries))
    stops = found.offsets[:-1] + found.host_bytes
    parts = np.stack([found.offsets[:-1], stops], axis=1).ravel()  # of host, rest, host, rest ...
    both = _strings(np.append(parts, found.offsets[-1]), found.data)
    hosts = both.take(np.arange(0, len(both), 2))
    return _table(hosts, window_bytes=0)  # hosts are looked up part by part


@cached_by_files(lambda source: source[1])
def url_table(source: Source) -> kernels.Table:
    """URLs in their normal form."""
    found = normal_forms(_bracketed(_entries(source)))
    return _table(_strings(found.offsets, found.data))


@cached_by_files(lambda hard, soft: (*hard[1], *soft[1]))
def word_table(hard: Source, soft: Source) -> tuple[kernels.Table, npt.NDArray[np.uint8]]:
    """Whole words in lower case, and the kinds of each.

    Raises FilterConfigError for a word with a separator: it would stand nowhere.
    """
    of_kind = [pc.ascii_lower(_entries(source)) for source in (hard, soft)]
    words = pc.unique(pa.concat_arrays(of_kind))
    words = words.filter(pc.not_equal(words, ""))
    parted = words.filter(pc.match_substring_regex(words, _SEPARATORS))
    if len(parted):
        raise FilterConfigError(
            f"url: got the word {parted[0].as_py()!r}, want letters and digits alone "
            "(list its parts, or put it among the strict words)"
        )
    is_hard, is_soft = (
        pc.is_in(words, value_set=listed).to_numpy(zero_copy_only=False) for listed in of_kind
    )
    return _table(words), (is_hard * kernels.HARD + is_soft * kernels.SOFT).astype(np.uint8)


@cached_by_files(lambda source: source[1])
def strict_words(source: Source) -> kernels.StrictWords:
    """Words in lower case and without separators, to be found within others.

    Raises FilterConfigError for a word of more than MAX_STRICT_BYTES.
    """
    words = pc.replace_substring_regex(pc.ascii_lower(_entries(source)), _SEPARATORS, "")
    too_long = words.filter(pc.greater(pc.binary_length(words), MAX_STRICT_BYTES))
    if len(too_long):
        raise FilterConfigError(
            f"url: got a strict word of {len(too_long[0].as_py().encode())} bytes "
            f"({too_long[0].as_py()[:40]!r}...), want at most {MAX_STRICT_BYTES} "
            "(list a part of it, or the whole URL in urls)"
        )
    lengths = pc.binary_length(words.filter(pc.not_equal(words, "")))
    span = pc.min_max(lengths)
    shortest, longest = (span[key].as_py() or 0 for key in ("min", "max"))
    table = _table(words, min(kernels.WINDOW, shortest))
    return kernels.StrictWords(table, shortest, longest)


def buffers(strings: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Offsets (n + 1) and bytes of an array of strings, slices and nulls (empty) too."""
    strings = strings.fill_null("") if strings.null_count else strings
    if pa.types.is_string_view(strings.type):
        strings = strings.cast(pa.large_string())
    is_large = pa.types.is_large_string(strings.type) or pa.types.is_large_binary(strings.type)
    width = np.int64 if is_large else np.int32
    _, offset_buffer, data_buffer = strings.buffers()
    data = np.frombuffer(data_buffer or b"", np.uint8)
    data.flags.writeable = False  # some buffers are not: the kernels would compile twice
    if not len(strings):
        return np.zeros(1, np.int64), data
    stored = np.frombuffer(offset_buffer, width)
    return stored[strings.offset : strings.offset + len(strings) + 1].astype(np.int64), data


class Forms(NamedTuple):
    """Normal forms of URLs: form i is `data[offsets[i]:offsets[i + 1]]`, its host at the front."""

    offsets: npt.NDArray[np.int64]  # (n + 1)
    data: npt.NDArray[np.uint8]
    host_bytes: npt.NDArray[np.int64]  # (n)


def normal_forms(urls: pa.Array) -> Forms:
    """The normal form of each URL, with the one spelling of its host; empty of a null."""
    offsets, data = buffers(urls)
    num_rows = len(offsets) - 1
    found = Forms(
        np.empty(num_rows + 1, np.int64),
        np.empty(int(offsets[-1] - offsets[0]), np.uint8),
        np.empty(num_rows, np.int64),
    )
    is_other = np.empty(num_rows, np.bool_)
    url_forms.normal_forms(offsets, data, *found, is_other)
    found.data.flags.writeable = False  # as what `buffers` gives
    return _spelled(found, is_other) if is_other.any() else found


def _spelled(found: Forms, is_other: npt.NDArray[np.bool_]) -> Forms:
    """The forms with the hosts of `is_other`, few in most corpora, in their one spelling."""
    rows = np.flatnonzero(is_other)
    begins, stops = found.offsets[rows], found.offsets[rows + 1]
    middles = begins + found.host_bytes[rows]
    data = found.data.tobytes()
    spans = [*zip(begins.tolist(), middles.tolist(), stops.tolist(), strict=True)]
    hosts = [one_spelling(data[begin:middle]) for begin, middle, _ in spans]
    forms = [host + data[middle:stop] for host, (_, middle, stop) in zip(hosts, spans, strict=True)]
    offsets, buffer = found.offsets, found.data
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(buffer)]
    )
    whole = pc.replace_with_mask(whole, pa.array(is_other), pa.array(forms, pa.large_binary()))
    host_bytes = found.host_bytes.copy()
    host_bytes[rows] = [*map(len, hosts)]
    return Forms(*buffers(whole), host_bytes)


def _entries(source: Source) -> pa.StringArray:
    inline, files = source
    read = [_read(name) for name in files]
    return pa.concat_arrays([pc.utf8_trim_whitespace(pa.array(inline, pa.string())), *read])


def _read(path: str) -> pa.StringArray:
    """The entries of a file. Raises FilterLoadError where it cannot be read."""
    try:
        contents = Path(path).expanduser().read_bytes()
        if contents.startswith(GZIP):
            contents = gzip.decompress(contents)
        text = pa.array([contents], pa.large_binary()).cast(pa.large_string())
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error) as exc:
        raise FilterLoadError(
            f"url: cannot read the list {path!r} ({exc}); "
            "want UTF-8, plain or gzip, an entry a line"
        ) from exc
    lines = pc.replace_substring_regex(pc.split_pattern(text, "\n").flatten(), _COMMENT, "")
    of_hosts = pc.match_substring_regex(lines, _ADDRESS)
    hosts = pc.replace_substring_regex(lines.filter(of_hosts), _ADDRESS, "")
    hosts = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(hosts)).flatten()
    others = pc.utf8_trim_whitespace(lines.filter(pc.invert(of_hosts)))
    return pa.concat_arrays([others, hosts]).cast(pa.string())


def _bracketed(entries: pa.StringArray) -> pa.StringArray:
    """The entries, IPv6 addresses in brackets, as in URLs."""
    return pc.replace_substring_regex(entries, _IPV6, r"[\1]\2")


def _strings(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> pa.LargeStringArray:
    """Not checked: what percent signs spell may be no UTF-8."""
    return pa.LargeStringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data)
    )


def _table(strings: pa.Array, window_bytes: int = kernels.WINDOW) -> kernels.Table:
    """The strings without duplicates and empty ones, indexed; no endings of `window_bytes` 0."""
    strings = pc.unique(strings.filter(pc.not_equal(strings, "")))
    offsets, data = buffers(strings)
    num_slots = 1 << (2 * len(strings)).bit_length()  # at most half of them are taken
    num_ending_bytes = max(MIN_ENDING_BYTES, 4 * num_slots) if window_bytes else 1
    endings = np.zeros(num_ending_bytes, np.uint8)
    slots = np.zeros(num_slots, np.uint64)
    table = kernels.Table(offsets.astype(np.int32), data, slots, endings)
    kernels.index_strings(table, window_bytes)
    return table
