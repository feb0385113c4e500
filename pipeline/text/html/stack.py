"""The stack of open elements of the HTML standard, and the formatting elements that wait to be
opened again: kernels that open and close a tag.

Rows of `stack` and `waiting` are (name, flags, in the list of formatting elements, bytes of the
tag, hash of the tag or number of waiting elements below a marker). `state` is (open elements,
waiting elements, those of them below the last marker, bytes opened again, the depth reached).
`num_open` counts the open elements of each known name, at its slot.
"""

import numpy as np
from numba import njit

from pipeline.text.html import elements as e
from pipeline.text.html.names import FNV_BASIS, FNV_PRIME, after

_NAME, _FLAGS, _ACTIVE, _BYTES, _TAG = range(5)
_NODE_BYTES = 16  # of a reopened element beside its tag
_HTML = np.frombuffer(b"html", np.uint8)
_SAME_TAGS = 3  # as many equal formatting elements are opened again ("Noah's Ark clause")


@njit(cache=True, nogil=True)
def _slot(name):  # type: ignore[no-untyped-def]
    slot = name % e.SIZE
    return slot if e.HASHES[slot] == name else -1


@njit(cache=True, nogil=True)
def _push(name, flags, active, num_bytes, tag, stack, state, num_open):  # type: ignore[no-untyped-def]
    n = state[0]
    if n >= len(stack):
        return
    if flags & e.MARKER:
        tag, state[2] = state[2], state[1]
    stack[n, 0], stack[n, 1], stack[n, 2], stack[n, 3], stack[n, 4] = (
        name, flags, active, num_bytes, tag,
    )  # fmt: skip
    state[0] = n + 1
    slot = _slot(name)
    if slot >= 0 and not flags & e.FOREIGN:
        num_open[slot] += 1


