"""`python -m coordinator`."""

import gc
import sys

# Imports make many objects, and none that is garbage: a private coordinator lives as long as one question, and would
# spend a tenth of that on looking for cycles among them.
gc.set_threshold(20_000)

from coordinator.main import main  # noqa: E402

status = main()
gc.freeze()  # all memory is about to go, and need not be looked through once more
sys.exit(status)
