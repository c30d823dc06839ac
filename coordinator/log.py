"""The coordinator's own log: on stderr, for people or as JSON. Silent until `configure`.

Knows levels and fields. structlog is imported only where something can be logged, because a private coordinator
stands in the way of every ad-hoc query, and what it has to say reaches its only client as states and faults. Never
logged: payloads, keys, and what a script emits.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "none": 100}
_threshold = LEVELS["none"]
_logger: FilteringBoundLogger


def configure(level: str | None, default: str) -> None:
    """Begin to log.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``none``; None asks the environment's LOGREDUCE_LOG.
        default: the level if neither says one.

    Raises:
        ValueError: there is no such level.
    """
    global _threshold, _logger  # the log is the one thing that everything in a process shares
    name = (level or os.environ.get("LOGREDUCE_LOG") or default).lower()
    if name not in LEVELS:
        raise ValueError(f"log level {name!r} is none of {', '.join(LEVELS)}")
    _threshold = LEVELS[name]
    if name != "none":
        _logger = _structured(as_json=os.environ.get("LOGREDUCE_LOG_FORMAT") == "json")


def debug(event: str, **fields: object) -> None:
    """What a developer wants to see."""
    if _threshold <= LEVELS["debug"]:
        _logger.debug(event, **fields)


def info(event: str, **fields: object) -> None:
    """What an operator wants to see when something is wrong."""
    if _threshold <= LEVELS["info"]:
        _logger.info(event, **fields)


def warning(event: str, **fields: object) -> None:
    """What is wrong and could be mended."""
    if _threshold <= LEVELS["warning"]:
        _logger.warning(event, **fields)


def _structured(*, as_json: bool) -> FilteringBoundLogger:
    import structlog

    # Values are quoted: a reason may hold what a provider said, and must neither forge a line nor move the cursor.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer()
            if as_json
            else structlog.dev.ConsoleRenderer(colors=False, repr_native_str=True),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger
