"""The command line: exit codes and messages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.conftest import WIDTH, random_rows, tiny_llama
from tests.training.shardfiles import write_shards
from training import cli


def run(shards: Path, model: Path, out: Path, *more: str) -> int:
    arguments = ["--shards", str(shards), "--model", str(model), "--out", str(out)]
    return cli.main([*arguments, *more])


def one_line(captured: str) -> str:
    assert "Traceback" not in captured
    (line,) = captured.strip().splitlines()
    return line


def test_help_needs_no_torch() -> None:
    code = "import sys; sys.argv = ['train', '--help']\n"
    code += "from training.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--shards DIR" in done.stdout


def test_a_directory_without_shards_is_refused(
    tmp_path: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "nowhere", model_dir, tmp_path / "run") == 2
    assert "nowhere: no index.json here or in shards/" in one_line(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_not_there_is_refused(
    tmp_path: Path, shard_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shard_dir, tmp_path / "no-model", tmp_path / "run") == 2
    assert "no such directory" in one_line(capsys.readouterr().err)


def test_a_directory_that_is_no_model_is_refused(
    tmp_path: Path, shard_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    assert run(shard_dir, tmp_path, tmp_path / "run") == 2
    assert "cannot be loaded" in one_line(capsys.readouterr().err)


def test_a_vocabulary_that_is_too_small_is_refused_before_weights_are_read(
    tmp_path: Path, shard_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_llama(vocab_size=32).config.save_pretrained(tmp_path)  # there are no weights
    assert run(shard_dir, tmp_path, tmp_path / "run") == 2
    assert "has 64 ids, the model" in one_line(capsys.readouterr().err)


def write_tokenizer(directory: Path, tokens: list[str], *, spaces: int) -> None:
    directory.mkdir(exist_ok=True)
    model = {"type": "WordLevel", "vocab": {t: i for i, t in enumerate(tokens)}, "unk_token": "a"}
    text = json.dumps({"version": "1.0", "added_tokens": [], "model": model}, indent=spaces)
    (directory / "tokenizer.json").write_text(text)


def test_shards_of_another_tokenizer_than_the_models_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = write_shards(
        tmp_path / "shards", {("a", "train"): random_rows(1, 4)}, sequence_tokens=WIDTH
    )
    tiny_llama().save_pretrained(tmp_path / "model")
    capsys.readouterr()
    write_tokenizer(shards / "tokenizer", ["a", "b", "c"], spaces=1)
    write_tokenizer(tmp_path / "model", ["a", "c", "b"], spaces=1)
    assert run(shards, tmp_path / "model", tmp_path / "run") == 2
    line = one_line(capsys.readouterr().err)
    assert "2 tokens of its tokenizer have another id" in line
    assert "such as 'b': 1 here, 2 there" in line
    write_tokenizer(tmp_path / "model", ["a", "b", "c"], spaces=3)  # other bytes, same ids
    assert run(shards, tmp_path / "model", tmp_path / "run", "--set=steps=1") == 0
    saved = tmp_path / "run" / "last" / "tokenizer.json"
    assert saved.read_bytes() == (shards / "tokenizer" / "tokenizer.json").read_bytes()


def test_rows_longer_than_the_model_reads_are_refused(
    tmp_path: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {("a", "train"): random_rows(1, 4)}
    shards = write_shards(tmp_path / "shards", rows, sequence_tokens=4 * WIDTH)
    assert run(shards, model_dir, tmp_path / "run") == 2
    line = one_line(capsys.readouterr().err)
    assert "rows of 128 tokens" in line
    assert "64 positions" in line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sequence_tokens=5", "want a divisor of the shards' 32"),
        ("mix.domian.start=1", "did you mean 'domain'"),
        ("mix={domain: {start: 0.5}, general: {start: 0.4}}", "add up to 0.9"),
        ("lr.phases=[{shape: hold, length: 0.5}]", "lr.phases"),
        ("gate.domian=0.1", "did you mean 'domain'"),
        ("replay={source: generl, ratio: 0.1}", "did you mean 'general'"),
        ("curricula={domain: {order: [easy, hard]}}", "domain"),
        ("device=cuda", "torch sees no GPU here"),
        ("steps", "want KEY=VALUE"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    tmp_path: Path,
    model_dir: Path,
    shard_dir: Path,
    capsys: pytest.CaptureFixture[str],
    override: str,
    message: str,
) -> None:
    assert run(shard_dir, model_dir, tmp_path / "run", "--set", override) == 2
    assert message in one_line(capsys.readouterr().err)


def test_without_torch_the_extra_is_named(
    tmp_path: Path,
    model_dir: Path,
    shard_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli.importlib.util, "find_spec", lambda _name: None)
    assert run(shard_dir, model_dir, tmp_path / "run") == 2
    assert "pip install 'headwater[train]'" in one_line(capsys.readouterr().err)


def test_debug_shows_the_traceback(
    tmp_path: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, model_dir, tmp_path / "run", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_plan_is_printed_and_nothing_is_started(
    tmp_path: Path, shard_dir: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", "--shards", str(shard_dir), "--model", str(model_dir)]
    more = ["--out", str(tmp_path / "run"), "--set=steps=50", "--set=batch_rows=8"]
    assert cli.main([*arguments, *more, "--tokens-per-second", "1000"]) == 0
    printed = capsys.readouterr().out
    for part in (
        "domain",
        "general",
        "50 steps of 8 rows",
        "parameters",
        "compute-optimal",
        "time",
    ):
        assert part in printed
    assert "warning: domain is seen" in printed
    assert not (tmp_path / "run").exists()


def test_a_measured_plan_says_how_long_the_run_takes(
    shard_dir: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", "--shards", str(shard_dir), "--model", str(model_dir), "--measure"]
    assert cli.main([*arguments, "--set=steps=4", "--set=batch_rows=4"]) == 0
    assert "tokens/s, measured" in capsys.readouterr().out


def test_verify_resume_prints_one_hash_for_all_ranks_and_readers(
    shard_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["verify-resume", "--shards", str(shard_dir), "--set=steps=20", "--steps", "3"]
    assert cli.main([*arguments, "--set=batch_rows=8"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ranks")]
    assert {line.split()[1] for line in lines} == {"1", "2", "4", "8"}
    assert len({line.split()[-1] for line in lines}) == 1


def test_verify_resume_begins_where_the_run_is(
    tmp_path: Path, shard_dir: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--set=steps=4", "--set=batch_rows=8"]
    assert run(shard_dir, model_dir, tmp_path / "run", *sets) == 0
    arguments = ["verify-resume", "--shards", str(shard_dir), "--out", str(tmp_path / "run")]
    capsys.readouterr()
    assert cli.main([*arguments, *sets, "--from", "2"]) == 0
    assert "steps 2 to 3" in capsys.readouterr().out
    assert cli.main([*arguments, *sets]) == 2
    assert "--from: got step 4" in capsys.readouterr().err


def test_a_damaged_shard_is_refused_before_the_model_loads(
    tmp_path: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {("a", "train"): random_rows(1, 20)}
    shards = write_shards(tmp_path / "shards", rows, sequence_tokens=WIDTH)
    (part,) = shards.rglob("*.arrow")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    assert run(shards, model_dir, tmp_path / "run") == 2
    captured = capsys.readouterr()
    assert "sha256" in one_line(captured.err)
    assert str(part) in captured.err
    assert "loading" not in captured.out


def test_extend_without_a_run_is_refused(
    tmp_path: Path, shard_dir: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shard_dir, model_dir, tmp_path / "run", "--extend") == 2
    assert "has no run to go on with" in one_line(capsys.readouterr().err)


def test_the_outcome_is_the_last_event_of_a_run_for_machines(
    tmp_path: Path, model_dir: Path, shard_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--json", "--set=steps=2", "--set=batch_rows=4", "--set=tensorboard=false"]
    assert run(shard_dir, model_dir, tmp_path / "run", *sets) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "outcome"
    assert events[-2]["text"] == f"report: {tmp_path / 'run' / 'report.html'}"
