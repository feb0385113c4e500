# ruff: noqa: RUF001 - full-width punctuation is what the sentences have
"""Two months of real text with all that deduplication knows, and a manifest with all of it on."""

import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.pipeline.corpora import Corpus, Rows, docstrings, near_copy

FOOTER = "Copyright the authors of this page, all rights reserved"
LICENCE = (
    "Permission is hereby granted to whoever reads this\nheader to read it again, and again,\n"
    "without limitation of times or places."
)
DATES = ["2021-05-01T10:00:00Z", "1650000000", "2021-05-01", None, "last week", "2019-01-31"]
# A character is a word: 5 make a shingle.
CHINESE = (
    "今天的天气很好，我们一起去公园散步。",
    "图书馆里有许多关于历史和地理的书籍。",
    "他每天早上六点起床，然后去河边跑步。",
    "这座城市的夜晚灯火通明，街上人来人往。",
    "医生建议她多喝水，少吃油腻的食物。",
    "火车将在下午三点二十分从北站出发。",
    "孩子们在院子里追逐一只黄色的小猫。",
    "老师把作业写在黑板上，让学生抄下来。",
)
JAPANESE = (
    "駅前の喫茶店で友達と三時間も話しました。",
    "新しい橋は来年の春に完成する予定です。",
    "彼女は毎晩寝る前に日記を書いています。",
    "山の上から見た朝日はとても美しかった。",
    "雨が降り出したので、傘を買いに行った。",
    "祖父は庭で野菜と花を育てるのが好きだ。",
    "会議は午後二時から第三会議室で行われます。",
    "この薬は食後に水と一緒に飲んでください。",
)
SHORT = (
    "Thank you!",
    "thank you",
    "No comment.",
    "No, comment?",
    "Page not found",
    "see below: 12",
)


def _marked(text: str, n: int, passage: str) -> str:
    """With a footer, a licence and a passage of 240 words in some of the texts."""
    if n % 4 == 0:
        text = f"{text}\n{FOOTER if n % 8 else FOOTER.upper()}!"
    if n % 9 == 0:
        text = f"{LICENCE}\n\n{text}"
    if n % 25 == 0:
        middle = len(text) // 2
        text = f"{text[:middle]} {passage}. {text[middle:]}"
    return text


def _sentences(count: int, chance: random.Random) -> list[str]:
    """Texts of some sentences; of each a copy, and one with a character replaced."""
    texts = []
    for n in range(count):
        text = "".join(chance.sample((CHINESE, JAPANESE)[n % 2], 6))
        middle = len(text) // 2
        texts += [text, text + "！", f"{text[:middle]}々{text[middle + 1 :]}"]
    return texts


def _chain(words: list[str], length: int) -> list[str]:
    """Texts each 0.88 like the next, and 0.77 like the one after, in no order of rank."""
    return [" ".join(words[at : at + 190]) for at in range(0, 12 * length, 12)]


def rows_by_file() -> dict[str, Rows]:
    """About 900 rows of the second month, by file; the same ones at each call."""
    chance = random.Random(11)
    real = docstrings()
    words = " ".join(real[-60:]).split()
    texts = [_marked(text, n, " ".join(words[:240])) for n, text in enumerate(real[:340])]
    domain, others = texts[:120], texts[120:]
    copies = chance.sample(texts, 160)
    for n, text in enumerate(copies):
        others.append((text, text.upper(), near_copy(text, n), near_copy(text, 0))[n % 4])
    for n in range(10):
        chain = _chain(words[240 + 300 * n :], 9)
        chance.shuffle(chain)
        domain.append(chain.pop())
        others += chain
    others += _sentences(24, chance)
    others += SHORT * 8
    chance.shuffle(others)
    cut = len(others) // 6
    return {
        "domain-0.jsonl": _rows("d", domain[:70]),
        "domain-1.jsonl.gz": _rows("e", domain[70:]),
        "general-0.jsonl": _rows("g", others[:cut]),
        "general-1.jsonl.gz": _rows("h", others[cut : 2 * cut]),
        "general-2.jsonl": _rows("i", others[2 * cut : 3 * cut]),
        "web-0.parquet": _rows("v", others[3 * cut : 4 * cut]),
        "web-1.parquet": _rows("w", others[4 * cut : 5 * cut]),
        "notes.jsonl": _rows("n", others[5 * cut :]),
    }


