"""Rates, and the time that is left."""

import pytest

from pipeline.progress.figures import Figures
from pipeline.progress.stages import RunProgress, StageProgress, row_of


class Seen:
    """A watch of which the test says what it saw."""

    def __init__(self, before: Figures | None = None) -> None:
        self.before, self.here, self.num_done = before or Figures(), Figures(), 0

    @property
    def figures(self) -> Figures:
        return self.before + self.here

    def poll(self, *, now: bool = False) -> None:
        """Nothing comes but what the test adds."""

    def add(
        self, num_items: int, seconds: float, num_documents: int = 0, num_kept: int = 0
    ) -> None:
        """A third of what is not kept is quarantined."""
        num_bad = (num_documents - num_kept) // 3 if num_kept else 0
        self.num_done += num_items
        self.here += Figures(
            num_records=num_items,
            num_documents=num_documents,
            num_bytes=100 * num_documents,
            num_kept=num_kept,
            num_quarantined=num_bad,
            num_dropped=2 * num_bad,
            seconds=num_items * seconds,
        )


def stage(watch: Seen | None, **changes: object) -> StageProgress:
    values = {"name": "refine", "num_items": 40, "num_before": 0, "started": 100.0}
    return StageProgress(**(values | {"num_workers": 4, "watch": watch} | changes))  # type: ignore[arg-type]


def test_a_run_that_goes_on_knows_at_once_when_it_ends() -> None:
    before = Figures(num_records=20, seconds=40.0)  # 2 s an item
    one = stage(Seen(before), num_before=20)
    assert one.eta_seconds(100.0) == pytest.approx(10.0)  # 20 left, 4 at once
    assert one.eta_seconds(103.0) == pytest.approx(7.0)


def test_without_any_finished_item_nothing_is_foretold() -> None:
    assert stage(Seen()).eta_seconds(160.0) is None
    assert stage(None).eta_seconds(160.0) is None


def test_later_the_clock_tells_also_what_no_record_counts() -> None:
    watch = Seen()
    one = stage(watch)
    watch.add(10, seconds=1.0)
    one.poll(150.0)  # 5 s an item by the clock
    assert one.eta_seconds(150.0) == pytest.approx(150.0)
    assert one.eta_seconds(160.0) == pytest.approx(140.0)


def test_the_last_items_are_not_done_sooner_than_one_takes() -> None:
    one = stage(Seen(Figures(num_records=39, seconds=390.0)), num_before=39)
    assert one.eta_seconds(100.0) == pytest.approx(10.0)
    assert one.eta_seconds(500.0) == 0.0


def test_rates_are_of_what_was_done_here() -> None:
    watch = Seen(Figures(num_records=5, num_documents=1_000_000, num_bytes=10**9, seconds=1.0))
    one = stage(watch, num_before=5)
    assert one.documents_per_second(110.0) is None
    watch.add(2, seconds=5.0, num_documents=500)
    assert one.documents_per_second(110.0) == pytest.approx(50.0)
    assert one.bytes_per_second(110.0) == pytest.approx(5_000.0)
    assert one.documents_per_second(100.0) is None  # no time has gone by


def test_items_are_counted_by_whoever_knows_first() -> None:
    watch = Seen()
    one = stage(watch)
    watch.add(3, seconds=1.0)
    assert one.num_done == 3
    one.advance(5, 101.0)
    assert one.num_done == 5
    one.advance(100, 102.0)
    assert one.num_done == 40


def test_rounds_share_a_row_and_add_up_their_time() -> None:
    run = RunProgress(started=0.0)
    run.begin("verify 1", 3, 0, 10.0, None)
    run.end(15.0)
    second = run.begin("verify 2", 9, 0, 20.0, None)
    assert list(run.rows) == ["verify"]
    assert second.seconds(21.0) == 1.0
    assert second.total_seconds(21.0) == 6.0


def test_what_is_to_come_lies_behind_what_was_seen() -> None:
    run = RunProgress(0.0, expected=("inputs", "refine", "candidates", "tokenise", "pack"))
    assert run.to_come() == ["inputs", "refine", "candidates", "tokenise", "pack"]
    run.begin("tokenise", 1, 0, 1.0, None)
    assert run.to_come() == ["pack"]


def test_documents_are_those_of_the_last_pass_over_them() -> None:
    run = RunProgress(0.0)
    for num_kept in (100, 60):  # all are kept until a filter is fitted
        watch = Seen(Figures(num_records=1, num_documents=100, num_kept=num_kept))
        run.begin("refine", 1, 1, 0.0, watch)  # type: ignore[arg-type]
        run.refresh(1.0, None)
        run.end(1.0)
    run.begin("tokenise", 1, 1, 2.0, Seen(Figures(num_documents=55)))  # type: ignore[arg-type]
    run.refresh(2.0, 5)
    assert (run.documents.num_documents, run.documents.num_kept) == (100, 60)
    assert run.peak_bytes == 5


@pytest.mark.parametrize(
    ("name", "row"),
    [("refine", "refine"), ("refilter", "refine"), ("verify 12", "verify"), ("edits: scan",) * 2],
)
def test_a_row_has_the_name_of_its_rounds(name: str, row: str) -> None:
    assert row_of(name) == row
