"""What the run changed, source by source: each evaluation against the first one."""

from dataclasses import dataclass, field
from pathlib import Path

from training.evaluate import Evaluation
from training.measures.baseline import Baseline, write_baseline, write_latest
from training.measures.bootstrap import Comparison, compare_all


@dataclass(kw_only=True, slots=True)
class Forgetting:
    """Keeps the first evaluation of each source, in `out/baseline.arrow` too; writes each there.

    `out` None: this rank does not write.
    """

    out: Path | None
    seed: int
    baseline: Baseline = field(default_factory=Baseline)

    def cut(self, step: int) -> None:
        """Forget the baselines of sources that were first scored after `step`."""
        steps = {name: first for name, first in self.baseline.steps.items() if first <= step}
        documents = {name: self.baseline.documents[name] for name in steps}
        self.baseline = Baseline(documents=documents, steps=steps)

    def observe(self, evaluation: Evaluation, step: int) -> dict[str, Comparison]:
        """Each source and domain against its baseline; a source seen first becomes its own."""
        extended = self.baseline.extended(evaluation, step)
        if extended is not self.baseline or step == 0:
            self.baseline = extended
            if self.out is not None:
                write_baseline(self.out, extended)
        if self.out is not None:
            write_latest(self.out, evaluation, step)
        return compare_all(extended, evaluation, seed=self.seed)
