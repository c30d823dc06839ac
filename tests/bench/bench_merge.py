"""Partials of 10,000 keys into the client's groups, beside dicts of texts: CPU seconds of merging, at most a thirtieth.

Ours is what a reducer does with a cut: a payload is decoded, looked at, loaded and added up. The other way is the least
that could do the same: msgpack maps from text to count, unpacked and added up in a loop. Both merge the same counts of
five providers, and neither's clock runs while it makes its payloads.
"""

from __future__ import annotations

import json
import sys
import time

import msgpack

from backplane.reduce.columns import Partials, decode
from backplane.reduce.folds import AggregateFold
from provider.runner.aggregates import Combiner
from tests.bench.pairs import Way, compare

KEYS = [f"/catalogue/item/{number}/details" for number in range(10_000)]
PROVIDERS = 5
CUTS = 200


def ours() -> tuple[float, float, int]:
    """CPU and wall seconds, and the sum of all counts."""
    combiner = Combiner(["count"], "t")
    payloads = []
    for _ in range(CUTS):
        combiner.fold([(key, 1) for key in KEYS])
        for payload in combiner.payloads(4 << 20):
            payloads += [(f"web{provider}", payload) for provider in range(PROVIDERS)]
    fold = AggregateFold(["count"])
    # Whoever merges little never imports numpy; whoever merges so much has imported it long ago.
    _merge(AggregateFold(["count"]), *payloads[0])
    cpu, wall = time.process_time(), time.perf_counter()
    for provider_name, payload in payloads:
        _merge(fold, provider_name, payload)
    took = time.process_time() - cpu, time.perf_counter() - wall
    return (*took, sum(row[1] for row in fold.rows().rows))


def _merge(fold: AggregateFold, provider: str, payload: bytes) -> None:
    partials = decode("partials", payload)
    assert isinstance(partials, Partials)
    fold.partials(provider, fold.load(provider, partials))


def dicts() -> tuple[float, float, int]:
    """The same of the other way."""
    payloads = [msgpack.packb(dict.fromkeys(KEYS, 1)) for _ in range(PROVIDERS * CUTS)]
    counts: dict[str, int] = {}
    cpu, wall = time.process_time(), time.perf_counter()
    for payload in payloads:
        for key, count in msgpack.unpackb(payload).items():
            counts[key] = counts.get(key, 0) + count
    took = time.process_time() - cpu, time.perf_counter() - wall
    return (*took, sum(counts.values()))


def main() -> None:
    this = [sys.executable, "-P", "-m", "tests.bench.bench_merge", "--only"]
    compare(
        f"{PROVIDERS * CUTS} partials of {len(KEYS)} keys",
        Way("columns", [*this, "ours"], reports=True),
        Way("dicts", [*this, "dicts"], reports=True),
        same=lambda a, b: a == b == f"{PROVIDERS * CUTS * len(KEYS)}",
    )


if __name__ == "__main__":
    if "--only" in sys.argv:
        cpu_s, wall_s, total = ours() if sys.argv[-1] == "ours" else dicts()
        print(total)
        print(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s}))
    else:
        main()
