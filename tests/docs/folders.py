"""What lies in the folder of a reader, page by page: real outputs, and what its words stand for."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from tests.docs.running import Places
from tests.pipeline.corpora import mixed_corpus, tokenizer

WORDS: Places = {
    "MANIFEST": "m.yaml",
    "OUT": "out",
    "NEW": "new",
    "MODEL": "models/smollm2",
    "RUN": "runs/one --set batch_rows=256",
    "OWN": "runs/own --set batch_rows=256",
    "TWO": "runs/two --set batch_rows=256",
    "STOPPED": "runs/stopped --set batch_rows=4 --set steps=200 --set save_every=5",
    "FILE": "ids.txt",
    "DIR": "index",
    "ID": "d3",
    "DOC_ID": "d3",
    "S": "domain",
    "R": "0",
    "T": "3",
}

ENGLISH = (
    "It is the sort of text that we would like to have, with the words that people write.",
    "The harbour was quiet on the day when the ship of the company came in from the north.",
    "She said that they had read the letter, and that nobody in the town would answer it.",
    "There is a road to the lake, and with a good map it takes two hours to walk there.",
    "In the evening the wind turned, and the boats that had gone out came back to the pier.",
)
GERMAN = (
    "Das ist die Art von Text, die wir haben wollen, mit den Wörtern, die Menschen schreiben.",
    "Der Hafen war still an dem Tag, als das Schiff der Gesellschaft von Norden her einlief.",
    "Sie sagte, dass sie den Brief gelesen hätten und dass niemand in der Stadt antworten werde.",
    "Es gibt einen Weg zum See, und mit einer guten Karte ist man in zwei Stunden dort.",
    "Am Abend drehte der Wind, und die Boote, die hinausgefahren waren, kamen zurück.",
)
CLINICAL = (
    "The patient was seen in the clinic today and reports that the pain in the knee is better.",
    "Contact the practice at ann.smith@example.org or on (212) 555-0147 with any question.",
    "MRN: 4839201, DOB: 03/14/1961. The patient is to take the tablets with food, twice a day.",
    "The blood pressure was normal, and there is no sign of an infection in the wound.",
    "SSN 536-22-8726 was given at the desk; the letter went to the family doctor the same day.",
)


def texts(folder: str, sentences: Sequence[str], name: str = "text") -> str:
    """A script that writes 60 documents: one of the sentences, then their words in any order.

    So no two are alike, and language and PII are what the sentences have.
    """
    chance = random.Random(17)
    words = " ".join(sentences).replace(".", "").split()
    rows = [
        {
            "id": f"{name}-{number}",
            "text": " ".join([chance.choice(sentences), *_lines(chance, words)]),
        }
        for number in range(60)
    ]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"mkdir -p {folder}\ncat > {folder}/0.jsonl <<'END'\n{lines}\nEND\n"


def _lines(chance: random.Random, words: Sequence[str]) -> list[str]:
    return [" ".join(chance.choices(words, k=12)).capitalize() + "." for _ in range(12)]


# Shell scripts by page, run before the block of that number among those of the page that are run.
BEFORE: dict[str, dict[int, str]] = {
    "docs/howto/adapt_to_a_language.md": {0: texts("german", GERMAN) + texts("english", ENGLISH)},
    "docs/howto/add_code_data.md": {
        0: """
        mkdir src
        cp "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"/[a-c]*.py src
        """
        + texts("english", ENGLISH)
    },
    "docs/howto/anonymise_clinical_text.md": {0: texts("notes", CLINICAL, "note")},
    "docs/howto/dedupe_against_last_month.md": {
        0: texts("news", ENGLISH, "june")
        + """
        cp news/0.jsonl news-2026-06.jsonl
        sed -n '1,20s/june-/may-/p' news/0.jsonl > news-2026-05.jsonl
        """
    },
    "docs/howto/move_from_another_tool.md": {
        0: texts("dolma/documents", ENGLISH)
        + """
        mkdir datatrove curator
        gzip -c dolma/documents/0.jsonl > datatrove/00000.jsonl.gz
        gzip -c dolma/documents/0.jsonl > dolma/documents/00000.json.gz
        python -c 'import pyarrow.json as j, pyarrow.parquet as p
        p.write_table(j.read_json("dolma/documents/0.jsonl"), "curator/0.parquet")'
        """.replace("\n        ", "\n")
    },
    "docs/dedup_index.md": {
        0: """
        prepare run m.yaml --set name=news-2026-05 --set output=may --set dedup.index=index
        """
    },
    "docs/formats.md": {
        0: """
        mkdir -p build raw
        cp -r out build/python-docs
        prepare export out --format megatron --to raw/tokens
        cp raw/tokens/domain/train/tokens.bin raw/wiki_text_document.bin
        cp raw/tokens/domain/train/tokens.idx raw/wiki_text_document.idx
        """
    },
    "docs/compare.md": {
        0: """
        mkdir build
        cp -r out build/corpus
        prepare run m.yaml --set output=build/second --set filters.0.min_chars=500
        """,
        1: "\n".join(
            f"train --shards out --model models/smollm2 --out runs/{name} --set lr.peak={rate} "
            "--set steps=2 --set batch_rows=4"
            for name, rate in (("low", "1e-4"), ("high", "1e-3"))
        ),
    },
    "docs/train_report.md": {
        0: "train --shards out --model models/smollm2 --out runs/python --set steps=2 "
        "--set batch_rows=4"
    },
    "docs/report.md": {
        0: """
        mkdir build
        cp -r out build/corpus
        printf 'mix: {domain: {start: 0.6}, general: {start: 0.4}}\\n' > train.yaml
        """
    },
    "docs/quarantine.md": {
        1: r"""
        mkdir pages
        python - <<'END'
        import json
        from pathlib import Path
        import yaml

        good = [json.dumps({"id": f"n{n}", "text": f"Note {n} is about the weather." * 3})
                for n in range(6)]
        bad = [b'{"id": "n7", "text": "caf\xe9 ann@example.org"}', b'{"id": "n8", "text": "\xff"}']
        lines = [good[0].encode(), b'{"id": "cut", "text": "It was c', *bad, good[1].encode()]
        Path("notes.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        Path("pages/deep.html").write_text("<html>" + "<div>" * 300 + "deep")
        Path("pages/flat.html").write_text("<html><body><p>" + "A page of words. " * 20)
        manifest = yaml.safe_load(Path("m.yaml").read_text())
        manifest |= {"output": "out", "filters": [], "limits": {"max_quarantined_fraction": 0.9}}
        manifest["sources"] = [
            {"name": "notes", "format": "jsonl", "paths": ["notes.jsonl"], "id_field": "id"},
            {"name": "pages", "format": "html", "paths": ["pages/*.html"]},
        ]
        Path("notes.yaml").write_text(yaml.safe_dump(manifest))
        END
        rm -r out
        prepare run notes.yaml
        """.replace("\n        ", "\n"),
        2: "sed -i 's/It was c$/It was cut off, and is whole again, in all of its words."
        "\"}/' notes.jsonl",
    },
    "docs/training.md": {
        0: texts("other", ENGLISH, "other")
        + """
        sources='[{name: other, format: jsonl, paths: ["other/*.jsonl"], id_field: id}]'
        prepare run m.yaml --set output=new --set "sources=$sources"
        """,
        1: """
        train --shards out --model models/smollm2 --out runs/stopped \
          --set batch_rows=4 --set steps=200 --set save_every=5 &
        until test -d runs/stopped/checkpoint-5; do kill -0 $!; sleep 0.1; done
        kill -TERM $!
        wait $!
        """,
    },
}

# Recipes read the repository's manifests from its root.
_RECIPES = """
of_code="import pathlib, pipeline; print(pathlib.Path(pipeline.__file__).parents[1])"
cp -r "$(python -c "$of_code")"/data_manifests .
"""
for _name in ("index", "medical", "code", "language", "instruct", "scratch"):
    BEFORE[f"docs/recipes/{_name}.md"] = {0: _RECIPES}

# Names that the Python of a page takes for granted.
GIVEN: dict[str, str] = {
    # Its package imports torchvision, for datasets of images.
    "docs/formats.md": """
import sys
from unittest.mock import MagicMock

sys.modules["streaming.vision"] = MagicMock()
""",
    "README.md": """
import pyarrow as pa
import ray
from datasets import Dataset

table = pa.table({"text": ["It is the sort of text that we would like to have.", "$$ ## $$"]})
dataset = Dataset(table)
ray_dataset = ray.data.from_arrow(table)
""",
    "docs/training.md": """
import json
import pyarrow as pa
from pathlib import Path
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

model = AutoModelForCausalLM.from_pretrained("models/smollm2")
arguments = TrainingArguments(
    "runs/trainer", max_steps=2, per_device_train_batch_size=2, use_cpu=True, report_to=[],
    remove_unused_columns=False,
)
part = json.loads(Path("out/shards/index.json").read_text())["shards"][0]["path"]
tokens = pa.ipc.open_file(f"out/shards/{part}").read_all()["tokens"].slice(0, 8).to_pylist()
rows = [{"input_ids": row, "labels": row} for row in tokens]
""",
}

NEEDS_JOB_SERVICE = {"docs/howto/run_on_a_cluster.md"}

# Pages whose Python another test runs, and checks what comes of it.
TESTED_ELSEWHERE = {"docs/shards.md": "tests/pipeline/test_shards_docs.py"}


def prepared_folder(folder: Path) -> Path:
    """Inputs, a manifest, a finished output and a tiny model, none of which a test may change."""
    model = tiny_model(folder / "models" / "smollm2")
    corpus = mixed_corpus(folder, model)
    corpus.manifest["tokenizer"]["path"] = "models/smollm2"
    corpus.prepare("--workers", "1")
    (folder / "ids.txt").write_text("d3\nd5\n")
    return folder


def tiny_model(folder: Path) -> Path:
    """A tokenizer of 600 tokens, and random weights for it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=600,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
