"""Whether this installation has compiled its kernels is seen in numba's cache."""

import os
import subprocess
import sys
from pathlib import Path

ASK = """
from filters.kernels.compiled import was_compiled
from filters.kernels.text import hash_bytes, _lower
print(was_compiled(hash_bytes))
_lower(65)
print(was_compiled(hash_bytes))
"""


def test_a_kernel_that_was_compiled_tells_of_its_folder(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    ask = [sys.executable, "-c", ASK]
    first = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True)
    assert first.stdout.split() == ["False", "True"]
    later = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True)
    assert later.stdout.split() == ["True", "True"]
