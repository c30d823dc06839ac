"""The scan child: one process that reads logs for all plan jobs of a runner, a file once for those that are together.

Knows jobs, readers, and whose turn it is. Does not know what a plan means or how files are read. It travels with plans:
standard library only, Python 3.6.

Theory of operation
-------------------
One loop, which never waits but in `poll`: what the supervisor says, pipes that take something again, then a block for
each reader. A reader that is behind another one of the same sources has more turns, so that it catches up and joins it.
A job whose pipe takes nothing reads on as long as it may hold what it has folded; then it leaves its reader, which goes
on for the others, and begins anew where it was when its pipe is empty. A source that has no positions is not read
meanwhile.
"""

import gc
import os
import resource
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
#: How long pipes may take to be told why this process ends.
_LAST_S = 2.0


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

    def run(self, found: "List[Tuple[frames.Frame, List[int]]]") -> None:
        """Until the supervisor hangs up. What is wrong here is the end of all jobs, for that reason."""
        signal.signal(DRAIN_SIGNAL, signal.SIG_IGN)
        idle()
        try:
            while True:
                for frame, fds in found:
                    self._hear(frame, fds)
                self._advance()
                self._look_after()
                found = self._inbox.receive() if self._wait() else []
        except EOFError:
            return
        except MemoryError:
            self._die(_out_of_memory())
            raise
        except Exception as exc:
            self._die(Fault("raised", "the process that reads for all plans failed: %s" % faults.sentence(exc)))
            raise

    def _die(self, fault: Fault) -> None:
        """Each job says why it ends, as far as its pipe takes that."""
        jobs = [job for job in self._jobs.values() if not job.outlet.gone]
        for job in jobs:
            if not job.over:
                job.fail(fault)
        until = now() + _LAST_S
        while any(job.outlet.pending for job in jobs) and now() < until:
            waiting = select.poll()
            for job in jobs:
                if job.outlet.pending:
                    waiting.register(job.outlet.fd, select.POLLOUT)
            waiting.poll(_LAST_S * 1000)
            for job in jobs:
                job.outlet.write()

    def _wait(self) -> bool:
        """Until something can be done; True if the supervisor says something."""
        wanted = {0: select.POLLIN}
        idle_s = [reader.nap_s() for reader in self._readers] + [job.wait_s() for job in self._jobs.values()]
        at_work = any(not (reader.idle or reader.stuck) for reader in self._readers)
        nap_s = 0.0 if at_work else min(idle_s + [_NAP_S])
        for reader in self._readers if nap_s else ():
            fd = reader.source.fileno()
            if fd >= 0 and not reader.stuck:
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

    def _hear(self, frame: frames.Frame, fds: List[int]) -> None:
        if frame.kind == frames.START:
            self._start(frame, *fds)
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

    def _start(self, frame: frames.Frame, fd: int, fed: int = -1) -> None:
        epoch = frame.header["epoch"]
        try:
            job = ScanJob(frame.job, epoch, fd, parse(frame.payload), fed)
        except Failure as exc:
            _refuse(epoch, fd, exc.fault)
            if fed >= 0:
                os.close(fed)
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
            if reader.stuck:
                continue
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
        elif isinstance(exc, Failure):
            job.fail(exc.fault)
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
            if job.reader is not None and job.blocked and job.reader.source.positioned:
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
        job.close()
        self._registered.pop(job.outlet.fd, None)
        del self._jobs[job.number]


def _out_of_memory() -> Fault:
    """To be told with the reserve that the hard limit holds back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    gc.collect()
    return Fault("memory", "the plans need more than the %d MB of memory that they have" % (soft >> 20), state="killed")


def _refuse(epoch: int, fd: int, fault: Fault) -> None:
    """An end before the beginning. The pipe is empty, and takes so much."""
    outlet = Outlet(fd, epoch)
    tell(outlet, fault, 0, {})
    outlet.close()
