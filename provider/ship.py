"""Puts the runner into one payload, and says how to start it anywhere that has a shell and a python3.

Knows which modules travel and how they are squeezed. Does not know how a provider is reached, and runs at home only.

How a runner is started
-----------------------
`remote_command()` (or `argv()` without a shell) is run on the provider, `payload()` is written to its stdin, and then
*nothing* until the runner's HELLO is here: the loader reads through a buffer, which would swallow what follows.

What can go wrong before the HELLO is told on stderr; `too_old` recognises a Python that is too old by what it says:
3.4 and 3.5 run the head of the payload, which prints ``logreduce: Python 3.5 is too old, ...`` and exits with 76;
2.7 and 3.3 stop at the flags, with ``Unknown option: -I`` and status 2.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

#: Compressed bytes. Each kilobyte is sent to every provider of every session: 48 KiB is 0.4 s at 1 Mbit/s.
BUDGET_BYTES: Final = 48 << 10
#: Modules that only some jobs need: they travel in those jobs' starts (docs/reference/frames.md, "start").
WITH_JOBS: Final = frozenset(
    f"provider.runner.{name}"
    for name in (
        *("command", "emitted", "journal", "needs", "piped", "program"),
        *("follow", "followed", "watch"),
        *(
            f"aggregates.{name}"
            for name in (
                *("buckets", "collect", "distinct", "extremes", "histogram", "moments", "order", "places", "quantiles"),
                *("tokens", "top"),
            )
        ),
    )
)
#: Modules that only plans need: they travel in the starts of those.
WITH_PLANS: Final = frozenset(
    f"provider.runner.{name}"
    for name in (
        *("plan", "expressions", "compile", "bodies", "folding", "locate"),
        *(
            "context",
            "estimate",
            "headers",
            "holding",
            "outlet",
            "ranges",
            "reading",
            "records",
            "scan",
            "scanfold",
            "scanjob",
            "shared",
            "stamped",
            "windows",
        ),
        *(f"formats.{name}" for name in ("form", "base", "values", "times", "delimited", "json", "keyvalue", "regex")),
    )
)
#: -I: no environment, no user site, no current directory. -S: no site, which costs 10 ms. -B: nothing is written.
FLAGS: Final = "-BIS"

_ENTRY = "provider.runner.main"
#: Imports, and what stands for them in what travels: they cost a host 10 ms and 2 ms of CPU.
_LIGHT = {
    "\nfrom typing import ": "\nfrom provider.runner.hints import ",
    "\nimport signal\n": "\nimport _signal as signal\n",  # the same functions, and numbers instead of enums
}
_ROOT = Path(__file__).parent / "runner"
_IN_BRACKETS = r"\[(?:[^][]|\[(?:[^][]|\[(?:[^][]|\[[^][]*\])*\])*\])*\]"
_TYPE = rf"""(?:"[^"]*"|[\w.]+(?:{_IN_BRACKETS})?)"""
#: From a function's name to the end of its line, or of its lines as ruff breaks them.
_HEADER = re.compile(r"^ *def \w+\((?:.*:|\n(?:.*\n)*? *\).*:)$", re.MULTILINE)
_OF_PARAMETER = re.compile(rf"(\b\w+): {_TYPE}(?=[,)]| =|$)", re.MULTILINE)
_OF_RESULT = re.compile(rf"\) -> {_TYPE}:$")
_OF_ATTRIBUTE = re.compile(rf"(self\.\w+): {_TYPE} =")
_TOO_OLD = (
    re.compile(rb"logreduce: Python (\d+\.\d+) is too old"),
    re.compile(rb"Unknown option: -()[BIS]"),
)


@functools.cache
def payload() -> bytes:
    """What is written to a runner's stdin: one zlib stream of Python source that imports the rest out of itself."""
    modules = {name: module for name, module in _modules().items() if name not in WITH_JOBS | WITH_PLANS}
    head = stripped(_sources()[_ROOT / "boot.py"])
    return zlib.compress(f"{head}\nboot({modules!a}, {_ENTRY!r}, {build()!r})\n".encode(), 9)


@functools.cache
def build() -> str:
    """What this runner's code is called, in 8 hex digits: two that are called alike may share modules."""
    digest = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=4)  # how they are squeezed counts as well
    for path, source in _sources().items():
        digest.update(f"{path.relative_to(_ROOT).as_posix()} {len(source)}\n{source}".encode())
    return digest.hexdigest()


