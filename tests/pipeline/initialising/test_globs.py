"""Paths match the files of a source and no other file of the folder."""

import re
from pathlib import Path

from fsspec.utils import glob_translate
from hypothesis import given
from hypothesis import strategies as st

from pipeline.initialising.globs import globs_of
from pipeline.initialising.listing import File, list_files

PARTS = st.sampled_from(["a", "b", "data", "x1", "x2", "[odd]", "deep"])
NAMES = st.builds(
    lambda parts, end: "/".join(parts) + end,
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from([".txt", ".jsonl", ".jsonl.gz", ""]),
)


def matched(paths: list[str], names: set[str]) -> set[str]:
    """As the reader does: a name that exists is meant as it stands."""
    found = {path for path in paths if path in names}
    for path in set(paths) - found:
        found |= {name for name in names if re.fullmatch(glob_translate(path), name)}
    return found


@given(st.sets(NAMES, min_size=1, max_size=30), st.data(), st.booleans())
def test_globs_match_just_the_files_that_are_wanted(
    names: set[str], data: st.DataObject, top: bool
) -> None:
    wanted = data.draw(st.sets(st.sampled_from(sorted(names)), min_size=1))
    files = [File(Path(name), name, 1) for name in sorted(wanted)]
    assert matched(globs_of(files, names, top=top), names) == wanted


def test_one_folder_of_one_kind_is_one_pattern() -> None:
    names = {f"site/{n}/page{n}.html" for n in range(20)}
    files = [File(Path(name), name, 1) for name in sorted(names)]
    assert globs_of(files, names, top=True) == ["site/**/*.html"]


def test_what_is_no_data_is_left_out_with_its_reason(tmp_path: Path) -> None:
    for name in (
        "a.txt",
        ".git/config",
        "sub/b.txt",
        "m/config.json",
        "m/tokenizer.json",
        "out/run.json",
        "out/ledger.json",
        "out/x.txt",
        "README.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("something")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty.txt").touch()
    found = list_files(tmp_path)
    assert [file.relative for file in found.files] == ["a.txt", "sub/b.txt"]
    assert found.skipped["out/x.txt"] == "output of `prepare`"
    assert found.skipped["m/config.json"] == "a model"
    assert found.skipped["link.txt"] == "a link to a file that is here, too"
    assert found.skipped["round/"] == "a link to a folder seen before"
    assert found.skipped["empty.txt"] == "empty"
    assert found.skipped[".git/config"] == "hidden"
    assert "gone.txt" in found.skipped
