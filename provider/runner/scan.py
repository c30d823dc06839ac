"""The scan child: one process that reads logs for all plan jobs of a runner, a file once for those that are together.

Knows jobs, readers, and whose turn it is. Does not know what a plan means or how files are read. It travels with plans:
standard library only, Python 3.6.

Theory of operation
-------------------
One loop, which never waits but in `poll`: what the supervisor says, pipes that take something again, then a block for
each reader. A reader that is behind another one of the same sources has more turns, so that it catches up and joins it.
A job whose pipe takes nothing reads on as long as it may hold what it has folded; then it leaves its reader, which goes
on for the others, and begins anew where it was when its pipe is empty.
"""

import select
import signal
from typing import Dict, List, Tuple

from provider.runner import faults, frames
from provider.runner.faults import Failure, Fault
from provider.runner.outlet import Outlet
from provider.runner.reading import Reader
from provider.runner.scanjob import ScanJob, now, parse, tell
from provider.runner.scanjobs import Inbox
from provider.runner.spawn import DRAIN_SIGNAL, idle

#: Blocks in a turn: of a reader that is alone, or behind another one.
_TURNS = 8
#: How long to wait at most.
_NAP_S = 5.0
#: For so long after a job has come readers make small steps, so that those who come with it have little to catch up.
_GATHER_S = 0.05


class Scanner:
    """See the module."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._jobs: Dict[int, ScanJob] = {}
        self._readers: List[Reader] = []
        self._poll = select.poll()
        self._registered: Dict[int, int] = {}
        #: Until then those who are asked for together are likely to come.
        self._gather_until = 0.0

    def run(self, found: "List[Tuple[frames.Frame, int]]") -> None:
        """Until the supervisor hangs up."""
        signal.signal(DRAIN_SIGNAL, signal.SIG_IGN)
        idle()
        try:
            while True:
                for frame, fd in found:
                    self._hear(frame, fd)
                self._advance()
                self._look_after()
                found = self._inbox.receive() if self._wait() else []
        except EOFError:
            return

    def _wait(self) -> bool:
        """Until something can be done; True if the supervisor says something."""
        wanted = {0: select.POLLIN}
        idle_s = [reader.nap_s() for reader in self._readers] + [job.wait_s() for job in self._jobs.values()]
        nap_s = 0.0 if any(not reader.idle for reader in self._readers) else min(idle_s + [_NAP_S])
        for reader in self._readers if nap_s else ():
            fd = reader.source.fileno()
            if fd >= 0:
                wanted[fd] = select.POLLIN
        for job in self._jobs.values():
            if job.outlet.pending:
                wanted[job.outlet.fd] = select.POLLOUT
        for fd in set(self._registered) - set(wanted):
            self._poll.unregister(fd)
        for fd, mask in wanted.items():
            if self._registered.get(fd) != mask:
                self._poll.register(fd, mask)
        self._registered = wanted
        return any(fd == 0 for fd, _ in self._poll.poll(nap_s * 1000))

    # --- what the supervisor says

    def _hear(self, frame: frames.Frame, fd: int) -> None:
        if frame.kind == frames.START:
            self._start(frame, fd)
            return
        job = self._jobs.get(frame.job)
        if frame.kind != frames.CANCEL or job is None:
            return
        if frame.header.get("mode") == "abort":
            self._forget(job)
        elif not job.over:
            job.done()
            self._leave(job)
            idle()  # it was woken up for this

    def _start(self, frame: frames.Frame, fd: int) -> None:
        epoch = frame.header["epoch"]
        try:
            job = ScanJob(frame.job, epoch, fd, parse(frame.payload))
        except Failure as exc:
            _refuse(epoch, fd, exc.fault)
            return
        self._jobs[frame.job] = job
        self._gather_until = now() + _GATHER_S
        job.outlet.send(frames.VERDICT, {"keep": True, "reason": None})
        self._read(job)

    def _read(self, job: ScanJob) -> None:
        """A reader of its own, where it is."""
        try:
            job.reader = Reader(job)
        except Failure as exc:
            job.fail(exc.fault)
            return
        self._readers.append(job.reader)

    # --- reading

    def _advance(self) -> None:
        for reader in list(self._readers):
            ahead = self._ahead(reader)
            behind = ahead is None and any(self._ahead(each) is reader for each in self._readers)
            if ahead is not None and self._together(reader, ahead):
                continue
            for _ in range(1 if behind or now() < self._gather_until else _TURNS):
                if reader.over:
                    break
                reader.step(ahead, self._raised)
                if reader.over or (ahead is not None and self._together(reader, ahead)):
                    break
                if reader.idle or any(job.blocked or job.due() for job in reader.jobs):
                    break
            if reader.over and reader in self._readers:
                self._finish(reader)

    def _together(self, reader: Reader, ahead: Reader) -> bool:
        """Makes one of two readers, if they are at the same place."""
        reader.collect()
        ahead.collect()
        joined = reader.joins(ahead)
        if joined:
            self._readers.remove(reader)
        return joined

    def _ahead(self, reader: Reader) -> "Reader | None":
        """Another one that is reading the same, the next that is not behind it."""
        found = None
        place = (reader.progress(), id(reader))
        for each in self._readers:
            if each is not reader and not each.over and each.what == reader.what:
                there = (each.progress(), id(each))
                if there > place and (found is None or there < (found.progress(), id(found))):
                    found = each
        return found

    def _finish(self, reader: Reader) -> None:
        """There is no more for those who were there from the beginning; the others look for themselves."""
        self._readers.remove(reader)
        for job in list(reader.late):
            reader.leave(job)
        for job in list(reader.jobs):
            job.done()

    def _raised(self, job: ScanJob, exc: Exception) -> None:
        if isinstance(exc, MemoryError):
            job.fail(Fault("memory", "needs more memory than the plans of a provider may have", state="killed"))
        else:
            job.fail(Fault("raised", faults.sentence(exc)))

    # --- jobs

    def _look_after(self) -> None:
        at = now()
        for job in list(self._jobs.values()):
            job.outlet.write()
            if job.outlet.gone or (job.over and not job.outlet.pending):
                self._forget(job)
                continue
            if job.over:
                continue
            if job.due():
                job.cut()
            if job.fold.broken:
                self._leave(job)
                job.fail(Fault("unserialisable", job.fold.broken))
                continue
            job.beat(at)
            if job.reader is not None and job.blocked:
                self._leave(job)
            elif job.reader is None and not job.outlet.pending:
                job.cut()
                self._read(job)

    def _leave(self, job: ScanJob) -> None:
        reader = job.reader
        if reader is not None:
            reader.leave(job)
            if not reader.jobs and reader in self._readers:
                self._readers.remove(reader)

    def _forget(self, job: ScanJob) -> None:
        self._leave(job)
        job.outlet.close()
        self._registered.pop(job.outlet.fd, None)
        del self._jobs[job.number]


def _refuse(epoch: int, fd: int, fault: Fault) -> None:
    """An end before the beginning. The pipe is empty, and takes so much."""
    outlet = Outlet(fd, epoch)
    tell(outlet, fault, 0, {})
    outlet.close()
