"""What a reduce at home is, whatever its form.

Knows the protocol that an answer and a store speak to a fold. Does not know any form; `folds` does.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Protocol

from backplane.reduce.columns import Partials, Window
from backplane.reduce.rows import Rows
from backplane.reduce.saving import Saved
from backplane.reduce.windows import Windows

Keys = Sequence[Hashable] | None


class Fold(Protocol):
    """What a query does with what arrives."""

    @property
    def full(self) -> bool:
        """Nothing more is taken: the query may end."""

    @property
    def reached(self) -> bool:
        """It holds as many rows as the question asked for itself: more would be no better answer."""

    @property
    def windows(self) -> Windows | None:
        """Which windows are open, of an answer by event time; None for any other."""

    def forget(self, windows: Sequence[Window]) -> None:
        """Drop what is held of these windows."""

    def load(self, provider: str, partials: Partials) -> Partials:
        """The same with states of this fold's own. No value counts yet, but what is loaded is taken next, in order.

        Raises:
            RemoteProtocolError: these are not the partials that were asked for.
        """

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        """Take raw emissions, in order.

        Raises:
            ReduceFault: the user's reduce failed.
        """

    def partials(self, provider: str, partials: Partials) -> None:
        """Take groups that `load` has seen."""

    @property
    def groups(self) -> int:
        """How many groups it holds; 0 where it is not made of groups, or somebody else holds them."""

    def durable(self) -> str | None:
        """None if it can be saved, else why not, in one clause."""

    def saved(self) -> Iterator[Saved]:
        """All that it holds, in pieces that give the same rows when a new fold has restored each of them, in order.

        Raises:
            ReduceFault: it is not durable, or holds a value that cannot be saved.
        """

    def restore(self, saved: Saved) -> None:
        """Take one piece: of `saved`, or the ``partials``, ``values`` or ``marks`` of a cut applied since then.

        Raises:
            ReduceFault: the user's reduce failed.
            RemoteProtocolError: it is not a piece of this fold.
        """

    def rows(self) -> Rows:
        """The table as it is now.

        Raises:
            ReduceFault: the user's reduce failed.
        """

    def inexact(self) -> list[str]:
        """What these rows leave out, in sentences."""

    def finish(self) -> None:
        """No value comes any more; the next rows are the last.

        Raises:
            ReduceFault: the user's reduce failed.
        """

    def interrupt(self) -> None:
        """Makes whatever it is at come to an end soon, well or not. May be called from another thread."""

    def close(self) -> None:
        """The query is over, finished or not."""


class Plain:
    """A fold that is only data: nothing has to be ended. Of all of time."""

    windows: Windows | None = None
    reached = False

    def forget(self, windows: Sequence[Window]) -> None:
        pass

    groups = 0

    def finish(self) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass
