"""`logreduce providers add|ls|rm|import|check`: keep the coordinator's table of providers.

Composes: what is to be kept is read here, and the coordinator keeps it. Knows the options; what is shown is
`shown`'s business.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from backplane.cli import finding
from backplane.cli.providers import shown
from backplane.client.outputs.harmless import harmless
from backplane.wire import limits
from backplane.wire.errors import UsageError

if TYPE_CHECKING:
    from coordinator.table import Provider

ACTIONS: Final = ("add", "ls", "rm", "import", "check")
#: The coordinator's own bounds are below these.
_ASK_S: Final = 30.0
_CHECK_S: Final = 70.0
#: Which options an action takes, beyond those that find a coordinator.
_SELECTORS: Final = frozenset(("where", "group", "exclude", "label", "all"))
_REACH: Final = frozenset(
    ("user", "identity", "host_key", "known_hosts", "ssh_config", "allow_root", "fanout", "connect_timeout",
     "login_timeout")
)  # fmt: skip
_FIELDS: Final = frozenset(("user", "identity", "address", "port", "jump", "python", "sudo", "via", "level"))
_TAKES: Final = {
    "add": _FIELDS | {"label", "inventory", "replace"},
    "ls": _SELECTORS | {"output"},
    "rm": _SELECTORS,
    "import": frozenset(("prune",)),
    "check": _SELECTORS | _REACH | {"log", "output"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = (
        "Keep the table of providers: add NAMES, ls and rm and check what is selected, import SOURCE (an inventory)."
    )
    parser.add_argument("action", metavar="ACTION", choices=ACTIONS, help="add, ls, rm, import or check")
    parser.add_argument(
        "names", metavar="NAMES", nargs="*", default=[], help="web[01-20],db1; for import what -i takes"
    )
    some = parser.add_argument_group("which of the table (ls, rm, check)")
    for flag, name, metavar, what in (
        ("-w", "--where", "NODES", "names, also web*; the same as NAMES"),
        ("-g", "--group", "GROUP", "of a group"),
        ("-x", "--exclude", "NODES", "leave these out"),
        ("-l", "--label", "SELECTOR", "of those, the ones with: KEY=VALUE != =~REGEX !~ KEY !KEY; with add: KEY=VALUE"),
    ):
        some.add_argument(flag, name, action="append", default=[], metavar=metavar, help=what)
    some.add_argument("-a", "--all", action="store_true", help="all of them")
    fields = parser.add_argument_group("fields (add)")
    fields.add_argument("-i", "--inventory", action="append", default=[], metavar="FILE", help="an inventory's hosts")
    fields.add_argument("--address", help="where it is, if not under its name")
    fields.add_argument("--port", type=int, help="of sshd")
    fields.add_argument("--user", help="login name; with check, of those that name none")
    fields.add_argument("--identity", metavar="FILE", help="private key; with check, of those that name none")
    fields.add_argument("--jump", metavar="[USER@]HOST[:PORT]", help="hosts to go through, several with commas")
    fields.add_argument("--python", metavar="PATH", help="its Python (default python3)")
    fields.add_argument("--sudo", action="store_true", help="start the runner through sudo -n")
    fields.add_argument("--via", metavar="COMMAND", help="reached by a command: 'docker exec -i {name}'")
    fields.add_argument("--level", help="how little it is, if that is not to be found out")
    fields.add_argument("--replace", action="store_true", help="take new fields for those that are there already")
    parser.add_argument("--prune", action="store_true", help="with import: remove what SOURCE does not name any more")
    parser.add_argument("-o", "--output", choices=("table", "json"), help="form of ls and check")
    check = parser.add_argument_group("check")
    check.add_argument("--log", action="append", default=[], metavar="PATH", help="say whether it may be read")
    check.add_argument("--host-key", choices=("strict", "accept-new"), default="strict", help="accept-new remembers")
    check.add_argument("--known-hosts", metavar="FILE", help="instead of ~/.ssh/known_hosts")
    check.add_argument("--ssh-config", metavar="FILE", help="instead of ~/.ssh/config")
    check.add_argument("--allow-root", action="store_true", help="log in as root over ssh all the same")
    check.add_argument("--fanout", type=int, default=limits.FANOUT, metavar="N", help="logins at a time")
    for name, default in (("connect", limits.CONNECT_S), ("login", limits.LOGIN_S)):
        check.add_argument(f"--{name}-timeout", type=float, default=default, metavar="S", help=f"deadline of {name}")
    finding.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Do it, and return the exit status: of a check 3 if a provider could not be checked."""
    _refuse_others(args)
    what, said, deadline_s = _question(args)
    found = finding.coordinator(args)
    if found.notice:
        _say(found.notice)
    told = asyncio.run(_asked(found, what, said, deadline_s))
    if args.action == "ls":
        shown.rows(told, args.output)
        return 0
    if args.action == "check":
        return shown.facts(told, args.output)
    shown.change(told)
    return 0


