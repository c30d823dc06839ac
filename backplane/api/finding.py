"""Which coordinator to use: what is named > LOGREDUCE_COORDINATOR > config > own live socket > private.

Knows places (XDG), the order of the contract, and which keys go with a coordinator over TCP. Connects to nothing, but
for one probe of the user's own socket.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from backplane.client.place import Place
from backplane.wire import places
from backplane.wire.errors import UsageError
from backplane.wire.unix import listens

if TYPE_CHECKING:
    from backplane.wire.zmq import Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the user says of it.

    Attributes:
        coordinator: an address.
        server_key: the public key of one over TCP.
        key: the file of our own key there.
        private: one of our own, whatever else is configured.
    """

    coordinator: str | None = None
    server_key: str | None = None
    key: str | None = None
    private: bool = False


class Found(NamedTuple):
    """``place`` None means a private coordinator; ``notice`` is for stderr."""

    place: Place | None
    notice: str | None = None

    @property
    def address(self) -> str | None:
        """The place's address."""
        return self.place.address if self.place else None


def coordinator(said: Named, environ: Mapping[str, str] = os.environ) -> Found:
    """The coordinator to use.

    Raises:
        UsageError: the configuration file is broken, an address is none, or the keys for it are missing.
    """
    if said.private:
        return Found(None)
    config = _configured(environ)
    named = said.coordinator or environ.get("LOGREDUCE_COORDINATOR") or _text(config, "coordinator", "coordinator")
    if named:
        return Found(_place(named, said, config, environ))
    own = str(places.socket(environ))
    if listens(own):
        return Found(Place(f"ipc://{own}"), f"using the coordinator at {own} (--private starts one of our own)")
    return Found(None)


def _place(address: str, said: Named, config: Mapping[str, Any], environ: Mapping[str, str]) -> Place:
    if address.startswith("/"):
        return Place(f"ipc://{address}")
    if address.startswith("ipc:///"):
        return Place(address)
    if not (address.startswith("tcp://") and address.rpartition(":")[2].isdigit()):
        raise UsageError(f"{address!r} is no coordinator's address: it is ipc:///path, /path or tcp://HOST:PORT")
    known = config.get("coordinators", {})
    known = known.get(address, {}) if isinstance(known, dict) else {}
    if not isinstance(known, dict):
        raise UsageError(f"{_path(environ)}: coordinators.{address!r} must be a table with server_key and key")
    return Place(address, _curve(address, said, known, environ))


def _curve(address: str, said: Named, known: Mapping[str, Any], environ: Mapping[str, str]) -> Curve:
    # Here, since zmq takes a while to import and nobody over ipc needs it yet.
    from backplane.wire.keys import read_pair
    from backplane.wire.zmq import Curve, is_key

    where = f'[coordinators."{address}"] in {_path(environ)}'
    server = said.server_key or environ.get("LOGREDUCE_SERVER_KEY") or _text(known, "server_key", where)
    file = said.key or environ.get("LOGREDUCE_KEY") or _text(known, "key", where)
    if not server:
        raise UsageError(f"{address} needs the coordinator's public key: --server-key, or server_key under {where}")
    if not file:
        raise UsageError(f"{address} needs a key of our own: --key FILE, or key under {where}")
    if not is_key(server):
        raise UsageError(f"the server key of {address} is no key: it has 40 characters, as `keys ls` there prints it")
    return Curve(server, read_pair(Path(file).expanduser()))


def _path(environ: Mapping[str, str]) -> Path:
    return places.config(environ) / "config.toml"


def _configured(environ: Mapping[str, str]) -> dict[str, Any]:
    path = _path(environ)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path}: cannot be read: {exc}") from exc
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise UsageError(f"{path}: {exc}") from exc


def _text(values: Mapping[str, Any], name: str, where: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"config.toml: {name} must be a text (of {where})")
    return value
