"""What of a start can run where there is a shell and no Python, and what a text of level `shell` says of its end.

Knows the payload of a start and the texts' words. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backplane.wire.errors import ReachError
from coordinator.reach.base import Exit
from coordinator.shell.text import Task
from provider.runner import script
from provider.runner.faults import Failure, Fault
from provider.runner.orders import Order
from provider.runner.pack import unpackb
from provider.runner.script import Script
from provider.runner.ticks import duration

#: Of a start's payload, by what it asks for: only a runner reads the past, or files that were put away.
_RUNNERS: Final = {"since": "--since", "until": "--until", "rotated": "--rotated"}
_REASON_CHARS: Final = 200


def parse(order: Order, why: str) -> Script:
    """The scripts of a start.

    Args:
        why: a clause that says why there is no runner.

    Raises:
        Failure: ``refused``: they need Python, or what only a runner does; or they are no scripts.
    """
    only = "such a provider (level shell) runs a folder whose filter and map are scripts in sh, awk, perl or the like"
    if order.plan:
        raise _refused(f"{why}; {only}, and a question of one line or of SQL needs Python")
    fields = _fields(order.payload)
    if fields.get("programs") is None:
        raise _refused(f"{why}; {only}")
    wanted = script.parse(order.payload)
    python = [name for name in ("filter", "map") if getattr(wanted, name) is not None and name not in wanted.programs]
    if python:
        raise _refused(f"{why}; {only}, and its {python[0]} is Python")
    for field, option in _RUNNERS.items():
        if fields.get(field):
            raise _refused(f"{why}; {option} needs it")
    for source in wanted.sources if wanted.lines else ():
        if source == "-":
            raise _refused(f"{why}; standard input cannot be sent to it")
        if source.startswith(("tick:", "cmd:")) and len(wanted.sources) > 1:
            raise Failure(Fault("usage", f"{source} stands alone as a source", wanted.file))
        if "**" in source and not source.startswith("cmd:"):
            raise _refused(f"{why}; its shell does not know the ** of {source}")
    for need in wanted.needs:
        if need.startswith("module:"):
            raise _refused(f"{why}; the query needs the Python module {need[7:]}")
    return wanted


def _fields(payload: bytes) -> Mapping[str, Any]:
    try:
        fields = unpackb(payload)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise Failure(Fault("protocol", "the scripts did not arrive as such"))
    return fields


def _refused(text: str) -> Failure:
    return Failure(Fault("missing", text, state="refused"))


def task(wanted: Script, what: str, order: Order) -> Task:
    """The ``filter`` or ``map`` of a folder, to be run.

    Raises:
        Failure: its source is no source.
    """
    maps = what == "map"
    sources = wanted.sources if maps and wanted.lines else []
    if maps and wanted.lines and not sources:
        raise Failure(Fault("usage", "map takes lines, and there is no source", wanted.file))
    environ = {"provider": wanted.name, "logs": "\n".join(wanted.sources)}
    environ.update((f"label_{name}", value) for name, value in wanted.labels.items())
    return Task(
        argv=wanted.programs[what],
        script=(wanted.map if maps else wanted.filter) or "",
        environ={**environ, **wanted.environ},
        limits=order.limits,
        sources=sources,
        follow=wanted.follow,
        one_is_enough=wanted.filter is not None,
        tick_s=duration(sources[0][5:]) if sources and sources[0].startswith("tick:") else 0.0,
        needs=[need[5:] for need in wanted.needs if need.startswith("exec:")],
        prints=not maps,
    )


def status(name: str, told: Mapping[str, str], how: Exit, last: str) -> int:
    """The exit status of a script.

    Args:
        name: what it is called in messages.
        told: what its text said.
        how: how that ended.
        last: the last line of stderr.

    Raises:
        Failure: it never ran, or its lines did not come to their end.
        ReachError: nothing is known of it.
    """
    if "need" in told:
        text = f"the query needs the command {told['need']}, which is not on this provider"
        raise Failure(Fault("missing", text, state="refused"))
    if "interpreter" in told:
        text = f"{name} needs {told['interpreter']}, which is not on this provider"
        raise Failure(Fault("missing", text, state="refused"))
    if "devfd" in told:
        raise Failure(Fault("missing", f"{name} cannot be run: this provider has no /dev/fd", state="refused"))
    for code in ("missing", "unreadable"):
        if code in told:
            raise Failure(Fault(code, told[code]))
    if "feed" in told:
        raise Failure(ended(f"the source of {name}", int(told["feed"]), last))
    if not told.get("exit", "").isdecimal():
        raise ReachError(f"{name} was ended from outside{f': {how.broken}' if how.broken else ''}")
    return int(told["exit"])


def ended(name: str, status: int, last: str) -> Fault:
    """How a program failed, with the last line that was said of it."""
    # A shell says it so of a program that died of a signal.
    text = f"died of signal {status - 128}" if 128 < status < 192 else f"ended with status {status}"
    return Fault("exit", f"{name} {text}{f': {last[:_REASON_CHARS]}' if last else ''}")
