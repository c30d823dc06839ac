"""A job as its supervisor sees it, with a pipe in the place of a process: credit, what a child may say, its end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from provider.runner import frames
from provider.runner.jobs import Job
from provider.runner.orders import parse
from provider.runner.spawn import Child

#: No process of this machine has it, so nothing can be killed by mistake.
NO_PID = 1 << 30


class Rig:
    """A job, and the writing ends of its pipes."""

    def __init__(self, granted: int) -> None:
        frames_r, self.frames = os.pipe()
        notes_r, self.notes = os.pipe()
        for fd in (frames_r, notes_r):
            os.set_blocking(fd, False)
        self.now = time.monotonic()
        order = parse({"epoch": 3, "granted": granted}, b"")
        self.job = Job(7, order, Child(NO_PID, frames_r, notes_r, -1), self.now)

    def says(self, kind: int, payload: bytes = b"", **header: object) -> bytes:
        """The child writes a frame, as another job's."""
        body = frames.encode(kind, 99, header, payload)
        os.write(self.frames, frames.framed(body))
        return body

    def serve(self) -> None:
        """The loop serves what the job wants served, for as long as it does."""
        for _ in range(100):
            for fd, _mask in self.job.watched(self.now, True):
                self.job.ready(fd, self.now)

    def bodies(self) -> list[bytes]:
        """All that may go home."""
        self.serve()
        return list(iter(self.job.next_body, None))

    def dies(self, status: int = 0) -> None:
        """The process is gone, and its ends of the pipes."""
        os.close(self.frames)
        os.close(self.notes)
        self.job.died(status, self.now)

    def end(self) -> dict[str, object]:
        """The header of the END that comes last."""
        self.job.settle(False, self.now)
        last = frames.decode(self.bodies()[-1])
        assert (last.kind, last.job) == (frames.END, 7)
        assert self.job.over
        return last.header


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A job with credit for 1,000 bytes that has passed its filter."""
    rig = Rig(1000)
    rig.says(frames.VERDICT, keep=True)
    assert len(rig.bodies()) == 1
    yield rig
    rig.job.close()
    for fd in (rig.frames, rig.notes):
        try:
            os.close(fd)
        except OSError:
            continue


def test_credit_is_spent_by_bodies_and_overdrawn_by_one(rig: Rig) -> None:
    """Bodies go while less was spent than granted, each counted whole; what was read waits, in order."""
    said = [rig.says(frames.CUT, b"x" * 300, seq=n, last=True) for n in range(1, 8)]
    size = len(said[0])
    sent = rig.bodies()
    assert sent == [frames.stamped(body, 7) for body in said[: -(-1000 // size)]]
    rig.job.credit(500)
    assert rig.bodies() == []
    rig.job.credit(len(sent) * size + 1)
    assert len(rig.bodies()) == 1
    rig.job.credit(1 << 30)
    assert [frames.decode(body).header["seq"] for body in rig.bodies()] == list(range(len(sent) + 2, 8))


def test_a_beat_is_kept_and_not_passed_on(rig: Rig) -> None:
    """Counters are remembered for the supervisor's own beats and for the end; fields that are none are not."""
    rig.says(frames.BEAT, lines=5, mood="fine")
    assert rig.bodies() == []
    rig.dies(9)
    end = rig.end()
    assert (end["state"], end["reason"], end["epoch"]) == ("killed", "its process died of signal 9", 3)
    assert isinstance(end["counters"], dict)
    assert end["counters"]["lines"] == 5
    assert "mood" not in end["counters"]


@pytest.mark.parametrize(
    "kind", [frames.HELLO, frames.CREDIT, frames.CANCEL, frames.NOTE, frames.FEED, frames.START, frames.STATE, 200]
)
def test_a_child_may_not_say_everything(rig: Rig, kind: int) -> None:
    """A kind that is not a child's ends the job as failed, behind a fault, and does not go home."""
    rig.says(kind)
    (fault,) = map(frames.decode, rig.bodies())
    assert (fault.kind, fault.header["code"]) == (frames.FAULT, "protocol")
    rig.dies(9)
    assert rig.end()["state"] == "failed"


