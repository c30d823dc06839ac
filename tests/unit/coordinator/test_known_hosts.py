"""known_hosts and destinations: what files and fields say of a login, without a login."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from backplane.wire.errors import ReachError
from coordinator.reach.destination import Config, Destination, destination
from coordinator.reach.known_hosts import KnownHosts, add, unknown
from coordinator.table import Provider, ReachOptions

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMHoVHxwPVIVsbQ+yOlvyh0cfHUBV3N0YPPYPKHIZq4B"


def numbers(path: Path, host: str, port: int = 22) -> list[int]:
    return [line.number for line in KnownHosts(str(path)).lines(host, port)]


def test_lines_are_found_by_name_list_pattern_port_and_marker(tmp_path: Path) -> None:
    """As sshd(8) describes them; what is not understood is no line."""
    path = tmp_path / "known_hosts"
    path.write_text(
        f"# comment\nweb01,10.0.0.7 {KEY} comment here\n*.example.org,!bad.example.org {KEY}\n"
        f"[web01]:2222 {KEY}\n@revoked web01 {KEY}\n@cert-authority *.corp {KEY}\nnonsense\n@new x {KEY}\n"
    )
    assert numbers(path, "web01") == [2, 5]
    assert numbers(path, "WEB01") == [2, 5]
    assert numbers(path, "10.0.0.7") == [2]
    assert numbers(path, "a.example.org") == [3]
    assert numbers(path, "bad.example.org") == []
    assert numbers(path, "web01", 2222) == [4]
    assert numbers(path, "10.0.0.7", 2222) == [2]
    assert [line.marker for line in KnownHosts(str(path)).lines("db.corp", 22)] == ["@cert-authority"]
    assert KnownHosts(str(path)).lines("web01", 22)[0].key == KEY


def test_hashed_lines_are_found(tmp_path: Path) -> None:
    """As `ssh-keygen -H` writes them."""
    path = tmp_path / "known_hosts"
    path.write_text(f"web01 {KEY}\n[web02]:2222 {KEY}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    assert "web01" not in path.read_text()
    assert (numbers(path, "web01"), numbers(path, "web02", 2222), numbers(path, "web03")) == ([1], [2], [])


def test_a_file_that_changes_is_read_again_and_none_is_empty(tmp_path: Path) -> None:
    """A user adds a host while a coordinator runs."""
    path = tmp_path / ".ssh" / "known_hosts"
    known = KnownHosts(str(path))
    assert known.lines("web01", 22) == []
    add(str(path), "web01", 22, KEY)
    assert len(known.lines("web01", 22)) == 1
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_new_line_does_not_stick_to_one_that_was_torn(tmp_path: Path) -> None:
    """Somebody's editor left no newline at the end."""
    path = tmp_path / "known_hosts"
    path.write_text(f"web01 {KEY}")
    add(str(path), "web02", 2222, KEY)
    assert path.read_text() == f"web01 {KEY}\n[web02]:2222 {KEY}\n"


def config(**said: object) -> Config:
    return said.get


def nothing(name: str) -> Config:
    return config()


def test_the_providers_own_field_comes_first_then_the_query_then_ssh_config() -> None:
    """For user, port and key alike."""

    def says(name: str) -> Config:
        return config(Hostname="10.0.0.7", Port=2200, User="fromconfig", IdentityFile=["/k/config"])

    plain = destination(Provider("web01"), ReachOptions(), says)
    assert (plain.host, plain.port, plain.user, plain.keys) == ("10.0.0.7", 2200, "fromconfig", ("/k/config",))
    assert not plain.keys_named
    asked = destination(Provider("web01"), ReachOptions(user="opt", identity="/k/opt"), says)
    assert (asked.user, asked.keys, asked.keys_named) == ("opt", ("/k/opt",), True)
    own = destination(Provider("web01", port=1, user="own", key="/k/own"), ReachOptions(user="opt"), says)
    assert (own.port, own.user, own.keys) == (1, "own", ("/k/own",))


def test_an_address_is_what_ssh_config_is_asked_for() -> None:
    """The name is for answers."""
    asked: list[str] = []
    destination(Provider("front", address="10.0.0.7"), ReachOptions(), lambda name: asked.append(name) or config())  # type: ignore[func-returns-value]
    assert asked == ["10.0.0.7"]


def test_checking_cannot_be_pointed_at_nothing() -> None:
    """/dev/null as a known_hosts file is how checking is switched off elsewhere."""
    found = destination(Provider("a"), ReachOptions(), lambda name: config(UserKnownHostsFile=["/dev/null"]))
    assert found.known_hosts[0].endswith("/.ssh/known_hosts")


