"""`logreduce sql TEXT [FILES]`: ask in SQL. All that is not the text itself is `run`'s.

Composes: the text is read as a question of one line is, and then run or explained as one.
"""

from __future__ import annotations

import argparse

from backplane.cli import explain, naming
from backplane.cli import run as running


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb: those of `run`, and what shows the plan instead."""
    running.add_arguments(parser, "a SELECT in quotes, as in \"SELECT count(*) FROM 'nginx:access.log'\"")
    parser.description = "Ask a question of many machines in SQL: a SELECT of one log, without joins and subqueries."
    parser.add_argument("--explain", action="store_true", help="show what would run where, and what it would cost")
    parser.set_defaults(sql=True)


def run(args: argparse.Namespace) -> int:
    """Ask, or explain, and return the exit status of the contract.

    Raises:
        UsageError: it is no SQL that can be asked.
    """
    naming.check(args, "sql")
    if not naming.is_one_line(args.query):
        # A word alone names a query elsewhere; here it is SQL that is wrong.
        from backplane.query.sql import sql

        sql(args.query)
    return explain.run(args) if args.explain else running.run(args)
