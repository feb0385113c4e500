"""The index of finished corpora, which later ones are deduplicated against."""
