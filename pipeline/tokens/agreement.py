"""Do two engines encode alike? Asked once per process, on lines that tell tokenizers apart."""

# ruff: noqa: RUF001 - look-alike characters are the point of the sample

from itertools import pairwise

import numpy as np

from pipeline.tokens.engines import Engine


def first_difference(fast: Engine, reference: Engine) -> str | None:
    """The first line of `sample_texts` that two engines encode differently, or None.

    A line that `fast` refuses says nothing: such documents go to the reference anyway.
    """
    for text in sample_texts():
        try:
            got = fast.encode([text])
        except ValueError:
            continue
        if not np.array_equal(got.ids, reference.encode([text]).ids):
            return text
    return None


def sample_texts() -> list[str]:
    """Lines that tell tokenizers apart: scripts, numbers, white space, marks, code; 20 KB."""
    # All code points to U+2FFF by runs of 64: each class of a pre-tokenizer's regex is met.
    runs = ["".join(map(chr, range(start, start + 64))) for start in range(0, 0x3000, 64)]
    return [*_SAMPLE, *(f"{a} {b}" for a, b in pairwise(_SAMPLE)), *runs]


_SAMPLE = (
    "The quick brown fox doesn't jump; it's WE'LL and they'Ve, I'm I'd you're.",
    "  leading, trailing and   inner   spaces  \t\tand tabs\t \n\n\n  newlines \r\n CRLF \r CR\n",
    "0 12 345 6789 1234567890 3.14159 1e-9 0xDEADBEEF 1,000,000 ½ ² Ⅷ ٣٤٥ १२३",
    "def f(x: int) -> None:\n    if x != 0 and x <= 10:\n\t\treturn x**2 // 3  # why\n",
    "<html><body class='a-b'>&amp;&lt;</body></html> {\"key\": [1, null, true]} SELECT * FROM t;",
    "https://example.org/a_b?c=d&e=%20#f user@example.org C:\\dir\\file.txt /usr/lib/x.so.1",
    "Größe, naïve façade, Œuvre, Ångström, İstanbul, ﬁ ligature, e\u0301 decomposed, ẞ",
    "Привет, мир! Ελληνικά Հայերեն ქართული עברית العَرَبِيَّة فارسی हिन्दी বাংলা தமிழ் ไทย ລາວ አማርኛ",
    "中文没有空格。日本語はカタカナとひらがな、한국어 띄어쓰기 繁體字 𠮷 ｆｕｌｌｗｉｄｔｈ",
    "😀👩‍👩‍👧‍👦🏳️‍🌈🇩🇪 ☕️ ✔ → ∀x∈ℝ: ⌈x⌉ ≠ ∞ ₂ αβγ 𝔘𝔫𝔦",
    "\u00a0nbsp\u200bzwsp\u200dzwj\u2028ls\u2029ps\u3000ideographic\ufeffbom\u00adshy\u0085nel",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa--------------------------------================!!!!!!????",
    "CamelCaseAndSNAKE_CASE_and-kebab-case iPhone15Pro HTTP2Server x86_64 v1.2.3-rc.4+build",
    "<|endoftext|><s></s>[CLS][SEP]<|im_start|>user\n<unk><pad>[MASK]<|fim_prefix|>",
    "\x00\x01\x07\x08\x0b\x0c\x1b[0m\x7f",
)
