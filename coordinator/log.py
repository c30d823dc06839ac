"""The coordinator's own log: on stderr, for people or as JSON.

Knows levels and fields. structlog is imported when the first line is written, because a private coordinator stands in
the way of every ad-hoc query and mostly has nothing to say. Never logged: payloads, keys, and what a script emits.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_threshold = _LEVELS["warning"]


def configure(level: str | None = None) -> None:
    """Set the level: ``level``, or else the environment's LOGREDUCE_LOG, or else ``warning``.

    Raises:
        ValueError: there is no such level.
    """
    global _threshold  # the log is the one thing that everything in a process shares
    name = (level or os.environ.get("LOGREDUCE_LOG") or "warning").lower()
    if name not in _LEVELS:
        raise ValueError(f"log level {name!r} is none of {', '.join(_LEVELS)}")
    _threshold = _LEVELS[name]


def debug(event: str, **fields: object) -> None:
    """What a developer wants to see."""
    if _threshold <= _LEVELS["debug"]:
        _logger().debug(event, **fields)


def info(event: str, **fields: object) -> None:
    """What an operator wants to see when something is wrong."""
    if _threshold <= _LEVELS["info"]:
        _logger().info(event, **fields)


def warning(event: str, **fields: object) -> None:
    """What is wrong and could be mended."""
    if _threshold <= _LEVELS["warning"]:
        _logger().warning(event, **fields)


@cache
def _logger() -> FilteringBoundLogger:
    import structlog

    as_json = os.environ.get("LOGREDUCE_LOG_FORMAT") == "json"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logger: FilteringBoundLogger = structlog.get_logger("coordinator")
    return logger
