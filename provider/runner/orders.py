"""What a START asks for, checked.

Knows the header fields of START (docs/reference/frames.md). Does not open its payload: that is the job's own business.
"""

from typing import Any, Dict, NamedTuple, Optional


class OrderError(ValueError):
    """A START that this runner refuses; the text is one sentence."""


class Limits(NamedTuple):
    """What one job may take. Each is a person's promise to the host's owner, so each is kept by the kernel or by us."""

    #: Address space of each process.
    memory_mb: int = 256
    #: Open descriptors of each process.
    files: int = 256
    #: Processes of the whole tree. Not RLIMIT_NPROC: that one counts the login's other processes too.
    processes: int = 64
    #: Bytes a second that are read from the job.
    output_bps: int = 10000000
    #: What a job may make a file of, which is nothing unless the query says that it writes.
    file_mb: int = 0


class Order(NamedTuple):
    """One job to run."""

    epoch: int
    granted: int
    filter_s: Optional[float]
    feed: bool
    #: A guard stands between (see guard): the job may start processes.
    guard: bool
    #: The filter has said yes already, and is not run again.
    kept: bool
    limits: Limits
    #: A plan, which the scan child does.
    plan: bool
    #: It reads lines, and needs what it takes to open their sources.
    lines: bool
    payload: bytes


def parse(header: Dict[str, Any], payload: bytes) -> Order:
    """The order in a START.

    Raises:
        OrderError: it asks for what this version does not have, or for nonsense.
    """
    body = header.get("body", "script")
    if body not in ("script", "folder", "plan"):
        raise OrderError("this runner cannot run a %r" % (body,))
    profile = header.get("profile", "open")
    if profile != "open":
        raise OrderError("this runner has no profile %r" % (profile,))
    filter_s = header.get("filter_s")
    if filter_s is not None and not (isinstance(filter_s, (int, float)) and filter_s > 0):
        raise OrderError("filter_s is %r" % (filter_s,))
    return Order(
        epoch=_whole("epoch", header.get("epoch")),
        granted=_whole("granted", header.get("granted")),
        filter_s=filter_s,
        feed=bool(header.get("feed", False)),
        guard=bool(header.get("guard", True)),
        kept=bool(header.get("kept", False)),
        limits=_limits(header.get("limits")),
        plan=body == "plan",
        lines=bool(header.get("lines", True)),
        payload=payload,
    )


def _limits(given: Any) -> Limits:
    if given is None:
        return Limits()
    if type(given) is not dict:
        raise OrderError("limits is %r" % (given,))
    known = {name: _whole(name, given[name]) for name in Limits._fields if name in given}
    if 0 in known.values():
        raise OrderError("a limit of 0")
    return Limits(**known)


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise OrderError("%s is %r" % (name, value))
    return value
