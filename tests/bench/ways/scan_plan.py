"""One plan over one file by the runner's compiler alone: no job, no cut, no wire.

``python scan_plan.py FILE NAME`` prints rows of a key and its results, sorted. Any Python of a provider runs it.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))

from provider.runner.aggregates import chosen
from provider.runner.folding import Scan
from provider.runner.plan import Plan

#: Small enough for the nearest caches, large enough that a block costs little beside its lines.
BLOCK = 1 << 16
PREFIX = ["call", "prefix", ["field", "path"], ["value", 1]]
COUNT = [["count", None]]
QUESTIONS = {
    "literal": {"where": ["contains", ["field", "line"], "no such thing"], "aggregates": COUNT},
    "status": {"keys": [["status", ["field", "status"]]], "aggregates": COUNT},
    "errors": {"where": [">=", ["field", "status"], ["value", 500]], "keys": [["prefix", PREFIX]], "aggregates": COUNT},
    "quantiles": {"keys": [["prefix", PREFIX]], "aggregates": [["quantiles(0.5, 0.99)", ["field", "bytes"]]]},
    "captures": {"keys": [["method", ["field", "method"]], ["status", ["field", "status"]]], "aggregates": COUNT},
}
#: As a user writes it: the `captures` question is asked of a regular expression, not of a format that we know.
REGEX = {
    "kind": "regex",
    "pattern": r"(?P<client>[^ ]+) (?P<ident>[^ ]+) (?P<user>[^ ]+) \[(?P<time>[^]]+)\] "
    r'"(?P<method>[A-Z]+) (?P<path>[^ "]+) [^"]*" (?P<status>[0-9]+) (?P<bytes>[0-9-]+) .*',
}
COMBINED = {
    "kind": "template",
    "template": '{client} {ident} {user} [{time}] "{request}" {status} {bytes} "{referer}" "{agent}"',
    "parts": {"request": "{method} {path} {protocol}"},
    "fields": {"status": {"type": "int", "range": [100, 599]}, "bytes": {"type": "int", "null": "-"}},
}


def main() -> None:
    path, name = sys.argv[1:]
    plan = Plan.of(dict(QUESTIONS[name], version=1, format=REGEX if name == "captures" else COMBINED))
    scan = Scan(plan)
    feed = scan.feed
    carry = b""
    with open(path, "rb", 0) as file:
        while True:
            data = file.read(BLOCK)
            if not data:
                break
            first, last = data.find(b"\n") + 1, data.rfind(b"\n") + 1
            if not first:
                carry += data
                continue
            edge = carry + data[:first]
            feed(edge, 0, len(edge))
            if first < last:
                feed(data, first, last)
            carry = data[last:]
    aggregate = chosen([plan.aggregates[0].name])[0]
    for key, state in sorted(scan.take()[0].items()):
        shown = list(key) if isinstance(key, tuple) else [key]
        print(*(shown + list(aggregate.results(state))))


if __name__ == "__main__":
    main()
