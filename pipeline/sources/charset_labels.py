"""Names of character sets as pages write them, to the codecs that decode them.

A browser reads `iso-8859-1` as windows-1252 and `gb2312` as gb18030: what is labelled so is mostly
written in the larger set (WHATWG Encoding Standard, section 4.2, https://encoding.spec.whatwg.org).
"""

import codecs

# Codecs of Python by their own names, to the superset that the standard takes for them.
_SUPERSETS = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "gb18030",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "johab": "cp949",
    "shift_jis": "cp932",
    "tis-620": "cp874",
    "utf-16": "utf-16-le",
}
# Labels that Python does not know, or knows as something else.
_LABELS = {
    "cn-big5": "big5hkscs",
    "dos-866": "cp866",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-8-i": "iso8859-8",
    "logical": "iso8859-8",
    "macintosh": "mac-roman",
    "unicode-1-1-utf-8": "utf-8",
    "unicode-2-0-utf-8": "utf-8",
    "visual": "iso8859-8",
    "windows-874": "cp874",
    "windows-949": "cp949",
    "x-cp1250": "cp1250",
    "x-cp1251": "cp1251",
    "x-cp1252": "cp1252",
    "x-euc-jp": "euc_jp",
    "x-gbk": "gb18030",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-mac-roman": "mac-roman",
    "x-mac-ukrainian": "mac-cyrillic",
    "x-sjis": "cp932",
    "x-unicode20utf8": "utf-8",
    "x-user-defined": "cp1252",
    "x-x-big5": "big5hkscs",
}
# Python has codecs that are no character sets (rot13, idna, unicode_escape), or that no browser
# takes because markup can hide in them (UTF-7): only these are used.
_NAMES = """
    big5hkscs cp866 cp874 cp932 cp949 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257
    cp1258 euc_jp gb18030 iso2022_jp iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7
    iso8859-8 iso8859-10 iso8859-13 iso8859-14 iso8859-15 iso8859-16 koi8-r koi8-u mac-cyrillic
    mac-roman utf-8 utf-16-be utf-16-le
"""
_CODECS = frozenset(_NAMES.split())
MAX_LABEL_CHARS = 40


def codec_of(label: str | None) -> str | None:
    """Python's codec for a label such as `ISO-8859-1`; None where it names none that pages use."""
    if label is None:
        return None
    name = label.strip().strip("\"'").lower()
    if not name or len(name) > MAX_LABEL_CHARS or not name.isascii() or "\0" in name:
        return None
    if name in _LABELS:
        return _LABELS[name]
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    found = _SUPERSETS.get(found, found)
    return found if found in _CODECS else None