@functools.cache
def job_modules() -> Mapping[str, str]:
    """The source of the modules in `WITH_JOBS`, by name, for the start of a job that needs them."""
    return MappingProxyType({name: source for name, (_, source) in _modules().items() if name in WITH_JOBS})


@functools.cache
def plan_modules() -> Mapping[str, str]:
    """The same of those in `WITH_PLANS`, for the start of a plan."""
    return MappingProxyType({name: source for name, (_, source) in _modules().items() if name in WITH_PLANS})


@functools.cache
def _sources() -> Mapping[Path, str]:
    """The runner's files. Read once: what is shipped later is what `build` names, whatever is installed since."""
    return MappingProxyType({path: path.read_text("utf-8") for path in sorted(_ROOT.rglob("*.py"))})


@functools.cache
def _modules() -> Mapping[str, tuple[bool, str]]:
    """All modules of the runner, by name: whether it is a package, and its source."""
    modules = {"provider": (True, ""), "provider.runner": (True, "")}
    for path, source in _sources().items():
        if path.name == "boot.py" or path == _ROOT / "__init__.py":
            continue
        parts = ("provider", "runner", *path.relative_to(_ROOT).with_suffix("").parts)
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        modules[name] = (package, stripped(source))
    return MappingProxyType(modules)


def loader(size: int) -> str:
    """The one line of Python that reads a payload of `size` bytes from stdin and runs it."""
    return f"import sys,zlib;exec(zlib.decompress(sys.stdin.buffer.read({size})))"


def argv(python: str = "python3") -> list[str]:
    """The command that waits for a payload, as an argument list."""
    return [python, FLAGS, "-c", loader(len(payload()))]


def remote_command(python: str = "python3") -> str:
    """The same for a remote shell of any kind: it takes the shell's place, so that no process stands between."""
    return "exec " + shlex.join(argv(python))


def too_old(stderr: bytes) -> str | None:
    """A plain sentence if this is what a Python says that cannot run the runner, otherwise None.

    >>> too_old(b"logreduce: Python 3.5 is too old, 3.6 or newer is needed")
    'its python3 is Python 3.5, and 3.6 or newer is needed'
    >>> too_old(b"Unknown option: -I")
    'its python3 is older than Python 3.4, and 3.6 or newer is needed'
    """
    for pattern in _TOO_OLD:
        if match := pattern.search(stderr):
            found = match[1].decode()
            what = f"Python {found}" if found else "older than Python 3.4"
            return f"its python3 is {what}, and 3.6 or newer is needed"
    return None


def stripped(source: str) -> str:
    """Source text without docstrings and lines of comment, indented by one blank, every remaining line where it was.

    It looks at lines and not at syntax, because it runs before every first query and a tokenizer takes a tenth of a
    second for the runner. That is safe for sources that are formatted as ours are: what begins a line with three quotes
    is a docstring, and no text runs over lines. A test holds the syntax tree of every module against that of its
    stripped form.

    >>> stripped("def f():\\n    # why\\n    return 1\\n")
    'def f():\\n\\n return 1\\n'
    """
    lines = []
    inside = False
    for line in source.split("\n"):
        bare = line.strip()
        indent = " " * ((len(line) - len(line.lstrip())) // 4)
        if inside:
            inside = not bare.endswith('"""')
            lines.append("")
        elif bare.startswith(('"""', 'r"""')):
            inside = len(bare) < 6 or not bare.endswith('"""')
            lines.append(indent + '""')
        elif bare.startswith("self."):
            lines.append(indent + _OF_ATTRIBUTE.sub(r"\1 =", bare))
        else:
            lines.append("" if bare.startswith("#") else indent + bare)
    text = "\n".join(lines)
    for usual, light in _LIGHT.items():
        text = text.replace(usual, light)
    return _unannotated(text)


def _unannotated(source: str) -> str:
    """The same without the types of parameters and results, which cost a host an eighth of its compiling.

    What the patterns do not find stays, and does no harm.
    """
    return _HEADER.sub(lambda header: _OF_PARAMETER.sub(r"\1", _OF_RESULT.sub("):", header[0])), source)


def main() -> int:
    """Prints the payload's size; status 1 when it is over its budget."""
    size = len(payload())
    print(f"runner payload: {size} bytes compressed, budget {BUDGET_BYTES}")  # noqa: T201 - this is its purpose
    return int(size > BUDGET_BYTES)


if __name__ == "__main__":
    raise SystemExit(main())
