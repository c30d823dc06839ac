"""A question that is asked by a name: kept with its answer, and gone on with, as `logreduce run --name` does.

Composes. What is kept is a command line's words, so that a program's question and one that was typed are the same where
they say the same, and `logreduce attach` can go on with either after a crash. Blocks: it reads and writes files.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

from backplane.api import times
from backplane.api.asking import EVERY_S, MOST_BYTES, MOST_GROUPS, Ask, How, Prepared, prepared, targets
from backplane.api.asking import settings as settings_of
from backplane.api.builder import Logs
from backplane.api.script import Script
from backplane.api.targets import Targets
from backplane.api.texts import is_one_line, path_of
from backplane.client.named.ended import last
from backplane.client.named.keeping import TIMES, agree, left_s, meant, opened
from backplane.client.named.running import Running
from backplane.client.question import QueryQuestion
from backplane.client.store.asked import Asked, Text, texts
from backplane.client.store.database import Store
from backplane.client.store.directory import directory
from backplane.query.library import find
from backplane.reduce.snapshot import Snapshot
from backplane.wire import limits
from backplane.wire.errors import UsageError

#: Options of the command line that a program cannot say, or says otherwise.
_UNSAID: Final[Mapping[str, Any]] = {
    "sources": [],
    "canary": None,
    "dry_run": False,
    "after": None,
    "before": None,
    "context": None,
}


@dataclass(frozen=True, slots=True)
class Named:
    """A question that this process owns by its name.

    Attributes:
        ready: to be asked; what it says of time is what was meant when it was first asked.
        store: its answer so far.
        running: what lets others look at it; None: it has ended.
    """

    ready: Prepared
    store: Store
    running: Running | None

    def last(self) -> Snapshot:
        """Its last answer, of one that has ended."""
        return last(self.ready.question, self.store)


@contextlib.contextmanager
def named(query: Ask, how: How, where: Mapping[str, Any], every_s: float | None = EVERY_S) -> Iterator[Named]:
    """Own a question's name.

    Args:
        where: which coordinator was said (`backplane.api.session.Where`).
        every_s: as of `prepared`.

    Raises:
        UsageError: as `prepared`; or it cannot be kept, the name is another question's, or another process runs it.
    """
    place = directory(how["name"], os.environ)
    ready = prepared(query, how, every_s)
    asked = _asked(query, how, where, ready)
    place.make()
    with opened(place) as store:
        agree(place, store, asked)
        then = meant(store)
        if any(then[name] != asked.words[name][1] for name in then):
            for name, at in then.items():
                how = {**how, name: at}  # type: ignore[misc]  # since and until, both moments
            ready = prepared(query, how, every_s)
        if store.facts.get("ended") is not None:
            yield Named(ready, store, None)
            return
        ready = replace(ready, options=replace(ready.options, for_s=left_s(store)))
        question = ready.question
        about = {"title": question.title, "streams": question.streams, "began": store.facts["began"]}
        about["endless"] = question.endless
        yield Named(ready, store, Running(place, store, about))


def _asked(query: Ask, how: How, where: Mapping[str, Any], ready: Prepared) -> Asked:
    """The question as it is kept.

    Raises:
        UsageError: it cannot be: it reads stdin, holds a secret, or its reduce is code of this program alone.
    """
    question = ready.question
    if question.feed:
        raise UsageError("name=: standard input cannot be read again after a break: name a file instead of '-'")
    if isinstance(query, Script) and query.reduce is not None:
        raise UsageError("name=: reduce= is a function of this program, and cannot be kept: reduce by an aggregate")
    secret = question.query.secret if isinstance(question, QueryQuestion) else ()
    if secret:
        raise UsageError(
            f"name=: {secret[0]} is secret, and a question that is kept must not hold it: ask by "
            f"`logreduce run --name {how['name']} --set {secret[0]}=@FILE`"
        )
    why_not = question.fold().durable()
    if why_not is not None:
        raise UsageError(f"name=: the answer cannot be kept: {why_not}; ask without a name")
    said, files, folder = _said(query)
    return Asked(
        words={**_words(how, where), "query": said},
        texts=files,
        folder=folder,
        cwd=os.getcwd(),
        local=ready.selection.local,
        entries=tuple(provider.to_wire() for provider in ready.selection.providers),
        select=ready.selection.select,
        reach=ready.selection.reach,
        title=question.title,
        ends_at=None if ready.options.for_s is None else time.time() + ready.options.for_s,
        every=ready.options.every_s or EVERY_S,
        limit=(how.get("limit"), how.get("limit_bytes")),
        groups=(how.get("most_groups", MOST_GROUPS), how.get("most_bytes", MOST_BYTES)),
    )


def _said(query: Ask) -> tuple[str, tuple[Text, ...], bool]:
    """What is asked as a command line says it, the files that belong to it, and whether they are a folder."""
    if isinstance(query, Script):
        name = f"{query.name}.py"
        return name, (Text(name, query.text().encode("utf-8", "surrogateescape")),), False
    if isinstance(query, Logs):
        return str(query), (), False
    text = path_of(query)
    if is_one_line(text):
        return text, (), False
    found = find(text)
    return text, texts(found.file), found.folder


def _words(how: How, where: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `logreduce run` that say the same, all of them, by the names of its parser."""
    wanted = targets(how)
    window = how.get("window")
    return {
        **_UNSAID,
        **{each.name: _plain(getattr(wanted, each.name)) for each in fields(Targets)},
        **{name: _moment(how, name) for name in TIMES},
        "files": _listed(how.get("files")),
        "settings": [f"{name}={value}" for name, value in settings_of(how).items()],
        "follow": how.get("follow", False),
        "for_s": _seconds(how.get("end_after")),
        "rotated": how.get("rotated", False),
        "parallel": how.get("parallel", 1),
        "window": None if window is None else times.window(window),
        "lateness": _seconds(how.get("lateness")),
        "by_host": how.get("by_host", False),
        "filter_timeout": _seconds(how.get("filter_timeout")) or limits.FILTER_S,
        "refilter": _seconds(how.get("refilter")) or limits.REFILTER_S,
        "wait": None if how.get("wait") is None else times.wait(how["wait"]),
        "coordinator": where.get("coordinator"),
        "server_key": where.get("server_key"),
        "key": where.get("key"),
        "private": where.get("private", False),
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _listed(said: Any) -> list[str]:
    if said is None:
        return []
    return [str(said)] if isinstance(said, (str, os.PathLike)) else [str(each) for each in said]


def _seconds(said: times.Duration | None) -> float | None:
    return None if said is None else times.seconds(said)


def _moment(how: How, name: str) -> list[Any] | None:
    """What was said, and what it means now."""
    said: times.When | None = how.get(name)  # type: ignore[assignment]
    if said is None:
        return None
    text = said.isoformat() if isinstance(said, datetime) else said if isinstance(said, str) else repr(float(said))
    return [text, times.moment(said)]
