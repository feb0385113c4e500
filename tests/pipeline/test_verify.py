"""`prepare verify`: silent on a good output, and loud on every kind of damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.verify import faults
from tests.pipeline.corpora import Corpus


@pytest.fixture
def out(prepared: Corpus, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared.out, tmp_path / "out"))


def test_a_good_output_has_no_fault(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(faults(out)) == []
    assert main(["verify", str(out)]) == 0
    assert "complete" in capsys.readouterr().out


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def first(out: Path, pattern: str) -> Path:
    return next(path for path in sorted(out.rglob(pattern)) if path.stat().st_size > 2000)


def miscount(out: Path) -> None:
    path = out / "ledger.json"
    values = json.loads(path.read_text())
    values["domain"]["num_read"] += 1
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda out: flip(first(out, "part-*.arrow")), "sha256"),
        (lambda out: first(out, "part-*.arrow").unlink(), "missing"),
        (lambda out: flip(first(out, "*.kept.arrow")), "bytes"),
        (lambda out: first(out, "*.dropped.arrow").unlink(), "missing"),
        (miscount, "read"),
        (lambda out: (out / "shards" / "index.json").unlink(), "index.json"),
        (lambda out: (out / "shards" / "index.json").write_text("{}"), "format version"),
    ],
)
def test_damage_is_found(out: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(out)
    found = list(faults(out))
    assert any(message in fault for fault in found), found
    assert main(["verify", str(out)]) == 1


def test_no_output_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no output"):
        list(faults(tmp_path))
    assert main(["verify", str(tmp_path)]) == 2
