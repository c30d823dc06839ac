"""The Python API against real coordinators: this machine, a farm of resident providers, and a notebook's loop."""

from __future__ import annotations

import asyncio
import collections
import logging
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import backplane as lr
from backplane.cli.demo.farm import farm
from backplane.client.session import open_session

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
LINES = [
    f'10.0.0.{n % 9} - - [17/May/2015:10:05:03 +0000] "GET /p{n % 5} HTTP/1.1" {200 + n % 4 * 100} {n}'
    for n in range(500)
]


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "access.log"
    path.write_text("\n".join(LINES) + "\n")
    return str(path)


def by_path(least: int) -> dict[str, int]:
    """By a plain loop."""
    return dict(collections.Counter(line.split()[6] for line in LINES if int(line.split()[8]) >= least))


async def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "in time"
        await asyncio.sleep(0.01)


def test_every_form_of_a_question_is_answered(log: str, tmp_path: Path) -> None:
    """Built, in one line, in SQL, as a function and as a file: one answer, which is complete."""
    least = 400

    @lr.script(logs=log, reduce="count")
    def errors(lines: Iterable[str]) -> Iterator[tuple[str, None]]:
        for line in lines:
            if int(line.split()[8]) >= least:
                yield line.split()[6], None

    file = tmp_path / "errors.py"
    file.write_text(
        "floor = 500\nreduce = 'count'\n\n\ndef map(lines):\n    for line in lines:\n"
        "        if int(line.split()[8]) >= floor:\n            yield line.split()[6], None\n"
    )
    asked = lr.logs("common", log).where(f"status >= {least}").count().by("path")
    text = f"SELECT path, count(*) FROM 'common:{log}' WHERE status >= {least} GROUP BY path"
    answers = [lr.ask(each) for each in (asked, str(asked), text, errors)]
    answers.append(lr.ask(file, files=log, settings={"floor": least}))
    for answer in answers:
        assert dict(answer.rows) == by_path(400)
        assert (answer.final, answer.complete, answer.inexact) == (True, True, ())
        assert answer.coverage.states == {"done": 1}
    assert lr.ask(asked).columns == ("path", "count")


def test_a_count_of_nothing_is_nought(log: str) -> None:
    """One row, in one line, in SQL and built; with groups there is none."""
    asked = lr.logs("common", log).where("status = 7").count()
    for each in (asked, str(asked), f"SELECT count(*) FROM 'common:{log}' WHERE status = 7"):
        assert lr.ask(each).rows == ((0,),)
    assert lr.ask(asked.by("path")).rows == ()


def test_as_many_lines_as_were_asked_for_are_complete(log: str) -> None:
    """By a stage, in SQL or as an option; the limit that nobody asked for is another matter."""
    asked = lr.logs("common", log)
    answers = [lr.ask(asked.limit(3)), lr.ask(f"SELECT * FROM 'common:{log}' LIMIT 3"), lr.ask(asked, limit=3)]
    for answer in answers:
        assert (len(answer.rows), answer.complete, answer.inexact, answer.exit_status) == (3, True, (), 0)
        assert answer.coverage.stopped is not None
    assert lr.ask(asked).coverage.stopped is None
    (why,) = lr.ask(asked, limit_bytes=1000).inexact
    assert "their size is at its limit" in why


async def test_leaving_the_loop_cancels_the_question(log: str) -> None:
    """The session goes on, and the coordinator has no query any more."""
    async with lr.session() as session:
        async for snapshot in session.run(lr.logs("common", log).count(), follow=True, since="yesterday", every=0.05):
            assert not snapshot.final
            break
        link = session._link
        counted = {"queries": 1}

        async def look() -> None:
            while counted["queries"]:
                counted.update(await link.request("statistics"))

        await asyncio.wait_for(look(), DEADLINE_S)
        assert (await session.ask(lr.logs("common", log).count())).rows == ((500,),)


