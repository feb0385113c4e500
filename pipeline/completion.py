"""Scripts with which a shell completes the commands, for both programs.

They are made once, from the parsers, by `shtab`: completing a word starts no Python.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

SHELLS = ("bash", "zsh", "fish")
FOLDERS = ("DIR", "OUT", "OUT_A", "OUT_B", "RUN", "RUN_A", "RUN_B")  # metavars


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """What the shell has to source. Paths are completed as paths."""
    import shtab  # takes 30 ms, which no other command needs

    for action in _actions(parser):
        if action.type is Path and action.choices is None:
            is_folder = action.metavar in FOLDERS
            action.complete = shtab.DIRECTORY if is_folder else shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell)) + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of a parser and of all its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
        else:
            yield action
