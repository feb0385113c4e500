"""datatrove's first stage of MinHash deduplication, on texts in memory, its files on local disk.

Run by an interpreter that has datatrove 0.10, spaCy and xxhash: 14 buckets of 8 hashes of 64 bits,
5-grams, English, which are its defaults; one task.
"""

import sys
import tempfile

from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupSignature
from loguru import logger
from rounds import serve, texts


def main() -> None:
    """Tokenise one document, so that the tokenizer is loaded; then serve."""
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    found = texts()

    def sign(wanted: list[str]) -> None:
        documents = (Document(text=text, id=str(number)) for number, text in enumerate(wanted))
        with tempfile.TemporaryDirectory() as folder:
            MinhashDedupSignature(output_folder=folder).run(documents, rank=0, world_size=1)

    sign(found[:1])
    serve({"datatrove": lambda: sign(found)})


if __name__ == "__main__":
    main()
