"""The runner's one loop: reads what home says, starts jobs, passes on what they say, ends with its lease.

Knows frames, jobs and descriptors. Never runs a line of a user's code, never waits for anything but `poll`: a job that
floods, a home that does not read and a full pipe must not keep it from looking at its lease.
"""

import os
import select
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional

from provider.runner import frames, tree
from provider.runner.lease import Lease
from provider.runner.orders import Order, OrderError, parse
from provider.runner.outbox import Outbox

if TYPE_CHECKING:
    from provider.runner.jobs import Job
    from provider.runner.scanjobs import ScanChild

#: Every link says something this often. Shorter costs wakeups on idle hosts, longer makes a dead link show later.
BEAT_S = 1.0
#: A beat goes with home's, which is awaited for so many times as long.
_LATE = 1.1
#: Ended jobs that are remembered, so that a START that was sent twice does not run twice.
_REMEMBERED = 4096
_READ_BYTES = 64 << 10
#: What a first job needs, each after what it imports itself.
_AHEAD = ("faults", "script", "aggregates", "cuts", "lines", "child", "jobs", "spawn")

#: Exit statuses: home closed the link; home was silent; somebody sent SIGTERM; home sent what is no frame.
CLOSED, SILENT, TERMINATED, BROKEN = 0, 75, 143, 65


