"""`prepare` killed by itself: `python -m tests.pipeline.erasing.killed N WHAT ARGUMENTS`.

At the N-th renaming (WHAT is `rename`), or the N-th removal (`unlink`), before it is done.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from pipeline.cli import main


def kill_at(number: int, what: str) -> None:
    """Let SIGKILL come in the place of the N-th call of one of `Path`'s methods."""
    real, calls = getattr(Path, what), [0]

    def counted(path: Path, *arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path, *arguments, **options)

    setattr(Path, what, counted)


if __name__ == "__main__":
    kill_at(int(sys.argv[1]), sys.argv[2])
    sys.exit(main(sys.argv[3:]))
