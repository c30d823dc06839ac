r"""The manual page logreduce(1), made from the program's own parsers as docs/reference/cli.md is.

Knows man(7): a text must not begin a line with ``.`` or ``'``, and ``\`` and ``-`` are written so that they stay what
they are.
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from backplane.cli.main import VERBS
from tests.docs import cli_reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "logreduce.1"


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield '.\\" Written by `make reference` from the program itself; do not edit by hand.'
    yield '.TH LOGREDUCE 1 "" LogReduce "User commands"'
    yield ".SH NAME"
    yield "logreduce \\- ask any question of many live machines, and get one running answer"
    yield ".SH SYNOPSIS"
    yield ".B logreduce"
    yield ".I VERB"
    yield "[\\,\\fIOPTIONS\\/\\fR] ..."
    yield ".SH DESCRIPTION"
    yield "A question runs on the machines that hold the logs, and what they find becomes one answer, which says"
    yield "how complete it is."
    yield "Data goes to standard output; progress, warnings and what scripts print go to standard error."
    for name, verb in VERBS.items():
        if verb.module:
            yield from _verb(name, verb.module, verb.examples)
    yield from _tables()
    yield ".SH SEE ALSO"
    yield ".BR ssh (1),"
    yield ".BR ssh_config (5)"


def _verb(name: str, module: str, examples: tuple[str, ...]) -> Iterator[str]:
    parser = argparse.ArgumentParser(prog=f"logreduce {name}")
    importlib.import_module(module).add_arguments(parser)
    operands = [action for action in parser._actions if not action.option_strings and action.help != argparse.SUPPRESS]
    yield f".SH {_text(f'logreduce {name}').upper()}"
    usage = " ".join(str(each.metavar or each.dest) for each in operands)
    yield f".B logreduce {name}"
    yield f"[\\,\\fIOPTIONS\\/\\fR]{' ' * bool(usage)}{_text(usage)}"
    yield ".PP"
    yield _text(parser.description or "")
    for group in parser._action_groups:
        shown = [
            action
            for action in group._group_actions
            if action.help not in (argparse.SUPPRESS, None) and action.dest != "help"
        ]
        if shown:
            yield f".SS {_text((group.title or '').capitalize())}"
            for action in shown:
                yield from _action(action)
    if examples:
        yield ".SS Examples"
        yield ".nf"
        yield from map(_text, examples)
        yield ".fi"


def _action(action: argparse.Action) -> Iterator[str]:
    names = ", ".join(f"\\fB{_text(option)}\\fR" for option in action.option_strings)
    if not names:
        names = f"\\fI{_text(str(action.metavar or action.dest))}\\fR"
    elif action.nargs != 0:
        operand = cli_reference.operand(action).replace("\\|", "|")  # which is escaped for a table
        names += f" \\fI{_text(operand)}\\fR"
    yield ".TP"
    yield names
    yield _text((action.help or "") % vars(action)) or "\\&"


def _tables() -> Iterator[str]:
    """The tables at the top of the reference page."""
    for title, table in re.findall(r"^## (.*)\n\n((?:\|.*\n)+)", cli_reference.HEAD, re.MULTILINE):
        yield f".SH {title.upper()}"
        for row in table.splitlines()[2:]:
            first, _, second = row.strip("| ").partition(" | ")
            yield ".TP"
            yield f"\\fB{_text(first.replace('`', ''))}\\fR"
            yield _text(second.replace("`", ""))


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped
