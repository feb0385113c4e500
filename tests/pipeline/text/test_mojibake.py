# ruff: noqa: RUF001 (the characters are what this is about)
"""The kernel against ftfy on every line, and what is repaired against what was garbled."""

import itertools
import re
import time

import ftfy.bad_codecs  # noqa: F401  (registers the sloppy codecs)
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from ftfy import fix_encoding
from ftfy.badness import BADNESS_RE
from hypothesis import example, given

from pipeline.text.mojibake import MAX_LINE_BYTES, may_be_garbled, repair
from pipeline.text.mojibake_doubts import is_doubtful
from pipeline.text.mojibake_signs import NUM_CODES, signs
from tests.pipeline.text.strategies import any_text, batches, text_of

ENCODINGS = ["latin-1", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250",
             "sloppy-windows-1253", "macroman", "cp437"]  # fmt: skip
SENTENCES = {
    "cs": "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "de": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich – „schnell!“",
    "el": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "en": "It’s “quoted” — naïve café, £5 and 20 °C…",
    "es": "¿Qué? ¡El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia!",
    "fr": "« Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis » : déjà l’été.",
    "hi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश।",
    "ja": "いろはにほへと　ちりぬるを。「時間」",
    "pl": "Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "pt": "À noite, vovô Kowalsky vê o ímã cair no pé do pinguim: CORAÇÃO, SÃO, ÂNGULO.",
    "ru": "Съешь ещё этих мягких французских булок, да выпей её чаю.",
    "sv": "Flygande bäckasiner söka hwila på mjuka tuvor. Å, Ä och Ö: 5 µm.",
    "th": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "tr": "Pijamalı hasta yağız şoföre çabucak güvendi. ÂŞIK",
    "vi": "Con sói nâu nhảy qua con chó lười biếng: ĐÂY LÀ ĐÂU?",
    "zh": "天地玄黄，宇宙洪荒。《千字文》“引号”",
}
LINE_END = re.compile(
    "[\n\r]|(?<![\x80-\x84\x86-\x9f\xc2-\xc5\xce-\xd3\xd7-\xdb])"
    "(?<![\xe0-\xf4][\x80-\xbf])\x85(?![\x80-\x84\x86-\x9f])"
)
THIRD = re.compile("[\xe0-\xef]\x85[\x80-\x84\x86-\xbf]")


def garbled(text: str, encoding: str) -> str:
    """As a reader sees it who takes UTF-8 for that encoding."""
    return text.encode().decode(encoding, "replace")


pieces = text_of(
    *(garbled(c, e) for c in "éÉàß“”–…£°яж日ก" for e in ENCODINGS[:3]), *"éÉàÂÃŒœ°×²“”»«€¤¦Øف√≈",
    "\x85", "\x93", "\n", "\r", " ", "a", "A", "1", ".", "\xa0", "\ufffd", "вЂ", "日本", "ГўВЂВ",
)  # fmt: skip


def believed(line: str) -> str:
    repaired = fix_encoding(line)
    return line if repaired == line or is_doubtful(line, repaired) else repaired


def line_by_line(text: str) -> str:
    """ftfy asked about every line, and believed where it is not doubtful."""
    found = LINE_END.finditer(text)
    ends = [*(end for end in found if not THIRD.match(text, max(end.start() - 1, 0))), None]
    begins = [0, *(end.end() for end in ends[:-1])]
    lines = (
        text[begin : end.start() if end else None] for begin, end in zip(begins, ends, strict=True)
    )
    return "".join(
        believed(line) + (end.group() if end else "") for line, end in zip(lines, ends, strict=True)
    )


@given(batches(pieces | any_text))
@example(pa.array(["sÃ³\x85Ã\x85", "\x93a\x94", "Ã  la", "à\x85", ""]))
@example(pa.array(["Ã la", "x\nâ€™\r\nÃ©\rok"]).slice(1))
def test_repair_equals_ftfy_asked_about_every_line(texts):
    repaired = repair(texts)
    want = [line_by_line(text) for text in texts.to_pylist()]
    assert repaired.texts.to_pylist() == want
    changed = [a != b for a, b in zip(texts.to_pylist(), want, strict=True)]
    assert (repaired.num_lines > 0).tolist() == changed
    repaired.texts.validate(full=True)


@given(batches(pieces))
def test_repair_is_idempotent_where_no_nel_is_and_returns_a_sound_batch_as_it_came(texts):
    once = repair(pc.replace_substring(texts, "\x85", "\n")).texts
    again = repair(once)
    assert again.texts is once
    assert not again.num_lines.any()


@given(batches(pieces))
@example(pa.array(["ÃŸ\x85"]))
def test_repair_comes_to_an_end(texts):
    for _ in range(5):
        before, texts = texts, repair(texts).texts
    assert texts is before


def test_no_three_characters_that_ftfy_finds_bad_are_overlooked():
    table = signs()
    first = np.unique(table.classes, return_index=True)[1]
    characters = [chr(code) for code in first if not 0xD800 <= code < 0xE000]
    bad = [
        "".join(triple)
        for triple in itertools.product(characters, repeat=3)
        if BADNESS_RE.search("".join(triple)) and not set("\x85\n\r") & set(triple)
    ]
    assert len(bad) > 10_000
    found = may_be_garbled(pa.array(bad))
    assert [text for text, is_found in zip(bad, found, strict=True) if not is_found] == []
    assert len(table.classes) == NUM_CODES


