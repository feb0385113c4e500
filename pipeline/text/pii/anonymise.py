"""Personal data out of the texts, and counted."""

from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import field_validator

from pipeline.configfile import Config
from pipeline.text.buffers import replace_rows
from pipeline.text.pii.credit_card import CREDIT_CARD
from pipeline.text.pii.email import EMAIL
from pipeline.text.pii.ip import IPV4, IPV6
from pipeline.text.pii.phone import AMERICAN, INTERNATIONAL
from pipeline.text.pii.spans import find_spans, replace_spans, rows_of
from pipeline.text.pii.us_ssn import US_SSN

Kind = Literal["email", "phone", "ip", "credit_card", "us_ssn"]

# In order of priority: the stricter the check, the earlier. Length comes before priority.
RECOGNIZERS = (EMAIL, CREDIT_CARD, US_SSN, IPV4, IPV6, INTERNATIONAL, AMERICAN)


class PiiConfig(Config):
    """Which kinds of PII to replace by their tag (`[EMAIL]`), or `mode: off`."""

    mode: Literal["tag", "off"] = "tag"
    kinds: tuple[Kind, ...] = ("email", "phone", "ip", "credit_card", "us_ssn")

    @field_validator("kinds")
    @classmethod
    def _no_kind_twice(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if len(set(kinds)) < len(kinds):
            raise ValueError("a kind stands there twice; name each at most once")
        return kinds


class Anonymised(NamedTuple):
    """The texts without PII, and per row an int32 `num_pii_<kind>` for each kind configured."""

    texts: pa.StringArray
    counts: pa.RecordBatch


def anonymise(texts: pa.StringArray, config: PiiConfig) -> Anonymised:
    """Replace every span of the configured kinds by `[KIND]`.

    `texts` has no nulls; it may be empty or a slice. Rows without PII keep their bytes, and a batch
    without any is returned as it came. A second call on the result finds nothing: a replacement may
    lay bare what stood too close to another number before, so changed rows are read again until
    nothing is found. Each round replaces something by a tag, which no recogniser accepts.
    """
    kinds = config.kinds
    counts = np.zeros((len(kinds), len(texts)), np.int32)
    recognizers = [r for r in RECOGNIZERS if config.mode == "tag" and r.kind in kinds]
    tags = pa.array([f"[{r.kind.upper()}]" for r in recognizers], pa.string())
    kind_of = np.array([kinds.index(r.kind) for r in recognizers], np.int64)
    pending, rows = texts, np.arange(len(texts))  # what is still to be read, and where it stands
    while recognizers and len((spans := find_spans(pending, recognizers)).begins):
        within = rows_of(pending, spans)
        np.add.at(counts, (kind_of[spans.recognizers], rows[within]), 1)
        pending = replace_spans(pending, spans, tags.take(pa.array(spans.recognizers)))
        changed = np.unique(within)
        pending, rows = pending.take(pa.array(changed)), rows[changed]
        mask = np.zeros(len(texts), np.bool_)
        mask[rows] = True
        texts = replace_rows(texts, mask, pending)
    names = [f"num_pii_{kind}" for kind in kinds]
    return Anonymised(texts, _int32_batch(names, counts))


def _int32_batch(names: list[str], columns: NDArray[np.int32]) -> pa.RecordBatch:
    schema = pa.schema([pa.field(name, pa.int32(), nullable=False) for name in names])
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)
