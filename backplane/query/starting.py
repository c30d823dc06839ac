"""What a start says of its scripts to those who do not open it: that they may start processes, and which filter it is.

Knows Python's trees and the fields of a start's payload. Where a script may start processes a guard stands over it on
the provider, at the price of a process. That is a guess, and where it cannot tell it says yes: no harm is done by that.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from backplane.wire import codec
from provider import ship
from provider.runner.aggregates import names as folding

#: Modules of the standard library by which no process can be started but on purpose and against their sense.
_HARMLESS: Final = """
    __future__ array base64 binascii bisect builtins calendar collections contextlib copy csv dataclasses datetime
    decimal enum fractions functools gzip hashlib heapq html io ipaddress itertools json math operator random re
    statistics string struct textwrap time types typing unicodedata urllib zlib zoneinfo
"""
#: Modules of the runner that only a job needs that goes on at the end of files.
FOLLOWING: Final = frozenset(f"provider.runner.{name}" for name in ("follow", "followed", "watch"))
_AGGREGATES: Final = folding.__name__.rpartition(".")[0]
_NAMES: Final = frozenset({"__import__", "eval", "exec", "compile", "globals", "getattr", "__builtins__"})


def modules(
    needs: Sequence[str], sources: Sequence[str], programs: bool = False, combine: Sequence[str] | None = None
) -> Mapping[str, str]:
    """The runner's modules that have to travel with a query, by name: for programs, commands, needs and aggregates."""
    aggregates = folding.modules(combine or ())
    wanted = programs or bool(needs) or starts_processes(sources)
    return MappingProxyType(
        {
            name: source
            for name, source in ship.job_modules().items()
            if name in aggregates or (wanted and name not in FOLLOWING and not name.startswith(_AGGREGATES))
        }
    )


def parsing(format_data: Mapping[str, Any]) -> Mapping[str, str]:
    """The runner's modules that have to travel where lines are records of a format."""
    kinds = {"delimited": ("template", "separated")}
    own = next((name for name, those in kinds.items() if format_data["kind"] in those), format_data["kind"])
    names = {"records", "headers", *(f"formats.{name}" for name in ("form", "base", "values", "times", "json", own))}
    return _of_plans(names | {"holding"} if format_data.get("start") else names)


def windowing(aggregates: Sequence[str]) -> Mapping[str, str]:
    """The runner's modules that have to travel besides where values of records are folded by window."""
    return {**_of_plans({"stamped", "windows"}), **modules((), (), combine=aggregates)}


def _of_plans(names: Collection[str]) -> Mapping[str, str]:
    return {name: source for name, source in ship.plan_modules().items() if name.partition("runner.")[2] in names}


def starts_processes(sources: Iterable[str]) -> bool:
    """Reading them takes a program."""
    return any(source.startswith(("cmd:", "journald:")) for source in sources)


def following() -> Mapping[str, str]:
    """The runner's modules that have to travel besides where a query follows files."""
    return {name: source for name, source in ship.job_modules().items() if name in FOLLOWING}


def filter_hash(kind: str, body: Mapping[str, Any]) -> str:
    """Names the filter of a start and all that it may see; empty if there is none.

    Two starts of one name on one provider get one verdict, for as long as a coordinator believes it. A Python filter
    sees its own text (parameters are in it) and its provider; a program also its variables and its sources.

    Args:
        kind: of the body, ``script`` or ``folder``.
        body: the payload of the start.
    """
    if not body.get("filter"):
        return ""
    argv = (body.get("programs") or {}).get("filter")
    seen = [kind, *(body.get(name) for name in ("provider", "encoding", "needs"))]
    if argv is None:
        seen.append(_meaning(body["filter"]))
    else:
        seen += [body["filter"], argv, body.get("environ"), body.get("sources")]
    return hashlib.sha256(codec.pack(seen)).hexdigest()[:32]


@lru_cache(maxsize=64)
def _meaning(source: str) -> str:
    """A script without its layout: the same filter stands on another line in each query file."""
    return ast.dump(ast.parse(source))


def may_start(source: str) -> bool:
    """A script's text may start a process.

    >>> may_start("import re"), may_start("import os"), may_start("def filter(p): return p.run(['id']).status == 0")
    (False, True, True)
    """
    harmless = frozenset(_HARMLESS.split())
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found = not all(name.partition(".")[0] in harmless for name in names)
        elif isinstance(node, ast.Attribute):
            found = node.attr == "run" or node.attr.startswith("__")
        elif isinstance(node, ast.Name):
            found = node.id in _NAMES
        else:
            continue
        if found:
            return True
    return False
