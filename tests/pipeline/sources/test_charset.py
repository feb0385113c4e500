# ruff: noqa: RUF001 (letters of other alphabets)
"""Charsets of pages: declared, declared wrongly, not declared."""

import codecs
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.charset import PRESCAN_BYTES, declared_in, decode_page
from pipeline.sources.charset_labels import codec_of

# Article 1 of the Universal Declaration of Human Rights.
GERMAN = (
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und "
    "Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen. Überall für jeden."
)
RUSSIAN = (
    "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и "
    "совестью и должны поступать в отношении друг друга в духе братства."
)
GREEK = (
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι "
    "προικισμένοι με λογική και συνείδηση."
)
JAPANESE = (
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、"
    "理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。"
)
CHINESE = (
    "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。"
    "人人有资格享受本宣言所载的一切权利和自由,不分种族、肤色、性别、语言、宗教、政治或其他见解。"
)
KOREAN = (
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 "
    "양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다."
)
SAMPLES = [
    (GERMAN, "cp1252", "iso-8859-1"),
    (GERMAN + "“€”", "cp1252", "latin1"),  # what latin-1 has not
    (RUSSIAN, "cp1251", "windows-1251"),
    (RUSSIAN, "koi8-r", "KOI8-R"),
    (GREEK, "iso8859-7", "ISO-8859-7"),
    (JAPANESE, "cp932", "x-sjis"),
    (JAPANESE, "euc_jp", "euc-jp"),
    (JAPANESE, "iso2022_jp", "iso-2022-jp"),
    (CHINESE, "gb18030", "gb2312"),
    (KOREAN, "cp949", "ks_c_5601-1987"),
    (GERMAN, "utf-8", "utf8"),
]


def page(text: str, head: str = "") -> str:
    return (
        f"<!DOCTYPE html>\n<html><head>{head}<title>x</title></head><body><p>{text}</body></html>"
    )


@pytest.mark.parametrize(("text", "codec", "label"), SAMPLES)
def test_a_charset_is_taken_from_the_header_the_page_or_the_text(
    text: str, codec: str, label: str
) -> None:
    plain = page(text)
    declared = page(text, f'<META http-equiv="Content-Type" content="text/html; charset={label}">')
    found = [
        decode_page(plain.encode(codec), label),
        decode_page(declared.encode(codec)),
        decode_page(plain.encode(codec)),
    ]
    assert [one and one.text.decode() for one in found] == [plain, declared, plain]
    assert found[0] is not None
    assert found[0].charset == codec


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_byte_order_mark_comes_before_everything(codec: str) -> None:
    data = page(JAPANESE, '<meta charset="big5">').encode(codec)
    data = codecs.BOM_UTF16_BE + data if codec == "utf-16-be" else data
    found = decode_page(data, "windows-1252")
    assert found is not None
    assert found.text.decode() == page(JAPANESE, '<meta charset="big5">')


def test_what_is_utf_8_is_that_whatever_the_server_says() -> None:
    found = decode_page(page(RUSSIAN).encode(), "iso-8859-1")
    assert found == (page(RUSSIAN).encode(), "utf-8", 0)


def test_utf_16_without_a_mark_is_read_where_the_header_says_so_and_it_is() -> None:
    data = page(CHINESE).encode("utf-16-le")
    found = decode_page(data, "utf-16")
    assert found is not None
    assert (found.text.decode(), found.charset) == (page(CHINESE), "utf-16-le")
    ascii_page = page("plain").encode()
    assert decode_page(ascii_page, "utf-16") == (ascii_page, "utf-8", 0)


def test_a_wrong_declaration_gives_way_to_the_text() -> None:
    data = page(RUSSIAN, '<meta charset="shift_jis">').encode("cp1251")
    found = decode_page(data, "utf-8")
    assert found is not None
    assert RUSSIAN in found.text.decode()


def test_a_few_letters_in_much_ascii_do_not_pass_for_stray_bytes() -> None:
    text = page("plain words " * 3000 + GERMAN)
    found = decode_page(text.encode("cp1252"), "utf-8")
    assert found is not None
    assert (found.text.decode(), found.num_replaced) == (text, 0)


def test_stray_bytes_are_replaced_and_counted() -> None:
    data = page(GERMAN * 10).encode()
    found = decode_page(data[:1000] + b"\xff" + data[1000:], "utf-8")
    assert found is not None
    assert (found.charset, found.num_replaced) == ("utf-8", 1)
    assert found.text.decode().replace("\ufffd", "") == page(GERMAN * 10)


@given(st.binary(max_size=300), st.sampled_from([None, "", "gbk", "utf-16", "iso-2022-jp", "no"]))
def test_any_bytes_give_utf_8_or_nothing(data: bytes, declared: str | None) -> None:
    found = decode_page(data, declared)
    assert found is None or isinstance(found.text.decode("utf-8"), str)


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b'<meta charset="utf-8">', "utf-8"),
        (b"<META CHARSET=EUC-JP>", "euc_jp"),
        (b"<meta/charset='koi8-u'/>", "koi8-u"),
        (b'<meta content="text/html; charset=big5" http-equiv=Content-Type>', "big5hkscs"),
        (b'<meta content="text/html; charset=big5">', None),  # not said to be a header
        (b'<meta name="x" content="<meta charset=big5>"><meta charset=gbk>', "gb18030"),
        (b"<!-- <meta charset=big5> --><meta charset=gbk>", "gb18030"),
        (b'<a title="<meta charset=big5>"><meta charset=gbk>', "gb18030"),
        (b"<metadata charset=big5><meta charset=gbk>", "gb18030"),
        (b"<meta charset=nonsense><meta charset=gbk>", "gb18030"),
        (b"<meta charset=utf-16>", "utf-8"),
        (b"<meta charset=utf-7>", None),
        (b'<?xml version="1.0" encoding="ISO-8859-2"?>', "iso8859-2"),
        (b"<!-- <meta charset=big5>", None),
        (b'<meta charset="big5', None),
        (b" " * PRESCAN_BYTES + b"<meta charset=big5>", None),
    ],
)
def test_a_declaration_is_found_as_a_browser_finds_it(head: bytes, codec: str | None) -> None:
    assert declared_in(head) == codec


@pytest.mark.parametrize(
    "bomb", [b"<meta ", b'<meta "', b"<meta charset ", b"<!--", b"<a '", b"<", b"<meta charset=x>"]
)
def test_no_head_makes_the_prescan_slow(bomb: bytes) -> None:
    data = b"charset" + bomb * (2 * PRESCAN_BYTES // len(bomb))
    started = time.process_time()
    assert declared_in(data) is None
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize(
    "label", ["utf-7", "rot13", "idna", "unicode_escape", "base64", "\0", "ü", ""]
)
def test_codecs_that_are_no_charsets_of_pages_are_refused(label: str) -> None:
    assert codec_of(label) is None


def test_every_codec_of_a_label_decodes() -> None:
    labels = ["ASCII", "windows-1252", "GB2312", "Big5", "EUC-KR", "Shift_JIS", "TIS-620", "866"]
    decoded = [b"<p>".decode(codec_of(label) or "") for label in labels]
    assert decoded == ["<p>"] * len(labels)
