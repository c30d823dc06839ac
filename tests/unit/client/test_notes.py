"""What scripts print: folded, bounded, and nothing lost that fits."""

from __future__ import annotations

import asyncio

from backplane.client.notes import Notes


async def test_equal_lines_of_several_providers_are_one() -> None:
    """They come within moments of each other, and are written once, with who said them."""
    done: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
    notes = Notes(done.set_result)
    for number in range(1, 21):
        notes.add(f"web{number:02}", f"starting\nI am {number}" if number < 3 else "starting")
    assert not done.done()
    async with asyncio.timeout(10):
        assert await done == ["web[01-20]: starting", "web01: I am 1", "web02: I am 2"]


async def test_a_line_that_is_said_twice_is_written_twice() -> None:
    """Folding is over providers, not over time."""
    written: list[str] = []
    notes = Notes(written.extend)
    notes.add("a", "x\nx")
    notes.add("b", "x")
    notes.flush()
    assert written == ["a,b: x", "a: x"]


async def test_a_flood_is_cut_and_says_so() -> None:
    """What is dropped is counted, and the next moment begins anew."""
    written: list[str] = []
    notes = Notes(written.extend, most=3)
    notes.add("a", "1\n2\n3\n4\n5")
    notes.flush()
    notes.add("a", "6")
    notes.flush()
    notes.flush()
    assert written == ["a: 1", "a: 2", "a: 3", "(2 more lines of output dropped)", "a: 6"]