def _refuse_others(args: argparse.Namespace) -> None:
    """Refuse options that belong to another action: that one ignores them would go unnoticed."""
    plain: dict[str, object] = {
        "host_key": "strict",
        "fanout": limits.FANOUT,
        "connect_timeout": limits.CONNECT_S,
        "login_timeout": limits.LOGIN_S,
    }
    for name in sorted(frozenset().union(*_TAKES.values(), _REACH) - _TAKES[args.action]):
        value = getattr(args, name)
        if value and value != plain.get(name):
            raise UsageError(f"--{name.replace('_', '-')} does not go with `providers {args.action}`")


def _question(args: argparse.Namespace) -> tuple[str, dict[str, Any], float]:
    """What to ask the coordinator, what to say with it, and how long that may take."""
    what = f"providers.{args.action}"
    if args.action == "add":
        return what, {"entries": [each.to_wire() for each in _added(args)], "replace": args.replace}, _ASK_S
    if args.action == "import":
        source, providers = _imported(args)
        return (
            what,
            {"entries": [each.to_wire() for each in providers], "source": source, "prune": args.prune},
            _ASK_S,
        )
    select = _select(args)
    if args.action == "ls":
        return what, {"select": select}, _ASK_S
    if args.action == "rm":
        if select is None:
            raise UsageError("name whom to remove: NAMES, -g, -l, or -a for all of them")
        return what, {"select": select}, _ASK_S
    reach = {
        "user": args.user,
        "identity": _path(args.identity),
        "host_key": args.host_key,
        "known_hosts": _path(args.known_hosts),
        "ssh_config": _path(args.ssh_config),
        "allow_root": args.allow_root,
        "fanout": args.fanout,
        "connect_s": args.connect_timeout,
        "login_s": args.login_timeout,
    }
    return what, {"select": select or {"everything": True}, "reach": reach, "logs": args.log}, _CHECK_S


def _added(args: argparse.Namespace) -> list[Provider]:
    """The providers that the options describe."""
    from dataclasses import replace

    from coordinator import inventory
    from coordinator.inventory import checks, nodes
    from coordinator.table import Provider

    known = inventory.unite([(source, inventory.read(source, _say)) for source in args.inventory], _say)
    names = [name for text in args.names for name in nodes.expand(text)]
    if not (known or names):
        raise UsageError("name whom to add: NAMES, or -i FILE")
    if args.address and len(names) + len(known) > 1:
        raise UsageError("--address is of one provider")
    labels = dict(_label(text) for text in args.label)
    said: dict[str, Any] = {
        "address": args.address,
        "port": args.port,
        "user": args.user,
        "key": _path(args.identity),
        "jump": args.jump,
        "python": args.python,
        "sudo": args.sudo or None,
        "level": args.level,
    }
    said = {name: value for name, value in said.items() if value is not None}
    providers = {**known, **{name: known.get(name) or _named(Provider, name) for name in names}}
    added = []
    for provider in providers.values():
        fields = dict(said)
        if args.via:
            fields |= {"via": args.via.replace("{name}", provider.name), "reach": "command"}
        described = replace(provider, labels={**provider.labels, **labels}, **fields)
        added.append(checks.checked(provider.name, described))
    return added


def _named(make: type[Provider], name: str) -> Provider:
    from coordinator.inventory import LOCAL

    return make(name, reach="local" if name == LOCAL else "ssh")


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"--label {text!r}: a label to add is KEY=VALUE")
    return key, value


def _imported(args: argparse.Namespace) -> tuple[str, list[Provider]]:
    """An inventory's name, the same from every working directory, and its providers."""
    from coordinator import inventory

    if len(args.names) != 1:
        raise UsageError("import takes one SOURCE, as -i takes it: a file, or file_sd:FILE, ansible:FILE, ...")
    source = args.names[0]
    providers = inventory.read(source, _say)
    prefix, colon, rest = source.partition(":")
    named = bool(colon) and not os.path.exists(source)
    path = os.path.abspath(os.path.expanduser(rest if named else source)) if rest or not named else ""
    name = f"{prefix}:{path}" if named else path
    return name.encode("utf-8", "backslashreplace").decode(), list(providers)


def _select(args: argparse.Namespace) -> dict[str, Any] | None:
    """What of the table is meant; None if nothing was said."""
    from coordinator.inventory import nodes

    names = [name for text in (*args.names, *args.where) for name in nodes.expand(text, globs=True)]
    without = [name for text in args.exclude for name in nodes.expand(text, globs=True)]
    if not (names or without or args.all or args.group or args.label):
        return None
    return {
        "everything": args.all,
        "names": names,
        "groups": args.group,
        "without": without,
        "labels": args.label,
    }


async def _asked(found: finding.Found, what: str, said: dict[str, Any], deadline_s: float) -> Any:
    from backplane.client.session import open_session

    async with open_session(found.place, _say) as session:
        return await session.request(what, said, deadline_s)


def _path(text: str | None) -> str | None:
    """Absolute: the coordinator has a working directory of its own."""
    return os.path.abspath(os.path.expanduser(text)) if text else None


def _say(text: str) -> None:
    print(f"logreduce: {harmless(text)}", file=sys.stderr)
