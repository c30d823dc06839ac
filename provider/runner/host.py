"""The provider as a script sees it: its name, and small questions about the host.

Knows the host's files and commands. Does not know jobs or frames.
"""

import os
import sys
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Union

from provider.runner import tree

#: What `Provider.run` waits for a command, unless told otherwise.
RUN_S = 10.0

#: Sources that are no files, which are there as soon as the job is.
_NO_FILES = ("tick:", "cmd:", "journald:")


class Ran(NamedTuple):
    """How a command went."""

    #: Exit status; negative: killed by that signal.
    status: int
    stdout: str
    stderr: str


class Provider:
    """What ``filter(provider)`` gets, and ``lines.provider``."""

    __slots__ = ("labels", "name", "python")

    def __init__(self, name: str, labels: Dict[str, str]) -> None:
        #: As the inventory calls it.
        self.name = name
        #: The inventory's labels.
        self.labels = labels
        #: The version of the Python that runs this, as (3, 11, 7).
        self.python = tuple(sys.version_info[:3])

    def __repr__(self) -> str:
        return "<provider %s>" % self.name

    def exists(self, path: "Union[str, Sequence[str]]") -> bool:
        """There is such a file, or one that fits a glob; of several paths, each."""
        from provider.runner.files import raw

        return _every(path, lambda found: os.path.exists(raw(found)))

    def readable(self, path: "Union[str, Sequence[str]]") -> bool:
        """A file can be opened for reading, or one that fits a glob; of several paths, each."""
        return _every(path, _readable)

    def which(self, command: str) -> Optional[str]:
        """The path of a command as a shell would find it, None if there is none."""
        return which(command)

    def run(self, argv: List[str], timeout_s: float = RUN_S) -> Ran:
        """Runs a command without a shell, with nothing on its stdin.

        Raises:
            OSError: there is no such command.
            TimeoutError: it took longer; it was killed.
        """
        import subprocess

        pipe = subprocess.PIPE
        # In a session of its own, so that all that it starts can be killed with it.
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
            try:
                out, err = process.communicate(b"", timeout_s)
            except subprocess.TimeoutExpired:
                raise TimeoutError("%s took longer than %g s" % (argv[0], timeout_s))
            finally:
                if process.returncode is None:
                    tree.kill(process.pid, group=True)
        return Ran(process.returncode, *(data.decode("utf-8", "surrogateescape") for data in (out, err)))


def which(command: str) -> Optional[str]:
    """The path of a command as a shell would find it, None if there is none."""
    if "/" in command:
        return command if _executable(command) else None
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder or ".", command)
        if _executable(path):
            return path
    return None


def _every(path: "Union[str, Sequence[str]]", test: Callable[[str], bool]) -> bool:
    from provider.runner.files import expand  # here, since few ask and each host would compile it

    paths = [path] if isinstance(path, str) else list(path)
    for each in paths:
        if each == "-" or each.startswith(_NO_FILES):
            continue
        if not any(test(found) for found in expand(each)):
            return False
    return True


def _readable(path: str) -> bool:
    from provider.runner.files import open_log

    try:
        os.close(open_log(path))
    except OSError:
        return False
    return True


def _executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
