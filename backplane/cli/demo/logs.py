"""What the demo's hosts write: lines like nginx's, sshd's and an application's, the same for the same seed.

Knows formats and chances. Writes nothing and does not look at a clock: whoever asks says which moment it is.
Addresses are of the ranges that are reserved for documentation, so nobody's are accused of anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

T = TypeVar("T")

#: Paths relative to a host's root.
NGINX: Final = "nginx/access.log"
AUTH: Final = "auth.log"
APP: Final = "app/app.log"

#: Seconds that one batch of lines covers. Shorter is livelier, and wakes the writer more often.
STEP_S: Final = 0.25
#: Requests a second on a host, on average.
REQUESTS_PER_S: Final = 24

#: Each list is (what, how often in proportion).
_PATHS: Final = (
    ("/", 30),
    ("/api/cart", 22),
    ("/api/search?q=kettle", 18),
    ("/static/app.js", 16),
    ("/static/logo.svg", 12),
    ("/api/checkout", 6),
    ("/health", 5),
    ("/favicon.ico", 4),
    ("/wp-login.php", 2),
    ("/api/orders/%7B42%7D", 1),
)
_STATUSES: Final = ((200, 880), (304, 50), (301, 14), (404, 38), (403, 5), (429, 4), (500, 6), (502, 2), (503, 1))
_AGENTS: Final = (
    ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", 5),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15", 4),
    ("curl/8.14.1", 2),
    ("kube-probe/1.33", 1),
    ("-", 1),
)
_STRANGERS: Final = (("root", 9), ("admin", 7), ("test", 4), ("oracle", 3), ("ubuntu", 3), ("git", 2), ("zoë", 1))
_PEOPLE: Final = ("ada", "grace", "edsger")


@dataclass(frozen=True, slots=True)
class Line:
    """One line, without its end, and the file of the host that it belongs to."""

    path: str
    text: str


class Traffic:
    """What happens on one host, batch by batch. The same seed, name and moments give the same lines."""

    def __init__(self, name: str, seed: int, nginx: bool) -> None:
        """``nginx`` False: a host without a web server, and so without its log."""
        self._name = name
        self._nginx = nginx
        self._random = random.Random(f"{seed} {name}")
        # Hosts differ: some are busier, and one in a while is having a bad day.
        self._rate = REQUESTS_PER_S * STEP_S * self._random.uniform(0.6, 1.4)
        self._bad_day = 8 if self._random.random() < 0.15 else 1
        self._pid = self._random.randrange(900, 30000)

    @property
    def paths(self) -> list[str]:
        """The files that this host has."""
        return [NGINX, AUTH, APP] if self._nginx else [AUTH, APP]

    def batch(self, start: datetime) -> list[Line]:
        """The lines of `STEP_S` seconds from ``start`` on, in the order of their times."""
        events = max(1, round(self._random.gauss(self._rate, self._rate / 4)))
        offsets = sorted(self._random.uniform(0, STEP_S) for _ in range(events))
        return [line for offset in offsets for line in self._event(start + timedelta(seconds=offset))]

    def _event(self, at: datetime) -> Iterator[Line]:
        if self._nginx:
            yield from self._request(at)
        elif self._random.random() < 0.5:
            yield Line(APP, self._app(at, "query", "/orders", 200))
        if self._random.random() < 0.04:
            yield Line(AUTH, self._login(at))

    def _request(self, at: datetime) -> Iterator[Line]:
        path = self._pick(_PATHS)
        status = self._pick(_STATUSES)
        if path == "/wp-login.php":
            status = 404
        elif status < 400 and self._random.random() < 0.004 * self._bad_day:
            status = 500
        method = "POST" if path == "/api/checkout" else "GET"
        size = 0 if status == 304 else self._random.randrange(150, 48_000 if status == 200 else 700)
        yield Line(
            NGINX,
            f'{self._address("198.51.100", 60)} - - [{at:%d/%b/%Y:%H:%M:%S %z}] "{method} {path} HTTP/1.1" {status} '
            f'{size} "-" "{self._pick(_AGENTS)}"',
        )
        if path.startswith("/api/"):
            yield Line(APP, self._app(at, "request", path, status))

    def _app(self, at: datetime, event: str, path: str, status: int) -> str:
        """Latencies have a long tail, as they do."""
        ms = self._random.lognormvariate(3.0 if status < 500 else 6.5, 0.8)
        level = "error" if status >= 500 else "info"
        stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        user = self._random.randrange(1000, 1400)
        return f"ts={stamp} level={level} event={event} path={path} status={status} ms={ms:.1f} user=u{user}"

    def _login(self, at: datetime) -> str:
        self._pid += self._random.randrange(1, 9)
        head = f"{at:%b} {at.day:2d} {at:%H:%M:%S} {self._name} sshd[{self._pid}]:"
        port = self._random.randrange(32768, 61000)
        if self._random.random() < 0.2:
            person = self._random.choice(_PEOPLE)
            address = self._address("192.0.2", 8)
            return f"{head} Accepted publickey for {person} from {address} port {port} ssh2"
        name = self._pick(_STRANGERS)
        who = name if name in ("root", "git") else f"invalid user {name}"
        return f"{head} Failed password for {who} from {self._address('203.0.113', 24)} port {port} ssh2"

    def _pick(self, choices: tuple[tuple[T, int], ...]) -> T:
        return self._random.choices([what for what, _ in choices], [weight for _, weight in choices])[0]

    def _address(self, network: str, hosts: int) -> str:
        """Few addresses make most of the traffic."""
        return f"{network}.{min(int(self._random.expovariate(4 / hosts)) + 1, 254)}"
