"""Owning a named query's store: its question is kept when it is first asked, and must be the same when asked again.

Knows which options make another question. Does not know how a question is said, on a command line or in a program.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from backplane.client.store.asked import Asked
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory
from backplane.client.store.lock import locked
from backplane.wire.errors import LogReduceError, UsageError

#: Options that say how long, how fast and with which login it is asked: those of the last time count.
HOW: Final = frozenset(
    {
        *("for_s", "wait", "connect_timeout", "login_timeout", "filter_timeout", "refilter", "fanout", "parallel"),
        *("user", "identity", "host_key", "known_hosts", "python", "sudo", "allow_root"),
        "sql",  # the verb by which it was asked: a text is SQL or is not
    }
)
#: Options that mean a moment, which is settled when the question is first asked.
TIMES: Final = ("since", "until")


@contextlib.contextmanager
def opened(where: Directory) -> Iterator[Store]:
    """Own a named query; one that got nowhere leaves nothing behind.

    Raises:
        InUse: another process runs it.
        StoreError: its file cannot be used.
    """
    with locked(where):
        try:
            with Store(where) as store:
                yield store
        except UsageError:
            if empty(where):
                where.remove()
            raise


def empty(where: Directory) -> bool:
    """Nothing has ever been applied."""
    try:
        with Store(where, own=False) as store:
            return not store.places and not store.facts.get("commit")
    except LogReduceError:
        return False


def agree(where: Directory, store: Store, asked: Asked) -> None:
    """Keep the question, or go on with the one that is kept.

    Raises:
        UsageError: that is another one.
    """
    known = store.facts.get("asked")
    if known is not None:
        before = Asked.from_fact(known)
        differs = asked.differs(before, but=HOW)
        if differs:
            raise UsageError(
                f"{where.name} is another question ({', '.join(differs)} differ{'s' * (len(differs) == 1)}): choose "
                f"another name, or `logreduce rm --force {where.name}` first"
            )
        asked = _again(asked, before)
    facts: dict[str, Any] = {"asked": asked.to_fact(), "began": store.facts.get("began", time.time())}
    store.note(facts)
    store.facts = {**store.facts, **facts}


def meant(store: Store) -> dict[str, float]:
    """The moments that `TIMES` meant when the question was first asked, of those that were said."""
    return {name: said[1] for name in TIMES if (said := store.facts["asked"]["words"].get(name))}


def left_s(store: Store) -> float | None:
    """What is left of the time that it was given, in seconds; None where it was given none."""
    ends_at = store.facts["asked"]["ends_at"]
    return None if ends_at is None else max(0.0, ends_at - time.time())


def _again(asked: Asked, before: Asked) -> Asked:
    """A question that is kept, asked once more: its time is another only if it says so."""
    words = {**before.words, **{name: asked.words[name] for name in HOW & asked.words.keys()}}
    ends_at = asked.ends_at
    if words.get("for_s") in (None, before.words.get("for_s")):
        words["for_s"], ends_at = before.words.get("for_s"), before.ends_at
    return replace(asked, cwd=before.cwd, ends_at=ends_at, texts=before.texts, words=words)