@njit(cache=True, nogil=True)
def _pop_to(target, keep, stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    """Close the elements from the top down to `target`; formatting ones of them wait.

    With `keep` 0 the target itself does not wait.
    """
    for k in range(target, state[0]):
        name, flags = stack[k, _NAME], stack[k, _FLAGS]
        slot = _slot(name)
        if slot >= 0 and not flags & e.FOREIGN:
            num_open[slot] -= 1
    for k in range(state[0] - 1, target - 1, -1):
        if stack[k, _FLAGS] & e.MARKER:
            state[1], state[2] = state[2], stack[k, _TAG]
    for k in range(target, state[0]):
        if stack[k, _FLAGS] & e.MARKER:
            break
        if stack[k, _ACTIVE] and (k > target or keep) and state[1] < len(waiting):
            waiting[state[1]] = stack[k]
            state[1] += 1
    state[0] = target


@njit(cache=True, nogil=True)
def _remove(at, stack, state, num_open):  # type: ignore[no-untyped-def]
    """Take one element out of the stack; those above it stay open."""
    slot = _slot(stack[at, _NAME])
    if slot >= 0:
        num_open[slot] -= 1
    for k in range(at, state[0] - 1):
        stack[k] = stack[k + 1]
    state[0] -= 1


@njit(cache=True, nogil=True)
def reopen(stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    """Open again what waits since the last marker."""
    for k in range(state[2], state[1]):
        state[3] += waiting[k, _BYTES] + _NODE_BYTES
        _push(
            waiting[k, _NAME], waiting[k, _FLAGS], 1, waiting[k, _BYTES], waiting[k, _TAG],
            stack, state, num_open,
        )  # fmt: skip
    state[1] = state[2]


@njit(cache=True, nogil=True)
def _find(name, other, stops, stack, state):  # type: ignore[no-untyped-def]
    """The topmost element of one of two names, not beyond one with any of the flags; -1 if none."""
    for k in range(state[0] - 1, -1, -1):
        if (stack[k, _NAME] == name or stack[k, _NAME] == other) and not (
            stack[k, _FLAGS] & e.FOREIGN
        ):
            return k
        if stack[k, _FLAGS] & stops:
            return -1
    return -1


@njit(cache=True, nogil=True)
def _is_open(name, num_open):  # type: ignore[no-untyped-def]
    return num_open[name % e.SIZE] > 0


@njit(cache=True, nogil=True)
def _close_p(stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    if not _is_open(e.P, num_open):
        return
    for k in range(state[0] - 1, -1, -1):
        if stack[k, _NAME] == e.P:
            _pop_to(k, 1, stack, waiting, state, num_open)
            return
        if stack[k, _FLAGS] & e.SCOPE or stack[k, _NAME] == e.BUTTON:
            return


@njit(cache=True, nogil=True)
def _close_item(name, other, stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    """The item that a new `<li>`, `<dd>` or `<dt>` ends."""
    for k in range(state[0] - 1, -1, -1):
        if stack[k, _NAME] == name or stack[k, _NAME] == other:
            _pop_to(k, 1, stack, waiting, state, num_open)
            return
        if stack[k, _FLAGS] & e.SPECIAL and not stack[k, _FLAGS] & e.LIST_TRANSPARENT:
            return


@njit(cache=True, nogil=True)
def _find_table_part(name, other, stack, state):  # type: ignore[no-untyped-def]
    for k in range(state[0] - 1, -1, -1):
        if stack[k, _NAME] == name or stack[k, _NAME] == other:
            return k
        if stack[k, _NAME] == e.TABLE or stack[k, _NAME] == e.TEMPLATE:
            return -1
    return -1


@njit(cache=True, nogil=True)
def _close_formatting(name, stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    """What the adoption agency algorithm leaves open. False if it does not apply."""
    for k in range(state[1] - 1, state[2] - 1, -1):
        if waiting[k, _NAME] == name:
            for m in range(k, state[1] - 1):
                waiting[m] = waiting[m + 1]
            state[1] -= 1
            return True
    special = False
    for k in range(state[0] - 1, -1, -1):
        if stack[k, _NAME] == name and stack[k, _ACTIVE]:
            if special:
                _remove(k, stack, state, num_open)
            else:
                _pop_to(k, 0, stack, waiting, state, num_open)
            return True
        if stack[k, _FLAGS] & e.MARKER:
            return False
        if stack[k, _FLAGS] & e.SCOPE:
            return True
        special |= (stack[k, _FLAGS] & e.SPECIAL) != 0
    return False


@njit(cache=True, nogil=True)
def close_tag(name, flags, slot, stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    """An end tag."""
    for k in range(state[0] - 1, -1, -1):
        if not stack[k, _FLAGS] & e.FOREIGN:
            break
        if stack[k, _NAME] == name:
            _pop_to(k, 1, stack, waiting, state, num_open)
            return
    if flags & (e.VOID | e.IGNORED):
        return
    if slot >= 0 and num_open[slot] == 0 and not flags & (e.HEADING | e.FORMATTING):
        return
    if flags & e.FORMATTING and _close_formatting(name, stack, waiting, state, num_open):
        return
    at = -1
    if flags & e.HEADING:
        for k in range(state[0] - 1, -1, -1):
            if stack[k, _FLAGS] & e.HEADING:
                at = k
                break
            if stack[k, _FLAGS] & e.SCOPE:
                break
    elif flags & e.IN_TABLE or name == e.TABLE:
        at = _find_table_part(name, name, stack, state)
    elif name == e.TEMPLATE:
        at = _find(name, name, 0, stack, state)
    elif name == e.FORM:
        at = _find(name, name, e.SCOPE, stack, state)
        if at >= 0:
            _remove(at, stack, state, num_open)
        return
    elif name == e.P:
        _close_p(stack, waiting, state, num_open)
        return
    elif name == e.LI:
        for k in range(state[0] - 1, -1, -1):
            if stack[k, _NAME] == name:
                at = k
                break
            is_list = stack[k, _NAME] == e.OL or stack[k, _NAME] == e.UL
            if stack[k, _FLAGS] & e.SCOPE or is_list:
                break
    else:
        at = _find(name, name, e.SCOPE if flags & e.SPECIAL else e.SPECIAL, stack, state)
    if at >= 0:
        _pop_to(at, 1, stack, waiting, state, num_open)


@njit(cache=True, nogil=True)
def _tag_hash(data, i, end):  # type: ignore[no-untyped-def]
    value = FNV_BASIS
    for k in range(i, end):
        value = (value ^ np.uint64(data[k])) * FNV_PRIME
    return np.int64(value)


@njit(cache=True, nogil=True)
def _says_html(data, i, end):  # type: ignore[no-untyped-def]
    return after(data, i, end, _HTML) < end  # `end` is after the `>`


@njit(cache=True, nogil=True)
def _open_formatting(name, flags, tag, num_bytes, stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    if name == e.A or name == e.NOBR:
        _close_formatting(name, stack, waiting, state, num_open)
    reopen(stack, waiting, state, num_open)
    num_same, earliest = 0, -1
    for k in range(state[0] - 1, -1, -1):
        if stack[k, _FLAGS] & e.MARKER:
            break
        if stack[k, _ACTIVE] and stack[k, _TAG] == tag:
            num_same, earliest = num_same + 1, k
    if num_same >= _SAME_TAGS:
        stack[earliest, _ACTIVE] = 0
    _push(name, flags, 1, num_bytes, tag, stack, state, num_open)


@njit(cache=True, nogil=True)
def _close_before(name, flags, stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    """What a start tag closes."""
    if name == e.LI:
        _close_item(e.LI, e.LI, stack, waiting, state, num_open)
    elif name == e.DD or name == e.DT:
        _close_item(e.DD, e.DT, stack, waiting, state, num_open)
    if flags & e.CLOSES_P:
        _close_p(stack, waiting, state, num_open)
    top = state[0] - 1
    if top < 0:
        return
    ends_heading = flags & e.HEADING and stack[top, _FLAGS] & e.HEADING
    if ends_heading or (name == e.OPTION and stack[top, _NAME] == e.OPTION):
        _pop_to(top, 1, stack, waiting, state, num_open)
    elif name == e.OPTGROUP:
        if stack[top, _NAME] == e.OPTION:
            _pop_to(top, 1, stack, waiting, state, num_open)
        in_select = _is_open(e.SELECT, num_open)
        if in_select and state[0] > 0 and stack[state[0] - 1, _NAME] == e.OPTGROUP:
            _pop_to(state[0] - 1, 1, stack, waiting, state, num_open)
    elif flags & e.RUBY_PART and _is_open(e.RUBY, num_open):
        if stack[top, _FLAGS] & e.RUBY_PART:
            _pop_to(top, 1, stack, waiting, state, num_open)
    elif name == e.BUTTON and _is_open(e.BUTTON, num_open):
        at = _find(name, name, e.SCOPE, stack, state)
        if at >= 0:
            _pop_to(at, 1, stack, waiting, state, num_open)
    elif flags & e.IN_TABLE:
        at = -1
        if name == e.TD or name == e.TH:
            at = _find_table_part(e.TD, e.TH, stack, state)
        elif name == e.TR:
            at = _find_table_part(e.TR, e.TR, stack, state)
        else:
            at = _find_table_part(e.TBODY, e.THEAD, stack, state)
            at = _find_table_part(e.TFOOT, e.CAPTION, stack, state) if at < 0 else at
        if at >= 0:
            _pop_to(at, 1, stack, waiting, state, num_open)


@njit(cache=True, nogil=True)
def open_tag(data, begin, end, name, flags, slot, is_empty, stack, waiting, state, num_open):  # type: ignore[no-untyped-def]
    """A start tag of `data[begin:end]`.

    1 if raw text follows, 2 if all that follows is text, 3 if it may be raw text: in a list of
    options it was not until 2025, in a template it depends on what stands before.
    """
    while state[0] > 0 and stack[state[0] - 1, _FLAGS] & e.FOREIGN:
        if not flags & e.BREAKS_OUT:
            if not is_empty:
                inside = e.FOREIGN
                if flags & e.INTEGRATION or (
                    name == e.ANNOTATION_XML and _says_html(data, begin, end)
                ):
                    inside = e.SCOPE | e.SPECIAL
                _push(name, inside, 0, 0, 0, stack, state, num_open)
            return 0
        _pop_to(state[0] - 1, 1, stack, waiting, state, num_open)
    if flags & e.IGNORED or (flags & e.IN_TABLE and not _is_open(e.TABLE, num_open)):
        return 0
    if name == e.FORM and _is_open(e.FORM, num_open):
        return 0
    in_select = _is_open(e.SELECT, num_open)
    if in_select and (name == e.SELECT or name == e.TEXTAREA):
        at = _find(e.SELECT, e.SELECT, 0, stack, state)
        _pop_to(at, 1, stack, waiting, state, num_open)
        if name == e.SELECT:
            return 0
        in_select = False
    _close_before(name, flags, stack, waiting, state, num_open)
    if flags & e.FORMATTING:
        tag = _tag_hash(data, begin, end)
        _open_formatting(name, flags, tag, end - begin, stack, waiting, state, num_open)
        return 0
    if not flags & e.SPECIAL or flags & e.VOID:
        reopen(stack, waiting, state, num_open)
    if name == e.PLAINTEXT:
        return 2
    if flags & e.VOID:
        return 0
    if flags & e.RAW:
        is_ambiguous = (in_select and name != e.SCRIPT) or _is_open(e.TEMPLATE, num_open)
        return 3 if is_ambiguous else 1
    if flags & e.FOREIGN_ROOT:
        if is_empty:
            return 0
        flags = e.FOREIGN
    _push(name, flags, 0, 0, 0, stack, state, num_open)
    return 0
