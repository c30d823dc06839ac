"""Real OpenSSH servers on loopback: one sshd a provider, each with its own address, host key and directory.

Knows sshd and its configuration; knows nothing of the program under test. It writes in the directory that it is given
and nowhere else, with one exception that sshd insists on: as root it needs an empty ``/run/sshd``.

An sshd that an ordinary user runs lets in that user alone, so logins are as whoever runs the tests, root included.
A ForceCommand gives each provider a home of its own, so that relative log paths differ, and marks every process of a
login by its environment: `SshdFarm.processes` finds them even after their parents have died.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from tests.rigs.links import BlackHole, MuteListener, RefusedPort, Tarpit

#: Beyond this a rig is broken. Two dozen sshds are up within a second on an idle machine.
START_S: Final = 30.0
MARK: Final = "LOGREDUCE_RIG"
#: Ports that are no sshd's, by `Knobs.kind`.
_DEAD: Final = {"refused": RefusedPort, "black hole": BlackHole, "mute": MuteListener, "tarpit": Tarpit}
#: Doubles: whether a real one is installed, and what it allows, is the machine's business. As sudo does, both take no
#: other options than those that the program gives.
_SUDO: Final = {
    "allows": '#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 9\nshift 2\nSUDO_USER=rig exec "$@"\n',
    "asks": "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n",
}
#: What a host has that has a shell and no Python.
TOOLS: Final = (
    *("awk", "bash", "cat", "date", "env", "grep", "head", "id", "ls", "nice"),
    *("perl", "sh", "sleep", "tail", "tee", "uname", "wc"),
)
#: sshd asks to be started by its absolute path: it executes itself again for each connection.
SSHD: Final = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class Knobs:
    """What is different about one provider.

    Attributes:
        kind: ``sshd``; ``refused`` has nobody on its port; the others never come to a login: a ``black hole`` is no
            connection, ``mute`` one without an answer, a ``tarpit`` talks without end.
        host_key: what the farm's known_hosts says of it: its ``right`` key, a ``wrong`` one, or nothing (``unknown``).
        python: ``system``: what a login finds; ``none``: nothing at all on PATH; ``shell``: `TOOLS` and no Python;
            a path: that interpreter as ``python3``.
        sudo: ``system``, or one that ``allows`` everything without a password, or one that ``asks`` for it.
        authorized: False refuses the farm's identity.
        frozen: stopped before the first connection.
        options: lines of its sshd_config that take the place of the rig's own (``MaxStartups 1:100:1``).
    """

    kind: Literal["sshd", "refused", "black hole", "mute", "tarpit"] = "sshd"
    host_key: Literal["right", "wrong", "unknown"] = "right"
    python: str | Path = "system"
    sudo: Literal["system", "allows", "asks"] = "system"
    authorized: bool = True
    frozen: bool = False
    options: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """Where a provider is. Logins begin in ``home``, and ``mark`` is in the environment of all their processes."""

    name: str
    address: str
    port: int
    home: Path
    mark: str
    knobs: Knobs = field(repr=False)


class SshdFarm:
    """``count`` providers, up from entering to leaving it.

    ``knobs`` maps an index to what is different there; the rest are ordinary.

    Attributes:
        sites: the providers in order.
        identity: path of the private key that they let in.
        known_hosts: path; `Knobs.host_key` says what is in it.
        ssh_config: path; maps the names of `sites` to their addresses and ports, for ad-hoc names.
        inventory_json: path of a Prometheus file_sd file with all of them.
        user: the login name.
    """

    def __init__(self, directory: Path, count: int, knobs: Mapping[int, Knobs] | None = None) -> None:
        if SSHD is None:
            raise RuntimeError("sshd is not on this machine")
        self._directory = directory
        self._run = uuid.uuid4().hex[:12]
        self._listeners: dict[int, subprocess.Popen[bytes]] = {}
        self._open = contextlib.ExitStack()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.identity = directory / "identity"
        self.known_hosts = directory / "known_hosts"
        self.ssh_config = directory / "ssh_config"
        self.inventory_json = directory / "inventory.json"
        self.sites: list[Site] = []
        wanted = knobs or {}
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._make_keys(count)
            for index in range(count):
                self.sites.append(self._make_site(index, wanted.get(index, Knobs())))
            self._write_tables()
            for index, site in enumerate(self.sites):
                if site.knobs.kind == "sshd":
                    self._start(index)
            self._await_listeners()
            for index, site in enumerate(self.sites):
                if site.knobs.frozen:
                    self.freeze(index)
        except BaseException:
            self.close()
            raise

    # What a test asks of it.

    def dir(self, index: int) -> Path:
        """The provider's home: where relative log paths start from."""
        return self.sites[index].home

    def log(self, index: int) -> str:
        """What its sshd has logged since it was started."""
        return (self._site_directory(index) / "log").read_text(errors="replace")

    def ssh(self, index: int) -> list[str]:
        """The argv of the plain ssh client up to the destination, to which a command may be added."""
        site = self.sites[index]
        options = ("BatchMode=yes", "ConnectTimeout=10", f"UserKnownHostsFile={self.known_hosts}", "IdentitiesOnly=yes")
        argv = ["ssh", "-F", "none", "-i", str(self.identity), "-p", str(site.port), "-o", "GlobalKnownHostsFile=none"]
        return [*argv, *(part for option in options for part in ("-o", option)), f"{self.user}@{site.address}"]

    def known_at(self, index: int, address: str, port: int) -> None:
        """Write down that this provider's key is met at another address too, as behind a relay."""
        site = self.sites[index]
        key = next(line for line in self.known_hosts.read_text().splitlines() if f":{site.port} " in line)
        with self.known_hosts.open("a") as known:
            known.write(f"[{address}]:{port} {key.split(' ', 1)[1]}\n")

    def moved(self, index: int, address: str, port: int) -> None:
        """Have the inventory say that this provider is at another address, where its key is known."""
        groups = json.loads(self.inventory_json.read_text())
        groups[index]["targets"] = [f"{address}:1"]
        groups[index]["labels"]["ssh_port"] = str(port)
        self.inventory_json.write_text(json.dumps(groups))
        self.known_at(index, address, port)

    def processes(self, index: int) -> list[int]:
        """The pids of all that logins to this provider started and that lives, orphans included."""
        return _marked(f"{MARK}={self.sites[index].mark}\0")

    def freeze(self, index: int) -> None:
        """Stop the provider's sshds (not what they started): connections stay up, and nothing answers."""
        for pid in self._sshds(index):
            _signal(pid, signal.SIGSTOP)

    def thaw(self, index: int) -> None:
        """Let frozen sshds go on."""
        for pid in self._sshds(index):
            _signal(pid, signal.SIGCONT)

    def kill_sessions(self, index: int) -> None:
        """Kill the sshds of its connections and spare the listener: the provider's end of each link just goes."""
        for pid in self._sshds(index)[1:]:
            _signal(pid, signal.SIGKILL)

    def kill(self, index: int) -> None:
        """The provider dies: listener, connections and all that logins started."""
        for pid in (*self._sshds(index), *self.processes(index)):
            _signal(pid, signal.SIGKILL)
        process = self._listeners.pop(index, None)
        if process is not None:
            process.wait(START_S)

    def restart(self, index: int) -> None:
        """Start the listener of a provider that was killed."""
        self._start(index)
        self._await_listeners()

    def close(self) -> None:
        """End every sshd and everything that a login has left behind."""
        self._open.close()
        children = _children()
        for index in self._listeners:
            for pid in self._sshds(index, children):
                _signal(pid, signal.SIGKILL)
        for process in self._listeners.values():
            process.wait(START_S)
        self._listeners.clear()
        deadline = time.monotonic() + START_S
        while left := _marked(f"{MARK}={self._run}-"):
            for pid in left:
                _signal(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes {left} cannot be killed")
            time.sleep(0.005)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # How it is made.

    def _site_directory(self, index: int) -> Path:
        return self._directory / f"p{index:02}"

    def _make_keys(self, count: int) -> None:
        _keygen(self.identity)
        _keygen(self._directory / "other_host_key")
        for index in range(count):
            self._site_directory(index).mkdir()
            _keygen(self._site_directory(index) / "host_key")

    def _make_site(self, index: int, knobs: Knobs) -> Site:
        directory = self._site_directory(index)
        home = directory / "home"
        home.mkdir()
        address = f"127.0.{1 + index // 200}.{1 + index % 200}"
        if knobs.kind == "sshd":
            port = _free_port(address)
        else:
            port = self._open.enter_context(_DEAD[knobs.kind](address)).port
        site = Site(f"p{index:02}", address, port, home, f"{self._run}-{index}", knobs)
        if knobs.kind == "sshd":
            self._write_login(directory, site)
            self._write_config(directory, site)
        return site

    def _write_login(self, directory: Path, site: Site) -> None:
        """The ForceCommand: what a login shell would set up, and then the command that was asked for."""
        lines = [f"export HOME={shlex.quote(str(site.home))} {MARK}={site.mark}", 'cd "$HOME"']
        bin_directory = directory / "bin"
        bin_directory.mkdir()
        if site.knobs.sudo != "system":
            (bin_directory / "sudo").write_text(_SUDO[site.knobs.sudo])
            (bin_directory / "sudo").chmod(0o755)
        if site.knobs.python == "system":
            lines.append(f'PATH={shlex.quote(str(bin_directory))}:"$PATH"')
        else:
            if site.knobs.python == "shell":
                for name, path in ((name, shutil.which(name)) for name in TOOLS):
                    if path:
                        (bin_directory / name).symlink_to(path)
            elif site.knobs.python != "none":
                (bin_directory / "python3").symlink_to(site.knobs.python)
            lines.append(f"PATH={shlex.quote(str(bin_directory))}")
        lines.append('exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"')
        (directory / "login").write_text("\n".join(lines) + "\n")

    def _write_config(self, directory: Path, site: Site) -> None:
        allowed = self.identity.with_suffix(".pub").read_text() if site.knobs.authorized else ""
        (directory / "authorized_keys").write_text(allowed)
        own = [
            f"Port {site.port}",
            f"ListenAddress {site.address}",
            f"HostKey {directory / 'host_key'}",
            f"AuthorizedKeysFile {directory / 'authorized_keys'}",
            f"ForceCommand /bin/sh {shlex.quote(str(directory / 'login'))}",
            f"AllowUsers {self.user}",
            "PermitRootLogin prohibit-password",
            f"UsePAM {'yes' if _locked() else 'no'}",
            "PidFile none",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UseDNS no",
            "PrintMotd no",
            "PrintLastLog no",
            "MaxStartups 200",
            "LogLevel VERBOSE",
            # A bash that sshd starts reads ~/.bashrc, unless it takes itself for a shell within a shell: what whoever
            # runs the tests has in there (version managers, prompts) is no part of a provider.
            "SetEnv SHLVL=9",
            "Subsystem sftp internal-sftp",
        ]
        # Not for sshd to choose between: for most keywords the first line wins, for MaxStartups the last.
        changed = {line.split()[0].lower() for line in site.knobs.options}
        lines = [*site.knobs.options, *(line for line in own if line.split()[0].lower() not in changed)]
        (directory / "sshd_config").write_text("\n".join(lines) + "\n")

    def _write_tables(self) -> None:
        known, config, groups = [], [], []
        other = (self._directory / "other_host_key.pub").read_text().split()
        for index, site in enumerate(self.sites):
            own = (self._site_directory(index) / "host_key.pub").read_text().split()
            if site.knobs.host_key != "unknown":
                key = other if site.knobs.host_key == "wrong" else own
                known.append(f"[{site.address}]:{site.port} {key[0]} {key[1]}\n")
            config.append(
                f"Host {site.name}\n  HostName {site.address}\n  Port {site.port}\n  User {self.user}\n"
                f"  IdentityFile {self.identity}\n  UserKnownHostsFile {self.known_hosts}\n"
            )
            labels = {
                "name": site.name,
                "ssh_port": str(site.port),
                "ssh_user": self.user,
                "ssh_key": str(self.identity),
                "index": str(index),
            }
            groups.append({"targets": [f"{site.address}:9100"], "labels": labels})
        self.known_hosts.write_text("".join(known))
        self.ssh_config.write_text("".join(config))
        self.inventory_json.write_text(json.dumps(groups, indent=1))

    def _start(self, index: int) -> None:
        assert SSHD is not None
        directory = self._site_directory(index)
        argv = [SSHD, "-D", "-e", "-f", str(directory / "sshd_config")]
        if _has_penalties():
            # Tests connect without logging in, all from one address: sshd would ban that address for a while.
            argv += ["-o", "PerSourcePenalties=no"]
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (directory / "log").open("wb") as log:
            self._listeners[index] = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _await_listeners(self) -> None:
        """Wait for the log line, not by connecting: a connection without a login counts against its source."""
        deadline = time.monotonic() + START_S
        for index, process in self._listeners.items():
            while "Server listening on" not in self.log(index):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"sshd {index} did not start: {self.log(index)[-2000:]}")
                time.sleep(0.005)

    def _sshds(self, index: int, children: Mapping[int, list[int]] | None = None) -> list[int]:
        """The listener, then the sshds of its connections. ``children`` are looked up unless they are given."""
        process = self._listeners.get(index)
        if process is None or process.poll() is not None:
            return []
        children = _children() if children is None else children
        found, at = [process.pid], 0
        while at < len(found):
            found += [pid for pid in children.get(found[at], []) if _comm(pid).startswith("sshd")]
            at += 1
        return found


