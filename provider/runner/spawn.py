"""Makes a job's process: forked off the supervisor, limited before any line of a user runs.

Knows Linux's ways to limit a process. Does not know what the process will do.

What a child has: descriptor 0 is its fed source (or nothing), 1 and 2 are one pipe of prints, 3 takes frames.
Everything else that the supervisor holds is closed. The limits are those of orders.Limits; scheduling limits bind
children only, so that a supervisor answers its beats on a busy host.
"""

import os
import resource
import signal
import sys
from typing import Any, Callable, List, NamedTuple, Tuple

from provider.runner.orders import Limits

try:
    import ctypes
except ImportError:  # a Python without libffi; what needs it is a second line of defence
    ctypes = None  # type: ignore[assignment]

#: The descriptor that takes a job's frames.
FRAMES_FD = 3

#: Asks a job to come to an end by itself. Blocked from before the fork until the job can handle it.
DRAIN_SIGNAL = signal.SIGUSR1

#: What a process that is out of memory gets on top, so that it can still say so.
MEMORY_RESERVE_BYTES = 16 << 20

PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "ppc64le": 273, "s390x": 282, "armv7l": 314, "i686": 289, "riscv64": 30}
_IOPRIO_IDLE = 3 << 13
_CAP_SYS_NICE = 23


class Child(NamedTuple):
    """A job's process and the supervisor's ends of its pipes, all non-blocking. ``feed_fd`` -1: it is not fed."""

    pid: int
    frames_fd: int
    notes_fd: int
    feed_fd: int


def spawn(limits: Limits, feed: bool, work: Callable[[], None], guarded: bool = False, inbox: int = -1) -> Child:
    """Forks a process that does `work` and nothing else.

    Args:
        guarded: a guard stands between, and is what the number is of (see guard).
        inbox: what the child has as its descriptor 0 instead of a fed source.

    Raises:
        OSError: no process or no descriptor is to be had.
    """
    if guarded:  # here already, so that it is compiled once and not in each child
        from provider.runner import guard  # noqa: F401

    pipes: List[Tuple[int, int]] = []
    parent = os.getpid()
    try:
        pipes.extend(os.pipe() for _ in range(3))
        pid = os.fork()
    except OSError:
        for pipe in pipes:
            for fd in pipe:
                os.close(fd)
        raise
    (frames_r, frames_w), (notes_r, notes_w), (feed_r, feed_w) = pipes
    if pid == 0:
        _child(parent, (feed_r if inbox < 0 else inbox, notes_w, frames_w), limits, work, guarded)
    for fd in (frames_w, notes_w, feed_r):
        os.close(fd)
    if not feed:
        os.close(feed_w)
        feed_w = -1
    for fd in (frames_r, notes_r):
        os.set_blocking(fd, False)
    return Child(pid, frames_r, notes_r, feed_w)


def _child(parent: int, ends: "tuple[int, int, int]", limits: Limits, work: Callable[[], None], guarded: bool) -> None:
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if guarded:
            from provider.runner import guard

            parent = guard.stand_between(parent)
        _descriptors(*ends)
        _bound_to(parent)
        _yield_to_others()
        _limit(limits)
        work()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        # Whatever happened, this process must never come back into the supervisor's loop.
        os._exit(status)


def _descriptors(feed_r: int, notes_w: int, frames_w: int) -> None:
    os.dup2(feed_r, 0)
    os.dup2(notes_w, 1)
    os.dup2(notes_w, 2)
    if frames_w != FRAMES_FD:
        os.dup2(frames_w, FRAMES_FD, False)
    os.closerange(FRAMES_FD + 1, most_fd() + 1)


def most_fd() -> int:
    """The highest descriptor of this process, or more."""
    try:
        return max(int(name) for name in os.listdir("/proc/self/fd"))
    except OSError:
        return 4096


def _bound_to(parent: int) -> None:
    """Dies with the supervisor, and is given whatever its own descendants leave behind (see tree)."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:
        os._exit(1)


def _yield_to_others() -> None:
    """Runs after everybody else. What a container forbids is left as it is: other limits hold."""
    try:
        os.nice(19)
    except OSError:
        pass
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None and ctypes is not None:
        _libc().syscall(ctypes.c_long(number), ctypes.c_long(1), ctypes.c_long(0), ctypes.c_long(_IOPRIO_IDLE))


def idle() -> None:
    """Runs only when nobody else wants to: the map, which may take as long as it likes.

    Not the filter: it has a deadline on the wall clock, and on a busy host SCHED_IDLE gets a three-hundredth of a core,
    so that just the hosts that are asked about for being busy would fail. And not where SCHED_IDLE cannot be left any
    more (see hurry): nice 19 alone leaves a seventieth of a core to it, which is enough for a last cut.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE if _may_leave_idle() else os.SCHED_BATCH, os.sched_param(0))
    except (OSError, AttributeError):
        pass


def _may_leave_idle() -> bool:
    """Linux takes SCHED_IDLE for a nice of 20: to leave it for 19 takes a privilege, or a limit that allows it."""
    if resource.getrlimit(resource.RLIMIT_NICE)[0] != 0:  # 1 is nice 19; infinite is negative
        return True
    try:
        with open("/proc/self/status", "rb") as file:
            privileges = next((int(line.split()[1], 16) for line in file if line.startswith(b"CapEff:")), 0)
    except (OSError, ValueError):
        return os.geteuid() == 0
    return bool(privileges >> _CAP_SYS_NICE & 1)


def hurry(pid: int) -> None:
    """Lets a job that has three seconds to hand over its last cut have a turn on a busy host, still at nice 19.

    SCHED_IDLE waits for a core that nobody else wants; on a host that never has one, every drain would be a kill.
    """
    try:
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
    except (OSError, AttributeError):
        pass


def _limit(limits: Limits) -> None:
    memory = limits.memory_mb << 20
    _lower(resource.RLIMIT_AS, memory, memory + MEMORY_RESERVE_BYTES)
    _lower(resource.RLIMIT_NOFILE, limits.files, limits.files)
    _lower(resource.RLIMIT_FSIZE, limits.file_mb << 20, limits.file_mb << 20)
    _lower(resource.RLIMIT_CORE, 0, 0)


def _lower(what: int, soft: int, hard: int) -> None:
    """Never above what the host allows already."""
    ceiling = resource.getrlimit(what)[1]
    if ceiling != resource.RLIM_INFINITY:
        hard = min(hard, ceiling)
    resource.setrlimit(what, (min(soft, hard), hard))


def adopt_orphans() -> None:
    """Makes this process the subreaper of all that its children start."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, value: int) -> None:
    """Linux's prctl, for the options that take one number. Without a libc that has it, nothing happens."""
    call = getattr(_libc(), "prctl", None) if ctypes is not None else None
    if call is not None:
        call(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
