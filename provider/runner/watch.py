"""Waiting for files to change: inotify where it is to be had, and for signals in any case.

Knows descriptors. Does not know logs.

Nothing here may be relied upon: file systems over a network say nothing of changes made elsewhere, and there is a limit
of watches. So whoever waits looks by itself now and then, more often at what has no watch.
"""

import os
import select
import signal
import struct
from typing import Any, Dict, List, Optional, Set

_MODIFY = 0x2
_NAMES = 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800  # moved from and to, created, deleted, and itself deleted, moved
_MOVED = 0x800
_OVERFLOW = 0x4000
_IGNORED = 0x8000
_EVENT = struct.Struct("iIII")
_READ_BYTES = 64 << 10


class Watch:
    """Descriptors of files and paths of folders, and what happened to them."""

    __slots__ = ("_add", "_fd", "_files", "_folders", "_hooked", "_poll", "_read", "_remove", "_wake", "names")

    def __init__(self) -> None:
        self._add: Any = None
        self._remove: Any = None
        self._fd = self._read = self._wake = -1
        #: By watch descriptor, the file's descriptor.
        self._files: "Dict[int, int]" = {}
        self._folders: "Dict[str, int]" = {}
        self._hooked = False
        self._poll = select.poll()
        #: Something happened to names, or to more than was told.
        self.names = False
        try:
            self._inotify()
        except (ImportError, AttributeError, OSError):
            pass

    def _inotify(self) -> None:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd >= 0:
            self._fd = fd
            self._add, self._remove = libc.inotify_add_watch, libc.inotify_rm_watch
            self._poll.register(fd, select.POLLIN)

    # --- what is watched

    def file(self, fd: int) -> Optional[int]:
        """Watches an open file, whatever its name is or becomes. Its watch, None where it has none."""
        if self._fd < 0:
            return None
        found = self._add(self._fd, b"/proc/self/fd/%d" % fd, _MODIFY)
        if found < 0:
            return None
        self._files[found] = fd
        return int(found)

    def forget(self, watch: Optional[int]) -> None:
        """Ends the watch of a file, which another descriptor of the same file may have taken over."""
        if watch is not None and self._files.pop(watch, None) is not None:
            self._remove(self._fd, watch)

    def folder(self, path: bytes) -> None:
        """Watches the names in a folder."""
        name = os.fsdecode(path)
        if self._fd >= 0 and name not in self._folders:
            found = self._add(self._fd, path, _NAMES)
            if found >= 0:
                self._folders[name] = found

    # --- what happened

    def changed(self) -> Set[int]:
        """The watches of files that were written since the last time; sets `names`."""
        if self._read >= 0:
            self._drain()
        found: "Set[int]" = set()
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                break
            for watch, mask in self._events(data):
                if mask & _MODIFY:
                    found.add(watch)
                elif mask & (_IGNORED | _MOVED):
                    self._gone(watch)
                if mask & (_NAMES | _OVERFLOW):
                    self.names = True
                if mask & _OVERFLOW:
                    found.update(self._files)
        return found

    def _events(self, data: bytes) -> "List[tuple[int, int]]":
        events = []
        at = 0
        while at < len(data):
            watch, mask, _, size = _EVENT.unpack_from(data, at)
            events.append((watch, mask))
            at += _EVENT.size + size
        return events

    def _gone(self, watch: int) -> None:
        self._files.pop(watch, None)
        for name, known in list(self._folders.items()):
            if known == watch:
                del self._folders[name]
                self.names = True

    def wakes(self) -> bool:
        """Signals end a wait."""
        self._hook()
        return self._wake >= 0

    def wait(self, seconds: float) -> None:
        """Until something happens, a signal too, or so long."""
        self._poll.poll(int(seconds * 1000) + 1)

    def _hook(self) -> None:
        """Makes signals end a wait: Python would go on waiting after their handlers."""
        if self._hooked:
            return
        self._hooked = True
        try:
            read, wake = os.pipe()
        except OSError:
            return
        for fd in (read, wake):
            os.set_blocking(fd, False)
        try:
            signal.set_wakeup_fd(wake)
        except ValueError:  # not in the main thread, where no signals come
            os.close(read)
            os.close(wake)
            return
        self._read, self._wake = read, wake
        self._poll.register(read, select.POLLIN)

    def _drain(self) -> None:
        try:
            while len(os.read(self._read, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def fileno(self) -> int:
        """What tells of changes; -1 where nothing does."""
        return self._fd

    def close(self) -> None:
        """Gives everything back."""
        if self._wake >= 0:
            signal.set_wakeup_fd(-1)
        for fd in (self._fd, self._read, self._wake):
            if fd >= 0:
                os.close(fd)
        self._fd = self._read = self._wake = -1
