import math

import pyarrow as pa
import pytest

from filters.errors import FilterConfigError, FilterLoadError
from filters.perplexity import Perplexity
from filters.protocol import apply, load
from tests.filters.strategies import batch_of

torch = pytest.importorskip("torch", reason="needs the extra train")
from filters.models.causal_model import spread  # noqa: E402
from filters.models.hf_model import padded_batches  # noqa: E402
from tests.filters.hf_models import save_causal  # noqa: E402

TEXTS = ["a", "The cat sat.", "d\u00e9j\u00e0 vu, \u6587\u5b57", "x" * 100, "one\ntwo " * 20]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_causal(tmp_path_factory.mktemp("causal"))


def plain_bits(folder, text, *, begin=True):
    """-log2 p of the text and how many tokens were predicted, one token at a time."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = [tokenizer.bos_token_id, *ids] if begin else ids
    bits = 0.0
    with torch.inference_mode():
        for at in range(1, len(ids)):
            logits = model(torch.tensor([ids[:at]])).logits[0, -1]
            bits -= logits.double().log_softmax(-1)[ids[at]].item() / math.log(2)
    return bits, len(ids) - 1


def test_signals_are_those_of_the_model_token_by_token(folder):
    measured, _ = apply(Perplexity(model=str(folder)), batch_of(TEXTS))
    for text, found in zip(TEXTS, measured.to_pylist(), strict=True):
        bits, num_tokens = plain_bits(folder, text)
        assert found["bits_per_byte"] == pytest.approx(bits / len(text.encode()), rel=1e-4)
        assert found["perplexity"] == pytest.approx(2 ** (bits / num_tokens), rel=1e-4)
        assert found["oov_rate"] is None
    assert measured.schema.types == [signal.type for signal in Perplexity.SIGNALS]


def test_null_and_blank_texts_have_no_perplexity_and_pass_no_bound(folder):
    rule = Perplexity(model=str(folder), max_perplexity=1e12)
    measured, mask = apply(rule, batch_of([None, "", " \n\u3000", "word"]))
    assert pa.compute.is_null(measured["perplexity"]).to_pylist() == [True] * 3 + [False]
    assert mask.to_pylist() == [False] * 3 + [True]
    assert apply(rule, batch_of([]))[0].num_rows == 0


@pytest.mark.parametrize("batch_tokens", [1, 64, 100_000])
def test_batches_do_not_change_the_signals(folder, batch_tokens):
    whole = apply(Perplexity(model=str(folder)), batch_of(TEXTS))[0]
    parted = apply(Perplexity(model=str(folder), batch_tokens=batch_tokens), batch_of(TEXTS))[0]
    for one, other in zip(whole.to_pylist(), parted.to_pylist(), strict=True):
        assert one["perplexity"] == pytest.approx(other["perplexity"], rel=1e-5)


def test_a_long_text_is_read_in_windows_each_from_its_own_start(folder):
    text = "abcdefgh" * 4
    found = apply(Perplexity(model=str(folder), max_tokens=8), batch_of([text]))[0].to_pylist()[0]
    bits, _ = plain_bits(folder, "abcdefgh")
    assert found["bits_per_byte"] == pytest.approx(bits / 8, rel=1e-4)


def test_of_a_very_long_text_so_many_windows_are_read(folder):
    text = "a" * 8 + "b" * 96 + "c" * 8
    rule = Perplexity(model=str(folder), max_tokens=8, max_windows=2)
    found = apply(rule, batch_of([text]))[0].to_pylist()[0]
    bits = sum(plain_bits(folder, letter * 8)[0] for letter in "ac")
    assert found["bits_per_byte"] == pytest.approx(bits / 16, rel=1e-4)


def test_a_model_without_a_beginning_does_not_predict_the_first_token(tmp_path):
    folder = save_causal(tmp_path, begin=False)
    measured, _ = apply(Perplexity(model=str(folder)), batch_of(["abcd", "a"]))
    bits, num_tokens = plain_bits(folder, "abcd", begin=False)
    found, single = measured.to_pylist()
    assert found["bits_per_byte"] == pytest.approx(bits / num_tokens, rel=1e-4)
    assert single["perplexity"] is None


def test_windows_are_spread_over_the_text_and_never_overlap_the_end():
    assert spread(10, 4, 8) == [0, 4, 8]
    assert spread(100, 10, 3) == [0, 45, 90]
    assert spread(100, 10, 1) == [0]
    assert spread(0, 10, 3) == []


def test_batches_hold_every_sequence_once_and_keep_the_budget():
    lengths = [5, 900, 30, 30, 1, 7, 1200]
    batches = list(padded_batches(lengths, 1000))
    assert sorted(number for batch in batches for number in batch) == list(range(7))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[n] for n in batch) * len(batch) <= 1000


def test_an_oov_rate_cannot_be_asked_of_a_causal_model(folder):
    with pytest.raises(FilterConfigError, match=r"max_oov_rate=0\.1 and the causal LM"):
        load(Perplexity(model=str(folder), max_oov_rate=0.1))


def test_a_folder_without_a_model_and_an_unknown_device_are_named(folder, tmp_path):
    with pytest.raises(FilterLoadError, match=r"transformers cannot load it"):
        load(Perplexity(model=str(tmp_path)))
    with pytest.raises(FilterConfigError, match=r"device='gpu', want one of torch's"):
        load(Perplexity(model=str(folder), device="gpu"))
    if not torch.cuda.is_available():
        with pytest.raises(FilterLoadError, match=r"device='cuda:0' and 0 CUDA devices"):
            load(Perplexity(model=str(folder), device="cuda:0"))


def test_a_model_that_is_replaced_is_loaded_anew(tmp_path):
    place, found = tmp_path / "model", []
    for begin in (True, False):
        save_causal(place, begin=begin)
        other = save_causal(tmp_path / str(begin), begin=begin)
        found.append(apply(Perplexity(model=str(place)), batch_of(TEXTS))[0])
        assert found[-1].equals(apply(Perplexity(model=str(other)), batch_of(TEXTS))[0])
    assert not found[0].equals(found[1])
