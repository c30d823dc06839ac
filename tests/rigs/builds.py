"""Other builds of LogReduce: copies of this one with a line changed, to run processes of.

Knows which directories are the program. Does not know what is said of builds that differ.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: The PYTHONPATH of this build.
SAME = str(ROOT)
_PACKAGES = ("backplane", "coordinator", "provider")


def altered(directory: Path, edits: Mapping[str, tuple[str, str]]) -> str:
    """A copy with some files changed: path to (text that is there once, what takes its place).

    Returns:
        The PYTHONPATH with which a process is of that build.
    """
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in edits.items():
        path = directory / name
        source = path.read_text()
        assert source.count(old) == 1, f"{name} has not just one {old!r}"
        path.write_text(source.replace(old, new))
    return f"{directory}:{ROOT}"
