"""What a daemon is told: flag > environment (LOGREDUCE_*) > TOML file > default, each setting by one name.

Knows settings and where they come from. Binds, reads keys and logs nothing. A private coordinator has no configuration
and does not import this.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from backplane.wire import places
from backplane.wire.errors import UsageError
from coordinator.links import IDLE_S
from coordinator.log import LEVELS
from coordinator.verdicts import LIVE_S


@dataclass(frozen=True, slots=True)
class Config:
    """A daemon's settings; names are those of the TOML file.

    Attributes:
        socket: where it listens for its own user.
        listen: ``tcp://HOST:PORT`` for those whose keys it knows, None not to.
        keys: directory of keys (`backplane.wire.keys`).
        adhoc: clients over TCP may name hosts that the provider table does not know.
        table: file of the provider table; None is that of the user whose coordinator this is.
        idle: seconds that a connection to a provider is kept after its last query.
        verdict_s: seconds for which a filter's verdict on a provider is believed; 0 runs every filter.
        client_credit_mb: bytes that may wait here for one client, over all its queries, in units of 2**20.
        total_credit_mb: likewise for all clients.
        log: level.
    """

    socket: str
    keys: str
    listen: str | None = None
    adhoc: bool = False
    table: str | None = None
    idle: float = IDLE_S
    verdict_s: float = LIVE_S
    client_credit_mb: int = 1024
    total_credit_mb: int = 4096
    log: str = "info"
    #: The file that it was read from, whether or not there is one.
    file: Path = field(default=Path(), metadata={"setting": False})


#: What takes effect at a reload. Whoever changes the others restarts it.
RELOADED: Final = ("adhoc", "idle", "verdict_s", "client_credit_mb", "total_credit_mb", "log")
#: Settings whose environment variable has another name than theirs.
_VARIABLES: Final = {"log": "LOGREDUCE_LOG", "keys": "LOGREDUCE_KEYS"}
_SETTINGS: Final = {spec.name: spec for spec in fields(Config) if spec.metadata.get("setting", True)}


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _VARIABLES.get(name) or f"LOGREDUCE_{name.upper()}"


def read(flags: Mapping[str, Any], file: str | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The settings.

    Args:
        flags: of the command line; None where it says nothing.
        file: instead of ``$XDG_CONFIG_HOME/logreduce/coordinator.toml``; it must exist if it is named.

    Raises:
        UsageError: a setting that does not exist, or a value that it cannot have; names both and where it stands.
    """
    home = places.config(environ)
    path = Path(file) if file else home / "coordinator.toml"
    values: dict[str, Any] = {"socket": str(places.socket(environ)), "keys": str(home / "keys")}
    values |= _of_file(path, named=file is not None)
    for name in _SETTINGS:
        if text := environ.get(variable(name)):
            values[name] = _parsed(name, text)
    values |= {name: value for name, value in flags.items() if value is not None}
    _check(values)
    return Config(**values, file=path)


def differing(running: Config, read: Config) -> list[str]:
    """Settings that have changed and take effect at a restart only."""
    return [name for name in _SETTINGS if name not in RELOADED and getattr(running, name) != getattr(read, name)]


def _of_file(path: Path, *, named: bool) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named:
            raise UsageError(f"there is no configuration at {path}") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise UsageError(f"{path}: {exc}") from exc
    for name, value in values.items():
        spec = _SETTINGS.get(name)
        if spec is None:
            near = difflib.get_close_matches(name, _SETTINGS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(_SETTINGS))}"
            raise UsageError(f"{path}: there is no setting {name!r}: {hint}")
        kinds = {"bool": (bool,), "int": (int,), "float": (float, int)}.get(str(spec.type), (str,))
        if type(value) not in kinds:
            raise UsageError(f"{path}: {name} is {value!r}, which is not {kinds[0].__name__}")
    return values


def _parsed(name: str, text: str) -> object:
    kind = str(_SETTINGS[name].type)
    try:
        if kind == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return {"int": int, "float": float}.get(kind, str)(text)
    except (KeyError, ValueError):
        raise UsageError(f"{variable(name)} is {text!r}, which is not {kind}") from None


def _check(values: Mapping[str, Any]) -> None:
    listen = values.get("listen")
    if listen is not None and not (listen.startswith("tcp://") and listen.rpartition(":")[2].isdigit()):
        raise UsageError(f"listen is {listen!r}, which is not tcp://HOST:PORT")
    if values.get("log", "info") not in LEVELS:
        raise UsageError(f"log is {values['log']!r}, which is none of {', '.join(LEVELS)}")
    for name in ("idle", "client_credit_mb", "total_credit_mb"):
        if values.get(name, 1) <= 0:
            raise UsageError(f"{name} is {values[name]!r}, and must be over 0")
    if values.get("verdict_s", 0) < 0:
        raise UsageError(f"verdict_s is {values['verdict_s']!r}, and must be 0 (off) or more")
    if values.get("table") == "":
        raise UsageError("table is '', which is no file")
