"""How a command line names a query: QUERY, FILES, `--from` and `--set`, shared by the verbs that read queries.

Knows options and paths. Does not know what a query is.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable
from typing import Final

from backplane.api.texts import is_one_line, is_sql, located
from backplane.wire.errors import UsageError

__all__ = [
    "NOT_STDIN",
    "add_query",
    "add_settings",
    "check",
    "is_one_line",
    "is_sql",
    "located",
    "own_prints",
    "settings",
    "sources",
]

#: What may stand where nothing is asked.
_INSTEAD: Final = "write what, as in logreduce {verb} 'nginx access.log | count by status', or name a query file"
_SELECT: Final = "write logreduce sql \"SELECT status, count(*) FROM 'nginx:access.log' GROUP BY status\""
#: Of a source ``-`` that others are asked for.
NOT_STDIN: Final = "- is this machine's standard input, and other machines cannot read it: leave the targets out"


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add ``--set``."""
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="a parameter")


def add_query(
    parser: argparse.ArgumentParser, said: str = "a line (with a blank or |), a path (with / or .py), or a name"
) -> None:
    """Add what names a query and its parameters; ``said``: of the query."""
    parser.add_argument("query", metavar="QUERY", help=said)
    parser.add_argument(
        "files", metavar="FILES", nargs="*", default=[], help="instead of the query's own source; - is stdin"
    )
    parser.add_argument(
        "--from",
        dest="sources",
        action="append",
        default=[],
        metavar="SOURCE",
        help="a source instead of the query's own: tick:5s",
    )
    add_settings(parser)


def check(args: argparse.Namespace, verb: str) -> None:
    """Something is asked.

    Raises:
        UsageError: the query is blank, which most often comes of a variable that is empty.
    """
    if not args.query.strip():
        in_sql = getattr(args, "sql", False)
        raise UsageError(f"nothing is asked: {_SELECT if in_sql else _INSTEAD.format(verb=verb)}")


def settings(texts: Iterable[str]) -> dict[str, str]:
    """Parameters by name; the last one of a name counts.

    Raises:
        UsageError: one is not NAME=VALUE. Its text is not quoted, because it may be a secret.

    >>> settings(["floor=400", "path=/a=b"])
    {'floor': '400', 'path': '/a=b'}
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError("--set takes NAME=VALUE, as in --set floor=400")
        found[name.strip()] = value
    return found


def sources(args: argparse.Namespace, local: bool) -> list[str] | None:
    """FILES and ``--from``, None where there are none.

    On this machine a path is meant from where the user stands, on others from the login's home.
    """
    given = [*getattr(args, "files", ()), *getattr(args, "sources", ())]  # `check` has none
    return ([located(source) for source in given] if local else given) or None


def own_prints() -> contextlib.AbstractContextManager[object]:
    """While a query file's own code runs here (its `reduce` stays home): what it prints is not data."""
    return contextlib.redirect_stdout(sys.stderr)
