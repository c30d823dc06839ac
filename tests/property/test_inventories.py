"""Inventories: what is written is read, in each form alike, and no text brings down the reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hypothesis import example, given
from hypothesis import strategies as st

from backplane.wire.errors import UsageError
from coordinator.inventory import ansible, checks, file_sd, hostfile, nodes, reading
from coordinator.inventory.labels import terms
from coordinator.table import Provider

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z0-9]{1,3})?(\.[a-z]{1,4})?", fullmatch=True)
HOSTS = NAMES | st.ip_addresses().map(str)
TEXTS = st.none() | st.text(_LETTERS, min_size=1, max_size=8)
OWN = frozenset(("name", "sudo", "via", "level", "python", "ssh_port", "ssh_user", "ssh_key", "ssh_jump"))
KEYS = st.text(_LETTERS + "_/.", min_size=1, max_size=8).filter(lambda key: key not in OWN)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

PROVIDERS = st.builds(
    Provider,
    name=NAMES.filter(lambda name: name != "local"),
    address=st.none() | HOSTS,
    port=st.none() | st.integers(1, 65535),
    user=TEXTS,
    key=st.none() | st.text(_LETTERS, min_size=1).map("/{}".format),
    jump=TEXTS,
    python=TEXTS,
    sudo=st.booleans(),
    level=st.none() | st.sampled_from(checks.LEVELS),
    labels=st.dictionaries(KEYS, VALUES, max_size=4),
)


def entry(provider: Provider) -> dict[str, Any]:
    """A provider as an entry of file_sd."""
    host = provider.address or provider.name
    fields = {
        "name": provider.name,
        "ssh_port": str(provider.port) if provider.port else None,
        "ssh_user": provider.user,
        "ssh_key": provider.key,
        "ssh_jump": provider.jump,
        "python": provider.python,
        "sudo": str(provider.sudo).lower(),
        "level": provider.level,
    }
    target = f"[{host}]:9100" if ":" in host else f"{host}:9100"
    return {"targets": [target], "labels": {**provider.labels, **{k: v for k, v in fields.items() if v is not None}}}


@given(st.lists(PROVIDERS, unique_by=lambda provider: provider.name))
def test_what_is_written_is_read(providers: list[Provider]) -> None:
    """Every field comes back, from JSON and from YAML."""
    meant = [
        Provider.from_wire({**p.to_wire(), "address": p.address if p.address != p.name else None}) for p in providers
    ]
    entries = [entry(provider) for provider in providers]
    data = json.dumps(entries).encode()
    assert file_sd.parse("x", data, yaml=False, directory=Path("/")) == meant
    text = yaml.safe_dump(entries).encode()
    assert file_sd.parse("x", text, yaml=True, directory=Path("/")) == meant


@given(st.lists(HOSTS, min_size=1))
def test_names_fold_and_come_back(names: list[str]) -> None:
    """As one set, and as a list of sets."""
    folded = nodes.fold(names)
    assert set(nodes.expand(folded)) == set(names)
    assert {provider.name for provider in hostfile.parse("x", f"# all\n{folded}\n".encode())} == set(names)


def outcomes(data: bytes) -> Iterator[list[Provider] | str]:
    """What each reader makes of a text: providers, or its sentence."""
    readers: tuple[Callable[[], list[Provider]], ...] = (
        lambda: file_sd.parse("x", data, yaml=False, directory=Path("/")),
        lambda: file_sd.parse("x", data, yaml=True, directory=Path("/")),
        lambda: ansible.parse("x", data, lambda _: None),
        # Its groups would ask ClusterShell in another process.
        lambda: hostfile.parse("x", data.replace(b"@", b"")),
    )
    for reader in readers:
        try:
            yield reader()
        except UsageError as exc:
            yield str(exc)


def check_outcomes(data: bytes) -> None:
    """Providers with names that are names, or a sentence of one line with the place."""
    for outcome in outcomes(data):
        if isinstance(outcome, str):
            assert outcome.startswith("x") and "\n" not in outcome
        else:
            assert all(checks.name_fault(provider.name) is None for provider in outcome)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_text_brings_down_a_reader(data: bytes) -> None:
    """Whatever the bytes, there are providers or a sentence of one line."""
    check_outcomes(data)
    assert callable(reading.kind("x", data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["targets", "labels", "_meta", "hostvars", "a", "hosts", "children"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
@example({"targets": {"targets": None, "hosts": [None]}})
def test_no_shape_brings_down_a_reader(value: Any) -> None:
    """JSON of any shape is providers or a sentence."""
    check_outcomes(json.dumps(value).encode())


@given(st.text(max_size=30))
def test_no_selector_brings_down_its_parser(text: str) -> None:
    """It is conditions or a sentence, and a condition answers of any labels."""
    try:
        found = terms(text)
    except UsageError:
        return
    for term in found:
        assert term.admits({}) in (True, False)
        assert term.admits({term.key: "x"}) in (True, False)
