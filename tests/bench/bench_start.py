"""What it costs to begin: the first page beside a bare interpreter, a query over one local file beside mawk."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench.pairs import Way, compare

PROGRAM = [sys.executable, "-P", "-m", "backplane.cli"]
QUERY = '''"""Lines by their first word."""


def map(lines):
    for line in lines:
        yield line.split(" ", 1)[0], 1


reduce = "sum"
'''


def main() -> None:
    bare = Way("python3 -IS", [sys.executable, "-IS", "-c", ""])
    compare("logreduce --help", Way("logreduce", [*PROGRAM, "--help"]), bare, same=lambda a, b: "usage" in a)
    with tempfile.TemporaryDirectory() as directory:
        log, query = Path(directory) / "app.log", Path(directory) / "words.py"
        log.write_text("".join(f"word{n % 7} and more\n" for n in range(10_000)))
        query.write_text(QUERY)
        ours = [*PROGRAM, "run", str(query), str(log), "--private", "-q", "-o", "csv"]
        mawk = ["mawk", "{ n[$1]++ } END { for (k in n) print k, n[k] }", str(log)]
        compare(
            "a local query over 10,000 lines",
            Way("logreduce", ours),
            Way("mawk", mawk),
            same=lambda a, b: _pairs(a) - {("key", "sum")} == _pairs(b),
        )


def _pairs(answer: str) -> set[tuple[str, ...]]:
    return {tuple(line.replace(",", " ").split()) for line in answer.splitlines()}


if __name__ == "__main__":
    main()
