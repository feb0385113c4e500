"""kill -9 at many moments: the old state or the new one, and the same command completes it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.shards import damaged_shards, find_shards, read_index
from tests.pipeline.corpora import Corpus
from tests.pipeline.erasing.outputs import arrow_hashes, copied, erase, tree, verify

NAMES = ("d3", "g5", "general-2.jsonl#0")
FEW = [1, 16, 33]  # before anything, between the journal and the last rename, at the end
MANY = [4, 9, 14, 15, 18, 22, 26, 29, 31, 32, 35]
MOMENTS = [*FEW, *(pytest.param(number, marks=pytest.mark.slow) for number in MANY)]


@pytest.fixture(scope="module")
def erased(original: Corpus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an erasure leaves that nothing stopped."""
    corpus = copied(original, tmp_path_factory.mktemp("erased") / "copy")
    assert erase(corpus, *NAMES) == 0
    return arrow_hashes(corpus.out)


def _erase_killed(corpus: Corpus, number: int, what: str) -> int:
    (corpus.folder / "ids.txt").write_text("\n".join(NAMES))
    arguments = ["erase", str(corpus.out), "--ids", str(corpus.folder / "ids.txt")]
    command = [sys.executable, "-m", "tests.pipeline.erasing.killed", str(number), what]
    done = subprocess.run([*command, *arguments], capture_output=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def _is_old_or_complete(out: Path, before: dict[str, str]) -> None:
    """Whoever reads the shards finds the old ones, the new ones, or none that are complete."""
    if not (out / "shards" / "index.json").is_file():
        return
    index = read_index(out)
    assert list(damaged_shards(find_shards(out), index)) == []
    if not (out / "tombstones.json").is_file():
        now = tree(out)
        assert {path: now[path] for path in before} == before


@pytest.mark.parametrize("number", MOMENTS)
def test_killed_at_a_rename(
    number: int, original: Corpus, corpus: Corpus, erased: dict[str, str]
) -> None:
    before = arrow_hashes(original.out)
    assert _erase_killed(corpus, number, "rename") == -signal.SIGKILL
    _is_old_or_complete(corpus.out, before)
    assert erase(corpus, *NAMES) == 0
    assert arrow_hashes(corpus.out) == erased
    assert verify(corpus, *NAMES) == 0
    assert not (corpus.out / "erasing").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 20, 32])
def test_killed_at_a_rename_and_completed_by_a_run(
    number: int, corpus: Corpus, erased: dict[str, str], original: Corpus
) -> None:
    assert _erase_killed(corpus, number, "rename") == -signal.SIGKILL
    decided = (corpus.out / "erasing" / "journal.json").is_file()
    corpus.prepare("--workers", "1")
    wanted = erased if decided else arrow_hashes(original.out)
    assert arrow_hashes(corpus.out) == wanted
    assert verify(corpus) == 0


@pytest.mark.slow
def test_verify_says_that_an_erasure_did_not_end(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    number = 10
    while not (corpus.out / "erasing" / "journal.json").is_file():
        assert _erase_killed(corpus, number, "rename") == -signal.SIGKILL
        number += 4
    assert main(["verify", str(corpus.out)]) == 1
    assert "did not end" in capsys.readouterr().err


@pytest.mark.slow
def test_verify_says_that_an_erasure_left_files_and_took_nothing_out(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    staged = corpus.out / "erasing" / "00000.arrow"
    staged.parent.mkdir()
    staged.write_bytes(b"")
    assert main(["verify", str(corpus.out)]) == 1
    assert "stopped before it took anything out" in capsys.readouterr().err
    corpus.prepare("--workers", "1")
    assert main(["verify", str(corpus.out)]) == 0


@pytest.mark.slow
def test_killed_by_the_clock(original: Corpus, corpus: Corpus, erased: dict[str, str]) -> None:
    """Not at a call of ours, but wherever it is then."""
    (corpus.folder / "ids.txt").write_text("\n".join(NAMES))
    arguments = ["erase", str(corpus.out), "--ids", str(corpus.folder / "ids.txt")]
    for milliseconds in (900, 1500, 2100):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *arguments], stdout=subprocess.DEVNULL
        )
        try:
            process.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        _is_old_or_complete(corpus.out, arrow_hashes(original.out))
    assert erase(corpus, *NAMES) == 0
    assert arrow_hashes(corpus.out) == erased
