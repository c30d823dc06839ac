"""Folds that are saved and restored: the same rows, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backplane.reduce import folds, saving
from backplane.reduce.faults import ReduceFault
from backplane.reduce.saving import Saved
from backplane.wire.errors import RemoteProtocolError
from provider.runner.aggregates import Combiner
from provider.runner.columns import values_payload

Make = Callable[[], folds.Fold]


class _Kept:
    """A reducer that says what it holds."""

    def __init__(self) -> None:
        self.seen: dict[Any, Any] = {}

    def add(self, key: Any, value: Any) -> None:
        self.seen[key] = self.seen.get(key, 0) + value

    def rows(self) -> Any:
        return self.seen

    def save(self) -> Any:
        return self.seen

    def load(self, state: Any) -> None:
        self.seen = state


MAKES: dict[str, Make] = {
    "aggregates": lambda: folds.make("aggregates", aggregates=["count", "sum", "collect"]),
    "by host": lambda: folds.make("aggregates", aggregates=["mean", "max"], by_host=True),
    "function": lambda: folds.make("function", function=lambda a, b: a + b),
    "function by host": lambda: folds.make("function", function=lambda a, b: a + b, by_host=True),
    "class": lambda: folds.make("class", factory=_Kept),
    "class by host": lambda: folds.make("class", factory=_Kept, by_host=True),
    "stream": lambda: folds.make("stream", limit=5),
}


@pytest.mark.parametrize("name", MAKES)
def test_a_restored_fold_goes_on_as_the_old_one(name: str) -> None:
    """Saved in the middle: the same rows then, and the same after more values that come as a cut's own payload."""
    before, restored = MAKES[name](), MAKES[name]()
    before.values("web2", ["k", ("t", 1), (), "caf\udce9", float("nan")], [1, 2.5, 1 << 62, 4, 5])
    before.values("web1", ["k"], [1 << 63])
    assert before.durable() is None
    for saved in before.saved():
        restored.restore(saved)
    assert repr(restored.rows()) == repr(before.rows())
    before.values("web1", ["k", "new"], [7, 8])
    restored.restore(Saved("web1", "values", values_payload([("k", 7), ("new", 8)])))
    assert repr(restored.rows()) == repr(before.rows())
    assert restored.inexact() == before.inexact()


def test_partials_of_a_cut_are_restored_as_they_were_applied() -> None:
    """A store may append a cut's own payload."""
    combiner = Combiner(["count"], "t")
    combiner.fold([("a", 1), ("b", 1), ("a", 1)])
    fold = folds.make("aggregates", aggregates=["count"])
    fold.restore(Saved("web1", "partials", next(combiner.payloads(1 << 22))))
    assert fold.rows().rows == (("a", 2), ("b", 1))


@pytest.mark.parametrize("name", ["aggregates", "function", "class", "stream"])
def test_pieces_are_bounded(name: str) -> None:
    """Many groups are several pieces of at most 4 MiB; the state of one class is cut into slices."""
    make: Make = (lambda: folds.make("stream", most_bytes=1 << 30)) if name == "stream" else MAKES[name]
    before, restored = make(), make()
    text = "x" * 3000
    before.values("web1", [f"{text}{number}" for number in range(3000)], [1] * 3000)
    pieces = list(before.saved())
    assert len(pieces) > 2
    assert max(len(piece.payload) for piece in pieces) <= saving.PIECE_BYTES + 64
    for piece in pieces:
        restored.restore(piece)
    assert restored.rows() == before.rows()


def test_what_cannot_be_saved_says_why() -> None:
    """A program, a class without `save`, and a value of a type that nobody knows."""
    program = folds.make("program", argv=["cat"])
    assert program.durable() == "its reduce is a program"
    with pytest.raises(ReduceFault, match="its reduce is a program"):
        list(program.saved())

    class Bare:
        def add(self, key: Any, value: Any) -> None:
            pass

        def rows(self) -> Any:
            return []

    assert folds.make("class", factory=Bare).durable() == "its Reduce has no save and no load"
    odd = folds.make("function", function=lambda a, b: object())
    odd.values("w", None, [1, 2])
    with pytest.raises(ReduceFault, match="a value of type object cannot be saved"):
        list(odd.saved())


@pytest.mark.parametrize(
    "value",
    [(1, [2, (3,)]), {1, 2}, frozenset("ab"), {("k", 1): {"x": None}}, -(1 << 200), "\ud800", [], b"\xff", True],
)
def test_values_keep_their_types(value: Any) -> None:
    """Containers and long ints come back as what they were."""
    back = saving.unpacked(saving.packed(value))
    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize("content", ["state", "partials", "values", "moves", "?"])
@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x91\xc4\x02\x91\xa1", b"\x91\xc4\x03\x91\xa1z", b"\x80"])
def test_a_broken_piece_is_refused(content: str, payload: bytes) -> None:
    """A store that was damaged says so and is not believed."""
    for name in ("function", "aggregates"):
        with pytest.raises(RemoteProtocolError):
            MAKES[name]().restore(Saved("", content, payload))
