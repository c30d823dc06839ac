"""Twenty-four providers, half of them broken in every way that there is: what the answer says of each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.program import reach, snapshots, started
from tests.rigs.sshd import Knobs, SshdFarm

pytestmark = pytest.mark.sshd

COUNT = 24
QUERY = '''
"""Words, counted."""
import time

logs = "app.log"


def filter(provider):
    if provider.exists("says-no"):
        return False
    if provider.exists("raises"):
        raise RuntimeError("cannot decide")
    if provider.exists("hangs"):
        time.sleep(3600)
    return True


def map(lines):
    for line in lines:
        if line == "poison":
            int("poison")
        if line == "hungry":
            bytearray(1 << 30)
        if line.startswith("sleep "):
            time.sleep(float(line.split()[1]))
            continue
        yield line, 1


reduce = "sum"
'''

#: Provider: (its state, a part of its reason).
BROKEN = {
    0: ("unreachable", "host key"),
    1: ("unreachable", "its SSH port refuses connections; is sshd running there?"),
    2: ("unreachable", "took the TCP connection, but no SSH server said anything for 4 s"),
    3: ("unreachable", "took the TCP connection, but no SSH server said anything for 4 s"),
    4: ("refused", "no python3 on the PATH; --python names another"),
    5: ("filtered_out", ""),
    6: ("failed", "words.py:11: RuntimeError: cannot decide"),
    7: ("failed", "filter"),
    8: ("failed", "app.log"),
    9: ("failed", "words.py:20: ValueError"),
    10: ("killed", "256"),
    11: ("lost", ""),
}
KNOBS = {
    0: Knobs(host_key="wrong"),
    1: Knobs(kind="refused"),
    2: Knobs(kind="mute"),
    3: Knobs(frozen=True),
    4: Knobs(python="none"),
}


def _prepare(farm: SshdFarm) -> Counter[str]:
    """Write the logs, and count what the answer must be: the healthy ones' words, and what broken ones had emitted."""
    words: Counter[str] = Counter()
    for index in range(COUNT):
        home = farm.dir(index)
        lines = [f"word{n % (index + 2)}" for n in range(2000 + index)]
        if index in BROKEN:
            lines = [f"before{index}"] * 5
        if index in (9, 10, 11):
            words.update(lines)
            # The first sleep is longer than values may wait for their cut, so that the cut is due when it is over.
            lines += {9: ["poison"], 10: ["hungry"], 11: ["sleep 1", "sleep 3600"]}[index] + [f"after{index}"] * 5
        elif index not in BROKEN:
            words.update(lines)
        if index != 8:
            (home / "app.log").write_text("\n".join(lines) + "\n")
    for index, name in {5: "says-no", 6: "raises", 7: "hangs"}.items():
        (farm.dir(index) / name).touch()
    return words


def test_every_provider_is_in_its_state_and_the_healthy_are_exact(tmp_path: Path) -> None:
    """The aggregate of the healthy is exact, every other is in its right state with its reason, and the status is 3."""
    query = tmp_path / "words.py"
    query.write_text(QUERY.lstrip())
    with SshdFarm(tmp_path / "farm", COUNT, KNOBS) as farm:
        words = _prepare(farm)
        deadlines = ["--filter-timeout", "4s", "--login-timeout", "4s", "--connect-timeout", "3s", "--wait", "8s"]
        rhythm = ["-o", "jsonl", "--every", "300ms", "--coverage", "full"]
        with started("run", query, *reach(farm), *deadlines, *rhythm) as process:
            last = _watch(farm, snapshots(process))
            assert process.stderr is not None
            err = process.stderr.read()
            assert process.wait(30) == 3, err
    _judge(last)
    assert {row["key"]: row["sum"] for row in last["rows"]} == dict(words), err
    assert "words.py" in err
    assert 'int("poison")' in err, "the traceback shows the user's own line"


def _watch(farm: SshdFarm, arriving: Any) -> dict[str, Any]:
    """Hold every snapshot against the rule that states add up, and kill provider 11 when it has emitted."""
    alive = True
    last: dict[str, Any] = {}
    for last in arriving:
        assert sum(last["coverage"]["states"].values()) == last["coverage"]["targets"] == COUNT
        if alive and any(row["key"] == "before11" for row in last["rows"]):
            farm.kill(11)
            alive = False
    return last


def _judge(last: dict[str, Any]) -> None:
    assert last["final"] is True
    assert last["complete"] is False
    providers = last["coverage"]["providers"]
    assert len(providers) == COUNT
    for index in range(COUNT):
        row = providers[f"p{index:02}"]
        state, reason = BROKEN.get(index, ("done", ""))
        assert (row["state"], reason in (row["reason"] or "")) == (state, True), (index, row)
    for index in (9, 10, 11):
        assert any(f"p{index:02}" in text for text in last["inexact"]), last["inexact"]
