"""Contexts for the audit: no value in them, whole or half."""

import pyarrow as pa
import pytest

from pipeline.text.pii.samples import CONTEXT_CHARS, Samples

EMAIL, CARD = "ann.smith@example.org", "4111 1111 1111 1111"


def contexts(text: str) -> list[str]:
    """Of the telephone numbers that were found in a stored text."""
    samples = Samples(5)
    batch = pa.record_batch(
        {
            "key": pa.array([bytes(16)], pa.binary(16)),
            "text": [text],
            "pii.num_pii_phone": pa.array([1], pa.int32()),
        }
    )
    samples.add(batch, ["phone"])
    return [sample["context"] for sample in samples.chosen()["phone"]]


@pytest.mark.parametrize("distance", range(CONTEXT_CHARS + 2))
def test_what_stays_in_the_texts_is_not_half_in_a_context(distance: int) -> None:
    words = "so it was said and done, and that day again "[:distance].ljust(distance)
    (context,) = contexts(f"{EMAIL} {CARD} {words}[PHONE] {words}{EMAIL} {CARD} too")
    assert "[PHONE]" in context
    for part in ("ann", "smith", "example", "org", "411", "111"):
        assert part not in context
    assert len(context) <= 2 * CONTEXT_CHARS + len("[PHONE]")
