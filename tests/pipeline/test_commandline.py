"""A person's habits on the command line: help, versions, hints, completion, pipes."""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.registry import names
from pipeline.cli import build_parser as prepare_parser
from pipeline.cli import main
from pipeline.commands.examples import EXAMPLES, GROUPS
from pipeline.completion import SHELLS, script
from pipeline.suggest import closest, did_you_mean
from training.cli import EXAMPLES as TRAIN_EXAMPLES
from training.cli import PARSERS, parser_of
from training.cli import build_parser as train_parser
from training.cli import main as train_main

HEAVY = ("apache_beam", "transformers", "matplotlib", "torch", "pyarrow", "pydantic", "shtab")


def examples(text: str, program: str) -> Iterator[list[str]]:
    """The words of each example that calls the program, without what the shell takes."""
    for line in text.splitlines():
        words = shlex.split(line.removeprefix("source <(").removesuffix(")"))
        cut = min(words.index(mark) if mark in words else len(words) for mark in ("|", ">"))
        if words[0] == program:
            yield words[1:cut]


@pytest.mark.parametrize("name", sorted(prepare_parser().commands))  # type: ignore[attr-defined]
def test_every_command_of_prepare_has_examples_that_parse(name: str) -> None:
    parser = prepare_parser()
    found = list(examples(EXAMPLES[name], "prepare"))
    assert found
    assert all(words[0] == name for words in found)
    for words in found:
        parser.parse_args(words)
    assert EXAMPLES[name].splitlines()[0] in parser.commands[name].format_help()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_every_command_of_train_has_examples_that_parse(name: str) -> None:
    found = list(examples(TRAIN_EXAMPLES[name], "train"))
    assert found
    for words in found:
        parser_of(name).parse_args(words if name == "run" else words[1:])
    assert TRAIN_EXAMPLES[name].splitlines()[0] in parser_of(name).format_help()


def test_every_command_is_in_a_group_of_the_help() -> None:
    parser = prepare_parser()
    grouped = [name for group in GROUPS.values() for name in group]
    assert set(parser.commands) <= set(grouped)  # type: ignore[attr-defined]
    text = parser.format_help()
    for name, command in parser.commands.items():  # type: ignore[attr-defined]
        assert f"  {name} " in text
        assert command.description


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["rn", "m.yaml"], "run"),
        (["verfy", "out"], "verify"),
        (["run", "m.yaml", "--wrokers", "3"], "--workers"),
        (["run", "--wrokers=3"], "--workers"),
        (["explain", "out", "x", "--sorce", "a"], "--source"),
        (["filters", "--jsn"], "--json"),
    ],
)
def test_prepare_says_what_was_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert f"(did you mean '{meant}'?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["pln"], "plan"), (["--shard5", "x"], "--shards"), (["plan", "--mesure"], "--measure")],
)
def test_train_says_what_was_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train_main(words)
    assert ended.value.code == 2
    assert f"(did you mean '{meant}'?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["filters", "gopher_qualty"], "did you mean gopher_quality"),
        (["run", "m.yaml", "--set", "filtrs=[]"], "did you mean 'filters'"),
        (["run", "m.yaml", "--set", "dedup.exat=true"], "did you mean 'exact'"),
        (["run", "m.yaml", "--set", "sources.0.format=jsnol"], "did you mean 'jsonl'"),
        (["run", "m.yaml", "--set", "filters=[{use: lenght}]"], "did you mean length"),
        (["run", "m.yaml", "--set", "filters=[{use: length, min_char: 1}]"], "min_chars"),
    ],
)
def test_misspelt_keys_and_filters_get_a_hint_and_exit_code_2(
    words: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(
        "version: 1\nname: a\noutput: out\ntokenizer: {path: t}\n"
        "sources: [{name: s, format: text, paths: [a.txt]}]\n"
    )
    assert main(words) == 2
    assert told in capsys.readouterr().err


def test_a_word_that_is_like_nothing_gets_no_hint() -> None:
    assert did_you_mean("zzzzzz", ["run", "verify"]) == ""
    assert did_you_mean("x", []) == ""


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, unique_by=str.casefold), st.data())
def test_a_name_in_other_case_is_the_one_that_was_meant(
    known: list[str], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(known))
    found = closest(name.swapcase(), known)
    assert found is not None
    if name.swapcase().casefold() == name.casefold():
        assert found == name


