"""The two libraries that turn text into token ids: fastokens, and Hugging Face `tokenizers`.

fastokens is about 50 times as fast; `tokenizers` says what is right. Each engine runs in one
thread: a pool of N processes with N threads each would only switch (measured on two cores: with
its default, a single fastokens process took both of them).

Both get the same settings, on which neither depends for its own sake: no truncation, no padding,
no sampling (BPE dropout), and special tokens in a text taken as the text that they are.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

# Read once by the Rust libraries, when their thread pools start.
_ONE_THREAD = {
    "TOKENIZERS_PARALLELISM": "false",
    "RAYON_NUM_THREADS": "1",
    "FASTOKENS_BPE_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Ragged:
    """Ids of n texts: flat `ids` uint32, and `offsets` int64 (n + 1), the first 0."""

    ids: np.ndarray
    offsets: np.ndarray

    def __getitem__(self, index: int) -> np.ndarray:
        row: np.ndarray = self.ids[self.offsets[index] : self.offsets[index + 1]]
        return row

    def __len__(self) -> int:
        return len(self.offsets) - 1


def join(parts: list[Ragged]) -> Ragged:
    """The texts of all parts in order, as one."""
    lengths = [np.diff(part.offsets) for part in parts]
    return Ragged(
        np.concatenate([np.zeros(0, np.uint32), *(part.ids for part in parts)]),
        offsets_of(np.concatenate([np.zeros(0, np.int64), *lengths])),
    )


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """int64 offsets (n + 1) of n lengths."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


class Engine(Protocol):
    """Texts to ids without begin and end marks."""

    def encode(self, texts: list[str]) -> Ragged: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """A `tokenizer.json` made deterministic.

    `special` maps each special added token's content to its id, the unknown token left out: a
    model may well produce that one from ordinary text.
    """

    text: str
    special: dict[str, int]


def read_settings(path: Path) -> Settings:
    """Read `tokenizer.json` without truncation, padding and sampling."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model = values["model"]
    values["truncation"] = values["padding"] = None
    model.update({name: None for name in ("dropout", "alpha", "nbest_size") if name in model})
    unknown = (model.get("unk_token"), model.get("unk_id"))
    special = {
        token["content"]: int(token["id"])
        for token in values.get("added_tokens", [])
        if token["special"] and token["content"] != unknown[0] and token["id"] != unknown[1]
    }
    return Settings(json.dumps(values, ensure_ascii=False), special)


def without_prefix(settings: Settings) -> Settings:
    """For texts that go on after others: SentencePiece's vocabularies begin a text with a space."""
    values: dict[str, Any] = json.loads(settings.text)
    normalizer = values.get("normalizer") or {}
    parts = normalizer.get("normalizers", [normalizer])
    kept = [part for part in parts if part.get("type") != "Prepend"]
    if len(kept) < len(parts):
        values["normalizer"] = {"type": "Sequence", "normalizers": kept}
    pre = values.get("pre_tokenizer") or {}
    for part in pre.get("pretokenizers", [pre]):
        if "prepend_scheme" in part:
            part["prepend_scheme"] = "never"
        if "add_prefix_space" in part:
            part["add_prefix_space"] = False
    return Settings(json.dumps(values, ensure_ascii=False), settings.special)


class HuggingFace:
    """`tokenizers`: 2 MB/s; knows every model. A byte without a token is left out."""

    def __init__(self, settings: Settings) -> None:
        _use_one_thread()
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(settings.text)
        self._tokenizer.encode_special_tokens = True

    def encode(self, texts: list[str]) -> Ragged:
        rows = [
            np.array(encoding.ids, np.uint32)
            for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ]
        lengths = np.array([len(row) for row in rows], np.int64)
        return Ragged(np.concatenate([np.zeros(0, np.uint32), *rows]), offsets_of(lengths))


class Fastokens:
    """`fastokens`: byte-level BPE and a few more.

    Raises `ValueError` for a model that it does not know, and for a text with a byte that has no
    token, however many texts come with it.
    """

    def __init__(self, settings: Settings) -> None:
        _use_one_thread()
        from fastokens import Tokenizer

        self._tokenizer = Tokenizer.from_json_str(settings.text)

    def encode(self, texts: list[str]) -> Ragged:
        ids, offsets = self._tokenizer.encode_batch_flat(texts, split_special_tokens=True)
        return Ragged(np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.int64))


def _use_one_thread() -> None:
    for name, value in _ONE_THREAD.items():
        os.environ.setdefault(name, value)
