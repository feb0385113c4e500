"""Commands on a finished output name a `run.json` that is damaged, and how to mend it."""

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from tests.pipeline.here import run_here, small_manifest


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    for name in ("domain-0", "general-0"):
        rows = [{"id": f"{name}-{n}", "text": f"text {n} of {name}"} for n in range(4)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_here(folder, small_manifest(tokenizer_folder))
    (folder / "ids").write_text("domain-0-1\n")
    return folder / "out"


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "OUT", "domain-0-1"],
        ["duplicates", "OUT"],
        ["quarantine", "OUT"],
        ["refilter", "OUT", "--set", "filters.0.min_chars=3"],
        ["trace", "OUT", "--source", "domain", "--row", "0"],
        ["erase", "OUT", "--ids", "IDS"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("damaged", ["{}", '{"refine": {}, "deduplicate": null}', "{", "[]"])
def test_a_damaged_run_file_is_named_with_what_mends_it(
    out: Path, command: list[str], damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"OUT": str(out), "IDS": str(out.parent / "ids")}
    path = out / "run.json"
    whole = path.read_bytes()
    path.write_text(damaged)
    try:
        code = main([places.get(word, word) for word in command])
    finally:
        path.write_bytes(whole)
    told = capsys.readouterr().err
    assert code == 1
    assert f"{path}: " in told
    assert "--mend" in told
