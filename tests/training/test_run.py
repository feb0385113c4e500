"""`train` from end to end, in this process."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.training.conftest import NUM_IDS, WIDTH, random_rows, tiny_gpt2, tiny_llama
from tests.training.runs import Train, losses, metrics, stop_after
from tests.training.shardfiles import write_shards
from training import decisions
from training.run import locked


def test_a_run_learns_reports_and_leaves_a_model(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(steps=30, eval_every=10, save_every=12, keep_last=2) == 0
    out = tmp_path / "run"
    assert [line["step"] for line in metrics(out, "eval")] == [0, 10, 20, 30]
    assert [step for step, _ in losses(out)] == list(range(1, 31))
    assert losses(out)[-1][1] < losses(out)[0][1] - 0.5
    assert {path.name for path in out.iterdir()} == {
        "baseline.arrow",
        "best",
        "best-30",
        "checkpoint-24",
        "checkpoint-30",
        "evaluation.arrow",
        "forgetting.json",
        "last",
        "lock",
        "metrics.jsonl",
        "run.json",
        "tensorboard",
        "verified.json",
    }
    report = json.loads((out / "forgetting.json").read_text())
    domain = report["sources"]["domain"]["perplexity"]
    assert domain["before"] == metrics(out, "eval")[0]["sources"]["domain"]["perplexity"]
    assert domain["after"] == metrics(out, "eval")[-1]["sources"]["domain"]["perplexity"]
    assert domain["change_percent"] == pytest.approx(100 * (domain["after"] / domain["before"] - 1))
    assert domain["change_percent"] < -20
    AutoModelForCausalLM.from_pretrained(out / "last")
    printed = capsys.readouterr().out
    assert "domain" in printed
    assert f"{domain['change_percent']:+.2f}" in printed


def test_a_run_that_is_done_does_nothing_and_says_so(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.safetensors")}
    capsys.readouterr()
    assert train() == 0
    assert "already done at step 8; nothing to do" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.safetensors")}


def test_a_stopped_run_resumes_to_the_same_losses_and_weights(
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Dropout is on: what is random must come back too. Step 4 is due for evaluation and is not.
    tiny_gpt2().save_pretrained(tmp_path / "gpt2")
    assert train("whole", model=tmp_path / "gpt2") == 0
    stop_after(monkeypatch, 4)
    assert train("parts", model=tmp_path / "gpt2") == 0
    assert "stopped at step 4; run the same command again" in capsys.readouterr().out
    monkeypatch.undo()
    assert train("parts", model=tmp_path / "gpt2") == 0
    assert "resuming from checkpoint-4" in capsys.readouterr().out
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert losses(parts) == losses(whole)
    assert metrics(parts, "eval") == metrics(whole, "eval")
    weights = [(out / "last" / "model.safetensors").read_bytes() for out in (whole, parts)]
    assert weights[0] == weights[1]
    assert (parts / "best" / "best.json").read_text() == (whole / "best" / "best.json").read_text()


def test_resuming_with_another_config_is_refused_with_the_difference(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    capsys.readouterr()
    assert train(lr__peak=0.02, steps=9) == 2
    error = capsys.readouterr().err
    assert "lr.peak: was 0.01, is 0.02" in error
    assert "steps: was 8, is 9" in error
    assert train(eval_every=5, keep_last=1, micro_rows=1) == 0


def test_resuming_on_other_shards_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    rows = {("domain", "train"): random_rows(9, 40), ("general", "train"): random_rows(8, 60)}
    other = write_shards(tmp_path / "other", rows, sequence_tokens=WIDTH)
    assert train(shards=other) == 2
    error = capsys.readouterr().err
    assert "the run read shards of fingerprint" in error
    assert str(other) in error


def test_a_checkpoint_of_another_version_is_refused_with_what_to_do(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    path = tmp_path / "run" / "last" / "state" / "trainer.json"
    record = json.loads(path.read_text())
    del record["state"]["comparisons"]
    path.write_text(json.dumps(record))
    assert train() == 2
    assert "not a state that this version can go on from" in capsys.readouterr().err


def poisoned_llama(directory: Path, token: int) -> Path:
    model = tiny_llama(tie_word_embeddings=False)
    with torch.no_grad():
        model.model.embed_tokens.weight[token] = float("inf")
    model.save_pretrained(directory)
    return directory


def test_a_batch_that_is_not_finite_is_skipped_and_its_rows_are_named(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Token 63 is in every second row or so of `general`, and in none of `domain`.
    # The self-test of the attention draws ids below `num_ids`, so it does not see it.
    model = poisoned_llama(tmp_path / "model", NUM_IDS - 1)
    rows = {
        ("domain", "train"): random_rows(1, 40, high=20),
        ("general", "train"): random_rows(2, 60, low=20),
    }
    shards = write_shards(tmp_path / "shards", rows, sequence_tokens=WIDTH, num_ids=NUM_IDS - 1)
    mix = "{domain: {start: 0.9}, general: {start: 0.1}}"
    assert train(model=model, shards=shards, batch_rows=1, steps=40, mix=mix) == 0
    out = tmp_path / "run"
    skipped = metrics(out, "skipped")
    assert skipped
    assert all(len(line["rows"]["general"]) == 1 for line in skipped)
    assert "NaN" not in (out / "metrics.jsonl").read_text()
    assert metrics(out, "step")[skipped[0]["step"] - 1]["loss"] is None
    assert "skipped, nothing moved" in capsys.readouterr().out
    report = json.loads((out / "forgetting.json").read_text())
    assert report["num_skipped"] == len(skipped)
    weights = AutoModelForCausalLM.from_pretrained(out / "last").lm_head.weight
    assert weights.isfinite().all()


def test_five_steps_in_a_row_that_are_not_finite_end_the_run(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first step is finite, and throws the weights out of what float32 can hold.
    sets = {"steps": 20, "lr__peak": 1e30, "lr__warmup": 0, "eval_every": 100, "save_every": 100}
    assert train(**sets) == 1
    assert "step 6: 5 steps in a row were not finite (loss " in capsys.readouterr().err
    assert len(metrics(tmp_path / "run", "skipped")) == 5
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_shorter_sequences_read_the_same_rows(train: Train, tmp_path: Path) -> None:
    assert train("whole") == 0
    assert train("melted", sequence_tokens=8) == 0
    tokens = [
        [line["num_tokens"] for line in metrics(tmp_path / out, "step")]
        for out in ("whole", "melted")
    ]
    assert tokens[0] == tokens[1]
    targets = [metrics(tmp_path / out, "step")[0]["num_targets"] for out in ("whole", "melted")]
    assert targets[1] < targets[0]


def test_steps_default_to_every_row_once(train: Train, tmp_path: Path) -> None:
    assert train(steps="null", batch_rows=16, eval_every=100, save_every=100) == 0
    assert len(losses(tmp_path / "run")) == 7  # 100 rows


def test_without_validation_rows_a_run_still_ends_well(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = write_shards(
        tmp_path / "shards", {("a", "train"): random_rows(1, 20)}, sequence_tokens=WIDTH
    )
    assert train(shards=shards) == 0
    assert "no source has validation rows: nothing was measured" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "forgetting.json").read_text())["sources"] == {}


def test_bf16_learns_and_saves_float32_weights(train: Train, tmp_path: Path) -> None:
    assert train(precision="bf16", steps=20) == 0
    out = tmp_path / "run"
    assert losses(out)[-1][1] < losses(out)[0][1]
    model = AutoModelForCausalLM.from_pretrained(out / "last")
    assert {value.dtype for value in model.parameters()} == {torch.float32}


def test_an_epoch_cap_that_the_run_exceeds_is_refused_before_it_starts(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mix = "{domain: {start: 0.5, max_epochs: 1}, general: {start: 0.5, max_epochs: 1}}"
    assert train(steps=26, mix=mix) == 2  # 104 rows of 100
    assert "the sources run out near row 100 of 104" in capsys.readouterr().err
    assert train(steps=25, mix=mix) == 0


def test_a_gate_stops_the_run_saves_and_fails_until_it_is_loosened(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A model that knows `general`, trained on `domain` alone at a high rate, forgets it.
    assert train("base", steps=60, mix="{domain: {start: 0}, general: {start: 1}}") == 0
    base = tmp_path / "base" / "last"
    mix = "{domain: {start: 1.0}, general: {start: 0.0}}"
    sets = {"steps": 24, "eval_every": 4, "mix": mix, "lr__peak": 0.05, "model": base}
    assert train(gate="{general: 0.01}", **sets) == 1
    printed = capsys.readouterr()
    assert "step 4: gate: general: perplexity is +" in printed.err
    assert "the gate lets +1 % pass" in printed.err
    assert (tmp_path / "run" / "checkpoint-4").is_dir()
    assert json.loads((tmp_path / "run" / "forgetting.json").read_text())["gate_failure"]
    assert train(gate="{general: 0.01}", **sets) == 1
    assert train(gate="{general: 1000.0}", **sets) == 0
    assert [line["step"] for line in metrics(tmp_path / "run", "eval")] == list(range(0, 25, 4))


def test_a_gate_on_a_source_without_validation_rows_is_refused(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(gate="{genral: 0.01}") == 2
    assert "did you mean 'general'?" in capsys.readouterr().err


def test_a_spike_rewinds_skips_its_rows_and_resumes_the_same(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"steps": 20, "spikes": "{action: rewind, window: 8, skip_steps: 1}", "save_every": 4}
    is_spike = decisions.is_spike

    def at_step_14(loss: float, recent: Any, config: Any) -> bool:
        return (len(recent) == 8 and loss == spiking) or is_spike(loss, recent, config)

    assert train("plain", steps=20) == 0
    spiking = losses(tmp_path / "plain")[13][1]
    monkeypatch.setattr(decisions, "is_spike", at_step_14)
    assert train("spiked", **sets) == 0
    out = tmp_path / "spiked"
    assert [line["step"] for line in metrics(out, "passed")] == [13, 14]
    assert losses(out)[:12] == losses(tmp_path / "plain")[:12]
    assert [step for step, _ in losses(out)] == [*range(1, 13), *range(15, 21)]
    (control,) = metrics(out, "control")
    assert control["event"] == {"kind": "skip", "first": 48, "last": 56}
    state = json.loads((out / "last" / "state" / "trainer.json").read_text())["state"]
    assert (state["num_passed"], state["num_rewinds"]) == (2, 1)


def test_a_model_from_scratch_is_a_function_of_the_seed(
    train: Train, model_dir: Path, tmp_path: Path
) -> None:
    model = f"{{config: {model_dir}, init: random}}"
    results = []
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(out, model=model, seed=seed) == 0  # type: ignore[arg-type]
        results.append(losses(tmp_path / out))
    assert results[0] == results[1]
    assert results[0][0] != results[2][0]


def test_the_length_warm_up_widens_the_rows_and_keeps_the_consumption(
    train: Train, tmp_path: Path
) -> None:
    widths = "[{from_step: 0, tokens: 8}, {from_step: 4, tokens: 32}]"
    assert train("warm", sequence_tokens=widths) == 0
    assert train("whole") == 0
    warm, whole = (metrics(tmp_path / out, "step") for out in ("warm", "whole"))
    assert [line["num_tokens"] for line in warm] == [line["num_tokens"] for line in whole]
    assert warm[3]["num_targets"] < whole[3]["num_targets"]
    assert warm[4]["num_targets"] == whole[4]["num_targets"]


def test_online_mixing_moves_the_weights_and_resumes_the_same(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"steps": 60, "online": "{every: 5, warmup_steps: 5}", "eval_every": 100}
    assert train("whole", **sets) == 0
    stop_after(monkeypatch, 31)
    assert train("parts", **sets) == 0
    monkeypatch.undo()
    assert train("parts", **sets) == 0
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    events = [line["event"] for line in metrics(tmp_path / "whole", "control")]
    assert len(events) > 5
    assert all(sum(event["weights"].values()) == 1 << 16 for event in events)
    assert len({event["weights"]["domain"] for event in events}) > 3


def test_more_shards_join_a_run_only_when_asked(
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sets = {"steps": 40, "eval_every": 10, "save_every": 10}
    assert train("whole", **sets) == 0
    rows = {("extra", "train"): random_rows(9, 40), ("extra", "validation"): random_rows(10, 4)}
    extra = write_shards(tmp_path / "extra", rows, sequence_tokens=WIDTH)

    stop_after(monkeypatch, 17)
    assert train("run", **sets) == 0
    monkeypatch.undo()
    arguments = ["--shards", str(extra)]
    assert train("run", more=arguments, **sets) == 2
    assert "give --extend" in capsys.readouterr().err
    stop_after(monkeypatch, 25)
    assert train("run", more=[*arguments, "--extend"], **sets) == 0
    monkeypatch.undo()
    assert train("run", more=[*arguments, "--extend"], **sets) == 0  # the same command goes on
    out = tmp_path / "run"
    whole = losses(tmp_path / "whole")
    assert losses(out)[:17] == whole[:17]
    assert losses(out)[20:] != whole[20:]
    assert "extra" in metrics(out, "step")[-1]["sources"]
    report = json.loads((out / "forgetting.json").read_text())
    assert report["sources"]["extra"]["step_of_baseline"] == 17  # before it is trained on


def test_adapters_train_resume_and_leave_a_merged_model(train: Train, tmp_path: Path) -> None:
    sets = {"lora": "{r: 4}", "steps": 20, "lr__peak": 0.05}
    assert train("lora", **sets, objective="{clm: 1.0, kl: 0.01}") == 0
    out = tmp_path / "lora"
    assert losses(out)[-1][1] < losses(out)[0][1]
    assert (out / "last" / "adapter" / "adapter_model.safetensors").is_file()
    merged = AutoModelForCausalLM.from_pretrained(out / "last")
    assert not [name for name, _ in merged.named_parameters() if "lora" in name]


def test_fp16_is_refused_or_learns_without_counting_overflows_as_divergence(
    train: Train, tmp_path: Path
) -> None:
    assert train(precision="fp16", steps=20) == 0
    out = tmp_path / "run"
    assert losses(out)[-1][1] < losses(out)[0][1]
    assert not metrics(out, "skipped")


def test_two_runs_do_not_share_a_directory(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path / "run"):
        assert train() == 2
    assert "another run is writing there" in capsys.readouterr().err
    assert train() == 0


def test_an_out_that_is_a_file_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("")
    assert train(verify_shards="false") == 2
    assert "is a file; want a directory" in capsys.readouterr().err


def test_the_best_of_a_run_that_died_is_not_that_of_the_next(train: Train, tmp_path: Path) -> None:
    assert train(steps=8, eval_every=2, lr__peak=0.05) == 0
    out = tmp_path / "run"
    for path in out.glob("checkpoint-*"):
        shutil.rmtree(path)
    assert list(out.glob("best-*"))
    assert train(steps=4, eval_every=4, lr__peak=1e-6) == 0
    assert [path.name for path in out.glob("best-*")] == ["best-4"]
    assert json.loads((out / "forgetting.json").read_text())["best_step"] == 4


def test_a_gate_holds_whatever_the_next_evaluation_would_be(train: Train, tmp_path: Path) -> None:
    assert train("base", steps=60, mix="{domain: {start: 0}, general: {start: 1}}") == 0
    mix = "{domain: {start: 1.0}, general: {start: 0.0}}"
    sets = {"steps": 24, "mix": mix, "lr__peak": 0.05, "model": tmp_path / "base" / "last"}
    assert train(gate="{general: 0.01}", eval_every=4, **sets) == 1
    assert train(gate="{general: 0.01}", eval_every=3, **sets) == 1
    assert len(losses(tmp_path / "run")) == 4


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"online": "{}", "objective": "{contrastive: 1.0}"}, "follow the losses of tokens"),
        ({"lora": "{r: 2}", "objective": "{clm: 1, ewc: 1}"}, "objective.ewc: with lora"),
        ({"objective": "{clm: 1, kl: {device: gpu}}"}, "want a device that is here"),
        ({"objective": "{clm: 1, regression: {records: no.jsonl}}"}, "no.jsonl: cannot be read"),
        ({"betas": "[0.9, 1.0]"}, "betas.1: got 1.0"),
        ({"lm_eval": "{tasks: [t.yaml], every: 3}"}, "want a multiple of eval_every"),
    ],
)
def test_what_does_not_go_together_is_refused(
    train: Train, capsys: pytest.CaptureFixture[str], sets: dict[str, Any], message: str
) -> None:
    assert train(**sets) == 2
    assert message in capsys.readouterr().err


def test_weights_that_are_damaged_are_refused(
    train: Train, model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(model_dir, tmp_path / "copy")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert train(model=copy) == 2
    assert f"model: {copy}: cannot be loaded" in capsys.readouterr().err


def test_resuming_beside_another_reference_is_refused(
    train: Train, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(model_dir, tmp_path / "copy")
    stop_after(monkeypatch, 3)
    assert train(model=copy, objective="{clm: 1, kl: 1}") == 0
    monkeypatch.undo()
    tiny_llama(initializer_range=0.1).save_pretrained(copy)
    assert train(model=copy, objective="{clm: 1, kl: 1}") == 2
