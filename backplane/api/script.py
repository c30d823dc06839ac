"""A question that is a function: ``@script(logs="/var/log/syslog", reduce="count")`` over ``def map(lines)``.

Knows what a query file may say of itself. What the function reaches and what travels of it is settled when it is asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from backplane.api.capture import captured
from backplane.api.source import piece
from backplane.query import home
from backplane.query.library import Found
from backplane.query.load import examined
from backplane.query.model import Query
from backplane.query.problems import Problems
from backplane.wire.errors import UsageError

Map = Callable[..., Any]
Filter = Callable[[Any], Any]
#: Names of aggregates, a function of two values, or a class with ``add`` and ``rows``.
Reduce = str | Sequence[str] | Callable[[Any, Any], Any] | type
#: Where a setting is not said.
_UNSAID: Final = "unsaid"


@dataclass(frozen=True, slots=True)
class Script:
    """A question whose map, and perhaps filter and reduce, are functions. `script` makes one.

    Calling it calls the map, here: ``list(errors(["a line"]))`` tries it.

    Attributes:
        map: what runs on the providers.
        settings: the constants of a query file, ``logs`` and others, but for ``reduce`` where that is code.
        filter: what keeps or prunes a provider, and runs there.
        reduce: what folds at home, where it is code.
    """

    map: Map
    settings: Mapping[str, Any]
    filter: Filter | None = None
    reduce: Callable[..., Any] | None = field(default=None)

    @property
    def name(self) -> str:
        """The function's."""
        return str(self.map.__name__)

    @property
    def title(self) -> str:
        """The first line of its docstring, or its name."""
        return (inspect.getdoc(self.map) or "").strip().partition("\n")[0].strip() or self.name

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the map."""
        return self.map(*args, **named)

    def text(self) -> str:
        """The query file that asks the same, but for a ``reduce`` that is code.

        Raises:
            QueryError: something that it reaches cannot travel.
        """
        return captured(self.map, self.filter, self.settings, self.title).text

    def understood(self, sources: Sequence[str] | None = None, settings: Mapping[str, str] | None = None) -> Query:
        """What is asked, as a query file would ask it.

        Args:
            sources: instead of ``logs``.
            settings: other values of constants that travel with it, as texts.

        Raises:
            QueryError: something in it is wrong, or cannot travel.
            UsageError: there is no such constant.
        """
        text = captured(self.map, self.filter, self.settings, self.title)
        found = examined(Found(self.name, text.file, text.text), settings or {}, sources)
        if found.query is None:
            raise found.errors[0]
        if self.reduce is None:
            return found.query
        return replace(found.query, reduction=self._reduction(text.file))

    def _reduction(self, file: str) -> Any:
        assert self.reduce is not None
        try:
            line = piece(self.reduce).line
        except UsageError:
            line = 1  # one that is written in C, or was typed where no source is kept: it stays here anyway
        problems = Problems(file)
        made = home.of_object(self.reduce, line, problems)
        if made is None:
            raise problems.sorted()[0]
        return made


def script(
    *,
    logs: str | Sequence[str] | None = None,
    reduce: Reduce | None = None,
    filter: Filter | None = None,
    format: str | None = None,
    encoding: str | None = _UNSAID,
    needs: Sequence[str] = (),
    combine: bool | None = None,
    replayable: bool | None = None,
    effects: bool = False,
    secret: Sequence[str] = (),
) -> Callable[[Map], Script]:
    """Make a question of a function that yields values, or pairs of a key and a value.

    The function runs on the providers, and so does ``filter``; both travel as source, with what they reach: plain
    values are taken as they are when it is asked. What is said here means what it means in a query file.

    Args:
        logs: paths, globs, ``cmd:...``, ``tick:5s`` or ``-``; the options of asking may name others.
        reduce: an aggregate, several, or code that stays home; None shows values as they come.
        filter: takes the provider, and returns whether it is asked.
        format: the function takes records, parsed so, and not lines.
        encoding: of the lines; None gives bytes.
        needs: what it wants beyond reading logs: ``exec:strace``, ``module:numpy``.
        combine: False sends every value by itself.
        replayable: it may be run again from where it was after a break.
        effects: running twice at a time would harm.
        secret: names of texts that it reaches, and that no log may show.
    """
    said: dict[str, Any] = {
        "logs": logs if logs is None or isinstance(logs, str) else list(logs),
        "format": format,
        "needs": list(needs) or None,
        "combine": combine,
        "replayable": replayable,
        "effects": effects or None,
        "secret": list(secret) or None,
    }
    settings = {name: value for name, value in said.items() if value is not None}
    if encoding != _UNSAID:
        settings["encoding"] = encoding
    code = None
    if callable(reduce):
        code = reduce
    elif reduce is not None:
        settings["reduce"] = reduce if isinstance(reduce, str) else list(reduce)

    def made(function: Map) -> Script:
        return Script(function, settings, filter, code)

    return made
