"""Messages to frame bodies and back, checked field by field.

Knows messages and frames. Does no I/O and holds no state but fragments that are not complete (`Inbox`).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

import msgpack

from backplane.wire.errors import LocalProtocolError, RemoteProtocolError
from backplane.wire.messages import MESSAGES, Message
from provider.runner import frames


def encode(message: Message) -> Iterator[bytes]:
    """The bodies that carry a message: one, or several fragments of a long payload.

    Raises:
        LocalProtocolError: it is over a limit.
    """
    header = {name: getattr(message, name) for name in _plan(message.KIND).header}
    try:
        yield from frames.fragments(message.KIND, message.job, header, getattr(message, "payload", b""))
    except ValueError as exc:
        raise LocalProtocolError(str(exc)) from exc


def encode_one(message: Message) -> bytes:
    """The single body of a message that has no long payload."""
    (body,) = encode(message)
    return body


def decode(body: bytes) -> Message | None:
    """The message in a body that is not a fragment, None for a kind that we do not know and may skip.

    Raises:
        RemoteProtocolError: not a frame, a field is missing or of another type, or an unknown kind that is critical.
    """
    return Inbox().add(body)


class Inbox:
    """Joins fragments and decodes. One for each link; holds at most one incomplete message per job and kind.

    A supervisor speaks between the fragments of a job (beats, prints, the end of a job that died in the middle of a
    cut), so what belongs together is told by both.
    """

    __slots__ = ("_joiners",)

    def __init__(self) -> None:
        self._joiners: dict[tuple[int, int], frames.Joiner] = {}

    def add(self, body: bytes) -> Message | None:
        """The message that this body completes, if any.

        Raises:
            RemoteProtocolError: as `decode`, or fragments over the limit.
        """
        try:
            frame = frames.decode(body)
            key = (frame.job, frame.kind)
            if key in self._joiners or frame.header.get("more"):
                whole = self._joiners.setdefault(key, frames.Joiner()).add(frame)
                if whole is None:
                    return None
                del self._joiners[key]
                frame = whole
        except ValueError as exc:
            raise RemoteProtocolError(str(exc)) from exc
        return _message(frame)

    def forget(self, job: int) -> None:
        """A job is over: drop what it left incomplete."""
        for key in [key for key in self._joiners if key[0] == job]:
            del self._joiners[key]


def _message(frame: frames.Frame) -> Message | None:
    kind = MESSAGES.get(frame.kind)
    if kind is None:
        if frame.kind >= frames.KIND_CRITICAL:
            raise RemoteProtocolError(f"unknown {frames.name(frame.kind)}, which may not be skipped")
        return None
    plan = _plan(frame.kind)
    values: dict[str, Any] = {"job": frame.job}
    for name, check in plan.header.items():
        if name in frame.header:
            try:
                values[name] = check(frame.header[name])
            except (TypeError, ValueError) as exc:
                raise RemoteProtocolError(f"a {frames.name(frame.kind)} frame's {name}: {exc}") from exc
        elif name in plan.required:
            raise RemoteProtocolError(f"a {frames.name(frame.kind)} frame without {name}")
    if plan.payload:
        values["payload"] = frame.payload
    return kind(**values)


class _Plan(typing.NamedTuple):
    header: dict[str, Callable[[Any], Any]]
    required: frozenset[str]
    payload: bool


@cache
def _plan(number: int) -> _Plan:
    kind = MESSAGES[number]
    hints = typing.get_type_hints(kind)
    own = [f for f in fields(kind) if f.name not in ("job", "payload")]
    return _Plan(
        header={f.name: _checker(hints[f.name]) for f in own},
        required=frozenset(f.name for f in own if f.default is MISSING and f.default_factory is MISSING),
        payload=any(f.name == "payload" for f in fields(kind)),
    )


def _checker(hint: Any) -> Callable[[Any], Any]:
    """A function that passes a value of the hinted type and raises TypeError for any other."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    nullable = type(None) in options
    (kind,) = [option for option in options if option is not type(None)]
    origin = typing.get_origin(kind) or kind

    def check(value: Any) -> Any:
        if value is None and nullable:
            return None
        if origin is float and type(value) is int:
            return float(value)
        if origin is tuple and type(value) is list:
            return tuple(value)
        if type(value) is not origin:
            raise TypeError(f"expected {origin.__name__}, got {type(value).__name__}")
        return value

    return check


def pack(value: Any) -> bytes:
    """A payload's msgpack, text as `provider.runner.pack` has it."""
    return msgpack.packb(value, unicode_errors="surrogateescape")  # type: ignore[no-any-return]


def unpack(payload: bytes, *, tuples: bool = False) -> Any:
    """A payload's value.

    Args:
        tuples: sequences come back as tuples, so that they can be keys.

    Raises:
        RemoteProtocolError: not msgpack.
    """
    try:
        return msgpack.unpackb(payload, use_list=not tuples, unicode_errors="surrogateescape", strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as exc:
        raise RemoteProtocolError(f"a payload that is not msgpack: {exc}") from exc
