"""Whether a folder is the output of a finished run, which has texts behind its shards."""

from pathlib import Path
from typing import Any

from pipeline.errors import PrepareError, UsageError
from pipeline.files import ANEW, read_json
from pipeline.inputs import MANIFEST_NAME, RUN_NAME

IMPORT_NAME = "import.json"  # of a folder that `prepare import` made


def check_finished(out: Path) -> None:
    """Raise `UsageError` for a folder that is none; of an import it says what can be done."""
    if (out / RUN_NAME).is_file() and (out / MANIFEST_NAME).is_file():
        return
    if (out / IMPORT_NAME).is_file():
        raise UsageError(
            f"{out}: made by `prepare import`, so there are tokens and no texts, ids or stages "
            "behind them, and nothing can be erased, filtered or explained here; want the output "
            "of `prepare run` that it came from: do it there, then export and import anew"
        )
    raise UsageError(
        f"{out}: no finished output of `prepare run` here; give the manifest's `output`"
    )


def read_run(folder: Path, stages: tuple[str, ...] = ("refine",)) -> dict[str, Any]:
    """`run.json`: the fingerprints of the items of each stage, and what else it holds.

    Raises `PrepareError` where it cannot be read or lacks one of `stages`.
    """
    run = read_json(folder / RUN_NAME)
    for stage in stages:
        if not isinstance(run.get(stage), list):
            raise PrepareError(
                f"{folder / RUN_NAME}: got {stage} {run.get(stage)!r}, want the list of its items; "
                f"the file is damaged: {ANEW}"
            )
    return run
