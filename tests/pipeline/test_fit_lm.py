"""`prepare fit-lm`: what is read, what is refused, and, where lmplz is there, a real model."""

import argparse
import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest

from filters.perplexity import Perplexity
from filters.protocol import apply
from pipeline.commands.arguments import num_bytes
from pipeline.errors import PrepareError, UsageError
from pipeline.ngrams.command import add_fit_lm
from pipeline.ngrams.corpus import PreparedCorpus, TextCorpus
from pipeline.ngrams.training import BUILT, LmSettings, find_program, fit_lm
from pipeline.shards import read_index
from pipeline.splits import validation_mask
from tests.filters.strategies import batch_of
from tests.pipeline.corpora import Corpus, docstrings

HAS_KENLM = all(
    shutil.which(name) or (BUILT / name).is_file() for name in ("lmplz", "build_binary")
)
needs_lmplz = pytest.mark.skipif(not HAS_KENLM, reason="no lmplz and build_binary: `make lmplz`")
SETTINGS = LmSettings(order=3, prune=(0,), memory_bytes=200_000_000, kind="probing", held_out=0.2)


def texts_of(corpus, fraction=0.2):
    parts = list(corpus.batches(fraction))
    return tuple([text for part in parts for text in part[side].to_pylist()] for side in (0, 1))


def write_lines(path: Path) -> Path:
    path.write_text("\n".join(" ".join(text.split()) for text in docstrings()), encoding="utf-8")
    return path


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_fit_lm(parser.add_subparsers(required=True), num_bytes)
    options = parser.parse_args(["fit-lm", *words])
    return int(options.command(options))


def test_a_finished_output_gives_the_documents_that_stay_each_on_one_side(prepared: Corpus) -> None:
    train, held_out = texts_of(PreparedCorpus(prepared.out, (), None))
    kept = prepared.table("kept")
    left = prepared.surviving_ids()
    rows = kept.select(["id", "text"]).to_pylist()
    wanted = [row["text"] for row in rows if row["id"] in left]
    assert sorted([*train, *held_out]) == sorted(wanted)
    assert train
    assert held_out


def test_documents_that_validate_are_held_out(prepared: Corpus) -> None:
    _, held_out = texts_of(PreparedCorpus(prepared.out, (), None), 0.1)
    kept = prepared.table("kept").combine_chunks()
    hashes = kept["text_hash"].chunk(0)
    validating = kept["text"].filter(validation_mask(hashes, 0.1)).to_pylist()
    assert set(held_out) <= set(validating)
    index = read_index(prepared.out)
    assert any(shard.split == "validation" for shard in index.shards)


def test_sources_and_languages_can_be_chosen(prepared: Corpus) -> None:
    every = texts_of(PreparedCorpus(prepared.out, (), None))[0]
    domain = texts_of(PreparedCorpus(prepared.out, ("domain",), "en"))[0]
    assert 0 < len(domain) < len(every)
    assert texts_of(PreparedCorpus(prepared.out, (), "de")) == ([], [])
    with pytest.raises(UsageError, match=r"--source: got 'nope', want of domain, general"):
        texts_of(PreparedCorpus(prepared.out, ("nope",), None))


def test_no_finished_output_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no finished output of `prepare run` here"):
        PreparedCorpus(tmp_path, (), None).describe()


def test_lines_or_files_of_text_are_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\nthree\n", encoding="utf-8")
    lines = TextCorpus((str(path),), "line", None)
    assert texts_of(lines, 0.0) == (["one", "two", "three"], [])
    assert texts_of(TextCorpus((str(path),), "file", None), 0.0)[0] == ["one\ntwo\n\nthree\n"]


def test_missing_programs_say_how_they_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    corpus = TextCorpus((str(write_lines(tmp_path / "a.txt")),), "line", None)
    with pytest.raises(UsageError, match=r"no program lmplz .*run `make lmplz`"):
        fit_lm(corpus, SETTINGS, tmp_path / "lm.binary")
    built = tmp_path / BUILT / "lmplz"
    built.parent.mkdir(parents=True)
    built.touch()
    assert find_program("lmplz") == str(BUILT / "lmplz")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "want either OUT, a finished output, or --text"),
        (["out", "--text", "a.txt"], "want either OUT"),
        (["out", "--order", "9"], r"--order: got 9, want 2\.\.6"),
        (["out", "--held-out", "1"], "--held-out: got 1.0"),
        (["out", "--prune", "0 x"], "--prune: got '0 x', want whole numbers"),
        (["out", "--prune", "0 2 1"], "want counts that do not fall"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        command(*words, "--out", str(tmp_path / "lm.binary"))


def test_what_lmplz_says_last_is_told_and_no_model_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lmplz", "build_binary"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\necho 'not enough memory' >&2\nexit 3\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    corpus = TextCorpus((str(write_lines(tmp_path / "a.txt")),), "line", None)
    path = tmp_path / "lm" / "en.binary"
    with pytest.raises(PrepareError, match="lmplz ended with 3: not enough memory"):
        fit_lm(corpus, SETTINGS, path)
    assert list(path.parent.iterdir()) == []


@needs_lmplz
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["probing", "trie"])
def test_a_model_of_clean_text_tells_it_from_shuffled_text(tmp_path: Path, kind: str) -> None:
    text = write_lines(tmp_path / "a.txt")
    path = tmp_path / "lm" / "en.binary"
    words = ("--order", "4", "--kind", kind, "--memory", "200MB", "--held-out", "0.1")
    assert command("--text", str(text), "--out", str(path), *words) == 0
    card = json.loads(path.with_name("en.binary.json").read_text())
    num_held_out = card["num_held_out"]
    assert card["num_documents"] + num_held_out == len(docstrings())
    assert card["num_bytes"] == path.stat().st_size
    percentiles = list(card["perplexity_percentiles"].values())
    assert percentiles == sorted(percentiles)
    held_out = texts_of(TextCorpus((str(text),), "line", None), 0.1)[1]
    shuffled = [" ".join(reversed(text.split())) for text in held_out]
    rule = Perplexity(model=str(path), max_perplexity=percentiles[-1])
    measured, mask = apply(rule, batch_of(held_out))
    worse, _ = apply(rule, batch_of(shuffled))
    middle, worse_middle = (
        pc.approximate_median(signals["perplexity"]).as_py() for signals in (measured, worse)
    )
    assert 0.85 < mask.true_count / num_held_out <= 0.95
    assert worse_middle > 1.5 * middle


@needs_lmplz
@pytest.mark.slow
def test_the_same_text_makes_the_same_model(tmp_path: Path, prepared: Corpus) -> None:
    corpus = PreparedCorpus(prepared.out, (), "en")
    cards = [fit_lm(corpus, SETTINGS, tmp_path / name) for name in ("a.binary", "b.binary")]
    assert cards[0] == cards[1]
    assert cards[0]["corpus"] == "test"
    assert cards[0]["sources"] == ["domain", "general"]
    assert cards[0]["language"] == "en"


@needs_lmplz
@pytest.mark.slow
def test_text_without_words_makes_no_model(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(" \n\t\n", encoding="utf-8")
    with pytest.raises(PrepareError, match="no text with words to train on"):
        fit_lm(TextCorpus((str(path),), "line", None), SETTINGS, tmp_path / "lm.binary")