@pytest.mark.parametrize("run", [main, train_main])
def test_both_programs_tell_their_version(
    run: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split()[1:] == [version("headwater")]


@pytest.mark.parametrize("module", ["pipeline.cli", "training.cli"])
def test_the_parsers_import_nothing_heavy(module: str) -> None:
    light = [
        name for name in HEAVY if module == "pipeline.cli" or name not in ("pyarrow", "pydantic")
    ]
    code = (
        f"import sys; from {module} import build_parser; build_parser().format_help(); "
        f"print([name for name in {light} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def completed(shell_script: str, program: str, *words: str) -> list[str]:
    """What bash offers for the last word, the script having been sourced."""
    line = " ".join([program, *words])
    ask = (
        f"{shell_script}\n"
        f"COMP_WORDS=({' '.join(shlex.quote(word) for word in (program, *words))})\n"
        f"COMP_CWORD={len(words)}; COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}\n"
        f'"$(complete -p {program} | sed -E "s/.*-F ([^ ]+).*/\\1/")"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.fixture(scope="module")
def bash_scripts() -> dict[str, str]:
    """What the commands themselves print."""
    scripts = {}
    for module, program in (("pipeline.cli", "prepare"), ("training.cli", "train")):
        command = [sys.executable, "-m", module, "completion", "bash"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        scripts[program] = done.stdout
    return scripts


def test_bash_completes_commands_options_choices_and_filters(bash_scripts: dict[str, str]) -> None:
    prepare, train = bash_scripts["prepare"], bash_scripts["train"]
    assert {"run", "refilter"} <= set(completed(prepare, "prepare", "r"))
    assert completed(prepare, "prepare", "run", "--ref") == ["--refresh"]
    assert completed(prepare, "prepare", "filters", "gopher_") == [
        name for name in names() if name.startswith("gopher_")
    ]
    assert completed(prepare, "prepare", "completion", "f") == ["fish"]
    assert completed(train, "train", "verify-r") == ["verify-resume"]
    assert completed(train, "train", "plan", "--mea") == ["--measure"]


def test_bash_completes_paths(
    bash_scripts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpus.yaml").touch()
    Path("corpora").mkdir()
    found = completed(bash_scripts["prepare"], "prepare", "run", "corp")
    assert {name.rstrip("/") for name in found} == {"corpus.yaml", "corpora"}
    found = completed(bash_scripts["prepare"], "prepare", "verify", "corp")
    assert {name.rstrip("/") for name in found} == {"corpora"}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("make", [prepare_parser, train_parser])
def test_every_shell_gets_a_script_of_all_commands(
    make: Callable[[], argparse.ArgumentParser], shell: str
) -> None:
    parser = make()
    text = script(parser, shell)
    assert all(name in text for name in parser.commands)  # type: ignore[attr-defined]


def test_a_reader_that_leaves_early_gets_no_message(tmp_path: Path) -> None:
    command = f"{sys.executable} -m pipeline.cli schema | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout in ("{1\n", "{0\n")  # 0 where the pipe took all of it


@pytest.mark.parametrize("module", ["pipeline.cli", "training.cli"])
@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_and_version_end_without_a_word_when_their_reader_is_gone(
    module: str, option: str
) -> None:
    command = [sys.executable, "-m", module, option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode in (0, 1)  # argparse writes its help and asks no more


def test_a_program_without_stdout_works_as_if_nobody_read() -> None:
    command = f"{sys.executable} -m pipeline.cli filters >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_commands_options_and_filters(tmp_path: Path) -> None:
    (tmp_path / "prepare.fish").write_text(script(prepare_parser(), "fish"))
    asked = {"prepare refi": "refilter", "prepare run --ref": "--refresh", "prepare exp": "export"}
    for words, wanted in asked.items():
        ask = f"source prepare.fish; complete -C {shlex.quote(words)}"
        done = subprocess.run(
            ["fish", "-c", ask], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert wanted in [line.partition("\t")[0] for line in done.stdout.splitlines()]
