"""A session that is not opened: whose word that is, and whether it is worth another try."""

from __future__ import annotations

from typing import Any, cast

import asyncssh
import pytest

from backplane.wire.errors import ReachError
from coordinator.reach import ssh


class Connection:
    """Opens no session, for a reason."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def create_session(self, *args: object, **options: object) -> None:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, self._reason)


@pytest.mark.parametrize(
    ("reason", "retry", "state"),
    [("open failed", False, "refused"), ("SSH connection closed", True, "unreachable")],
)
async def test_a_connection_that_breaks_meanwhile_is_no_refusal(reason: str, retry: bool, state: str) -> None:
    """What sshd says is final; what became of the way to it is not, though asyncssh tells both alike."""
    connection = cast(asyncssh.SSHClientConnection, Connection(reason))
    with pytest.raises(ReachError) as said:
        await ssh._session(connection, cast(Any, None), 5.0, command="true")
    assert (said.value.retry, said.value.state) == (retry, state)


async def test_asyncssh_still_calls_it_so() -> None:
    """The reason is compared with: another wording of it would be taken for a refusal."""
    async with (
        asyncssh.listen(
            "127.0.0.1", 0, server_factory=Open, server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")]
        ) as listener,
        asyncssh.connect(
            "127.0.0.1", listener.get_port(), username="any", known_hosts=None, config=[], client_keys=None
        ) as connection,
    ):
        connection.abort()
        with pytest.raises(asyncssh.ChannelOpenError) as said:
            await connection.create_session(asyncssh.SSHClientSession)
    assert said.value.reason == ssh._CLOSED


class Open(asyncssh.SSHServer):
    """Lets everybody in."""

    def begin_auth(self, username: str) -> bool:
        return False
