"""A query's selection of the provider table: what was asked for, and whom it means now.

Knows the form on the wire (docs/reference/frames.md, "select") and the rules of `coordinator.inventory`. Reads no
table: it is handed in, each time that it has changed. The first time a slip of the pen is refused; later nobody reads
a sentence any more, so what is not there (a label that the last provider had, a pattern without a match) is nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from backplane.wire.errors import UsageError
from coordinator.inventory import Wanted, choose, unite
from coordinator.inventory.choosing import meant
from coordinator.table import Provider

#: What the table is called in sentences.
TABLE: Final = "the provider table"


@dataclass(slots=True)
class Selection:
    """See above.

    Attributes:
        wanted: what the options asked for.
        entries: the client's own inventories; of equal names theirs count.
        python: for providers that name none.
        via: likewise; ``{name}`` in it is the provider's.
        without: names that are not asked again: their part of the answer is there.
        strangers: names that nobody knew when the query began, and that stay.
    """

    wanted: Wanted
    entries: Sequence[Provider] = ()
    python: str | None = None
    via: str | None = None
    without: frozenset[str] = frozenset()
    strangers: frozenset[str] = field(default=frozenset(), init=False)

    @classmethod
    def from_wire(cls, data: Mapping[str, Any], entries: Sequence[Provider] = (), without: Iterable[str] = ()) -> Self:
        """The selection of a submit or a question; unknown fields are ignored.

        Raises:
            ValueError: a field of another type.
        """
        texts = {name: data.get(name) for name in ("python", "via")}
        if not all(text is None or type(text) is str for text in texts.values()):
            raise ValueError("select: python and via are texts")
        lists = {name: data.get(name) or [] for name in ("names", "groups", "without", "labels")}
        for name, values in lists.items():
            if type(values) is not list or not all(type(value) is str for value in values):
                raise ValueError(f"select: {name} is no list of texts")
        wanted = Wanted(everything=data.get("everything") is True, **{k: tuple(v) for k, v in lists.items()})
        return cls(wanted, entries, texts["python"], texts["via"], frozenset(without))

    def choose(
        self, table: Mapping[str, Provider], *, adhoc: bool = True, tell: Callable[[str], None] = lambda _: None
    ) -> dict[str, Provider]:
        """Whom it means, by name, for the first time.

        Args:
            table: the provider table.
            adhoc: names that nobody knows are ssh destinations.
            tell: takes sentences for the user.

        Raises:
            UsageError: it makes no sense, names a stranger that may not be, or selects nobody.
        """
        if not (table or self.entries or self.wanted.names or self.wanted.groups):
            raise UsageError(
                "the provider table is empty: `logreduce providers add` or `import` fills it, "
                "and -i FILE names an inventory"
            )
        strangers: list[str] = []
        chosen = choose(self._known(table, tell), self.wanted, tell, strangers=strangers)
        unknown = sorted(set(strangers) & set(chosen))
        if unknown and not adhoc:
            shown = ", ".join(unknown[:5]) + (" and more" if len(unknown) > 5 else "")
            near = meant(unknown, self._known(table, lambda _: None))
            raise UsageError(f"{shown}: not in the provider table, and this coordinator asks nobody else{near}")
        self.strangers = frozenset(unknown)
        return self._reached(chosen)

    def again(self, table: Mapping[str, Provider]) -> dict[str, Provider]:
        """Whom it means now that the table has changed; nobody is a good answer."""
        known = self._known(table, lambda _: None)
        chosen = choose(known, self.wanted, lambda _: None, strict=False)
        return self._reached({n: p for n, p in chosen.items() if n in known or n in self.strangers})

    def _known(self, table: Mapping[str, Provider], tell: Callable[[str], None]) -> dict[str, Provider]:
        if not self.entries:
            return dict(table)
        named = [("the inventory", self.entries), (TABLE, list(table.values()))]
        return unite(named, tell)

    def _reached(self, chosen: Mapping[str, Provider]) -> dict[str, Provider]:
        return {
            name: reached(provider, self.python, self.via)
            for name, provider in chosen.items()
            if name not in self.without
        }


def reached(provider: Provider, python: str | None, via: str | None) -> Provider:
    """The provider with what a query says of all: its own word comes first."""
    if python and not provider.python:
        provider = replace(provider, python=python)
    if via and not provider.via and provider.reach != "local":
        provider = replace(provider, via=via.replace("{name}", provider.name), reach="command")
    return provider
