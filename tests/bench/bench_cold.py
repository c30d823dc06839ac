"""Five providers over real SSH, cold: from the command line to the answer, beside plain ssh commands side by side.

Ours starts a coordinator, logs in five times, ships runners, maps, reduces, and accounts for every provider. The other
way is what a shell loop does: five ``ssh HOST mawk ... &`` and a mawk that adds up what they print.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

from tests.bench.pairs import Way, compare
from tests.rigs.program import ARGV, reach
from tests.rigs.sshd import SSHD, SshdFarm

PROVIDERS = 5
QUERY = '''"""Lines by their first word."""

logs = "app.log"


def map(lines):
    for line in lines:
        yield line.split(" ", 1)[0], 1


reduce = "sum"
'''


def _loop(farm: SshdFarm) -> str:
    """A shell's way."""
    count = shlex.quote("mawk '{ n[$1]++ } END { for (k in n) print k, n[k] }' app.log")
    each = " ".join(f"{shlex.join(farm.ssh(index))} {count} &" for index in range(PROVIDERS))
    return f"({each} wait) | mawk '{{ n[$1] += $2 }} END {{ for (k in n) print k, n[k] }}'"


def main() -> None:
    if SSHD is None:
        sys.exit("OpenSSH's sshd is not on this machine")
    with tempfile.TemporaryDirectory() as directory, SshdFarm(Path(directory) / "farm", PROVIDERS) as farm:
        query = Path(directory) / "words.py"
        query.write_text(QUERY)
        for index in range(PROVIDERS):
            lines = "".join(f"word{n % 7} and more\n" for n in range(10_000))
            (farm.dir(index) / "app.log").write_text(lines)
        ours = [*ARGV, "run", str(query), *reach(farm), "--private", "-q", "-o", "csv"]
        compare(
            f"{PROVIDERS} providers over ssh, cold",
            Way("logreduce", ours),
            Way("ssh loop", ["/bin/sh", "-c", _loop(farm)]),
            same=lambda a, b: _pairs(a) - {("key", "sum")} == _pairs(b),
        )


def _pairs(answer: str) -> set[tuple[str, ...]]:
    return {tuple(line.replace(",", " ").split()) for line in answer.split(os.linesep) if line}


if __name__ == "__main__":
    main()