async def test_an_answer_grows_and_can_be_stopped(log: str) -> None:
    """Snapshots come while it follows; stopped, it ends with the final one."""
    async with lr.session() as session:
        answers = session.run(lr.logs("common", log).count(), follow=True, every="50ms")
        counts: list[int] = []
        final = []
        written = 0
        async for snapshot in answers:
            final.append(snapshot.final)
            if snapshot.coverage.states == {"running": 1} and not counts:
                with open(log, "a") as file:
                    file.write(f"{LINES[0]}\n")
                written += 1
            counts += [row[0] for row in snapshot.rows if row[0]]
            if counts and not snapshot.final:
                answers.stop()
        assert final[-1] and not any(final[:-1])
        assert 1 <= counts[-1] <= written  # it may have run for a moment before it followed
        with pytest.raises(lr.LogReduceError, match="ask again"):
            aiter(answers)


async def test_questions_share_a_session(log: str) -> None:
    """Several at a time, each with its own answer."""
    async with lr.session() as session, asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(session.ask(f"common {log} | where status >= {least} | count")) for least in (200, 400)
        ]
    assert [each.result().rows for each in asked] == [((500,),), ((sum(by_path(400).values()),),)]


def test_a_farm_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers of an inventory, chosen by labels and by a condition on host; who does not answer is said."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with farm(5) as hosts:
        known = str(hosts.places.known_hosts)
        asked = lr.logs("nginx", "nginx/access.log").count().by("host")
        answer = lr.ask(asked.where("count > 0"), inventory=hosts.places.inventory, hosts="web*", known_hosts=known)
        assert sorted(row[0] for row in answer.rows) == ["web01", "web02", "web03", "web04"]
        assert answer.complete
        some = lr.logs("nginx", "nginx/access.log").where("host in ('web01', 'web02')").count().by("host")
        answer = lr.ask(some, inventory=str(hosts.places.inventory), known_hosts=known)
        assert (answer.coverage.states, len(answer.rows)) == ({"done": 2}, 2)
        place = "nginx/access.log"

        def has_it(provider: object) -> bool:
            return bool(provider.readable(place))  # type: ignore[attr-defined]  # a runner's provider has it

        @lr.script(logs=place, reduce="count", filter=has_it)
        def counted(lines: Iterable[str]) -> Iterator[int]:
            for _line in lines:
                yield 1

        answer = lr.ask(counted, inventory=hosts.places.inventory, known_hosts=known)
        assert answer.coverage.states == {"done": 4, "filtered_out": 1}
        nobody = lr.ask(asked, hosts="web01", inventory=hosts.places.inventory, known_hosts="/dev/null", wait="100ms")
        assert (nobody.complete, nobody.exit_status, nobody.coverage.states) == (False, 4, {"unreachable": 1})


