"""What the two programs share on the command line: help with examples, versions, hints, ends.

It imports nothing but the standard library, so that help, completion and mistakes are quick.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from pipeline.suggest import did_you_mean

DISTRIBUTION = "headwater"


class Parser(argparse.ArgumentParser):
    """A parser that hints at what was meant, and whose help keeps the lines of its examples."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        named.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **named)
        self.given: list[str] = []
        self.commands: Mapping[str, argparse.ArgumentParser] = {}
        self.groups: Mapping[str, Sequence[str]] = {}  # of commands, by title

    def set_commands(self, commands: Any, groups: Mapping[str, Sequence[str]]) -> None:
        """Its subparsers, in groups; what is said of a command in the list begins its own help."""
        self.commands, self.groups = commands.choices, groups
        for listed in commands._choices_actions:
            parser = commands.choices[listed.dest]
            parser.description = parser.description or listed.help

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; remembers the words, of which `error` may have to speak."""
        self.given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Usage, message and hint on stderr; exit code 2."""
        chosen = next((word for word in self.given if word in self.commands), None)
        if chosen is not None and message.startswith("unrecognized arguments"):
            self.commands[chosen].error(message)  # it knows what its own options are
        super().error(message + "".join(self._hints()))

    def format_help(self) -> str:
        """With the commands in groups, if there are any."""
        text = super().format_help()
        if not self.groups:
            return text
        head, options, rest = text.partition("\noptions:\n")
        head, _, _ = head.partition("\npositional arguments:\n")
        return f"{head}\n{self._grouped()}{options}{rest}"

    def _grouped(self) -> str:
        """The commands under their titles, each with the first line of its description."""
        width = max(map(len, self.commands))
        grouped = [name for names in self.groups.values() for name in names]
        more = [name for name in self.commands if name not in grouped]
        groups = {**self.groups, **({"more": more} if more else {})}
        lines = []
        for title, names in groups.items():
            known = [name for name in names if name in self.commands]
            summaries = [
                (self.commands[name].description or "").partition("\n")[0] for name in known
            ]
            listed = zip(known, summaries, strict=True)
            lines += [f"{title}:", *(f"  {name:<{width}}  {text}" for name, text in listed), ""]
        return "\n".join(lines)

    def _hints(self) -> Iterable[str]:
        """What words may have been meant that are no command and no option."""
        options = [word.partition("=")[0] for word in self.given if word.startswith("--")]
        known = [name for action in self._actions for name in action.option_strings]
        for word in options:
            if not any(name.startswith(word) for name in known):
                yield did_you_mean(word, known)
        for first in self.given[:1]:
            if not first.startswith("-") and first not in self.commands:
                yield did_you_mean(first, self.commands)


def add_examples(parsers: Mapping[str, Any], examples: Mapping[str, str]) -> None:
    """Put examples at the end of the help of each command, behind what is there."""
    for name, parser in parsers.items():
        if name in examples:
            parts = [parser.epilog] if parser.epilog else []
            lines = "\n".join(f"  {line}" for line in examples[name].splitlines())
            parser.epilog = "\n\n".join([*parts, f"examples:\n{lines}"])


class Version(argparse.Action):
    """`--version`: asks for the version only when it is wanted, which takes some milliseconds."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        help_ = "print the version and exit"
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help_)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(f"{parser.prog.partition(' ')[0]} {version(DISTRIBUTION)}")
        parser.exit()


def parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The options. What help and `--version` print has gone out when they end the program.

    Raises `BrokenPipeError` as `flushed` does. A program that was started without stdout or
    stderr, as by `>&-`, writes to nowhere.
    """
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    try:
        return parser.parse_args(words)
    except SystemExit:
        flushed(0)
        raise


def flushed(code: int) -> int:
    """The exit code of a command whose output has gone out; call it before leaving.

    Raises `BrokenPipeError` where its reader is gone, as behind `| head`.
    """
    sys.stdout.flush()
    return code


def end_of_pipe() -> int:
    """The reader of stdout is gone, and wants no message: exit code 1, nothing more is written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
