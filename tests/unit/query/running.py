"""A small double of the runner's child: runs a shipped source over lines, in a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backplane.query.model import Query


def namespace(source: str, file: str = "query.py") -> dict[str, Any]:
    """What a source defines, run where nothing else is."""
    names: dict[str, Any] = {"__name__": "shipped"}
    exec(compile(source, file, "exec", dont_inherit=True), names)
    return names


def emitted(query: Query, lines: Iterable[str] = ()) -> list[Any]:
    """What a query's map emits over lines."""
    run = namespace(query.map_source, query.file)["map"]
    return list(run(iter(lines)) if query.takes_lines else run())