def test_a_function_s_values_by_windows(log: str) -> None:
    """Of records, in those of the record that each was yielded of; of lines there are none."""

    @lr.script(logs=log, reduce="count", format="common")
    def statuses(records: Iterable[dict[str, object]]) -> Iterator[tuple[object, None]]:
        for record in records:
            yield record["status"], None

    @lr.script(logs=log, reduce="count")
    def sizes(lines: Iterable[str]) -> Iterator[int]:
        for line in lines:
            yield len(line)

    answer = lr.ask(statuses, window="1m", lateness="5s")
    assert answer.columns == ("window", "key", "count")
    assert answer.rows == lr.ask(lr.logs("common", log).count().by("status"), window="1m").rows
    with pytest.raises(lr.UsageError, match="window=: a window goes by"):
        lr.ask(sizes, window="1m")
    with pytest.raises(lr.UsageError, match="add window='1m'"):
        lr.ask(statuses, lateness=1)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"follow": True}, "has no end"),
        ({"hosst": "a"}, "there is no option 'hosst'; did you mean 'hosts'"),
        ({"every": "often"}, "every=: 'often' is no duration"),
        ({"since": "then"}, "since=: 'then' is no time"),
        ({"since": "1m", "until": "2m"}, "since= is not before until="),
        ({"follow": True, "until": "1m"}, "until= has no meaning"),
        ({"follow": True, "parallel": 2}, "parallel="),
        ({"window": "1m/5m"}, "leaves out what is between"),
        ({"lateness": "1m"}, "add window='1m'"),
        ({"settings": {"floor": 1}}, "has no constants"),
        ({"inventory": "/nowhere.json"}, "/nowhere.json"),
        ({"host_key": "yes"}, "strict or accept-new"),
        ({"files": "tick:5s"}, "has no records"),
        ({"coordinator": "web01:7070"}, "no coordinator's address"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(how: dict[str, object], said: str, log: str) -> None:
    """In one sentence, before anything is sent."""
    with pytest.raises(lr.UsageError) as caught:
        lr.ask(lr.logs("common", log).count(), **how)  # type: ignore[arg-type]  # wrong on purpose
    assert said in str(caught.value)


def test_what_scripts_say_goes_to_the_log(
    log: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Prints and tracebacks of a map are records of the logger, with the place in the user's file; here is nothing."""

    @lr.script(logs=log, reduce="count")
    def broken(lines: Iterable[str]) -> Iterator[int]:
        print("hello from there")  # noqa: T201 - over there
        for line in lines:
            yield int(line)

    with caplog.at_level(logging.INFO, logger="logreduce"):
        answer = lr.ask(broken)
    assert answer.coverage.states == {"failed": 1}
    assert not answer.complete
    assert any("hello from there" in each.getMessage() for each in caplog.records)
    fault = next(each.getMessage() for each in caplog.records if each.levelno == logging.WARNING)
    assert f'File "{__file__}"' in fault and "invalid literal" in fault
    assert capfd.readouterr() == ("", "")


def test_a_notebook_has_a_loop_already(log: str) -> None:
    """`ask` blocks and answers where a loop runs; an interrupt there ends the question, and leaves nothing behind."""
    program = textwrap.dedent(
        f"""
        import asyncio, os, signal, threading, time
        import backplane as lr

        def interrupts():
            while not any(each.name == "logreduce-ask" for each in threading.enumerate()):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        async def cell():
            question = lr.logs("common", {log!r}).count()
            print(lr.ask(question).rows)
            threading.Thread(target=interrupts).start()
            try:
                lr.ask(question, follow=True, end_after="600s")
            except KeyboardInterrupt:
                print("interrupted")

        # As a notebook's kernel does, and not asyncio.run, which takes the first interrupt for itself.
        asyncio.new_event_loop().run_until_complete(cell())
        print([each.name for each in threading.enumerate()])
        """
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["((500,),)", "interrupted", "['MainThread']"], done.stderr


async def test_a_running_coordinator_is_used(log: str) -> None:
    """By its address, as the command line's option does."""
    async with open_session() as own:
        async with lr.session(coordinator=own._again.current.address) as session:  # type: ignore[attr-defined]
            assert (await session.ask(lr.logs("common", log).count())).rows == ((500,),)
        assert (await own.request("statistics"))["queries"] == 0


def test_a_bare_function_is_told_to_be_a_script() -> None:
    """Who forgets the decorator is told of it."""
    with pytest.raises(lr.UsageError, match=r"write @lr\.script"):
        lr.ask(lambda lines: lines)  # type: ignore[arg-type]  # wrong on purpose


def test_none_is_as_good_as_nothing(tmp_path: Path) -> None:
    """Programs hand on what they were not given."""
    log = tmp_path / "a.log"
    log.write_text("one\n")
    unsaid = dict.fromkeys(("name", "since", "until", "limit", "follow", "window", "by_host", "key", "wait"))
    answer = lr.ask("raw x.log | count", files=[str(log)], **unsaid)  # type: ignore[arg-type]  # that is the point
    assert answer.rows == ((1,),)
