"""`logreduce version`: the version and build of this program, and of a coordinator that runs.

Composes. A coordinator is only looked for, and none is started: where there is none there is none to be told of.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any

from backplane.api import finding
from backplane.client.outputs.harmless import harmless
from backplane.wire import builds
from backplane.wire.errors import LogReduceError
from provider import ship
from provider.runner import frames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = (
        "Print the version and build of this program, the version of the protocol that it speaks, and of its Python; "
        "then the build of the coordinator that would be used, if one runs, and of the resident providers that it met."
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="form of the output")


def run(args: argparse.Namespace) -> int:
    """Print it. Always 0."""
    facts: dict[str, Any] = {
        "logreduce": builds.release(),
        "build": builds.build(),
        "protocol": frames.VERSION,
        "python": platform.python_version(),
    }
    coordinator = _coordinator()
    if args.output == "json":
        print(json.dumps({**facts, "coordinator": coordinator}))
        return 0
    print("logreduce {logreduce}+{build} (protocol {protocol}, Python {python})".format(**facts))
    if coordinator is not None:
        _tell(coordinator)
    return 0


def _tell(coordinator: Mapping[str, Any]) -> None:
    told = coordinator["build"] or "of an older build that does not say which"
    print(harmless(f"coordinator {told}{_compared(coordinator['same'])}, at {coordinator['address']}"))
    for build, count in sorted(coordinator["residents"].items()):
        some = "1 resident provider" if count == 1 else f"{count} resident providers"
        told = build or "an older one that does not say which"
        print(harmless(f"{some} of build {told}{_compared(build == ship.build())}"))


def _compared(same: bool) -> str:
    return "" if same else " (another build)"


def _coordinator() -> dict[str, Any] | None:
    """What the coordinator says of itself, None if none is configured or runs."""
    try:
        found = finding.coordinator(finding.Named(), os.environ)
        return asyncio.run(_asked(found)) if found.place else None
    except LogReduceError as exc:
        print(f"logreduce: {harmless(str(exc))}", file=sys.stderr)
        return None


async def _asked(found: finding.Found) -> dict[str, Any]:
    from backplane.client.session import open_session
    from backplane.wire.errors import UsageError

    about: dict[str, Any] = {"build": "", "residents": {}}
    async with open_session(found.place) as session:
        same = session.other_build is None
        try:
            about |= await session.request("about")
        except UsageError:  # one that does not know the question is older
            same = False
    return {"address": found.address, "same": same, **about}
