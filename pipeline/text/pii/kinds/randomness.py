"""Whether a string looks drawn at random, as keys are, and names and words are not."""

import math
import re
from collections import Counter

_HEX = re.compile(rb"[0-9a-f-]+|[0-9A-F-]+")
_UUID = re.compile(rb"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Where digits, capitals and small letters meet
_DIGIT_CHANGES = re.compile(rb"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_CHANGES = re.compile(rb"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Z])(?=[a-z0-9])|(?<=[a-z])(?=[A-Z0-9])")
_CAPITAL, _SMALL = re.compile(rb"[A-Z]"), re.compile(rb"[a-z]")
_SYMBOL = re.compile(rb"[^A-Za-z0-9]")
# Of 16 random characters of base64, 1 in 500 has less than 3.25 bits of entropy. Identifiers of
# that length have as much, so the changes decide: random base64 has them in 62 of 100 places,
# random letters of one case with digits in 40, `getUserName2` in 30, `user_name_2` in fewer.
_MIN_BITS, _MIN_BITS_HEX = 3.25, 2.75
_MIN_RATE, _MIN_RATE_ONE_CASE, _MIN_RATE_FEW_DIGITS = 0.35, 0.2, 0.42
_MIN_DIGIT_CHANGES = 2  # `getUserNameFromRequest2` has one, and 39 changes in 100 places
_MIN_CHANGES_HEX = 3
# Each letter with those that follow it in the 250 commonest pairs, which make 95 % of the pairs in
# 129 MB of documentation and code (English, German, others, code: each counts alike). Of the pairs
# of random letters 63 in 100 are none of them. Of 568 names, paths and words that are assigned to
# secrets in 965 MB of code and documentation, of those that change case or have digits in as many
# places as is asked here, none has more than 25.
_COMMON_PAIRS = frozenset(
    bytes((letters[0], other))
    for letters in (
        b"abcdgiklmnprstuvy baeijloruy cacehiklortu dadeiorsu eabcdefghilmnpqrstvwxy faefilortu "
        b"gaeilnrsu haeiort iabcdefglmnoprstvxz je kaei ladefilostuy mabeimopsu nacdefgilnostuv "
        b"obcdfgiklmnoprstuvw paeiloprstuy qu racdefgiklmnorstuvy sacehiopstuy tacehiloprstuwyz "
        b"uabcefgilmnprst vaeio waehior xct yopst zeu"
    ).split()
    for other in letters[1:]
)
_PAIRS = re.compile(rb"(?=([a-z]{2}))")
_MIN_PAIRS, _MIN_UNCOMMON_RATE, _MIN_RATE_UNCOMMON = 8, 0.4, 0.2
_MAX_SYMBOL_RATE = 0.15  # `.`, `/`, `_` and `-` join words and numbers
# Letters, digits and signs meet in 61 to 69 of 100 places of random passwords with signs, in 35 of
# `https://api.example.com/v1/token`
_MIN_RATE_PASSWORD = 0.45
_IS_PASSWORD = re.compile(rb"[^A-Za-z0-9._~/+=-]")
# Templates, variables, regular expressions, markup
_IS_TEMPLATE = re.compile(
    rb"\$(?:\{|\([^)]*\))|\{\{|\}\}|%(?:\{|\(\w+\))|#\{|<[%?/!a-z]|\(\?|\\[dwsDWSbnrtux]|\[\^?[aA0]-[a-zA-Z0-9]"
    rb"|\{[0-9]*,?[0-9]*\}|\(\)|::|->|=>|&[a-z]{2,5};|^\$[A-Za-z_][A-Za-z0-9_]*$"
)

_SIGN = 0
_CLASSES = bytes(
    3
    if byte.isdigit()
    else 2
    if byte.isupper()
    else 1
    if byte.islower() or byte >= b"\x80"
    else _SIGN
    for byte in (bytes([i]) for i in range(256))
)


def is_random(value: bytes) -> bool:
    """Whether `value`, of base64, its URL variant, hexadecimal, or any signs, looks like a key.

    By Shannon's entropy per character, and by how often letters, capitals and digits change, which
    tells keys from identifiers; or, where that is less often, by letters that seldom follow each
    other in words. Made for 16 characters and more; shorter keys are often missed.
    """
    if _IS_PASSWORD.search(value):
        return _is_password(value)
    changes = len(_CHANGES.findall(value))
    if _HEX.fullmatch(value):
        is_whole = b"-" not in value or bool(_UUID.fullmatch(value))
        return is_whole and _bits(value) >= _MIN_BITS_HEX and changes >= _MIN_CHANGES_HEX
    few = _MIN_RATE_UNCOMMON if _is_no_word(value) else 1.0
    return (
        changes >= min(few, _min_rate(value)) * len(value)
        and _bits(value) >= _MIN_BITS
        and len(_SYMBOL.findall(value)) <= _MAX_SYMBOL_RATE * len(value)
    )


def _is_no_word(value: bytes) -> bool:
    """Whether two letters stand beside each other that do so in no word, more often than in one."""
    pairs = _PAIRS.findall(value.lower())
    uncommon = sum(pair not in _COMMON_PAIRS for pair in pairs)
    return len(pairs) >= _MIN_PAIRS and uncommon >= _MIN_UNCOMMON_RATE * len(pairs)


def _is_password(value: bytes) -> bool:
    """Of letters, digits and signs at once, and in no order that code and markup have."""
    if _IS_TEMPLATE.search(value) or not re.search(rb"[0-9]", value):
        return False
    changes = sum(map(_differ, value, value[1:]))
    return changes >= _MIN_RATE_PASSWORD * len(value) and _bits(value) >= _MIN_BITS


def _differ(one: int, other: int) -> bool:
    """Whether these are of different classes; signs are where they are not the same."""
    class_, following = _CLASSES[one], _CLASSES[other]
    return class_ != following or (class_ == _SIGN and one != other)


def _min_rate(value: bytes) -> float:
    if len(_DIGIT_CHANGES.findall(value)) < _MIN_DIGIT_CHANGES:
        return _MIN_RATE_FEW_DIGITS
    return _MIN_RATE if _CAPITAL.search(value) and _SMALL.search(value) else _MIN_RATE_ONE_CASE


def _bits(value: bytes) -> float:
    """Shannon's entropy in bits per character."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)
