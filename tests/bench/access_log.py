"""A combined access log like those of a busy site, the same for the same seed: about 251 bytes a line.

Knows the shape of real logs: few statuses, many paths, long agents.
`python -m tests.bench.access_log PATH MB` writes one.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

#: Lines that are repeated until the log is large enough: far more bytes than any cache holds.
DISTINCT = 120_000
_SECTIONS = ("api", "img", "static", "blog", "cart", "user", "search", "feed")
_PAGES = ("list", "item", "view", "edit", "home", "top", "new", "old", "archive", "compare", "detail", "tags")
_AGENT = "Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36"
_SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "X11; Linux x86_64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "Linux; Android 13; Pixel 7",
)


def write(path: Path, size: int, seed: int = 7) -> None:
    """A log of about so many bytes."""
    block = "".join(_lines(random.Random(seed))).encode()
    with path.open("wb") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: block.rfind(b"\n", 0, size % len(block)) + 1])


def _lines(chance: random.Random) -> list[str]:
    agents = [_agent(chance) for _ in range(400)] + [f"curl/7.{minor}.0" for minor in range(30)]
    statuses = [200] * 90 + [304] * 4 + [404] * 3 + [301, 500, 503]
    at = 1_447_000_000.0
    lines = []
    for _ in range(DISTINCT):
        at += chance.random() * 0.3
        path = f"/{chance.choice(_SECTIONS)}/{chance.choice(_PAGES)}"
        if chance.random() < 0.6:
            path += f"/{chance.randrange(20_000)}"
        if chance.random() < 0.3:
            path += f"?q={chance.randrange(1 << 32):x}&page={chance.randrange(50)}"
        referer = (
            "-"
            if chance.random() < 0.3
            else f"https://www.example.com/{chance.choice(_SECTIONS)}/{chance.choice(_PAGES)}"
        )
        lines.append(
            f"{_address(chance)} - {'bob' if chance.random() < 0.1 else '-'} "
            f"[{time.strftime('%d/%b/%Y:%H:%M:%S', time.gmtime(at))} +0000] "
            f'"{"POST" if chance.random() < 0.1 else "GET"} {path} HTTP/1.1" {chance.choice(statuses)} '
            f'{int(chance.expovariate(1 / 8000))} "{referer}" "{chance.choice(agents)}"\n'
        )
    return lines


def _agent(chance: random.Random) -> str:
    agent = _AGENT % (chance.choice(_SYSTEMS), chance.randrange(90, 130), chance.randrange(9999), chance.randrange(300))
    return agent + chance.choice(
        ("", f" Edg/{chance.randrange(90, 130)}.0.{chance.randrange(9999)}.{chance.randrange(99)}")
    )


def _address(chance: random.Random) -> str:
    return ".".join(str(chance.randrange(1, 255)) for _ in range(4))


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]) << 20)
