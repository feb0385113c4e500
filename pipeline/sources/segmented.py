"""Documents of several fields: a prompt and its completion, or the messages of a conversation.

Messages are a list of {role, content}: nested in Parquet, Arrow, JSON and `datasets`, or JSON in a
string, as in a cell of a CSV file. What else a message has is not read, and one that calls a tool
is refused, since a text cannot say it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.segments import ASSISTANT, COMPLETION, PROMPT, Segments, join
from pipeline.sources.columns import Bad, as_binary, as_string, bad_values, is_text
from pipeline.sources.config import SourceConfig
from pipeline.sources.utf8 import valid_utf8

REASON = "bad_messages"  # a code of `schema.REASONS`
ROLE, CONTENT = "role", "content"
CALLS = ("tool_calls", "function_call")
# A role goes into the chat template as it is, so it must not spell a special token.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class Composed(NamedTuple):
    """The rows that are documents, and why the others are not."""

    good: np.ndarray  # (rows,) bool
    texts: pa.StringArray  # of the good rows
    segments: Segments
    bad: list[Bad]


def compose(
    source: SourceConfig, rows: np.ndarray, columns: Mapping[str, pa.Array]
) -> Composed | list[Bad]:
    """Texts with their segments, of the rows numbered `rows`; only what is bad where all are."""
    for name in source.text_fields:
        values = columns.get(name)
        if values is None or not (is_text(values.type) or _is_list(values.type)):
            return bad_values(rows, name, values)
    if source.messages_field is not None:
        values = columns[source.messages_field]
        return _messages(source.messages_field, rows, values, source.separator)
    return _pairs(source, rows, columns)


def message_type() -> pa.DataType:
    """What a reader that chooses types reads messages as."""
    names = (ROLE, CONTENT, *CALLS)
    return pa.list_(pa.struct([pa.field(name, pa.string()) for name in names]))


def _pairs(
    source: SourceConfig, rows: np.ndarray, columns: Mapping[str, pa.Array]
) -> Composed | list[Bad]:
    names = source.text_fields
    for name in names:
        if _is_list(columns[name].type):
            return bad_values(rows, name, columns[name])
    arrays = [as_binary(columns[name]) for name in names]
    found: dict[int, Bad] = {}
    for name, values in zip(names, arrays, strict=True):
        for i in np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False)).tolist():
            found.setdefault(i, Bad(int(rows[i]), "null_text", f"{name!r} is null, want a string"))
        for i in np.flatnonzero(~valid_utf8(values)).tolist():
            raw = values[i].as_py()
            found.setdefault(i, Bad(int(rows[i]), "not_utf8", f"{name!r} is not UTF-8", raw))
    good = np.ones(len(rows), bool)
    good[list(found)] = False
    prompts, completions = (as_string(values.filter(pa.array(good))) for values in arrays)
    num = len(prompts)
    order = np.arange(2 * num).reshape(2, num).T.reshape(-1)
    parts = pa.concat_arrays([prompts, completions]).take(pa.array(order))
    roles = pa.array([PROMPT, COMPLETION]).take(pa.array(np.tile([0, 1], num)))
    texts, segments = join(parts, np.arange(num + 1) * 2, roles, source.separator)
    return Composed(good, texts, segments, [found[i] for i in sorted(found)])


Problem = tuple[str, str, bytes | None]  # reason, detail, raw


class _Messages(NamedTuple):
    """Messages of rows, flat; `problems` by row, of which the first counts."""

    lengths: np.ndarray  # (rows,) int64
    roles: pa.StringArray
    contents: pa.Array  # binary or large_binary, nulls where there is a problem
    problems: dict[int, Problem]

    def in_order(self) -> list[int]:
        """The rows that have a problem."""
        return sorted(self.problems)


def _messages(
    name: str, rows: np.ndarray, values: pa.Array, separator: str
) -> Composed | list[Bad]:
    if is_text(values.type):
        found = _parsed(name, values)
    elif _has_fields(values.type):
        found = _nested(name, values)
    else:
        return bad_values(rows, name, values, "a list of {role, content}")
    _check(found)
    bad = [Bad(int(rows[i]), *_with_raw(found.problems[i], values[i])) for i in found.in_order()]
    good = np.ones(len(rows), bool)
    good[list(found.problems)] = False
    inside = pa.array(np.repeat(good, found.lengths))
    offsets = np.concatenate([[0], np.cumsum(found.lengths[good])])
    contents = as_string(found.contents.filter(inside))
    texts, segments = join(contents, offsets, found.roles.filter(inside), separator)
    return Composed(good, texts, segments, bad)


def _nested(name: str, values: pa.Array) -> _Messages:
    """Of a list of structs with role and content."""
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy().astype(np.int64)
    flat = values.flatten()
    problems: dict[int, Problem] = {}
    for i in np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False)).tolist():
        problems[i] = "null_text", f"{name!r} is null, want a list of messages", None
    roles, contents = (as_binary(pc.struct_field(flat, field)) for field in (ROLE, CONTENT))
    roles = pc.if_else(pa.array(valid_utf8(roles)), roles, pa.scalar(None, roles.type))
    is_call = np.zeros(len(flat), bool)
    for call in CALLS:
        if flat.type.get_field_index(call) >= 0:
            is_call |= _is_some(pc.struct_field(flat, call))
    found = _Messages(lengths, as_string(roles), contents, problems)
    for number in np.flatnonzero(is_call).tolist():
        _problem(found, number, "calls a tool, which a text cannot say")
    return found


def _parsed(name: str, values: pa.Array) -> _Messages:
    """Of JSON in strings: a list each."""
    lengths, roles, contents = np.zeros(len(values), np.int64), [], []
    problems: dict[int, Problem] = {}
    for i, raw in enumerate(as_binary(values).to_pylist()):
        if raw is None:
            problems[i] = "null_text", f"{name!r} is null, want a list of messages", None
            continue
        try:
            own = [_message(number, each) for number, each in enumerate(_list(name, raw))]
        except (ValueError, RecursionError) as exc:  # UnicodeError is a ValueError
            reason = "not_utf8" if isinstance(exc, UnicodeError) else REASON
            problems[i] = reason, str(exc), raw
            continue
        lengths[i] = len(own)
        roles += [role for role, _ in own]
        contents += [content for _, content in own]
    return _Messages(
        lengths, pa.array(roles, pa.string()), pa.array(contents, pa.binary()), problems
    )


def _with_raw(problem: Problem, value: pa.Scalar) -> Problem:
    """With the messages as JSON, where nothing of them is given and all of them is UTF-8."""
    reason, detail, raw = problem
    if raw is not None or not value.is_valid:
        return problem
    try:
        given = value.as_py()
    except UnicodeDecodeError:
        return problem
    if isinstance(given, bytes):
        return reason, detail, given
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)
    return reason, detail, text.encode()


def _list(name: str, raw: bytes) -> list[Any]:
    try:
        value = json.loads(raw.decode())
    except json.JSONDecodeError as exc:
        raise ValueError(f"{name!r} is no list of messages, nor JSON of one: {exc}") from exc
    if not isinstance(value, list):
        raise ValueError(f"{name!r} is a {type(value).__name__}, want a list of messages")
    return value


def _message(number: int, value: Any) -> tuple[str, bytes]:
    if not isinstance(value, dict):
        raise ValueError(f"message {number} is a {type(value).__name__}, want {{role, content}}")
    if any(value.get(call) for call in CALLS):
        raise ValueError(f"message {number} calls a tool, which a text cannot say")
    for field in (ROLE, CONTENT):
        if not isinstance(value.get(field), str):
            kind = type(value.get(field)).__name__ if field in value else "missing"
            raise ValueError(f"message {number}: its {field} is {kind}, want a string")
    value[ROLE].encode()  # a lone surrogate raises
    return value[ROLE], value[CONTENT].encode()


def _check(found: _Messages) -> None:
    """Add the problems of what could be read."""
    texts = found.contents.is_valid().to_numpy(zero_copy_only=False)
    for number in np.flatnonzero(~texts).tolist():
        _problem(found, number, "its content is null, want a string")
    for number in np.flatnonzero(~valid_utf8(found.contents)).tolist():
        _problem(found, number, "its content is not UTF-8", "not_utf8")
    wrong = [role for role in found.roles.unique().to_pylist() if not _NAME.fullmatch(role or "")]
    if wrong:
        is_wrong = pc.is_in(found.roles, pa.array(wrong, pa.string()))
        for number in np.flatnonzero(is_wrong.to_numpy(zero_copy_only=False)).tolist():
            _problem(found, number, "its role is no name, want one such as user or assistant")
    parent = np.repeat(np.arange(len(found.lengths)), found.lengths)
    answers = pc.fill_null(pc.equal(found.roles, ASSISTANT), False)
    num = np.bincount(parent[answers.to_numpy(zero_copy_only=False)], minlength=len(found.lengths))
    for row in np.flatnonzero(num == 0).tolist():
        detail = f"no message of the role {ASSISTANT!r}, so there is nothing to learn"
        found.problems.setdefault(row, (REASON, detail, None))


def _problem(found: _Messages, number: int, detail: str, reason: str = REASON) -> None:
    """Note what is wrong with a message, by its number among all."""
    ends = np.cumsum(found.lengths)
    row = int(np.searchsorted(ends, number, side="right"))
    own = number - int(ends[row] - found.lengths[row])
    raw = found.contents[number].as_py() if reason == "not_utf8" else None
    found.problems.setdefault(row, (reason, f"message {own}: {detail}", raw))


def _is_some(values: pa.Array) -> np.ndarray:
    """Which values are there, and are no empty list or string."""
    if _is_list(values.type):
        some = pc.greater(pc.fill_null(pc.list_value_length(values), 0), 0)
    elif is_text(values.type) and not pa.types.is_null(values.type):
        some = pc.greater(pc.fill_null(pc.binary_length(as_binary(values)), 0), 0)
    else:
        some = values.is_valid()
    found: np.ndarray = some.to_numpy(zero_copy_only=False)
    return found


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _has_fields(kind: pa.DataType) -> bool:
    """Whether values are lists of structs whose role and content are strings."""
    if not _is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    fields: Iterator[int] = (kind.value_type.get_field_index(name) for name in (ROLE, CONTENT))
    return all(at >= 0 and is_text(kind.value_type.field(at).type) for at in fields)
