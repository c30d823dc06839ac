"""The program `logreduce`: finds the verb, loads that verb's module alone, and turns errors into exit statuses.

Knows the verbs' names and one line about each. Everything else is the verb's own module, so that ``logreduce --help``
imports nothing that it does not print.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

from backplane.wire.errors import LogReduceError, UsageError

if TYPE_CHECKING:
    from backplane.client.begun import Begun

PARTIAL = 3
ABORTED = 130


class Verb(NamedTuple):
    """``module`` None: the verb is known, and comes with a later version. ``examples`` end its help.

    ``asks``: what it prints is an answer, and not a page. ``begins``: a private coordinator is begun before its module
    is imported, and given to it as ``args.begun``.
    """

    summary: str
    module: str | None = None
    examples: tuple[str, ...] = ()
    asks: bool = False
    begins: bool = False


VERBS: dict[str, Verb] = {
    "demo": Verb(
        "twenty providers on this machine, live logs, and a real query over them", "backplane.cli.demo", asks=True
    ),
    "run": Verb(
        "ask: run a query file or a query of the library",
        "backplane.cli.run",
        (
            "logreduce run ./errors.py access.log",
            "logreduce run ./errors.py -w 'web[01-20]' /var/log/nginx/access.log --follow",
            "logreduce run http-status -i hosts.json -a --by-host -o json",
            "logreduce run http-status -i hosts.json -a --follow --name status --detach",
        ),
        asks=True,
        begins=True,
    ),
    "sql": Verb(
        "ask in SQL",
        "backplane.cli.sql",
        (
            "logreduce sql \"SELECT status, count(*) FROM 'nginx:access.log' GROUP BY status\"",
            "logreduce sql \"SELECT path, p99(bytes) FROM nginx WHERE host.role = 'web' GROUP BY path\" -a",
            "logreduce sql --explain \"SELECT count(*) FROM nginx\" -w 'web[01-20]'",
        ),
        asks=True,
        begins=True,
    ),
    "explain": Verb(
        "show what would run where, before it runs",
        "backplane.cli.explain",
        ("logreduce explain ./errors.py -w 'web[01-20]'",),
    ),
    "check": Verb(
        "say what is wrong with a query file, before anything ships",
        "backplane.cli.check",
        ("logreduce check ./errors.py --set floor=400",),
    ),
    "ps": Verb(
        "list running queries",
        "backplane.cli.ps",
        ("logreduce ps", "logreduce ps --story 1f2e3d4c5b6a web01"),
    ),
    "attach": Verb(
        "show a named query's snapshots",
        "backplane.cli.attach",
        ("logreduce attach errors", "logreduce attach errors -o jsonl --every 10s"),
        asks=True,
    ),
    "cancel": Verb(
        "end running queries", "backplane.cli.cancel", ("logreduce cancel 1f2e", "logreduce cancel --all --abort")
    ),
    "rm": Verb("remove a named query and its state", "backplane.cli.rm", ("logreduce rm errors",)),
    "queries": Verb("list, show, sign and verify the library"),
    "providers": Verb(
        "keep the table of providers",
        "backplane.cli.providers",
        (
            "logreduce providers add 'web[01-20]' --user reader --label role=web",
            "logreduce providers import hosts.json --prune",
            "logreduce providers check -l role=web --log /var/log/nginx/access.log",
        ),
    ),
    "serve": Verb("be a resident provider"),
    "jail": Verb("make an account that can only read logs"),
    "coordinator": Verb(
        "run the daemon that a team shares",
        "backplane.cli.coordinator",
        (
            "logreduce coordinator",
            "logreduce coordinator keys allow alice 'KEY'",
            "logreduce coordinator --listen tcp://0.0.0.0:7070",
        ),
    ),
    "audit": Verb("list who asked what"),
    "completion": Verb(
        "print the script that completes command lines at TAB",
        "backplane.cli.completion",
        ('eval "$(logreduce completion bash)"', "logreduce completion fish | source"),
    ),
    "version": Verb("print the version", "backplane.cli.version"),
}


def main(argv: list[str]) -> int:
    """Run one command line and return its exit status (docs/reference/cli.md lists them)."""
    try:
        return _main(argv)
    except LogReduceError as exc:
        _say(str(exc), keep="\n" if exc.points else "")
        return exc.exit_status
    except ModuleNotFoundError as exc:
        # A checkout that was brought up to date may want a package that its environment does not have yet.
        missing = (exc.name or "").partition(".")[0]
        if missing in ("", "backplane", "coordinator", "provider"):
            raise
        _say(f"the package {missing} is not in this environment: `make setup` brings a checkout's up to date")
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough: of a page that is no failure, but an answer that was cancelled for it
        # is partial. Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PARTIAL if _asks(argv) else 0
    except KeyboardInterrupt:
        return ABORTED


def _main(argv: list[str]) -> int:
    if argv[:1] == ["help"] and argv[1:]:
        argv = [argv[1], "--help"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        argv = ["version"]
    if argv[0] == "_complete":  # what those scripts ask: no verb, because nobody types it
        from backplane.cli.completion import answer

        return answer.main(argv[1:])
    name, words = argv[0], argv[1:]
    path = _module(name)
    with _begun(words) if VERBS[name].begins else contextlib.nullcontext() as begun:
        module = importlib.import_module(path)

        from backplane.cli.parsing import Parser

        parser = Parser(name, VERBS[name].examples)
        module.add_arguments(parser)
        try:
            args = parser.read(words)
        except SystemExit:  # argparse has printed the help
            status = 0
        else:
            args.begun = begun
            status = module.run(args)
    sys.stdout.flush()
    return status


def _begun(words: list[str]) -> AbstractContextManager[Begun | None]:
    """A coordinator for a verb that takes one with it; see `Verb.begins`."""
    from backplane.cli import early

    return early.begun(words)


def _asks(argv: list[str]) -> bool:
    return VERBS[argv[0]].asks and not {"-h", "--help"} & set(argv) if argv and argv[0] in VERBS else False


def _module(name: str) -> str:
    """The module of a verb.

    Raises:
        UsageError: there is no such verb (near names are suggested), or not in this version.
    """
    verb = VERBS.get(name)
    if verb is None:
        import difflib

        near = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"did you mean `logreduce {near[0]}`?" if near else "`logreduce --help` lists the verbs"
        raise UsageError(f"there is no verb {name!r}: {hint}")
    if verb.module is None:
        raise UsageError(f"`logreduce {name}` is not in this version")
    return verb.module


def overview() -> str:
    """The text of ``logreduce --help``."""
    width = max(map(len, VERBS))
    now = [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items() if verb.module]
    later = ", ".join(name for name, verb in VERBS.items() if not verb.module)
    return "\n".join(
        (
            "logreduce asks any question of many live machines, and gives one running answer that says",
            "how complete it is.",
            "",
            "usage: logreduce VERB ...        (logreduce VERB --help says more)",
            "",
            *now,
            "",
            f"Not in this version: {later}.",
            "",
            "  logreduce demo",
            "  logreduce run ./errors.py /var/log/nginx/access.log",
            "  logreduce run ./errors.py -w 'web[01-20]' --follow",
        )
    )


def _say(text: str, keep: str = "") -> None:
    """One sentence to the user. It may quote what came from elsewhere, so it is made harmless first."""
    from backplane.client.outputs.harmless import harmless

    print(f"logreduce: {harmless(text, keep=keep)}", file=sys.stderr)
