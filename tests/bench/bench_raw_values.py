"""Raw values into a Python reducer, beside bare pyzmq and msgpack: the CPU seconds of all processes, at most twice.

Ours is the whole product: client, coordinator, runner and the job's child, over pipes, ZeroMQ and credit. The other way
is the least that could do the same: a producer that packs batches of 1,000 and a DEALER, a ROUTER that unpacks and
reduces, with nothing between. Both run the same generator and the same reduce.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.bench.pairs import Way, compare

VALUES = 5_000_000
SOURCE = f'''"""Raw values."""


def map():
    for n in range({VALUES}):
        yield "key%d" % (n % 1000), n


def reduce(a, b):
    return a + b
'''
BARE = Path(__file__).with_name("ways") / "bare_zmq.py"


def _total(answer: str) -> int:
    """The sum over all keys, out of either way's answer."""
    found = json.loads(answer)
    return sum(row["value"] for row in found["rows"]) if "rows" in found else int(found["total"])


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        query = Path(directory) / "raw.py"
        query.write_text(SOURCE)
        ours = [sys.executable, "-P", "-m", "backplane.cli", "run", str(query), "--private", "-q", "-o", "json"]
        compare(
            f"{VALUES} raw values into a reduce",
            Way("logreduce", ours),
            Way("pyzmq+msgpack", [sys.executable, str(BARE), str(query)]),
            same=lambda a, b: _total(a) == _total(b) == VALUES * (VALUES - 1) // 2,
        )


if __name__ == "__main__":
    main()
