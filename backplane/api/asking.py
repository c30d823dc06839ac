"""From what a program asks, and how, to a question, its targets and its rhythm: what options say on a command line.

Composes: a question of any form is read, targets are selected, a condition on ``host`` prunes them. Blocks, since files
are read; connects to nobody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypedDict

from backplane.api import times
from backplane.api.builder import Logs
from backplane.api.pruning import pruned
from backplane.api.script import Script
from backplane.api.targets import Selection, Targets, selection
from backplane.api.texts import is_one_line, is_sql, located, path_of
from backplane.client.planned import PlanQuestion, plan_question
from backplane.client.question import QueryQuestion, no_windows
from backplane.client.spec import Options, Ready
from backplane.query.load import load
from backplane.query.model import Query
from backplane.query.oneline import OneLine, one_line
from backplane.query.settings import wrong_sources
from backplane.reduce.finishing import Finishing
from backplane.wire import limits
from backplane.wire.errors import UsageError

#: A builder's question, a decorated function, or a text: one line, SQL, a query file's path or a name of the library.
Ask = Logs | Script | str | Path
Texts = str | Sequence[str]
#: Between two snapshots, where nothing is said.
EVERY_S: Final = 2.0
#: Of an answer; more is a question that was not meant so.
MOST_GROUPS: Final = 2_000_000
MOST_BYTES: Final = 1 << 30
_NOT_LATE: Final = "lateness= says how long a window stays open, and there is none: add window='1m'"


class Reach(TypedDict, total=False):
    """Whom to ask and how they are reached; each is the option of `logreduce run` that is called so.

    No target means this machine. Where an inventory alone is named, all of it is meant.
    """

    #: ``-w``: names, ``web[01-20]``, ``@group``.
    hosts: Texts
    #: ``-g``
    groups: Texts
    #: ``-x``
    exclude: Texts
    #: ``-l``: ``role=web``.
    labels: Texts
    #: ``-i``: file_sd, Ansible, a list, a program, ``ssh_config:``.
    inventory: str | Path | Sequence[str | Path]
    #: ``-a``
    everyone: bool
    user: str
    identity: str | Path
    host_key: str
    known_hosts: str | Path
    ssh_config: str | Path
    via: str
    python: str
    sudo: bool
    allow_root: bool
    fanout: int
    connect_timeout: times.Duration
    login_timeout: times.Duration


class How(Reach, total=False):
    """All that can be said of one question besides; as `logreduce run` calls it, unless noted."""

    #: ``--name``: question and answer are kept by it, and gone on with when asked again.
    name: str
    #: Files instead of the question's own.
    files: Texts
    #: ``--set``: constants of a query file or a decorated function.
    settings: Mapping[str, Any]
    follow: bool
    since: times.When
    until: times.When
    rotated: bool
    parallel: int
    #: ``1m``, or ``5m/1m``
    window: str
    lateness: times.Duration
    #: ``--for``
    end_after: times.Duration
    #: Between snapshots; None for the final one only.
    every: times.Duration | None
    wait: times.Duration
    filter_timeout: times.Duration
    refilter: times.Duration
    by_host: bool
    #: Most rows and bytes of a question without aggregates.
    limit: int
    limit_bytes: int
    #: Most groups of an answer, and bytes that it may take here.
    most_groups: int
    most_bytes: int
    #: Every snapshot names every provider, and not the last only.
    coverage_full: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question that is ready to be asked."""

    question: PlanQuestion | QueryQuestion
    selection: Selection
    options: Options
    follow: bool

    @property
    def notices(self) -> list[str]:
        """What the user should know."""
        chosen = self.selection.notice
        return [*self.question.notices, *([chosen] if chosen else [])]