def _keygen(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rig", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def _locked() -> bool:
    """Whether sshd would take our account for locked: without PAM it does where the shadow entry begins with !."""
    try:
        with open("/etc/shadow", encoding="utf-8", errors="replace") as shadow:
            entry = next((line for line in shadow if line.startswith(pwd.getpwuid(os.getuid()).pw_name + ":")), "")
    except OSError:
        return False
    return entry.partition(":")[2].startswith("!")


def _has_penalties() -> bool:
    """Since OpenSSH 9.8. An sshd without the option refuses to start with it."""
    assert SSHD is not None
    done = subprocess.run([SSHD, "-V"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    _, _, text = (done.stderr + done.stdout).partition("OpenSSH_")
    digits = text.split("p", 1)[0].split(".")
    return len(digits) == 2 and all(d.isdigit() for d in digits) and (int(digits[0]), int(digits[1])) >= (9, 8)


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def _marked(text: str) -> list[int]:
    """The pids whose environment contains ``text``, and that are no zombies: those have no environment any more."""
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if text.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return sorted(found)


def _children() -> dict[int, list[int]]:
    """Every living process's children."""
    tree: dict[int, list[int]] = {}
    for pid in _pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        # The name stands in parentheses and may hold any character: what follows the last one has a fixed form.
        parent = int(stat.rpartition(")")[2].split()[1])
        tree.setdefault(parent, []).append(pid)
    return tree


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
