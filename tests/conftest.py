"""What holds for every test: it gives back what it took, and the loop that it runs never blocks.

Each fixture here is used by tests of several rooms; what only one room needs stands beside its tests.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
PORTABLE = Path(__file__).with_name("rigs") / "portable"
#: Real logs that may not be part of the project lie beside its checkout, where they lie at all.
DATA = ROOT.parent / "shared" / "data"
#: What a closed loop, a killed child or a context of ZeroMQ's may take until it is gone.
GIVE_BACK_S = 5.0
PLACES = pytest.StashKey[Path]()


# How long an example takes is the machine's business, not the test's.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hide-linux", action="store_true", help="hide calls that only Linux has, as on macOS")


def pytest_configure(config: pytest.Config) -> None:
    # Whoever is started in the background by a shell ignores Ctrl-C, and so would every program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Whatever a test or its children keep, or find configured, is not what the user who runs them keeps. Not below
    # pytest's own directory: a socket's path has a hundred characters.
    own = tempfile.mkdtemp(prefix="lr-")
    config.add_cleanup(lambda: shutil.rmtree(own, ignore_errors=True))
    config.stash[PLACES] = Path(own)
    if hasattr(config, "workerinput"):
        # One of several processes: with its name in it, the path of a test's directory is too long for a socket.
        config.option.basetemp = os.path.join(own, "t")
    os.environ.update(_places(Path(own, "shared")))
    os.environ.pop("LOGREDUCE_COORDINATOR", None)
    if config.getoption("--hide-linux"):
        # An audit hook and deleted names cannot be taken back: this process stays so until it ends.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PORTABLE), os.environ.get("PYTHONPATH"))))
        sys.path.insert(0, str(PORTABLE))
        sys.modules.pop("sitecustomize", None)
        __import__("sitecustomize")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    sshd = pytest.mark.skip(reason="OpenSSH's sshd is not on this machine")
    linux = pytest.mark.skip(reason="needs calls that only Linux has")
    have_linux = sys.platform == "linux"
    for item in items:
        if item.get_closest_marker("linux") and not have_linux:
            item.add_marker(linux)
        if item.get_closest_marker("sshd") and not (have_linux and _has_sshd()):
            # The rig knows its processes by /proc.
            item.add_marker(sshd if have_linux else linux)


def _has_sshd() -> bool:
    from tests.rigs.sshd import SSHD

    return SSHD is not None


FAILED = pytest.StashKey[bool]()


def _places(directory: Path) -> dict[str, str]:
    """The variables that say where state, configuration and the coordinator's socket lie; the directories are there."""
    places = {f"XDG_{name}": directory / name.lower() for name in ("STATE_HOME", "CONFIG_HOME", "RUNTIME_DIR")}
    for place in places.values():
        place.mkdir(mode=0o700, parents=True)
    return {name: str(place) for name, place in places.items()}


@pytest.fixture(autouse=True)
def own_places(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """State, configuration and sockets of this test's own, for it and for all that it starts."""
    place = Path(tempfile.mkdtemp(dir=request.config.stash[PLACES]))
    for name, value in _places(place).items():
        monkeypatch.setenv(name, value)
    yield
    shutil.rmtree(place, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture(autouse=True)
def gives_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test leaves no thread, no child and no descriptor behind that was not there before it."""
    before = _held()
    yield
    if request.node.stash.get(FAILED, False):
        # Its traceback keeps its locals, and what is wrong with it is said already.
        return
    deadline = time.monotonic() + GIVE_BACK_S
    while left := {what: names for what, names in _held().items() if what not in before}:
        # What only a cycle keeps alive is given back; it is not a leak that its user could have closed.
        gc.collect()
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: {', '.join(sorted(left.values()))}", pytrace=False)
        time.sleep(0.01)


def _held() -> dict[tuple[str, int, str], str]:
    """What this process holds, by identity, with words for each."""
    held = {("thread", each.ident or 0, ""): f"thread {each.name}" for each in threading.enumerate()}
    held |= {("child", pid, ""): f"child {pid}" for pid in _children()}
    for entry in os.listdir("/dev/fd"):
        try:
            target = os.readlink(f"/dev/fd/{entry}")
        except OSError:
            # The one that listed the directory, or no link: macOS has devices there.
            continue
        if not _is_kept(target):
            held[("descriptor", int(entry), target)] = f"descriptor {entry} ({target})"
    return held


def _is_kept(target: str) -> bool:
    """Whether this descriptor is the interpreter's or a library's own, opened once by whoever needs it first."""
    return target in ("/dev/urandom", "/dev/null") or ".hypothesis" in target


def _children() -> list[int]:
    """Our children, zombies included. Without /proc there is no cheap way to know, and none is reported."""
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found += [int(pid) for pid in task.read_text().split()]
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True, scope="session")
def loop_never_blocks() -> Iterator[None]:
    """A blocking call fails where it is made by a loop of ours: by code of these packages, beneath a running loop."""
    guard = BlockBuster(["backplane", "coordinator"])
    for function in guard.functions.values():
        for filename, names, _reason in MAY_BLOCK:
            function.can_block_in(filename, set(names))
    guard.activate()
    yield
    guard.deactivate()


#: (file, functions, why): what may block a loop of ours, and why that is better than a thread.
MAY_BLOCK: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("structlog/_output.py", ("msg",), "a log line to stderr, whose order matters more than the microseconds"),
    ("linecache.py", ("updatecache",), "the source lines of a traceback, once, on the way out"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of this test's own, with the XDG directories in it; HOME and XDG_* point there."""
    place = tmp_path / "home"
    for name, below in (
        ("CONFIG", ".config"),
        ("STATE", ".local/state"),
        ("CACHE", ".cache"),
        ("DATA", ".local/share"),
    ):
        (place / below).mkdir(parents=True)
        monkeypatch.setenv(f"XDG_{name}_HOME", str(place / below))
    runtime = place / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.delenv("LOGREDUCE_COORDINATOR", raising=False)
    return place


@pytest.fixture(scope="session")
def data() -> Path:
    """The directory of real logs; the test is skipped where it is missing."""
    if not DATA.is_dir():
        pytest.skip("the real logs are not beside this checkout (../shared/data)")
    return DATA
