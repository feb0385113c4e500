"""Every token of an output leads back to the document that it is of, and to its characters."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer as HuggingFaceTokenizer

from pipeline.cli import main
from pipeline.errors import PrepareError
from pipeline.explaining.finding import find
from pipeline.explaining.output import open_output
from pipeline.explaining.story import tell
from pipeline.shards import SPLITS, ShardRows, read_index, shard_schema
from pipeline.tracing.rows import locate
from pipeline.tracing.trace import Tracer
from tests.pipeline.corpora import Corpus

Capture = pytest.CaptureFixture[str]
PART = ["--part", "domain/train/part-00000.arrow", "--row", "0"]


def stored(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """The kept documents by their keys."""
    table = corpus.table("kept").select(
        ["key", "id", "source", "source_path", "source_row", "text"]
    )
    return {row["key"].hex(): row for row in table.to_pylist()}


def reference(corpus: Corpus) -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.from_file(str(corpus.out / "tokenizer" / "tokenizer.json"))


@pytest.mark.parametrize("name", [pytest.param("prepared", marks=pytest.mark.slow), "explained"])
def test_every_token_is_of_the_document_that_is_told(
    name: str, request: pytest.FixtureRequest
) -> None:
    corpus: Corpus = request.getfixturevalue(name)
    tracer, documents = Tracer(open_output(corpus.out)), stored(corpus)
    tokenizer, eos = reference(corpus), read_index(corpus.out).tokenizer.eos_id
    own = {
        key: [*tokenizer.encode(document["text"], add_special_tokens=False).ids, eos]
        for key, document in documents.items()
    }
    reached: dict[str, list[tuple[int, int]]] = {}
    num_tokens = 0
    for place in tracer.places():
        tokens = ShardRows(corpus.out / "shards" / place.shard.path).tokens(place.row)
        row = tracer.row(place).row
        assert [piece.places[0] for piece in row.pieces][:1] == [0]
        assert all(one.places[1] == two.places[0] for one, two in pairwise(row.pieces))
        assert row.pieces[-1].places[1] == row.num_tokens
        num_tokens += row.num_tokens
        for piece in row.pieces:
            assert piece.key is not None
            assert piece.document is not None
            document = documents[piece.key]
            assert piece.document.id == document["id"]
            assert (piece.document.read.source, row.source) == (document["source"],) * 2
            assert piece.document.read.path == document["source_path"]
            assert piece.document.read.row == document["source_row"]
            assert tokens[slice(*piece.places)].tolist() == own[piece.key][slice(*piece.tokens)]
            assert piece.document.num_tokens == len(own[piece.key])
            reached.setdefault(piece.key, []).append(piece.tokens)
    assert num_tokens == sum(shard.num_tokens for shard in tracer.index.shards) > 0
    for key, spans in reached.items():
        assert [a for a, _ in sorted(spans)] == [0, *(b for _, b in sorted(spans)[:-1])]
        assert max(spans)[1] == len(own[key])


def test_the_characters_of_every_token_are_what_it_decodes_to(explained: Corpus) -> None:
    tracer, tokenizer = Tracer(open_output(explained.out)), reference(explained)
    documents = stored(explained)
    for place in list(tracer.places())[::8]:
        for number in range(tracer.row(place).row.num_tokens):
            traced = tracer.token(place, number)
            assert traced.token is not None
            token, (piece,) = traced.token, traced.row.pieces
            text = documents[piece.key or ""]["text"]
            assert piece.places[0] <= number < piece.places[1]
            assert token.token == piece.tokens[0] + number - piece.places[0]
            assert token.note is None
            if token.characters is None:
                assert token.id == tracer.index.tokenizer.eos_id
                assert text.endswith(token.before)
                assert token.text == token.after == ""
                continue
            begin, end = token.characters
            assert token.text == text[begin:end]
            assert text[:begin].endswith(token.before)
            assert text[end:].startswith(token.after)
            if token.text.isascii():
                assert tokenizer.decode([token.id]) == token.text


def test_rows_are_numbered_over_the_parts_as_the_trainer_does(prepared: Corpus) -> None:
    index = read_index(prepared.out)
    parts = [s for s in index.shards if (s.source, s.split) == ("domain", "train")]
    assert len(parts) > 1
    first = parts[0].num_rows
    for number, (shard, row) in {
        0: (parts[0], 0),
        first - 1: (parts[0], first - 1),
        first: (parts[1], 0),
    }.items():
        place = locate(index, number, source="domain")
        assert (place.shard, place.row, place.number) == (shard, row, number)
    name = Path(parts[1].path).name
    place = locate(index, 0, source="domain", part=name)
    assert place == locate(index, 0, source=None, part=f"shards/{parts[1].path}")
    assert place.number == first


def test_explain_and_trace_tell_the_same_of_a_document(explained: Corpus) -> None:
    output = open_output(explained.out)
    tracer = Tracer(output)
    for key in list(stored(explained))[::4]:
        (found,) = find(output, key).places
        for piece in tell(output, found).pieces:
            place = locate(
                tracer.index,
                piece.number,
                source=f"{found.item.source}/{piece.stratum}",
                split=piece.split,
            )
            assert (place.shard.path, place.row) == (piece.part, piece.row)
            (same,) = [each for each in tracer.row(place).row.pieces if each.key == key]
            last = piece.first_token + piece.end - piece.start
            assert same.places == (piece.start, piece.end)
            assert same.tokens == (piece.first_token, last)


def trace(corpus: Corpus, *arguments: str) -> int:
    return main(["trace", str(corpus.out), *arguments])


def test_the_command_prints_a_row_and_a_token(prepared: Corpus, capsys: Capture) -> None:
    assert trace(prepared, "--source", "domain", "--row", "0") == 0
    printed = capsys.readouterr().out
    assert trace(prepared, "--source", "domain", "--row", "0", "--json") == 0
    row = json.loads(capsys.readouterr().out)["row"]
    for piece in row["pieces"]:
        assert f"{piece['document']['id']}, key {piece['key']}" in printed
        assert f"domain.jsonl#{piece['document']['read']['row']}" in printed
    assert trace(prepared, "--source", "domain", "--row", "0", "--token", "3") == 0
    printed = capsys.readouterr().out
    assert trace(prepared, "--source", "domain", "--row", "0", "--token", "3", "--json") == 0
    token = json.loads(capsys.readouterr().out)["token"]
    assert f"[[{token['text']}]]" in printed
    begin, end = token["characters"]
    assert f"{begin}..{end - 1} of" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "domain", "--row", "100000"], "domain, train has"),
        (
            ["--source", "domian", "--row", "0"],
            "did you mean 'domain'?), want one of domain, general",
        ),
        (["--row", "0"], "--source: got none, want one of domain, general"),
        (["--source", "domain", "--row", "0", "--split", "test"], "want one of train, validation"),
        (["--source", "domain", "--row", "0", "--stratum", "x"], "domain has none; leave it out"),
        (["--source", "domain", "--row", "0", "--part", "part-9.arrow"], "want one of part-00000"),
        (["--part", "domain/train/part-x.arrow", "--row", "0"], "--part: got 'domain/train/part-x"),
        ([*PART, "--source", "general"], "--source: got 'general', but domain/train/part-00000"),
        ([*PART, "--split", "validation"], "is of train; leave it out"),
        ([*PART, "--stratum", "long"], "is of none; leave it out"),
        (["--source", "domain", "--row", "0", "--token", "256"], "--token: got 256, want 0..2"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_what_is(
    prepared: Corpus, capsys: Capture, arguments: list[str], message: str
) -> None:
    assert trace(prepared, *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_row_of_a_source_with_strata_asks_for_the_stratum(
    explained: Corpus, capsys: Capture
) -> None:
    assert trace(explained, "--source", "domain", "--row", "0") == 2
    assert "counted by stratum; want one of long, short" in capsys.readouterr().err
    assert trace(explained, "--source", "domain", "--stratum", "shrt", "--row", "0") == 2
    assert "did you mean 'short'" in capsys.readouterr().err
    for arguments in (["domain/short"], ["domain", "--stratum", "short"]):
        assert trace(explained, "--source", *arguments, "--row", "0") == 0
        assert "domain/short, train, row 0" in capsys.readouterr().out


@pytest.fixture
def changed(prepared: Corpus, tmp_path: Path) -> Corpus:
    """A copy of the output whose first part has a changed token and an erased document."""
    shutil.copytree(prepared.out, tmp_path / "out")
    copy = Corpus(tmp_path)
    path = copy.out / "shards" / "domain" / "train" / "part-00000.arrow"
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    tokens = table["tokens"].to_pylist()
    tokens[1][0] ^= 1
    keys = table["doc_key"].to_pylist()
    keys[0][0] = None
    for name, values in {"tokens": tokens, "doc_key": keys}.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table[name].type))
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    return copy


def test_tokens_that_are_not_those_of_the_text_are_an_error(
    changed: Corpus, capsys: Capture
) -> None:
    assert trace(changed, "--source", "domain", "--row", "1") == 1
    assert "row 1, places 0.." in capsys.readouterr().err
    tracer = Tracer(open_output(changed.out))
    with pytest.raises(PrepareError, match="got other tokens than the text of document"):
        tracer.token(locate(tracer.index, 1, source="domain"), 0)


def test_an_erased_document_is_told_as_such(changed: Corpus, capsys: Capture) -> None:
    assert trace(changed, "--source", "domain", "--row", "0") == 0
    assert "erased" in capsys.readouterr().out
    assert trace(changed, "--source", "domain", "--row", "0", "--token", "0", "--json") == 0
    traced = json.loads(capsys.readouterr().out)
    assert traced["row"]["pieces"][0]["key"] is None
    assert traced["token"]["characters"] is None
    assert traced["token"]["text"] == ""


def test_both_splits_can_be_traced(prepared: Corpus) -> None:
    output = open_output(prepared.out)
    tracer = Tracer(output)
    for split in SPLITS:
        row = tracer.row(locate(tracer.index, 0, source="general", split=split)).row
        for piece in row.pieces:
            (place,) = find(output, piece.key or "").places
            assert tell(output, place).split == split == row.split
            assert np.diff(piece.tokens) > 0


def test_a_loss_mask_is_told_by_trace_and_explain(prepared: Corpus, tmp_path: Path) -> None:
    shutil.copytree(prepared.out, tmp_path / "out")
    path = tmp_path / "out" / "shards" / "domain" / "train" / "part-00000.arrow"
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    width = table["tokens"].type.list_size
    mask = [[int(n % 3 == 0) for n in range(width)], None]
    schema = shard_schema(width, pa.uint16(), loss_mask=True)
    column = pa.array(mask + [None] * (len(table) - 2), schema.field("loss_mask").type)
    table = table.append_column(schema.field("loss_mask"), column)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    output = open_output(tmp_path / "out")
    tracer = Tracer(output)
    first = locate(tracer.index, 0, source="domain")
    for piece in tracer.row(first).row.pieces:
        assert piece.num_learned == sum(n % 3 == 0 for n in range(*piece.places))
        (place,) = find(output, piece.key or "").places
        told = {(each.row, each.start): each.num_learned for each in tell(output, place).pieces}
        assert told[0, piece.places[0]] == piece.num_learned
    for number in (0, 1, 3):
        token = tracer.token(first, number).token
        assert token is not None
        assert token.is_learned == (number % 3 == 0)
    for piece in tracer.row(locate(tracer.index, 1, source="domain")).row.pieces:
        assert piece.num_learned == piece.places[1] - piece.places[0]
