"""What a recogniser plugin is: texts in, spans out; no base class, no Beam.

    @dataclass(frozen=True)
    class Badges:
        prefix: str = "HW"                      # a parameter in the manifest

        @property
        def kinds(self) -> tuple[str, ...]:
            return ("badge",)

        def find(self, texts: pa.StringArray) -> pa.RecordBatch:
            rows = [
                {"row": row, "begin": match.start(), "end": match.end(), "kind": "badge"}
                for row, text in enumerate(texts.to_pylist())
                for match in re.finditer(self.prefix + "-[0-9]{6}", text)
            ]
            return pa.RecordBatch.from_pylist(rows, schema=FOUND)

registered as an entry point of the group `headwater.recognizers`, and used by the manifest's

    pii: {recognizers: [{use: badges, prefix: AB}]}
"""

from typing import Protocol, runtime_checkable

import pyarrow as pa

# What `find` returns: the row of the text, and where in it, in code points; begin < end.
FOUND = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("begin", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
    ]
)


@runtime_checkable
class TextRecognizer(Protocol):
    """Finds kinds of PII that no pattern finds, such as names.

    Instances are values: made anew in each process from the parameters of the manifest. A model is
    loaded when `find` first needs it, or in `load()`, where there is one, which runs before a run
    begins. `libraries`, where there is one, names distributions whose releases decide what is
    found: another release is another config.
    """

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of what it finds: lower case letters, digits and underscores; tags are upper."""

    def find(self, texts: pa.StringArray) -> pa.RecordBatch:
        """Spans of schema `FOUND` in any order, which may overlap.

        `texts` has no nulls; it may be empty. The same text has the same spans whatever stands
        beside it in the batch, and on every machine.
        """
