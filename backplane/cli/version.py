"""`logreduce version`: this program's version, the protocol's, and the Python below."""

from __future__ import annotations

import argparse
import json
import platform
from importlib import metadata

from provider.runner import frames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = "Print the version of this program, of the protocol that it speaks, and of its Python."
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="form of the output")


def run(args: argparse.Namespace) -> int:
    """Print it. Always 0."""
    facts = {"logreduce": _own(), "protocol": frames.VERSION, "python": platform.python_version()}
    if args.output == "json":
        print(json.dumps(facts))
    else:
        print("logreduce {logreduce} (protocol {protocol}, Python {python})".format(**facts))
    return 0


def _own() -> str:
    try:
        return metadata.version("logreduce")
    except metadata.PackageNotFoundError:  # a checkout that was never installed
        return "0+checkout"
