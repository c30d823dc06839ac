"""Which coordinator to use: flag > LOGREDUCE_COORDINATOR > config > own live socket > private.

Knows places (XDG) and the order of the contract. Connects to nothing, but for one probe of the user's own socket.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from backplane.wire.errors import UsageError
from backplane.wire.unix import listens


class Found(NamedTuple):
    """``address`` None means a private coordinator; ``notice`` is for stderr."""

    address: str | None
    notice: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a coordinator."""
    group = parser.add_argument_group("coordinator")
    group.add_argument("--coordinator", metavar="ADDRESS", help="ipc:///path/to/coordinator.sock")
    group.add_argument("--private", action="store_true", help="start one of our own, whatever else is configured")


def coordinator(flag: str | None, private: bool, environ: Mapping[str, str] = os.environ) -> Found:
    """The coordinator to use.

    Raises:
        UsageError: the configuration file is broken, or an address is not ipc.
    """
    if private:
        return Found(None)
    named = flag or environ.get("LOGREDUCE_COORDINATOR") or _configured(environ)
    if named:
        return Found(_checked(named))
    own = _own_socket(environ)
    if own and listens(own):
        return Found(f"ipc://{own}", f"using the coordinator at {own} (--private starts one of our own)")
    return Found(None)


def _checked(address: str) -> str:
    if address.startswith("/"):
        return f"ipc://{address}"
    if not address.startswith("ipc:///"):
        raise UsageError(f"{address!r} is no coordinator's address: this version takes ipc:///path or /path")
    return address


def _configured(environ: Mapping[str, str]) -> str | None:
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "/nonexistent")) / ".config")
    path = Path(home) / "logreduce" / "config.toml"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path}: cannot be read: {exc}") from exc
    import tomllib

    try:
        address = tomllib.loads(text).get("coordinator")
    except tomllib.TOMLDecodeError as exc:
        raise UsageError(f"{path}: {exc}") from exc
    if address is not None and not isinstance(address, str):
        raise UsageError(f"{path}: coordinator must be a text, the address")
    return address


def _own_socket(environ: Mapping[str, str]) -> str | None:
    runtime = environ.get("XDG_RUNTIME_DIR")
    return str(Path(runtime) / "logreduce" / "coordinator.sock") if runtime else None
