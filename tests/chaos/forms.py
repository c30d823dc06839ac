"""The forms in which the same is asked: how many lines of each key, the sum of their numbers, and the last.

Knows query files, and how the rows of each are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.chaos.logs import NAME, Tally

#: What an answer says, by provider and key.
Said = dict[tuple[str, str], Tally]

_HEAD = f'logs = "{NAME}"\n'
_MAP = """
def map(lines):
    for line in lines:
        words = line.split()
        key, number = words[6][1:], int(words[9])
        yield {key}, {value}
"""
_TRIPLE = _MAP.format(key='lines.provider.name + " " + key', value="[1, number, number]")
_ADD = "def reduce(a, b):\n    return [a[0] + b[0], a[1] + b[1], max(a[2], b[2])]\n"
_LINE = f"common {NAME} | count, sum(bytes), max(bytes) by host, path"
_CLASS = """
class Reduce:
    def __init__(self):
        self.said = {}
    def add(self, key, value):
        known = self.said.get(key, [0, 0, 0])
        self.said[key] = [known[0] + value[0], known[1] + value[1], max(known[2], value[2])]
    def rows(self):
        return sorted(self.said.items())
    def save(self):
        return list(self.said.items())
    def load(self, state):
        self.said = {key: list(value) for key, value in state}
"""
#: Not awk, of which some wait for a block of lines.
_PERL = """#!/usr/bin/perl -n
BEGIN { $| = 1 }
print("$ENV{provider} ", substr((split)[6], 1), "\\t", (split)[9], "\\n");
"""


@dataclass(frozen=True, slots=True)
class Form:
    """How something is asked.

    Attributes:
        exact: it goes through breaks without harm; otherwise each is to be said.
        files: by name; the one named ``query.py`` or the whole folder is what is asked.
        line: is what is asked instead.
        window_s: it is asked for windows of so many seconds.
    """

    name: str
    files: dict[str, str] = field(default_factory=dict)
    exact: bool = True
    line: str = ""
    window_s: float | None = None

    def write(self, folder: Path) -> Path:
        """Lay it out; what to load."""
        if self.line:
            return Path()
        place = folder / self.name
        place.mkdir(parents=True)
        for name, text in self.files.items():
            (place / name).write_text(text)
            (place / name).chmod(0o755 if name == "map" else 0o644)
        return place / "query.py" if "query.py" in self.files else place


FORMS: Final = {
    form.name: form
    for form in (
        Form(
            "aggregates",
            {
                "query.py": _HEAD
                + _MAP.format(key="(lines.provider.name, key)", value="number")
                + 'reduce = ["count", "sum", "max"]\n'
            },
        ),
        Form("plan", line=_LINE),
        Form("windows", line=_LINE, window_s=5.0),
        Form("function", {"query.py": _HEAD + _TRIPLE + _ADD}),
        Form("combined", {"query.py": _HEAD + "combine = True\n" + _TRIPLE + _ADD}),
        Form("class", {"query.py": _HEAD + _TRIPLE + _CLASS}),
        Form(
            "executable",
            {"query.toml": f'title = "by perl"\n{_HEAD}reduce = ["count", "sum", "max"]\n', "map": _PERL},
            exact=False,
        ),
    )
}


def read(rows: Sequence[Sequence[Any]]) -> Said:
    """What rows of any of these say."""
    said: Said = {}
    for row in rows:
        if isinstance(row[-1], list):
            host, key = str(row[0]).split()
            numbers: Sequence[Any] = row[-1]
        elif len(row) >= 5:
            # Windows together are all there is.
            host, key, *numbers = row[-5:]
        else:
            host, key = str(row[0]).split()
            numbers = row[1:]
        known, (count, total, last) = said.get((host, key.lstrip("/")), Tally()), map(int, numbers)
        said[host, key.lstrip("/")] = Tally(known.count + count, known.sum + total, max(known.last, last))
    return said
