"""`prepare completion SHELL`: what a shell needs to complete commands, options and filters."""

import argparse
from collections.abc import Callable
from typing import Any

from pipeline.completion import SHELLS, script


def add_completion(commands: Any, parser: Callable[[], argparse.ArgumentParser]) -> None:
    """Add the command to the subparsers of `prepare`; `parser()` has all of them."""
    command: argparse.ArgumentParser = commands.add_parser(
        "completion", help="print a script that completes commands in a shell"
    )
    command.add_argument("shell", choices=SHELLS, metavar="SHELL", help=" | ".join(SHELLS))
    command.set_defaults(command=lambda options: _completion(parser(), options.shell))


def _completion(parser: Any, shell: str) -> int:
    from filters.registry import names

    (named,) = (a for a in parser.commands["filters"]._actions if a.dest == "name")
    named.choices = names()
    print(script(parser, shell), end="")
    return 0
