"""The process behind `tests.rigs.links.SilentLink`: a TCP relay that obeys one word a line on stdin.

Run as ``relay.py HOST PORT ADDRESS``: listens on a free port of ADDRESS, prints it, and relays to HOST:PORT. Each order
(``both``, ``there`` and ``back``, which say what is not passed on; ``resume``, ``cut``) is repeated on stdout once it
holds. It ends when stdin ends.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys

#: Bytes held for a peer that reads slowly; beyond it the relay stops reading, so that back-pressure passes through.
HELD_BYTES = 1 << 18


class End:
    """One end of a relayed connection, and what is still to be written to it."""

    __slots__ = ("eof", "held", "peer", "shut", "socket", "way")

    def __init__(self, sock: socket.socket, way: str) -> None:
        self.socket = sock
        #: Which way what is read here goes.
        self.way = way
        self.peer = self
        self.held = bytearray()
        self.eof = False
        self.shut = False


class Relay:
    """All connections, and whether anything is passed on."""

    def __init__(self, target: tuple[str, int], address: str) -> None:
        self._target = target
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((address, 0), backlog=128)
        self._ends: set[End] = set()
        self._silent: tuple[str, ...] = ()

    def run(self) -> None:
        """Relay until stdin ends."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        print(self._listener.getsockname()[1], flush=True)
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.data, End):
                    if key.data in self._ends:
                        self._serve(key.data, events)
                elif not self._obey(sys.stdin.readline().strip()):
                    return

    def _obey(self, word: str) -> bool:
        if not word:
            return False
        if word == "cut":
            for end in list(self._ends):
                self._drop(end)
        else:
            self._silent = {"both": ("there", "back"), "resume": ()}.get(word, (word,))
            for end in self._ends:
                self._watch(end)
        print(word, flush=True)
        return True

    def _accept(self) -> None:
        client = End(self._listener.accept()[0], "there")
        try:
            server = End(socket.create_connection(self._target), "back")
        except OSError:
            client.socket.close()
            return
        client.peer, server.peer = server, client
        for end in (client, server):
            end.socket.setblocking(False)
            end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends.add(end)
        for end in (client, server):
            self._watch(end)

    def _watch(self, end: End) -> None:
        """Listen for what this end may do now: nothing on a way that is silent."""
        events = 0
        if end.way not in self._silent and not end.eof and len(end.peer.held) < HELD_BYTES:
            events |= selectors.EVENT_READ
        if end.peer.way not in self._silent and (end.held or (end.peer.eof and not end.shut)):
            events |= selectors.EVENT_WRITE
        registered = end.socket in self._selector.get_map()
        if events and registered:
            self._selector.modify(end.socket, events, end)
        elif events:
            self._selector.register(end.socket, events, end)
        elif registered:
            self._selector.unregister(end.socket)

    def _serve(self, end: End, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                data = end.socket.recv(65536)
                end.eof = not data
                end.peer.held += data
            if events & selectors.EVENT_WRITE:
                if end.held:
                    del end.held[: end.socket.send(end.held)]
                if end.peer.eof and not end.held and not end.shut:
                    end.socket.shutdown(socket.SHUT_WR)
                    end.shut = True
        except OSError:
            self._drop(end)
            return
        if end.shut and end.peer.shut:
            self._drop(end)
            return
        self._watch(end)
        self._watch(end.peer)

    def _drop(self, end: End) -> None:
        """Reset both ends: a linger of 0 sends RST where a close would say an orderly goodbye."""
        for each in {end, end.peer} & self._ends:
            self._ends.remove(each)
            if each.socket in self._selector.get_map():
                self._selector.unregister(each.socket)
            if not each.shut:
                each.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.socket.close()


if __name__ == "__main__":
    Relay((sys.argv[1], int(sys.argv[2])), sys.argv[3]).run()
