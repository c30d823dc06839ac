"""How large an answer may become: beyond it the query ends, and says what to do."""

from __future__ import annotations

import asyncio

import pytest

from backplane.client import reducing
from backplane.client.memory import resident_bytes
from backplane.client.reducing import Reducing
from backplane.reduce import folds
from backplane.reduce.answer import Answer
from backplane.reduce.faults import TooMuch
from backplane.wire.messages import Cut, NeedStart
from provider.runner.columns import values_payload

NEED = NeedStart(job=1, query="1", provider="a")


def cut(seq: int, *values: object) -> Cut:
    return Cut(job=1, epoch=1, seq=seq, last=True, content="values", payload=values_payload(list(values)))


def answer(fold: folds.Fold, most_groups: int | None = None) -> Answer:
    made = Answer(query="q", query_id="1", fold=fold, targets=["a"], most_groups=most_groups)
    made.handle("a", NEED)
    return made


@pytest.mark.parametrize(
    "fold",
    [folds.make("aggregates", aggregates=["sum"]), folds.make("function", function=lambda a, b: a + b)],
    ids=["aggregates", "function"],
)
def test_more_groups_than_allowed_end_it(fold: folds.Fold) -> None:
    """As many as are allowed are well."""
    asked = answer(fold, 2)
    asked.handle("a", cut(1, ("x", 1), ("y", 1)))
    asked.handle("a", cut(2, ("x", 1)))
    with pytest.raises(TooMuch, match=r"over 2 groups: group by less, filter more, or allow it more with --groups"):
        asked.handle("a", cut(3, ("z", 1)))


async def test_more_memory_than_allowed_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop hears of it, as of any failure of the reducer's."""
    monkeypatch.setattr(reducing, "LOOK_S", 0.0)
    failures: list[BaseException] = []
    failed = asyncio.Event()

    def fails(exc: BaseException) -> None:
        failures.append(exc)
        failed.set()

    asked = answer(folds.make("stream"))
    one = Reducing(asked, lambda outcome: None, fails, most_bytes=-(1 << 40))
    try:
        one.put("a", cut(1, "x"), 10)
        async with asyncio.timeout(30):
            await failed.wait()
    finally:
        await one.close(10)
    assert isinstance(failures[0], TooMuch)
    assert "of this machine's memory" in str(failures[0])


@pytest.mark.linux  # the units of other systems are not these
def test_memory_is_what_the_system_says() -> None:
    """In bytes, and what is taken is in it."""
    taken = bytearray(b"x" * (64 << 20))
    assert len(taken) < resident_bytes() < 64 * len(taken)
