"""Where files of the user lie: configuration, state, and the coordinator's own socket (XDG).

Knows names of directories. Opens and makes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def config(environ: Mapping[str, str]) -> Path:
    """The directory of configuration and keys."""
    return _home(environ, "XDG_CONFIG_HOME", ".config") / "logreduce"


def state(environ: Mapping[str, str]) -> Path:
    """The directory of what outlives a process."""
    return _home(environ, "XDG_STATE_HOME", ".local/state") / "logreduce"


def socket(environ: Mapping[str, str]) -> Path:
    """Where this user's coordinator listens.

    Without a runtime directory (no login session, as under cron) it is one below the state, which is as private.
    """
    runtime = environ.get("XDG_RUNTIME_DIR")
    return Path(runtime, "logreduce") / "coordinator.sock" if runtime else state(environ) / "run" / "coordinator.sock"


def _home(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    named = environ.get(variable)
    return Path(named) if named else Path(environ.get("HOME") or "/nonexistent") / below_home
