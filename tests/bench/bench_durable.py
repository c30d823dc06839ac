"""What it costs to keep an answer: the same question named and not, wall clock; at least 0.9 of the throughput.

A gigabyte counted by status, whose values are few and whose positions move with each cut; and one and a half million
groups, all of which pass through the store. `--size 0.1` asks a tenth of both.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.pairs import Way, compare

STATUS: Final = (
    '"""By status."""\nlogs = "x"\ndef map(lines):\n    for line in lines:\n        yield line.split(" ", 9)[8], 1\n'
)
KEYS: Final = '"""By key."""\nlogs = "x"\ndef map(lines):\n    for line in lines:\n        yield line, 1\n'
COUNT: Final = 'reduce = "count"\n'
#: Repeated to the size wanted.
_BLOCK_LINES: Final = 40_000
_GROUPS: Final = 1_500_000
_RUN: Final = 'rm -rf "$0"; exec env XDG_STATE_HOME="$0" "$@"'


def access_log(path: Path, size: int) -> None:
    """So many bytes of an access log."""
    dice = random.Random(1)
    block = "".join(
        f"10.0.{dice.randrange(256)}.{dice.randrange(256)} - - [20/Nov/2026:09:00:{n % 60:02} +0000] "
        f'"GET /items/{dice.randrange(10_000)}?session={dice.randrange(1 << 60):x} HTTP/1.1" '
        f'{dice.choice((200, 200, 200, 301, 404, 500))} {dice.randrange(50_000)} "-" "Mozilla/5.0 (X11; Linux) Gecko"\n'
        for n in range(_BLOCK_LINES)
    ).encode()
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(block)


def many_keys(path: Path, groups: int) -> None:
    """Each of so many keys twice, far from each other."""
    with path.open("w") as file:
        for _ in range(2):
            file.writelines(f"/path/of/a/page/{n * 7919 % groups}\n" for n in range(groups))


def ways(directory: Path, query: Path, log: Path) -> tuple[Way, Way]:
    """The same question, kept and not."""
    ask = [sys.executable, "-P", "-m", "backplane.cli", "run", str(query), str(log), "--private", "-q", "-o", "csv"]
    run = ["sh", "-c", _RUN, str(directory / "state"), *ask]
    return Way("named", [*run, "--name", "bench"]), Way("in memory", run)


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--size", type=float, default=1.0)
    options, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        status, keys = directory / "status.py", directory / "keys.py"
        status.write_text(STATUS + COUNT)
        keys.write_text(KEYS + COUNT)
        access, pages = directory / "access.log", directory / "pages.log"
        access_log(access, int(options.size * 1e9))
        many_keys(pages, int(options.size * _GROUPS))
        for query, log, what in (
            (status, access, f"{options.size:g} GB by status"),
            (keys, pages, f"{int(options.size * _GROUPS)} groups"),
        ):
            found = compare(f"{what}, kept and not", *ways(directory, query, log))
            print(f"  throughput of the named one: {1 / found.wall_ratio.median:.2f} of memory (at least 0.90 wanted)")


if __name__ == "__main__":
    main()
