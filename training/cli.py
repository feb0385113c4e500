"""`train`: the command line. Imports no torch until the command is known to be well-formed."""

import argparse
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from training.config import read_config
from training.errors import TrainError, UsageError

Command = Callable[[argparse.Namespace], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run `train`. Exit code 0: done; 1: the run failed a check; 2: the command is wrong."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except TrainError as exc:
        return _fail(str(exc), 2 if isinstance(exc, UsageError) else 1, debug=arguments.debug)
    except (OSError, RuntimeError) as exc:  # a full disk, or torch out of memory
        message = f"{type(exc).__name__}: {exc}; --debug shows where"
        return _fail(message, 1, debug=arguments.debug)
    except KeyboardInterrupt:
        return _fail("interrupted before the first step; nothing was saved", 130, debug=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train",
        description="Continue the pre-training of a Hugging Face causal language model on shards "
        "that `prepare` made, and measure what it learned and forgot. Run again with the same "
        "--out to resume.",
        epilog="Under torchrun: torchrun --nproc-per-node N -m training --shards ...",
    )
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
    parser.set_defaults(command=_run)
    return parser


def _run(arguments: argparse.Namespace) -> None:
    config = read_config(
        arguments.config,
        shards=arguments.shards,
        model=arguments.model,
        out=arguments.out,
        overrides=arguments.overrides,
    )
    if importlib.util.find_spec("torch") is None:
        raise UsageError("torch is not installed; pip install 'headwater[train]'")
    from training.run import run_training

    run_training(config)


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    rank = f" [rank {os.environ['RANK']}]" if "RANK" in os.environ else ""
    print(f"train{rank}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
