"""The resident provider against a real SSH client.

Where the runner itself does not matter, a small script stands in for the interpreter that would run it: it is started
by the same argv, is sent the same payload, and is a process like any other.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import asyncssh
import pytest

from backplane.wire import codec
from backplane.wire.messages import Beat, Cut, End, Gap, Hello, Message, Open, Start
from provider import serve, ship
from provider.runner import frames

M = TypeVar("M", bound=Message)
KEYS = serve.KeyPair.fresh("test")
KEY = asyncssh.import_private_key(KEYS.private)
#: Made here, since making it reads files.
PAYLOAD = ship.payload()
DEADLINE_S = 20.0


class Reader(asyncssh.SSHClientSession[bytes]):
    """A client's end of a channel that can wait for what it was sent."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.errors = bytearray()
        self.closed = False
        self.full = False
        self.changed = asyncio.Event()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        (self.errors if datatype else self.received).extend(data)
        self.changed.set()

    def pause_writing(self) -> None:
        self.full = True
        self.changed.set()

    def resume_writing(self) -> None:
        self.full = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def resident(tmp_path: Path, python: str | None = None) -> AsyncIterator[serve.Resident]:
    """A resident that `KEY` may log in to, its root in ``tmp_path``."""
    async with serve.Resident(python) if python else serve.Resident() as server:
        await server.start("127.0.0.1", 0, tmp_path, serve.KeyPair.fresh("host").private, KEYS.public)
        yield server


def connect(
    server: serve.Resident, key: asyncssh.SSHKey = KEY
) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
    return asyncssh.connect(
        "127.0.0.1", server.port, username="any", client_keys=[key], known_hosts=None, config=[], agent_path=None
    )


async def session(client: asyncssh.SSHClientConnection) -> Reader:
    reader = Reader()
    await client.create_session(lambda: reader, subsystem=serve.SUBSYSTEM, encoding=None)
    return reader


def stand_in(tmp_path: Path, script: str) -> str:
    """A program that takes the interpreter's place and says its pid in the file `pid`."""
    path = tmp_path / "stand-in"
    path.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pid\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def pids(tmp_path: Path) -> list[int]:
    path = tmp_path / "pid"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what other processes do sets no event
            await asyncio.sleep(0.01)


async def test_banner(tmp_path: Path) -> None:
    """A coordinator knows a resident provider by its banner, before it logs in."""
    async with resident(tmp_path) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.readline() == b"SSH-2.0-LogReduce_0.1\r\n"
        writer.close()
        await writer.wait_closed()


async def test_strangers_stay_out(tmp_path: Path) -> None:
    """A key that is not authorized does not log in, nor does anyone without a key."""
    async with resident(tmp_path) as server:
        with pytest.raises(asyncssh.PermissionDenied):
            async with connect(server, asyncssh.generate_private_key("ssh-ed25519")):
                pass
        with pytest.raises(asyncssh.PermissionDenied):
            async with asyncssh.connect(
                "127.0.0.1", server.port, username="any", client_keys=None, password="", known_hosts=None, config=[]
            ):
                pass


