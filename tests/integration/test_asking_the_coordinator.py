"""Questions to the coordinator about itself."""

from __future__ import annotations

import pytest

from backplane.client.session import open_session
from backplane.wire.errors import UsageError


async def test_statistics_are_told() -> None:
    """A client asks, and hears counts; it is counted itself."""
    async with open_session() as session:
        assert (await session.request("statistics"))["clients"] == 1


async def test_an_unknown_question_is_a_sentence() -> None:
    """What a coordinator does not know of it says so, and goes on."""
    async with open_session() as session:
        with pytest.raises(UsageError, match="does not know of 'the weather'"):
            await session.request("the weather")
        assert (await session.request("statistics"))["queries"] == 0
