"""The words that completion offers, made from the program's own parsers (`backplane.cli.completion.places`)."""

from __future__ import annotations

import argparse
import importlib
import json
from typing import Any

from backplane.cli.completion.places import WORDS
from backplane.cli.main import VERBS

FILE = WORDS


def text() -> str:
    """The whole file: a line for each option, so that a change can be read."""
    verbs = [f"{json.dumps(name)}: {_verb(name, verb.module)}" for name, verb in VERBS.items() if verb.module]
    return "{\n" + ",\n".join(verbs) + "\n}\n"


def _verb(name: str, module: str) -> str:
    parser = argparse.ArgumentParser(prog=f"logreduce {name}")
    importlib.import_module(module).add_arguments(parser)
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    options = [
        f"  {json.dumps(flag)}: {json.dumps(_said(action))}" for action in actions for flag in action.option_strings
    ]
    operands = [f"  {json.dumps(_said(action))}" for action in actions if not action.option_strings]
    about = json.dumps(VERBS[name].summary)
    found, taken = ",\n".join(options), ",\n".join(operands)
    return f'{{"help": {about}, "options": {{\n{found}}}, "operands": [\n{taken}]}}'


def _said(action: argparse.Action) -> dict[str, Any]:
    said: dict[str, Any] = {"help": (action.help or "") % vars(action)}
    takes = action.nargs != 0
    said["takes"] = str(action.metavar or action.dest.upper()) if takes else None
    if not action.option_strings:
        said["several"] = action.nargs in ("*", "+")
    if action.choices:
        said["choices"] = list(action.choices)
    return said
