"""`python -m training`, which is what `torchrun -m training` starts."""

import sys

from training.cli import main

sys.exit(main())
