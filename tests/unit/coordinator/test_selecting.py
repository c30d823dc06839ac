"""A selection of the provider table, at first and when the table has changed."""

from __future__ import annotations

from typing import Any

import pytest

from backplane.wire.errors import UsageError
from coordinator.selecting import Selection
from coordinator.table import Provider

TABLE = {
    provider.name: provider
    for provider in (
        Provider("web1", labels={"role": "web", "groups": "front"}),
        Provider("web2", labels={"role": "web"}),
        Provider("db1", labels={"role": "db"}, python="/own/python"),
    )
}


def _then(select: dict[str, Any], table: dict[str, Provider], **more: Any) -> tuple[list[str], list[str]]:
    """Whom it means at first, and with another table."""
    selection = Selection.from_wire(select, **more)
    first = sorted(selection.choose(TABLE))
    return first, sorted(selection.again(table))


@pytest.mark.parametrize(
    ("select", "first", "then"),
    [
        ({"everything": True}, ["db1", "web1", "web2"], ["web2", "web3"]),
        ({"labels": ["role=db"]}, ["db1"], []),
        ({"names": ["web*", "db*"]}, ["db1", "web1", "web2"], ["web2", "web3"]),
        ({"groups": ["front"]}, ["web1"], []),
        ({"names": ["web*"], "without": ["web2"]}, ["web1"], ["web3"]),
        ({"names": ["web1", "web2"]}, ["web1", "web2"], ["web2"]),
        ({"names": ["web1", "elsewhere"]}, ["elsewhere", "web1"], ["elsewhere"]),
    ],
)
def test_a_selection_follows_the_table(select: dict[str, Any], first: list[str], then: list[str]) -> None:
    """Who is in it later joins, who is not leaves, and what names nobody any more spoils nothing else."""
    later = {name: Provider(name, labels={"role": "web"}) for name in ("web2", "web3")}
    assert _then(select, later) == (first, then)


def test_who_has_ended_is_not_asked_again() -> None:
    """A client that attaches again names those whose answer it has."""
    assert _then({"everything": True}, TABLE, without=["web1"]) == (["db1", "web2"], ["db1", "web2"])


def test_a_shared_coordinator_asks_its_table_only() -> None:
    """Unless it is told that strangers are well."""
    selection = Selection.from_wire({"names": ["web1", "elsewhere"]})
    with pytest.raises(UsageError, match="elsewhere: not in the provider table"):
        selection.choose(TABLE, adhoc=False)


def test_what_is_said_of_all_comes_second() -> None:
    """A provider's own Python and command count."""
    chosen = Selection.from_wire({"everything": True, "python": "python3.9", "via": "in {name}"}).choose(TABLE)
    assert {name: p.python for name, p in chosen.items()} == {
        "web1": "python3.9",
        "web2": "python3.9",
        "db1": "/own/python",
    }
    assert chosen["web1"].via == "in web1"


@pytest.mark.parametrize("select", [{"names": "web1"}, {"labels": [1]}, {"python": 3}])
def test_nonsense_is_refused(select: dict[str, Any]) -> None:
    """Fields of another type."""
    with pytest.raises(ValueError, match="select: "):
        Selection.from_wire(select)


def test_an_empty_table_says_how_it_is_filled() -> None:
    """Asked of nobody at all."""
    with pytest.raises(UsageError, match="the provider table is empty"):
        Selection.from_wire({"everything": True}).choose({})
