"""The parser of a verb's command line: options and operands in any order, and one sentence when something is wrong.

Knows argparse, and how its complaints are put into words. Does not know any option.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from backplane.query.near import did_you_mean
from backplane.wire.errors import UsageError

_CHOICE = re.compile(r"invalid choice: '(?P<given>[^']*)' \(choose from (?P<known>[^)]*)\)")


class Parser(argparse.ArgumentParser):
    """Parses one verb's command line.

    Args:
        verb: the verb's name.
        examples: command lines that stand below the help.
    """

    def __init__(self, verb: str, examples: Sequence[str] = ()) -> None:
        self._examples = examples
        super().__init__(
            prog=f"logreduce {verb}",
            allow_abbrev=False,
            formatter_class=_Help,
            epilog="\n".join(("for example:", *(f"  {line}" for line in examples), "")) if examples else None,
        )

    def read(self, argv: list[str]) -> argparse.Namespace:
        """The options of a command line, wherever they stand: people put files last.

        Raises:
            UsageError: it does not make sense; says what, what was meant, and where to read on.
            SystemExit: after ``--help``.
        """
        args, rest = self.parse_known_intermixed_args(argv)
        for word in rest:
            name = word.partition("=")[0]
            if name.startswith("-") and name != "-":
                near = did_you_mean(name, self._option_string_actions)
                self.error(f"there is no option {name}{near}")
            self.error(f"{word!r} is one too many")
        return args

    def error(self, message: str) -> NoReturn:
        """What argparse calls when something is wrong.

        Raises:
            UsageError: always.
        """
        text = message.removeprefix("argument ").replace("the following arguments are required:", "missing:")
        if text.startswith("missing:") and self._examples:
            text += f", as in {self._examples[0]}"
        if choice := _CHOICE.search(text):
            text += did_you_mean(choice["given"], re.findall(r"[\w.-]+", choice["known"]))
        raise UsageError(f"{text} (see `{self.prog} --help`)")


class _Help(argparse.HelpFormatter):
    """Wraps what is written as one paragraph, and leaves lines alone that were broken on purpose."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)
