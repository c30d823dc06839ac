"""Which coordinator to use: the options that say so, in the order of the contract.

Knows the option names. How one is found is `backplane.api.finding`'s.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from backplane.api.finding import Found, Named
from backplane.api.finding import coordinator as found
from backplane.client.place import Place
from backplane.wire import places
from backplane.wire.errors import NoCoordinator

__all__ = ["Found", "add_arguments", "coordinator", "running"]


def add_arguments(parser: argparse.ArgumentParser, *, private: bool = True) -> None:
    """Add the options that choose a coordinator; ``private``: one of our own would do."""
    group = parser.add_argument_group("coordinator")
    group.add_argument("--coordinator", metavar="ADDRESS", help="ipc:///path/to/coordinator.sock or tcp://HOST:PORT")
    group.add_argument("--server-key", metavar="KEY", help="the public key of a coordinator over TCP")
    group.add_argument("--key", metavar="FILE", help="our own key there, as `coordinator keys new` made it")
    if private:
        group.add_argument("--private", action="store_true", help="start one of our own, whatever else is configured")


def coordinator(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Found:
    """The coordinator to use.

    Raises:
        UsageError: the configuration file is broken, an address is none, or the keys for it are missing.
    """
    said = Named(coordinator=args.coordinator, server_key=args.server_key, key=args.key, private=args.private)
    return found(said, environ)


def running(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Place:
    """The coordinator that runs already, for those who ask about it.

    Raises:
        NoCoordinator: there is none.
        UsageError: as `coordinator`.
    """
    args.private = False
    own = coordinator(args, environ)
    if own.place is None:
        raise NoCoordinator(
            f"no coordinator runs at {places.socket(environ)}: `logreduce coordinator` starts one, "
            "and --coordinator names another"
        )
    return own.place
