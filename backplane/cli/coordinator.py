"""`logreduce coordinator`: run the daemon that a team shares; `logreduce coordinator keys`: who may come in over TCP.

Composes: the daemon is `coordinator.main`'s, key files are `backplane.wire.keys`'. Prints public keys only.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from backplane.query.near import did_you_mean
from backplane.wire.errors import UsageError

if TYPE_CHECKING:
    from backplane.wire.keys import Keys

#: Words after ``keys``, and what each takes.
_KEYS: dict[str, tuple[str, ...]] = {"new": ("NAME",), "ls": (), "allow": ("NAME", "KEY"), "revoke": ("NAME",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    from coordinator.main import add_arguments as add_settings

    parser.description = (
        "Run a coordinator that clients share, or with `keys new NAME`, `keys ls`, `keys allow NAME KEY` and "
        "`keys revoke NAME` say who may come in over TCP. It prints `ready` once it listens, and below its addresses "
        "as --coordinator takes them."
    )
    parser.add_argument("words", nargs="*", metavar="keys", help="new NAME, ls, allow NAME KEY, revoke NAME")
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Serve, or do what was said of keys."""
    if args.words:
        return _keys(args.words, args)
    from coordinator import daemon, main

    daemon.run(main.settings(args), args.config)
    return 0


def _keys(words: list[str], args: argparse.Namespace) -> int:
    from backplane.wire.keys import Keys
    from coordinator import config

    if words[0] != "keys":
        raise UsageError(f"there is no {words[0]!r}: it is `logreduce coordinator` or `logreduce coordinator keys`")
    what, *operands = words[1:] or ["ls"]
    if what not in _KEYS:
        raise UsageError(f"there is no `keys {what}`: it is new, ls, allow or revoke{did_you_mean(what, _KEYS)}")
    if len(operands) != len(_KEYS[what]):
        raise UsageError(f"it is `logreduce coordinator keys {' '.join((what, *_KEYS[what]))}`")
    keys = Keys(Path(config.read({"keys": args.keys}, args.config).keys))
    if what == "new":
        _new(keys, *operands)
    elif what == "ls":
        _list(keys)
    elif what == "allow":
        keys.allow(*operands)
        print(f"{operands[0]} may come in; a coordinator that runs is told by SIGHUP")
    else:
        keys.revoke(*operands)
        print(f"{operands[0]} may not come in any more; a coordinator that runs is told by SIGHUP")
    return 0


def _new(keys: Keys, name: str) -> None:
    pair, path = keys.new(name)
    print(f"public key of {name}: '{pair.public}'")
    print(f"its secret is in {path}, which nobody else may have")
    print(f"to let it in, there: logreduce coordinator keys allow {name} '{pair.public}'")


def _list(keys: Keys) -> None:
    from backplane.wire.keys import SERVER, read_pair

    for name, path in keys.pairs().items():
        print(f"{'this coordinator' if name == SERVER else 'own pair':<16}  {name:<20}  '{read_pair(path).public}'")
    for key, name in sorted(keys.allowed().items(), key=lambda item: item[1]):
        print(f"{'may come in':<16}  {name:<20}  '{key}'")
