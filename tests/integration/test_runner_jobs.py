"""The shipped runner on every Python at hand: what a job says from its start to its end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provider.runner import frames
from provider.runner.pack import unpackb
from tests.rigs.pythons import at_hand, spread
from tests.rigs.runner_link import RunnerLink, emitted, script

pytestmark = pytest.mark.linux

COUNT = """
def map(lines):
    n = 0
    for line in lines:
        n += 1
    yield "lines", n
"""
ECHO = """
def map(lines):
    for line in lines:
        yield line
"""


@pytest.fixture(params=at_hand(), ids=lambda version: f"python{version}")
def every_link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner on each Python at hand, for what they are known to do differently, and for the main road."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


@pytest.fixture(params=spread(), ids=lambda version: f"python{version}")
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner on the oldest Python, on this one and on the newest."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


@pytest.fixture
def any_link() -> Iterator[RunnerLink]:
    """A runner on the oldest Python at hand, for what does not differ between them."""
    with RunnerLink(str(next(iter(at_hand().values())))) as runner:
        yield runner


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A thousand lines."""
    path = tmp_path / "app.log"
    path.write_text("".join(f"line {n}\n" for n in range(1000)))
    return path


def fault(link: RunnerLink, code: str) -> frames.Frame:
    """The one FAULT of job 1."""
    link.end()
    (found,) = link.of(frames.FAULT)
    assert found.header["code"] == code, found
    return found


def test_hello_names_the_python_and_the_process(every_link: RunnerLink) -> None:
    """HELLO says who answers: role, version, process, host and level."""
    hello = every_link.hello.header
    assert (hello["role"], hello["version"], hello["level"]) == ("runner", frames.VERSION, "exec")
    assert hello["pid"] == every_link.process.pid
    assert len(hello["python"]) == 3


def test_lines_are_counted(every_link: RunnerLink, log: Path) -> None:
    """A file is read to its end, once, and the counters agree with it."""
    every_link.start(1, script(COUNT, sources=[str(log)]))
    end = every_link.end()
    assert (end["state"], end["reason"], end["drained"]) == ("done", None, False)
    assert every_link.values() == [("lines", 1000)]
    assert end["counters"]["lines"] == 1000
    assert end["counters"]["bytes"] == log.stat().st_size
    assert end["counters"]["emitted"] == 1
    assert end["seq"] == every_link.cuts()[-1]["seq"]
    assert every_link.of(frames.VERDICT)[0].header["keep"] is True
    assert every_link.frames[-1].kind == frames.END


def test_bytes_come_through_unchanged(every_link: RunnerLink, tmp_path: Path) -> None:
    """NUL, invalid UTF-8, the euro sign, carriage returns and a last line without newline are kept byte for byte."""
    lines = [b"a\x00b", b"\xff\xfe bad", "€ und \u2028 und \x85".encode(), b"\xe2\x82", b"\xac", b"dos\r", b"", b"last"]
    path = tmp_path / "bytes.log"
    path.write_bytes(b"\n".join(lines))
    every_link.start(1, script(ECHO, sources=[str(path)]))
    every_link.start(2, script(ECHO, sources=[str(path)], encoding=None))
    every_link.end(1)
    every_link.end(2)
    assert [value.encode("utf-8", "surrogateescape") for value in every_link.values(1)] == lines
    assert every_link.values(2) == lines


def test_a_line_of_ten_megabytes_passes(link: RunnerLink, tmp_path: Path) -> None:
    """A 10 MB line comes through within the address space of 256 MB, between two others."""
    path = tmp_path / "long.log"
    path.write_bytes(b"before\n" + b"x" * 10_000_000 + b"\nafter\n")
    link.start(1, script(ECHO, sources=[str(path)]))
    assert link.end()["state"] == "done", link.end()
    assert [len(value) for value in link.values()] == [6, 10_000_000, 5]


def test_a_line_over_the_limit_is_dropped_and_counted(any_link: RunnerLink, tmp_path: Path) -> None:
    """A line above 16 MiB does not travel, its neighbours do, and the counters and the position say so."""
    path = tmp_path / "huge.log"
    path.write_bytes(b"before\n" + b"x" * (17 << 20) + b"\nafter\n")
    any_link.start(1, script(ECHO, sources=[str(path)]))
    end = any_link.end()
    assert any_link.values() == ["before", "after"]
    assert end["counters"]["dropped"] == {"line_too_long": 1}
    assert end["counters"]["bytes"] == path.stat().st_size


