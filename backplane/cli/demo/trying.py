"""What to try next: commands that are right as they stand, for a demo that stays up.

Knows the options of `logreduce run` and the demo's queries. Prints nothing.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from backplane.cli.demo.places import Places


def reach(places: Places) -> list[str]:
    """The options that reach the demo's hosts; the inventory says the rest, the key included.

    The user's own ssh_config is left out: a jump host for everything would be one for these, too.
    """
    return ["-i", str(places.inventory), "--known-hosts", str(places.known_hosts), "--ssh-config", os.devnull]


def commands(places: Places) -> list[tuple[str, str]]:
    """What each command asks, and the command itself, to be pasted into a shell."""
    wanted = (
        ("failed logins by address, on all hosts", ["run", "demo-logins", "-a"]),
        ("requests by status, host by host, on two", ["run", "demo-status", "-w", "web[01-02]", "--by-host"]),
        ("latencies as they come", ["run", "demo-latency", "-a", "--follow", "--for", "10s"]),
        ("what would run where", ["explain", "demo-status", "-l", "role=db"]),
    )
    return [(what, shlex.join([*_program(), *words, *reach(places)])) for what, words in wanted]


def _program() -> list[str]:
    """How this very program is started: by its name only where a shell would find no other one."""
    beside = Path(sys.executable).with_name("logreduce")
    if not beside.exists():
        return [sys.executable, "-P", "-m", "backplane.cli"]
    return ["logreduce"] if shutil.which("logreduce") == str(beside) else [str(beside)]


def text(places: Places) -> str:
    """All of it, for people."""
    lines = [
        "",
        "The hosts are still up, and write on.",
        f"  inventory: {places.inventory}",
        f"  logs:      {places.logs}",
        "",
        "To try next, in another terminal:",
    ]
    for what, command in commands(places):
        lines += [f"  # {what}", f"  {command}"]
    lines += ["", "Ctrl-C stops them. The logs stay; everything else is taken away.", ""]
    return "\n".join(lines)
