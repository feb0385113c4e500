"""Conversations that the tokenizer's chat template refuses: rows of QUARANTINE, not documents.

Many templates demand that roles alternate, or know no role `tool`, and say so by an exception. As a
template sees roles alone (`chat`), it is asked once for each row of them.
"""

import json

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.segments import COLUMN, Segments
from pipeline.sources.schema import CLEAN, QUARANTINE, RAW_BYTES
from pipeline.tokens.chat import ChatTemplate, TemplateError

REASON = "template_refuses"  # a code of `schema.REASONS`
MAX_KNOWN = 10_000  # rows of roles that are kept at a time
MAX_ROLES = 8  # that a detail names


class Refusals:
    """What the template of a tokenizer says of conversations; one a process."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._said: dict[tuple[str, ...], str | None] = {}

    def __call__(self, documents: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """The documents that have tokens, and rows of QUARANTINE for the others.

        `documents` have segments. The raw bytes of a row are its messages as JSON.
        """
        segments = Segments.of(documents[COLUMN])
        codes, rows = segments.role_rows()
        if len(self._said) > MAX_KNOWN:
            self._said.clear()
        said = pa.array([self._refusal(roles) for roles in rows], pa.string())
        detail = said.take(pa.array(codes))
        is_fine = detail.is_null()
        if is_fine.false_count == 0:
            return documents, pa.RecordBatch.from_pylist([], schema=QUARANTINE)
        return documents.filter(is_fine), _rows(documents.filter(pc.invert(is_fine)), detail)

    def _refusal(self, roles: tuple[str, ...]) -> str | None:
        """What is wrong with these roles, as a sentence; None where they can be rendered."""
        if roles not in self._said:
            try:
                list(self._template.parts(roles))
                self._said[roles] = None
            except TemplateError as exc:
                names = ", ".join(roles[:MAX_ROLES]) + ", ..." * (len(roles) > MAX_ROLES)
                self._said[roles] = f"the chat template refuses the roles {names}: {exc}"
        return self._said[roles]


def _rows(refused: pa.RecordBatch, detail: pa.StringArray) -> pa.RecordBatch:
    segments = Segments.of(refused[COLUMN])
    texts, roles = segments.texts(refused["text"]).to_pylist(), segments.roles.to_pylist()
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    bounds = zip(segments.offsets[:-1].tolist(), segments.offsets[1:].tolist(), strict=True)
    raw = [json.dumps(messages[a:b], ensure_ascii=False).encode()[:RAW_BYTES] for a, b in bounds]
    columns = [
        *(refused[name] for name in ("source", "source_path", "source_row")),
        pa.repeat(pa.scalar(CLEAN), refused.num_rows),
        pa.repeat(pa.scalar(REASON), refused.num_rows),
        detail.drop_null(),
        pa.array(raw, pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=QUARANTINE)