FILTER = """
def filter(provider):
    assert provider.name == "p1" and provider.labels == {"role": "web"} and provider.python >= (3, 6)
    assert provider.exists(%(log)r) and provider.readable(%(log)r) and not provider.exists(%(log)r + "x")
    assert provider.readable([%(log)r, "-"]) and provider.exists(%(log)r[:-1] + "*")
    assert provider.which("sh").endswith("/sh") and provider.which("no-such-command") is None
    ran = provider.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (ran.status, ran.stdout, ran.stderr) == (3, "out\\n", "err\\n")
    return %(keep)s
"""


@pytest.mark.parametrize(("keep", "state"), [("'yes'", "done"), ("None", "filtered_out")])
def test_a_filter_decides(link: RunnerLink, log: Path, keep: str, state: str) -> None:
    """What filter returns is the verdict, and provider answers its questions."""
    link.start(1, script(COUNT, filter=FILTER % {"log": str(log), "keep": keep}, sources=[str(log)]))
    assert link.end()["state"] == state, link.of(frames.FAULT)
    assert link.of(frames.VERDICT)[0].header["keep"] is (state == "done")
    assert bool(link.cuts()) is (state == "done")


def test_a_filter_that_raises_shows_its_line(every_link: RunnerLink, log: Path) -> None:
    """A filter's exception fails the job with the user's file, line, text and source line."""
    text = "\n\ndef filter(provider):\n    return {}['nothing']  # here\n"
    every_link.start(1, script(COUNT, filter=text, sources=[str(log)]))
    found = fault(every_link, "raised")
    assert (found.header["file"], found.header["line"]) == ("query.py", 4)
    assert b"return {}['nothing']  # here" in found.payload
    assert b"provider/runner" not in found.payload
    assert every_link.end()["state"] == "failed"
    assert every_link.end()["reason"] == "query.py:4: KeyError: 'nothing'"


@pytest.mark.parametrize("body", ["import time; time.sleep(60)", "while True: pass"])
def test_a_filter_that_never_answers_is_ended(any_link: RunnerLink, body: str) -> None:
    """A filter over its deadline fails the job, asleep or spinning."""
    any_link.start(1, script(COUNT, filter=f"def filter(provider):\n    {body}\n"), filter_s=0.5)
    end = any_link.end()
    assert (end["state"], end["reason"]) == ("failed", "the filter did not answer within 0.5 s")
    fault(any_link, "deadline")


def test_what_was_yielded_before_a_raise_stays(every_link: RunnerLink, log: Path) -> None:
    """Values yielded before an exception are cut, then the fault comes, then the end."""
    text = ECHO + "        if line == 'line 700':\n            raise ValueError('bad\\nline')\n"
    every_link.start(1, script(text, sources=[str(log)]))
    found = fault(every_link, "raised")
    assert every_link.values() == [f"line {n}" for n in range(701)]
    assert (found.header["line"], found.header["text"]) == (6, "ValueError: bad line")
    assert every_link.end()["reason"] == "query.py:6: ValueError: bad line"


MEMORY = {
    "in the map": "def map(lines):\n    yield 1\n    held = []\n    while True:\n        held.append('x' * 1000000)\n",
    "at once": "def map(lines):\n    yield 1\n    return bytearray(1 << 34)\n",
    "again and again": (
        "def map(lines):\n    yield 1\n    held = []\n    while True:\n"
        "        try:\n            held.append('x' * 100000)\n"
        "        except MemoryError:\n            held.append(held[:])\n"
    ),
}


@pytest.mark.parametrize("how", MEMORY)
def test_a_map_over_its_memory_is_killed(link: RunnerLink, log: Path, how: str) -> None:
    """MemoryError ends the job as killed, and the reason names the limit."""
    link.start(1, script(MEMORY[how], sources=[str(log)]), limits={"memory_mb": 128})
    end = link.end()
    assert end["state"] == "killed", end
    assert "its limit of 128 MB" in end["reason"]
    fault(link, "memory")


def test_prints_are_notes(link: RunnerLink, log: Path) -> None:
    """What filter and map print, on stdout or stderr, in any script, comes as notes."""
    text = "import sys\ndef map(lines):\n    print('€ \\udcff')\n    sys.stderr.write('no end')\n    yield 1\n"
    link.start(1, script(text, filter="def filter(p):\n    print('filter')\n    return True\n", sources=[str(log)]))
    link.end()
    assert link.prints() == "filter\n€ \\udcff\nno end"


def test_a_flood_of_prints_neither_blocks_nor_floods(any_link: RunnerLink) -> None:
    """Prints over the rate are dropped and counted, and the job goes on."""
    text = "def map():\n    for n in range(200000):\n        print('x' * 50)\n    yield 'done'\n"
    any_link.start(1, script(text, lines=False))
    assert any_link.end()["state"] == "done"
    assert any_link.values() == ["done"]
    notes = any_link.of(frames.NOTE)
    assert sum(note.header["dropped"] for note in notes) + any_link.prints().count("\n") == 200000
    assert len(any_link.prints()) < 5_000_000


