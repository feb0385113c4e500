"""Every command and option of `prepare` and `train`, from their parsers."""

import argparse
import re
from collections.abc import Iterator
from textwrap import dedent

from reference.markdown import code, page, prose, table

INTRODUCTION = """\
# Commands

`prepare` and `train` end with 0 when they are done, with 1 when the data or the run failed a
check, with 2 when the command or its input is wrong. An error is one message on stderr; `--debug`
adds the traceback.
"""

Parser = argparse.ArgumentParser


def commands_page() -> str:
    """The reference of the command line."""
    from pipeline.cli import build_parser

    return page(
        INTRODUCTION,
        "## prepare",
        *(section(parser) for parser in leaves(build_parser())),
        "## train",
        *(section(parser) for parser in train_parsers()),
    )


def train_parsers() -> Iterator[Parser]:
    """One parser for each command of `train`; the first is `train` itself."""
    from training.cli import PARSERS

    for make in PARSERS.values():
        yield make()


def leaves(parser: Parser) -> Iterator[Parser]:
    """The parsers of the commands themselves, in the order of `--help`."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield parser
    for action in inner:
        summaries = {choice.dest: choice.help for choice in action._choices_actions}
        for name, child in action.choices.items():
            child.description = child.description or summaries.get(name)
            yield from leaves(child)


def section(parser: Parser) -> str:
    """One command: what it does, how it is called, its arguments, what its help ends with."""
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    return page(
        f"### {parser.prog}",
        _text(parser.description),
        f"```text\n{_wrapped(usage, parser.prog)}\n```",
        _arguments(parser),
        _text(parser.epilog),
    ).rstrip("\n")


def _arguments(parser: Parser) -> str:
    rows = [
        (code(_name(action)), prose(_help(action)))
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction) and action.help != argparse.SUPPRESS
    ]
    return table(("argument", "meaning"), rows) if rows else ""


def _name(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else ""
    if not value and action.choices is not None:
        value = "{" + ",".join(str(choice) for choice in action.choices) + "}"
    if not action.option_strings:
        return value or action.dest
    takes = value or ("" if action.nargs == 0 else action.dest.upper())
    return f"{', '.join(action.option_strings)} {takes}".strip()


def _help(action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": ""}


def _text(text: str | None) -> str:
    """A description: prose as prose, what is indented or laid out in columns as it stands."""
    clean = dedent(text).strip() if text else ""
    blocks = re.split(r"\n\s*\n", clean)
    return "\n\n".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    if re.search(r"^\s{2,}\S", block, re.MULTILINE):
        return f"```text\n{block}\n```"
    return prose(block)


def _wrapped(usage: str, prog: str, width: int = 90) -> str:
    """The usage in lines of at most `width` characters, broken between arguments."""
    lines, words = [prog], re.findall(r"\[[^\]]*\]|\([^)]*\)|\S+", usage.removeprefix(prog))
    for word in words:
        if len(lines[-1]) + 1 + len(word) > width:
            lines.append("   ")
        lines[-1] += f" {word}"
    return "\n".join(lines)
