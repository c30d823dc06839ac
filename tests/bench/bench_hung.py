"""Sixty hosts that are well, alone and with six more that hang, each in its way: when the last of the sixty answers.

The hosts that hang are given up long after; what is measured is whether the others wait for them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.bench.bench_fanout import QUERY
from tests.bench.pairs import Spread, add_pairs
from tests.bench.trees import took
from tests.rigs.program import ARGV, reach
from tests.rigs.sshd import SSHD, Knobs, SshdFarm

WELL, HUNG = 60, 6
AIM = 1.2


def _knobs(directory: Path) -> Mapping[int, Knobs]:
    """Every tenth host, so that names that sort together are not dead together."""
    sleeper = directory / "sleeper"
    sleeper.write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} 600\n")
    sleeper.chmod(0o755)
    ways = (
        Knobs(kind="black hole"),
        Knobs(kind="mute"),
        Knobs(kind="tarpit"),
        Knobs(frozen=True),
        Knobs(python=sleeper),
        Knobs(kind="black hole"),
    )
    return {11 * n: way for n, way in enumerate(ways)}


def _last_s(query: Path, farm: SshdFarm, *extra: str) -> float:
    """When all that are well have answered."""
    argv = [*ARGV, "run", str(query), *reach(farm), "--private", "-o", "jsonl", "--every", "0.05s", "--wait", "4"]
    return took(["sh", "-c", '"$@" || test $? = 3', "sh", *argv, *extra], _has_all).at_s


def _has_all(line: str) -> bool:
    return bool(json.loads(line)["rows"] == [{"count": WELL}])


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_hung")
    add_pairs(parser)
    pairs = parser.parse_args().pairs
    if SSHD is None:
        sys.exit("OpenSSH's sshd is not on this machine")
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        query = directory / "one.py"
        query.write_text(QUERY)
        knobs = _knobs(directory)
        with SshdFarm(directory / "farm", WELL + HUNG, knobs) as farm:
            without = [part for index in knobs for part in ("-x", farm.sites[index].name)]
            both = [(_last_s(query, farm), _last_s(query, farm, *without)) for _ in range(pairs)]
    ratio = Spread.of([with_hung / alone for with_hung, alone in both])
    print(f"{WELL} hosts with {HUNG} more that hang, beside {WELL} alone: median of {pairs} pairs (least to most)")
    print(
        f"  last answer    with {Spread.of([a for a, _ in both]).median:.2f} s   "
        f"alone {Spread.of([b for _, b in both]).median:.2f} s   "
        f"ratio {ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})  aim {AIM}"
    )


if __name__ == "__main__":
    main()
