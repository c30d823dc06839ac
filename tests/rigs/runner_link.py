"""A runner at the end of two pipes, and what a coordinator would say to it: the tests' side of the link.

Knows frames and `provider.ship`. Decodes headers; content of cuts is unpacked on request.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from provider import ship
from provider.runner import frames
from provider.runner.pack import packb, unpackb

#: Far above what anything here takes; only a hang reaches it.
DEADLINE_S = 20.0


def script(map_text: str, **fields: Any) -> bytes:
    """The payload of a START with usual fields."""
    known: dict[str, Any] = {
        "file": "query.py",
        "filter": None,
        "map": map_text,
        "lines": True,
        "sources": [],
        "encoding": "utf-8",
        "follow": False,
        "combine": None,
        "every_s": 0.2,
        "provider": {"name": "p1", "labels": {"role": "web"}},
        "positions": [],
        "modules": dict(ship.job_modules()),
    }
    return packb(known | fields)


class RunnerLink:
    """Starts a runner and speaks with it. Use as a context manager: leaving it proves that nothing is left.

    Args:
        python: the interpreter.
        command: another command than `ship.argv`, for instance behind strace.
        beats: keep the lease by beating whenever frames are awaited.
    """

    def __init__(self, python: str = "python3", *, command: list[str] | None = None, beats: bool = True) -> None:
        self.process = subprocess.Popen(
            command or ship.argv(python),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.frames: list[frames.Frame] = []
        #: Bytes of bodies that spend credit, per job.
        self.spent: dict[int, int] = {}
        self.read_bytes = 0
        self._splitter = frames.Splitter(frames.PREAMBLE)
        self._joiners: dict[tuple[int, int], frames.Joiner] = {}
        # The loader reads through a buffer, which would swallow a part of what comes before the runner's HELLO.
        self._beats = False
        self._beat_at = 0.0
        self._stdout = self.process.stdout
        self.say(ship.payload())
        self.hello = self.wait_for(lambda f: f.kind == frames.HELLO)
        self._beats = beats

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # --- saying

    def send(self, kind: int, job: int, header: dict[str, Any], payload: bytes = b"") -> None:
        """One message, fragmented if it must be."""
        for body in frames.fragments(kind, job, header, payload):
            self.say(frames.framed(body))

    def start(self, job: int, payload: bytes, **header: Any) -> None:
        """START, with unlimited credit unless told otherwise; a plan starts no processes unless told so."""
        known = {"epoch": 1, "query": "q", "body": "script", "profile": "open", "granted": 1 << 40, "filter_s": 10.0}
        if header.get("body") == "plan":
            known["guard"] = False
        self.send(frames.START, job, known | header, payload)

    def credit(self, job: int, granted: int) -> None:
        """CREDIT."""
        self.send(frames.CREDIT, job, {"granted": granted, "applied": 0})

    def cancel(self, job: int, mode: str = "drain") -> None:
        """CANCEL."""
        self.send(frames.CANCEL, job, {"mode": mode})

    def say(self, data: bytes) -> None:
        """Bytes as they are, frames or not."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def hang_up(self) -> None:
        """Ends the runner's stdin; its stdout stays open, and unread."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None

    def turn_away(self) -> None:
        """Closes the runner's stdout, and says nothing of it."""
        assert self._stdout is not None
        self._stdout.close()
        self.process.stdout = self._stdout = None

    def beat(self) -> None:
        """BEAT, at most twice a second."""
        if self._beats and time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + 0.5
            with contextlib.suppress(OSError):
                self.send(frames.BEAT, 0, {"now": time.time()})

    # --- hearing

    def pump(self, timeout_s: float = 0.1) -> bool:
        """Reads what is there, or waits so long for it; False at the end of file."""
        assert self._stdout is not None
        self.beat()
        if not select.select([self._stdout], [], [], timeout_s)[0]:
            return True
        data = os.read(self._stdout.fileno(), 1 << 16)
        self.read_bytes += len(data)
        for body in self._splitter.feed(data):
            self._hear(body)
        return bool(data)

    def _hear(self, body: bytes) -> None:
        frame = frames.decode(body)
        if frame.kind in frames.SPENDS_CREDIT:
            self.spent[frame.job] = self.spent.get(frame.job, 0) + len(body)
        key = (frame.job, frame.kind)
        whole = self._joiners.setdefault(key, frames.Joiner()).add(frame)
        if whole is not None:
            self.frames.append(whole)

    def until(self, condition: Callable[[], bool], what: str = "it", deadline_s: float = DEADLINE_S) -> None:
        """Reads until a condition holds.

        Raises:
            AssertionError: it did not within the deadline, or the runner ended.
        """
        deadline = time.monotonic() + deadline_s
        while not condition():
            if not self.pump(0.05) and not condition():
                raise AssertionError(f"the runner ended before {what}: {self.stderr()!r} {self.frames[-3:]}")
            assert time.monotonic() < deadline, f"no {what} within {deadline_s} s: {self.frames[-3:]}"

    def wait_for(self, wanted: Callable[[frames.Frame], bool], deadline_s: float = DEADLINE_S) -> frames.Frame:
        """The first frame, from the beginning, that is wanted."""
        self.until(lambda: any(map(wanted, self.frames)), "such a frame", deadline_s)
        return next(frame for frame in self.frames if wanted(frame))

    def until_values(self, count: int, job: int = 1) -> None:
        """Reads until complete cuts hold so many values of a job."""
        self.until(lambda: len(self.values(job)) >= count, f"value {count} of job {job}")

    def end(self, job: int = 1, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The header of a job's END."""
        return self.wait_for(lambda f: f.kind == frames.END and f.job == job, deadline_s).header

    def of(self, kind: int, job: int = 1) -> list[frames.Frame]:
        """A job's frames of one kind so far."""
        return [frame for frame in self.frames if frame.kind == kind and frame.job == job]

    def stderr(self) -> bytes:
        """What the runner wrote to stderr; only when it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    # --- content

    def cuts(self, job: int = 1) -> list[dict[str, Any]]:
        """Complete cuts: ``seq``, ``values`` (as emitted), ``moves partials marks``. Asserts parts and seq."""
        found: list[dict[str, Any]] = []
        parts: list[frames.Frame] = []
        for frame in self.of(frames.CUT, job):
            assert frame.header["part"] == len(parts)
            parts.append(frame)
            if frame.header["last"]:
                assert frame.header["seq"] == len(found) + 1
                found.append(_cut(parts))
                parts = []
        return found

    def values(self, job: int = 1) -> list[Any]:
        """All values of complete cuts, in order."""
        return [value for cut in self.cuts(job) for value in cut["values"]]

    def prints(self, job: int = 1) -> str:
        """What the script printed."""
        return b"".join(f.payload for f in self.of(frames.NOTE, job)).decode()

    # --- the end

    def close(self) -> None:
        """Closes the link, and asserts that the runner and all below it are gone."""
        pids = [self.process.pid, *descendants(self.process.pid)]
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the runner outlived its link by 5 s") from None
        finally:
            if self.process.stderr is not None:
                self.process.stderr.close()
        gone(pids)


def _cut(parts: list[frames.Frame]) -> dict[str, Any]:
    cut: dict[str, Any] = {"seq": parts[0].header["seq"], "values": [], "moves": [], "partials": [], "marks": []}
    for part in parts:
        content = unpackb(part.payload)
        if part.header["content"] == "values":
            cut["values"].extend(emitted(content))
        elif part.header["content"] == "partials":
            cut["partials"].append(content)
        else:
            cut[part.header["content"]].extend(content)
    return cut


def emitted(content: dict[str, Any]) -> list[Any]:
    """The values of a ``values`` part as they were yielded."""
    values = column(content["values"])
    if content["keys"] is None:
        return values
    return [(key, value) for key, value in zip(column(content["keys"]), values, strict=True)]


def column(packed: dict[str, Any]) -> list[Any]:
    """A column's values (see docs/reference/frames.md)."""
    import struct

    match packed["t"]:
        case "m":
            return list(packed["v"])
        case "i":
            return [v for (v,) in struct.iter_unpack("<q", packed["b"])]
        case "f":
            return [v for (v,) in struct.iter_unpack("<d", packed["b"])]
        case "d":
            distinct = column(packed["v"])
            return [distinct[i] for (i,) in struct.iter_unpack("<I", packed["i"])]
        case "t":
            return list(zip(*map(column, packed["c"]), strict=True))
        case "s":
            text = packed["b"].decode()
            found, at = [], 0
            for (size,) in struct.iter_unpack("<I", packed["n"]):
                found.append(text[at : at + size])
                at += size
            return found
    raise AssertionError(f"a column of type {packed['t']}")


def descendants(pid: int) -> list[int]:
    """Every process below a pid."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = list(_children(waiting.pop()))
        found += below
        waiting += below
    return found


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())


def alive(pid: int) -> bool:
    """A process that is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], deadline_s: float = 5.0) -> None:
    """Waits for processes to be gone.

    Raises:
        AssertionError: some are not.
    """
    deadline = time.monotonic() + deadline_s
    while left := [pid for pid in pids if alive(pid)]:
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.02)
