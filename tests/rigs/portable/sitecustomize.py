"""Makes Linux look like a Unix without Linux's own calls: what a macOS user's Python lacks is gone.

The test run ``--hide-linux`` imports it, and puts its directory on PYTHONPATH, so that each Python which a test starts
imports it as well. It knows what the program may not rely on at home; runners are started with ``-I`` and stay what
they are, since their host has Linux.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import select
import selectors
import signal
import socket
import sys
import sysconfig
import types

#: What is taken away, by module. A name that this Python lacks anyway is no error.
HIDDEN = {
    os: (
        "sched_setscheduler sched_getscheduler sched_setaffinity sched_getaffinity sched_setparam sched_param "
        "SCHED_IDLE SCHED_BATCH pipe2 pidfd_open memfd_create eventfd splice copy_file_range posix_fadvise getrandom "
        "setresuid unshare setns O_PATH O_NOATIME"
    ),
    select: "epoll EPOLLIN EPOLLOUT",
    selectors: "EpollSelector",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo",
    socket: "SO_PEERCRED AF_NETLINK SOCK_CLOEXEC SOCK_NONBLOCK",
}
#: Functions of Linux's libc that are looked up by name.
HIDDEN_CALLS = ("prctl", "syscall", "unshare", "setns", "inotify_init1", "inotify_add_watch", "pidfd_open")
HIDDEN_PATHS = ("/proc", "/sys")


def hide() -> None:
    """Take it all away, for the life of this process."""
    _answer_for_macos()
    for module, names in HIDDEN.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    selectors.DefaultSelector = selectors.PollSelector  # type: ignore[assignment,misc]
    _hide_libc()
    _hide_paths()
    sys.platform = "darwin"


def _answer_for_macos() -> None:
    """What the standard library wants of a real macOS once it believes that it is on one.

    sysconfig and ctypes.util look at the platform's name when they are first used, so they are used before it changes;
    urllib asks a module for the proxies of the system settings.
    """
    sysconfig.get_config_vars()
    importlib.import_module("ctypes.util")
    settings = types.ModuleType("_scproxy")
    vars(settings).update(_get_proxies=dict, _get_proxy_settings=dict)
    sys.modules["_scproxy"] = settings


def _hide_libc() -> None:
    load, look_up = ctypes.CDLL.__init__, ctypes.CDLL.__getattr__

    def init(self: ctypes.CDLL, name: str | None, *args: object, **options: object) -> None:
        if name is not None and str(name).startswith("libc.so"):
            raise OSError(f"dlopen({name}): image not found")
        load(self, name, *args, **options)  # type: ignore[arg-type]

    def getattr_(self: ctypes.CDLL, name: str) -> object:
        if name in HIDDEN_CALLS:
            raise AttributeError(f"dlsym({name}): symbol not found")
        return look_up(self, name)

    ctypes.CDLL.__init__ = init  # type: ignore[method-assign]
    ctypes.CDLL.__getattr__ = getattr_  # type: ignore[method-assign,assignment]


def _hide_paths() -> None:
    """Opening and listing raise an audit event, which may refuse; the calls that raise none are wrapped."""

    def refuse(path: object) -> None:
        text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if text.startswith("/") and any(text == hidden or text.startswith(hidden + "/") for hidden in HIDDEN_PATHS):
            raise FileNotFoundError(2, "No such file or directory", text)

    def audit(event: str, args: tuple[object, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir") and args:
            refuse(args[0])

    def wrapped(name: str) -> None:
        call = getattr(os, name)

        def checked(path: object, *args: object, **options: object) -> object:
            refuse(path)
            return call(path, *args, **options)

        setattr(os, name, checked)

    sys.addaudithook(audit)
    for name in ("stat", "lstat", "readlink", "access"):
        wrapped(name)


hide()
