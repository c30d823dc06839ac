"""What a provider's fields may hold, whatever inventory they come from.

Knows which characters are safe where. Inventories are often made from what machines say of themselves (a service
registry, a cloud's tags), so a name is somebody else's text: one that begins with a dash could become an option of a
command (``-oProxyCommand=…``), one with a blank or a quote another word of ``via``, one with a semicolon a command of
ssh_config's ProxyCommand, and a control character could draw on a terminal. What is allowed is listed, not what is
forbidden.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from backplane.wire.errors import UsageError
from coordinator.table import Provider

#: A DNS name is at most this long, and so is everything that stands for one.
MOST_NAME: Final = 253
#: Far more than any label of Prometheus, EC2 or Kubernetes holds; a provider's labels travel with each query.
MOST_LABEL: Final = 4096
MOST_LABELS: Final = 256
#: A path, or a command line.
MOST_TEXT: Final = 4096

LEVELS: Final = ("resident", "exec", "shell", "forced", "sftp")

_NAME: Final = re.compile(r"[\w:][\w.:%/+=~-]*")
_HOST: Final = re.compile(r"[\w:][\w.:%-]*")
#: With the backslash and the at sign of a Windows domain.
_USER: Final = re.compile(r"\w[\w.@\\+-]*")
_HOP: Final = re.compile(r"(?:(?P<user>[^@]+)@)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,5}))?")


def checked(where: str, provider: Provider) -> Provider:
    """The same provider.

    Args:
        where: the place in the inventory, for the sentence.

    Raises:
        UsageError: a field holds what it must not; the message names place, field and what to do.
    """
    try:
        _check(provider)
    except ValueError as exc:
        raise UsageError(f"{where}: {exc}") from exc
    return provider


def name_fault(name: str) -> str | None:
    """Why a text is no name, None if it is one.

    >>> name_fault("web01"), name_fault("-oProxyCommand=x")
    (None, "'-oProxyCommand=x' is no name: it must not begin with '-'")
    """
    return _fault(name, _NAME, "no name")


def _check(provider: Provider) -> None:
    for value, pattern, what in (
        (provider.name, _NAME, "no name"),
        (provider.address, _HOST, "no host"),
        (provider.user, _USER, "no user"),
    ):
        fault = _fault(value, pattern, what) if value is not None else None
        if fault:
            raise ValueError(fault)
    for field, text in (("key", provider.key), ("python", provider.python), ("via", provider.via)):
        if text is not None:
            _check_text(field, text)
    if provider.via is not None:
        _check_via(provider.via)
    if provider.port is not None and not 0 < provider.port < 65536:
        raise ValueError(f"port {provider.port} is no port: 1 to 65535")
    if provider.level is not None and provider.level not in LEVELS:
        raise ValueError(f"level {_shown(provider.level)} is none of {', '.join(LEVELS)}")
    if provider.jump is not None:
        _check_jump(provider.jump)
    _check_labels(provider)


def _fault(text: str, pattern: re.Pattern[str], what: str) -> str | None:
    if not text:
        return f"an empty text is {what}"
    if len(text) > MOST_NAME:
        return f"{_shown(text)} is {what}: {len(text)} characters, {MOST_NAME} at most"
    if pattern.fullmatch(text):
        return None
    if text[0] == "-":
        return f"{_shown(text)} is {what}: it must not begin with '-'"
    allowed = pattern.match(text)
    bad = text[allowed.end() if allowed else 0]
    return f"{_shown(text)} is {what}: it must not hold {bad!a}"


def _check_text(field: str, text: str) -> None:
    if text.startswith("-"):
        raise ValueError(f"{field} {_shown(text)} must not begin with '-'")
    if len(text) > MOST_TEXT:
        raise ValueError(f"{field} is {len(text)} characters long, {MOST_TEXT} at most")
    bad = next((each for each in text if not each.isprintable()), None)
    if bad is not None:
        raise ValueError(f"{field} {_shown(text)} must not hold {bad!a}")


def _check_via(text: str) -> None:
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise ValueError(f"via {_shown(text)} cannot be split into words: {exc}") from exc
    if not words:
        raise ValueError("via is blank: it takes a command, like 'docker exec -i web-0'")


def _check_jump(text: str) -> None:
    for hop in text.split(","):
        parts = _HOP.fullmatch(hop)
        host = parts and (parts["six"] or parts["host"])
        if (
            not (parts and host and _HOST.fullmatch(host) and len(host) <= MOST_NAME)
            or (parts["user"] and not _USER.fullmatch(parts["user"]))
            or not 0 < int(parts["port"] or 22) < 65536
        ):
            raise ValueError(f"jump {_shown(text)} is no way through: write [user@]host[:port], several with commas")


def _check_labels(provider: Provider) -> None:
    if len(provider.labels) > MOST_LABELS:
        raise ValueError(f"{provider.name} has {len(provider.labels)} labels, {MOST_LABELS} at most")
    for key, value in provider.labels.items():
        if not key or len(key) > MOST_NAME or not key.isprintable():
            raise ValueError(f"label {_shown(key)} is no key: 1 to {MOST_NAME} printable characters")
        if len(value) > MOST_LABEL:
            raise ValueError(f"label {key} is {len(value)} characters long, {MOST_LABEL} at most")
        if any("\ud800" <= each <= "\udfff" for each in value):
            raise ValueError(f"label {key} holds half a surrogate pair, which is no text")


def _shown(text: str) -> str:
    """Quoted, with what is not ASCII escaped, and short enough for a sentence."""
    return ascii(text if len(text) <= 60 else text[:60] + "...")
