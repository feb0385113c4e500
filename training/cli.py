"""`train`: the command line. Imports no torch until the command is known to be well-formed."""

import argparse
import importlib.util
import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.commandline import Parser, Version, add_examples, end_of_pipe, flushed, parsed
from pipeline.completion import SHELLS, script
from pipeline.report.visible import replace_what_cannot_be_printed, visible_lines
from training.commands.reporting import compare_parser, report_parser
from training.config import TrainConfig, read_config
from training.errors import TrainError, UsageError

Command = Callable[[argparse.Namespace], int | None]

INTERRUPTED = 130  # exit code: 128 + SIGINT, as a shell has it

DESCRIPTION = """\
Continue the pre-training of a Hugging Face language model on shards that `prepare` made, and
measure what it learned and forgot. Run again with the same --out to resume. Without a command it
trains.
"""

GROUPS = {
    "before a run": ("plan", "verify-resume"),
    "after a run": ("report", "compare"),
    "reference": ("completion",),
}

EXAMPLES = {
    "run": """\
train --shards build/corpus --model models/smollm2 --out runs/first --set steps=200
train --config train.yaml --set lr.peak=3e-5 --json
torchrun --nproc-per-node 8 -m training --config train.yaml""",
    "plan": """\
train plan --config train.yaml --measure
train plan --shards build/corpus --model models/smollm2 --tokens-per-second 25000""",
    "verify-resume": """\
train verify-resume --config train.yaml --steps 4""",
    "report": """\
train report runs/first""",
    "compare": """\
train compare runs/first runs/second""",
    "completion": """\
source <(train completion bash)
train completion zsh > ~/.zfunc/_train
train completion fish > ~/.config/fish/completions/train.fish""",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `train`; returns the exit code.

    0: done, or stopped by a signal with a checkpoint to go on from; 1: the run failed a check;
    2: the command is wrong; 130: interrupted before it could save.
    """
    replace_what_cannot_be_printed()
    words = list(sys.argv[1:] if argv is None else argv)
    is_named = bool(words) and words[0] in PARSERS
    command, given = (words[0], words[1:]) if is_named else ("run", words)
    try:
        arguments = parsed(parser_of(command), given)
    except BrokenPipeError:
        return end_of_pipe()
    try:
        return flushed(arguments.command(arguments) or 0)
    except BrokenPipeError:
        return end_of_pipe()
    except TrainError as exc:
        return _fail(str(exc), 2 if isinstance(exc, UsageError) else 1, arguments)
    except (OSError, RuntimeError) as exc:  # a full disk, or torch out of memory
        message = f"{type(exc).__name__}: {exc}; --debug shows where"
        return _fail(message, 1, arguments)
    except KeyboardInterrupt:
        how = f"; what checkpoints there are is whole, go on with: train {shlex.join(words)}"
        return _fail(f"interrupted{how if command == 'run' else ''}", INTERRUPTED, arguments)


def parser_of(command: str) -> Parser:
    """The parser of one command, with the examples of its help; `run` is `train` itself."""
    parser = PARSERS[command]()
    add_examples({command: parser}, EXAMPLES)
    if command == "run":
        parser.groups = GROUPS
        parser.commands = {name: make() for name, make in PARSERS.items() if name != "run"}
    return parser


def build_parser() -> Parser:
    """`train` with all its commands below it, for completion; `main` parses by `PARSERS`."""
    parser = parser_of("run")
    commands: Any = parser.add_subparsers(metavar="COMMAND")
    for name, command in parser.commands.items():
        commands.add_parser(
            name, parents=[command], add_help=False, help=command.description, prog=command.prog
        )
    return parser


def _run_parser() -> Parser:
    parser = _parser("train", DESCRIPTION)
    parser.add_argument("--version", action=Version)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="no progress, no notes: the result alone")
    how.add_argument(
        "--json",
        action="store_true",
        help="for machines: progress and outcome on stdout, one event a line",
    )
    parser.add_argument(
        "--objective",
        metavar="MODULE:FUNCTION",
        help="minimise this function (outputs, batch) -> (sum, num_units, metrics) of your own",
    )
    parser.add_argument(
        "--extend",
        action="store_true",
        help="resume with more --shards than the run began with: their sources join from here on",
    )
    parser.set_defaults(command=_run)
    return parser


def _plan_parser() -> Parser:
    parser = _parser("train plan", "Say what a run would read, cost and take; start nothing.")
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument(
        "--tokens-per-second", metavar="N", type=_positive, help="to tell how long the run takes"
    )
    speed.add_argument(
        "--measure", action="store_true", help="load the model and time a micro-batch here"
    )
    parser.set_defaults(command=_plan)
    return parser


def _verify_parser() -> Parser:
    parser = _parser(
        "train verify-resume", "Print the hash of the next batches for several numbers of ranks."
    )
    parser.add_argument(
        "--steps",
        metavar="K",
        dest="num_steps",
        type=_count,
        default=8,
        help="how many (default 8)",
    )
    parser.add_argument(
        "--from",
        metavar="STEP",
        dest="first_step",
        type=int,
        help="first step (default: where the run in --out is, else 0)",
    )
    parser.set_defaults(command=_verify_resume)
    return parser


def _completion_parser() -> Parser:
    parser = Parser(
        prog="train completion",
        description="Print a script that completes commands in a shell.",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=" | ".join(SHELLS))
    parser.set_defaults(command=_completion, debug=False)
    return parser


PARSERS = {
    "run": _run_parser,
    "plan": _plan_parser,
    "verify-resume": _verify_parser,
    "report": report_parser,
    "compare": compare_parser,
    "completion": _completion_parser,
}


def _parser(name: str, description: str) -> Parser:
    """A parser with what all commands share: where the config comes from."""
    parser = Parser(prog=name, description=description)
    parser.add_argument(
        "--shards",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="output of `prepare run`; may be given more than once",
    )
    parser.add_argument("--model", metavar="PATH", help="Hugging Face directory or hub name")
    parser.add_argument("--out", metavar="DIR", type=Path, help="directory of the run")
    parser.add_argument("--config", metavar="FILE", type=Path, help="train config, YAML")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="overrides",
        action="append",
        default=[],
        help="override a key of the config, such as lr.peak=3e-5; may be given more than once",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"got {text}, want a number above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, want at least 1")
    return value


def _config(
    arguments: argparse.Namespace, required: Sequence[str] = ("shards", "model", "out")
) -> TrainConfig:
    config = read_config(
        arguments.config,
        shards=arguments.shards,
        model=arguments.model,
        out=arguments.out,
        objective=getattr(arguments, "objective", None),
        overrides=arguments.overrides,
        required=required,
    )
    if importlib.util.find_spec("torch") is None:
        raise UsageError("torch is not installed; pip install 'headwater[train]'")
    return config


def _run(arguments: argparse.Namespace) -> None:
    config = _config(arguments)
    from training.run import run_training
    from training.screen import Style

    style: Style = "json" if arguments.json else "quiet" if arguments.quiet else "auto"
    run_training(config, extend=arguments.extend, style=style)


def _plan(arguments: argparse.Namespace) -> None:
    config = _config(arguments, required=("shards", "model"))
    from training.commands.show import print_plan

    print_plan(config, arguments.tokens_per_second, measure=arguments.measure)


def _verify_resume(arguments: argparse.Namespace) -> None:
    config = _config(arguments, required=("shards",))
    from training.commands.show import print_hashes

    print_hashes(config, num_steps=arguments.num_steps, first_step=arguments.first_step)


def _completion(arguments: argparse.Namespace) -> None:
    print(script(build_parser(), arguments.shell), end="")


def _fail(message: str, code: int, arguments: argparse.Namespace) -> int:
    if arguments.debug and code != INTERRUPTED:
        traceback.print_exc()
    if getattr(arguments, "json", False) and os.environ.get("RANK", "0") == "0":
        event = {"event": "failed", "exit_code": code, "message": message}
        print(json.dumps(event), flush=True)
    rank = f" [rank {os.environ['RANK']}]" if "RANK" in os.environ else ""
    print(f"train{rank}: {chr(10).join(visible_lines(message))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
