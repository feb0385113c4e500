"""`prepare calibrate`: thresholds seen on a sample, and proposed from it.

Numeric thresholds that a filter's `bounds` names are proposed. Filters without, such as `url` and
`code`, and any with `per_language`, take part in what is dropped, and stay as they are.
"""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.errors import UsageError

NUM_DOCUMENTS = 10_000


def add_calibrate(commands: Any, console: Any) -> None:
    """Add the command to the subparsers of `prepare`; `console()` is where tables go."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "calibrate", help="show what the filters do to a sample, and propose thresholds"
    )
    parser.add_argument("manifest", type=Path, metavar="MANIFEST", help="the data manifest (YAML)")
    parser.add_argument(
        "--documents",
        type=int,
        default=NUM_DOCUMENTS,
        metavar="N",
        help=f"of all sources together (default {NUM_DOCUMENTS})",
    )
    parser.add_argument(
        "--examples", type=int, default=0, metavar="N", help="on either side of each threshold"
    )
    propose = parser.add_mutually_exclusive_group()
    propose.add_argument(
        "--keep", type=float, metavar="SHARE", help="propose thresholds that keep it, as 0.8"
    )
    propose.add_argument(
        "--labels", type=Path, metavar="FILE", help="propose by good and bad examples (JSON lines)"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="a new manifest, beside MANIFEST, with them"
    )
    parser.set_defaults(command=lambda options: run_calibrate(options, console()))


def run_calibrate(options: argparse.Namespace, console: Console) -> int:
    """The command. Raises `UsageError` for options that contradict themselves."""
    _check(options)
    # numba, pyarrow and the readers take a second to import: `prepare --help` must not wait.
    from pipeline.calibration.knobs import find_knobs
    from pipeline.calibration.labels import read_labels
    from pipeline.calibration.manifest import check_new
    from pipeline.calibration.measuring import measure
    from pipeline.manifest import load_manifest
    from pipeline.plan import Plan
    from pipeline.progress.styles import waiting
    from pipeline.report import calibration as report
    from pipeline.run import check_extractors
    from pipeline.sampling import sample

    manifest = load_manifest(options.manifest)
    if not manifest.filters:
        raise UsageError(f"{options.manifest}: got no filters, want some to calibrate")
    base = options.manifest.resolve().parent
    plan = Plan(manifest, base, (base / manifest.output).resolve())
    check_extractors(plan)
    labels = None if options.labels is None else read_labels(options.labels, plan)
    if options.write is not None:
        check_new(options.manifest, options.write)
    with waiting("Reading and measuring a sample ..."):
        samples = sample(plan, options.documents)
        measured = measure(plan, [(one.source, one.documents) for one in samples])
    report.print_sample(samples, measured, console)
    if not measured.documents.num_rows:
        raise UsageError(f"{options.manifest}: got no document with text, want some to measure")
    report.print_signals(manifest, measured, console, options.examples)
    report.print_drops(measured, console)
    report.print_overlap(measured, console)
    knobs = find_knobs(manifest, measured)
    if options.keep is not None:
        thresholds = _by_share(options.keep, measured, knobs, console)
    elif labels is not None:
        thresholds = _by_labels(labels, plan, measured, knobs, console)
    else:
        return 0
    if options.write is not None:
        _write(options, measured.documents.num_rows, knobs, thresholds)
        console.print(f"{options.write}: written", soft_wrap=True, highlight=False)
    return 0


def _check(options: argparse.Namespace) -> None:
    if options.documents < 1:
        raise UsageError(f"--documents: got {options.documents}, want at least 1")
    if options.examples < 0:
        raise UsageError(f"--examples: got {options.examples}, want 0 or more")
    if options.keep is not None and not 0 < options.keep <= 1:
        raise UsageError(f"--keep: got {options.keep}, want a share in 0..1, as 0.8")
    if options.write is not None and options.keep is None and options.labels is None:
        raise UsageError("--write: want --keep SHARE or --labels FILE, by which to propose")


def _by_share(wanted: float, measured: Any, knobs: Any, console: Console) -> list[float]:
    from pipeline.calibration.knobs import changes_of
    from pipeline.calibration.proposals import propose_share
    from pipeline.report import calibration as report

    found = propose_share(measured, knobs, wanted)
    after = measured.kept_by_all(changes_of(knobs, found.thresholds)).mean()
    title = f"Thresholds that keep {wanted:.0%}"
    report.print_thresholds(title, measured, knobs, found.thresholds, console)
    report.print_kept(found, wanted, measured.kept_by_all().mean(), after, console)
    return found.thresholds


def _by_labels(labels: Any, plan: Any, sampled: Any, knobs: Any, console: Console) -> list[float]:
    from pipeline.calibration.knobs import changes_of, find_knobs
    from pipeline.calibration.measuring import measure
    from pipeline.calibration.proposals import propose_filter, propose_labels, score
    from pipeline.report import calibration as report

    path = labels.path
    batches = list(labels.documents(plan))
    if not batches:
        raise UsageError(f"{path}: none of the ids is in the inputs; want ids of id_field")
    measured = measure(plan, batches)
    good = labels.good(measured.documents["id"])
    own = find_knobs(plan.manifest, measured)
    if [(k.place, k.name) for k in own] != [(k.place, k.name) for k in knobs]:
        raise UsageError(f"{path}: want examples of every source that has filters of its own")
    console.print(
        f"{path}: {len(good):,} of {len(labels.by_id) + len(labels.texts):,} examples found, "
        f"{int(good.sum()):,} good. Scores are on the examples that the thresholds are chosen by.",
        soft_wrap=True,
        highlight=False,
    )
    now = measured.kept()
    rows = []
    for place, name in enumerate(measured.names):
        before = score(now[place], good)
        _, alone = propose_filter(measured, own, place, good)
        rows.append((name, before, alone))
    thresholds, reached = propose_labels(measured, own, good)
    rows.append(("all together", score(measured.kept_by_all(), good), reached))
    report.print_scores(rows, console)
    report.print_thresholds("Thresholds for all together", sampled, knobs, thresholds, console)
    after = sampled.kept_by_all(changes_of(knobs, thresholds)).mean()
    console.print(
        f"Of the sample, all filters keep {sampled.kept_by_all().mean():.1%} now, "
        f"{after:.1%} with these thresholds.",
        highlight=False,
    )
    return thresholds


def _write(
    options: argparse.Namespace, num_documents: int, knobs: Any, thresholds: list[float]
) -> None:
    from pipeline.calibration.knobs import changes_of
    from pipeline.calibration.manifest import write_manifest

    how = f"--keep {options.keep}" if options.keep is not None else f"--labels {options.labels}"
    header = [
        f"{options.manifest.name} with thresholds that `prepare calibrate {how}` proposed",
        f"on a sample of {num_documents:,} documents. Before:",
    ]
    moved = [(k, limit) for k, limit in zip(knobs, thresholds, strict=True) if limit != k.value]
    for knob, _ in moved:
        default = "" if knob.is_given else ", the default"
        header.append(f"  filters.{knob.place}.{knob.name}: {knob.value}{default}")
    changes = changes_of([knob for knob, _ in moved], [limit for _, limit in moved])
    write_manifest(options.manifest, options.write, changes, header)