def test_the_end_has_the_last_cut_that_went_home(rig: Rig) -> None:
    """A cut whose last part never came does not count, whatever the child's own end says; its state does."""
    rig.job.credit(1 << 30)
    rig.says(frames.CUT, seq=1, last=True)
    rig.says(frames.CUT, seq=2, last=False)
    rig.says(frames.CUT, seq=2, last=True, more=True)
    rig.says(frames.END, state="failed", reason="why", seq=2)
    rig.serve()
    rig.dies()
    assert len(rig.bodies()) == 3
    end = rig.end()
    assert (end["state"], end["reason"], end["seq"], end["drained"]) == ("failed", "why", 1, False)


def test_an_end_waits_for_credit_unless_aborted(rig: Rig) -> None:
    """What was emitted before a natural end is not lost for want of credit; an abort drops it."""
    for seq in (1, 2, 3, 4):
        rig.says(frames.CUT, b"x" * 400, seq=seq, last=True)
    rig.says(frames.END, state="done")
    rig.serve()
    rig.dies()
    assert len(rig.bodies()) == 3
    rig.job.settle(False, rig.now)
    assert rig.bodies() == []
    rig.job.abort()
    end = rig.end()
    assert (end["state"], end["reason"], end["seq"]) == ("killed", "cancelled", 3)


def test_notes_never_wait_for_credit(rig: Rig) -> None:
    """Prints without credit are dropped and counted, and the count comes with the end."""
    os.write(rig.notes, b"shown\n")
    assert [frames.decode(body).payload for body in rig.bodies()] == [b"shown\n"]
    rig.says(frames.CUT, b"x" * 2000, seq=1, last=True)
    assert len(rig.bodies()) == 1
    os.write(rig.notes, b"one\ntwo\nno end")
    assert rig.bodies() == []
    rig.dies()
    rig.job.settle(False, rig.now)
    note, end = map(frames.decode, rig.bodies())
    assert (note.kind, note.payload, note.header["dropped"]) == (frames.NOTE, b"", 3)
    assert end.kind == frames.END


def test_strays_are_waited_for_but_not_forever(rig: Rig) -> None:
    """No END while something of the job may live, until that cannot be helped."""
    rig.dies()
    rig.job.settle(True, rig.now)
    assert rig.bodies() == []
    rig.now += 10
    rig.job.settle(True, rig.now)
    assert frames.decode(rig.bodies()[-1]).kind == frames.END


def test_faults_without_end_are_an_error(rig: Rig) -> None:
    """Verdicts and faults cost no credit, so a child that floods with them is broken, and is not read any more."""
    for n in range(40):
        rig.says(frames.FAULT, text=str(n))
    said = [frames.decode(body) for body in rig.bodies()]
    assert len(said) < 20
    assert said[-1].header["code"] == "protocol"
    assert len(rig.job.watched(rig.now, True)) == 1  # its prints
    rig.dies(9)
    assert rig.end()["state"] == "failed"


def test_prints_do_not_pile_up_behind_a_link_that_stands(rig: Rig) -> None:
    """With credit for all, but nobody who takes frames, prints beyond a bound are dropped and counted."""
    rig.job.credit(1 << 40)
    for n in range(100):
        rig.now += 1.0
        os.write(rig.notes, b"%03d" % n + b"x" * 20000 + b"\n")
        for fd, _ in rig.job.watched(rig.now, False):
            rig.job.ready(fd, rig.now)
    notes = [frames.decode(body) for body in iter(rig.job.next_body, None)]
    assert sum(len(note.payload) for note in notes) < 400 << 10
    rig.dies()
    rig.job.settle(False, rig.now)
    notes += [frames.decode(body) for body in iter(rig.job.next_body, None)][:-1]
    assert sum(note.payload.count(b"\n") + note.header["dropped"] for note in notes) == 100
