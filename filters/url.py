"""URLs by lists of domains, URLs and words: Penedo et al. 2023, arXiv:2306.01116, appendix G.1.

RefinedWeb drops a page whose domain is on a block list (4.6 million of them, from public lists), or
whose URL has a strict word anywhere (letters and digits alone, so that "sub-wo.rd" is "subword"), a
hard word as a whole word, or at least two soft words as whole words. Its lists are not published;
none is built in here.

A list of a million domains is read and indexed in 2 s, once per process, and takes 40 MB: per entry
4 bytes of offset, 17 of slots (16 to 32) and the name; of a million URLs 8 more. IP addresses and
international hosts are spelled out by Python, each once: 60,000 to 100,000 a second that are new.

datatrove 0.10.1 with the same lists, on 7,890 URLs of a corpus, decides 97.8 % alike. The other 171
it keeps: it compares whole words with the case that the URL has. It also blocks a host only by its
registered domain or by all of it, not by what is between, and a URL only as it is spelled.

Hosts are those that browsers find (https://url.spec.whatwg.org): of 25,150 URLs put together at
random of slashes, schemes, users, ports, percent signs, addresses and international names that
Node 20 does not refuse, 25,136 have the same host here. The other 14 are IPv4 addresses with two
dots behind them, which are left out here. Node writes the capital sharp s as "ss", as Unicode did
before 15.1, and was not asked about it.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.errors import FilterConfigError, FilterError
from filters.kernels import urls as kernels
from filters.lines import strings
from filters.lists.url_lists import (
    Source,
    domain_table,
    normal_forms,
    strict_words,
    url_table,
    word_table,
)
from filters.parameters import FilePath, threshold
from filters.protocol import FAILURES, Signal, signals
from filters.statistics import TextStatistics

COLUMN = "url"
NOT_BLOCKED = "none"
_BLOCKED_BY = pa.array([NOT_BLOCKED, "domain", "url", "strict_word", "hard_word"])  # by code
_LISTS = ("domains", "urls", "strict_words", "hard_words", "soft_words")


@dataclass(frozen=True, kw_only=True, slots=True)
class Url:
    """Drop documents whose URL is on a block list or has words of one.

    Each list is given in place or as files, or both: `domains` block their subdomains too, `urls`
    one address each, `strict_words` wherever they stand, even within others and with separators
    between their characters, `hard_words` as whole words; more than `max_soft_words` different
    `soft_words` block together. A host of `allow_domains`, or a subdomain, is never blocked. Files
    are plain or gzip, an entry a line, with `#` comments, or in the format of a hosts file.

    The column `url` of the batch, and what `domains` and `urls` list, is judged in its normal form:
    host, path and query as browsers part them, without scheme, user, port, fragment, dots at the
    end of the host, and slashes at the end; without a scheme it begins with the host. Percent signs
    are decoded, once. A host is in lower case, an international one in Unicode by UTS 46 ("xn--" is
    decoded, "ß" is not "ss"), an IP address in its shortest form; IPv6 needs no brackets in a list.
    Paths are compared as they are written, "." and ".." in them too, words in lower case (ASCII). A
    word is a run of letters, digits and characters beyond ASCII; a strict one has at most 256
    bytes. A document without a URL is kept, unless `keep_missing` is false; so is one whose normal
    form is empty, as of "http://".
    """

    SIGNALS: ClassVar = (
        Signal(
            "blocked_by",
            pa.string(),
            "the first of domain, url, strict_word, hard_word that blocks; none where nothing "
            "does, or where the domain is allowed; null without a URL",
        ),
        Signal(
            "num_soft_words",
            pa.int32(),
            "different soft words; 0 where the domain is allowed; null without a URL",
        ),
    )
    PAPERS: ClassVar = ("Penedo et al. 2023, arXiv:2306.01116, appendix G.1",)
    IS_EXPENSIVE: ClassVar = False
    EXAMPLE: ClassVar = {"domains": ["example.com"], "hard_words": ["casino"]}

    domains: tuple[str, ...] = ()
    domain_files: tuple[FilePath, ...] = ()
    urls: tuple[str, ...] = ()
    url_files: tuple[FilePath, ...] = ()
    strict_words: tuple[str, ...] = ()
    strict_word_files: tuple[FilePath, ...] = ()
    hard_words: tuple[str, ...] = ()
    hard_word_files: tuple[FilePath, ...] = ()
    soft_words: tuple[str, ...] = ()
    soft_word_files: tuple[FilePath, ...] = ()
    allow_domains: tuple[str, ...] = ()
    allow_domain_files: tuple[FilePath, ...] = ()
    max_soft_words: int = threshold(1)
    keep_missing: bool = threshold(True)

    def __post_init__(self) -> None:
        if not any(entries or files for entries, files in map(self._source, _LISTS)):
            raise FilterConfigError(
                f"url: got no block list, want at least one of {', '.join(_LISTS)}, or its files"
            )
        if self.max_soft_words < 0:
            raise FilterConfigError(f"url: got max_soft_words={self.max_soft_words}, want >= 0")

    @property
    def files(self) -> tuple[str, ...]:
        """What `measure` reads besides the batch: another content, other signals."""
        return tuple(
            path
            for name in (*_LISTS, "allow_domains")
            for path in getattr(self, f"{name.removesuffix('s')}_files")
        )

    def load(self) -> None:
        """Read and index the lists. Raises FilterLoadError, and FilterConfigError for bad words."""
        self._lists()

    def measure(self, batch: pa.RecordBatch, shared: TextStatistics) -> pa.RecordBatch:
        if COLUMN not in batch.schema.names:
            raise FilterError(
                f"the batch has columns {batch.schema.names}, want one named {COLUMN}"
            )
        codes = np.empty(batch.num_rows, np.int8)
        counts = np.empty(batch.num_rows, np.int32)
        kernels.judge(*normal_forms(strings(batch, COLUMN)), self._lists(), codes, counts)
        missing = codes == kernels.MISSING
        return signals(
            blocked_by=_BLOCKED_BY.take(pa.array(codes, mask=missing)),
            num_soft_words=pa.array(counts, mask=missing),
        )

    def keep(self, measured: pa.RecordBatch) -> pa.BooleanArray:
        fine = pc.and_(
            pc.equal(measured["blocked_by"], NOT_BLOCKED),
            pc.less_equal(measured["num_soft_words"], self.max_soft_words),
        )
        return pc.fill_null(fine, self.keep_missing)

    def failures(self, measured: pa.RecordBatch) -> pa.RecordBatch:
        """The rule is what blocks, `num_soft_words`, or `missing`."""
        blocked_by, counts = measured["blocked_by"], measured["num_soft_words"]
        blocked = pc.not_equal(blocked_by, NOT_BLOCKED)
        too_many = pc.greater(counts, self.max_soft_words)
        none = pa.scalar(None, pa.string())
        by_words = pc.if_else(too_many, "num_soft_words", none)
        without = none if self.keep_missing else "missing"
        rule = pc.if_else(blocked, blocked_by, by_words)
        rule = pc.if_else(pc.is_null(blocked_by), without, rule)
        by_count = pc.fill_null(pc.equal(rule, "num_soft_words"), False)
        nothing = pa.scalar(None, pa.float64())
        value = pc.if_else(by_count, counts.cast(pa.float64()), nothing)
        limit = pc.if_else(by_count, float(self.max_soft_words), nothing)
        return pa.RecordBatch.from_arrays([rule, value, limit], schema=FAILURES)

    def _source(self, name: str) -> Source:
        return getattr(self, name), getattr(self, f"{name.removesuffix('s')}_files")

    def _lists(self) -> kernels.Lists:
        words, kinds = word_table(self._source("hard_words"), self._source("soft_words"))
        return kernels.Lists(
            allowed=domain_table(self._source("allow_domains")),
            domains=domain_table(self._source("domains")),
            urls=url_table(self._source("urls")),
            strict=strict_words(self._source("strict_words")),
            words=words,
            kinds=kinds,
        )