async def test_speaks_only_the_runner_protocol(tmp_path: Path) -> None:
    """A command and a shell get exit status 1 and a sentence; other subsystems and every forwarding are refused."""
    async with resident(tmp_path, stand_in(tmp_path, "exec cat")) as server, connect(server) as client:
        for command in ("id", None):
            done = await client.run(command, stdin=asyncssh.DEVNULL)
            assert done.exit_status == 1
            assert "speaks only the runner protocol" in str(done.stderr)
            assert done.stdout == ""
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await client.open_connection("127.0.0.1", server.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", server.port)


SSH = shutil.which("ssh")


@pytest.mark.skipif(SSH is None, reason="OpenSSH's client is not on this machine")
@pytest.mark.parametrize(
    "asks",
    [
        ["-tt", "-s", "host", serve.SUBSYSTEM],
        ["-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:9", "host"],
        ["-o", "ExitOnForwardFailure=yes", "-N", "-w", "0:0", "host"],
        ["-W", "127.0.0.1:9", "host"],
        ["-s", "host", "sftp"],
        ["-A", "-X", "host", "id"],
    ],
    ids=["pty", "remote", "tunnel", "direct", "sftp", "command"],
)
async def test_refuses_what_openssh_asks_for(tmp_path: Path, asks: list[str]) -> None:
    """A terminal, forwardings, a tunnel, other subsystems and commands end with an error, and no runner stays."""
    async with resident(tmp_path) as server:
        status, out = await openssh(tmp_path, server, asks)
        assert status != 0
        assert out == b""
        await eventually(lambda: server.sessions == 0)


@pytest.mark.skipif(SSH is None, reason="OpenSSH's client is not on this machine")
async def test_openssh_cannot_say_the_environment(tmp_path: Path) -> None:
    """What a client sends as environment does not reach its runner, which answers all the same."""
    python = stand_in(tmp_path, "env")
    async with resident(tmp_path, python) as server:
        asks = ["-o", "SetEnv=LD_PRELOAD=/evil.so", "-s", "host", serve.SUBSYSTEM]
        status, out = await openssh(tmp_path, server, asks)
        assert status == 0
        assert b"HOME=" in out
        assert b"evil" not in out


async def openssh(tmp_path: Path, server: serve.Resident, asks: list[str]) -> tuple[int | None, bytes]:
    """What OpenSSH's client makes of some arguments: its status, and what the server sent."""
    key = tmp_path / "key"
    key.write_bytes(KEYS.private)
    key.chmod(0o600)
    options = ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
    process = await asyncio.create_subprocess_exec(
        str(SSH),
        *("-F", "none", "-p", str(server.port), "-i", str(key), "-o", "HostName=127.0.0.1"),
        *(part for option in options for part in ("-o", option)),
        *asks,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out


async def test_bytes_pass_unchanged(tmp_path: Path) -> None:
    """The payload goes first, then every byte both ways, and the runner's exit status at the end."""
    sent = os.urandom(1 << 20) * 8
    async with resident(tmp_path, stand_in(tmp_path, "cat; exit 7")) as server, connect(server) as client:
        reader = await session(client)
        await reader.until(lambda: len(reader.received) == len(PAYLOAD))
        reader.channel.write(sent)
        reader.channel.write_eof()
        await reader.until(lambda: reader.closed)
        assert len(reader.received) == len(PAYLOAD) + len(sent)
        assert bytes(reader.received) == PAYLOAD + sent
        assert reader.channel.get_exit_status() == 7


async def test_runner_has_a_login_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner's home and directory are the resident's root, and it sees nothing that only the server was told."""
    monkeypatch.setenv("SOME_TOKEN", "secret")
    async with resident(tmp_path, stand_in(tmp_path, "pwd; env")) as server, connect(server) as client:
        reader = await session(client)
        await reader.until(lambda: reader.closed)
        lines = reader.received.decode().splitlines()
        assert lines[0] == str(tmp_path)
        assert f"HOME={tmp_path}" in lines
        assert "SOME_TOKEN=secret" not in lines


@pytest.mark.parametrize("words", ["", "no such thing\n"])
async def test_runner_that_ends_at_once(tmp_path: Path, words: str) -> None:
    """A runner that is over before its channel is ready still says its last words and its status there."""
    script = f"printf '{words}' >&2; exit 3"
    async with resident(tmp_path, stand_in(tmp_path, script)) as server, connect(server) as client:
        runner = await server.runner()
        await eventually(lambda: bool(pids(tmp_path)) and (bool(words) or server.sessions == 0))

        async def over() -> serve.Runner:
            return runner

        server.runner = over  # type: ignore[method-assign]
        reader = await session(client)
        await reader.until(lambda: reader.closed)
        assert reader.errors.decode() == words
        assert reader.channel.get_exit_status() == 3


async def test_haste_loses_nothing(tmp_path: Path) -> None:
    """What a client sends before the runner's first byte waits, so that a loader that reads ahead cannot swallow it."""
    swallow = (
        f"import os, time\nleft = {len(PAYLOAD)}\n"
        "while left:\n"
        "    left -= len(os.read(0, left))\n"
        "os.set_blocking(0, False)\n"
        f"while not os.path.exists({str(tmp_path / 'go')!r}):\n"
        "    time.sleep(0.01)\n"
        "    try: os.read(0, 1 << 20)\n"
        "    except BlockingIOError: pass\n"
        "os.set_blocking(0, True)\n"
    )
    (tmp_path / "swallow.py").write_text(swallow)
    script = f"{sys.executable} -S {tmp_path}/swallow.py; echo hello; exec cat"
    async with resident(tmp_path, stand_in(tmp_path, script)) as server, connect(server) as client:
        reader = await session(client)
        reader.channel.write(b"first " * 100_000)
        other = await session(client)  # the server has seen what was sent before it answers this
        other.channel.close()
        (tmp_path / "go").touch()
        await reader.until(lambda: len(reader.received) == 6 + 600_000)
        assert bytes(reader.received) == b"hello\n" + b"first " * 100_000


def start(**differs: object) -> bytes:
    """The frames that start a count of `some.log` as job 1."""
    script = {
        "file": "count.py",
        "filter": None,
        "map": "def map(lines):\n    for line in lines:\n        yield line, 1\n",
        "lines": True,
        "sources": ["some.log"],
        "encoding": "utf-8",
        "follow": False,
        "combine": ["sum"],
        "every_s": 0.1,
        "provider": {"name": "web01", "labels": {}},
        "positions": [],
        **differs,
    }
    message = Start(job=1, epoch=1, query="q", granted=1 << 20, filter_s=5.0, payload=codec.pack(script))
    return b"".join(map(frames.framed, codec.encode(message)))


async def test_the_runner_answers(tmp_path: Path) -> None:
    """The runner of a session says hello, counts a log that is named from the resident's root, and sends the sum."""
    (tmp_path / "some.log").write_bytes(b"a\nb\na\n")
    async with resident(tmp_path) as server, connect(server) as client:
        reader = await session(client)
        reader.channel.write(start())
        await reader.until(lambda: of(End, reader))
        hello = heard(reader)[0]
        assert isinstance(hello, Hello)
        assert hello.role == "runner"
        (end,) = of(End, reader)
        assert end.state == "done", end.reason
        assert end.counters["lines"] == 3
        (cut,) = [cut for cut in of(Cut, reader) if cut.content == "partials"]
        assert codec.unpack(cut.payload)["aggregates"] == ["sum"]


async def test_following_from_the_beginning(tmp_path: Path) -> None:
    """A log that is followed from an empty position is read from its beginning, without a gap."""
    (tmp_path / "some.log").write_bytes(b"a\nb\na\n")
    async with resident(tmp_path) as server, connect(server) as client:
        reader = await session(client)
        reader.channel.write(start(follow=True, positions=[["some.log", b""]], modules=dict(ship.job_modules())))
        await reader.until(lambda: any(beat.job == 1 and beat.lines == 3 for beat in of(Beat, reader)))
        assert [opened.reason for opened in of(Open, reader)] == ["begin"]
        assert not of(Gap, reader)


def of(kind: type[M], reader: Reader) -> list[M]:
    """The messages of one kind that a runner has sent so far."""
    return [message for message in heard(reader) if isinstance(message, kind)]


def heard(reader: Reader) -> list[Message]:
    """The messages that a runner has sent so far."""
    inbox = codec.Inbox()
    bodies = frames.Splitter(frames.PREAMBLE).feed(bytes(reader.received))
    return [message for body in bodies if (message := inbox.add(body))]


async def test_slow_client_stops_the_runner(tmp_path: Path) -> None:
    """A runner whose output nobody takes comes to stand, with bounded memory here, and loses nothing of it."""
    progress = tmp_path / "progress"
    chunk = 1 << 16
    script = f'for i in $(seq 512); do head -c {chunk} /dev/zero; echo >> "{progress}"; done'
    async with resident(tmp_path, stand_in(tmp_path, script)) as server, connect(server) as client:
        reader = await session(client)
        reader.channel.pause_reading()
        written = await _standstill(lambda: progress.stat().st_size if progress.exists() else 0)
        assert 0 < written * chunk < 8 << 20
        reader.channel.resume_reading()
        await reader.until(lambda: reader.closed)
        assert len(reader.received) == 512 * chunk


async def test_slow_runner_stops_the_client(tmp_path: Path) -> None:
    """A client whose bytes the runner does not read comes to stand, and all of them arrive once it does."""
    script = f'echo hello; while [ ! -e "{tmp_path}/go" ]; do sleep 0.01; done; wc -c'
    total = 64 << 20
    async with resident(tmp_path, stand_in(tmp_path, script)) as server, connect(server) as client:
        reader = await session(client)
        await reader.until(reader.received.__len__)
        block = bytes(1 << 20)
        sent = 0
        while sent < total:
            reader.channel.write(block)
            sent += len(block)
        held = await _standstill(lambda: total - reader.channel.get_write_buffer_size())
        assert held < 8 << 20
        (tmp_path / "go").touch()
        reader.channel.write_eof()
        await reader.until(lambda: reader.closed)
        assert int(reader.received.split()[-1]) == total + len(PAYLOAD)


async def _standstill(measure: Callable[[], int]) -> int:
    """The value at which a measure that only grows has not grown for half a second."""
    async with asyncio.timeout(DEADLINE_S):
        last, quiet = -1, 0
        while quiet < 10 or last <= 0:
            await asyncio.sleep(0.05)
            now = measure()
            last, quiet = now, quiet + 1 if now == last else 0
        return last


async def test_stubborn_runner_is_killed(tmp_path: Path) -> None:
    """A runner that outlives its channel's end by more than the grace is killed."""
    script = 'trap "" TERM HUP; echo hello; while :; do sleep 0.2; done'
    async with resident(tmp_path, stand_in(tmp_path, script)) as server, connect(server) as client:
        reader = await session(client)
        await reader.until(reader.received.__len__)
        (pid,) = pids(tmp_path)
        reader.channel.close()
        await eventually(lambda: not alive(pid))
        await eventually(lambda: server.sessions == 0)


async def test_lost_connection_ends_the_runner(tmp_path: Path) -> None:
    """A client that is cut off leaves no runner behind."""
    async with resident(tmp_path, stand_in(tmp_path, "exec cat")) as server, connect(server) as client:
        reader = await session(client)
        await reader.until(reader.received.__len__)
        client.abort()
        await eventually(lambda: server.sessions == 0)
        assert not any(map(alive, pids(tmp_path)))


async def test_what_comes_for_a_client_that_leaves_is_dropped(tmp_path: Path) -> None:
    """A runner that writes on while its channel closes is no error that the event loop would print."""
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context["message"]))
    async with resident(tmp_path, stand_in(tmp_path, "exec cat /dev/zero")) as server:
        for cut_off in (False, True) * 3:
            async with connect(server) as client:
                reader = await session(client)
                await reader.until(reader.received.__len__)
                (client.abort if cut_off else reader.channel.close)()
                await eventually(lambda: server.sessions == 0)
    assert said == []


