"""CURVE keys as files: the coordinator's pair, clients' pairs, and the list of clients that may come in.

Knows files and their modes: secrets 0600 in a directory 0700, one key in each, 40 characters of Z85. A pair is its
secret alone, since the public half follows from it and two files could fall out of step. Does not know sockets.

    DIRECTORY/server.key      the coordinator's secret
    DIRECTORY/NAME.key        a client's secret
    DIRECTORY/clients/NAME    the public key of a client that may come in
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from backplane.wire.errors import UsageError
from backplane.wire.zmq import Pair, is_key, new_pair, pair_of

SERVER: Final = "server"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Keys:
    """The keys of one directory.

    Args:
        directory: made when something is first written, for this user alone.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._clients = directory / "clients"

    def server(self) -> Pair:
        """The coordinator's pair, made now if there is none.

        Raises:
            UsageError: it cannot be read or written, or others may read it.
        """
        path = self._path(SERVER)
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # another process was quicker: its key counts
                self._write(path, new_pair().secret)
        return read_pair(path)

    def new(self, name: str) -> tuple[Pair, Path]:
        """A new client's pair, and the file of its secret.

        Raises:
            UsageError: the name cannot be one, or has a pair already.
        """
        path = self._path(_checked(name))
        pair = new_pair()
        try:
            self._write(path, pair.secret)
        except FileExistsError:
            raise UsageError(f"{path} exists already: a pair is never written over") from None
        return pair, path

    def pairs(self) -> dict[str, Path]:
        """Files of the pairs that are here, by name."""
        return {path.stem: path for path in sorted(self.directory.glob("*.key"))}

    def allow(self, name: str, key: str) -> None:
        """Let a client in from now on (a running coordinator reads it at its next reload).

        Raises:
            UsageError: no key, the name cannot be one, or it or its key is another's already.
        """
        path = self._clients / _checked(name)
        if not is_key(key):
            raise UsageError("a public key has 40 characters, as `logreduce coordinator keys new` prints it")
        if other := self.allowed().get(key):
            raise UsageError(f"this key is allowed already, as {other}")
        try:
            self._write(path, key)
        except FileExistsError:
            raise UsageError(f"{name} has another key already: revoke it first") from None

    def revoke(self, name: str) -> None:
        """Let a client in no more.

        Raises:
            UsageError: it was not allowed.
        """
        try:
            (self._clients / _checked(name)).unlink()
        except FileNotFoundError:
            raise UsageError(f"no client {name} is allowed in {self._clients}") from None

    def allowed(self) -> dict[str, str]:
        """Names of the clients that may come in, by public key.

        Raises:
            UsageError: a file holds no key, or others may write it.
        """
        found = {}
        for path in sorted(self._clients.iterdir()) if self._clients.is_dir() else ():
            if _NAME.fullmatch(path.name):
                found[_read(path)] = path.name
        return found

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.key"

    def _write(self, path: Path, key: str) -> None:
        """As a whole or not at all, and never over another.

        Raises:
            FileExistsError: there is one.
            UsageError: the directory is open to others, or cannot be written.
        """
        try:
            for directory in (self.directory, path.parent):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                _check_private(directory, 0o700)
            # pyzmq's own writer leaves the mode to the umask.
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(descriptor, "w", encoding="ascii") as file:
                    file.write(f"{key}\n")
                os.link(temporary, path)
            finally:
                temporary.unlink()
        except FileExistsError:
            raise
        except OSError as exc:
            raise UsageError(f"{path} cannot be written: {exc.strerror}") from exc


def read_pair(path: Path) -> Pair:
    """The pair of a file.

    Raises:
        UsageError: it cannot be read, others may read it, or it holds no key.
    """
    return pair_of(_read(path))


def _read(path: Path) -> str:
    try:
        _check_private(path, 0o600)
        key = path.read_text("ascii").strip()
    except FileNotFoundError:
        raise UsageError(f"there is no key at {path}") from None
    except OSError as exc:
        raise UsageError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError:
        key = ""
    if not is_key(key):
        raise UsageError(f"{path} holds no key")
    return key


def _check_private(path: Path, mode: int) -> None:
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o777 & ~mode:
        raise UsageError(f"{path} must be yours with mode {mode:04o}: whoever has a key may ask in its name")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name == SERVER:
        raise UsageError(f"{name!r} cannot be a client's name: letters, digits and . _ @ -, not {SERVER!r}")
    return name
