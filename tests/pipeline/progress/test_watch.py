"""Which items of a stage are done, by their records."""

from pathlib import Path

import pytest

from pipeline.progress.watch import Watch
from pipeline.records import Records


@pytest.fixture
def store(tmp_path: Path) -> Records:
    return Records(tmp_path, "refine")


def commit(store: Records, name: str, num_read: int = 1) -> None:
    store.commit(name, {}, {"num_read": num_read, "num_kept": num_read}, 0.5)


def test_items_are_done_when_their_records_come(store: Records) -> None:
    watch = Watch(store, [["a"], ["b"]])
    watch.poll(now=True)
    assert (watch.num_done, watch.figures.num_documents) == (0, 0)
    commit(store, "a", 7)
    watch.poll(now=True)
    assert (watch.num_done, watch.figures.num_documents) == (1, 7)
    commit(store, "b", 5)
    commit(store, "of another config", 100)
    watch.poll(now=True)
    assert (watch.num_done, watch.figures.num_documents) == (2, 12)


def test_what_was_done_before_is_in_the_sums_and_not_in_what_was_done_here(store: Records) -> None:
    commit(store, "before", 10)
    record = store.read("before")
    assert record is not None
    watch = Watch(store, [["a"]], [record])
    commit(store, "a", 3)
    watch.poll(now=True)
    assert (watch.figures.num_documents, watch.here.num_documents) == (13, 3)
    assert watch.num_done == 1


def test_an_item_that_is_done_again_is_not_done_by_its_old_record(store: Records) -> None:
    commit(store, "a", 3)
    watch = Watch(store, [["a"]])
    watch.poll(now=True)
    assert watch.num_done == 0
    commit(store, "a", 4)
    watch.poll(now=True)
    assert (watch.num_done, watch.here.num_documents) == (1, 4)


def test_an_item_of_several_records_is_done_with_the_last_one(store: Records) -> None:
    watch = Watch(store, [["a1", "a2"], ["b1"]])
    commit(store, "a2")
    watch.poll(now=True)
    assert (watch.num_done, watch.figures.num_records) == (0, 1)
    commit(store, "a1")
    watch.poll(now=True)
    assert watch.num_done == 1


def test_a_damaged_record_is_none_until_it_is_whole(store: Records) -> None:
    watch = Watch(store, [["a"]])
    commit(store, "a", 3)
    whole = store.path("a").read_bytes()
    store.path("a").write_bytes(whole.replace(b'"num_read": 3', b'"num_read": 4'))
    watch.poll(now=True)
    assert watch.num_done == 0
    store.path("a").write_bytes(whole)
    watch.poll(now=True)
    assert (watch.num_done, watch.figures.num_documents) == (1, 3)


def test_each_record_is_read_once(store: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number:04}" for number in range(300)]
    watch = Watch(store, [[name] for name in names])
    opened: list[str] = []
    real = Records.read

    def read(self: Records, item: str) -> object:
        opened.append(item)
        return real(self, item)

    monkeypatch.setattr(Records, "read", read)
    for name in names:
        commit(store, name)
        if name.endswith("0"):
            watch.poll(now=True)
    watch.poll(now=True)
    assert sorted(opened) == names
    assert watch.num_done == 300


def test_the_folder_is_not_listed_all_the_time(
    store: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(store, [["a"]])
    watch.poll()
    commit(store, "a")
    monkeypatch.setattr("pipeline.progress.watch.LISTED_SECONDS", 3600.0)
    watch.poll()  # a moment after the first time
    assert watch.num_done == 0
    watch.poll(now=True)
    assert watch.num_done == 1