async def test_close_leaves_no_process(tmp_path: Path) -> None:
    """Closing a resident ends its sessions' processes, also one that ignores the end of its stdin."""
    script = 'trap "" TERM HUP; echo hello; while :; do sleep 0.2; done'
    async with AsyncExitStack() as clients:
        async with resident(tmp_path, stand_in(tmp_path, script)) as server:
            client = await clients.enter_async_context(connect(server))
            for reader in [await session(client) for _ in range(2)]:
                await reader.until(reader.received.__len__)
        assert len(pids(tmp_path)) == 2
        assert not any(map(alive, pids(tmp_path)))


async def test_sessions_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One session over the limit is refused with the reason, and has its place once another is over."""
    monkeypatch.setattr(serve, "MAX_SESSIONS", 2)
    async with resident(tmp_path, stand_in(tmp_path, "exec cat")) as server, connect(server) as client:
        readers = [await session(client) for _ in range(2)]
        with pytest.raises(asyncssh.ChannelOpenError, match="2 sessions are open"):
            await session(client)
        readers[0].channel.close()
        await eventually(lambda: server.sessions == 1)
        await session(client)


async def test_connections_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers who connect and say nothing cannot hold more than their bound of connections."""
    monkeypatch.setattr(serve, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(serve, "LOGIN_S", 1000.0)  # what ends the fourth is not its login's deadline
    async with resident(tmp_path) as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
        async with asyncio.timeout(DEADLINE_S):
            for reader, _ in idle[:3]:
                assert (await reader.readline()).startswith(b"SSH-2.0-")
            await idle[3][0].read()
        for _, writer in idle:
            writer.close()


async def test_python_that_is_not_there(tmp_path: Path) -> None:
    """An interpreter that cannot be started refuses the session and says why."""
    async with resident(tmp_path, str(tmp_path / "missing")) as server, connect(server) as client:
        with pytest.raises(asyncssh.ChannelOpenError, match="could not be started"):
            await session(client)
        assert server.sessions == 0


@pytest.mark.parametrize(
    ("host_key", "authorized", "why"),
    [(b"no key", KEYS.public, "Invalid private key"), (KEYS.private, "no key either", "No valid entries")],
    ids=["host key", "authorized"],
)
async def test_keys_that_are_none(tmp_path: Path, host_key: bytes, authorized: str, why: str) -> None:
    """A key that cannot be read keeps a resident from starting."""
    async with serve.Resident() as server:
        with pytest.raises(ValueError, match=why):
            await server.start("127.0.0.1", 0, tmp_path, host_key, authorized)
