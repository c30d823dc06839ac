"""The command line reference, made from the program's own parsers.

``python -m tests.docs.cli_reference`` writes docs/reference/cli.md, and with it what else is made of the parsers: the
manual page and the words of completion. A test holds each against what would be written. Reads argparse's actions
instead of its help texts, whose form differs from one Python to the next.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from pathlib import Path

from backplane.cli.main import VERBS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"

HEAD = """# Command line

Written by `make reference` from the program itself; do not edit by hand.

    logreduce VERB [OPTIONS] ...

Data goes to stdout; progress, warnings and what scripts print go to stderr. `NO_COLOR` is obeyed.

## Exit status

| status | meaning |
|---|---|
| 0 | the answer is complete |
| 1 | an error of LogReduce's own, or of the query's reduce |
| 2 | wrong usage, or a wrong query file |
| 3 | a partial answer: a provider is missing, or has not finished |
| 4 | no provider could be reached |
| 130 | aborted by a second interrupt |

## Environment and files

| what | meaning |
|---|---|
| `LOGREDUCE_COORDINATOR` | a coordinator's address, `ipc:///path` or `tcp://HOST:PORT`; a flag comes first |
| `LOGREDUCE_SERVER_KEY`, `LOGREDUCE_KEY` | over TCP: the coordinator's public key, and the file of our own |
| `LOGREDUCE_LOG` | level of the coordinator's log: `debug`, `info`, `warning` |
| `LOGREDUCE_LOG_FORMAT` | form of the coordinator's log: `console`, `json` |
| `NO_COLOR` | no colours |
| `$XDG_CONFIG_HOME/logreduce/config.toml` | `coordinator = "ipc:///path"`, and keys for one over TCP |
| `$XDG_CONFIG_HOME/logreduce/coordinator.toml` | settings of `logreduce coordinator`; each is also `LOGREDUCE_NAME` |
| `$XDG_RUNTIME_DIR/logreduce/coordinator.sock` | used if somebody listens on it |

A coordinator is chosen in this order: `--private`, `--coordinator`, `LOGREDUCE_COORDINATOR`, the configuration, the
socket above, a private one of the program's own.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, verb in VERBS.items():
        parts.append(f"## logreduce {name}\n")
        parts.append("\n".join(_verb(name, verb.module)) if verb.module else "Not in this version.\n")
    return "\n".join(parts)


def _verb(name: str, module: str) -> Iterator[str]:
    parser = argparse.ArgumentParser(prog=f"logreduce {name}")
    importlib.import_module(module).add_arguments(parser)
    yield f"{parser.description}\n"
    for group in parser._action_groups:
        shown = [action for action in group._group_actions if action.help not in (argparse.SUPPRESS, None)]
        if not shown or (group.title == "options" and [action.dest for action in shown] == ["help"]):
            continue
        yield f"**{group.title}**\n"
        yield "| | meaning | default |"
        yield "|---|---|---|"
        for action in shown:
            yield _row(action)
        yield ""


def _row(action: argparse.Action) -> str:
    names = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.metavar or action.dest}`"
    if action.option_strings and action.nargs != 0:
        names += f" `{operand(action)}`"
    shown = isinstance(action.default, (str, int, float)) and action.default not in (False, argparse.SUPPRESS)
    default = f"`{action.default}`" if shown else ""
    return f"| {names} | {_escaped((action.help or '') % vars(action))} | {default} |"


def operand(action: argparse.Action) -> str:
    """What an option takes, as its help calls it."""
    if action.metavar:
        return " ".join(action.metavar) if isinstance(action.metavar, tuple) else action.metavar
    return "\\|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    from tests.docs import completion_words, man_page

    PAGE.write_text(page(), encoding="utf-8")
    man_page.PAGE.write_text(man_page.page(), encoding="utf-8")
    completion_words.FILE.write_text(completion_words.text(), encoding="utf-8")
