"""One `sh` of a provider of level `shell`: its text sent, home's words to it, and what it says back.

Knows a stream, and the lines that begin with the text's token. Does not know frames or values.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from backplane.wire import limits
from backplane.wire.errors import ReachError
from coordinator.reach.base import Exit, Place, Stream, Tail
from coordinator.shell import text
from provider.runner.frames import MAX_FRAME_BYTES

#: What a login may say before the text does; and what is passed on of a line that has no end.
_NOISE_BYTES: Final = MAX_FRAME_BYTES
_LINE_BYTES: Final = 8192


def tokens() -> text.Tokens:
    """New ones."""
    return text.Tokens(secrets.token_hex(16), secrets.token_hex(16))


class Said(Tail):
    """The stderr of a text: its own lines by their code, and what else is printed, passed on.

    Args:
        token: begins the lines that are the text's own.
        printed: takes the rest.
    """

    __slots__ = ("_blank", "_partial", "_printed", "_token", "told")

    def __init__(self, token: str, printed: Callable[[bytes], None]) -> None:
        super().__init__()
        #: The first line of each code.
        self.told: dict[str, str] = {}
        self._token = token.encode() + b" "
        self._printed = printed
        self._partial = b""
        #: An empty line that may be the one that precedes each of ours.
        self._blank = False

    def add(self, data: bytes) -> None:
        """More of the stream."""
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            self._line(line)
        if len(self._partial) > _LINE_BYTES:
            self._pass_on(self._partial)
            self._partial = b""

    def end(self) -> None:
        """Nothing more will come."""
        partial, self._partial = self._partial, b""
        if partial:
            self._line(partial)

    def _line(self, line: bytes) -> None:
        if line.startswith(self._token):
            self._blank = False
            code, _, rest = line[len(self._token) :].decode("utf-8", "surrogateescape").partition(" ")
            self.told.setdefault(code, rest)
            return
        if self._blank:
            self._blank = False
            self._pass_on(b"\n")
        if line:
            self._pass_on(line + b"\n")
        else:
            self._blank = True

    def _pass_on(self, data: bytes) -> None:
        super().add(data)
        self._printed(data)


class Remote:
    """See the module; also the `Receiver` of its stream.

    Args:
        out: takes what it prints once it goes. What it raises ends the text, and is raised by `over`.
        err: takes what stands on stderr and is not the text's own.
    """

    def __init__(self, tokens: text.Tokens, out: Callable[[bytes], None], err: Callable[[bytes], None]) -> None:
        self.said = Said(tokens.token, err)
        self._first = tokens.token.encode() + b"\n"
        self._out = out
        self._stream: Stream | None = None
        self._noise: bytes | None = b""
        loop = asyncio.get_running_loop()
        self._going: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[Exit] = loop.create_future()
        # A text that was given up is not asked how it ended; asyncio would complain of that.
        self._over.add_done_callback(lambda future: future.cancelled() or future.exception())

    @property
    def goes(self) -> bool:
        """It takes home's words."""
        return self._going.done() and not self._over.done()

    @property
    def backlog(self) -> int:
        """Bytes written and not yet taken."""
        return self._stream.backlog if self._stream else 0

    async def start(self, place: Place, payload: bytes) -> None:
        """Send the text, and wait until it goes or has ended.

        Raises:
            ReachError: no further session is to be had, or it does not answer.
        """
        self._stream = await place.run(text.argv(payload), self, self.said)
        self._stream.write(payload)
        try:
            async with asyncio.timeout(limits.HELLO_S):
                await asyncio.wait((self._going, self._over), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise ReachError(f"its shell did not answer within {limits.HELLO_S:.0f} s") from None

    async def over(self) -> Exit:
        """Wait for its end; all that it said has come before."""
        return await asyncio.shield(self._over)

    def say(self, word: str) -> None:
        """A line of home's; nothing happens where it does not go."""
        if self._stream and self.goes:
            self._stream.write(word.encode() + b"\n")

    def pause(self) -> None:
        """Take nothing more of it: its pipe fills, and it waits."""
        if self._stream and not self._over.done():
            self._stream.pause()

    def resume(self) -> None:
        """Take more."""
        if self._stream and not self._over.done():
            self._stream.resume()

    def fail(self, exc: Exception) -> None:
        """End it for this reason, which `over` raises."""
        if not self._over.done():
            self._over.set_exception(exc)
        if self._stream:
            self._stream.close()

    async def close(self) -> None:
        """End it, and wait until nothing of it is left on this machine."""
        if not self._over.done():
            self._over.cancel()
        if self._stream:
            self._stream.close()
            # What still comes is dropped, but must be taken for its end to be seen.
            self._stream.resume()
            await self._stream.wait_closed()

    # The receiver of its stream.

    def at_stage(self, stage: str) -> None:
        """The link's own stage is what counts."""

    def data_received(self, data: bytes) -> None:
        if self._over.done():
            return
        if self._noise is not None:
            noise, found, data = (self._noise + data).partition(self._first)
            if not found:
                self._noise = noise[-_NOISE_BYTES:]
                return
            self._noise = None
            if not self._going.done():
                self._going.set_result(None)
        try:
            if data:
                self._out(data)
        except Exception as exc:
            self.fail(exc)

    def channel_closed(self, how: Exit) -> None:
        self.said.end()
        if not self._over.done():
            self._over.set_result(how)
