"""Each recipe runs from raw text to a measured model, and keeps what its page promises."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from examples.recipes import clinical, python_code
from examples.recipes.stand_in import NUM_PATIENTS, NUM_SETTINGS
from examples.recipes.texts import SEED
from tests.recipes.running import Recipe, recipe
from tests.training.runs import metrics


def made(name: str, factory: pytest.TempPathFactory) -> Recipe:
    return recipe(name, factory.mktemp(name)).prepared()


def forgetting(run: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run / "forgetting.json").read_text())
    return values


def shares(run: Path, source: str) -> list[float]:
    """Of the learned tokens of each step."""
    targets = [step["source_targets"] for step in metrics(run, "step")]
    return [of_step.get(source, 0) / sum(of_step.values()) for of_step in targets]


@pytest.fixture(scope="module")
def medical(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return made("medical", tmp_path_factory)


def test_no_identifier_of_a_patient_is_stored(medical: Recipe) -> None:
    people = clinical.patients(NUM_PATIENTS, SEED)
    raw = "\n".join(row["text"] for row in medical.raw("notes"))
    planted = sorted({value for one in people for value in one.identifiers if value in raw})
    assert len(planted) > NUM_PATIENTS * 5
    texts = medical.decoded("notes")
    assert [value for value in planted if value in texts] == []
    stored = medical.stored_bytes()
    assert [
        value for value in planted[::20] if value.encode() in stored
    ] == []  # each reads all files
    assert people[0].name in texts  # names need a plugin, as the page says


def test_a_patient_has_one_pseudonym_in_all_notes(medical: Recipe) -> None:
    records = {row["id"]: re.search(r"MRN: (\S+)", row["text"]) for row in medical.raw("notes")}
    seen = defaultdict(set)
    for row in medical.refined("kept", "notes"):
        mark = re.search(r"MRN: (\S+)", row["text"])
        assert mark is not None
        assert mark[1].startswith("[MEDICAL_RECORD:")
        record = records[row["id"]]
        assert record is not None
        seen[record[1]].add(mark[1])
    assert {len(marks) for marks in seen.values()} == {1}
    assert len({mark for marks in seen.values() for mark in marks}) == len(seen)


def test_the_medical_recipe_measures_what_is_forgotten(medical: Recipe) -> None:
    run = medical.trained()
    found = forgetting(run)
    assert set(found["sources"]) == {"notes", "general"}
    assert found["gate"]["general"]["limit_percent"] == 3.0
    replayed = sum(step["source_targets"].get("general", 0) for step in metrics(run, "step"))
    assert replayed > 0


# What each rule refuses: a merge left half done, code without a word on it, what a machine wrote.
MERGE = "<<<<<<< HEAD\nrows = read_rows(path)\n=======\nrows = all_rows(path)\n>>>>>>> other\n"
REFUSED_CODE = [
    {"id": "half/merge.py", "text": "# Either of them will do.\n" + MERGE * 20},
    {"id": "bare/table.py", "text": "".join(f"row_{n} = {n} * other\n" for n in range(40))},
    {"id": "made/parser.py", "text": "# Automatically generated\n" + "# a word\nx = 1\n" * 20},
]
RULES = ["code.is_generated", "syntax.comment_ratio", "syntax.syntax_error_ratio"]


@pytest.mark.slow
def test_no_secret_of_the_code_recipe_is_stored(tmp_path_factory: pytest.TempPathFactory) -> None:
    code = recipe("code", tmp_path_factory.mktemp("code")).prepared(code=REFUSED_CODE)
    modules = python_code.settings_modules(NUM_SETTINGS, SEED)
    stored = code.stored_bytes()
    planted = [secret for _, secrets in modules for secret in secrets]
    assert len(planted) == NUM_SETTINGS * 3
    assert [secret for secret in planted if secret.encode() in stored] == []
    assert 'DEPLOY_TOKEN = "[SECRET]"' in code.decoded("code")
    kept = {row["id"]: row["text"] for row in code.refined("kept", "code")}
    raw = {row["id"]: row["text"] for row in code.raw("code")}
    assert sum(text == raw[name] for name, text in kept.items()) > len(kept) / 2
    dropped = {row["id"]: row["rule"] for row in code.refined("dropped", "code")}
    assert sorted(dropped[row["id"]] for row in REFUSED_CODE) == RULES
    run = code.trained("batch_rows=16")
    assert set(forgetting(run)["sources"]) == {"code", "general"}
    assert shares(run, "general")[0] > shares(run, "general")[-1] > 0  # it falls, but stays


@pytest.mark.slow
def test_the_language_recipe_keeps_german_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    language = made("language", tmp_path_factory)
    kept = [row["id"] for row in language.refined("kept", "german")]
    dropped = [row["id"] for row in language.refined("dropped", "german")]
    assert len(kept) > 250
    assert all(name.startswith("report-") for name in kept)
    assert [name for name in dropped if not name.startswith("report-")]
    run = language.trained()
    assert set(forgetting(run)["sources"]) == {"german", "english"}


@pytest.mark.slow
def test_answers_alone_carry_loss(tmp_path_factory: pytest.TempPathFactory) -> None:
    instruct = made("instruct", tmp_path_factory)
    answers = {row["completion"] for row in instruct.raw("questions")}
    learned = ""
    for row in instruct.rows("questions"):
        pairs = zip(row["tokens"], row["loss_mask"], strict=True)
        learned += instruct.spelled([token for token, is_learned in pairs if is_learned])
    assert "What does this Python function do?" not in learned
    assert "What does this Python function do?" in instruct.decoded("questions")
    ended = {text.strip() for text in learned.split("<eos>")}
    whole = {" ".join(answer.split()) for answer in answers}
    assert sum(" ".join(text.split()) in whole for text in ended) > len(answers) / 3
    assert "loss_mask" not in instruct.rows("domain")[0]
    run = instruct.trained("batch_rows=8")
    assert set(forgetting(run)["sources"]) == {"domain", "questions"}
    asked = shares(run, "questions")
    assert max(asked[:3]) == 0  # 60 % of six steps: the fourth has both
    assert min(asked[4:]) > 0.5
    second = instruct.trained(
        "model=runs/recipes/instruct/last",
        "mix.questions.start=0.8",
        "mix.domain.start=0.2",
        out="runs/second",
    )
    assert min(shares(second, "questions")) > 0
    ended, began = (
        {name: one["loss"][when] for name, one in forgetting(path)["sources"].items()}
        for path, when in ((run, "after"), (second, "before"))
    )
    assert began == pytest.approx(ended)  # it starts where the first one ended


@pytest.mark.slow
def test_the_scratch_recipe_learns_with_growing_rows(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    scratch = made("scratch", tmp_path_factory)
    widths = "[{from_step: 0, tokens: 64}, {from_step: 3, tokens: 256}]"
    run = scratch.trained(f"sequence_tokens={widths}")
    steps = metrics(run, "step")
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert steps[0]["num_targets"] <= 4 * 4 * 63 < steps[-1]["num_targets"]  # rows of 64, of 256
    assert forgetting(run)["sources"]["english"]
