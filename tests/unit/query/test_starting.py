"""What a start says of its filter: one name for what gets one verdict."""

from __future__ import annotations

from typing import Any

import pytest

from backplane.query.starting import filter_hash

BODY: dict[str, Any] = {
    "filter": "def filter(provider):\n    return provider.exists('a')\n",
    "provider": {"name": "web1", "labels": {"role": "web"}},
    "encoding": "utf-8",
    "needs": [],
    "map": "def map():\n    yield 1\n",
    "sources": ["a.log"],
    "file": "q.py",
}
PROGRAM = BODY | {"filter": "#!/bin/sh\nexit 0\n", "programs": {"filter": ["/bin/sh"]}, "environ": {"A": "1"}}


def test_what_a_filter_does_not_see_does_not_change_its_name() -> None:
    """The map, the sources, the file's name, the lines on which it stands, comments."""
    for other in (
        {"map": "def map():\n    yield 2\n"},
        {"sources": ["b.log"]},
        {"file": "other.py"},
        {"filter": "\n\n\ndef filter(provider):\n    # of the log\n    return provider.exists( 'a' )\n"},
    ):
        assert filter_hash("script", BODY | other) == filter_hash("script", BODY)
    assert 0 < len(filter_hash("script", BODY)) <= 128


@pytest.mark.parametrize(
    "other",
    [
        {"filter": "def filter(provider):\n    return provider.exists('b')\n"},
        {"provider": {"name": "web1", "labels": {"role": "db"}}},
        {"provider": {"name": "web2", "labels": {"role": "web"}}},
        {"encoding": None},
        {"needs": ["exec:true"]},
    ],
)
def test_what_a_filter_sees_changes_it(other: dict[str, Any]) -> None:
    """Each of it."""
    assert filter_hash("script", BODY | other) != filter_hash("script", BODY)


@pytest.mark.parametrize(
    "other",
    [
        {"filter": "#!/bin/sh\nexit 1\n"},
        {"programs": {"filter": ["/bin/bash"]}},
        {"environ": {"A": "2"}},
        {"sources": ["b.log"]},
    ],
)
def test_a_program_sees_more(other: dict[str, Any]) -> None:
    """Its interpreter, its variables, its sources; and its text is nothing that we could read."""
    assert filter_hash("folder", PROGRAM | other) != filter_hash("folder", PROGRAM)


def test_no_filter_has_no_name() -> None:
    """And whoever has none shares nothing."""
    assert filter_hash("script", BODY | {"filter": None}) == ""
    assert filter_hash("plan", {"plan": 1}) == ""