def test_one_jump_host_has_its_own_config() -> None:
    """User and port come from the text, then from what ssh_config says of the jump host."""

    def says(name: str) -> Config:
        return config(Hostname="gate.example.org", User="jumper") if name == "gate" else config(ProxyJump="gate:2222")

    jump = destination(Provider("a"), ReachOptions(user="deploy"), says).jump
    assert jump is not None
    assert (jump.host, jump.port, jump.user) == ("gate.example.org", 2222, "jumper")
    assert destination(Provider("a", jump="none"), ReachOptions(), nothing).jump is None


@pytest.mark.parametrize("jump", ["gate:ssh", "a,", "deploy@", ",".join("abcdefghijklmnopqr")])
def test_jumps_that_make_no_sense_get_a_sentence(jump: str) -> None:
    """Never a silent stop at the first hop."""
    with pytest.raises(ReachError) as caught:
        destination(Provider("x", jump=jump), ReachOptions(), nothing)
    assert not caught.value.retry


def chain(of: Destination) -> list[str]:
    """The hops from us to it, by host."""
    return [*(chain(of.jump) if of.jump else ()), of.host]


def jumping(**jumps: str) -> Callable[[str], Config]:
    """An ssh_config of ProxyJump lines."""
    return lambda name: config(**({"ProxyJump": jumps[name]} if name in jumps else {}))


@pytest.mark.parametrize(
    ("jump", "config_of", "hops"),
    [
        ("a,b,c", nothing, ["a", "b", "c", "x"]),
        ("b", jumping(b="a"), ["a", "b", "x"]),
        (None, jumping(x="c", c="b", b="a"), ["a", "b", "c", "x"]),
        (None, jumping(x="a,b"), ["a", "b", "x"]),
        # The hops that are named take the place of what ssh_config says of those behind the first.
        ("a,b", jumping(b="other"), ["a", "b", "x"]),
        ("a,b", jumping(a="first"), ["first", "a", "b", "x"]),
        # `Host *` speaks of the jump host too.
        (None, lambda name: config(ProxyJump="gate"), ["gate", "x"]),
        ("gate", lambda name: config(ProxyJump="other"), ["other", "gate", "x"]),
    ],
)
def test_jump_hosts_are_gone_through_in_order(
    jump: str | None, config_of: Callable[[str], Config], hops: list[str]
) -> None:
    """As ssh goes: the first is connected to, the last connects to the provider."""
    assert chain(destination(Provider("x", jump=jump), ReachOptions(), config_of)) == hops


def test_jump_hosts_that_lead_back_are_refused() -> None:
    """ssh would start processes without end."""
    with pytest.raises(ReachError, match="lead back to themselves: x through a through b through a"):
        destination(Provider("x"), ReachOptions(), jumping(x="a", a="b", b="a"))


@pytest.mark.parametrize(
    ("said", "agent"),
    [
        ({}, "/run/agent"),
        ({"IdentityAgent": "SSH_AUTH_SOCK"}, "/run/agent"),
        ({"IdentityAgent": "$OTHER"}, "/run/other"),
        ({"IdentityAgent": "/run/mine"}, "/run/mine"),
        ({"IdentityAgent": "none"}, ""),
    ],
)
def test_the_agent_is_the_one_that_ssh_would_ask(
    said: dict[str, str], agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IdentityAgent before $SSH_AUTH_SOCK, and ``none`` asks nobody."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.setenv("OTHER", "/run/other")
    assert destination(Provider("x"), ReachOptions(), lambda name: config(**said)).agent == agent


def test_a_revoked_line_for_all_hosts_does_not_hide_what_is_known_of_one(tmp_path: Path) -> None:
    """It names a key, and says nothing of whom to trust."""
    path = tmp_path / "known_hosts"
    path.write_text(f"@revoked * ssh-ed25519 AAAA\nweb01 {KEY}\n")
    assert [line.marker for line in KnownHosts(str(path)).lines("web01", 2222)] == ["@revoked", ""]


def test_only_who_may_is_told_of_accept_new() -> None:
    """A coordinator that is shared writes down no keys for its clients, and its files are its operator's."""
    assert "--host-key accept-new" in unknown("/k")
    assert "accept-new" not in unknown("/k", shared=True)
    assert "operator adds it to /k" in unknown("/k", shared=True)
