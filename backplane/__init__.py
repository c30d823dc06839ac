"""Ask any question of many live machines: ``import backplane as lr``.

An index, and a lazy one: a name is imported when it is first used, so that importing this costs nothing. What each
means stands in its own module; docs/how-to/ask-from-python.md shows them at work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backplane.api.builder import Logs, logs
    from backplane.api.script import Script, script
    from backplane.api.session import Answers, Session, ask, session
    from backplane.query.oneline.pieces import quoted
    from backplane.reduce.coverage import Coverage
    from backplane.reduce.snapshot import Snapshot
    from backplane.wire.errors import LogReduceError, NoCoordinator, QueryError, UsageError

__all__ = [
    "Answers",
    "Coverage",
    "LogReduceError",
    "Logs",
    "NoCoordinator",
    "QueryError",
    "Script",
    "Session",
    "Snapshot",
    "UsageError",
    "ask",
    "logs",
    "quoted",
    "script",
    "session",
]

_HOMES = {
    **dict.fromkeys(("Logs", "logs"), "backplane.api.builder"),
    **dict.fromkeys(("Script", "script"), "backplane.api.script"),
    **dict.fromkeys(("Answers", "Session", "ask", "session"), "backplane.api.session"),
    **dict.fromkeys(("LogReduceError", "NoCoordinator", "QueryError", "UsageError"), "backplane.wire.errors"),
    "Coverage": "backplane.reduce.coverage",
    "Snapshot": "backplane.reduce.snapshot",
    "quoted": "backplane.query.oneline.pieces",
}


if not TYPE_CHECKING:  # a type checker is to know which names there are, and not to believe in any

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        found = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
