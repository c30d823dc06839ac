"""One plan over one file by the runner's reader and compiler alone: no job, no cut, no wire.

``python scan_plan.py FILE NAME [PROCESSES]`` prints rows of a key and its results, sorted. With more than one
process each reads its part of the file. Any Python of a provider runs it.
"""

import marshal
import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))

from provider.runner.aggregates import chosen
from provider.runner.files import Log
from provider.runner.folding import Scan
from provider.runner.plan import Plan

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
    path, name = sys.argv[1:3]
    parts = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    plan = Plan.of(dict(QUESTIONS[name], version=1, format=REGEX if name == "captures" else COMBINED))
    aggregate = chosen([plan.aggregates[0].name])[0]
    size = os.path.getsize(path)
    cuts = [0] + [_line(path, size * part // parts) for part in range(1, parts)] + [size]
    workers = [_forked(plan, path, cuts[part], cuts[part + 1]) for part in range(1, parts)]
    states = _scanned(plan, path, cuts[0], cuts[1])
    for pid, fd in workers:
        with os.fdopen(fd, "rb") as pipe:
            aggregate.absorb(states, marshal.load(pipe).items())
        if os.waitpid(pid, 0)[1]:
            raise SystemExit("a worker failed")
    for key, state in sorted(states.items()):
        shown = list(key) if isinstance(key, tuple) else [key]
        print(*(shown + list(aggregate.results(state))))
    if not plan.keys and not states:
        print(0)


def _forked(plan: Plan, path: str, start: int, end: int) -> "tuple[int, int]":
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        marshal.dump(_scanned(plan, path, start, end), pipe)
    os._exit(0)


def _scanned(plan: Plan, path: str, start: int, end: int) -> "dict[Any, Any]":
    """The groups of the lines between two offsets, each the beginning of a line or the end of the file."""
    scan = Scan(plan)
    log = Log(path, path)
    log.rewind(start)
    found = log.read(end)
    while found is not None:
        scan.feed(found.data, 0, len(found.data))
        found = log.read(end)
    rest = log.rest()
    if rest is not None and rest.data:
        scan.feed(rest.data + b"\n", 0, len(rest.data) + 1)
    log.close()
    return dict(scan.take()[0])


def _line(path: str, at: int) -> int:
    """Where the first line begins that does not begin before this offset."""
    with open(path, "rb") as file:
        file.seek(at - 1)
        file.readline()
        return file.tell()


if __name__ == "__main__":
    main()
