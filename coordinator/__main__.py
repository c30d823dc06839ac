"""`python -m coordinator`."""

import gc
import sys

# One that is private lives as long as one question: looking for cycles among what it imports is a part of that.
gc.set_threshold(20_000)

from coordinator.main import main  # noqa: E402

status = main()
gc.freeze()  # all memory is about to go, and need not be looked through once more
sys.exit(status)
