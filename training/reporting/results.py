"""What two runs came to, source by source, and how sure the difference is.

Where both have scored the same documents at their last evaluation (`evaluation.arrow`), the
documents are resampled with both of their losses, as `training.measures.bootstrap` does it against
step 0. Else there are two figures and no interval. Perplexities count tokens, so those of two
tokenizers are not compared; bits per byte are.
"""

from dataclasses import dataclass

from training.errors import ResumeError
from training.reporting.differences import same
from training.reporting.learning import measured
from training.reporting.reading import RunFiles


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """A change and its 95 % interval, in percent."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_clear(self) -> bool:
        """The interval is there and does not hold 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One source or domain at the last evaluations of both runs."""

    name: str
    perplexity: tuple[float, float] | None  # None: of two tokenizers
    bits_per_byte: tuple[float, float]
    change: Bounds  # of B against A: of the perplexity, or else of bits per byte
    num_paired: int  # documents that both have scored; 0: no interval
    forgetting: tuple[float | None, float | None]  # each against its own first evaluation, percent


def compare_results(a: RunFiles, b: RunFiles) -> list[Result]:
    """Of every source and domain that both have validated."""
    names = [name for name in measured(a) if name in set(measured(b))]
    is_same = same(a, b, "tokenizer") is not False
    paired = paired_bounds(a, b) if is_same else {}
    return [result(a, b, name, paired.get(name), is_same) for name in names]


def result(
    a: RunFiles, b: RunFiles, name: str, paired: tuple[Bounds, int] | None, is_same: bool
) -> Result:
    """One source; `paired` is its change and the number of documents, where there is one."""
    before, after = a.scores(name)[-1][1], b.scores(name)[-1][1]
    figure = "perplexity" if is_same else "bits_per_byte"
    values = [_number(score[figure]) for score in (before, after)]
    change = Bounds(value=100 * (values[1] / values[0] - 1))
    bounds, num_paired = paired or (change, 0)
    changes = [score.get("perplexity_change_percent") or {} for score in (before, after)]
    return Result(
        name=name,
        perplexity=(values[0], values[1]) if is_same else None,
        bits_per_byte=(_number(before["bits_per_byte"]), _number(after["bits_per_byte"])),
        change=bounds,
        num_paired=num_paired,
        forgetting=(changes[0].get("value"), changes[1].get("value")),
    )


def paired_bounds(a: RunFiles, b: RunFiles) -> dict[str, tuple[Bounds, int]]:
    """Change of B against A over the documents that both have scored, by source and domain."""
    from training.evaluate import Evaluation
    from training.measures.baseline import LATEST_NAME, read_baseline  # it takes torch
    from training.measures.bootstrap import compare_all

    if not all((run.out / LATEST_NAME).is_file() and run.evaluations for run in (a, b)):
        return {}
    try:
        both = [read_baseline(run.out, run.last_step, LATEST_NAME) for run in (a, b)]
    except ResumeError:
        return {}
    for run, read in zip((a, b), both, strict=True):
        if set(read.steps.values()) != {run.evaluations[-1]["step"]}:  # the run went on or back
            return {}
    compared = compare_all(both[0], Evaluation(documents=both[1].documents), seed=0)
    return {
        name: (_bounds(each.perplexity_percent), each.num_documents)
        for name, each in compared.items()
        if each.num_documents
    }


def _bounds(change: object) -> Bounds:
    value, low, high = (getattr(change, name) for name in ("value", "low", "high"))
    infinite = low == float("-inf")
    return Bounds(value=value, low=None if infinite else low, high=None if infinite else high)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
