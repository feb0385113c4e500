"""`report.html`: one self-contained page about a run, at any time of it."""

from collections.abc import Callable
from pathlib import Path

from pipeline.page.document import Section, render, write_page
from training.errors import ReportError
from training.reporting.facts import gate_section, origin_section, overview_section, tasks_section
from training.reporting.learning import forgetting_section, learning_section
from training.reporting.mix import mix_section
from training.reporting.optimisation import optimisation_section
from training.reporting.reading import RunFiles, read_run
from training.reporting.speed import speed_section
from training.reporting.written import samples_section

FILE_NAME = "report.html"
DRAWN_WITH = ("matplotlib", "cycler")
MISSING = "install matplotlib, which draws the figures"


def write_report(out: Path, target: Path | None = None) -> Path:
    """Write the page of the run in `out` (default: `out/report.html`); returns where it is.

    Raises `UsageError` where there is no run, `ReportError` without matplotlib or for damage.
    """
    run, path = read_run(out), target or out / FILE_NAME
    write_page(path, drawn_or_said(path, lambda: report_page(run)))
    return path


def drawn_or_said(path: Path, page: Callable[[], str]) -> str:
    """What `page` returns; raises `ReportError` where there is no matplotlib to draw with."""
    try:
        return page()
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] not in DRAWN_WITH:
            raise
        raise ReportError(f"{path}: not drawn: {exc.name} is not installed; pip {MISSING}") from exc


def report_page(run: RunFiles) -> str:
    """The page as text."""
    model = run.config.get("model_path") or run.record.get("model", {}).get("path", "")
    total = "" if run.num_steps is None else f" of {run.num_steps:,}"
    said = [Path(str(model)).name, f"step {run.last_step:,}{total}", run.status]
    return render(
        title=f"Training: {run.out.resolve().name}",
        subtitle=" · ".join(part for part in said if part),
        sections=sections(run),
    )


def sections(run: RunFiles) -> list[Section]:
    """Those that the run has something for."""
    parts = [
        overview_section(run),
        learning_section(run),
        forgetting_section(run),
        gate_section(run),
        tasks_section(run),
        samples_section(run),
        mix_section(run),
        optimisation_section(run),
        speed_section(run),
        origin_section(run),
    ]
    return [part for part in parts if part is not None]
