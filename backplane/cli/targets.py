"""Whom a query asks and how they are reached: the options that every asking verb shares.

Knows the option names of the contract. What they select is `backplane.api.targets`'.
"""

from __future__ import annotations

import argparse
from dataclasses import fields

from backplane.api.targets import Selection, Targets
from backplane.api.targets import selection as selected
from backplane.wire import limits

__all__ = ["Selection", "add_arguments", "selection"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the target and the reach options."""
    target = parser.add_argument_group("targets (none: this machine, as `local`)")
    for flag, name, metavar, what in (
        ("-w", "--where", "NODES", "names: web[01-20],db1, @group; of known ones also web*"),
        ("-g", "--group", "GROUP", "a group of the table, an inventory, or ClusterShell"),
        ("-x", "--exclude", "NODES", "leave these out"),
        ("-l", "--label", "SELECTOR", "of those, the ones with: KEY=VALUE != =~REGEX !~ KEY !KEY"),
        ("-i", "--inventory", "FILE", "file_sd, Ansible, a list, a program, ssh_config:[FILE]; several unite"),
    ):
        target.add_argument(flag, name, action="append", default=[], metavar=metavar, help=what)
    target.add_argument(
        "-a", "--all", action="store_true", help="every provider of the table, or with -i of the inventories"
    )
    reach = parser.add_argument_group("reach")
    reach.add_argument("--user", help="login name")
    reach.add_argument("--identity", metavar="FILE", help="private key; with it the agent is not asked")
    reach.add_argument(
        "--host-key",
        choices=("strict", "accept-new"),
        default="strict",
        help="accept-new remembers keys of hosts that are not known yet; a changed key is always refused",
    )
    reach.add_argument("--known-hosts", metavar="FILE", help="instead of ~/.ssh/known_hosts")
    reach.add_argument("--ssh-config", metavar="FILE", help="instead of ~/.ssh/config")
    reach.add_argument("--via", metavar="COMMAND", help="reach by a command: 'docker exec -i {name}'")
    reach.add_argument("--python", metavar="PATH", help="the providers' Python (default python3)")
    reach.add_argument("--sudo", action="store_true", help="start runners through sudo, without a password")
    reach.add_argument("--allow-root", action="store_true", help="log in as root over ssh all the same")
    reach.add_argument("--fanout", type=_at_least_one, default=limits.FANOUT, metavar="N", help="logins at a time")
    for name, default, what in (
        ("connect-timeout", limits.CONNECT_S, "TCP connect"),
        ("login-timeout", limits.LOGIN_S, "SSH login"),
        ("filter-timeout", limits.FILTER_S, "the filter"),
    ):
        reach.add_argument(f"--{name}", type=_seconds, default=default, metavar="S", help=f"deadline of {what}")
    reach.add_argument(
        "--refilter",
        type=_seconds,
        default=limits.REFILTER_S,
        metavar="S",
        help="following: ask each filter again so often; a yes joins, two noes leave (default 60)",
    )
    reach.add_argument(
        "--wait",
        type=_wait,
        metavar="S",
        help="retry unreachable providers so long, 0 for not at all (default 10, following: no end)",
    )


def selection(args: argparse.Namespace) -> Selection:
    """What the options select, sorted by name, each name once.

    Raises:
        UsageError: an inventory is broken, or nothing is selected.
    """
    return selected(Targets(**{each.name: getattr(args, each.name) for each in fields(Targets)}))


def _seconds(text: str) -> float:
    from backplane.cli.durations import seconds

    return seconds(text)


def _wait(text: str) -> float:
    from backplane.cli.durations import wait

    return wait(text)


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
