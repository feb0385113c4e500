"""Inputs that change under a finished output: named, and redone only when that is meant."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import SourceError, UsageError
from tests.pipeline.here import run_here, small_manifest, tree


def write(folder: Path, name: str, *texts: str) -> None:
    rows = [json.dumps({"id": f"{name}-{n}", "text": text}) + "\n" for n, text in enumerate(texts)]
    (folder / name).write_text("".join(rows))


def fill(folder: Path) -> None:
    write(folder, "domain-0.jsonl", "one two three", "four five six")
    write(folder, "domain-1.jsonl", "seven eight nine")
    write(folder, "general-0.jsonl", "ten eleven twelve")


def change(folder: Path) -> None:
    write(folder, "domain-1.jsonl", "seven eight and something else")


def add(folder: Path) -> None:
    write(folder, "domain-2.jsonl", "one more file")


def remove(folder: Path) -> None:
    (folder / "domain-0.jsonl").unlink()


def rename(folder: Path) -> None:
    (folder / "domain-0.jsonl").rename(folder / "domain-9.jsonl")


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (change, "1 input is not what it was made of: changed: domain-1.jsonl"),
        (add, "new: domain-2.jsonl"),
        (remove, "gone: domain-0.jsonl"),
        (rename, "2 inputs are not .* gone: domain-0.jsonl; new: domain-9.jsonl"),
    ],
)
def test_changed_inputs_are_named_and_redone_only_with_refresh(
    tmp_path: Path, tokenizer_folder: Path, alter: Callable[[Path], None], told: str
) -> None:
    manifest = small_manifest(tokenizer_folder)
    fill(tmp_path)
    run_here(tmp_path, manifest)
    before, inputs = tree(tmp_path / "out"), (tmp_path / "out/state/inputs.json").read_text()
    alter(tmp_path)
    for _ in range(2):  # the second time, too: the first has taken nothing for known
        with pytest.raises(UsageError, match=told) as refused:
            run_here(tmp_path, manifest)
    assert "--refresh" in str(refused.value)
    assert tree(tmp_path / "out") == before
    assert (tmp_path / "out/state/inputs.json").read_text() == inputs

    done = run_here(tmp_path, manifest, None)
    assert done.num_run["refine"] == 1  # the item of `domain`; that of `general` holds
    assert run_here(tmp_path, manifest).nothing_to_do

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    fill(fresh)
    alter(fresh)
    run_here(fresh, manifest)
    assert tree(fresh / "out") == tree(tmp_path / "out")


def test_inputs_are_compared_where_the_manifest_of_the_output_is_cut_short(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    manifest = small_manifest(tokenizer_folder)
    fill(tmp_path)
    run_here(tmp_path, manifest)
    path = tmp_path / "out/manifest.yaml"
    path.write_text(path.read_text()[:100])
    change(tmp_path)
    with pytest.raises(UsageError, match=r"changed: domain-1\.jsonl"):
        run_here(tmp_path, manifest)


@pytest.mark.parametrize("alter", [change, add, remove])
def test_inputs_are_compared_where_nothing_is_known_of_each(
    tmp_path: Path, tokenizer_folder: Path, alter: Callable[[Path], None]
) -> None:
    manifest = small_manifest(tokenizer_folder)
    fill(tmp_path)
    run_here(tmp_path, manifest)
    before = tree(tmp_path / "out")
    (tmp_path / "out/state/inputs.json").unlink()
    assert run_here(tmp_path, manifest).nothing_to_do
    (tmp_path / "out/state/inputs.json").write_text("{")
    alter(tmp_path)
    with pytest.raises(UsageError, match="inputs of domain are not what it was made of"):
        run_here(tmp_path, manifest)
    assert tree(tmp_path / "out") == before
    assert run_here(tmp_path, manifest, None).num_run["refine"] == 1


def test_a_vanished_file_that_the_manifest_names_is_an_error_also_with_refresh(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    manifest = small_manifest(tokenizer_folder)
    manifest["sources"][0]["paths"] = ["domain-0.jsonl", "domain-1.jsonl"]
    fill(tmp_path)
    run_here(tmp_path, manifest)
    before = tree(tmp_path / "out")
    remove(tmp_path)
    with pytest.raises(SourceError, match=r"domain-0\.jsonl.*there is no such file"):
        run_here(tmp_path, manifest, None)
    assert tree(tmp_path / "out") == before
    manifest["sources"][0]["paths"] = ["domain-1.jsonl"]  # said in the manifest, it is meant
    assert run_here(tmp_path, manifest).num_run["refine"] == 1


def test_a_file_that_was_touched_is_as_it_was(tmp_path: Path, tokenizer_folder: Path) -> None:
    manifest = small_manifest(tokenizer_folder)
    fill(tmp_path)
    run_here(tmp_path, manifest)
    os.utime(tmp_path / "domain-0.jsonl", (1, 1))
    (tmp_path / "domain-1.jsonl").write_bytes((tmp_path / "domain-1.jsonl").read_bytes())
    assert run_here(tmp_path, manifest).nothing_to_do


def test_a_changed_manifest_is_meant_but_a_file_that_changed_with_it_is_not(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    manifest = small_manifest(tokenizer_folder)
    fill(tmp_path)
    add(tmp_path)
    manifest["sources"][0]["paths"] = ["domain-[01]*"]
    run_here(tmp_path, manifest)
    manifest["sources"][0]["paths"] = ["domain-[12]*"]
    manifest["sources"][0]["priority"] = 3
    run_here(tmp_path, manifest)
    change(tmp_path)
    manifest["sources"][0]["priority"] = 4
    with pytest.raises(UsageError, match=r"changed: domain-1\.jsonl"):
        run_here(tmp_path, manifest)
    del manifest["sources"][0]
    run_here(tmp_path, manifest)


def test_an_output_that_is_not_finished_takes_the_inputs_as_they_are(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    manifest = small_manifest(tokenizer_folder)
    fill(tmp_path)
    run_here(tmp_path, manifest)
    (tmp_path / "out/run.json").unlink()
    change(tmp_path)
    assert run_here(tmp_path, manifest).num_run["refine"] == 1


def test_five_files_are_named_and_the_others_counted(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    manifest = small_manifest(tokenizer_folder)
    fill(tmp_path)
    run_here(tmp_path, manifest)
    change(tmp_path)
    for number in range(3, 11):
        write(tmp_path, f"general-{number:02d}.jsonl", "some text")
    with pytest.raises(UsageError, match="9 inputs are not") as refused:
        run_here(tmp_path, manifest)
    assert "changed: domain-1.jsonl; new: general-03.jsonl, " in str(refused.value)
    assert "general-06.jsonl, and 4 more" in str(refused.value)


def test_the_command_ends_with_2_and_goes_on_with_refresh(
    tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path)
    run_here(tmp_path, small_manifest(tokenizer_folder))
    change(tmp_path)
    manifest = str(tmp_path / "m.yaml")
    assert main(["run", manifest, "--workers", "1"]) == 2
    assert "domain-1.jsonl" in capsys.readouterr().err
    assert main(["run", manifest, "--workers", "1", "--refresh"]) == 0
    assert main(["run", manifest, "--workers", "1"]) == 0
    assert "Nothing to do" in capsys.readouterr().out
