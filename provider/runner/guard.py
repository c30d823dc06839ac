"""A process between the supervisor and a job that starts others: it outlives a supervisor that is killed, just long
enough to kill whatever the job has started.

Knows two processes and signals. Runs no user's code, holds no descriptor, never waits but for a signal.

Theory of operation
-------------------
    supervisor -- guard -- job -- whatever it starts

The guard is a child subreaper, so that what loses its parent below it is given to it or to the job (see tree). When
the supervisor dies the kernel tells the guard, which kills all below it until nothing is left. When the job ends it
does the same, and ends as the job did: for the supervisor it *is* the job. It leads the group that the job is in.
Should the guard itself be killed, the job dies with it and the supervisor inherits the rest.
"""

import os
import resource
import signal
import time

from provider.runner import spawn, tree

#: What the kernel sends when the supervisor has died. Should anybody else send it, nothing happens.
_ORPHANED = signal.SIGUSR2
_HEARD = (signal.SIGUSR1, signal.SIGCHLD, _ORPHANED)
#: What cannot be killed in this time sleeps uninterruptibly, or belongs to somebody else by now.
_KILL_S = 5.0


def stand_between(supervisor: int) -> int:
    """Makes the calling process a guard; returns in the job's process only, with the guard's number."""
    guard = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    spawn.adopt_orphans()
    job = os.fork()
    if job == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return guard
    status = 1 << 8
    try:
        os.closerange(0, spawn.most_fd() + 1)
        spawn.prctl(spawn.PR_SET_PDEATHSIG, _ORPHANED)
        status = _watch(supervisor, job)
    finally:
        _end_as(status)
    return 0  # never: the guard has ended


def _watch(supervisor: int, job: int) -> int:
    """Waits for the job's end or the supervisor's; the job's wait status when nothing is left below."""
    status = -1
    while status < 0 and os.getppid() == supervisor:
        heard = signal.sigwaitinfo(_HEARD).si_signo
        if heard == spawn.DRAIN_SIGNAL:
            spawn.hurry(job)
            os.kill(job, spawn.DRAIN_SIGNAL)
        status = _reap(job, status)
    until = time.monotonic() + _KILL_S
    while time.monotonic() < until:
        left = tree.descendants(os.getpid())
        for pid in left:
            _kill(pid)
        status = _reap(job, status)
        if not left:
            break
        signal.sigtimedwait(_HEARD, 0.01)
    return max(status, 0)


def _reap(job: int, status: int) -> int:
    """Takes in all that have died; the job's status once it is among them."""
    while True:
        try:
            pid, found = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if not pid:
            return status
        if pid == job:
            status = found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def _end_as(status: int) -> None:
    """Ends with the job's exit status, or of the signal that it died of."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
