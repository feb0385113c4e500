"""Figures of one benchmark in one JSON file, with what explains them."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Where and when, as far as it explains figures."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "num_cores": os.cpu_count(),
        "load": os.getloadavg(),  # by others too: a quiet machine ends below its workers
        "python": platform.python_version(),
    }


def add(path: Path, part: str, values: dict[str, Any]) -> None:
    """Put the figures of one part beside those of the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**known, part: values}, indent=1) + "\n")
