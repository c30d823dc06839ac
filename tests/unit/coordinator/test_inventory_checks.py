"""What a provider's fields may hold: somebody else's text must not become an option, a command or a drawing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from backplane.wire.errors import UsageError
from coordinator.inventory import checks
from coordinator.table import Provider


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "web-01.example.com"},
        {"name": "::1", "address": "::1"},
        {"name": "fe80::1%eth0"},
        {"name": "shop/web-0"},
        {"name": "büro1"},
        {"name": "a" * 253},
        {"user": "CORP\\jane.doe@example.com"},
        {"jump": "jane@gate:2222,[2001:db8::1]:22,inner"},
        {"via": "docker exec -i 'web 0'", "reach": "command"},
        {"key": "/home/jane/my keys/id"},
        {"level": "sftp", "port": 65535},
        {"labels": {"a/b.c-d": "any text,\nof two lines", "empty": ""}},
    ],
)
def test_what_is_well_stays_as_it_is(fields: dict[str, Any]) -> None:
    """Names of DNS, IPv6, Kubernetes and other alphabets; users of Windows domains; several hops."""
    provider = replace(Provider("a"), **fields)
    assert checks.checked("x", provider) is provider


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": ""}, "an empty text is no name"),
        ({"name": "-oProxyCommand=id"}, "'-oProxyCommand=id' is no name: it must not begin with '-'"),
        ({"name": "a b"}, "must not hold ' '"),
        ({"name": "a\x1b[2J"}, r"'a\x1b[2J' is no name: it must not hold '\x1b'"),
        ({"name": "a\u202eb"}, r"must not hold '\u202e'"),
        ({"name": "a\ud800"}, r"must not hold '\ud800'"),
        ({"name": "a'b"}, 'must not hold "\'"'),
        ({"name": "a$(id)"}, "must not hold '$'"),
        ({"name": "a\n"}, r"must not hold '\n'"),
        ({"name": "a" * 254}, "254 characters, 253 at most"),
        ({"address": "-x"}, "'-x' is no host"),
        ({"address": "a/b"}, "'a/b' is no host: it must not hold '/'"),
        ({"user": "-l"}, "'-l' is no user"),
        ({"user": "a;id"}, "'a;id' is no user"),
        ({"port": 0}, "port 0 is no port"),
        ({"port": 65536}, "port 65536 is no port"),
        ({"key": "-o"}, "key '-o' must not begin with '-'"),
        ({"python": "python3\r"}, r"python 'python3\r' must not hold '\r'"),
        ({"via": "docker 'x"}, "cannot be split into words"),
        ({"via": "  "}, "via is blank"),
        ({"via": "x" * 5000}, "via is 5000 characters long, 4096 at most"),
        ({"level": "root"}, "level 'root' is none of resident, exec"),
        ({"jump": "gate,-oX"}, "jump 'gate,-oX' is no way through"),
        ({"jump": "-l@gate"}, "is no way through"),
        ({"jump": "gate:99999"}, "is no way through"),
        ({"jump": "gate,"}, "is no way through"),
        ({"jump": "2001:db8::1"}, "is no way through"),
        ({"labels": {"": "x"}}, "label '' is no key"),
        ({"labels": {"a\nb": "x"}}, "is no key"),
        ({"labels": {"a": "x" * 5000}}, "label a is 5000 characters long"),
        ({"labels": {"a": "\ud800"}}, "half a surrogate pair"),
        ({"labels": {str(i): "" for i in range(300)}}, "a has 300 labels, 256 at most"),
    ],
)
def test_what_is_not_gets_a_sentence(fields: dict[str, Any], says: str) -> None:
    """With the place, in characters that can be shown."""
    with pytest.raises(UsageError) as caught:
        checks.checked("hosts.json: entry 1", replace(Provider("a"), **fields))
    text = str(caught.value)
    assert says in text
    assert text.startswith("hosts.json: entry 1: ")
    assert text.isprintable()
    assert len(text) < 300