@pytest.mark.parametrize("language", SENTENCES)
def test_sound_text_is_not_even_shown_to_ftfy(language):
    texts = pa.array([SENTENCES[language], SENTENCES[language].upper()])
    assert repair(texts).texts is texts
    assert not may_be_garbled(texts.slice(0, 1)).any()


@pytest.mark.parametrize("encoding", ["latin-1", "sloppy-windows-1252"])
@pytest.mark.parametrize("language", sorted(set(SENTENCES) - {"en"}))
def test_what_was_garbled_whole_comes_back(language, encoding):
    sentence = SENTENCES[language]
    lines = pa.array([f"plain\n{garbled(sentence, encoding)}\r\nmore"])
    repaired = repair(lines)
    assert repaired.texts.to_pylist() == [f"plain\n{sentence}\r\nmore"]
    assert repaired.num_lines.tolist() == [1]


def test_twice_garbled_comes_back_and_lines_are_repaired_each_by_itself():
    once = garbled("schön", "latin-1")
    twice = garbled(garbled("schön", "sloppy-windows-1252"), "sloppy-windows-1252")
    text = f"{once}\nschön\n{twice}"
    repaired = repair(pa.array(["untouched", text]))
    assert repaired.texts.to_pylist() == ["untouched", "schön\nschön\nschön"]
    assert repaired.num_lines.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("one\x85\ntwo\x85three", "one\x85\ntwo\x85three"),  # ends of lines
        ("Ã\x85ngstrÃ¶m", "Ångström"),  # half a letter
        ("\x93wait\x85\x94", "“wait…”"),  # Windows-1252 read as Latin-1
        ("one.\x85\x85Two", "one.\x85\x85Two"),  # a paragraph ends
        ("café\x85CAFÉ\x85näxt", "café\x85CAFÉ\x85näxt"),
        ("á\x85§ â\xa0\x85", "ᅧ ⠅"),  # second and third byte of three
    ],
)
def test_nel_is_a_line_end_but_beside_garbled_characters(text, want):
    assert repair(pa.array([text])).texts.to_pylist() == [want]


@pytest.mark.parametrize(
    "line",
    [
        "characters like “Ã©” or Ã¨” or “Ã§”, it is probably a file encoding",
        'caracteres como "Ã©" ou "Ã¨", provavelmente este é um',
        "durch Zeichenfolgen wie „Ã©“, „Ã¨“ oder „Ã§“ angezeigt",
        "語テキストが「Ã©」、「Ã¨」、「Ã§」などの文字列で",
        "som « Ã© » i stället för é",
        "Ð¿ is not meant by `Ã©`, nor â€™ by `Ã¨` or `Ã¼`",
    ],
)
def test_quoted_garbling_is_what_a_text_is_about_and_stays(line):
    assert fix_encoding(line) != line
    texts = pa.array([line])
    assert repair(texts).texts is texts


@pytest.mark.parametrize(
    "line",
    [
        "[ÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ]/x;",
        "謹んで、愛する友人ジョエルに捧げます。彼は私たちの誇りです。1997 年の 7 月"
        .encode("euc-jp").decode("latin-1"),
        "谨献给我们失去的一位挚爱的朋友和开发者, 他的专业水平和知识".encode("gbk").decode("latin1"),
    ],
)  # fmt: skip
def test_tables_of_letters_and_other_encodings_are_not_made_worse(line):
    texts = pa.array([f"before\n{line}\nafter"])
    assert repair(texts).texts is texts


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("You donâ€™t", "You don’t"),
        ("a fine of Â£5", "a fine of £5"),
        ("Schafft er\x92s", "Schafft er’s"),
        ("Hereâ\x80\x99s “the” thing", "Here’s “the” thing"),
        ('he said "trÃ¨s bien"', 'he said "très bien"'),
        ('"Ã©tÃ©" is "Ã©" and trÃ¨s fatiguÃ©', '"été" is "é" and très fatigué'),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚ Ã©", "Привет é"),
    ],
)  # fmt: skip
def test_what_is_garbled_is_repaired_if_there_is_but_one_sign_of_it(line, want):
    assert repair(pa.array([line])).texts.to_pylist() == [want]


@pytest.mark.parametrize("shift", range(7))
def test_a_long_line_is_cut_between_characters(shift):
    garbled_line = "a" * (MAX_LINE_BYTES - shift) + "日Ã©日Ã©"
    repaired = repair(pa.array([garbled_line, "next"])).texts
    assert repaired.to_pylist() == [garbled_line.replace("Ã©", "é"), "next"]


@pytest.mark.parametrize(
    "unit", ["Ã©", "â€™ ", "Ã Â ", "\x93", "а€ёЂ", "Ãƒâ€š", "�Ã", "Ã©日", "“Ã©” "]
)
def test_time_is_linear_in_the_length_of_a_line(unit):
    def seconds(repeats):
        texts = pa.array([unit * repeats])
        return min(_timed(lambda: repair(texts)) for _ in range(3))

    repair(pa.array([unit]))
    assert seconds(8_000) < 3.5 * seconds(4_000) + 0.01


def _timed(call):
    begin = time.process_time()
    call()
    return time.process_time() - begin
