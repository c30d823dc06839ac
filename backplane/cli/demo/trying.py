"""What to try next: commands that are right as they stand, for a demo that stays up.

Knows the options of `logreduce run` and the demo's queries. Prints nothing.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from backplane.cli.demo.places import Places, names


def reach(places: Places) -> list[str]:
    """The options that reach the demo's hosts; the inventory says the rest, the key included.

    The user's own ssh_config is left out: a jump host for everything would be one for these, too.
    """
    return ["-i", str(places.inventory), "--known-hosts", str(places.known_hosts), "--ssh-config", os.devnull]


def commands(places: Places, providers: int = 20) -> list[tuple[str, str]]:
    """What each command asks of so many hosts, and the command itself, to be pasted into a shell."""
    hosts = names(providers)
    webs = ",".join([name for name, web in hosts if web][:2])
    role = "web" if all(web for _, web in hosts) else "db"
    wanted = (
        ("failed logins by address, on all hosts", ["run", "demo-logins", "-a"]),
        (f"requests by status, host by host, on {webs}", ["run", "demo-status", "-w", webs, "--by-host"]),
        ("latencies as they come", ["run", "demo-latency", "-a", "--follow", "--for", "10s"]),
        ("what would run where", ["explain", "demo-status", "-l", f"role={role}"]),
    )
    return [(what, shlex.join([*_program(), *words, *reach(places)])) for what, words in wanted]


def _program() -> list[str]:
    """How this very program is started: by its name only where a shell would find no other one."""
    beside = Path(sys.executable).with_name("logreduce")
    if not beside.exists():
        return [sys.executable, "-P", "-m", "backplane.cli"]
    return ["logreduce"] if shutil.which("logreduce") == str(beside) else [str(beside)]


def text(places: Places, providers: int = 20) -> str:
    """All of it, for people."""
    lines = [
        "",
        "The hosts are still up, and write on.",
        f"  inventory: {places.inventory}",
        f"  logs:      {places.logs}",
        "",
        "To try next, in another terminal:",
    ]
    for what, command in commands(places, providers):
        lines += [f"  # {what}", f"  {command}"]
    lines += ["", "Ctrl-C stops them. The logs stay; everything else is taken away.", ""]
    return "\n".join(lines)
