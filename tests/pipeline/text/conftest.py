import pyarrow as pa
import pytest

from pipeline.text.clean import CleanConfig, clean
from pipeline.text.pii.anonymise import anonymise
from pipeline.text.pii.config import PiiConfig


@pytest.fixture(scope="session", autouse=True)
def _kernels_compiled():
    """Compiling takes a second or two; Hypothesis's deadline would hold it against a test."""
    clean(pa.array(["<p>é</p>", "<html>e\u0301  x", "ab-\ncd Ã©"]), CleanConfig(dehyphenate=True))
    anonymise(pa.array(["write to a@example.org from 8.8.8.8"]), PiiConfig())
