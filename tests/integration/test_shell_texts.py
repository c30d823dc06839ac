"""The texts of level `shell` in each shell of this machine: what they say, and that nothing outlives them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from coordinator.reach.base import Exit, Receiver, Stream, Tail
from coordinator.reach.process import ProcessChannel
from coordinator.shell import text
from coordinator.shell.remote import Remote, tokens
from coordinator.shell.text import Task

SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"], "sh": ["sh"]}
AWK = ("/usr/bin/awk", "-f")
ENDS_S = 30.0

pytestmark = pytest.mark.linux


class Here:
    """A place whose `sh` is a shell of ours, in a directory."""

    def __init__(self, shell: Sequence[str], home: Path) -> None:
        self._prefix = ["env", "-C", str(home), *shell]

    async def run(self, argv: Sequence[str], receiver: Receiver, stderr: Tail) -> Stream:
        assert argv[0] == "sh"
        return await ProcessChannel.spawn(argv[1:], receiver, self._prefix, stderr)

    def close(self) -> None:
        """Nothing is shared."""

    async def wait_closed(self) -> None:
        """Nothing is shared."""


@pytest.fixture(params=sorted(SHELLS))
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Here:
    shell = SHELLS[request.param]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"needs {shell[0]}")
    return Here(shell, tmp_path)


class Going:
    """A text that was started: what it printed, its end, what it told."""

    def __init__(self) -> None:
        self.out = self.err = b""
        self.both = tokens()
        self.remote = Remote(self.both, self._out, self._err)

    def _out(self, data: bytes) -> None:
        self.out += data

    def _err(self, data: bytes) -> None:
        self.err += data

    @property
    def told(self) -> dict[str, str]:
        return self.remote.said.told

    async def over(self) -> Exit:
        async with asyncio.timeout(ENDS_S):
            return await self.remote.over()

    async def printed(self, what: bytes) -> None:
        async with asyncio.timeout(ENDS_S):
            while what not in self.out:  # noqa: ASYNC110 - the test is the only one
                await asyncio.sleep(0.01)

    def processes(self) -> list[int]:
        """What carries its mark."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and self.both.mark.encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found


@contextlib.asynccontextmanager
async def going(here: Here, task: Task, lease_s: float = 30.0) -> AsyncIterator[Going]:
    it = Going()
    try:
        await it.remote.start(here, text.runs(task, it.both, lease_s))
        yield it
    finally:
        await it.remote.close()


async def ran(here: Here, task: Task) -> Going:
    async with going(here, task) as it:
        await it.over()
    return it


async def test_files_are_read_each_once_to_their_end(here: Here, tmp_path: Path) -> None:
    """A path and a glob that meet, a name that a shell would take apart, a last line without its end."""
    (tmp_path / "a.log").write_text("one\ntwo")
    (tmp_path / "b.log").write_text("three\n")
    (tmp_path / "it's $HOME `x`.log").write_text("four\n")
    it = await ran(here, Task(AWK, "{ print NR, $0 }", sources=["a.log", "*.log"]))
    assert (it.out, it.told) == (b"1 one\n2 two\n3 three\n4 four\n", {"bytes": "18", "exit": "0"})
    it = await ran(here, Task(AWK, "{ print }", sources=["it's $HOME `x`.log", "[ab].log"]))
    assert it.out == b"four\none\ntwo\nthree\n"


async def test_what_is_not_there_is_told(here: Here, tmp_path: Path) -> None:
    """A source, an interpreter, a command; one source that is there is enough for who looked."""
    (tmp_path / "a.log").write_text("one\n")
    (tmp_path / "d").mkdir()
    sources = ["no.log", "a.log"]
    assert (await ran(here, Task(AWK, "{ print }", sources=sources))).told == {"missing": "there is no no.log"}
    assert (await ran(here, Task(AWK, "{ print }", sources=sources, one_is_enough=True))).out == b"one\n"
    assert (await ran(here, Task(AWK, "{ print }", sources=["n*"]))).told == {"missing": "no file matches n*"}
    assert (await ran(here, Task(AWK, "", sources=["d"]))).told == {"unreadable": "cannot read d: Is a directory"}
    assert (await ran(here, Task(["/opt/nosuch"], ""))).told == {"interpreter": "/opt/nosuch"}
    assert (await ran(here, Task(AWK, "", needs=["nosuch"]))).told == {"need": "nosuch"}


async def test_a_script_is_what_was_written(here: Here) -> None:
    """Bytes of every kind, variables of every kind, a status, and what stands on stderr without an end."""
    script = "# it's '\\'' `x` $y \x81\x82 " + "x" * 200_000 + '\nprintf "<%s>" "$logs"; printf part >&2; exit 3\n'
    it = await ran(here, Task(["/bin/sh"], script, {"logs": "a'b\n$c \\n", "é": "left out"}))
    assert (it.out, it.err, it.told) == (b"<a'b\n$c \\n>", b"part\n", {"exit": "3"})


async def test_asked_to_end_a_follower_ends(here: Here, tmp_path: Path) -> None:
    """The input ends, and the script has its END; what was there before is not read."""
    (tmp_path / "a.log").write_text("old\n")
    # Not awk: some read a pipe by the block only.
    script = 'echo begun; while read -r line; do echo "$line"; done; echo end\n'
    task = Task(["/bin/sh"], script, sources=["a.log"], follow=True)
    async with going(here, task) as it:
        async with asyncio.timeout(ENDS_S):
            while b"new" not in it.out:
                with (tmp_path / "a.log").open("a") as log:
                    log.write("new\n")
                it.remote.say("b")
                await asyncio.sleep(0.1)
        it.remote.say("q")
        await it.over()
    assert it.out.startswith(b"begun\nnew\n")
    assert it.out.endswith(b"end\n")
    assert b"old" not in it.out


@pytest.mark.parametrize("how", ["closed", "silent", "ended"])
async def test_nothing_is_left(here: Here, how: str) -> None:
    """Neither in the group nor out of it, however it ends: home closes, home is silent, the script itself ends."""
    if shutil.which("setsid") is None:
        pytest.skip("needs setsid")
    last = "wait" if how != "ended" else "exit 0"
    task = Task(["/bin/sh"], f"setsid sleep 3600 & (setsid sleep 3600 &); sleep 3600 & echo up; {last}\n")
    async with going(here, task, 2.0 if how == "silent" else 30.0) as it:
        if how == "ended":
            await it.over()
        else:
            await it.printed(b"up")
            assert it.processes()
        if how == "silent":
            await it.over()
    async with asyncio.timeout(ENDS_S):
        while it.processes():  # noqa: ASYNC110 - the test is the only one
            await asyncio.sleep(0.01)