def _rows(letter: str, texts: list[str]) -> Rows:
    return [
        {"id": f"{letter}{n}", "text": text, "published": DATES[n % len(DATES)]}
        for n, text in enumerate(texts)
    ]


def manifest(name: str, tokenizer_folder: Path, minhash: dict[str, Any]) -> dict[str, Any]:
    """Four sources; everything that removes or cuts is on."""
    source = {"format": "jsonl", "id_field": "id", "date_field": "published"}
    sources = [
        {"name": "domain", **source, "priority": 10, "validation_fraction": 0.1},
        {"name": "general", **source, "validation_fraction": 0.2},
        {"name": "web", **source, "format": "parquet", "priority": -3},
        {"name": "notes", **source, "validation_fraction": 0.3},
    ]
    signal = {"signal": "length.num_words", "prefer": "high"}
    return {
        "version": 1,
        "name": name,
        "output": "out",
        "sources": [{**one, "paths": [f"{one['name']}*"]} for one in sources],
        "filters": [{"use": "length", "min_chars": 5}],
        "edits": {
            "lines": {"max_documents": 6},
            "paragraphs": {"max_documents": 6, "scope": "source"},
            "substrings": {"min_tokens": 200, "group_bytes": 1_000_000},
        },
        "decontaminate": [
            {"name": "dropped", "paths": ["../eval/dropped.jsonl"], "id_field": "id"},
            {"name": "cut", "paths": ["../eval/cut.jsonl"], "action": "cut", "min_overlap": 0.5},
            {"name": "reported", "paths": ["../eval/*.txt"], "action": "report", "ngram": 8},
        ],
        "dedup": {
            "index": "../index",
            "survivor": ["priority", "newest", signal, "id"],
            "minhash": {"signatures": True, **minhash},
        },
        "tokenizer": {"path": str(tokenizer_folder)},
        "pack": {"sequence_tokens": 256, "shard_tokens": 30_000},
    }


def write_evaluation_sets(folder: Path) -> None:
    """Items of 25 words out of texts of the corpus."""
    made = Corpus(folder / "eval")
    made.folder.mkdir()
    items = [" ".join(text.split()[10:35]) for text in docstrings()[5:300:12]]
    for n, name in enumerate(("dropped", "cut")):
        rows = [{"id": f"{name}-{m}", "text": text} for m, text in enumerate(items[n::3])]
        made.write(f"{name}.jsonl", rows)
    for n, text in enumerate(items[2::3]):
        (made.folder / f"item-{n}.txt").write_text(text)


def first_month(folder: Path, tokenizer_folder: Path, minhash: dict[str, Any]) -> Corpus:
    """Texts that the second month has too, the same or nearly; not yet prepared."""
    write_evaluation_sets(folder)
    made = Corpus(folder / "may", manifest("may", tokenizer_folder, minhash))
    made.folder.mkdir()
    of_june = [text for rows in rows_by_file().values() for text in (row["text"] for row in rows)]
    taken = random.Random(3).sample(of_june, 50)
    texts = [text if n % 3 else near_copy(text, n) for n, text in enumerate(taken)]
    texts += docstrings()[340:440]
    cut = len(texts) // 4
    made.write("domain.jsonl", _rows("d", texts[:cut]))
    made.write("general.jsonl", _rows("g", texts[cut : 2 * cut]))
    made.write("notes.jsonl", _rows("n", texts[2 * cut : 3 * cut]))
    write_parquet(made.folder / "web.parquet", _rows("w", texts[3 * cut :]))
    return made


def second_month(
    folder: Path,
    months: Path,
    tokenizer_folder: Path,
    minhash: dict[str, Any],
    *,
    backwards: bool = False,
) -> Corpus:
    """The second month beside a copy of the first one and its index; not yet prepared."""
    for name in ("may", "index", "eval"):
        shutil.copytree(months / name, folder / name)
    made = Corpus(folder / "june", manifest("june", tokenizer_folder, minhash))
    made.folder.mkdir()
    files = rows_by_file()
    for name in sorted(files, reverse=backwards):
        if name.endswith(".parquet"):
            write_parquet(made.folder / name, files[name])
        else:
            made.write(name, files[name])
    return made


def write_parquet(path: Path, rows: Rows) -> None:
    """Row groups of 40 rows."""
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=40)
