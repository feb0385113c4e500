import pickle
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.chain import Chain
from filters.errors import FilterConfigError, FilterError
from filters.length import Length
from filters.protocol import signals
from filters.use import keep_rows, mask
from pipeline.manifest import Manifest
from pipeline.plan import Plan
from pipeline.refining import build_refinery
from pipeline.sources.schema import DOCUMENT
from tests.filters.engines import ENGINES, NO_RAY, start_ray
from tests.filters.strategies import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "anywhere.md"
LENGTH = {"use": "length", "min_words": 2}
RULES = [
    LENGTH,
    {"use": "language", "keep": ["en", "de"], "min_score": 0.2},
    {
        "use": "gopher_quality",
        "min_words": 3,
        "per_language": {"de": {"stop_words": ["der", "die", "und", "das"], "min_stop_words": 1}},
    },
]
TEXTS = [
    "The cat and the dog of the house have to be fed.",
    "Der Hund und die Katze sind das ganze Jahr im Haus.",
    "Ein Hund will heute nicht mit mir im Garten spielen.",
    "",
    None,
    "word",
    "... ### ... ### the of",
    "La maison est grande et le jardin est petit, mais nous y sommes bien.",
    "Nothing of the sort, and that is what we have to say.",
    "Что это такое и откуда оно взялось",
]


@pytest.fixture(scope="module")
def one_processor():
    """Ray on one processor, where it is installed."""
    if NO_RAY is None:
        import ray

        start_ray()
        yield
        ray.shutdown()
    else:
        yield


class Shout:
    """Edits: upper case."""

    def edit(self, batch):
        place = batch.schema.get_field_index("text")
        return batch.set_column(place, batch.schema.field(place), pc.utf8_upper(batch["text"]))

    def measure(self, batch, shared):
        return signals(num_chars=shared.num_chars)

    def keep(self, measured):
        return pc.greater(measured["num_chars"], 0)


class Unfitted(Shout):
    needs_fit = True


def table_of(texts, kind=None):
    kind = pa.string() if kind is None else kind
    texts = pa.array(texts, pa.string()).cast(kind)
    return pa.table(
        {"text": texts, "id": pa.array([f"d{n}" for n in range(len(texts))], pa.string())}
    )


def kept_by_prepare(table, rules):
    """The ids that a refinery keeps of documents whose texts it does not change."""
    manifest = Manifest.model_validate(
        {
            "version": 1,
            "name": "test",
            "output": "out",
            "sources": [{"name": "a", "format": "jsonl", "paths": ["a.jsonl"]}],
            "clean": {"html": "never", "collapse_whitespace": False},
            "pii": {"mode": "off"},
            "filters": rules,
            "tokenizer": {"path": "none"},
        }
    )
    rows = [
        {"id": name, "text": text or "", "source": "a", "source_path": "a", "source_row": n}
        for n, (text, name) in enumerate(zip(*table.to_pydict().values(), strict=True))
    ]
    documents = pa.RecordBatch.from_pylist(rows, schema=DOCUMENT)
    return build_refinery(Plan(manifest, Path(), Path()), "a")(documents).kept["id"].to_pylist()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_keeps_what_prepare_keeps(engine, one_processor):
    if engine == "ray" and NO_RAY:
        pytest.skip(NO_RAY)
    table = table_of(TEXTS)
    expected = kept_by_prepare(table, RULES)
    assert expected == ["d0", "d1", "d8"]
    assert ENGINES[engine](table, keep_rows(*RULES), mask(*RULES)) == expected


def test_the_page_runs_and_each_example_keeps_the_same_rows(capfd, one_processor):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 7
    known = {"__name__": "page"}
    for block in blocks:
        assert len(block.strip().splitlines()) < 10
        if "ray." in block and NO_RAY:
            continue
        exec(compile(block, str(PAGE), "exec"), known)
    assert known["kept"]["id"].to_pylist() == ["a"]
    assert known["kept"]["length.num_words"].to_pylist() == [12]
    for name in ("kept_dataset", "same_dataset", "kept_own"):
        rows = known[name].to_pandas() if name == "kept_own" else known[name].with_format(None)
        assert list(rows["id"]) == ["a"]
    assert [row["id"].to_pylist() for row in known["kept_stream"]] == [["a"]]
    assert NO_RAY or [row["id"] for row in known["kept_ray"].take_all()] == ["a"]
    assert '"a"' in capfd.readouterr().out


