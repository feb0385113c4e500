"""text-dedup's `embed_func`, which its `minhash` command maps over a dataset, on texts in memory.

Run by an interpreter that has text-dedup 0.4. What the command adds around the call, loading and
`datasets.map`, is left out. 112 permutations in 14 bands of 8 and 5-grams, else its defaults, with
both hash functions that it has: sha1 (the default) and xxh3.
"""

import numpy as np
from rounds import serve, texts
from text_dedup.minhash import RNG, embed_func
from text_dedup.utils import sha1_hash, xxh3_32hash

BANDS, ROWS, NGRAM, MIN_LENGTH = 14, 8, 5, 5
MODULO_PRIME, MAX_HASH = np.uint64((1 << 61) - 1), np.uint32((1 << 32) - 1)
HASHES = {"sha1": lambda data: sha1_hash(data, d=32), "xxh3": xxh3_32hash}


def main() -> None:
    """As `text_dedup.minhash.main` calls it with `hash_bits` 64, the default."""
    found, num_perm = texts(), BANDS * ROWS
    factors = RNG.randint(1, MODULO_PRIME, size=(num_perm,), dtype=np.uint64)
    summands = RNG.randint(0, MODULO_PRIME, size=(num_perm,), dtype=np.uint64)

    def embed(hash_func: object) -> None:
        for number, text in enumerate(found):
            embed_func(
                text,
                number,
                num_perm=num_perm,
                ngram_size=NGRAM,
                min_length=MIN_LENGTH,
                hashranges=[(band * ROWS, (band + 1) * ROWS) for band in range(BANDS)],
                permutations=(factors, summands),
                hash_func=hash_func,
                dtype=np.uint64,
                max_hash=MAX_HASH,
                modulo_prime=MODULO_PRIME,
            )

    serve(
        {
            f"text-dedup, {name}": lambda function=function: embed(function)
            for name, function in HASHES.items()
        }
    )


if __name__ == "__main__":
    main()