def prepared(query: Ask, how: How, every_s: float | None = EVERY_S) -> Prepared:
    """Make a question ready.

    Args:
        query: what is asked.
        how: and how.
        every_s: between snapshots, where nothing is said; None for the final one only.

    Raises:
        UsageError: the question is wrong, or the options are, or nobody is selected.
    """
    _known(how)
    chosen = selection(targets(how))
    _times_agree(how)
    question = _question(query, how, local=chosen.local)
    if isinstance(question, PlanQuestion):
        chosen = pruned(chosen, question.hosts)
    if question.feed and not chosen.local:
        raise UsageError("'-' is this machine's standard input, and other machines cannot read it: ask this machine")
    # What travels besides is read from files, once: now, and not in somebody's loop.
    question.body(Ready(""), ())
    follow = how.get("follow", False)
    wait_s = _seconds(how, "wait")
    options = Options(
        every_s=_seconds(how, "every") if "every" in how else every_s,
        for_s=_seconds(how, "end_after"),
        wait_s=wait_s if wait_s is not None or follow else limits.WAIT_S,
        filter_s=_seconds(how, "filter_timeout") or limits.FILTER_S,
        refilter_s=_seconds(how, "refilter") or limits.REFILTER_S,
        coverage_full=how.get("coverage_full", False),
        most_groups=how.get("most_groups", MOST_GROUPS),
        most_bytes=how.get("most_bytes", MOST_BYTES),
    )
    return Prepared(question, chosen, options, follow)


def _known(how: How) -> None:
    """Refuse options that there are not; a caller without a type checker may misspell one."""
    from backplane.query.near import did_you_mean

    for name in how:
        if name not in How.__annotations__ and name not in Reach.__annotations__:
            names = [*Reach.__annotations__, *How.__annotations__]
            raise UsageError(f"there is no option {name!r}{did_you_mean(name, names)}")


def _times_agree(how: How) -> None:
    if how.get("follow") and "until" in how:
        raise UsageError("until= has no meaning with follow=True, which goes on: end_after= ends it")
    if how.get("follow") and how.get("parallel", 1) > 1:
        raise UsageError("parallel= reads what is there, and follow=True begins at its end: leave one of them out")
    since, until = _moment(how, "since"), _moment(how, "until")
    if since is not None and until is not None and since >= until:
        raise UsageError("since= is not before until=, so no line is in between")


def targets(how: How) -> Targets:
    """Whom it asks, in the words of the command line.

    Raises:
        UsageError: a duration or a choice is none.
    """
    given: dict[str, Any] = {
        "where": _texts(how.get("hosts")),
        "group": _texts(how.get("groups")),
        "exclude": _texts(how.get("exclude")),
        "label": _texts(how.get("labels")),
        "inventory": _texts(how.get("inventory")),
    }
    alone = bool(given["inventory"]) and not (given["where"] or given["group"])
    for name in ("user", "via", "python", "host_key", "sudo", "allow_root", "fanout"):
        if name in how:
            given[name] = how[name]  # a name of the line above
    for name in ("identity", "known_hosts", "ssh_config"):
        if name in how:
            given[name] = str(how[name])  # type: ignore[literal-required]
    for name in ("connect_timeout", "login_timeout"):
        if name in how:
            given[name] = _seconds(how, name)
    if given.get("host_key", "strict") not in ("strict", "accept-new"):
        raise UsageError(f"host_key= is strict or accept-new, and not {given['host_key']!r}")
    return Targets(**given, all=how.get("everyone", alone))


def _texts(said: str | Path | Sequence[str | Path] | None) -> list[str]:
    if said is None:
        return []
    return [str(said)] if isinstance(said, (str, Path)) else [str(each) for each in said]


def _seconds(how: How, name: str) -> float | None:
    said: times.Duration | None = how.get(name)  # type: ignore[assignment]
    if said is None:
        return None
    try:
        return (times.wait if name == "wait" else times.seconds)(said)
    except (ValueError, TypeError) as exc:
        raise UsageError(f"{name}=: {exc}") from None


def _moment(how: How, name: str) -> float | None:
    said: times.When | None = how.get(name)  # type: ignore[assignment]
    if said is None:
        return None
    try:
        return times.moment(said)
    except (ValueError, TypeError) as exc:
        raise UsageError(f"{name}=: {exc}") from None


def _question(query: Ask, how: How, *, local: bool) -> PlanQuestion | QueryQuestion:
    files = _texts(how.get("files"))
    sources = [located(each) for each in files] if local else files
    made = _read(query, sources or None, how)
    if isinstance(made, Query):
        return _scripted(made, how)
    return _planned(made, how, local=local)