@given(ROWS, st.integers(1, 4))
def test_the_rows_and_signals_are_those_of_the_chain_however_they_are_cut(rows, size):
    table = table_of(rows)
    keep, rule = keep_rows(LENGTH, with_signals=True), Chain.of(LENGTH)
    columns = [table["text"].combine_chunks(), table["id"].combine_chunks()]
    decision = rule.decide(pa.RecordBatch.from_arrays(columns, names=["text", "id"]))
    expected = table["id"].filter(decision.kept).to_pylist()
    kept = keep(table)
    assert kept["id"].to_pylist() == expected
    assert kept.schema.names == ["text", "id", "length.num_chars", "length.num_words"]
    chunked = pa.Table.from_batches(table.to_batches(max_chunksize=size), table.schema)
    assert keep(chunked).to_pydict() == kept.to_pydict()
    assert mask(LENGTH)(chunked).to_pylist() == decision.kept.to_pylist()


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
)
def test_texts_may_be_strings_of_any_kind_and_keep_it(kind):
    table = table_of(["a b", None, "c", "a b"], kind)
    for rules in ([LENGTH], [LENGTH, Shout()]):
        kept = keep_rows(*rules)(table.append_column("again", table["text"]))
        assert kept.drop_columns("again").schema == table.schema
        assert kept["again"].to_pylist() == ["a b"] * 2
        assert kept["id"].to_pylist() == ["d0", "d3"]
    assert kept["text"].to_pylist() == ["A B"] * 2


def test_a_column_of_nothing_but_nulls_is_empty_texts():
    table = pa.table({"text": pa.nulls(2), "id": ["a", "b"]})
    assert keep_rows({"use": "length"})(table).equals(table)
    assert keep_rows(LENGTH)(table).num_rows == 0


@pytest.mark.parametrize("with_signals", [False, True])
def test_an_empty_table_stays_a_table_with_its_columns(with_signals):
    table = table_of([])
    kept = keep_rows(*RULES, with_signals=with_signals)(table)
    assert kept.num_rows == 0
    assert kept.schema.names[:2] == ["text", "id"]
    full = keep_rows(*RULES, with_signals=with_signals)(table_of(TEXTS))
    assert kept.schema == full.schema
    assert mask(*RULES)(table).to_pylist() == []


def test_another_column_may_hold_the_texts():
    table = pa.table({"text": [1, 2], "content": ["a b", "c"]})
    assert keep_rows(LENGTH, text="content")(table).to_pydict() == {"text": [1], "content": ["a b"]}
    assert mask(LENGTH, text="content")(table).to_pylist() == [True, False]
    with pytest.raises(FilterError, match=r"got columns .*'content'.*, want one named body"):
        keep_rows(LENGTH, text="body")(table)
    with pytest.raises(FilterError, match="got Arrow type int64, want string"):
        keep_rows(LENGTH)(table)


def test_a_batch_gives_a_batch_and_a_mapping_a_dict():
    table = table_of(["a b", "c"])
    [batch] = table.to_batches()
    assert isinstance(keep_rows(LENGTH)(batch), pa.RecordBatch)
    assert keep_rows(LENGTH)(table.to_pydict()) == {"text": ["a b"], "id": ["d0"]}
    assert mask(LENGTH)(table.to_pydict()) == [True, False]


def test_signals_of_an_earlier_filter_serve_a_later_one():
    languages = keep_rows(RULES[1], with_signals=True)(table_of(TEXTS))
    assert keep_rows(RULES[2])(languages)["id"].to_pylist() == ["d0", "d1", "d8"]
    again = keep_rows(RULES[1])(languages)
    assert again.equals(languages)
    with pytest.raises(FilterError, match=r"got columns \['language.language'.*want them renamed"):
        keep_rows(RULES[1], with_signals=True)(languages)


def test_filters_may_be_objects_and_callables():
    table = table_of(["a b", "c d", "e"])
    is_a = keep_rows(Length(min_words=2), lambda batch: pc.starts_with(batch["text"], "a"))
    assert is_a(table)["id"].to_pylist() == ["d0"]


def test_a_mask_refuses_a_filter_that_edits():
    with pytest.raises(FilterConfigError, match="filter Shout: it edits texts"):
        mask(Shout())
    assert mask(RULES[1], RULES[2])(table_of(TEXTS)).true_count == 3


def test_a_filter_without_its_thresholds_is_refused():
    for use in (keep_rows, mask):
        with pytest.raises(FilterConfigError, match="still to be found from a corpus"):
            use(Unfitted())


def test_both_pickle_and_have_a_fingerprint_for_caches():
    from datasets.fingerprint import Hasher

    for use in (keep_rows, mask):
        assert pickle.loads(pickle.dumps(use(*RULES))) == use(*RULES)
        assert Hasher.hash(use(*RULES)) == Hasher.hash(use(*RULES))
        assert Hasher.hash(use(*RULES)) != Hasher.hash(use(LENGTH))


def test_a_filter_whose_edit_is_off_can_be_a_mask():
    rule = {"use": "boilerplate"}
    table = pa.table({"text": ["A text.", "Lorem ipsum dolor"]})
    assert mask(rule)(table).to_pylist() == [True, False]
    with pytest.raises(FilterConfigError, match="it edits texts"):
        mask(rule | {"remove": True})
