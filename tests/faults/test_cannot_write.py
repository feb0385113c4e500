"""A full disk, a limit, a read-only output: one message, and the next run goes on from there."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.faults.runs import Undisturbed, complete, reached, start
from tests.pipeline.corpora import Corpus

pytestmark = pytest.mark.faults

MOUNTED_BYTES = 64 << 20


def message(text: str) -> str:
    """The one line in which a run says what is wrong; the others tell how far it came."""
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("prepare: ")]
    assert text.rstrip().endswith(line)
    return line


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.6, 0.95])
def test_files_may_not_be_larger(share: float, tmp_path: Path, undisturbed: Undisturbed) -> None:
    """RLIMIT_FSIZE, which any user may set, stops one file after another of the largest."""
    sizes = sorted(p.stat().st_size for p in undisturbed.corpus.out.rglob("*.arrow"))
    limit = sizes[int(share * len(sizes))] if share > 0.01 else 600
    corpus = undisturbed.fresh(tmp_path / "run")
    running = start(corpus, max_file_blocks=1 + limit // 512)
    assert running.wait() == 1, running.messages
    told = message(running.messages)
    assert "cannot be written (File too large" in told
    assert f"{corpus.out}/" in told
    assert "ulimit" in told or f"{corpus.out}/tokenizer" in told  # which another library writes
    assert "run it again" in told
    complete(corpus)
    undisturbed.check(corpus)


@pytest.fixture
def mounted(tmp_path: Path, undisturbed: Undisturbed) -> Iterator[Corpus]:
    """A corpus whose output is a file system of its own, in memory. Needs to be root on Linux."""
    corpus = undisturbed.fresh(tmp_path / "run")
    corpus.out.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MOUNTED_BYTES}", "tmpfs", str(corpus.out)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no `mount` here")
    if done.returncode:
        pytest.skip(f"may not mount a tmpfs here: {done.stderr.strip()}")
    try:
        yield corpus
    finally:
        subprocess.run(["umount", "--lazy", str(corpus.out)], check=True)


def remount(corpus: Corpus, options: str) -> None:
    command = ["mount", "-o", f"remount,{options}", str(corpus.out)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_disk_is_full(share: float, mounted: Corpus, undisturbed: Undisturbed) -> None:
    paths = [path for path in undisturbed.corpus.out.rglob("*") if path.is_file()]
    needed = sum(-(-path.stat().st_size // 4096) * 4096 for path in paths)
    remount(mounted, f"size={int(share * needed)}")
    running = start(mounted)
    assert running.wait() == 1, running.messages
    told = message(running.messages)
    assert "No space left on device" in told
    assert f"{mounted.out}" in told
    assert "free some space" in told or f"{mounted.out}/tokenizer" in told
    assert not (mounted.out / "shards" / "index.json").exists()
    remount(mounted, f"size={MOUNTED_BYTES}")
    complete(mounted)
    undisturbed.check(mounted)


def test_an_output_becomes_read_only(
    mounted: Corpus, undisturbed: Undisturbed, capsys: pytest.CaptureFixture[str]
) -> None:
    running = start(mounted)
    assert reached(running, lambda one: one.look() >= undisturbed.num_paths // 2)
    running.kill()
    remount(mounted, "ro")
    running = start(mounted)
    assert running.wait() == 1, running.messages
    told = message(running.messages)
    assert f"{mounted.out}" in told
    assert "Read-only file system" in told
    remount(mounted, "rw")
    complete(mounted)
    remount(mounted, "ro")
    undisturbed.check(mounted)
    assert main(["verify", str(mounted.out)]) == 0
    row = ["--source", "domain", "--stratum", "stratum-0", "--row", "0"]
    assert main(["trace", str(mounted.out), *row]) == 0
    assert main(["explain", str(mounted.out), "d3"]) == 0
    (mounted.folder / "ids.txt").write_text("d3\n")
    capsys.readouterr()
    assert main(["erase", str(mounted.out), "--ids", str(mounted.folder / "ids.txt")]) == 1
    assert "Read-only file system" in message(capsys.readouterr().err)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_stands_where_the_output_should(
    place: str, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    corpus = undisturbed.fresh(tmp_path / "run")
    (corpus.folder / "file").write_text("not to be touched")
    running = start(corpus, "--set", f"output={place}")
    assert running.wait() == 2, running.messages
    told = message(running.messages)
    assert f"{corpus.folder / place}: cannot be a folder" in told
    assert "another `output`" in told
    assert (corpus.folder / "file").read_text() == "not to be touched"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_may_not_be_written(tmp_path: Path, undisturbed: Undisturbed) -> None:
    corpus = undisturbed.fresh(tmp_path / "run")
    corpus.out.mkdir(mode=0o555)
    running = start(corpus)
    assert running.wait() == 1, running.messages
    assert "Permission denied" in message(running.messages)
    corpus.out.chmod(0o755)
    complete(corpus)
    undisturbed.check(corpus)
