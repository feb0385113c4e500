"""`prepare run` as a function: what the command calls, and a notebook or a script.

from pipeline import prepare

done = prepare("corpus.yaml", workers=4)
done.shards          # Path: what `train --shards` takes
done.ledger          # what became of the rows of each source
done                 # in a notebook: the funnel as a table
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.progress.reporter import Style

if TYPE_CHECKING:  # Beam takes 1.1 s to import, the manifest half a second: who prepares waits
    from pipeline.ledger import Ledger
    from pipeline.outcome import Outcome
    from pipeline.plan import Place, Plan
    from pipeline.stage import Context

MEMORY_BYTES = 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a run may have: processes, bytes of the shuffle; with `beam_arguments` a Beam runner."""

    num_workers: int = 1
    memory_bytes: int = MEMORY_BYTES
    beam_arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A finished output, and what came to it."""

    out: Path
    outcome: "Outcome" = field(repr=False)  # of pages: a console shows where it is

    @property
    def shards(self) -> Path:
        """What `training.train` and `train --shards` take."""
        return self.out

    @property
    def ledger(self) -> "Ledger":
        """By source: rows read, kept, dropped by which rule, quarantined for which reason."""
        return self.outcome.ledger

    @property
    def num_tokens(self) -> int:
        """Tokens of all shards."""
        return sum(shard.num_tokens for shard in self.outcome.index.shards)

    def report(self) -> Path:
        """Write `report.html` and return where it is."""
        from pipeline.files import REPORT_NAME
        from pipeline.report.html.build import write_report

        path = self.out / REPORT_NAME
        write_report(self.out, path)
        return path

    def _repr_html_(self) -> str:
        from pipeline.report.notebook import outcome_html

        return outcome_html(self.outcome, self.out)


def prepare(
    manifest: str | Path | Mapping[str, Any],
    *,
    base: str | Path = ".",
    overrides: Sequence[str] = (),
    workers: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    refresh: bool = False,
    mend: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Do what `prepare run` does; what was done before is not done again.

    `manifest` is a file, or its values as YAML has them; then `base` is the folder that its paths
    begin at. `overrides` are as `--set` takes them, `workers` defaults to the processor's cores,
    `refresh` and `mend` are as the command's. `quiet`: no progress on stderr.
    Raises `PrepareError` or `FilterError`; interrupted, it goes on with the next call.
    """
    num_workers = (os.cpu_count() or 1) if workers is None else workers
    for name, number in (("workers", num_workers), ("memory_bytes", memory_bytes)):
        if number < 1:
            raise UsageError(f"{name}: got {number}, want at least 1")
    if isinstance(overrides, str):
        raise UsageError(f"overrides: got {overrides!r}, want a list of such texts")
    plan = plan_of(manifest, Path(base), overrides)
    machine = Machine(num_workers=num_workers, memory_bytes=memory_bytes)
    style = Style.QUIET if quiet else Style.AUTO
    return Prepared(plan.out, run_plan(plan, machine, style, refresh=refresh, mend=mend))


def plan_of(
    manifest: str | Path | Mapping[str, Any], base: Path, overrides: Sequence[str]
) -> "Plan":
    """Raises `ManifestError`."""
    from pipeline.configfile import validate
    from pipeline.errors import ManifestError
    from pipeline.manifest import Manifest, load_manifest
    from pipeline.plan import Plan

    if isinstance(manifest, Mapping):
        read = validate(manifest, Manifest, overrides, error=ManifestError)
        folder = base.resolve()
    else:
        read = load_manifest(Path(manifest), overrides)
        folder = Path(manifest).resolve().parent
    return Plan(read, folder, (folder / read.output).resolve())


def run_plan(
    plan: "Plan", machine: Machine, style: Style, *, refresh: bool = False, mend: bool = False
) -> "Outcome":
    """Run it, or tell at once that it is finished."""
    from pipeline.seal import finished_before

    if not mend and (outcome := finished_before(plan)) is not None:
        return outcome
    from pipeline.run import run

    def work(context: "Context") -> "Outcome":
        return run(replace(context, mend=mend))

    done: Outcome = perform(plan, work, machine, style, None if refresh else frozenset())
    return done


def perform(
    plan: "Plan",
    work: "Callable[[Context], Any]",
    machine: Machine,
    style: Style,
    may_change: "frozenset[Place] | None" = None,
) -> Any:
    """Do `work` on that machine, its progress shown in that style."""
    from pipeline.graph.runner import BeamRunner, EmbeddedRunner, check_beam_arguments, quiet
    from pipeline.progress.expected import expected_stages
    from pipeline.progress.styles import open_progress
    from pipeline.stage import Context

    quiet()
    arguments = machine.beam_arguments
    unknown = check_beam_arguments(arguments) if arguments else []
    progress = open_progress(
        style,
        title=f"prepare {plan.manifest.name or plan.out.name}",
        num_workers=machine.num_workers,
        expected=expected_stages(plan.manifest),
    )
    with progress:
        for name in unknown:
            progress.note(f"prepare: Beam ignores {name}, unless its runner knows it")
        if arguments:
            beam = BeamRunner(arguments)
            return work(Context(plan, beam, progress, machine.memory_bytes, may_change))
        with EmbeddedRunner(machine.num_workers) as runner:
            return work(Context(plan, runner, progress, machine.memory_bytes, may_change))
