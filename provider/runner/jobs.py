"""One job as its supervisor sees it: a process, three pipes, credit, deadlines, an end.

Knows frames by their kind and the headers of what it must count. Never opens a payload, never believes a child about
which job it is, never waits. What the process does is `provider.runner.child`'s business.

Theory of operation
-------------------
    running --(process gone)--> reaping --(all it left behind gone)--> emptying --(pipe and queue empty)--> over
       `--(limit, deadline, cancel: killed)--^

A job's pipe is read only while what was read before has gone home and it is under its rate; so a job that emits more
than anybody takes ends up blocked in its own write. Frames that were read wait in ``_held``, at most one read's worth,
until the outbox asks for them and there is credit. The one END is made here and comes last, when nothing of the job is
left on the host: from the child's own END if it wrote one, otherwise from how it died.
"""

import os
import select
import signal
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

from provider.runner import frames, tree
from provider.runner.bucket import Bucket
from provider.runner.feed import Feed
from provider.runner.notes import READ_BYTES, Notes
from provider.runner.orders import Order
from provider.runner.spawn import DRAIN_SIGNAL, Child, hurry

#: What a child may say. Anything else ends the job: a script that can write to the pipe must not be able to speak as
#: the link, or to grant itself credit.
FROM_CHILD = frozenset((frames.VERDICT, frames.OPEN, frames.CUT, frames.BEAT, frames.GAP, frames.FAULT, frames.END))
_END_STATES = frozenset(("done", "failed", "killed", "refused", "filtered_out"))

#: A process that has said its END or closed its output should be gone; threads that it left running do not keep it.
LINGER_S = 0.5
#: A process in uninterruptible sleep cannot be killed; after so long the END says the truth without it.
REAP_S = 2.0
#: How often a process is looked for whose death is near. Nothing else tells of it.
_WATCH_S = 0.01
#: Verdicts and faults of a child, which cost no credit: a sound one says one of each.
_MOST_FREE = 16
#: Bytes of frames that may wait when another print comes; beyond it that one is dropped.
_MOST_HELD = 256 << 10
#: A line that is printed without an end is shown after so long.
_NOTE_S = 1.0

#: Signals by which others end a process: a person, an init, a kernel out of memory. None of our limits sends them but
#: through `Job.kill`, which says what it is; and a script's own error has others.
_FROM_OUTSIDE = frozenset((signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT))

COUNTERS = ("lines", "bytes", "matched", "emitted", "dropped", "parse_errors", "watermark", "lag_s")


def no_counters() -> Dict[str, Any]:
    """The counters of a job that has not said any."""
    counts: Dict[str, Any] = dict.fromkeys(("lines", "bytes", "matched", "emitted", "parse_errors"), 0)
    return dict(counts, dropped={}, watermark=None, lag_s=None)


def _completes(header: Dict[str, Any]) -> int:
    """The seq of the cut that a frame with this header is the last of, otherwise 0."""
    seq = header.get("seq")
    return seq if type(seq) is int and header.get("last") and not header.get("more") else 0


