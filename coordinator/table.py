"""Providers: who they are and how each is reached, as plain data.

Knows the inventory's fields and their form on the wire. Does not know where they come from (`coordinator.inventory`) or
what reaching one takes (`coordinator.reach`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from backplane.wire import limits

#: How a provider is reached. `resident` and the levels below it are found out by ``ssh`` itself.
REACHES: Final = ("ssh", "local", "command")


@dataclass(frozen=True, slots=True)
class Provider:
    """A host with logs.

    Attributes:
        name: what it is called in answers; unique within a query.
        address: where it is, if not under its name.
        port: of sshd; None takes ssh_config's, or 22.
        user: login; None takes the query's, ssh_config's, or ours.
        key: path of the private key; None as for ``user``.
        jump: ``[user@]host[:port]`` to go through.
        python: its Python; None is ``python3``.
        sudo: start the runner through ``sudo -n``.
        via: a command that runs another one there (``docker exec -i web-0``).
        level: how little it may be, None to find out.
        labels: for selecting, and seen by scripts.
        reach: one of `REACHES`.
    """

    name: str
    address: str | None = None
    port: int | None = None
    user: str | None = None
    key: str | None = None
    jump: str | None = None
    python: str | None = None
    sudo: bool = False
    via: str | None = None
    level: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    reach: str = "ssh"

    def to_wire(self) -> dict[str, Any]:
        """The fields that differ from their defaults, as a submit carries them.

        >>> Provider("web01", port=2222).to_wire()
        {'name': 'web01', 'port': 2222}
        """
        return _differing(self)

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """The provider of a submit's entry; unknown fields are ignored.

        Raises:
            ValueError: no name, or a field of another type; the message names provider and field.
        """
        values = _checked(cls, data, str(data.get("name")))
        if not values.get("name"):
            raise ValueError("a provider without a name")
        provider = cls(**values)
        if provider.reach not in REACHES:
            raise ValueError(f"{provider.name}: reach {provider.reach!r} is none of {', '.join(REACHES)}")
        return provider


@dataclass(frozen=True, slots=True)
class ReachOptions:
    """What a query says of reaching all its providers; a provider's own field comes first.

    Attributes:
        user: login.
        identity: path of the private key.
        host_key: ``strict`` or ``accept-new``.
        sudo: start runners through ``sudo -n``.
        via: a command that runs another one there.
        fanout: handshakes at a time.
        connect_s: deadline of the TCP connect.
        login_s: deadline of the SSH login after it.
        allow_root: an SSH login as root is well.
        ssh_config: path, instead of ``~/.ssh/config``.
        known_hosts: path, instead of ``~/.ssh/known_hosts``.
        shared: asked by somebody whose own coordinator this is not; set by it, and only told about.
    """

    user: str | None = None
    identity: str | None = None
    host_key: str = "strict"
    sudo: bool = False
    via: str | None = None
    fanout: int = limits.FANOUT
    connect_s: float = limits.CONNECT_S
    login_s: float = limits.LOGIN_S
    allow_root: bool = False
    ssh_config: str | None = None
    known_hosts: str | None = None
    shared: bool = False

    def to_wire(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return _differing(self)

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """The options of a submit; unknown fields are ignored, null is the default.

        Raises:
            ValueError: a field of another type, or a value that is none of its choices.
        """
        options = cls(**_checked(cls, data, "reach"))
        if options.host_key not in ("strict", "accept-new"):
            raise ValueError(f"host_key is strict or accept-new, not {options.host_key!r}: checking is never off")
        if options.fanout < 1 or options.connect_s <= 0 or options.login_s <= 0:
            raise ValueError("fanout, connect_s and login_s must be over 0")
        return options


def _differing(data: Provider | ReachOptions) -> dict[str, Any]:
    values = {f.name: getattr(data, f.name) for f in fields(data)}
    blank = Provider("") if isinstance(data, Provider) else ReachOptions()
    return {name: value for name, value in values.items() if value != getattr(blank, name)}


#: Wire types by annotation; a float may come as an integer.
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "Mapping[str, str]": (dict,),
}


def _checked(cls: type[Provider | ReachOptions], data: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """The known fields of ``data`` that are not null, checked."""
    values: dict[str, Any] = {}
    for spec in fields(cls):
        value = data.get(spec.name)
        if value is None:
            continue
        kinds = _TYPES[str(spec.type).removesuffix(" | None")]
        if type(value) not in kinds or (type(value) is dict and not _is_text_map(value)):
            raise ValueError(f"{whose}: {spec.name} is {value!r}, which is not {kinds[0].__name__}")
        values[spec.name] = value
    return values


def _is_text_map(value: dict[Any, Any]) -> bool:
    return all(type(key) is str and type(text) is str for key, text in value.items())
