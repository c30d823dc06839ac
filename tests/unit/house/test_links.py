"""The links that fail do so in the way that their names say."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.rigs.links import MuteListener, RefusedPort, SilentLink


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


def pair(link: SilentLink, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    near = socket.create_connection((link.address, link.port), timeout=20)
    far, _ = server.accept()
    far.settimeout(20)
    return near, far


def test_a_refused_port_refuses() -> None:
    """Nobody listens."""
    with RefusedPort() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection((port.address, port.port), timeout=20)


def test_a_mute_listener_connects_and_says_nothing() -> None:
    """The handshake completes and no byte ever comes."""
    with MuteListener() as mute, socket.create_connection((mute.address, mute.port), timeout=20) as near:
        near.settimeout(0.1)
        with pytest.raises(TimeoutError):
            near.recv(1)


def test_a_link_passes_bytes_and_ends_through(server: socket.socket) -> None:
    """Both directions, and a half-close stays half."""
    with SilentLink("127.0.0.1", server.getsockname()[1]) as link:
        near, far = pair(link, server)
        with near, far:
            near.sendall(b"x" * 1_000_000)
            near.shutdown(socket.SHUT_WR)
            got = b"".join(iter(lambda: far.recv(65536), b""))
            assert got == b"x" * 1_000_000
            far.sendall(b"answer")
            assert near.recv(16) == b"answer"


def test_a_silent_link_holds_and_later_delivers(server: socket.socket) -> None:
    """Silence passes no byte, closes nothing, and loses nothing."""
    with SilentLink("127.0.0.1", server.getsockname()[1]) as link:
        near, far = pair(link, server)
        with near, far:
            near.sendall(b"before")
            assert far.recv(16) == b"before"
            link.silence()
            near.sendall(b"held")
            far.settimeout(0.1)
            with pytest.raises(TimeoutError):
                far.recv(16)
            link.resume()
            far.settimeout(20)
            assert far.recv(16) == b"held"


def test_a_cut_link_resets(server: socket.socket) -> None:
    """Cutting is an error at both ends, not an orderly end."""
    with SilentLink("127.0.0.1", server.getsockname()[1]) as link:
        near, far = pair(link, server)
        with near, far:
            near.sendall(b"before")
            assert far.recv(16) == b"before"
            link.cut()
            for end in (near, far):
                with pytest.raises(ConnectionResetError):
                    end.recv(16)