def test_a_value_that_cannot_travel_names_its_line(every_link: RunnerLink, log: Path) -> None:
    """A value of a foreign type fails the job at the line of its yield; the values before it stay."""
    text = "def map(lines):\n    for n, line in enumerate(lines):\n        yield object() if n == 300 else n\n"
    every_link.start(1, script(text, sources=[str(log)]))
    found = fault(every_link, "unserialisable")
    assert (found.header["file"], found.header["line"]) == ("query.py", 3)
    assert every_link.end()["reason"] == "query.py:3: cannot emit a value of type object"
    parts = [unpackb(part.payload) for part in every_link.of(frames.CUT)]
    assert [value for part in parts for value in emitted(part)] == list(range(300))


@pytest.mark.parametrize(
    ("text", "code", "state", "says"),
    [
        ("def map(lines):\n    yield from (\n", "syntax", "failed", "query.py:"),
        ("def mop(lines):\n    yield 1\n", "no_map", "failed", "there is no map"),
        ("def map(lines):\n    return 7\n", "raised", "failed", "map returned a int"),
        ("import no_such_module\n", "raised", "failed", "query.py:1: ModuleNotFoundError"),
        ("def map(lines):\n    raise SystemExit(0)\n", "raised", "failed", "query.py:2: SystemExit: 0"),
    ],
)
def test_a_wrong_script_says_what_is_wrong(
    link: RunnerLink, log: Path, text: str, code: str, state: str, says: str
) -> None:
    """Syntax errors, a missing map and a map that is none each have a sentence."""
    link.start(1, script(text, sources=[str(log)]))
    fault(link, code)
    assert link.end()["state"] == state
    assert says in link.end()["reason"]


def test_syntax_that_is_too_new_names_the_python(any_link: RunnerLink, log: Path) -> None:
    """What this Python cannot compile is said with its version, so that nobody looks for a typing error."""
    any_link.start(1, script("def map(lines):\n    match 1:\n        case !1: pass\n", sources=[str(log)]))
    found = fault(any_link, "syntax")
    version = ".".join(map(str, any_link.hello.header["python"]))
    assert f"Python {version} on this provider" in found.header["text"]
    assert found.header["line"] in (2, 3)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("def map(lines):\n    return [('k', 1), 2.5, None]\n", [("k", 1), 2.5, None]),
        ("def map(lines):\n    for line in lines: pass\n", []),
        ("import builtins\ndef map(lines):\n    return builtins.map(len, lines)\n", [6] * 10),
        (
            "def map(lines):\n    yield next(lines)\n    yield lines.path[-7:]\n",
            ["line 0", "app.log"],
        ),
        ("def map(lines):\n    yield lines.provider.name\n    yield lines.path\n", ["p1", None]),
    ],
)
def test_a_map_need_not_be_a_generator(link: RunnerLink, log: Path, text: str, values: list[object]) -> None:
    """Lists, nothing at all, and lazy iterables are taken; lines knows its path and provider."""
    log.write_text("".join(f"line {n}\n" for n in range(10)))
    link.start(1, script(text, sources=[str(log)]))
    assert link.end()["state"] == "done", link.end()
    assert link.values() == values


def test_aggregates_are_folded_on_the_provider(every_link: RunnerLink, log: Path) -> None:
    """With combine a cut holds partials, one state a key, and no values."""
    text = "def map(lines):\n    for line in lines:\n        yield line[-1], 1\n"
    every_link.start(1, script(text, sources=[str(log)], combine=["count"]))
    end = every_link.end()
    assert (end["state"], end["counters"]["emitted"]) == ("done", 1000)
    partials = [partial for cut in every_link.cuts() for partial in cut["partials"]]
    assert [partial["aggregates"] for partial in partials] == [["count"]] * len(partials)
    assert every_link.values() == []


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    ("source", "code"), [("none.log", "missing"), ("none*.log", "missing"), (".", "unreadable"), ("x/y", "missing")]
)
def test_a_log_that_is_not_there_fails_the_job(
    any_link: RunnerLink, tmp_path: Path, log: Path, source: str, code: str, follow: bool
) -> None:
    """Missing, unreadable and unmatched sources fail before anything is read, whichever they are, followed or not."""
    any_link.start(1, script(COUNT, sources=[str(log), str(tmp_path / source)], follow=follow))
    found = fault(any_link, code)
    assert str(tmp_path / source) in found.header["text"]
    assert any_link.end()["state"] == "failed"
    assert not any_link.of(frames.OPEN)