class Job:
    """See the module. Times are readings of the supervisor's clock, in seconds."""

    says = FROM_CHILD

    def __init__(self, number: int, order: Order, child: Child, now: float) -> None:
        self.number = number
        self.epoch = order.epoch
        self.pid = child.pid
        self.limits = order.limits
        self._processes = order.limits.processes + order.guard
        self.counters = no_counters()
        #: As home was last told; None if it was not.
        self.beaten: Optional[Dict[str, Any]] = None
        self.feed = Feed(child.feed_fd) if child.feed_fd >= 0 else None
        #: The process is reaped; what it left behind may not be.
        self.reaped = False
        #: END was handed out.
        self.over = False
        self._granted = order.granted
        self._spent = 0
        self._frames_fd = child.frames_fd
        self._notes_fd = child.notes_fd
        self._splitter = frames.Splitter()
        self._held: Deque[Tuple[bytes, int]] = deque()
        self._rate = Bucket(order.limits.output_bps, order.limits.output_bps / 8.0, now)
        self._notes = Notes(now)
        self._noted = now
        self._filter_s = order.filter_s
        self._filter_until = None if order.filter_s is None else now + order.filter_s
        self._drain_until: Optional[float] = None
        self._drained = False
        self._dying = False
        self._reaped_at = 0.0
        #: Since then nothing more can come of it.
        self._silent_at: Optional[float] = None
        self._free = 0
        self._seq = 0
        self._end: Optional[Tuple[str, Optional[str]]] = None
        self._death = ("failed", "")
        #: The process died of a signal that is nothing of its own.
        self._from_outside = False
        self._sealed = False

    # --- what the loop watches

    def watched(self, now: float, room: bool) -> List[Tuple[int, int]]:
        """Descriptors and poll masks that something is wanted of now."""
        wanted = []
        if self._frames_fd >= 0 and room and self._hungry and self._rate.level(now) > 0:
            wanted.append((self._frames_fd, select.POLLIN))
        if self._notes_fd >= 0:
            wanted.append((self._notes_fd, select.POLLIN))
        if self.feed is not None and self.feed.wants_write:
            wanted.append((self.feed.fd, select.POLLOUT))
        return wanted

    @property
    def _hungry(self) -> bool:
        """One read ahead, also without credit: a verdict, a fault and an end cost none, and must not wait for any."""
        return not self._held

    def wait_s(self, now: float) -> float:
        """Seconds until something is due here even if nothing happens."""
        ending = self._dying or self._silent_at is not None
        times = [_WATCH_S if (not self.reaped and ending) or (self.reaped and not self._held) else 1.0]
        times.extend(until - now for until in (self._filter_until, self._drain_until) if until is not None)
        if self._hungry:
            times.append(self._rate.wait_s(now) or 1.0)
        return max(0.0, min(times))

    def owns(self, fd: int) -> bool:
        """It is one of this job's descriptors."""
        return fd in (self._frames_fd, self._notes_fd) or (self.feed is not None and fd == self.feed.fd)

    def ready(self, fd: int, now: float) -> None:
        """One of the watched descriptors can be served."""
        if fd == self._frames_fd:
            self._read_frames()
            if self._silent_at is None and (self._end is not None or self._frames_fd < 0):
                self._silent_at = now
        elif fd == self._notes_fd:
            self._read_notes(now)
        elif self.feed is not None and fd == self.feed.fd:
            self.feed.write()

    # --- what the process says

    def _read_frames(self) -> None:
        """One read, into ``_held``. Everything counts against the rate, whatever it is."""
        try:
            data = os.read(self._frames_fd, frames.MAX_FRAME_BYTES)
        except BlockingIOError:
            if not self.reaped:
                return
            data = b""  # nothing is left in the pipe; whoever holds its other end could not be killed
        if not data:
            self._give_up_frames()
            return
        self._rate.spend(len(data))
        try:
            for body in self._splitter.feed(data):
                self._accept(body)
        except frames.FrameError as exc:
            self._fault("protocol", "the job's output is broken: %s" % exc)
            self.kill("failed", "the job's output is broken")
            self._give_up_frames()

    def _accept(self, body: bytes) -> None:
        kind, _ = frames.peek(body)
        if kind not in self.says:
            raise frames.FrameError("a %s frame" % frames.name(kind))
        if kind == frames.BEAT:
            self._count(frames.header_of(body))
        elif kind == frames.END:
            self._ended(frames.header_of(body))
        else:
            if kind in (frames.VERDICT, frames.FAULT):
                self._filter_until = None
                self._free += 1
                if self._free > _MOST_FREE:
                    raise frames.FrameError("too many verdicts and faults")
            header = frames.header_of(body)
            self._hold(frames.stamped(body, self.number), _completes(header) if kind == frames.CUT else 0)

    def _count(self, header: Dict[str, Any]) -> None:
        self.counters = dict(self.counters, **{name: header[name] for name in COUNTERS if name in header})

    def _ended(self, header: Dict[str, Any]) -> None:
        state = header.get("state")
        if self._end is not None:
            return
        if state not in _END_STATES:
            raise frames.FrameError("an end frame with the state %r" % (state,))
        counters = header.get("counters")
        if type(counters) is dict:
            self._count(counters)
        reason = header.get("reason")
        self._end = (state, reason if isinstance(reason, str) else None)

    # --- what the process prints

    def _read_notes(self, now: float) -> bool:
        """One read; False when there was nothing."""
        try:
            data = os.read(self._notes_fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            os.close(self._notes_fd)
            self._notes_fd = -1
            return False
        self._note(self._notes.add(data, now))
        self._noted = now
        return True

    def _note(self, data: bytes, last: bool = False) -> None:
        """Prints without credit are dropped, since nothing waits for them. How many is said even so, in the end."""
        if data and (self._spent >= self._granted or sum(len(body) for body, _ in self._held) > _MOST_HELD):
            self._notes.lost(data)
            data = b""
        if data or (last and self._notes.dropped):
            header = {"epoch": self.epoch, "stream": "print", "dropped": self._notes.dropped}
            self._hold(frames.encode(frames.NOTE, self.number, header, data))
            self._notes.dropped = 0

    # --- what home says

    def credit(self, granted: int) -> None:
        """Bytes in all that may have been sent since the start. A smaller number than before is an old one."""
        self._granted = max(self._granted, granted)

    def fed(self, data: bytes, end: bool) -> None:
        """Source bytes."""
        if self.feed is None or not self.feed.add(data, end):
            self._fault("protocol", "source bytes that were not granted")
            self.kill("failed", "source bytes that were not granted")

    def drain(self, now: float) -> None:
        """Asks for a last cut and an end."""
        if self._drain_until is None and not self._dying and not self.reaped:
            self._drained = True
            self._drain_until = now + frames.DRAIN_S
            self._ask_to_drain()

    def _ask_to_drain(self) -> None:
        hurry(self.pid)
        os.kill(self.pid, DRAIN_SIGNAL)

    def abort(self) -> None:
        """Ends it at once; what has not gone home stays here."""
        self.kill("killed", "cancelled", discard=True)

    # --- deadlines and the end

    def tick(self, now: float) -> None:
        """Looks at the clock."""
        if self._filter_until is not None and now >= self._filter_until:
            text = "the filter did not answer within %g s" % (self._filter_s or 0)
            self._fault("deadline", text)
            self.kill("failed", text)
        if self._drain_until is not None and now >= self._drain_until:
            self.kill("killed", "did not drain within %g s" % frames.DRAIN_S, discard=True)
        if self._silent_at is not None and now - self._silent_at > LINGER_S and not self._dying:
            self.kill("failed", "the job closed its output")
        if self._dying and not self.reaped:
            self.strike()
        if now - self._noted >= _NOTE_S:
            self._noted = now
            self._note(self._notes.rest(now))

    def count_processes(self) -> None:
        """Holds the tree against its limit."""
        if self._dying or self.reaped:
            return
        below = tree.descendants(self.pid)
        if len(below) >= self._processes and tree.living(below) >= self._processes:
            text = "more than %d processes" % self.limits.processes
            self._fault("limit", text)
            self.kill("killed", text)

    def kill(self, state: str, reason: str, discard: bool = False) -> None:
        """Kills whatever the job is; the first reason stands.

        Args:
            state: what END will say, unless an end is known already.
            reason: one sentence.
            discard: what was not sent yet is dropped, so that END need not wait for credit.
        """
        if self.over:
            return
        self._filter_until = self._drain_until = None
        if discard and not self._sealed:
            self._held.clear()
            self._give_up_frames()
            self._end = (state, reason)
        elif self._end is None:
            self._end = (state, reason)
        self._dying = True
        if not self.reaped:
            self.strike()

    def strike(self) -> None:
        """Kills its process, and whatever that has started."""
        tree.kill(self.pid, group=True)

    @property
    def ended(self) -> bool:
        """It has said its end and closed its output."""
        return self._end is not None and self._frames_fd < 0

    def _give_up_frames(self) -> None:
        if self._frames_fd >= 0:
            os.close(self._frames_fd)
            self._frames_fd = -1

    def died(self, status: int, now: float) -> None:
        """The process was reaped with this wait status."""
        self.reaped = True
        self._reaped_at = now
        self._filter_until = self._drain_until = None
        if self.feed is not None:
            self.feed.close()
        self._death = _death(status)
        self._from_outside = os.WIFSIGNALED(status) and os.WTERMSIG(status) in _FROM_OUTSIDE

    def settle(self, strays: bool, now: float) -> None:
        """Once nothing is left of a process that is gone, takes in what it wrote, and makes the end."""
        if not self.reaped or self._sealed or (strays and now - self._reaped_at < REAP_S):
            return
        while self._notes_fd >= 0 and self._read_notes(now):
            pass
        while self._frames_fd >= 0 and self._hungry and self._rate.level(now) > 0:
            self._read_frames()
        if self._frames_fd < 0 and not self._held:
            self._note(self._notes.rest(now))
            self._note(b"", last=True)
            self._hold(frames.encode(frames.END, self.number, self._end_header()))
            self._sealed = True

    def _end_header(self) -> Dict[str, Any]:
        state, reason = self._end or self._death
        return {
            "epoch": self.epoch,
            "seq": self._seq,
            "state": state,
            "reason": reason,
            "drained": self._drained and state == "done",
            "broken": self._end is None and self._from_outside,
            "counters": self.counters,
        }

    # --- what goes home

    def next_body(self) -> Optional[bytes]:
        """The next frame that may go, None while there is none or no credit for it."""
        while self._held:
            body, seq = self._held[0]
            if body[0] in frames.SPENDS_CREDIT:
                if self._spent >= self._granted and body[0] != frames.NOTE:
                    return None
                if self._spent >= self._granted and frames.decode(body).payload:
                    self._held.popleft()
                    self._notes.lost(frames.decode(body).payload)
                    continue
                self._spent += len(body)
            self._held.popleft()
            self._seq = seq or self._seq
            self.over = body[0] == frames.END
            return body
        return None

    def _hold(self, body: bytes, seq: int = 0) -> None:
        """Queues a frame; ``seq`` if it completes that cut."""
        self._held.append((body, seq))

    def _fault(self, code: str, text: str) -> None:
        self._hold(frames.encode(frames.FAULT, self.number, {"epoch": self.epoch, "code": code, "text": text}))

    def close(self) -> None:
        """Gives back every descriptor."""
        self._give_up_frames()
        if self._notes_fd >= 0:
            os.close(self._notes_fd)
            self._notes_fd = -1
        if self.feed is not None:
            self.feed.close()


def _death(status: int) -> Tuple[str, str]:
    """The end of a process that did not say why it ended."""
    if not os.WIFSIGNALED(status):
        return "failed", "its process ended with status %d before the job did" % os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    return ("killed" if number == signal.SIGKILL else "failed"), "its process died of signal %d" % number
