"""Names of documents: what `prepare erase` takes is what `prepare verify --ids` looks for."""

from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.formats.importing import RECORD_NAME
from pipeline.index.deletion import read_ids
from tests.pipeline.corpora import Corpus
from tests.pipeline.erasing.outputs import document, erase, verify


def test_only_line_feeds_end_a_name_and_nothing_is_stripped(tmp_path: Path) -> None:
    names = [" lead", "trail\t", "a\x0bb\x0c", "\x1cc\x1d\x1e", "\x85nel", "\u2028ls", "r\rr", " "]
    path = tmp_path / "names.txt"
    path.write_bytes(("\ufeff" + "\r\n".join(names) + "\n\n\r\nlast").encode())
    assert read_ids(path).to_pylist() == [*names, "last"]
    path.write_bytes(b"\n\r\n")
    with pytest.raises(UsageError, match="no id at all"):
        read_ids(path)


def test_verify_looks_for_keys(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    key = document(corpus, "d3", "key").hex()
    for name in (key, key[:8], key[:9].upper()):
        assert verify(corpus, name) == 1, name
        assert "have a name of --ids" in capsys.readouterr().err
    assert erase(corpus, key[:9].upper()) == 0
    capsys.readouterr()
    assert verify(corpus, key[:9].upper(), "d3") == 0
    assert "one of the 2 names" in (told := capsys.readouterr().out)
    assert "2 were erased\n" in told


def test_verify_counts_only_names_that_it_knows(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert erase(corpus, "d3") == 0
    capsys.readouterr()
    assert verify(corpus, "d3", "d3 ", "dead", "d3") == 0
    assert "3 names of" in (told := " ".join(capsys.readouterr().out.split()))
    assert "1 were erased, 2 are unknown here" in told


def test_zeros_are_no_key_of_what_was_erased(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert erase(corpus, "d3", "d5") == 0
    for zeros in ("0" * 8, "0" * 32):
        assert erase(corpus, zeros) == 2
        assert f"no document called '{zeros}'" in capsys.readouterr().err
        assert main(["explain", str(corpus.out), zeros]) in (1, 2)
    assert erase(corpus, "0" * 8, ignore_missing=True) == 0
    assert verify(corpus, "0" * 8) == 0


def test_a_few_hex_digits_are_no_name_of_what_was_erased(corpus: Corpus) -> None:
    digit = document(corpus, "d3", "key").hex()[0]
    assert erase(corpus, "d3") == 0
    assert erase(corpus, digit) == 2


def test_an_id_in_a_quarantined_line_names_it(corpus: Corpus) -> None:
    assert verify(corpus, "z") == 1
    assert erase(corpus, "z") == 0
    assert corpus.table("quarantined")["raw"].null_count == 1
    assert verify(corpus, "z", "general-2.jsonl#16") == 0


def test_verify_takes_the_source_of_the_erasure(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("d3\n")
    flags = ["verify", str(corpus.out), "--ids", str(names)]
    assert main([*flags, "--source", "general"]) == 0
    assert "1 are unknown here" in " ".join(capsys.readouterr().out.split())
    assert main([*flags, "--source", "domain"]) == 1
    assert main([*flags, "--source", "domains"]) == 2
    assert main(["verify", str(corpus.out), "--source", "domain"]) == 2


def test_names_of_imported_shards_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("d3\n")
    (tmp_path / RECORD_NAME).write_text("{}")
    assert main(["verify", str(tmp_path), "--ids", str(names)]) == 2
    assert "have neither ids nor texts" in capsys.readouterr().err
