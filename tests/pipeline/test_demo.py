"""What `make demo` prepares, whole: the text of this Python environment."""

from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.shards import read_index

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_manifest_runs_and_verifies(tmp_path: Path, tokenizer_folder: Path) -> None:
    manifest = str(ROOT / "data_manifests" / "python-environment.yaml")
    overrides = [f"output={tmp_path / 'out'}", f"tokenizer.path={tokenizer_folder}"]
    command = ["run", manifest, "--workers", "2"]
    assert main([*command, *(word for o in overrides for word in ("--set", o))]) == 0
    assert main(["verify", str(tmp_path / "out")]) == 0
    sources = {shard.source for shard in read_index(tmp_path / "out").shards}
    assert sources == {"domain", "general"}
