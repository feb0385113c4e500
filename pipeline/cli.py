"""The `prepare` command.

Exit codes: 0 done; 1 the data or the run failed a check; 2 the command or the manifest is wrong;
130 interrupted. Errors are one message on stderr; the traceback is printed with `--debug` only.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from rich.console import Console

from filters.errors import FilterError, FilterLoadError
from pipeline.calibration.command import add_calibrate
from pipeline.commandline import Parser, Version, add_examples, end_of_pipe, flushed, parsed
from pipeline.commands.arguments import add_machine, num_bytes
from pipeline.commands.completion import add_completion
from pipeline.commands.examples import EXAMPLES, GROUPS
from pipeline.commands.filters import add_filters, add_schema
from pipeline.commands.run import add_refilter, add_run, perform
from pipeline.commands.verify import add_verify
from pipeline.comparing.command import add_compare
from pipeline.erasing.command import add_erase
from pipeline.errors import PrepareError, WorkerError
from pipeline.explaining.command import add_duplicates, add_explain
from pipeline.formats.command import add_export, add_import
from pipeline.index.command import add_index
from pipeline.initialising.command import add_init
from pipeline.ngrams.command import add_fit_lm
from pipeline.planning.command import add_plan
from pipeline.quarantine.command import add_quarantine
from pipeline.report.html.command import add_report
from pipeline.tracing.command import add_trace

PLAIN_WIDTH = 100  # of tables in a file or a pipe: the longest rule in one line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    words, beam_arguments = given, tuple[str, ...]()
    if "--" in given:
        cut = given.index("--")
        words, beam_arguments = given[:cut], tuple(given[cut + 1 :])
    try:
        options = parsed(build_parser(), words)
    except BrokenPipeError:
        return end_of_pipe()
    options.beam_arguments = beam_arguments
    try:
        return flushed(int(options.command(options)))
    except (PrepareError, FilterError) as error:
        if options.debug:
            raise
        hint = "; --debug shows where" if isinstance(error, WorkerError) else ""
        code = 2 if isinstance(error, ValueError | FilterLoadError) else 1
        return _fail(options, f"{error}{hint}", code)
    except BrokenPipeError:
        return end_of_pipe()
    except OSError as error:
        if options.debug:
            raise
        # Neither a reader nor a writer has named it: a pipe, a folder that is gone.
        where = f"{error.filename}: " if error.filename else ""
        why = error.strerror or str(error)
        return _fail(options, f"{where}{why}; mend that and run it again; --debug shows where", 1)
    except KeyboardInterrupt:
        how = f"; what is done is kept, go on with: prepare {shlex.join(given)}"
        return _fail(options, f"interrupted{how if options.goes_on else ''}", 130)


def _fail(options: argparse.Namespace, message: str, code: int) -> int:
    """Say it on stderr and, where a machine reads events, as the last of them."""
    if options.events:
        from pipeline.progress.events import write_event

        write_event("failed", exit_code=code, message=message)
    print(f"prepare: {message}", file=sys.stderr)
    return code


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(prog="prepare", description="Raw text to packed, sharded token files.")
    parser.add_argument("--version", action=Version)
    # Of commands that say nothing of it: no events are read, and nothing goes on where it stopped.
    parser.set_defaults(events=False, goes_on=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_init(commands, _console)
    add_plan(commands, _console)
    add_run(commands, _console)
    add_refilter(commands, _console)
    add_verify(commands)
    add_fit_lm(commands, num_bytes)
    add_calibrate(commands, _console)
    add_report(commands, _console)
    add_compare(commands, _console)
    add_explain(commands, _console)
    add_trace(commands, _console)
    add_duplicates(commands, _console)
    add_index(commands, _console)
    add_quarantine(commands, _console, add_machine, perform)
    add_erase(commands, _console)
    add_export(commands, _console)
    add_import(commands, _console)
    add_filters(commands, _console)
    add_schema(commands)
    add_completion(commands, build_parser)
    parser.set_commands(commands, GROUPS)
    add_examples(commands.choices, EXAMPLES)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="print tracebacks")
    return parser


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


if __name__ == "__main__":
    sys.exit(main())