def _read(query: Ask, sources: list[str] | None, how: How) -> OneLine | Query:
    if isinstance(query, Script):
        return query.understood(sources, settings(how))
    if not isinstance(query, Logs):
        if callable(query):
            raise UsageError('a function is asked as a script: write @lr.script(logs=..., reduce="count") above it')
        text = path_of(query)
        if not is_one_line(text):
            return load(text, settings(how), sources)
    if how.get("settings"):
        raise UsageError("settings=: a question of one line has no constants, so write the value into it")
    if isinstance(query, Logs):
        return query.understood(sources)
    if is_sql(text):
        # What reads SQL takes a third of a second to import.
        from backplane.query.sql import sql

        return sql(text, sources)
    return one_line(text, sources)


def settings(how: How) -> dict[str, str]:
    """Constants as ``--set`` takes them."""
    return {name: _setting(value) for name, value in how.get("settings", {}).items()}


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, str):
        # There an @ means a file.
        return f"@{value}" if value.startswith("@") else value
    return json.dumps(value) if isinstance(value, (list, tuple)) else str(value)


def _scripted(query: Query, how: How) -> QueryQuestion:
    if how.get("parallel", 1) > 1:
        raise UsageError("parallel= is for questions that can be split; a script may remember what it read")
    return QueryQuestion(
        query,
        follow=how.get("follow", False),
        since=_moment(how, "since"),
        until=_moment(how, "until"),
        rotated=how.get("rotated", False),
        every_s=_seconds(how, "every") or EVERY_S,
        limit_rows=how.get("limit"),
        limit_bytes=how.get("limit_bytes"),
        by_host=how.get("by_host", False),
        window=_window_of_script(query, how),
        lateness_s=_seconds(how, "lateness") or 0.0,
        hold_s=_seconds(how, "wait") or limits.WAIT_S,
    )


def _window_of_script(query: Query, how: How) -> tuple[float, float] | None:
    if "window" not in how:
        if "lateness" in how:
            raise UsageError(_NOT_LATE)
        return None
    why = no_windows(query)
    if why is not None:
        raise UsageError(f"window=: {why}")
    return _size(how["window"])


def _planned(asked: OneLine, how: How, *, local: bool) -> PlanQuestion:
    wrong = [f"{path!r} has no records" for path in asked.paths if path.startswith("tick:")]
    wrong += wrong_sources(asked.paths)
    if wrong:
        raise UsageError(wrong[0])
    if how.get("by_host") and "host" in asked.keys:
        raise UsageError("by_host=: the question has a column host already, so leave one of them out")
    finishing = Finishing(asked.keys, asked.values, asked.steps, asked.kinds)
    most = [limit for limit in (asked.limit, how.get("limit")) if limit is not None]
    return plan_question(
        asked.text,
        {**asked.plan, "window": _window(asked, how)},
        name=str(asked.plan["format"].get("name", "line")),
        paths=[located(path) for path in asked.paths] if local else None,
        follow=how.get("follow", False),
        since=_moment(how, "since"),
        until=_moment(how, "until"),
        rotated=how.get("rotated", False),
        parallel=how.get("parallel", 1),
        every_s=_seconds(how, "every") or EVERY_S,
        limit=min(most, default=None),
        limit_bytes=how.get("limit_bytes"),
        by_host=how.get("by_host", False),
        finishing=finishing.finish if asked.steps or asked.kinds else None,
        names=asked.values if asked.plan["aggregates"] else None,
        hosts=asked.hosts,
        hold_s=_seconds(how, "wait") or limits.WAIT_S,
        notices=asked.notices,
    )


def _window(asked: OneLine, how: How) -> list[Any] | None:
    own: list[Any] | None = asked.plan["window"]
    lateness = _seconds(how, "lateness")
    if "window" not in how:
        if own is None and lateness is not None:
            raise UsageError(_NOT_LATE)
        return own if own is None or lateness is None else [*own[:3], lateness]
    if own is not None:
        raise UsageError("window=: the question has a timeslice already")
    time = asked.plan["format"].get("time")
    if not time:
        raise UsageError("window= needs a format whose lines have a time")
    if not asked.plan["aggregates"]:
        raise UsageError("window= needs something to count: add an aggregate")
    return [time, *_size(how["window"]), lateness or 0.0]


def _size(window: str) -> tuple[float, float]:
    try:
        return times.window(window)
    except ValueError as exc:
        raise UsageError(f"window=: {exc}") from None
