"""The Pythons of this machine that a provider may have: 3.6 and newer, one of each minor version.

Knows where interpreters are usually found: on PATH by their versioned names, and among pyenv's. What is not at hand is
not asked for.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

MINORS = range(6, 15)


@functools.cache
def at_hand() -> Mapping[str, Path]:
    """Interpreters by minor version, oldest first: ``{"3.6": Path(...), ...}``."""
    found: dict[str, Path] = {}
    for path in _candidates():
        code = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
        try:
            done = subprocess.run([path, "-IS", "-c", code], capture_output=True, text=True, timeout=20, check=True)
        except (OSError, subprocess.SubprocessError):
            # A shim for a version that is not installed, or not a Python at all.
            continue
        version, executable = done.stdout.splitlines()
        found.setdefault(version, Path(executable))
    return {f"3.{minor}": found[f"3.{minor}"] for minor in MINORS if f"3.{minor}" in found}


def spread() -> Mapping[str, Path]:
    """The oldest, the one that runs this, and the newest: enough where no version is known to differ."""
    found = at_hand()
    versions = list(found)
    running = "{}.{}".format(*sys.version_info)
    return {version: found[version] for version in versions if version in (versions[0], running, versions[-1])}


def _candidates() -> Iterator[str | Path]:
    if shutil.which("pyenv"):
        done = subprocess.run(["pyenv", "root"], capture_output=True, text=True, timeout=20, check=False)
        yield from sorted(Path(done.stdout.strip()).glob("versions/3.*/bin/python3"))
    for minor in MINORS:
        if path := shutil.which(f"python3.{minor}"):
            yield path
    if path := shutil.which("python3"):
        yield path