class Stop(Exception):
    """The runner ends. ``status`` is its exit status, the text goes to stderr."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status


class Supervisor:
    """See the module.

    Args:
        down: descriptor of what home says.
        up: descriptor for frames.
    """

    def __init__(self, down: int, up: int) -> None:
        self._down = down
        self._up = up
        self._jobs: Dict[int, Job] = {}
        self._turns: Deque[int] = deque()
        #: Does the plans.
        self._scan: Optional[ScanChild] = None
        self._epochs: Dict[int, int] = {}
        self._joiners: Dict[int, frames.Joiner] = {}
        self._splitter = frames.Splitter()
        self._outbox = Outbox(up)
        self._poll = select.poll()
        self._registered: Dict[int, int] = {}
        self._lease = Lease(time.monotonic())
        self._beat_at = time.monotonic() + BEAT_S
        #: Of `_AHEAD`, backwards: once home has greeted it is about to send a job, which takes a round trip at least.
        self._ahead: List[str] = []
        os.set_blocking(down, False)
        os.set_blocking(up, False)

    def run(self) -> int:
        """Runs to the end of the lease; the exit status. Nothing that it started lives on."""
        # A Ctrl-C on a terminal reaches a local runner too; whether jobs drain or die is said by home.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _terminate)
        try:
            while True:
                self._round()
        except Stop as exc:
            self._end_all()
            if str(exc):
                _complain(str(exc))
            return exc.status
        except BaseException:
            self._end_all()
            raise

    # --- one round

    def _round(self) -> None:
        now = time.monotonic()
        ready = self._wait(now)
        now = time.monotonic()
        for fd, event in ready:
            if fd == self._down:
                self._read(now)
            elif fd == self._up:
                if event & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
                    raise Stop(CLOSED)
            else:
                self._serve(fd, now)
        if self._lease.left(now) <= 0:
            raise Stop(SILENT, "no word from home for %g s" % self._lease.seconds)
        self._look_after(now)
        if now >= self._beat_at:
            self._beat(now)
        self._send()
        if not ready and self._ahead:
            __import__("provider.runner." + self._ahead.pop())

    def _wait(self, now: float) -> "List[tuple[int, int]]":
        """Polls what is wanted, until something happens or is due."""
        wanted = {self._down: select.POLLIN, self._up: select.POLLOUT if self._outbox.pending else 0}
        timeout = min(self._lease.left(now), self._beat_at - now)
        room = not self._outbox.full
        for job in self._jobs.values():
            wanted.update(job.watched(now, room))
            timeout = min(timeout, job.wait_s(now))
        for fd in set(self._registered) - set(wanted):
            self._poll.unregister(fd)
        for fd, mask in wanted.items():
            if self._registered.get(fd) != mask:
                self._poll.register(fd, mask)
        self._registered = wanted
        return self._poll.poll(0.0 if self._ahead else max(0.0, timeout) * 1000.0 + 1.0)

    def _serve(self, fd: int, now: float) -> None:
        for job in self._jobs.values():
            if job.owns(fd):
                job.ready(fd, now)
                return

    def _look_after(self, now: float) -> None:
        """Deadlines, deaths and what the dead leave behind."""
        for job in self._jobs.values():
            job.tick(now)
        self._reap(now)
        if any(job.reaped for job in self._jobs.values()):
            strays = self._kill_strays()
            for job in self._jobs.values():
                job.settle(strays, now)

    def _reap(self, now: float) -> None:
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            ended = [job for job in self._jobs.values() if job.pid == found.si_pid and not job.reaped]
            if ended:
                # As long as it is a zombie its group is its own, and without /proc nothing else of it is found.
                tree.kill(found.si_pid, group=True)
            status = os.waitpid(found.si_pid, 0)[1]
            for job in ended:
                job.died(status, now)

    def _kill_strays(self) -> bool:
        """Kills children that are no job's process: a job that ended left them (see tree). True if there were any."""
        known = {job.pid for job in self._jobs.values() if not job.reaped}
        strays = [pid for pid in tree.children(os.getpid()) if pid not in known]
        for pid in strays:
            tree.kill(pid)
        return bool(strays)

    def _beat(self, now: float) -> None:
        self._beat_at = now + BEAT_S * _LATE
        at = time.time()
        self._outbox.urgent(frames.BEAT, 0, {"now": at})
        for job in self._jobs.values():
            job.count_processes()
            if job.counters != job.beaten:
                job.beaten = job.counters
                self._outbox.urgent(frames.BEAT, job.number, dict(job.counters, now=at))
        if self._jobs:
            self._kill_strays()

    def _send(self) -> None:
        """Sends until the link takes no more or nobody has anything that may go."""
        for job in self._jobs.values():
            granted = job.feed.grant() if job.feed is not None else 0
            if granted:
                self._outbox.urgent(frames.CREDIT, job.number, {"granted": granted})
        try:
            self._fill()
            self._outbox.write()
            while not self._outbox.pending and self._fill():
                self._outbox.write()
        except OSError:
            raise Stop(CLOSED)

    def _fill(self) -> bool:
        """Fills the outbox, a frame a job in turn; False when there was nothing."""
        before = self._outbox.size
        idle = 0
        while idle < len(self._turns) and not self._outbox.full:
            job = self._jobs[self._turns[0]]
            self._turns.rotate(-1)
            body = job.next_body()
            if body is None:
                idle += 1
                continue
            idle = 0
            if job.over:
                self._forget(job)
            self._outbox.put(body)
        return self._outbox.size > before

    def _forget(self, job: "Job") -> None:
        job.close()
        self._outbox.forget(job.number)
        self._turns.remove(job.number)
        del self._jobs[job.number]

    # --- what home says

    def _read(self, now: float) -> None:
        try:
            data = os.read(self._down, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise Stop(CLOSED)
        self._lease.heard(now)
        try:
            for body in self._splitter.feed(data):
                self._hear(frames.decode(body), now)
        except frames.FrameError as exc:
            raise Stop(BROKEN, str(exc))

    def _hear(self, frame: frames.Frame, now: float) -> None:
        header = frame.header
        if frame.kind in (frames.HELLO, frames.BEAT):
            self._greet(frame)
            # A beat of our own at once, while we are awake: to wake up for it half a second later costs as much again.
            self._beat_at = now
        elif frame.kind == frames.START:
            joined = self._joiners.setdefault(frame.job, frames.Joiner()).add(frame)
            if joined is not None:
                del self._joiners[frame.job]
                self._start(joined, now)
        elif frame.kind == frames.CANCEL and frame.job == 0:
            for job in self._jobs.values():
                _cancel(job, header, now)
        elif frame.kind >= frames.KIND_CRITICAL:
            raise frames.FrameError("a %s frame, which may not be skipped" % frames.name(frame.kind))
        elif frame.job in self._jobs:
            self._tell(self._jobs[frame.job], frame, now)

    def _greet(self, frame: frames.Frame) -> None:
        if "lease_s" in frame.header:
            self._lease.extend(frame.header["lease_s"])
        if frame.kind == frames.HELLO:
            self._ahead = list(reversed(_AHEAD))
        if frame.kind == frames.HELLO and not _understood(frame.header):
            text = "this runner speaks version %d only" % frames.VERSION
            self._outbox.put(frames.encode(frames.FAULT, 0, {"epoch": 0, "code": "version", "text": text}))
            self._outbox.write()
            raise Stop(BROKEN, text)

    def _tell(self, job: "Job", frame: frames.Frame, now: float) -> None:
        if frame.kind == frames.CREDIT and type(frame.header.get("granted")) is int:
            job.credit(frame.header["granted"])
        elif frame.kind == frames.FEED:
            job.fed(frame.payload, bool(frame.header.get("end")) and not frame.header.get("more"))
        elif frame.kind == frames.CANCEL:
            _cancel(job, frame.header, now)

    def _start(self, frame: frames.Frame, now: float) -> None:
        epoch = frame.header.get("epoch")
        if frame.job == 0 or type(epoch) is not int:
            raise frames.FrameError("a start frame without a job or an epoch")
        if epoch <= self._epochs.get(frame.job, 0) or frame.job in self._jobs:
            return
        while len(self._epochs) >= _REMEMBERED:
            del self._epochs[next(iter(self._epochs))]
        self._epochs[frame.job] = epoch
        try:
            self._begin(frame.job, parse(frame.header, frame.payload), now)
        except OrderError as exc:
            self._refuse(frame.job, epoch, "refused", str(exc))
        except OSError as exc:
            self._refuse(frame.job, epoch, "failed", "no process for the job: %s" % exc.strerror)

    def _begin(self, number: int, order: Order, now: float) -> None:
        # The first job pays for its modules; the supervisor imports them, so that later children have them.
        from provider.runner import child, jobs, spawn

        if order.lines:
            from provider.runner import opening  # noqa: F401

        if not self._jobs:
            spawn.adopt_orphans()
            signal.pthread_sigmask(signal.SIG_BLOCK, (spawn.DRAIN_SIGNAL,))
        if order.plan:
            job = self._planned(number, order, now)
        else:
            process = spawn.spawn(
                order.limits, order.feed, lambda: child.run(order.epoch, order.payload, order.kept), order.guard
            )
            job = jobs.Job(number, order, process, now)
        self._jobs[number] = job
        self._turns.append(number)
        if job.feed is not None:
            self._outbox.urgent(frames.CREDIT, number, {"granted": job.feed.granted})

    def _planned(self, number: int, order: Order, now: float) -> "Job":
        from provider.runner import scanjobs

        if order.guard:  # what it starts ends with it, and with nobody else
            return scanjobs.PlanJob(number, order, scanjobs.ScanChild(order.limits, True), now)
        if self._scan is None or self._scan.over:
            self._scan = scanjobs.ScanChild(order.limits)
        return scanjobs.PlanJob(number, order, self._scan, now)

    def _refuse(self, job: int, epoch: int, state: str, reason: str) -> None:
        header = {"epoch": epoch, "seq": 0, "state": state, "reason": reason, "drained": False, "counters": {}}
        self._outbox.put(frames.encode(frames.END, job, header))

    # --- the end

    def _end_all(self) -> None:
        """Kills everything, and waits for it to be gone as long as that is likely to help."""
        deadline = time.monotonic() + 2.0
        for job in self._jobs.values():
            if not job.reaped:
                tree.kill(job.pid, group=True)
        while time.monotonic() < deadline:
            self._reap(time.monotonic())
            left = tree.children(os.getpid())
            if not left and all(job.reaped for job in self._jobs.values()):
                return
            for pid in left:
                tree.kill(pid)
            time.sleep(0.005)


def _cancel(job: "Job", header: Dict[str, Any], now: float) -> None:
    if header.get("mode") == "abort":
        job.abort()
    else:
        job.drain(now)


def _understood(header: Dict[str, Any]) -> bool:
    """Whether the peer and we have a version in common."""
    version, oldest = header.get("version"), header.get("oldest")
    return isinstance(version, int) and isinstance(oldest, int) and oldest <= frames.VERSION <= version


def _terminate(_number: int, _frame: object) -> None:
    raise Stop(TERMINATED, "terminated")


def _complain(text: str) -> None:
    """One line on stderr, if anybody listens."""
    try:
        sys.stderr.write("logreduce: %s\n" % text)
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
