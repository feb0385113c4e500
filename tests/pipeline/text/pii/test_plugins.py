"""Recogniser plugins: by name, checked, in code points, among the kinds of a manifest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import PrepareError
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig
from pipeline.text.pii.key import PiiKey
from pipeline.text.pii.plugins import registry
from pipeline.text.pii.plugins.find import find_all
from pipeline.text.pii.plugins.protocol import FOUND
from pipeline.text.pii.plugins.spacy import found, split
from pipeline.text.pii.replacements import Replacements
from pipeline.text.pii.settings import finding_settings
from pipeline.text.pii.stored import stored
from tests.pipeline.text.strategies import batches, text_of

HERE = "tests.pipeline.text.pii.test_plugins"


@dataclass(frozen=True)
class Badges:
    """Badge numbers such as HW-123456, and the names before them."""

    prefix: str = "HW"
    name_words: int = 1

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("badge", "bearer")

    def find(self, texts: pa.StringArray) -> pa.RecordBatch:
        rows = []
        pattern = re.compile(rf"(\w+) ({self.prefix}-[0-9]{{6}})")
        for row, text in enumerate(texts.to_pylist()):
            for match in pattern.finditer(text):
                rows += [(row, *match.span(2), "badge"), (row, *match.span(1), "bearer")]
        return found(rows)


@dataclass(frozen=True)
class Wrong:
    """Returns what its parameter says."""

    what: str

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("Person",) if self.what == "kind" else ("person",)

    def find(self, texts: pa.StringArray) -> object:
        spans: dict[str, Sequence[tuple[int, int, int, str]]] = {
            "beyond": [(0, 0, 99, "person")],
            "row": [(7, 0, 1, "person")],
            "empty": [(0, 1, 1, "person")],
            "other": [(0, 0, 1, "animal")],
        }
        row = {"row": [0], "begin": [0], "end": [4], "kind": ["person"]}
        batches: dict[str, object] = {
            "list": [1, 2],
            "words for rows": pa.RecordBatch.from_pydict({**row, "row": ["some"]}),
            "nulls": pa.RecordBatch.from_pydict({**row, "begin": pa.array([None], pa.int64())}),
            "two columns": pa.RecordBatch.from_pydict({"row": [0], "begin": [0]}),
        }
        return batches[self.what] if self.what in batches else found(list(spans[self.what]))


def not_a_plugin() -> object:
    return 3


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint(name, f"{HERE}:{value}", registry.GROUP)
        for name, value in [
            ("badges", "Badges"), ("wrong", "Wrong"), ("three", "not_a_plugin"),
            ("twice", "Badges"), ("twice", "Wrong"), ("gone", "Gone"),
        ]
    ]  # fmt: skip
    points.append(EntryPoint("missing", "no_such_module:Thing", registry.GROUP))
    points.append(EntryPoint("module", HERE, registry.GROUP))

    def chosen(**wanted: str) -> EntryPoints:
        return EntryPoints(points).select(**wanted)

    monkeypatch.setattr(registry, "entry_points", chosen)
    registry._created.cache_clear()


def config(**more: object) -> PiiConfig:
    return PiiConfig(kinds=("email",), recognizers=({"use": "badges"},), **more)


def test_its_kinds_are_replaced_among_the_others():
    texts = pa.array(["Zoë HW-123456 or é@x ann@uni-bonn.de", "", "no", "Åsa Ann HW-654321"])
    got = anonymise(texts, config())
    assert got.texts.to_pylist() == [
        "[BEARER] [BADGE] or é@x [EMAIL]", "", "no", "Åsa [BEARER] [BADGE]"
    ]  # fmt: skip
    assert got.counts.to_pydict() == {
        "num_pii_email": [1, 0, 0, 0],
        "num_pii_badge": [1, 0, 0, 1],
        "num_pii_bearer": [1, 0, 0, 1],
    }
    sliced = anonymise(texts.slice(3), config())
    assert sliced.texts.to_pylist() == ["Åsa [BEARER] [BADGE]"]


def test_its_kinds_have_modes_and_no_reserved_range():
    chosen = config(modes={"badge": "pseudonym", "bearer": "off"})
    got = anonymise(pa.array(["Zoë HW-123456"]), chosen, Replacements(chosen, PiiKey(b"1" * 32)))
    (text,) = stored(got.texts, got.tags, chosen.all_kinds).texts.to_pylist()
    assert re.fullmatch(r"Zoë \[BADGE:[b-v]{16}\]", text)
    off = anonymise(pa.array(["Zoë HW-123456"]), config(mode="off"))
    assert off.texts.to_pylist() == ["Zoë HW-123456"]


def test_parameters_are_those_of_the_manifest():
    chosen = PiiConfig(kinds=(), recognizers=({"use": "badges", "prefix": "AB"},))
    assert anonymise(pa.array(["x HW-123456 y AB-123456"]), chosen).texts.to_pylist() == [
        "x HW-123456 [BEARER] [BADGE]"
    ]
    assert finding_settings(chosen) != finding_settings(config())
    libraries, plugin = finding_settings(chosen)["releases"]
    assert [each.split(" ")[0] for each in libraries] == ["phonenumbers", "python-stdnum"]
    assert plugin == []


@given(batches(text_of(*"aé中🙂 \n", "Zoë HW-123456", "é HW-000000", max_pieces=8)))
def test_code_points_become_bytes(texts):
    spans = dict(find_all(texts, [{"use": "badges"}]))
    data = b"".join(text.encode() for text in texts.to_pylist())
    base = texts.buffers()[1] and int.from_bytes(
        texts.buffers()[1][4 * texts.offset : 4 * texts.offset + 4].to_pybytes(), "little"
    )
    got = [data[a - base : b - base].decode() for a, b in spans["badge"].tolist()]
    assert got == [m[2] for t in texts.to_pylist() for m in re.finditer(r"(\w+) (HW-[0-9]{6})", t)]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"use": "badge"}, "'badge' is no recogniser plugin; installed: badges"),
        ({"use": 3}, "want the name of a plugin"),
        ({"use": "badges", "prefx": "A"}, "unknown parameter prefx .did you mean 'prefix'"),
        ({"use": "badges", "name_words": "many"}, "name_words: got 'many'"),
        ({"use": "wrong", "what": "kind"}, "got kinds .'Person'., want names"),
        ({"use": "three"}, "want an object with `kinds` and `find"),
        ({"use": "twice"}, "two plugins are called 'twice'"),
        ({"use": "module"}, "module: want a class, or a function that makes a recogniser, got"),
        ({"use": "missing"}, "missing: cannot be imported .No module"),
        ({"use": "gone"}, "gone: cannot be imported"),
    ],
)
def test_a_bad_plugin_is_an_error_of_the_manifest(spec, told):
    with pytest.raises(ValidationError, match=told):
        PiiConfig(recognizers=(spec,))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("beyond", "outside of its text, or empty"),
        ("row", "outside of its text, or empty"),
        ("empty", "outside of its text, or empty"),
        ("other", "1 spans are of kinds that it does not name, want person"),
        ("list", "returned a list; want a RecordBatch of row int64, begin int64, end int64, kind"),
        ("words for rows", "returned row of type string; want a RecordBatch"),
        ("nulls", "returned 1 nulls in begin; want a RecordBatch"),
        ("two columns", "returned no column end; want a RecordBatch"),
    ],
)
def test_what_it_returns_is_checked(what, told):
    chosen = PiiConfig(kinds=(), recognizers=({"use": "wrong", "what": what},))
    with pytest.raises(PrepareError, match=f"recogniser wrong: .*{told}"):
        anonymise(pa.array(["some text"]), chosen)


@given(st.text("ab \n", max_size=60), st.integers(1, 12))
def test_long_texts_are_split_at_white_space_into_all_of_them(text, max_chars):
    pieces = split(text, max_chars)
    assert "".join(piece for _, piece in pieces) == text
    assert all(text[begin:].startswith(piece) for begin, piece in pieces)
    assert all(len(piece) <= max_chars for _, piece in pieces)
    for _, piece in pieces[:-1]:
        assert piece[-1] in " \n" or not re.search(r"\s", piece)


def test_an_empty_batch_and_no_finds():
    assert found([]).schema == FOUND
    assert anonymise(pa.array([], pa.string()), config()).texts.to_pylist() == []
