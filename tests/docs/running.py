"""The blocks of a page, run in order in one folder as a reader would."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT, Block

RUN = frozenset({"bash", "console", "python"})  # and what is a file
SECONDS = 900  # of one block, on a busy machine

Places = Mapping[str, str]  # a word of a page, such as OUT -> what stands for it in the folder


@dataclass
class Reader:
    """A folder and a shell in it, where `prepare` and `train` are those of this tree."""

    folder: Path
    places: Places = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)  # the names that Python blocks left

    def run(self, block: Block, monkeypatch: pytest.MonkeyPatch) -> str:
        """Run one block, and check what a console block shows; returns what was printed.

        A block with a title is a file of that name, which later blocks use.
        """
        if (title := block.get("title")) is not None:
            (self.folder / title).write_text(block.text, encoding="utf-8")
            return ""
        if block.language == "python":
            monkeypatch.chdir(self.folder)
            monkeypatch.syspath_prepend(self.folder)
            exec(compile(block.text, str(block), "exec"), self.values)
            return ""
        if block.language == "bash":
            return self.shell(block.text, block.exit_code, str(block))
        return self.console(block)

    def console(self, block: Block) -> str:
        """Run each command after `$ `; every line shown below it has to come, in kind."""
        printed = ""
        commands = sessions(block.text)
        for number, (command, shown) in enumerate(commands):
            last = number == len(commands) - 1
            printed = self.shell(command, block.exit_code if last else 0, str(block))
            came = {in_kind(line) for line in printed.splitlines()}
            missing = [line for line in shown if in_kind(line) not in came]
            assert missing == [], f"{block}: of {command!r} these lines did not come in\n{printed}"
        return printed

    def shell(self, script: str, exit_code: int = 0, where: str = "") -> str:
        """Run a script by bash; both streams, as a terminal shows them."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._placed(script)],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == exit_code, f"{where}: {done.returncode}\n{script}\n{done.stdout}"
        return done.stdout

    def _placed(self, script: str) -> str:
        """The script with what stands for the words of the page."""
        if not self.places:
            return script
        words = "|".join(map(re.escape, self.places))
        return re.sub(rf"(?<![\w./-])({words})(?![\w=-])", lambda m: self.places[m[1]], script)

    def _environment(self) -> dict[str, str]:
        commands = self.folder / ".commands"
        if not commands.exists():
            commands.mkdir()
            _command(commands / "prepare", "pipeline.cli")
            _command(commands / "train", "training.cli")
            _installer(commands / "pip", commands / "installed")
        path = [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
        modules = [str(commands / "installed"), str(ROOT)]
        own = {"PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(modules)}
        plain = {"HF_HUB_OFFLINE": "1", "COLUMNS": "100", "HEADWATER_PII_KEY": "0" * 32}
        return {**os.environ, **own, **plain}


def _command(path: Path, module: str) -> None:
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
    path.chmod(0o755)


def _installer(path: Path, folder: Path) -> None:
    """`pip install .` that needs no network and leaves the environment as it is."""
    options = f"--quiet --no-deps --no-build-isolation --target {folder}"
    path.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -m pip install {options} "$@"\n')
    path.chmod(0o755)


def is_run(block: Block) -> bool:
    """Whether a block does something in a reader's folder."""
    return block.is_run and (block.language in RUN or block.get("title") is not None)


def sessions(text: str) -> list[tuple[str, list[str]]]:
    """Commands of a console block with the lines that are shown below each; `...` is any lines."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif found and found[-1][0].endswith("\\"):
            found[-1] = (f"{found[-1][0]}\n{line}", found[-1][1])
        elif line.strip() and line.strip() not in ("...", "…"):
            found[-1][1].append(line)
    return found


def in_kind(line: str) -> str:
    """A line without what differs from run to run: numbers, key digits, widths of columns."""
    plain = re.sub(r"[─━┏┓┗┛┡┩╇┳┻└┘┴┃│┬┌┐├┤┼]+", " ", line)
    plain = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", "H", plain)
    plain = re.sub(r"[-+]?\d[\d,.:]*(?:e[-+]?\d+)?", "0", plain)
    return " ".join(plain.split())
