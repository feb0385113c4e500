"""`pipeline.prepare`: the command as a function, from a script and in a notebook."""

import json
import logging
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import Prepared, prepare
from pipeline.cli import main
from pipeline.errors import ManifestError, UsageError
from tests.pipeline.here import small_manifest

HOSTILE = '<script>alert("1")</script>'


class Cells(HTMLParser):
    """The text of each cell of each row; scripts, if there were any."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.num_scripts = 0
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._inside = tag in ("td", "th")
        self.num_scripts += tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("preparing")
    for name in ("domain-0", "general-0"):
        rows = [{"id": f"{name}-{n}", "text": f"text {n} of {name}" * (n > 0)} for n in range(5)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "m.yaml").write_text(yaml.safe_dump(small_manifest(tokenizer_folder)))
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> Prepared:
    return prepare(folder / "m.yaml", workers=1, quiet=True)


def test_values_and_a_file_make_the_same_shards(
    folder: Path, done: Prepared, tokenizer_folder: Path
) -> None:
    values = small_manifest(tokenizer_folder)
    again = prepare(values, base=folder, overrides=["output=again"], workers=1, quiet=True)
    assert again.out == folder / "again"
    assert "output" not in values or values["output"] != "again"
    assert again.num_tokens == done.num_tokens > 0
    parts = [sorted((each.shards / "shards").rglob("*.arrow")) for each in (done, again)]
    assert [one.read_bytes() for one in parts[0]] == [one.read_bytes() for one in parts[1]]
    assert parts[0]


def test_what_it_tells_is_what_the_ledger_holds(done: Prepared) -> None:
    told = json.loads((done.out / "ledger.json").read_text())
    assert {name: entry.num_read for name, entry in done.ledger.items()} == {
        name: entry["num_read"] for name, entry in told.items()
    }
    cells = Cells(done._repr_html_())
    (read,) = [row for row in cells.rows if row[0] == "read"]
    assert read[1::2] == [f"{entry['num_read']:,}" for entry in told.values()]
    assert f"{done.num_tokens:,} tokens" in done._repr_html_()


def test_the_second_call_does_nothing_and_says_nothing(
    folder: Path, done: Prepared, capfd: pytest.CaptureFixture[str]
) -> None:
    again = prepare(folder / "m.yaml", workers=1)
    assert again.outcome.nothing_to_do
    assert main(["run", str(folder / "m.yaml"), "--quiet"]) == 0
    assert "Nothing to do" in capfd.readouterr().out


def test_names_of_sources_are_text_in_the_table(done: Prepared) -> None:
    done.ledger[HOSTILE] = done.ledger["domain"]
    try:
        cells = Cells(done._repr_html_())
    finally:
        del done.ledger[HOSTILE]
    assert cells.num_scripts == 0
    assert HOSTILE in cells.rows[0]


def test_a_mistake_is_an_error_to_catch_and_no_exit(folder: Path) -> None:
    with pytest.raises(ManifestError, match="sources: is missing"):
        prepare({"version": 1, "output": "x"}, base=folder)
    with pytest.raises(ManifestError, match=r"gone\.yaml: cannot be read"):
        prepare(folder / "gone.yaml")


def test_the_log_of_the_one_who_calls_stays_as_it_is(folder: Path) -> None:
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        prepare(folder / "m.yaml", overrides=["output=logged"], workers=1, quiet=True)
        assert handler in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(handler)


def test_a_script_without_a_guard_runs_once(folder: Path) -> None:
    """Processes that are spawned import the script that spawned them, unless it is kept from it."""
    script = folder / "script.py"
    script.write_text(
        "from pipeline import prepare\n"
        "print('begins', flush=True)\n"
        "done = prepare('m.yaml', overrides=['output=scripted'], workers=2, quiet=True)\n"
        "print(done.num_tokens)\n"
    )
    ran = subprocess.run(
        [sys.executable, script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    begins, num_tokens = ran.stdout.split()
    assert begins == "begins"
    assert int(num_tokens) > 0


def test_the_report_is_written_where_it_says(done: Prepared) -> None:
    path = done.report()
    assert path == done.out / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["verify", str(done.out)]) == 0


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import pipeline, training, sys; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pyarrow", "apache_beam", "torch", "numpy"} & set(ran.stdout.split())


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"workers": -1}, {"memory_bytes": 0}, {"overrides": "seed=1"}]
)
def test_what_no_run_can_have_is_refused_before_it_begins(
    wrong: dict[str, Any], folder: Path
) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}: got "):
        prepare(folder / "m.yaml", **wrong)


def test_a_console_shows_where_it_is_and_no_page_of_counts(done: Prepared) -> None:
    assert repr(done) == f"Prepared(out={done.out!r})"
