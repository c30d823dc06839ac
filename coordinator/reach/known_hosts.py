"""known_hosts: which lines speak of a host, and how a new one is added.

Knows the file format (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). Keys stay text here: of ten thousand lines only those
that match are worth parsing, and a line's place is what a user needs who reads that a key has changed.
"""

from __future__ import annotations

import base64
import fcntl
import fnmatch
import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

#: Markers of a line; "" is an ordinary host key.
MARKERS: Final = ("", "@cert-authority", "@revoked")


class Line(NamedTuple):
    """One key for some hosts."""

    path: str
    number: int
    marker: str
    key: str

    @property
    def place(self) -> str:
        """For sentences."""
        return f"{self.path} line {self.number}"


class _Hashed(NamedTuple):
    salt: bytes
    digest: bytes
    line: Line


class _Pattern(NamedTuple):
    patterns: list[str]
    line: Line


class KnownHosts:
    """One file, read again when it has changed. A file that is not there has no lines."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._exact: dict[str, list[Line]] = {}
        self._hashed: list[_Hashed] = []
        self._patterns: list[_Pattern] = []
        #: Ten thousand hashed lines cost 35 ms a host: once for each host is enough.
        self._found: dict[str, list[Line]] = {}

    def lines(self, host: str, port: int) -> list[Line]:
        """The lines for a host: those for its port, or if they trust nobody those that name no port.

        Raises:
            OSError: it cannot be read.
        """
        self._refresh()
        found = self._lookup(entry(host, port))
        if port != 22 and all(line.marker == "@revoked" for line in found):
            found = found + [line for line in self._lookup(host.lower()) if line not in found]
        return found

    def _lookup(self, name: str) -> list[Line]:
        found = self._found.get(name)
        if found is None:
            found = list(self._exact.get(name, ()))
            found += [line for patterns, line in self._patterns if _matches(name, patterns)]
            found += [h.line for h in self._hashed if hmac.digest(h.salt, name.encode(), "sha1") == h.digest]
            self._found[name] = found
        return found

    def _refresh(self) -> None:
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            stamp = (0, 0)
        else:
            stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp == self._stamp:
            return
        self._exact, self._hashed, self._patterns, self._found = {}, [], [], {}
        self._stamp = stamp
        if stamp != (0, 0):
            text = Path(self.path).read_text("utf-8", "surrogateescape")
            for number, line in enumerate(text.splitlines(), 1):
                self._add(number, line.split(None, 3))

    def _add(self, number: int, words: list[str]) -> None:
        if not words or words[0].startswith("#"):
            return
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3 or marker not in MARKERS:
            return  # as ssh does: a line that it does not understand is no line
        line = Line(self.path, number, marker, " ".join(words[1:3]))
        hosts = words[0]
        if hosts.startswith("|1|"):
            salt, _, digest = hosts[3:].partition("|")
            try:
                self._hashed.append(_Hashed(base64.b64decode(salt), base64.b64decode(digest), line))
            except ValueError:
                return
        elif any(character in hosts for character in "*?!"):
            self._patterns.append(_Pattern(hosts.lower().split(","), line))
        else:
            for host in hosts.lower().split(","):
                self._exact.setdefault(host, []).append(line)


def entry(host: str, port: int) -> str:
    """How a host stands in the file.

    >>> entry("Web01", 22), entry("web01", 2222)
    ('web01', '[web01]:2222')
    """
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def add(path: str, host: str, port: int, key: str) -> None:
    """Append a host's key, under a lock and in one write, so that neither another coordinator nor ssh sees half a line.

    Args:
        key: ``type base64``.

    Raises:
        OSError: the file cannot be written.
    """
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        os.write(fd, b"\n" * torn + f"{entry(host, port)} {key}\n".encode())
    finally:
        os.close(fd)


def changed(name: str, shown: str, known: Sequence[Line]) -> str:
    """The sentence about a host whose key is another one than we know.

    Args:
        name: as `entry` gives it.
        shown: the key that it showed: its kind, a blank, its fingerprint.
        known: the lines that speak of it.
    """
    kind = shown.partition(" ")[0]
    line = next((line for line in known if line.key.startswith(f"{kind} ")), known[0])
    return (
        f"its host key has CHANGED to {shown}: {line.place} has another. If that was meant, remove that line "
        f"(ssh-keygen -R '{name}' -f {line.path}); if not, somebody is in between"
    )


def revoked(lines: Sequence[Line]) -> str:
    """The sentence about a host that shows a revoked key, or a certificate of a revoked one."""
    places = " or ".join(line.place for line in lines)
    return f"its host key is REVOKED by {places}: it needs a new one, and until then nothing is to be sent to it"


def uncertified(authority: Line) -> str:
    """The sentence about a host that shows no certificate where only an authority is known."""
    return f"it has no host certificate, and known_hosts trusts only the authority of {authority.place} for it"


def unknown(path: str, *, shared: bool = False) -> str:
    """The sentence about a host of which no line of ``path`` speaks: the same for all of them.

    Args:
        shared: the file is not of whoever asks, but of the coordinator's operator.
    """
    if shared:
        return f"its host key is not known: the coordinator's operator adds it to {path} there"
    return f"its host key is not known: add it to {path}, connect once with ssh, or use --host-key accept-new"


def _matches(name: str, patterns: list[str]) -> bool:
    """Whether a list of patterns means this name: one matches, and none with ``!`` does."""
    if any(p.startswith("!") and _glob(name, p[1:]) for p in patterns):
        return False
    return any(_glob(name, p) for p in patterns if not p.startswith("!"))


def _glob(name: str, pattern: str) -> bool:
    # Brackets are literal here: they stand around hosts with ports.
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))
