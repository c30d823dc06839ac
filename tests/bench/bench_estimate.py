"""What `explain` says that a question costs, beside what `run` then takes: bytes by its coverage, seconds by the clock.

Both are the whole program, one after the other, so that what else the machine does falls on both. The estimate is to be
within `MOST` of the bytes and of the seconds, either way. ``--size MB`` sets the size of the log (400 by default, 100
with ``--quick``); a part of it is also there rotated and compressed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench import access_log
from tests.bench.pairs import add_pairs

MOST: Final = 2.0
PROGRAM: Final = (sys.executable, "-P", "-m", "backplane.cli")
#: Far above what a question takes here.
_HANGS_S: Final = 600.0
#: Of the log, what its rotated file holds.
_ROTATED: Final = 8
#: By name: stages behind the log, and options; the time of `--since` is that of a line near the end.
QUESTIONS: Final = {
    "rare text": ("| 'no such thing' | count", ()),
    "count by status": ("| count by status", ()),
    "errors by path": ("| where status >= 500 | count by path", ()),
    "quantiles": ("| p50(bytes), p99(bytes) by prefix(path, 1)", ()),
    "two processes": ("| count by status", ("--parallel", "2")),
    "the last tenth": ("| count by status", ("--since",)),
    "with what is rotated": ("| count by status", ("--rotated",)),
}


class Ratio(NamedTuple):
    """What was estimated over what it was."""

    bytes: float
    seconds: float


def main() -> None:
    """Each question, estimated and asked."""
    parser = argparse.ArgumentParser(prog="bench_estimate")
    parser.add_argument("--size", type=int)
    add_pairs(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "access.log"
        access_log.write(log, (options.size or (100 if options.pairs == 1 else 400)) << 20)
        with gzip.open(f"{log}.1.gz", "wb", compresslevel=3) as rotated, log.open("rb") as file:
            rotated.write(file.read(log.stat().st_size // _ROTATED))
        for title, (stages, words) in QUESTIONS.items():
            argv = [f"combined {log} {stages}", *words]
            if "--since" in words:
                argv.append(_late(log))
            _told(title, [_pair(argv) for _ in range(options.pairs)])


def _late(log: Path) -> str:
    """The time of a line near the end. The log repeats itself, so its times do not only grow: of its last round."""
    with log.open("rb") as file:
        file.seek(log.stat().st_size * 9 // 10)
        file.readline()
        text = file.readline().split(b"[", 1)[1].split(b"]", 1)[0].decode()
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.strptime(text, "%d/%b/%Y:%H:%M:%S +0000"))


def _pair(argv: Sequence[str]) -> Ratio:
    told, _ = _asked("explain", *argv)
    began = told["estimate"]
    answer, took_s = _asked("run", *argv)
    (row,) = answer["coverage"]["providers"].values()
    return Ratio(began["bytes"] / row["bytes"], began["seconds"] / took_s)


def _asked(*words: str) -> tuple[dict[str, Any], float]:
    """What the program prints, and how long it took.

    Raises:
        RuntimeError: it did not go well.
    """
    began = time.monotonic()
    done = subprocess.run([*PROGRAM, *words, "-o", "json"], capture_output=True, timeout=_HANGS_S, check=False)
    if done.returncode:
        raise RuntimeError(f"status {done.returncode}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout), time.monotonic() - began


def _told(title: str, ratios: list[Ratio]) -> None:
    print(f"{title}: estimated over actual, median of {len(ratios)} pairs")
    for name, values in (("bytes", [each.bytes for each in ratios]), ("seconds", [each.seconds for each in ratios])):
        middle = statistics.median(values)
        verdict = "met" if 1 / MOST <= middle <= MOST else "MISSED"
        spread = f"({min(values):.2f} to {max(values):.2f})"
        print(f"  {name:8} {middle:6.2f}  {spread}   {1 / MOST:.1f} to {MOST:.1f} wanted: {verdict}")


if __name__ == "__main__":
    main()
