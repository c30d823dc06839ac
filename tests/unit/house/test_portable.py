"""``--hide-linux`` hides what it says, in a test's own process and in every Python that a test starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PORTABLE = Path(__file__).resolve().parents[2] / "rigs" / "portable"

ATTEMPTS = {
    "epoll": "import select; select.epoll",
    "affinity": "import os; os.sched_setaffinity",
    "pidfd": "import os; os.pidfd_open",
    "prctl": "import ctypes; ctypes.CDLL(None).prctl",
    "libc by name": "import ctypes; ctypes.CDLL('libc.so.6')",
    "open in /proc": "open('/proc/self/stat')",
    "list /proc": "import os; os.listdir('/proc')",
    "stat in /proc": "import pathlib; pathlib.Path('/proc/self').stat()",
}
STILL_THERE = {
    "a loop": "import asyncio; asyncio.run(asyncio.sleep(0))",
    "a subprocess": "import subprocess; subprocess.run(['true'], check=True)",
    "a child of a loop": "import asyncio; asyncio.run(asyncio.create_subprocess_exec('true'))",
    "an address": "import urllib.request, socket; socket.getaddrinfo('127.0.0.1', 80)",
    "no more modules": "import sys; assert not {'asyncio', 'urllib.request'} & set(sys.modules)",
    "the name": "import sys; assert sys.platform == 'darwin'",
    "poll": "import select; select.poll()",
}


def hidden(code: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(PORTABLE)}
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)


@pytest.mark.linux
@pytest.mark.parametrize("code", ATTEMPTS.values(), ids=ATTEMPTS)
def test_what_linux_alone_has_is_gone(code: str) -> None:
    """The call fails as it does on macOS, and without the rig it works."""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
    done = hidden(code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(("AttributeError", "OSError", "FileNotFoundError"))


@pytest.mark.parametrize("code", STILL_THERE.values(), ids=STILL_THERE)
def test_what_every_unix_has_stays(code: str) -> None:
    """The standard library works on without it."""
    assert hidden(code).stderr == ""


def test_the_option_reaches_the_tests(request: pytest.FixtureRequest) -> None:
    """A test's own process has nothing of it exactly when the option is given."""
    import select

    asked = request.config.getoption("--hide-linux")
    assert hasattr(select, "epoll") == (sys.platform == "linux" and not asked)