def test_a_second_start_of_an_epoch_is_nothing(any_link: RunnerLink, log: Path) -> None:
    """START is idempotent, while the job runs and after it ended."""
    for _ in range(2):
        any_link.start(1, script(COUNT, sources=[str(log)]))
    any_link.end()
    any_link.start(1, script(COUNT, sources=[str(log)]))
    any_link.start(2, script(COUNT, sources=[str(log)]))
    any_link.end(2)
    assert len(any_link.of(frames.END)) == len(any_link.of(frames.VERDICT)) == 1


@pytest.mark.parametrize("header", [{"body": "sql"}, {"profile": "sealed"}, {"limits": {"files": 0}}, {"granted": -1}])
def test_what_this_runner_does_not_have_is_refused(any_link: RunnerLink, header: dict[str, object]) -> None:
    """An unknown body or profile and senseless limits end the job as refused, and the link lives."""
    any_link.start(1, script(COUNT), **header)
    assert any_link.end()["state"] == "refused"
    any_link.start(2, script("def map():\n    yield 1\n", lines=False))
    assert any_link.end(2)["state"] == "done"


def test_a_map_without_lines_emits_while_it_sleeps(link: RunnerLink) -> None:
    """Values of `map()` wait no longer than every_s, though the map never comes back to us."""
    text = "import time\ndef map():\n    yield 'early'\n    yield 'too'\n    time.sleep(600)\n"
    link.start(1, script(text, lines=False, every_s=0.1))
    link.until(lambda: link.values() == ["early", "too"], "values")
    link.cancel(1)
    end = link.end()
    assert (end["state"], end["drained"]) == ("done", True)


def test_ticks_tick_at_once_and_then_in_rhythm(link: RunnerLink) -> None:
    """A tick is the time as a float; the first comes at once, and a drain ends the waiting."""
    text = "def map(lines):\n    for now in lines:\n        yield now\n"
    began = time.time()
    link.start(1, script(text, sources=["tick:100ms"]))
    link.until(lambda: len(link.values()) >= 4, "four ticks")
    link.cancel(1)
    assert link.end()["drained"] is True
    ticks = link.values()
    # A tick may come late, and the next one in its own time; none comes early.
    assert all(tick - began > 0.099 * n for n, tick in enumerate(ticks))
    assert all(a < b for a, b in itertools.pairwise(ticks))


def granted_beyond(link: RunnerLink, sent: int) -> int:
    """Reads until job 1 may be fed more than was sent; how much that is in all."""
    link.until(lambda: any(f.header["granted"] > sent for f in link.of(frames.CREDIT)), "a grant")
    return max(int(f.header["granted"]) for f in link.of(frames.CREDIT))


def test_feed_is_read_within_its_window(link: RunnerLink) -> None:
    """Source bytes from home are granted window by window, arrive as lines, and end with the feed."""
    link.start(1, script(COUNT, sources=["-"]), feed=True)
    line = b"x" * 99 + b"\n"
    data = line * 20_000
    sent = 0
    while sent < len(data):
        granted = granted_beyond(link, sent)
        assert granted <= sent + (256 << 10)
        chunk = data[sent : min(granted, sent + 50_000)]
        link.send(frames.FEED, 1, {"end": False}, chunk)
        sent += len(chunk)
    link.send(frames.FEED, 1, {"end": True}, b"")
    assert link.end()["state"] == "done"
    assert link.values() == [("lines", 20_000)]


def test_more_feed_than_granted_ends_the_job_only(any_link: RunnerLink) -> None:
    """Whoever feeds beyond the grant loses the job, not the link."""
    any_link.start(1, script("import time\ndef map(lines):\n    time.sleep(60)\n", sources=["-"]), feed=True)
    for _ in range(20):
        any_link.send(frames.FEED, 1, {"end": False}, b"x" * 50_000)
    assert any_link.end()["state"] == "failed"
    any_link.start(2, script("def map():\n    yield 1\n", lines=False))
    assert any_link.end(2)["state"] == "done"


def test_what_any_job_needs_is_there_before_the_first(link: RunnerLink) -> None:
    """Between home's greeting and the first start lies a round trip, in which it is compiled; before, nothing is."""
    loaded = Path(f"/proc/{link.process.pid}/maps")
    assert "_ctypes" not in loaded.read_text()  # of the last of these modules
    hello = {"version": frames.VERSION, "oldest": frames.VERSION, "role": "coordinator", "lease_s": 20.0}
    link.send(frames.HELLO, 0, hello)
    link.until(lambda: "_ctypes" in loaded.read_text(), "the modules of a job")
    link.start(1, script("def map():\n    yield 1\n", lines=False), lines=False)
    assert link.end()["state"] == "done"
