"""Named queries on the command line: asked, gone on with, shown after their end; here or in a process of their own.

Composes: options become a question that is kept, its directory is locked, and `backplane.cli.run` asks it. Knows which
options say what is asked and which only how it is shown.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from backplane.cli import naming, shown, targets
from backplane.cli import run as running
from backplane.client.named import keeping, process
from backplane.client.named.ended import last
from backplane.client.named.keeping import TIMES, agree, empty, opened
from backplane.client.named.running import Running
from backplane.client.planned import PlanQuestion
from backplane.client.question import QueryQuestion
from backplane.client.store.asked import Asked, texts
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory, directory
from backplane.query.library import find
from backplane.wire.errors import UsageError
from coordinator.table import Provider

#: Options that do not say what is asked: how it is shown, and by whom.
_SHOWN: Final = frozenset(
    {"output", "quiet", "verbose", "coverage", "named", "detach", "begun", "every", "limit", "groups"}
)
#: What to do about a reduce whose state cannot be saved.
_INSTEAD: Final = {
    "class": "give it `def save(self):`, which returns its state, and `def load(self, state):`, or ask without --name",
    "program": "reduce by an aggregate or in Python, or ask without --name",
}


def run(args: argparse.Namespace) -> int:
    """`run` with ``--name`` or ``--detach``.

    Raises:
        UsageError: the question cannot be kept, or the name is another question's.
    """
    selection = targets.selection(args)
    question = running.load_question(args, selection)
    where = directory(args.named or f"{_word(question.name)}-{secrets.token_hex(2)}", os.environ)
    asked = _asked(args, question, selection)
    where.make()
    with opened(where) as store:
        agree(where, store, asked)
        if _moments(args, store):
            question = running.load_question(args, selection)
        if store.facts.get("ended") is not None:
            _say(f"{where.name} has ended: this is its last answer; `logreduce rm {where.name}` lets it be asked anew")
            return show_last(args, question, store)
        if not args.detach:
            return _ask(where, store, args, question, selection)
    _detached(where)
    print(where.name)
    return 0


def go_on(name: str, ready: Callable[[], None]) -> int:
    """What a detached process does: the question of a name, from where it was.

    Args:
        ready: called once it is being asked.
    """
    where = directory(name, os.environ)
    with opened(where) as store:
        asked, args = kept(store)
        with contextlib.suppress(OSError):
            os.chdir(asked.cwd)
        question = stored_question(where, asked, args)
        providers = tuple(Provider.from_wire(dict(entry)) for entry in asked.entries)
        select = None if asked.select is None else dict(asked.select)
        selection = targets.Selection(providers, dict(asked.reach), None, select)
        return _ask(where, store, args, question, selection, ready)


def kept(store: Store) -> tuple[Asked, argparse.Namespace]:
    """The question of a store, and the command line that asks it again without showing anything.

    Raises:
        UsageError: there is none.
    """
    fact = store.facts.get("asked")
    if fact is None:
        raise UsageError("nothing has been asked by this name")
    asked = Asked.from_fact(fact)
    words = dict(asked.words)
    for name in TIMES:
        words[name] = words[name][1] if words.get(name) else None
    shape = {"output": "none", "quiet": False, "verbose": False, "coverage": None, "begun": None, "detach": True}
    args = argparse.Namespace(
        **words,
        **shape,
        every=asked.every,
        limit=shown.Limit(*asked.limit),
        groups=shown.Limit(*asked.groups),
        named=None,
    )
    return asked, args


def stored_question(where: Directory, asked: Asked, args: argparse.Namespace) -> QueryQuestion | PlanQuestion:
    """The question as it was when it was first asked, whatever has become of its files."""
    path = asked.lay_out(where.query)
    local = targets.Selection(tuple(Provider.from_wire(dict(entry)) for entry in asked.entries), select=None)
    return running.load_question(
        argparse.Namespace(**{**vars(args), "query": path or args.query}),
        local if asked.local else replace(local, select=dict(asked.select or {})),
    )


def show_last(args: argparse.Namespace, question: QueryQuestion | PlanQuestion, store: Store) -> int:
    """Show the last snapshot of one that has ended, and return the exit status of that."""
    show = shown.show(args, streams=question.streams, title=question.title)
    with show, naming.own_prints():
        snapshot = last(question, store)
        show.snapshot(snapshot)
    return show.status


def _detached(where: Directory) -> None:
    try:
        process.start(where)
    except UsageError:
        if empty(where):
            where.remove()
        raise


def _ask(
    where: Directory,
    store: Store,
    args: argparse.Namespace,
    question: QueryQuestion | PlanQuestion,
    selection: targets.Selection,
    ready: Callable[[], None] = lambda: None,
) -> int:
    about = {"title": question.title, "streams": question.streams, "began": store.facts["began"]}
    about["endless"] = question.endless
    planned = running.plan(args, question)
    planned = replace(
        planned,
        for_s=keeping.left_s(store),
        named=Running(where, store, about, ready),
    )
    for warning in question.notices:
        planned.show.say(warning)
    return running.execute(question, selection, planned)


def _asked(args: argparse.Namespace, question: QueryQuestion | PlanQuestion, selection: targets.Selection) -> Asked:
    """The question as it is kept.

    Raises:
        UsageError: it cannot be: it reads stdin, holds a secret, or its reduce cannot be saved.
    """
    if question.feed:
        raise UsageError("--name: standard input cannot be read again after a break: name a file instead of -")
    settings = naming.settings(args.settings)
    for name in question.query.secret if isinstance(question, QueryQuestion) else ():
        if not settings.get(name, "").startswith("@"):
            raise UsageError(
                f"--name: {name} is secret, and a question that is kept must not hold it: --set {name}=@FILE"
            )
    why_not = question.fold().durable()
    if why_not is not None:
        kind = question.query.reduction.kind if isinstance(question, QueryQuestion) else ""
        instead = _INSTEAD.get(kind, "ask without --name")
        raise UsageError(f"--name: the answer cannot be kept: {why_not}; {instead}")
    found = None if naming.is_one_line(args.query) else find(args.query)
    return Asked(
        words={name: _word_of(name, value) for name, value in vars(args).items() if name not in _SHOWN},
        texts=texts(found.file) if found else (),
        folder=found is not None and found.folder,
        cwd=os.getcwd(),
        local=selection.local,
        entries=tuple(provider.to_wire() for provider in selection.providers),
        select=selection.select,
        reach=selection.reach,
        title=question.title,
        ends_at=None if args.for_s is None else time.time() + args.for_s,
        every=args.every,
        limit=(args.limit.rows, args.limit.bytes),
        groups=(args.groups.rows, args.groups.bytes),
    )


def _word_of(name: str, value: Any) -> Any:
    """An option's value as it is kept: of a moment, what was said and what it meant then."""
    return [value.text, float(value)] if name in TIMES and value is not None else value


def _moments(args: argparse.Namespace, store: Store) -> bool:
    """Mean by 10m what was meant when the question was first asked; whether that is another moment."""
    meant = keeping.meant(store)
    another = any(getattr(args, name) != at for name, at in meant.items())
    for name, at in meant.items():
        setattr(args, name, at)
    return another


def _word(name: str) -> str:
    """A query's name as part of a directory's."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-" for char in name)
    return plain.lstrip("._-")[:40] or "query"


def _say(text: str) -> None:
    from backplane.client.outputs.harmless import harmless

    print(f"logreduce: {harmless(text)}", file=sys.stderr)
