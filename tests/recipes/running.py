"""A recipe from stand-in text to a trained model, in its own folder, by its page's commands."""

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from examples.recipes.stand_in import main as stand_in
from examples.recipes.stand_in import write
from pipeline.cli import main as prepare
from pipeline.shards import read_index
from tests.pipeline.corpora import tokenizer
from training.cli import main as train

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "data_manifests" / "recipes"
NAMES = sorted(path.name for path in RECIPES.iterdir() if path.is_dir())
KEY = "a key that is long enough"
# A run of seconds: everything else is as the recipe has it.
SIZES = ["steps=6", "eval_every=3", "save_every=6", "eval_rows=4", "report=false", "samples=null"]


@dataclass(frozen=True)
class Recipe:
    """A folder in which one recipe was prepared, and perhaps trained."""

    name: str
    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "build" / "recipes" / self.name / "out"

    def prepared(self, **more: list[dict[str, str]]) -> "Recipe":
        """Make its stand-in text, run the manifest, and verify what came of it.

        `more` are rows by source, which are read after those of the stand-in text.
        """
        manifest = f"data_manifests/recipes/{self.name}/manifest.yaml"
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setenv("HEADWATER_PII_KEY", KEY)
            stand_in([self.name, "--megabytes", "0.3"])
            for source, rows in more.items():
                write(self.raw_path(source), [*self.raw(source), *rows])
            assert prepare(["run", manifest, "--workers", "1"]) == 0
            assert prepare(["verify", str(self.out), "--pii"]) == 0
        return self

    def trained(self, *sets: str, out: str | None = None) -> Path:
        """Train for some steps; the run's folder, which is the recipe's own or `out`."""
        config = f"data_manifests/recipes/{self.name}/train.yaml"
        run = out or f"runs/recipes/{self.name}"
        changes = [f"--set={change}" for change in (*SIZES, f"out={run}", *sets)]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            assert train(["--config", config, *changes]) == 0
        return self.folder / run

    def raw_path(self, source: str) -> Path:
        """The file that a source reads."""
        return self.out.parent / "raw" / f"{source}.jsonl.zst"

    def raw(self, source: str) -> list[dict[str, str]]:
        """The rows that were read."""
        with pa.input_stream(str(self.raw_path(source)), compression="zstd") as stream:
            return [json.loads(line) for line in stream.read().splitlines()]

    def refined(self, kind: str, source: str) -> list[dict[str, Any]]:
        """The rows of one kind of refined file of a source."""
        found: list[dict[str, Any]] = []
        for path in sorted((self.out / "refined" / source).rglob(f"*.{kind}.arrow")):
            with pa.memory_map(str(path)) as file:
                found += pa.ipc.open_file(file).read_all().to_pylist()
        return found

    def rows(self, source: str) -> list[dict[str, Any]]:
        """The packed rows of a source, of both splits."""
        found: list[dict[str, Any]] = []
        for shard in read_index(self.out).shards:
            if shard.source == source:
                with pa.memory_map(str(self.out / "shards" / shard.path)) as file:
                    found += pa.ipc.open_file(file).read_all().to_pylist()
        return found

    def decoded(self, source: str) -> str:
        """All text that the shards of a source spell."""
        rows = self.rows(source)
        return "\n".join(self.spelled(row["tokens"][: row["num_tokens"]]) for row in rows)

    def spelled(self, tokens: list[int]) -> str:
        """The text of token ids."""
        return str(_tokenizer(self.out / "tokenizer").decode(tokens))

    def stored_bytes(self) -> bytes:
        """Every file of the output, one after the other: Arrow files are not compressed."""
        files = (path for path in sorted(self.out.rglob("*")) if path.is_file())
        return b"".join(path.read_bytes() for path in files)


@cache
def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(folder)


def recipe(name: str, folder: Path) -> Recipe:
    """The recipes in a folder with a tiny model and tokenizer in the place of the base model."""
    shutil.copytree(RECIPES, folder / "data_manifests" / "recipes")
    model = tokenizer(folder / "models" / "smollm2")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=600, num_attention_heads=2, **sizes)
    LlamaForCausalLM(config).save_pretrained(model)
    return Recipe(name, folder)
